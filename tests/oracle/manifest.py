"""Checks a folder that dsv4-convert wrote against its manifest and sidecars, from docs/format.md alone.

    manifest.py OUT [SOURCE]

Re-derives every digest in manifest.json and the sidecars with hashlib and the xxhash package; holds header,
offsets and coverage of each file against its sidecar; with SOURCE also the digests of the source tensors. Prints
what is wrong and ends with 1, or with 0. Of weights it reads what engines get and what casts to FP8 drop: with
SOURCE every matrix laid out (of big ones a thousand) is laid out again by layouts.py, and every cast is taken back,
from docs/format.md section 4. OUT may be a set (section 7).
"""
import hashlib
import json
import os
import random
import struct
import sys

import numpy as np
import xxhash
import zstandard

import layouts

problems = []
counted = {"matrices": 0, "casts": 0}


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
            expect(name + " source " + origin["tensor"], origin["xxh3_128"], xxh(source[origin["tensor"]]))
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
    dropped = b""
    if "dropped" in side:
        with open(os.path.join(folder, entry["name"] + ".dropped"), "rb") as file:
            dropped = file.read()
        expect("dropped", side["dropped"], {"bytes": len(dropped), "sha256": hashlib.sha256(dropped).hexdigest()})
    size = side["chunk_bytes"]
    expect("chunk_bytes", size, 16 << 20)
    expect("chunks", side["chunks_xxh3_128"], [xxh(data[i : i + size]) for i in range(0, len(data), size)])
    expect("tensors", sorted(t["name"] for t in side["tensors"]), sorted(header))
    recorded, at = [], 0
    for tensor in side["tensors"]:
        expect(tensor["name"] + " follows", tensor["offsets"][0], at)
        at = tensor["offsets"][1]
        recorded += check_tensor(tensor["name"], tensor, header[tensor["name"]], data[begin:], source)
        if source and tensor["transform"] in ("join", "i64-to-i32"):
            check_join(tensor, data[begin + tensor["offsets"][0] : begin + tensor["offsets"][1]], source)
        elif source and "layout" in tensor:
            check_layout(tensor, data[begin + tensor["offsets"][0] : begin + tensor["offsets"][1]], source)
        elif source and "restore" in manifest and tensor["transform"] == "fp4-to-fp8" and len(tensor["sources"]) == 2:
            check_cast(tensor, data[begin:], side["tensors"], dropped, source)
    expect("payload ends", begin + at, len(data))
    return recorded


class Source(dict):
    """The bytes of every tensor of a checkpoint; shape tells [rows, bytes of a row]."""

    def __init__(self, folder):
        self.shape = {}
        for shard in os.listdir(folder):
            if not shard.endswith(".safetensors"):
                continue
            with open(os.path.join(folder, shard), "rb") as file:
                data = file.read()
            header, begin = read_header(data)
            for name, t in header.items():
                self[name] = data[begin + t["data_offsets"][0] : begin + t["data_offsets"][1]]
                self.shape[name] = t["shape"]

    def matrix(self, name):
        return np.frombuffer(self[name], np.uint8).reshape(self.shape[name][0], -1)


def check_join(tensor, payload, source):
    """Sources below one another, of each the same rows and columns; or ids of 32 bits."""
    made = b""
    for origin in tensor["sources"]:
        x = source.matrix(origin["tensor"])
        x = x[slice(*tensor.get("rows", [None]))][:, slice(*tensor.get("columns", [None]))]
        x = np.ascontiguousarray(x).tobytes()
        if "xxh3_128_of_part" in origin:
            expect(tensor["name"] + " part", origin["xxh3_128_of_part"], xxh(x))
        made += x
    if tensor["transform"] == "i64-to-i32":
        made = np.frombuffer(made, np.int64).astype(np.int32).tobytes()
    if made != payload:
        problems.append("%s: not its sources below one another" % tensor["name"])
    counted["matrices"] += 1


def check_layout(tensor, payload, source):
    """Experts one after the other, each of one or two parts, rows in the order of a row map, then laid out."""
    layout, parts = tensor["layout"], tensor["layout"]["parts"]
    experts = len(tensor["sources"]) // parts
    each = len(payload) // experts
    for e in experts > 1000 and random.sample(range(experts), 1000) or range(experts):
        halves = []
        for origin in tensor["sources"][e * parts : (e + 1) * parts]:
            x = source.matrix(origin["tensor"])
            x = x[slice(*tensor.get("rows", [None]))][:, slice(*tensor.get("columns", [None]))]
            halves.append(x)
            if "xxh3_128_of_part" in origin:
                expect(tensor["name"] + " part", origin["xxh3_128_of_part"], xxh(np.ascontiguousarray(x).tobytes()))
        x = np.concatenate(halves)
        x = np.ascontiguousarray(layouts.ROWMAPS[layout["rows"]](x)).reshape(x.shape)
        x = np.ascontiguousarray(layouts.LAYOUTS[layout["name"]][0](x)).tobytes()
        if x != payload[e * each : (e + 1) * each]:
            problems.append("%s, expert %d of the rank: not what %s makes of it" % (tensor["name"], e, layout["name"]))
        counted["matrices"] += 1


