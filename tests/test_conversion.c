/* test_conversion.c -- the readers of what dsv4-convert has written: what they take, and above all what they
 * do not.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "tests/verify.h"

#include <sys/resource.h>

static struct path hf, set; /* converted once */

static void make(void)
{
	struct job_opts o = set_opts("frag-k32", 2, false);
	struct model_job j = model_job("hf", 1);

	if (hf.s[0])
		return;
	hf = dirs_path("hf");
	set = dirs_path("set");
	CHECK(convert(&j, FLASH, hf.s));
	CHECK(set_makes(FLASH, set.s, &o));
}

/* --- what a manifest.json is --- */

static int read_head(const char *dir, struct head *h, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY), rc;

	memset(e, 0, sizeof *e);
	rc = head_read(h, io_posix(), fd, e);
	close(fd);
	return rc;
}

static void heads(void)
{
	static const struct {
		const char *text;
		enum head_form form;
		const char *target;
	} row[] = {
		{ "", HEAD_FOREIGN, "" },
		{ "{", HEAD_FOREIGN, "" },
		{ "[]", HEAD_FOREIGN, "" },
		{ "{\"format\": 5, \"target\": \"hf\"}", HEAD_FOREIGN, "hf" },
		{ "{\"format\": \"dsv4-manifest-2\"}", HEAD_FOREIGN, "" },
		{ "{\"format\": \"dsv4-manifest-1\\u0000\"}", HEAD_FOREIGN, "" },
		{ "{\"format\": \"dsv4-manifest-1\", \"target\": {\"a\": 1}}", HEAD_FOLDER, "" },
		{ "{\"format\": \"dsv4-set-1\", \"restore\": [1], \"options\": 3}", HEAD_SET, "" },
		{ "{\"format\": \"dsv4-set-1\", \"target\": \"x\"", HEAD_SET, "x" },
	};
	struct path d = dirs_new("head");
	struct head h;
	struct err e;
	size_t i;

	make();
	CHECK(!read_head(hf.s, &h, &e) && h.form == HEAD_FOLDER && h.seal == SEAL_WHOLE);
	CHECK(!strcmp(h.target, "hf") && strlen(h.plan) == 64 && !h.part);
	CHECK(!read_head(set.s, &h, &e) && h.form == HEAD_SET && h.seal == SEAL_WHOLE);
	CHECK(!strcmp(h.target, "frag-k32") && strlen(h.plan) == 64);
	CHECK(!read_head(model_file(set.s, "source").s, &h, &e) && h.form == HEAD_FOLDER);
	CHECK(!strcmp(h.target, "source"));
	CHECK(!read_head(FLASH, &h, &e) && h.form == HEAD_ABSENT && h.seal == SEAL_NONE);
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		model_put(d.s, MAN_NAME, row[i].text, strlen(row[i].text));
		CHECK_IN(row[i].text, !read_head(d.s, &h, &e) && h.form == row[i].form);
		CHECK_IN(row[i].text, h.seal == SEAL_NONE && !strcmp(h.target, row[i].target));
		CHECK_IN(row[i].text, !h.restore[0] && !h.part);
	}
	/* too large, a link, a folder: that cannot be told */
	CHECK(!truncate(model_file(d.s, MAN_NAME).s, (off_t)MANIFEST_CAP + 1));
	CHECK(read_head(d.s, &h, &e) == -1 && !strcmp(e.rule, "file.too-big"));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(!symlink("/dev/null", model_file(d.s, MAN_NAME).s));
	CHECK(read_head(d.s, &h, &e) == -1 && !strcmp(e.rule, "file.symlink"));
	unlink(model_file(d.s, MAN_NAME).s);
	CHECK(!mkdir(model_file(d.s, MAN_NAME).s, 0777));
	CHECK(read_head(d.s, &h, &e) == -1 && !strcmp(e.rule, "file.not-regular"));
}

