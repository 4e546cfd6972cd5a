/* test_vllm.c -- --target vllm-sharded: every parameter of every rank has the name, type, shape and bytes that vLLM
 * itself loaded from the same checkpoint; the way back; refusals; files and documents that are not as they were made.
 *
 * tests/vectors/vllm_sharded.txt is what tests/oracle/vllm/state.py printed of vLLM 0.32.0.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/vllm_name.h"
#include "tests/set.h"
#include "tests/shell.h"
#include "tests/verify.h"

#define RANK0 "model-rank-0-part-0.safetensors"
#define RANK1 "model-rank-1-part-0.safetensors"

static struct path small, base, spark;

static void make(const char *config, const char *out, unsigned seed)
{
	char args[700];

	snprintf(args, sizeof args,
		"%s --config tests/configs/%s.json --set head_dim=512 --seed %u", out, config,
		seed);
	if (model_tool("mkmodel", args))
		exit(2);
}

/* Three models, made once. */
static void models(void)
{
	if (small.s[0])
		return;
	small = dirs_path("small");
	base = dirs_path("base");
	spark = dirs_path("spark");
	make("small4", small.s, 3);
	make("small-base", base.s, 4);
	make("small-spark", spark.s, 5);
}

/* The verb finds nothing (word NULL), or says word and ends with 1. */
static bool verify(const char *verb, const char *a, const char *b, const char *word)
{
	return ends(word ? 1 : 0, word, "dsv4-verify", "%s %s %s", verb, a, b);
}

/* --- what vLLM has loaded --- */

/* A line for each tensor in the files of one rank. */
static void list_rank(struct text *out, const char *dir, const char *how, unsigned rank)
{
	char name[64];
	json_t *doc, *t, *dim;
	size_t i, k;
	unsigned part;

	for (part = 0;; part++) {
		snprintf(name, sizeof name, "model-rank-%u-part-%u.safetensors" MAN_SIDECAR, rank,
			part);
		if (!is_file(model_file(dir, name).s))
			break;
		doc = load(dir, name);
		json_array_foreach(json_object_get(doc, "tensors"), i, t)
		{
			text_fmt(out, "%s %u %s %s ", how, rank,
				json_string_value(json_object_get(t, "name")),
				json_string_value(json_object_get(t, "dtype")));
			json_array_foreach(json_object_get(t, "shape"), k, dim)
				text_fmt(out, "%s%lld", k ? "," : "", json_integer_value(dim));
			text_fmt(out, " %s\n", json_string_value(json_object_get(t, "xxh3_128")));
		}
		json_decref(doc);
	}
}

static void hold_parameters(const char *model, const char *from, unsigned ranks, bool tp,
	uint64_t part)
{
	struct path out = dirs_path("out");
	struct job_opts o = set_opts(VLLM_TARGET, ranks, tp);
	struct text is = { 0 };
	char how[64], line[400];
	FILE *f = fopen("tests/vectors/vllm_sharded.txt", "r");
	unsigned r, want = 0, is_n = 0, bad = 0;
	const char *p;

	dirs_remove(out.s);
	o.plan.shard_size = part;
	snprintf(how, sizeof how, "%s %u %s", model, ranks, tp ? "tp" : "ep");
	CHECK_IN(how, f && set_makes(from, out.s, &o));
	for (r = 0; r < ranks; r++)
		list_rank(&is, out.s, how, r);
	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, how, strlen(how)) != 0)
			continue;
		want++;
		if (strstr(is.s ? is.s : "", line))
			continue;
		if (!bad++)
			fprintf(stderr, "vLLM has %s", line);
	}
	for (p = is.s; p && *p; p++)
		is_n += *p == '\n';
	CHECK_IN(how, want && want == is_n && !bad);
	if (f)
		fclose(f);
	text_free(&is);
}

static void parameters_of_vllm(void)
{
	models();
	hold_parameters("small4", small.s, 1, true, 0);
	hold_parameters("small4", small.s, 2, true, 0);
	hold_parameters("small4", small.s, 2, false, 0);
	hold_parameters("small-base", base.s, 2, true, 0);
	/* The same in many parts. */
	hold_parameters("small4", small.s, 2, true, 100000);
	CHECK(is_file(model_file(dirs_path("out").s, "model-rank-1-part-9.safetensors").s));
}

/* --- the way back, and on --- */

