/* test_atlas.c -- dsv4-verify atlas: figures of values that are known, of every number format that is written, the same bytes
 * for any number of threads; bounds of blocks; files that are damaged or lie; folders that do not belong together.
 *
 * tests/oracle/atlas.py holds the figures to numpy and to the decoders of ggml.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "quant/codec.h"
#include "quant/ggml_back.h"
#include "tests/ck.h"
#include "tests/shell.h"
#include "verify/atlas/atlas_file.h"
#include "verify/atlas/range.h"

#include <jansson.h>
#include <math.h>

#define MODEL \
	"--config tests/configs/small4.json --set head_dim=256 --set num_hidden_layers=2 --set compress_ratios=[0,4,0]"

/* --- sums --- */

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-12 * fabs(b);
}

static void figures(void)
{
	static const double w[6] = { 1, -2, 0, 0.5, 3, -0.25 },
			    q[6] = { 1, -2.5, -0.0, 0, 2, -0.25 },
			    lo[6] = { -2, -2, -2, -2, -2, -2 }, hi[6] = { 2, 2, 2, 2, 2, 2 };
	static const float weight[6] = { 1, 2, 3, 4, 5, 6 };
	static const double bad[2] = { 1, NAN }, good[2] = { 1, 1 };
	struct sums s = { 0 }, t = { 0 };

	sums_row(&s, w, q, 6, lo, hi, weight);
	CHECK(s.n == 6 && s.exact == 3 && s.flushed == 1 && s.clipped == 1 && !s.odd);
	CHECK(near(s.energy, 1 + 4 + 0.25 + 9 + 0.0625) && near(s.error, 0.25 + 0.25 + 1));
	CHECK(near(s.cross, 1 + 5 + 6 + 0.0625) && near(s.out, 1 + 6.25 + 4 + 0.0625));
	CHECK(near(s.weighed_error, 2 * 0.25 + 4 * 0.25 + 5));
	CHECK(near(s.weighed_energy, 1 + 2 * 4 + 4 * 0.25 + 5 * 9 + 6 * 0.0625));
	CHECK(near(s.max_abs, 1) && near(sums_rms(s.error, s.energy), sqrt(1.5 / 14.3125)));
	CHECK(near(sums_sqnr(s.error, s.energy), 10 * log10(14.3125 / 1.5)));
	CHECK(near(sums_cosine(&s), 12.0625 / sqrt(14.3125 * 11.3125)));
	t = s;
	sums_add(&t, &s);
	CHECK(t.n == 12 && t.exact == 6 && near(t.energy, 2 * s.energy) && near(t.max_abs, 1));
	t = (struct sums){ 0 };
	sums_row(&t, bad, good, 2, NULL, NULL, NULL);
	CHECK(t.n == 2 && t.odd == 1 && t.exact == 1 && near(t.energy, 1));
	CHECK(isnan(sums_sqnr(0, 1)) && isnan(sums_rms(1, 0)));
}

/* --- bounds --- */

static uint8_t next_byte(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (uint8_t)(*x >> 24);
}

/* Of random blocks: every value lies between the bounds, and at most half an outermost step from one where its code is the
 * last. levels: how many steps there are between the lowest and the highest number. */
static void bounds_of(uint32_t type, double steps)
{
	const struct ggml_type_row *r = ggml_type_find(type);
	struct lie l = { .rows = 1, .cols = 256, .ggml = type, .second = 1 };
	uint8_t raw[1024], room[1024];
	double v[256], lo[256], hi[256], span;
	uint64_t x = 88172645463325252u + type;
	unsigned k, i, inside = 0, all = 0, ends = 0;

	l.row_bytes = l.stride = 256u / r->items * r->bytes;
	CHECK_IN(r->name, range_how(&l) >= RANGE_CODES);
	for (k = 0; k < 200; k++) {
		for (i = 0; i < l.row_bytes; i++)
			raw[i] = next_byte(&x) &
				(type == GGML_MXFP4 || type == GGML_NVFP4 ? 0x77 : 0xff);
		CHECK(ggml_values(type, raw, 256, 0, v));
		range_row(&l, raw, 0, 1, 0, room, lo, hi);
		for (i = 0; i < 256; i++) {
			if (!isfinite(v[i]) || !isfinite(lo[i]) || !isfinite(hi[i]))
				continue;
			all++;
			inside += v[i] >= lo[i] && v[i] <= hi[i];
			span = (hi[i] - lo[i]) / (steps + 1) /
				2; /* half a step: the bounds lie that far out */
			ends += fabs(v[i] - lo[i] - span) <= 1e-6 * span ||
				fabs(hi[i] - v[i] - span) <= 1e-6 * span;
		}
	}
	CHECK_IN(r->name, all > 10000 && inside == all);
	CHECK_IN(r->name, ends > all / 1000);
}

