/* main.c -- dsv4-verify: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cli/cli.h"
#include "core/cpu.h"
#include "core/mem.h"
#include "core/version.h"
#include "formats/archive/archive_io.h"
#include "formats/conversion/presharded.h"
#include "formats/version_text.h"
#include "formats/rulebook.h"
#include "formats/st/safetensors.h"
#include "verify/atlas/atlas_run.h"
#include "verify/check/check.h"
#include "verify/compare/compare.h"
#include "verify/run/compute.h"
#include "verify/compare/diff.h"
#include "verify/doctor/consumer.h"
#include "verify/doctor/doctor.h"
#include "verify/options.h"
#include "verify/parity/parity.h"
#include "verify/parity/tensors.h"
#include "verify/report/outlet.h"
#include "verify/run/tokenize.h"
#include "verify/sign/sign.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOOL "dsv4-verify " DSV4_VERSION

/* Archives are read in place, as the folders that they restore; signatures are over files as they are. */
static struct archive_io archived;

static const struct io *reading(void)
{
	return archived.s ? &archived.pass.io : archive_io_open(&archived, io_posix());
}

/* The words of the call as they were, for reports: the parser moves those of argv. */
static struct {
	int n;
	char *v[256];
} call;

static void defaults(void *p)
{
	struct opts *o = p;

	o->max_memory = 256u << 20;
	o->memory = (uint64_t)8 << 30;
	o->max_header = ST_HEADER_CAP;
	o->sample = 100;
	o->sig.key_fd = o->sig.password_fd = NO_FD;
}

static int run_rules(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? rule_put_json : rule_put_text)(&t);
	return cli_print(&t, e);
}

static int run_tensors(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n;
	return tensors_put(&t, args[0], o->rank, o->json, e) ? -1 : cli_print(&t, e);
}

/* --- reports: what every verb that has findings ends with --- */

static struct outlet_opts outlet_opts(const struct opts *o)
{
	return (struct outlet_opts){ .json = o->json,
		.quiet = o->quiet,
		.junit = o->junit,
		.page = o->page,
		.fixed = o->fix_config };
}

/* What a verb does between an empty report and a full one. args: its positional arguments. Returns -1 where it
 * could not be done at all. */
typedef int fill_fn(struct report *r, const struct opts *o, char **args, struct err *e);

/* Runs a verb that ends with a report. What stops it is a finding of the report too, so that --json, --junit and
 * --report say what came of every call. */
static int run_report(const char *verb, fill_fn *fill, const struct opts *o, int n, char **args,
	struct err *e)
{
	const struct outlet_opts out = outlet_opts(o);
	struct err stopped = { 0 }, copy;
	int64_t began = (int64_t)time(NULL);
	double start = progress_now();
	struct outlet x;
	struct report r;
	int rc;

	if (outlet_open(&x, &out, e))
		return -1;
	report_begin(&r, TOOL, verb, args[0], n > 1 ? args[1] : NULL);
	if (fill(&r, o, args, &stopped)) {
		copy = stopped;
		report_take(&r, NULL, &copy);
	}
	report_call(&r, call.n, call.v, began, progress_now() - start);
	if (o->strict)
		report_strict(&r);
	report_sort(&r);
	rc = stopped.kind != ERR_NONE && !o->json && !o->junit && !o->page ? 0
									   : outlet_put(&x, &r, e);
	outlet_close(&x);
	stopped.told = true;
	if (!rc && stopped.kind != ERR_NONE && (!r.errors || err_exit_code(&stopped) == 1)) {
		*e = stopped;
		rc = -1;
	}
	if (!rc && report_finish(&r, e)) {
		e->told = true;
		rc = -1;
	}
	report_free(&r);
	return rc;
}

