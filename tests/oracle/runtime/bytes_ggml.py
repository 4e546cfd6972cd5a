"""bytes_ggml.py SOURCE [OUT.gguf]: blocks of GGUF held to ggml itself (the library of libggml-python, through ctypes).

Without OUT: MXFP4 as gguf_twin.py repacks it must be read by ggml as the weights of SOURCE, and where a block has a
code of 4 or more (else ggml prefers a smaller exponent) must be what ggml quantizes these weights to.
With OUT every tensor is looked up in SOURCE: MXFP4, BF16, F32 and I32 must hold its numbers, Q8_0 must be the bytes that
ggml quantizes them to, and shapes and names must be those of llama.cpp's converter. Splits are given by the first.
"""

import argparse
import ctypes
import glob
import importlib.util
import os
import re
import sys

import gguf
import gguf_twin
import numpy as np
from matrices import Source, Verdict, end

Type = gguf.GGMLQuantizationType


class Ggml:
    def __init__(self):
        place = importlib.util.find_spec("libggml").submodule_search_locations[0]
        self.base = ctypes.CDLL(os.path.join(place, "lib64", "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
        self.base.ggml_row_size.restype = ctypes.c_size_t
        self.base.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
        self.base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.base.ggml_quantize_chunk.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
            ctypes.c_void_p,
        ]  # fmt: skip

    def read(self, kind, blocks, columns):
        """FP32 values of rows of blocks."""
        blocks = np.ascontiguousarray(blocks)
        values = np.empty((blocks.shape[0], columns), np.float32)
        function = getattr(self.base, f"dequantize_row_{kind.name.lower()}")
        function.restype = None
        function(
            ctypes.c_void_p(blocks.ctypes.data), ctypes.c_void_p(values.ctypes.data), ctypes.c_int64(values.size)
        )
        return values

    def write(self, kind, values):
        values = np.ascontiguousarray(values, np.float32)
        out = np.zeros((values.shape[0], self.base.ggml_row_size(kind, values.shape[1])), np.uint8)
        n = self.base.ggml_quantize_chunk(kind, values.ctypes.data, out.ctypes.data, 0, *values.shape, None)
        if n != out.nbytes:
            raise ValueError(f"ggml wrote {n} of {out.nbytes} bytes")
        return out


def judge_forms(source, ggml):
    verdict = Verdict("ggml, MXFP4 as gguf_twin.py repacks it")
    blocks = smaller = 0
    for name in source.names("I8"):
        ours = gguf_twin.mxfp4(source.tensors, name + ".weight")
        value = gguf_twin.values(source.tensors, name + ".weight")
        verdict.same(name + ": values", ggml.read(Type.MXFP4, ours, value.shape[1]), value)
        own = gguf_twin.codes(source.tensors[name + ".weight"]).reshape(-1, 32)
        large = np.any(own & 7 >= 6, axis=1)
        clean = np.where(own == 8, 0, own).reshape(value.shape[0], -1, 2, 16)  # ggml has no -0
        ours = ours.reshape(value.shape[0], -1, 17).copy()
        ours[:, :, 1:] = clean[:, :, 0] | clean[:, :, 1] << 4
        theirs = ggml.write(Type.MXFP4, value).reshape(-1, 17)
        verdict.same(name + ": blocks", ours.reshape(-1, 17)[large], theirs[large])
        blocks += len(large)
        smaller += int(np.sum(~large))
        verdict.matrices += 1
    verdict.notes = [f"{blocks} blocks", f"{smaller} of them with small codes only"]
    end(verdict)


# Name in the checkpoint <- name in a block of a GGUF.
LEAVES = {gguf_name: name for name, gguf_name in gguf_twin.LEAVES.items()}
ROOTS = {gguf_name: name for name, gguf_name in gguf_twin.ROOTS.items()}
PARTS = {place: part for part, place in gguf_twin.EXPERTS.items()}


def original(tensors, name):
    """What a tensor of a GGUF holds, as FP32 or int64; None: nothing of the main layers."""
    if found := re.fullmatch(r"blk\.(\d+)\.ffn_(gate|up|down)_exps\.weight", name):
        layer, place = found.groups()
        prefix = f"layers.{layer}.ffn.experts."
        count = sum(n.startswith(prefix) and n.endswith(f".{PARTS[place]}.weight") for n in tensors)
        if not count:
            return None
        return np.stack([gguf_twin.values(tensors, f"{prefix}{e}.{PARTS[place]}.weight") for e in range(count)])
    if found := re.fullmatch(r"blk\.(\d+)\.(.+)\.(weight|bias)", name):
        layer, leaf, _ = found.groups()
        if leaf == "ffn_gate_tid2eid":
            ids = tensors.get(f"layers.{layer}.ffn.gate.tid2eid")
            return None if ids is None else ids.data.view(np.int64)[..., 0]
        base = f"layers.{layer}." + ("ffn.gate.bias" if leaf == "exp_probs_b" else LEAVES.get(leaf, leaf))
    else:
        base = ROOTS.get(name.removesuffix(".weight"), "")
    for whole in (base, base + ".weight"):
        if whole in tensors:
            return gguf_twin.values(tensors, whole)
    return None


def judge_tensor(verdict, ggml, tensor, expected):
    name, kind, data = tensor.name, tensor.tensor_type, tensor.data
    verdict.same(name + ": shape", tensor.shape[::-1], expected.shape)
    if list(tensor.shape[::-1]) != list(expected.shape):
        return
    rows = expected.reshape(-1, expected.shape[-1])
    if kind == Type.Q8_0:
        verdict.same(name, data.reshape(rows.shape[0], -1), ggml.write(kind, rows))
    elif kind == Type.MXFP4:
        verdict.same(name, ggml.read(kind, data.reshape(rows.shape[0], -1), rows.shape[1]), rows)
    elif kind == Type.BF16:
        wide = data.view(np.uint16).astype(np.uint32) << 16
        verdict.same(name, wide.view(np.float32).reshape(rows.shape), rows)
    else:
        verdict.same(name, data.reshape(rows.shape), rows)
    verdict.matrices += 1


def judge_file(source, ggml, path):
    verdict = Verdict("ggml, gguf")
    first = re.fullmatch(r"(.*)-00001-of-(\d{5})\.gguf", path)
    paths = sorted(glob.glob(f"{first[1]}-*-of-{first[2]}.gguf")) if first else [path]
    kinds, passed = {}, []
    found = set()
    for part in paths:
        for tensor in gguf.GGUFReader(part).tensors:
            found.add(tensor.name)
            expected = original(source.tensors, tensor.name)
            if expected is None:
                passed.append(tensor.name)
                continue
            kinds[tensor.tensor_type.name] = kinds.get(tensor.tensor_type.name, 0) + 1
            judge_tensor(verdict, ggml, tensor, expected)
    for name in source.tensors:
        plain = not (name.startswith("mtp.") or name.endswith((".scale", ".tid2eid")) or ".experts." in name)
        if plain and gguf_twin.name_of(name) not in found:
            verdict.wrong = verdict.wrong or f"{name} is not there as {gguf_twin.name_of(name)}"
    verdict.notes = [f"{n} {kind}" for kind, n in sorted(kinds.items())]
    if passed:
        verdict.notes.append(f"{len(passed)} of drafts not looked at")
    end(verdict)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out", nargs="?")
    asked = parser.parse_args()
    source = Source(asked.source)
    if asked.out:
        judge_file(source, Ggml(), asked.out)
    judge_forms(source, Ggml())


if __name__ == "__main__":
    sys.exit(main())
