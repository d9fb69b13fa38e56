"""Where in a file the weights are: wrappers, copies, and what lies beside them.

Training code puts weights under a key, beside an optimiser and notes, and often several
copies of them. The rule, at each level of dicts:

1. Tensors at a level are the weights, together with those in dicts below it.
2. Optimisers, schedulers and the like (``optim``, ``scheduler``, …) are no weights.
3. Of what is left, an averaged copy is read if there is one (``ema``, ``teacher``,
   ``swa``, ``G_ema``), since that is what runs after training; else the first of
   :data:`WRAPPERS`, a generator before its discriminator; else the first of several
   states with the same names and shapes.
4. States that are no copies of one another are parts of one model.

What was read and what was left out is said, and a key chooses something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgesim.checkpoints.inert_pickle import Stub
from edgesim.checkpoints.stored_tensor import StoredTensor, Tensor
from edgesim.errors import InputError, Parameter, short

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "module", "net"),
    *("network", "params", "weights", "model_weights", "student", "online"),
    *("generator", "g", "netg", "net_g", "encoder_q", "query_encoder"),
)
"""Keys under which training code stores the weights, the likeliest first."""

OTHER_KEYS = "other keys can be chosen"
"""How a note says that its reader can choose."""

_AVERAGED = re.compile(r"(^|[_.])(ema|teacher|swa|averaged|avg)([_.]|$)")
_NO_WEIGHTS = re.compile(
    r"optim|sched|^(grad_?)?scaler|^amp$|^rng|rng_state|^callbacks|^loops|hyper_?param|"
    r"^args$|config$|^metrics?|sampler|dataloader|^opt$|history"
)
_SURELY_BESIDE = re.compile(r"optim|lr_?sched|callbacks|loops|rng|^amp$")
_ADVERSARY = {"d", "netd", "net_d", "discriminator", "critic", "d_ema", "encoder_k"}
_PREFIXES = re.compile(r"^(?:module\.|_orig_mod\.)+")
_MOST_LEVELS = 100
_MOST_PLACES = 1_000_000
_MOST_OFTEN = 8
_FREE_PLACES = 10_000
_MOST_NAME = 2000
_TOO_OFTEN = "its dicts hold one another too often to be weights"
_NAMED = 5
_LEAST_OF_COPY = 3


@dataclass(frozen=True)
class Weights:
    """The tensors of a state, and what is to be said of how they were found."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...]


def weights_in(value: Any, key: str | None) -> Weights:
    """Find the weights among the values of a file.

    Parameters
    ----------
    value
        What the file holds.
    key
        The key chosen, with dots for keys below keys; None for the rule.

    Raises
    ------
    StateError
        If there are none, or none under the key.
    """
    notes: list[str] = []
    if not isinstance(value, Mapping):
        if isinstance(value, Stub) and value.items:
            value = value.items
        else:
            raise StateError(_no_dict(value))
    if _is_optimiser(value):
        raise StateError("holds an optimiser's state and no weights; give the model's")
    known: dict[int, int] = {}
    if _places(value, known, 0) > _MOST_OFTEN * (len(known) + _FREE_PLACES):
        raise StateError(_TOO_OFTEN)
    if key is not None:
        beside = [str(n) for n in _states(value) if not f"{key}.".startswith(f"{n}.")]
        left = f", left out {_list(map(repr, beside))}" if beside else ""
        notes.append(f"read {key!r}, as chosen{left}")
        value = _below(value, key)
        if not isinstance(value, Mapping):
            raise StateError(f"holds {short(key)}, but no dict of tensors under it")
    state = _chosen(value, notes)
    named: dict[str, Tensor] = {}
    others: list[str] = []
    _flatten(state, "", named, others)
    if not named:
        raise StateError(_no_tensors(value))
    if others:
        notes.append(f"passed over what is no tensor: {_list(others)}")
    return Weights(named, tuple(notes))


class StateError(Exception):
    """A file holds no weights where they are looked for."""


class MissingKeyError(StateError):
    """A chosen key is not in a file; ``keys`` are those that are."""

    def __init__(self, key: str, keys: Sequence[str]) -> None:
        super().__init__(key)
        self.key = key
        self.keys = keys


