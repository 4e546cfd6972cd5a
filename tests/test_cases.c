/* test_cases.c -- the public failures that docs/cases.md lists, each as a small checkpoint damaged in that
 * way, and what has to be found in it; and beyond them what else dsv4-verify doctor finds.
 *
 * A row: the number of the case (0: none of them), where it begins, what is done to the tensors and config.json
 * in memory, what to the files afterwards, who looks, and the rule that must be among the findings.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/verify.h"
#include "quant/num.h"
#include "verify/doctor/scan.h"

/* --- where cases begin: each is made once --- */

enum base { GOLD, GOLD_PRO, BASE, CAST, CAST_E8M0, RANKS, SETS, SHAPED, BASES };

static struct path bases[BASES];

/* A model whose channels differ in size, as trained ones do: every third pair has its first channel small. */
static void make_shaped(void)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, ".ffn.", ".weight"));) {
		bool routed = strstr(t->name, ".experts.");

		if (ck_ends(t->name, "w2.weight") || t->rank != 2)
			continue;
		for (k = 0; routed && k < t->n; k++)
			if (k * 7 % 3 == 0)
				t->p[k] &= (uint8_t)~0x06; /* 0 or 0.5 */
		for (k = 0; strstr(t->name, "shared") && k < t->n; k += 2)
			if (k / 2 * 7 % 3 == 0)
				t->p[k] &= 0x9f; /* at most 2^-2 */
	}
	bases[SHAPED] = ck_write(c, "shaped");
	ck_free(c);
}

static void make(void)
{
	struct job_opts o;
	struct model_job j;
	char line[700];

	if (bases[GOLD].s[0])
		return;
	snprintf(bases[GOLD].s, sizeof bases[GOLD].s, "%s", FLASH);
	snprintf(bases[GOLD_PRO].s, sizeof bases[GOLD_PRO].s, "%s", PRO);
	bases[BASE] = dirs_path("base");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-base.json", bases[BASE].s);
	CHECK(!model_tool("mkmodel", line));
	bases[CAST] = dirs_path("cast");
	j = model_job("hf", 1);
	j.plan.experts = EXPERT_FP8;
	CHECK(convert(&j, FLASH, bases[CAST].s));
	bases[CAST_E8M0] = dirs_path("cast-e8m0");
	j.plan.scales = SCALES_E8M0;
	CHECK(convert(&j, FLASH, bases[CAST_E8M0].s));
	bases[RANKS] = dirs_path("ranks");
	j = model_job("official", 2);
	CHECK(convert(&j, FLASH, bases[RANKS].s));
	bases[SETS] = dirs_path("sets");
	o = set_opts("kmajor-sf128", 2, false);
	CHECK(set_makes(FLASH, bases[SETS].s, &o));
	make_shaped();
}

/* --- what is done to tensors and config.json --- */

static void scales_as_numbers(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;
	uint32_t b;
	float f;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		for (k = 0; k < t->n; k += 4) {
			memcpy(&b, t->p + k, 4);
			f = (float)(b >> 23);
			memcpy(t->p + k, &f, 4);
		}
}

static void experts_named_fp8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		strcpy(t->type, "F8_E4M3");
}

static void experts_by_byte(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
}

static void no_expert_dtype(struct ck *c)
{
	ck_config(c, "expert_dtype", NULL);
}

static void scale_gone(struct ck *c)
{
	ck_get(c, "layers.1.ffn.experts.2.w1.scale")->gone = true;
}

static void scales_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		t->gone = true;
}

static void attention_left_out(struct ck *c)
{
	c->new_config = true;
	json_object_set_new(json_object_get(c->config, "quantization_config"), "ignore",
		json_loads("[\"lm_head\", \"re:model.layers.0.self_attn.*\"]", 0, NULL));
}

static void quant_stale(struct ck *c)
{
	ck_config(c, "quantization_config",
		"{\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\", \"group_size\": 16}");
}

static void nibbles_exchanged(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		for (k = 0; k < t->n; k++)
			t->p[k] = (uint8_t)(t->p[k] << 4 | t->p[k] >> 4);
}

static void nibbles_split(struct ck *c)
{
	struct ck_tensor *t;
	uint8_t code[32];
	size_t i, k, j;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		for (k = 0; k < t->n; k += 16) {
			for (j = 0; j < 32; j++)
				code[j] = j & 1 ? t->p[k + j / 2] >> 4 : t->p[k + j / 2] & 15;
			for (j = 0; j < 16; j++)
				t->p[k + j] = (uint8_t)(code[j] | code[j + 16] << 4);
		}
}

