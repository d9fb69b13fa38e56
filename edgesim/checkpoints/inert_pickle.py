"""Interpret a pickle without running it: classes and functions become inert stubs.

A pickle is a program for a small stack machine whose instructions can name any function
and call it. Here every instruction is carried out but these: a name stays a
:class:`Global`, and a call of one is handed to a function of ours, which knows a few
(tensors, ordered dicts) and leaves all others as a :class:`Stub`. Nothing is imported,
and nothing that a file asks for is allocated beyond what stands in it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Global(NamedTuple):
    """The name of a class or function, neither imported nor called."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Stub:
    """An object that was not made.

    Parameters
    ----------
    what
        The name of its class, or of the function that would have made it.
    args
        Arguments of the call.
    state
        What it would have been filled with (``__setstate__``); None if nothing.
    items
        What would have been put into it, if it is a kind of dict.
    """

    what: str
    args: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class PickleError(Exception):
    """A pickle that is broken."""


Call = Callable[[Global, tuple[Any, ...]], Any]
Persistent = Callable[[Any], Any]

_BROKEN = (
    *(IndexError, KeyError, ValueError, TypeError, AttributeError),
    *(OverflowError, RecursionError, struct.error),
)
_MARK = object()
_PLAIN = (str, float, bytes, bool, type(None), Global)

# Numbers above all sizes of files and memory are never needed. They would take long
# to write, and as keys they can be chosen to have one hash, which takes forever.
_MOST_KEY = 1 << 60
_MOST_NUMBER_BYTES = 1024
_MOST_NAME = 1000


def interpret(
    data: bytes | memoryview, call: Call, persistent: Persistent, start: int = 0
) -> tuple[Any, int]:
    """Interpret one pickle.

    Parameters
    ----------
    data
        Bytes that hold it.
    call
        Makes a value of a class or function and its arguments, which may be stubs.
    persistent
        Makes a value of the identifier of something outside the pickle.
    start
        Where it begins.

    Returns
    -------
    tuple
        The value, of dicts, lists, tuples, plain values, stubs and what ``call`` and
        ``persistent`` made; and where the pickle ended.

    Raises
    ------
    PickleError
        If it is broken.
    """
    machine = _Machine(data, call, persistent, start)
    try:
        value = machine.run()
    except _BROKEN as error:
        raise PickleError(str(error)) from None
    return value, machine.place


