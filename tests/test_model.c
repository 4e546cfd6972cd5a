/* test_model.c -- config.json and the table of roles: the published totals, to the tensor and byte.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/family.h"
#include "formats/model/inventory.h"
#include "tests/dirs.h"

#include <fcntl.h>

static bool read_config(struct config *c, const char *name, struct err *e)
{
	struct config_doc d;
	char file[64];
	int dir = open("tests/configs", O_RDONLY | O_DIRECTORY), rc;

	snprintf(file, sizeof file, "%s.json", name);
	rc = config_doc_read(&d, io_posix(), dir, file, e) || config_read(c, &d, e);
	config_doc_free(&d);
	close(dir);
	return !rc;
}

static int parse_config(struct config *c, const char *s, size_t n, struct err *e)
{
	struct config_doc d;
	int rc;

	memset(c, 0, sizeof *c);
	rc = config_doc_parse(&d, s, n, e) || config_read(c, &d, e);
	config_doc_free(&d);
	return rc ? -1 : 0;
}

static struct model_forms forms_of(const struct config *c, enum codec dense)
{
	return (struct model_forms){ dense, c->experts == CODEC_FP8 ? dense : CODEC_MXFP4 };
}

/* Published by the model's authors, except where the text says computed. */
static void totals(void)
{
	static const struct {
		const char *config;
		enum codec scale;
		bool extra;
		uint64_t n, bytes;
	} row[] = {
		{ "flash", CODEC_FP8, false, 69187, 159609485896 },
		{ "pro", CODEC_FP8, false, 145116, 864704792696 },
		{ "flash-0731", CODEC_FP8, false, 72317, 166878536440 },
		{ "flash-base", CODEC_FP8_F32, true, 69189, 294673469000 },
		{ "flash-base", CODEC_FP8, false, 69187, 292502338120 }, /* recast; computed */
		{ "pro-dspark", CODEC_FP8, false, 149782, 892727580904 },
		{ "v41-flash", CODEC_FP8_32, false, 96085, 510286023000 },
		{ "vision-exp", CODEC_FP8, false, 72633,
			166878536440 + 932786176 + 49 * 256 * 4 }, /* 0731, what sees, biases */
	};
	struct config c;
	struct inventory v;
	uint64_t n, bytes;
	size_t i;
	struct err e = { 0 };

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		CHECK_IN(row[i].config, read_config(&c, row[i].config, &e));
		CHECK_IN(row[i].config, !inventory_make(&v, &c, forms_of(&c, row[i].scale), &e));
		inventory_sum(&v, row[i].extra, &n, &bytes);
		CHECK_IN(row[i].config, n == row[i].n && bytes == row[i].bytes);
		inventory_free(&v);
		config_free(&c);
	}
}

static bool is(const struct inventory *v, const char *name, enum dtype t, uint64_t rows,
	uint64_t cols, uint32_t place)
{
	const struct want *w = inventory_find(v, name);

	return w && w->dtype == t && w->dim[0] == rows && (w->rank == 1 || w->dim[1] == cols) &&
		w->rank == (cols ? 2 : 1) && w->place == place;
}

/* Some lines of the official table, one for each formula. */
static void shapes(void)
{
	struct config c;
	struct inventory v;
	const struct want *w;
	struct err e = { 0 };

	CHECK(read_config(&c, "pro", &e) && !inventory_make(&v, &c, forms_of(&c, CODEC_FP8), &e));
	CHECK(is(&v, "embed.weight", DT_BF16, 129280, 7168, 0));
	CHECK(is(&v, "hc_head_fn", DT_F32, 4, 28672, 62) &&
		is(&v, "hc_head_scale", DT_F32, 1, 0, 62));
	CHECK(is(&v, "layers.0.hc_attn_fn", DT_F32, 24, 28672, 1));
	CHECK(is(&v, "layers.7.attn.wq_b.weight", DT_F8_E4M3, 65536, 1536, 8));
	CHECK(is(&v, "layers.7.attn.wq_b.scale", DT_F8_E8M0, 512, 12, 8));
	CHECK(is(&v, "layers.60.attn.wo_a.weight", DT_F8_E4M3, 16384, 4096, 61));
	CHECK(is(&v, "layers.60.attn.wo_b.scale", DT_F8_E8M0, 56, 128, 61));
	CHECK(is(&v, "layers.2.attn.compressor.ape", DT_F32, 4, 1024, 3));
	CHECK(is(&v, "layers.3.attn.compressor.ape", DT_F32, 128, 512, 4));
	CHECK(is(&v, "layers.2.attn.indexer.compressor.wkv.weight", DT_BF16, 256, 7168, 3));
	CHECK(!inventory_find(&v, "layers.3.attn.indexer.wq_b.weight"));
	CHECK(is(&v, "layers.2.ffn.gate.tid2eid", DT_I64, 129280, 6, 3));
	CHECK(!inventory_find(&v, "layers.2.ffn.gate.bias") &&
		inventory_find(&v, "layers.3.ffn.gate.bias"));
	CHECK(is(&v, "layers.9.ffn.experts.383.w2.weight", DT_I8, 7168, 1536, 10));
	CHECK(is(&v, "layers.9.ffn.experts.383.w2.scale", DT_F8_E8M0, 7168, 96, 10));
	CHECK(is(&v, "mtp.0.e_proj.scale", DT_F8_E8M0, 56, 56, 63) &&
		!inventory_find(&v, "mtp.1.norm.weight"));
	w = inventory_find(&v, "mtp.0.head.weight");
	CHECK(w && w->optional && inventory_find(&v, "head.weight") &&
		!inventory_find(&v, "head.weight")->optional);
	CHECK(v.places == 64);
	inventory_free(&v);
	config_free(&c);
	CHECK(read_config(&c, "flash-0731", &e) &&
		!inventory_make(&v, &c, forms_of(&c, CODEC_FP8), &e));
	CHECK(is(&v, "mtp.0.main_proj.weight", DT_F8_E4M3, 4096, 12288, 45));
	CHECK(is(&v, "mtp.2.confidence_head.proj.weight", DT_BF16, 1, 4352, 47));
	CHECK(!inventory_find(&v, "mtp.1.norm.weight") &&
		!inventory_find(&v, "mtp.0.enorm.weight"));
	inventory_free(&v);
	config_free(&c);
}

