"""Tensors of a PyTorch file as its pickle describes them: where their bytes lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from edgesim.checkpoints.inert_pickle import Global, PickleError, Stub

SIZES = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    **dict.fromkeys(("float32", "int32", "uint32", "complex32", "qint32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("int8", "uint8", "bool", "qint8", "quint8"), 1),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"), 1),
    **dict.fromkeys(("float8_e4m3fnuz", "float8_e5m2fnuz", "float4_e2m1fn_x2"), 1),
    "complex128": 16,
}
"""Bytes of an element, by torch's name of its type."""

_MOST_WORD = 2000

_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
}

_PLAIN_TYPES = {
    *("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"),
    *("torch.nn.parameter.Buffer", "torch.nn.Parameter", "torch.nn.Buffer"),
}

_DICTS = {
    *("collections.OrderedDict", "collections.defaultdict", "builtins.dict"),
    "__builtin__.dict",
}

_MOST_DIMENSIONS = 64  # as torch has it
_MOST_SIZE = 1 << 63  # likewise

_HARMFUL = {
    *("os", "posix", "nt", "subprocess", "sys", "runpy", "socket", "shutil", "pty"),
    *("importlib", "ctypes", "code", "codeop", "commands", "webbrowser", "urllib"),
    *("http", "pip", "signal", "multiprocessing", "threading", "asyncio", "pdb"),
}
_HARMFUL_BUILTINS = {
    *("eval", "exec", "compile", "open", "__import__", "input", "breakpoint"),
    *("exit", "quit", "globals", "locals", "vars", "delattr", "setattr", "apply"),
    "execfile",
}


