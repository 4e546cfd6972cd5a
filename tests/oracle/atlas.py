"""An error atlas (dsv4-verify atlas SOURCE RESULT -o ATLAS) held to numpy, line by line.

    atlas.py SOURCE RESULT ATLAS     RESULT: a folder with model.gguf, and mtp-model.gguf where the source has an MTP block

The source's values are made of codes and scales with the tables of ml_dtypes, those of the result with the decoders of ggml's
own library (libggml-python). Sums are taken in long double. Counts must be equal, sums and figures agree to 1e-11; clipped
values are counted once more for Q8_0 and Q2_K, from the fields of their blocks. Also that damage is noticed: an atlas whose
energies are changed by a millionth must not pass.
"""

import json
import os
import re
import struct
import sys

import ml_dtypes
import numpy as np

from ggml_grids import library

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
DTYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "I8": np.uint8, "F8_E4M3": ml_dtypes.float8_e4m3fn,
          "F8_E8M0": ml_dtypes.float8_e8m0fnu, "I64": np.int64}
TOLERANCE = 1e-11

# ---------------------------------------------------------------- the source


class Source:
    def __init__(self, folder):
        self.where = {}
        for name in sorted(os.listdir(folder)):
            if not name.endswith(".safetensors"):
                continue
            with open(os.path.join(folder, name), "rb") as f:
                size = struct.unpack("<Q", f.read(8))[0]
                header = json.loads(f.read(size))
            raw = np.memmap(os.path.join(folder, name), np.uint8, "r", 8 + size)
            for key, t in header.items():
                if key != "__metadata__":
                    self.where[key] = (raw[slice(*t["data_offsets"])], t["dtype"], t["shape"])

    def raw(self, name):
        data, dtype, shape = self.where[name]
        return np.frombuffer(bytes(data), DTYPES[dtype]).reshape(shape)

    def values(self, name):
        w = self.raw(name)
        scale = re.sub(r"\.weight$", ".scale", name)
        if scale == name or scale not in self.where:
            return w.astype(np.float64)
        s = self.raw(scale).astype(np.float64)
        if self.where[name][1] == "I8":
            v = E2M1[np.stack([w & 15, w >> 4], -1)].reshape(w.shape[0], -1)
            return v * np.repeat(s, 32, 1)
        return w.astype(np.float64) * np.repeat(np.repeat(s, 128, 0), 128, 1)[: w.shape[0], : w.shape[1]]


# ---------------------------------------------------------------- the result


class Gguf:
    """Names, types and bytes of a file of one part."""

    SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def __init__(self, path):
        self.data, self.at = open(path, "rb").read(), 4
        self.version, tensors, pairs = self.number("<I"), self.number("<Q"), self.number("<Q")
        for _ in range(pairs):
            self.string()
            self.value(self.number("<I"))
        listed = [(self.string(), [self.number("<Q") for _ in range(self.number("<I"))], self.number("<I"), self.number("<Q"))
                  for _ in range(tensors)]
        start = (self.at + 31) // 32 * 32
        self.tensors = {name: (dims, kind, start + at) for name, dims, kind, at in listed}

    def number(self, form):
        v = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return v

    def string(self):
        n = self.number("<Q")
        self.at += n
        return self.data[self.at - n : self.at].decode()

    def value(self, kind):
        if kind == 8:
            self.string()
        elif kind == 9:
            item, n = self.number("<I"), self.number("<Q")
            for _ in range(n):
                self.value(item)
        else:
            self.at += self.SIZES[kind]


