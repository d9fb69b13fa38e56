"""PyTorch files: read right or refused, and never run."""

from __future__ import annotations

import os
import pickle
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgesim.checkpoints.files import (
    Checkpoint,
    CheckpointFiles,
    TensorRecord,
    read_checkpoint,
)
from edgesim.errors import InputError
from tests.command import edgesim
from tests.small_networks import fine_tuned

# What safetensors.torch can save here, and so what both formats must agree on.
DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "complex64", "bool"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    *("float8_e8m0fnu", "float4_e2m1fn_x2"),
)


def read(path: Path) -> Checkpoint:
    """Read one file; a warning that leaks fails the test."""
    return read_checkpoint(CheckpointFiles("model", (path,)))


def saved(path: Path, value: Any, **options: Any) -> dict[str, TensorRecord]:
    """Save with torch, read with edgesim: name to tensor."""
    torch.save(value, path, **options)
    return {tensor.name: tensor for tensor in read(path).tensors}


def refusal(path: Path) -> str:
    """Return why a file is refused; it must be one printable line that names it."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 400 + len(str(path))
    return message


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[str, bytes], bytes] = lambda _name, content: content,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Copy an archive, its records changed on the way."""
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", compression) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return target


class TestSame:
    """A tensor is the same in both file formats."""

    @pytest.mark.parametrize("name", DTYPES)
    def test_every_dtype(self, tmp_path: Path, name: str) -> None:
        """Every type that both formats hold has one digest, shape and size in both."""
        generator = torch.Generator().manual_seed(3)
        count = 3 * 4 * torch.empty(0, dtype=getattr(torch, name)).element_size()
        raw = torch.randint(0, 2, (count,), dtype=torch.uint8, generator=generator)
        tensor = raw.view(getattr(torch, name)).reshape(3, 4)
        found = saved(tmp_path / "a.pt", {"w": tensor})["w"]
        save_file({"w": tensor}, tmp_path / "a.safetensors")
        assert read(tmp_path / "a.safetensors").tensors == (found,)
        assert found.bytes == count
        assert found.dtype == name

    def test_whole_network(self, tmp_path: Path) -> None:
        """So have all tensors of a network; the file's own order is kept."""
        state = fine_tuned(seed=1, frozen=2).state_dict()
        found = saved(tmp_path / "a.pt", state)
        save_file(state, tmp_path / "a.safetensors")
        assert list(found) == list(state)
        other = {
            tensor.name: tensor for tensor in read(tmp_path / "a.safetensors").tensors
        }
        assert found == other

    def test_old_format(self, tmp_path: Path) -> None:
        """Files from before PyTorch 1.6, which are no zip archives, are read too."""
        state = {"w": torch.arange(10.0), "v": torch.arange(10.0)[2:5]}
        new = saved(tmp_path / "new.pt", state)
        old = saved(tmp_path / "a.pt", state, _use_new_zipfile_serialization=False)
        assert not zipfile.is_zipfile(tmp_path / "a.pt")
        assert old == new

    @pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".PT"])
    def test_endings(self, tmp_path: Path, suffix: str) -> None:
        """All endings of PyTorch files are known."""
        assert len(saved(tmp_path / f"a{suffix}", {"w": torch.ones(1)})) == 1

    def test_nan(self, tmp_path: Path) -> None:
        """NaN weights are the same in both files."""
        state = {"w": torch.full((4,), float("nan"))}
        found = saved(tmp_path / "a.pt", state)["w"]
        save_file(state, tmp_path / "a.safetensors")
        assert read(tmp_path / "a.safetensors").tensors == (found,)


