"""What stays in memory: evictions worked out by hand, and rules no round breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from solvers import UPLINKS, Problem, verify
from solvers.core.residency import enter, next_uses, start, steps
from solvers.core.tables import PlannedRound, Tables
from solvers.core.timing import make_schedule, time_rounds
from tests.solvers.strategies import planned, seeded_plan

MANY = settings(
    max_examples=250,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

SMALL = planned(
    deadlines="any", min_users=7, max_users=9, horizon=(20, 80), extensions=True
)
EXTENDED = st.one_of(SMALL, st.integers(0, 10**6).map(seeded_plan))


def tables(
    memory: int | None,
    models: dict[str, str],
    *,
    sharing: bool = True,
    activations: dict[str, int] | None = None,
    **rules: Any,
) -> Tables:
    """Build models of blocks of one letter, each of 2 bytes and 1 s, a user a model."""
    letters = sorted({letter for held in models.values() for letter in held})
    return Tables(
        Problem.model_validate(
            {
                "name": "hand",
                "bandwidth_hz": 1.0,
                "gpu_memory_bytes": memory,
                "residency": "cache",
                "blocks": {b: {"bytes": 2, "load_s": 1.0} for b in letters},
                "models": {
                    name: {
                        "blocks": list(held),
                        "latency_s": [1.0],
                        "activation_bytes": [(activations or {}).get(name, 1)],
                    }
                    for name, held in models.items()
                },
                "users": [
                    {
                        "id": name,
                        "model": name,
                        "input_bits": 1e-3,
                        "spectral_efficiency": 1.0,
                        "deadline_s": 99.0,
                    }
                    for name in models
                ],
                **rules,
            }
        ),
        sharing=sharing,
    )


def rounds_of(found: Tables, models: str) -> list[PlannedRound]:
    """Plan rounds of one user each, models being named by one letter."""
    numbers = [found.model_names.index(name) for name in models]
    return [PlannedRound(m, (m,)) for m in numbers]


def loads(found: Tables, models: str) -> list[str]:
    """Return the blocks that each round loads."""
    planned_rounds = rounds_of(found, models)
    return [
        "".join(found.blocks_of(m, step.loaded))
        for (m, _), step in zip(
            planned_rounds, steps(found, planned_rounds), strict=True
        )
    ]


# A and B share the stem s. Memory of 7 bytes holds three blocks and an activation.
RELATIVES = {"A": "sa", "B": "sb", "C": "c"}


@pytest.mark.parametrize(
    ("eviction", "expected"),
    [
        # a is older than c and goes for b; then c goes for a, b for c and a for b.
        ("lru", ["sa", "c", "b", "a", "c", "b"]),
        # c is used later than a and goes for b; then a, never used again, for c.
        ("furthest-next-use", ["sa", "c", "b", "", "c", ""]),
    ],
)
def test_evictions_by_hand(eviction, expected):
    """A, C, B twice in memory for three blocks of 2 bytes and 1 byte of activations."""
    found = tables(7, RELATIVES, eviction=eviction)
    assert loads(found, "ACBACB") == expected


@pytest.mark.parametrize(
    ("eviction", "expected"),
    [("lru", ["b", "c", "a"]), ("furthest-next-use", ["b", "c", ""])],
)
def test_a_resident_model_is_the_first_to_go_or_waits_for_its_use(eviction, expected):
    """A is resident, C needs the room: lru evicts A, which the third round wants."""
    models = {"A": "a", "B": "b", "C": "c"}
    found = tables(5, models, resident_model="A", eviction=eviction)
    assert loads(found, "BCA") == expected


@pytest.mark.parametrize("eviction", ["lru", "furthest-next-use"])
def test_ties_go_to_the_first_that_a_model_names(eviction):
    """B evicts one of three atoms used last at the same time, and never used again.

    Listed blocks are in the order z, y, x in A; y and x alone are atoms of their own
    because D and E hold them.
    """
    models = {"A": "zyx", "B": "b", "D": "y", "E": "x"}
    found = tables(7, models, eviction=eviction)
    evicted = []
    for last in "DE":
        memory = steps(found, rounds_of(found, "AB"))[-1].memory
        evicted.append(found.atoms_of[found.model_names.index(last)] <= {*memory.atoms})
    assert evicted == [True, True]
    gone = found.atoms_of[0] - {*memory.atoms}
    assert [found.atom_blocks[atom] for atom in gone] == [("z",)]


def test_blocks_with_the_same_holders_go_together():
    """One atom of 4 bytes is evicted where 2 would do; a third model splits it."""
    models = {"A": "xy", "B": "b"}
    assert loads(tables(5, models), "ABA") == ["xy", "b", "xy"]
    assert loads(tables(5, models | {"D": "y"}), "ABA") == ["xy", "b", "x"]


def test_without_sharing_models_have_blocks_to_themselves():
    """Two relatives of 4 bytes each need 9 bytes with an activation, not 7."""
    for memory, third in ((8, "sa"), (9, "")):
        found = tables(memory, RELATIVES, sharing=False)
        assert loads(found, "ABA") == ["sa", "sb", third]
    assert loads(tables(7, RELATIVES), "ABA") == ["sa", "b", ""]


def test_previous_keeps_the_round_before_and_no_more():
    """Whatever memory allows, only blocks of the round before are there."""
    found = tables(None, RELATIVES, residency="previous")
    assert loads(found, "ABCA") == ["sa", "b", "c", "sa"]
    assert loads(tables(None, RELATIVES), "ABCA") == ["sa", "b", "c", ""]


def times(found: Tables, models: str) -> list[tuple[float, float]]:
    """Return load start and compute start of each round, uploads taking no time."""
    timing = time_rounds(found, rounds_of(found, models), "dynamic")
    return [
        (round(load_s, 2), round(start_s, 2))
        for load_s, start_s in zip(
            timing.load_start_s.tolist(), timing.compute_start_s.tolist(), strict=True
        )
    ]


def test_overlap_by_hand():
    """Loads of 2, 1 and 1 s, batches of 1 s: each load runs beside the batch before.

    The third waits for the first round to end at 3 s, which the second load does not.
    """
    found = tables(7, {"A": "xa", "B": "b", "C": "c"}, overlap=True)
    assert times(found, "ABC") == [(0, 2), (2, 3), (3, 4)]
    # A slow first batch: the second is loaded at 3 s, the third waits until 7 s.
    slow = found.problem.models["A"].model_copy(update={"latency_s": (5.0,)})
    models = {**found.problem.models, "A": slow}
    found = Tables(found.problem.model_copy(update={"models": models}))
    assert times(found, "ABC") == [(0, 2), (2, 7), (7, 8)]


def test_overlap_needs_room_for_both():
    """B beside A and A's activations takes 4 + 2 + 1 bytes; with 6 its load waits."""
    models = {"A": "xa", "B": "b"}
    assert times(tables(7, models, overlap=True), "AB") == [(0, 2), (2, 3)]
    assert times(tables(6, models, overlap=True), "AB") == [(0, 2), (3, 4)]


