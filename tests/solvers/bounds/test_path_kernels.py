"""The compiled loops of the path bound do what their twins in numpy do, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers import Problem, Uplink
from solvers.bounds import path_grid, path_kernels
from solvers.bounds.path_bound import Relaxation, relaxation
from solvers.bounds.path_network import Part
from solvers.core.compiling import COMPILED
from solvers.core.tables import Tables
from tests.solvers.bounds.test_path_bound import CASES, FEW, KINDS
from tests.solvers.strategies import problems


def some_part(relaxed: Relaxation, rng: np.random.Generator) -> Part:
    """Ban a few users, and restrict when others may be served."""
    part = relaxed.everything()
    count = len(part.banned)
    latest = part.latest - rng.integers(0, 40, count) * (rng.random(count) < 0.3)
    earliest = rng.integers(0, 40, count) * (rng.random(count) < 0.3)
    return part._replace(
        banned=rng.random(count) < 0.1, latest=latest, earliest=earliest
    )


def with_loops(relaxed: Relaxation, loops: bool) -> Relaxation:
    """Return the same with or without the compiled loops."""
    return replace(relaxed, network=replace(relaxed.network, loops=loops))


@pytest.mark.parametrize(("kind", "uplink"), CASES)
def test_both_find_the_same(
    kind: str, uplink: Uplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds, subgradients and paths, for any multipliers and parts."""
    assert COMPILED
    remembered = path_grid.MEMORY_WORK
    compared = 0

    @settings(FEW, max_examples=10)
    @given(problems(max_users=6, **KINDS[kind]), st.integers(0, 10**6))
    def run(problem: Problem, number: int) -> None:
        nonlocal compared
        tables, rng = Tables(problem), np.random.default_rng(number)
        # Without memory a path may serve anybody again.
        monkeypatch.setattr(path_grid, "MEMORY_WORK", remembered * (number % 3 > 0))
        relaxed = relaxation(tables, uplink, 10_000) if tables.active else None
        if relaxed is None:
            return
        start = relaxed.start(3)
        noise = abs(rng.normal(0, 0.3, len(start))) * relaxed.scale(3)
        everything = relaxed.everything()
        # Where nothing has a price, many paths are as long.
        tries = [(start + noise, everything), (start + noise, some_part(relaxed, rng))]
        for multipliers, part in [*tries, (0 * start, everything)]:
            one, other = (
                with_loops(relaxed, loops).evaluate(multipliers, part)
                for loops in (False, True)
            )
            for mine, theirs in zip(one, other, strict=True):
                assert np.array_equal(mine, theirs)
            priced = relaxed.priced(multipliers, part)
            gains, network = relaxed.gains(priced), relaxed.network
            rests = []
            for loops in (False, True):
                some = replace(network, loops=loops)
                rests.append(some.rest(gains, priced.between))
            for mine, theirs in zip(*rests, strict=True):
                assert np.array_equal(mine, theirs)
            # A path is its first load, and what begins after it.
            path = network.longest(gains, priced.between, priced.first, priced.start)
            at = np.arange(network.last + 1)[:, None] - network.load_steps[-1]
            earliest = np.maximum.accumulate(priced.start)[np.maximum(at, 0)]
            whole = np.where(at < 0, -np.inf, earliest + priced.first + rests[0][1])
            if network.ordered or not network._is_user.any():
                assert path.value == pytest.approx(max(0.0, float(whole.max())))
            assert path.value <= max(0.0, float(whole.max())) + 1e-9
            assert [a for a, _ in path.visits[1:]] == [m for _, m in path.visits[:-1]]
            # It is what comes before one of its visits, and the visit with the rest.
            entered, ended = network.before(
                gains, priced.between, priced.first, priced.start
            )
            assert entered.shape == ended.shape == rests[0][1].shape
            assert max(0.0, float(ended[-1].max())) == path.value
            assert path.value <= max(0.0, float((entered + rests[0][1]).max())) + 1e-9
            for rises in (entered, ended):
                assert (rises[1:] >= rises[:-1]).all()
            compared += 1

    run()
    assert compared >= 10


def test_a_greatest_value_is_the_first_of_them() -> None:
    """As with numpy."""
    values = np.array([-np.inf, 2.0, 1.0, 2.0])
    assert path_kernels.first_best(values) == 1
