"""judge.py MODEL OUT FILE [damages|probe|state]: SGLang's own presharded reader on a folder of --target sglang-presharded.

FILE is what --shard-config was. The reader (PreshardedModelLoader of SGLang 0.5.23, with verify_on_load) loads OUT, rank by
rank, into a model that has the parameters of FILE and nothing else. Then each parameter is held to what SGLang's functions
make of the official folder: names by remap_weight_name_to_dpsk_hf_format and make_expert_params_mapping, wo_a by
_dequant_fp8, ape by Compressor._apply_ape_hotfix, scales of experts by _permute_moe_fp4_scales_for_marlin, FP4 codes by
marlin_weights of its tests (the repack of a launch is a kernel of the GPU). What is ours here: which functions are called,
and the cut for a rank. With `damages`, folders that are not as they were made must be refused; with
`probe`, loaders/sglang_probe.py has to write FILE of a model with such parameters; with `state`, loaders/probe.py writes down what
each rank holds, in the way of a launch, in WORK/states.

Prints a line "ok" or "FAIL" for each comparison.
"""

import glob
import json
import os
import shutil
import struct
import sys
import types

import torch
from safetensors.torch import safe_open
from torch import nn

import sglang.srt.model_loader.loader as loader
from sglang.srt.configs.load_config import LoadConfig
from sglang.srt.layers.attention.dsv4.compressor import Compressor
from sglang.srt.layers.moe.fused_moe_triton.layer import FusedMoE
from sglang.srt.layers.quantization import marlin_utils_fp4
from sglang.srt.models import deepseek_v4

# A package for a GPU, of which the next import names two types and calls nothing.
for stub in ("sgl_kernel", "sgl_kernel.scalar_type"):
    sys.modules.setdefault(stub, types.ModuleType(stub))
sys.modules["sgl_kernel.scalar_type"].ScalarType = sys.modules["sgl_kernel.scalar_type"].scalar_types = type
from sglang.test.test_marlin_utils import get_weight_perm, marlin_weights  # noqa: E402

TYPES = {"torch." + n: getattr(torch, n) for n in (
    "bfloat16", "float32", "int32", "int8", "uint8", "float8_e4m3fn", "float8_e8m0fnu")}  # fmt: skip


# ---------------------------------------------------------------- the reader


def fake(parameters):
    """A model of these parameters, full of ones bits, so that what is not loaded shows."""
    top = nn.Module()
    for name, p in parameters.items():
        *path, last = name.split(".")
        at = top
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        dtype = TYPES[p["dtype"]]
        empty = torch.full((*p["shape"], dtype.itemsize), 255, dtype=torch.uint8)
        at.register_parameter(last, nn.Parameter(empty.view(dtype).reshape(p["shape"]), requires_grad=False))
    return top


def read(folder, launch, rank, whole_way=False):
    """What SGLang's reader makes of the folder; raises where it refuses. The whole way: by the method that a launch calls."""
    config = types.SimpleNamespace(
        dtype=torch.bfloat16, model_path="/none", quantization="fp8", is_draft_model=False, hf_config=None
    )
    root = os.path.join(os.path.dirname(folder), "root")
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    os.symlink(folder, os.path.join(root, launch["subfolder"]))
    extra = {"verify_on_load": True, "presharded_path": root}
    reader = loader.PreshardedModelLoader(LoadConfig(load_format="presharded", model_loader_extra_config=extra))
    reader._world_rank_and_size = lambda: (rank, launch["shard_config"]["tp"])
    loader._get_quantization_config = lambda *a: None
    loader._initialize_model = lambda *a: fake(launch["parameters"])
    where = reader._presharded_dir(config, launch["shard_config"])
    if not reader._presharded_ready(where):
        raise FileNotFoundError(f"not ready: {where}")
    if not reader._shard_config_matches(where, json.loads(json.dumps(launch["shard_config"]))):
        raise ValueError("another shard_config: SGLang would load the source and dump anew")
    device = types.SimpleNamespace(device="cpu")
    if whole_way:
        reader._collect_shard_config = lambda c: launch["shard_config"]
        return reader.load_model(model_config=config, device_config=device)
    return reader._load_from_presharded(config, device, where).state_dict()