static void formulas(void)
{
	static const struct {
		const char *s;
		bool ok;
		uint64_t d0, d1;
		int rank;
	} row[] = { { "D", true, 4096, 0, 1 }, { "hc*hc+2*hc,hc*D", true, 24, 16384, 2 },
		{ "G*R,H*hd/G", true, 8192, 4096, 2 }, { "ratio,lap*hd", true, 4, 1024, 2 },
		{ "nosuch", false, 0, 0, 0 }, { "D,", false, 0, 0, 0 }, { "", false, 0, 0, 0 },
		{ "D/3", false, 0, 0, 0 }, { "1,2,3,4", false, 0, 0, 0 }, { "D*", false, 0, 0, 0 },
		{ "99999999999999999999", false, 0, 0, 0 },
		{ "D+99999999999999999999", false, 0, 0, 0 } };
	struct config c;
	uint64_t dim[3];
	uint8_t rank;
	size_t i;
	struct err e = { 0 };

	CHECK(read_config(&c, "flash", &e));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		bool ok = inventory_shape(row[i].s, &c, 4, dim, &rank);

		CHECK_IN(row[i].s, ok == row[i].ok);
		if (ok && row[i].ok)
			CHECK_IN(row[i].s,
				rank == row[i].rank && dim[0] == row[i].d0 &&
					(rank < 2 || dim[1] == row[i].d1));
	}
	config_free(&c);
}

/* Every role of a family occurs in one of these models, with a formula that can be evaluated; names are unique. */
static void roles_used(void)
{
	static const struct {
		const struct family *family;
		const char *config[2];
	} row[] = { { &family_v4, { "flash", "vision-exp" } },
		{ &family_v41, { "v41-flash", "v41-flash" } } };
	struct config c;
	struct inventory v;
	size_t f, i, k;
	struct err e = { 0 };

	for (f = 0; f < sizeof row / sizeof *row; f++) {
		bool seen[FAMILY_ROLES_MAX] = { false };

		for (i = 0; i < 2; i++) {
			CHECK(read_config(&c, row[f].config[i], &e) && c.family == row[f].family &&
				!inventory_make(&v, &c, forms_of(&c, c.family->dense), &e));
			for (k = 0; k < v.n; k++) {
				seen[v.wants[k].nth] = true;
				CHECK(k == 0 || strcmp(v.wants[k - 1].name, v.wants[k].name) < 0);
			}
			inventory_free(&v);
			config_free(&c);
		}
		for (i = 0; i < row[f].family->n_roles; i++)
			CHECK_IN(row[f].family->roles[i].name, seen[i]);
	}
}

/* --- config.json --- */

/* The text of small4.json with from replaced by to. The caller frees. */
static char *patched(const char *from, const char *to)
{
	size_t n;
	char *s = (char *)file_get_all("tests/configs/small4.json", &n), *at, *r;

	s[n] = 0;
	at = strstr(s, from);
	CHECK_IN(from, at);
	r = malloc(n + strlen(to) + 1);
	sprintf(r, "%.*s%s%s", (int)(at - s), s, to, at + strlen(from));
	free(s);
	return r;
}

