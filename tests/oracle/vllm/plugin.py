"""plugin.py MODEL SET KERNEL RANKS RANK ep|tp PORT [damages|SET2]: load format dsv4, installed from loaders/vllm, in vLLM's own Python, without a GPU.

The plugin is found by its entry point; a set fills the model; every parameter of experts is the tensor of the folder,
every other one what vLLM loads from the download; nothing is left on meta. vLLM is told which kernel it has chosen; only
its parameters are looked at: it is built where there is a GPU. With `damages` the set is of one rank for Marlin, and
everything that may not agree is made not to. With SET2, of as many ranks, the second rank is given that, and both must refuse.
"""

import json
import os
import shutil
import sys

import launch


def entry_point():
    """vLLM finds the plugin and calls it."""
    from vllm.config.load import LoadConfig
    from vllm.model_executor.model_loader import get_model_loader
    from vllm.plugins import load_general_plugins

    load_general_plugins()
    loader = get_model_loader(LoadConfig(load_format="dsv4"))
    assert type(loader).__module__ == "dsv4_vllm.loader", type(loader)


def choose(kernel):
    from vllm.model_executor.layers.fused_moe.oracle.mxfp4 import Mxfp4MoeBackend
    from vllm.model_executor.layers.quantization import mxfp4

    mxfp4.select_deepseek_v4_mxfp4_moe_backend = lambda moe: (Mxfp4MoeBackend[kernel], None)


def by_default(at, model):
    """Parameters that vLLM loads from the download."""
    from vllm.config.load import LoadConfig
    from vllm.model_executor.model_loader import get_model_loader

    at.config.model_config.model = model
    built = at.build()
    get_model_loader(LoadConfig(load_format="auto")).load_weights(built, at.config.model_config)
    return dict(built.named_parameters())


def raw(t):
    import torch

    return t.detach().contiguous().reshape(-1).view(torch.uint8)


def converted(kernel, want, layer):
    """What the four parameters of a layer must be, by the ends of their names, and who says so. vLLM's own conversion where it runs on
    a CPU; of DeepGEMM's, which does not, a twin: words of four scales of a row, with strides 1 and N over a matrix, as SGLang's PyTorch
    version of it gives them (tests/oracle/engines.py)."""
    import torch
    from vllm.model_executor.layers.fused_moe.oracle import mxfp4

    names = ["w13_weight", "w2_weight", "w13_weight_scale", "w2_weight_scale"]
    four = [want["%s.%s" % (layer, n)].data for n in names]
    if kernel == "CUTLASS_MXFP4_MXFP4":
        four = mxfp4.convert_weight_to_mxfp4_moe_kernel_format(mxfp4.Mxfp4MoeBackend[kernel], None, *map(torch.nn.Parameter, four, [False] * 4))[:4]
        return dict(zip(names, four)), "what vLLM converts the download to"
    if kernel == "DEEPGEMM_MXFP4":
        words = [s.contiguous().view(torch.int32) for s in four[2:]]
        four[2:] = [torch.empty_strided(w.shape, (w.shape[1] * w.shape[2], 1, w.shape[1]), dtype=w.dtype).copy_(w) for w in words]
        return dict(zip(names, four)), "a twin of DeepGEMM's conversion"
    return {}, ""


def compare(kernel, found, want, rank):
    import torch

    experts = others = 0
    tensors = {name: (file, t) for file in rank.files for name, t in file.tensors.items()}
    assert set(found) == set(want), sorted(set(found) ^ set(want))[:4]
    known = {}
    for name, t in found.items():
        assert t.device.type == "cpu", (name, t.device)
        if ".routed_experts." not in name:
            assert t.dtype == want[name].dtype and torch.equal(raw(t), raw(want[name])), name
            others += 1
            continue
        layer, _, leaf = name.rpartition(".")
        block = layer.removeprefix("model.").split(".ffn.experts.routed_experts")[0]
        part, _, kind = leaf.partition("_weight")
        file, entry = tensors["%s.ffn.experts.%s.%s" % (block, part, "scale" if kind else "weight")]
        with open(file.path, "rb") as f:
            f.seek(file.begin + entry["data_offsets"][0])
            data = f.read(entry["data_offsets"][1] - entry["data_offsets"][0])
        turned = kernel == "DEEPGEMM_MXFP4" and kind
        lies = t.transpose(1, 2) if turned else t
        assert lies.is_contiguous() and list(lies.shape) == entry["shape"] and raw(lies).numpy().tobytes() == data, name
        if layer not in known:
            known[layer], by = converted(kernel, want, layer)
        if by:
            like = known[layer][leaf]
            assert (t.dtype, t.shape, t.stride()) == (like.dtype, like.shape, like.stride()), (name, t.dtype, t.shape, t.stride(), like.dtype, like.shape, like.stride())
            assert torch.equal(raw(t), raw(like)), name
        experts += 1
    return experts, by and " and equal to " + by, others


