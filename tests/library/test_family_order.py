"""Families are mixed by what models hold, whatever they are called."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from edgesim.library.build import Library, build_library
from edgesim.library.family_order import family_order
from edgesim.profile.values import Profile
from edgesim.scenario.library import CheckpointsSpec, LoadSource


def content(text: str) -> str:
    """Return the content of a block, as a profile states it."""
    return hashlib.sha256(text.encode()).hexdigest()


def profile(models: Mapping[str, Sequence[str]]) -> Profile:
    """Make a profile of models, each a list of contents."""
    return Profile.model_validate(
        {
            "name": "mine",
            "provenance": {"kind": "synthetic", "device": "none", "method": "by hand"},
            "models": {
                name: {
                    "blocks": [
                        {
                            "name": f"b{number}",
                            "bytes": 1000,
                            "load_s": {"pinned": {"median_s": 1e-3}},
                            "content": content(text),
                        }
                        for number, text in enumerate(contents)
                    ],
                    "latency_s": {"1": 0.001},
                }
                for name, contents in models.items()
            },
        }
    )


def library_of(made: Profile) -> Library:
    """Build the library of a profile's models, which share equal contents."""
    spec, load = CheckpointsSpec(kind="checkpoints"), LoadSource()
    return build_library(spec, made, load, np.random.default_rng(0))


def families(*sizes: int) -> list[list[str]]:
    """List the contents of models in families, a member a list."""
    return [
        [f"base{family}", f"own{family}.{member}"]
        for family, size in enumerate(sizes)
        for member in range(size)
    ]


def ordered(models: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the order of a profile's models."""
    made = profile(models)
    return family_order(library_of(made), made)


@pytest.mark.parametrize("sizes", [(14, 13, 13), (12, 4), (6, 1, 1), (5,), (1, 1, 1)])
def test_every_beginning_has_its_part_of_every_family(sizes: tuple[int, ...]) -> None:
    """Among the first models a family has its part of the library, to one model."""
    contents = families(*sizes)
    names = [f"m{number:02}" for number in range(len(contents))]
    family_of = {name: held[0] for name, held in zip(names, contents, strict=True)}
    found = [
        family_of[name] for name in ordered(dict(zip(names, contents, strict=True)))
    ]
    for count in range(1, len(found) + 1):
        for family, size in enumerate(sizes):
            share = count * size / len(found)
            assert abs(found[:count].count(f"base{family}") - share) <= 1


def test_no_name_decides() -> None:
    """However models are named and listed, the same contents come in the same order."""
    contents = families(5, 3, 2)
    orders = set()
    for seed in range(20):
        names = [f"m{number:02}" for number in range(len(contents))]
        random.Random(seed).shuffle(names)
        models = dict(sorted(zip(names, contents, strict=True)))
        orders.add(tuple(tuple(models[name]) for name in ordered(models)))
    assert len(orders) == 1


def test_models_of_equal_contents_keep_their_order() -> None:
    """They are the same model, so only their names tell them apart."""
    for names in itertools.permutations("abc"):
        assert ordered({name: ["base", "same"] for name in names}) == list(names)
