"""Prints formats/tokenizer/unicode_ranges.inc: the code points of the general categories L, M, N, P and S of Unicode 16.0,
which is what the library of Hugging Face's tokenizers 0.23 knows (tests/oracle/tokens.py compares the two).

    pip install unicodedata2==16.0.0
    unicode_table.py >formats/tokenizer/unicode_ranges.inc
"""

import sys

import unicodedata2

CLASSES = "LMNPS"
LONGEST = 0xFFFF  # code points of a range: its length has 16 bits
PER_LINE = 6


def ranges():
    at, end = 0, 0x110000
    while at < end:
        kind = unicodedata2.category(chr(at))[0]
        first = at
        while at < end and unicodedata2.category(chr(at))[0] == kind and at - first < LONGEST:
            at += 1
        if kind in CLASSES:
            yield first, at - first, kind


def main():
    assert unicodedata2.unidata_version == "16.0.0", unicodedata2.unidata_version
    items = [f"{{ 0x{a:x}, {n}, UNICODE_{k} }}," for a, n, k in ranges()]
    print("/* Unicode " + unicodedata2.unidata_version + ": first code point, number of code points, class; ascending.")
    print(" * tests/oracle/unicode_table.py prints it. */")
    for i in range(0, len(items), PER_LINE):
        print("\t" + " ".join(items[i : i + PER_LINE]))
    return 0


sys.exit(main())
