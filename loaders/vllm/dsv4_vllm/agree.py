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

    backend: str  # name in Mxfp4MoeBackend
    chosen: str  # what chooses it
    weight: str  # layout/version of both weights
    scale: str
    w13: str  # order of rows
    w2: str
    dtypes: tuple  # of weights and scales in the folder
    held: tuple  # as vLLM has them: of the same size
    shape: object  # (n, k) of a matrix -> shape of its weights and of its scales, behind the number of experts
    turned: bool = False  # vLLM has scales with their last two dimensions exchanged, over the same bytes
    hook: bool = False  # vLLM takes processed weights by weights_already_processed()
    major: int = 0  # compute capability without which the same kernel reads another form; 0: any


TARGETS = {
    "marlin-mxfp4": Target(
        "MARLIN", "--moe-backend marlin", "marlin4-a16/1", "marlin-sf-a16/1", "gate-up", "same",
        ("I32", "F8_E8M0"), ("I32", "F8_E8M0"), lambda n, k: ([k // 16, n * 2], [k // 32, n]),
    ),
    "trtllm-mxfp4": Target(
        "FLASHINFER_TRTLLM_MXFP4_MXFP8", "--moe-backend flashinfer_trtllm_afp8", "rows/1", "sf128x4/1", "up-gate-trtllm", "trtllm",
        ("U8", "F8_E4M3"), ("U8", "F8_E4M3"), lambda n, k: ([n, k // 2], [n, k // 32]), hook=True,
    ),
    "deepgemm-sm100": Target(
        "DEEPGEMM_MXFP4", "--moe-backend deep_gemm", "rows/1", "deepgemm-sm100-sf/1", "gate-up", "same",
        ("I8", "I32"), ("U8", "I32"), lambda n, k: ([n, k // 2], [k // 128, n]), turned=True, major=10,
    ),
    "kmajor-sf128": Target(
        "CUTLASS_MXFP4_MXFP4", "no option of vLLM 0.32 and 0.33", "rows/1", "sf128x4/1", "gate-up", "same",
        ("I8", "F8_E8M0"), ("U8", "U8"), lambda n, k: ([n, k // 2], [n, k // 32]),
    ),
}  # fmt: skip

# For these the form was not compared with what vLLM's conversion makes: it is a GPU's, or a module's of its own.
UNCHECKED = ("megamoe", "flashinfer-sm90", "flashinfer-sm100", "triton-hopper", "b12x-w4a8", "aiter-mxfp4", "frag-k32")


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
    dtype: str = "bfloat16"  # of activations, without "torch."
    marlin_input: str = ""  # VLLM_MARLIN_INPUT_DTYPE; "" where it is not set
    major: int = 0  # compute capability; 0: there is no GPU, and nothing computes
    e8m0: bool = True  # whether DeepGEMM takes scales as packed E8M0


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer with routed experts, as vLLM has built it."""

    name: str  # of the parameters: model.layers.N.ffn.experts.routed_experts
    block: str  # layers.N, or mtp.N
    backend: str
    experts: list  # ids, in the order in which they lie on this rank
    hidden: int
    inner: int  # of this rank; both as vLLM has rounded them up


def check_version(version):
    if version not in VERSIONS:
        raise Refused(f"this is vLLM {version}; the loader was compared with {', '.join(sorted(VERSIONS))}: take one of those, or a newer loader")


def check_same(said, me):
    """Every worker has opened the same conversion; said has for each its path, the SHA-256 of the manifest, and what was wrong."""
    for i in [me, *range(len(said))]:  # the own fault first
        if said[i][2]:
            raise Refused(said[i][2] if i == me else f"worker {i}: {said[i][2]}")
    for i, (path, sha256, _) in enumerate(said):
        if sha256 != said[me][1]:
            raise Refused(f"worker {me} has {said[me][0]} (manifest {said[me][1][:16]}...), worker {i} has {path} (manifest {sha256[:16]}...), which is another conversion: copy one conversion to all machines")


def check_launch(launch, folder):
    """The set that the ranks lie in, and how the launch shares."""
    check_version(launch.version)
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
    check_kernel(launch, folder, TARGETS[folder.target])


def check_kernel(launch, folder, target):
    """What makes the same kernel read another form, and is not seen in names, types and shapes."""
    if launch.dtype != "bfloat16":
        raise Refused(f"the launch computes in {launch.dtype}, and the form of {folder.target} was compared for bfloat16: launch with --dtype bfloat16")
    if target.backend == "MARLIN" and launch.marlin_input.lower() in ("int8", "fp8"):
        raise Refused(f"VLLM_MARLIN_INPUT_DTYPE is {launch.marlin_input}: Marlin then wants {launch.marlin_input} tiles, and {folder.path} has those for 16-bit activations ({target.weight}): unset it")
    if target.major and launch.major and launch.major != target.major:
        raise Refused(f"the GPU is an SM{launch.major}x, and {folder.path} is of target {folder.target}, which is laid out for an SM{target.major}x")
    if target.backend == "DEEPGEMM_MXFP4" and launch.major and not launch.e8m0:
        raise Refused(f"DeepGEMM is told to take scales as FP32 (VLLM_USE_DEEP_GEMM_E8M0), and {folder.path} has them packed as E8M0 ({target.scale}): set it to 1")


def check_rank(launch, rank):
    """The folder says of itself what the set says of it, and is whole: vLLM asks of no dense weight whether it was loaded."""
    if rank.layers is not None:
        raise Refused(f"{rank.path} was made with --layers {rank.layers}, vLLM wants the whole model: convert without --layers")
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
    held: str  # its type as vLLM has it
    turned: bool


def place_layer(layer, rank):
    """What the four parameters of a layer's experts are made of."""
    target = TARGETS[rank.target]
    if layer.backend != target.backend:
        raise Refused(f"layer {layer.block}: vLLM has chosen the kernel {layer.backend}, {rank.path} is laid out for {target.backend}, which {target.chosen} chooses: launch so, or convert for {layer.backend}")
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
            placed.append(Placed(parameter, file, name, target.held[i], target.turned and kind == "scale"))
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
