"""Pickles interpreted without being run: as pickle reads plain values, and inert."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgesim.checkpoints.files import CheckpointFiles, read_checkpoint
from edgesim.checkpoints.inert_pickle import Global, PickleError, Stub, interpret
from edgesim.checkpoints.stored_tensor import HarmfulCallError, made_by, storage_of
from edgesim.errors import InputError
from tests.command import edgesim

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def read(data: bytes) -> Any:
    """Interpret a pickle as those of PyTorch files are."""
    return interpret(data, made_by, storage_of)[0]


def holds_bytes(value: Any) -> bool:
    """Whether a plain value is bytes, or has some in it."""
    if isinstance(value, dict):
        return any(map(holds_bytes, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_bytes, value))
    return isinstance(value, bytes)


@given(value=PLAIN, protocol=st.integers(0, 5))
def test_plain_values(value: Any, protocol: int) -> None:
    """Plain values are those that pickle reads, with every protocol."""
    if protocol < 3 and holds_bytes(value):
        return  # bytes were a call of a codec then, which stays a stub
    data = pickle.dumps(value, protocol=protocol)
    assert read(data) == value
    assert interpret(b"xx" + data, made_by, storage_of, 2) == (value, len(data) + 2)


@pytest.mark.parametrize("protocol", range(6))
def test_objects_are_stubs(protocol: int) -> None:
    """Ordered dicts are dicts, other objects are stubs with what they hold."""
    value = {
        "o": OrderedDict(a=1),
        "p": Path("/x"),
        "e": InputError("file", "wrong"),
        "s": {3},
        "shared": [1],
    }
    value["again"] = value["shared"]
    found = read(pickle.dumps(value, protocol=protocol))
    assert found["o"] == {"a": 1}
    assert isinstance(found["p"], Stub)
    assert "Path" in found["p"].what
    assert isinstance(found["e"], Stub)
    assert isinstance(found["s"], Stub)
    assert found["again"] is found["shared"]


def test_nothing_is_imported() -> None:
    """Names stay names, of modules that exist and of those that do not."""
    assert read(b"cno_such_module\nThing\n.") == Global("no_such_module", "Thing")
    made = read(b"cno_such_module\nThing\n(I3\ntR.")
    assert (made.what, made.args) == ("no_such_module.Thing", (3,))
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "subprocess.Popen", "__builtin__.exec"]
)
def test_harm_is_named(name: str) -> None:
    """A call that no checkpoint needs is refused by name; naming it alone is not."""
    module, _, function = name.rpartition(".")
    begin = f"c{module}\n{function}\n".encode()
    with pytest.raises(HarmfulCallError, match=name):
        read(begin + b"(Vecho\ntR.")
    assert read(begin + b".") == Global(module, function)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a value or are called broken."""
    with contextlib.suppress(PickleError):
        read(data)


@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
def test_changed_bytes(place: int, byte: int) -> None:
    """A file with a byte of its pickle changed is read or refused, no more."""
    file = io.BytesIO()
    torch.save({"w": torch.ones(3, 4), "n": torch.tensor(1), "k": [slice(3)]}, file)
    with zipfile.ZipFile(file) as archive:
        name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        data = bytearray(archive.read(name))
    data[place % len(data)] = byte
    with contextlib.suppress(PickleError):
        read(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b")" + b"\x85" * 100_000 + b".",
        b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
        b"]" + b"(" + b"N" * 10 + b"e.",
        b"N" + b"r" + struct.pack("<I", 2**32 - 1) + b".",
        b"\x8e" + struct.pack("<Q", 2**62) + b".",
        b"\x96" + struct.pack("<Q", 2**33) + b".",
        b"B" + struct.pack("<I", 2**32 - 1) + b".",
        b"L" + b"9" * 10_000 + b"\n.",
    ],
)
def test_no_time_and_no_memory(data: bytes) -> None:
    """Deep, wide and lying pickles take little memory, and end."""
    tracemalloc.start()
    try:
        read(data)
    except PickleError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 50_000_000


class Bomb:
    """Asks for a bytearray of 2 GB."""

    def __reduce__(self) -> tuple[object, ...]:
        return bytearray, (2_000_000_000,)


def test_small_file_takes_no_memory(tmp_path: Path) -> None:
    """A file of a few hundred bytes that asks for 2 GB takes none of it."""
    path = tmp_path / "a.pt"
    path.write_bytes(b"")
    file = io.BytesIO()
    pickle.dump({"x": Bomb()}, file, protocol=2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", file.getvalue())
    assert path.stat().st_size < 384
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))\n"
        "from pathlib import Path\n"
        "from edgesim.checkpoints.files import CheckpointFiles, read_checkpoint\n"
        "from edgesim.errors import InputError\n"
        "try:\n"
        f"    read_checkpoint(CheckpointFiles('a', (Path({str(path)!r}),)))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert "holds no weights" in done.stdout


def test_tensor_of_many_dimensions(tmp_path: Path) -> None:
    """A tensor of more dimensions than torch has is refused before it takes time."""
    shape = b"(" + b"K\x01" * 100_000 + b"t"
    body = (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n"
        b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x01tQK\x00" + shape + shape + b"\x89NtRs."
    )
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", body)
        archive.writestr("a/data/0", bytes(4))
    with pytest.raises(InputError, match="100000 dimensions"):
        read_checkpoint(CheckpointFiles("a", (path,)))


def test_names_in_a_file_are_printed_plainly(tmp_path: Path) -> None:
    """Names of classes and keys that would drive a terminal are made harmless."""
    escape = "\x1b[31m"
    body = (
        b"\x80\x02}X\x01\x00\x00\x00wc" + f"os\n{escape}\n(tR".encode() + b"s.",
        b"\x80\x02}X\x01\x00\x00\x00wc" + f"my\n{escape}\n(tR".encode() + b"s.",
    )
    for data in body:
        path = tmp_path / "a.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", data)
        with pytest.raises(InputError) as caught:
            read_checkpoint(CheckpointFiles("a", (path,)))
        assert str(caught.value).isprintable()
    torch.save({"w": torch.ones(3), f"x{escape}": slice(3)}, tmp_path / "b.pt")
    finished = edgesim("profile", "sharing", tmp_path / "b.pt")
    assert finished.code == 0
    assert "passed over" in finished.out
    assert "\x1b" not in finished.out
