"""Times the usual ways of making new number formats in numpy, on one V4-Flash expert matrix or as large an FP8 one.

Prints a line for each: its name, a tab, GB/s of what is written. Used by make bench for the ratios to the C rows, which
have the same names.
"""
import time

import ml_dtypes
import numpy as np

ROWS, COLS, LEAST = 2048, 4096, 100
BOUNDS = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5], np.float32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def values_of(codes, scales):
    factor = np.exp2(scales.astype(np.float32) - 127)
    return E2M1[unpacked(codes)].reshape(ROWS, -1, 32) * factor[:, :, None]


def nvfp4(codes, scales):
    """Through values, as ModelOpt goes: E8M0 scales over the factor become E4M3, and values over them codes again."""
    exponents = scales.astype(np.int32) - int(scales.max()) + 8
    assert exponents.min() >= -9
    new = np.exp2(exponents.astype(np.float32))
    values = values_of(codes, scales) / (new * np.float32(2.0 ** (int(scales.max()) - 8 - 127)))[:, :, None]
    found = np.searchsorted(BOUNDS, np.abs(values)).astype(np.uint8) | np.signbit(values).astype(np.uint8) << 3
    found = found.reshape(ROWS, COLS)
    return found[:, 0::2] | found[:, 1::2] << 4, np.repeat(new.astype(ml_dtypes.float8_e4m3fn), 2, axis=1)


def unpacked(codes):
    out = np.empty((codes.shape[0], 2 * codes.shape[1]), np.uint8)
    out[:, 0::2] = codes & 15
    out[:, 1::2] = codes >> 4
    return out


def mxfp8(codes, scales):
    return E2M1.astype(ml_dtypes.float8_e4m3fn)[unpacked(codes)], scales.copy()


def rescaled(codes, scales):
    """FP8 codes stay, unless one is NaN; a scale for 32 columns instead of 128 x 128."""
    assert not ((codes & 0x7F) == 0x7F).any()
    return codes.copy(), np.repeat(np.repeat(scales, 128, axis=0), 4, axis=1)


def fp4_bf16(codes, scales):
    return (values_of(codes, scales).reshape(ROWS, COLS).astype(ml_dtypes.bfloat16),)


def fp8_bf16(codes, scales):
    factor = np.exp2(scales.astype(np.float32) - 127)
    values = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    values = values.reshape(ROWS // 128, 128, COLS // 128, 128) * factor[:, None, :, None]
    return (values.reshape(ROWS, COLS).astype(ml_dtypes.bfloat16),)


def gguf(codes, scales):
    """The scale byte of 32 columns, then code j with code j + 16 above it."""
    blocks = unpacked(codes).reshape(-1, 2, 16)
    packed = blocks[:, 0] | blocks[:, 1] << 4
    return (np.concatenate([scales.reshape(-1, 1), packed], axis=1),)


rng = np.random.default_rng(1)
fp4 = rng.integers(0, 256, (ROWS, COLS // 2), dtype=np.uint8)
groups = rng.integers(LEAST, LEAST + 18, (ROWS, COLS // 32), dtype=np.uint8)
fp8 = rng.integers(0, 256, (ROWS, COLS), dtype=np.uint8)
fp8[(fp8 & 0x7F) == 0x7F] = 0
tiles = rng.integers(110, 120, (ROWS // 128, COLS // 128), dtype=np.uint8)
WAYS = [
    ("MXFP4 to NVFP4", nvfp4, fp4, groups),
    ("MXFP4 to MXFP8", mxfp8, fp4, groups),
    ("FP8 to FP8, MXFP8", rescaled, fp8, tiles),
    ("MXFP4 to BF16", fp4_bf16, fp4, groups),
    ("FP8 to BF16", fp8_bf16, fp8, tiles),
    ("MXFP4 to GGUF", gguf, fp4, groups),
]
assert (nvfp4(fp4, groups)[0] == fp4).all()
for name, way, codes, scales in WAYS:
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        out = way(codes, scales)
        took = time.process_time() - start
        best = max(best, sum(a.nbytes for a in out) / took / 1e9)
    print("%s\t%.4f" % (name, best))
