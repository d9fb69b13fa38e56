"""Files made to do harm: refused on one line, in little time and memory."""

from __future__ import annotations

import json
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from edgesim.checkpoints.files import CheckpointFiles, read_checkpoint
from edgesim.errors import InputError
from tests.command import edgesim

CONTENT = bytes(4096)
MODULUS = (1 << 61) - 1  # of Python's hashes of numbers
MOST_S = 5


def text(word: str) -> bytes:
    """Write a text as a pickle has it."""
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def number(value: int) -> bytes:
    """Write a number as a pickle has it."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(content)) + content


def numbers(values: tuple[int, ...]) -> bytes:
    """Write a tuple of numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def bomb(levels: int = 60) -> bytes:
    """Write a tuple that holds another twice, which does so too: endless as text."""
    return text("x") + b"\x85" + b"2\x86" * levels


def storage(key: bytes = text("0"), view: bytes = b"", kind: str = "Float") -> bytes:
    """Write a storage of 4096 bytes."""
    begin = b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode()
    count = len(CONTENT) // (4 if kind == "Float" else 1)
    return begin + key + text("cpu") + number(count) + view + b"tQ"


def tensor(
    of: bytes = storage(),
    offset: int = 0,
    shape: tuple[int, ...] = (4,),
    strides: tuple[int, ...] = (1,),
) -> bytes:
    """Write a tensor."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (of + number(offset) + numbers(shape) + numbers(strides))
        + b"\x89NtR"
    )


def quantised(quantiser: bytes) -> bytes:
    """Write a quantised tensor."""
    return (
        b"ctorch._utils\n_rebuild_qtensor\n("
        + (storage(kind="QInt8") + number(0) + numbers((4,)) + numbers((1,)))
        + b"("
        + quantiser
        + b"t\x89NtR"
    )


def state(value: bytes, beside: bytes = b"") -> bytes:
    """Write a dict of one tensor, and what else."""
    return b"\x80\x02}(" + text("w") + value + beside + b"u."


def saved(path: Path, data: bytes, content: bytes = CONTENT) -> Path:
    """Write a PyTorch file of a pickle and one content."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/data/0", content)
    return path


def refused(path: Path) -> str:
    """Read a file that must be refused, in little time; return the line."""
    begun = time.monotonic()
    with pytest.raises(InputError) as caught:
        read_checkpoint(CheckpointFiles("a", (path,)))
    assert time.monotonic() - begun < MOST_S
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def doubled(levels: int, letters: int) -> bytes:
    """Write dicts each of which holds the next one twice."""
    names = text("a" * letters) + b"q\x010" + text("b" * letters) + b"q\x020"
    inner = b"}(" + text("w") + tensor() + b"u"
    return (
        b"\x80\x02" + names + inner + b"q\x050}(h\x01h\x05h\x02h\x05u" * levels + b"."
    )


AFFINE = b"ctorch\nper_tensor_affine\n"
ONE = b"G" + struct.pack(">d", 1.0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (state(bomb() + b"2\x93"), "no text"),
        (state(tensor(storage(key=bomb()))), "place of a name"),
        (state(b"(" + bomb() + b"tQ", text("v") + tensor()), "place of a name"),
        (
            state(b"ctorch._utils\n_rebuild_wrapper_subclass\n(" + bomb() + b"tR"),
            "place of a name",
        ),
        (
            state(b"ctorch._tensor\n_rebuild_from_type_v2\n(cm\nf\n" + bomb() + b")tR"),
            "place of a name",
        ),
        (state(tensor(shape=(1 << 20_000,))), "no shape"),
        (state(tensor(shape=(1 << 1000,) * 64, strides=(1,) * 64)), "larger than any"),
        (state(tensor(strides=(1 << 70,))), "larger than any"),
        (state(tensor(strides=(-1,))), "negative"),
        (
            state(tensor(storage(view=b"(" + text("v") + number(-2000) + b"K\x04t"))),
            "begins nowhere",
        ),
        (state(quantised(AFFINE + number(10**400) + b"K\x00")), "unknown way"),
        (state(quantised(AFFINE + ONE + number(10**6000))), "unknown way"),
        (state(quantised(bomb() + ONE + b"K\x00")), "unknown way"),
        (state(quantised(AFFINE)), "unknown way"),
        (state(b"cposix\n" + b"a" * 2_000_000 + b"\n)R"), "2000005 characters"),
        (
            b"\x80\x02"
            + b"".join(b"Np%d\n0" % (n * MODULUS) for n in range(1, 40_000))
            + b".",
            "numbers what is nowhere",
        ),
        (doubled(16, 20_000), "too often"),
        (doubled(17, 1), "too often"),
        (
            b"\x80\x02"
            + (b"}(" + text("k" * 1000)) * 8
            + b"}("
            + text("w")
            + tensor()
            + b"u" * 9
            + b".",
            "characters",
        ),
    ],
)
def test_pickles(tmp_path: Path, data: bytes, says: str) -> None:
    """What a pickle can make long is refused before it is made."""
    tracemalloc.start()
    try:
        assert says in refused(saved(tmp_path / "a.pt", data))
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_keys_of_one_hash(tmp_path: Path) -> None:
    """Numbers chosen to have one hash do not make a dict slow."""
    beside = b"".join(number(n * MODULUS) + b"N" for n in range(1, 40_000))
    path = saved(tmp_path / "a.pt", state(tensor(), beside))
    begun = time.monotonic()
    found = read_checkpoint(CheckpointFiles("a", (path,)))
    assert time.monotonic() - begun < MOST_S
    assert [one.name for one in found.tensors] == ["w"]


