/* main.c -- dsv4-quant: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/cli/follow_call.h"
#include "convert/cli/options.h"
#include "convert/cli/task_call.h"
#include "convert/plan/target.h"
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/near.h"
#include "core/version.h"
#include "formats/archive/archive_io.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/model/recipes.h"
#include "quant/cli/choice.h"
#include "quant/cli/collect.h"
#include "quant/cli/formats.h"
#include "quant/cli/loss.h"
#include "quant/cli/score.h"

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

/* Names of rows of rowrecs (formats/layout/rowrec.h) whose layouts round: they are in no row of recipes. NULL ends. */
static const char *const table_names[] = { "engram-mxfp4", "engram-cb4", NULL };

/* Says which names there are, and which was probably meant. Returns -1. */
static int no_name(const char *name, struct err *e)
{
	struct near near = { .typed = name };
	struct text all = { 0 };
	const struct recipe *r;
	const char *const *t;

	for (r = recipes; r->name; r++) {
		near_try(&near, r->name);
		text_fmt(&all, " %s", r->name);
	}
	for (t = table_names; *t; t++) {
		near_try(&near, *t);
		text_fmt(&all, " %s", *t);
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

/* What a name "engram-" and a layout that rounds tables of Engram makes of them; NULL: it is another name. */
static const struct rowrec *table_of(const char *name)
{
	static const char begin[] = "engram-";
	const struct rowrec *r = strncmp(name, begin, sizeof begin - 1)
		? NULL
		: rowrec_find(name + sizeof begin - 1);

	return r && r->bits < 8 ? r : NULL;
}

/* Options of other names, which say something of matrices. */
static int check_table(const struct call *o, const char *to, struct err *e)
{
	return o->stack || o->scale_dtype || o->signed_zero || o->input_scale || o->drafts ||
			o->dense || o->job.imatrix || o->job.recipe || o->job.experts_from ||
			o->job.plan.lossy || o->budget || o->score || o->recipe_out
		? err_set(e, ERR_USAGE,
			  "--to %s rounds the tables of Engram and leaves all else as it is: of the options that say how, it takes none",
			  to)
		: 0;
}

/* --budget and what goes with it. */
static int check_budget(const struct call *o, const struct recipe *r, struct err *e)
{
	if (!o->budget && (o->score || o->recipe_out))
		return err_set(e, ERR_USAGE, "%s belongs to --budget",
			o->score ? "--score" : "--recipe-out");
	if (!o->budget)
		return 0;
	if (r->container != CONTAINER_GGUF)
		return err_set(e, ERR_USAGE, "--budget is of a GGUF, and %s is none", r->name);
	if (!strncmp(r->name, "ds4", 3))
		return err_set(e, ERR_USAGE,
			"--budget: ds4 loads the types of %s and no others; name gguf or a gguf mix",
			r->name);
	if (o->dense)
		return err_set(e, ERR_USAGE, "--dense: --budget says the types");
	if (o->job_dir)
		return err_set(e, ERR_USAGE,
			"--budget is not for --job: write the choice with plan --budget --recipe-out FILE, and plan the job with --recipe FILE");
	return o->score
		? 0
		: err_set(e, ERR_USAGE,
			  "--budget chooses by what dsv4-quant score has measured: name that file with --score");
}

static int check(const struct call *o, struct err *e)
{
	const char *to = named(o);
	const struct recipe *r = to ? recipe_find(to) : NULL;

	if (call_has_out(o, e))
		return -1;
	if (!to)
		return err_set(e, ERR_USAGE, "--to says what to make (dsv4-quant formats)");
	if (table_of(to))
		return check_table(o, to, e);
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
	if (check_budget(o, r, e))
		return -1;
	if (o->job.imatrix && !r->rounds && !o->job.recipe && !o->budget)
		return err_set(e, ERR_USAGE,
			"--imatrix is for names that round: %s rounds nothing by a search", to);
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
	if (jo.plan.target && table_of(jo.plan.target)) {
		jo.plan.record = table_of(jo.plan.target);
		jo.plan.engram = ENGRAM_SEPARATE;
		jo.plan.target = "hf";
	}
	jo.of_source = use != USE_RESTORE;
	if (use == USE_RESTORE)
		jo.plan.target = restore_target.name;
	return jo;
}

static const struct call_tool made = { .made_by = "dsv4-quant " DSV4_VERSION, .stop = &stop };

/* What --budget chose, and what is said of it. */
struct said_choice {
	struct choice choice;
	struct text text, json; /* own */
};

/* Chooses where o has --budget: *jo takes its recipe, and *o says it, both from *b. */
static int choose(struct said_choice *b, struct call *o, struct job_opts *jo, const char *dir,
	bool lines, struct err *e)
{
	const struct choice_opts s = { .io = o->io,
		.budget = o->budget,
		.score = o->score,
		.recipe_out = o->recipe_out,
		.job = *jo };

	memset(b, 0, sizeof *b);
	if (!o->budget)
		return 0;
	if (choice_make(&b->choice, dir, &s, e))
		return -1;
	choice_put_text(&b->text, &b->choice, lines);
	choice_put_json(&b->json, &b->choice);
	jo->recipe = "--budget";
	jo->recipe_text = b->choice.recipe.s;
	jo->imatrix = b->choice.weighs ? jo->imatrix : NULL;
	o->more_text = b->text.s;
	o->more_json = b->json.s;
	return b->text.failed || b->json.failed ? err_nomem(e) : 0;
}

static void choose_end(struct said_choice *b)
{
	choice_free(&b->choice);
	text_free(&b->text);
	text_free(&b->json);
}

static struct progress *measuring(uint64_t values)
{
	return progress_start(stderr, "measuring", values);
}

static int run_from(const struct call *call, enum use use, const char *dir, struct err *e)
{
	struct call_tool tool = made;
	struct call o = *call;
	struct job_opts jo = settle(&o, use);
	struct said_choice b;
	struct loss loss;
	int rc;

	if ((use == USE_RESTORE ? call_has_out(&o, e) : check(&o, e)) || follow_call_check(&o, e))
		return -1;
	if (use == USE_RUN && loss_begin(&loss, &o, dir, e))
		return -1;
	cli_signals(on_signal);
	tool.watch = stderr;
	if (use == USE_RUN) {
		loss.started = o.quiet ? NULL : measuring;
		tool.then = loss_measure;
		tool.ctx = &loss;
	}
	rc = choose(&b, &o, &jo, dir, false, e) ||
			(o.follow ? follow_call_run : call_run)(&o, &jo, dir, &tool, e)
		? -1
		: 0;
	choose_end(&b);
	if (use == USE_RUN)
		loss_end(&loss);
	return rc;
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
	struct call o = *(const struct call *)opts;
	struct job_opts jo = settle(&o, USE_PLAN);
	struct said_choice b;
	int rc;

	(void)n;
	if (o.job_dir)
		return task_call_plan(&o, args[0], &tasks, e);
	if (check(&o, e))
		return -1;
	rc = choose(&b, &o, &jo, args[0], true, e) || call_plan(&o, &jo, args[0], e) ? -1 : 0;
	choose_end(&b);
	return rc;
}

static int run_run(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;

	(void)n;
	if (task_call_is(opts, args[0])) {
		if (o->atlas || o->page)
			return err_set(e, ERR_USAGE,
				"%s is not for a task of a job: dsv4-verify atlas DIR OUT measures what finalize has left",
				o->atlas ? "--atlas" : "--report");
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
	struct collect_opts c = { .io = o->io,
		.tokens = o->tokens,
		.out = o->out,
		.features = cpu_features(),
		.threads = (unsigned)o->threads,
		.max_memory = o->job.max_memory,
		.follow_links = o->job.ckpt.follow_links,
		.fp32 = o->arithmetic && !strcmp(o->arithmetic, "fp32") };
	struct text out = { 0 }, note = { 0 };
	uint32_t kept = 0;

	(void)n;
	if (o->arithmetic && !c.tokens)
		return err_set(e, ERR_USAGE, "--arithmetic belongs to --tokens");
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

/* What a score came to, for people or for programs. */
static int say_scored(const struct call *o, const struct score_done *d, struct err *e)
{
	struct text t = { 0 };
	struct jwrite w;

	jwrite_begin(&w, &t, 1);
	if (o->json) {
		jwrite_open(&w, NULL, '{');
		jwrite_str(&w, "format", FORMAT_SCORE_JSON);
		jwrite_u64(&w, "matrices", d->matrices);
		jwrite_u64(&w, "matrices_before", d->before);
		jwrite_str(&w, "weights", d->weighted ? "imatrix" : "one");
		jwrite_close(&w, '}');
		return cli_print(&t, e);
	}
	if (d->before)
		text_fmt(&t, "%s matrices were done before\n", text_thousands(d->before).s);
	text_fmt(&t, "%s: %s matrices, %s\n", text_quote(o->out).s, text_thousands(d->matrices).s,
		d->weighted ? "weighted by the importance of columns where the file has it"
			    : "every column counts alike (--imatrix weighs them)");
	return cli_print(&t, e);
}

static int run_score(void *opts, int n, char **args, struct err *e)
{
	const struct call *o = opts;
	struct score_opts s = { .io = o->io,
		.out = o->out,
		.imatrix = o->job.imatrix,
		.types = o->types,
		.every = o->every ? o->every : 1,
		.features = cpu_features(),
		.threads = (unsigned)o->threads,
		.watch = o->quiet ? NULL : stderr,
		.stop = &stop };
	struct score_done d;

	(void)n;
	if (call_has_out(o, e))
		return -1;
	cli_signals(on_signal);
	s.job = settle(o, USE_SCORE);
	s.job.imatrix = NULL; /* the plan that is looked at rounds nothing */
	return score_run(args[0], &s, &d, e) ? -1 : say_scored(o, &d, e);
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
	{ "budget", 0, "SIZE", CLI_TEXT, 0, 0, CALL_AT(budget), "gguf: the types that lose least in files of at most this size (90GB, 84G, or 45% of the source's tensors); what --recipe names has its type" }, \
	{ "score", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(score), "what each matrix loses in each type, for --budget (dsv4-quant score)" }, \
	{ "recipe-out", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(recipe_out), "write the choice of --budget as a recipe, which --recipe takes" }, \
	{ "imatrix", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.imatrix), "names that round: importance of columns, by which the encoders weigh errors: llama.cpp's imatrix GGUF (1 for each column)" }, \
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
static const struct cli_opt run_opts[] = { PLAN_OPTS,
	{ "atlas", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(atlas), "then read OUT back and write the errors of each tensor and expert to OUT/atlas.jsonl (dsv4-verify atlas)" },
	{ "report", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(page), "with --atlas: draw them as one HTML page, with size against error where --budget chose" },
	CALL_SHA256, CALL_TASK, CALL_FOLLOW, CALL_QUIET, { 0 } };
static const struct cli_opt restore_opts[] = { CALL_OUT, CALL_RUN, CALL_HEADER, CALL_JSON, CALL_SHARD, CALL_QUIET, { 0 } };

static const struct cli_opt imatrix_opts[] = {
	{ "tokens", 0, "IDS", CLI_TEXT, 0, 0, CALL_AT(tokens), "token ids: 1,2,3, a file of them, or a file of prompts, a JSON list of ids on each line" },
	{ "out", 'o', "FILE", CLI_TEXT, 0, 0, CALL_AT(out), "the file; FILE.partial holds what is done until then" },
	{ "arithmetic", 0, "model|fp32", CLI_CHOICE, 0, 0, CALL_AT(arithmetic), "as the official model rounds, or FP32 throughout, as other engines do (model)" },
	{ "threads", 'j', "N", CLI_THREADS, 0, 256, CALL_AT(threads), "threads (0: as many as processors that it may use, the default)" },
	{ "max-memory", 0, "BYTES", CLI_SIZE, 1, UINT64_MAX, CALL_AT(job.max_memory), "never hold more than this (1G)" },
	{ "follow-links", 0, NULL, CLI_FLAG, 0, 0, CALL_AT(job.ckpt.follow_links), "follow links that lead to files elsewhere" },
	CALL_JSON, CALL_QUIET, { 0 }
};

static const struct cli_opt score_opts[] = {
	{ "out", 'o', "FILE", CLI_TEXT, 0, 0, CALL_AT(out), "the file; FILE.partial holds what is done until then" },
	{ "imatrix", 0, "FILE", CLI_TEXT, 0, 0, CALL_AT(job.imatrix), "importance of columns, by which errors are weighed: llama.cpp's imatrix GGUF (1 for each column)" },
	{ "types", 0, "LIST", CLI_TEXT, 0, 0, CALL_AT(types), "the types that are tried, between commas (all that there is an encoder of)" },
	{ "every", 0, "N", CLI_NUMBER, 1, 1 << 20, CALL_AT(every), "measure one of N bands of 128 rows of each matrix, for a first look (1: all)" },
	{ "threads", 'j', "N", CLI_THREADS, 0, 256, CALL_AT(threads), "threads (0: as many as processors that it may use, the default)" },
	CALL_SOURCE, CALL_QUIET, { 0 }
};

static const char score_more[] =
	"Reads the model once, encodes every matrix in every type, and keeps the sums of the squares of the errors,\n"
	"each expert by itself. The same call again goes on after the matrices that are done. Run and plan take FILE with\n"
	"--score.\n";

static const struct cli_cmd cmds[] = {
	{ "formats", "", "list what can be made, who loads it and how that was checked", NULL, table_opts, 0, 0, run_formats },
	{ "plan", "DIR -o OUT --to NAME", "what a run would write, need and do; writes nothing",
		"The plan is made from headers alone. Its hash covers all that decides the output.\n",
		plan_opts, 1, 1, run_plan },
	{ "run", "DIR -o OUT --to NAME", "write the model in another number format",
		"DIR is a checkpoint, or a conversion that kept what its source was: then that is what is\n"
		"written in the new format. A block that would lose something stops the run, unless\n"
		"--lossy is given or the name rounds: w4a16*, w8a8, w8a8-fp8, gguf-q*, ds4-*\n"
		"and engram-*. Files appear whole, manifest.json last; the same call again goes on.\n"
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
	{ "score", "DIR -o FILE", "what each matrix loses in each type of a GGUF, for run --budget", score_more, score_opts, 1, 1, run_score },
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
	while (i && r->name) {
		r++;
		i--;
	}
	return r->name                                         ? r->name
		: i < sizeof table_names / sizeof *table_names ? table_names[i]
							       : NULL;
}

static const struct cli_tool cli = { .name = "dsv4-quant",
	.help = "Writes DeepSeek-V4 in the number formats that engines load, exactly, and back.",
	CALL_TOOL };

int main(int argc, char **argv)
{
	int rc;

	mem_give_back();
	rc = cli_main(&cli, argc, argv);
	archive_io_close(&archived);
	return rc;
}
