"""The model loader: experts as they lie in the folder, everything else as vLLM itself loads it.

The parameters of the experts are built on meta and replaced, so that memory for them is taken once. Their quantization
method then builds the kernel without converting anything; dense layers are processed as always. Methods of vLLM that
are not public: Mxfp4MoEMethod._build_moe_kernel, which is why agree.VERSIONS lists the versions it was compared with.
"""

import contextlib
import os

import torch
import xxhash
from torch import nn
from vllm import __version__ as vllm_version
from vllm import envs
from vllm.distributed import get_pp_group, get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size, get_world_group
from vllm.logger import init_logger
from vllm.model_executor.layers.quantization.mxfp4 import Mxfp4MoEMethod
from vllm.model_executor.model_loader.base_loader import BaseModelLoader
from vllm.model_executor.model_loader.utils import initialize_model, process_weights_after_loading
from vllm.model_executor.utils import weights_already_processed
from vllm.utils.torch_utils import set_default_torch_dtype

from . import agree, folder

logger = init_logger("vllm.dsv4")
TYPES = {
    "BF16": torch.bfloat16, "F32": torch.float32, "F8_E4M3": torch.float8_e4m3fn, "F8_E8M0": torch.float8_e8m0fnu,
    "I8": torch.int8, "U8": torch.uint8, "I32": torch.int32, "I64": torch.int64,
}  # fmt: skip
PIECE = 64 << 20  # bytes of a read: enough for any disk, little beside a layer


class Reader:
    """Bytes of files, by large reads in order, into memory that a GPU can be filled from."""

    def __init__(self, digests):
        self.digests = digests  # name of a tensor -> XXH3-128; None: nothing is verified
        self.pinned = torch.cuda.is_available()

    def read(self, file, name):
        t = file.tensors[name]
        begin, end = (file.begin + n for n in t["data_offsets"])
        out = torch.empty(end - begin, dtype=torch.uint8, pin_memory=self.pinned)
        view, at = memoryview(out.numpy()), begin
        fd = os.open(file.path, os.O_RDONLY)
        try:
            while at < end:
                n = os.preadv(fd, [view[at - begin : min(at - begin + PIECE, end - begin)]], at)
                if n <= 0:
                    raise folder.Refused(f"{file.path} ends at byte {at}, tensor {name} goes on to {end}: it was cut short while it was read")
                at += n
        finally:
            os.close(fd)
        if self.digests is not None and xxhash.xxh3_128_hexdigest(view) != self.digests.get(name):
            raise folder.Refused(f"{file.path}: tensor {name} has not the digest that its sidecar says: dsv4-verify check says where the damage is")
        return out.view(TYPES[t["dtype"]]).reshape(t["shape"])


def find_same_set(path):
    """The set of this worker, which must be that of all others: each machine may have a copy of its own."""
    where, why = None, ""
    try:
        where = folder.find_set(path)
    except folder.Refused as error:
        why = str(error)
    world = get_world_group()
    said = [None] * world.world_size
    mine = (where.path if where else path, where.sha256 if where else "", why)
    if world.world_size > 1:
        torch.distributed.all_gather_object(said, mine, group=world.cpu_group)
    else:
        said = [mine]
    agree.check_same(said, world.rank_in_group)
    return where


@contextlib.contextmanager
def experts_on_meta():
    """While a model is built: no memory for experts, of which the folder has all."""
    create = Mxfp4MoEMethod.create_weights

    def on_meta(self, *args, **kwargs):
        with torch.device("meta"):
            return create(self, *args, **kwargs)

    Mxfp4MoEMethod.create_weights = on_meta
    try:
        yield
    finally:
        Mxfp4MoEMethod.create_weights = create


def layers_of(model):
    """The layers with routed experts in MXFP4, as agree.Layer, with their modules."""
    for name, module in model.named_modules():
        method = getattr(module, "quant_method", None)
        if not isinstance(method, Mxfp4MoEMethod):
            continue
        block = name.removeprefix("model.").split(".ffn.")[0]
        local = getattr(module, "expert_map", None)
        if local is None:
            ids = list(range(method.num_experts))
        else:
            where = [int(i) for i in local.tolist()]
            ids = sorted((g for g, i in enumerate(where) if i >= 0), key=where.__getitem__)
        yield module, agree.Layer(name, block, method.mxfp4_backend.name, ids, method.hidden_size, method.intermediate_size)


