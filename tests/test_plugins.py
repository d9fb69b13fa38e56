"""Code of the user's own: where it is found, and how its errors are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgesim.plugins import (
    current_folder_importable,
    file_name,
    find_module,
    import_own,
    is_own,
    own_line,
    told,
    told_where,
)


def test_modules_of_the_current_folder_are_found_while_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no longer than that."""
    (tmp_path / "found_for_test.py").write_text("answer = 42\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    with current_folder_importable():
        module = find_module("found_for_test")
    assert module is not None
    assert module.answer == 42
    assert sys.path == before


def test_a_module_that_is_not_there_is_none_but_one_that_it_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a missing parent nor a missing child is the module's own fault."""
    (tmp_path / "lacks_for_test.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    with current_folder_importable():
        assert find_module("nothing_for_test") is None
        assert find_module("nothing_for_test.child") is None
        with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
            find_module("lacks_for_test")


def test_errors_are_told_by_type_and_message_on_one_line() -> None:
    """A message of several lines is one; without any, the error is as it is made."""
    assert told(KeyError("x")) == """KeyError: "'x'\""""
    assert told(ValueError("one\n  two")) == "ValueError: 'one two'"
    assert told(StopIteration()) == "StopIteration()"


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("mine:solve", True),
        ("a.b:C-noshare", True),
        ("ähnlich:lösen", True),
        ("mine:solve-noshare-noshare", False),
        ("mine", False),
        ("dp", False),
        (":solve", False),
        ("mine:", False),
        ("a..b:c", False),
        ("a:b:c", False),
        ("1a:b", False),
        (3, False),
    ],
)
def test_own_names_are_told_by_their_form(name: object, own: bool) -> None:
    """Nothing need be there."""
    assert is_own(name) is own


def test_the_line_is_of_the_first_file_that_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of installed code that it calls, nor of edgesim's that calls it."""
    (tmp_path / "counts_for_test.py").write_text(
        "import fractions\n\n\ndef read(text):\n    return fractions.Fraction(text)\n"
    )
    monkeypatch.chdir(tmp_path)
    _, read = import_own("counts_for_test:read")
    with pytest.raises(ValueError, match="Invalid literal") as caught:
        read("many")
    assert caught.traceback[-1].path.name == "fractions.py"
    # The first frame of the error is this test's: a caller of edgesim has none such.
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert own_line(error) == "counts_for_test.py:5"
    assert told_where(error).endswith(", at counts_for_test.py:5")
    assert own_line(ValueError()) is None


def test_names_become_parts_of_file_names() -> None:
    """No colons, which some file systems do not take."""
    assert file_name("mine.own:solve-noshare") == "mine.own-solve-noshare"
