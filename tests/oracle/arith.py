"""Derives the lines that build/*/arith prints a second time, from docs/numbers.md, and compares every bit.

A fused multiply-add of floats is made in double: the product of two floats is exact there, the sum is rounded to odd
(the error of the addition, found exactly, decides the last bit), and from an odd result in 53 bits the rounding to 24 or
fewer is the right one. + - * / and sqrt of floats are numpy's, which are IEEE's.

Usage: arith.py < lines
"""
import struct
import sys

import numpy as np

F = np.float32
np.seterr(all="ignore")
NAN = F(np.nan)


def floats(bits):
    return np.asarray(bits, dtype=np.uint32).view(np.float32)


def bits(x):
    x = np.asarray(x, dtype=np.float32)
    return np.where(np.isnan(x), np.uint32(0x7FC00000), x.view(np.uint32))


def fma(a, b, c):
    """a * b + c, rounded once; all float32."""
    p = np.asarray(a, dtype=np.float64) * np.asarray(b, dtype=np.float64)
    c = np.broadcast_to(np.asarray(c, dtype=np.float64), p.shape)
    s = p + c
    v = s - p
    err = (p - (s - v)) + (c - v)
    raw = np.asarray(s).view(np.int64)
    fix = (err != 0) & (raw & 1 == 0) & np.isfinite(s)
    # Towards the error: away from zero if it has the sign of s, else back.
    raw = np.where(fix, np.where((err > 0) == (s > 0), raw + 1, raw - 1), raw)
    return raw.view(np.float64).astype(np.float32)


def h(text):
    return F(float.fromhex(text))


def chain(start, x, constants):
    q = np.full_like(x, h(start))
    for c in constants.split():
        q = fma(q, x, h(c))
    return q


def exp(x):
    magic = F(12582912)
    n = fma(x, h("0x1.715476p+0"), magic) - magic
    r = fma(n, h("-0x1.7f7d1cp-20"), fma(n, h("-0x1.62e4p-1"), x))
    q = chain("0x1.a250a2p-13", r, "0x1.6d4cc8p-10 0x1.110ffep-7 0x1.5554e8p-5 0x1.555556p-3 0x1p-1")
    y = F(1) + fma(q, r * r, r)
    n = np.nan_to_num(np.clip(n, -200, 200))
    half = np.trunc(n / F(2))
    y = (y * np.exp2(half.astype(np.float64)).astype(F)) * np.exp2((n - half).astype(np.float64)).astype(F)
    y = np.where(x > F(88.7228394), F(np.inf), np.where(x < F(-103.972084), F(0), y))
    return np.where(np.isnan(x), NAN, y)


def near(f):
    q = chain("-0x1.e2d432p-5", f, "0x1.afef6ep-4 -0x1.bb0bf8p-4 0x1.c4d88ap-4 -0x1.fd0712p-4 0x1.248676p-3 "
              "-0x1.556256p-3 0x1.999a6ap-3 -0x1.ffffdcp-3 0x1.555554p-2")
    return fma(fma(f, q, F(-0.5)), f * f, f)


def log1p(x):
    u = F(1) + x
    rest = np.where(x < F(1), x - (u - F(1)), F(1) - (u - x))
    b = u.view(np.uint32) - np.uint32(0x3F3504F3)
    k = (b >> 23).astype(np.int32)
    f = ((b & np.uint32(0x7FFFFF)) + np.uint32(0x3F3504F3)).view(np.float32) - F(1)
    f = np.where(k < 26, f + rest * np.exp2(-k.astype(np.float64)).astype(F), f)
    kf = k.astype(F)
    far = fma(kf, h("0x1.62e4p-1"), fma(kf, h("0x1.7f7d1cp-20"), near(f)))
    y = np.where(x < h("0x1.a827fap-2"), near(x), far)
    y = np.where(np.isinf(x), x, y)
    return np.where(x >= 0, y, NAN)


def softplus(x):
    return np.where(x > 20, x, log1p(exp(x)))


def bf16(x):
    b = x.view(np.uint32).astype(np.uint64)
    b = (b + 0x7FFF + (b >> 16 & 1)) & 0xFFFF0000
    return np.where(np.isnan(x), NAN, b.astype(np.uint32).view(np.float32))


def nearest(x, values):
    """Of the ascending values (of codes 0, 1, ..) the nearest to |x|, of two the even code; with x's sign."""
    a = np.abs(x).astype(np.float64)[:, None]
    d = np.abs(a - values[None, :]) * 2 + (np.arange(len(values)) % 2) * 1e-300
    best = values[np.argmin(d, axis=1)]
    # A tie: the distances to two neighbours are equal; argmin takes the lower, which must be even.
    i = np.searchsorted(values, a[:, 0], side="right") - 1
    up = np.minimum(i + 1, len(values) - 1)
    tie = (a[:, 0] - values[i] == values[up] - a[:, 0]) & (up != i)
    best = np.where(tie, np.where(i % 2 == 0, values[i], values[up]), best)
    return np.where(np.isnan(x), NAN, np.copysign(best, x).astype(F))


