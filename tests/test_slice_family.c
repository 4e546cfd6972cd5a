/* test_slice_family.c -- slices of DeepSeek-V4.1 and of V4 with vision: lists of layers, drafts and Engram tables stay consistent, and
 * what would not is refused by name.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"
#include "tests/forge.h"

static struct path model(const char *member)
{
	struct path p = dirs_path(member);
	char args[1800];

	if (!is_file(model_file(p.s, "config.json").s)) {
		snprintf(args, sizeof args, "%s --config tests/configs/small-%s.json --seed 5", p.s,
			member);
		CHECK_IN(member, !model_tool("mkmodel", args));
	}
	return p;
}

static json_t *config_of(const char *dir, const char *in)
{
	json_t *o = json_load_file(model_file(dir, "config.json").s, 0, NULL),
	       *t = json_incref(json_object_get(o, in));

	if (!t)
		return o;
	json_decref(o);
	return t;
}

/* What the object says of key, as JSON in *s; "": nothing. */
static const char *said(const json_t *o, const char *key, char s[200])
{
	const json_t *x = json_object_get(o, key);
	char *t = x ? json_dumps(x, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	snprintf(s, 200, "%s", t ? t : "");
	free(t);
	return s;
}

/* A slice is a sound model, has the bytes of its source, and says what it has. */
static void consistent(void)
{
	static const struct {
		const char *options;
		struct {
			const char *key, *value;
		} says[9];
	} row[] = {
		{ "",
			{ { "engram_num_embeddings", "[240,306]" },
				{ "num_nextn_predict_layers", "2" } } },
		{ "--layers 0-2 --experts 5",
			{ { "num_hidden_layers", "3" }, { "compress_ratios", "[0,0,2]" },
				{ "kv_source_layer_ids", "[2]" },
				{ "index_source_layer_ids", "[2]" },
				{ "candidate_source_layer_id", "-1" },
				{ "engram_layer_ids", "[1]" }, { "engram_num_embeddings", "[240]" },
				{ "n_routed_experts", "5" }, { "dspark_target_layer_ids", "" } } },
		/* 11 + 13 + 17 + 19, 23 + 29 + 31 + 37 */
		{ "--engram-vocab 10 --experts 3",
			{ { "engram_vocab_size", "10" }, { "engram_num_embeddings", "[60,120]" },
				{ "dspark_n_routed_experts", "3" }, { "n_routed_experts", "3" },
				{ "dspark_target_layer_ids", "[3,4,5]" } } },
		{ "--layers 0,2,4-5 --engram drop",
			{ { "kv_source_layer_ids", "[1,2]" },
				{ "index_source_layer_ids", "[1,2,3]" },
				{ "candidate_source_layer_id", "2" }, { "engram_layer_ids", "[]" },
				{ "compress_ratios", "[0,2,1,1]" },
				{ "num_nextn_predict_layers", "0" } } },
	};
	struct path m = model("v41"), out = dirs_path("slice");
	char s[200];
	size_t i, k;
	json_t *o;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q %s", m.s, out.s,
			row[i].options));
		CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, out.s));
		CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
		CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
		o = config_of(out.s, "text_config");
		for (k = 0; k < 9 && row[i].says[k].key; k++) {
			CHECK_IN(row[i].says[k].key,
				!strcmp(said(o, row[i].says[k].key, s), row[i].says[k].value));
		}
		json_decref(o);
	}
}

/* Row r of column k of the new table is row r of column k of the old one: worked out by hand, for the table of layer 3. */
static void rows_of_columns(void)
{
	static const unsigned was[] = { 71, 73, 79, 83 }, now[] = { 23, 29, 31, 37 };
	struct path m = model("v41"), out = dirs_path("rows");
	struct ck *a, *b;
	struct ck_tensor *x, *y;
	unsigned k, from = 0, to = 0, p;
	static const char *const part[] = { "layers.3.engram.embed.weight",
		"layers.3.engram.embed.scale" };
	static const size_t wide[] = { 64, 2 };

	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q --engram-vocab 10", m.s, out.s));
	a = ck_load(m.s);
	b = ck_load(out.s);
	for (p = 0; p < 2; p++) {
		x = ck_get(a, part[p]);
		y = ck_get(b, part[p]);
		CHECK(x && y && y->n == 120 * wide[p]);
		for (k = from = to = 0; x && y && k < 4; from += was[k], to += now[k], k++)
			CHECK_IN(part[p],
				!memcmp(y->p + to * wide[p], x->p + from * wide[p],
					now[k] * wide[p]));
	}
	ck_free(a);
	ck_free(b);
}

