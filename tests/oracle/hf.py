"""hf.py CKPT OUT [--experts fp8 [--scale-dtype f32|e8m0]]: the Hugging Face folder again, one shard for each layer.

What it is: the shards and the index of the published form, by the placement rule of section B.1 of
spec/deepseek-v4.md; with --experts fp8 the routed experts are cast by D.3, each under its name, and all scales are
written as F32 numbers, as section 2.1 of spec/quant-formats.md has it, unless --scale-dtype e8m0 keeps the bytes. The
safetensors package reads and writes, so its layout of a file is the truth here.
What it is not: a copy of the source's own placement (which may differ from the rule), nor a writer of config.json,
tokenizer or other companions of the weights.
"""

import argparse
import json
import os

import ml_dtypes
import numpy as np

from tensors import cast_fp4_to_fp8, make, read_checkpoint, write_file


def shard_of(name, n_layers):
    """B.1: embed, the layers, the head, the mtp stages; counted from 1."""
    parts = name.split(".")
    if name == "embed.weight":
        return 1
    if parts[0] == "layers":
        return int(parts[1]) + 2
    if parts[0] == "mtp":
        return n_layers + 3 + int(parts[1])
    assert name in ("head.weight", "norm.weight", "hc_head_base", "hc_head_fn", "hc_head_scale"), name
    return n_layers + 2


def cast_experts(tensors):
    for name in list(tensors):
        if "experts" in name and tensors[name].dtype == "I8":
            scale_name = name.removesuffix("weight") + "scale"
            tensors[name], tensors[scale_name] = cast_fp4_to_fp8(tensors[name], tensors[scale_name])


def widen_scales(tensors):
    for name, tensor in tensors.items():
        if tensor.dtype == "F8_E8M0":
            values = tensor.data[..., 0].view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
            tensors[name] = make("F32", values)


def convert(checkpoint, out, experts, scale_dtype):
    with open(os.path.join(checkpoint, "config.json")) as file:
        n_layers = json.load(file)["num_hidden_layers"]
    tensors = read_checkpoint(checkpoint)
    if experts == "fp8":
        cast_experts(tensors)
        if scale_dtype == "f32":
            widen_scales(tensors)

    shards = {}
    for name, tensor in tensors.items():
        shards.setdefault(shard_of(name, n_layers), {})[name] = tensor
    count = max(shards)
    assert sorted(shards) == list(range(1, count + 1)), "a shard would be empty"

    os.makedirs(out, exist_ok=True)
    weight_map = {}
    for number, members in shards.items():
        file_name = f"model-{number:05d}-of-{count:05d}.safetensors"
        write_file(os.path.join(out, file_name), members)
        for name in members:
            weight_map[name] = file_name

    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    with open(os.path.join(out, "model.safetensors.index.json"), "w") as file:
        file.write(json.dumps(index, indent=2, sort_keys=True) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--experts", choices=("fp8",))
    parser.add_argument("--scale-dtype", choices=("f32", "e8m0"), default="f32")
    arguments = parser.parse_args()
    convert(arguments.checkpoint, arguments.out, arguments.experts, arguments.scale_dtype)


if __name__ == "__main__":
    main()