class TestViews:
    """Tensors that are not simply the bytes of one record."""

    def test_not_contiguous(self, tmp_path: Path) -> None:
        """The content counts, not how it lies in the file."""
        base = torch.arange(60.0).reshape(3, 4, 5)
        views = {
            "transposed": base.transpose(0, 2),
            "strided": base[:, ::2, 1::2],
            "repeated": base[:1].expand(2, 4, 5),
            "part": base[1],
        }
        found = saved(tmp_path / "a.pt", views)
        copies = {name: view.contiguous() for name, view in views.items()}
        assert found == saved(tmp_path / "b.pt", copies)

    def test_channels_last(self, tmp_path: Path) -> None:
        """Nor does the order of dimensions in memory."""
        weight = torch.arange(120.0).reshape(2, 3, 4, 5)
        other = weight.to(memory_format=torch.channels_last)
        assert saved(tmp_path / "a.pt", {"w": weight}) == saved(
            tmp_path / "b.pt", {"w": other}
        )

    def test_conjugate_and_negative(self, tmp_path: Path) -> None:
        """Conjugation and sign that are only noted down are carried out."""
        value = torch.tensor([1 + 2j, 3 - 4j])
        lazy = {"c": value.conj(), "n": torch._neg_view(torch.ones(3))}
        done = {"c": torch.tensor([1 - 2j, 3 + 4j]), "n": -torch.ones(3)}
        assert lazy["c"].is_conj()
        assert lazy["n"].is_neg()
        assert saved(tmp_path / "a.pt", lazy) == saved(tmp_path / "b.pt", done)

    def test_tied_weights(self, tmp_path: Path) -> None:
        """Two names for one tensor are two records of one digest."""
        weight = nn.Parameter(torch.randn(50, 8))
        found = saved(tmp_path / "a.pt", {"embed": weight, "head": weight})
        assert found["embed"].digest == found["head"].digest

    def test_same_place_other_view(self, tmp_path: Path) -> None:
        """Tensors that begin at one place are told apart by type and shape."""
        base = torch.arange(12.0)
        views = {
            "a": base,
            "b": base[:6],
            "c": base.reshape(3, 4),
            "d": base.reshape(4, 3).t(),
        }
        found = saved(tmp_path / "a.pt", views)
        assert len({tensor.digest for tensor in found.values()}) == len(views)
        assert found == saved(
            tmp_path / "b.pt", {name: view.clone() for name, view in views.items()}
        )

    def test_zero_size(self, tmp_path: Path) -> None:
        """They are left out and counted; scalars stay."""
        torch.save({"e": torch.empty(3, 0), "s": torch.tensor(2)}, tmp_path / "a.pt")
        found = read(tmp_path / "a.pt")
        assert found.zero_size == 1
        assert [(tensor.name, tensor.bytes) for tensor in found.tensors] == [("s", 8)]


def quantised(
    scale: float = 0.5, zero_point: int = 0, dtype: torch.dtype = torch.qint8
) -> torch.Tensor:
    """Make 24 quantised numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them deprecated
        values = scale * (torch.arange(24.0).reshape(4, 6) - zero_point)
        return torch.quantize_per_tensor(values, scale, zero_point, dtype)


def per_channel(
    scales: list[float], axis: int = 0, dtype: torch.dtype = torch.qint8
) -> torch.Tensor:
    """Make numbers quantised with a scale a row or column."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zeros = torch.zeros(4, dtype=torch.int64)
        return torch.quantize_per_channel(
            torch.ones(4, 4), torch.tensor(scales), zeros, axis, dtype
        )