static void bounds(void)
{
	static const struct {
		uint32_t type;
		double steps;
	} types[] = { { GGML_Q8_0, 255 }, { GGML_MXFP4, 6 }, { 2, 15 }, { 3, 15 }, { 6, 31 },
		{ 7, 31 }, { GGML_Q2_K, 3 }, { GGML_Q3_K, 7 }, { GGML_Q4_K, 15 }, { GGML_Q5_K, 31 },
		{ GGML_Q6_K, 63 }, { GGML_IQ4_NL, 10 }, { 23, 10 }, { GGML_NVFP4, 6 },
		{ GGML_IQ2_XXS, 86.0 / 18 }, { GGML_IQ3_XXS, 12.4 } };
	struct lie l = { .ggml = 17 /* IQ2_XS */ };
	size_t i;

	for (i = 0; i < sizeof types / sizeof *types; i++)
		bounds_of(types[i].type, types[i].steps);
	CHECK(range_how(&l) == RANGE_UNKNOWN);
	l.ggml = GGML_F16;
	CHECK(range_how(&l) == RANGE_NONE);
	l.codec = CODEC_NVFP4;
	CHECK(range_how(&l) == RANGE_CODES);
}

/* --- models --- */

static struct path model(void)
{
	struct path p = dirs_path("atlas");
	char args[900];

	snprintf(args, sizeof args, "%s " MODEL, p.s);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

/* A result of the model in that format; made once. */
static struct path made(const struct path *m, const char *to, const char *more)
{
	char name[64];
	struct path p;

	snprintf(name, sizeof name, "atlas.%s", to);
	p = dirs_path(name);
	if (!is_file(p.s))
		CHECK_IN(to,
			ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s -q %s", m->s, p.s, to,
				more));
	return p;
}

static struct path atlas_of(const struct path *m, const struct path *o, const char *to)
{
	char name[64];
	struct path p;

	snprintf(name, sizeof name, "%s.jsonl", to);
	p = dirs_path(name);
	if (!is_file(p.s))
		CHECK_IN(to,
			ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m->s, o->s,
				p.s));
	return p;
}

static void read_file(struct atlas *a, const struct path *p)
{
	struct err e = { 0 };

	memset(a, 0, sizeof *a);
	CHECK_IN(p->s, !atlas_read(a, io_posix(), p->s, &e));
	CHECK_IN(e.text, e.kind == ERR_NONE);
}

/* Every exact form is exact, measured from what lies there. */
static void exact_forms(void)
{
	static const char *const forms[][2] = { { "fp8", "" }, { "bf16", "" }, { "mxfp8", "" },
		{ "nvfp4", "--input-scale 0.01" }, { "ct-mxfp4", "" }, { "ct-mxfp8", "" },
		{ "ct-nvfp4a16", "" }, { "mlx", "" }, { "gguf", "" } };
	struct path m = model(), o, f;
	struct atlas a;
	size_t i, k;

	for (i = 0; i < sizeof forms / sizeof *forms; i++) {
		o = made(&m, forms[i][0], forms[i][1]);
		f = atlas_of(&m, &o, forms[i][0]);
		read_file(&a, &f);
		CHECK_IN(forms[i][0], a.n > 100);
		for (k = 0; k < a.n; k++)
			CHECK_IN(a.v[k].tensor,
				a.v[k].s.exact == a.v[k].s.n && !(a.v[k].s.error > 0) &&
					a.v[k].clips);
		atlas_free(&a);
	}
	o = dirs_path("stacked");
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mlx --stack -q", m.s, o.s));
	CHECK(ends(2, "one tensor there", "dsv4-verify", "atlas %s %s", m.s, o.s));
}

/* The record of the tensor in the sidecar at path has these counts of blocks; false: it has none. */
static bool counted(const json_t *sidecar, const char *tensor, json_int_t *total, json_int_t *exact)
{
	const json_t *list = json_object_get(sidecar, "tensors"), *t, *blocks;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		t = json_array_get(list, i);
		if (strcmp(json_string_value(json_object_get(t, "name")), tensor) != 0)
			continue;
		blocks = json_object_get(t, "blocks");
		*total = json_integer_value(json_object_get(blocks, "total"));
		*exact = json_integer_value(json_object_get(blocks, "exact"));
		return blocks != NULL;
	}
	return false;
}

