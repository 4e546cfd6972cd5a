/* test_lib_bad.c -- libdsv4 on what is wrong: calls, ranges, folders that are others than was asked for, unsealed, lying
 * or damaged, files that are cut off and disks that fail. Each is an error with the right rule, and nothing is read wrongly.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faultio.h"
#include "tests/lib.h"

static const struct dsv4_read_options unverified = { sizeof unverified, 1, DSV4_UNVERIFIED };

/* --- what is not there, and what makes no sense --- */

static void ranges(void)
{
	struct dsv4_error e = { 0 };
	const struct dsv4_tensor *t;
	struct dsv4 *d;
	uint8_t b[64];
	size_t last;

	make();
	d = opened(hf.s);
	last = dsv4_info(d)->tensors - 1;
	t = dsv4_tensor(d, last);
	/* nothing is read, and that is no error, up to the very end */
	CHECK(!dsv4_read(d, last, 0, NULL, 0, NULL, &e) &&
		!dsv4_read(d, last, t->bytes, NULL, 0, NULL, &e));
	CHECK(!dsv4_read_file(d, 0, dsv4_file(d, 0)->bytes, NULL, 0, NULL, &e));
	CHECK(e.kind == DSV4_OK);
	CHECK(dsv4_read(d, last, t->bytes + 1, NULL, 0, NULL, &e) && is(&e, "lib.range", t->name));
	CHECK(dsv4_read(d, last, t->bytes, b, 1, NULL, &e) && is(&e, "lib.range", t->name));
	CHECK(dsv4_read(d, last, 1, b, t->bytes, NULL, &e) && is(&e, "lib.range", t->name));
	CHECK(dsv4_read(d, last, UINT64_MAX, b, 2, NULL, &e) && is(&e, "lib.range", t->name));
	CHECK(dsv4_read(d, last, 2, b, SIZE_MAX, NULL, &e) && is(&e, "lib.range", t->name));
	CHECK(dsv4_read(d, last + 1, 0, b, 1, NULL, &e) && is(&e, "lib.range", "tensor"));
	CHECK(dsv4_read_file(d, 99, 0, b, 1, NULL, &e) && is(&e, "lib.range", "file 99"));
	CHECK(dsv4_read_file(d, 0, 1, b, dsv4_file(d, 0)->bytes, NULL, &e) &&
		is(&e, "lib.range", "model-00001"));
	CHECK(dsv4_check(d, 99, NULL, &e) && is(&e, "lib.range", "file 99"));
	dsv4_close(d);
}

static void calls(void)
{
	struct dsv4_open_options o = { .size = sizeof o };
	struct dsv4_read_options r = { .size = sizeof r };
	struct dsv4_error e = { 0 };
	struct dsv4 *d;
	uint8_t b[64];

	make();
	o.size = 8;
	CHECK(refuses(hf.s, &o, "lib.call", "size"));
	o = (struct dsv4_open_options){ .size = sizeof o, .rank = 2, .ranks = 2 };
	CHECK(refuses(hf.s, &o, "lib.call", "rank 2 of 2"));
	o = (struct dsv4_open_options){ .size = sizeof o, .rank = 1 };
	CHECK(refuses(hf.s, &o, "lib.call", "rank 1 of 0"));
	CHECK(refuses(NULL, NULL, "lib.call", "path"));
	CHECK(refuses("/no/such/folder", NULL, "", "No such"));
	d = opened(hf.s);
	r.size = 0;
	CHECK(dsv4_read(d, 0, 0, b, 1, &r, &e) && is(&e, "lib.call", "size"));
	r = (struct dsv4_read_options){ .size = sizeof r, .flags = 64 };
	CHECK(dsv4_read(d, 0, 0, b, 1, &r, &e) && is(&e, "lib.call", "0x40"));
	r.flags = DSV4_SHA256;
	CHECK(dsv4_read(d, 0, 0, b, 1, &r, &e) && is(&e, "lib.call", "flags"));
	r.flags = DSV4_UNVERIFIED;
	CHECK(dsv4_check(d, 0, &r, &e) && is(&e, "lib.call", "flags"));
	r = (struct dsv4_read_options){ .size = sizeof r, .threads = 257 };
	CHECK(dsv4_check(d, 0, &r, &e) && is(&e, "lib.call", "257"));
	CHECK(dsv4_read(d, 0, 0, NULL, 1, NULL, &e) && is(&e, "lib.call", "memory"));
	CHECK(dsv4_read(d, 0, 0, NULL, 1, NULL, NULL) == -1); /* nobody wants to know why */
	CHECK(dsv4_rule_meaning("lib.call") && dsv4_rule_remedy("check.chunk") &&
		!dsv4_rule_meaning("no.rule") && !dsv4_rule_remedy(NULL));
	dsv4_close(d);
}