def test_what_is_computed_is_not_evicted_for_the_next_load():
    """C runs beside B: A's block goes, though A comes back and B does not."""
    models = {"A": "a", "B": "b", "C": "c"}
    rules = {"eviction": "furthest-next-use"}
    assert loads(tables(5, models, **rules), "ABCA") == ["a", "b", "c", ""]
    overlapped = tables(5, models, overlap=True, **rules)
    assert loads(overlapped, "ABCA") == ["a", "b", "c", "a"]


def test_overlap_with_a_cache_may_end_later():
    """The counter-example: A's activations cost X, which takes long to load again.

    X takes 12 bytes and 6 s. Waiting: 6 + 1, 1 + 1, 1 + 1 and 1 s. Overlapping, B's
    load during A's batch needs 2 + 2 + 3 bytes of 17, so X is loaded from 8 to 14 s.
    """
    models = {"X": "uvwxyz", "A": "a", "B": "b"}
    activations = {"A": 3}
    ends = []
    for overlap in (False, True):
        found = tables(17, models, activations=activations, overlap=overlap)
        timing = time_rounds(found, rounds_of(found, "XABX"), "dynamic")
        ends.append(timing.end_s[-1])
    assert ends == [pytest.approx(12, abs=0.1), pytest.approx(15, abs=0.1)]


def test_next_uses():
    """The next round after r that needs an atom; never is infinity."""
    found = tables(None, RELATIVES)
    next_use = next_uses(found, [0, 2, 1, 0])
    (stem,) = found.atoms_of[0] & found.atoms_of[1]
    (only_b,) = found.atoms_of[1] - found.atoms_of[0]
    assert [next_use(stem, r) for r in range(4)] == [2, 2, 3, float("inf")]
    assert [next_use(only_b, r) for r in range(3)] == [2, 2, float("inf")]


def test_steps_are_entered_one_by_one():
    """With lru ``steps`` is ``enter`` after ``enter``: what greedy builds on."""
    found = tables(7, RELATIVES)
    memory = start(found)
    for (model, users), step in zip(
        rounds_of(found, "ACBCA"), steps(found, rounds_of(found, "ACBCA")), strict=True
    ):
        assert enter(found, memory, model, len(users)) == step
        memory = step.memory


def test_steps_know_the_next_use_of_every_atom():
    """With furthest-next-use ``steps`` is ``enter`` with :func:`next_uses`."""
    found = changed(tables(7, RELATIVES), eviction="furthest-next-use")
    planned = rounds_of(found, "ACBCABBCAACB")
    next_use = next_uses(found, [r.model for r in planned])
    memory, evicted = start(found), 0
    for r, ((model, users), step) in enumerate(
        zip(planned, steps(found, planned), strict=True)
    ):

        def use(atom, r=r):
            return next_use(atom, r)

        assert enter(found, memory, model, len(users), use) == step
        evicted += len(set(memory.atoms) - set(step.memory.atoms))
        memory = step.memory
    assert evicted > 2


