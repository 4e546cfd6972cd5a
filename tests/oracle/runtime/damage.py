"""damage.py FOLDER OUT WHAT: a copy of a checkpoint of official names with one thing wrong; without arguments: the list.

What it is: a maker of inputs that a judge of logits must refuse. Each is a mistake that a converter can make, at the
smallest size at which it can be made. The names of experts are of layer 2, all of whose experts some token chooses.
"""

import glob
import os
import shutil
import sys

from tensors import read_checkpoint, read_file, write_file

EXPERT = "layers.2.ffn.experts.0."
OTHER = "layers.2.ffn.experts.1."


def flip(name, byte, bit):
    """One bit of one byte of a tensor."""

    def do(tensors):
        flat = tensors[name].data.reshape(-1)
        flat[byte] ^= 1 << bit

    return do


def one_up(name, byte):
    """A scale that is twice as large as it should be."""

    def do(tensors):
        flat = tensors[name].data.reshape(-1)
        flat[byte] += 1

    return do


def exchange(a, b):
    """Two tensors in each other's place."""

    def do(tensors):
        tensors[a], tensors[b] = tensors[b], tensors[a]

    return do


def nibbles(name):
    """The wrong half of every byte first."""

    def do(tensors):
        data = tensors[name].data
        data[...] = data << 4 | data >> 4

    return do


def several(*parts):
    def do(tensors):
        for part in parts:
            part(tensors)

    return do


DAMAGES = {
    "one bit of an FP4 code": flip(EXPERT + "w1.weight", 5, 0),
    "one bit of an FP8 code": flip("layers.1.attn.wq_b.weight", 5, 6),
    "one bit of a norm": flip("layers.1.attn_norm.weight", 2, 0),
    "one E8M0 scale of an expert twice as large": one_up(EXPERT + "w1.scale", 3),
    "one scale of a tile twice as large": one_up("layers.1.attn.wq_b.scale", 0),
    "nibbles exchanged in one matrix": nibbles(EXPERT + "w2.weight"),
    "w1 and w3 exchanged in one expert": several(
        exchange(EXPERT + "w1.weight", EXPERT + "w3.weight"), exchange(EXPERT + "w1.scale", EXPERT + "w3.scale")
    ),
    "w2 of two experts exchanged": several(
        exchange(EXPERT + "w2.weight", OTHER + "w2.weight"), exchange(EXPERT + "w2.scale", OTHER + "w2.scale")
    ),
}


def main():
    if len(sys.argv) == 1:
        print("\n".join(DAMAGES))
        return
    folder, out, what = sys.argv[1:]
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = read_checkpoint(folder)
    for tensor in tensors.values():
        tensor.data = tensor.data.copy()
    DAMAGES[what](tensors)
    for path in glob.glob(os.path.join(folder, "*.safetensors")):
        names = read_file(path)
        write_file(os.path.join(out, os.path.basename(path)), {name: tensors[name] for name in names})


if __name__ == "__main__":
    main()
