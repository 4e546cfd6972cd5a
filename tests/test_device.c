/* test_device.c -- every operation of struct dev but the linears on the CUDA device against plain C, bit for bit, on random
 * sizes off the edges. How the kernels run is said in test_cuda.c.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ondev.h"

/* --- moves --- */

static void moves(void)
{
	static const uint32_t index[] = { 4, 0, 3 };
	enum { N = 3, DIM = 70 };
	uint16_t rows[N * DIM];
	struct both row, x, at, from, to, y, a, b, z;
	uint32_t k;

	for (k = 0; k < N * DIM; k++)
		rows[k] = num_bf16_from(value());
	put(&row, rows, sizeof rows);
	put(&x, NULL, sizeof(float) * N * 4 * DIM);
	ON_BOTH(d->embed(d,
		&(struct dev_embed){ .x = F(x),
			.row = BYTES(row) ? (const uint16_t *)row.at[i] : NULL,
			.n = N,
			.dim = DIM },
		&err));
	CHECK_EQUAL(x);

	put(&at, index, sizeof index);
	floats(&from, 5 * DIM, false);
	put(&to, NULL, sizeof(float) * N * DIM);
	ON_BOTH(d->gather(d,
		&(struct dev_gather){ .to = to.at[i],
			.from = from.at[i],
			.index = U(at),
			.n = N,
			.bytes = DIM * 4 },
		&err));
	CHECK_EQUAL(to);
	floats(&y, 5 * DIM, false);
	ON_BOTH(d->scatter_add(d,
		&(struct dev_scatter_add){
			.y = F(y), .x = F(from), .index = U(at), .n = N, .dim = DIM },
		&err));
	CHECK_EQUAL(y);

	floats(&a, 1001, true);
	floats(&b, 1001, true);
	put(&z, NULL, 1001 * 4);
	ON_BOTH(d->add(d, &(struct dev_add){ .y = F(z), .a = F(a), .b = F(b), .n = 1001 }, &err));
	CHECK_EQUAL(z);
	ON_BOTH(d->scale(d, &(struct dev_scale){ .x = F(a), .c = 0.37f, .n = 1001 }, &err));
	CHECK_EQUAL(a);
	ON_BOTH(d->zero(d, z.at[i], 40, &err));
	CHECK_EQUAL(z);
	leave();
}

/* More than both pinned buffers hold, from memory that changes right after. */
static void uploads(void)
{
	size_t n = (20 << 20) + 12345, k;
	uint8_t *v = malloc(n), *back = malloc(n);
	void *p;
	bool same = true;

	DO(dev[1].alloc(&dev[1], &p, n, &err));
	for (k = 0; k < n; k++)
		v[k] = (uint8_t)(k * 7 + k / 256);
	DO(dev[1].put(&dev[1], p, v, n, &err));
	memset(v, 0, n);
	DO(dev[1].get(&dev[1], back, p, n, &err));
	for (k = 0; k < n; k++)
		same = same && back[k] == (uint8_t)(k * 7 + k / 256);
	CHECK(same);
	dev[1].release(&dev[1], p);
	free(v);
	free(back);
}

/* --- hyper-connections, norms --- */

static void hyper(void)
{
	static const uint32_t dims[] = { 32, 41, 96 };
	struct both x, fn, scale, base, y, post, comb, o;
	uint32_t n = 3, dim;
	size_t k;

	for (k = 0; k < sizeof dims / sizeof *dims; k++) {
		dim = dims[k];
		floats(&x, n * 4 * dim, true);
		floats(&fn, 24 * 4 * dim, false);
		gains(&scale, 3);
		floats(&base, 24, false);
		floats(&o, n * dim, true);
		put(&y, NULL, n * dim * 4);
		put(&post, NULL, n * 4 * 4);
		put(&comb, NULL, n * 16 * 4);
		ON_BOTH(d->hc_pre(d,
			&(struct dev_hc_pre){ .y = F(y),
				.post = F(post),
				.comb = F(comb),
				.x = F(x),
				.fn = F(fn),
				.scale = F(scale),
				.base = F(base),
				.n = n,
				.dim = dim,
				.iters = 20,
				.eps = 1e-6f,
				.hc_eps = 1e-6f },
			&err));
		CHECK_EQUAL(y);
		CHECK_EQUAL(post);
		CHECK_EQUAL(comb);
		ON_BOTH(d->hc_post(d,
			&(struct dev_hc_post){ .x = F(x),
				.o = F(o),
				.post = F(post),
				.comb = F(comb),
				.n = n,
				.dim = dim },
			&err));
		CHECK_EQUAL(x);
		ON_BOTH(d->hc_head(d,
			&(struct dev_hc_head){ .y = F(y),
				.x = F(x),
				.fn = F(fn),
				.scale = F(scale),
				.base = F(base),
				.n = n,
				.dim = dim,
				.eps = 1e-6f,
				.hc_eps = 1e-6f },
			&err));
		CHECK_EQUAL(y);
		leave();
	}
}