static void sixteen_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, n = 0;

	nibbles_exchanged(c);
	for (i = 0; n < 16 && (t = ck_next(c, &i, ".ffn.experts.", ".scale")); n++)
		t->gone = true;
}

static void halve(struct ck_tensor *t)
{
	size_t i;

	for (i = 0; i < t->n / 4; i++)
		memmove(t->p + 2 * i, t->p + 4 * i + 2, 2);
	t->n /= 2;
	strcpy(t->type, "BF16");
}

static void fp32_as_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn_sink"));)
		halve(t);
	for (i = 0; (t = ck_next(c, &i, NULL, ".ape"));)
		halve(t);
	halve(ck_get(c, "hc_head_fn"));
}

static void ids_as_bf16(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.0.ffn.gate.tid2eid");
	size_t i, n = t->n / 8;
	uint64_t id;
	uint16_t h;

	for (i = 0; i < n; i++) {
		memcpy(&id, t->p + 8 * i, 8);
		h = num_bf16_from((float)id);
		memcpy(t->p + 2 * i, &h, 2);
	}
	t->n = 2 * n;
	strcpy(t->type, "BF16");
}

static void through_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, "hc_attn_fn", NULL));)
		for (k = 0; k < t->n; k += 4)
			t->p[k] = t->p[k + 1] = 0;
}

static void draft_head_gone(struct ck *c)
{
	ck_get(c, "mtp.0.head.weight")->gone = true;
}

static void draft_experts_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", NULL));)
		t->gone = true;
}

static void draft_anew(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.", "norm.weight"));)
		for (k = 0; k < t->n; k += 2) {
			t->p[k] = 0x80;
			t->p[k + 1] = 0x3f;
		}
}

static void draft_in_fp8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".scale"));)
		ck_retype(t, "F8_E8M0", (t->dim[0] + 127) / 128, (t->dim[1] * 32 + 127) / 128,
			(t->dim[0] + 127) / 128 * ((t->dim[1] * 32 + 127) / 128));
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight"));)
		ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] * 2, t->n * 2);
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight"));) {
		size_t k;

		for (k = 0; k < t->n; k++)
			t->p[k] &= 0xbf;
	}
}

static void draft_projections_gone(struct ck *c)
{
	ck_get(c, "mtp.0.e_proj.weight")->gone = true;
	ck_get(c, "mtp.0.e_proj.scale")->gone = true;
	ck_get(c, "mtp.0.h_proj.weight")->gone = true;
	ck_get(c, "mtp.0.h_proj.scale")->gone = true;
}

static void no_draft_said(struct ck *c)
{
	ck_config(c, "num_nextn_predict_layers", "0");
}

static void other_names(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.scale"));)
		strcpy(t->name + strlen(t->name) - strlen("scale"), "weight_scale_inv");
}

static void scales_of_nvfp4(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] * 2, t->n * 2);
}

static void not_in_shard(struct ck *c)
{
	ck_get(c, "mtp.0.enorm.weight")->gone = true;
	c->old_index = true;
}

static void new_type(struct ck *c)
{
	strcpy(ck_get(c, "layers.1.attn.wq_a.scale")->type, "F8_E8M1");
}

static void layers_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "layers.3.", NULL));)
		t->gone = true;
}

static void draft_among_layers(struct ck *c)
{
	unsigned shard = ck_get(c, "layers.3.ffn_norm.weight")->shard;
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn_norm", NULL));)
		t->shard = shard;
}

static void renamed_config(struct ck *c)
{
	ck_config(c, "compress_ratios", NULL);
	ck_config(c, "layer_types", "[\"full_attention\", \"compressed_attention\"]");
	ck_config(c, "compress_rates", "{\"compressed_attention\": 4}");
}

static void ratios_cut(struct ck *c)
{
	ck_config(c, "compress_ratios", "[0, 4, 128, 4]");
}

static void wo_a_in_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.weight"));)
		ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
}

static void sinks_whole(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn_sink"));)
		ck_retype(t, "F32", 2 * t->dim[0], 0, 2 * t->n);
}

