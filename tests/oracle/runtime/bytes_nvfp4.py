"""bytes_nvfp4.py SOURCE [OUT [--signed-zero keep]]: experts in NVFP4 held to NVIDIA's modelopt, byte for byte.

Without OUT what forms.py makes of SOURCE is held to it. modelopt goes through BF16, where code 8 (-0) becomes code 0:
an output that keeps the sign is compared after the same. Blocks that modelopt rounds (exponents more than 17 below
the largest) are not compared, only counted: it does not try whether they fit halved.
"""

import argparse
import logging

import numpy as np
import torch
from forms import EXACT, VALUES, fp4_values, nvfp4, nvfp4_k_max, pack, unpack
from matrices import Source, Verdict, bytes_of, end
from modelopt.torch.export.shard_cast_utils import mxfp4_kmax, quantize_mxfp4_to_nvfp4_lossless
from tensors import E4M3_TABLE, read_checkpoint, to_float32

logging.disable(logging.WARNING)

K_LARGEST = 125  # 6 x 2^126 is no number in BF16, through which modelopt goes


def package(packed, scale, k_max):
    packed, scale = torch.from_numpy(packed.copy()), torch.from_numpy(scale.copy())
    weight, factor, second, blocks, exact = quantize_mxfp4_to_nvfp4_lossless(packed, scale, k_max, "cpu")
    return weight.numpy(), factor.view(torch.uint8).numpy(), second.numpy(), blocks, exact


def without_sign_of_zero(packed):
    codes = unpack(packed)
    return pack(np.where(codes == 8, 0, codes))


def output(tensors, name, keep):
    weight = bytes_of(tensors, name + ".weight", "U8")
    second = to_float32(tensors[name + ".weight_scale_2"])
    if second.shape != ():
        raise ValueError(f"{name}.weight_scale_2 has a shape, {second.shape}")
    if to_float32(tensors[name + ".input_scale"]).shape != ():
        raise ValueError(f"{name}.input_scale has a shape")
    factor = bytes_of(tensors, name + ".weight_scale", "F8_E4M3")
    return without_sign_of_zero(weight) if keep else weight, factor, second


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--signed-zero", choices=("keep", "drop"), default="drop")
    asked = parser.parse_args()
    source = Source(asked.source)
    made = read_checkpoint(asked.out) if asked.out else None
    verdict = Verdict("modelopt, nvfp4" + (f" --signed-zero {asked.signed_zero}" if made else " as forms.py has it"))
    zeros = blocks = rounded = beyond = 0
    for name in source.names("I8"):
        packed, scale = source.matrix(name)
        k_max = nvfp4_k_max(*(source.matrix(mate)[1] for mate in source.mates(name)))
        if k_max > K_LARGEST:
            beyond += 1
            continue
        own = [mxfp4_kmax(torch.from_numpy(source.matrix(mate)[1].copy())) for mate in source.mates(name)]
        verdict.same("k_max", k_max, max(own))
        weight, factor, second, n, exact = package(packed, scale, k_max)
        by_formula = nvfp4(packed, scale, k_max, signed_zero=False)
        ours = output(made, name, asked.signed_zero == "keep") if made else by_formula[:3]
        mask = by_formula[3] == EXACT
        blocks += n
        rounded += n - exact
        zeros += int(np.sum(unpack(packed) == 8))
        verdict.same(name + ".weight_scale_2", ours[2], second)
        verdict.same(name + ".weight_scale", np.where(mask, ours[1], 0), np.where(mask, factor, 0))
        wide = np.repeat(mask, 16, 1)
        verdict.same(name + ".weight", np.where(wide, unpack(ours[0]), 0), np.where(wide, unpack(weight), 0))
        # And what they mean is what the source means, rescued blocks too.
        value = VALUES[unpack(ours[0])] * np.repeat(E4M3_TABLE[ours[1]], 16, 1) * ours[2]
        good = np.repeat(by_formula[3] != 2, 16, 1)
        verdict.same(name + ": values", np.where(good, value, 0), np.where(good, fp4_values(packed, scale), 0))
        verdict.matrices += 1
    verdict.notes = [f"{blocks} blocks", f"{rounded} of them outside of its window", f"{zeros} codes of -0"]
    if beyond:
        verdict.notes.append(f"{beyond} matrices beyond BF16 left out")
    end(verdict)


if __name__ == "__main__":
    main()
