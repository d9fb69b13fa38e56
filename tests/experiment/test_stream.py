"""The stream of requests: read once, scaled, and the same each time."""

from __future__ import annotations

import math
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from edgesim.errors import InputError
from edgesim.experiment.faults import online_faults
from edgesim.experiment.stream import Stream, make_stream
from edgesim.experiment.workload import map_models
from edgesim.library.build import Library
from edgesim.profile.values import Profile
from edgesim.scenario import Scenario
from edgesim.storage import column_files
from edgesim.trace import chunks as trace_chunks
from edgesim.trace import scale
from edgesim.trace.requests import Trace, read_trace, write_trace
from edgesim.trace.scale import MOST_WINDOW_S
from edgesim.trace.stored import StoredTrace, open_trace
from solvers import Block, Model

BANDWIDTH_HZ = 20e6
SCENARIO_FILE = Path("scenario.toml")


def trace_of(n: int, **columns: Any) -> Trace:
    """Make a trace of n requests, two a second, by three users, of three models."""
    given: dict[str, Any] = {
        "arrival_s": np.arange(n) / 2,
        "users": ("ann", "bob", "cid"),
        "user": (np.arange(n) % 3).astype(np.int32),
        "models": ("x", "y", "z"),
        "model": np.resize([0, 0, 0, 1, 1, 2], n).astype(np.int32),
        "input_bytes": np.full(n, 100_000),
        "slo_s": 1.0 + np.arange(n),
    }
    return Trace(**{**given, **columns})


def spool_of(folder: Path, trace: Trace) -> StoredTrace:
    """Write a trace and lay it down."""
    write_trace(trace, folder / "trace.csv")
    return open_trace(folder / "trace.csv")


def scenario_of(
    cell: dict[str, Any] | None = None,
    faults: list[dict[str, Any]] | None = None,
    **workload: Any,
) -> Scenario:
    """Make an online scenario."""
    return Scenario.model_validate(
        {
            "name": "small",
            "profile": "none",
            "library": {"kind": "profile"},
            "cell": {"bandwidth_hz": BANDWIDTH_HZ, "radius_m": 100.0, **(cell or {})},
            "workload": workload,
            "run": {},
            "online": {"policies": ["fcfs"], "faults": faults or []},
        }
    )


def library() -> Library:
    """Make a library whose order is not the trace's."""
    names = ("unused", "z", "y", "x")
    model = Model(blocks=("b",), latency_s=(0.01,))
    return Library(
        blocks={"b": Block(bytes=1, load_s=0.0)}, models=dict.fromkeys(names, model)
    )


def stream_of(
    spool: StoredTrace, scenario: Scenario, repeat: int = 0, seed: int = 0
) -> Stream:
    """Prepare a stream, models matched by name."""
    rng = np.random.default_rng(seed)
    profile = mock.Mock(spec=Profile)  # whose contents no name needs
    names = map_models(SCENARIO_FILE, spool, library(), profile, "name", rng)
    return make_stream(spool, scenario, SCENARIO_FILE, library(), names, repeat, rng)


def test_spool_holds_what_the_trace_holds(tmp_path: Path) -> None:
    """Columns, names and popularity are those of the trace in memory."""
    links = {"spectral_efficiency": np.linspace(0, 5, 100)}
    places = {"x_m": np.arange(100.0), "y_m": 0.0 - np.arange(100.0)}
    trace = trace_of(100, **links, **places)
    with mock.patch.object(trace_chunks, "BLOCK_BYTES", 500):
        spool = spool_of(tmp_path, trace)
    assert len(spool) == 100
    assert (spool.users, spool.models) == (trace.users, trace.models)
    assert spool.columns.keys() == trace.columns().keys()
    for name, values in trace.columns().items():
        assert spool.columns[name].tobytes() == values.tobytes()
    assert spool.popularity().tolist() == trace.popularity().tolist() == [0, 1, 2]
    assert spool.per_model.tolist() == [51, 33, 16]


