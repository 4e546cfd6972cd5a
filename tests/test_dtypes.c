/* test_dtypes.c -- every dtype in the place of every other: what a header says decides which kernel reads the
 * bytes, so `logits` must refuse each of them with the rule that says what it is, and never read beyond what is
 * there (this test runs under ASan too).
 *
 * A substitution keeps the bytes and changes the last dimension so that they fit, or keeps the shape and
 * makes as many bytes as it needs. One tensor of each role is taken, and its scale.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/fuzz/chain.h"
#include "verify/run/compute.h"

/* Exit status and rule of `logits source made`, one token. */
static int logits_of(const char *source, const char *made, char rule[64])
{
	struct compute_opts o = {
		.io = io_posix(), .features = cpu_features(), .threads = 1, .tokens = "5"
	};
	struct err e = { 0 };
	struct report r;
	const char *name;

	report_begin(&r, "test 0", "logits", source, made);
	if (compute_logits(&r, source, made, &o, &e))
		name = e.rule;
	else
		name = report_finish(&r, &e) ? r.findings[0].rule : NULL;
	snprintf(rule, 64, "%s", name ? name : "");
	report_free(&r);
	return err_exit_code(&e);
}

/* The name of a tensor without numbers: what is alike for all layers and experts. */
static void role_of(const char *name, char role[160])
{
	size_t n = 0;

	for (; *name && n < 159; name++)
		if (*name < '0' || *name > '9' || strspn(name - 1, "wt"))
			role[n++] = *name;
	role[n] = 0;
}

/* Whether tensor i is the first of its role among those of its shard or earlier ones. */
static bool first_of_role(const struct ck *c, size_t i)
{
	char mine[160], other[160];
	size_t k;

	role_of(c->t[i].name, mine);
	for (k = 0; k < i; k++) {
		role_of(c->t[k].name, other);
		if (!strcmp(mine, other))
			return false;
	}
	return strncmp(c->t[i].name, "mtp.", 4) != 0; /* logits computes no stage */
}

/* The same bytes as another dtype; false where they make no whole number of rows of it. */
static bool respell(struct ck_tensor *t, const struct dtype_row *d)
{
	uint64_t rows = 1, bits;
	unsigned i;

	for (i = 0; i + 1 < t->rank; i++)
		rows *= t->dim[i];
	bits = t->n * 8 / rows;
	if (!t->rank || bits % d->bits)
		return false;
	t->dim[t->rank - 1] = bits / d->bits;
	snprintf(t->type, sizeof t->type, "%s", d->name);
	return true;
}

/* The same shape in another dtype, with as many bytes as that needs; false: no whole number. */
static bool resize(struct ck_tensor *t, const struct dtype_row *d)
{
	uint64_t bits = d->bits;
	unsigned i;

	for (i = 0; i < t->rank; i++)
		bits *= t->dim[i];
	if (bits % 8)
		return false;
	t->n = (size_t)(bits / 8); /* there is room for 8 bytes an element */
	snprintf(t->type, sizeof t->type, "%s", d->name);
	return true;
}

/* Gives each tensor room for the widest dtype. */
static void widen(struct ck *c)
{
	size_t i;

	for (i = 0; i < c->n; i++) {
		c->t[i].p = realloc(c->t[i].p, 16 * c->t[i].n + 16);
		memset(c->t[i].p + c->t[i].n, 0, 15 * c->t[i].n + 16);
	}
}

/* --- what must be said --- */

/* What a tensor is by its name and its type in a sound folder. */
enum sort { SCALE, EXPERT, DENSE, PLAIN };

static enum sort sort_of(const struct ck_tensor *t)
{
	if (ck_ends(t->name, ".scale"))
		return SCALE;
	if (strstr(t->name, ".experts."))
		return EXPERT;
	return !strcmp(t->type, "F8_E4M3") ? DENSE : PLAIN;
}

static bool one_of(const char *s, const char *a, const char *b, const char *c)
{
	return !strcmp(s, a) || !strcmp(s, b) || !strcmp(s, c);
}

