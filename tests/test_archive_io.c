/* test_archive_io.c -- archives read in place: everything that a folder is good for, damage, folders that are half an
 * archive, many threads; check holds them to their list.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "core/par.h"
#include "formats/archive/archive_io.h"
#include "formats/archive/cache.h"
#include "formats/archive/listing.h"
#include "tests/faultio.h"
#include "tests/pack.h"
#include "tests/verify.h"

#define GOLDEN "tests/golden/tiny-flash"
#define SHARD "model-00002-of-00007.safetensors"

/* The archive of a folder, under that name. */
static struct path packed(const char *name, const char *from)
{
	static struct pack_done d;
	struct path out = dirs_path(name);
	struct pack_opts o = { .io = io_posix(),
		.dir = from,
		.out = out.s,
		.tool = "test 0",
		.threads = 2,
		.features = cpu_features() };
	struct err e = { 0 };

	dirs_remove(out.s);
	CHECK(!pack_run(&d, &o, &e));
	CHECK_IN(e.text, !e.kind);
	return out;
}

static struct path folder(void)
{
	struct path p = dirs_copy("folder", GOLDEN);

	CHECK(!mkdir(below(p.s, "sub").s, 0777));
	CHECK(!mkdir(below(p.s, "sub/deep").s, 0777));
	file_put_all(below(p.s, "sub/deep/none").s, "", 0);
	file_put_all(below(p.s, "sub/a.txt").s, "text", 4);
	return p;
}

/* Both tables list the same in a folder, and of each file say the same size and have the same bytes. */
static void same_in(const struct io *io, int a, int b, unsigned depth)
{
	char *names = NULL, *want = NULL, *p, *q, link[4];
	struct text x = { 0 }, y = { 0 };
	struct stat st, real;
	struct err e = { 0 };
	size_t n = 0, k = 0, i;
	int suba, subb;

	CHECK(!io->list(io, a, &names, &n) && !io_posix()->list(io_posix(), b, &want, &k));
	CHECK(n == k);
	for (i = 0, p = names, q = want; i < n && n == k;
		i++, p += strlen(p) + 1, q += strlen(q) + 1) {
		CHECK_IN(q, !strcmp(p, q));
		CHECK_IN(q, !io->lstat(io, a, p, &st) && !fstatat(b, q, &real, 0));
		CHECK_IN(q, (st.st_mode & S_IFMT) == (real.st_mode & S_IFMT));
		errno = 0;
		CHECK_IN(q, io->readlink(io, a, p, link, sizeof link) < 0 && errno == EINVAL);
		if (S_ISDIR(st.st_mode)) {
			CHECK_IN(q, !file_open_below(io, a, p, &suba, &e));
			subb = openat(b, q, O_RDONLY | O_DIRECTORY);
			CHECK(depth < 4);
			same_in(io, suba, subb, depth + 1);
			(void)io->close(io, suba);
			close(subb);
			continue;
		}
		CHECK_IN(q, st.st_size == real.st_size);
		x.n = y.n = 0;
		CHECK_IN(q,
			!file_load(io, a, p, 1 << 28, &x, &e) &&
				!file_load(io_posix(), b, q, 1 << 28, &y, &e));
		CHECK_IN(q, x.n == y.n && !memcmp(x.s, y.s, x.n));
	}
	text_free(&x);
	text_free(&y);
	free(names);
	free(want);
}

static void whole_folder(void)
{
	struct path in = folder(), z = packed("z", in.s);
	struct archive_io ar;
	const struct io *io = archive_io_open(&ar, io_posix());
	struct stat st;
	struct err e = { 0 };
	int a, b, fd;

	CHECK(!file_open_dir(io, z.s, &a, &e));
	b = open(in.s, O_RDONLY | O_DIRECTORY);
	same_in(io, a, b, 0);
	/* what lies there beside that is not shown, and what is not there is not there */
	CHECK(io->lstat(io, a, LISTING_NAME, &st) && errno == ENOENT);
	CHECK(io->open(io, a, LISTING_NAME, O_RDONLY, 0) < 0 && errno == ENOENT);
	CHECK(io->lstat(io, a, "nothing", &st) && errno == ENOENT);
	CHECK(io->open(io, a, "nothing", O_RDONLY, 0) < 0 && errno == ENOENT);
	/* a path names one file */
	CHECK(!io->lstat(io, AT_FDCWD, below(z.s, "config.json").s, &st) && st.st_size == 1602);
	fd = io->open(io, AT_FDCWD, below(z.s, "config.json").s, O_RDONLY, 0);
	CHECK(fd >= 0 && !file_read(io, fd, (char[4]){ 0 }, 4, 0, &e) && !io->close(io, fd));
	/* the plain folder through the same table */
	same_in(io, b, b, 0);
	close(b);
	CHECK(!io->close(io, a));
	archive_io_close(&ar);
}

