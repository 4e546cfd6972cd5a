/* test_other_source.c -- compare with a source that a conversion was not made of, but whose conversion would have the same
 * bytes: what was dropped or rounded is another.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/poke.h"
#include "tests/shell.h"

#define FLASH "tests/golden/tiny-flash"

/* A byte of a tensor; of tiny-flash there is none in which a conversion shows it. */
struct spot {
	const char *tensor;
	uint64_t at;
	uint8_t other;
};
static const struct spot zero_sign = { "layers.0.ffn.experts.0.w1.weight", 11,
	0xa0 }; /* was a8: a minus zero */
static const struct spot small_bit = { "layers.0.attn.wq_a.weight", 1, 0 };
static const struct spot high_half = { "layers.0.ffn.gate.tid2eid", 4, 1 };

/* The byte at the spot of tiny-flash, with its lowest bit turned where the table does not say what it becomes. */
static uint8_t byte_for(const struct spot *s)
{
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct ckpt c;
	struct err e = { 0 };
	uint8_t b = 0;

	if (s->other)
		return s->other;
	CHECK(!ckpt_open(&c, io_posix(), FLASH, &co, &f, &e));
	CHECK(!ckpt_read(&c, ckpt_find(&c, s->tensor), s->at, &b, 1, &e));
	ckpt_close(&c);
	finding_free(&f);
	return b ^ 1;
}

static void same_output(void)
{
	static const struct {
		const char *tool, *options;
		const struct spot *spot;
	} rows[] = {
		{ "dsv4-convert", "--target hf --experts fp8", &zero_sign },
		{ "dsv4-convert", "--target hf --experts fp8 --no-restore", &zero_sign },
		{ "dsv4-convert", "--target official --mp 2 --experts fp8", &zero_sign },
		{ "dsv4-quant", "--to fp8", &zero_sign },
		{ "dsv4-quant", "--to w4a16", &zero_sign },
		{ "dsv4-quant", "--to w8a8-fp8", &zero_sign },
		{ "dsv4-quant", "--to nvfp4 --input-scale 1 --signed-zero drop", &zero_sign },
		{ "dsv4-quant", "--to gguf --dense q8_0", &small_bit },
		{ "dsv4-quant", "--to gguf", &high_half },
	};
	struct path in, out;
	uint8_t b;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		in = model_copy(FLASH, "other");
		out = dirs_gone("out");
		CHECK_IN(rows[i].options,
			ends(0, NULL, rows[i].tool, "run " FLASH " -o %s %s -q", out.s,
				rows[i].options));
		CHECK_IN(rows[i].options,
			ends(0, NULL, "dsv4-verify", "compare " FLASH " %s -q", out.s));
		b = byte_for(rows[i].spot);
		poke(in.s, rows[i].spot->tensor, "", rows[i].spot->at, &b, 1);
		CHECK_IN(rows[i].options,
			ends(1, "compare.other-source", "dsv4-verify", "compare %s %s", in.s,
				out.s));
		CHECK_IN(rows[i].options, holds(out_file.s, rows[i].spot->tensor));
	}
}

/* A copy of a model in which a zero has the other sign. */
static struct path turned(const char *of, const char *name)
{
	struct path p = model_copy(of, name);

	poke(p.s, zero_sign.tensor, "", zero_sign.at, &zero_sign.other, 1);
	return p;
}

/* Experts of another folder: with it they are held to the digests; without it those that differ are not decided. */
static void experts_from(void)
{
	struct path other = turned(FLASH, "other"), out = dirs_gone("out"),
		    form = dirs_gone("form"), same = dirs_gone("same");

	CHECK(ends(0, NULL, "dsv4-quant", "run " FLASH " -o %s --to mxfp8 -q", same.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mxfp8 -q", other.s, form.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run " FLASH " -o %s --to fp8 -q --experts-from %s",
		out.s, same.s));
	CHECK(ends(0, "held to the digests", "dsv4-verify",
		"compare " FLASH " %s --experts-from %s", out.s, same.s));
	CHECK(ends(0, "held to the digests", "dsv4-verify", "compare " FLASH " %s", out.s));
	CHECK(ends(1, "compare.other-source", "dsv4-verify",
		"compare " FLASH " %s --experts-from %s", out.s, form.s));
	CHECK(ends(2, "say --experts-from DIR", "dsv4-verify", "compare %s %s", other.s, out.s));
}

/* A source that is a conversion itself is held as any other. */
static void of_conversions(void)
{
	static const char *const made[] = { "--target hf", "--target hf --no-restore" };
	struct path hf, other, out;
	size_t i;

	for (i = 0; i < sizeof made / sizeof *made; i++) {
		hf = dirs_gone("hf");
		out = dirs_gone("out");
		CHECK_IN(made[i],
			ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s %s -q", hf.s, made[i]));
		CHECK_IN(made[i],
			ends(0, NULL, "dsv4-quant", "run %s -o %s --to fp8 -q", hf.s, out.s));
		CHECK_IN(made[i],
			ends(0, "held to the digests", "dsv4-verify", "compare %s %s", hf.s,
				out.s));
		/* What restores it is kept of the source that the first conversion restores; without that, of itself. */
		CHECK_IN(made[i],
			ends(i > 0, i ? "not as in the source" : NULL, "dsv4-verify",
				"compare " FLASH " %s", out.s));
		other = turned(hf.s, "other");
		CHECK_IN(made[i],
			ends(1, "compare.other-source", "dsv4-verify", "compare %s %s", other.s,
				out.s));
	}
}

/* dsv4-quant reads a conversion as what it restores to: compare with the conversion tells nothing, and says what to compare with. What
 * dsv4-convert makes of the conversion as it lies there is compared with it. */
static void restored(void)
{
	static const char *const first[] = { "dsv4-convert", "dsv4-quant", "dsv4-convert" },
				 *const how[] = { "--target hf --experts fp8", "--to fp8",
					 "--target hf --shard-size 300000" };
	static const char *const to[] = { "mlx", "bf16", "fp8" };
	struct path out, from;
	size_t i, k;

	for (i = 0; i < sizeof how / sizeof *how; i++) {
		from = dirs_gone("from");
		CHECK(ends(0, NULL, first[i], "run " FLASH " -o %s -q %s", from.s, how[i]));
		for (k = 0; k < sizeof to / sizeof *to; k++) {
			out = dirs_gone("out");
			CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s -q --to %s", from.s, out.s,
				to[k]));
			CHECK_IN(to[k],
				ends(2, "Compare with that checkpoint", "dsv4-verify",
					"compare %s %s", from.s, out.s));
			CHECK_IN(to[k],
				ends(0, "compare: true", "dsv4-verify", "compare " FLASH " %s",
					out.s));
		}
		out = dirs_gone("out");
		CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s -q --target official", from.s,
			out.s));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", from.s, out.s));
	}
	from = dirs_gone("from");
	out = dirs_gone("out");
	CHECK(ends(0, NULL, "dsv4-convert", "run " FLASH " -o %s -q --target hf", from.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s -q --to mlx", from.s, out.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", from.s, out.s));
}

static const struct test tests[] = { { "other source: the same output", same_output },
	{ "other source: experts of another folder", experts_from },
	{ "other source: of conversions", of_conversions },
	{ "other source: what a conversion restores to", restored }, { NULL, NULL } };
TEST_MAIN(tests)
