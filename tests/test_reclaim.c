/* test_reclaim.c -- run --reclaim broken off at any point: of every tensor source or output is there, and the same call ends as if
 * nothing had happened; what must not be freed is refused.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/reclaim.h"

enum { FAILED_ENOUGH = 20 };

/* --- broken off --- */

static uint64_t rc_calls(const struct rc_way *w, uint64_t of[IO_ANY])
{
	struct path src = rc_copy(), out = dirs_path("out");
	struct rc_call call = { 0 };
	struct faultio f;
	struct err e;

	dirs_remove(out.s);
	faultio_make(&f);
	CHECK_IN(w->name, !rc_run(&f.io, w, src.s, out.s, &call, &e));
	CHECK_IN(w->name, !f.early && !f.again && !f.strange && !f.n_open && !f.loose);
	memcpy(of, f.calls, IO_ANY * sizeof *of);
	return f.calls[IO_ANY];
}

/* Call number `at` of op fails, and with forever all calls of any kind after it, as if the process had been killed. */
static void rc_break(const struct rc_way *w, enum io_op op, uint64_t at, bool forever,
	unsigned threads)
{
	const struct rc_clean *c = &rc_clean[w - rc_ways];
	struct path src = rc_copy(), out = dirs_path("out");
	struct rc_call call = { .threads = threads };
	struct faultio f;
	struct err e;
	char what[100];
	int rc;

	snprintf(what, sizeof what, "%s, %u threads, %s %llu%s", w->name, threads, io_names[op],
		(unsigned long long)at, forever ? " and on" : "");
	dirs_remove(out.s);
	faultio_make(&f);
	f.op = op;
	f.at = at;
	f.error = EIO;
	f.forever = forever;
	rc = rc_run(&f.io, w, src.s, out.s, &call, &e);
	CHECK_IN(what, !f.early && !f.strange && !f.n_open);
	CHECK_IN(what, !rc || e.text[0]);
	rc_look(c, src.s, out.s, what);
	rc_resume(w, src.s, out.s, what);
}

/* Killed at every call; reads and writes, of which there are many, are thinned out. */
static void rc_killed(size_t way)
{
	uint64_t of[IO_ANY], all, at, by, points = 0;

	rc_set_up();
	all = rc_calls(&rc_ways[way], of);
	by = every(SANITIZED ? 61 : 23);
	for (at = 1 + rnd((uint32_t)by); at <= all && check_failed < FAILED_ENOUGH;
		at += by, points++)
		rc_break(&rc_ways[way], IO_ANY, at, true, 1);
	printf("     points: %llu of %llu\n", (unsigned long long)points, (unsigned long long)all);
}

static void test_killed_hf(void)
{
	rc_killed(0);
}

static void test_killed_set(void)
{
	rc_killed(1);
}

static void test_killed_dropped(void)
{
	rc_killed(2);
}

/* One call fails, the others do not: the run fails or goes on, and nothing is lost. */
static void test_fails(void)
{
	static const enum io_op which[] = { IO_OPEN, IO_CLOSE, IO_FSTAT, IO_LSTAT, IO_PREAD,
		IO_PWRITE, IO_ALLOCATE, IO_FSYNC, IO_RENAME, IO_UNLINK, IO_MKDIR, IO_LIST };
	uint64_t of[IO_ANY], at, by, points = 0;
	size_t i;

	rc_set_up();
	rc_calls(&rc_ways[0], of);
	for (i = 0; i < sizeof which / sizeof *which; i++) {
		by = every(which[i] == IO_FSYNC || which[i] == IO_RENAME || which[i] == IO_UNLINK
				? 4
				: 13);
		by = which[i] == IO_PREAD ? by * 4 : by;
		for (at = 1 + rnd((uint32_t)by); at <= of[which[i]] && check_failed < FAILED_ENOUGH;
			at += by, points++)
			rc_break(&rc_ways[0], which[i], at, false, 1);
	}
	printf("     points: %llu\n", (unsigned long long)points);
}

static void test_threads(void)
{
	uint64_t of[IO_ANY], all, at, by = every(SANITIZED ? 197 : 97);
	size_t i;

	rc_set_up();
	for (i = 0; i < RC_WAYS; i++) {
		all = rc_calls(&rc_ways[i], of);
		for (at = 1 + rnd((uint32_t)by); at <= all && check_failed < FAILED_ENOUGH;
			at += by)
			rc_break(&rc_ways[i], IO_ANY, at, at % 2, 3);
	}
}