/* What the run counted as rounded is what the atlas finds not exact, tensor by tensor of the GGUF. */
static void as_the_run_says(void)
{
	struct path m = model(), o = made(&m, "gguf-q2", ""), f = atlas_of(&m, &o, "gguf-q2");
	static const char *const names[][2] = { { "blk.0.ffn_gate_exps.weight",
							"layers.0.ffn.experts." },
		{ "blk.0.attn_q_a.weight", "layers.0.attn.wq_a." },
		{ "token_embd.weight", "embed." }, { "output.weight", "head." },
		{ "blk.1.attn_q_b.weight", "layers.1.attn.wq_b." } };
	char path[900];
	json_t *sidecar;
	struct atlas a;
	size_t i, k;
	uint64_t exact, all;
	json_int_t total = 0, kept = 0;

	snprintf(path, sizeof path, "%s/model.gguf.manifest.json", o.s);
	sidecar = json_load_file(path, 0, NULL);
	CHECK(sidecar);
	read_file(&a, &f);
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		CHECK_IN(names[i][0], counted(sidecar, names[i][0], &total, &kept));
		exact = all = 0;
		for (k = 0; k < a.n; k++)
			if (!strncmp(a.v[k].tensor, names[i][1], strlen(names[i][1])) &&
				!strstr(a.v[k].tensor, ".w2.") && !strstr(a.v[k].tensor, ".w3.")) {
				all += a.v[k].s.n;
				exact += a.v[k].s.exact;
			}
		CHECK_IN(names[i][0], total > 0 && all > 0);
		/* a block is exact where all of its values are: so many values at least */
		CHECK_IN(names[i][0], (exact == all) == (kept == total));
		CHECK_IN(names[i][0], (double)exact >= (double)kept / (double)total * (double)all);
	}
	json_decref(sidecar);
	atlas_free(&a);
}

static bool alike(const struct path *a, const struct path *b)
{
	size_t n = 0, m = 1;
	uint8_t *x = file_get_all(a->s, &n), *y = file_get_all(b->s, &m);
	bool same = x && y && n == m && !memcmp(x, y, n);

	free(x);
	free(y);
	return same;
}

/* One thread and several write the same bytes; a GGUF that is named by itself is the model without its drafts. */
static void any_threads(void)
{
	struct path m = model(), o = made(&m, "gguf-q2", ""), f = atlas_of(&m, &o, "gguf-q2"),
		    one = dirs_path("one.jsonl"), many = dirs_path("many.jsonl"),
		    alone = dirs_path("alone.jsonl");
	struct atlas a, b;

	CHECK(ends(0, NULL, "dsv4-verify", "atlas -q %s %s -o %s -j 1", m.s, o.s, one.s));
	CHECK(ends(0, NULL, "dsv4-verify", "atlas -q %s %s -o %s -j 7", m.s, o.s, many.s));
	CHECK(alike(&one, &many) && alike(&one, &f));
	CHECK(ends(0, "a file of their own", "dsv4-verify", "atlas %s %s/model.gguf -o %s", m.s,
		o.s, alone.s));
	read_file(&a, &f);
	read_file(&b, &alone);
	CHECK(b.n && b.n < a.n && strncmp(b.v[b.n - 1].tensor, "mtp.", 4) != 0);
	CHECK(!strncmp(a.v[a.n - 1].tensor, "norm", 4) || !strncmp(a.v[a.n - 1].tensor, "mtp.", 4));
	atlas_free(&a);
	atlas_free(&b);
}

