/* main.c -- dsv4-convert: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/cli/call.h"
#include "convert/cli/delta_call.h"
#include "convert/cli/follow_call.h"
#include "convert/cli/inspect.h"
#include "convert/cli/inspect_gguf.h"
#include "convert/cli/options.h"
#include "convert/cli/pack_call.h"
#include "convert/cli/task_call.h"
#include "convert/plan/target.h"
#include "convert/cli/tables.h"
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/version.h"
#include "formats/archive/archive_io.h"
#include "formats/layout/engine.h"
#include "formats/model/sglang_name.h"
#include "formats/rulebook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Archives are read in place, as the folders that they restore. */
static struct archive_io archived;

static void defaults(void *p)
{
	call_defaults(p);
	((struct call *)p)->io =
		archived.s ? &archived.pass.io : archive_io_open(&archived, io_posix());
}

static volatile sig_atomic_t stop;

static void on_signal(int n)
{
	(void)n;
	stop = 1;
}

/* --- inspect --- */

static int run_inspect(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct folder f;
	struct audit a;
	struct text t = { 0 };
	int rc = -1;

	(void)n;
	if (folder_open(&f, o->io, args[0], USE_INSPECT, &o->job.ckpt, e))
		return -1;
	memset(&a, 0, sizeof a);
	if (f.has_ckpt ? audit_make(&a, &f.ckpt, call_form(o->assume), &f.found, e)
		       : inspect_gguf(&t, &f, o->json, e))
		goto out;
	if (f.has_ckpt)
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

static bool is_target(const struct call *o, const char *name)
{
	return o->job.plan.target && !strcmp(o->job.plan.target, name);
}

/* Options that say which rank gets what. Without --target it is a set that is read, whose target is an engine or
 * vLLM's. */
static int check_share(const struct call *o, bool joined, struct err *e)
{
	const struct plan_opts *p = &o->job.plan;
	bool vllm = is_target(o, VLLM_TARGET), sglang = is_target(o, SGLANG_TARGET),
	     engine = p->target ? engine_find(p->target) != NULL : joined;

	if (sglang && (p->share.ranks || o->experts_by))
		return err_set(e, ERR_USAGE,
			"--ranks, --experts-by: the file of --shard-config says it");
	if (o->job.shard_config && !sglang)
		return err_set(e, ERR_USAGE, "--shard-config belongs to --target " SGLANG_TARGET);
	if (!engine && !vllm &&
		(p->share.ranks || p->share.stages || o->experts_by || o->attention ||
			o->job.placement))
		return err_set(e, ERR_USAGE,
			"--ranks, --pp, --experts-by, --attention and --placement belong to the targets of "
			"engines (dsv4-convert targets); official has --mp, hf --shard-size");
	if (vllm && o->attention && strcmp(o->attention, "tp") != 0)
		return err_set(e, ERR_USAGE,
			"--attention replicate: vLLM's ranks share attention (tp)");
	if (o->job.placement && o->experts_by && !strcmp(o->experts_by, "tp"))
		return err_set(e, ERR_USAGE, "--placement belongs to --experts-by ep");
	return 0;
}

/* joined: the target may be that of the conversion that is read. */
static int check_opts(const struct call *o, bool joined, struct err *e)
{
	const struct plan_opts *p = &o->job.plan;
	bool engine = p->target ? engine_find(p->target) != NULL : joined;

	if (!p->target && !joined)
		return err_set(e, ERR_USAGE,
			"--target says what to make: official, hf, vllm-sharded, sglang-presharded or an engine (dsv4-convert targets)");
	if (p->target && recipe_find(p->target))
		return err_set(e, ERR_USAGE,
			"%s is made by dsv4-quant: dsv4-quant run DIR -o OUT --to %s", p->target,
			p->target);
	if (p->target && !target_find(p->target))
		return 0; /* the planner says so, and which there are */
	if (o->mp && !is_target(o, "official"))
		return err_set(e, ERR_USAGE, "--mp belongs to --target official%s",
			engine ? "; engines have --ranks" : "");
	if (o->engram && !is_target(o, "hf"))
		return err_set(e, ERR_USAGE, "--engram belongs to --target hf");
	if (o->engram_from && (!o->engram || strcmp(o->engram, "separate") != 0))
		return err_set(e, ERR_USAGE, "--engram-from belongs to --engram separate");
	if (o->engram_from && o->base)
		return err_set(e, ERR_USAGE,
			"--engram-from and --base: --base takes tables too; give one of them");
	if (o->engram_layout && (!o->engram || strcmp(o->engram, "separate") != 0))
		return err_set(e, ERR_USAGE, "--engram-layout belongs to --engram separate");
	if (p->engram_ranks && (!o->engram_layout || !rowrec_find(o->engram_layout)))
		return err_set(e, ERR_USAGE,
			"--engram-ranks belongs to --engram-layout record and record512");
	if (p->file_size && !engine)
		return err_set(e, ERR_USAGE,
			"--file-size belongs to the targets of engines (dsv4-convert targets); hf, " VLLM_TARGET
			" and " SGLANG_TARGET " have --shard-size");
	if (p->shard_size && !is_target(o, "hf") && !rank_target(p->target ? p->target : ""))
		return err_set(e, ERR_USAGE,
			"--shard-size belongs to --target hf, " VLLM_TARGET " and " SGLANG_TARGET
			"%s",
			engine ? "; engines have one file for each block, or --file-size" : "");
	return check_share(o, joined, e);
}

/* Where a job begins: a checkpoint, or a set that is read as one. */
enum from { FROM_CKPT, FROM_CKPT_PLAN, FROM_CKPT_DELTA, FROM_SET, FROM_SET_BACK, FROM_CKPT_SLICE };

static const enum use from_use[] = { [FROM_CKPT] = USE_RUN,
	[FROM_CKPT_PLAN] = USE_PLAN,
	[FROM_CKPT_DELTA] = USE_DELTA,
	[FROM_SET] = USE_RESHARD,
	[FROM_SET_BACK] = USE_RESTORE,
	[FROM_CKPT_SLICE] = USE_SLICE };

/* What o asks for, as job_open takes it. */
static struct job_opts settle(const struct call *o, enum from from)
{
	struct job_opts j = call_settle(o, from_use[from]);
	struct share *h = &j.plan.share;

	if (from == FROM_SET_BACK)
		j.plan.target = restore_target.name;
	if (from == FROM_CKPT_DELTA && !j.plan.target)
		j.plan.target =
			"hf"; /* any checkpoint can be planned so; its files are not compared then */
	if (from == FROM_CKPT_SLICE)
		j.plan.target = slice_target.name;
	j.plan.ranks = o->mp ? o->mp : 1;
	if (from == FROM_SET ||
		(j.plan.target && (engine_find(j.plan.target) || rank_target(j.plan.target)))) {
		h->ranks = h->ranks ? h->ranks : 1;
		h->stages = h->stages ? h->stages : 1;
		h->experts_tp = o->experts_by && !strcmp(o->experts_by, "tp");
		h->attention_tp = o->attention && !strcmp(o->attention, "tp");
	}
	return j;
}

static int check_call(const struct call *o, enum from from, struct err *e)
{
	if (call_has_out(o, e))
		return -1;
	return from == FROM_SET_BACK || from == FROM_CKPT_SLICE
		? 0
		: check_opts(o, from == FROM_SET, e);
}

static int settle_run(const struct call *o, struct job_opts *jo, struct err *e)
{
	*jo = settle(o, FROM_CKPT);
	return check_call(o, FROM_CKPT, e);
}

static const char *environment(const char *name)
{
	return getenv(name);
}

static const struct cli_tool cli;
static const struct call_tool made = { .made_by = "dsv4-convert " DSV4_VERSION, .stop = &stop };
static const struct task_tool tasks = { &cli, &made, settle_run, environment };

static int run_plan(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct job_opts jo = settle(o, FROM_CKPT_PLAN);

	(void)n;
	if (o->job_dir)
		return task_call_plan(o, args[0], &tasks, e);
	return check_call(o, FROM_CKPT_PLAN, e) ? -1 : call_plan(o, &jo, args[0], e);
}

static int run_from(const struct call *o, enum from from, const char *dir, struct err *e)
{
	struct call_tool tool = made;
	struct job_opts jo = settle(o, from);

	if (check_call(o, from, e) || follow_call_check(o, e))
		return -1;
	cli_signals(on_signal);
	tool.watch = stderr;
	return (o->follow ? follow_call_run : call_run)(o, &jo, dir, &tool, e);
}

static int run_run(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	if (task_call_is(opts, args[0])) {
		cli_signals(on_signal);
		return task_call_run(opts, args[0], &tasks, e);
	}
	return run_from(opts, FROM_CKPT, args[0], e);
}

/* Without --target no option that says what to make means anything. */
static int check_delta(const struct call *o, struct err *e)
{
	static const struct plan_opts none;

	if (o->job.plan.target)
		return check_opts(o, false, e);
	if (memcmp(&o->job.plan, &none, sizeof none) != 0 || o->mp || o->experts || o->engram ||
		o->engram_layout || o->scale_dtype || o->experts_by || o->attention ||
		o->job.placement || o->job.shard_config || o->no_back)
		return err_set(e, ERR_USAGE,
			"options of plan say what to make: they belong to --target (dsv4-convert targets)");
	return 0;
}

static int run_delta(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct job_opts jo = settle(o, FROM_CKPT_DELTA);
	struct call_tool tool = made;

	(void)n;
	if (check_delta(o, e))
		return -1;
	cli_signals(on_signal);
	tool.watch = stderr;
	return delta_call(o, &jo, args[0], args[1], &tool, e);
}

static int run_finalize(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	cli_signals(on_signal);
	return task_call_finalize(opts, args[0], &tasks, e);
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

/* --- archives --- */

static int run_archive(const struct call *o, const char *dir,
	int (*call)(const struct call *o, const char *dir, const struct call_tool *tool,
		struct err *e),
	struct err *e)
{
	struct call_tool tool = made;

	cli_signals(on_signal);
	tool.watch = stderr;
	return call(o, dir, &tool, e);
}

static int run_pack(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_archive(opts, args[0], pack_call, e);
}

static int run_unpack(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_archive(opts, args[0], pack_call_back, e);
}

/* --- tables for people --- */

static int run_kinds(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, kind_put_text, kind_put_json, e);
}

static int run_rules(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, rule_put_text, rule_put_json, e);
}

