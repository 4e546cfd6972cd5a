/* test_folder.c -- the folders of a conversion: names in the right order, a second run at the same
 * time, a source that changes under the reader's hands, links, nesting, foreign files, a full disk.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/faults.h"

/* --- the order of names --- */

/* The folder has a temporary file for name. */
struct wanted_part {
	const char *name;
	bool there;
};

static void match_part(void *ctx, const char *dir, const char *name)
{
	struct wanted_part *w = ctx;
	char final[256];

	(void)dir;
	w->there = w->there || (file_is_part(name, final) && !strcmp(final, w->name));
}

static bool has_part(const char *dir, const char *name)
{
	struct wanted_part w = { .name = name };

	for_names(dir, match_part, &w);
	return w.there;
}

/* When a data file gets its name its sidecar lies ready; when the manifest does, all else has its. */
static void check_order(struct faultio *f, enum io_op op, const char *name)
{
	const struct way *w = f->ctx;
	char side[300], final[256] = "", link[64];
	struct path in = { 0 };
	struct stat st;

	if (op != IO_RENAME)
		return;
	CHECK_IN(name, file_is_part(name, final));
	if (is_data(final)) {
		snprintf(side, sizeof side, "%s" MAN_SIDECAR, final);
		snprintf(link, sizeof link, "/proc/self/fd/%d", f->dir);
		CHECK_IN(name, readlink(link, in.s, sizeof in.s - 1) > 0 && has_part(in.s, side));
	}
	if (!strcmp(final, MAN_NAME) && !stat(dirs_path("out").s, &st) &&
		st.st_ino == faultio_ino(f->dir))
		CHECK_IN(name, /* and the marks */
			f->calls[IO_RENAME] ==
				clean[w - ways].n + snap_folders(&clean[w - ways]) - w->set - 1);
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
	char final[256] = "";

	if (op != IO_RENAME || f->calls[IO_RENAME] + 1 != *(const uint64_t *)f->ctx)
		return;
	CHECK(file_is_part(name, final));
	file_put_all(path_in(dirs_path("out").s, final).s, "not yours", 9);
}

/* Where no mark says that the folder is ours, what somebody else put there is left alone. */
static bool refuses_theirs(const char *out)
{
	struct snap left = snap_of(out);
	long mark = snap_find(&left, CLAIM_NAME);
	struct faultio f;
	struct err e;
	bool refused = false;
	size_t i;

	for (i = 0; i < left.n && left.file[i].n != 9; i++)
		;
	if (i < left.n && (mark < 0 || left.file[mark].n == 9)) {
		faultio_make(&f);
		refused = convert(&f, &ways[1], model.s, out, &e);
		/* With all weights and sidecars in place it is ours without a mark. */
		CHECK_IN(e.text, !refused || (e.rule && !strcmp(e.rule, "out.other")));
		CHECK(!refused || snap_equal(&left, out));
		if (refused)
			unlink(path_in(out, left.file[i].name).s);
	}
	snap_free(&left);
	return refused;
}

static void test_name_taken(void)
{
	struct faultio f;
	struct path out;
	struct err e;
	uint64_t at;
	struct snap left;
	size_t i, theirs, refused = 0;

	set_up();
	for (at = 1; at <= clean[1].n + 1; at++) {
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
		refused += refuses_theirs(out.s);
		resume(&ways[1], out.s, "name taken");
	}
	CHECK(refused >= 2); /* in place of the mark, and of the first weights */
}

/* --- threads that begin files of one folder --- */

/* Whoever removes an old manifest takes his time, so that another thread waits for the same claim. */
static void dawdle(struct faultio *f, enum io_op op, const char *name)
{
	(void)f;
	if (op == IO_UNLINK && name && !strcmp(name, MAN_NAME))
		(void)usleep(10000);
}

