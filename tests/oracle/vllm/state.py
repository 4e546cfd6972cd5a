"""state.py WORD MODEL LOAD_FORMAT RANKS RANK ep|tp PORT [guarded]: the parameters that vLLM has after loading, before it processes them.

A line for each key of its sharded_state loader: WORD RANKS ep|tp RANK NAME TYPE SHAPE XXH3-128. tests/vectors/vllm_sharded.txt
has such lines of downloads; `sharded_state` of --target vllm-sharded must give the same. With `guarded` the plug-in loaders/vllm
is loaded before, and is expected to refuse.
"""

import sys

import launch

TYPES = {
    "torch.bfloat16": "BF16", "torch.float32": "F32", "torch.uint8": "U8", "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e8m0fnu": "F8_E8M0", "torch.int32": "I32",
}  # fmt: skip


def main():
    word, model, load_format, ranks, rank, by, port, *more = sys.argv[1:]
    at = launch.Launch(model, load_format, int(ranks), int(rank), by, int(port))
    import torch
    import xxhash
    from vllm.model_executor.model_loader.sharded_state_loader import ShardedStateLoader

    built = at.build()
    if more:
        import dsv4_vllm

        dsv4_vllm.register()
        try:
            at.loader().load_weights(built, at.config.model_config)
        except dsv4_vllm.folder.Refused as error:
            print("ok  refused: rank 0 of 2" if "'rank 0 of 2, experts tp', this worker is rank 0 of 1" in str(error) else error)
        return
    at.loader().load_weights(built, at.config.model_config)
    if load_format == "sharded_state":
        import probe

        place = {"rank": int(rank), "ranks": int(ranks), "stage": 0, "stages": 1}
        probe.dump(built, "%s.state-%s.json" % (model, rank), **place, engine="vllm", target="vllm-sharded")
    state = ShardedStateLoader._filter_subtensors(built.state_dict())
    for name in sorted(state):
        t = state[name].contiguous()
        data = t.reshape(-1).view(torch.uint8).numpy()
        shape = ",".join(map(str, t.shape))
        print(word, ranks, by, rank, name, TYPES[str(t.dtype)], shape, xxhash.xxh3_128_hexdigest(data))


main()
