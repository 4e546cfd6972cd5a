/* test_delta.c -- delta: in what two releases differ, and what of it a conversion has to write again; what cannot be told is
 * refused.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/out/delta.h"
#include "tests/kinds.h"
#include "tests/release.h"
#include "tests/sanitized.h"
#include "tests/shell.h"

/* --- what it says --- */

/* What delta says of two folders as JSON; NULL unless it ends with 0. The caller lets go of it. */
static json_t *delta(const char *was, const char *now, const char *options)
{
	char args[2048];
	json_t *o = NULL;

	snprintf(args, sizeof args, "delta -q --json --tensors %s %s %s", was, now, options);
	if (!shell("dsv4-convert", args))
		o = json_load_file(out_file.s, JSON_REJECT_DUPLICATES, NULL);
	CHECK_IN(args, o);
	return o;
}

/* A number below members a, b and c; -1: it is not there. */
static long long number(const json_t *o, const char *a, const char *b, const char *c)
{
	o = json_object_get(json_object_get(o, a), b);
	o = c ? json_object_get(o, c) : o;
	return json_is_integer(o) ? json_integer_value(o) : -1;
}

static long long tensors(const json_t *o, const char *is)
{
	return number(o, "sums", is, "tensors");
}

static long long files(const json_t *o, const char *is)
{
	return number(json_object_get(o, "output"), "sums", is, "files");
}

/* Whether the sums of roles are those of all, and the list has what is not the same. */
static bool adds_up(const json_t *o)
{
	static const char *const is[] = { "bytes", "form", "gone", "new", "same" };
	const json_t *list = json_object_get(o, "tensors"), *roles = json_object_get(o, "roles");
	long long n, listed = 0;
	size_t i, k;

	for (i = 0; i < 5; i++) {
		for (n = 0, k = 0; k < json_array_size(roles); k++)
			n += tensors(json_array_get(roles, k), is[i]);
		if (n != tensors(o, is[i]))
			return false;
		listed += i < 4 ? n : 0;
	}
	return listed == (long long)json_array_size(list);
}

/* The word for the file of that folder and name; "": it is not listed. */
static const char *word_of(const json_t *o, const char *folder, const char *name)
{
	const json_t *v = json_object_get(json_object_get(o, "output"), "files"), *f;
	size_t i;

	for (i = 0; i < json_array_size(v); i++) {
		f = json_array_get(v, i);
		if (!strcmp(json_string_value(json_object_get(f, "folder")), folder) &&
			!strcmp(json_string_value(json_object_get(f, "name")), name))
			return json_string_value(json_object_get(f, "is"));
	}
	return "";
}

/* --- tensors --- */

/* What is another, and by how many bytes, in releases that were made to differ. */
static void of_tensors(void)
{
	struct path in = release(3), copy = model_copy(FLASH, "copy");
	const json_t *t;
	json_t *o = delta(FLASH, copy.s, ""), *p;

	CHECK(tensors(o, "same") == 427 && adds_up(o) &&
		json_array_size(json_object_get(o, "tensors")) == 0);
	CHECK(tensors(o, "bytes") == 0 && tensors(o, "form") == 0 && tensors(o, "new") == 0 &&
		tensors(o, "gone") == 0 && number(o, "not_read", "tensors", NULL) == 0);
	json_decref(o);

	o = delta(FLASH, in.s, "");
	t = json_array_get(json_object_get(o, "tensors"), 0);
	CHECK(tensors(o, "same") == 426 && tensors(o, "bytes") == 1 && adds_up(o));
	CHECK(t && !strcmp(json_string_value(json_object_get(t, "is")), "bytes") &&
		!strncmp(json_string_value(json_object_get(t, "name")), "layers.1.", 9));
	CHECK(!json_object_get(o, "output"));
	json_decref(o);

	/* another model: what is new one way is gone the other way */
	o = delta(FLASH, PRO, "");
	p = delta(PRO, FLASH, "");
	CHECK(adds_up(o) && adds_up(p));
	CHECK(tensors(o, "new") == tensors(p, "gone") && tensors(o, "gone") == tensors(p, "new"));
	CHECK(tensors(o, "same") == tensors(p, "same") &&
		tensors(o, "form") == tensors(p, "form") &&
		tensors(o, "bytes") == tensors(p, "bytes"));
	CHECK(tensors(o, "new") > 0 && tensors(o, "gone") > 0 && tensors(o, "form") > 0);
	CHECK(tensors(o, "same") + tensors(o, "bytes") + tensors(o, "form") + tensors(o, "gone") ==
		427);
	json_decref(o);
	json_decref(p);
}

