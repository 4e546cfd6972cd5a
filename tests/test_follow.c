/* test_follow.c -- run --follow: a source that arrives while it is converted, in every order and by every kind of
 * download; shards that are cut off, false, replaced; calls that are refused, killed, told to stop. The result is that
 * of a plain run.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/batch/stage.h"
#include "convert/follow/follow.h"
#include "convert/follow/foreseen.h"
#include "formats/conversion/freed.h"
#include "quant/preset.h"
#include "tests/model.h"
#include "tests/produced.h"
#include "tests/shell_line.h"

#include <signal.h>
#include <sys/wait.h>

#define FLASH "tests/golden/tiny-flash"

static struct path src, in, one, out, list, logged;

/* Runs a line of the shell in which %B is the build folder and %S, %I, %1, %O, %L, %J are the whole source, the folder that is
 * filled, the plain conversion, OUT, the list of digests and a log. In it "get K" downloads shard K under a temporary name, and
 * "saw WORDS" waits until the log has them. Returns its exit status. */
static int sh(const char *line)
{
	static const char letters[] = "SI1OLJ";
	const struct path *const paths[] = { &src, &in, &one, &out, &list, &logged };
	char words[4096];

	snprintf(words, sizeof words,
		"n() { echo model-0000$1-of-00007.safetensors; }; "
		"get() { cp %.300s/$(n $1) %.300s/x.tmp && mv %.300s/x.tmp %.300s/$(n $1); }; "
		"saw() { i=0; while [ $i -lt 200 ] && ! grep -q \"$1\" %.300s 2>/dev/null; do sleep 0.05; i=$((i + 1)); done; }; ",
		src.s, in.s, in.s, in.s, logged.s);
	return shell_line(words, line, letters, paths);
}

static bool says(const char *what)
{
	size_t n;
	char *s = (char *)file_get_all(logged.s, &n);
	bool yes;

	if (!s)
		return false;
	s[n] = 0;
	produced_in(s);
	yes = strstr(s, what) != NULL;
	if (!yes)
		fprintf(stderr, "it does not say %s: %.900s\n", what, s);
	free(s);
	return yes;
}

static void begin(void)
{
	if (!src.s[0]) {
		src = model_copy(FLASH, "src");
		one = dirs_path("one");
		out = dirs_path("out");
		list = dirs_path("list");
		logged = dirs_path("log");
		in = dirs_path("in");
		CHECK(!sh("cd %S && sha256sum *.safetensors >%L"));
	}
	in = dirs_new("in");
	dirs_remove(out.s);
	unlink(logged.s);
	CHECK(!sh("cp %S/config.json %S/*.index.json %I"));
}

/* --- calls in this process, that a shell feeds --- */

struct call_of {
	const char *target;
	const char *list; /* --source-sha256 */
	const char *dir;  /* NULL: in */
	bool fp8, no_sha256, back;
	uint64_t ranks, shares;
	double timeout;
	const char *layers;
	const struct io *io; /* NULL: the system */
};

static void take_note(const char *s)
{
	FILE *f = fopen(logged.s, "a");

	if (!f)
		return;
	fprintf(f, "%s\n", s);
	fclose(f);
}

static struct job_opts opts_of(const struct call_of *c)
{
	struct job_opts o = { .use = USE_RUN,
		.features = cpu_features(),
		.threads = 2,
		.max_memory = 256 << 20,
		.plan = { .target = c->target,
			.ranks = c->ranks ? c->ranks : 1,
			.sha256 = !c->no_sha256 } };

	o.ckpt.header_cap = ST_HEADER_CAP;
	o.source_sha256 = c->list;
	o.plan.back = c->back;
	o.plan.layers = c->layers;
	if (c->fp8) {
		o.plan.experts = CODEC_FP8;
		o.plan.lossy = true;
	}
	if (c->shares)
		o.plan.share = (struct share){ .ranks = c->shares, .stages = 1 };
	return o;
}

/* Follows while a shell runs the feeder. Returns what follow_run does. */
static int follow(const struct call_of *c, const char *feeder, struct err *e)
{
	const struct job_opts jo = opts_of(c);
	struct follow_opts o = { .io = c->io ? c->io : io_posix(),
		.dir = c->dir ? c->dir : in.s,
		.out = out.s,
		.job = &jo,
		.tool = "test 0",
		.timeout = c->timeout > 0 ? c->timeout : 60,
		.settle = 0.04,
		.threads = 2,
		.note = take_note };
	struct run_result r;
	struct job j;
	pid_t child = fork();
	int rc;

	if (!child)
		_exit(sh(feeder));
	*e = (struct err){ 0 };
	rc = follow_run(&o, &j, &r, e);
	waitpid(child, NULL, 0);
	if (!rc) {
		run_result_free(&r);
		job_close(&j);
	}
	return rc;
}