static void norms(void)
{
	static const uint32_t dims[] = { 1, 31, 64, 100 };
	struct both x, y, w;
	uint32_t n = 5, dim;
	size_t k;

	for (k = 0; k < sizeof dims / sizeof *dims; k++) {
		dim = dims[k];
		floats(&x, n * dim, true);
		floats(&w, dim, false);
		put(&y, NULL, n * dim * 4);
		ON_BOTH(d->rmsnorm(d,
			&(struct dev_rmsnorm){
				.y = F(y), .x = F(x), .w = F(w), .n = n, .dim = dim, .eps = 1e-6f },
			&err));
		CHECK_EQUAL(y);
		ON_BOTH(d->rmsnorm(d,
			&(struct dev_rmsnorm){
				.y = F(y), .x = F(y), .w = F(w), .n = n, .dim = dim, .eps = 1e-6f },
			&err));
		CHECK_EQUAL(y);
		ON_BOTH(d->head_norm(d,
			&(struct dev_head_norm){ .x = F(x), .n = n, .dim = dim, .eps = 1e-6f },
			&err));
		CHECK_EQUAL(x);
		leave();
	}
}

static void rotations(void)
{
	enum { N = 3, HEADS = 2, DIM = 50, PAIRS = 16 };
	struct both x, c, s;

	floats(&x, N * HEADS * DIM, true);
	floats(&c, N * PAIRS, false);
	floats(&s, N * PAIRS, false);
	ON_BOTH(d->rope(d,
		&(struct dev_rope){ .x = F(x),
			.cos = F(c),
			.sin = F(s),
			.n = N,
			.heads = HEADS,
			.dim = DIM,
			.pairs = PAIRS,
			.inverse = false },
		&err));
	CHECK_EQUAL(x);
	ON_BOTH(d->rope(d,
		&(struct dev_rope){ .x = F(x),
			.cos = F(c),
			.sin = F(s),
			.n = N,
			.heads = HEADS,
			.dim = DIM,
			.pairs = PAIRS,
			.inverse = true },
		&err));
	CHECK_EQUAL(x);
	leave();
}

static void roundings(void)
{
	struct both x, y, z, q, s;

	floats(&x, 3 * 200, true);
	ON_BOTH(d->fake_fp8(d,
		&(struct dev_fake_fp8){ .x = F(x), .n = 3, .ld = 200, .cols = 192, .block = 64 },
		&err));
	CHECK_EQUAL(x);
	floats(&y, 3 * 96, true);
	ON_BOTH(d->fake_fp4(d, &(struct dev_fake_fp4){ .x = F(y), .n = 3, .dim = 96 }, &err));
	CHECK_EQUAL(y);
	floats(&z, 3 * 128, true);
	ON_BOTH(d->hadamard(d, &(struct dev_hadamard){ .x = F(z), .n = 3, .dim = 128 }, &err));
	CHECK_EQUAL(z);
	leave();
	floats(&x, 3 * 256, true);
	put(&q, NULL, 3 * 256);
	put(&s, NULL, 3 * 2 * 4);
	ON_BOTH(d->act_quant(d,
		&(struct dev_act_quant){ .q = BYTES(q), .s = F(s), .x = F(x), .n = 3, .dim = 256 },
		&err));
	CHECK_EQUAL(q);
	CHECK_EQUAL(s);
	leave();
}

/* --- attention --- */

static void attention(void)
{
	static const struct {
		uint32_t n, heads, dim, cols, entries;
	} cases[] = { { 1, 1, 32, 1, 1 }, { 2, 3, 64, 70, 40 }, { 3, 2, 40, 130, 64 },
		{ 1, 1, 512, 65, 20 } };
	struct both q, kv, at, sink, o;
	int32_t *index;
	size_t k, j;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t n = cases[k].n, h = cases[k].heads, dim = cases[k].dim,
			 cols = cases[k].cols;

		floats(&q, (size_t)n * h * dim, true);
		floats(&kv, (size_t)cases[k].entries * dim, true);
		floats(&sink, h, false);
		index = malloc(n * cols * sizeof *index);
		for (j = 0; j < n * cols; j++) /* the last chunk of the third case is all masked */
			index[j] = rnd(4) && j % cols < 128 ? (int32_t)rnd(cases[k].entries) : -1;
		for (j = 0; j < n; j++)
			index[j * cols] = 0;
		put(&at, index, n * cols * sizeof *index);
		free(index);
		put(&o, NULL, (size_t)n * h * dim * 4);
		ON_BOTH(d->attend(d,
			&(struct dev_attend){ .o = F(o),
				.q = F(q),
				.kv = F(kv),
				.index = I(at),
				.sink = F(sink),
				.n = n,
				.heads = h,
				.dim = dim,
				.cols = cols,
				.scale = 0.125f },
			&err));
		CHECK_EQUAL(o);
		leave();
	}
}

