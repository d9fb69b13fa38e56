"""Everything that commands print passes one place."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from edgesim.cli.output import say, say_json
from edgesim.text import printable, table

COMMANDS = Path(__file__).parents[2] / "edgesim" / "cli"
PLACES = {"output.py", "__init__.py", "ending.py"}
"""Where lines are made safe, the error's own line, and the farewell."""


def printed(write: object, value: object) -> str:
    """Return what a function prints of a value."""
    with redirect_stdout(io.StringIO()) as out:
        write(value)  # type: ignore[operator]
    return out.getvalue()


@pytest.mark.source
def test_commands_print_in_one_place() -> None:
    """A name that a terminal obeys could pass anywhere else."""
    assert len(list(COMMANDS.glob("*.py"))) > 20
    for file in COMMANDS.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert file.name in PLACES or "print(" not in text, file.name
        assert file.name == "output.py" or ".echo(" not in text, file.name


def test_what_a_terminal_obeys_is_blank() -> None:
    """Escapes and marks of direction; bytes of file names are left to the stream."""
    assert printable("a\x1b[31mb\x9bc\u202ed\ne\udcff") == "a [31mb c d\ne\udcff"
    assert printed(say, "a\x07b") == "a b\n"


def test_json_is_the_same_when_read_back() -> None:
    """What cannot be printed is escaped, DEL and what lies beyond 2^16 too."""
    value = {"\x1b": ["\x7f", "\u202e", "\U000e0001", "é", "\n"]}
    text = printed(say_json, value)
    assert json.loads(text) == value
    assert all(c.isprintable() or c == "\n" for c in text)


def test_a_name_does_not_end_a_row() -> None:
    """A table has as many lines as rows."""
    assert table(("name", "n"), [("a\nb", "1")]) == ["name  n", "a b   1"]