def check_cast(tensor, payload, tensors, dropped, source):
    """The FP4 codes and scales that a weight in FP8 was cast from, by section 4 of docs/format.md."""
    rows, k = tensor["shape"]
    weight, scale = (origin["tensor"] for origin in tensor["sources"])
    partner = next(t for t in tensors if t["name"] == tensor["name"].replace(".weight", ".scale"))
    fp8 = np.frombuffer(payload[slice(*tensor["offsets"])], np.uint8).reshape(rows, k // 32, 32)
    t = np.frombuffer(payload[slice(*partner["offsets"])], np.uint8)
    if partner["dtype"] == "F32":  # powers of two: the exponent byte is what E8M0 has
        t = (t.view(np.uint32) >> 23).astype(np.uint8)
    t = t.reshape(rows // 128, k // 128).astype(int)
    t = t.repeat(128, 0).repeat(4, 1)
    kept = b"\0" * (rows * k // 32 + rows * k // 8)
    if "dropped" in tensor:
        kept = zstandard.ZstdDecompressor().decompress(dropped[slice(*tensor["dropped"])], len(kept))
    residue = np.frombuffer(kept[: rows * k // 32], np.uint8).reshape(rows, -1).astype(int)
    bits = np.unpackbits(np.frombuffer(kept[rows * k // 32 :], np.uint8), bitorder="little")
    m, e = (fp8 & 127).astype(int), 0
    value = np.where(m < 8, m * 2.0**-9, (8 + m % 8) * 2.0 ** (m // 8 - 10))
    top = value.max(2)
    e = np.frexp(top)[1] - 1
    s = np.where(top > 0, t + e - 2 + residue, (t + 6 + residue) % 256)
    table = {0: 0, 0.5: 1, 1: 2, 1.5: 3, 2: 4, 3: 5, 4: 6, 6: 7}
    of = (value * 2.0 ** (t - np.where(top > 0, s, t))[:, :, None]).ravel()
    code = np.array([table[v] for v in of], np.uint8) | (fp8.ravel() >> 7 << 3)
    zero = code & 7 == 0
    code[zero] = 8 * bits[: zero.sum()]
    code = code.reshape(-1, 2)
    expect(weight + " from " + tensor["name"], xxh((code[:, 0] | code[:, 1] << 4).tobytes()), xxh(source[weight]))
    expect(scale + " from " + tensor["name"], xxh(s.astype(np.uint8).tobytes()), xxh(source[scale]))
    counted["casts"] += 1


def check_sealed(raw, document):
    expect("xxh3_128 of the manifest", document["xxh3_128"], xxh(raw[: raw.rindex(b',\n "xxh3_128"')]))


def check(folder, source):
    """A folder with its manifest, of which the bytes are returned. source: a Source, or None."""
    raw, manifest = load(os.path.join(folder, "manifest.json"))
    expect("format", manifest["format"], "dsv4-manifest-1")
    check_sealed(raw, manifest)
    names, recorded = {"manifest.json"}, []
    if "restore" in manifest:
        names.add(manifest["restore"]["name"])
        below = check(os.path.join(folder, "source"), source)
        got = {"bytes": len(below), "name": "source", "sha256": hashlib.sha256(below).hexdigest()}
        expect("restore", manifest["restore"], got)
    for entry in manifest["files"]:
        names.add(entry["name"])
        with open(os.path.join(folder, entry["name"]), "rb") as file:
            data = file.read()
        expect(entry["name"] + " bytes", entry["bytes"], len(data))
        expect(entry["name"] + " sha256", entry["sha256"], hashlib.sha256(data).hexdigest())
        if "sidecar" in entry:
            names.add(entry["sidecar"]["name"])
            if "dropped" in load(os.path.join(folder, entry["sidecar"]["name"]))[1]:
                names.add(entry["name"] + ".dropped")
            recorded += check_file(folder, entry, manifest, source)
    expect("files of the folder", sorted(os.listdir(folder)), sorted(names))
    expect("source tensors recorded once", len(recorded), len(set(recorded)))
    if source:
        expect("source tensors", manifest["source"]["tensors"], len(source))
        expect("recorded but not there", sorted(set(recorded) - set(source)), [])
    return raw


def check_set(folder, source):
    raw, manifest = load(os.path.join(folder, "manifest.json"))
    check_sealed(raw, manifest)
    for entry in manifest["folders"]:
        below = check(os.path.join(folder, entry["name"]), source)
        got = {"bytes": len(below), "name": entry["name"], "sha256": hashlib.sha256(below).hexdigest()}
        expect("folder", {key: entry[key] for key in got}, got)
    top = {"manifest.json"} | {entry["name"].split("/")[0] for entry in manifest["folders"]}
    expect("what lies in the set", sorted(os.listdir(folder)), sorted(top))


origin = Source(sys.argv[2]) if len(sys.argv) > 2 else None
whole = json.load(open(os.path.join(sys.argv[1], "manifest.json")))["format"]
{"dsv4-manifest-1": check, "dsv4-set-1": check_set}[whole](sys.argv[1], origin)
for problem in problems:
    print(problem)
print("%d matrices laid out again, %d casts taken back" % (counted["matrices"], counted["casts"]))
sys.exit(1 if problems else 0)
