"""Places for labels above a row of bars: near their bars, and apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Callouts:
    """Labels that fit above a row of bars.

    Parameters
    ----------
    chosen
        Which bars get a label, by number.
    at_pt
        Middle of each label, in points from the left.
    upright
        Whether the labels are turned by 90°.
    rows
        Number of rows of labels: they lie in them by turns.
    """

    chosen: tuple[int, ...]
    at_pt: tuple[float, ...]
    upright: bool
    rows: int


def place_callouts(
    bars_pt: Sequence[tuple[float, float]],
    width_pt: float,
    label_pt: tuple[float, float],
) -> Callouts:
    """Place a label of one size for each bar.

    Where labels side by side would lie far from their bars, they are turned, and then
    laid in two rows, with lines to the upper ones between the lower ones. If they still
    do not fit, the widest bars get one.

    Parameters
    ----------
    bars_pt
        Start and end of each bar, in points from the left, in order.
    width_pt
        Width of the row.
    label_pt
        Width and height of a label, with the gap to the next one.
    """
    wide_pt, high_pt = label_pt
    found = _side_by_side(bars_pt, width_pt, wide_pt, wide_pt / 2)
    for rows in (1, 2):
        if len(found.chosen) == len(bars_pt) and _farthest(found, bars_pt) <= wide_pt:
            break
        gap_pt = high_pt if rows == 1 else 0.6 * high_pt
        found = _side_by_side(bars_pt, width_pt, gap_pt, high_pt / 2)
        found = replace(found, upright=True, rows=rows)
    return found


def _side_by_side(
    bars_pt: Sequence[tuple[float, float]],
    width_pt: float,
    gap_pt: float,
    half_pt: float,
) -> Callouts:
    """Place labels in one row, with given gaps and half the width of a label."""
    room_pt = width_pt - 2 * half_pt
    most = 1 + int(room_pt // gap_pt) if room_pt >= 0 else 0
    by_width = sorted(range(len(bars_pt)), key=lambda i: bars_pt[i][0] - bars_pt[i][1])
    chosen = sorted(by_width[:most])
    middles_pt = [sum(bars_pt[i]) / 2 for i in chosen]
    at_pt = spread(middles_pt, gap_pt, half_pt, width_pt - half_pt)
    return Callouts(tuple(chosen), tuple(at_pt), upright=False, rows=1)


def _farthest(found: Callouts, bars_pt: Sequence[tuple[float, float]]) -> float:
    """Return how far from the middle of its bar a label lies, at most."""
    pairs = zip(found.chosen, found.at_pt, strict=True)
    return max((abs(at_pt - sum(bars_pt[i]) / 2) for i, at_pt in pairs), default=0.0)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move points apart as little as possible, in the sense of least squares.

    Parameters
    ----------
    wanted
        Where the points would be, in order.
    gap
        Least distance of neighbours.
    low, high
        Limits of the points; they hold all of them.

    Notes
    -----
    Without the gaps this is isotonic regression: neighbours that are out of order are
    merged into one block at their mean. O(n).
    """
    blocks: list[tuple[float, int]] = []
    for place, point in enumerate(wanted):
        total, count = point - place * gap, 1
        while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
            before, more = blocks.pop()
            total, count = total + before, count + more
        blocks.append((total, count))
    last = high - (len(wanted) - 1) * gap
    means = [total / count for total, count in blocks for _ in range(count)]
    return [min(max(mean, low), last) + place * gap for place, mean in enumerate(means)]
