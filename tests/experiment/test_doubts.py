"""Numbers that look like another unit are asked about, and run all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.experiment.doubts import doubts
from edgesim.experiment.inputs import load_inputs
from edgesim.experiment.sweep import settings_of
from edgesim.results.figure_source import open_figure
from edgesim.scenario.file import locate_scenario
from edgesim.shipped import shipped_names
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE

NEEDS_A_TRACE = {"azure-day", "own-models", "own-models-online"}


@pytest.mark.parametrize("name", sorted({*shipped_names("scenario")} - NEEDS_A_TRACE))
def test_nothing_shipped_is_doubtful(name: str) -> None:
    """Who means what is written is not asked."""
    assert doubts(load_inputs(locate_scenario(name))) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("cell.bandwidth_hz=20",), "cell.bandwidth_hz: 20 Hz is very little; "),
        (("gpu.memory_bytes=1",), "gpu.memory_bytes: 1 B is very little; "),
        (("cell.tx_power_dbm=200",), "cell.tx_power_dbm: 200 dBm is very much; "),
        (
            ("workload.deadline_s=500",),
            "workload.deadline_s: 500 s is 1,000 times the deadlines in the trace, 0.5 "
            "s by their median; ",
        ),
        (
            ("workload.deadline_s=0.0005",),
            "workload.deadline_s: 0.0005 s is 1/1,000 of the deadlines in the trace, "
            "0.5 s by their median; ",
        ),
        (
            ("workload.window_s=500", "run.repeats=1"),
            "workload.window_s: 500 s is longer than the trace, whose last request "
            "comes 0.7 s after workload.start_s; ",
        ),
    ],
)
def test_a_warning_on_standard_error(
    settings: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """One line each, the table as ever, exit code 0."""
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    (tmp_path / "small.csv").write_text(TRACE)
    words = [word for one in settings for word in ("--set", one)]
    finished = edgesim("run", file, *words, "--out", tmp_path / "out")
    assert finished.code == 0
    assert finished.err == f"warning: --set {told}is it in another unit?\n"
    assert "in time" in finished.out


def test_what_stands_in_a_file_is_told_with_it(tmp_path: Path) -> None:
    """Not as what somebody typed."""
    file = tmp_path / "small.toml"
    assert "bandwidth_hz = 20e6" in SCENARIO
    file.write_text(SCENARIO.replace("bandwidth_hz = 20e6", "bandwidth_hz = 20"))
    (tmp_path / "small.csv").write_text(TRACE)
    (found,) = doubts(load_inputs(file), {"run.seed": "--seed"})
    assert found.startswith(f"{file}: cell.bandwidth_hz: 20 Hz is very little; ")


def test_inputs_and_deadlines_of_a_trace(tmp_path: Path) -> None:
    """By their medians, and where they stand."""
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    trace = tmp_path / "small.csv"
    trace.write_text(
        TRACE.replace("0000,", ",").replace("12,0.5", "1,5e5").replace("0.5", "5e5")
    )
    found = doubts(load_inputs(file))
    assert [text.partition(": the")[0] for text in found] == [
        f"{trace}: input_bytes",
        f"{trace}: slo_s",
    ]


@pytest.mark.parametrize("online", [False, True])
def test_a_trace_that_asks_for_one_of_many_models(tmp_path: Path, online: bool) -> None:
    """It says so, in plans and online; not if models are drawn or two are asked for."""
    file, trace = tmp_path / "small.toml", tmp_path / "small.csv"
    text = SCENARIO.replace("variants = 3", "variants = 20")
    text = text.replace("frozen_blocks = [12, 16]", "frozen_blocks = 12")
    if online:
        text += '[online]\npolicies = ["fcfs"]\n'
        text = text.replace('solvers = ["dp", "dp-noshare"]\nrepeats = 2', "")
    file.write_text(text)
    trace.write_text(TRACE.replace("m001", "m000"))
    (found,) = doubts(load_inputs(file))
    assert found.startswith(f"{trace}: model: every request asks for 'resnet50")
    assert found.endswith(
        "', one of 20 models of the library; is that meant? workload.zipf draws models"
    )
    assert doubts(load_inputs(file, overrides={"workload.zipf": 1.0})) == []
    trace.write_text(TRACE)
    assert doubts(load_inputs(file)) == []


def test_repeats_that_have_requests_in_common_are_told(tmp_path: Path) -> None:
    """By run and by figure, there once for all values that are so."""
    words = ("--repeats", 3, "--solver", "fcfs")
    told = "are more than come in each window of 0.5 s ("
    out = ("--out", tmp_path / "out")
    run = edgesim("run", "campus", *words, "--set", "workload.requests=40", *out)
    assert run.code == 0
    assert run.err.startswith(f"warning: --set workload.requests: 40 {told}")
    figure = edgesim(
        "figure", "campus", "--vary", "users=4,40,50", *words, *out, "--jobs", 1
    )
    assert figure.code == 0
    assert figure.err.startswith("warning: users = 40: ")
    assert f"workload.requests: 40 {told}" in figure.err
    assert figure.err.endswith(" (and at 1 other value)\n")
    assert figure.err.count("\n") == 1


@pytest.mark.parametrize("name", shipped_names("figure"))
def test_no_shipped_figure_is_doubtful(name: str) -> None:
    """No two of its repeats have a request in common, and units are as they are."""
    source = open_figure(name)
    settings = settings_of(source.where, source.figure, source.scenario_file)
    for setting in settings:
        inputs = load_inputs(source.scenario_file, overrides=setting.overrides)
        assert doubts(inputs) == []