/* No pointer that must not be NULL is followed. */
static void nulls(void)
{
	struct dsv4_error e = { 0 };
	struct dsv4_values v;
	struct dsv4_layout m = { .rows = 8, .row_bytes = 8 };
	struct dsv4 *d;
	uint64_t n;
	uint8_t b[64];
	float f[4];

	make();
	CHECK(dsv4_open(NULL, hf.s, NULL, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(!dsv4_info(NULL) && !dsv4_folder(NULL, 0) && !dsv4_file(NULL, 0) &&
		!dsv4_tensor(NULL, 0) && dsv4_find(NULL, 0, "x") == DSV4_NONE);
	CHECK(dsv4_read(NULL, 0, 0, b, 1, NULL, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(dsv4_read_file(NULL, 0, 0, b, 1, NULL, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(dsv4_check(NULL, 0, NULL, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(dsv4_values(NULL, 0, &v, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(dsv4_decode(NULL, 0, 0, 0, 1, f, 4, NULL, &e) && is(&e, "lib.call", "d is NULL"));
	CHECK(dsv4_layout_bytes(NULL, &n, &e) && is(&e, "lib.call", "size"));
	CHECK(dsv4_layout_bytes(&m, NULL, &e) && is(&e, "lib.call", "bytes is NULL"));
	CHECK(dsv4_relayout(NULL, b, 64, &m, b, 64, &e) && is(&e, "lib.call", "size"));
	CHECK(dsv4_relayout(&m, NULL, 64, &m, b, 64, &e) && is(&e, "lib.call", "src is NULL"));
	CHECK(dsv4_relayout(&m, b, 64, NULL, b, 64, &e) && is(&e, "lib.call", "size"));
	CHECK(dsv4_relayout(&m, b, 64, &m, NULL, 64, &e) && is(&e, "lib.call", "dst is NULL"));
	CHECK(!dsv4_rule_meaning(NULL) && !dsv4_rule_remedy(NULL));
	d = opened(hf.s);
	CHECK(dsv4_values(d, 0, NULL, &e) && is(&e, "lib.call", "v is NULL"));
	dsv4_close(d);
	dsv4_close(NULL);
}

/* What is a folder, but not the one that was asked for. */
static void other_folder(void)
{
	struct dsv4_open_options o = { .size = sizeof o, .target = "trtllm-mxfp4" };
	struct path rank;
	struct dsv4 *d;

	make();
	rank = model_file(marlin.s, "rank-0-of-2");
	CHECK(refuses(marlin.s, &o, "lib.target", "marlin-mxfp4"));
	CHECK(refuses(rank.s, &o, "lib.target", "trtllm-mxfp4"));
	o = (struct dsv4_open_options){ .size = sizeof o, .ranks = 2, .rank = 1 };
	CHECK(refuses(rank.s, &o, "check.rank", "rank 1 of 2"));
	CHECK(refuses(hf.s, &o, "check.rank", "rank 1 of 2"));
	o = (struct dsv4_open_options){ .size = sizeof o, .ranks = 4, .rank = 1 };
	CHECK(refuses(marlin.s, &o, "check.rank", "rank 1 of 4"));
	o = (struct dsv4_open_options){ .size = sizeof o, .ranks = 2, .stages = 2, .stage = 1 };
	CHECK(refuses(marlin.s, &o, "check.rank", "stage 1 of 2"));
	/* a whole model is rank 0 of 1 */
	o = (struct dsv4_open_options){ .size = sizeof o, .ranks = 1 };
	CHECK(!dsv4_open(&d, hf.s, &o, NULL));
	dsv4_close(d);
	CHECK(refuses(FLASH, NULL, "kind.download", "published"));
	CHECK(refuses(model_file(marlin.s, "source").s, NULL, "kind.source", "headers"));
	CHECK(refuses(model_file(rank.s, "config.json").s, NULL, "kind.file", "file"));
}

/* --- folders with something wrong --- */

#define FILE_2 "model-00003-of-00007.safetensors"

static void unsealed(void)
{
	struct path p = rank_copy("unsealed");
	size_t n;
	char *s = (char *)file_get_all(model_file(p.s, MAN_NAME).s, &n), *end;

	s[n] = 0;
	end = strstr(s, ",\n \"xxh3_128\"");
	snprintf(end, 4, "\n}\n");
	model_put(p.s, MAN_NAME, s, strlen(s));
	free(s);
	CHECK(refuses(p.s, NULL, "check.unsealed", "digest of itself"));
	p = rank_copy("edited");
	verify_exchange(model_file(p.s, MAN_NAME).s, "rank 0 of 2", "rank 1 of 2");
	CHECK(refuses(p.s, NULL, "set.manifest", "not as it was written"));
	p = rank_copy("unfinished");
	unlink(model_file(p.s, MAN_NAME).s);
	CHECK(refuses(p.s, NULL, "kind.bare", "manifest.json is gone"));
}

/* A sidecar that lies, with digests that were made to fit all the way up. */
static void lying(void)
{
	static const struct {
		const char *from, *to, *rule, *word;
	} row[] = {
		{ "\"offsets\": [0, ", "\"offsets\": [1, ", "set.form", FILE_2 },
		{ "\"offsets\": [0, ", "\"offsets\": [9007199254740000, ", "set.form", FILE_2 },
		{ "\"header_bytes\": 8192", "\"header_bytes\": 8191", "set.form", FILE_2 },
		{ "\"shape\": [4, 16, 512]", "\"shape\": [4, 512, 16]", "set.form", "shape" },
		{ "marlin4-a16", "marlin9-a16", "set.layout", "no such layout" },
		{ "\"version\": 1", "\"version\": 2", "set.layout", "another version" },
		{ "gate-up", "up-down", "set.layout", "no such order" },
		{ "gate-up", "up-gate", "set.form", "layout, type or shape" },
		{ "\"parts\": 2", "\"parts\": 1", "set.form", FILE_2 },
		{ "hc_attn_fn\"", "hc_attn_fx\"", "check.header", "hc_attn_fn" },
		{ "\"F32\"", "\"I32\"", "check.header", FILE_2 },
		{ "rank", "rank", "", "" },
	};
	struct path p;
	size_t i;

	make();
	for (i = 0; *row[i].rule; i++) {
		p = rank_copy("lying");
		verify_edit(p.s, FILE_2, row[i].from, row[i].to);
		CHECK_IN(row[i].to, refuses(p.s, NULL, row[i].rule, row[i].word));
	}
	/* a tensor of another file's name, in header and sidecar */
	p = rank_copy("twice");
	verify_exchange(model_file(p.s, FILE_2).s, "layers.1.attn_norm.weight",
		"layers.0.attn_norm.weight");
	verify_edit(p.s, FILE_2, "layers.1.attn_norm.weight", "layers.0.attn_norm.weight");
	CHECK(refuses(p.s, NULL, "set.form", "layers.0.attn_norm.weight is in two files"));
	/* and the same of the manifest and the config beside it */
	p = rank_copy("share");
	verify_exchange(model_file(p.s, MAN_NAME).s, "rank 0 of 2", "rank 2 of 2");
	verify_seal(p.s);
	CHECK(refuses(p.s, NULL, "set.form", "rank 2 of 2"));
	p = rank_copy("config");
	verify_exchange(model_file(p.s, "config.json").s, "\"moe_intermediate_size\": 128",
		"\"moe_intermediate_size\": 256");
	CHECK(refuses(p.s, NULL, "check.sha256", "config.json"));
	p = rank_copy("gone");
	unlink(model_file(p.s, FILE_2).s);
	CHECK(refuses(p.s, NULL, "check.missing", FILE_2));
}

/* A set without a rank: the others open, that one and the whole do not. */
static void missing(void)
{
	struct dsv4_open_options o = { .size = sizeof o, .ranks = 2 };
	struct path p = dirs_path("missing"), r;
	char line[2400];
	struct dsv4 *d;

	make();
	snprintf(line, sizeof line, "cp -r %s %s && mv %s/rank-1-of-2 %s.away", marlin.s, p.s, p.s,
		p.s);
	CHECK(!system(line));
	CHECK(refuses(p.s, NULL, "check.missing", "rank-1-of-2"));
	o.rank = 1;
	CHECK(refuses(p.s, &o, "check.missing", "rank-1-of-2"));
	o.rank = 0;
	CHECK(!dsv4_open(&d, p.s, &o, NULL) && dsv4_info(d)->folders == 1);
	dsv4_close(d);
	/* another rank in its place is not the one that the set names */
	r = model_file(p.s, "rank-1-of-2");
	snprintf(line, sizeof line, "cp -r %s/rank-0-of-2 %s", p.s, r.s);
	CHECK(!system(line));
	CHECK(refuses(p.s, NULL, "set.manifest", "rank-1-of-2"));
}

/* A bit anywhere in a file is found by whoever reads it, and what is not read does not matter. */
static void damaged(void)
{
	struct dsv4_read_options r = { .size = sizeof r, .flags = DSV4_SHA256 };
	struct path p = rank_copy("damaged");
	struct dsv4_error e = { 0 };
	const struct dsv4_tensor *t;
	uint8_t *b, *q;
	struct dsv4 *d;
	size_t n, i;

	d = opened(p.s);
	i = dsv4_find(d, 0, "layers.1.attn.wkv.weight");
	t = dsv4_tensor(d, i);
	b = file_get_all(model_file(p.s, FILE_2).s, &n);
	b[t->offset + t->bytes - 1] ^= 1;
	q = malloc(n);
	dsv4_close(d);
	model_put(p.s, FILE_2, b, n);
	d = opened(p.s);
	t = dsv4_tensor(d, i);
	CHECK(dsv4_read(d, i, 0, q, t->bytes, NULL, &e) &&
		is(&e, "check.tensor", "attn.wkv.weight"));
	CHECK(dsv4_read(d, i, 0, q, 10, NULL, &e) && is(&e, "check.chunk", FILE_2));
	CHECK(dsv4_read_file(d, 2, 0, q, n, NULL, &e) && is(&e, "check.chunk", FILE_2));
	CHECK(dsv4_check(d, 2, NULL, &e) && is(&e, "check.chunk", "layers.1"));
	CHECK(dsv4_check(d, 2, &r, &e) && is(&e, "check.chunk", FILE_2));
	CHECK(!dsv4_read(d, i, 0, q, t->bytes, &unverified, &e));
	CHECK(same_bytes("the damage", q, b + t->offset, t->bytes));
	CHECK(!dsv4_read(d, i + 1, 0, q, dsv4_tensor(d, i + 1)->bytes, NULL, &e));
	CHECK(!dsv4_check(d, 1, &r, &e));
	dsv4_close(d);
	free(b);
	free(q);
}

static void wrong_sha256(void)
{
	struct dsv4_read_options r = { .size = sizeof r, .flags = DSV4_SHA256 };
	struct job_opts o = set_opts("hf", 0, false);
	struct path p = dirs_path("no-sha"), q = rank_copy("other-sha");
	struct dsv4_error e = { 0 };
	char was[65], now[65];
	struct dsv4 *d;

	o.plan.share = (struct share){ 0 };
	o.plan.sha256 = false;
	o.plan.back = false;
	CHECK(set_makes(FLASH, p.s, &o));
	d = opened(p.s);
	CHECK(!dsv4_file(d, 0)->sha256 && !dsv4_check(d, 0, NULL, &e));
	CHECK(dsv4_check(d, 0, &r, &e) && is(&e, "lib.call", "--no-sha256"));
	dsv4_close(d);
	/* the same wrong digest in manifest and sidecar */
	digest_file(model_file(q.s, FILE_2).s, was);
	memcpy(now, was, sizeof now);
	now[5] = now[5] == '0' ? '1' : '0';
	verify_exchange(model_file(q.s, MAN_NAME).s, was, now);
	verify_edit(q.s, FILE_2, was, now);
	d = opened(q.s);
	CHECK(!dsv4_check(d, 2, NULL, &e));
	CHECK(dsv4_check(d, 2, &r, &e) && is(&e, "check.sha256", FILE_2));
	dsv4_close(d);
}

/* The file is cut off, or disks fail, while it is read. */
static void truncated(void)
{
	struct path p = rank_copy("truncated"), f = model_file(p.s, FILE_2);
	struct dsv4_open_options o = { .size = sizeof o, .direct = 1 };
	struct dsv4_read_options r = { .size = sizeof r, .flags = DSV4_DIRECT };
	struct dsv4_error e = { 0 };
	uint8_t *q, *b;
	struct dsv4 *d;
	size_t n, i;

	b = file_get_all(f.s, &n);
	model_put(p.s, FILE_2, b, n); /* a file of its own: truncate would reach the others */
	CHECK(!dsv4_open(&d, p.s, &o, &e));
	q = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
	CHECK(q && !dsv4_read_file(d, 2, 0, q, n, NULL, &e));
	CHECK(!truncate(f.s, (off_t)(n - 5000)));
	for (i = 0; i < 4; i++) {
		r.flags = (uint32_t)i;
		CHECK(dsv4_read_file(d, 2, 0, q, n, &r, &e) && is(&e, "file.short", FILE_2));
	}
	CHECK(dsv4_check(d, 2, NULL, &e) && is(&e, "file.short", "ends at byte"));
	CHECK(!truncate(f.s, 0) && dsv4_check(d, 2, NULL, &e) && is(&e, "file.short", "byte 0"));
	dsv4_close(d);
	CHECK(refuses(p.s, NULL, "set.size", FILE_2));
	free(b);
	free(q);
}

/* Every call of the system that can fail, fails once while a rank is opened and read: an error, and nothing leaks. */
static void faults(void)
{
	struct path p = rank_copy("faults");
	static const enum io_op ops_[] = { IO_OPEN, IO_FSTAT, IO_PREAD, IO_LIST, IO_LSTAT };
	struct dsv4 *d;
	struct faultio f;
	uint8_t b[64];
	size_t i;
	int rc;

	for (i = 0; i < sizeof ops_ / sizeof *ops_; i++) {
		uint64_t at, failed = 0;

		for (at = 1; at < 4000; at++) {
			struct err e = { 0 };
			struct dsv4_error why = { 0 };

			faultio_make(&f);
			f.op = ops_[i];
			f.at = at;
			f.error = EIO;
			rc = handle_open(&d, &f.io, p.s, NULL, &e);
			if (!rc) {
				rc = dsv4_read_file(d, 0, 0, b, sizeof b, NULL, &why);
				CHECK(!rc || why.kind == DSV4_SYSTEM);
			} else {
				CHECK(!d && e.kind != ERR_NONE);
			}
			dsv4_close(d);
			CHECK(!f.strange);
			if (!rc && f.calls[ops_[i]] < at)
				break;
			failed += rc != 0;
		}
		CHECK_IN(io_names[ops_[i]], failed);
	}
}

/* --- layouts and values --- */

static void relayout_refused(void)
{
	struct dsv4_layout a = { .size = sizeof a, .rows = 64, .row_bytes = 32 }, b = a;
	struct dsv4_error e = { 0 };
	static uint8_t x[64 * 32], y[64 * 32];
	uint64_t n;

	b.layout = "marlin9";
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "set.layout", "marlin9"));
	b.layout = "marlin4-a16";
	b.order = "sideways";
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "set.layout", "sideways"));
	b.order = NULL;
	CHECK(!dsv4_layout_bytes(&b, &n, &e) && n == sizeof x);
	CHECK(dsv4_relayout(&a, x, sizeof x - 1, &b, y, sizeof y, &e) &&
		is(&e, "lib.range", "2047"));
	CHECK(dsv4_relayout(&a, x, sizeof x, &b, y, sizeof y + 1, &e) &&
		is(&e, "lib.range", "2049"));
	b.rows = 128;
	CHECK(dsv4_relayout(&a, x, sizeof x, &b, y, sizeof y, &e) &&
		is(&e, "lib.matrix", "128 rows"));
	b.rows = 63;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "multiples of 64"));
	b.rows = 0;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "no matrix"));
	b.rows = UINT32_MAX;
	b.row_bytes = UINT64_MAX;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "no matrix"));
	b.row_bytes = (uint64_t)1 << 33;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "no matrix"));
	b = a;
	b.size = 1;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.call", "size"));
	CHECK(dsv4_layout_bytes(NULL, &n, &e) && is(&e, "lib.call", "size"));
	b = a;
	a.order = "same";
	b.order = "gate-up";
	CHECK(dsv4_relayout(&a, x, sizeof x, &b, y, sizeof y, &e) && is(&e, "lib.matrix", "parts"));
	b.order = "gate-up-by-16";
	b.rows = a.rows = 24;
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "no matrix"));
	b = (struct dsv4_layout){ sizeof b, "b12x-w4a8", NULL, 16, 3 };
	CHECK(dsv4_layout_bytes(&b, &n, &e) && is(&e, "lib.matrix", "no matrix"));
}

