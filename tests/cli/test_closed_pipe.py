"""Whichever command writes to a pipe that its reader has closed, it ends in silence."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer.main

from edgesim.cli import app, main
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE, instance
from tests.experiment.background import ENVIRONMENT, ROOT

GENERATED = "--rate 2 --duration-s 5 --models 2 --slo-s 1 --out drawn.csv"
COMMANDS = {
    "run": "run small.toml --solver dp,edf --out out",
    "solve": "solve tiny.json --solver dp,edf --out out",
    "figure": (
        "figure small.toml --vary bandwidth=1e7,2e7 --solver edf --jobs 1 --out out"
    ),
    "report": "report ran",
    "schema": "schema scenario",
    "list": "list",
    "list parameters": "list parameters",
    "compile": "compile",
    "profile show": "profile show h200",
    "profile merge": "profile merge one.json two.json --out lab.json",
    "profile campaign": "profile campaign gpu --dry-run --out out",
    "trace generate": f"trace generate {GENERATED}",
    "trace scale": "trace scale small.csv scaled.csv",
    "trace show": "trace show small.csv",
    "trace convert csv": (
        "trace convert csv small.csv out.csv --arrival arrival_s --model model "
        "--slo-s 1"
    ),
}
WITH_TORCH = {
    "profile sharing": "profile sharing a.safetensors b.safetensors",
    "profile sharing --json": "profile sharing a.safetensors b.safetensors --json",
    "profile variants": (
        "profile variants tests.small_networks:convnet --out made --variants 2"
    ),
    "profile measure": (
        "profile measure tests.small_networks:convnet --device cpu --batch 1 "
        "--tiers disk --seconds 1 --input 3x16x16 --out x.json"
    ),
    "replay": (
        "replay edf.json --profile small.json --device cpu --factories call "
        "--back-to-back --out replayed"
    ),
    "live": "live small.toml --device cpu --duration-s 0.3 --own-code --out lived",
    "live-table": "live-table one two",
}
HELP = {
    "help": "--help",
    "no words": "",
    "no words after profile": "profile",
    "help of run": "run --help",
    "version": "--version",
}
ON_STANDARD_ERROR = {"trace generate", "trace scale", "trace convert csv"}
"""Commands that say there what they wrote, since the trace may go to a pipe."""

each = pytest.mark.parametrize(
    "name",
    [*COMMANDS, *HELP, *(pytest.param(n, marks=pytest.mark.torch) for n in WITH_TORCH)],
)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    Path("small.csv").write_text(TRACE)
    Path("small.toml").write_text(SCENARIO)
    Path("tiny.json").write_text(json.dumps(instance()))


def _prepare(name: str) -> None:
    """Write what one of the commands reads besides."""
    if name == "report":
        assert edgesim("run", "small.toml", "--solver", "edf", "--out", "ran").code == 0
    elif name == "profile merge":
        from tests.profile.test_merge import document, written

        written(Path(), one=document(), two=document(2.0))
    elif name.startswith("profile sharing"):
        import numpy as np
        from safetensors.numpy import save_file

        for number, file in enumerate(("a.safetensors", "b.safetensors")):
            save_file({"head": np.full(600, number, np.float32)}, file)
    elif name == "replay":
        from tests.replay.test_replay_command import _files

        _files()
    elif name == "live":
        from tests.live.cases import write_files

        write_files()
    elif name == "live-table":
        from tests.live.test_table import _entry, _write

        for folder in ("one", "two"):
            _write(Path(folder), {"fcfs": _entry(0.8, 0.79)})


@contextmanager
def _unread() -> Iterator[io.TextIOWrapper]:
    """Open a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), open(writer, "w", 1, "utf-8") as stream:
        yield stream


def _run(line: str, *, both: bool = False) -> tuple[int, str]:
    """Run a command whose output is unread: exit code, and its standard error.

    Parameters
    ----------
    line
        Its words.
    both
        Whether standard error goes to the same pipe, as with ``2>&1``.
    """
    err = io.StringIO()
    with (
        _unread() as out,
        mock.patch.object(sys, "argv", ["edgesim", *shlex.split(line)]),
        redirect_stdout(out),
        redirect_stderr(out if both else err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    assert isinstance(end.value.code, int)
    return end.value.code, err.getvalue()


LINES = COMMANDS | WITH_TORCH | HELP


@each
def test_output_that_nobody_reads(name: str) -> None:
    """Exit code 1, and no word of it: whoever closed the pipe has read enough."""
    _prepare(name)
    code, err = _run(LINES[name])
    assert code == (0 if name in ON_STANDARD_ERROR else 1), err
    assert "error" not in err
    assert "SystemExit" not in err
    assert "Traceback" not in err


@each
def test_neither_output_is_read(name: str) -> None:
    """The same, whichever of the two streams the command writes to first."""
    _prepare(name)
    assert _run(LINES[name], both=True) == (1, "")


@pytest.mark.parametrize("line", ["run no-such.toml", "run --no-such", "list nothing"])
def test_an_error_that_nobody_reads(line: str) -> None:
    """Its exit code is lost, but nothing is raised."""
    assert _run(line, both=True) == (1, "")
    assert _run(line)[0] == 2


def test_every_command_is_tried() -> None:
    """A command that is new is one of those above."""
    found: set[str] = set()

    def add(words: str, of: Any) -> None:
        inner = getattr(of, "commands", {})
        for name, one in inner.items():
            add(f"{words} {name}".strip(), one)
        if not inner:
            found.add(words)

    add("", typer.main.get_command(app))
    # The formats of a log differ in how it is read alone.
    tried = {*COMMANDS, *WITH_TORCH} | {c for c in found if "trace convert" in c}
    assert found <= tried
    assert "trace convert csv" in found


@pytest.mark.parametrize(
    "name",
    ["run", "solve", "figure", pytest.param("replay", marks=pytest.mark.torch)],
)
def test_results_are_there_all_the_same(name: str) -> None:
    """What was computed for a folder is in it, though nobody reads of it."""
    _prepare(name)
    _run(LINES[name])
    folder = Path("replayed" if name == "replay" else "out")
    unread = {path.name for path in folder.rglob("*")}
    assert edgesim(*shlex.split(LINES[name])).code == 0
    assert {path.name for path in folder.rglob("*")} == unread


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """Python, which flushes at its end, does not fail there either."""
    with subprocess.Popen(
        [sys.executable, "-m", "edgesim", *shlex.split(COMMANDS["solve"])],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