def _below(value: Mapping[Any, Any], key: str) -> Any:
    """Return what lies under a key, or under keys joined by dots."""
    if key in value:
        return _mapping(value[key])
    for place in (place for place, letter in enumerate(key) if letter == "."):
        inner = _mapping(value.get(key[:place]))
        if isinstance(inner, Mapping):
            return _below(inner, key[place + 1 :])
    states = [str(name) for name, inner in value.items() if _has_tensors(inner)]
    direct = any(isinstance(inner, Tensor) for inner in value.values())
    raise MissingKeyError(key, () if direct else states)


def _mapping(value: Any) -> Any:
    """Return the items of a stub that is a kind of dict, else the value."""
    return value.items if isinstance(value, Stub) and value.items else value


def _has_tensors(value: Any) -> bool:
    value = _mapping(value)
    if isinstance(value, Tensor):
        return True
    if isinstance(value, Mapping):
        return any(map(_has_tensors, value.values()))
    return isinstance(value, (tuple, list)) and any(map(_has_tensors, value))


def _chosen(state: Mapping[Any, Any], notes: list[str]) -> Mapping[Any, Any]:
    """Choose the weights at a level of dicts, and below it as long as need be."""
    inner = {name: _mapping(value) for name, value in state.items()}
    direct = [name for name, value in inner.items() if isinstance(value, Tensor)]
    named = _states(inner)
    unsure = [str(n) for n, v in named.items() if _is_unsure(n, v)]
    if direct and not any(str(name).lower() in WRAPPERS for name in named):
        if unsure:
            notes.append(f"left out {_list(map(repr, unsure))}; {OTHER_KEYS}")
        return {n: v for n, v in inner.items() if not _is_beside(n, v)}
    states = {
        name: value for name, value in named.items() if not _is_beside(name, value)
    }
    if not states:
        return inner
    read = _read(states)
    beside = [
        str(name)
        for name, value in inner.items()
        if name not in read and name in states and value is not states[read[0]]
    ]
    listed = {
        str(name)
        for name, value in inner.items()
        if isinstance(value, Mapping)
        and not isinstance(value, Tensor)
        and _has_unnamed(value)
        and str(name) not in beside
        and name not in read
        and not _is_beside(name, value)
    }
    beside += [*sorted(listed), *unsure]
    beside += [str(name) for name in direct if _is_array(inner[name])]
    if beside:
        notes.append(
            f"read {_list(map(repr, map(str, read)))}, left out "
            f"{_list(map(repr, beside))}; {OTHER_KEYS}"
        )
    elif len(read) > 1:
        notes.append(f"read as parts of one model: {_list(map(repr, map(str, read)))}")
    elif str(read[0]) not in WRAPPERS:
        notes.append(f"read {str(read[0])!r}")
    if len(read) > 1:
        return {name: states[name] for name in read}
    return _chosen(states[read[0]], notes)


def _states(inner: Mapping[Any, Any]) -> dict[Any, Mapping[Any, Any]]:
    """Return the entries that hold named tensors."""
    return {
        name: value
        for name, value in inner.items()
        if isinstance(value, Mapping) and any(True for _ in _tensors(value, ""))
    }


def _tensors(state: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in state.items():
        value = _mapping(value)
        if isinstance(value, Tensor):
            yield _joined(prefix, name), value
        elif isinstance(value, Mapping) and not _is_optimiser(value):
            yield from _tensors(value, f"{_joined(prefix, name)}.")


def _joined(prefix: str, name: Any) -> str:
    """Join a name to those of the dicts above it, which could add up to anything."""
    word = name if isinstance(name, str) else str(name)
    if len(prefix) + len(word) > _MOST_NAME:
        raise StateError(
            f"a name in it has {len(prefix) + len(word):,} characters, more than the "
            f"{_MOST_NAME:,} that are read"
        )
    return f"{prefix}{word}"


def _is_unsure(name: Any, value: Mapping[Any, Any]) -> bool:
    """Whether an entry is left out by its key alone, which could be a module's."""
    return (
        _is_beside(name, value)
        and not _is_optimiser(value)
        and not _SURELY_BESIDE.search(str(name).lower())
        and any(_is_array(tensor) for _, tensor in _tensors(value, ""))
    )


def _has_unnamed(value: Any) -> bool:
    """Whether a value holds lists of tensors, which no names tell apart."""
    if isinstance(value, Mapping):
        return any(_has_unnamed(_mapping(inner)) for inner in value.values())
    return isinstance(value, list) and any(isinstance(one, Tensor) for one in value)


def _is_array(tensor: Tensor) -> bool:
    return isinstance(tensor, StoredTensor) and max(tensor.shape, default=1) > 1


def _is_optimiser(value: Any) -> bool:
    return isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)


