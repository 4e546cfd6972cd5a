/* test_fault.c -- whole conversions in which one thing goes wrong: each call to the system in turn,
 * each allocation in turn, the source under the reader's hands, a second run, a full disk.
 *
 * Whatever happens, what lies under a final name is right and complete, what is not done is not
 * claimed, and the same call made again ends where an undisturbed one does.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/run.h"
#include "core/sha256.h"
#include "core/xxh.h"
#include "formats/manifest.h"
#include "tests/dirs.h"
#include "tests/faultio.h"

#include <time.h>

#define GOLDEN "tests/golden/tiny-pro"
static struct path model; /* a copy of it with small files beside the weights */

/* Sanitized code is slow: fewer points there. */
#if defined(__SANITIZE_ADDRESS__)
enum { SLOW = 3 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SLOW = 3 };
#else
enum { SLOW = 1 };
#endif
#else
enum { SLOW = 1 };
#endif

/* --- allocations that fail: the linker sends our calls here --- */

static struct {
	bool armed, forever;
	uint64_t calls, at;
} mem;

static bool mem_goes(void)
{
	if (!mem.armed)
		return true;
	mem.calls++;
	return !mem.at || mem.calls < mem.at || (mem.calls > mem.at && !mem.forever);
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
	return mem_goes() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return mem_goes() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
	return mem_goes() ? __real_realloc(p, n) : NULL;
}

char *__wrap_strdup(const char *s)
{
	return mem_goes() ? __real_strdup(s) : NULL;
}

/* --- one conversion --- */

struct way {
	const char *name, *target;
	uint64_t ranks;
	enum expert_form experts;
	const char *layers;
	bool expected; /* with the digests of the source */
	bool hub;      /* the source is links into a hub cache */
};
static const struct way ways[] = {
	{ "official", "official", 2, EXPERT_UNSAID, "embed,1,head", false, false },
	{ "hf", "hf", 1, EXPERT_UNSAID, "embed,0,head", false, false },
	{ "checked", "official", 2, EXPERT_FP8, "0", true, false },
};
enum { WAYS = sizeof ways / sizeof *ways, PIECE = 256 << 10 };

/* As dsv4-convert run does it. */
static int execute(const struct plan *p, const struct way *w, const char *out, unsigned threads,
	struct err *e)
{
	struct run_opts o = { .out = out, .tool = "test" }; /* plain code: nothing is measured */
	struct run_result r;
	struct expected x;
	int rc;

	if (budget_make(&o.budget, p, threads, BUDGET_DEFAULT, e))
		return -1;
	o.budget.piece = PIECE; /* more calls to the byte */
	if (w->expected) {
		if (expected_read(&x, p->ckpt, dirs_path("sums").s, e))
			return -1;
		o.expected = &x;
	}
	rc = run_plan(p, &o, &r, e);
	run_result_free(&r);
	if (w->expected)
		expected_free(&x);
	return rc;
}

static int convert_on(const struct io *io, const struct way *w, const char *in, const char *out,
	unsigned threads, struct err *e)
{
	struct plan_opts po = { .target = w->target,
		.ranks = w->ranks,
		.experts = w->experts,
		.layers = w->layers,
		.sha256 = true };
	struct ckpt_opts co = { .hf_cache = w->hub };
	struct findings f = { 0 };
	struct audit a;
	struct ckpt c;
	struct plan p = { 0 };
	int rc;

	memset(e, 0, sizeof *e);
	rc = ckpt_open(&c, io, in, &co, &f, e);
	if (!rc) {
		rc = audit_make(&a, &c, EXPERT_UNSAID, &f, e);
		if (!rc) {
			rc = finding_first(&f, e);
			rc = rc ? rc : plan_make(&p, &a, &po, e);
			audit_free(&a);
		}
	}
	finding_free(&f);
	rc = rc ? rc : execute(&p, w, out, threads, e);
	plan_free(&p);
	ckpt_close(&c);
	return rc;
}

static int convert(struct faultio *f, const struct way *w, const char *in, const char *out,
	struct err *e)
{
	return convert_on(&f->io, w, in, out, 1, e);
}

/* --- folders --- */

enum { SNAP_FILES = 32, BIG = 16 << 20 };

/* What a folder holds. */
struct snap {
	size_t n;
	struct {
		char name[256];
		uint8_t *p; /* owns */
		size_t n;
	} file[SNAP_FILES];
};

static struct snap clean[WAYS];

static void for_names(const char *dir, void (*fn)(void *ctx, const char *dir, const char *name),
	void *ctx)
{
	const struct io *io = io_posix();
	int fd = io->open(io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	char *names, *s;
	size_t n, i;

	if (fd < 0)
		return;
	if (io->list(io, fd, &names, &n)) {
		perror(dir);
		exit(2);
	}
	io->close(io, fd);
	for (i = 0, s = names; i < n; i++, s += strlen(s) + 1)
		fn(ctx, dir, s);
	free(names);
}

static struct path path_in(const char *dir, const char *name)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.250s/%.250s", dir, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

static void snap_one(void *ctx, const char *dir, const char *name)
{
	struct snap *s = ctx;

	if (s->n == SNAP_FILES)
		exit(2);
	snprintf(s->file[s->n].name, sizeof s->file[0].name, "%s", name);
	s->file[s->n].p = file_get_all(path_in(dir, name).s, &s->file[s->n].n);
	s->n++;
}

static struct snap snap_of(const char *dir)
{
	struct snap s = { 0 };

	for_names(dir, snap_one, &s);
	return s;
}

static void snap_free(struct snap *s)
{
	while (s->n)
		free(s->file[--s->n].p);
}

static void snap_write(const struct snap *s, const char *dir)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		file_put_all(path_in(dir, s->file[i].name).s, s->file[i].p, s->file[i].n);
}