def changed(found: Tables, **rules: object) -> Tables:
    """Change residency, eviction or overlap."""
    return Tables(found.problem.model_copy(update=rules), sharing=found.sharing)


def bytes_of(found: Tables, atoms: set[int]) -> int:
    """Add up sizes."""
    return sum(found.atom_bytes[atom] for atom in atoms)


@pytest.mark.parametrize("sharing", [True, False])
def test_memory_is_never_exceeded(sharing):
    """What a round leaves in memory fits beside its batch, and beside the one before.

    Nothing is there that was not there before and is not the round's; all the round
    needs is there; what is evicted had to go, one atom less would not have done.
    """
    seen: Counter = Counter()

    @MANY
    @given(EXTENDED)
    def check(case):
        found, rounds = Tables(case[0].problem, sharing=sharing), case[1]
        limit = found.problem.gpu_memory_bytes
        before, batch_before = set(found.initial_atoms), 0
        computed: set[int] = set()
        for (model, users), step in zip(rounds, steps(found, rounds), strict=True):
            needed = set(found.atoms_of[model])
            after = set(step.memory.atoms)
            assert len(after) == len(step.memory.atoms)
            assert step.loaded == needed - before
            assert needed <= after <= before | needed
            batch = found.activation_bytes(model, len(users))
            beside = bytes_of(found, computed | needed) + batch_before
            may = limit is None or beside <= limit
            assert step.ahead == (found.problem.overlap and bool(computed) and may)
            if limit is not None:
                assert bytes_of(found, after) + batch <= limit
                if step.ahead:
                    assert bytes_of(found, after | computed) + batch_before <= limit
            gone = before - after
            seen["evicted"] += bool(gone) and found.problem.residency == "cache"
            seen["ahead"] += step.ahead
            before, computed, batch_before = after, needed, batch

    check()
    assert min(seen["evicted"], seen["ahead"]) >= 50


@pytest.mark.parametrize("sharing", [True, False])
def test_a_cache_never_loads_more_than_previous(sharing):
    """Round by round; so they end no later, and are feasible if they were."""
    seen: Counter = Counter()

    @MANY
    @given(EXTENDED)
    def check(case):
        cached = Tables(
            case[0].problem.model_copy(update={"residency": "cache"}), sharing=sharing
        )
        plain = changed(cached, residency="previous")
        less = [
            more.loaded - fewer.loaded
            for fewer, more in zip(
                steps(cached, case[1]), steps(plain, case[1]), strict=True
            )
        ]
        for fewer, more in zip(
            steps(cached, case[1]), steps(plain, case[1]), strict=True
        ):
            assert fewer.loaded <= more.loaded
            assert fewer.ahead == more.ahead
        seen["less"] += any(less)
        no_later(cached, plain, case[1], seen)

    check()
    assert min(seen["less"], seen["earlier"]) >= 20


def test_overlap_never_delays_with_residency_previous():
    """The loads are the same, and may only start earlier."""
    seen: Counter = Counter()

    @MANY
    @given(EXTENDED)
    def check(case):
        plain = changed(case[0], residency="previous", overlap=False)
        no_later(changed(plain, overlap=True), plain, case[1], seen)

    check()
    assert seen["earlier"] >= 20


def no_later(
    one: Tables, other: Tables, rounds: Sequence[PlannedRound], seen: Counter
) -> None:
    """Check that rounds start no later by one set of rules than by another."""
    for uplink in UPLINKS:
        better, worse = (time_rounds(found, rounds, uplink) for found in (one, other))
        if worse is None:
            continue
        assert better is not None
        if uplink != "static":  # it moves starts as far as the band allows, no further
            assert (better.end_s <= worse.end_s + 1e-9).all()
            seen["earlier"] += (better.end_s < worse.end_s - 1e-6).any()


@pytest.mark.parametrize("uplink", UPLINKS)
def test_both_readings_of_the_rules_agree(uplink):
    """What is timed by this module's rules the judge, with its own, accepts."""
    seen: Counter = Counter()

    @MANY
    @given(EXTENDED)
    def check(case):
        for sharing in (True, False):
            found = Tables(case[0].problem, sharing=sharing)
            schedule = make_schedule(found, case[1], uplink, solver="test", bound=None)
            if schedule is not None:
                verify(found.problem, schedule, sharing=sharing)
                rules = found.problem.residency, found.problem.overlap
                seen[rules] += len(schedule.rounds) > 1

    check()
    assert len(seen) == 4
    assert min(seen.values()) >= 10
