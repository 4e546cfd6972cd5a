/* test_sweep.c -- every name of dsv4-quant's table under every verb, for each kind of model: it is made, checked, compared,
 * judged for everybody who might load it, computed with as it lies, and taken back to the same bytes; what there is no way
 * to is refused by its rule.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/set.h"
#include "tests/shell.h"

#include <stdarg.h>

enum { N_ENGINES = 8, N_MODELS = 4 };

/* What doctor --for says of a name: a letter for each engine below.
 *	.  nothing is wrong        s  the same, and a setting of the engine is told
 *	u  engine.unknown, 2       f  engine.form, 1       z  engine.scales, 1
 *	h  as `llama` of the model, whose sizes that engine takes or not; H: and a setting is told */
static const char *const engine[N_ENGINES] = { "vllm", "sglang", "tensorrt-llm", "transformers",
	"llama.cpp", "mlx", "official", "official-fp8" };
static const struct {
	const char *name, *said;
} expected[] = {
	{ "fp8", ".su.Hzss" },
	{ "bf16", "uuu.ffff" },
	{ "mxfp8", ".uufffff" },
	{ "nvfp4", "...uffff" },
	{ "ct-mxfp4", ".uufffff" },
	{ "ct-mxfp8", ".uufffff" },
	{ "ct-nvfp4a16", ".uufffff" },
	{ "gguf", NULL }, /* test_gguf* */
	{ "mlx", "..u.h..." },
	{ "mlx-stack", "fffff.ff" },
};

static const struct {
	char is;
	int status;
	const char *rule; /* NULL: none is there */
} outcomes[] = { { '.', 0, NULL }, { 's', 0, "engine.setting" }, { 'u', 2, "engine.unknown" },
	{ 'f', 1, "engine.form" }, { 'z', 1, "engine.scales" }, { 'x', 1, "engine.shape" } };

static const struct model {
	const char *name, *config; /* config NULL: a golden model */
	char llama;
	bool base; /* its experts are FP8, from which there is no exact way to four bits */
} models[N_MODELS] = { { FLASH, NULL, '.', false }, { PRO, NULL, 'x', false },
	{ "spark", "tests/configs/small-spark.json", 'x', false },
	{ "base", "tests/configs/small-base.json", 'x', true } };

static const char *folder_of(const struct model *m)
{
	static struct path p;
	char args[900];

	if (!m->config)
		return m->name;
	p = dirs_path(m->name);
	snprintf(args, sizeof args, "%s --config %s --seed 5", p.s, m->config);
	if (!is_file(p.s))
		CHECK_IN(m->config, !model_tool("mkmodel", args));
	return p.s;
}

static void judged(const char *out, const char *said, char llama)
{
	size_t i, k;
	char is;

	for (i = 0; i < N_ENGINES; i++) {
		is = said[i] == 'h' ? llama : said[i] != 'H' ? said[i] : llama == '.' ? 's' : llama;
		for (k = 0; outcomes[k].is != is; k++)
			;
		CHECK_IN(engine[i],
			ends(outcomes[k].status, NULL, "dsv4-verify", "doctor %s --for %s", out,
				engine[i]));
		CHECK_IN(engine[i],
			outcomes[k].rule ? holds(out_file.s, outcomes[k].rule)
					 : !holds(out_file.s, "engine."));
	}
}

static const char *said_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof expected / sizeof *expected; i++)
		if (!strcmp(expected[i].name, name))
			return expected[i].said;
	FAILED(name);
	return NULL;
}

/* It computes the source's bits, in either arithmetic, and each replays the other's record. */
static void computed(const char *from, const char *out)
{
	struct path mine = dirs_path("mine.rec"), its = dirs_path("its.rec");
	static const char ids[] = "-t 1,2,3,77,100,5,9,200";

	unlink(mine.s);
	unlink(its.s);
	CHECK(ends(0, NULL, "dsv4-verify", "logits %s %s %s", from, out, ids) &&
		holds(out_file.s, "bit-equal"));
	CHECK(ends(0, NULL, "dsv4-verify", "logits --arithmetic fp32 %s %s %s", from, out, ids) &&
		holds(out_file.s, "bit-equal"));
	CHECK(ends(0, NULL, "dsv4-verify", "record -q %s %s -o %s", from, ids, mine.s));
	CHECK(ends(0, NULL, "dsv4-verify", "record -q %s %s -o %s", out, ids, its.s));
	CHECK(ends(0, NULL, "dsv4-verify", "replay -q %s %s", out, mine.s));
	CHECK(ends(0, NULL, "dsv4-verify", "replay -q %s %s", from, its.s));
}

static void one(const struct recipe *r, const struct model *m, const char *from)
{
	struct path out = dirs_path("out"), back = dirs_path("back");
	const char *said = said_of(r->name), *options = r->input ? "--input-scale 0.03125" : "";
	int before = check_failed;
	/* from FP8 experts there is a way to what has eight bits or more; MLX wants E8M0 scales */
	bool way = !m->base || r->container == CONTAINER_GGUF || !strcmp(r->name, "fp8") ||
		!strcmp(r->name, "bf16") || !strcmp(r->name, "mxfp8") ||
		!strcmp(r->name, "ct-mxfp8");

	dirs_remove(out.s);
	dirs_remove(back.s);
	if (!way) {
		CHECK(ends(2, NULL, "dsv4-quant", "run %s -o %s --to %s %s", from, out.s, r->name,
			      options) &&
			holds(err_file.s, "plan.no-way") && !is_file(out.s));
	} else {
		CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s %s", from, out.s,
			r->name, options));
		CHECK(ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK(ends(0, NULL, "dsv4-verify", "compare -q %s %s", from, out.s));
		if (said) {
			judged(out.s, said, m->llama);
			computed(from, out.s);
		}
		CHECK(ends(0, NULL, "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
			set_holds(back.s, from));
	}
	if (check_failed != before)
		fprintf(stderr, "%s of %s\n", r->name, from);
}

static void every(const struct model *m)
{
	const char *from = folder_of(m);
	const struct recipe *r;

	for (r = recipes; r->name; r++)
		if (!r->rounds && r->need != NEED_MLX_NAMES) /* test_mixes, test_rounds; of V4.1 */
			one(r, m, from);
}

static void flash(void)
{
	every(&models[0]);
}

static void pro(void)
{
	every(&models[1]);
}

static void spark(void)
{
	every(&models[2]);
}

static void base(void)
{
	every(&models[3]);
}

static const struct test tests[] = {
	{ "sweep: tiny-flash", flash },
	{ "sweep: tiny-pro", pro },
	{ "sweep: DSpark", spark },
	{ "sweep: -Base", base },
	{ NULL, NULL },
};
TEST_MAIN(tests)