/* The same as a plain run of the whole source gives. */
static bool as_plain(const struct call_of *c, const char *feeder)
{
	struct model_job j = model_job(c->target, c->ranks ? c->ranks : 1);
	const struct job_opts jo = opts_of(c);
	struct err e;

	dirs_remove(one.s);
	j.plan = jo.plan;
	j.expected = list.s;
	j.tool = "test 0";
	if (!convert(&j, src.s, one.s))
		return false;
	if (follow(c, feeder, &e)) {
		fprintf(stderr, "%s: %s: %s\n", c->target, e.rule ? e.rule : "", e.text);
		return false;
	}
	return !sh("diff -r %1 %O");
}

/* The call ends with that rule when all that the feeder does is done, and OUT has no file under a final name. */
static bool fails(const struct call_of *c, const char *feeder, const char *rule, const char *word)
{
	struct err e;
	int rc;

	CHECK_IN(feeder, !sh(feeder));
	rc = follow(c, "true", &e);
	if (rc && e.rule && !strcmp(e.rule, rule) && strstr(e.text, word))
		return !sh("test ! -e %O || test $(ls %O | wc -l) = 0");
	fprintf(stderr, "expected %s %s, got %d %s: %s\n", rule, word, rc, e.rule ? e.rule : "",
		e.text);
	return false;
}

/* The last shard comes when the call waits for nothing else. */
#define LAST "saw 'waiting for 1 of'; "
#define FEED "for k in 6 2 7 1 5 3; do sleep 0.02; get $k; done; " LAST "get 4"

static void targets(void)
{
	static const struct call_of row[] = {
		{ .target = "hf", .back = true },
		{ .target = "hf", .back = true, .fp8 = true },
		{ .target = "hf", .no_sha256 = true },
		{ .target = "hf", .layers = "0-1" },
		{ .target = "official", .ranks = 2 },
		{ .target = "marlin-mxfp4", .shares = 2 },
		{ .target = "mxfp8" },
	};
	struct call_of c;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		begin();
		c = row[i];
		c.list = list.s;
		CHECK_IN(c.target, as_plain(&c, FEED));
		if (!strcmp(c.target, "official"))
			CHECK(says("2 of 2 files are made of all shards"));
		else /* others begin before the last shard is there */
			CHECK_IN(c.target,
				says("waiting for 1 of 7 shards: model-00004") &&
					!sh("grep -q 'waiting for 1 of .* [1-9][0-9]* of [0-9]* files' %J"));
	}
}

/* Config and index come last, or grow; there is no folder but its name. */
static void small_files(void)
{
	struct call_of c = { .target = "hf", .list = list.s };

	begin();
	CHECK(!sh("rm %I/*"));
	CHECK(as_plain(&c,
		"for k in 1 2 3 4 5 6 7; do get $k; done; saw 'config.json, which is not there'; head -c 900 %S/config.json >%I/config.json; saw 'config.json, which cannot'; "
		"cp %S/config.json %I; saw 'index.json, which is not there'; head -c 9000 %S/*.index.json >%I/model.safetensors.index.json; "
		"saw 'index.json, which cannot'; cp %S/*.index.json %I"));
	CHECK(says("waiting for config.json, which is not there") &&
		says("config.json, which cannot be read yet") &&
		says("index.json, which is not there") &&
		says("index.json, which cannot be read yet"));
	/* A small file that is in the list, or is still being downloaded, is waited for. */
	begin();
	CHECK(!sh("echo tokenizer >%S/tokenizer.json; cd %S && sha256sum tokenizer.json >>%L"));
	CHECK(as_plain(&c,
		"for k in 1 2 3 4 5 6 7; do get $k; done; saw 'waiting for other files'; cp %S/tokenizer.json %I"));
	CHECK(!sh("cd %S && sha256sum *.safetensors >%L"));
	begin();
	CHECK(as_plain(&c,
		"touch %I/tokenizer.json.incomplete; for k in 1 2 3 4 5 6 7; do get $k; done; saw 'waiting for other files'; "
		"cp %S/tokenizer.json %I; rm %I/*.incomplete"));
	CHECK(!sh("rm %S/tokenizer.json"));
}

