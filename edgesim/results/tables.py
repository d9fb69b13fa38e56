"""The tables of a run: one row per request, one row per round.

Rows are appended run by run, so that no two runs need to be in memory. The same run
gives the same bytes: columns and rows in a fixed order, numbers by ``repr``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.records import DROPPED, Floats, Ints, Run
from edgesim.measures.account import Account
from edgesim.measures.gpu_time import wait_s
from edgesim.results.csv_columns import (
    CHUNK_ROWS,
    Column,
    cell,
    texts_of,
    write_parts,
)
from edgesim.storage.column_files import blocks_of
from solvers.schedule import Round

PLAN_REQUEST_COLUMNS = (
    "id",
    "user",
    "model",
    "outcome",
    "reason",
    "round",
    "release_s",
    "deadline_s",
    "upload_start_s",
    "upload_end_s",
    "planned_end_s",
    "end_s",
    "latency_s",
)

PLAN_ROUND_COLUMNS = (
    "round",
    "model",
    "planned_batch",
    "batch",
    "loaded_blocks",
    "loaded_bytes",
    "reused_bytes",
    "planned_load_start_s",
    "load_start_s",
    "planned_load_s",
    "load_s",
    "planned_compute_start_s",
    "compute_start_s",
    "wait_s",
    "planned_compute_s",
    "compute_s",
    "planned_end_s",
    "end_s",
)

REQUEST_COLUMNS = (
    "id",
    "user",
    "model",
    "outcome",
    "reason",
    "round",
    "arrival_s",
    "deadline_s",
    "upload_start_s",
    "upload_end_s",
    "compute_start_s",
    "end_s",
    "latency_s",
)

ROUND_COLUMNS = (
    "round",
    "model",
    "chosen",
    "batch",
    "loaded_bytes",
    "reused_bytes",
    "load_start_s",
    "load_s",
    "wait_s",
    "compute_start_s",
    "compute_s",
    "end_s",
)

OUTCOMES = ("in time", "late", "dropped")

Window: TypeAlias = tuple[float, float]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Names of users and requests.

    Parameters
    ----------
    users
        The trace's users, by the user number of a request.
    ids
        Ids of requests, by the same number; if not given, requests are numbered.
    """

    users: Sequence[str]
    ids: Sequence[str] | None = None


def request_columns(
    account: Account, names: Labels, which: Ints | None = None
) -> dict[str, Column]:
    """Make columns of a run's requests, in order of arrival, or of a plan's problem.

    All of them, or those of some numbers.

    ``end_s`` is when a request's round ended, or online when it was dropped;
    ``latency_s`` the time from arrival to end of computed requests. In a plan ``round``
    is the planned one.

    Returns
    -------
    dict
        ``REQUEST_COLUMNS``, or ``PLAN_REQUEST_COLUMNS`` of a run that followed a plan:
        arrays of shape (K,), or texts and their numbers.
    """
    run = account.run
    number = np.arange(len(run.requests.outcome)) if which is None else which
    requests = run.requests if which is None else run.requests.rows(which)
    dropped = requests.outcome >= DROPPED
    columns: dict[str, Column] = {
        "id": number if names.ids is None else (texts_of(names.ids), requests.user),
        "user": (texts_of(names.users), requests.user),
        "model": (texts_of(account.tables.model_names), requests.model),
        "outcome": (texts_of(OUTCOMES), np.minimum(requests.outcome, DROPPED)),
        "reason": (
            texts_of(run.reasons),
            np.where(dropped, requests.outcome - DROPPED, -1),
        ),
        "round": requests.round,
        "deadline_s": requests.deadline_s,
        "upload_start_s": requests.upload_start_s,
        "upload_end_s": requests.upload_end_s,
        "end_s": requests.end_s,
        "latency_s": np.where(dropped, np.nan, requests.end_s - requests.arrival_s),
    }
    if account.schedule is None:
        computed = requests.round >= 0
        columns["arrival_s"] = requests.arrival_s
        leave_s = account.leave_s(requests)
        columns["compute_start_s"] = np.where(computed, leave_s, np.nan)
        return columns
    round_ = planned_round_of(account)[number]
    ends_s = np.array([*(r.end_s for r in account.schedule.rounds), np.nan])
    users = account.tables.problem.users
    columns["round"] = round_
    columns["release_s"] = requests.arrival_s
    columns["deadline_s"] = np.array([user.deadline_s for user in users])[number]
    columns["planned_end_s"] = ends_s[round_]
    columns["end_s"] = np.where(dropped, np.nan, requests.end_s)
    return columns


def planned_round_of(account: Account) -> Ints:
    """Return the planned round of each request, −1 if unscheduled, shape (K,)."""
    assert account.schedule is not None
    number = {user.id: k for k, user in enumerate(account.tables.problem.users)}
    round_ = np.full(len(number), -1, dtype=np.int64)
    for index, planned in enumerate(account.schedule.rounds):
        for user in planned.users:
            round_[number[user]] = index
    return round_


