/* test_fault.c -- whole conversions in which one thing goes wrong: each call to the system in turn,
 * each allocation in turn, each fsync, a disk that is gone.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faults.h"

/* --- each call in turn --- */

static const int errors[] = { EIO, ENOSPC, EDQUOT, EMFILE, ENOMEM, EACCES };
enum { ERRORS = sizeof errors / sizeof *errors, FAILED_ENOUGH = 40 };

/* What may fail without the run failing, because there is another way to the same end: a file of
 * an earlier run that cannot be looked at is made anew, an input that cannot be closed was read. */
static bool may_pass(enum io_op op, enum start st)
{
	return op == IO_CLOSE || op == IO_STATVFS || op == IO_READLINK || op == IO_LSTAT ||
		op == IO_OPEN || ((op == IO_PREAD || op == IO_FSTAT) && st != EMPTY);
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
	return by * apart(2);
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

/* The ways that make most calls get each call with one error, in turn; the others each call with all. */
static bool in_turn(const struct way *w, uint64_t point, size_t error)
{
	return !w->back || point % ERRORS == error;
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
				if (st == EMPTY && by == apart(2) && !in_turn(w, at / by, k))
					continue;
				fail_one(w, st, (enum io_op)op, at, errors[k], (at + k) % 12 == 0);
				done[op]++;
			}
		}
	}
}

/* A test for each way, so that they may run beside each other. */
static void each_call(size_t way)
{
	uint64_t done[IO_ANY] = { 0 }, all = 0;
	int st, op;

	set_up();
	for (st = 0; st < STARTS; st++)
		fail_each(&ways[way], (enum start)st, done);
	printf("     points:");
	for (op = 0; op < IO_ANY; all += done[op++])
		printf(" %s %llu", io_names[op], (unsigned long long)done[op]);
	printf(", in all %llu\n", (unsigned long long)all);
	CHECK(check_failed || all >= 400 / apart(2)); /* against silent loss */
}

static void test_each_call_0(void)
{
	each_call(0);
}

static void test_each_call_1(void)
{
	each_call(1);
}

static void test_each_call_2(void)
{
	each_call(2);
}

static void test_each_call_3(void)
{
	each_call(3);
}

static void test_each_call_4(void)
{
	each_call(4);
}
_Static_assert(WAYS == 5, "there is a test for each way");

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
	static const enum io_op op[] = { IO_OPEN, IO_CLOSE, IO_ALLOCATE, IO_FSYNC, IO_STATVFS,
		IO_LOCK };
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
				by = rows[i].by * apart(2) * (st == EMPTY ? 1 : 3);
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
	size_t k, folders;

	set_up();
	for (k = 0; k < WAYS; k++) {
		faultio_make(&f);
		disturbed(&f, &ways[k], EMPTY, ways[k].name, &e);
		/* Each file, the folder after each name, and what the new folders are in. */
		folders = snap_folders(&clean[k]);
		CHECK_IN(ways[k].name, f.calls[IO_FSYNC] == 2 * f.calls[IO_RENAME] + folders);
		CHECK_IN(ways[k].name, /* and the marks, which the folder above a set's has not */
			f.calls[IO_RENAME] == clean[k].n + folders - ways[k].set);
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

static void each_allocation(const struct way *w)
{
	uint64_t at, by, points = 0;
	int st, forever;

	set_up();
	for (st = 0; st < STARTS; st++) {
		for (forever = 0; forever < 2; forever++) {
			by = forever ? 7 : st == EMPTY ? 1 : 2;
			for (at = 1 + rnd((uint32_t)by);
				fail_memory(w, (enum start)st, at, forever, at % 8 == 0);
				at += by, points++)
				if (check_failed > FAILED_ENOUGH)
					return;
		}
	}
	printf("     points: %llu\n", (unsigned long long)points);
	CHECK(check_failed || points >= 250);
}

static void test_memory_0(void)
{
	each_allocation(&ways[0]);
}

static void test_memory_1(void)
{
	each_allocation(&ways[1]);
}

static void test_memory_2(void)
{
	each_allocation(&ways[2]);
}

static void test_memory_3(void)
{
	each_allocation(&ways[3]);
}

static void test_memory_4(void)
{
	each_allocation(&ways[4]);
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
		for (at = 1, all = 2; at < all; at += 7 * apart(1)) {
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
			all = f.calls[IO_ANY] < at ? 0 : at + 8 * apart(1);
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

/* clang-format off */
TEST_MAIN(((const struct test[]){
	{ "each call: official", test_each_call_0 },
	{ "each call: hf", test_each_call_1 },
	{ "each call: checked", test_each_call_2 },
	{ "each call: dropped", test_each_call_3 },
	{ "each call: set", test_each_call_4 },
	{ "tolerated", test_tolerated },
	{ "interrupted", test_interrupted },
	{ "nothing moved", test_nothing_moved },
	{ "from then on", test_from_then_on },
	{ "fsync", test_fsync },
	{ "memory: official", test_memory_0 },
	{ "memory: hf", test_memory_1 },
	{ "memory: checked", test_memory_2 },
	{ "memory: dropped", test_memory_3 },
	{ "memory: set", test_memory_4 },
	{ "threads", test_threads },
	{ 0 } }))
