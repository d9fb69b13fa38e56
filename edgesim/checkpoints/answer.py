"""What sharing is worth: the answer about checkpoints, as a document of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from edgesim.checkpoints.content import ContentBlock, ContentLibrary
from edgesim.checkpoints.to_profile import LoadRules
from edgesim.library.loading_order import best_order, loaded_blocks
from edgesim.library.memory_fit import fit, least_bytes
from edgesim.library.sharing import bytes_distinct, bytes_total, clusters, is_laminar
from solvers.problem import Bytes, Count, Name, NonNegative, Value

SHARING = "edgesim.sharing/1"

USUAL_MEMORY_BYTES = (8 * 10**9, 16 * 10**9, 24 * 10**9, 80 * 10**9)
"""Memory of usual GPUs, for when no size is given."""

Names = Annotated[tuple[Name, ...], Field(strict=False)]


class ModelSharing(Value):
    """A model: its tensors, bytes, and the bytes that another model holds too."""

    tensors: Count
    bytes: Count
    bytes_shared: Count


class Family(Value):
    """Two models or more that are connected by what they share.

    ``bytes`` are those of whole copies, ``bytes_shared_once`` those with each block
    kept once, of which ``bytes_in_all`` are held by every member, ``bytes_in_several``
    by some, and ``bytes_own`` by one alone.
    """

    models: Names
    bytes: Count
    bytes_shared_once: Count
    bytes_in_all: Count
    bytes_in_several: Count
    bytes_own: Count


class MemoryFit(Value):
    """How many models fit into GPU memory at once, weights only.

    ``without_sharing`` and ``with_sharing`` models fit, and no more than
    ``with_sharing_at_most``: equal numbers are the most that fit.
    """

    memory_bytes: Bytes
    without_sharing: Count
    with_sharing: Count
    with_sharing_at_most: Count


class Loading(Value):
    """Loading every model once, in turn; only the blocks of the one before stay.

    ``assumed`` says where the load times come from; they are not measured.
    """

    assumed: str
    whole_s: NonNegative
    best_order_s: NonNegative
    best_order_bytes: Count
    best_order: Names
    proven: bool


class SharingAnswer(Value):
    """What checkpoints share, and what that is worth.

    ``laminar`` is null if no two models share anything. ``families`` come with the
    largest first; a model in none of them shares nothing. ``identical`` lists models
    that are the same, tensor for tensor.
    """

    models: Annotated[Mapping[Name, ModelSharing], Field(min_length=1)]
    bytes: Count
    bytes_shared_once: Count
    laminar: bool | None
    families: Annotated[tuple[Family, ...], Field(strict=False)]
    identical: Annotated[tuple[Names, ...], Field(strict=False)]
    fit: Annotated[tuple[MemoryFit, ...], Field(strict=False)]
    loading: Loading

    def document(self) -> dict[str, Any]:
        """Return the content of a file of the format ``edgesim.sharing/1``."""
        return {"schema": SHARING, **self.model_dump(mode="json")}

    @property
    def alone(self) -> tuple[str, ...]:
        """Models that share nothing with any other."""
        related = {name for family in self.families for name in family.models}
        return tuple(name for name in self.models if name not in related)


def answer(
    library: ContentLibrary, loads: LoadRules, memory_bytes: Sequence[int] = ()
) -> SharingAnswer:
    """Answer what sharing is worth for checkpoints.

    Parameters
    ----------
    library
        From :func:`edgesim.checkpoints.content.share_by_content`.
    loads
        How they load.
    memory_bytes
        Sizes of GPU memory. If none is given, ``USUAL_MEMORY_BYTES`` up to the first
        that holds a whole copy of every model.
    """
    view = library.view()
    total = bytes_total(view)
    families = _families(library)
    least = least_bytes(view)
    sizes = memory_bytes or _usual(total)
    return SharingAnswer(
        models={
            one.name: ModelSharing(
                tensors=len(one.tensors),
                bytes=_bytes(library.models[one.name]),
                bytes_shared=_bytes(
                    b for b in library.models[one.name] if len(b.models) > 1
                ),
            )
            for one in library.checkpoints
        },
        bytes=total,
        bytes_shared_once=bytes_distinct(view),
        laminar=is_laminar(view) if families else None,
        families=families,
        identical=_identical(library),
        fit=tuple(
            MemoryFit(
                memory_bytes=size,
                without_sharing=found.whole,
                with_sharing=found.shared,
                with_sharing_at_most=found.shared_at_most,
            )
            for size in sizes
            for found in [fit(least, size)]
        ),
        loading=_loading(library, loads),
    )


def load_s(
    library: ContentLibrary,
    copies: Iterable[Sequence[str]],
    loads: LoadRules,
    *,
    whole: bool = False,
) -> float:
    """Sum the time of copies, one per block, or one for all blocks of a model.

    Parameters
    ----------
    library
        Whose blocks are loaded.
    copies
        Contents of the blocks that each model loads.
    loads
        How long copies take, of which the first tier counts.
    whole
        Whether the blocks of a model are one copy.
    """
    rule = loads.tiers[loads.tier]
    blocks = library.view().blocks
    total_s = 0.0
    for model in copies:
        sizes = [blocks[block].bytes for block in model]
        total_s += sum(map(rule.load_s, [sum(sizes)] if whole else sizes))
    return total_s


def _bytes(blocks: Iterable[ContentBlock]) -> int:
    return sum(block.bytes for block in blocks)


def _families(library: ContentLibrary) -> tuple[Family, ...]:
    place = {name: number for number, name in enumerate(library.models)}
    found = []
    for cluster in clusters(library.view()):
        if len(cluster) == 1:
            continue
        members = tuple(sorted(cluster, key=place.__getitem__))
        held = {b.content: b for name in members for b in library.models[name]}
        blocks = held.values()
        in_all = _bytes(b for b in blocks if len(b.models) == len(members))
        own = _bytes(b for b in blocks if len(b.models) == 1)
        once = _bytes(blocks)
        found.append(
            Family(
                models=members,
                bytes=sum(_bytes(library.models[name]) for name in members),
                bytes_shared_once=once,
                bytes_in_all=in_all,
                bytes_in_several=once - in_all - own,
                bytes_own=own,
            )
        )
    return tuple(sorted(found, key=lambda f: (-f.bytes, place[f.models[0]])))


def _identical(library: ContentLibrary) -> tuple[tuple[str, ...], ...]:
    alike: dict[frozenset[str], list[str]] = {}
    for name, blocks in library.models.items():
        alike.setdefault(frozenset(b.content for b in blocks), []).append(name)
    return tuple(tuple(names) for names in alike.values() if len(names) > 1)


def _usual(total: int) -> list[int]:
    sizes = list(USUAL_MEMORY_BYTES)
    enough = next((n for n, size in enumerate(sizes) if total <= size), len(sizes))
    return sizes[: enough + 1]


def _loading(library: ContentLibrary, loads: LoadRules) -> Loading:
    view = library.view()
    best = best_order(view)
    whole = [view.models[name].blocks for name in view.models]
    return Loading(
        assumed=f"{loads.tier}: {loads.tiers[loads.tier]}, from {loads.source}",
        whole_s=load_s(library, whole, loads, whole=True),
        best_order_s=load_s(library, loaded_blocks(view, best.models), loads),
        best_order_bytes=best.loaded_bytes,
        best_order=best.models,
        proven=best.proven,
    )
