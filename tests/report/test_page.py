"""How text and data get into a page."""

from __future__ import annotations

import json

import pytest

from edgesim.report.page import data, facts, folded, label, lines, page, section, text
from tests.report.parsed import check_page

HOSTILE = "</script></pre><script>window.broken=1</script><!--\"'&\ud800\x00"


def test_no_text_gets_out_of_its_element() -> None:
    """Wherever it stands, it is one text, and no element begins or ends by it."""
    parts = [
        section("one", HOSTILE, facts([(HOSTILE, HOSTILE)]), folded(HOSTILE, HOSTILE)),
        data("two", {HOSTILE.encode("utf-8", "replace").decode(): [HOSTILE[:20]]}),
    ]
    html = page(HOSTILE, HOSTILE, parts, [])
    parsed = check_page(html)
    assert parsed.tags.count("script") == 2  # the data, and the sorting of tables
    assert "broken=1</script>" in parsed.text_of["one"]
    html.encode("utf-8")


def test_data_are_read_back_as_they_were() -> None:
    """Escaping is JSON's own."""
    value = {"a": ["</script>", "<!--", "&amp;", "é\u2028"], "b": [1, 2.5, None]}
    element = data("x", value)
    inner = element[element.index(">") + 1 : element.rindex("<")]
    assert json.loads(inner) == value
    assert "<" not in inner
    with pytest.raises(ValueError, match="not JSON compliant"):
        data("x", float("nan"))


def test_texts_are_on_one_line_but_for_those_of_several() -> None:
    """Line ends in names are blanks."""
    assert text("a\nb<c") == "a b&lt;c"
    assert label("<b>\"'&") == "&lt;b&gt;\"'&amp;"
    assert lines("a\n <b>") == "a\n &lt;b&gt;"
