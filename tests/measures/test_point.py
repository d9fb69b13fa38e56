"""The measures of a point as columns, and means of them by hand."""

from __future__ import annotations

from statistics import mean, stdev

import pytest

from edgesim.errors import InputError
from edgesim.measures.point import (
    BY_KEY,
    LABELS,
    PLAN_LABELS,
    RUNTIME,
    known_measure,
    mean_over,
    value_of,
)

T2 = 4.302652729911275
"""The 0.975 quantile of Student's t with 2 degrees of freedom."""


def _points(name: str, values: list[float | None]) -> list[dict[str, float | None]]:
    return [{name: value} for value in values]


def test_a_mean_is_that_of_the_repeats() -> None:
    """With its interval: t · s / √n."""
    values = [3.0, 5.0, 10.0]
    found = mean_over(_points("in_time", values), "in_time", online=False)
    assert found.mean == pytest.approx(6.0)
    assert found.half_width == pytest.approx(T2 * stdev(values) / 3**0.5)


def test_differences_are_paired() -> None:
    """The interval is that of the differences, not of either."""
    one, other = [13.0, 25.0, 40.0], [10.0, 20.0, 36.0]
    found = mean_over(
        _points("in_time", one),
        "in_time",
        online=False,
        others=_points("in_time", other),
    )
    gains = [3.0, 5.0, 4.0]
    assert found.mean == pytest.approx(mean(gains))
    assert found.half_width == pytest.approx(T2 * stdev(gains) / 3**0.5)


def test_relative_differences_are_shares_of_the_other_mean() -> None:
    """(Σ a − Σ b) / Σ b, here 12 / 66."""
    found = mean_over(
        _points("in_time", [13.0, 25.0, 40.0]),
        "in_time",
        online=False,
        others=_points("in_time", [10.0, 20.0, 36.0]),
        relative=True,
    )
    assert found.mean == pytest.approx(12 / 66)


def test_online_ratios_are_sums_over_sums() -> None:
    """As ``edgesim run`` has them: Σ in time / Σ requests, not the mean of ratios."""
    points = [
        {"in_time": 1, "requests": 2, "on_time_ratio": 0.5},
        {"in_time": 8, "requests": 8, "on_time_ratio": 1.0},
    ]
    online = mean_over(points, "on_time_ratio", online=True)
    plans = mean_over(points, "on_time_ratio", online=False)
    assert online.mean == pytest.approx(9 / 10)
    assert plans.mean == pytest.approx(0.75)


def test_online_differences_of_ratios_are_those_of_sums() -> None:
    """9/10 less 5/10."""
    found = mean_over(
        [{"in_time": 1, "requests": 2}, {"in_time": 8, "requests": 8}],
        "on_time_ratio",
        online=True,
        others=[{"in_time": 0, "requests": 2}, {"in_time": 5, "requests": 8}],
    )
    assert found.mean == pytest.approx(0.4)


def test_what_is_undefined_does_not_count() -> None:
    """A repeat without latency has no part in its mean; without any there is none."""
    points = _points("latency_p50_s", [0.2, None, 0.4])
    found = mean_over(points, "latency_p50_s", online=False)
    assert found.mean == pytest.approx(0.3)
    none = mean_over(points[1:2], "latency_p50_s", online=False)
    assert (none.mean, none.half_width) == (None, None)


def test_a_model_that_nobody_asked_for_counts_nothing() -> None:
    """``goodput.MODEL`` is 0 where the model does not occur."""
    columns = {"goodput": {"a": 2}, "in_time": 2}
    assert value_of(columns, "goodput.a") == 2
    assert value_of(columns, "goodput.b") == 0
    assert value_of(columns, "in_time") == 2


def test_every_measure_is_known() -> None:
    """With a label; of plans those that a plan states too."""
    for name in (*LABELS, RUNTIME, *(f"{group}.x" for group in BY_KEY)):
        assert known_measure(name, online=True).text
    for name in PLAN_LABELS:
        assert known_measure(name, online=False).text
        with pytest.raises(ValueError, match=f"{name} is a measure of plans"):
            known_measure(name, online=True)


@pytest.mark.parametrize("name", ["in_tim", "goodput.", ".x", "other.x", ""])
def test_others_are_refused(name: str) -> None:
    """Naming those that there are."""
    with pytest.raises(ValueError, match=r"must be one of requests, in_time, .* found"):
        known_measure(name, online=False)


def test_a_text_is_no_measure() -> None:
    """Such as the status of a plan."""
    with pytest.raises(InputError, match="is no number, found 'optimal'"):
        mean_over([{"status": "optimal"}], "status", online=False)
