"""bytes_ct.py SOURCE FORM [OUT]: FORM (mxfp4, mxfp8, nvfp4a16) held to the package compressed-tensors.

Both ways: the package decompresses the tensors to the values of the source, and compresses these values, given our
scales, to our bytes. With OUT the tensors and the scheme of every matrix are those of OUT (its config.json); without,
what forms.py makes of SOURCE. Dense matrices of OUT are FP8 in blocks, which the package reads too.
The package takes -0 for 0 in FP4, so bytes are compared after that.
"""

import argparse
import json
import logging
import os

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme
from compressed_tensors.utils import match_name
from forms import VALUES, fp4_values, fp8_values, mxfp8_of_fp4, mxfp8_of_fp8, nvfp4, nvfp4_k_max, pack, unpack
from matrices import Source, Verdict, end
from tensors import read_checkpoint

logging.disable(logging.WARNING)

GROUP = {"mxfp4": 32, "mxfp8": 32, "nvfp4a16": 16}
FORMATS = {"mxfp4": "mxfp4-pack-quantized", "mxfp8": "mxfp8-quantized", "nvfp4a16": "nvfp4-pack-quantized"}
TYPES = {
    "U8": torch.uint8, "F8_E4M3": torch.float8_e4m3fn, "F32": torch.float32, "F8_E8M0": torch.uint8,
    "BF16": torch.bfloat16, "I8": torch.int8, "I32": torch.int32, "I64": torch.int64,
}  # fmt: skip
# Parts of a matrix in the package's names.
PARTS = ("weight", "weight_packed", "weight_scale", "weight_global_scale", "weight_shape", "weight_zero_point")


def weights(form):
    """Arguments of the weights of a scheme."""
    own = {"num_bits": 8 if form == "mxfp8" else 4, "type": "float", "symmetric": True, "group_size": GROUP[form]}
    if form == "nvfp4a16":
        return own | {"strategy": "tensor_group", "scale_dtype": torch.float8_e4m3fn}
    return own | {"strategy": "group", "scale_dtype": torch.uint8}


def torch_of(tensor):
    return torch.from_numpy(tensor.data.copy()).reshape(-1).view(TYPES[tensor.dtype]).reshape(tensor.shape)


def by_formula(form, source, name):
    """The tensors of a matrix as forms.py makes them."""
    fp4 = source.tensors[name + ".weight"].dtype == "I8"
    packed, scale = source.matrix(name)
    if form == "mxfp8":
        weight, scale = (mxfp8_of_fp4 if fp4 else mxfp8_of_fp8)(packed, scale)
        return {"weight": as_torch(weight).view(torch.float8_e4m3fn), "weight_scale": as_torch(scale)}
    if form == "mxfp4":
        return {"weight_packed": as_torch(packed), "weight_scale": as_torch(scale)}
    k_max = nvfp4_k_max(*(source.matrix(mate)[1] for mate in source.mates(name)))
    weight, factor, second, _ = nvfp4(packed, scale, k_max)
    return {
        "weight_packed": as_torch(weight),
        "weight_scale": as_torch(factor).view(torch.float8_e4m3fn),
        "weight_global_scale": torch.tensor([1 / second]),
    }


def as_torch(array):
    return torch.from_numpy(np.ascontiguousarray(array).copy())


class Output:
    """A folder of compressed-tensors: its tensors, and the scheme of a matrix by its config.json."""

    def __init__(self, folder):
        self.tensors = read_checkpoint(folder)
        with open(os.path.join(folder, "config.json")) as file:
            said = json.load(file)["quantization_config"]
        # What vLLM reads beside the package's own members.
        self.config = QuantizationConfig.model_validate({k: v for k, v in said.items() if k != "scale_fmt"})

    def parts(self, name):
        return {p: torch_of(self.tensors[f"{name}.{p}"]) for p in PARTS if f"{name}.{p}" in self.tensors}

    def scheme(self, name):
        for ignored in self.config.ignore:
            if match_name(name, ignored):
                raise ValueError(f"{name} is quantized, and config.json says it is not")
        for scheme in self.config.config_groups.values():
            if any(match_name(name, target) for target in scheme.targets):
                return scheme, scheme.format or self.config.format
        raise ValueError(f"{name} is in no group of config.json")


def float_scale(parts, form):
    """The scales as the package wants them to compress: numbers."""
    scale = parts["weight_scale"]
    return scale.float() if scale.dtype != torch.uint8 else torch.exp2(scale.float() - 127)


def without_sign_of_zero(packed):
    codes = unpack(packed)
    return pack(np.where(codes == 8, 0, codes))


def judge(verdict, name, parts, scheme, form, value):
    """One matrix, both ways."""
    compressor = BaseCompressor.get_value_from_registry(form)
    found = compressor.decompress(parts, scheme)["weight"].float().numpy()
    verdict.same(name + ": values", found, value)
    given = {"weight": torch.from_numpy(value), "weight_scale": float_scale(parts, form)}
    if "weight_global_scale" in parts:
        given["weight_global_scale"] = parts["weight_global_scale"]
    made = compressor.compress(given, scheme)
    if "weight_packed" in parts:
        ours = without_sign_of_zero(parts["weight_packed"].numpy())
        verdict.same(name + ".weight_packed", ours, without_sign_of_zero(made["weight_packed"].numpy()))
    else:
        ours = parts["weight"].view(torch.uint8).numpy() & 0xFF
        theirs = made["weight"].view(torch.uint8).numpy()
        nothing = (ours | theirs) & 127 == 0
        verdict.same(name + ".weight", np.where(nothing, 0, ours), np.where(nothing, 0, theirs))
    scale = made["weight_scale"]
    verdict.same(
        name + ".weight_scale",
        parts["weight_scale"].view(torch.uint8).numpy(),
        scale.to(parts["weight_scale"].dtype).view(torch.uint8).numpy(),
    )
    verdict.matrices += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("form", choices=FORMATS)
    parser.add_argument("out", nargs="?")
    asked = parser.parse_args()
    source = Source(asked.source)
    out = Output(asked.out) if asked.out else None
    verdict = Verdict(f"compressed-tensors, ct-{asked.form}" + ("" if out else " as forms.py has it"))
    scheme = QuantizationScheme(targets=["Linear"], weights=weights(asked.form)), FORMATS[asked.form]
    names = [(name, fp4_values) for name in source.names("I8")]
    if out or asked.form == "mxfp8":
        names += [(name, fp8_values) for name in source.names("F8_E4M3")]
    for name, values in names:
        parts = out.parts(name) if out else by_formula(asked.form, source, name)
        judge(verdict, name, parts, *(out.scheme(name) if out else scheme), values(*source.matrix(name)))
    end(verdict)


if __name__ == "__main__":
    main()
