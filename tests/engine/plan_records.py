"""Runs of plans as records, one a request and one a round, for tests to read."""

from __future__ import annotations

from dataclasses import dataclass

from edgesim.engine.noise import Realisation
from edgesim.engine.plan import simulate_plan
from edgesim.measures.account import Account
from edgesim.results.tables import (
    Labels,
    planned_round_of,
    request_columns,
    round_columns,
)
from solvers import Problem, Schedule
from solvers.core.tables import Tables


@dataclass(frozen=True)
class RequestRecord:
    """What became of one request; None where the event never happened."""

    id: str
    model: str
    release_s: float
    deadline_s: float
    outcome: str
    reason: str | None
    round: int | None
    upload_start_s: float | None
    upload_end_s: float | None
    planned_end_s: float | None
    end_s: float | None
    latency_s: float | None


@dataclass(frozen=True)
class RoundRecord:
    """One load and one batch, as planned and as they went."""

    model: str
    users: tuple[str, ...]
    planned_users: tuple[str, ...]
    loaded_blocks: tuple[str, ...]
    loaded_bytes: int
    reused_bytes: int
    planned_load_start_s: float
    planned_compute_start_s: float
    planned_end_s: float
    load_start_s: float
    load_s: float
    compute_start_s: float
    compute_s: float
    end_s: float
    wait_s: float
    before_end_s: float

    @property
    def load_end_s(self) -> float:
        """When the model was loaded."""
        return self.load_start_s + self.load_s


@dataclass(frozen=True)
class Band:
    """A band that one user held for a while."""

    user: str
    start_s: float
    end_s: float
    hz: float


@dataclass(frozen=True)
class Records:
    """A run's records: requests in the problem's order, rounds and bands in time."""

    requests: tuple[RequestRecord, ...]
    rounds: tuple[RoundRecord, ...]
    uploads: tuple[Band, ...]


def account_of(
    problem: Problem, schedule: Schedule, noise: Realisation | None = None
) -> Account:
    """Run a plan and account for it."""
    tables = Tables(problem)
    run = simulate_plan(problem, schedule, noise, tables)
    return Account(run, tables, schedule)


def run_plan(
    problem: Problem, schedule: Schedule, noise: Realisation | None = None
) -> Records:
    """Run a plan and read its tables as records."""
    return records_of(account_of(problem, schedule, noise))


def records_of(account: Account) -> Records:
    """Read the tables of a plan's run as records."""
    schedule = account.schedule
    assert schedule is not None
    ids = [user.id for user in account.tables.problem.users]
    log = account.run.requests
    computed = [
        tuple(u for u in r.users if log.round[ids.index(u)] == index)
        for index, r in enumerate(schedule.rounds)
    ]
    requests = _rows(request_columns(account, Labels(ids, ids)))
    rounds = _rows(round_columns(account))
    ends_s = [0.0, *(row["end_s"] for row in rounds)]
    bands = account.run.bands
    assert planned_round_of(account).shape == (len(ids),)
    return Records(
        tuple(_made(RequestRecord, row) for row in requests),
        tuple(
            _made(
                RoundRecord,
                row
                | {
                    "users": users,
                    "planned_users": planned.users,
                    "loaded_blocks": planned.loaded_blocks,
                    "before_end_s": before_end_s,
                },
            )
            for row, users, planned, before_end_s in zip(
                rounds, computed, schedule.rounds, ends_s, strict=False
            )
        ),
        tuple(
            Band(ids[k], *times)
            for k, *times in zip(
                bands.request.tolist(),
                bands.start_s.tolist(),
                bands.end_s.tolist(),
                bands.hz.tolist(),
                strict=True,
            )
        ),
    )


def _made(kind, row):  # type: ignore[no-untyped-def]
    return kind(**{name: row[name] for name in kind.__dataclass_fields__})


def _rows(columns):  # type: ignore[no-untyped-def]
    """Turn columns into one dict a row; what a table leaves empty is None."""
    lists = {}
    for name, column in columns.items():
        if isinstance(column, tuple):
            texts, numbers = column
            lists[name] = [texts[n] or None for n in numbers.tolist()]
        elif name == "round" and column.dtype.kind == "i":
            lists[name] = [None if n < 0 else n for n in column.tolist()]
        else:
            lists[name] = [None if v != v else v for v in column.tolist()]
    return [
        dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
    ]