def test_an_empty_trace_is_an_empty_stream(tmp_path: Path) -> None:
    """No requests, no duration, and no complaint."""
    stream = stream_of(spool_of(tmp_path, trace_of(0)), scenario_of())
    assert list(stream) == []
    assert (stream.requests, stream.duration_s) == (0, 0.0)
    assert stream.per_model == (0, 0, 0, 0)


def test_bad_trace_and_bad_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors name the line of the trace, or the folder for what is temporary."""
    (tmp_path / "bad.csv").write_text(
        "arrival_s,user,model,input_bytes,slo_s\n1,u,m,0,1"
    )
    with pytest.raises(InputError, match=r"bad.csv:2: input_bytes must be"):
        open_trace(tmp_path / "bad.csv")
    write_trace(trace_of(1), tmp_path / "good.csv")
    monkeypatch.setattr(column_files, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="none: cannot be written: no such file"):
        open_trace(tmp_path / "good.csv")


def test_arrivals_by_hand(tmp_path: Path) -> None:
    """8 · 100,000 bits at 2 bit/s/Hz over 20 MHz take 20 ms; no link, for ever."""
    efficiency = np.array([2.0, 4.0, 0.0, 2.0])
    spool = spool_of(tmp_path, trace_of(4, spectral_efficiency=efficiency))
    stream = stream_of(spool, scenario_of())
    assert list(stream) == [
        (0.0, 0, 3, 0.02, 1.0),
        (0.5, 1, 3, 0.01, 2.0),
        (1.0, 2, 3, math.inf, 3.0),
        (1.5, 0, 2, 0.02, 4.0),
    ]
    assert stream.users == ("ann", "bob", "cid")
    assert stream.per_model == (0, 0, 1, 3)
    assert (stream.requests, stream.duration_s) == (4, 1.5)


def test_windows_of_repeats(tmp_path: Path) -> None:
    """Each repeat has its window, from 0, in stretched time."""
    spool = spool_of(tmp_path, trace_of(100))
    scenario = scenario_of(time_scale=2.0, start_s=10.0, window_s=20.0)
    for repeat in range(3):
        stream = stream_of(spool, scenario, repeat)
        rows = list(stream)
        assert [row[0] for row in rows] == list(range(20))
        # Deadlines count requests: they are not stretched.
        assert rows[0][4] == 1.0 + 10 + 20 * repeat
        assert stream.duration_s == 20.0
        assert sum(stream.per_model) == stream.requests == 20


def test_the_same_each_time_and_in_any_chunks(tmp_path: Path) -> None:
    """One seed gives the same requests, in any pieces; another gives others."""
    spool = spool_of(tmp_path, trace_of(500))
    stream = stream_of(spool, scenario_of())
    once = list(stream)
    assert list(stream) == once
    assert list(stream_of(spool, scenario_of())) == once
    with mock.patch.object(scale, "PIECE_ROWS", 7):
        assert list(stream) == once
    other = list(stream_of(spool, scenario_of(), seed=1))
    assert [row[3] for row in other] != [row[3] for row in once]


def test_scaled_streams_repeat_too(tmp_path: Path) -> None:
    """What is drawn to scale is drawn the same again, and counted."""
    spool = spool_of(tmp_path, trace_of(500))
    burst = {"kind": "burst", "at_s": 50.0, "for_s": 5.0, "factor": 30.0}
    stream = stream_of(spool, scenario_of(rate_scale=1.4, cv_scale=2.0, faults=[burst]))
    once = list(stream)
    assert list(stream) == once
    assert len(once) == stream.requests
    counts = np.bincount([row[2] for row in once], minlength=4)
    assert stream.per_model == tuple(counts.tolist())
    times_s = np.array([row[0] for row in once])
    assert (np.diff(times_s) >= 0).all()
    inside = (times_s >= 50) & (times_s < 55)
    plain = len(list(stream_of(spool, scenario_of(rate_scale=1.4, cv_scale=2.0))))
    assert inside.sum() % 30 == 0
    assert len(once) - inside.sum() == plain - inside.sum() / 30


def test_a_user_keeps_its_place(tmp_path: Path) -> None:
    """Without fading all requests of a user take as long; users differ."""
    spool = spool_of(tmp_path, trace_of(60))
    rows = list(stream_of(spool, scenario_of(cell={"fading": "none"})))
    found = {user: {row[3] for row in rows if row[1] == user} for user in range(3)}
    assert [len(times) for times in found.values()] == [1, 1, 1]
    assert len(set.union(*found.values())) == 3
    faded = list(stream_of(spool, scenario_of()))
    assert len({row[3] for row in faded}) == 60


def test_places_of_the_trace_are_used(tmp_path: Path) -> None:
    """Free space from stated places, by hand: SNR by distance, efficiency by Shannon.

    A user who moves has another link; back at a place, the one it had there.
    """
    x_m = np.resize([30.0, 30.0, 30.0, 60.0, 30.0, 30.0], 12)
    trace = trace_of(12, x_m=x_m, y_m=np.full(12, 40.0))
    cell = {
        "fading": "none",
        "path_loss": "log-distance",
        "path_loss_exponent": 2.0,
        "reference_loss_db": 40.0,
    }
    spool = spool_of(tmp_path, trace)
    rows = list(stream_of(spool, scenario_of(cell=cell)))
    for row, x in zip(rows, x_m.tolist(), strict=True):
        loss_db = 40 + 20 * math.log10(math.hypot(x, 40.0))
        snr_db = 23 - 10 * math.log10(BANDWIDTH_HZ) - loss_db - (-174 + 5)
        efficiency = math.log2(1 + 10 ** (snr_db / 10))
        assert row[3] == pytest.approx(8e5 / (BANDWIDTH_HZ * efficiency))
    shadowed = list(stream_of(spool, scenario_of(cell={**cell, "shadowing_db": 8.0})))
    times = {}
    for row, x in zip(shadowed, x_m.tolist(), strict=True):
        times.setdefault((row[1], x), set()).add(row[3])
    assert [len(found) for found in times.values()] == [1] * 4
    assert len(set.union(*times.values())) == 4


def test_a_run_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """Where doubles lose nanoseconds, the window must be cut."""
    spool = spool_of(tmp_path, trace_of(2, arrival_s=[0.0, 2 * MOST_WINDOW_S]))
    with pytest.raises(
        InputError, match=r"scenario.toml: workload.window_s: must be set"
    ):
        stream_of(spool, scenario_of())
    assert stream_of(spool, scenario_of(window_s=1e6)).requests == 1
    assert stream_of(spool, scenario_of(time_scale=0.5)).duration_s == MOST_WINDOW_S


def test_memory_does_not_grow_with_the_trace(tmp_path: Path) -> None:
    """Ten times the requests are read and gone through in the same memory."""
    peaks = []
    for n in (20_000, 200_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        write_trace(trace_of(n), folder / "trace.csv")
        with (
            mock.patch.object(trace_chunks, "BLOCK_BYTES", 1 << 16),
            mock.patch.object(scale, "PIECE_ROWS", 1 << 11),
            mock.patch.object(column_files, "IN_MEMORY_ROWS", 1 << 11),
        ):
            tracemalloc.start()
            spool = open_trace(folder / "trace.csv")
            for scenario in (scenario_of(), scenario_of(rate_scale=1.5)):
                stream = stream_of(spool, scenario)
                assert sum(1 for _ in stream) == stream.requests
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_faults_meet_the_users_of_the_stream(tmp_path: Path) -> None:
    """A link that is down is that of the trace's user of that name."""
    down = {"kind": "link-down", "at_s": 1.0, "for_s": 2.0, "user": "cid"}
    scenario = scenario_of(faults=[down])
    stream = stream_of(spool_of(tmp_path, trace_of(9)), scenario)
    assert scenario.online is not None
    faults = online_faults("scenario.toml", scenario.online, stream.users)
    assert faults.outages == ((2, 1.0, 3.0),)


def test_reading_back_what_was_read(tmp_path: Path) -> None:
    """The spool of a file equals the trace read from the same file."""
    write_trace(trace_of(50), tmp_path / "trace.csv")
    spool = open_trace(tmp_path / "trace.csv")
    trace = read_trace(tmp_path / "trace.csv")
    for name, values in trace.columns().items():
        assert spool.columns[name].tobytes() == values.tobytes()
