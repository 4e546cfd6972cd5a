/* test_devlinear.c -- the linears and experts of struct dev on the CUDA device against plain C, bit for bit, on random
 * sizes off the edges and in every layout. How the kernels run is said in test_cuda.c.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ondev.h"

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
	} cases[] = { { WEIGHT_MXFP8, false, true, 5, 128, 2 },
		{ WEIGHT_NVFP4, false, true, 6, 64, 3 }, { WEIGHT_FP4, false, false, 3, 64, 9 },
		{ WEIGHT_BF16, false, true, 5, 33, 1 }, { WEIGHT_BF16, false, false, 9, 100, 9 },
		{ WEIGHT_F32, false, false, 3, 64, 2 }, { WEIGHT_F32, false, true, 4, 7, 17 },
		{ WEIGHT_FP8, false, true, 130, 256, 2 }, { WEIGHT_FP8, true, false, 5, 128, 3 } };
	struct both x, codes, scales, y;
	struct weight w;
	uint16_t *h;
	size_t k, j, all;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t n = cases[k].n, ldx = cases[k].cols + 3, ldy = cases[k].rows + 2;
		struct weight one = { .type = (uint8_t)cases[k].type,
			.f32_scales = cases[k].f32_scales,
			.rows = cases[k].rows,
			.cols = cases[k].cols,
			.second = 0.3f };

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
			bytes(&codes, all, 0, 256, weight_forms[one.type].bits == 8);
		}
		if (one.f32_scales) {
			static const float powers[] = { 0.25f, 2.0f, 0.5f, 1.0f };
			put(&scales, powers, sizeof powers);
		} else {
			bytes(&scales, 64, 110, 16, false); /* as E4M3 too */
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
		uint32_t rows, cols, n, sum;
	} cases[] = { { WEIGHT_FP8, false, 5, 128, 1, 0 }, { WEIGHT_FP8, false, 130, 256, 9, 0 },
		{ WEIGHT_FP8, true, 3, 256, 2, 0 }, { WEIGHT_FP4, false, 5, 128, 1, 0 },
		{ WEIGHT_FP4, false, 9, 256, 10, 0 }, { WEIGHT_FP8, true, 5, 256, 3, 32 },
		{ WEIGHT_MXFP8, false, 7, 256, 9, 0 }, { WEIGHT_NVFP4, false, 7, 256, 9, 0 },
		{ WEIGHT_BF16, false, 7, 256, 9, 0 }, { WEIGHT_BF16, false, 3, 256, 2, 128 },
		{ WEIGHT_F32, false, 7, 128, 9, 0 }, { WEIGHT_F32, false, 5, 256, 1, 128 } };
	uint16_t *h;
	struct both q, s, codes, scales, y;
	struct weight w;
	size_t k, j, all;

	for (k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint32_t n = cases[k].n, ld = cases[k].rows + 1;
		struct weight one = { .type = (uint8_t)cases[k].type,
			.f32_scales = cases[k].f32_scales,
			.rows = cases[k].rows,
			.cols = cases[k].cols,
			.second = 0.3f,
			.sum = cases[k].sum };
		static const float powers[] = { 0.25f, 2.0f, 0.5f, 1.0f };

		all = (size_t)one.rows * one.cols;
		bytes(&q, n * one.cols, 0, 256, true);
		gains(&s, n * one.cols / 128);
		put(&y, NULL, n * ld * 4);
		if (one.type == WEIGHT_BF16) {
			h = malloc(all * 2);
			for (j = 0; j < all; j++)
				h[j] = num_bf16_from(value());
			put(&codes, h, all * 2);
			free(h);
		} else if (one.type == WEIGHT_F32) {
			floats(&codes, all, false);
		} else {
			bytes(&codes, all, 0, 256, weight_forms[one.type].bits == 8);
		}
		if (one.f32_scales)
			put(&scales, powers, sizeof powers);
		else
			bytes(&scales, all / 16, 110, 16, false);
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

static const struct test list[] = {
	{ "plain_linears", plain_linears },
	{ "quantized_linears", quantized_linears },
	{ "places_add_up", places_add_up },
	{ "layouts", layouts },
	{ "experts", experts },
	{ 0 },
};

int main(int argc, char **argv)
{
	return ondev_main(list, argc, argv);
}
