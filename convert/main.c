/* main.c -- dsv4-convert: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/inspect.h"
#include "convert/outdir.h"
#include "convert/show.h"
#include "convert/tables.h"
#include "core/cli.h"
#include "core/cpu.h"
#include "core/sha256.h"
#include "core/version.h"
#include "core/xxh.h"
#include "quant/fp4to8.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define TOOL "dsv4-convert " DSV4_VERSION

struct opts {
	const char *out, *target, *experts, *assume, *layers, *source_sha256;
	uint64_t mp, shard_size, threads, max_memory, max_header;
	bool json, quiet, lossy, no_sha256, hf_cache, tensors, overwrite;
};

static volatile sig_atomic_t stop;

static void on_signal(int n)
{
	(void)n;
	stop = 1;
}

static void defaults(void *p)
{
	struct opts *o = p;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	o->threads = cpus > 0 ? (uint64_t)(cpus < 64 ? cpus : 64) : 1;
	o->max_memory = BUDGET_DEFAULT;
	o->max_header = ST_HEADER_CAP;
}

static enum expert_form form_of(const char *s)
{
	return !s ? EXPERT_UNSAID : !strcmp(s, "fp8") ? EXPERT_FP8 : EXPERT_FP4;
}

/* Prints and frees. */
static int print(struct text *t, struct err *e)
{
	int rc = 0;

	if (t->failed)
		rc = err_nomem(e);
	else if (t->n)
		fwrite(t->s, 1, t->n, stdout); /* cli_main looks at stdout */
	text_free(t);
	return rc;
}

/* --- inspect --- */

static int run_inspect(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct ckpt_opts co = { .header_cap = o->max_header, .hf_cache = o->hf_cache };
	struct findings f = { 0 };
	struct ckpt c;
	struct audit a;
	struct text t = { 0 };
	int rc = -1;

	(void)n;
	if (ckpt_open(&c, io_posix(), args[0], &co, &f, e))
		goto out0;
	if (audit_make(&a, &c, form_of(o->assume), &f, e))
		goto out1;
	if (o->json)
		inspect_put_json(&t, &c, &a, &f);
	else
		inspect_put_text(&t, args[0], &c, &a, &f);
	rc = print(&t, e);
	if (!rc)
		rc = inspect_verdict(&f, e);
	audit_free(&a);
out1:
	ckpt_close(&c);
out0:
	finding_free(&f);
	return rc;
}

/* --- plan and run --- */

/* The source, sound, and what is to be made of it. */
struct job {
	struct ckpt c;
	struct plan p;
	struct budget b;
};

static int check_opts(const struct opts *o, struct err *e)
{
	if (!o->out)
		return err_set(e, ERR_USAGE, "-o says where to write");
	if (!o->target)
		return err_set(e, ERR_USAGE, "--target says what to make: official or hf");
	if (o->mp && strcmp(o->target, "official"))
		return err_set(e, ERR_USAGE, "--mp belongs to --target official");
	if (o->shard_size && strcmp(o->target, "hf"))
		return err_set(e, ERR_USAGE, "--shard-size belongs to --target hf");
	return 0;
}

static int make_plan(struct job *j, const struct opts *o, struct findings *f, struct err *e)
{
	struct plan_opts po = { .target = o->target,
		.ranks = o->mp ? o->mp : 1,
		.experts = form_of(o->experts),
		.layers = o->layers,
		.shard_size = o->shard_size,
		.lossy = o->lossy,
		.sha256 = !o->no_sha256 };
	struct audit a;
	int rc;

	if (audit_make(&a, &j->c, form_of(o->assume), f, e))
		return -1;
	rc = finding_first(f, e);
	rc = rc ? rc : plan_make(&j->p, &a, &po, e);
	audit_free(&a);
	return rc;
}

static int job_open(struct job *j, const struct opts *o, const char *dir, struct err *e)
{
	struct ckpt_opts co = { .header_cap = o->max_header, .hf_cache = o->hf_cache };
	struct findings f = { 0 };
	int rc;

	memset(j, 0, sizeof *j);
	if (check_opts(o, e))
		return -1;
	rc = ckpt_open(&j->c, io_posix(), dir, &co, &f, e);
	rc = rc ? rc : make_plan(j, o, &f, e);
	finding_free(&f);
	if (!rc)
		rc = budget_make(&j->b, &j->p, (unsigned)o->threads, o->max_memory, e);
	if (rc) {
		plan_free(&j->p);
		ckpt_close(&j->c);
	}
	return rc;
}

static void job_close(struct job *j)
{
	plan_free(&j->p);
	ckpt_close(&j->c);
}

