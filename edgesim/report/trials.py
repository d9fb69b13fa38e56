"""What a timeline shows of each trial: its requests and rounds, the first of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesim.errors import InputError, short
from edgesim.instances import read_schedule
from edgesim.plugins import file_name
from edgesim.report.tables import fair_limit
from edgesim.results.columns import Array, Columns
from edgesim.results.runs import Runs
from edgesim.results.tables import OUTCOMES

TOTAL = 16_000
"""Most requests and rounds in the timelines of a page, all trials together."""

MOST = 3_000
"""Most requests and rounds in one timeline, so that zooming stays quick."""

_WHOLE = ("round", "batch", "loaded_bytes", "reused_bytes")
_TIMES = (
    *("load_start_s", "load_s", "wait_s"),
    *("compute_start_s", "compute_s", "end_s"),
)


class Asked(NamedTuple):
    """A request; None for what never was."""

    id: str
    user: str
    model: str
    outcome: str
    reason: str
    round: int | None
    arrival_s: float
    deadline_s: float
    upload_start_s: float | None
    upload_end_s: float | None
    end_s: float | None


class Turn(NamedTuple):
    """A round: the load of a model, and its batch."""

    round: int
    model: str
    batch: int
    loaded_bytes: int
    reused_bytes: int
    load_start_s: float
    load_s: float
    wait_s: float
    compute_start_s: float
    compute_s: float
    end_s: float
    planned_end_s: float | None
    blocks: int | None


@dataclass(frozen=True)
class Shown:
    """What is shown of one trial.

    Parameters
    ----------
    name, repeat
        Solver or policy, and repeat.
    requests, turns
        In order.
    blocks
        Names of the blocks loaded, by round, where schedules tell.
    counts
        Requests by outcome, of all of the trial.
    request_count, round_count
        How many there are in all.
    """

    name: str
    repeat: int
    requests: Sequence[Asked]
    turns: Sequence[Turn]
    blocks: Mapping[int, Sequence[str]]
    counts: Mapping[str, int]
    request_count: int
    round_count: int


def shown_trials(
    runs: Runs, requests: Columns, rounds: Columns, folder: Path
) -> list[Shown]:
    """Choose what the timelines show, in the order of the summary.

    Parameters
    ----------
    runs
        The run.
    requests, rounds
        Its tables.
    folder
        Its folder, for the schedules of plans.

    Raises
    ------
    InputError
        If a table names a solver or policy that the summary has not, or a schedule is
        damaged.
    """
    arrival = _arrival(requests)
    _check_texts(folder / "requests.csv", requests, runs.kind, list(runs.entries))
    _check_texts(folder / "rounds.csv", rounds, runs.kind, list(runs.entries))
    _check_texts(folder / "requests.csv", requests, "outcome", OUTCOMES)
    _check_numbers(folder / "requests.csv", requests, (arrival, "deadline_s"))
    _check_numbers(folder / "rounds.csv", rounds, (*_WHOLE, *_TIMES))
    parts = list(_trials(runs, requests, rounds))
    sizes = [len(one) + len(other) for _, _, one, other in parts]
    limit = min(fair_limit(sizes, TOTAL), MOST)
    return [
        _shown(requests, rounds, part, limit, _blocks(runs, folder, part[0], part[1]))
        for part in parts
    ]


def _arrival(requests: Columns) -> str:
    return "release_s" if "release_s" in requests else "arrival_s"


def _check_texts(
    path: Path, table: Columns, column: str, allowed: Sequence[str]
) -> None:
    for found in dict.fromkeys(table[column].tolist()):
        if found not in allowed:
            raise InputError(
                f"{path}: {column}",
                f"must be one of {', '.join(allowed)}, found {short(found)}",
            )


def _check_numbers(path: Path, table: Columns, columns: Sequence[str]) -> None:
    """Check that no cell is empty, which counts have as a number below 0."""
    for column in columns:
        values = table[column]
        whole = values.dtype == np.int64
        if bool((values < 0).any() if whole else np.isnan(values).any()):
            raise InputError(f"{path}: {column}", "must hold a number in every row")


Rows = NDArray[np.intp]
_Part = tuple[str, int, Rows, Rows]


def _trials(runs: Runs, requests: Columns, rounds: Columns) -> Iterator[_Part]:
    """Yield name, repeat, and the rows of requests and rounds of each trial."""
    repeats = sorted({*requests["repeat"].tolist(), *rounds["repeat"].tolist()})
    for name in runs.entries:
        of = [table[runs.kind] == name for table in (requests, rounds)]
        for repeat in repeats:
            asked = np.flatnonzero(of[0] & (requests["repeat"] == repeat))
            turns = np.flatnonzero(of[1] & (rounds["repeat"] == repeat))
            if len(asked) or len(turns):
                yield name, repeat, asked, turns


def _shown(
    requests: Columns,
    rounds: Columns,
    part: _Part,
    limit: int,
    blocks: Mapping[int, Sequence[str]],
) -> Shown:
    name, repeat, asked, turns = part
    arrival = _arrival(requests)
    starts_s = np.concatenate([requests[arrival][asked], rounds["load_start_s"][turns]])
    first = np.zeros(len(starts_s), dtype=np.bool_)
    first[np.argsort(starts_s, kind="stable")[:limit]] = True
    kept = turns[first[len(asked) :]]
    # A round that is shown tells of all its requests.
    members = np.isin(requests["round"][asked], rounds["round"][kept])
    outcomes, counts = np.unique(
        requests["outcome"][asked].astype(str), return_counts=True
    )
    return Shown(
        name,
        repeat,
        _asked(requests, asked[first[: len(asked)] | members], arrival),
        _turns(rounds, kept),
        blocks,
        dict(zip(outcomes.tolist(), counts.tolist(), strict=True)),
        len(asked),
        len(turns),
    )


def _asked(table: Columns, rows: Rows, arrival: str) -> list[Asked]:
    columns = [
        [str(one) for one in table["id"][rows].tolist()],
        *(table[n][rows].tolist() for n in ("user", "model", "outcome", "reason")),
        [None if one < 0 else one for one in table["round"][rows].tolist()],
        *(_known(table[n][rows]) for n in (arrival, "deadline_s")),
        *(_known(table[n][rows]) for n in ("upload_start_s", "upload_end_s", "end_s")),
    ]
    return [Asked(*row) for row in zip(*columns, strict=True)]


def _turns(table: Columns, rows: Rows) -> list[Turn]:
    names = ("round", "model", *_WHOLE[1:], *_TIMES)
    columns: list[list[Any]] = [table[name][rows].tolist() for name in names]
    for name in ("planned_end_s", "loaded_blocks"):
        known = name in table
        columns.append(table[name][rows].tolist() if known else [None] * len(rows))
    return [Turn(*row) for row in zip(*columns, strict=True)]


def _known(values: Array) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _blocks(
    runs: Runs, folder: Path, name: str, repeat: int
) -> Mapping[int, Sequence[str]]:
    """Read the blocks that each round loads from a plan's schedule, if it is there."""
    path = folder / "plans" / str(repeat) / f"{file_name(name)}.json"
    if runs.kind == "policy" or not path.exists():
        return {}
    rounds = read_schedule(path).rounds
    return {number: one.loaded_blocks for number, one in enumerate(rounds)}