static int run_roles(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, tables_roles_text, tables_roles_json, e);
}

static int run_targets(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, tables_targets_text, tables_targets_json, e);
}

static int run_layouts(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, tables_layouts_text, tables_layouts_json, e);
}

static void version(struct text *out, bool json)
{
	call_version("dsv4-convert", out, json);
}

/* clang-format off */
#define FORM_OPTS \
	{ "target", 't', "T", CLI_TEXT, 0, 0, CALL_AT(job.plan.target), "official, hf, vllm-sharded, sglang-presharded, or an engine (dsv4-convert targets)" }, \
	{ "mp", 0, "N", CLI_NUMBER, 1, 65536, CALL_AT(mp), "official: number of ranks, so of files (1)" }, \
	{ "experts", 0, "fp4|fp8", CLI_CHOICE, 0, 0, CALL_AT(experts), "form of the routed experts (as they are)" }, \
	CALL_LAYERS, \
	{ "engram", 0, "keep|drop|separate", CLI_CHOICE, 0, 0, CALL_AT(engram), "hf: Engram of V4.1: as it is (keep), left out (drop: another model), or tables in files engram-LAYER.safetensors (separate)" }, \
	{ "engram-layout", 0, "plain|record|record512", CLI_CHOICE, 0, 0, CALL_AT(engram_layout), "with --engram separate: the tables as they are (plain), or codes and scales of a row together (docs/layouts.md), for a loader of its own" }, \
	{ "engram-ranks", 0, "N", CLI_NUMBER, 1, 65536, CALL_AT(job.plan.engram_ranks), "with --engram-layout record or record512: ranks that share each table, a file for each (1)" }, \
	{ "shard-size", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.plan.shard_size), "hf: fill shards up to this (one per layer); vllm-sharded, sglang-presharded: parts of a rank (8 GiB)" }, \
	{ "file-size", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.plan.file_size), "engines: put layers together in files of up to this, in loading order (one file for each layer)" }, \
	{ "ranks", 0, "N", CLI_NUMBER, 1, 65536, CALL_AT(job.plan.share.ranks), "engines: number of ranks, so of folders (1); vllm-sharded: --tensor-parallel-size" }, \
	{ "scale-dtype", 0, "f32|e8m0", CLI_CHOICE, 0, 0, CALL_AT(scale_dtype), "hf: type of the scales of FP8 weights (f32 with --experts fp8, which engines read; e8m0 is the official form)" }, \
	{ "experts-by", 0, "ep|tp", CLI_CHOICE, 0, 0, CALL_AT(experts_by), "engines, vllm-sharded: experts whole to a rank (vLLM: --enable-expert-parallel), or all of them cut (ep)" }, \
	{ "attention", 0, "tp|replicate", CLI_CHOICE, 0, 0, CALL_AT(attention), "engines: all but experts cut as official does, or whole (replicate)" }, \
	{ "pp", 0, "P", CLI_NUMBER, 1, 65536, CALL_AT(job.plan.share.stages), "engines: stages, runs of layers (1)" }, \
	{ "placement", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.placement), "engines: JSON, block to rank to ids of experts" }, \
	{ "shard-config", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.shard_config), "sglang-presharded: what the launch says, as loaders/sglang_probe.py writes it" }, \
	{ "experimental", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.plan.experimental), "engines: also those that were only read about" }, \
	{ "no-restore", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(no_back), "hf, vllm-sharded, sglang-presharded: leave out what restore needs (source/, *.dropped)" }, \
	CALL_LOSSY
