"""Exact forms of DeepSeek-V4's matrices, derived from the formulas alone: what dsv4-quant has to write.

What it is: the left side of the byte oracles. The input is a matrix of a download, packed FP4 with a scale (E8M0) for
32 columns, or E4M3 with one for 128 x 128. Everything is uint8 codes in and out; no value is rounded, and where a
form cannot hold a block this is said and not hidden. It follows spec/quant-formats.md, 0.2, 1.3 and 4.
What it is not: fast, or a writer of folders.
"""

import numpy as np
from tensors import E4M3_TABLE, E8M0_TABLE

BIAS = 127
# Magnitudes of FP4 codes 0 to 7; code 8 is -0 here, unlike in tensors.py.
MAGNITUDES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
VALUES = np.concatenate([MAGNITUDES, -MAGNITUDES])
# The code of half the value, 255: none. The sign bit stays.
HALF = np.full(16, 255, np.uint8)
for _code in range(8):
    _found = np.flatnonzero(MAGNITUDES == MAGNITUDES[_code] / 2)
    if len(_found):
        HALF[_code], HALF[_code + 8] = _found[0], _found[0] + 8
# E4M3 bytes of 2^-9 .. 2^8: index 0 is 2^-9.
E4M3_POWERS = np.array([np.flatnonzero(E4M3_TABLE[:127] == 2.0**k)[0] for k in range(-9, 9)], np.uint8)
EXACT, RESCUED, LOSSY = 0, 1, 2


def unpack(packed):
    """Codes [rows, columns] of bytes [rows, columns / 2]: the low nibble is the even column."""
    return np.stack([packed & 15, packed >> 4], -1).reshape(packed.shape[0], -1)


def pack(codes):
    return codes[:, 0::2] | codes[:, 1::2] << 4


def fp4_values(packed, scale):
    return VALUES[unpack(packed)] * np.repeat(E8M0_TABLE[scale], 32, axis=1)


def fp8_values(weight, scale):
    rows, columns = weight.shape
    return E4M3_TABLE[weight] * np.repeat(np.repeat(E8M0_TABLE[scale], 128, 0), 128, 1)[:rows, :columns]


def e8m0(scale):
    """Bytes of an E8M0 or F32 tensor of powers of two (tensors.Tensor)."""
    if scale.dtype != "F32":
        return scale.data[..., 0]
    fraction, exponent = np.frexp(np.ascontiguousarray(scale.data).view("<f4")[..., 0])
    assert np.all(fraction == 0.5), "a scale is no power of two"
    return (exponent - 1 + BIAS).astype(np.uint8)


# ---------------------------------------------------------------- NVFP4


def nvfp4_k_max(*scales):
    """The largest exponent of matrices that share a second scale; 0 where every byte is 0."""
    most = max(int(scale.max()) for scale in scales)
    return most - BIAS if most else 0


def nvfp4(packed, scale, k_max, signed_zero=True):
    """weight, weight_scale (bytes of E4M3, one for 16 columns), weight_scale_2, and a verdict for every 16 columns."""
    low = k_max - 17  # the exponent whose scale is E4M3's smallest, 2^-9, beside 2^(k_max - 8)
    k = np.repeat(scale.astype(int) - BIAS, 2, axis=1)
    deficit = np.maximum(low - k, 0)
    codes = unpack(packed).reshape(packed.shape[0], -1, 16).copy()
    zero = np.all(codes & 7 == 0, axis=2)
    deficit[zero] = 0
    verdict = np.where(deficit > 0, RESCUED, EXACT)
    for row, block in zip(*np.nonzero(deficit), strict=True):
        part = codes[row, block]
        for _ in range(min(deficit[row, block], 8)):
            part = np.where(part == 255, 255, HALF[np.minimum(part, 15)])
        if np.any(part == 255):
            verdict[row, block] = LOSSY
        else:
            codes[row, block] = part
    if not signed_zero:
        codes[codes == 8] = 0
    factor = E4M3_POWERS[np.clip(k - low, 0, 17)]
    return pack(codes.reshape(packed.shape[0], -1)), factor, np.float32(2.0 ** (k_max - 8)), verdict


# ---------------------------------------------------------------- MXFP8

# An FP4 code's value in E4M3.
E4M3_OF_FP4 = np.array(
    [np.flatnonzero(E4M3_TABLE[:127] == m)[0] | sign for sign in (0, 128) for m in MAGNITUDES], np.uint8
)


def mxfp8_of_fp4(packed, scale):
    """weight (E4M3) and weight_scale (E8M0, 32 columns): the exponents stay."""
    return E4M3_OF_FP4[unpack(packed)], scale


def mxfp8_of_fp8(weight, scale):
    """The same of a matrix with 128 x 128 tiles: the codes stay, a scale stands for 128 rows and four groups."""
    rows, columns = weight.shape
    return weight, np.repeat(np.repeat(scale, 128, 0), 4, 1)[:rows, : -(-columns // 32)]
