/* main.c -- dsv4-quant: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/cli/options.h"
#include "convert/cli/task_call.h"
#include "convert/plan/target.h"
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/near.h"
#include "core/version.h"
#include "formats/model/recipes.h"
#include "quant/cli/collect.h"
#include "quant/cli/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stop;

static void on_signal(int n)
{
	(void)n;
	stop = 1;
}

/* Says which names there are, and which was probably meant. Returns -1. */
static int no_name(const char *name, struct err *e)
{
	struct near near = { .typed = name };
	struct text all = { 0 };
	const struct recipe *r;

	for (r = recipes; r->name; r++) {
		near_try(&near, r->name);
		text_fmt(&all, " %s", r->name);
	}
	err_set(e, ERR_USAGE, "no format %s.%s%s%s There are:%s", text_quote(name).s,
		near.word ? " Did you mean " : "", near.word ? near.word : "", near.word ? "?" : "",
		all.failed ? "" : all.s);
	text_free(&all);
	return -1;
}

/* The name that --to and --stack say together; NULL: none. */
static const char *named(const struct call *o)
{
	const char *to = o->job.plan.target;

	return to && o->stack && !strcmp(to, "mlx") ? "mlx-stack" : to;
}

static int check(const struct call *o, struct err *e)
{
	const char *to = named(o);
	const struct recipe *r = to ? recipe_find(to) : NULL;

	if (call_has_out(o, e))
		return -1;
	if (!to)
		return err_set(e, ERR_USAGE, "--to says what to make (dsv4-quant formats)");
	if (!r)
		return no_name(to, e);
	if (o->stack && !r->stacked)
		return err_set(e, ERR_USAGE, "--stack belongs to mlx");
	if (o->scale_dtype && r->e8m0.experts == CODEC_NONE)
		return err_set(e, ERR_USAGE, "--scale-dtype: the scales of %s have one type", to);
	if (o->signed_zero && !codecs[r->forms.experts].second.name)
		return err_set(e, ERR_USAGE, "--signed-zero belongs to NVFP4: %s keeps minus zeros",
			to);
	if (o->input_scale && !r->input)
		return err_set(e, ERR_USAGE, "--input-scale: %s has no scales of activations", to);
	if (o->drafts && !strcmp(o->drafts, "drop") && o->job.plan.layers &&
		strstr(o->job.plan.layers, "mtp"))
		return err_set(e, ERR_USAGE,
			"--layers names drafts, and --drafts drop leaves them out");
	if (o->dense && (r->container != CONTAINER_GGUF || r->mix))
		return err_set(e, ERR_USAGE, "--dense belongs to gguf");
	if (o->dense && o->job.recipe)
		return err_set(e, ERR_USAGE,
			"--dense: the recipe says the types, and what it does not name stays exact");
	if (o->job.imatrix && !r->mix && !o->job.recipe)
		return err_set(e, ERR_USAGE,
			"--imatrix is for mixes: %s rounds nothing by a search", to);
	if (o->job.recipe && r->container != CONTAINER_GGUF)
		return err_set(e, ERR_USAGE, "--recipe is of a GGUF, and %s is none", to);
	return 0;
}

static struct job_opts settle(const struct call *o, enum use use)
{
	struct job_opts jo = call_settle(o, use);

	jo.plan.drop_signs = o->signed_zero && !strcmp(o->signed_zero, "drop");
	jo.input_scale = o->input_scale;
	if (o->drafts)
		(void)drafts_find(&jo.plan.drafts, o->drafts); /* the option takes no other word */
	for (jo.plan.dense = 0; o->dense && strcmp(gguf_dense_names[jo.plan.dense], o->dense) != 0;
		jo.plan.dense++)
		;
	jo.plan.target = named(o);
	jo.of_source = use != USE_RESTORE;
	if (use == USE_RESTORE)
		jo.plan.target = restore_target.name;
	return jo;
}

static const struct call_tool made = { .made_by = "dsv4-quant " DSV4_VERSION, .stop = &stop };

static int run_from(const struct call *o, enum use use, const char *dir, struct err *e)
{
	struct call_tool tool = made;
	struct job_opts jo = settle(o, use);

	if (use == USE_RESTORE ? call_has_out(o, e) : check(o, e))
		return -1;
	cli_signals(on_signal);
	tool.watch = stderr;
	return call_run(o, &jo, dir, &tool, e);
}

static int settle_run(const struct call *o, struct job_opts *jo, struct err *e)
{
	*jo = settle(o, USE_RUN);
	return check(o, e);
}

