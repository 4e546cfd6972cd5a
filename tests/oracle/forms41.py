"""forms41.py SOURCE OUT FORM: a small V4.1 in another number format, tensor by tensor.

What it is: what docs/quant.md says of fp8, bf16, mxfp8 and mlx-packed of V4.1, derived once more from SOURCE in numpy (blocks
of 32 x 32; Engram tables, the vision tower and all plain tensors are the source's bytes). Names, types, shapes and bytes
of OUT must be those, and no tensor more.
What it is not: a judge of config.json, or of what an engine makes of it (runtime/in_mlx41.py).
"""

import sys

import ml_dtypes
import numpy as np

from tensors import E4M3_TABLE, E8M0_TABLE, cast_fp4_to_fp8, encode_e4m3, make, per_row_and_column, read_checkpoint

# As tensors.py has it but for code 8, which stays minus zero where values are only written otherwise.
SIGNED_E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)


def fp4_values(weight):
    packed = weight.data[..., 0]
    values = np.empty((packed.shape[0], 2 * packed.shape[1]), dtype=np.float32)
    values[:, 0::2] = SIGNED_E2M1[packed & 15]
    values[:, 1::2] = SIGNED_E2M1[packed >> 4]
    return values


def spread(scale, rows):
    """A byte for 32 x 32 becomes one for 32 columns of each row."""
    return np.repeat(scale.data[..., 0], 32, axis=0)[:rows]


def to_bf16(values):
    return make("BF16", values.astype(ml_dtypes.bfloat16))


def as_words(data):
    """The same bytes in words of four."""
    return make("U32", np.ascontiguousarray(data).view("<u4"))


def expert(stem, weight, scale, form):
    bytes_of_scale = scale.data[..., 0]
    if form == "fp8":
        w, s = cast_fp4_to_fp8(weight, scale, 32)
        return {stem + "weight": w, stem + "scale": s}
    if form == "bf16":
        return {stem + "weight": to_bf16(fp4_values(weight) * np.repeat(E8M0_TABLE[bytes_of_scale], 32, axis=1))}
    if form == "mxfp8":
        codes = make("F8_E4M3", encode_e4m3(fp4_values(weight)))
        return {stem + "weight": codes, stem + "weight_scale": make("U8", bytes_of_scale)}
    return {stem + "weight": as_words(weight.data[..., 0]), stem + "scales": make("U8", bytes_of_scale)}


def dense(stem, weight, scale, form):
    codes = weight.data[..., 0]
    rows, columns = codes.shape
    if form == "fp8":
        return {stem + "weight": weight, stem + "scale": scale}
    if form == "bf16":
        by = per_row_and_column(E8M0_TABLE[scale.data[..., 0]], 32, 32)[:rows, :columns]
        return {stem + "weight": to_bf16(E4M3_TABLE[codes] * by)}
    if form == "mxfp8":
        return {stem + "weight": weight, stem + "weight_scale": make("U8", spread(scale, rows))}
    return {stem + "weight": as_words(codes), stem + "scales": make("U8", spread(scale, rows))}


def expected(source, form):
    out = {}
    for name, tensor in source.items():
        stem, _, leaf = name.rpartition(".")
        stem += "."
        pair = stem + "weight" in source and stem + "scale" in source
        if not pair or ".engram.embed." in name:
            out[name] = tensor
        elif leaf == "weight":
            make_one = expert if ".ffn.experts." in name else dense
            out.update(make_one(stem, tensor, source[stem + "scale"], form))
    return out


def main():
    source, folder, form = sys.argv[1:]
    want, found = expected(read_checkpoint(source), form), read_checkpoint(folder)
    wrong = [f"{name} is missing" for name in want if name not in found]
    wrong += [f"{name} is one too many" for name in found if name not in want]
    for name in sorted(set(want) & set(found)):
        a, b = want[name], found[name]
        if (a.dtype, tuple(a.shape)) != (b.dtype, tuple(b.shape)):
            wrong.append(f"{name}: {b.dtype} {b.shape}, expected {a.dtype} {a.shape}")
        elif a.data.tobytes() != b.data.tobytes():
            wrong.append(f"{name}: other bytes")
    print("\n".join(wrong[:10]) or f"{len(want)} tensors")
    sys.exit(bool(wrong))


main()
