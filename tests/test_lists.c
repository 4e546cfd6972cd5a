/* test_lists.c -- dsv4-verify check: downloads and conversions are held to lists of published digests.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/checked.h"

static void put_list(struct text *t, const char *dir)
{
	char name[64], hex[65];
	int i;

	for (i = 1; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		digest_file(model_file(dir, name).s, hex);
		text_fmt(t, "%s  %s\n", hex, name);
	}
}

static void downloads(void)
{
	struct path d = model_copy(FLASH, "download"), list = dirs_path("list"), cache;
	struct check_opts o = verify_opts();
	struct text t = { 0 };
	char line[2400], hex[65];
	struct report r;
	size_t n;
	uint8_t *p;

	put_list(&t, d.s);
	file_put_all(list.s, t.s, t.n);
	CHECK(!verify_check(&r, d.s, &o) && verify_find(&r, "check.no-digest", NULL));
	report_free(&r);
	o.source_sha256 = list.s;
	CHECK(!verify_check(&r, d.s, &o) && !r.n);
	report_free(&r);
	p = file_get_all(model_file(d.s, SMALL).s, &n);
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
	model_put(d.s, SMALL, p, n - 1);
	CHECK(verify_false(d.s, &o, "st.truncated", SMALL));
	unlink(model_file(d.s, SMALL).s);
	CHECK(verify_false(d.s, &o, "index.shard-missing", SMALL));
	/* a hub's cache: links into blobs, named by their SHA-256 */
	o.source_sha256 = NULL;
	cache = dirs_new("cache");
	snprintf(line, sizeof line,
		"cd %s && mkdir -p blobs snapshots/x && for f in $OLDPWD/" FLASH "/*; do "
		"h=$(sha256sum $f | cut -c1-64); cp $f blobs/$h; "
		"ln -s ../../blobs/$h snapshots/x/${f##*/}; done",
		cache.s);
	CHECK(!system(line));
	snprintf(line, sizeof line, "%s/snapshots/x", cache.s);
	CHECK(verify_true(line, &o));
	CHECK(!verify_check(&r, line, &o) && !r.n);
	report_free(&r);
	digest_file(model_file(FLASH, SMALL).s, hex);
	snprintf(line, sizeof line, "%s/blobs/%s", cache.s, hex);
	p[n - 1] ^= 0x14;
	file_put_all(line, p, n);
	free(p);
	snprintf(line, sizeof line, "%s/snapshots/x", cache.s);
	CHECK(verify_false(line, &o, "source.sha256", SMALL));
	text_free(&t);
}

/* Lists as several programs print them; every line of them is looked at. */
static void put_lines(const char *list, const char *dir, const char *before, const char *between,
	const char *after, bool tag)
{
	char name[64], hex[65];
	struct text t = { 0 };
	int i;

	for (i = 0; i <= 7; i++) {
		snprintf(name, sizeof name, "model-%05d-of-00007.safetensors", i);
		if (!i)
			snprintf(name, sizeof name, "config.json");
		digest_file(model_file(dir, name).s, hex);
		if (tag)
			text_fmt(&t, "%s%s%s%s\n", before, name, after, hex);
		else
			text_fmt(&t, "%s%s%s%s\n", hex, between, before, name);
	}
	text_str(&t, "# the end\n");
	unlink(list);
	file_put_all(list, t.s, t.n);
	text_free(&t);
}

static void add_line(const char *list, const char *line)
{
	FILE *f = fopen(list, "a");

	CHECK(f && fputs(line, f) >= 0 && !fclose(f));
}

#define HEX_0 "0000000000000000000000000000000000000000000000000000000000000000"

static void lists(void)
{
	static const struct {
		const char *before, *between, *after;
		bool tag;
	} form[] = { { "", "  ", "", false }, { "./", " *", "", false },
		{ "/models/v4/", "  ", "", false }, { "v4/", "  ", "", false },
		{ "SHA256 (", "", ") = ", true }, { "SHA2-256(", "", ")= ", true },
		{ "SHA256 (./", "", ") = ", true } };
	struct path d = model_copy(FLASH, "download"), list = dirs_path("list");
	struct check_opts o = verify_opts();
	struct report r;
	size_t i, n;
	uint8_t *p;

	o.source_sha256 = list.s;
	for (i = 0; i < sizeof form / sizeof *form; i++) {
		put_lines(list.s, FLASH, form[i].before, form[i].between, form[i].after,
			form[i].tag);
		CHECK_IN(form[i].before, !verify_check(&r, d.s, &o) && !r.n);
		report_free(&r);
		add_line(list.s,
			form[i].tag ? "SHA256 (/elsewhere/config.json) = " HEX_0 "\n"
				    : HEX_0 "  /elsewhere/config.json\n");
		CHECK_IN(form[i].before, verify_true(d.s, &o));
	}
	/* in haste too, what the list speaks of is read whole */
	put_lines(list.s, FLASH, "", "  ", "", false);
	p = file_get_all(model_file(d.s, SMALL).s, &n);
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	o.quick = true;
	CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
	p[n - 1] ^= 4;
	model_put(d.s, SMALL, p, n);
	free(p);
	o.quick = false;
	/* lines about other files than shards */
	p = file_get_all(model_file(d.s, "config.json").s, &n);
	verify_exchange(model_file(d.s, "config.json").s, "{", "{ ");
	CHECK(verify_false(d.s, &o, "source.sha256", "config.json"));
	model_put(d.s, "config.json", p, n);
	free(p);
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  README.md\n");
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  tokenizer_config2.json\n");
	CHECK(verify_false(d.s, &o, "check.missing", "tokenizer_config2.json"));
	put_lines(list.s, FLASH, "", "  ", "", false);
	add_line(list.s, HEX_0 "  model-00008-of-00007.safetensors\n");
	CHECK(verify_false(d.s, &o, "check.missing", "model-00008-of-00007.safetensors"));
	add_line(list.s, "what is this\n");
	CHECK(verify_check(&r, d.s, &o) == 2 && verify_find(&r, "source.list", NULL));
	report_free(&r);
}

