"""Draw cases by a seed and a number, and run them."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np

import edgesim.results.figure
import edgesim.results.report
from tests.fuzz.edits import chosen
from tests.fuzz.ends import ends_of
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
    draws = rng.integers(PICTURES_EVERY) == 0
    with nullcontext() if draws else without_pictures():
        return judge(folder, files, words, example)


@contextmanager
def without_pictures() -> Iterator[None]:
    """Leave out the pictures of runs and figures."""
    with (
        mock.patch.object(edgesim.results.report, "write_pictures", return_value=None),
        mock.patch.object(edgesim.results.figure, "write_pictures", return_value=None),
    ):
        yield


def run_ends(
    name: str, seed: int, count: int | None, folder: Path
) -> dict[str, Verdict]:
    """Put numbers from both ends of the floats into the fields of a format.

    Parameters
    ----------
    name
        The format.
    seed, count
        How many are drawn of all, and from what; None for all.
    folder
        Where files are written.

    Returns
    -------
    dict
        How each case ended, by what was put where.
    """
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    cases = [
        (f"example {n}, {where}", example, put)
        for n, example in enumerate(examples(name))
        for where, put in ends_of(example)
    ]
    wanted = range(len(cases))
    if count is not None and count < len(cases):
        wanted = rng.choice(len(cases), count, replace=False)
    ended = {}
    with quick_command(), without_pictures():
        for n in wanted:
            where, example, (file, content) = cases[n]
            files = {other: one.valid() for other, one in example.files.items()}
            files[file] = content.valid()
            words = chosen(rng, example.commands)
            ended[where] = judge(folder, files, words, example)
    return ended


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
