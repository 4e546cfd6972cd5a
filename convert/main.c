/* main.c -- dsv4-convert: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/cli/inspect.h"
#include "convert/out/outdir.h"
#include "convert/plan/target.h"
#include "convert/run/job.h"
#include "convert/run/run.h"
#include "convert/cli/show.h"
#include "convert/cli/tables.h"
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "core/version.h"
#include "formats/version_text.h"
#include "formats/error_json.h"
#include "formats/layout/engine.h"
#include "formats/rulebook.h"
#include "quant/recode.h"

#include <string.h>
#include <unistd.h>

#define TOOL "dsv4-convert " DSV4_VERSION

/* What a call asks for. Numbers, names and flags go where they are used; words that name a choice are turned
 * into it by settle(). */
struct opts {
	struct job_opts job;
	const char *out, *experts, *scale_dtype, *assume, *experts_by, *attention;
	uint64_t mp, threads;
	bool json, quiet, no_sha256, hf_cache, tensors, overwrite, no_back;
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

	o->job.max_memory = BUDGET_DEFAULT;
	o->job.ckpt.header_cap = ST_HEADER_CAP;
}

static enum expert_form form_of(const char *s)
{
	return !s ? EXPERT_UNSAID : !strcmp(s, "fp8") ? EXPERT_FP8 : EXPERT_FP4;
}

static enum scale_form scales_of(const char *s)
{
	return !s ? SCALES_UNSAID : !strcmp(s, "f32") ? SCALES_F32 : SCALES_E8M0;
}

/* --- inspect --- */

static int run_inspect(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct folder f;
	struct audit a;
	struct text t = { 0 };
	int rc = -1;

	(void)n;
	if (folder_open(&f, io_posix(), args[0], USE_INSPECT, &o->job.ckpt, e))
		return -1;
	if (audit_make(&a, &f.ckpt, form_of(o->assume), &f.found, e))
		goto out;
	(o->json ? inspect_put_json : inspect_put_text)(&t, &f, &a);
	rc = cli_print(&t, e);
	if (!rc) {
		rc = inspect_verdict(&f.found, e);
		e->told = o->json;
	}
	audit_free(&a);
out:
	folder_close(&f);
	return rc;
}

/* --- plan and run --- */

static int no_out(const struct opts *o, struct err *e)
{
	return o->out ? 0 : err_set(e, ERR_USAGE, "-o says where to write");
}

static bool is_target(const struct opts *o, const char *name)
{
	return o->job.plan.target && !strcmp(o->job.plan.target, name);
}

/* joined: the target may be that of the conversion that is read. */
static int check_opts(const struct opts *o, bool joined, struct err *e)
{
	const struct plan_opts *p = &o->job.plan;
	bool engine = p->target ? engine_find(p->target) != NULL : joined;

	if (!p->target && !joined)
		return err_set(e, ERR_USAGE,
			"--target says what to make: official, hf or an engine (dsv4-convert targets)");
	if (p->target && !target_find(p->target))
		return 0; /* the planner says so, and which there are */
	if (o->mp && !is_target(o, "official"))
		return err_set(e, ERR_USAGE, "--mp belongs to --target official%s",
			engine ? "; engines have --ranks" : "");
	if (p->shard_size && !is_target(o, "hf"))
		return err_set(e, ERR_USAGE, "--shard-size belongs to --target hf%s",
			engine ? "; the other targets have one file for each rank" : "");
	if (!engine &&
		(p->share.ranks || p->share.stages || o->experts_by || o->attention ||
			o->job.placement))
		return err_set(e, ERR_USAGE,
			"--ranks, --pp, --experts-by, --attention and --placement belong to the targets of "
			"engines (dsv4-convert targets); official has --mp, hf --shard-size");
	if (o->job.placement && o->experts_by && !strcmp(o->experts_by, "tp"))
		return err_set(e, ERR_USAGE, "--placement belongs to --experts-by ep");
	return 0;
}

/* Where a job begins: a checkpoint, or a set that is read as one. */
enum from { FROM_CKPT, FROM_CKPT_PLAN, FROM_SET, FROM_SET_BACK, FROM_CKPT_SLICE };

