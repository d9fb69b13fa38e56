"""The page of a figure: its picture, its means, its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesim.experiment.figure import Figure, read_figure
from edgesim.measures.student import mean_interval
from edgesim.report.page import folded, page, paragraph, section
from edgesim.report.pictures import pictures
from edgesim.report.tables import TABLE_ROWS, shown, table
from edgesim.results.columns import read_cells
from edgesim.storage.files import read_text
from edgesim.text import ABSENT, counted, number

_MOST = 1e18
_GROUPS = ("panel", "value", "solver", "policy")


def figure_page(stem: Path) -> str:
    """Make the page of a figure.

    Parameters
    ----------
    stem
        The figure's path without suffix; ``NAME.csv`` is needed, ``NAME.toml`` and the
        pictures are shown if they are there.

    Raises
    ------
    InputError
        If the data are missing, or a file is damaged.
    """
    file, data = _with(stem, ".toml"), _with(stem, ".csv")
    title, about, text_of = stem.name, "", ""
    if file.exists():
        figure = read_figure(file)
        title = figure.title or title
        about = f"{figure.scenario}, {_varied(figure)}."
        text_of = folded(f"The figure file, {file.name}", read_text(file))
    header, rows = read_cells(data)
    columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    kept = rows[:TABLE_ROWS]
    sections = [
        section("pictures", "Picture", pictures(stem.parent, [stem.name])),
        *_shown(_with(stem, ".shown.csv")),
        section("means", "Means over repeats", _means(header, columns, data.name)),
        section(
            "data",
            "Data",
            shown(len(kept), len(rows), "rows", data.name),
            table(header, kept, [_is_number(columns.get(n, ())) for n in header]),
            text_of,
        ),
    ]
    return page(title, about, sections, [])


def _shown(file: Path) -> list[str]:
    """Make a table of what the picture shows, differences for instance, if it is there.

    Other means are those of each solver by itself.
    """
    if not file.exists():
        return []
    header, rows = read_cells(file)
    columns = dict(zip(header, zip(*rows, strict=True), strict=False))
    kept = rows[:TABLE_ROWS]
    cut = shown(len(kept), len(rows), "rows", file.name)
    numbers = [_is_number(columns.get(name, ())) for name in header]
    return [
        section("shown", "What the picture shows", cut, table(header, kept, numbers))
    ]


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(f"{stem.name}{suffix}")


def _varied(figure: Figure) -> str:
    """Say what is varied in a figure."""
    if figure.sweep.parameter is None:
        return f"{counted(len(figure.sweep.cases), 'case')}"
    second = "" if figure.second is None else f" and {figure.second.parameter}"
    return f"over {figure.sweep.parameter}{second}"


def _means(
    header: Sequence[str], columns: Mapping[str, Sequence[str]], data: str
) -> str:
    """Make a table of the means of numeric columns, a row per value and solver."""
    groups = [name for name in header if name in _GROUPS]
    measures = [
        name
        for name in header
        if name not in (*_GROUPS, "repeat") and _is_number(columns.get(name, ()))
    ]
    if not columns or not groups:
        return paragraph("There are no rows.")
    members: dict[tuple[str, ...], list[int]] = {}
    keys = zip(*(columns[name] for name in groups), strict=True)
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    cells = [
        [
            *key,
            f"{len(of)}",
            *(_mean([columns[name][row] for row in of]) for name in measures),
        ]
        for key, of in list(members.items())[:TABLE_ROWS]
    ]
    numbers = [
        *(_is_number(columns[name]) for name in groups),
        *(True for _ in ("rows", *measures)),
    ]
    cut = ""
    if len(cells) < len(members):
        cut = shown(len(cells), len(members), "values by solver", data)
    return (
        paragraph(
            "Means over the rows of a value and solver; ± is half the 95 % interval "
            "(Student's t).",
            "note",
        )
        + cut
        + table([*groups, "rows", *measures], cells, numbers)
    )


def _mean(cells: Sequence[str]) -> str:
    known = [float(cell) for cell in cells if cell]
    if not known:
        return ABSENT
    mean, half = mean_interval(known)
    return number(mean, 4) + ("" if half is None else f" ± {number(half)}")


def _is_number(cells: Sequence[str]) -> bool:
    """Whether a column holds usable numbers and empty cells, not the latter alone."""
    found = False
    for cell in filter(None, cells):
        try:
            value = float(cell)
        except ValueError:
            return False
        if not abs(value) <= _MOST:  # nor is nan
            return False
        found = True
    return found
