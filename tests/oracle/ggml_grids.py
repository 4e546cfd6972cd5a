"""Prints quant/ggml_grids.inc: the codebooks of ggml's types IQ1 to IQ3, read out of the library of libggml-python by
decoding a block for each entry.

    pip install libggml-python==0.20.2.post1 numpy
    ggml_grids.py >quant/ggml_grids.inc

An entry is one number: the place of its first value among the levels of the type in the lowest bits, then the next.
"""

import ctypes
import importlib.util
import os
import sys

import numpy as np

PER_LINE = 14


class Traits(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("items", ctypes.c_int64), ("interleave", ctypes.c_int64),
                ("bytes", ctypes.c_size_t), ("quantized", ctypes.c_bool),
                ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64))]


def library():
    place = importlib.util.find_spec("libggml").submodule_search_locations[0]
    lib = ctypes.CDLL(os.path.join(place, "lib64", "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    return lib


def values(lib, kind, block):
    traits = lib.ggml_get_type_traits(kind).contents
    out = np.empty(traits.items, np.float32)
    block = np.frombuffer(block, np.uint8).copy()
    assert block.nbytes == traits.bytes
    traits.to_float(block.ctypes.data, out.ctypes.data, traits.items)
    return out


ONE = b"\x00\x3c"  # 1 in FP16

# name, type, entries, values of one, levels; the block whose first entry is i, and what its values are multiplied by
BOOKS = (
    ("iq2_xxs", 16, 256, 8, (8, 25, 43), lambda i: ONE + bytes([i]) + bytes(63), 8),
    ("iq2_xs", 17, 512, 8, (8, 25, 43), lambda i: ONE + i.to_bytes(2, "little") + bytes(62) + bytes(8), 8),
    ("iq2_s", 22, 1024, 8, (8, 25, 43), lambda i: ONE + bytes([i & 255]) + bytes(63) + bytes([i >> 8]) + bytes(7) + bytes(8), 8),
    ("iq3_xxs", 18, 256, 4, (4, 12, 20, 28, 36, 44, 52, 62), lambda i: ONE + bytes([i]) + bytes(95), 4),
    ("iq3_s", 21, 512, 4, (1, 3, 5, 7, 9, 11, 13, 15), lambda i: ONE + bytes([i & 255]) + bytes(63) + bytes([i >> 8]) + bytes(43), 1),
    ("iq1", 19, 2048, 8, (-1, 0, 1), lambda i: ONE + bytes([i & 255]) + bytes(31) + (i >> 8).to_bytes(2, "little") + bytes(14), None),
)


def main():
    lib = library()
    print("/* Codebooks of ggml's types, one number for each entry; tests/oracle/ggml_grids.py prints them. */")
    for name, kind, entries, n, levels, block, times in BOOKS:
        bits = (len(levels) - 1).bit_length()
        words = []
        for i in range(entries):
            v = values(lib, kind, block(i))[:n]
            v = np.rint(v - 0.125 if times is None else v * times).astype(int)
            words.append(sum(levels.index(int(x)) << bits * k for k, x in enumerate(v)))
        print(f"static const uint16_t {name}_grid[{entries}] = {{")
        for i in range(0, entries, PER_LINE):
            print("\t" + " ".join(f"0x{w:04x}," for w in words[i : i + PER_LINE]))
        print("};")
    return 0


if __name__ == "__main__":
    sys.exit(main())
