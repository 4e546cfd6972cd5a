"""What mlx-vlm makes of a small V4.1 (models/deepseek_v41, on a CPU), of the download and of other forms of it.

    SOURCE [FORM FOLDER LIMIT PACKED]...

Of each FOLDER it must hold the numbers that it holds of SOURCE, matrix by matrix, of which at least PACKED stay packed; its
logits must be within LIMIT of those of SOURCE (0: equal). Last, a folder of which one scale is changed must be another model.
SOURCE is a checkpoint of our own, whose tokenizer says nothing: one is made, since the hashes of Engram depend on it.

There is no forward pass of V4.1 in dsv4-verify to hold this to: what is compared is one engine with itself.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_vlm.utils import load_model
from tokenizers import Tokenizer, models

IDS = np.array([[(i * i * 31 + i * 7) % 500 for i in range(40)]], dtype=np.int32)


def put_tokenizer(folder):
    """As many tokens as the vocabulary has, of which engram_compressed_vocab_size are left without regard to case."""
    config = json.loads((folder / "config.json").read_text())["text_config"]
    left, size = config["engram_compressed_vocab_size"], config["vocab_size"]
    vocabulary = {(f"w{i}" if i < left else f"W{i - left}"): i for i in range(size)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="w0")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def load(folder, work):
    copy = pathlib.Path(tempfile.mkdtemp(dir=work), "model")
    shutil.copytree(folder, copy)
    for sidecar in copy.glob("*.manifest.json"):
        sidecar.unlink()
    put_tokenizer(copy)
    model = load_model(copy)
    return model[0] if isinstance(model, tuple) else model


def numbers(model):
    """All parameters, packed ones multiplied out; how many are packed."""
    held = dict(tree_flatten(model.parameters()))
    found, packed = {}, 0
    for name, value in held.items():
        scales = held.get(name[: -len("weight")] + "scales") if name.endswith(".weight") else None
        if scales is not None:
            bits = value.shape[-1] // scales.shape[-1]
            value = mx.dequantize(value, scales, group_size=32, bits=bits, mode=f"mxfp{bits}", dtype=mx.bfloat16)
            packed += 1
        if not name.endswith(".scales"):
            found[name] = value.astype(mx.float32)
    return found, packed


def logits(model):
    # BF16 weights are widened, so that nothing between them is rounded; packed ones stay as they lie.
    model.update(tree_map(lambda x: x.astype(mx.float32) if x.dtype == mx.bfloat16 else x, model.parameters()))
    language = model.language_model
    return np.array(language(mx.array(IDS), cache=language.make_cache()).logits.astype(mx.float32))[0]


def change(folder, to):
    """The folder with one scale twice what it was."""
    shutil.copytree(folder, to)
    shard = sorted(to.glob("*.safetensors"))[1]
    data = bytearray(shard.read_bytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    entry = header["layers.0.attn.wo_b.scale"]
    at = 8 + int.from_bytes(data[:8], "little") + entry["data_offsets"][0]
    data[at] += 1
    shard.write_bytes(data)
    return to


def main():
    source, jobs = sys.argv[1], sys.argv[2:]
    failed = False
    with tempfile.TemporaryDirectory() as work:
        model = load(source, work)
        held, _ = numbers(model)
        want = logits(model)
        other = logits(load(change(pathlib.Path(source), pathlib.Path(work, "changed")), work))
        rows = [("a scale that is changed shows", not np.array_equal(other, want), "")]
        for form, folder, limit, least in zip(*[iter(jobs)] * 4):
            model = load(folder, work)
            found, packed = numbers(model)
            differ = [n for n in set(held) | set(found) if n not in held or n not in found or not mx.array_equal(held[n], found[n])]
            away = np.linalg.norm(logits(model) - want) / np.linalg.norm(want)
            good = not differ and packed >= int(least) and away <= float(limit)
            rows.append((form, good, f"{packed} packed, {len(differ)} differ, relative L2 {away:.1e}"))
    for form, good, figures in rows:
        failed = failed or not good
        print(f"{'ok  ' if good else 'FAIL'} MLX, V4.1, {form}: {figures}")
    sys.exit(failed)


main()
