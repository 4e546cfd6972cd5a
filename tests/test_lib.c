/* test_lib.c -- libdsv4 by its public header: what it lists, reads, takes out of layouts and decodes is what the files
 * and the source hold. What is wrong with a folder, a call or a file: test_lib_bad.c.
 *
 * SPDX-License-Identifier: MIT */
#include "core/version.h"
#include "quant/codec.h"
#include "tests/lib.h"

#include <pthread.h>

/* --- what is listed --- */

static void listing(void)
{
	const struct dsv4_tensor *t;
	const struct dsv4_file *f;
	struct dsv4 *d;
	struct path at;
	uint64_t next;
	uint8_t *p, *q;
	size_t i, n;

	make();
	d = opened(marlin.s);
	CHECK(!strcmp(dsv4_version(), DSV4_VERSION));
	CHECK(dsv4_info(d)->folders == 2 && !strcmp(dsv4_info(d)->kind, "set") &&
		!strcmp(dsv4_info(d)->target, "marlin-mxfp4") && strlen(dsv4_info(d)->plan) == 64);
	CHECK(dsv4_folder(d, 1)->rank == 1 && dsv4_folder(d, 1)->ranks == 2 &&
		dsv4_folder(d, 1)->stages == 1 && !dsv4_folder(d, 2));
	CHECK(!dsv4_file(d, dsv4_info(d)->files) && !dsv4_tensor(d, dsv4_info(d)->tensors));
	for (i = 0; (t = dsv4_tensor(d, i)); i++) {
		f = dsv4_file(d, t->file);
		at = model_file(model_file(marlin.s, dsv4_folder(d, f->folder)->name).s, f->name);
		next = i == f->first_tensor
			? f->payload
			: dsv4_tensor(d, i - 1)->offset + dsv4_tensor(d, i - 1)->bytes;
		CHECK_IN(t->name, t->offset == next);
		CHECK_IN(t->name, dsv4_find(d, f->folder, t->name) == i);
		CHECK_IN(t->name, !t->rank || t->strides[t->rank - 1] == 1);
		p = file_get_all(at.s, &n);
		q = malloc(t->bytes + 1);
		CHECK_IN(t->name, n == f->bytes && !dsv4_read(d, i, 0, q, t->bytes, NULL, NULL));
		CHECK_IN(t->name, same_bytes(t->name, q, p + t->offset, t->bytes));
		free(p);
		free(q);
	}
	CHECK(i == dsv4_info(d)->tensors && i > 100);
	CHECK(dsv4_find(d, 0, "no such") == DSV4_NONE && dsv4_find(d, 9, "x") == DSV4_NONE &&
		dsv4_find(d, 0, NULL) == DSV4_NONE);
	i = dsv4_find(d, 1, "layers.1.ffn.experts.w13.weight");
	t = dsv4_tensor(d, i);
	CHECK(t && t->stack && !strcmp(t->stack->layout, "marlin4-a16") && t->stack->parts == 2 &&
		t->stack->rows == 256 && t->stack->row_bytes == 128 && t->stack->count == 4 &&
		t->stack->bytes * t->stack->count == t->bytes &&
		!strcmp(t->stack->order, "gate-up") && !strcmp(t->transform, "tile"));
	dsv4_close(d);
	dsv4_close(NULL);
}

/* Every way of reading gives the same bytes, for ranges on and off every edge. */
static void reading(void)
{
	enum { THREADS = 3, ROOM = 64 };
	struct dsv4_open_options o = { .size = sizeof o, .direct = 1, .ranks = 2, .rank = 1 };
	struct dsv4_error e;
	struct dsv4_read_options r = { .size = sizeof r };
	const struct dsv4_file *f;
	const struct dsv4_tensor *t;
	struct dsv4 *d = NULL;
	uint64_t at, len;
	uint8_t *p, *q;
	size_t n, i, k;

	make();
	CHECK(!dsv4_open(&d, marlin.s, &o, &e) && dsv4_info(d)->folders == 1 &&
		dsv4_folder(d, 0)->rank == 1);
	f = dsv4_file(d, 2);
	p = file_get_all(model_file(model_file(marlin.s, "rank-1-of-2").s, f->name).s, &n);
	q = aligned_alloc(4096, (n + 4096 + ROOM) / 4096 * 4096 + 4096);
	CHECK(p && q && n == f->bytes);
	for (i = 0; i < 400; i++) {
		r.threads = rnd(THREADS + 1);
		r.flags = rnd(4);
		at = i < 4 ? 0 : rnd(8) ? rnd((uint32_t)n + 1) : rnd((uint32_t)(n / 4096)) * 4096;
		len = i < 4 ? n : rnd(8) ? rnd((uint32_t)(n - at) + 1) : rnd(2);
		len = len < n - at ? len : n - at;
		k = rnd(3) ? (size_t)(at % 4096) : rnd(ROOM);
		memset(q, 0xee, n + ROOM);
		CHECK(!dsv4_read_file(d, 2, at, q + k, len, &r, &e));
		CHECK(same_bytes("a range", q + k, p + at, len) && q[k + len] == 0xee &&
			(!k || q[k - 1] == 0xee));
	}
	for (i = f->first_tensor; i < f->first_tensor + f->tensors; i++) {
		t = dsv4_tensor(d, i);
		r.flags = i % 4;
		at = rnd((uint32_t)t->bytes);
		CHECK_IN(t->name,
			!dsv4_read(d, i, at, q, t->bytes - at, &r, &e) &&
				same_bytes(t->name, q, p + t->offset + at, t->bytes - at));
	}
	r.flags = DSV4_SHA256 | DSV4_DIRECT;
	for (i = 0; dsv4_file(d, (uint32_t)i); i++)
		CHECK(!dsv4_check(d, (uint32_t)i, &r, &e) && !dsv4_check(d, (uint32_t)i, NULL, &e));
	free(p);
	free(q);
	dsv4_close(d);
}

