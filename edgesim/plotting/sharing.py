"""Figure of the sharing of checkpoints: bytes by family, then by pair of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from edgesim.checkpoints.answer import Family, SharingAnswer
from edgesim.checkpoints.content import ContentLibrary
from edgesim.library.sharing import sharing_graph
from edgesim.plotting.colours import INK, ink_on
from edgesim.plotting.style import as_text, new_axes, root_figure, save, style
from edgesim.text import counted, shortened, size_text

MOST_FAMILIES = 12
"""With more families, the smaller ones are told in a line, without a bar."""

MOST_NAMED = 40
"""With more models, the axes of the heat map name families, not models."""

MOST_NUMBERED = 12
"""With more models, the squares contain no numbers."""

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_LABEL_WIDTH = 28
_WIDTH_IN = 7.6
_BAR_IN = 0.34
_SMALLEST_IN, _LARGEST_IN, _SQUARE_IN = 2.6, 7.5, 0.2

_PARTS = (
    ("in all members", "bytes_in_all", "#0b3c6f"),
    ("in some", "bytes_in_several", "#5c9bd1"),
    ("in one alone", "bytes_own", "#c8dcef"),
)


def sharing_figure(library: ContentLibrary, answer: SharingAnswer) -> Figure:
    """Draw families above pairs of models; families alone where nothing is shared.

    Parameters
    ----------
    library
        The content that the checkpoints share.
    answer
        The answer about it.
    """
    bars = 0.9 + _BAR_IN * (len(_rows(answer)) + 1)
    with style():
        if not answer.families:
            return root_figure(plot_families(answer, new_axes(_WIDTH_IN, bars + 0.6)))
        side = _side(len(answer.models))
        width = max(_WIDTH_IN, side + 3.6)
        figure = Figure(figsize=(width, bars + side + 1.9), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(bars, side + 1.3))
        plot_families(answer, above)
        plot_pairs(library, answer, below)
    return figure


def plot_families(answer: SharingAnswer, ax: Axes | None = None) -> Axes:
    """Plot each family's bytes with every block kept once, and those of whole copies.

    The largest family is first. Smaller families than those drawn, and models that
    share nothing, are one line each, whose bar would only be long.

    Parameters
    ----------
    answer
        The answer about checkpoints.
    ax
        Where to draw; a new figure if not given.
    """
    rows = _rows(answer)
    drawn = [family for _, family in rows[:MOST_FAMILIES]]
    drawn = drawn[: len(answer.families) or 1]
    scale, unit = _unit(max(family.bytes for family in drawn))
    with style():
        if ax is None:
            ax = new_axes(_WIDTH_IN, 1.5 + _BAR_IN * (len(rows) + 1))
        places = range(len(drawn))
        whole = [family.bytes / scale for family in drawn]
        ax.barh(
            *(places, whole, 0.72),
            facecolor="none",
            edgecolor=INK,
            linestyle=(0, (2, 2)),
            label="whole copies",
        )
        left = np.zeros(len(drawn))
        for label, field, colour in _PARTS:
            part = np.array([getattr(family, field) / scale for family in drawn])
            ax.barh(places, part, 0.62, left, color=colour, label=label)
            left += part
        for place, (_, family) in enumerate(rows):
            share = 1 - family.bytes_shared_once / family.bytes
            words = f" {size_text(family.bytes_shared_once)}"
            if share:
                words += f" of {size_text(family.bytes)}"
            end = whole[place] if place < len(drawn) else 0.0
            ax.text(end, place, words, va="center", fontsize=8)
        ax.set_yticks(range(len(rows)), [as_text(label) for label, _ in rows])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_xlim(0, 1.4 * max(whole))
        ax.grid(visible=True, axis="x")
        ax.grid(visible=False, axis="y")
        ax.set_xlabel(f"weights ({unit})")
        ax.set_title(
            as_text(
                f"{counted(len(answer.models), 'model')}, {size_text(answer.bytes)}; "
                f"each block kept once {size_text(answer.bytes_shared_once)}"
            )
        )
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return ax


def plot_pairs(
    library: ContentLibrary, answer: SharingAnswer, ax: Axes | None = None
) -> Axes:
    """Plot the bytes that each pair of models shares, and each model's size.

    Models are in the order of the families, which are framed, and within a family in
    the best loading order. A white square means that two models share nothing.

    Parameters
    ----------
    library
        The content that the checkpoints share.
    answer
        The answer about it.
    ax
        Where to draw; a new figure if not given.
    """
    order = _order(answer)
    place = {name: position for position, name in enumerate(order)}
    graph = sharing_graph(library.view())
    shared = np.zeros((len(order), len(order)))
    for name, node in graph.nodes(data=True):
        shared[place[name], place[name]] = node["bytes"]
    for one, other, edge in graph.edges(data=True):
        shared[place[one], place[other]] = edge["shared_bytes"]
        shared[place[other], place[one]] = edge["shared_bytes"]
    scale, unit = _unit(shared.max())
    values = shared / scale
    with style():
        if ax is None:
            side = _side(len(order))
            ax = new_axes(side + 2.8, side + 1.4)
        # Start at a visible blue: white is for pairs that share nothing.
        blues = LinearSegmentedColormap.from_list(
            "shared", mpl.colormaps["Blues"](np.linspace(0.15, 1, 64))
        )
        image = ax.imshow(np.ma.masked_equal(values, 0), cmap=blues, vmin=0)
        ax.grid(visible=False)
        _label(ax, answer, order)
        _frame(ax, answer)
        if len(order) <= MOST_NUMBERED:
            for row, column in np.argwhere(values > 0):
                red, green, blue, _ = image.cmap(image.norm(values[row, column]))
                ax.text(
                    *(column, row, f"{values[row, column]:.3g}"),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=ink_on((red, green, blue)),
                )
        ax.set_title("What two models share")
        ax.set_anchor("W")
        bar = root_figure(ax).colorbar(image, cax=ax.inset_axes((1.03, 0.1, 0.04, 0.8)))
        bar.set_label(f"parameters held by both ({unit})", color=INK)
    return ax


def write_picture(library: ContentLibrary, answer: SharingAnswer, path: Path) -> None:
    """Write the figure atomically."""
    save(sharing_figure(library, answer), path)


def _rows(answer: SharingAnswer) -> list[tuple[str, Family]]:
    """Label bars: families, the smaller ones together, and models without any."""
    families = answer.families
    rows = [
        (_family_label(number, family), family)
        for number, family in enumerate(families[:MOST_FAMILIES], start=1)
    ]
    rest = families[MOST_FAMILIES:]
    if rest:
        fields = ("bytes", "bytes_shared_once", *(field for _, field, _ in _PARTS))
        sums = {field: sum(getattr(f, field) for f in rest) for field in fields}
        members = tuple(name for family in rest for name in family.models)
        title = f"{counted(len(rest), 'more family', 'more families')} ({len(members)})"
        rows.append((title, Family(models=members, **sums)))
    if answer.alone:
        size = sum(answer.models[name].bytes for name in answer.alone)
        sums = dict.fromkeys(("bytes", "bytes_shared_once", "bytes_own"), size)
        alone = Family(models=answer.alone, bytes_in_all=0, bytes_in_several=0, **sums)
        rows.append((f"sharing nothing ({len(answer.alone)})", alone))
    return rows


def _family_label(number: int, family: Family) -> str:
    first = shortened(family.models[0], _LABEL_WIDTH)
    return f"[{number}] {first}, … ({len(family.models)})"


def _order(answer: SharingAnswer) -> list[str]:
    position = {name: n for n, name in enumerate(answer.loading.best_order)}
    order = [
        name
        for family in answer.families
        for name in sorted(family.models, key=position.__getitem__)
    ]
    return [*order, *answer.alone]


def _spans(answer: SharingAnswer) -> list[tuple[str, int, int]]:
    """List families, and models without any, with their first place and the next."""
    sizes = [
        (_family_label(number, family), len(family.models))
        for number, family in enumerate(answer.families, start=1)
    ]
    if answer.alone:
        sizes.append((f"sharing nothing ({len(answer.alone)})", len(answer.alone)))
    spans, start = [], 0
    for label, size in sizes:
        spans.append((label, start, start + size))
        start += size
    return spans


def _label(ax: Axes, answer: SharingAnswer, order: Sequence[str]) -> None:
    """Name models if they are few, else families, as many as there is room for."""
    size = 9 if len(order) <= MOST_NUMBERED else 7
    ax.tick_params(length=2)
    if len(order) <= MOST_NAMED:
        names = [as_text(shortened(name, _LABEL_WIDTH)) for name in order]
        ax.set_xticks(range(len(order)), names, rotation=90, fontsize=size)
        ax.set_yticks(range(len(order)), names, fontsize=size)
        return
    least = math.ceil(len(order) / MOST_NAMED)
    centres: list[float] = []
    labels: list[str] = []
    for label, start, end in _spans(answer):
        centre = (start + end - 1) / 2
        if not centres or centre - centres[-1] >= least:
            centres.append(centre)
            labels.append(as_text(label))
    ax.set_xticks([])
    ax.set_yticks(centres, labels, fontsize=size + 1)


def _frame(ax: Axes, answer: SharingAnswer) -> None:
    for _, start, end in _spans(answer)[: len(answer.families)]:
        size = end - start
        ax.add_patch(
            Rectangle(
                *((start - 0.5, start - 0.5), size, size),
                fill=False,
                edgecolor=INK,
                linewidth=1.0,
                clip_on=False,
            )
        )


def _side(models: int) -> float:
    """Side of the heat map in inches."""
    each = 0.62 if models <= MOST_NUMBERED else _SQUARE_IN
    return min(_LARGEST_IN, max(_SMALLEST_IN, each * models))


def _unit(most: float) -> tuple[float, str]:
    return next(pair for pair in _UNITS if most >= pair[0])
