"""The figure file: labelled places on the x axis."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgesim.experiment.figure import Figure
from edgesim.results.shown import frame_of


def figure(plot: dict[str, Any], **keys: Any) -> Figure:
    """Make a figure of three numbers."""
    sweep = {"parameter": "users", "values": [8, 16, 32]}
    base = {"title": "t", "scenario": "campus", "sweep": sweep, "plot": plot}
    return Figure.model_validate(base | keys)


MARKS = [{"x": 10.5, "label": "here"}, {"x": 90, "label": "and there"}]


def test_marks_reach_the_frame() -> None:
    """In the unit of the axis, whatever values are divided by."""
    plot = {"marks": MARKS, "unit": 2.0, "x_label": "pairs"}
    frame = frame_of(figure(plot), online=False)
    assert frame.verticals == ((10.5, "here"), (90, "and there"))
    assert frame_of(figure({}), online=False).verticals == ()


@pytest.mark.parametrize(
    ("plot", "keys", "what"),
    [
        ({"marks": [{"x": 1.0}]}, {}, "Field required"),
        ({"marks": [{"x": 1.0, "label": ""}]}, {}, "at least 1 character"),
        (
            {"marks": [{"x": 0.0, "label": "zero"}], "x_scale": "log"},
            {},
            "marks must have an x above 0 on a log axis, found 0",
        ),
        (
            {"marks": MARKS, "kind": "map"},
            {"second": {"parameter": "bandwidth", "values": [1e6, 2e6]}},
            "marks are for lines, and kind is 'map'",
        ),
        (
            {"marks": MARKS},
            {"sweep": {"parameter": "gpu.load_from", "values": ["disk", "pinned"]}},
            "plot.marks needs sweep.values to be numbers",
        ),
    ],
)
def test_marks_that_cannot_be_drawn_are_refused(
    plot: dict[str, Any], keys: dict[str, Any], what: str
) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError, match=what):
        figure(plot, **keys)