static long snap_find(const struct snap *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (!strcmp(s->file[i].name, name))
			return (long)i;
	return -1;
}

/* The file is what s has under that name. */
static bool snap_has(const struct snap *s, const char *dir, const char *name)
{
	static uint8_t buf[BIG];
	long i = snap_find(s, name);
	ssize_t n = -1;
	int fd;

	if (i < 0)
		return false;
	fd = open(path_in(dir, name).s, O_RDONLY | O_NOFOLLOW);
	if (fd >= 0) {
		n = pread(fd, buf, sizeof buf, 0);
		close(fd);
	}
	return n >= 0 && (size_t)n == s->file[i].n && !memcmp(buf, s->file[i].p, (size_t)n);
}

struct tally {
	const struct snap *s;
	size_t n, same;
};

static void tally_one(void *ctx, const char *dir, const char *name)
{
	struct tally *t = ctx;

	t->n++;
	t->same += snap_has(t->s, dir, name);
}

/* The folder holds what s does and nothing else. */
static bool snap_equal(const struct snap *s, const char *dir)
{
	struct tally t = { .s = s };

	for_names(dir, tally_one, &t);
	return t.n == s->n && t.same == s->n;
}

/* --- where a run starts from --- */

enum start { EMPTY, DAMAGED, DONE, STARTS };
static const char *const start_names[STARTS] = { "empty", "damaged", "done" };

static bool is_data(const char *name)
{
	static const char end[] = ".safetensors";
	size_t n = strlen(name);

	return n > sizeof end && name[0] != '.' && !strcmp(name + n - (sizeof end - 1), end);
}

/* Of three data files one has a wrong byte and lies there as a leftover too, one has a wrong byte in
 * its sidecar; small files have a wrong byte, or one too many. */
static void damage(struct snap *s)
{
	size_t i, n = s->n, k = 0, side;
	const char *name;

	for (i = 0; i < n; i++) {
		name = s->file[i].name;
		if (!is_data(name)) {
			if (strstr(name, MAN_NAME))
				continue;
			if (s->file[i].n && i % 2)
				s->file[i].p[s->file[i].n / 2] ^= 1;
			else /* file_get_all leaves room for it */
				s->file[i].p[s->file[i].n++] = '\n';
			continue;
		}
		if (k++ % 3 == 0) {
			s->file[i].p[s->file[i].n - s->file[i].n / 3] ^= 1;
			snprintf(s->file[s->n].name, sizeof s->file[0].name, ".%.200s.part", name);
			s->file[s->n].n = 100;
			s->file[s->n].p = calloc(100, 1);
			s->n++;
		} else if (k % 3 == 2) {
			for (side = 0; strncmp(s->file[side].name, name, strlen(name)) || side == i;
				side++)
				;
			s->file[side].p[s->file[side].n / 2] ^= 1;
		}
	}
}

static const struct snap *start_snap(const struct way *w, enum start st)
{
	static struct snap made[WAYS];
	static const struct snap empty;
	struct snap *d = &made[w - ways];

	if (st == EMPTY)
		return &empty;
	if (st == DAMAGED && !d->n) {
		snap_write(&clean[w - ways], dirs_new("damaged").s);
		*d = snap_of(dirs_path("damaged").s);
		dirs_remove(dirs_path("damaged").s);
		damage(d);
	}
	return st == DAMAGED ? d : &clean[w - ways];
}

static struct path start(const struct way *w, enum start st)
{
	struct path out = dirs_path("out");

	dirs_remove(out.s);
	if (st != EMPTY)
		snap_write(start_snap(w, st), dirs_new("out").s);
	return out;
}

static struct snap source;

/* Nothing is synced here, so that memory serves as well as a disk, and is quicker. */
static void use_memory(void)
{
	struct statvfs v;

	if (!statvfs("/dev/shm", &v) && (uint64_t)v.f_bavail * v.f_frsize > 256 << 20 &&
		!access("/dev/shm", W_OK))
		setenv("TMPDIR", "/dev/shm", 0);
}

static void make_source(void)
{
	struct snap golden = snap_of(GOLDEN);
	struct text sums = { 0 };
	struct err e = { 0 };
	uint8_t sha[32];
	char hex[65];
	size_t i;

	model = dirs_new("model");
	snap_write(&golden, model.s);
	snap_free(&golden);
	file_put_all(path_in(model.s, "tokenizer.json").s, "{}\n", 3);
	file_put_all(path_in(model.s, "tokenizer_config.json").s, "{\"a\": 1}\n", 9);
	file_put_all(path_in(model.s, "generation_config.json").s, "", 0);
	source = snap_of(model.s);
	for (i = 0; i < source.n; i++) {
		if (sha256_of(source.file[i].p, source.file[i].n, sha, &e))
			exit(2);
		hex_of(sha, 32, hex);
		text_fmt(&sums, "%s  %s\n", hex, source.file[i].name);
	}
	file_put_all(dirs_path("sums").s, sums.s, sums.n);
	text_free(&sums);
}

/* The source, and undisturbed runs of all ways. */
static void set_up(void)
{
	struct faultio f;
	struct err e;
	size_t i;

	if (source.n)
		return;
	use_memory();
	make_source();
	for (i = 0; i < WAYS; i++) {
		faultio_make(&f);
		dirs_remove(dirs_path("clean").s);
		if (convert(&f, &ways[i], model.s, dirs_path("clean").s, &e)) {
			fprintf(stderr, "%s: the undisturbed run: %s\n", ways[i].name, e.text);
			exit(2);
		}
		clean[i] = snap_of(dirs_path("clean").s);
	}
}

/* --- what must hold after a run --- */

struct look {
	const struct way *w;
	enum start st;
	const struct faultio *f; /* NULL: it removed what it wanted to */
	bool complete, untouched, manifest;
	char what[200];
};