class TestQuantised:
    """Quantised tensors: scales and zero points are part of what they are."""

    def test_per_tensor(self, tmp_path: Path) -> None:
        """The same integers with another scale or zero point are other weights."""
        state = {
            "one": quantised(),
            "same": quantised(),
            "scale": quantised(0.25),
            "zero": quantised(0.5, 3),
            "type": quantised(dtype=torch.qint32),
        }
        assert torch.equal(state["one"].int_repr(), state["scale"].int_repr())
        found = saved(tmp_path / "a.pt", state)
        assert found["one"].digest == found["same"].digest
        assert len({tensor.digest for tensor in found.values()}) == 4
        # 24 int8, a scale and a zero point of 8 bytes each.
        assert (found["one"].bytes, found["one"].dtype) == (24 + 16, "qint8")
        assert found["type"].bytes == 24 * 4 + 16

    def test_per_channel(self, tmp_path: Path) -> None:
        """So are those with another scale for one channel, or another axis."""
        equal = [1.0, 1.0, 1.0, 1.0]
        state = {
            "one": per_channel(equal),
            "same": per_channel(equal),
            "axis": per_channel(equal, axis=1),
            "scale": per_channel([1.0, 1.0, 1.0, 0.999]),
        }
        assert torch.equal(state["one"].int_repr(), state["scale"].int_repr())
        found = saved(tmp_path / "a.pt", state)
        assert found["one"].digest == found["same"].digest
        assert len({tensor.digest for tensor in found.values()}) == 3
        # 16 int8, 4 scales and 4 zero points of 8 bytes each.
        scales = state["one"].q_per_channel_scales()
        assert found["one"].bytes == 16 + 4 * scales.element_size() + 4 * 8

    def test_integers_are_not_quantised(self, tmp_path: Path) -> None:
        """The plain integers of a quantised tensor are another tensor."""
        value = quantised()
        found = saved(tmp_path / "a.pt", {"q": value, "i": value.int_repr()})
        assert found["q"].digest != found["i"].digest


class TestState:
    """Where in a file the weights are looked for."""

    @pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
    def test_wrapped(self, tmp_path: Path, key: str) -> None:
        """Training code keeps them under one of three keys, beside other things."""
        state = OrderedDict([("b", torch.ones(2)), ("a", torch.zeros(3))])
        value = {"epoch": 3, key: state, "optimizer": {"lr": 0.1, "state": [1]}}
        found = saved(tmp_path / "a.pt", value)
        assert found == saved(tmp_path / "b.pt", state)

    def test_nested(self, tmp_path: Path) -> None:
        """Dicts of dicts of tensors are one state with dots in the names."""
        value = {"encoder": {"w": torch.ones(2)}, "head": {"w": torch.ones(3)}}
        assert list(saved(tmp_path / "a.pt", value)) == ["encoder.w", "head.w"]

    def test_a_weight_called_model(self, tmp_path: Path) -> None:
        """A tensor under such a key is a tensor."""
        assert list(saved(tmp_path / "a.pt", {"model": torch.ones(2)})) == ["model"]

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ({f"k{n}": n for n in range(9)}, "and 4 more"),
            ([torch.ones(1)], "found one list"),
            (torch.ones(1), "found one Tensor"),
            ({"model": {"a": 1}, "epoch": 2}, "'model' (dict), 'epoch' (int)"),
            ({"a.b": torch.ones(1), "a": {"b": torch.ones(1)}}, "'a.b'"),
        ],
    )
    def test_no_state(self, tmp_path: Path, value: Any, told: str) -> None:
        """Anything else is refused, what was found named."""
        torch.save(value, tmp_path / "a.pt")
        assert told in refusal(tmp_path / "a.pt")

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ({"a": torch.ones(1), "epoch": 3}, "a"),
            ({"net": {"w": torch.ones(1)}, "lr": 0.1}, "w"),
            ({"a": [torch.ones(1)]}, "a.0"),
            ({"a": (torch.ones(1), None)}, "a.0"),
            ({0: torch.ones(1)}, "0"),
            ({"a": torch.ones(1), "b": slice(3)}, "a"),
        ],
    )
    def test_with_other_things(self, tmp_path: Path, value: Any, name: str) -> None:
        """Numbers and objects among tensors are passed over."""
        assert list(saved(tmp_path / "a.pt", value)) == [name]

    @pytest.mark.parametrize("value", [{}, {"model": {}}])
    def test_empty(self, tmp_path: Path, value: Any) -> None:
        """A file without tensors is refused."""
        torch.save(value, tmp_path / "a.pt")
        assert "holds no" in refusal(tmp_path / "a.pt")

    def test_dicts_without_end(self, tmp_path: Path) -> None:
        """Dicts that hold themselves, or one another 2^40 times, are refused."""
        circle: dict[str, Any] = {}
        circle["again"] = circle
        tower: dict[str, Any] = {"w": torch.ones(1)}
        for _ in range(40):
            tower = {"left": tower, "right": tower}
        bare: dict[str, Any] = {}
        for _ in range(40):
            bare = {"left": bare, "right": bare}
        for value in (circle, tower, bare):
            torch.save(value, tmp_path / "a.pt")
            assert "too often" in refusal(tmp_path / "a.pt")

    def test_deep_dicts(self, tmp_path: Path) -> None:
        """So are dicts in dicts in dicts beyond any model."""
        deep: dict[str, Any] = {"w": torch.ones(1)}
        for _ in range(150):
            deep = {"a": deep}
        torch.save(deep, tmp_path / "a.pt")
        assert "too often" in refusal(tmp_path / "a.pt")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