#define PLAN_OPTS CALL_OUT, FORM_OPTS, CALL_RUN

static const struct cli_opt table_opts[] = { CALL_JSON, { 0 } };
static const struct cli_opt inspect_opts[] = { CALL_SOURCE, { 0 } };
static const struct cli_opt plan_opts[] = { PLAN_OPTS, CALL_SOURCE,
	CALL_TENSORS, CALL_SHA256, CALL_QUIET, CALL_JOB,
	{ 0 } };
static const struct cli_opt final_opts[] = { CALL_FULL, CALL_MACHINE, CALL_JSON, CALL_QUIET, { 0 } };
static const struct cli_opt run_opts[] = { PLAN_OPTS, CALL_SOURCE,
	CALL_SHA256,
	{ "base", 0, "OUT_OLD", CLI_TEXT, 0, 0, CALL_AT(base), "an earlier conversion with the same options: files that would be the same are linked, not written" },
	{ "engram-from", 0, "OUT_OTHER", CLI_TEXT, 0, 0, CALL_AT(engram_from), "with --engram separate: another conversion, whatever its other options: tables that would be the same are linked, not written" },
	{ "reclaim", 0, "PLAN", CLI_TEXT, 0, 0, CALL_AT(reclaim), "free each shard of DIR when all that is made of it lies in OUT and was read again; PLAN is the hash that plan prints, at least 12 digits" },
	CALL_TASK, CALL_FOLLOW,
	CALL_QUIET, { 0 } };