/* An archive is not written to. */
static void not_written(void)
{
	struct path z = packed("z", GOLDEN);
	struct archive_io ar;
	const struct io *io = archive_io_open(&ar, io_posix());
	struct err e = { 0 };
	int a;

	CHECK(!file_open_dir(io, z.s, &a, &e));
	CHECK(file_put(io, a, "new", "x", 1, &e) && strstr(e.text, strerror(EROFS)));
	CHECK(io->unlink(io, a, "config.json") && errno == EROFS);
	CHECK(io->unlink(io, a, "config.json.zst") && errno == EROFS);
	CHECK(io->mkdir(io, a, "d", 0777) && errno == EROFS);
	CHECK(io->rmdir(io, a, "d") && errno == EROFS);
	CHECK(io->rename(io, a, "config.json.zst", "x") && errno == EROFS);
	CHECK(io->replace(io, a, "config.json.zst", "x") && errno == EROFS);
	CHECK(io->open(io, a, "config.json", O_RDWR, 0) < 0 && errno == EROFS);
	CHECK(!io->close(io, a));
	archive_io_close(&ar);
}

/* A flipped bit costs the frame that it is in, which is named with its tensor; all others are there. */
static void damage(void)
{
	struct path z = packed("z", GOLDEN), file = below(z.s, SHARD FILTER_ZST);
	struct archive_io ar;
	const struct io *io;
	size_t n, plain, i, bad = 0;
	uint8_t *p = file_get_all(file.s, &n), *want = file_get_all(GOLDEN "/" SHARD, &plain), b;
	struct stat st;
	struct err e = { 0 };
	int a, fd;

	p[n / 2] ^= 1;
	file_put_all(file.s, p, n);
	io = archive_io_open(&ar, io_posix());
	CHECK(!file_open_dir(io, z.s, &a, &e) && !file_open(io, a, SHARD, &fd, &st, &e));
	for (i = 0; i < plain; i += 101) {
		memset(&e, 0, sizeof e);
		if (!file_read(io, fd, &b, 1, i, &e)) {
			CHECK(b == want[i]);
			continue;
		}
		bad++;
		CHECK_IN(e.text, e.rule && !strcmp(e.rule, "archive.frame"));
		CHECK_IN(e.text,
			strstr(e.text, "tensor layers.") && strstr(e.text, SHARD FILTER_ZST));
	}
	CHECK(bad > 0 && bad < plain / 101 / 2);
	CHECK(io->pread(io, fd, &b, 1, st.st_size) == 0);
	CHECK(io->pread(io, fd, &b, 1, -1) < 0 && errno == EINVAL);
	CHECK(!io->close(io, fd) && !io->close(io, a));
	archive_io_close(&ar);
	free(p);
	free(want);
}

static const struct io *opened(struct archive_io *ar, const char *dir, int *a, struct err *e)
{
	const struct io *io = archive_io_open(ar, io_posix());

	memset(e, 0, sizeof *e);
	if (!file_open_dir(io, dir, a, e))
		return io;
	archive_io_close(ar);
	return NULL;
}

static void shut(struct archive_io *ar, int a)
{
	CHECK(!ar->pass.io.close(&ar->pass.io, a));
	archive_io_close(ar);
}

