"""Where everything is to be there, a run in which something skips fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEST = "import pytest\ndef test_it(): pytest.skip('not here!')\n"
MODULE = "import pytest\npytest.skip('not here!', allow_module_level=True)\n"
PASSES = "def test_it(): pass\n"


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("skips", [TEST, MODULE])
def test_a_skip_fails_the_run(tmp_path: Path, skips: str, processes: int) -> None:
    """Of a test or of a whole module, in this process or in others.

    Unless its reason is one that is allowed.
    """
    (tmp_path / "test_skips.py").write_text(skips)
    (tmp_path / "test_passes.py").write_text(PASSES)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    found = {}
    for required, allowed in (("", ""), ("1", ""), ("1", "it"), ("1", "not here")):
        found[required, allowed] = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.conftest"),
                *("-p", "no:cacheprovider", "-n", str(processes), tmp_path),
            ],
            env=os.environ
            | {
                "EDGESIM_NO_SKIPS": required,
                "EDGESIM_MAY_SKIP": allowed and f"{allowed}!",
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert found["", ""].returncode == 0, found["", ""].stdout
    for allowed in ("", "it"):
        run = found["1", allowed]
        assert run.returncode == 1, run.stdout
        assert "EDGESIM_NO_SKIPS is set, and 1 tests or modules" in run.stdout
    assert found["1", "not here"].returncode == 0, found["1", "not here"].stdout