class _Machine:
    """The stack, the memo, and a method for each instruction that takes one."""

    def __init__(
        self, data: bytes | memoryview, call: Call, persistent: Persistent, start: int
    ) -> None:
        self.data = bytes(data) if isinstance(data, memoryview) else data
        self.place = start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.call = call
        self.persistent = persistent

    def run(self) -> Any:
        data, stack, memo, steps = self.data, self.stack, self.memo, _STEPS
        while True:
            place = self.place
            code = data[place]
            # Half of all instructions put into the memo or get from it.
            if code == _PUT:
                memo[data[place + 1]] = stack[-1]
                self.place = place + 2
            elif code == _LONG_PUT:
                memo[int.from_bytes(data[place + 1 : place + 5], "little")] = stack[-1]
                self.place = place + 5
            elif code == _GET:
                stack.append(memo[data[place + 1]])
                self.place = place + 2
            elif code == _STOP:
                self.place = place + 1
                return stack.pop()
            else:
                self.place = place + 1
                step = steps.get(code)
                if step is None:
                    raise ValueError(f"unknown instruction {code:#x}")
                step(self)

    # What stands behind an instruction.

    def number(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self.data, self.place)
        self.place += form.size
        return value

    def piece(self, size: int) -> bytes:
        end = self.place + size
        if size < 0 or end > len(self.data):
            raise ValueError("its pickle ends early")
        found = self.data[self.place : end]
        self.place = end
        return found

    def line(self) -> bytes:
        end = self.data.index(b"\n", self.place)
        found = self.data[self.place : end]
        self.place = end + 1
        return found

    # Values.

    def int_line(self) -> None:
        text = self.line()
        self.stack.append(
            text == b"01" if text in (b"00", b"01") else int(text.rstrip(b"L"))
        )

    def string_line(self) -> None:
        text = self.line()
        self.stack.append(text[1:-1].decode("latin-1"))

    def long(self, size: int) -> None:
        piece = self.piece(size)
        if size > _MOST_NUMBER_BYTES:
            self.stack.append(Stub("builtins.int"))
        else:
            self.stack.append(int.from_bytes(piece, "little", signed=True))

    def text(self, size: int) -> None:
        self.stack.append(self.piece(size).decode("utf-8", "surrogatepass"))

    def byte_string(self, size: int) -> None:
        self.stack.append(self.piece(size))

    def old_string(self, size: int) -> None:
        self.stack.append(self.piece(size).decode("latin-1"))

    # Containers.

    def marked(self) -> list[Any]:
        """Take all above the last mark."""
        stack = self.stack
        place = len(stack) - 1
        while stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("its pickle lacks a mark")
        found = stack[place + 1 :]
        del stack[place:]
        return found

    def last(self, count: int) -> tuple[Any, ...]:
        found = tuple(self.stack[-count:])
        if len(found) < count:
            raise ValueError("its pickle takes what is not there")
        del self.stack[-count:]
        return found

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)

    def fill(self, values: list[Any]) -> None:
        target = self.stack[-1]
        into = target.items if isinstance(target, Stub) else target
        if not isinstance(into, dict):
            raise ValueError("its pickle fills what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys are never looked up, and hashing them could take any time.
            into[key if _is_key(key) else Stub("key")] = value

    # Names and calls.

    def global_line(self) -> None:
        self.stack.append(_named(self.line().decode(), self.line().decode()))

    def stack_global(self) -> None:
        self.stack.append(_named(*self.last(2)))

    def made(self, what: Any, args: Any) -> None:
        if not isinstance(args, tuple):
            args = (args,)
        if isinstance(what, Global):
            self.stack.append(self.call(what, args))
        else:
            self.stack.append(Stub(getattr(what, "what", type(what).__name__), args))

    def reduce(self) -> None:
        self.made(*self.last(2))

    def new_with_keywords(self) -> None:
        what, args, _ = self.last(3)
        self.made(what, args)

    def instance_line(self) -> None:
        what = _named(self.line().decode(), self.line().decode())
        self.made(what, tuple(self.marked()))

    def instance(self) -> None:
        what, *args = self.marked()
        self.made(what, tuple(args))

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Stub):
            target.state = state

    def extension(self, size: int) -> None:
        self.stack.append(Global("copyreg", f"extension {self.piece(size).hex()}"))


