"""What `dsv4-quant score` measured and what `--budget` chose of it, held to numpy and to the decoders of the package gguf.

    score.py recipes SCORE FOLDER             a recipe for each type that was tried: FOLDER/TYPE.recipe, all that can have it
    score.py errors SOURCE SCORE IMATRIX OUT...
                                              OUT: folders that dsv4-quant run wrote of SOURCE, of any types. Each line of the score is
                                              held to the tensor as it lies in each of them: bytes, energy, weighted error, tokens.
                                              IMATRIX: a file, or "none"
    score.py choice SCORE OUT PLAN RECIPE...  pairs of what `plan --budget --json` printed and the recipe that it wrote. OUT: a run of
                                              `--to gguf`, which says the bytes of all else

The values of the source are made as atlas.py makes them. Errors agree to 1e-9. A choice is held to the least error that any choice
under its size has, found by trying all sums of bytes (dynamic programming over bytes / 32), and its bound to the linear
relaxation over convex hulls: bound <= least <= error, each computed anew. Damage is noticed: a line whose error is changed by a
millionth, and a bound above the least error, must not pass.
"""

import json
import os
import re
import sys
from collections import defaultdict

import gguf
import numpy as np

from atlas import EXPERTS, LEAVES, WHOLE, Source

TOLERANCE = 1e-9
ALIGNMENT = 32
FILES = (("model.gguf", False), ("mtp-model.gguf", True))


def read(path):
    lines = [json.loads(s) for s in open(path, encoding="utf-8")]
    head, rows, end = lines[0], lines[1:-1], lines[-1]
    assert head["format"] == "dsv4-score-1" and end["end"] == head["matrices"] == len(rows)
    return head, rows


def units(rows):
    """{(role, block): its lines}, in the order of the file."""
    found = defaultdict(list)
    for row in rows:
        found[row["role"], row["block"]].append(row)
    return found


def has(lines):
    """Types that all lines of a unit have."""
    return set.intersection(*({t["type"] for t in row["types"]} for row in lines))


def close(found, expected):
    return abs(found - expected) <= TOLERANCE * max(abs(expected), 1e-300)


# ---------------------------------------------------------------- recipes


def recipes(score, folder):
    head, rows = read(score)
    os.makedirs(folder, exist_ok=True)
    for kind in head["types"]:
        with open(os.path.join(folder, kind.lower() + ".recipe"), "w", encoding="utf-8") as f:
            f.write("dsv4-recipe-1 gguf\n")
            for (role, block), lines in units(rows).items():
                if kind in has(lines):
                    f.write(f"{role} {block} * {kind.lower()}\n")
    return 0


# ---------------------------------------------------------------- errors


def sources(row, nth):
    """The name in the source of line nth of its unit."""
    role, block = row["role"], row["block"]
    if role == "e_proj":
        role = ("e_proj", "h_proj")[nth]
    if block in ("embed", "head"):
        return role + ".weight"
    front = f"layers.{block}." if block.isdigit() else block + "."
    return front + role.replace("#", str(row["expert"])) + ".weight"


class Written:
    """Matrices of a folder by their names in the source: type, bytes, values."""

    def __init__(self, folder):
        self.have = {}
        for name, drafts in FILES:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                for tensor in gguf.GGUFReader(path).tensors:
                    self.take(tensor, drafts)

    def take(self, tensor, drafts):
        block, leaf = re.fullmatch(r"(?:blk\.(\d+)\.)?(.*)", tensor.name).groups()
        front = "mtp.0." if drafts and block else f"layers.{block}." if block else ""
        data = tensor.data
        if leaf in EXPERTS:
            for e in range(data.shape[0]):
                self.have[f"{front}ffn.experts.{e}.{EXPERTS[leaf]}.weight"] = tensor.tensor_type, data[e]
        elif leaf == "nextn.eh_proj.weight":
            half = data.shape[1] // 2
            self.have[front + "e_proj.weight"] = tensor.tensor_type, data[:, :half]
            self.have[front + "h_proj.weight"] = tensor.tensor_type, data[:, half:]
        elif leaf in LEAVES and block:
            self.have[front + LEAVES[leaf]] = tensor.tensor_type, data
        elif leaf in WHOLE and not drafts:
            self.have[WHOLE[leaf]] = tensor.tensor_type, data

    def matrix(self, name):
        kind, data = self.have[name]
        values = gguf.quants.dequantize(np.ascontiguousarray(data), kind).astype(np.float64)
        return kind.name, data.nbytes, values.reshape(-1, values.shape[-1])


