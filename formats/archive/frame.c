/* SPDX-License-Identifier: MIT */
#include "formats/archive/frame.h"

#include "formats/archive/le32.h"
#include "formats/archive/rowbase.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#define FRAME_MAGIC 0xFD2FB528u
enum {
	RAW_BLOCK = 128 << 10, /* the largest block that a frame may have (RFC 8878, 3.1.1.2.4) */
	RAW_HEAD = 9,          /* magic, descriptor, content size */
	PROBE = 64 << 10,      /* bytes of a sample */
	PROBES = 4,
	DICTIONARY = 4 /* bytes of its number in a header */
};

void frame_coder_free(struct frame_coder *c)
{
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	free(c->form);
	free(c->spare);
	memset(c, 0, sizeof *c);
}

static size_t raw_size(size_t n)
{
	return RAW_HEAD + n + 3 * ((n + RAW_BLOCK - 1) / RAW_BLOCK);
}

size_t frame_bound(size_t n)
{
	size_t a = ZSTD_compressBound(n), b = raw_size(n);

	return a > b ? a : b;
}

/* Whether k bytes are too many for what n bytes are packed into. */
static bool gains_nothing(size_t k, size_t n)
{
	return k > n - n / 100 * 3;
}

/* Writes a frame of one segment whose blocks are the bytes themselves. Returns its length. */
static size_t put_raw(const uint8_t *p, size_t n, uint8_t *dst)
{
	uint8_t *d = dst;
	size_t at, k;

	le32_set(d, FRAME_MAGIC);
	d[4] = 0xA0; /* a content size of four bytes, one segment, no checksum, no dictionary */
	le32_set(d + 5, (uint32_t)n);
	d += RAW_HEAD;
	for (at = 0; at < n; at += k) {
		uint32_t head;

		k = n - at < RAW_BLOCK ? n - at : RAW_BLOCK;
		head = (uint32_t)k << 3 | (at + k == n); /* type 0: raw; bit 0: the last one */
		d[0] = (uint8_t)head;
		d[1] = (uint8_t)(head >> 8);
		d[2] = (uint8_t)(head >> 16);
		memcpy(d + 3, p + at, k);
		d += 3 + k;
	}
	return (size_t)(d - dst);
}

/* Whether samples of a large piece say that it does not shrink; dst is scratch memory. */
static bool looks_random(ZSTD_CCtx *c, const uint8_t *p, size_t n, uint8_t *dst)
{
	size_t i, total = 0, k;

	if (n < 4 * PROBES * PROBE)
		return false;
	for (i = 0; i < PROBES; i++) {
		k = ZSTD_compressCCtx(c, dst, frame_bound(n), p + n / PROBES * i, PROBE,
			FRAME_LEVEL);
		if (ZSTD_isError(k))
			return false;
		total += k;
	}
	return gains_nothing(total, (size_t)PROBES * PROBE);
}

int frame_pack(struct frame_coder *c, const uint8_t *p, size_t n, uint8_t *dst, uint32_t *packed,
	struct err *e)
{
	size_t k = n;

	if (!c->pack && !(c->pack = ZSTD_createCCtx()))
		return err_nomem(e);
	if (!looks_random(c->pack, p, n, dst)) {
		k = ZSTD_compressCCtx(c->pack, dst, frame_bound(n), p, n, FRAME_LEVEL);
		if (ZSTD_isError(k))
			return err_set(e, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(k));
	}
	if (gains_nothing(k, n))
		k = put_raw(p, n, dst);
	*packed = (uint32_t)k;
	return 0;
}

/* --- filtered frames --- */

/* Makes room for a form, and for a frame of it that is not longer than an ordinary one. */
static int make_room(struct frame_coder *c, struct err *e)
{
	if (!c->form)
		c->form = malloc(rowbase_bound(FRAME_MOST));
	if (!c->spare)
		c->spare = malloc(frame_bound(FRAME_MOST));
	return c->form && c->spare ? 0 : err_nomem(e);
}

/* Byte of a frame's header at which the number of a dictionary stands, or would stand: behind magic and descriptor, and
 * the window where there is one (RFC 8878, 3.1.1.1). */
static size_t dictionary_at(uint8_t descriptor)
{
	return descriptor & 0x20 ? 5 : 6;
}

/* Compresses the form in c->form to c->spare: one frame, in which each part begins a block, so that it has a table of its
 * own. Codes of neighbours are not alike, so matches of less than 7 bytes cost more than they save. *k is the length of the
 * frame, 0 where it does not fit into `room` bytes. */
static int compress_form(struct frame_coder *c, const struct rowbase *parts, size_t room, size_t *k,
	struct err *e)
{
	ZSTD_outBuffer out = { c->spare, room, 0 };
	ZSTD_inBuffer in = { c->form, 0, 0 };
	size_t i, left;

