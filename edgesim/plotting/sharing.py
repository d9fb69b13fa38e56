"""Figure of the sharing of checkpoints: bytes by pair of models."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from edgesim.checkpoints.answer import SharingAnswer
from edgesim.checkpoints.content import ContentLibrary
from edgesim.library.loading_order import best_order
from edgesim.library.sharing import sharing_graph
from edgesim.plotting.colours import INK, ink_on
from edgesim.plotting.style import as_text, new_axes, root_figure, save, style
from edgesim.text import shortened

MOST_LABELS = 60
"""With more models, only every second, third, … one is labelled on the axes."""

MOST_NUMBERED = 12
"""With more models, the squares contain no numbers."""

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_SQUARE_IN = 0.2
_LARGEST_IN = 14.0
_LABEL_WIDTH = 28


def plot_sharing(library: ContentLibrary, ax: Axes | None = None) -> Axes:
    """Plot the bytes that each pair of models shares, and each model's size.

    Models are in the best loading order, which puts related models together. A white
    square means that two models share nothing.

    Parameters
    ----------
    library
        The content that the checkpoints share.
    ax
        Where to draw; a new figure if not given.
    """
    graph = sharing_graph(library.view())
    order = best_order(library.view()).models
    place = {name: position for position, name in enumerate(order)}
    shared = np.zeros((len(order), len(order)))
    for name, node in graph.nodes(data=True):
        shared[place[name], place[name]] = node["bytes"]
    for one, other, edge in graph.edges(data=True):
        shared[place[one], place[other]] = edge["shared_bytes"]
        shared[place[other], place[one]] = edge["shared_bytes"]
    scale, unit = next(pair for pair in _UNITS if shared.max() >= pair[0])
    values = shared / scale
    with style():
        if ax is None:
            side = min(_LARGEST_IN, max(3.2, _SQUARE_IN * len(order)))
            if len(order) <= MOST_NUMBERED:
                side = max(side, 0.62 * len(order))
            ax = new_axes(side + 2.8, side + 1.4)
        # Start at a visible blue: white is for pairs that share nothing.
        blues = LinearSegmentedColormap.from_list(
            "shared", mpl.colormaps["Blues"](np.linspace(0.15, 1, 64))
        )
        image = ax.imshow(np.ma.masked_equal(values, 0), cmap=blues, vmin=0)
        ax.grid(visible=False)
        step = math.ceil(len(order) / MOST_LABELS)
        labelled = range(0, len(order), step)
        names = [as_text(shortened(order[at], _LABEL_WIDTH)) for at in labelled]
        size = 9 if len(order) <= MOST_NUMBERED else 7
        ax.set_xticks(labelled, names, rotation=90, fontsize=size)
        ax.set_yticks(labelled, names, fontsize=size)
        ax.tick_params(length=2)
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
        ax.set_xlabel("model")
        ax.set_ylabel("model, relatives together")
        bar = root_figure(ax).colorbar(image, ax=ax, shrink=0.8)
        bar.set_label(f"parameters held by both ({unit})", color=INK)
    return ax


def write_picture(library: ContentLibrary, answer: SharingAnswer, path: Path) -> None:
    """Write the figure atomically."""
    save(plot_sharing(library), path)
