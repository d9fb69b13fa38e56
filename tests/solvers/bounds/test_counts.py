"""How many users of each model there is time for, on the uplink and on the GPU."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from solvers import Problem, solve
from solvers.bounds import counts
from solvers.bounds.counts import (
    Budgets,
    Labels,
    budgets,
    counts_within,
    least_bound,
    weighted,
)
from solvers.bounds.prices import Charges, fill_gaps, make_charges
from solvers.bounds.upper_bound import prices
from solvers.core.limit import UNLIMITED, Limit
from solvers.core.tables import Tables
from tests.solvers.strategies import problems, seeded_problem

FEW = settings(max_examples=200, suppress_health_check=list(HealthCheck))
LAMINAR = problems(sharing="laminar")


def _forty() -> Problem:
    rng = np.random.default_rng(5)
    return seeded_problem(rng, sharing="laminar", users=40, models=6)


def least_times(charges: Charges, limits: Budgets, target: int) -> set[tuple]:
    """List users, upload and GPU time of all ways that no other one betters."""
    forest = charges.forest
    models = list(charges.compute_s)
    found: dict[int, list[tuple[float, float]]] = {}
    for chosen in product(*(range(len(charges.upload_s[m])) for m in models)):
        by_model = list(zip(models, chosen, strict=True))
        nodes = {node for m, n in by_model if n for node in forest.path(m)}
        upload_s = sum(charges.upload_s[m][n] for m, n in by_model)
        gpu_s = sum(limits.node_load_s[node] for node in nodes)
        gpu_s += sum(fill_gaps(charges.compute_s[m])[n] for m, n in by_model)
        if upload_s <= limits.upload_s and gpu_s <= limits.gpu_s:
            found.setdefault(sum(chosen), []).append((upload_s, gpu_s))
    return {
        (users, round(upload_s, 9), round(gpu_s, 9))
        for users, times in found.items()
        if users >= target
        for upload_s, gpu_s in times
        if not any(
            u <= upload_s + 1e-12 and g <= gpu_s + 1e-12 and (u, g) != (upload_s, gpu_s)
            for u, g in times
        )
    }


@FEW
@given(LAMINAR, st.integers(1, 6))
def test_all_ways_are_found_but_those_that_others_better(problem, target):
    """As by trying all counts, for every set of blocks that a first model can find."""
    tables = Tables(problem)
    assume(tables.active)
    charges = make_charges(tables)
    for limits in budgets(tables, charges):
        rows = weighted(charges, limits, prices(tables, "dynamic").upload_weight)
        labels, complete = counts_within(charges, limits, rows, target, UNLIMITED)
        assert complete
        ways = {
            (int(n), round(float(u), 9), round(float(g), 9))
            for n, u, g in zip(labels.users, labels.upload_s, labels.gpu_s, strict=True)
        }
        assert ways >= least_times(charges, limits, target)
        for label, users in enumerate(labels.users.tolist()):
            chosen = labels.counts(label)
            assert sum(chosen.values()) == users
            upload_s = sum(charges.upload_s[m][n] for m, n in chosen.items())
            assert labels.upload_s[label] == pytest.approx(upload_s)
            nodes = {node for m in chosen for node in charges.forest.path(m)}
            gpu_s = sum(limits.node_load_s[node] for node in nodes)
            gpu_s += sum(fill_gaps(charges.compute_s[m])[n] for m, n in chosen.items())
            assert labels.gpu_s[label] == pytest.approx(gpu_s)


@FEW
@given(LAMINAR)
def test_what_the_best_schedule_serves_is_never_refuted(problem):
    """Some set of budgets has room for as many users as can be served."""
    tables = Tables(problem)
    assume(tables.active)
    charges = make_charges(tables)
    target = solve(problem, "exhaustive", uplink="dynamic").served
    assume(target)
    found = []
    around = prices(tables, "dynamic").upload_weight
    most = prices(tables, "dynamic").bound
    assert target <= least_bound(tables, charges, around, most) <= most
    for limits in budgets(tables, charges):
        rows = weighted(charges, limits, prices(tables, "dynamic").upload_weight)
        labels, _ = counts_within(charges, limits, rows, target, UNLIMITED)
        found.append(labels)
    assert any(len(labels.users) for labels in found)


def test_few_labels_are_not_called_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept then still fits; nobody served is kept until the load is known."""
    monkeypatch.setattr(counts, "MOST_LABELS", 3)
    tables = Tables(_forty())
    charges = make_charges(tables)
    (limits,) = budgets(tables, charges)
    rows = weighted(charges, limits, prices(tables, "dynamic").upload_weight)
    labels, complete = counts_within(charges, limits, rows, 5, UNLIMITED)
    assert not complete
    assert 0 < len(labels.users) <= 3
    assert (labels.upload_s <= limits.upload_s).all()
    assert (labels.gpu_s <= limits.gpu_s).all()


def test_a_limit_that_has_passed_proves_nothing() -> None:
    """No labels, and that these are not all."""
    tables = Tables(_forty())
    charges = make_charges(tables)
    (limits,) = budgets(tables, charges)
    rows = weighted(charges, limits, prices(tables, "dynamic").upload_weight)
    labels, complete = counts_within(charges, limits, rows, 5, Limit.after(0))
    assert not complete
    assert not len(labels.users)


def test_a_tiny_difference_in_gpu_time_counts_among_many_users() -> None:
    """Which of two labels needs less GPU time is not decided by rounding."""
    nobody = Labels(np.zeros(1, dtype=int), *np.zeros((2, 1)), np.zeros((1, 1)))
    two = Labels(
        np.array([16_400, 16_400]),
        np.array([1e-6, 2e-6]),
        np.array([1e-3 + 1e-12, 1e-3]),
        np.zeros((2, 1)),
    )
    limits = Budgets(frozenset(), 1.0, 1.0, np.zeros(1))
    merged, complete = counts._merge(nobody, two, limits, np.ones(1))
    assert complete
    assert merged.gpu_s.tolist() == two.gpu_s.tolist()


def test_what_first_models_find() -> None:
    """Sets of resident atoms, and how long the GPU waits for the first upload.

    "small" finds the backbone and need not wait longer than "big", which finds both.
    """
    times = {"backbone": 1.0, "head": 0.5, "other": 0.3}
    problem = Problem.model_validate(
        {
            "name": "first",
            "bandwidth_hz": 1.0,
            "resident_model": "big",
            "blocks": {name: {"bytes": 1, "load_s": s} for name, s in times.items()},
            "models": {
                "big": {"blocks": ["backbone", "head"], "latency_s": [0.1]},
                "small": {"blocks": ["backbone"], "latency_s": [0.2]},
                "apart": {"blocks": ["other"], "latency_s": [0.4]},
            },
            "users": [
                {
                    "id": name,
                    "model": name,
                    "input_bits": bits,
                    "spectral_efficiency": 1.0,
                    "deadline_s": 5.0,
                }
                for name, bits in (("big", 0.7), ("small", 0.6), ("apart", 0.5))
            ],
        }
    )
    tables = Tables(problem)
    found = budgets(tables, make_charges(tables))
    assert [len(limits.resident) for limits in found] == [2, 1, 0]
    assert [limits.gpu_s for limits in found] == pytest.approx([4.3, 4.4, 4.8])
    assert [limits.upload_s for limits in found] == pytest.approx([4.9] * 3)
    loads_s = [float(limits.node_load_s.sum()) for limits in found]
    assert loads_s == pytest.approx([0.3, 0.8, 1.8])