def importance(path):
    """{name in GGUF: (weights [matrices, columns], tokens [matrices])}"""
    if path == "none":
        return {}
    tensors = {t.name: np.array(t.data, np.float64) for t in gguf.GGUFReader(path).tensors}
    found = {}
    for name, sums in tensors.items():
        if name.endswith(".in_sum2"):
            sums = sums.reshape(-1, sums.shape[-1])
            tokens = tensors[name.replace("in_sum2", "counts")].reshape(-1)
            mean = np.where(tokens[:, None] > 0, sums / np.maximum(tokens, 1)[:, None], 1)
            found[name.removesuffix(".in_sum2")] = mean.astype(np.float32).astype(np.float64), tokens
    return found


def judge(row, kind, size, w, q, weights, tokens):
    """What is wrong of a line, beside the matrix as it was written in one of its types; None: nothing."""
    energy = (weights * w * w).sum()
    (said,) = [t for t in row["types"] if t["type"] == kind]
    error = (weights * (w - q) ** 2).sum()
    if (row["rows"], row["columns"]) != w.shape or row["measured"] != row["rows"]:
        return f"{row['rows']} x {row['columns']}, {row['measured']} measured"
    if row["tokens"] != tokens or row["weighted"] != (tokens is not None):
        return f"tokens are {row['tokens']}, not {tokens}"
    if not close(row["energy"], energy):
        return f"energy is {row['energy']}, not {energy}"
    if said["bytes"] != size:
        return f"{kind} has {said['bytes']} bytes, not {size}"
    return None if close(said["error"], error) else f"error in {kind} is {said['error']}, not {error}"


def errors(folder, score, imatrix, outs):
    head, rows = read(score)
    source, weights = Source(folder), importance(imatrix)
    bad, seen, rounded = [], defaultdict(int), 0
    if (head["weights"] == "imatrix") != bool(weights):
        bad.append(f"the score says that its weights are {head['weights']}")
    for out in outs:
        written = Written(out)
        for lines in units(rows).values():
            for nth, row in enumerate(lines):
                name = sources(row, nth)
                kind, size, q = written.matrix(name)
                w, beside = source.values(name), row["role"] == "e_proj"
                mean, tokens = weights.get(row["tensor"], (None, None)) if not beside else (None, None)
                e = row["expert"] or 0
                args = (np.ones(w.shape[1]), None) if mean is None else (mean[e], float(tokens[e]))
                why = judge(row, kind, size, w, q, *args)
                bad += [f"{os.path.basename(out)}, {name}: {why}"] if why else []
                seen[kind] += 1
                worse = json.loads(json.dumps(row))
                for t in worse["types"]:
                    t["error"] *= 1 + 1e-6
                if (w != q).any():
                    rounded += 1
                    if not judge(worse, kind, size, w, q, *args):
                        bad.append(f"{name}: a changed error in {kind} was not noticed")
    left = [t for t in head["types"] if not seen[t]]
    bad += [f"nothing was written in {', '.join(left)}"] if left else []
    for why in bad[:8]:
        print("     " + why)
    print(f"{'FAIL' if bad else 'ok  '} score: {sum(seen.values())} matrices ({rounded} of them rounded) in "
          f"{', '.join(sorted(seen))} lose what the score says" + (f", {len(bad)} differ" if bad else ""))
    return bool(bad)


# ---------------------------------------------------------------- choices

BLOCKS = (("attn.", "attn.wo_b"), ("ffn.experts.", "ffn.experts.#.w2"), ("ffn.shared_experts.", "ffn.shared_experts.w2"))