static const char *environment(const char *name)
{
	return getenv(name);
}

static const struct cli_tool cli;
static const struct task_tool tasks = { &cli, &made, settle_run, environment };

static int run_finalize(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	cli_signals(on_signal);
	return task_call_finalize(opts, args[0], &tasks, e);
}

static int run_plan(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct job_opts jo = settle(o, USE_PLAN);

	(void)n;
	if (o->job_dir)
		return task_call_plan(o, args[0], &tasks, e);
	return check(o, e) ? -1 : call_plan(o, &jo, args[0], e);
}

static int run_run(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	if (task_call_is(opts, args[0])) {
		cli_signals(on_signal);
		return task_call_run(opts, args[0], &tasks, e);
	}
	return run_from(opts, USE_RUN, args[0], e);
}

static int run_restore(void *opts, int n, char **args, struct err *e)
{
	(void)n;
	return run_from(opts, USE_RESTORE, args[0], e);
}

/* With -o collects; of a file says what it has. */
static int run_imatrix(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct collect_opts c = { .io = io_posix(),
		.tokens = o->tokens,
		.out = o->out,
		.features = cpu_features(),
		.threads = (unsigned)o->threads,
		.max_memory = o->job.max_memory,
		.follow_links = o->job.ckpt.follow_links };
	struct text out = { 0 }, note = { 0 };
	uint32_t kept = 0;

	(void)n;
	if (!c.tokens != !c.out)
		return err_set(e, ERR_USAGE, "%s is missing", c.tokens ? "-o" : "--tokens");
	if (c.tokens && collect_run(args[0], &c, &kept, e))
		return -1;
	if (kept && !o->quiet) {
		text_fmt(&note, "dsv4-quant imatrix: %u layers were done before\n", kept);
		cli_note(&note);
	}
	if (collect_show(c.io, c.out ? c.out : args[0], o->json, &out, e)) {
		text_free(&out);
		return -1;
	}
	return cli_print(&out, e);
}

static int run_formats(void *opts, int n, char **args, struct err *e)
{
	(void)n, (void)args;
	return call_table(opts, formats_text, formats_json, e);
}

static void version(struct text *out, bool json)
{
	call_version("dsv4-quant", out, json);
}

/* clang-format off */
#define PLAN_OPTS \
	CALL_OUT, \
	{ "to", 't', "NAME", CLI_TEXT, 0, 0, CALL_AT(job.plan.target), "what to make (dsv4-quant formats)" }, \
	{ "scale-dtype", 0, "f32|e8m0", CLI_CHOICE, 0, 0, CALL_AT(scale_dtype), "fp8: type of the scales (f32, which engines read; e8m0 is the official form)" }, \
	{ "signed-zero", 0, "keep|drop", CLI_CHOICE, 0, 0, CALL_AT(signed_zero), "NVFP4: minus zero stays (keep), or becomes zero as ModelOpt has it" }, \
	{ "input-scale", 0, "VALUE|FILE|DIR", CLI_TEXT, 0, 0, CALL_AT(input_scale), "nvfp4: scales of the activations of experts: a number for all (largest magnitude / 2688), measured maxima (JSON or safetensors), or another export of the model" }, \
	{ "recipe", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.recipe), "gguf: the type of each tensor, by role, layers and experts; what it does not name is as --to says" }, \
	{ "imatrix", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.imatrix), "mixes: importance of columns, by which the encoders weigh errors: llama.cpp's imatrix GGUF (1 for each column)" }, \
	{ "dense", 0, "bf16|q8_0|f32", CLI_CHOICE, 0, 0, CALL_AT(dense), "gguf: type of matrices that are FP8 in the source (bf16, exact; q8_0 rounds; f32: all matrices)" }, \
	{ "experts-from", 0, "DIR", CLI_TEXT, 0, 0, CALL_AT(job.experts_from), "take the routed experts of another exact form of this model (FP8, NVFP4, MXFP8, ...)" }, \
	{ "drafts", 0, "same|keep|drop", CLI_CHOICE, 0, 0, CALL_AT(drafts), "MTP or DSpark: in the format of the layers (same), as in the source (keep), left out (drop)" }, \
	{ "stack", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(stack), "mlx: one tensor for the experts of a layer, as MLX has them in memory" }, \
	CALL_LAYERS, \
	{ "shard-size", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.plan.shard_size), "fill shards up to this (one per layer)" }, \
	{ "no-restore", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(no_back), "leave out what restore needs (source/, *.dropped)" }, \
	CALL_LOSSY, \
	CALL_RUN, \
	CALL_SOURCE

