/* kinds.h -- a folder of every kind, made once from a golden model, and what a tool says of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_KINDS_H
#define TESTS_KINDS_H
#include "formats/conversion/freed.h"
#include "formats/folder/folder.h"
#include "tests/ck.h"

static struct path made[KINDS], hf, rec, key, signed_one;

/* --- making them --- */

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void run(const char *fmt, ...)
{
	char line[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	CHECK_IN(line, !system(line));
}

static const char *build(void)
{
	return getenv("B") ? getenv("B") : "build/gcc-opt";
}

static inline void convert_to(const char *verb, const char *from, const char *out,
	const char *options)
{
	run("%s/dsv4-convert %s %s -o %s %s -q >%s 2>&1", build(), verb, from, out, options,
		dirs_path("log").s);
}

static inline struct path copy_of(enum kind k, const char *name)
{
	struct path p = dirs_path(name);

	run("cp -r %s %s", made[k].s, p.s);
	return p;
}

/* A hub's cache of the golden model: big files by their SHA-256, small ones by git's SHA-1, as the hub has them. */
static inline void make_cache(void)
{
	made[KIND_CACHE] = dirs_new("models--x--y");
	run("cd %s && mkdir -p blobs refs snapshots/abc && printf abc >refs/main && for f in $OLDPWD/" FLASH
	    "/*; do case $f in *.safetensors) h=$(sha256sum $f | cut -c1-64) ;; "
	    "*) h=$( (printf 'blob %%s\\0' $(stat -Lc %%s $f); cat $f) | sha1sum | cut -c1-40) ;; esac; "
	    "cp $f blobs/$h; ln -s ../../blobs/$h snapshots/abc/${f##*/}; done",
		made[KIND_CACHE].s);
	made[KIND_SNAPSHOT] = model_file(made[KIND_CACHE].s, "snapshots/abc");
}

static inline void make_conversions(void)
{
	made[KIND_HF] = dirs_path("hf");
	convert_to("run", FLASH, made[KIND_HF].s, "-t hf --no-restore");
	made[KIND_HF_SOURCE] = dirs_path("hf-source");
	convert_to("run", FLASH, made[KIND_HF_SOURCE].s, "-t hf");
	made[KIND_QUANT] = dirs_path("quant");
	run("%s/dsv4-quant run -q " FLASH " -o %s --to bf16 >/dev/null", build(),
		made[KIND_QUANT].s);
	made[KIND_QUANT_GGUF] = dirs_path("quant-gguf");
	run("%s/dsv4-quant run -q " FLASH " -o %s --to gguf >/dev/null", build(),
		made[KIND_QUANT_GGUF].s);
	made[KIND_SLICE] = dirs_path("slice");
	convert_to("slice", FLASH, made[KIND_SLICE].s, "--layers 0-1");
	made[KIND_RESTORED] = dirs_path("restored");
	convert_to("restore", made[KIND_HF_SOURCE].s, made[KIND_RESTORED].s, "");
	made[KIND_OFFICIAL] = dirs_path("official");
	convert_to("run", FLASH, made[KIND_OFFICIAL].s, "-t official --mp 2");
	made[KIND_VLLM] = dirs_path("vllm-sharded");
	convert_to("run", FLASH, made[KIND_VLLM].s, "-t vllm-sharded");
	made[KIND_SGLANG] = dirs_path("sglang-presharded");
	convert_to("run", FLASH, made[KIND_SGLANG].s,
		"-t sglang-presharded --shard-config tests/vectors/sglang_tiny-flash-1-ep.json");
	made[KIND_PART] = dirs_path("part");
	convert_to("run", FLASH, made[KIND_PART].s, "-t hf --layers 0-1 --no-restore");
	made[KIND_SET] = dirs_path("set");
	convert_to("run", FLASH, made[KIND_SET].s,
		"-t kmajor-sf128 --experimental --ranks 2 --pp 2");
	made[KIND_STAGE] = model_file(made[KIND_SET].s, "pp-0-of-2");
	made[KIND_RANK] = model_file(made[KIND_STAGE].s, "rank-0-of-2");
	made[KIND_SOURCE] = model_file(made[KIND_SET].s, "source");
	made[KIND_UNFINISHED] = copy_of(KIND_HF, "unfinished");
	run("cd %s && mv manifest.json .dsv4-plan", made[KIND_UNFINISHED].s);
	made[KIND_BROKEN] = copy_of(KIND_HF, "broken");
	run("cd %s && sed -i 's/\"tool\": \"dsv4/\"tool\": \"dsv5/' manifest.json",
		made[KIND_BROKEN].s);
	made[KIND_BARE] = copy_of(KIND_HF, "bare");
	run("rm %s/manifest.json", made[KIND_BARE].s);
	made[KIND_ARCHIVE] = dirs_path("archive");
	run("%s/dsv4-convert pack " FLASH " -o %s -q", build(), made[KIND_ARCHIVE].s);
	made[KIND_ARCHIVE_PART] = copy_of(KIND_ARCHIVE, "archive-part");
	run("rm %s/dsv4-archive.json", made[KIND_ARCHIVE_PART].s);
	made[KIND_RANKS] = copy_of(KIND_OFFICIAL, "ranks");
	run("cd %s && rm *manifest.json", made[KIND_RANKS].s);
}

/* Renames the tensors that end so: every name gets that end in its place. */
static inline void rename_all(struct ck *c, const char *from, const char *to)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", from));)
		snprintf(t->name + strlen(t->name) - strlen(from), 32, "%s", to);
}

