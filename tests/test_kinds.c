/* test_kinds.c -- every verb of both tools on every kind of folder: the exact exit status and rule of each.
 *
 * A kind has a way to be made from a golden model, and a row of outcomes, a letter for each use of kind.h. A kind, a
 * use or a verb without its row is a failure. What is expected is written out here and not taken from the table that
 * the program asks: the two must say the same.
 *
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faultio.h"
#include "tests/kinds.h"

/* --- running --- */

/* @F the folder, @G the golden model, @H a conversion of it, @O a place to write to, @R a record, @K a key,
 * @S a conversion that was signed with it and knows its source. */
static const struct {
	const char *tool, *call;
} calls[USES] = {
	[USE_RUN] = { "dsv4-convert", "run @F -o @O -t official -q" },
	[USE_PLAN] = { "dsv4-convert", "plan @F -o @O -t official" },
	[USE_INSPECT] = { "dsv4-convert", "inspect @F" },
	[USE_SLICE] = { "dsv4-convert", "slice @F -o @O --layers 0 -q" },
	[USE_RESTORE] = { "dsv4-convert", "restore @F -o @O -q" },
	[USE_RESHARD] = { "dsv4-convert", "reshard @F -o @O -t kmajor-sf128 --experimental -q" },
	[USE_CHECK] = { "dsv4-verify", "check @F" },
	[USE_COMPARE_SOURCE] = { "dsv4-verify", "compare @F @H" },
	[USE_COMPARE] = { "dsv4-verify", "compare @G @F" },
	[USE_DIFF] = { "dsv4-verify", "diff @G @F" },
	[USE_DOCTOR] = { "dsv4-verify", "doctor @F" },
	[USE_LOGITS_SOURCE] = { "dsv4-verify", "logits @F @H -t 1,2" },
	[USE_LOGITS] = { "dsv4-verify", "logits @G @F -t 1,2" },
	[USE_RECORD] = { "dsv4-verify", "record @F -t 1,2 -o @O" },
	[USE_REPLAY] = { "dsv4-verify", "replay @F @R" },
	[USE_TOKENS] = { "dsv4-verify", "tokens @F --text @G/config.json" },
	[USE_SIGN] = { "dsv4-verify", "sign @F --key @K -o @O" },
	[USE_SIGNATURE] = { "dsv4-verify", "signature @F --key @K.pub" },
	[USE_SIGNATURE_SOURCE] = { "dsv4-verify", "signature @S --key @K.pub --source @F" },
	[USE_ATTEST] = { "dsv4-verify", "attest @F -o @O" },
	[USE_TENSORS] = { "dsv4-verify", "tensors @F" },
	[USE_PARITY] = { "dsv4-verify", "parity @F tests/vectors/state.json" },
	[USE_ATLAS_SOURCE] = { "dsv4-verify", "atlas @F @H" },
	[USE_ATLAS] = { "dsv4-verify", "atlas @G @F" },
	[USE_SCORE] = { "dsv4-quant", "score @F -o @O --types q8_0 -q" },
	[USE_DELTA] = { "dsv4-convert", "delta @G @F -q" },
};

/* What a letter below means. x: refused with the rule of the kind, and its exit status; p: looked at all the same, and
 * that rule is among the findings. */
