"""Identical models, and models that look related but share nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.checkpoints.layouts.made import (
    LAYER,
    LAYERS,
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


def _two(tmp: Path, one: State, other: State) -> Made:
    paths = [put(tmp / "one.safetensors", one), put(tmp / "other.safetensors", other)]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(Read({"one": NET, "other": NET}, NET, ["identical", "one", "other"]))
def identical_models(tmp: Path) -> Made:
    """The same weights in a .pt and a .safetensors file."""
    paths = [put(tmp / "one.safetensors", net(1)), put_torch(tmp / "other.pt", net(1))]
    return Made(paths, {path.stem: [Source(path)] for path in paths})


@layout(Read({"one": NET}, NET, silent=["sharing is laminar", "dp applies"]))
def one_model(tmp: Path) -> Made:
    """One model alone: nothing is said of sharing."""
    path = put(tmp / "one.safetensors", net(1))
    return Made([path], {"one": [Source(path)]})


@layout(
    Read(
        {"one": NET, "other": NET},
        2 * NET,
        ["float16", "same values", "safetensors"],
        silent=["sharing is laminar"],
    )
)
def same_values_in_float16(tmp: Path) -> Made:
    """A model, and the same in float16 stored as float32 beside a float16 one."""
    one = {name: value.half().float() for name, value in net(1).items()}
    two = {name: value.half() for name, value in net(1).items()}
    made = _two(tmp, one, two)
    # Half as many bytes, so the network of the other is made twice as long.
    more = {f"more.{name}": value.half() for name, value in net(2).items()}
    put(tmp / "other.safetensors", two | more)
    return made


@layout(
    Read(
        {"one": NET, "other": NET // 2},
        NET + NET // 2,
        ["bfloat16", "same values"],
        silent=["sharing is laminar"],
    )
)
def converted_to_bfloat16(tmp: Path) -> Made:
    """A float32 model and its bfloat16 conversion."""
    return _two(tmp, net(1), {n: t.bfloat16() for n, t in net(1).items()})


@layout(
    Read(
        {"one": NET, "other": NET},
        2 * NET,
        ["low-rank", "merged", f"{4 * (LAYER - WEIGHT):,} bytes"],
    )
)
def merged_adapters(tmp: Path) -> Made:
    """A base and the same with LoRA adapters merged into all its matrices."""
    base = net(1)
    merged = {
        name: value + numbers(place, 64, 4) @ numbers(place + 50, 4, 64) / 50
        if value.dim() == 2
        else value
        for place, (name, value) in enumerate(base.items())
    }
    return _two(tmp, base, merged)


@layout(Read({"one": 3 * WEIGHT, "other": 3 * WEIGHT}, 6 * WEIGHT, ["fused", "qkv"]))
def fused_qkv(tmp: Path) -> Made:
    """Projections q, k, v of one model, in one matrix of the other."""
    q, k, v = (numbers(n, 64, 64) for n in range(3))
    one = {"attn.q_proj.weight": q, "attn.k_proj.weight": k, "attn.v_proj.weight": v}
    return _two(tmp, one, {"attn.qkv.weight": torch.cat([q, k, v])})


@layout(Read({"one": 4 * WEIGHT, "other": 4 * WEIGHT}, 8 * WEIGHT, ["transposed"]))
def transposed(tmp: Path) -> Made:
    """The same matrices stored the other way round."""
    one = {f"{n}.weight": numbers(n, 32, 128) for n in range(4)}
    other = {name: value.t() for name, value in one.items()}
    return _two(tmp, one, other)


@layout(
    Read(
        {"one": NET, "other": NET},
        2 * NET,
        ["every layer", "trained"],
        silent=["sharing is laminar"],
    )
)
def all_layers_trained(tmp: Path) -> Made:
    """A base and a fine-tune all of whose layers were trained a little."""
    other = {
        name: value + 0.01 * numbers(place, *value.shape)
        for place, (name, value) in enumerate(net(1).items())
    }
    return _two(tmp, net(1), other)


@layout(
    Read(
        {"one": NET, "other": NET},
        2 * NET,
        ["no weights in common", "start"],
        silent=["every layer was trained"],
    )
)
def same_architecture_trained_apart(tmp: Path) -> Made:
    """Two models of one architecture that were trained from different starts."""
    return _two(tmp, net(1), net(2))


@layout(
    Read(
        {"one": LAYERS * LAYER, "other": 2 * WEIGHT},
        NET + 2 * WEIGHT,
        silent=["identical", "trained", "same values"],
    )
)
def nothing_in_common(tmp: Path) -> Made:
    """Two models of different architectures: no reason is made up."""
    return _two(tmp, net(1), {"a": numbers(1, 128, 32), "b": numbers(2, 32, 128)})


@layout(Read({"plain": NET, "wrapped": NET}, NET, ["identical"]))
def names_with_prefix(tmp: Path) -> Made:
    """The same model saved plain, and from DataParallel with torch.compile."""
    plain = put(tmp / "plain.safetensors", net(1))
    wrapped = put_torch(
        tmp / "wrapped.pt",
        {f"module._orig_mod.{name}": value for name, value in net(1).items()},
    )
    return Made([plain, wrapped], {p.stem: [Source(p)] for p in (plain, wrapped)})


@layout(
    Read({"a": NET, "b": NET, "c": NET}, 2 * NET - 3 * LAYER, ["identical"], (), True)
)
def two_of_three_identical(tmp: Path) -> Made:
    """Two identical models and a fine-tune of theirs."""
    states = {"a": net(1), "b": net(1), "c": net(2, base=1, frozen=3)}
    paths = [put(tmp / f"{name}.safetensors", state) for name, state in states.items()]
    return Made(paths, {path.stem: [Source(path)] for path in paths})