static void there_and_back(void)
{
	const struct {
		const char *from;
		unsigned ranks;
		bool tp;
	} row[] = { { small.s, 1, false }, { small.s, 2, true }, { small.s, 2, false },
		{ base.s, 2, true }, { base.s, 2, false }, { spark.s, 2, true }, { FLASH, 1, true },
		{ PRO, 1, false } };
	struct path out = dirs_path("out"), back = dirs_path("back"), on = dirs_path("on"),
		    want = dirs_path("want");
	struct job_opts o, b = set_back();
	size_t i;

	models();
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		dirs_remove(back.s);
		o = set_opts(VLLM_TARGET, row[i].ranks, row[i].tp);
		CHECK_IN(row[i].from, set_makes(row[i].from, out.s, &o));
		CHECK_IN(row[i].from, verify("check", out.s, "", NULL));
		CHECK_IN(row[i].from, verify("compare", row[i].from, out.s, NULL));
		CHECK_IN(row[i].from, verify("doctor", out.s, "", NULL));
		CHECK_IN(row[i].from, set_makes(out.s, back.s, &b));
		CHECK_IN(row[i].from, set_holds(back.s, row[i].from));
	}
	CHECK(ends(2, "--tokens is missing", "dsv4-verify", "logits %s %s", PRO, out.s));
	CHECK(verify("logits -t 1,2,3", PRO, out.s, NULL));
	/* Of two ranks one, without the download: what a run of the download makes. */
	dirs_remove(out.s);
	dirs_remove(on.s);
	dirs_remove(want.s);
	o = set_opts(VLLM_TARGET, 2, true);
	CHECK(set_makes(small.s, out.s, &o));
	o = set_opts(VLLM_TARGET, 1, false);
	CHECK(set_makes(small.s, want.s, &o));
	o.use = USE_RESHARD;
	CHECK(set_makes(out.s, on.s, &o));
	CHECK(same_files(model_file(on.s, RANK0).s, model_file(want.s, RANK0).s));
	CHECK(verify("check", on.s, "", NULL));
}

/* Without the way back the drafts are left out, and nobody misses them. */
static void without_drafts(void)
{
	struct path out = dirs_path("out");
	struct job_opts o = set_opts(VLLM_TARGET, 2, true);

	models();
	dirs_remove(out.s);
	o.plan.back = false;
	CHECK(set_makes(small.s, out.s, &o));
	CHECK(!is_file(model_file(out.s, VLLM_DRAFTS).s));
	CHECK(!is_file(model_file(out.s, "source").s));
	CHECK(verify("check", out.s, "", NULL));
	CHECK(verify("compare", small.s, out.s, NULL));
}

/* --- what cannot be had --- */

static void refusals(void)
{
	static const struct {
		const char *set;
		unsigned ranks;
		bool tp;
		const char *rule, *word;
	} row[] = {
		{ "num_attention_heads=8", 3, false, "plan.split", "legal are 1, 2" },
		{ "o_groups=1", 2, false, "plan.split", "8 heads in 1 groups, which 2 ranks" },
		{ "num_attention_heads=8", 4, true, "plan.split", "multiples of 128 x 256" },
		{ "vocab_size=500", 1, false, "plan.split", "round up to a multiple of 64" },
		{ "n_routed_experts=9", 2, false, "plan.split", "9 experts, which 2 ranks" },
		{ "moe_intermediate_size=320", 1, true, "plan.split", "an expert is 320 x 256" },
		{ "hidden_size=384", 1, true, "plan.split", "legal are none" },
	};
	struct path m = dirs_path("odd"), out = dirs_path("never");
	struct job_opts o;
	char args[1200];
	size_t i;

	models();
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(m.s);
		snprintf(args, sizeof args, "%s --config tests/configs/small4.json --set %s", m.s,
			row[i].set);
		CHECK_IN(row[i].set, !model_tool("mkmodel", args));
		o = set_opts(VLLM_TARGET, row[i].ranks, row[i].tp);
		CHECK_IN(row[i].set, set_refuses(m.s, out.s, &o, row[i].rule, row[i].word));
	}
	o = set_opts(VLLM_TARGET, 1, true);
	o.plan.experts = CODEC_FP8;
	CHECK(set_refuses(small.s, out.s, &o, "plan.engine-form", "--target hf --experts fp8"));
	/* A folder of hf --experts fp8 has F32 scales, which vLLM reads; with E8M0 it reads others. */
	o.plan.experts = CODEC_NONE;
	dirs_remove(m.s);
	snprintf(args, sizeof args, "run %s -o %s -t hf --experts fp8 -q", small.s, m.s);
	CHECK(!model_tool("dsv4-convert", args));
	dirs_remove(out.s);
	CHECK(set_makes(m.s, out.s, &o));
	CHECK(verify("compare", m.s, out.s, NULL));
	dirs_remove(m.s);
	dirs_remove(out.s);
	snprintf(args, sizeof args, "run %s -o %s -t hf --experts fp8 --scale-dtype e8m0 -q",
		small.s, m.s);
	CHECK(!model_tool("dsv4-convert", args));
	CHECK(set_refuses(m.s, out.s, &o, "plan.engine-form", "F32 scales beside FP8 experts"));
	CHECK(!is_file(out.s));
}