/* Half archive, half plain: what is there once is read, what is there twice is refused, what is gone is gone. */
static void halves(void)
{
	struct path z = packed("z", GOLDEN);
	struct text t = { 0 };
	struct archive_io ar;
	const struct io *io;
	char *names = NULL;
	struct stat st;
	struct err e;
	size_t n, k;
	uint8_t *p;
	int a, fd;

	p = file_get_all(below(z.s, "config.json.zst").s, &n);
	unlink(below(z.s, "config.json.zst").s);
	io = opened(&ar, z.s, &a, &e);
	CHECK(io->lstat(io, a, "config.json", &st) && errno == ENOENT);
	CHECK(!io->list(io, a, &names, &k) && k == 8);
	shut(&ar, a);
	/* unpacked by itself */
	file_put_all(below(z.s, "config.json").s, "plain", 5);
	io = opened(&ar, z.s, &a, &e);
	CHECK(!file_load(io, a, "config.json", 100, &t, &e) && !memcmp(t.s, "plain", 5));
	shut(&ar, a);
	/* and packed as well */
	file_put_all(below(z.s, "config.json.zst").s, p, n);
	io = opened(&ar, z.s, &a, &e);
	CHECK(file_open(io, a, "config.json", &fd, &st, &e) && !strcmp(e.rule, "archive.other"));
	CHECK_IN(e.text, strstr(e.text, "both there"));
	CHECK(io->open(io, AT_FDCWD, below(z.s, "config.json").s, O_RDONLY, 0) >=
		0); /* as the system has it */
	free(names);
	CHECK(!io->list(io, a, &names, &k) && k == 9); /* once */
	shut(&ar, a);
	unlink(below(z.s, "config.json").s);
	/* the file of another one, which has its own table */
	free(p);
	p = file_get_all(below(z.s, SHARD FILTER_ZST).s, &n);
	file_put_all(below(z.s, "config.json.zst").s, p, n);
	io = opened(&ar, z.s, &a, &e);
	CHECK(file_open(io, a, "config.json", &fd, &st, &e) && !strcmp(e.rule, "archive.table"));
	/* cut off, by folder and by path */
	file_put_all(below(z.s, "config.json.zst").s, p, n - 1);
	memset(&e, 0, sizeof e);
	CHECK(file_open(io, a, "config.json", &fd, &st, &e) && !strcmp(e.rule, "archive.table"));
	memset(&e, 0, sizeof e);
	CHECK(io->open(io, AT_FDCWD, below(z.s, "config.json").s, O_RDONLY, 0) < 0 &&
		errno == EILSEQ);
	CHECK(io->fault(io, AT_FDCWD, &e) && !strcmp(e.rule, "archive.table"));
	shut(&ar, a);
	/* a list that lies; and none: then these are files called .zst */
	file_put_all(below(z.s, LISTING_NAME).s, "{}", 2);
	CHECK(!opened(&ar, z.s, &a, &e) && !strcmp(e.rule, "archive.list"));
	unlink(below(z.s, LISTING_NAME).s);
	io = opened(&ar, z.s, &a, &e);
	CHECK(io && io->lstat(io, a, "config.json", &st) &&
		!io->lstat(io, a, "config.json.zst", &st));
	shut(&ar, a);
	text_free(&t);
	free(names);
	free(p);
}

/* --- threads --- */

struct crowd {
	const struct io *io;
	int fd[8];
	uint8_t *want;
	size_t n;
};

static int crowd_work(struct par *p, unsigned me, struct err *e)
{
	struct crowd *c = par_ctx(p);
	uint64_t x = me * 977 + 1;
	uint8_t buf[3000];
	unsigned i;

	for (i = 0; i < (SANITIZED ? 300 : 2000); i++) {
		size_t at, k;

		x = x * 6364136223846793005u + 1442695040888963407u;
		at = (size_t)(x >> 33) % (c->n - sizeof buf);
		k = 1 + (size_t)(x >> 20) % (sizeof buf - 1);
		if (file_read(c->io, c->fd[x >> 60 & 7], buf, k, at, e) ||
			memcmp(buf, c->want + at, k))
			return err_set(e, ERR_MISMATCH, "other bytes at %zu", at);
	}
	return 0;
}

/* More threads than frames that are kept, on one file that is open eight times, whose frames are small. */
static void crowd(void)
{
	struct path z = packed("z", GOLDEN);
	struct crowd c = { .io = NULL };
	struct archive_io ar;
	struct stat st;
	struct err e;
	size_t i;
	int a;

	c.io = opened(&ar, z.s, &a, &e);
	c.want = file_get_all(GOLDEN "/" SHARD, &c.n);
	for (i = 0; i < 8; i++)
		CHECK(!file_open(c.io, a, SHARD, &c.fd[i], &st, &e));
	CHECK(!par_run(CACHE_SLOTS + 8, crowd_work, &c, &e));
	CHECK_IN(e.text, !e.kind);
	for (i = 0; i < 8; i++)
		CHECK(!c.io->close(c.io, c.fd[i]));
	shut(&ar, a);
	free(c.want);
}

