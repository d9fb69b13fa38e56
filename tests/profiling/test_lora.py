"""Sizes of adapters, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profile.values import LoraSizes
from edgesim.profiling.architecture import build_network
from edgesim.profiling.blocks import (
    BlockOf,
    TensorSize,
    by_depth,
    by_pattern,
    group,
    numbered_block,
    state_tensors,
)
from edgesim.profiling.lora import lora_sizes
from tests.profiling.networks import Layered
from tests.profiling.test_architecture import TINY_GPT2


def _sizes(
    network: nn.Module, *targets: str, rule: BlockOf = numbered_block
) -> LoraSizes | None:
    sizes = (
        TensorSize(name, value.nbytes)
        for name, value in state_tensors(network, "x").items()
    )
    names = [block.name for block in group(sizes, rule, "x")]
    return lora_sizes(network, targets, names, rule, "x")


def test_bytes_per_layer_and_rank_by_hand() -> None:
    """q: 8 in, 8 out; v: 8 in, 4 out; four bytes a number, two in half precision."""
    found = _sizes(Layered(), "q_proj,v_proj", "v_proj")
    assert found == LoraSizes(
        layer_prefix="layers.",
        bytes_per_rank={"q_proj,v_proj": 4 * (16 + 12), "v_proj": 4 * 12},
    )
    half = _sizes(Layered().to(torch.float16), "q_proj,v_proj")
    assert half is not None
    assert half.bytes_per_rank == {"q_proj,v_proj": 2 * (16 + 12)}


def test_weights_that_stand_the_other_way_round() -> None:
    """GPT-2 keeps (in, out): 32 in, 96 out of one projection of all three."""
    found = _sizes(build_network(TINY_GPT2), "c_attn")
    assert found == LoraSizes(
        layer_prefix="h.", bytes_per_rank={"c_attn": 4 * (32 + 96)}
    )


def test_a_network_without_the_modules_has_no_adapters() -> None:
    """Of several networks some may have other names; embeddings are no such modules."""
    assert _sizes(Layered(), "query,value") is None
    assert _sizes(Layered(), "wte") is None
    assert _sizes(Layered()) is None


@pytest.mark.parametrize(
    ("network", "target", "rule", "words"),
    [
        (Layered(), "q_proj,v_prj", numbered_block, "near: v_proj"),
        (Layered((4, 4, 5)), "v_proj", numbered_block, "one size"),
        (Layered(), "q_proj", by_depth(1), "numbered name"),
        (Layered(), "q_proj", by_pattern(r"layers\.[01]|wte"), "numbered name"),
    ],
)
def test_refusals(network: nn.Module, target: str, rule: BlockOf, words: str) -> None:
    """A misspelled part; layers of two sizes; layers that are no numbered blocks."""
    with pytest.raises(InputError, match=words):
        _sizes(network, target, rule=rule)
