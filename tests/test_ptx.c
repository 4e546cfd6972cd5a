/* test_ptx.c -- the PTX runner (tests/ptx): what each instruction means, against C written for this test,
 * and what it must refuse. Needs no nvcc: the texts are made here.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/check.h"
#include "tests/ptx/ptx.h"

#include <math.h>

enum { N = 256 };

struct io3 {
	uint64_t *y;
	const uint64_t *a, *b, *c;
};

#define HEAD ".version 9.0\n.target sm_80\n.address_size 64\n"
#define ENTRY ".visible .entry k(\n.param .align 8 .b8 k_param_0[32]\n)\n{\n"
#define REGS                                                                         \
	".reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .b32 %r<9>;\n.reg .f32 %f<9>;\n" \
	".reg .b64 %rd<19>;\n.reg .f64 %fd<9>;\n"
#define ADDRESSES                                                       \
	"ld.param.u64 %rd11, [k_param_0];\n"                            \
	"ld.param.u64 %rd12, [k_param_0+8];\n"                          \
	"ld.param.u64 %rd13, [k_param_0+16];\n"                         \
	"ld.param.u64 %rd14, [k_param_0+24];\n"                         \
	"mov.u32 %r8, %tid.x;\n mul.wide.u32 %rd15, %r8, 8;\n"          \
	"add.s64 %rd11, %rd11, %rd15;\n add.s64 %rd12, %rd12, %rd15;\n" \
	"add.s64 %rd13, %rd13, %rd15;\n add.s64 %rd14, %rd14, %rd15;\n"

static int run(const char *text, struct io3 io, struct err *e)
{
	static const unsigned grid[3] = { 1, 1, 1 };
	struct ptx *p = ptx_parse(text, strlen(text), e);
	int rc;

	if (!p)
		return -1;
	rc = ptx_run(p, "k", grid, N, &io, sizeof io, e);
	ptx_free(p);
	return rc;
}

/* --- one instruction on random and on nasty operands --- */

static uint64_t nasty(unsigned i)
{
	static const uint64_t v[] = { 0, 1, 2, 31, 32, 33, 63, 64, 255, 256, 0x7f, 0x80, 0x7fff,
		0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x3f800000, 0xbf800000,
		0x00000001, 0x80000001, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x4b000001,
		0x4f000000, 0x5f000000, 0x3effffff, 0x3fc00000, 0x40200000, 0x7fffffffffffffff,
		0x8000000000000000, UINT64_MAX, 0x3ff0000000000000, 0xbff8000000000000,
		0x7fefffffffffffff, 0x0000000000000001 };

	return i % 3 == 0    ? v[rnd(sizeof v / sizeof *v)]
		: i % 3 == 1 ? rnd64()
			     : rnd64() >> rnd(64);
}

static float as_f(uint64_t v)
{
	uint32_t u = (uint32_t)v;
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static double as_d(uint64_t v)
{
	double d;

	memcpy(&d, &v, 8);
	return d;
}

static uint64_t f_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return isnan(f) ? 0x7fffffff : u;
}

static uint64_t d_bits(double d)
{
	uint64_t u;

	memcpy(&u, &d, 8);
	return isnan(d) ? 0x7fffffffffffffff : u;
}

/* What is expected, each in its own words: often by long division of bits or wide integers. */
typedef uint64_t want_fn(uint64_t a, uint64_t b, uint64_t c);
#define WANT(id, value)                                        \
	static uint64_t id(uint64_t a, uint64_t b, uint64_t c) \
	{                                                      \
		(void)a, (void)b, (void)c;                     \
		return (uint64_t)(value);                      \
	}