static int run_plan_cmd(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct show_plan s = { .limit = o->max_memory, .tensors = o->tensors };
	struct text t = { 0 };
	struct job j;

	(void)n;
	if (job_open(&j, o, args[0], e))
		return -1;
	if (outdir_look(&j.p, o->out, o->overwrite, e)) {
		job_close(&j);
		return -1;
	}
	s.p = &j.p;
	s.budget = j.b;
	s.room_known = outdir_free(io_posix(), o->out, &s.room);
	if (o->json)
		show_plan_json(&t, &s);
	else
		show_plan_text(&t, &s);
	job_close(&j);
	return print(&t, e);
}

static void say_begin(const struct job *j, const struct run_opts *ro)
{
	fprintf(stderr, "plan %.12s: %zu file%s, %s to pass through, %u thread%s\n", j->p.hash,
		j->p.n_files, j->p.n_files == 1 ? "" : "s", text_bytes(run_work(&j->p, ro)).s,
		j->b.threads, j->b.threads == 1 ? "" : "s");
}

static void say_done(const struct run_result *r, double seconds, const char *out)
{
	fprintf(stderr, "%s: %zu file%s made (%s), %zu kept, in %.1f s", text_quote(out).s, r->made,
		r->made == 1 ? "" : "s", text_bytes(r->written).s, r->kept, seconds);
	if (seconds > 0 && r->written)
		fprintf(stderr, " (%.2f GB/s)", (double)r->written / seconds / 1e9);
	fprintf(stderr, "\n");
	if (r->blocks)
		fprintf(stderr, "cast to FP8: %s of %s blocks exact%s\n",
			text_thousands(r->blocks - r->inexact).s, text_thousands(r->blocks).s,
			r->inexact ? ", the others were rounded (--lossy): the sidecars name them"
				   : "");
}

static int execute(const struct job *j, const struct opts *o, const struct expected *x,
	struct err *e)
{
	struct run_opts ro = { .out = o->out,
		.overwrite = o->overwrite,
		.tool = TOOL,
		.budget = j->b,
		.features = cpu_features(),
		.expected = x,
		.stop = &stop };
	struct sigaction act = { .sa_handler = on_signal }, was;
	struct run_result r;
	struct text t = { 0 };
	double began = progress_now();
	int rc;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (!sigaction(SIGHUP, NULL, &was) && was.sa_handler != SIG_IGN) /* as nohup has it */
		sigaction(SIGHUP, &act, NULL);
	if (!o->quiet)
		say_begin(j, &ro);
	ro.progress = progress_start(o->quiet ? NULL : stderr, "converting", run_work(&j->p, &ro));
	rc = run_plan(&j->p, &ro, &r, e);
	progress_stop(ro.progress);
	if (!rc) {
		if (o->json)
			show_run_json(&t, &j->p, &r);
		else
			show_run_text(&t, &j->p, &r);
		rc = print(&t, e);
		if (!o->quiet)
			say_done(&r, progress_now() - began, o->out);
	}
	run_result_free(&r);
	return rc;
}

static int run_run(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct expected x;
	struct job j;
	int rc;

	(void)n;
	if (job_open(&j, o, args[0], e))
		return -1;
	if (o->source_sha256) {
		rc = expected_read(&x, &j.c, o->source_sha256, e);
		if (!rc) {
			rc = execute(&j, o, &x, e);
			expected_free(&x);
		}
	} else {
		rc = execute(&j, o, NULL, e);
	}
	job_close(&j);
	return rc;
}

/* --- tables for people --- */

static int run_rules(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? tables_rules_json : tables_rules_text)(&t);
	return print(&t, e);
}

static int run_roles(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? tables_roles_json : tables_roles_text)(&t);
	return print(&t, e);
}

static void version(FILE *out)
{
	static const char *const name[] = { "SHA-NI", "AVX2", "AVX-512" };
	unsigned f = cpu_features(), i;
	struct sha256_kit kit;

	fprintf(out, "%s\n", TOOL);
	fprintf(out, "compiler: %s\n", __VERSION__);
	fprintf(out, "libraries: %s, jansson %s, xxHash %u\n", OpenSSL_version(OPENSSL_VERSION),
		jansson_version_str(), XXH_versionNumber());
	fprintf(out, "processor:");
	for (i = 0; i < 3; i++)
		if (f & 1u << i)
			fprintf(out, " %s", name[i]);
	fprintf(out, "%s\n", f ? "" : " no fast paths");
	sha256_kit_best(&kit, f);
	fprintf(out, "SHA-256:");
	for (i = 1; i <= SHA256_LANES; i++)
		if (i == 1 || kit.way[i] != kit.way[i - 1])
			fprintf(out, "%s %u+ streams %s", i > 1 ? "," : "", i,
				kit.way[i] ? kit.way[i]->name : "openssl");
	fprintf(out, "\nFP4 to FP8: %s\n", fp4to8_best(f)->name);
}

