/* SPDX-License-Identifier: MIT */
#include "core/hash/xxh.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
/* The header gives the same names to functions that choose by processor. The static library has none of them: the
 * static tools define XXH_INLINE_ALL and compile the code here. */
#if defined(__x86_64__) && !defined(XXH_INLINE_ALL)
#include <xxh_x86dispatch.h>
#endif

struct xxh *xxh_new(void)
{
	XXH3_state_t *s = XXH3_createState();

	if (s)
		XXH3_128bits_reset(s);
	return (struct xxh *)s;
}

void xxh_free(struct xxh *x)
{
	XXH3_freeState((XXH3_state_t *)x);
}

void xxh_reset(struct xxh *x)
{
	XXH3_128bits_reset((XXH3_state_t *)x);
}

void xxh_update(struct xxh *x, const void *p, size_t n)
{
	(void)XXH3_128bits_update((XXH3_state_t *)x, p, n); /* fails on NULL only */
}

static struct xxh_digest canonical(XXH128_hash_t h)
{
	XXH128_canonical_t c;
	struct xxh_digest d;

	XXH128_canonicalFromHash(&c, h);
	memcpy(d.b, c.digest, sizeof d.b);
	return d;
}

struct xxh_digest xxh_final(const struct xxh *x)
{
	return canonical(XXH3_128bits_digest((const XXH3_state_t *)x));
}

struct xxh_digest xxh_of(const void *p, size_t n)
{
	return canonical(XXH3_128bits(p, n));
}

void xxh_chunks(struct xxh *x, uint64_t total, uint64_t chunk, uint64_t at, const void *p, size_t n,
	struct xxh_digest *out)
{
	const uint8_t *b = p;
	uint64_t room;
	size_t take;

	for (; n; n -= take, b += take) {
		room = chunk - at % chunk;
		take = n < room ? n : (size_t)room;
		xxh_update(x, b, take);
		at += take;
		if (at % chunk == 0 || at == total) {
			out[(at - 1) / chunk] = xxh_final(x);
			xxh_reset(x);
		}
	}
}

void hex_of(const uint8_t *p, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < n; i++) {
		*out++ = digit[p[i] >> 4];
		*out++ = digit[p[i] & 15];
	}
	*out = 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_to(const char *s, uint8_t *out, size_t n)
{
	int hi, lo;
	size_t i;

	for (i = 0; i < n; i++) {
		hi = hex_digit(s[2 * i]);
		lo = hi < 0 ? -1 : hex_digit(s[2 * i + 1]);
		if (lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