typedef unsigned __int128 u128;
typedef __int128 i128;
#define I(v) ((i128)(int32_t)(v))
#define L(v) ((i128)(int64_t)(v))
#define H(v) ((i128)(int16_t)(v))
#define U(v) ((u128)(uint32_t)(v))
#define CUT32(v) ((uint64_t)(v)&0xffffffff)
WANT(w_add32, CUT32(U(a) + U(b)))
WANT(w_add64, (u128)a + b)
WANT(w_add16, (a + b) & 0xffff)
WANT(w_sub32, CUT32(U(a) + ((u128)1 << 64) - U(b)))
WANT(w_sub64, (u128)a + ((u128)1 << 64) - b)
WANT(w_mul32, CUT32(I(a) * I(b)))
WANT(w_mul64, (u128)a *b)
WANT(w_mad32, CUT32(I(a) * I(b) + I(c)))
WANT(w_mad64, L(a) * L(b) + L(c))
WANT(w_wideu, U(a) * U(b))
WANT(w_wides, I(a) * I(b))
WANT(w_wide16, CUT32(H(a) * H(b)))
WANT(w_madwu, U(a) * U(b) + c)
WANT(w_madws, I(a) * I(b) + L(c))
WANT(w_hiu, U(a) * U(b) >> 32)
WANT(w_his, CUT32((I(a) * I(b)) >> 32))
WANT(w_hiu64, ((u128)a * b) >> 64)
WANT(w_his64, (L(a) * L(b)) >> 64)
WANT(w_divu, U(b) ? CUT32(U(a) / U(b)) : 0xffffffff)
WANT(w_divs, U(b) ? CUT32(I(a) / I(b)) : 0xffffffff)
WANT(w_remu, U(b) ? CUT32(U(a) % U(b)) : CUT32(a))
WANT(w_rems, U(b) ? CUT32(I(a) % I(b)) : CUT32(a))
WANT(w_divu64, b ? a / b : UINT64_MAX)
WANT(w_remu64, b ? a % b : a)
WANT(w_mins, CUT32(I(a) < I(b) ? a : b))
WANT(w_maxs, CUT32(I(a) < I(b) ? b : a))
WANT(w_minu, U(a) < U(b) ? CUT32(a) : CUT32(b))
WANT(w_maxu64, a < b ? b : a)
WANT(w_mins64, L(a) < L(b) ? a : b)
WANT(w_neg, CUT32(-I(a)))
WANT(w_abs, CUT32(I(a) < 0 ? -I(a) : I(a)))
WANT(w_not, CUT32(a) ^ 0xffffffff)
WANT(w_not64, a ^ UINT64_MAX)
WANT(w_and, CUT32(a &b))
WANT(w_or64, a | b)
WANT(w_xor16, (a ^ b) & 0xffff)
static uint64_t twice(uint64_t v, uint64_t times, unsigned bits)
{
	uint64_t i, mask = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;

	for (i = 0; i < CUT32(times) && v; i++)
		v = v * 2 & mask;
	return v & mask;
}
static i128 halved(i128 v, uint64_t times)
{
	return CUT32(times) > 100 ? v >> 100 : v >> CUT32(times);
}
WANT(w_shl, twice(CUT32(a), b, 32))
WANT(w_shl64, twice(a, b, 64))
WANT(w_shl16, twice(a & 0xffff, b, 16))
WANT(w_shru, halved((i128)U(a), b))
WANT(w_shrs, CUT32(halved(I(a), b)))
WANT(w_shru64, halved((i128)(u128)a, b))
WANT(w_shrs64, halved(L(a), b))
WANT(w_shru16, halved((i128)(a & 0xffff), b))
WANT(w_shrs16, (uint64_t)halved(H(a), b) & 0xffff)
WANT(w_selp, CUT32(c & 1 ? a : b))
WANT(w_selp64, c & 1 ? a : b)
static uint64_t count(uint64_t v)
{
	uint64_t n = 0;

	for (; v; v &= v - 1)
		n++;
	return n;
}
static uint64_t leading(uint64_t v, uint64_t bits)
{
	uint64_t n = bits;

	for (; v; v >>= 1)
		n--;
	return n;
}
WANT(w_popc, count(CUT32(a)))
WANT(w_popc64, count(a))
WANT(w_clz, leading(CUT32(a), 32))
WANT(w_clz64, leading(a, 64))
static uint64_t mirror(uint64_t v)
{
	uint64_t r = 0;
	unsigned i;

	for (i = 0; i < 32; i++)
		r = r << 1 | (v >> i & 1);
	return r;
}
WANT(w_brev, mirror(a))
static uint64_t bytes_of(uint64_t a, uint64_t b, uint64_t c)
{
	uint8_t in[8], out[4];
	uint64_t r = 0;
	unsigned i;

	memcpy(in, &a, 4);
	memcpy(in + 4, &b, 4);
	for (i = 0; i < 4; i++) {
		out[i] = in[c >> (4 * i) & 7];
		if (c >> (4 * i + 3) & 1)
			out[i] = (uint8_t)((int8_t)out[i] >> 7);
	}
	memcpy(&r, out, 4);
	return r;
}
WANT(w_lop3, CUT32((a & b) ^ (b | ~c)))
static uint64_t field(uint64_t a, uint64_t pos, uint64_t n, bool sign)
{
	i128 v = sign ? (int32_t)a : (i128)U(a);

	/* A field may reach beyond the word: what is there repeats its last bit, or is 0. */
	pos &= 255;
	n &= 255;
	if (!n)
		return 0;
	v = v >> (pos > 100 ? 100 : pos);
	if (n < 100)
		v = (i128)((u128)v << (128 - n));
	if (n < 100)
		v = sign ? v >> (128 - n) : (i128)((u128)v >> (128 - n));
	return CUT32(v);
}
WANT(w_bfeu, field(a, b, c, false))
WANT(w_bfes, field(a, b, c, true))
/* Five bits of a into b, those that fit. */
static uint64_t put5(uint64_t a, uint64_t b, uint64_t pos, unsigned bits)
{
	unsigned i;

	for (i = 0, pos &= 255; i < 5 && pos + i < bits; i++)
		b = (b & ~((uint64_t)1 << (pos + i))) | (a >> i & 1) << (pos + i);
	return b;
}
WANT(w_bfi, put5(a, CUT32(b), c, 32))
WANT(w_bfi64, put5(a, b, c, 64))
WANT(w_funl, CUT32((U(b) << 32 | U(a)) << (c % 32) >> 32))
WANT(w_funr, CUT32((U(b) << 32 | U(a)) >> (c % 32)))
WANT(w_lts, I(a) < I(b))
WANT(w_geu, U(a) >= U(b))
WANT(w_gts64, L(a) > L(b))
WANT(w_leu64, a <= b)
WANT(w_eq16, (a & 0xffff) == (b & 0xffff))
WANT(w_ne, CUT32(a) != CUT32(b))
WANT(w_flt, isless(as_f(a), as_f(b)))
WANT(w_fgt, isgreater(as_f(a), as_f(b)))
WANT(w_fle, islessequal(as_f(a), as_f(b)))
WANT(w_fge, isgreaterequal(as_f(a), as_f(b)))
WANT(w_feq, as_f(a) == as_f(b))
WANT(w_fne, islessgreater(as_f(a), as_f(b)))
WANT(w_fneu, as_f(a) != as_f(b))
WANT(w_fltu, isunordered(as_f(a), as_f(b)) || as_f(a) < as_f(b))
WANT(w_fgeu, isunordered(as_f(a), as_f(b)) || as_f(a) >= as_f(b))
WANT(w_fleu, isunordered(as_f(a), as_f(b)) || as_f(a) <= as_f(b))
WANT(w_fgtu, isunordered(as_f(a), as_f(b)) || as_f(a) > as_f(b))
WANT(w_fequ, !islessgreater(as_f(a), as_f(b)))
WANT(w_nan, isnan(as_f(a)) || isnan(as_f(b)))
WANT(w_num, !isnan(as_f(a)) && !isnan(as_f(b)))
/* A sum, product or quotient of two floats through double is rounded twice and yet right. */
WANT(w_addf, f_bits((float)((double)as_f(a) + (double)as_f(b))))
WANT(w_subf, f_bits((float)((double)as_f(a) - (double)as_f(b))))
WANT(w_mulf, f_bits((float)((double)as_f(a) * (double)as_f(b))))
WANT(w_divf, f_bits((float)((double)as_f(a) / (double)as_f(b))))
WANT(w_rcpf, f_bits((float)(1.0 / (double)as_f(a))))
WANT(w_sqrtf, f_bits((float)sqrt((double)as_f(a))))
WANT(w_fmaf, f_bits((float)__builtin_fmaf(as_f(a), as_f(b), as_f(c))))
WANT(w_negf, CUT32(a) ^ 0x80000000)
WANT(w_absf, CUT32(a) & 0x7fffffff)
WANT(w_addd, d_bits(as_d(a) + as_d(b)))
WANT(w_muld, d_bits(as_d(a) * as_d(b)))
WANT(w_s32f, f_bits((float)(int32_t)a))
WANT(w_u32f, f_bits((float)(uint32_t)a))
WANT(w_u64f, f_bits((float)a))
WANT(w_s64f, f_bits((float)(int64_t)a))
WANT(w_u16f, f_bits((float)(uint16_t)a))
WANT(w_s32d, d_bits((double)(int32_t)a))
WANT(w_fd, d_bits((double)as_f(a)))
WANT(w_df, f_bits((float)as_d(a)))
static uint64_t to_int(float f, float low, float high, uint64_t at_low, uint64_t at_high)
{
	return isnan(f) ? 0 : f <= low ? at_low : f >= high ? at_high : CUT32((int64_t)f);
}
WANT(w_fs32, to_int(as_f(a), -0x1p31f, 0x1p31f, 0x80000000, 0x7fffffff))
WANT(w_fu32, to_int(as_f(a), 0, 0x1p32f, 0, 0xffffffff))
WANT(w_rni, f_bits(nearbyintf(as_f(a))))
WANT(w_rmi, f_bits(floorf(as_f(a))))
WANT(w_u8, a & 0xff)
WANT(w_s8, CUT32((int8_t)a))
WANT(w_u16, a & 0xffff)
WANT(w_s16, CUT32((int16_t)a))
WANT(w_s16l, (int64_t)(int16_t)a)
WANT(w_s32l, (int64_t)(int32_t)a)
WANT(w_u32, CUT32(a))
WANT(w_all, a)

