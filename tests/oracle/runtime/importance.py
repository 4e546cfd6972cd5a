"""Importance that `dsv4-quant imatrix` wrote, beside what goes into the same matrices in transformers, on a CPU.

    importance.py [--importance NAME FOLDER RECORD IMATRIX]...

FOLDER is a model that transformers loads, RECORD has the tokens, IMATRIX is the file of the same tokens, made with --arithmetic
fp32. Of every matrix, and of every expert, the sum of squares of each column must be that of transformers, within LIMIT, relative
L2 over the columns, and the number of tokens the same.
"""

import argparse
import re

import gguf
import judge
import numpy as np
import torch
from in_transformers import load

LIMIT = 1e-4
NAMES = {
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_proj": "attn_kv",
    "self_attn.o_a_proj": "attn_output_a",
    "self_attn.o_b_proj": "attn_output_b",
    "self_attn.compressor.kv_proj": "attn_compressor_kv",
    "self_attn.compressor.gate_proj": "attn_compressor_gate",
    "self_attn.compressor.indexer.q_b_proj": "indexer.attn_q_b",
    "self_attn.compressor.indexer.kv_proj": "indexer_compressor_kv",
    "self_attn.compressor.indexer.gate_proj": "indexer_compressor_gate",
    "self_attn.compressor.indexer.scorer.weights_proj": "indexer.proj",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}


def squares(rows):
    rows = rows.detach().double().reshape(-1, rows.shape[-1])
    return (rows * rows).numpy()


def collected(folder, ids):
    """{matrix: [squares of the rows that went into it, of each expert]}, under the names that GGUF has."""
    model = load(folder).float()
    model.set_experts_implementation("eager")
    seen, hooks = {}, []

    def watch(module, name):
        hooks.append(module.register_forward_pre_hook(lambda _, x: seen.update({name: [squares(x[0])]})))

    def experts(module, x, layer):
        """As its forward does, with the weight of the expert in what goes into w2, where this model has it."""
        rows, chosen, weights = x
        one = {"gate": [], "up": [], "down": []}
        for e in range(module.num_experts):
            token, place = torch.where(chosen == e)
            inner = module._apply_gate(torch.nn.functional.linear(rows[token], module.gate_up_proj[e]))
            one["gate"].append(squares(rows[token]))
            one["up"].append(squares(rows[token]))
            one["down"].append(squares(inner * weights[token, place, None]))
        seen.update({f"blk.{layer}.ffn_{k}_exps": v for k, v in one.items()})

    for path, module in model.named_modules():
        found = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", path)
        if found and found[2] in NAMES:
            watch(module, f"blk.{found[1]}.{NAMES[found[2]]}")
        elif found and found[2] == "mlp.experts":
            layer = found[1]
            hooks.append(module.register_forward_pre_hook(lambda m, x, layer=layer: experts(m, x, layer)))
    with torch.no_grad():
        model(input_ids=torch.from_numpy(ids)[None], use_cache=False)
    return seen


def written(path):
    """{matrix: (sums [matrices, columns], counts [matrices])} of a file of importance."""
    tensors = {t.name: np.array(t.data, np.float64) for t in gguf.GGUFReader(path).tensors}
    return {
        name.removesuffix(".weight.in_sum2"): (sums.reshape(-1, sums.shape[-1]), tensors[name.replace("in_sum2", "counts")].reshape(-1))
        for name, sums in tensors.items()
        if name.endswith(".in_sum2")
    }


def compare(name, seen, file, verdicts):
    if seen.keys() != file.keys():
        verdicts.say(False, name, f"other matrices: {sorted(seen.keys() ^ file.keys())[:4]}")
        return
    worst, where, one = 0.0, "", 0
    for matrix, rows in seen.items():
        sums, counts = file[matrix]
        if len(rows) != len(counts):
            verdicts.say(False, name, f"{matrix} has {len(counts)} matrices, not {len(rows)}")
            return
        for e, own in enumerate(rows):
            # A compressor takes whole windows; transformers projects what is left over too, and drops it.
            if "compressor" in matrix and 0 < len(own) - counts[e] < 128:
                own = own[: int(counts[e])]
            if len(own) != counts[e]:
                verdicts.say(False, name, f"{matrix} {e}: {int(counts[e])} tokens, not {len(own)}")
                return
            one += 1
            theirs, ours = own.sum(0), sums[e]
            away = np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30)
            if away > worst:
                worst, where = away, f"{matrix} {e}"
    verdicts.say(worst <= LIMIT, name, f"{one} matrices within {worst:.1e} ({where})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--importance", nargs=4, action="append", default=[])
    verdicts = judge.Judge()
    for name, folder, record, path in parser.parse_args().importance:
        ids, _ = judge.read_record(record)
        compare(name, collected(folder, ids), written(path), verdicts)
    raise SystemExit(verdicts.failed)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
