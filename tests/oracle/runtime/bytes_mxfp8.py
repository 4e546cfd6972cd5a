"""bytes_mxfp8.py SOURCE [OUT]: matrices in MXFP8 held to torchao and to NVIDIA's modelopt.

Without OUT what forms.py makes of SOURCE is held to them. The form keeps the exponents of the source, where a
quantizer would choose its own from the largest value; so both packages are given the weights and our scales and must
come to our codes, and torchao must read our codes and scales as the weights that they were.
"""

import argparse
import importlib.util
import logging

import numpy as np
import torch
from forms import fp4_values, fp8_values, mxfp8_of_fp4, mxfp8_of_fp8
from matrices import Source, Verdict, bytes_of, end
from tensors import read_checkpoint

logging.disable(logging.WARNING)


def torchao(weight, scale):
    """The values that torchao reads."""
    from torchao.prototype.mx_formats.mx_tensor import to_dtype

    codes = torch.from_numpy(weight.copy()).view(torch.float8_e4m3fn)
    scales = torch.from_numpy(np.ascontiguousarray(scale)).view(torch.float8_e8m0fnu)
    return to_dtype(codes, scales, torch.float8_e4m3fn, 32, torch.float32).numpy()


def modelopt(value, scale):
    """The codes that modelopt writes with these scales."""
    from modelopt.torch.quantization.qtensor import MXFP8QTensor

    scale = torch.from_numpy(np.ascontiguousarray(scale))
    return MXFP8QTensor.quantize_with_scale(torch.from_numpy(value), scale).view(torch.uint8).numpy()


def matrices(source):
    """Name, values, and by the formulas weight and scale of every quantized matrix."""
    for name in source.names("I8"):
        yield name, fp4_values(*source.matrix(name)), *mxfp8_of_fp4(*source.matrix(name))
    for name in source.names("F8_E4M3"):
        yield name, fp8_values(*source.matrix(name)), *mxfp8_of_fp8(*source.matrix(name))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out", nargs="?")
    asked = parser.parse_args()
    made = read_checkpoint(asked.out) if asked.out else None
    what = ", mxfp8" if made else ", mxfp8 as forms.py has it"
    verdicts = {}
    for package in ("torchao", "modelopt"):
        if importlib.util.find_spec(package):
            verdicts[package] = Verdict(package + what)
    for name, value, weight, scale in matrices(Source(asked.source)):
        if made:
            weight = bytes_of(made, name + ".weight", "F8_E4M3")
            scale = bytes_of(made, name + ".weight_scale", "U8")
        if "torchao" in verdicts:
            verdicts["torchao"].same(name + ": values", torchao(weight, scale), value)
        if "modelopt" in verdicts:
            verdicts["modelopt"].same(name + ".weight", weight, modelopt(value, scale))
        for verdict in verdicts.values():
            verdict.matrices += 1
    end(*verdicts.values())


if __name__ == "__main__":
    main()
