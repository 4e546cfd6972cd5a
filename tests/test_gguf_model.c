/* test_gguf_model.c -- a GGUF by whoever wrote it, read as a model: computed with, and every fault in keys, tensors and
 * values seen.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
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

/* Runs a verb of two paths. */
static void verb_of(const char *call, const char *a, const char *b, int status)
{
	char args[2000];

	snprintf(args, sizeof args, "%s %s %s", call, a, b);
	CHECK_IN(args, shell("dsv4-verify", args) == status);
}

static void computes(void)
{
	char args[1000];

	make(FLASH, "");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ 0 });
	CHECK(same_files(file.s, made.s));
	says("as it is", file.s, 0, NULL);
	snprintf(args, sizeof args, "record " FLASH " -o %s --tokens 5,17 -q", dirs_path("rec").s);
	CHECK(!shell("dsv4-verify", args));
	verb_of("replay -q", file.s, dirs_path("rec").s, 0);
	make(FLASH, "--dense f32");
	says("in F32", made.s, 0, NULL);
	verb_of("replay -q", made.s, dirs_path("rec").s, 0);
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
		"deepseek4.swiglu_clamp_exp" };
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
	static struct gguf_value tokens = A(STRING, 256);
	size_t i;

	make(FLASH, "");
	for (i = 0; i < sizeof gone / sizeof *gone; i++) {
		gguf_edit(made.s, file.s, &(struct gguf_edit){ .key = gone[i] });
		says(gone[i], file.s, 1, "gguf.keys");
	}
	/* the vocabulary is told by its tokens, too; by neither, not at all */
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .key = "deepseek4.vocab_size" });
	says("no vocabulary", file.s, 1, "gguf.keys");
	made = file;
	file = dirs_path("y.gguf");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "tokenizer.ggml.tokens",
			.value = &tokens,
			.fill = { .type = GGUF_STRING, .s = "" } });
	says("a vocabulary of tokens", file.s, 0, NULL);
	make(FLASH, "");
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

/* A tensor without anything in it. */
static void zeros(const char *tensor)
{
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };
	size_t n, i;
	uint8_t *p = file_get_all(made.s, &n);
	int fd = open(made.s, O_RDONLY);

	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	close(fd);
	for (i = 0; i < f.n; i++)
		if (!strcmp(f.tensors[i].name, tensor))
			memset(p + f.data_at + f.tensors[i].at, 0, f.tensors[i].bytes);
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
	damage("blk.3.exp_probs_b.bias", 2, 0x7fc0);
	says("NaN in a vector", file.s, 1, "data.not-finite");
	damage("blk.2.attn_kv_a_norm.weight", 2, 0x7fc0);
	says("NaN in the norm of keys", file.s, 1, "data.not-finite");
	damage("blk.2.attn_norm.weight", 2, 0xff80);
	says("infinity in a norm", file.s, 1, "data.not-finite");
	make(FLASH, "--dense f32");
	damage("token_embd.weight", 0, 1);
	says("an embedding of another token that is no BF16", file.s, 0, NULL);
	damage("token_embd.weight", 5 * 256 * 4, 1);
	says("an embedding that is no BF16", file.s, 1, "model.dtype");
	damage("blk.1.ffn_down_exps.weight", 2, 0x7f80);
	says("experts that are no numbers", file.s, 1, "data.not-finite");
}

/* What a verb says of path: its status, and a word of what it prints. */
static void verb(const char *call, const char *path, int status, const char *word)
{
	const char *tool = !strncmp(call, "inspect", 7) ? "dsv4-convert" : "dsv4-verify";
	char args[1000];
	int rc;

	snprintf(args, sizeof args, "%s %s", call, path);
	rc = shell(tool, args);
	if (rc != status || (word && !holds(out_file.s, word) && !holds(err_file.s, word)))
		fprintf(stderr, "%s: %d and not %d with %s\n", call, rc, status, word ? word : "");
	CHECK_IN(call, rc == status);
	CHECK_IN(call, !word || holds(out_file.s, word) || holds(err_file.s, word));
}

