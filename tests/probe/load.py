"""load.py FOLDER STATE DAMAGE -- an engine that loads the files of a rank, gives stacks the names of vLLM, and is asked by
loaders/probe.py what it holds. DAMAGE: none, view, bit, meta, gone. SPDX-License-Identifier: MIT"""
import glob
import json
import os
import re
import sys

import probe
import torch

folder, state, damage = sys.argv[1:]
p = {}
for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
    b = open(path, "rb").read()
    n = 8 + int.from_bytes(b[:8], "little")
    for name, t in json.loads(b[8:n]).items():
        if name == "__metadata__":
            continue
        m = re.fullmatch(r"(.*)\.ffn\.experts\.(w13|w2)\.(weight|scale)", name)
        if m:
            name = f"model.{m[1]}.ffn.experts.routed_experts.{m[2]}_weight" + "_scale" * (m[3] == "scale")
        i, k = t["data_offsets"]
        p[name] = torch.Tensor(b[n + i:n + k], t["dtype"], t["shape"])
first = min(k for k in p if k.endswith("w13_weight_scale"))
one = p[first]
if damage == "view":  # the engine calls the last dimension the one before
    order = list(range(len(one.shape)))
    order[-1], order[-2] = order[-2], order[-1]
    p[first] = one.permute(order)
elif damage == "bit":
    p[first] = torch.Tensor(bytes([one.data[0] ^ 1]) + one.data[1:], one.kind, one.shape)
elif damage == "meta":
    p[first] = torch.Tensor(b"", one.kind, one.shape, meta=True)
elif damage == "gone":
    del p[first]
model = torch.Module(p, {"rotary.cos": torch.Tensor(b"\0" * 64, "F32", [4, 4])})
model.attribute = torch.Tensor(bytes(range(8)), "I64", [1])
probe.dump(model, state, rank=0, ranks=2, engine="stand-in", version="1", target="marlin-mxfp4")
