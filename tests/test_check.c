/* test_check.c -- dsv4-verify check: whole folders are whole, and every bit that is flipped is found and named.
 *
 * EVERY=n takes every n-th bit of what is flipped (default: so that the test is quick; 1: all).
 *
 * SPDX-License-Identifier: MIT */
#include "tests/checked.h"
#include "tests/faultio.h"

/* --- whole --- */

static void whole(void)
{
	struct check_opts o = verify_opts();
	struct path fp8 = dirs_path("fp8");
	struct model_job j = model_job("official", 1);
	struct report r;
	const char *dirs[7];
	size_t i;

	make();
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, fp8.s));
	dirs[0] = off.s, dirs[1] = hf.s, dirs[2] = set.s, dirs[3] = tp.s, dirs[4] = fp8.s;
	dirs[5] = FLASH, dirs[6] = hf8.s;
	for (i = 0; i < 7; i++) {
		o.quick = false;
		CHECK_IN(dirs[i], verify_true(dirs[i], &o));
		o.quick = true;
		CHECK_IN(dirs[i], verify_true(dirs[i], &o));
	}
	o.quick = false;
	CHECK(verify_true(model_file(off.s, "model1-mp2.safetensors").s, &o));
	o.rank = "1";
	CHECK(verify_true(off.s, &o));
	CHECK(verify_true(set.s, &o));
	CHECK(!verify_check(&r, set.s, &o));
	CHECK(r.n_rows && !strncmp(r.rows[5].name, "rank-1-of-2/", 12));
	report_free(&r);
	o.rank = "2";
	CHECK(verify_check(&r, off.s, &o) == 2 && verify_find(&r, "check.rank", NULL));
	report_free(&r);
	CHECK(verify_check(&r, set.s, &o) == 2 && verify_find(&r, "check.rank", NULL));
	report_free(&r);
}

/* --- bits --- */

static uint64_t step_of(uint64_t usual)
{
	return every(SLOW ? 10 * usual + 1 : usual);
}

/* Every bit of a manifest. */
static void flip_manifest(const char *dir, bool is_set)
{
	struct text t = { 0 };
	size_t n, bit, step = step_of(is_set ? 1 : 3), missed = 0;
	uint8_t *p = file_get_all(model_file(dir, MAN_NAME).s, &n);
	struct set_manifest s;
	struct manifest c;
	struct err e;

	CHECK(p);
	t.s = (char *)p;
	t.n = n;
	for (bit = 0; bit < 8 * n; bit += step) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(&e, 0, sizeof e);
		if (is_set ? !set_manifest_read(&s, &t, &e) : !manifest_read(&c, &t, &e)) {
			missed++;
			fprintf(stderr, "bit %zu of %s is not seen\n", bit, dir);
			is_set ? set_manifest_free(&s) : manifest_free(&c);
		}
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_IN(dir, !missed);
	CHECK(is_set ? !set_manifest_read(&s, &t, &e) : !manifest_read(&c, &t, &e));
	is_set ? set_manifest_free(&s) : manifest_free(&c);
	free(p);
}

static void manifest_bits(void)
{
	make();
	flip_manifest(off.s, false);
	flip_manifest(hf.s, false);
	flip_manifest(set.s, true);
	flip_manifest(tp.s, true);
}

/* Flips bits from..to of a file and expects a finding that names it. */
static void flip_file(const char *name, uint64_t from, uint64_t to, uint64_t step, const char *rule)
{
	struct path path = model_file(hf.s, SMALL);
	struct check_opts o = verify_opts();
	struct report r;
	struct flip_io f;
	uint64_t bit, missed = 0;

	o.threads = 1;
	for (bit = from; bit < to; bit += step) {
		f = flip_make(name, bit, hf.s);
		o.io = &f.io;
		if (verify_check(&r, path.s, &o) != 1 || !verify_find(&r, rule, name)) {
			missed++;
			fprintf(stderr, "bit %llu of %s:\n", (unsigned long long)bit, name);
			verify_print(&r);
		}
		report_free(&r);
	}
	CHECK_IN(name, !missed);
}

