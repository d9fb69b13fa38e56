"""The error of a share in time, taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from edgesim.engine.mean_device import DeviceMaker
from edgesim.engine.policies.in_order import Fcfs
from edgesim.engine.records import IN_TIME, Run
from edgesim.engine.server import Parts, simulate
from edgesim.engine.settings import Settings
from edgesim.live.error_split import Means, split_error
from solvers.core.tables import Tables
from tests.engine.handmade import seeded_tables
from tests.engine.test_clock import _stream

SEED, WORKS = 4, 1000


def _tables() -> Tables:
    return seeded_tables(SEED, overlap=False, residency="previous")


def _simulate(settings: Settings, device: DeviceMaker | None = None) -> Run:
    stream = _stream(SEED, 80)
    return simulate(_tables(), stream, Fcfs(), settings, Parts(device=device))


def _live(load: float, compute: float, dispatch_s: float) -> Run:
    return _simulate(
        Settings(
            load_factor=iter([load] * WORKS),
            compute_factor=iter([compute] * WORKS),
            dispatch_s=dispatch_s,
        )
    )


def _share(run: Run) -> float:
    return float((run.requests.outcome == IN_TIME).mean())


@pytest.mark.parametrize(
    ("load", "compute", "beyond_s"),
    [(1.5, 1.0, 0.0), (1.0, 1.6, 0.0), (1.0, 1.0, 0.04), (1.3, 1.2, 0.02)],
)
def test_what_is_longer_explains_the_error(
    load: float, compute: float, beyond_s: float
) -> None:
    """Constant factors and a constant dispatch leave nothing for the rest."""
    closed, live = _simulate(Settings()), _live(load, compute, beyond_s)
    rounds = live.rounds
    loads = np.stack([rounds.load_s / load, rounds.load_s], axis=1)
    batches = np.stack([rounds.compute_s / compute, rounds.compute_s], axis=1)

    def again(device: DeviceMaker, decides: bool) -> float:
        del decides
        return _share(_simulate(Settings(), device))

    found = split_error(
        _share(live), _share(closed), loads, batches, beyond_s, 0.0, 0.0, again
    )
    assert found is not None
    assert found.error == pytest.approx(_share(live) - _share(closed))
    assert found.error < -0.02
    assert found.rest == pytest.approx(0.0)
    parts = {"loads": load > 1, "batches": compute > 1, "deciding": beyond_s > 0}
    for part, longer in parts.items():
        if not longer:
            assert getattr(found, part) == pytest.approx(0.0)


def test_what_the_profile_adds_is_replaced_by_what_was_measured() -> None:
    """An overhead of each batch and of each work is no bias of batches."""
    shares, decided = [], []

    def again(device: DeviceMaker, decides: bool) -> float:
        shares.append(_simulate(Settings(), device))
        decided.append(decides)
        return 0.5

    nothing = np.empty((0, 3))
    split_error(0.5, 0.5, nothing, nothing, 0.25, 0.01, 0.005, again)
    of_loads, of_batches, of_all = shares
    assert decided == [True, True, False]
    nominal = _simulate(Settings(dispatch_s=0.005))
    for run in (of_loads, of_batches):
        assert np.allclose(run.requests.end_s, nominal.requests.end_s, equal_nan=True)
    rounds = of_all.rounds
    took_s = rounds.end_s - rounds.compute_start_s
    assert np.allclose((took_s - rounds.compute_s)[rounds.batch > 0], 0.25)


def test_a_work_takes_the_live_mean_of_its_kind() -> None:
    """And what was not seen live is longer by the common ratio."""
    means = Means(np.array([[0.1, 0.1], [0.1, 0.2], [0.2, 0.5]]))
    assert means(0.1 + 1e-15) == pytest.approx(0.15)
    assert means(0.2) == pytest.approx(0.5)
    assert means(1.0) == pytest.approx(2.0)
    assert Means(np.empty((0, 3)))(0.7) == 0.7


def test_nothing_to_split_without_requests() -> None:
    """No share, no parts."""
    nothing = np.empty((0, 3))
    assert (
        split_error(None, 0.5, nothing, nothing, 0.0, 0.0, 0.0, lambda *_: 0.5) is None
    )
