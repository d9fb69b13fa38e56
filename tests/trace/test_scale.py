"""Scaling: what is kept, what is drawn, and that it is as bursty as it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesim.instances import read_instance
from edgesim.trace import scale
from edgesim.trace.requests import Trace, read_trace, write_trace
from edgesim.trace.scale import Burst, Scaling, scaled, scaled_window, window_rows
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE


def rng(seed: int = 0) -> np.random.Generator:
    """Make a generator."""
    return np.random.default_rng(seed)


def trace_of(arrival_s: Any, model: Any = None) -> Trace:
    """Make a trace whose sizes tell the requests apart."""
    arrival_s = np.sort(np.asarray(arrival_s, dtype=np.float64))
    if model is None:
        model = np.zeros(len(arrival_s))
    model = np.asarray(model, dtype=np.int32)
    count = int(model.max(initial=0)) + 1
    return Trace(
        arrival_s=arrival_s,
        users=("u", "v"),
        user=np.arange(len(arrival_s)) % 2,
        models=tuple(f"m{i}" for i in range(count)),
        model=model,
        input_bytes=1 + np.arange(len(arrival_s)),
        slo_s=np.ones(len(arrival_s)),
    )


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw traces of up to 40 requests within 100 s, many at the same time."""
    times = st.one_of(st.floats(0, 100), st.sampled_from([0.0, 10.0, 20.0, 99.9]))
    arrival_s = draw(st.lists(times, max_size=40))
    model = draw(
        st.lists(st.integers(0, 3), min_size=len(arrival_s), max_size=len(arrival_s))
    )
    return trace_of(arrival_s, model)


factors = st.sampled_from([0.1, 0.5, 1.0, 1.5, 2.0, 3.7])
scalings = st.builds(
    Scaling,
    time=st.sampled_from([0.1, 1 / 3, 1.0, 7.0]),
    start_s=st.sampled_from([0.0, 10.0, 33.3]),
    window_s=st.sampled_from([5.0, 20.0, math.inf]),
    cv=st.sampled_from([0.01, 0.5, 1.0, 3.0, scale.MOST_SCALE]),
    rate=factors,
    interval_s=st.sampled_from([0.001, 7.0, 10.0, 60.0]),
)


@given(trace=traces())
def test_nothing_changes_unless_asked(trace: Trace) -> None:
    """With every factor 1 all columns are the same to the bit."""
    again = scaled_window(trace, Scaling(), rng())
    for name, values in trace.columns().items():
        assert again.columns()[name].tobytes() == values.tobytes()


def test_time_is_stretched_before_the_window_is_cut() -> None:
    """Of 0 to 9 s, times 3, the window [6, 15) holds 6, 9 and 12, counted from 6."""
    window = scaled_window(
        trace_of(range(10)), Scaling(time=3.0, start_s=6.0, window_s=9.0), rng()
    )
    assert window.arrival_s.tolist() == [0.0, 3.0, 6.0]
    assert window.input_bytes.tolist() == [3, 4, 5]
    assert window.slo_s.tolist() == [1.0] * 3


@given(trace=traces(), scaling=scalings)
def test_window_holds_what_lies_in_it(trace: Trace, scaling: Scaling) -> None:
    """Rows are those whose stretched time is in the window, by plain comparison."""
    stretched = trace.arrival_s * scaling.time
    end_s = scaling.start_s + scaling.window_s
    wanted = np.flatnonzero((stretched >= scaling.start_s) & (stretched < end_s))
    first, after = window_rows(trace.arrival_s, scaling)
    assert list(range(first, after)) == wanted.tolist()


