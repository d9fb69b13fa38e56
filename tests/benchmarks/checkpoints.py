"""``edgesim profile sharing`` on 20 checkpoints of 100 MB, against disk and hash.

Run by itself with ``python -m tests.benchmarks.checkpoints``. Files are written to a
temporary folder (2 GB) and deleted afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import truediv
from pathlib import Path

import numpy as np

from edgesim.checkpoints.content import share_by_content
from edgesim.checkpoints.digest import CHUNK_BYTES, THREADS
from edgesim.checkpoints.files import CheckpointFiles, read_checkpoint

CHECKPOINTS = 20
TENSORS = 20
TENSOR_BYTES = 5_000_000
RUNS = 6

Show = Callable[[str, str, str], None]


def write_checkpoints(folder: Path) -> list[Path]:
    """Write fine-tunes of one network: number n keeps the base's first n tensors.

    Piece by piece, for a child's peak memory is at least that of who starts it.
    """
    rng = np.random.default_rng(0)
    base = [rng.bytes(TENSOR_BYTES) for _ in range(TENSORS)]
    header = {
        f"layers.{number}": {
            "dtype": "F32",
            "shape": [TENSOR_BYTES // 4],
            "data_offsets": [number * TENSOR_BYTES, (number + 1) * TENSOR_BYTES],
        }
        for number in range(TENSORS)
    }
    text = json.dumps(header).encode()
    paths = []
    for model in range(CHECKPOINTS):
        paths.append(folder / f"model-{model:02}.safetensors")
        with paths[-1].open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for number in range(TENSORS):
                kept = number < model
                file.write(base[number] if kept else rng.bytes(TENSOR_BYTES))
            file.flush()
            os.fsync(file.fileno())
    return paths


def _forget(paths: Sequence[Path]) -> None:
    """Ask the system to drop its copies of the files (written out by now)."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _read_alone(paths: Sequence[Path]) -> None:
    """Read files to the end and do nothing with them, several at once."""

    def read(path: Path) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, paths))


def _hash_alone(count: int) -> None:
    """Hash as many bytes from memory, in pieces as large and threads as many."""
    piece = bytes(CHUNK_BYTES)

    def digest(size: int) -> None:
        state = hashlib.sha256()
        for _ in range(size // CHUNK_BYTES):
            state.update(piece)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(digest, [count // (4 * THREADS)] * 4 * THREADS))


def _share(paths: Sequence[Path]) -> None:
    found = [read_checkpoint(CheckpointFiles(path.stem, (path,))) for path in paths]
    assert len(share_by_content(found).blocks) == 2 * CHECKPOINTS - 2


def _command(paths: Sequence[Path]) -> tuple[float, float]:
    """Run the command; return its wall time in s and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgesim", "profile", "sharing", *map(str, paths)],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - started, usage.ru_maxrss / 1000


def _time_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def checkpoints(folder: Path, show: Show) -> None:
    """Time sharing beside reading alone and hashing alone, cold and warm.

    Parameters
    ----------
    folder
        Where 2 GB can be written; the files are deleted at the end.
    show
        Prints a line: what, found, wanted.
    """
    child = [sys.executable, "-m", "tests.benchmarks.checkpoints", str(folder)]
    subprocess.run(child, check=True)
    paths = sorted(folder.glob("model-*.safetensors"))
    total = CHECKPOINTS * TENSORS * TENSOR_BYTES
    try:
        for cache in ("warm", "cold"):
            forget = (lambda: _forget(paths)) if cache == "cold" else (lambda: None)
            times: dict[str, list[float]] = {"read": [], "hash": [], "share": []}
            disk = {"read": _read_alone, "share": _share}
            for run in range(RUNS):
                # In turn first: what was read last is quicker on some disks.
                for key in sorted(disk, reverse=run % 2 == 1):
                    forget()
                    times[key].append(_time_s(partial(disk[key], paths)))
                times["hash"].append(_time_s(lambda: _hash_alone(total)))
            read, hashed, shared = (statistics.median(times[key]) for key in times)
            ratios = [
                statistics.median(map(truediv, times["share"], times[other]))
                for other in ("read", "hash")
            ]
            show(
                f"{cache}: {CHECKPOINTS} checkpoints of 100 MB, read / hash / share",
                f"{read:.2f} / {hashed:.2f} / {shared:.2f} s",
                "",
            )
            show(
                f"{cache}: share / read alone, share / hash alone",
                f"{ratios[0]:.2f}, {ratios[1]:.2f}",
                "one near 1",
            )
        small = folder / "small.safetensors"
        text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
        small.write_bytes(len(text).to_bytes(8, "little") + text + b"0")
        _, least_mb = _command([small])
        for count in (1, CHECKPOINTS):
            wall_s, memory_mb = _command(paths[:count])
            show(
                f"edgesim profile sharing, {count} x 100 MB, process included",
                f"{wall_s:.2f} s, {memory_mb:.0f} MB",
                f"1 byte: {least_mb:.0f} MB",
            )
    finally:
        for path in folder.glob("*.safetensors"):
            path.unlink()


def _print(name: str, found: str, wanted: str) -> None:
    print(f"{name:<58}{found:>26}{wanted:>20}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        write_checkpoints(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            checkpoints(Path(name), _print)
