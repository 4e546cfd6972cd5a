/* test_bad.c -- one damaged checkpoint for each way a user's can be wrong: each is refused with the
 * expected rule, a sentence that names the file, and nothing written.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/model.h"

#include <errno.h>

#define MODEL "tests/golden/tiny-pro"
#define INDEX "model.safetensors.index.json"
#define LAYER "model-00002-of-00006.safetensors" /* layers.0, hash-routed, ratio 128 */
#define HEAD "model-00005-of-00006.safetensors"

/* What is done to it: fn(dir, a, b, n). */
struct bad {
	const char *name;
	void (*fn)(const char *dir, const char *a, const char *b, int64_t n);
	const char *a, *b;
	int64_t n;
	const char *rule;
	const char *says; /* something the sentence must hold: the file, the tensor */
};

/* --- ways to damage --- */

/* Replaces text a by b in the header of file LAYER, keeping length and payload right. */
static void header(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size, len, at, la = strlen(a), lb = strlen(b), i;
	uint8_t *p, *q, *end;

	(void)n;
	p = file_get_all(model_file(dir, LAYER).s, &size);
	len = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
	end = memmem(p + 8, len, a, la);
	CHECK_IN(a, end);
	if (!end)
		return;
	at = (size_t)(end - p);
	q = malloc(size + lb + 8);
	memcpy(q, p, at);
	memcpy(q + at, b, lb);
	memcpy(q + at + lb, p + at + la, size - at - la);
	len += lb - la;
	for (i = 0; i < 8; i++)
		q[i] = (uint8_t)(len >> 8 * i);
	model_put(dir, LAYER, q, size + lb - la);
	free(p);
	free(q);
}

/* Replaces the first a by b in a text file; n picks config.json (0) or the index (1). */
static void text(const char *dir, const char *a, const char *b, int64_t n)
{
	const char *name = n ? INDEX : "config.json";
	size_t size, at, la = strlen(a), lb = strlen(b);
	uint8_t *p = file_get_all(model_file(dir, name).s, &size), *q = malloc(size + lb + 1), *f;

	f = memmem(p, size, a, la);
	CHECK_IN(a, f);
	if (f) {
		at = (size_t)(f - p);
		memcpy(q, p, at);
		memcpy(q + at, b, lb);
		memcpy(q + at + lb, p + at + la, size - at - la);
		model_put(dir, name, q, size + lb - la);
	}
	free(p);
	free(q);
}

/* Removes (n < 0: -n bytes) or adds n bytes at the end of a. */
static void resize(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size;
	uint8_t *p = file_get_all(model_file(dir, a).s, &size), *q = calloc(1, size + 1000);

	(void)b;
	memcpy(q, p, size);
	model_put(dir, a, q, (size_t)((int64_t)size + n));
	free(p);
	free(q);
}

/* a consists of text b. */
static void content(const char *dir, const char *a, const char *b, int64_t n)
{
	(void)n;
	model_put(dir, a, b, strlen(b));
}

/* The first n bytes of a are zero. */
static void zeros(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size;
	uint8_t *p = file_get_all(model_file(dir, a).s, &size);

	(void)b;
	memset(p, 0, (size_t)n);
	model_put(dir, a, p, size);
	free(p);
}

/* The header length of a is n. */
static void length(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size, i;
	uint8_t *p = file_get_all(model_file(dir, a).s, &size);

	(void)b;
	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)((uint64_t)n >> 8 * i);
	model_put(dir, a, p, size);
	free(p);
}

static void gone(const char *dir, const char *a, const char *b, int64_t n)
{
	(void)b, (void)n;
	CHECK(!unlink(model_file(dir, a).s));
}

/* a becomes something that is no file: n = 0 a FIFO, 1 a folder, 2 a link to b. */
static void special(const char *dir, const char *a, const char *b, int64_t n)
{
	struct path p = model_file(dir, a);

	unlink(p.s);
	CHECK(!(n == 0 ? mkfifo(p.s, 0666) : n == 1 ? mkdir(p.s, 0777) : symlink(b, p.s)));
}

/* a has n more spaces at its end. */
static void bloat(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size;
	uint8_t *p = file_get_all(model_file(dir, a).s, &size), *q = malloc(size + (size_t)n);

	(void)b;
	memcpy(q, p, size);
	memset(q + size, ' ', (size_t)n);
	model_put(dir, a, q, size + (size_t)n);
	free(p);
	free(q);
}

