"""Twin of the reader of archives: archive.py ARCHIVE FOLDER; archive.py measure TOOL WORK

Restores every file of an archive by docs/archive.md alone, with the zstandard package for frames, xxhash for sums and
numpy for filtered scales, and holds it to the folder that was packed, byte for byte. measure prints, for scales of
several distributions, what the filter makes of them beside the entropy of the published coder (a base for each row, the
offsets coded by themselves): a new archive of them is made with the tool that is named.
"""
import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import xxhash
import zstandard

SUFFIX = {"none": ".zst", "e8m0": ".zst-e8m0"}
COUNTS = {"frames": 0, "filtered": 0}


def plane(form, size):
    """The bytes of a plane of scales from its form."""
    length, row = struct.unpack_from("<II", form)
    assert length == size and row >= 8
    rows = -(-size // row)
    base = np.frombuffer(form, np.uint8, rows, 8).astype(np.int64)
    klass = np.frombuffer(form, np.uint8, rows, 8 + rows)
    assert (klass < 8).all() and (base <= 253).all()
    widths = np.full(rows, row)
    widths[-1] = size - row * (rows - 1)
    at = 8 + 2 * rows
    where, codes = [], []
    for k in range(8):
        mine = [np.arange(i * row, i * row + widths[i]) for i in np.flatnonzero(klass == k)]
        if not mine:
            continue
        place = np.concatenate(mine)
        packed = np.frombuffer(form, np.uint8, -(-len(place) // 4), at)
        at += len(packed)
        where.append(place)
        codes.append(((packed[:, None] >> np.array([0, 2, 4, 6])) & 3).ravel()[: len(place)])
    place, code = np.concatenate(where), np.concatenate(codes)
    value = base[place // row] + code
    assert len(form) - at == (code == 3).sum()
    value[code == 3] = np.frombuffer(form, np.uint8, offset=at)
    out = np.empty(size, np.uint8)
    out[place] = value
    return out.tobytes()


def frame(data, size, name):
    COUNTS["frames"] += 1
    assert data[:4] == bytes.fromhex("28b52ffd")
    at = 5 if data[4] & 0x20 else 6
    if data[4] & 3:
        assert name == "e8m0" and data[4] & 3 == 3 and data[at : at + 4] == b"E8M0"
        COUNTS["filtered"] += 1
        data = data[:4] + bytes([data[4] & 0xFC]) + data[5:at] + data[at + 4 :]
        return plane(zstandard.ZstdDecompressor().decompress(data), size)
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)


def restore(path, name):
    data = path.read_bytes()
    n, sums, magic = struct.unpack("<IBI", data[-9:])
    assert magic == 0x8F92EAB1 and sums == 0x80
    table = len(data) - 9 - 12 * n - 8
    assert struct.unpack_from("<II", data, table) == (0x184D2A5E, 12 * n + 9)
    at, out = 0, []
    for i in range(n):
        packed, size, check = struct.unpack_from("<III", data, table + 8 + 12 * i)
        out.append(frame(data[at : at + packed], size, name))
        assert len(out[-1]) == size and xxhash.xxh64_intdigest(out[-1]) & 0xFFFFFFFF == check, (path, i)
        at += packed
    assert at == table
    return b"".join(out)


def hold(archive, folder):
    archive, folder = Path(archive), Path(folder)
    listing = json.loads((archive / "dsv4-archive.json").read_text())
    filters = [f.get("filter") for f in listing["files"]]
    assert listing["format"] == ("dsv4-archive-2" if "e8m0" in filters else "dsv4-archive-1")
    assert (None in filters) == (listing["format"] == "dsv4-archive-1")
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert there == {f["name"] for f in listing["files"]}
    for f in listing["files"]:
        name = f.get("filter", "none")
        path = archive / (f["name"] + SUFFIX[name])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == f["archive"]["sha256"]
        data = restore(path, name)
        assert data == (folder / f["name"]).read_bytes(), f["name"]
        assert len(data) == f["bytes"] and hashlib.sha256(data).hexdigest() == f["sha256"]
    print(f"{len(there)} files, {COUNTS['frames']} frames, {COUNTS['filtered']} of them filtered")


def entropy(values):
    p = np.unique(values, return_counts=True)[1] / values.size
    return float(-(p * np.log2(p)).sum())


def scales(rng, rows, columns, draw, spread, across):
    """E8M0 bytes of rows x columns weights: the exponent of the largest of 32 over 6, rounded up."""
    x = draw(rng, (rows, columns)) * 0.02
    x *= spread(rng, rows)[:, None] * np.exp(across * rng.standard_normal(columns))[None, :]
    top = np.abs(x).reshape(rows, columns // 32, 32).max(2)
    return (np.ceil(np.log2(top / 6)) + 127).astype(np.uint8)


DRAWS = {
    "Gaussian": lambda r, s: r.standard_normal(s),
    "Student's t, 5": lambda r, s: r.standard_t(5, s),
    "Laplace": lambda r, s: r.laplace(size=s),
}
SPREADS = {
    "rows alike": lambda r, n: np.ones(n),
    "rows 0.5 to 1.5": lambda r, n: r.uniform(0.5, 1.5, n),
    "rows lognormal 0.5": lambda r, n: np.exp(0.5 * r.standard_normal(n)),
}


def measure(tool, work):
    work = Path(work)
    rng = np.random.default_rng(1)
    planes = {}
    for draw in DRAWS:
        for spread in SPREADS:
            for across in (0, 0.2, 0.4):
                planes[f"{draw}; {spread}; columns {across}"] = scales(
                    rng, 2048, 4096, DRAWS[draw], SPREADS[spread], across
                )
    header, data = {}, b""
    for i, s in enumerate(planes.values()):
        header[f"p{chr(97 + i // 26)}{chr(97 + i % 26)}.scale"] = {
            "dtype": "F8_E8M0", "shape": list(s.shape), "data_offsets": [len(data), len(data) + s.size],
        }
        data += s.tobytes()
    head = json.dumps(header).encode()
    (work / "in").mkdir()
    (work / "in/x.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)
    shown = {}
    for name in ("none", "e8m0"):
        said = subprocess.run(
            [tool, "pack", work / "in", "-o", work / name, "--filter", name, "--json"], check=True, capture_output=True
        )
        shown[name] = {r["role"]: r["packed"] / r["bytes"] for r in json.loads(said.stdout)["roles"]}
    print("published coder's entropy, zstd alone, filter: % of the scales")
    for key, (label, s) in zip(header, planes.items()):
        low = s.min(1).astype(int)
        coder = (entropy(s - low[:, None]) + 8 / s.shape[1]) / 8
        print(f"{100 * coder:5.1f} {100 * shown['none'][key]:5.1f} {100 * shown['e8m0'][key]:5.1f}  {label}")
        assert shown["e8m0"][key] <= 1.02 * coder, label


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        measure(*sys.argv[2:])
    else:
        hold(*sys.argv[1:])
