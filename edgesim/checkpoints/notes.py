"""What is to be said beside the numbers: how files were read, what stays apart, why."""

from __future__ import annotations

from collections.abc import Sequence

from edgesim.checkpoints.content import ContentLibrary
from edgesim.checkpoints.related import Reason, reasons
from edgesim.text import counted, plain, shortened

SHARED_TOO = "they can be shared too"
"""How a note says that its reader can choose."""

_SHOWN = 4


def notes(library: ContentLibrary) -> list[str]:
    """List notes, a line each; those of several models are said once.

    Parameters
    ----------
    library
        From :func:`edgesim.checkpoints.content.share_by_content`.
    """
    of_models: dict[str, list[str]] = {}
    for checkpoint in library.checkpoints:
        for note in checkpoint.notes:
            of_models.setdefault(note, []).append(checkpoint.name)
    lines = [f"{_names(models)}: {note}" for note, models in of_models.items()]
    kept = library.kept
    if kept.tensors:
        lines.append(
            f"{counted(kept.tensors, 'equal tensor')} that are no shared weights "
            f"(counters, masks, a few bytes; as {shortened(kept.example)}) stay with "
            f"each model, which costs {kept.bytes:,} bytes; {SHARED_TOO}"
        )
    lines += [f"identical: {_names(group, 8)}" for group in library.identical]
    # Names come from files, which could hold anything.
    return [plain(line) for line in (*lines, *_reasons(reasons(library)))]


def _reasons(found: Sequence[Reason]) -> list[str]:
    """Say one reason of a kind, and of how many more models it holds."""
    by_kind: dict[str, list[Reason]] = {}
    for reason in found:
        by_kind.setdefault(reason.kind, []).append(reason)
    lines = []
    for same in by_kind.values():
        more = len(same) - 1
        others = _names([reason.other for reason in same[1:]])
        lines.append(same[0].text + (f"; so it is with {others}" if more else ""))
    return lines


def _names(models: Sequence[str], most: int = _SHOWN) -> str:
    shown = ", ".join(map(shortened, models[:most]))
    left = len(models) - most
    return f"{shown} and {left} more" if left > 0 else shown
