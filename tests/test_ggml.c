/* test_ggml.c -- rows in the block formats of ggml and the names of tensors in GGUF: each way held to its meaning,
 * written once more here, and to bytes worked out by hand; ways back; what is refused.
 *
 * tests/oracle/runtime_gguf.py holds the same to the package gguf and to llama.cpp's own converter.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/gguf_name.h"
#include "quant/ggml_back.h"
#include "quant/residue.h"
#include "quant/num.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { COLS = 256 };

/* What rows are made by, in turn. */
static const struct row_way *way_now;

static void each_way(void (*test)(void))
{
	unsigned i;

	for (i = 0; (way_now = row_way(i)); i++)
		if (!(way_now->need & ~features_or_emulated()))
			test();
}

static const struct ggml_way *way(enum codec from, uint32_t type)
{
	const struct ggml_way *w = ggml_way_find(from, type);

	CHECK(w != NULL);
	return w;
}

/* Block b of a row of MXFP4 holds what the source has, nibble by nibble; and back. */
static void mxfp4_moves(void)
{
	const struct ggml_way *w = way(CODEC_MXFP4, GGML_MXFP4);
	uint8_t codes[COLS / 2], scales[COLS / 32], out[COLS / 32 * 17], back[COLS / 2],
		s2[COLS / 32];
	unsigned n, b, i, lo, hi;

	for (n = 0; n < 200; n++) {
		rnd_bytes(codes, sizeof codes);
		for (b = 0; b < COLS / 32; b++)
			scales[b] = (uint8_t)rnd(255);
		CHECK(w->row(way_now, codes, scales, COLS, NULL, out) == COLS);
		for (b = 0; b < COLS / 32; b++) {
			CHECK(out[17 * b] == scales[b]);
			for (i = 0; i < 16; i++) {
				lo = codes[16 * b + i / 2] >> 4 * (i % 2) & 15;
				hi = codes[16 * b + 8 + i / 2] >> 4 * (i % 2) & 15;
				CHECK(out[17 * b + 1 + i] == (lo | hi << 4));
			}
		}
		CHECK(w->back(out, s2, COLS, NULL, back));
		CHECK(same_bytes("codes", back, codes, sizeof codes) &&
			same_bytes("scales", s2, scales, sizeof scales));
	}
	scales[3] = 255;
	CHECK(w->row(way_now, codes, scales, COLS, NULL, out) == 3 * 32);
}

/* Every code with every scale: MXFP4 to F32 is the value, with the sign of zeros. */
static void mxfp4_values(void)
{
	const struct ggml_way *w = way(CODEC_MXFP4, GGML_F32);
	uint8_t codes[16], out[32 * 4], scale;
	double v[32];
	unsigned s, i;
	float f, want;

	for (i = 0; i < 16; i++)
		codes[i] = (uint8_t)(2 * (i % 8) | (2 * (i % 8) + 1) << 4);
	for (s = 0; s < 255; s++) {
		scale = (uint8_t)s;
		if (s > 252) { /* 6 * 2^126 is beyond FP32 */
			CHECK(w->row(way_now, codes, &scale, 32, v, out) < 32);
			continue;
		}
		CHECK(w->row(way_now, codes, &scale, 32, v, out) == 32);
		for (i = 0; i < 32; i++) {
			want = num_e2m1(i % 16) * num_e8m0(s);
			memcpy(&f, out + 4 * i, sizeof f);
			CHECK(num_bits(f) == num_bits(want));
		}
	}
}

/* By hand: d = 2/127 is 0x2408 in FP16 (0.01574), and so on. */
static void q8_0(void)
{
	static const uint8_t want[34] = { 0x08, 0x24, 127, (uint8_t)-127, 64, 0, 32, (uint8_t)-32 };
	const struct ggml_way *w = way(CODEC_FP8, GGML_Q8_0);
	uint8_t codes[128] = { 0x40, 0xc0, 0x38, 0x80, 0x30, 0xb0 }, out[4 * 34], scale = 127;
	double v[128];
	size_t i;

	/* 2, -2, 1, -0, .5, -.5 and zeros */
	CHECK(w->lossy && w->row(way_now, codes, &scale, 128, v, out) == 128);
	CHECK(same_bytes("block", out, want, sizeof want));
	for (i = 34; i < sizeof out; i++)
		CHECK(out[i] == 0); /* blocks of zeros have d = 0 */
	codes[5] = 0x7f;
	CHECK(w->row(way_now, codes, &scale, 128, v, out) == 5);
	codes[5] = 0x7e;
	scale = 254; /* 448 * 2^127: no F32 */
	CHECK(w->row(way_now, codes, &scale, 128, v, out) < 128);
	scale = 160; /* 448 * 2^33 / 127: no FP16 */
	CHECK(w->row(way_now, codes, &scale, 128, v, out) == 0);
}

