"""Tensors of a safetensors file as raw bytes, and the number formats of DeepSeek-V4.

What it is: the reading, writing and arithmetic that official.py and hf.py share. It follows section C (formats) and
D.3 (the cast of FP4 experts to FP8) of spec/deepseek-v4.md, word for word, in float32.
What it is not: fast, streaming, or a checker of checkpoints. It shares no code and no table with the C tool.

Run as a program it checks itself against the test vectors of section H (6 and 7).
"""

import glob
import os
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import safetensors

# Code in a safetensors header -> (bytes of an element, name that TensorSpec takes).
# F4 is missing on purpose: no source has it, and its element is half a byte; see as_float4.
DTYPES = {
    "I64": (8, "int64"),
    "F32": (4, "float32"),
    "BF16": (2, "bfloat16"),
    "F8_E8M0": (1, "float8_e8m0fnu"),
    "F8_E4M3": (1, "float8_e4m3fn"),
    "I8": (1, "int8"),
    "U8": (1, "uint8"),
    "I32": (4, "int32"),
    "U32": (4, "uint32"),
}
PACKED_FP4 = "float4_e2m1fn_x2"


@dataclass
class Tensor:
    """A tensor whose elements are bytes: data is uint8 of shape [*shape, bytes of an element]."""

    dtype: str
    shape: tuple
    data: np.ndarray

    @property
    def nbytes(self):
        return self.data.nbytes


def make(dtype, data):
    """A Tensor from a numpy array of any type whose elements have the right size."""
    data = np.ascontiguousarray(data)
    raw = data.view(np.uint8).reshape(*data.shape, data.itemsize)
    assert DTYPES[dtype][0] == data.itemsize
    return Tensor(dtype, data.shape, raw)


# ---------------------------------------------------------------- files


def read_file(path):
    """All tensors of one file: {name: Tensor}."""
    with open(path, "rb") as file:
        entries = safetensors.deserialize(file.read())
    tensors = {}
    for name, entry in entries:
        dtype = entry["dtype"]
        shape = tuple(entry["shape"])
        raw = np.frombuffer(entry["data"], dtype=np.uint8)
        tensors[name] = Tensor(dtype, shape, raw.reshape(*shape, DTYPES[dtype][0]))
    return tensors


def read_checkpoint(folder):
    """All tensors of all *.safetensors of a folder. As in D.1 the index is not read."""
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        for name, tensor in read_file(path).items():
            assert name not in tensors, f"{name} is there twice"
            tensors[name] = tensor
    assert tensors, f"{folder} holds no safetensors"
    return tensors


def write_file(path, tensors):
    """Writes {name: Tensor}. Order, header and padding are the safetensors package's, which is the writer of record."""
    keep = []
    specs = {}
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor.data)
        keep.append(data)
        # The package wants the storage shape of packed FP4 and doubles its last dimension itself.
        dtype = PACKED_FP4 if tensor.dtype == PACKED_FP4 else DTYPES[tensor.dtype][1]
        specs[name] = safetensors.TensorSpec(
            dtype=dtype, shape=list(tensor.shape), data_ptr=data.ctypes.data, data_len=data.nbytes
        )
    safetensors.serialize_file(specs, path)


# ---------------------------------------------------------------- number formats (section C)


def decode_e4m3(byte):
    """C.3: 1-4-3 bits, bias 7, no infinities, 0x7F and 0xFF are NaN."""
    sign = -1.0 if byte & 0x80 else 1.0
    exponent = (byte >> 3) & 15
    mantissa = byte & 7
    if exponent == 15 and mantissa == 7:
        return float("nan")
    if exponent == 0:
        return sign * mantissa * 2.0**-9
    return sign * (1 + mantissa / 8) * 2.0 ** (exponent - 7)


def decode_e8m0(byte):
    """C.2: 2^(e-127), 255 is NaN."""
    return float("nan") if byte == 255 else 2.0 ** (byte - 127)