class Damaged:
    """A copy of the set with something changed in it."""

    def __init__(self, source, to):
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(source, to)
        self.path = to

    def file(self, *names):
        return os.path.join(self.path, *names)


def first_file(path):
    return sorted(n for n in os.listdir(path) if n.endswith(".safetensors"))[2]


def refused(load, words):
    try:
        load()
    except Exception as error:  # what it is does not matter, the sentence does
        missing = [w for w in words if w not in str(error)]
        return "" if not missing else "%s: says %r, not %s" % (type(error).__name__, str(error), missing)
    return "loaded"


def state(model, where, rank, ranks):
    """What the rank holds, as loaders/probe.py writes it down, beside the set."""
    import probe
    import vllm

    with open(where + "/manifest.json") as f:
        target = json.load(f)["target"]
    probe.dump(
        model, "%s.state-%d.json" % (where, rank), rank=rank, ranks=ranks, stage=0, stages=1,
        engine="vllm", version=vllm.__version__, target=target,
    )  # fmt: skip


def main():
    model, where, kernel, ranks, rank, by, port, *more = sys.argv[1:]
    ranks, rank = int(ranks), int(rank)
    first = where + "/rank-0-of-%d" % ranks
    at = launch.Launch(first, "dsv4", ranks, rank, by, int(port))
    entry_point()
    if more:
        launch.say("ok  the plugin is found by its entry point and registers load format dsv4")
    choose(kernel)
    from dsv4_vllm import folder, loader
    from vllm.model_executor.layers.quantization import mxfp4

    # Dense layers are processed for a CPU's kernels, which this machine may not have.
    loader.process_weights_after_loading = lambda *a: [
        m.quant_method.process_weights_after_loading(m)
        for m in a[0].modules()
        if isinstance(getattr(m, "quant_method", None), mxfp4.Mxfp4MoEMethod)
    ]
    config = at.config

    def load(path=first):
        config.compilation_config.static_forward_context.clear()
        config.model_config.model = path
        return at.loader().load_model(config, config.model_config)

    if more and more[0] != "damages":  # another set, for the second rank
        why = refused(lambda: load(first if rank == 0 else more[0] + "/rank-0-of-%d" % ranks), ["worker 0 has", "worker 1 has", "another conversion", "copy one"])
        launch.say(("FAIL two conversions: %s" % why) if why else "ok  refused: another conversion on the machine of the other rank, by rank %d" % rank)
        return
    model_of = load()
    state(model_of, where, rank, ranks)
    built = dict(model_of.named_parameters())
    config.compilation_config.static_forward_context.clear()
    counts = compare(kernel, built, by_default(at, model), folder.Set(where).rank(rank, ranks, 0, 1))
    of = "%s, rank %d of %d by %s" % (kernel, rank, ranks, by)
    launch.say("ok  %s: %d parameters of experts are the folder's%s, %d others the download's; none is on meta" % (of, *counts))
    if not more:
        return
    bad = Damaged(where, where + ".bad")
    folder_of = bad.file("rank-0-of-1")
    for what, damage, words in damages(bad, folder_of):
        bad.__init__(where, bad.path)
        undo = damage()
        why = refused(lambda: load(folder_of), words)
        if undo:
            undo()
        launch.say(("FAIL %s: %s" % (what, why)) if why else "ok  refused: %s" % what)
    shutil.rmtree(bad.path)


