/* test_linear.c -- linears: every way that this processor has gives the bits of the formula, element by
 * element through the address functions, for sizes off the edges, however rows and tokens are divided,
 * from rows and from the layouts of every engine; NaN, zeros, subnormals and scales far out; and the
 * order of lanes stays within the error that is derived for it from a sum in double.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/layout/engine.h"
#include "kernels/fmath.h"
#include "kernels/linear/linear.h"
#include "tests/check.h"
#include "tests/emulated.h"

/* A weight, activations, and what comes out. Sizes are kept small enough for arrays made once. */
struct thing {
	struct weight w;
	struct linear_job j;
	size_t code_bytes, scale_bytes;
	uint8_t *codes, *scales, *q;
	float *s, *x, *want, *got;
	void *scratch;
};

static void *mem(size_t n)
{
	void *p = aligned_alloc(64, (n + 64) / 64 * 64);

	if (!p)
		exit(2);
	memset(p, 0xa5, n);
	return p;
}

/* About normal: a sum of uniform ones. */
static float noise(void)
{
	int i, v = 0;

	for (i = 0; i < 4; i++)
		v += (int)rnd(2001) - 1000;
	return (float)v * 1e-3f;
}

static uint8_t fp8_code(void)
{
	uint8_t c = (uint8_t)rnd(256);

	return num_e4m3_is_nan(c) ? 0x80 : c;
}

static void fill_weight(struct thing *g)
{
	uint64_t n = (uint64_t)g->w.rows * g->w.cols, i;
	uint16_t h;
	float f;

	for (i = 0; i < n; i++) {
		f = noise();
		h = num_bf16_from(f);
		if (g->w.type == WEIGHT_F32)
			memcpy(g->codes + 4 * i, &f, 4);
		else if (g->w.type == WEIGHT_BF16)
			memcpy(g->codes + 2 * i, &h, 2);
		else if (g->w.type == WEIGHT_FP8 || g->w.type == WEIGHT_MXFP8)
			g->codes[i] = fp8_code();
		else if (i % 2 == 0)
			g->codes[i / 2] = (uint8_t)rnd(256);
	}
	for (i = 0; i < g->scale_bytes; i += g->w.f32_scales ? 4 : 1) {
		f = num_e8m0(110 + rnd(20));
		if (g->w.f32_scales)
			memcpy(g->scales + i, &f, 4);
		else if (g->w.type == WEIGHT_NVFP4) /* powers of two, and others */
			g->scales[i] = (uint8_t)(rnd(4) ? 8 * rnd(15) : rnd(0x7f));
		else
			g->scales[i] = (uint8_t)(110 + rnd(20));
	}
}

static void fill_acts(struct thing *g)
{
	uint64_t i, n = (uint64_t)g->j.tokens * g->w.cols;

	for (i = 0; i < n; i++)
		g->q[i] = fp8_code();
	for (i = 0; i < (uint64_t)g->j.tokens * (g->w.cols / 128); i++)
		g->s[i] = num_e8m0(105 + rnd(20));
	for (i = 0; i < g->j.tokens * g->j.ldx; i++)
		g->x[i] = fm_bf16(noise());
}

static void make(struct thing *g, uint8_t type, bool quant, uint32_t rows, uint32_t cols,
	uint32_t tokens)
{
	const struct weight_form *f = &weight_forms[type];

	memset(g, 0, sizeof *g);
	g->w = (struct weight){ .type = type, .rows = rows, .cols = cols, .second = 1 };
	g->w.f32_scales = type == WEIGHT_FP8 && rnd(3) == 0;
	g->w.sum = f->cols == 128 || !f->cols ? 32u << 2 * rnd(2) : 0;
	g->w.second = rnd(3) ? num_e8m0(110 + rnd(20)) : 1.1f;
	g->code_bytes = (uint64_t)rows * cols * f->bits / 8;
	g->scale_bytes = f->cols ? (uint64_t)((rows + f->rows - 1) / f->rows) *
			((cols + f->cols - 1) / f->cols) * (g->w.f32_scales ? 4 : 1)
				 : 0;
	g->codes = guarded(g->code_bytes + 1) + 1; /* at an odd address, and nothing behind it */
	g->scales = guarded(g->scale_bytes + 1);
	g->w.codes = g->codes;
	g->w.scales = g->scales;
	g->j = (struct linear_job){ .w = &g->w, .tokens = tokens, .ldx = cols + rnd(9) };
	g->j.ldy = rows + rnd(5);
	g->j.round = rnd(2);
	g->q = guarded((size_t)tokens * cols);
	g->s = mem((size_t)tokens * (cols / 128 + 1) * sizeof(float));
	g->x = mem((size_t)tokens * g->j.ldx * sizeof(float));
	g->want = mem((size_t)tokens * g->j.ldy * sizeof(float));
	g->got = mem((size_t)tokens * g->j.ldy * sizeof(float));
	if (quant) {
		g->j.q = g->q;
		g->j.s = g->s;
	} else {
		g->j.x = g->x;
	}
	fill_weight(g);
	fill_acts(g);
	g->scratch = mem(linear_scratch(&g->w, tokens));
}