static void look_at_one(void *ctx, const char *dir, const char *name)
{
	struct look *l = ctx;
	const struct snap *want = &clean[l->w - ways];
	bool stuck = l->f && l->f->failed[IO_UNLINK], right = snap_has(want, dir, name);
	bool old = snap_has(start_snap(l->w, l->st), dir, name);
	struct path side;

	if (name[0] == '.') {
		CHECK_IN(l->what, stuck || old);
		return;
	}
	if (!right && !old)
		fprintf(stderr, "%s: %s is wrong\n", l->what, name);
	CHECK_IN(l->what, right || old);
	if (is_data(name) && !stuck) {
		snprintf(side.s, sizeof side.s, "%.200s" MAN_SIDECAR, name);
		CHECK_IN(l->what,
			snap_has(want, dir, side.s) ||
				snap_has(start_snap(l->w, l->st), dir, side.s));
	}
	if (!strcmp(name, MAN_NAME))
		l->manifest = true;
	if (l->f && l->f->spoiled[0] && !strcmp(name, l->f->spoiled))
		CHECK_IN(l->what, stuck);
}

/* A failed run left nothing wrong behind. */
static void look_at(struct look *l, const char *out)
{
	for_names(out, look_at_one, l);
	if (l->manifest) /* it speaks for all the others */
		CHECK_IN(l->what,
			snap_equal(&clean[l->w - ways], out) ||
				snap_equal(start_snap(l->w, l->st), out));
}

/* The order of its calls was right. */
static void look_at_calls(const struct faultio *f, bool ok, const char *what)
{
	CHECK_IN(what, !f->early);
	CHECK_IN(what, !f->again && !f->again_dir);
	CHECK_IN(what, !f->strange);
	CHECK_IN(what, !f->n_open);
	CHECK_IN(what, !ok || (!f->loose && !f->unclosed));
}

/* Whatever was broken off, an undisturbed run completes it. */
static void resume(const struct way *w, const char *out, const char *what)
{
	struct faultio f;
	struct err e;

	faultio_make(&f);
	CHECK_IN(what, !convert(&f, w, model.s, out, &e));
	if (e.kind)
		fprintf(stderr, "%s: then %s\n", what, e.text);
	look_at_calls(&f, true, what);
	CHECK_IN(what, snap_equal(&clean[w - ways], out));
}

/* Runs once with what f is set to do, looks, and returns whether it failed. */
static bool disturbed(struct faultio *f, const struct way *w, enum start st, const char *what,
	struct err *e)
{
	struct path out = start(w, st);
	struct look l = { .w = w, .st = st, .f = f };
	int rc = convert(f, w, model.s, out.s, e);

	snprintf(l.what, sizeof l.what, "%s", what);
	look_at_calls(f, !rc, what);
	if (!rc) {
		CHECK_IN(what, snap_equal(&clean[w - ways], out.s));
		return false;
	}
	CHECK_IN(what, e->kind != ERR_NONE && e->text[0]);
	look_at(&l, out.s);
	return true;
}

/* --- each call in turn --- */

static const int errors[] = { EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, EACCES };
enum { ERRORS = sizeof errors / sizeof *errors, FAILED_ENOUGH = 40 };

/* What may fail without the run failing, because there is another way to the same end: a file of
 * an earlier run that cannot be looked at is made anew, an input that cannot be closed was read. */
static bool may_pass(enum io_op op, enum start st)
{
	return op == IO_CLOSE || op == IO_READLINK || op == IO_LSTAT || op == IO_OPEN ||
		((op == IO_PREAD || op == IO_FSTAT) && st != EMPTY);
}

/* All that failed was of that kind. */
static bool passable(const struct faultio *f, enum start st)
{
	int op;

	for (op = 0; op < IO_ANY; op++)
		if (f->failed[op] && !may_pass((enum io_op)op, st))
			return false;
	return true;
}

static void fail_one(const struct way *w, enum start st, enum io_op op, uint64_t at, int error,
	bool again)
{
	struct faultio f;
	struct err e;
	char what[100];

	snprintf(what, sizeof what, "%s, %s, %s %llu: %s", w->name, start_names[st], io_names[op],
		(unsigned long long)at, strerror(error));
	faultio_make(&f);
	f.op = op;
	f.at = at;
	f.error = error;
	if (disturbed(&f, w, st, what, &e)) {
		CHECK_IN(what, err_exit_code(&e) == 2);
		CHECK_IN(what, strstr(e.text, strerror(error)));
		if (err_exit_code(&e) != 2 || !strstr(e.text, strerror(error)))
			fprintf(stderr, "%s: %s\n", what, e.text);
	} else {
		CHECK_IN(what, passable(&f, st));
	}
	CHECK_IN(what, f.failed[op] == 1);
	if (again)
		resume(w, dirs_path("out").s, what);
}

/* How far apart the points are; 0: there are none. From an empty folder all errors are tried and
 * only reading, writing and looking is thinned out; from the others one error, and half the rest. */
static uint64_t stride(enum io_op op, enum start st, size_t error)
{
	uint64_t by = op == IO_PREAD ? 30 : op == IO_PWRITE || (op == IO_LSTAT && error) ? 3 : 1;

	if (st != EMPTY && error)
		return 0;
	if (st != EMPTY && op < IO_PREAD)
		by = 2;
	return by * SLOW;
}

static void count(const struct way *w, enum start st, struct faultio *f)
{
	struct err e;
	int op;

	faultio_make(f);
	CHECK_IN(w->name, !disturbed(f, w, st, w->name, &e));
	printf("     %s, %s:", w->name, start_names[st]);
	for (op = 0; op < IO_ANY; op++)
		printf(" %s %llu", io_names[op], (unsigned long long)f->calls[op]);
	printf(", in all %llu\n", (unsigned long long)f->calls[IO_ANY]);
}

