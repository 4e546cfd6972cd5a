/* test_check_lies.c -- dsv4-verify check: documents that contradict their folder, and hostile ones.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/checked.h"
#include "tests/faultio.h"

#include <sys/resource.h>

/* A folder with one small file, and manifest and sidecar with some text exchanged. The digests fit. */
struct lie {
	const char *from, *to; /* in the sidecar; NULL: nothing */
	const char *top_from, *top_to;
	const char *rule, *file;
};

/* s with the first from exchanged for to; the caller frees. */
static char *exchanged(const char *s, const char *from, const char *to)
{
	const char *at = from ? strstr(s, from) : s;
	size_t n = from ? strlen(from) : 0, m = from ? strlen(to) : 0;
	char *out = malloc(strlen(s) + m + 1);

	if (!at) {
		fprintf(stderr, "no %s\n", from);
		exit(2);
	}
	memcpy(out, s, (size_t)(at - s));
	memcpy(out + (at - s), from ? to : "", m);
	memcpy(out + (at - s) + m, at + n, strlen(at + n) + 1);
	return out;
}

/* Puts a manifest for what is in dir, with some text exchanged, and seals it if it has not something like a seal. */
static void put_manifest(const char *dir, const char *side, const char *from, const char *to,
	bool seal)
{
	char sha[65], side_sha[65], *s;
	struct xxh_digest d;
	struct text t = { 0 };
	struct stat st;
	size_t at;

	digest_file(model_file(dir, "a.safetensors").s, sha);
	digest_file(model_file(dir, "a.safetensors" MAN_SIDECAR).s, side_sha);
	CHECK(!stat(model_file(dir, "a.safetensors").s, &st));
	text_fmt(&t,
		"{\"files\": [{\"bytes\": %lld, \"name\": \"a.safetensors\", \"sha256\": \"%s\", "
		"\"sidecar\": {\"bytes\": %zu, \"name\": \"a.safetensors.manifest.json\", "
		"\"sha256\": \"%s\"}}], \"format\": \"dsv4-manifest-1\", \"options\": {}, "
		"\"plan\": \"%064d\", \"source\": {\"bytes\": 4, \"sha256\": \"unverified\", "
		"\"shards\": [{\"bytes\": 9, \"name\": \"s.safetensors\", \"sha256\": null}], "
		"\"tensors\": 1}, \"target\": \"hf\", \"tool\": \"t\"}\n",
		(long long)st.st_size, sha, strlen(side), side_sha, 0);
	s = exchanged(t.s, from, to);
	text_free(&t);
	text_put(&t, s, strlen(s));
	free(s);
	at = t.n > 2 && !strcmp(t.s + t.n - 2, "}\n") ? t.n - 2 : 0;
	if (seal && at && seal_of(t.s, t.n) == SEAL_NONE) {
		t.n = at;
		d = xxh_of(t.s, t.n);
		hex_of(d.b, 16, sha);
		text_fmt(&t, ",\n \"xxh3_128\": \"%s\"\n}\n", sha);
	}
	model_put(dir, MAN_NAME, t.s, t.n);
	text_free(&t);
}

/* A file with tensor "w" of 4 bytes; its sidecar is in *side. */
static struct path small_folder(struct text *side)
{
	static const char header[] =
		"{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}} ";
	struct path d = dirs_new("lie");
	uint8_t file[200] = { 0 };
	uint64_t n = sizeof header - 1;
	struct xxh_digest all, w;
	char a[33], b[33], sha[65];

	memcpy(file, &n, 8);
	memcpy(file + 8, header, n);
	memcpy(file + 8 + n, "abcd", 4);
	all = xxh_of(file, 12 + n);
	w = xxh_of("abcd", 4);
	hex_of(all.b, 16, a);
	hex_of(w.b, 16, b);
	model_put(d.s, "a.safetensors", file, 12 + n);
	digest_file(model_file(d.s, "a.safetensors").s, sha);
	text_fmt(side,
		"{\"chunk_bytes\": 16777216, \"chunks_xxh3_128\": [\"%s\"], \"file\": {\"bytes\": "
		"%d, \"header_bytes\": %d, \"name\": \"a.safetensors\", \"sha256\": \"%s\"}, "
		"\"format\": \"dsv4-sidecar-1\", \"plan\": \"%064d\", \"target\": \"hf\", \"tensors\": "
		"[{\"dtype\": \"U8\", \"name\": \"w\", \"offsets\": [0, 4], \"shape\": [4], "
		"\"sources\": [{\"shard\": \"s.safetensors\", \"tensor\": \"w\", \"xxh3_128\": "
		"\"%s\"}], \"transform\": \"copy\", \"xxh3_128\": \"%s\"}], \"tool\": \"t\"}\n",
		a, (int)n + 12, (int)n + 8, sha, 0, b, b);
	return d;
}