/* n more shards. */
static void crowd(const char *dir, const char *a, const char *b, int64_t n)
{
	char name[64];

	(void)b;
	for (; n; n--) {
		snprintf(name, sizeof name, "more-%05lld.safetensors", (long long)n);
		CHECK(!link(model_file(dir, a).s, model_file(dir, name).s));
	}
}

/* a is also there as b. */
static void twin(const char *dir, const char *a, const char *b, int64_t n)
{
	(void)n;
	CHECK(!link(model_file(dir, a).s, model_file(dir, b).s));
}

/* Byte b[0] at byte n of tensor a, which is in LAYER. */
static void poke(const char *dir, const char *a, const char *b, int64_t n)
{
	size_t size, len;
	uint8_t *p = file_get_all(model_file(dir, LAYER).s, &size);
	char key[200], *at;
	unsigned long long begin = 0;

	len = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
	snprintf(key, sizeof key, "\"%s\"", a);
	at = memmem(p + 8, len, key, strlen(key));
	CHECK_IN(a, at && sscanf(strstr(at, "data_offsets"), "data_offsets\":[%llu", &begin) == 1);
	p[8 + len + begin + (size_t)n] = (uint8_t)b[0];
	model_put(dir, LAYER, p, size);
	free(p);
}

/* --- the table --- */

#define W1 "layers.0.ffn.experts.0.w1.weight"
#define S1 "layers.0.ffn.experts.0.w1.scale"