static const enum use from_use[] = { [FROM_CKPT] = USE_RUN,
	[FROM_CKPT_PLAN] = USE_PLAN,
	[FROM_SET] = USE_RESHARD,
	[FROM_SET_BACK] = USE_RESTORE,
	[FROM_CKPT_SLICE] = USE_SLICE };

/* What o asks for, as job_open takes it. */
static struct job_opts settle(const struct opts *o, enum from from)
{
	struct job_opts j = o->job;
	struct share *h = &j.plan.share;

	j.use = from_use[from];
	if (from == FROM_SET_BACK)
		j.plan.target = restore_target.name;
	if (from == FROM_CKPT_SLICE)
		j.plan.target = slice_target.name;
	j.plan.ranks = o->mp ? o->mp : 1;
	j.plan.experts = form_of(o->experts);
	j.plan.scales = scales_of(o->scale_dtype);
	j.plan.back = !o->no_back;
	j.plan.sha256 = !o->no_sha256;
	j.assume = form_of(o->assume);
	j.features = cpu_features();
	j.threads = (unsigned)o->threads;
	if (from == FROM_SET || (j.plan.target && engine_find(j.plan.target))) {
		h->ranks = h->ranks ? h->ranks : 1;
		h->stages = h->stages ? h->stages : 1;
		h->experts_tp = o->experts_by && !strcmp(o->experts_by, "tp");
		h->attention_tp = o->attention && !strcmp(o->attention, "tp");
	}
	return j;
}

static int open_job(struct job *j, const struct opts *o, enum from from, const char *dir,
	struct err *e)
{
	struct job_opts jo;

	if (no_out(o, e) ||
		(from != FROM_SET_BACK && from != FROM_CKPT_SLICE &&
			check_opts(o, from == FROM_SET, e)))
		return -1;
	jo = settle(o, from);
	return job_open(j, io_posix(), dir, &jo, e);
}

static int run_plan_cmd(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct show_plan s = { .limit = o->job.max_memory, .tensors = o->tensors };
	struct text t = { 0 };
	struct job j;
	int rc;

	(void)n;
	if (open_job(&j, o, FROM_CKPT_PLAN, args[0], e))
		return -1;
	rc = run_look(&j.conversion, o->out, o->overwrite, &s.there, e);
	if (!rc) {
		s.c = &j.conversion;
		s.budget = j.b;
		s.room_known = outdir_free(io_posix(), o->out, &s.room);
		(o->json ? show_plan_json : show_plan_text)(&t, &s);
	}
	job_close(&j);
	return rc ? rc : cli_print(&t, e);
}

static void say_begin(const struct job *j, const struct run_opts *ro)
{
	const struct conversion *c = &j->conversion;

	fprintf(stderr, "plan %.12s: %llu file%s", c->hash, (unsigned long long)c->files,
		c->files == 1 ? "" : "s");
	if (c->n > 1)
		fprintf(stderr, " in %zu folders", c->n);
	fprintf(stderr, ", %s to pass through, %u thread%s\n", text_bytes(run_work(c, ro)).s,
		j->b.threads, j->b.threads == 1 ? "" : "s");
}

/* What a run does not verify of a hub's cache. */
static void say_unsaid(const struct job *j)
{
	if (j->unsaid)
		fprintf(stderr,
			"the names of %zu blobs are no SHA-256: the source is not verified (dsv4-verify check "
			"does)\n",
			j->unsaid);
}

static void say_done(const struct run_counts *r, double seconds, const char *out)
{
	fprintf(stderr, "%s: %zu file%s made (%s), %zu kept, in %.1f s", text_quote(out).s, r->made,
		r->made == 1 ? "" : "s", text_bytes(r->written).s, r->kept, seconds);
	if (seconds > 0 && r->written)
		fprintf(stderr, " (%.2f GB/s)", (double)r->written / seconds / 1e9);
	fprintf(stderr, "\n");
	if (r->scales[0] || r->scales[1])
		fprintf(stderr,
			"scale bytes of experts: %s are 0, %s above 247, %s of them above 249 (the target "
			"reads them; not every engine does)\n",
			text_thousands(r->scales[0]).s, text_thousands(r->scales[1]).s,
			text_thousands(r->scales[2]).s);
	if (r->blocks)
		fprintf(stderr, "cast to FP8: %s of %s blocks exact%s\n",
			text_thousands(r->blocks - r->inexact).s, text_thousands(r->blocks).s,
			r->inexact ? ", the others were rounded (--lossy): the sidecars name them"
				   : "");
}

