"""``python -m tests.fuzz``: run many cases, and print how they ended."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.campaign import run_cases
from tests.fuzz.formats import FORMATS

ROUND = 50
"""Cases of each format between two looks at the clock."""


def main() -> None:
    """Run cases of all formats, or of one; exit with 1 if any is not sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=10_000, help="of all formats")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=FORMATS, help="only this one")
    parser.add_argument("--case", type=int, help="run one case of --format again")
    parser.add_argument("--keep", type=Path, help="folder in which its files stay")
    options = parser.parse_args()
    names = [options.format] if options.format else list(FORMATS)
    numbers = range(-(-options.cases // len(names)))
    if options.case is not None:
        numbers = range(options.case, options.case + 1)
    warnings.simplefilter("error")
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / "case"
        tally = run_cases(
            dict.fromkeys(names, numbers),
            options.seed,
            folder,
            lambda failure: print(f"{failure}\n", flush=True),
        )
    for name, counts in tally.counts.items():
        ends = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
        print(f"{name:16} {counts.total():>7,}: {ends}")
    total = sum(counts.total() for counts in tally.counts.values())
    print(
        f"{total:,} cases in {time.monotonic() - started_s:.0f} s, "
        f"{len(tally.failures)} not sound"
    )
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
