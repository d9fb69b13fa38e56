"""Checkpoint files: the files that make up a model, and their tensors.

A checkpoint is a ``.safetensors`` file, a PyTorch file (``.pt``, ``.pth``, ``.bin``),
a folder of shards, or several of these joined by ``+`` (an adapter on its backbone).
Files are not trusted: they are read without executing anything in them, or rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgesim.checkpoints.digest import RawTensor, digests
from edgesim.errors import InputError, short
from edgesim.files import read_json

SAFETENSORS = ".safetensors"
PICKLED = (".bin", ".pt", ".pth")
SUFFIXES = (SAFETENSORS, *PICKLED)

_INDEXES = {
    SAFETENSORS: "model.safetensors.index.json",
    ".bin": "pytorch_model.bin.index.json",
}
_ARCHITECTURE = re.compile(r"(torchvision|timm|hf):")


@dataclass(frozen=True)
class CheckpointFiles:
    """A model's name and the files or folders that contain it, as given."""

    name: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class TensorRecord:
    """One tensor of a checkpoint.

    Parameters
    ----------
    name
        Its name in the file.
    dtype
        Element type, as torch names it: ``float32``, ``bfloat16``, ``qint8``.
    shape
        Sizes of its dimensions.
    bytes
        Size of its content, including scales and zero points of a quantised tensor.
    digest
        SHA-256 of dtype, shape and raw bytes, in hex. Thus NaN equals NaN with the same
        bits, and 0.0 differs from −0.0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    digest: str


@dataclass(frozen=True)
class Checkpoint:
    """One model's tensors, input side first as far as the files show the order.

    Parameters
    ----------
    name
        The model's name.
    paths
        The files that were read.
    tensors
        All non-empty tensors: those of a PyTorch file in file order, those of
        safetensors files, which keep no order, in natural order of their names
        (``layers.2`` before ``layers.10``); part by part if files were joined.
    zero_size
        Number of tensors without elements, which were left out.
    """

    name: str
    paths: tuple[Path, ...]
    tensors: tuple[TensorRecord, ...]
    zero_size: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, counting every tensor of repeated content."""
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def dtype(self) -> str:
        """Type of the floating-point tensors, of all if there are none; or mixed."""
        found = {tensor.dtype for tensor in self.tensors}
        floating = {name for name in found if name.startswith(("float", "bfloat"))}
        return "mixed" if len(floating or found) > 1 else (floating or found).pop()


def parse_checkpoint(text: str) -> CheckpointFiles:
    """Parse ``[NAME=]PATH[+PATH…]``.

    An existing path is taken literally, including any ``=`` and ``+`` in it. The name
    defaults to that of the file without its suffix, or of the folder.

    Raises
    ------
    InputError
        If a name or a path is empty.
    """
    name, given = "", text
    head, equals, tail = text.partition("=")
    if equals and not _exists(text) and "/" not in head:
        name, given = head, tail
        if not name:
            raise InputError(short(text), "a name is missing before '='")
    pieces = _split(given)
    if "" in pieces:
        raise InputError(
            short(text), "a path is missing; give [NAME=]PATH or [NAME=]PATH+PATH"
        )
    paths = tuple(map(Path, pieces))
    return CheckpointFiles(name or "+".join(map(_stem, paths)), paths)


def _split(text: str) -> list[str]:
    """Split at ``+``, but not inside an existing path; the longest one wins."""
    pieces = text.split("+")
    found = []
    start = 0
    while start < len(pieces):
        end = next(
            (
                end
                for end in range(len(pieces), start + 1, -1)
                if _exists("+".join(pieces[start:end]))
            ),
            start + 1,
        )
        found.append("+".join(pieces[start:end]))
        start = end
    return found


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # too long a name, no access, a NUL
        return False


def _stem(path: Path) -> str:
    if path.suffix.lower() in SUFFIXES:
        return path.stem
    return path.name if path.name not in ("", "..") else path.resolve().name or "root"


def is_checkpoint(text: str) -> bool:
    """Whether a text names checkpoint files rather than an architecture.

    It does if one of its paths exists or has a checkpoint file's suffix.
    """
    if _exists(text):
        return True
    if _ARCHITECTURE.match(text):
        return False
    _, equals, tail = text.partition("=")
    parts = _split(tail if equals else text)
    return any(_exists(p) or Path(p).suffix.lower() in SUFFIXES for p in parts)


def checkpoint_paths(files: CheckpointFiles) -> tuple[Path, ...]:
    """List the files of a checkpoint, expanding folders, without reading any weights.

    For a folder, these are its ``.safetensors`` files sorted by name; if it has none,
    its ``.bin``, ``.pt`` and ``.pth`` files. Hidden files are ignored. An index of
    shards, if present, must name exactly the files that exist.

    Raises
    ------
    InputError
        Naming the path, if it does not exist, is not a checkpoint, or is a folder that
        does not match its index.
    """
    return tuple(path for part in _parts(files) for path in part)


def _parts(files: CheckpointFiles) -> list[list[Path]]:
    return [_opened(path) for path in files.paths]


