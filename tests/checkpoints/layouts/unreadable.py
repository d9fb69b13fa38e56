"""What is refused, with the way out."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

import torch

from tests.checkpoints.layouts.made import (
    Made,
    Refused,
    layout,
    net,
    numbers,
    put,
    put_json,
    put_torch,
)


def _bytes(path: Path, content: bytes) -> Made:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Made([path])


@layout(Refused(["torch.nn.modules.linear.Linear", "state_dict()", "runs its code"]))
def whole_module(tmp: Path) -> Made:
    """torch.save of a whole module."""
    return Made([put_torch(tmp / "m.pt", torch.nn.Linear(64, 64))])


@layout(Refused(["torch.nn.modules.linear.Linear", "state_dict()"]))
def whole_module_under_key(tmp: Path) -> Made:
    """A whole module under model, as YOLO's files hold it."""
    value = {"model": torch.nn.Linear(64, 64), "ema": None, "epoch": 3}
    return Made([put_torch(tmp / "m.pt", value)])


@layout(Refused(["TorchScript", "torch.jit.load", "safetensors"]))
def torchscript(tmp: Path) -> Made:
    """A TorchScript archive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(torch.nn.Linear(64, 64)).save(str(tmp / "m.pt"))
    return Made([tmp / "m.pt"])


@layout(Refused(["ONNX", "onnx.load", "safetensors"]))
def onnx(tmp: Path) -> Made:
    """An ONNX file."""
    content = b"\x08\x08\x12\x07pytorch\x1a\x052.6.0:\x10" + bytes(200)
    return _bytes(tmp / "m.onnx", content)


@layout(Refused(["GGUF", "gguf_file", "safetensors"]))
def gguf(tmp: Path) -> Made:
    """A GGUF file."""
    return _bytes(tmp / "m.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(64))


@layout(Refused(["GGUF"]))
def folder_of_gguf(tmp: Path) -> Made:
    """A folder that holds a GGUF file alone."""
    _bytes(tmp / "m" / "q4.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(64))
    return Made([tmp / "m"])


@layout(Refused(["HDF5", "h5py", "safetensors"]))
def hdf5(tmp: Path) -> Made:
    """A Keras or TensorFlow .h5 file."""
    return _bytes(tmp / "tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(500))


@layout(Refused(["Keras", "save_weights"]))
def keras(tmp: Path) -> Made:
    """A .keras archive."""
    with zipfile.ZipFile(tmp / "m.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return Made([tmp / "m.keras"])


@layout(Refused(["numpy", "safetensors"]))
def numpy_archive(tmp: Path) -> Made:
    """A .npz file."""
    import numpy as np

    np.savez(tmp / "m.npz", a=np.ones(5))
    return Made([tmp / "m.npz"])


@layout(Refused(["Flax", "from_flax"]))
def flax(tmp: Path) -> Made:
    """A flax_model.msgpack file."""
    return _bytes(tmp / "flax_model.msgpack", b"\x82\xa6params\x81\xa1w\xc0" + bytes(9))


@layout(Refused(["pickle", "torch.save"]))
def plain_pickle(tmp: Path) -> Made:
    """A pickle that torch did not write: .pkl."""
    return _bytes(tmp / "m.pkl", pickle.dumps({"w": [1.0, 2.0]}, protocol=4))


@layout(Refused(["posix.system", "nothing was run"]))
def pickle_with_payload(tmp: Path) -> Made:
    """A PyTorch file made to do harm."""
    import os

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp / 'mark'}",)

    return Made([put_torch(tmp / "m.pt", {"w": net(1), "x": Payload()})])


@layout(Refused(["no weights"]))
def bytearray_bomb(tmp: Path) -> Made:
    """A few hundred bytes that ask for a bytearray of 2 GB."""

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return bytearray, (2_000_000_000,)

    return Made([put_torch(tmp / "m.pt", {"x": Bomb()})])


@layout(Refused(["optimiser", "weights"]))
def optimiser_alone(tmp: Path) -> Made:
    """An optimiser's state by itself."""
    state = {"state": {0: {"exp_avg": numbers(1, 64)}}, "param_groups": [{"lr": 0.1}]}
    return Made([put_torch(tmp / "optimizer.pt", state)])


@layout(Refused(["empty"]))
def empty_file(tmp: Path) -> Made:
    """A file without a byte."""
    return _bytes(tmp / "m.pt", b"")