/* d, a, b, c: types of registers (h 16, r 32, l 64, f, d float, p predicate, - none); a predicate that is
 * read is the lowest bit. */
/* clang-format off */
static const struct {
	const char *name, *types;
	want_fn *want;
} ops[] = {
	{ "add.s32", "rrr-", w_add32 },
	{ "add.u32", "rrr-", w_add32 },
	{ "add.s64", "lll-", w_add64 },
	{ "add.s16", "hhh-", w_add16 },
	{ "sub.s32", "rrr-", w_sub32 },
	{ "sub.s64", "lll-", w_sub64 },
	{ "mul.lo.s32", "rrr-", w_mul32 },
	{ "mul.lo.s64", "lll-", w_mul64 },
	{ "mad.lo.s32", "rrrr", w_mad32 },
	{ "mad.lo.s64", "llll", w_mad64 },
	{ "mul.wide.u32", "lrr-", w_wideu },
	{ "mul.wide.s32", "lrr-", w_wides },
	{ "mul.wide.s16", "rhh-", w_wide16 },
	{ "mad.wide.u32", "lrrl", w_madwu },
	{ "mad.wide.s32", "lrrl", w_madws },
	{ "mul.hi.u32", "rrr-", w_hiu },
	{ "mul.hi.s32", "rrr-", w_his },
	{ "mul.hi.u64", "lll-", w_hiu64 },
	{ "mul.hi.s64", "lll-", w_his64 },
	{ "div.u32", "rrr-", w_divu },
	{ "div.s32", "rrr-", w_divs },
	{ "rem.u32", "rrr-", w_remu },
	{ "rem.s32", "rrr-", w_rems },
	{ "div.u64", "lll-", w_divu64 },
	{ "rem.u64", "lll-", w_remu64 },
	{ "min.s32", "rrr-", w_mins },
	{ "max.s32", "rrr-", w_maxs },
	{ "min.u32", "rrr-", w_minu },
	{ "max.u64", "lll-", w_maxu64 },
	{ "min.s64", "lll-", w_mins64 },
	{ "neg.s32", "rr--", w_neg },
	{ "abs.s32", "rr--", w_abs },
	{ "not.b32", "rr--", w_not },
	{ "not.b64", "ll--", w_not64 },
	{ "and.b32", "rrr-", w_and },
	{ "or.b64", "lll-", w_or64 },
	{ "xor.b16", "hhh-", w_xor16 },
	{ "shl.b32", "rrr-", w_shl },
	{ "shl.b64", "llr-", w_shl64 },
	{ "shl.b16", "hhr-", w_shl16 },
	{ "shr.u32", "rrr-", w_shru },
	{ "shr.s32", "rrr-", w_shrs },
	{ "shr.b32", "rrr-", w_shru },
	{ "shr.u64", "llr-", w_shru64 },
	{ "shr.s64", "llr-", w_shrs64 },
	{ "shr.u16", "hhr-", w_shru16 },
	{ "shr.s16", "hhr-", w_shrs16 },
	{ "selp.b32", "rrrp", w_selp },
	{ "selp.f32", "fffp", w_selp },
	{ "selp.b64", "lllp", w_selp64 },
	{ "popc.b32", "rr--", w_popc },
	{ "popc.b64", "rl--", w_popc64 },
	{ "clz.b32", "rr--", w_clz },
	{ "clz.b64", "rl--", w_clz64 },
	{ "brev.b32", "rr--", w_brev },
	{ "prmt.b32", "rrrr", bytes_of },
	{ "lop3.b32", "rrrr", w_lop3 },
	{ "bfe.u32", "rrrr", w_bfeu },
	{ "bfe.s32", "rrrr", w_bfes },
	{ "bfi.b32", "rrrr", w_bfi }, { "bfi.b64", "lllr", w_bfi64 },
	{ "shf.l.wrap.b32", "rrrr", w_funl },
	{ "shf.r.wrap.b32", "rrrr", w_funr },
	{ "setp.lt.s32", "prr-", w_lts },
	{ "setp.ge.u32", "prr-", w_geu },
	{ "setp.gt.s64", "pll-", w_gts64 },
	{ "setp.le.u64", "pll-", w_leu64 },
	{ "setp.eq.s16", "phh-", w_eq16 },
	{ "setp.ne.b32", "prr-", w_ne },
	{ "setp.lt.f32", "pff-", w_flt },
	{ "setp.gt.f32", "pff-", w_fgt },
	{ "setp.le.f32", "pff-", w_fle },
	{ "setp.ge.f32", "pff-", w_fge },
	{ "setp.eq.f32", "pff-", w_feq },
	{ "setp.ne.f32", "pff-", w_fne },
	{ "setp.neu.f32", "pff-", w_fneu },
	{ "setp.ltu.f32", "pff-", w_fltu },
	{ "setp.geu.f32", "pff-", w_fgeu },
	{ "setp.leu.f32", "pff-", w_fleu },
	{ "setp.gtu.f32", "pff-", w_fgtu },
	{ "setp.equ.f32", "pff-", w_fequ },
	{ "setp.nan.f32", "pff-", w_nan },
	{ "setp.num.f32", "pff-", w_num },
	{ "add.rn.f32", "fff-", w_addf },
	{ "sub.rn.f32", "fff-", w_subf },
	{ "mul.rn.f32", "fff-", w_mulf },
	{ "div.rn.f32", "fff-", w_divf },
	{ "rcp.rn.f32", "ff--", w_rcpf },
	{ "sqrt.rn.f32", "ff--", w_sqrtf },
	{ "fma.rn.f32", "ffff", w_fmaf },
	{ "neg.f32", "ff--", w_negf },
	{ "abs.f32", "ff--", w_absf },
	{ "add.rn.f64", "ddd-", w_addd },
	{ "mul.rn.f64", "ddd-", w_muld },
	{ "cvt.rn.f32.s32", "fr--", w_s32f },
	{ "cvt.rn.f32.u32", "fr--", w_u32f },
	{ "cvt.rn.f32.u64", "fl--", w_u64f },
	{ "cvt.rn.f32.s64", "fl--", w_s64f },
	{ "cvt.rn.f32.u16", "fh--", w_u16f },
	{ "cvt.rn.f64.s32", "dr--", w_s32d },
	{ "cvt.f64.f32", "df--", w_fd },
	{ "cvt.rn.f32.f64", "fd--", w_df },
	{ "cvt.rzi.s32.f32", "rf--", w_fs32 },
	{ "cvt.rzi.u32.f32", "rf--", w_fu32 },
	{ "cvt.rni.f32.f32", "ff--", w_rni },
	{ "cvt.rmi.f32.f32", "ff--", w_rmi },
	{ "cvt.u32.u8", "rr--", w_u8 },
	{ "cvt.s32.s8", "rr--", w_s8 },
	{ "cvt.u32.u16", "rh--", w_u16 },
	{ "cvt.s32.s16", "rh--", w_s16 },
	{ "cvt.s64.s16", "lh--", w_s16l },
	{ "cvt.u16.u32", "hr--", w_u16 },
	{ "cvt.s64.s32", "lr--", w_s32l },
	{ "cvt.u64.u32", "lr--", w_u32 },
	{ "cvt.u32.u64", "rl--", w_u32 },
	{ "mov.u32", "rr--", w_u32 },
	{ "mov.b64", "ll--", w_all },
	{ "mov.f32", "ff--", w_u32 },
};
/* clang-format on */