def test_views_that_overlap(tmp_path: Path) -> None:
    """Views that would take longer to read than any file of that size are refused."""
    named = b"".join(
        text(f"w{n}") + tensor(b"h\x01", n, (900,), (1,)) for n in range(100)
    )
    data = b"\x80\x02" + storage() + b"q\x010}(" + named + b"u."
    assert "they overlap" in refused(saved(tmp_path / "a.pt", data))


def test_numbers_far_apart(tmp_path: Path) -> None:
    """Of a view of two numbers, not all that lies between them is in memory."""
    whole = torch.zeros(20_000_000)
    whole[-1] = 3
    torch.save({"w": whole[:: len(whole) - 1]}, tmp_path / "a.pt")
    torch.save({"w": torch.tensor([0.0, 3.0])}, tmp_path / "b.pt")
    tracemalloc.start()
    try:
        far, near = (
            read_checkpoint(CheckpointFiles(name, (tmp_path / f"{name}.pt",)))
            for name in "ab"
        )
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert far.tensors[0].digest == near.tensors[0].digest


def test_pickle_of_many_bytes(tmp_path: Path) -> None:
    """A pickle that would be gigabytes of objects is refused by its size."""
    path = saved(tmp_path / "a.pt", b"\x80\x02" + b"}" * (1 << 26) + b".")
    assert "save the weights alone" in refused(path)


def test_header_of_640_bytes(tmp_path: Path) -> None:
    """A safetensors file whose length reads as the begin of a pickle is read."""
    for length in (640, int.from_bytes(b"PK", "little")):
        size = length
        while True:
            content = {"w": np.ones(3, np.float32)}
            path = tmp_path / "a.safetensors"
            save_file(content, path, {"about": "x" * (size - 100)})
            found = int.from_bytes(path.read_bytes()[:8], "little")
            if found >= length - length % 8:
                break
            size += length - length % 8 - found
        data = path.read_bytes()
        header = data[8 : 8 + found].rstrip().ljust(length)
        path.write_bytes(struct.pack("<Q", length) + header + data[8 + found :])
        assert path.read_bytes()[:2] in (b"\x80\x02", b"PK")
        assert read_checkpoint(CheckpointFiles("a", (path,))).tensors[0].bytes == 12


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_behind_links(tmp_path: Path) -> None:
    """A pipe is not waited for: in a folder, as an adapter, as its base."""
    os.mkfifo(tmp_path / "pipe")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to("../pipe")
    assert "neither a file nor a folder" in refused(folder)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").symlink_to("../pipe")
    save_file({"w": np.ones(3)}, tmp_path / "base.safetensors")
    config = {"base_model_name_or_path": str(tmp_path / "base.safetensors")}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert "neither a file nor a folder" in refused(adapter)
    config = {"base_model_name_or_path": "/dev/zero"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    assert "neither a file nor a folder" in refused(adapter)


def test_hub_in_a_circle(tmp_path: Path) -> None:
    """A hub's cache whose snapshot is itself ends."""
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "a").symlink_to("..")
    assert "no weights" in refused(tmp_path)


def test_index_of_any_size(tmp_path: Path) -> None:
    """An index that no memory holds is not read."""
    save_file({"w": np.ones(3)}, tmp_path / "model.safetensors")
    index = tmp_path / "modules.json"
    index.write_text("[]")
    os.truncate(index, 1 << 33)
    assert "are read" in refused(tmp_path)


def test_names_of_files(tmp_path: Path) -> None:
    """Names of files that drive a terminal, or are no text, are printed plainly."""
    folder = os.fsencode(tmp_path)
    content = {"w": np.ones(300, np.float32)}
    names = (b"a\n\x1b[31mb", b"\xff")
    for name in names:
        save_file(content, tmp_path / "x.safetensors")
        os.rename(tmp_path / "x.safetensors", folder + b"/" + name + b".safetensors")
    paths = [os.fsdecode(folder + b"/" + name + b".safetensors") for name in names]
    for options in ((), ("--json",)):
        done = edgesim("profile", "sharing", *paths, *options)
        assert done.code == 0, done.err
        assert "\x1b" not in done.out
    done = edgesim("profile", "sharing", f"{paths[0]}x")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1
