"""Logits and parameters of a folder as transformers computes and holds them, on a CPU (jobs: judge.py).

Weights come in as BF16, which holds every FP4 and FP8 weight exactly, and are widened to FP32 before the pass.
"""

import logging

import judge
import numpy as np
import torch
import transformers

logging.disable(logging.WARNING)  # that FP8 needs a GPU: it is dequantized, which is what is wanted here
transformers.logging.disable_progress_bar()


def load(folder):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, output_loading_info=True
    )
    # What the drafts are (mtp.) is not asked: transformers has no class for them and passes over them.
    bad = {k: v for k, v in info.items() if v}
    if bad:
        raise ValueError(f"not loaded as it is: {bad}")
    return model.eval()


def logits(folder, ids):
    model = load(folder).float()
    with torch.no_grad():
        return model(input_ids=torch.from_numpy(ids)[None], use_cache=False).logits[0].numpy()


def parameters(folder):
    return {name: value.float().numpy() for name, value in load(folder).state_dict().items()}


if __name__ == "__main__":
    torch.manual_seed(0)
    judge.run(logits, parameters)