/* In official rank files scales are looked at first, by the type of the weight beside them. */
static const char *rule_of_ranks(const struct ck_tensor *t, const char *as)
{
	enum sort sort = sort_of(t);

	if (sort == SCALE || !strcmp(t->type, "F4"))
		return "model.scale-form";
	return (sort == EXPERT || sort == DENSE) && !strcmp(as, "F4") ? "model.scale-form"
								      : "model.dtype";
}

/* In a checkpoint: another kind that is known is named, else type or shape are wrong. */
static const char *rule_of_checkpoint(const struct ck_tensor *t, const struct dtype_row *d,
	bool same_bytes)
{
	enum sort sort = sort_of(t);
	bool as_wide = d->bits == dtypes[dtype_find(t->type, strlen(t->type))].bits;

	if (sort != PLAIN && !strcmp(d->name, "U8"))
		return ""; /* the same bytes under another name: read as what they are */
	if (sort == SCALE)
		return "model.scale-form";
	if (sort == EXPERT && !strcmp(d->name, "F4"))
		return same_bytes ? "" : "model.shape";
	if (sort == EXPERT && (as_wide || !same_bytes))
		return "model.packed";
	if (sort == DENSE && !strcmp(d->name, "I8"))
		return "model.number-format";
	if (sort == DENSE && !same_bytes && one_of(d->name, "BF16", "F16", "F32"))
		return "model.dequantized";
	return same_bytes && !as_wide ? "model.shape" : "model.dtype";
}

/* The exit status that belongs to the rule: 2 where it is another kind of checkpoint, which is named. */
static int status_of(const char *rule)
{
	return !*rule ? 0 : !strcmp(rule, "model.number-format") ? 2 : 1;
}

/* --- substitutions --- */

/* What is made of one shard of a folder: t as d, in the one file, or in all that have it. */
static void one_case(struct ck *c, size_t i, const struct dtype_row *d, bool same_bytes, bool all,
	bool ranks, const char *source, const char *dir)
{
	struct ck_tensor was[CK_SHARDS];
	unsigned n = 0, s;
	size_t at[CK_SHARDS], k;
	const char *want = ranks ? rule_of_ranks(&c->t[i], d->name)
				 : rule_of_checkpoint(&c->t[i], d, same_bytes);
	char rule[64], text[256];
	bool ok = true;
	int rc;

	for (k = 0; k < c->n && n < CK_SHARDS; k++)
		if (k == i || (all && !strcmp(c->t[k].name, c->t[i].name))) {
			was[n] = c->t[k];
			at[n++] = k;
			ok = ok && (same_bytes ? respell : resize)(&c->t[k], d);
		}
	for (k = 0; ok && k < n; k++)
		c->dirty[c->t[at[k]].shard] = true;
	for (s = 0; ok && s < c->n_shards; s++) /* those of this case, and those of the last */
		if (c->dirty[s]) {
			unlink(model_file(dir, c->shard[s]).s); /* cheaper than to truncate it */
			ck_write_shard(c, s, dir);
		}
	if (ok) {
		memset(c->dirty, 0, sizeof c->dirty);
		rc = logits_of(source, dir, rule);
		snprintf(text, sizeof text, "%s %s as %s (%s, %s): exit %d %s, not %s",
			c->t[i].name, was[0].type, d->name,
			same_bytes ? "same bytes" : "same shape", all ? "every file" : "one file",
			rc, rule, want);
		CHECK_IN(text, rc == status_of(want) && !strcmp(rule, want));
	}
	for (k = 0; k < n; k++) {
		c->t[at[k]] = was[k];
		c->dirty[was[k].shard] = c->dirty[was[k].shard] || ok; /* on disk */
	}
}