#define A "a.safetensors"
#define S A MAN_SIDECAR
#define EMPTY_CHUNK "\"00000000000000000000000000000000\""
/* clang-format off */
static const struct lie lies[] = {
	/* sidecars */
	{ "[4]", "[3]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[4, 0]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[1, 5]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0, 4, 4]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0]", NULL, NULL, "set.form", S },
	{ "[0, 4]", "[0, 99999999999999999999]", NULL, NULL, "json.range", S },
	{ "[0, 4]", "[0, 4e0]", NULL, NULL, "json.number", S },
	{ "[0, 4]", "[0, -4]", NULL, NULL, "json.number", S },
	{ "[4]", "[4,1,1,1,1,1,1,1,1]", NULL, NULL, "set.form", S },
	{ "[4]", "[281474976710655,281474976710655]", NULL, NULL, "set.form", S },
	{ "\"copy\"", "\"magic\"", NULL, NULL, "set.form", S },
	{ "\"copy\"", "\"tile\"", NULL, NULL, "set.form", S },
	{ "\"U8\"", "\"U7\"", NULL, NULL, "set.form", S },
	{ "\"U8\"", "\"I8\"", NULL, NULL, "check.header", A },
	{ "\"name\": \"w\"", "\"name\": \"v\"", NULL, NULL, "check.header", A },
	{ "\"name\": \"w\"", "\"name\": \"\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"name\": \"w\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"n\\u0061me\": \"w\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\\u0000\"", NULL, NULL, "set.form", S },
	{ "\"name\": \"w\"", "\"name\": \"w\", \"x\": 1", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"../s.safetensors\"", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"/etc/passwd\"", NULL, NULL, "set.form", S },
	{ "\"s.safetensors\"", "\"..\"", NULL, NULL, "set.form", S },
	{ "{\"shard\": \"s.safetensors\", \"tensor\": \"w\", ", "{", NULL, NULL, "set.form", S },
	{ "16777216", "16777215", NULL, NULL, "set.form", S },
	{ "16777216", "1", NULL, NULL, "set.form", S },
	{ "_128\": [", "_128\": [" EMPTY_CHUNK ", ", NULL, NULL, "set.form", S },
	{ "_128\": [\"", "_128\": [\"0", NULL, NULL, "json.long", S },
	{ "dsv4-sidecar-1", "dsv4-sidecar-2", NULL, NULL, "set.form", S },
	{ "\"name\": \"a.", "\"name\": \"b.", NULL, NULL, "set.form", S },
	{ "\"plan\": \"0", "\"plan\": \"1", NULL, NULL, "check.plan", S },
	{ "\"tool\": \"t\"", "\"tool\": \"u\"", NULL, NULL, "check.plan", S },
	{ "\"target\": \"hf\"", "\"target\": \"official\"", NULL, NULL, "check.plan", S },
	{ "\"tool\": \"t\"}", "\"tool\": \"t\"} x", NULL, NULL, "json.trailing", S },
	{ "\"tool\": \"t\"}", "\"tool\": \"t\"", NULL, NULL, "json.cut", S },
	{ "\"tool\": \"t\"", "\"tool\": \"\xff\"", NULL, NULL, "json.utf8", S },
	{ "\"tool\": \"t\"", "\"tool\": [[[[[[[[[[1]]]]]]]]]]", NULL, NULL, "json.type", S },
	{ "\"tool\": \"t\"", "\"x\": [[[[[[[[[[1]]]]]]]]]]", NULL, NULL, "set.form", S },
	/* manifests */
	{ NULL, NULL, "\"files\": [", "\"files\": [], \"files\": [", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"../a.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"/a.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"..\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \".x\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"a\\u0000\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"name\": \"a.safetensors\"", "\"name\": \"b.safetensors\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"A.SAFETENSORS\", \"sha256\": null}, {\"bytes\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"a.safetensors\", \"sha256\": null}, {\"bytes\"", "set.form", MAN_NAME },
	{ NULL, NULL, "[{\"bytes\"", "[{\"bytes\": 1, \"name\": \"Z\", \"sha256\": null}, {\"bytes\"", "check.missing", "Z" },
	{ NULL, NULL, "\"format\"", "\"formal\"", "set.form", MAN_NAME },
	{ NULL, NULL, "{\"files\"", "{\"x\": {}, \"files\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\": {}", "\"options\": {\"a\": [[[[[[[[1]]]]]]]]}", "json.depth", MAN_NAME },
	{ NULL, NULL, "\"tensors\": 1", "\"tensors\": 18446744073709551616", "json.range", MAN_NAME },
	{ NULL, NULL, "unverified", "perhaps", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\"", "\"cast_blocks\": {\"exact\": 1, \"inexact\": 1, \"total\": 3}, \"options\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"options\"", "\"cast_blocks\": {\"exact\": 1, \"inexact\": 1, \"total\": 2}, \"options\"", "set.form", MAN_NAME },
	{ NULL, NULL, "\"t\"}", "\"t\", \"xxh3_128\": \"00\"}", "set.manifest", MAN_NAME },
};
/* clang-format on */

