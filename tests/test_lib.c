/* test_lib.c -- libdsv4 by its public header: what it lists, reads, takes out of layouts and decodes is what the files
 * and the source hold; and whatever is wrong with a folder, a call or a file is an error with the right rule.
 *
 * SPDX-License-Identifier: MIT */
#include "core/version.h"
#include "quant/codec.h"
#include "quant/lib/handle.h"
#include "tests/faultio.h"
#include "tests/set.h"
#include "tests/verify.h"

#include <fcntl.h>
#include <pthread.h>

static const struct dsv4_read_options unverified = { sizeof unverified, 1, DSV4_UNVERIFIED };

/* --- folders --- */

static struct path marlin, hf;

static void make(void)
{
	struct job_opts o = set_opts("marlin-mxfp4", 2, true);

	if (marlin.s[0])
		return;
	marlin = dirs_path("marlin");
	o.plan.share.experts_tp = false;
	CHECK(set_makes(FLASH, marlin.s, &o));
	hf = dirs_path("hf");
	o = set_opts("hf", 0, false);
	o.plan.share = (struct share){ 0 };
	CHECK(set_makes(FLASH, hf.s, &o));
}

static struct dsv4 *opened(const char *path)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = NULL;

	if (dsv4_open(&d, path, NULL, &e))
		fprintf(stderr, "%s: %s: %s\n", path, e.rule, e.message);
	CHECK(d);
	return d;
}

/* True if e is that rule, and has the word in its sentence. */
static bool is(const struct dsv4_error *e, const char *rule, const char *word)
{
	bool same = e->kind != DSV4_OK && !strcmp(e->rule, rule) && strstr(e->message, word);

	if (!same)
		fprintf(stderr, "expected %s with %s, got %d %s: %s\n", rule, word, e->kind,
			e->rule, e->message);
	return same;
}

static bool refuses(const char *path, const struct dsv4_open_options *o, const char *rule,
	const char *word)
{
	struct dsv4_error e = { 0 };
	struct dsv4 *d = (struct dsv4 *)&e;

	return dsv4_open(&d, path, o, &e) == -1 && !d && is(&e, rule, word);
}

/* A copy of the first rank's folder. */
static struct path rank_copy(const char *name)
{
	struct path p;

	make();
	p = model_copy(model_file(marlin.s, "rank-0-of-2").s, name);
	return p;
}

/* --- what is listed --- */

static void listing(void)
{
	const struct dsv4_tensor *t;
	const struct dsv4_file *f;
	struct dsv4 *d;
	struct path at;
	uint64_t next;
	uint8_t *p, *q;
	size_t i, n;

	make();
	d = opened(marlin.s);
	CHECK(!strcmp(dsv4_version(), DSV4_VERSION));
	CHECK(dsv4_info(d)->folders == 2 && !strcmp(dsv4_info(d)->kind, "set") &&
		!strcmp(dsv4_info(d)->target, "marlin-mxfp4") && strlen(dsv4_info(d)->plan) == 64);
	CHECK(dsv4_folder(d, 1)->rank == 1 && dsv4_folder(d, 1)->ranks == 2 &&
		dsv4_folder(d, 1)->stages == 1 && !dsv4_folder(d, 2));
	CHECK(!dsv4_file(d, dsv4_info(d)->files) && !dsv4_tensor(d, dsv4_info(d)->tensors));
	for (i = 0; (t = dsv4_tensor(d, i)); i++) {
		f = dsv4_file(d, t->file);
		at = model_file(model_file(marlin.s, dsv4_folder(d, f->folder)->name).s, f->name);
		next = i == f->first_tensor
			? f->payload
			: dsv4_tensor(d, i - 1)->offset + dsv4_tensor(d, i - 1)->bytes;
		CHECK_IN(t->name, t->offset == next);
		CHECK_IN(t->name, dsv4_find(d, f->folder, t->name) == i);
		CHECK_IN(t->name, !t->rank || t->strides[t->rank - 1] == 1);
		p = file_get_all(at.s, &n);
		q = malloc(t->bytes + 1);
		CHECK_IN(t->name, n == f->bytes && !dsv4_read(d, i, 0, q, t->bytes, NULL, NULL));
		CHECK_IN(t->name, same_bytes(t->name, q, p + t->offset, t->bytes));
		free(p);
		free(q);
	}
	CHECK(i == dsv4_info(d)->tensors && i > 100);
	CHECK(dsv4_find(d, 0, "no such") == DSV4_NONE && dsv4_find(d, 9, "x") == DSV4_NONE &&
		dsv4_find(d, 0, NULL) == DSV4_NONE);
	i = dsv4_find(d, 1, "layers.1.ffn.experts.w13.weight");
	t = dsv4_tensor(d, i);
	CHECK(t && t->stack && !strcmp(t->stack->layout, "marlin4-a16") && t->stack->parts == 2 &&
		t->stack->rows == 256 && t->stack->row_bytes == 128 && t->stack->count == 4 &&
		t->stack->bytes * t->stack->count == t->bytes &&
		!strcmp(t->stack->order, "gate-up") && !strcmp(t->transform, "tile"));
	dsv4_close(d);
	dsv4_close(NULL);
}