# Section 5.2 of the description of GGUF: leaf there, leaf in the source.
LEAVES = {
    "attn_norm.weight": "attn_norm.weight", "ffn_norm.weight": "ffn_norm.weight", "attn_sinks.weight": "attn.attn_sink",
    "attn_q_a.weight": "attn.wq_a.weight", "attn_q_b.weight": "attn.wq_b.weight", "attn_kv.weight": "attn.wkv.weight",
    "attn_output_a.weight": "attn.wo_a.weight", "attn_output_b.weight": "attn.wo_b.weight",
    "attn_q_a_norm.weight": "attn.q_norm.weight", "attn_kv_a_norm.weight": "attn.kv_norm.weight",
    "attn_compressor_kv.weight": "attn.compressor.wkv.weight", "attn_compressor_gate.weight": "attn.compressor.wgate.weight",
    "attn_compressor_ape.weight": "attn.compressor.ape", "attn_compressor_norm.weight": "attn.compressor.norm.weight",
    "indexer.attn_q_b.weight": "attn.indexer.wq_b.weight", "indexer.proj.weight": "attn.indexer.weights_proj.weight",
    "indexer_compressor_kv.weight": "attn.indexer.compressor.wkv.weight",
    "indexer_compressor_gate.weight": "attn.indexer.compressor.wgate.weight",
    "indexer_compressor_ape.weight": "attn.indexer.compressor.ape",
    "indexer_compressor_norm.weight": "attn.indexer.compressor.norm.weight",
    "ffn_gate_inp.weight": "ffn.gate.weight", "exp_probs_b.bias": "ffn.gate.bias",
    "ffn_gate_shexp.weight": "ffn.shared_experts.w1.weight", "ffn_up_shexp.weight": "ffn.shared_experts.w3.weight",
    "ffn_down_shexp.weight": "ffn.shared_experts.w2.weight",
    "hc_attn_fn.weight": "hc_attn_fn", "hc_attn_base.weight": "hc_attn_base", "hc_attn_scale.weight": "hc_attn_scale",
    "hc_ffn_fn.weight": "hc_ffn_fn", "hc_ffn_base.weight": "hc_ffn_base", "hc_ffn_scale.weight": "hc_ffn_scale",
    "nextn.enorm.weight": "enorm.weight", "nextn.hnorm.weight": "hnorm.weight", "nextn.shared_head_norm.weight": "norm.weight",
}
WHOLE = {"token_embd.weight": "embed.weight", "output_norm.weight": "norm.weight", "output.weight": "head.weight",
         "output_hc_fn.weight": "hc_head_fn", "output_hc_base.weight": "hc_head_base", "output_hc_scale.weight": "hc_head_scale"}
EXPERTS = {"ffn_gate_exps.weight": "w1", "ffn_down_exps.weight": "w2", "ffn_up_exps.weight": "w3"}


