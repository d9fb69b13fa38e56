"""One call of ``edgesim profile measure``: from SPECs to a profile."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgesim.checkpoints.content import share_by_content
from edgesim.checkpoints.files import (
    CheckpointFiles,
    checkpoint_paths,
    is_checkpoint,
    parse_checkpoint,
    read_checkpoint,
)
from edgesim.checkpoints.model_names import parse_checkpoints
from edgesim.errors import InputError, Parameter
from edgesim.profile.spread import spread_notes
from edgesim.profile.values import Measured, Profile, Tier
from edgesim.profiling import session
from edgesim.profiling.architecture import NetworkSpec, parse_spec, shown_architecture
from edgesim.profiling.checkpoint_plan import (
    latency_place,
    plan_checkpoints,
    read_latency_source,
    with_architectures,
    with_latency_from,
)
from edgesim.profiling.device import Device
from edgesim.profiling.disk import check_disk, file_system
from edgesim.profiling.estimate import duration, expected_s, tier_rates
from edgesim.profiling.factories import assign_factories
from edgesim.profiling.networks import Networks
from edgesim.profiling.plan import NetworkPlan, PlanOptions, plan_networks
from edgesim.storage.files import keep_inputs

Advance = Callable[[int, int], None]
Progress = Callable[[str], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class Job:
    """What to measure, how to measure it, and how to describe it.

    Parameters
    ----------
    specs
        Networks and checkpoint files, in the order of the profile.
    settings
        Tiers, batch sizes, repeats, the folder on disk.
    options
        How networks are built and split.
    names, min_bytes
        How blocks are found in checkpoints, as in
        :func:`edgesim.checkpoints.content.share_by_content`.
    factories, latency_from
        Source of the latency of checkpoints: architectures, as
        :func:`edgesim.profiling.factories.assign_factories` takes them, or
        ``PROFILE[:MODEL]``. Files do not state the architecture: without either the
        profile holds no latency of theirs.
    check_memory
        Whether to reject models for which the system currently lacks memory.
    name, note
        Name and note of the profile.
    command
        The command that repeats the measurement.
    """

    specs: tuple[NetworkSpec | CheckpointFiles, ...]
    settings: session.Settings
    options: PlanOptions
    name: str
    command: str
    names: Literal["ignore", "match"] = "ignore"
    min_bytes: int | None = None
    factories: tuple[str, ...] = ()
    latency_from: str | None = None
    check_memory: bool = True
    note: str | None = None

    @property
    def networks(self) -> list[NetworkSpec]:
        """The networks among the SPECs."""
        return [spec for spec in self.specs if isinstance(spec, NetworkSpec)]

    @property
    def checkpoints(self) -> list[CheckpointFiles]:
        """The checkpoint files among the SPECs."""
        return [spec for spec in self.specs if isinstance(spec, CheckpointFiles)]


def parse_specs(texts: Sequence[str]) -> tuple[NetworkSpec | CheckpointFiles, ...]:
    """Parse SPECs; names must be unique.

    Raises
    ------
    InputError
        If one is not a SPEC, or two have the same name.
    """
    specs: dict[str, NetworkSpec | CheckpointFiles] = {}
    checkpoints = iter(parse_checkpoints([t for t in texts if is_checkpoint(t)]))
    for text in texts:
        spec = next(checkpoints) if is_checkpoint(text) else parse_spec(text)
        if spec.name in specs:
            raise InputError(
                text,
                f"two models are called {spec.name!r}; name one of them, as in "
                f"NAME={text}",
            )
        specs[spec.name] = spec
    return tuple(specs.values())


def check_job(job: Job, out: Path) -> None:
    """Reject incompatible parameters and an output that would overwrite an input.

    Raises
    ------
    InputError
        Naming the parameter.
    """
    networks, checkpoints = job.networks, job.checkpoints
    if job.factories and job.latency_from:
        raise InputError(
            Parameter("factory"),
            "must not be given together with ",
            Parameter("latency_from"),
        )
    for name, given in (
        ("factory", len(job.factories) > 0),
        ("latency_from", job.latency_from is not None),
        ("min_bytes", job.min_bytes is not None),
        ("names", job.names != "ignore"),
    ):
        if given and not checkpoints:
            raise InputError(
                Parameter(name), "is for checkpoint files, and there are none"
            )
    for name, given in (
        ("dtype", job.options.dtype is not None),
        ("lora", len(job.options.lora) > 0),
    ):
        if given and not networks:
            raise InputError(
                Parameter(name), "is for networks, and all SPECs are checkpoints"
            )
    if job.options.input and not networks and not job.factories:
        raise InputError(
            Parameter("input"),
            "is for networks and ",
            Parameter("factory"),
            "; there are neither",
        )
    assign_factories(job.factories, checkpoints)
    sources = [path for files in checkpoints for path in files.paths]
    if job.latency_from is not None:
        sources.append(Path(latency_place(job.latency_from)[0]))
    keep_inputs(out, *sources)


def measure_profile(
    job: Job,
    device: Device,
    say: Callable[[str], None],
    progress: Progress,
    keep: Callable[[Profile], None] = lambda _: None,
) -> Profile:
    """Plan, estimate, measure, and assemble the profile.

    Parameters
    ----------
    job
        A job accepted by :func:`check_job`.
    device
        The device to measure.
    say
        Receives progress lines for the user: expected and actual duration, and what is
        left out.
    progress
        As :func:`edgesim.cli.progress.progress`, drawing only between steps.
    keep
        Receives the profile of the models done so far, after each but the last.

    Raises
    ------
    InputError
        If something cannot be measured; raised before measuring starts if that is known
        by then.
    """
    networks = Networks(device)
    plans = _plans(job, device, networks, say, progress)
    settings = job.settings
    if job.check_memory:
        session.check_room(device, plans, settings.tiers)
    sizes = session.ladder(device)
    if "disk" in settings.tiers:
        check_disk(settings.disk_folder, session.disk_bytes(plans, sizes))
    for note in session.device_notes(device, settings)[1:]:
        say(f"warning: {note}")
    rates = tier_rates(device, settings.tiers, settings.disk_folder)
    expected = expected_s(
        plans,
        rates,
        sizes,
        settings.batches,
        settings.sampling,
        modes=1 if device.device.type == "cpu" else 2,
    )
    say(
        f"measuring {len(plans)} model{'s' * (len(plans) > 1)} on "
        f"{device.device} from {', '.join(settings.tiers)}: about {duration(expected)}"
    )
    total = session.steps(plans, settings)
    start_s = time.monotonic()
    with progress("measuring") as advance:
        findings = session.measure(
            device,
            plans,
            settings,
            lambda count: advance(count, total),
            networks=networks,
            keep=lambda found: keep(_profile(job, device, plans, found)),
        )
    for note in findings.notes:
        say(f"warning: {note}")
    say(f"measured in {duration(time.monotonic() - start_s)}")
    return _profile(job, device, plans, findings)


def shown_spec(text: str) -> str:
    """Format a SPEC without absolute paths: each is replaced by its file name."""
    if not is_checkpoint(text):
        spec = parse_spec(text)
        shown = shown_architecture(spec.architecture)
        same = parse_spec(shown).name == spec.name
    else:
        files = parse_checkpoint(text)
        spec = NetworkSpec(files.name, "")
        shown = "+".join(map(shown_path, files.paths))
        same = parse_checkpoint(shown).name == files.name
    return shown if same else f"{spec.name}={shown}"


def shown_path(path: Path) -> str:
    """Format a path as given, or its name alone if it is absolute."""
    return path.name if path.is_absolute() else str(path)


def shown_profile(text: str) -> str:
    """Format ``PROFILE[:MODEL]`` without an absolute path."""
    place, model = latency_place(text)
    shown = shown_path(Path(place))
    return shown if model is None else f"{shown}:{model}"


def _plans(
    job: Job,
    device: Device,
    networks: Networks,
    say: Callable[[str], None],
    progress: Progress,
) -> list[NetworkPlan]:
    """Plan networks and checkpoints, in the order of the SPECs."""
    plans: dict[str, NetworkPlan] = {}
    if job.checkpoints:
        for plan in _checkpoint_plans(job, device, networks, progress):
            if plan.architecture is None and plan.copied is None:
                say(
                    f"warning: {plan.name}: no latency is measured, for files do not "
                    f"tell the architecture; give its factory, or a profile to take "
                    f"latency from"
                )
            plans[plan.name] = plan
    if job.networks:
        with progress("building networks") as advance:
            found = plan_networks(device, job.networks, job.options, advance, networks)
        plans |= {plan.name: plan for plan in found}
    return [plans[spec.name] for spec in job.specs]


def _checkpoint_plans(
    job: Job, device: Device, networks: Networks, progress: Progress
) -> list[NetworkPlan]:
    source = None
    if job.latency_from is not None:
        source = read_latency_source(job.latency_from)
    total = sum(
        path.stat().st_size
        for files in job.checkpoints
        for path in checkpoint_paths(files)
    )
    hashed = 0
    with progress("reading checkpoints") as advance:

        def done(count: int) -> None:
            nonlocal hashed
            hashed += count
            advance(hashed, total)

        checkpoints = [read_checkpoint(files, done) for files in job.checkpoints]
    library = share_by_content(checkpoints, names=job.names, min_bytes=job.min_bytes)
    plans = plan_checkpoints(checkpoints, library, job.options.block_of)
    if source is not None:
        return with_latency_from(plans, *source)
    return with_architectures(
        device,
        plans,
        checkpoints,
        assign_factories(job.factories, job.checkpoints),
        job.options.input,
        job.options.largest_batch,
        networks,
    )


def _profile(
    job: Job,
    device: Device,
    plans: Sequence[NetworkPlan],
    findings: session.Findings,
) -> Profile:
    settings = job.settings
    notes = [*session.device_notes(device, settings), *findings.notes]
    notes += spread_notes(findings.models)
    if job.note:
        notes.append(job.note)
    machine = dict(findings.facts.machine)
    kind = file_system(settings.disk_folder) if "disk" in settings.tiers else None
    if kind is not None:
        machine["disk file system"] = kind
    rates: dict[Tier, float] = {}
    if findings.copies:
        largest = findings.copies[-1]
        rates = {
            tier: largest.bytes / times.median_s
            for tier, times in largest.load_s.items()
            if times.median_s > 0
        }
    return Profile(
        name=job.name,
        provenance=Measured(
            kind="measured",
            device=findings.facts.device,
            driver=findings.facts.driver,
            versions={**findings.facts.versions, **session.versions_of(plans)},
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            command=job.command,
            copy_bytes_per_s=rates or None,
            machine=machine or None,
            note=". ".join(notes),
        ),
        models=dict(findings.models),
        copies=findings.copies or None,
        round_s=findings.round_s,
    )
