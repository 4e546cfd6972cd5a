/* test_forms.c -- logits, record and replay multiply what lies there: whatever is changed in codes, scales or factor of a
 * model in another number format shows, with the name of the tensor; and one that was rounded is computed too.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "kernels/forward/order.h"
#include "kernels/forward/sound.h"
#include "quant/num.h"
#include "tests/ck.h"
#include "tests/poke.h"
#include "tests/shell.h"
#include "tests/verify.h"

#define IDS "-t 1,2,3,77,100,5,9,200"
#define ALL "layers.0.ffn.experts." /* all experts of that layer, of which some are picked */

/* Makes NAME of a model, once. */
static struct path made(const char *from, const char *name, const char *options)
{
	char args[1200], at[200];
	struct path p;

	snprintf(at, sizeof at, "%s-%s", strrchr(from, '/') + 1, name);
	p = dirs_path(at);

	snprintf(args, sizeof args, "run -q %s -o %s --to %s %s %s", from, p.s, name,
		strstr(name, "nvfp4") == name ? "--input-scale 0.01" : "", options);
	if (!is_file(model_file(p.s, "manifest.json").s))
		CHECK_IN(name, model_tool("dsv4-quant", args) == 0);
	return p;
}

/* --- what is changed shows --- */

static const struct {
	const char *form, *begin, *end;
	uint64_t at;
	const char *bytes;
	size_t n;
	const char *rule, *told;
} damages[] = {
	{ "bf16", ALL, ".w1.weight", 0, "\x80\x41", 2, "logits.differs", "w1" },
	{ "bf16", "layers.1.attn.wq_a.", "weight", 2, "\x80\x41", 2, "logits.differs", "wq_a" },
	{ "bf16", "layers.0.attn.wo_a.", "weight", 2, "\x80\x41", 2, "logits.differs", "wo_a" },
	{ "mxfp8", ALL, ".w2.weight", 5, "\x7e", 1, "logits.differs", "w2" },
	{ "mxfp8", ALL, ".w3.weight_scale", 0, "\x90", 1, "logits.differs", "w3" },
	{ "mxfp8", "layers.0.attn.wq_b.", "weight_scale", 3, "\xff", 1, "data.scale-nan",
		"byte 3" },
	{ "mxfp8", "layers.0.attn.wq_b.", "weight", 7, "\x7f", 1, "data.fp8-nan", "byte 7" },
	{ "nvfp4", ALL, ".w1.weight", 3, "\x77\x77", 2, "logits.differs", "w1" },
	{ "nvfp4", ALL, ".w1.weight_scale", 1, "\x7e", 1, "logits.differs", "w1" },
	{ "nvfp4", ALL, ".w1.weight_scale", 1, "\x7f", 1, "data.scale-nan", "byte 1" },
	{ "nvfp4", ALL, ".w2.weight_scale_2", 0, "\0\0\x80\x3f", 4, "logits.differs", "w2" },
	{ "nvfp4", ALL, ".w2.weight_scale_2", 0, "\0\0\0\0", 4, "data.scale-number", "factor" },
	{ "nvfp4", ALL, ".w2.weight_scale_2", 0, "\0\0\xc0\x7f", 4, "data.scale-number", "factor" },
	{ "ct-nvfp4a16", ALL, ".w3.weight_packed", 3, "\x77\x77", 2, "logits.differs", "w3" },
	{ "ct-nvfp4a16", ALL, ".w2.weight_global_scale", 0, "\0\0\x80\x3f", 4, "logits.differs",
		"w2" },
	{ "ct-nvfp4a16", ALL, ".w2.weight_global_scale", 0, "\0\0\x80\x7f", 4, "data.scale-number",
		"factor" },
	{ "ct-mxfp4", ALL, ".w1.weight_scale", 0, "\x90", 1, "logits.differs", "w1" },
	{ "ct-mxfp4", ALL, ".w1.weight_scale", 0, "\xff", 1, "data.scale-nan", "byte 0" },
	{ "ct-mxfp4", "layers.1.attn.wkv.", "weight_scale", 0, "\0\0\0\x40", 4, "logits.differs",
		"wkv" },
	{ "ct-mxfp4", "layers.1.attn.wkv.", "weight_scale", 0, "\1\0\0\x40", 4, "data.scale-number",
		"byte 0" },
	{ "ct-mxfp8", ALL, ".w1.weight", 2, "\x7e", 1, "logits.differs", "w1" },
	{ "fp8", ALL, ".w1.scale", 0, "\0\0\0\x40", 4, "logits.differs", "w1" },
};