# ---------------------------------------------------------------- the official folder, by SGLang's functions


def weights(model):
    for path in sorted(glob.glob(os.path.join(model, "*.safetensors"))):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():
                if not name.startswith("mtp."):
                    yield name, file.get_tensor(name)


def whole(model, experts):
    """Parameters before ranks share them: name -> tensor, of experts name -> {id -> {shard -> tensor}}."""
    mapping = {m[1]: m for m in FusedMoE.make_expert_params_mapping("gate_proj", "down_proj", "up_proj", experts)}
    plain, routed, pairs = {}, {}, {}
    for name, tensor in deepseek_v4._dequant_fp8_wo_a_streaming(weights(model)):
        name = deepseek_v4.DeepseekV4ForCausalLM.remap_weight_name_to_dpsk_hf_format(name)
        if ".mlp.experts." in name:
            stem, end = name.rsplit(".", 1)
            to, _, expert, shard = mapping["experts." + stem.split(".experts.")[1] + "."]
            to = stem.split("experts.")[0] + to + end
            routed.setdefault(to, {}).setdefault(expert, {})[shard] = tensor
            continue
        for to, of, at in deepseek_v4.DEEPSEEK_V4_STACKED_PARAMS_MAPPING:
            if of in name:
                pairs.setdefault(name.replace(of, to), {})[at] = tensor
                break
        else:
            if ".compressor.w" in name:
                pairs.setdefault(name.rsplit(".", 2)[0] + ".wkv_gate.weight", {})[".wgate." in name] = tensor
            elif ".wq_a." in name or ".self_attn.wkv." in name:
                to = name.replace(".wq_a.", ".wqkv_a.").replace(".wkv.", ".wqkv_a.")
                pairs.setdefault(to, {})["q" if ".wq_a." in name else "kv"] = tensor
            else:
                plain[name] = tensor
    return plain, routed, pairs


def cut(tensor, dim, rank, ranks):
    return tensor.chunk(ranks, dim)[rank] if ranks > 1 else tensor


def as_type(tensor, dtype):
    """What copying into a parameter of that type makes of it."""
    made = torch.empty(tensor.shape, dtype=dtype)
    made.copy_(tensor)
    return made


def marlin(stacks, by_rows, scale):
    """Experts as prepare_moe_mxfp4_layer_for_marlin leaves them."""
    n, rows, cols = stacks.shape
    if scale:
        return marlin_utils_fp4._permute_moe_fp4_scales_for_marlin(
            marlin_utils_fp4._normalize_scale_tensor(stacks, torch.bfloat16), num_experts=n, size_n=rows,
            size_k=cols * 32, group_size=32,
            process_scales=lambda s: marlin_utils_fp4.mxfp4_marlin_process_scales(s, input_dtype=torch.bfloat16),
        )  # fmt: skip
    made = []
    for expert in stacks.view(torch.uint8):
        codes = torch.stack([expert & 15, expert >> 4], dim=-1).reshape(rows, cols * 2).T.contiguous().int()
        made.append(marlin_weights(codes, cols * 2, rows, 4, get_weight_perm(4)))
    return torch.stack(made)