static void refused(void)
{
	static const struct {
		const char *member, *options, *says;
	} row[] = {
		{ "v41", "--layers 3", "layer 3 takes its keys from layer 2" },
		{ "v41", "--layers 5 --engram drop", "layer 5 takes its keys from layer 4" },
		{ "v41", "--layers 1-2", "layer 1 has an Engram table" },
		{ "v41", "--layers 0,2-3", "layer 3 has an Engram table" },
		{ "v41", "--layers 0,2-5,mtp --engram drop", NULL },
		{ "v41", "--layers 0-4,mtp", "the drafter under mtp. reads layer 5" },
		{ "v41", "--layers 0-5,mtp.0", "all or none can stay" },
		{ "v41", "--layers 0,2 --engram-vocab 10",
			"no layer that stays has an Engram table" },
		{ "v41", "--engram-vocab 51", "engram_vocab_size is 50, and no table gets larger" },
		{ "v41", "--engram-vocab 10 --engram drop",
			"no layer that stays has an Engram table" },
		{ "v41", "--experts 2", "a token goes to 3" },
		{ "v41", "--experts 13", "there are 12" },
		{ "v41", "--engram separate", "--engram" },
		{ "v41", "--engram-vocab 1", "--engram-vocab" },
		{ "vision", "--layers 0-1,mtp", "the drafter under mtp. reads layer 2" },
		{ "vision", "--engram-vocab 10", "no layer that stays has an Engram table" },
		{ "vision", "--engram drop", "names no layer with Engram" },
	};
	struct path out = dirs_path("never"), m;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		m = model(row[i].member);
		dirs_remove(out.s);
		CHECK_IN(row[i].options,
			ends(row[i].says ? 2 : 0, row[i].says, "dsv4-convert",
				"slice %s -o %s -q %s", m.s, out.s, row[i].options));
		CHECK_IN(row[i].options,
			is_file(model_file(out.s, "config.json").s) == !row[i].says);
	}
}

/* A drafter that wants more experts than would be left; a config.json in the other spelling. */
static void other_configs(void)
{
	struct path m = model("v41"), in = model_copy(m.s, "spelled"), out = dirs_path("out");
	json_t *o = json_load_file(model_file(in.s, "config.json").s, 0, NULL),
	       *t = json_object_get(o, "text_config"), *v;

	v = json_incref(json_object_get(t, "kv_source_layer_ids"));
	json_object_del(t, "kv_source_layer_ids");
	json_object_set_new(t, "kv_source_layers", v);
	json_object_set(o, "engram_layers", json_object_get(t, "engram_layer_ids"));
	json_object_set_new(t, "dspark_num_experts_per_tok", json_integer(4));
	unlink(model_file(in.s, "config.json").s);
	CHECK(!json_dump_file(o, model_file(in.s, "config.json").s, JSON_INDENT(2)));
	json_decref(o);
	CHECK(ends(2, "a draft of the stages under mtp. goes to 4", "dsv4-convert",
		"slice %s -o %s -q --experts 3", in.s, out.s));
	CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q --layers 0-2 --engram-vocab 7", in.s,
		out.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", in.s, out.s));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
	CHECK(holds(model_file(out.s, "config.json").s, "\"kv_source_layers\": [\n      2\n    ]"));
	CHECK(holds(model_file(out.s, "config.json").s, "\"engram_layers\": [\n    1\n  ]"));
}

/* Who changes a row, or the source, is found; a slice is a source like any other. */
static void held(void)
{
	struct path m = model("v41"), out = dirs_path("held"), hf = dirs_path("hf");
	struct ck *c;
	struct ck_tensor *t;

	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q --layers 0-3 --engram-vocab 10", m.s,
		out.s));
	CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s -q --target hf --engram separate", out.s,
		hf.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", out.s, hf.s));
	c = ck_load(m.s);
	t = ck_get(c, "layers.3.engram.embed.weight");
	CHECK(t);
	if (t) {
		c->dirty[t->shard] = true;
		t->p[(71 + 28) * 64] ^= 1; /* the last row of column 1 that stays */
	}
	CHECK(ends(1, "layers.3.engram.embed.weight", "dsv4-verify", "compare %s %s",
		ck_write(c, "other").s, out.s));
	ck_free(c);
	c = ck_load(m.s);
	t = ck_get(c, "layers.3.engram.embed.weight");
	if (t) {
		c->dirty[t->shard] = true;
		t->p[(71 + 29) * 64] ^= 1; /* the row behind it */
	}
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", ck_write(c, "behind").s,
		out.s));
	ck_free(c);
}

