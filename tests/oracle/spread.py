"""spread.py CKPT OUT: a copy of an FP4 checkpoint that cannot be converted without rounding.

What it is: a maker of inputs for the rounding cases of D.2 and D.3 in spec/deepseek-v4.md. The packed codes of the
routed experts are random bytes (so all sixteen codes, -0 among them) and their scales lie 0 to 20 powers of two below
the largest of their tensor, where "lossless" ends at 14. The scales of wo_a are any power of two with which no product
is infinite (which the tool refuses whatever is asked for), the first of them 2^-127, so its BF16 form must round
subnormals. Deterministic.
What it is not: a model that means anything; nor does it touch any other tensor.
"""

import glob
import os
import shutil
import sys
import zlib

import numpy as np

from tensors import make, read_file, write_file


def spread(name, tensor):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("wo_a.scale"):
        scales = random.integers(0, 247, tensor.shape, dtype=np.uint8)  # 448 x 2^119 is finite
        scales.flat[0] = 0  # 2^-127: BF16 has no place for the last bits of codes below 1/8
        return make("F8_E8M0", scales)
    if tensor.dtype == "I8":
        return make("I8", random.integers(0, 256, tensor.shape, dtype=np.uint8))
    largest = random.integers(26, 255)
    steps = random.integers(0, 21, tensor.shape)
    # Some blocks get a smaller maximum, so that neighbouring blocks need different scales.
    steps[:128, :4] = np.maximum(steps[:128, :4], 3)
    return make("F8_E8M0", (largest - steps).astype(np.uint8))


def main():
    checkpoint, out = sys.argv[1:]
    os.makedirs(out)
    for path in glob.glob(os.path.join(checkpoint, "*.json")):
        shutil.copyfile(path, os.path.join(out, os.path.basename(path)))
    for path in glob.glob(os.path.join(checkpoint, "*.safetensors")):
        tensors = read_file(path)
        for name, tensor in tensors.items():
            if ".experts." in name or name.endswith("wo_a.scale"):
                tensors[name] = spread(name, tensor)
        write_file(os.path.join(out, os.path.basename(path)), tensors)


if __name__ == "__main__":
    main()
