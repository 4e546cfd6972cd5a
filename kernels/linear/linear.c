/* SPDX-License-Identifier: MIT */
#include "kernels/linear/linear.h"

#include "core/cpu.h"
#include "kernels/fmath.h"
#include "kernels/linear/linear_core.h"

#include <string.h>

const struct linear_way linear_ways[] = {
	{ "avx-512", CPU_AVX512 | CPU_FMA, &linear_avx512 },
	{ "avx2", CPU_AVX2 | CPU_FMA, &linear_avx2 },
	{ "plain", 0, NULL },
	{ NULL, 0, NULL },
};

const struct linear_way *linear_best(unsigned features)
{
	const struct linear_way *w = linear_ways;

	while ((w->needs & features) != w->needs)
		w++;
	return w;
}

/* Scales for which products of values and scales are exact and stay clear of both ends: E8M0 bytes. */
enum { ACT_MIN = 105, ACT_MAX = 187, FP8_MIN = 18, FP8_MAX = 167 };
/* Up to so many tokens one by one. */
enum { FEW = 3 };

/* A call on its way. Sizes of what follows: carve(). */
struct work {
	const struct linear_job *j;
	const struct linear_core *core;
	unsigned features;
	enum linear_kind kind;
	bool partial;
	uint32_t n_scale;       /* of a row, where they are kept as floats; else 0 */
	uint32_t token, tokens; /* those at hand */
	uint32_t room;          /* for so many: tokens, and tiles whole */
	struct linear_line line[LINEAR_PANEL];
	bool odd[LINEAR_PANEL]; /* rows to be computed as the formula stands */
	float *x;               /* activations times their scales */
	float *panel, *acc;
	float *scale;        /* FP8, NVFP4: [LINEAR_PANEL][n_scale] */
	float *values;       /* a row, and its scales */
	uint8_t *codes, *sf; /* rows read from pieces */
	void *read;
};

static enum linear_kind kind_of(const struct weight *w)
{
	static const uint8_t kind[WEIGHT_TYPES] = { [WEIGHT_FP4] = LINEAR_FP4,
		[WEIGHT_FP8] = LINEAR_FP8,
		[WEIGHT_BF16] = LINEAR_BF16,
		[WEIGHT_F32] = LINEAR_F32,
		[WEIGHT_MXFP8] = LINEAR_MXFP8,
		[WEIGHT_NVFP4] = LINEAR_NVFP4 };

	return (enum linear_kind)kind[w->type];
}

static void *piece(uint8_t *base, size_t *at, size_t n)
{
	void *p = base ? base + *at : NULL;

	*at += (n + 63) / 64 * 64;
	return p;
}

/* Lays scratch out from base on (NULL: only counts). */
static size_t carve(struct work *k, const struct weight *w, uint32_t tokens, uint8_t *base)
{
	size_t at = 0, cols = ((size_t)w->cols + 127) / 128 * 128;
	uint32_t block = weight_forms[w->type].cols;

	k->n_scale = w->type == WEIGHT_FP8 || w->type == WEIGHT_NVFP4
		? (w->cols + block - 1) / block
		: 0;
	tokens = tokens <= FEW ? tokens : LINEAR_TOKENS;
	k->x = piece(base, &at, tokens * cols * sizeof(float));
	k->panel = piece(base, &at, LINEAR_PANEL * LINEAR_CHUNK * sizeof(float));
	k->acc = piece(base, &at,
		(size_t)LINEAR_PANEL * LINEAR_TOKENS * LINEAR_LANES * sizeof(float));
	k->scale = piece(base, &at, LINEAR_PANEL * (size_t)k->n_scale * sizeof(float));
	k->values = piece(base, &at, (cols + (block ? cols / block : 0)) * sizeof(float));
	k->codes = piece(base, &at, w->n_pieces ? LINEAR_READ * cols / 2 : 0);
	k->sf = piece(base, &at, w->n_pieces ? LINEAR_READ * cols / 32 : 0);
	k->read = piece(base, &at, linear_read_scratch(w));
	return at;
}

size_t linear_scratch(const struct weight *w, uint32_t tokens)
{
	struct work k;

	return carve(&k, w, tokens, NULL);
}

static void put(const struct linear_job *j, uint32_t row, uint32_t token, float v)
{
	v = j->q || j->round ? fm_bf16(v) : v != v ? fm_nan() : v;
	j->y[token * j->ldy + row] = v;
}

/* --- as the formula stands --- */