/* --- the order of things --- */

struct rc_watch {
	const struct rc_clean *c;
	const char *dir, *out;
	size_t seen;
	void (*then)(struct rc_watch *w, const char *shard); /* NULL: only look */
};

/* Before a shard of the source is removed all folders are synced, the list names it, and its outputs are there. */
static void rc_before_unlink(struct faultio *f, enum io_op op, const char *name)
{
	struct rc_watch *w = f->ctx;
	char quoted[100];
	size_t s, i;
	bool listed;

	for (s = 0; name && s < w->c->shards && strcmp(w->c->shard[s], name) != 0; s++)
		;
	snprintf(quoted, sizeof quoted, "\"%.80s\", \"sha256\"", name ? name : "");
	listed = op == IO_UNLINK && name && s < w->c->shards &&
		is_file(model_file(w->dir, FREED_NAME).s) &&
		holds(model_file(w->dir, FREED_NAME).s, quoted);
	if (!listed)
		return;
	w->seen++;
	for (i = 0; i < FAULTIO_FDS; i++)
		CHECK_IN(name, !f->fd[i].open || !f->fd[i].changed);
	CHECK_IN(name, rc_has_outputs(w->c, s, w->out));
	CHECK_IN(name,
		rc_equal(model_file(w->out, "source/config.json").s,
			model_file(w->dir, "config.json").s));
}

static void test_order(void)
{
	struct rc_call call = { 0 };
	struct rc_watch w;
	struct faultio f;
	struct path src, out = dirs_path("out");
	struct err e;
	size_t i;

	rc_set_up();
	for (i = 0; i < RC_WAYS; i++) {
		src = rc_copy();
		dirs_remove(out.s);
		w = (struct rc_watch){ .c = &rc_clean[i], .dir = src.s, .out = out.s };
		faultio_make(&f);
		f.hook = rc_before_unlink;
		f.ctx = &w;
		CHECK(!rc_run(&f.io, &rc_ways[i], src.s, out.s, &call, &e));
		CHECK_IN(rc_ways[i].name, w.seen >= RC_SHARDS);
	}
}

/* --- a source that changes --- */

struct rc_change {
	const char *dir;
	int how;
	bool done;
};

/* Changes a shard when the list that frees it is about to get its name. */
static void rc_touch(struct faultio *f, enum io_op op, const char *name)
{
	struct rc_change *c = f->ctx;
	struct path shard = model_file(c->dir, rc_clean[0].shard[2]);
	char line[1400];
	struct stat st;

	if (op != IO_RENAME || !strstr(name, FREED_NAME) || !is_file(shard.s) || c->done ||
		model_entries(c->dir) >
			7) /* what stays, the list and its new one, and the last shard */
		return;
	c->done = true;
	if (c->how == 0)
		snprintf(line, sizeof line, "printf x >>'%s'", shard.s);
	else if (c->how == 1)
		snprintf(line, sizeof line, "ln '%s' '%s/other'", shard.s, c->dir);
	else if (c->how == 2)
		snprintf(line, sizeof line, "cp '%s' '%s/x' && mv '%s/x' '%s'", shard.s, c->dir,
			c->dir, shard.s);
	else
		snprintf(line, sizeof line,
			"printf x | dd of='%s' bs=1 seek=%lld conv=notrunc 2>/dev/null", shard.s,
			stat(shard.s, &st) ? 0 : (long long)st.st_size / 2);
	if (system(line))
		exit(2);
}

static void test_changes(void)
{
	struct path src, out = dirs_path("out"), shard;
	struct rc_call call = { .threads = 1 };
	struct rc_change c;
	struct faultio f;
	struct err e;
	int rc;

	rc_set_up();
	for (c.how = 0; c.how < 4; c.how++) {
		src = rc_copy();
		shard = model_file(src.s, rc_clean[0].shard[2]);
		dirs_remove(out.s);
		c.dir = src.s;
		c.done = false;
		faultio_make(&f);
		f.hook = rc_touch;
		f.ctx = &c;
		rc = rc_run(&f.io, &rc_ways[0], src.s, out.s, &call, &e);
		CHECK_IN(e.text, rc && c.done && e.rule && !strcmp(e.rule, "ckpt.changed"));
		CHECK(is_file(shard.s)); /* whatever it is now, nobody else has it */
		CHECK(!is_file(model_file(out.s, MAN_NAME).s));
	}
}

