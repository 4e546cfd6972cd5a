"""torch.py -- as much of torch as loaders/probe.py uses, on plain bytes, for machines without it: tensors with a type, a
shape and strides over a buffer. SPDX-License-Identifier: MIT"""

SIZES = {"I8": 1, "U8": 1, "F8_E4M3": 1, "F8_E8M0": 1, "BF16": 2, "F16": 2, "I32": 4, "F32": 4, "I64": 8}
NAMES = {"I8": "int8", "U8": "uint8", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "BF16": "bfloat16",
         "F16": "float16", "I32": "int32", "F32": "float32", "I64": "int64"}
uint8 = "torch.uint8"


def dense(shape):
    stride, n = [], 1
    for s in reversed(shape):
        stride.insert(0, n)
        n *= s
    return stride


class Tensor:
    def __init__(self, data, dtype, shape, stride=None, meta=False):
        self.data, self.kind, self.shape, self.is_meta = data, dtype, tuple(shape), meta
        self.strides = list(stride) if stride else dense(shape)
        self.dtype = "torch." + NAMES[dtype]

    def stride(self):
        return tuple(self.strides)

    def detach(self):
        return self

    def cpu(self):
        return self

    def permute(self, order):
        return Tensor(self.data, self.kind, [self.shape[i] for i in order], [self.strides[i] for i in order])

    def contiguous(self):
        if self.strides == dense(self.shape):
            return self
        size, out = SIZES[self.kind], bytearray()

        def walk(d, at):
            if d == len(self.shape):
                out.extend(self.data[at * size:(at + 1) * size])
                return
            for i in range(self.shape[d]):
                walk(d + 1, at + i * self.strides[d])

        walk(0, 0)
        return Tensor(bytes(out), self.kind, self.shape)

    def reshape(self, _):
        n = 1
        for s in self.shape:
            n *= s
        return Tensor(self.data, self.kind, [n])

    def view(self, dtype):
        assert dtype == uint8 and len(self.shape) == 1
        return Tensor(self.data, "U8", [self.shape[0] * SIZES[self.kind]])

    def numel(self):
        return self.shape[0]

    def numpy(self):
        return self.data[: self.shape[0]]


class Module:
    """A module without children whose parameters have dots in their names."""

    def __init__(self, parameters, buffers=()):
        self.p, self.b = dict(parameters), dict(buffers)

    def named_parameters(self, remove_duplicate=True):
        return self.p.items()

    def named_buffers(self, remove_duplicate=True):
        return self.b.items()

    def named_modules(self):
        return [("", self)]