/* The same of conversions: the list is about what they were made of. */
static void lists_of_conversions(void)
{
	struct path list = dirs_path("list"), d = dirs_path("listed");
	struct check_opts o = verify_opts();
	struct job_opts so = set_opts("marlin-mxfp4", 2, false);
	struct model_job j = model_job("official", 2);
	struct report r;
	const char *dirs[4];
	size_t i;

	make();
	put_lines(list.s, FLASH, "", "  ", "", false);
	o.source_sha256 = list.s;
	dirs[0] = off.s, dirs[1] = set.s, dirs[2] = tp.s, dirs[3] = hf8.s;
	for (i = 0; i < 4; i++) { /* made without a list */
		CHECK_IN(dirs[i], verify_check(&r, dirs[i], &o) == 2);
		CHECK_IN(dirs[i], verify_find(&r, "check.source-unknown", NULL));
		report_free(&r);
	}
	j.expected = list.s;
	CHECK(convert(&j, FLASH, d.s));
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  README.md\n");
	CHECK(verify_true(d.s, &o));
	add_line(list.s, HEX_0 "  model-00008-of-00007.safetensors\n");
	CHECK(verify_false(d.s, &o, "check.missing", "model-00008-of-00007.safetensors"));
	put_lines(list.s, FLASH, "", "  ", "", false);
	verify_exchange(list.s, "  " SMALL, "0 " SMALL);
	CHECK(verify_check(&r, d.s, &o) == 2 && verify_find(&r, "source.list", NULL));
	report_free(&r);
	o.source_sha256 = "/nonexistent";
	CHECK(verify_check(&r, d.s, &o) == 2);
	report_free(&r);
	o.quick = true;
	CHECK(verify_check(&r, d.s, &o) == 2);
	report_free(&r);
	o.quick = false;
	CHECK(verify_check(&r, hf8.s, &o) == 2);
	report_free(&r);
	/* a set: of its source by source/, whose small files are the source's too */
	dirs_remove(d.s);
	put_lines(list.s, FLASH, "", "  ", "", false);
	o.source_sha256 = so.source_sha256 = list.s;
	CHECK(set_makes(FLASH, d.s, &so) && verify_true(d.s, &o));
	unlink(list.s);
	put_lines(list.s, FLASH, "", "  ", "", false);
	{
		char hex[65], *text;
		size_t n;
		struct text t = { 0 };

		digest_file(model_file(FLASH, SMALL).s, hex);
		text = (char *)file_get_all(list.s, &n);
		text_put(&t, text, n);
		free(text);
		memset(strstr(t.s, hex), '1', 8);
		unlink(list.s);
		file_put_all(list.s, t.s, t.n);
		CHECK(verify_false(d.s, &o, "source.sha256", SMALL));
		digest_file(model_file(FLASH, "config.json").s, hex);
		memset(strstr(t.s, hex), '1', 8);
		unlink(list.s);
		file_put_all(list.s, t.s, t.n);
		CHECK(verify_false(d.s, &o, "source.sha256", "source/config.json"));
		text_free(&t);
	}
}

/* A line about a file that the conversion made otherwise was not held to anything, and does not count as looked at. */
static void lists_of_what_was_made(void)
{
	struct path list = dirs_path("list"), d = dirs_path("cast");
	struct check_opts o = verify_opts();
	struct model_job j = model_job("hf", 1);
	uint64_t n = 0;
	struct report r;
	size_t i;

	put_lines(list.s, FLASH, "", "  ", "", false);
	o.source_sha256 = j.expected = list.s;
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, d.s));
	CHECK(verify_check(&r, d.s, &o) == 0);
	for (i = 0; i < r.n_rows; i++)
		if (!strcmp(r.rows[i].name, "lines of the list that nothing here was held to"))
			n = r.rows[i].count;
	report_free(&r);
	CHECK(n == 1); /* config.json */
}

static const struct test tests[] = {
	{ "check: downloads", downloads },
	{ "check: lists", lists },
	{ "check: lists of conversions", lists_of_conversions },
	{ "check: lists of what was made", lists_of_what_was_made },
	{ NULL, NULL },
};
TEST_MAIN(tests)
