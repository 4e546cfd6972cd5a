"""Whether the folder of a rank is what a launch wants: a table of targets, and one check after the other.

Nothing here needs vLLM: the loader gives what the launch is as a Launch, and for each layer with experts a Layer.
"""

import dataclasses
import re

from .folder import Refused

# With which versions the parameters below were compared. "run": loaded on a CPU; "read": the source was read.
VERSIONS = {"0.32.0": "run", "0.33.0": "read"}


@dataclasses.dataclass(frozen=True)
class Target:
    """What a target of dsv4-convert writes, and which kernel of vLLM reads it so."""

    backends: tuple  # names of Mxfp4MoeBackend
    weight: str  # layout/version of both weights
    scale: str
    w13: str  # order of rows
    w2: str
    dtypes: tuple  # of weights and scales
    shape: object  # (n, k) of a matrix -> shape of its weights and of its scales, behind the number of experts
    hook: bool  # vLLM takes processed weights by weights_already_processed()


TARGETS = {
    "marlin-mxfp4": Target(
        ("MARLIN",), "marlin4-a16/1", "marlin-sf-a16/1", "gate-up", "same", ("I32", "F8_E8M0"),
        lambda n, k: ([k // 16, n * 2], [k // 32, n]), False,
    ),
    "trtllm-mxfp4": Target(
        ("FLASHINFER_TRTLLM_MXFP4_MXFP8",), "rows/1", "sf128x4/1", "up-gate-trtllm", "trtllm", ("U8", "F8_E4M3"),
        lambda n, k: ([n, k // 2], [n, k // 32]), True,
    ),
}  # fmt: skip

# For these the form was not compared with what vLLM's conversion makes: strides and views are its own.
UNCHECKED = ("deepgemm-sm100", "kmajor-sf128", "megamoe", "flashinfer-sm90", "flashinfer-sm100", "triton-hopper", "b12x-w4a8", "aiter-mxfp4", "frag-k32")


@dataclasses.dataclass(frozen=True)
class Launch:
    version: str
    rank: int
    ranks: int
    stage: int
    stages: int
    data_parallel: int
    expert_parallel: bool
    eplb: bool


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with routed experts, as vLLM has built it."""

    name: str  # of the parameters: model.layers.N.ffn.experts.routed_experts
    block: str  # layers.N, or mtp.N
    backend: str
    experts: list  # ids, in the order in which they lie on this rank
    hidden: int
    inner: int  # of this rank; both as vLLM has rounded them up


def check_launch(launch, folder):
    """The set that the ranks lie in, and how the launch shares."""
    if launch.version not in VERSIONS:
        raise Refused(f"this is vLLM {launch.version}; the loader was compared with {', '.join(sorted(VERSIONS))}: take one of those, or a newer loader")
    if folder.target not in TARGETS:
        why = "which this loader has not compared with vLLM" if folder.target in UNCHECKED else "which is none of vLLM's"
        raise Refused(f"{folder.path} is of target {folder.target}, {why}: take {' or '.join(TARGETS)}, or --target vllm-sharded, which needs no loader")
    if folder.options["attention"] != "replicate":
        raise Refused(f"{folder.path} was made with --attention {folder.options['attention']}: vLLM cuts these weights itself; make it with --attention replicate")
    by = "ep" if launch.expert_parallel else "tp"
    if launch.ranks > 1 and launch.ranks == folder.options["ranks"] and folder.options["experts_by"] != by:
        raise Refused(f"{folder.path} shares experts by {folder.options['experts_by']}, the launch by {by} ({'with' if by == 'ep' else 'without'} --enable-expert-parallel)")
    if launch.data_parallel > 1:
        raise Refused(f"the launch has {launch.data_parallel} data-parallel ranks, which share experts in a way that the folder does not tell")
    if launch.eplb:
        raise Refused("the launch balances experts (EPLB), and the folder has each of them once, in order")


def check_rank(launch, rank):
    """The folder says of itself what the set says of it."""
    want = f"rank {launch.rank} of {launch.ranks}, stage {launch.stage} of {launch.stages},"
    for file in rank.files:
        said = file.metadata.get("dsv4.share", "")
        if file.metadata.get("dsv4.target") != rank.target:
            raise Refused(f"{file.path} says that it is of target {file.metadata.get('dsv4.target')!r}, its manifest says {rank.target!r}")
        if not said.startswith(want):
            raise Refused(f"{file.path} says that it is {said!r}, this worker is {want!r}")


@dataclasses.dataclass(frozen=True)
class Placed:
    """A tensor of the folder, and the parameter that it becomes."""

    parameter: str
    file: object
    tensor: str
    dtype: str
    shape: list


def place_layer(layer, rank):
    """What the four parameters of a layer's experts are made of."""
    target = TARGETS[rank.target]
    if layer.backend not in target.backends:
        raise Refused(f"layer {layer.block}: vLLM has chosen the kernel {layer.backend}, {rank.path} is laid out for {' or '.join(target.backends)}: launch with the moe backend of that, or convert for {layer.backend}")
    stem = layer.block + ".ffn.experts."
    files = [f for f in rank.files if stem + "w13.weight" in f.tensors]
    if len(files) != 1:
        raise Refused(f"{rank.path} has {len(files)} files with {stem}w13.weight, one is needed")
    file = files[0]
    check_layouts(file, target)
    ids = [int(i) for i in file.metadata.get("dsv4.experts", "").split(",") if re.fullmatch(r"\d+", i)]
    if ids != layer.experts:
        raise Refused(f"layer {layer.block}: {file.path} has the experts {brief(ids)}, vLLM wants {brief(layer.experts)} on this rank")
    sizes = {"w13": (2 * layer.inner, layer.hidden), "w2": (layer.hidden, layer.inner)}
    placed = []
    for part, (n, k) in sizes.items():
        shapes = target.shape(n, k)
        for i, kind in enumerate(("weight", "scale")):
            name = f"{stem}{part}.{kind}"
            t = file.tensors.get(name)
            shape = [len(ids), *shapes[i]]
            if not t:
                raise Refused(f"{file.path} has no tensor {name}")
            if t["dtype"] != target.dtypes[i] or t["shape"] != shape:
                raise Refused(f"tensor {name} is {t['dtype']} {t['shape']}, vLLM's {layer.backend} has {target.dtypes[i]} {shape} there (it rounds sizes up, and so must the folder)")
            parameter = f"{layer.name}.{part}_weight" + ("_scale" if kind == "scale" else "")
            placed.append(Placed(parameter, file, name, t["dtype"], t["shape"]))
    return placed


def check_layouts(file, target):
    said = dict(part.split(" ", 1) for part in file.metadata.get("dsv4.layouts", "").split(", ") if " " in part)
    for name, layout in said.items():
        want = target.weight if name.endswith("weight") else target.scale
        if layout != want:
            raise Refused(f"{file.path} has {name} in layout {layout}, this loader knows {want}: convert again, or take the loader of that version")
    rows = file.metadata.get("dsv4.w13"), file.metadata.get("dsv4.w2")
    if len(said) != 4 or rows != (target.w13, target.w2):
        raise Refused(f"{file.path} says of layouts {sorted(said)} and rows {rows}, this loader wants four layouts and the rows {(target.w13, target.w2)}")


def brief(ids):
    return f"{ids[0]} to {ids[-1]} ({len(ids)})" if len(ids) > 4 and ids == list(range(ids[0], ids[-1] + 1)) else str(ids)


def dense(rank, placed):
    """All tensors of the rank that no parameter of experts is made of, in the order of the files."""
    taken = {p.tensor for p in placed}
    for file in rank.files:
        for name in sorted(file.tensors, key=lambda n: file.tensors[n]["data_offsets"]):
            if name in taken:
                continue
            if ".ffn.experts.w" in name:
                if name.startswith("mtp."):
                    continue  # drafts: a model of their own
                raise Refused(f"{file.path}: tensor {name} belongs to no layer that vLLM has built on this rank")
            yield file, name
