"""``python -m tests.mutation``: run mutants drawn by a seed; print who survives."""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants, mutated
from tests.mutation.targets import JUDGED, REPOSITORY, TESTS

# Processes fork from this one with these there; the code under test is loaded anew.
LOADED = ("numpy", "pydantic", "networkx", "simpy", "highspy", "pulp", "hypothesis")
PROGRESS = 50
"""Mutants between two lines that say how far the command is."""

SURVIVORS = Path(__file__).with_name("survivors.toml")


def reasons() -> dict[tuple[str, str], str]:
    """Read why mutants may survive, by file and mutant."""
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivor"]
    return {(each["path"], each["mutant"]): each["why"] for each in listed}


def _text(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def _drawn(options: argparse.Namespace) -> list[Mutant]:
    """Draw mutants, in the order of their modules; more are the same and others."""
    if options.mutant:
        pairs = [each.rsplit(":", 1) for each in options.mutant]
        return [mutants(path, _text(path))[int(number)] for path, number in pairs]
    paths = [path for path in TESTS if not path.startswith(tuple(options.without))]
    drawn = [mutant for path in paths for mutant in mutants(path, _text(path))]
    random.Random(options.seed).shuffle(drawn)
    place = {path: index for index, path in enumerate(paths)}
    chosen = drawn[: options.mutants]
    return sorted(chosen, key=lambda mutant: (place[mutant.path], mutant.number))


def run(
    drawn: list[Mutant], folder: Path, counts: defaultdict[str, Counter[str]]
) -> None:
    """Run mutants one after the other; count how those of each module end."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in LOADED:
        importlib.import_module(name)
    from tests.mutation.sandbox import Sandbox

    sandbox = Sandbox(folder)
    suites = dict.fromkeys(TESTS[mutant.path] for mutant in drawn)
    usual_s = {files: sandbox.measure(files) for files in suites}
    explained = reasons()
    for number, mutant in enumerate(drawn):
        if number and number % PROGRESS == 0:
            print(f"{number} of {len(drawn)} mutants", flush=True)
        files = TESTS[mutant.path]
        text = (sandbox.tree / mutant.path).read_text(encoding="utf-8")
        source = mutated(text, mutant.number)
        limit_s = 10.0 + 3 * usual_s[files]
        end = sandbox.notice(mutant.path, source, files, limit_s)
        if not end:
            known = explained.get((mutant.path, mutant.key))
            end = "explained" if known else "survived"
            print(f"{end}: {mutant.path}:{mutant.number} {mutant.key}", flush=True)
        counts[mutant.path][end] += 1


def _print(counts: defaultdict[str, Counter[str]]) -> None:
    ends = ("test", "import", "time", "explained", "survived")
    print(f"{'':32}{'mutants':>9}" + "".join(f"{end:>11}" for end in ends))
    for path, found in [*counts.items(), ("", sum(counts.values(), Counter()))]:
        columns = "".join(f"{found[end]:>11,}" for end in ends)
        print(f"{path or 'all':32}{found.total():>9,}{columns}")


def main() -> None:
    """Run mutants; exit with 1 if one survives without a reason where it needs one."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--mutants", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", nargs="*", default=[], help="paths to leave out")
    parser.add_argument("--mutant", nargs="*", help="these alone, as PATH:NUMBER")
    options = parser.parse_args()
    started_s = time.monotonic()
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    try:
        with tempfile.TemporaryDirectory(prefix="edgesim-mutants-") as folder:
            run(_drawn(options), Path(folder), counts)
    finally:  # an interrupted command says what it found
        _print(counts)
    print(f"{time.monotonic() - started_s:.0f} s")
    open_ = sum(
        found["survived"] for path, found in counts.items() if path.startswith(JUDGED)
    )
    sys.exit(bool(open_))


if __name__ == "__main__":
    main()