static void fail_each(const struct way *w, enum start st, uint64_t done[IO_ANY])
{
	struct faultio f;
	uint64_t at, by;
	size_t k;
	int op;

	count(w, st, &f);
	for (op = 0; op < IO_ANY; op++) {
		for (k = 0; k < ERRORS; k++) {
			by = stride((enum io_op)op, st, k);
			for (at = by ? 1 + rnd((uint32_t)by) : 0; by && at <= f.calls[op];
				at += by) {
				if (check_failed > FAILED_ENOUGH)
					return;
				fail_one(w, st, (enum io_op)op, at, errors[k], (at + k) % 12 == 0);
				done[op]++;
			}
		}
	}
}

static void test_each_call(void)
{
	uint64_t done[IO_ANY] = { 0 }, all = 0;
	size_t i;
	int st, op;

	set_up();
	for (i = 0; i < WAYS; i++)
		for (st = 0; st < STARTS; st++)
			fail_each(&ways[i], (enum start)st, done);
	printf("     points:");
	for (op = 0; op < IO_ANY; all += done[op++])
		printf(" %s %llu", io_names[op], (unsigned long long)done[op]);
	printf(", in all %llu\n", (unsigned long long)all);
	CHECK(check_failed || all >= 3500 / SLOW); /* against silent loss */
}

/* --- what must be no failure --- */

static void test_tolerated(void)
{
	static const struct {
		enum io_op op;
		int no_blocks;
		unsigned eintr;
		size_t most;
	} rows[] = {
		{ IO_ANY, EOPNOTSUPP, 0, 0 },
		{ IO_ANY, ENOSYS, 0, 0 },
		{ IO_ANY, EINVAL, 0, 0 },
		{ IO_ANY, 0, 0, 100 },
		{ IO_ANY, 0, 0, 70000 },
		{ IO_PREAD, 0, 3, 0 },
		{ IO_PWRITE, 0, 3, 0 },
		{ IO_PWRITE, 0, 1, 1000 },
	};
	struct faultio f;
	struct err e;
	char what[100];
	size_t i, k;
	int st;

	set_up();
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (k = 0; k < WAYS; k++) {
			for (st = 0; st < STARTS; st++) {
				faultio_make(&f);
				f.op = rows[i].op;
				f.no_blocks = rows[i].no_blocks;
				f.eintr = rows[i].eintr;
				f.most = rows[i].most;
				snprintf(what, sizeof what, "%s, %s, row %zu", ways[k].name,
					start_names[st], i);
				CHECK_IN(what, !disturbed(&f, &ways[k], (enum start)st, what, &e));
				if (e.kind)
					fprintf(stderr, "%s: %s\n", what, e.text);
			}
		}
	}
}

/* Any call that may be interrupted, interrupted once: done again, or a clean failure. */
static void test_interrupted(void)
{
	static const enum io_op op[] = { IO_OPEN, IO_CLOSE, IO_ALLOCATE, IO_FSYNC, IO_CHMOD,
		IO_STATVFS, IO_LOCK };
	uint64_t at, n;
	size_t i;

	set_up();
	for (i = 0; i < sizeof op / sizeof *op; i++) {
		struct faultio f;
		struct err e;

		faultio_make(&f);
		disturbed(&f, &ways[1], EMPTY, "hf", &e);
		for (at = 1, n = f.calls[op[i]]; at <= n; at++) {
			faultio_make(&f);
			f.op = op[i];
			f.at = at;
			f.error = EINTR;
			if (disturbed(&f, &ways[1], EMPTY, io_names[op[i]], &e))
				resume(&ways[1], dirs_path("out").s, io_names[op[i]]);
		}
	}
}

/* A transfer that moves nothing: the file that is read ended, or nobody knows. A write that is lost
 * though pwrite says it was done: the size is not what it should be. */
static void test_nothing_moved(void)
{
	static const struct {
		enum io_op op;
		bool lie;
		int status;
	} rows[] = { { IO_PREAD, false, 1 }, { IO_PWRITE, false, 2 }, { IO_PWRITE, true, 2 } };
	const struct way *w = &ways[0];
	struct faultio f;
	struct err e;
	uint64_t at, n;
	size_t i;

	set_up();
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		faultio_make(&f);
		disturbed(&f, w, EMPTY, w->name, &e);
		n = f.calls[rows[i].op];
		for (at = 1; at <= n; at += at < 12 ? 1 : n / 10) {
			faultio_make(&f);
			f.op = rows[i].op;
			f.at = at;
			f.lie = f.forever = rows[i].lie;
			f.no_blocks = f.lie ? EOPNOTSUPP : 0;
			CHECK_IN(io_names[f.op], disturbed(&f, w, EMPTY, io_names[f.op], &e));
			CHECK_IN(e.text, err_exit_code(&e) == rows[i].status);
			resume(w, dirs_path("out").s, io_names[f.op]);
		}
	}
}

/* --- a disk that is gone, or full, from some call on --- */

static void fail_on(const struct way *w, enum start st, enum io_op op, uint64_t at, int error)
{
	struct faultio f;
	struct err e;
	char what[100];

	snprintf(what, sizeof what, "%s, %s, %s from %llu on: %s", w->name, start_names[st],
		io_names[op], (unsigned long long)at, strerror(error));
	faultio_make(&f);
	f.op = op;
	f.at = at;
	f.error = error;
	f.forever = true;
	if (disturbed(&f, w, st, what, &e))
		CHECK_IN(what, err_exit_code(&e) == 2);
	else
		CHECK_IN(what, passable(&f, st));
	resume(w, dirs_path("out").s, what);
}