static void release(struct thing *g)
{
	free(g->s);
	free(g->x);
	free(g->want);
	free(g->got);
	free(g->scratch);
}

/* --- the formula --- */

static float value(const struct weight *w, uint32_t r, uint32_t c)
{
	const uint8_t *p = w->codes;
	uint64_t i = (uint64_t)r * w->cols + c;
	uint16_t h;
	float f;

	if (w->type == WEIGHT_FP4 || w->type == WEIGHT_NVFP4)
		return num_e2m1(p[i / 2] >> (c % 2 * 4) & 15);
	if (w->type == WEIGHT_FP8 || w->type == WEIGHT_MXFP8)
		return num_e4m3(p[i]);
	memcpy(&h, p + 2 * i, 2);
	if (w->type == WEIGHT_BF16)
		return num_bf16(h);
	memcpy(&f, p + 4 * i, 4);
	return f;
}

static float scale(const struct weight *w, uint32_t r, uint32_t c)
{
	const uint8_t *p = w->scales;
	uint64_t i = (uint64_t)(r / 128) * ((w->cols + 127) / 128) + c / 128;
	float f;

	if (w->type == WEIGHT_FP4 || w->type == WEIGHT_MXFP8)
		return num_e8m0(p[(uint64_t)r * (w->cols / 32) + c / 32]);
	if (w->type == WEIGHT_NVFP4)
		return num_e4m3(p[(uint64_t)r * (w->cols / 16) + c / 16]) * w->second;
	if (w->type != WEIGHT_FP8)
		return 1.0f;
	if (!w->f32_scales)
		return num_e8m0(p[i]);
	memcpy(&f, p + 4 * i, 4);
	return f;
}

/* Also the sum of magnitudes, in double, and the sum itself. */
static float formula(const struct linear_job *j, uint32_t r, uint32_t t, double *sum, double *mag)
{
	const struct weight *w = j->w;
	uint32_t c, i, block = w->sum ? w->sum : w->type == WEIGHT_FP8 ? 128 : 32;
	float lane[32] = { 0 }, p[32] = { 0 }, x, v, f;

	*sum = *mag = 0;
	for (c = 0; c < w->cols; c++) {
		i = c % 32;
		v = value(w, r, c);
		f = scale(w, r, c);
		if (!j->q) {
			x = j->x[t * j->ldx + c];
			v = w->type != WEIGHT_BF16 && w->type != WEIGHT_F32 ? fm_bf16(v * f) : v;
			lane[i] = fmaf(x, v, lane[i]);
			*sum += (double)x * v;
			*mag += fabs((double)x * v);
			continue;
		}
		x = num_e4m3(j->q[(uint64_t)t * w->cols + c]);
		f = j->s[(uint64_t)t * (w->cols / 128) + c / 128] * f;
		p[i] = fmaf(x, v, c % block < 32 ? 0.0f : p[i]);
		if (c % block >= block - 32)
			lane[i] = fmaf(p[i], f, lane[i]);
		*sum += (double)x * v * f;
		*mag += fabs((double)x * v * f);
	}
	f = fm_tree32(lane);
	return j->q || j->round ? fm_bf16(f) : f != f ? fm_nan() : f;
}

