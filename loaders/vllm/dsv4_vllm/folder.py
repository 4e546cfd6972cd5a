"""A set of dsv4-convert on disk: its documents, held to their digests from the top down, and its files.

    manifest.json (dsv4-set-1)  --SHA-256-->  rank-R-of-N/manifest.json  --SHA-256-->  sidecars  -->  sizes and headers of files

docs/format.md of dsv4-tools describes all of them. Nothing here needs vLLM or PyTorch. What is wrong is a Refused, whose
text names both sides and what to do.
"""

import hashlib
import json
import os
import re

import xxhash

SET, RANK = "dsv4-set-1", "dsv4-manifest-1"
# Longer than any of a model that fits on a disk: a rank of all of Pro has 7 MB, a header 64 MB at most.
DOCUMENT_MAX, HEADER_MAX = 64 << 20, 256 << 20
ITEM = {"BF16": 2, "F32": 4, "F8_E4M3": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "I32": 4, "I64": 8}


class Refused(RuntimeError):
    """The folder cannot be loaded into this launch."""


def read(path, most=DOCUMENT_MAX):
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; dsv4-verify check says what else is missing") from error
    if len(data) > most:
        raise Refused(f"{path} has more than {most} bytes, and no document of dsv4-convert has so many")
    return data


def document(path, data, form):
    """A JSON document with a whole seal: its last member is the XXH3-128 of all bytes before it."""
    try:
        doc = json.loads(data)
    except ValueError as error:
        raise Refused(f"{path} is no JSON: {error}") from error
    if not isinstance(doc, dict) or doc.get("format") != form:
        said = doc.get("format") if isinstance(doc, dict) else None
        raise Refused(f"{path} has format {said!r}, this loader reads {form!r}: convert again, or take the loader of that version")
    at = data.rfind(b',\n "xxh3_128"')
    if at < 0 or "xxh3_128" not in doc:
        raise Refused(f"{path} is not sealed (it has no xxh3_128): the conversion is not finished, or the file was edited")
    if xxhash.xxh3_128_hexdigest(data[:at]) != doc["xxh3_128"]:
        raise Refused(f"{path} is not as it was written: its seal says {doc['xxh3_128']}; convert again, or copy it again")
    return doc


def read_header(path, size):
    """Length of the header of a file of size bytes, and the header; both are looked at before they are used."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER_MAX, size - 8):
            raise Refused(f"{path} has a header of {length} bytes in a file of {size}: it is no whole safetensors file; copy it again")
        data = file.read(length)
    try:
        header = json.loads(data)
    except ValueError as error:
        raise Refused(f"{path} has a header that is no JSON ({error}): copy it again") from error
    if not isinstance(header, dict):
        raise Refused(f"{path} has a header that is no JSON object: copy it again")
    return length, header


class File:
    """A file of weights: where its tensors lie, by its header."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        try:
            is_size = os.stat(path).st_size
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}; the manifest beside it names it") from error
        if is_size != size:
            raise Refused(f"{path} has {is_size} bytes, its manifest says {size}: it was cut short or replaced; copy it again")
        length, header = read_header(path, size)
        self.metadata = header.pop("__metadata__", {})
        self.begin = 8 + length
        self.tensors = header
        for name, t in header.items():
            begin, end = t["data_offsets"]
            count = 1
            for n in t["shape"]:
                count *= n
            if not 0 <= begin <= end <= size - self.begin or end - begin != count * ITEM.get(t["dtype"], 0):
                raise Refused(f"{path}: tensor {name} ({t['dtype']} {t['shape']}) does not fit its place {begin}..{end}")