/* Exchanges the digit behind that text. */
static void turn(struct text *t, const char *behind)
{
	char *s = strstr(t->s, behind) + strlen(behind);

	*s = *s == '0' ? '1' : '0';
}

static void documents(void)
{
	struct check_opts o = verify_opts();
	struct text side = { 0 };
	struct path d = small_folder(&side);
	struct report r;
	size_t i;
	char *s;

	model_put(d.s, S, side.s, side.n);
	put_manifest(d.s, side.s, NULL, NULL, false);
	CHECK(verify_check(&r, d.s, &o) == 1 && verify_find(&r, "check.unsealed", MAN_NAME));
	CHECK(r.n == 1);
	report_free(&r);
	put_manifest(d.s, side.s, NULL, NULL, true);
	CHECK(verify_true(d.s, &o));
	for (i = 0; i < sizeof lies / sizeof *lies; i++) {
		s = exchanged(side.s, lies[i].from, lies[i].to);
		model_put(d.s, S, s, strlen(s));
		put_manifest(d.s, s, lies[i].top_from, lies[i].top_to, true);
		CHECK_IN(lies[i].from ? lies[i].to : lies[i].top_to,
			verify_false(d.s, &o, lies[i].rule, lies[i].file));
		free(s);
	}
	/* a copy whose source has another digest; a tensor's digest that is wrong in itself */
	turn(&side, "\"tensor\": \"w\", \"xxh3_128\": \"");
	model_put(d.s, S, side.s, side.n);
	put_manifest(d.s, side.s, NULL, NULL, true);
	CHECK(verify_false(d.s, &o, "set.form", S));
	turn(&side, "\"copy\", \"xxh3_128\": \"");
	model_put(d.s, S, side.s, side.n);
	put_manifest(d.s, side.s, NULL, NULL, true);
	CHECK(verify_false(d.s, &o, "check.tensor", A));
	text_free(&side);
}

static void without_sha(void)
{
	struct check_opts o = verify_opts();
	struct path d = dirs_path("nosha");
	struct model_job j = model_job("official", 1);
	struct report r;

	j.plan.sha256 = false;
	CHECK(convert(&j, PRO, d.s));
	CHECK(!verify_check(&r, d.s, &o) && verify_find(&r, "check.no-digest", BIG));
	report_free(&r);
}

/* --- hostile: quickly, in little memory, and nothing outside is opened --- */

static void hostile_one(const char *what, const char *from, const char *unit, size_t times,
	bool in_side, const char *rule)
{
	struct check_opts o = verify_opts();
	struct text side = { 0 }, big_text = { 0 };
	struct path d = small_folder(&side);
	struct rusage before, after;
	struct flip_io io;
	struct report r;
	char args[800], *s;
	size_t i;

	text_str(&big_text, from);
	for (i = 0; i < times; i++)
		text_str(&big_text, unit);
	s = exchanged(side.s, in_side ? from : NULL, big_text.s);
	model_put(d.s, S, s, strlen(s));
	put_manifest(d.s, s, in_side ? NULL : from, big_text.s, true);
	free(s);
	text_free(&big_text);
	io = flip_make(NULL, 0, d.s);
	o.io = &io.io;
	getrusage(RUSAGE_SELF, &before);
	CHECK_IN(what, verify_check(&r, d.s, &o) == 1 && verify_find(&r, rule, NULL));
	getrusage(RUSAGE_SELF, &after);
	CHECK_IN(what, SLOW || after.ru_utime.tv_sec - before.ru_utime.tv_sec < 3);
	snprintf(args, sizeof args,
		"%s${B:-build/gcc-opt}/dsv4-verify check %s -q -j 1 >/dev/null 2>&1; [ $? = 1 ]",
		SLOW ? "" : "ulimit -v 262144; ", d.s);
	CHECK_IN(what, !system(args));
	CHECK_IN(what, !io.outside);
	report_free(&r);
	text_free(&side);
}

