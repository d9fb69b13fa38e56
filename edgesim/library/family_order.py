"""Order a library's models so that every family has popular ones among its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from edgesim.library.build import Library
from edgesim.library.sharing import clusters
from edgesim.profile.values import ModelProfile, Profile


def family_order(library: Library, profile: Profile) -> list[str]:
    """Order models with their families, those connected by shared blocks, mixed.

    In every beginning of the order a family has about its part of the library. Within a
    family models are ordered by a hash of their contents, so that no name decides
    which of them come first; models of the same contents, and those whose contents the
    profile does not hold, keep the library's order.

    Parameters
    ----------
    library
        The models to order.
    profile
        Holds their contents under the same names, as far as it knows any.

    Returns
    -------
    list of str
        Names of all models, each once.
    """
    position = {name: number for number, name in enumerate(library.models)}
    hashes = {
        name: _content_hash(model)
        for name, model in profile.models.items()
        if name in position
    }

    def by_content(name: str) -> tuple[str, int]:
        return hashes.get(name, ""), position[name]

    families = [sorted(family, key=by_content) for family in clusters(library)]
    families.sort(key=lambda family: (-len(family), by_content(family[0])))
    return [name for _, _, name in sorted(_spread(families))]


def _spread(families: list[list[str]]) -> Iterator[tuple[float, int, str]]:
    """Place the members of each family evenly between 0 and 1."""
    for number, family in enumerate(families):
        for rank, name in enumerate(family):
            yield (rank + 0.5) / len(family), number, name


def _content_hash(model: ModelProfile) -> str:
    """Hash the contents of a model's blocks; empty if none is known."""
    contents = [block.content for block in model.blocks if block.content is not None]
    return hashlib.sha256("\n".join(contents).encode()).hexdigest() if contents else ""
