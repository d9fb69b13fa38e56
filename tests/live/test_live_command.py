"""The command ``edgesim live``, from files to a folder."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgesim.engine.records import Run
from edgesim.engine.worker import WallClock
from edgesim.live import device as live_device
from edgesim.live import run as running
from edgesim.live import session
from edgesim.profiling.device import CpuDevice
from edgesim.results import online_summary
from edgesim.storage.manifest import MANIFEST
from tests.command import Finished, edgesim
from tests.live import cases
from tests.live.cases import SCENARIO, write_files


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder; the tests' networks are found all the same."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)


def _live(*options: object) -> Finished:
    return edgesim("live", "small.toml", "--device", "cpu", *options)


def _document(folder: str = "results/live-small") -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(Path(folder, "live.json").read_text())
    return found


def _rows(name: str, folder: str = "results/live-small") -> list[dict[str, str]]:
    with Path(folder, name).open() as file:
        return list(csv.DictReader(file))


def test_files_become_a_runs_folder_and_a_comparison() -> None:
    """An outcome a request, bytes copied are bytes recorded, all time accounted for."""
    write_files()
    done = _live("--duration-s", "1", "--own-code")
    assert done.code == 0, done.err
    folder = Path("results/live-small")
    there = {path.name for path in folder.iterdir()}
    others = ("*", ".pdf", ".svg")
    of_a_run = {
        name
        for name in online_summary.OUTPUTS
        if not any(other in name for other in others)
    }
    beside = {"compare.md", "compare.png", "round-times.csv", "live.json"}
    assert there == of_a_run | beside | {MANIFEST}
    assert (folder / "compare.md").read_text() in done.out
    with (Path("small.csv")).open() as file:
        arrivals = [float(row["arrival_s"]) for row in csv.DictReader(file)]
    document = _document()
    requests, rounds = _rows("requests.csv"), _rows("rounds.csv")
    for name, entry in document["policies"].items():
        mine = [row for row in requests if row["policy"] == name]
        assert len(mine) == sum(arrival < 1 for arrival in arrivals)
        assert {row["outcome"] for row in mine} == {"in time"}
        # Deliveries of all requests are those of the simulation.
        assert entry["live"]["on_time_ratio"] == entry["closed"]["on_time_ratio"] == 1
        loaded = [int(row["loaded_bytes"]) for row in rounds if row["policy"] == name]
        assert entry["copied_bytes"] == sum(loaded) > 0
        time = entry["time"]
        parts = [value for key, value in time.items() if key != "wall_s"]
        assert sum(parts) == pytest.approx(time["wall_s"])
        assert min(parts) >= 0
        assert not entry["ended"]
        assert entry["other_deliveries"] == 0
        split = entry["error_split"]
        error = entry["live"]["on_time_ratio"] - entry["closed"]["on_time_ratio"]
        assert sum(split.values()) == pytest.approx(error)
        keys = entry["keys"]
        assert 0 < keys["decision_s"] < 0.1
        works = 2 * sum(row["policy"] == name for row in rounds)
        beyond_s = time["dispatch_s"] + time["handling_s"]
        assert beyond_s / works <= keys["dispatch_s"] < 0.1
        assert document["decision_s"][name] > 0
    assert document["torch_threads"] == 1
    assert document["dispatch_s"] > 0
    assert "with dispatch" in done.out


def test_an_earlier_result_is_replaced() -> None:
    """What else the folder holds stays; a run of another command is refused."""
    write_files()
    for _ in range(2):
        done = _live("--duration-s", "0.2", "--own-code", "--policy", "edf")
        assert done.code == 0, done.err
    assert list(_document()["policies"]) == ["edf"]
    Path("results/live-small/mine.txt").write_text("mine")
    done = _live("--duration-s", "0.2", "--own-code", "--policy", "fcfs")
    assert done.code == 0, done.err
    assert list(_document()["policies"]) == ["fcfs"]
    assert Path("results/live-small/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("residency", ["previous", "cache"])
def test_without_sharing_and_in_a_memory_that_is_short(
    residency: str, packed: bool
) -> None:
    """Whole models are copied, each with blocks of its own."""
    write_files()
    done = _live(
        *("--duration-s", "0.5", "--own-code", "--residency", residency),
        *("--policy", "fcfs,fcfs-noshare", "--memory", "300kB"),
        *(["--packed"] if packed else []),
    )
    assert done.code == 0, done.err
    policies = _document()["policies"]
    assert _document()["packed"] == packed
    assert ("--packed" in _document()["command"]) == packed
    pools = {policy["pool_bytes"] for policy in policies.values()}
    assert (max(pools) < 320_000) == packed
    assert ("has a place of its own" in done.out) != packed
    whole = sum(cases.SIZES.values())
    assert policies["fcfs-noshare"]["copied_bytes"] % whole == 0
    assert policies["fcfs"]["copied_bytes"] < policies["fcfs-noshare"]["copied_bytes"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Take interrupts as in a terminal, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_keeps_what_is_done() -> None:
    """The run in hand ends, later policies are not begun, the folder is there."""
    write_files()
    timers: list[threading.Timer] = []
    began = WallClock.start

    def start(self: WallClock) -> None:
        began(self)
        timers.append(threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)))
        timers[-1].start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WallClock, "start", start)
        done = _live("--duration-s", "3", "--own-code")
    for timer in timers:
        timer.join()
    assert done.code == 130, done.err
    policies = _document()["policies"]
    assert list(policies) == ["fcfs"]
    assert policies["fcfs"]["interrupted"]
    assert 0.4 < policies["fcfs"]["time"]["wall_s"] < 3
    assert 0 < len(_rows("requests.csv")) < 120
    assert "ended by a signal" in Path("results/live-small/compare.md").read_text()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupts_that_are_to_be_ignored_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that was put into the background with them ignored goes on."""
    write_files()
    monkeypatch.setattr(
        live_device.PoolDevice, "warm_up", lambda _: os.kill(os.getpid(), signal.SIGINT)
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = _live("--duration-s", "0.2", "--own-code", "--policy", "fcfs")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.code == 0, done.err


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_models_are_prepared_ends_it_before_the_first_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is done, so nothing is written; no thread is left."""
    write_files()
    monkeypatch.setattr(
        live_device.PoolDevice,
        "warm_up",
        lambda _: os.kill(os.getpid(), signal.SIGINT),
    )
    done = _live("--duration-s", "3", "--own-code")
    assert done.code == 130, done.err
    assert not Path("results/live-small").exists()
    assert "edgesim-device" not in {thread.name for thread in threading.enumerate()}


def test_a_block_that_breaks_during_the_run_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every model is checked at the end, those that are not in memory then too."""
    write_files()
    serve = session.serve_by_clock

    def breaking(*parts: Any) -> Run:
        pool: Any = parts[-1].device(None)
        pool._stage.hosts["net-v02/head"].host[:4000] = 0
        return serve(*parts)

    monkeypatch.setattr(session, "serve_by_clock", breaking)
    with pytest.raises(
        RuntimeError, match="at the end of the run net-v02 did not compute"
    ):
        _live("--duration-s", "0.2", "--own-code")
    assert not Path("results/live-small").exists()


def test_a_model_that_computes_something_else_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes that do not arrive are seen before any request is served."""
    write_files()
    move = live_device.PoolDevice._place

    def broken(self: Any, copy: live_device.Copy) -> None:
        move(self, copy)
        if copy.block == "net-v02/layers.3":
            self._content(self.pool[copy])[:4000] = 0

    monkeypatch.setattr(live_device.PoolDevice, "_place", broken)
    with pytest.raises(RuntimeError, match="before the run net-v02 did not compute"):
        _live("--duration-s", "0.2", "--own-code")
    assert not Path("results/live-small").exists()


def _refused(done: Finished, *words: str) -> None:
    """Exit 2, one line with these words, and nothing left behind."""
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    for word in words:
        assert word in done.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("changed", "options", "words"),
    [
        ({}, ["--duration-s", "0"], ["--duration-s", "above 0"]),
        ({}, ["--set", "gpu.overlap=true"], ["gpu.overlap", "one after the other"]),
        ({}, ["--load-from", "pinned"], ["--load-from", "pageable"]),
        ({}, ["--set", "gpu.load_rate_bytes_per_s=1e9"], ["load_rate_bytes_per_s"]),
        ({}, ["--set", "workload.window_s=3"], ["--set workload.window_s"]),
        (
            {},
            ["--set", 'online.faults=[{kind="gpu-stall", at_s=0, for_s=0.1}]'],
            ["online.faults[0]", "'gpu-stall'"],
        ),
        ({"input": None}, [], ["states no input of 'net'"]),
        ({"architecture": None}, [], ["states no architecture of 'net'"]),
    ],
)
def test_what_cannot_be_run_live_is_refused(
    changed: Mapping[str, Any], options: list[str], words: list[str]
) -> None:
    """Before anything is simulated or built."""
    write_files(**changed)
    _refused(_live("--duration-s", "1", "--own-code", *options), *words)


def test_code_that_a_profile_names_needs_consent() -> None:
    """With the command that gives it."""
    write_files()
    _refused(_live("--duration-s", "1"), "tests.small_networks:convnet", "--own-code")


def test_threads_are_those_of_the_profile() -> None:
    """Stated, and no more than there are processors."""
    write_files()
    content = json.loads(Path("small.json").read_text())
    content["provenance"]["machine"] = {"torch threads": "4096"}
    Path("small.json").write_text(json.dumps(content))
    _refused(_live("--own-code"), "'torch threads'", "found 4096")
    del content["provenance"]["machine"]
    Path("small.json").write_text(json.dumps(content))
    _refused(_live("--own-code"), "must state 'torch threads'")


def test_a_scenario_that_plans_is_refused() -> None:
    """There is nothing to be served by the clock."""
    write_files(SCENARIO.partition("[online]")[0])
    _refused(_live("--own-code"), "[online]")


def test_a_measured_profile_is_run_with_its_blocks_and_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks by the rule of the command that measured it; threads as stated there."""
    monkeypatch.setattr("edgesim.profiling.session.LADDER_BYTES", (4096, 65536))
    monkeypatch.setattr("edgesim.profiling.estimate.PROBE_BYTES", 65536)
    write_files()
    done = edgesim(
        *("profile", "measure", "net=tests.small_networks:convnet"),
        *("--device", "cpu", "--batch", "1,4", "--repeats", "10", "--seconds", "0.01"),
        *("--tiers", "pageable", "--input", "3x16x16", "--depth", "1"),
        *("--threads", "1", "--out", "mine.json"),
    )
    assert done.code == 0, done.err
    provenance = json.loads(Path("mine.json").read_text())["provenance"]
    assert provenance["machine"]["torch threads"] == "1"
    assert "--threads 1" in provenance["command"]
    done = _live(
        *("--profile", "mine.json", "--duration-s", "0.5", "--own-code"),
        *("--policy", "rolling", "--set", "library.clusters[0].frozen_blocks=1"),
    )
    assert done.code == 0, done.err
    assert "of the same kind of device" in done.out
    entry = _document()["policies"]["rolling"]
    assert entry["copied_bytes"] > 0


def test_what_cannot_be_packed_is_refused_by_its_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Graphs and overlap need places; memory that is short is told of packing."""
    write_files(latency_mode="graph")
    monkeypatch.setattr(CpuDevice, "has_graphs", True)
    monkeypatch.setattr(CpuDevice, "queues", lambda self: (self, self))
    done = _live("--own-code", "--packed")
    assert done.code == 2
    assert "--packed: is not for captured graphs" in done.err
    assert "; --no-graphs launches operator by operator" in done.err
    overlap = ("--set", "gpu.overlap=true")
    done = _live("--own-code", "--packed", "--no-graphs", *overlap)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--packed: is not for gpu.overlap" in done.err
    monkeypatch.setattr(running, "free_host_bytes", lambda: 1000)
    done = _live("--own-code")
    assert done.code == 2
    assert "would do with --no-graphs and --packed" in done.err
