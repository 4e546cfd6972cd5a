"""Figures of `dsv4-verify logits` beside llama.cpp's: KL, top-1, perplexity of two GGUF files, on a CPU.

    quality.py [--kl NAME SOURCE MADE REPORT RECORD LIMIT]...

SOURCE and MADE are GGUF files, of which llama.cpp computes the logits of the tokens in RECORD; REPORT is what
`dsv4-verify logits --arithmetic fp32 --json` said of the same two and the same tokens. Every figure must be llama.cpp's
within LIMIT, relative. What the figures are is written here from the description of llama-perplexity.
"""

import argparse
import json
import sys

import judge
import numpy as np
from in_llamacpp import Llama


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def figures(source, made, ids):
    p, q = log_softmax(source), log_softmax(made)
    kl = np.sum(np.exp(p) * (p - q), -1)
    following = np.arange(len(ids) - 1), ids[1:]
    nll = [-np.mean(x[following]) for x in (p, q)]
    top5 = [set(a) & set(b) for a, b in zip(np.argsort(-source)[:, :5], np.argsort(-made)[:, :5])]
    return {
        "KL mean": kl.mean(),
        "KL median": np.percentile(kl, 50),
        "KL 95 %": np.percentile(kl, 95),
        "KL 99 %": np.percentile(kl, 99),
        "KL max": kl.max(),
        "same top-1": np.mean(source.argmax(-1) == made.argmax(-1)),
        "shared of top-5": np.mean([len(x) / 5 for x in top5]),
        "perplexity": np.exp(nll[1]),
        "perplexity ratio": np.exp(nll[1] - nll[0]),
    }


def said(path):
    with open(path) as file:
        sections = json.load(file)["sections"]
    (rows,) = [s["rows"] for s in sections if s["title"] == "quality"]
    return {row["name"]: row["figures"]["value"] for row in rows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kl", nargs=6, action="append", default=[])
    verdicts, llama = judge.Judge(), Llama()
    for name, source, made, report, record, limit in parser.parse_args().kl:
        ids, _ = judge.read_record(record)
        theirs = figures(llama.logits(source, ids), llama.logits(made, ids), ids)
        ours = said(report)
        away = {key: abs(ours[key] / value - 1) for key, value in theirs.items()}
        worst = max(away, key=away.get)
        good = ours.keys() == theirs.keys() and away[worst] <= float(limit)
        verdicts.say(good, name, f"KL mean {ours['KL mean']:.3g}, llama.cpp {theirs['KL mean']:.3g}; {worst} is {away[worst]:.1e} away")
    return 1 if verdicts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
