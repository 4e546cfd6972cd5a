/* test_device.c -- every operation of struct dev on the CUDA device against plain C, bit for bit, on random
 * sizes off the edges. How the kernels run is said in test_cuda.c.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.h"
#include "kernels/fmath.h"
#include "tests/check.h"
#include "tests/cuda_main.h"

static struct dev dev[2]; /* plain C, CUDA */
static struct err err;

#define DO(call)                                           \
	do {                                               \
		if (call) {                                \
			fprintf(stderr, "%s\n", err.text); \
			check_failed++;                    \
		}                                          \
	} while (0)

/* The same bytes on both devices. */
struct both {
	void *at[2];
	size_t n;
};
#define F(b) ((float *)(b).at[i])
#define I(b) ((int32_t *)(b).at[i])
#define U(b) ((uint32_t *)(b).at[i])
#define BYTES(b) ((uint8_t *)(b).at[i])
/* Does it on the one and the other; i is which, d the device. */
#define ON_BOTH(call)                            \
	do {                                     \
		for (int i = 0; i < 2; i++) {    \
			struct dev *d = &dev[i]; \
			DO(call);                \
		}                                \
	} while (0)

static struct both *held[32];
static unsigned n_held;

/* from NULL: poison. Given back by leave(). */
static void put(struct both *b, const void *from, size_t n)
{
	uint8_t *poison = NULL;

	b->n = n;
	if (!from) {
		from = poison = malloc(n);
		memset(poison, 0xee, n);
	}
	for (int i = 0; i < 2; i++) {
		DO(dev[i].alloc(&dev[i], &b->at[i], n, &err));
		DO(dev[i].put(&dev[i], b->at[i], from, n, &err));
	}
	free(poison);
	held[n_held++] = b;
}

static void leave(void)
{
	while (n_held) {
		n_held--;
		for (int i = 0; i < 2; i++)
			dev[i].release(&dev[i], held[n_held]->at[i]);
	}
}

static bool equal(const char *what, const struct both *b)
{
	uint8_t *v[2];
	bool same;

	for (int i = 0; i < 2; i++) {
		v[i] = malloc(b->n);
		DO(dev[i].get(&dev[i], v[i], b->at[i], b->n, &err));
	}
	same = same_bytes(what, v[1], v[0], b->n);
	free(v[0]);
	free(v[1]);
	return same;
}
#define CHECK_EQUAL(b) CHECK(equal(#b, &(b)))

/* --- inputs --- */

static float value(void)
{
	uint32_t kind = rnd(40);

	if (kind == 0)
		return 0.0f;
	if (kind == 1)
		return -0.0f;
	if (kind == 2)
		return num_f32(rnd(1 << 22) | rnd(2) << 31); /* subnormal */
	if (kind == 3)
		return ((float)rnd(2000) - 1000.0f);
	return ((float)rnd(1 << 24) - 8388608.0f) / 4194304.0f;
}

static void floats(struct both *b, size_t n, bool bf)
{
	float *v = malloc(n * sizeof *v);
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = bf ? fm_bf16(value()) : value();
	put(b, v, n * sizeof *v);
	free(v);
}

/* Above zero, near 1. */
static void gains(struct both *b, size_t n)
{
	float *v = malloc(n * sizeof *v);
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = 0.5f + (float)rnd(1 << 20) / 1048576.0f;
	put(b, v, n * sizeof *v);
	free(v);
}

static void bytes(struct both *b, size_t n, unsigned low, unsigned span, bool e4m3)
{
	uint8_t *v = malloc(n);
	size_t i;

	for (i = 0; i < n; i++) {
		v[i] = (uint8_t)(low + rnd(span));
		if (e4m3 && num_e4m3_is_nan(v[i]))
			v[i] = 0;
	}
	put(b, v, n);
	free(v);
}

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

/* --- linears --- */

/* w with device i's memory. */
static struct weight on(const struct weight *w, const struct both *codes, const struct both *scales,
	int i)
{
	struct weight v = *w;

	v.codes = codes->at[i];
	v.scales = scales ? scales->at[i] : NULL;
	return v;
}