/* A model of three layers, one of each kind of attention, with all roles but those of stages. */
static const char *model(void)
{
	static struct path dir;
	char args[1024];

	if (dir.s[0])
		return dir.s;
	dir = dirs_path("model");
	snprintf(args, sizeof args,
		"%s --config " PRO
		"/config.json --set vocab_size=16 --set n_routed_experts=4 --set "
		"num_experts_per_tok=2 --set hidden_size=128 --set num_nextn_predict_layers=0 --set "
		"'compress_ratios=[0,4,128]'",
		dir.s);
	if (model_tool("mkmodel", args))
		FAILED("mkmodel");
	return dir.s;
}

/* Every dtype in every role of a folder that lies at made, whose name has `of` in it. At least that many cases. */
static void substitute(const char *source, const char *made, bool ranks, const char *of,
	size_t least)
{
	struct ck *c = ck_load(made);
	struct path dir = model_copy(made, "substituted");
	unsigned d, s;
	size_t i, cases = 0;

	widen(c);
	for (s = 0; s < c->n_shards; s++) { /* files of our own, not links */
		unlink(model_file(dir.s, c->shard[s]).s);
		ck_write_shard(c, s, dir.s);
	}
	for (i = 0; i < c->n; i++)
		for (d = 0; strstr(c->t[i].name, of) && first_of_role(c, i) && d < DT_COUNT; d++) {
			if (!strcmp(dtypes[d].name, c->t[i].type))
				continue;
			one_case(c, i, &dtypes[d], true, true, ranks, source, dir.s);
			one_case(c, i, &dtypes[d], false, true, ranks, source, dir.s);
			if (ranks)
				one_case(c, i, &dtypes[d], true, false, ranks, source, dir.s);
			cases++;
		}
	CHECK(cases >= least); /* roles times dtypes */
	ck_free(c);
}

static void rank_files(void)
{
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("mp2");

	CHECK(convert(&j, model(), out.s));
	substitute(model(), out.s, true, "", 500);
}

/* Only routed experts are another than in rank_files. */
static void rank_files_fp8(void)
{
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("mp2-fp8");

	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, model(), out.s));
	substitute(model(), out.s, true, ".ffn.experts.", 100);
}

static void checkpoint(void)
{
	substitute(model(), model(), false, "", 500);
}

/* A copy of a tensor that every rank holds whole, damaged on one rank only. */
static void copies_differ(void)
{
	static const char *const names[] = { "layers.1.attn.wkv.weight", "layers.0.hc_attn_fn",
		"layers.2.ffn.gate.weight", "norm.weight", "layers.0.ffn.gate.tid2eid" };
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("copies"), dir = dirs_path("copies-of");
	char rule[64];
	struct ck *c;
	unsigned i;
	size_t k, at;

	CHECK(convert(&j, FLASH, out.s));
	c = ck_load(out.s);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		for (k = c->n; k-- > 0 && strcmp(c->t[k].name, names[i]) != 0;)
			;
		CHECK_IN(names[i], k < c->n && c->t[k].shard == 1);
		if (k >= c->n)
			continue;
		at = strstr(names[i], "tid2eid") ? 5 * 8 * c->t[k].dim[1] : 40; /* of token 5 */
		c->t[k].p[at] ^= 1;
		c->dirty[1] = true;
		dirs_remove(dir.s);
		dir = ck_write(c, "copies-of");
		CHECK_IN(names[i],
			logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "rank.copies"));
		c->t[k].p[at] ^= 1;
	}
	ck_free(c);
}

static void rank_gone(const char *dir)
{
	unlink(model_file(dir, "model1-mp2.safetensors").s);
}

static void rank_beyond(const char *dir)
{
	model_put(dir, "model2-mp4.safetensors", "x", 1);
}

