"""``edgesim profile sharing`` on 20 checkpoints of 100 MB and 200 of 10 MB.

Against disk, hash and ``sha256sum`` over the same files in the same run. Run by itself
with ``python -m tests.benchmarks.checkpoints``. Files are written to a temporary folder
(4 GB) and deleted afterwards.
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

SMALL_CHECKPOINTS = 200
SMALL_LAYERS = 60
SMALL_SHAPE = (208, 200)

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


# A child's peak memory is at least that of who starts it, so a bare interpreter does.
_LAUNCHER = """
import os, sys, time
started = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
assert status == 0
print(time.perf_counter() - started, usage.ru_maxrss / 1000)
"""


def _run(*words: str) -> tuple[float, float]:
    """Run a command; return its wall time in s and its peak memory in MB."""
    launched = [sys.executable, "-I", "-c", _LAUNCHER, *words]
    done = subprocess.run(launched, check=True, capture_output=True, text=True)
    wall_s, memory_mb = map(float, done.stdout.split())
    return wall_s, memory_mb


def _command(paths: Sequence[Path]) -> tuple[float, float]:
    words = [sys.executable, "-m", "edgesim", "profile", "sharing"]
    return _run(*words, *map(str, paths))


def write_small(folder: Path) -> None:
    """Write 200 fine-tunes of 10 MB, each in both formats, of 120 tensors."""
    import torch
    from safetensors.torch import save_file

    for model in range(SMALL_CHECKPOINTS):
        base = torch.Generator().manual_seed(0)
        own = torch.Generator().manual_seed(model + 1)
        state = {}
        for layer in range(SMALL_LAYERS):
            drawn = base if layer < model % SMALL_LAYERS else own
            name = f"layers.{layer}"
            state[f"{name}.weight"] = torch.randn(SMALL_SHAPE, generator=drawn)
            state[f"{name}.bias"] = torch.randn(SMALL_SHAPE[0], generator=drawn)
        save_file(state, folder / f"small-{model:03}.safetensors")
        torch.save(state, folder / f"small-{model:03}.pt")


def against_sha256sum(paths: Sequence[Path], wanted: str, show: Show) -> None:
    """Time the command beside sha256sum over the same warm files, in turn."""
    times: list[tuple[float, float]] = []
    memory_mb = 0.0
    _run("sha256sum", *map(str, paths))
    for _ in range(RUNS):
        plain_s, _ = _run("sha256sum", *map(str, paths))
        command_s, memory_mb = _command(paths)
        times.append((plain_s, command_s))
    plain_s, command_s = (
        statistics.median(column) for column in zip(*times, strict=True)
    )
    ratio = statistics.median(command / plain for plain, command in times)
    title = f"{len(paths)} {paths[0].suffix} files, warm: sha256sum / edgesim"
    show(title, f"{plain_s:.2f} / {command_s:.2f} s", "")
    show("  edgesim / sha256sum", f"{ratio:.2f}", wanted)
    _, least_mb = _run(sys.executable, "-c", "pass")
    show("  memory beyond the interpreter", f"{memory_mb - least_mb:.0f} MB", "120 MB")


def _time_s(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def checkpoints(folder: Path, show: Show) -> None:
    """Time sharing beside reading alone and hashing alone, cold and warm.

    Parameters
    ----------
    folder
        Where 4 GB can be written; the files are deleted at the end.
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
        against_sha256sum(paths, "at most 0.7", show)
        child = [sys.executable, "-m", "tests.benchmarks.checkpoints", str(folder)]
        subprocess.run([*child, "small"], check=True)
        for ending in ("safetensors", "pt"):
            found = sorted(folder.glob(f"small-*.{ending}"))
            against_sha256sum(found, "at most 1", show)
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
        for path in (*folder.glob("*.safetensors"), *folder.glob("*.pt")):
            path.unlink()


def _print(name: str, found: str, wanted: str) -> None:
    print(f"{name:<58}{found:>26}{wanted:>20}", flush=True)


if __name__ == "__main__":
    if sys.argv[2:]:
        write_small(Path(sys.argv[1]))
    elif sys.argv[1:]:
        write_checkpoints(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            checkpoints(Path(name), _print)
