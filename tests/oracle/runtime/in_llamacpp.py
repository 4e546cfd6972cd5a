"""Logits of a GGUF as llama.cpp computes them, on a CPU (jobs: judge.py; FOLDER is the GGUF).

The package xllamacpp is one shared object that exports llama.cpp's C functions; its own Python part gives no logits, so
they are called through ctypes. The structs below are those of the release that packages.txt pins; their default values
are looked at, so that another release is refused and not misread.
"""

import ctypes
import glob
import importlib.util
import os
import sys

import judge
import numpy as np

pointer, u32, i32, f32, flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int32, ctypes.c_float, ctypes.c_bool
F32, THREADS = 0, 2  # ggml's type of the caches; threads of a machine for tests


def fields(text):
    """Members of a struct, "type name name; type name"."""
    kinds = {"p": pointer, "u": u32, "i": i32, "f": f32, "b": flag, "z": ctypes.c_size_t}
    return [(name, kinds[part.split()[0]]) for part in text.split(";") for name in part.split()[1:]]


class ModelParams(ctypes.Structure):
    _fields_ = fields(
        "p devices buffer_types; i gpu_layers split_mode load_mode lazy_mode main_gpu;"
        "p tensor_split progress progress_data overrides;"
        "b vocab_only check_tensors extra_buffers no_host no_alloc load_mtp"
    )


class ContextParams(ctypes.Structure):
    _fields_ = fields(
        "u n_ctx n_batch n_ubatch n_seq_max n_rs_seq n_outputs_max n_outputs_max_per_seq; i threads threads_batch;"
        "i context_type rope_scaling pooling attention flash_attention;"
        "f rope_base rope_scale yarn_ext yarn_attn yarn_beta_fast yarn_beta_slow; u yarn_original; f defrag;"
        "p eval eval_data; i type_k type_v; p abort abort_data;"
        "b embeddings offload no_perf op_offload swa_full kv_unified; p samplers; z n_samplers; p other"
    )


class Batch(ctypes.Structure):
    _fields_ = [
        ("n", i32), ("token", ctypes.POINTER(i32)), ("embeddings", pointer), ("position", ctypes.POINTER(i32)),
        ("n_sequences", ctypes.POINTER(i32)), ("sequence", ctypes.POINTER(ctypes.POINTER(i32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    ]  # fmt: skip


LOG = ctypes.CFUNCTYPE(None, i32, ctypes.c_char_p, pointer)
ERROR = 4  # its level of log


@LOG
def log(level, text, _):
    if level == ERROR:
        sys.stderr.write(text.decode(errors="replace"))


class Llama:
    def __init__(self):
        place = os.path.dirname(importlib.util.find_spec("xllamacpp").origin)
        self.library = ctypes.CDLL(glob.glob(os.path.join(place, "xllamacpp*.so"))[0], mode=ctypes.RTLD_GLOBAL)
        self.call("llama_log_set", None, log, None)
        self.call("ggml_backend_load_all", None)
        self.call("llama_backend_init", None)
        self.model_params = self.call("llama_model_default_params", ModelParams)
        self.context_params = self.call("llama_context_default_params", ContextParams)
        m, c = self.model_params, self.context_params
        seen = (m.gpu_layers, m.split_mode, m.check_tensors, m.extra_buffers)
        seen += (c.n_ctx, c.n_batch, c.n_ubatch, c.n_seq_max, c.type_k, c.type_v, c.yarn_beta_fast)
        if seen != (-1, 1, False, True, 512, 2048, 512, 1, 1, 1, -1.0):
            raise ValueError(f"another llama.cpp than the pinned one: {seen}")

    def call(self, name, result, *arguments):
        function = getattr(self.library, name)
        function.restype = result
        return function(*arguments)

    def logits(self, path, ids):
        params = self.model_params
        params.gpu_layers, params.check_tensors = 0, True
        model = pointer(self.call("llama_model_load_from_file", pointer, path.encode(), params))
        if not model:
            raise ValueError(f"llama.cpp does not load {path}")
        params = self.context_params
        params.n_ctx, params.n_batch, params.n_ubatch = 1024, 512, 512
        params.threads = params.threads_batch = THREADS
        params.type_k = params.type_v = F32
        params.flash_attention, params.no_perf = 0, True
        context = pointer(self.call("llama_init_from_model", pointer, model, params))
        if not context or self.call("llama_decode", i32, context, self.batch(ids)):
            raise ValueError(f"llama.cpp does not run {path}")
        size = self.call("llama_vocab_n_tokens", i32, pointer(self.call("llama_model_get_vocab", pointer, model)))
        found = self.call("llama_get_logits", ctypes.POINTER(f32), context)
        found = np.ctypeslib.as_array(found, (len(ids), size)).copy()
        self.call("llama_free", None, context)
        self.call("llama_model_free", None, model)
        return found

    def loads(self, path):
        params = self.model_params
        params.gpu_layers, params.check_tensors, params.load_mtp = 0, True, True
        model = pointer(self.call("llama_model_load_from_file", pointer, path.encode(), params))
        if model:
            self.call("llama_model_free", None, model)
        return bool(model)

    def batch(self, ids):
        batch = self.call("llama_batch_init", Batch, i32(len(ids)), i32(0), i32(1))
        batch.n = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.position[i], batch.n_sequences[i], batch.wanted[i] = int(token), i, 1, 1
            batch.sequence[i][0] = 0
        return batch


if __name__ == "__main__":
    llama = Llama()
    judge.run(llama.logits, loads=llama.loads)
