"""Inputs by text, and the forward pass."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profiling.inputs import (
    check_input,
    example_input,
    forward,
    transformers_input,
    weights_dtype,
)


def test_a_shape_becomes_numbers_of_the_weights_dtype() -> None:
    """Batch first, the same numbers each time."""
    (drawn,) = example_input("3x5x7", 2, torch.float16, "cpu")
    (again,) = example_input("3x5x7", 2, torch.float16, "cpu")
    assert drawn.shape == (2, 3, 5, 7)
    assert drawn.dtype == torch.float16
    assert torch.equal(drawn, again)
    assert drawn.std() > 0.5


def test_tokens_stay_in_the_vocabulary() -> None:
    """Whole numbers below the vocabulary's size, all of which occur."""
    (drawn,) = example_input("tokens:200:3", 4, torch.float16, "cpu")
    assert drawn.shape == (4, 200)
    assert drawn.dtype == torch.int64
    assert drawn.unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3x",
        "x3",
        "3x0x2",
        "-3",
        "3X4",
        "tokens:5",
        "tokens:0:5",
        "tokens:5:5:5",
        "a",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """One line with what is allowed."""
    with pytest.raises(InputError, match="tokens:LENGTH:VOCABULARY"):
        check_input("--input", text)


def test_the_forward_pass_runs_without_autograd() -> None:
    """Inference mode, and the input is passed as it is."""
    seen = []

    class Watching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((torch.is_inference_mode_enabled(), x.shape))
            return x

    forward(Watching(), (torch.zeros(2, 3),))
    assert seen == [(True, (2, 3))]


def test_sequence_to_sequence_networks_decode_the_input() -> None:
    """What transformers calls an encoder-decoder needs a second input."""
    seen = {}

    class Both(nn.Module):
        config = SimpleNamespace(is_encoder_decoder=True)

        def forward(self, x: torch.Tensor, **named: torch.Tensor) -> None:
            seen.update(named)

    tokens = torch.zeros(1, 4, dtype=torch.int64)
    forward(Both(), (tokens,))
    assert seen["decoder_input_ids"] is tokens


def test_the_weights_dtype_is_that_of_the_first_floating_ones() -> None:
    """Counters that stand before them do not matter; a network without has floats."""
    network = nn.Module()
    network.register_buffer("count", torch.zeros(1, dtype=torch.int64))
    assert weights_dtype(network) == torch.float32
    network.register_buffer("brain", torch.zeros(1, dtype=torch.bfloat16))
    assert weights_dtype(network) == torch.bfloat16


@pytest.mark.parametrize(
    ("main", "config", "expected"),
    [
        ("input_ids", {"vocab_size": 9, "max_position_embeddings": 50}, "tokens:50:9"),
        (
            "input_ids",
            {"vocab_size": 9, "max_position_embeddings": 900},
            "tokens:128:9",
        ),
        ("input_ids", {"vocab_size": 9}, "tokens:128:9"),
        ("input_ids", {}, None),
        ("pixel_values", {"image_size": 32, "num_channels": 1}, "1x32x32"),
        ("pixel_values", {"image_size": [8, 16]}, "3x8x16"),
        ("pixel_values", {"image_size": None}, "3x224x224"),
        ("input_values", {"vocab_size": 9}, None),
    ],
)
def test_usual_inputs_of_transformers(
    main: str, config: dict[str, object], expected: str | None
) -> None:
    """Text up to 128 tokens, images of the configuration's size, else unknown."""
    network = nn.Module()
    network.config = SimpleNamespace(**config)
    network.main_input_name = main
    assert transformers_input(network) == expected