/* Tokens of each expert, and errors by importance. */
static void with_importance(void)
{
	struct path m = model(), o = made(&m, "gguf-q2", ""), x = dirs_path("im.gguf"),
		    f = dirs_path("use.jsonl"), other = dirs_path("wide"),
		    y = dirs_path("wide.gguf");
	struct atlas a;
	size_t i, experts = 0, weighed = 0;
	double tokens = 0;
	char args[900];

	CHECK(ends(0, NULL, "dsv4-quant", "imatrix %s --tokens 3,7,11,250,17,9,40,2 -o %s -q", m.s,
		x.s));
	CHECK(ends(0, "by use", "dsv4-verify", "atlas %s %s --imatrix %s -o %s", m.s, o.s, x.s,
		f.s));
	CHECK(holds(f.s, "\"relative_rms_by_use\": 0.") && !holds(f.s, "\"imatrix_sha256\": null"));
	read_file(&a, &f);
	for (i = 0; i < a.n; i++) {
		weighed += a.v[i].weighed;
		if (strncmp(a.v[i].tensor, "layers.0.ffn.experts.", 21) != 0 ||
			!strstr(a.v[i].tensor, ".w1."))
			continue;
		experts++;
		tokens += a.v[i].use;
	}
	CHECK(experts == 12 && near(tokens, 8 * 3)); /* of 12 experts each token goes to 3 */
	CHECK(weighed > 3 * experts);
	atlas_free(&a);
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set head_dim=256 --set hidden_size=512 --set num_hidden_layers=2 --set compress_ratios=[0,4,0]",
		other.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(0, NULL, "dsv4-quant", "imatrix %s --tokens 3,7,11 -o %s -q", other.s, y.s));
	CHECK(ends(2, "another model", "dsv4-verify", "atlas %s %s --imatrix %s", m.s, o.s, y.s));
	CHECK(ends(2, "--imatrix", "dsv4-verify", "atlas %s %s --imatrix %s/model.gguf", m.s, o.s,
		o.s));
}

/* --- files --- */

static bool refused(const char *name, const char *s, size_t n, const char *why)
{
	struct path p = dirs_path("bad.jsonl");
	struct atlas a = { 0 };
	struct err e = { 0 };
	bool no;

	file_put_all(p.s, s, n);
	no = atlas_read(&a, io_posix(), p.s, &e) && e.kind == ERR_USAGE && e.rule &&
		!strcmp(e.rule, "atlas.file") && (!why || strstr(e.text, why));
	CHECK_IN(name, no);
	if (!no)
		fprintf(stderr, "%s: %s\n", name, e.text);
	atlas_free(&a);
	return no;
}

/* The file with its last line made anew, so that the digest holds; *n is its new length. */
static char *sealed_anew(char *s, size_t *n)
{
	char *last = s + *n - 1, *p;
	char hex[33];
	struct xxh_digest d;
	size_t lines = 0;

	while (last > s && last[-1] != '\n')
		last--;
	for (p = s; p < last; p++)
		lines += *p == '\n';
	d = xxh_of(s, (size_t)(last - s));
	hex_of(d.b, sizeof d.b, hex);
	*n = (size_t)(last - s) +
		(size_t)sprintf(last, "{\"lines\": %zu, \"xxh3_128\": \"%s\"}\n", lines, hex);
	return s;
}

/* Replaces the first `from` behind the first `after` by `to`, and seals. The caller frees what is returned. */
static char *edited(const char *s, size_t len, const char *after, const char *from, const char *to,
	size_t *n)
{
	const char *at = strstr(s, after);
	char *t = malloc(len + 1000);

	at = at ? strstr(at, from) : NULL;
	CHECK_IN(from, at != NULL);
	*n = (size_t)(at - s);
	memcpy(t, s, *n);
	*n += (size_t)sprintf(t + *n, "%s", to);
	memcpy(t + *n, at + strlen(from), len - (size_t)(at - s) - strlen(from) + 1);
	*n += len - (size_t)(at - s) - strlen(from);
	return sealed_anew(t, n);
}

static void lying_files(const char *s, size_t n)
{
	static const struct {
		const char *name, *after, *from, *to, *why;
	} lies[] = { { "another version", "", "dsv4-atlas-1", "dsv4-atlas-9", NULL },
		{ "fewer tensors", "", "\"tensors\": ", "\"tensors\": 9", NULL },
		{ "a count of nothing", "\"tensor\"",
			"\"values\": ", "\"values\": 0, \"values\": ", NULL },
		{ "a missing member", "\"tensor\"", "\"from\": \"bf16\", ", "", "other members" },
		{ "an unknown member", "\"tensor\"", "\"from\": ", "\"form\": ", "other members" },
		{ "a negative energy", "\"tensor\"", "\"energy\": ", "\"energy\": -", "negative" },
		{ "an endless error", "\"tensor\"",
			"\"error\": ", "\"error\": 1e999, \"x\": ", NULL },
		{ "more exact than there are", "\"tensor\"", "\"exact\": ", "\"exact\": 99999999",
			"counts" },
		{ "a long word", "\"tensor\"", "\"from\": \"",
			"\"from\": \"abcdefghijklmnopqrstuvw", NULL },
		{ "a digest of a letter", "\"tensor\"", "\"source_xxh3_128\": \"",
			"\"source_xxh3_128\": \"x", NULL },
		{ "another order", "\"tensor\"", "\"tensor\": \"embed", "\"tensor\": \"zembed",
			"order" },
		{ "other values", "\"tensor\"", "\"out_xxh3_128\": \"", "\"out_xxh3_128\": \"00",
			NULL },
		{ "no object", "\"tensor\"", "{\"tensor\"", "[\"tensor\"", NULL } };
	char *t;
	size_t i, m;

	for (i = 0; i < sizeof lies / sizeof *lies; i++) {
		t = edited(s, n, lies[i].after, lies[i].from, lies[i].to, &m);
		refused(lies[i].name, t, m, lies[i].why);
		free(t);
	}
}