def _is_beside(name: Any, value: Any) -> bool:
    """Whether an entry is of training, by what it is or by its key."""
    if isinstance(value, Tensor):
        return False
    return _is_optimiser(value) or bool(_NO_WEIGHTS.search(str(name).lower()))


def _read(states: Mapping[Any, Mapping[Any, Any]]) -> list[Any]:
    """Choose the states to read: one of several copies, or all parts."""
    kept = [name for name in states if str(name).lower() not in _ADVERSARY]
    names = kept or list(states)
    if len(names) == len(states) == 1:
        return names
    averaged = [name for name in names if _AVERAGED.search(str(name).lower())]
    if averaged:
        return averaged[:1]
    wrapped = sorted(
        (name for name in names if str(name).lower() in WRAPPERS),
        key=lambda name: WRAPPERS.index(str(name).lower()),
    )
    if wrapped:
        return wrapped[:1]
    found: dict[object, Any] = {}
    for name in names:
        shapes = frozenset(
            (_PREFIXES.sub("", inner), getattr(tensor, "shape", None))
            for inner, tensor in _tensors(states[name], "")
        )
        word = re.sub(r"\d", "", str(name))
        layer = word != str(name) and any(
            word == re.sub(r"\d", "", str(other)) for other in names if other != name
        )
        # Layers of a kind are no copies; neither is one object used in two places.
        alone = layer or len(shapes) < _LEAST_OF_COPY
        alone = alone or any(states[n] is states[name] for n in found.values())
        found.setdefault(name if alone else shapes, name)
    return list(found.values())


def _flatten(
    state: Mapping[Any, Any],
    prefix: str,
    named: dict[str, Tensor],
    others: list[str],
) -> None:
    """Collect tensors by name; names in nested dicts are joined by dots."""
    for key, value in state.items():
        name = _joined(prefix, key)
        value = _mapping(value)
        if isinstance(value, Tensor):
            if name in named:
                raise StateError(f"two of its tensors are called {short(name)}")
            named[name] = value
        elif isinstance(value, Mapping):
            if not _is_optimiser(value):
                _flatten(value, f"{name}.", named, others)
        elif isinstance(value, (tuple, list)) and any(
            isinstance(one, Tensor) for one in value
        ):
            # As torch.ao stores packed weights and their bias.
            _flatten(
                dict(enumerate(value)),
                f"{name}.",
                named,
                others,
            )
        elif value is not None and not str(key).endswith("_extra_state"):
            others.append(f"{name} ({_kind(value)})")


def _places(value: Any, known: dict[int, int], level: int) -> int:
    """Count the ways that lead to dicts, lists and tensors; a circle has no end.

    Raises
    ------
    StateError
        If they are too many: a dict contains itself, or one dict a hundred times.
    """
    value = _mapping(value)
    if level > _MOST_LEVELS:
        raise StateError(_TOO_OFTEN)
    if isinstance(value, Mapping):
        inner: Iterable[Any] = value.values()
    elif isinstance(value, (tuple, list)):
        inner = value
    elif isinstance(value, Tensor):
        return known.setdefault(id(value), 1)
    else:
        return 0
    if id(value) not in known:
        known[id(value)] = _MOST_PLACES  # while it is entered: a circle
        known[id(value)] = 1 + sum(_places(one, known, level + 1) for one in inner)
    if known[id(value)] >= _MOST_PLACES:
        raise StateError(_TOO_OFTEN)
    return known[id(value)]


def _kind(value: Any) -> str:
    if isinstance(value, Stub):
        return "numpy array" if "_reconstruct" in value.what else value.what
    return type(value).__name__


def _no_dict(value: Any) -> str:
    if isinstance(value, Stub):
        return _module(value.what)
    return (
        f"must hold a dict of names to tensors, found one "
        f"{'Tensor' if isinstance(value, Tensor) else type(value).__name__}"
    )


