/* test_dtypes.c -- every dtype in the place of every other: what a header says decides which kernel reads the
 * bytes, so `logits` must refuse each of them with a rule, and never read beyond what is there (this test runs
 * under ASan too).
 *
 * A substitution keeps the bytes and changes the last dimension so that they fit, or keeps the shape and
 * makes as many bytes as it needs. One tensor of each role is taken, and its scale.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "verify/run/compute.h"

/* Exit status and rule of `logits source made`, one token. */
static int logits_of(const char *source, const char *made, char rule[64])
{
	struct compute_opts o = {
		.io = io_posix(), .features = cpu_features(), .threads = 1, .tokens = "5"
	};
	struct err e = { 0 };
	struct report r;
	const char *name;

	report_begin(&r, "test 0", "logits", source, made);
	if (compute_logits(&r, source, made, &o, &e))
		name = e.rule;
	else
		name = report_finish(&r, &e) ? r.findings[0].rule : NULL;
	snprintf(rule, 64, "%s", name ? name : "");
	report_free(&r);
	return err_exit_code(&e);
}

/* The name of a tensor without numbers: what is alike for all layers and experts. */
static void role_of(const char *name, char role[160])
{
	size_t n = 0;

	for (; *name && n < 159; name++)
		if (*name < '0' || *name > '9' || strspn(name - 1, "wt"))
			role[n++] = *name;
	role[n] = 0;
}

/* Whether tensor i is the first of its role among those of its shard or earlier ones. */
static bool first_of_role(const struct ck *c, size_t i)
{
	char mine[160], other[160];
	size_t k;

	role_of(c->t[i].name, mine);
	for (k = 0; k < i; k++) {
		role_of(c->t[k].name, other);
		if (!strcmp(mine, other))
			return false;
	}
	return strncmp(c->t[i].name, "mtp.", 4) != 0; /* logits computes no stage */
}

/* The same bytes as another dtype; false where they make no whole number of rows of it. */
static bool respell(struct ck_tensor *t, const struct dtype_row *d)
{
	uint64_t rows = 1, bits;
	unsigned i;

	for (i = 0; i + 1 < t->rank; i++)
		rows *= t->dim[i];
	bits = t->n * 8 / rows;
	if (!t->rank || bits % d->bits)
		return false;
	t->dim[t->rank - 1] = bits / d->bits;
	snprintf(t->type, sizeof t->type, "%s", d->name);
	return true;
}

/* The same shape in another dtype, with as many bytes as that needs; false: no whole number. */
static bool resize(struct ck_tensor *t, const struct dtype_row *d)
{
	uint64_t bits = d->bits;
	unsigned i;

	for (i = 0; i < t->rank; i++)
		bits *= t->dim[i];
	if (bits % 8)
		return false;
	t->n = (size_t)(bits / 8); /* there is room for 8 bytes an element */
	snprintf(t->type, sizeof t->type, "%s", d->name);
	return true;
}

/* Gives each tensor room for the widest dtype. */
static void widen(struct ck *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		c->t[i].p = realloc(c->t[i].p, 16 * c->t[i].n + 16);
		memset(c->t[i].p + c->t[i].n, 0, 15 * c->t[i].n + 16);
	}
}

/* What is made of one shard of a folder: t as d, in the one file, or in all that have it. */
static void one_case(struct ck *c, size_t i, const struct dtype_row *d, bool same_bytes, bool all,
	const char *source, const char *dir)
{
	struct ck_tensor was[CK_SHARDS];
	unsigned n = 0, s;
	size_t at[CK_SHARDS], k;
	char rule[64], text[256];
	bool ok = true;
	int rc;

	for (k = 0; k < c->n && n < CK_SHARDS; k++)
		if (k == i || (all && !strcmp(c->t[k].name, c->t[i].name))) {
			was[n] = c->t[k];
			at[n++] = k;
			ok = ok && (same_bytes ? respell : resize)(&c->t[k], d);
		}
	for (k = 0; ok && k < n; k++)
		c->dirty[c->t[at[k]].shard] = true;
	for (s = 0; ok && s < c->n_shards; s++) /* those of this case, and those of the last */
		if (c->dirty[s]) {
			unlink(model_file(dir, c->shard[s]).s); /* cheaper than to truncate it */
			ck_write_shard(c, s, dir);
		}
	if (ok) {
		memset(c->dirty, 0, sizeof c->dirty);
		rc = logits_of(source, dir, rule);
		snprintf(text, sizeof text, "%s %s as %s (%s, %s): exit %d %s", c->t[i].name,
			was[0].type, d->name, same_bytes ? "same bytes" : "same shape",
			all ? "every file" : "one file", rc, rule);
		/* 2: another kind of checkpoint, which is named */
		CHECK_IN(text, rc && rule[0]);
	}
	for (k = 0; k < n; k++) {
		c->t[at[k]] = was[k];
		c->dirty[was[k].shard] = c->dirty[was[k].shard] || ok; /* on disk */
	}
}

