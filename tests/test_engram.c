/* test_engram.c -- DeepSeek-V4.1: full-size headers from config.json alone, target hf there and back, every other verb refused with
 * what is not known, fields in both spellings, and damage and mixtures, each of which is named.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/poke.h"
#include "tests/shell.h"

#include "formats/model/family.h"

static const char *model(void)
{
	static struct path p;
	char args[900];

	p = dirs_path("v41");
	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json --seed 5", p.s);
	if (!is_file(p.s))
		CHECK(!model_tool("mkmodel", args));
	return p.s;
}

/* A file of zeros as large as the published one takes no room: sizes are sums over real headers. */
static void full_size(void)
{
	static const struct {
		const char *config, *says;
	} row[] = { { "v41-flash", "96,085 tensors in 45 shards, 510,286,023,000 bytes" },
		{ "vision-exp", "72,633 tensors in 48 shards" },
		{ "pro-dspark", "149,782 tensors in 66 shards, 892,727,580,904 bytes" } };
	struct path p = dirs_path("full");
	char args[900];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(p.s);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --sparse", p.s,
			row[i].config);
		CHECK_IN(row[i].config, !model_tool("mkmodel", args));
		CHECK_IN(row[i].config, ends(0, row[i].says, "dsv4-convert", "inspect %s", p.s));
		CHECK_IN(row[i].config,
			ends(0, NULL, "dsv4-convert", "plan %s -o %s --target hf", p.s,
				dirs_path("none").s));
	}
	dirs_remove(p.s);
}

static void there_and_back(void)
{
	static const char *const options[] = { "", "--shard-size 200000" };
	const char *m = model();
	struct path out = dirs_path("out"), back = dirs_path("back");
	size_t i;

	CHECK(ends(0, "engram.embed.weight", "dsv4-convert", "inspect %s", m));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", m));
	for (i = 0; i < sizeof options / sizeof *options; i++) {
		dirs_remove(out.s);
		dirs_remove(back.s);
		CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s --target hf -q %s", m, out.s,
			options[i]));
		CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
		CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, out.s));
		CHECK(ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", out.s, back.s));
		CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, back.s));
	}
	/* a byte of a table that is another is found by both */
	poke(out.s, "layers.1.engram.embed", ".weight", 700, "\x55", 1);
	CHECK(ends(1, "check: false", "dsv4-verify", "check %s", out.s));
	CHECK(ends(1, "compare: false", "dsv4-verify", "compare %s %s", m, out.s));
}

/* @M the model, @C a conversion of it with target hf. */
static void refused(void)
{
	static const struct {
		const char *tool, *call;
	} row[] = {
		{ "dsv4-convert", "run @M -o @O --target official" },
		{ "dsv4-convert", "run @M -o @O --target vllm-sharded" },
		{ "dsv4-convert",
			"run @M -o @O --target sglang-presharded --shard-config tests/vectors/sglang_small4-1-ep.json" },
		{ "dsv4-convert", "run @M -o @O --target marlin-mxfp4" },
		{ "dsv4-convert", "run @M -o @O --target hf --experts fp8" },
		{ "dsv4-convert", "plan @C -o @O --target trtllm-mxfp4" },
		{ "dsv4-convert", "reshard @C -o @O --target marlin-mxfp4" },
		{ "dsv4-convert", "slice @M -o @O --layers 0-3" },
		{ "dsv4-convert", "slice @C -o @O --layers 0-3" },
		{ "dsv4-quant", "run @M -o @O --to bf16" },
		{ "dsv4-quant", "run @C -o @O --to gguf" },
		{ "dsv4-verify", "doctor @M" },
		{ "dsv4-verify", "doctor @C" },
		{ "dsv4-verify", "logits @M @C --tokens 1,2" },
		{ "dsv4-verify", "record @M --tokens 1,2 -o @O" },
	};
	struct path to = dirs_path("none"), c = dirs_path("hf");
	const char *m = model(), *s;
	char call[1024];
	size_t i, n;

	dirs_remove(c.s);
	CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s --target hf -q", m, c.s));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		for (s = row[i].call, n = 0; *s && n < sizeof call - 300; s++)
			n += (size_t)(*s == '@' ? snprintf(call + n, 300, "%s",
							  *++s == 'M'         ? m
								  : *s == 'C' ? c.s
									      : to.s)
						: snprintf(call + n, 2, "%c", *s));
		CHECK_IN(row[i].call, ends(2, "family.gap", row[i].tool, "%s", call));
		CHECK_IN(row[i].call, !is_file(to.s));
	}
}