@given(
    trace=traces(),
    scaling=scalings,
    bursts=st.sampled_from([(), (Burst(2, 3, 2.5), Burst(8, 30, 0.5))]),
)
@settings(max_examples=200)
def test_whatever_is_scaled_stays_in_order_and_in_its_window(
    trace: Trace, scaling: Scaling, bursts: tuple[Burst, ...]
) -> None:
    """Times do not decrease and stay in the window; rows are rows of the trace."""
    first, after = window_rows(trace.arrival_s, scaling)
    columns = {name: v[first:after] for name, v in trace.columns().items()}
    pieces = list(scaled(columns, scaling, rng(), bursts))
    times_s = np.concatenate([[0.0], *(piece["arrival_s"] for piece in pieces)])
    assert (np.diff(times_s) >= 0).all()
    last_s = (columns["arrival_s"] * scaling.time - scaling.start_s).max(initial=0.0)
    assert times_s.max() <= min(scaling.window_s, last_s if after > first else 0.0) or (
        times_s.max() < scaling.window_s < math.inf
    )
    for piece in pieces:
        row = piece["input_bytes"] - 1
        for name in ("user", "model", "slo_s"):
            assert (piece[name] == trace.columns()[name][row]).all()


@given(trace=traces(), scaling=scalings)
@settings(max_examples=200)
def test_rate_takes_each_request_the_whole_numbers_around_it_times(
    trace: Trace, scaling: Scaling
) -> None:
    """Floor or ceil of r times each; one at its own time unless gaps are drawn."""
    window = scaled_window(trace, scaling, rng())
    first, after = window_rows(trace.arrival_s, scaling)
    copies = np.bincount(window.input_bytes, minlength=len(trace) + 1)[1:]
    assert copies.sum() == len(window)
    assert set(copies[first:after].tolist()) <= {
        math.floor(scaling.rate),
        math.ceil(scaling.rate),
    }
    if scaling.cv == 1:
        own_s = trace.arrival_s * scaling.time - scaling.start_s
        kept = {int(row) + 1 for row in np.flatnonzero(copies) if first <= row < after}
        there = zip(window.input_bytes.tolist(), window.arrival_s.tolist(), strict=True)
        found = {size for size, at_s in there if at_s == own_s[size - 1]}
        assert found == kept


def test_additional_requests_come_in_their_own_interval() -> None:
    """Ten copies of a request at 25 s are spread over [20, 30), nine of them anew."""
    window = scaled_window(
        trace_of([5.0, 25.0, 45.0]), Scaling(rate=10.0, interval_s=10.0), rng()
    )
    times_s = window.arrival_s[window.input_bytes == 2]
    assert len(times_s) == 10
    assert 20 <= times_s.min() < times_s.max() < 30
    assert len(set(times_s.tolist())) == 10
    # The last interval ends with the last arrival.
    assert window.arrival_s.max() == 45.0


def test_more_is_kept_of_what_was_kept() -> None:
    """Raising a rate below 1 keeps every request that was there."""
    trace = trace_of(rng().random(2000) * 300)
    kept = [
        set(scaled_window(trace, Scaling(rate=r), rng(5)).input_bytes.tolist())
        for r in (0.2, 0.5, 0.9)
    ]
    assert kept[0] < kept[1] < kept[2]


@pytest.mark.parametrize("rate", [0.3, 1.7, 4.0])
def test_rate_is_met_on_average(rate: float) -> None:
    """20,000 requests become rate times as many, within four standard deviations."""
    n = 20_000
    window = scaled_window(trace_of(rng(1).random(n) * 600), Scaling(rate=rate), rng(2))
    part = rate % 1
    assert abs(len(window) - rate * n) <= 4 * math.sqrt(n * part * (1 - part))


@given(trace=traces(), scaling=scalings)
@settings(max_examples=100)
def test_cv_changes_times_alone(trace: Trace, scaling: Scaling) -> None:
    """Each interval has the requests it had, each model's in the order it had."""
    plain = Scaling(**{**vars(scaling), "cv": 1.0, "rate": 1.0})
    bursty = Scaling(**{**vars(scaling), "cv": 3.0, "rate": 1.0})
    before, after = (scaled_window(trace, s, rng()) for s in (plain, bursty))
    for model in range(4):
        one, two = (w.input_bytes[w.model == model] for w in (before, after))
        assert one.tolist() == two.tolist()
    interval = [
        np.sort(np.floor(w.arrival_s / scaling.interval_s)) for w in (before, after)
    ]
    assert np.allclose(*interval, atol=1)  # an end may be rounded to its interval's
    assert scaling.interval_s < 1 or (interval[0] == interval[1]).all()