static void damaged_files(void)
{
	struct path m = model(), o = made(&m, "gguf-q2", ""), f = atlas_of(&m, &o, "gguf-q2"),
		    p = dirs_path("bad.jsonl");
	size_t n, i, bad = 0, tried = 0;
	char *s = (char *)file_get_all(f.s, &n);

	CHECK(s && n > 10000);
	s[n] = 0;
	for (i = 0; i < n; i += 1 + n / 200, tried++) {
		s[i] ^= 1;
		bad += refused("a bit", s, n, NULL);
		s[i] ^= 1;
	}
	CHECK(bad == tried && tried > 100);
	refused("cut in a line", s, n / 2, NULL);
	refused("nothing", s, 0, NULL);
	refused("its first letter", s, 1, NULL);
	for (i = n - 2; s[i] != '\n'; i--)
		;
	refused("without its last line", s, i + 1, NULL);
	lying_files(s, n);
	file_put_all(p.s, s, n / 2);
	CHECK(ends(2, "not as it was written", "dsv4-verify", "atlas %s", p.s));
	CHECK(ends(2, "not as it was written", "dsv4-verify", "atlas %s %s", f.s, p.s));
	file_put_all(p.s, s, n);
	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s", p.s));
	free(s);
}

/* --- what does not belong together --- */

static void another_model(void)
{
	struct path m = model(), o = made(&m, "gguf-q2", ""), lost = dirs_path("lost"),
		    w = dirs_path("cut.jsonl"), f = atlas_of(&m, &o, "gguf-q2");
	char args[900];

	CHECK(ends(2, "atlas.models", "dsv4-verify", "atlas tests/golden/tiny-flash %s", o.s));
	CHECK(ends(2, "it is not made of that", "dsv4-verify", "atlas %s tests/golden/tiny-flash",
		m.s));
	CHECK(ends(2, "of which result", "dsv4-verify", "atlas %s", m.s));
	CHECK(ends(2, "is none", "dsv4-verify", "atlas %s %s", f.s, m.s));
	CHECK(ends(2, "an atlas already", "dsv4-verify", "atlas %s -o %s", f.s, w.s));
	CHECK(ends(2, "kind.quant", "dsv4-verify", "atlas %s %s", o.s, m.s));
	/* the sizes that both say are equal, and a matrix is not */
	snprintf(args, sizeof args, "%s " MODEL " --set q_lora_rank=256", lost.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(1, "atlas.lost", "dsv4-verify", "atlas %s %s", m.s, lost.s));
	CHECK(ends(1, "layers.1.attn.wq_b.weight", "dsv4-verify", "atlas %s %s", m.s, lost.s));
}

/* Ids of token 5 in another order: a table of ids has no error, and is held. */
static void exchange_ids(struct ck *c)
{
	struct ck_tensor *t;
	uint8_t one[8];
	size_t i = 0;

	t = ck_next(c, &i, ".gate.tid2eid", NULL);
	CHECK(t && t->n >= 8 * 8 * 5);
	if (!t)
		return;
	memcpy(one, t->p + 5 * 2 * 8, 8);
	memcpy(t->p + 5 * 2 * 8, t->p + 5 * 2 * 8 + 8, 8);
	memcpy(t->p + 5 * 2 * 8 + 8, one, 8);
}

static void other_ids(void)
{
	static const char *const to[] = { "bf16", "fp8", "gguf-q4", "w4a16" };
	struct path m = model(), other, out;
	size_t i;

	other = ck_changed(m.s, exchange_ids, "ids");
	for (i = 0; i < sizeof to / sizeof *to; i++) {
		out = dirs_gone("ids.out");
		CHECK_IN(to[i],
			ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s -q", other.s, out.s,
				to[i]));
		CHECK_IN(to[i],
			ends(0, "tables of ids", "dsv4-verify", "atlas %s %s", other.s, out.s));
		CHECK_IN(to[i], ends(1, "atlas.lost", "dsv4-verify", "atlas %s %s", m.s, out.s));
		CHECK_IN(to[i],
			ends(1, "layers.0.ffn.gate.tid2eid", "dsv4-verify", "atlas %s %s", m.s,
				out.s));
	}
}

