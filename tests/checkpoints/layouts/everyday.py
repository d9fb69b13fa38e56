"""Files of every day, read by their content."""

from __future__ import annotations

import argparse
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.checkpoints.layouts.adapters import hub
from tests.checkpoints.layouts.made import (
    LAYER,
    NET,
    WEIGHT,
    Made,
    Read,
    Refused,
    Source,
    halves,
    index,
    layout,
    net,
    numbers,
    put,
    put_json,
    put_torch,
)

ONE_NET = Read({"m": NET}, NET)


def _saved(path: Path, value: Any, *key: str, **options: Any) -> Made:
    put_torch(path, value, **options)
    return Made([f"m={path}"], {"m": [Source(path, key)]})


@layout(ONE_NET)
def lightning(tmp: Path) -> Made:
    """A Lightning .ckpt: loops, callbacks, hyper_parameters with objects."""
    value = {
        "epoch": 3,
        "global_step": 1000,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": net(1),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": 1}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': None}": {
                "best_model_score": torch.tensor(0.5),
                "dirpath": Path("/runs"),
            }
        },
        "optimizer_states": [{"state": {0: {"exp_avg": numbers(1, 64)}}}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": argparse.Namespace(lr=0.1, data=Path("/data")),
    }
    return _saved(tmp / "last.ckpt", value, "state_dict")


@layout(ONE_NET)
def imagenet_example(tmp: Path) -> Made:
    """A .pth.tar of the ImageNet example: best_acc1, arch, state_dict, optimizer."""
    value = {
        "epoch": 90,
        "arch": "resnet18",
        "state_dict": net(1, prefix="module.layers"),
        "best_acc1": torch.tensor(76.1),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
    }
    return _saved(tmp / "model_best.pth.tar", value, "state_dict")


@layout(ONE_NET)
def safetensors_called_bin(tmp: Path) -> Made:
    """A safetensors file that is called .bin."""
    path = put(tmp / "m.safetensors", net(1))
    path = path.rename(tmp / "pytorch_model.bin")
    return Made([f"m={path}"], {"m": [Source(path)]})


@layout(ONE_NET)
def torch_file_called_safetensors(tmp: Path) -> Made:
    """A PyTorch file that is called .safetensors."""
    return _saved(tmp / "m.safetensors", net(1))


@layout(ONE_NET)
def file_without_ending(tmp: Path) -> Made:
    """A PyTorch file without an ending, as a blob of a cache."""
    return _saved(tmp / "m", net(1))


@layout(ONE_NET)
def other_ending(tmp: Path) -> Made:
    """A PyTorch file with an ending of its own: .model."""
    return _saved(tmp / "m.model", net(1))


@layout(ONE_NET)
def old_format(tmp: Path) -> Made:
    """A PyTorch file from before 1.6, no zip archive."""
    return _saved(tmp / "m.pth", net(1), _use_new_zipfile_serialization=False)


@layout(ONE_NET)
def old_format_with_objects(tmp: Path) -> Made:
    """The same with a Namespace beside the weights."""
    value = {"state_dict": net(1), "args": argparse.Namespace(lr=0.1)}
    path = tmp / "m.pth.tar"
    return _saved(path, value, "state_dict", _use_new_zipfile_serialization=False)


@layout(ONE_NET)
def hub_root(tmp: Path) -> Made:
    """The root of a model in the hub's cache: models--org--name."""
    file = hub(tmp / "models--org--name", net(1))
    return Made([f"m={tmp / 'models--org--name'}"], {"m": [Source(file)]})


@layout(ONE_NET)
def hub_snapshot(tmp: Path) -> Made:
    """A snapshot of the hub's cache, whose files are links to blobs."""
    file = hub(tmp / "models--org--name", net(1))
    return Made([f"m={file.parent}"], {"m": [Source(file)]})


@layout(Read({"m": NET}, NET, ["cafe0001"]))
def hub_root_of_two_snapshots(tmp: Path) -> Made:
    """A hub root with two snapshots: the one that refs/main names."""
    root = tmp / "models--org--name"
    hub(root, net(2), "beef0002", ref=False)
    file = hub(root, net(1), "cafe0001")
    return Made([f"m={root}"], {"m": [Source(file)]})


@layout(Refused(["snapshots", "beef0002", "cafe0001"]))
def hub_root_without_main(tmp: Path) -> Made:
    """A hub root with two snapshots and no refs/main."""
    root = tmp / "models--org--name"
    hub(root, net(2), "beef0002", ref=False)
    hub(root, net(1), "cafe0001", ref=False)
    return Made([root])