/* Files of several chunks: what each thread reads fits together, and a bit is found in its chunk whatever is asked for. */
static void chunks(void)
{
	struct path model = dirs_path("big"), out = dirs_path("big-hf");
	struct dsv4_read_options r = { .size = sizeof r };
	struct job_opts o = set_opts("hf", 0, false);
	const uint64_t edge = DSV4_CHUNK;
	struct dsv4_error e = { 0 };
	const struct dsv4_tensor *t;
	const struct dsv4_file *f;
	char args[1200];
	uint8_t *p, *q;
	struct dsv4 *d;
	size_t n, i, from, to;

	snprintf(args, sizeof args, "%s --config " FLASH "/config.json --set vocab_size=90000",
		model.s);
	CHECK(!model_tool("mkmodel", args));
	o.plan.share = (struct share){ 0 };
	o.plan.back = false;
	CHECK(set_makes(model.s, out.s, &o));
	d = opened(out.s);
	i = dsv4_find(d, 0, "embed.weight");
	t = dsv4_tensor(d, i);
	f = dsv4_file(d, t->file);
	p = file_get_all(model_file(out.s, f->name).s, &n);
	q = malloc(n + 64);
	CHECK(q && n == f->bytes && n > 2 * edge && t->bytes > 2 * edge);
	for (i = 0; i < 60; i++) {
		r.threads = rnd(5);
		from = (size_t)(rnd(4) ? (rnd(2) + 1) * edge + rnd(8192) - 4096 : rnd((uint32_t)n));
		to = (size_t)(rnd(4) ? (rnd(2) + 1) * edge + rnd(8192) - 4096 : rnd((uint32_t)n));
		if (from > to || to > n)
			continue;
		memset(q, 0xee, n + 64);
		CHECK(!dsv4_read_file(d, t->file, from, q, to - from, &r, &e) &&
			same_bytes("chunks", q, p + from, to - from) && q[to - from] == 0xee);
	}
	i = dsv4_find(d, 0, "embed.weight");
	for (r.threads = 1; r.threads < 5; r.threads++)
		CHECK(!dsv4_read(d, i, 0, q, t->bytes, &r, &e) &&
			same_bytes("embed", q, p + t->offset, t->bytes));
	p[2 * edge + 77] ^= 4;
	model_put(out.s, f->name, p, n);
	dsv4_close(d);
	d = opened(out.s);
	t = dsv4_tensor(d, i);
	f = dsv4_file(d, t->file);
	r.threads = 1;
	CHECK(dsv4_read(d, i, 0, q, t->bytes, &r, &e) && is(&e, "check.tensor", "embed.weight"));
	r.threads = 3;
	CHECK(dsv4_read(d, i, 0, q, t->bytes, &r, &e) &&
		is(&e, "check.chunk", "bytes 33554432 to"));
	CHECK(dsv4_check(d, t->file, &r, &e) && is(&e, "check.chunk", "bytes 33554432 to"));
	CHECK(!dsv4_read_file(d, t->file, 0, q, 2 * edge, &r, &e));
	CHECK(dsv4_read_file(d, t->file, 0, q, 2 * edge + 1, &r, &e) &&
		is(&e, "check.chunk", f->name));
	dsv4_close(d);
	free(p);
	free(q);
}

