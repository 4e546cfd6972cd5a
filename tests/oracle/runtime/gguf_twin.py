"""gguf_twin.py SOURCE OUT.gguf [--experts mxfp4|f32] [--dense bf16|q8_0|f32]: a GGUF of a DeepSeek-V4 checkpoint.

Names, keys and types are those of llama.cpp's own converter for this family (spec/engines.md, 2), the container is
written by the package gguf. Drafts (mtp.) are left out. The tokenizer is made up: nothing here reads text.
"""

import argparse
import json
import os
import re

import gguf
import ml_dtypes
import numpy as np
from tensors import E2M1_TABLE, per_row_and_column, read_checkpoint, to_float32

ARCH = "deepseek4"
Type = gguf.GGMLQuantizationType

# Key of GGUF <- field of config.json.
INTEGERS = {
    "block_count": "num_hidden_layers", "context_length": "max_position_embeddings", "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads", "attention.key_length": "head_dim",
    "attention.value_length": "head_dim", "attention.q_lora_rank": "q_lora_rank",
    "attention.sliding_window": "sliding_window", "attention.output_group_count": "o_groups",
    "attention.output_lora_rank": "o_lora_rank", "attention.indexer.head_count": "index_n_heads",
    "attention.indexer.key_length": "index_head_dim", "attention.indexer.top_k": "index_topk",
    "rope.dimension_count": "qk_rope_head_dim", "expert_count": "n_routed_experts",
    "expert_used_count": "num_experts_per_tok", "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_count": "n_shared_experts", "hyper_connection.count": "hc_mult",
    "hyper_connection.sinkhorn_iterations": "hc_sinkhorn_iters", "hash_layer_count": "num_hash_layers",
}  # fmt: skip
FLOATS = {
    "rope.freq_base": "rope_theta", "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.compress_rope_freq_base": "compress_rope_theta", "expert_weights_scale": "routed_scaling_factor",
    "hyper_connection.epsilon": "hc_eps",
}  # fmt: skip
YARN = {"factor": "factor", "yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
SQRT_SOFTPLUS = 4  # llama.cpp's number of the gating function

# Name in a block of GGUF <- name in a layer of the checkpoint; names that are the same are not listed.
LEAVES = {
    "attn.attn_sink": "attn_sinks", "attn.wq_a": "attn_q_a", "attn.wq_b": "attn_q_b", "attn.q_norm": "attn_q_a_norm",
    "attn.wkv": "attn_kv", "attn.kv_norm": "attn_kv_a_norm", "attn.wo_a": "attn_output_a",
    "attn.wo_b": "attn_output_b", "attn.compressor.ape": "attn_compressor_ape",
    "attn.compressor.wkv": "attn_compressor_kv", "attn.compressor.wgate": "attn_compressor_gate",
    "attn.compressor.norm": "attn_compressor_norm", "attn.indexer.wq_b": "indexer.attn_q_b",
    "attn.indexer.weights_proj": "indexer.proj", "attn.indexer.compressor.ape": "indexer_compressor_ape",
    "attn.indexer.compressor.wkv": "indexer_compressor_kv", "attn.indexer.compressor.wgate": "indexer_compressor_gate",
    "attn.indexer.compressor.norm": "indexer_compressor_norm", "ffn.gate": "ffn_gate_inp",
    "ffn.shared_experts.w1": "ffn_gate_shexp", "ffn.shared_experts.w2": "ffn_down_shexp",
    "ffn.shared_experts.w3": "ffn_up_shexp",
}  # fmt: skip
ROOTS = {
    "embed": "token_embd", "head": "output", "norm": "output_norm", "hc_head_fn": "output_hc_fn",
    "hc_head_base": "output_hc_base", "hc_head_scale": "output_hc_scale",
}  # fmt: skip
EXPERTS = {"w1": "gate", "w2": "down", "w3": "up"}


def values(tensors, name):
    """A tensor in FP32, dequantized."""
    tensor = tensors[name]
    if tensor.dtype == "BF16":
        return tensor.data.view(ml_dtypes.bfloat16)[..., 0].astype(np.float32)
    if tensor.dtype == "F32":
        return to_float32(tensor)
    scale = to_float32(tensors[name.removesuffix("weight") + "scale"])
    if tensor.dtype == "I8":
        return E2M1_TABLE[codes(tensor)] * per_row_and_column(scale, 1, 32)
    rows, columns = tensor.shape
    return to_float32(tensor) * per_row_and_column(scale, 128, 128)[:rows, :columns]


def codes(tensor):
    """FP4 codes [rows, columns] of a packed tensor."""
    packed = tensor.data[..., 0]
    return np.stack([packed & 15, packed >> 4], -1).reshape(packed.shape[0], -1)


def mxfp4(tensors, name):
    """Blocks of ggml's MXFP4: the scale byte, then codes j and j + 16 in byte j."""
    code = codes(tensors[name])
    code = code.reshape(code.shape[0], -1, 2, 16)
    scale = tensors[name.removesuffix("weight") + "scale"].data
    packed = code[:, :, 0] | code[:, :, 1] << 4
    return np.concatenate([scale, packed], -1).reshape(code.shape[0], -1)


class Writer:
    def __init__(self, path):
        self.file = gguf.GGUFWriter(path, ARCH)

    def put(self, name, value, kind):
        value = np.ascontiguousarray(value, np.float32)
        if kind == "f32":
            self.file.add_tensor(name, value)
        else:
            raw = {"bf16": Type.BF16, "q8_0": Type.Q8_0}[kind]
            self.file.add_tensor(name, gguf.quants.quantize(value, raw), raw_dtype=raw)

    def keys(self, config):
        file, layers = self.file, config["num_hidden_layers"]
        rope = config["rope_scaling"]
        file.add_name("twin")
        for key, field in INTEGERS.items():
            file.add_uint32(f"{ARCH}.{key}", config[field])
        for key, field in FLOATS.items():
            file.add_float32(f"{ARCH}.{key}", float(config[field]))
        for key, field in YARN.items():
            file.add_float32(f"{ARCH}.rope.scaling.{key}", float(rope[field]))
        file.add_string(f"{ARCH}.rope.scaling.type", rope["type"])
        file.add_uint32(f"{ARCH}.rope.scaling.original_context_length", rope["original_max_position_embeddings"])
        file.add_uint32(f"{ARCH}.embedding_length_out", config["hidden_size"] * config["hc_mult"])
        file.add_uint32(f"{ARCH}.attention.head_count_kv", 1)
        file.add_uint32(f"{ARCH}.expert_gating_func", SQRT_SOFTPLUS)
        file.add_bool(f"{ARCH}.expert_weights_norm", config["norm_topk_prob"])
        file.add_array(f"{ARCH}.attention.compress_ratios", config["compress_ratios"][:layers])
        for key in ("swiglu_clamp_exp", "swiglu_clamp_shexp"):
            file.add_array(f"{ARCH}.{key}", [float(config["swiglu_limit"])] * layers)

    def tokenizer(self, size):
        file = self.file
        file.add_tokenizer_model("gpt2")
        file.add_tokenizer_pre("joyai-llm")
        file.add_token_list([f"<t{i}>" for i in range(size)])
        file.add_token_types([gguf.TokenType.NORMAL] * size)
        file.add_token_merges(["a b"])
        file.add_bos_token_id(0)
        file.add_eos_token_id(1)

    def finish(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def name_of(name):
    """Name in the GGUF of a tensor that is no expert's."""
    base = name.removesuffix(".weight")
    layer = re.match(r"layers\.(\d+)\.(.+)", base)
    if not layer:
        return ROOTS[base] + ".weight"
    block, leaf = layer.groups()
    if leaf == "ffn.gate.bias":
        return f"blk.{block}.exp_probs_b.bias"
    return f"blk.{block}.{LEAVES.get(leaf, leaf)}.weight"


def put_dense(out, tensors, dense):
    for name, tensor in sorted(tensors.items()):
        if name.startswith("mtp.") or name.endswith(".scale") or ".experts." in name:
            continue
        if name.endswith("ffn.gate.tid2eid"):
            block = name.split(".")[1]
            ids = tensor.data.view(np.int64)[..., 0].astype(np.int32)
            out.file.add_tensor(f"blk.{block}.ffn_gate_tid2eid.weight", ids)
            continue
        narrow = "bf16" if dense != "f32" else "f32"
        kind = dense if tensor.dtype == "F8_E4M3" else narrow if tensor.dtype == "BF16" else "f32"
        out.put(name_of(name), values(tensors, name), kind if len(tensor.shape) > 1 else "f32")


def put_experts(out, tensors, config, kind):
    for layer in range(config["num_hidden_layers"]):
        for part, place in EXPERTS.items():
            names = [f"layers.{layer}.ffn.experts.{e}.{part}.weight" for e in range(config["n_routed_experts"])]
            name = f"blk.{layer}.ffn_{place}_exps.weight"
            if kind == "mxfp4":
                blocks = np.stack([mxfp4(tensors, n) for n in names])
                out.file.add_tensor(name, blocks, raw_dtype=Type.MXFP4)
            else:
                out.put(name, np.stack([values(tensors, n) for n in names]), kind)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--experts", choices=("mxfp4", "f32"), default="mxfp4")
    parser.add_argument("--dense", choices=("bf16", "q8_0", "f32"), default="bf16")
    asked = parser.parse_args()
    with open(os.path.join(asked.source, "config.json")) as file:
        config = json.load(file)
    tensors = read_checkpoint(asked.source)
    out = Writer(asked.out)
    out.keys(config)
    out.tokenizer(config["vocab_size"])
    put_dense(out, tensors, asked.dense)
    put_experts(out, tensors, config, asked.experts)
    out.finish()


if __name__ == "__main__":
    main()