@dataclass(frozen=True)
class Storage:
    """Bytes that tensors are views of.

    Parameters
    ----------
    key
        Its name in the file.
    dtype
        Type of its elements; None if it has none.
    elements
        Their number; that of bytes without a type.
    start
        Where it begins in the one it is a part of, in elements.
    """

    key: str
    dtype: str | None
    elements: int
    start: int = 0

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.elements * (1 if self.dtype is None else SIZES[self.dtype])


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor: a view of a storage.

    Parameters
    ----------
    storage, offset, shape, strides, dtype
        As torch has them; offset and strides in elements.
    conj, neg
        Whether a conjugation or negation is still to be carried out.
    quantiser
        Scheme, scale and zero point of a quantised tensor, or scales and zero points
        (tensors) and axis.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    conj: bool = False
    neg: bool = False
    quantiser: tuple[Any, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of its elements."""
        return prod(self.shape) * SIZES[self.dtype]


@dataclass(frozen=True, eq=False)
class OddTensor:
    """A tensor that is not plain numbers stored in the file: what it is."""

    what: str


Tensor = StoredTensor | OddTensor


def made_by(what: Global, args: tuple[Any, ...]) -> Any:
    """Make tensors and dicts of the calls in a pickle; all else is a stub.

    Raises
    ------
    HarmfulCallError
        If the call is one that only a file made to do harm would ask for.
    PickleError
        If a tensor is not described as torch does.
    """
    name = str(what)
    module = what.module.partition(".")[0]
    is_builtin = module in ("builtins", "__builtin__")
    if module in _HARMFUL or (is_builtin and what.name in _HARMFUL_BUILTINS):
        raise HarmfulCallError(name)
    if name in _DICTS:
        return _dict(args)
    if what.module in ("torch._utils", "torch._tensor"):
        return _tensor(what.name, args)
    return Stub(name, args)


class HarmfulCallError(PickleError):
    """A pickle asks for a call that no checkpoint needs; its message is the name."""


def _dict(args: tuple[Any, ...]) -> dict[Any, Any]:
    """Make a dict of pairs, which old pickles of ordered dicts hold as a list."""
    pairs = args[0] if args and isinstance(args[0], list) else ()
    return {
        pair[0]: pair[1]
        for pair in pairs
        if isinstance(pair, (list, tuple))
        and len(pair) == 2
        and isinstance(pair[0], (str, int))
    }


def _tensor(name: str, args: tuple[Any, ...]) -> Any:
    match name:
        case "_rebuild_tensor" | "_rebuild_tensor_v2":
            return _view(*args[:4], dtype=None, flags=args[6:7])
        case "_rebuild_tensor_v3":
            return _view(*args[:4], dtype=_dtype(args[6]), flags=args[7:8])
        case "_rebuild_qtensor":
            view = _view(*args[:4], dtype=None, flags=())
            if isinstance(view, StoredTensor) and isinstance(args[4], tuple):
                return replace(view, quantiser=args[4])
            return view
        case "_rebuild_parameter" | "_rebuild_parameter_with_state":
            return args[0]
        case "_rebuild_from_type_v2":
            function, kind, inner = args[:3]
            if not isinstance(function, Global) or not isinstance(inner, tuple):
                return Stub("torch._tensor._rebuild_from_type_v2", args)
            if _word(kind) not in _PLAIN_TYPES:
                return OddTensor(f"is a {_word(kind)}, not a plain one")
            return made_by(function, inner)
        case "_rebuild_sparse_tensor" | "_rebuild_nested_tensor":
            return OddTensor("is sparse or nested; save it dense (tensor.to_dense())")
        case "_rebuild_meta_tensor_no_storage":
            return OddTensor("is on the device 'meta': it has no content")
        case "_rebuild_wrapper_subclass":
            return OddTensor(f"is a {_word(args[0])}, not a plain one")
    return Stub(f"torch._utils.{name}", args)


def _view(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    *,
    dtype: str | None,
    flags: Any,
) -> StoredTensor | OddTensor:
    if isinstance(storage, OddTensor):
        return storage
    sizes, steps = _ints(shape), _ints(strides)
    if not isinstance(storage, Storage) or not isinstance(offset, int):
        raise PickleError("a tensor is made of something else than a storage")
    if sizes is None or steps is None or len(sizes) != len(steps):
        raise PickleError("a tensor has no shape")
    dtype = dtype or storage.dtype
    if dtype is None or min((offset, *sizes, *steps)) < 0:
        raise PickleError("a tensor has no type, or a negative size")
    if len(sizes) > _MOST_DIMENSIONS:
        raise PickleError(f"a tensor has {len(sizes)} dimensions")
    if max((offset, *sizes, *steps)) >= _MOST_SIZE:
        raise PickleError("a tensor is larger than any file")
    pending = flags[0] if flags and isinstance(flags[0], dict) else {}
    return StoredTensor(
        storage,
        offset + storage.start,
        sizes,
        steps,
        dtype,
        conj=bool(pending.get("conj")),
        neg=bool(pending.get("neg")),
    )


def _word(value: Any) -> str:
    """Write a name or number; anything else could be of any length, or in a circle.

    Raises
    ------
    PickleError
        If it is neither.
    """
    if not isinstance(value, (str, int, Global)):
        raise PickleError(f"a {type(value).__name__} stands in the place of a name")
    return str(value)[:_MOST_WORD]


def _ints(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Stub) and value.what == "torch.Size" and value.args:
        value = value.args[0]
    if isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value):
        return tuple(value)
    return None


def _dtype(value: Any) -> str:
    name = value.name if isinstance(value, Global) else ""
    if name not in SIZES:
        raise PickleError(f"a tensor is of type {name or 'none'}, which is not known")
    return name


def storage_of(identifier: Any) -> Storage | OddTensor | Stub:
    """Make the storage that a persistent identifier names.

    Raises
    ------
    PickleError
        If it names none.
    """
    if not isinstance(identifier, tuple) or not identifier:
        raise PickleError("it refers to something outside the file")
    if identifier[0] != "storage":
        return Stub(_word(identifier[0])[:40])  # old files: the source of a module
    _, kind, key, location, elements, *view = identifier
    if not isinstance(kind, Global) or not isinstance(elements, int) or elements < 0:
        raise PickleError("a storage has no type or no size")
    name = kind.name.removesuffix("Storage")
    if location == "meta":
        return OddTensor("is on the device 'meta': it has no content")
    if name != "Untyped" and name not in _STORAGES:
        return OddTensor(f"is stored as {kind.name}, which is not read")
    dtype = _STORAGES.get(name)
    start = 0
    if view and isinstance(view[0], tuple):
        _, start, *_ = view[0]
        if not isinstance(start, int) or start < 0:
            raise PickleError("a storage begins nowhere")
    return Storage(_word(key), dtype, elements, start)
