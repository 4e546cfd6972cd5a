/* test_engram.c -- DeepSeek-V4.1: full-size headers from config.json alone, target hf there and back, every other verb refused with
 * what is not known, fields in both spellings, and damage and mixtures, each of which is named.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/poke.h"
#include "tests/v41.h"

#include "formats/model/family.h"
#include "formats/model/inventory.h"

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
	const char *m = v41_model();
	struct path out = dirs_path("out"), back = dirs_path("back");
	size_t i;

	CHECK(ends(0, "engram.embed.weight", "dsv4-convert", "inspect %s", m));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", m));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s --full", m));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s --for vllm", m));
	CHECK(ends(2, "engine.unknown", "dsv4-verify", "doctor %s --for transformers", m));
	CHECK(ends(0, "engine.setting", "dsv4-verify", "doctor %s --for mlx", m));
	CHECK(!holds(out_file.s, "engine.field"));
	CHECK(ends(2, "engine.unknown", "dsv4-verify", "doctor %s --for marlin-mxfp4", m));
	for (i = 0; i < sizeof options / sizeof *options; i++) {
		dirs_remove(out.s);
		dirs_remove(back.s);
		CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s --target hf -q %s", m, out.s,
			options[i]));
		CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
		CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
		CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, out.s));
		CHECK(ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", out.s, back.s));
		CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, back.s));
	}
	/* a byte of a table that is another is found by both */
	poke(out.s, "layers.1.engram.embed", ".weight", 700, "\x55", 1);
	CHECK(ends(1, "check: false", "dsv4-verify", "check %s", out.s));
	CHECK(ends(1, "compare: false", "dsv4-verify", "compare %s %s", m, out.s));
}

static void put_list(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CHECK(f && fputs(text, f) >= 0);
	CHECK(f && !fclose(f));
}

