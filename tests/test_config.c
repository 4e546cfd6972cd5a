/* test_config.c -- the fields of config.json that shape no tensor: each absent, of another type, or as another model
 * has it. doctor and the forward pass read them with one reader, so each row is shown to both; what transformers
 * wrote in its own words is translated by --fix-config, and then both take it.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/verify.h"

#include "formats/model/params.h"
#include "kernels/forward/weights.h"

/* key.sub where in is not NULL; value NULL: taken out; rule NULL: nothing is wrong. */
static const struct row {
	const char *in, *key, *value, *rule;
} rows[] = {
	{ NULL, "rope_scaling", NULL, "config.forward" },
	{ NULL, "rope_scaling", "7", "config.forward" },
	{ NULL, "rope_theta", NULL, "config.forward" },
	{ NULL, "rope_theta", "0", "config.forward" },
	{ NULL, "rope_theta", "\"10000\"", "config.forward" },
	{ NULL, "rope_theta", "500000.0", "suspect.config" },
	{ NULL, "compress_rope_theta", NULL, "config.forward" },
	{ NULL, "compress_rope_theta", "40000", "suspect.config" },
	{ NULL, "routed_scaling_factor", NULL, "config.forward" },
	{ NULL, "routed_scaling_factor", "0", "config.forward" },
	{ NULL, "swiglu_limit", NULL, "config.forward" },
	{ NULL, "swiglu_limit", "null", "config.forward" },
	{ NULL, "swiglu_limit", "0.0", "config.forward" },
	{ NULL, "index_topk", NULL, "config.forward" },
	{ NULL, "index_topk", "0", "config.forward" },
	{ NULL, "index_topk", "2.5", "config.forward" },
	{ NULL, "hc_eps", NULL, "config.forward" },
	{ NULL, "hc_eps", "0", "config.forward" },
	{ NULL, "hc_sinkhorn_iters", NULL, "config.forward" },
	{ NULL, "hc_sinkhorn_iters", "0", "config.forward" },
	{ NULL, "hc_sinkhorn_iters", "3", "suspect.config" },
	{ NULL, "scoring_func", NULL, "config.forward" },
	{ NULL, "scoring_func", "\"sigmoid\"", "config.forward" },
	{ NULL, "sliding_window", NULL, "config.forward" },
	{ NULL, "sliding_window", "4096", "config.forward" },
	{ NULL, "norm_topk_prob", "false", "config.forward" },
	{ NULL, "norm_topk_prob", NULL, "config.forward" },
	{ NULL, "rms_norm_eps", NULL, "config.forward" },
	{ NULL, "rms_norm_eps", "0.1", "config.forward" },
	{ NULL, "rms_norm_eps", "1e-5", "suspect.config" },
	{ NULL, "rms_norm_eps", "1e-20", NULL },
	{ NULL, "qk_rope_head_dim", NULL, "config.forward" },
	{ NULL, "qk_rope_head_dim", "128", "config.forward" },
	{ NULL, "hidden_act", "\"gelu\"", "config.forward" },
	{ NULL, "topk_method", "\"greedy\"", "config.forward" },
	{ NULL, "topk_method", NULL, NULL },
	{ NULL, "num_key_value_heads", "8", "config.forward" },
	{ NULL, "attention_bias", "true", "config.forward" },
	{ NULL, "num_experts_per_tok", "99", "config.field-range" },
	{ "rope_scaling", "type", "\"linear\"", "config.forward" },
	{ "rope_scaling", "type", NULL, "config.forward" },
	{ "rope_scaling", "factor", NULL, "config.forward" },
	{ "rope_scaling", "factor", "0.5", "config.forward" },
	{ "rope_scaling", "factor", "40", "suspect.config" },
	{ "rope_scaling", "original_max_position_embeddings", NULL, "config.forward" },
	{ "rope_scaling", "original_max_position_embeddings", "4096", "suspect.config" },
	{ "rope_scaling", "beta_fast", "\"32\"", "config.forward" },
	{ "rope_scaling", "beta_fast", "1", "config.forward" },
	{ "rope_scaling", "beta_slow", "64", "config.forward" },
	{ NULL, "dspark_block_size", "null", NULL }, /* no drafter, and no MTP block less */
	{ NULL, "rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 10000}",
		"config.dialect" },
};
enum { ROWS = sizeof rows / sizeof *rows };

static struct path changed(const struct row *w)
{
	struct ck *c = ck_load(FLASH);
	struct path dir;

