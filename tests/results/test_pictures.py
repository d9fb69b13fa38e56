"""What a run or a figure leaves: data first, then pictures in every format."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgesim.errors import InputError
from edgesim.experiment import plans
from edgesim.results import figure as figures
from edgesim.results import plan_summary
from edgesim.results.figure import run_figure
from edgesim.results.pictures import PictureError
from tests.command import edgesim
from tests.examples import FIGURE, SCENARIO, TRACE

BEGINS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Write a small scenario and its trace."""
    (tmp_path / "small.csv").write_text(TRACE)
    (tmp_path / "small.toml").write_text(SCENARIO)
    return tmp_path / "small.toml"


@pytest.fixture
def figure(small: Path) -> Path:
    """Write a small figure of it."""
    path = small.with_name("sweep.toml")
    path.write_text(FIGURE)
    return path


def broken(*_: object, **__: object) -> None:
    """Draw nothing."""
    raise ArithmeticError("no such curve")


def test_a_title_that_is_no_formula_loses_nothing(figure: Path) -> None:
    """The title and the label of the axis are drawn as they are."""
    lines = figure.read_text().splitlines()
    texts = ("title", "x_label")
    figure.write_text(
        "\n".join(
            f'{line.split(" = ")[0]} = "$x^{{$"' if line.startswith(texts) else line
            for line in lines
        )
    )
    finished = edgesim("figure", figure)
    assert finished.code == 0, finished.err
    assert figure.with_suffix(".png").read_bytes().startswith(BEGINS["png"])


def test_a_picture_that_cannot_be_drawn_costs_no_rows(
    figure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are those of a figure that can; the error names the picture."""
    run_figure(figure)
    rows = figure.with_suffix(".csv").read_bytes()
    for suffix in (".csv", ".png"):
        figure.with_suffix(suffix).unlink()
    monkeypatch.setattr(figures, "plot_sweep", broken)
    finished = edgesim("figure", figure)
    assert finished.code == 2
    picture, data = figure.with_suffix(".png"), figure.with_suffix(".csv")
    assert finished.err == (
        f"error: {picture}: cannot be drawn: ArithmeticError: 'no such curve'; "
        f"its data are in {data}\n"
    )
    assert figure.with_suffix(".csv").read_bytes() == rows
    assert not figure.with_suffix(".png").exists()


def test_a_run_keeps_all_but_the_picture_that_cannot_be_drawn(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables, summary and the other picture are there; the error names the one."""
    monkeypatch.setattr(plan_summary, "plot_throughput", broken)
    out = small.with_name("out")
    finished = edgesim("run", small, "--out", out)
    assert finished.code == 2
    assert finished.err.startswith(f"error: {out / 'throughput.png'}: cannot be drawn")
    assert finished.err.count("\n") == 1
    left = {path.name for path in out.iterdir()}
    written = {f"{name}.json" for name in ("summary", "run", "perfetto")}
    tables = {"requests.csv", "rounds.csv", "plans"}
    assert left == written | tables | {"timeline.png", ".edgesim.json"}
    assert json.loads((out / "run.json").read_text())["runtime_s"]


def test_formats_of_a_figure(figure: Path) -> None:
    """The same picture in each; the command names all that it wrote."""
    finished = edgesim("figure", figure, "--format", "png, pdf,svg")
    assert finished.code == 0, finished.err
    pictures = [figure.with_suffix(f".{suffix}") for suffix in BEGINS]
    tables = [figure.with_suffix(f"{kind}.csv") for kind in ("", ".times", ".shown")]
    names = [*tables, *pictures]
    assert finished.out.splitlines() == list(map(str, names))
    for path, begins in zip(pictures, BEGINS.values(), strict=True):
        assert path.read_bytes().startswith(begins)
    png = pictures[0].read_bytes()
    run_figure(figure)
    assert pictures[0].read_bytes() == png


@pytest.mark.parametrize("online", [False, True])
def test_formats_of_a_run(small: Path, online: bool) -> None:
    """Every picture in each; a later run in another format replaces them."""
    text = small.read_text()
    if online:
        text = text.replace('solvers = ["dp", "dp-noshare"]\n', "")
        small.write_text(f'{text}\n[online]\npolicies = ["fcfs"]\n')
    names = ("latency", "on-time", "gpu-time", "goodput")
    stems = names if online else ("throughput", "timeline")
    out = small.with_name("out")
    finished = edgesim("run", small, "--out", out, "--format", "pdf,svg")
    assert finished.code == 0, finished.err
    for stem in stems:
        for suffix in ("pdf", "svg"):
            assert (out / f"{stem}.{suffix}").read_bytes().startswith(BEGINS[suffix])
    assert not list(out.glob("*.png"))
    assert edgesim("run", small, "--out", out).code == 0
    assert {path.name for path in out.glob("*.png")} == {f"{s}.png" for s in stems}
    assert not list(out.glob("*.pdf"))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("jpg", "--format: must be of png, pdf, svg, found 'jpg'"),
        ("png,png", "--format: must name formats (png, pdf, svg) once each, found"),
        ("", "--format: must be of png, pdf, svg, found ''"),
    ],
)
@pytest.mark.parametrize("command", ["run", "figure"])
def test_formats_that_are_none(
    figure: Path, small: Path, command: str, given: str, found: str
) -> None:
    """One line, and nothing is computed."""
    finished = edgesim(
        command, figure if command == "figure" else small, "--format", given
    )
    assert (finished.code, finished.out) == (2, "")
    assert found in finished.err
    assert not figure.with_suffix(".csv").exists()
    with pytest.raises(InputError, match="formats: must"):
        run_figure(figure, formats=[name for name in given.split(",") if name])