/* Drafts have a number of experts of their own, which every split of experts minds. */
static void for_engines(void)
{
	static const char all[] = "[[0,1,2,3,4,5],[6,7,8,9,10,11]]";
	const char *m = v41_model();
	struct path out = dirs_path("out"), two = dirs_path("two"), list = dirs_path("list");
	char text[400];

	dirs_remove(out.s);
	dirs_remove(two.s);
	CHECK(ends(2, "4 experts in a draft", "dsv4-convert",
		"plan %s -o %s --target marlin-mxfp4 --ranks 3", m, out.s));
	CHECK(ends(2, "legal for marlin-mxfp4 are 1, 2, 4", "dsv4-convert",
		"run %s -o %s --target marlin-mxfp4 --ranks 6", m, out.s));
	CHECK(ends(2, "plan.split", "dsv4-convert", "run %s -o %s --target aiter-mxfp4 --ranks 2",
		m, out.s));
	snprintf(text, sizeof text, "{\"*\": %s}", all);
	put_list(list.s, text);
	CHECK(ends(2, "name the block", "dsv4-convert",
		"run %s -o %s --target marlin-mxfp4 --ranks 2 --placement %s", m, out.s, list.s));
	snprintf(text, sizeof text,
		"{\"*\": %s, \"mtp.0\": [[0,4],[1,2,3]], \"mtp.1\": [[0],[1,2,3]]}", all);
	put_list(list.s, text);
	CHECK(ends(2, "no expert's", "dsv4-convert",
		"run %s -o %s --target marlin-mxfp4 --ranks 2 --placement %s", m, out.s, list.s));
	CHECK(!is_file(out.s));
	snprintf(text, sizeof text,
		"{\"*\": %s, \"mtp.0\": [[0,3],[1,2,3]], \"mtp.1\": [[0],[1,2,3]]}", all);
	put_list(list.s, text);
	CHECK(ends(0, NULL, "dsv4-convert",
		"run %s -o %s --target marlin-mxfp4 --ranks 2 --placement %s -q", m, out.s,
		list.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
	CHECK(ends(2, "family.gap", "dsv4-verify", "logits %s %s --tokens 1,2", m, out.s));
	CHECK(ends(0, NULL, "dsv4-convert", "reshard %s -o %s --ranks 4 -q", out.s, two.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, two.s));
}

/* Routed experts in NVFP4, drafts included: in every other tensor no byte changes. */
static void nvfp4(void)
{
	const char *m = v41_model();
	struct path out = dirs_path("out"), back = dirs_path("back"), none = dirs_path("none");

	dirs_remove(out.s);
	dirs_remove(back.s);
	CHECK(ends(0, "614,400 of 614,400 exact", "dsv4-quant",
		"run %s -o %s --to nvfp4 --input-scale 0.5", m, out.s));
	CHECK(holds(model_file(out.s, "config.json").s, "\"*.engram.*\"") &&
		holds(model_file(out.s, "config.json").s, "\"expert_dtype\": \"fp4\""));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
	CHECK(ends(0, NULL, "dsv4-quant", "restore %s -o %s -q", out.s, back.s));
	CHECK(ends(0, "diff: true", "dsv4-verify", "diff %s %s", m, back.s));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
	CHECK(ends(2, "family.gap", "dsv4-verify", "logits %s %s --tokens 1,2", m, out.s));
	CHECK(ends(2, "plan.input-scale", "dsv4-quant", "run %s -o %s --to nvfp4", m, none.s));
	poke(out.s, "mtp.1.ffn.experts.3.w2", ".weight_scale", 20, "\x55", 1);
	CHECK(ends(1, "compare: false", "dsv4-verify", "compare %s %s", m, out.s));
}

/* Of V4.1-Flash: scales of routed experts, each of which is of 32 columns and so of two blocks of NVFP4. */
static void blocks_of_full_size(void)
{
	json_t *o = json_load_file("tests/configs/v41-flash.json", 0, NULL);
	char *s = json_dumps(o, 0);
	uint64_t n[2] = { 0, 0 };
	struct inventory v = { 0 };
	struct config_doc d = { 0 };
	struct config c;
	struct err e = { 0 };
	size_t i;

	CHECK(!config_doc_parse(&d, s, strlen(s), &e) && !config_read(&c, &d, &e) &&
		!inventory_make(&v, &c, (struct model_forms){ CODEC_FP8_32, CODEC_MXFP4 }, &e));
	for (i = 0; i < v.n; i++)
		if (v.wants[i].scale && v.wants[i].expert >= 0)
			n[v.wants[i].stage >= 0] += v.wants[i].bytes;
	CHECK(n[0] == 16986931200u && n[1] == 424673280u);
	inventory_free(&v);
	config_free(&c);
	config_doc_free(&d);
	free(s);
	json_decref(o);
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
		{ "dsv4-quant", "run @M -o @O --to ct-mxfp4" },
		{ "dsv4-quant", "run @M -o @O --to w8a8-fp8" },
		{ "dsv4-quant", "run @M -o @O --to mlx" },
		{ "dsv4-quant", "run @M -o @O --to mlx --stack" },
		{ "dsv4-quant", "run @C -o @O --to gguf" },
		{ "dsv4-quant", "run @M -o @O --to ds4-q2" },
		{ "dsv4-quant", "plan @M -o @O --to gguf --budget 1G --score none" },
		{ "dsv4-quant", "score @M -o @O" },
		{ "dsv4-quant", "imatrix @M -o @O --tokens 1,2" },
		{ "dsv4-verify", "logits @M @C --tokens 1,2" },
		{ "dsv4-verify", "record @M --tokens 1,2 -o @O" },
	};
	struct path to = dirs_path("none"), c = dirs_path("hf");
	const char *m = v41_model(), *s;
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

/* One name of ModelOpt's in published experts: doctor judges it as NVFP4, and says that the matrix is none. */
static void others_form(void)
{
	struct ck *c = ck_load(v41_model());
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
	CHECK(ends(1, "form.matrix", "dsv4-verify", "doctor %s", p.s));
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

/* One table twice, in the place of the other too. */
static void table_twice(struct ck *c)
{
	struct ck_tensor *a = ck_get(c, "layers.1.engram.embed.weight"),
			 *b = ck_get(c, "layers.3.engram.embed.weight");

	ck_retype(b, "F8_E4M3", a->dim[0], a->dim[1], a->n);
}

static void widened_table(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.engram.embed.weight");

	ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
}

/* All dense scales in F32, which no form of V4.1 has; their blocks are the right ones. */
static void scales_of_f32(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".attn.", ".scale"));)
		ck_retype(t, "F32", t->dim[0], t->dim[1], 4 * t->n);
}

