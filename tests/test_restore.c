/* test_restore.c -- the way back from every engine's form, and from one form to another; sets that are
 * incomplete, mixed, edited, damaged.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/conversion/joined.h"
#include "formats/conversion/manifest.h"
#include "tests/fuzz/chain.h"
#include "tests/set.h"

/* --- there and back --- */

static void all_back(void)
{
	static const char *const from[] = { FLASH, PRO };
	struct path set = dirs_path("set"), back = dirs_path("back");
	struct job_opts o, b = set_back();
	const struct engine *g;
	struct err e;
	unsigned k, n, done = 0;
	int tp;

	for (g = engines; g < engines + n_engines; g++)
		for (k = 0; k < 2; k++)
			for (n = 1; n <= 4; n *= 2)
				for (tp = 0; tp < 2; tp++) {
					dirs_remove(set.s);
					dirs_remove(back.s);
					o = set_opts(g->name, n, tp);
					if (set_execute(from[k], set.s, &o, &e))
						continue; /* test_engine knows which */
					CHECK_IN(g->name, set_makes(set.s, back.s, &b));
					CHECK_IN(g->name, set_holds(back.s, from[k]));
					done++;
				}
	printf("     %u ways back\n", done);
	CHECK(done >= 80);
}

static struct job_opts hf_opts(enum codec experts)
{
	struct job_opts o = set_opts("hf", 1, false);

	o.plan.share = (struct share){ 0 };
	o.plan.experts = experts;
	return o;
}

/* Shards of another size, FP8 experts: back to what it was, and on to an engine. */
static void hf_back(void)
{
	static const struct {
		const char *from;
		enum codec experts;
		uint64_t shard;
		enum scale_form scales;
	} row[] = {
		{ FLASH, CODEC_MXFP4, 0, SCALES_UNSAID },
		{ FLASH, CODEC_FP8, 0, SCALES_UNSAID },
		{ FLASH, CODEC_FP8, 1 << 20, SCALES_UNSAID },
		{ FLASH, CODEC_FP8, 0, SCALES_E8M0 },
		{ PRO, CODEC_FP8, 0, SCALES_UNSAID },
		{ PRO, CODEC_MXFP4, 700000, SCALES_UNSAID },
	};
	struct path set = dirs_path("set"), back = dirs_path("back"), a = dirs_path("a");
	struct job_opts o, b = set_back(), t = set_opts("marlin-mxfp4", 2, false);
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(set.s);
		dirs_remove(back.s);
		dirs_remove(a.s);
		o = hf_opts(row[i].experts);
		o.plan.shard_size = row[i].shard;
		o.plan.scales = row[i].scales;
		CHECK(set_makes(row[i].from, set.s, &o));
		CHECK(set_makes(row[i].from, set.s, &o)); /* finds all in place */
		CHECK(set_makes(set.s, back.s, &b) && set_holds(back.s, row[i].from));
		dirs_remove(back.s);
		t.use = USE_RESHARD;
		CHECK(set_makes(set.s, back.s, &t));
		t.use = USE_RUN;
		CHECK(set_makes(row[i].from, a.s, &t) && set_same(a.s, back.s));
	}
}

/* From four ranks to two, from parts to whole experts, to another engine, to official and hf: what a
 * direct conversion gives. */
