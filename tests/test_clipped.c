/* test_clipped.c -- values that dsv4-verify atlas calls clipped, in the number formats of safetensors: bounds of random blocks,
 * and the count of every tensor of each name that rounds, made once more from the bytes of its scales.
 *
 * Types of ggml are in test_atlas and in tests/oracle/atlas.py.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/codec.h"
#include "tests/sanitized.h"
#include "tests/shell.h"
#include "verify/atlas/atlas_file.h"
#include "verify/atlas/range.h"

#include <math.h>

#define FLASH "tests/golden/tiny-flash"

/* A number format by what its own description says, and by none of the tables of the tools. */
struct form {
	enum codec codec;
	unsigned group;         /* columns that share a scale; 0: all of a row */
	char scale;             /* b: BF16, h: E8M0, q: E4M3 */
	double low, high, half; /* of codes; half of the outermost step */
	bool zeros;             /* each scale has a code that is zero: codes are less that */
};
static const struct form forms[] = {
	{ CODEC_INT4_128, 128, 'b', -8, 7, 0.5, false },
	{ CODEC_INT4_32, 32, 'b', -8, 7, 0.5, false },
	{ CODEC_INT4_128_ASYM, 128, 'b', 0, 15, 0.5, true },
	{ CODEC_INT4_32_ASYM, 32, 'b', 0, 15, 0.5, true },
	{ CODEC_INT8_ROW, 0, 'b', -128, 127, 0.5, false },
	{ CODEC_FP8_CHANNEL, 0, 'b', -448, 448, 16, false },
	{ CODEC_NVFP4, 16, 'q', -6, 6, 1, false },
	{ CODEC_NVFP4_CT, 16, 'q', -6, 6, 1, false },
	{ CODEC_MXFP4_CT, 32, 'h', -6, 6, 1, false },
};
enum { N_FORMS = sizeof forms / sizeof *forms };

static const struct form *form_of(enum codec c)
{
	unsigned i;

	for (i = 0; i < N_FORMS && forms[i].codec != c; i++)
		;
	return i < N_FORMS ? &forms[i] : NULL;
}

/* Scale i of a row of them. */
static double scale_of(const struct form *f, const uint8_t *scales, size_t i)
{
	unsigned b = f->scale == 'b' ? scales[2 * i] + 256u * scales[2 * i + 1] : scales[i];

	if (f->scale == 'b')
		return ldexp((double)((b & 127) | (b >> 7 & 255 ? 128 : 0)),
			(int)(b >> 7 & 255 ? b >> 7 & 255 : 1) - 134);
	if (f->scale == 'h')
		return ldexp(1, (int)b - 127);
	return ldexp((double)((b & 7) | (b >> 3 & 15 ? 8 : 0)),
		(int)(b >> 3 & 15 ? b >> 3 & 15 : 1) - 10);
}

/* What codes of column i are less by; zeros follow the scales of a row of cols columns. */
static double zero_of(const struct form *f, const uint8_t *scales, size_t cols, size_t i)
{
	return f->zeros ? scales[2 * (cols / f->group) + i / f->group] : 0;
}

/* --- bounds --- */

enum { COLS = 256 };

/* Random codes and scales that are finite and not negative: every value lies between its bounds, which are those of the
 * description, and codes at either end are met. */
static void bounds_of(const struct form *f)
{
	const struct codec_form *t = &codecs[f->codec];
	struct lie l = {
		.rows = 1, .cols = COLS, .codec = f->codec, .scale_rows = 1, .second = 0.375
	};
	size_t width = f->scale == 'b' ? 2 : 1, n = f->group ? COLS / f->group : 1, i, k;
	uint8_t buf[COLS + 2 * COLS / 16], room[COLS];
	unsigned inside = 0, same = 0, lowest = 0, highest = 0;
	double v[COLS], lo[COLS], hi[COLS], s, z;

	l.second = t->second.name ? 0.375 : 1;
	l.row_bytes = l.stride = codec_row_bytes(f->codec, COLS);
	l.scale_row = n * width;
	l.scale_kept = l.scale_row + (f->zeros ? n : 0);
	CHECK_IN(t->name, range_how(&l) == RANGE_CODES);
	for (k = 0; k < 200; k++) {
		rnd_bytes(buf, l.stride + l.scale_kept);
		for (i = l.stride + l.scale_row; i < l.stride + l.scale_kept; i++)
			buf[i] &= 15;
		for (i = 0; i < l.stride; i++) /* no NaN of E4M3 */
			buf[i] = t->code == DT_F8_E4M3 && (buf[i] & 127) == 127 ? 0x7e : buf[i];
		for (i = 0; i < n; i++)
			if (f->scale == 'b')
				buf[l.stride + 2 * i + 1] =
					(uint8_t)(0x30 + buf[l.stride + 2 * i + 1] % 16);
			else
				buf[l.stride + i] = (uint8_t)(1 + buf[l.stride + i] % 120);
		lie_row(&l, buf, 0, 1, 0, v);
		range_row(&l, buf, 0, 1, 0, room, lo, hi);
		for (i = 0; i < COLS; i++) {
			s = scale_of(f, buf + l.stride, f->group ? i / f->group : 0) * l.second;
			z = zero_of(f, buf + l.stride, COLS, i);
			inside += v[i] >= (f->low - z) * s && v[i] <= (f->high - z) * s;
			lowest += !(v[i] > (f->low - z) * s);
			highest += !(v[i] < (f->high - z) * s);
			same += !(fabs(lo[i] - (f->low - z - f->half) * s) > 0) &&
				!(fabs(hi[i] - (f->high - z + f->half) * s) > 0);
		}
	}
	CHECK_IN(t->name, inside == 200 * COLS && same == 200 * COLS);
	CHECK_IN(t->name, lowest > 20 && highest > 20);
}