def test_picture_errors_are_input_errors() -> None:
    """Whoever catches what is wrong with inputs catches it."""
    assert issubclass(PictureError, InputError)


def no_work(*_: object, **__: object) -> None:
    """Fail the test that gets here."""
    raise AssertionError("a solver was started")


def swept(figure: Path, parameter: str, values: str) -> None:
    """Sweep another parameter of the figure, which has labels for numbers."""
    lines = figure.read_text().splitlines()
    replaced = {"parameter": f'"{parameter}"', "values": values, "unit": "1.0"}
    lines = [
        f"{key} = {replaced[key]}"
        if (key := line.split(" = ")[0]) in replaced
        else line
        for line in lines
    ]
    figure.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("parameter", "values", "extra", "found"),
    [
        ("gpu.residency", '["previous", "cache"]', "", "residency 'cache' is not"),
        (
            "run.uplink",
            '["dynamic", "static"]',
            '[set]\n"workload.releases" = "trace"\n"run.solvers" = ["greedy", "ilp"]\n',
            "greedy: uplink 'static' needs every release_s to be 0",
        ),
        (
            "workload.releases",
            '["zero", "trace"]',
            "",
            "dp: deadlines differ between users; use greedy or ilp",
        ),
    ],
)
def test_what_a_solver_refuses_is_refused_before_the_first_value(
    figure: Path,
    monkeypatch: pytest.MonkeyPatch,
    parameter: str,
    values: str,
    extra: str,
    found: str,
) -> None:
    """Whichever value it is: one line names the value, the solver and a way out."""
    swept(figure, parameter, values)
    figure.write_text(f"{figure.read_text()}\n{extra}")
    monkeypatch.setattr(plans, "solve_by_name", no_work)
    finished = edgesim("figure", figure)
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    assert found in finished.err
    assert f"{parameter} = '" in finished.err
    assert not figure.with_suffix(".csv").exists()


def test_a_run_is_refused_before_its_first_solver(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last solver refuses; those before it have not begun."""
    monkeypatch.setattr(plans, "solve_by_name", no_work)
    small.write_text(small.read_text().replace("[gpu]", '[gpu]\nresidency = "cache"'))
    finished = edgesim("run", small, "--solver", "greedy,local-search,ilp")
    assert finished.code == 2
    assert "ilp: residency 'cache' is not taken; use greedy" in finished.err


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "no such thing"]
)
def test_a_figure_is_drawn_whatever_the_backend(figure: Path, backend: str) -> None:
    """Also from a notebook's shell, whose backend is not installed here."""
    finished = subprocess.run(
        [sys.executable, "-m", "edgesim", "figure", str(figure)],
        capture_output=True,
        check=False,
        env={**os.environ, "MPLBACKEND": backend},
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == b""
    assert figure.with_suffix(".png").read_bytes().startswith(BEGINS["png"])
