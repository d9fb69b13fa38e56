"""Small real networks, built in a second and run in a millisecond."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

WIDTH = 32
LAYERS = 4
CLASSES = 10

# Bytes of float32 weights and biases, counted by hand: 3 input channels, 32 channels,
# kernels of 3 by 3, 10 classes.
FIRST_LAYER = 4 * (3 * 32 * 9 + 32)
LATER_LAYER = 4 * (32 * 32 * 9 + 32)
HEAD = 4 * (32 * 10 + 10)
WHOLE = FIRST_LAYER + 3 * LATER_LAYER + HEAD

# What the two of save_pets share.
SHARED = FIRST_LAYER + LATER_LAYER


def convnet(num_classes: int = CLASSES) -> nn.Module:
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
    network.add_module("head", nn.Linear(WIDTH, num_classes))
    redraw(network, generator)
    return network.eval()


def redraw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights anew."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.1, generator=generator)


def fine_tuned(
    seed: int, frozen: int, base: int = 7, num_classes: int = CLASSES
) -> nn.Module:
    """Make a fine-tune of a :func:`convnet` whose first layers are frozen.

    Parameters
    ----------
    seed
        Of the other weights.
    frozen
        How many of the four numbered layers keep their weights.
    base
        Seed of the weights that they keep, 7 for those of :func:`convnet`.
    num_classes
        Outputs of the head.
    """
    network = convnet(num_classes)
    redraw(network, torch.Generator().manual_seed(base))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        parts = name.split(".")
        if parts[0] == "layers" and int(parts[1]) < frozen:
            continue
        with torch.no_grad():
            weight.normal_(std=0.1, generator=generator)
    return network


def save_pets(folder: Path) -> tuple[Path, Path]:
    """Save two fine-tunes, one in each file format.

    ``cats`` keeps three layers of the base and ``dogs`` two: they have the first two in
    common.
    """
    cats, dogs = folder / "cats.safetensors", folder / "dogs.pt"
    save_file(fine_tuned(seed=1, frozen=3).state_dict(), cats)
    torch.save(fine_tuned(seed=2, frozen=2).state_dict(), dogs)
    return cats, dogs


def save_finetunes(folder: Path) -> None:
    """Save forty fine-tunes of three networks, of which two or three layers froze."""
    folder.mkdir()
    for number in range(40):
        name = ("cars", "pets", "signs")[number % 3]
        frozen = 2 + number // 3 % 2
        network = fine_tuned(seed=number, frozen=frozen, base=10 + number % 3)
        save_file(network.state_dict(), folder / f"{name}-{number:02}.safetensors")
