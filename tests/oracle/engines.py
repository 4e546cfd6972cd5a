"""Runs what engines publish in Python for laying out weights, and compares the bytes with tests/packtile.c.

What it is: a list of comparisons. Of a wheel one file is read, of the file the functions and constants that are named,
and these are run unchanged on the CPU: importing the packages would load compiled parts and look for a GPU. Input is
random; scale bytes are 1 to 247, which every engine takes as they are.
What it is not: a copy of any of that code, or a test of a kernel.

	engines.py PACKTILE WHEELS      WHEELS/PACKAGE==VERSION is a wheel
"""

import __future__
import abc
import ast
import dataclasses
import functools
import glob
import math
import os
import re
import subprocess
import sys
import types
import typing
import zipfile

import numpy as np
import torch

PACKTILE, WHEELS = sys.argv[1:3]
count = {"ok": 0, "FAIL": 0, "SKIP": 0}
compared = set()


class Gone(Exception):
    """The package is not what it was, or not there."""


def report(what, text):
    count[what] += 1
    print(f"{what:4} {text}")


# ---------------------------------------------------------------- what the engines publish


def versions(package):
    found = sorted(os.path.basename(p) for p in glob.glob(f"{WHEELS}/{package}==*"))
    return found or [package]


@functools.cache
def source(wheel, path):
    if not os.path.exists(f"{WHEELS}/{wheel}"):
        raise Gone("not fetched")
    with zipfile.ZipFile(f"{WHEELS}/{wheel}") as z:
        if path not in z.namelist():
            raise Gone(f"there is no {path}")
        return z.read(path).decode()