static void experts_twice(struct ck *c)
{
	size_t i, n = c->n;

	for (i = 0; i < n; i++)
		if (strstr(c->t[i].name, ".ffn.experts.0.") && c->t[i].shard == 0) {
			struct ck_tensor *t = &c->t[c->n++];

			*t = c->t[i];
			t->p = malloc(t->n + 1);
			memcpy(t->p, c->t[i].p, t->n);
			t->shard = 1;
			c->dirty[1] = true;
		}
}

/* beyond the cases */

static void tied(struct ck *c)
{
	ck_config(c, "tie_word_embeddings", "true");
}

static void heads_wrong(struct ck *c)
{
	ck_config(c, "index_n_heads", "8");
}

static void hash_wrong(struct ck *c)
{
	ck_config(c, "num_hash_layers", "1");
}

static void norm_nan(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn_norm.weight");

	t->p[10] = 0xc0;
	t->p[11] = 0x7f;
}

static void scale_255(struct ck *c)
{
	ck_get(c, "layers.2.ffn.experts.3.w2.scale")->p[77] = 255;
}

static void scale_0(struct ck *c)
{
	ck_get(c, "layers.2.ffn.experts.3.w2.scale")->p[77] = 0;
}

static void code_nan(struct ck *c)
{
	ck_get(c, "layers.2.attn.wq_b.weight")->p[5] = 0xff;
}

static void id_wrong(struct ck *c)
{
	ck_get(c, "layers.1.ffn.gate.tid2eid")->p[8 * 31] = 8;
}

static void id_twice(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.ffn.gate.tid2eid");

	memcpy(t->p + 8, t->p, 8);
}

static void embed_zeros(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "embed.weight");

	memset(t->p, 0, SCAN_ZEROS);
}

static void reciprocals(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));)
		for (k = 0; k < t->n && !strcmp(t->type, "F8_E8M0"); k++)
			t->p[k] = (uint8_t)(254 - t->p[k]);
}

static void folded(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn.experts.3.w2.scale");
	size_t k;

	for (k = 0; k < t->n; k++)
		t->p[k] = (uint8_t)(t->p[k] - 24);
}

static void far_apart(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn.experts.3.w2.scale");

	t->p[3] = (uint8_t)(t->p[0] - 40);
}

/* Dense scales as FP32 numbers beside FP4 experts. */
static void dense_in_f32(struct ck *c)
{
	struct ck_tensor *t;
	uint8_t was[4096];
	size_t i, k, n;
	float v;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		n = t->n;
		if (strstr(t->name, ".ffn.experts.") || n > sizeof was)
			continue;
		memcpy(was, t->p, n);
		ck_retype(t, "F32", t->dim[0], t->dim[1], 4 * n);
		for (k = 0; k < n; k++) {
			v = num_e8m0(was[k]);
			memcpy(t->p + 4 * k, &v, sizeof v);
		}
	}
}

/* FP8 experts with F32 scales, dense weights with E8M0: what some converters make. */
static void dense_in_e8m0(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k, n;
	uint32_t bits;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		if (strstr(t->name, ".ffn.experts."))
			continue;
		for (k = 0, n = t->n / 4; k < n; k++) {
			memcpy(&bits, t->p + 4 * k, sizeof bits);
			t->p[k] = (uint8_t)(bits >> 23);
		}
		ck_retype(t, "F8_E8M0", t->dim[0], t->dim[1], n);
	}
}

static void uneven(struct ck *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->t[i].shard == 1 && !strcmp(c->t[i].name, "layers.1.ffn_norm.weight")) {
			c->t[i].gone = true;
			c->dirty[1] = true;
		}
}

/* --- what is done to files --- */

static void cut_to(const char *dir, const char *name, unsigned percent)
{
	struct path p = model_file(dir, name);
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	model_put(dir, name, b, n * percent / 100);
	free(b);
}

static void cut(const char *dir)
{
	cut_to(dir, "model-00003-of-00007.safetensors", 83);
}

static void cut_rank(const char *dir)
{
	cut_to(dir, "model1-mp2.safetensors", 60);
}

/* The last part of a shard reads as zeros. */
static void hole(const char *dir)
{
	struct path p = model_file(dir, "model-00004-of-00007.safetensors");
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	memset(b + n - n / 4, 0, n / 4);
	model_put(dir, "model-00004-of-00007.safetensors", b, n);
	free(b);
}

static void shard_gone(const char *dir)
{
	unlink(model_file(dir, "model-00005-of-00007.safetensors").s);
}

