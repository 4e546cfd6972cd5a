/* test_rounds.c -- names of dsv4-quant that round and are no GGUF: made, checked, compared, computed with; the same bytes
 * whatever runs them; damage and lies are found; and what is refused. The encoders themselves are in test_round.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "quant/lib/dsv4.h"
#include "tests/fuzz/chain.h"
#include "tests/importance.h"
#include "tests/sanitized.h"
#include "tests/set.h"
#include "tests/shell.h"

#include <math.h>

#define FLASH "tests/golden/tiny-flash"
#define PRO "tests/golden/tiny-pro"

static struct path model(const char *name, const char *args)
{
	struct path p = dirs_path(name);
	char line[900];

	snprintf(line, sizeof line, "%s %s --seed 5", p.s, args);
	CHECK(is_file(p.s) || !model_tool("mkmodel", line));
	return p;
}

/* A finished conversion: every verb that reads it. */
static void looked_at(const char *name, const char *from, const struct path *o)
{
	CHECK_IN(name, ends(0, "check: true", "dsv4-verify", "check %s", o->s));
	CHECK_IN(name, ends(0, "compare: true", "dsv4-verify", "compare %s %s", from, o->s));
	CHECK_IN(name,
		ends(0, NULL, "dsv4-verify", "logits -q %s %s -t 5,17,99,3 --max-kl 0.5", from,
			o->s));
	CHECK_IN(name, ends(0, NULL, "dsv4-verify", "doctor -q %s", o->s));
	CHECK_IN(name, ends(0, NULL, "dsv4-verify", "diff -q %s %s", o->s, o->s));
	CHECK_IN(name,
		ends(2, "set.not-kept", "dsv4-quant", "restore %s -o %s", o->s,
			dirs_path("none").s) &&
			!is_file(dirs_path("none").s));
}

static void each(const struct recipe *r, const char *from, const char *more)
{
	struct path one = dirs_path("one"), two = dirs_path("two");

	dirs_remove(one.s);
	dirs_remove(two.s);
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "run -q -j1 %s -o %s --to %s %s", from, one.s, r->name,
			more));
	looked_at(r->name, from, &one);
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s %s", from, one.s, r->name,
			more) &&
			holds(err_file.s, " 0 files made"));
	/* the same bytes by several threads and without vectors; --lossy says nothing new */
	setenv("DSV4_CPU", "plain", 1);
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "run -q -j3 %s -o %s --to %s --lossy %s", from, two.s,
			r->name, more));
	unsetenv("DSV4_CPU");
	CHECK_IN(r->name, set_same(one.s, two.s));
	CHECK_IN(r->name,
		strstr(more, "keep") ||
			ends(0, NULL, "dsv4-verify", "doctor -q %s --for vllm", one.s));
}

/* A config.json that says of the experts what they are not. */
static void told(void)
{
	static const struct {
		const char *to, *edit, *says;
	} rows[] = {
		{ "w4a16", "s/\"group_size\": 128,/\"group_size\": 32,/", "group_size" },
		{ "w4a16", "s/\"pack-quantized\"/\"int-quantized\"/", "format" },
		{ "w4a16-g32", "s/\"type\": \"int\"/\"type\": \"float\"/", "type" },
		{ "w8a8", "s/\"strategy\": \"channel\"/\"strategy\": \"tensor\"/", "strategy" },
		{ "w8a8", "s/\"strategy\": \"token\"/\"strategy\": \"tensor\"/", "strategy" },
		{ "w8a8-fp8", "s/\"strategy\": \"channel\"/\"strategy\": \"tensor\"/", "strategy" },
	};
	struct path o = dirs_path("told"), bare = dirs_path("bare");
	char line[4000];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		dirs_remove(o.s);
		dirs_remove(bare.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to %s", o.s,
			rows[i].to));
		snprintf(line, sizeof line,
			"mkdir %s && cp %s/*.safetensors %s/model.safetensors.index.json %s && "
			"sed '%s' %s/config.json >%s/config.json",
			bare.s, o.s, o.s, bare.s, rows[i].edit, o.s, bare.s);
		CHECK(!system(line));
		CHECK_IN(rows[i].edit,
			ends(1, NULL, "dsv4-verify", "doctor %s --for vllm", bare.s) &&
				holds(out_file.s, rows[i].says));
	}
}

static void every_name(void)
{
	const struct recipe *r;
	unsigned made = 0;

	for (r = recipes; r->name; r++) {
		if (!r->rounds || r->mix)
			continue;
		made++;
		/* each name of one of the models; EVERY=1: of both */
		if (made % every(2) == 0)
			each(r, FLASH, "");
		if ((made + 1) % every(2) == 0)
			each(r, model("base", "--config tests/configs/small-base.json").s,
				"--shard-size 2M");
		if (made == 1)
			each(r, PRO, "--shard-size 900000 --drafts keep");
		if (made == 5)
			each(r, FLASH, "--drafts drop");
		if (made == 4)
			each(r, PRO, "--shard-size 900000");
		if (made == 2)
			each(r, model("spark", "--config tests/configs/small-spark.json").s, "");
	}
	CHECK(made == 6);
}

