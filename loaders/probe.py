"""probe.py -- writes down what an engine holds once it has loaded: name, type, shape, stride and XXH3-128 of every
parameter and buffer, as JSON (dsv4-state-1). `dsv4-verify parity OUT STATE` compares it with a conversion.

    from probe import dump
    dump(model, "state.json", rank=3, ranks=8, engine="vllm", version=vllm.__version__, target="marlin-mxfp4")

    python probe.py vllm MODEL -o DIR [--target T] [--engine-args JSON]     a state for each rank, through vLLM's own LLM class
    python probe.py sglang MODEL -o DIR [--target T] ARGUMENTS OF sglang.launch_server     the same of a launch, which then ends

A digest is over the bytes of a tensor in the order in which they lie in memory, so that a transposed view of a packed
tensor has the digest of what was packed; of a tensor with gaps, over a copy in the order of its shape. Tensors go to the
CPU one at a time. It needs torch and xxhash, and what runs the model.

SPDX-License-Identifier: MIT"""
import argparse
import json
import os
import sys

FORMAT = "dsv4-state-1"
SGLANG_OUT, SGLANG_TARGET = "DSV4_STATE_DIR", "DSV4_STATE_TARGET"
# Types as safetensors calls them; what is not here keeps torch's name.
DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint16": "U16", "uint32": "U32", "uint64": "U64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ", "float4_e2m1fn_x2": "F4",
}
DIMS_MAX = 8


def memory_order(shape, stride):
    """The dimensions by descending stride, and whether the elements then lie one behind the other."""
    order = sorted(range(len(shape)), key=lambda i: -stride[i])
    want, dense = 1, True
    for i in reversed(order):
        dense = dense and (shape[i] == 1 or stride[i] == want)
        want *= shape[i]
    return order, dense


def describe(name, tensor, xxh):
    """What parity reads of a tensor; xxh is the function that makes a digest of bytes."""
    import torch

    t = tensor.detach()
    shape, stride = list(t.shape), list(t.stride())
    if len(shape) > DIMS_MAX:
        raise ValueError(f"{name} has {len(shape)} dimensions")
    order, dense = memory_order(shape, stride)
    flat = t.permute(order) if dense and shape else t
    flat = flat.cpu().contiguous().reshape(-1).view(torch.uint8)
    return {
        "name": name,
        "dtype": DTYPES.get(str(t.dtype).removeprefix("torch."), str(t.dtype)),
        "shape": shape,
        "stride": stride,
        "bytes": flat.numel(),
        "xxh3_128": xxh(memoryview(flat.numpy())),
    }


def tensors_of(module):
    """Parameters, buffers, and tensors that are attributes of modules, under the name by which they are reached; a tensor
    that has several names is listed under each. Nothing on the meta device can be digested: it is an error."""
    import torch

    found = {}
    for name, t in list(module.named_parameters(remove_duplicate=False)) + list(
        module.named_buffers(remove_duplicate=False)
    ):
        found[name] = t
    for prefix, sub in module.named_modules():
        for key, t in vars(sub).items():
            if isinstance(t, torch.Tensor):
                found.setdefault(f"{prefix}.{key}" if prefix else key, t)
    for name, t in found.items():
        if t.is_meta:
            raise ValueError(f"{name} is on the meta device: the model was not loaded")
    return found


def state_of(module, **members):
    """The document as a dict. members: rank, ranks, stage, stages, engine, version, target, all optional."""
    import xxhash

    known = {"rank", "ranks", "stage", "stages", "engine", "version", "target"}
    if set(members) - known:
        raise TypeError(f"unknown: {', '.join(sorted(set(members) - known))}")
    digest = lambda b: xxhash.xxh3_128_hexdigest(b)
    doc = {"format": FORMAT, **{k: v for k, v in members.items() if v is not None}}
    doc["tensors"] = [describe(n, t, digest) for n, t in sorted(tensors_of(module).items())]
    return doc


def dump(module, path, **members):
    """Writes the document to path; it appears whole or not at all."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as f:
        json.dump(state_of(module, **members), f, indent=1)
        f.write("\n")
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)


def vllm_worker(worker, out, target):
    """On each worker of vLLM: its own state."""
    import vllm
    from vllm.distributed import get_pp_group, get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size

    rank, stage = get_tensor_model_parallel_rank(), get_pp_group().rank_in_group
    dump(
        worker.get_model(), os.path.join(out, f"state-{stage}-{rank}.json"),
        rank=rank, ranks=get_tensor_model_parallel_world_size(),
        stage=stage, stages=get_pp_group().world_size,
        engine="vllm", version=vllm.__version__, target=target,
    )
    return rank


def of_vllm(a):
    # The function below is sent to the processes of the workers.
    os.environ.setdefault("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
    from vllm import LLM

    llm = LLM(model=a.model, **json.loads(a.engine_args))
    print("ranks:", *llm.collective_rpc(vllm_worker, args=(a.out, a.target)))


def sglang_place():
    """Rank and stage of this process, and how many there are."""
    from sglang.srt.runtime_context import get_parallel

    p = get_parallel()
    return {"rank": p.tp_rank, "ranks": p.tp_size, "stage": p.pp_rank, "stages": p.pp_size}


def register():
    """SGLang calls it in each process of a launch that of_sglang has begun: what a loader returns is written down, and the process ends."""
    out = os.environ.get(SGLANG_OUT)
    if not out:
        return
    import sglang
    from sglang.srt.model_loader import loader

    def then_dump(load):
        def load_model(self, **arguments):
            model = load(self, **arguments)
            place = sglang_place()
            dump(
                model, os.path.join(out, f"state-{place['stage']}-{place['rank']}.json"), **place,
                engine="sglang", version=sglang.__version__, target=os.environ.get(SGLANG_TARGET) or None,
            )  # fmt: skip
            os._exit(0)  # the launch is over

        return load_model

    for kind in vars(loader).values():
        if isinstance(kind, type) and issubclass(kind, loader.BaseModelLoader) and "load_model" in vars(kind):
            kind.load_model = then_dump(kind.load_model)


def of_sglang(a, more):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import sglang_probe

    sglang_probe.launch(__file__, {SGLANG_OUT: a.out, SGLANG_TARGET: a.target or ""}, ["--model-path", a.model, *more])


def main():
    p = argparse.ArgumentParser(description="Writes down what an engine holds once it has loaded.")
    p.add_argument("engine", choices=["vllm", "sglang"])
    p.add_argument("model")
    p.add_argument("-o", "--out", required=True, help="folder for state-STAGE-RANK.json")
    p.add_argument("--target", help="target of the conversion that the state is to be compared with")
    p.add_argument("--engine-args", default="{}", help="JSON: arguments of vllm.LLM")
    a, more = p.parse_known_args()
    if more and a.engine != "sglang":
        p.error(f"unknown: {' '.join(more)}")
    a.out = os.path.abspath(a.out)
    os.makedirs(a.out, exist_ok=True)
    before = set(os.listdir(a.out))
    if a.engine == "vllm":
        of_vllm(a)
    else:
        of_sglang(a, more)
    made = sorted(n for n in set(os.listdir(a.out)) - before if n.startswith("state-") and n.endswith(".json"))
    print(f"{a.out}: {' '.join(made) or 'nothing was written'}")
    return 0 if made else 1


if __name__ == "__main__":
    sys.exit(main())
