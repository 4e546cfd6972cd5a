"""st_headers.py vectors [DIR] | diff N [--seed S] [--reader PROG]: safetensors headers from other hands.

vectors   writes DIR/*.safetensors (tests/vectors/st) with the official package, which must be release 0.8.0. The C
          writer must give the same bytes (tests/test_st.c). It has no 6-bit types: its Python side cannot name them.
diff      makes N headers, most of them damaged in one or two places that matter, and compares three readers: ours
          (PROG, built from tests/fuzz/verdict.c), the oracle below, and the official package where it is installed.
          Ours and the oracle must agree on taken or refused and on every tensor; what ours takes, the official one
          must take too, and see the same bytes under the same names.

The oracle was written from the strict profile (reliability.md 1.6), not from the C code: Python's json for the
structure, raw tokens for what json forgets (spelling of integers, escapes, pairs of one name).

Exit status: 0 done and no disagreement, 1 disagreement, 2 it could not run.
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys

CAP = 100_000_000
DIM_MAX = 2**48 - 1
OFFSET_MAX = 2**53 - 1
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


# --- vectors ---

# The package's names of the types that it can write, with the bytes of 8 elements.
WRITABLE = {
    "bool": 8, "float4_e2m1fn_x2": 8, "uint8": 8, "int8": 8, "float8_e5m2": 8, "float8_e4m3fn": 8, "float8_e8m0fnu": 8,
    "float8_e4m3fnuz": 8, "float8_e5m2fnuz": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16, "int32": 32,
    "uint32": 32, "float32": 32, "complex64": 64, "float64": 64, "int64": 64, "uint64": 64,
}  # fmt: skip

ODD_NAMES = [
    'with "quotes"', "back\\slash", '\\"', "/slash/../up", " space ", "tab-free", "%s%n", "'", "{}[]:,", "a", "A",
    "a.b", "a.b.c", "ä", "a\u0308", "€", "😀", "\uffff", "\U0010ffff", "\ud7ff", "\ue000", "\u0080", "\u2028",
    "\ufeff", "漢字", "__metadata", "dtype", "x" * 200,
]  # fmt: skip


def vector_files():
    """Name of the file -> {name of the tensor: (type, shape)}, and metadata or None."""
    each = {f"t{i:02}": (d, [2, 4]) for i, d in enumerate(WRITABLE)}
    turned = {f"t{99 - i:02}": (d, [4, 2]) for i, d in enumerate(WRITABLE)}
    yield "types", each, None
    yield "types-two-each", each | turned, None
    yield "scalars", {f"s{i}": (d, []) for i, d in enumerate(WRITABLE) if d != "float4_e2m1fn_x2"}, None
    empty = {"a": ("float32", [0]), "b": ("int8", [3, 0, 5]), "c": ("bfloat16", [0, 0])}
    yield "empty", empty | {"z": ("uint8", [1])}, None
    yield "no-tensor", {}, None
    yield "names", {n: (random.Random(n).choice(["int8", "uint8"]), [1]) for n in ODD_NAMES}, None
    yield "ranks", {f"r{n}": ("uint8", [1] * n) for n in range(9)}, None
    yield "metadata", {"w": ("float32", [1])}, {"format": "pt"}
    yield "metadata-only", {}, {"k\n\"": "v\u0001\t"}
    yield "experts", {
        f"layers.0.ffn.experts.{e}.w{w}.{part}": ("int8", [2, 16]) if part == "weight" else ("float8_e8m0fnu", [2, 1])
        for e in range(3)
        for w in (1, 2, 3)
        for part in ("weight", "scale")
    }, None
    for n in range(8):  # every amount of padding
        yield f"padding-{n}", {"p" * (n + 1): ("uint8", [n])}, None


def make_vectors(folder):
    import ctypes

    import safetensors

    if safetensors.__version__ != "0.8.0":
        sys.exit(f"st_headers: safetensors {safetensors.__version__}, expected 0.8.0")
    os.makedirs(folder, exist_ok=True)
    buffer = ctypes.create_string_buffer(bytes(i % 251 for i in range(4096)))
    for file, tensors, metadata in vector_files():
        specs = {}
        for name, (dtype, shape) in tensors.items():
            elements = 1
            for d in shape:
                elements *= d
            specs[name] = safetensors.TensorSpec(
                dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=elements * WRITABLE[dtype] // 8
            )
        with open(os.path.join(folder, file + ".safetensors"), "wb") as f:
            f.write(safetensors.serialize(specs, metadata))


# --- the oracle ---


class Refused(Exception):
    pass


def require(condition, why):
    if not condition:
        raise Refused(why)


def refuse(why):
    raise Refused(why)


class Pairs(list):
    """A JSON object with its members in order, repetitions too."""


class Digits(str):
    """An integer as it was spelled."""


DECODER = json.JSONDecoder(
    object_pairs_hook=Pairs,
    parse_int=Digits,
    parse_float=lambda s: refuse("a real number"),
    parse_constant=lambda s: refuse("NaN or infinity"),
    strict=True,
)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+', re.S)


def check_spelling(text):
    """Field names and types are spelled without escapes. text is known to be JSON of the right structure."""
    depth = 0
    entry = None  # raw key of the outermost object
    before = None
    field = None
    tokens = TOKEN.findall(text)
    for i, token in enumerate(tokens):
        if token in "{[":
            depth += 1
        elif token in "}]":
            depth -= 1
        elif token[0] == '"':
            is_key = i + 1 < len(tokens) and tokens[i + 1] == ":"
            if depth == 1 and is_key:
                entry = json.loads(token)
            elif depth == 2 and entry != "__metadata__":
                if is_key:
                    field = token
                require("\\" not in token, f"an escape in {token}")
        before = token
    require(before == "}" and depth == 0 and (field is None or field[0] == '"'), "the structure changed")


def integer(value, most, what):
    require(isinstance(value, Digits), f"{what} is no integer")
    require(re.fullmatch("0|[1-9][0-9]*", value, re.A), f"{what} is spelled {value}")
    require(len(value) <= 20 and int(value) <= most, f"{what} is out of range")
    return int(value)


def strings_are_unicode(value):
    if isinstance(value, list):
        for item in value:
            for part in item if isinstance(item, tuple) else (item,):
                strings_are_unicode(part)
    elif isinstance(value, str):
        value.encode("utf-8")  # half a surrogate pair raises


def read_metadata(value):
    require(isinstance(value, Pairs), "metadata is no object")
    keys = [key for key, _ in value]
    require(len(set(keys)) == len(keys), "a metadata key twice")
    require(all("\0" not in key for key in keys), "a NUL in a metadata key")
    require(all(type(v) is str for _, v in value), "a metadata value that is no string")
    require(all(len(key.encode()) <= 1024 for key in keys), "a long metadata key")


def read_tensor(name, value):
    raw = name.encode()
    require(1 <= len(raw) <= 1024, "length of the name")
    require(not any(b < 0x20 or b == 0x7F for b in raw), "control byte in the name")
    require(isinstance(value, Pairs), "record is no object")
    require(sorted(k for k, _ in value) == ["data_offsets", "dtype", "shape"], "not the three fields")
    fields = dict(value)
    require(type(fields["dtype"]) is str and fields["dtype"] in BITS, "type unknown")
    shape, offsets = fields["shape"], fields["data_offsets"]
    require(type(shape) is list and len(shape) <= 8, "rank")
    require(type(offsets) is list and len(offsets) == 2, "two offsets")
    shape = [integer(d, DIM_MAX, "dimension") for d in shape]
    begin, end = (integer(v, OFFSET_MAX, "offset") for v in offsets)
    require(begin <= end, "offsets reversed")
    bits = BITS[fields["dtype"]]
    for d in shape:
        bits *= d or 1
    require(bits < 2**64, "size wraps")
    bits = 0 if 0 in shape else bits
    require(bits % 8 == 0, "no size")
    require(bits // 8 == end - begin, "size differs")
    return name, fields["dtype"], shape, begin, end


def oracle(file):
    """The tensors in header order, or Refused."""
    require(len(file) >= 8, "short")
    n = int.from_bytes(file[:8], "little")
    require(2 <= n <= CAP and n <= len(file) - 8, "length")
    header, payload = file[8 : 8 + n], len(file) - 8 - n
    require(header[:1] == b"{" and header.rstrip(b" ")[-1:] == b"}", "no object")
    try:
        text = header.decode("utf-8")
        document = DECODER.decode(text)
        strings_are_unicode(document)
    except (UnicodeError, json.JSONDecodeError, RecursionError) as e:
        raise Refused(str(e)) from None
    tensors, names = [], []
    for name, value in document:
        names.append(name)
        if name == "__metadata__":
            read_metadata(value)
        else:
            tensors.append(read_tensor(name, value))
    require(len(set(names)) == len(names), "a name twice")
    check_spelling(text)
    at = 0
    for _, _, _, begin, end in sorted(tensors, key=lambda t: (t[3], t[4])):
        require(begin == at, "gap or overlap")
        at = end
    require(at == payload, "payload")
    return tensors


# --- cases ---

NAMES = ["a", "b", "w.weight", "w.scale", "A", "ä", "😀", "x/y", "__metadata__", "dtype", "0", "a b"]
NUMBERS = [
    "0", "1", "2", "3", "4", "00", "04", "-0", "-1", "+1", "4.0", "4e0", "0.0", "1E1", "4.", ".5", "0x4", "1_0", "null",
    "true", '"4"', "[]", "[4]", "{}", "NaN", "Infinity", "-", "", "٤", "8", "16",
    str(2**31), str(2**32), str(2**47), str(2**48 - 1), str(2**48), str(2**53 - 1), str(2**53), str(2**61),
    str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64), str(2**64 + 4), "1" + "0" * 40,
]  # fmt: skip
SPACES = ["", "", "", "", " ", "\n", "\t", "\r", "  ", "\v", "\f", "\u00a0", "\0"]
VALUES = [
    "null", "true", "1", '""', "[]", "{}", '"U8"', "[4]", '{"a":1}', '["U8",[4],[0,4]]', "[[[[]]]]", "-1.5e3", "nul",
]  # fmt: skip
FRAGMENTS = [
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\u0061", b"\\/",
    b"\\x", b"\xc3\xa4", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\0", b"\x7f", b"\x1f", b" ", b"\n", b"0",
    b"9", b"-", b".", b"e", b"//", b"/**/", b"null", b"\xef\xbb\xbf", b'"a":', b"{}", b"[]",
]  # fmt: skip


def spell(rng, s, odd):
    """A JSON string of s, now and then with escapes where none are needed."""
    out = ""
    for c in s:
        if rng.random() < odd:
            units = c.encode("utf-16-be", "surrogatepass")
            form = rng.choice(["\\u%04x", "\\u%04X"])
            out += "".join(form % int.from_bytes(units[k : k + 2], "big") for k in range(0, len(units), 2))
        else:
            out += json.dumps(c, ensure_ascii=False)[1:-1]
    return f'"{out}"'


def respell(rng, spelled, odd, more=""):
    """The same string in another spelling, with more behind it; what is no string stays as it is."""
    try:
        value = json.loads(spelled)
    except ValueError:
        return spelled
    return spell(rng, value + more, odd) if isinstance(value, str) else spelled


class Case:
    """A header in pieces: entries of [spelled name, fields or text]; fields are [spelled key, spelled value]."""

    def __init__(self, rng):
        self.rng = rng
        self.entries = []
        self.payload = 0
        self.tail = " " * rng.randrange(9)
        self.space = 0.0 if rng.random() < 0.7 else 0.2
        names = rng.sample(NAMES, rng.randrange(0, 5))
        for name in names:
            if name == "__metadata__":
                continue
            dtype = rng.choice(list(BITS))
            while True:
                shape = [rng.choice([0, 1, 1, 2, 3, 4, 4, 8]) for _ in range(rng.randrange(0, 5))]
                bits = BITS[dtype]
                for d in shape:
                    bits *= d
                if bits % 8 == 0 and bits // 8 <= 64:
                    break
                dtype = rng.choice(list(BITS))
            begin, self.payload = self.payload, self.payload + bits // 8
            fields = [
                ['"dtype"', f'"{dtype}"'],
                ['"shape"', [str(d) for d in shape]],
                ['"data_offsets"', [str(begin), str(self.payload)]],
            ]
            if rng.random() < 0.3:
                rng.shuffle(fields)
            self.entries.append([spell(rng, name, 0.05), fields])
        if rng.random() < 0.3:
            chosen = rng.sample([("format", "pt"), ("k", ""), ("", "v")], 2)
            pairs = [[spell(rng, k, 0.1), spell(rng, v, 0.1)] for k, v in chosen]
            self.entries.append(['"__metadata__"', pairs])
        if rng.random() < 0.5:
            rng.shuffle(self.entries)

    # Each takes the case a step away from soundness, or does nothing.

    def field(self, index=None):
        lists = [e for e in self.entries if isinstance(e[1], list) and e[1]]
        if not lists:
            return None
        return self.rng.choice(self.rng.choice(lists)[1])

    def number(self):
        f = self.field()
        if f and isinstance(f[1], list) and f[1]:
            i = self.rng.randrange(len(f[1]))
            old = f[1][i]
            choices = self.rng.choices(NUMBERS, k=4)
            if old.isascii() and old.isdigit():
                choices += [str(int(old) + 1), str(max(int(old) - 1, 0)), old + ".0", "0" + old, "-" + old]
            f[1][i] = self.rng.choice(choices)

    def wraps(self):
        """A shape whose product wraps, or would but for a zero."""
        f = self.field()
        if f and f[0] == '"shape"' and isinstance(f[1], list):
            k = self.rng.choice([16, 24, 31, 32, 40, 47])
            f[1] += [str(2**k), str(2 ** (64 - k)) if k > 16 else str(2**47)]
            if self.rng.random() < 0.5:
                f[1].insert(self.rng.randrange(len(f[1]) + 1), "0")

    def longer(self):
        f = self.field()
        if f and isinstance(f[1], list):
            more = self.rng.choice([["1"], ["1"] * 7, ["0"], ["4"], ["1"] * 9])
            f[1][self.rng.randrange(len(f[1]) + 1) : 0] = more

    def shorter(self):
        f = self.field()
        if f and isinstance(f[1], list) and f[1]:
            f[1].pop(self.rng.randrange(len(f[1])))

    def swap(self):
        f = self.field()
        if f and isinstance(f[1], list):
            f[1].reverse()

    def replace_value(self):
        f = self.field()
        if f:
            types = ['"\\u00558"', '"u8"', '"U8 "', '"F5"', f'"{self.rng.choice(list(BITS))}"']
            f[1] = self.rng.choice(VALUES + types)

    def respell_key(self):
        f = self.field()
        if f:
            nul = f[0][:-1] + '\\u0000"'
            f[0] = self.rng.choice([respell(self.rng, f[0], 0.2), f[0].upper(), '"x"', '""', nul])

    def drop_field(self):
        e = self.rng.choice(self.entries) if self.entries else None
        if e and isinstance(e[1], list) and e[1]:
            e[1].pop(self.rng.randrange(len(e[1])))

    def double_field(self):
        e = self.rng.choice(self.entries) if self.entries else None
        if e and isinstance(e[1], list) and e[1]:
            e[1].insert(self.rng.randrange(len(e[1]) + 1), list(self.rng.choice(e[1])))

    def extra_field(self):
        e = self.rng.choice(self.entries) if self.entries else None
        if e and isinstance(e[1], list):
            e[1].insert(self.rng.randrange(len(e[1]) + 1), ['"extra"', self.rng.choice(VALUES)])

    def rename(self):
        if self.entries:
            e = self.rng.choice(self.entries)
            other = self.rng.choice(self.entries)[0]
            odd = ["", "a\0", "\n", "\x7f", "\u0085", "__metadata__", "../a"]
            odd += ["x" * 1024, "x" * 1025, "ä" * 512, "ä" * 513]
            other = respell(self.rng, other, 0.3)
            broken = self.rng.choice(['"\\ud800"', "a", "1", ""])
            e[0] = self.rng.choice([other, spell(self.rng, self.rng.choice(odd), 0.0), broken])

    def double_entry(self):
        if self.entries:
            name, value = self.rng.choice(self.entries)
            copy = [list(f) for f in value] if isinstance(value, list) else value
            self.entries.insert(self.rng.randrange(len(self.entries) + 1), [name, copy])

    def replace_entry(self):
        if self.entries:
            self.rng.choice(self.entries)[1] = self.rng.choice(VALUES)

    def metadata(self):
        pairs = [
            '{"k":null}', '{"k":1}', '{"k":"v","k":"w"}', '{"k":"v","\\u006b":"w"}', '{"k\\u0000":"v"}',
            '{"k":"\\u0000"}', '{"k":"\\ud800"}', '{"k":["v"]}', '{"k":"v",}',
        ]  # fmt: skip
        value = self.rng.choice(VALUES + pairs)
        self.entries.insert(self.rng.randrange(len(self.entries) + 1), ['"__metadata__"', value])

    def empty_entry(self):
        at = self.rng.randrange(self.payload + 2)
        large = [[str(2**48 - 1), "0"], ["0", str(2**48)], ["0", str(2**64 - 1)]]
        shape = self.rng.choice([["0"], ["0"], ["-0"], ["00"]] + large)
        fields = [['"dtype"', self.rng.choice(['"F32"', '"F32"', '"F\\u00332"'])], ['"shape"', list(shape)]]
        fields.append(['"data_offsets"', [str(at), str(at)]])
        self.entries.append([f'"z{at}"', fields])

    def ranges(self):
        """The lists [begin, end] of the records that still have one, in numbers."""
        lists = [v for e in self.entries if isinstance(e[1], list) for k, v in e[1] if k == '"data_offsets"']
        return [v for v in lists if isinstance(v, list) and len(v) == 2 and all(x.isascii() and x.isdigit() for x in v)]

    def shift(self):
        """A hole, or an overlap, and the end where it belongs."""
        ranges = self.ranges()
        if ranges:
            first = int(self.rng.choice(ranges)[0])
            by = self.rng.choice([1, 2, 8, -1, -2, -8])
            for v in ranges:
                if int(v[0]) >= first and first + by >= 0:
                    v[:] = [str(int(v[0]) + by), str(int(v[1]) + by)]
            self.payload = max(0, self.payload + by)

    def again(self):
        """A record once more, behind all others; under the same name or not."""
        ranges = self.ranges()
        if ranges:
            name, fields = self.rng.choice([e for e in self.entries if isinstance(e[1], list)])
            copy = [[k, list(v) if isinstance(v, list) else v] for k, v in fields]
            for f in copy:
                if f[0] == '"data_offsets"' and any(f[1] == v for v in ranges):
                    size = int(f[1][1]) - int(f[1][0])
                    f[1] = [str(self.payload), str(self.payload + size)]
                    self.payload += min(max(size, 0), 64)
            name = respell(self.rng, name, 0.3, self.rng.choice(["", "", "x"]))
            self.entries.insert(self.rng.randrange(len(self.entries) + 1), [name, copy])

    def resize(self):
        self.payload = max(0, self.payload + self.rng.choice([-1, 1, -4, 4, 64]))

    def end(self):
        self.tail = self.rng.choice(["\n", "\t", "\0", " \r ", "{}", "x", "}", ",", "\u00a0", "//", " " * 100])

    def whitespace(self):
        self.space = 0.3

    STEPS = [
        number, number, number, wraps, longer, shorter, swap, replace_value, respell_key, drop_field, double_field,
        extra_field, rename, rename, shift, shift, again, again, double_entry, replace_entry, metadata, empty_entry,
        empty_entry, resize, end, whitespace,
    ]  # fmt: skip

    def gap(self):
        if self.rng.random() >= self.space:
            return ""
        return self.rng.choice(SPACES) if self.rng.random() < 0.02 else self.rng.choice(SPACES[:9])

    def join(self, items, brackets):
        g = self.gap
        inner = ",".join(g() + item + g() for item in items)
        return brackets[0] + (inner or g()) + brackets[1]

    def value(self, v):
        if isinstance(v, str):
            return v
        if not v or isinstance(v[0], str):
            return self.join(v, "[]")
        return self.join([k + self.gap() + ":" + self.gap() + self.value(x) for k, x in v], "{}")

    def file(self):
        members = [k + self.gap() + ":" + self.gap() + (self.value(v) if v != [] else "{}") for k, v in self.entries]
        header = (self.join(members, "{}") + self.tail).encode("utf-8", "surrogatepass")
        return header, bytes(i % 256 for i in range(self.payload))


def damage(rng, header):
    """A step at the level of bytes."""
    at = rng.randrange(len(header) + 1)
    kind = rng.randrange(6)
    if kind == 0:
        return header[:at] + rng.choice(FRAGMENTS) + header[at:]
    if kind == 1:
        return header[:at] + header[at + 1 :]
    if kind == 2:
        return header[:at] + bytes([rng.randrange(256)]) + header[at + 1 :]
    if kind == 3:
        end = min(len(header), at + rng.randrange(1, 20))
        return header[:end] + header[at:end] + header[end:]
    if kind == 4:
        return header[:at]
    return header[:at] + rng.choice(FRAGMENTS) + header[at + 1 :]


def make_case(rng):
    case = Case(rng)
    for _ in range(rng.choice([0, 0, 1, 1, 1, 1, 2, 2, 3])):
        rng.choice(Case.STEPS)(case)
    header, payload = case.file()
    for _ in range(rng.choice([0, 0, 0, 0, 1, 1, 2])):
        header = damage(rng, header)
    n = len(header)
    if rng.random() < 0.03:
        rest = n + len(payload)
        n = rng.choice([0, 1, n - 1, n + 1, rest, rest + 1, 2**63, 2**64 - 8, 2**64 - 1, CAP, CAP + 1])
    file = max(n, 0).to_bytes(8, "little") + header + payload
    if rng.random() < 0.02:
        file = file[: rng.randrange(len(file) + 1)]
    return file


# --- the comparison ---


def tell(tensors):
    return "".join(
        f" {name.encode().hex()}:{dtype}:{','.join(map(str, shape))}:{begin}:{end}"
        for name, dtype, shape, begin, end in tensors
    )


def ours(reader, cases):
    data = b"".join(len(c).to_bytes(4, "little") + c for c in cases)
    lines = subprocess.run([reader], input=data, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    if len(lines) != len(cases):
        sys.exit(f"st_headers: {reader} answered {len(lines)} of {len(cases)} cases")
    return lines


def official(file, tensors):
    """What the official reader has against a file that ours took; None if nothing."""
    import safetensors

    try:
        found = {name: info for name, info in safetensors.deserialize(file)}
    except safetensors.SafetensorError as e:
        return f"the official reader refuses it: {e}"
    if set(found) != {t[0] for t in tensors}:
        return "the official reader sees other names"
    at = 8 + int.from_bytes(file[:8], "little")
    for name, dtype, shape, begin, end in tensors:
        info = found[name]
        if (info["dtype"], list(info["shape"]), bytes(info["data"])) != (dtype, shape, file[at + begin : at + end]):
            return f"the official reader sees another tensor {name!r}"
    return None


def compare(n, seed, reader):
    rng = random.Random(seed)
    try:
        import safetensors  # noqa: F401

        has_official = True
    except ImportError:
        has_official = False
        print("SKIP the official reader: safetensors is not installed")
    verdicts = collections.Counter()
    wrong = 0
    for start in range(0, n, 10000):
        cases = [make_case(rng) for _ in range(min(10000, n - start))]
        for file, line in zip(cases, ours(reader, cases)):
            verdict, _, rest = line.partition(" ")
            verdicts[rest.split(" ")[0] if verdict == "refuse" else "accepted"] += 1
            try:
                tensors = oracle(file)
                expected, why = "accept" + tell(tensors), None
            except Refused as e:
                expected, why = "refuse", str(e)
            if verdict == "accept" and expected == "refuse":
                trouble = f"ours accepts, the oracle refuses: {why}"
            elif verdict == "refuse" and expected != "refuse":
                trouble = f"ours refuses ({rest}), the oracle accepts"
            elif verdict == "accept" and line != expected:
                trouble = f"other tensors: {line} and {expected}"
            else:
                trouble = official(file, tensors) if verdict == "accept" and has_official else None
            if trouble:
                wrong += 1
                if wrong <= 20:
                    print(f"{trouble}\n  {file!r}")
    for rule, count in verdicts.most_common():
        print(f"{count:8} {rule}")
    print(f"{n} cases, {wrong} disagreements, seed {seed}, official reader {'asked' if has_official else 'not asked'}")
    return 1 if wrong else 0


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    vectors = modes.add_parser("vectors")
    vectors.add_argument("folder", nargs="?", default=os.path.join(here, "..", "vectors", "st"))
    diff = modes.add_parser("diff")
    diff.add_argument("n", type=int)
    diff.add_argument("--seed", type=int, default=1)
    diff.add_argument("--reader", default="build/st-verdict")
    args = parser.parse_args()
    if args.mode == "vectors":
        make_vectors(args.folder)
        return 0
    if not os.access(args.reader, os.X_OK):
        print(f"st_headers: no {args.reader}; tests/fuzz/README.md says how to build it", file=sys.stderr)
        return 2
    return compare(args.n, args.seed, args.reader)


if __name__ == "__main__":
    sys.exit(main())