@layout(Refused(["HTML", "download"]))
def html_page(tmp: Path) -> Made:
    """An error page saved under the name of a checkpoint."""
    return _bytes(tmp / "m.safetensors", b"<!DOCTYPE html><html>404</html>")


@layout(Refused(["cut short", "download"]))
def cut_safetensors(tmp: Path) -> Made:
    """A safetensors file of which the last bytes are missing."""
    path = put(tmp / "m.safetensors", net(1))
    return _bytes(path, path.read_bytes()[:-100])


@layout(Refused(["cut short", "download"]))
def cut_torch_file(tmp: Path) -> Made:
    """A PyTorch file of which the last bytes are missing."""
    path = put_torch(tmp / "m.pt", net(1))
    return _bytes(path, path.read_bytes()[:-100])


@layout(Refused(["compressed", "gunzip"]))
def gzipped(tmp: Path) -> Made:
    """A checkpoint in gzip."""
    path = put(tmp / "m.safetensors", net(1))
    return _bytes(tmp / "m.safetensors.gz", gzip.compress(path.read_bytes()[:500]))


@layout(Refused(["tar", "tar -x"]))
def tar_archive(tmp: Path) -> Made:
    """A folder in a tar: model.tar."""
    path = put(tmp / "model.safetensors", net(1))
    with tarfile.open(tmp / "m.tar", "w") as tar:
        tar.add(path, "model.safetensors")
    return Made([tmp / "m.tar"])


@layout(Refused(["zip", "unzip"]))
def zip_archive(tmp: Path) -> Made:
    """A folder in a zip: model.zip."""
    path = put(tmp / "model.safetensors", net(1))
    with zipfile.ZipFile(tmp / "m.zip", "w") as archive:
        archive.write(path, "model.safetensors")
    return Made([tmp / "m.zip"])


@layout(Refused(["distributed", "dcp_to_torch"]))
def distributed_checkpoint(tmp: Path) -> Made:
    """A folder that torch.distributed.checkpoint wrote."""
    folder = tmp / "step-100"
    folder.mkdir()
    (folder / ".metadata").write_bytes(pickle.dumps({}))
    (folder / "__0_0.distcp").write_bytes(bytes(100))
    return Made([folder])


@layout(Refused(["DeepSpeed", "zero_to_fp32.py"]))
def deepspeed_folder(tmp: Path) -> Made:
    """A DeepSpeed folder: parts of the weights in the optimiser's files."""
    folder = tmp / "run"
    (folder / "global_step500").mkdir(parents=True)
    (folder / "latest").write_text("global_step500")
    (folder / "zero_to_fp32.py").write_text("")
    for rank in range(2):
        put_torch(
            folder / f"global_step500/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt",
            {"optimizer_state_dict": {"flat": numbers(rank, 64)}},
        )
    return Made([folder])


@layout(Refused(["TensorFlow", "safetensors"]))
def tensorflow_folder(tmp: Path) -> Made:
    """A TensorFlow SavedModel."""
    folder = tmp / "m"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\x04test")
    (folder / "variables" / "variables.index").write_bytes(bytes(40))
    return Made([folder])


@layout(Refused(["sparse", "to_dense"]))
def sparse_tensor(tmp: Path) -> Made:
    """A sparse tensor among the weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sparse formats in beta state
        value = net(1) | {"s": torch.eye(3).to_sparse()}
        return Made([put_torch(tmp / "m.pt", value)])


@layout(Refused(["numpy", "tensors"]))
def arrays_as_weights(tmp: Path) -> Made:
    """Weights that are numpy arrays."""
    value = {"model": {name: value.numpy() for name, value in net(1).items()}}
    return Made([put_torch(tmp / "m.pth", value)])


@layout(Refused(["no checkpoint file", "config.json"]))
def folder_without_weights(tmp: Path) -> Made:
    """A folder with a config and no weights."""
    put_json(tmp / "m" / "config.json", {"architectures": ["X"]})
    return Made([tmp / "m"])


@layout(Refused(["list", "dict of names"]))
def list_of_tensors(tmp: Path) -> Made:
    """A list of tensors without names."""
    return Made([put_torch(tmp / "m.pt", [numbers(1, 64), numbers(2, 64)])])


@layout(Refused(["text"]))
def text_file(tmp: Path) -> Made:
    """A text file under the name of a checkpoint."""
    return _bytes(tmp / "m.pt", io.BytesIO(b"see the other folder\n").read())
