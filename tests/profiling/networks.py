"""Networks whose blocks, bytes and activations are known by hand."""

from __future__ import annotations

import torch
from torch import nn


class Odd(nn.Module):
    """Holds what a state dict can hold: tied, zero-size, buffers, bare parameters.

    In the order of the state dict: ``token`` (4 floats), ``step`` (one int64, a
    buffer), ``layers.0`` and ``layers.1`` (2 × 3 weight and 2 biases each; ``running``
    of layer 1 is a buffer of 5 halves), ``encoder_layer_2.fc_1`` (3 × 3, no bias),
    ``empty`` (0 × 7), ``head`` (2 × 3, the weight of ``layers.0``, and 2 biases).
    """

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.register_buffer("step", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(100), persistent=False)
        self.layers = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
        self.layers[1].register_buffer("running", torch.zeros(5, dtype=torch.float16))
        self.encoder_layer_2 = nn.Module()
        self.encoder_layer_2.fc_1 = nn.Linear(3, 3, bias=False)
        self.empty = nn.Module()
        self.empty.weight = nn.Parameter(torch.zeros(0, 7))
        self.head = nn.Linear(3, 2)
        self.head.weight = self.layers[0].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the head."""
        return self.head(x)


def odd() -> nn.Module:
    """Make :class:`Odd`."""
    return Odd()


def stack() -> nn.Module:
    """Make two linear layers with a ReLU between; inputs are ``edgesim_input``."""
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    network.edgesim_input = "8"
    return network


class Attention(nn.Module):
    """One layer with two projections of its own sizes."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, out, bias=False)


class Layered(nn.Module):
    """Three numbered layers under ``layers`` and an embedding called ``wte``."""

    def __init__(self, outs: tuple[int, ...] = (4, 4, 4)) -> None:
        super().__init__()
        self.wte = nn.Embedding(10, 8)
        self.layers = nn.ModuleList([Attention(8, out) for out in outs])


def layered() -> nn.Module:
    """Make :class:`Layered`."""
    return Layered()


def fails() -> nn.Module:
    """Raise, as a constructor of someone's module may."""
    raise ValueError("no such\nluck")


def number() -> int:
    """Return what is no network."""
    return 3


constant = 7


class Greedy(nn.Module):
    """Says that memory is out for batches above two."""

    edgesim_input = "8"

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layer, or refuse."""
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.fc(x)


def greedy() -> nn.Module:
    """Make :class:`Greedy`."""
    return Greedy()


class Interrupted(nn.Module):
    """Runs for the probe and is then interrupted, as by Ctrl-C."""

    edgesim_input = "8"

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run twice for each batch that is tried, no more."""
        self.passes += 1
        if self.passes > 4:
            raise KeyboardInterrupt
        return self.fc(x)


def interrupted() -> nn.Module:
    """Make :class:`Interrupted`."""
    return Interrupted()


class Single(nn.Module):
    """Takes one input at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refuse a batch of two or more."""
        if len(x) > 1:
            raise ValueError("one input at a time")
        return self.fc(x)


def single() -> nn.Module:
    """Make :class:`Single`."""
    return Single()


def tall() -> nn.Module:
    """Make a stack of the same size whose weights are others."""
    network = stack()
    network[0].bias.data.add_(1)
    return network