def _is_key(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < _MOST_KEY
    return isinstance(value, _PLAIN)


def _named(module: Any, name: Any) -> Global:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a class has a name that is no text")
    if len(module) + len(name) > _MOST_NAME:
        raise ValueError(f"a class has a name of {len(module) + len(name)} characters")
    return Global(module, name)


def _put(machine: _Machine, key: int) -> None:
    if not 0 <= key < _MOST_KEY:
        raise ValueError("its pickle numbers what is nowhere")
    machine.memo[key] = machine.stack[-1]


def _pushes(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _numbers(form: str) -> Callable[[_Machine], None]:
    packed = struct.Struct(form)
    return lambda machine: machine.stack.append(machine.number(packed))


def _sized(
    form: str, take: Callable[[_Machine, int], None]
) -> Callable[[_Machine], None]:
    packed = struct.Struct(form)
    return lambda machine: take(machine, machine.number(packed))


def _get(machine: _Machine, key: int) -> None:
    machine.stack.append(machine.memo[key])


def _frozen(values: list[Any]) -> Stub:
    return Stub("builtins.frozenset", tuple(values))


def _as_dict(machine: _Machine) -> None:
    values = machine.marked()
    machine.stack.append({})
    machine.fill(values)


def _drop(machine: _Machine) -> None:
    machine.stack.pop()


def _drop_marked(machine: _Machine) -> None:
    machine.marked()


def _skip_frame(machine: _Machine) -> None:
    machine.place += 8


def _skip_protocol(machine: _Machine) -> None:
    machine.place += 1


_STOP, _PUT, _LONG_PUT, _GET = map(ord, ".qrh")
_BYTE, _SHORT, _INT, _LONG = "<B", "<H", "<I", "<Q"

_STEPS: dict[int, Callable[[_Machine], None]] = {
    0x80: _skip_protocol,
    0x95: _skip_frame,
    ord("("): _pushes(_MARK),
    ord("0"): _drop,
    ord("1"): _drop_marked,
    ord("2"): lambda m: m.stack.append(m.stack[-1]),
    # Numbers, None, truth.
    ord("N"): _pushes(None),
    0x88: _pushes(True),
    0x89: _pushes(False),
    ord("I"): _Machine.int_line,
    ord("L"): _Machine.int_line,
    ord("F"): lambda m: m.stack.append(float(m.line())),
    ord("J"): _numbers("<i"),
    ord("K"): _numbers(_BYTE),
    ord("M"): _numbers(_SHORT),
    ord("G"): _numbers(">d"),
    0x8A: _sized(_BYTE, _Machine.long),
    0x8B: _sized("<i", _Machine.long),
    # Text and bytes.
    ord("S"): _Machine.string_line,
    ord("V"): lambda m: m.stack.append(m.line().decode("raw-unicode-escape")),
    ord("T"): _sized("<i", _Machine.old_string),
    ord("U"): _sized(_BYTE, _Machine.old_string),
    ord("X"): _sized(_INT, _Machine.text),
    0x8C: _sized(_BYTE, _Machine.text),
    0x8D: _sized(_LONG, _Machine.text),
    ord("B"): _sized(_INT, _Machine.byte_string),
    ord("C"): _sized(_BYTE, _Machine.byte_string),
    0x8E: _sized(_LONG, _Machine.byte_string),
    0x96: _sized(_LONG, _Machine.byte_string),
    # Containers.
    ord(")"): _pushes(()),
    ord("t"): lambda m: m.stack.append(tuple(m.marked())),
    0x85: lambda m: m.stack.append(m.last(1)),
    0x86: lambda m: m.stack.append(m.last(2)),
    0x87: lambda m: m.stack.append(m.last(3)),
    ord("]"): lambda m: m.stack.append([]),
    ord("l"): lambda m: m.stack.append(m.marked()),
    ord("a"): lambda m: m.extend([m.stack.pop()]),
    ord("e"): lambda m: m.extend(m.marked()),
    ord("}"): lambda m: m.stack.append({}),
    ord("d"): _as_dict,
    ord("s"): lambda m: m.fill(list(m.last(2))),
    ord("u"): lambda m: m.fill(m.marked()),
    0x8F: lambda m: m.stack.append(Stub("builtins.set")),
    0x90: _drop_marked,
    0x91: lambda m: m.stack.append(_frozen(m.marked())),
    # The memo.
    ord("p"): lambda m: _put(m, int(m.line())),
    0x94: lambda m: _put(m, len(m.memo)),
    ord("g"): lambda m: _get(m, int(m.line())),
    ord("j"): _sized(_INT, _get),
    # Names, calls, things outside.
    ord("c"): _Machine.global_line,
    0x93: _Machine.stack_global,
    0x82: lambda m: m.extension(1),
    0x83: lambda m: m.extension(2),
    0x84: lambda m: m.extension(4),
    ord("R"): _Machine.reduce,
    0x81: _Machine.reduce,
    0x92: _Machine.new_with_keywords,
    ord("i"): _Machine.instance_line,
    ord("o"): _Machine.instance,
    ord("b"): _Machine.build,
    ord("P"): lambda m: m.stack.append(m.persistent(m.line().decode())),
    ord("Q"): lambda m: m.stack.append(m.persistent(m.stack.pop())),
}
