"""A guard before vLLM's own sharded_state loader, for files of --target vllm-sharded.

That loader fills the beginning of a parameter that is larger than the tensor of the file, and only warns: with fewer ranks
than the files were made for, the engine would start with half of the weights. Where types differ it converts, and warns.
The header of each file says of which rank of how many it is; here a launch that is another is refused, and parameters of
other types or shapes than the tensors of the file, and versions of vLLM that were not compared. Files of others are left alone.
"""

import contextlib
import functools
import glob
import os
import re

from . import agree
from .folder import Refused, read_header

SHARE = re.compile(r"rank (\d+) of (\d+), experts (tp|ep)")
# Types as safetensors calls them, and as torch does.
TYPES = {"BF16": "bfloat16", "F32": "float32", "F8_E4M3": "float8_e4m3fn", "F8_E8M0": "float8_e8m0fnu", "U8": "uint8", "I32": "int32"}
# What the loader's copy turns into the same numbers.
WIDER = {("F8_E8M0", "float32"), ("F8_E8M0", "bfloat16"), ("BF16", "float32")}
PADDED = ".attn_sink"  # a GPU has more rows of it, which the loader fills from below


def of_target(path):
    """The header of a file of --target vllm-sharded; None: it is a file of somebody else."""
    try:
        _, header = read_header(path, os.path.getsize(path))
    except Refused:
        return None  # no file of ours; the loader will say what is wrong with it
    return header if header.get("__metadata__", {}).get("dsv4.target") == "vllm-sharded" else None


def check_share(path, header, rank, ranks, by):
    """Refuses a file that is not of this rank, of so many, with experts shared so (by None: nobody says)."""
    share = header["__metadata__"].get("dsv4.share", "")
    said = SHARE.fullmatch(share)
    if not said or (int(said[1]), int(said[2])) != (rank, ranks):
        raise Refused(f"{path} is of {share!r}, this worker is rank {rank} of {ranks}: launch with the tensor-parallel size of the folder, or dsv4-convert reshard it")
    if ranks > 1 and by and said[3] != by:
        raise Refused(f"{path} shares experts by {said[3]}, the launch by {by} ({'with' if by == 'ep' else 'without'} --enable-expert-parallel)")


def check_parameters(path, header, parameters):
    """Refuses tensors whose parameter has another type or shape; parameters: name -> (type as torch calls it, shape)."""
    for name, t in header.items():
        if name == "__metadata__" or name not in parameters:
            continue  # the loader refuses a name that its model lacks
        dtype, shape = parameters[name]
        same = shape[1:] == t["shape"][1:] and shape[:1] >= t["shape"][:1] if name.endswith(PADDED) else shape == t["shape"]
        kept = dtype == TYPES.get(t["dtype"]) or (t["dtype"], dtype) in WIDER
        if not kept or not same:
            raise Refused(f"{path} has {name} as {t['dtype']} {t['shape']}, vLLM has a parameter of {dtype} {shape} there: launch as the files were made, or convert again for this version of vLLM")


def install():
    from vllm import __version__ as version
    from vllm.config import get_current_vllm_config
    from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
    from vllm.model_executor.model_loader.sharded_state_loader import ShardedStateLoader

    load = ShardedStateLoader.load_weights
    if hasattr(load, "dsv4_guard"):
        return

    @functools.wraps(load)
    def guarded(self, model, model_config):
        folder = model_config.model_weights or model_config.model
        rank, ranks = get_tensor_model_parallel_rank(), get_tensor_model_parallel_world_size()
        by = None
        with contextlib.suppress(AssertionError):  # no config is current; experts shared otherwise have shapes that do not fit
            by = "ep" if get_current_vllm_config().parallel_config.enable_expert_parallel else "tp"
        state = self._filter_subtensors(model.state_dict())
        parameters = {n: (str(t.dtype).removeprefix("torch."), list(t.shape)) for n, t in state.items()}
        for path in glob.glob(os.path.join(glob.escape(folder), f"model-rank-{rank}-part-*.safetensors")):
            header = of_target(path)
            if header:
                agree.check_version(version.split("+")[0])
                check_share(path, header, rank, ranks, by)
                check_parameters(path, header, parameters)
        return load(self, model, model_config)

    guarded.dsv4_guard = True
    ShardedStateLoader.load_weights = guarded