/* Every way of reading gives the same bytes, for ranges on and off every edge. */
static void reading(void)
{
	enum { THREADS = 3, ROOM = 64 };
	struct dsv4_open_options o = { .size = sizeof o, .direct = 1, .ranks = 2, .rank = 1 };
	struct dsv4_error e;
	struct dsv4_read_options r = { .size = sizeof r };
	const struct dsv4_file *f;
	const struct dsv4_tensor *t;
	struct dsv4 *d = NULL;
	uint64_t at, len;
	uint8_t *p, *q;
	size_t n, i, k;

	make();
	CHECK(!dsv4_open(&d, marlin.s, &o, &e) && dsv4_info(d)->folders == 1 &&
		dsv4_folder(d, 0)->rank == 1);
	f = dsv4_file(d, 2);
	p = file_get_all(model_file(model_file(marlin.s, "rank-1-of-2").s, f->name).s, &n);
	q = aligned_alloc(4096, (n + 4096 + ROOM) / 4096 * 4096 + 4096);
	CHECK(p && q && n == f->bytes);
	for (i = 0; i < 400; i++) {
		r.threads = rnd(THREADS + 1);
		r.flags = rnd(4);
		at = i < 4 ? 0 : rnd(8) ? rnd((uint32_t)n + 1) : rnd((uint32_t)(n / 4096)) * 4096;
		len = i < 4 ? n : rnd(8) ? rnd((uint32_t)(n - at) + 1) : rnd(2);
		len = len < n - at ? len : n - at;
		k = rnd(3) ? (size_t)(at % 4096) : rnd(ROOM);
		memset(q, 0xee, n + ROOM);
		CHECK(!dsv4_read_file(d, 2, at, q + k, len, &r, &e));
		CHECK(same_bytes("a range", q + k, p + at, len) && q[k + len] == 0xee &&
			(!k || q[k - 1] == 0xee));
	}
	for (i = f->first_tensor; i < f->first_tensor + f->tensors; i++) {
		t = dsv4_tensor(d, i);
		r.flags = i % 4;
		at = rnd((uint32_t)t->bytes);
		CHECK_IN(t->name,
			!dsv4_read(d, i, at, q, t->bytes - at, &r, &e) &&
				same_bytes(t->name, q, p + t->offset + at, t->bytes - at));
	}
	r.flags = DSV4_SHA256 | DSV4_DIRECT;
	for (i = 0; dsv4_file(d, (uint32_t)i); i++)
		CHECK(!dsv4_check(d, (uint32_t)i, &r, &e) && !dsv4_check(d, (uint32_t)i, NULL, &e));
	free(p);
	free(q);
	dsv4_close(d);
}

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

