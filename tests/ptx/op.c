/* op.c -- the table of instructions: every name that runs, and what it means.
 *
 * After "Parallel Thread Execution ISA", version 9.0, section 9.7. Registers are 64 bits wide here; an
 * instruction reads as many as its type has and writes the rest as zero.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ptx/module.h"

#include <math.h>
#include <string.h>

static inline float f32(uint64_t v)
{
	uint32_t u = (uint32_t)v;
	float f;

	memcpy(&f, &u, sizeof f);
	return f;
}

static inline uint64_t of_f32(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	/* A NaN that was computed is this one on every GPU. */
	return f != f ? 0x7fffffff : u;
}

static inline double f64(uint64_t v)
{
	double f;

	memcpy(&f, &v, sizeof f);
	return f;
}

static inline uint64_t of_f64(double f)
{
	uint64_t u;

	memcpy(&u, &f, sizeof u);
	return f != f ? 0x7fffffffffffffff : u;
}

/* min and max: the operand that is a number; -0 is below +0. */
static inline uint64_t least(uint64_t x, uint64_t y, bool max)
{
	float a = f32(x), b = f32(y);

	if (a != a || b != b)
		return a != a && b != b ? 0x7fffffff : a != a ? (uint32_t)y : (uint32_t)x;
	if (a == b)
		return (signbit(a) != 0) != max ? (uint32_t)x : (uint32_t)y;
	return (a < b) != max ? (uint32_t)x : (uint32_t)y;
}

/* Toward zero, what does not fit to the ends, NaN to 0. */
static inline uint64_t whole(double v, double low, double high, bool sign, unsigned bits)
{
	uint64_t ones = bits == 64 ? UINT64_MAX : (((uint64_t)1 << bits) - 1);

	if (v != v)
		return 0;
	if (v <= low)
		return sign ? (uint64_t)1 << (bits - 1) : 0;
	if (v >= high)
		return sign ? ones >> 1 : ones;
	return (sign ? (uint64_t)(int64_t)v : (uint64_t)v) & ones;
}

static inline uint64_t permute(uint64_t a, uint64_t b, uint64_t s)
{
	uint64_t both = (b & 0xffffffff) << 32 | (a & 0xffffffff), r = 0, byte, pick;
	unsigned i;

	for (i = 0; i < 4; i++) {
		pick = s >> (4 * i) & 15;
		byte = both >> (8 * (pick & 7)) & 255;
		if (pick & 8)
			byte = byte & 128 ? 255 : 0;
		r |= byte << (8 * i);
	}
	return r;
}

/* Bit field insert: a into b; d = pos, n = length, of a word of so many bits. */
static inline uint64_t insert(uint64_t a, uint64_t b, uint64_t pos, uint64_t n, unsigned bits)
{
	uint64_t mask;

	pos &= 255;
	n &= 255;
	if (pos >= bits || !n)
		return b;
	mask = n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
	mask <<= pos;
	return (b & ~mask) | (a << pos & mask);
}

static inline uint64_t extract(uint64_t a, uint64_t pos, uint64_t n, unsigned bits, bool sign)
{
	uint64_t r = 0, i, top;

	pos &= 255;
	n &= 255;
	top = pos + n - 1 < bits - 1 ? pos + n - 1 : bits - 1;
	for (i = 0; i < bits; i++) {
		if (i < n && pos + i < bits)
			r |= (a >> (pos + i) & 1) << i;
		else if (sign && n)
			r |= (a >> top & 1) << i;
	}
	return r;
}

static inline uint64_t logic3(uint64_t a, uint64_t b, uint64_t c, uint64_t table)
{
	uint64_t r = 0;
	unsigned i;

	for (i = 0; i < 8; i++) {
		if (table >> i & 1)
			r |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
	}
	return r & 0xffffffff;
}

static inline uint64_t reversed(uint64_t a, unsigned bits)
{
	uint64_t r = 0;
	unsigned i;

	for (i = 0; i < bits; i++)
		r |= (a >> i & 1) << (bits - 1 - i);
	return r;
}