@layout(Refused(["blob", "missing", "download"]))
def hub_snapshot_without_blob(tmp: Path) -> Made:
    """A snapshot whose blob was deleted."""
    file = hub(tmp / "models--org--name", net(1))
    file.resolve().unlink()
    return Made([file.parent])


LFS = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 44700000\n"
)


@layout(Refused(["Git LFS pointer", "git lfs pull"]))
def lfs_pointer(tmp: Path) -> Made:
    """A Git LFS pointer in the place of a safetensors file."""
    (tmp / "model.safetensors").write_text(LFS)
    return Made([tmp / "model.safetensors"])


@layout(Refused(["Git LFS pointer", "git lfs pull"]))
def folder_of_lfs_pointers(tmp: Path) -> Made:
    """A cloned folder whose weights are Git LFS pointers."""
    put_json(tmp / "clone" / "config.json", {})
    (tmp / "clone" / "pytorch_model.bin").write_text(LFS)
    return Made([tmp / "clone"])


@layout(ONE_NET)
def wrapped_in_net(tmp: Path) -> Made:
    """Weights under net, with acc and epoch."""
    return _saved(tmp / "m.pth", {"net": net(1), "acc": 93.1, "epoch": 4}, "net")


@layout(ONE_NET)
def wrapped_in_module(tmp: Path) -> Made:
    """Weights under module, as DeepSpeed saves them."""
    value = {
        "module": net(1),
        "buffer_names": [],
        "dp_world_size": 2,
        "optimizer": None,
    }
    return _saved(tmp / "mp_rank_00_model_states.pt", value, "module")


@layout(ONE_NET)
def wrapped_in_model_state(tmp: Path) -> Made:
    """Weights under model_state."""
    value = {"model_state": net(1), "optimizer_state": {"state": {}}, "it": 5}
    return _saved(tmp / "m.pth", value, "model_state")


@layout(ONE_NET)
def wrapped_twice(tmp: Path) -> Made:
    """Weights under model, and there under state_dict beside a config."""
    value = {"model": {"state_dict": net(1), "config": {"depth": 4}}, "epoch": 1}
    return _saved(tmp / "m.pth", value, "model", "state_dict")


@layout(Read({"m": NET}, NET, ["'my_weights'"]))
def wrapped_in_other_word(tmp: Path) -> Made:
    """Weights under a key that nobody knows, beside numbers."""
    return _saved(tmp / "m.pth", {"my_weights": net(1), "lr": 0.1}, "my_weights")


@layout(ONE_NET)
def namespace_beside(tmp: Path) -> Made:
    """An argparse.Namespace beside the weights."""
    value = {"model": net(1), "args": argparse.Namespace(lr=0.1, out=Path("/x"))}
    return _saved(tmp / "m.pth", value, "model")


@layout(ONE_NET)
def numpy_scalars_beside(tmp: Path) -> Made:
    """Numpy scalars and arrays beside the weights."""
    value = {
        "model": net(1),
        "best": np.float64(0.3),
        "curve": np.arange(5.0),
        "rng": ("MT19937", np.arange(624, dtype=np.uint32), 3, 0, 0.0),
    }
    return _saved(tmp / "m.pth", value, "model")


@layout(Read({"m": NET}, NET, ["epoch"]))
def numbers_among_weights(tmp: Path) -> Made:
    """Weights at the top of the file with numbers and words among them."""
    value = {**net(1), "epoch": 3, "arch": "resnet", "best": np.float32(1)}
    return _saved(tmp / "m.pth", value)


@layout(Read({"checkpoint-500": NET}, NET, silent=["optimizer", "training_args"]))
def trainer_folder(tmp: Path) -> Made:
    """A Trainer's checkpoint: training_args.bin, optimizer.pt, rng_state.pth."""
    folder = tmp / "checkpoint-500"
    path = put(folder / "model.safetensors", net(1))
    put_torch(folder / "training_args.bin", argparse.Namespace(lr=0.1))
    put_torch(folder / "optimizer.pt", {"state": {}, "param_groups": []})
    put_torch(folder / "scheduler.pt", {"last_epoch": 1})
    put_torch(folder / "rng_state.pth", {"cpu": torch.zeros(8, dtype=torch.uint8)})
    put_json(folder / "trainer_state.json", {"global_step": 500})
    return Made([folder], {"checkpoint-500": [Source(path)]})


