"""inventory.py CONFIG: prints the number of tensors and of payload bytes that a checkpoint of this config.json has.

What it is: the tables of section B of spec/deepseek-v4.md, with the DSpark drafter of section G and the Base form of
section A.2, written out as shapes in terms of the configuration.
What it is not: a reader of weights; it counts from config.json and nothing else. So "expert_dtype": "fp8" can only mean a
Base checkpoint here (F32 scales, mtp copies of embed and head), never an instruct checkpoint that was cast to FP8.

inventory.py --self-check FOLDER compares the configs of that folder with the totals that the specification gives.
inventory.py --headers CONFIG FOLDER compares the names, dtypes and shapes of the shards in FOLDER.
"""

import glob
import json
import math
import os
import sys
from collections import Counter

ELEMENT_BYTES = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "F8_E8M0": 1, "I64": 8, "I8": 1}

# File name in the folder -> (tensors, bytes), None where the specification has no number.
# The bytes of Flash-Base are A.2's size check; Pro-Base's tensors and Pro-DSpark are the computed ones of section I.
TOTALS = {
    "flash.json": (69187, 159609485896),
    "pro.json": (145116, 864704792696),
    "flash-0731.json": (72317, 166878536440),
    "flash-base.json": (69189, 294673469000),
    "pro-base.json": (145118, None),
    "pro-dspark.json": (149782, 892727580904),
}

# B.1: how many tensors are of each dtype.
DTYPE_COUNTS = {
    "flash.json": {"BF16": 433, "F32": 417, "F8_E4M3": 375, "F8_E8M0": 34167, "I64": 3, "I8": 33792},
    "pro.json": {"BF16": 619, "F32": 590, "F8_E4M3": 528, "F8_E8M0": 71952, "I64": 3, "I8": 71424},
}