/* Sets that are not whole, and experts where they do not belong. */
static void rank_sets(void)
{
	static const struct {
		const char *rule;
		void (*harm)(const char *dir);
	} cases[] = { { "rank.missing", rank_gone }, { "rank.mixed", rank_beyond } };
	struct model_job j = model_job("official", 2);
	struct path out = dirs_path("set2"), dir;
	char rule[64], name[64];
	struct ck *c;
	unsigned i;
	size_t k;

	CHECK(convert(&j, FLASH, out.s));
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "harmed%u", i);
		dir = model_copy(out.s, name);
		cases[i].harm(dir.s);
		CHECK_IN(cases[i].rule,
			logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, cases[i].rule));
	}
	c = ck_load(out.s);
	for (k = 0; k < c->n; k++)
		if (!strcmp(c->t[k].name, "layers.0.ffn.experts.0.w1.weight"))
			c->t[k].shard = 1; /* of rank 0 */
	c->dirty[0] = c->dirty[1] = true;
	dir = ck_write(c, "moved");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "model.scale-orphan"));
	for (k = 0; k < c->n; k++)
		if (!strcmp(c->t[k].name, "layers.0.ffn.experts.0.w1.scale"))
			c->t[k].shard = 1;
	dir = ck_write(c, "moved2");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "rank.expert-twice"));
	for (k = 0; k < c->n; k++)
		c->t[k].gone = !strncmp(c->t[k].name, "layers.0.ffn.experts.0.w1", 25);
	dir = ck_write(c, "lost");
	CHECK(logits_of(FLASH, dir.s, rule) == 1 && !strcmp(rule, "model.missing"));
	ck_free(c);
}

/* --- sets for an engine --- */

enum {
	FILE_,
	SIDE,
	RANK,
	TOP,
	KEPT
}; /* what a case changes: a file, its sidecar, the manifests above */

/* One file of rank 1 of a set of two, as it was, and as it is to be. */
struct rank_file_case {
	const char *top, *name; /* borrow; the set; the file */
	struct path path[KEPT];
	uint8_t *was[KEPT]; /* owns */
	size_t n[KEPT];
	json_t *header, *sidecar; /* own */
};

static void case_open(struct rank_file_case *x, const char *top, const char *name)
{
	char side[128];
	struct path dir = chain_path(top, "rank-1-of-2");
	unsigned i;

	snprintf(side, sizeof side, "%.100s.manifest.json", name);
	*x = (struct rank_file_case){ .top = top, .name = name };
	x->path[FILE_] = chain_path(dir.s, name);
	x->path[SIDE] = chain_path(dir.s, side);
	x->path[RANK] = chain_path(dir.s, "manifest.json");
	x->path[TOP] = chain_path(top, "manifest.json");
	for (i = 0; i < KEPT; i++) {
		x->was[i] = file_get_all(x->path[i].s, &x->n[i]);
		if (!x->was[i])
			exit(2);
	}
}

static size_t header_end(const struct rank_file_case *x)
{
	uint64_t len;

	memcpy(&len, x->was[FILE_], 8);
	return 8 + (size_t)len;
}

/* Header and sidecar as they were, to be changed. */
static void case_begin(struct rank_file_case *x)
{
	json_decref(x->header);
	json_decref(x->sidecar);
	x->header = json_loadb((char *)x->was[FILE_] + 8, header_end(x) - 8, 0, NULL);
	x->sidecar = json_loadb((char *)x->was[SIDE], x->n[SIDE], 0, NULL);
	if (!x->header || !x->sidecar)
		exit(2);
}

/* Writes the header, as long as it was. mend: the sidecar too, and all digests above them. */
static void case_write(struct rank_file_case *x, bool mend)
{
	char *s = json_dumps(x->header, JSON_COMPACT), hex[65];
	size_t end = header_end(x);
	uint8_t *p = malloc(x->n[FILE_]);

	if (!s || strlen(s) > end - 8)
		exit(2);
	memcpy(p, x->was[FILE_], x->n[FILE_]);
	memset(p + 8, ' ', end - 8);
	memcpy(p + 8, s, strlen(s));
	file_put_all(x->path[FILE_].s, p, x->n[FILE_]);
	free(s);
	free(p);
	if (!mend)
		return;
	digest_file(x->path[FILE_].s, hex);
	json_object_set_new(json_object_get(x->sidecar, "file"), "sha256", json_string(hex));
	json_dump_file(x->sidecar, x->path[SIDE].s, JSON_INDENT(1) | JSON_SORT_KEYS);
	chain_mend_file(x->top, "rank-1-of-2", x->name);
}