/* Every code with scales at the ends and in the middle: FP8 to BF16 and F32 is the product, or refused. */
static void fp8_values(void)
{
	static const uint8_t ends[] = { 0, 1, 2, 5, 60, 127, 200, 246, 247, 250, 254 };
	const struct ggml_way *b = way(CODEC_FP8, GGML_BF16), *f = way(CODEC_FP8, GGML_F32);
	uint8_t codes[128], out[512];
	double v[128], tables[128] = { 0 }, x;
	unsigned s, c, i;
	uint16_t h;
	float g;

	for (s = 0; s < COUNT(ends); s++)
		for (c = 0; c < 256; c++) {
			memset(codes, (int)c, sizeof codes);
			x = (double)num_e4m3(c) * (double)num_e8m0(ends[s]);
			g = (float)x;
			i = (unsigned)f->row(way_now, codes, &ends[s], 128, v, out);
			CHECK((i == 128) == (isfinite(x) && isfinite(g) && (double)g == x));
			CHECK(i < 128 || !memcmp(out + 4, &g, 4));
			h = num_bf16_from(g);
			i = (unsigned)b->row(way_now, codes, &ends[s], 128, tables, out);
			CHECK((i == 128) == (isfinite(x) && (double)num_bf16(h) == x));
			CHECK(i < 128 || !memcmp(out + 2, &h, 2));
		}
}

/* Rows of several tiles, with scales of both types that every kind of product follows from: what is written, and where
 * it stops, is what the values of the codes say. */
static void fp8_rows(void)
{
	enum { TILES = 3, LEFT = 64 };
	const struct ggml_way *w;
	uint8_t codes[TILES * 128], scales[TILES * 4 + 4], out[2 * TILES * 128];
	double v[TILES * 128], tables[TILES * 128];
	size_t cols, n, want, i, each;
	float f;
	uint16_t h;
	int type, round;

	for (type = 0; type < 2; type++)
		for (cols = TILES * 128; cols >= TILES * 128 - LEFT; cols -= LEFT)
			for (memset(tables, 0, sizeof tables), round = 0; round < 300; round++) {
				w = way(type ? CODEC_FP8_F32 : CODEC_FP8, GGML_BF16);
				CHECK(codecs[w->from].cols == 128);
				each = type ? 4 : 1;
				for (i = 0; i < cols; i++)
					do
						codes[i] = (uint8_t)rnd64();
					while (round % 5 && num_e4m3_is_nan(codes[i]));
				for (i = 0; round % 3 == 0 && i < TILES;
					i++) { /* else those of before */
					f = rnd(8)       ? ldexpf(1, (int)rnd(240) - 120)
						: rnd(2) ? 1.25f
							 : (float)INFINITY;
					memcpy(scales + 4 * i, &f, type ? 4 : 0);
					scales[each * i] =
						type ? scales[each * i] : (uint8_t)rnd(256);
				}
				codec_ops[w->from].decode(codes, scales, 1, cols, v);
				for (want = 0; want < cols; want++)
					if (!isfinite(v[want]) ||
						(double)num_bf16(num_bf16_from((float)v[want])) !=
							v[want])
						break;
				n = w->row(way_now, codes, scales, cols, tables, out);
				CHECK_IN(way_now->name, n == want);
				for (i = 0; n == cols && i < cols; i++) {
					memcpy(&h, out + 2 * i, sizeof h);
					CHECK_IN(way_now->name, h == num_bf16_from((float)v[i]));
				}
				if (n < cols && cols % 128) /* its values lie there */
					memset(tables, 0, sizeof tables);
			}
}

