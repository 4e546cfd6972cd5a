"""The types of ggml as its own library decodes them (libggml-python, through ctypes): what quant/ggml_lowbit.c is held to.

    ggml_types.py >tests/vectors/ggml_types.txt     a line for each type: number, name, digest of the values of 512 blocks
    ggml_types.py --check tests/vectors/ggml_types.txt   whether the file is what it prints

The blocks are random bytes (xorshift64*, the low byte of each number, seeded by the type's number), so that a program
without Python makes them too. Values are digested as FP32, every NaN as 0x7fc00000 and minus zero as zero. Scales of MXFP4
and NVFP4 have two bits cleared: for NaN ggml has a number.
"""

import hashlib
import sys

import numpy as np

from ggml_grids import library

BLOCKS = 512
SCALES = {39: 1, 40: 4}  # MXFP4, NVFP4: bytes of a block that are scales, and would be NaN


def random_bytes(seed, n):
    mask, x, out = (1 << 64) - 1, (seed * 0x9E3779B97F4A7C15 & ((1 << 64) - 1)) | 1, bytearray()
    for _ in range(n):
        x ^= x >> 12
        x ^= x << 25 & mask
        x ^= x >> 27
        out.append((x * 0x2545F4914F6CDD1D & mask) & 255)
    return np.frombuffer(bytes(out), np.uint8)


def lines():
    lib = library()
    for kind in range(64):
        if kind > 42:
            break
        traits = lib.ggml_get_type_traits(kind).contents
        if not traits.to_float or not traits.quantized:
            continue
        raw = random_bytes(kind, BLOCKS * traits.bytes).reshape(BLOCKS, traits.bytes).copy()
        raw[:, : SCALES.get(kind, 0)] &= 0x77
        v = np.empty(BLOCKS * traits.items, np.float32)
        traits.to_float(raw.ctypes.data, v.ctypes.data, v.size)
        bits = v.view(np.uint32)
        bits[np.isnan(v)] = 0x7FC00000
        bits[v == 0] = 0
        yield f"{kind} {traits.name.decode().upper()} {hashlib.sha256(bits.tobytes()).hexdigest()}"


def main():
    text = "".join(s + "\n" for s in lines())
    if sys.argv[1:2] != ["--check"]:
        sys.stdout.write(text)
        return 0
    with open(sys.argv[2], encoding="ascii") as f:
        good = f.read() == text
    print(("ok   " if good else "FAIL ") + "ggml, values of its types: as in " + sys.argv[2])
    return not good


sys.exit(main())