/* Runs logits, looks at what it says, and puts all back. */
static void case_end(struct rank_file_case *x, const char *what, bool mended, const char *want)
{
	char got[64], text[256];
	int rc = logits_of(model(), x->top, got);
	unsigned i;

	snprintf(text, sizeof text, "%s%s: exit %d %s, not %s", what, mended ? " (mended)" : "", rc,
		got, want);
	CHECK_IN(text, rc == (want[0] ? 1 : 0) && !strcmp(got, want));
	for (i = 0; i < (mended ? KEPT : FILE_ + 1u); i++)
		file_put_all(x->path[i].s, x->was[i], x->n[i]);
}

static void case_close(struct rank_file_case *x)
{
	unsigned i;

	for (i = 0; i < KEPT; i++)
		free(x->was[i]);
	json_decref(x->header);
	json_decref(x->sidecar);
}

static json_t *in_sidecar(const struct rank_file_case *x, const char *name)
{
	json_t *t;
	size_t i;

	json_array_foreach(json_object_get(x->sidecar, "tensors"), i, t)
	{
		if (!strcmp(json_string_value(json_object_get(t, "name")), name))
			return t;
	}
	FAILED(name);
	exit(2);
}

/* The tensor gets dtype d in header and sidecar, and dimensions that fit its bytes. Returns false if none do. */
static bool case_respell(struct rank_file_case *x, const char *name, const struct dtype_row *d)
{
	json_t *h = json_object_get(x->header, name), *dim = json_object_get(h, "shape"),
	       *at = json_object_get(h, "data_offsets"), *t = in_sidecar(x, name);
	uint64_t bits = 8 *
		(uint64_t)(json_integer_value(json_array_get(at, 1)) -
			json_integer_value(json_array_get(at, 0)));
	size_t n = json_array_size(dim), i;

	for (i = 0; i + 1 < n; i++)
		bits /= (uint64_t)json_integer_value(json_array_get(dim, i));
	if (!n || bits % d->bits)
		return false;
	json_array_set_new(dim, n - 1, json_integer((json_int_t)(bits / d->bits)));
	json_object_set_new(h, "dtype", json_string(d->name));
	json_object_set_new(t, "dtype", json_string(d->name));
	json_object_set(t, "shape", dim);
	return true;
}

/* A set of two ranks; tp: all is cut, else all that is no expert is on both. */
static struct path set_of_two(const char *name, bool tp)
{
	struct job_opts o = set_opts("marlin-mxfp4", 2, tp);
	struct path out = dirs_path(name);
	struct err e;

	if (set_execute(model(), out.s, &o, &e))
		FAILED(e.text);
	chain_mend(out.s,
		0); /* all manifests have its form, so that it changes only what is above a case */
	return out;
}

#define SOME_LAYER \
	"model-00003-of-00005.safetensors" /* with indexer and experts; all roles but embedding and head */
#define NEXT_LAYER "model-00004-of-00005.safetensors"

/* Every dtype for every tensor of a file of a rank that is read second: in its header alone, and in its sidecar with
 * all digests above it. */
static void engine_set(void)
{
	struct path top = set_of_two("set", false);
	struct rank_file_case x;
	char text[160];
	json_t *all, *v;
	const char *key;
	unsigned d, mend, cases = 0;

	case_open(&x, top.s, SOME_LAYER);
	case_begin(&x);
	all = json_deep_copy(x.header);
	json_object_foreach(all, key, v)
	{
		for (d = 0; d < DT_COUNT && strcmp(key, "__metadata__") != 0; d++)
			for (mend = 0; mend < 2; mend++) {
				case_begin(&x);
				if (!strcmp(dtypes[d].name,
					    json_string_value(json_object_get(v, "dtype"))) ||
					!case_respell(&x, key, &dtypes[d]))
					continue;
				case_write(&x, mend);
				snprintf(text, sizeof text, "%.100s as %s", key, dtypes[d].name);
				case_end(&x, text, mend, mend ? "set.form" : "check.header");
				cases++;
			}
	}
	CHECK(cases > 500);
	case_end(&x, "as it was", false, "");
	json_decref(all);
	case_close(&x);
}

