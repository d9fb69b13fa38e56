"""Checkpoint files: the files that make up a model, and their tensors.

A checkpoint is a safetensors or PyTorch file, whatever its name, a folder, or several
of these joined by ``+`` (an adapter on its backbone). Files are not trusted: they are
read without executing anything in them, or rejected.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from edgesim.checkpoints.adapter import (
    Adapter,
    adapter_at,
    carried,
    is_adapter,
    without_base,
)
from edgesim.checkpoints.digest import Chunks, Hashing, RawTensor
from edgesim.checkpoints.folder import ADAPTERS, Part, adapter_file, folder_files
from edgesim.checkpoints.kinds import READ, kind_of, refusal
from edgesim.checkpoints.pickled import PickledFile, pickled_in
from edgesim.checkpoints.safetensors_file import safetensors_in
from edgesim.checkpoints.state import MissingKeyError, copies_by_prefix, missing_key
from edgesim.errors import InputError, short
from edgesim.text import counted

SAFETENSORS = ".safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pth.tar", ".pt.tar")
SUFFIXES = (SAFETENSORS, *PICKLED)
"""Endings that a name of a model leaves out; files are known by their content."""

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
    chunks
        Reads its content, as in :class:`edgesim.checkpoints.digest.RawTensor`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    digest: str
    chunks: Chunks | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Hints:
    """What the user knows of checkpoints and the files do not say.

    Parameters
    ----------
    key
        Under which the weights lie in every file, with dots for keys below keys.
    base
        The base of every adapter.
    """

    key: str | None = None
    base: Path | None = None


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
        (``layers.2`` before ``layers.10``); part by part if files were joined, the base
        of an adapter before it.
    zero_size
        Number of tensors without elements, which were left out.
    notes
        What is to be said of how it was read: which of several copies, which parts,
        what was left out.
    """

    name: str
    paths: tuple[Path, ...]
    tensors: tuple[TensorRecord, ...]
    zero_size: int = 0
    notes: tuple[str, ...] = ()

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
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return path.name[: -len(suffix)]
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


def checkpoint_paths(
    files: CheckpointFiles, hints: Hints | None = None
) -> tuple[Path, ...]:
    """List the files of a checkpoint, expanding folders, without reading any weights.

    :mod:`edgesim.checkpoints.folder` says which files of a folder are a model. The
    base of an adapter belongs to it.

    Raises
    ------
    InputError
        Naming the path, if it does not exist, is not a checkpoint, or is a folder whose
        files are incomplete or of several models.
    """
    paths = _opened(files, hints or Hints())
    return tuple(path for one in paths for part in one.parts for path in part.files)


