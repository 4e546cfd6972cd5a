/* test_cases.c -- the public failures that docs/cases.md lists, each as a small checkpoint damaged in that
 * way, and what has to be found in it; and beyond them what else dsv4-verify doctor finds.
 *
 * A row: the number of the case (0: none of them), where it begins, what is done to the tensors and config.json
 * in memory, what to the files afterwards, who looks, and the rule that must be among the findings.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/damage_files.h"
#include "tests/damage_tensors.h"
#include "tests/verify.h"

/* --- where cases begin: each is made once --- */

enum case_base { GOLD, GOLD_PRO, BASE, CAST, CAST_E8M0, RANKS, SETS, SHAPED, BASES };

static struct path bases[BASES];

/* A model whose channels differ in size, as trained ones do: every third pair has its first channel small. */
static void make_shaped(void)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, ".ffn.", ".weight"));) {
		bool routed = strstr(t->name, ".experts.");

		if (ck_ends(t->name, "w2.weight") || t->rank != 2)
			continue;
		for (k = 0; routed && k < t->n; k++)
			if (k * 7 % 3 == 0)
				t->p[k] &= (uint8_t)~0x06; /* 0 or 0.5 */
		for (k = 0; strstr(t->name, "shared") && k < t->n; k += 2)
			if (k / 2 * 7 % 3 == 0)
				t->p[k] &= 0x9f; /* at most 2^-2 */
	}
	bases[SHAPED] = ck_write(c, "shaped");
	ck_free(c);
}

static void make(void)
{
	struct job_opts o;
	struct model_job j;
	char line[700];

	if (bases[GOLD].s[0])
		return;
	snprintf(bases[GOLD].s, sizeof bases[GOLD].s, "%s", FLASH);
	snprintf(bases[GOLD_PRO].s, sizeof bases[GOLD_PRO].s, "%s", PRO);
	bases[BASE] = dirs_path("base");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-base.json", bases[BASE].s);
	CHECK(!model_tool("mkmodel", line));
	bases[CAST] = dirs_path("cast");
	j = model_job("hf", 1);
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, bases[CAST].s));
	bases[CAST_E8M0] = dirs_path("cast-e8m0");
	j.plan.scales = SCALES_E8M0;
	CHECK(convert(&j, FLASH, bases[CAST_E8M0].s));
	bases[RANKS] = dirs_path("ranks");
	j = model_job("official", 2);
	CHECK(convert(&j, FLASH, bases[RANKS].s));
	bases[SETS] = dirs_path("sets");
	o = set_opts("kmajor-sf128", 2, false);
	CHECK(set_makes(FLASH, bases[SETS].s, &o));
	make_shaped();
}

/* --- the cases --- */

#define DOCTOR NULL
#define PLAN "plan --target trtllm-mxfp4 --experts-by tp --ranks 16"
#define PLAN32 "plan --target megamoe --experts-by tp --ranks 32"
#define PLAN_A "plan --target trtllm-mxfp4 --attention tp --ranks 16"
#define CHECK_VERB "check"