/* A bit of a manifest breaks its seal, or with the name of the member the seal itself. */
static void seals(void)
{
	size_t n, bit, whole = 0;
	uint8_t *p;

	make();
	p = file_get_all(model_file(set.s, MAN_NAME).s, &n);
	CHECK(seal_of((char *)p, n) == SEAL_WHOLE);
	for (bit = 0; bit < 8 * n; bit++) {
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		whole += seal_of((char *)p, n) == SEAL_WHOLE;
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(!whole);
	CHECK(seal_of((char *)p, n - 1) == SEAL_BROKEN && seal_of((char *)p, 0) == SEAL_NONE);
	free(p);
}

/* --- documents that lie --- */

/* s with the first from exchanged for to. The caller frees. */
static char *exchanged(const char *s, const char *from, const char *to)
{
	const char *at = strstr(s, from);
	size_t n = strlen(s) + strlen(to) + 1;
	char *out = malloc(n);

	if (!at) {
		fprintf(stderr, "no %s\n", from);
		exit(2);
	}
	snprintf(out, n, "%.*s%s%s", (int)(at - s), s, to, at + strlen(from));
	return out;
}

/* The text of a manifest without its seal, which would speak first. */
static struct text unsealed(const char *dir)
{
	struct text t = { 0 };
	size_t n;
	uint8_t *p = file_get_all(model_file(dir, MAN_NAME).s, &n);

	text_put(&t, p, n);
	free(p);
	t.n = (size_t)(strstr(t.s, ",\n \"xxh3_128\"") - t.s);
	text_str(&t, "\n}\n");
	return t;
}

static void set_documents(void)
{
	static const struct {
		const char *from, *to, *rule;
	} lie[] = {
		{ "\"source\"", "\"../source\"", "set.form" },
		{ "\"source\"", "\"/source\"", "set.form" },
		{ "\"source\"", "\"so//urce\"", "set.form" },
		{ "\"source\"", "\"\"", "set.form" },
		{ "\"source\"", "\"rank-0-of-2\"", "set.form" },
		{ "\"source\"", "\"sauce\"", "check.plan" },
		{ "\"bytes\": ", "\"bytes\": -", "json.number" },
		{ "\"bytes\": ", "\"bytes\": 99999999999999", "json.range" },
		{ "\"bytes\": ", "\"bytes\": 1, \"bytes\": ", "set.form" },
		{ "\"ranks\": 2", "\"ranks\": 3", "set.form" },
		{ "\"ranks\": 2", "\"ranks\": 2, \"ranks\": 2", "set.form" },
		{ "\"ranks\": 2", "\"ranks\": 99999", "json.range" },
		{ "\"stages\": 1", "\"x\": 1", "set.form" },
		{ "\"experts_by\"", "\"experts_on\"", "set.form" },
		{ "dsv4-set-1", "dsv4-set-2", "set.form" },
		{ "dsv4-set-1", "dsv4-manifest-1", "set.form" },
		{ "\"target\": \"frag-k32\",", "", "set.form" },
		{ "\"tool\"", "\"x\": [[[[[[[[[[1]]]]]]]]]], \"tool\"", "set.form" },
		{ "\"plan\": \"", "\"plan\": \"0", "json.long" },
		{ "\n}\n", "\n}\nx", "json.trailing" },
		{ "\n}\n", "\n", "json.cut" },
	};
	struct set_manifest m;
	struct text t, good;
	struct err e;
	size_t i;
	char *s;

	make();
	good = unsealed(set.s);
	memset(&e, 0, sizeof e);
	CHECK(!set_manifest_read(&m, &good, &e) && m.n == 3 && m.seal == SEAL_NONE);
	CHECK(!strcmp(m.target, "frag-k32") && m.ranks == 2 && strstr(m.options, "\"ranks\": 2"));
	set_manifest_free(&m);
	for (i = 0; i < sizeof lie / sizeof *lie; i++) {
		s = exchanged(good.s, lie[i].from, lie[i].to);
		t = (struct text){ 0 };
		text_str(&t, s);
		memset(&e, 0, sizeof e);
		CHECK_IN(lie[i].to, set_manifest_read(&m, &t, &e) == -1 && !m.v && !m.n);
		if (!e.rule || strcmp(e.rule, lie[i].rule))
			fprintf(stderr, "%s: %s: %s\n", lie[i].to, e.rule ? e.rule : "", e.text);
		CHECK_IN(lie[i].to, e.rule && !strcmp(e.rule, lie[i].rule));
		free(s);
		text_free(&t);
	}
	text_free(&good);
}

/* --- an edited document is believed by nobody --- */

/* Runs the verb on a copy $D of a conversion, after it was edited. Its exit status is 1, or also 2 if may_be_2. */
static void refused(const char *dir, const char *edit, const char *limit, const char *verb,
	bool may_be_2)
{
	char line[4096];
	int n = snprintf(line, sizeof line,
		"D=%s.c; rm -rf $D $D.out && cp -r %s $D && (cd $D && %s) && %s timeout 100 "
		"${B:-build/gcc-opt}/%s >$D.log 2>&1; s=$?; { [ $s = 1 ] || [ $s = %d ]; } && ! grep -q "
		"'out of memory' $D.log || { cat $D.log; echo status $s; false; }",
		dir, dir, edit, limit, verb, may_be_2 ? 2 : 1);

	CHECK(n > 0 && n < (int)sizeof line);
	CHECK_IN(verb, !system(line));
}

static void edited(void)
{
	/* the plan at the top, a size in a rank, a digest in a sidecar, the seal gone */
	static const char *const
		top = "sed -i 's/\"plan\": \"./\"plan\": \"f0/;s/f0\\(.*\\).\",$/f\\1\",/' manifest.json",
		*const gone = "sed -i 's/,$/,/;/xxh3_128/d' manifest.json && sed -i "
			      "'N;$!P;$!D;s/,\\n}/\\n}/' manifest.json";
	static const char *const verbs[] = { "dsv4-convert restore $D -o $D.out -q",
		"dsv4-convert reshard $D -o $D.out -q --target hf", "dsv4-verify check $D -q",
		"dsv4-verify attest $D -o $D.json -q", "dsv4-verify doctor $D -q",
		"dsv4-verify logits tests/golden/tiny-flash $D --tokens 5,17 -q -j 1",
		"dsv4-verify compare tests/golden/tiny-flash $D -q",
		"dsv4-verify diff $D tests/golden/tiny-flash -q" };
	size_t i;

	make();
	for (i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		refused(set.s, top, "", verbs[i], false);
		refused(set.s, gone, "", verbs[i], false);
	}
}

/* --- hostile sizes --- */

/* However large a document says it is: little memory, little time, an answer. */
static void large(void)
{
	static const char *const make_large[] = {
		/* 2 GB of nothing */
		"truncate -s 2G manifest.json",
		/* 26 MB of names */
		"python3 -c \"print('{\\\"files\\\": [' + ','.join(['{\\\"name\\\":\\\"a\\\"}'] * "
		"1900000) + '], \\\"format\\\": \\\"dsv4-manifest-1\\\"}')\" >manifest.json",
		"python3 -c \"print('{\\\"folders\\\": [' + ','.join(['{\\\"name\\\":\\\"a\\\"}'] * "
		"1900000) + '], \\\"format\\\": \\\"dsv4-set-1\\\"}')\" >manifest.json",
	};
	static const char *const verbs[] = { "dsv4-convert restore $D -o $D.out -q",
		"dsv4-convert reshard $D -o $D.out -q --target hf", "dsv4-verify check $D -q",
		"dsv4-verify sign $D --key $D/none -q", "dsv4-verify doctor $D -q",
		"dsv4-verify compare tests/golden/tiny-flash $D -q",
		"dsv4-verify logits tests/golden/tiny-flash $D --tokens 5,17 -q -j 1",
		"dsv4-verify attest $D -o $D.json -q" };
	size_t i, k;

	make();
	for (i = 0; i < sizeof make_large / sizeof *make_large; i++)
		for (k = 0; k < sizeof verbs / sizeof *verbs; k++)
			refused(set.s, make_large[i], SLOW ? "" : "ulimit -v 400000;", verbs[k],
				true);
}

/* 200,000 sources in 65,000 shards, in any order: linear. */
static void many_shards(void)
{
	struct text t = { 0 };
	struct path p = dirs_path("many");
	struct sidecar s;
	struct err e = { 0 };
	struct rusage a, b;
	unsigned i;
	int fd;

	text_fmt(&t,
		"{\"chunk_bytes\": 16777216, \"chunks_xxh3_128\": [\"%032d\"], \"file\": {\"bytes\": 12, "
		"\"header_bytes\": 8, \"name\": \"a\", \"sha256\": null}, \"format\": "
		"\"dsv4-sidecar-1\", \"plan\": \"%064d\", \"target\": \"hf\", \"tensors\": "
		"[{\"dtype\": \"U8\", \"name\": \"w\", \"offsets\": [0, 4], \"shape\": [4], "
		"\"sources\": [",
		0, 0);
	for (i = 0; i < (SLOW ? 20000u : 200000u); i++)
		text_fmt(&t, "%s{\"shard\": \"s%u\", \"tensor\": \"t\"}", i ? ", " : "",
			i * 7919u % 65000u);
	text_fmt(&t, "], \"transform\": \"copy\", \"xxh3_128\": \"%032d\"}], \"tool\": \"t\"}\n",
		0);
	CHECK(!t.failed);
	file_put_all(p.s, t.s, t.n);
	fd = open(p.s, O_RDONLY);
	getrusage(RUSAGE_SELF, &a);
	CHECK(!sidecar_read(&s, io_posix(), fd, t.n, &e));
	getrusage(RUSAGE_SELF, &b);
	CHECK(SLOW || b.ru_utime.tv_sec - a.ru_utime.tv_sec < 2);
	CHECK(SLOW || (s.n_shards == 65000 && s.n_sources == 200000));
	CHECK(!strcmp(s.shards[s.sources[1].shard], "s7919"));
	sidecar_free(&s);
	close(fd);
	text_free(&t);
}

static const struct test tests[] = {
	{ "conversion: documents of sets", set_documents },
	{ "conversion: edited documents", edited },
	{ "conversion: large documents", large },
	{ "conversion: many shards", many_shards },
	{ "conversion: what a manifest.json is", heads },
	{ "conversion: seals", seals },
	{ NULL, NULL },
};
TEST_MAIN(tests)
