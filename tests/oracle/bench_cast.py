"""Times the float twin of the FP4 to FP8 cast (tensors.py, D.3 in numpy) on one V4-Flash expert matrix.

Prints one number: GB/s of packed input. Used by make bench for the ratio to the C cast.
"""
import time

import numpy as np

import tensors

rng = np.random.default_rng(1)
weight = tensors.make("I8", rng.integers(0, 256, (2048, 2048), dtype=np.uint8))
scale = tensors.make("F8_E8M0", rng.integers(115, 120, (2048, 128), dtype=np.uint8))
best = 0.0
for _ in range(5):
    start = time.perf_counter()
    tensors.cast_fp4_to_fp8(weight, scale)
    best = max(best, 2048 * 2048 / (time.perf_counter() - start) / 1e9)
print("%.4f" % best)