/* The router of a stage that lost rows, while all experts are there. */
static void cut_router(struct ck *c)
{
	half_rows(c, "mtp.0.ffn.gate.weight", "BF16");
}

/* Of every dense weight, as a tool writes them that takes V4's blocks for all there are. */
static void all_scales_of_128(struct ck *c)
{
	struct ck_tensor *t, *w;
	char name[128];
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		snprintf(name, sizeof name, "%.*s.weight", (int)strlen(t->name) - 6, t->name);
		w = ck_get(c, name);
		if (strcmp(w->type, "F8_E4M3") || strstr(name, "engram.embed"))
			continue;
		ck_retype(t, "F8_E8M0", (w->dim[0] + 127) / 128, (w->dim[1] + 127) / 128,
			(size_t)(((w->dim[0] + 127) / 128) * ((w->dim[1] + 127) / 128)));
	}
}

static void no_biases(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".gate.bias_vl", NULL));)
		t->gone = true;
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

static void other_sources(struct ck *c)
{
	text(c, "kv_source_layer_ids", json_pack("[i]", 2));
	text(c, "index_source_layer_ids", json_pack("[i,i]", 2, 4));
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

static void no_candidates(struct ck *c)
{
	text(c, "candidate_source_layer_id", json_integer(6));
}

static void no_entries(struct ck *c)
{
	text(c, "index_topk", json_integer(0));
}

static void beyond_the_vocabulary(struct ck *c)
{
	text(c, "engram_pad_token_id", json_integer(512));
}

static void more_than_the_vocabulary(struct ck *c)
{
	text(c, "engram_compressed_vocab_size", json_integer(513));
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
		const char *rule, *says;
		int status;
	} row[] = {
		{ "table cut", cut_table, "model.shape", "it was cut", 1 },
		{ "tables swapped", swapped, "model.shape", "in each other's place", 1 },
		{ "a table twice", table_twice, "model.shape", "a table of that layer stands", 1 },
		{ "a table as BF16", widened_table, "model.dequantized", "BF16", 1 },
		{ "scales of F32", scales_of_f32, "model.scale-form", "are F32, where F8_E8M0", 1 },
		{ "a router of drafts cut", cut_router, "model.shape", "mtp.0.ffn.gate.weight", 1 },
		{ "scales of 128", scales_of_128, "model.scale-form", "layers.0.attn.wq_b.scale",
			1 },
		{ "all scales of 128", all_scales_of_128, "model.mixture", "", 1 },
		{ "no bias_vl", no_bias, "model.missing", "1 of 8 routers", 1 },
		{ "no bias_vl at all", no_biases, "model.missing", "8 of 8 routers", 1 },
		{ "drafts with more experts", many_experts, "config.drafter", "have 4 experts", 1 },
		{ "an unknown name", unknown_name, "model.unexpected", "q_norm", 1 },
		{ "rows against the primes", other_rows, "config.field-range", "primes", 1 },
		{ "blocks of 128", blocks_of_128, "config.quant", "[32, 32]", 1 },
		{ "a gate that is not there", gate_on_all, "model.missing", "wgate", 1 },
		{ "two numbers of layers", said_twice, "config.field-range", "twice", 1 },
		{ "candidates of no layer", no_candidates, "config.field-range", "candidate_source",
			1 },
		{ "no entries", no_entries, "config.field-range", "index_topk", 1 },
		{ "padding that is no token", beyond_the_vocabulary, "config.field-range",
			"engram_pad_token_id", 1 },
		{ "more tokens than there are", more_than_the_vocabulary, "config.field-range",
			"engram_compressed_vocab_size", 1 },
		{ "config of V4", called_v4, "kind.v41", "", 2 },
		{ "a later model", called_next, "kind.v41", "", 2 },
	};
	struct path p;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = ck_changed(v41_model(), row[i].change, "damaged");
		CHECK_IN(row[i].name,
			ends(row[i].status, row[i].rule, "dsv4-convert", "inspect %s", p.s));
		CHECK_IN(row[i].name, !holds(out_file.s, "remove") && !holds(err_file.s, "remove"));
		CHECK_IN(row[i].name,
			ends(row[i].status, row[i].rule, "dsv4-verify", "doctor %s", p.s));
		CHECK_IN(row[i].name, !holds(out_file.s, "remove") && !holds(err_file.s, "remove"));
		CHECK_IN(row[i].name,
			!row[i].says[0] || holds(out_file.s, row[i].says) ||
				holds(err_file.s, row[i].says));
		CHECK_IN(row[i].name,
			ends(row[i].status, NULL, "dsv4-convert", "run %s -o %s --target hf", p.s,
				dirs_path("none").s));
	}
}