/* Taking the folder fails for one thread while another is about to take it. */
static void test_marks(void)
{
	const struct way *w = &ways[0];
	struct faultio f;
	struct path out;
	struct err e;
	uint64_t at;

	set_up();
	for (at = 1; at <= 6; at++) {
		out = start(w, EMPTY);
		faultio_make(&f);
		f.hook = dawdle;
		f.op = IO_UNLINK;
		f.at = at;
		f.error = EIO;
		CHECK_IN(e.text, convert_on(&f.io, w, model.s, out.s, 3, &e));
		f.again_dir = 0; /* by a thread that had not heard of it */
		look_at_calls(&f, false, "marks");
		resume(w, out.s, "marks");
	}
}

/* --- two at once --- */

struct rival {
	const struct way *w;
	uint64_t at;
	int no_flock; /* errno of its flock, or 0: then the lock on the mark alone keeps it out */
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
	g.no_flock = r->no_flock;
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
			r.no_flock =
				r.at > 1 && r.at < n ? EBADF : 0; /* while the mark lies there */
			CHECK(!disturbed(&f, &ways[i], EMPTY, ways[i].name, &e));
			CHECK(r.refused == 1);
		}
	}
}

/* --- a source that changes --- */

enum change {
	APPEND,
	TRUNCATE,
	REWRITE,
	TOUCH,
	PUT_BACK,
	REPLACE,
	CONFIG,
	INDEX,
	TOKENIZER,
	CHANGES
};
static const char *const change_names[CHANGES] = { "append", "truncate", "rewrite", "touch",
	"mtime put back", "replace", "config", "index", "tokenizer" };

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

static void append(const char *path)
{
	FILE *f = fopen(path, "a");

	if (!f || fputc('\n', f) == EOF || fclose(f))
		exit(2);
}

static void make_change(struct faultio *f, enum io_op op, const char *name)
{
	struct changer *c = f->ctx;
	struct path src = dirs_path("src"), shard = path_in(src.s, c->shard), other;
	size_t i = (size_t)snap_find(&source, c->shard);
	struct timespec t[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;
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
	case PUT_BACK:
		rc = stat(shard.s, &st);
		write_other(shard.s, i);
		t[0] = st.st_atim;
		t[1] = st.st_mtim;
		rc = rc ? rc : utimensat(AT_FDCWD, shard.s, t, 0);
		break;
	case CONFIG:
		append(path_in(src.s, "config.json").s);
		break;
	case INDEX:
		append(path_in(src.s, "model.safetensors.index.json").s);
		break;
	case TOKENIZER:
		append(path_in(src.s, "tokenizer.json").s);
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

/* Changes that cannot be told from a new mode, owner or link. */
static bool only_a_time(enum change how)
{
	return how == REWRITE || how == TOUCH || how == PUT_BACK;
}

static void find_weights(void *ctx, const char *dir, const char *name)
{
	bool *there = ctx;

	(void)dir;
	*there = *there || is_data(name);
}

static bool has_weights(const char *out)
{
	bool there = false;

	for_names(out, find_weights, &there);
	return there;
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
	if (only_a_time(c->how) && e.rule && !strcmp(e.rule, "ckpt.touched")) {
		/* It may have been harmless: what is finished stays, and the next run compares it. */
		if (c->how == TOUCH)
			look_at(&l, out.s);
		CHECK_IN(what, err_exit_code(&e) == 2 && has_weights(out.s));
		resume(w, out.s, what);
		return;
	}
	CHECK_IN(what, !only_a_time(c->how) || w->expected);
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
				for (c.at = opened + 1; c.at <= all;
					c.at += 1 + (all - opened) / (every(2) > 1 ? 2 : 4))
					change_once(&ways[k], (enum start)st, &c);
		}
	}
}

/* --- links of a hub cache --- */

