"""What figures call solvers and policies: short, distinct, and on several lines."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from edgesim.text import plain, shortened
from solvers.registry import NO_SHARING

LEGEND_WIDTH = 26
"""Characters of a name in a legend; longer ones leave too little room for curves."""


def labels_of(names: Iterable[str], width: int = LEGEND_WIDTH) -> dict[str, str]:
    """Label the solvers or policies of a figure.

    Those of the user's own go without their module if that is clear, and long ones are
    cut in their middle, as far as they remain distinct.

    Parameters
    ----------
    names
        All of the figure, with or without ``-noshare``.
    width
        Characters of a label, if as many tell the names apart; ``, no sharing`` comes
        on top.
    """
    names = list(names)
    short = short_names(names, width)
    return {
        name: short[base] if base == name else f"{short[base]}, no sharing"
        for name in names
        for base in [name.removesuffix(NO_SHARING)]
    }


def short_names(names: Iterable[str], width: int) -> dict[str, str]:
    """Shorten names as :func:`labels_of` does, those of twins being one."""
    bases = dict.fromkeys(name.removesuffix(NO_SHARING) for name in names)
    last = {base: base.rpartition(":")[2] for base in bases}
    often = Counter(last.values())
    clear = {base: name if often[name] == 1 else base for base, name in last.items()}
    return _cut(clear, width)


def _cut(names: Mapping[str, str], width: int) -> dict[str, str]:
    """Cut names to a width; those that would be the same become longer."""
    texts = {key: shortened(name, width) for key, name in names.items()}
    often = Counter(texts.values())
    same = {key: name for key, name in names.items() if often[texts[key]] > 1}
    if not same or width >= max(len(plain(name)) for name in same.values()):
        return texts
    return texts | _cut(same, width + 1)


def broken(label: str, room_pt: float, size_pt: float) -> str:
    """Break a label into lines that are no wider than a room.

    Lines end behind ``_ - . : …`` or a blank, or anywhere in a part that is too wide by
    itself.

    Parameters
    ----------
    label
        The label.
    room_pt
        Width of a line.
    size_pt
        Size of the letters.
    """
    lines = [""]
    for part in re.findall(r"[^_\-.:…\s]*[_\-.:…\s]*", label):
        if _width_pt(f"{lines[-1]}{part}".rstrip(), size_pt) <= room_pt:
            lines[-1] += part
            continue
        lines.append("")
        for letter in part:
            if lines[-1] and _width_pt(lines[-1] + letter, size_pt) > room_pt:
                lines.append("")
            lines[-1] += letter
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _width_pt(text: str, size_pt: float) -> float:
    with warnings.catch_warnings():
        # A sign that the font has not is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from ", UserWarning)
        width_pt, _, _ = text_to_path.get_text_width_height_descent(
            text, FontProperties(family="DejaVu Sans", size=size_pt), ismath=False
        )
    return float(width_pt)
