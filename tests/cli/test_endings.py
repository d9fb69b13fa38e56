"""However a command ends, what it has computed is kept, and the reason is told."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import solvers
from edgesim.instances import read_schedule
from edgesim.storage.manifest import MANIFEST
from solvers.temporary import MARK
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE, instance
from tests.experiment.background import hear_signals

HANGING = """\
import sys
import time

def hang(problem, uplink, options):
    print("hanging", file=sys.stderr, flush=True)
    time.sleep(600)

def leave(problem, uplink, options):
    sys.exit(0)
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)
    Path("tiny.json").write_text(json.dumps(instance()))
    Path("hangs_for_test.py").write_text(HANGING)


def _started(
    *words: object, before: Callable[[], None] | None = None, **more: str
) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgesim", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(more),
        preexec_fn=before,
    )


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(solvers.__file__).parents[1])} | more


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_was_solved_before_a_signal_is_there(number: signal.Signals) -> None:
    """In the code of a solver of the user's own, whose failure it is not."""
    with _started(
        *("solve", "tiny.json", "--solver", "dp,greedy,hangs_for_test:hang"),
        *("--out", "out"),
        before=hear_signals,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"hanging\n"
        process.send_signal(number)
        assert process.wait() == 128 + number
        assert b"raised" not in process.stderr.read()
    assert {path.name for path in Path("out").iterdir()} == {
        MANIFEST,
        "dp.json",
        "greedy.json",
    }
    assert read_schedule(Path("out/dp.json")).solver == "dp"


def test_trials_that_were_done_before_a_signal_are_kept() -> None:
    """Plans and rows, and standard error says where."""
    with _started(
        "run", "small.toml", "--solver", "dp,hangs_for_test:hang", "--out", "out"
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"hanging\n"
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        said = process.stderr.read()
    assert said == b"warning: what is done is kept in out.partial: 1 run\n"
    assert not Path("out").exists()
    assert read_schedule(Path("out.partial/plans/0/dp.json")).solver == "dp"
    words = ("--solver", "dp", "--repeats", 1, "--out", "whole")
    assert edgesim("run", "small.toml", *words).code == 0
    for table in ("requests.csv", "rounds.csv"):
        whole = Path("whole", table).read_bytes()
        assert Path("out.partial", table).read_bytes() == whole
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]


def test_a_solver_cannot_end_the_process_as_a_success() -> None:
    """One line that names the place, and exit code 2."""
    for words in (("run", "small.toml"), ("solve", "tiny.json")):
        finished = edgesim(*words, "--solver", "hangs_for_test:leave", "--out", "out")
        assert finished.code == 2
        assert finished.err.count("\n") == 1
        assert "raised SystemExit: '0', at hangs_for_test.py:9" in finished.err


def test_nothing_is_solved_for_a_place_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing folder, a folder for a file, a file for a folder: told first."""
    Path("folder").mkdir()
    Path("file").touch()
    monkeypatch.setattr(
        "edgesim.experiment.own_solvers.solve", lambda *a, **k: pytest.fail("solved")
    )
    for solver, out in (
        ("dp", "none/s.json"),
        ("dp", "folder"),
        ("dp,greedy", "file"),
        ("dp,greedy", "file/folder"),
    ):
        finished = edgesim("solve", "tiny.json", "--solver", solver, "--out", out)
        assert finished.code == 2
        assert finished.err.startswith(f"error: {out}: ")


def test_a_schedule_that_cannot_be_written_is_kept_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the folder for temporary files; the error says where."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if elsewhere not in self.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    for solver, out, name in (("dp", "s.json", "s.json"), ("dp,edf", "all", "dp.json")):
        finished = edgesim("solve", "tiny.json", "--solver", solver, "--out", out)
        assert finished.code == 2
        assert "no space left on device; the result is kept in " in finished.err
        kept = Path(finished.err.rpartition("kept in ")[2].strip())
        assert kept.name == name
        assert read_schedule(kept).solver == "dp"
    assert not Path("s.json").exists()


def test_nothing_is_converted_for_a_place_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day's log is read for minutes."""
    from edgesim.trace import convert

    monkeypatch.setattr(convert, "request_log", lambda *a, **k: pytest.fail("read"))
    finished = edgesim(
        *("trace", "convert", "csv", "small.csv", "none/out.csv"),
        *("--arrival", "arrival_s", "--model", "model", "--slo-s", 1),
    )
    assert finished.code == 2
    assert finished.err == (
        "error: none/out.csv: cannot be written: no such file or directory\n"
    )


def test_plans_that_cannot_be_written_are_kept_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole result; beside the place for it, what could be written there."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    whole = edgesim("run", "small.toml", "--solver", "dp,edf", "--out", "whole")
    assert whole.code == 0
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if elsewhere not in self.parents and self.name.startswith(f"{MARK}edf.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    finished = edgesim("run", "small.toml", "--solver", "dp,edf", "--out", "out")
    assert finished.code == 2
    assert "warning: what is done is kept in out.partial: 1 run\n" in finished.err
    kept = Path(finished.err.rpartition("the result is kept in ")[2].strip())
    assert kept.name == "out"
    for file in ("summary.json", "requests.csv", MANIFEST):
        assert (kept / file).read_bytes() == Path("whole", file).read_bytes()
    assert not Path("out").exists()


def _limited(size: int) -> Callable[[], None]:
    """Limit the size of files, as a full disk does."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [100, 700, 3000, 12_000, 60_000])
def test_a_run_on_a_full_disk(size: int) -> None:
    """An earlier result stays; what fits is kept: whole rows, whole files."""
    assert edgesim("run", "small.toml", "--solver", "edf", "--out", "out").code == 0
    before = {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}
    with _started(
        *("run", "small.toml", "--solver", "dp,greedy", "--out", "out"),
        before=_limited(size),
        MPLCONFIGDIR=str(Path().absolute()),
        # What is measured of this process would not fit either.
        COVERAGE_PROCESS_CONFIG="",
    ) as process:
        _, err = process.communicate()
    said = err.decode()
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert "file too large" in said
    assert "/.out." not in said
    partial = Path("out.partial")
    if "all else is written" in said:  # pictures alone are too large
        assert read_schedule(Path("out/plans/0/greedy.json")).solver == "greedy"
        assert not partial.exists()
        return
    assert "the result is kept in" not in said
    assert {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()} == before
    assert partial.exists() == ("what is done is kept in out.partial" in said)
    for file in partial.rglob("*.json"):
        json.loads(file.read_text())
    for file in partial.glob("*.csv"):
        assert file.read_text().endswith("\n")
    assert not [p for p in Path().iterdir() if p.name.startswith(".out")]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """Of the scenario, the trace and the folder: all is written, and printed."""
    odd = os.fsdecode(b"caf\xe9")
    folder = tmp_path / odd
    folder.mkdir()
    Path("small.toml").rename(folder / f"{odd}.toml")
    Path("small.csv").rename(folder / f"{odd}.csv")
    with _started(
        *("run", folder / f"{odd}.toml", "--trace", folder / f"{odd}.csv"),
        *("--out", folder / "out", "--solver", "dp"),
    ) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert err == b""
    assert b"caf\\udce9" in out
    run = json.loads((folder / "out" / "run.json").read_text())
    assert run["inputs"]["trace"]["file"] == f"{odd}.csv"
    with _started(
        *("solve", "tiny.json", "--solver", "dp,edf", "--out", folder / "all")
    ) as process:
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert (folder / "all" / "dp.json").is_file()