static void swap_members(json_t *o, const char *a, const char *b)
{
	json_t *x = json_incref(json_object_get(o, a));

	json_object_set(o, a, json_object_get(o, b));
	json_object_set_new(o, b, x);
}

static void put_meta(struct rank_file_case *x, const char *key, const char *value)
{
	json_object_set_new(json_object_get(x->header, "__metadata__"), key, json_string(value));
}

/* What a header and a sidecar may say together, and must not: names, orders and layouts of other tensors. */
static void engine_set_forms(void)
{
	static const char w1[] = "layers.1.ffn.shared_experts.w1.weight",
			  w3[] = "layers.1.ffn.shared_experts.w3.weight",
			  w13[] = "layers.1.ffn.experts.w13.weight";
	struct path top = set_of_two("set-forms", false);
	struct rank_file_case x;
	json_t *s, *t, *name;

	case_open(&x, top.s, SOME_LAYER);
	case_begin(&x); /* two tensors change their names, in header and sidecar */
	swap_members(x.header, w1, w3);
	name = json_incref(json_object_get(in_sidecar(&x, w1), "name"));
	t = in_sidecar(&x, w3);
	json_object_set(in_sidecar(&x, w1), "name", json_object_get(t, "name"));
	json_object_set_new(t, "name", name);
	case_write(&x, true);
	case_end(&x, "names", true, "set.form");
	case_begin(&x); /* each says to be made of the other */
	swap_members(x.header, w1, w3);
	s = json_incref(json_object_get(in_sidecar(&x, w1), "sources"));
	t = in_sidecar(&x, w3);
	json_object_set(in_sidecar(&x, w1), "sources", json_object_get(t, "sources"));
	json_object_set_new(t, "sources", s);
	case_write(&x, true);
	case_end(&x, "names and sources", true, "check.header");
	case_begin(&x); /* experts in another order */
	s = json_object_get(in_sidecar(&x, w13), "sources");
	t = json_incref(json_array_get(s, 0));
	json_array_set(s, 0, json_array_get(s, 2));
	json_array_set_new(s, 2, t);
	case_write(&x, true);
	case_end(&x, "order of experts", true, "check.header");
	put_meta(&x, "dsv4.experts", "3,2");
	case_write(&x, true);
	case_end(&x, "order of experts, in the metadata too", true, "set.form");
	case_begin(&x);
	json_object_set_new(json_object_get(in_sidecar(&x, w13), "layout"), "name",
		json_string("marlin4-a8"));
	case_write(&x, true);
	case_end(&x, "layout", true, "check.header");
	put_meta(&x, "dsv4.layouts",
		"w13.weight marlin4-a8/1, w13.scale marlin-sf-a16/1, w2.weight marlin4-a16/1, w2.scale "
		"marlin-sf-a16/1");
	case_write(&x, true);
	case_end(&x, "layout, in the metadata too", true, "set.form");
	case_close(&x);
}