/* Loads of each operand through its type, the instruction, and a store of all 64 bits of the result. */
static void text_of(char *out, size_t size, const char *name, const char *types)
{
	static const struct {
		char t;
		const char *load, *reg;
	} kind[] = { { 'h', "ld.global.u16", "%rs" }, { 'r', "ld.global.u32", "%r" },
		{ 'l', "ld.global.u64", "%rd" }, { 'f', "ld.global.f32", "%f" },
		{ 'd', "ld.global.f64", "%fd" }, { 'p', NULL, "%p" } };
	char loads[400] = "", args[120] = "", one[120], end[200];
	int i, k;

	for (i = 1; i < 4 && types[i] != '-'; i++) {
		for (k = 0; kind[k].t != types[i]; k++)
			;
		if (kind[k].load)
			snprintf(one, sizeof one, "%s %s%d, [%%rd%d];\n", kind[k].load, kind[k].reg,
				i, 11 + i);
		else
			snprintf(one, sizeof one,
				"ld.global.u32 %%r7, [%%rd%d];\nand.b32 %%r7, %%r7, 1;\n"
				"setp.ne.s32 %%p%d, %%r7, 0;\n",
				11 + i, i);
		strcat(loads, one);
		snprintf(one, sizeof one, ", %s%d", kind[k].reg, i);
		strcat(args, one);
	}
	for (k = 0; kind[k].t != types[0]; k++)
		;
	/* The result, widened by a move of bits. */
	if (types[0] == 'p')
		snprintf(end, sizeof end,
			"selp.b64 %%rd5, 1, 0, %%p0;\nst.global.u64 [%%rd11], %%rd5;\n");
	else
		snprintf(end, sizeof end, "mov.b64 %%rd5, %s0;\nst.global.b64 [%%rd11], %%rd5;\n",
			kind[k].reg);
	snprintf(out, size, "%s%s%s %s0%s%s;\n%sret;\n}\n", HEAD ENTRY REGS ADDRESSES, loads, name,
		kind[k].reg, args,
		strstr(name, "lop3")          ? ", 0x1d"
			: strstr(name, "bfi") ? ", 5"
					      : "",
		end);
}

