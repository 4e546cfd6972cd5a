"""Every layout and every order of rows, a second time: by cutting the axes of a matrix apart and exchanging them.

What it is: a derivation that shares nothing with formats/layout/tile_at.h. There a layout is a function that tells where an
element goes; here it is a reshape of the whole matrix and a transpose. It follows sections 2 to 12 of spec/layouts.md,
and at N = K = 256 must give the digests of its section 11, which stand below.
What it is not: fast, or able to go back.

	layouts.py                  writes the lines of tests/vectors/layouts.txt:  LAYOUT ROWMAP INPUT N K SHA256
	layouts.py --check FILE     compares them with FILE
"""

import hashlib
import sys

import numpy as np

# ---------------------------------------------------------------- moving axes


def cut(matrix, rows, cols):
    """The rows of a matrix cut into axes of these sizes, its columns into those; -1 is what is left."""
    axes = []
    for length, sizes in zip(matrix.shape, (rows, cols)):
        known = int(np.prod([s for s in sizes if s > 0]))
        axes += [length // known if s < 0 else s for s in sizes]
    return matrix.reshape(axes)


def move(matrix, source, result):
    """Axes by name: "n a4 g8 | k t4" says how rows and columns are cut (the first of each is what is left), "k n g a t"
    in which order they come out."""
    names, sizes = [], []
    for side in source.split("|"):
        words = side.split()
        names += [word[0] for word in words]
        sizes.append([-1] + [int(word[1:]) for word in words[1:]])
    order = result.split()
    assert sorted(order) == sorted(names)
    return cut(matrix, *sizes).transpose([names.index(name) for name in order]).ravel()


def padded(matrix, rows, cols):
    """Rounded up to multiples, with zeros."""
    return np.pad(matrix, [(0, -matrix.shape[0] % rows), (0, -matrix.shape[1] % cols)])


def codes(matrix):
    """The two codes of each byte, the low one first."""
    return np.stack([matrix & 15, matrix >> 4], axis=-1).reshape(matrix.shape[0], -1)


def joined(flat):
    """Codes to bytes."""
    pair = flat.reshape(-1, 2)
    return pair[:, 0] | pair[:, 1] << 4


def words(matrix, size):
    """A row as little-endian words of so many bytes."""
    return np.ascontiguousarray(matrix).view(f"<u{size}")


# ---------------------------------------------------------------- layouts


def rows(x):
    return x


# Section 2. k of a 16 x 64 tile is u (half), t (pair), p (parity); n is w (sixteen), h (half), g.


def marlin4_a16(x):
    return joined(move(codes(x), "N w4 h2 g8 | K u2 t4 p2", "K N g t w p h u"))


def marlin8_a16(x):
    return move(x, "N w4 h2 g8 | K u2 t4 p2", "K N g t w h p u")


def marlin4_a8(x):
    return joined(move(codes(x), "N w4 g8 | K u2 t4 i4", "K N g t w i u"))


def marlin8_a8(x):
    return move(x, "N w4 g8 | K u2 t4 i4", "K N g t w u i")


def marlin_sf_a16(s):
    """Every run of 64 rows as 8 x 8, transposed; then of each four the middle two exchanged."""
    return humming_sf(s).reshape(-1, 2, 2).transpose(0, 2, 1)


def humming_sf(s):
    return move(s, "N a8 g8 | K", "K N g a")


def marlin_sf_a8(s):
    return move(s, "N w4 j4 p2 | K", "K N j w p")


def marlin_sf_fp8(s):
    return humming_sf(words(s, 2))


# Section 3: an atom is i (32 rows) of j (four rows 32 apart) of c (four columns).


def sf128x4(s):
    return move(padded(s, 128, 4), "N j4 i32 | K c4", "N K i j c")


def sf128x4_kmajor(s):
    return move(padded(s, 128, 4), "N j4 i32 | K c4", "K N i j c")


# Sections 4.4, 5.2 (the older form) and 6.2.


def deepgemm_sf(s):
    return move(padded(s, 4, 4), "N | K c4", "K N c")


def block_major_k(x):
    return move(x, "N | K b128", "K N b")


# Sections 5 and 7: bytes (n, b), (n + 8, b), (n, b + 4), (n + 8, b + 4) make a word: y and h are innermost.


def twist(flat):
    """Section 5.1, step B, bit by bit: where each bit of a little-endian word goes."""
    to = [0] * 32
    for byte in range(4):
        for high in range(2):
            at = 8 * byte + 4 * high
            bits = [6, 7, 8, 15] if byte < 3 else [13, 10, 11, 14]
            for i, bit in enumerate(bits):
                to[at + i] = bit - (3 * byte if byte < 3 else 0) + 16 * high
    assert sorted(to) == list(range(32))
    bit = np.unpackbits(np.ascontiguousarray(flat).reshape(-1, 4), axis=1, bitorder="little")
    out = np.empty_like(bit)
    out[:, to] = bit
    return np.packbits(out, axis=1, bitorder="little")


def triton_hopper(x):
    return twist(move(x, "N h2 j4 p2 | B x4 y2 z4", "N j B p z x y h"))


def triton_hopper_sf(s, warps):
    return move(padded(s, 32 * warps, 2), f"N a2 w{warps} h2 g8 | K p2", "N w K a g p h")


def flashinfer_sm90(x):
    return twist(move(x, "N h2 g8 | B o2 x2 y2 z4", "N x g B o z y h"))


def flashinfer_sm90_sf(s):
    return move(s, "N j4 i16 | K c4", "N K i j c")


def flashinfer_sm90_int4(x):
    return joined(move(codes(x), "N h2 g8 | K o2 x2 z4 c4", "N x g K o z h c"))


def cutlass_w4a8(x):
    return joined(move(codes(x), "N h2 g8 | K u2 t4 i4", "K N g t u h i"))


# Section 8.


def aiter_16x16(x):
    return move(x, "N i16 | B j16", "N B i j")


def aiter_sf(s):
    return move(padded(s, 256, 8), "N h2 i16 | K a2 c4", "N K c i a h")


# Sections 9 and 12.2: words of eight codes move whole; a lane (g, t) has the four rows b.


def fragments(x, a):
    return move(words(x, 4), f"N a{a} b4 g8 | K q4 t4", "N K q a g t b")


def fragments_sf(s, size):
    return move(s, f"N r{size} | K c4", "N K r c")


def b12x_w4a8(x):
    return fragments(padded(x, 256, 64), 8)


def b12x_w4a8_sf(s):
    return fragments_sf(padded(s, 256, 4), 256)


def frag_fp8(x):
    return move(x, "N f8 h2 g8 | K q4 t4 i8", "N K q f g t h i")


def sm110_mma(x):
    return joined(move(codes(x), "N g8 | K s8 u2 t4 p2", "N K g t s u p"))


# Section 10: given blocks of a scale and 32 codes as they come, codes j and j + 16 share a byte.


def ggml_mxfp4(x):
    block = x.reshape(x.shape[0], -1, 17)
    code = codes(block[:, :, 1:].reshape(-1, 16))
    return np.concatenate([block[:, :, :1].reshape(-1, 1), code[:, :16] | code[:, 16:] << 4], axis=1)


# Name: (derivation, input, whether it pads).
LAYOUTS = {
    "rows": (rows, "W", False),
    "marlin4-a16": (marlin4_a16, "W", False),
    "marlin4-a8": (marlin4_a8, "W", False),
    "marlin8-a16": (marlin8_a16, "V", False),
    "marlin8-a8": (marlin8_a8, "V", False),
    "marlin-sf-a16": (marlin_sf_a16, "S", False),
    "marlin-sf-a8": (marlin_sf_a8, "S", False),
    "marlin-sf-fp8": (marlin_sf_fp8, "V", False),
    "humming-sf": (humming_sf, "S", False),
    "sf128x4": (sf128x4, "S", True),
    "sf128x4-kmajor": (sf128x4_kmajor, "S", True),
    "deepgemm-sm100-sf": (deepgemm_sf, "S", True),
    "deepgemm-sm90-sf": (rows, "V", False),
    "block-major-k": (block_major_k, "V", False),
    "triton-hopper": (triton_hopper, "W", False),
    "triton-hopper-sf-w4": (lambda s: triton_hopper_sf(s, 4), "S", True),
    "triton-hopper-sf-w8": (lambda s: triton_hopper_sf(s, 8), "S", True),
    "flashinfer-sm90": (flashinfer_sm90, "W", False),
    "flashinfer-sm90-sf": (flashinfer_sm90_sf, "S", False),
    "flashinfer-sm90-int4": (flashinfer_sm90_int4, "W", False),
    "tensorrt-sm90-sf": (deepgemm_sf, "S", True),
    "cutlass-w4a8": (cutlass_w4a8, "W", False),
    "aiter-16x16": (aiter_16x16, "W", False),
    "aiter-sf": (aiter_sf, "S", True),
    "b12x-w4a8": (b12x_w4a8, "W", True),
    "b12x-w4a8-sf": (b12x_w4a8_sf, "S", True),
    "sm110-mma": (sm110_mma, "W", False),
    "ggml-mxfp4": (ggml_mxfp4, "G", False),
    "frag-k32-256": (lambda x: fragments(x, 8), "W", False),
    "frag-k32-128": (lambda x: fragments(x, 4), "W", False),
    "frag-k32-64": (lambda x: fragments(x, 2), "W", False),
    "frag-k32-sf-256": (lambda s: fragments_sf(s, 256), "S", False),
    "frag-k32-sf-128": (lambda s: fragments_sf(s, 128), "S", False),
    "frag-k32-sf-64": (lambda s: fragments_sf(s, 64), "S", False),
    "frag-k32-fp8": (frag_fp8, "V", False),
}

# ---------------------------------------------------------------- orders of rows


def trtllm(x):
    """Section 4.1: every 32 rows as 8 x 4, transposed."""
    return x.reshape(-1, 8, 4, x.shape[1]).swapaxes(1, 2)


def by(size):
    """So many rows of w1, as many of w3."""
    return lambda x: x.reshape(2, -1, size, x.shape[1]).swapaxes(0, 1)


def up_gate(x):
    return x.reshape(2, -1, x.shape[1])[::-1]


# Where there are two parts, the upper half of the matrix is w1, the lower w3.
ROWMAPS = {
    "same": lambda x: x,
    "trtllm": trtllm,
    "gate-up": lambda x: x,
    "up-gate": up_gate,
    "gate-up-by-1": by(1),
    "gate-up-by-8": by(8),
    "gate-up-by-16": by(16),
    "up-gate-trtllm": lambda x: trtllm(by(1)(up_gate(x).reshape(x.shape)).reshape(x.shape)),
}

# ---------------------------------------------------------------- inputs


def matrix(name, n, k):
    """The inputs of section 11 for N x K codes; G is W and S as blocks of a scale and 32 codes."""
    row = np.arange(n)[:, None]

    def w():
        b = np.arange(k // 2)
        return 37 * row + 11 * b + 5 * (row >> 4) * (b >> 3) + 17

    def s():
        c = np.arange(k // 32)
        return 1 + (7 * row + 13 * c + 3 * (row >> 5)) % 240

    def v():
        c = np.arange(k)
        return 29 * row + 3 * c + 7 * (row >> 3) * (c >> 4) + 5

    def g():
        return np.concatenate([s()[:, :, None], w().reshape(n, -1, 16)], axis=2).reshape(n, -1)

    return ({"W": w, "S": s, "V": v, "G": g}[name]() & 255).astype(np.uint8)


def digest(layout, rowmap, name, n, k):
    x = matrix(name, n, k)
    x = np.ascontiguousarray(ROWMAPS[rowmap](x)).reshape(x.shape)
    return hashlib.sha256(np.ascontiguousarray(LAYOUTS[layout][0](x)).tobytes()).hexdigest()


# Section 11: its name, layout, order of rows, the first 16 digits at N = K = 256.
SPECIFIED = [
    ("plain", "rows", "same", "cdea91104605a2f0"),
    ("marlin4_a16", "marlin4-a16", "same", "79906a1027792bda"),
    ("marlin4_a8", "marlin4-a8", "same", "901373925140a40b"),
    ("marlin8_a16", "marlin8-a16", "same", "bfdb12feace164c0"),
    ("marlin8_a8", "marlin8-a8", "same", "5ee7f75e4662f444"),
    ("marlin_sc_mxfp4", "marlin-sf-a16", "same", "96bbae1c922699bd"),
    ("perm64_sc_noswap", "humming-sf", "same", "703753c6e21b8f74"),
    ("marlin_sc_single", "marlin-sf-a8", "same", "0c719ba2ddde6ebf"),
    ("sf128x4", "sf128x4", "same", "c325bbcff1403286"),
    ("trt_w2", "rows", "trtllm", "617662edc4be1294"),
    ("trt_w13", "rows", "up-gate-trtllm", "a197a729f74286f9"),
    ("trt_w2_sf", "sf128x4", "trtllm", "cbb5203dd1422d5c"),
    ("trt_w13_sf", "sf128x4", "up-gate-trtllm", "09b9086b2911d752"),
    ("blockmajork_b", "block-major-k", "same", "94635e1c85d29fb7"),
    ("dg_sf", "deepgemm-sm100-sf", "same", "4f361e2122466dba"),
    ("dg_mega_l1", "rows", "gate-up-by-8", "39c782a672aba2e2"),
    ("dg_mega_l1_sf", "sf128x4-kmajor", "gate-up-by-8", "44c685d355f852c9"),
    ("dg_mega_l2_sf", "sf128x4-kmajor", "same", "742544e8364ada4f"),
    ("hopper_value", "triton-hopper", "same", "2f6b78cbf6799f3f"),
    ("hopper_scale_nw4", "triton-hopper-sf-w4", "same", "de55a753cac2dbe6"),
    ("hopper_scale_nw8", "triton-hopper-sf-w8", "same", "c15406b4afa45881"),
    ("fi_sm90_fp4", "flashinfer-sm90", "same", "20388486fc7d9a19"),
    ("fi_sm90_int4", "flashinfer-sm90-int4", "same", "23949c542b6f7312"),
    ("fi_sm90_fold_sf", "flashinfer-sm90-sf", "same", "b9f3d9681e777667"),
    ("sm90_old_sf", "tensorrt-sm90-sf", "same", "4f361e2122466dba"),
    ("cutlass_w4a8_reorder", "cutlass-w4a8", "same", "0b4a44f4f9275c8f"),
    ("aiter_16x16", "aiter-16x16", "same", "18f760b34aa7a0b9"),
    ("aiter_gu", "aiter-16x16", "gate-up-by-16", "a255f9fb0ce7cf1d"),
    ("aiter_sc", "aiter-sf", "same", "34f58eeaeca4eeca"),
    ("aiter_sc_gu", "aiter-sf", "gate-up-by-16", "c5599fc176daddf4"),
    ("b12x_w4a8", "b12x-w4a8", "same", "8b52fe1c43af49b4"),
    ("b12x_sf", "b12x-w4a8-sf", "same", "4f361e2122466dba"),
    ("ggml_mxfp4", "ggml-mxfp4", "same", "f839f3a6a52e4eef"),
    ("T1_fp8_NT128", "frag-k32-fp8", "same", "f935d8c81582f6f0"),
    ("sm110_mmaorder", "sm110-mma", "same", "2a869fbbfd7c6105"),
    ("T1_fp4_A2", "frag-k32-64", "same", "4daed5145287c386"),
    ("T1_fp4_A4", "frag-k32-128", "same", "344a8ee00705cdba"),
    ("T1_fp4_A8", "frag-k32-256", "same", "8b52fe1c43af49b4"),
    ("T1_sf_A2", "frag-k32-sf-64", "same", "09dbcb18b334e43e"),
    ("T1_sf_A4", "frag-k32-sf-128", "same", "44e1c66ebbf7f92a"),
    ("T1_sf_A8", "frag-k32-sf-256", "same", "4f361e2122466dba"),
]

# Layouts that an engine takes with rows in another order.
MAPPED = [
    ("sf128x4", "trtllm"),
    ("sf128x4", "up-gate"),
    ("sf128x4", "up-gate-trtllm"),
    ("sf128x4-kmajor", "gate-up-by-8"),
    ("aiter-16x16", "gate-up-by-16"),
    ("aiter-sf", "gate-up-by-16"),
    ("b12x-w4a8", "up-gate"),
    ("b12x-w4a8-sf", "up-gate"),
    ("triton-hopper", "gate-up-by-1"),
    ("triton-hopper-sf-w8", "gate-up-by-1"),
    ("flashinfer-sm90", "up-gate"),
    ("flashinfer-sm90-sf", "up-gate"),
]

# 512 x 384 tells apart what coincides where a matrix is one tile wide; 200 x 320 is off every unit of what pads.
SIZES = [(256, 256), (512, 384)]
ODD = (200, 320)


def lines():
    todo = [(layout, "same") for layout in LAYOUTS]
    todo += [("rows", rowmap) for rowmap in ROWMAPS if rowmap != "same"] + MAPPED
    for layout, rowmap in todo:
        _, name, pads = LAYOUTS[layout]
        for n, k in SIZES + ([ODD] if pads and rowmap == "same" else []):
            yield f"{layout} {rowmap} {name} {n} {k} {digest(layout, rowmap, name, n, k)}"


def main():
    wrong = 0
    for name, layout, rowmap, want in SPECIFIED:
        got = digest(layout, rowmap, LAYOUTS[layout][1], 256, 256)
        if not got.startswith(want):
            wrong += 1
            print(f"{name} ({layout} {rowmap}): {got[:16]}, specified {want}", file=sys.stderr)
    made = list(lines())
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], encoding="ascii") as file:
            kept = [line.rstrip("\n") for line in file]
        for line in sorted(set(made) ^ set(kept)):
            wrong += 1
            print("derived:" if line in made else "in the file:", line, file=sys.stderr)
        if made != kept and not wrong:
            wrong += 1
            print("the lines are in another order", file=sys.stderr)
    elif not wrong:
        print("\n".join(made))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