def pooled(lines):
    """Energy, and {type: error}, each times tokens; the most tokens of a line."""
    use = [1 if row["tokens"] is None else row["tokens"] for row in lines]
    if sum(u * row["energy"] for u, row in zip(use, lines)) == 0:
        use = [1] * len(lines)
    energy, error = 0.0, defaultdict(float)
    for u, row in zip(use, lines):
        energy += u * row["energy"]
        for t in row["types"]:
            error[t["type"]] += u * t["error"]
    return energy, error, max(row["tokens"] or 0 for row in lines)


def gains(found):
    """Of each unit the part that its sub-block has of the residual stream behind it (docs/quant.md, quant/cli/gain.h); None without
    the importance of each last matrix."""
    layers = sorted({block for _, block in found if block.isdigit()}, key=int)
    stream = pooled(found["embed", "embed"])[0] / found["embed", "embed"][0]["rows"]
    parts = {}
    for layer in layers:
        for _, last in BLOCKS:
            if not all(row["weighted"] for row in found[last, layer]):
                return None
        tokens = pooled(found["attn.wo_b", layer])[2]
        power = [pooled(found[last, layer])[0] / tokens for _, last in BLOCKS]
        stream += power[0]
        after = stream + power[1] + power[2]
        parts[layer] = [power[0] / stream, power[1] / after, power[2] / after]
        stream = after
    mean = np.mean(list(parts.values()), 0)
    gain = {}
    for role, block in found:
        k = [i for i, (begins, _) in enumerate(BLOCKS) if role.startswith(begins)]
        gain[role, block] = parts.get(block, mean)[k[0]] if k else 1.0
    return gain


def exact_type(choices):
    """The smallest type that has all values."""
    return min((size, kind) for kind, (size, error) in choices.items() if error == 0)[1]