/* Experts in FP8 have another type, and the tensors that went with them: never the same by their names alone. */
static void of_types(void)
{
	struct path fp8 = dirs_gone("fp8");
	json_t *o;

	CHECK(ends(0, NULL, "dsv4-convert", "run -q " FLASH " -o %s --target hf --experts fp8",
		fp8.s));
	o = delta(FLASH, fp8.s, "");
	CHECK(adds_up(o) && tensors(o, "form") > 100 && tensors(o, "same") > 50);
	json_decref(o);
}

/* --- files --- */

/* Holds what delta says of each file of a folder of out to the bytes there and in base, and to whether run --base took it. */
static void hold_folder(const json_t *o, const char *base, const char *out, const char *folder,
	bool exact, const char *what)
{
	struct path a, b;
	char was[800], now[800], line[1700];
	struct stat x, y;
	const char *is;
	struct dirent *e;
	DIR *d;
	bool same;

	a = *folder ? model_file(base, folder) : model_file(base, ".");
	b = *folder ? model_file(out, folder) : model_file(out, ".");
	d = opendir(b.s);
	while (d && (e = readdir(d))) {
		if (strlen(e->d_name) < 12 ||
			strcmp(e->d_name + strlen(e->d_name) - 12, ".safetensors") != 0)
			continue;
		snprintf(was, sizeof was, "%.500s/%.255s", a.s, e->d_name);
		snprintf(now, sizeof now, "%.500s/%.255s", b.s, e->d_name);
		is = word_of(o, folder, e->d_name);
		snprintf(line, sizeof line, "cmp -s '%s' '%s'", was, now);
		same = !system(line);
		if (!strcmp(is, "same") || !strcmp(is, "same-made"))
			CHECK_IN(what, same);
		else
			CHECK_IN(what, !strcmp(is, "changed") && (!same || !exact));
		/* one more name of the old file: it was taken */
		if (!stat(was, &x) && !stat(now, &y) && x.st_ino == y.st_ino)
			CHECK_IN(what, !strcmp(is, "same"));
	}
	CHECK_IN(what, d && !closedir(d));
}

static void hold_folders(const json_t *o, const char *base, const char *out, bool exact,
	const char *what)
{
	struct dirent *e;
	DIR *d = opendir(out);

	hold_folder(o, base, out, "", exact, what);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "rank-", 5))
			hold_folder(o, base, out, e->d_name, exact, what);
	CHECK_IN(what, d && !closedir(d));
}

/* What one says and the other does, for a release in which shard k, or nothing, is another. */
static void hold(const struct shape *s, const char *base, unsigned k)
{
	struct path in = k ? release(k) : model_copy(FLASH, "release"), out = dirs_gone("out");
	json_t *o, *r;
	long long taken, written;

	CHECK_IN(s->name,
		ends(0, NULL, "dsv4-convert", "run -q --json %s -o %s --base %s %s", in.s, out.s,
			base, s->call));
	r = json_load_file(out_file.s, JSON_REJECT_DUPLICATES, NULL);
	taken = json_integer_value(json_object_get(r, "files_linked"));
	o = delta(FLASH, in.s, s->call);
	CHECK_IN(s->name, r && adds_up(o) && tensors(o, "bytes") == (k > 0));
	written = number(json_object_get(o, "output"), "write_at_least", "files", NULL);
	CHECK_IN(s->name,
		files(o, "unknown") == 0 && files(o, "new") == 0 && files(o, "gone") == 0);
	CHECK_IN(s->name, written == files(o, "changed") + files(o, "same-made"));
	CHECK_IN(s->name, k || files(o, "changed") == 0);
	CHECK_IN(s->name, s->tp || !k || files(o, "changed") > 0);
	/* what a run finds out while it makes a file can only make it take fewer */
	CHECK_IN(s->name,
		s->experts == CODEC_FP8 ? taken <= files(o, "same") : taken == files(o, "same"));
	hold_folders(o, base, out.s, !s->tp, s->name);
	json_decref(o);
	json_decref(r);
}

static void and_run(void)
{
	unsigned i, k, step = getenv("EVERY") ? 1 : SANITIZED ? 6 : 3;
	struct path base;

	for (i = 0; i < SHAPES; i++) {
		base = dirs_gone("base");
		CHECK(ends(0, NULL, "dsv4-convert", "run -q " FLASH " -o %s %s", base.s,
			shapes[i].call));
		hold(&shapes[i], base.s, 0);
		for (k = 1; k <= SHARDS; k += step)
			hold(&shapes[i], base.s, k);
	}
}