/* A shard with another digest ends the run; what others went into, which are gone, stays. */
static void test_false_shard(void)
{
	struct path src, out = dirs_path("out"), shard;
	struct rc_call call = { .threads = 1 };
	struct err e;
	size_t s, left;
	char line[1400];

	rc_set_up();
	for (s = 0; s < RC_SHARDS; s++) {
		src = rc_copy();
		dirs_remove(out.s);
		shard = model_file(src.s, rc_clean[0].shard[s]);
		snprintf(line, sizeof line,
			"printf '\\001' | dd of='%s' bs=1 seek=50000 conv=notrunc 2>/dev/null",
			shard.s);
		CHECK(!system(line));
		CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
			!strcmp(e.rule, "source.sha256"));
		CHECK(is_file(shard.s));
		snprintf(line, sizeof line, "cp '%s' '%s'",
			model_file(rc_source.s, rc_clean[0].shard[s]).s, shard.s);
		CHECK(!system(line));
		left = rc_look(&rc_clean[0], src.s, out.s, "false shard");
		CHECK(left == RC_SHARDS - call.freed);
		rc_resume(&rc_ways[0], src.s, out.s, "false shard");
	}
}

/* --- a disk that does not hold what was written --- */

/* Turns a bit of a file that was published, before it is read again. */
static void rc_rot(struct faultio *f, enum io_op op, const char *name)
{
	struct rc_change *c = f->ctx;
	char file[500];

	(void)name;
	snprintf(file, sizeof file, "%s%s", rc_clean[0].file[c->how / 2],
		c->how % 2 ? MAN_SIDECAR : "");
	if (c->done || op != IO_FSYNC || !is_file(model_file(c->dir, file).s) ||
		!is_file(model_file(c->dir, rc_clean[0].file[c->how / 2]).s))
		return;
	c->done = true;
	rc_shell("printf '\\001' | dd of='%s' bs=1 seek=700 conv=notrunc 2>/dev/null",
		model_file(c->dir, file).s);
}

static void test_read_back(void)
{
	struct path src, out = dirs_path("out");
	struct rc_call call = { .threads = 1 };
	struct rc_change c = { .how = 0 };
	struct faultio f;
	struct err e;
	size_t s, i;

	rc_set_up();
	for (c.how = 0; c.how < 4; c.how++) {
		src = rc_copy();
		dirs_remove(out.s);
		c.dir = out.s;
		c.done = false;
		i = (size_t)c.how / 2;
		faultio_make(&f);
		f.hook = rc_rot;
		f.ctx = &c;
		CHECK_IN(e.text,
			rc_run(&f.io, &rc_ways[0], src.s, out.s, &call, &e) && c.done && e.rule &&
				!strcmp(e.rule, "check.sha256"));
		for (s = 0; s < RC_SHARDS; s++)
			CHECK(!rc_clean[0].needs[i][s] ||
				is_file(model_file(src.s, rc_clean[0].shard[s]).s));
		rc_resume(&rc_ways[0], src.s, out.s, "read back");
	}
}

/* --- afterwards --- */

static struct path rc_done(struct path *out)
{
	struct path src = rc_copy();
	struct rc_call call = { 0 };
	struct err e;

	*out = dirs_path("out");
	dirs_remove(out->s);
	CHECK(!rc_run(io_posix(), &rc_ways[0], src.s, out->s, &call, &e));
	return src;
}

/* The other verbs speak truly of both folders, and restore gives the source back. */
static void test_afterwards(void)
{
	struct path out, src, back = dirs_path("back"), sums = dirs_path("sums");
	size_t i;

	rc_set_up();
	for (i = 0; i < RC_WAYS; i++) {
		dirs_remove(back.s);
		CHECK(ends(0, "check: true", "dsv4-verify", "check %s", rc_clean[i].out.s));
		CHECK(ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", rc_clean[i].out.s,
			back.s));
		rc_shell("cd '%s' && sha256sum --quiet -c '%s' && cmp config.json '%s/config.json'",
			back.s, sums.s, rc_source.s);
		CHECK(ends(0, NULL, "dsv4-verify", "compare %s %s -q", back.s, rc_clean[i].out.s));
	}
	src = rc_done(&out);
	CHECK(ends(2, "kind.reclaimed", "dsv4-verify", "compare %s %s", src.s, out.s));
	CHECK(ends(2, "kind.reclaimed", "dsv4-convert", "run %s -o %s.2 -t hf", src.s, out.s));
	/* with the shards back it is a checkpoint again */
	rc_shell("cp '%s'/*.safetensors '%s'", back.s, src.s);
	CHECK(ends(0, NULL, "dsv4-verify", "compare %s %s -q", src.s, out.s));
	rc_resume(&rc_ways[0], src.s, out.s, "again");
}

