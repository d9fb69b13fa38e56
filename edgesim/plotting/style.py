"""Style and output of figures, legible in black-and-white print too.

Every ``plot_x`` takes axes or makes a new figure, and returns the axes; ``ax.figure``
is the figure. No pyplot and no global state: the same values give the same bytes,
whatever the format.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import IO, Any, Literal, TypeAlias

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import LogLocator, NullFormatter

from edgesim.errors import InputError, Parameter
from edgesim.names import PICTURE_FORMATS, picture_format
from edgesim.plotting.colours import INK
from edgesim.storage.file_kinds import PICTURES
from edgesim.storage.files import check_replaceable, write_whole
from edgesim.text import printable

CHARACTERS_PER_INCH = 11.5
"""Of a title."""

Drawing: TypeAlias = Figure | Axes
"""What can be written as a picture."""

# What would change from day to day, or with matplotlib's version.
_UNDATED: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#666666",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.0,
    "figure.dpi": 100.0,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "hatch.linewidth": 1.0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,  # TrueType: some journals take no Type 3
    "savefig.dpi": 160.0,
    "svg.hashsalt": "edgesim",  # or ids were drawn at random
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_GROUPS = tuple(
    {name.split(".")[0] + "." for name in _STYLE}
    | {"agg.", "errorbar.", "markers.", "mathtext.", "patch.", "path."}
)


@contextmanager
def style() -> Iterator[None]:
    """Draw in edgesim's style, regardless of the user's matplotlibrc.

    Settings are restored when the block ends.
    """
    # Any: the keys in matplotlib's own types differ between versions.
    settings: Any = dict(mpl.rcParamsDefault)
    settings = {k: v for k, v in settings.items() if k.startswith(_GROUPS)} | _STYLE
    with mpl.rc_context(settings):
        yield


def save(drawing: Drawing, path: str | Path) -> None:
    """Write a figure atomically; the same figure gives the same bytes.

    Parameters
    ----------
    drawing
        A figure, or axes of it.
    path
        The output file; its suffix says in which format: ``.png``, ``.pdf``, ``.svg``.

    Raises
    ------
    InputError
        If the suffix is another one, or the file cannot be written.
    """
    path = Path(path)
    picture = check_picture(path)
    with write_whole(path, "wb") as file:
        dump(drawing, file, picture)


def check_picture(path: Path) -> str:
    """Return the format that the suffix of a picture's file name stands for.

    Raises
    ------
    InputError
        Naming the suffixes that are allowed; and if another kind of file stands there.
    """
    found = picture_format(path)
    if found is None:
        allowed = ", ".join(f".{name}" for name in PICTURE_FORMATS)
        raise InputError(
            Parameter("path"), f"must end in {allowed}, found {path.name!r}"
        )
    check_replaceable(path, PICTURES[found])
    return found


def dump(drawing: Drawing, file: IO[bytes], picture: str = "png") -> None:
    """Write a figure into an open file in a format, as :func:`save` does."""
    figure = drawing if isinstance(drawing, Figure) else root_figure(drawing)
    with style(), warnings.catch_warnings():
        # A sign that the font has not is drawn as a box, and names may be too long for
        # the picture: neither is a reason to print matplotlib's lines.
        warnings.filterwarnings("ignore", "Glyph .* missing from ", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not ", UserWarning)
        figure.savefig(file, format=picture, metadata=_UNDATED[picture])


def set_title(ax: Axes, title: str | None) -> None:
    """Set the title above the axes, if one is given."""
    if title is not None:
        text = as_text(title)
        # Breaking a line within a formula would leave two that are none.
        ax.set_title(text, loc="left", fontsize=10, wrap=not is_math_text(text))


def title_lines(title: str, width_in: float) -> str:
    """Return a title as :func:`as_text` does, on as many lines as a width needs."""
    text = as_text(title)
    if is_math_text(text):
        return text
    return "\n".join(wrap(text, int(width_in * CHARACTERS_PER_INCH)))


def as_text(text: str) -> str:
    r"""Return what draws a text as it is, unless its dollar signs enclose formulas.

    For whatever people name or write: ``$\mu$s`` is a formula, ``$x^{$`` is none, and
    what cannot be printed is a space.
    """
    text = printable(text).encode("utf-8", "replace").decode()
    if all(_is_drawable(line) for line in text.split("\n")):
        return text
    return text.replace("$", r"\$")


def legend_label(text: str) -> str:
    """Return a label as :func:`as_text` does; no underscore hides it from a legend."""
    return as_text(f" {text}" if text.startswith("_") else text)


def _is_drawable(line: str) -> bool:
    """Whether matplotlib takes a line: one without formulas, or with valid ones."""
    if not is_math_text(line):
        return True
    try:
        MathTextParser("path").parse(line)
    except (ValueError, RecursionError):
        return False
    return True


def set_limits(ax: Axes, axis: Literal["x", "y"], low: float, high: float) -> None:
    """Set the limits of an axis so that what is drawn on axes that share it stays.

    Parameters
    ----------
    ax, axis
        Whose limits.
    low, high
        What these axes need.
    """
    first, last = drawn_limits(ax, axis)
    limits = min(low, first), max(high, last)
    (ax.set_xlim if axis == "x" else ax.set_ylim)(limits)


def drawn_limits(ax: Axes, axis: Literal["x", "y"]) -> tuple[float, float]:
    """Where the data on some axes and those that share an axis with them lie.

    Infinity and its negative where nothing is drawn.
    """
    shared = ax.get_shared_x_axes() if axis == "x" else ax.get_shared_y_axes()
    boxes = [other.dataLim for other in shared.get_siblings(ax)]
    ends = [box.intervalx if axis == "x" else box.intervaly for box in boxes]
    known = [float(end) for pair in ends for end in pair if math.isfinite(end)]
    return min(known, default=math.inf), max(known, default=-math.inf)


def root_figure(ax: Axes) -> Figure:
    """Return the top-level figure that contains some axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes removed from their figure cannot be drawn on
    return figure


def new_axes(width_in: float, height_in: float) -> Axes:
    """Make a figure with a single axes, laid out so that nothing is clipped."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure.add_subplot()


def height_for(entries: int, least_in: float) -> float:
    """Height in inches of a figure with a title and a legend of ``entries`` lines."""
    return max(least_in, 1.0 + 0.22 * entries)


def repeats_text(counts: Sequence[int]) -> str:
    """Describe for a legend the number of repeats behind a mean."""
    if not counts:
        return "nothing measured"
    low, high = min(counts), max(counts)
    if high == 1:
        return "one repeat"
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"mean of {span} repeats,\n95 % intervals"


def side_legend(ax: Axes, handles: Sequence[object], title: str) -> None:
    """Place the legend right of the axes, where it covers neither these nor others.

    A figure without a layout engine gets one that makes room for it.
    """
    ax.legend(
        handles=handles,
        title=title,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        title_fontsize=9,
    )
    make_room(ax)


def make_room(ax: Axes) -> None:
    """Give a figure a layout engine that makes room beside the axes, if it has none."""
    figure = root_figure(ax)
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")


def plain_ticks(axis: Axis) -> None:
    """Label 0.1, 1, 10 on a log axis, and 2 and 5 in between if it is short.

    Call it once the axis has its limits.
    """
    low, high = axis.get_view_interval()
    short = high < 1000 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