static void official(void)
{
	struct job_opts j = set_opts("official", 0, false);
	struct dsv4_open_options o = { .size = sizeof o, .ranks = 2, .rank = 1 };
	struct path out = dirs_path("official");
	struct dsv4 *d;

	j.plan.share = (struct share){ 0 };
	j.plan.ranks = 2;
	j.plan.back = false;
	CHECK(set_makes(FLASH, out.s, &j));
	d = opened(out.s);
	CHECK(dsv4_info(d)->files == 2 && !dsv4_folder(d, 0)->ranks);
	dsv4_close(d);
	CHECK(!dsv4_open(&d, out.s, &o, NULL) && dsv4_info(d)->files == 1 &&
		!strcmp(dsv4_file(d, 0)->name, "model1-mp2.safetensors") &&
		dsv4_folder(d, 0)->rank == 1);
	dsv4_close(d);
	o.ranks = 4;
	CHECK(refuses(out.s, &o, "check.rank", "1 of 4"));
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

/* --- layouts --- */

static uint8_t *filled(uint64_t n)
{
	uint8_t *p = malloc(n + 1);

	if (!p)
		exit(2);
	rnd_bytes(p, n);
	return p;
}

/* To every layout with every order, and back by way of another: the same bytes. What is there is what the address
 * function of the layout says. */
static void relayout(void)
{
	struct dsv4_layout plain = { .size = sizeof plain, .rows = 512, .row_bytes = 272 };
	const struct dsv4_layout mid = { sizeof mid, "sf128x4", "up-gate", 512, 272 };
	struct dsv4_layout m = plain;
	struct dsv4_error e = { 0 };
	uint8_t *src = filled(512 * 272), *out, *other, *back = filled(512 * 272);
	uint64_t n, k;
	unsigned i, j, some = 0;

	CHECK(!dsv4_layout_bytes(&mid, &k, &e));
	other = filled(k);
	for (i = 0; (m.layout = dsv4_layout_name(i)); i++)
		for (j = 0; j < n_rowmaps; j++) {
			m.order = rowmaps[j].name;
			if (dsv4_layout_bytes(&m, &n, &e)) {
				CHECK_IN(m.layout, is(&e, "lib.matrix", m.layout));
				continue;
			}
			some++;
			out = filled(n);
			CHECK_IN(m.layout, !dsv4_relayout(&plain, src, 512 * 272, &m, out, n, &e));
			memset(back, 0xee, 512 * 272);
			CHECK_IN(m.layout, !dsv4_relayout(&m, out, n, &plain, back, 512 * 272, &e));
			CHECK_IN(m.layout, same_bytes(m.layout, back, src, 512 * 272));
			if (rowmaps[j].parts == 2) {
				CHECK_IN(m.layout, !dsv4_relayout(&m, out, n, &mid, other, k, &e));
				CHECK_IN(m.layout, !dsv4_relayout(&mid, other, k, &m, out, n, &e));
				CHECK_IN(m.layout,
					!dsv4_relayout(&m, out, n, &plain, back, 512 * 272, &e) &&
						same_bytes(m.layout, back, src, 512 * 272));
			}
			free(out);
		}
	CHECK(some > 150);
	/* rows of w1, then of w3, one by one */
	m = plain;
	m.order = "gate-up-by-1";
	CHECK(!dsv4_relayout(&plain, src, 512 * 272, &m, back, 512 * 272, &e));
	for (i = 0; i < 512; i++)
		CHECK(!memcmp(back + i * 272, src + (i % 2 * 256 + i / 2) * 272, 272));
	free(src);
	free(other);
	free(back);
}

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

/* --- values --- */

/* The values of a weight of the source. */
static double *source_values(const struct ckpt *c, const char *name, uint64_t *rows, uint64_t *cols)
{
	const struct tensor *w = ckpt_find(c, name), *s = NULL;
	char scale[200];
	enum codec f;
	uint64_t i, each;
	uint8_t *p, *q = NULL;
	double *v;

	snprintf(scale, sizeof scale, "%.*sscale", (int)(strlen(name) - 6), name);
	s = ckpt_find(c, scale);
	f = codec_of_types(w->dtype, s ? s->dtype : DT_COUNT);
	*rows = w->dim[0];
	*cols = w->rank > 1 ? codec_cols(f, w->dim[1]) : 1;
	p = filled(w->end - w->begin);
	CHECK(!ckpt_read(c, w, 0, p, w->end - w->begin, NULL));
	if (s) {
		q = filled(s->end - s->begin);
		CHECK(!ckpt_read(c, s, 0, q, s->end - s->begin, NULL));
	}
	v = malloc(*rows * *cols * sizeof *v);
	each = s ? (s->end - s->begin) / s->dim[0] : 0;
	for (i = 0; i < *rows; i++)
		codec_ops[f].decode(p + i * codec_row_bytes(f, *cols),
			q ? q + i / codecs[f].rows * each : NULL, 1, *cols, v + i * *cols);
	free(p);
	free(q);
	return v;
}

/* Rows of tensor t of d, of matrix k, against values of the source from its row and column on. */
static void same_values(const struct dsv4 *d, const char *name, uint64_t k, const struct ckpt *c,
	const char *of, uint64_t row, uint64_t src_row, uint64_t src_col)
{
	size_t i = dsv4_find(d, 0, name);
	struct dsv4_values v = { 0 };
	struct dsv4_error e = { 0 };
	uint64_t rows, cols, r, j, n;
	double *want = source_values(c, of, &rows, &cols);
	float *got;

	CHECK_IN(name, !dsv4_values(d, i, &v, &e));
	n = rows - src_row < v.rows - row ? rows - src_row : v.rows - row;
	got = malloc((n * v.cols + 1) * sizeof *got);
	CHECK_IN(name, v.cols && n && !dsv4_decode(d, i, k, row, n, got, n * v.cols, NULL, &e));
	for (r = 0; r < n; r++)
		for (j = 0; j < v.cols; j++)
			if (got[r * v.cols + j] !=
				(float)want[(src_row + r) * cols + src_col + j]) {
				CHECK_IN(of, false);
				r = n - 1;
				break;
			}
	free(got);
	free(want);
}

static void values(void)
{
	struct findings f = { 0 };
	struct ckpt_opts co = { 0 };
	struct job_opts o;
	struct path out;
	struct dsv4 *d;
	struct ckpt c;
	unsigned i;

	make();
	CHECK(!ckpt_open(&c, io_posix(), FLASH, &co, &f, NULL));
	d = opened(hf.s);
	same_values(d, "embed.weight", 0, &c, "embed.weight", 0, 0, 0);
	same_values(d, "layers.0.attn.wq_a.weight", 0, &c, "layers.0.attn.wq_a.weight", 100, 100,
		0);
	same_values(d, "layers.0.ffn.experts.3.w2.weight", 0, &c,
		"layers.0.ffn.experts.3.w2.weight", 5, 5, 0);
	dsv4_close(d);
	/* experts are 4 to a rank, wo_b is cut by columns */
	d = opened(model_file(marlin.s, "rank-1-of-2").s);
	same_values(d, "layers.0.attn.wo_b.weight", 0, &c, "layers.0.attn.wo_b.weight", 0, 0, 128);
	dsv4_close(d);
	for (i = 0; i < n_engines; i++) {
		o = set_opts(engines[i].name, 1, false);
		out = dirs_path(engines[i].name);
		if (!set_makes(FLASH, out.s, &o))
			continue;
		d = opened(model_file(out.s, "rank-0-of-1").s);
		same_values(d, "layers.1.ffn.experts.w13.weight", 5, &c,
			"layers.1.ffn.experts.5.w1.weight", 0, 0, 0);
		same_values(d, "layers.1.ffn.experts.w13.weight", 5, &c,
			"layers.1.ffn.experts.5.w3.weight",
			dsv4_tensor(d, dsv4_find(d, 0, "layers.1.ffn.experts.w13.weight"))
					->stack->rows /
				2,
			0, 0);
		same_values(d, "layers.1.ffn.experts.w2.weight", 7, &c,
			"layers.1.ffn.experts.7.w2.weight", 3, 3, 0);
		dsv4_close(d);
	}
	ckpt_close(&c);
	finding_free(&f);
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

/* --- threads --- */

struct reader_thread {
	const struct dsv4 *d;
	unsigned seed;
	int failed;
};

static void *read_all(void *arg)
{
	struct reader_thread *r = arg;
	struct dsv4_read_options o = { .size = sizeof o, .threads = 1 + r->seed % 2 };
	struct dsv4_error e;
	const struct dsv4_tensor *t;
	size_t n = dsv4_info(r->d)->tensors, i, k;
	uint8_t *p = malloc(1 << 20);
	float x[1024];

	for (k = 0; p && k < n; k++) {
		i = (k * 7 + r->seed * 31) % n;
		t = dsv4_tensor(r->d, i);
		r->failed += t->bytes <= 1 << 20 && dsv4_read(r->d, i, 0, p, t->bytes, &o, &e);
		r->failed += dsv4_find(r->d, dsv4_file(r->d, t->file)->folder, t->name) != i;
		/* one that fails fills the struct of this thread alone */
		r->failed +=
			!dsv4_read(r->d, i, t->bytes, p, 1, &o, &e) || strcmp(e.rule, "lib.range");
		if (k % 16 == 0)
			(void)dsv4_decode(r->d, i, 0, 0, 1, x, 1024, &o, &e);
	}
	r->failed += dsv4_check(r->d, r->seed % 4, &o, &e);
	free(p);
	return NULL;
}

static void concurrent(void)
{
	enum { THREADS = 6 };
	struct reader_thread r[THREADS];
	pthread_t t[THREADS];
	struct dsv4 *d;
	unsigned i;

	make();
	d = opened(marlin.s);
	for (i = 0; i < THREADS; i++) {
		r[i] = (struct reader_thread){ d, i, 0 };
		CHECK(!pthread_create(&t[i], NULL, read_all, &r[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		CHECK(!r[i].failed);
	}
	dsv4_close(d);
}

/* clang-format off */
static const struct test tests[] = {
	{ "listing", listing },
	{ "reading", reading },
	{ "ranges", ranges },
	{ "calls", calls },
	{ "other_folder", other_folder },
	{ "official", official },
	{ "unsealed", unsealed },
	{ "lying", lying },
	{ "missing", missing },
	{ "damaged", damaged },
	{ "wrong_sha256", wrong_sha256 },
	{ "truncated", truncated },
	{ "faults", faults },
	{ "relayout", relayout },
	{ "relayout_refused", relayout_refused },
	{ "values", values },
	{ "values_refused", values_refused },
	{ "concurrent", concurrent },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