static void test_from_then_on(void)
{
	static const struct {
		enum io_op op;
		int error;
		uint64_t by;
	} rows[] = { { IO_ANY, EIO, 19 }, { IO_PWRITE, ENOSPC, 3 }, { IO_ALLOCATE, ENOSPC, 1 },
		{ IO_OPEN, EMFILE, 3 }, { IO_FSYNC, EIO, 1 }, { IO_RENAME, EROFS, 1 },
		{ IO_UNLINK, EROFS, 1 }, { IO_CLOSE, EIO, 3 }, { IO_PREAD, EIO, 50 } };
	struct faultio f;
	uint64_t at, by, points = 0;
	size_t i, k;
	int st;

	set_up();
	for (k = 0; k < WAYS; k++) {
		for (st = 0; st < STARTS; st++) {
			struct err e;

			faultio_make(&f);
			disturbed(&f, &ways[k], (enum start)st, ways[k].name, &e);
			for (i = 0; i < sizeof rows / sizeof *rows; i++) {
				by = rows[i].by * SLOW;
				for (at = 1 + rnd((uint32_t)by); at <= f.calls[rows[i].op];
					at += by) {
					if (check_failed > FAILED_ENOUGH)
						return;
					fail_on(&ways[k], (enum start)st, rows[i].op, at,
						rows[i].error);
					points++;
				}
			}
		}
	}
	printf("     points: %llu\n", (unsigned long long)points);
}

/* --- each fsync --- */

static void no_name_after(struct faultio *f, enum io_op op, const char *name)
{
	if (f->failed[IO_FSYNC])
		CHECK_IN(name ? name : "", op != IO_RENAME && op != IO_FSYNC && op != IO_PWRITE);
}

static void test_fsync(void)
{
	struct faultio f;
	struct err e;
	char what[100];
	uint64_t at, n;
	size_t k;

	set_up();
	for (k = 0; k < WAYS; k++) {
		faultio_make(&f);
		disturbed(&f, &ways[k], EMPTY, ways[k].name, &e);
		/* Each file, the folder after each name, and what the new folder is in. */
		CHECK_IN(ways[k].name, f.calls[IO_FSYNC] == 2 * f.calls[IO_RENAME] + 1);
		CHECK_IN(ways[k].name, f.calls[IO_RENAME] == clean[k].n);
		CHECK_IN(ways[k].name, f.calls[IO_ALLOCATE] * 2 >= clean[k].n);
		for (at = 1, n = f.calls[IO_FSYNC]; at <= n; at++) {
			faultio_make(&f);
			f.op = IO_FSYNC;
			f.at = at;
			f.error = EIO;
			f.hook = no_name_after;
			snprintf(what, sizeof what, "%s, fsync %llu", ways[k].name,
				(unsigned long long)at);
			CHECK_IN(what, disturbed(&f, &ways[k], EMPTY, what, &e));
			CHECK_IN(what, strstr(e.text, "sync"));
		}
	}
}

/* --- each allocation --- */

/* Returns whether there were at that many. */
static bool fail_memory(const struct way *w, enum start st, uint64_t at, bool forever, bool again)
{
	struct path out = start(w, st);
	struct look l = { .w = w, .st = st };
	struct faultio f;
	struct err e;
	uint64_t calls;
	int rc;

	snprintf(l.what, sizeof l.what, "%s, %s, allocation %llu%s", w->name, start_names[st],
		(unsigned long long)at, forever ? " and on" : "");
	faultio_make(&f);
	mem.calls = 0;
	mem.at = at;
	mem.forever = forever;
	mem.armed = true;
	rc = convert(&f, w, model.s, out.s, &e);
	mem.armed = false;
	calls = mem.calls;
	look_at_calls(&f, !rc, l.what);
	if (!rc) {
		CHECK_IN(l.what, snap_equal(&clean[w - ways], out.s));
	} else {
		CHECK_IN(l.what, e.kind == ERR_SYSTEM && e.text[0]);
		if (e.kind != ERR_SYSTEM)
			fprintf(stderr, "%s: %s\n", l.what, e.text);
		look_at(&l, out.s);
		if (again)
			resume(w, out.s, l.what);
	}
	return calls >= at;
}

static void test_memory(void)
{
	uint64_t at, by, points = 0;
	size_t k;
	int st, forever;

	set_up();
	for (k = 0; k < WAYS; k++) {
		for (st = 0; st < STARTS; st++) {
			for (forever = 0; forever < 2; forever++) {
				by = forever ? 7 : st == EMPTY ? 1 : 2;
				for (at = 1 + rnd((uint32_t)by); fail_memory(&ways[k],
					     (enum start)st, at, forever, at % 8 == 0);
					at += by, points++)
					if (check_failed > FAILED_ENOUGH)
						return;
			}
		}
	}
	printf("     points: %llu\n", (unsigned long long)points);
	CHECK(check_failed || points >= 1500);
}

/* --- several threads: the order of things is not known, what must hold is the same --- */

static void test_threads(void)
{
	struct faultio f;
	struct err e;
	struct path out;
	char what[100];
	uint64_t at, all;
	size_t k;
	int rc, st;

	set_up();
	for (k = 0; k < WAYS; k++) {
		for (at = 1, all = 2; at < all; at += 7 * SLOW) {
			struct look l = { .w = &ways[k], .f = &f };

			l.st = (enum start)(st = (int)(at % 2)); /* empty or damaged */
			snprintf(what, sizeof what, "%s, %s, call %llu", ways[k].name,
				start_names[st], (unsigned long long)at);
			snprintf(l.what, sizeof l.what, "%s", what);
			faultio_make(&f);
			f.at = at;
			f.error = EIO;
			f.forever = at % 3 == 0;
			out = start(&ways[k], l.st);
			rc = convert_on(&f.io, &ways[k], model.s, out.s, 3, &e);
			all = f.calls[IO_ANY] < at ? 0 : at + 8 * SLOW;
			f.again_dir = 0; /* by a thread that had not heard of it */
			look_at_calls(&f, !rc, what);
			if (rc) {
				CHECK_IN(what, err_exit_code(&e) == 2 && e.text[0]);
				look_at(&l, out.s);
				resume(&ways[k], out.s, what);
			} else {
				CHECK_IN(what, passable(&f, l.st));
				CHECK_IN(what, snap_equal(&clean[k], out.s));
			}
		}
	}
}

