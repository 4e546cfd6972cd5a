/* pack.h -- for tests of archives and layouts: a folder to pack, and pack, unpack and layout in one call each.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_PACK_H
#define TESTS_PACK_H
#include "convert/pack/pack.h"
#include "core/cpu.h"
#include "core/hash/xxh.h"
#include "formats/archive/frame.h"
#include "formats/archive/listing.h"
#include "tests/dirs.h"

/* Whether the folders a and b hold the same. */
static inline bool same(const char *a, const char *b)
{
	char line[1200];

	snprintf(line, sizeof line, "diff -r '%s' '%s' >&2", a, b);
	return !system(line);
}

/* pack_run, unpack_run, layout_run */
typedef int way_fn(struct pack_done *, const struct pack_opts *, struct err *);

static struct pack_done done;  /* of the last call */
static enum filter packs_with; /* what pack is asked for */

/* Goes that way from one folder to another; the result of the call. */
static inline int go_on(const struct io *io, way_fn *way, const char *from, const char *to,
	unsigned threads, struct err *e)
{
	struct pack_opts o = { .io = io,
		.dir = from,
		.out = to,
		.tool = "test 0",
		.filter = packs_with,
		.threads = threads,
		.features = cpu_features() };

	memset(e, 0, sizeof *e);
	return way(&done, &o, e);
}

/* The call succeeds. */
static inline bool makes(way_fn *way, const char *from, const char *to, unsigned threads)
{
	struct err e;

	if (!go_on(io_posix(), way, from, to, threads, &e))
		return true;
	fprintf(stderr, "%s: %s\n", e.rule ? e.rule : "", e.text);
	return false;
}

/* The call fails with that rule (NULL: with none) and says that word. */
static inline bool refuses(way_fn *way, const char *from, const char *to, const char *rule,
	const char *word)
{
	struct err e;
	int rc = go_on(io_posix(), way, from, to, 2, &e);

	if (rc && (rule ? e.rule && !strcmp(e.rule, rule) : !e.rule) && strstr(e.text, word))
		return true;
	fprintf(stderr, "expected %s, got %d %s: %s\n", rule ? rule : "no rule", rc,
		e.rule ? e.rule : "", e.text);
	return false;
}

/* Writes the list of the archive with that text changed, its digest made right again. */
static inline void pack_put_list(const char *dir, const char *was, const char *is)
{
	struct path p = below(dir, LISTING_NAME);
	size_t n, at;
	char *s = (char *)file_get_all(p.s, &n), *hit, hex[33], whole[80];
	struct text t = { 0 };
	struct xxh_digest d;

	hit = s ? memmem(s, n, was, strlen(was)) : NULL;
	CHECK_IN(was, hit);
	if (!hit)
		return;
	at = (size_t)(hit - s);
	text_put(&t, s, at);
	text_str(&t, is);
	text_put(&t, hit + strlen(was), n - at - strlen(was));
	hit = memmem(t.s, t.n, ",\n \"xxh3_128\"", 13);
	CHECK(hit);
	t.n = hit ? (size_t)(hit - t.s) : t.n;
	d = xxh_of(t.s, t.n);
	hex_of(d.b, 16, hex);
	snprintf(whole, sizeof whole, ",\n \"xxh3_128\": \"%s\"\n}\n", hex);
	text_str(&t, whole);
	file_put_all(p.s, t.s, t.n);
	text_free(&t);
	free(s);
}

/* A folder with folders in it, one of them empty, an empty file, one of several frames that shrinks, and one that does not. */
static inline struct path pack_folder(void)
{
	struct path p = dirs_copy("folder", "tests/golden/tiny-flash");
	uint8_t *big = malloc(5 * FRAME_MOST / 2);
	size_t i;

	for (i = 0; i < 5 * FRAME_MOST / 2; i++)
		big[i] = (uint8_t)(i < FRAME_MOST + 100 ? i / 1000 : rnd64());
	CHECK(!mkdir(below(p.s, "inference").s, 0777));
	CHECK(!mkdir(below(p.s, "inference/empty").s, 0777));
	file_put_all(below(p.s, "inference/none").s, "", 0);
	file_put_all(below(p.s, "inference/.hidden").s, "h", 1);
	file_put_all(below(p.s, "inference/big.bin").s, big, 5 * FRAME_MOST / 2);
	file_put_all(below(p.s, "not.safetensors").s, big, 70000);
	free(big);
	return p;
}
#endif
