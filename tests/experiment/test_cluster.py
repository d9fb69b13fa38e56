"""Figures on a Dask cluster: a scheduler and workers as processes of their own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import edgesim
from tests.examples import SCENARIO, TRACE
from tests.experiment.background import (
    ENVIRONMENT,
    ROOT,
    finished,
    living,
    points_in,
    started,
    wait_for,
    write_figure,
    written,
)

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("distributed") is None, reason="needs dask"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


class Cluster:
    """A scheduler, and its workers in a folder of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.started: list[subprocess.Popen[bytes]] = []
        folder.mkdir()
        self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard"),
            *("--scheduler-file", self.file),
        )
        wait_for(lambda: self.file.is_file() and self.file.read_bytes()[-1:] == b"}")

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(json.loads(self.file.read_text())["address"])

    def add_workers(self, count: int, path: Path = ROOT) -> None:
        """Start workers that import from a folder, and wait until they are there."""
        for _ in range(count):
            name = f"worker-{len(self.workers)}"
            worker = self._start(
                *("worker", self.address, "--nthreads", 1, "--no-dashboard"),
                *("--no-nanny", "--name", name, "--local-directory", self.folder),
                path=path,
            )
            self.workers.append(worker)
            log = self.folder / f"{len(self.started) - 1}.log"
            wait_for(lambda log=log: b"Registered to" in log.read_bytes())

    def _start(self, *words: object, path: Path = ROOT) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, words)],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT | {"PYTHONPATH": str(path)},
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End every process."""
        for process in reversed(self.started):
            process.kill()
            process.wait()
            assert not living(process.pid)


@contextmanager
def _cluster(folder: Path, workers: int = 0) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.add_workers(workers)
        yield cluster
    finally:
        cluster.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start a scheduler and two workers, in another folder than the commands'."""
    with _cluster(tmp_path_factory.mktemp("dask") / "cluster", 2) as found:
        yield found


def _refused(folder: Path, dask: object) -> str:
    """Run a figure that cannot be; return the only line that it says."""
    code, out, err = finished(
        folder, "figure", write_figure(folder, repeats=1), "--own-code", "--dask", dask
    )
    assert (code, out, err.count("\n")) == (2, "", 1), err
    return err


def test_a_cluster_gives_the_same_bytes(tmp_path: Path, cluster: Cluster) -> None:
    """By address and by file, as processes; nothing but the files is said."""
    file = write_figure(tmp_path, sleep_s=0.01, repeats=1)
    words = ("figure", file.name, "--own-code")
    assert finished(tmp_path, *words, "--out", ".", "--jobs", 2)[0] == 0
    for out, dask in (("address", cluster.address), ("file", cluster.file)):
        code, _, err = finished(tmp_path, *words, "--out", out, "--dask", dask)
        assert (code, err) == (0, "")
        assert written(tmp_path / out) == written(tmp_path)


def test_own_code_that_changed_is_run_anew(tmp_path: Path, cluster: Cluster) -> None:
    """The workers live on; they import the folder's module as it is now."""
    file = write_figure(tmp_path, sleep_s=0.01, repeats=1)
    words = ("figure", file.name, "--own-code")
    dask = ("--dask", cluster.address)
    assert finished(tmp_path, *words, *dask, "--out", "one")[0] == 0
    own = tmp_path / "mine.py"
    own.write_text("import helper\n\n\n" + own.read_text().replace('"greedy"', '"dp"'))
    (tmp_path / "helper.py").write_text("")
    for name in ("two", "three"):
        assert finished(tmp_path, *words, *dask, "--out", name)[0] == 0
        # The next one changes a module beside it.
        (tmp_path / "helper.py").write_text(
            "import solvers\n\n"
            "solvers.solve = lambda *_, **__: type('Result', (), {'schedule':"
            " type('Schedule', (), {'rounds': ()})})\n"
        )
    tables = [(tmp_path / n / "figure.csv").read_text() for n in ("one", "two")]
    assert tables[0] != tables[1]
    last = (tmp_path / "three" / "figure.csv").read_text()
    assert all(
        line.split(",")[4] == "0" for line in last.splitlines() if "mine" in line
    )


def test_own_code_that_fails_is_one_line(tmp_path: Path, cluster: Cluster) -> None:
    """It names the line in the user's code; the workers live on."""
    write_figure(tmp_path)
    (tmp_path / "mine.py").write_text("def solve(p, u, o):\n    return 1 / 0\n")
    code, _, err = finished(
        tmp_path, "figure", "figure.toml", "--own-code", "--dask", cluster.address
    )
    assert (code, err.count("\n")) == (2, 1)
    assert "ZeroDivisionError" in err
    assert "at mine.py:2" in err