/* Experts as ModelOpt quantizes them: what doctor says of V4 in that form is not said of V4.1. */
static void others_form(void)
{
	struct ck *c = ck_load(model());
	struct ck_tensor *t = ck_get(c, "layers.0.ffn.experts.0.w1.scale");
	struct path p;

	snprintf(t->name, sizeof t->name, "layers.0.ffn.experts.0.w1.weight_scale_2");
	c->dirty[t->shard] = true;
	ck_config(c, "quantization_config",
		"{\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\"}");
	dirs_remove(dirs_path("modelopt").s);
	p = ck_write(c, "modelopt");
	ck_free(c);
	CHECK(ends(2, "kind.nvfp4", "dsv4-convert", "inspect %s", p.s));
	CHECK(ends(2, "family.gap", "dsv4-verify", "doctor %s", p.s));
}

/* --- damage --- */

static struct ck_tensor *half_rows(struct ck *c, const char *name, const char *type)
{
	struct ck_tensor *t = ck_get(c, name);

	ck_retype(t, type, t->dim[0] / 2, t->dim[1], (size_t)(t->dim[0] / 2) * t->n / t->dim[0]);
	return t;
}

static void cut_table(struct ck *c)
{
	half_rows(c, "layers.1.engram.embed.weight", "F8_E4M3");
}

/* The tables of both layers stand in each other's place: they have other numbers of rows. */
static void swapped(struct ck *c)
{
	struct ck_tensor *a = ck_get(c, "layers.1.engram.embed.weight"),
			 *b = ck_get(c, "layers.3.engram.embed.weight");
	char was[120];

	snprintf(was, sizeof was, "%s", a->name);
	snprintf(a->name, sizeof a->name, "%s", b->name);
	snprintf(b->name, sizeof b->name, "%s", was);
	c->dirty[a->shard] = c->dirty[b->shard] = true;
}

static void scales_of_128(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.0.attn.wq_b.scale");

	ck_retype(t, "F8_E8M0", 8, 1, 8);
}

static void no_bias(struct ck *c)
{
	ck_get(c, "layers.2.ffn.gate.bias_vl")->gone = true;
}

static void many_experts(struct ck *c)
{
	json_object_set_new(json_object_get(c->config, "text_config"), "dspark_n_routed_experts",
		json_integer(12));
	c->new_config = true;
}

static void unknown_name(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.attn.indexer.k_norm.weight");

	snprintf(t->name, sizeof t->name, "layers.2.attn.indexer.q_norm.weight");
	c->dirty[t->shard] = true;
}

static void text(struct ck *c, const char *key, json_t *v)
{
	json_object_set_new(json_object_get(c->config, "text_config"), key, v);
	c->new_config = true;
}

static void other_rows(struct ck *c)
{
	text(c, "engram_num_embeddings", json_pack("[i,i]", 200, 300));
}

static void blocks_of_128(struct ck *c)
{
	json_object_set_new(json_object_get(c->config, "quantization_config"), "weight_block_size",
		json_pack("[i,i]", 128, 128));
	c->new_config = true;
}

static void gate_on_all(struct ck *c)
{
	text(c, "compress_ratios", json_pack("[i,i,i,i,i,i,i,i]", 0, 0, 2, 2, 2, 1, 0, 0));
}

static void said_twice(struct ck *c)
{
	ck_config(c, "n_layers", "7");
}

static void called_v4(struct ck *c)
{
	ck_config(c, "model_type", "\"deepseek_v4\"");
}

static void called_next(struct ck *c)
{
	ck_config(c, "model_type", "\"deepseek_v41_next\"");
}

