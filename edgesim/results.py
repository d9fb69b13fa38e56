"""The tables a run writes: one row a request, one row a round.

The same records give the same bytes: columns and rows in a fixed order, numbers by
``repr``, nothing (None) as an empty cell.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeAlias

from edgesim.engine.plan import Run
from edgesim.files import write_whole

Cell: TypeAlias = str | int | float | None
Row: TypeAlias = Mapping[str, Cell]

REQUEST_COLUMNS = (
    "repeat",
    "solver",
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

ROUND_COLUMNS = (
    "repeat",
    "solver",
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


def request_rows(run: Run, **keys: Cell) -> Iterator[Row]:
    """Yield a row for every request, in the problem's order.

    Parameters
    ----------
    run
        The run.
    keys
        Leading columns: ``repeat`` and ``solver``.
    """
    for record in run.requests:
        yield keys | {
            "id": record.id,
            "user": record.user,
            "model": record.model,
            "outcome": record.outcome,
            "reason": record.reason,
            "round": record.round,
            "release_s": record.release_s,
            "deadline_s": record.deadline_s,
            "upload_start_s": record.upload_start_s,
            "upload_end_s": record.upload_end_s,
            "planned_end_s": record.planned_end_s,
            "end_s": record.end_s,
            "latency_s": record.latency_s,
        }


def round_rows(run: Run, **keys: Cell) -> Iterator[Row]:
    """Yield a row for every round, in order, planned beside actual.

    Users of a round are those requests whose ``round`` is its number; blocks are
    counted here and named in the schedule.

    Parameters
    ----------
    run
        The run.
    keys
        Leading columns: ``repeat`` and ``solver``.
    """
    for record in run.rounds:
        yield keys | {
            "round": record.index,
            "model": record.model,
            "planned_batch": len(record.planned_users),
            "batch": len(record.users),
            "loaded_blocks": len(record.loaded_blocks),
            "loaded_bytes": record.loaded_bytes,
            "reused_bytes": record.reused_bytes,
            "planned_load_start_s": record.planned_load_start_s,
            "load_start_s": record.load_start_s,
            "planned_load_s": record.planned_load_s,
            "load_s": record.load_s,
            "planned_compute_start_s": record.planned_compute_start_s,
            "compute_start_s": record.compute_start_s,
            "wait_s": record.wait_s,
            "planned_compute_s": record.planned_compute_s,
            "compute_s": record.compute_s,
            "planned_end_s": record.planned_end_s,
            "end_s": record.end_s,
        }


def write_csv(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path
        The file; one that is there is replaced.
    rows
        One mapping from column to value a row.
    columns
        The header, in order.

    Raises
    ------
    ValueError
        When a row does not have exactly these columns.
    InputError
        When the file cannot be written.
    """
    with write_whole(path) as file:
        dump_csv(file, rows, columns)


def dump_csv(file: IO[str], rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Write a table into an open file, as :func:`write_csv` does."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if row.keys() != set(columns):
            odd = sorted(row.keys() ^ set(columns))
            raise ValueError(
                f"a row must have the columns of the table, differs in {odd}"
            )
        writer.writerow([_cell(row[column]) for column in columns])


def write_requests(path: Path, rows: Iterable[Row]) -> None:
    """Write ``requests.csv``."""
    write_csv(path, rows, REQUEST_COLUMNS)


def write_rounds(path: Path, rows: Iterable[Row]) -> None:
    """Write ``rounds.csv``."""
    write_csv(path, rows, ROUND_COLUMNS)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    # numpy's repr names its type; a plain float's is the shortest that reads back.
    return repr(float(value)) if isinstance(value, float) else str(value)