/* Members that are null say what members that are missing say. */
static void nothing_said(struct ck *c)
{
	text(c, "candidate_source_layer_id", json_null());
	text(c, "engram_pad_token_id", json_null());
	text(c, "engram_compressed_vocab_size", json_null());
}

static void unsaid(void)
{
	struct path p = ck_changed(v41_model(), nothing_said, "unsaid");

	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", p.s));
}

/* A field of config.json that the tensors know better is written right, where the file has it. */
static void corrected(void)
{
	static const struct {
		const char *name;
		void (*change)(struct ck *c);
		const char *says;
	} row[] = {
		{ "sources", other_sources, "\"kv_source_layer_ids\": [2, 4]" },
		{ "blocks", blocks_of_128, "\"weight_block_size\": [32, 32]" },
		{ "experts of drafts", many_experts, "\"dspark_n_routed_experts\": 4" },
	};
	struct path p, fixed = dirs_path("fixed.json");
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = ck_changed(v41_model(), row[i].change, "damaged");
		unlink(fixed.s);
		CHECK_IN(row[i].name,
			ends(1, "config.", "dsv4-verify", "doctor %s --fix-config %s", p.s,
				fixed.s));
		CHECK_IN(row[i].name, holds(fixed.s, row[i].says));
		CHECK_IN(row[i].name, !rename(fixed.s, model_file(p.s, "config.json").s));
		CHECK_IN(row[i].name, ends(0, "doctor: true", "dsv4-verify", "doctor %s", p.s));
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

static void experts_twice(struct ck *c)
{
	ck_config(c, "expert_dtype", "\"fp4\"");
}

static void quantization_twice(struct ck *c)
{
	text(c, "quantization_config",
		json_deep_copy(json_object_get(c->config, "quantization_config")));
}

static void quantization_of_text(struct ck *c)
{
	quantization_twice(c);
	ck_config(c, "quantization_config", NULL);
}

/* What a conversion changes in config.json it changes wherever the file says it: one that contradicts itself is no model's. */
static void said_again(void)
{
	static void (*const change[])(struct ck * c) = { experts_twice, quantization_twice,
		quantization_of_text };
	static const char *const made[][2] = {
		{ "dsv4-convert", "--target hf --experts fp8" },
		{ "dsv4-quant", "--to fp8" },
		{ "dsv4-quant", "--to bf16" },
		{ "dsv4-quant", "--to mxfp8" },
		{ "dsv4-quant", "--to nvfp4 --input-scale 0.5" },
		{ "dsv4-quant", "--to mlx-packed" },
	};
	struct path p, out = dirs_path("again");
	size_t i, k;

	for (i = 0; i < sizeof change / sizeof *change; i++) {
		p = ck_changed(v41_model(), change[i], "damaged");
		CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", p.s));
		for (k = 0; k < sizeof made / sizeof *made; k++) {
			dirs_remove(out.s);
			CHECK_IN(made[k][1],
				ends(0, NULL, made[k][0], "run %s -o %s -q %s", p.s, out.s,
					made[k][1]));
			CHECK_IN(made[k][1],
				ends(0, "compare: true", "dsv4-verify", "compare %s %s", p.s,
					out.s));
			CHECK_IN(made[k][1],
				ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
		}
	}
}

static const struct test tests[] = { { "v41: full size", full_size },
	{ "v41: there and back", there_and_back }, { "v41: engines", for_engines },
	{ "v41: nvfp4", nvfp4 }, { "v41: blocks", blocks_of_full_size },
	{ "v41: refused", refused }, { "v41: in the form of others", others_form },
	{ "v41: mixtures", mixtures }, { "v41: members that are null", unsaid },
	{ "v41: corrected", corrected }, { "v41: spellings", spellings },
	{ "v41: said again", said_again }, { NULL, NULL } };
TEST_MAIN(tests)
