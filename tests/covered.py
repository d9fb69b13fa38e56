"""``python -m tests.covered``: lines that the tests ran, those for a GPU apart.

What takes a CUDA GPU begins with a line that ends in ``# needs a GPU``: a statement, or
the head of a function or a class, which stands for all below it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
MARK = "# needs a GPU"
LEAST = 95.0
"""Percent of the lines of each package that the tests must run."""


def lines_for_a_gpu(text: str) -> set[int]:
    """Find the lines of a module that are marked to need a GPU.

    Parameters
    ----------
    text
        Its source.
    """
    lines = text.splitlines()
    return {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and lines[node.lineno - 1].endswith(MARK)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def _measured() -> dict[str, dict[str, list[int]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coverage.json")
        words = ("coverage", "json", "--quiet", "--ignore-errors", "-o", path)
        subprocess.run([sys.executable, "-m", *words], cwd=REPOSITORY, check=True)
        found: dict[str, dict[str, list[int]]] = json.loads(path.read_text())["files"]
    return found


def main() -> None:
    """Print a line for each room; exit with 1 if a package is below the least."""
    rooms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, file in sorted(_measured().items()):
        path = Path(name)
        if path.is_absolute():
            # A wheel that a test unpacked and ran.
            continue
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        here = Counter(
            run=len(file["executed_lines"]),
            missed=len(file["missing_lines"]),
            gpu=len(lines_for_a_gpu(text) & {*file["excluded_lines"]}),
        )
        room = path.parent.as_posix()
        rooms[room] += here
        rooms[f"all of {path.parts[0]}"] += here
    print(f"{'':24}{'lines':>8}{'run':>8}{'percent':>9}{'need a GPU':>12}")
    least = 100.0
    for room, found in sorted(rooms.items(), key=lambda pair: pair[0][:3] == "all"):
        lines = found["run"] + found["missed"]
        percent = 100 * found["run"] / lines if lines else 100.0
        shown = f"{lines:>8,}{found['run']:>8,}{percent:>9.1f}{found['gpu']:>12,}"
        print(f"{room:24}{shown}")
        if room.startswith("all"):
            least = min(least, percent)
    sys.exit(least < LEAST)


if __name__ == "__main__":
    main()