/* --- the order of names --- */

/* When a data file gets its name its sidecar lies ready; when the manifest does, all else has its. */
static void check_order(struct faultio *f, enum io_op op, const char *name)
{
	struct path out = dirs_path("out");
	char side[300];
	size_t n = name ? strlen(name) : 0;

	if (op != IO_RENAME)
		return;
	CHECK_IN(name, n > 6 && name[0] == '.');
	if (strstr(name, ".safetensors.part")) {
		snprintf(side, sizeof side, "%.*s" MAN_SIDECAR ".part", (int)(n - 5), name);
		CHECK_IN(name, is_file(path_in(out.s, side).s));
	}
	if (!strcmp(name, "." MAN_NAME ".part"))
		CHECK_IN(name,
			f->calls[IO_RENAME] == clean[(const struct way *)f->ctx - ways].n - 1);
}

static void test_order(void)
{
	struct faultio f;
	struct err e;
	size_t k;

	set_up();
	for (k = 0; k < WAYS; k++) {
		faultio_make(&f);
		f.hook = check_order;
		f.ctx = (void *)(uintptr_t)&ways[k];
		CHECK_IN(ways[k].name, !disturbed(&f, &ways[k], EMPTY, ways[k].name, &e));
	}
}

/* Somebody else gives a file the name that ours was to get. */
static void take_name(struct faultio *f, enum io_op op, const char *name)
{
	char final[300];

	if (op != IO_RENAME || f->calls[IO_RENAME] + 1 != *(const uint64_t *)f->ctx)
		return;
	snprintf(final, sizeof final, "%.*s", (int)strlen(name) - 6, name + 1);
	file_put_all(path_in(dirs_path("out").s, final).s, "not yours", 9);
}

static void test_name_taken(void)
{
	struct faultio f;
	struct path out;
	struct err e;
	uint64_t at;
	struct snap left;
	size_t i, theirs;

	set_up();
	for (at = 1; at <= clean[1].n; at++) {
		out = start(&ways[1], EMPTY);
		faultio_make(&f);
		f.hook = take_name;
		f.ctx = &at;
		CHECK(convert(&f, &ways[1], model.s, out.s, &e) && err_exit_code(&e) == 2);
		CHECK(strstr(e.text, strerror(EEXIST)));
		left = snap_of(out.s);
		for (i = theirs = 0; i < left.n; i++) {
			CHECK(!strstr(left.file[i].name, ".part"));
			theirs += left.file[i].n == 9;
		}
		/* The name of a sidecar is ours to remove: it is no sidecar. */
		CHECK_IN(e.text, theirs == 1 || strstr(e.text, MAN_SIDECAR));
		snap_free(&left);
		resume(&ways[1], out.s, "name taken");
	}
}

/* --- two at once --- */

struct rival {
	const struct way *w;
	uint64_t at;
	unsigned refused;
};

static void let_rival(struct faultio *f, enum io_op op, const char *name)
{
	struct rival *r = f->ctx;
	struct faultio g;
	struct err e;

	(void)name;
	if (op != IO_PWRITE || f->calls[IO_PWRITE] + 1 != r->at)
		return;
	faultio_make(&g);
	CHECK(convert(&g, r->w, model.s, dirs_path("out").s, &e));
	CHECK_IN(e.text, e.rule && !strcmp(e.rule, "out.locked") && err_exit_code(&e) == 2);
	CHECK(!g.calls[IO_UNLINK] && !g.calls[IO_PWRITE] && !g.n_open);
	r->refused++;
}

static void test_two_at_once(void)
{
	struct faultio f;
	struct err e;
	struct rival r;
	size_t i;
	uint64_t n;

	set_up();
	for (i = 0; i < WAYS; i++) {
		faultio_make(&f);
		disturbed(&f, &ways[i], EMPTY, ways[i].name, &e);
		n = f.calls[IO_PWRITE];
		r = (struct rival){ .w = &ways[i] };
		for (r.at = 1; r.at <= n; r.at += n / 3) {
			faultio_make(&f);
			f.hook = let_rival;
			f.ctx = &r;
			r.refused = 0;
			CHECK(!disturbed(&f, &ways[i], EMPTY, ways[i].name, &e));
			CHECK(r.refused == 1);
		}
	}
}

/* --- a source that changes --- */

enum change { APPEND, TRUNCATE, REWRITE, TOUCH, REPLACE, CHANGES };
static const char *const change_names[CHANGES] = { "append", "truncate", "rewrite", "touch",
	"replace" };

struct changer {
	enum change how;
	uint64_t at; /* before which pread */
	char shard[64];
	bool done;
};

/* A shard with its first bytes of payload turned. */
static void write_other(const char *path, size_t i)
{
	uint8_t *p = source.file[i].p;
	size_t n = source.file[i].n;

	p[n / 2] ^= 1;
	file_put_all(path, p, n);
	p[n / 2] ^= 1;
}