static void reshards(void)
{
	static const struct {
		const char *from, *to;
		unsigned ranks_from, ranks_to;
		bool tp_from, tp_to;
	} row[] = {
		{ "marlin-mxfp4", "marlin-mxfp4", 4, 2, false, false },
		{ "frag-k32", "frag-k32", 4, 2, false, false },
		{ "kmajor-sf128", "kmajor-sf128", 2, 1, true, false },
		{ "trtllm-mxfp4", "trtllm-mxfp4", 4, 2, false, false },
		{ "deepgemm-sm100", "deepgemm-sm100", 4, 2, false, true },
		{ "megamoe", "megamoe", 4, 2, false, false },
		{ "aiter-mxfp4", "aiter-mxfp4", 4, 2, false, false },
		{ "b12x-w4a8", "b12x-w4a8", 4, 2, false, false },
		{ "triton-hopper", "triton-hopper", 4, 2, false, false },
		{ "flashinfer-sm90", "flashinfer-sm90", 4, 2, false, false },
		{ "marlin-mxfp4", "triton-hopper", 2, 2, true, false },
		{ "triton-hopper", "marlin-mxfp4", 2, 2, false, true },
		{ "b12x-w4a8", "official", 2, 1, false, false },
		{ "megamoe", "hf", 2, 1, false, false },
	};
	struct path set = dirs_path("set"), a = dirs_path("a"), b = dirs_path("b");
	struct job_opts o, t;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(set.s);
		dirs_remove(a.s);
		dirs_remove(b.s);
		o = set_opts(row[i].from, row[i].ranks_from, row[i].tp_from);
		CHECK_IN(row[i].from, set_makes(FLASH, set.s, &o));
		t = set_opts(row[i].to, row[i].ranks_to, row[i].tp_to);
		if (!engine_find(row[i].to))
			t.plan.share = (struct share){ 0 };
		CHECK_IN(row[i].to, set_makes(FLASH, a.s, &t));
		t.use = USE_RESHARD;
		if (!strcmp(row[i].from, row[i].to))
			t.plan.target = NULL; /* the same is what one gets unasked */
		t.threads = 1;
		CHECK_IN(row[i].to, set_makes(set.s, b.s, &t));
		CHECK_IN(row[i].to, set_same(a.s, b.s));
	}
}

static void stages_and_replicas(void)
{
	struct path set = dirs_path("set"), back = dirs_path("back"), file = dirs_path("place");
	struct job_opts o = set_opts("kmajor-sf128", 2, false), b = set_back();
	const char *text =
		"{\"*\": [[0,1,2,3,7],[4,5,6,7,0]], \"layers.1\": [[],[0,1,2,3,4,5,6,7]]}";

	dirs_remove(set.s);
	dirs_remove(back.s);
	file_put_all(file.s, text, strlen(text));
	o.placement = file.s;
	o.plan.share.stages = 3;
	CHECK(set_makes(FLASH, set.s, &o));
	CHECK(set_makes(set.s, back.s, &b) && set_holds(back.s, FLASH));
}

/* --- what is not whole --- */

static struct path made(const char *name, const char *target, unsigned ranks)
{
	struct path p = dirs_path(name);
	struct job_opts o = set_opts(target, ranks, false);

	dirs_remove(p.s);
	CHECK(set_makes(FLASH, p.s, &o));
	return p;
}

static void rename_in(const char *dir, const char *from, const char *to)
{
	struct path a = model_file(dir, from), b = model_file(dir, to);

	CHECK_IN(from, !rename(a.s, b.s));
}

static void missing_rank(void)
{
	struct path set = made("set", "marlin-mxfp4", 2), back = dirs_path("back");
	struct job_opts b = set_back();

	dirs_remove(back.s);
	rename_in(set.s, "rank-1-of-2", "../away");
	CHECK(set_refuses(set.s, back.s, &b, "set.incomplete", "missing: rank-1-of-2"));
	CHECK(!is_file(back.s));
	/* The embedding is on every rank, so its shard can be had. */
	b.plan.shard = "model-00001-of-00007.safetensors";
	CHECK(set_makes(set.s, back.s, &b) &&
		same_files(model_file(back.s, b.plan.shard).s, model_file(FLASH, b.plan.shard).s));
	dirs_remove(back.s);
	b.plan.shard = "model-00002-of-00007.safetensors";
	CHECK(set_refuses(set.s, back.s, &b, "set.incomplete", "missing: rank-1-of-2"));
	b.plan.shard = "model-00009-of-00007.safetensors";
	{
		struct err e;

		CHECK(set_execute(set.s, back.s, &b, &e) && e.kind == ERR_USAGE);
	}
	rename_in(set.s, "../away", "rank-1-of-2");
	rename_in(set.s, MAN_NAME, "../away");
	b.plan.shard = NULL;
	{
		struct err e;

		CHECK(set_execute(set.s, back.s, &b, &e) && e.rule &&
			!strcmp(e.rule, "kind.unfinished"));
	}
	CHECK(!is_file(back.s));
}