static const struct cli_opt table_opts[] = { CALL_JSON, { 0 } };
static const struct cli_opt plan_opts[] = { PLAN_OPTS, CALL_TENSORS, CALL_SHA256, CALL_QUIET, CALL_JOB, { 0 } };
static const struct cli_opt final_opts[] = { CALL_FULL, CALL_MACHINE, CALL_JSON, CALL_QUIET, { 0 } };
static const struct cli_opt run_opts[] = { PLAN_OPTS, CALL_SHA256, CALL_TASK, CALL_QUIET, { 0 } };
static const struct cli_opt restore_opts[] = { CALL_OUT, CALL_RUN, CALL_HEADER, CALL_JSON, CALL_SHARD, CALL_QUIET, { 0 } };

static const struct cli_opt imatrix_opts[] = {
	{ "tokens", 0, "IDS", CLI_TEXT, 0, 0, CALL_AT(tokens), "token ids: 1,2,3, a file of them, or a file of prompts, a JSON list of ids on each line" },
	{ "out", 'o', "FILE", CLI_TEXT, 0, 0, CALL_AT(out), "the file; FILE.partial holds what is done until then" },
	{ "threads", 'j', "N", CLI_THREADS, 0, 256, CALL_AT(threads), "threads (0: as many as processors that it may use, the default)" },
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.max_memory), "never hold more than this (1G)" },
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.ckpt.follow_links), "follow links that lead to files elsewhere" },
	CALL_JSON, CALL_QUIET, { 0 }
};

static const struct cli_cmd cmds[] = {
	{ "formats", "", "list what can be made, who loads it and how that was checked", NULL, table_opts, 0, 0, run_formats },
	{ "plan", "DIR -o OUT --to NAME", "what a run would write, need and do; writes nothing",
		"The plan is made from headers alone. Its hash covers all that decides the output.\n",
		plan_opts, 1, 1, run_plan },
	{ "run", "DIR -o OUT --to NAME", "write the model in another number format, exactly",
		"DIR is a checkpoint, or a conversion that kept what its source was: then that is what is\n"
		"written in the new format. A block that would lose something stops the run, unless\n"
		"--lossy is given. Files appear whole, manifest.json last; the same call again goes on.\n"
		"Prints a SHA-256 line for each file of weights, for sha256sum -c.\n",
		run_opts, 1, 1, run_run },
	{ "imatrix", "DIR --tokens IDS -o FILE | FILE", "how much each column of each matrix matters, from the model's own activations",
		"Runs the model over the tokens, a layer at a time over all prompts, and writes the sums of the\n"
		"squares of what goes into each matrix, for each expert by itself, as llama.cpp's imatrix GGUF.\n"
		"The same call again goes on after the layers that are done. Of such a FILE, by whoever wrote\n"
		"it, it says what is in it, and how many tokens each expert saw.\n",
		imatrix_opts, 1, 1, run_imatrix },
	CALL_JOB_VERBS,
	{ "restore", "OUT -o BACK", "the way back: the shards that OUT was made of, byte for byte",
		"Every tensor is held to the digest of when it was converted.\n",
		restore_opts, 1, 1, run_restore },
	{ 0 },
};
/* clang-format on */

static const char examples[] =
	"What can be made, and who loads it:\n\n  dsv4-quant formats\n\n"
	"FP8 experts with F32 scales, as vLLM and SGLang load them, and the download back:\n\n"
	"  dsv4-quant run DeepSeek-V4-Flash -o fp8 --to fp8\n"
	"  dsv4-quant restore fp8 -o back\n";
static const char files[] =
	"OUT/manifest.json says what OUT is; it is written last, and without it OUT is unfinished. Beside each file of "
	"weights NAME.manifest.json describes its tensors, and NAME.dropped has what restore needs besides. Files that "
	"begin with a dot are not finished.\n";
static const char see_also[] = "dsv4-convert(1), dsv4-verify(1), sha256sum(1)\n";

/* Words for completion. */
static const char *word(const char *option, unsigned i)
{
	const struct recipe *r = recipes;

	if (strcmp(option, "to") != 0)
		return NULL;
	while (i-- && r->name)
		r++;
	return r->name;
}

static const struct cli_tool cli = { .name = "dsv4-quant",
	.help = "Writes DeepSeek-V4 in the number formats that engines load, exactly, and back.",
	CALL_TOOL };

int main(int argc, char **argv)
{
	mem_give_back();
	return cli_main(&cli, argc, argv);
}
