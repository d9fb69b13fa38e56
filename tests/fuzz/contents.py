"""Contents of files: a valid example, as bytes, and damaged."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.fuzz.edits import Generator, chosen, edited
from tests.fuzz.extremes import NUMBERS, TEXTS, Raw, Twice


class Content(Protocol):
    """What a file holds."""

    def valid(self) -> bytes:
        """Return the content as it should be."""

    def damaged(self, rng: Generator) -> bytes:
        """Return it with what is drawn changed."""


def as_json(value: Any) -> str:
    """Write JSON in which some parts stand as they are, or twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        items = list(value.items())
        if isinstance(value, Twice):
            items.append(items[-1])
        return f"{{{', '.join(f'{json.dumps(k)}: {as_json(v)}' for k, v in items)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_json, value))}]"
    if isinstance(value, int) and abs(value) > 10**4000:
        return hex(value)
    return json.dumps(value)


def as_toml(document: Any) -> str:
    """Write TOML: a line for each key, tables within one line."""
    if not isinstance(document, dict):
        return _toml_value(document)
    items = list(document.items())
    if isinstance(document, Twice):
        items.append(items[-1])
    return "".join(f"{_toml_text(key)} = {_toml_value(v)}\n" for key, v in items)


def _toml_text(text: str) -> str:
    # The escapes of JSON, all of which TOML has; it has none for half a character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        items = list(value.items())
        if isinstance(value, Twice):
            items.append(items[-1])
        inner = ", ".join(f"{_toml_text(k)} = {_toml_value(v)}" for k, v in items)
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, str):
        return _toml_text(value)
    return json.dumps(value)


def encoded(text: str) -> bytes:
    """Encode a text as UTF-8; half a character becomes bytes that are none."""
    return text.encode("utf-8", "surrogatepass")


def _spoilt(content: bytes, rng: Generator) -> bytes:
    """Damage a file without regard to what it holds."""
    place = int(rng.integers(len(content) + 1))
    strange = rng.integers(0, 256, int(rng.integers(1, 9)), dtype="uint8").tobytes()
    lines = content.split(b"\n")
    line = int(rng.integers(len(lines)))
    return chosen(  # type: ignore[no-any-return]
        rng,
        (
            b"",
            content[:place],
            content[place:],
            content[:place] + strange + content[place + len(strange) :],
            content[:place] + strange + content[place:],
            content[:place] + b"\x00" + content[place:],
            b"\xef\xbb\xbf" + content,
            content.decode("latin-1").encode("utf-16"),
            content.replace(b"\n", b"\r\n"),
            content.replace(b"\n", b"\r"),
            content + content,
            content + b"\n" * 100,
            b"\n".join(lines[:line] + lines[line + 1 :]),
            b"\n".join([*lines[:line], lines[line], *lines[line:]]),
            gzip.compress(content)[: -int(rng.integers(12)) or None],
        ),
    )


@dataclass(frozen=True)
class Document:
    """Objects, lists and values, and how they are written."""

    value: Any
    write: Callable[[Any], str] = as_json

    def valid(self) -> bytes:
        """Return the content as it should be."""
        return encoded(self.write(self.value))

    def damaged(self, rng: Generator) -> bytes:
        """Return it with edits, or spoilt as a file."""
        if rng.integers(12) == 0:
            return _spoilt(self.valid(), rng)
        try:
            return encoded(self.write(edited(self.value, rng)))
        except RecursionError:  # what is deep already, put into itself
            return _spoilt(self.valid(), rng)


def toml(value: Any) -> Document:
    """Make the content of a TOML file."""
    return Document(value, as_toml)


def lines(values: Sequence[Any]) -> Document:
    """Make the content of a file with a JSON object a line."""

    def write(found: Any) -> str:
        rows = found if isinstance(found, list) else [found]
        return "".join(f"{as_json(row)}\n" for row in rows)

    return Document(list(values), write)