/* Names that are exact from FP4 round what is FP8 where --lossy says so, and are refused otherwise. */
static void from_fp8(void)
{
	static const char *const names[] = { "nvfp4 --input-scale 0.01", "ct-nvfp4a16",
		"ct-mxfp4" };
	struct path base = model("base", "--config tests/configs/small-base.json"),
		    o = dirs_path("lossy");
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		dirs_remove(o.s);
		CHECK_IN(names[i],
			ends(2, "plan.no-way", "dsv4-quant", "run %s -o %s --to %s", base.s, o.s,
				names[i]) &&
				holds(err_file.s, "--lossy rounds") && !is_file(o.s));
		CHECK_IN(names[i],
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s --lossy", base.s, o.s,
				names[i]));
		CHECK_IN(names[i], ends(0, "check: true", "dsv4-verify", "check %s", o.s));
		CHECK_IN(names[i],
			ends(0, "compare: true", "dsv4-verify", "compare %s %s", base.s, o.s) &&
				holds(out_file.s, "blocks that were rounded"));
		CHECK_IN(names[i],
			ends(0, NULL, "dsv4-verify", "logits -q %s %s -t 5,17,99,3 --max-kl 0.5",
				base.s, o.s));
		CHECK_IN(names[i],
			ends(2, "set.codec", "dsv4-quant", "restore %s -o %s", o.s,
				dirs_path("none").s));
	}
}

static const char second[] = "model-00002-of-00007.safetensors";

/* Changes byte `at` of a tensor of that shard of the folder to v. */
static void poke(const char *dir, const char *tensor, size_t at, uint8_t v)
{
	struct path shard = chain_path(dir, second);
	unsigned long long begin = 0;
	uint64_t header;
	const char *p;
	uint8_t *all;
	size_t n;

	all = file_get_all(shard.s, &n);
	if (!all)
		return;
	memcpy(&header, all, sizeof header);
	p = strstr((char *)all + 8, tensor);
	p = p ? strstr(p, "\"data_offsets\":[") : NULL;
	CHECK_IN(tensor, p && sscanf(p, "\"data_offsets\":[%llu", &begin) == 1);
	all[8 + header + begin + at] = v;
	file_put_all(shard.s, all, n);
	free(all);
}

/* A code, a scale, a zero point, a number of the shape that is another: compare finds each. */
static void damaged(void)
{
	static const char *const names[] = { "layers.0.ffn.experts.0.w1.weight_packed",
		"layers.0.ffn.experts.0.w1.weight_scale", "layers.0.ffn.experts.0.w1.weight_shape",
		"layers.0.ffn.experts.0.w1.weight_zero_point" };
	struct path o = dirs_path("damaged");
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		dirs_remove(o.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to w4a16-g32-asym",
			o.s));
		poke(o.s, names[i], 9, 0x5a);
		CHECK_IN(names[i], ends(1, "check: false", "dsv4-verify", "check %s", o.s));
		CHECK_IN(names[i],
			ends(1, "compare: false", "dsv4-verify", "compare " FLASH " %s", o.s) &&
				holds(out_file.s, names[i]) && holds(out_file.s, "compare.bytes"));
	}
}

/* Reads all of a tensor of the folder. */
static size_t take(const struct dsv4 *d, const char *name, void *p, size_t room)
{
	size_t i = dsv4_find(d, 0, name), n = i == DSV4_NONE ? 0 : dsv4_tensor(d, i)->bytes;
	struct dsv4_error e;

	CHECK_IN(name, n && n <= room && !dsv4_read(d, i, 0, p, n, NULL, &e));
	return n <= room ? n : 0;
}

/* Zero points lie as compressed-tensors packs them, and libdsv4 decodes rows with them from any row on. */
static void zero_points(void)
{
	enum { COLS = 256, MOST = 1 << 16 };
	static uint32_t codes[MOST], zeros[MOST];
	static uint16_t scales[MOST];
	static float v[9 * COLS];
	struct path o = dirs_path("zeros");
	struct dsv4_values is;
	struct dsv4_error e;
	struct dsv4 *d = NULL;
	uint64_t row, r, k, g;
	unsigned met = 0;
	char line[1200];
	uint32_t bits, i;
	float s;

	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to w4a16-g32-asym", o.s));
	CHECK(!dsv4_open(&d, o.s, NULL, &e));
	if (!d)
		return;
	(void)take(d, "layers.1.ffn.experts.2.w1.weight_packed", codes, sizeof codes);
	(void)take(d, "layers.1.ffn.experts.2.w1.weight_zero_point", zeros, sizeof zeros);
	(void)take(d, "layers.1.ffn.experts.2.w1.weight_scale", scales, sizeof scales);
	i = (uint32_t)dsv4_find(d, 0, "layers.1.ffn.experts.2.w1.weight_packed");
	CHECK(!dsv4_values(d, i, &is, &e) && is.cols == COLS && is.rows > 32 &&
		!strcmp(is.codec, "int4-g32-asym"));
	for (row = 0; row + 9 <= is.rows; row += 7) {
		CHECK(!dsv4_decode(d, i, 0, row, 9, v, sizeof v / sizeof *v, NULL, &e));
		for (r = row; r < row + 9; r++)
			for (k = 0; k < COLS; k++) {
				g = k / 32;
				bits = (uint32_t)scales[r * (COLS / 32) + g] << 16;
				memcpy(&s, &bits, sizeof s);
				bits = zeros[r / 8 * (COLS / 32) + g] >> r % 8 * 4 & 15;
				met |= 1u << bits;
				CHECK(!(fabsf(v[(r - row) * COLS + k] -
						s *
							(float)((int)(codes[r * (COLS / 8) +
									      k / 8] >>
										k % 8 * 4 &
									15) -
								(int)bits)) > 0));
			}
	}
	CHECK(met & ~(1u << 8)); /* others than the middle are used */
	dsv4_close(d);
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to w4a16-asym --no-restore",
		o.s));
	snprintf(line, sizeof line, "rm -rf %s/*manifest.json", o.s);
	CHECK(!system(line)); /* it would say that blocks were rounded */
	CHECK(ends(2, "form.unread", "dsv4-quant",
		"run -q " FLASH " -o %s --to bf16 --lossy --experts-from %s", dirs_path("none").s,
		o.s));
}