/* What shards went into that are gone is damaged, is elsewhere, or is of another plan or version. */
static void test_other_outputs(void)
{
	struct path out, src = (rc_set_up(), rc_done(&out)), none = dirs_path("none");
	struct rc_call call = { 0 };
	struct job_opts o = rc_opts(&rc_ways[2], dirs_path("sums").s, 1);
	struct err e;

	CHECK(rc_run(io_posix(), &rc_ways[0], src.s, none.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.lost"));
	CHECK(!is_file(none.s));
	call.tool = "test 1";
	CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.plan"));
	call = (struct rc_call){ .opts = &o };
	CHECK(rc_run(io_posix(), &rc_ways[2], src.s, out.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.plan"));
	call = (struct rc_call){ 0 };
	CHECK(rc_same_tree(out.s, rc_clean[0].out.s)); /* none of that has changed it */
	rc_shell("printf x | dd of='%s' bs=1 seek=60000 conv=notrunc 2>/dev/null",
		model_file(out.s, rc_clean[0].file[1]).s);
	CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.lost") && strstr(e.text, rc_clean[0].file[1]));
	CHECK(is_file(model_file(out.s, rc_clean[0].file[1]).s));
	rc_shell("rm '%s/source/%s.header'", out.s, rc_clean[0].shard[0]);
	CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.lost"));
	/* put back, that shard is made again */
	rc_shell("cp '%s'/*.safetensors '%s'", rc_source.s, src.s);
	rc_resume(&rc_ways[0], src.s, out.s, "put back");
}

/* The list of a source is damaged, or lost: no remedy says to remove anything, or forgets that OUT has the shards. */
static void test_lost_list(void)
{
	struct path out, src = (rc_set_up(), rc_done(&out)), list = model_file(src.s, FREED_NAME);
	static const char *const verbs[] = { "doctor", "check" };
	size_t i, k;

	for (k = 0; k < 2; k++) { /* all shards are gone, and some are there */
		rc_shell("echo '{' >'%s'", list.s);
		for (i = 0; i < 2; i++) {
			CHECK(ends(2, "is damaged; OUT has the same list as dsv4-only-copy.json",
				"dsv4-verify", "%s %s", verbs[i], src.s));
			CHECK(ends(2, "kind.reclaimed", "dsv4-verify", "%s %s", verbs[i], src.s));
		}
		CHECK(!unlink(list.s));
		rc_shell("cp '%s'/%s '%s'", rc_source.s, rc_clean[0].shard[1], src.s);
		for (i = 0; i < 2; i++)
			CHECK(ends(1,
				"OUT of that run has it (and dsv4-only-copy.json): remove neither folder",
				"dsv4-verify", "%s %s", verbs[i], src.s));
	}
	/* With all shards there a damaged list says nothing. */
	rc_shell("cp '%s'/*.safetensors '%s'; echo '{' >'%s'", rc_source.s, src.s, list.s);
	CHECK(ends(0, NULL, "dsv4-convert", "inspect %s", src.s));
}

/* Lists with anything else in them. */
static void test_lists(void)
{
	static const struct {
		const char *from, *to; /* as sed takes them */
	} rows[] = { { "dsv4-reclaim-1", "dsv4-reclaim-2" }, { "\"bytes\": 1", "\"bytes\": 2" },
		{ "^}$", "" }, { "model-00001", "../el-00001" }, { "\"plan\"", "\"plam\"" } };
	struct path out, src = (rc_set_up(), rc_done(&out)), list = model_file(src.s, FREED_NAME),
			 copy = dirs_path("list");
	struct rc_call call = { 0 };
	struct text t = { 0 };
	struct freed l;
	struct err e = { 0 };
	bool there;
	size_t i, k;
	int dir = open(src.s, O_RDONLY | O_DIRECTORY);

	rc_shell("cp '%s' '%s'", list.s, copy.s);
	CHECK(!unlink(model_file(out.s, FREED_KEPT).s)); /* which else would serve */
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		rc_shell("sed 's|%s|%s|' '%s' >'%s'", rows[i].from, rows[i].to, copy.s, list.s);
		CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
			!strcmp(e.rule, "reclaim.list"));
	}
	rc_shell("cp '%s' '%s'", copy.s, list.s);
	CHECK(!freed_read(&l, io_posix(), dir, FREED_NAME, &there, &e) && there &&
		l.n_shards == RC_SHARDS);
	/* well sealed, and not as it is written */
	for (k = 0; k < 3; k++) {
		struct freed_shard row = l.shards[1];

		if (k == 0)
			l.shards[1].name = "../x.safetensors";
		if (k == 1)
			l.shards[1] = l.shards[0];
		if (k == 2)
			l.files[0].name = l.files[1].name;
		t.n = 0;
		CHECK(!freed_put(&t, &l, &e));
		model_put(src.s, FREED_NAME, t.s, t.n);
		CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
			!strcmp(e.rule, "reclaim.list"));
		l.shards[1] = row;
	}
	text_free(&t);
	freed_free(&l);
	close(dir);
}

/* --- refused --- */

/* A copy of the source, and nowhere what a test before has left. */
static struct path rc_fresh(void)
{
	rc_set_up();
	dirs_remove(dirs_path("refused").s);
	return rc_copy();
}

static void test_refused_forms(void)
{
	struct path src = rc_fresh(), sums = dirs_path("sums");
	struct job_opts o[6];
	struct rc_call call = { 0 };
	size_t i;

	for (i = 0; i < 6; i++)
		o[i] = rc_opts(&rc_ways[0], sums.s, 1);
	o[0].plan.target = "official";
	o[1].plan.back = false;
	o[2].plan.layers = "0";
	o[3].plan.lossy = true;
	o[4].plan.target = "bf16";
	o[5].plan.target = "gguf";
	for (i = 0; i < 6; i++) {
		call.opts = &o[i];
		CHECK(rc_refuses(&call, src.s, "reclaim.form", "--reclaim"));
	}
	CHECK(rc_look(&rc_clean[0], src.s, src.s, "refused forms") == RC_SHARDS);
	CHECK(rc_same_tree(src.s, rc_source.s));
}

static void test_refused_sources(void)
{
	struct path src = rc_fresh(), sums = dirs_path("sums"), links = dirs_new("links"),
		    twin = dirs_path("twin");
	struct job_opts o = rc_opts(&rc_ways[0], sums.s, 1);
	struct rc_call call = { .opts = &o };
	struct path shard = model_file(src.s, rc_clean[0].shard[1]);

	o.source_sha256 = NULL;
	CHECK(rc_refuses(&call, src.s, "reclaim.source", "SHA-256 nobody says"));
	o.source_sha256 = sums.s;
	rc_shell("ln '%s' '%s'", shard.s, twin.s);
	CHECK(rc_refuses(&call, src.s, "reclaim.source", "hard link"));
	rc_shell("rm '%s' && cd '%s' && ln -s ../src/* .", twin.s, links.s);
	o.ckpt.follow_links = true;
	CHECK(rc_refuses(&call, links.s, "reclaim.source", "is a link"));
	rc_shell("echo '{}' >'%s/manifest.json'", src.s);
	CHECK(rc_refuses(&call, src.s, "reclaim.source", "conversion"));
	rc_shell("rm '%s/manifest.json'", src.s);
	CHECK(rc_same_tree(src.s, rc_source.s) && !is_file(dirs_path("refused").s));
	/* of a hub's cache no blob is freed, which other snapshots may name */
	rc_shell(
		"mkdir -p '%s/hub/blobs' '%s/hub/snapshots/a' && cd '%s/hub/snapshots/a' && for f in '%s'/*; do "
		"h=$(sha256sum <$f | cut -c1-64); cp $f ../../blobs/$h; ln -s ../../blobs/$h $(basename $f); done",
		links.s, links.s, links.s, rc_source.s);
	o.ckpt.follow_links = false;
	o.source_sha256 = NULL;
	CHECK(rc_refuses(&call, model_file(links.s, "hub/snapshots/a").s, "reclaim.source",
		"is a link"));
	/* an archive is read in place, and nothing of it is freed */
	CHECK(ends(0, NULL, "dsv4-convert", "pack %s -o %s/pack -q", src.s, links.s));
	CHECK(ends(2, "reclaim.source", "dsv4-convert",
		"run %s/pack -o %s -t hf --reclaim %s --source-sha256 %s", links.s,
		dirs_path("refused").s, rc_clean[0].hash, sums.s));
}

static void test_refused_calls(void)
{
	struct path src = rc_fresh(), sums = dirs_path("sums"), out = dirs_path("refused"),
		    ro = dirs_path("readonly");
	static const struct {
		const char *more, *word;
	} rows[] = { { "--base x", "--base" }, { "--overwrite", "--overwrite" },
		{ "--no-sha256", "--no-sha256" }, { "--no-restore", "--no-restore" },
		{ "--lossy", "reclaim" }, { "--follow", "--reclaim: a download" },
		{ "--shard-size 1M", "reclaim.plan" } };
	struct rc_call call = { .word = "0123456789ab" };
	size_t i;

	CHECK(rc_refuses(&call, src.s, "reclaim.plan",
		rc_clean[0].hash[0] ? "plan of this call" : ""));
	call.word = "";
	CHECK(rc_refuses(&call, src.s, "reclaim.plan", "plan of this call"));
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		CHECK(ends(2, rows[i].word, "dsv4-convert",
			"run %s -o %s -t hf --reclaim %s --source-sha256 %s %s", src.s, out.s,
			rc_clean[0].hash, sums.s, rows[i].more));
	CHECK(ends(2, "--source-sha256", "dsv4-convert", "run %s -o %s -t hf --reclaim %s", src.s,
		out.s, rc_clean[0].hash));
	/* OUT in DIR, and DIR in OUT */
	CHECK(ends(2, "out.nested", "dsv4-convert",
		"run %s -o %s/out -t hf --reclaim %s --source-sha256 %s", src.s, src.s,
		rc_clean[0].hash, sums.s));
	/* a job folder has no such option */
	CHECK(ends(2, "reclaim", "dsv4-convert",
		"plan %s -o %s -t hf --job %s.job --tasks 2 --reclaim x", src.s, out.s, out.s));
	CHECK(ends(0, NULL, "dsv4-convert", "plan %s -o %s -t hf --job %s.job --tasks 2", src.s,
		out.s, out.s));
	CHECK(ends(2, "reclaim", "dsv4-convert", "run %s.job --task 0/2 --reclaim %s", out.s,
		rc_clean[0].hash));
	if (geteuid()) {
		rc_shell("cp -r '%s' '%s' && chmod 555 '%s'", src.s, ro.s, ro.s);
		CHECK(ends(2, "cannot", "dsv4-convert",
			"run %s -o %s.2 -t hf --reclaim %s --source-sha256 %s", ro.s, out.s,
			rc_clean[0].hash, sums.s));
		rc_shell("chmod 755 '%s'", ro.s);
	}
	CHECK(rc_same_tree(src.s, rc_source.s));
	/* said twice and rightly, it is done */
	CHECK(ends(0, "4 shards of the source freed", "dsv4-convert",
		"run %s -o %s.3 -t hf --reclaim %.12s --source-sha256 %s", src.s, out.s,
		rc_clean[0].hash, sums.s));
}

/* --- what may be the only copy --- */

/* A copy of the source in which a bit of each shard is another, and the digests of its shards. */
static struct path rc_false(struct path *sums)
{
	struct path src = dirs_path("false");

	dirs_remove(src.s);
	dirs_new("false");
	model_fill(rc_source.s, src.s, false);
	*sums = dirs_path("false.sums");
	rc_shell(
		"cd '%s' && for s in *.safetensors; do cp --remove-destination \"$(readlink -f $s)\" x && mv x $s && "
		"printf '\\003' | dd of=$s bs=1 seek=$(($(stat -c %%s $s) - 9)) conv=notrunc 2>/dev/null; done; sha256sum "
		"*.safetensors >'%s'",
		src.s, sums->s);
	return src;
}

/* Nothing writes into the output but the run that frees, of the same source; and that keeps what is there. */
static void test_only_copy(void)
{
	static const char *const calls[][3] = { { "dsv4-convert", "run", "-t hf" },
		{ "dsv4-convert", "run", "-t hf --overwrite" },
		{ "dsv4-convert", "run", "-t marlin-mxfp4" }, { "dsv4-convert", "pack", "" },
		{ "dsv4-convert", "pack", "--oci" },
		{ "dsv4-convert", "plan", "-t hf --job none/job --tasks 2" },
		{ "dsv4-convert", "plan", "-t hf --overwrite" },
		{ "dsv4-convert", "plan", "-t marlin-mxfp4" },
		{ "dsv4-quant", "run", "--to fp8 --overwrite" } };
	struct path out, src, sums, other, back = dirs_path("back");
	struct rc_call call = { .threads = 1 };
	struct err e;
	unsigned i;

	rc_set_up();
	src = rc_done(&out);
	other = rc_false(&sums);
	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		CHECK_IN(calls[i][2],
			ends(2, "reclaim.kept", calls[i][0], "%s %s -o %s -q %s", calls[i][1],
				other.s, out.s, calls[i][2]));
	}
	/* Shards that are still to come change nothing in it. */
	rc_shell("mv '%s'/*-00002-of-* '%s.2'", other.s, other.s);
	CHECK(ends(2, "reclaim.kept", "dsv4-convert",
		"run %s -o %s -t marlin-mxfp4 -q --follow --follow-timeout 1 --source-sha256 %s",
		other.s, out.s, sums.s));
	rc_shell("mv '%s.2' '%s/model-00002-of-00004.safetensors'", other.s, other.s);
	call.sums = sums.s;
	CHECK(rc_run(io_posix(), &rc_ways[0], other.s, out.s, &call, &e) && e.rule &&
		!strcmp(e.rule, "reclaim.kept"));
	CHECK(rc_same_tree(out.s, rc_clean[0].out.s));
	/* Shards that are put back, and false, take away nothing that was made of the right ones. */
	call.sums = NULL;
	for (i = 0; i < 12; i++) {
		call.threads = 1 + i % 4;
		if (i >= 8) /* without the list in DIR OUT's serves */
			(void)unlink(model_file(src.s, FREED_NAME).s);
		rc_shell("cd '%s' && cp $(ls *.safetensors | sed -n '%u,$p') '%s'", other.s,
			1 + i % 4, src.s);
		CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
			!strcmp(e.rule, "source.sha256"));
		rc_shell("rm '%s'/*.safetensors", src.s);
		CHECK(!rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e));
		CHECK(rc_same_tree(out.s, rc_clean[0].out.s));
	}
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", out.s));
	dirs_remove(back.s);
	CHECK(ends(0, NULL, "dsv4-convert", "restore %s -o %s -q", out.s, back.s));
	/* Who says that nobody needs it may write there. */
	CHECK(!unlink(model_file(out.s, FREED_KEPT).s));
	CHECK(ends(0, NULL, "dsv4-convert", "run %s -o %s -t hf -q", other.s, out.s));
}