/* --- the tools --- */

/* Whether the call does and says of the archive what it does of the folder; its words are those before and behind either. */
static void same_call(const char *call, const char *behind, const char *plain, const char *z)
{
	const char *b = getenv("B");
	char line[3000], args[2][700];

	snprintf(args[0], sizeof args[0], "%.100s %.400s %.100s", call, plain, behind);
	snprintf(args[1], sizeof args[1], "%.100s %.400s %.100s", call, z, behind);
	snprintf(line, sizeof line,
		"b=%s t=%s; for a in '%s' '%s'; do $b/$a >$t/said 2>&1; r=$?; "
		"sed -E 's,%s,IN,g; s,%s,IN,g; /held at most|seconds|threads|by the list of the archive|archive as stored|run --reclaim|more than now/d; s/, in [0-9.]+ s.*//' $t/said; echo $r; "
		"mv $t/said $t/said.was; done >$t/both; "
		"n=$(($(wc -l <$t/both) / 2)); head -n $n $t/both >$t/one; tail -n +$((n + 1)) $t/both | diff $t/one - >&2 && "
		"[ \"$(tail -n 1 $t/one)\" = 0 ]",
		b ? b : "build/gcc-opt", dirs_top.s, args[0], args[1], z, plain);
	CHECK_IN(call, !system(line));
}

static void verbs(void)
{
	const char *b = getenv("B") ? getenv("B") : "build/gcc-opt";
	struct path set = dirs_path("made"), z = packed("z", GOLDEN), zset;
	char line[4000];

	snprintf(line, sizeof line,
		"%s/dsv4-convert run %s -o %s --target marlin-mxfp4 --ranks 2 -q >/dev/null", b,
		z.s, set.s);
	CHECK(!system(line));
	zset = packed("made-z", set.s);
	snprintf(line, sizeof line,
		"%s/dsv4-convert plan %s -o nowhere -t hf | grep -q 'not to be had: the source is an archive'",
		b, z.s);
	CHECK(!system(line)); /* of an archive no shard is freed */
	same_call("dsv4-convert inspect", "", GOLDEN, z.s);
	same_call("dsv4-convert plan", "-o nowhere --target hf", GOLDEN, z.s);
	same_call("dsv4-verify check", "", set.s, zset.s);
	same_call("dsv4-verify doctor", "", GOLDEN, z.s);
	same_call("dsv4-verify compare " GOLDEN, "", set.s, zset.s);
	same_call("dsv4-verify diff " GOLDEN, "", GOLDEN, z.s);
	same_call("dsv4-verify logits", GOLDEN " --tokens 1,2", GOLDEN, z.s);
	snprintf(line, sizeof line, "%s/dsv4-verify tensors %s 2>&1 | grep -q kind.archive", b,
		zset.s);
	CHECK(!system(line));
	snprintf(line, sizeof line,
		"%s/dsv4-convert restore %s -o %s/back -q >/dev/null && diff -r -x '*manifest.json' %s/back " GOLDEN
		" >&2",
		b, zset.s, dirs_top.s, dirs_top.s);
	CHECK(!system(line));
	/* headers alone: with the end of every frame but the first gone bad, inspect still answers */
	snprintf(line, sizeof line,
		"cd %s && for f in *.safetensors.zst; do n=$(stat -c %%s $f); printf '\\377' | dd of=$f bs=1 "
		"seek=$((n * 2 / 3)) conv=notrunc status=none; done",
		z.s);
	CHECK(!system(line));
	same_call("dsv4-convert inspect", "", GOLDEN, z.s);
	/* and check says which file, frame and tensor of a set */
	snprintf(line, sizeof line,
		"cd %s/rank-0-of-2 && f=$(ls *.safetensors.zst | head -n 3 | tail -n 1) && n=$(stat -c %%s $f) && printf '\\377\\0' | dd of=$f "
		"bs=1 seek=$((n / 2)) conv=notrunc status=none; cd - >/dev/null; %s/dsv4-verify check %s >%s/said 2>&1; "
		"[ $? = 1 ] && grep -q 'archive.frame' %s/said && grep -q 'tensor .* frame [0-9]* of ' %s/said",
		zset.s, b, zset.s, dirs_top.s, dirs_top.s, dirs_top.s);
	CHECK(!system(line));
}

