/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/unicode.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* clang-format off */
static const struct {
	uint32_t first;
	uint16_t n;
	uint8_t is;
} ranges[] = {
#include "formats/tokenizer/unicode_ranges.inc"
};
/* clang-format on */

enum unicode_class unicode_class(uint32_t c)
{
	size_t low = 0, high = COUNT(ranges), mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (c < ranges[mid].first)
			high = mid;
		else if (c - ranges[mid].first >= ranges[mid].n)
			low = mid + 1;
		else
			return (enum unicode_class)ranges[mid].is;
	}
	return UNICODE_OTHER;
}

/* PropList.txt of Unicode 16.0. */
bool unicode_space(uint32_t c)
{
	return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
		c == 0x205f || c == 0x3000;
}

uint32_t unicode_at(const char *s, size_t *n)
{
	const unsigned char *p = (const unsigned char *)s;

	if (p[0] < 0x80) {
		*n = 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*n = 2;
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	}
	if (p[0] < 0xf0) {
		*n = 3;
		return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	}
	*n = 4;
	return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}
