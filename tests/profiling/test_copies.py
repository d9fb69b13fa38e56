"""Copies move the right bytes, from memory and from files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from edgesim.profile.values import Tier
from edgesim.profiling import copies
from edgesim.profiling.copies import (
    FILL_PERIOD_BYTES,
    HostBlock,
    fill,
    loads,
    make_cold,
    write_through,
)
from edgesim.profiling.devices import open_device


def random_bytes(size: int) -> torch.Tensor:
    """Fill a buffer of a size."""
    buffer = torch.empty(size, dtype=torch.uint8)
    fill(buffer)
    return buffer


@pytest.mark.parametrize("tier", ["pageable", "disk"])
def test_a_block_arrives_as_it_was(tier: Tier, tmp_path: Path) -> None:
    """What lands in the device buffer is the content, loaded twice, cold or not."""
    device = open_device("cpu")
    content = random_bytes(100_003)
    host = device.host_buffer(100_003, tier)
    if tier == "disk":
        write_through(tmp_path / "a.bin", content)
        block = HostBlock(host, tmp_path / "a.bin")
    else:
        block = HostBlock(host.copy_(content))
    assert block.pinned is False
    for _ in range(2):
        target = device.device_buffer(100_003)
        make_cold([block])
        (seconds,) = device.timed(loads([block], [target]))
        assert torch.equal(target, content)
        assert seconds > 0
    assert [p.name for p in tmp_path.iterdir()] == (["a.bin"] if tier == "disk" else [])


def test_a_part_of_a_file(tmp_path: Path) -> None:
    """Bytes from an offset on, as many as the buffer takes."""
    content = random_bytes(1000)
    write_through(tmp_path / "a.bin", content)
    block = HostBlock(torch.zeros(300, dtype=torch.uint8), tmp_path / "a.bin", 200)
    target = torch.zeros(300, dtype=torch.uint8)
    block.load(target)
    assert torch.equal(target, content[200:500])


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    """Said with its name, not taken for a block."""
    write_through(tmp_path / "a.bin", random_bytes(10))
    block = HostBlock(torch.zeros(11, dtype=torch.uint8), tmp_path / "a.bin")
    with pytest.raises(OSError, match=r"a\.bin ends after 10 of 11"):
        block.load(torch.zeros(11, dtype=torch.uint8))


def test_random_bytes_are_the_same_each_time_and_repeat_late() -> None:
    """All values occur, and the pattern begins again after its period."""
    drawn = random_bytes(FILL_PERIOD_BYTES + 5000)
    assert torch.equal(drawn[:5000], drawn[FILL_PERIOD_BYTES:])
    assert torch.equal(drawn[:5000], random_bytes(FILL_PERIOD_BYTES)[:5000])
    assert len(drawn[:5000].unique()) == 256
    assert not torch.equal(drawn[:5000], drawn[5000:10_000])


def test_each_file_is_made_cold_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of one file share the call; memory blocks need none."""
    write_through(tmp_path / "a.bin", random_bytes(10))
    calls = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda *args: calls.append(args[1:]), raising=False
    )
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", 4, raising=False)
    buffer = torch.zeros(5, dtype=torch.uint8)
    path = tmp_path / "a.bin"
    make_cold([HostBlock(buffer, path), HostBlock(buffer, path, 5), HostBlock(buffer)])
    assert calls == [(0, 0, 4)]


def test_a_system_without_the_call_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then files stay warm, and that can be asked."""
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert not copies.can_be_cold()
    make_cold([HostBlock(torch.zeros(1, dtype=torch.uint8), tmp_path / "not there")])
