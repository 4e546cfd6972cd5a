"""The matrices of a download and of what was made of it, by name.

What it is: the common part of the byte oracles (bytes_*.py): a folder's tensors, its quantized matrices in groups that
share a second scale, and the verdict's lines.
"""

import re
import sys

import numpy as np
from forms import e8m0
from tensors import read_checkpoint


class Source:
    """A download: FP4 experts and FP8 matrices as bytes."""

    def __init__(self, folder):
        self.tensors = read_checkpoint(folder)

    def names(self, dtype):
        """Names of quantized matrices, without ".weight"."""
        return [
            name.removesuffix(".weight")
            for name, tensor in self.tensors.items()
            if name.endswith(".weight") and tensor.dtype == dtype
        ]

    def matrix(self, name):
        """Bytes of the weights and of the scales."""
        return self.tensors[name + ".weight"].data[..., 0], e8m0(self.tensors[name + ".scale"])

    def mates(self, name):
        """What shares a second scale with an expert's matrix: w1 and w3 of one expert, w2 alone."""
        return [re.sub(r"w[13]$", w, name) for w in ("w1", "w3")] if name[-1] in "13" else [name]


def bytes_of(tensors, name, dtype):
    """A tensor of an output as bytes; its type must be the one that is said."""
    found = tensors.get(name)
    if found is None:
        raise ValueError(f"{name} is not there")
    if found.dtype != dtype:
        raise ValueError(f"{name} is {found.dtype}, not {dtype}")
    return found.data if found.data.shape[-1] > 1 else found.data[..., 0]


class Verdict:
    """Counts what was compared under one name, remembers the first difference, and prints a line."""

    def __init__(self, name):
        self.name, self.matrices, self.wrong, self.notes = name, 0, None, []

    def same(self, what, found, expected):
        found, expected = np.asarray(found), np.asarray(expected)
        if found.shape != expected.shape:
            self.wrong = self.wrong or f"{what}: shape {found.shape}, not {expected.shape}"
        elif not np.array_equal(found, expected):
            at = np.argwhere(found != expected)[0]
            self.wrong = self.wrong or (
                f"{what}{list(map(int, at))} is {found[tuple(at)]}, the package has {expected[tuple(at)]}"
            )

    def finish(self):
        good = self.wrong is None and self.matrices > 0
        said = self.wrong or f"{self.matrices} matrices" + "".join(", " + note for note in self.notes)
        print(f"{'ok  ' if good else 'FAIL'} {self.name}: {said}", flush=True)
        return good


def end(*verdicts):
    sys.exit(0 if all([v.finish() for v in verdicts]) else 1)