/* run_VERB of a verb that ends with the report that fill_VERB fills. */
#define REPORT_VERB(verb)                                                    \
	static int run_##verb(void *opts, int n, char **args, struct err *e) \
	{                                                                    \
		return run_report(#verb, fill_##verb, opts, n, args, e);     \
	}

/* A call that did not get as far as a report: it still has one if it asked for one. */
static void failed(const struct cli_failure *f)
{
	struct outlet_opts o = { .json = cli_word(f->argc, f->argv, "json", true) != NULL,
		.junit = cli_word(f->argc, f->argv, "junit", false),
		.page = cli_word(f->argc, f->argv, "report", false) };
	struct err e = *f->e, ignored = { 0 };
	struct outlet x;
	struct report r;

	if (outlet_open(&x, &o, &ignored)) /* perhaps the very thing that failed */
		o.junit = o.page = NULL;
	if (!o.json && !o.junit && !o.page)
		return;
	report_begin(&r, TOOL, f->verb ? f->verb : "help",
		f->argc > 2 && f->argv[2][0] != '-' ? f->argv[2] : "the call", NULL);
	report_take(&r, NULL, &e);
	report_call(&r, f->argc, f->argv, (int64_t)time(NULL), 0);
	o.quiet = true;
	(void)outlet_put(&x, &r, &ignored); /* there is an error to report already */
	outlet_close(&x);
	report_free(&r);
}

static struct progress *started(uint64_t bytes)
{
	return progress_start(stderr, "checking", bytes);
}

static int fill_check(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct check_opts co = { .io = reading(),
		.quick = o->quick,
		.rank = o->rank,
		.threads = (unsigned)o->threads,
		.features = cpu_features(),
		.max_memory = o->max_memory,
		.header_cap = o->max_header,
		.follow_links = o->follow_links,
		.source_sha256 = o->source_sha256,
		.started = o->quiet ? NULL : started };

	return check_run(r, args[0], &co, e);
}

REPORT_VERB(check)

static struct progress *comparing(uint64_t bytes)
{
	return progress_start(stderr, "comparing", bytes);
}

static int fill_compare(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct compare_opts co = { .io = reading(),
		.threads = (unsigned)o->threads,
		.max_memory = o->max_memory,
		.header_cap = o->max_header,
		.sample = o->sample,
		.follow_links = o->follow_links,
		.experts_from = o->experts_from,
		.imatrix = o->imatrix,
		.started = o->quiet ? NULL : comparing };

	return compare_run(r, args[0], args[1], &co, e);
}

REPORT_VERB(compare)

/* A file or a descriptor, not both. */
static int key_at(struct keyfile_at *k, const char *path, uint64_t fd, const char *what,
	struct err *e)
{
	k->path = path;
	k->fd = fd == NO_FD ? -1 : (int)fd;
	return path && k->fd >= 0
		? err_set(e, ERR_USAGE, "--%s and --%s-fd: one of the two", what, what)
		: 0;
}

typedef int sign_verb(const struct sign_opts *o, struct report *r, struct err *e);

static int fill_sig(struct report *r, const struct opts *o, const char *dir, sign_verb *work,
	struct err *e)
{
	struct sign_opts s = { .io = io_posix(),
		.dir = dir,
		.format = o->sig.format,
		.file = o->sig.file,
		.source = o->sig.source,
		.overwrite = o->sig.overwrite,
		.threads = (unsigned)o->threads,
		.features = cpu_features() };

	if (key_at(&s.key, o->sig.key, o->sig.key_fd, "key", e) ||
		key_at(&s.password, o->sig.password, o->sig.password_fd, "password", e))
		return -1;
	if (work != sign_attest && !s.key.path && s.key.fd < 0)
		return err_set(e, ERR_USAGE, "which key? (--key FILE or --key-fd N)");
	if (work == sign_attest && !s.file)
		return err_set(e, ERR_USAGE, "into which file? (-o FILE)");
	return work(&s, r, e);
}

static int fill_sign(struct report *r, const struct opts *o, char **args, struct err *e)
{
	return fill_sig(r, o, args[0], sign_make, e);
}

REPORT_VERB(sign)

static int fill_signature(struct report *r, const struct opts *o, char **args, struct err *e)
{
	return fill_sig(r, o, args[0], sign_check, e);
}

REPORT_VERB(signature)

static int fill_attest(struct report *r, const struct opts *o, char **args, struct err *e)
{
	return fill_sig(r, o, args[0], sign_attest, e);
}

REPORT_VERB(attest)

static int fill_parity(struct report *r, const struct opts *o, char **args, struct err *e)
{
	(void)o;
	return parity_run(r, args[0], args[1], e);
}

REPORT_VERB(parity)

static struct progress *measuring(uint64_t values)
{
	return progress_start(stderr, "measuring", values);
}

static int fill_atlas(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct atlas_opts a = { .made_by = TOOL,
		.out = o->atlas,
		.frontier = o->frontier,
		.measure = { .open = { .io = reading(),
				     .header_cap = o->max_header,
				     .follow_links = o->follow_links,
				     .features = cpu_features() },
			.threads = (unsigned)o->threads,
			.imatrix = o->imatrix,
			.started = o->quiet ? NULL : measuring } };

	return atlas_run(r, args[0], r->subject[1] ? args[1] : NULL, &a, e);
}

REPORT_VERB(atlas)

static int fill_diff(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct diff_opts d = { .open = { .io = reading(),
				       .header_cap = o->max_header,
				       .follow_links = o->follow_links },
		.threads = (unsigned)o->threads,
		.started = o->quiet ? NULL : comparing };

	return diff_run(r, args[0], args[1], &d, e);
}

REPORT_VERB(diff)

/* --- verbs that run the model --- */

static struct compute_opts compute_opts(const struct opts *o)
{
	return (struct compute_opts){ .io = reading(),
		.follow_links = o->follow_links,
		.features = cpu_features(),
		.threads = (unsigned)o->threads,
		.tokens = o->tokens,
		.device = o->device,
		.arithmetic = o->arithmetic,
		.max_kl = o->max_kl,
		.max_rel = o->max_rel,
		.max_memory = o->memory,
		.last = o->last,
		.results = o->results,
		.what = o->what };
}

static int fill_replay(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct compute_opts co = compute_opts(o);

	return compute_replay(r, args[0], args[1], &co, e);
}

REPORT_VERB(replay)

static int need(const char *value, const char *what, struct err *e)
{
	return value ? 0 : err_set(e, ERR_USAGE, "%s is missing", what);
}

/* Of ranks for SGLang it is what is kept beside that is computed with: so the ranks are held to the source, too. */
static int compare_derived(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct compare_opts co = { .io = reading(), .max_memory = o->memory, .sample = 100 };

	co.header_cap = o->max_header;
	return presharded_folder(co.io, args[1]) ? compare_run(r, args[0], args[1], &co, e) : 0;
}

static int fill_logits(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct compute_opts co = compute_opts(o);

	if (need(o->tokens, "--tokens", e) || compare_derived(r, o, args, e))
		return -1;
	return compute_logits(r, args[0], args[1], &co, e);
}

REPORT_VERB(logits)

static int fill_record(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct compute_opts co = compute_opts(o);

	if (need(o->tokens, "--tokens", e) || need(o->record, "-o", e))
		return -1;
	return compute_record(r, args[0], o->record, &co, e);
}

REPORT_VERB(record)

/* The text goes to stdout; it is no report. */
static int run_tokens(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	const char *effort = o->prompt.effort;
	struct tokenize_opts t = { .io = reading(),
		.text = o->prompt.text,
		.chat = o->prompt.chat,
		.lines = o->prompt.lines,
		.string = o->prompt.string,
		.bos = o->prompt.bos,
		.json = o->json,
		.follow_links = o->follow_links,
		.how = { .think = o->prompt.think, .keep_reasoning = o->prompt.keep } };
	struct text out = { 0 };

	(void)n;
	if (!t.text == !t.chat)
		return err_set(e, ERR_USAGE, "give --text FILE or --chat FILE, one of the two");
	if (t.chat && t.bos)
		return err_set(e, ERR_USAGE, "a chat begins with --bos as it is");
	if (t.text && (t.how.think || t.how.keep_reasoning || effort))
		return err_set(e, ERR_USAGE,
			"--think, --effort and --keep-reasoning are of --chat");
	if (effort && !t.how.think)
		return err_set(e, ERR_USAGE, "--effort is of answers that --think begins");
	t.how.effort = !effort || *effort == 'l' ? CHAT_LOW : *effort == 'h' ? CHAT_HIGH : CHAT_MAX;
	if (tokenize(&out, args[0], &t, e)) {
		text_free(&out);
		return -1;
	}
	return cli_print(&out, e);
}

static int fill_doctor(struct report *r, const struct opts *o, char **args, struct err *e)
{
	struct doctor_opts d = { .io = reading(),
		.engine = o->engine,
		.fix_config = o->fix_config,
		.fix_index = o->fix_index,
		.full = o->full,
		.follow_links = o->follow_links,
		.threads = (unsigned)o->threads,
		.features = cpu_features(),
		.header_cap = o->max_header };

	return doctor_run(r, args[0], &d, e);
}

REPORT_VERB(doctor)

static void version(struct text *out, bool json)
{
	version_put(out, "dsv4-verify", NULL, json);
}

/* clang-format off */
static const struct cli_cmd cmds[] = {
	{ "check", "OUT", "is a converted folder, a set, one file of it, or a download whole and as it was made?", NULL, check_opts, 1, 1, run_check },
	{ "compare", "SOURCE OUT", "was this conversion made of this source? every tensor made once more, and compared", NULL, compare_opts, 2, 2, run_compare },
	{ "sign", "DIR --key FILE", "sign every file of a folder",
		"Hashes all files, holds them to manifest.json, and writes a signature: with a PEM key an OpenSSF\n"
		"Model Signing bundle over every file, with a minisign key the signature of manifest.json, which\n"
		"covers every file. Keys and passwords come from files (chmod 600) or descriptors.\n", sign_opts, 1, 1, run_sign },
	{ "signature", "DIR --key FILE", "was this folder signed with that key, and is it still the same?",
		"Verifies the signature first and reads it later. Every file must be there as it was signed, and no\nother.\n",
		signature_opts, 1, 1, run_signature },
	{ "attest", "DIR -o FILE", "state what a folder was made of, as an in-toto statement",
		"With a key a signed bundle, which signature --signature FILE checks; else the statement itself.\n"
		"With --format slsa it is SLSA provenance v1, whose subject is that of the bundle that sign makes.\n",
		attest_opts, 1, 1, run_attest },
	{ "logits", "SOURCE CONVERTED --tokens IDS", "does the converted model compute the same as its source, bit for bit?", NULL, logits_opts, 2, 2, run_logits },
	{ "record", "CKPT --tokens IDS -o REC", "record what a model computes for some tokens", NULL, record_opts, 1, 1, run_record },
	{ "replay", "CKPT REC", "does the model compute what a record says, sub-block by sub-block and as a whole?", NULL, replay_opts, 2, 2, run_replay },
	{ "tokens", "DIR --text FILE | --chat FILE", "text, or a conversation, as the token ids of a model",
		"DIR has tokenizer.json and config.json. The ids are those of Hugging Face's tokenizers, the text of\n"
		"a conversation is that of the release's own encoder; logits, record and others take both as --tokens.\n", prompt_opts, 1, 1, run_tokens },
	{ "atlas", "SOURCE OUT | FILE [OTHER]", "how far is each tensor and each expert of a result from its source?",
		"Decodes every value of both, whatever number formats they are in, GGUF of others too, and says relative\n"
		"RMS, SQNR, largest error, cosine, what is exact, clipped and flushed to zero, and bits a weight, by\n"
		"tensor, role and block. -o keeps that; of a FILE that was kept it is told again, and how OTHER, of the\n"
		"same source, differs. --report draws it, with --frontier size against error too. An error of weights is not the quality of the model: logits.\n", atlas_opts, 1, 2, run_atlas },
	{ "diff", "A B", "in what two checkpoints, converted folders or sets differ", NULL, diff_opts, 2, 2, run_diff },
	{ "doctor", "DIR", "does a checkpoint mean what its config.json says, and will an engine read it so?",
		"Headers, config.json, all scales and samples of the weights. Findings that begin with \"suspect.\" are\n"
		"guesses from statistics and do not change the exit status.\n", doctor_opts, 1, 1, run_doctor },
	{ "parity", "OUT STATE", "does an engine hold what the conversion has? every tensor by type, shape and digest",
		"STATE is what loaders/probe.py has written down of the engine once it had loaded; of a set it says which rank.\n", parity_opts, 2, 2, run_parity },
	{ "tensors", "OUT", "list what lies where in a conversion: folders, files, tensors, layouts, as a loader sees them",
		"Holds manifests, sidecars and headers to their digests and to each other; payload is read by check.\n", tensors_opts, 1, 1, run_tensors },
	{ "rules", "", "list the rules that findings and errors name, with exit status", NULL, table_opts, 0, 0, run_rules },
	{ 0 },
};
/* clang-format on */

/* Words for completion. */
static const char *word(const char *option, unsigned i)
{
	return !strcmp(option, "for") ? consumer_name(i) : NULL;
}

static const char examples[] =
	"Is a conversion, or a download, whole and as it was made?\n\n  dsv4-verify check OUT\n\n"
	"Was it made of this download? Every tensor is made once more:\n\n  dsv4-verify compare DeepSeek-V4-Flash OUT\n\n"
	"In CI, warnings failing too, with a report for people and one for the machine:\n\n"
	"  dsv4-verify check OUT -q --strict --junit check.xml --report check.html\n\n"
	"Will vllm read this folder as it is meant?\n\n  dsv4-verify doctor OUT --for vllm\n";
static const char files[] =
	"OUT/manifest.json and NAME.manifest.json are what dsv4-convert wrote. DIR/model.sig, or DIR/manifest.json.minisig, is "
	"the signature of a folder.\n";
static const char see_also[] = "dsv4-convert(1), minisign(1), openssl(1)\n";

int main(int argc, char **argv)
{
	static const struct cli_tool tool = { .name = "dsv4-verify",
		.help = "Tells whether checkpoints and converted folders are what they should be.",
		.cmds = cmds,
		.opts_size = sizeof(struct opts),
		.defaults = defaults,
		.version = version,
		.exit_text =
			"exit status: 0 looked and true; 1 looked and found it false; 2 wrong call, or "
			"could not tell\n",
		.examples = examples,
		.files = files,
		.see_also = see_also,
		.word = word,
		.failed = failed };

	int rc;

	mem_give_back();
	for (call.n = 0; call.n < argc && call.n < (int)(sizeof call.v / sizeof *call.v); call.n++)
		call.v[call.n] = argv[call.n];
	rc = cli_main(&tool, argc, argv);
	archive_io_close(&archived);
	return rc;
}