/* Shards are held to the SHA-256 that they were verified to have, whatever the sidecars say of their tensors. */
static void verified(void)
{
	struct path set = dirs_path("verified"), back = dirs_path("back"), list = dirs_path("list");
	struct job_opts o = set_opts("frag-k32", 2, false), b = set_back();
	struct path source = model_file(set.s, "source");
	char line[1200], now[65];
	struct err e;
	json_error_t je;
	json_t *m;

	snprintf(line, sizeof line, "cd " FLASH " && sha256sum *.safetensors >%s", list.s);
	CHECK(!system(line));
	o.source_sha256 = list.s;
	dirs_remove(set.s);
	dirs_remove(back.s);
	CHECK(set_makes(FLASH, set.s, &o) && set_makes(set.s, back.s, &b));
	dirs_remove(back.s);
	m = json_load_file(model_file(source.s, MAN_NAME).s, 0, &je);
	digest_file(model_file(FLASH, "config.json").s, now);
	CHECK(!json_object_set_new(json_array_get(json_object_get(json_object_get(m, "source"),
							  "shards"),
					   2),
		"sha256", json_string(now)));
	chain_put(model_file(source.s, MAN_NAME).s, m);
	json_decref(m);
	chain_mend(set.s, 0);
	CHECK(set_execute(set.s, back.s, &b, &e) && e.rule && !strcmp(e.rule, "set.digest"));
	CHECK(strstr(e.text, "model-00003-of-00007.safetensors"));
	CHECK(!is_file(model_file(back.s, "model-00003-of-00007.safetensors").s));
}

/* A rank of another conversion, even of another source of the same form. */
static void mixed(void)
{
	struct path set = made("set", "marlin-mxfp4", 2), other = made("other", "frag-k32", 2);
	struct job_opts b = set_back();

	rename_in(set.s, "rank-1-of-2", "../away1");
	rename_in(other.s, "rank-1-of-2", "../set/rank-1-of-2");
	CHECK(set_refuses(set.s, dirs_path("back").s, &b, "set.manifest",
		"rank-1-of-2/manifest.json: its SHA-256 is another"));
	CHECK(!is_file(dirs_path("back").s));
}

/* Every file that is believed: one bit of it changed. */
static void edited(void)
{
	static const char *const file[] = { "source/config.json", "source/manifest.json",
		"source/model-00003-of-00007.safetensors.header", "rank-0-of-2/manifest.json",
		"rank-1-of-2/model-00003-of-00007.safetensors.manifest.json" };
	struct path set = made("set", "marlin-mxfp4", 2), p;
	struct job_opts b = set_back();
	uint8_t *was;
	size_t i, n;

	for (i = 0; i < sizeof file / sizeof *file; i++) {
		p = model_file(set.s, file[i]);
		was = file_get_all(p.s, &n);
		was[n / 2] ^= 1;
		model_put(set.s, file[i], was, n);
		CHECK_IN(file[i],
			set_refuses(set.s, dirs_path("back").s, &b, "set.manifest", file[i]));
		was[n / 2] ^= 1;
		model_put(set.s, file[i], was, n);
		free(was);
	}
	p = model_file(set.s, "rank-0-of-2/model-00003-of-00007.safetensors");
	CHECK(!truncate(p.s, 100000));
	CHECK(set_refuses(set.s, dirs_path("back").s, &b, "set.size", "rank-0-of-2/model-00003"));
}