/* Files without a manifest: structure, tensors by the keys, parts; and what was not looked at. */
static void checks(void)
{
	struct path dir = dirs_new("dir");
	struct gguf_value other = { .type = GGUF_STRING, .s = "llama", .n = 5 };
	char line[3000];

	make(FLASH, "--shard-size 900000");
	snprintf(line, sizeof line, "cp %s/*.gguf %s", dirs_path("out").s, dir.s);
	CHECK(!system(line));
	verb("check", dir.s, 0, "not looked at");
	verb("check", model_file(dir.s, "mtp-model-00001-of-00003.gguf").s, 0,
		"tensors by the keys");
	verb("check", model_file(dir.s, "model-00003-of-00012.gguf").s, 0, "12 ");
	verb("check", model_file(dirs_path("out").s, "model-00003-of-00012.gguf").s, 0, NULL);
	verb("inspect", dir.s, 0, "no findings");
	verb("inspect --json", dir.s, 0, "\"is\": \"its MTP block\"");
	verb("doctor", dir.s, 0, "engine.setting");
	snprintf(line, sizeof line, "diff -q %s %s", dir.s, dirs_path("out").s);
	verb(line, "", 0, NULL);
	unlink(model_file(dir.s, "model-00003-of-00012.gguf").s);
	verb("check", dir.s, 1, "gguf.part-missing");
	verb("inspect", dir.s, 1, "gguf.part-missing");
	verb("doctor", dir.s, 1, "gguf.part-missing");
	/* a part of another run in its place */
	make(PRO, "--shard-size 900000");
	snprintf(line, sizeof line, "cp %s/model-00003-of-*.gguf %s/model-00003-of-00012.gguf",
		dirs_path("out").s, dir.s);
	CHECK(!system(line));
	verb("check", dir.s, 1, "gguf.part-");
	make(FLASH, "");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .tensor = "blk.1.attn_q_a.weight" });
	verb("check", file.s, 1, "model.missing");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "general.architecture", .value = &other });
	verb("check", file.s, 2, "kind.gguf");
	verb("doctor", file.s, 2, "kind.gguf");
	file_put_all(file.s, "GGUF", 4);
	verb("check", file.s, 1, "gguf.cut");
}

/* Two files: only here or there, of another type, with other bytes. */
static void differences(void)
{
	char line[3000];

	make(FLASH, "");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ 0 });
	snprintf(line, sizeof line, "diff %s %s", made.s, file.s);
	verb(line, "", 0, "the same");
	damage("blk.3.ffn_down_exps.weight", 5, 0x1111);
	verb(line, "", 1, "diff.bytes");
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .tensor = "output.weight" });
	verb(line, "", 1, "diff.only");
	make(FLASH, "--dense q8_0");
	snprintf(line, sizeof line, "cp %s %s", made.s, file.s);
	CHECK(!system(line));
	make(FLASH, "");
	snprintf(line, sizeof line, "diff %s %s", made.s, file.s);
	verb(line, "", 1, "Q8_0");
}

/* The type of the tensor in the header of the file p of n bytes. */
static char *type_of(void *p, size_t n, const char *tensor)
{
	char *at = memmem(p, n, tensor, strlen(tensor));

	return at ? at + strlen(tensor) + 4 + 3 * 8 : NULL; /* behind rank and dimensions */
}

/* Types of few bits, as other tools write them: experts are made IQ4_XS, whose blocks are of the same size as eight of
 * MXFP4. What the model then computes is measured, and the limit decides. */
static void few_bits(void)
{
	enum { IQ4_XS = 23, BLOCK = 136 };
	static const char tensor[] = "blk.2.ffn_gate_exps.weight";
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };
	char line[3000], *type;
	uint8_t *p;
	size_t n, i, k;
	int fd;

	make(FLASH, "");
	p = file_get_all(made.s, &n);
	fd = open(made.s, O_RDONLY);
	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	close(fd);
	type = type_of(p, n, tensor);
	CHECK(type && *type == GGML_MXFP4);
	*type = IQ4_XS;
	for (i = 0; i < f.n; i++) /* a scale of 1 / 1024 for each block */
		for (k = 0; !strcmp(f.tensors[i].name, tensor) && k < f.tensors[i].bytes;
			k += BLOCK)
			memcpy(p + f.data_at + f.tensors[i].at + k, "\x00\x14", 2);
	file_put_all(file.s, p, n);
	verb("doctor --full", file.s, 0, NULL);
	for (i = 0; i < f.n; i++) /* infinite */
		if (!strcmp(f.tensors[i].name, tensor))
			p[f.data_at + f.tensors[i].at + 5 * BLOCK + 1] = 0x7c;
	file_put_all(dirs_path("odd.gguf").s, p, n);
	verb("doctor --full", dirs_path("odd.gguf").s, 1, "data.not-finite");
	gguf_file_free(&f);
	arena_free(&arena);
	free(p);
	verb("check", file.s, 0, NULL);
	says("values of few bits", file.s, 1, NULL);
	snprintf(line, sizeof line, "logits " FLASH " %s --tokens 5,17,99,3 --max-kl 100", file.s);
	CHECK(!shell("dsv4-verify", line) && holds(out_file.s, "logits.rounded"));
	snprintf(line, sizeof line, "logits " FLASH " %s --tokens 5,17,99,3 --max-kl 1e-9", file.s);
	CHECK(shell("dsv4-verify", line) == 1 && holds(out_file.s, "logits.beyond"));
}