def options(rows, copies):
    """{unit: {type: (bytes, error)}} of what there is to choose: without importance only of routed experts."""
    found = units(rows)
    gain = gains(found)
    all_of = {}
    for unit, lines in found.items():
        energy, error, _ = pooled(lines)
        size = {k: sum(t["bytes"] for row in lines for t in row["types"] if t["type"] == k) for k in has(lines)}
        factor = (gain[unit] if gain else 1.0) / energy
        choices = {k: (-(-size[k] // ALIGNMENT) * ALIGNMENT * copies[lines[0]["tensor"]], factor * error[k]) for k in size}
        free = gain or unit[0].startswith("ffn.experts.")
        all_of[unit] = choices if free else {exact_type(choices): choices[exact_type(choices)]}
    return all_of


def hull(choices):
    """Points of the lower convex hull of (bytes, error), from the fewest bytes on."""
    points = []
    for size, error in sorted(choices):
        if points and error >= points[-1][1]:
            continue
        while len(points) > 1 and (points[-1][1] - error) * (points[-1][0] - points[-2][0]) >= (
            points[-2][1] - points[-1][1]
        ) * (size - points[-1][0]):
            points.pop()
        points.append((size, error))
    return points


def relaxation(all_of, room):
    """The least sum of errors under the size where a step may be taken in part."""
    steps, error = [], 0.0
    for choices in all_of.values():
        points = hull(choices.values())
        room -= points[0][0]
        error += points[0][1]
        steps += [((a[1] - b[1]) / (b[0] - a[0]), b[0] - a[0]) for a, b in zip(points, points[1:])]
    for worth, size in sorted(steps, reverse=True):
        take = min(size, room)
        error -= worth * take
        room -= take
        if room <= 0:
            break
    return max(error, 0.0)


def least(all_of, room):
    """The least sum of errors of any choice under the size: all sums of bytes are tried."""
    floor = sum(min(size for size, _ in choices.values()) for choices in all_of.values())
    spare = (room - floor) // ALIGNMENT
    best = np.zeros(spare + 1)
    for choices in all_of.values():
        base = min(size for size, _ in choices.values())
        after = np.full(spare + 1, np.inf)
        for size, error in choices.values():
            assert size % ALIGNMENT == 0
            more = (size - base) // ALIGNMENT
            if more <= spare:
                np.minimum(after[more:], best[: spare + 1 - more] + error, out=after[more:])
        best = after
    return float(best.min())


def picked(recipe, all_of):
    """{unit: type} of the lines of a recipe, and of what there is no choice of; blocks are numbers, ranges and names."""
    chosen = {unit: next(iter(choices)) for unit, choices in all_of.items() if len(choices) == 1}
    for line in open(recipe, encoding="utf-8").read().splitlines()[1:]:
        if line.startswith("#"):
            continue
        role, blocks, _, kind = line.split()
        for unit in all_of:
            names = blocks.split(",")
            ranges = [x.split("-") for x in names if re.fullmatch(r"\d+-\d+", x)]
            inside = unit[1].isdigit() and any(int(a) <= int(unit[1]) <= int(b) for a, b in ranges)
            if unit[0] == role and (blocks == "*" or unit[1] in names or inside):
                assert unit not in chosen
                chosen[unit] = kind.upper()
    return chosen


def wrong(plan, chosen, all_of, others):
    """What is wrong of a choice, None: nothing; and the least error under its size."""
    sums = [others, 0.0]
    for unit, choices in all_of.items():
        sums[0] += choices[chosen[unit]][0]
        sums[1] += choices[chosen[unit]][1]
    best, bound = least(all_of, plan["asked"] - others), relaxation(all_of, plan["asked"] - others)
    close_to = lambda a, b: abs(a - b) <= TOLERANCE * max(a, b) + 1e-15
    if plan["bytes"] != sums[0] or plan["bytes"] > plan["asked"]:
        return f"{plan['bytes']} bytes, its recipe has {sums[0]}", best
    if not close_to(plan["error"], sums[1]):
        return f"error {plan['error']}, its recipe has {sums[1]}", best
    if not close_to(plan["bound"], bound):
        return f"bound {plan['bound']}, the relaxation has {bound}", best
    if plan["bound"] > best * (1 + TOLERANCE) + 1e-15 or best > plan["error"] * (1 + TOLERANCE) + 1e-15:
        return f"bound {plan['bound']}, error {plan['error']}, the least is {best}", best
    for point in plan["frontier"]:
        if not close_to(point["error"], relaxation(all_of, point["bytes"] - others)):
            return f"the frontier has {point['error']} at {point['bytes']} bytes", best
    return None, best


def choice(score, out, pairs):
    _, rows = read(score)
    copies, total = defaultdict(int), 0
    for name, _ in FILES:
        total += os.path.getsize(os.path.join(out, name))
        for tensor in gguf.GGUFReader(os.path.join(out, name)).tensors:
            copies[tensor.name] += 1
    all_of = options(rows, copies)
    others = total - sum(choices[exact_type(choices)][0] for choices in all_of.values())
    bad, worst, above = [], 1.0, 0
    for plan, recipe in zip(pairs[::2], pairs[1::2]):
        budget = json.load(open(plan, encoding="utf-8"))["budget"]
        chosen = picked(recipe, all_of)
        why, best = wrong(budget, chosen, all_of, others)
        bad += [f"--budget {budget['asked']}: {why}"] if why else []
        worst = max(worst, budget["error"] / best if best > 0 else 1.0)
        above += budget["error"] > best * (1 + TOLERANCE)
        if best > 0 and not wrong(dict(budget, bound=best * 1.01), chosen, all_of, others)[0]:
            bad.append("a bound that is too high was not noticed")
    for why in bad[:8]:
        print("     " + why)
    free = sum(len(choices) > 1 for choices in all_of.values())
    print(f"{'FAIL' if bad else 'ok  '} choice: {len(pairs) // 2} budgets over {free} tensors within their bounds; {above} are above "
          f"the least error that any choice has, by {100 * (worst - 1):.2g} % at most")
    return bool(bad)


def main():
    what, *args = sys.argv[1:]
    if what == "recipes":
        return recipes(*args)
    return errors(*args[:3], args[3:]) if what == "errors" else choice(*args[:2], args[2:])


if __name__ == "__main__":
    sys.exit(main())
