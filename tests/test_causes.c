/* test_causes.c -- one fault is one finding that says what it is: checkpoints in which a single cause makes many
 * tensors unfit, the rule that must be found, words that must stand in it, words that must stand nowhere, and how
 * many errors there are in all.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "tests/ck.h"
#include "tests/verify.h"

enum case_base { GOLD, BASE, SPARK, BASES };

static struct path bases[BASES];

static void make(void)
{
	char line[700];

	if (bases[GOLD].s[0])
		return;
	snprintf(bases[GOLD].s, sizeof bases[GOLD].s, "%s", FLASH);
	bases[BASE] = dirs_path("base");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-base.json", bases[BASE].s);
	CHECK(!model_tool("mkmodel", line));
	bases[SPARK] = dirs_path("spark");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-spark.json",
		bases[SPARK].s);
	CHECK(!model_tool("mkmodel", line));
}

/* --- another type --- */

static bool is_quantized(const struct ck_tensor *t)
{
	return (!strcmp(t->type, "I8") || !strcmp(t->type, "F8_E4M3")) &&
		ck_ends(t->name, ".weight");
}

/* Weights with names that have a in them become BF16 of their full shape, without scales. */
static void plain(struct ck *c, const char *a)
{
	struct ck_tensor *t;
	uint64_t cols;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, a, ".scale"));)
		t->gone = !strstr(t->name, "hc_");
	for (i = 0; (t = ck_next(c, &i, a, ".weight"));)
		if (is_quantized(t)) {
			cols = t->dim[1] * (t->type[0] == 'I' ? 2 : 1);
			ck_retype(t, "BF16", t->dim[0], cols, 2 * t->dim[0] * cols);
			for (k = 1; k < t->n; k += 2)
				t->p[k] &= 0xbf; /* below 2: none is NaN */
		}
}

static void all_bf16(struct ck *c)
{
	plain(c, "");
}

static void experts_bf16(struct ck *c)
{
	plain(c, ".ffn.experts.");
}

static void dense_bf16(struct ck *c)
{
	plain(c, "attn.wo_b");
}

static void experts_int8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "I8", t->dim[0], 2 * t->dim[1], 2 * t->n);
}

static void dense_int8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_b.weight"));)
		strcpy(t->type, "I8");
}

/* --- another model, another draft, other names --- */

static void add(struct ck *c, const char *name, const char *type, uint64_t n)
{
	struct ck_tensor *t = &c->t[c->n++];

	memset(t, 0, sizeof *t);
	snprintf(t->name, sizeof t->name, "%s", name);
	snprintf(t->type, sizeof t->type, "%s", type);
	t->rank = 1;
	t->dim[0] = n;
	t->n = (size_t)n * (type[0] == 'F' ? 4 : 2);
	t->p = malloc(t->n + 1);
	memset(t->p, 0x3c, t->n);
	c->dirty[0] = true;
}

static void vision(struct ck *c)
{
	char name[64];
	int i;

	add(c, "vision.blocks.0.attn.wqkv.weight", "BF16", 96);
	add(c, "aligner.w1.bias", "BF16", 96);
	add(c, "image_start", "BF16", 96);
	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "layers.%d.ffn.gate.bias_vl", i);
		add(c, name, "F32", 8);
	}
	add(c, "layers.0.ffn.gate.bias", "F32", 8);
}

static void older_config(struct ck *c)
{
	const char *key;
	void *tmp;
	json_t *v, *a = json_object_get(c->config, "compress_ratios");
	size_t layers = (size_t)json_integer_value(json_object_get(c->config, "num_hidden_layers"));

	c->new_config = true;
	json_object_foreach_safe(c->config, tmp, key, v) if (!strncmp(key, "dspark_", 7))
		json_object_del(c->config, key);
	while (json_array_size(a) > layers + 1)
		json_array_remove(a, json_array_size(a) - 1);
	ck_config(c, "num_nextn_predict_layers", "1");
}

static void wrapped(struct ck *c)
{
	struct ck_tensor *t;
	char name[120];
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, NULL));) {
		snprintf(name, sizeof name, "model.%.100s", t->name);
		strcpy(t->name, name);
	}
}

/* --- what was left out --- */

static void gone(struct ck *c, const char *a, const char *b)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, a, b));)
		t->gone = true;
}

static void no_draft(struct ck *c)
{
	gone(c, "mtp.", NULL);
}

static void no_layers(struct ck *c)
{
	gone(c, "layers.0.", NULL);
	gone(c, "layers.1.", NULL);
}

static void no_tables(struct ck *c)
{
	gone(c, NULL, ".tid2eid");
}

/* Half of the experts are taken out, the tables are not made anew. */
static void pruned(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", NULL));)
		t->gone = atoi(strstr(t->name, ".experts.") + 9) >= 4;
	for (i = 0; (t = ck_next(c, &i, NULL, "ffn.gate.weight"));)
		ck_retype(t, "BF16", 4, t->dim[1], t->n / 2);
	for (i = 0; (t = ck_next(c, &i, NULL, "ffn.gate.bias"));)
		ck_retype(t, "F32", 4, 0, t->n / 2);
	ck_config(c, "n_routed_experts", "4");
}