static void columns_of(void)
{
	static const uint32_t pos[] = { 0, 100, 1048570 };
	struct both at;
	size_t k;

	for (k = 0; k < sizeof pos / sizeof *pos; k++) {
		put(&at, NULL, 5 * 150 * 4);
		ON_BOTH(d->columns(d,
			&(struct dev_columns){ .index = I(at),
				.ld = 150,
				.n = 5,
				.pos = pos[k],
				.window = 128,
				.m = 20,
				.ratio = 4,
				.with_all = true,
				.base = 1000 },
			&err));
		CHECK_EQUAL(at);
		ON_BOTH(d->columns(d,
			&(struct dev_columns){ .index = I(at),
				.ld = 150,
				.n = 5,
				.pos = pos[k],
				.window = 128,
				.m = 20,
				.ratio = 4,
				.with_all = false,
				.base = 1000 },
			&err));
		CHECK_EQUAL(at);
		leave();
	}
}

static void compressed(void)
{
	static const struct {
		uint32_t ratio, lap, first, n;
	} cases[] = { { 4, 2, 0, 3 }, { 4, 2, 2, 2 }, { 128, 1, 0, 2 } };
	enum { DIM = 20 };
	struct both kv, sc, ape, out;
	size_t k;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t r = cases[k].ratio, lap = cases[k].lap,
			 tokens = r * (cases[k].first + cases[k].n);

		floats(&kv, (size_t)tokens * lap * DIM, true);
		floats(&sc, (size_t)tokens * lap * DIM, false);
		floats(&ape, (size_t)r * lap * DIM, false);
		put(&out, NULL, cases[k].n * DIM * 4);
		ON_BOTH(d->compress(d,
			&(struct dev_compress){ .e = F(out),
				.kv = F(kv),
				.sc = F(sc),
				.ape = F(ape),
				.first = cases[k].first,
				.n = cases[k].n,
				.ratio = r,
				.dim = DIM,
				.lap = lap },
			&err));
		CHECK_EQUAL(out);
		leave();
	}
}

static void indexer(void)
{
	enum { N = 3, M = 9, HEADS = 5, DIM = 64, WIDE = 300 };
	struct both q, k, w, score, pick, ties, many;
	float v[2 * WIDE];
	size_t j;

	floats(&q, N * HEADS * DIM, true);
	floats(&k, M * DIM, true);
	floats(&w, N * HEADS, true);
	put(&score, NULL, N * M * 4);
	ON_BOTH(d->index_score(d,
		&(struct dev_index_score){ .score = F(score),
			.q = F(q),
			.k = F(k),
			.w = F(w),
			.n = N,
			.m = M,
			.heads = HEADS,
			.dim = DIM,
			.pos = 20,
			.ratio = 4 },
		&err));
	CHECK_EQUAL(score);
	put(&pick, NULL, N * 12 * 4);
	ON_BOTH(d->topk(d,
		&(struct dev_topk){ .pick = I(pick),
			.ld = 12,
			.score = F(score),
			.n = N,
			.m = M,
			.k = 7,
			.base = 100 },
		&err));
	CHECK_EQUAL(pick);
	/* Many equal ones, and more wanted than there are. */
	for (j = 0; j < 2 * WIDE; j++)
		v[j] = rnd(8) ? (float)rnd(20) : -INFINITY;
	put(&ties, v, sizeof v);
	put(&many, NULL, 2 * WIDE * 4);
	ON_BOTH(d->topk(d,
		&(struct dev_topk){ .pick = I(many),
			.ld = WIDE,
			.score = F(ties),
			.n = 2,
			.m = WIDE,
			.k = WIDE,
			.base = 5 },
		&err));
	CHECK_EQUAL(many);
	ON_BOTH(d->topk(d,
		&(struct dev_topk){ .pick = I(many),
			.ld = WIDE,
			.score = F(ties),
			.n = 2,
			.m = WIDE,
			.k = 17,
			.base = 5 },
		&err));
	CHECK_EQUAL(many);
	leave();
}

/* Each row of the table is there. */
static void complete(void)
{
	const void *const *p[2] = { (const void *const *)(const void *)&dev[0].alloc,
		(const void *const *)(const void *)&dev[1].alloc };
	size_t n = (sizeof dev[0] - offsetof(struct dev, alloc)) / sizeof(void *), k;

	for (k = 0; k < n; k++)
		CHECK(p[0][k] && p[1][k]);
}

static const struct test list[] = {
	{ "complete", complete },
	{ "moves", moves },
	{ "uploads", uploads },
	{ "hyper", hyper },
	{ "norms", norms },
	{ "rotations", rotations },
	{ "roundings", roundings },
	{ "attention", attention },
	{ "columns_of", columns_of },
	{ "compressed", compressed },
	{ "indexer", indexer },
	{ 0 },
};

int main(int argc, char **argv)
{
	return ondev_main(list, argc, argv);
}