	*k = 0;
	(void)ZSTD_CCtx_reset(c->pack, ZSTD_reset_session_and_parameters);
	left = ZSTD_CCtx_setParameter(c->pack, ZSTD_c_compressionLevel, FRAME_LEVEL);
	if (!ZSTD_isError(left))
		left = ZSTD_CCtx_setParameter(c->pack, ZSTD_c_minMatch, 7);
	if (!ZSTD_isError(left))
		left = ZSTD_CCtx_setPledgedSrcSize(c->pack, parts->end[parts->n - 1]);
	for (i = 0; i < parts->n && !ZSTD_isError(left); i++) {
		in.size = parts->end[i];
		do {
			left = ZSTD_compressStream2(c->pack, &out, &in,
				i + 1 < parts->n ? ZSTD_e_flush : ZSTD_e_end);
		} while (left && !ZSTD_isError(left) && out.pos < room);
		if (left && !ZSTD_isError(left))
			return 0;
	}
	if (ZSTD_isError(left))
		return err_set(e, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(left));
	*k = out.pos;
	return 0;
}

int frame_pack_rows(struct frame_coder *c, const uint8_t *p, size_t n, uint32_t row, uint8_t *dst,
	uint32_t *packed, bool *filtered, struct err *e)
{
	struct rowbase parts;
	size_t k, at;

	*filtered = false;
	if (frame_pack(c, p, n, dst, packed, e) || make_room(c, e))
		return -1;
	rowbase_pack(p, n, row, c->form, &parts);
	if (compress_form(c, &parts, frame_bound(n), &k, e))
		return -1;
	if (!k || k + DICTIONARY >= *packed)
		return 0;
	at = dictionary_at(c->spare[4]);
	memcpy(dst, c->spare, at);
	dst[4] |= 3; /* a number of four bytes */
	le32_set(dst + at, FRAME_E8M0);
	memcpy(dst + at + DICTIONARY, c->spare + at, k - at);
	*packed = (uint32_t)(k + DICTIONARY);
	*filtered = true;
	return 0;
}

/* Whether src is a frame that names the dictionary FRAME_E8M0. */
static bool is_filtered(const uint8_t *p, size_t packed)
{
	return packed > 6 + DICTIONARY && (p[4] & 3) == 3 &&
		le32_get(p + dictionary_at(p[4])) == FRAME_E8M0;
}

/* Whether the header is that of a frame of today's format, without a dictionary, with this content size: what older
 * formats hold is decoded by code that nobody tests any more. */
static bool is_frame(const uint8_t *p, size_t packed, size_t n)
{
	return packed >= RAW_HEAD - 3 && le32_get(p) == FRAME_MAGIC && !(p[4] & 3) &&
		ZSTD_getFrameContentSize(p, packed) == n &&
		ZSTD_findFrameCompressedSize(p, packed) == packed;
}

/* Unpacks the ordinary frame p, which holds a form of at most rowbase_bound(n) bytes. */
static int unpack_form(struct frame_coder *c, const uint8_t *p, size_t packed, uint8_t *out,
	size_t n, struct err *e)
{
	unsigned long long k = ZSTD_getFrameContentSize(p, packed);
	uint8_t *form;
	int rc;

	if (k > rowbase_bound(n) || !is_frame(p, packed, (size_t)k))
		return 0;
	form = malloc((size_t)k + 1);
	if (!form)
		return err_nomem(e);
	rc = ZSTD_decompressDCtx(c->unpack, form, (size_t)k, p, packed) == k &&
		rowbase_unpack(form, (size_t)k, out, n);
	free(form);
	return rc;
}

/* Unpacks a filtered frame: without the number of a dictionary it is an ordinary one. */
static int unpack_filtered(struct frame_coder *c, const uint8_t *src, size_t packed, uint8_t *out,
	size_t n, struct err *e)
{
	size_t at = dictionary_at(src[4]);
	uint8_t *p = malloc(packed);
	int rc;

	if (!p)
		return err_nomem(e);
	memcpy(p, src, at);
	p[4] &= 0xFC;
	memcpy(p + at, src + at + DICTIONARY, packed - at - DICTIONARY);
	rc = unpack_form(c, p, packed - DICTIONARY, out, n, e);
	free(p);
	return rc;
}

int frame_unpack(struct frame_coder *c, enum filter filter, const uint8_t *src, size_t packed,
	uint8_t *out, size_t n, struct err *e)
{
	if (!c->unpack && !(c->unpack = ZSTD_createDCtx()))
		return err_nomem(e);
	if (filter == FILTER_E8M0 && is_filtered(src, packed))
		return unpack_filtered(c, src, packed, out, n, e);
	return is_frame(src, packed, n) && ZSTD_decompressDCtx(c->unpack, out, n, src, packed) == n;
}

uint32_t frame_sum(const uint8_t *p, size_t n)
{
	return (uint32_t)XXH64(p, n, 0);
}

const char *frame_library(void)
{
	return ZSTD_versionString();
}
