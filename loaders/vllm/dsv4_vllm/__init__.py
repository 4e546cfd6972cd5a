"""vLLM's load format "dsv4": folders of dsv4-convert whose routed experts are laid out for a kernel already.

    vllm serve SET/rank-0-of-8 --load-format dsv4 --tensor-parallel-size 8 --enable-expert-parallel

The model is a folder of a rank (it has config.json and the tokenizer); each worker takes the folder of its own rank
beside it.
"""

__version__ = "0.1.0"


def register():
    """What the entry point vllm.general_plugins calls, in every process, perhaps more than once."""
    from vllm.model_executor.model_loader import register_model_loader

    from . import guard, loader

    register_model_loader("dsv4")(loader.Dsv4ModelLoader)
    guard.install()
