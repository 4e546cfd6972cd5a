/* arith.c -- prints what the functions and linears give, for tests/oracle/arith.py, which derives the same
 * from docs/numbers.md: names, inputs and results as bits.
 *
 *	arith [SEED]
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "kernels/fmath.h"
#include "kernels/linear/linear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;

static uint32_t rnd32(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static float e4m3(float x)
{
	return num_e4m3(fm_e4m3(x, 1.0f));
}

static const struct {
	const char *name;
	float (*f)(float);
	uint32_t lo, hi; /* exponents tried, biased; 0..255 is any float */
	bool negative;
} functions[] = {
	{ "exp", fm_exp, 90, 134, true },
	{ "exp", fm_exp, 0, 255, true },
	{ "sigmoid", fm_sigmoid, 100, 134, true },
	{ "silu", fm_silu, 100, 134, true },
	{ "log1p", fm_log1p, 100, 156, false },
	{ "log1p", fm_log1p, 124, 129, false },
	{ "log1p", fm_log1p, 0, 255, true },
	{ "softplus", fm_softplus, 110, 133, true },
	{ "rsqrt", fm_rsqrt, 1, 254, false },
	{ "bf16", fm_bf16, 0, 255, true },
	{ "e4m3", e4m3, 115, 137, true },
	{ "e2m1", fm_e2m1, 122, 130, true },
	{ "scale_fp8", fm_scale_fp8, 0, 255, false },
	{ "scale_fp4", fm_scale_fp4, 0, 255, false },
};

static void print_functions(void)
{
	unsigned i, k;
	uint32_t b;

	for (i = 0; i < sizeof functions / sizeof *functions; i++)
		for (k = 0; k < 2000; k++) {
			b = functions[i].lo + rnd32() % (functions[i].hi - functions[i].lo + 1);
			b = b << 23 | rnd32() >> 9;
			if (functions[i].negative && rnd32() & 1)
				b |= 0x80000000u;
			/* Round numbers too: that is where ties are. */
			b &= k % 4 ? UINT32_MAX : 0xfff80000u;
			printf("%s %08x %08x\n", functions[i].name, b,
				num_bits(functions[i].f(num_f32(b))));
		}
}

static void hex(const char *name, const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t i;

	printf("%s ", name);
	for (i = 0; i < n; i++)
		printf("%02x", b[i]);
	printf("\n");
}

/* A linear of 3 rows and 2 tokens as the best way here gives it: all that goes in, and what comes out. */
static void print_linear(uint8_t type, bool quant, uint32_t cols)
{
	enum { ROWS = 3, TOKENS = 2, MOST = 1024 };
	static const uint8_t bits[] = { 4, 8, 16, 32 };
	static const char *const name[] = { "fp4", "fp8", "bf16", "f32" };
	static uint8_t codes[ROWS * MOST * 4], scales[ROWS * MOST / 32], q[TOKENS * MOST];
	static float x[TOKENS * MOST], s[TOKENS * MOST / 128], y[TOKENS * ROWS];
	size_t n = (size_t)ROWS * cols, bytes = n * bits[type] / 8, i;
	struct weight w = {
		.type = type, .rows = ROWS, .cols = cols, .codes = codes, .scales = scales
	};
	struct linear_job j = {
		.w = &w, .tokens = TOKENS, .x = x, .ldx = cols, .y = y, .ldy = ROWS
	};
	void *scratch = aligned_alloc(64, (linear_scratch(&w, TOKENS) + 63) / 64 * 64);
	size_t sf = type == WEIGHT_FP4 ? n / 32 : type == WEIGHT_FP8 ? (cols + 127) / 128 : 0;
	float f;
	uint16_t h;

	if (!scratch)
		exit(2);
	for (i = 0; i < bytes; i++)
		codes[i] = type == WEIGHT_FP8 && i % 2 ? (uint8_t)(rnd32() & 0xbf)
						       : (uint8_t)(rnd32() % 0x7f);
	for (i = 0; type >= WEIGHT_BF16 && i < n; i++) {
		f = (float)(int32_t)rnd32() * 0x1p-31f;
		h = num_bf16_from(f);
		if (type == WEIGHT_F32)
			memcpy(codes + 4 * i, &f, 4);
		else
			memcpy(codes + 2 * i, &h, 2);
	}
	for (i = 0; i < sf; i++)
		scales[i] = (uint8_t)(112 + rnd32() % 16);
	for (i = 0; i < (size_t)TOKENS * cols; i++) {
		x[i] = fm_bf16((float)(int32_t)rnd32() * 0x1p-30f);
		if (cols >= 128)
			s[i / 128] = num_e8m0(118 + (unsigned)(i / 128) % 5);
		q[i] = cols >= 128 ? fm_e4m3(x[i] * 32.0f, s[i / 128]) : 0;
	}
	if (quant) {
		j.q = q;
		j.s = s;
	}
	linear_run(linear_best(cpu_features()), &j, 0, ROWS, cpu_features(), scratch);
	printf("linear %s %d %u %u %u\n", name[type], quant, ROWS, TOKENS, cols);
	hex("codes", codes, bytes);
	hex("scales", scales, sf);
	hex("q", q, quant ? (size_t)TOKENS * cols : 0);
	hex("s", s, quant ? (size_t)TOKENS * (cols / 128) * 4 : 0);
	hex("x", x, quant ? 0 : (size_t)TOKENS * cols * 4);
	hex("y", y, sizeof y);
	free(scratch);
}

int main(int argc, char **argv)
{
	uint32_t c;

	if (argc > 1)
		state ^= strtoull(argv[1], NULL, 10) * 0x9e3779b97f4a7c15u;
	print_functions();
	for (c = 128; c <= 1024; c *= 2) {
		print_linear(WEIGHT_FP4, true, c);
		print_linear(WEIGHT_FP8, true, c);
		print_linear(WEIGHT_FP8, false, c);
		print_linear(WEIGHT_BF16, false, c - 96);
		print_linear(WEIGHT_F32, false, c - 32);
		print_linear(WEIGHT_F32, false, c - 77);
	}
	return 0;
}
