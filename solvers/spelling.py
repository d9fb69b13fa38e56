"""What a misspelt name was probably meant to be, for messages."""

from __future__ import annotations

from collections.abc import Iterable

CUTOFF = 0.65
"""Names less alike than this, by ``difflib``, are not suggested."""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that is most like a misspelt one, upper case aside.

    Returns
    -------
    str or None
        None if none is alike, or ``name`` itself is known.
    """
    # Imported once something is wrong, so that nothing else waits for it.
    from difflib import get_close_matches

    lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), lower, 1, CUTOFF)
    if not found or lower[found[0]] == name:
        return None
    return lower[found[0]]


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Suggest a known name at the end of a message: ``; did you mean 'greedy'?``.

    Nothing where what was found is no text, or no known name is alike.
    """
    meant = closest(name, known) if isinstance(name, str) else None
    return "" if meant is None else f"; did you mean {meant!r}?"