static void formulas(struct thing *g, bool bounded)
{
	struct linear_job *j = &g->j;
	double sum, mag, room;
	uint32_t r, t;
	float y;

	for (t = 0; t < j->tokens; t++)
		for (r = 0; r < g->w.rows; r++) {
			y = formula(j, r, t, &sum, &mag);
			g->want[t * j->ldy + r] = y;
			/* A lane adds cols / 32 times (with partials 5/4 as often), the tree 5 times,
			 * each within 2^-24 of what it has; BF16 within 2^-9. */
			room = mag * 0x1p-24 * (g->w.cols / 32 * 1.25 + 7);
			room += j->q || j->round ? fabs(sum) * 0x1p-8 : 0;
			if (bounded)
				CHECK_IN(weight_forms[g->w.type].name,
					fabs(y - sum) <= room + 1e-38);
		}
}

/* Every way, all rows and then some, against want. */
static void compare(struct thing *g, const char *what)
{
	const struct linear_way *way;
	struct linear_job *j = &g->j;
	uint64_t n = (uint64_t)j->tokens * j->ldy;
	unsigned has = cpu_features();
	uint32_t r, m, t, bad;

	j->y = g->got;
	for (way = linear_ways; way->name; way++) {
		if ((way->needs & features_or_emulated()) != way->needs)
			continue;
		memset(g->got, 0x77, n * sizeof(float));
		for (r = 0; r < g->w.rows; r += m) {
			m = rnd(3) ? g->w.rows - r : 1 + rnd(g->w.rows - r);
			linear_run(way, j, r, m, has, g->scratch);
		}
		for (t = bad = 0; t < j->tokens; t++)
			for (r = 0; r < g->w.rows && !bad; r++)
				if (num_bits(g->got[t * j->ldy + r]) !=
					num_bits(g->want[t * j->ldy + r])) {
					fprintf(stderr,
						"%s, %s, %s %u x %u: token %u of %u, row %u: %a, "
						"expected %a (seed %llu)\n",
						what, way->name, weight_forms[g->w.type].name,
						g->w.rows, g->w.cols, t, j->tokens, r,
						(double)g->got[t * j->ldy + r],
						(double)g->want[t * j->ldy + r],
						(unsigned long long)check_seed);
					check_failed++;
					bad = 1;
				}
		for (t = 0; t < j->tokens; t++) /* what is beyond is not touched */
			for (r = g->w.rows; r < j->ldy; r++)
				CHECK(num_bits(g->got[t * j->ldy + r]) == 0x77777777);
	}
}

/* --- */

static void some_size(struct thing *g, int k)
{
	uint8_t type = (uint8_t)(k % WEIGHT_TYPES);
	bool quant = type == WEIGHT_FP4 || k / WEIGHT_TYPES % 2, coded = weight_forms[type].cols;
	uint32_t cols, rows = 1 + rnd(40), tokens = 1 + rnd(6);

	cols = quant || coded ? 128 * (1 + rnd(4)) : 32 * (1 + rnd(12));
	if (k % 5 == 0)
		tokens = 1 + rnd(40);
	if (k % 7 == 0) {
		cols += 2048; /* more than one chunk */
		rows = 1 + rnd(14);
	}
	if (!quant && rnd(6) == 0 && (!coded || type == WEIGHT_FP8))
		cols += 1 + rnd(31);
	make(g, type, quant, rows, cols, tokens);
}

static void sizes(void)
{
	struct thing g;
	int k;

	for (k = 0; k < 160; k++) {
		some_size(&g, k);
		formulas(&g, true);
		compare(&g, "sizes");
		release(&g);
	}
}

/* The second half of each row becomes the first with its sign changed, under the same scales and activations: the true
 * sum is zero, and what comes out is nothing but the roundings on the way, which another order makes otherwise. A BF16
 * of a sum that does not cancel hides them. */