/* A model of three layers, one of each kind of attention, with all roles but those of stages. */
static const char *model(void)
{
	static struct path dir;
	char args[1024];

	if (dir.s[0])
		return dir.s;
	dir = dirs_path("model");
	snprintf(args, sizeof args,
		"%s --config " PRO
		"/config.json --set vocab_size=16 --set n_routed_experts=4 --set "
		"num_experts_per_tok=2 --set hidden_size=128 --set num_nextn_predict_layers=0 --set "
		"'compress_ratios=[0,4,128]'",
		dir.s);
	if (model_tool("mkmodel", args))
		FAILED("mkmodel");
	return dir.s;
}

/* Every dtype in every role of a folder that lies at made. */
static void substitute(const char *source, const char *made, bool ranks)
{
	struct ck *c = ck_load(made);
	struct path dir = model_copy(made, "substituted");
	unsigned d, s;
	size_t i, cases = 0;

	widen(c);
	for (s = 0; s < c->n_shards; s++) { /* files of our own, not links */
		unlink(model_file(dir.s, c->shard[s]).s);
		ck_write_shard(c, s, dir.s);
	}
	for (i = 0; i < c->n; i++)
		for (d = 0; first_of_role(c, i) && d < DT_COUNT; d++) {
			if (!strcmp(dtypes[d].name, c->t[i].type))
				continue;
			one_case(c, i, &dtypes[d], true, true, source, dir.s);
			one_case(c, i, &dtypes[d], false, true, source, dir.s);
			if (ranks)
				one_case(c, i, &dtypes[d], true, false, source, dir.s);
			cases++;
		}
	CHECK(cases > 500); /* roles times dtypes */
	ck_free(c);
}

static void rank_files(void)
{
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("mp2");

	CHECK(convert(&j, model(), out.s));
	substitute(model(), out.s, true);
}

static void rank_files_fp8(void)
{
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("mp2-fp8");

	j.plan.experts = EXPERT_FP8;
	CHECK(convert(&j, model(), out.s));
	substitute(model(), out.s, false);
}

static void checkpoint(void)
{
	substitute(model(), model(), false);
}

/* A copy of a tensor that every rank holds whole, damaged on one rank only. */
static void copies_differ(void)
{
	static const char *const names[] = { "layers.1.attn.wkv.weight", "layers.0.hc_attn_fn",
		"layers.2.ffn.gate.weight", "norm.weight", "layers.0.ffn.gate.tid2eid" };
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("copies"), dir = dirs_path("copies-of");
	char rule[64];
	struct ck *c;
	unsigned i;
	size_t k, at;

	CHECK(convert(&j, FLASH, out.s));
	c = ck_load(out.s);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		for (k = c->n; k-- > 0 && strcmp(c->t[k].name, names[i]) != 0;)
			;
		CHECK_IN(names[i], k < c->n && c->t[k].shard == 1);
		if (k >= c->n)
			continue;
		at = strstr(names[i], "tid2eid") ? 5 * 8 * c->t[k].dim[1] : 40; /* of token 5 */
		c->t[k].p[at] ^= 1;
		c->dirty[1] = true;
		dirs_remove(dir.s);
		dir = ck_write(c, "copies-of");
		CHECK_IN(names[i],
			logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "rank.copies"));
		c->t[k].p[at] ^= 1;
	}
	ck_free(c);
}

static void rank_gone(const char *dir)
{
	unlink(model_file(dir, "model1-mp2.safetensors").s);
}

static void rank_beyond(const char *dir)
{
	model_put(dir, "model2-mp4.safetensors", "x", 1);
}

/* Sets that are not whole, and experts where they do not belong. */
static void rank_sets(void)
{
	static const struct {
		const char *rule;
		void (*harm)(const char *dir);
	} cases[] = { { "rank.missing", rank_gone }, { "rank.mixed", rank_beyond } };
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("set2"), dir;
	char rule[64], name[64];
	struct ck *c;
	unsigned i;
	size_t k;

	CHECK(convert(&j, FLASH, out.s));
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "harmed%u", i);
		dir = model_copy(out.s, name);
		cases[i].harm(dir.s);
		CHECK_IN(cases[i].rule,
			logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, cases[i].rule));
	}
	c = ck_load(out.s);
	for (k = 0; k < c->n; k++)
		if (!strcmp(c->t[k].name, "layers.0.ffn.experts.0.w1.weight"))
			c->t[k].shard = 1; /* of rank 0 */
	c->dirty[0] = c->dirty[1] = true;
	dir = ck_write(c, "moved");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "model.scale-orphan"));
	for (k = 0; k < c->n; k++)
		if (!strcmp(c->t[k].name, "layers.0.ffn.experts.0.w1.scale"))
			c->t[k].shard = 1;
	dir = ck_write(c, "moved2");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "rank.expert-twice"));
	for (k = 0; k < c->n; k++)
		c->t[k].gone = !strncmp(c->t[k].name, "layers.0.ffn.experts.0.w1", 25);
	dir = ck_write(c, "lost");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "model.missing"));
	ck_free(c);
}

static const struct test tests[] = {
	{ "rank_files", rank_files },
	{ "rank_files_fp8", rank_files_fp8 },
	{ "checkpoint", checkpoint },
	{ "copies_differ", copies_differ },
	{ "rank_sets", rank_sets },
	{ NULL, NULL },
};
TEST_MAIN(tests)