/* A row as values and scales of blocks. */
static void row_values(const struct work *k, const struct linear_line *l, float *v, float *s)
{
	const struct weight *w = k->j->w;
	uint32_t block = weight_forms[w->type].cols, c;
	uint16_t h;

	for (c = 0; c < w->cols; c++) {
		if (linear_in_nibbles(k->kind))
			v[c] = num_e2m1(l->codes[c / 2] >> (c % 2 * 4) & 15);
		else if (k->kind == LINEAR_FP8 || k->kind == LINEAR_MXFP8)
			v[c] = num_e4m3(l->codes[c]);
		else if (k->kind == LINEAR_F32)
			memcpy(&v[c], l->codes + 4 * (size_t)c, 4);
		else {
			memcpy(&h, l->codes + 2 * (size_t)c, 2);
			v[c] = num_bf16(h);
		}
	}
	for (c = 0; block && c < (w->cols + block - 1) / block; c++)
		s[c] = k->n_scale ? l->scale[c] : num_e8m0(l->e8m0[c]);
	for (c = 0; block && !k->j->q && c < w->cols; c++)
		v[c] = fm_bf16(v[c] * s[c / block]);
}

static float dot_q(const struct work *k, const float *v, const float *sw, uint32_t token)
{
	const struct weight *w = k->j->w;
	uint32_t cols = w->cols, sum = weight_sum(w), block = weight_forms[w->type].cols, b, i;
	const uint8_t *q = k->j->q + (uint64_t)token * cols;
	const float *s = k->j->s + (uint64_t)token * (cols / 128);
	float lane[LINEAR_LANES] = { 0 }, p[LINEAR_LANES], f;

	for (b = 0; b < cols; b += sum) {
		memset(p, 0, sizeof p);
		for (i = 0; i < sum; i++)
			p[i % 32] = fmaf(num_e4m3(q[b + i]), v[b + i], p[i % 32]);
		for (i = 0; i < LINEAR_LANES; i++) {
			f = s[b / 128] * (block ? sw[(b + i) / block] : 1.0f);
			lane[i] = fmaf(p[i], f, lane[i]);
		}
	}
	return fm_tree32(lane);
}

static void plain_row(const struct work *k, const struct linear_line *l, uint32_t row)
{
	const struct linear_job *j = k->j;
	float *v = k->values, *s = v + j->w->cols;
	uint32_t t;

	row_values(k, l, v, s);
	for (t = k->token; t < k->token + k->tokens; t++)
		put(j, row, t, j->q ? dot_q(k, v, s, t) : fm_dot(j->x + t * j->ldx, v, j->w->cols));
}

/* --- lines --- */

/* Runs of 32 of a length that the compiler knows: it makes vectors of them. */
static bool fp4_regular(const uint8_t *e, uint32_t n)
{
	enum { RUN = 32 };
	uint8_t bad[RUN] = { 0 }, all = 0;
	uint32_t i, k;

	for (i = 0; i + RUN <= n; i += RUN)
		for (k = 0; k < RUN; k++)
			bad[k] |= (uint8_t)(e[i + k] - LINEAR_FP4_MIN) >
				LINEAR_FP4_MAX - LINEAR_FP4_MIN;
	for (; i < n; i++)
		all |= (uint8_t)(e[i] - LINEAR_FP4_MIN) > LINEAR_FP4_MAX - LINEAR_FP4_MIN;
	for (k = 0; k < RUN; k++)
		all |= bad[k];
	return !all;
}

/* A power of two in that range. */
static bool power(float f, unsigned lo, unsigned hi)
{
	uint32_t b = num_bits(f);

	return (b & 0x807fffffu) == 0 && b >> 23 >= lo && b >> 23 <= hi;
}

/* Scales of an FP8 or NVFP4 row to s; whether all are regular: powers of two, of NVFP4 with the three bits of E4M3, so
 * that a code times its scale is exact. */
static bool row_scales(const struct weight *w, uint32_t row, uint32_t n, float *s)
{
	const uint32_t fraction = w->type == WEIGHT_NVFP4 ? 0x000fffff : 0x007fffff;
	const uint8_t *from = w->scales;
	uint64_t at = (uint64_t)(row / weight_forms[w->type].rows) * n;
	bool ok = true;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (w->type == WEIGHT_NVFP4)
			s[i] = num_e4m3(from[at + i]) * w->second;
		else if (w->f32_scales)
			memcpy(&s[i], from + 4 * (at + i), 4);
		else
			s[i] = num_e8m0(from[at + i]);
		ok &= power(num_f32(num_bits(s[i]) & ~(0x007fffffu & ~fraction)), FP8_MIN, FP8_MAX);
	}
	return ok;
}

static bool mxfp8_regular(const uint8_t *e, uint32_t n)
{
	uint8_t all = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		all |= (uint8_t)(e[i] - FP8_MIN) > FP8_MAX - FP8_MIN;
	return !all;
}

/* Whether products of codes with these values are exact, and partial sums of them stay so when they are scaled: the
 * last bit of a value times that of a code and the least scale of activations is 2^-149 or more, and an F32 has no more
 * than 20 bits. */
