"""Everything a run reads: checked, and kept for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgesim.engine.noise import median_spread
from edgesim.errors import InputError, in_file
from edgesim.experiment import defaults
from edgesim.experiment.policies import make_policy
from edgesim.experiment.sources import Located, Source, library_of, locate
from edgesim.experiment.workload import check_windows, map_models
from edgesim.library.build import Library
from edgesim.measures.intervals import batch_spans
from edgesim.profile.file import read_profile
from edgesim.scenario import Scenario, read_scenario
from edgesim.scenario.online import OnlineSpec
from edgesim.trace.requests import Trace, read_trace
from edgesim.trace.scale import window_length_s
from edgesim.trace.stored import StoredTrace, open_trace


@dataclass(frozen=True)
class Inputs:
    """Everything a run reads, checked.

    Parameters
    ----------
    scenario, library
        What is run.
    trace
        Its requests: in memory for plans, in temporary files for an online run.
    model_names
        The library's model for each model of the trace.
    sources
        What was read, by role: scenario, trace, profile.
    assumed
        What was chosen because neither file states it, a line each, for people.
    """

    scenario: Scenario
    library: Library
    trace: Trace | StoredTrace
    model_names: tuple[str, ...]
    sources: Mapping[str, Source]
    assumed: tuple[str, ...] = ()

    @property
    def online(self) -> OnlineSpec:
        """The scenario's online section, of an online run."""
        assert self.scenario.online is not None
        return self.scenario.online

    @property
    def scenario_file(self) -> Path:
        """Where the scenario was read."""
        return self.sources["scenario"].path

    @property
    def length_s(self) -> float:
        """How long requests arrive in a repeat, in seconds."""
        where = f"{self.scenario_file}: workload.window_s"
        scaling = self.scenario.workload.scaling(0)
        return window_length_s(where, self.trace.arrival_s, scaling)

    def sigmas(self) -> tuple[float, float]:
        """Sigmas of the factors on load and compute times, 0 without noise.

        Raises
        ------
        InputError
            When the profile states no spread and the scenario asks for it.
        """
        spec, library = self.scenario.noise, self.library
        if spec is None:
            return 0.0, 0.0
        with in_file(self.scenario_file):
            return spec.sigmas(
                median_spread(library.load_sigma.values()),
                median_spread(library.compute_sigma.values()),
            )


@contextmanager
def open_inputs(
    scenario_file: Path,
    *,
    trace_file: Path | None = None,
    profile_name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Iterator[Inputs]:
    """Read what a run needs, for as long as the block lasts.

    Parameters
    ----------
    scenario_file, trace_file, profile_name, overrides
        As for :func:`edgesim.experiment.sources.locate`.

    Raises
    ------
    InputError
        For whatever is wrong with any of the files, naming file and place.
    """
    with TemporaryDirectory(prefix="edgesim-") as folder:
        yield load_inputs(
            scenario_file,
            Path(folder),
            trace_file=trace_file,
            profile_name=profile_name,
            overrides=overrides,
        )


def load_inputs(
    scenario_file: Path,
    folder: Path | None = None,
    *,
    trace_file: Path | None = None,
    profile_name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Inputs:
    """Read a scenario and its profile, build its library, and check its trace.

    Parameters
    ----------
    scenario_file, trace_file, profile_name, overrides
        As for :func:`edgesim.experiment.sources.locate`. What they leave open in
        ``own-models`` is chosen here (:mod:`edgesim.experiment.defaults`).
    folder
        Where the trace of an online run is kept as columns; it outlives the inputs.

    Raises
    ------
    InputError
        For whatever is wrong with any of the files, naming file and place.
    """
    found = locate(scenario_file, trace_file, profile_name, overrides)
    profile = read_profile(found.profile_file)
    trace = _trace(found, folder)
    scenario = found.scenario
    own = defaults.is_own_models(scenario_file)
    if own:
        chosen = defaults.choose(found.profile_file, profile, trace, scenario)
        scenario = read_scenario(scenario_file, {**chosen, **found.overrides})
    check_windows(scenario_file, scenario, found.trace_file, trace.arrival_s)
    library_rng, map_rng = np.random.default_rng(scenario.run.seed).spawn(2)
    library = library_of(scenario_file, scenario, profile, library_rng)
    names = map_models(scenario_file, trace, library, scenario.workload.models, map_rng)
    assumed = defaults.assumptions(scenario, trace, library, names) if own else ()
    inputs = Inputs(scenario, library, trace, names, found.sources, assumed)
    if scenario.online is not None:
        _check_online(inputs)
    return inputs


def _trace(found: Located, folder: Path | None) -> Trace | StoredTrace:
    if found.scenario.online is None:
        return read_trace(found.trace_file)
    if folder is None:
        raise ValueError("folder is needed for an online run: its trace is kept there")
    return open_trace(found.trace_file, folder)


def _check_online(inputs: Inputs) -> None:
    """Refuse what only shows once all is read, before anything is simulated."""
    online, length_s = inputs.online, inputs.length_s
    with in_file(inputs.scenario_file):
        for name in online.policies:
            make_policy(name, online.options(name))
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
    inputs.sigmas()