/* Gains under the names that some tools give them: no scales of anything. */
static void gains_renamed(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "hc_attn_scale", NULL));)
		strcpy(strstr(t->name, "hc_attn_scale"), "attn_hc.scale");
}

/* clang-format off */
static const struct row {
	const char *name;
	enum case_base base;
	void (*change)(struct ck *c);
	const char *rule;
	const char *says, *not_said; /* NULL: nothing is forbidden */
	unsigned errors;             /* findings of the rule's kind or worse, in all */
} rows[] = {
	{ "all_bf16_q",   GOLD,  all_bf16,      "kind.bf16",    "", "download", 1 },
	{ "experts_bf16", GOLD,  experts_bf16,  "kind.bf16",    "", "fp4", 1 },
	{ "experts_bf16", BASE,  experts_bf16,  "kind.bf16",    "", "fp8", 1 },
	{ "dense_bf16",   GOLD,  dense_bf16,    "model.dequantized",    "attn.wo_b", "download", 1 },
	{ "experts_int8", GOLD,  experts_int8,  "model.number-format",  "integers", "fp4", 1 },
	{ "dense_int8",   GOLD,  dense_int8,    "model.number-format",  "integers", "fp4", 1 },
	{ "vision",       GOLD,  vision,        "kind.vision",        "", "remove", 1 },
	{ "spark",        SPARK, older_config,  "config.drafter",       "DSpark", "num_nextn", 1 },
	{ "prefix_model", GOLD,  wrapped,       "kind.prefixed",        "", "missing", 1 },
	{ "no_draft",     GOLD,  no_draft,      "model.draft-missing",  "left out", NULL, 1 },
	{ "no_layers",    GOLD,  no_layers,     "model.missing",        "layers 0 to 1", "num_hash_layers", 1 },
	{ "no_tables",    GOLD,  no_tables,     "model.missing",        "tid2eid", "num_hash_layers", 1 },
	{ "pruned",       GOLD,  pruned,        "data.expert-pruned",   "taken out", "download", 1 },
	{ "gains",        GOLD,  gains_renamed, "model.dialect",        "attn_hc.scale", "power of two", 1 },
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

/* A shard of which nothing is left is no shard. */
static void drop_empty(const struct ck *c, const char *dir)
{
	bool full[CK_SHARDS] = { false };
	size_t i;

	for (i = 0; i < c->n; i++)
		full[c->t[i].shard] = full[c->t[i].shard] || !c->t[i].gone;
	for (i = 0; i < c->n_shards; i++)
		if (!full[i])
			unlink(model_file(dir, c->shard[i]).s);
}

static bool holds(const struct row *w)
{
	struct ck *c = ck_load(bases[w->base].s);
	const struct report_finding *f;
	struct text all = { 0 };
	struct path dir;
	struct report r;
	unsigned errors = 0;
	size_t i;
	int rc;
	bool ok;

	w->change(c);
	dir = ck_write(c, "cause");
	drop_empty(c, dir.s);
	ck_free(c);
	rc = ck_doctor(&r, dir.s, NULL, NULL, false);
	f = verify_find(&r, w->rule, NULL);
	for (i = 0; i < r.n; i++)
		errors += r.findings[i].kind != ERR_NONE;
	report_put_text(&r, false, &all);
	ok = f && strstr(f->cause, w->says) && errors == w->errors &&
		rc == (rule_find(w->rule)->kind == ERR_UNSUPPORTED ? 2 : 1) &&
		(!w->not_said || !strstr(all.s, w->not_said));
	if (!ok)
		fprintf(stderr, "%s: status %d, %u errors\n%s", w->name, rc, errors, all.s);
	text_free(&all);
	report_free(&r);
	return ok;
}

static void causes(void)
{
	int i;

	make();
	for (i = 0; i < ROWS; i++)
		CHECK_IN(rows[i].name, holds(&rows[i]));
}

/* Thousands of odd names: one line each for some kinds of them, one for all others, in no time. */
static void many(void)
{
	struct ck *c = ck_load(FLASH);
	struct path dir;
	struct report r;
	char name[64];
	int i;

	for (i = 0; i < 1500; i++) {
		snprintf(name, sizeof name, "x%c%c%c.weight", 'a' + i % 26, 'a' + i / 26 % 26,
			'a' + i / 676);
		add(c, name, "BF16", 4);
	}
	dir = ck_write(c, "many");
	ck_free(c);
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 1);
	CHECK(r.errors == 65);
	report_free(&r);
}

static const struct test tests[] = { { "causes", causes }, { "causes_many", many },
	{ NULL, NULL } };
TEST_MAIN(tests)