static void wrong_calls(void)
{
	static const char *const row[][2] = {
		{ "--pp 2", "is for one pipeline stage" },
		{ "--layers 1", "the engine loads the whole model" },
		{ "--attention replicate", "share attention" },
		{ "--placement tests/configs/small4.json", "--placement" },
		{ "--mp 2", "--mp belongs to" },
		{ "--scale-dtype f32", "plan.scale-dtype" },
	};
	char args[800];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(args, sizeof args, "plan " PRO " -o %s -t vllm-sharded %s",
			dirs_path("never").s, row[i][0]);
		CHECK_IN(row[i][0], shell("dsv4-convert", args) == 2);
		CHECK_IN(row[i][0], holds(err_file.s, row[i][1]));
	}
}

/* --- what is not as it was made --- */

/* Sidecars that say something else, sealed: compare and doctor do not take them. */
static void documents(void)
{
	static const struct {
		const char *file, *from, *to, *compare, *doctor;
	} row[] = {
		{ RANK0, "\"name\": \"model.layers.0.attn.wq_b.weight\"",
			"\"name\": \"model.layers.0.attn.wq_a.weight\"", "check.header",
			"check.header" },
		{ RANK1, "\"transform\": \"i64-to-i32\"", "\"transform\": \"copy\"",
			"its transform is not the one", "set.form" },
		{ RANK1, "\"transform\": \"rows\"", "\"transform\": \"copy\"",
			"its transform is not the one", "set.form" },
		{ RANK1, ".ffn.experts.0.w1.scale\"", ".ffn.experts.0.w3.scale\"",
			"sources are not in order", "sources are not in order" },
		{ RANK1, ".ffn.experts.3.w2.scale\"", ".ffn.experts.4.w2.scale\"",
			"sources are not in order", "sources are not in order" },
		{ RANK0, ".attn.wkv.scale\"", ".attn.wq_a.scale\"", "sources are not in order",
			"set.form" },
		{ RANK0, "layers.0.attn.q_norm.weight\", \"xxh",
			"layers.0.attn_norm.weight\", \"xxh", "none of this parameter's",
			"set.form" },
		{ RANK1, "\"name\": \"" RANK1, "\"name\": \"" RANK0, "set.form", "set.form" },
		{ VLLM_DRAFTS, "\"transform\": \"copy\"", "\"transform\": \"rows\"",
			"no copy of a tensor", "no copy of a tensor" },
	};
	struct path good = dirs_path("good"), bad;
	struct job_opts o = set_opts(VLLM_TARGET, 2, true);
	size_t i;

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		bad = dirs_copy("bad", good.s);
		verify_edit(bad.s, row[i].file, row[i].from, row[i].to);
		CHECK_IN(row[i].from, verify("compare", small.s, bad.s, row[i].compare));
		CHECK_IN(row[i].from, verify("doctor", bad.s, "", row[i].doctor));
	}
}

static void parts_of_others(void)
{
	static const struct {
		bool tp;
		const char *from, *to, *word;
	} row[] = {
		/* Of rank 1 the range of rank 0. */
		{ true, "\"rows\": [256, 512]", "\"rows\": [0, 256]", "part of the rank" },
		{ true, "\"columns\": [256, 512]", "\"columns\": [0, 256]", "part of the rank" },
	};
	struct path good = dirs_path("good"), bad;
	struct job_opts o;
	size_t i;

	models();
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(good.s);
		o = set_opts(VLLM_TARGET, 2, row[i].tp);
		CHECK(set_makes(small.s, good.s, &o));
		bad = dirs_copy("bad", good.s);
		verify_edit(bad.s, RANK1, row[i].from, row[i].to);
		CHECK_IN(row[i].from, verify("compare", small.s, bad.s, row[i].word));
	}
}

/* A rank lacks a part of which it is said nowhere: documents and files fit each other. */
static void part_left_out(void)
{
	static const char part[] = "model-rank-1-part-3.safetensors";
	struct path good = dirs_path("good"), bad;
	struct job_opts o = set_opts(VLLM_TARGET, 2, false);
	char line[400], *text;
	json_t *doc, *files, *f;
	size_t i;

	models();
	dirs_remove(good.s);
	o.plan.shard_size = 100000;
	CHECK(set_makes(small.s, good.s, &o));
	bad = dirs_copy("bad", good.s);
	doc = load(bad.s, MAN_NAME);
	files = json_object_get(doc, "files");
	json_array_foreach(files, i,
		f) if (!strcmp(json_string_value(json_object_get(f, "name")), part)) break;
	CHECK(!json_array_remove(files, i));
	json_object_del(doc, "xxh3_128");
	text = json_dumps(doc, JSON_INDENT(1) | JSON_SORT_KEYS);
	text[strlen(text) - 2] = 0; /* open again, for the seal */
	model_put(bad.s, MAN_NAME, text, strlen(text));
	free(text);
	json_decref(doc);
	verify_seal(bad.s);
	snprintf(line, sizeof line, "%s" MAN_SIDECAR, part);
	unlink(model_file(bad.s, line).s);
	unlink(model_file(bad.s, part).s);
	CHECK(verify("compare", small.s, bad.s, "rank 1 has"));
	CHECK(verify("doctor", bad.s, "", "rank.uneven"));
}

