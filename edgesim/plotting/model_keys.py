"""Short keys of models, a letter by cluster and a number by member; a legend."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from string import ascii_uppercase
from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from edgesim.plotting.colours import Colour
from edgesim.plotting.style import make_room, root_figure

Entry: TypeAlias = tuple[tuple[Patch, ...], str]
"""An entry of a legend: what is drawn side by side, and the text beside it."""

MOST_NAMED = 40
"""Models that a legend names, at most."""

_SEPARATE = 12
_SHADES = 6
_LINE = 118
_COLUMNS = 6
_FONT_PT = 8.5


def model_keys(
    clusters: Iterable[Sequence[str]], shown: Collection[str]
) -> dict[str, str]:
    """Give each model that is shown a key: ``B2`` is the second one of cluster B.

    Parameters
    ----------
    clusters
        Models by cluster, in order.
    shown
        Models that need a key. A cluster of which one is shown has its letter alone.

    Returns
    -------
    dict
        Key by model, cluster by cluster.
    """
    keys = {}
    groups = ([name for name in cluster if name in shown] for cluster in clusters)
    for number, members in enumerate(filter(None, groups)):
        letters = _letters(number)
        for place, name in enumerate(members, start=1):
            keys[name] = f"{letters}{place}" if len(members) > 1 else letters
    return keys


def _letters(number: int) -> str:
    """Count from A to Z, then AA, AB and so on."""
    rest, last = divmod(number, len(ascii_uppercase))
    return (_letters(rest - 1) if rest else "") + ascii_uppercase[last]


def legend_of_models(
    keys: Mapping[str, str], palette: Mapping[str, Colour]
) -> list[Entry]:
    """List the entries of a legend of models.

    A few models have an entry each; of many, those of a cluster share one, which names
    what they have in common once.

    Parameters
    ----------
    keys
        Key by model, cluster by cluster, as :func:`model_keys` returns them.
    palette
        Colour by model.
    """
    named = list(keys)[:MOST_NAMED]
    members: dict[str, list[str]] = {}
    for name in named:
        key = keys[name]
        members.setdefault(key.rstrip("0123456789"), []).append(name)
    groups = list(members.values())
    if len(named) <= _SEPARATE or all(len(group) == 1 for group in groups):
        groups = [[name] for name in named]
    elif sum(len(group) == 1 for group in groups) > 3:
        alone = [group[0] for group in groups if len(group) == 1]
        groups = [group for group in groups if len(group) > 1] + [alone]
    entries = [
        (
            tuple(Patch(fc=palette[name]) for name in _spread(group)),
            _text(group, keys),
        )
        for group in groups
    ]
    more = len(keys) - len(named)
    if more:
        entries.append(((Patch(fc="none", ec="none"),), f"and {more} more"))
    return entries


def _spread(group: Sequence[str]) -> list[str]:
    """Pick models of a group, the first and the last among them, for their shades."""
    last = len(group) - 1
    count = min(len(group), _SHADES)
    return [group[last * place // max(1, count - 1)] for place in range(count)]


def _text(group: Sequence[str], keys: Mapping[str, str]) -> str:
    """Name the models of a group by key, and what their names begin with once."""
    if len(group) == 1:
        return f"{keys[group[0]]}  {short(group[0])}"
    columns = takewhile(
        lambda letters: len(set(letters)) == 1, zip(*group, strict=False)
    )
    common = "".join(letters[0] for letters in columns).rstrip("0123456789")
    beginning = f"{short(common, 24)}…: " if common else ""
    named = [f"{keys[n]}\N{NO-BREAK SPACE}{_unbroken(n, common)}" for n in group]
    return textwrap.fill(
        beginning + ", ".join(named),
        _LINE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _unbroken(name: str, common: str) -> str:
    """Return what tells a model from others, or its name, on one line."""
    rest = name.removeprefix(common) or name
    return short(rest, 20).replace(" ", "\N{NO-BREAK SPACE}")


def short(name: str, limit: int = 28) -> str:
    """Shorten a long name in its middle: variants differ at the end."""
    head = limit // 2
    return name if len(name) <= limit else f"{name[:head]}…{name[head + 1 - limit :]}"


def draw_below(ax: Axes, entries: Sequence[Entry]) -> int:
    """Draw a legend below the x axis, in as many columns as the figure is wide.

    Returns
    -------
    int
        How many lines it has.
    """
    if not entries:
        return 0
    texts = [text for _, text in entries]
    below = ScaledTranslation(0, -38 / 72, root_figure(ax).dpi_scale_trans)
    width = root_figure(ax).bbox.width
    for columns in range(min(len(entries), _COLUMNS), 0, -1):
        legend = ax.legend(
            handles=[patches for patches, _ in entries],
            labels=texts,
            ncols=columns,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=ax.transAxes + below,
            fontsize=_FONT_PT,
            borderaxespad=0.0,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)},
        )
        for drawn in legend.get_texts():
            drawn.set_parse_math(False)
        wide = legend.get_window_extent().width / (0.9 * width)
        if wide <= 1:
            break
    else:
        for drawn in legend.get_texts():
            drawn.set_fontsize(_FONT_PT / wide)
    make_room(ax)
    if columns == 1:
        return sum(text.count("\n") + 1 for text in texts)
    return -(-len(entries) // columns)