/* A source whose shards went elsewhere, too, and are put back false: what is in the first output stays. */
static void test_elsewhere(void)
{
	struct path out, src, sums, other, second = dirs_path("second");
	struct rc_call call = { 0 };
	struct err e;
	unsigned i;

	rc_set_up();
	other = rc_false(&sums);
	for (i = 0; i < 8; i++) {
		src = rc_done(&out);
		call.threads = 1;
		dirs_remove(second.s);
		rc_shell("cp '%s'/*.safetensors '%s'", rc_source.s, src.s);
		CHECK(!rc_run(io_posix(), &rc_ways[1], src.s, second.s, &call, &e));
		dirs_remove(second.s);
		rc_shell(
			"cp '%s'/*.safetensors '%s' && cp $(ls '%s'/*.safetensors | sed -n '%u,$p') '%s'",
			rc_source.s, src.s, other.s, 1 + i % 4, src.s);
		call.threads = 1 + i % 4;
		CHECK(rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e) && e.rule &&
			!strcmp(e.rule, "source.sha256"));
		CHECK(rc_same_tree(out.s, rc_clean[0].out.s));
	}
}

/* --- the forecast at real shapes --- */

/* Every header of V4-Flash, and shards that are holes: their blocks are made up. */
static void test_real_shapes(void)
{
	static const struct {
		const char *target;
		uint64_t ranks;
		enum codec experts;
		unsigned threads;
		bool grows; /* OUT is larger than the source */
	} rows[] = { { "hf", 0, CODEC_NONE, 1, false }, { "hf", 0, CODEC_NONE, 8, false },
		{ "marlin-mxfp4", 1, CODEC_NONE, 1, false },
		{ "marlin-mxfp4", 1, CODEC_NONE, 2, false },
		{ "marlin-mxfp4", 1, CODEC_NONE, 8, false },
		{ "trtllm-mxfp4", 8, CODEC_NONE, 8, true }, { "hf", 0, CODEC_FP8, 8, true } };
	struct path flash = dirs_path("flash");
	char args[700];
	struct forecast f;
	struct job_opts o;
	struct job j;
	struct err e;
	size_t i, k;

	snprintf(args, sizeof args, "%s --config tests/configs/flash.json --sparse", flash.s);
	CHECK(!model_tool("mkmodel", args));
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		o = rc_opts(&(struct rc_way){ .target = rows[i].target,
				    .ranks = rows[i].ranks,
				    .experts = rows[i].experts },
			NULL, rows[i].threads);
		o.max_memory = 1 << 30;
		memset(&e, 0, sizeof e);
		CHECK_IN(e.text, !job_open(&j, io_posix(), flash.s, &o, &e));
		for (k = 0; k < j.c.n_shards; k++)
			j.c.shards[k].st.st_blocks = j.c.shards[k].st.st_size / 512;
		CHECK(!forecast_refuses(&j.conversion));
		budget_apart(&j.b);
		CHECK(j.b.teams * j.b.lanes == rows[i].threads);
		CHECK(!forecast_make(&f, &j.conversion, NULL, rows[i].threads, &e));
		printf("     %s, %llu ranks, %u threads: source %.1f GB, shards up to %.2f GB, OUT %.1f GB; at "
		       "most %.2f GB more, %.2f for each thread\n",
			rows[i].target, (unsigned long long)rows[i].ranks, rows[i].threads,
			(double)f.source / 1e9, (double)f.shard / 1e9, (double)f.most / 1e9,
			(double)f.peak / 1e9, (double)f.peak / rows[i].threads / 1e9);
		CHECK(f.peak >= f.shard);
		CHECK_IN(rows[i].target,
			rows[i].grows ? f.peak < f.most : f.peak < 2 * rows[i].threads * f.shard);
		forecast_free(&f);
		job_close(&j);
	}
}