/* Files that have their final names before they are whole. */
static void in_place(void)
{
	struct call_of c = { .target = "hf", .list = list.s };

	begin();
	CHECK(as_plain(&c,
		"for k in 1 2 4 5 6 7; do get $k; done; f=$(n 3); for at in 4 5000 900000; do head -c $at %S/$f >%I/$f; sleep 0.1; done; "
		"tail -c +900001 %S/$f >>%I/$f"));
	/* aria2: the size is there from the beginning, and a control file beside it. */
	begin();
	CHECK(as_plain(&c,
		"f=$(n 3); touch %I/$f.aria2; head -c 20000 %S/$f >%I/$f; truncate -s $(stat -c %s %S/$f) %I/$f; "
		"for k in 1 2 4 5 6 7; do get $k; done; " LAST
		"cp %S/$f %I/$f; sleep 0.1; rm %I/$f.aria2"));
	CHECK(says("model-00003-of-00007.safetensors is not whole") &&
		!sh("grep -q 'another SHA-256' %J; test $? = 1"));
	/* The same without one: its digest is another one until it is whole. */
	begin();
	CHECK(as_plain(&c,
		"f=$(n 3); head -c 20000 %S/$f >%I/$f; truncate -s $(stat -c %s %S/$f) %I/$f; "
		"for k in 1 2 4 5 6 7; do get $k; done; saw 'another SHA-256'; cp %S/$f %I/$f"));
	CHECK(says("model-00003-of-00007.safetensors has another SHA-256"));
}

/* Git-LFS pointers in place of shards say their digests; so do the blobs of a hub's cache, and a folder of pointers. */
static void digests(void)
{
	static const char pointers[] =
		"for k in 1 2 3 4 5 6 7; do f=$(n $k); printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' "
		"$(sha256sum <%S/$f | cut -c1-64) $(stat -c %s %S/$f) >";
	struct call_of c = { .target = "hf" };
	struct path hub, snapshot;
	char line[3000];

	begin();
	snprintf(line, sizeof line, "%s%%I/$f; done", pointers);
	CHECK(!sh(line));
	CHECK(as_plain(&c, "saw 'is a Git-LFS pointer'; " FEED));
	CHECK(says("model-00001-of-00007.safetensors is a Git-LFS pointer"));
	begin();
	snprintf(line, sizeof line, "rm -rf %%L.p; mkdir %%L.p; %s%%L.p/$f; done", pointers);
	CHECK(!sh(line));
	hub = dirs_path("list.p");
	c.list = hub.s;
	CHECK(as_plain(&c, FEED));
	c.list = NULL;
	begin();
	hub = dirs_new("hub");
	in = dirs_path("hub");
	CHECK(!sh(
		"mkdir -p %I/blobs %I/snapshots/r; cp %S/config.json %S/*.index.json %I/snapshots/r"));
	snapshot = dirs_path("hub");
	snprintf(snapshot.s + strlen(snapshot.s), sizeof snapshot.s - strlen(snapshot.s),
		"/snapshots/r");
	c.dir = snapshot.s;
	CHECK(as_plain(&c,
		"for k in 6 2 7 1 5 3 4; do f=$(n $k); h=$(sha256sum <%S/$f | cut -c1-64); "
		"head -c 9999 %S/$f >%I/blobs/$h.incomplete; sleep 0.03; cp %S/$f %I/blobs/$h.incomplete; mv %I/blobs/$h.incomplete "
		"%I/blobs/$h; ln -s ../../blobs/$h %I/snapshots/r/$f; done"));
}

/* Shards that were verified are replaced, by the same bytes, and by other ones for some time. */
static void replaced(void)
{
	struct call_of c = { .target = "hf", .list = list.s };

	begin();
	CHECK(as_plain(&c,
		"for k in 1 2 3 5 6 7; do get $k; done; " LAST
		"get 2; touch %I/$(n 3); sleep 0.1; get 4"));
	begin();
	CHECK(as_plain(&c,
		"for k in 1 2 3 5 6 7; do get $k; done; " LAST
		"cp %I/$(n 2) %L.x; printf x | dd of=%I/$(n 2) bs=1 "
		"seek=900000 conv=notrunc 2>/dev/null; saw '00002.* has another'; get 4; sleep 0.1; cp %L.x %I/$(n 2)"));
	CHECK(says("model-00002-of-00007.safetensors has another SHA-256"));
	begin();
	CHECK(as_plain(&c,
		"for k in 1 2 3 5 6 7; do get $k; done; " LAST
		"rm %I/$(n 2); sleep 0.1; get 4; sleep 0.1; get 2"));
}