static void official(void)
{
	struct job_opts j = set_opts("official", 0, false);
	struct dsv4_open_options o = { .size = sizeof o, .ranks = 2, .rank = 1 };
	struct path out = dirs_path("official");
	struct dsv4 *d;
	uint32_t i;
	size_t k;

	j.plan.share = (struct share){ 0 };
	j.plan.ranks = 2;
	j.plan.back = false;
	CHECK(set_makes(FLASH, out.s, &j));
	d = opened(out.s);
	CHECK(dsv4_info(d)->files == 2 && dsv4_info(d)->folders == 2);
	for (i = 0; i < 2; i++) { /* both have the tensor, each its own */
		CHECK(dsv4_folder(d, i)->rank == i && dsv4_folder(d, i)->ranks == 2);
		k = dsv4_find(d, i, "embed.weight");
		CHECK(k != DSV4_NONE && dsv4_tensor(d, k)->file == i);
	}
	dsv4_close(d);
	CHECK(!dsv4_open(&d, out.s, &o, NULL) && dsv4_info(d)->files == 1 &&
		!strcmp(dsv4_file(d, 0)->name, "model1-mp2.safetensors") &&
		dsv4_folder(d, 0)->rank == 1);
	dsv4_close(d);
	o.ranks = 4;
	CHECK(refuses(out.s, &o, "check.rank", "1 of 4"));
}

/* --- layouts --- */

/* To every layout with every order, and back by way of another: the same bytes. What is there is what the address
 * function of the layout says. */
static void relayout(void)
{
	struct dsv4_layout plain = { .size = sizeof plain, .rows = 512, .row_bytes = 272 };
	const struct dsv4_layout mid = { sizeof mid, "sf128x4", "up-gate", 512, 272 };
	struct dsv4_layout m = plain;
	struct dsv4_error e = { 0 };
	uint8_t *src = filled(512 * 272), *out, *other, *back = filled(512 * 272);
	uint64_t n, k;
	unsigned i, j, some = 0;

	CHECK(!dsv4_layout_bytes(&mid, &k, &e));
	other = filled(k);
	for (i = 0; (m.layout = dsv4_layout_name(i)); i++)
		for (j = 0; j < n_rowmaps; j++) {
			m.order = rowmaps[j].name;
			if (dsv4_layout_bytes(&m, &n, &e)) {
				CHECK_IN(m.layout, is(&e, "lib.matrix", m.layout));
				continue;
			}
			some++;
			out = filled(n);
			CHECK_IN(m.layout, !dsv4_relayout(&plain, src, 512 * 272, &m, out, n, &e));
			memset(back, 0xee, 512 * 272);
			CHECK_IN(m.layout, !dsv4_relayout(&m, out, n, &plain, back, 512 * 272, &e));
			CHECK_IN(m.layout, same_bytes(m.layout, back, src, 512 * 272));
			if (rowmaps[j].parts == 2) {
				CHECK_IN(m.layout, !dsv4_relayout(&m, out, n, &mid, other, k, &e));
				CHECK_IN(m.layout, !dsv4_relayout(&mid, other, k, &m, out, n, &e));
				CHECK_IN(m.layout,
					!dsv4_relayout(&m, out, n, &plain, back, 512 * 272, &e) &&
						same_bytes(m.layout, back, src, 512 * 272));
			}
			free(out);
		}
	CHECK(some > 150);
	/* rows of w1, then of w3, one by one */
	m = plain;
	m.order = "gate-up-by-1";
	CHECK(!dsv4_relayout(&plain, src, 512 * 272, &m, back, 512 * 272, &e));
	for (i = 0; i < 512; i++)
		CHECK(!memcmp(back + i * 272, src + (i % 2 * 256 + i / 2) * 272, 272));
	free(src);
	free(other);
	free(back);
}

/* --- values --- */

static void values(void)
{
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct job_opts o;
	struct path out;
	struct dsv4 *d;
	struct ckpt c;
	unsigned i;

	make();
	CHECK(!ckpt_open(&c, io_posix(), FLASH, &co, &f, NULL));
	d = opened(hf.s);
	same_values(d, "embed.weight", 0, &c, "embed.weight", 0, 0, 0);
	same_values(d, "layers.0.attn.wq_a.weight", 0, &c, "layers.0.attn.wq_a.weight", 100, 100,
		0);
	same_values(d, "layers.0.ffn.experts.3.w2.weight", 0, &c,
		"layers.0.ffn.experts.3.w2.weight", 5, 5, 0);
	dsv4_close(d);
	/* experts are 4 to a rank, wo_b is cut by columns */
	d = opened(model_file(marlin.s, "rank-1-of-2").s);
	same_values(d, "layers.0.attn.wo_b.weight", 0, &c, "layers.0.attn.wo_b.weight", 0, 0, 128);
	dsv4_close(d);
	for (i = 0; i < n_engines; i++) {
		o = set_opts(engines[i].name, 1, false);
		out = dirs_path(engines[i].name);
		if (!set_makes(FLASH, out.s, &o))
			continue;
		d = opened(model_file(out.s, "rank-0-of-1").s);
		same_values(d, "layers.1.ffn.experts.w13.weight", 5, &c,
			"layers.1.ffn.experts.5.w1.weight", 0, 0, 0);
		same_values(d, "layers.1.ffn.experts.w13.weight", 5, &c,
			"layers.1.ffn.experts.5.w3.weight",
			dsv4_tensor(d, dsv4_find(d, 0, "layers.1.ffn.experts.w13.weight"))
					->stack->rows /
				2,
			0, 0);
		same_values(d, "layers.1.ffn.experts.w2.weight", 7, &c,
			"layers.1.ffn.experts.7.w2.weight", 3, 3, 0);
		dsv4_close(d);
	}
	ckpt_close(&c);
	finding_free(&f);
}