@layout(Read({"run": NET}, NET, silent=["optimizer"]))
def trainer_folder_of_bins(tmp: Path) -> Made:
    """An old Trainer's checkpoint, all of it .bin and .pt."""
    folder = tmp / "run"
    path = put_torch(folder / "pytorch_model.bin", net(1))
    put_torch(folder / "training_args.bin", argparse.Namespace(lr=0.1))
    put_torch(folder / "optimizer.pt", {"state": {}, "param_groups": []})
    put_torch(folder / "scheduler.pt", {"last_epoch": 1})
    return Made([folder], {"run": [Source(path)]})


def _shards(folder: Path, ending: str = ".safetensors") -> list[Path]:
    stem = "model" if ending == ".safetensors" else "pytorch_model"
    first, second = halves(net(1))
    shards = [folder / f"{stem}-0000{n}-of-00002{ending}" for n in (1, 2)]
    index(folder / f"{stem}{ending}.index.json", {shards[0]: first, shards[1]: second})
    return shards


@layout(Read({"mistral": NET}, NET, ["consolidated.safetensors", "left out"]))
def consolidated_beside_shards(tmp: Path) -> Made:
    """Shards with an index, and consolidated.safetensors beside them."""
    shards = _shards(tmp / "mistral")
    put(tmp / "mistral" / "consolidated.safetensors", net(1, prefix="l"))
    return Made([tmp / "mistral"], {"mistral": list(map(Source, shards))})


@layout(Read({"old": NET}, NET))
def shards_of_bins(tmp: Path) -> Made:
    """Shards as .bin with an index."""
    shards = _shards(tmp / "old", ".bin")
    return Made([tmp / "old"], {"old": list(map(Source, shards))})


@layout(Refused(["model-00002-of-00002.safetensors", "missing"]))
def shard_missing(tmp: Path) -> Made:
    """Shards with an index, one of them missing."""
    _shards(tmp / "half")[1].unlink()
    return Made([tmp / "half"])


@layout(Refused(["2 of 2", "missing"]))
def shard_missing_without_index(tmp: Path) -> Made:
    """Numbered shards without an index, one of them missing."""
    _shards(tmp / "half")[1].unlink()
    (tmp / "half" / "model.safetensors.index.json").unlink()
    return Made([tmp / "half"])


@layout(Read({"m": NET}, NET, ["fp16", "left out"]))
def variants_in_one_folder(tmp: Path) -> Made:
    """model.safetensors and model.fp16.safetensors in one folder."""
    path = put(tmp / "m" / "model.safetensors", net(1))
    half = {n: t.half() for n, t in net(1).items()}
    put(tmp / "m" / "model.fp16.safetensors", half)
    return Made([tmp / "m"], {"m": [Source(path)]})


