"""The tables of an online run: one row a request, one row a round.

Rows are appended run by run, so that no two runs need be in memory. The same run gives
the same bytes: columns and rows in a fixed order, numbers by ``repr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.records import DROPPED, Floats, OnlineRun
from edgesim.online.csv_columns import cell, chunks, quoted, write_rows
from edgesim.online.gpu_time import loaded_until_s
from edgesim.online.measures import Account

REQUEST_COLUMNS = (
    "repeat",
    "policy",
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
    "repeat",
    "policy",
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


def dump_header(file: IO[str], columns: Sequence[str]) -> None:
    """Write the first line of a table."""
    file.write(",".join(columns) + "\n")


def dump_requests(
    file: IO[str],
    account: Account,
    users: Sequence[str],
    repeat: int,
    policy: str,
    window_s: Window | None = None,
) -> None:
    """Append a row for every request, in order of arrival.

    ``id`` is the request's number. ``end_s`` is when its round ended or it was dropped,
    ``latency_s`` the time from arrival to end of those computed.

    Parameters
    ----------
    file
        The file; its header, ``REQUEST_COLUMNS``, is there.
    account
        The run.
    users
        Names of users, by number.
    repeat, policy
        Leading columns.
    window_s
        Only requests that are there at some time in [start, end); all by default.
    """
    run = account.run
    columns = run.requests
    names, models = quoted(users), quoted(account.tables.model_names)
    reasons, outcomes = quoted(run.reasons), quoted(OUTCOMES)
    for rows in chunks(np.flatnonzero(requests_in(run, window_s))):
        outcome, round_ = columns.outcome[rows], columns.round[rows]
        arrival_s, end_s = columns.arrival_s[rows], columns.end_s[rows]
        dropped = outcome >= DROPPED
        write_rows(
            file,
            f"{repeat},{cell(policy)}",
            [
                rows,
                (names, columns.user[rows]),
                (models, columns.model[rows]),
                (outcomes, np.minimum(outcome, DROPPED)),
                (reasons, np.where(dropped, outcome - DROPPED, -1)),
                round_,
                arrival_s,
                columns.deadline_s[rows],
                columns.upload_start_s[rows],
                columns.upload_end_s[rows],
                np.where(round_ >= 0, account.leave_s[rows], np.nan),
                end_s,
                np.where(dropped, np.nan, end_s - arrival_s),
            ],
        )


def dump_rounds(
    file: IO[str],
    account: Account,
    repeat: int,
    policy: str,
    window_s: Window | None = None,
) -> None:
    """Append a row for every round, in order.

    ``chosen`` requests were chosen when the load began, ``batch`` of them and of those
    that joined were computed. ``wait_s`` is how long the loaded round waited for
    inputs, the round before over.

    Parameters
    ----------
    file
        The file; its header, ``ROUND_COLUMNS``, is there.
    account
        The run.
    repeat, policy
        Leading columns.
    window_s
        Only rounds in hand at some time in [start, end); all by default.
    """
    rounds = account.run.rounds
    wait_s = rounds.compute_start_s - loaded_until_s(rounds)
    models = quoted(account.tables.model_names)
    for rows in chunks(np.flatnonzero(rounds_in(account.run, window_s))):
        write_rows(
            file,
            f"{repeat},{cell(policy)}",
            [
                rows,
                (models, rounds.model[rows]),
                rounds.chosen[rows],
                rounds.batch[rows],
                rounds.loaded_bytes[rows],
                rounds.reused_bytes[rows],
                rounds.load_start_s[rows],
                rounds.load_s[rows],
                wait_s[rows],
                rounds.compute_start_s[rows],
                rounds.compute_s[rows],
                rounds.end_s[rows],
            ],
        )


def requests_in(run: OnlineRun, window_s: Window | None) -> Mask:
    """Which requests are there at some time in [start, end), shape (K,)."""
    return _in_window(run.requests.arrival_s, run.requests.end_s, window_s)


def rounds_in(run: OnlineRun, window_s: Window | None) -> Mask:
    """Which rounds are in hand at some time in [start, end), shape (R,)."""
    return _in_window(run.rounds.load_start_s, run.rounds.end_s, window_s)


def _in_window(starts_s: Floats, ends_s: Floats, window_s: Window | None) -> Mask:
    if window_s is None:
        return np.ones(len(starts_s), dtype=np.bool_)
    there: Mask = (starts_s < window_s[1]) & (ends_s >= window_s[0])
    return there