static const struct cli_opt delta_opts[] = { FORM_OPTS, CALL_THREADS, CALL_SOURCE,
	{ "tensors", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(tensors), "name every tensor that is not the same, and output files that are, too" },
	CALL_QUIET, { 0 } };
static const struct cli_opt reshard_opts[] = { PLAN_OPTS, CALL_HEADER, CALL_JSON, CALL_QUIET, { 0 } };
static const struct cli_opt slice_opts[] = { CALL_OUT,
	{ "layers", 0, "LIST", CLI_TEXT, 0, 0, CALL_AT(job.plan.layers), "numbers, ranges, mtp (all); embedding and head always stay" },
	{ "experts", 0, "N", CLI_NUMBER, 1, 1u << 20, CALL_AT(job.plan.keep), "keep experts 0 .. N-1 (all)" },
	{ "engram", 0, "keep|drop", CLI_CHOICE, 0, 0, CALL_AT(engram), "of V4.1: leave Engram out of the slice (keep)" },
	{ "engram-vocab", 0, "N", CLI_NUMBER, 2, 1u << 26, CALL_AT(job.plan.engram_vocab), "of V4.1: cut Engram tables to the primes from N on: of each column the first rows (whole)" },
	CALL_RUN, CALL_SOURCE, CALL_QUIET, { 0 } };