static bool number_is_nan(char type, uint64_t v)
{
	return type == 'f' ? isnan(as_f(v)) : type == 'd' ? isnan(as_d(v)) : false;
}

static void instructions(void)
{
	static uint64_t a[N], b[N], c[N], y[N];
	static char text[4000];
	struct err e;
	uint64_t want;
	unsigned k, i;

	for (k = 0; k < sizeof ops / sizeof *ops; k++) {
		e = (struct err){ 0 };
		text_of(text, sizeof text, ops[k].name, ops[k].types);
		for (i = 0; i < N; i++) {
			a[i] = nasty(i);
			b[i] = nasty(i / 3);
			c[i] = nasty(i / 9);
		}
		if (run(text, (struct io3){ y, a, b, c }, &e)) {
			FAILED(e.text);
			continue;
		}
		for (i = 0; i < N; i++) {
			want = ops[k].want(a[i], b[i], c[i]);
			if (number_is_nan(ops[k].types[0], want) &&
				number_is_nan(ops[k].types[0], y[i]))
				continue;
			if (y[i] != want) {
				fprintf(stderr, "%s of %llx %llx %llx: %llx, expected %llx\n",
					ops[k].name, (unsigned long long)a[i],
					(unsigned long long)b[i], (unsigned long long)c[i],
					(unsigned long long)y[i], (unsigned long long)want);
				FAILED(ops[k].name);
				break;
			}
		}
	}
}

