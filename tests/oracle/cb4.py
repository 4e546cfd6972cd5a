"""Tables of Engram in 4 bits with levels of their own (engram-cb4), a second time.

What it is: what docs/layouts.md and docs/quant.md say of cb4, in numpy: decode, the scale of a block as the best of four, and the
levels of a table as the end of Lloyd's iteration. It shares nothing with quant/cb4*.c. MXFP4 beside it is that of records.py.
What it is not: quick, or for tables that are larger than the sample.

	cb4.py SOURCE OUT   holds each table of OUT to SOURCE: every code and scale, the levels to a relative 1e-5, and the error, which is
	                    not above that of MXFP4
	cb4.py drawn      tables drawn at random: the error over that of MXFP4, which is at most 0.6
"""

import sys

import numpy as np

from records import e4m3

OFFSETS = [0, -1, 1, -2]
TIMES = 10
VALUES = e4m3()


def e5m3():
    byte = np.arange(256)
    e, m = byte >> 3, byte & 7
    return np.where(e == 0, m * 2.0**-17, (8 + m) * 2.0 ** (e - 18.0))


SCALES = e5m3()


def nearest(levels, p):
    """Numbers of levels: how many borders p is above."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, p, side="left")


def decode(levels, codes, scales):
    index = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(codes), -1)
    return levels[index] * np.repeat(SCALES[scales], 32, axis=1)


def encode(levels, power, values):
    """Codes and scale of each block of values [n, 32], and how far the scale is from the first that is tried."""
    top = np.abs(values).max(axis=1)
    first = np.searchsorted(SCALES, top / 2.0**power, side="right") - 1
    best = None
    for k in OFFSETS:
        q = np.clip(first + k, 0, 255)
        scale = SCALES[q][:, None]
        x = np.divide(values, scale, out=np.where(values > 0, np.inf, -np.inf), where=scale > 0)
        index = np.where(values == 0, nearest(levels, 0.0), nearest(levels, x))
        with np.errstate(invalid="ignore"):
            error = ((values - levels[index] * scale) / top[:, None]) ** 2
        units = np.minimum(np.floor(error * 2.0**24 + 0.5), 2**25 - 1)
        units = np.where(values != levels[index] * scale, np.maximum(units, 1), units).sum(axis=1)
        if best is None:
            best = [units, index, q]
        else:
            less = units < best[0]
            best = [np.where(less, units, best[0]), np.where(less[:, None], index, best[1]), np.where(less, q, best[2])]
    zero = top == 0
    near = np.abs(levels).argmin()
    return np.where(zero[:, None], near, best[1]), np.where(zero, 0, best[2]), first


def lloyd(levels, fixed, x, w):
    levels = levels.copy()
    order = np.argsort(x, kind="stable")
    x, w = x[order], w[order]
    sw, swx = np.concatenate([[0], np.cumsum(w)]), np.concatenate([[0], np.cumsum(w * x)])
    for _ in range(2000):
        at = np.concatenate([[0], np.searchsorted(x, (levels[1:] + levels[:-1]) / 2, side="right"), [len(x)]])
        n = sw[at[1:]] - sw[at[:-1]]
        new = np.divide(swx[at[1:]] - swx[at[:-1]], n, out=levels.copy(), where=n > 0)
        if fixed is not None:
            new[fixed] = levels[fixed]
        new = np.maximum.accumulate(new)
        if (new == levels).all():
            break
        levels = new
    return levels


def spread(fixed):
    i = np.arange(16.0)
    if fixed is None:
        return (2 * i - 15) / 15
    return np.where(i < fixed, (i - fixed) / fixed, (i - fixed) / (15 - fixed))


def learn(values, scales):
    """values [n, 32] of blocks with E8M0 bytes [n]; all are the sample. Returns levels, not yet times 2^power, and power."""
    top = np.abs(values).max(axis=1)
    used = scales[top > 0]
    power = max(int(used.max()) - 134, -100) if len(used) else 0
    first = np.searchsorted(SCALES, top / 2.0**power, side="right") - 1
    v, top = values[(top > 0) & (first >= 10)], top[(top > 0) & (first >= 10)]
    if not len(v):
        return spread(7), power
    x, w = (v / top[:, None]).ravel(), np.ones(v.size)
    if (v == 0).any():
        ends = [(lloyd(spread(k), k, x, w), k) for k in (7, 8)]
        errors = [((x - e[nearest(e, x)]) ** 2).sum() for e, _ in ends]
        levels, fixed = ends[int(errors[1] < errors[0])]
    else:
        levels, fixed = lloyd(spread(None), None, x, w), None
    for _ in range(TIMES):
        kept = as_kept(levels, power)
        _, q, _ = encode(kept, power, v)
        scale = SCALES[q][:, None] * 2.0**power
        x, w = (v / scale).ravel(), np.broadcast_to((scale / top[:, None]) ** 2, v.shape).ravel()
        levels = lloyd(levels, fixed, x, w)
    return levels, power


def as_kept(levels, power):
    return (levels * 2.0**power).astype(np.float32).astype(np.float64)


def mxfp4_error(values):
    """The squares that MXFP4 loses: scales by the rule EVEN."""
    top = np.abs(values).max(axis=1)
    e = np.frexp(top)[1] - 1.0
    scale = 2.0 ** np.maximum(e - 2 + (top >= 1.75 * 2.0**e), -127.0)[:, None]
    has = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    x = np.abs(values) / scale
    return ((has[np.searchsorted((has[1:] + has[:-1]) / 2, x)] - x) ** 2 * scale**2).sum()


def judge(source, out):
    from tensors import read_checkpoint

    have, made, said, wrong = read_checkpoint(source), read_checkpoint(out), [], []
    for name in sorted(n for n in have if n.endswith(".engram.embed.weight")):
        stem = name[: -len("weight")]
        codes, e8m0 = have[name].data[..., 0], have[stem + "scale"].data[..., 0]
        rows, columns = codes.shape
        scales = e8m0.reshape(-1).astype(int)
        values = VALUES[codes].reshape(-1, 32) * 2.0 ** (scales[:, None] - 127.0)
        record, levels = made[stem + "cb4"], made[stem + "levels"]
        if (record.dtype, tuple(record.shape)) != ("U8", (rows, columns // 2 + columns // 32)) or (
            levels.dtype,
            tuple(levels.shape),
        ) != ("F32", (16,)):
            wrong.append(f"{stem}: other types or shapes")
            continue
        is_levels = levels.data.reshape(-1).view("<f4").astype(np.float64)
        want, power = learn(values, scales)
        want = as_kept(want, power)
        if not np.allclose(is_levels, want, rtol=1e-5, atol=2.0 ** (power - 30)):
            wrong.append(f"{stem}: levels {is_levels} and not {want}")
        index, q, _ = encode(is_levels, power, values)
        index = index.reshape(rows, columns).astype(np.uint8)
        packed = np.concatenate([index[:, 0::2] | index[:, 1::2] << 4, q.reshape(rows, -1).astype(np.uint8)], axis=1)
        bytes_of = record.data[..., 0]
        if not (bytes_of == packed).all():
            at = np.argwhere(bytes_of != packed)[0]
            wrong.append(f"{stem}: byte {at[1]} of row {at[0]} is {bytes_of[tuple(at)]} and not {packed[tuple(at)]}")
        half = columns // 2
        is_values = decode(is_levels, bytes_of[:, :half], bytes_of[:, half:]).reshape(-1, 32)
        ratio = ((is_values - values) ** 2).sum() / mxfp4_error(values)
        if not ratio <= 1:
            wrong.append(f"{stem}: the error is {ratio} of that of MXFP4")
        said.append(f"{stem}: {ratio:.3f} of the error of MXFP4")
    if not said and not wrong:
        wrong.append("no table")
    print("\n".join(wrong or said))
    return bool(wrong)


def drawn():
    rng = np.random.default_rng(1)
    failed = False
    magnitudes = np.abs(VALUES[:127])
    for name, x in [
        ("gaussian", rng.normal(size=(20000, 32))),
        ("uniform", rng.uniform(-1, 1, size=(20000, 32))),
        ("laplace", rng.laplace(size=(20000, 32))),
        ("student, 5 degrees", rng.standard_t(5, size=(20000, 32))),
    ]:
        scales = np.ceil(np.log2(np.abs(x).max(axis=1) / 448)).astype(int) + 127
        unit = 2.0 ** (scales[:, None] - 127.0)
        near = np.searchsorted((magnitudes[1:] + magnitudes[:-1]) / 2, np.abs(x) / unit)
        values = np.sign(x) * magnitudes[near] * unit
        levels, power = learn(values, scales)
        kept = as_kept(levels, power)
        index, q, _ = encode(kept, power, values)
        ratio = ((kept[index] * SCALES[q][:, None] - values) ** 2).sum() / mxfp4_error(values)
        print(f"{name}: {ratio:.3f} of the error of MXFP4")
        failed = failed or ratio > 0.6
    return failed


if __name__ == "__main__":
    sys.exit(int(drawn() if sys.argv[1:] == ["drawn"] else judge(*sys.argv[1:])))
