"""official.py CKPT OUT --mp N [--experts fp4|fp8]: one file for each rank, as the official convert.py writes them.

What it is: a plain twin of the official converter, derived from section D of spec/deepseek-v4.md alone: everything in
memory, one rank after the other. The safetensors package reads and writes, so its layout of a file is the truth here.
What it is not: a converter to use (it holds the checkpoint in memory several times over), nor one for the V3-style
names that the official program also takes and no V4 checkpoint has.

Exit status: 0 done, 2 refused (a size does not divide), anything else is a mistake in this program or its input.
"""

import argparse
import json
import os
import shutil
import sys

from tensors import Tensor, as_float4, cast_fp4_to_fp8, dequantize_to_bf16, read_checkpoint, write_file

# D.1, sharded keys. Every other key is replicated. No key of V4 is renamed.
SHARDED = {
    "embed": 0,
    "head": 0,
    "wq_b": 0,
    "wo_a": 0,
    "wo_b": 1,
    "attn_sink": 0,
    "weights_proj": 0,
}


class Refused(Exception):
    """What the original says by a failing assert."""


def require(condition, message):
    if not condition:
        raise Refused(message)


def renamed(name):
    """D.1 step 3."""
    name = name.replace("self_attn", "attn")
    name = name.replace("mlp", "ffn")
    name = name.replace("weight_scale_inv", "scale")
    return name.replace("e_score_correction_bias", "bias")


def is_skipped(name):
    """D.1 step 2: the copies of embed and head that Base keeps in its mtp block."""
    return name.startswith("mtp.") and ("emb" in name or name.endswith("head.weight"))


def key_of(name):
    """D.1 step 4. The original looks for "tie2eid", so tid2eid gives the key "gate"; neither is sharded."""
    parts = name.split(".")
    if any(part in name for part in ("hc", "attn_sink", "tie2eid", "ape")):
        return parts[-1]
    return parts[-2]


def is_routed_expert(name):
    return "experts" in name and "shared_experts" not in name


def slice_of(name, tensor, dim, rank, mp):
    """D.1 step 6: the rank's part of a tensor along dim."""
    size = tensor.shape[dim]
    require(size % mp == 0, f"{name}: {size} is not divisible by {mp}")
    part = size // mp
    rows = slice(rank * part, (rank + 1) * part)
    data = tensor.data[rows] if dim == 0 else tensor.data[:, rows]
    return Tensor(tensor.dtype, data.shape[:-1], data.copy())


def shard(source, n_experts, mp):
    """D.1: the dictionaries of all ranks."""
    require(n_experts % mp == 0, f"{n_experts} experts are not divisible by {mp}")
    n_local = n_experts // mp
    ranks = [{} for _ in range(mp)]
    for source_name, tensor in source.items():
        name = source_name.removeprefix("model.")
        if is_skipped(name):
            continue
        name = renamed(name)
        dim = SHARDED.get(key_of(name))
        for rank in range(mp):
            if is_routed_expert(name):
                expert = int(name.split(".")[-3])
                if rank * n_local <= expert < (rank + 1) * n_local:
                    ranks[rank][name] = tensor
            elif dim is not None:
                ranks[rank][name] = slice_of(name, tensor, dim, rank, mp)
            else:
                ranks[rank][name] = tensor
    return ranks


def transform(tensors, experts):
    """D.2: changes the dictionary of one rank."""
    for name in list(tensors):
        if name.endswith("wo_a.weight"):
            scale = tensors.pop(name.replace("weight", "scale"))
            tensors[name] = dequantize_to_bf16(tensors[name], scale)
        elif "experts" in name and tensors[name].dtype == "I8":
            if experts == "fp8":
                scale_name = name.replace("weight", "scale")
                tensors[name], tensors[scale_name] = cast_fp4_to_fp8(tensors[name], tensors[scale_name])
            else:
                tensors[name] = as_float4(tensors[name])


def convert(checkpoint, out, mp, experts):
    with open(os.path.join(checkpoint, "config.json")) as file:
        n_experts = json.load(file)["n_routed_experts"]
    ranks = shard(read_checkpoint(checkpoint), n_experts, mp)
    os.makedirs(out, exist_ok=True)
    for rank, tensors in enumerate(ranks):
        transform(tensors, experts)
        write_file(os.path.join(out, f"model{rank}-mp{mp}.safetensors"), tensors)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = os.path.join(checkpoint, name)
        if os.path.exists(path):
            shutil.copyfile(path, os.path.join(out, name))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--mp", type=int, required=True)
    parser.add_argument("--experts", choices=("fp4", "fp8"))
    arguments = parser.parse_args()
    try:
        convert(arguments.checkpoint, arguments.out, arguments.mp, arguments.experts)
    except Refused as refusal:
        print(f"official.py: {refusal}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