static const struct {
	char is;
	int status;
	const char *rule; /* NULL: none is asked for */
} outcomes[] = {
	{ '.', 0, NULL }, { 'e', 1, "ckpt.empty" }, { 'E', 1, "config.missing" },
	{ 'a', 2, "check.alone" }, { 'd', 1, "check.download" }, { 'm', 1, "check.missing" },
	{ 'u', 1, "check.unfinished" }, { 'B', 1, "set.manifest" },
	{ 'b', 2, "set.not-kept" }, /* nothing was kept for the way back */
	{ 'k', 1, "compare.file" }, /* config.json, and the index of other shards */
	{ 'l', 1, "compare.lost" }, /* another model */
	{ 'f', 1, "diff.only" }, { 'F', 1, "form.matrix" }, { 'L', 2, "logits.models" },
	{ 't', 2, "tokens.tokenizer" },                  /* golden models have no tokenizer.json */
	{ 'r', 1, "record.form" }, { 'o', 2, "system" }, /* a shard cannot be opened */
	{ 's', 1, "sig.unfinished" }, { 'g', 1, "sig.missing" }, { 'n', 1, "parity.none" },
	{ 'N', 2, "check.rank" }, /* a state of nothing, of no rank */
	{ 'D', 2, "kind.download" }, { 'A', 1, "atlas.lost" }, { 'M', 2, "atlas.models" },
	{ 'I', 1, "data.not-finite" }, /* codes of FP4 that are called BF16 */
	{ 'c', 1, "sig.uncovered" },   /* no manifest.json of a conversion */
};

/* clang-format off */
/* A letter for each use, in the order of enum use:
 *	run plan inspect slice  restore reshard  check  compare:SOURCE compare:OUT  diff doctor
 *	logits:SOURCE logits:CONVERTED record replay tokens  sign signature signature:--source attest  tensors parity
 *	atlas:SOURCE atlas:OUT  score delta */
static const char *const expected[KINDS] = {
	[KIND_UNKNOWN]    = "EEeE" "xx" "e" "ex" "ee" "EEEEE" "cgoc" "xx" "ee" "EE",
	[KIND_FILE]       = "xxxx" "xx" "a" "xx" "xx" "xxxxx" "xxxx" "xx" "xx" "xx",
	[KIND_DOWNLOAD]   = "...." "xx" "." ".x" ".." "....t" ".g.c" "xx" ".." "..",
	[KIND_SNAPSHOT]   = "...." "xx" "." ".x" ".." "....t" ".g.c" "xx" ".." "..",
	[KIND_CACHE]      = "xxxx" "xx" "x" "xx" "xx" "xxxxx" "xxxx" "xx" "xx" "xx",
	[KIND_PARTIAL]    = "xxxx" "xx" "d" "xx" "xx" "xxxxx" "xgxx" "xx" "xx" "xx",
	[KIND_RECLAIMED]  = "xxxx" "xx" "x" "xx" "xx" "xxxxx" "xxxx" "xx" "xx" "xx",
	[KIND_HF]         = "...." "bb" "." "k." ".." "....t" ".g.." ".n" ".." "..",
	[KIND_HF_SOURCE]  = "...." ".." "." ".." ".." "....t" ".g.." ".n" ".." "..",
	[KIND_QUANT]      = "..xx" ".." "." "x." "f." "....t" ".gx." ".n" "x." ".x",
	[KIND_QUANT_GGUF] = "...x" ".." "." "x." "f." "x...x" ".gx." ".N" "x." ".x",
	[KIND_SLICE]      = "...." "bb" "." "l." "f." "LL.rt" ".go." ".n" "MM" "..",
	[KIND_RESTORED]   = "...." "bb" "." ".." ".." "....t" ".g.." ".n" ".." "..",
	[KIND_OFFICIAL]   = "xxxx" "bb" "." "x." "f." "x.xxE" ".gx." ".N" "xx" "xx",
	[KIND_VLLM]       = "xxxx" ".." "." "x." "f." "....t" ".gx." ".N" "xx" "xx",
	[KIND_SGLANG]     = "xxxx" ".." "." "x." "f." "x.xxt" ".gx." ".N" "xx" "xx",
	[KIND_PART]       = "xxxx" "bb" "." "x." "fx" "xxxxx" ".gx." ".n" "xx" "xx",
	[KIND_SET]        = "xxxx" ".." "." "x." "f." "....E" ".gx." ".N" "xx" "xx",
	[KIND_RANK]       = "xxxx" "xx" "." "xx" "fx" "xxxxt" ".gx." ".n" "xx" "xx",
	[KIND_STAGE]      = "xxxx" "xx" "x" "xx" "xx" "xxxxx" ".gxc" "xx" "xx" "xx",
	[KIND_SOURCE]     = "xxxx" "xx" "." "xx" "xx" "xxxxx" ".gx." "xx" "xx" "xx",
	[KIND_UNFINISHED] = "xxxx" "xx" "u" "xx" "xx" "xxxxx" "sgxs" "xx" "xx" "xx",
	[KIND_BROKEN]     = "xxxx" "xx" "B" "xx" "xx" "xxxxx" "xgxx" "xx" "xx" "xx",
	[KIND_BARE]       = "xxxx" "xx" "m" "xx" "xx" "xxxxx" "xgxx" "xx" "xx" "xx",
	[KIND_ARCHIVE]    = "...." "DD" "." ".D" ".." "....t" ".gxc" "xx" ".." "..", /* as the download that it restores */
	[KIND_ARCHIVE_PART] = "xxxx" "xx" "x" "xx" "xx" "xxxxx" "xxxx" "xx" "xx" "xx",
	[KIND_RANKS]      = "xxxx" "xx" "x" "xx" "x." "x.xxx" ".gxc" "xx" "xx" "xx",
	[KIND_PREFIXED]   = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_TRANSFORMERS] = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_SHARDED]    = "xxxx" "xx" "x" "xx" "xx" "xxxxx" ".gxc" "xx" "xx" "xx",
	[KIND_GGUF]       = "xx.x" "xx" "." "xx" "f." "x...x" ".gxc" "xx" "x." "xx",
	[KIND_MLX]        = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_NVFP4]      = "xxxx" "xx" "p" "xx" "fF" "xxxxt" ".gxc" "xx" "xA" "xx",
	[KIND_QUARK]      = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_COMPRESSED] = "xxxx" "xx" "p" "xx" "fF" "xxxxt" ".gxc" "xx" "xA" "xx",
	[KIND_QUANTIZED]  = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_BF16]       = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xI" "xx",
	[KIND_VISION]     = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_V41]        = "xxxx" "xx" "p" "xx" "fx" "xxxxt" ".gxc" "xx" "xx" "xx",
	[KIND_OTHER]      = "xxxx" "xx" "p" "xx" ".x" "xxxxt" ".gxc" "xx" "xx" "xx",
};

