/* faults.h -- for tests that disturb whole conversions: three conversions, three states of the output
 * folder to start from, and what must hold after a run whatever went wrong in it.
 *
 * Whatever happens, what lies under a final name is right and complete, what is not done is not
 * claimed, and the same call made again ends where an undisturbed one does. Programs that include
 * this are linked with --wrap for malloc, calloc, realloc and strdup (Makefile).
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H
#include "convert/out/claim.h"
#include "convert/run/run.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/conversion/manifest.h"
#include "tests/sanitized.h"
#include "tests/dirs.h"
#include "core/file.h"
#include "tests/faultio.h"

#include <time.h>

#define GOLDEN "tests/golden/tiny-pro"
static struct path model; /* a copy of it with small files beside the weights */

/* As every(); sanitized code is slow, so fewer points are taken there. */
static inline uint64_t apart(uint64_t usual)
{
	return every(SANITIZED ? 3 : usual);
}

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
	enum codec experts;
	const char *layers;
	bool expected; /* with the digests of the source */
	bool back;     /* what casts drop is kept */
	bool set;      /* an engine's: ranks are folders */
};
static const struct way ways[] = {
	{ .name = "official", .target = "official", .ranks = 2, .layers = "embed,1,head" },
	{ .name = "hf", .target = "hf", .ranks = 1, .layers = "embed,0,head" },
	{ .name = "checked",
		.target = "official",
		.ranks = 2,
		.experts = CODEC_FP8,
		.layers = "0",
		.expected = true },
	{ .name = "dropped",
		.target = "hf",
		.ranks = 1,
		.experts = CODEC_FP8,
		.layers = "0",
		.back = true },
	{ .name = "set",
		.target = "frag-k32",
		.ranks = 2,
		.layers = "embed,0",
		.expected = true,
		.back = true,
		.set = true },
};
enum { WAYS = sizeof ways / sizeof *ways, PIECE = 256 << 10 };

/* As dsv4-convert run does it. */
static int execute(const struct conversion *p, const struct way *w, const char *out,
	unsigned threads, struct err *e)
{
	struct run_opts o = { .out = out, .tool = "test" }; /* plain code: nothing is measured */
	struct run_result r;
	struct expected x;
	int rc;

	if (budget_make(&o.budget, p, w->expected, threads, BUDGET_DEFAULT, e))
		return -1;
	o.budget.piece = PIECE; /* more calls to the byte */
	if (w->expected) {
		if (expected_read(&x, p->folders[0].ckpt, dirs_path("sums").s, e))
			return -1;
		o.expected = &x;
	}
	rc = run_conversion(p, &o, &r, e);
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
		.back = w->back,
		.share = { .ranks = w->set ? w->ranks : 0, .stages = w->set },
		.sha256 = true };
	struct ckpt_opts co = { 0 };
	struct findings f = { 0 };
	struct audit a;
	struct ckpt c;
	struct conversion p = { 0 };
	int rc;

	memset(e, 0, sizeof *e);
	rc = ckpt_open(&c, io, in, &co, &f, e);
	if (!rc) {
		rc = audit_make(&a, &c, CODEC_NONE, &f, e);
		if (!rc) {
			rc = finding_first(&f, e);
			rc = rc ? rc : conversion_make(&p, &a, &po, e);
			audit_free(&a);
		}
	}
	finding_free(&f);
	rc = rc ? rc : execute(&p, w, out, threads, e);
	conversion_free(&p);
	ckpt_close(&c);
	return rc;
}

static int convert(struct faultio *f, const struct way *w, const char *in, const char *out,
	struct err *e)
{
	return convert_on(&f->io, w, in, out, 1, e);
}

/* --- folders --- */

enum { SNAP_FILES = 64, BIG = 16 << 20 };

/* What a folder holds, and the folders in it. */
struct snap {
	size_t n;
	struct {
		char name[256]; /* the place below the folder */
		uint8_t *p;     /* owns */
		size_t n;
	} file[SNAP_FILES];
};

static struct snap clean[WAYS];

static struct path path_in(const char *dir, const char *name)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.250s/%.250s", dir, name) >= (int)sizeof p.s)
		exit(2);
	return p;
}