E4M3_TABLE = np.array([decode_e4m3(byte) for byte in range(256)], dtype=np.float32)
E8M0_TABLE = np.array([decode_e8m0(byte) for byte in range(256)], dtype=np.float32)
# C.1 and D.3 step 1: code 8 decodes to +0.
E2M1_TABLE = np.array(
    [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32
)


def to_float32(tensor):
    """The values of an F8_E4M3, F8_E8M0 or F32 tensor."""
    if tensor.dtype == "F8_E4M3":
        return E4M3_TABLE[tensor.data[..., 0]]
    if tensor.dtype == "F8_E8M0":
        return E8M0_TABLE[tensor.data[..., 0]]
    assert tensor.dtype == "F32", tensor.dtype
    return np.ascontiguousarray(tensor.data).view("<f4")[..., 0]


def encode_e8m0(values):
    """Bytes of powers of two from 2^-127 to 2^127; anything else is an error."""
    fraction, exponent = np.frexp(values)
    assert np.all(fraction == 0.5), "a scale is not a power of two"
    byte = exponent - 1 + 127
    assert np.all((byte >= 0) & (byte <= 254)), "a scale is out of the range of E8M0"
    return byte.astype(np.uint8)


def encode_e4m3(values):
    """Bytes of float32 values rounded to nearest even."""
    assert values.dtype == np.float32 and np.all(np.abs(values) <= 448)
    return values.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


# ---------------------------------------------------------------- transformations (section D)


def per_row_and_column(scale, rows, columns):
    """Repeats every scale over its block of rows x columns elements."""
    return np.repeat(np.repeat(scale, rows, axis=0), columns, axis=1)


def dequantize_to_bf16(weight, scale):
    """D.2, wo_a: BF16 of float32(fp8) x float32(scale), one scale for each 128x128 block."""
    with np.errstate(over="ignore"):
        product = to_float32(weight) * per_row_and_column(to_float32(scale), 128, 128)
    return make("BF16", product.astype(ml_dtypes.bfloat16))


def as_float4(weight):
    """D.2: the bytes of a packed I8 tensor under the type of packed FP4."""
    assert weight.dtype == "I8"
    return Tensor(PACKED_FP4, weight.shape, weight.data)


def decode_fp4(weight):
    """C.1: the low nibble of byte j is column 2j, the high nibble column 2j+1."""
    packed = weight.data[..., 0]
    out, half = packed.shape
    values = np.empty((out, 2 * half), dtype=np.float32)
    values[:, 0::2] = E2M1_TABLE[packed & 15]
    values[:, 1::2] = E2M1_TABLE[packed >> 4]
    return values


def cast_fp4_to_fp8(weight, scale, side=128):
    """D.3: packed FP4 [O, K/2] with E8M0 [O, K/32] becomes E4M3 [O, K] with E8M0 [O/128, K/128].

    V4.1 has a side of 32 (section G: "convert.py uses fp8 block 32 with the same 6-bit offset logic").
    """
    assert weight.dtype == "I8" and scale.dtype == "F8_E8M0"
    x = decode_fp4(weight)
    out, columns = x.shape
    assert out % side == 0 and columns % side == 0
    s = to_float32(scale)
    assert s.shape == (out, columns // 32) and not np.any(np.isnan(s))

    s_max = s.reshape(out // side, side, columns // side, side // 32).max(axis=(1, 3))
    t = s_max / np.float32(64)
    offset = s / per_row_and_column(t, side, side // 32)
    y = x * np.repeat(offset, 32, axis=1)
    return make("F8_E4M3", encode_e4m3(y)), make("F8_E8M0", encode_e8m0(t))


# ---------------------------------------------------------------- test vectors (section H)


def self_check():
    def fp4_value(byte, scale_byte):
        packed = make("I8", np.full((1, 16), byte, dtype=np.uint8))
        return tuple(float(v) for v in decode_fp4(packed)[0, :2] * E8M0_TABLE[scale_byte])

    # H.6
    assert fp4_value(0x21, 0x80) == (1.0, 2.0)
    assert fp4_value(0xF7, 127) == (6.0, -6.0)

    # H.7: one block whose scales are 127, but 113 and 112 in two groups; all codes are 0.5
    codes = make("I8", np.full((128, 64), 0x11, dtype=np.uint8))
    scales = np.full((128, 4), 127, dtype=np.uint8)
    scales[0, 1] = 113
    scales[0, 2] = 112
    weight, scale = cast_fp4_to_fp8(codes, make("F8_E8M0", scales))
    assert scale.data.tolist() == [[[121]]]
    assert weight.data[0, 32, 0] == 0x01
    assert weight.data[0, 64, 0] == 0x00
    assert float(E4M3_TABLE[weight.data[0, 0, 0]]) == 32.0

    # The last paragraph of D.3: 1.5 at d=15 rounds to 2^-8, 0.5 to 0; code 8 loses its sign
    codes = make("I8", np.full((128, 64), 0x83, dtype=np.uint8))
    weight, _ = cast_fp4_to_fp8(codes, make("F8_E8M0", scales))
    assert float(E4M3_TABLE[weight.data[0, 64, 0]]) == 2.0**-8
    assert weight.data[0, 65, 0] == 0x00

    # C.2 and C.3
    assert E8M0_TABLE.view(np.uint32)[0] == 0x00400000
    assert E4M3_TABLE[0x7E] == 448 and E4M3_TABLE[0x08] == 2.0**-6 and E4M3_TABLE[0x01] == 2.0**-9
    numbers = np.delete(np.arange(256, dtype=np.uint8), [0x7F, 0xFF])
    assert np.array_equal(encode_e4m3(E4M3_TABLE[numbers]), numbers)
    assert np.array_equal(encode_e8m0(E8M0_TABLE[:255]), np.arange(255))


if __name__ == "__main__":
    self_check()