def on_gpu():
    """Major compute capability, and whether DeepGEMM takes packed scales; 0 where nothing can compute."""
    if not torch.cuda.is_available():
        return 0, True
    from vllm.utils.deep_gemm import is_deep_gemm_e8m0_used

    return torch.cuda.get_device_capability()[0], is_deep_gemm_e8m0_used()


def as_held(data, placed):
    """The same bytes as vLLM's kernel has them: with its type, and turned where it exchanges dimensions."""
    data = data.view(TYPES[placed.held])
    return data.transpose(1, 2) if placed.turned else data


def no_conversion(method, hook):
    """What the method does after loading where its parameters are in the kernel's form already."""
    process = type(method).process_weights_after_loading

    def build(layer):
        if hook:
            with weights_already_processed():
                process(method, layer)
        else:
            method._build_moe_kernel(layer)

    return build


class Dsv4ModelLoader(BaseModelLoader):
    def __init__(self, load_config):
        super().__init__(load_config)
        extra = dict(load_config.model_loader_extra_config or {})
        self.verify = bool(extra.pop("digests", True))
        if extra:
            raise ValueError(f"load format dsv4 takes of model_loader_extra_config only digests, not {sorted(extra)}")

    def download_model(self, model_config):
        if not os.path.isdir(model_config.model):
            raise folder.Refused(f"{model_config.model} is no folder: load format dsv4 downloads nothing")

    def load_weights(self, model, model_config):
        raise NotImplementedError("load format dsv4 loads whole models: experts cannot be reloaded in place")

    def launch(self, parallel, dtype):
        pp = get_pp_group()
        major, e8m0 = on_gpu()
        return agree.Launch(
            vllm_version.split("+")[0], get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size(),
            pp.rank_in_group, pp.world_size, parallel.data_parallel_size, parallel.enable_expert_parallel,
            parallel.enable_eplb, str(dtype).removeprefix("torch."), envs.VLLM_MARLIN_INPUT_DTYPE or "", major, e8m0,
        )  # fmt: skip

    def load_model(self, vllm_config, model_config, prefix=""):
        launch = self.launch(vllm_config.parallel_config, model_config.dtype)
        where = find_same_set(model_config.model)
        agree.check_launch(launch, where)
        rank = where.rank(launch.rank, launch.ranks, launch.stage, launch.stages)
        agree.check_rank(launch, rank)
        device = torch.device(self.load_config.device or vllm_config.device_config.device)
        with set_default_torch_dtype(model_config.dtype):
            with device, experts_on_meta():
                model = initialize_model(vllm_config=vllm_config, model_config=model_config, prefix=prefix)
            self.fill(model, rank, device)
            process_weights_after_loading(model, model_config, device)
        refuse_meta(model)
        return model.eval()

    def fill(self, model, rank, device):
        reader = Reader(rank.digests if self.verify else None)
        hook = agree.TARGETS[rank.target].hook
        layers = list(layers_of(model))
        if not layers:
            raise folder.Refused(f"vLLM has built no layer with experts in MXFP4, and {rank.path} is of target {rank.target}")
        placed = [(module, agree.place_layer(layer, rank)) for module, layer in layers]
        rest = list(agree.dense(rank, [p for _, v in placed for p in v]))
        for module, parameters in placed:
            for p in parameters:
                leaf = p.parameter.rpartition(".")[2]
                module._parameters.pop(leaf)
                data = reader.read(p.file, p.tensor).to(device, non_blocking=True)
                module.register_parameter(leaf, nn.Parameter(as_held(data, p), requires_grad=False))
            module.quant_method.process_weights_after_loading = no_conversion(module.quant_method, hook)
        model.load_weights((name, reader.read(file, name)) for file, name in rest)
        logger.info("%s: %d parameters of experts placed as they lie, %d other tensors loaded", rank.path, 4 * len(placed), len(rest))


def refuse_meta(model):
    """vLLM only warns of tensors that have no memory; here nothing starts with one."""
    left = [n for n, t in [*model.named_parameters(), *model.named_buffers()] if t is not None and t.device.type == "meta"]
    if left:
        raise folder.Refused(f"{len(left)} tensors were never loaded, such as {left[0]}: the folder does not have them")
