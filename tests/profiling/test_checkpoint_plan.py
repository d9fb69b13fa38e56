"""Checkpoint files become plans: blocks by content, and whose latency they take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgesim.checkpoints.content import share_by_content
from edgesim.checkpoints.files import Checkpoint, parse_checkpoint, read_checkpoint
from edgesim.errors import InputError
from edgesim.profiling.blocks import by_depth, by_pattern
from edgesim.profiling.checkpoint_fit import check_fits
from edgesim.profiling.checkpoint_plan import (
    plan_checkpoints,
    read_latency_source,
    with_latency_from,
)
from tests.profiling.networks import Odd
from tests.small_networks import fine_tuned

CONV = 4 * (32 * 32 * 9 + 32)
STEM = 4 * (32 * 3 * 9 + 32)
HEAD = 4 * (32 * 10 + 10)


def _saved(folder: Path, name: str, network: nn.Module) -> Checkpoint:
    path = folder / f"{name}.safetensors"
    save_file(network.state_dict(), path)
    return read_checkpoint(parse_checkpoint(str(path)))


@pytest.fixture
def fine_tunes(tmp_path: Path) -> list[Checkpoint]:
    """Save two fine-tunes that share the first two of four layers."""
    return [_saved(tmp_path, f"v{seed}", fine_tuned(seed, 2)) for seed in (1, 2)]


def test_shared_layers_are_one_block(fine_tunes: list[Checkpoint]) -> None:
    """Known bytes: stem and one layer shared; the rest each one's own."""
    first, second = plan_checkpoints(fine_tunes, share_by_content(fine_tunes))
    assert [block.bytes for block in first.blocks] == [STEM + CONV, 2 * CONV + HEAD]
    assert [block.bytes for block in second.blocks] == [STEM + CONV, 2 * CONV + HEAD]
    assert first.blocks[0] == second.blocks[0]
    assert first.blocks[1].content != second.blocks[1].content
    assert (first.name, first.dtype) == ("v1", "float32")


def test_splitting_keeps_sharing(fine_tunes: list[Checkpoint]) -> None:
    """Each layer becomes a block; shared ones have the same content in both models."""
    library = share_by_content(fine_tunes)
    first, second = plan_checkpoints(fine_tunes, library, by_depth(2))
    assert sorted(b.bytes for b in first.blocks) == sorted(
        [STEM, CONV, CONV, CONV, HEAD]
    )
    shared = {b.content for b in first.blocks} & {b.content for b in second.blocks}
    assert sum(b.bytes for b in first.blocks if b.content in shared) == STEM + CONV
    assert len({b.name for b in first.blocks}) == 5
    assert len({b.content for b in first.blocks}) == 5
    names = [b.name.partition("/")[2] for b in first.blocks]
    assert sorted(names) == ["head", "layers.0", "layers.1", "layers.2", "layers.3"]


def test_a_rule_that_matches_in_some_blocks_only(fine_tunes: list[Checkpoint]) -> None:
    """Blocks without a match stay whole; in others, tensors join neighbours."""
    library = share_by_content(fine_tunes)
    first, _ = plan_checkpoints(fine_tunes, library, by_pattern("head"))
    assert first.blocks[0].content == library.models["v1"][0].content
    assert [b.bytes for b in first.blocks] == [STEM + CONV, 2 * CONV + HEAD]
    with pytest.raises(InputError, match="matches no tensor"):
        plan_checkpoints(fine_tunes, library, by_pattern("nothing"))


def test_a_checkpoint_fits_its_own_network(tmp_path: Path) -> None:
    """Also when a file holds one name of tied tensors, and none of empty ones."""
    network = Odd()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    del state["head.weight"], state["empty.weight"]
    save_file(state, tmp_path / "odd.safetensors")
    found = read_checkpoint(parse_checkpoint(str(tmp_path / "odd.safetensors")))
    check_fits(network, found, "x:odd")


def test_differences_are_named(tmp_path: Path) -> None:
    """Missing, unknown and reshaped tensors, the first three, and how many more."""
    save_file(
        {"0.weight": torch.zeros(3, 2), "b": torch.zeros(1), "c": torch.zeros(1)},
        tmp_path / "x.safetensors",
    )
    found = read_checkpoint(parse_checkpoint(str(tmp_path / "x.safetensors")))
    with pytest.raises(InputError) as caught:
        check_fits(nn.Sequential(nn.Linear(3, 2)), found, "my:factory")
    assert str(caught.value) == (
        "x: does not fit factory='my:factory': 0.bias is missing in the checkpoint; "
        "b is not in the network; c is not in the network; and 1 more"
    )
    with pytest.raises(InputError, match=r"\[3, 2\] in the checkpoint and \[2, 3\]"):
        check_fits(
            nn.Sequential(nn.Linear(3, 2, bias=False)),
            Checkpoint("x", (), found.tensors[:1]),
            "my:factory",
        )


def test_latency_from_another_profile(fine_tunes: list[Checkpoint]) -> None:
    """A named model's table is taken over and its source told."""
    plans = plan_checkpoints(fine_tunes, share_by_content(fine_tunes))
    profile, model = read_latency_source("clockwork-v100:resnet50")
    (first, _) = with_latency_from(plans, profile, model)
    assert first.copied is not None
    assert first.copied.latency_s == profile.models["resnet50"].latency_s
    assert first.copied.source.startswith("resnet50 of profile clockwork-v100 (")


def test_whose_latency_is_told_or_asked(fine_tunes: list[Checkpoint]) -> None:
    """Without a model the plan's own name counts; else the model must be given."""
    plans = plan_checkpoints(fine_tunes, share_by_content(fine_tunes))
    profile, model = read_latency_source("clockwork-v100")
    assert model is None
    with pytest.raises(InputError, match=r"no model 'v1'.*PROFILE:MODEL"):
        with_latency_from(plans, profile, None)
    with pytest.raises(InputError, match="no model 'nothing'"):
        read_latency_source("clockwork-v100:nothing")
    with pytest.raises(InputError, match="no such profile"):
        read_latency_source("nowhere:nothing")