static void most_gone(const char *dir)
{
	char name[64];
	int i;

	for (i = 3; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		unlink(model_file(dir, name).s);
	}
}

static void header_zeros(const char *dir)
{
	struct path p = model_file(dir, "model-00003-of-00007.safetensors");
	size_t n;
	uint8_t *b = file_get_all(p.s, &n);

	memset(b, 0, 4096);
	model_put(dir, "model-00003-of-00007.safetensors", b, n);
	free(b);
}

static void pointer(const char *dir)
{
	static const char t[] =
		"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";

	model_put(dir, "model-00003-of-00007.safetensors", t, strlen(t));
}

static void page(const char *dir)
{
	static const char t[] = "<html><body>You need access to this repository</body></html>";

	model_put(dir, "model-00003-of-00007.safetensors", t, strlen(t));
}

static void rank_gone(const char *dir)
{
	unlink(model_file(dir, "model1-mp2.safetensors").s);
}

static void rank_more(const char *dir)
{
	model_put(dir, "model3-mp4.safetensors", "x", 1);
}

/* A matrix of experts in a rank's file: payload bytes in its file, by its header. */
static uint8_t *laid_out(const char *dir, struct path *file, size_t *n, const char *tensor,
	uint64_t *from, uint64_t *to)
{
	uint8_t *b;
	uint64_t len = 0;
	json_t *h, *at;

	*file = model_file(dir, "rank-0-of-2/model-00003-of-00007.safetensors");
	b = file_get_all(file->s, n);
	memcpy(&len, b, 8);
	h = json_loadb((char *)b + 8, (size_t)len, 0, NULL);
	at = json_object_get(json_object_get(h, tensor), "data_offsets");
	*from = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 0));
	*to = 8 + len + (uint64_t)json_integer_value(json_array_get(at, 1));
	CHECK_IN(tensor, json_array_size(at) == 2 && *to <= *n);
	json_decref(h);
	return b;
}

/* Gate and up exchanged: the rows of w1 behind those of w3, for each of the four experts. */
static void gate_up(const char *dir)
{
	struct path file;
	uint64_t from, to, one, i;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.ffn.experts.w13.weight", &from, &to), *half;

	one = (to - from) / 4;
	half = malloc(one / 2);
	for (i = 0; i < 4; i++) {
		uint8_t *p = b + from + i * one;

		memcpy(half, p, one / 2);
		memcpy(p, p + one / 2, one / 2);
		memcpy(p + one / 2, half, one / 2);
	}
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(half);
	free(b);
}

/* Rows in the order of another run. */
static void rows_moved(const char *dir)
{
	struct path file;
	uint64_t from, to;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.ffn.experts.w2.weight", &from, &to);

	memmove(b + from, b + from + 256, (size_t)(to - from) - 256);
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(b);
}

/* A part of a dense matrix that is on every rank is another one on this. */
static void part_wrong(const char *dir)
{
	struct path file;
	uint64_t from, to;
	size_t n;
	uint8_t *b = laid_out(dir, &file, &n, "layers.1.attn.wo_b.weight", &from, &to);

	memset(b + from, 0x11, 128);
	unlink(file.s);
	file_put_all(file.s, b, n);
	free(b);
}

/* --- the cases --- */

#define DOCTOR NULL
#define PLAN "plan --target trtllm-mxfp4 --experts-by tp --ranks 16"
#define PLAN32 "plan --target megamoe --experts-by tp --ranks 32"
#define PLAN_A "plan --target trtllm-mxfp4 --attention tp --ranks 16"
#define CHECK_VERB "check"