def round_columns(account: Account, which: Ints | None = None) -> dict[str, Column]:
    """Make columns of a run's rounds, in order: all, or those of some numbers.

    ``chosen`` is the number of requests chosen when the load began, ``batch`` the
    number computed, of these and of those that joined. ``wait_s`` is how long the
    loaded round waited for inputs after the preceding round. In a plan blocks are
    counted here and named in the schedule.

    Returns
    -------
    dict
        ``ROUND_COLUMNS``, or ``PLAN_ROUND_COLUMNS`` of a run that followed a plan, like
        :func:`request_columns`.
    """
    rounds = account.run.rounds
    number = np.arange(len(rounds.model)) if which is None else which
    waited_s = wait_s(rounds, which)
    rounds = rounds if which is None else rounds.rows(which)
    columns: dict[str, Column] = {
        "round": number,
        "model": (texts_of(account.tables.model_names), rounds.model),
        "chosen": rounds.chosen,
        "batch": rounds.batch,
        "loaded_bytes": rounds.loaded_bytes,
        "reused_bytes": rounds.reused_bytes,
        "load_start_s": rounds.load_start_s,
        "load_s": rounds.load_s,
        "wait_s": waited_s,
        "compute_start_s": rounds.compute_start_s,
        "compute_s": rounds.compute_s,
        "end_s": rounds.end_s,
    }
    if account.schedule is not None:
        planned = [account.schedule.rounds[r] for r in number.tolist()]
        columns["planned_batch"] = _whole(planned, "users")
        columns["loaded_blocks"] = _whole(planned, "loaded_blocks")
        for name in ("load_start_s", "load_s", "compute_start_s", "compute_s", "end_s"):
            columns[f"planned_{name}"] = np.array(
                [getattr(r, name) for r in planned], dtype=np.float64
            )
    return columns


def _whole(rounds: Sequence[Round], name: str) -> Ints:
    return np.array([len(getattr(r, name)) for r in rounds], dtype=np.int64)


def request_order(account: Account) -> tuple[str, ...]:
    """Columns of a run's requests, as the file has them."""
    return REQUEST_COLUMNS if account.schedule is None else PLAN_REQUEST_COLUMNS


def round_order(account: Account) -> tuple[str, ...]:
    """Columns of a run's rounds, as the file has them."""
    return ROUND_COLUMNS if account.schedule is None else PLAN_ROUND_COLUMNS


def dump_header(file: IO[str], kind: str, columns: Sequence[str]) -> None:
    """Write the first line of a table; ``kind`` is ``"solver"`` or ``"policy"``."""
    file.write(",".join(("repeat", kind, *columns)) + "\n")


def dump_requests(
    file: IO[str],
    account: Account,
    names: Labels,
    repeat: int,
    name: str,
    window_s: Window | None = None,
) -> None:
    """Append a row for every request, with the columns of :func:`request_columns`.

    Parameters
    ----------
    file
        The file; its header is already written.
    account, names
        The run.
    repeat, name
        Leading columns: the repeat, and the solver or policy.
    window_s
        Only requests present at some time in [start, end); all by default.
    """
    parts = (
        request_columns(account, names, which)
        for which in _parts(requests_in(account.run, window_s))
    )
    write_parts(file, f"{repeat},{cell(name)}", parts, request_order(account))


def dump_rounds(
    file: IO[str],
    account: Account,
    repeat: int,
    name: str,
    window_s: Window | None = None,
) -> None:
    """Append a row for every round, with the columns of :func:`round_columns`.

    Parameters
    ----------
    file
        The file; its header is already written.
    account
        The run.
    repeat, name
        Leading columns: the repeat, and the solver or policy.
    window_s
        Only rounds in flight at some time in [start, end); all by default.
    """
    parts = (
        round_columns(account, which)
        for which in _parts(rounds_in(account.run, window_s))
    )
    write_parts(file, f"{repeat},{cell(name)}", parts, round_order(account))


def _parts(chosen: Mask) -> Iterator[Ints]:
    """Divide the numbers of the chosen rows, a long table into several parts."""
    for rows in blocks_of(len(chosen), CHUNK_ROWS):
        yield rows.start + np.flatnonzero(chosen[rows])


def requests_in(run: Run, window_s: Window | None) -> Mask:
    """Mask of requests present at some time in [start, end), shape (K,)."""
    return _in_window(run.requests.arrival_s, run.requests.end_s, window_s)


def rounds_in(run: Run, window_s: Window | None) -> Mask:
    """Mask of rounds in flight at some time in [start, end), shape (R,)."""
    return _in_window(run.rounds.load_start_s, run.rounds.end_s, window_s)


def _in_window(starts_s: Floats, ends_s: Floats, window_s: Window | None) -> Mask:
    if window_s is None:
        return np.ones(len(starts_s), dtype=np.bool_)
    overlaps: Mask = (starts_s < window_s[1]) & (ends_s >= window_s[0])
    return overlaps
