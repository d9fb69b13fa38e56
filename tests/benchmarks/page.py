"""``python -m tests.benchmarks.page``: put a campaign's tables into the manual.

The tables of docs/mathematics.md that show ``make compare`` are made from its own, as
they lie in tests/instances/tables: fewer rows and columns, the same numbers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.benchmarks.comparison import ALL
from tests.instances.best import BEST_KNOWN

PAGE = Path(__file__).parents[2] / "docs" / "mathematics.md"
TABLES = BEST_KNOWN.parent / "tables"

PLAIN = "highs-plain"
"""Ran on small cases alone, so its means are of other cases than those of the rest."""


def _rows(name: str) -> list[list[str]]:
    """Read the first table of a file, its head first, without the line below."""
    text = (TABLES / name).read_text(encoding="utf-8")
    lines = text[text.index("\n| ") + 1 :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def _markdown(rows: list[list[str]], words: int = 1) -> str:
    """Lay out a table whose first columns are words and the others numbers."""
    below = "|" + "---|" * words + "---:|" * (len(rows[0]) - words)
    head, *rest = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, below, *rest])


def gaps() -> str:
    """Mean and worst gap by group and solver, in %, without those of other cases."""
    head, *rows = _rows("summary.md")
    kept = [place for place, name in enumerate(head) if name != PLAIN]
    short = [[re.sub(r"%| of \d+.*", "", row[place]) for place in kept] for row in rows]
    return _markdown([[head[place] for place in kept], *short])


def solvers() -> str:
    """Each solver over all groups."""
    head, *rows = _rows("table.md")
    found = [head[:1] + head[2:]]
    found += [r[:1] + r[2:] for r in rows if r[1] == ALL and r[0] != PLAIN]
    return _markdown(found)


def proofs() -> str:
    """``dp`` against what other solvers prove."""
    head, *rows = _rows("laminar.md")
    return _markdown([head, *(row for row in rows if row[0] != PLAIN)], words=2)


def gains() -> str:
    """Tell what sharing gains, by group, for each solver beside the others."""
    _, *rows = _rows("sharing.md")
    names = list(dict.fromkeys(row[0] for row in rows))
    groups = list(dict.fromkeys(row[1] for row in rows if row[1] != ALL))
    found = [["group"]]
    for name in names:
        found[0] += [f"{name}: more served", "%"]
    cells = {(name, group): [more, share] for name, group, _, more, share, *_ in rows}
    for group in [*groups, ALL]:
        found.append([group])
        for name in names:
            found[-1] += cells.get((name, group), ["–", "–"])
    return _markdown(found)


def written(page: str) -> str:
    """Replace the tables of a page that have the same heads as these."""
    for table in (gaps(), solvers(), proofs(), gains()):
        head = table.splitlines()[0]
        start = page.index(head + "\n")
        page = page[:start] + table + page[page.index("\n\n", start) :]
    return page


def main() -> int:
    """Put the tables into the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(written(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