static inline void prefixed(struct ck *c)
{
	struct ck_tensor *t;
	char was[120];
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, NULL));) {
		snprintf(was, sizeof was, "%s", t->name);
		snprintf(t->name, sizeof t->name, "model.%.110s", was);
	}
}

static inline void transformers(struct ck *c)
{
	struct ck_tensor *t;
	char was[120], *at;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "layers.", NULL));) {
		snprintf(was, sizeof was, "%s", t->name);
		at = strstr(was, ".attn.");
		if (at)
			snprintf(t->name, sizeof t->name, "model.%.*s.self_attn.%.60s",
				(int)(at - was), was, at + 6);
		else
			snprintf(t->name, sizeof t->name, "model.%.110s", was);
	}
	snprintf(ck_get(c, "head.weight")->name, 20, "lm_head.weight");
}

static inline void mlx(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "U32", t->dim[0], t->dim[1] / 4, t->n);
	rename_all(c, ".scale", ".scales");
	ck_config(c, "quantization", "{\"group_size\": 32, \"bits\": 4, \"mode\": \"mxfp4\"}");
	ck_config(c, "quantization_config", NULL);
}

static inline void nvfp4(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] * 2, t->n * 2);
	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "U8", t->dim[0], t->dim[1], t->n);
	rename_all(c, ".scale", ".weight_scale");
	ck_config(c, "quantization_config",
		"{\"quant_method\": \"fp8\", \"fmt\": \"e4m3\", \"weight_block_size\": [128, 128], "
		"\"moe_quant_algo\": \"NVFP4\", \"quant_algo\": \"MIXED_PRECISION\"}");
}

/* The same with scales of scales, and nothing in config.json that says so. */
static inline void nvfp4_by_names(struct ck *c)
{
	rename_all(c, ".scale", ".weight_scale_2");
}

/* What config.json alone says of tensors that are as published. */
static inline void quark_by_config(struct ck *c)
{
	ck_config(c, "quantization_config", "{\"quant_method\": \"quark\"}");
}

static inline void quark(struct ck *c)
{
	rename_all(c, ".scale", ".weight_scale");
	ck_config(c, "quantization_config", "{\"quant_method\": \"quark\"}");
}

static inline void compressed(struct ck *c)
{
	rename_all(c, ".weight", ".weight_packed");
	ck_config(c, "quantization_config",
		"{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", "
		"\"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\"}, "
		"\"input_activations\": null}}}");
}

static inline void quantized(struct ck *c)
{
	rename_all(c, ".weight", ".qweight");
	ck_config(c, "quantization_config", "{\"quant_method\": \"gptq\"}");
}

static inline void bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "BF16", t->dim[0], t->dim[1] * 2, t->n * 4);
}

static inline void vision(struct ck *c)
{
	rename_all(c, ".0.w1.scale", ".gate.bias_vl");
}

static inline void v41(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.attn.wq_a.weight");

	snprintf(t->name, sizeof t->name, "layers.1.engram.wkv.weight");
	c->dirty[t->shard] = true;
}

static inline void other(struct ck *c)
{
	ck_config(c, "model_type", "\"qwen3_moe\"");
}