static void header_and_sidecar_bits(void)
{
	size_t side, n;
	uint64_t header;
	uint8_t *p;

	make();
	p = file_get_all(model_file(hf.s, SMALL MAN_SIDECAR).s, &side);
	free(p);
	p = file_get_all(model_file(hf.s, SMALL).s, &n);
	memcpy(&header, p, 8);
	free(p);
	flip_file(SMALL, 0, 8 * (8 + header), step_of(5), "check.chunk");
	flip_file(SMALL, 0, 8 * (8 + header), step_of(101), "check.sha256");
	flip_file(SMALL MAN_SIDECAR, 0, 8 * side, step_of(19), "set.manifest");
}

/* A file in memory, in place of all others. */
struct mem_file {
	struct io io; /* first */
	uint8_t *p;
	size_t n;
};

static ssize_t mem_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct mem_file *m = (const struct mem_file *)(uintptr_t)io;

	(void)fd;
	n = (size_t)at + n > m->n ? m->n - (size_t)at : n;
	memcpy(buf, m->p + at, n);
	return (ssize_t)n;
}

/* One flipped bit of the payload, wherever: the chunk and just the one tensor are named. */
static void payload_bits(void)
{
	size_t n, i, k, tensor, wrong = 0, tries = SLOW ? 3000 : 100000;
	struct mem_file m = { .io = *io_posix() };
	struct pass_opts po = { .io = &m.io, .threads = 1, .max_memory = 1 << 20 };
	struct pass_span spans[8];
	struct xxh_digest chunk;
	struct pass_job j;
	struct sidecar a;
	struct stat st;
	struct err e = { 0 };
	uint64_t bit;
	int fd, dir;

	make();
	dir = open(hf.s, O_RDONLY | O_DIRECTORY);
	CHECK(!file_open(io_posix(), dir, SMALL MAN_SIDECAR, &fd, &st, &e));
	CHECK(!sidecar_read(&a, io_posix(), fd, (uint64_t)st.st_size, &e) && a.n <= 8);
	close(fd);
	close(dir);
	m.io.pread = mem_pread;
	m.p = file_get_all(model_file(hf.s, SMALL).s, &m.n);
	n = m.n;
	for (i = 0; i < a.n; i++)
		spans[i] = (struct pass_span){ a.header_bytes + a.tensors[i].begin,
			a.header_bytes + a.tensors[i].end, a.tensors[i].xxh };
	chunk = a.chunks[0];
	for (i = 0; i < tries; i++) {
		bit = 8 * a.header_bytes + rnd64() % (8 * (n - a.header_bytes));
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		j = (struct pass_job){
			.fd = 3, .bytes = n, .chunks = &chunk, .spans = spans, .n_spans = a.n
		};
		if (pass_run(&j, 1, &po, &e) || j.n_bad != 1 || j.looked[0] != 2)
			wrong++;
		(void)sidecar_in(&a, bit / 8, bit / 8 + 1, &tensor);
		for (k = 0; k < a.n; k++)
			wrong += j.bad_span[k] != (k == tensor);
		pass_free(&j, 1);
		m.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(!wrong);
	printf("     %zu bits of payload\n", tries);
	free(m.p);
	sidecar_free(&a);
}

/* --- chunks --- */

/* A folder with a file of three chunks. */
static struct path big(void)
{
	struct path m = dirs_path("m"), out = dirs_path("big");
	struct model_job j = model_job("official", 1);
	char args[700];

	if (is_file(out.s))
		return out;
	snprintf(args, sizeof args,
		"%s --config tests/configs/small4.json --set n_routed_experts=96", m.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(convert(&j, m.s, out.s));
	return out;
}

static void chunks(void)
{
	struct path out = big(), file = model_file(out.s, BIG);
	struct check_opts o = verify_opts();
	const struct report_finding *f;
	struct report r;
	struct flip_io io;
	size_t n, i, first;
	struct sidecar a;
	struct err e = { 0 };
	struct stat st;
	uint64_t bit;
	uint8_t *p;
	int fd;

	CHECK(verify_true(out.s, &o));
	fd = open(model_file(out.s, BIG MAN_SIDECAR).s, O_RDONLY);
	fstat(fd, &st);
	CHECK(!sidecar_read(&a, io_posix(), fd, (uint64_t)st.st_size, &e));
	close(fd);
	for (i = 0; i < (SLOW ? 2 : 12); i++) {
		bit = rnd64() % (8 * a.bytes);
		io = flip_make(BIG, bit, out.s);
		o.io = &io.io;
		CHECK(verify_check(&r, out.s, &o) == 1);
		f = verify_find(&r, "check.chunk", BIG);
		CHECK(f && f->at.from == bit / 8 / MAN_CHUNK * MAN_CHUNK &&
			f->at.to - f->at.from <= MAN_CHUNK);
		CHECK(r.errors == 2 && verify_find(&r, "check.sha256", BIG));
		if (f && sidecar_in(&a, bit / 8, bit / 8 + 1, &first))
			CHECK(f->at.n_tensors == 1 &&
				!strcmp(f->at.tensors[0], a.tensors[first].name));
		report_free(&r);
	}
	o.io = io_posix();
	sidecar_free(&a);
	/* two chunks exchanged */
	p = file_get_all(file.s, &n);
	model_put(out.s, "x", p, n);
	memcpy(p, p + MAN_CHUNK, 0);
	{
		uint8_t *q = malloc(n);

		memcpy(q, p, n);
		memcpy(q, p + MAN_CHUNK, MAN_CHUNK);
		memcpy(q + MAN_CHUNK, p, MAN_CHUNK);
		model_put(out.s, BIG, q, n);
		free(q);
	}
	unlink(model_file(out.s, "x").s);
	CHECK(verify_check(&r, out.s, &o) == 1);
	f = verify_find(&r, "check.chunk", BIG);
	CHECK(f && strstr(f->cause, "these are the bytes of chunk 1"));
	report_free(&r);
	/* in haste, too: the first, the last and one between */
	o.quick = true;
	CHECK(verify_false(out.s, &o, "check.chunk", BIG));
	model_put(out.s, BIG, p, n);
	CHECK(verify_true(out.s, &o));
	free(p);
}

/* Every call of the system that fails: never "true", nothing left open; short and interrupted reads change
 * nothing. */
static void failing_calls(void)
{
	struct check_opts o = verify_opts();
	struct faultio f;
	struct report r;
	uint64_t n, at;
	bool harmless;
	int rc;

	make();
	o.threads = 1;
	faultio_make(&f);
	o.io = &f.io;
	CHECK(verify_true(set.s, &o) && !f.n_open);
	n = f.calls[IO_ANY] - f.calls[IO_CLOSE];
	faultio_make(&f);
	f.most = 1000;
	f.op = IO_PREAD;
	f.eintr = 1;
	o.io = &f.io;
	CHECK(SLOW || verify_true(hf.s, &o));
	for (at = 1; at <= n + 200; at += SLOW ? 37 : 5) {
		faultio_make(&f);
		f.op = IO_ANY;
		f.at = at;
		f.error = EIO;
		o.io = &f.io;
		rc = verify_check(&r, set.s, &o);
		/* closing what was read, and looking before opening, can fail without harm */
		harmless = f.failed[IO_ANY] == f.failed[IO_CLOSE] + f.failed[IO_LSTAT];
		if (!harmless && !rc) {
			fprintf(stderr, "call %llu: status %d\n", (unsigned long long)at, rc);
			verify_print(&r);
			FAILED("a call that failed");
		}
		CHECK(!f.n_open && !f.strange);
		report_free(&r);
	}
	printf("     %llu calls\n", (unsigned long long)n);
}

/* The program itself: statuses, and JSON that parses. */
static void program(void)
{
	char args[700];

	make();
	snprintf(args, sizeof args, "check %s -q", off.s);
	CHECK(model_tool("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "check %s -q --rank 7", off.s);
	CHECK(model_tool("dsv4-verify", args) == 2);
	snprintf(args, sizeof args, "check %s -q --quick --json -j 1 --max-memory 1M", set.s);
	CHECK(model_tool("dsv4-verify", args) == 0);
	CHECK(model_tool("dsv4-verify", "check tests -q") == 1);
	CHECK(model_tool("dsv4-verify", "check") == 2);
}

static const struct test tests[] = {
	{ "check: whole", whole },
	{ "check: bits of manifests", manifest_bits },
	{ "check: bits of headers and sidecars", header_and_sidecar_bits },
	{ "check: bits of payload", payload_bits },
	{ "check: chunks", chunks },
	{ "check: failing calls", failing_calls },
	{ "check: program", program },
	{ NULL, NULL },
};
TEST_MAIN(tests)