def test_an_interrupt_cancels_what_is_pending(tmp_path: Path, cluster: Cluster) -> None:
    """The cluster is free at once; what was computed is kept, and said."""
    file = write_figure(tmp_path, sleep_s=0.5, repeats=10)
    words = ("figure", file, "--own-code", "--dask", cluster.address)
    with started(tmp_path, *words) as process:
        wait_for(lambda: points_in(tmp_path / ".points") > 3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("stopped: ")
    assert err.count("\n") == 1
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:

        def tasks() -> int:
            # By value: the scheduler imports edgesim, and no tests.
            count = lambda dask_scheduler: len(dask_scheduler.tasks)  # noqa: E731
            return int(client.run_on_scheduler(count))

        wait_for(lambda: tasks() == 0, 3.0)


def test_a_worker_that_dies_changes_no_byte(tmp_path: Path) -> None:
    """Its points go to the other one."""
    file = write_figure(tmp_path, sleep_s=0.2, repeats=3)
    words = ("figure", file, "--own-code")
    with (
        _cluster(tmp_path / "cluster", 2) as cluster,
        started(
            tmp_path, *words, "--out", "dask", "--dask", cluster.address
        ) as process,
    ):
        wait_for(lambda: points_in(tmp_path / "dask" / ".points") > 4)
        cluster.workers[0].kill()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert finished(tmp_path, *words, "--jobs", 2)[0] == 0
    assert written(tmp_path / "dask") == written(tmp_path)


@pytest.mark.parametrize("which", ["scheduler", "worker"])
def test_a_cluster_that_dies_is_one_line(tmp_path: Path, which: str) -> None:
    """Exit 2, and what was computed is kept."""
    file = write_figure(tmp_path, sleep_s=0.2, repeats=10)
    with (
        _cluster(tmp_path / "cluster", 1) as cluster,
        started(
            tmp_path, "figure", file, "--own-code", "--dask", cluster.address
        ) as process,
    ):
        wait_for(lambda: points_in(tmp_path / ".points") > 2)
        cluster.started[("scheduler", "worker").index(which)].kill()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n")) == (2, 1), err
    assert err.startswith("error: --dask: ")
    assert "of 80 points kept in" in err


def test_workers_that_are_not_right(tmp_path: Path) -> None:
    """None, without edgesim, or with another version of it: each is told."""
    with _cluster(tmp_path / "cluster") as cluster:
        err = _refused(tmp_path, cluster.address)
        assert err.startswith("error: --dask: the scheduler at ")
        assert "has no workers" in err

        without = tmp_path / "without" / "edgesim"
        without.mkdir(parents=True)
        (without / "__init__.py").write_text(
            "raise ModuleNotFoundError(\"No module named 'edgesim'\", name='edgesim')\n"
        )
        cluster.add_workers(1, without.parent)
        err = _refused(tmp_path, cluster.address)
        assert err.startswith("error: --dask: a worker of ")
        assert "has no such edgesim: " in err
        assert "No module named" in err
        cluster.workers[0].kill()
        cluster.workers[0].wait()

        other = tmp_path / "other"
        for package in ("edgesim", "solvers"):
            shutil.copytree(ROOT / package, other / package)
        (other / "solvers" / "text.py").write_text("")
        cluster.add_workers(1, other)
        err = _refused(tmp_path, cluster.address)
        assert err.startswith("error: --dask: a worker of ")
        assert "has another version of the source of edgesim" in err


def test_nobody_answers(tmp_path: Path) -> None:
    """One line that says what an address looks like."""
    err = _refused(tmp_path, "tcp://127.0.0.1:1")
    assert err.startswith("error: --dask: must be the address of a Dask scheduler")
    assert "; nobody answers at 'tcp://127.0.0.1:1': " in err


@pytest.mark.parametrize(
    ("address", "said"),
    [
        *((address, ", found ") for address in ("nowhere", "", "/dev/null")),
        ("small.toml", "; small.toml:1: not JSON"),
    ],
)
def test_what_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    """Neither an address nor a scheduler's file: told at once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SCENARIO)
    (tmp_path / "small.csv").write_text(TRACE)
    found = edgesim("figure", "small.toml", "--vary", "users=1", "--dask", address)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert found.err.startswith(
        "error: --dask: must be the address of a Dask scheduler (tcp://host:8786) or "
        f"its file{said}"
    )