/* Two files that differ in a key alone are not the same. */
static void diff_keys(void)
{
	static struct gguf_value base = { .type = GGUF_F32, .f = 12345 },
				 pre = { .type = GGUF_STRING, .s = "llama-bpe", .n = 9 };
	char line[2000];

	make(FLASH, "");
	verb_of("diff -q", made.s, made.s, 0);
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "deepseek4.rope.freq_base", .value = &base });
	verb_of("diff -q", made.s, file.s, 1);
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "tokenizer.ggml.pre", .value = &pre });
	verb_of("diff -q", made.s, file.s, 1);
	gguf_edit(made.s, file.s, &(struct gguf_edit){ .key = "deepseek4.expert_weights_norm" });
	snprintf(line, sizeof line, "diff %s %s", made.s, file.s);
	CHECK(shell("dsv4-verify", line) == 1 && holds(out_file.s, "diff.only") &&
		holds(out_file.s, "key deepseek4.expert_weights_norm"));
}

/* Hash tables have ids of experts that there are. */
static void hash_ids(void)
{
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };
	uint8_t *p;
	size_t n, i;
	int fd;

	make(FLASH, "");
	p = file_get_all(made.s, &n);
	fd = open(made.s, O_RDONLY);
	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	close(fd);
	for (i = 0; i < f.n; i++)
		if (!strcmp(f.tensors[i].name, "blk.1.ffn_gate_tid2eid.weight"))
			memcpy(p + f.data_at + f.tensors[i].at + 40, "\x08\0\0\0", 4);
	file_put_all(file.s, p, n);
	verb("doctor", made.s, 0, NULL);
	verb("doctor", file.s, 1, "data.expert-id");
	gguf_file_free(&f);
	arena_free(&arena);
	free(p);
}

/* What llama.cpp trips over, and what contradicts itself. */
static void doctor(void)
{
	static struct gguf_value pre = { .type = GGUF_STRING, .s = "llama-bpe", .n = 9 },
				 gpt2 = { .type = GGUF_STRING, .s = "gpt2", .n = 4 },
				 ints = A(I32, 4), words = A(STRING, 255);
	struct path dir = dirs_new("both");
	char line[3000];

	make(PRO, "");
	verb("doctor --for llama.cpp", made.s, 1, "engine.shape");
	make(FLASH, "");
	verb("doctor --for llama.cpp", made.s, 0, "engine.setting");
	verb("doctor --full", made.s, 0, NULL);
	verb("doctor --for vllm", made.s, 1, "engine.form");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){
			.key = "deepseek4.swiglu_clamp_exp", .value = &ints, .fill = N(I32, 1) });
	verb("doctor --for llama.cpp", file.s, 1, "gguf.keys");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "tokenizer.ggml.model", .value = &gpt2 });
	verb("doctor", file.s, 1, "tokenizer.ggml.pre is missing, or default");
	made = file;
	file = dirs_path("y.gguf");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "tokenizer.ggml.pre", .value = &pre });
	verb("doctor", file.s, 1, "suspect.tokenizer");
	gguf_edit(made.s, file.s,
		&(struct gguf_edit){ .key = "tokenizer.ggml.tokens",
			.value = &words,
			.fill = { .type = GGUF_STRING, .s = "" } });
	verb("doctor", file.s, 1, "255 tokens, the vocabulary 256");
	make(FLASH, "");
	zeros("output.weight");
	verb("doctor", file.s, 1, "data.zeros");
	damage("blk.3.ffn_gate_exps.weight", 0, 0x00ff);
	verb("doctor", file.s, 1, "data.scale-nan");
	damage("blk.1.attn_q_a.weight", 0, 0x7f80);
	verb("doctor", file.s, 1, "data.not-finite");
	/* drafts in another type than the layers */
	snprintf(line, sizeof line, "cp %s %s/model.gguf", made.s, dir.s);
	CHECK(!system(line));
	make(FLASH, "--dense f32");
	snprintf(line, sizeof line, "cp %s/mtp-model.gguf %s", dirs_path("out").s, dir.s);
	CHECK(!system(line));
	verb("doctor", dir.s, 0, "routed experts of drafts are F32, those of layers MXFP4");
}