/* Other members of the family, with metadata in their headers. Those of -Base are not what config.json and the index let
 * expect: their files are made at the end. */
static void models(void)
{
	static const struct {
		const char *config, *options;
		bool foreseen, long_one;
	} row[] = {
		{ "small4", "--metadata", true, true },
		{ "small-v41", "", true, true },
		{ "small-vision", "--metadata", true, false },
		{ "small-spark", "", true, true },
		{ "small-base", "", false, false },
	};
	struct path was = src;
	struct call_of c = { .target = "hf", .back = true, .list = list.s };
	char line[700];
	size_t i;

	begin();
	was = src;
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		if (row[i].long_one && !getenv("EVERY"))
			continue;
		src = dirs_path("model");
		dirs_remove(src.s);
		snprintf(line, sizeof line,
			"%%B/mkmodel %%S --config tests/configs/%s.json %s && cd %%S && sha256sum *.safetensors >%%L",
			row[i].config, row[i].options);
		CHECK_IN(row[i].config, !sh(line));
		begin();
		CHECK(!sh("cp %S/*.json %I"));
		CHECK_IN(row[i].config,
			as_plain(&c,
				"cd %S; for f in $(ls *.safetensors | tac); do l=$f; done; "
				"for f in $(ls *.safetensors | tac); do test $f = $l || { cp $f %I/x.tmp; mv %I/x.tmp %I/$f; }; done; "
				"" LAST "cp $l %I"));
		if (row[i].foreseen)
			CHECK_IN(row[i].config,
				!sh("grep -q 'waiting for 1 of .* [1-9][0-9]* of [0-9]* files' %J"));
		else
			CHECK(says("files are made when all shards are there"));
	}
	src = was;
	CHECK(!sh("cd %S && sha256sum *.safetensors >%L"));
}

static void gives_up(void)
{
	struct call_of c = { .target = "hf", .list = list.s, .timeout = 0.05 };

	begin();
	CHECK(fails(&c, "for k in 1 2 4 5 6; do get $k; done; head -c 9999 %S/$(n 7) >%I/$(n 7)",
		"follow.missing",
		"2 of 7 shards: model-00003-of-00007.safetensors is not there, model-00007-of-00007.safetensors is not whole; 5 files"));
	/* What is made stays, and is what is made of verified shards. */
	CHECK(!sh(
		"cd %O/.dsv4-work/follow-* && test $(ls *.safetensors | wc -l) = 5 && test ! -e $(n 3) && test ! -e $(n 7)"));
	c.timeout = 0;
	CHECK(as_plain(&c, "get 3; get 7"));
	c.timeout = 0.05;
	begin();
	CHECK(fails(&c,
		"for k in 1 2 3 4 5 6 7; do get $k; done; printf x | dd of=%I/$(n 5) bs=1 seek=999999 conv=notrunc 2>/dev/null",
		"source.sha256",
		"model-00005-of-00007.safetensors has another SHA-256 than the published one; 6 files"));
	CHECK(!sh(
		"cd %O/.dsv4-work/follow-* && test $(ls *.safetensors | wc -l) = 6 && test ! -e $(n 5)"));
	begin();
	CHECK(!sh("rm %I/config.json"));
	CHECK(fails(&c, "true", "follow.missing", "config.json, which is not there"));
	begin();
	CHECK(!sh("echo '{' >%I/model.safetensors.index.json"));
	CHECK(fails(&c, "true", "follow.missing", "index.json, which cannot be read yet"));
	begin();
	CHECK(fails(&c, "for k in 1 2 3 4 5 6; do get $k; done; get 7; touch %I/$(n 7).aria2",
		"follow.missing", "is not whole"));
}

