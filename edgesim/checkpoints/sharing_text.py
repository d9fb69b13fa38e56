"""The sharing of checkpoints as text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from edgesim.checkpoints.content import ContentBlock, ContentLibrary
from edgesim.checkpoints.to_profile import LoadRules
from edgesim.library.loading_order import (
    best_order,
    crossing_bytes,
    loaded_blocks,
    loaded_bytes,
)
from edgesim.library.sharing import bytes_distinct, bytes_total, crossing, sharing_graph
from edgesim.text import counted, percent, shortened, size_text, table

MATRIX_MODELS = 12
"""With more models than this, only the largest pairs are listed."""

MOST_PAIRS = 20
"""Maximum number of pairs listed then, and of models listed of an order."""

MOST_BLOCKS = 20
"""Maximum number of shared blocks listed."""


def report(library: ContentLibrary, loads: LoadRules | None = None) -> str:
    """Report what checkpoints share and the cost of loading them in sequence.

    Parameters
    ----------
    library
        From :func:`edgesim.checkpoints.content.share_by_content`.
    loads
        How they load, if seconds are to be shown.

    Returns
    -------
    str
        Several lines: models, shared blocks, pairs, whether sharing is laminar, and
        bytes (and seconds) of loading every model once.
    """
    parts = [_models(library), _blocks(library), _pairs(library), _laminar(library)]
    parts += [_remarks(library), _savings(library, loads)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _models(library: ContentLibrary) -> list[str]:
    rows = []
    for checkpoint in library.checkpoints:
        blocks = library.models[checkpoint.name]
        whole = sum(block.bytes for block in blocks)
        own = sum(block.bytes for block in blocks if len(block.models) == 1)
        cells = (len(checkpoint.tensors), whole, len(blocks), whole - own, own)
        rows.append((shortened(checkpoint.name), *(f"{cell:,}" for cell in cells)))
    head = ("model", "tensors", "bytes", "blocks", "shared bytes", "own bytes")
    view = library.view()
    total, distinct = bytes_total(view), bytes_distinct(view)
    return [
        *table(head, rows, 1),
        f"{counted(len(rows), 'model')} in {counted(len(library.blocks), 'block')}: "
        f"{total:,} bytes, {distinct:,} with each block kept once "
        f"(sharing saves {percent(1 - distinct / total)})",
    ]


def _blocks(library: ContentLibrary) -> list[str]:
    shared = [block for block in library.blocks if len(block.models) > 1]
    if not shared:
        return []
    largest = sorted(shared, key=lambda block: block.bytes, reverse=True)
    kept = {block.content for block in largest[:MOST_BLOCKS]}
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
        lines.append(f"… and {counted(left, 'smaller block')}, {rest:,} bytes together")
    return lines


def _holders(models: Sequence[str], most: int = 4) -> str:
    names = ", ".join(shortened(name, 20) for name in models[:most])
    return names if len(models) <= most else f"{names}, …"


def _pairs(library: ContentLibrary) -> list[str]:
    graph = sharing_graph(library.view())
    names = list(library.models)
    shared = {
        frozenset(pair): edge["shared_bytes"] for *pair, edge in graph.edges(data=True)
    }
    pairs = len(names) * (len(names) - 1) // 2
    if not shared:
        return [] if pairs == 0 else ["no two models share anything"]
    if len(names) <= MATRIX_MODELS:
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
    ranked = sorted(
        (pair for pair in combinations(names, 2) if frozenset(pair) in shared),
        key=lambda pair: shared[frozenset(pair)],
        reverse=True,
    )
    rows = [
        (shortened(one), shortened(other), f"{shared[frozenset((one, other))]:,}")
        for one, other in ranked[:MOST_PAIRS]
    ]
    lines = table(("model", "and model", "shared bytes"), rows, 2)
    left = len(ranked) - len(rows)
    lines.append(
        f"{counted(left, 'more pair')} not shown; {len(shared):,} of "
        f"{counted(pairs, 'pair')} share something"
    )
    return lines


def _laminar(library: ContentLibrary) -> list[str]:
    if library.sharing in ("one model", "nothing"):
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
    share = bytes_crossing / bytes_distinct(view)
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


def _savings(library: ContentLibrary, loads: LoadRules | None) -> list[str]:
    if len(library.models) < 2:
        return []
    view = library.view()
    given = list(library.models)
    best = best_order(view)
    total = bytes_total(view)
    alone = [view.models[name].blocks for name in given]
    found = "in the best order" if best.proven else "in the best order found"
    cases = (
        ("without sharing", total, _seconds(library, alone, loads, whole=True)),
        (
            "in the order given",
            loaded_bytes(view, given),
            _seconds(library, loaded_blocks(view, given), loads),
        ),
        (
            found,
            best.loaded_bytes,
            _seconds(library, loaded_blocks(view, best.models), loads),
        ),
    )
    rows = [
        (title, f"{size:,}", percent(1 - size / total), *seconds)
        for title, size, seconds in cases
    ]
    head = ["every model loaded once, in turn", "bytes", "saved"]
    if loads is not None:
        head.append(f"seconds ({loads.tier})")
    if best.proven:
        promise = "no order loads less, for every block is loaded once"
    else:
        promise = (
            f"nearest neighbour, a heuristic; no order loads less than "
            f"{bytes_distinct(view):,} bytes"
        )
    lines = [
        *table(head, rows, 1),
        f"best order ({promise}): {_listed(best.models)}",
        "only the blocks of the model before stay, and none are there at first",
    ]
    if loads is not None:
        lines.append(
            f"seconds are not measured: a copy takes {loads.tiers[loads.tier]}, from "
            f"{loads.source}; without sharing a model is one copy, else each block is"
        )
    return lines


def _seconds(
    library: ContentLibrary,
    copies: Iterable[Sequence[str]],
    loads: LoadRules | None,
    *,
    whole: bool = False,
) -> tuple[str, ...]:
    """Sum the time of copies, one per block, or one for all blocks of a model."""
    if loads is None:
        return ()
    rule = loads.tiers[loads.tier]
    blocks = library.view().blocks
    total_s = 0.0
    for model in copies:
        sizes = [blocks[block].bytes for block in model]
        total_s += sum(map(rule.load_s, [sum(sizes)] if whole else sizes))
    return (f"{total_s:.4g}",)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(shortened, names[:MOST_PAIRS]))
    left = len(names) - MOST_PAIRS
    return f"{shown} and {left} more" if left > 0 else shown
