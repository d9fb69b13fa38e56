"""How many models fit, against all subsets of small libraries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.library import memory_fit
from edgesim.library.build import Library
from edgesim.library.memory_fit import Fit, fit, least_bytes
from edgesim.library.sharing import bytes_distinct, bytes_total, is_laminar
from solvers.problem import Block, Model


def library(held: Mapping[str, int], sizes: Mapping[str, int]) -> Library:
    """Make a library of blocks: holders as bits of a number, and bytes."""
    models = sorted({n for bits in held.values() for n in range(9) if bits >> n & 1})
    return Library(
        blocks={name: Block(bytes=sizes[name], load_s=0.0) for name in held},
        models={
            f"m{n}": Model(
                blocks=tuple(name for name in held if held[name] >> n & 1),
                latency_s=(1.0,),
            )
            for n in models
        },
    )


@st.composite
def libraries(draw: st.DrawFn) -> Library:
    """Draw up to eight models that hold up to ten blocks in any way."""
    bits = draw(st.lists(st.integers(1, 255), min_size=1, max_size=10))
    sizes = draw(st.lists(st.integers(1, 40), min_size=len(bits), max_size=len(bits)))
    names = [f"b{place}" for place in range(len(bits))]
    return library(
        dict(zip(names, bits, strict=True)), dict(zip(names, sizes, strict=True))
    )


@st.composite
def forests(draw: st.DrawFn) -> Library:
    """Draw up to eight models whose sharing is laminar: blocks of nested intervals."""
    count = draw(st.integers(1, 8))
    bits = []
    intervals = [(0, count)]
    while intervals:
        low, high = intervals.pop()
        if high - low == 1 or draw(st.booleans()):
            bits.append(sum(1 << n for n in range(low, high)))
        if high - low > 1:
            middle = draw(st.integers(low + 1, high - 1))
            intervals += [(low, middle), (middle, high)]
    sizes = draw(st.lists(st.integers(1, 40), min_size=len(bits), max_size=len(bits)))
    names = [f"b{place}" for place in range(len(bits))]
    return library(
        dict(zip(names, bits, strict=True)), dict(zip(names, sizes, strict=True))
    )


def tried(made: Library) -> list[int]:
    """Find the fewest bytes of n models by trying every subset."""
    names = list(made.models)
    return [
        min(bytes_distinct(made, some) for some in itertools.combinations(names, n))
        for n in range(len(names) + 1)
    ]


@settings(max_examples=400)
@given(forests())
def test_laminar_sharing_is_solved_exactly(made: Library) -> None:
    """The dynamic program over the forest finds what trying all subsets finds."""
    assert is_laminar(made)
    least = least_bytes(made)
    assert least.proven.tolist() == least.attained.tolist() == tried(made)


@settings(max_examples=400)
@given(libraries())
def test_small_crossing_sharing_is_solved_exactly(made: Library) -> None:
    """Whatever the sharing, and whether or not there are several clusters."""
    least = least_bytes(made)
    assert least.proven.tolist() == least.attained.tolist() == tried(made)


@settings(max_examples=400)
@given(libraries())
def test_large_crossing_sharing_is_bounded(made: Library) -> None:
    """As if eight models were too many to enumerate: one bound from each side."""
    with mock.patch.object(memory_fit, "EXACT_MODELS", 0):
        least = least_bytes(made)
    exact = tried(made)
    assert all(
        least.proven[n] <= exact[n] <= least.attained[n] for n in range(len(exact))
    )
    assert least.attained[-1] == exact[-1] == bytes_distinct(made)
    assert all(least.attained <= least.whole)
    assert sorted(least.proven) == least.proven.tolist()
    assert sorted(least.attained) == least.attained.tolist()


@settings(max_examples=100)
@given(libraries(), st.integers(0, 400))
def test_models_that_fit(made: Library, memory_bytes: int) -> None:
    """The most models whose bytes are at most the memory's, both ways."""
    names = list(made.models)
    subsets = [
        some for n in range(len(names) + 1) for some in itertools.combinations(names, n)
    ]
    shared = max(len(s) for s in subsets if bytes_distinct(made, s) <= memory_bytes)
    whole = max(len(s) for s in subsets if bytes_total(made, s) <= memory_bytes)
    found = fit(least_bytes(made), memory_bytes)
    assert found == Fit(memory_bytes, whole, shared, shared)


def test_a_model_of_known_blocks_is_free() -> None:
    """Of two identical models the second takes nothing; a base costs what it holds."""
    made = library({"all": 0b111, "own": 0b100}, {"all": 10, "own": 5})
    least = least_bytes(made)
    assert least.proven.tolist() == [0, 10, 10, 15]
    assert least.whole.tolist() == [0, 10, 20, 35]
    assert fit(least, 9) == Fit(9, 0, 0, 0)
    assert fit(least, 14) == Fit(14, 1, 2, 2)
    assert fit(least, 10**15) == Fit(10**15, 3, 3, 3)


@pytest.mark.parametrize("crossing", [False, True])
def test_hundreds_of_models(crossing: bool) -> None:
    """Three families of 100; with a ring of blocks across each, bounds stay close."""
    blocks: dict[str, Block] = {}
    models: dict[str, Model] = {}
    for family in range(3):
        for n in range(100):
            name = f"f{family}-{n}"
            held = [f"base-{family}", name]
            if crossing:
                held += [f"ring-{family}-{n}", f"ring-{family}-{(n + 1) % 100}"]
            blocks |= {
                h: Block(bytes=1000 if h[0] == "b" else 10, load_s=0.0) for h in held
            }
            models[name] = Model(blocks=tuple(held), latency_s=(1.0,))
    least = least_bytes(Library(blocks, models))
    found = fit(least, 5000)
    if crossing:
        # A whole ring takes 3000 bytes, and n models of one 1000 + 10 n + 10 (n + 1).
        assert (found.whole, found.shared) == (4, 100 + 49)
        assert found.shared <= found.shared_at_most <= 155
    else:
        assert found == Fit(5000, 4, 200, 200)
