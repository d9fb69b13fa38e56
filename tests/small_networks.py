"""Small real networks, built in a second and run in a millisecond."""

from __future__ import annotations

import torch
from torch import nn

WIDTH = 32
LAYERS = 4
CLASSES = 10


def convnet() -> nn.Module:
    """Make four numbered convolutions and a head: the architecture of the fine-tunes.

    Convolutions of 32 channels on 3 × 16 × 16 inputs; the same weights each time.
    """
    generator = torch.Generator().manual_seed(7)
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1)]
    layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(LAYERS - 1)]
    network = nn.Sequential()
    network.add_module("layers", nn.Sequential(*layers))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flat", nn.Flatten())
    network.add_module("head", nn.Linear(WIDTH, CLASSES))
    redraw(network, generator)
    return network.eval()


def redraw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.1, generator=generator)


def fine_tuned(seed: int, frozen: int) -> nn.Module:
    """Make a fine-tune of :func:`convnet` whose first layers are frozen.

    Parameters
    ----------
    seed
        Of the other weights.
    frozen
        How many of the four numbered layers keep their weights.
    """
    network = convnet()
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        parts = name.split(".")
        if parts[0] == "layers" and int(parts[1]) < frozen:
            continue
        with torch.no_grad():
            weight.normal_(std=0.1, generator=generator)
    return network
