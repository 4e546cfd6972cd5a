/* test_gguf_model.c -- a GGUF by whoever wrote it, read as a model: computed with, and every fault in keys, tensors and
 * values seen.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"
#include "tests/check.h"
#include "tests/set.h"
#include "tests/shell.h"
#include "tests/gguf_edit.h"

static struct path made, file;

/* A GGUF of the model without anything beside it, as another tool leaves it. */
static void make(const char *from, const char *options)
{
	struct path out = dirs_path("out");
	char args[1000];

	dirs_remove(out.s);
	snprintf(args, sizeof args, "run -q %s -o %s --to gguf --no-restore %s", from, out.s,
		options);
	CHECK_IN(options, !shell("dsv4-quant", args));
	made = model_file(out.s, "model.gguf");
	file = dirs_path("x.gguf");
}

/* What logits of path says: its status, and a word of the message. */
static void says(const char *what, const char *path, int status, const char *word)
{
	char args[1000];
	int rc;

	snprintf(args, sizeof args, "logits -q " FLASH " %s --tokens 5,17,99,3", path);
	rc = shell("dsv4-verify", args);
	if (rc != status || (word && !holds(err_file.s, word)))
		fprintf(stderr, "%s: %d and not %d with %s\n", what, rc, status, word ? word : "");
	CHECK_IN(what, rc == status && (!word || holds(err_file.s, word)));
}

static void computes(void)
{
	make(FLASH, "");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ 0 });
	CHECK(same_files(file.s, made.s));
	says("as it is", file.s, 0, NULL);
	make(FLASH, "--dense f32");
	says("in F32", made.s, 0, NULL);
	make(FLASH, "--dense q8_0");
	says("rounded", made.s, 1, NULL);
	make(PRO, "");
	says("another model", made.s, 2, "logits.models");
	says("drafts", model_file(dirs_path("out").s, "mtp-model.gguf").s, 2, "no layers");
}

#define N(t, x)                                                          \
	{                                                                \
		.type = GGUF_##t, .u = (uint64_t)(x), .i = (x), .f = (x) \
	}
#define A(t, k)                                                    \
	{                                                          \
		.type = GGUF_ARRAY, .item = GGUF_##t, .count = (k) \
	}

/* Each key that decides what is computed: missing, of another type, or another number. */
static void keys(void)
{
	static const char *const gone[] = { "deepseek4.block_count", "deepseek4.embedding_length",
		"deepseek4.attention.head_count", "deepseek4.attention.compress_ratios",
		"deepseek4.attention.q_lora_rank", "deepseek4.expert_count",
		"deepseek4.expert_gating_func", "deepseek4.expert_weights_norm",
		"deepseek4.expert_weights_scale", "deepseek4.hash_layer_count",
		"deepseek4.hyper_connection.epsilon", "deepseek4.rope.freq_base",
		"deepseek4.rope.scaling.type", "deepseek4.rope.scaling.factor",
		"deepseek4.swiglu_clamp_exp", "deepseek4.vocab_size" };
	static struct {
		const char *key;
		struct gguf_value value, fill;
		int status;
		const char *word;
	} set[] = {
		{ "deepseek4.swiglu_clamp_exp", A(I32, 4), N(I32, 1), 1, "gguf.keys" },
		{ "deepseek4.swiglu_clamp_exp", A(F32, 3), N(F32, 1), 1, "gguf.keys" },
		{ "deepseek4.swiglu_clamp_shexp", A(F32, 4), N(F32, 7), 1, "gguf.keys" },
		{ "deepseek4.swiglu_clamp_exp", A(STRING, 1), { .type = GGUF_STRING, .s = "" }, 1,
			"gguf.keys" },
		{ "deepseek4.attention.compress_ratios", A(I32, 4), N(I32, 3), 1, "config.ratios" },
		{ "deepseek4.attention.compress_ratios", A(I32, 3), N(I32, 0), 1, "gguf.keys" },
		{ "deepseek4.attention.compress_ratios", A(F32, 5), N(F32, 0), 1, "gguf.keys" },
		{ "deepseek4.expert_gating_func", N(U32, 2), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.expert_weights_norm", N(BOOL, 0), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.attention.value_length", N(U32, 7), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.block_count", N(U32, 4000000000u), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.block_count", N(F32, 4), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.block_count", N(U32, 3), { 0 }, 2, NULL },
		{ "deepseek4.expert_count", N(U32, 4), { 0 }, 1, "model.shape" },
		{ "deepseek4.attention.head_count", N(I32, -4), { 0 }, 1, "gguf.keys" },
		{ "deepseek4.rope.freq_base", N(F64, 20000), { 0 }, 2, "logits.models" },
		{ "deepseek4.expert_weights_scale", N(F32, 2), { 0 }, 2, "logits.models" },
		{ "deepseek4.attention.sliding_window", N(U32, 64), { 0 }, 1, "config.forward" },
		{ "general.architecture", { .type = GGUF_STRING, .s = "llama", .n = 5 }, { 0 }, 2,
			"kind.gguf" },
		{ "deepseek4.nextn_predict_layers", N(U32, 4), { 0 }, 1, "gguf.keys" },
	};
	size_t i;

	make(FLASH, "");
	for (i = 0; i < sizeof gone / sizeof *gone; i++) {
		gguf_edit(made.s, file.s, &(struct gguf_edit){ .key = gone[i] });
		says(gone[i], file.s, 1, "gguf.keys");
	}
	for (i = 0; i < sizeof set / sizeof *set; i++) {
		gguf_edit(made.s, file.s,
			&(struct gguf_edit){
				.key = set[i].key, .value = &set[i].value, .fill = set[i].fill });
		says(set[i].key, file.s, set[i].status, set[i].word);
	}
}

/* Tensors: one that is not there, called otherwise, of another shape, too many. */
static void tensors(void)
{
	static const uint64_t turned[] = { 128, 256, 1, 1 };
	make(FLASH, "");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .tensor = "blk.1.attn_q_a.weight" });
	says("gone", file.s, 1, "model.missing");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .tensor = "blk.2.ffn_up_exps.weight" });
	says("experts gone", file.s, 1, "model.missing");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){
			.tensor = "blk.1.attn_q_a.weight", .to = "blk.1.attn_q_x.weight" });
	says("renamed", file.s, 1, "model.missing");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .tensor = "blk.1.attn_q_a.weight",
			.to = "blk.1.attn_q_a.weight",
			.dim = turned });
	says("turned", file.s, 1, "model.shape");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .add = "blk.1.more.weight" });
	says("too many", file.s, 1, "model.unexpected");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .add = "blk.4.nextn.enorm.weight" });
	says("a draft behind the layers", file.s, 0, NULL);
}