/* clang-format off */
static const struct row {
	unsigned n;
	enum case_base base;
	void (*change)(struct ck *c);
	void (*after)(const char *dir);
	const char *verb; /* NULL: doctor; "check"; else arguments of dsv4-convert */
	const char *engine;
	const char *rule;
} rows[] = {
	{ 1,  BASE,   scales_as_numbers,      NULL, DOCTOR, NULL,     "data.scale-number" },
	{ 2,  GOLD,   experts_named_fp8,      NULL, DOCTOR, NULL,     "model.packed" },
	{ 3,  GOLD,   experts_by_byte,        NULL, DOCTOR, NULL,     "model.packed" },
	{ 4,  CAST,   no_expert_dtype,        NULL, DOCTOR, "vllm",   "engine.default" },
	{ 5,  CAST,   NULL,                   NULL, DOCTOR, "sglang", "engine.setting" },
	{ 6,  GOLD,   no_expert_dtype,        NULL, DOCTOR, NULL,     "config.expert-dtype-missing" },
	{ 8,  GOLD,   scale_gone,             NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 9,  GOLD,   attention_left_out,     NULL, DOCTOR, NULL,     "config.quant-excluded" },
	{ 10, GOLD,   quant_stale,            NULL, DOCTOR, NULL,     "config.quant" },
	{ 11, SETS,   NULL,                gate_up, CHECK_VERB, NULL, "check.chunk" },
	{ 12, SHAPED, nibbles_split,          NULL, DOCTOR, NULL,     "suspect.nibble-order" },
	{ 13, SHAPED, nibbles_exchanged,      NULL, DOCTOR, NULL,     "suspect.nibble-order" },
	{ 13, SHAPED, sixteen_gone,           NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 14, GOLD,   fp32_as_bf16,           NULL, DOCTOR, NULL,     "model.dtype" },
	{ 15, GOLD,   ids_as_bf16,            NULL, DOCTOR, NULL,     "model.dtype" },
	{ 16, GOLD,   through_bf16,           NULL, DOCTOR, NULL,     "suspect.narrowed" },
	{ 17, BASE,   draft_head_gone,        NULL, DOCTOR, NULL,     "model.missing" },
	{ 18, GOLD,   draft_experts_gone,     NULL, DOCTOR, NULL,     "model.missing" },
	{ 19, GOLD,   draft_anew,             NULL, DOCTOR, NULL,     "suspect.constant" },
	{ 20, GOLD,   draft_in_fp8,           NULL, DOCTOR, NULL,     "model.mixed" },
	{ 21, GOLD,   draft_projections_gone, NULL, DOCTOR, NULL,     "model.missing" },
	{ 22, GOLD,   no_draft_said,          NULL, DOCTOR, NULL,     "config.stages" },
	{ 23, GOLD,   other_names,            NULL, DOCTOR, NULL,     "model.dialect" },
	{ 24, GOLD,   scales_of_nvfp4,        NULL, DOCTOR, NULL,     "model.scale-form" },
	{ 25, GOLD,   scales_gone,            NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 26, SETS,   NULL,             rows_moved, CHECK_VERB, NULL, "check.chunk" },
	{ 27, GOLD_PRO, NULL,                 NULL, PLAN,   NULL,     "plan.split" },
	{ 28, GOLD_PRO, NULL,                 NULL, PLAN32, NULL,     "plan.split" },
	{ 29, GOLD_PRO, NULL,                 NULL, PLAN_A, NULL,     "plan.split" },
	{ 30, RANKS,  sinks_whole,            NULL, DOCTOR, NULL,     "rank.shape" },
	{ 32, SETS,   NULL,             part_wrong, CHECK_VERB, NULL, "check.chunk" },
	{ 33, RANKS,  experts_twice,          NULL, DOCTOR, NULL,     "rank.expert-twice" },
	{ 34, RANKS,  NULL,              rank_gone, DOCTOR, NULL,     "rank.missing" },
	{ 34, RANKS,  NULL,              rank_more, DOCTOR, NULL,     "rank.mixed" },
	{ 35, GOLD,   NULL,                    cut, DOCTOR, NULL,     "st.truncated" },
	{ 35, GOLD,   NULL,                   hole, DOCTOR, NULL,     "data.zeros" },
	{ 36, GOLD,   NULL,             shard_gone, DOCTOR, NULL,     "index.shard-missing" },
	{ 37, GOLD,   not_in_shard,           NULL, DOCTOR, NULL,     "index.not-in-shard" },
	{ 38, GOLD,   NULL,                    cut, DOCTOR, NULL,     "st.truncated" },
	{ 39, GOLD,   NULL,              most_gone, DOCTOR, NULL,     "index.shard-missing" },
	{ 40, GOLD,   new_type,               NULL, DOCTOR, NULL,     "st.dtype-unknown" },
	{ 41, GOLD,   NULL,           header_zeros, DOCTOR, NULL,     "file.zeros" },
	{ 42, RANKS,  NULL,               cut_rank, DOCTOR, NULL,     "st.truncated" },
	{ 43, GOLD,   layers_gone,            NULL, DOCTOR, NULL,     "model.missing" },
	{ 51, GOLD,   draft_among_layers,     NULL, DOCTOR, NULL,     "index.draft-mixed" },
	{ 53, GOLD,   renamed_config,         NULL, DOCTOR, NULL,     "config.dialect" },
	{ 54, GOLD,   ratios_cut,             NULL, DOCTOR, NULL,     "config.stages" },
	{ 55, GOLD,   wo_a_in_bf16,           NULL, DOCTOR, NULL,     "model.dequantized" },

	{ 0,  CAST,   experts_called_fp4,     NULL, DOCTOR, NULL,     "config.expert-dtype-wrong" },
	{ 0,  GOLD,   tied,                   NULL, DOCTOR, NULL,     "config.tied" },
	{ 0,  GOLD,   heads_wrong,            NULL, DOCTOR, NULL,     "config.field-tensors" },
	{ 0,  GOLD,   hash_wrong,             NULL, DOCTOR, NULL,     "config.field-tensors" },
	{ 0,  GOLD,   norm_nan,               NULL, DOCTOR, NULL,     "data.not-finite" },
	{ 0,  GOLD,   scale_255,              NULL, DOCTOR, NULL,     "data.scale-nan" },
	{ 0,  GOLD,   scale_0,                NULL, DOCTOR, NULL,     "suspect.scale-zero" },
	{ 0,  GOLD,   scale_0,                NULL, DOCTOR, "marlin-mxfp4", "data.scale-range" },
	{ 0,  CAST,   NULL,                   NULL, DOCTOR, "marlin-mxfp4", "plan.engine-form" },
	{ 0,  GOLD,   code_nan,               NULL, DOCTOR, NULL,     "data.fp8-nan" },
	{ 0,  GOLD,   id_wrong,               NULL, DOCTOR, NULL,     "data.expert-id" },
	{ 0,  GOLD,   id_twice,               NULL, DOCTOR, NULL,     "suspect.expert-twice" },
	{ 0,  GOLD,   embed_zeros,            NULL, DOCTOR, NULL,     "suspect.zeros" },
	{ 0,  GOLD,   reciprocals,            NULL, DOCTOR, NULL,     "suspect.reciprocal" },
	{ 0,  GOLD,   folded,                 NULL, DOCTOR, NULL,     "suspect.scale-outlier" },
	{ 0,  GOLD,   far_apart,              NULL, DOCTOR, "official-fp8", "suspect.cast-spread" },
	{ 0,  GOLD,   NULL,                pointer, DOCTOR, NULL,     "file.pointer" },
	{ 0,  GOLD,   NULL,                   page, DOCTOR, NULL,     "file.page" },
	{ 0,  RANKS,  uneven,                 NULL, DOCTOR, NULL,     "rank.uneven" },
	{ 0,  CAST_E8M0, NULL,                NULL, DOCTOR, "vllm",   "engine.scales" },
	{ 0,  CAST_E8M0, NULL,                NULL, DOCTOR, "sglang", "engine.setting" },
	{ 0,  GOLD,   dense_in_f32,           NULL, DOCTOR, "vllm",   "engine.setting" },
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

/* The folder of a row. */
static struct path prepare(const struct row *w)
{
	const char *from = bases[w->base].s;
	struct path dir;
	char line[1200];
	struct ck *c;

	if (w->base == SETS) {
		dir = dirs_path("case");
		dirs_remove(dir.s);
		snprintf(line, sizeof line, "cp -r %.500s %.500s", from, dir.s);
		CHECK(!system(line));
	} else if (w->change) {
		c = ck_load(from);
		w->change(c);
		dir = ck_write(c, "case");
		ck_free(c);
	} else {
		dir = model_copy(from, "case");
	}
	if (w->after)
		w->after(dir.s);
	return dir;
}

/* dsv4-convert with these arguments names the rule and does nothing. */
static bool refused(const struct row *w, const char *dir)
{
	char line[8192], out[4096];
	const char *b = getenv("B");
	size_t n;
	FILE *f;

	snprintf(line, sizeof line, "%s/dsv4-convert %s %.500s -o %.500s 2>&1",
		b ? b : "build/gcc-opt", w->verb, dir, dirs_path("none").s);
	f = popen(line, "r");
	n = f ? fread(out, 1, sizeof out - 1, f) : 0;
	out[n] = 0;
	produced_in(out);
	if (f && pclose(f) && strstr(out, w->rule))
		return true;
	fprintf(stderr, "%s: %s\n", line, out);
	return false;
}

static bool catches(const struct row *w)
{
	const struct report_finding *f;
	struct path dir = prepare(w);
	struct check_opts o = verify_opts();
	struct report r;
	int rc, want;
	bool ok;

	if (w->verb && strcmp(w->verb, CHECK_VERB) != 0)
		return refused(w, dir.s);
	rc = w->verb ? verify_check(&r, dir.s, &o) : ck_doctor(&r, dir.s, w->engine, NULL, false);
	f = verify_find(&r, w->rule, NULL);
	want = !f ? -1 : r.errors ? 1 : f->kind == ERR_NONE ? 0 : 2;
	ok = f && rc == want && f->cause && f->cause[0] && report_remedy(f)[0];
	if (!ok) {
		fprintf(stderr, "case %u, %s: status %d\n", w->n, w->rule, rc);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void cases(void)
{
	int i;

	make();
	for (i = 0; i < ROWS; i++)
		CHECK_IN(rows[i].rule, catches(&rows[i]));
}

/* --- nothing is found where nothing is wrong --- */

static bool sound(const char *dir, const char *engine, bool full)
{
	struct report r;
	int rc = ck_doctor(&r, dir, engine, NULL, full);
	bool ok = !rc && !r.n;

	if (!ok) {
		fprintf(stderr, "%s for %s:\n", dir, engine ? engine : "nobody");
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void healthy(void)
{
	static const char *const who[] = { NULL, "vllm", "sglang", "llama.cpp", "transformers",
		"official", "official-fp8", "marlin-mxfp4", "megamoe" };
	struct path spark;
	struct ck *c;
	char line[700];
	size_t i;
	int b;

	make();
	for (b = 0; b < BASES; b++) {
		CHECK_IN(bases[b].s, sound(bases[b].s, NULL, false));
		CHECK_IN(bases[b].s, sound(bases[b].s, NULL, true));
	}
	for (i = 0; i < sizeof who / sizeof *who; i++) {
		CHECK(sound(FLASH, who[i], false));
		/* its head_dim is its index_head_dim, as in no published model (tests/test_trap.c) */
		CHECK((who[i] && !strcmp(who[i], "llama.cpp")) || sound(PRO, who[i], false));
	}
	/* FP8 experts: with F32 scales they are right for vLLM, dense scales of either type */
	CHECK(sound(bases[CAST].s, "vllm", false) && sound(bases[BASE].s, "vllm", false));
	c = ck_load(bases[BASE].s);
	dense_in_e8m0(c);
	CHECK(sound(ck_write(c, "mixed").s, "vllm", false));
	ck_free(c);
	spark = dirs_path("spark");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-spark.json", spark.s);
	CHECK(!model_tool("mkmodel", line));
	CHECK(sound(spark.s, NULL, true));
}

/* --- the page and the README say what is true --- */

static void pages(void)
{
	char line[400], want[64], rule[80];
	bool listed[57] = { false }, caught[57] = { false };
	unsigned n, all = 0, count = 0, wrong = 0;
	FILE *f = fopen("docs/cases.md", "r");
	size_t len;
	char *readme;
	int i;

	for (i = 0; i < ROWS; i++)
		caught[rows[i].n] = true;
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "| %u | ", &n) != 1 || n < 1 || n > 56 || listed[n])
			continue;
		listed[n] = true;
		all++;
		count += strstr(line, "| no |") == NULL;
		wrong += caught[n] != (strstr(line, "| no |") == NULL);
		for (i = 0; i < ROWS; i++) {
			snprintf(rule, sizeof rule, "`%s`", rows[i].rule);
			if (rows[i].n == n && !strstr(line, rule)) {
				fprintf(stderr, "docs/cases.md: case %u lacks %s\n", n, rule);
				wrong++;
			}
		}
	}
	if (f)
		fclose(f);
	CHECK(all == 56 && !wrong && count >= 45);
	snprintf(want, sizeof want, "%u of 56", count);
	readme = (char *)file_get_all("README.md", &len);
	readme[len] = 0;
	CHECK_IN(want, strstr(readme, want));
	free(readme);
	readme = (char *)file_get_all("docs/cases.md", &len);
	readme[len] = 0;
	CHECK_IN(want, strstr(readme, want));
	free(readme);
}

/* Whether tests/FILE.c names the rule. */
static bool tested(const char *file, const char *rule)
{
	char path[80], want[80];
	char *s;
	size_t n;
	bool there;

	snprintf(path, sizeof path, "tests/%.60s.c", file);
	snprintf(want, sizeof want, "\"%.70s\"", rule);
	s = is_file(path) ? (char *)file_get_all(path, &n) : NULL;
	if (s)
		s[n] = 0;
	there = s && strstr(s, want);
	free(s);
	return there;
}

/* Whether the last column of the line is a test program that there is. */
static bool names_test(const char *line)
{
	const char *end = strstr(line, " |\n"), *at = end;
	char file[80];

	while (at && at > line && at[-1] != ' ')
		at--;
	if (!at || at == end)
		return false;
	snprintf(file, sizeof file, "tests/%.*s.c", (int)(end - at), at);
	return is_file(file);
}

/* The second table: numbers 57 to 102, each with a rule that there is and a test that names it, or a reason. */
static void more_pages(void)
{
	char line[500], rule[80], test[80], want[64];
	char *tick, *end, *page;
	unsigned n, all = 0, caught = 45, coped = 0;
	FILE *f = fopen("docs/cases.md", "r");
	size_t len;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "| %u | ", &n) != 1 || n < 57)
			continue;
		CHECK(n == 57 + all++);
		caught += !strstr(line, "| no |");
		coped += strstr(line, "| machine |") && strstr(line, "| no |") &&
			strstr(line, "a run") && names_test(line);
		tick = strchr(line, '`');
		end = strstr(line, " |\n");
		if (!tick || strstr(line, "| no |") || strstr(line, "| replay |"))
			continue;
		CHECK_IN(line, sscanf(tick, "`%70[a-z0-9.-]`", rule) == 1 && rule_find(rule));
		while (end && end > line && end[-1] != ' ')
			end--;
		CHECK_IN(line, end && sscanf(end, "%70s", test) == 1 && tested(test, rule));
	}
	if (f)
		fclose(f);
	CHECK(all == 46);
	CHECK(coped == 5); /* the page says so */
	snprintf(want, sizeof want, "**%u of 102**", caught);
	page = (char *)file_get_all("docs/cases.md", &len);
	page[len] = 0;
	CHECK_IN(want, strstr(page, want));
	free(page);
}

static const struct test tests[] = {
	{ "healthy", healthy },
	{ "cases", cases },
	{ "cases_page", pages },
	{ "cases_page_more", more_pages },
	{ NULL, NULL },
};
TEST_MAIN(tests)