/* config.json of a slice, and the blocks that its manifest names, are what the source and its tensors say: no field of it is free. */
static void config_held(void)
{
	static const struct {
		const char *member, *options;
		bool in_manifest;
		const char *from, *to, *says;
	} row[] = {
		{ "v41", "--layers 0-3", false, "\"swiglu_limit\": 10.0", "\"swiglu_limit\": 1.0",
			"compare.file" },
		{ "v41", "--layers 0-3", false, "\"rope_theta\": 10000.0", "\"rope_theta\": 77.0",
			"compare.file" },
		{ "v41", "--layers 0-3", false, "\"eos_token_id\": 1", "\"eos_token_id\": 7",
			"compare.file" },
		{ "v41", "--layers 0-3", false, "\"engram_pad_token_id\": 2",
			"\"engram_pad_token_id\": 3", "compare.file" },
		{ "v41", "--layers 0-3", false, "\"num_experts_per_tok\": 3",
			"\"num_experts_per_tok\": 2", "compare.file" },
		{ "v41", "--engram-vocab 10", false, "\"engram_vocab_size\": 10",
			"\"engram_vocab_size\": 12", "compare.file" },
		{ "v41", "--engram-vocab 10", false, "\"engram_vocab_size\": 10",
			"\"engram_vocab_size\": 11", "compare.file" }, /* has the same primes */
		{ "v41", "--engram-vocab 10", true, "\"engram_vocab\": \"10\"",
			"\"engram_vocab\": \"11\"", "compare.file" },
		{ "v41", "--engram-vocab 10", true, "\"engram_vocab\": \"10\"",
			"\"engram_vocab\": \"whole\"", "compare.file" },
		{ "v41", "--experts 5", true, "\"experts_kept\": \"5\"",
			"\"experts_kept\": \"all\"", "compare.file" },
		{ "vision", "", true, "\"experts_kept\": \"all\"", "\"experts_kept\": \"3\"",
			"compare.file" },
		{ "v41", "--experts 5", false, "\"n_routed_experts\": 5", "\"n_routed_experts\": 6",
			"compare.file" },
		{ "v41", "--layers 0-3", false, "\"num_hidden_layers\": 4",
			"\"num_hidden_layers\": 3", "compare.file" },
		{ "vision", "--layers 0-1", false, "\"rms_norm_eps\"", "\"rms_norm_epS\"",
			"compare.file" },
		{ "vision", "--layers 0-1", false,
			"\"num_hash_layers\": ", "\"num_hash_layers\":  ", "compare.file" },
		{ "v41", "--layers 0-3", true, "\"layers\": \"0-3\"", "\"layers\": \"0-4\"",
			"compare.file" },
		{ "v41", "--layers 0-3", true, "\"layers\": \"0-3\"", "\"layers\": \"9-3\"",
			"compare.lost" },
		{ "vision", "--layers 0-1", true, "\"layers\": \"0-1\"", "\"layers\": \"0,2\"",
			"compare.lost" },
	};
	struct path m, out = dirs_path("forged");
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		m = model(row[i].member);
		dirs_remove(out.s);
		CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q %s", m.s, out.s,
			row[i].options));
		forge(out.s, row[i].in_manifest, row[i].from, row[i].to);
		CHECK_IN(row[i].to, ends(0, NULL, "dsv4-verify", "check %s", out.s));
		CHECK_IN(row[i].to,
			ends(1, row[i].says, "dsv4-verify", "compare %s %s", m.s, out.s));
	}
}

/* Manifests of older versions do not say how many experts stay and how tables were cut; what they say has to be a number. */
static void old_manifests(void)
{
	static const struct {
		const char *from, *to;
		int check;
	} row[] = {
		{ "\"experts_kept\": ", "\"experts_kepT\": ", 0 },
		{ "\"engram_vocab\": ", "\"engram_vocaB\": ", 0 },
		{ "\"experts_kept\": \"5\"", "\"experts_kept\": \"05\"", 1 },
		{ "\"engram_vocab\": \"10\"", "\"engram_vocab\": \"all\"", 1 },
	};
	struct path m = model("v41"), out = dirs_path("old");
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		CHECK(ends(0, NULL, "dsv4-convert",
			"slice %s -o %s -q --experts 5 --engram-vocab 10", m.s, out.s));
		forge(out.s, true, row[i].from, row[i].to);
		CHECK_IN(row[i].to, ends(row[i].check, NULL, "dsv4-verify", "check %s", out.s));
		CHECK_IN(row[i].to,
			ends(row[i].check, NULL, "dsv4-verify", "compare %s %s", m.s, out.s));
	}
}

/* A source that has another field is another source. */
static void config_of_other(void)
{
	struct path m = model("v41"), in = model_copy(m.s, "limit"), out = dirs_path("of");

	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s -q --layers 0-3", m.s, out.s));
	verify_exchange(model_file(in.s, "config.json").s, "\"swiglu_limit\": 10.0",
		"\"swiglu_limit\": 1.0");
	CHECK(ends(1, "compare.file", "dsv4-verify", "compare %s %s", in.s, out.s));
}

static const struct test tests[] = {
	{ "slice: V4.1 stays consistent", consistent },
	{ "slice: rows of columns", rows_of_columns },
	{ "slice: V4.1 and vision, refused", refused },
	{ "slice: other spellings", other_configs },
	{ "slice: held to the source", held },
	{ "slice: config.json held to the source", config_held },
	{ "slice: old manifests", old_manifests },
	{ "slice: config.json of another source", config_of_other },
	{ 0 },
};
TEST_MAIN(tests)
