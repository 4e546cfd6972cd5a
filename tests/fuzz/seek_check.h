/* seek_check.h -- what must hold of any bytes that are read as a file of an archive (formats/archive/seek.h).
 *
 * The first byte is a switch: 0: the others are the file; else: they are one frame, behind which a table is put that says
 * that it restores as many bytes as the switch times 16, with the sum of what zstd makes of it. SEEK_CHECK_FORM: two bytes
 * are the size of a plane, little endian, and the others its form (formats/archive/rowbase.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_SEEK_CHECK_H
#define TESTS_FUZZ_SEEK_CHECK_H
#include "formats/archive/place.h"
#include "formats/archive/rowbase.h"
#include "formats/archive/seek.h"
#include "tests/fuzz/mem_io.h"

#include <stdlib.h>
#include <zstd.h>

enum { SEEK_CHECK_FORM = 255 };

/* The frames of a table tile both files, and none is larger than it may be. */
static inline const char *seek_check_table(const struct seek *s, size_t n)
{
	uint64_t at = 0, from = 0;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->v[i].at != at || s->v[i].from != from)
			return "a frame that does not begin where the one before it ends";
		if (!s->v[i].bytes || s->v[i].bytes > FRAME_MOST || !s->v[i].packed)
			return "a frame of a size that none has";
		if (seek_find(s, from) != i || seek_find(s, from + s->v[i].bytes - 1) != i)
			return "a byte that is found in another frame";
		at += s->v[i].packed;
		from += s->v[i].bytes;
	}
	return at != s->packed || from != s->bytes || at > n
		? "sums that are not those of the frames"
		: NULL;
}

/* A plane that a form becomes comes back from the form that it is packed into. Both buffers are as large as they must be,
 * for sanitizers to watch. */
static inline const char *seek_check_form(const uint8_t *p, size_t k, size_t n)
{
	uint8_t *form = malloc(k + !k), *out = malloc(n), *back = malloc(n),
		*again = malloc(rowbase_bound(n));
	const char *bad = NULL;
	struct rowbase parts;

	if (!form || !out || !back || !again) {
		bad = "no memory";
	} else {
		memcpy(form, p, k);
		if (rowbase_unpack(form, k, out, n)) {
			rowbase_pack(out, n, 64, again, &parts);
			if (!rowbase_unpack(again, parts.end[parts.n - 1], back, n) ||
				memcmp(out, back, n))
				bad = "a plane that does not come back";
		}
	}
	free(form);
	free(out);
	free(back);
	free(again);
	return bad;
}

/* want: what the frame restores by zstd, which is nothing where filter may make something else of it. */
static inline const char *seek_check_file(const void *p, size_t n, const uint8_t *want,
	enum filter filter)
{
	struct mem_io m = mem_io_of(p, n, 0, 0);
	uint8_t *room = malloc(frame_bound(FRAME_MOST)), *out = malloc(FRAME_MOST);
	struct frame_coder c = { 0 };
	struct err e = { 0 };
	struct seek s;
	char text[PLACE_ROOM];
	const char *bad = NULL;
	size_t i;

	if (!room || !out) {
		bad = "no memory";
	} else if (seek_read(&s, &m.io, 0, n, &e)) {
		bad = s.v || s.n || !e.rule ? "a table that was refused and left something" : NULL;
	} else {
		bad = seek_check_table(&s, n);
		s.filter = filter;
		for (i = 0; i < s.n && i < 4 && !bad; i++) {
			e = (struct err){ 0 };
			if (!seek_load(&s, i, &m.io, 0, &c, room, out, &e)) {
				if (frame_sum(out, s.v[i].bytes) != s.v[i].sum)
					bad = "bytes with another sum";
				else if (want && memcmp(out, want, s.v[i].bytes))
					bad = "other bytes than zstd restores";
			} else if (!e.rule || e.kind != ERR_MISMATCH) {
				bad = "a frame that was refused without its rule";
			} else {
				(void)place_of_frame(&s, i, &m.io, 0, "x.safetensors", text);
			}
		}
		seek_free(&s);
	}
	frame_coder_free(&c);
	free(room);
	free(out);
	return bad;
}

static inline const char *seek_check_input(const uint8_t *p, size_t n)
{
	uint32_t bytes = n ? p[0] * 16u : 0;
	struct seek_frame f = { .packed = (uint32_t)(n ? n - 1 : 0), .bytes = bytes };
	struct text t = { 0 };
	uint8_t want[255 * 16] = { 0 };
	const char *bad;

	if (n > 2 && p[0] == SEEK_CHECK_FORM && (p[1] || p[2]))
		return seek_check_form(p + 3, n - 3, (size_t)p[1] | (size_t)p[2] << 8);
	if (!bytes) {
		bad = seek_check_file(p + (n > 0), n - (n > 0), NULL, FILTER_NONE);
		return bad ? bad : seek_check_file(p + (n > 0), n - (n > 0), NULL, FILTER_E8M0);
	}
	(void)ZSTD_decompress(want, bytes, p + 1, n - 1); /* whatever that leaves */
	f.sum = frame_sum(want, bytes);
	text_put(&t, p + 1, n - 1);
	seek_put(&t, &f, 1);
	bad = t.failed ? "no memory" : seek_check_file(t.s, t.n, want, FILTER_NONE);
	if (!bad)
		bad = seek_check_file(t.s, t.n, NULL, FILTER_E8M0);
	text_free(&t);
	return bad;
}

#endif
