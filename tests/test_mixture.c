/* test_mixture.c -- every member of the family under the config.json of every other, and with shards of every other: what does
 * not fit is named, and by its cause.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"

enum { MEMBERS = 5 };
static const char *const members[MEMBERS] = { "small4", "small-base", "small-spark", "small-vision",
	"small-v41" };

static const char *model(unsigned k)
{
	static struct path p[MEMBERS];
	char args[900];

	p[k] = dirs_path(members[k]);
	snprintf(args, sizeof args, "%s --config tests/configs/%s.json --seed 5", p[k].s,
		members[k]);
	if (!is_file(p[k].s))
		CHECK_IN(members[k], !model_tool("mkmodel", args));
	return p[k].s;
}

/* What the last call printed names one of these. */
static bool names(const char *const *any)
{
	for (; *any; any++)
		if (holds(out_file.s, *any) || holds(err_file.s, *any))
			return true;
	return false;
}

/* No remedy takes tensors away. */
static bool harmless(void)
{
	return !names((const char *const[]){ "remove the tensor", NULL });
}

/* [config][tensors] */
static const char *const by_config[MEMBERS][MEMBERS] = {
	{ NULL, "config.expert-dtype-wrong", "config.drafter", "V4 that sees images", "V4.1" },
	{ "config.expert-dtype-wrong", NULL, "config.drafter", "V4 that sees images", "V4.1" },
	{ "config.drafter", "config.drafter", NULL, "V4 that sees images", "V4.1" },
	{ "config.drafter", "config.drafter", "weights of text alone", NULL, "V4.1" },
	{ "the tensors are those of V4 with MTP", "the tensors are those of V4 with MTP",
		"the tensors are those of V4 with a DSpark",
		"the tensors are those of V4 that sees", NULL },
};

static void configs(void)
{
	static const unsigned status[MEMBERS][MEMBERS] = { { 0, 1, 1, 2, 2 }, { 1, 0, 1, 2, 2 },
		{ 1, 1, 0, 2, 2 }, { 1, 1, 1, 0, 2 }, { 1, 1, 1, 1, 0 } };
	struct path p = dirs_path("mixed");
	unsigned a, b;
	struct ck *c;
	char pair[64];

	for (a = 0; a < MEMBERS; a++)
		for (b = 0; b < MEMBERS; b++) {
			c = ck_load(model(b));
			json_decref(c->config);
			c->config = load(model(a), "config.json");
			c->new_config = true;
			dirs_remove(p.s);
			ck_write(c, "mixed");
			ck_free(c);
			snprintf(pair, sizeof pair, "%s over %s", members[a], members[b]);
			CHECK_IN(pair,
				ends((int)status[a][b], by_config[a][b], "dsv4-verify", "doctor %s",
					p.s));
			CHECK_IN(pair, harmless());
			/* V4.1 and V4: one cause, and no advice to fit the file to the weights */
			CHECK_IN(pair,
				a == b || (a < 4 && b < 4) ||
					!names((const char *const[]){
						"config.field-tensors", "model.missing", NULL }));
			CHECK_IN(pair,
				a == b ||
					ends((int)status[a][b], NULL, "dsv4-convert",
						"run %s -o %s --target hf", p.s,
						dirs_path("none").s));
		}
}

/* --- shards --- */

static bool same_header(const char *a, const char *b)
{
	size_t n, m;
	uint8_t *x = file_get_all(a, &n), *y = file_get_all(b, &m);
	uint64_t len = 0;
	bool same;

	memcpy(&len, x, 8);
	same = n == m && 8 + len <= n && !memcmp(x, y, 8 + (size_t)len);
	free(x);
	free(y);
	return same;
}

/* The k-th shard of the folder, from 1, of which there are n. */
static struct path shard(const char *dir, unsigned k, unsigned n)
{
	char name[64];

	snprintf(name, sizeof name, "model-%05u-of-%05u.safetensors", k, n);
	return model_file(dir, name);
}

/* A folder of a in which the k-th shard is b's. */
static void exchange(const char *mixed, unsigned a, unsigned b, unsigned k, const unsigned *n)
{
	struct path to, from;
	unsigned i;

	dirs_remove(mixed);
	mkdir(mixed, 0755);
	for (i = 1; i <= n[a]; i++) {
		to = shard(mixed, i, n[a]);
		from = i == k ? shard(model(b), k, n[b]) : shard(model(a), i, n[a]);
		CHECK(!link(from.s, to.s));
	}
	CHECK(!link(model_file(model(a), "config.json").s, model_file(mixed, "config.json").s));
	CHECK(!link(model_file(model(a), "model.safetensors.index.json").s,
		model_file(mixed, "model.safetensors.index.json").s));
}

/* Shards of other layers, or of none, have tensors that the index has elsewhere: then that is what is said. */
static const char *const named[] = { "model.mixture", "kind.vision", "kind.v41", "config.drafter",
	"expert matrices are of two forms", "have no bias_vl", "a shard is of a member",
	"index.wrong-shard", "index.not-in-shard", NULL };

static int looks(const char *dir)
{
	char args[900];

	snprintf(args, sizeof args, "doctor %s", dir);
	return shell("dsv4-verify", args);
}

