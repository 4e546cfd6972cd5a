/* test_quant_stack.c -- dsv4-quant --to mlx --stack: what its tensors are, what is refused, and what compare, restore and
 * doctor say of stacks that are damaged, in another order, or not there.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/fuzz/chain.h"
#include "tests/shell.h"
#include "tests/verify.h"

#include <stdarg.h>

#define SHARD "model-00002-of-00007.safetensors" /* has layer 0 */
#define GATE "layers.0.ffn.switch_mlp.gate_proj"

static struct path out, back;

static void make(void)
{
	struct job_opts o = set_opts("mlx-stack", 1, false);

	o.plan.share = (struct share){ 0 };
	o.plan.experimental = false;
	o.of_source = true;
	out = dirs_path("out");
	back = dirs_path("back");
	dirs_remove(out.s);
	dirs_remove(back.s);
	CHECK(set_makes(FLASH, out.s, &o));
}

/* The tensor of the stack is the experts of the source by their ids, byte for byte. */
static bool holds_experts(struct ck *made, struct ck *of, const char *block, const char *w,
	const char *stack, bool scale)
{
	char name[160];
	struct ck_tensor *t, *x;
	size_t at = 0;
	unsigned e;
	bool ok;

	snprintf(name, sizeof name, "%s.ffn.switch_mlp.%s.%s", block, stack,
		scale ? "scales" : "weight");
	t = ck_get(made, name);
	ok = !strcmp(t->type, scale ? "U8" : "U32") && t->rank == 3;
	for (e = 0; ok && at < t->n; e++, at += x->n) {
		snprintf(name, sizeof name, "%s.ffn.experts.%u.%s.%s", block, e, w,
			scale ? "scale" : "weight");
		x = ck_get(of, name);
		ok = at + x->n <= t->n && !memcmp(t->p + at, x->p, x->n) &&
			t->dim[1] == x->dim[0] && t->dim[2] * (scale ? 1 : 4) == x->dim[1];
	}
	return ok && t->dim[0] == e;
}

static void tensors(void)
{
	static const char *const blocks[] = { "layers.0", "layers.2", "mtp.0" };
	static const char *const w[3][2] = { { "w1", "gate_proj" }, { "w2", "down_proj" },
		{ "w3", "up_proj" } };
	struct ck *made, *of = ck_load(FLASH);
	size_t i, k;

	make();
	made = ck_load(out.s);
	for (i = 0; i < 3; i++)
		for (k = 0; k < 6; k++)
			CHECK_IN(blocks[i],
				holds_experts(made, of, blocks[i], w[k / 2][0], w[k / 2][1],
					k % 2));
	for (i = 0; i < made->n; i++)
		CHECK_IN(made->t[i].name, !strstr(made->t[i].name, ".ffn.experts."));
	ck_free(made);
	ck_free(of);
}

static void refused(void)
{
	struct path fp8 = dirs_path("fp8");

	out = dirs_path("out");
	dirs_remove(out.s);
	CHECK(ends(2, "--stack belongs to mlx", "dsv4-quant",
		      "run -q " FLASH " -o %s --to fp8 --stack", out.s) &&
		!is_file(out.s));
	CHECK(ends(0, NULL, "dsv4-convert",
		"run -q " FLASH " -o %s --target hf --experts fp8 --scale-dtype e8m0 --no-restore",
		fp8.s));
	CHECK(ends(0, NULL, "dsv4-quant", "plan %s -o %s --to mlx", fp8.s, out.s));
	CHECK(ends(2, "the experts are fp8: mlx-stack stacks those in FP4", "dsv4-quant",
		      "run -q %s -o %s --to mlx --stack", fp8.s, out.s) &&
		!is_file(out.s));
}

/* A byte in the stack: whose it is, is said; restore finds it by the digest of the source. */
static void damaged(void)
{
	struct path file;
	uint8_t *p;
	size_t n, at;
	json_t *o, *t;
	size_t i;

	make();
	file = model_file(out.s, SHARD);
	o = load(out.s, SHARD MAN_SIDECAR);
	at = (size_t)json_integer_value(json_object_get(json_object_get(o, "file"),
		"header_bytes"));
	json_array_foreach(json_object_get(o, "tensors"), i, t)
	{
		if (!strcmp(json_string_value(json_object_get(t, "name")), GATE ".scales"))
			at += (size_t)json_integer_value(json_array_get(json_object_get(t,
										"offsets"),
				1));
	}
	json_decref(o);
	p = file_get_all(file.s, &n);
	p[at - 1] ^= 1; /* the last one: of expert 7 */
	model_put(out.s, SHARD, p, n);
	free(p);
	CHECK(ends(1, "layers.0.ffn.experts.7.w1.scale", "dsv4-verify", "compare " FLASH " %s",
		out.s));
	CHECK(ends(1, "compare.bytes", "dsv4-verify", "compare " FLASH " %s", out.s));
	CHECK(ends(1, "set.digest", "dsv4-quant", "restore -q %s -o %s", out.s, back.s));
}

