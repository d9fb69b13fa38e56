"""``python -m tests.benchmarks.page``: put a campaign's tables into the manual.

The tables of docs/mathematics.md that show ``make compare`` are made from its own, as
they lie in tests/instances/tables: fewer rows and columns, the same numbers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.benchmarks.comparison import ALL, markdown
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


def gaps() -> str:
    """Mean and worst gap by group and solver, in %, without those of other cases."""
    head, *rows = _rows("summary.md")
    kept = [place for place, name in enumerate(head) if name != PLAIN]
    short = [[re.sub(r"%| of \d+.*", "", row[place]) for place in kept] for row in rows]
    return markdown([head[place] for place in kept], short, words=1)


def solvers() -> str:
    """Each solver over all groups."""
    head, *rows = _rows("table.md")
    kept = [r[:1] + r[2:] for r in rows if r[1] == ALL and r[0] != PLAIN]
    return markdown(head[:1] + head[2:], kept, words=1)


def proofs() -> str:
    """``dp`` against what other solvers prove."""
    head, *rows = _rows("laminar.md")
    return markdown(head, [row for row in rows if row[0] != PLAIN])


def gains() -> str:
    """Tell what sharing gains, by group, for each solver beside the others."""
    _, *rows = _rows("sharing.md")
    names = list(dict.fromkeys(row[0] for row in rows))
    groups = list(dict.fromkeys(row[1] for row in rows if row[1] != ALL))
    head = ["group"]
    for name in names:
        head += [f"{name}: more served", "%"]
    cells = {(name, group): [more, share] for name, group, _, more, share, *_ in rows}
    found = [[group] for group in (*groups, ALL)]
    for row in found:
        for name in names:
            row += cells.get((name, row[0]), ["–", "–"])
    return markdown(head, found, words=1)


def written(page: str) -> str:
    """Replace the tables of a page that have the same heads as these."""
    for table in (gaps(), solvers(), proofs(), gains()):
        start = page.index(table.splitlines()[0] + "\n")
        page = page[:start] + table + page[page.index("\n\n", start) + 1 :]
    return page


def main() -> int:
    """Put the tables into the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(written(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