class Result:
    def __init__(self, folder):
        self.lib, self.have = library(), {}
        for file, drafts in (("model.gguf", False), ("mtp-model.gguf", True)):
            path = os.path.join(folder, file)
            if os.path.exists(path):
                self.take(Gguf(path), drafts)

    def take(self, g, drafts):
        for name, (dims, kind, at) in g.tensors.items():
            block, leaf = re.fullmatch(r"(?:blk\.(\d+)\.)?(.*)", name).groups()
            cols, rows = dims[0], int(np.prod(dims[1:2] or [1]))
            width = self.bytes_of(kind, cols)
            front = "mtp.0." if drafts else f"layers.{block}." if block else ""
            data = lambda first, n, w=width, g=g, at=at: np.frombuffer(g.data, np.uint8, n * w, at + first * w).reshape(n, w)
            if leaf in EXPERTS:
                for e in range(dims[2]):
                    self.have[f"{front}ffn.experts.{e}.{EXPERTS[leaf]}.weight"] = (kind, cols, data(e * rows, rows))
            elif leaf == "nextn.eh_proj.weight":
                both = data(0, rows)
                self.have[front + "e_proj.weight"] = (kind, cols // 2, both[:, : width // 2])
                self.have[front + "h_proj.weight"] = (kind, cols // 2, both[:, width // 2 :])
            elif leaf in LEAVES and (block is not None):
                self.have[front + LEAVES[leaf]] = (kind, cols, data(0, rows))
            elif leaf in WHOLE and not (drafts and "_hc_" not in leaf):
                self.have[front + WHOLE[leaf]] = (kind, cols, data(0, rows))

    def bytes_of(self, kind, cols):
        traits = self.lib.ggml_get_type_traits(kind).contents
        return cols // traits.items * traits.bytes

    def values(self, name):
        kind, cols, rows = self.have[name]
        plain = {0: np.float32, 1: np.float16, 30: ml_dtypes.bfloat16}
        rows = np.ascontiguousarray(rows)
        if kind in plain:
            return rows.view(plain[kind]).astype(np.float64)
        out = np.empty((rows.shape[0], cols), np.float32)
        self.lib.ggml_get_type_traits(kind).contents.to_float(rows.ctypes.data, out.ctypes.data, out.size)
        return out.astype(np.float64)

    def clipped(self, name, w, q):
        """Of Q8_0 and Q2_K; None for others."""
        kind, _, rows = self.have[name]
        if kind == 8:
            d = np.ascontiguousarray(rows.reshape(-1, 34)[:, :2]).view(np.float16).astype(np.float64)
            low, high, half, shape = -128 * d, 127 * d, abs(d) / 2, (-1, 32)
        elif kind == 10:
            b = rows.reshape(-1, 84)
            d = np.ascontiguousarray(b[:, 80:82]).view(np.float16).astype(np.float64)
            least = np.ascontiguousarray(b[:, 82:84]).view(np.float16).astype(np.float64)
            low = (-least * (b[:, :16] >> 4)).reshape(-1, 1)
            step = (d * (b[:, :16] & 15)).reshape(-1, 1)
            high, half, shape = low + 3 * step, abs(step) / 2, (-1, 16)
        else:
            return None
        x, y = w.reshape(shape), q.reshape(shape)
        beyond = (x < np.minimum(low, high) - half) | (x > np.maximum(low, high) + half)
        return int((beyond & (x != y)).sum())


# ---------------------------------------------------------------- figures


def figures(w, q, size):
    w, q = w.reshape(-1).astype(np.longdouble), q.reshape(-1).astype(np.longdouble)
    energy, error, cross, out = (w * w).sum(), ((q - w) ** 2).sum(), (w * q).sum(), (q * q).sum()
    counts = {"values": w.size, "exact": int((w == q).sum()), "flushed": int(((q == 0) & (w != 0)).sum()), "bytes": size, "not_finite": 0}
    sums = {"energy": energy, "error": error, "cross": cross, "out_energy": out, "max_abs": abs(q - w).max(),
            "relative_rms": np.sqrt(error / energy), "sqnr_db": 10 * np.log10(energy / error) if error > 0 else None,
            "cosine": cross / np.sqrt(energy) / np.sqrt(out), "exact_fraction": counts["exact"] / w.size, "bits_per_weight": 8 * size / w.size}
    return counts, sums


def differs(line, counts, sums):
    for key, v in counts.items():
        if line[key] != v:
            return f"{key} is {line[key]}, not {v}"
    for key, v in sums.items():
        if (v is None) != (line[key] is None) or (v is not None and abs(line[key] - v) > TOLERANCE * max(abs(v), 1e-300)):
            return f"{key} is {line[key]}, not {v}"
    return None


def main():
    source, result = Source(sys.argv[1]), Result(sys.argv[2])
    lines = [json.loads(s) for s in open(sys.argv[3], encoding="utf-8")]
    tensors, all_of = [x for x in lines if "tensor" in x], [x for x in lines if x.get("rollup") == "all"]
    bad, kinds, judged = [], set(), 0
    totals = np.zeros(2, np.longdouble)
    for line in tensors:
        name = line["tensor"]
        w, q = source.values(name), result.values(name)
        counts, sums = figures(w, q, result.have[name][2].nbytes)
        totals += [sums["energy"], sums["error"]]
        why = differs(line, counts, sums)
        clipped = result.clipped(name, w, q.reshape(w.shape) if w.ndim > 1 else q)
        if clipped is not None:
            judged += 1
            if abs(line["clipped"] - clipped) > 1e-4 * clipped:
                why = why or f"clipped is {line['clipped']}, not {clipped}"
        bad += [f"{name}: {why}"] if why else []
        kinds.add(line["to"])
        worse = dict(line, energy=line["energy"] * (1 + 1e-6))
        if not differs(worse, counts, sums):
            bad.append(f"{name}: a changed energy was not noticed")
    missing = sorted(n for n in source.where if not n.endswith(".scale") and source.where[n][1] != "I64"
                     and n not in {t["tensor"] for t in tensors})
    bad += [f"{n} is not in the atlas" for n in missing]
    if len(all_of) != 1 or abs(all_of[0]["relative_rms"] - np.sqrt(totals[1] / totals[0])) > TOLERANCE:
        bad.append("the sum of all is another")
    for why in bad[:8]:
        print("     " + why)
    good = not bad and len(tensors) > 100 and judged > 10
    print(f"{'ok  ' if good else 'FAIL'} atlas: {len(tensors)} tensors of {', '.join(sorted(kinds))} as numpy and ggml have them, "
          f"clipped values of {judged}" + (f", {len(bad)} differ" if bad else ""))
    return not good


if __name__ == "__main__":
    sys.exit(main())