static void rename_target(const char *from, const char *to)
{
	char line[1500];

	snprintf(line, sizeof line,
		"sed -i 's/\"target\": \"%s\"/\"target\": \"%s\"/' %s/*manifest.json", from, to,
		out.s);
	CHECK(!system(line));
	chain_mend(out.s, 0);
}

/* Documents that say something else, under digests that fit. */
static void lies(void)
{
	static const char first[] = "layers.0.ffn.experts.0.w1.scale",
			  second[] = "layers.0.ffn.experts.1.w1.scale";

	make();
	verify_edit(out.s, SHARD, first, "layers.0.ffn.experts.X.w1.scale");
	verify_edit(out.s, SHARD, second, first);
	verify_edit(out.s, SHARD, "layers.0.ffn.experts.X.w1.scale", second);
	CHECK(ends(1, "its sources are not the experts in order", "dsv4-verify",
		"compare " FLASH " %s", out.s));
	CHECK(ends(1, "its sources are not the experts in order", "dsv4-quant",
		      "restore -q %s -o %s", out.s, back.s) &&
		!is_file(back.s));
	/* Stacks where none are, and the other way round. */
	make();
	rename_target("mlx-stack", "mlx");
	CHECK(ends(1, "the target is no engine", "dsv4-verify", "compare " FLASH " %s", out.s));
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to mlx", out.s));
	rename_target("mlx", "mlx-stack");
	CHECK(ends(1, "in mlx-stack the experts of a block are one tensor", "dsv4-verify",
		"compare " FLASH " %s", out.s));
}

static void no_scales(struct ck *c)
{
	ck_get(c, GATE ".scales")->gone = true;
}

static void one_less(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, GATE ".weight");

	t->n -= t->n / t->dim[0];
	t->dim[0]--;
}

static void another_type(struct ck *c)
{
	snprintf(ck_get(c, GATE ".weight")->type, 8, "I32");
}

static void unsaid(struct ck *c)
{
	ck_config(c, "quantization", NULL);
}

static void said_wrong(struct ck *c)
{
	json_t *q = json_object_get(json_object_get(c->config, "quantization"),
		"language_model.model.layers.1.ffn.switch_mlp.up_proj");

	json_object_set_new(q, "group_size", json_integer(64));
	c->new_config = true;
}

static void nothing(struct ck *c)
{
	(void)c;
}

static void doctors(void)
{
	static const struct {
		void (*damage)(struct ck *c);
		const char *engine;
		int status;
		const char *rule;
	} rows[] = {
		{ nothing, NULL, 0, NULL },
		{ nothing, "mlx", 0, NULL },
		{ nothing, "vllm", 1, "engine.form" },
		{ nothing, "transformers", 1, "engine.form" },
		{ no_scales, "mlx", 1, "form.matrix" },
		{ one_less, "mlx", 1, "form.matrix" },
		{ another_type, "mlx", 1, "form.matrix" },
		{ unsaid, "mlx", 1, "engine.field" },
		{ said_wrong, NULL, 1, "engine.field" },
	};
	struct path model;
	struct ck *c;
	size_t i;

	make();
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		c = ck_load(out.s);
		rows[i].damage(c);
		dirs_remove(dirs_path("model").s);
		model = ck_write(c, "model");
		ck_free(c);
		CHECK_IN(rows[i].rule ? rows[i].rule : "sound",
			ends(rows[i].status, rows[i].rule, "dsv4-verify", "doctor %s %s %s",
				model.s, rows[i].engine ? "--for" : "",
				rows[i].engine ? rows[i].engine : ""));
	}
}

static const struct test tests[] = { { "quant stack: tensors", tensors },
	{ "quant stack: refused", refused }, { "quant stack: damaged", damaged },
	{ "quant stack: lies", lies }, { "quant stack: doctor", doctors }, { 0 } };
TEST_MAIN(tests)
