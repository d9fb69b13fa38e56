"""Code of the user's own: where it is found, and how its errors are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgesim.plugins import current_folder_importable, find_module, told


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