/* One bit of the payload, anywhere: never a shard that is not what it was. */
static void damaged(void)
{
	static const char *const targets_of[] = { "marlin-mxfp4", "triton-hopper", "frag-k32" };
	static const char file[] = "rank-0-of-2/model-00003-of-00007.safetensors";
	struct path set, back = dirs_path("back"), p;
	struct job_opts b = set_back(), o;
	struct err e;
	uint8_t *was;
	size_t n, at, refused = 0, right = 0;
	uint64_t header = 0;
	unsigned bit;
	int i, k, tp;

	for (k = 0; k < 3; k++) {
		for (tp = 0; tp < 2; tp++) {
			set = dirs_path("set");
			dirs_remove(set.s);
			o = set_opts(targets_of[k], 2, tp);
			if (set_execute(FLASH, set.s, &o, &e))
				continue; /* 64 columns are too few for it */
			p = model_file(set.s, file);
			was = file_get_all(p.s, &n);
			memcpy(&header, was, 8);
			for (i = 0; i < 25; i++) {
				at = (size_t)(8 + header) + rnd((uint32_t)(n - 8 - (size_t)header));
				bit = 1u << rnd(8);
				was[at] ^= (uint8_t)bit;
				model_put(set.s, file, was, n);
				dirs_remove(back.s);
				b.plan.shard = "model-00003-of-00007.safetensors";
				if (set_execute(set.s, back.s, &b, &e)) {
					refused++;
					CHECK_IN(e.text, e.rule && !strcmp(e.rule, "set.digest"));
					CHECK(!is_file(model_file(back.s, b.plan.shard).s));
				} else { /* a tensor that was taken from the other rank */
					right++;
					CHECK(same_files(model_file(back.s, b.plan.shard).s,
						model_file(FLASH, b.plan.shard).s));
				}
				was[at] ^= (uint8_t)bit;
			}
			free(was);
		}
	}
	printf("     %zu refused, %zu not needed\n", refused, right);
	CHECK(refused > 100);
}

/* --- a folder of target hf --- */

#define HF_FILE "model-00003-of-00007.safetensors"

/* A scale that is an FP32 number goes back to its byte where it is a power of two, and nowhere else. */
static void scale_damaged(void)
{
	static const char *const name[] = { "layers.1.attn.wq_a.scale",
		"layers.1.ffn.experts.0.w1.scale" };
	static const uint32_t odd[] = { 0x40400000, 0, 0xbf800000, 0x7f800000 };
	struct path set = dirs_path("set"), back = dirs_path("back"), p;
	struct job_opts o = hf_opts(CODEC_FP8), b = set_back();
	uint64_t len = 0, at;
	struct err e;
	uint8_t *was;
	json_t *h;
	size_t n, i, k;

	dirs_remove(set.s);
	CHECK(set_makes(FLASH, set.s, &o));
	p = model_file(set.s, HF_FILE);
	was = file_get_all(p.s, &n);
	memcpy(&len, was, 8);
	h = json_loadb((char *)was + 8, (size_t)len, 0, NULL);
	for (i = 0; i < 2; i++) {
		at = 8 + len +
			(uint64_t)
				json_integer_value(json_array_get(json_object_get(json_object_get(h,
											  name[i]),
									  "data_offsets"),
					0));
		for (k = 0; k < 4; k++) {
			uint8_t old[4];

			memcpy(old, was + at, 4);
			memcpy(was + at, &odd[k], 4);
			model_put(set.s, HF_FILE, was, n);
			memcpy(was + at, old, 4);
			dirs_remove(back.s);
			CHECK_IN(name[i],
				set_execute(set.s, back.s, &b, &e) && e.rule &&
					!strcmp(e.rule, "set.digest"));
		}
	}
	json_decref(h);
	free(was);
	dirs_remove(set.s);
	dirs_remove(back.s);
}

