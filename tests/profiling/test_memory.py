"""What the host's memory can still give."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.profiling import memory
from edgesim.profiling.devices import open_device


def test_the_least_of_system_and_group_is_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Available 4 MB; a group of 3 MB that uses 2.5, of which files may give back 1."""
    info = tmp_path / "meminfo"
    info.write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    monkeypatch.setattr(memory, "_MEMORY_INFO", info)
    group = tmp_path / "group"
    monkeypatch.setattr(memory, "_GROUP", group)
    assert memory.free_host_bytes() == 4000 * 1024
    group.mkdir()
    (group / "memory.max").write_text("3000000\n")
    (group / "memory.current").write_text("2500000\n")
    (group / "memory.stat").write_text("anon 5\ninactive_file 1000000\n")
    assert memory.free_host_bytes() == 1_500_000
    (group / "memory.max").write_text("max\n")
    assert memory.free_host_bytes() == 4000 * 1024
    info.unlink()
    assert memory.free_host_bytes() is None


def test_caches_of_files_are_free_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Free pages are few on a busy system; what counts is what is available."""
    info = tmp_path / "meminfo"
    info.write_text("MemFree: 1 kB\nMemAvailable: 4000 kB\n")
    monkeypatch.setattr(memory, "_MEMORY_INFO", info)
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert open_device("cpu").free_bytes() == 4000 * 1024


def test_page_locked_buffers_are_powers_of_two() -> None:
    """A power of two stays, one byte more doubles it."""
    assert [memory.locked_bytes(size) for size in (1, 4096, 4097)] == [1, 4096, 8192]
