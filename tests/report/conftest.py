"""Runs that the tests of pages look at, each run once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import edgesim as es

Copied = Callable[[str], Path]


@pytest.fixture(scope="session")
def _runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    solvers = ["dp", "dp-noshare", "greedy"]
    es.run("campus", solvers=solvers, repeats=2).write(place / "plan")
    day = es.read_scenario("online-campus").replace(
        **{"workload.window_s": 40.0, "online.window_s": [20.0, 30.0]}
    )
    online = es.run(day, policies=["fcfs", "greedy", "greedy-noshare"])
    online.write(place / "online", formats=("svg",))
    return place


@pytest.fixture
def copied(_runs: Path, tmp_path: Path) -> Copied:
    """Copy the folder of a run, ``plan`` or ``online``."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(_runs / name, tmp_path / name))

    return copy