def expected(model, launch, rank):
    config, parameters = launch["shard_config"], launch["parameters"]
    ranks, by_ep = config["tp"], config["ep"] > 1
    with open(os.path.join(model, "config.json")) as file:
        experts = json.load(file)["n_routed_experts"]
    plain, routed, pairs = whole(model, experts)
    out = {}
    rows = ("embed_tokens", "lm_head", ".wq_b.", ".wo_a.")
    for name, tensor in plain.items():
        if any(r in name for r in rows) and ".indexer." not in name:
            tensor = cut(tensor, 0, rank, ranks)
        elif ".wo_b." in name or ".shared_experts.down_proj." in name:
            tensor = cut(tensor, 1, rank, ranks)
        out[name] = tensor
    for name, pair in pairs.items():
        if ".gate_up_proj." in name:
            out[name] = torch.cat([cut(pair[0], 0, rank, ranks), cut(pair[1], 0, rank, ranks)])
        elif ".wqkv_a." in name:
            out[name] = deepseek_v4._fuse_deepseek_v4_wqkv_a_pair(name, pair)
        else:
            out[name] = torch.cat([pair[False], pair[True]], dim=0)
    for name, by_expert in routed.items():
        ids = sorted(by_expert)
        if by_ep:
            ids = ids[rank * len(ids) // ranks : (rank + 1) * len(ids) // ranks]
        n = 1 if by_ep else ranks
        if ".w13_" in name:
            made = [torch.cat([cut(by_expert[i][s], 0, rank, n) for s in ("w1", "w3")]) for i in ids]
        else:
            made = [cut(by_expert[i]["w2"], 1, rank, n) for i in ids]
        stacks = torch.stack(made)
        if stacks.dtype in (torch.int8, torch.float8_e8m0fnu) and launch["experts"] == "marlin-mxfp4":
            scale = stacks.dtype != torch.int8
            out[name.replace("_scale_inv", "_scale")] = marlin(stacks, ".w13_" in name, scale)
        else:
            out[name] = stacks
    out = {n: as_type(t, TYPES[parameters[n]["dtype"]]) if n in parameters else t for n, t in out.items()}
    for name, tensor in out.items():
        if name.endswith(".ape"):
            at = types.SimpleNamespace(ape=nn.Parameter(tensor), ratio=tensor.shape[0], overlap=tensor.shape[0] == 4)
            Compressor._apply_ape_hotfix(at)
            out[name] = at.ape.data
    return out


def raw(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def compare(word, model, folder, launch):
    for rank in range(launch["shard_config"]["tp"]):
        got, want = read(folder, launch, rank), expected(model, launch, rank)
        wrong = sorted(set(got) ^ set(want))
        wrong += [n for n in got if n in want and (got[n].dtype, got[n].shape) != (want[n].dtype, want[n].shape)]
        wrong += [n for n in got if n in want and n not in wrong and not torch.equal(raw(got[n]), raw(want[n]))]
        print(f"FAIL {word}, rank {rank}: {wrong[:6]}" if wrong else
              f"ok  {word}, rank {rank}: {len(got)} parameters are those that SGLang's functions make of the official folder")  # fmt: skip


# ---------------------------------------------------------------- damages


def header(path):
    with open(path, "rb") as file:
        n = struct.unpack("<Q", file.read(8))[0]
        return 8 + n, json.loads(file.read(n))


def flip(name):
    def damage(folder, launch):
        path = os.path.join(folder, "model-rank-0-part-0.safetensors")
        start, tensors = header(path)
        with open(path, "r+b") as file:
            file.seek(start + tensors[name]["data_offsets"][0])
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))

    return damage


def cut_short(folder, launch):
    os.truncate(os.path.join(folder, "model-rank-0-part-0.safetensors"), 1 << 20)


def without_rank(folder, launch):
    os.unlink(os.path.join(folder, "model-rank-0-part-0.safetensors"))


def not_ready(folder, launch):
    os.unlink(os.path.join(folder, "READY"))


def of_another_launch(folder, launch):
    launch["shard_config"]["structural_signature"] = "f" * 16
    launch["subfolder"] = os.path.basename(folder)


def larger(folder, launch):
    launch["parameters"]["model.norm.weight"]["shape"] = [7]


def one_more(folder, launch):
    launch["parameters"]["model.one_more"] = {"dtype": "torch.float32", "shape": [3]}