static void refused(void)
{
	struct call_of c = { .target = "hf", .timeout = 0.05 };
	struct err e;

	begin();
	CHECK(fails(&c, "get 2", "follow.unpublished", "model-00002"));
	c.list = list.s;
	CHECK(!sh("sed -i /00003-of/d %L"));
	CHECK(fails(&c, "true", "source.list", "model-00003-of-00007.safetensors is not in it"));
	CHECK(!sh("cd %S && sha256sum *.safetensors >%L; mkdir %O; echo 1 >%O/config.json"));
	CHECK(follow(&c, "true", &(struct err){ 0 }) &&
		!sh("test $(cat %O/config.json) = 1 && test $(ls -A %O | wc -l) = 1"));
	dirs_remove(out.s);
	CHECK(!sh("ln -sf /dev/null %I/$(n 2)"));
	CHECK(fails(&c, "true", "file.symlink", "--follow-links"));
	begin();
	c.target = "no-such-target";
	CHECK(follow(&c, "true", &e) && strstr(e.text, "no-such-target"));
	CHECK(!sh("%B/dsv4-convert run %I -o %O -t hf --follow --base %1 >%J 2>&1; test $? = 2") &&
		says("--base"));
	CHECK(!sh("%B/dsv4-convert run %I -o %O -t hf --follow --reclaim 012345678901 >%J 2>&1; test $? = 2") &&
		says("--reclaim"));
	CHECK(!sh("%B/dsv4-convert run %I -o %O -t hf --follow --overwrite >%J 2>&1; test $? = 2") &&
		says("--overwrite"));
	CHECK(!sh("%B/dsv4-quant run %I -o %O --to mxfp8 --follow --experts-from %1 >%J 2>&1; test $? = 2") &&
		says("--experts-from"));
	CHECK(!sh("%B/dsv4-convert run %I -o %I/out -t hf --follow --source-sha256 %L >%J 2>&1; test $? = 2") &&
		says("input"));
	CHECK(!sh("%B/dsv4-convert run %I -o %O -t hf --follow --follow-timeout 0 --source-sha256 %L --json >%J 2>&1; test $? = 75") &&
		says("follow.missing"));
}

/* By the programs, with signals. */
static void interrupted(void)
{
	static const char *const end[] = { "-9", "-TERM", "-USR1" };
	char line[1000];
	size_t i;

	begin();
	dirs_remove(one.s);
	CHECK(!sh("%B/dsv4-convert run %S -o %1 -t hf --source-sha256 %L -q >%J.1"));
	for (i = 0; i < 3; i++) {
		snprintf(line, sizeof line,
			"rm -f %%J; for k in %s; do get $k; done; %%B/dsv4-convert run %%I -o %%O -t hf --follow --source-sha256 %%L >%%J 2>&1 & p=$!; "
			"saw 'files are made$'; "
			"kill %s $p; wait $p; test $? = %s",
			i == 0           ? "2"
				: i == 1 ? "5 6"
					 : "1",
			end[i], i ? "75" : "137");
		CHECK_IN(end[i], !sh(line));
		if (i)
			CHECK(says("follow.stopped") && says("files are made and stay"));
	}
	CHECK(!sh(
		"for k in 3 4 7; do get $k; done; %B/dsv4-convert run %I -o %O -t hf --follow --source-sha256 %L >%J.2 2>%J; "
		"cmp %J.1 %J.2 && diff -r %1 %O"));
	/* Once more: all of it is there, and is kept. */
	CHECK(!sh(
		"%B/dsv4-convert run %I -o %O -t hf --follow --source-sha256 %L >%J.2 2>%J; cmp %J.1 %J.2 && diff -r %1 %O"));
	CHECK(says("0 files made") && says("7 kept"));
}

/* --- a file that changes at the worst time --- */

static int opens; /* of shard 2, so far: to be looked at, to be digested */

/* Writes other bytes into shard 2 when it was digested and is about to be planned. */
static int sly_open(const struct io *io, int dir, const char *path, int flags, mode_t mode)
{
	(void)io;
	opens += !strcmp(path, "model-00002-of-00007.safetensors");
	if (opens == 2 && !strcmp(path, "config.json")) {
		opens = 100;
		CHECK(!sh("printf x | dd of=%I/$(n 2) bs=1 seek=900000 conv=notrunc 2>/dev/null"));
	}
	return io_posix()->open(io_posix(), dir, path, flags, mode);
}

static void between(void)
{
	struct call_of c = { .target = "hf", .list = list.s, .timeout = 0.05 };
	struct io sly = *io_posix();

	sly.open = sly_open;
	c.io = &sly;
	opens = 0;
	begin();
	CHECK(fails(&c, "for k in 1 2; do get $k; done", "source.sha256", "model-00002"));
	CHECK(opens >= 100 &&
		!sh("cd %O/.dsv4-work/follow-* && test -e $(n 1) && test ! -e $(n 2)"));
	/* What was made of the other one stays. */
	c.io = NULL;
	c.timeout = 0;
	CHECK(as_plain(&c, "for k in 2 3 4 5 6 7; do get $k; done"));
}