static const struct cli_opt restore_opts[] = { CALL_OUT, CALL_RUN, CALL_HEADER, CALL_JSON,
	CALL_SHARD,
	CALL_QUIET, { 0 } };

static const struct cli_opt pack_opts[] = { CALL_OUT,
	{ "oci", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(oci), "an OCI image layout instead, each file a layer as it is, for skopeo and registries" },
	{ "filter", 0, "NAME", CLI_TEXT, 0, 0, CALL_AT(filter), "e8m0: scales become smaller, and zstd -d does not restore the files that have some; none (none)" },
	CALL_THREADS, CALL_JSON, CALL_QUIET, { 0 } };
static const struct cli_opt unpack_opts[] = { CALL_OUT, CALL_THREADS, CALL_JSON, CALL_QUIET, { 0 } };

static const struct cli_cmd cmds[] = {
	{ "inspect", "DIR", "what a checkpoint holds, and everything that is wrong with it",
		"Reads headers, index and config.json, no payload. DIR may be a GGUF file, or a folder with such.\n",
		inspect_opts, 1, 1, run_inspect },
	{ "plan", "DIR -o OUT --target T", "what a run would write, need and do; writes nothing",
		"The plan is made from headers alone. Its hash covers all that decides the output.\n"
		"Refuses what run would refuse, but not for lack of disk: it may be meant for another\n"
		"machine, and says NOT ENOUGH (--json: disk.fits).\n",
		plan_opts, 1, 1, run_plan },
	{ "run", "DIR -o OUT --target T", "convert: write what plan says",
		"Files appear whole, manifest.json last: without it OUT is unfinished. The same call again\n"
		"makes every file that is there once more in memory, compares it with the one on disk,\n"
		"keeps it if they are equal and writes the others. What Ctrl-C or SIGTERM\n"
		"stops goes on in unfinished files too; what is killed begins them anew.\n"
		"Prints a SHA-256 line for each file of weights, for sha256sum -c.\n"
		"For DIR there can stand the folder of plan --job: then one task of it is done, and\n"
		"the only options are --task, --steal, --launcher, --threads, --max-memory, --json, -q.\n",
		run_opts, 1, 1, run_run },
	CALL_JOB_VERBS,
	{ "delta", "OLD NEW", "which tensors differ between two releases, and which files of a conversion",
		"Reads both and digests their tensors; what lies in blobs of one SHA-256 name in a hub's cache\n"
		"is the same without reading (\"not read: same blob\"). With --target and the other options of\n"
		"plan: which files run NEW --base OUT_OLD has to write. Exits with 0 whether they differ or not;\n"
		"a release that is not sound is refused as run refuses it.\n",
		delta_opts, 2, 2, run_delta },
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
	{ "pack", "DIR -o DIR2", "an archive of a folder: each file as NAME.zst, which zstd -d restores",
		"Each tensor has frames of its own, each file a seek table, and dsv4-archive.json, written last,\n"
		"the digests of all. What does not shrink is stored. Prints what each role became.\n"
		"With --filter e8m0 files with scales are NAME.zst-e8m0, which only unpack restores.\n"
		"The same call again holds what is there to the source and goes on.\n",
		pack_opts, 1, 1, run_pack },
	{ "unpack", "DIR2 -o DIR", "the files of an archive, byte for byte",
		"Every frame is held to its sum, every file to its SHA-256 before it gets its name. Damage is\n"
		"named by file, frame and tensor.\n",
		unpack_opts, 1, 1, run_unpack },
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
	unsigned n;

	if (strcmp(option, "target") != 0)
		return NULL;
	for (n = 0; targets[n].name; n++)
		if (i == n)
			return targets[n].name;
	return i - n < n_engines ? engines[i - n].name : NULL;
}

static const struct cli_tool cli = { .name = "dsv4-convert",
	.help = "Reshards DeepSeek-V4 checkpoints: streaming, checksummed, bit for bit.",
	CALL_TOOL };

int main(int argc, char **argv)
{
	int rc;

	mem_give_back();
	rc = cli_main(&cli, argc, argv);
	archive_io_close(&archived);
	return rc;
}
