"""What ``trace show`` says of a trace, against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from edgesim.cli.trace import app
from edgesim.errors import InputError
from edgesim.plotting.trace import (
    plot_arrivals,
    plot_popularity,
    trace_figure,
    write_picture,
)
from edgesim.trace.generate import generate
from edgesim.trace.requests import Trace, write_trace
from edgesim.trace.summary import Spread, summarise


def trace_at(
    arrival_s: list[float],
    model: list[int] | None = None,
    input_bytes: list[int] | None = None,
) -> Trace:
    """Make a trace of given arrivals, one user and deadlines of 1 s."""
    n = len(arrival_s)
    codes = model or [0] * n
    return Trace(
        arrival_s=np.array(arrival_s, dtype=float),
        users=("u",),
        user=np.zeros(n, dtype=np.int32),
        models=tuple("abcdefgh"[: max(codes, default=-1) + 1]),
        model=np.array(codes, dtype=np.int32),
        input_bytes=np.array(input_bytes or [10] * n, dtype=np.int64),
        slo_s=np.ones(n),
    )


def test_summary_by_hand() -> None:
    """Every number of a small trace is what its definition gives."""
    summary = summarise(
        trace_at([10, 10.5, 11, 13], model=[1, 0, 1, 1], input_bytes=[1, 2, 3, 100])
    )
    assert summary.requests == 4
    assert (summary.first_s, summary.last_s) == (10, 13)
    assert summary.mean_rate_per_s == 1.0
    # Gaps 0.5, 0.5 and 2: mean 1, variance (0.25 + 0.25 + 1) / 3.
    assert summary.inter_arrival_cv == pytest.approx(math.sqrt(0.5))
    # Seconds 10 to 13 hold 2, 1, 0, 1: mean 1.
    assert summary.peak_to_mean_second == 2.0
    assert summary.peak_to_mean_minute == 1.0
    assert (summary.models, summary.users) == (2, 1)
    assert summary.top_models == (("b", 0.75), ("a", 0.25))
    assert summary.zipf_exponent == pytest.approx(math.log(3) / math.log(2))
    assert summary.input_bytes == Spread(1, 2.5, pytest.approx(85.45), 100)
    assert summary.slo_s == Spread(1, 1, 1, 1)


def test_summary_of_no_request() -> None:
    """An empty trace has no rate, no spread and no top model."""
    summary = summarise(trace_at([]))
    assert (summary.requests, summary.models, summary.users) == (0, 0, 0)
    assert summary.top_models == ()
    for value in (
        summary.first_s,
        summary.mean_rate_per_s,
        summary.inter_arrival_cv,
        summary.peak_to_mean_second,
        summary.zipf_exponent,
        summary.input_bytes,
    ):
        assert value is None
    assert str(summary).splitlines()[0].split() == ["requests", "0"]


def test_summary_of_one_request() -> None:
    """One request has a size, but neither a rate nor gaps."""
    summary = summarise(trace_at([5]))
    assert (summary.first_s, summary.last_s) == (5, 5)
    assert summary.mean_rate_per_s is None
    assert summary.inter_arrival_cv is None
    assert summary.peak_to_mean_second == 1.0
    assert summary.top_models == (("a", 1.0),)
    assert summary.zipf_exponent is None
    assert summary.input_bytes == Spread(10, 10, 10, 10)


def test_summary_of_requests_at_once() -> None:
    """Arrivals all at one time have no rate rather than an infinite one."""
    summary = summarise(trace_at([2, 2, 2]))
    assert summary.mean_rate_per_s is None
    assert summary.inter_arrival_cv is None


def test_summary_of_a_window_leaves_out_unused_models() -> None:
    """Models that no request of the window wants are neither counted nor fitted."""
    trace = trace_at([0, 1, 2, 3], model=[0, 1, 2, 2])
    summary = summarise(trace.window(2, 9))
    assert summary.models == 1
    assert summary.top_models == (("c", 1.0),)
    assert summary.zipf_exponent is None


def test_zipf_exponent_is_found_again() -> None:
    """Counts that follow 1/rank^1.5 exactly give 1.5, equal counts give 0."""
    model = [code for code in range(8) for _ in range(round(10**6 / (code + 1) ** 1.5))]
    exponent = summarise(trace_at([0.0] * len(model), model=model)).zipf_exponent
    assert exponent == pytest.approx(1.5, abs=1e-4)
    flat = summarise(trace_at([0.0] * 4, model=[0, 1, 2, 3])).zipf_exponent
    assert flat == 0


def test_a_sparse_trace_takes_no_memory_for_its_silence() -> None:
    """Two requests thirty years apart are summed up and drawn at once."""
    trace = trace_at([0, 1e9])
    assert summarise(trace).peak_to_mean_second == pytest.approx(5e8)
    assert len(plot_arrivals(trace, Figure().subplots()).patches[0].get_data()[0]) < 301


def test_printed_summary_has_a_line_for_each_number() -> None:
    """Labels, units and shares are on the page."""
    text = str(summarise(trace_at([0, 1, 2, 4], model=[0, 0, 0, 1])))
    lines = dict(line.split("  ", 1) for line in text.splitlines() if line[0] != " ")
    assert lines["last arrival"].strip() == "4 s"
    assert lines["mean rate"].strip() == "0.75 1/s"
    assert lines["input size"].strip() == "10 B (all)"
    assert "  a                    75.0%" in text


@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_picture_has_axes_with_units(tmp_path: Path, n: int) -> None:
    """Any trace can be drawn; axes carry units unless there is nothing to show."""
    trace = trace_at([float(i) for i in range(n)], model=[i % 3 for i in range(n)])
    figure = trace_figure(trace)
    if n:
        time, rank = figure.axes
        assert time.get_xlabel() == "time (s)"
        assert time.get_ylabel().startswith("arrivals (1/s)")
        assert rank.get_xlabel() == "rank of the model"
        assert (rank.get_xscale(), rank.get_yscale()) == ("log", "log")
    for name in ("p.png", "p.pdf", "p.svg"):
        write_picture(trace, tmp_path / name)
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "p.pdf").read_bytes()[:4] == b"%PDF"
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()


def test_arrivals_drawn_are_the_arrivals() -> None:
    """The area under the steps is the number of requests."""
    trace = generate(rate_per_s=20, duration_s=300, slo_s=[1], seed=2)
    (steps,) = plot_arrivals(trace, Figure().subplots()).patches
    rate, edges = steps.get_data()[:2]
    assert (rate * np.diff(edges)).sum() == pytest.approx(len(trace))


def test_popularity_drawn_is_the_popularity() -> None:
    """Points are the counts by rank; two models or more have a fitted line."""
    trace = trace_at([0.0] * 6, model=[0, 1, 1, 1, 2, 2])
    points, fit = plot_popularity(trace, Figure().subplots()).get_lines()
    assert list(points.get_ydata()) == [3, 2, 1]
    assert "exponent" in str(fit.get_label())
    alone = plot_popularity(trace_at([0.0]), Figure().subplots())
    assert len(alone.get_lines()) == 1


def test_command_prints_and_draws(tmp_path: Path) -> None:
    """The summary goes to standard output; the picture only where asked."""
    path, picture = tmp_path / "trace.csv", tmp_path / "p.png"
    trace = trace_at([0, 1, 3], model=[0, 1, 0])
    write_trace(trace, path)
    result = CliRunner().invoke(app, ["show", str(path)])
    assert result.stdout == f"{summarise(trace)}\n"
    assert not picture.exists()
    result = CliRunner().invoke(app, ["show", str(path), "--out", str(picture)])
    assert result.exception is None
    assert picture.stat().st_size > 1000


def test_command_refuses_an_unknown_picture_format(tmp_path: Path) -> None:
    """The name is checked before the trace is read."""
    result = CliRunner().invoke(app, ["show", "none.csv", "--out", "picture.docx"])
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == (
        "--out: must end in .png, .pdf, .svg, found 'picture.docx'"
    )
