"""A module of solvers of one's own, scenarios that name them, and what is read back."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.command import Finished
from tests.examples import FIGURE, SCENARIO

# A module that notes when it is imported, and whose solvers are good or not.
MINE = """\
from pathlib import Path

import itertools
import os

from solvers import RefusalError, solve

Path("imported").touch()


def good(problem, uplink, options):
    found = solve(problem, "greedy", uplink=uplink, seed=options.seed)
    return [(r.model, r.users) for r in found.schedule.rounds]


def twice(problem, uplink, options):
    rounds = good(problem, uplink, options)
    return rounds + rounds


def raises(problem, uplink, options):
    {}["nothing"]


def yields(problem, uplink, options):
    yield from good(problem, uplink, options)
    raise OddError(1, 2)


def refuses(problem, uplink, options):
    raise RefusalError("needs a common deadline")


def leaves(problem, uplink, options):
    raise SystemExit(0)


def moves(problem, uplink, options):
    os.chdir("..")
    return good(problem, uplink, options)


def stops(problem, uplink, options):
    yield next(iter([]))


def goes_on(problem, uplink, options):
    return itertools.repeat((problem.users[0].model, [problem.users[0].id]))


class Mute(Exception):
    def __str__(self):
        raise ValueError


def mute(problem, uplink, options):
    raise Mute


def divides(problem, uplink, options):
    return 1 / 0


def asks(problem, uplink, options):
    return solve(problem, "dp", uplink="nowhere")


def from_second_repeat_on(problem, uplink, options):
    return good(problem, uplink, options) if options.seed == 0 else [("?", [])]


def serves_nobody(problem, uplink, options):
    return []


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__()


number = 3


def of_one(problem):
    return []
"""

ONLINE = SCENARIO.replace(
    '[run]\nsolvers = ["dp", "dp-noshare"]\nrepeats = 2',
    '[online]\npolicies = ["rolling"]\nbatches = 2\n'
    '[online.rolling]\nsolver = "mine_for_test:good"',
).replace('"small.csv"\nwindow_s = 0.5', '"busy.csv"\nwindow_s = 1.0')

# More at once than can be served in time, so that plans are made.
BUSY = "arrival_s,user,model,input_bytes,slo_s\n" + "".join(
    f"0.{k // 12},u{k},m00{k % 3},9000,0.2{k % 4}\n" for k in range(36)
)


def line_of(text: str) -> int:
    """Find the line of the module that begins with a text."""
    return next(
        number
        for number, line in enumerate(MINE.splitlines(), 1)
        if line.strip().startswith(text)
    )


def rows_of(file: str) -> list[dict[str, str]]:
    """Read a table that was written."""
    with Path(file).open(newline="") as text:
        return list(csv.DictReader(text))


def check_refused(finished: Finished, text: str) -> None:
    """Exit 2, and one line that says so."""
    assert (finished.code, finished.err) == (2, f"error: {text}\n")


# Files that name code, and what is said to be where.
NAMED = {
    "solver": (
        SCENARIO.replace('"dp-noshare"', '"mine_for_test:good-noshare"'),
        "run.solvers: 'mine_for_test:good-noshare'",
    ),
    "policy": (
        ONLINE.replace('"rolling"', '"mine_for_test:Policy"').replace(
            '[online.rolling]\nsolver = "mine_for_test:good"', ""
        ),
        "online.policies: 'mine_for_test:Policy'",
    ),
    "solver of a policy": (ONLINE, "online.rolling.solver: 'mine_for_test:good'"),
}


def write_figure(solvers: str, more: str = "") -> Path:
    """Write a figure whose solvers are these."""
    file = Path("fig.toml")
    file.write_text(FIGURE + f'\n[set]\n"run.solvers" = {solvers}\n{more}')
    return file
