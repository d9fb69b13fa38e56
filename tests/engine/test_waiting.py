"""Long queues in buckets are lists that are quick in the middle."""

from __future__ import annotations

import random
from bisect import insort

import pytest

from edgesim.engine import request_queue, waiting
from edgesim.engine.records import Run
from edgesim.engine.request import WAITING, ActiveRequest
from edgesim.engine.waiting import LongQueue
from tests.engine.handmade import seeded_run, seeded_tables


def _request(number: int, deadline_s: float) -> ActiveRequest:
    request = ActiveRequest(number, 0, 0, 0.0, deadline_s, deadline_s, 0.0)
    request.state = WAITING
    return request


@pytest.mark.parametrize("seed", range(5))
def test_a_long_queue_is_a_sorted_list(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Insert, remove and look: the same at each step as with a list."""
    monkeypatch.setattr(waiting, "_BUCKET", 4)
    rng = random.Random(seed)
    plain = [_request(0, 5.0)]
    queue = LongQueue(plain[:])
    for number in range(1, 600):
        if plain and rng.random() < (0.2 if number < 300 else 0.7):
            gone = rng.choice([plain[0], plain[-1], rng.choice(plain)])
            plain.remove(gone)
            queue.remove(gone)
        else:
            request = _request(number, rng.choice([1.0, 5.0, rng.uniform(0, 9)]))
            insort(plain, request)
            queue.insert(request)
        assert len(queue) == len(plain)
        assert list(queue) == plain
        for _ in range(3):
            a, b = (rng.randint(-5, len(plain) + 5) for _ in range(2))
            assert queue[a:b] == plain[a:b]
            if plain:
                at = rng.randint(-len(plain), len(plain) - 1)
                assert queue[at] is plain[at]
        assert queue[::-2] == plain[::-2]
    for at in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            _ = queue[at]
    with pytest.raises(ValueError, match="not in the queue"):
        queue.remove(_request(1000, 5.0))
    assert repr(queue) == repr(plain)


def _records(run: Run) -> list[list[float]]:
    return [run.requests.end_s.tolist(), run.requests.outcome.tolist()]


@pytest.mark.parametrize("seed", range(12))
def test_runs_with_long_queues_are_those_with_lists(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a policy of the user's own looks at, chooses and drops."""
    tables = seeded_tables(seed)
    plain = _records(seeded_run(seed, tables, 300))
    monkeypatch.setattr(request_queue, "LONG", 2)
    monkeypatch.setattr(waiting, "_BUCKET", 3)
    found = _records(seeded_run(seed, tables, 300))
    assert str(found) == str(plain)
