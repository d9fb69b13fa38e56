"""Simulate first, then run live, then compare: one scenario on one device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from edgesim.engine.clock import ClockEnvironment, Stopwatch
from edgesim.engine.mean_device import DeviceMaker
from edgesim.engine.records import Run
from edgesim.engine.server import Parts, simulate
from edgesim.engine.worker import WallClock
from edgesim.errors import InputError, Parameter
from edgesim.experiment.inputs import Inputs
from edgesim.experiment.streams import (
    policy_refused,
    serve_repeat,
    service_of,
    stream_of,
    tables_of,
)
from edgesim.experiment.trial import Trial
from edgesim.live.comparison import Comparison, Measured, compare, served
from edgesim.live.device import NO_GRAPHS, PoolDevice
from edgesim.live.dispatch import measure_dispatch
from edgesim.live.error_split import split_error
from edgesim.live.session import (
    Interrupts,
    Limits,
    check_scenario,
    most_pool_bytes,
    preparation,
    serve_live,
)
from edgesim.live.stage import Stage, make_stage
from edgesim.live.table import DISPATCH
from edgesim.names import shares
from edgesim.plugins import ConsentError
from edgesim.profile.model_match import NetworkSpec, match_model
from edgesim.profile.values import Measured as MeasuredOn
from edgesim.profile.values import Profile
from edgesim.profiling.builder import Build
from edgesim.profiling.device import Device
from edgesim.profiling.memory import aligned, free_host_bytes, locked_bytes
from edgesim.scenario.noise import NoiseSpec
from solvers.problem import Problem

NOISE = "with noise"
"""The simulation with the spread that the profile measured."""

_VIEWED_S = 10.0

THREADS = "torch threads"


@dataclass
class LiveJob:
    """One scenario to be run live, and what is known so far.

    Parameters
    ----------
    inputs
        The scenario, without noise, its window as long as requests are to arrive.
    profile, profile_file
        The profile, and its file for messages.
    device
        The device.
    limits
        Threads and duration.
    build
        Builds a network.
    simulated
        Runs made before the live ones: by what differs, and then by policy.
    compared
        Policies compared so far.
    interrupts
        What ends a run before its time.
    dispatch_s
        What loads and batches take beyond themselves, measured before the runs.
    decision_s
        What each policy took to choose a round, on average, when it was simulated.
    """

    inputs: Inputs
    profile: Profile
    profile_file: Path
    device: Device
    limits: Limits
    build: Build
    simulated: dict[str, dict[str, Run]] = field(default_factory=dict)
    compared: list[Comparison] = field(default_factory=list)
    interrupts: Interrupts = field(default_factory=Interrupts)
    dispatch_s: float = 0.0
    decision_s: dict[str, float] = field(default_factory=dict)

    @property
    def by_graph(self) -> bool:
        """Whether batches of any network are captured graphs."""
        device = self.device
        modes = {spec.mode for spec in _networks(self)}
        return device.has_graphs and device.uses_graphs and "graph" in modes

    @property
    def problem(self) -> Problem:
        """The library and the GPU."""
        return tables_of(self.inputs, sharing=True).problem

    def simulate(self) -> None:
        """Simulate every policy, nominally and with the measured spread."""
        self.simulated[""] = {}
        for name in self.inputs.online.policies:
            watch = Stopwatch(ClockEnvironment(WallClock()))
            self.simulated[""][name] = self._again(name, Parts(stopwatch=watch))
            choices = len(watch.choose_s)
            self.decision_s[name] = sum(watch.choose_s) / choices if choices else 0.0
        library = self.inputs.library
        if library.load_sigma and library.compute_sigma:
            noise = NoiseSpec(load_sigma="profile", compute_sigma="profile")
            noisy = with_noise(self.inputs, noise)
            self.simulated[NOISE] = {
                trial.name: trial.account.run for trial in serve_repeat(noisy, 0)
            }

    def simulate_dispatch(self, stage: Stage, buffer: torch.Tensor) -> None:
        """Measure what dispatch takes, and simulate with that and with decisions."""
        tables = tables_of(self.inputs, sharing=shares(self.inputs.online.policies[0]))
        packed = self.limits.packed
        pool = PoolDevice(stage, self.device, tables, buffer, packed=packed)
        prepare = preparation(pool, self.device, self.limits)
        overhead_s = self.profile.round_overhead_s
        self.dispatch_s = measure_dispatch(pool, tables, prepare, overhead_s)
        self.simulated[DISPATCH] = {
            name: next(
                serve_repeat(
                    with_dispatch(self.inputs, self.dispatch_s, decision_s),
                    0,
                    names=[name],
                )
            ).account.run
            for name, decision_s in self.decision_s.items()
        }

    def trials(self, done: Callable[[int, int], None]) -> Iterator[Trial]:
        """Run every policy live, until an interrupt, and compare each.

        Parameters
        ----------
        done
            Called with the number of policies run, and the total.
        """
        inputs, device = self.inputs, self.device
        policies = inputs.online.policies
        stage = self._stage()
        buffer = device.device_buffer(
            most_pool_bytes(inputs, policies, packed=self.limits.packed)
        )
        with self.interrupts.watched():
            self.simulate_dispatch(stage, buffer)
            for number, name in enumerate(policies):
                done(number, len(policies))
                if self.interrupts.received:
                    return
                served = serve_live(
                    inputs, stage, device, buffer, name, self.limits, self.interrupts
                )
                if served is None:
                    return
                trial, measured = served
                self.compared.append(self._compare(measured))
                yield trial

    def _compare(self, measured: Measured) -> Comparison:
        """Compare a live run with its simulations; split the error of a whole one."""
        name, warmup_s = measured.name, self.inputs.online.warmup_s
        overhead_s = self.profile.round_overhead_s
        found = compare(
            measured,
            self.simulated[""][name],
            warmup_s,
            {what: of[name] for what, of in self.simulated.items() if what},
            overhead_s,
        )
        if measured.interrupted:
            return found
        works = len(measured.handover_s)

        def again(device: DeviceMaker, decides: bool) -> float | None:
            run = self._again(name, Parts(device=device), decides=decides)
            return served(run, warmup_s, found.count).on_time

        split = split_error(
            found.live.on_time,
            found.closed.on_time,
            found.loads,
            found.batches,
            measured.split.beyond_s / works if works else 0.0,
            overhead_s,
            self.inputs.scenario.gpu.dispatch_s or 0.0,
            again,
        )
        return replace(found, split=split)

    def _again(self, name: str, parts: Parts, *, decides: bool = True) -> Run:
        """Simulate a policy, with parts of its own or without time to decide."""
        stream, _ = stream_of(self.inputs, 0)
        tables, policy, settings = service_of(self.inputs, name, stream)
        settings = replace(
            settings,
            dispatch_s=self.inputs.scenario.gpu.dispatch_s or 0.0,
            decision_s=(self.inputs.online.decision_s or 0.0) if decides else 0.0,
        )
        with policy_refused(self.inputs, name):
            return simulate(tables, stream, policy, settings, parts)

    def _stage(self) -> Stage:
        return make_stage(
            str(self.profile_file),
            self.problem,
            self.profile,
            self.device,
            self.inputs.scenario.gpu.load_from,
            self.build,
        )


def live_inputs(inputs: Inputs, duration_s: float) -> Inputs:
    """Return inputs without noise, whose timeline for a viewer lies within the run."""
    online = inputs.online
    window_s = online.window_s
    if window_s is not None and window_s[0] >= duration_s:
        online = online.model_copy(
            update={"window_s": (0.0, min(_VIEWED_S, duration_s))}
        )
    changed = inputs.scenario.model_copy(update={"online": online, "noise": None})
    return replace(inputs, scenario=changed)


def with_noise(inputs: Inputs, noise: NoiseSpec) -> Inputs:
    """Return inputs with noise."""
    scenario = inputs.scenario.model_copy(update={"noise": noise})
    return replace(inputs, scenario=scenario)


def with_dispatch(inputs: Inputs, dispatch_s: float, decision_s: float) -> Inputs:
    """Return inputs in which dispatch and decisions take their time."""
    gpu = inputs.scenario.gpu.model_copy(update={"dispatch_s": dispatch_s})
    online = inputs.online.model_copy(update={"decision_s": decision_s})
    changed = inputs.scenario.model_copy(update={"gpu": gpu, "online": online})
    return replace(inputs, scenario=changed)


def check_job(job: LiveJob, *, own_code: bool, check_memory: bool) -> None:
    """Refuse what cannot be run live, before anything is built.

    Raises
    ------
    InputError
        Naming what cannot.
    ConsentError
        If the profile names functions to call, and that is not consented to.
    """
    overlaps = job.device.queues() is not None
    check_scenario(job.inputs, job.device.tiers, overlaps=overlaps)
    networks = _networks(job)
    if job.limits.packed and (job.by_graph or job.inputs.scenario.gpu.overlap):
        overlaps = job.inputs.scenario.gpu.overlap
        what = "gpu.overlap" if overlaps else "captured graphs"
        raise InputError(
            Parameter("packed"),
            f"is not for {what}, for which each block has a place of its own",
            *(() if overlaps else ("; ", NO_GRAPHS, " launches operator by operator")),
        )
    named = [spec for spec in networks if spec.is_factory]
    if named and not own_code:
        raise ConsentError(
            job.profile_file,
            f"names {named[0].architecture} as an architecture, which is code to run",
        )
    if check_memory:
        _check_room(job, networks)


def profile_threads(profile: Profile, profile_file: Path, cores: int) -> int:
    """Return the number of torch's threads that a profile was measured with.

    Parameters
    ----------
    profile, profile_file
        The profile, and its file for messages.
    cores
        Processors of this machine.

    Raises
    ------
    InputError
        If the profile does not state it, or this machine has fewer processors.
    """
    provenance = profile.provenance
    machine = (provenance.machine or {}) if isinstance(provenance, MeasuredOn) else {}
    found = machine.get(THREADS)
    where = f"{profile_file}: provenance.machine"
    if found is None or not found.isdigit() or not int(found):
        raise InputError(
            where,
            f"must state {THREADS!r}, which a live run uses too, as profiles do that "
            f"edgesim profile measure makes",
        )
    if int(found) > cores:
        raise InputError(
            where,
            f"must state at most as many {THREADS!r} as there are processors here "
            f"({cores}), found {found}; measure again with fewer",
        )
    return int(found)


def _networks(job: LiveJob) -> Mapping[NetworkSpec, int]:
    """List the networks of a library, and the bytes of the weights of each."""
    problem, found = job.problem, {}
    for name in problem.models:
        match = match_model(problem, name, job.profile)
        if match.network is None:
            raise InputError(
                job.profile_file, f"cannot run {name!r} live: {match.reason}"
            )
        found[match.network] = problem.weight_bytes(name)
    return found


def _check_room(job: LiveJob, networks: Mapping[NetworkSpec, int]) -> None:
    """Refuse what memory does not hold: host blocks, the pool, a model by itself."""
    problem, on_gpu = job.problem, job.device.device.type != "cpu"
    host = sum(aligned(block.bytes) for block in problem.blocks.values())
    if on_gpu:
        host = locked_bytes(host)
    policies = job.inputs.online.policies
    pool = most_pool_bytes(job.inputs, policies, packed=job.limits.packed)
    activations = max(
        (max(m.activation_bytes or (0,)) for m in problem.models.values()), default=0
    )
    # A model by itself, and the network that it is copied from without weights.
    device = pool + 2 * max(networks.values(), default=0) + activations
    needs = [("host memory", host + (0 if on_gpu else device), free_host_bytes())]
    if on_gpu:
        needs.append(("device memory", device, job.device.free_bytes()))
    for what, needed, free in needs:
        if free is not None and needed > free:
            raise InputError(
                job.inputs.scenario_file,
                f"needs {needed:,} bytes of {what} to be run live, free are {free:,}",
                *_packed(job, what, pool),
            )


def _packed(job: LiveJob, what: str, pool: int) -> list[str | Parameter]:
    """Say what memory would need if blocks were packed, where the pool is in it."""
    on_gpu = job.device.device.type != "cpu"
    if job.limits.packed or (what == "host memory") == on_gpu:
        return []
    policies = job.inputs.online.policies
    least = most_pool_bytes(job.inputs, policies, packed=True)
    return [
        f"; {pool:,} of them are places of all blocks, {least:,} would do with ",
        *((NO_GRAPHS, " and ") if job.by_graph else ()),
        Parameter("packed"),
    ]


def expected_s(job: LiveJob) -> float:
    """Estimate how long the live runs take: what was simulated, and some to prepare."""
    runs = job.simulated[""].values()
    return math.fsum(
        max(
            float(run.requests.end_s.max(initial=0.0)),
            float(run.rounds.end_s.max(initial=0.0)),
        )
        for run in runs
    )