static void mirror(struct thing *g)
{
	const struct weight_form *f = &weight_forms[g->w.type];
	uint32_t half = g->w.cols / 2, bytes = half * f->bits / 8, n, r, t, k;
	uint8_t *p, *s = g->scales;

	for (r = 0; r < g->w.rows; r++) {
		p = g->codes + (size_t)r * 2 * bytes;
		memcpy(p + bytes, p, bytes);
		for (k = bytes; k < 2 * bytes; k++)
			p[k] ^= f->bits == 4                            ? 0x88
				: k % (f->bits / 8) == f->bits / 8 - 1u ? 0x80
									: 0;
	}
	n = f->cols ? half / f->cols * (g->w.f32_scales ? 4 : 1) : 0;
	for (r = 0; n && r < (g->w.rows + f->rows - 1) / f->rows; r++, s += 2 * n)
		memcpy(s + n, s, n);
	for (t = 0; t < g->j.tokens; t++) {
		memcpy(g->q + (size_t)t * 2 * half + half, g->q + (size_t)t * 2 * half, half);
		memcpy(g->s + t * (half / 64) + half / 128, g->s + t * (half / 64),
			half / 128 * sizeof(float));
		memcpy(g->x + t * g->j.ldx + half, g->x + t * g->j.ldx, half * sizeof(float));
	}
}

static void orders(void)
{
	struct thing g;
	int k;

	for (k = 0; k < 16 * WEIGHT_TYPES; k++) {
		make(&g, (uint8_t)(k % WEIGHT_TYPES), k / WEIGHT_TYPES % 4, 1 + rnd(30),
			256 * (1 + rnd(5)), 1 + rnd(9));
		mirror(&g);
		formulas(&g, true);
		compare(&g, "orders");
		release(&g);
	}
}

static void odd_weights(struct thing *g)
{
	static const uint8_t e[] = { 0, 1, 2, 3, 254, 255, 187, 188, 17, 18, 167, 168, 0x7f, 0x80 };
	static const uint16_t values[] = { 0x7f7f, 0x0001, 0x0880, 0x0900, 0x5380, 0x53ff, 0x5400 };
	float f = num_f32(0x3f800001u);
	uint32_t n = 1 + rnd(3);

	for (; n; n--) {
		switch (rnd(4)) {
		case 0:
			if (g->w.type == WEIGHT_FP8 || g->w.type == WEIGHT_MXFP8)
				g->codes[rnd((uint32_t)g->code_bytes)] = rnd(2) ? 0x7f : 0xff;
			break;
		case 1:
			if (g->w.f32_scales)
				memcpy(g->scales + rnd((uint32_t)g->scale_bytes / 4) * 4, &f, 4);
			else if (g->scale_bytes)
				g->scales[rnd((uint32_t)g->scale_bytes)] = e[rnd(sizeof e)];
			break;
		case 2:
			memset(g->codes, 0, g->code_bytes / 2);
			break;
		default:
			if (g->w.type == WEIGHT_F32 || g->w.type == WEIGHT_BF16)
				memcpy(g->codes + 2 * rnd((uint32_t)g->code_bytes / 2),
					&values[rnd(sizeof values / 2)], 2);
		}
	}
}

static void odd_acts(struct thing *g)
{
	uint32_t n = g->j.tokens * g->w.cols, t = rnd(g->j.tokens), c = rnd(g->w.cols);
	float *x = &g->x[t * g->j.ldx + c], *s = &g->s[t * (g->w.cols / 128)];

	switch (rnd(6)) {
	case 0:
		g->q[rnd(n)] = 0x7f;
		*x = num_f32(0xffc12345u);
		break;
	case 1:
		*s = num_e8m0(247);
		*x = 0x1.fep+127f;
		break;
	case 2:
		*s = fm_nan();
		*x = fm_inf();
		break;
	case 3:
		*s = num_e8m0(rnd(105));
		*x = 0x1p-149f;
		break;
	case 4:
		memset(g->q, 0x80, n);
		*x = -0.0f;
	}
}

static void special(void)
{
	struct thing g;
	int k;

	for (k = 0; k < 240; k++) {
		some_size(&g, k);
		if (k % 3)
			odd_weights(&g);
		if (k % 3 != 1)
			odd_acts(&g);
		formulas(&g, false);
		compare(&g, "special");
		release(&g);
	}
}

/* --- layouts --- */

/* n rows of a part, of so many bytes at from, next to one another, into a matrix laid out. */
struct laid {
	struct engine_fit fit;
	uint8_t *data;
};

