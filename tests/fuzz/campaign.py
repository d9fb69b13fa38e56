"""Draw cases by a seed and a number, and run them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

import edgesim.results.figure
import edgesim.results.report
from tests.fuzz.edits import chosen
from tests.fuzz.formats import FORMATS, Example
from tests.fuzz.judge import Verdict, judge, quick_command

PICTURES_EVERY = 16
"""In one of so many cases pictures are drawn too: they take most of the time."""


@cache
def examples(name: str) -> tuple[Example, ...]:
    """Make the examples of a format once."""
    return FORMATS[name]()


def run_case(name: str, seed: int, number: int, folder: Path) -> Verdict:
    """Draw one case of a format, and run it.

    Parameters
    ----------
    name
        The format, one of ``FORMATS``.
    seed, number
        What the case is drawn from.
    folder
        Where its files are written; emptied first.
    """
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed, number])
    example = chosen(rng, examples(name))
    damaged = chosen(rng, example.damaged)
    words = chosen(rng, example.commands)
    files = {file: content.valid() for file, content in example.files.items()}
    files[damaged] = example.files[damaged].damaged(rng)
    with ExitStack() as stack:
        if rng.integers(PICTURES_EVERY):
            for module in (edgesim.results.report, edgesim.results.figure):
                stack.enter_context(
                    mock.patch.object(module, "write_pictures", return_value=None)
                )
        return judge(folder, files, words, set(example.outputs))


@dataclass
class Tally:
    """Outcomes of the cases of each format, and those that are not sound."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, seed: int, number: int, verdict: Verdict) -> None:
        """Count a case."""
        self.counts.setdefault(name, Counter())[verdict.outcome] += 1
        if not verdict.is_sound:
            self.failures.append(
                f"{name} seed {seed} case {number}: {verdict.outcome}: {verdict.detail}"
            )


def run_cases(
    cases: Mapping[str, Iterable[int]],
    seed: int,
    folder: Path,
    told: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Run cases of formats.

    Parameters
    ----------
    cases
        Numbers of the cases, by the format.
    seed
        The seed of all.
    folder
        Where their files are written.
    told
        Is given each failure as it is found.
    """
    tally = Tally()
    with quick_command():
        for name, numbers in cases.items():
            for number in numbers:
                found = len(tally.failures)
                tally.add(name, seed, number, run_case(name, seed, number, folder))
                for failure in tally.failures[found:]:
                    told(failure)
    return tally
