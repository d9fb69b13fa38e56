"""Key paths, ``library.clusters[0].variants``, and the values that replace others."""

from __future__ import annotations

import re
import tomllib
from copy import deepcopy
from typing import Any

from edgesim.errors import InputError, short

_PART = r'(?:"[^"]+"|[^\s."\[\]]+)'
_PATH = re.compile(rf"{_PART}(?:\.{_PART}|\[\d+\])*")
_PARTS = re.compile(r'"([^"]+)"|([^."\[\]]+)')

_WORD = re.compile(r"""[^\W\d][^\s"'\[\]{}=#,]*|\.{0,2}/[^\s"'\[\]{}=#,]+""")
"""A plain word: a name, or a path that begins with a slash or dots."""


def parts_of(key: str) -> tuple[str, ...]:
    """Split a key path into its parts.

    Parameters
    ----------
    key
        As messages print it, ``library.clusters[0].variants``, or with dots alone,
        ``library.clusters.0.variants``; a part that holds a dot stands in quotes.

    Raises
    ------
    InputError
        When it is no key path.
    """
    if not _PATH.fullmatch(key):
        raise InputError(
            key,
            "must be a key path, such as cell.bandwidth_hz or "
            "library.clusters[0].variants",
        )
    return tuple(quoted or bare for quoted, bare in _PARTS.findall(key))


def overlap(one: str, other: str) -> bool:
    """Whether two key paths lead to the same place, or one to a part of the other."""
    pairs = zip(parts_of(one), parts_of(other), strict=False)
    return all(mine == yours for mine, yours in pairs)


def read_value(text: str) -> Any:
    """Read a value as TOML has it; a plain word is text without quotes.

    Raises
    ------
    ValueError
        Saying what was found and what is allowed.
    """
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        found = {}
    if found.keys() == {"value"}:
        return found["value"]
    if _WORD.fullmatch(text):
        return text
    raise ValueError(
        f'must be a TOML value (a number, true or false, "text", [a list], {{a table}})'
        f" or a plain word, found {short(text)}"
    )


def set_value(content: dict[str, Any], key: str, value: Any) -> None:
    """Replace a value by its key path.

    Parameters
    ----------
    content
        Tables, lists and values, as TOML has them; sections that are not there yet are
        made.
    key, value
        The key path, as for :func:`parts_of`, and what is to stand there.

    Raises
    ------
    InputError
        When there is no such place.
    """
    *parents, last = parts_of(key)
    value = deepcopy(value)  # or a longer key path would change the caller's table
    place: Any = content
    made = False
    for part in parents:
        if made and part.isdecimal():
            raise InputError(key, f"there is no list, and so no item {part}")
        if isinstance(place, dict):
            made = part not in place
            inner = place.setdefault(part, {})
            where: Any = part
        else:
            where = _position(key, place, part)
            inner = place[where]
        if inner is None:
            inner = place[where] = {}
        elif isinstance(inner, tuple):
            inner = place[where] = list(inner)
        place = inner
    if made and last.isdecimal():
        raise InputError(key, f"there is no list, and so no item {last}")
    if isinstance(place, dict):
        place[last] = value
    else:
        place[_position(key, place, last)] = value


def _position(key: str, place: Any, part: str) -> int:
    """Find an item of a list."""
    if not isinstance(place, list):
        raise InputError(
            key,
            f"no such key to replace: {part!r} is in no table, but in {short(place)}",
        )
    if not (part.isascii() and part.isdigit()) or int(part) >= len(place):
        raise InputError(
            key,
            f"no such key to replace: {part!r} is no position in a list of "
            f"{len(place)}, which begins with 0",
        )
    return int(part)
