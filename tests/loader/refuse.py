"""refuse.py TARGET RANKS ep|tp SET [damages|layers]: what loaders/vllm decides without vLLM and PyTorch, of a set of dsv4-convert.

A launch that agrees is taken: all that is placed, and how. With `damages`, of a set of one rank for Marlin, each thing that may not
agree is made not to, and the sentence must name both sides and what to do; with `layers`, the set is of some layers. Prints "ok   name" or "FAIL name".

SPDX-License-Identifier: MIT"""
import dataclasses
import json
import os
import shutil
import sys

from dsv4_vllm import agree, folder, guard

BAD = []


def say(name, why):
    print(("FAIL " if why else "ok   ") + name)
    if why:
        print("     " + why)
        BAD.append(name)


class Launch:
    """A launch as vLLM would make it of the model in the set, and what it would load."""

    def __init__(self, where, target, ranks, by):
        with open(os.path.join(where, "rank-0-of-%d" % ranks, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        self.where, self.ranks, self.by = where, ranks, by
        self.backend = agree.TARGETS[target].backend
        self.facts = agree.Launch("0.33.0", 0, ranks, 0, 1, 1, by == "ep", False)

    def layers(self, rank, **changed):
        c = self.config
        n = c["n_routed_experts"] // self.ranks
        ids = list(range(rank * n, rank * n + n)) if self.by == "ep" else list(range(c["n_routed_experts"]))
        inner = c["moe_intermediate_size"] // (1 if self.by == "ep" else self.ranks)
        for i in range(c["num_hidden_layers"]):
            one = agree.Layer("model.layers.%d.ffn.experts.routed_experts" % i, "layers.%d" % i, self.backend, ids, c["hidden_size"], inner)
            yield dataclasses.replace(one, **changed)

    def load(self, rank=0, layer=(), **facts):
        """The steps of Dsv4ModelLoader.load_model but for the reading."""
        facts = dataclasses.replace(self.facts, rank=rank, **facts)
        where = folder.find_set(os.path.join(self.where, "rank-0-of-%d" % self.ranks))
        agree.check_launch(facts, where)
        of = where.rank(facts.rank, facts.ranks, facts.stage, facts.stages)
        agree.check_rank(facts, of)
        placed = [p for one in self.layers(rank, **dict(layer)) for p in agree.place_layer(one, of)]
        return of, placed, list(agree.dense(of, placed))


def agrees(launch, target):
    for rank in range(launch.ranks):
        of, placed, rest = launch.load(rank)
        layers = launch.config["num_hidden_layers"]
        assert len(placed) == 4 * layers, len(placed)
        names = {n for f in of.files for n in f.tensors}
        drafts = {n for n in names if n.startswith("mtp.") and ".ffn.experts.w" in n}
        assert {p.tensor for p in placed} | {n for _, n in rest} | drafts == names
        assert all(of.digests[n] for n in names)
        for p in placed:
            assert p.turned == (target == "deepgemm-sm100" and p.parameter.endswith("_scale")), p
            assert folder.ITEM[p.held] == folder.ITEM[p.file.tensors[p.tensor]["dtype"]], p


def refused(what, call, *words):
    try:
        call()
    except folder.Refused as error:
        missing = [w for w in words if w not in str(error)]
        say(what, missing and "it says %r, without %s" % (str(error), missing))
    except Exception as error:  # whatever it is, it is no sentence
        say(what, "%s: %s" % (type(error).__name__, error))
    else:
        say(what, "it is taken")


class Damage:
    """A copy of the set, with what is done to it."""

    def __init__(self, where):
        self.good, self.where = where, where + ".bad"
        self.rank = os.path.join(self.where, "rank-0-of-1")

    def fresh(self):
        shutil.rmtree(self.where, ignore_errors=True)
        shutil.copytree(self.good, self.where)

    def file(self, n=2):
        return os.path.join(self.rank, sorted(x for x in os.listdir(self.rank) if x.endswith(".safetensors"))[n])

    def edit(self, path, old, new):
        with open(path, "rb") as f:
            data = f.read()
        assert old in data, (path, old)
        with open(path, "wb") as f:
            f.write(data.replace(old, new, 1))

    def truncate(self, path, by):
        os.truncate(path, max(0, os.path.getsize(path) - by))

    def seal(self, path, change):
        """A document that says something else, and fits its seal."""
        import xxhash

        with open(path, encoding="utf-8") as f:
            doc = json.load(f)
        doc.pop("xxh3_128")
        change(doc)
        text = json.dumps(doc, indent=1, sort_keys=True)[:-2]
        with open(path, "w", encoding="utf-8") as f:
            f.write('%s,\n "xxh3_128": "%s"\n}\n' % (text, xxhash.xxh3_128_hexdigest(text.encode())))


def other_launches(launch):
    refused("another version of vLLM", lambda: launch.load(version="0.99.0"), "vLLM 0.99.0", "0.32.0, 0.33.0", "take one of those")
    refused("another number of ranks", lambda: launch.load(ranks=2), "of 1 ranks", "size of 2", "launch with 1", "reshard")
    refused("another number of stages", lambda: launch.load(stages=2), "of 1 pipeline stages", "has 2", "launch with 1")
    refused("data-parallel ranks", lambda: launch.load(data_parallel=2), "2 data-parallel ranks", "folder")
    refused("balanced experts", lambda: launch.load(eplb=True), "EPLB", "folder")
    refused("another kernel", lambda: launch.load(layer={"backend": "DEEPGEMM_MXFP4"}), "chosen the kernel DEEPGEMM_MXFP4", "laid out for MARLIN", "--moe-backend marlin")
    refused("sizes that vLLM rounds up", lambda: launch.load(layer={"inner": 256}), "tensor layers.0.ffn.experts.w13.weight", "vLLM's MARLIN has", "rounds sizes up")
    refused("experts in another order", lambda: launch.load(layer={"experts": [1, 0, 2, 3, 4, 5, 6, 7]}), "has the experts", "vLLM wants [1, 0,")
    refused("a layer that vLLM has not", lambda: agree_without_last(launch), "belongs to no layer that vLLM has built")
    refused("activations of 16 other bits", lambda: launch.load(dtype="float16"), "float16", "--dtype bfloat16")
    refused("activations of 8 bits", lambda: launch.load(marlin_input="INT8"), "VLLM_MARLIN_INPUT_DTYPE is INT8", "marlin4-a16/1", "unset it")
    same = ("SET", "a" * 64, "")
    refused("another conversion on another machine", lambda: agree.check_same([same, ("SET", "b" * 64, "")], 0), "worker 0 has SET", "worker 1 has SET", "copy one conversion")
    refused("a worker that has none", lambda: agree.check_same([same, ("SET", "", "no such folder")], 0), "worker 1: no such folder")


def agree_without_last(launch):
    of, placed, _ = launch.load()
    list(agree.dense(of, placed[:-4]))


def deepgemm(launch):
    refused("a GPU of another kind", lambda: launch.load(major=12), "SM12x", "deepgemm-sm100", "SM10x")
    refused("scales as FP32", lambda: launch.load(major=10, e8m0=False), "VLLM_USE_DEEP_GEMM_E8M0", "deepgemm-sm100-sf/1", "set it to 1")
    launch.load(major=10)


def damages(launch):
    d = Damage(launch.where)
    bad = Launch(launch.where, "marlin-mxfp4", 1, "ep")
    bad.where = d.where
    top, below = os.path.join(d.where, "manifest.json"), os.path.join(d.rank, "manifest.json")

    def flip(path, at):
        with open(path, "r+b") as f:
            f.seek(at)
            b = f.read(1)[0] ^ 1
            f.seek(at)
            f.write(bytes([b]))

    def size_of_header(n):
        with open(d.file(), "r+b") as f:
            f.write(n.to_bytes(8, "little"))

    rows = [
        ("a folder that is missing", lambda: shutil.rmtree(d.rank), ["rank-0-of-1 is not there", "manifest.json names it", "copy the folder"]),
        ("a set without its manifest", lambda: os.remove(top), ["manifest.json: No such file", "dsv4-verify check"]),
        ("a rank without its manifest", lambda: os.remove(below), ["rank-0-of-1/manifest.json: No such file", "dsv4-verify check"]),
        ("a set of another format", lambda: d.seal(top, lambda doc: doc.update(format="dsv4-set-9")), ["dsv4-set-9", "dsv4-set-1", "convert again"]),
        ("a set without a seal", lambda: d.edit(top, b'"xxh3_128"', b'"xxh3_129"'), ["not sealed", "not finished"]),
        ("a set that was edited", lambda: d.edit(top, b'"stages": 1', b'"stages": 2'), ["not as it was written", "copy it again"]),
        ("a set that was cut off", lambda: d.truncate(top, 40), ["no JSON"]),
        ("a set of another target", lambda: d.seal(top, lambda doc: doc.update(target="megamoe")), ["megamoe", "marlin-mxfp4"]),
        ("a set of no engine", lambda: d.seal(top, lambda doc: doc.update(target="official")), ["target official", "none of vLLM's", "marlin-mxfp4"]),
        ("attention that was cut", lambda: d.seal(top, lambda doc: doc["options"].update(attention="tp")), ["--attention tp", "make it with --attention replicate"]),
        ("a set that names no such rank", lambda: d.seal(top, lambda doc: doc["folders"].pop()), ["names no folder rank-0-of-1"]),
        ("a rank of another conversion", lambda: d.edit(below, b'"lossy": "no"', b'"lossy": "on"'), ["has the SHA-256", "the set's manifest says", "another conversion"]),
        ("a config.json that was edited", lambda: d.edit(os.path.join(d.rank, "config.json"), b"{", b"{ "), ["config.json was edited", "dsv4-verify check"]),
        ("a file that is missing", lambda: os.remove(d.file()), ["No such file", "the manifest beside it names it"]),
        ("a file that was cut short", lambda: d.truncate(d.file(), 4096), ["bytes, its manifest says", "copy it again"]),
        ("a file of no bytes", lambda: os.truncate(d.file(), 0), ["has 0 bytes, its manifest says"]),
        ("a header of absurd size", lambda: size_of_header(1 << 62), ["a header of 4611686018427387904 bytes", "copy it again"]),
        ("a header that is no JSON", lambda: flip(d.file(), 8), ["header that is no JSON", "copy it again"]),
        ("a sidecar of another file", lambda: d.edit(d.file() + ".manifest.json", b'"transform": "copy"', b'"transform": "COPY"'), ["not the one that the manifest beside it names", "copy the folder again"]),
        ("a layout of another version", lambda: d.edit(d.file(), b"marlin4-a16/1", b"marlin4-a16/2"), ["marlin4-a16/2", "this loader knows marlin4-a16/1", "convert again"]),
        ("another order of rows", lambda: d.edit(d.file(), b'"dsv4.w13":"gate-up"', b'"dsv4.w13":"up-gate"'), ["up-gate", "gate-up"]),
        ("another type", lambda: d.edit(d.file(), b'"dtype":"I32"', b'"dtype":"F32"'), ["F32", "its sidecar says", "I32", "copy the file again"]),
        ("another name", lambda: d.edit(d.file(), b"attn.wkv.weight", b"attn.wkw.weight"), ["wkv.weight as None", "its sidecar says"]),
        ("the folder of another rank", lambda: d.edit(d.file(), b"rank 0 of 1,", b"rank 1 of 2,"), ["rank 1 of 2", "this worker is 'rank 0 of 1"]),
    ]  # fmt: skip
    for what, damage, words in rows:
        d.fresh()
        damage()
        refused(what, bad.load, *words)
    shutil.rmtree(d.where)
    refused("a model that is no rank", lambda: folder.find_set(launch.where), "no folder rank-R-of-N", "SET/rank-0-of-8")
    d.fresh()
    assert bad.load()
    shutil.rmtree(d.where)


def guarded(out):
    """Files of vllm-sharded, of two ranks by tp, before vLLM's own loader."""
    path = os.path.join(out, "model-rank-0-part-0.safetensors")
    header = guard.of_target(path)
    guard.check_share(path, header, 0, 2, "tp")
    held = {n: (guard.TYPES[t["dtype"]], t["shape"]) for n, t in header.items() if n != "__metadata__"}
    guard.check_parameters(path, header, held)
    refused("sharded_state: another number of ranks", lambda: guard.check_share(path, header, 0, 1, "tp"), "rank 0 of 2", "rank 0 of 1", "launch with")
    refused("sharded_state: another rank", lambda: guard.check_share(path, header, 1, 2, "tp"), "rank 0 of 2", "rank 1 of 2")
    refused("sharded_state: experts shared otherwise", lambda: guard.check_share(path, header, 0, 2, "ep"), "by tp", "by ep")
    name = "model.layers.0.ffn.experts.routed_experts.w13_weight"
    dtype, shape = held[name]
    refused("sharded_state: a larger parameter", lambda: guard.check_parameters(path, header, {**held, name: (dtype, [shape[0], 2 * shape[1], shape[2]])}), name, str(shape), str(2 * shape[1]), "launch as the files were made")
    refused("sharded_state: a parameter of another type", lambda: guard.check_parameters(path, header, {**held, name: ("int8", shape)}), "U8", "int8", "convert again")
    sink = "model.layers.0.attn.attn_sink"
    guard.check_parameters(path, header, {**held, sink: ("float32", [64])})
    refused("sharded_state: attn_sink of fewer rows", lambda: guard.check_parameters(path, header, {**held, sink: ("float32", [1])}), sink)
    assert guard.of_target(os.path.join(out, "config.json")) is None


def main():
    target, ranks, by, where, *more = sys.argv[1:]
    if target == "vllm-sharded":
        guarded(where)
        return len(BAD)
    launch = Launch(where, target, int(ranks), by)
    if more == ["layers"]:
        refused("a part of the layers", launch.load, "made with --layers 0", "vLLM wants the whole model", "convert without --layers")
        return len(BAD)
    try:
        agrees(launch, target)
        say("%s, %s ranks by %s, is taken" % (target, ranks, by), "")
    except (AssertionError, folder.Refused) as error:
        say("%s, %s ranks by %s, is taken" % (target, ranks, by), "%s: %s" % (type(error).__name__, error))
    if target == "deepgemm-sm100":
        deepgemm(launch)
    if more:
        other_launches(launch)
        damages(launch)
    if by == "ep" and int(ranks) > 1:
        refused("%s: experts shared by tp" % target, lambda: launch.load(expert_parallel=False), "by ep", "by tp", "without --enable-expert-parallel")
    return len(BAD)


sys.exit(main() != 0)