@layout(Read({"m": NET // 2}, NET // 2, ["fp16"]))
def variant_alone(tmp: Path) -> Made:
    """model.fp16.safetensors alone."""
    half = {n: t.half() for n, t in net(1).items()}
    path = put(tmp / "m" / "model.fp16.safetensors", half)
    return Made([tmp / "m"], {"m": [Source(path)]})


@layout(Read({"m": NET}, NET, ["pytorch_model.bin", "left out"]))
def both_formats_in_one_folder(tmp: Path) -> Made:
    """model.safetensors and pytorch_model.bin with the same weights."""
    path = put(tmp / "m" / "model.safetensors", net(1))
    put_torch(tmp / "m" / "pytorch_model.bin", net(1))
    (tmp / "m" / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    return Made([tmp / "m"], {"m": [Source(path)]})


@layout(ONE_NET)
def link_to_file(tmp: Path) -> Made:
    """A link to a file in a folder of another name."""
    path = put(tmp / "store" / "1f2e", net(1))
    link = tmp / "m.safetensors"
    link.symlink_to(path)
    return Made([link], {"m": [Source(path)]})


@layout(Read({"best": NET}, NET))
def link_to_folder(tmp: Path) -> Made:
    """A link, best, to a folder."""
    path = put(tmp / "run" / "model.safetensors", net(1))
    (tmp / "best").symlink_to(tmp / "run")
    return Made([tmp / "best"], {"best": [Source(path)]})


@layout(Read({"m": NET}, NET))
def extra_state(tmp: Path) -> Made:
    """_extra_state of modules: None, bytes, and an object."""
    value: dict[str, Any] = {
        **net(1),
        "a._extra_state": None,
        "b._extra_state": {"scale": 3.0},
        "c._extra_state": argparse.Namespace(recipe=3),
    }
    return _saved(tmp / "m.pt", value)


def _quantised_linear(dynamic: bool) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls them deprecated
        network = torch.nn.Sequential(torch.nn.Linear(64, 64))
        with torch.no_grad():
            network[0].weight.copy_(numbers(1, 64, 64))
            network[0].bias.copy_(numbers(2, 64))
        if dynamic:
            done = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear})
            return dict(done.state_dict())
        weight = torch.quantize_per_channel(
            numbers(1, 64, 64),
            torch.full((64,), 0.1, dtype=torch.float64),
            torch.zeros(64, dtype=torch.int64),
            0,
            torch.qint8,
        )
    return {
        "0.scale": torch.tensor(0.5),
        "0.zero_point": torch.tensor(3),
        "0._packed_params.dtype": torch.qint8,
        "0._packed_params._packed_params": (weight, numbers(2, 64)),
    }


# 64 × 64 integers with a scale and a zero point of 8 bytes each; 64 float32 biases;
# scale (float32) and zero point (int64) of the activations.
DYNAMIC = 64 * 64 + 16 + 256 + 4 + 8


@layout(Read({"m": DYNAMIC}, DYNAMIC))
def quantised_dynamically(tmp: Path) -> Made:
    """The state dict of a torch.ao model, quantised dynamically."""
    return _saved(tmp / "m.pt", _quantised_linear(dynamic=True))


STATIC = 64 * 64 + 64 * 16 + 256 + 4 + 8


@layout(Read({"m": STATIC}, STATIC))
def quantised_by_channel(tmp: Path) -> Made:
    """The state dict of a torch.ao model with scales by channel."""
    return _saved(tmp / "m.pt", _quantised_linear(dynamic=False))


@layout(Read({"m": NET}, NET, ["twice"]))
def tied_weights(tmp: Path) -> Made:
    """Tied weights: one tensor under two names."""
    state = net(1)
    state["head.weight"] = state["layers.0.weight"]
    return _saved(tmp / "m.pt", state)


@layout(Read({"m": 2 * WEIGHT}, 2 * WEIGHT))
def views_of_one_storage(tmp: Path) -> Made:
    """Halves of one matrix, one of them transposed."""
    whole = numbers(1, 128, 64)
    return _saved(tmp / "m.pt", {"a": whole[:64], "b": whole[64:].t()})


@layout(Read({"m": NET, "n": NET}, 2 * NET - 2 * LAYER, laminar=True))
def two_formats_and_a_prefix(tmp: Path) -> Made:
    """Fine-tunes of one base in two formats, one with module. before its names."""
    one = put(tmp / "m.safetensors", net(1, frozen=2))
    two = put_torch(tmp / "n.ckpt", {"state_dict": net(2, 0, 2, "module.layers")})
    return Made([one, two], {"m": [Source(one)], "n": [Source(two, ("state_dict",))]})


@layout(ONE_NET)
def zip_rewritten(tmp: Path) -> Made:
    """A PyTorch file rewritten by another zip program, records elsewhere."""
    import zipfile

    source = put_torch(tmp / "source.pt", net(1))
    path = tmp / "m.pt"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return Made([path], {"m": [Source(path)]})


@layout(Read({"m": NET}, NET, ["cats.pth"]))
def folder_of_one_other_file(tmp: Path) -> Made:
    """A folder with one file of weights of any name, beside logs and pictures."""
    path = put_torch(tmp / "m" / "cats.pth", {"model": net(1)})
    (tmp / "m" / "log.txt").write_text("epoch 1\n")
    (tmp / "m" / "curve.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    shutil.copy(tmp / "m" / "log.txt", tmp / "m" / "events.out.tfevents.1.host")
    return Made([tmp / "m"], {"m": [Source(path, ("model",))]})


@layout(Read({"m": NET}, NET, silent=["too many"]))
def deep_prefix(tmp: Path) -> Made:
    """Dicts of dicts of tensors, four levels deep."""
    nested: Any = {}
    for name, value in net(1).items():
        first, second, third = name.split(".")
        nested.setdefault(first, {}).setdefault(second, {})[third] = value
    return _saved(tmp / "m.pt", {"tower": nested}, "tower")