/* clang-format off */
static const struct bad headers[] = {
	/* files */
	{ "shard-cut",         resize,  LAYER, 0, -1,          "st.truncated",        LAYER },
	{ "shard-cut-most",    resize,  LAYER, 0, -1000000,    "st.truncated",        LAYER },
	{ "shard-longer",      resize,  LAYER, 0, 7,           "st.trailing",         LAYER },
	{ "shard-empty",       content, LAYER, "", 0,          "st.file-short",       LAYER },
	{ "shard-8-bytes",     content, LAYER, "\2\1\1\1\1\1\1\1", 0, "st.header-beyond", LAYER },
	{ "shard-zeros",       zeros,   LAYER, 0, 4096,        "st.header-short",     "begins with zeros" },
	{ "shard-lfs",         content, LAYER, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", 0, "st.header-beyond", "Git-LFS pointer" },
	{ "shard-html",        content, LAYER, "<!DOCTYPE html><html>rate limited</html>", 0, "st.header-beyond", "HTML" },
	{ "shard-header-huge", length,  LAYER, 0, INT64_MIN,   "st.header-beyond",    LAYER },
	{ "shard-header-over", length,  LAYER, 0, 1148491,     "st.header-beyond",    LAYER },
	{ "shard-header-1",    length,  LAYER, 0, 1,           "st.header-short",     LAYER },
	{ "shard-fifo",        special, LAYER, 0, 0,           "file.not-regular",    LAYER },
	{ "shard-folder",      special, LAYER, 0, 1,           "file.not-regular",    LAYER },
	{ "shard-link",        special, LAYER, "/etc/passwd", 2, "file.symlink",      LAYER },
	{ "shard-gone",        gone,    LAYER, 0, 0,           "index.shard-missing", LAYER },
	{ "shard-extra",       twin,    LAYER, "extra.safetensors", 0, "index.extra-shard", "extra.safetensors" },
	{ "shard-odd-name",    twin,    LAYER, "a b.safetensors", 0, "index.shard-name", "a b.safetensors" },
	{ "shard-case-twin",   twin,    LAYER, "Model-00002-of-00006.safetensors", 0, "index.extra-shard", "Model-00002" },
	{ "config-gone",       gone,    "config.json", 0, 0,   "config.missing",      "config.json" },
	{ "config-fifo",       special, "config.json", 0, 0,   "file.not-regular",    "config.json" },
	{ "config-text",       content, "config.json", "hello", 0, "config.syntax",   "config.json" },
	{ "config-huge",       bloat,   "config.json", 0, 1 << 20, "file.too-big",    "config.json" },
	{ "index-huge",        bloat,   INDEX, 0, 64 << 20,    "file.too-big",        INDEX },
	{ "index-gone",        gone,    INDEX, 0, 0,           "index.missing",       INDEX },
	{ "index-fifo",        special, INDEX, 0, 0,           "file.not-regular",    INDEX },
	{ "index-cut",         resize,  INDEX, 0, -10,         "json.cut",            INDEX },
	{ "index-text",        content, INDEX, "hello", 0,     "json.type",           INDEX },
	{ "index-no-map",      content, INDEX, "{\"metadata\": {}}", 0, "index.no-map", INDEX },
	/* header contents */
	{ "name-twice",        header,  "layers.0.ffn_norm.weight", "layers.0.attn_norm.weight", 0, "st.name-twice", "layers.0.attn_norm.weight" },
	{ "name-twice-escape", header,  "layers.0.ffn_norm.weight", "l\\u0061yers.0.attn_norm.weight", 0, "st.name-twice", "layers.0.attn_norm.weight" },
	{ "dtype-unknown",     header,  "\"dtype\":\"I64\"", "\"dtype\":\"F9_X\"", 0, "st.dtype-unknown", "F9_X" },
	{ "size-mismatch",     header,  "\"shape\":[256,2]", "\"shape\":[256,3]", 0, "st.size-mismatch", "tid2eid" },
	{ "size-huge",         header,  "\"shape\":[256,2]", "\"shape\":[9223372036854775808,2]", 0, "json.range", LAYER },
	{ "size-wraps",        header,  "\"shape\":[256,2]", "\"shape\":[281474976710655,281474976710655,0]", 0, "st.size", "tid2eid" },
	{ "offset-gap",        header,  "[0,4096]", "[8,4104]", 0, "st.offset-gap", "tid2eid" },
	{ "offset-overlap",    header,  "\"shape\":[4],\"data_offsets\":[4096,4112]", "\"shape\":[6],\"data_offsets\":[4096,4120]", 0, "st.offset-overlap", LAYER },
	{ "offset-swapped",    header,  "[0,4096]", "[4096,0]", 0, "st.offset-order", "tid2eid" },
	{ "offset-real",       header,  "[0,4096]", "[0,4096.0]", 0, "json.number", LAYER },
	{ "offset-three",      header,  "[0,4096]", "[0,4096,4096]", 0, "st.offset-count", "tid2eid" },
	{ "depth-bomb",        header,  "\"shape\":[256,2]", "\"shape\":[[[[[[[[256,2]]]]]]]]", 0, "json.type", LAYER },
	{ "field-extra",       header,  "\"dtype\":\"I64\"", "\"x\":{\"y\":[1]},\"dtype\":\"I64\"", 0, "st.field-unknown", "tid2eid" },
	{ "not-utf8",          header,  "tid2eid", "tid2\xff\xfe" "d", 0, "json.utf8", LAYER },
	/* the index */
	{ "index-path-up",     text, "\"model-00001-of-00006.safetensors\"", "\"../x.safetensors\"", 1, "index.shard-name", "../x.safetensors" },
	{ "index-path-abs",    text, "\"model-00001-of-00006.safetensors\"", "\"/etc/x.safetensors\"", 1, "index.shard-name", "/etc/x" },
	{ "index-path-mid",    text, "\"model-00001-of-00006.safetensors\"", "\"a/../../x.safetensors\"", 1, "index.shard-name", INDEX },
	{ "index-path-dots",   text, "\"model-00001-of-00006.safetensors\"", "\"a..b.safetensors\"", 1, "index.shard-name", INDEX },
	{ "index-path-dot",    text, "\"model-00001-of-00006.safetensors\"", "\"..safetensors\"", 1, "index.shard-name", INDEX },
	{ "index-path-nul",    text, "\"model-00001-of-00006.safetensors\"", "\"model-00001-of-00006.safetensors\\u0000\"", 1, "index.shard-name", INDEX },
	{ "index-path-long",   text, "\"model-00001-of-00006.safetensors\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.safetensors\"", 1, "index.shard-name", INDEX },
	{ "index-path-empty",  text, "\"model-00001-of-00006.safetensors\"", "\"\"", 1, "index.shard-name", INDEX },
	{ "index-path-number", text, "\"model-00001-of-00006.safetensors\"", "1", 1, "json.type", INDEX },
	{ "index-shard-new",   text, "\"model-00001-of-00006.safetensors\"", "\"model-00009-of-00006.safetensors\"", 1, "index.extra-shard", "model-00001" },
	{ "index-wrong-shard", text, "\"norm.weight\": \"model-00005", "\"norm.weight\": \"model-00002", 1, "index.wrong-shard", "norm.weight" },
	{ "index-more",        text, "\"norm.weight\"", "\"norm.bias\": \"model-00005-of-00006.safetensors\",\n\"norm.weight\"", 1, "index.not-in-shard", "norm.bias" },
	{ "index-less",        text, ",\n    \"norm.weight\": \"model-00005-of-00006.safetensors\"", "", 1, "index.not-in-index", "norm.weight" },
	{ "index-twice",       text, "\"norm.weight\"", "\"norm.weight\": \"model-00005-of-00006.safetensors\",\n\"norm.weight\"", 1, "index.twice", "norm.weight" },
	{ "index-twice-escape", text, "\"norm.weight\"", "\"n\\u006frm.weight\": \"model-00005-of-00006.safetensors\",\n\"norm.weight\"", 1, "index.twice", "norm.weight" },
	{ "index-map-twice",   text, "\"weight_map\"", "\"weight_map\": {}, \"weight_map\"", 1, "index.twice", INDEX },
	{ "index-nul-name",    text, "\"norm.weight\"", "\"norm\\u0000.weight\"", 1, "index.name", INDEX },
	/* config.json against the tensors */
	{ "experts-unsaid",    text, "\"expert_dtype\": \"fp4\",", "", 0, "config.expert-dtype-missing", "fp4" },
	{ "experts-wrong",     text, "\"expert_dtype\": \"fp4\"", "\"expert_dtype\": \"fp8\"", 0, "config.expert-dtype-wrong", "fp8" },
	{ "experts-nonsense",  text, "\"expert_dtype\": \"fp4\"", "\"expert_dtype\": \"nvfp4\"", 0, "config.expert-dtype", "config.json" },
	{ "experts-fewer",     text, "\"n_routed_experts\": 6", "\"n_routed_experts\": 5", 0, "model.unexpected", "experts.5" },
	{ "layers-more",       text, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", 0, "config.stages", "config.json" },
	{ "hash-layers",       text, "\"num_hash_layers\": 1", "\"num_hash_layers\": 2", 0, "model.unexpected", "bias" },
	{ "ratio-other",       text, "    128,\n    4", "    4,\n    4", 0, "model.shape", "compressor" },
	{ "hidden-other",      text, "\"hidden_size\": 256", "\"hidden_size\": 512", 0, "model.shape", "embed.weight" },
	{ "model-v41",         text, "\"deepseek_v4\"", "\"deepseek_v41\"", 0, "config.ratios", "for 3 layers" }, /* that family counts stages elsewhere */
	{ "model-v5",          text, "\"deepseek_v4\"", "\"deepseek_v5\"", 0, "config.model-type", "deepseek_v5" },
	/* tensors against the model */
	{ "tensor-unknown",    header, "layers.0.ffn_norm.weight", "layers.0.ffn_norm.w3ight", 0, "index.not-in-index", "ffn_norm" },
	{ "tensor-type",       header, "\"dtype\":\"I64\",\"shape\":[256,2]", "\"dtype\":\"F64\",\"shape\":[256,2]", 0, "model.dtype", "tid2eid" },
	{ "tensor-shape",      header, "\"shape\":[256,2]", "\"shape\":[2,256]", 0, "model.shape", "[2,256] I64, expected [256,2] I64" },
	{ "scale-shape",       header, S1 "\":{\"dtype\":\"F8_E8M0\",\"shape\":[128,8]", S1 "\":{\"dtype\":\"F8_E8M0\",\"shape\":[8,128]", 0, "model.scale-form", S1 },
	{ "scale-type",        header, S1 "\":{\"dtype\":\"F8_E8M0\"", S1 "\":{\"dtype\":\"I8\"", 0, "model.scale-form", S1 },
	{ NULL, NULL, NULL, NULL, 0, NULL, NULL },
};

/* Found only while the payload passes by. n: byte of the tensor. */
static const struct bad payload[] = {
	{ "scale-nan-expert",  poke, S1, "\xff", 1000, "data.scale-nan", S1 },
	{ "scale-nan-dense",   poke, "layers.0.attn.wq_a.scale", "\xff", 1, "data.scale-nan", "attn.wq_a.scale" },
	{ "scale-nan-cols",    poke, "layers.0.attn.wo_b.scale", "\xff", 3, "data.scale-nan", "attn.wo_b.scale" },
	{ "scale-nan-wo_a",    poke, "layers.0.attn.wo_a.scale", "\xff", 2, "data.scale-nan", "attn.wo_a.scale" },
	{ "wo_a-underflow",    poke, "layers.0.attn.wo_a.scale", "", 0, "data.dequant-inexact", "attn.wo_a.weight" },
	{ "fp8-nan-wo_a",      poke, "layers.0.attn.wo_a.weight", "\x7f", 777, "data.fp8-nan", "attn.wo_a.weight" },
	{ NULL, NULL, NULL, NULL, 0, NULL, NULL },
};
/* clang-format on */

static enum err_kind kind_of(const char *rule)
{
	const struct rule *r;

	for (r = rules; r->id; r++)
		if (!strcmp(r->id, rule))
			return r->kind;
	return ERR_NONE;
}

/* The report is what the table says; the folder out, if it is there at all, is empty. */
static void judge(const struct bad *b, int rc, const struct err *e, const char *out)
{
	bool right = rc == -1 && e->rule && !strcmp(e->rule, b->rule) && strstr(e->text, b->says);

	if (!right)
		fprintf(stderr, "%s: expected %s with %s, got %s: %s\n", b->name, b->rule, b->says,
			e->rule ? e->rule : "no rule", e->text);
	CHECK_IN(b->name, right);
	CHECK_IN(b->name, e->kind == kind_of(b->rule));
	CHECK_IN(b->name, !strchr(e->text, '\n'));
	CHECK_IN(b->name, model_entries(out) == 0);
}

static void run_table(const struct bad *b, const char *target, uint64_t ranks, enum codec form)
{
	struct path out = dirs_path("out"), dir;
	struct model_job j;
	struct err e;
	int rc;

	for (; b->name; b++) {
		dir = model_copy(MODEL, "bad");
		b->fn(dir.s, b->a, b->b, b->n);
		dirs_remove(out.s);
		j = model_job(target, ranks);
		j.plan.experts = form;
		rc = model_convert(&j, dir.s, out.s, &e);
		judge(b, rc, &e, out.s);
	}
}

static void bad_headers(void)
{
	run_table(headers, "official", 2, CODEC_NONE);
}

static void bad_payload_official(void)
{
	run_table(payload, "official", 2, CODEC_NONE);
}

static void bad_payload_cast(void)
{
	run_table(payload, "official", 1, CODEC_FP8);
}

static void bad_payload_hf(void)
{
	static const struct bad copied[] = { { "scale-nan-expert", poke, S1, "\xff", 0,
						     "data.scale-nan", S1 },
		{ "scale-nan-dense", poke, "layers.0.attn.wo_a.scale", "\xff", 0, "data.scale-nan",
			"wo_a" },
		{ NULL, NULL, NULL, NULL, 0, NULL, NULL } };

	run_table(copied, "hf", 1, CODEC_NONE);
}

/* Scales without weights and the other way round: both index and header say so. */
static void scale_pairs(void)
{
	static const struct {
		const char *from, *to, *rule;
	} row[] = { { S1, "layers.0.ffn.experts.0.w9.scale", "model.scale-missing" },
		{ W1, "layers.0.ffn.experts.0.w9.weight", "model.missing" } };
	struct path dir;
	struct findings f;
	struct ckpt c;
	struct audit a;
	struct ckpt_opts co = { 0 };
	struct err e = { 0 };
	size_t i, k;
	bool orphan, unexpected, first;

	for (i = 0; i < 2; i++) {
		dir = model_copy(MODEL, "bad");
		header(dir.s, row[i].from, row[i].to, 0);
		text(dir.s, row[i].from, row[i].to, 1);
		memset(&f, 0, sizeof f);
		CHECK(!ckpt_open(&c, io_posix(), dir.s, &co, &f, &e));
		CHECK(!audit_make(&a, &c, CODEC_NONE, &f, &e));
		orphan = unexpected = first = false;
		for (k = 0; k < f.n; k++) {
			first = first ||
				(!strcmp(f.v[k].rule, row[i].rule) &&
					strstr(f.v[k].text, row[i].from));
			orphan = orphan || !strcmp(f.v[k].rule, "model.scale-orphan");
			unexpected = unexpected || !strcmp(f.v[k].rule, "model.unexpected");
		}
		CHECK_IN(row[i].rule, first && f.n == (i ? 2 : 2));
		CHECK_IN(row[i].rule, i ? unexpected : orphan);
		audit_free(&a);
		ckpt_close(&c);
		finding_free(&f);
	}
}

/* A second scale under another name, as some writers put it. */
static void scale_doubled(void)
{
	static const char extra[] =
		"{\"layers.0.attn.wq_a.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"layers.0.ffn.gate.tid2eid\"";
	struct path dir = model_copy(MODEL, "bad");
	struct model_job j = model_job("official", 1);
	struct err e;

	header(dir.s, "{\"layers.0.ffn.gate.tid2eid\"", extra, 0);
	text(dir.s, "\"norm.weight\"",
		"\"layers.0.attn.wq_a.weight_scale_inv\": \"" LAYER "\", \"norm.weight\"", 1);
	CHECK(model_convert(&j, dir.s, NULL, &e) == -1 && e.rule &&
		!strcmp(e.rule, "model.unexpected") && strstr(e.text, "weight_scale_inv"));
}

/* All findings are listed, not the first alone, and a bad shard does not make a thousand more. */
static void many_findings(void)
{
	struct path dir = model_copy(MODEL, "bad");
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct ckpt c;
	struct audit a;
	struct err e = { 0 };

	resize(dir.s, LAYER, NULL, -1);
	header(dir.s, "[0,4096]", "[4096,0]", 0); /* which hides the truncation */
	gone(dir.s, HEAD, NULL, 0);
	CHECK(!ckpt_open(&c, io_posix(), dir.s, &co, &f, &e) &&
		!audit_make(&a, &c, CODEC_NONE, &f, &e));
	CHECK(f.n == 2 && !strcmp(f.v[0].rule, "st.offset-order") &&
		!strcmp(f.v[1].rule, "index.shard-missing"));
	CHECK(finding_first(&f, &e) == -1 && strstr(e.text, "1 more"));
	audit_free(&a);
	ckpt_close(&c);
	finding_free(&f);
}

/* Two files in a folder that differ in case are told; so is a folder without any shard. */
static void odd_folders(void)
{
	struct path dir = model_copy(MODEL, "bad"), empty = dirs_new("empty");
	struct model_job j = model_job("official", 1);
	struct err e;

	twin(dir.s, LAYER, "model-00002-OF-00006.safetensors", 0);
	text(dir.s, LAYER, "model-00002-OF-00006.safetensors", 1);
	CHECK(model_convert(&j, dir.s, NULL, &e) == -1 && !strcmp(e.rule, "index.case-twin"));
	CHECK(model_convert(&j, empty.s, NULL, &e) == -1 && !strcmp(e.rule, "config.missing"));
	model_put(empty.s, "config.json", "", 0);
	CHECK(model_convert(&j, empty.s, NULL, &e) == -1 && !strcmp(e.rule, "config.syntax"));
	dir = model_copy(MODEL, "bad");
	unlink(model_file(dir.s, "model-00001-of-00006.safetensors").s);
	CHECK(!link(model_file(dir.s, LAYER).s,
		model_file(dir.s, "model-00001-of-00006.safetensors").s));
	CHECK(model_convert(&j, dir.s, NULL, &e) == -1 && !strcmp(e.rule, "ckpt.name-twice"));
	CHECK(model_convert(&j, "/nonexistent", NULL, &e) == -1 && e.kind == ERR_SYSTEM);
}

/* Shapes that the format allows and a target cannot take. */
static void odd_shapes(void)
{
	static const struct {
		const char *set;
		uint64_t ranks;
		enum codec form;
		const char *rule;
	} row[] = { { "moe_intermediate_size=160", 1, CODEC_FP8, "plan.cast-shape" },
		{ "o_lora_rank=96 --set o_groups=2", 2, CODEC_NONE, "plan.block-cut" } };
	struct path m = dirs_path("odd");
	struct model_job j;
	char args[700];
	struct err e;
	size_t i;

	for (i = 0; i < 2; i++) {
		dirs_remove(m.s);
		snprintf(args, sizeof args, "%s --config tests/configs/small4.json --set %s", m.s,
			row[i].set);
		CHECK(!model_tool("mkmodel", args));
		j = model_job("official", row[i].ranks);
		j.plan.experts = row[i].form;
		CHECK_IN(row[i].rule,
			model_convert(&j, m.s, NULL, &e) == -1 && e.rule &&
				!strcmp(e.rule, row[i].rule));
		j = model_job("hf", 1);
		CHECK_IN(row[i].rule, !model_convert(&j, m.s, NULL, &e));
	}
}

/* More files than a process may have open. */
static void many_shards(void)
{
	struct path dir = model_copy(MODEL, "bad");
	struct model_job j = model_job("official", 1);
	struct err e;

	crowd(dir.s, LAYER, NULL, 510);
	CHECK(model_convert(&j, dir.s, NULL, &e) == -1 && e.rule &&
		!strcmp(e.rule, "index.shards"));
}

static void empty_of_shards(void)
{
	struct path dir = dirs_new("bare");
	struct model_job j = model_job("official", 1);
	struct err e;
	size_t n;
	uint8_t *p = file_get_all(MODEL "/config.json", &n);

	model_put(dir.s, "config.json", p, n);
	free(p);
	CHECK(model_convert(&j, dir.s, NULL, &e) == -1 && !strcmp(e.rule, "ckpt.empty"));
}

/* The links of a hub cache are taken, others only when asked for. */
static void hub_cache(void)
{
	struct path top = dirs_new("hub"), snap, model = model_copy(MODEL, "bad"),
		    out = dirs_path("out"), away;
	struct model_job j = model_job("official", 1);
	struct dirent *d;
	DIR *h;
	char name[65], link_to[128];
	struct err e;

	model_put(model.s, "tokenizer.json", "{\"a\": 1}", 8);
	snap = model_file(top.s, "blobs");
	mkdir(snap.s, 0777);
	mkdir(model_file(top.s, "snapshots").s, 0777);
	snap = model_file(model_file(top.s, "snapshots").s, "rev");
	mkdir(snap.s, 0777);
	h = opendir(model.s);
	while ((d = readdir(h))) {
		if (d->d_name[0] == '.')
			continue;
		digest_file(model_file(model.s, d->d_name).s, name);
		CHECK(!link(model_file(model.s, d->d_name).s,
			model_file(model_file(top.s, "blobs").s, name).s));
		snprintf(link_to, sizeof link_to, "../../blobs/%s", name);
		CHECK(!symlink(link_to, model_file(snap.s, d->d_name).s));
	}
	closedir(h);
	dirs_remove(out.s);
	CHECK(!model_convert(&j, snap.s, out.s, &e));
	CHECK(same_files(model_file(out.s, "tokenizer.json").s,
		model_file(model.s, "tokenizer.json").s));
	/* a link to the shard itself, through another link */
	away = model_file(top.s, "away");
	CHECK(!symlink(model_file(MODEL, LAYER).s, away.s)); /* leads nowhere: it is relative */
	unlink(model_file(snap.s, LAYER).s);
	CHECK(!symlink("../../away", model_file(snap.s, LAYER).s));
	CHECK(model_convert(&j, snap.s, NULL, &e) == -1 && !strcmp(e.rule, "file.symlink") &&
		strstr(e.text, "--follow-links"));
	j.follow_links = true;
	CHECK(model_convert(&j, snap.s, NULL, &e) == -1 && !strcmp(e.rule, "file.dangling"));
	unlink(away.s);
	CHECK(!symlink(model_file(model.s, LAYER).s, away.s));
	dirs_remove(out.s);
	CHECK(!model_convert(&j, snap.s, out.s, &e));
	unlink(away.s);
	CHECK(!symlink("away", away.s)); /* in a circle */
	CHECK(model_convert(&j, snap.s, NULL, &e) == -1 && !strcmp(e.rule, "file.symlink"));
}

static const struct test tests[] = { { "bad_headers", bad_headers },
	{ "bad_payload_official", bad_payload_official }, { "bad_payload_cast", bad_payload_cast },
	{ "bad_payload_hf", bad_payload_hf }, { "scale_pairs", scale_pairs },
	{ "scale_doubled", scale_doubled }, { "many_findings", many_findings },
	{ "odd_folders", odd_folders }, { "odd_shapes", odd_shapes },
	{ "many_shards", many_shards }, { "empty_of_shards", empty_of_shards },
	{ "hub_cache", hub_cache }, { 0 } };
TEST_MAIN(tests)