static void bounds(void)
{
	struct lie l = { .codec = CODEC_BF16 };
	unsigned i;

	for (i = 0; i < N_FORMS; i++)
		bounds_of(&forms[i]);
	CHECK(range_how(&l) == RANGE_NONE);
	for (i = CODEC_NONE + 1; i < CODEC_COUNT;
		i++) { /* no format that is written is without bounds */
		l.codec = (enum codec)i;
		CHECK_IN(codecs[i].name,
			range_how(&l) ==
				(i == CODEC_BF16 || i == CODEC_F32 ? RANGE_NONE : RANGE_CODES));
	}
}

/* --- counts --- */

/* Both folders, opened by the tools' own reader, which says where codes and scales lie. */
struct both {
	struct values was, is;
	struct err e;
};

static void open_both(struct both *b, const char *from, const char *out)
{
	struct values_opts o = { .io = io_posix(), .header_cap = 1 << 20 };

	memset(b, 0, sizeof *b);
	CHECK_IN(out,
		!values_open_source(&b->was, from, &o, &b->e) &&
			!values_open(&b->is, out, &o, &b->e));
	CHECK_IN(b->e.text, b->e.kind == ERR_NONE);
}

static void close_both(struct both *b)
{
	values_close(&b->is);
	values_close(&b->was);
}

static struct lie source_of(struct both *b, const char *tensor)
{
	const struct tensor *t = ckpt_find(&b->was.c, tensor);

	CHECK_IN(tensor, t);
	return t ? values_source(&b->was, (size_t)(t - b->was.c.tensors)) : (struct lie){ 0 };
}

/* Values of the tensor beyond what the scale of their block can write. */
static uint64_t recount(struct both *b, const struct form *f, const char *tensor)
{
	struct lie was = source_of(b, tensor), is;
	uint8_t *in = malloc(lie_room(&was, 1)), *out;
	double *w = malloc((size_t)was.cols * sizeof *w), *q = malloc((size_t)was.cols * sizeof *q),
	       s, z;
	uint64_t row, i, n = 0;

	CHECK_IN(tensor, !values_find(&b->is, tensor, was.rows, was.cols, &is, &b->e));
	out = malloc(lie_room(&is, 1));
	for (row = 0; in && out && w && q && row < was.rows; row++) {
		CHECK_IN(tensor,
			!lie_read(&b->was, &was, row, 1, in, &b->e) &&
				!lie_read(&b->is, &is, row, 1, out, &b->e));
		lie_row(&was, in, row, 1, 0, w);
		lie_row(&is, out, row, 1, 0, q);
		for (i = 0; i < was.cols; i++) {
			s = scale_of(f, out + is.stride, f->group ? i / f->group : 0) * is.second;
			z = zero_of(f, out + is.stride, (size_t)was.cols, i);
			n += (w[i] < (f->low - z - f->half) * s ||
				     w[i] > (f->high - z + f->half) * s) &&
				(w[i] < q[i] || w[i] > q[i]);
		}
	}
	free(in);
	free(out);
	free(w);
	free(q);
	return n;
}

/* What an atlas of the two folders comes to. */
struct seen {
	unsigned judged;           /* matrices of a format of the table */
	uint64_t clipped, inexact; /* values of them */
};

static struct seen counted(const char *name, const char *from, const char *out)
{
	struct path p = dirs_path("clipped.jsonl");
	struct seen s = { 0 };
	const struct form *f;
	struct atlas a = { 0 };
	struct both b;
	size_t i;

