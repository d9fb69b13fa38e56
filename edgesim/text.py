"""Numbers, names and tables as text for people; an absent number is "–"."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

ABSENT = "–"
TEXT_WIDTH = 100
NAME_WIDTH = 40


def number(value: float | None, digits: int = 3) -> str:
    """Format to ``digits`` significant digits, larger ones as integers: ``1,235``."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    # Rounded first: the first digit of 0.9999 is at the place of that of 1.
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{value:,.{max(places, 0)}f}"


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
    """Format a number of bytes with three digits and a unit: ``44.7 MB``."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} PB"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a count with its noun: ``1 model``, ``1,235 models``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1
) -> list[str]:
    """Align columns: the first ``left`` to the left, the others to the right."""
    lines = [head, *rows]
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
