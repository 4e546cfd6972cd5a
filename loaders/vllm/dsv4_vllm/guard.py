"""A guard before vLLM's own sharded_state loader, for files of --target vllm-sharded.

That loader fills the beginning of a parameter that is larger than the tensor of the file, and only warns: with fewer ranks
than the files were made for, the engine would start with half of the weights. The header of each file says of which rank
of how many it is; here a launch that is another is refused. Files of others are left alone.
"""

import contextlib
import functools
import glob
import json
import os
import re

from .folder import HEADER_MAX, Refused

SHARE = re.compile(r"rank (\d+) of (\d+), experts (tp|ep)")


def check_file(path, rank, ranks, by):
    """Refuses a file of the target that is not of this rank, of so many, with experts shared so (by None: nobody says)."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > HEADER_MAX:
            return  # no file of ours; the loader will say what is wrong with it
        metadata = json.loads(file.read(length)).get("__metadata__", {})
    if metadata.get("dsv4.target") != "vllm-sharded":
        return
    said = SHARE.fullmatch(metadata.get("dsv4.share", ""))
    if not said or (int(said[1]), int(said[2])) != (rank, ranks):
        raise Refused(f"{path} is of {metadata.get('dsv4.share')!r}, this worker is rank {rank} of {ranks}: launch with the tensor-parallel size of the folder, or dsv4-convert reshard it")
    if ranks > 1 and by and said[3] != by:
        raise Refused(f"{path} shares experts by {said[3]}, the launch by {by} ({'with' if by == 'ep' else 'without'} --enable-expert-parallel)")


def install():
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
        for path in glob.glob(os.path.join(glob.escape(folder), f"model-rank-{rank}-part-*.safetensors")):
            check_file(path, rank, ranks, by)
        return load(self, model, model_config)

    guarded.dsv4_guard = True
    ShardedStateLoader.load_weights = guarded