/* --- check holds an archive to its list --- */

/* Whether check finds that of the archive. rule NULL: it is whole, and nothing at all is found. */
static bool finds(const char *z, bool quick, const char *rule, const char *file)
{
	struct check_opts o = verify_opts();
	struct archive_io ar;
	struct report r;
	bool ok;

	o.io = archive_io_open(&ar, io_posix());
	o.quick = quick;
	if (rule) {
		ok = verify_false(z, &o, rule, file);
	} else {
		ok = !verify_check(&r, z, &o) && !r.n;
		if (!ok)
			verify_print(&r);
		report_free(&r);
	}
	archive_io_close(&ar);
	return ok;
}

/* A shard of another copy, packed as this one was, is whole in itself: its frames, its table, its sizes. */
static void another_copy(void)
{
	struct path in = dirs_copy("other", GOLDEN), z = packed("z", GOLDEN), z2;
	size_t n;
	uint8_t *p = file_get_all(below(in.s, SHARD).s, &n), was = p[n - 4000];

	CHECK(finds(z.s, false, NULL, NULL));
	CHECK(was != p[n - 3999]);
	p[n - 4000] = p[n - 3999];
	p[n - 3999] = was;
	unlink(below(in.s, SHARD).s);
	file_put_all(below(in.s, SHARD).s, p, n);
	free(p);
	z2 = packed("z2", in.s);
	CHECK(finds(z2.s, false, NULL, NULL));
	p = file_get_all(below(z2.s, SHARD FILTER_ZST).s, &n);
	file_put_all(below(z.s, SHARD FILTER_ZST).s, p, n);
	free(p);
	CHECK(finds(z.s, false, "archive.sha256", SHARD));
}

/* Files that are not shards, below too; what stands in for a file of the list, and what the list does not name. */
static void other_files(void)
{
	struct path in = folder(), z;
	struct check_opts o = verify_opts();
	struct archive_io ar;
	struct report r;

	z = packed("z", in.s);
	CHECK(finds(z.s, false, NULL, NULL) && finds(z.s, true, NULL, NULL));
	unlink(below(z.s, "sub/a.txt.zst").s);
	CHECK(finds(z.s, false, "check.missing", "sub/a.txt"));
	file_put_all(below(z.s, "sub/a.txt").s, "text", 4);
	CHECK(finds(z.s, false, NULL, NULL));
	file_put_all(below(z.s, "sub/a.txt").s, "tex!", 4);
	CHECK(finds(z.s, false, "archive.sha256", "sub/a.txt"));
	CHECK(finds(z.s, true, "archive.sha256", "sub/a.txt"));
	file_put_all(below(z.s, "sub/a.txt").s, "text", 4);
	/* not in the list */
	file_put_all(below(z.s, "README.md").s, "x", 1);
	CHECK(finds(z.s, false, NULL, NULL));
	file_put_all(below(z.s, "notes").s, "x", 1);
	o.io = archive_io_open(&ar, io_posix());
	CHECK(!verify_check(&r, z.s, &o) && r.n == 1 && verify_find(&r, "check.unknown", "notes"));
	report_free(&r);
	archive_io_close(&ar);
	file_put_all(below(z.s, "sub/x.zst").s, "x", 1);
	CHECK(finds(z.s, false, "check.extra", "sub/x.zst"));
}