/* A folder of which nothing is to be said but one warning is read by all who say that they leave config.json aside. */
static void lone_warning(void)
{
	struct path m = model(), w = dirs_path("warned"), n = dirs_path("warned.nvfp4"),
		    o = dirs_path("warned.out");
	char args[1800];

	snprintf(args, sizeof args,
		"cp -r %s %s && sed -i 's/\"total_size\": /&1/' %s/model.safetensors.index.json",
		m.s, w.s, w.s);
	CHECK(!system(args));
	CHECK(ends(0, "index.total-size", "dsv4-verify", "doctor %s", w.s));
	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s %s", m.s, w.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to w4a16-asym -q --atlas", w.s, o.s));
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to nvfp4 -q --input-scale 0.01", m.s,
		n.s));
	snprintf(args, sizeof args,
		"sed -i 's/\"total_size\": /&1/' %s/model.safetensors.index.json", n.s);
	CHECK(!system(args));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mlx -q --experts-from %s", m.s, o.s,
		n.s));
	CHECK(ends(0, NULL, "dsv4-verify", "compare -q %s %s --experts-from %s", m.s, o.s, n.s));
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to nvfp4 -q --input-scale %s", m.s, o.s,
		n.s));
}

/* Engram of V4.1: tables as records are measured, what was left out is counted, what is gone is lost. */
static void engram(void)
{
	static const struct {
		int status;
		const char *tool, *options, *says;
	} rows[] = { { 0, "dsv4-convert", "--target hf", "atlas: true" },
		{ 0, "dsv4-convert", "--target hf --engram separate", "atlas: true" },
		{ 0, "dsv4-convert", "--target hf --engram drop", "tensors of Engram" },
		{ 0, "dsv4-convert", "--target hf --engram separate --engram-layout record",
			"atlas: true" },
		{ 0, "dsv4-convert",
			"--target hf --engram separate --engram-layout record512 --engram-ranks 2",
			"atlas: true" },
		{ 0, "dsv4-quant", "--to engram-mxfp4", "atlas: true" },
		{ 0, "dsv4-quant", "--to engram-cb4", "atlas: true" } };
	struct path m = dirs_path("v41"), o = dirs_path("v41.out");
	char args[1200];
	size_t i;

	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json", m.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		dirs_remove(o.s);
		CHECK_IN(rows[i].options,
			ends(0, NULL, rows[i].tool, "run %s -o %s -q %s", m.s, o.s,
				rows[i].options));
		CHECK_IN(rows[i].options,
			ends(rows[i].status, rows[i].says, "dsv4-verify", "atlas %s %s", m.s, o.s));
		CHECK_IN(rows[i].options, !holds(out_file.s, "atlas.lost"));
	}
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s -q --target hf --engram drop", m.s, o.s));
	snprintf(args, sizeof args, "cp %s/config.json %s", m.s, o.s);
	CHECK(!system(args)); /* says that there is Engram */
	CHECK(ends(1, "atlas.lost: tensor layers.1.engram.embed.weight", "dsv4-verify",
		"atlas %s %s", m.s, o.s));
}

/* The entry of the table of a layer. */
static const struct atlas_entry *table_entry(const struct atlas *a, unsigned layer)
{
	char name[64];
	size_t i;

	snprintf(name, sizeof name, "layers.%u.engram.embed.weight", layer);
	for (i = 0; i < a->n && strcmp(a->v[i].tensor, name) != 0; i++)
		;
	CHECK_IN(name, i < a->n);
	return &a->v[i < a->n ? i : 0];
}

/* The sum of squared differences of the table of layer 3 and its records in 4 bits, value by value; *same: how many are equal. */
static double by_hand(const char *m, const char *o, uint64_t *same)
{
	static const double e2m1[] = { 0, 0.5, 1, 1.5, 2, 3, 4, 6 };
	struct ck *a = ck_load(m), *b = ck_load(o);
	const struct ck_tensor *w = ck_get(a, "layers.3.engram.embed.weight"),
			       *s = ck_get(a, "layers.3.engram.embed.scale"),
			       *r = ck_get(b, "layers.3.engram.embed.mxfp4");
	size_t row, c, cols = 64;
	double v[64], q, sum = 0;
	const uint8_t *x;
	unsigned code;

	*same = 0;
	CHECK(w && s && r && r->n == 306 * 34);
	for (row = 0; w && s && r && row < 306; row++) {
		codec_ops[CODEC_FP8_ROW].decode(w->p + row * cols, s->p + row * 2, 1, cols, v);
		x = r->p + row * 34;
		for (c = 0; c < cols; c++) {
			code = x[c / 2] >> (c % 2 ? 4 : 0) & 15;
			q = ldexp(e2m1[code & 7], x[32 + c / 32] - 127);
			q = code & 8 ? -q : q;
			sum += (v[c] - q) * (v[c] - q);
			*same += !(v[c] < q) && !(v[c] > q);
		}
	}
	ck_free(a);
	ck_free(b);
	return sum;
}

