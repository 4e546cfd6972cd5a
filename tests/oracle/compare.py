"""compare.py EXPECTED ACTUAL: are the weights of two folders the same, byte for byte?

What it is: a comparison of all model*.safetensors and of model.safetensors.index.json, present in both or in neither.
On a difference it prints the first differing byte and the tensor it lies in, and exits with 1. The layout of a
safetensors file is that of section B.1 of spec/deepseek-v4.md: length, JSON header, payload.
What it is not: a judge of which folder is right, nor a comparison of configs, manifests and other companions.
"""

import glob
import json
import os
import sys

import numpy as np

INDEX = "model.safetensors.index.json"


def weight_files(folder):
    paths = glob.glob(os.path.join(folder, "model*.safetensors"))
    paths += glob.glob(os.path.join(folder, INDEX))
    return sorted(os.path.basename(path) for path in paths)


def place_of(offset, content):
    """What lies at an offset of a safetensors file."""
    header_end = 8 + int.from_bytes(content[:8], "little")
    if offset < 8:
        return "in the header's length"
    if offset < header_end:
        return "in the header: ..." + content[max(8, offset - 60) : offset + 60].decode("utf-8", "replace")
    for name, entry in json.loads(content[8:header_end]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if begin <= offset - header_end < end:
            within = offset - header_end - begin
            return f"in byte {within} of {name} ({entry['dtype']} {entry['shape']})"
    return "in no tensor"


def first_difference(expected, actual):
    """Offset of the first byte that differs, or None."""
    length = min(len(expected), len(actual))
    a = np.frombuffer(expected, dtype=np.uint8, count=length)
    b = np.frombuffer(actual, dtype=np.uint8, count=length)
    differing = np.flatnonzero(a != b)
    if differing.size > 0:
        return int(differing[0])
    return length if len(expected) != len(actual) else None


def compare_file(expected_path, actual_path):
    """A line that tells the difference, or None."""
    with open(expected_path, "rb") as file:
        expected = file.read()
    with open(actual_path, "rb") as file:
        actual = file.read()
    offset = first_difference(expected, actual)
    if offset is None:
        return None
    line = f"{os.path.basename(actual_path)}: first difference at byte {offset}"
    if len(expected) != len(actual):
        line += f" (sizes {len(expected)} expected, {len(actual)} actual)"
    if actual_path.endswith(".safetensors"):
        line += ", " + place_of(offset, expected)
    else:
        line += ", expected " + repr(expected[offset : offset + 60]) + ", actual " + repr(actual[offset : offset + 60])
    return line


def compare(expected, actual):
    files = weight_files(expected)
    others = weight_files(actual)
    if not files:
        return [f"{expected} holds no weights"]
    if files != others:
        return [f"the files differ: expected {files}, actual {others}"]
    lines = [compare_file(os.path.join(expected, name), os.path.join(actual, name)) for name in files]
    return [line for line in lines if line is not None]


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: compare.py EXPECTED ACTUAL")
    lines = compare(sys.argv[1], sys.argv[2])
    for line in lines:
        print(line)
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
