"""``edgesim live``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say
from edgesim.cli.own_code import OwnCode, Traceback
from edgesim.cli.scenario_options import (
    OPTIONS,
    Bandwidth,
    LoadFrom,
    Memory,
    PolicyNames,
    ProfileFile,
    Residency,
    Seed,
    TraceFile,
    UplinkName,
    chosen_options,
    given_keys,
    option_values,
)
from edgesim.cli.settings import Settings


def live(
    scenario: Annotated[
        str,
        typer.Argument(
            help="A scenario file (TOML) with an [online] section, or the name of a "
            "shipped one."
        ),
    ],
    trace: TraceFile = None,
    profile: ProfileFile = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cuda:0",
    policy: PolicyNames = None,
    duration: Annotated[
        float,
        typer.Option("--duration-s", help="Seconds for which requests arrive."),
    ] = 60.0,
    uplink: UplinkName = None,
    memory: Memory = None,
    residency: Residency = None,
    load_from: LoadFrom = None,
    bandwidth: Bandwidth = None,
    seed: Seed = None,
    check_memory: Annotated[
        bool,
        typer.Option(
            help="Refuse what the system has no room for now; a virtual machine's "
            "memory may grow."
        ),
    ] = True,
    graphs: Annotated[
        bool,
        typer.Option(
            help="Capture batches as graphs, if the profile's were and the device can."
        ),
    ] = True,
    packed: Annotated[
        bool,
        typer.Option(
            "--packed",
            help="Give blocks the bytes of the scenario's memory, moved together when "
            "need be, instead of a place each.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results [results/live-NAME].")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the pictures: png,pdf,svg.")
    ] = "png",
    settings: Settings = None,
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Serve requests on a real device by the clock, and compare with the simulation.

    Each policy is run for as long as requests arrive; an interrupt ends the run in hand
    and keeps what is done.
    """
    chosen = chosen_options(locals())
    del traceback
    import os
    from dataclasses import replace
    from datetime import UTC, datetime

    from edgesim.cli.needs import need_torch
    from edgesim.cli.options import picture_formats, positive
    from edgesim.cli.progress import progress
    from edgesim.cli.settings import naming_settings, read_settings, typed_files
    from edgesim.errors import InputError
    from edgesim.experiment.inputs import load_inputs
    from edgesim.profile.file import read_profile
    from edgesim.results.report import Beside, write_run
    from edgesim.results.text import table
    from edgesim.scenario.file import is_online, locate_scenario
    from edgesim.scenario.key_path import overlap
    from edgesim.storage.files import keep_inputs
    from edgesim.storage.output_folder import check_output_folder

    need_torch("edgesim live")
    wanted = picture_formats("--format", formats)
    positive("--duration-s", duration)
    path = locate_scenario(scenario)
    if not is_online(path):
        raise InputError(path, "must have an [online] section to be run live")
    named = read_settings(settings or (), given_keys(chosen))
    for key in ("workload.window_s", "run.repeats"):
        if any(overlap(key, other) for other in named):
            raise InputError(f"--set {key}", "is set by a live run itself")
    given = option_values(path, chosen, online=True)
    typed = {key: f"--set {key}" for key in named}
    typed |= {key: OPTIONS[key] for key in given}
    files = typed_files(named)
    named = {key: value for key, value in named.items() if key not in files}
    own = {"workload.window_s": duration, "run.repeats": 1}
    with naming_settings(path, typed):
        read = load_inputs(
            path,
            trace=files.get("workload.trace", trace),
            profile=files.get("profile", profile),
            overrides={**given, **named, **own},
            own_code=own_code,
        )
        from edgesim.live import report as live_report
        from edgesim.live import run as running
        from edgesim.live.session import Limits
        from edgesim.profiling.builder import builder
        from edgesim.profiling.device import out_of_memory_refused
        from edgesim.profiling.devices import open_device
        from edgesim.profiling.job import shown_path
        from edgesim.profiling.threads import set_threads

        folder = out or Path("results") / f"live-{read.scenario.name}"
        check_output_folder(folder, live_report.LIVE_FOLDER)
        keep_inputs(folder, *(source.path for source in read.sources.values()))
        profile_file = read.sources["profile"].path
        measured = read_profile(profile_file)
        on = open_device(device)
        on.uses_graphs = graphs
        threads = running.profile_threads(measured, profile_file, os.cpu_count() or 1)
        set_threads(threads)
        job = running.LiveJob(
            inputs=running.live_inputs(read, duration),
            profile=measured,
            profile_file=profile_file,
            device=on,
            limits=Limits(threads, duration, packed),
            build=builder(on),
        )
        running.check_job(job, own_code=own_code, check_memory=check_memory)
        job.simulate()
        say(
            f"{len(job.inputs.online.policies)} policies on {device}: about "
            f"{running.expected_s(job):.0f} s of requests, and some to prepare",
            err=True,
        )
        facts = on.facts()
        words = ["edgesim", "live", shown_path(Path(scenario))]
        for option, value in (
            ("--trace", trace and shown_path(Path(trace))),
            ("--profile", profile and shown_path(Path(profile))),
            ("--device", device),
            ("--policy", policy),
            ("--duration-s", f"{duration:g}"),
            ("--uplink", uplink),
            ("--memory", memory),
            ("--residency", residency),
            ("--load-from", load_from),
            ("--bandwidth", bandwidth),
            ("--seed", seed),
            *(("--set", text) for text in settings or ()),
        ):
            if value is not None:
                words += [option, str(value)]
        words += ["--own-code"] if own_code else []
        words += [] if check_memory else ["--no-check-memory"]
        words += [] if graphs else ["--no-graphs"]
        words += ["--packed"] if packed else []
        gpu = job.inputs.scenario.gpu
        networks = {entry.latency_mode for entry in measured.models.values()}
        setting = live_report.Setting(
            scenario=job.inputs.scenario.name,
            profile=measured,
            tier=gpu.load_from,
            residency=gpu.residency,
            late=job.inputs.online.late,
            duration_s=duration,
            threads=threads,
            device=facts.device,
            driver=facts.driver,
            versions=facts.versions,
            machine=facts.machine,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=shlex.join(words),
            graphs="graph" in networks,
            by_graph=job.by_graph,
            packed=packed,
            dispatch_s=0.0,
            decision_s=job.decision_s,
        )

        def known() -> live_report.Setting:
            return replace(setting, dispatch_s=job.dispatch_s)

        beside = Beside(
            live_report.LIVE_FOLDER,
            lambda to: live_report.write_comparison(to, known(), job.compared),
            lambda: live_report.pictures(setting, job.compared),
        )
        with (
            progress("live", between_steps=True) as done,
            out_of_memory_refused(str(path), "a live run of it"),
        ):
            trials = job.trials(done)
            found = write_run(folder, job.inputs, trials, None, wanted, beside=beside)
    if found is not None:
        say(table(found))
        say(live_report.text(known(), job.compared))
        say(f"results in {folder}")
    if job.interrupts.received:
        raise typer.Exit(130)