/* What lies beside the weights: the config.json that vLLM reads, and weights that nobody has made here, which it would
 * take for a part of a rank. An engine for which the folder is not laid out. */
static void beside(void)
{
	struct path good = dirs_path("good"), bad;
	struct job_opts o = set_opts(VLLM_TARGET, 2, true);

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	CHECK(verify("doctor", good.s, "--for vllm", NULL));
	CHECK(verify("doctor", good.s, "--for sglang", "engine.form"));
	CHECK(verify("doctor", good.s, "--for marlin-mxfp4", "engine.form"));
	bad = dirs_copy("bad", good.s);
	verify_exchange(model_file(bad.s, "config.json").s, "num_hidden_layers",
		"num_hidden_lavers");
	CHECK(verify("doctor", bad.s, "", "check.sha256"));
	CHECK(verify("logits --tokens 1,2", small.s, bad.s, "check.sha256"));
	CHECK(!unlink(model_file(bad.s, "config.json").s));
	CHECK(verify("doctor", bad.s, "", "check.missing"));
	CHECK(verify("logits --tokens 1,2", small.s, bad.s, "check.missing"));
	bad = dirs_copy("bad", good.s);
	CHECK(!link(model_file(good.s, RANK0).s,
		model_file(bad.s, "model-rank-0-part-9.safetensors").s));
	CHECK(verify("doctor", bad.s, "", "check.extra"));
	CHECK(verify("compare", small.s, bad.s, "check.extra"));
	CHECK(verify("logits --tokens 1,2", small.s, bad.s, "check.extra"));
}

/* Files that were cut, exchanged, or are gone. */
static void files(void)
{
	struct path good = dirs_path("good"), bad;
	struct job_opts o = set_opts(VLLM_TARGET, 2, true), b = set_back();
	struct path back = dirs_path("back");
	uint8_t *p;
	size_t n;

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	bad = dirs_copy("bad", good.s);
	CHECK(!truncate(model_file(bad.s, RANK1).s, 4096 * 100));
	CHECK(verify("check", bad.s, "", "set.size"));
	CHECK(verify("check --rank 0", bad.s, "", NULL)); /* the other rank is as it was */
	CHECK(verify("check --rank 1", bad.s, "", "set.size"));
	bad = dirs_copy("bad", good.s);
	unlink(model_file(bad.s, RANK1).s);
	CHECK(verify("check", bad.s, "", "check.missing"));
	dirs_remove(back.s);
	CHECK(set_refuses(bad.s, back.s, &b, "check.missing", RANK1));
	/* Each rank has the other's file. */
	bad = dirs_copy("bad", good.s);
	CHECK(!rename(model_file(bad.s, RANK0).s, model_file(bad.s, "x").s));
	CHECK(!rename(model_file(bad.s, RANK1).s, model_file(bad.s, RANK0).s));
	CHECK(!rename(model_file(bad.s, "x").s, model_file(bad.s, RANK1).s));
	CHECK(verify("check", bad.s, "", "check.header"));
	/* One byte in the part of an expert: restore holds parts to their digests. */
	bad = dirs_copy("bad", good.s);
	p = file_get_all(model_file(bad.s, RANK1).s, &n);
	p[n / 2] ^= 1;
	model_put(bad.s, RANK1, p, n);
	free(p);
	CHECK(verify("check", bad.s, "", "check.chunk"));
	CHECK(verify("compare", small.s, bad.s, "compare.bytes"));
	dirs_remove(back.s);
	CHECK(set_refuses(bad.s, back.s, &b, "set.digest", ""));
}

static const struct test tests[] = { { "parameters_of_vllm", parameters_of_vllm },
	{ "there_and_back", there_and_back }, { "without_drafts", without_drafts },
	{ "refusals", refusals }, { "wrong_calls", wrong_calls }, { "documents", documents },
	{ "parts_of_others", parts_of_others }, { "part_left_out", part_left_out },
	{ "vllm: beside", beside }, { "files", files }, { 0 } };

int main(int argc, char **argv)
{
	return check_main(tests, argc, argv);
}
