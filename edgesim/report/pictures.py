"""Pictures of a folder, embedded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from edgesim.errors import InputError
from edgesim.report.page import paragraph, text
from edgesim.storage.files import read_bytes

_KINDS = {
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    ".svg": ("image/svg+xml", b"<svg"),
}
"""Suffix, and the media type and what a file of that kind holds near its beginning."""


def pictures(folder: Path, stems: Iterable[str]) -> str:
    """Embed pictures as data: of each name the PNG, or the SVG if there is no PNG.

    Parameters
    ----------
    folder
        The folder that holds them.
    stems
        Names without suffix; those that are not there are left out, and those that are
        there as PDF alone are named.

    Raises
    ------
    InputError
        Naming a file that is no picture.
    """
    found, elsewhere = [], []
    for stem in stems:
        files = [folder / f"{stem}{suffix}" for suffix in _KINDS]
        there = next((file for file in files if file.exists()), None)
        if there is not None:
            found.append(_embedded(there))
        elif (folder / f"{stem}.pdf").exists():
            elsewhere.append(f"{stem}.pdf")
    html = ""
    if found:
        html = f'<div class="pictures">\n{"".join(found)}</div>'
    if elsewhere:
        html += paragraph(f"As PDF, beside this page: {', '.join(elsewhere)}.", "note")
    return html


def _embedded(file: Path) -> str:
    kind, sign = _KINDS[file.suffix]
    content = read_bytes(file)
    if sign not in content[:1000]:
        raise InputError(file, f"must be a picture, {file.suffix[1:].upper()}")
    coded = b64encode(content).decode("ascii")
    name = text(file.name)
    return (
        f'<figure><img alt="{name}" src="data:{kind};base64,{coded}">'
        f"<figcaption>{name}</figcaption></figure>\n"
    )