def squared_cv(times_s: np.ndarray[Any, Any], length_s: float) -> float:
    """Squared coefficient of variation of the gaps on a circle."""
    gaps = np.diff(np.append(times_s, times_s[0] + length_s))
    return float(gaps.var() / gaps.mean() ** 2)


@pytest.mark.parametrize("cv", [0.5, 1.000001, 2.0, 4.0])
def test_cv_is_scaled(cv: float) -> None:
    """From Poisson arrivals, gaps have the squared CV of gamma gaps of shape 1/cv².

    Given n = 30 of them that is (n − 1)/(n/cv² + 1) on average, here over 600 models,
    within four standard errors. The first tenth of the interval has a tenth of the
    arrivals, and so has the last: no crowd at the ends.
    """
    n, models = 30, 600
    draw = rng(3)
    model = np.repeat(np.arange(models), n)
    times_s = draw.random(n * models) * 60
    order = np.argsort(times_s)
    trace = trace_of(times_s, model[order])
    # Known Poisson: fitted shapes would add their own error.
    known = np.arange(models), np.ones(models)
    with mock.patch.object(scale, "gamma_shapes", return_value=known):
        window = scaled_window(trace, Scaling(cv=cv, window_s=60.0), draw)
    found = [
        squared_cv(window.arrival_s[window.model == m], 60.0) for m in range(models)
    ]
    error = np.std(found) / math.sqrt(models)
    assert abs(np.mean(found) - (n - 1) / (n / cv**2 + 1)) <= 4 * error
    for low_s in (0.0, 27.0, 54.0):
        inside = (window.arrival_s >= low_s) & (window.arrival_s < low_s + 6)
        parts = [inside[window.model == m].mean() for m in range(models)]
        assert abs(np.mean(parts) - 0.1) <= 4 * np.std(parts) / math.sqrt(models)


def test_burstier_and_smoother_than_the_trace() -> None:
    """With fitted shapes: CV of 1,000 Poisson arrivals times 3, and times 1/3."""
    trace = trace_of(rng(4).random(1000) * 60)
    for cv in (1 / 3, 3.0):
        window = scaled_window(trace, Scaling(cv=cv, window_s=60.0), rng(6))
        assert math.sqrt(squared_cv(window.arrival_s, 60.0)) == pytest.approx(
            cv, rel=0.25
        )


def test_burst_leaves_the_rest_alone() -> None:
    """A factor of 3 within [10, 20) makes 3 of each there, at times within."""
    trace = trace_of(np.arange(40.0))
    columns = trace.columns()
    pieces = list(scaled(columns, Scaling(), rng(), (Burst(10.0, 20.0, 3.0),)))
    rows = np.concatenate([piece["input_bytes"] for piece in pieces]) - 1
    times_s = np.concatenate([piece["arrival_s"] for piece in pieces])
    inside = (rows >= 10) & (rows < 20)
    assert np.bincount(rows[inside])[10:].tolist() == [3] * 10
    assert ((times_s[inside] >= 10) & (times_s[inside] < 20)).all()
    assert rows[~inside].tolist() == [*range(10), *range(20, 40)]
    assert (times_s[~inside] == rows[~inside]).all()


def test_one_interval_is_held_at_a_time() -> None:
    """Scaling goes interval by interval, and passes on pieces where it need not."""
    trace = trace_of(np.arange(100.0))
    pieces = list(scaled(trace.columns(), Scaling(rate=2.0, interval_s=10.0), rng()))
    assert [len(piece["model"]) for piece in pieces] == [20] * 10
    with mock.patch.object(scale, "PIECE_ROWS", 30):
        pieces = list(scaled(trace.columns(), Scaling(), rng()))
    assert [len(piece["model"]) for piece in pieces] == [30, 30, 30, 10]


def test_plans_are_made_of_the_scaled_trace(tmp_path: Path) -> None:
    """A rate of 3 plans three times the users; time 2 sees half of them a window."""
    (tmp_path / "small.csv").write_text(TRACE)
    users = {}
    for key in ("rate_scale = 3.0", "time_scale = 2.0"):
        scenario = SCENARIO.replace("window_s", f"{key}\nwindow_s")
        (tmp_path / "small.toml").write_text(scenario)
        finished = edgesim("run", tmp_path / "small.toml", "--out", tmp_path / "out")
        assert finished.code == 0, finished.err
        users[key] = [
            len(read_instance(tmp_path / f"out/plans/{i}/instance.json").users)
            for i in range(2)
        ]
    # Arrivals 0, 0.1, 0.1, 0.7 in windows of 0.5 s; stretched 0, 0.2, 0.2, 1.4.
    assert users == {"rate_scale = 3.0": [9, 3], "time_scale = 2.0": [3, 0]}