static void values_refused(void)
{
	struct dsv4_error e = { 0 };
	struct dsv4_values v;
	struct dsv4 *d;
	float x[512];
	size_t i;

	make();
	d = opened(model_file(marlin.s, "rank-0-of-2").s);
	i = dsv4_find(d, 0, "layers.0.ffn.experts.w13.scale");
	CHECK(dsv4_values(d, i, &v, &e) && is(&e, "lib.decode", "w13.scale"));
	i = dsv4_find(d, 0, "layers.0.attn.wkv.scale");
	CHECK(dsv4_values(d, i, &v, &e) && is(&e, "lib.decode", "wkv.scale"));
	i = dsv4_find(d, 0, "layers.0.ffn.gate.tid2eid");
	CHECK(dsv4_decode(d, i, 0, 0, 1, x, 512, NULL, &e) && is(&e, "lib.decode", "I64"));
	CHECK(dsv4_values(d, DSV4_NONE, &v, &e) && is(&e, "lib.range", "tensor"));
	i = dsv4_find(d, 0, "layers.0.ffn.experts.w13.weight");
	CHECK(!dsv4_values(d, i, &v, &e) && v.count == 4 && v.rows == 256 && v.cols == 256 &&
		!strcmp(v.codec, "mxfp4"));
	CHECK(dsv4_decode(d, i, 4, 0, 1, x, 512, NULL, &e) && is(&e, "lib.range", "matrix 4"));
	CHECK(dsv4_decode(d, i, 0, 256, 1, x, 512, NULL, &e) && is(&e, "lib.range", "rows"));
	CHECK(dsv4_decode(d, i, 0, 1, UINT64_MAX, x, 512, NULL, &e) && is(&e, "lib.range", "rows"));
	CHECK(dsv4_decode(d, i, 0, 0, 3, x, 512, NULL, &e) && is(&e, "lib.range", "room"));
	CHECK(dsv4_decode(d, i, 0, 0, 1, NULL, 512, NULL, &e) && is(&e, "lib.call", "memory"));
	CHECK(!dsv4_decode(d, i, 0, 256, 0, NULL, 0, NULL, &e));
	CHECK(!dsv4_decode(d, i, 3, 255, 1, x, 256, NULL, &e));
	dsv4_close(d);
}

/* clang-format off */
static const struct test tests[] = {
	{ "ranges", ranges },
	{ "calls", calls }, { "nulls", nulls },
	{ "other_folder", other_folder },
	{ "unsealed", unsealed },
	{ "lying", lying },
	{ "missing", missing },
	{ "damaged", damaged },
	{ "wrong_sha256", wrong_sha256 },
	{ "truncated", truncated },
	{ "faults", faults },
	{ "relayout_refused", relayout_refused },
	{ "values_refused", values_refused },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
