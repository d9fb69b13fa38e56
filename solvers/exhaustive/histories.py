"""Exhaustive search where a load depends on all rounds before: overlap, LRU cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from solvers.core.algorithm import Solution
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.residency import Memory, enter, start
from solvers.core.tables import PlannedRound, Rounds, Tables, count_users
from solvers.core.timing import rank, upload_end_s
from solvers.errors import RefusalError
from solvers.exhaustive.batches import batches
from solvers.tolerance import granted
from solvers.uplink import Uplink

MOST_LABELS = 1_000_000
"""Most labels, or rounds between states, that are made."""

Costs = tuple[float, ...]


class State(NamedTuple):
    """What decides which rounds may follow, and what they load."""

    served: int
    memory: Memory


class Edge(NamedTuple):
    """A round from one state to another; ``ahead`` as in a residency's step."""

    planned: PlannedRound
    load_s: float
    ahead: bool
    after: State


@dataclass(frozen=True)
class Label:
    """Costs to minimise, the round that was added, and the label it was added to."""

    costs: Costs
    round: PlannedRound | None = None
    other: Label | None = None

    def rounds(self) -> Iterator[PlannedRound]:
        """Give the rounds, the one that was added last first."""
        label: Label | None = self
        while label is not None and label.round is not None:
            yield label.round
            label = label.other


@dataclass
class _Fronts:
    """Labels that no other of the same key is as good as in every cost."""

    limit: Limit = UNLIMITED
    made: int = 0
    by_key: dict[object, list[Label]] = field(default_factory=dict)

    def add(self, key: object, new: Label) -> None:
        """Add a label, unless there are too many.

        Raises
        ------
        RefusalError
            If more than ``MOST_LABELS`` were added.
        """
        self.limit.check()
        self.made += 1
        if self.made > MOST_LABELS:
            raise _too_many()
        labels = self.by_key.setdefault(key, [])
        if any(_as_good(old.costs, new.costs) for old in labels):
            return
        labels[:] = [old for old in labels if not _as_good(new.costs, old.costs)]
        labels.append(new)


def solve(tables: Tables, uplink: Uplink, limit: Limit = UNLIMITED) -> Solution:
    """Serve the maximum number of users over all sequences of rounds.

    A state is the set of served users and the contents of memory in their order of use;
    with overlap also the model and the batch of the last round. It decides what a next
    round loads, and whether it may load ahead. Each state keeps the labels that are not
    dominated. From the first round on, their costs are

    - ``dynamic``: when a load that runs ahead may start (the end of the last load and
      of the round before the last), and the end of the last round;
    - ``upfront``: the same, counted from the end of the uploads, and the negated
      minimum slack of the rounds so far, to compare with the upload time of the set.

    Under ``static`` a batch that starts later takes less band, so labels are made from
    the last round back, over the states that can be reached at all. Their costs are the
    negated latest end of the round before, the negated latest end of its load, and the
    band used; those that serve as many users more are compared.

    Labels may use all that a proof grants, as in :mod:`solvers.exhaustive.sets`.

    O(3^K · memories) states and rounds, for each of which labels are made.

    Raises
    ------
    RefusalError
        If there are more than ``MOST_LABELS`` labels.
    """
    static = uplink == "static"
    found = _backwards(tables, limit) if static else _forwards(tables, uplink, limit)
    best: Rounds = []
    most = max(found)
    for served in sorted(found, reverse=True):
        if best and served < count_users(best):
            break
        best = min([best, *found[served]], key=lambda r: rank(tables, r, uplink))
    proven = most == count_users(best)
    return Solution(best, proven=proven, bound=None if proven else most)


def _forwards(tables: Tables, uplink: Uplink, limit: Limit) -> dict[int, list[Rounds]]:
    """Give the rounds of the labels that are kept, by number of users served."""
    step = _upfront if uplink == "upfront" else _dynamic
    fronts = _Fronts(limit)
    first = State(0, _essential(tables, start(tables)))
    fronts.add(first, Label((0.0, 0.0, -float("inf"))))
    waiting: dict[int, set[State]] = {0: {first}}
    found: dict[int, list[Rounds]] = {}
    for served in range(1 << len(tables.users)):
        for state in _ordered(waiting.pop(served, ())):
            labels = fronts.by_key.pop(state)
            found.setdefault(served.bit_count(), []).extend(
                [*label.rounds()][::-1] for label in labels
            )
            for edge in _edges(tables, state):
                upload_s = _upload_s(tables, edge.after.served)
                for label in labels:
                    costs = step(tables, edge, label.costs, upload_s)
                    if costs is not None:
                        fronts.add(edge.after, Label(costs, edge.planned, label))
                        waiting.setdefault(edge.after.served, set()).add(edge.after)
    return found


