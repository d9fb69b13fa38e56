"""Activation bytes that can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgesim.profiling.activations import LiveBytes
from edgesim.profiling.devices import open_device
from edgesim.profiling.latency import measure_batches
from edgesim.profiling.sampling import Sampling
from tests.profiling.networks import stack


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_a_stack_of_layers_by_hand(batch: int) -> None:
    """The input, the first layer's result and its ReLU are alive at once.

    Per input: 8 floats in, 16 from the first layer, 16 from the ReLU; the first
    layer's result is dropped before the last one makes its 4.
    """
    table = measure_batches(
        open_device("cpu"), stack().eval(), "x", "8", [batch], Sampling(10, 0.01)
    )
    assert table.activation_bytes == {batch: batch * 4 * (8 + 16 + 16)}


def test_views_and_results_in_place_make_nothing() -> None:
    """A view is the same storage; so is what an operator ending in _ returns."""
    x = torch.zeros(1000)
    live = LiveBytes()
    with live:
        y = x.view(10, 100).t()[:5]
        y.add_(1)
        torch.relu_(x)
    assert live.peak == 0


def test_what_is_gone_counts_no_more() -> None:
    """Ten results in turn, each dropped before the next but one: two at a time."""
    x = torch.zeros(1000)
    live = LiveBytes()
    with live:
        y = x
        for _ in range(10):
            y = y + 1
    assert live.peak == 2 * 4000


def test_operators_with_several_results() -> None:
    """All of them count: a chunk's parts are views, a sort gives two tensors."""
    x = torch.rand(100)
    live = LiveBytes()
    with live:
        values, order = x.sort()
        parts = values.chunk(4)
    assert live.peak == 100 * 4 + 100 * 8
    assert len(parts) == 4
    assert order.dtype == torch.int64


def test_attention_is_seen_through() -> None:
    """Inference kernels of modules that fuse their parts still give their result."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    live = LiveBytes()
    with torch.inference_mode(), live:
        layer(torch.zeros(2, 5, 8))
    assert live.peak >= 2 * 5 * 8 * 4
