"""Checkpoint files: parsed, opened, read, refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file

from edgesim.checkpoints import digest as checkpoint_hash
from edgesim.checkpoints.files import (
    Checkpoint,
    CheckpointFiles,
    check_names,
    checkpoint_paths,
    is_checkpoint,
    natural_key,
    parse_checkpoint,
    read_checkpoint,
)
from edgesim.errors import InputError

ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def read(*paths: Path) -> Checkpoint:
    """Read files as one checkpoint."""
    return read_checkpoint(CheckpointFiles("model", paths))


def refusal(*paths: Path) -> str:
    """Return why a checkpoint is refused; it must be one line that names the file."""
    with pytest.raises(InputError) as caught:
        read(*paths)
    message = str(caught.value)
    assert "\n" not in message
    assert str(paths[-1]) in message
    assert len(message) < 500 + len(str(paths[-1]))
    return message


def by_hand(
    path: Path, header: Any, data: bytes = b"", length: int | None = None
) -> Path:
    """Write a safetensors file byte by byte."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    stated = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", stated) + text + data)
    return path


def digest(dtype: str, shape: tuple[int, ...], content: bytes) -> str:
    """Hash a tensor as documented, without edgesim."""
    head = repr((dtype, shape, "")).encode()
    return hashlib.sha256(struct.pack("<Q", len(head)) + head + content).hexdigest()


class TestParsing:
    """Words of the command line and the files they name."""

    @pytest.mark.parametrize(
        ("text", "name", "paths"),
        [
            ("cats.safetensors", "cats", ["cats.safetensors"]),
            ("runs/7/cats.v2.pt", "cats.v2", ["runs/7/cats.v2.pt"]),
            ("models/cats", "cats", ["models/cats"]),
            ("models/llama-3.1", "llama-3.1", ["models/llama-3.1"]),
            ("a=b.pt", "a", ["b.pt"]),
            ("a=b.pt+c.bin", "a", ["b.pt", "c.bin"]),
            ("b.pt+c.bin", "b+c", ["b.pt", "c.bin"]),
            ("runs/lr=0.1/cats.pt", "cats", ["runs/lr=0.1/cats.pt"]),
            ("a=runs/lr=0.1/cats.pt", "a", ["runs/lr=0.1/cats.pt"]),
        ],
    )
    def test_words(self, text: str, name: str, paths: list[str]) -> None:
        """A name, else the stems; an equals sign behind a slash is part of a path."""
        assert parse_checkpoint(text) == CheckpointFiles(name, tuple(map(Path, paths)))

    @pytest.mark.parametrize("text", ["", "=a.pt", "a=", "a.pt+", "+a.pt", "a=b.pt++c"])
    def test_missing_words(self, text: str) -> None:
        """What is empty is refused."""
        with pytest.raises(InputError, match="missing"):
            parse_checkpoint(text)

    def test_paths_that_exist_win(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Plus and equals signs of files that are there are part of their names."""
        monkeypatch.chdir(tmp_path)
        for name in ("a+b.pt", "c=d.pt", "x.pt"):
            Path(name).touch()
        one = parse_checkpoint("a+b.pt")
        assert one == CheckpointFiles("a+b", (Path("a+b.pt"),))
        assert parse_checkpoint("c=d.pt") == CheckpointFiles("c=d", (Path("c=d.pt"),))
        both = parse_checkpoint("n=x.pt+a+b.pt+x.pt")
        assert both.paths == (Path("x.pt"), Path("a+b.pt"), Path("x.pt"))

    def test_folder_you_are_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The folder ``.`` is called by its name."""
        (tmp_path / "cats").mkdir()
        monkeypatch.chdir(tmp_path / "cats")
        assert parse_checkpoint(".").name == "cats"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cats.safetensors", True),
            ("cats=base.safetensors+lora.safetensors", True),
            ("weights.PT", True),
            ("torchvision:resnet50", False),
            ("hf:org/model.bin", False),
            ("package.module:factory", False),
            ("resnet50", False),
            ("nul\0byte", False),
        ],
    )
    def test_is_checkpoint(self, text: str, expected: bool) -> None:
        """Endings tell files from architectures."""
        assert is_checkpoint(text) is expected

    def test_folders_are_checkpoints(self, tmp_path: Path) -> None:
        """So does being there."""
        assert is_checkpoint(str(tmp_path))
        assert is_checkpoint(f"name={tmp_path}")

    def test_two_of_one_name(self) -> None:
        """Two checkpoints of one name are refused, both named."""
        twins = [parse_checkpoint("a/model.pt"), parse_checkpoint("b/model.pt")]
        with pytest.raises(InputError, match=r"b/model\.pt: .*'model'.*a/model\.pt"):
            check_names(twins)