static void mixtures(void)
{
	static const struct {
		const char *name;
		void (*change)(struct ck *c);
		const char *rule;
		int status;
	} row[] = {
		{ "table cut", cut_table, "model.shape", 1 },
		{ "tables swapped", swapped, "model.shape", 1 },
		{ "scales of 128", scales_of_128, "model.scale-form", 1 },
		{ "no bias_vl", no_bias, "model.missing", 1 },
		{ "drafts with more experts", many_experts, "model.missing", 1 },
		{ "an unknown name", unknown_name, "model.unexpected", 1 },
		{ "rows against the primes", other_rows, "config.field-range", 1 },
		{ "blocks of 128", blocks_of_128, "config.quant", 1 },
		{ "a gate that is not there", gate_on_all, "model.missing", 1 },
		{ "two numbers of layers", said_twice, "config.field-range", 1 },
		{ "config of V4", called_v4, "kind.v41", 2 },
		{ "a later model", called_next, "kind.v41", 2 },
	};
	struct path p;
	struct ck *c;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		c = ck_load(model());
		row[i].change(c);
		dirs_remove(dirs_path("damaged").s);
		p = ck_write(c, "damaged");
		ck_free(c);
		CHECK_IN(row[i].name,
			ends(row[i].status, row[i].rule, "dsv4-convert", "inspect %s", p.s));
		CHECK_IN(row[i].name, !holds(out_file.s, "remove") && !holds(err_file.s, "remove"));
		CHECK_IN(row[i].name,
			ends(row[i].status, NULL, "dsv4-convert", "run %s -o %s --target hf", p.s,
				dirs_path("none").s));
	}
}

/* --- both spellings --- */

static bool reads(const char *s, struct config *c)
{
	struct config_doc d;
	struct err e = { 0 };
	bool ok = !config_doc_parse(&d, s, strlen(s), &e) && !config_read(c, &d, &e);

	if (!ok)
		fprintf(stderr, "%s\n", e.text);
	config_doc_free(&d);
	return ok;
}

/* The small model's config.json, flat and with the names of inference/config.json. */
static void spellings(void)
{
	static const char *const names[][2] = { { "num_hidden_layers", "n_layers" },
		{ "hidden_size", "dim" }, { "num_attention_heads", "n_heads" },
		{ "moe_intermediate_size", "moe_inter_dim" },
		{ "num_experts_per_tok", "n_activated_experts" },
		{ "num_nextn_predict_layers", "n_mtp_layers" },
		{ "kv_source_layer_ids", "kv_source_layers" },
		{ "index_source_layer_ids", "index_source_layers" },
		{ "engram_layer_ids", "engram_layers" },
		{ "dspark_target_layer_ids", "dspark_target_layers" } };
	json_t *o = json_load_file("tests/configs/small-v41.json", 0, NULL),
	       *t = json_object_get(o, "text_config");
	struct config a, b;
	char *nested = json_dumps(o, 0), *flat;
	size_t i;

	json_incref(t);
	json_object_del(o, "text_config");
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		json_object_set(t, names[i][1], json_object_get(t, names[i][0]));
		json_object_del(t, names[i][0]);
	}
	json_object_del(t, "model_type");
	json_object_update(o, t);
	flat = json_dumps(o, 0);
	CHECK(reads(nested, &a) && reads(flat, &b));
	for (i = 0; i < family_v41.n_fields; i++)
		CHECK_IN(family_v41.fields[i].key,
			!memcmp((char *)&a + family_v41.fields[i].at,
				(char *)&b + family_v41.fields[i].at, sizeof(uint64_t)));
	CHECK(a.stages == b.stages && a.family->dense == CODEC_FP8_32 && b.family == a.family);
	config_free(&a);
	config_free(&b);
	free(nested);
	free(flat);
	json_decref(t);
	json_decref(o);
}

static const struct test tests[] = { { "v41: full size", full_size },
	{ "v41: there and back", there_and_back }, { "v41: refused", refused },
	{ "v41: in the form of others", others_form }, { "v41: mixtures", mixtures },
	{ "v41: spellings", spellings }, { NULL, NULL } };
TEST_MAIN(tests)
