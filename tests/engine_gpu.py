"""engine_gpu.py vllm|sglang FOLDER RANKS LOAD_FORMAT MODEL: loads MODEL as it is published, then FOLDER, and asks both for 8
tokens, greedily. Exit status 1 where they differ, or where the engine does not start. For tests/engine_gpu.sh."""

import json
import sys

PROMPT = "The capital of France is"


def vllm(model, ranks, load_format):
    from vllm import LLM, SamplingParams

    llm = LLM(model=model, tensor_parallel_size=ranks, load_format=load_format, enforce_eager=True, max_model_len=256)
    return list(llm.generate([PROMPT], SamplingParams(temperature=0, max_tokens=8))[0].outputs[0].token_ids)


def sglang(model, ranks, load_format, folder):
    import sglang as engine

    extra = json.dumps({"presharded_path": folder, "verify_on_load": True}) if load_format == "presharded" else "{}"
    llm = engine.Engine(
        model_path=model, tp_size=ranks, load_format=load_format, model_loader_extra_config=extra,
        moe_runner_backend="marlin", disable_shared_experts_fusion=True, context_length=256,
    )  # fmt: skip
    made = llm.generate(PROMPT, {"temperature": 0, "max_new_tokens": 8})
    llm.shutdown()
    return made["text"]


def main():
    which, folder, ranks, load_format, model = sys.argv[1:]
    if which == "vllm":
        want, got = vllm(model, int(ranks), "auto"), vllm(folder, int(ranks), load_format)
    else:
        want, got = sglang(model, int(ranks), "auto", folder), sglang(model, int(ranks), load_format, folder)
    print(f"published: {want}\nconverted: {got}")
    return 0 if want == got else 1


if __name__ == "__main__":
    sys.exit(main())