/* What a killed run --follow has left in OUT is removed before the first file, and gives room; files that an earlier run has finished
 * need none. */
static void test_left_over(void)
{
	struct path out = dirs_path("left"), src = rc_fresh();
	struct rc_call call = { 0 };
	struct err e;
	uint64_t peak = 0;
	int i;

	for (i = 0; i < 3; i++) {
		src = rc_fresh();
		dirs_remove(out.s);
		if (i == 1)
			rc_shell(
				"mkdir -p '%s/.dsv4-work/follow-a/source' && cd '%s/.dsv4-work/follow-a' && "
				"head -c 65536 /dev/zero >source/x && head -c 65536 /dev/zero >y",
				out.s, out.s);
		if (i == 2)
			rc_shell("cp -r '%s' '%s' && rm '%s/" FREED_KEPT "' '%s'/*1*.safetensors",
				rc_clean[0].out.s, out.s, out.s, out.s);
		CHECK(!rc_run(io_posix(), &rc_ways[0], src.s, out.s, &call, &e));
		CHECK(rc_same_tree(out.s, rc_clean[0].out.s)); /* and so no .dsv4-work */
		peak = i ? peak : call.peak;
		CHECK(i == 0 || (i == 1 ? call.peak + 131072 == peak : call.peak < peak));
	}
}