/* Without it, too long, another: there is no way back, and no shard. */
static void hf_refused(void)
{
	struct path set = dirs_path("set"), back = dirs_path("back"), p;
	struct job_opts o = hf_opts(CODEC_FP8), b = set_back();
	struct err e;
	uint8_t *was;
	size_t n, i, refused = 0;

	dirs_remove(set.s);
	dirs_remove(back.s);
	CHECK(set_makes(FLASH, set.s, &o));
	p = model_file(set.s, HF_FILE MAN_DROPPED);
	was = file_get_all(p.s, &n);
	CHECK(n > 1000);
	model_put(set.s, HF_FILE MAN_DROPPED, was, n - 1);
	CHECK(set_refuses(set.s, back.s, &b, "set.size", HF_FILE MAN_DROPPED));
	CHECK(!unlink(p.s));
	CHECK(set_execute(set.s, back.s, &b, &e) && strstr(e.text, HF_FILE MAN_DROPPED));
	b.plan.shard = HF_FILE;
	for (i = 0; i < 40; i++) {
		size_t at = rnd((uint32_t)n);
		uint8_t bit = (uint8_t)(1u << rnd(8));

		was[at] ^= bit;
		model_put(set.s, HF_FILE MAN_DROPPED, was, n);
		dirs_remove(back.s);
		refused += set_execute(set.s, back.s, &b, &e) && e.rule &&
			!strcmp(e.rule, "set.digest");
		if (is_file(model_file(back.s, HF_FILE).s)) /* a bit that zstd does not look at */
			CHECK(same_files(model_file(back.s, HF_FILE).s,
				model_file(FLASH, HF_FILE).s));
		was[at] ^= bit;
	}
	CHECK(refused >= 35);
	model_put(set.s, HF_FILE MAN_DROPPED, was, n);
	free(was);
	dirs_remove(back.s);
	CHECK(set_makes(set.s, back.s, &b));
	/* run finds the file that was changed and makes it anew */
	model_put(set.s, HF_FILE MAN_DROPPED, "x", 1);
	CHECK(set_makes(FLASH, set.s, &o));
	dirs_remove(back.s);
	CHECK(set_makes(set.s, back.s, &b));
	rename_in(set.s, "source", "../gone");
	CHECK(set_execute(set.s, back.s, &b, &e) && strstr(e.text, "source"));
	rename_in(set.s, "../gone", "source");
	/* and what was never kept is not there */
	dirs_remove(set.s);
	o.plan.back = false;
	CHECK(set_makes(FLASH, set.s, &o));
	CHECK(set_refuses(set.s, back.s, &b, "set.not-kept", "--no-restore"));
	o.plan.target = "official";
	dirs_remove(set.s);
	CHECK(set_makes(FLASH, set.s, &o));
	CHECK(set_refuses(set.s, back.s, &b, "set.not-kept", "official"));
}

/* --- sidecars that say what cannot be --- */

/* Reads a sidecar with that text, and makes pieces of it. */
static int pieces_of(struct joined *j, const char *path, const struct text *t, struct err *e)
{
	struct sidecar s;
	int fd, rc;

	file_put_all(path, t->s ? t->s : "", t->n);
	fd = open(path, O_RDONLY);
	rc = sidecar_read(&s, io_posix(), fd, t->n, e);
	close(fd);
	rc = rc ? rc : joined_pieces(j, 0, &s, e);
	sidecar_free(&s);
	unlink(path);
	return rc;
}

