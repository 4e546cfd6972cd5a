"""Times the usual way of making a Marlin 4-bit matrix in numpy, on one V4-Flash expert matrix.

Nibbles become one integer each, are permuted by an index, and are packed again, eight to a word.
Prints one number: GB/s of packed input. Used by make bench for the ratio to the C kernel.
"""
import time

import numpy as np

ROWS, COLS = 2048, 4096


def places():
    """Column and row inside a tile of 16 x 64 (k, n) of each nibble of the result."""
    i = np.arange(1024)
    word, nibble = i // 8, i % 8
    lane, w = word // 4, word % 4
    g, t = lane // 4, lane % 4
    p, h, u = nibble // 4, nibble // 2 % 2, nibble % 2
    return 8 * u + 2 * t + p, 16 * w + 8 * h + g


def pack(weight, index):
    """weight: rows of two codes a byte, the even column low."""
    codes = np.empty((ROWS, COLS), np.int32)
    codes[:, 0::2] = weight & 15
    codes[:, 1::2] = weight >> 4
    tiles = codes.T.reshape(COLS // 16, 16, ROWS // 64, 64).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(-1, 1024)[:, index].reshape(-1, 8)
    out = np.zeros(tiles.shape[0], np.uint32)
    for i in range(8):
        out |= tiles[:, i].astype(np.uint32) << np.uint32(4 * i)
    return out


def check(weight, out, k, n):
    """A few nibbles of the result, one by one."""
    for i in range(0, ROWS * COLS, 100003):
        tile, at = divmod(i, 1024)
        row = tile % (ROWS // 64) * 64 + n[at]
        col = tile // (ROWS // 64) * 16 + k[at]
        code = weight[row, col // 2] >> (col % 2 * 4) & 15
        assert out[i // 8] >> (i % 8 * 4) & 15 == code, i


rng = np.random.default_rng(1)
packed = rng.integers(0, 256, (ROWS, COLS // 2), dtype=np.uint8)
k, n = places()
best = 0.0
for _ in range(5):
    start = time.perf_counter()
    result = pack(packed, k * 64 + n)
    best = max(best, packed.size / (time.perf_counter() - start) / 1e9)
check(packed, result, k, n)
print("%.4f" % best)
