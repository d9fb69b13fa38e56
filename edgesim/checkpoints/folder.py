"""Which files of a folder are a model: indexes, parts, variants, hub snapshots.

The rule for the files of one folder: the shards of an index; else the file that
libraries load (``model``, ``diffusion_pytorch_model``, ``pytorch_model``); else
numbered shards, all of them; else a variant of such a file (``fp16``); else the
safetensors files that are there, or the PyTorch files. What else holds weights is left
out and said. A folder with ``modules.json`` (sentence-transformers) or
``model_index.json`` (diffusers) is the parts that it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesim.checkpoints.kinds import READ, Kind, kind_of, refusal
from edgesim.errors import InputError, short
from edgesim.storage.files import read_json
from edgesim.text import plain

ADAPTER_CONFIG = "adapter_config.json"
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")

_STEMS = ("model", "diffusion_pytorch_model", "pytorch_model")
_SHARD = re.compile(r"^(?P<stem>.+?)-(?P<number>\d+)-of-(?P<count>\d+)(?P<rest>\..+)$")
_TRAINING = re.compile(
    r"^(training_args|optimizer|scheduler|scaler|rng_state|random_states|sampler|"
    r"dataloader|trainer_state|events\.out)|optim_states|_optim\b|_optimizer\b"
)
_NEVER = re.compile(
    r"\.(json|txt|md|py|ya?ml|csv|tsv|log|png|jpe?g|pdf|html|lock|sh|ipynb|model|vocab|"
    r"incomplete|metadata)$",
    re.IGNORECASE,
)
_WEIGHTLESS = ("Pooling", "Normalize", "Dropout", "WordWeights", "Asym", "BoW")
_WEIGHTED = ("Transformer", "Dense", "LayerNorm", "CNN", "LSTM", "StaticEmbedding")
_NO_PART = ("Tokenizer", "Scheduler", "Processor", "FeatureExtractor")
_SHOWN = 5
_MOST_INDEX_BYTES = 1 << 26


@dataclass(frozen=True)
class Part:
    """Files whose tensors belong together, and what to put before their names."""

    files: tuple[Path, ...]
    prefix: str = ""


@dataclass(frozen=True)
class Files:
    """The files of a model in a folder, and what is to be said of the choice."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A file that could hold weights."""

    path: Path
    kind: Kind

    @property
    def name(self) -> str:
        return self.path.name


def folder_files(folder: Path) -> Files:
    """List the files of a model in a folder, without reading any weights.

    Raises
    ------
    InputError
        If it holds none, or they are incomplete, or several models.
    OSError
        If it cannot be read.
    """
    root = _hub_root(folder)
    if root is not None:
        snapshot, notes = _snapshot(root)
        found = _named_or_own(snapshot)
        return Files(found.parts, (*notes, *found.notes))
    return _named_or_own(folder)


def _named_or_own(folder: Path) -> Files:
    """List the parts that a folder's index names, or its own files."""
    if (folder / "modules.json").is_file():
        return _modules(folder, folder / "modules.json")
    if (folder / "model_index.json").is_file():
        return _pipeline(folder, folder / "model_index.json")
    own = _own(folder)
    assert own is not None  # it is not optional
    return own