static void forged(void)
{
	static const struct {
		const char *was, *now, *rule;
	} row[] = {
		{ "\"marlin4-a16\"", "\"marlin9-a16\"", "set.layout" },
		{ "\"version\": 1", "\"version\": 2", "set.layout" },
		{ "\"rows\": \"gate-up\"", "\"rows\": \"up-down\"", "set.layout" },
		{ "\"parts\": 2", "\"parts\": 1", "set.form" },
		{ "\"parts\": 2", "\"parts\": 0", "set.form" },
		{ "\"transform\": \"copy\"", "\"transform\": \"fp4-to-fp8\"", "set.codec" },
		{ "experts.0.w1.weight\"", "experts.99.w1.weight\"", "set.form" },
		{ "experts.0.w1.weight\"", "gate.weight\"", "set.form" },
		{ "\"offsets\": [0, ", "\"offsets\": [1, ", "set.form" },
		{ "\"offsets\": [0, ", "\"offsets\": [9007199254740991, ", "set.form" },
		{ "\"header_bytes\": ", "\"header_bytes\": 99999999", "set.form" },
		{ "\"sources\": [", "\"sources\": [7, ", "json.type" },
		{ "\"sources\": [", "\"sources\": {", "json.type" },
		{ "\"tensors\": [", "\"tensors\": 5, \"x\": [", "json.type" },
	};
	static const char name[] = "rank-0-of-1/model-00002-of-00007.safetensors";
	struct path set = made("set", "marlin-mxfp4", 1), side;
	struct ckpt_opts co = { .headers = true };
	struct findings f = { 0 };
	struct err e = { 0 };
	struct joined j = { 0 };
	struct joined_file file = { .fd = -1 };
	struct text t = { 0 };
	struct stat st;
	struct ckpt c;
	struct path forged = dirs_path("forged");
	char *text, *at;
	size_t i, n;

	CHECK(!ckpt_open(&c, io_posix(), model_file(set.s, "source").s, &co, &f, &e));
	CHECK(!stat(model_file(set.s, name).s, &st));
	file.bytes = (uint64_t)st.st_size;
	side = model_file(set.s, "rank-0-of-1/model-00002-of-00007.safetensors.manifest.json");
	text = (char *)file_get_all(side.s, &n);
	j.c = &c;
	j.files = &file;
	j.has_xxh = calloc(c.n + 1, sizeof *j.has_xxh);
	j.xxh = calloc(c.n + 1, sizeof *j.xxh);
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		memset(&e, 0, sizeof e);
		at = memmem(text, n, row[i].was, strlen(row[i].was));
		CHECK_IN(row[i].was, at);
		t.n = 0;
		text_put(&t, text, (size_t)(at - text));
		text_put(&t, row[i].now, strlen(row[i].now));
		at += strlen(row[i].was);
		text_put(&t, at, n - (size_t)(at - text));
		j.n_pieces = 0;
		CHECK_IN(row[i].now, pieces_of(&j, forged.s, &t, &e) == -1);
		if (!e.rule || strcmp(e.rule, row[i].rule))
			fprintf(stderr, "%s: %s: %s\n", row[i].now, e.rule ? e.rule : "", e.text);
		CHECK_IN(row[i].now, e.rule && !strcmp(e.rule, row[i].rule));
	}
	/* cut anywhere: an error, and nothing is read beyond */
	for (i = 0; i < n - 2; i += 1 + rnd(40)) {
		memset(&e, 0, sizeof e);
		t.n = 0;
		text_put(&t, text, i);
		j.n_pieces = 0;
		CHECK(pieces_of(&j, forged.s, &t, &e) == -1 && e.kind != ERR_NONE);
	}
	free(text);
	free(j.pieces);
	free(j.has_xxh);
	free(j.xxh);
	text_free(&t);
	ckpt_close(&c);
	finding_free(&f);
}

/* clang-format off */
static const struct test tests[] = {
	{ "restore: all engines", all_back },
	{ "restore: hf and FP8", hf_back },
	{ "restore: reshard", reshards },
	{ "restore: stages and replicas", stages_and_replicas },
	{ "restore: verified shards", verified },
	{ "restore: missing rank", missing_rank },
	{ "restore: mixed", mixed },
	{ "restore: edited", edited },
	{ "restore: damaged", damaged },
	{ "restore: hf refused", hf_refused },
	{ "restore: hf scale damaged", scale_damaged },
	{ "restore: forged sidecars", forged },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