class Rank:
    """The folder of one rank and stage."""

    def __init__(self, top, name, entry):
        self.path = os.path.join(top, name)
        if not os.path.isdir(self.path):
            raise Refused(f"{self.path} is not there, and {os.path.join(top, 'manifest.json')} names it: copy the folder of this rank to this machine")
        manifest = os.path.join(self.path, "manifest.json")
        data = read(manifest)
        digest = hashlib.sha256(data).hexdigest()
        if digest != entry["sha256"]:
            raise Refused(f"{manifest} has the SHA-256 {digest[:16]}..., the set's manifest says {entry['sha256'][:16]}...: the folder is of another conversion")
        self.doc = document(manifest, data, RANK)
        self.target = self.doc["target"]
        self.share = self.doc["options"].get("share", "")
        self.layers = self.doc["options"].get("layers")  # what it is a part of a model by; None: it is a whole one
        self.files = [File(os.path.join(self.path, f["name"]), f["bytes"]) for f in self.doc["files"] if "sidecar" in f]
        for f in self.doc["files"]:
            if f["name"] == "config.json":
                config = read(os.path.join(self.path, "config.json"))
                if hashlib.sha256(config).hexdigest() != f["sha256"]:
                    raise Refused(f"{self.path}/config.json was edited since it was written; dsv4-verify check {top} says what else")
                self.config = json.loads(config)
        self.digests = {}  # name of a tensor -> XXH3-128, by the sidecars
        sidecars = [f["sidecar"] for f in self.doc["files"] if "sidecar" in f]
        for file, sidecar in zip(self.files, sidecars):
            self.hold(file, sidecar)

    def hold(self, file, said):
        """The header of a file has the tensors of its sidecar, which is the one that the manifest names."""
        path = os.path.join(self.path, said["name"])
        data = read(path, 1 << 30)
        if hashlib.sha256(data).hexdigest() != said["sha256"]:
            raise Refused(f"{path} is not the one that the manifest beside it names: copy the folder again")
        tensors = json.loads(data)["tensors"]
        want = {t["name"]: {"dtype": t["dtype"], "shape": t["shape"], "data_offsets": t["offsets"]} for t in tensors}
        if want != file.tensors:
            name = sorted(n for n in want.keys() | file.tensors.keys() if want.get(n) != file.tensors.get(n))[0]
            raise Refused(f"{file.path} has tensor {name} as {file.tensors.get(name)}, its sidecar says {want.get(name)}: the header was edited; copy the file again")
        self.digests.update({t["name"]: t["xxh3_128"] for t in tensors})


class Set:
    """The folder above those of the ranks."""

    def __init__(self, path):
        self.path = path
        data = read(os.path.join(path, "manifest.json"))
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.doc = document(os.path.join(path, "manifest.json"), data, SET)
        self.target = self.doc["target"]
        self.options = self.doc["options"]
        self.entries = {f["name"]: f for f in self.doc["folders"]}

    def rank(self, rank, ranks, stage, stages):
        o = self.options
        if ranks != o["ranks"]:
            raise Refused(f"{self.path} is of {o['ranks']} ranks, the launch has a tensor-parallel size of {ranks}: launch with {o['ranks']}, or dsv4-convert reshard it to {ranks} ranks")
        if stages != o["stages"]:
            raise Refused(f"{self.path} is of {o['stages']} pipeline stages, the launch has {stages}: launch with {o['stages']}, or dsv4-convert reshard it")
        name = f"rank-{rank}-of-{ranks}"
        if stages > 1:
            name = f"pp-{stage}-of-{stages}/{name}"
        if name not in self.entries:
            raise Refused(f"{self.path}/manifest.json names no folder {name}, which this worker needs")
        return Rank(self.path, name, self.entries[name])


def find_set(path):
    """The set that the folder of a rank lies in, from the path that was given as the model."""
    at = os.path.abspath(path)
    if not re.fullmatch(r"rank-\d+-of-\d+", os.path.basename(at)):
        raise Refused(f"{path} is no folder rank-R-of-N of a set of dsv4-convert: name one of its ranks as the model, such as SET/rank-0-of-8")
    at = os.path.dirname(at)
    if re.fullmatch(r"pp-\d+-of-\d+", os.path.basename(at)):
        at = os.path.dirname(at)
    return Set(at)