	if (!w->in) {
		ck_config(c, w->key, w->value);
	} else {
		json_t *o = json_object_get(c->config, w->in);

		c->new_config = true;
		if (w->value)
			json_object_set_new(o, w->key, json_loads(w->value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(o, w->key);
	}
	dir = ck_write(c, "config");
	ck_free(c);
	return dir;
}

/* What opening the folder for the forward pass says; *p is what it read. */
static bool opens(const char *dir, struct params *p, struct err *e)
{
	struct weights w;
	bool ok = !weights_open(&w, io_posix(), dir, NULL, cpu_features(), e);

	if (ok) {
		*p = w.p;
		weights_close(&w);
	}
	return ok;
}

/* A finding of that rule whose cause has the word. */
static bool says(const struct report *r, const char *rule, const char *word)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (!strcmp(r->findings[i].rule, rule) && strstr(r->findings[i].cause, word))
			return true;
	return false;
}

static bool holds(const struct row *w)
{
	struct path dir = changed(w);
	struct err e = { 0 };
	struct params p;
	struct report r;
	int rc = ck_doctor(&r, dir.s, NULL, NULL, false);
	bool f = w->rule && says(&r, w->rule, w->key[0] == 'b' ? "beta_fast" : w->key);
	bool warns = w->rule && !strcmp(w->rule, "suspect.config"), taken = opens(dir.s, &p, &e);
	bool ok = w->rule ? f && rc == !warns : !rc && !r.n;

	ok = ok && taken == (!w->rule || warns) && (taken || (e.rule && !strcmp(e.rule, w->rule)));
	if (!ok) {
		fprintf(stderr, "%s %s: doctor %d, forward %d: %s\n", w->key,
			w->value ? w->value : "gone", rc, taken, e.text);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void fields(void)
{
	size_t i;

	for (i = 0; i < ROWS; i++)
		CHECK_IN(rows[i].key, holds(&rows[i]));
}

/* One fault of the rope is one finding, not one for each field that is elsewhere. */
static const char flat[] =
	"{\"rope_type\": \"yarn\", \"rope_theta\": 10000, \"factor\": 16, "
	"\"original_max_position_embeddings\": 65536, \"beta_fast\": 32, \"beta_slow\": 1}";
static const char nested[] =
	"{\"main\": {\"rope_type\": \"default\", \"rope_theta\": 10000, \"partial_rotary_factor\": 0.5}, "
	"\"compress\": {\"rope_type\": \"yarn\", \"rope_theta\": 160000.0, \"factor\": 16.0, "
	"\"original_max_position_embeddings\": 65536, \"beta_fast\": 32, \"beta_slow\": 1, "
	"\"partial_rotary_factor\": 0.5, \"attention_factor\": 1.0}}";

static void rope(const char *text, bool both_thetas, const char *engine)
{
	struct path dir, fixed = dirs_path("fixed-rope.json");
	struct params was, is;
	struct err e = { 0 };
	struct report r;
	struct ck *c = ck_load(FLASH);
	uint8_t *p;
	size_t n;

	ck_config(c, "rope_scaling", NULL);
	ck_config(c, "rope_theta", NULL);
	if (both_thetas)
		ck_config(c, "compress_rope_theta", NULL);
	ck_config(c, "rope_parameters", text);
	dir = ck_write(c, "rope");
	ck_free(c);
	unlink(fixed.s);
	CHECK(opens(FLASH, &was, &e) && !opens(dir.s, &is, &e));
	CHECK(e.rule && !strcmp(e.rule, "config.dialect"));
	CHECK_IN(text, ck_doctor(&r, dir.s, engine, fixed.s, false) == 1);
	CHECK_IN(text, r.n == 1 && says(&r, "config.dialect", "rope_parameters"));
	report_free(&r);
	p = file_get_all(fixed.s, &n);
	CHECK_IN(text, p);
	model_put(dir.s, "config.json", p, n);
	free(p);
	CHECK_IN(text, ck_doctor(&r, dir.s, engine, NULL, false) == 0 && !r.n);
	report_free(&r);
	CHECK_IN(text, opens(dir.s, &is, &e) && !memcmp(&is, &was, sizeof is));
	unlink(fixed.s);
}

static void ropes(void)
{
	rope(flat, false, "vllm");
	rope(nested, true, "sglang");
	rope(nested, true, NULL);
}

/* Both words at once are fine where they say the same. */
static void both(void)
{
	struct report r;
	struct ck *c = ck_load(FLASH);
	struct path dir;

	ck_config(c, "rope_parameters", nested);
	dir = ck_write(c, "both");
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 0 && !r.n);
	report_free(&r);
	ck_config(c, "rope_theta", "500000");
	dir = ck_write(c, "both");
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 1 &&
		says(&r, "config.dialect", "other angles"));
	report_free(&r);
	ck_free(c);
}

/* A sound model of sizes that the kernels do not take is no fault of the model. */
static void sizes(void)
{
	struct path dir = dirs_path("narrow");
	struct err e = { 0 };
	struct params p;
	struct report r;
	char line[700];

	snprintf(line, sizeof line,
		"%.500s --config tests/configs/small4.json --set moe_intermediate_size=64", dir.s);
	CHECK(!model_tool("mkmodel", line));
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 0 && !r.n);
	report_free(&r);
	CHECK(!opens(dir.s, &p, &e) && e.rule && !strcmp(e.rule, "forward.shape") &&
		err_exit_code(&e) == 2);
}

static const struct test tests[] = { { "fields", fields }, { "ropes", ropes }, { "both", both },
	{ "sizes", sizes }, { NULL, NULL } };
TEST_MAIN(tests)
