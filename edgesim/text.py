"""Numbers, names and tables as text for people; an absent number is "–"."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

ABSENT = "–"
TEXT_WIDTH = 100
NAME_WIDTH = 40

_BINARY = ("KiB", "MiB", "GiB", "TiB")


def number(value: float | None, digits: int = 3) -> str:
    """Format to ``digits`` significant digits, larger ones as integers: ``1,235``."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    return f"{value:,.{_decimals(value, digits)}f}"


def percent(share: float | None, *, signed: bool = False) -> str:
    """Format a share as a percentage with one decimal: ``12.3 %``, ``+0.4 %``."""
    if share is None:
        return ABSENT
    # Rounding first avoids "-0.0 %".
    value = round(100 * share, 1) + 0.0
    return f"{value:+,.1f} %" if signed else f"{value:,.1f} %"


def seconds(value: float) -> str:
    """Format a time in a suitable unit, ``8.31 ms``; below 1 ps it is 0."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= scale:
            return f"{number(value / scale)} {unit}"
    return f"{number(round(value / 1e-9, 3))} ns"


def printable(text: str) -> str:
    """Replace by blanks what a terminal would obey, and what reverses a line.

    Ends of lines stay, and so do bytes of file names that are no text: output escapes
    them.
    """
    return "".join(
        c if c.isprintable() or c == "\n" or "\ud800" <= c <= "\udfff" else " "
        for c in text
    )


def plain(text: str) -> str:
    """Put a text on one line, with unprintable characters replaced."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(name: str, width: int = NAME_WIDTH) -> str:
    """Shorten a name by cutting its middle, since names differ at both ends."""
    text = plain(name)
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def size_text(size: int) -> str:
    """Format a number of bytes with three digits and a unit: ``44.7 MB``, ``1.20 GB``.

    Fewer than 1000 bytes are exact.
    """
    if size < 1000:
        return f"{size} B"
    value = size / 1000
    for unit in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{number(value)} {unit}"
        value /= 1000
    return f"{number(value)} PB"


def memory_text(size: int) -> str:
    """Format a size of memory in round numbers: ``16 GB``, ``24 GiB``, ``1.5 GB``.

    One that is round in neither kind of unit has three digits.
    """
    for base, units in ((1000, ("kB", "MB", "GB", "TB")), (1024, _BINARY)):
        fitting = [p for p in range(1, len(units) + 1) if size >= base**p]
        if fitting and 1000 * size % base ** fitting[-1] == 0:
            return f"{size / base ** fitting[-1]:g} {units[fitting[-1] - 1]}"
    return size_text(size)


def duration_texts(*durations_s: float) -> tuple[str, ...]:
    """Format times in one unit, with the decimals of the longest: ``0.146 s``.

    The longest has three digits, and the others two at least.
    """
    longest = max(durations_s)
    scale, unit = next(
        ((s, u) for s, u in ((1.0, "s"), (1e-3, "ms")) if longest >= 0.1 * s),
        (1e-6, "µs"),
    )
    places = _decimals(longest / scale, 3)
    return tuple(
        f"{value / scale:,.{max(places, _decimals(value / scale, 2))}f} {unit}"
        for value in durations_s
    )


def _decimals(value: float, digits: int) -> int:
    """Count the decimals with which a number has so many significant digits."""
    if value == 0:
        return 0
    # Rounded first: the first digit of 0.9999 is at the place of that of 1.
    rounded = float(f"{value:.{digits - 1}e}")
    return max(0, digits - 1 - math.floor(math.log10(abs(rounded))))


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: ``1 model``, ``1,235 models``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1
) -> list[str]:
    """Align columns: the first ``left`` to the left, the others to the right."""
    # The end of a line in a name would be one in the table.
    lines = [[cell.replace("\n", " ") for cell in line] for line in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def facts(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Format facts one per line, each after its label, wrapped to the width."""
    known = [(label, plain(text)) for label, text in pairs]
    width = max((len(label) for label, _ in known), default=0) + 2
    lines: list[str] = []
    for label, text in known:
        lines += textwrap.wrap(
            text,
            TEXT_WIDTH,
            initial_indent=f"{label:<{width}}",
            subsequent_indent=" " * width,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Align a Markdown table, so that it is readable as plain text too."""
    columns = list(zip(head, *body, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in rest)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, body)])
