"""Errors about solvers and policies name the option that was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import edgesim
from tests.examples import TRACE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("campus", "--solver", "not_there:solve"), "--solver: not_there:solve: there"),
        (("campus", "--solver", "exhaustive"), "--solver: exhaustive: 17 users, at"),
        (
            ("campus", "--set", "run.solvers=['exhaustive']"),
            "--set run.solvers: exhaustive: 17 users, at most",
        ),
        (
            ("campus", "--solver", "dp", "--residency", "cache"),
            "--solver: dp: residency 'cache' is not taken",
        ),
        (
            ("campus", "--residency", "cache"),
            "--residency: dp: residency 'cache' is not taken",
        ),
        (("campus", "--overlap"), "--overlap: dp: overlap is not taken"),
        (
            ("online-campus", "--policy", "not_there:Mine"),
            "--policy: not_there:Mine: there is no module",
        ),
    ],
)
def test_a_run(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, and not the scenario's file, which says nothing of it."""
    monkeypatch.chdir(tmp_path)
    finished = edgesim("run", *words)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith(f"error: {said}"), finished.err
    assert finished.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--solver", "not_there:solve"), "--solver: users = 30: not_there:solve: "),
        (("--solver", "exhaustive"), "--solver: users = 30: exhaustive: 30 users, at"),
        (("--residency", "cache"), "--residency: users = 30: dp: residency 'cache' is"),
    ],
)
def test_a_figure(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the value too at which a solver refuses."""
    monkeypatch.chdir(tmp_path)
    finished = edgesim("figure", "campus", "--vary", "users=30", *words, "--jobs", 1)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith(f"error: {said}"), finished.err
    assert finished.err.count("\n") == 1


def test_a_value_that_another_one_makes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in a shipped file, so what to type is said."""
    monkeypatch.chdir(tmp_path)
    words = ("--set", "workload.window_s=60", "--set", "online.warmup_s=5")
    finished = edgesim("run", "online-campus", *words, "--policy", "fcfs")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.endswith(
        "online.window_s: must begin within the 60 s in which requests arrive, found "
        "[100, 110]; --set online.window_s=VALUE changes it\n"
    )


def test_a_setting_of_plans_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was typed is named, and what holds instead."""
    monkeypatch.chdir(tmp_path)
    setting = ("--set", "workload.deadline_s=0.1")
    finished = edgesim("run", "online-campus", *setting, "--policy", "fcfs")
    assert finished.err == (
        "error: --set workload.deadline_s: is for plans, not for a section [online], "
        "found 0.1; each request has the slo_s of the trace\n"
    )


def test_what_is_in_the_place_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trace as a scenario, a file as a solver, a folder, semicolons, 0 repeats."""
    monkeypatch.chdir(tmp_path)
    Path("kiosk.csv").write_text(TRACE)
    Path("semi.csv").write_text(TRACE.replace(",", ";"))
    for words, said in (
        (
            ("run", "kiosk.csv"),
            "kiosk.csv: must be a scenario, found a trace; give it with --trace "
            "kiosk.csv",
        ),
        (("run", "campus", "--solver", "order.py"), "; what is in order.py is named"),
        (("run", "."), "found the folder '.'"),
        (("trace", "show", "."), "found the folder '.'"),
        (("trace", "show", "semi.csv"), "; commas must separate columns, found ';'"),
        (("run", "campus", "--repeats", 0), "--repeats: must be greater than or equal"),
        (("run", "campus", "--repeats=0"), "equal to 1, found 0"),
        (
            ("run", "campus", "--set", "gpu.load_rate_bytes_per_s=1"),
            "--set gpu.load_rate_bytes_per_s: must load every block within 1e+06 s, "
            "found 1, at which 'resnet50/",
        ),
    ):
        finished = edgesim(*words)
        assert (finished.code, finished.out) == (2, "")
        assert said in finished.err
        assert finished.err.count("\n") == 1
