"""round_ct.py SOURCE OUT: what a name that rounds (w4a16 and its like, w8a8, w8a8-fp8) wrote, held to compressed-tensors.

The package reads config.json, finds each expert's scheme in it, and unpacks the tensors to the values that a formula here
has for them. What it writes of these values itself has the same names, types and shapes: codes, scales, zero points, weight_shape.
Its own scales (calculate_qparams of each group's least and largest value, in BF16 as it stores them; with zero points where
the scheme is asymmetric) are then given the same values: no matrix of OUT may have a greater squared error than what the
package makes with those.
"""

import argparse
import logging

import numpy as np
import torch
from bytes_ct import Output
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams
from forms import fp4_values, fp8_values
from matrices import Source, Verdict, end

logging.disable(logging.WARNING)

E4M3 = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).float().numpy()


def nibbles(words):
    return words[..., None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15


def zero_points(parts):
    """Of each group the code that means zero."""
    shape = parts["weight_scale"].shape
    if "weight_zero_point" not in parts:
        return np.full(shape, 8, np.float32)
    words = parts["weight_zero_point"].numpy().view(np.uint32)
    return np.moveaxis(nibbles(words), -1, 1).reshape(-1, words.shape[1])[: shape[0]].astype(np.float32)


def by_formula(parts):
    """The values of a matrix, from its bytes."""
    scale = parts["weight_scale"].float().numpy()
    if "weight_packed" in parts:
        words = parts["weight_packed"].numpy().view(np.uint32)
        codes = nibbles(words).astype(np.float32).reshape(words.shape[0], -1)
        codes = codes - np.repeat(zero_points(parts), codes.shape[1] // scale.shape[1], axis=1)
    elif parts["weight"].dtype == torch.int8:
        codes = parts["weight"].float().numpy()
    else:
        codes = E4M3[parts["weight"].view(torch.uint8).numpy()]
    return codes * np.repeat(scale, codes.shape[1] // scale.shape[1], axis=1)


def by_package(value, args):
    """What the package makes of these values with scales of its own."""
    rows, cols = value.shape
    groups = torch.from_numpy(value).reshape(rows, -1, args.group_size or cols)
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    scale = scale.bfloat16().float()
    codes = quantize(torch.from_numpy(value), scale, zero, args)
    return dequantize(codes.float(), scale, zero, args, torch.float32).numpy()


def error(found, value):
    return float(((found.astype(np.float64) - value) ** 2).sum())


def as_written(compressor, parts, scheme, values):
    """What the package itself writes of these values and scales; the model's own type is BF16."""
    given = {"weight": torch.from_numpy(values).bfloat16(), "weight_scale": parts["weight_scale"].bfloat16()}
    if "weight_zero_point" in parts:
        given["weight_zero_point"] = torch.from_numpy((zero_points(parts) - 8).astype(np.int8))
    return compressor.compress(given, scheme)


def listed(parts):
    """Names of a matrix's tensors, their types and shapes: what a loader takes them by."""
    return np.array(sorted(f"{name} {str(t.dtype)} {tuple(t.shape)}" for name, t in parts.items()))


def judge(verdict, name, out, value):
    parts = out.parts(name)
    scheme, form = out.scheme(name)
    compressor = BaseCompressor.get_value_from_registry(form)
    found = compressor.decompress(dict(parts), scheme)["weight"].float().numpy()
    formula = by_formula(parts)
    # The package multiplies in BF16, the type of the scales: the formula is held to it in that.
    verdict.same(name + ": values", found, torch.from_numpy(formula).bfloat16().float().numpy())
    verdict.same(name + ": tensors, types, shapes", listed(parts), listed(as_written(compressor, parts, scheme, formula)))
    if "weight_shape" in parts:
        verdict.same(name + ": shape", parts["weight_shape"].numpy(), value.shape)
    ours, theirs = error(formula, value), error(by_package(value, scheme.weights), value)
    if ours > theirs * (1 + 1e-6):
        verdict.wrong = verdict.wrong or f"{name}: squared error {ours}, with the package's scales {theirs}"
    verdict.matrices += 1
    return ours, theirs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out")
    asked = parser.parse_args()
    source, out = Source(asked.source), Output(asked.out)
    said = next(iter(out.config.config_groups.values()))
    verdict = Verdict(f"compressed-tensors, rounded: {said.format}, {said.weights.strategy} {said.weights.group_size or ''}")
    sums = np.zeros(2)
    names = [(name, fp4_values) for name in source.names("I8")]
    names += [(name, fp8_values) for name in source.names("F8_E4M3") if ".ffn.experts." in name]
    for name, values in names:
        sums += judge(verdict, name, out, values(*source.matrix(name)))
    verdict.notes.append(f"squared error {sums[0] / sums[1] if sums[1] else 0:.3f} of that with the package's scales")
    end(verdict)


if __name__ == "__main__":
    main()
