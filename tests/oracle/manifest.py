"""Checks a folder that dsv4-convert wrote against its manifest and sidecars, from docs/format.md alone.

    manifest.py OUT [SOURCE]

Re-derives every digest in manifest.json and the sidecars with hashlib and the xxhash package; holds header,
offsets and coverage of each file against its sidecar; with SOURCE also the digests of the source tensors. Prints
what is wrong and ends with 1, or with 0. Not a reader of weights: it knows nothing of transforms.
"""
import hashlib
import json
import os
import struct
import sys

import xxhash

problems = []


def expect(what, got, want):
    if got != want:
        problems.append("%s: %r, expected %r" % (what, got, want))


def unique(pairs):
    keys = [key for key, _ in pairs]
    expect("keys in order, each once", keys, sorted(set(keys)))
    return dict(pairs)


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    return data, json.loads(data, object_pairs_hook=unique)


def xxh(data):
    return xxhash.xxh3_128_hexdigest(data)


def read_header(data):
    """The tensors of a safetensors file and where its payload begins."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return header, 8 + length


def check_tensor(name, tensor, header, payload, source):
    begin, end = tensor["offsets"]
    expect(name + " dtype", header["dtype"], tensor["dtype"])
    expect(name + " shape", header["shape"], tensor["shape"])
    expect(name + " offsets", header["data_offsets"], [begin, end])
    expect(name + " xxh3_128", tensor["xxh3_128"], xxh(payload[begin:end]))
    for origin in tensor["sources"]:
        if source and "xxh3_128" in origin:
            expect(name + " source " + origin["tensor"], origin["xxh3_128"], source[origin["shard"]][origin["tensor"]])
    return [origin["tensor"] for origin in tensor["sources"] if "xxh3_128" in origin]


def check_file(folder, entry, manifest, source):
    """One weight file and its sidecar. Returns the source tensors that it records."""
    with open(os.path.join(folder, entry["name"]), "rb") as file:
        data = file.read()
    raw, side = load(os.path.join(folder, entry["sidecar"]["name"]))
    expect("sidecar name", entry["sidecar"]["name"], entry["name"] + ".manifest.json")
    expect("sidecar bytes", entry["sidecar"]["bytes"], len(raw))
    expect("sidecar sha256", entry["sidecar"]["sha256"], hashlib.sha256(raw).hexdigest())
    for key in ("plan", "target", "tool"):
        expect("sidecar " + key, side[key], manifest[key])
    expect("format", side["format"], "dsv4-sidecar-1")
    header, begin = read_header(data)
    expect("file", side["file"], {
        "bytes": len(data),
        "header_bytes": begin,
        "name": entry["name"],
        "sha256": entry["sha256"],
    })
    size = side["chunk_bytes"]
    expect("chunk_bytes", size, 16 << 20)
    expect("chunks", side["chunks_xxh3_128"], [xxh(data[i : i + size]) for i in range(0, len(data), size)])
    expect("tensors", sorted(t["name"] for t in side["tensors"]), sorted(header))
    recorded, at = [], 0
    for tensor in side["tensors"]:
        expect(tensor["name"] + " follows", tensor["offsets"][0], at)
        at = tensor["offsets"][1]
        recorded += check_tensor(tensor["name"], tensor, header[tensor["name"]], data[begin:], source)
    expect("payload ends", begin + at, len(data))
    return recorded


def source_digests(folder):
    digests = {}
    for shard in os.listdir(folder):
        if shard.endswith(".safetensors"):
            with open(os.path.join(folder, shard), "rb") as file:
                data = file.read()
            header, begin = read_header(data)
            digests[shard] = {
                name: xxh(data[begin + t["data_offsets"][0] : begin + t["data_offsets"][1]]) for name, t in header.items()
            }
    return digests


def check(folder, source_folder):
    source = source_digests(source_folder) if source_folder else None
    raw, manifest = load(os.path.join(folder, "manifest.json"))
    expect("format", manifest["format"], "dsv4-manifest-1")
    expect("xxh3_128 of the manifest", manifest["xxh3_128"], xxh(raw[: raw.rindex(b',\n "xxh3_128"')]))
    names, recorded = {"manifest.json"}, []
    for entry in manifest["files"]:
        names.add(entry["name"])
        with open(os.path.join(folder, entry["name"]), "rb") as file:
            data = file.read()
        expect(entry["name"] + " bytes", entry["bytes"], len(data))
        expect(entry["name"] + " sha256", entry["sha256"], hashlib.sha256(data).hexdigest())
        if "sidecar" in entry:
            names.add(entry["sidecar"]["name"])
            recorded += check_file(folder, entry, manifest, source)
    expect("files of the folder", sorted(os.listdir(folder)), sorted(names))
    expect("source tensors recorded once", len(recorded), len(set(recorded)))
    if source:
        have = {name for shard in source.values() for name in shard}
        expect("source tensors", manifest["source"]["tensors"], len(have))
        expect("recorded but not there", sorted(set(recorded) - have), [])


check(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