def damages(folder, launch):
    rows = {
        "one bit of an expert": flip("model.layers.0.mlp.experts.w13_weight"),
        "one bit of wo_a": flip("model.layers.1.self_attn.wo_a.weight"),
        "one bit of a scale": flip("model.layers.1.self_attn.wqkv_a.weight_scale_inv"),
        "a file that is cut short": cut_short,
        "the files of the rank are not there": without_rank,
        "READY is not there": not_ready,
        "another structural_signature": of_another_launch,
        "a parameter of another size": larger,
        "a parameter that the folder lacks": one_more,
    }
    for word, damage in rows.items():
        bad, of = folder + "-bad", json.loads(json.dumps(launch))
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(folder, bad)
        damage(bad, of)
        try:
            read(bad, of, 0)
            print(f"FAIL {word}: SGLang's reader takes it")
        except Exception as error:  # whatever it raises
            said = str(error).strip().splitlines()
            print(f"ok  {word}: refused, {type(error).__name__}: {said[0][:90] if said else ''}")
        shutil.rmtree(bad, ignore_errors=True)


# ---------------------------------------------------------------- loaders/sglang_probe.py


def probed(word, launch):
    """The probe, of a model whose quant methods have the names that it knows, writes FILE; of others it refuses."""
    sys.path.insert(0, "loaders")
    import sglang_probe

    class Method:
        def process_weights_after_loading(self, module):
            pass

    def model(dense="Fp8LinearMethod", **flags):
        built = fake(launch["parameters"])
        kind = "Mxfp4MarlinMoEMethod" if launch["experts"] == "marlin-mxfp4" else "Fp8MoEMethod"
        built.model.layers.get_submodule("0").mlp.experts.quant_method = type(kind, (Method,), {})()
        built.model.layers.get_submodule("0").self_attn.wq_b.quant_method = type(dense, (Method,), {})()
        for key, value in flags.items():
            setattr(built.model, key, value)
        return built

    def run(built, capability=(9, 0)):
        loader._get_quantization_config = lambda *a: None
        loader._initialize_model = lambda *a: built
        torch.cuda.get_device_capability = lambda: capability
        reader = loader.PreshardedModelLoader(LoadConfig(load_format="presharded"))
        reader._collect_shard_config = lambda c: launch["shard_config"]
        config = types.SimpleNamespace(dtype=torch.bfloat16)
        path = os.path.join(os.environ["WORK"], "probed.json")
        sglang_probe.probe(reader, config, types.SimpleNamespace(device="cpu"), path)
        with open(path) as file:
            return json.load(file)

    same = run(model()) == launch
    print(f"{'ok ' if same else 'FAIL'} {word}: loaders/sglang_probe.py writes the file of that launch")
    for why, built, capability in (
        ("an SM100", model(), (10, 0)),
        ("wo_a in FP8", model(wo_a_fp8=True), (9, 0)),
        ("a fused shared expert", model(num_fused_shared_experts=1), (9, 0)),
        ("a kernel of another form", model("ModelOptFp4LinearMethod"), (9, 0)),
    ):
        try:
            run(built, capability)
            print(f"FAIL the probe writes a file for {why}")
        except sglang_probe.Refused as error:
            print(f"ok  the probe refuses {why}: {error}")


def states(folder, launch):
    """A process for each rank, as loaders/probe.py ends each."""
    sys.path.insert(0, "loaders")
    import probe

    out, ranks = os.path.join(os.environ["WORK"], "states"), launch["shard_config"]["tp"]
    os.makedirs(out)
    os.environ[probe.SGLANG_OUT], os.environ[probe.SGLANG_TARGET] = out, "sglang-presharded"
    for rank in range(ranks):
        probe.sglang_place = lambda: {"rank": rank, "ranks": ranks, "stage": 0, "stages": 1}
        pid = os.fork()
        if not pid:
            probe.register()
            read(folder, launch, rank, True)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def main():
    model, folder, path, *more = sys.argv[1:]
    with open(path) as file:
        launch = json.load(file)
    word = f"{os.path.basename(model)}, {launch['shard_config']['tp']} ranks, ep {launch['shard_config']['ep']}"
    if "state" in more:
        return states(folder, launch)
    if "probe" in more:
        probed(word, launch)
    elif "damages" in more:
        damages(os.path.abspath(folder), launch)
    else:
        compare(word, model, os.path.abspath(folder), launch)


main()
