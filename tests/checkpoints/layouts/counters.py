"""Counters and other tensors of a few bytes that are no weights."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.checkpoints.layouts.made import (
    BIAS,
    LAYER,
    NET,
    WEIGHT,
    Made,
    Read,
    Source,
    State,
    layout,
    net,
    numbers,
    put,
    put_torch,
)


def _steps(state: State, *counts: int) -> State:
    return state | {
        f"bn.{place}.num_batches_tracked": torch.tensor(count)
        for place, count in enumerate(counts)
    }


FAMILIES = {"red": 13, "green": 13, "blue": 14}


@layout(
    Read(
        {
            f"{family}-{number:02}": NET + 2 * 8
            for family, count in FAMILIES.items()
            for number in range(count)
        },
        3 * 3 * LAYER + 40 * (LAYER + 2 * 8),
        ["counters"],
        laminar=True,
    )
)
def forty_resnets(tmp: Path) -> Made:
    """Forty ResNets of three families, fine-tuned for different numbers of steps."""
    paths = []
    for place, (family, count) in enumerate(FAMILIES.items()):
        for number in range(count):
            state = net(100 * (place + 1) + number, base=place, frozen=3)
            # Steps of some are equal by chance, across families too.
            state = _steps(state, 100 * (number % 5), 100 * (number % 3) + 1)
            path = tmp / f"{family}-{number:02}.pth"
            paths.append(put_torch(path, state))
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(
    Read(
        dict.fromkeys("abc", NET + 16),
        3 * LAYER + 3 * (LAYER + 16),
        ["counters", "24 bytes"],
        laminar=True,
    )
)
def counters_that_cross(tmp: Path) -> Made:
    """Three fine-tunes of which any two have a counter in common."""
    counts = {"a": (1, 2), "b": (2, 3), "c": (3, 1)}
    paths = [
        put(tmp / f"{name}.safetensors", _steps(net(seed, frozen=3), *counts[name]))
        for seed, name in enumerate("abc", 1)
    ]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(
    Read(
        {"cats": NET + 4096, "dogs": NET + 4096},
        2 * (NET + 4096),
        silent=["sharing is laminar"],
    )
)
def position_ids(tmp: Path) -> Made:
    """Two unrelated models with the same position_ids."""
    ids = {"embeddings.position_ids": torch.arange(512).reshape(1, 512)}
    paths = [
        put(tmp / f"{name}.safetensors", net(seed) | ids)
        for seed, name in enumerate(("cats", "dogs"), 1)
    ]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(
    Read(
        {"a": 2 * WEIGHT + BIAS, "b": 2 * WEIGHT + BIAS, "c": WEIGHT + BIAS},
        4 * WEIGHT + 3 * BIAS,
        laminar=True,
    )
)
def zero_biases(tmp: Path) -> Made:
    """Biases that are all zero, equal by chance in unrelated models."""
    shared = numbers(1, 64, 64)
    own = {"b.bias": torch.zeros(64)}
    states: dict[str, State] = {
        "a": {"a.weight": shared, "b.weight": numbers(2, 64, 64)} | own,
        "b": {"a.weight": shared, "b.weight": numbers(3, 64, 64)} | own,
        "c": {"b.weight": numbers(4, 64, 64)} | own,
    }
    paths = [put(tmp / f"{name}.safetensors", state) for name, state in states.items()]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(Read(dict.fromkeys("abc", NET + 16), 3 * LAYER + 3 * LAYER + 24, laminar=False))
def counters_shared_on_request(tmp: Path) -> Made:
    """The three whose counters cross, and --min-bytes 0: every tensor can be shared."""
    made = counters_that_cross(tmp)
    return Made([*made.words, "--min-bytes", "0"], made.sources)


@layout(Read({"a": 60, "b": 60}, 90, laminar=True))
def models_of_a_few_bytes(tmp: Path) -> Made:
    """Models whose weights are all of a few bytes: they are shared all the same."""
    shared = torch.arange(30, dtype=torch.uint8)
    paths = [
        put(tmp / f"{name}.safetensors", {"x": shared, "y": shared + 100 + seed})
        for seed, name in enumerate("ab")
    ]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(Read({"cats": NET, "dogs": NET}, 2 * NET - 3 * LAYER, silent=["counter"]))
def frozen_biases(tmp: Path) -> Made:
    """Biases of frozen layers are shared with their layers, small as they are."""
    paths = [
        put(tmp / f"{name}.safetensors", net(seed, frozen=3))
        for seed, name in enumerate(("cats", "dogs"), 1)
    ]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


MASK = 64 * 1024


@layout(Read({"a": NET + MASK, "b": NET + MASK}, 2 * (NET + MASK), [f"{MASK:,} bytes"]))
def large_masks(tmp: Path) -> Made:
    """Causal masks of many bytes in unrelated models: equal, but no weights."""
    mask = {"attn.bias": torch.ones(256, 256, dtype=torch.bool).tril()}
    paths = [
        put(tmp / f"{name}.safetensors", net(seed) | mask)
        for seed, name in enumerate("ab")
    ]
    return Made(paths, {path.stem: [Source(path)] for path in paths})
