/* test_trap.c -- dsv4-verify doctor --for an engine: what that engine trips over is found, what another trips over is not.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/mlx.h"
#include "tests/ck.h"
#include "tests/verify.h"
#include "verify/doctor/consumer.h"

/* The member "quantization" that the golden model needs, as JSON; the caller frees it. */
static char *golden_quantization(void)
{
	struct ckpt c;
	struct findings f = { 0 };
	struct err e = { 0 };
	json_t *o;
	char *s;

	if (ckpt_open(&c, io_posix(), FLASH, &(struct ckpt_opts){ 0 }, &f, &e))
		exit(2);
	o = mlx_quantization(&c.config, (struct model_forms){ CODEC_FP8, CODEC_MXFP4 });
	s = json_dumps(o, 0);
	json_decref(o);
	ckpt_close(&c);
	finding_free(&f);
	return s;
}

/* One thing wrong, and the rules that the engine it is wrong for and one other name. */
static const struct trap_case {
	const char *engine, *key, *value;
	const char *rule; /* NULL: nothing is found */
} cases[] = {
	{ "transformers", "swiglu_limit", "10", "engine.field" },
	{ "transformers", "routed_scaling_factor", "2", "engine.field" },
	{ "transformers", "swiglu_limit", "1.0", NULL },
	{ "vllm", "swiglu_limit", "10", NULL },
	{ "mlx", "use_cache", "true", "engine.field" }, /* nothing set: no "quantization" */
	{ "mlx", "quantization", "{}", "engine.field" },
	{ "mlx", "quantization", "3", "engine.field" },
	{ "mlx", "quantization",
		"{\"language_model.model.layers.0.attn.wq_a\": {\"group_size\": 32, \"bits\": 8, \"mode\": \"mxfp8\"}}",
		"engine.field" },
	{ "transformers", "use_cache", "true", NULL },
	{ "llama.cpp", "use_cache", "true", NULL },
};

static void traps(void)
{
	char *good = golden_quantization();
	struct path dir;
	struct report r;
	struct ck *c;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct trap_case *t = &cases[i];

		c = ck_load(FLASH);
		ck_config(c, t->key, t->value);
		dir = ck_write(c, "trap");
		ck_free(c);
		CHECK_IN(t->key, ck_doctor(&r, dir.s, t->engine, NULL, false) == !!t->rule);
		CHECK_IN(t->key, r.errors == !!t->rule);
		CHECK_IN(t->key, !t->rule || verify_find(&r, t->rule, NULL));
		report_free(&r);
	}
	/* and with what it needs MLX has nothing to say */
	c = ck_load(FLASH);
	ck_config(c, "quantization", good);
	dir = ck_write(c, "trap");
	ck_free(c);
	if (ck_doctor(&r, dir.s, "mlx", NULL, false)) {
		verify_print(&r);
		FAILED("mlx");
	}
	report_free(&r);
	free(good);
	/* the golden Pro has heads of 128 like its indexer */
	CHECK(ck_doctor(&r, PRO, "llama.cpp", NULL, false) == 1 &&
		verify_find(&r, "engine.shape", NULL));
	report_free(&r);
	CHECK(ck_doctor(&r, PRO, "vllm", NULL, false) == 0);
	report_free(&r);
}

/* -Base, or what the converter makes with F32 scales: only some can read them. */
static void scales(void)
{
	struct path dir = dirs_path("scales");
	char args[640];
	struct report r;

	dirs_remove(dir.s);
	snprintf(args, sizeof args, "run " FLASH " -o %s --target hf --experts fp8 -q", dir.s);
	CHECK(model_tool("dsv4-convert", args) == 0);
	CHECK(ck_doctor(&r, dir.s, "mlx", NULL, false) == 1 &&
		verify_find(&r, "engine.scales", NULL));
	report_free(&r);
	CHECK(ck_doctor(&r, dir.s, "transformers", NULL, false) == 0);
	report_free(&r);
	CHECK(ck_doctor(&r, dir.s, "vllm", NULL, false) == 0);
	report_free(&r);
	CHECK(ck_doctor(&r, dir.s, "tensorrt-llm", NULL, false) == 2 &&
		verify_find(&r, "engine.unknown", NULL));
	report_free(&r);
}

static const struct test tests[] = {
	{ "doctor_traps", traps },
	{ "doctor_trap_scales", scales },
	{ NULL, NULL },
};
TEST_MAIN(tests)
