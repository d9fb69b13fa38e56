"""Parameters that a figure varies: names for them, their axes, and their values.

A parameter is a key path of a scenario, or one of the names in ``NAMED``, which may
stand for several keys at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from edgesim.errors import InputError, short
from edgesim.scenario.library import (
    FROZEN,
    AdaptersSpec,
    ClustersSpec,
    MixedSpec,
)
from edgesim.scenario.scenario import Scenario
from edgesim.text import counted
from solvers.problem import whole
from solvers.spelling import did_you_mean

_KEYS: Mapping[str, str] = {
    "users": "workload.requests",
    "bandwidth": "cell.bandwidth_hz",
    "deadline": "workload.deadline_s",
    "memory": "gpu.memory_bytes",
    "load_rate": "gpu.load_rate_bytes_per_s",
    "load": "workload.rate_scale",
    "popularity": "workload.zipf",
}

NAMED: Mapping[str, str] = {
    "users": "requests that one plan has to serve (workload.requests)",
    "bandwidth": "the cell's band, Hz (cell.bandwidth_hz)",
    "deadline": "one deadline for all requests of a plan, s (workload.deadline_s)",
    "memory": "GPU memory, bytes (gpu.memory_bytes)",
    "load_rate": "bytes loaded per second, B/s (gpu.load_rate_bytes_per_s)",
    "load": "factor on the number of arrivals (workload.rate_scale)",
    "popularity": "exponent of Zipf's law for the models asked for (workload.zipf)",
    "models": "models in the library, as many of each base",
    "frozen": "share of a base's blocks that its variants share (frozen_fraction of "
    "every cluster)",
    "shared": "share of a base's bytes that its variants share (frozen_bytes_fraction "
    "of every cluster)",
}
"""Names of parameters, and what each is."""


class Axis(NamedTuple):
    """A label with its unit, and what values are divided by."""

    label: str
    unit: float


_AXES: Mapping[str, Axis] = {
    "models": Axis("models in the library", 1.0),
    "frozen": Axis("shared blocks of a base (%)", 0.01),
    "shared": Axis("shared bytes of a base (%)", 0.01),
    "cell.carrier_hz": Axis("carrier (GHz)", 1e9),
    "cell.min_distance_m": Axis("least distance (m)", 1.0),
    "cell.path_loss_exponent": Axis("path loss exponent", 1.0),
    "cell.snr_gap_db": Axis("SNR gap (dB)", 1.0),
    "cell.tx_power_dbm": Axis("transmit power (dBm)", 1.0),
    "cell.bs_height_m": Axis("height of the base station (m)", 1.0),
    "cell.ue_height_m": Axis("height of users (m)", 1.0),
    "cell.max_spectral_efficiency": Axis("largest spectral efficiency (bit/s/Hz)", 1.0),
    "gpu.memory_bytes": Axis("GPU memory (GB)", 1e9),
    "gpu.load_rate_bytes_per_s": Axis("load rate (GB/s)", 1e9),
    "gpu.weight_scale": Axis("size of weights", 1.0),
    "gpu.load_time_scale": Axis("factor on load times", 1.0),
    "gpu.dispatch_s": Axis("dispatch (ms)", 1e-3),
    "workload.requests": Axis("requests per plan", 1.0),
    "workload.rate_scale": Axis("load", 1.0),
    "workload.time_scale": Axis("factor on arrival times", 1.0),
    "workload.cv_scale": Axis("burstiness", 1.0),
    "workload.zipf": Axis("Zipf exponent", 1.0),
    "run.time_limit_s": Axis("time limit (s)", 1.0),
    "run.iterations": Axis("iterations", 1.0),
    "noise.load_factor": Axis("loads, times as long as planned", 1.0),
    "noise.load_sigma": Axis("spread of load times (sigma)", 1.0),
    "noise.compute_sigma": Axis("spread of computing times (sigma)", 1.0),
    "noise.coherence_s": Axis("coherence time (ms)", 1e-3),
    "online.queue_limit": Axis("queue limit", 1.0),
    "online.decision_s": Axis("time to decide (ms)", 1e-3),
    "library.clusters.variants": Axis("variants of each base", 1.0),
    "library.clusters.frozen_blocks": Axis("shared blocks of a base", 1.0),
    "library.clusters.frozen_fraction": Axis("shared blocks of a base (%)", 0.01),
    "library.clusters.frozen_bytes_fraction": Axis("shared bytes of a base (%)", 0.01),
    "library.backbones.adapters": Axis("adapters on each base", 1.0),
    "library.backbones.rank": Axis("rank of adapters", 1.0),
    "library.backbones.adapter_bytes_per_layer": Axis("adapter per layer (kB)", 1e3),
    "library.backbones.adapter_load_s": Axis("load time of an adapter (ms)", 1e-3),
    "library.mixed.models": Axis("models of each base", 1.0),
    "library.mixed.pool": Axis("versions of each block", 1.0),
    "library.mixed.swap_probability": Axis("swap probability", 1.0),
    "online.faults.factor": Axis("factor of the fault", 1.0),
    "online.faults.at_s": Axis("start of the fault (s)", 1.0),
    "online.faults.for_s": Axis("length of the fault (s)", 1.0),
}
"""Axes by name or key path, without positions in lists."""

_SUFFIXES: Mapping[str, tuple[str, float]] = {
    "_bytes_per_s": ("GB/s", 1e9),
    "_dbm_per_hz": ("dBm/Hz", 1.0),
    "_bytes": ("GB", 1e9),
    "_dbm": ("dBm", 1.0),
    "_db": ("dB", 1.0),
    "_hz": ("MHz", 1e6),
    "_m": ("m", 1.0),
    "_s": ("s", 1.0),
}
"""Units by what a key ends with, and what values are divided by; longest first."""


def axis_of(parameter: str) -> Axis:
    """Say how the axis of a parameter is labelled.

    Parameters
    ----------
    parameter
        A name of ``NAMED``, or a key path; positions in lists do not matter.

    Returns
    -------
    Axis
        The key path itself, undivided, where nothing better is known.
    """
    path = re.sub(r"\[\d+\]|\.\d+(?=\.|$)", "", _KEYS.get(parameter, parameter))
    if path in _AXES:
        return _AXES[path]
    key = path.rpartition(".")[2]
    for suffix, (unit, divisor) in _SUFFIXES.items():
        if key.endswith(suffix):
            quantity = key.removesuffix(suffix).replace("_", " ")
            return Axis(f"{quantity} ({unit})", divisor)
    return Axis(parameter, 1.0)


def key_of(parameter: str) -> str:
    """Return the key path that a named parameter stands for, or the parameter."""
    return _KEYS.get(parameter, parameter)


def is_whole(parameter: str) -> bool:
    """Whether the values of a parameter are whole numbers, whatever the library.

    Parameters
    ----------
    parameter
        A name of ``NAMED``, or a key path.
    """
    path = key_of(parameter)
    return path == "models" or path.rpartition(".")[2] in _whole_keys()


@cache
def _whole_keys() -> frozenset[str]:
    """List the keys of a scenario that take whole numbers and no others."""
    schema = Scenario.model_json_schema()
    found: dict[str, set[str]] = {}
    for table in (schema, *schema["$defs"].values()):
        for key, of in table.get("properties", {}).items():
            kinds = {one.get("type") for one in (of, *of.get("anyOf", ()))}
            found.setdefault(key, set()).update(kinds & {"integer", "number"})
    return frozenset(key for key, kinds in found.items() if kinds == {"integer"})


def expand(scenario: Scenario, parameter: str, value: Any) -> dict[str, Any]:
    """List the values that give a parameter its value in a scenario.

    Parameters
    ----------
    scenario
        The scenario, with everything else that is changed in it changed already: a
        name may replace whole tables.
    parameter
        A name of ``NAMED``, or a key path.
    value
        The value; what a key path does not allow is refused when it is set.

    Returns
    -------
    dict
        Values by key path, as :meth:`Scenario.replace` takes them.

    Raises
    ------
    InputError
        Naming the parameter: it is unknown, the library has no such thing, or the value
        is none of its.
    """
    if parameter in _MADE:
        return _MADE[parameter](scenario, parameter, value)
    if parameter in _KEYS:
        return {_KEYS[parameter]: value}
    known = (*NAMED, *Scenario.model_fields)
    if re.search(r"[.\[]", parameter) or parameter in known:
        return {parameter: value}
    raise InputError(
        parameter,
        f"must be one of {', '.join(NAMED)}, or a key path such as cell.radius_m, "
        f"found {parameter!r}{did_you_mean(parameter, known)}",
    )


def _models(scenario: Scenario, parameter: str, value: Any) -> dict[str, Any]:
    """Give every base of every table the same number of models."""
    match scenario.library:
        case ClustersSpec(clusters=tables):
            section, key = "clusters", "variants"
            bases = [table.base for table in tables]
            kept = [table.base for table in tables if table.include_base]
        case AdaptersSpec(backbones=tables):
            if any(table.ranks for table in tables):
                raise InputError(
                    parameter,
                    "needs adapters of one rank each; give the number of adapters "
                    "by library.backbones[i].adapters",
                )
            section, key = "backbones", "adapters"
            bases = [table.base for table in tables]
            kept = [table.base for table in tables if table.include_base]
        case MixedSpec(mixed=tables):
            section, key, kept = "mixed", "models", []
            bases = [table.base for table in tables]
        case other:
            raise InputError(
                parameter,
                f"needs a library of kind clusters, adapters or mixed, whose models "
                f"are made, found kind {other.kind!r}",
            )
    each = sum(len(_listed(base)) for base in bases)
    # A base that several tables include is one model.
    extra = len({name for base in kept for name in _listed(base)})
    total = whole(value)
    if isinstance(total, bool) or not isinstance(total, int):
        raise InputError(parameter, f"must be a whole number, found {short(value)}")
    made, rest = divmod(total - extra, each)
    if made < 1 or rest:
        beside = f" beside the {extra} that include_base adds" if extra else ""
        lower, upper = (max(1, n) * each + extra for n in (made, made + 1))
        near = f"{lower}" if upper == lower else f"{lower} or {upper}"
        raise InputError(
            parameter,
            f"must spread evenly over {counted(each, 'base')}{beside}, such as "
            f"{near}, found {total}",
        )
    return {f"library.{section}[{i}].{key}": made for i in range(len(bases))}


def _share(key: str) -> Callable[[Scenario, str, Any], dict[str, Any]]:
    """Make what gives every cluster a share by one of its keys, in place of others."""

    def replaced(scenario: Scenario, parameter: str, value: Any) -> dict[str, Any]:
        library = scenario.library
        if not isinstance(library, ClustersSpec):
            raise InputError(
                parameter,
                f"needs a library of kind clusters, whose variants freeze blocks of "
                f"their base, found kind {library.kind!r}",
            )
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 <= value <= 1:
            raise InputError(
                parameter, f"must be a number between 0 and 1, found {short(value)}"
            )
        tables = [
            table.model_dump(mode="json", exclude_unset=True, exclude=set(FROZEN))
            for table in library.clusters
        ]
        # Whole tables, since no value of a key path removes another key.
        return {"library.clusters": [{**table, key: value} for table in tables]}

    return replaced


_MADE: Mapping[str, Callable[[Scenario, str, Any], dict[str, Any]]] = {
    "models": _models,
    "frozen": _share("frozen_fraction"),
    "shared": _share("frozen_bytes_fraction"),
}


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
