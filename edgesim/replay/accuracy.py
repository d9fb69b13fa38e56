"""Errors of simulated against measured times, as statistics and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from edgesim.measures.errors import Errors, errors
from edgesim.replay.comparison import Pair
from edgesim.results.rows import Row
from edgesim.text import markdown_table

QUANTITIES = ("load", "compute", "load + compute", "overhead", "end of the plan")

_NUMBERS = ("mean", "p50", "p90", "p99", "size_p90", "size_p99")


@dataclass(frozen=True)
class Accuracy:
    """Measured against simulated times of one quantity, over rounds and repeats.

    Parameters
    ----------
    number
        Number of pairs. Everything else is None if there are none.
    simulated_s, measured_s
        Means.
    error_s
        Errors, measured − simulated.
    total_ratio
        Sum of the errors over the sum of the simulated times; None if the latter is 0.
    ratio_number, ratio
        Number and statistics of error / simulated, over the pairs whose simulated time
        is above 0.
    spread_s
        Range, over repeats, of the mean measured time; None for one repeat.
    """

    quantity: str
    number: int
    simulated_s: float | None = None
    measured_s: float | None = None
    error_s: Errors | None = None
    total_ratio: float | None = None
    ratio_number: int = 0
    ratio: Errors | None = None
    spread_s: float | None = None


def accuracies(pairs: Sequence[Pair]) -> list[Accuracy]:
    """Summarise pairs, one entry for each of ``QUANTITIES``.

    Loads count if anything is loaded, batches if they were computed. Overhead is the
    time of a round beyond both, if no round waited. The end of the plan is that of its
    last round, once per repeat, if every batch was computed.
    """
    last = max((pair.round for pair in pairs), default=0)
    simulated: dict[str, Callable[[Pair], float | None]] = {
        "load": lambda p: p.simulated_load_s if p.loaded_blocks else None,
        "compute": lambda p: p.simulated_compute_s,
        "load + compute": lambda p: p.simulated_load_s + p.simulated_compute_s,
        "overhead": lambda p: p.simulated_overhead_s,
        "end of the plan": lambda p: (
            p.simulated_end_s if p.round == last and p.same_work else None
        ),
    }
    measured: dict[str, Callable[[Pair], float | None]] = {
        "load": lambda p: p.measured_load_s,
        "compute": lambda p: p.measured_compute_s,
        "load + compute": lambda p: (
            None
            if p.measured_compute_s is None
            else p.measured_load_s + p.measured_compute_s
        ),
        "overhead": lambda p: p.measured_overhead_s,
        "end of the plan": lambda p: p.measured_end_s,
    }
    return [
        _accuracy(
            name, [(p.repeat, simulated[name](p), measured[name](p)) for p in pairs]
        )
        for name in QUANTITIES
    ]


def _accuracy(
    quantity: str, samples: Sequence[tuple[int, float | None, float | None]]
) -> Accuracy:
    kept = [
        (repeat, plan_s, real_s)
        for repeat, plan_s, real_s in samples
        if plan_s is not None and real_s is not None
    ]
    if not kept:
        return Accuracy(quantity, 0)
    of_repeat: dict[int, list[float]] = {}
    for repeat, _, real_s in kept:
        of_repeat.setdefault(repeat, []).append(real_s)
    means = [fmean(values) for values in of_repeat.values()]
    total_s = sum(plan_s for _, plan_s, _ in kept)
    ratios = [(real_s - plan_s) / plan_s for _, plan_s, real_s in kept if plan_s > 0]
    errors_s = [real_s - plan_s for _, plan_s, real_s in kept]
    return Accuracy(
        quantity=quantity,
        number=len(kept),
        simulated_s=fmean(plan_s for _, plan_s, _ in kept),
        measured_s=fmean(real_s for _, _, real_s in kept),
        error_s=errors(errors_s),
        total_ratio=sum(errors_s) / total_s if total_s else None,
        ratio_number=len(ratios),
        ratio=errors(ratios) if ratios else None,
        spread_s=max(means) - min(means) if len(means) > 1 else None,
    )


COLUMNS = (
    "quantity",
    "number",
    "simulated_mean_s",
    "measured_mean_s",
    *(f"error_{name}_s" for name in _NUMBERS),
    "total_error_ratio",
    "ratio_number",
    *(f"error_{name}_ratio" for name in _NUMBERS),
    "repeat_spread_s",
)


def rows(table: Sequence[Accuracy]) -> list[Row]:
    """Return a row of ``COLUMNS`` for each quantity."""
    return [
        {
            "quantity": one.quantity,
            "number": one.number,
            "simulated_mean_s": one.simulated_s,
            "measured_mean_s": one.measured_s,
            **{f"error_{name}_s": _get(one.error_s, name) for name in _NUMBERS},
            "total_error_ratio": one.total_ratio,
            "ratio_number": one.ratio_number,
            **{f"error_{name}_ratio": _get(one.ratio, name) for name in _NUMBERS},
            "repeat_spread_s": one.spread_s,
        }
        for one in table
    ]


def _get(found: Errors | None, name: str) -> float | None:
    return None if found is None else float(getattr(found, name))


_HEADS = ("mean", "p50", "p90", "p99", "size p90", "size p99")


def markdown(table: Sequence[Accuracy]) -> str:
    """Format the table for people: errors in ms, then in % of the simulated time."""
    ms = markdown_table(
        ("ms", "number", "simulated", "measured", *_HEADS, "between repeats"),
        [
            (
                one.quantity,
                f"{one.number:,}",
                _ms(one.simulated_s),
                _ms(one.measured_s),
                *(_ms(_get(one.error_s, n), sign=_signed(n)) for n in _NUMBERS),
                _ms(one.spread_s),
            )
            for one in table
        ],
    )
    percent = markdown_table(
        ("%", "number", "of the sum", *_HEADS, "between repeats"),
        [
            (
                one.quantity,
                f"{one.ratio_number:,}",
                _percent(one.total_ratio, sign=True),
                *(_percent(_get(one.ratio, n), sign=_signed(n)) for n in _NUMBERS),
                _percent(
                    one.spread_s / one.measured_s
                    if one.spread_s is not None and one.measured_s
                    else None
                ),
            )
            for one in table
        ],
    )
    return f"{ms}\n\n{percent}"


def _signed(name: str) -> bool:
    return not name.startswith("size")


def _ms(seconds: float | None, *, sign: bool = False) -> str:
    if seconds is None:
        return "–"
    return _decimal(seconds * 1e3, 3, sign)


def _percent(ratio: float | None, *, sign: bool = False) -> str:
    if ratio is None:
        return "–"
    return _decimal(ratio * 100, 1, sign)


def _decimal(value: float, digits: int, sign: bool) -> str:
    """Round; a negative value that rounds to 0 is shown as 0, not as −0."""
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"
