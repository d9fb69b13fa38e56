"""PEFT adapters and their bases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.checkpoints.layouts.made import (
    LAYER,
    NET,
    WEIGHT,
    Made,
    Read,
    Refused,
    Source,
    State,
    layout,
    net,
    numbers,
    put,
    put_json,
    put_torch,
)

RANK = 4
LORA = 2 * (RANK * 64 + 64 * RANK) * 4
"""Bytes of adapters of rank 4 on two layers."""


def _lora(seed: int, ranks: tuple[int, ...] = (RANK, RANK)) -> State:
    state: State = {}
    for place, rank in enumerate(ranks):
        name = f"base_model.model.layers.{place}"
        state[f"{name}.lora_A.weight"] = numbers(1000 * seed + place, rank, 64)
        state[f"{name}.lora_B.weight"] = numbers(1000 * seed + place + 100, 64, rank)
    return state


def _config(folder: Path, base: object, **more: Any) -> None:
    put_json(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "base_model_name_or_path": None if base is None else str(base),
            "r": RANK,
            "target_modules": ["layers"],
            **more,
        },
    )


def _adapter(folder: Path, base: object, state: State, **more: Any) -> Source:
    _config(folder, base, **more)
    return Source(put(folder / "adapter_model.safetensors", state))


def _base(folder: Path) -> Source:
    put_json(folder / "config.json", {"architectures": ["X"]})
    return Source(put(folder / "model.safetensors", net(0)))


@layout(Read({"cats": NET + LORA}, NET + LORA, ["base", "LORA"]))
def adapter_with_local_base(tmp: Path) -> Made:
    """An adapter whose config names a folder that is there."""
    base = _base(tmp / "llama")
    adapter = _adapter(tmp / "cats", tmp / "llama", _lora(1))
    return Made([tmp / "cats"], {"cats": [base, adapter]})


@layout(
    Read(
        {"llama": NET, "cats": NET + LORA, "dogs": NET + LORA},
        NET + 2 * LORA,
        laminar=True,
    )
)
def adapters_and_their_base(tmp: Path) -> Made:
    """Two adapters and their base: the base is counted once."""
    base = _base(tmp / "llama")
    return Made(
        [tmp / "llama", tmp / "cats", tmp / "dogs"],
        {
            "llama": [base],
            "cats": [base, _adapter(tmp / "cats", tmp / "llama", _lora(1))],
            "dogs": [base, _adapter(tmp / "dogs", tmp / "llama", _lora(2))],
        },
    )


@layout(Read({"cats": NET + LORA, "dogs": NET + LORA}, NET + 2 * LORA, laminar=True))
def adapters_with_relative_base(tmp: Path) -> Made:
    """Two adapters whose configs name the base by its folder's name beside them."""
    base = _base(tmp / "llama")
    return Made(
        [tmp / "cats", tmp / "dogs"],
        {
            "cats": [base, _adapter(tmp / "cats", "../llama", _lora(1))],
            "dogs": [base, _adapter(tmp / "dogs", "llama", _lora(2))],
        },
    )


def hub(root: Path, state: State, commit: str = "0123abcd", ref: bool = True) -> Path:
    """Write a model's folder of the hub's cache; return its snapshot's file."""
    blob = put(root / "blobs" / f"blob-{commit}.safetensors", state)
    blob = blob.rename(root / "blobs" / f"blob-{commit}")
    file = root / "snapshots" / commit / "model.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(Path("../..") / "blobs" / blob.name)
    if ref:
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(commit)
    return file


@layout(
    Read({"cats": NET + LORA, "dogs": NET + LORA}, NET + 2 * LORA, ["models--meta--"])
)
def adapters_with_hub_snapshot(tmp: Path) -> Made:
    """Two adapters whose configs name a hub model whose snapshot lies beside them."""
    base = Source(hub(tmp / "models--meta--llama", net(0)))
    return Made(
        [tmp / "cats", tmp / "dogs"],
        {
            name: [base, _adapter(tmp / name, "meta/llama", _lora(seed))]
            for seed, name in enumerate(("cats", "dogs"), 1)
        },
    )


