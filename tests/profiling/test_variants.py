"""Made-up fine-tunes: what they share with the base, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from edgesim.profiling.architecture import build_network, parse_spec
from edgesim.profiling.blocks import numbered_block, state_tensors
from edgesim.profiling.variants import write_variants
from tests.command import edgesim

ODD = "tests.profiling.networks:odd"
LAYERED = "tests.profiling.networks:layered"


def test_first_blocks_are_the_base(tmp_path: Path) -> None:
    """Three of four blocks are the base's, the last differs from it and the other's."""
    spec = parse_spec(f"net={LAYERED}")
    written = write_variants(spec, tmp_path / "v", count=2, frozen=0.75, seed=1)
    assert [path.name for path in written.files] == [
        "net-v01.safetensors",
        "net-v02.safetensors",
    ]
    assert (written.blocks, written.frozen_blocks) == (4, 3)
    base = state_tensors(build_network(LAYERED), "net")
    one, two = map(load_file, written.files)
    assert one.keys() == two.keys() == base.keys()
    for name, tensor in base.items():
        same = numbered_block(name) != "layers.2"
        assert torch.equal(one[name], tensor) == same, name
        assert torch.equal(one[name], two[name]) == same, name
        assert one[name].dtype == tensor.dtype
        assert one[name].shape == tensor.shape


@pytest.mark.parametrize(("frozen", "same"), [(0.0, False), (1.0, True)])
def test_all_or_nothing(tmp_path: Path, frozen: float, same: bool) -> None:
    """A share of 0 draws every floating tensor anew, also constants; 1 draws none."""
    spec = parse_spec(ODD)
    (file,) = write_variants(spec, tmp_path / "v", count=1, frozen=frozen, seed=0).files
    base = state_tensors(build_network(ODD), "odd")
    found = load_file(file)
    for name, tensor in base.items():
        kept = same or not tensor.is_floating_point()
        assert torch.equal(found[name], tensor) == kept, name


def test_tied_tensors_stand_once(tmp_path: Path) -> None:
    """A tied tensor has its first name alone; there is no metadata; --factory fits."""
    (file,) = write_variants(
        parse_spec(ODD), tmp_path / "v", count=1, frozen=0.5, seed=0
    ).files
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata() is None
        names = set(opened.keys())
    assert "layers.0.weight" in names
    assert "head.weight" not in names
    assert "empty.weight" not in names


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """Files depend on the seed alone, and on no generator that others use."""
    spec = parse_spec(LAYERED)
    bytes_of = []
    for place, seed in enumerate((5, 5, 6)):
        torch.manual_seed(place)
        files = write_variants(
            spec, tmp_path / str(place), count=2, frozen=0.5, seed=seed
        ).files
        bytes_of.append([file.read_bytes() for file in files])
    assert bytes_of[0] == bytes_of[1]
    assert bytes_of[0][0] != bytes_of[0][1]
    assert bytes_of[0][0] != bytes_of[2][0]


def test_command(tmp_path: Path) -> None:
    """The command says what is frozen, and replaces its own files alone."""
    out = tmp_path / "v"
    finished = edgesim(
        *("profile", "variants", LAYERED, "--variants", 3, "--frozen", 0.5),
        *("--dtype", "bfloat16", "--out", out),
    )
    assert finished.code == 0, finished.err
    first, *paths = finished.out.splitlines()
    assert first.startswith("2 of 4 blocks frozen: ")
    assert paths == [str(out / f"layered-v0{k}.safetensors") for k in (1, 2, 3)]
    assert {t.dtype for t in load_file(paths[0]).values()} == {torch.bfloat16}
    assert edgesim("profile", "sharing", *paths).code == 0
    # It replaces its own files; others stay, and so do variants beyond.
    words = ("profile", "variants", LAYERED, "--out", out, "--variants")
    assert edgesim(*words, 3).code == 0
    (out / "thesis.tex").touch()
    assert edgesim(*words, 2).code == 0
    left = {path.name for path in out.iterdir()}
    assert left == {".edgesim.json", "thesis.tex", *(Path(path).name for path in paths)}
    (out / ".edgesim.json").unlink()
    refused = edgesim(*words, 3)
    assert refused.code == 2
    assert "holds 'layered-v01.safetensors', but no earlier result" in refused.err


def test_a_folder_where_a_file_is_to_be_is_left_alone(tmp_path: Path) -> None:
    """It is somebody's, as what is in it."""
    kept = tmp_path / "v" / "layered-v01.safetensors" / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    refused = edgesim("profile", "variants", LAYERED, "--out", tmp_path / "v")
    assert refused.code == 2
    assert "holds 'layered-v01.safetensors', but no earlier result" in refused.err
    assert kept.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frozen", "1.5"], "--frozen"),
        (["--variants", "0"], "--variants"),
        (["--dtype", "int8"], "--dtype: must be one of float32"),
    ],
)
def test_bad_options(tmp_path: Path, options: list[str], message: str) -> None:
    """Options out of range are refused before anything is built."""
    finished = edgesim("profile", "variants", ODD, *options, "--out", tmp_path / "v")
    assert finished.code == 2
    assert message in finished.err
    assert not (tmp_path / "v").exists()