static void test_links(void)
{
	static const struct way w = {
		.name = "links", .target = "hf", .ranks = 1, .layers = "embed"
	};
	struct path snaps, blobs, out;
	char hash[65], link[80];
	uint8_t sha[32];
	struct faultio f;
	struct err e = { 0 };
	uint64_t at, n;
	size_t i;

	set_up();
	out = dirs_path("out");
	dirs_new("hub");
	blobs = dirs_new("hub/blobs");
	dirs_new("hub/snapshots");
	snaps = dirs_new("hub/snapshots/1");
	for (i = 0; i < source.n; i++) {
		CHECK(!sha256_of(source.file[i].p, source.file[i].n, sha, &e));
		hex_of(sha, sizeof sha, hash);
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
	static const char *const name[] = { "notes.json", "modeling_deepseek.py", "x.bin",
		"model-00009.safetensors", "README.gguf", "merges.txt", "chat_template.jinja" };
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

static void find_part(void *ctx, const char *dir, const char *name)
{
	bool *there = ctx;
	char final[256];

	(void)dir;
	*there = *there || file_is_part(base_of(name), final);
}

/* What a killed run has left takes no room from the next one: it is gone before the free bytes are asked for. */
static void none_left(struct faultio *f, enum io_op op, const char *name)
{
	bool there = false;

	(void)f;
	(void)name;
	if (op != IO_STATVFS)
		return;
	for_names(dirs_path("out").s, find_part, &there);
	CHECK(!there);
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
		faultio_make(&f);
		f.hook = none_left;
		CHECK_IN(ways[k].name, !disturbed(&f, &ways[k], DAMAGED, ways[k].name, &e));
		CHECK_IN(ways[k].name, f.calls[IO_STATVFS] > 0);
	}
}

/* --- calls that a file system refuses --- */

/* File systems that have no fsync of folders (CIFS, vboxsf), no locks (NFS, FUSE), and say nothing of their room, below
 * folders that may be passed alone: a conversion ends as it does elsewhere, from each start. */
static void test_refused_calls(void)
{
	static const int refused[] = { EPERM, EINVAL, ENOSYS, EOPNOTSUPP, EBADF };
	enum { DIR_SYNC, LOCK, STATVFS, ZEROS, ABOVE, ALL, CALLS };
	static const char *const call[CALLS] = { "fsync of folders", "locks", "statvfs", "zeros",
		"all" };
	enum { ERRNOS = sizeof refused / sizeof *refused };
	struct faultio f;
	struct err e;
	char what[120];
	unsigned c, i, k;
	int st;

	set_up();
	for (k = 0; k < WAYS; k++)
		for (c = 0; c < CALLS; c++)
			for (i = 0; i < ERRNOS; i++) {
				st = (int)((k + c + i) % STARTS); /* each of them with each call */
				faultio_make(&f);
				f.no_dir_sync = c == DIR_SYNC || c == ALL ? refused[i] : 0;
				f.no_lock = c == LOCK || c == ALL ? refused[i] : 0;
				f.no_statvfs =
					c == STATVFS || c == ALL ? refused[i] : -(c == ZEROS);
				f.no_up = c == ABOVE || c == ALL;
				snprintf(what, sizeof what, "%s, %s, %s: %s", ways[k].name,
					start_names[st], call[c], strerror(refused[i]));
				CHECK_IN(what, !disturbed(&f, &ways[k], (enum start)st, what, &e));
				if (e.kind)
					fprintf(stderr, "%s: %s\n", what, e.text);
			}
	faultio_make(&f); /* a disk that fails is another thing */
	f.no_dir_sync = EIO;
	CHECK(disturbed(&f, &ways[0], EMPTY, "EIO", &e) && err_exit_code(&e) == 2);
	faultio_make(&f);
	f.no_lock = EIO;
	CHECK(disturbed(&f, &ways[0], EMPTY, "EIO", &e) && err_exit_code(&e) == 2);
}

/* clang-format off */
TEST_MAIN(((const struct test[]){
	{ "order of names", test_order },
	{ "name taken", test_name_taken },
	{ "marks", test_marks },
	{ "two at once", test_two_at_once },
	{ "source changes", test_changes },
	{ "links", test_links },
	{ "nested", test_nested },
	{ "foreign", test_foreign },
	{ "no space", test_no_space },
	{ "refused calls", test_refused_calls },
	{ 0 } }))
