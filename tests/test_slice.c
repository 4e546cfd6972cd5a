/* test_slice.c -- a part of a model is a model: sound, with the weights of the source, the router cut to
 * the experts that are left; and what would be none is refused.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/set.h"

static struct job_opts slice_opts(const char *layers, uint64_t keep)
{
	struct job_opts o = set_opts("slice", 1, false);

	o.plan.share = (struct share){ 0 };
	o.plan.layers = layers;
	o.plan.keep = keep;
	return o;
}

/* Opens a folder that must be sound. */
static bool sound(struct ckpt *c, const char *dir)
{
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	struct err e = { 0 };
	struct audit a;
	bool ok = !ckpt_open(c, io_posix(), dir, &co, &f, &e);

	ok = ok && !audit_make(&a, c, CODEC_NONE, &f, &e);
	if (ok)
		audit_free(&a);
	if (f.total)
		fprintf(stderr, "%s: %s\n", dir, f.v[0].text);
	ok = ok && !f.total;
	finding_free(&f);
	return ok;
}

static uint8_t *bytes_of(const struct ckpt *c, const struct tensor *t)
{
	uint8_t *p = malloc(t->end - t->begin + 1);
	struct err e = { 0 };

	CHECK_IN(t->name, !ckpt_read(c, t, 0, p, t->end - t->begin, &e));
	return p;
}

/* Ids of a row: those that are left and not doubled stay, all differ, all are left. */
static void check_ids(const int64_t *was, const int64_t *now, uint64_t rows, uint64_t width,
	uint64_t keep)
{
	uint64_t r, i, j;
	bool free_before;

	for (r = 0; r < rows; r++, was += width, now += width)
		for (i = 0; i < width; i++) {
			CHECK(now[i] >= 0 && (uint64_t)now[i] < keep);
			for (j = 0, free_before = true; j < i; j++) {
				CHECK(now[j] != now[i]);
				free_before = free_before && now[j] != was[i] % (int64_t)keep;
			}
			CHECK(!free_before || now[i] == was[i] % (int64_t)keep);
		}
}

/* Tensor t of the slice, whose layer was from; the source's has the same bytes, or begins with them. */
static void trace(const struct ckpt *src, const struct ckpt *out, const struct tensor *t,
	unsigned from, uint64_t keep)
{
	char name[256];
	const char *rest = strncmp(t->name, "layers.", 7) ? NULL : strchr(t->name + 7, '.');
	const struct tensor *s;
	uint8_t *a, *b;

	if (rest)
		snprintf(name, sizeof name, "layers.%u%s", (unsigned)atoi(t->name + 7) + from,
			rest);
	else
		snprintf(name, sizeof name, "%s", t->name);
	s = ckpt_find(src, name);
	CHECK_IN(name, s && s->dtype == t->dtype && s->end - s->begin >= t->end - t->begin);
	if (!s)
		return;
	a = bytes_of(src, s);
	b = bytes_of(out, t);
	if (strstr(name, "tid2eid"))
		check_ids((const int64_t *)(const void *)a, (const int64_t *)(const void *)b,
			t->dim[0], t->dim[1], keep);
	else
		CHECK_IN(name, !memcmp(a, b, t->end - t->begin));
	CHECK_IN(name, strstr(name, "ffn.gate.") || s->end - s->begin == t->end - t->begin);
	free(a);
	free(b);
}

static void slices(void)
{
	static const struct {
		const char *from, *layers;
		uint64_t keep, first, layers_left, hash_left, stages_left;
	} row[] = {
		{ FLASH, "0-3,mtp", 4, 0, 4, 2, 1 },
		{ FLASH, "1-2", 4, 1, 2, 1, 0 },
		{ FLASH, "2,3", 3, 2, 2, 0, 0 },
		{ FLASH, "0", 8, 0, 1, 1, 0 },
		{ FLASH, NULL, 5, 0, 4, 2, 1 },
		{ PRO, "0-1,mtp", 4, 0, 2, 1, 1 },
	};
	struct path out = dirs_path("mini"), set = dirs_path("set");
	struct ckpt src, mini;
	struct job_opts o;
	uint64_t keep;
	size_t i, k;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		o = slice_opts(row[i].layers, row[i].keep);
		CHECK_IN(row[i].from, set_makes(row[i].from, out.s, &o));
		CHECK_IN(row[i].from, sound(&src, row[i].from) && sound(&mini, out.s));
		keep = row[i].keep;
		CHECK(mini.config.L == row[i].layers_left && mini.config.E == keep);
		CHECK(mini.config.n_hash == row[i].hash_left &&
			mini.config.stages == row[i].stages_left);
		for (k = 0; k < mini.config.L; k++)
			CHECK(mini.config.ratio[k] == src.config.ratio[row[i].first + k]);
		for (k = 0; k < mini.n; k++)
			trace(&src, &mini, &mini.tensors[k], (unsigned)row[i].first, keep);
		ckpt_close(&src);
		ckpt_close(&mini);
		/* and it is a source like any other */
		o = set_opts("marlin-mxfp4", 1, false);
		dirs_remove(set.s);
		CHECK_IN(row[i].from, set_makes(out.s, set.s, &o));
	}
}

static void refused(void)
{
	static const struct {
		const char *layers;
		uint64_t keep;
		const char *word;
	} row[] = {
		{ "embed", 0, "names no layer" },
		{ "mtp", 0, "names no layer" },
		{ "0", 9, "there are 8" },
		{ "0", 2, "a token goes to 3" },
	};
	struct path out = dirs_path("never"), in;
	struct job_opts o;
	struct ckpt c;
	const struct tensor *t;
	uint8_t *p;
	size_t i, n, at;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		o = slice_opts(row[i].layers, row[i].keep);
		CHECK_IN(row[i].word, set_refuses(FLASH, out.s, &o, "plan.slice", row[i].word));
	}
	in = model_copy(FLASH, "in");
	CHECK(sound(&c, in.s));
	t = ckpt_find(&c, "layers.0.ffn.gate.tid2eid");
	at = (size_t)(c.shards[t->shard].data_at + t->begin + 8 * 5);
	p = file_get_all(model_file(in.s, c.shards[t->shard].name).s, &n);
	p[at] = 8;
	model_put(in.s, c.shards[t->shard].name, p, n);
	free(p);
	ckpt_close(&c);
	o = slice_opts("0", 4);
	CHECK(set_refuses(in.s, out.s, &o, "data.expert-id", "byte 40 of the tensor"));
	CHECK(!is_file(model_file(out.s, "model-00001-of-00003.safetensors").s));
}

/* clang-format off */
static const struct test tests[] = {
	{ "slice: models", slices },
	{ "slice: refused", refused },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