static void plain_linears(void)
{
	static const struct {
		enum weight_type type;
		bool f32_scales, round;
		uint32_t rows, cols, n;
	} cases[] = { { WEIGHT_BF16, false, true, 5, 33, 1 },
		{ WEIGHT_BF16, false, false, 9, 100, 9 }, { WEIGHT_F32, false, false, 3, 64, 2 },
		{ WEIGHT_F32, false, true, 4, 7, 17 }, { WEIGHT_FP8, false, true, 130, 256, 2 },
		{ WEIGHT_FP8, true, false, 5, 128, 3 } };
	struct both x, codes, scales, y;
	struct weight w;
	uint16_t *h;
	size_t k, j, all;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t n = cases[k].n, ldx = cases[k].cols + 3, ldy = cases[k].rows + 2;
		struct weight one = { .type = (uint8_t)cases[k].type,
			.f32_scales = cases[k].f32_scales,
			.rows = cases[k].rows,
			.cols = cases[k].cols };

		all = (size_t)one.rows * one.cols;
		floats(&x, n * ldx, true);
		put(&y, NULL, n * ldy * 4);
		if (one.type == WEIGHT_BF16) {
			h = malloc(all * 2);
			for (j = 0; j < all; j++)
				h[j] = num_bf16_from(value());
			put(&codes, h, all * 2);
			free(h);
		} else if (one.type == WEIGHT_F32) {
			floats(&codes, all, false);
		} else {
			bytes(&codes, all, 0, 256, true);
		}
		if (one.f32_scales) {
			static const float powers[] = { 0.25f, 2.0f, 0.5f, 1.0f };
			put(&scales, powers, sizeof powers);
		} else {
			bytes(&scales, 16, 120, 10, false);
		}
		ON_BOTH((w = on(&one, &codes, &scales, i),
			d->linear(d,
				&(struct dev_linear){ .y = F(y),
					.ldy = ldy,
					.x = F(x),
					.ldx = ldx,
					.n = n,
					.w = &w,
					.round = cases[k].round },
				&err)));
		CHECK_EQUAL(y);
		leave();
	}
}

static void quantized_linears(void)
{
	static const struct {
		enum weight_type type;
		bool f32_scales;
		uint32_t rows, cols, n;
	} cases[] = { { WEIGHT_FP8, false, 5, 128, 1 }, { WEIGHT_FP8, false, 130, 256, 9 },
		{ WEIGHT_FP8, true, 3, 256, 2 }, { WEIGHT_FP4, false, 5, 128, 1 },
		{ WEIGHT_FP4, false, 9, 256, 10 } };
	struct both q, s, codes, scales, y;
	struct weight w;
	size_t k, all;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t n = cases[k].n, ld = cases[k].rows + 1;
		struct weight one = { .type = (uint8_t)cases[k].type,
			.f32_scales = cases[k].f32_scales,
			.rows = cases[k].rows,
			.cols = cases[k].cols };
		static const float powers[] = { 0.25f, 2.0f, 0.5f, 1.0f };

		all = (size_t)one.rows * one.cols;
		bytes(&q, n * one.cols, 0, 256, true);
		gains(&s, n * one.cols / 128);
		put(&y, NULL, n * ld * 4);
		bytes(&codes, all, 0, 256, one.type == WEIGHT_FP8);
		if (one.f32_scales)
			put(&scales, powers, sizeof powers);
		else
			bytes(&scales, all / 32, 120, 10, false);
		ON_BOTH((w = on(&one, &codes, &scales, i),
			d->linear_q(d,
				&(struct dev_linear_q){ .y = F(y),
					.ld = ld,
					.q = BYTES(q),
					.s = F(s),
					.n = n,
					.w = &w },
				&err)));
		CHECK_EQUAL(y);
		leave();
	}
}

/* Places add up: what cuda_linear.cu relies on. */
static void places_add_up(void)
{
	const struct tile *t;
	struct tile_dim d;
	uint32_t r, c;
	bool same;

	for (t = tiles; t < tiles + n_tiles; t++) {
		d.rows = t->row_unit * 3;
		d.cols = t->col_unit * 3;
		for (r = 0, same = true; r < d.rows; r++) {
			for (c = 0; c < d.cols; c++)
				same = same &&
					t->at(d, r, c) ==
						t->at(d, r, 0) + t->at(d, 0, c) - t->at(d, 0, 0);
		}
		CHECK_IN(t->name, same);
	}
}

/* Two pieces side by side and two below one another, in a layout; the bytes are random, which is a
 * matrix too. */