static void shards(void)
{
	static const unsigned n[MEMBERS] = { 6, 6, 8, 8, 10 };
	struct path p = dirs_path("mixed");
	unsigned a, b, k, looked = 0;
	char what[64];

	for (a = 0; a < MEMBERS; a++)
		for (b = 0; b < MEMBERS; b++)
			for (k = 1; a != b && k <= n[a] && k <= n[b]; k++) {
				if (same_header(shard(model(a), k, n[a]).s,
					    shard(model(b), k, n[b]).s))
					continue; /* the same weights, or other values: digests tell */
				snprintf(what, sizeof what, "%s with %u of %s", members[a], k,
					members[b]);
				exchange(p.s, a, b, k, n);
				CHECK_IN(what, looks(p.s) > 0);
				CHECK_IN(what, names(named) && harmless());
				/* a layer of V4.1 among those of V4, or the reverse */
				CHECK_IN(what,
					k < 2 || k > 4 || (a < 4 && b < 4) ||
						names((const char *const[]){
							"model.mixture", NULL }));
				looked++;
			}
	CHECK(looked > 80);
}

/* --- scales of another type, in the right blocks --- */

static void scales(void)
{
	struct ck *c = ck_load(model(1));
	struct ck_tensor *t;
	struct path p = dirs_path("mixed");
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "layers.1.attn.", ".scale"));)
		ck_retype(t, "F8_E8M0", t->dim[0], t->dim[1], t->n / 4);
	dirs_remove(p.s);
	ck_write(c, "mixed");
	ck_free(c);
	CHECK(ends(1, "model.scale-form", "dsv4-verify", "doctor %s", p.s));
	CHECK(names((const char *const[]){ "are F8_E8M0, where F32 is expected", NULL }));
	CHECK(!names((const char *const[]){ "have a scale for", NULL }));
	CHECK(harmless());
}

/* --- remedies --- */

/* No rule on the tensors of a checkpoint tells to take some of them away without a condition: they may be all that there is. */
static void remedies(void)
{
	static const char *const away[] = { "remove the tensor", "remove the shard",
		"remove the scale" };
	const char *at;
	size_t i, k, looked = 0;

	for (i = 0; i < RULE_COUNT; i++) {
		if (strncmp(rules[i].id, "model.", 6) && strncmp(rules[i].id, "ckpt.", 5) &&
			strncmp(rules[i].id, "index.", 6))
			continue;
		looked++;
		for (k = 0; k < sizeof away / sizeof *away; k++) {
			at = strstr(rules[i].remedy, away[k]);
			CHECK_IN(rules[i].id, !at || strstr(at, "only if"));
		}
	}
	CHECK(looked > 20);
}

/* A file of weights is, with its sidecar, that of another revision's conversion: who reads the folder says so. */
static void other_run(void)
{
	static const struct {
		const char *tool, *options, *file;
		bool checkpoint; /* what comes out is read like one */
	} form[] = { { "dsv4-convert", "--target hf --engram separate", "engram-1.safetensors",
			     true },
		{ "dsv4-convert", "--target hf --experts fp8", "model-00003-of-00010.safetensors",
			true },
		{ "dsv4-quant", "--to mxfp8", "model-00003-of-00010.safetensors", false } };
	struct path out = dirs_path("one"), other = dirs_path("other"), next = dirs_path("next"),
		    to = dirs_path("to");
	char line[1800];
	size_t i;

	snprintf(line, sizeof line, "%s --config tests/configs/small-v41.json --seed 6", next.s);
	CHECK(!model_tool("mkmodel", line));
	for (i = 0; i < sizeof form / sizeof *form; i++) {
		dirs_remove(out.s);
		dirs_remove(other.s);
		CHECK(ends(0, NULL, form[i].tool, "run %s -o %s -q %s", model(4), out.s,
			form[i].options));
		CHECK(ends(0, NULL, form[i].tool, "run %s -o %s -q %s", next.s, other.s,
			form[i].options));
		CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
		snprintf(line, sizeof line, "cp %s/%s %s/%s.manifest.json %s", other.s,
			form[i].file, other.s, form[i].file, out.s);
		CHECK(!system(line));
		CHECK_IN(form[i].options,
			ends(1, "set.manifest", "dsv4-verify", "doctor %s", out.s) && harmless());
		if (!form[i].checkpoint)
			continue;
		CHECK(ends(1, "set.manifest", "dsv4-convert", "inspect %s", out.s));
		CHECK(ends(1, "set.manifest", "dsv4-convert", "plan %s -o %s --target hf", out.s,
			to.s));
		CHECK(ends(1, "set.manifest", "dsv4-convert", "run %s -o %s --target hf", out.s,
			to.s));
		CHECK(ends(1, "set.manifest", "dsv4-convert", "slice %s -o %s", out.s, to.s));
		CHECK(!is_file(to.s));
		unlink(model_file(out.s, form[i].file).s);
		snprintf(line, sizeof line, "rm %s/%s.manifest.json && cp %s/%s %s", out.s,
			form[i].file, other.s, form[i].file, out.s);
		CHECK(!system(line)); /* nobody says anything of it any more but check */
		CHECK(ends(0, NULL, "dsv4-convert", "inspect %s", out.s));
	}
}

static const struct test tests[] = { { "mixture: configs", configs }, { "mixture: shards", shards },
	{ "mixture: scales", scales }, { "mixture: remedies", remedies },
	{ "mixture: files of another run", other_run }, { NULL, NULL } };
TEST_MAIN(tests)