/* Two at a time. */
static void test_locked(void)
{
	struct path src = rc_fresh();
	struct rc_call call = { 0 };
	struct reclaim r;
	struct err e = { 0 };

	CHECK(!reclaim_open(&r, io_posix(), src.s, "nowhere", &e));
	CHECK(rc_refuses(&call, src.s, "out.locked", "another run"));
	reclaim_close(&r);
}

/* clang-format off */
TEST_MAIN(((const struct test[]){
	{ "reclaim: killed: hf", test_killed_hf },
	{ "reclaim: killed: set", test_killed_set },
	{ "reclaim: killed: dropped", test_killed_dropped },
	{ "reclaim: fails", test_fails },
	{ "reclaim: threads", test_threads },
	{ "reclaim: order", test_order },
	{ "reclaim: source changes", test_changes },
	{ "reclaim: false shard", test_false_shard },
	{ "reclaim: read back", test_read_back },
	{ "reclaim: afterwards", test_afterwards },
	{ "reclaim: other outputs", test_other_outputs },
	{ "reclaim: lists", test_lists },
	{ "reclaim: lost list", test_lost_list },
	{ "reclaim: refused forms", test_refused_forms },
	{ "reclaim: refused sources", test_refused_sources },
	{ "reclaim: refused calls", test_refused_calls },
	{ "reclaim: left over", test_left_over },
	{ "reclaim: locked", test_locked },
	{ "reclaim: the only copy", test_only_copy },
	{ "reclaim: elsewhere", test_elsewhere },
	{ "reclaim: real shapes", test_real_shapes },
	{ 0 } }))