static bool bf16_regular(const uint8_t *p, uint32_t n)
{
	enum { MIN = 18 };
	uint8_t all = 0;
	uint32_t i;
	uint16_t h;

	for (i = 0; i < n; i++) {
		memcpy(&h, p + 2 * (size_t)i, sizeof h);
		all |= (h & 0x7fff) && (uint8_t)((h >> 7 & 255) - MIN) > FP8_MAX - MIN;
	}
	return !all;
}

static bool f32_regular(const uint8_t *p, uint32_t n)
{
	enum { MIN = 34 };
	uint8_t all = 0;
	uint32_t bits, i;

	for (i = 0; i < n; i++) {
		memcpy(&bits, p + 4 * (size_t)i, sizeof bits);
		all |= (bits & 15) ||
			((bits << 1) && (uint8_t)((bits >> 23 & 255) - MIN) > FP8_MAX - MIN);
	}
	return !all;
}

/* Line i of the panel: row `row`, which is row `given` of those read from pieces. */
static void line_at(struct work *k, uint32_t i, uint32_t row, uint32_t given)
{
	const struct weight *w = k->j->w;
	struct linear_line *l = &k->line[i];
	float *s = k->scale + (size_t)i * k->n_scale;
	uint64_t bytes = (uint64_t)w->cols * weight_forms[w->type].bits / 8;
	uint32_t n = w->cols / 32; /* scales of FP4 and MXFP8 */

	l->codes = w->n_pieces ? k->codes + given * bytes : (const uint8_t *)w->codes + row * bytes;
	l->scale = s;
	l->e8m0 = w->n_pieces ? k->sf + (uint64_t)given * n
		: w->scales   ? (const uint8_t *)w->scales + (uint64_t)row * n
			      : NULL;
	switch (k->kind) {
	case LINEAR_FP4:
		k->odd[i] = !fp4_regular(l->e8m0, n);
		break;
	case LINEAR_MXFP8:
		k->odd[i] = !mxfp8_regular(l->e8m0, n);
		break;
	case LINEAR_FP8:
	case LINEAR_NVFP4:
		k->odd[i] = !row_scales(w, row, k->n_scale, s);
		break;
	case LINEAR_BF16:
		k->odd[i] = k->j->q && !bf16_regular(l->codes, w->cols);
		break;
	default:
		k->odd[i] = k->j->q && !f32_regular(l->codes, w->cols);
	}
}

/* --- activations --- */

/* Of the tokens at hand, by blocks or by lanes; false where the formula must be taken as it stands. */
static bool activations(struct work *k, bool by_lanes)
{
	const struct linear_job *j = k->j;
	const struct linear_core *c = k->core;
	uint32_t cols = j->w->cols, t, at, n, i;
	size_t next;
	bool ok = true;

	for (t = k->token; t < k->token + k->tokens && ok; t++) {
		const uint8_t *q = j->q ? j->q + (uint64_t)t * cols : NULL;
		const float *s = j->q ? j->s + (uint64_t)t * (cols / 128) : NULL;
		const float *x = j->q ? NULL : j->x + t * j->ldx;

		for (i = 0; q && i < cols / 128; i++)
			ok &= power(s[i], ACT_MIN, ACT_MAX);
		if (!by_lanes) {
			ok = ok &&
				c->act(k->kind, q, s, x, 0, cols,
					k->x + (size_t)(t - k->token) * cols, 32, c->width);
			continue;
		}
		for (at = 0; ok && at < cols; at += n) {
			n = cols - at < LINEAR_CHUNK ? cols - at : LINEAR_CHUNK;
			next = (size_t)n / 32 * c->width;
			ok &= c->act(k->kind, q, s, x, at, n,
				k->x + (size_t)k->room * at + (t - k->token) * next, c->width,
				k->room * next);
		}
	}
	return ok;
}

/* --- few tokens --- */

static void few(struct work *k, uint32_t first, uint32_t given, uint32_t n)
{
	const struct linear_core *c = k->core;
	uint32_t r, t, i, m, cols = k->j->w->cols;

	for (r = 0; r < n; r += 2) {
		m = n - r < 2 ? 1 : 2;
		line_at(k, 0, first + r, given + r);
		line_at(k, 1, first + r + m - 1, given + r + m - 1);
		for (t = 0; t < k->tokens && !k->odd[0] && !k->odd[1]; t++) {
			if (!c->pair(k->kind, k->partial, k->line, cols, k->x + (size_t)t * cols,
				    k->acc))
				k->odd[0] = true;
			for (i = 0; i < m; i++)
				put(k->j, first + r + i, k->token + t,
					c->tree(k->kind, k->acc + i * LINEAR_LANES));
		}
		for (i = 0; i < m && (k->odd[0] || k->odd[1]); i++)
			plain_row(k, &k->line[i], first + r + i);
	}
}

