"""Where blocks lie in device memory, and for how long."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from edgesim.replay.placement import (
    ALIGN_BYTES,
    BEFORE,
    Stay,
    aligned,
    most_resident_bytes,
    place,
    stays,
)
from tests.replay import cases

ABA = ("net-v01", "net-v02", "net-v01")


def _spans(found: list[Stay]) -> list[tuple[str, int, int]]:
    return [(stay.block, stay.first, stay.last) for stay in found]


def test_previous_keeps_what_the_next_model_shares() -> None:
    """The stem stays for all three rounds, a head for its own round alone."""
    problem = cases.problem(ABA)
    assert _spans(stays(problem, cases.schedule(problem))) == [
        ("net/stem", 0, 2),
        ("net-v01/head", 0, 0),
        ("net-v02/head", 1, 1),
        ("net-v01/head", 2, 2),
    ]


def test_a_cache_keeps_what_memory_allows() -> None:
    """With room for all, nothing leaves; with room for one head, the oldest does."""
    problem = cases.problem(ABA, residency="cache")
    assert _spans(stays(problem, cases.schedule(problem))) == [
        ("net/stem", 0, 2),
        ("net-v01/head", 0, 2),
        ("net-v02/head", 1, 2),
    ]
    tight = cases.problem(
        ABA, residency="cache", gpu_memory_bytes=cases.STEM + cases.HEAD
    )
    assert _spans(stays(tight, cases.schedule(tight))) == [
        ("net/stem", 0, 2),
        ("net-v01/head", 0, 0),
        ("net-v02/head", 1, 1),
        ("net-v01/head", 2, 2),
    ]


def test_without_sharing_each_model_has_a_copy_of_its_own() -> None:
    """The stem comes anew with every change of model, and belongs to that model."""
    problem = cases.problem(("net-v01", "net-v02", "net-v02"))
    schedule = cases.schedule(problem, solver="greedy-noshare")
    assert not schedule.sharing
    found = stays(problem, schedule)
    assert _spans(found) == [
        ("net/stem", 0, 0),
        ("net-v01/head", 0, 0),
        ("net/stem", 1, 2),
        ("net-v02/head", 1, 2),
    ]
    assert found[0].owner != found[2].owner


def test_a_resident_model_is_there_before_the_first_round() -> None:
    """Its head leaves with round 0 of another model; the shared stem stays on."""
    problem = cases.problem(("net-v02",), resident_model="net-v01")
    assert _spans(stays(problem, cases.schedule(problem))) == [
        ("net/stem", BEFORE, 0),
        ("net-v01/head", BEFORE, BEFORE),
        ("net-v02/head", 0, 0),
    ]


def test_the_most_bytes_at_once_by_hand() -> None:
    """Two stays that meet in round 2 count together, one that ended before does not."""
    found = [
        Stay("a", 0, 0, 1, 100),
        Stay("b", 1, 2, 3, 60),
        Stay("c", 2, 1, 2, 50),
    ]
    assert most_resident_bytes(found) == 150
    assert most_resident_bytes([]) == 0


def test_a_gap_is_filled_before_the_buffer_grows() -> None:
    """Three long stays side by side; a later one takes the place of the middle one."""
    unit = ALIGN_BYTES
    found = [
        Stay("a", 0, 0, 5, 4 * unit),
        Stay("b", 1, 0, 1, 3 * unit),
        Stay("c", 2, 0, 5, 2 * unit),
        Stay("d", 3, 2, 5, 3 * unit - 1),
    ]
    offsets, total = place(found)
    assert offsets == [0, 4 * unit, 7 * unit, 4 * unit]
    assert total == 9 * unit
    assert place([]) == ([], 0)


SPANS = st.lists(
    st.tuples(st.integers(-1, 8), st.integers(0, 4), st.integers(1, 5000)),
    max_size=30,
)


@given(SPANS)
def test_no_two_blocks_lie_in_one_place_at_one_time(
    spans: list[tuple[int, int, int]],
) -> None:
    """Stays that meet in time never meet in memory; all are aligned and inside."""
    found = [
        Stay(f"b{number}", number, first, first + length, size)
        for number, (first, length, size) in enumerate(spans)
    ]
    offsets, total = place(found)
    for stay, offset in zip(found, offsets, strict=True):
        assert offset % ALIGN_BYTES == 0
        assert offset + stay.bytes <= total
    for (one, at), (other, there) in combinations(zip(found, offsets, strict=True), 2):
        if one.first <= other.last and other.first <= one.last:
            assert at + one.bytes <= there or there + other.bytes <= at
    assert most_resident_bytes(found) <= total <= sum(aligned(s.bytes) for s in found)