/* --- control, warps, memory --- */

/* Lanes part in a loop of as many turns as their number and meet again before the shuffle. */
static void lanes_meet(void)
{
	static const char text[] = HEAD ENTRY REGS ADDRESSES
		"and.b32 %r1, %r8, 7;\n mov.u32 %r2, 0;\n mov.u32 %r3, 0;\n"
		"$L_top:\n setp.ge.u32 %p1, %r2, %r1;\n @%p1 bra $L_out;\n"
		"add.s32 %r3, %r3, %r2;\n add.s32 %r2, %r2, 1;\n bra.uni $L_top;\n"
		"$L_out:\n shfl.sync.bfly.b32 %r4|%p2, %r3, 1, 31, -1;\n"
		"@!%p2 add.s32 %r4, %r4, 1000;\n"
		"setp.gt.u32 %p3, %r3, 10;\n vote.sync.ballot.b32 %r5, %p3, -1;\n"
		"mov.b64 %rd5, {%r4, %r5};\n st.global.u64 [%rd11], %rd5;\n ret;\n}\n";
	static uint64_t y[N], x[N];
	struct err e = { 0 };
	uint64_t sums[8], votes = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		sums[i] = i ? i * (i - 1) / 2 : 0;
	for (i = 0; i < 32; i++)
		votes |= (uint64_t)(sums[i % 8] > 10) << i;
	CHECK_IN(e.text, !run(text, (struct io3){ y, x, x, x }, &e));
	for (i = 0; i < N; i++)
		CHECK(y[i] == (sums[(i ^ 1) % 8] | votes << 32));
}