/* Two bytes at so many bytes behind the beginning of a tensor, or of each of its experts, become others. */
static void damage(const char *tensor, size_t at, unsigned bits)
{
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };
	size_t n, i, k, experts = strstr(tensor, "_exps") ? 8 : 1;
	uint8_t *p = file_get_all(made.s, &n);
	int fd = open(made.s, O_RDONLY);

	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	close(fd);
	for (i = 0; i < f.n; i++)
		if (!strcmp(f.tensors[i].name, tensor))
			for (k = 0; k < experts; k++)
				memcpy(p + f.data_at + f.tensors[i].at + at +
						k * (f.tensors[i].bytes / experts),
					(uint8_t[]){ bits & 255, bits >> 8 & 255 }, 2);
	file_put_all(file.s, p, n);
	gguf_file_free(&f);
	arena_free(&arena);
	free(p);
}

/* What lies in the file is what is computed with: a bit of each type is seen, and no number is made of a NaN. */
static void values(void)
{
	make(FLASH, "");
	damage("blk.1.attn_q_a.weight", 0, 0x3f80);
	says("BF16", file.s, 1, "error");
	damage("blk.1.attn_norm.weight", 2, 0x4080);
	says("F32", file.s, 1, "error");
	damage("blk.3.ffn_gate_exps.weight", 0, 0xff00);
	says("MXFP4", file.s, 1, "error");
	damage("blk.1.attn_q_a.weight", 0, 0x7f80);
	says("infinity", file.s, 1, "data.not-finite");
	damage("blk.1.attn_q_a.weight", 0, 0x7fc1);
	says("NaN", file.s, 1, "data.not-finite");
	make(FLASH, "--dense f32");
	damage("token_embd.weight", 0, 1);
	says("an embedding of another token that is no BF16", file.s, 0, NULL);
	damage("token_embd.weight", 5 * 256 * 4, 1);
	says("an embedding that is no BF16", file.s, 1, "model.dtype");
	damage("blk.1.ffn_down_exps.weight", 2, 0x7f80);
	says("experts that are no numbers", file.s, 1, "data.not-finite");
}

static const struct test tests[] = { { "computes", computes }, { "keys", keys },
	{ "tensors", tensors }, { "values", values }, { NULL, NULL } };
TEST_MAIN(tests)
