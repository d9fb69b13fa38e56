"""A folder of its own for each test, with solvers of the user's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.examples import SCENARIO, TRACE, instance
from tests.own_solvers.mine import BUSY, MINE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a scenario, a trace, an instance and solvers of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_for_test", raising=False)
    Path("mine_for_test.py").write_text(MINE)
    Path("small.csv").write_text(TRACE)
    Path("busy.csv").write_text(BUSY)
    Path("small.toml").write_text(SCENARIO)
    Path("tiny.json").write_text(json.dumps(instance()))
    return tmp_path