static void damaged(void)
{
	struct path copy = dirs_path("damaged"), rec = dirs_path("source.rec"), from;
	char args[2048];
	size_t i;

	snprintf(args, sizeof args, "record -q " FLASH " " IDS " -o %s", rec.s);
	CHECK(shell("dsv4-verify", args) == 0);
	for (i = 0; i < sizeof damages / sizeof *damages; i++) {
		from = made(FLASH, damages[i].form, "");
		dirs_remove(copy.s);
		snprintf(args, sizeof args, "cp -r %s %s", from.s, copy.s);
		CHECK(!system(args));
		poke(copy.s, damages[i].begin, damages[i].end, damages[i].at, damages[i].bytes,
			damages[i].n);
		snprintf(args, sizeof args, "logits " FLASH " %s " IDS, copy.s);
		CHECK_IN(damages[i].form, shell("dsv4-verify", args) == 1);
		CHECK_IN(damages[i].end,
			(holds(out_file.s, damages[i].rule) &&
				holds(out_file.s, damages[i].told)) ||
				(holds(err_file.s, damages[i].rule) &&
					holds(err_file.s, damages[i].told)));
		snprintf(args, sizeof args, "replay -q %s %s", copy.s, rec.s);
		CHECK_IN(damages[i].end, shell("dsv4-verify", args) == 1);
	}
}

/* --- what was rounded --- */

/* The blocks that manifest and sidecar list are those that the values have. */
static void places_that_lie(const char *source, const char *out)
{
	struct path copy = dirs_path("places");
	char args[2048];
	int way;

	for (way = 0; way < 4; way++) {
		dirs_remove(copy.s);
		snprintf(args, sizeof args, "cp -r %s %s", out, copy.s);
		CHECK(!system(args));
		if (way == 1)
			verify_exchange(model_file(copy.s, MAN_NAME).s, "{\"block\": 2,",
				"{\"block\": 1,");
		if (way == 2)
			verify_exchange(model_file(copy.s, MAN_NAME).s, "\"row\": 0,",
				"\"row\": 1,");
		if (way)
			verify_seal(copy.s);
		if (way == 3)
			verify_edit(copy.s, "model-00002-of-00007.safetensors",
				"\"inexact_at\": [[0, ", "\"inexact_at\": [[1, ");
		snprintf(args, sizeof args, "compare %s %s", source, copy.s);
		CHECK_IN(args, shell("dsv4-verify", args) == (way ? 1 : 0));
		CHECK(holds(out_file.s, "compare.counts") == (way > 0));
		CHECK(holds(out_file.s, "its sidecar lists other") == (way == 3));
	}
}