static void make_change(struct faultio *f, enum io_op op, const char *name)
{
	struct changer *c = f->ctx;
	struct path src = dirs_path("src"), shard = path_in(src.s, c->shard), other;
	size_t i = (size_t)snap_find(&source, c->shard);
	struct timespec t[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	int rc = 0;

	(void)name;
	if (op != IO_PREAD || f->calls[IO_PREAD] + 1 != c->at)
		return;
	c->done = true;
	switch (c->how) {
	case APPEND:
		file_put_all(shard.s, source.file[i].p, source.file[i].n + 1);
		break;
	case TRUNCATE:
		rc = truncate(shard.s, (off_t)source.file[i].n / 2);
		break;
	case REWRITE:
		write_other(shard.s, i);
		break;
	case TOUCH:
		rc = utimensat(AT_FDCWD, shard.s, t, 0);
		break;
	case REPLACE:
	case CHANGES:
		other = path_in(src.s, "other");
		write_other(other.s, i);
		rc = rename(other.s, shard.s);
	}
	if (rc)
		exit(2);
}

/* The source as it was. Its times differ from run to run, which nothing may depend on. */
static struct path new_source(void)
{
	struct path src = dirs_new("src");

	snap_write(&source, src.s);
	return src;
}

static void change_once(const struct way *w, enum start st, struct changer *c)
{
	struct path src = new_source(), out = start(w, st);
	struct look l = { .w = w, .st = st };
	struct faultio f;
	struct snap left;
	struct err e;
	char what[100];
	size_t i;
	int rc;

	snprintf(what, sizeof what, "%s, %s, %s before read %llu", w->name, start_names[st],
		change_names[c->how], (unsigned long long)c->at);
	snprintf(l.what, sizeof l.what, "%s", what);
	faultio_make(&f);
	f.hook = make_change;
	f.ctx = c;
	c->done = false;
	rc = convert(&f, w, src.s, out.s, &e);
	CHECK_IN(what, c->done);
	look_at_calls(&f, !rc, what);
	if (c->how == REPLACE) { /* what is open is the old file */
		CHECK_IN(what, !rc && snap_equal(&clean[w - ways], out.s));
		return;
	}
	CHECK_IN(what, rc);
	if (!rc)
		return;
	CHECK_IN(e.text,
		e.rule &&
			(!strcmp(e.rule, "ckpt.changed") || !strcmp(e.rule, "file.short") ||
				(w->expected && !strcmp(e.rule, "source.sha256"))));
	look_at(&l, out.s);
	left = snap_of(out.s);
	for (i = 0; st == EMPTY && i < left.n; i++)
		CHECK_IN(left.file[i].name, left.n == 0);
	snap_free(&left);
	resume(w, out.s, what);
}

static void test_changes(void)
{
	struct changer c = { .shard = "model-00002-of-00006.safetensors" };
	struct faultio f;
	struct err e;
	uint64_t opened, all;
	size_t k;
	int st;

	set_up();
	for (k = 0; k < WAYS; k++) {
		for (st = 0; st < STARTS; st++) {
			faultio_make(&f);
			f.op = IO_MKDIR; /* the first call of the run itself */
			f.at = 1;
			disturbed(&f, &ways[k], (enum start)st, ways[k].name, &e);
			opened = f.calls[IO_PREAD];
			faultio_make(&f);
			disturbed(&f, &ways[k], (enum start)st, ways[k].name, &e);
			all = f.calls[IO_PREAD];
			for (c.how = 0; c.how < CHANGES; c.how++)
				for (c.at = opened + 1; c.at <= all; c.at += 1 + (all - opened) / 4)
					change_once(&ways[k], (enum start)st, &c);
		}
	}
}

/* --- links of a hub cache --- */

static void test_links(void)
{
	static const struct way w = { "links", "hf", 1, EXPERT_UNSAID, "embed", false, true };
	struct path snaps, blobs, out;
	char hash[65], link[80];
	struct faultio f;
	struct err e;
	uint64_t at, n;
	size_t i;

	set_up();
	out = dirs_path("out");
	dirs_new("hub");
	blobs = dirs_new("hub/blobs");
	dirs_new("hub/snapshots");
	snaps = dirs_new("hub/snapshots/1");
	for (i = 0; i < source.n; i++) {
		snprintf(hash, sizeof hash, "%064zu", i);
		file_put_all(path_in(blobs.s, hash).s, source.file[i].p, source.file[i].n);
		snprintf(link, sizeof link, "../../blobs/%s", hash);
		CHECK(!symlink(link, path_in(snaps.s, source.file[i].name).s));
	}
	for (at = 0, n = 1; at <= n; at++) {
		faultio_make(&f);
		f.op = IO_READLINK;
		f.at = at;
		f.error = EIO;
		dirs_remove(out.s);
		CHECK_IN(e.text, !convert(&f, &w, snaps.s, out.s, &e) == !at);
		CHECK_IN(e.text, !at || (err_exit_code(&e) == 2 && strstr(e.text, strerror(EIO))));
		look_at_calls(&f, !at, "links");
		n = f.calls[IO_READLINK] > n ? f.calls[IO_READLINK] : n;
	}
	CHECK(n >= 8);
}

/* --- folders that are refused --- */

static void put_name(void *ctx, const char *dir, const char *name)
{
	struct text *t = ctx;

	(void)dir;
	text_str(t, name);
	text_str(t, "\n");
}

/* The names in the source, in the folder above it, and below both. */
static struct text names_around(const char *top)
{
	static const char *const in[] = { "", "in", "in/sub", "aside" };
	struct text t = { 0 };
	size_t i;

	for (i = 0; i < sizeof in / sizeof *in; i++)
		for_names(path_in(top, in[i]).s, put_name, &t);
	return t;
}

static void test_nested(void)
{
	static const char *const out[] = { "in", "in/", "in/.", "in/sub", "in/sub/", "in/new",
		"in/new/er", "in/sub/../../in", ".", "./", "aside/..", "link-in", "link-in/",
		"link-in/new", "link-sub", "link-top", "link-top/", "link-top/in/x",
		"aside/../in/x", "new/../in/x", "new/../in" };
	struct path top, in;
	struct text before, after;
	struct faultio f;
	struct err e;
	size_t i;

	set_up();
	top = dirs_new("nest");
	in = dirs_new("nest/in");
	dirs_new("nest/in/sub");
	dirs_new("nest/aside");
	snap_write(&source, in.s);
	CHECK(!symlink("in", path_in(top.s, "link-in").s) &&
		!symlink("in/sub", path_in(top.s, "link-sub").s) &&
		!symlink(".", path_in(top.s, "link-top").s));
	before = names_around(top.s);
	for (i = 0; i < sizeof out / sizeof *out; i++) {
		faultio_make(&f);
		CHECK_IN(out[i], convert(&f, &ways[1], in.s, path_in(top.s, out[i]).s, &e));
		CHECK_IN(out[i], e.rule && !strcmp(e.rule, "out.nested") && err_exit_code(&e) == 2);
		if (!e.rule || strcmp(e.rule, "out.nested"))
			fprintf(stderr, "%s: %s\n", out[i], e.text);
		look_at_calls(&f, false, out[i]);
		dirs_remove(path_in(top.s, "new").s); /* that is no harm */
		after = names_around(top.s);
		CHECK_IN(out[i], before.n == after.n && !memcmp(before.s, after.s, before.n));
		text_free(&after);
		dirs_remove(path_in(top.s, "in/x").s); /* where it was made nevertheless */
	}
	text_free(&before);
	/* Beside it is fine, also by a name that begins as its does. */
	CHECK(!mkdir(path_in(top.s, "in2").s, 0777));
	faultio_make(&f);
	CHECK_IN(e.text, !convert(&f, &ways[1], in.s, path_in(top.s, "in2/a/b").s, &e));
	CHECK(snap_equal(&clean[1], path_in(top.s, "in2/a/b").s));
}

static void test_foreign(void)
{
	static const char *const name[] = { "notes.txt", ".hidden", "zz", "model-00009.safetensors",
		".model-00001-of-00006.safetensors.part.part", "manifest.json.bak", ".part",
		"..part" };
	struct path out, file;
	struct faultio f;
	struct err e;
	struct snap left;
	size_t i;

	set_up();
	for (i = 0; i < sizeof name / sizeof *name; i++) {
		out = dirs_new("out");
		file = path_in(out.s, name[i]);
		file_put_all(file.s, "x", 1);
		faultio_make(&f);
		CHECK_IN(name[i], convert(&f, &ways[1], model.s, out.s, &e));
		CHECK_IN(name[i],
			e.rule && !strcmp(e.rule, "out.foreign") && err_exit_code(&e) == 2);
		CHECK_IN(name[i], strstr(e.text, name[i]));
		look_at_calls(&f, false, name[i]);
		left = snap_of(out.s);
		CHECK_IN(name[i], left.n == 1 && left.file[0].n == 1);
		snap_free(&left);
	}
	/* A folder that has the name of a file of the plan is not taken for it, nor removed. */
	out = dirs_new("out");
	file = path_in(out.s, "config.json");
	CHECK(!mkdir(file.s, 0777));
	file_put_all(path_in(file.s, "x").s, "x", 1);
	faultio_make(&f);
	CHECK(convert(&f, &ways[1], model.s, out.s, &e) && err_exit_code(&e) == 2 && e.text[0]);
	look_at_calls(&f, false, "a folder in the way");
	CHECK(is_file(path_in(file.s, "x").s));
}

static uint64_t data_bytes(const struct snap *s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += is_data(s->file[i].name) ? s->file[i].n : 0;
	return n;
}

static void refused_for_room(const struct way *w, uint64_t room, const char *out)
{
	struct faultio f;
	struct err e;

	faultio_make(&f);
	f.room = room;
	CHECK_IN(w->name, convert(&f, w, model.s, out, &e));
	CHECK_IN(e.text, e.rule && !strcmp(e.rule, "out.no-space") && err_exit_code(&e) == 2);
	CHECK_IN(e.text, strstr(e.text, ": 1 bytes too few"));
	CHECK_IN(w->name, !f.calls[IO_ALLOCATE] && !f.calls[IO_UNLINK]);
	look_at_calls(&f, false, w->name);
}

static void test_no_space(void)
{
	struct faultio f;
	struct path out, first;
	struct err e;
	size_t k, i;

	set_up();
	for (k = 0; k < WAYS; k++) {
		const struct snap *c = &clean[k];
		uint64_t need = data_bytes(c);

		out = start(&ways[k], EMPTY);
		refused_for_room(&ways[k], need - 1, out.s);
		faultio_make(&f);
		f.room = need;
		CHECK_IN(ways[k].name, !convert(&f, &ways[k], model.s, out.s, &e));
		/* All there: nothing is needed. Then one is missing: what is there stays. */
		faultio_make(&f);
		f.room = 1;
		CHECK_IN(ways[k].name, !convert(&f, &ways[k], model.s, out.s, &e));
		for (i = 0; !is_data(c->file[i].name); i++)
			;
		first = path_in(out.s, c->file[i].name);
		CHECK(!unlink(first.s));
		refused_for_room(&ways[k], c->file[i].n - 1, out.s);
		file_put_all(first.s, c->file[i].p, c->file[i].n);
		CHECK_IN(ways[k].name, snap_equal(c, out.s));
	}
}

/* clang-format off */
TEST_MAIN(((const struct test[]){
	{ "each call", test_each_call },
	{ "tolerated", test_tolerated },
	{ "interrupted", test_interrupted },
	{ "nothing moved", test_nothing_moved },
	{ "from then on", test_from_then_on },
	{ "fsync", test_fsync },
	{ "memory", test_memory },
	{ "threads", test_threads },
	{ "order of names", test_order },
	{ "name taken", test_name_taken },
	{ "two at once", test_two_at_once },
	{ "source changes", test_changes },
	{ "links", test_links },
	{ "nested", test_nested },
	{ "foreign", test_foreign },
	{ "no space", test_no_space },
	{ 0 } }))