def _module(what: str) -> str:
    return (
        f"holds objects other than tensors ({short(what, 80)[1:-1]}), and loading them "
        'runs its code; nothing was run. If you trust it: python -c "import torch; m = '
        "torch.load('OLD.pt', weights_only=False); torch.save(m.state_dict(), "
        "'NEW.pt')\""
    )


def _no_tensors(state: Mapping[Any, Any]) -> str:
    values = [_mapping(value) for value in state.values()]
    stubs = [value for value in _stubs(values) if value.state is not None]
    arrays = [stub for stub in stubs if "_reconstruct" in stub.what]
    if arrays:
        return (
            "holds numpy arrays instead of tensors; save them as tensors: "
            "{name: torch.from_numpy(array) for name, array in state.items()}"
        )
    modules = [
        stub
        for stub in stubs
        if isinstance(stub.state, Mapping) and {"_modules"} & set(stub.state)
    ]
    if modules:
        return _module(modules[0].what)
    keys = [f"{short(key, 30)} ({_kind(value)})" for key, value in state.items()]
    if not keys:
        return "holds no tensors"
    return f"holds no weights: no dict of names to tensors, found {_list(keys)}"


def _stubs(values: Iterable[Any]) -> Iterator[Stub]:
    for value in values:
        if isinstance(value, Stub):
            yield value
        elif isinstance(value, Mapping):
            yield from _stubs(map(_mapping, value.values()))


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _NAMED
    text = ", ".join(shown[:_NAMED])
    return f"{text} and {more} more" if more > 0 else text


@dataclass(frozen=True)
class Prefix:
    """What was read of names of the form ``student.…``, ``teacher.…``."""

    kept: tuple[int, ...]
    note: str


def copies_by_prefix(names: Sequence[str], key: str | None) -> Prefix | None:
    """Find copies of the weights that the beginnings of names tell apart.

    Parameters
    ----------
    names
        Names of tensors.
    key
        The beginning chosen; None for the rule, by which copies are names that are the
        same but for a first part known to be that of a copy.

    Returns
    -------
    Prefix or None
        The places of the names to read; None if there are no copies.

    Raises
    ------
    MissingKeyError
        If no name begins with the key.
    """
    if key is not None:
        kept = tuple(
            place
            for place, name in enumerate(names)
            if _PREFIXES.sub("", name).startswith(f"{key}.")
        )
        if not kept:
            raise MissingKeyError(key, list(dict.fromkeys(map(_first, names))))
        return Prefix(kept, f"read {key!r} alone")
    groups: dict[str, set[str]] = {}
    for name in names:
        rest = _PREFIXES.sub("", name).partition(".")[2]
        groups.setdefault(_first(name), set()).add(rest.replace(".", ""))
    for read, left in _pairs(groups):
        # Copies may have a head more; half of the names is not by chance.
        if groups[left] and 2 * len(groups[left] & groups[read]) >= len(groups[left]):
            kept = tuple(
                place for place, name in enumerate(names) if _first(name) != left
            )
            note = f"read {read!r}, left out {left!r}; {OTHER_KEYS}"
            return Prefix(kept, note)
    return None


def _first(name: str) -> str:
    return _PREFIXES.sub("", name).partition(".")[0]


def _pairs(groups: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """List pairs of beginnings that are those of a copy and of what it copies."""
    known: tuple[tuple[str, str], ...] = (
        ("teacher", "student"),
        ("encoder_q", "encoder_k"),
        ("G_ema", "G"),
        ("g_ema", "g"),
        ("online_encoder", "target_encoder"),
    )
    names = list(groups)
    averaged = [(f"{name}_ema", name) for name in names]
    averaged += [(f"ema_{name}", name) for name in names] + [("ema", "model")]
    for read, left in (*known, *averaged):
        if read in groups and left in groups:
            yield read, left


def missing_key(where: str, error: MissingKeyError) -> InputError:
    """Say that a key is not there, and which are."""
    found = (
        f"holds {_list(map(repr, error.keys))}"
        if error.keys
        else "holds its weights at the top, under no key"
    )
    return InputError(
        Parameter("key"), f"{short(error.key)} is not in {where}, which {found}"
    )
