"""Writes tests/vectors/num.txt: the FP32 bits of the value of every code of the small formats, as the
package ml_dtypes has them. Not an encoder; rounding is tested in C against a search.

Follows section C of the checkpoint's specification.  Usage: num.py > tests/vectors/num.txt
"""
import ml_dtypes
import numpy as np

FORMATS = (
    ("e2m1", ml_dtypes.float4_e2m1fn, 16),
    ("e4m3", ml_dtypes.float8_e4m3fn, 256),
    ("e8m0", ml_dtypes.float8_e8m0fnu, 256),
)

for name, dtype, count in FORMATS:
    codes = np.arange(count, dtype=np.uint8)
    for code, value in enumerate(codes.view(dtype).astype(np.float32)):
        print(name, code, "%08x" % value.view(np.uint32))