static void in_layout(const struct tile *t, const struct tile *sf)
{
	enum { N = 3 };
	uint32_t unit = t->row_unit > sf->row_unit ? t->row_unit : sf->row_unit, k, half;
	struct weight w = { .type = WEIGHT_FP4, .rows = unit, .cols = 512 }, v;
	struct weight_piece p[2][4];
	struct both codes[4], scales[4], q, s, y;
	const struct rowmap *map = &rowmaps[0];

	half = unit % 2 == 0 && map->parts == 2 ? unit / 2 : unit;
	w.rows = 2 * half;
	for (k = 0; k < 4; k++) {
		struct weight_piece one = { .row = k / 2 * half,
			.rows = half,
			.col = k % 2 * 256,
			.cols = 256,
			.map = map,
			.part = k / 2 % map->parts,
			.tile = t,
			.sf = sf };

		one.dim = tile_dim(t, map->parts * half, 128);
		one.sf_dim = tile_dim(sf, map->parts * half, 8);
		CHECK_IN(t->name, tile_fits(t, one.dim) && tile_fits(sf, one.sf_dim));
		bytes(&codes[k], tile_bytes(t, one.dim), 0, 256, false);
		bytes(&scales[k], tile_bytes(sf, one.sf_dim), 120, 10, false);
		for (int i = 0; i < 2; i++) {
			p[i][k] = one;
			p[i][k].codes = codes[k].at[i];
			p[i][k].scales = scales[k].at[i];
		}
	}
	bytes(&q, N * 512, 0, 256, true);
	gains(&s, N * 4);
	put(&y, NULL, N * w.rows * 4);
	w.n_pieces = 4;
	ON_BOTH((v = w, v.pieces = p[i],
		d->linear_q(d,
			&(struct dev_linear_q){ .y = F(y),
				.ld = v.rows,
				.q = BYTES(q),
				.s = F(s),
				.n = N,
				.w = &v },
			&err)));
	CHECK_IN(t->name, equal(t->name, &y));
	leave();
}

static void layouts(void)
{
	const struct tile *t, *sf;

	/* Every layout of codes with scales by rows; every layout of scales with codes by rows. */
	for (t = tiles; t < tiles + n_tiles; t++) {
		if (t->holds == TILE_FP4 && strcmp(t->name, "ggml-mxfp4"))
			in_layout(t, tile_find("rows"));
	}
	for (sf = tiles; sf < tiles + n_tiles; sf++) {
		if (sf->holds == TILE_SF)
			in_layout(tile_find("rows"), sf);
	}
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

/* --- experts --- */

static void experts(void)
{
	enum { N = 4, E = 70, K = 6 };
	struct both logits, bias, ids, id, weight, g, u, a;
	int32_t hash[N * K];
	float same[E];
	size_t j;

	for (j = 0; j < N * K; j++)
		hash[j] = (int32_t)(j * 11 % E);
	for (j = 0; j < E; j++)
		same[j] = (float)(j % 3);
	floats(&logits, N * E, false);
	floats(&bias, E, false);
	put(&ids, hash, sizeof hash);
	put(&id, NULL, sizeof hash);
	put(&weight, NULL, N * K * 4);
	ON_BOTH(d->gate(d,
		&(struct dev_gate){ .id = I(id),
			.weight = F(weight),
			.logits = F(logits),
			.bias = F(bias),
			.n = N,
			.experts = E,
			.k = K,
			.route_scale = 1.5f },
		&err));
	CHECK_EQUAL(id);
	CHECK_EQUAL(weight);
	ON_BOTH(d->gate(d,
		&(struct dev_gate){ .id = I(id),
			.weight = F(weight),
			.logits = F(logits),
			.hash = I(ids),
			.n = N,
			.experts = E,
			.k = K,
			.route_scale = 1.5f },
		&err));
	CHECK_EQUAL(id);
	CHECK_EQUAL(weight);
	leave();
	put(&logits, same, sizeof same); /* ties */
	put(&id, NULL, sizeof hash);
	put(&weight, NULL, N * K * 4);
	ON_BOTH(d->gate(d,
		&(struct dev_gate){ .id = I(id),
			.weight = F(weight),
			.logits = F(logits),
			.n = 1,
			.experts = E,
			.k = K,
			.route_scale = 2.5f },
		&err));
	CHECK_EQUAL(id);

	floats(&g, N * E, true);
	floats(&u, N * E, true);
	put(&a, NULL, N * E * 4);
	ON_BOTH(d->swiglu(d,
		&(struct dev_swiglu){ .a = F(a),
			.g = F(g),
			.u = F(u),
			.weight = F(weight),
			.n = N,
			.dim = E,
			.limit = 10.0f },
		&err));
	CHECK_EQUAL(a);
	ON_BOTH(d->swiglu(d,
		&(struct dev_swiglu){
			.a = F(a), .g = F(g), .u = F(u), .n = N, .dim = E, .limit = 0.0f },
		&err));
	CHECK_EQUAL(a);
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
	{ "plain_linears", plain_linears },
	{ "quantized_linears", quantized_linears },
	{ "places_add_up", places_add_up },
	{ "layouts", layouts },
	{ "attention", attention },
	{ "columns_of", columns_of },
	{ "compressed", compressed },
	{ "indexer", indexer },
	{ "experts", experts },
	{ 0 },
};

int main(int argc, char **argv)
{
	int rc;

	if (dev_open_ref(&dev[0], &err) || dev_open_cuda(&dev[1], &err))
		return cuda_no_device(err.text);
	rc = cuda_main(list, argc, argv);
	dev[1].close(&dev[1]);
	dev[0].close(&dev[0]);
	return rc;
}
