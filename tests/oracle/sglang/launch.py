"""launch.py CHECKPOINT RANKS ep|tp >FILE: what loaders/sglang_probe.py would write where SGLang runs on an SM90.

It is written from SGLang 0.5.23's source (models/deepseek_v4.py, layers/quantization/fp8.py and mxfp4_marlin_moe.py), in
Python, apart from the C table, and from shapes of the checkpoint alone. tests/vectors/sglang_*.json are its output.
"""

import glob
import hashlib
import json
import os
import struct
import sys


def headers(folder):
    tensors = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        header.pop("__metadata__", None)
        tensors.update({name: (t["dtype"], t["shape"]) for name, t in header.items()})
    return tensors


def parameters(folder, ranks, by):
    with open(os.path.join(folder, "config.json")) as file:
        c = json.load(file)
    t = headers(folder)
    out = {}

    def put(name, dtype, *shape):
        out[name] = {"dtype": "torch." + dtype, "shape": list(shape)}

    def linear(name, rows, cols, bf16=False):
        put(name + ".weight", "bfloat16" if bf16 else "float8_e4m3fn", rows, cols)
        if not bf16:
            put(name + ".weight_scale_inv", "float32", -(-rows // 128), -(-cols // 128))

    hidden, heads, groups, lora = c["hidden_size"], c["num_attention_heads"], c["o_groups"], c["o_lora_rank"]
    hc, head, q = c["hc_mult"], c["head_dim"], c["q_lora_rank"]
    inner, experts = c["moe_intermediate_size"], c["n_routed_experts"]
    put("model.embed_tokens.weight", "bfloat16", c["vocab_size"] // ranks, hidden)
    put("lm_head.weight", "bfloat16", c["vocab_size"] // ranks, hidden)
    put("model.norm.weight", "bfloat16", hidden)
    put("model.hc_head_fn", "float32", hc, hc * hidden)
    put("model.hc_head_base", "float32", hc)
    put("model.hc_head_scale", "float32", 1)
    for layer in range(c["num_hidden_layers"]):
        p, m = f"model.layers.{layer}.self_attn.", f"model.layers.{layer}.mlp."
        ratio = c["compress_ratios"][layer]
        for kind in ("attn", "ffn"):
            put(f"model.layers.{layer}.hc_{kind}_fn", "float32", hc * (hc + 2), hc * hidden)
            put(f"model.layers.{layer}.hc_{kind}_base", "float32", hc * (hc + 2))
            put(f"model.layers.{layer}.hc_{kind}_scale", "float32", 3)
        put(f"model.layers.{layer}.input_layernorm.weight", "bfloat16", hidden)
        put(f"model.layers.{layer}.post_attention_layernorm.weight", "bfloat16", hidden)
        put(p + "attn_sink", "float32", heads)
        put(p + "q_norm.weight", "bfloat16", q)
        put(p + "kv_norm.weight", "bfloat16", head)
        linear(p + "wqkv_a", q + head, hidden)
        linear(p + "wq_b", heads * head // ranks, q)
        linear(p + "wo_a", groups * lora // ranks, heads * head // groups, bf16=True)
        linear(p + "wo_b", hidden, groups * lora // ranks)
        for name, size, has in (("", head, ratio), ("indexer.", c["index_head_dim"], ratio == 4)):
            if not has:
                continue
            two = 2 if ratio == 4 else 1
            put(p + name + "compressor.ape", "float32", ratio, two * size)
            put(p + name + "compressor.norm.weight", "float32", size)
            put(p + name + "compressor.wkv_gate.weight", "bfloat16", 2 * two * size, hidden)
        if ratio == 4:
            linear(p + "indexer.wq_b", c["index_n_heads"] * c["index_head_dim"], q)
            linear(p + "indexer.weights_proj", c["index_n_heads"], hidden, bf16=True)
        put(m + "gate.weight", "bfloat16", experts, hidden)
        if layer < c["num_hash_layers"]:
            put(m + "topk.tid2eid", "int32", c["vocab_size"], c["num_experts_per_tok"])
        else:
            put(m + "gate.e_score_correction_bias", "float32", experts)
        linear(m + "shared_experts.gate_up_proj", 2 * inner // ranks, hidden)
        linear(m + "shared_experts.down_proj", hidden, inner // ranks)
        n, i = (experts // ranks, inner) if by == "ep" else (experts, inner // ranks)
        e = m + "experts."
        if t[f"layers.{layer}.ffn.experts.0.w1.weight"][0] == "I8":
            put(e + "w13_weight", "int32", n, hidden // 16, 4 * i)
            put(e + "w2_weight", "int32", n, i // 16, 2 * hidden)
            put(e + "w13_weight_scale", "float8_e8m0fnu", n, hidden // 32, 2 * i)
            put(e + "w2_weight_scale", "float8_e8m0fnu", n, i // 32, hidden)
        else:
            put(e + "w13_weight", "float8_e4m3fn", n, 2 * i, hidden)
            put(e + "w2_weight", "float8_e4m3fn", n, hidden, i)
            put(e + "w13_weight_scale_inv", "float32", n, 2 * i // 128, hidden // 128)
            put(e + "w2_weight_scale_inv", "float32", n, hidden // 128, i // 128)
    fp4 = t["layers.0.ffn.experts.0.w1.weight"][0] == "I8"
    return out, "marlin-mxfp4" if fp4 else "fp8"


def launch(folder, ranks, by, signature="0123456789abcdef"):
    """The file of a launch; signature is what SGLang makes of the model before it has processed its weights."""
    config = {
        "tp": ranks, "dp": 1, "ep": ranks if by == "ep" else 1, "pp": 1, "moe_dense_tp_size": None, "moe_dp_size": 1,
        "enable_dp_lm_head": False, "enable_fp32_lm_head": False, "quantization": "fp8",
        "model_dtype": "torch.bfloat16", "ep_num_redundant_experts": 0, "enable_eplb": False,
        "init_expert_location": "trivial", "structural_signature": signature,
    }  # fmt: skip
    digest = hashlib.sha1(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    found, experts = parameters(folder, ranks, by)
    return {
        "schema": "dsv4-sglang-1", "sglang": "0.5.23", "device": "sm90", "experts": experts, "shard_config": config,
        "subfolder": f"TP-{ranks}-sig-{digest}", "parameters": found,
    }  # fmt: skip


if __name__ == "__main__":
    made = launch(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    found = made.pop("parameters")
    print(json.dumps(made)[:-1] + ', "parameters": {')
    print(",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in found))
    print("}}")