/* Payload of a shard that is not verified cannot be read through the table that shows it. */
static void no_byte(void)
{
	struct arriving a;
	struct foreseen f;
	struct err e = { 0 };
	struct findings found = { 0 };
	const struct ckpt_opts co = { .header_cap = ST_HEADER_CAP };
	struct ckpt c;
	uint8_t byte;
	size_t i, refused_ones = 0;

	begin();
	CHECK(!sh("for k in 1 2 3 4 5 6 7; do get $k; done"));
	CHECK(!arriving_open(&a, io_posix(), in.s, false, list.s, &e) && !arriving_look(&a, &e) &&
		a.ready);
	CHECK(arriving_count(&a, ARRIVAL_WHOLE) == 7);
	arriving_find(&a, "model-00002-of-00007.safetensors")->is = ARRIVAL_VERIFIED;
	CHECK(!foreseen_open(&f, &a, CODEC_NONE, &e));
	CHECK(!ckpt_open(&c, &f.pass.io, in.s, &co, &found, &e) && c.n_shards == 7 && !found.n);
	for (i = 0; i < c.n; i++) {
		if (c.tensors[i].end == c.tensors[i].begin)
			continue;
		e = (struct err){ 0 };
		if (ckpt_read(&c, &c.tensors[i], 0, &byte, 1, &e))
			refused_ones++;
		else
			CHECK_IN(c.tensors[i].name,
				!strcmp(c.shards[c.tensors[i].shard].name,
					"model-00002-of-00007.safetensors"));
	}
	CHECK(refused_ones > 100 && refused_ones < c.n);
	finding_free(&found);
	ckpt_close(&c);
	foreseen_close(&f);
	arriving_close(&a);
}

/* OUT is finished, or begun, and a shard has its header and its size and not all of its bytes: it is waited for, and nothing in
 * OUT is removed for it. */
static void out_stays(void)
{
	static const char *const prepare[] = { "true",
		"tr -d ' \",' <%O/manifest.json | sed -n s/^plan://p >%O/.dsv4-plan && test -s %O/.dsv4-plan && rm %O/manifest.json %O/$(n 5)*",
		"rm -r %O/manifest.json %O/source" };
	struct call_of c = { .target = "hf", .back = true, .list = list.s };
	struct err e;
	size_t i;

	begin();
	CHECK(as_plain(&c, FEED));
	CHECK(!sh("cp -r %O %L.ref"));
	for (i = 0; i < 3; i++) {
		begin();
		CHECK(!sh(
			"cp -r %L.ref %O; cp %S/* %I; rm -f %L.kept; "
			"dd if=/dev/zero of=%I/$(n 3) bs=65536 seek=4 count=10 conv=notrunc 2>/dev/null"));
		CHECK_IN(prepare[i], !sh(prepare[i]));
		CHECK_IN(prepare[i],
			!follow(&c,
				"(cd %O && find . -name .dsv4-work -prune -o -type f -print | sort) >%L.was; saw 'another SHA-256'; sleep 0.1; "
				"(cd %O && find . -name .dsv4-work -prune -o -type f -print | sort) | diff %L.was - && touch %L.kept; cp %S/$(n 3) %I",
				&e));
		CHECK_IN(prepare[i], !sh("test -e %L.kept && diff -r %L.ref %O"));
	}
	/* No better one comes. */
	c.timeout = 0.05;
	CHECK(!sh(
		"dd if=/dev/zero of=%I/$(n 3) bs=65536 seek=4 count=10 conv=notrunc 2>/dev/null"));
	CHECK(follow(&c, "true", &e) && e.rule && !strcmp(e.rule, "source.sha256") &&
		strstr(e.text, "no better one came"));
	CHECK(!sh("diff -r %L.ref %O"));
}