static void hostile(void)
{
	struct path set_copy;
	struct check_opts o = verify_opts();
	struct flip_io io;
	struct report r;
	char line[1200];
	size_t k = SLOW ? 16 : 1024;

	hostile_one("long name in a sidecar", "\"name\": \"w", "0123456789abcdef", k << 12, true,
		"json.long");
	hostile_one("long key in a sidecar", "{\"chunk_by", "0123456789abcdef", k << 12, true,
		"json.long");
	hostile_one("deep sidecar", "\"tool\": ", "[", k << 10, true, "json.type");
	if (!SLOW)
		hostile_one("many sources", "\"sources\": [", "{\"shard\":\"a\",\"tensor\":\"b\"},",
			k << 11, true, "set.form");
	hostile_one("many chunks", "_128\": [", EMPTY_CHUNK ",", k << 9, true, "set.form");
	hostile_one("long tool in a manifest", "\"tool\": \"t", "0123456789abcdef", k << 11, false,
		"json.long");
	hostile_one("deep manifest", "\"tool\": ", "[", k << 10, false, "json.type");
	hostile_one("many files", "\"files\": [", "{},", k << 10, false, "set.form");
	hostile_one("manifest too big", "\"tool\": \"t", "0123456789abcdef", SLOW ? 1 : 5 << 20,
		false, SLOW ? NULL : "file.too-big");
	/* a healthy set: what is opened lies in it, and no link is followed */
	make();
	io = flip_make(NULL, 0, tp.s);
	o.io = &io.io;
	CHECK(verify_true(tp.s, &o) && io.opens > 20 && !io.outside);
	set_copy = copy_of(tp.s);
	snprintf(line, sizeof line,
		"cd %s/pp-1-of-2/rank-0-of-1 && for f in *; do rm $f; ln -s /etc/passwd $f; done",
		set_copy.s);
	CHECK(!system(line));
	io = flip_make(NULL, 0, set_copy.s);
	CHECK(verify_check(&r, set_copy.s, &o) == 1 && !io.outside);
	report_free(&r);
}

/* Exchanges text in a file of one folder of a set; what the documents above say of a manifest follows. */
static void exchange_below(const char *dir, const char *file, const char *from, const char *to)
{
	struct path path = model_file(dir, file);
	char old[65], now[65];

	digest_file(path.s, old);
	verify_exchange(path.s, from, to);
	if (strcmp(strrchr(file, '/') + 1, MAN_NAME) != 0)
		return;
	*strrchr(path.s, '/') = 0;
	verify_seal(path.s);
	digest_file(model_file(dir, file).s, now);
	verify_exchange(model_file(dir, MAN_NAME).s, old, now);
	verify_seal(dir);
}

/* Folders of a set, and files in them, that say another rank than their place in it makes them. */
static void shares(void)
{
	static const struct {
		struct path *of;
		const char *folder, *shard, *from, *to; /* from and to: of one length */
	} row[] = {
		{ &tp, "pp-1-of-2/rank-0-of-1", "model-00007-of-00007.safetensors", "stage 1 of 2",
			"stage 0 of 2" },
		{ &tp, "pp-0-of-2/rank-0-of-1", "model-00001-of-00007.safetensors", "attention tp",
			"attention ep" },
		{ &set, "rank-1-of-2", "model-00001-of-00007.safetensors", "rank 1 of 2",
			"rank 0 of 2" },
	};
	struct check_opts o = verify_opts();
	struct path p;
	char file[300];
	size_t i;

	make();
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = copy_of(row[i].of->s);
		snprintf(file, sizeof file, "%s/" MAN_NAME, row[i].folder);
		exchange_below(p.s, file, row[i].from, row[i].to);
		CHECK_IN(row[i].to, verify_false(p.s, &o, "check.plan", file));
		p = copy_of(row[i].of->s);
		snprintf(file, sizeof file, "%s/%s", row[i].folder, row[i].shard);
		exchange_below(p.s, file, row[i].from, row[i].to);
		CHECK_IN(row[i].to, verify_false(p.s, &o, "check.header", file));
	}
}

static const struct test tests[] = {
	{ "check: documents", documents },
	{ "check: without SHA-256", without_sha },
	{ "check: hostile", hostile },
	{ "check: shares", shares },
	{ NULL, NULL },
};
TEST_MAIN(tests)