/* Signals end a run in good order; a hang-up too, unless whoever called wants it ignored (nohup). */
static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal }, was;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (!sigaction(SIGHUP, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &act, NULL);
}

static int execute(const struct job *j, const struct opts *o, struct err *e)
{
	const struct conversion *c = &j->conversion;
	struct run_opts ro = { .out = o->out,
		.overwrite = o->overwrite,
		.tool = TOOL,
		.budget = j->b,
		.features = cpu_features(),
		.expected = j->has_expected ? &j->expected : NULL,
		.stop = &stop };
	struct run_result r;
	struct text t = { 0 };
	double began = progress_now();
	int rc;

	catch_signals();
	if (!o->quiet)
		say_begin(j, &ro);
	say_unsaid(j);
	ro.progress = progress_start(o->quiet ? NULL : stderr, "converting", run_work(c, &ro));
	rc = run_conversion(c, &ro, &r, e);
	progress_stop(ro.progress);
	if (!rc) {
		(o->json ? show_run_json : show_run_text)(&t, c, &r);
		rc = cli_print(&t, e);
		if (!o->quiet)
			say_done(&r.sum, progress_now() - began, o->out);
	}
	run_result_free(&r);
	return rc;
}

static int run_from(const struct opts *o, enum from from, const char *dir, struct err *e)
{
	struct job j;
	int rc;

	if (open_job(&j, o, from, dir, e))
		return -1;
	rc = execute(&j, o, e);
	job_close(&j);
	return rc;
}

static int run_run(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_from(opts, FROM_CKPT, args[0], e);
}

static int run_restore(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_from(opts, FROM_SET_BACK, args[0], e);
}

static int run_slice(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_from(opts, FROM_CKPT_SLICE, args[0], e);
}

static int run_reshard(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_from(opts, FROM_SET, args[0], e);
}

/* --- tables for people --- */

static int run_kinds(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? kind_put_json : kind_put_text)(&t);
	return cli_print(&t, e);
}

static int run_rules(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? rule_put_json : rule_put_text)(&t);
	return cli_print(&t, e);
}

static int run_roles(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? tables_roles_json : tables_roles_text)(&t);
	return cli_print(&t, e);
}

static int run_targets(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? tables_targets_json : tables_targets_text)(&t);
	return cli_print(&t, e);
}

static int run_layouts(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? tables_layouts_json : tables_layouts_text)(&t);
	return cli_print(&t, e);
}

static void version(struct text *out, bool json)
{
	const struct version_way ways[] = {
		{ "FP4 to FP8", recode_find(CODEC_MXFP4, CODEC_FP8)->way(cpu_features()) },
		{ NULL, NULL }
	};

	version_put(out, "dsv4-convert", ways, json);
}

