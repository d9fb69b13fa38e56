"""What importing edgesim brings, and what is told where another module hides it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
HEAVY = ("numpy", "pydantic", "simpy", "matplotlib", "torch")


def run_here(
    script: str, folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, as its user would."""
    return subprocess.run(
        [sys.executable, *(words or ("-c", script))],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("statements", "absent"),
    [
        # Nothing is imported until a name is used.
        ("import edgesim", (*HEAVY, "solvers")),
        # Help is there without a wait.
        ("import edgesim.cli", HEAVY),
        (
            "import edgesim as es; es.run('campus', solvers=['edf'], repeats=1)",
            ("torch", "typer"),
        ),
    ],
)
def test_imports_are_light(
    statements: str, absent: tuple[str, ...], tmp_path: Path
) -> None:
    """Packages come with the first use that needs them."""
    script = (
        f"{statements}\nimport sys\nprint(sorted({{*{absent}}} & set(sys.modules)))"
    )
    assert run_here(script, tmp_path).stdout == "[]\n"


@pytest.mark.parametrize("hidden", ["solvers.py", "solvers/__init__.py"])
def test_a_module_that_hides_ours_is_named(hidden: str, tmp_path: Path) -> None:
    """``python -m edgesim`` and a script say which file it is, and what to do."""
    file = tmp_path / hidden
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    (file.parent / "own_solver.py").touch()  # a name that edgesim's package has too
    finished = run_here("", tmp_path, "-m", "edgesim", "run", "campus")
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {file}: hides the package 'solvers'")
    assert finished.stderr.count("\n") == 1
    (tmp_path / "script.py").write_text("import edgesim as es\nes.solve\n")
    finished = run_here("", tmp_path, "script.py")
    assert f"ImportError: {file}: hides the package" in finished.stderr
