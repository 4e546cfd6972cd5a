"""Tables of Engram as records, and the rows that ranks have of them, a second time.

What it is: a derivation that shares nothing with formats/layout/rowrec.c and formats/model/engram.c. Records are columns put side
by side; primes are found by a sieve and drawn as EngramLayout of sglang 0.5.23 (layers/engram.py) draws them: anew from the
vocabulary's size for each size of n-grams, past those that are taken. What a rank has follows shard_range of that file.
What it is not: able to go back.

	records.py                  writes the lines of tests/vectors/records.txt:
	                            record LAYOUT ROWS CODES SCALES SHA256
	                            mxfp4 ROWS COLUMNS SHA256
	                            share VOCABULARY NGRAMS HEADS TABLE RANKS RANK FIRST END
	records.py --check FILE     compares them with FILE
"""

import hashlib
import sys

import numpy as np

UNITS = {"record": 1, "record512": 512}
SHAPES = [(7, 256, 8), (3, 64, 2), (5, 512, 16), (2, 1000, 24), (1, 480, 32)]
MODELS = [(16000000, 4, 8, 2), (50, 3, 2, 2)]
RANKS = [1, 2, 3, 4, 5, 7, 8, 12, 16, 24]


def record(unit, rows, codes, scales):
    c = (np.arange(rows * codes) * 7 + 3).astype(np.uint8).reshape(rows, codes)
    s = (np.arange(rows * scales) * 5 + 1).astype(np.uint8).reshape(rows, scales)
    fill = -(codes + scales) % unit
    return np.concatenate([c, s, np.zeros((rows, fill), np.uint8)], axis=1)


def e4m3():
    """The value of each byte; those of NaN are not asked for."""
    byte = np.arange(256)
    e, m = byte >> 3 & 15, byte & 7
    v = np.where(e == 0, m * 2.0**-9, (8 + m) * 2.0 ** (e - 10.0))
    return np.where(byte & 128, -v, v)


def mxfp4(rows, cols):
    """Rows rounded to E2M1 with a power of two for 32 columns, by the rule "EVEN" of torchao."""
    c = (np.arange(rows * cols) * 7 + 3).astype(np.uint8).reshape(rows, -1, 32)
    c = np.where(c & 127 == 127, c - 1, c).astype(np.uint8)
    c[:, 0, : rows % 5] = 0x80
    if rows > 3:
        c[3, -1] = 0
    s = (np.arange(rows * cols // 32) * 37 % 200 + 20).reshape(rows, -1, 1)
    v = e4m3()[c] * 2.0 ** (s - 127)
    top = np.abs(v).max(axis=-1, keepdims=True)
    e = np.frexp(top)[1] - 1
    new = np.where(top == 0, s, np.clip(e - 2 + (top >= np.ldexp(1.75, e)) + 127, 0, 254))
    x = np.abs(v) / 2.0 ** (new - 127)
    borders = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5])
    code = np.zeros(x.shape, np.uint8)
    for k, border in enumerate(borders):  # between codes k and k + 1: a tie goes to the even one
        code = np.where((x > border) | ((x == border) & (k % 2 == 1)), k + 1, code)
    code = (code | np.where(np.signbit(v), 8, 0)).astype(np.uint8).reshape(rows, -1)
    packed = code[:, 0::2] | code[:, 1::2] << 4
    return np.concatenate([packed, new.reshape(rows, -1).astype(np.uint8)], axis=1)


def primes_below(n):
    sieve = np.ones(n, bool)
    sieve[:2] = False
    for i in range(2, int(n**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = False
    return np.flatnonzero(sieve).tolist()


def tables(vocabulary, ngrams, heads, layers):
    """For each layer the numbers of rows of its columns."""
    primes = [p for p in primes_below(vocabulary + 20000) if p >= vocabulary]
    taken, out = set(), []
    for _ in range(layers):
        columns = []
        for _ in range(ngrams - 1):
            for _ in range(heads):
                p = next(p for p in primes if p not in taken)
                taken.add(p)
                columns.append(p)
        out.append(columns)
    return out


def share(columns, rank, ranks):
    bounds = np.concatenate([[0], np.cumsum(columns)]).tolist()
    if len(columns) % ranks == 0:
        each = len(columns) // ranks
        return bounds[each * rank], bounds[each * (rank + 1)]
    return bounds[-1] * rank // ranks, bounds[-1] * (rank + 1) // ranks


def lines():
    for name, unit in UNITS.items():
        for rows, codes, scales in SHAPES:
            digest = hashlib.sha256(record(unit, rows, codes, scales).tobytes()).hexdigest()
            yield f"record {name} {rows} {codes} {scales} {digest}"
    for rows, cols in [(7, 256), (40, 64), (3, 512)]:
        yield f"mxfp4 {rows} {cols} {hashlib.sha256(mxfp4(rows, cols).tobytes()).hexdigest()}"
    for vocabulary, ngrams, heads, layers in MODELS:
        for table, columns in enumerate(tables(vocabulary, ngrams, heads, layers)):
            for ranks in RANKS:
                for rank in range(ranks):
                    first, end = share(columns, rank, ranks)
                    yield f"share {vocabulary} {ngrams} {heads} {table} {ranks} {rank} {first} {end}"


def main():
    made = list(lines())
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as file:
            kept = [line.rstrip("\n") for line in file]
        for line in sorted(set(made) ^ set(kept)):
            print("derived:" if line in made else "in the file:", line, file=sys.stderr)
        return 0 if made == kept else 1
    print("\n".join(made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