def adapter_file(folder: Path) -> Path | None:
    """Return the file of a PEFT adapter in a folder, if it has one."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return None
    return next((folder / n for n in ADAPTERS if _there(folder / n)), None)


def read_index(path: Path) -> Any:
    """Read a JSON file that lies beside weights.

    Raises
    ------
    InputError
        If it is no JSON, or too large to say which files are a model.
    OSError
        If it cannot be read.
    """
    size = path.stat().st_size
    if size > _MOST_INDEX_BYTES:
        raise InputError(
            path,
            f"has {size:,} bytes, more than the {_MOST_INDEX_BYTES:,} that are read",
        )
    return read_json(path)


def _there(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


# Hub caches.


def _hub_root(folder: Path) -> Path | None:
    if folder.name == "snapshots" and (folder.parent / "blobs").is_dir():
        return folder.parent
    return folder if (folder / "snapshots").is_dir() else None


def _snapshot(root: Path) -> tuple[Path, list[str]]:
    """Choose the snapshot that refs/main names, else the only one."""
    snapshots = sorted(p for p in (root / "snapshots").iterdir() if p.is_dir())
    names = [path.name for path in snapshots]
    main = root / "refs" / "main"
    if main.is_file():
        commit = main.read_text(errors="replace").strip()
        if commit in names:
            others = [name for name in names if name != commit]
            note = f"read snapshot {commit} (refs/main)"
            left = f", left out {_list(others)}" if others else ""
            return root / "snapshots" / commit, [f"{note}{left}"] if others else []
    whole = [path for path in snapshots if not _gone(path)]
    if len(whole) == 1 or len(snapshots) == 1:
        chosen = (whole or snapshots)[0]
        others = [name for name in names if name != chosen.name]
        said = f"left out snapshot {_list(others)}, whose blobs are missing"
        return chosen, [said] if others else []
    if not snapshots:
        raise InputError(root, "holds no snapshot: download the model again")
    raise InputError(
        root / "snapshots",
        f"holds several and no refs/main; give one of {_list(names)}",
    )


def _gone(snapshot: Path) -> bool:
    return any(p.is_symlink() and not p.exists() for p in snapshot.rglob("*"))


# Parts in sub-folders.


def _modules(folder: Path, index: Path) -> Files:
    """List the parts that a sentence-transformers folder names."""
    content = read_index(index)
    if not isinstance(content, list) or not all(isinstance(m, dict) for m in content):
        raise InputError(index, "must hold a list of objects with the key 'path'")
    parts: list[Part] = []
    notes: list[str] = []
    named = []
    for module in content:
        path, kind = str(module.get("path", "")), str(module.get("type", ""))
        inner = _inside(folder, path, index)
        weightless = kind.rpartition(".")[2] in _WEIGHTLESS
        if not inner.is_dir():
            if weightless:
                continue
            raise InputError(index, f"names {short(path)}, which is missing")
        if weightless and path:
            continue
        sure = not path or kind.rpartition(".")[2] in _WEIGHTED
        found = _own(inner, among=_paths(content), optional=not sure)
        if found is None:
            continue
        parts += [_under(part, path) for part in found.parts]
        notes += found.notes
        named.append(path or "its top")
    if not parts:
        raise InputError(
            folder, "holds no weights in the parts that modules.json names"
        )
    if len(named) > 1:
        notes.insert(0, f"parts: {', '.join(named)} (modules.json)")
    elif named != ["its top"]:
        notes.insert(0, f"part: {named[0]} (modules.json)")
    return Files(tuple(parts), tuple(notes))


def _paths(content: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(module.get("path", "")).partition("/")[0] for module in content]


def _pipeline(folder: Path, index: Path) -> Files:
    """List the parts that a diffusers folder names."""
    content = read_index(index)
    if not isinstance(content, Mapping):
        raise InputError(index, "must hold one object")
    parts: list[Part] = []
    notes: list[str] = []
    named = []
    for name, value in content.items():
        if not (isinstance(value, list) and len(value) == 2 and value[1]):
            continue
        inner = _inside(folder, str(name), index)
        if str(value[1]).endswith(_NO_PART) or "Tokenizer" in str(value[1]):
            continue
        if not inner.is_dir():
            raise InputError(index, f"names {short(name)}, which is missing")
        found = _own(inner, optional=not (inner / "config.json").is_file())
        if found is None:
            continue
        parts += [_under(part, str(name)) for part in found.parts]
        notes += [f"{name}: {note}" for note in found.notes]
        named.append(str(name))
    if not parts:
        raise InputError(
            folder, "holds no weights in the parts that model_index.json names"
        )
    beside = [one for one in _weights(folder) if one.kind in READ]
    if beside:
        notes.append(f"left out {_sizes(beside)} beside the parts")
    notes.insert(0, f"parts: {', '.join(named)} (model_index.json)")
    return Files(tuple(parts), tuple(notes))


def _under(part: Part, path: str) -> Part:
    return Part(part.files, f"{path}.{part.prefix}" if path else part.prefix)


def _inside(folder: Path, path: str, index: Path) -> Path:
    """Return a folder named in an index, which must lie in the index's folder."""
    inner = folder / path
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise InputError(index, f"names {short(path)}, which lies outside its folder")
    return inner


