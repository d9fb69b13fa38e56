"""What an online run refuses, in one line, and what it says of odd traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import edgesim
from tests.experiment.served import edit, rows_of, summary_of


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--solver", "dp"), "--solver"),
        (("--time-limit", "1"), "--time-limit"),
        (("--uplink", "dynamic"), "--uplink"),
        (("--policy", "nothing"), "--policy: must be of fcfs"),
        (("--policy", "fcfs,fcfs"), "--policy: must name each"),
        (("--policy", ""), "--policy: must be of fcfs"),
        (("--uplink", ""), "--uplink: must be one of fifo"),
        (("--repeats", "2"), "window_s"),
    ],
)
def test_options_that_do_not_fit(
    served: Path, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    """Options of plans, unknown names and too many repeats: exit 2 and one line."""
    finished = edgesim("run", served, *options, "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert named in finished.err
    assert not (tmp_path / "out").exists()


def test_policies_are_refused_for_plans(tmp_path: Path) -> None:
    """--policy with a scenario that plans says so."""
    finished = edgesim("run", "campus", "--policy", "fcfs", "--out", tmp_path / "out")
    assert finished.code == 2
    assert "--policy" in finished.err


def test_a_warm_up_longer_than_the_trace_is_refused(
    served: Path, tmp_path: Path
) -> None:
    """Nothing would be measured, so nothing is written."""
    edit(served, "warmup_s = 2.0", "warmup_s = 50.0")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 2
    assert "warmup_s" in finished.err
    assert not (tmp_path / "out").exists()


HEADER = "arrival_s,user,model,input_bytes,slo_s\n"
FAULT = (
    "warmup_s = 2.0\nfaults = [{{ kind = 'burst', at_s = {}, for_s = 1, factor = 2 }}]"
)
OUT_OF_PLACE = {
    "window after the run": (
        "window_s = [4.0, 6.0]",
        "window_s = [50.0, 60.0]",
        "online.window_s: must begin within the 19.",
    ),
    "fault after the run": (
        "warmup_s = 2.0",
        FAULT.format(50),
        "online.faults[0].at_s: must lie within the 19.",
    ),
    "tiny step": (
        "batches = 4",
        "batches = 4\nsample_s = 1e-12",
        "online.sample_s: must give at most 1000000 rows",
    ),
    "start after the trace": (
        "[online]",
        "start_s = 30.0\n[online]",
        "workload.start_s: must not be after the last arrival",
    ),
    "options": (
        "batches = 4",
        "batches = 4\ngreedy = { level = 3 }",
        "online.greedy: got an unexpected keyword argument 'level'; allowed are no opt",
    ),
    "no such module": (
        '"greedy"]',
        '"not_there_at_all:Mine"]',
        "online.policies: not_there_at_all:Mine: there is no module",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "message"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE
)
def test_what_has_no_place_in_the_run(
    served: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """File and key in one line, before anything is simulated or written."""
    edit(served, old, new)
    finished = edgesim("run", served, "--own-code", "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.startswith(f"error: {served}: {message}")
    assert finished.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_requests_that_take_no_time_need_a_window(served: Path, tmp_path: Path) -> None:
    """All come at once: the window's length is asked for, and serves."""
    rows = "0.0,ann,m000,1000,0.5\n" * 3
    (tmp_path / "served.csv").write_text(HEADER + rows)
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 2
    assert f"{served}: workload.window_s: must be given" in finished.err
    edit(served, 'trace = "served.csv"', 'trace = "served.csv"\nwindow_s = 10.0')
    edit(served, "warmup_s = 2.0", "warmup_s = 0")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    found = summary_of(tmp_path / "out")["policies"]["fcfs"]
    assert found["in_time"] + found["dropped"] == rows.count("\n")
    assert "no requests are measured" not in finished.out


def test_nothing_is_measured_of_no_requests(served: Path, tmp_path: Path) -> None:
    """A trace without rows is no run, and takes the place of no earlier result."""
    assert edgesim("run", served, "--out", tmp_path / "out").code == 0
    before = (tmp_path / "out" / "summary.json").read_bytes()
    trace = tmp_path / "served.csv"
    trace.write_text(HEADER)
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == f"error: {trace}: must hold requests, found none\n"
    assert (tmp_path / "out" / "summary.json").read_bytes() == before


def test_names_with_signs_of_csv(served: Path, tmp_path: Path) -> None:
    """Commas, quotes and other alphabets come out of the tables as they went in."""
    user, model = 'ann, "the ü漢"', 'm,"x" é'
    row = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (user, model))
    lines = [f"{i / 10},{row},1000,0.5\n" for i in range(50)]
    (tmp_path / "served.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    down = f"kind = 'link-down', at_s = 1, for_s = 2, user = '{user}'"
    edit(served, "[online]\n", f"[online]\nfaults = [{{ {down} }}]\n")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    rows = rows_of(tmp_path / "out" / "requests.csv")
    assert len(rows) == 3 * 50
    assert {r["user"] for r in rows} == {user}
    assert {r["reason"] for r in rows if r["outcome"] == "dropped"} == {"too late"}
    events = json.loads((tmp_path / "out" / "perfetto" / "0-fcfs.json").read_text())
    assert user in {e["name"] for e in events["traceEvents"]}


def test_what_no_policy_can_serve_is_told(served: Path, tmp_path: Path) -> None:
    """Models that never fit drop every request, and the words say so."""
    edit(served, "400_000_000", "1_000_000")
    finished = edgesim("run", served, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
    found = summary_of(tmp_path / "out")["policies"]["greedy"]
    assert found["dropped_by"] == {"never fits in GPU memory": found["dropped"]}
    line = f"{found['dropped']} requests dropped by all: never fits in GPU memory"
    assert line in finished.out.splitlines()


@pytest.mark.parametrize(
    ("size", "efficiency", "named"),
    [
        (120_000, 1e-12, "spectral_efficiency: must let every upload end within"),
        (10**17, 3.0, "input_bytes: must let every upload end within"),
    ],
)
def test_an_endless_upload_is_named(
    served: Path, tmp_path: Path, size: int, efficiency: float, named: str
) -> None:
    """The link or the input, not the step of the series; dropped, it does no harm."""
    rows = [f"{t},ann,m000,120000,0.5,3.0\n" for t in range(20)]
    rows.insert(9, f"8.5,bob,m000,{size},0.5,{efficiency}\n")
    trace = tmp_path / "long.csv"
    header = "arrival_s,user,model,input_bytes,slo_s,spectral_efficiency\n"
    trace.write_text(header + "".join(rows))
    words = ("run", served, "--trace", trace, "--set", "workload.models=rank")
    finished = edgesim(*words, "--set", "online.late=serve", "--out", tmp_path / "out")
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert f"{trace}: {named} 4e+06 s, found one of {size} bytes" in finished.err
    assert "sample_s" not in finished.err
    finished = edgesim(*words, "--out", tmp_path / "out")
    assert finished.code == 0, finished.err