@layout(Read({"cats": NET + LORA, "dogs": NET + LORA}, NET + 2 * LORA, laminar=True))
def adapters_with_base_given(tmp: Path) -> Made:
    """Two adapters and --base."""
    base = _base(tmp / "elsewhere" / "llama")
    return Made(
        [tmp / "cats", tmp / "dogs", "--base", tmp / "elsewhere" / "llama"],
        {
            name: [base, _adapter(tmp / name, "meta/llama", _lora(seed))]
            for seed, name in enumerate(("cats", "dogs"), 1)
        },
    )


@layout(Refused(["adapter", "'meta/llama'", "--base"]))
def adapter_without_base(tmp: Path) -> Made:
    """An adapter whose base is nowhere to be found."""
    _adapter(tmp / "cats", "meta/llama", _lora(1))
    return Made([tmp / "cats"])


@layout(Refused(["adapter", "--base"]))
def adapter_without_name_of_base(tmp: Path) -> Made:
    """An adapter whose config names no base."""
    _adapter(tmp / "cats", None, _lora(1))
    return Made([tmp / "cats"])


@layout(Refused(["adapter", "--base"]))
def adapter_file_without_config(tmp: Path) -> Made:
    """A LoRA file by itself, without adapter_config.json."""
    return Made([put(tmp / "cats-lora.safetensors", _lora(1))])


@layout(Read({"cats": NET + LORA}, NET + LORA))
def adapter_file_without_config_and_base(tmp: Path) -> Made:
    """The same, and --base."""
    base = _base(tmp / "llama")
    adapter = Source(put(tmp / "cats.safetensors", _lora(1)))
    return Made([adapter.path, "--base", tmp / "llama"], {"cats": [base, adapter]})


DORA = LORA + 2 * 64 * 4


@layout(Read({"cats": NET + DORA, "dogs": NET + DORA}, NET + 2 * DORA, laminar=True))
def dora(tmp: Path) -> Made:
    """DoRA adapters, with magnitude vectors."""
    base = _base(tmp / "llama")
    models = {}
    for seed, name in enumerate(("cats", "dogs"), 1):
        state = _lora(seed) | {
            f"base_model.model.layers.{n}.lora_magnitude_vector": numbers(
                1000 * seed + n, 64
            )
            for n in range(2)
        }
        folder = tmp / name
        models[name] = [
            base,
            _adapter(folder, tmp / "llama", state, use_dora=True),
        ]
    return Made([tmp / "cats", tmp / "dogs"], models)


@layout(
    Read(
        {"cats": NET + 10 * 128 * 4, "dogs": NET + LORA},
        NET + 10 * 128 * 4 + LORA,
        laminar=True,
    )
)
def rank_pattern(tmp: Path) -> Made:
    """Adapters of another rank in each layer."""
    base = _base(tmp / "llama")
    config = {"rank_pattern": {"layers.0": 2, "layers.1": 8}}
    cats = _adapter(tmp / "cats", tmp / "llama", _lora(1, (2, 8)), **config)
    dogs = _adapter(tmp / "dogs", tmp / "llama", _lora(2))
    return Made(
        [tmp / "cats", tmp / "dogs"], {"cats": [base, cats], "dogs": [base, dogs]}
    )


@layout(
    Read(
        {"cats": NET + LORA + 3 * 64 * 4, "dogs": NET + LORA + 5 * 64 * 4},
        NET + 2 * LORA + 8 * 64 * 4,
        laminar=True,
    )
)
def modules_to_save(tmp: Path) -> Made:
    """Adapters with a head of their own in modules_to_save."""
    base = _base(tmp / "llama")
    models = {}
    for seed, (name, classes) in enumerate((("cats", 3), ("dogs", 5)), 1):
        head = {"base_model.model.classifier.weight": numbers(seed, classes, 64)}
        state = _lora(seed) | head
        config = {"modules_to_save": ["classifier"]}
        source = _adapter(tmp / name, tmp / "llama", state, **config)
        models[name] = [base, source]
    return Made([tmp / "cats", tmp / "dogs"], models)


@layout(Read({"cats": NET + LORA}, NET + LORA, ["copies", f"{WEIGHT:,} bytes"]))
def adapter_with_copy_of_base(tmp: Path) -> Made:
    """An adapter that carries a copy of the base's embedding: counted once."""
    base = _base(tmp / "llama")
    copy = {"base_model.model.layers.0.weight": net(0)["layers.0.weight"]}
    adapter = _adapter(tmp / "cats", tmp / "llama", _lora(1) | copy)
    return Made([tmp / "cats"], {"cats": [base, adapter]})