/* All 8 warps write, wait, and read what another warp wrote. */
static void shared_memory(void)
{
	static const char text[] = HEAD ENTRY REGS
		".shared .align 4 .b8 v[1024];\n" ADDRESSES
		"mov.u32 %r1, v;\n shl.b32 %r2, %r8, 2;\n add.s32 %r3, %r1, %r2;\n"
		"ld.global.u32 %r4, [%rd12];\n st.shared.u32 [%r3], %r4;\n bar.sync 0;\n"
		"sub.s32 %r5, 1020, %r2;\n add.s32 %r5, %r1, %r5;\n ld.shared.u32 %r6, [%r5];\n"
		"cvt.u64.u32 %rd5, %r6;\n st.global.u64 [%rd11], %rd5;\n ret;\n}\n";
	static uint64_t y[N], x[N];
	struct err e = { 0 };
	unsigned i;

	for (i = 0; i < N; i++)
		x[i] = rnd(1 << 30);
	CHECK_IN(e.text, !run(text, (struct io3){ y, x, x, x }, &e));
	for (i = 0; i < N; i++)
		CHECK(y[i] == x[N - 1 - i]);
}

/* A load into a wider register fills it with the sign, or with zeros. */
static void loads_extend(void)
{
	static const struct {
		const char *load;
		uint64_t want;
	} cases[] = { { "s8", 0xffffffffffffff80 }, { "u8", 0x80 }, { "s16", 0xffffffffffff8080 },
		{ "u16", 0x8080 }, { "s32", 0xffffffff80808080 }, { "u32", 0x80808080 },
		{ "b64", 0x8080808080808080 } };
	static uint64_t y[N], x[N];
	char text[4000];
	struct err e;
	size_t i;

	memset(x, 0x80, sizeof x);
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		e = (struct err){ 0 };
		snprintf(text, sizeof text,
			"%sld.global.%s %%rd5, [%%rd12];\nst.global.u64 [%%rd11], %%rd5;\nret;\n}\n",
			HEAD ENTRY REGS ADDRESSES, cases[i].load);
		CHECK_IN(e.text, !run(text, (struct io3){ y, x, x, x }, &e));
		CHECK_IN(cases[i].load, y[0] == cases[i].want && y[N - 1] == cases[i].want);
	}
}

