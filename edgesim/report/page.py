"""The page itself: its skeleton, and how text and data get into it safely."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from edgesim.text import plain

_SCRIPTS_ALLOWED = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)
"""Content security policy: the browser itself loads nothing from elsewhere."""


def text(value: object) -> str:
    """Escape a text from a file: on one line, without unprintable characters."""
    return escape(plain(str(value)))


def label(value: object) -> str:
    """Escape a text from a file for plotly, which reads tags but not all entities."""
    return escape(plain(str(value)), quote=False)


def lines(value: str) -> str:
    """Escape a text of several lines, for ``<pre>``."""
    return "\n".join(
        escape("".join(c if c.isprintable() else " " for c in line))
        for line in value.splitlines()
    )


def section(place: str, title: str, *parts: str) -> str:
    """Make a section with a heading; empty parts are left out.

    Parameters
    ----------
    place
        Its id, fixed.
    title
        The heading, plain text.
    *parts
        HTML.
    """
    body = "\n".join(part for part in parts if part)
    return f'<section id="{place}">\n<h2>{text(title)}</h2>\n{body}\n</section>'


def paragraph(words: str, kind: str = "") -> str:
    """Make a paragraph of plain text, of a class of the style sheet."""
    of = f' class="{kind}"' if kind else ""
    return f"<p{of}>{text(words)}</p>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """List facts after their labels; both are plain text."""
    items = "\n".join(
        f"<dt>{text(label)}</dt><dd>{text(value)}</dd>" for label, value in pairs
    )
    return f"<dl>\n{items}\n</dl>"


def folded(title: str, content: str) -> str:
    """Make a part that opens with a click; ``content`` is a text of several lines."""
    return (
        f"<details><summary>{text(title)}</summary>\n"
        f"<pre>{lines(content)}</pre></details>"
    )


def data(place: str, value: Any) -> str:
    """Embed a value as JSON, for a script: no text in it can end the element.

    Parameters
    ----------
    place
        The element's id.
    value
        Finite numbers, texts, lists and dicts.
    """
    content = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" id="{place}">{content}</script>'


def script(code: str) -> str:
    """Embed a script."""
    return f"<script>\n{code}\n</script>"


def own_file(name: str) -> str:
    """Read a script or style sheet of this folder."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def page(
    title: str, about: str, sections: Sequence[str], scripts: Sequence[str]
) -> str:
    """Make the whole page.

    Parameters
    ----------
    title, about
        Title, and what was run; plain text.
    sections
        HTML, in order.
    scripts
        HTML of scripts and their data; that of tables is added.
    """
    body = "\n".join(sections)
    code = "\n".join([*scripts, script(own_file("tables.js"))])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_SCRIPTS_ALLOWED}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{own_file("page.css")}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
{paragraph(about)}
</header>
<main>
{body}
</main>
{code}
</body>
</html>
"""
