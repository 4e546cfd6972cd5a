"""Logits of a folder as MLX computes them (mlx-vlm, on a CPU), on the packed bytes of the weights (jobs: judge.py).

mlx-vlm rewrites the headers of its input while it loads, so it is given a copy.
"""

import pathlib
import shutil
import tempfile

import judge
import mlx.core as mx
import numpy as np
from mlx.utils import tree_map
from mlx_vlm.utils import load_model


def logits(folder, ids):
    with tempfile.TemporaryDirectory() as work:
        copy = pathlib.Path(work, "model")
        shutil.copytree(folder, copy)
        model = load_model(copy)
        model = model[0] if isinstance(model, tuple) else model
        # BF16 weights are widened, so that nothing between them is rounded; packed ones stay as they lie.
        wide = tree_map(lambda x: x.astype(mx.float32) if x.dtype == mx.bfloat16 else x, model.parameters())
        model.update(wide)
        language = model.language_model
        out = language(mx.array(ids[None].astype(np.int32)), cache=language.make_cache()).logits
        return np.array(out.astype(mx.float32))[0]


if __name__ == "__main__":
    judge.run(logits)