/* Blocks of MXFP4 with the scale behind the codes are seen. */
static void scales_behind(void)
{
	struct gguf_file f = { 0 };
	struct arena arena = { 0 };
	struct err e = { 0 };
	uint8_t *p, scale;
	size_t n, i, at;
	int fd;

	make(FLASH, "");
	p = file_get_all(made.s, &n);
	fd = open(made.s, O_RDONLY);
	CHECK(p && !gguf_file_read(&f, io_posix(), fd, n, NULL, NULL, &arena, &e));
	close(fd);
	for (i = 0; i < f.n; i++)
		for (at = 0; f.tensors[i].type == GGML_MXFP4 && at < f.tensors[i].bytes; at += 17) {
			uint8_t *b = p + f.data_at + f.tensors[i].at + at;

			scale = b[0];
			memmove(b, b + 1, 16);
			b[16] = scale;
		}
	file_put_all(file.s, p, n);
	verb("doctor", file.s, 1, "suspect.scale-place");
	gguf_file_free(&f);
	arena_free(&arena);
	free(p);
}

/* A hub's cache: files are links to blobs that are called by their digests, to which they are held. */
static void links(void)
{
	struct path hub = dirs_new("models--x--gguf"), snap;
	char line[4000];

	make(FLASH, "");
	snprintf(line, sizeof line,
		"cd %s && mkdir -p blobs snapshots/abc && h=$(sha256sum %s | cut -c1-64) && cp %s blobs/$h && "
		"ln -s ../../blobs/$h snapshots/abc/model.gguf",
		hub.s, made.s, made.s);
	CHECK(!system(line));
	snap = model_file(hub.s, "snapshots/abc");
	verb("check", snap.s, 0, "check: true");
	CHECK(!holds(out_file.s, "check.no-digest"));
	verb("check", model_file(snap.s, "model.gguf").s, 0, "check: true");
	verb("inspect", snap.s, 0, "no findings");
	verb("doctor", model_file(snap.s, "model.gguf").s, 0, NULL);
	says("a link", snap.s, 0, NULL);
	snprintf(line, sizeof line, "diff -q %s %s", snap.s, made.s);
	verb(line, "", 0, NULL);
	/* a link that leads elsewhere is followed, one that leads nowhere is said */
	snprintf(line, sizeof line,
		"mkdir %s/other && ln -s %s %s/other/x.gguf && ln -s none %s/other/y.gguf", hub.s,
		made.s, hub.s, hub.s);
	CHECK(!system(line));
	verb("inspect", model_file(hub.s, "other/x.gguf").s, 0, "no findings");
	verb("inspect", model_file(hub.s, "other").s, 1, "file.dangling");
	/* damage in the blob */
	snprintf(line, sizeof line,
		"mv %s/blobs/* %s/x && printf '\\001' | dd of=%s/x bs=1 seek=200000 conv=notrunc 2>/dev/null && "
		"mv %s/x %s/blobs/$(basename $(readlink %s/snapshots/abc/model.gguf))",
		hub.s, hub.s, hub.s, hub.s, hub.s, hub.s);
	CHECK(!system(line));
	verb("check", snap.s, 1, "sha256");
}

static const struct test tests[] = { { "computes", computes }, { "keys", keys },
	{ "tensors", tensors }, { "values", values }, { "checks", checks },
	{ "differences", differences }, { "few_bits", few_bits },
	{ "gguf model: hash ids", hash_ids }, { "gguf model: diff of keys", diff_keys },
	{ "doctor", doctor }, { "scales_behind", scales_behind }, { "links", links },
	{ NULL, NULL } };
TEST_MAIN(tests)