/* Small files of which the list has another digest are not used, as shards are not. */
static void false_small_files(void)
{
	static const char *const name[] = { "config.json", "model.safetensors.index.json",
		"tokenizer.json" };
	struct call_of c = { .target = "hf", .list = list.s };
	struct err e;
	char line[700];
	size_t i;

	begin();
	CHECK(!sh("echo tokenizer >%S/tokenizer.json; cd %S && sha256sum * >%L"));
	for (i = 0; i < 3; i++) {
		begin();
		c.timeout = 0.05;
		snprintf(line, sizeof line, "cp %%S/* %%I; echo >>%%I/%s", name[i]);
		CHECK(!sh(line) && follow(&c, "true", &e) && e.rule &&
			!strcmp(e.rule, "source.sha256") && strstr(e.text, name[i]));
		CHECK(!sh("test ! -e %O/manifest.json && test ! -e %O/model-00001*"));
		c.timeout = 0;
		snprintf(line, sizeof line, "saw '%s, which has another SHA-256'; cp %%S/%s %%I",
			name[i], name[i]);
		CHECK_IN(name[i], as_plain(&c, line));
	}
	/* A plain run, a plan and a plan of a job refuse them by name. */
	for (i = 0; i < 3; i++) {
		begin();
		snprintf(line, sizeof line,
			"cp %%S/* %%I; echo >>%%I/%s; for v in run plan 'plan --tasks 2 --job %%L.job'; do "
			"%%B/dsv4-convert $v %%I -o %%O -t hf --source-sha256 %%L >%%J 2>&1; test $? = 1 || exit 9; "
			"grep -q 'source.sha256: .*%s: its SHA-256' %%J || exit 8; done; test ! -e %%O; test ! -e %%L.job",
			name[i], name[i]);
		CHECK_IN(name[i], !sh(line));
	}
	CHECK(!sh("rm %S/tokenizer.json; cd %S && sha256sum *.safetensors >%L"));
}

/* OUT is finished, and the source lacks small files that it was made with, or shards too: they are waited for, and OUT stays as it
 * is. With other options, or with a file that no manifest names, OUT is refused at once. */
static void out_has_more(void)
{
	struct call_of c = { .target = "hf", .back = true, .list = list.s };
	struct err e;

	begin();
	CHECK(!sh("echo tokenizer >%S/tokenizer.json; echo '{}' >%S/generation_config.json"));
	CHECK(as_plain(&c, "cp %S/tokenizer.json %S/generation_config.json %I; " FEED));
	CHECK(!sh("rm -rf %L.ref; cp -r %O %L.ref"));
	begin();
	CHECK(!sh("cp -r %L.ref %O"));
	CHECK(!follow(&c,
		"get 1; saw 'whether it is this one'; for k in 2 3 4 5 6 7; do get $k; done; "
		"saw 'waiting for generation_config.json, which OUT was made with'; cp %S/generation_config.json %I; "
		"saw 'waiting for tokenizer.json, which'; cp %S/tokenizer.json %I",
		&e));
	CHECK(says("waiting for tokenizer.json, which") && !sh("diff -r %L.ref %O"));
	/* They do not come. */
	c.timeout = 0.05;
	CHECK(!sh("rm %I/tokenizer.json"));
	CHECK(follow(&c, "true", &e) && !strcmp(e.rule, "follow.missing") &&
		strstr(e.text, "missing: tokenizer.json, which"));
	CHECK(!sh("rm %I/$(n 3)"));
	CHECK(follow(&c, "true", &e) && !strcmp(e.rule, "follow.missing") &&
		strstr(e.text, "1 of 7 shards: model-00003"));
	/* Nothing can come that makes these this conversion. */
	c.fp8 = true;
	CHECK(follow(&c, "true", &e) && !strcmp(e.rule, "out.foreign"));
	c.fp8 = false;
	CHECK(!sh("cp %S/tokenizer.json %I; get 3; echo 1 >%O/more.safetensors"));
	CHECK(follow(&c, "true", &e) && !strcmp(e.rule, "out.foreign") &&
		strstr(e.text, "more.safetensors"));
	/* A run that was broken off says nothing of small files: some time is given, and then it is another conversion. */
	CHECK(!sh(
		"cd %O && rm more.safetensors manifest.json *.manifest.json && echo a >.dsv4-plan"));
	CHECK(follow(&c, "true", &e) && !strcmp(e.rule, "out.other") && says("may still change"));
	CHECK(!sh("rm %S/tokenizer.json %S/generation_config.json"));
}

/* Takes the rows of shard 7 out of the index. */
#define CUT \
	"sed -e /00007-of/d -e 's/\\(00006-of-.*\"\\),$/\\1,/' %S/*.index.json >%I/model.safetensors.index.json; "