/* clang-format off */
#define AT(field) offsetof(struct opts, field)
#define JSON_OPT { "json", 0, NULL, CLI_FLAG, 0, 0, AT(json), "print one JSON document" }
#define SOURCE_OPTS \
	{ "assume-experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, AT(assume), "what the experts are where config.json does not say it" }, \
	{ "hf-cache", 0, NULL, CLI_FLAG, 0, 0, AT(hf_cache), "take the links of a Hugging Face hub cache" }, \
	{ "max-header", 0, "BYTES", CLI_SIZE, 2, 1u << 30, AT(max_header), "longest shard header to take (100000000)" }, \
	JSON_OPT
#define PLAN_OPTS \
	{ "out", 'o', "OUT", CLI_TEXT, 0, 0, AT(out), "folder to write to" }, \
	{ "target", 't', "official|hf", CLI_CHOICE, 0, 0, AT(target), "what to make" }, \
	{ "mp", 0, "N", CLI_NUMBER, 1, 65536, AT(mp), "official: number of ranks, so of files (1)" }, \
	{ "experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, AT(experts), "form of the routed experts (as they are)" }, \
	{ "layers", 0, "LIST", CLI_TEXT, 0, 0, AT(layers), "only these: numbers, ranges, embed, head, mtp, mtp.N" }, \
	{ "shard-size", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, AT(shard_size), "hf: fill shards up to this (one per layer)" }, \
	{ "lossy", 0, NULL, CLI_FLAG, 0, 0, AT(lossy), "go on where a cast is not exact; the manifest says so" }, \
	{ "no-sha256", 0, NULL, CLI_FLAG, 0, 0, AT(no_sha256), "digest outputs with XXH3 alone" }, \
	{ "overwrite", 0, NULL, CLI_FLAG, 0, 0, AT(overwrite), "take an OUT that another conversion has filled" }, \
	{ "threads", 'j', "N", CLI_NUMBER, 1, 1024, AT(threads), "threads (all processors)" }, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, AT(max_memory), "never hold more than this (1G)" }

static const struct cli_opt table_opts[] = { JSON_OPT, { 0 } };
static const struct cli_opt inspect_opts[] = { SOURCE_OPTS, { 0 } };
static const struct cli_opt plan_opts[] = { PLAN_OPTS, SOURCE_OPTS,
	{ "tensors", 0, NULL, CLI_FLAG, 0, 0, AT(tensors), "also the fate of every source tensor" },
	{ 0 } };
static const struct cli_opt run_opts[] = { PLAN_OPTS, SOURCE_OPTS,
	{ "source-sha256", 0, "LIST", CLI_TEXT, 0, 0, AT(source_sha256), "published digests: a list, or a folder of Git-LFS pointers" },
	{ "quiet", 'q', NULL, CLI_FLAG, 0, 0, AT(quiet), "no progress, no closing line" },
	{ 0 } };

static const struct cli_cmd cmds[] = {
	{ "inspect", "DIR", "what a checkpoint holds, and everything that is wrong with it",
		"Reads headers, index and config.json, no payload.\n",
		inspect_opts, 1, 1, run_inspect },
	{ "plan", "DIR -o OUT --target T", "what a run would write, need and do; writes nothing",
		"The plan is made from headers alone. Its hash covers all that decides the output.\n"
		"Refuses what run would refuse, but not for lack of disk: it may be meant for another\n"
		"machine, and says NOT ENOUGH (--json: disk.fits).\n",
		plan_opts, 1, 1, run_plan_cmd },
	{ "run", "DIR -o OUT --target T", "convert: write what plan says",
		"Files appear whole, manifest.json last: without it OUT is unfinished. The same call again\n"
		"makes every file that is there once more in memory, compares it with the one on disk,\n"
		"keeps it if they are equal and writes the others. A file that was broken off begins anew.\n"
		"Prints a SHA-256 line for each file of weights, for sha256sum -c.\n",
		run_opts, 1, 1, run_run },
	{ "rules", "", "list the rules that findings and errors name, with exit status", NULL, table_opts, 0, 0, run_rules },
	{ "roles", "", "list the tensors of the model: storage, shape, split", NULL, table_opts, 0, 0, run_roles },
	{ 0 },
};
/* clang-format on */

int main(int argc, char **argv)
{
	static const struct cli_tool tool = { .name = "dsv4-convert",
		.help = "Reshards DeepSeek-V4 checkpoints: streaming, checksummed, bit for bit.",
		.cmds = cmds,
		.opts_size = sizeof(struct opts),
		.defaults = defaults,
		.version = version,
		.exit_text =
			"exit status: 0 done and true; 1 looked and found it false; 2 wrong call, or "
			"could not tell\n" };

	return cli_main(&tool, argc, argv);
}
