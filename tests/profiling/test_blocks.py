"""Tensors become blocks by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profiling.blocks import (
    BlockPlan,
    TensorSize,
    by_depth,
    by_pattern,
    group,
    numbered_block,
    state_tensors,
)
from tests.profiling.networks import Odd


@pytest.mark.parametrize(
    ("tensor", "block"),
    [
        ("layer1.0.conv1.weight", "layer1.0"),
        ("encoder.layer.3.attention.self.query.bias", "encoder.layer.3"),
        ("h.11.ln_1.weight", "h.11"),
        (
            "encoder.layers.encoder_layer_3.ln_1.weight",
            "encoder.layers.encoder_layer_3",
        ),
        ("encoder.ln.weight", "encoder"),
        ("ln_f.weight", "ln_f"),
        ("layer1.conv.weight", "layer1"),
        ("class_token", "class_token"),
        ("token_3", "token_3"),
        ("params.4", "params"),
        ("features.18.0.weight", "features.18"),
    ],
)
def test_a_block_ends_at_the_first_number(tensor: str, block: str) -> None:
    """Numbers alone and after an underscore count; the tensor's own name does not."""
    assert numbered_block(tensor) == block


def _blocks(network: nn.Module) -> tuple[BlockPlan, ...]:
    tensors = state_tensors(network, "odd")
    return group(
        (TensorSize(name, value.nbytes) for name, value in tensors.items()),
        numbered_block,
        "odd",
    )


def test_blocks_of_a_network_by_hand() -> None:
    """Tied tensors count once, buffers if persistent, zero-size ones not at all."""
    assert _blocks(Odd()) == (
        BlockPlan("token", (16,)),
        BlockPlan("step", (8,)),
        BlockPlan("layers.0", (24, 8)),
        BlockPlan("layers.1", (24, 8, 10)),
        BlockPlan("encoder_layer_2", (36,)),
        BlockPlan("head", (8,)),
    )


def test_a_view_with_another_shape_is_a_tensor_of_its_own() -> None:
    """Only the very same view of the same memory is a tie."""
    network = nn.Module()
    weight = torch.zeros(6)
    network.register_buffer("a", weight)
    network.register_buffer("b", weight[:])
    network.register_buffer("c", weight[:3])
    assert list(state_tensors(network, "views")) == ["a", "c"]


SIZES = [
    TensorSize(name, 10**position)
    for position, name in enumerate(
        ("stem.weight", "h.0.a.weight", "h.0.b.weight", "mid.weight", "h.1.a.weight")
    )
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (by_depth(1), {"stem": (1,), "h": (10, 100, 10_000), "mid": (1000,)}),
        (
            by_depth(2),
            {"stem": (1,), "h.0": (10, 100), "mid": (1000,), "h.1": (10_000,)},
        ),
        # No tensor before the first match: it joins the first block.
        (by_pattern(r"h\.\d"), {"h.0": (1, 10, 100, 1000), "h.1": (10_000,)}),
        (by_pattern(r"h\.(\d)"), {"0": (1, 10, 100, 1000), "1": (10_000,)}),
        # A group that takes no part in the match is none.
        (by_pattern(r"stem|h\.(\d)\.a"), {"0": (1, 10, 100, 1000), "1": (10_000,)}),
    ],
)
def test_rules(rule: object, expected: dict[str, tuple[int, ...]]) -> None:
    """Depth and regular expressions, with tensors that match nothing."""
    blocks = group(SIZES, rule, "x")  # type: ignore[arg-type]
    assert {block.name: block.tensor_bytes for block in blocks} == expected
    assert sum(block.bytes for block in blocks) == 11_111


def test_order_is_that_of_the_first_tensor() -> None:
    """A block that appears again later keeps its first place."""
    assert [b.name for b in group(SIZES, by_depth(1), "x")] == ["stem", "h", "mid"]


@pytest.mark.parametrize(
    ("pattern", "where"), [("(", "pattern"), ("nothing", "block_of")]
)
def test_bad_patterns(pattern: str, where: str) -> None:
    """What is no regular expression, or matches no tensor."""
    with pytest.raises(InputError, match=f"^{where}: "):
        group(SIZES, by_pattern(pattern), "x")


def test_what_is_no_tensor_with_data_is_refused() -> None:
    """Extra state, meta and sparse tensors have no bytes to copy; nor has nothing."""

    class Extra(nn.Module):
        def get_extra_state(self) -> object:
            return {"a": 1}

    sparse = nn.Module()
    sparse.register_buffer("s", torch.zeros(2, 2).to_sparse())
    for network, words in (
        (Extra(), "dict"),
        (nn.Linear(2, 2, device="meta"), "meta"),
        (sparse, "sparse"),
        (nn.ReLU(), "no parameters"),
    ):
        with pytest.raises(InputError, match=words):
            state_tensors(network, "x")