/* Importance decides bytes; compare wants that file and no other; that of another model is refused. */
static void weighed(void)
{
	struct path m = model("small", "--config tests/configs/small4.json"),
		    o = dirs_path("weighed"), none = dirs_path("none"), i;
	static const struct {
		const char *name;
		uint64_t cols, mats;
		float first;
		const char *says;
	} bad[] = {
		{ "blk.1.ffn_gate_exps.weight", 256, 11, 1, "--imatrix is of another model" },
		{ "blk.1.ffn_gate_exps.weight", 128, 12, 1, "--imatrix is of another model" },
		{ "blk.9.ffn_gate_exps.weight", 256, 12, 1, "of no tensor that is rounded here" },
		{ "blk.1.attn_q_a.weight", 256, 1, 1, "of no tensor that is rounded here" },
		{ "blk.1.ffn_gate_exps.weight", 256, 12, -1, "importance.form" },
		{ "blk.1.ffn_gate_exps.weight", 256, 12, NAN, "importance.form" },
	};
	size_t k;

	i = importance("blk.1.ffn_gate_exps.weight", 256, 12, 1);
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to w4a16 --imatrix %s", m.s, o.s,
		i.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s --imatrix %s", m.s, o.s, i.s));
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s", m.s, o.s));
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to w4a16", m.s, o.s));
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s --imatrix %s", m.s, o.s, i.s));
	for (k = 0; k < sizeof bad / sizeof *bad; k++) {
		i = importance(bad[k].name, bad[k].cols, bad[k].mats, bad[k].first);
		CHECK_IN(bad[k].says,
			ends(2, bad[k].says, "dsv4-quant",
				"run -q %s -o %s --to w4a16 --imatrix %s", m.s, none.s, i.s) &&
				!is_file(none.s));
	}
}

/* Rows that a format cannot take: which can. Options of other names. */
static void refused(void)
{
	struct path m = model("narrow",
			    "--config tests/configs/small4.json --set moe_intermediate_size=160"),
		    none = dirs_path("none");

	CHECK(ends(2, "plan.cast-shape", "dsv4-quant", "run -q %s -o %s --to w4a16", m.s, none.s) &&
		holds(err_file.s,
			"160 columns are no whole number of blocks of 128, so int4-g128 cannot be made of it; such rows can be int4-g32, int8-channel, fp8-channel, int4-g32-asym"));
	CHECK(ends(2, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to w4a16 --signed-zero drop",
		none.s));
	CHECK(ends(2, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to ct-mxfp4 --imatrix x",
		      none.s) &&
		holds(err_file.s, "--imatrix is for names that round"));
	CHECK(!is_file(none.s));
}

/* A scale byte that is NaN in the source: one sentence, and no conversion. */
static void not_a_number(void)
{
	struct path m = dirs_path("nan"), o = dirs_path("nan.out");
	char line[2000];

	snprintf(line, sizeof line, "cp -rL " FLASH " %s && chmod -R u+w %s", m.s, m.s);
	CHECK(!system(line));
	poke(m.s, "layers.0.ffn.experts.0.w1.scale", 3, 255);
	CHECK(ends(1, NULL, "dsv4-quant", "run -q %s -o %s --to w4a16", m.s, o.s) &&
		holds(err_file.s, "data.scale-nan") &&
		!is_file(chain_path(o.s, "manifest.json").s));
}

static const struct test tests[] = { { "rounds: every name", every_name },
	{ "rounds: from FP8", from_fp8 }, { "rounds: told", told }, { "rounds: damaged", damaged },
	{ "rounds: zero points", zero_points }, { "rounds: weighed", weighed },
	{ "rounds: refused", refused }, { "rounds: not a number", not_a_number }, { NULL, NULL } };
TEST_MAIN(tests)
