"""All inputs of a run: checked, and kept for as long as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesim.engine.noise import median_spread
from edgesim.errors import InputError, in_file
from edgesim.experiment import defaults
from edgesim.experiment.own_solvers import check_solvers_there, with_solver
from edgesim.experiment.policies import make_policy
from edgesim.experiment.popularity import ranked_models
from edgesim.experiment.sources import (
    Located,
    Source,
    library_of,
    locate,
    spawned,
)
from edgesim.experiment.window import check_windows
from edgesim.experiment.workload import map_models
from edgesim.library.build import Library
from edgesim.measures.intervals import batch_spans
from edgesim.names import plain
from edgesim.profile.file import read_profile
from edgesim.profile.values import Profile
from edgesim.scenario import Scenario
from edgesim.scenario.online import OnlineSpec
from edgesim.trace.requests import Trace, read_trace
from edgesim.trace.scale import window_length_s
from edgesim.trace.stored import StoredTrace, in_memory, open_trace


@dataclass(frozen=True)
class Inputs:
    """All inputs of a run, checked.

    Parameters
    ----------
    scenario, library
        The scenario and its model library.
    trace
        Its requests: in memory for plans, in temporary files for an online run.
    model_names
        The library's model for each model of the trace; with ``workload.zipf`` the
        library's models, the most popular first.
    scenario_file
        The scenario's file, for messages.
    sources
        The files read, by role: scenario, trace, profile.
    assumed
        Settings chosen because neither file states them, a line each, for people.
    own
        Solvers and policies passed as objects, by name.
    """

    scenario: Scenario
    library: Library
    trace: Trace | StoredTrace
    model_names: tuple[str, ...]
    scenario_file: Path
    sources: Mapping[str, Source]
    assumed: tuple[str, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def online(self) -> OnlineSpec:
        """The scenario's online section, of an online run."""
        assert self.scenario.online is not None
        return self.scenario.online

    @property
    def length_s(self) -> float:
        """Duration for which requests arrive in a window, in seconds."""
        where = f"{self.scenario_file}: workload.window_s"
        scaling = self.scenario.workload.scaling(0)
        return window_length_s(where, self.trace.arrival_s, scaling)

    def sigmas(self) -> tuple[float, float]:
        """Sigmas of the factors on load and compute times, 0 without noise.

        Raises
        ------
        InputError
            If the profile states no spread and the scenario asks for it.
        """
        spec, library = self.scenario.noise, self.library
        if spec is None:
            return 0.0, 0.0
        with in_file(self.scenario_file):
            return spec.sigmas(
                median_spread(library.load_sigma.values()),
                median_spread(library.compute_sigma.values()),
            )


def load_inputs(
    scenario: Path | Scenario,
    *,
    trace: str | Path | Trace | None = None,
    profile: str | Path | Profile | None = None,
    overrides: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
    own_code: bool = False,
) -> Inputs:
    """Read a scenario and its profile, build its library, and check its trace.

    Parameters
    ----------
    scenario, trace, profile, overrides, own_code
        As for :func:`edgesim.experiment.sources.locate`. Settings that they leave open
        in ``own-models`` are chosen here (:mod:`edgesim.experiment.defaults`).
    own
        Solvers and policies passed as objects, by name.

    Raises
    ------
    InputError
        For any error in the files, naming file and place.
    """
    own = own or {}
    located = locate(scenario, trace, profile, overrides, own, own_code=own_code)
    where = located.scenario_file
    with in_file(where), _at("run.solvers"):
        check_solvers_there(n for n in located.scenario.run.solvers if n not in own)
    device = profile if isinstance(profile, Profile) else None
    device = device or read_profile(located.profile_file)
    given = trace if isinstance(trace, Trace) else None
    requests = _requests(located, given)
    chosen = located.scenario
    completed = defaults.is_own_models(where)
    if completed:
        values = defaults.choose(located.profile_file, device, requests, chosen)
        chosen = defaults.complete(chosen, values, located.overrides, own)
    check_windows(where, chosen, located.trace_file, requests.arrival_s)
    library_rng, map_rng = spawned(chosen.run.seed)
    library = library_of(where, chosen, device, library_rng)
    if chosen.workload.zipf is None:
        rule = chosen.workload.models
        names = map_models(where, requests, library, device, rule, map_rng)
    else:
        names = ranked_models(library, map_rng)
    assumed: tuple[str, ...] = ()
    if completed:
        assumed = defaults.assumptions(chosen, requests, library, names)
    inputs = Inputs(
        chosen, library, requests, names, where, located.sources, assumed, own
    )
    inputs.sigmas()
    if chosen.online is not None:
        _check_online(inputs)
    return inputs


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Name the key in errors of a solver or policy, which name only that."""
    try:
        yield
    except InputError as error:
        if error.where.startswith("online."):  # one of its options
            raise
        raise InputError(key, f"{error.where}: ", *error.args[1:]) from error


def _requests(located: Located, given: Trace | None) -> Trace | StoredTrace:
    """Read the trace, or take the given one."""
    if located.scenario.online is None:
        return read_trace(located.trace_file) if given is None else given
    if given is None:
        return open_trace(located.trace_file)
    return in_memory(given, located.trace_file)


def _check_online(inputs: Inputs) -> None:
    """Check what can be checked only once all is read, before anything is simulated."""
    online, length_s = inputs.online, inputs.length_s
    with in_file(inputs.scenario_file):
        for name in online.policies:
            with _at(f"online.{plain(name)}.solver"):
                options = with_solver(name, online.options(name))
            with _at("online.policies"):
                make_policy(name, options, inputs.own)
        if not length_s:
            raise InputError(
                "workload.window_s",
                "must be given for a trace whose requests come all at once, or that "
                "has none: nothing can be measured over 0 s",
            )
        batch_spans(online.warmup_s, length_s)
        for i, fault in enumerate(online.faults):
            if fault.at_s > length_s:
                raise InputError(
                    f"online.faults[{i}].at_s",
                    f"must lie within the {length_s:g} s in which requests arrive, "
                    f"found {fault.at_s:g}",
                )