@dataclass(frozen=True)
class Table:
    """Rows of cells with a header."""

    text: str

    def valid(self) -> bytes:
        """Return the content as it should be."""
        return encoded(self.text)

    def damaged(self, rng: Generator) -> bytes:
        """Return it with other cells, rows or columns, or spoilt as a file."""
        if rng.integers(10) == 0:
            return _spoilt(self.valid(), rng)
        rows = [line.split(",") for line in self.text.splitlines()]
        for _ in range(1 + int(rng.integers(6) == 0)):
            rows = _edited_rows(rows, rng) or [[""]]
        return encoded("".join(f"{','.join(row)}\n" for row in rows))


def _edited_rows(rows: list[list[str]], rng: Generator) -> list[list[str]]:
    rows = [list(row) for row in rows]
    r = int(rng.integers(len(rows)))
    c = int(rng.integers(len(rows[r]) or 1))
    kind = int(rng.integers(12))
    if kind < 6 and rows[r]:
        odd = chosen(rng, (*map(str, NUMBERS), *TEXTS, *TEXTS))
        rows[r][c] = chosen(rng, (odd, odd, f'"{odd}"', rows[r][c] + odd, f'"{odd}'))
    elif kind == 6:
        del rows[r]
    elif kind == 7:
        rows.insert(r, list(rows[r]))
    elif kind == 8:
        order = rng.permutation(len(rows) - 1) if len(rows) > 1 else []
        rows = [rows[0], *(rows[1 + int(n)] for n in order)]
    elif kind == 9:
        rows = [[cell for n, cell in enumerate(row) if n != c] for row in rows]
    elif kind == 10:
        rows = [[*row[:c], *row[c : c + 1], *row[c:]] for row in rows]
    else:
        order = rng.permutation(max(map(len, rows)))
        rows = [[row[n] for n in order if n < len(row)] for row in rows]
    return rows


@dataclass(frozen=True)
class Checkpoint:
    """A safetensors file: the length of its header, the header, the weights."""

    header: dict[str, Any]
    weights: bytes

    def _file(self, header: bytes, weights: bytes, extra: int = 0) -> bytes:
        length = (len(header) + extra) % 2**64
        return length.to_bytes(8, "little") + header + weights

    def valid(self) -> bytes:
        """Return the content as it should be."""
        return self._file(encoded(as_json(self.header)), self.weights)

    def damaged(self, rng: Generator) -> bytes:
        """Return it with another header, length or weights, or spoilt as a file."""
        kind = int(rng.integers(10))
        if kind == 0:
            return _spoilt(self.valid(), rng)
        if kind == 1:
            extra = chosen(rng, (1, -1, 8, 10**6, 2**31, 2**40, 2**63, 2**64 - 1))
            return self._file(encoded(as_json(self.header)), self.weights, int(extra))
        if kind == 2:
            cut = int(rng.integers(len(self.weights) + 1))
            return self._file(encoded(as_json(self.header)), self.weights[:cut])
        try:
            header = encoded(as_json(edited(self.header, rng)))
        except RecursionError:  # what is deep already, put into itself
            header = b"{" * 5000
        return self._file(header, self.weights)


@dataclass(frozen=True)
class Packed:
    """A content packed by gzip."""

    inner: Content

    def valid(self) -> bytes:
        """Return the content as it should be."""
        return gzip.compress(self.inner.valid())

    def damaged(self, rng: Generator) -> bytes:
        """Return it with another content, or spoilt as a file."""
        if rng.integers(3) == 0:
            return _spoilt(self.valid(), rng)
        return gzip.compress(self.inner.damaged(rng))


@dataclass(frozen=True)
class Binary:
    """Bytes that are damaged as such."""

    content: bytes

    def valid(self) -> bytes:
        """Return the content as it should be."""
        return self.content

    def damaged(self, rng: Generator) -> bytes:
        """Return it spoilt as a file."""
        return _spoilt(self.content, rng)