/* All BF16: the upper half, NaN refused, and back; ids. */
static void plain(void)
{
	const struct ggml_way *w = way(CODEC_BF16, GGML_F32), *d = way(CODEC_NONE, GGML_I32);
	int64_t id[3] = { 0, 255, INT32_MAX }, id2[3];
	uint8_t out[12];
	uint16_t h, h2;
	uint32_t u;
	float f;

	for (u = 0; u < 65536; u++) {
		h = (uint16_t)u;
		if ((u & 0x7f80) == 0x7f80) { /* NaN or infinite */
			CHECK(w->row(way_now, (const uint8_t *)&h, NULL, 1, NULL, out) == 0);
			continue;
		}
		CHECK(w->row(way_now, (const uint8_t *)&h, NULL, 1, NULL, out) == 1);
		memcpy(&f, out, 4);
		CHECK(num_bits(f) == u << 16);
		CHECK(w->back(out, NULL, 1, NULL, (uint8_t *)&h2) && h2 == h);
	}
	out[0] = 1;
	CHECK(!w->back(out, NULL, 1, NULL, (uint8_t *)&h2));
	CHECK(d->row(way_now, (const uint8_t *)id, NULL, 3, NULL, out) == 3 &&
		d->back(out, NULL, 3, NULL, (uint8_t *)id2));
	CHECK(!memcmp(id, id2, sizeof id));
	id[1] = -1;
	CHECK(d->row(way_now, (const uint8_t *)id, NULL, 3, NULL, out) == 1);
	id[1] = (int64_t)INT32_MAX + 1;
	CHECK(d->row(way_now, (const uint8_t *)id, NULL, 3, NULL, out) == 1);
	CHECK(!ggml_way_find(CODEC_BF16, GGML_Q8_0));
}