def damages(bad, rank):
    """What is wrong, how it is made so (and unmade, where it is not in the folder), and words of the sentence."""
    from dsv4_vllm import agree, loader
    from vllm.model_executor.layers.fused_moe.oracle.mxfp4 import Mxfp4MoeBackend
    from vllm.model_executor.layers.quantization import mxfp4

    def edit(path, old, new):
        with open(path, "rb") as f:
            data = f.read()
        assert old in data, (path, old)
        with open(path, "wb") as f:
            f.write(data.replace(old, new, 1))

    def attribute(of, name, value):
        was = getattr(of, name)
        setattr(of, name, value)
        return lambda: setattr(of, name, was)

    def seal(path, change):
        import xxhash

        with open(path) as f:
            doc = json.load(f)
        doc.pop("xxh3_128")
        change(doc)
        text = json.dumps(doc, indent=1, sort_keys=True)[:-2]
        with open(path, "w") as f:
            f.write('%s,\n "xxh3_128": "%s"\n}\n' % (text, xxhash.xxh3_128_hexdigest(text.encode())))

    def header(old, new):
        """The same number of bytes in a header."""
        assert len(old) == len(new)
        edit(os.path.join(rank, first_file(rank)), old, new)

    def truncate():
        path = os.path.join(rank, first_file(rank))
        os.truncate(path, os.path.getsize(path) - 4096)

    def cut_while_read():
        """After sizes and headers were looked at, before the tensors are read."""
        place = agree.place_layer

        def then_cut(*a):
            truncate()
            return place(*a)

        return attribute(agree, "place_layer", then_cut)

    def flip():
        path = os.path.join(rank, first_file(rank))
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            b = f.read(1)[0] ^ 1
            f.seek(-1, 1)
            f.write(bytes([b]))

    top = bad.file("manifest.json")
    select = "select_deepseek_v4_mxfp4_moe_backend"
    trtllm = lambda moe: (Mxfp4MoeBackend.FLASHINFER_TRTLLM_MXFP4_MXFP8, None)
    launch_of = loader.Dsv4ModelLoader.launch

    def as_if(**changed):
        import dataclasses

        return attribute(loader.Dsv4ModelLoader, "launch", lambda self, *a: dataclasses.replace(launch_of(self, *a), **changed))

    return [
        ("another kernel", lambda: attribute(mxfp4, select, trtllm), ["FLASHINFER_TRTLLM", "laid out for MARLIN"]),
        ("another version of vLLM", lambda: as_if(version="0.99.0"), ["vLLM 0.99.0", "0.33.0"]),
        ("another number of ranks", lambda: as_if(ranks=2), ["of 1 ranks", "size of 2"]),
        ("another number of stages", lambda: as_if(stages=2), ["of 1 pipeline stages", "has 2"]),
        ("another type of activations", lambda: as_if(dtype="float16"), ["float16", "bfloat16"]),
        ("activations of 8 bits for Marlin", lambda: as_if(marlin_input="fp8"), ["VLLM_MARLIN_INPUT_DTYPE is fp8", "marlin4-a16/1"]),
        ("data-parallel ranks", lambda: as_if(data_parallel=2), ["2 data-parallel ranks"]),
        ("a layout of another version", lambda: header(b"marlin4-a16/1", b"marlin4-a16/2"), ["marlin4-a16/2", "marlin4-a16/1"]),
        ("another order of rows", lambda: header(b'"dsv4.w13":"gate-up"', b'"dsv4.w13":"up-gate"'), ["up-gate", "gate-up"]),
        ("experts in another order", lambda: header(b'"dsv4.experts":"0,1,', b'"dsv4.experts":"1,0,'), ["[1, 0,", "0 to"]),
        ("another type", lambda: header(b'"dtype":"I32"', b'"dtype":"F32"'), ["F32", "I32"]),
        ("the folder of another rank", lambda: header(b"rank 0 of 1,", b"rank 1 of 2,"), ["rank 1 of 2", "rank 0 of 1"]),
        ("another target", lambda: seal(top, lambda d: d.update(target="megamoe")), ["megamoe", "marlin-mxfp4"]),
        ("attention that was cut", lambda: seal(top, lambda d: d["options"].update(attention="tp")), ["--attention tp", "--attention replicate"]),
        ("a manifest of another format", lambda: seal(top, lambda d: d.update(format="dsv4-set-9")), ["dsv4-set-9", "dsv4-set-1"]),
        ("a manifest without a seal", lambda: edit(top, b'"xxh3_128"', b'"xxh3_129"'), ["not sealed"]),
        ("a manifest that was edited", lambda: edit(top, b'"stages": 1', b'"stages": 2'), ["not as it was written"]),
        ("a folder of another conversion", lambda: edit(os.path.join(rank, "manifest.json"), b'"lossy": "no"', b'"lossy": "on"'), ["of another conversion"]),
        ("a config.json that was edited", lambda: edit(os.path.join(rank, "config.json"), b"{", b"{ "), ["config.json was edited"]),
        ("a folder that is missing", lambda: shutil.rmtree(rank), ["is not there"]),
        ("a file that was cut short", truncate, ["bytes, its manifest says"]),
        ("a file that was cut short while it was read", cut_while_read, ["ends at byte", "goes on to", "cut short while it was read"]),
        ("a byte that was changed", flip, ["has not the digest"]),
    ]  # fmt: skip


main()
