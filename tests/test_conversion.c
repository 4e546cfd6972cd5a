/* test_conversion.c -- the readers of what dsv4-convert has written: what they take, and above all what they
 * do not.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/conversion/head.h"
#include "formats/conversion/manifest.h"
#include "tests/verify.h"

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

static const struct test tests[] = {
	{ "conversion: what a manifest.json is", heads },
	{ "conversion: seals", seals },
	{ NULL, NULL },
};
TEST_MAIN(tests)