/* --- many tokens --- */

/* Columns at .. at + n of the panel with all tokens. */
static void multiply(struct work *k, uint32_t at, uint32_t n)
{
	const struct linear_core *c = k->core;
	uint32_t rows = k->partial ? c->part_rows : c->sum_rows, blocks = n / 32, v, r, t;
	uint32_t tokens = k->partial ? c->part_tokens : c->sum_tokens;
	size_t next = (size_t)blocks * c->width;

	for (v = 0; v < LINEAR_LANES / c->width; v++)
		for (t = 0; t < k->tokens; t += tokens)
			for (r = 0; r < LINEAR_PANEL; r += rows)
				(k->partial ? c->part : c->sum)(k->acc +
						((size_t)r * LINEAR_TOKENS + t) * LINEAR_LANES +
						v * c->width,
					(size_t)LINEAR_TOKENS * LINEAR_LANES,
					k->panel + ((size_t)v * LINEAR_PANEL + r) * next, next,
					k->x + (size_t)k->room * at +
						((size_t)v * k->room + t) * next,
					next, blocks);
}

static void panel(struct work *k, uint32_t first, uint32_t given, uint32_t n)
{
	const struct linear_core *c = k->core;
	uint32_t r, t, at, m, cols = k->j->w->cols;
	size_t next;

	for (r = 0; r < LINEAR_PANEL; r++)
		line_at(k, r, first + (r < n ? r : n - 1), given + (r < n ? r : n - 1));
	memset(k->acc, 0, (size_t)LINEAR_PANEL * LINEAR_TOKENS * LINEAR_LANES * sizeof(float));
	for (at = 0; at < cols; at += m) {
		m = cols - at < LINEAR_CHUNK ? cols - at : LINEAR_CHUNK;
		next = (size_t)m / 32 * c->width;
		for (r = 0; r < LINEAR_PANEL; r++)
			if (!k->odd[r] &&
				!c->decode(k->kind, &k->line[r], at, m, k->panel + r * next,
					c->width, LINEAR_PANEL * next))
				k->odd[r] = true;
		multiply(k, at, m);
	}
	for (r = 0; r < n; r++) {
		for (t = 0; t < k->tokens && !k->odd[r]; t++)
			put(k->j, first + r, k->token + t,
				c->tree(k->kind,
					k->acc + ((size_t)r * LINEAR_TOKENS + t) * LINEAR_LANES));
		if (k->odd[r])
			plain_row(k, &k->line[r], first + r);
	}
}

/* --- */

/* Whether whole blocks are all there is. */
static bool whole(const struct work *k)
{
	return k->j->w->cols % (k->kind == LINEAR_FP8 || k->j->q ? 128 : 32) == 0;
}

/* Rows first .. first + n with the tokens at hand; given: the number of the first among those read. */
static void rows(struct work *k, uint32_t first, uint32_t given, uint32_t n, bool fast)
{
	uint32_t r, m;

	if (fast && k->tokens <= FEW) {
		few(k, first, given, n);
		return;
	}
	for (r = 0; r < n; r += m) {
		m = !fast ? 1 : n - r < LINEAR_PANEL ? n - r : LINEAR_PANEL;
		if (fast) {
			panel(k, first + r, given + r, m);
		} else {
			line_at(k, 0, first + r, given + r);
			plain_row(k, &k->line[0], first + r);
		}
	}
}

void linear_run(const struct linear_way *way, const struct linear_job *job, uint32_t first,
	uint32_t n, unsigned features, void *scratch)
{
	struct work k = { .j = job, .core = way->core, .features = features };
	const struct weight *w = job->w;
	uint32_t r, m;
	bool fast;

	k.kind = kind_of(w);
	k.partial = job->q && weight_sum(w) > LINEAR_LANES;
	carve(&k, w, job->tokens, scratch);
	for (k.token = 0; k.token < job->tokens; k.token += k.tokens) {
		k.tokens = job->tokens - k.token;
		k.tokens = k.tokens < LINEAR_TOKENS ? k.tokens : LINEAR_TOKENS;
		k.room = (k.tokens + 7) / 8 * 8;
		if (k.tokens > FEW)
			memset(k.x, 0, (size_t)k.room * w->cols * sizeof(float));
		fast = k.core && whole(&k) && activations(&k, k.tokens > FEW);
		for (r = 0; r < n; r += m) {
			m = w->n_pieces && n - r > LINEAR_READ ? LINEAR_READ : n - r;
			if (w->n_pieces)
				linear_read(w, first + r, m, features, k.codes, k.sf, k.read);
			rows(&k, first + r, 0, m, fast);
		}
	}
}