/* One function for an instruction: d = value, for the lanes of the mask. x, y, z are the operands, z2 the
 * fourth. */
#define DO(id, value)                                                                      \
	static void id(struct warp *w, const struct ins *in, uint32_t mask)                \
	{                                                                                  \
		uint64_t *d = w->reg[in->d[0]], x, y, z, z2;                               \
		const uint64_t *a = w->reg[in->a], *b = w->reg[in->b], *c = w->reg[in->c], \
			       *m = w->reg[in->m];                                         \
		unsigned l;                                                                \
                                                                                           \
		for (l = 0; l < LANES; l++) {                                              \
			x = a[l], y = b[l], z = c[l], z2 = m[l];                           \
			(void)x, (void)y, (void)z, (void)z2;                               \
			if (mask >> l & 1)                                                 \
				d[l] = (value);                                            \
		}                                                                          \
	}

#define U16(v) ((uint64_t)(uint16_t)(v))
#define U32(v) ((uint64_t)(uint32_t)(v))
#define U64(v) ((uint64_t)(v))
#define S16(v) ((int64_t)(int16_t)(v))
#define S32(v) ((int64_t)(int32_t)(v))
#define S64(v) ((int64_t)(v))
/* A shift takes 32 bits and stops at the width. */
#define BY(v, bits) (U32(v) < (bits) ? U32(v) : (bits))