/* The rule that a kind is refused with, and its exit status; NULL: every verb takes it. */
static const struct {
	const char *rule;
	int status;
} refusals[KINDS] = {
	[KIND_UNKNOWN]    = { "kind.unknown", 2 },
	[KIND_FILE]       = { "kind.file", 2 },
	[KIND_DOWNLOAD]   = { "kind.download", 2 },
	[KIND_SNAPSHOT]   = { "kind.download", 2 },
	[KIND_CACHE]      = { "kind.cache", 2 },
	[KIND_PARTIAL]    = { "kind.partial", 2 },
	[KIND_RECLAIMED]  = { "kind.reclaimed", 2 },
	[KIND_QUANT]      = { "kind.quant", 2 },
	[KIND_QUANT_GGUF] = { "kind.quant", 2 },
	[KIND_OFFICIAL]   = { "kind.official", 2 },
	[KIND_VLLM]       = { "kind.vllm-sharded", 2 },
	[KIND_SGLANG]     = { "kind.sglang-presharded", 2 },
	[KIND_PART]       = { "kind.part", 2 },
	[KIND_SET]        = { "kind.set", 2 },
	[KIND_RANK]       = { "kind.rank", 2 },
	[KIND_STAGE]      = { "kind.rank", 2 },
	[KIND_SOURCE]     = { "kind.source", 2 },
	[KIND_UNFINISHED] = { "kind.unfinished", 2 },
	[KIND_BROKEN]     = { "set.manifest", 1 },
	[KIND_BARE]       = { "kind.bare", 2 },
	[KIND_ARCHIVE]    = { "kind.archive", 2 },
	[KIND_ARCHIVE_PART] = { "archive.unfinished", 2 },
	[KIND_RANKS]      = { "kind.ranks", 2 },
	[KIND_PREFIXED]   = { "kind.prefixed", 2 },
	[KIND_TRANSFORMERS] = { "kind.transformers", 2 },
	[KIND_SHARDED]    = { "kind.sharded", 2 },
	[KIND_GGUF]       = { "kind.gguf", 2 },
	[KIND_MLX]        = { "kind.mlx", 2 },
	[KIND_NVFP4]      = { "kind.nvfp4", 2 },
	[KIND_QUARK]      = { "kind.quark", 2 },
	[KIND_COMPRESSED] = { "kind.compressed", 2 },
	[KIND_QUANTIZED]  = { "kind.quantized", 2 },
	[KIND_BF16]       = { "kind.bf16", 2 },
	[KIND_VISION]     = { "kind.vision", 2 },
	[KIND_V41]        = { "kind.v41", 2 },
	[KIND_OTHER]      = { "config.model-type", 2 },
};
/* clang-format on */