/* Conversions of two models: nothing is the same, and files come and go. */
static void of_other_models(void)
{
	json_t *o = delta(FLASH, PRO, "--target hf");

	CHECK(files(o, "same") == 0 && files(o, "same-made") == 0);
	CHECK(files(o, "new") + files(o, "changed") > 0 && files(o, "gone") > 0);
	json_decref(o);
	o = delta(FLASH, PRO, "--target marlin-mxfp4 --ranks 2");
	CHECK(files(o, "same") == 0 && files(o, "same-made") == 0);
	json_decref(o);
}

/* --- a hub's cache --- */

static struct path cache_copy(const char *name)
{
	struct path top = dirs_path(name);

	make();
	dirs_remove(top.s);
	run("cp -a %s %s", made[KIND_CACHE].s, top.s);
	return model_file(top.s, "snapshots/abc");
}

/* Blobs of one SHA-256 name are not read; all else is. */
static void of_blobs(void)
{
	struct path a = cache_copy("cache-a"), b = cache_copy("cache-b");
	json_t *o = delta(a.s, b.s, "");
	long long all = tensors(o, "same"), first;

	CHECK(all == 427 && number(o, "not_read", "tensors", NULL) == all);
	json_decref(o);
	CHECK(ends(0, "not read: same blob", "dsv4-convert", "delta %s %s", a.s, b.s));
	/* against files that are no blobs all is read, and so is a folder against itself */
	o = delta(a.s, FLASH, "");
	CHECK(tensors(o, "same") == all && number(o, "not_read", "tensors", NULL) == 0);
	json_decref(o);
	CHECK(ends(0, NULL, "dsv4-convert", "delta " FLASH " " FLASH) &&
		!holds(out_file.s, "not read"));
	/* a blob of another name and value; a blob that is named as git names it says nothing */
	run("cd %s && f=%s && cp --remove-destination $(readlink -f $f) $f.new && rm $f && mv $f.new $f",
		b.s, shard_name(1).s);
	flip(model_file(b.s, shard_name(1).s).s);
	run("cd %s && f=%s && h=$(sha256sum <$f | cut -c1-64) && mv $f ../../blobs/$h && ln -s ../../blobs/$h $f",
		b.s, shard_name(1).s);
	o = delta(a.s, b.s, "");
	first = number(o, "not_read", "tensors", NULL);
	CHECK(tensors(o, "bytes") == 1 && tensors(o, "same") == all - 1 && first > 0 &&
		first < all);
	json_decref(o);
	run("cd %s && f=%s && mv $(readlink $f) ../../blobs/0123456789012345678901234567890123456789 && "
	    "ln -sf ../../blobs/0123456789012345678901234567890123456789 $f && cd %s && f=%s && "
	    "mv $(readlink $f) ../../blobs/0123456789012345678901234567890123456789 && "
	    "ln -sf ../../blobs/0123456789012345678901234567890123456789 $f",
		a.s, shard_name(1).s, b.s, shard_name(1).s);
	o = delta(a.s, b.s, "");
	CHECK(tensors(o, "bytes") == 1 && number(o, "not_read", "tensors", NULL) == first);
	json_decref(o);
}

/* --- what cannot be told --- */

