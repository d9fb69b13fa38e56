"""``python -m tests.installed``: build, install, walk and test outside the clone."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.installed.walk import walk

REPOSITORY = Path(__file__).parents[2]
COPIED = (
    *("docs", "figures", "profiles", "tests", "traces"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "Makefile"),
    *("CITATION.cff", "LICENSE", "mkdocs.yml", "pyproject.toml"),
    ".pre-commit-config.yaml",
    "solvers/README.md",
)
"""What the tests read beside the packages, which come from the wheel alone."""


def _run(*words: object, folder: Path) -> None:
    subprocess.run([*map(str, words)], cwd=folder, check=True)


def _wheel(folder: Path) -> Path:
    words = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    _run(*words, folder=REPOSITORY)
    (wheel,) = folder.glob("edgesim-*.whl")
    return wheel


def _environment(base: str, folder: Path) -> Path:
    _run(base, "-m", "venv", folder / "venv", folder=folder)
    return folder / "venv" / "bin" / "python"


def _install(python: Path, *packages: str) -> None:
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, *packages, folder=python.parent)


def _copy_tests(folder: Path) -> Path:
    """Lay the tests and what they read into a folder without the packages."""
    clone = folder / "clone"
    for name in COPIED:
        source, target = REPOSITORY / name, clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__py*__"))
        else:
            shutil.copy(source, target)
    shared = REPOSITORY.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared.resolve())
    return clone


def _test(python: Path, clone: Path, chosen: list[str]) -> int:
    words = ["-m", "pytest", "-q", "-m", "not long and not gpu and not source", *chosen]
    return subprocess.run([python, *words], cwd=clone, check=False).returncode


def main() -> None:
    """Install the wheel in a fresh environment, and use it there as a user would."""
    parser = argparse.ArgumentParser(prog="python -m tests.installed")
    parser.add_argument("--python", default=sys.executable, help="which Python")
    parser.add_argument("--torch", help="a build of PyTorch; else its tests skip")
    parser.add_argument("--walk-only", action="store_true", help="no tests")
    parser.add_argument("chosen", nargs="*", help="words for pytest, after --")
    options = parser.parse_args()
    os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix="edgesim-installed-") as temporary:
        folder = Path(temporary)
        wheel = _wheel(folder)
        python = _environment(options.python, folder)
        _install(python, f"{wheel}[report]")
        (folder / "walk").mkdir()
        failures = walk(python, folder / "walk")
        print("\n".join([*failures, f"{len(failures)} commands failed"]), flush=True)
        if options.walk_only:
            sys.exit(bool(failures))
        _install(python, f"{wheel}[dev]", *filter(None, [options.torch]))
        sys.exit(_test(python, _copy_tests(folder), options.chosen) or bool(failures))


if __name__ == "__main__":
    main()
