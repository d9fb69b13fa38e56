"""The table of layouts: each read right, or refused with the way out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edgesim.library.sharing import bytes_distinct, bytes_total, is_laminar
from tests.checkpoints.layouts import (  # noqa: F401 - each fills the table
    adapters,
    copies,
    counters,
    everyday,
    foreign,
    parts,
    related,
    unreadable,
)
from tests.checkpoints.layouts.made import LAYOUTS, Layout, Made, Read, Refused, Source
from tests.command import edgesim

READ = [name for name, one in LAYOUTS.items() if isinstance(one.outcome, Read)]
REFUSED = [name for name, one in LAYOUTS.items() if isinstance(one.outcome, Refused)]


def made(name: str, folder: Path) -> tuple[Layout, Made]:
    """Make the files of a layout."""
    one = LAYOUTS[name]
    return one, one.build(folder)


def shared(made: Made) -> Any:
    """Read the checkpoints of a layout and find what they share, by the library."""
    from edgesim.checkpoints.content import share_by_content
    from edgesim.checkpoints.files import Hints, parse_checkpoint, read_checkpoint

    words = list(map(str, made.words))
    options: dict[str, str] = {}
    for one, value in pairwise(made.words):
        if str(one).startswith("--"):
            options[str(one)] = str(value)
            words.remove(str(one))
            words.remove(str(value))
    base = options.get("--base")
    hints = Hints(options.get("--key"), None if base is None else Path(base))
    least = options.get("--min-bytes")
    read = [read_checkpoint(parse_checkpoint(word), hints=hints) for word in words]
    return share_by_content(read, min_bytes=None if least is None else int(least))


@pytest.mark.parametrize("name", READ)
def test_read(name: str, tmp_path: Path) -> None:
    """Models, their bytes and the bytes of all kept once are as stated beforehand."""
    layout, files = made(name, tmp_path)
    outcome = layout.outcome
    assert isinstance(outcome, Read)
    library = shared(files)
    found = {
        model: sum(block.bytes for block in blocks)
        for model, blocks in library.models.items()
    }
    assert found == outcome.models
    view = library.view()
    assert bytes_total(view) == sum(outcome.models.values())
    assert bytes_distinct(view) == outcome.once
    if outcome.laminar is not None:
        assert is_laminar(view) is outcome.laminar
    finished = edgesim("profile", "sharing", *files.words)
    assert finished.code == 0, finished.err
    printed = finished.out + finished.err
    for words in outcome.says:
        assert words in printed, f"{words!r} is not in {printed}"
    for words in outcome.silent:
        assert words not in printed, f"{words!r} is in {printed}"


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    """One line says what is wrong and what to do."""
    layout, files = made(name, tmp_path)
    assert isinstance(layout.outcome, Refused)
    finished = edgesim("profile", "sharing", *files.words)
    assert finished.code == 2, finished
    assert finished.out == ""
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1
    for words in layout.outcome.says:
        assert words in finished.err, f"{words!r} is not in {finished.err}"
    assert not (tmp_path / "mark").exists()


def tensors_of(source: Source) -> Iterator[tuple[str, torch.Tensor]]:
    """Read a file with torch or safetensors and no code of edgesim."""
    content: Any
    with source.path.open("rb") as file:
        is_zip_or_pickle = file.read(2) in (b"PK", b"\x80\x02")
    if is_zip_or_pickle:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with source.path.open("rb") as file:  # whatever its ending says
                    content = torch.load(file, weights_only=True)
            except Exception:
                # Made by this test, with objects that are only known to be harmless.
                content = torch.load(source.path, weights_only=False)
    else:
        content = load_file(source.path)
    for key in source.key:
        content = content[key]
    for name, tensor in flat(content, ""):
        if name.startswith(source.prefix):
            yield name, tensor


def flat(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """List the tensors in dicts and tuples of them."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (tuple, list)):
        for place, inner in enumerate(value):
            yield from flat(inner, f"{name}.{place}")


def content_of(tensor: torch.Tensor) -> tuple[object, int]:
    """Return what identifies a tensor, and its bytes, counted plainly."""
    tensor = tensor.detach()
    extra: tuple[object, ...] = ()
    size = 0
    kind = str(tensor.dtype)
    if tensor.is_quantized:
        if tensor.qscheme() == torch.per_tensor_affine:
            extra, size = (tensor.q_scale(), tensor.q_zero_point()), 16
        else:
            scales, zeros = (
                tensor.q_per_channel_scales(),
                tensor.q_per_channel_zero_points(),
            )
            extra = tuple(scales.tolist()), tuple(zeros.tolist())
            size = scales.nbytes + zeros.nbytes
        tensor = tensor.int_repr()
    raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return (kind, tuple(tensor.shape), raw, extra), size + len(raw)


@pytest.mark.parametrize("name", READ)
def test_count_by_other_code(name: str, tmp_path: Path) -> None:
    """A count tensor by tensor, by torch and safetensors, gives the same bytes."""
    _, files = made(name, tmp_path)
    held = {
        model: dict(
            content_of(tensor)
            for source in sources
            for _, tensor in tensors_of(source)
            if tensor.numel()
        )
        for model, sources in files.sources.items()
    }
    library = shared(files)
    assert {
        model: sum(block.bytes for block in blocks)
        for model, blocks in library.models.items()
    } == {model: sum(sizes.values()) for model, sizes in held.items()}
    once = {content: size for sizes in held.values() for content, size in sizes.items()}
    # What stays with each model, though equal, is said with its cost.
    cost = library.kept.bytes
    assert bytes_distinct(library.view()) == sum(once.values()) + cost
    if cost:
        finished = edgesim("profile", "sharing", *files.words)
        assert f"{cost:,} bytes" in finished.out + finished.err


KINDS = {
    "parts": "Parts in sub-folders",
    "copies": "Several copies in one file",
    "counters": "Counters and small tensors",
    "adapters": "Adapters",
    "related": "Identical and related models",
    "everyday": "Files of every day",
    "unreadable": "What is refused",
    "foreign": "Ten more, drawn up by somebody who had not seen these",
}
"""Headings of the table."""

PAGE = Path(__file__).parents[2] / "docs" / "checkpoint-files.md"


def table() -> str:
    """Write the table of layouts and outcomes."""
    lines = []
    for kind, heading in KINDS.items():
        lines += [f"### {heading}", "", "| layout | outcome |", "|---|---|"]
        lines += [
            f"| {one.what} | {one.outcome} |"
            for one in LAYOUTS.values()
            if one.kind == kind
        ]
        lines.append("")
    return "\n".join(lines)


def test_table_is_on_the_page() -> None:
    """The page shows every layout with its outcome, as they are tested here."""
    assert len(LAYOUTS) >= 60
    assert {one.kind for one in LAYOUTS.values()} == set(KINDS)
    assert PAGE.read_text(encoding="utf-8").endswith(table())
