"""Long runs: records go to files as they end, and memory holds who is there."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import pytest

from edgesim.engine import records, request
from edgesim.engine.policies.in_order import Edf
from edgesim.engine.policy import Policy, View
from edgesim.engine.records import IN_TIME, Log, Run
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import simulate
from edgesim.engine.settings import Settings
from edgesim.storage import column_files
from solvers.core.tables import Tables
from tests.engine.handmade import make_problem, seeded_run, seeded_tables

NAN = float("nan")


@pytest.fixture
def few_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables of a few rows go to files already."""
    for module in (column_files, records):
        monkeypatch.setattr(module, "IN_MEMORY_ROWS", 7)


def _columns(run: Run) -> dict[str, bytes]:
    return {
        f"{log}.{column.name}": getattr(getattr(run, log), column.name).tobytes()
        for log in ("requests", "rounds")
        for column in fields(getattr(records, f"{log.title()[:-1]}Log"))
    } | {"busy_s": run.busy_s.tobytes()}


@pytest.mark.parametrize("seed", range(8))
def test_records_in_files_are_those_in_memory(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, whatever the rules, and however the requests end."""
    tables = seeded_tables(seed)
    plain = seeded_run(seed, tables)
    for module in (column_files, records):
        monkeypatch.setattr(module, "IN_MEMORY_ROWS", 7)
    stored = seeded_run(seed, tables)
    assert "_columns" in vars(stored.requests)
    assert _columns(stored) == _columns(plain)
    assert _columns(stored.at_hand()) == _columns(plain)
    some = np.array([3, 1, 20])
    assert np.array_equal(
        stored.requests.rows(some).arrival_s, plain.requests.arrival_s[some]
    )
    assert stored.rounds.rows(slice(1, 4)).model.tolist() == (
        plain.rounds.model[1:4].tolist()
    )
    with pytest.raises(AttributeError):
        _ = stored.requests.outcomes  # type: ignore[attr-defined]


@pytest.mark.usefixtures("few_in_memory")
@pytest.mark.parametrize(
    "numbers", [(0, *range(19)), (*range(19), 20), tuple(range(1, 20))]
)
def test_a_request_has_one_outcome_only(numbers: Sequence[int]) -> None:
    """A mistake of the engine cannot pass unseen in files either."""
    log = Log()
    for number in numbers:
        log.request((number, 0, 0, 0.0, 1.0, NAN, NAN, -1, 0.5, IN_TIME))
    with pytest.raises(AssertionError, match="no outcome, or two"):
        log.run([])


def _arrivals(count: int) -> Iterator[Arrival]:
    """Yield requests, every other one with much time, that are served at once."""
    for k in range(count):
        yield Arrival(2.0 * k, k % 2, k % 2, 0.01, 1e6 if k % 2 else 5.0)


class Own(Policy):
    """A policy that is not one of edgesim's own, so that its requests are checked."""

    def choose(self, server: View) -> Sequence[ActiveRequest] | None:
        """Serve all of the first model that has any."""
        return next((queue[:1] for queue in server.waiting if queue), None)


@pytest.mark.parametrize("uplink", ["fifo", "edf", "equal-share"])
@pytest.mark.parametrize("policy", [Edf, Own])
def test_memory_does_not_grow_with_the_requests_served(
    uplink: str, policy: type[Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the requests take the same memory, but for a byte or two each."""
    for module in (column_files, records):
        monkeypatch.setattr(module, "IN_MEMORY_ROWS", 500)
    monkeypatch.setattr(column_files, "_TURNED_ROWS", 500)
    monkeypatch.setattr(request, "_SPARE", 64)
    monkeypatch.setattr(Own, "__module__", "own")
    tables = Tables(make_problem())
    settings = Settings(uplink=uplink)  # type: ignore[arg-type]
    peaks, sizes = [], (3_000, 12_000)
    for count in sizes:
        tracemalloc.start()
        run = simulate(tables, _arrivals(count), policy(), settings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (run.requests.outcome == IN_TIME).all()
    assert (peaks[1] - peaks[0]) / (sizes[1] - sizes[0]) < 2