def test_windows_are_counted_in_stretched_time(tmp_path: Path) -> None:
    """0.7 s stretched by 0.1 are one window of 0.5 s, not the two asked for."""
    (tmp_path / "small.csv").write_text(TRACE)
    scenario = SCENARIO.replace("window_s", "time_scale = 0.1\nwindow_s")
    (tmp_path / "small.toml").write_text(scenario)
    finished = edgesim("run", tmp_path / "small.toml", "--out", tmp_path / "out")
    assert finished.code == 2
    assert "run.repeats: 2 windows of 0.5 s" in finished.err
    assert "it ends at 0.07 s, room for 1" in finished.err


def test_command(tmp_path: Path) -> None:
    """What is written is what the function makes of the same keys and seed."""
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    trace = trace_of(rng().random(200) * 100, rng().integers(0, 5, 200))
    write_trace(trace, source)
    options = "--rate-scale 1.5 --time-scale 2 --cv-scale 3 --scale-interval-s 30"
    window = "--start-s 20 --window-s 100 --seed 7"
    finished = edgesim("trace", "scale", source, out, *f"{options} {window}".split())
    assert finished.code == 0, finished.err
    wanted = scaled_window(
        read_trace(source), Scaling(2.0, 20.0, 100.0, 3.0, 1.5, 30.0), rng(7)
    )
    assert read_trace(out).arrival_s.tolist() == wanted.arrival_s.tolist()
    assert f"{len(wanted)} requests written, of 200" in finished.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--rate-scale 0", "error: --rate-scale: input should be greater than 0"),
        ("--rate-scale 1e9", "error: --rate-scale: input should be less than or equal"),
        ("--time-scale -1", "error: --time-scale: input should be greater than 0"),
        ("--cv-scale nan", "error: --cv-scale: input should be a finite number"),
        ("--scale-interval-s 0", "error: --scale-interval-s: input should be greater"),
        (
            "--window-s 0",
            "error: --window-s: input should be greater than or equal to 1e-12",
        ),
        ("--start-s -1", "error: --start-s: input should be greater than or equal to"),
        ("--seed -1", "error: --seed: must be >= 0"),
    ],
)
def test_command_refuses(tmp_path: Path, options: str, message: str) -> None:
    """A bad option is one line that names it, and nothing is written."""
    (tmp_path / "in.csv").write_text(TRACE)
    finished = edgesim(
        "trace", "scale", tmp_path / "in.csv", tmp_path / "out.csv", *options.split()
    )
    assert finished.code == 2
    assert finished.err.startswith(message)
    assert finished.err.count("\n") == 1
    assert not (tmp_path / "out.csv").exists()


def test_times_that_doubles_lose_are_refused(tmp_path: Path) -> None:
    """What is scaled must be short enough; what is not may be as long as it is."""
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    write_trace(trace_of([0.0, 1e9]), source)
    finished = edgesim("trace", "scale", source, out, "--time-scale", 1000)
    assert finished.code == 2
    assert finished.err == (
        "error: --window-s: must be set so that the window lasts at most 4e+06 s, "
        "found 1e+12 s\n"
    )
    finished = edgesim("trace", "scale", source, out)
    assert finished.code == 0
    assert out.read_bytes() == source.read_bytes()
    finished = edgesim(
        "trace", "scale", source, out, "--rate-scale", 2, "--window-s", 100
    )
    assert finished.code == 0
    assert len(read_trace(out)) == 2


def test_command_keeps_its_input(tmp_path: Path) -> None:
    """Writing over the source is refused."""
    (tmp_path / "in.csv").write_text(TRACE)
    finished = edgesim("trace", "scale", tmp_path / "in.csv", tmp_path / "in.csv")
    assert finished.code == 2
    assert (tmp_path / "in.csv").read_text() == TRACE
