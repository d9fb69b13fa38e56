"""Edits of a document of objects, lists and values, drawn by a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from tests.fuzz.extremes import NUMBERS, TEXTS, Raw, Twice, deep, nested

Generator = np.random.Generator
Place = tuple[Any, Any]
"""An object or a list, and a key or a position in it."""


def chosen(rng: Generator, options: Any) -> Any:
    """Choose one of a sequence."""
    return options[int(rng.integers(len(options)))]


def edited(document: Any, rng: Generator) -> Any:
    """Return a document with one to three edits."""
    holder = [deepcopy(document)]
    for _ in range(1 + int(rng.integers(8) == 0) + int(rng.integers(8) == 0)):
        places = list(_places(holder))
        place = chosen(rng, places)
        chosen(rng, EDITS)(place, places, rng)
        if not holder:
            return None
    return holder[0]


def _places(value: Any) -> Iterator[Place]:
    """Find every place in a document; what stands in it twice counts once."""
    if type(value) is dict:
        items: Any = list(value.items())
    elif type(value) is list:
        items = list(enumerate(value))
    else:
        return
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _remove(place: Place, places: list[Place], rng: Generator) -> None:
    del places, rng
    container, key = place
    del container[key]


def _rename(place: Place, places: list[Place], rng: Generator) -> None:
    """Give a key another name: one that is odd, misspelt, or that of another place."""
    container, key = place
    if type(container) is not dict:
        return
    others = [str(other) for _, other in places]
    new = chosen(rng, (chosen(rng, TEXTS), chosen(rng, others), f"{key}x", key[:-1]))
    items = [(new if name == key else name, value) for name, value in container.items()]
    container.clear()
    container.update(items)


def _repeat(place: Place, places: list[Place], rng: Generator) -> None:
    """Put an item of a list twice, or a key."""
    del places, rng
    container, key = place
    if type(container) is list:
        container.insert(key, deepcopy(container[key]))
    elif type(container[key]) is dict and container[key]:
        container[key] = Twice(container[key])


def _number(place: Place, places: list[Place], rng: Generator) -> None:
    """Put a number from the ends of the ranges, where there is a number if possible."""
    numbers = [(c, k) for c, k in places if isinstance(c[k], (int, float))]
    container, key = chosen(rng, numbers) if numbers and rng.integers(4) else place
    container[key] = chosen(rng, NUMBERS)


def _nudge(place: Place, places: list[Place], rng: Generator) -> None:
    """Change a number by a factor, or by its last digit."""
    numbers = [
        (c, k)
        for c, k in places
        if isinstance(c[k], (int, float)) and not isinstance(c[k], bool)
    ]
    container, key = chosen(rng, numbers) if numbers else place
    old = container[key]
    if not isinstance(old, (int, float)) or abs(old) > 1e300:
        return
    new = chosen(rng, (old + 1, old - 1, -old, old * 1000, old / 1000, old * 1.5))
    whole = isinstance(old, int) and bool(rng.integers(2))
    container[key] = int(new) if whole else new


def _text(place: Place, places: list[Place], rng: Generator) -> None:
    texts = [(c, k) for c, k in places if isinstance(c[k], str)]
    container, key = chosen(rng, texts) if texts and rng.integers(4) else place
    container[key] = chosen(rng, TEXTS)


def _decorate(place: Place, places: list[Place], rng: Generator) -> None:
    """Put an odd text behind one that is fine."""
    texts = [(c, k) for c, k in places if isinstance(c[k], str)]
    container, key = chosen(rng, texts) if texts else place
    if isinstance(container[key], str):
        container[key] = f"{container[key]}{chosen(rng, TEXTS)}"


def _kind(place: Place, places: list[Place], rng: Generator) -> None:
    """Put a value of another type."""
    del places
    container, key = place
    old = container[key]
    container[key] = chosen(
        rng,
        (None, [], {}, [old], {"a": old}, str(old), [old, old], Raw("1979-05-27")),
    )


def _swap(place: Place, places: list[Place], rng: Generator) -> None:
    """Put here what stands elsewhere."""
    container, key = place
    other, name = chosen(rng, places)
    container[key] = deepcopy(other[name])


def _shuffle(place: Place, places: list[Place], rng: Generator) -> None:
    """Put a list into another order."""
    lists = [(c, k) for c, k in places if type(c[k]) is list and len(c[k]) > 1]
    container, key = chosen(rng, lists) if lists else place
    if type(container[key]) is list:
        container[key] = [
            container[key][n] for n in rng.permutation(len(container[key]))
        ]


def _grow(place: Place, places: list[Place], rng: Generator) -> None:
    """Make a list long."""
    lists = [(c, k) for c, k in places if type(c[k]) is list and c[k]]
    container, key = chosen(rng, lists) if lists else place
    found = container[key]
    if type(found) is list and found:
        # A library of thousands of models is one, and takes its time.
        factors = (2,) if isinstance(found[0], dict) else (2, 20, 200)
        container[key] = found * int(chosen(rng, factors))


def _nest(place: Place, places: list[Place], rng: Generator) -> None:
    del places
    container, key = place
    container[key] = chosen(
        rng, (nested(50, list), nested(300, dict), nested(90, dict), deep(3000))
    )


Edit = Callable[[Place, list[Place], Generator], None]
EDITS: tuple[Edit, ...] = (
    *(_remove, _rename, _repeat, _swap, _shuffle, _grow, _kind, _nest),
    *(_number,) * 5,
    *(_nudge,) * 3,
    *(_text,) * 2,
    *(_decorate,) * 2,
)
"""What may be done at a place, the likeliest several times."""
