"""sglang_probe.py -- asks SGLang what a launch is, for `dsv4-convert --target sglang-presharded --shard-config FILE`.

    SGLANG_OPT_FP8_WO_A_GEMM=0 python sglang_probe.py -o FILE --model-path DOWNLOAD --tp 8 --moe-runner-backend marlin ...

Runs sglang.launch_server with these arguments and --load-format presharded, up to where it would load weights: the model is
built on the GPUs and its empty weights are processed, which is what SGLang does before it reads a presharded folder. Then
rank 0 writes FILE (dsv4-sglang-1): shard_config, the name of the folder, and name, type and shape of every parameter; and
the launch ends. Nothing is loaded or dumped.

What it can be told about in docs/engines.md: an SM90, dense weights in FP8 as they are, experts by Marlin or in FP8. Of
anything else it writes nothing, and says why: types and shapes do not tell in which order a kernel has its bytes.

SGLang finds it as a plug-in of the group sglang.srt.plugins, in each of its processes. It needs SGLang 0.5.23.

SPDX-License-Identifier: MIT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

FORMAT = "dsv4-sglang-1"
VERSION = "0.5.23"
OUT = "DSV4_SGLANG_PROBE"
# What leaves weights as they are on an SM90, or is one of the layouts; by the name of its class.
PLAIN = {
    "Fp8LinearMethod", "UnquantizedLinearMethod", "UnquantizedEmbeddingMethod", "Fp8KVCacheMethod", "Fp8MoEMethod",
    "Mxfp4MarlinMoEMethod",
}  # fmt: skip


class Refused(Exception):
    """Why nothing is written."""


def forms_of(model, capability, ue8m0):
    """In which form the experts of a processed model are; raises Refused where something is in a form that is not written."""
    experts = set()
    if tuple(capability) != (9, 0):
        raise Refused(f"the GPU is an SM{capability[0]}{capability[1]}: forms were only read for an SM90: run it on one, or serve the download")
    if ue8m0:
        raise Refused("DeepGEMM packs scales as UE8M0 (DEEPGEMM_SCALE_UE8M0)")
    for name, module in model.named_modules():
        if getattr(module, "wo_a_fp8", False):
            raise Refused(f"{name}.wo_a stays in FP8, and the reader does not finish it: set SGLANG_OPT_FP8_WO_A_GEMM=0")
        if getattr(module, "num_fused_shared_experts", 0):
            raise Refused(f"{name} has the shared expert among the routed ones: leave out --enforce-shared-experts-fusion")
        method = getattr(module, "quant_method", None)
        if method is None:
            continue
        kind = type(method).__name__
        if kind not in PLAIN:
            raise Refused(f"{name} is processed by {kind}, whose form is not written")
        for flag in ("use_marlin", "use_mxfp8", "block_fp8_as_mxfp8"):
            if getattr(method, flag, False):
                raise Refused(f"{name} is processed with {flag}, whose form is not written")
        if kind == "Mxfp4MarlinMoEMethod":
            experts.add("marlin-mxfp4")
        elif kind == "Fp8MoEMethod":
            if getattr(method, "is_fp4_expert", False):
                raise Refused(f"{name} has FP4 experts and no Marlin: use --moe-runner-backend marlin")
            experts.add("fp8")
    if len(experts) != 1:
        raise Refused(f"experts are in {len(experts)} forms: {sorted(experts)}")
    return experts.pop()


def parameters_of(model):
    return {n: {"dtype": str(t.dtype), "shape": list(t.shape)} for n, t in model.state_dict().items()}


def document(config, folder, version, experts, parameters):
    return {
        "schema": FORMAT, "sglang": version, "device": "sm90", "experts": experts, "shard_config": config,
        "subfolder": folder, "parameters": parameters,
    }  # fmt: skip


def write(path, doc):
    """The file appears whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(doc, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)


def probe(reader, model_config, device_config, out):
    """On each rank, in the place of loading."""
    import sglang
    import torch
    from sglang.srt.layers import deep_gemm_wrapper
    from sglang.srt.model_loader import loader

    if sglang.__version__ != VERSION:
        raise Refused(f"this is SGLang {sglang.__version__}, forms were read in {VERSION}: run the probe, and later the launch, with that")
    config = json.loads(json.dumps(reader._collect_shard_config(model_config)))
    device = torch.device(device_config.device)
    with loader.set_default_torch_dtype(model_config.dtype):
        with device:
            quant = loader._get_quantization_config(model_config, reader.load_config)
            model = loader._initialize_model(model_config, reader.load_config, quant)
        for _, module in model.named_modules():
            method = getattr(module, "quant_method", None)
            if method is not None:
                with loader.device_loading_context(module, device):
                    method.process_weights_after_loading(module)
    ue8m0 = getattr(deep_gemm_wrapper, "DEEPGEMM_SCALE_UE8M0", False)
    experts = forms_of(model, torch.cuda.get_device_capability(), ue8m0)
    parameters = parameters_of(model)
    rank, ranks = reader._world_rank_and_size()
    if ranks > 1:
        from sglang.srt.runtime_context import get_parallel

        for other in get_parallel().world_group.all_gather_object(parameters):
            if other != parameters:
                raise Refused("ranks have parameters of different names, types or shapes")
    if rank == 0:
        folder = reader._build_subfolder_name(config)
        write(out, document(config, folder, sglang.__version__, experts, parameters))
        print(f"{out}: {len(parameters)} parameters on each of {ranks} ranks, experts {experts}; the folder is {folder}")
    reader._world_barrier()


def register():
    """SGLang calls it in each process; it does nothing unless the script below has begun the launch."""
    out = os.environ.get(OUT)
    if not out:
        return
    from sglang.srt.model_loader import loader

    def load_model(self, *, model_config, device_config):
        try:
            probe(self, model_config, device_config, out)
        except Refused as error:
            print(f"sglang_probe: {error}", file=sys.stderr, flush=True)
        os._exit(0)  # the launch is over; its server sees that the rank has ended

    loader.PreshardedModelLoader.load_model = load_model


def launch(plugin, env, args):
    """Runs sglang.launch_server with args, in each process of which SGLang calls register() of the file plugin. The file must import
    nothing that lies beside it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.abspath(plugin), os.path.join(folder, "dsv4_sglang_probe.py"))
        info = os.path.join(folder, "dsv4_sglang_probe-0.1.0.dist-info")
        os.mkdir(info)
        with open(os.path.join(info, "METADATA"), "w", encoding="utf-8") as file:
            file.write("Metadata-Version: 2.1\nName: dsv4-sglang-probe\nVersion: 0.1.0\n")
        with open(os.path.join(info, "entry_points.txt"), "w", encoding="utf-8") as file:
            file.write("[sglang.srt.plugins]\ndsv4_probe = dsv4_sglang_probe:register\n")
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": path, **env}
        env.setdefault("SGLANG_OPT_FP8_WO_A_GEMM", "0")
        subprocess.run([sys.executable, "-m", "sglang.launch_server", *args], env=env, check=False)


def main(args):
    if len(args) < 3 or args[0] != "-o":
        print("usage: sglang_probe.py -o FILE ARGUMENTS OF sglang.launch_server", file=sys.stderr)
        return 2
    out = os.path.abspath(args[1])
    if os.path.exists(out):
        print(f"sglang_probe: {out} is there already", file=sys.stderr)
        return 2
    launch(__file__, {OUT: out}, [*args[2:], "--load-format", "presharded"])
    if os.path.exists(out):
        return 0
    print(f"sglang_probe: {out} was not written", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
