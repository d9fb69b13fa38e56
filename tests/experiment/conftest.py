"""What several tests of online runs start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import edgesim
from tests.experiment.served import SCENARIO


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Write a scenario and a trace of 20 s at 15 requests a second."""
    finished = edgesim(
        *("trace", "generate", "--arrivals", "gamma", "--cv", 2, "--rate", 15),
        *("--duration-s", 20, "--models", 8, "--slo-s", 0.4, "--seed", 3),
        *("--input-bytes", 60000, "--out", tmp_path / "served.csv"),
    )
    assert finished.code == 0, finished.err
    file = tmp_path / "served.toml"
    file.write_text(SCENARIO.replace('"served.csv"', '"served.csv"\nmodels = "rank"'))
    return file