static void bad_configs(void)
{
	static const struct {
		const char *from, *to, *rule;
	} row[] = {
		{ "{", "[", "config.syntax" },
		{ "{", "{ \"hidden_size\": 256, ", "config.syntax" }, /* twice */
		{ "\"deepseek_v4\"", "\"deepseek_v5\"", "config.model-type" },
		{ "\"deepseek_v4\"", "4", "config.field-type" },
		{ "\"model_type\"", "\"model_typ\"", "config.field-missing" },
		{ "\"hidden_size\": 256", "\"hidden_size\": 0", "config.field-range" },
		{ "\"hidden_size\": 256", "\"hidden_size\": -256", "config.field-range" },
		{ "\"hidden_size\": 256", "\"hidden_size\": 255", "config.field-range" },
		{ "\"hidden_size\": 256", "\"hidden_size\": 99999999999", "config.field-range" },
		{ "\"hidden_size\": 256", "\"hidden_size\": 256.0", "config.field-type" },
		{ "\"hidden_size\": 256", "\"hidden_size\": \"256\"", "config.field-type" },
		{ "\"hidden_size\": 256,", "", "config.field-missing" },
		{ "\"o_groups\": 4", "\"o_groups\": 3", "config.field-range" },
		{ "\"num_hash_layers\": 1", "\"num_hash_layers\": 4", "config.field-range" },
		{ "\"n_routed_experts\": 12", "\"n_routed_experts\": 40000", "" },
		{ "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", "config.stages" },
		{ "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 5", "config.ratios" },
		{ "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", "config.ratios" },
		{ "\"compress_ratios\"", "\"layer_types\"", "config.field-missing" },
		{ "    128,\n    0", "    8,\n    0", "config.ratios" },
		{ "    128,\n    0", "    128,\n    4", "config.ratios" },
		{ "\"num_nextn_predict_layers\": 1", "\"num_nextn_predict_layers\": 2",
			"config.stages" },
		{ "\"expert_dtype\": \"fp4\"", "\"expert_dtype\": \"mxfp4\"",
			"config.expert-dtype" },
		{ "\"expert_dtype\": \"fp4\"", "\"expert_dtype\": 4", "config.expert-dtype" },
		{ "\"quant_method\": \"fp8\"", "\"quant_method\": \"awq\"", "config.quant" },
		{ "      128,\n      128", "      32,\n      32", "config.quant" },
		{ "\"quantization_config\"", "\"quant_config\"", "config.field-missing" },
		{ "\"n_shared_experts\": 1", "\"dspark_block_size\": 5, \"n_shared_experts\": 1",
			"config.field-missing" },
	};
	struct config c;
	struct err e;
	char *s;
	size_t i;
	int rc;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		memset(&e, 0, sizeof e);
		s = patched(row[i].from, row[i].to);
		rc = parse_config(&c, s, strlen(s), &e);
		CHECK_IN(row[i].to,
			row[i].rule[0] ? rc == -1 && e.rule && !strcmp(e.rule, row[i].rule) : !rc);
		if (rc && e.rule && strcmp(e.rule, row[i].rule))
			fprintf(stderr, "got %s: %s\n", e.rule, e.text);
		CHECK(!rc || (!c.family && !c.ratio));
		config_free(&c);
		free(s);
	}
}

/* A model that would have billions of tensors is refused before anything is allocated. */
static void config_absurd(void)
{
	char *base = patched("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4000");
	char *at = strstr(base, "\"compress_ratios\""),
	     *n = strstr(base, "\"n_routed_experts\": 12");
	struct config c;
	struct err e = { 0 };
	struct text t = { 0 };
	int i;

	*at = 0;
	memcpy(n, "\"n_routed_experts\":900", 22);
	text_str(&t, base);
	text_str(&t, "\"compress_ratios\": [");
	for (i = 0; i < 4001; i++)
		text_str(&t, i ? ",0" : "0");
	text_str(&t, "]}");
	CHECK(parse_config(&c, t.s, t.n, &e) == -1 && !strcmp(e.rule, "config.field-range"));
	text_free(&t);
	free(base);
}

static void config_rewrites(void)
{
	static const char *const text[] = {
		"{ \"a\": 1e-06, \"expert_dtype\": \"fp4\", \"z\": [\"expert_dtype\", {\"expert_dtype\": 1}]}\n",
		"{\"z\": {\"expert_dtype\": \"fp4\"}}",
		"{ \"expert_dtype\" :null }",
	};
	static const char *const want[] = {
		"{ \"a\": 1e-06, \"expert_dtype\": \"fp8\", \"z\": [\"expert_dtype\", {\"expert_dtype\": 1}]}\n",
		"{\n  \"expert_dtype\": \"fp8\",\"z\": {\"expert_dtype\": \"fp4\"}}",
		"{ \"expert_dtype\" :\"fp8\" }",
	};
	struct config_doc d;
	struct text out = { 0 };
	struct err e = { 0 };
	size_t i;

	for (i = 0; i < 3; i++) {
		CHECK_IN(text[i], !config_doc_parse(&d, text[i], strlen(text[i]), &e));
		out.n = 0;
		CHECK_IN(text[i], !config_put(&out, &d, CODEC_FP8, &e) && !strcmp(out.s, want[i]));
		config_doc_free(&d);
	}
	text_free(&out);
}

static const struct test tests[] = { { "totals", totals }, { "shapes", shapes },
	{ "formulas", formulas }, { "roles_used", roles_used }, { "config_bad", bad_configs },
	{ "config_absurd", config_absurd }, { "config_rewrites", config_rewrites }, { 0 } };
TEST_MAIN(tests)