/* The names of dsv4-quant: codes, scales and factors are found by their names, and give the values of the source. */
static void formats(void)
{
	static const struct {
		const char *to, *codes;
	} row[] = { { "nvfp4 --input-scale 1", "weight" }, { "ct-nvfp4a16", "weight_packed" },
		{ "ct-mxfp4", "weight_packed" }, { "ct-mxfp8", "weight" }, { "mxfp8", "weight" },
		{ "fp8", "weight" }, { "bf16", "weight" }, { "mlx", "weight" } };
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	char args[1200], name[120];
	struct path out;
	struct dsv4 *d;
	struct ckpt c;
	size_t i;

	CHECK(!ckpt_open(&c, io_posix(), FLASH, &co, &f, NULL));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(name, sizeof name, "format-%zu", i);
		out = dirs_path(name);
		snprintf(args, sizeof args, "run " FLASH " -o %s --to %s -q >/dev/null", out.s,
			row[i].to);
		CHECK_IN(row[i].to, !model_tool("dsv4-quant", args));
		d = opened(out.s);
		if (!d)
			continue;
		snprintf(name, sizeof name, "layers.1.ffn.experts.3.w2.%s", row[i].codes);
		same_values(d, name, 0, &c, "layers.1.ffn.experts.3.w2.weight", 0, 0, 0);
		same_values(d, "layers.1.attn.wkv.weight", 0, &c, "layers.1.attn.wkv.weight", 130,
			130, 0);
		same_values(d, "norm.weight", 0, &c, "norm.weight", 0, 0, 0);
		dsv4_close(d);
	}
	ckpt_close(&c);
	finding_free(&f);
}

/* --- threads --- */

struct reader_thread {
	const struct dsv4 *d;
	unsigned seed;
	int failed;
};

static void *read_all(void *arg)
{
	struct reader_thread *r = arg;
	struct dsv4_read_options o = { .size = sizeof o, .threads = 1 + r->seed % 2 };
	struct dsv4_error e;
	const struct dsv4_tensor *t;
	size_t n = dsv4_info(r->d)->tensors, i, k;
	uint8_t *p = malloc(1 << 20);
	float x[1024];

	for (k = 0; p && k < n; k++) {
		i = (k * 7 + r->seed * 31) % n;
		t = dsv4_tensor(r->d, i);
		r->failed += t->bytes <= 1 << 20 && dsv4_read(r->d, i, 0, p, t->bytes, &o, &e);
		r->failed += dsv4_find(r->d, dsv4_file(r->d, t->file)->folder, t->name) != i;
		/* one that fails fills the struct of this thread alone */
		r->failed +=
			!dsv4_read(r->d, i, t->bytes, p, 1, &o, &e) || strcmp(e.rule, "lib.range");
		if (k % 16 == 0)
			(void)dsv4_decode(r->d, i, 0, 0, 1, x, 1024, &o, &e);
	}
	r->failed += dsv4_check(r->d, r->seed % 4, &o, &e);
	free(p);
	return NULL;
}

static void concurrent(void)
{
	enum { THREADS = 6 };
	struct reader_thread r[THREADS];
	pthread_t t[THREADS];
	struct dsv4 *d;
	unsigned i;

	make();
	d = opened(marlin.s);
	for (i = 0; i < THREADS; i++) {
		r[i] = (struct reader_thread){ d, i, 0 };
		CHECK(!pthread_create(&t[i], NULL, read_all, &r[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		CHECK(!r[i].failed);
	}
	dsv4_close(d);
}

/* clang-format off */
static const struct test tests[] = {
	{ "listing", listing },
	{ "reading", reading },
	{ "chunks", chunks },
	{ "official", official },
	{ "relayout", relayout },
	{ "values", values },
	{ "formats", formats },
	{ "concurrent", concurrent },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
