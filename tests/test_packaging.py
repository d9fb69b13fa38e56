"""The wheel carries what an installed edgesim needs outside the clone."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]

pytestmark = pytest.mark.source


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it, as an installation would."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("edgesim-*.whl")
    place = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


def test_wheel_carries_the_data(installed: Path) -> None:
    """Every example, profile and figure file of the clone is in the wheel."""
    for folder in ("traces", "profiles", "figures"):
        for file in (REPOSITORY / folder).iterdir():
            copy = installed / "edgesim" / "_data" / folder / file.name
            assert copy.read_bytes() == file.read_bytes()
    for file in (REPOSITORY / "edgesim" / "report").iterdir():
        if file.suffix in (".css", ".js"):
            assert (installed / "edgesim" / "report" / file.name).is_file()
    assert (installed / "edgesim" / "py.typed").is_file()
    assert (installed / "solvers" / "py.typed").is_file()


def test_installed_edgesim_runs_outside_the_clone(
    installed: Path, tmp_path: Path
) -> None:
    """From the unpacked wheel alone, a shipped scenario runs by name."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "edgesim", "run", "lora-adapters"),
            *("--solver", "dp", "--repeats", "1", "--out", "out"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "out" / "throughput.png").is_file()
    place = subprocess.run(
        [sys.executable, "-c", "import edgesim; print(edgesim.__file__)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert place.stdout.startswith(str(installed))


def test_lowest_releases_are_the_lower_bounds() -> None:
    """What ``make test-lowest`` installs is what ``pyproject.toml`` promises."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    # torch is the build at hand; nothing of the other extras is imported by a test.
    promised = [*project["dependencies"], *extras["dev"]]
    lower = {}
    for text in promised:
        requirement = Requirement(text)
        bounds = {each.operator: each.version for each in requirement.specifier}
        lower[requirement.name] = Version(bounds[">="])
    lines = (REPOSITORY / "tests" / "lowest.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if "==" in line and line[0] != "#"]
    assert {name: Version(version) for name, version in pins} == lower