/* clang-format off */
#define AT(field) offsetof(struct opts, field)
#define JSON_OPT { "json", 0, NULL, CLI_FLAG, 0, 0, AT(json), "print one JSON document" }
#define HEADER_OPT { "max-header", 0, "BYTES", CLI_SIZE, 2, 1u << 30, AT(job.ckpt.header_cap), "longest shard header to take (100000000)" }
#define OUT_OPT { "out", 'o', "OUT", CLI_TEXT, 0, 0, AT(out), "folder to write to" }
#define RUN_OPTS \
	{ "no-sha256", 0, NULL, CLI_FLAG, 0, 0, AT(no_sha256), "digest outputs with XXH3 alone" }, \
	{ "overwrite", 0, NULL, CLI_FLAG, 0, 0, AT(overwrite), "take an OUT that another conversion has filled with files of the same names" }, \
	{ "threads", 'j', "N", CLI_THREADS, 0, 1024, AT(threads), "threads (0: as many as processors that it may use, the default)" }, \
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, AT(job.max_memory), "never hold more than this (1G)" }
#define SOURCE_OPTS \
	{ "assume-experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, AT(assume), "what the experts are where config.json does not say it" }, \
	{ "hf-cache", 0, NULL, CLI_FLAG, 0, 0, AT(hf_cache), "does nothing: links of a hub cache are always taken" }, \
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, AT(job.ckpt.follow_links), "follow links that lead to files elsewhere" }, \
	HEADER_OPT, \
	JSON_OPT
#define PLAN_OPTS \
	OUT_OPT, \
	{ "target", 't', "T", CLI_TEXT, 0, 0, AT(job.plan.target), "official, hf, or an engine (dsv4-convert targets)" }, \
	{ "mp", 0, "N", CLI_NUMBER, 1, 65536, AT(mp), "official: number of ranks, so of files (1)" }, \
	{ "experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, AT(experts), "form of the routed experts (as they are)" }, \
	{ "layers", 0, "LIST", CLI_TEXT, 0, 0, AT(job.plan.layers), "only these: numbers, ranges, embed, head, mtp, mtp.N" }, \
	{ "shard-size", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, AT(job.plan.shard_size), "hf: fill shards up to this (one per layer)" }, \
	{ "ranks", 0, "N", CLI_NUMBER, 1, 65536, AT(job.plan.share.ranks), "engines: number of ranks, so of folders (1)" }, \
	{ "scale-dtype", 0, "f32|e8m0", CLI_CHOICE, 0, 0, AT(scale_dtype), "hf: type of the scales of FP8 weights (f32 with --experts fp8, which engines read; e8m0 is the official form)" }, \
	{ "experts-by", 0, "ep|tp", CLI_CHOICE, 0, 0, AT(experts_by), "engines: experts whole to a rank, or all of them cut (ep)" }, \
	{ "attention", 0, "tp|replicate", CLI_CHOICE, 0, 0, AT(attention), "engines: all but experts cut as official does, or whole (replicate)" }, \
	{ "pp", 0, "P", CLI_NUMBER, 1, 65536, AT(job.plan.share.stages), "engines: stages, runs of layers (1)" }, \
	{ "placement", 0, "FILE", CLI_TEXT, 0, 0, AT(job.placement), "engines: JSON, block to rank to ids of experts" }, \
	{ "experimental", 0, NULL, CLI_FLAG, 0, 0, AT(job.plan.experimental), "engines: also those that were only read about" }, \
	{ "no-restore", 0, NULL, CLI_FLAG, 0, 0, AT(no_back), "hf: leave out what restore needs (source/, *.dropped)" }, \
	{ "lossy", 0, NULL, CLI_FLAG, 0, 0, AT(job.plan.lossy), "go on where a cast is not exact; the manifest says so" }, \
	RUN_OPTS

static const struct cli_opt table_opts[] = { JSON_OPT, { 0 } };
static const struct cli_opt inspect_opts[] = { SOURCE_OPTS, { 0 } };
static const struct cli_opt plan_opts[] = { PLAN_OPTS, SOURCE_OPTS,
	{ "tensors", 0, NULL, CLI_FLAG, 0, 0, AT(tensors), "also the fate of every source tensor" },
	{ 0 } };
#define QUIET_OPT { "quiet", 'q', NULL, CLI_FLAG, 0, 0, AT(quiet), "no progress, no closing line" }
static const struct cli_opt run_opts[] = { PLAN_OPTS, SOURCE_OPTS,
	{ "source-sha256", 0, "LIST", CLI_TEXT, 0, 0, AT(job.source_sha256), "published digests: a list, or a folder of Git-LFS pointers" },
	QUIET_OPT, { 0 } };
static const struct cli_opt reshard_opts[] = { PLAN_OPTS, HEADER_OPT, JSON_OPT, QUIET_OPT, { 0 } };
static const struct cli_opt slice_opts[] = { OUT_OPT,
	{ "layers", 0, "LIST", CLI_TEXT, 0, 0, AT(job.plan.layers), "numbers, ranges, mtp (all); embedding and head always stay" },
	{ "experts", 0, "N", CLI_NUMBER, 1, 1u << 20, AT(job.plan.keep), "keep experts 0 .. N-1 (all)" },
	RUN_OPTS, SOURCE_OPTS, QUIET_OPT, { 0 } };
static const struct cli_opt restore_opts[] = { OUT_OPT, RUN_OPTS, HEADER_OPT, JSON_OPT,
	{ "shard", 0, "NAME", CLI_TEXT, 0, 0, AT(job.plan.shard), "only this shard of the source" },
	QUIET_OPT, { 0 } };

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
	{ "restore", "OUT -o BACK", "the way back: the shards that a set was made of, byte for byte",
		"OUT is a conversion for an engine. Every tensor is held to the digest of when it was\n"
		"converted. Folders may be missing as long as nothing that is asked for was in them.\n",
		restore_opts, 1, 1, run_restore },
	{ "reshard", "OUT -o OUT2", "make another form of a set: other ranks, another engine, official, hf",
		"What run would make of the source, without it. --target is that of OUT unless said.\n",
		reshard_opts, 1, 1, run_reshard },
	{ "slice", "DIR -o MINI", "a small checkpoint with the same weights: some layers, some experts",
		"Layers are numbered anew; router, token table and config.json are cut to fit. MTP stays\n"
		"if mtp is in the list.\n",
		slice_opts, 1, 1, run_slice },
	{ "targets", "", "list what can be made, and what it is made of", NULL, table_opts, 0, 0, run_targets },
	{ "layouts", "", "list the layouts of matrices, and who reads them", NULL, table_opts, 0, 0, run_layouts },
	{ "kinds", "", "list what a folder can be, how it is recognised, and which verbs take it", NULL, table_opts, 0, 0, run_kinds },
	{ "rules", "", "list the rules that findings and errors name, with exit status", NULL, table_opts, 0, 0, run_rules },
	{ "roles", "", "list the tensors of the model: storage, shape, split", NULL, table_opts, 0, 0, run_roles },
	{ 0 },
};
/* clang-format on */

static const char examples[] =
	"What a download holds, and whether it is whole:\n\n  dsv4-convert inspect DeepSeek-V4-Flash\n\n"
	"The official form for 4 ranks, with digests for sha256sum -c on stdout:\n\n"
	"  dsv4-convert run DeepSeek-V4-Flash -o mp4 --target official --mp 4 >mp4.sha256\n\n"
	"An engine's layout for 8 ranks, and the download back:\n\n"
	"  dsv4-convert run DeepSeek-V4-Flash -o set --target marlin-mxfp4 --ranks 8\n"
	"  dsv4-convert restore set -o back\n";
static const char files[] =
	"OUT/manifest.json says what OUT is; it is written last, and without it OUT is unfinished. Beside each file of "
	"weights NAME.manifest.json describes its tensors. Files that begin with a dot are not finished.\n";
static const char see_also[] = "dsv4-verify(1), sha256sum(1)\n";

/* Words for completion. */
static const char *word(const char *option, unsigned i)
{
	static const char *const plain[] = { "official", "hf" };

	if (strcmp(option, "target") != 0)
		return NULL;
	return i < 2 ? plain[i] : i - 2 < n_engines ? engines[i - 2].name : NULL;
}

/* With --json every call prints one document, also one that failed. */
static void failed(const struct cli_failure *f)
{
	struct text t = { 0 };
	struct err ignored = { 0 };

	if (!cli_word(f->argc, f->argv, "json", true))
		return;
	error_json_put(&t, "dsv4-convert", f->verb, f->e);
	(void)cli_print(&t, &ignored); /* there is an error to report already */
}

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
			"could not tell\n",
		.examples = examples,
		.files = files,
		.see_also = see_also,
		.word = word,
		.failed = failed };

	return cli_main(&tool, argc, argv);
}
