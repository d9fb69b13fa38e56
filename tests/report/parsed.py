"""Reads a page as a browser does: its elements, what they refer to, and their text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "img", "br", "input"}
_REFERRING = ("src", "href", "action", "data", "poster", "srcset", "background")


class Parsed(HTMLParser):
    """A page's elements.

    Attributes
    ----------
    tags
        Name of each element, in order.
    ids
        All ids.
    references
        What elements refer to.
    handlers
        Attributes that would run code.
    text_of
        Text by the id of the section it is in; "" is outside of all.
    scripts
        Text of script elements by their id; those without are together under "".
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.text_of: dict[str, str] = {"": ""}
        self.scripts: dict[str, str] = {"": ""}
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self._open == [], "elements that never end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in an element."""
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append(tag)
        self.attributes.append((tag, found))
        if found.get("id"):
            self.ids.append(found["id"] or "")
        self.references += [found[k] or "" for k in _REFERRING if k in found]
        self.handlers += [key for key in found if key.startswith("on")]
        if tag not in _VOID:
            self._open.append((tag, found.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        """Check that it is the element's that was begun last."""
        assert self._open, f"{tag} ends but never began"
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        """Add a text to its section, or to its script."""
        if self._open and self._open[-1][0] == "script":
            place = self._open[-1][1]
            self.scripts[place] = self.scripts.get(place, "") + data
            return
        if self._open and self._open[-1][0] == "style":
            return
        place = next((i for tag, i in self._open if tag == "section"), "")
        self.text_of[place] = self.text_of.get(place, "") + data

    def trials(self) -> list[dict[str, Any]]:
        """Read the timelines."""
        found: list[dict[str, Any]] = json.loads(self.scripts["timeline-data"])[
            "trials"
        ]
        return found


def check_page(html: str) -> Parsed:
    """Check what holds for every page, and return its elements."""
    parsed = Parsed(html)
    assert html.startswith("<!DOCTYPE html>")
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(one.startswith("data:") for one in parsed.references)
    assert parsed.handlers == []
    tags = dict(parsed.attributes)
    assert tags["html"]["lang"] == "en"
    metas = [found for tag, found in parsed.attributes if tag == "meta"]
    assert any(found.get("name") == "viewport" for found in metas)
    policy = next(m for m in metas if m.get("http-equiv"))["content"] or ""
    assert policy.startswith("default-src 'none'")
    assert "@import" not in html[: html.index("</style>")]
    assert "url(" not in html[: html.index("</style>")]
    return parsed
