/* test_family_forms.c -- V4.1 in other number formats: FP8 has blocks of 32 x 32 there, whose edges are held to; damage in each
 * form is named, what an engine does not take is said, and what no reader is known of is refused.
 *
 * tests/test_family_golden.c has the digests of each form and the way back.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/poke.h"
#include "tests/shell.h"

enum { ROWS = 160, GROUPS = 256 / 32 }; /* of w1: tests/configs/small-v41.json */
static const char expert[] = "layers.1.ffn.experts.2.w1";

static const char *model(void)
{
	static struct path p;
	char args[900];

	p = dirs_path("v41");
	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json --seed 7", p.s);
	if (!is_file(p.s))
		CHECK(!model_tool("mkmodel", args));
	return p.s;
}

/* One scale of w1 becomes byte, at row and group. */
static struct path with_scale(const char *name, unsigned row, unsigned group, uint8_t byte)
{
	struct path p = model_copy(model(), name);

	poke(p.s, expert, ".scale", row * GROUPS + group, &byte, 1);
	return p;
}

/* All scales of w1 are byte, and all its bytes of two codes are codes. */
static void even(const char *dir, uint8_t byte, uint8_t codes)
{
	static uint8_t b[ROWS * 128];

	memset(b, byte, ROWS * GROUPS);
	poke(dir, expert, ".scale", 0, b, ROWS * GROUPS);
	memset(b, codes, sizeof b);
	poke(dir, expert, ".weight", 0, b, sizeof b);
}

/* Rows 0 to 31 of columns 0 to 31 have scales 2^15 below all others. What is 0.5 there would be lost in a block of 128, and in
 * none of 32; with a scale of the others in the block it is. */
static void edges(void)
{
	static const struct {
		unsigned row, group; /* a scale there becomes as large as the others */
		bool lossy;
	} one[] = { { 0, 0, true }, { 31, 0, true }, { 32, 0, false }, { 0, 1, false } };
	struct path m, out = dirs_path("out"), back = dirs_path("back");
	uint8_t low = 100, high = 115;
	unsigned r;
	size_t i;

	for (i = 0; i < sizeof one / sizeof *one; i++) {
		m = model_copy(model(), "far");
		even(m.s, high, 0x11);
		for (r = 0; r < 32; r++)
			poke(m.s, expert, ".scale", r * GROUPS, &low, 1);
		poke(m.s, expert, ".scale", one[i].row * GROUPS + one[i].group, &high, 1);
		dirs_remove(out.s);
		CHECK(ends(one[i].lossy, one[i].lossy ? "block 0,0 of 32 x 32" : NULL,
			"dsv4-convert", "run %s -o %s --target hf --experts fp8 -q", m.s, out.s));
		CHECK(!one[i].lossy || holds(err_file.s, "data.cast-inexact"));
		if (one[i].lossy)
			CHECK(ends(0, NULL, "dsv4-convert",
				"run %s -o %s --target hf --experts fp8 --lossy -q", m.s, out.s));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, out.s));
		dirs_remove(back.s);
		CHECK(ends(one[i].lossy ? 2 : 0, one[i].lossy ? "set.codec" : NULL, "dsv4-convert",
			"restore %s -o %s -q", out.s, back.s));
		dirs_remove(m.s);
	}
}

/* NAME: damage to a tensor of it, which compare names; the sources that are no numbers. */
static void damaged(void)
{
	static const struct {
		const char *to, *end;
	} form[] = { { "fp8", ".scale" }, { "fp8", ".weight" }, { "bf16", ".weight" },
		{ "mxfp8", ".weight_scale" }, { "mlx-packed", ".scales" },
		{ "mlx-packed", ".weight" } };
	struct path out = dirs_path("out"), m;
	uint8_t nan = 0xff, other = 0x35;
	size_t i;

	for (i = 0; i < sizeof form / sizeof *form; i++) {
		dirs_remove(out.s);
		CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s -q", model(), out.s,
			form[i].to));
		poke(out.s, expert, form[i].end, 17, &other, 1);
		CHECK_IN(form[i].to,
			ends(1, expert, "dsv4-verify", "compare %s %s", model(), out.s));
		CHECK_IN(form[i].to, ends(1, NULL, "dsv4-verify", "check %s", out.s));
	}
	m = model_copy(model(), "nan");
	poke(m.s, "layers.2.attn.wq_b", ".scale", 5, &nan, 1);
	for (i = 2; i < sizeof form / sizeof *form; i++) {
		dirs_remove(out.s);
		CHECK_IN(form[i].to,
			ends(1, "data.scale-nan", "dsv4-quant", "run %s -o %s --to %s -q", m.s,
				out.s, form[i].to));
	}
	dirs_remove(m.s);
	m = with_scale("nan", 3, 2, nan);
	CHECK(ends(1, "data.scale-nan", "dsv4-quant", "run %s -o %s --to fp8 -q", m.s, out.s));
	dirs_remove(m.s);
}

/* Tables of Engram, the vision tower, norms and routers are the source's bytes in every form; config.json says what is inside. */
static void config(void)
{
	struct path out = dirs_path("out");

	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to fp8 -q", model(), out.s));
	CHECK(holds(model_file(out.s, "config.json").s, "\"expert_dtype\": \"fp8\"") &&
		!holds(model_file(out.s, "config.json").s, "\"expert_dtype\": \"fp4\""));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s --full", out.s));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s --for sglang", out.s));
	CHECK(ends(1, "engine.form", "dsv4-verify", "doctor %s --for vllm", out.s));
	CHECK(ends(2, "family.gap", "dsv4-verify", "logits %s %s --tokens 1,2", model(), out.s));
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to bf16 -q", model(), out.s));
	CHECK(!holds(model_file(out.s, "config.json").s, "quantization") &&
		!holds(model_file(out.s, "config.json").s, "expert_dtype"));
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mxfp8 -q", model(), out.s));
	CHECK(holds(model_file(out.s, "config.json").s, "*.engram.embed") &&
		holds(model_file(out.s, "config.json").s, "*.indexer.wk") &&
		holds(model_file(out.s, "hf_quant_config.json").s, "vision.*"));
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mlx-packed -q", model(), out.s));
	CHECK(holds(model_file(out.s, "config.json").s,
		"language_model.layers.5.ffn.switch_mlp.down_proj"));
}

static void refused(void)
{
	struct path none = dirs_path("none");

	CHECK(ends(2, "plan.scale-dtype", "dsv4-quant", "run %s -o %s --to fp8 --scale-dtype f32",
		model(), none.s));
	CHECK(ends(2, "plan.scale-dtype", "dsv4-convert",
		"run %s -o %s --target hf --experts fp8 --scale-dtype f32", model(), none.s));
	CHECK(ends(2, "plan.drafts", "dsv4-quant", "run %s -o %s --to fp8 --drafts keep", model(),
		none.s));
	CHECK(ends(2, "family.gap", "dsv4-quant",
		"run tests/golden/tiny-flash -o %s --to mlx-packed", none.s));
	CHECK(ends(2, "--to mlx-packed", "dsv4-quant", "run %s -o %s --to mlx", model(), none.s));
	CHECK(!is_file(none.s));
}

static const struct test tests[] = { { "forms of V4.1: edges of blocks", edges },
	{ "forms of V4.1: damage", damaged }, { "forms of V4.1: config.json", config },
	{ "forms of V4.1: refused", refused }, { NULL, NULL } };
TEST_MAIN(tests)
