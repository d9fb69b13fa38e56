"""Synthetic traces: arrival processes, Zipf popularity, sizes and deadlines.

Every draw comes from one ``numpy.random.Generator`` that is created from the seed and
passed down, so the same seed gives the same trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt

import numpy as np

from edgesim.errors import InputError, Parameter
from edgesim.trace.requests import Codes, Floats, Integers, Trace
from edgesim.trace.rows import MAX_BYTES, RANGES

ARRIVALS = ("poisson", "gamma", "on-off")
IMAGE_BYTES = 224 * 224 * 3  # one 224 x 224 RGB image, uncompressed
MAX_REQUESTS = 20_000_000
MAX_DURATION_S = 1e9  # nanoseconds are whole numbers up to there and beyond
MAX_NAMES = 1_000_000
MAX_INPUT_BYTES = 10**12


def generate(
    *,
    rate_per_s: float,
    duration_s: float,
    slo_s: Sequence[float],
    arrivals: str = "poisson",
    cv: float | None = None,
    on_s: float | None = None,
    off_s: float | None = None,
    burst_factor: float | None = None,
    models: int = 10,
    zipf: float = 1.0,
    users: int = 100,
    input_bytes: int = IMAGE_BYTES,
    input_bytes_cv: float = 0.0,
    seed: int = 0,
) -> Trace:
    """Draw a trace; its expected number of requests is ``rate_per_s * duration_s``.

    Parameters
    ----------
    rate_per_s
        Mean arrival rate, for every arrival process.
    duration_s
        Arrivals lie in [0, duration_s), on whole nanoseconds.
    slo_s
        One deadline for all, or several that are assigned to the models in turn by
        popularity rank: a deadline belongs to the purpose of a model, not to a single
        request.
    arrivals, cv, on_s, off_s, burst_factor
        The arrival process and its parameters: see :func:`poisson_arrivals`,
        :func:`gamma_arrivals` (``cv``) and :func:`on_off_arrivals` (the others).
    models, zipf
        Number of models, called m000, m001, ... by expected popularity, and the
        exponent s of their probabilities, proportional to 1/rank^s.
    users
        Number of users; each request's is drawn uniformly.
    input_bytes, input_bytes_cv
        Mean size, and its coefficient of variation: 0 makes all sizes equal, otherwise
        they are lognormal, rounded to whole bytes.
    seed
        Seed of the single generator.

    Raises
    ------
    InputError
        Naming the parameter that is missing, out of range or without use.
    """
    need_positive("rate_per_s", rate_per_s)
    need_positive("duration_s", duration_s)
    if duration_s > MAX_DURATION_S:
        raise InputError(
            Parameter("duration_s"),
            f"must be at most {MAX_DURATION_S:g}, found {duration_s!r}",
        )
    if rate_per_s * duration_s > MAX_REQUESTS:
        raise InputError(
            Parameter("duration_s"),
            f"must make at most {MAX_REQUESTS:,} requests, found "
            f"{rate_per_s * duration_s:.3g} (",
            Parameter("rate_per_s"),
            " times ",
            Parameter("duration_s"),
            ")",
        )
    if not slo_s:
        raise InputError(Parameter("slo_s"), "must have one value or more, found none")
    for value in slo_s:
        need_slo(value)
    need_count("models", models)
    need_not_negative("zipf", zipf)
    rng = generator(seed)
    arrival_s = _arrivals(
        arrivals, rate_per_s, duration_s, cv, on_s, off_s, burst_factor, rng
    )
    n = len(arrival_s)
    model = draw_models(n, models, zipf, rng)
    choices = np.array(slo_s, dtype=np.float64)
    user_names, user = draw_users(n, users, rng)
    return Trace(
        arrival_s=arrival_s,
        users=user_names,
        user=user,
        models=numbered("m", models),
        model=model,
        input_bytes=draw_sizes(n, input_bytes, input_bytes_cv, rng),
        slo_s=choices[model % len(choices)],
    )


def _arrivals(
    process: str,
    rate_per_s: float,
    duration_s: float,
    cv: float | None,
    on_s: float | None,
    off_s: float | None,
    burst_factor: float | None,
    rng: np.random.Generator,
) -> Floats:
    if process not in ARRIVALS:
        raise InputError(
            Parameter("arrivals"),
            f"must be one of {', '.join(ARRIVALS)}, found {process!r}",
        )
    for name, value, owner in (
        ("cv", cv, "gamma"),
        ("on_s", on_s, "on-off"),
        ("off_s", off_s, "on-off"),
        ("burst_factor", burst_factor, "on-off"),
    ):
        if value is not None and process != owner:
            raise InputError(
                Parameter(name),
                "belongs to ",
                Parameter("arrivals", owner),
                ", found ",
                Parameter("arrivals", process),
            )
    if process == "poisson":
        times_s = poisson_arrivals(rate_per_s, duration_s, rng)
    elif process == "gamma":
        if cv is None:
            raise InputError(
                Parameter("cv"), "is needed for ", Parameter("arrivals", process)
            )
        times_s = gamma_arrivals(rate_per_s, duration_s, cv, rng)
    else:
        if on_s is None or off_s is None:
            raise InputError(
                Parameter("on_s" if on_s is None else "off_s"),
                "is needed for ",
                Parameter("arrivals", process),
            )
        times_s = on_off_arrivals(
            rate_per_s, duration_s, on_s, off_s, burst_factor, rng
        )
    return np.floor(times_s * 1e9) / 1e9


def poisson_arrivals(
    rate_per_s: float, duration_s: float, rng: np.random.Generator
) -> Floats:
    """Draw a Poisson process on [0, duration_s): memoryless users, CV 1."""
    n = rng.poisson(rate_per_s * duration_s)
    return np.sort(_below(duration_s, rng.uniform(0.0, duration_s, n)))


def gamma_arrivals(
    rate_per_s: float, duration_s: float, cv: float, rng: np.random.Generator
) -> Floats:
    """Draw a renewal process with gamma inter-arrival times, in its stationary state.

    Parameters
    ----------
    cv
        Coefficient of variation of the inter-arrival times, 0.01 to 100: 1 is
        Poisson, above it bursty, below it regular.

    Notes
    -----
    Shape 1/cv², mean 1/rate. The first arrival follows the waiting time of an observer
    who arrives at a random time: a uniform share of a length-biased interval (for a
    gamma of shape k, a gamma of shape k + 1). This keeps the expected count at
    rate × duration for any duration; starting at an arrival would add about
    (cv² − 1)/2 requests.
    """
    if not 0.01 <= cv <= 100:
        raise InputError(Parameter("cv"), f"must be from 0.01 to 100, found {cv!r}")
    shape = 1.0 / cv**2
    scale_s = cv**2 / rate_per_s
    last_s = rng.random() * rng.gamma(shape + 1.0, scale_s)
    parts = [np.array([last_s])]
    size = 1024 + int(rate_per_s * duration_s)
    while last_s < duration_s:
        part = last_s + np.cumsum(rng.gamma(shape, scale_s, size))
        parts.append(part)
        last_s = part[-1]
    return _below(duration_s, np.concatenate(parts))


def on_off_arrivals(
    rate_per_s: float,
    duration_s: float,
    on_s: float,
    off_s: float,
    burst_factor: float | None,
    rng: np.random.Generator,
) -> Floats:
    """Draw a Poisson process whose rate switches between an on and an off value.

    Parameters
    ----------
    on_s, off_s
        Mean lengths of the phases, which are exponentially distributed.
    burst_factor
        B, the ratio of the rate in on phases to the mean rate: from 1 (no bursts) up to
        and including (on_s + off_s)/on_s, the default, at which nothing arrives in off
        phases.

    Notes
    -----
    The mean rate R is preserved: B·R in on phases and R·(on_s + off_s − B·on_s)/off_s
    in off phases, starting on with probability on_s/(on_s + off_s). The count in a
    given span is Poisson with the rate's integral over it as its mean; given the count,
    the arrivals are independent draws with density proportional to the rate.
    """
    for name, mean_s in (("on_s", on_s), ("off_s", off_s)):
        if not 1e-6 * duration_s <= mean_s < inf:
            raise InputError(
                Parameter(name),
                "must be at least a millionth of ",
                Parameter("duration_s"),
                f" ({1e-6 * duration_s:g}), found {mean_s!r}",
            )
    largest = (on_s + off_s) / on_s
    if burst_factor is None:
        burst_factor = largest
    if not 1 <= burst_factor <= largest * (1 + 1e-12):
        raise InputError(
            Parameter("burst_factor"),
            f"must be from 1 to (on + off)/on = {largest:g}, found {burst_factor!r}",
        )
    on_rate = burst_factor * rate_per_s
    off_rate = max(0.0, rate_per_s * (on_s + off_s - burst_factor * on_s) / off_s)
    starts_on = rng.random() < on_s / (on_s + off_s)
    lengths_s = (on_s, off_s) if starts_on else (off_s, on_s)
    rates = (on_rate, off_rate) if starts_on else (off_rate, on_rate)
    pairs = 16 + int(duration_s / (on_s + off_s))
    switch_s = np.zeros(1)
    while switch_s[-1] < duration_s:
        more = rng.exponential(lengths_s, (pairs, 2)).ravel()
        switch_s = np.concatenate((switch_s, switch_s[-1] + np.cumsum(more)))
    phase_rate = np.resize(rates, len(switch_s) - 1)
    switch_s = np.minimum(switch_s, duration_s)
    expected = np.concatenate(([0.0], np.cumsum(np.diff(switch_s) * phase_rate)))
    n = rng.poisson(expected[-1])
    drawn = np.sort(rng.uniform(0.0, expected[-1], n))
    return _below(duration_s, np.interp(drawn, expected, switch_s))


def _below(end_s: float, times_s: Floats) -> Floats:
    return times_s[times_s < end_s]


def draw_models(n: int, models: int, zipf: float, rng: np.random.Generator) -> Codes:
    """Draw n model codes; rank r (from 1) has probability proportional to 1/r^zipf.

    Raises
    ------
    InputError
        When ``models`` or ``zipf`` is out of range.
    """
    need_count("models", models)
    need_not_negative("zipf", zipf)
    weight = np.arange(1, models + 1, dtype=np.float64) ** -zipf
    return rng.choice(models, size=n, p=weight / weight.sum()).astype(np.int32)


def draw_users(
    n: int, users: int, rng: np.random.Generator
) -> tuple[tuple[str, ...], Codes]:
    """Draw n user codes uniformly; users are called u000, u001, ...

    Raises
    ------
    InputError
        When ``users`` is out of range.
    """
    need_count("users", users)
    return numbered("u", users), rng.integers(0, users, n, dtype=np.int32)


def draw_sizes(
    n: int, input_bytes: int, input_bytes_cv: float, rng: np.random.Generator
) -> Integers:
    """Draw n input sizes of a given mean: all equal (CV 0) or lognormal.

    Raises
    ------
    InputError
        When ``input_bytes`` or ``input_bytes_cv`` is out of range.
    """
    if not 1 <= input_bytes <= MAX_INPUT_BYTES:
        raise InputError(
            Parameter("input_bytes"),
            f"must be from 1 to {MAX_INPUT_BYTES:,}, found {input_bytes!r}",
        )
    if not 0 <= input_bytes_cv <= 100:
        raise InputError(
            Parameter("input_bytes_cv"),
            f"must be from 0 to 100, found {input_bytes_cv!r}",
        )
    if input_bytes_cv == 0:
        return np.full(n, input_bytes, dtype=np.int64)
    variance = log(1.0 + input_bytes_cv**2)
    drawn = rng.lognormal(log(input_bytes) - variance / 2.0, sqrt(variance), n)
    return np.clip(np.rint(drawn), 1.0, float(MAX_BYTES)).astype(np.int64)


def numbered(letter: str, count: int) -> tuple[str, ...]:
    """Make names m000, m001, ...: three digits, or as many as the last one needs."""
    width = max(3, len(str(count - 1)))
    return tuple(f"{letter}{i:0{width}}" for i in range(count))


def generator(seed: int) -> np.random.Generator:
    """Create the single generator from which everything random is drawn.

    Raises
    ------
    InputError
        If the seed is negative.
    """
    if seed < 0:
        raise InputError(Parameter("seed"), f"must be >= 0, found {seed!r}")
    return np.random.default_rng(seed)


def need_positive(name: str, value: float) -> None:
    """Reject a value that is not a finite number > 0, naming the parameter."""
    if not 0 < value < inf:
        raise InputError(Parameter(name), f"must be > 0, found {value!r}")


def need_slo(slo_s: float) -> None:
    """Reject a deadline that no trace can have."""
    need_positive("slo_s", slo_s)
    low, high = RANGES["slo_s"]
    if not low <= slo_s <= high:
        raise InputError(
            Parameter("slo_s"), f"must be from {low:g} to {high:g}, found {slo_s!r}"
        )


def need_not_negative(name: str, value: float) -> None:
    """Reject a value that is not a finite number >= 0, naming the parameter."""
    if not 0 <= value < inf:
        raise InputError(Parameter(name), f"must be >= 0, found {value!r}")


def need_count(name: str, value: int) -> None:
    """Reject an invalid number of users or models, naming the parameter."""
    if not 1 <= value <= MAX_NAMES:
        raise InputError(
            Parameter(name), f"must be from 1 to {MAX_NAMES:,}, found {value!r}"
        )
