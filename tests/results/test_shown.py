"""What a figure shows of its rows: means, differences and units by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.experiment.figure import Figure, read_figure
from edgesim.measures.point import RUNTIME
from edgesim.results.shown import check_shown, frame_of, marks_of

FIGURES = Path(__file__).parents[2] / "figures"
NAMES = ("dp", "dp-noshare", "greedy")
SERVED = {"dp": (12, 15), "dp-noshare": (10, 10), "greedy": (11, 16)}


def _figure(**plot: Any) -> Figure:
    return Figure.model_validate(
        {
            "title": "",
            "scenario": "campus",
            "sweep": {"parameter": "cell.bandwidth_hz", "values": [1e6]},
            "plot": plot,
        }
    )


def _rows(scale: float = 1.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "value": 1e6,
            "name": name,
            "repeat": repeat,
            "in_time": served * scale,
            "late": 20 - served,
            "bytes_loaded": served * 1e9,
            **more,
        }
        for name, values in SERVED.items()
        for repeat, served in enumerate(values)
    ]


def _means(**plot: Any) -> dict[str, float]:
    (marks,) = marks_of(_figure(**plot), _rows(), online=False).values()
    assert all(mark.repeats == 2 for mark in marks)
    return {mark.name: round(mark.mean, 9) for mark in marks}


def test_means_of_every_solver() -> None:
    """By default requests in time; other measures in their unit."""
    assert _means() == {"dp": 13.5, "dp-noshare": 10.0, "greedy": 13.5}
    assert _means(measure="bytes_loaded")["dp"] == 13.5
    assert _means(measure="bytes_loaded", y_unit=1e6, y_label="MB")["dp"] == 13500.0


def test_gains_of_sharing() -> None:
    """Of those that have a twin, as numbers and in percent of the twin."""
    assert _means(compare="noshare") == {"dp": 3.5}
    assert _means(compare="noshare", relative=True) == {"dp": 35.0}


def test_differences_to_one() -> None:
    """Of all others."""
    assert _means(compare="greedy") == {"dp": 0.0, "dp-noshare": -3.5}


def test_differences_to_the_best() -> None:
    """The best is the most, or the least where less is better; the first of equals."""
    assert _means(compare="best") == {"dp": 0.0, "dp-noshare": -3.5, "greedy": 0.0}
    late = _means(compare="best", measure="late")
    assert late == {"dp": 0.0, "dp-noshare": 3.5, "greedy": 0.0}


def test_the_best_drops_least() -> None:
    """For one reason too: of 1 and 3 requests too late, 1 is the best."""
    rows = [
        {"value": 1e6, "name": name, "repeat": 0, "dropped_by": {"too late": late}}
        for name, late in (("fcfs", 3), ("edf", 1))
    ]
    figure = _figure(compare="best", measure="dropped_by.too late")
    (marks,) = marks_of(figure, rows, online=True).values()
    assert {mark.name: mark.mean for mark in marks} == {"fcfs": 2.0, "edf": 0.0}


def test_a_share_of_nothing_in_one_repeat_counts() -> None:
    """The mean share of served is of both repeats, also if a twin serves 0 in one."""
    rows = [
        {"value": 1e6, "name": name, "repeat": repeat, "in_time": served}
        for name, values in {"dp": (3, 3), "dp-noshare": (0, 2)}.items()
        for repeat, served in enumerate(values)
    ]
    figure = _figure(compare="noshare", relative=True)
    (marks,) = marks_of(figure, rows, online=False).values()
    assert [(mark.mean, mark.repeats) for mark in marks] == [(200.0, 2)]


def test_panels_without_what_is_compared_with_show_nothing() -> None:
    """Solvers may differ between panels; the other panels are shown."""
    rows = [*_rows(panel="all")]
    rows += [row for row in _rows(panel="few") if row["name"] != "greedy"]
    found = marks_of(_figure(compare="greedy"), rows, online=False)
    shown = {panel: [mark.name for mark in marks] for panel, marks in found.items()}
    assert shown == {"all": ["dp", "dp-noshare"], "few": []}


def test_intervals_are_those_of_paired_differences() -> None:
    """Gains 2 and 5: s = 3/√2, over √2, times t = 12.706 of one degree of freedom."""
    figure = _figure(compare="noshare")
    (marks,) = marks_of(figure, _rows(), online=False).values()
    assert marks[0].half_width == pytest.approx(12.706204736 * 1.5)


def test_panels_are_apart() -> None:
    """Marks by panel, in the order of the rows."""
    rows = [*_rows(panel="one"), *_rows(2.0, panel="two")]
    found = marks_of(_figure(), rows, online=False)
    assert {panel: marks[0].mean for panel, marks in found.items()} == {
        "one": 13.5,
        "two": 27.0,
    }


@pytest.mark.parametrize(
    ("plot", "names", "told"),
    [
        ({"measure": "in_tim"}, NAMES, "x.toml: plot.measure: must be one of requests"),
        ({"measure": "in_tim"}, NAMES, "did you mean 'in_time'?"),
        ({"compare": "noshare"}, ("dp", "greedy"), "needs a solver or policy and its"),
        ({"compare": "ilp"}, NAMES, "must be noshare, best or one of those that run"),
        ({"compare": "best"}, ("dp",), "needs two or more to compare, found dp"),
        ({"measure": "load_s", "y_unit": 1e-3}, NAMES, "plot.y_unit: needs y_label"),
    ],
)
def test_what_cannot_be_shown(
    plot: dict[str, Any], names: tuple[str, ...], told: str
) -> None:
    """Told before anything is computed, with the key."""
    with pytest.raises(InputError) as error:
        check_shown("x.toml", _figure(**plot), names, (), online=False)
    assert told in str(error.value)


def test_axes_say_what_they_show() -> None:
    """Labels and units of the parameter and the measure, or those given."""
    frame = frame_of(_figure(), online=False)
    assert (frame.x_label, frame.x_unit) == ("bandwidth (MHz)", 1e6)
    assert frame.y_label == "requests served in time per plan"
    assert frame_of(_figure(x_label="in MHz"), online=False).x_unit == 1e6
    for unit in (1.0, 1e3):
        with pytest.raises(ValueError, match="unit needs x_label"):
            _figure(unit=unit)
    assert frame_of(_figure(unit=1e6), online=False).x_unit == 1e6
    gain = frame_of(_figure(compare="noshare", relative=True), online=False)
    assert "gain of sharing" in gain.y_label
    assert gain.y_label.endswith("(%)")
    loaded = _figure(measure="bytes_loaded", compare="noshare", relative=True)
    assert frame_of(loaded, online=False).y_label.endswith("bytes loaded (%)")
    spans = [
        frame_of(_figure(measure="span_s"), online=online).y_label
        for online in (False, True)
    ]
    assert spans == ["time until the last round ends (s)", "time measured (s)"]
    dropped = frame_of(_figure(measure="dropped_by.too late"), online=True)
    assert dropped.y_label == "requests dropped: too late"


def _table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def _number(text: str) -> Any:
    """Read a cell: a number, nothing, or words."""
    try:
        return float(text) if text else None
    except ValueError:
        return text


@pytest.mark.parametrize("file", sorted(FIGURES.glob("*.toml")), ids=lambda f: f.stem)
def test_committed_tables_agree(file: Path) -> None:
    """What each committed picture shows is the estimate from the committed rows."""
    figure = read_figure(file)
    found = _table(file.with_suffix(".csv"))
    times = _table(file.with_suffix(".times.csv"))
    kind = "policy" if "policy" in found[0] else "solver"
    leading = [key for key in ("panel", "second", "value") if key in found[0]]
    rows = [
        {key: _number(cell) for key, cell in row.items()}
        | {"name": row[kind], RUNTIME: float(time[RUNTIME])}
        | {key: row[key] for key in leading}
        for row, time in zip(found, times, strict=True)
    ]
    shown = {
        (*(row[key] for key in leading), row[kind]): row
        for row in _table(file.with_suffix(".shown.csv"))
    }
    marks = marks_of(figure, rows, online=kind == "policy")
    assert sum(map(len, marks.values())) == len(shown)
    for outer, of in marks.items():
        for mark in of:
            place = (outer, mark.value) if len(leading) == 2 else (mark.value,)
            row = shown[(*place, mark.name)]
            assert float(row["mean"]) == pytest.approx(mark.mean, abs=1e-12)
            assert float(row["half_width_95"]) == pytest.approx(
                mark.half_width, abs=1e-12
            )
            assert int(row["repeats"]) == mark.repeats