static void refused(void)
{
	struct path bad = model_copy(FLASH, "bad"), set = dirs_gone("set"),
		    other = dirs_gone("v41");
	char args[900];
	size_t n;
	uint8_t *p = file_get_all(model_file(bad.s, shard_name(2).s).s, &n);

	CHECK(ends(2, "OLD", "dsv4-convert", "delta %s " FLASH, dirs_gone("nowhere").s));
	CHECK(ends(2, "NEW", "dsv4-convert", "delta " FLASH " %s", dirs_gone("nowhere").s));
	CHECK(ends(2, NULL, "dsv4-convert", "delta " FLASH));
	CHECK(ends(0, NULL, "dsv4-convert", "run -q " FLASH " -o %s --target official", set.s));
	CHECK(ends(2, "kind.official", "dsv4-convert", "delta " FLASH " %s", set.s));
	CHECK(ends(2, "kind.official", "dsv4-convert", "delta %s " FLASH, set.s));
	/* options that say what to make */
	CHECK(ends(2, "--target", "dsv4-convert", "delta " FLASH " " FLASH " --experts fp8"));
	CHECK(ends(2, "--target", "dsv4-convert", "delta " FLASH " " FLASH " --ranks 2"));
	CHECK(ends(2, "--target", "dsv4-convert", "delta " FLASH " " FLASH " --no-restore"));
	CHECK(ends(2, "--mp", "dsv4-convert", "delta " FLASH " " FLASH " --target hf --mp 2"));
	CHECK(ends(2, NULL, "dsv4-convert", "delta " FLASH " " FLASH " --target official --mp 3"));
	CHECK(ends(2, NULL, "dsv4-convert", "delta " FLASH " " FLASH " --target nosuch"));
	/* a shard that is cut off, and one that is not there */
	CHECK(p && n > 1);
	model_put(bad.s, shard_name(2).s, p, n - 1);
	free(p);
	CHECK(ends(1, "st.truncated", "dsv4-convert", "delta -q " FLASH " %s", bad.s) &&
		holds(out_file.s, ""));
	CHECK(!unlink(model_file(bad.s, shard_name(2).s).s));
	CHECK(ends(1, "index.shard-missing", "dsv4-convert", "delta -q %s " FLASH, bad.s) &&
		holds(out_file.s, ""));
	/* another family */
	snprintf(args, sizeof args, "%s --config tests/configs/small-v41.json --seed 5", other.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(2, "no releases of one checkpoint", "dsv4-convert", "delta -q " FLASH " %s",
		other.s));
	CHECK(ends(2, "no releases of one checkpoint", "dsv4-convert", "delta -q %s " FLASH,
		other.s));
	CHECK(ends(0, NULL, "dsv4-convert", "delta -q %s %s", other.s, other.s));
}

struct side {
	struct delta *d;
	unsigned side;
};

static int take(void *ctx, const struct job *j, const struct audit *a, struct err *e)
{
	const struct side *s = ctx;

	(void)j;
	return delta_take(s->d, s->side, a, e);
}

static bool open_side(struct job *j, struct delta *d, unsigned side, const char *dir)
{
	struct side s = { d, side };
	const struct job_look look = { take, &s };
	struct job_opts o = set_opts("hf", 0, false);
	struct err e = { 0 };

	o.use = USE_DELTA;
	o.look = &look;
	return !job_open(j, io_posix(), dir, &o, &e);
}

/* A shard that is written to, or replaced, behind the opening is no part of any answer; nor is a stopped call. */
static void changed(void)
{
	static const char *const how[] = { "printf ' ' >>$(dirname $F)/config.json",
		"printf X | dd of=$F bs=1 seek=90000 conv=notrunc 2>/dev/null",
		"truncate -s 9000 $F" };
	static struct job was, now;
	static volatile sig_atomic_t stop = 1;
	struct path in, shard;
	struct delta d;
	struct err e;
	unsigned side;
	size_t i;

	for (side = 0; side < 2; side++)
		for (i = 0; i < 3; i++) {
			memset(&d, 0, sizeof d);
			in = dirs_new("mine");
			model_fill(FLASH, in.s, false);
			CHECK(open_side(&was, &d, DELTA_OLD, side ? FLASH : in.s) &&
				open_side(&now, &d, DELTA_RECENT, side ? in.s : FLASH));
			shard = model_file(in.s, shard_name(4).s);
			run("F=%s && %s", shard.s, how[i]);
			e = (struct err){ 0 };
			CHECK_IN(how[i], delta_tensors(&d, 2, NULL, NULL, &e));
			CHECK_IN(e.text, strstr(e.text, side ? "NEW" : "OLD") && e.rule);
			CHECK(d.sum[DELTA_SAME].n == 0);
			delta_free(&d);
			job_close(&was);
			job_close(&now);
		}
	memset(&d, 0, sizeof d);
	CHECK(open_side(&was, &d, DELTA_OLD, FLASH) && open_side(&now, &d, DELTA_RECENT, FLASH));
	e = (struct err){ 0 };
	CHECK(delta_tensors(&d, 2, &stop, NULL, &e) && strstr(e.text, "interrupted"));
	delta_free(&d);
	job_close(&was);
	job_close(&now);
}

static const struct test tests[] = { { "of_tensors", of_tensors }, { "of_types", of_types },
	{ "and_run", and_run }, { "of_other_models", of_other_models }, { "of_blobs", of_blobs },
	{ "refused", refused }, { "changed", changed }, { NULL, NULL } };
TEST_MAIN(tests)