@layout(
    Read(
        {"llama": NET, "cats": NET + LORA + WEIGHT},
        NET + LORA + WEIGHT,
        ["trained anew", "both are counted"],
        laminar=True,
    )
)
def adapter_that_replaces_part_of_base(tmp: Path) -> Made:
    """An adapter with a trained layer in the place of one of the base."""
    base = _base(tmp / "llama")
    other = {"base_model.model.layers.3.weight": numbers(5, 64, 64)}
    config = {"modules_to_save": ["layers.3"]}
    adapter = _adapter(tmp / "cats", tmp / "llama", _lora(1) | other, **config)
    return Made(
        [tmp / "llama", tmp / "cats"], {"llama": [base], "cats": [base, adapter]}
    )


@layout(Read({"checkpoint-500": NET + LORA}, NET + LORA, silent=["optimizer"]))
def adapter_in_trainer_folder(tmp: Path) -> Made:
    """An adapter as .bin, in a Trainer's checkpoint with its optimiser."""
    base = _base(tmp / "llama")
    folder = tmp / "checkpoint-500"
    _config(folder, tmp / "llama")
    adapter = Source(put_torch(folder / "adapter_model.bin", _lora(1)))
    put_torch(folder / "optimizer.pt", {"state": {}, "param_groups": []})
    put_torch(folder / "rng_state.pth", {"cpu": torch.zeros(8, dtype=torch.uint8)})
    put_json(folder / "trainer_state.json", {"global_step": 500})
    return Made([folder], {"checkpoint-500": [base, adapter]})


@layout(Read({"cats": NET + LORA}, NET + LORA, ["base"]))
def adapter_file_in_its_folder(tmp: Path) -> Made:
    """An adapter's file by its own path, its config beside it."""
    base = _base(tmp / "llama")
    adapter = _adapter(tmp / "cats", tmp / "llama", _lora(1))
    return Made([f"cats={adapter.path}"], {"cats": [base, adapter]})


@layout(Read({"cats": NET + LORA, "dogs": NET + LORA}, NET + 2 * LORA, laminar=True))
def adapters_joined_by_hand(tmp: Path) -> Made:
    """BASE+ADAPTER, of folders and of files without a config."""
    base = _base(tmp / "llama")
    cats = _adapter(tmp / "cats", "nowhere/known", _lora(1))
    dogs = Source(put(tmp / "dogs.safetensors", _lora(2)))
    return Made(
        [f"cats={tmp}/llama+{tmp}/cats", f"dogs={base.path}+{dogs.path}"],
        {"cats": [base, cats], "dogs": [base, dogs]},
    )


@layout(Read({"cats": NET + LORA}, NET + LORA, ["base"]))
def adapter_in_the_folder_of_its_base(tmp: Path) -> Made:
    """A folder with both the base's model.safetensors and an adapter."""
    base = _base(tmp / "cats")
    adapter = _adapter(tmp / "cats", "meta/llama", _lora(1))
    return Made([tmp / "cats"], {"cats": [base, adapter]})


@layout(
    Read(
        {"cats": NET + 2 * 64 * 4, "dogs": NET + 2 * 64 * 4},
        NET + 4 * 64 * 4,
        laminar=True,
    )
)
def scaling_adapters(tmp: Path) -> Made:
    """IA3 adapters: vectors of a few bytes are an adapter's weights."""
    base = _base(tmp / "llama")
    models = {}
    for seed, name in enumerate(("cats", "dogs"), 1):
        state = {
            f"base_model.model.layers.{n}.ia3_l": numbers(seed + 9 * n, 64)
            for n in range(2)
        }
        source = _adapter(tmp / name, tmp / "llama", state, peft_type="IA3")
        models[name] = [base, source]
    return Made([tmp / "cats", tmp / "dogs"], models)


@layout(
    Read(
        {"cats": NET + LORA, "whole": NET},
        NET + LORA + LAYER,
        laminar=True,
    )
)
def adapter_beside_a_fine_tune(tmp: Path) -> Made:
    """An adapter and a fine-tune of its base that kept three layers."""
    base = _base(tmp / "llama")
    adapter = _adapter(tmp / "cats", tmp / "llama", _lora(1))
    whole = Source(put(tmp / "whole.safetensors", net(1, frozen=3)))
    return Made([tmp / "cats", whole.path], {"cats": [base, adapter], "whole": [whole]})