/* The whole numbers of w bits: U and S read them. */
#define WHOLE(w, U, S)                                                            \
	DO(add_##w, U(x + y))                                                     \
	DO(sub_##w, U(x - y))                                                     \
	DO(mul_##w, U(x *y))                                                      \
	DO(mad_##w, U(x *y + z))                                                  \
	DO(neg_##w, U(-x))                                                        \
	DO(not_##w, U(~x))                                                        \
	DO(abs_##w, S(x) < 0 ? U(-x) : U(x))                                      \
	DO(and_##w, U(x &y))                                                      \
	DO(or_##w, U(x | y))                                                      \
	DO(xor_##w, U(x ^ y))                                                     \
	DO(mov_##w, U(x))                                                         \
	DO(selp_##w, z & 1 ? U(x) : U(y))                                         \
	DO(shl_##w, BY(y, w) == w ? 0 : U(U(x) << BY(y, w)))                      \
	DO(shru_##w, BY(y, w) == w ? 0 : U(x) >> BY(y, w))                        \
	DO(shrs_##w, U(S(x) >> (BY(y, w) == w ? w - 1 : BY(y, w))))               \
	DO(divu_##w, U(y) ? U(x) / U(y) : U(UINT64_MAX))                          \
	DO(remu_##w, U(y) ? U(x) % U(y) : U(x))                                   \
	DO(divs_##w, !U(y) ? U(UINT64_MAX) : S(y) == -1 ? U(-x) : U(S(x) / S(y))) \
	DO(rems_##w, !U(y) ? U(x) : S(y) == -1 ? 0 : U(S(x) % S(y)))              \
	DO(minu_##w, U(x) < U(y) ? U(x) : U(y))                                   \
	DO(maxu_##w, U(x) > U(y) ? U(x) : U(y))                                   \
	DO(mins_##w, S(x) < S(y) ? U(x) : U(y))                                   \
	DO(maxs_##w, S(x) > S(y) ? U(x) : U(y))                                   \
	DO(eq_##w, U(x) == U(y))                                                  \
	DO(ne_##w, U(x) != U(y))                                                  \
	DO(ltu_##w, U(x) < U(y))                                                  \
	DO(leu_##w, U(x) <= U(y))                                                 \
	DO(gtu_##w, U(x) > U(y))                                                  \
	DO(geu_##w, U(x) >= U(y))                                                 \
	DO(lts_##w, S(x) < S(y))                                                  \
	DO(les_##w, S(x) <= S(y))                                                 \
	DO(gts_##w, S(x) > S(y))                                                  \
	DO(ges_##w, S(x) >= S(y))
WHOLE(16, U16, S16)
WHOLE(32, U32, S32)
WHOLE(64, U64, S64)

DO(widenu_16, U32(U16(x) * U16(y)))
DO(widens_16, U32(S16(x) * S16(y)))
DO(widenu_32, U32(x) * U32(y))
DO(widens_32, U64(S32(x) * S32(y)))
DO(madwu_32, U32(x) * U32(y) + z)
DO(madws_32, U64(S32(x) * S32(y)) + z)
DO(highu_32, U32(x) * U32(y) >> 32)
DO(highs_32, U32((S32(x) * S32(y)) >> 32))
DO(highu_64, U64((unsigned __int128)x *y >> 64))
DO(highs_64, U64((__int128)S64(x) * S64(y) >> 64))
DO(bfi_32, U32(insert(U32(x), U32(y), z, z2, 32)))
DO(bfi_64, insert(x, y, z, z2, 64))
DO(bfeu_32, extract(U32(x), y, z, 32, false))
DO(bfes_32, extract(U32(x), y, z, 32, true))
DO(bfeu_64, extract(x, y, z, 64, false))
DO(bfes_64, extract(x, y, z, 64, true))
DO(prmt, permute(x, y, z))
DO(lop3, logic3(x, y, z, z2))
DO(popc_32, U64(__builtin_popcountll(U32(x))))
DO(popc_64, U64(__builtin_popcountll(x)))
DO(clz_32, U32(x) ? U64(__builtin_clzll(U32(x)) - 32) : 32)
DO(clz_64, x ? U64(__builtin_clzll(x)) : 64)
DO(brev_32, reversed(x, 32))
DO(brev_64, reversed(x, 64))
/* Funnel shifts: of the pair y:x. */
DO(shflw, U32((U32(y) << 32 | U32(x)) << (z & 31) >> 32))
DO(shfrw, U32((U32(y) << 32 | U32(x)) >> (z & 31)))

DO(and_p, x &y & 1)
DO(or_p, (x | y) & 1)
DO(xor_p, (x ^ y) & 1)
DO(not_p, ~x & 1)
DO(mov_p, x & 1)

DO(addf, of_f32(f32(x) + f32(y)))
DO(subf, of_f32(f32(x) - f32(y)))
DO(mulf, of_f32(f32(x) * f32(y)))
DO(divf, of_f32(f32(x) / f32(y)))
DO(rcpf, of_f32(1.0f / f32(x)))
DO(fmaf_, of_f32(fmaf(f32(x), f32(y), f32(z))))
DO(sqrtf_, of_f32(sqrtf(f32(x))))
DO(negf, U32(x) ^ 0x80000000)
DO(absf, U32(x) & 0x7fffffff)
DO(minf, least(x, y, false))
DO(maxf, least(x, y, true))
DO(addd, of_f64(f64(x) + f64(y)))
DO(subd, of_f64(f64(x) - f64(y)))
DO(muld, of_f64(f64(x) * f64(y)))
DO(divd, of_f64(f64(x) / f64(y)))
DO(fmad, of_f64(fma(f64(x), f64(y), f64(z))))
DO(sqrtd, of_f64(sqrt(f64(x))))
DO(negd, x ^ 0x8000000000000000)
DO(absd, x & 0x7fffffffffffffff)

#define ORDER(t, F)                                \
	DO(eq_##t, F(x) == F(y))                   \
	DO(ne_##t, F(x) < F(y) || F(x) > F(y))     \
	DO(lt_##t, F(x) < F(y))                    \
	DO(le_##t, F(x) <= F(y))                   \
	DO(gt_##t, F(x) > F(y))                    \
	DO(ge_##t, F(x) >= F(y))                   \
	DO(equ_##t, !(F(x) < F(y) || F(x) > F(y))) \
	DO(neu_##t, !(F(x) == F(y)))               \
	DO(ltu_##t, !(F(x) >= F(y)))               \
	DO(leu_##t, !(F(x) > F(y)))                \
	DO(gtu_##t, !(F(x) <= F(y)))               \
	DO(geu_##t, !(F(x) < F(y)))                \
	DO(nan_##t, F(x) != F(x) || F(y) != F(y))  \
	DO(num_##t, F(x) == F(x) && F(y) == F(y))
ORDER(f32, f32)
ORDER(f64, f64)

DO(s32_f32, of_f32((float)S32(x)))
DO(u32_f32, of_f32((float)U32(x)))
DO(s64_f32, of_f32((float)S64(x)))
DO(u64_f32, of_f32((float)x))
DO(s16_f32, of_f32((float)S16(x)))
DO(u16_f32, of_f32((float)U16(x)))
DO(s32_f64, of_f64((double)S32(x)))
DO(u32_f64, of_f64((double)U32(x)))
DO(f32_f64, of_f64((double)f32(x)))
DO(f64_f32, of_f32((float)f64(x)))
DO(f32_s32, whole((double)f32(x), -2147483648.0, 2147483648.0, true, 32))
DO(f32_u32, whole((double)f32(x), 0, 4294967296.0, false, 32))
DO(f32_s64, whole((double)f32(x), -9223372036854775808.0, 9223372036854775808.0, true, 64))
DO(f32_u64, whole((double)f32(x), 0, 18446744073709551616.0, false, 64))
DO(f32_s32n, whole(rint((double)f32(x)), -2147483648.0, 2147483648.0, true, 32))
DO(near_f32, of_f32(rintf(f32(x))))
DO(down_f32, of_f32(floorf(f32(x))))
DO(up_f32, of_f32(ceilf(f32(x))))
DO(trunc_f32, of_f32(truncf(f32(x))))
DO(u8_, x & 255)
DO(s8_16, U16((int8_t)x))
DO(s8_32, U32((int8_t)x))
DO(s8_64, U64((int8_t)x))
DO(s16_32, U32(S16(x)))
DO(s16_64, U64(S16(x)))
DO(s32_64, U64(S32(x)))

#define P(name, n, run)                            \
	{                                          \
		name, FORM_PLAIN, n, 0, false, run \
	}
#define INT3(name, f) P(name "16", 3, f##_16), P(name "32", 3, f##_32), P(name "64", 3, f##_64)
#define INT2(name, f) P(name "16", 2, f##_16), P(name "32", 2, f##_32), P(name "64", 2, f##_64)
#define INT4(name, f) P(name "16", 4, f##_16), P(name "32", 4, f##_32), P(name "64", 4, f##_64)
#define BOTH3(name, f) INT3(name ".s", f), INT3(name ".u", f)
#define ALL2(name, f)                                                                          \
	INT2(name ".s", f), INT2(name ".u", f), INT2(name ".b", f), P(name ".f32", 2, f##_32), \
		P(name ".f64", 2, f##_64)
#define SET(cmp, s, u) INT3("setp." cmp ".s", s), INT3("setp." cmp ".u", u)
#define SETF(cmp) P("setp." #cmp ".f32", 3, cmp##_f32), P("setp." #cmp ".f64", 3, cmp##_f64)
#define MEM(ext, bytes, sign)                              \
	{ "ld" ext, FORM_LOAD, 0, bytes, sign, NULL },     \
	{                                                  \
		"st" ext, FORM_STORE, 0, bytes, sign, NULL \
	}
/* To a type of 32 bits from one of 32 or 64 and so on: the low bits stay. */
#define CUT(to, from, run) P("cvt." to "." from, 2, run)

/* clang-format off */
static const struct op ops[] = {
	BOTH3("add", add), BOTH3("sub", sub), BOTH3("mul.lo", mul),
	INT4("mad.lo.s", mad), INT4("mad.lo.u", mad),
	P("mul.wide.u16", 3, widenu_16), P("mul.wide.s16", 3, widens_16),
	P("mul.wide.u32", 3, widenu_32), P("mul.wide.s32", 3, widens_32),
	P("mad.wide.u32", 4, madwu_32), P("mad.wide.s32", 4, madws_32),
	P("mul.hi.u32", 3, highu_32), P("mul.hi.s32", 3, highs_32),
	P("mul.hi.u64", 3, highu_64), P("mul.hi.s64", 3, highs_64),
	INT3("div.u", divu), INT3("div.s", divs), INT3("rem.u", remu), INT3("rem.s", rems),
	INT3("min.u", minu), INT3("min.s", mins), INT3("max.u", maxu), INT3("max.s", maxs),
	INT2("neg.s", neg), INT2("abs.s", abs), INT2("not.b", not),
	INT3("and.b", and), INT3("or.b", or), INT3("xor.b", xor),
	INT3("shl.b", shl), INT3("shr.u", shru), INT3("shr.b", shru), INT3("shr.s", shrs),
	INT4("selp.s", selp), INT4("selp.u", selp), INT4("selp.b", selp),
	P("selp.f32", 4, selp_32), P("selp.f64", 4, selp_64),
	ALL2("mov", mov),
	P("bfi.b32", 5, bfi_32), P("bfi.b64", 5, bfi_64),
	P("bfe.u32", 4, bfeu_32), P("bfe.s32", 4, bfes_32),
	P("bfe.u64", 4, bfeu_64), P("bfe.s64", 4, bfes_64),
	P("prmt.b32", 4, prmt), P("lop3.b32", 5, lop3),
	P("popc.b32", 2, popc_32), P("popc.b64", 2, popc_64),
	P("clz.b32", 2, clz_32), P("clz.b64", 2, clz_64),
	P("brev.b32", 2, brev_32), P("brev.b64", 2, brev_64),
	P("shf.l.wrap.b32", 4, shflw), P("shf.r.wrap.b32", 4, shfrw),
	P("and.pred", 3, and_p), P("or.pred", 3, or_p), P("xor.pred", 3, xor_p),
	P("not.pred", 2, not_p), P("mov.pred", 2, mov_p),
	SET("eq", eq, eq), SET("ne", ne, ne), INT3("setp.eq.b", eq), INT3("setp.ne.b", ne),
	SET("lt", lts, ltu), SET("le", les, leu), SET("gt", gts, gtu), SET("ge", ges, geu),
	SETF(eq), SETF(ne), SETF(lt), SETF(le), SETF(gt), SETF(ge),
	SETF(equ), SETF(neu), SETF(ltu), SETF(leu), SETF(gtu), SETF(geu), SETF(nan), SETF(num),
	P("add.rn.f32", 3, addf), P("sub.rn.f32", 3, subf), P("mul.rn.f32", 3, mulf),
	P("fma.rn.f32", 4, fmaf_), P("div.rn.f32", 3, divf), P("rcp.rn.f32", 2, rcpf),
	P("sqrt.rn.f32", 2, sqrtf_), P("neg.f32", 2, negf), P("abs.f32", 2, absf),
	P("min.f32", 3, minf), P("max.f32", 3, maxf),
	P("add.rn.f64", 3, addd), P("sub.rn.f64", 3, subd), P("mul.rn.f64", 3, muld),
	P("fma.rn.f64", 4, fmad), P("div.rn.f64", 3, divd), P("sqrt.rn.f64", 2, sqrtd),
	P("neg.f64", 2, negd), P("abs.f64", 2, absd),
	P("cvt.rn.f32.s32", 2, s32_f32), P("cvt.rn.f32.u32", 2, u32_f32), P("cvt.rn.f32.s64", 2, s64_f32),
	P("cvt.rn.f32.u64", 2, u64_f32), P("cvt.rn.f32.s16", 2, s16_f32), P("cvt.rn.f32.u16", 2, u16_f32),
	P("cvt.rn.f64.s32", 2, s32_f64), P("cvt.rn.f64.u32", 2, u32_f64),
	P("cvt.f64.f32", 2, f32_f64), P("cvt.rn.f32.f64", 2, f64_f32),
	P("cvt.rzi.s32.f32", 2, f32_s32), P("cvt.rzi.u32.f32", 2, f32_u32),
	P("cvt.rzi.s64.f32", 2, f32_s64), P("cvt.rzi.u64.f32", 2, f32_u64), P("cvt.rni.s32.f32", 2, f32_s32n),
	P("cvt.rni.f32.f32", 2, near_f32), P("cvt.rmi.f32.f32", 2, down_f32),
	P("cvt.rpi.f32.f32", 2, up_f32), P("cvt.rzi.f32.f32", 2, trunc_f32),
	CUT("u16", "u8", u8_), CUT("u32", "u8", u8_), CUT("u64", "u8", u8_), CUT("s32", "u8", u8_), CUT("s64", "u8", u8_),
	CUT("s16", "s8", s8_16), CUT("s32", "s8", s8_32), CUT("u32", "s8", s8_32), CUT("s64", "s8", s8_64),
	CUT("u32", "u16", mov_16), CUT("u64", "u16", mov_16), CUT("s32", "u16", mov_16), CUT("s64", "u16", mov_16),
	CUT("s32", "s16", s16_32), CUT("u32", "s16", s16_32), CUT("s64", "s16", s16_64), CUT("u64", "s16", s16_64),
	CUT("u16", "u32", mov_16), CUT("u16", "s32", mov_16), CUT("s16", "s32", mov_16), CUT("u16", "u64", mov_16),
	CUT("u64", "u32", mov_32), CUT("s64", "u32", mov_32), CUT("s64", "s32", s32_64), CUT("u64", "s32", s32_64),
	CUT("u32", "u64", mov_32), CUT("u32", "s64", mov_32), CUT("s32", "s64", mov_32), CUT("s32", "u64", mov_32),
	P("cvta.to.global.u64", 2, mov_64),
	MEM(".u8", 1, false), MEM(".s8", 1, true), MEM(".b8", 1, false), MEM(".u16", 2, false), MEM(".s16", 2, true), MEM(".b16", 2, false),
	MEM(".u32", 4, false), MEM(".s32", 4, true), MEM(".b32", 4, false), MEM(".f32", 4, false),
	MEM(".u64", 8, false), MEM(".s64", 8, false), MEM(".b64", 8, false), MEM(".f64", 8, false),
	{ "pack.b64", FORM_PACK, 0, 4, false, NULL }, { "unpack.b64", FORM_UNPACK, 0, 4, false, NULL },
	{ "pack.b32", FORM_PACK, 0, 2, false, NULL }, { "unpack.b32", FORM_UNPACK, 0, 2, false, NULL },
	{ "shfl.sync.bfly.b32", FORM_SHUFFLE, 0, 0, false, NULL }, { "shfl.sync.down.b32", FORM_SHUFFLE, 0, 0, false, NULL },
	{ "shfl.sync.up.b32", FORM_SHUFFLE, 0, 0, false, NULL }, { "shfl.sync.idx.b32", FORM_SHUFFLE, 0, 0, false, NULL },
	{ "vote.sync.ballot.b32", FORM_VOTE, 0, 0, false, NULL }, { "vote.sync.all.pred", FORM_VOTE, 0, 0, false, NULL },
	{ "vote.sync.any.pred", FORM_VOTE, 0, 0, false, NULL },
	{ "bra", FORM_BRANCH, 0, 0, false, NULL }, { "bra.uni", FORM_BRANCH, 0, 0, false, NULL },
	{ "bar.sync", FORM_BARRIER, 0, 0, false, NULL }, { "barrier.sync", FORM_BARRIER, 0, 0, false, NULL },
	{ "bar.warp.sync", FORM_WARP_BARRIER, 0, 0, false, NULL },
	{ "ret", FORM_END, 0, 0, false, NULL }, { "exit", FORM_END, 0, 0, false, NULL },
};
/* clang-format on */

const struct op *op_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof ops / sizeof *ops; i++) {
		if (!strcmp(ops[i].name, name))
			return &ops[i];
	}
	return NULL;
}