/* The same of records with levels. */
static double levels_by_hand(const char *m, const char *o, uint64_t *same)
{
	struct ck *a = ck_load(m), *b = ck_load(o);
	const struct ck_tensor *w = ck_get(a, "layers.3.engram.embed.weight"),
			       *s = ck_get(a, "layers.3.engram.embed.scale"),
			       *r = ck_get(b, "layers.3.engram.embed.cb4"),
			       *l = ck_get(b, "layers.3.engram.embed.levels");
	size_t row, c, cols = 64;
	double v[64], q, sum = 0;
	const uint8_t *x;
	float level[16];

	*same = 0;
	CHECK(w && s && r && l && r->n == 306 * 34 && l->n == sizeof level);
	for (row = 0; w && s && r && l && row < 306; row++) {
		codec_ops[CODEC_FP8_ROW].decode(w->p + row * cols, s->p + row * 2, 1, cols, v);
		memcpy(level, l->p, sizeof level);
		x = r->p + row * 34;
		for (c = 0; c < cols; c++) {
			q = x[32 + c / 32] < 8
				? ldexp(x[32 + c / 32], -17)
				: ldexp(8 + x[32 + c / 32] % 8, x[32 + c / 32] / 8 - 18);
			q *= (double)level[x[c / 2] >> (c % 2 ? 4 : 0) & 15];
			sum += (v[c] - q) * (v[c] - q);
			*same += !(v[c] < q) && !(v[c] > q);
		}
	}
	ck_free(a);
	ck_free(b);
	return sum;
}

/* Records have the values of the table, on one rank or several; rounded ones the error that one counts by hand. */
static void engram_records(void)
{
	static const char *const options[] = { "--engram-layout record",
		"--engram-layout record512", "--engram-layout record --engram-ranks 4",
		"--engram-layout record512 --engram-ranks 3" };
	static const uint64_t bytes[] = { 66 * 306, 512 * 306, 66 * 306, 512 * 306 };
	struct path m = dirs_path("v41"), o = dirs_path("tables"), f = dirs_path("tables.jsonl");
	const struct atlas_entry *x;
	uint64_t same;
	struct atlas a;
	char args[1800];
	double error;
	size_t i;

	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json", m.s);
	CHECK(is_file(m.s) || !model_tool("mkmodel", args));
	for (i = 0; i < sizeof options / sizeof *options; i++) {
		dirs_remove(o.s);
		CHECK(ends(0, NULL, "dsv4-convert",
			"run %s -o %s -q --target hf --engram separate %s", m.s, o.s, options[i]));
		CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m.s, o.s, f.s));
		read_file(&a, &f);
		x = table_entry(&a, 3);
		CHECK_IN(options[i], x->s.n == 306 * 64 && x->s.exact == x->s.n);
		CHECK_IN(options[i], !strcmp(x->to, "fp8-row") && x->bytes == bytes[i]);
		CHECK_IN(options[i], !memcmp(&x->source, &x->out, sizeof x->out));
		atlas_free(&a);
	}
	/* a rank that is called one of more ranks */
	snprintf(args, sizeof args,
		"sed -i s/layers.3.engram.embed.record.rank-1-of-3/layers.3.engram.embed.record.rank-1-of-4/ %s/engram-3-rank-1-of-3.safetensors %s/model.safetensors.index.json",
		o.s, o.s);
	CHECK(!system(args));
	CHECK(ends(2, "but not of all rows", "dsv4-verify", "atlas %s %s", m.s, o.s));
	CHECK(holds(out_file.s, "model.records: tensor layers.3.engram.embed.weight") &&
		!holds(out_file.s, "tensor layers.1.engram"));
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s -q --to engram-mxfp4", m.s, o.s));
	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m.s, o.s, f.s));
	read_file(&a, &f);
	x = table_entry(&a, 3);
	error = by_hand(m.s, o.s, &same);
	CHECK(!strcmp(x->to, "mxfp4") && x->bytes == 306 * 34 && x->s.exact == same);
	CHECK(same < x->s.n && error > 0 && near(x->s.error, error));
	atlas_free(&a);
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s -q --to engram-cb4", m.s, o.s));
	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas %s %s -o %s", m.s, o.s, f.s));
	read_file(&a, &f);
	x = table_entry(&a, 3);
	CHECK(!strcmp(x->to, "cb4") && x->bytes == 306 * 34 + 64);
	CHECK(x->s.error > 0 && x->s.error < error);
	error = levels_by_hand(m.s, o.s, &same);
	CHECK(x->s.exact == same && near(x->s.error, error));
	atlas_free(&a);
	snprintf(args, sizeof args,
		"sed -i s/layers.3.engram.embed.levels/layers.3.engram.embed.levelt/ %s/engram-3.safetensors %s/model.safetensors.index.json",
		o.s, o.s);
	CHECK(!system(args));
	CHECK(ends(2, "layout that is known", "dsv4-verify", "atlas %s %s", m.s, o.s));
}