/* What is refused, and the word that says why. */
static void refusals(void)
{
	static const struct {
		const char *what, *word;
	} cases[] = {
		{ "add.f32 %f1, %f2, %f3;", "does not know: add.f32" }, /* ptxas may contract it */
		{ "mul.f32 %f1, %f2, %f3;", "does not know" },
		{ "add.rn.ftz.f32 %f1, %f2, %f3;", "does not know" },
		{ "ex2.approx.f32 %f1, %f2;", "does not know" },
		{ "rsqrt.approx.f32 %f1, %f2;", "does not know" },
		{ "div.approx.f32 %f1, %f2, %f3;", "does not know" },
		{ "div.full.f32 %f1, %f2, %f3;", "does not know" },
		{ "sqrt.approx.f32 %f1, %f2;", "does not know" },
		{ "red.global.add.f32 [%rd11], %f1;", "does not know" },
		{ "atom.global.add.f32 %f1, [%rd11], %f2;", "does not know" },
		{ "ld.local.u32 %r1, [%rd11];", "of no known kind" },
		{ "call foo;", "does not know" },
		{ "mov.u32 %r99, 0;", "not a register: %r99" },
		{ "mov.u32 %r1, %clock;", "not an operand" },
		{ "bra $L_nowhere;", "no such label" },
		{ "ld.global.u32 %r1, [%rd11+2];", "not aligned" },
		{ "mov.u64 %rd1, 0;\nld.global.u32 %r1, [%rd1];", "null pointer" },
		{ "mov.u32 %r1, 4096;\nld.shared.u32 %r2, [%r1];", "beyond shared" },
		{ "ld.param.u64 %rd1, [k_param_0+32];", "beyond the parameter" },
		{ "shfl.sync.bfly.b32 %r1|%p1, %r2, 1, 7967, -1;", "parts of a warp" },
		{ "shfl.sync.bfly.b32 %r1|%p1, %r2, 1, 31, 1;", "mask" },
		{ "setp.lt.u32 %p1, %r8, 16;\n@%p1 bra $L_x;\nbar.sync 0;\n$L_x:\nbar.sync 0;",
			"different barriers" },
		{ "setp.lt.u32 %p1, %r8, 16;\n@%p1 shfl.sync.bfly.b32 %r1|%p2, %r2, 1, 31, -1;",
			"elsewhere" },
		{ ".local .align 4 .b8 v[16];", "does not know: .local" },
		{ "mov.u32 %r1, 5", "should be a" },
	};
	static uint64_t y[N], x[N];
	char text[4000];
	struct err e;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		e = (struct err){ 0 };
		snprintf(text, sizeof text, "%s%s\nret;\n}\n", HEAD ENTRY REGS ADDRESSES,
			cases[i].what);
		CHECK_IN(cases[i].what, run(text, (struct io3){ y, x, x, x }, &e) == -1);
		if (!strstr(e.text, cases[i].word)) {
			fprintf(stderr, "%s\n", e.text);
			FAILED(cases[i].what);
		}
	}
}

/* Any cut of a text is an error or a module, never a crash. */
static void cut_texts(void)
{
	static char text[4000], cut[4000];
	struct err e;
	struct ptx *p;
	size_t n, i;

	text_of(text, sizeof text, "fma.rn.f32", "ffff");
	n = strlen(text);
	for (i = 0; i < n; i += 3) {
		memcpy(cut, text, i);
		e = (struct err){ 0 };
		p = ptx_parse(cut, i, &e);
		CHECK(p || e.text[0]);
		ptx_free(p);
	}
}

static const struct test list[] = {
	{ "instructions", instructions },
	{ "lanes_meet", lanes_meet },
	{ "shared_memory", shared_memory },
	{ "loads_extend", loads_extend },
	{ "refusals", refusals },
	{ "cut_texts", cut_texts },
	{ 0 },
};
TEST_MAIN(list)