static const struct {
	enum kind kind;
	void (*change)(struct ck *c);
} changes[] = {
	{ KIND_PREFIXED, prefixed },
	{ KIND_TRANSFORMERS, transformers },
	{ KIND_MLX, mlx },
	{ KIND_NVFP4, nvfp4 },
	{ KIND_QUARK, quark },
	{ KIND_COMPRESSED, compressed },
	{ KIND_QUANTIZED, quantized },
	{ KIND_BF16, bf16 },
	{ KIND_VISION, vision },
	{ KIND_V41, v41 },
	{ KIND_OTHER, other },
};

static inline void make_foreign(void)
{
	struct ck *c;
	size_t i;

	for (i = 0; i < sizeof changes / sizeof *changes; i++) {
		c = ck_load(FLASH);
		changes[i].change(c);
		made[changes[i].kind] = ck_write(c, kind_rows[changes[i].kind].id);
		ck_free(c);
	}
	made[KIND_SHARDED] = dirs_new("sharded");
	run("cp " FLASH "/config.json %s; for r in 1 2; do cp " FLASH
	    "/model-00002-of-00007.safetensors "
	    "%s/shard-0000$r-model-00001-of-00001.safetensors; done",
		made[KIND_SHARDED].s, made[KIND_SHARDED].s);
	made[KIND_GGUF] = dirs_new("gguf");
	run("cp %s/model.gguf %s/x.gguf", made[KIND_QUANT_GGUF].s, made[KIND_GGUF].s);
}

/* A source of which a shard was freed. */
static inline void make_reclaimed(void)
{
	struct freed l = { .target = "hf", .tool = "dsv4-convert" };
	struct freed_shard s = { .name = "model-00002-of-00007.safetensors", .bytes = 1 };
	struct text t = { 0 };
	struct err e = { 0 };

	made[KIND_RECLAIMED] = model_copy(FLASH, "reclaimed");
	memset(l.plan, 'a', 64);
	if (freed_add_shard(&l, &s, &e) || freed_put(&t, &l, &e))
		exit(2);
	model_put(made[KIND_RECLAIMED].s, FREED_NAME, t.s, t.n);
	unlink(model_file(made[KIND_RECLAIMED].s, s.name).s);
	text_free(&t);
	freed_free(&l);
}

static inline void make(void)
{
	if (hf.s[0])
		return;
	made[KIND_UNKNOWN] = dirs_new("empty");
	snprintf(made[KIND_DOWNLOAD].s, sizeof made->s, "%s", FLASH);
	made[KIND_FILE] = model_file(FLASH, "model-00001-of-00007.safetensors");
	make_cache();
	made[KIND_PARTIAL] = model_copy(FLASH, "partial");
	model_put(made[KIND_PARTIAL].s, "model-00001-of-00007.safetensors.aria2", "", 0);
	make_reclaimed();
	make_conversions();
	make_foreign();
	hf = made[KIND_HF_SOURCE];
	rec = dirs_path("rec");
	run("%s/dsv4-verify record " FLASH " -t 1,2 -o %s -q >%s 2>&1", build(), rec.s,
		dirs_path("log").s);
	key = dirs_path("key.pem");
	run("umask 077; openssl ecparam -name prime256v1 -genkey -noout -out %s", key.s);
	run("openssl pkey -in %s -pubout -out %s.pub 2>/dev/null", key.s, key.s);
	signed_one = dirs_path("signed");
	convert_to("run", made[KIND_SNAPSHOT].s, signed_one.s, "-t official");
	run("%s/dsv4-verify sign %s --key %s -q >%s", build(), signed_one.s, key.s,
		dirs_path("log").s);
}

/* Runs a tool; its exit status is that, and the rule (NULL: none) is among what it prints. */
static inline void says(const char *call, int status, const char *rule)
{
	struct path log = dirs_path("log");
	char line[4096];
	size_t n;
	char *p;
	int rc;

	snprintf(line, sizeof line, "%s/%s >%s 2>&1", build(), call, log.s);
	rc = system(line);
	p = (char *)file_get_all(log.s, &n);
	p[n] = 0;
	produced_in(p);
	if (!WIFEXITED(rc) || WEXITSTATUS(rc) != status || (rule && !produced_names(p, rule))) {
		check_failed++;
		fprintf(stderr, "%s: expected %d %s, got %d:\n%.700s\n", call, status,
			rule ? rule : "", WEXITSTATUS(rc), p);
	}
	free(p);
}

static inline void says_of(const char *before, const char *dir, const char *after, int status,
	const char *rule)
{
	char call[2048];

	snprintf(call, sizeof call, "%s %s %s", before, dir, after);
	says(call, status, rule);
}

#define SHARD "model-00002-of-00007.safetensors"
#endif
