"""``edgesim list``: what is shipped, what can be named, and models of a scenario."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgesim.catalogue import KINDS, measure_lines, models_of, names_of
from edgesim.experiment.sources import library_of, spawned
from edgesim.library import sharing
from edgesim.measures.point import (
    LABELS,
    PLAN_LABELS,
    TIME_LABELS,
    known_measure,
)
from edgesim.names import SHIPPED_POLICIES
from edgesim.profile.file import read_profile
from edgesim.scenario.file import locate_scenario, read_scenario
from solvers import SOLVERS
from tests.command import edgesim
from tests.examples import SCENARIO


def listed(*words: object) -> str:
    """Return what the command prints."""
    finished = edgesim("list", *words)
    assert finished.code == 0, finished.err
    assert finished.err == ""
    return finished.out


def test_kinds_with_counts() -> None:
    """Each kind, and how many names it has."""
    rows = dict(line.split() for line in listed().splitlines()[1:-1])
    assert tuple(rows) == KINDS
    assert rows["solvers"] == str(len(SOLVERS))
    scenarios = list(Path(__file__).parents[2].glob("traces/*.toml"))
    assert rows["scenarios"] == str(len(scenarios))


@pytest.mark.parametrize("kind", KINDS)
def test_each_name_has_a_line(kind: str) -> None:
    """In order, each followed by what it is."""
    found = [
        line.split(maxsplit=1)
        for line in listed(kind).splitlines()
        if not line.startswith((" ", "each "))
    ]
    assert [name for name, _ in found] == list(names_of(kind))


def test_what_is_told_of_each() -> None:
    """The scenario's own sentence; what solvers take; what policies do."""
    assert read_scenario(locate_scenario("campus")).about in listed("scenarios")
    solvers = dict(line.split(maxsplit=1) for line in listed("solvers").splitlines())
    assert solvers["dp"] == "laminar sharing, one deadline, releases 0"
    assert "cache and overlap" in solvers["greedy"]
    assert "whole models" in solvers["greedy-noshare"]
    policies = listed("policies")
    assert all(name in policies for name in SHIPPED_POLICIES)
    assert "horizon_s" in policies


def test_measures_are_those_that_figures_take() -> None:
    """Each once, in the order of the columns, with a sentence."""
    found = measure_lines()
    by_key = ["offered.MODEL", "goodput.MODEL", "dropped_by.REASON"]
    assert list(found) == [*LABELS, *PLAN_LABELS, *TIME_LABELS, *by_key]
    for name in found:
        assert known_measure(name, online=name not in PLAN_LABELS)
    assert all(text.endswith(".") for text in found.values())


def test_what_is_told_of_measures() -> None:
    """What the docstring defines, what the axis says, and formulas of quotients."""
    found = measure_lines()
    assert found["on_time_ratio"] == "in_time / N; None if N = 0."
    assert found["late"] == "Requests served late."
    assert found["load_share"] == "load_s / (b − a)."
    assert "`" not in "".join(found.values())
    assert found["bytes_saved"].endswith("without sharing, less bytes_loaded.")


def test_models_of_a_scenario(tmp_path: Path) -> None:
    """Their bytes, blocks and shared bytes add up; the trace is not needed."""
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    rows = models_of(file)
    scenario = read_scenario(file)
    profile = read_profile("clockwork-v100")
    library = library_of(file, scenario, profile, spawned(scenario.run.seed)[0])
    assert [row.name for row in rows] == list(library.models)
    assert sum(row.bytes for row in rows) == sharing.bytes_total(library)
    graph = sharing.sharing_graph(library)
    for row in rows:
        most = max(edge["shared_bytes"] for edge in graph[row.name].values())
        assert most <= row.shared_bytes < row.bytes
    text = listed("models", file).splitlines()
    assert text[1].split() == [
        *(rows[0].name, f"{rows[0].bytes:,}", str(rows[0].blocks)),
        f"{rows[0].shared_bytes:,}",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("solver",), "KIND: must be one of scenarios, .*; did you mean 'solvers'"),
        (("models",), "SCENARIO: is needed"),
        (("models", "campu"), "campu: no such scenario; .*; did you mean 'campus'"),
        (("solvers", "campus"), "SCENARIO: is for models"),
    ],
)
def test_refusals(words: tuple[str, ...], told: str) -> None:
    """One line, with what is allowed."""
    finished = edgesim("list", *words)
    assert finished.code == 2
    assert re.match(f"error: {told}", finished.err), finished.err