class Inventory:
    def __init__(self, config):
        self.config = config
        self.base = config.get("expert_dtype") == "fp8"
        self.tensors = {}
        self.list_all()

    # ------------------------------------------------ kinds of tensors

    def add(self, name, dtype, *shape):
        assert name not in self.tensors, name
        self.tensors[name] = (dtype, shape)

    def add_scale(self, weight_name, *shape):
        name = weight_name.removesuffix(".weight") + ".scale"
        self.add(name, "F32" if self.base else "F8_E8M0", *shape)

    def add_fp8(self, name, rows, columns):
        self.add(name, "F8_E4M3", rows, columns)
        self.add_scale(name, math.ceil(rows / 128), math.ceil(columns / 128))

    def add_expert_matrix(self, name, rows, columns):
        if self.base:
            self.add_fp8(name, rows, columns)
        else:
            self.add(name, "I8", rows, columns // 2)
            self.add_scale(name, rows, columns // 32)

    # ------------------------------------------------ parts of the model

    def add_hyper_connection_head(self, prefix):
        streams = self.config["hc_mult"]
        self.add(prefix + "hc_head_base", "F32", streams)
        self.add(prefix + "hc_head_fn", "F32", streams, streams * self.config["hidden_size"])
        self.add(prefix + "hc_head_scale", "F32", 1)

    def add_hyper_connections(self, prefix):
        streams = self.config["hc_mult"]
        mixes = 2 * streams + streams * streams
        for part in ("hc_attn", "hc_ffn"):
            self.add(f"{prefix}{part}_base", "F32", mixes)
            self.add(f"{prefix}{part}_fn", "F32", mixes, streams * self.config["hidden_size"])
            self.add(f"{prefix}{part}_scale", "F32", 3)

    def add_compressor(self, prefix, ratio, head_dim):
        # Windows overlap at ratio 4: two sets of columns.
        width = 2 * head_dim if ratio == 4 else head_dim
        self.add(prefix + "ape", "F32", ratio, width)
        self.add(prefix + "wkv.weight", "BF16", width, self.config["hidden_size"])
        self.add(prefix + "wgate.weight", "BF16", width, self.config["hidden_size"])
        self.add(prefix + "norm.weight", "BF16", head_dim)

    def add_indexer(self, prefix):
        heads = self.config["index_n_heads"]
        head_dim = self.config["index_head_dim"]
        self.add_fp8(prefix + "wq_b.weight", heads * head_dim, self.config["q_lora_rank"])
        self.add(prefix + "weights_proj.weight", "BF16", heads, self.config["hidden_size"])
        self.add_compressor(prefix + "compressor.", 4, head_dim)

    def add_attention(self, prefix, ratio):
        hidden = self.config["hidden_size"]
        heads = self.config["num_attention_heads"]
        head_dim = self.config["head_dim"]
        q_rank = self.config["q_lora_rank"]
        groups = self.config["o_groups"]
        o_rows = groups * self.config["o_lora_rank"]
        self.add(prefix + "attn_sink", "F32", heads)
        self.add(prefix + "q_norm.weight", "BF16", q_rank)
        self.add(prefix + "kv_norm.weight", "BF16", head_dim)
        self.add_fp8(prefix + "wq_a.weight", q_rank, hidden)
        self.add_fp8(prefix + "wq_b.weight", heads * head_dim, q_rank)
        self.add_fp8(prefix + "wkv.weight", head_dim, hidden)
        self.add_fp8(prefix + "wo_a.weight", o_rows, heads * head_dim // groups)
        self.add_fp8(prefix + "wo_b.weight", hidden, o_rows)
        if ratio > 0:
            self.add_compressor(prefix + "compressor.", ratio, head_dim)
        if ratio == 4:
            self.add_indexer(prefix + "indexer.")

    def add_ffn(self, prefix, is_hash_layer):
        hidden = self.config["hidden_size"]
        inner = self.config["moe_intermediate_size"]
        experts = self.config["n_routed_experts"]
        self.add(prefix + "gate.weight", "BF16", experts, hidden)
        if is_hash_layer:
            self.add(prefix + "gate.tid2eid", "I64", self.config["vocab_size"], self.config["num_experts_per_tok"])
        else:
            self.add(prefix + "gate.bias", "F32", experts)
        self.add_fp8(prefix + "shared_experts.w1.weight", inner, hidden)
        self.add_fp8(prefix + "shared_experts.w2.weight", hidden, inner)
        self.add_fp8(prefix + "shared_experts.w3.weight", inner, hidden)
        for expert in range(experts):
            self.add_expert_matrix(f"{prefix}experts.{expert}.w1.weight", inner, hidden)
            self.add_expert_matrix(f"{prefix}experts.{expert}.w2.weight", hidden, inner)
            self.add_expert_matrix(f"{prefix}experts.{expert}.w3.weight", inner, hidden)

    def add_block(self, prefix, ratio, is_hash_layer):
        self.add_hyper_connections(prefix)
        self.add(prefix + "attn_norm.weight", "BF16", self.config["hidden_size"])
        self.add(prefix + "ffn_norm.weight", "BF16", self.config["hidden_size"])
        self.add_attention(prefix + "attn.", ratio)
        self.add_ffn(prefix + "ffn.", is_hash_layer)

    def add_mtp(self):
        hidden = self.config["hidden_size"]
        vocabulary = self.config["vocab_size"]
        self.add_block("mtp.0.", 0, False)
        self.add_fp8("mtp.0.e_proj.weight", hidden, hidden)
        self.add_fp8("mtp.0.h_proj.weight", hidden, hidden)
        for name in ("enorm", "hnorm", "norm"):
            self.add(f"mtp.0.{name}.weight", "BF16", hidden)
        self.add_hyper_connection_head("mtp.0.")
        if self.base:
            self.add("mtp.0.emb.tok_emb.weight", "BF16", vocabulary, hidden)
            self.add("mtp.0.head.weight", "BF16", vocabulary, hidden)

    def add_dspark(self, stages):
        hidden = self.config["hidden_size"]
        vocabulary = self.config["vocab_size"]
        rank = self.config["dspark_markov_rank"]
        targets = len(self.config["dspark_target_layer_ids"])
        for stage in range(stages):
            self.add_block(f"mtp.{stage}.", 0, False)
        self.add_fp8("mtp.0.main_proj.weight", hidden, targets * hidden)
        self.add("mtp.0.main_norm.weight", "BF16", hidden)
        last = f"mtp.{stages - 1}."
        self.add(last + "norm.weight", "BF16", hidden)
        self.add_hyper_connection_head(last)
        self.add(last + "markov_head.markov_w1.weight", "BF16", vocabulary, rank)
        self.add(last + "markov_head.markov_w2.weight", "BF16", vocabulary, rank)
        self.add(last + "confidence_head.proj.weight", "BF16", 1, hidden + rank)

    def list_all(self):
        config = self.config
        layers = config["num_hidden_layers"]
        ratios = config["compress_ratios"]
        # H.1: the entries after the layers belong to the mtp stages. num_nextn_predict_layers is 1 with DSpark too.
        stages = len(ratios) - layers
        self.add("embed.weight", "BF16", config["vocab_size"], config["hidden_size"])
        self.add("head.weight", "BF16", config["vocab_size"], config["hidden_size"])
        self.add("norm.weight", "BF16", config["hidden_size"])
        self.add_hyper_connection_head("")
        for layer in range(layers):
            self.add_block(f"layers.{layer}.", ratios[layer], layer < config["num_hash_layers"])
        if "dspark_block_size" in config:
            self.add_dspark(stages)
        else:
            assert stages == 1, stages
            self.add_mtp()

    # ------------------------------------------------ totals

    def totals(self):
        total = 0
        for dtype, shape in self.tensors.values():
            total += math.prod(shape) * ELEMENT_BYTES[dtype]
        return len(self.tensors), total


def inventory_of(path):
    with open(path) as file:
        return Inventory(json.load(file))


def self_check(folder):
    """Lines that tell where the tables above and the specification's totals part."""
    lines = []
    for name, expected in TOTALS.items():
        inventory = inventory_of(os.path.join(folder, name))
        for what, mine, theirs in zip(("tensors", "bytes"), inventory.totals(), expected):
            if theirs is not None and mine != theirs:
                lines.append(f"{name}: {mine} {what}, the specification says {theirs}")
        if name in DTYPE_COUNTS:
            counts = dict(Counter(dtype for dtype, _ in inventory.tensors.values()))
            if counts != DTYPE_COUNTS[name]:
                lines.append(f"{name}: {counts}, the specification says {DTYPE_COUNTS[name]}")
    return lines


def compare_headers(config, folder):
    """Lines that tell where the shards of a folder and the inventory part."""
    expected = inventory_of(config).tensors
    found = {}
    for path in glob.glob(os.path.join(folder, "*.safetensors")):
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            found[name] = (entry["dtype"], tuple(entry["shape"]))
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            lines.append(f"{name}: expected {expected.get(name)}, found {found.get(name)}")
    return lines


def main():
    arguments = sys.argv[1:]
    lines = []
    if len(arguments) == 2 and arguments[0] == "--self-check":
        lines = self_check(arguments[1])
    elif len(arguments) == 3 and arguments[0] == "--headers":
        lines = compare_headers(arguments[1], arguments[2])
    elif len(arguments) == 1:
        tensors, total = inventory_of(arguments[0]).totals()
        print(f"{tensors} tensors, {total} bytes")
    else:
        sys.exit("usage: inventory.py CONFIG | --self-check FOLDER | --headers CONFIG FOLDER")
    for line in lines[:20]:
        print(line)
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