/* What restores the right bytes, and is stored in another way than the list says. */
static void stored(void)
{
	static const char *const files[] = { SHARD, "sub/a.txt" };
	char was[120], is[120], name[80], *hit;
	struct path in = folder(), z;
	uint8_t *p;
	size_t i, n;

	for (i = 0; i < 2; i++) {
		z = packed("z", in.s);
		CHECK(finds(z.s, false, NULL, NULL));
		p = file_get_all(below(z.s, LISTING_NAME).s, &n);
		snprintf(was, sizeof was, "\"name\": \"%s\"", files[i]);
		hit = p ? memmem(p, n, was, strlen(was)) : NULL;
		hit = hit ? memrchr(p, '{', (size_t)(hit - (char *)p)) : NULL; /* of archive */
		hit = hit ? memmem(hit, n - (size_t)(hit - (char *)p), "\"sha256\"", 8) : NULL;
		CHECK(hit);
		snprintf(was, sizeof was, "%.75s", hit ? hit : "");
		snprintf(is, sizeof is, "%.11s%064d", was, 0);
		free(p);
		pack_put_list(z.s, was, is);
		snprintf(name, sizeof name, "%s" FILTER_ZST, files[i]);
		CHECK(finds(z.s, false, "archive.stored", name));
		CHECK(finds(z.s, true, NULL, NULL)); /* a sample */
	}
}

/* Returns how many files of the archive were held to the list as they are stored. */
static uint64_t stored_files(const struct report *r)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].name, "files of the archive as stored"))
			return r->rows[i].count;
	return 0;
}

/* Where one call fails, either it cannot be said whether the archive is whole, or all of it was read all the same. */
static void failing_calls(void)
{
	static const enum io_op calls[] = { IO_OPEN, IO_LSTAT, IO_FSTAT, IO_PREAD, IO_LIST };
	struct check_opts o = verify_opts();
	struct path in = folder(), z = packed("z", in.s);
	struct archive_io ar;
	struct faultio f;
	struct report r;
	uint64_t n, at, all = 0;
	char what[60];
	size_t i;
	int rc;

	o.threads = 1; /* the same calls each time */
	for (i = 0; i < sizeof calls / sizeof *calls; i++)
		for (n = at = 0; at <= n; at++) {
			faultio_make(&f);
			f.op = calls[i];
			f.at = at;
			f.error = EIO;
			o.io = archive_io_open(&ar, &f.io);
			rc = verify_check(&r, z.s, &o);
			snprintf(what, sizeof what, "%s, call %llu: status %d", io_names[calls[i]],
				(unsigned long long)at, rc);
			all = at ? all : stored_files(&r);
			CHECK_IN(what,
				at ? rc == 2 || (!rc && stored_files(&r) == all)
				   : !rc && all > 8 && f.calls[calls[i]]);
			n = at ? n : f.calls[calls[i]];
			report_free(&r);
			archive_io_close(&ar);
		}
}

/* Of a conversion, what no manifest names and what two documents say differently. */
static void conversions(void)
{
	const char *b = getenv("B") ? getenv("B") : "build/gcc-opt";
	struct path made = dirs_path("conv"), other = dirs_path("conv2"), z;
	char line[2000];
	uint8_t *p;
	size_t n;

	snprintf(line, sizeof line,
		"for o in '%s' '%s --no-sha256'; do %s/dsv4-convert run " GOLDEN
		" --target marlin-mxfp4 -q -o $o >/dev/null || exit 1; done",
		made.s, other.s, b);
	CHECK(!system(line));
	file_put_all(below(made.s, "README.md").s, "text", 4);
	z = packed("z", made.s);
	CHECK(finds(z.s, false, NULL, NULL));
	unlink(below(z.s, "README.md.zst").s);
	file_put_all(below(z.s, "README.md").s, "tex!", 4);
	CHECK(finds(z.s, false, "archive.sha256", "README.md"));
	file_put_all(below(z.s, "README.md").s, "text", 4);
	/* the manifest of another conversion, as it is */
	unlink(below(z.s, "manifest.json.zst").s);
	p = file_get_all(below(other.s, "manifest.json").s, &n);
	file_put_all(below(z.s, "manifest.json").s, p, n);
	free(p);
	CHECK(finds(z.s, false, "archive.sha256", "manifest.json"));
}

static const struct test tests[] = {
	{ "whole_folder", whole_folder },
	{ "not_written", not_written },
	{ "damage", damage },
	{ "halves", halves },
	{ "crowd", crowd },
	{ "verbs", verbs },
	{ "another_copy", another_copy },
	{ "other_files", other_files },
	{ "stored", stored },
	{ "failing_calls", failing_calls },
	{ "conversions", conversions },
	{ NULL, NULL },
};
TEST_MAIN(tests)