/* An index that is not the last one: rows of a shard come later, before or after the end was tried. */
static void index_grows(void)
{
	struct call_of c = { .target = "hf", .list = list.s, .timeout = 2 };
	struct err e;

	begin();
	CHECK(!sh("for k in 1 2 3 4 5 6 7; do get $k; done; " CUT));
	CHECK(as_plain(&c, "saw 'the source is refused as it is'; cp %S/*.index.json %I"));
	CHECK(says("model-00007-of-00007.safetensors: is not in the index"));
	/* Files were made by the one before, and shards verified, which is not done twice. */
	begin();
	CHECK(!sh("for k in 1 2 3; do get $k; done; " CUT));
	CHECK(as_plain(&c,
		"saw 'waiting for 3 of 6'; cp %S/*.index.json %I; saw 'waiting for 4 of 7'; for k in 4 5 6 7; do get $k; done"));
	/* It is taken away, and another one comes. */
	begin();
	CHECK(!sh("for k in 1 2 3; do get $k; done"));
	CHECK(as_plain(&c,
		"saw 'waiting for 4 of 7'; rm %I/*.index.json; saw 'waiting for model.safetensors.index.json'; "
		"cp %S/*.index.json %I; for k in 4 5 6 7; do get $k; done"));
	/* Nothing comes: the source is what it is. */
	begin();
	c.timeout = 0.05;
	CHECK(!sh("for k in 1 2 3 4 5 6 7; do get $k; done; " CUT));
	CHECK(follow(&c, "true", &e) && e.rule && !strcmp(e.rule, "index.extra-shard"));
}

/* A source whose shards were freed is no download. */
static void freed(void)
{
	struct call_of c = { .target = "hf", .list = list.s };
	struct freed l = { .target = "hf", .tool = "dsv4-convert" };
	struct freed_shard s = { .name = "model-00002-of-00007.safetensors", .bytes = 1 };
	struct text t = { 0 };
	struct err e = { 0 };

	begin();
	memset(l.plan, 'a', 64);
	CHECK(!freed_add_shard(&l, &s, &e) && !freed_put(&t, &l, &e));
	model_put(in.s, FREED_NAME, t.s, t.n);
	CHECK(fails(&c, "for k in 1 3 4 5 6 7; do get $k; done", "kind.reclaimed",
		"1 of them; they went into plan aaaaaaaaaaaa, target hf"));
	text_free(&t);
	freed_free(&l);
}

/* What a killed call has left goes with the next run that finishes in OUT, unless somebody is at work there; folders of
 * tasks stay. */
static void swept(void)
{
	struct call_of c = { .target = "hf", .list = list.s, .timeout = 0.05 };
	const struct io *io = io_posix();
	int fd;

	begin();
	CHECK(fails(&c, "get 2; get 5", "follow.missing", "5 of 7 shards"));
	CHECK(!sh("test -d %O/.dsv4-work/follow-*"));
	CHECK(!file_open_dir(io, out.s, &fd, NULL) && !io->lock(io, fd));
	CHECK(!sh("%B/dsv4-convert run %S -o %O -t hf -q >%J 2>&1; test $? = 2") &&
		says("out.locked"));
	CHECK(!sh("test -e %O/.dsv4-work/follow-*/$(n 2)"));
	CHECK(!io->close(io, fd));
	CHECK(!sh(
		"cp -r %O %L.left; %B/dsv4-convert run %S -o %O -t hf -q >%J && test ! -e %O/.dsv4-work"));
	dirs_remove(out.s);
	CHECK(!sh(
		"mv %L.left %O; mkdir %O/.dsv4-work/1.1; touch %O/.dsv4-work/1.1/x; "
		"%B/dsv4-quant run %S -o %O --to mxfp8 -q >%J && test -e %O/.dsv4-work/1.1/x && test ! -e %O/.dsv4-work/follow-*"));
}

static const struct test tests[] = { { "targets", targets }, { "small files", small_files },
	{ "in place", in_place }, { "digests", digests }, { "replaced", replaced },
	{ "models", models }, { "gives up", gives_up }, { "refused", refused },
	{ "killed and told to stop", interrupted }, { "between", between }, { "no byte", no_byte },
	{ "OUT stays", out_stays }, { "OUT has more", out_has_more },
	{ "false small files", false_small_files }, { "index grows", index_grows },
	{ "freed", freed }, { "swept", swept }, { 0 } };
TEST_MAIN(tests)