	CHECK_IN(name,
		ends(0, "atlas: true", "dsv4-verify", "atlas -q %s %s -o %s", from, out, p.s));
	CHECK_IN(name, !holds(p.s, "\"clipped\": null"));
	open_both(&b, from, out);
	CHECK_IN(name, !atlas_read(&a, io_posix(), p.s, &b.e) && a.n > 100);
	for (i = 0; i < a.n; i++) {
		f = form_of(codec_find(a.v[i].to));
		CHECK_IN(a.v[i].tensor, a.v[i].clips);
		if (!f)
			continue;
		s.judged++;
		s.clipped += a.v[i].s.clipped;
		s.inexact += a.v[i].s.n - a.v[i].s.exact;
		CHECK_IN(a.v[i].tensor, a.v[i].s.clipped == recount(&b, f, a.v[i].tensor));
	}
	CHECK_IN(name, s.judged > 30);
	atlas_free(&a);
	close_both(&b);
	return s;
}

/* Makes the scales of one expert's matrix a quarter of what they are. */
static void quarter(const char *from, const char *out)
{
	static const char tensor[] = "layers.0.ffn.experts.1.w2.weight";
	const struct form *f;
	struct path p;
	struct both b;
	struct lie is, was;
	uint8_t *all, *at;
	uint64_t i, n;
	size_t size;

	open_both(&b, from, out);
	was = source_of(&b, tensor);
	CHECK(!values_find(&b.is, tensor, was.rows, was.cols, &is, &b.e) && is.scales);
	f = form_of(is.codec);
	if (!f || !is.scales)
		return;
	snprintf(p.s, sizeof p.s, "%.300s/%.200s", out, b.is.c.shards[is.scales->shard].name);
	all = file_get_all(p.s, &size);
	at = all + b.is.c.shards[is.scales->shard].data_at + is.scales->begin;
	n = is.scales->end - is.scales->begin;
	for (i = f->scale == 'b'; i < n;
		i += f->scale == 'b' ? 2 : 1) /* two less in the exponent */
		at[i] = (uint8_t)(at[i] - (f->scale == 'b' ? 1 : f->scale == 'h' ? 2 : 16));
	file_put_all(p.s, all, size);
	free(all);
	close_both(&b);
}

/* Every name that rounds, and the lossy and exact ones of NVFP4 and MXFP4: counts are those that the scales make. Then with
 * scales that are too small, so that many values are clipped in every format. */
static void counts(void)
{
	static const struct {
		const char *to, *more;
		bool fp8; /* of FP8 experts */
		bool exact,
			clips; /* all values are; some values are clipped as the encoder made them */
	} rows[] = {
		{ "w4a16", "", false, false, true },
		{ "w4a16-g32", "", false, false, true },
		{ "w8a8", "", false, false, false },
		{ "w8a8-fp8", "", false, true, false },
		{ "w4a16", "", true, false, true },
		{ "w4a16-asym", "", true, false, true },
		{ "w4a16-g32-asym", "", false, false, true },
		{ "w4a16-g32", "", true, false, true },
		{ "w8a8", "", true, false, false },
		{ "w8a8-fp8", "", true, false, false },
		{ "nvfp4", "--input-scale 0.01", false, true, false },
		{ "ct-nvfp4a16", "", false, true, false },
		{ "ct-mxfp4", "", false, true, false },
		{ "nvfp4", "--input-scale 0.01 --lossy", true, false, true },
		{ "ct-nvfp4a16", "--lossy", true, false, true },
		{ "ct-mxfp4", "--lossy", true, false, true },
	};
	struct path base = dirs_path("base"), o = dirs_path("out");
	struct seen s, t;
	char args[900];
	const char *from;
	size_t i;

	snprintf(args, sizeof args, "%s --config tests/configs/small-base.json --seed 5", base.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < sizeof rows / sizeof *rows; i += every(3)) { /* EVERY=1: all */
		from = rows[i].fp8 ? base.s : FLASH;
		dirs_remove(o.s);
		CHECK_IN(rows[i].to,
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s %s", from, o.s,
				rows[i].to, rows[i].more));
		s = counted(rows[i].to, from, o.s);
		CHECK_IN(rows[i].to, rows[i].exact ? !s.inexact : s.inexact > 0);
		CHECK_IN(rows[i].to, !rows[i].clips || s.clipped);
		quarter(from, o.s);
		t = counted(rows[i].to, from, o.s);
		CHECK_IN(rows[i].to, t.clipped > s.clipped + 10);
	}
}

static const struct test tests[] = { { "clipped: bounds of blocks", bounds },
	{ "clipped: counts of every name", counts }, { 0 } };
TEST_MAIN(tests)