class TestHostile:
    """Files that were made to do harm."""

    @pytest.mark.parametrize(
        ("form", "protocol"),
        [
            *(("zip", 2), ("zip", 4), ("old", 2), ("old", 4)),
            *(("pickle", 0), ("pickle", 2), ("pickle", 4)),
        ],
    )
    def test_payload_is_not_run(self, tmp_path: Path, form: str, protocol: int) -> None:
        """A payload is refused and does nothing; unpickled, it would have."""
        mark, path = tmp_path / "mark", tmp_path / "a.pt"
        value = {"w": torch.ones(2), "x": Payload(mark)}
        if form == "pickle":
            path.write_bytes(pickle.dumps({"x": value["x"]}, protocol=protocol))
        else:
            torch.save(
                value,
                path,
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=form == "zip",
            )
        refusal(path)
        finished = edgesim("profile", "sharing", path)
        assert finished.code == 2
        assert finished.err.startswith(f"error: {path}: ")
        assert finished.err.count("\n") == 1
        assert not mark.exists()
        if form == "pickle":
            pickle.loads(path.read_bytes())
        else:
            torch.load(path, weights_only=False)
        assert mark.exists()

    def test_environment_cannot_allow_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does the variable that lets torch run such files change that."""
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        mark = tmp_path / "mark"
        torch.save({"x": Payload(mark)}, tmp_path / "a.pt")
        assert "posix.system" in refusal(tmp_path / "a.pt")
        assert not mark.exists()

    def test_whole_module(self, tmp_path: Path) -> None:
        """A pickled module is refused, its class named."""
        torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
        assert "torch.nn.modules.linear.Linear" in refusal(tmp_path / "a.pt")

    def test_torchscript(self, tmp_path: Path) -> None:
        """TorchScript archives hold code and are refused."""
        path = tmp_path / "a.pt"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated
            torch.jit.script(nn.Linear(2, 2)).save(str(path))
        assert "TorchScript" in refusal(path)

    def test_tar(self, tmp_path: Path) -> None:
        """So are tars, the format before the last."""
        for name in ("storages", "tensors", "pickle"):
            (tmp_path / name).write_bytes(pickle.dumps(0, protocol=2))
        with tarfile.open(tmp_path / "a.pt", "w") as tar:
            for name in ("storages", "tensors", "pickle"):
                tar.add(tmp_path / name, name)
        assert "tar" in refusal(tmp_path / "a.pt")

    def test_compressed_records(self, tmp_path: Path) -> None:
        """Compressed records could grow a thousandfold; they are refused."""
        torch.save({"w": torch.zeros(100_000)}, tmp_path / "a.pt")
        bomb = rewrite(
            tmp_path / "a.pt", tmp_path / "b.pt", compression=zipfile.ZIP_DEFLATED
        )
        assert bomb.stat().st_size < 10_000
        assert "is compressed" in refusal(bomb)

    def test_repeated_beyond_the_file(self, tmp_path: Path) -> None:
        """A few stored bytes repeated to many are refused before they are made."""
        torch.save({"w": torch.ones(1).expand(10**12)}, tmp_path / "a.pt")
        assert "more than the whole file" in refusal(tmp_path / "a.pt")

    @pytest.mark.parametrize("size", [5, 9, 11, 1000])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_sizes_that_lie(self, tmp_path: Path, size: int, zipped: bool) -> None:
        """A storage that claims another size than its record's is refused.

        Torch, which maps the file, would go on reading into the next record.
        """
        source, path = tmp_path / "a.pt", tmp_path / "b.pt"
        torch.save(
            {"w": torch.arange(10.0), "x": torch.arange(2000.0)},
            source,
            _use_new_zipfile_serialization=zipped,
        )

        def lie(name: str, content: bytes) -> bytes:
            # BININT1 10, or BININT2 for what does not fit one byte: numel of storage
            # and shape of the tensor.
            stated = b"M" + size.to_bytes(2, "little")
            return content.replace(b"K\n", stated) if "pkl" in name else content

        if zipped:
            rewrite(source, path, lie)
        else:
            path.write_bytes(lie("pkl", source.read_bytes()))
        refusal(path)

    @pytest.mark.parametrize("kept", [0, 8, 39, 41, 4000])
    def test_records_of_other_sizes(self, tmp_path: Path, kept: int) -> None:
        """So is a record of another size than its storage's."""
        torch.save({"w": torch.arange(10.0)}, tmp_path / "a.pt")

        def cut(name: str, content: bytes) -> bytes:
            return (content * 100)[:kept] if name.endswith("data/0") else content

        refusal(rewrite(tmp_path / "a.pt", tmp_path / "b.pt", cut))

    def test_rewritten_archive(self, tmp_path: Path) -> None:
        """An archive that another program wrote, records elsewhere, is read right."""
        state = fine_tuned(seed=1, frozen=2).state_dict()
        found = saved(tmp_path / "a.pt", state)
        rewritten = rewrite(tmp_path / "a.pt", tmp_path / "b.pt")
        assert rewritten.read_bytes() != (tmp_path / "a.pt").read_bytes()
        assert {tensor.name: tensor for tensor in read(rewritten).tensors} == found

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """A file cut short is refused wherever it is cut."""
        for zipped in (True, False):
            path = tmp_path / "a.pt"
            torch.save(
                {"w": torch.arange(30.0), "v": torch.ones(3)},
                path,
                _use_new_zipfile_serialization=zipped,
            )
            whole = path.read_bytes()
            for cut in [*range(0, len(whole) - 1, 23), len(whole) - 1]:
                path.write_bytes(whole[:cut])
                refusal(path)

    @pytest.mark.parametrize(
        "content", [b"", b"PK\x03\x04", b"hello", b"\x80\x02.", bytes(1000)]
    )
    def test_no_torch_file(self, tmp_path: Path, content: bytes) -> None:
        """Files of something else are refused."""
        (tmp_path / "a.bin").write_bytes(content)
        refusal(tmp_path / "a.bin")


class TestOtherTensors:
    """Tensors that are not plain numbers in memory."""

    def test_sparse(self, tmp_path: Path) -> None:
        """Sparse tensors are refused by name."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sparse formats in beta state
            values = [torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr()]
        for value in values:
            torch.save({"w": value}, tmp_path / "a.pt")
            assert "its tensor 'w' is sparse" in refusal(tmp_path / "a.pt")

    def test_meta(self, tmp_path: Path) -> None:
        """Tensors without content are refused by name."""
        torch.save({"w": torch.empty(3, device="meta")}, tmp_path / "a.pt")
        assert "'meta'" in refusal(tmp_path / "a.pt")

    def test_buffers_and_parameters(self, tmp_path: Path) -> None:
        """Parameters and buffers are tensors like others."""
        value = torch.randn(3)
        found = saved(
            tmp_path / "a.pt", {"p": nn.Parameter(value), "b": nn.Buffer(value)}
        )
        assert found["p"].digest == found["b"].digest