/* What a loader reads in the metadata of rank 1: each member another text, or gone, or one more. */
static void engine_set_metadata(void)
{
	static const char *const key[] = { "dsv4.experts", "dsv4.layouts", "dsv4.w13", "dsv4.w2",
		"dsv4.target", "dsv4.alignment", "format" };
	struct path top = set_of_two("set-meta", false);
	struct rank_file_case x;
	json_t *meta;
	size_t i;

	case_open(&x, top.s, SOME_LAYER);
	for (i = 0; i < sizeof key / sizeof *key; i++) {
		case_begin(&x);
		meta = json_object_get(x.header, "__metadata__");
		CHECK_IN(key[i], json_object_get(meta, key[i]));
		CHECK(!json_object_set_new(meta, key[i], json_string("9,8")));
		case_write(&x, true);
		case_end(&x, key[i], true, "check.header");
		case_begin(&x);
		json_object_del(json_object_get(x.header, "__metadata__"), key[i]);
		case_write(&x, true);
		case_end(&x, key[i], true, "check.header");
	}
	case_begin(&x);
	json_object_set_new(json_object_get(x.header, "__metadata__"), "dsv4.more",
		json_string("x"));
	case_write(&x, true);
	case_end(&x, "one more", true, "check.header");
	case_begin(&x);
	json_object_del(x.header, "__metadata__");
	case_write(&x, true);
	case_end(&x, "none", true, "check.header");
	case_close(&x);
}

/* A byte of the payload of rank 1, which is read after that of rank 0. */
static void engine_set_copies(void)
{
	static const char *const names[] = { "layers.1.attn.wkv.weight", "layers.1.hc_attn_fn",
		"layers.1.ffn.gate.weight", "layers.1.attn.wkv.scale" };
	struct path top = set_of_two("set-copies", false);
	struct rank_file_case x;
	size_t i, at;

	case_open(&x, top.s, SOME_LAYER);
	case_begin(&x);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		at = header_end(&x) +
			(size_t)json_integer_value(
				json_array_get(json_object_get(json_object_get(x.header, names[i]),
						       "data_offsets"),
					0));
		x.was[FILE_][at] ^= 1;
		file_put_all(x.path[FILE_].s, x.was[FILE_], x.n[FILE_]);
		x.was[FILE_][at] ^= 1;
		case_end(&x, names[i], false, "rank.copies");
	}
	case_close(&x);
}

/* A rank that lacks a tensor, and one that is not there at all. */
static void engine_set_lacks(void)
{
	static const char norm[] = "layers.1.ffn_norm.weight", sink[] = "layers.1.attn.attn_sink",
			  other[] = "layers.2.attn.attn_sink";
	struct path top = set_of_two("set-lacks", false);
	struct rank_file_case x;
	json_t *t;
	char rule[64];

	case_open(&x, top.s, SOME_LAYER);
	case_begin(&x); /* its bytes are said to be one more copy of another tensor */
	t = json_object_get(x.header, norm);
	json_object_set(x.header, "layers.9.ffn_norm.weight", t);
	json_object_del(x.header, norm);
	json_object_set_new(in_sidecar(&x, norm), "name", json_string("layers.9.ffn_norm.weight"));
	case_write(&x, true);
	case_end(&x, "renamed", true, "set.form");
	case_close(&x);
	case_open(&x, top.s, NEXT_LAYER);
	case_begin(
		&x); /* a tensor of another layer instead, which the rank has in another file too */
	json_object_set(x.header, sink, json_object_get(x.header, other));
	json_object_del(x.header, other);
	t = in_sidecar(&x, other);
	json_object_set_new(t, "name", json_string(sink));
	t = json_array_get(json_object_get(t, "sources"), 0);
	json_object_set_new(t, "tensor", json_string(sink));
	case_write(&x, true);
	case_end(&x, "twice", true,
		"set.form"); /* its digest is not that of the tensor of that name */
	case_close(&x);
	dirs_remove(chain_path(top.s, "rank-1-of-2").s);
	CHECK(logits_of(model(), top.s, rule) == 1 && !strcmp(rule, "set.incomplete"));
}

static const struct test tests[] = {
	{ "rank_files", rank_files },
	{ "rank_files_fp8", rank_files_fp8 },
	{ "checkpoint", checkpoint },
	{ "copies_differ", copies_differ },
	{ "rank_sets", rank_sets },
	{ "engine_set", engine_set },
	{ "engine_set_forms", engine_set_forms },
	{ "engine_set_metadata", engine_set_metadata },
	{ "engine_set_copies", engine_set_copies },
	{ "engine_set_lacks", engine_set_lacks },
	{ NULL, NULL },
};
TEST_MAIN(tests)
