"""One input of a network, described by a text, and the forward pass over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import nn

from edgesim.errors import InputError, short

INPUT_SEED = 20_250_322
TOKENS_DEFAULT = 128
IMAGE_SIZE_DEFAULT = 224

Example: TypeAlias = tuple[torch.Tensor, ...]

_SHAPE = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*)*")
_TOKENS = re.compile(r"tokens:([1-9][0-9]*):([1-9][0-9]*)")


def check_input(where: str, text: str) -> str:
    """Check the text of an input.

    ``3x224x224`` is a tensor of that shape, numbers of the weights' dtype;
    ``tokens:LENGTH:VOCABULARY`` stands for LENGTH integers from 0 to VOCABULARY − 1.

    Raises
    ------
    InputError
        If the text is neither.
    """
    if not _SHAPE.fullmatch(text) and not _TOKENS.fullmatch(text):
        raise InputError(
            where,
            f"must be a shape such as 3x224x224, or tokens:LENGTH:VOCABULARY such as "
            f"tokens:128:30522, found {short(text)}",
        )
    return text


def example_input(
    text: str, batch: int, dtype: torch.dtype, device: torch.device | str
) -> Example:
    """Draw a batch of inputs, the same each time.

    Parameters
    ----------
    text
        One input, as :func:`check_input` accepts it.
    batch
        Number of inputs.
    dtype
        Dtype of inputs other than tokens: that of the network's weights.
    device
        Where the network is.

    Returns
    -------
    tuple of Tensor
        One tensor, the batch first: standard normal numbers, or tokens (int64)
        uniform over the vocabulary.
    """
    check_input("input", text)
    generator = torch.Generator().manual_seed(INPUT_SEED)
    tokens = _TOKENS.fullmatch(text)
    if tokens is not None:
        shape = (batch, int(tokens[1]))
        drawn = torch.randint(0, int(tokens[2]), shape, generator=generator)
        return (drawn.to(device),)
    drawn = torch.randn(batch, *map(int, text.split("x")), generator=generator)
    return (drawn.to(device=device, dtype=dtype),)


def forward(network: nn.Module, example: Example) -> None:
    """Run one forward pass without autograd and discard the output.

    Sequence-to-sequence networks of transformers decode the input itself.
    """
    _result(network, example)


def outputs(network: nn.Module, example: Example) -> list[torch.Tensor]:
    """Run one forward pass as :func:`forward` does, and return the tensors it gives."""
    return _tensors(_result(network, example))


def _tensors(value: object) -> list[torch.Tensor]:
    """List the tensors in tuples, lists and tables, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for one in value for tensor in _tensors(one)]
    return []


def _result(network: nn.Module, example: Example) -> object:
    extra: dict[str, Any] = {}
    if getattr(getattr(network, "config", None), "is_encoder_decoder", False):
        extra["decoder_input_ids"] = example[0]
    with torch.inference_mode():
        return network(*example, **extra)


def weights_dtype(network: nn.Module) -> torch.dtype:
    """Return the dtype of the network's inputs: that of its first floating weights."""
    for value in network.state_dict().values():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.dtype
    return torch.get_default_dtype()


def transformers_input(network: nn.Module) -> str | None:
    """Derive the usual input of a network of transformers from its configuration.

    Text: 128 tokens, or as many as it has positions for. Images: of the configured
    size, otherwise 224 × 224. None for networks that take other inputs.
    """
    config: Any = network.config
    main = getattr(network, "main_input_name", None)
    if main == "pixel_values":
        size = getattr(config, "image_size", None) or IMAGE_SIZE_DEFAULT
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        return f"{getattr(config, 'num_channels', 3)}x{height}x{width}"
    vocabulary = getattr(config, "vocab_size", None)
    if main == "input_ids" and isinstance(vocabulary, int):
        positions = getattr(config, "max_position_embeddings", None) or TOKENS_DEFAULT
        return f"tokens:{min(TOKENS_DEFAULT, positions)}:{vocabulary}"
    return None