static void names(void)
{
	static const struct {
		const char *tensor;
		bool scale;
		const char *name; /* NULL: none */
		long expert;
	} row[] = {
		{ "embed.weight", false, "token_embd.weight", -1 },
		{ "norm.weight", false, "output_norm.weight", -1 },
		{ "hc_head_fn", false, "output_hc_fn.weight", -1 },
		{ "layers.0.attn.wq_a.weight", false, "blk.0.attn_q_a.weight", -1 },
		{ "layers.0.attn.wq_a.scale", true, "blk.0.attn_q_a.weight", -1 },
		{ "layers.42.attn.indexer.weights_proj.weight", false, "blk.42.indexer.proj.weight",
			-1 },
		{ "layers.3.ffn.gate.bias", false, "blk.3.exp_probs_b.bias", -1 },
		{ "layers.3.ffn.experts.17.w1.weight", false, "blk.3.ffn_gate_exps.weight", 17 },
		{ "layers.3.ffn.experts.0.w2.scale", true, "blk.3.ffn_down_exps.weight", 0 },
		{ "layers.3.ffn.experts.255.w3.weight", false, "blk.3.ffn_up_exps.weight", 255 },
		{ "layers.3.ffn.experts.0.w2.scale", false, NULL, 0 },
		{ "layers.3.ffn.experts.00.w1.weight", false, NULL, 0 },
		{ "layers.3.ffn.experts..w1.weight", false, NULL, 0 },
		{ "layers.03.attn_norm.weight", false, NULL, 0 },
		{ "layers.x.attn_norm.weight", false, NULL, 0 },
		{ "layers.3attn_norm.weight", false, NULL, 0 },
		{ "layers.3.embed.weight", false, NULL, 0 },
		{ "attn_norm.weight", false, NULL, 0 },
		{ "layers.3.attn_norm.weight.x", false, NULL, 0 },
		{ "layers.3.attn.attn_sink", true, NULL, 0 },
		{ "mtp.0.norm.weight", false, NULL, 0 },
		{ "", false, NULL, 0 },
	};
	static const struct {
		enum gguf_file_of of;
		const char *tensor;
		bool scale;
		const char *name; /* NULL: none */
	} drafts[] = {
		{ GGUF_OF_MTP, "mtp.0.e_proj.weight", false, "blk.43.nextn.eh_proj.weight" },
		{ GGUF_OF_MTP, "mtp.0.h_proj.scale", true, "blk.43.nextn.eh_proj.weight" },
		{ GGUF_OF_MTP, "mtp.0.norm.weight", false, "blk.43.nextn.shared_head_norm.weight" },
		{ GGUF_OF_MTP, "mtp.0.hc_head_fn", false, "output_hc_fn.weight" },
		{ GGUF_OF_MTP, "mtp.0.attn.wkv.weight", false, "blk.43.attn_kv.weight" },
		{ GGUF_OF_MTP, "mtp.0.ffn.experts.7.w3.weight", false,
			"blk.43.ffn_up_exps.weight" },
		{ GGUF_OF_MTP, "embed.weight", false, "token_embd.weight" },
		{ GGUF_OF_MTP, "norm.weight", false, "output_norm.weight" },
		{ GGUF_OF_MTP, "head.weight", false, "output.weight" },
		{ GGUF_OF_MTP, "hc_head_fn", false, NULL },
		{ GGUF_OF_MTP, "layers.0.attn.wkv.weight", false, NULL },
		{ GGUF_OF_MTP, "mtp.0.emb.tok_emb.weight", false, NULL },
		{ GGUF_OF_MTP, "mtp.0.main_proj.weight", false, NULL },
		{ GGUF_OF_DSPARK, "mtp.0.main_proj.weight", false, "fc.weight" },
		{ GGUF_OF_DSPARK, "mtp.2.markov_head.markov_w1.weight", false, "markov_w1.weight" },
		{ GGUF_OF_DSPARK, "mtp.2.norm.weight", false, "output_norm.weight" },
		{ GGUF_OF_DSPARK, "mtp.1.ffn.gate.bias", false, "blk.1.exp_probs_b.bias" },
		{ GGUF_OF_DSPARK, "embed.weight", false, NULL },
		{ GGUF_OF_DSPARK, "mtp.0.e_proj.weight", false, NULL },
	};
	const struct config c = { .L = 43, .stages = 1 };
	char name[GGUF_NAME_MAX + 1];
	long expert;
	size_t i;
	bool ok;

	for (i = 0; i < COUNT(drafts); i++) {
		ok = gguf_name_of(name, &expert, drafts[i].tensor, drafts[i].scale, drafts[i].of,
			&c);
		CHECK_IN(drafts[i].tensor, ok == (drafts[i].name != NULL));
		CHECK_IN(drafts[i].tensor, !ok || !strcmp(name, drafts[i].name));
	}
	for (i = 0; i < COUNT(row); i++) {
		ok = gguf_name_of(name, &expert, row[i].tensor, row[i].scale, GGUF_OF_MODEL, &c);
		CHECK_IN(row[i].tensor, ok == (row[i].name != NULL));
		CHECK_IN(row[i].tensor,
			!ok || (!strcmp(name, row[i].name) && expert == row[i].expert));
	}
}

/* A matrix of random codes and scales in each format, there in each type and back: with what was kept the bits of the
 * source, without it the same values. Rows and columns are no whole number of blocks where the format has several rows. */
