"""Pictures as files: format by suffix, the same bytes, any text and any backend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from edgesim.errors import InputError
from edgesim.plotting.style import as_text, dump, save, style
from edgesim.plotting.throughput import plot_throughput
from tests.plotting.sweep_marks import SweepPoint
from tests.plotting.sweep_marks import panels as panels_of
from tests.plotting.sweep_marks import sweep as sweep_of
from tests.plotting.test_style import ROWS, SERVED, figure_of

BEGINS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("suffix", [*BEGINS, "PDF"])
def test_the_suffix_decides(tmp_path: Path, suffix: str) -> None:
    """What is called PDF is PDF."""
    path = tmp_path / f"x.{suffix}"
    save(sweep_of(ROWS, "users"), str(path))
    assert path.read_bytes().startswith(BEGINS[suffix.lower()])
    if suffix == "svg":
        assert ET.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.png.gz", ".png"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    """With those that are allowed; nothing is written."""
    with pytest.raises(InputError, match=r"must end in \.png, \.pdf, \.svg, found"):
        save(plot_throughput(SERVED), tmp_path / name)
    assert not list(tmp_path.iterdir())


ONCE = """\
import sys
from edgesim.plotting.style import dump
from tests.plotting.test_style import ROWS, sweep_of
dump(sweep_of(ROWS, "users"), sys.stdout.buffer, sys.argv[1])
"""


@pytest.mark.parametrize("suffix", BEGINS)
def test_a_picture_is_the_same_bytes_in_any_process_and_year(suffix: str) -> None:
    """No date, no random identifiers, none of the reader's settings."""
    found = [
        subprocess.run(
            [sys.executable, "-c", ONCE, suffix],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "SOURCE_DATE_EPOCH": year, "PYTHONHASHSEED": seed},
        ).stdout
        for year, seed in (("0", "1"), ("1000000000", "2"))
    ]
    foreign = {"svg.hashsalt": None, "pdf.fonttype": 3, "pdf.compression": 0}
    with mpl.rc_context({**foreign, "svg.fonttype": "none"}):
        here = BytesIO()
        dump(sweep_of(ROWS, "users"), here, suffix)
    assert found[0] == found[1] == here.getvalue()
    assert b"Date" not in found[0]
    assert b"Matplotlib v" not in found[0]


def texts_of(title: str) -> Iterator[Text]:
    """Draw a text at every place of a figure where people's texts go."""
    rows = [SweepPoint(title or "word", "_dp", 1.0), SweepPoint("b", "fcfs", 2.0)]
    drawings = (
        figure_of(sweep_of(rows, title, y_label=title, title=title)),
        panels_of({title: rows}, title, y_label=title, title=title),
        figure_of(plot_throughput({title: [1.0]}, title=title)),
    )
    for figure in drawings:
        with style():
            figure.draw_without_rendering()
        yield from figure.findobj(Text)


@settings(max_examples=60, derandomize=True)
@given(st.text(st.sampled_from("$$\\{}^_ frac^-noshare\nµ"), max_size=14))
@example("$x^{$")
@example(r"\$5 and $\frac{a$")
@example("$a$ $b^{$")
@example("one $ two")
def test_any_text_can_be_drawn(title: str) -> None:
    """Nothing that people write ends in an error."""
    assert [text.get_text() for text in texts_of(title)]


@settings(max_examples=200, derandomize=True)
@given(st.text(st.sampled_from("$$$\\\\{}^_ abfrc\n") | st.characters(), max_size=20))
def test_a_text_that_is_no_formula_is_shown_as_it_is(text: str) -> None:
    """Dollar signs and backslashes stay, unless they enclose a valid formula."""
    shown = as_text(text)
    drawable = text.encode("utf-8", "replace").decode()
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in drawable)
    if shown == printable:
        return
    for line, as_given in zip(shown.split("\n"), printable.split("\n"), strict=True):
        assert Text(text=line)._preprocess_math(line) == (as_given, False)


def test_formulas_are_still_formulas() -> None:
    """A valid one is left to matplotlib; one of two that is not makes both text."""
    assert as_text(r"time ($\mu$s)") == r"time ($\mu$s)"
    assert as_text("$x^{$") == r"\$x^{\$"
    assert as_text("costs $5") == "costs $5"
    assert as_text("a\x00b\tc") == "a b c"


def test_a_line_is_not_broken_within_a_formula() -> None:
    """Half a formula on each of two lines would be none, or another one."""
    title = " and ".join(10 * [r"$\frac{a b}{c d} + x$"])
    ax = sweep_of(ROWS, "users", title=title)
    with style():
        figure_of(ax).draw_without_rendering()
    left = next(t for t in ax.get_children() if getattr(t, "get_text", str)() == title)
    assert isinstance(left, Text)
    assert left._get_wrapped_text() == title


DRAWN = """\
import os, sys
from edgesim.plotting.style import dump
from tests.plotting.test_style import SERVED, plot_throughput
import matplotlib
dump(plot_throughput(SERVED), sys.stdout.buffer)
assert "matplotlib.pyplot" not in sys.modules
assert os.environ.get("MPLBACKEND") == (sys.argv[1] or None)
print(dict.__getitem__(matplotlib.rcParams, "backend"), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "no such thing", "svg", ""]
)
def test_no_backend_is_needed_or_touched(backend: str) -> None:
    """A command run from a notebook draws, as does one with garbage in the variable."""
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    if backend:
        environment["MPLBACKEND"] = backend
    # edgesim comes first here, as in its command.
    finished = subprocess.run(
        [sys.executable, "-c", "import edgesim.plotting.style\n" + DRAWN, backend],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(BEGINS["png"])
    if backend == "svg":
        assert finished.stderr.split() == [b"svg"], "a valid one is the user's to name"