@dataclass(frozen=True)
class _Opened:
    """The files at one path of a checkpoint; the base of an adapter is one too."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    adapter: Adapter | None = None


def _opened(files: CheckpointFiles, hints: Hints) -> list[_Opened]:
    found: list[_Opened] = []
    for path in files.paths:
        try:
            # An adapter joined to something has its base there.
            alone = len(files.paths) == 1
            found += _opened_path(path, hints.base, alone=alone)
        except OSError as error:
            raise unreadable(path, error) from None
        except ValueError:
            raise InputError(short(str(path)), "is not a file name") from None
    return found


def _opened_path(path: Path, base: Path | None, *, alone: bool) -> list[_Opened]:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise refusal(path, "gone") from None
        raise
    folder = S_ISDIR(mode)
    if not folder and not S_ISREG(mode):
        raise InputError(path, "is neither a file nor a folder")
    if alone and (folder or path.name in ADAPTERS):
        adapter = adapter_at(path, base)
        if adapter is not None:
            note = f"{adapter.kind} adapter on the base {adapter.base}"
            inner = _opened_path(adapter.base, None, alone=False)
            own = _Opened((Part((adapter.file,)),), (note,), adapter)
            return [*inner, own]
    if folder:
        file = None if alone else adapter_file(path)
        if file is not None:
            return [_Opened((Part((file,)),))]
        found = folder_files(path)
        return [_Opened(found.parts, found.notes)]
    kind = kind_of(path)
    # A broken file is told what it should be: its reader knows what is wrong.
    if kind not in READ and (kind not in ("other", "text") or not _claims(path)):
        raise refusal(path, kind)
    return [_Opened((Part((path,)),))]


def _claims(path: Path) -> bool:
    return path.suffix.lower() == SAFETENSORS


def unreadable(path: Path, error: OSError) -> InputError:
    """Convert a file system error to an input error that names the path."""
    reason = error.strerror or str(error) or "the reason is not known"
    return InputError(path, f"cannot be read: {reason[0].lower()}{reason[1:]}")


def read_checkpoint(
    files: CheckpointFiles,
    done: Callable[[int], None] | None = None,
    *,
    hints: Hints | None = None,
) -> Checkpoint:
    """Read one checkpoint, as :func:`read_checkpoints` does."""
    return read_checkpoints([files], done, hints=hints)[0]


def read_checkpoints(
    files: Sequence[CheckpointFiles],
    done: Callable[[int], None] | None = None,
    *,
    hints: Hints | None = None,
    left_out: Callable[[CheckpointFiles, InputError], None] | None = None,
) -> list[Checkpoint]:
    """Read checkpoints and hash every tensor.

    Memory use is a few MiB: files are read in chunks, and views whose bytes lie apart
    one by one. The time is that of reading or of hashing, whichever takes longer.

    Parameters
    ----------
    files
        From :func:`parse_checkpoint`.
    done
        Called with the bytes of each hashed tensor.
    hints
        What the files do not say.
    left_out
        Called with a checkpoint that cannot be read, and why; the others are read.

    Raises
    ------
    InputError
        Naming the file, if it is missing, broken, not a checkpoint, contains no
        weights, or if two files hold tensors of the same name; with ``left_out``, if
        none is left.
    """
    hints = hints or Hints()
    found: list[Checkpoint] = []
    begun: deque[tuple[CheckpointFiles, _Begun]] = deque()

    def finish() -> None:
        one, of = begun.popleft()
        with _leaving_out(one, left_out):
            found.append(_finish(of, done))

    with Hashing() as hashing:
        for one in files:
            with _leaving_out(one, left_out):
                begun.append((one, _begin(one, hints, hashing)))
            # The next files are opened while the last one's tensors are hashed.
            while len(begun) > _AHEAD:
                finish()
        while begun:
            finish()
    if not found:
        raise InputError("checkpoints", "none of them can be read")
    return found


@contextmanager
def _leaving_out(
    files: CheckpointFiles,
    left_out: Callable[[CheckpointFiles, InputError], None] | None,
) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        if left_out is None:
            raise
        left_out(files, error)


_AHEAD = 2


@dataclass(frozen=True)
class _Piece:
    """The tensors at one path of a checkpoint, and their digests to be."""

    tensors: list[RawTensor]
    digests: list[Future[str]]
    adapter: Adapter | None


@dataclass(frozen=True)
class _Begun:
    """A checkpoint whose tensors are being hashed."""

    name: str
    paths: tuple[Path, ...]
    pieces: list[_Piece]
    notes: list[str]


def _begin(files: CheckpointFiles, hints: Hints, hashing: Hashing) -> _Begun:
    owners: dict[str, Path] = {}
    pieces: list[_Piece] = []
    notes: list[str] = []
    paths: list[Path] = []
    for opened in _opened(files, hints):
        tensors: list[RawTensor] = []
        notes += opened.notes
        # A key chooses among copies of a model, and an adapter has none.
        key = None if opened.adapter is not None else hints.key
        for part in opened.parts:
            for path in part.files:
                read = _read_file(path, key)
                notes += read.notes
                paths.append(path)
                if (
                    len(files.paths) == 1
                    and opened.adapter is None
                    and is_adapter(read.tensors)
                ):
                    if hints.base is None:
                        raise without_base(path)
                    joined = CheckpointFiles(files.name, (hints.base, path))
                    return _begin(joined, Hints(hints.key), hashing)
                for tensor in read.tensors:
                    named = replace(tensor, name=f"{part.prefix}{tensor.name}")
                    if opened.adapter is None:
                        _own_name(files, owners, named.name, path)
                    tensors.append(named)
        pieces.append(_Piece(tensors, hashing.begin(tensors), opened.adapter))
    return _Begun(files.name, tuple(paths), pieces, notes)


def _own_name(
    files: CheckpointFiles, owners: dict[str, Path], name: str, path: Path
) -> None:
    owner = owners.setdefault(name, path)
    if owner is not path:
        raise InputError(
            path,
            f"holds a tensor {short(name)}, and so does {owner}; both are part of "
            f"{short(files.name)}: a folder is the shards of one model, name the files "
            f"if each is a model of its own",
        )


def _read_file(path: Path, key: str | None) -> PickledFile:
    """Read what a file says of its tensors, those of one copy if there are several."""
    try:
        kind = kind_of(path)
        # A broken file is told what it should be: its reader knows what is wrong.
        if kind not in READ and (kind not in ("other", "text") or not _claims(path)):
            raise refusal(path, kind)
        if kind == "torch":
            read = pickled_in(path, key)
            key = None  # it was looked for already
        else:
            read = PickledFile(safetensors_in(path), ())
            order = [(natural_key(t.name), t.name, t) for t in read.tensors]
            order.sort(key=lambda named: named[:2])
            read = PickledFile([tensor for *_, tensor in order], ())
        chosen = copies_by_prefix([tensor.name for tensor in read.tensors], key)
    except MissingKeyError as error:
        raise missing_key(str(path), error) from None
    except OSError as error:
        raise unreadable(path, error) from None
    if chosen is None:
        return read
    kept = [read.tensors[place] for place in chosen.kept]
    return PickledFile(kept, (*read.notes, chosen.note))


def _finish(begun: _Begun, done: Callable[[int], None] | None) -> Checkpoint:
    tensors: list[TensorRecord] = []
    zero_size = 0
    notes = list(begun.notes)
    for piece in begun.pieces:
        records = []
        for tensor, digest in zip(piece.tensors, piece.digests, strict=True):
            records.append(
                TensorRecord(
                    *(tensor.name, tensor.dtype, tensor.shape, tensor.bytes),
                    digest=digest.result(),
                    chunks=tensor.chunks,
                )
            )
            if done is not None:
                done(tensor.bytes)
        zero_size += sum(record.bytes == 0 for record in records)
        records = [record for record in records if record.bytes]
        if piece.adapter is not None:
            notes += _carried(records, tensors)
        tensors += records
    if not tensors:
        raise InputError(
            " + ".join(map(str, begun.paths)),
            f"holds no weights, only tensors without elements ({zero_size}), as parts "
            f"of a DeepSpeed checkpoint do: python zero_to_fp32.py . OUT joins them"
            if zero_size
            else "holds no tensors",
        )
    return Checkpoint(
        begun.name, begun.paths, tuple(tensors), zero_size, tuple(dict.fromkeys(notes))
    )


def _carried(
    adapter: Sequence[TensorRecord], base: Sequence[TensorRecord]
) -> list[str]:
    """Say what an adapter carries of its base."""
    found = carried(
        *(
            [(record.name, record.digest, record.bytes) for record in records]
            for records in (adapter, base)
        )
    )
    notes = []
    if found.copies:
        notes.append(
            f"the adapter carries copies of {counted(found.copies, 'tensor')} of its "
            f"base ({found.copied_bytes:,} bytes): each is counted once"
        )
    if found.other:
        notes.append(
            f"the adapter carries {counted(found.other, 'tensor')} of its base trained "
            f"anew ({found.other_bytes:,} bytes): both are counted, for PEFT keeps both"
        )
    return notes


def check_names(checkpoints: Iterable[CheckpointFiles]) -> None:
    """Reject two checkpoints with the same name, and one that is given twice.

    Raises
    ------
    InputError
        Naming both.
    """
    seen: dict[str, CheckpointFiles] = {}
    for files in checkpoints:
        twin = seen.setdefault(files.name, files)
        if twin is not files and _places(twin) == _places(files):
            raise InputError(
                " + ".join(map(str, files.paths)), "is given twice; leave one out"
            )
        if twin is not files:
            raise InputError(
                " + ".join(map(str, files.paths)),
                f"is called {short(files.name)}, and so is "
                f"{' + '.join(map(str, twin.paths))}; name them NAME=PATH",
            )


def _places(files: CheckpointFiles) -> list[str]:
    return [os.path.abspath(path) for path in files.paths]


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key for natural order of names: ``layers.2`` before ``layers.10``."""
    # Text and digits alternate, so texts compare with texts. Digits are compared by
    # length, then lexically: a name may hold more of them than Python converts to int.
    pieces = re.split(r"([0-9]+)", name)
    return tuple(
        (len(piece.lstrip("0")), piece.lstrip("0")) if odd % 2 else (0, piece)
        for odd, piece in enumerate(pieces)
    )