static const char *word(char is, enum kind k, const char *to)
{
	return is == 'F'    ? made[k].s
		: is == 'G' ? FLASH
		: is == 'H' ? hf.s
		: is == 'O' ? to
		: is == 'S' ? signed_one.s
		: is == 'R' ? rec.s
			    : key.s;
}

/* Runs use u on kind k; what it printed in *out. */
static int call(enum kind k, enum use u, struct text *out)
{
	struct path log = dirs_path("log"), to = dirs_path("out");
	char line[8192];
	const char *c;
	size_t n;
	uint8_t *p;
	int rc;

	dirs_remove(to.s);
	n = (size_t)snprintf(line, sizeof line, "%s/%s ", build(), calls[u].tool);
	for (c = calls[u].call; *c && n < sizeof line - 600; c++)
		n += (size_t)(*c == '@' ? snprintf(line + n, 600, "%s", word(*++c, k, to.s))
					: snprintf(line + n, 2, "%c", *c));
	snprintf(line + n, sizeof line - n, " >%s 2>&1", log.s);
	rc = system(line);
	p = file_get_all(log.s, &n);
	text_put(out, p, n);
	text_put(out, "", 1);
	free(p);
	dirs_remove(to.s);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128;
}

static void one(enum kind k, enum use u, char want)
{
	struct text out = { 0 };
	int rc = call(k, u, &out), status = -1;
	const char *rule = NULL;
	size_t i;

	produced_in(out.s);
	for (i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
		if (outcomes[i].is == want) {
			status = outcomes[i].status;
			rule = outcomes[i].rule;
		}
	if (want == 'x' || want == 'p') {
		status = refusals[k].status;
		rule = refusals[k].rule;
	}
	if (rc != status || (rule && !produced_names(out.s, rule))) {
		check_failed++;
		fprintf(stderr, "%s, %s %s: expected %d %s, got %d:\n%.700s\n", kind_rows[k].id,
			use_rows[u].verb, use_rows[u].arg, status, rule ? rule : "", rc, out.s);
	}
	/* the table that the program asks says the same */
	if (k != KIND_ARCHIVE) /* which most verbs see as what it restores */
		CHECK_IN(kind_rows[k].id, (want == 'x') == !kind_takes(k, u));
	text_free(&out);
}

static void every_verb_on_every_kind(void)
{
	unsigned k, u;

	make();
	for (k = 0; k < KINDS; k++) {
		CHECK_IN(kind_rows[k].id, made[k].s[0]);
		CHECK_IN(kind_rows[k].id, expected[k] && strlen(expected[k]) == USES);
		CHECK_IN(kind_rows[k].id, (kind_rows[k].rule == RULE_COUNT) == !refusals[k].rule);
		for (u = 0; expected[k] && made[k].s[0] && u < strlen(expected[k]); u++)
			one((enum kind)k, (enum use)u, expected[k][u]);
	}
}

/* Verbs that open no folder of weights. */
static const char *const none[] = { "finalize", "help", "pack", "status", "unpack", "version",
	"kinds", "layouts", "roles", "rules", "targets" };

static bool has_row(const char *verb)
{
	size_t i;

	for (i = 0; i < sizeof none / sizeof *none; i++)
		if (!strcmp(none[i], verb))
			return true;
	for (i = 0; i < USES; i++)
		if (!strcmp(use_rows[i].verb, verb))
			return true;
	return false;
}

/* A verb that is added has its row in kind.c, and a call here. */
static void every_verb_has_a_row(void)
{
	static const char *const tools[] = { "dsv4-convert", "dsv4-verify" };
	char line[400], verb[40];
	size_t i, n = 0;
	FILE *f;

	for (i = 0; i < 2; i++) {
		snprintf(line, sizeof line, "%.200s/%s help", build(), tools[i]);
		f = popen(line, "r");
		while (f && fgets(line, sizeof line, f))
			if (sscanf(line, "  %39[a-z-] ", verb) == 1 && !strncmp(line, "  ", 2)) {
				CHECK_IN(verb, has_row(verb));
				n++;
			}
		CHECK(f && !pclose(f));
	}
	CHECK(n > 20);
	for (i = 0; i < KINDS; i++) /* a kind stands once */
		for (n = 0; n < i; n++)
			CHECK_IN(kind_rows[i].id,
				strcmp(kind_rows[i].id, kind_rows[n].id) &&
					strcmp(kind_rows[i].text, kind_rows[n].text));
	for (i = 0; i < USES; i++)
		CHECK_IN(use_rows[i].verb ? use_rows[i].verb : "?",
			use_rows[i].verb && calls[i].call);
}

/* Other checkpoints of the same kinds. */
static void other_forms(void)
{
	static const struct {
		void (*change)(struct ck *c);
		const char *rule;
		int status; /* of doctor, which reads NVFP4 */
		const char *finds;
	} forms[] = { { nvfp4_by_names, "kind.nvfp4", 1, "form.matrix" },
		{ quark_by_config, "kind.quark", 2, "kind.quark" } };
	struct path p;
	struct ck *c;
	size_t i;

	make();
	for (i = 0; i < sizeof forms / sizeof *forms; i++) {
		c = ck_load(FLASH);
		forms[i].change(c);
		p = ck_write(c, "form");
		ck_free(c);
		says_of("dsv4-convert inspect", p.s, "", 2, forms[i].rule);
		says_of("dsv4-verify doctor", p.s, "", forms[i].status, forms[i].finds);
	}
	p = model_file(made[KIND_GGUF].s, "x.gguf");
	says_of("dsv4-convert inspect", p.s, "", 0, NULL);
	says_of("dsv4-convert plan", p.s, "-t hf -o /nonexistent/x", 2, "kind.gguf");
	p = dirs_path("cut.gguf");
	file_put_all(p.s, "GGUF\3\0\0", 8);
	says_of("dsv4-convert inspect", p.s, "", 1, "gguf.cut");
	says_of("dsv4-verify check", p.s, "", 1, "gguf.cut");
}

/* doctor examines the folder that was named, and not what a conversion keeps of its source. */
static void doctor_looks_at_the_folder(void)
{
	struct path p = dirs_path("fp8");

	convert_to("run", FLASH, p.s, "-t hf --experts fp8");
	says_of("dsv4-verify doctor", p.s, "", 0, NULL);
	run("cd %s && sed -i 's/\"expert_dtype\": *\"fp8\"/\"expert_dtype\": \"fp4\"/' config.json",
		p.s);
	says_of("dsv4-verify doctor", p.s, "", 1, "config.expert-dtype-wrong");
}

/* A manifest.json of another program makes no conversion of a download. */
static void manifests_of_others(void)
{
	struct path p = model_copy(FLASH, "manifest");

	model_put(p.s, "manifest.json", "{\"files\": []}", 13);
	says_of("dsv4-convert inspect", p.s, "", 0, NULL);
	says_of("dsv4-verify check", p.s, "", 0, NULL);
}

/* Whatever call of the system fails: the same answer, or none; and nothing stays open. */
static void failing_calls(void)
{
	static const enum kind some[] = { KIND_DOWNLOAD, KIND_SNAPSHOT, KIND_PARTIAL,
		KIND_HF_SOURCE, KIND_SET, KIND_RANK, KIND_UNFINISHED, KIND_BROKEN, KIND_NVFP4,
		KIND_CACHE };
	struct ckpt_opts co = { 0 };
	struct faultio f;
	struct folder at;
	struct err e;
	uint64_t n, i, tried = 0;
	size_t k;
	enum kind is;

	make();
	for (k = 0; k < sizeof some / sizeof *some; k++) {
		for (i = 0, n = 0; i <= n; i++) {
			faultio_make(&f);
			f.op = IO_ANY;
			f.at = i;
			f.error = EIO;
			e = (struct err){ 0 };
			is = some[k];
			/* check takes nearly all, and reads the headers of downloads */
			if (!folder_open(&at, &f.io, made[some[k]].s, USE_CHECK, &co, &e)) {
				is = at.kind;
				folder_close(&at);
			}
			CHECK_IN(kind_rows[some[k]].id, is == some[k]);
			CHECK_IN(kind_rows[some[k]].id, !f.n_open && !f.strange);
			n = i ? n : f.calls[IO_ANY];
			tried++;
		}
	}
	printf("     %llu calls\n", (unsigned long long)tried);
}

/* A set without stages that was broken off, before source/ was made: its folders of ranks lie there alone. */
static void sets_broken_off(void)
{
	struct path set = dirs_path("broken-set");

	make();
	convert_to("run", FLASH, set.s, "-t marlin-mxfp4 --ranks 2");
	run("rm -r %s/manifest.json %s/source", set.s, set.s);
	says_of("dsv4-verify check", set.s, "", 2, "kind.rank"); /* it looks like a stage */
	run("rm %s/rank-1-of-2/manifest.json", set.s);
	says_of("dsv4-verify check", set.s, "", 1, "check.unfinished");
}

/* A set of some layers lacks tensors that no folder will bring: that is said, and not that folders are missing. */
static void sets_of_some_layers(void)
{
	struct path set = dirs_path("part-set"), out = dirs_path("part-out");

	make();
	convert_to("run", FLASH, set.s, "-t marlin-mxfp4 --layers 1-2");
	says_of("dsv4-verify check", set.s, "", 0, NULL);
	says_of("dsv4-verify doctor", set.s, "", 2, "kind.part");
	says_of("dsv4-verify logits " FLASH, set.s, "--tokens 5", 2, "kind.part");
	says_of("dsv4-convert restore -o", out.s, set.s, 2, "kind.part");
	says_of("dsv4-convert reshard --ranks 2 -o", out.s, set.s, 2, "kind.part");
}

static const struct test tests[] = {
	{ "every_verb_on_every_kind", every_verb_on_every_kind },
	{ "every_verb_has_a_row", every_verb_has_a_row },
	{ "other_forms", other_forms },
	{ "doctor_looks_at_the_folder", doctor_looks_at_the_folder },
	{ "manifests_of_others", manifests_of_others },
	{ "failing_calls", failing_calls },
	{ "sets_broken_off", sets_broken_off },
	{ "sets_of_some_layers", sets_of_some_layers },
	{ NULL, NULL },
};
TEST_MAIN(tests)