class TestFolders:
    """Folders of shards."""

    def test_shards_in_order(self, tmp_path: Path) -> None:
        """All safetensors files by name, other files and hidden ones left alone."""
        for number in (2, 1):
            save_numpy(
                {f"layers.{number}": np.ones(number)},
                tmp_path / f"shard-{number}.safetensors",
            )
        for name in ("config.json", "pytorch_model.bin", "._model.safetensors"):
            (tmp_path / name).write_text("{}")
        found = read(tmp_path)
        assert [path.stem for path in found.paths] == ["shard-1", "shard-2"]
        assert [tensor.name for tensor in found.tensors] == ["layers.1", "layers.2"]

    def test_torch_files_where_no_safetensors(self, tmp_path: Path) -> None:
        """Without safetensors files the PyTorch ones are taken."""
        torch.save({"b": torch.ones(1)}, tmp_path / "2.bin")
        torch.save({"a": torch.ones(1)}, tmp_path / "1.pt")
        assert [tensor.name for tensor in read(tmp_path).tensors] == ["a", "b"]

    def test_nothing_in_it(self, tmp_path: Path) -> None:
        """A folder without checkpoint files is refused."""
        assert "holds no checkpoint file" in refusal(tmp_path)

    def test_index_disagrees(self, tmp_path: Path) -> None:
        """What an index lists must be there; what it does not list is left out."""
        for number in (1, 2):
            save_numpy({f"{number}": np.ones(1)}, tmp_path / f"{number}.safetensors")
        index = tmp_path / "model.safetensors.index.json"

        def write(*listed: str) -> None:
            table = {name: name for name in listed}
            index.write_text(json.dumps({"weight_map": table}))

        write("1.safetensors", "3.safetensors")
        message = "'3.safetensors', which is missing"
        with pytest.raises(InputError, match=re.escape(message)):
            read(tmp_path)
        write("1.safetensors")
        found = read(tmp_path)
        assert [tensor.name for tensor in found.tensors] == ["1"]
        assert "left out 2.safetensors" in found.notes[0]

    @pytest.mark.parametrize("content", ["[]", '{"weight_map": 3}', "{", "{}"])
    def test_broken_index(self, tmp_path: Path, content: str) -> None:
        """An index that is none is refused by name."""
        save_numpy({"a": np.ones(1)}, tmp_path / "1.safetensors")
        (tmp_path / "model.safetensors.index.json").write_text(content)
        with pytest.raises(InputError, match=r"index\.json"):
            read(tmp_path)

    def test_index_agrees(self, tmp_path: Path) -> None:
        """An index that lists what is there changes nothing."""
        save_numpy({"a": np.ones(1)}, tmp_path / "1.safetensors")
        index = {"weight_map": {"a": "1.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        assert len(read(tmp_path).tensors) == 1


class TestSafetensors:
    """Reading what the safetensors package accepts."""

    def test_known_digest(self, tmp_path: Path) -> None:
        """Digests are SHA-256 of dtype, shape and bytes, as documented."""
        path = by_hand(tmp_path / "a.safetensors", ONE, b"12345678")
        (tensor,) = read(path).tensors
        assert (tensor.name, tensor.dtype, tensor.shape) == ("a", "float32", (2,))
        assert tensor.bytes == 8
        assert tensor.digest == digest("float32", (2,), b"12345678")

    def test_bytes_longer_than_a_chunk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Pieces and several threads change no digest, whatever the sizes."""
        monkeypatch.setattr(checkpoint_hash, "CHUNK_BYTES", 64)
        rng = np.random.default_rng(0)
        arrays = {f"{n}": rng.bytes(n) for n in (1, 63, 64, 65, 128, 1000)}
        save_numpy(
            {name: np.frombuffer(v, np.uint8) for name, v in arrays.items()},
            tmp_path / "a.safetensors",
        )
        found = read(tmp_path / "a.safetensors")
        assert {tensor.name: tensor.digest for tensor in found.tensors} == {
            name: digest("uint8", (len(v),), v) for name, v in arrays.items()
        }

    def test_names_in_natural_order(self, tmp_path: Path) -> None:
        """Numbers in names are counted: the file keeps no order of its own."""
        names = ["layers.10.w", "layers.2.w", "layers.2.b", "embed", "layers.02.w"]
        path = tmp_path / "a.safetensors"
        save_numpy({name: np.ones(1, np.float32) for name in names}, path)
        assert [tensor.name for tensor in read(path).tensors] == [
            *("embed", "layers.2.b", "layers.02.w", "layers.2.w", "layers.10.w")
        ]

    @given(st.lists(st.integers(0, 10**30), min_size=2, max_size=2))
    def test_natural_order_of_numbers(self, pair: list[int]) -> None:
        """Numbers of any length are ordered as numbers are."""
        low, high = sorted(pair)
        assert (natural_key(f"l{low}") < natural_key(f"l{high}")) is (low < high)

    def test_names_with_endless_numbers(self) -> None:
        """A name may hold more digits than Python makes a number of."""
        assert natural_key("9" * 10_000) < natural_key("1" + "0" * 10_000)

    def test_zero_size_tensors(self, tmp_path: Path) -> None:
        """They are left out and counted; a scalar is a tensor like others."""
        path = tmp_path / "a.safetensors"
        save_file({"e": torch.empty(0, 3), "s": torch.tensor(1.5)}, path)
        found = read(path)
        assert found.zero_size == 1
        assert [(tensor.name, tensor.shape) for tensor in found.tensors] == [("s", ())]

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ([math.nan], [math.nan], True),
            ([0.0], [-0.0], False),
            ([1.0, 2.0], [2.0, 1.0], False),
        ],
    )
    def test_identity_is_bits(
        self, tmp_path: Path, one: list[float], other: list[float], same: bool
    ) -> None:
        """NaN equals NaN of the same bits; the two zeros differ."""
        path = tmp_path / "a.safetensors"
        save_file({"one": torch.tensor(one), "other": torch.tensor(other)}, path)
        first, second = read(path).tensors
        assert (first.digest == second.digest) is same

    def test_type_and_shape_are_part_of_it(self, tmp_path: Path) -> None:
        """The same bytes in another type or shape are another tensor."""
        path = tmp_path / "a.safetensors"
        kinds = {"F32": [2], "I32": [2], "U8": [8], "F64": [1], "F16": [2, 2]}
        kinds |= {"BF16": [4]}
        header = {
            f"{place}": {
                "dtype": kind,
                "shape": shape,
                "data_offsets": [8 * place, 8 * place + 8],
            }
            for place, (kind, shape) in enumerate(kinds.items())
        }
        by_hand(path, header, bytes(48))
        assert len({tensor.digest for tensor in read(path).tensors}) == len(kinds)

    def test_progress_counts_bytes(self, tmp_path: Path) -> None:
        """Progress is told in bytes, and all of them."""
        save_numpy({"a": np.ones(5), "b": np.ones(3)}, tmp_path / "a.safetensors")
        told: list[int] = []
        files = CheckpointFiles("a", (tmp_path / "a.safetensors",))
        read_checkpoint(files, told.append)
        assert sorted(told) == [24, 40]


class TestJoined:
    """Several files that make one model."""

    def test_adapter_on_backbone(self, tmp_path: Path) -> None:
        """The backbone's tensors come first, each part in its own order."""
        save_numpy({"z": np.ones(1)}, tmp_path / "base.safetensors")
        save_numpy({"a": np.ones(1)}, tmp_path / "lora.safetensors")
        found = read(tmp_path / "base.safetensors", tmp_path / "lora.safetensors")
        assert [tensor.name for tensor in found.tensors] == ["z", "a"]

    def test_a_tensor_in_two_parts(self, tmp_path: Path) -> None:
        """A name that stands in two parts is refused, both parts named."""
        for name in ("base", "lora"):
            save_numpy({"w": np.ones(1)}, tmp_path / f"{name}.safetensors")
        message = refusal(tmp_path / "base.safetensors", tmp_path / "lora.safetensors")
        assert "'w'" in message
        assert "base.safetensors" in message

    def test_one_file_twice(self, tmp_path: Path) -> None:
        """So is the same file given twice."""
        save_numpy({"w": np.ones(1)}, tmp_path / "a.safetensors")
        refusal(tmp_path / "a.safetensors", tmp_path / "a.safetensors")


BROKEN: Mapping[str, tuple[Any, bytes, int | None]] = {
    "truncated": (ONE, bytes(5), None),
    "longer": (ONE, bytes(9), None),
    "header length beyond the file": (ONE, bytes(8), 90_000_000),
    "header length huge": (ONE, bytes(8), 2**63),
    "overlap": (ONE | {"b": {**ONE["a"], "data_offsets": [4, 12]}}, bytes(12), None),
    "hole": (ONE | {"b": {**ONE["a"], "data_offsets": [12, 20]}}, bytes(20), None),
    "not JSON": (b"no header at all", bytes(8), None),
    "not UTF-8": (b"\xff\xfe\x00", bytes(8), None),
    "a list": ([1, 2], bytes(8), None),
    "deep": (b"[" * 100_000, bytes(8), None),
    "shape does not fit": ({"a": {**ONE["a"], "shape": [3]}}, bytes(8), None),
    "negative shape": ({"a": {**ONE["a"], "shape": [-2]}}, bytes(8), None),
    "shape overflows": ({"a": {**ONE["a"], "shape": [2**63] * 2}}, bytes(8), None),
    "unknown type": ({"a": {**ONE["a"], "dtype": "F99"}}, bytes(8), None),
    "no tensors": ({}, b"", None),
    "only metadata": ({"__metadata__": {"format": "pt"}}, b"", None),
    "a name twice": (
        json.dumps(ONE)[:-1].encode() + b", " + json.dumps(ONE)[1:].encode(),
        bytes(8),
        None,
    ),
    "control characters": (b'{"\x1b[31m', bytes(8), None),
}


class TestRefused:
    """Files that are refused in one line."""

    @pytest.mark.parametrize("case", BROKEN)
    def test_broken_safetensors(self, tmp_path: Path, case: str) -> None:
        """Whatever breaks the format is refused; nothing is guessed."""
        message = refusal(by_hand(tmp_path / "bad.safetensors", *BROKEN[case]))
        assert message.isprintable()

    def test_empty_file(self, tmp_path: Path) -> None:
        """A file without a byte is refused."""
        (tmp_path / "bad.safetensors").touch()
        assert "is empty" in refusal(tmp_path / "bad.safetensors")

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """A file cut at any byte is refused."""
        path = by_hand(tmp_path / "a.safetensors", ONE, bytes(8))
        whole = path.read_bytes()
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            refusal(path)

    def test_only_zero_size(self, tmp_path: Path) -> None:
        """A checkpoint whose tensors hold nothing is no model."""
        path = tmp_path / "a.safetensors"
        save_file({"e": torch.empty(0)}, path)
        assert "only tensors without elements (1)" in refusal(path)

    @pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a"])
    def test_missing(self, tmp_path: Path, name: str) -> None:
        """What is not there is refused by name."""
        assert "no such file" in refusal(tmp_path / name)

    @pytest.mark.parametrize("name", ["a.txt", "a", "a.safetensors.gz"])
    def test_other_files(self, tmp_path: Path, name: str) -> None:
        """Other files are refused whatever their endings; what is read is named."""
        (tmp_path / name).write_bytes(bytes(range(100)))
        assert "a safetensors or a PyTorch file" in refusal(tmp_path / name)

    def test_not_a_file(self, tmp_path: Path) -> None:
        """A pipe is refused before anything waits for it."""
        os.mkfifo(tmp_path / "a.safetensors")
        assert "neither a file nor a folder" in refusal(tmp_path / "a.safetensors")

    def test_no_permission(self, tmp_path: Path) -> None:
        """A file that may not be read is refused where its header is parsed."""
        path = by_hand(tmp_path / "a.safetensors", ONE, bytes(8))
        error = PermissionError(13, "Permission denied")
        with mock.patch(
            "edgesim.checkpoints.safetensors_file.safe_open", side_effect=error
        ):
            assert "cannot be read: permission denied" in refusal(path)

    @pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
    def test_error_while_reading(self, tmp_path: Path, name: str) -> None:
        """What the file system refuses becomes one line."""
        path = by_hand(tmp_path / name, ONE, bytes(8))
        error = PermissionError(13, "Permission denied")
        with mock.patch.object(Path, "open", side_effect=error):
            assert "cannot be read: permission denied" in refusal(path)

    def test_became_shorter(self, tmp_path: Path) -> None:
        """A file that shrinks after its header was read gives no digest."""
        from edgesim.checkpoints.safetensors_file import safetensors_in

        path = by_hand(tmp_path / "a.safetensors", ONE, bytes(8))
        tensors = safetensors_in(path)
        by_hand(path, ONE, bytes(4))
        with pytest.raises(InputError, match="became shorter"):
            checkpoint_hash.digests(tensors)

    def test_name_that_cannot_be(self) -> None:
        """A path that no file can have is refused too."""
        for name in ("a\0.pt", "x" * 5000 + ".pt"):
            with pytest.raises(InputError):
                checkpoint_paths(CheckpointFiles("a", (Path(name),)))


def test_dtype_of_a_model(tmp_path: Path) -> None:
    """The floating type, counters not counted; mixed where there are several."""
    count = torch.tensor(3)

    def dtype(tensors: Sequence[torch.Tensor]) -> str:
        path = tmp_path / "a.safetensors"
        save_file({f"{place}": tensor for place, tensor in enumerate(tensors)}, path)
        return read(path).dtype

    assert dtype([torch.ones(2), count]) == "float32"
    assert dtype([torch.ones(2), torch.ones(2).half()]) == "mixed"
    assert dtype([count]) == "int64"
    assert dtype([torch.ones(2).bfloat16(), count]) == "bfloat16"


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    """Nothing of PyTorch is imported, not for its own files either."""
    import subprocess

    save_numpy({"a": np.ones(1)}, tmp_path / "a.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pt")
    code = (
        "import sys; from edgesim.checkpoints.files import *; "
        f"read_checkpoint(parse_checkpoint({str(tmp_path / 'a.safetensors')!r})); "
        f"read_checkpoint(parse_checkpoint({str(tmp_path / 'a.pt')!r})); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
