"""engine_gpu.py vllm|sglang FOLDER RANKS LOAD_FORMAT MODEL [BACKEND]: loads MODEL as it is published, then FOLDER, each in a process of
its own, and asks both for 8 tokens, greedily. Exit status 1 where they differ, or where the engine does not start. For
tests/engine_gpu.sh."""

import json
import subprocess
import sys

PROMPT = "The capital of France is"


def vllm(model, ranks, load_format, folder, backend):
    from vllm import LLM, SamplingParams

    more = {"moe_backend": backend} if backend else {}
    path = folder if load_format != "auto" else model
    llm = LLM(model=path, tensor_parallel_size=ranks, load_format=load_format, enforce_eager=True, max_model_len=256, **more)
    return list(llm.generate([PROMPT], SamplingParams(temperature=0, max_tokens=8))[0].outputs[0].token_ids)


def sglang(model, ranks, load_format, folder, backend):
    import sglang as engine

    extra = json.dumps({"presharded_path": folder, "verify_on_load": True}) if load_format == "presharded" else "{}"
    llm = engine.Engine(
        model_path=model, tp_size=ranks, load_format=load_format, model_loader_extra_config=extra,
        moe_runner_backend=backend, context_length=256,
    )  # fmt: skip
    made = llm.generate(PROMPT, {"temperature": 0, "max_new_tokens": 8})
    llm.shutdown()
    return made["text"]


def ask(which, folder, ranks, load_format, model, backend):
    """What the engine says, in a process that has the GPUs for itself."""
    command = [sys.executable, __file__, which, folder, ranks, load_format, model, backend, "one"]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(said.splitlines()[-1])


def main():
    which, folder, ranks, load_format, model, *more = sys.argv[1:]
    backend = more[0] if more else ""
    if len(more) > 1:
        engine = vllm if which == "vllm" else sglang
        print("\n" + json.dumps(engine(model, int(ranks), load_format, folder, backend)))
        return 0
    want = ask(which, folder, ranks, "auto", model, backend)
    got = ask(which, folder, ranks, load_format, model, backend)
    print(f"published: {want}\nconverted: {got}")
    return 0 if want == got else 1


if __name__ == "__main__":
    sys.exit(main())
