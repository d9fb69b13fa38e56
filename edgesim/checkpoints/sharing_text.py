"""The sharing of checkpoints as text: the answer first, then families and tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgesim.checkpoints.answer import Family, MemoryFit, SharingAnswer, load_s
from edgesim.checkpoints.content import ContentBlock, ContentLibrary
from edgesim.checkpoints.to_profile import LoadRules
from edgesim.library.loading_order import crossing_bytes, loaded_blocks, loaded_bytes
from edgesim.library.sharing import crossing, sharing_graph
from edgesim.text import (
    ABSENT,
    TEXT_WIDTH,
    counted,
    duration_texts,
    memory_text,
    percent,
    shortened,
    size_text,
    table,
)

MATRIX_MODELS = 12
"""With more models than this, families are listed, not models, blocks and pairs."""

MOST_FAMILIES = 12
"""Maximum number of families listed."""

MOST_BLOCKS = 12
"""Maximum number of shared blocks listed."""

MOST_NAMES = 8
"""Maximum number of models named in a sentence."""


def report(
    library: ContentLibrary,
    answer: SharingAnswer,
    loads: LoadRules,
    *,
    everything: bool = False,
) -> str:
    """Report what checkpoints share, and what that is worth.

    Parameters
    ----------
    library
        From :func:`edgesim.checkpoints.content.share_by_content`.
    answer
        The answer about them.
    loads
        How they load, as in the answer.
    everything
        Whether all families, members, models and blocks are listed, however many.

    Returns
    -------
    str
        The answer in words; what it assumes; how many models fit into several sizes of
        memory; families; models, shared blocks and pairs, if they are few; whether
        sharing is laminar; and bytes and seconds of loading every model once.
    """
    few = everything or len(answer.models) <= MATRIX_MODELS
    parts = [
        [sentence(answer)],
        _assumed(answer, loads),
        _fits(answer.fit),
        _family_table(answer, everything),
        _same(answer, everything),
        _models(library, answer) if few else [],
        _blocks(library, everything) if few else [],
        _pairs(library, answer),
        _laminar(library, answer),
        _remarks(library),
        _savings(library, answer, loads, everything),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def sentence(answer: SharingAnswer) -> str:
    """Answer in words what sharing is worth, for the first size of memory."""
    count = len(answer.models)
    fits = answer.fit[0]
    memory = f"On {memory_text(fits.memory_bytes)} of GPU memory"
    loading = answer.loading
    whole, best = duration_texts(loading.whole_s, loading.best_order_s)
    if count == 1:
        it = "fits" if fits.without_sharing else "does not fit"
        return (
            f"1 model, {size_text(answer.bytes)}. {memory} it {it}. Loading: {whole}."
        )
    order = "in the best order" if loading.proven else "in the best order found"
    return (
        f"{counted(count, 'model')}, {size_text(answer.bytes)}; each block kept once "
        f"{size_text(answer.bytes_shared_once)} ({_less(answer)} less). {memory} "
        f"{counted(fits.without_sharing, 'fits', 'fit')}, with sharing "
        f"{_with_sharing(fits)}. Loading all, one after the other: {whole} whole, "
        f"{best} {order}."
    )


def _less(of: SharingAnswer | Family) -> str:
    """Format the share of bytes that sharing saves; no digits after ``33 %``."""
    share = 1 - of.bytes_shared_once / of.bytes
    rounded = round(100 * share)
    if share == 0 or 1 <= rounded < 100:
        return f"{rounded} %"
    return percent(share)


def _with_sharing(fits: MemoryFit) -> str:
    exact = fits.with_sharing == fits.with_sharing_at_most
    return f"{'' if exact else 'at least '}{fits.with_sharing:,}"


def _assumed(answer: SharingAnswer, loads: LoadRules) -> list[str]:
    words = (
        f"Bytes are of weights alone; in GPU memory, activations come on top. Seconds "
        f"are not measured: a copy takes {loads.tiers[loads.tier]}, from "
        f"{loads.source}."
    )
    inexact = [f for f in answer.fit if f.with_sharing < f.with_sharing_at_most]
    if inexact:
        most = ", ".join(f"{f.with_sharing_at_most:,}" for f in inexact)
        words += (
            f" Blocks cross, so the most models that fit is hard to find: a choice of "
            f"as many as stated was found, and more than {most} cannot fit."
        )
    return textwrap.wrap(words, TEXT_WIDTH)


def _fits(fits: Sequence[MemoryFit]) -> list[str]:
    if len(fits) < 2:
        return []
    rows = [
        (memory_text(f.memory_bytes), f"{f.without_sharing:,}", _with_sharing(f))
        for f in fits
    ]
    return table(("GPU memory", "models that fit", "with sharing"), rows, 1)


def _family_table(answer: SharingAnswer, everything: bool) -> list[str]:
    if len(answer.models) == 1:
        return []
    if not answer.families:
        return ["no two models share anything"]
    families = answer.families
    shown = families if everything else families[:MOST_FAMILIES]
    rows = [
        (
            f"[{number}] {named(family.models, 3 if len(family.models) == 3 else 2)}",
            f"{len(family.models):,}",
            size_text(family.bytes),
            size_text(family.bytes_shared_once),
            _less(family),
            _size(family.bytes_in_all),
            _size(family.bytes_in_several),
            _size(family.bytes_own),
        )
        for number, family in enumerate(shown, start=1)
    ]
    head = ("family", "models", "bytes", "once", "less", "in all", "in some", "in one")
    lines = [
        *table(head, rows, 1),
        "once: with each block kept once, those in all members, in some, and in one",
    ]
    if len(families) > len(shown):
        rest = families[len(shown) :]
        members = sum(len(family.models) for family in rest)
        lines.append(
            f"and {counted(len(rest), 'more family', 'more families')} of "
            f"{counted(members, 'model')}, {size_text(sum(f.bytes for f in rest))}"
        )
    if everything:
        lines += _members(families)
    if answer.alone:
        size = sum(answer.models[name].bytes for name in answer.alone)
        most = len(answer.alone) if everything else MOST_NAMES
        lines += textwrap.wrap(
            f"{counted(len(answer.alone), 'model')} "
            f"{'shares' if len(answer.alone) == 1 else 'share'} nothing with any other "
            f"({size_text(size)}): {named(answer.alone, most)}",
            TEXT_WIDTH,
        )
    return lines


def _members(families: Sequence[Family]) -> list[str]:
    return [
        line
        for number, family in enumerate(families, start=1)
        for line in textwrap.wrap(
            f"[{number}] {named(family.models, len(family.models))}",
            TEXT_WIDTH,
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
    ]


def named(names: Sequence[str], most: int) -> str:
    """Name models, up to a number of them, and count the others."""
    shown = ", ".join(shortened(name, 28) for name in names[:most])
    left = len(names) - most
    return f"{shown} and {left:,} more" if left > 0 else shown


def _size(size: int) -> str:
    return size_text(size) if size else ABSENT


def _same(answer: SharingAnswer, everything: bool) -> list[str]:
    groups = answer.identical
    shown = groups if everything else groups[:MOST_FAMILIES]
    lines = [
        f"the same, tensor for tensor: "
        f"{named(names, len(names) if everything else MOST_NAMES)}"
        for names in shown
    ]
    if len(groups) > len(shown):
        lines.append(f"and {counted(len(groups) - len(shown), 'more such group')}")
    return lines


def _models(library: ContentLibrary, answer: SharingAnswer) -> list[str]:
    rows = []
    for name, model in answer.models.items():
        cells = (
            model.tensors,
            model.bytes,
            len(library.models[name]),
            model.bytes_shared,
            model.bytes - model.bytes_shared,
        )
        rows.append((shortened(name), *(f"{cell:,}" for cell in cells)))
    head = ("model", "tensors", "bytes", "blocks", "shared bytes", "own bytes")
    return [
        *table(head, rows, 1),
        f"{counted(len(rows), 'model')} in {counted(len(library.blocks), 'block')}: "
        f"{answer.bytes:,} bytes, {answer.bytes_shared_once:,} with each block kept "
        f"once",
    ]


def _blocks(library: ContentLibrary, everything: bool) -> list[str]:
    shared = [block for block in library.blocks if len(block.models) > 1]
    if not shared:
        return []
    largest = sorted(shared, key=lambda block: block.bytes, reverse=True)
    kept = {block.content for block in largest[: None if everything else MOST_BLOCKS]}
    shown = [block for block in shared if block.content in kept]
    rows = [
        (
            block.name,
            _holders(block.models),
            f"{len(block.models)}",
            f"{len(block.tensors):,}",
            f"{block.bytes:,}",
        )
        for block in shown
    ]
    lines = table(("shared block", "models", "how many", "tensors", "bytes"), rows, 2)
    left = len(shared) - len(shown)
    if left:
        rest = sum(b.bytes for b in shared) - sum(b.bytes for b in shown)
        lines.append(f"and {counted(left, 'smaller block')}, {rest:,} bytes together")
    return lines


def _holders(models: Sequence[str], most: int = 4) -> str:
    names = ", ".join(shortened(name, 20) for name in models[:most])
    return names if len(models) <= most else f"{names}, …"


def _pairs(library: ContentLibrary, answer: SharingAnswer) -> list[str]:
    """Format what every two models share, where the blocks do not say it by far."""
    names = list(library.models)
    if not 2 < len(names) <= MATRIX_MODELS or not answer.families:
        return []
    graph = sharing_graph(library.view())
    shared = {
        frozenset(pair): edge["shared_bytes"] for *pair, edge in graph.edges(data=True)
    }
    head = ("bytes shared", *(f"[{place + 1}]" for place in range(len(names))))
    rows = []
    for place, name in enumerate(names):
        cells = [
            size_text(shared[frozenset((name, other))])
            if frozenset((name, other)) in shared
            else "·"
            for other in names
        ]
        cells[place] = "-"
        rows.append((f"[{place + 1}] {shortened(name, 28)}", *cells))
    return table(head, rows, 1)


def _laminar(library: ContentLibrary, answer: SharingAnswer) -> list[str]:
    """Say whether sharing is laminar, if there is any."""
    if answer.laminar is None:
        return []
    view = library.view()
    found = crossing(view)
    if found is None:
        return [
            "sharing is laminar: any two shared blocks have nested or disjoint "
            "holders, so solver dp applies"
        ]
    first, second = view.blocks[found.first_block], view.blocks[found.second_block]
    bytes_crossing = crossing_bytes(view)
    share = bytes_crossing / answer.bytes_shared_once
    return [
        "sharing is not laminar; two blocks that cross:",
        _witness(first, found.first_only, found.both, found.second_only),
        _witness(second, found.second_only, found.both, found.first_only),
        f"{bytes_crossing:,} bytes ({percent(share)} of all blocks) lie in blocks that "
        f"cross; solver dp does not apply, greedy, local-search and ilp do",
    ]


def _witness(block: ContentBlock, alone: str, both: str, without: str) -> str:
    return (
        f"  {block.name} ({block.bytes:,} bytes: {shortened(block.examples, 120)}) "
        f"is in {shortened(alone)} and {shortened(both)}, not in {shortened(without)}"
    )


def _remarks(library: ContentLibrary) -> list[str]:
    lines = []
    renamed = library.renamed
    if renamed.example is not None:
        (model, name), (other, there) = renamed.example
        effect = (
            "shared all the same, for names are ignored"
            if library.names == "ignore"
            else "kept apart, for names must match"
        )
        lines.append(
            f"{counted(renamed.tensors, 'tensor')} ({renamed.bytes:,} bytes) of "
            f"several models have no name in common, as {shortened(name)} of "
            f"{shortened(model)} and {shortened(there)} of {shortened(other)}: {effect}"
        )
    if library.repeated_bytes:
        lines.append(
            f"{library.repeated_bytes:,} bytes are of tensors that a model holds "
            f"twice (tied or equal weights): each counts once"
        )
    empty = sum(checkpoint.zero_size for checkpoint in library.checkpoints)
    if empty:
        lines.append(f"{counted(empty, 'tensor')} without elements left out")
    return lines


def _savings(
    library: ContentLibrary, answer: SharingAnswer, loads: LoadRules, everything: bool
) -> list[str]:
    if not answer.families:
        return []
    view = library.view()
    given = list(library.models)
    loading = answer.loading
    found = "in the best order" if loading.proven else "in the best order found"
    in_turn_s = load_s(library, loaded_blocks(view, given), loads)
    cases = (
        ("without sharing", answer.bytes, loading.whole_s),
        ("in the order given", loaded_bytes(view, given), in_turn_s),
        (found, loading.best_order_bytes, loading.best_order_s),
    )
    rows = [
        (title, f"{size:,}", percent(1 - size / answer.bytes), f"{seconds:.4g}")
        for title, size, seconds in cases
    ]
    head = ("every model loaded once", "bytes", "saved", f"seconds ({loads.tier})")
    if loading.proven:
        promise = "no order loads less, for every block is loaded once"
    else:
        promise = (
            f"nearest neighbour, a heuristic; no order loads less than "
            f"{answer.bytes_shared_once:,} bytes"
        )
    order = loading.best_order
    return [
        *table(head, rows, 1),
        *textwrap.wrap(
            f"best order ({promise}): "
            f"{named(order, len(order) if everything else MATRIX_MODELS)}",
            TEXT_WIDTH,
            break_on_hyphens=False,
        ),
        "only the blocks of the model before stay, and none are there at first;",
        "without sharing a model is one copy, else each block is",
    ]