static void rounded(void)
{
	static const uint8_t zeros[16];
	struct path src = model_copy(FLASH, "far"), out;
	char args[2048];

	/* a large scale over zeros: from it the others are too far for NVFP4, and lose bits */
	poke(src.s, ALL, ".w1.scale", 0, "\x90", 1);
	poke(src.s, ALL, ".w1.weight", 0, zeros, sizeof zeros);
	out = made(src.s, "nvfp4", "--lossy");
	snprintf(args, sizeof args, "logits %s %s " IDS, src.s, out.s);
	CHECK(shell("dsv4-verify", args) == 1 && holds(out_file.s, "logits.beyond") &&
		holds(out_file.s, "w1") && holds(out_file.s, "another order"));
	snprintf(args, sizeof args, "logits %s %s --max-kl 5 " IDS, src.s, out.s);
	CHECK(shell("dsv4-verify", args) == 0 && holds(out_file.s, "logits.rounded"));
	places_that_lie(src.s, out.s);
	snprintf(args, sizeof args, "record -q %s " IDS " -o %s", out.s, dirs_path("wide.rec").s);
	CHECK(shell("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "replay -q %s %s", out.s, dirs_path("wide.rec").s);
	CHECK(shell("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "restore -q %s -o %s", out.s, dirs_path("back").s);
	CHECK(shell("dsv4-quant", args) == 2 && holds(err_file.s, "set.codec"));
}

/* --- orders --- */

/* A model whose sums round, so that their order shows: wide, with codes of all sizes under scales of many. */
static const char *wide(void)
{
	static struct path p;
	struct ck *c;
	struct ck_tensor *t;
	char args[1200];
	size_t i, k;

	if (p.s[0])
		return p.s;
	p = dirs_path("wide-model");
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set hidden_size=1024 --set "
		"moe_intermediate_size=512 --set q_lora_rank=512 --set n_routed_experts=4",
		p.s);
	CHECK(!model_tool("mkmodel", args));
	c = ck_load(p.s);
	for (i = 0; (t = ck_next(c, &i, NULL, NULL));)
		for (k = 0; k < t->n; k++) {
			if (!strcmp(t->type, "F8_E4M3"))
				t->p[k] = (uint8_t)rnd(256);
			if (!strcmp(t->type, "F8_E4M3") && num_e4m3_is_nan(t->p[k]))
				t->p[k] = 0;
			if (strstr(t->name, ".ffn.experts.") && ck_ends(t->name, ".scale"))
				t->p[k] = (uint8_t)(116 + rnd(12));
		}
	p = ck_write(c, "wide");
	ck_free(c);
	return p.s;
}

static const char *many_ids(void)
{
	static char ids[1200];
	size_t n = 0;
	unsigned i;

	for (i = 0; i < 200; i++)
		n += (size_t)snprintf(ids + n, sizeof ids - n, "%s%u", i ? "," : "", i);
	return ids;
}

/* Each form is computed in the order of each other: those of 32 and of 128 columns. */
static void in_each_order(void)
{
	static const char *const pairs[][2] = { { NULL, "bf16" }, { NULL, "mxfp8" },
		{ "mxfp8", "fp8" }, { "fp8", "mxfp8" }, { "nvfp4", "fp8" }, { "bf16", "fp8" },
		{ "fp8", "bf16" }, { "ct-mxfp8", NULL } };
	char args[3000], a[600], b[600];
	size_t i;

	for (i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		snprintf(a, sizeof a, "%s", pairs[i][0] ? made(wide(), pairs[i][0], "").s : wide());
		snprintf(b, sizeof b, "%s", pairs[i][1] ? made(wide(), pairs[i][1], "").s : wide());
		snprintf(args, sizeof args, "logits %s %s -t %s", a, b, many_ids());
		CHECK_IN(b, shell("dsv4-verify", args) == 0 && holds(out_file.s, "bit-equal"));
	}
}

/* In which order each form is computed by itself. */
static void own_orders(void)
{
	static const char *const own[][2] = { { "fp8", "\"128 128\"" }, { "bf16", "\"128 32\"" },
		{ "mxfp8", "\"32 32\"" }, { "nvfp4", "\"128 32\"" }, { "ct-mxfp4", "\"128 32\"" },
		{ "ct-mxfp8", "\"128 32\"" } };
	struct path rec = dirs_path("own.rec");
	char args[1200];
	uint8_t *p;
	size_t i, n;

	for (i = 0; i < sizeof own / sizeof *own; i++) {
		unlink(rec.s);
		snprintf(args, sizeof args, "record -q %s " IDS " -o %s",
			made(FLASH, own[i][0], "").s, rec.s);
		CHECK(shell("dsv4-verify", args) == 0);
		p = file_get_all(rec.s, &n);
		CHECK_IN(own[i][0], p && memmem(p, n, own[i][1], strlen(own[i][1])));
		free(p);
	}
}

/* A record that says another order than that in which it was made. */
static void orders_of_records(void)
{
	struct path rec = dirs_path("order.rec");
	char args[3000], *at;
	uint8_t *p;
	size_t n;

	snprintf(args, sizeof args, "record -q %s -t %s -o %s", wide(), many_ids(), rec.s);
	CHECK(shell("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "replay -q %s %s", wide(), rec.s);
	CHECK(shell("dsv4-verify", args) == 0);
	p = file_get_all(rec.s, &n);
	at = memmem(p, n, "\"128 32\"", 8);
	CHECK(at);
	if (at) {
		memcpy(at, "\"12832 \"", 8);
		file_put_all(rec.s, p, n);
		CHECK(shell("dsv4-verify", args) == 1 && holds(err_file.s, "record.form"));
		memcpy(at, "\"32 128\"", 8); /* the same sums in another order are others */
		file_put_all(rec.s, p, n);
		CHECK(shell("dsv4-verify", args) == 1 && holds(out_file.s, "replay: false"));
	}
	free(p);
}

/* --- sound --- */

static void sound(void)
{
	enum rule_id rule;
	uint64_t at;
	uint8_t b[256], four[4];
	float f;
	unsigned i;

	for (i = 0; i < 256; i++) {
		memset(b, 0x3c, sizeof b);
		b[77] = (uint8_t)i;
		CHECK(!sound_scales(CODEC_MXFP8, b, 256, &rule, &at) == (i != 255));
		CHECK(!sound_scales(CODEC_NVFP4, b, 256, &rule, &at) == ((i & 127) != 127));
		CHECK(!sound_codes(CODEC_MXFP8, b, 256, &rule, &at) == ((i & 127) != 127));
		CHECK(!sound_codes(CODEC_NVFP4, b, 256, &rule, &at));
		f = num_e8m0(i);
		memcpy(four, &f, 4);
		CHECK(!sound_scales(CODEC_FP8_CT, four, 4, &rule, &at) == (i != 255));
		CHECK(!sound_second(CODEC_NVFP4, four, &rule) == (i != 255));
		CHECK(!sound_second(CODEC_NVFP4_CT, four, &rule) == (i != 255));
	}
	f = -1.0f;
	memcpy(four, &f, 4);
	CHECK(sound_second(CODEC_NVFP4, four, &rule) && rule == RULE_DATA_SCALE_NUMBER);
	f = num_f32(1); /* the divisor of an infinite factor */
	memcpy(four, &f, 4);
	CHECK(sound_second(CODEC_NVFP4_CT, four, &rule));
	f = 3.0f;
	memcpy(four, &f, 4);
	CHECK(sound_scales(CODEC_FP8_CT, four, 4, &rule, &at));
}

static const struct test tests[] = {
	{ "forms: what is changed shows", damaged },
	{ "forms: in each order", in_each_order },
	{ "forms: own orders", own_orders },
	{ "forms: rounded", rounded },
	{ "forms: orders of records", orders_of_records },
	{ "forms: sound", sound },
	{ NULL, NULL },
};
TEST_MAIN(tests)