def _backwards(tables: Tables, limit: Limit) -> dict[int, list[Rounds]]:
    """As :func:`_forwards`, from the last round back."""
    edges: dict[State, list[Edge]] = {}
    first = State(0, _essential(tables, start(tables)))
    waiting = [first]
    made = 0
    while waiting:
        limit.check()
        state = waiting.pop()
        if state not in edges:
            edges[state] = list(_edges(tables, state))
            waiting += [edge.after for edge in edges[state]]
            made += len(edges[state])
            if made > MOST_LABELS:
                raise _too_many()
    fronts = _Fronts(limit)
    for state in sorted(edges, key=lambda state: -state.served):
        fronts.add((state, 0), Label((-float("inf"), -float("inf"), 0.0)))
        for edge in edges[state]:
            users = len(edge.planned.users)
            for more in range(len(tables.users) + 1):
                for label in tuple(fronts.by_key.get((edge.after, more), ())):
                    costs = _static(tables, edge, label.costs)
                    if costs is not None:
                        new = Label(costs, edge.planned, label)
                        fronts.add((state, more + users), new)
    return {
        served: [[*label.rounds()] for label in labels]
        for served in range(len(tables.users) + 1)
        if (labels := fronts.by_key.get((first, served)))
    }


def _edges(tables: Tables, state: State) -> Iterator[Edge]:
    for planned, mask in batches(tables, state.served):
        step = enter(tables, state.memory, planned.model, len(planned.users))
        after = State(state.served | mask, _essential(tables, step.memory))
        yield Edge(planned, tables.loads_s(step.loaded), step.ahead, after)


def _essential(tables: Tables, memory: Memory) -> Memory:
    """Leave out the last round where nothing depends on it."""
    return memory if tables.problem.overlap else Memory(memory.atoms)


def _dynamic(tables: Tables, edge: Edge, costs: Costs, upload_s: float) -> Costs | None:
    ahead_s, end_s, _ = costs
    loaded_s = (ahead_s if edge.ahead else end_s) + edge.load_s
    new_s = max(loaded_s, end_s, upload_s) + _compute_s(tables, edge)
    if new_s > _latest_end_s(tables, edge):
        return None
    return _ahead_s(tables, loaded_s, end_s), new_s, 0.0


def _upfront(tables: Tables, edge: Edge, costs: Costs, upload_s: float) -> Costs | None:
    ahead_s, end_s, negated_slack_s = costs
    loaded_s = (ahead_s if edge.ahead else end_s) + edge.load_s
    new_s = max(loaded_s, end_s) + _compute_s(tables, edge)
    slack_s = min(-negated_slack_s, _latest_end_s(tables, edge) - new_s)
    # A superset's uploads only take longer.
    if upload_s > slack_s:
        return None
    return _ahead_s(tables, loaded_s, end_s), new_s, -slack_s


def _static(tables: Tables, edge: Edge, costs: Costs) -> Costs | None:
    before_end_s, before_load_s, band = -costs[0], -costs[1], costs[2]
    end_s = min(_latest_end_s(tables, edge), before_end_s)
    start_s = end_s - _compute_s(tables, edge)
    load_start_s = min(start_s, before_load_s) - edge.load_s
    if start_s <= 0 or load_start_s < 0:
        return None
    band += float(tables.demand_s[list(edge.planned.users)].sum()) / start_s
    if band > granted(1.0):
        return None
    # The round before must end by this batch's start and by the load after this one;
    # by this load too, unless it runs ahead.
    end_s = min(start_s, before_load_s)
    if edge.ahead:
        return -end_s, -load_start_s, band
    return -min(end_s, load_start_s), -float("inf"), band


def _ahead_s(tables: Tables, loaded_s: float, end_s: float) -> float:
    """When a load that runs ahead may start; without overlap none does."""
    return max(loaded_s, end_s) if tables.problem.overlap else 0.0


def _compute_s(tables: Tables, edge: Edge) -> float:
    model, users = edge.planned
    return float(tables.latency_s[model][len(users)])


def _latest_end_s(tables: Tables, edge: Edge) -> float:
    return granted(float(tables.deadline_s[list(edge.planned.users)].min()))


def _upload_s(tables: Tables, served: int) -> float:
    chosen = [int(k) for i, k in enumerate(tables.users) if served >> i & 1]
    return upload_end_s(tables.release_s[chosen], tables.demand_s[chosen])


def _as_good(one: Costs, other: Costs) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def _ordered(states: Iterable[State]) -> list[State]:
    """Order states of one set, so that the same rounds are found every time."""

    def key(state: State) -> tuple[tuple[int, ...], int, int]:
        atoms, model, batch = state.memory
        return atoms, -1 if model is None else model, batch

    return sorted(states, key=key)


def _too_many() -> RefusalError:
    return RefusalError(
        f"exhaustive: more than {MOST_LABELS:,} labels, for the cache or the overlap; "
        f"use branch, or fewer users"
    )
