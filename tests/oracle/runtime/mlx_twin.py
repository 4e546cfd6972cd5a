"""mlx_twin.py SOURCE OUT: what MLX takes of a DeepSeek-V4 folder, derived from what mlx-vlm reads (spec/engines.md, 2).

The weights stay the files that they are. config.json gets the key "quantization": for every matrix the form that its
bytes have under MLX's names, and for the rest a form that applies to nothing.
"""

import json
import os
import shutil
import sys

DENSE = ("wq_a", "wq_b", "wkv", "wo_a", "wo_b")
PARTS = ("gate_proj", "up_proj", "down_proj")
FORMS = {"fp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"}, "fp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"}}


def quantization(config):
    forms = {"group_size": 64, "bits": 8, "mode": "affine"}
    experts = FORMS[config.get("expert_dtype", "fp4")]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"language_model.model.layers.{layer}."
        for part in PARTS:
            forms[prefix + "ffn.switch_mlp." + part] = experts
            forms[prefix + "ffn.shared_experts." + part] = FORMS["fp8"]
        for part in DENSE:
            forms[prefix + "attn." + part] = FORMS["fp8"]
        if config["compress_ratios"][layer] == 4:
            forms[prefix + "attn.indexer.wq_b"] = FORMS["fp8"]
    return forms


def main():
    source, out = sys.argv[1:]
    shutil.copytree(source, out)
    path = os.path.join(out, "config.json")
    with open(path) as file:
        config = json.load(file)
    config["quantization"] = quantization(config)
    with open(path, "w") as file:
        json.dump(config, file, indent=2)


if __name__ == "__main__":
    main()