/* The names of files below dir/below, as places below dir. */
static void for_names_in(const char *dir, const char *below,
	void (*fn)(void *ctx, const char *dir, const char *name), void *ctx)
{
	const struct io *io = io_posix();
	struct path p = path_in(dir, below), name;
	int fd = io->open(io, AT_FDCWD, p.s, O_RDONLY | O_DIRECTORY, 0);
	char *names, *s;
	struct stat st;
	size_t n, i;

	if (fd < 0)
		return;
	if (io->list(io, fd, &names, &n)) {
		perror(p.s);
		exit(2);
	}
	for (i = 0, s = names; i < n; i++, s += strlen(s) + 1) {
		name = *below ? path_in(below, s) : (struct path){ 0 };
		if (!*below)
			snprintf(name.s, sizeof name.s, "%.250s", s);
		if (!io->lstat(io, fd, s, &st) && S_ISDIR(st.st_mode))
			for_names_in(dir, name.s, fn, ctx);
		else
			fn(ctx, dir, name.s);
	}
	io->close(io, fd);
	free(names);
}

static void for_names(const char *dir, void (*fn)(void *ctx, const char *dir, const char *name),
	void *ctx)
{
	for_names_in(dir, "", fn, ctx);
}

/* The name without the folder. */
static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
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

	for (i = 0; i < s->n; i++) {
		struct path p = path_in(dir, s->file[i].name), up = p;

		*strrchr(up.s, '/') = 0;
		(void)mkdir(up.s, 0777);
		file_put_all(p.s, s->file[i].p, s->file[i].n);
	}
}

/* How many folders hold files, the outer one among them. */
static inline size_t snap_folders(const struct snap *s)
{
	size_t i, k, n = 1, len;

	for (i = 0; i < s->n; i++) {
		len = (size_t)(base_of(s->file[i].name) - s->file[i].name);
		for (k = 0; k < i && (strncmp(s->file[k].name, s->file[i].name, len) != 0); k++)
			;
		n += len && k == i;
	}
	return n;
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

/* The same, but for temporary files that s has and the folder has no more. */
static bool snap_equal_swept(const struct snap *s, const char *dir)
{
	struct tally t = { .s = s };
	char name[256];
	size_t i, parts = 0;

	for (i = 0; i < s->n; i++)
		parts += file_is_part(base_of(s->file[i].name), name);
	for_names(dir, tally_one, &t);
	return t.same == t.n && t.n >= s->n - parts && t.n <= s->n;
}

static void remove_part(void *ctx, const char *dir, const char *name)
{
	char final[256];

	if (file_is_part(base_of(name), final) && !strcmp(final, ctx))
		(void)unlink(path_in(dir, name).s);
}

/* --- where a run starts from --- */

enum start { EMPTY, DAMAGED, DONE, STARTS };
static const char *const start_names[STARTS] = { "empty", "damaged", "done" };

static bool is_data(const char *name)
{
	static const char end[] = ".safetensors";
	size_t n = strlen(name);

	return n > sizeof end && base_of(name)[0] != '.' &&
		!strcmp(name + n - (sizeof end - 1), end);
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
			snprintf(s->file[s->n].name, sizeof s->file[0].name, "%.*s.%.200s.part",
				(int)(base_of(name) - name), name, base_of(name));
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
	bool manifest, marked, names;
	char what[200];
};

static ino_t folder_of(const char *dir, const char *name)
{
	struct path p = path_in(dir, name);
	struct stat st;

	*strrchr(p.s, '/') = 0;
	return stat(p.s, &st) ? 0 : st.st_ino;
}

static void look_at_one(void *ctx, const char *dir, const char *name)
{
	struct look *l = ctx;
	const struct snap *want = &clean[l->w - ways];
	bool stuck = l->f && l->f->failed[IO_UNLINK], right = snap_has(want, dir, name);
	bool old = snap_has(start_snap(l->w, l->st), dir, name);
	struct path side;

	if (!strcmp(base_of(name), CLAIM_NAME)) {
		l->marked = true;
		return;
	}
	if (base_of(name)[0] == '.') {
		CHECK_IN(l->what, stuck || old);
		return;
	}
	l->names = true;
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
	if (l->f && l->f->spoiled[0] && !strcmp(base_of(name), l->f->spoiled) &&
		folder_of(dir, name) == l->f->spoiled_in)
		CHECK_IN(l->what, stuck);
}

/* A failed run left nothing wrong behind. */
static void look_at(struct look *l, const char *out)
{
	for_names(out, look_at_one, l);
	/* A folder that was new is new again, unless something of it is left. */
	CHECK_IN(l->what,
		!l->marked || l->names || l->st != EMPTY || (l->f && l->f->failed[IO_UNLINK]));
	if (l->manifest && l->f && l->f->failed[IO_UNLINK]) { /* what could not be removed */
		(void)unlink(path_in(out, CLAIM_NAME).s);
		for_names(out, remove_part, (char[]){ CLAIM_NAME });
	}
	if (l->manifest) /* it speaks for all the others */
		CHECK_IN(l->what,
			snap_equal(&clean[l->w - ways], out) ||
				snap_equal_swept(start_snap(l->w, l->st), out));
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
#endif