def _opened(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.exists() and not path.is_file():
            raise InputError(path, "is neither a file nor a folder")
        path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError:
        raise InputError(short(str(path)), "is not a file name") from None
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            path,
            f"must be a folder or end in {', '.join(SUFFIXES)}, "
            f"found {path.suffix or 'no ending'!r}",
        )
    return [path]


def _in_folder(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    for endings in ((SAFETENSORS,), PICKLED):
        found = [path for path in files if path.suffix.lower() in endings]
        for ending in endings:
            index = folder / _INDEXES.get(ending, "")
            if found and index in files:
                _check_index(index, {path.name for path in found})
        if found:
            return found
    raise InputError(folder, f"holds no checkpoint file ({', '.join(SUFFIXES)})")


def _check_index(index: Path, found: set[str]) -> None:
    content = read_json(index)
    table = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(table, Mapping):
        raise InputError(index, "must hold one object with the key 'weight_map'")
    listed = {str(name) for name in table.values()}
    if listed - found:
        raise InputError(index, f"lists {short(min(listed - found))}, which is missing")
    if found - listed:
        raise InputError(
            index,
            f"does not list {short(min(found - listed))}, which stands beside it; "
            f"join the files that belong together by '+'",
        )


def unreadable(path: Path, error: OSError) -> InputError:
    """Convert a file system error to an input error that names the path."""
    reason = error.strerror or str(error) or "the reason is not known"
    return InputError(path, f"cannot be read: {reason[0].lower()}{reason[1:]}")


def read_checkpoint(
    files: CheckpointFiles, done: Callable[[int], None] | None = None
) -> Checkpoint:
    """Read a checkpoint and hash every tensor.

    Memory use is a few MiB for safetensors files, which are read in chunks, and at most
    one file for PyTorch files, which are memory-mapped if possible. The time is that of
    reading or of hashing, whichever takes longer.

    Parameters
    ----------
    files
        From :func:`parse_checkpoint`.
    done
        Called with the bytes of each hashed tensor.

    Raises
    ------
    InputError
        Naming the file, if it is missing, broken, not a checkpoint, contains objects
        that cannot be read without running code, contains no weights, or if two files
        hold tensors of the same name; or if PyTorch is needed and not installed.
    """
    owners: dict[str, Path] = {}
    tensors: list[TensorRecord] = []
    zero_size = 0
    parts = _parts(files)
    for part in parts:
        records: list[TensorRecord] = []
        for path in part:
            for record in _read_file(path, done):
                owner = owners.setdefault(record.name, path)
                if owner is not path:
                    raise InputError(
                        path,
                        f"holds a tensor {short(record.name)}, and so does {owner}; "
                        f"both are part of {short(files.name)}: a folder is the shards "
                        f"of one model, name the files if each is a model of its own",
                    )
                records.append(record)
        if all(path.suffix.lower() == SAFETENSORS for path in part):
            records.sort(key=lambda record: (natural_key(record.name), record.name))
        zero_size += sum(record.bytes == 0 for record in records)
        tensors += [record for record in records if record.bytes]
    paths = tuple(path for part in parts for path in part)
    if not tensors:
        raise InputError(
            " + ".join(map(str, paths)),
            f"holds no weights, only tensors without elements ({zero_size})"
            if zero_size
            else "holds no tensors",
        )
    return Checkpoint(files.name, paths, tuple(tensors), zero_size)


def _read_file(path: Path, done: Callable[[int], None] | None) -> list[TensorRecord]:
    try:
        if path.suffix.lower() == SAFETENSORS:
            from edgesim.checkpoints.safetensors_file import safetensors_in

            return _hashed(safetensors_in(path), done)
        if find_spec("torch") is None:
            raise InputError(
                path,
                "is a PyTorch file, and reading it needs PyTorch, which is not "
                "installed; pip install 'edgesim[profile]', or convert it to "
                "safetensors",
            )
        from edgesim.checkpoints.pickled import pickled_in

        return _hashed(pickled_in(path), done)
    except OSError as error:
        raise unreadable(path, error) from None


def _hashed(
    tensors: Sequence[RawTensor], done: Callable[[int], None] | None
) -> list[TensorRecord]:
    return [
        TensorRecord(tensor.name, tensor.dtype, tensor.shape, tensor.bytes, digest)
        for tensor, digest in zip(tensors, digests(tensors, done), strict=True)
    ]


def check_names(checkpoints: Iterable[CheckpointFiles]) -> None:
    """Reject two checkpoints with the same name.

    Raises
    ------
    InputError
        Naming both.
    """
    seen: dict[str, CheckpointFiles] = {}
    for files in checkpoints:
        twin = seen.setdefault(files.name, files)
        if twin is not files:
            raise InputError(
                " + ".join(map(str, files.paths)),
                f"is called {short(files.name)}, and so is "
                f"{' + '.join(map(str, twin.paths))}; name them NAME=PATH",
            )


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key for natural order of names: ``layers.2`` before ``layers.10``."""
    # Text and digits alternate, so texts compare with texts. Digits are compared by
    # length, then lexically: a name may hold more of them than Python converts to int.
    pieces = re.split(r"([0-9]+)", name)
    return tuple(
        (len(piece.lstrip("0")), piece.lstrip("0")) if odd % 2 else (0, piece)
        for odd, piece in enumerate(pieces)
    )