/* A NaN in the result is said, and is in no sum. */
static void not_finite(void)
{
	struct path m = model(), bad = dirs_path("nan"), f = dirs_path("nan.jsonl");
	char args[900], file[1000];
	uint8_t *p, *at;
	struct atlas a;
	size_t n, i;

	snprintf(args, sizeof args, "%s " MODEL, bad.s);
	CHECK(!model_tool("mkmodel", args));
	snprintf(file, sizeof file, "%s/model-00001-of-00005.safetensors", bad.s);
	p = file_get_all(file, &n);
	CHECK(p && n > 4096);
	at = p + n - 2; /* of the embedding, which is alone in the first shard */
	at[0] = 0xff;
	at[1] = 0x7f;
	file_put_all(file, p, n);
	free(p);
	CHECK(ends(1, "data.not-finite", "dsv4-verify", "atlas %s %s -o %s", m.s, bad.s, f.s));
	read_file(&a, &f);
	for (i = 0; i < a.n; i++)
		CHECK_IN(a.v[i].tensor,
			a.v[i].s.exact + a.v[i].s.odd == a.v[i].s.n &&
				a.v[i].s.odd == !strcmp(a.v[i].tensor, "embed.weight"));
	atlas_free(&a);
}

static void two(void)
{
	struct path m = model(), q2 = made(&m, "gguf-q2", ""), q4 = made(&m, "gguf-q4", ""),
		    f = atlas_of(&m, &q2, "gguf-q2"), g = atlas_of(&m, &q4, "gguf-q4"),
		    other = dirs_path("seed2"), o2 = dirs_path("seed2.q2"),
		    h = dirs_path("seed2.jsonl"), page = dirs_path("two.html");
	char args[900];

	CHECK(ends(0, "dB here", "dsv4-verify", "atlas %s %s --report %s", f.s, g.s, page.s));
	CHECK(holds(page.s, "The other: better or worse") &&
		holds(page.s, "class=\"heat atlas\"") && !holds(page.s, "<script"));
	CHECK(holds(page.s, "an error of weights is none of the model"));
	snprintf(args, sizeof args, "%s " MODEL " --seed 2", other.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to gguf-q2 -q", other.s, o2.s));
	CHECK(ends(0, NULL, "dsv4-verify", "atlas -q %s %s -o %s", other.s, o2.s, h.s));
	CHECK(ends(2, "atlas.other", "dsv4-verify", "atlas %s %s", f.s, h.s));
	/* nothing is replaced that is no atlas */
	CHECK(ends(2, "and is not an error atlas", "dsv4-verify", "atlas %s %s -o %s/config.json",
		m.s, q2.s, m.s));
}

static const struct test tests[] = { { "atlas: figures", figures },
	{ "atlas: bounds of blocks", bounds }, { "atlas: exact forms", exact_forms },
	{ "atlas: as the run says", as_the_run_says }, { "atlas: any threads", any_threads },
	{ "atlas: importance", with_importance }, { "atlas: damaged files", damaged_files },
	{ "atlas: of another model", another_model }, { "atlas: other ids", other_ids },
	{ "atlas: lone warning", lone_warning }, { "atlas: engram", engram },
	{ "atlas: engram records", engram_records }, { "atlas: not finite", not_finite },
	{ "atlas: two of different sources", two }, { 0 } };
TEST_MAIN(tests)
