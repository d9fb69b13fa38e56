"""Where everything is to be there, a run in which something skips fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = "import pytest\ndef test_it(): pytest.skip('not here')\n"
MODULE = "import pytest\npytest.skip('not here', allow_module_level=True)\n"
PASSES = "def test_it(): pass\n"


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("skips", [TEST, MODULE])
def test_a_skip_fails_the_run(tmp_path: Path, skips: str, processes: int) -> None:
    """Of a test or of a whole module, in this process or in others."""
    (tmp_path / "test_skips.py").write_text(skips)
    (tmp_path / "test_passes.py").write_text(PASSES)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    found = {}
    for required in ("", "1"):
        found[required] = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.conftest"),
                *("-p", "no:cacheprovider", "-n", str(processes), tmp_path),
            ],
            env=os.environ
            | {
                "EDGESIM_NO_SKIPS": required,
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert found[""].returncode == 0, found[""].stdout
    assert found["1"].returncode == 1, found["1"].stdout
    assert "EDGESIM_NO_SKIPS is set, and 1 tests or modules" in found["1"].stdout