static void lay(struct laid *l, const uint8_t *const *part, size_t bytes, size_t stride)
{
	struct tile_grid g = tile_grid(l->fit.tile, l->fit.dim);
	uint32_t rows = l->fit.dim.rows, n = rows / l->fit.map->parts, p, i;
	const uint8_t **row = calloc(g.down * g.rows, sizeof *row);
	uint64_t s, step = l->fit.tile->by_cols ? g.n : g.across;

	(void)bytes;
	l->data = mem(tile_bytes(l->fit.tile, l->fit.dim));
	for (p = 0; p < l->fit.map->parts; p++)
		for (i = 0; i < n; i++)
			row[l->fit.map->to(p, i, n)] = part[p] + i * stride;
	for (s = 0; s < g.n; s += step)
		tile_pack(l->fit.tile, l->fit.dim, row + s / step * g.rows, s, step,
			l->data + s * g.bytes);
	free(row);
}

/* The w1 (part 0), w3 or w2 of an engine, cut by columns into two, through it and from rows. */
static void through_engine(const struct engine *e, enum engine_part part, uint32_t which)
{
	uint32_t n = 256, k = 512, half = k / 2, parts = part == ENGINE_W13 ? 2 : 1, c, p;
	struct thing g[2];
	struct weight_piece piece[2];
	struct laid code[2], sf[2];
	char why[400];
	const uint8_t *from[2];

	for (p = 0; p < 2; p++)
		make(&g[p], WEIGHT_FP4, true, n, k, 1 + rnd(5));
	for (c = 0; c < 2; c++) {
		if (!engine_fit(e, part, false, parts * n, half, &code[c].fit, why, sizeof why) ||
			!engine_fit(e, part, true, parts * n, half, &sf[c].fit, why, sizeof why)) {
			FAILED(why);
			return;
		}
		for (p = 0; p < 2; p++)
			from[p] = g[(p + (parts == 1 ? which : 0)) % 2].codes + c * half / 2;
		lay(&code[c], from, half / 2, k / 2);
		for (p = 0; p < 2; p++)
			from[p] = g[(p + (parts == 1 ? which : 0)) % 2].scales + c * half / 32;
		lay(&sf[c], from, half / 32, k / 32);
		piece[c] = (struct weight_piece){ .rows = n,
			.col = c * half,
			.cols = half,
			.map = code[c].fit.map,
			.part = parts == 1 ? 0 : which,
			.tile = code[c].fit.tile,
			.sf = sf[c].fit.tile,
			.dim = code[c].fit.dim,
			.sf_dim = sf[c].fit.dim,
			.codes = code[c].data,
			.scales = sf[c].data };
	}
	formulas(&g[which], true);
	g[which].w.codes = g[which].w.scales = NULL;
	g[which].w.pieces = piece;
	g[which].w.n_pieces = 2;
	free(g[which].scratch);
	g[which].scratch = mem(linear_scratch(&g[which].w, g[which].j.tokens));
	compare(&g[which], e->name);
	for (c = 0; c < 2; c++) {
		free(code[c].data);
		free(sf[c].data);
		release(&g[c]);
	}
}

static void layouts(void)
{
	unsigned i;

	for (i = 0; i < n_engines; i++) {
		through_engine(&engines[i], ENGINE_W13, 0);
		through_engine(&engines[i], ENGINE_W13, 1);
		through_engine(&engines[i], ENGINE_W2, 0);
	}
}

static void ways(void)
{
	CHECK(!strcmp(linear_best(0)->name, "plain"));
	CHECK(!strcmp(linear_best(CPU_AVX2)->name, "plain"));
	CHECK(!strcmp(linear_best(CPU_AVX2 | CPU_FMA)->name, "avx2"));
	CHECK(!strcmp(linear_best(CPU_AVX2 | CPU_FMA | CPU_AVX512)->name, "avx-512"));
}

static const struct test tests[] = {
	{ "linear_ways", ways },
	{ "linear_sizes", sizes },
	{ "linear_orders", orders },
	{ "linear_special", special },
	{ "linear_layouts", layouts },
	{ NULL, NULL },
};
TEST_MAIN(tests)
