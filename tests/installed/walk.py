"""Commands that a newcomer types, in an edgesim installed with plotly alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMANDS = (
    "--help",
    "--version",
    "list",
    "list solvers",
    "run",
    "run campus --solver dp,greedy --repeats 2 --out results/campus",
    "run online-campus --policy fcfs,rolling --repeats 1 --out results/online",
    "solve results/campus/plans/0/instance.json --solver dp,ilp --out solved",
    "trace generate --rate 5 --duration-s 20 --slo-s 0.5 --out trace.csv",
    "trace show trace.csv",
    "profile show h200",
    "schema scenario",
    "figure campus --vary users=10:20:2 --solver dp --repeats 1 --out figure",
    "report results/campus --out report",
)
"""Each is run after the one before, in one folder; the last takes plotly."""


def walk(python: Path, folder: Path) -> list[str]:
    """Run each command in a folder that knows nothing of the clone.

    Parameters
    ----------
    python
        Interpreter of the environment that edgesim is installed in.
    folder
        Where the commands run; empty at first.

    Returns
    -------
    list of str
        A line for each command that did not end as a success, or wrote an error.
    """
    failures = []
    for words in COMMANDS:
        finished = subprocess.run(
            [python, "-W", "error", "-m", "edgesim", *words.split()],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        print(f"  edgesim {words}", flush=True)
        if finished.returncode:
            failures.append(f"edgesim {words}: {finished.stderr.strip()}")
    return failures


def main() -> None:
    """Walk with this interpreter in the folder at hand; exit with 1 if one fails."""
    failures = walk(Path(sys.executable), Path.cwd())
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