# The files of one folder.


def _own(
    folder: Path, among: Sequence[str] = (), *, optional: bool = False
) -> Files | None:
    """List the files of one folder itself; ``among`` are sub-folders read anyway."""
    found = _weights(folder)
    if not found:
        if optional:
            return None
        raise _nothing(folder)
    chosen, notes = _choose(folder, found)
    for one in chosen:
        if one.kind not in READ:
            raise refusal(one.path, one.kind)
    left = [one for one in found if one not in chosen and one.kind in READ]
    if left:
        shown = _list(one.name for one in chosen)
        notes.append(f"read {shown}, left out {_sizes(left)}")
    notes += _sub_folders(folder, among)
    return Files((Part(tuple(one.path for one in chosen)),), tuple(notes))


def _weights(folder: Path) -> list[_Found]:
    """List the files of a folder that could hold weights, training's own aside."""
    found = []
    for path in sorted(folder.iterdir()):
        name = path.name
        if name[0] == "." or _NEVER.search(name) or _TRAINING.search(name):
            continue
        if name in ADAPTERS or not _there(path):
            continue
        kind = kind_of(path)
        likely = path.suffix.lower() in (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
        if kind in READ or likely:
            found.append(_Found(path, kind))
    # Missing weights matter, but not what is no checkpoint where there is one.
    if any(one.kind in READ for one in found):
        return [one for one in found if one.kind in (*READ, "lfs", "gone")]
    return found


def _choose(folder: Path, found: list[_Found]) -> tuple[list[_Found], list[str]]:
    by_name = {one.name: one for one in found}
    indexed = _indexed(folder, by_name)
    if indexed is not None:
        return indexed, []
    loaded = [by_name.get(f"{s}{e}") for e in (".safetensors", ".bin") for s in _STEMS]
    there = sorted(filter(None, loaded), key=lambda one: one.kind not in READ)
    if there:
        return there[:1], []
    sharded = _numbered(folder, found)
    if sharded is not None:
        return sharded, []
    variant = _variant(found)
    if variant is not None:
        return [variant], [f"read {variant.name}, the only variant of its kind"]
    for kinds in (("safetensors",), ("torch",), None):
        group = [one for one in found if kinds is None or one.kind in kinds]
        if len(group) == 1:
            return group, [f"read {group[0].name}"]
        if group:
            names = _list(one.name for one in group)
            return group, [f"read as parts of one model: {names}"]
    raise AssertionError("unreachable: a file was found")


def _indexed(folder: Path, by_name: Mapping[str, _Found]) -> list[_Found] | None:
    """Return the shards of an index; plain ones before variants, safetensors first."""
    indexes = sorted(
        folder.glob("*.index*.json"),
        key=lambda p: (
            not p.name.endswith(".index.json"),
            ".safetensors." not in p.name,
            p.name,
        ),
    )
    for index in indexes:
        listed = _listed(index)
        if listed is None:
            continue
        there = [name for name in listed if name in by_name]
        if not there:
            continue  # an index alone, as downloads of one format leave it
        gone = [name for name in listed if name not in by_name]
        if gone:
            raise InputError(
                index,
                f"lists {short(gone[0])}, which is missing: download the model again",
            )
        return [by_name[name] for name in there]
    return None


def _listed(index: Path) -> list[str] | None:
    if not index.is_file():
        return None
    content = read_index(index)
    table = content.get("weight_map") if isinstance(content, Mapping) else None
    if not isinstance(table, Mapping):
        raise InputError(index, "must hold one object with the key 'weight_map'")
    return sorted({str(name) for name in table.values()})


def _numbered(folder: Path, found: Sequence[_Found]) -> list[_Found] | None:
    groups: dict[tuple[str, str, str], dict[int, _Found]] = {}
    for one in found:
        match = _SHARD.match(one.name)
        if match:
            key = match["stem"], match["count"], match["rest"]
            groups.setdefault(key, {})[int(match["number"])] = one
    if not groups:
        return None
    (_, count, _), shards = min(
        groups.items(), key=lambda item: (".safetensors" not in item[0][2], item[0])
    )
    for number in range(1, int(count) + 1):
        if number not in shards and not (0 in shards and number == int(count)):
            raise InputError(folder, f"shard {number} of {int(count)} is missing")
    return [shards[number] for number in sorted(shards)]


def _variant(found: Sequence[_Found]) -> _Found | None:
    """Return a variant of a file that libraries load: fp16 first, then by name."""
    named = [
        one
        for one in found
        if any(one.name.startswith(f"{stem}.") for stem in _STEMS)
        and one.name.count(".") > 1
    ]
    order = sorted(
        named,
        key=lambda one: (".safetensors" not in one.name, ".fp16." not in one.name),
    )
    return order[0] if order else None


def _sub_folders(folder: Path, among: Sequence[str]) -> list[str]:
    """Say which sub-folders hold weights too, that no index names."""
    held = [path for path in _inner_folders(folder) if path.name not in among]
    if not held:
        return []
    names = _list(f"{path.name}/" for path in held)
    return [f"left out {names}, whose files hold weights too"]


def _inner_folders(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir()
        and path.name[0] != "."
        and any(one.kind in READ for one in _weights(path))
    ]


def _nothing(folder: Path) -> InputError:
    """Say why a folder holds no model, and what it holds."""
    names = sorted(path.name for path in folder.iterdir())
    if any(name.endswith(".distcp") for name in names):
        return InputError(
            folder,
            "is a distributed checkpoint, which is not read. To convert it: python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER NEW.pt",
        )
    if any(folder.glob("*optim_states.pt")) or any(folder.glob("*/*optim_states.pt")):
        return InputError(
            folder,
            "is a DeepSpeed checkpoint whose weights are in parts. To convert it: "
            "python zero_to_fp32.py . OUT in that folder",
        )
    if "saved_model.pb" in names or any(name.endswith(".ckpt.index") for name in names):
        return InputError(
            folder,
            "is a TensorFlow model, which is not read: save its variables as numpy "
            "arrays by safetensors.numpy.save_file",
        )
    for name in names:
        path = folder / name
        if _there(path) and not _NEVER.search(name) and not _TRAINING.search(name):
            kind = kind_of(path)
            if kind not in (*READ, "other", "text", "empty"):
                return refusal(path, kind)
    inner = [path.name for path in _inner_folders(folder)]
    if inner:
        return InputError(
            folder, f"holds models in its folders; give one of {_list(inner, 20)}"
        )
    shown = f"found {_list(names)}" if names else "it is empty"
    return InputError(
        folder,
        f"holds no checkpoint file (safetensors or PyTorch) and no weights: {shown}; "
        f"download the model again if they should be there",
    )


def _sizes(found: Sequence[_Found]) -> str:
    return _list(f"{one.name} ({one.path.stat().st_size:,} bytes)" for one in found)


def _list(names: Iterable[str], most: int = _SHOWN) -> str:
    shown = list(names)
    left = len(shown) - most
    text = plain(", ".join(shown[:most]))
    return f"{text} and {left} more" if left > 0 else text
