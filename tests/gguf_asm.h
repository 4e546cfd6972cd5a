/* gguf_asm.h -- GGUF files written as text, so that a test can say a wrong one in a line. Tokens, with spaces between:
 *
 *	G           "GGUF" and version 3
 *	b1 h1 w1 q1 a number of one, two, four or eight bytes, little endian; may be negative
 *	f1.5 d1.5   an F32, an F64
 *	sTEXT       a string with its length, _ standing for a space
 *	rTEXT       the bytes alone
 *	xABCD       bytes in hex
 *	z16         so many zeros
 *	p32         zeros up to a multiple of that
 *	^           the byte that the report is to name
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_GGUF_ASM_H
#define TESTS_GGUF_ASM_H
#include "core/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void gguf_asm_le(struct text *t, uint64_t v, unsigned bytes)
{
	char b[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		b[i] = (char)(v >> 8 * i);
	text_put(t, b, bytes);
}

static inline void gguf_asm_bytes(struct text *t, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		text_put(t, s[i] == '_' ? " " : s + i, 1);
}

static inline void gguf_asm_hex(struct text *t, const char *s, size_t n)
{
	char two[3] = { 0 };
	size_t i;

	for (i = 0; i + 1 < n; i += 2) {
		memcpy(two, s + i, 2);
		gguf_asm_le(t, strtoul(two, NULL, 16), 1);
	}
}

static inline void gguf_asm_token(struct text *t, const char *s, size_t n)
{
	uint64_t v = n > 1 && s[1] == '-' ? (uint64_t)strtoll(s + 1, NULL, 0)
					  : strtoull(s + 1, NULL, 0),
		 bits;
	float f = strtof(s + 1, NULL);
	double d = strtod(s + 1, NULL);
	uint32_t half;

	switch (*s) {
	case 'G':
		text_put(t, "GGUF\3\0\0", 8);
		break;
	case 'b':
		gguf_asm_le(t, v, 1);
		break;
	case 'h':
		gguf_asm_le(t, v, 2);
		break;
	case 'w':
		gguf_asm_le(t, v, 4);
		break;
	case 'q':
		gguf_asm_le(t, v, 8);
		break;
	case 'f':
		memcpy(&half, &f, 4);
		gguf_asm_le(t, half, 4);
		break;
	case 'd':
		memcpy(&bits, &d, 8);
		gguf_asm_le(t, bits, 8);
		break;
	case 's':
		gguf_asm_le(t, n - 1, 8);
		gguf_asm_bytes(t, s + 1, n - 1);
		break;
	case 'r':
		gguf_asm_bytes(t, s + 1, n - 1);
		break;
	case 'x':
		gguf_asm_hex(t, s + 1, n - 1);
		break;
	case 'z':
		while (v--)
			text_put(t, "", 1);
		break;
	case 'p':
		while (t->n % v)
			text_put(t, "", 1);
		break;
	default:
		abort();
	}
}

/* Puts the file that src describes into t, which is emptied before. Returns the byte marked by ^, or SIZE_MAX. */
static inline size_t gguf_asm(struct text *t, const char *src)
{
	size_t n, mark = SIZE_MAX;

	t->n = 0;
	while (*src) {
		n = strcspn(src, " ");
		if (*src == '^')
			mark = t->n;
		else if (n)
			gguf_asm_token(t, src, n);
		src += *src == '^' ? 1 : n + (src[n] == ' ');
	}
	return mark;
}

/* Parts of files. */
#define GG(tensors, pairs) "G q" #tensors " q" #pairs " "
#define KEY(name, type) "s" name " w" #type " "
#define ALIGN(n) KEY("general.alignment", 4) "w" #n " "
#define INFO1(name, d0, type, at) "s" name " w1 q" #d0 " w" #type " q" #at " "
#define INFO2(name, d0, d1, type, at) "s" name " w2 q" #d0 " q" #d1 " w" #type " q" #at " "
#define INFO3(name, d0, d1, d2, type, at) \
	"s" name " w3 q" #d0 " q" #d1 " q" #d2 " w" #type " q" #at " "
#endif
