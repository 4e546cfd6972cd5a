"""What a script that runs an engine is asked to do, and the verdict on the logits that came out.

    --within NAME FOLDER RECORD       the engine's logits of FOLDER must be those of RECORD
    --near NAME FOLDER RECORD LIMIT   they must be within LIMIT (relative L2 of all), as far as the engine rounds on the way
    --loads NAME FILE                 the engine must load it
    --beyond NAME FOLDER RECORD       they must not: FOLDER is damaged, and an engine that does not show it is no judge
    --refused NAME FOLDER RECORD      the engine does not load it, or not all of it, as docs/engines.md says
    --parameters NAME FOLDER SOURCE   the engine must hold the same numbers for both (where it can be asked)

RECORD is what `dsv4-verify record --arithmetic fp32` wrote of the source, so an agreement is one of two programs that
share no line. The limit holds at every position: two programs that add up FP32 products in different orders are up to
1e-6 apart on models of this size, and one wrong bit of one FP4 code moves the logits of some position by 5e-5.
"""

import argparse
import sys
import traceback

import numpy as np
import safetensors.numpy

LIMIT = 1e-5  # relative L2 of the logits of a position


def read_record(path):
    """Token ids and logits [tokens, vocabulary] of a record."""
    record = safetensors.numpy.load_file(path)
    return record["ids"], record["logits"]


def distance(found, expected):
    """Relative L2 over all positions, and at the worst of them."""
    away = found.astype(np.float64) - expected
    size = np.linalg.norm(expected.astype(np.float64), axis=-1)
    return np.linalg.norm(away) / np.linalg.norm(size), np.max(np.linalg.norm(away, axis=-1) / size)


class Judge:
    """Prints a line "ok", "FAIL" for each job."""

    def __init__(self):
        self.failed = False

    def say(self, good, name, figures):
        self.failed = self.failed or not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {figures}", flush=True)

    def logits(self, name, found, expected, damaged, near=None):
        if found.shape != expected.shape or not np.all(np.isfinite(found)):
            self.say(False, name, f"logits {found.shape}, expected finite ones {expected.shape}")
            return
        whole, worst = distance(found, expected)
        same = int(np.sum(found.argmax(-1) == expected.argmax(-1)))
        figures = f"relative L2 {whole:.1e}, worst position {worst:.1e}, top-1 {same}/{len(found)}"
        if near:
            self.say(whole <= near, name, figures)
        elif damaged:
            self.say(worst > LIMIT, name, figures + ("" if worst > LIMIT else ": it does not show"))
        else:
            self.say(worst <= LIMIT and same == len(found), name, figures)


def run(compute, parameters=None, loads=None):
    """Does the jobs of the command line. compute(folder, ids) gives logits; parameters(folder) gives {name: array}."""
    parser = argparse.ArgumentParser()
    for job in ("within", "beyond", "refused", "parameters"):
        parser.add_argument(f"--{job}", nargs=3, action="append", default=[])
    parser.add_argument("--near", nargs=4, action="append", default=[])
    parser.add_argument("--loads", nargs=2, action="append", default=[])
    jobs = parser.parse_args()
    judge = Judge()
    for damaged, triples in ((False, jobs.within), (False, jobs.near), (True, jobs.beyond)):
        for name, folder, record, *near in triples:
            ids, expected = read_record(record)
            try:
                found = compute(folder, ids)
            except Exception as error:  # the engine's, of any kind: the other jobs go on
                traceback.print_exc()
                judge.say(False, name, f"not computed, {type(error).__name__}")
                continue
            judge.logits(name, found, expected, damaged, *map(float, near))
    for name, file in jobs.loads:
        judge.say(loads(file), name, "loaded, values checked")
    for name, folder, record in jobs.refused:
        try:
            compute(folder, read_record(record)[0])
        except Exception as error:
            judge.say(True, name, f"{type(error).__name__}")
        else:
            judge.say(False, name, "it is loaded now: doctor and docs/engines.md say that it is not")
    for name, folder, source in jobs.parameters:
        same_parameters(judge, name, parameters(folder), parameters(source))
    sys.exit(1 if judge.failed else 0)


def same_parameters(judge, name, found, expected):
    if found.keys() != expected.keys():
        judge.say(False, name, f"other parameters: {sorted(found.keys() ^ expected.keys())[:4]}")
        return
    signs = 0
    for key, value in expected.items():
        other = found[key]
        if other.dtype != value.dtype or other.shape != value.shape or not np.array_equal(other, value):
            judge.say(False, name, f"{key} differs")
            return
        signs += int(np.sum(np.signbit(other) != np.signbit(value)))
    judge.say(True, name, f"{len(expected)} parameters equal" + (f", {signs} zeros of another sign" if signs else ""))