E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array([(m / 8 if e == 0 else 1 + m / 8) * 2.0 ** (max(e, 1) - 7) for e in range(16) for m in range(8)][:127])


def e4m3_values(codes):
    v = np.append(E4M3, np.nan)[codes & 0x7F]
    return np.copysign(v, np.where(codes & 0x80, -1.0, 1.0)).astype(F)


def power_above(t):
    m, e = np.frexp(t.astype(np.float64))
    e = np.where(m == 0.5, e - 1, e)
    y = np.exp2(e.astype(np.float64)).astype(F)
    return np.where(np.isfinite(t), y, NAN)


def scale(floor, factor):
    def f(amax):
        top = np.where(amax > F(floor), amax, F(floor))
        t = np.where(np.isnan(amax), F(floor), top) * F(factor)
        return power_above(t)
    return f


FUNCTIONS = {
    "exp": exp,
    "sigmoid": lambda x: F(1) / (F(1) + exp(-x)),
    "silu": lambda x: x / (F(1) + exp(-x)),
    "log1p": log1p,
    "softplus": softplus,
    "rsqrt": lambda x: F(1) / np.sqrt(x),
    "bf16": bf16,
    "e4m3": lambda x: nearest(np.clip(x, F(-448), F(448)), E4M3),
    "e2m1": lambda x: nearest(x, E2M1),
    "scale_fp8": scale(1e-4, F(1) / F(448)),
    "scale_fp4": scale(6 * 2.0**-126, F(1) / F(6)),
}


def tree(lane):
    i = np.arange(32)
    for bit in (16, 8, 4, 2, 1):
        lane = lane + lane[..., i ^ bit]
    return lane[..., 0]


def linear(kind, quant, rows, tokens, cols, data):
    raw = data["codes"]
    if kind == "fp4":
        b = np.frombuffer(raw, np.uint8).reshape(rows, cols // 2)
        code = np.stack([b & 15, b >> 4], axis=2).reshape(rows, cols)
        w = (E2M1[code & 7] * np.where(code & 8, -1.0, 1.0)).astype(F)
    elif kind == "fp8":
        w = e4m3_values(np.frombuffer(raw, np.uint8).reshape(rows, cols))
    elif kind == "bf16":
        w = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(F).reshape(rows, cols)
    else:
        w = np.frombuffer(raw, "<f4").reshape(rows, cols)
    sw = np.exp2(np.frombuffer(data["scales"], np.uint8).astype(np.float64) - 127).astype(F)
    lane = np.zeros((tokens, rows, 32), F)
    if not quant:
        if kind == "fp8":
            w = bf16((w * np.repeat(sw, 128)[None, :cols]).astype(F))
        x = np.frombuffer(data["x"], "<f4").reshape(tokens, cols)
        for k in range(cols):
            lane[..., k % 32] = fma(x[:, None, k], w[None, :, k], lane[..., k % 32])
        return tree(lane)
    q = e4m3_values(np.frombuffer(data["q"], np.uint8).reshape(tokens, cols))
    s = np.frombuffer(data["s"], "<f4").reshape(tokens, cols // 128)
    block = 32 if kind == "fp4" else 128
    sw = sw.reshape(rows, cols // 32) if kind == "fp4" else np.broadcast_to(sw, (rows, cols // 128))
    for at in range(0, cols, block):
        p = np.zeros((tokens, rows, 32), F)
        for k in range(at, at + block):
            p[..., k % 32] = fma(q[:, None, k], w[None, :, k], p[..., k % 32])
        f = s[:, None, at // 128] * sw[None, :, at // block]
        lane = fma(p, np.broadcast_to(f[..., None], p.shape), lane)
    return bf16(tree(lane))


def main():
    seen, bad, count = {}, 0, 0
    lines = sys.stdin.read().split("\n")
    i = 0
    while i < len(lines):
        word = lines[i].split()
        if word and word[0] == "linear":
            kind, quant, rows, tokens, cols = word[1], word[2] == "1", *map(int, word[3:])
            data = {}
            for line in lines[i + 1:i + 7]:
                name, _, value = line.partition(" ")
                data[name] = bytes.fromhex(value)
            i += 6
            want = bits(linear(kind, quant, rows, tokens, cols, data)).reshape(-1)
            got = np.frombuffer(data["y"], "<u4")
            count += len(got)
            for t in np.nonzero(want != got)[0]:
                bad += 1
                print("linear %s %d x %d: output %d: %08x, expected %08x" % (kind, rows, cols, t, got[t], want[t]))
        elif word:
            seen.setdefault(word[0], []).append((int(word[1], 16), int(word[2], 16)))
        i += 1
    for name, pairs in seen.items():
        x, got = (np.array(v, dtype=np.uint32) for v in zip(*pairs))
        want = bits(FUNCTIONS[name](floats(x)))
        count += len(got)
        for k in np.nonzero(want != got)[0][:5]:
            bad += 1
            print("%s(%08x): %08x, expected %08x" % (name, x[k], got[k], want[k]))
    if set(FUNCTIONS) - set(seen) or not count:
        print("missing:", sorted(set(FUNCTIONS) - set(seen)))
        return 1
    print(count, "values")
    return bad != 0


sys.exit(main())