/* clang-format off */
static const struct row {
	unsigned n;
	enum base base;
	void (*change)(struct ck *c);
	void (*after)(const char *dir);
	const char *verb; /* NULL: doctor; "check"; else arguments of dsv4-convert */
	const char *engine;
	const char *rule;
} rows[] = {
	{ 1,  BASE,   scales_as_numbers,      NULL, DOCTOR, NULL,     "data.scale-number" },
	{ 2,  GOLD,   experts_named_fp8,      NULL, DOCTOR, NULL,     "model.packed" },
	{ 3,  GOLD,   experts_by_byte,        NULL, DOCTOR, NULL,     "model.packed" },
	{ 4,  CAST,   no_expert_dtype,        NULL, DOCTOR, "vllm",   "engine.default" },
	{ 5,  CAST,   NULL,                   NULL, DOCTOR, "sglang", "engine.setting" },
	{ 6,  GOLD,   no_expert_dtype,        NULL, DOCTOR, NULL,     "config.expert-dtype-missing" },
	{ 8,  GOLD,   scale_gone,             NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 9,  GOLD,   attention_left_out,     NULL, DOCTOR, NULL,     "config.quant-excluded" },
	{ 10, GOLD,   quant_stale,            NULL, DOCTOR, NULL,     "config.quant" },
	{ 11, SETS,   NULL,                gate_up, CHECK_VERB, NULL, "check.chunk" },
	{ 12, SHAPED, nibbles_split,          NULL, DOCTOR, NULL,     "suspect.nibble-order" },
	{ 13, SHAPED, nibbles_exchanged,      NULL, DOCTOR, NULL,     "suspect.nibble-order" },
	{ 13, SHAPED, sixteen_gone,           NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 14, GOLD,   fp32_as_bf16,           NULL, DOCTOR, NULL,     "model.dtype" },
	{ 15, GOLD,   ids_as_bf16,            NULL, DOCTOR, NULL,     "model.dtype" },
	{ 16, GOLD,   through_bf16,           NULL, DOCTOR, NULL,     "suspect.narrowed" },
	{ 17, BASE,   draft_head_gone,        NULL, DOCTOR, NULL,     "model.missing" },
	{ 18, GOLD,   draft_experts_gone,     NULL, DOCTOR, NULL,     "model.missing" },
	{ 19, GOLD,   draft_anew,             NULL, DOCTOR, NULL,     "suspect.constant" },
	{ 20, GOLD,   draft_in_fp8,           NULL, DOCTOR, NULL,     "model.mixed" },
	{ 21, GOLD,   draft_projections_gone, NULL, DOCTOR, NULL,     "model.missing" },
	{ 22, GOLD,   no_draft_said,          NULL, DOCTOR, NULL,     "config.stages" },
	{ 23, GOLD,   other_names,            NULL, DOCTOR, NULL,     "model.dialect" },
	{ 24, GOLD,   scales_of_nvfp4,        NULL, DOCTOR, NULL,     "model.scale-form" },
	{ 25, GOLD,   scales_gone,            NULL, DOCTOR, NULL,     "model.scale-missing" },
	{ 26, SETS,   NULL,             rows_moved, CHECK_VERB, NULL, "check.chunk" },
	{ 27, GOLD_PRO, NULL,                 NULL, PLAN,   NULL,     "plan.split" },
	{ 28, GOLD_PRO, NULL,                 NULL, PLAN32, NULL,     "plan.split" },
	{ 29, GOLD_PRO, NULL,                 NULL, PLAN_A, NULL,     "plan.split" },
	{ 30, RANKS,  sinks_whole,            NULL, DOCTOR, NULL,     "rank.shape" },
	{ 32, SETS,   NULL,             part_wrong, CHECK_VERB, NULL, "check.chunk" },
	{ 33, RANKS,  experts_twice,          NULL, DOCTOR, NULL,     "rank.expert-twice" },
	{ 34, RANKS,  NULL,              rank_gone, DOCTOR, NULL,     "rank.missing" },
	{ 34, RANKS,  NULL,              rank_more, DOCTOR, NULL,     "rank.mixed" },
	{ 35, GOLD,   NULL,                    cut, DOCTOR, NULL,     "st.truncated" },
	{ 35, GOLD,   NULL,                   hole, DOCTOR, NULL,     "data.zeros" },
	{ 36, GOLD,   NULL,             shard_gone, DOCTOR, NULL,     "index.shard-missing" },
	{ 37, GOLD,   not_in_shard,           NULL, DOCTOR, NULL,     "index.not-in-shard" },
	{ 38, GOLD,   NULL,                    cut, DOCTOR, NULL,     "st.truncated" },
	{ 39, GOLD,   NULL,              most_gone, DOCTOR, NULL,     "index.shard-missing" },
	{ 40, GOLD,   new_type,               NULL, DOCTOR, NULL,     "st.dtype-unknown" },
	{ 41, GOLD,   NULL,           header_zeros, DOCTOR, NULL,     "file.zeros" },
	{ 42, RANKS,  NULL,               cut_rank, DOCTOR, NULL,     "st.truncated" },
	{ 43, GOLD,   layers_gone,            NULL, DOCTOR, NULL,     "model.missing" },
	{ 51, GOLD,   draft_among_layers,     NULL, DOCTOR, NULL,     "index.draft-mixed" },
	{ 53, GOLD,   renamed_config,         NULL, DOCTOR, NULL,     "config.dialect" },
	{ 54, GOLD,   ratios_cut,             NULL, DOCTOR, NULL,     "config.stages" },
	{ 55, GOLD,   wo_a_in_bf16,           NULL, DOCTOR, NULL,     "model.dequantized" },

	{ 0,  GOLD,   tied,                   NULL, DOCTOR, NULL,     "config.tied" },
	{ 0,  GOLD,   heads_wrong,            NULL, DOCTOR, NULL,     "config.field-tensors" },
	{ 0,  GOLD,   hash_wrong,             NULL, DOCTOR, NULL,     "config.field-tensors" },
	{ 0,  GOLD,   norm_nan,               NULL, DOCTOR, NULL,     "data.not-finite" },
	{ 0,  GOLD,   scale_255,              NULL, DOCTOR, NULL,     "data.scale-nan" },
	{ 0,  GOLD,   scale_0,                NULL, DOCTOR, NULL,     "suspect.scale-zero" },
	{ 0,  GOLD,   scale_0,                NULL, DOCTOR, "marlin-mxfp4", "data.scale-range" },
	{ 0,  CAST,   NULL,                   NULL, DOCTOR, "marlin-mxfp4", "plan.engine-form" },
	{ 0,  GOLD,   code_nan,               NULL, DOCTOR, NULL,     "data.fp8-nan" },
	{ 0,  GOLD,   id_wrong,               NULL, DOCTOR, NULL,     "data.expert-id" },
	{ 0,  GOLD,   id_twice,               NULL, DOCTOR, NULL,     "suspect.expert-twice" },
	{ 0,  GOLD,   embed_zeros,            NULL, DOCTOR, NULL,     "suspect.zeros" },
	{ 0,  GOLD,   reciprocals,            NULL, DOCTOR, NULL,     "suspect.reciprocal" },
	{ 0,  GOLD,   folded,                 NULL, DOCTOR, NULL,     "suspect.scale-outlier" },
	{ 0,  GOLD,   far_apart,              NULL, DOCTOR, "official-fp8", "suspect.cast-spread" },
	{ 0,  GOLD,   NULL,                pointer, DOCTOR, NULL,     "file.pointer" },
	{ 0,  GOLD,   NULL,                   page, DOCTOR, NULL,     "file.page" },
	{ 0,  RANKS,  uneven,                 NULL, DOCTOR, NULL,     "rank.uneven" },
	{ 0,  CAST_E8M0, NULL,                NULL, DOCTOR, "vllm",   "engine.scales" },
	{ 0,  CAST_E8M0, NULL,                NULL, DOCTOR, "sglang", "engine.setting" },
	{ 0,  GOLD,   dense_in_f32,           NULL, DOCTOR, "vllm",   "engine.setting" },
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

/* The folder of a row. */
static struct path prepare(const struct row *w)
{
	const char *from = bases[w->base].s;
	struct path dir;
	char line[1200];
	struct ck *c;

	if (w->base == SETS) {
		dir = dirs_path("case");
		dirs_remove(dir.s);
		snprintf(line, sizeof line, "cp -r %.500s %.500s", from, dir.s);
		CHECK(!system(line));
	} else if (w->change) {
		c = ck_load(from);
		w->change(c);
		dir = ck_write(c, "case");
		ck_free(c);
	} else {
		dir = model_copy(from, "case");
	}
	if (w->after)
		w->after(dir.s);
	return dir;
}

/* dsv4-convert with these arguments names the rule and does nothing. */
static bool refused(const struct row *w, const char *dir)
{
	char line[8192], out[4096];
	const char *b = getenv("B");
	size_t n;
	FILE *f;

	snprintf(line, sizeof line, "%s/dsv4-convert %s %.500s -o %.500s 2>&1",
		b ? b : "build/gcc-opt", w->verb, dir, dirs_path("none").s);
	f = popen(line, "r");
	n = f ? fread(out, 1, sizeof out - 1, f) : 0;
	out[n] = 0;
	if (f && pclose(f) && strstr(out, w->rule))
		return true;
	fprintf(stderr, "%s: %s\n", line, out);
	return false;
}

static bool catches(const struct row *w)
{
	const struct report_finding *f;
	struct path dir = prepare(w);
	struct check_opts o = verify_opts();
	struct report r;
	int rc, want;
	bool ok;

	if (w->verb && strcmp(w->verb, CHECK_VERB) != 0)
		return refused(w, dir.s);
	rc = w->verb ? verify_check(&r, dir.s, &o) : ck_doctor(&r, dir.s, w->engine, NULL, false);
	f = verify_find(&r, w->rule, NULL);
	want = !f ? -1 : r.errors ? 1 : f->kind == ERR_NONE ? 0 : 2;
	ok = f && rc == want && f->cause && f->cause[0] && report_remedy(f)[0];
	if (!ok) {
		fprintf(stderr, "case %u, %s: status %d\n", w->n, w->rule, rc);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void cases(void)
{
	int i;

	make();
	for (i = 0; i < ROWS; i++)
		CHECK_IN(rows[i].rule, catches(&rows[i]));
}

/* --- nothing is found where nothing is wrong --- */

static bool sound(const char *dir, const char *engine, bool full)
{
	struct report r;
	int rc = ck_doctor(&r, dir, engine, NULL, full);
	bool ok = !rc && !r.n;

	if (!ok) {
		fprintf(stderr, "%s for %s:\n", dir, engine ? engine : "nobody");
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void healthy(void)
{
	static const char *const who[] = { NULL, "vllm", "sglang", "llama.cpp", "official",
		"official-fp8", "marlin-mxfp4", "megamoe" };
	struct path spark;
	struct ck *c;
	char line[700];
	size_t i;
	int b;

	make();
	for (b = 0; b < BASES; b++) {
		CHECK_IN(bases[b].s, sound(bases[b].s, NULL, false));
		CHECK_IN(bases[b].s, sound(bases[b].s, NULL, true));
	}
	for (i = 0; i < sizeof who / sizeof *who; i++) {
		CHECK(sound(FLASH, who[i], false));
		CHECK(sound(PRO, who[i], false));
	}
	/* FP8 experts: with F32 scales they are right for vLLM, dense scales of either type */
	CHECK(sound(bases[CAST].s, "vllm", false) && sound(bases[BASE].s, "vllm", false));
	c = ck_load(bases[BASE].s);
	dense_in_e8m0(c);
	CHECK(sound(ck_write(c, "mixed").s, "vllm", false));
	ck_free(c);
	spark = dirs_path("spark");
	snprintf(line, sizeof line, "%.500s --config tests/configs/small-spark.json", spark.s);
	CHECK(!model_tool("mkmodel", line));
	CHECK(sound(spark.s, NULL, true));
}

/* --- the page and the README say what is true --- */

static void pages(void)
{
	char line[400], want[64], rule[80];
	bool listed[57] = { false }, caught[57] = { false };
	unsigned n, all = 0, count = 0, wrong = 0;
	FILE *f = fopen("docs/cases.md", "r");
	size_t len;
	char *readme;
	int i;

	for (i = 0; i < ROWS; i++)
		caught[rows[i].n] = true;
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "| %u | ", &n) != 1 || n < 1 || n > 56 || listed[n])
			continue;
		listed[n] = true;
		all++;
		count += strstr(line, "| no |") == NULL;
		wrong += caught[n] != (strstr(line, "| no |") == NULL);
		for (i = 0; i < ROWS; i++) {
			snprintf(rule, sizeof rule, "`%s`", rows[i].rule);
			if (rows[i].n == n && !strstr(line, rule)) {
				fprintf(stderr, "docs/cases.md: case %u lacks %s\n", n, rule);
				wrong++;
			}
		}
	}
	if (f)
		fclose(f);
	CHECK(all == 56 && !wrong && count >= 45);
	snprintf(want, sizeof want, "%u of 56", count);
	readme = (char *)file_get_all("README.md", &len);
	readme[len] = 0;
	CHECK_IN(want, strstr(readme, want));
	free(readme);
	readme = (char *)file_get_all("docs/cases.md", &len);
	readme[len] = 0;
	CHECK_IN(want, strstr(readme, want));
	free(readme);
}

static const struct test tests[] = {
	{ "healthy", healthy },
	{ "cases", cases },
	{ "cases_page", pages },
	{ NULL, NULL },
};
TEST_MAIN(tests)