def names_of(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    return []


def take(wheel, path, names, **given):
    """The top-level functions, classes and constants of these names (a string of words), as a namespace."""
    wanted = names.split()
    tree = ast.parse(source(wheel, path))
    body = [node for node in tree.body if set(names_of(node)) & set(wanted)]
    missing = set(wanted) - {name for node in body for name in names_of(node)}
    if missing:
        raise Gone(f"{path} has no {', '.join(sorted(missing))}")
    space = {"torch": torch, "np": np, "math": math, "functools": functools, **vars(typing), **given}
    code = compile(ast.Module(body, []), path, "exec", flags=__future__.annotations.compiler_flag)
    exec(code, space)
    return type("Taken", (), {name: staticmethod(space[name]) for name in wanted})


# ---------------------------------------------------------------- ours


def ours(x, layout, rowmap="same"):
    compared.add(layout)
    run = subprocess.run(
        [PACKTILE, layout, rowmap, str(x.shape[0]), str(x.shape[1])],
        input=x.tobytes(), capture_output=True, check=False,
    )
    if run.returncode:
        raise SystemExit(run.stderr.decode())
    return np.frombuffer(run.stdout, np.uint8)


def raw(tensor):
    return np.frombuffer(tensor.contiguous().view(torch.uint8).numpy().tobytes(), np.uint8)


rng = np.random.default_rng(1)
W = {size: rng.integers(0, 256, (size[0], size[1] // 2), np.uint8) for size in [(256, 256), (512, 384), (512, 512)]}
V = {size: rng.integers(0, 256, size, np.uint8) for size in [(256, 256), (512, 384)]}
S = {
    size: rng.integers(1, 248, (size[0], size[1] // 32), np.uint8)
    for size in [(256, 256), (512, 384), (512, 512), (200, 320), (130, 256)]
}
EVEN, TALL, WIDE, ODD, SHORT = (256, 256), (512, 384), (512, 512), (200, 320), (130, 256)


def tensor(x):
    return torch.from_numpy(x.copy())


def words(x):
    return tensor(x).view(torch.int32)


def codes(x):
    return np.stack([x & 15, x >> 4], axis=-1).reshape(x.shape[0], -1)


def halves_exchanged(x):
    half = x.shape[0] // 2
    return np.concatenate([x[half:], x[:half]])


# ---------------------------------------------------------------- comparisons

COMPARISONS = []


def comparison(package, what, covers):
    """A function of a wheel that yields pairs (bytes of the engine, bytes of ours)."""

    def add(function):
        COMPARISONS.append((package, what, covers, function))
        return function

    return add


FI16 = "flashinfer/fused_moe/cute_dsl/blackwell_sm12x/moe_w4a16_prepare.py"
FI_ROWS = "get_shuffle_matrix_a_row_indices get_shuffle_block_size srcToDstBlk16RowMap srcToDstBlk32RowMap"


@comparison("flashinfer-python", "_repack_4bit_no_perm", "marlin4-a16")
def _(wheel):
    f = take(wheel, FI16, "_repack_4bit_no_perm _PACK_FACTOR_4BIT _PACKED_TILE_SIZE _PACKED_TILE_N_SIZE")
    for n, k in (EVEN, TALL):
        got = f._repack_4bit_no_perm(words(W[n, k]).T.contiguous(), size_k=k, size_n=n)
        yield raw(got), ours(W[n, k], "marlin4-a16")


@comparison("flashinfer-python", "_pack_e8m0_k32_scales", "marlin-sf-a16")
def _(wheel):
    f = take(wheel, FI16, "_pack_e8m0_k32_scales _permute_packed_scales _scale_perms _E8M0_K32_BF16_MAX_SCALE_BYTE")
    for n, k in (EVEN, TALL):
        got = f._pack_e8m0_k32_scales(tensor(S[n, k])[None], size_k=k, size_n=n)
        yield raw(got), ours(S[n, k], "marlin-sf-a16")


@comparison("flashinfer-python", "get_shuffle_matrix_a_row_indices", "rows (trtllm)")
def _(wheel):
    f = take(wheel, "flashinfer/utils.py", FI_ROWS)
    for size in (EVEN, TALL):
        x = tensor(W[size])
        yield raw(x[f.get_shuffle_matrix_a_row_indices(x, 128)]), ours(W[size], "rows", "trtllm")


@comparison("flashinfer-python", "get_reorder_rows_for_gated_act_gemm_row_indices", "rows (gate-up-by-1)")
def _(wheel):
    f = take(wheel, "flashinfer/fused_moe/core.py", "get_reorder_rows_for_gated_act_gemm_row_indices")
    for size in (EVEN, TALL):
        x = tensor(W[size])
        yield raw(x[f.get_reorder_rows_for_gated_act_gemm_row_indices(x)]), ours(W[size], "rows", "gate-up-by-1")


@comparison("flashinfer-python", "the two together, w3 first", "rows (up-gate-trtllm)")
def _(wheel):
    f = take(wheel, "flashinfer/utils.py", FI_ROWS)
    g = take(wheel, "flashinfer/fused_moe/core.py", "get_reorder_rows_for_gated_act_gemm_row_indices")
    for size in (EVEN, TALL):
        x = tensor(halves_exchanged(W[size]))
        x = x[g.get_reorder_rows_for_gated_act_gemm_row_indices(x)]
        yield raw(x[f.get_shuffle_matrix_a_row_indices(x, 128)]), ours(W[size], "rows", "up-gate-trtllm")


@comparison("flashinfer-python", "convert_to_block_layout", "block-major-k")
def _(wheel):
    f = take(wheel, "flashinfer/fused_moe/core.py", "convert_to_block_layout")
    for size in (EVEN, TALL):
        yield raw(f.convert_to_block_layout(tensor(V[size]), 128)), ours(V[size], "block-major-k")


@comparison("flashinfer-python", "interleave_moe_scales_for_sm90_mixed_gemm", "flashinfer-sm90-sf")
def _(wheel):
    f = take(
        wheel, "flashinfer/fused_moe/prepare.py", "interleave_moe_scales_for_sm90_mixed_gemm",
        flashinfer_api=lambda **_: lambda function: function, sm90_mixed_gemm_scale_interleave_trace=None,
    )
    for size in (EVEN, TALL):
        got = f.interleave_moe_scales_for_sm90_mixed_gemm(tensor(S[size])[None])
        yield raw(got), ours(S[size], "flashinfer-sm90-sf")


@comparison("torchao", "to_blocked", "sf128x4")
def _(wheel):
    f = take(wheel, "torchao/prototype/mx_formats/utils.py", "to_blocked ceil_div", Tensor=torch.Tensor)
    for size in (EVEN, TALL, ODD, SHORT):
        yield raw(f.to_blocked(tensor(S[size]))), ours(S[size], "sf128x4")


@comparison("amd-aiter", "shuffle_weight", "aiter-16x16")
def _(wheel):
    f = take(wheel, "aiter/ops/shuffle.py", "shuffle_weight")
    for size in (EVEN, TALL):
        yield raw(f.shuffle_weight(tensor(W[size]))), ours(W[size], "aiter-16x16")


@comparison("amd-aiter", "shuffle_weight_a16w4", "aiter-16x16 (gate-up-by-16, same)")
def _(wheel):
    f = take(wheel, "aiter/ops/shuffle.py", "shuffle_weight_a16w4")
    for size in (EVEN, TALL):
        x = tensor(W[size])[None]
        yield raw(f.shuffle_weight_a16w4(x, 16, True)), ours(W[size], "aiter-16x16", "gate-up-by-16")
        yield raw(f.shuffle_weight_a16w4(x, 16, False)), ours(W[size], "aiter-16x16")


@comparison("amd-aiter", "shuffle_scale_a16w4", "aiter-sf (gate-up-by-16, same)")
def _(wheel):
    f = take(wheel, "aiter/ops/shuffle.py", "shuffle_scale_a16w4")
    for size in (EVEN, WIDE):
        x = tensor(S[size])
        yield raw(f.shuffle_scale_a16w4(x, 1, True)), ours(S[size], "aiter-sf", "gate-up-by-16")
        yield raw(f.shuffle_scale_a16w4(x, 1, False)), ours(S[size], "aiter-sf")


@comparison("amd-aiter", "e8m0_shuffle", "aiter-sf")
def _(wheel):
    f = take(wheel, "aiter/utility/fp4_utils.py", "e8m0_shuffle")
    for size in (EVEN, TALL, WIDE, ODD):
        want = ours(S[size], "aiter-sf")
        # What is padded the engine does not write; no scale given is 0.
        yield raw(f.e8m0_shuffle(tensor(S[size])).flatten()) * (want != 0), want


V_UTILS = "vllm/model_executor/layers/quantization/utils/"


def vllm_marlin(wheel, x, bits, a8):
    pack = take(wheel, V_UTILS + "quant_utils.py", "get_pack_factor")
    tile = take(wheel, V_UTILS + "marlin_utils.py", "GPTQ_MARLIN_TILE").GPTQ_MARLIN_TILE
    f = take(
        wheel, V_UTILS + "marlin_utils_test.py", "get_weight_perm marlin_weights marlin_permute_weights",
        get_pack_factor=pack.get_pack_factor, GPTQ_MARLIN_TILE=tile,
    )
    element = tensor(codes(x) if bits == 4 else x).to(torch.int32).T.contiguous()
    k, n = element.shape
    return raw(f.marlin_weights(element, k, n, bits, f.get_weight_perm(bits, a8), a8))


def vllm_weights(layout, inputs, bits, a8):
    @comparison("vllm", f"marlin_weights, {bits} bits, {'8' if a8 else '16'}-bit activations", layout)
    def _(wheel):
        for size in (EVEN, TALL):
            yield vllm_marlin(wheel, inputs[size], bits, a8), ours(inputs[size], layout)


vllm_weights("marlin4-a16", W, 4, False)
vllm_weights("marlin4-a8", W, 4, True)
vllm_weights("marlin8-a16", V, 8, False)
vllm_weights("marlin8-a8", V, 8, True)


def vllm_scales(wheel, s, a8):
    f = take(wheel, V_UTILS + "marlin_utils.py", "marlin_permute_scales get_scale_perms")
    columns, n = s.shape
    return f.marlin_permute_scales(s, columns * 32, n, 32, a8)


def as_bf16(s):
    return tensor(s).T.contiguous().view(torch.float8_e8m0fnu).to(torch.bfloat16)


@comparison("vllm", "marlin_permute_scales, mxfp4_marlin_process_scales", "marlin-sf-a16")
def _(wheel):
    f = take(wheel, V_UTILS + "marlin_utils_fp4.py", "mxfp4_marlin_process_scales")
    for size in (EVEN, TALL):
        got = f.mxfp4_marlin_process_scales(vllm_scales(wheel, as_bf16(S[size]), False))
        yield raw(got), ours(S[size], "marlin-sf-a16")


@comparison("vllm", "marlin_permute_scales, mxfp4_marlin_process_scales, FP8", "marlin-sf-a8 (plus 6)")
def _(wheel):
    f = take(wheel, V_UTILS + "marlin_utils_fp4.py", "mxfp4_marlin_process_scales")
    for size in (EVEN, TALL):
        got = f.mxfp4_marlin_process_scales(vllm_scales(wheel, as_bf16(S[size]), True), torch.float8_e4m3fn)
        yield raw(got), ours(S[size], "marlin-sf-a8") + 6


@comparison("vllm", "marlin_permute_scales of 16 bits", "marlin-sf-fp8")
def _(wheel):
    for size in (EVEN, TALL):
        x = V[size]
        got = vllm_scales(wheel, tensor(x).view(torch.int16).T.contiguous(), False)
        yield raw(got), ours(x, "marlin-sf-fp8")


TK = "vllm/third_party/triton_kernels/tensor_details/layout_details/"


def triton_kernels(wheel, file, names):
    base = take(wheel, TK + "base.py", "Layout", ABC=abc.ABC, abstractmethod=abc.abstractmethod)
    return take(wheel, TK + file, names, Layout=base.Layout)


@comparison("vllm", "triton_kernels HopperMXValueLayout", "triton-hopper")
def _(wheel):
    f = triton_kernels(
        wheel, "hopper_value.py",
        "HopperMXValueLayout _pack_bits _compress_fp4 _compress_fourth right_shift_unsigned",
    )
    for size in (EVEN, TALL):
        x = tensor(W[size]).T
        got = f.HopperMXValueLayout(x.shape, 0).swizzle_data(x)
        yield raw(got.T), ours(W[size], "triton-hopper")


def hopper_scale(warps):
    layout = f"triton-hopper-sf-w{warps}"

    @comparison("vllm", f"triton_kernels HopperMXScaleLayout, {warps} warps", layout)
    def _(wheel):
        f = triton_kernels(wheel, "hopper_scale.py", "HopperMXScaleLayout")
        for size in (EVEN, TALL, ODD, SHORT):
            x = tensor(S[size]).T
            got = f.HopperMXScaleLayout(x.shape, 0, warps).swizzle_data(x)
            yield raw(got.T), ours(S[size], layout)


hopper_scale(4)
hopper_scale(8)


@comparison("vllm", "triton_kernels BlackwellMXScaleLayout", "sf128x4")
def _(wheel):
    f = triton_kernels(wheel, "blackwell_scale.py", "BlackwellMXScaleLayout")
    for size in (EVEN, WIDE, SHORT):
        x = tensor(S[size]).T
        yield raw(f.BlackwellMXScaleLayout(x.shape).swizzle_data(x)), ours(S[size], "sf128x4")


@comparison("vllm", "triton_kernels CDNA4MXScaleLayout", "aiter-sf")
def _(wheel):
    f = triton_kernels(wheel, "cdna4_scale.py", "CDNA4MXScaleLayout NON_K_PRESHUFFLE_BLOCK_SIZE")
    for size in (EVEN, WIDE):
        x = tensor(S[size]).T
        yield raw(f.CDNA4MXScaleLayout(x.shape).swizzle_data(x).T), ours(S[size], "aiter-sf")


NEWER_TK = "triton_kernels/tensor_details/layout_details/"


def newer_triton_kernels(wheel, file, names, **given):
    given.update(ABC=abc.ABC, abstractmethod=abc.abstractmethod, dataclass=dataclasses.dataclass)
    base = take(wheel, NEWER_TK + "base.py", "LayoutTransformation", **given)
    return take(wheel, NEWER_TK + file, names, LayoutTransformation=base.LayoutTransformation, **given)


def by_columns(s):
    """Words of four scales with strides 1 and N, as DeepGEMM has them; its memory is words by columns."""
    return words(s).T.contiguous().T


@comparison("vllm", "DeepGEMM transform_weights_for_mega_moe",
            "rows (gate-up-by-8), sf128x4-kmajor (gate-up-by-8, same)")
def _(wheel):
    f = take(
        wheel, "vllm/third_party/deep_gemm/mega/__init__.py",
        "transform_weights_for_mega_moe _interleave_weights _transpose_sf_for_utccp _validate_activation "
        "_SUPPORTED_ACTIVATIONS",
    )
    for size in (EVEN, TALL):
        w, s = tensor(W[size]), by_columns(S[size])
        (w13, s13), (w2, s2) = f.transform_weights_for_mega_moe((w, s), (w, s))
        yield raw(w13), ours(W[size], "rows", "gate-up-by-8")
        yield raw(s13.T), ours(S[size], "sf128x4-kmajor", "gate-up-by-8")
        yield raw(w2), ours(W[size], "rows")
        yield raw(s2.T), ours(S[size], "sf128x4-kmajor")


@comparison("tokenspeed-triton-kernels", "HopperMXValueLayoutTransformation", "triton-hopper")
def _(wheel):
    f = newer_triton_kernels(
        wheel, "hopper_value.py",
        "HopperMXValueLayoutTransformation _pack_bits _compress_fp4 _compress_fourth right_shift_unsigned",
        repack=take(wheel, NEWER_TK + "torch_utils.py", "repack").repack,
    )
    for n, k in (EVEN, TALL):
        code = codes(W[n, k]).T  # this version packs along N and packs anew
        x = tensor(code[:, ::2] | code[:, 1::2] << 4)
        got = f.HopperMXValueLayoutTransformation([k, n], True, -2, 3).swizzle_data(x)
        yield raw(got.T), ours(W[n, k], "triton-hopper")


def newer_hopper_scale(warps):
    layout = f"triton-hopper-sf-w{warps}"

    @comparison("tokenspeed-triton-kernels", f"HopperMXScaleLayoutTransformation, {warps} warps", layout)
    def _(wheel):
        f = newer_triton_kernels(wheel, "hopper_scale.py", "HopperMXScaleLayoutTransformation")
        for size in (EVEN, TALL, ODD, SHORT):
            x = tensor(S[size]).T
            got = f.HopperMXScaleLayoutTransformation(list(x.shape), False, -2, warps).swizzle_data(x)
            yield raw(got.T), ours(S[size], layout)


newer_hopper_scale(4)
newer_hopper_scale(8)


@comparison("sglang", "_get_mn_major_tma_aligned_packed_ue8m0_tensor_torch_impl", "deepgemm-sm100-sf")
def _(wheel):
    f = take(
        wheel, "sglang/srt/layers/quantization/fp8_utils.py",
        "_get_mn_major_tma_aligned_packed_ue8m0_tensor_torch_impl",
    )
    # Two helpers of a compiled package, which it imports: up to a multiple, and to 16 bytes.
    utils = types.ModuleType("deep_gemm.utils")
    utils.align = lambda n, unit: -(-n // unit) * unit
    utils.get_tma_aligned_size = lambda n, size: utils.align(n, 16 // size)
    sys.modules.update({"deep_gemm": types.ModuleType("deep_gemm"), "deep_gemm.utils": utils})
    for size in (EVEN, TALL, ODD, SHORT):
        value = torch.from_numpy((S[size].astype(np.int32) << 23).view(np.float32))
        got = f._get_mn_major_tma_aligned_packed_ue8m0_tensor_torch_impl(value)
        # Of several matrices, so that the plug-in for vLLM can make a view of a file's bytes: loaders/vllm.
        three = f._get_mn_major_tma_aligned_packed_ue8m0_tensor_torch_impl(value[None].repeat(2, 1, 1))
        rows = -(-size[0] // 4) * 4
        assert three.dtype == torch.int32 and three.stride() == (rows * three.shape[2], 1, rows), three.stride()
        # Rows that pad are no part of the tensor, but of its memory.
        memory = got.as_strided((got.shape[1], got.stride(1)), (got.stride(1), 1))
        yield raw(memory), ours(S[size], "deepgemm-sm100-sf")


@comparison("sglang", "_interleave_mega_moe_l1_weights, _transpose_mega_moe_sf_for_utccp",
            "rows (gate-up-by-8), sf128x4-kmajor (gate-up-by-8, same)")
def _(wheel):
    f = take(
        wheel, "sglang/srt/layers/moe/mega_moe.py",
        "_interleave_mega_moe_l1_weights _interleave_mega_moe_gate_up _transpose_mega_moe_sf_for_utccp",
    )
    for size in (EVEN, TALL):
        w, s = tensor(W[size])[None], by_columns(S[size])[None]
        w13, s13 = f._interleave_mega_moe_l1_weights((w, s), "fp8xfp4")
        yield raw(w13), ours(W[size], "rows", "gate-up-by-8")
        yield raw(f._transpose_mega_moe_sf_for_utccp(s13)[0].T), ours(S[size], "sf128x4-kmajor", "gate-up-by-8")
        yield raw(f._transpose_mega_moe_sf_for_utccp(s)[0].T), ours(S[size], "sf128x4-kmajor")


def humming(wheel):
    device = type("Device", (), {"is_ppu": False})
    return take(wheel, "humming/transform.py", "transform_humming_weight_scale", current_device=device)


@comparison("humming-kernels", "transform_humming_weight_scale", "humming-sf, marlin-sf-a8")
def _(wheel):
    f = humming(wheel)
    for size in (EVEN, TALL):
        s = tensor(S[size])
        yield raw(f.transform_humming_weight_scale(s)), ours(S[size], "humming-sf")
        yield raw(f.transform_humming_weight_scale(s, to_apply_on_c=True)), ours(S[size], "marlin-sf-a8")


@comparison("humming-kernels", "transform_humming_weight_scale, is_umma, is_mxmma", "sf128x4-kmajor, deepgemm-sm100-sf")
def _(wheel):
    f = humming(wheel)
    for size in (EVEN, TALL):
        s = tensor(S[size])
        yield raw(f.transform_humming_weight_scale(s, is_umma=True)), ours(S[size], "sf128x4-kmajor")
        yield raw(f.transform_humming_weight_scale(s, is_mxmma=True)), ours(S[size], "deepgemm-sm100-sf")


@comparison("b12x", "repack_w4a8_weights", "b12x-w4a8, b12x-w4a8-sf, frag-k32-256, frag-k32-sf-256")
def _(wheel):
    f = take(wheel, "b12x/moe/_shared/kernels/w4a8/weights.py", "repack_w4a8_weights _TILE_N _TILE_K")
    for size in (EVEN, TALL):
        w, s = f.repack_w4a8_weights(tensor(W[size])[None], tensor(S[size])[None])
        for name in ("b12x-w4a8", "frag-k32-256"):
            yield raw(w), ours(W[size], name)
        for name in ("b12x-w4a8-sf", "frag-k32-sf-256"):
            yield raw(s), ours(S[size], name)


@comparison("gguf", "MXFP4.dequantize_blocks", "ggml-mxfp4 (values)")
def _(wheel):
    class Quant:
        block_size = 32

        def __init_subclass__(cls, qtype):
            pass

    kinds = type("Kinds", (), {"MXFP4": 39})
    f = take(wheel, "gguf/quants.py", "MXFP4", __Quant=Quant, GGMLQuantizationType=kinds)
    value = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    value = np.concatenate([value, -value])
    for size in (EVEN, TALL):
        code = codes(W[size])
        code[code == 8] = 0  # -0, which ggml reads as 0
        byte = code[:, ::2] | code[:, 1::2] << 4
        scale = S[size]
        blocks = np.concatenate([scale[:, :, None], byte.reshape(*scale.shape, 16)], axis=2)
        got = ours(blocks.reshape(size[0], -1).astype(np.uint8), "ggml-mxfp4")
        want = np.ldexp(value[code].reshape(*scale.shape, 32), scale[:, :, None].astype(int) - 127).reshape(-1, 32)
        yield f.MXFP4.dequantize_blocks(got.reshape(-1, 17).copy()), want


# ---------------------------------------------------------------- running them

# Layouts that no package prepares without a GPU.
NOT_COMPARED = {
    "deepgemm-sm90-sf": "rows, as they are",
    "flashinfer-sm90": "its package interleaves and twists on the GPU",
    "flashinfer-sm90-int4": "its package interleaves on the GPU",
    "tensorrt-sm90-sf": "of versions that are gone",
    "cutlass-w4a8": "packed by a CUDA kernel",
    "sm110-mma": "of no package",
}


def compare(wheel, what, covers, function):
    name = f"{wheel.replace('==', ' ')} {what}: {covers}"
    pairs = 0
    try:
        for engine, own in function(wheel):
            pairs += 1
            if engine.shape != own.shape:
                return report("FAIL", f"{name}: {engine.size} elements, ours {own.size}")
            wrong = np.flatnonzero((engine != own).ravel())
            if wrong.size:
                at = wrong[0]
                return report(
                    "FAIL", f"{name}: {wrong.size} of {own.size} differ, first at {at}: "
                    f"{engine.ravel()[at]}, ours {own.ravel()[at]}",
                )
    except Gone as gone:
        return report("SKIP", f"{name}: {gone}")
    except Exception as error:  # its code does not take what it took
        return report("SKIP", f"{name}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    return report("ok" if pairs else "FAIL", name)


def main():
    for package, what, covers, function in COMPARISONS:
        for wheel in versions(package):
            compare(wheel, what, covers, function)
    with open("formats/layout/tile.c", encoding="utf-8") as file:
        table = re.findall(r'^\t\{ "([a-z0-9-]+)", .*TILE_(EXECUTED|EMULATED|READ|OURS),', file.read(), re.M)
    for layout, status in table:
        if layout not in compared and status != "OURS":
            report("SKIP", f"{layout}: {NOT_COMPARED.get(layout, 'nothing to compare with')}")
    print(f"{count['ok']} passed, {count['FAIL']} failed, {count['SKIP']} skipped")
    return 1 if count["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
