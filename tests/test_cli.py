"""The command itself: help, version, exit codes, tables, quiet pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import solvers
from edgesim import __version__
from edgesim.instances import read_schedule
from tests.command import edgesim
from tests.examples import instance

COMMANDS = ("run", "solve", "figure", "schema", "trace", "profile", "replay", "list")


def _process(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgesim", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command() -> None:
    """``edgesim --help`` lists the commands, each with a sentence."""
    finished = _process("--help")
    assert finished.returncode == 0
    for command in COMMANDS:
        assert f"  {command} " in finished.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str) -> None:
    """Every command explains itself."""
    finished = edgesim(command, "--help")
    assert finished.code == 0
    assert "Usage: edgesim" in finished.out


def test_help_imports_nothing_heavy() -> None:
    """Asking for help imports neither numpy nor matplotlib nor any solver."""
    code = (
        "import sys; sys.argv = ['edgesim', '--help']\n"
        "from edgesim.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'matplotlib', 'networkx', 'pulp', 'simpy', 'highspy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


def test_version() -> None:
    """``edgesim --version`` prints the version."""
    assert edgesim("--version").out == f"edgesim {__version__}\n"


def test_bad_input_exits_with_2_and_one_line(tmp_path: Path) -> None:
    """In a process of its own, too: exit code 2, one line, no traceback."""
    finished = _process("solve", "none.json", "--solver", "dp", "--out", tmp_path / "o")
    assert finished.returncode == 2
    assert finished.stderr == "error: none.json: no such file or directory\n"
    assert finished.stdout == ""


def test_unknown_command() -> None:
    """An unknown command is one line as well."""
    finished = edgesim("sing")
    assert finished.code == 2
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1


def test_several_solvers_make_a_folder(tmp_path: Path) -> None:
    """With several solvers ``--out`` is a folder holding NAME.json for each."""
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(instance()))
    out = tmp_path / "deep" / "schedules"
    finished = edgesim("solve", file, "--solver", "dp,greedy,ilp", "--out", out)
    assert finished.code == 0, finished.err
    assert {p.name for p in out.iterdir()} == {
        *(".edgesim.json", "dp.json", "greedy.json", "ilp.json")
    }
    assert read_schedule(out / "ilp.json").served == 2
    assert [line.split()[0] for line in finished.out.splitlines()] == [
        *("solver", "dp", "greedy", "ilp", "of")
    ]


def test_same_inputs_same_schedule_bytes(tmp_path: Path) -> None:
    """Two processes with hash seeds of their own write the same bytes."""
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(instance()))
    for name in ("a", "b"):
        assert (
            _process(
                *(
                    "solve",
                    file,
                    "--solver",
                    "dp,greedy,random,ilp",
                    "--uplink",
                    "static",
                ),
                *("--seed", 7, "--out", tmp_path / name),
            ).returncode
            == 0
        )
    for solver in ("dp", "greedy", "random", "ilp"):
        one, two = (tmp_path / n / f"{solver}.json" for n in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()


def test_limits_reach_the_solver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--iterations``, ``--time-limit`` and ``--seed`` are handed on as they are."""
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(instance()))
    original, given = solvers.solve, []

    def spy(*args: Any, **options: Any) -> solvers.Result:
        given.append({k: options[k] for k in ("iterations", "time_limit_s", "seed")})
        return original(*args, **options)

    monkeypatch.setattr("edgesim.experiment.own_solvers.solve", spy)
    words = ("solve", file, "--solver", "greedy", "--out", tmp_path / "out.json")
    limits = ("--iterations", 7, "--time-limit", 2.5, "--seed", 3)
    assert edgesim(*words).code == 0
    assert edgesim(*words, *limits).code == 0
    assert given == [
        {"iterations": None, "time_limit_s": None, "seed": 0},
        {"iterations": 7, "time_limit_s": 2.5, "seed": 3},
    ]


def test_solvers_that_no_limit_ends_are_named(tmp_path: Path) -> None:
    """A time limit that a solver does not take is said so, and only then."""
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(instance()))
    words = ("solve", file, "--solver", "dp,ilp,edf,fcfs", "--out", tmp_path / "out")
    said = "--time-limit did not limit edf, fcfs: baselines take none\n"
    assert edgesim(*words, "--time-limit", 60).out.endswith(said)
    assert "limit" not in edgesim(*words).out
    ilp = ("solve", file, "--solver", "ilp", "--out", tmp_path / "out.json")
    assert "did not limit" not in edgesim(*ilp, "--time-limit", 60).out


NO_TORCH = """\
import importlib.abc, importlib.util, sys


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "torch" else find_spec(name)
from edgesim.cli import main

main()
"""


def _without_torch(folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NO_TORCH, *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_core_runs_without_torch(tmp_path: Path) -> None:
    """Where torch cannot be imported, all but measuring and replaying works."""
    finished = _without_torch(tmp_path, "profile", "show", "clockwork-v100")
    assert finished.returncode == 0, finished.stderr
    finished = _without_torch(tmp_path, "run", "pinned-small-cnns", "--repeats", 1)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("profile", "measure", "hf:bert", "--device", "cpu", "--out", "x.json"),
        ("replay", "x.json", "--profile", "clockwork-v100", "--device", "cpu"),
    ],
)
def test_without_torch_measuring_says_what_to_install(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """One line with the extra to install, exit 2, nothing left behind."""
    finished = _without_torch(tmp_path, *command)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "edgesim[profile]" in finished.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.torch
def test_termination_leaves_nothing(tmp_path: Path) -> None:
    """Asked to end while it measures from disk, it removes its files first."""
    words = (
        *("profile", "measure", "hf:bert,hidden_size=48", "--device", "cpu"),
        *("--batch", "1", "--tiers", "disk", "--seconds", "1000", "--out", "x.json"),
    )
    with subprocess.Popen(
        [sys.executable, "-m", "edgesim", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(solvers.__file__).parents[1])},
    ) as process:
        assert process.stderr is not None
        assert "measuring 1 model" in process.stderr.readline()
        while not list(tmp_path.rglob("*.bin")):
            assert process.poll() is None
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