static void goes_back(enum codec from, uint32_t type)
{
	enum { ROWS = 130, WIDE = 288, SCALES = ROWS * WIDE / 16 };
	static uint8_t codes[ROWS * WIDE], scales[SCALES], to[ROWS * WIDE * 4], back[ROWS * WIDE],
		s2[SCALES], frame[1 << 16];
	static double v[WIDE], a[WIDE], b[WIDE];
	const struct ggml_way *w = way(from, type);
	const struct codec_form *f = &codecs[from];
	size_t n = (WIDE + f->cols - 1) / f->cols, each = dtypes[f->scale].bits / 8, i,
	       row_bytes = (size_t)codec_row_bytes(from, WIDE),
	       out = (size_t)ggml_row_bytes(type, WIDE);
	uint8_t *room = malloc(residues_room(from, ROWS, WIDE)),
		*work = malloc(ggml_back_work(from, ROWS, WIDE));
	struct ggml_matrix m = {
		.from = from, .type = type, .rows = ROWS, .cols = WIDE, .rows_at = to, .stride = out
	};
	struct residues r;
	uint64_t row;
	const uint8_t *s;
	float scale;

	rnd_bytes(codes, sizeof codes);
	for (i = 0; f->code == DT_F8_E4M3 && i < sizeof codes; i++)
		codes[i] = num_e4m3_is_nan(codes[i]) ? 0x80 : codes[i];
	memset(codes, 0, rnd(2) * 4096); /* blocks of zeros */
	for (i = 0; i < SCALES / each; i++) {
		scales[i] = (uint8_t)(rnd(8) ? 100 + rnd(20) : rnd(3) ? 8 + rnd(220) : 8);
		scale = rnd(8) ? ldexpf(1, (int)rnd(40) - 20) : -1.5f;
		if (each == 4)
			memcpy(scales + 4 * i, &scale, sizeof scale);
	}
	residues_begin(&r, from, ROWS, WIDE, room);
	for (row = 0; row < ROWS; row++) {
		s = scales + row / f->rows * n * each;
		if (w->row(way_now, codes + row * row_bytes, s, WIDE, v, to + row * out) < WIDE)
			goto out; /* BF16 does not have 1.5 times every code */
		CHECK(residues_row(&r, row, codes + row * row_bytes, s));
	}
	if (r.any) {
		m.kept = frame;
		m.n_kept = residues_pack(&r, frame, sizeof frame);
	}
	CHECK(ggml_back(&m, back, s2, work));
	CHECK(same_bytes("codes", back, codes, ROWS * row_bytes));
	CHECK(same_bytes("scales", s2, scales, residues_bytes(from, ROWS, WIDE)));
	m.n_kept = 0;
	if (each == 4)
		goto out; /* no power of two has them all */
	CHECK(ggml_back(&m, back, s2, work));
	for (row = 0; row < ROWS; row++) {
		codec_ops[from].decode(codes + row * row_bytes, scales + row / f->rows * n, 1, WIDE,
			a);
		codec_ops[from].decode(back + row * row_bytes, s2 + row / f->rows * n, 1, WIDE, b);
		CHECK(!memcmp(a, b, sizeof a));
	}
out:
	free(room);
	free(work);
}

static void ways_back(void)
{
	unsigned i;

	for (i = 0; i < 40; i++) {
		goes_back(CODEC_MXFP4, GGML_F32);
		goes_back(CODEC_FP8, GGML_F32);
		goes_back(CODEC_FP8, GGML_BF16);
		goes_back(CODEC_FP8_F32, GGML_F32);
		goes_back(CODEC_FP8_F32, GGML_BF16);
	}
	CHECK(!ggml_has_back(CODEC_FP8, GGML_Q8_0) && !ggml_has_back(CODEC_MXFP4, GGML_BF16));
}

/* The least scale of every code with every byte, found by trying. */
static void least_scales(void)
{
	static const enum codec of[] = { CODEC_MXFP4, CODEC_FP8 };
	unsigned i, c, e;
	double top, most;
	int k;

	for (i = 0; i < COUNT(of); i++)
		for (c = 0; c < (i ? 0x7fu : 8u); c++)
			for (e = 0; e < 255; e++) {
				most = i ? 448 : 6;
				top = (double)(i ? num_e4m3(c) : num_e2m1(c)) * (double)num_e8m0(e);
				for (k = -127; top > ldexp(most, k); k++)
					;
				CHECK(residue_least(of[i], top) == k);
			}
}

/* A block whose scale is zero has lost its codes. */
static void no_scale(void)
{
	uint8_t codes[128] = { 1 }, room[64];
	struct residues r;
	float zero = 0;

	residues_begin(&r, CODEC_FP8_F32, 1, 128, room);
	CHECK(!residues_row(&r, 0, codes, (const uint8_t *)&zero));
}

#define EACH(name)                   \
	static void all_##name(void) \
	{                            \
		each_way(name);      \
	}
EACH(mxfp4_moves)
EACH(mxfp4_values)
EACH(q8_0)
EACH(fp8_values)
EACH(fp8_rows)
EACH(plain)
EACH(ways_back)

static const struct test tests[] = { { "mxfp4_moves", all_mxfp4_moves },
	{ "mxfp4_values", all_mxfp4_values }, { "q8_0", all_q8_0 },
	{ "fp8_values", all_fp8_values }, { "fp8_rows", all_fp8_rows }, { "plain", all_plain },
	{ "ways_back", all_ways_back }, { "least_scales", least_scales }, { "no_scale", no_scale },
	{ "names", names }, { NULL, NULL } };
TEST_MAIN(tests)
