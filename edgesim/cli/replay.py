"""``edgesim replay``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say
from edgesim.cli.own_code import OwnCode


def replay(
    schedule: Annotated[Path, typer.Argument(help="A schedule file (JSON).")],
    profile: Annotated[
        str, typer.Option(help="A device profile (JSON), or the name of a shipped one.")
    ],
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cuda:0",
    instance: Annotated[
        Path | None,
        typer.Option(help="The instance [instance.json beside the schedule]."),
    ] = None,
    load_from: Annotated[
        str | None,
        typer.Option(
            help="pinned, pageable or disk [the device's fastest that the profile has]."
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Times to execute the whole schedule.")
    ] = 5,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the blocks' content.")
    ] = 0,
    paced: Annotated[
        bool,
        typer.Option(
            "--paced/--back-to-back", help="Wait for inputs as the plan does, or never."
        ),
    ] = True,
    own_code: OwnCode = False,
    factories: Annotated[
        str | None,
        typer.Option(
            help="skip: leave out what functions (package.module:factory) compute that "
            "the profile names as architectures; call is an older name of --own-code."
        ),
    ] = None,
    check_memory: Annotated[
        bool,
        typer.Option(
            help="Refuse a schedule that the system has no room for now; a virtual "
            "machine's memory may grow."
        ),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results [results/replay-SCHEDULE]."),
    ] = None,
) -> None:
    """Execute a schedule on a device: simulated against measured times."""
    from datetime import UTC, datetime

    from edgesim.cli.needs import need_torch
    from edgesim.cli.options import one_of
    from edgesim.cli.progress import progress
    from edgesim.errors import InputError
    from edgesim.profile.file import locate_profile, read_profile
    from edgesim.replay import inputs
    from edgesim.replay.plan import make_plan
    from edgesim.replay.report import (
        REPLAY_FOLDER,
        Replayed,
        Setting,
        text,
        write_report,
    )
    from edgesim.storage.files import keep_inputs
    from edgesim.storage.output_folder import check_output_folder

    need_torch("edgesim replay")
    if factories is not None:
        one_of("--factories", factories, ("call", "skip"))
    if own_code:
        if factories == "skip":
            raise InputError("--factories", "skip and --own-code exclude each other")
        factories = "call"
    instance_file = instance or schedule.parent / "instance.json"
    problem, planned = inputs.read_plan(schedule, instance_file)
    profile_file = locate_profile(profile)
    chosen = read_profile(profile_file)
    sources = {"schedule": schedule, "instance": instance_file, "profile": profile_file}
    plan = make_plan(problem, planned, chosen, factories=factories != "skip")
    inputs.check_factories(plan, profile_file, factories)
    folder = out if out is not None else Path("results") / f"replay-{schedule.stem}"
    check_output_folder(folder, REPLAY_FOLDER)
    keep_inputs(folder, *sources.values())
    read = inputs.hashes(sources)
    from edgesim.profiling.devices import open_device
    from edgesim.profiling.job import shown_path
    from edgesim.replay.session import replay as execute

    words = ["edgesim", "replay", shown_path(schedule)]
    for option, value, default in (
        ("--profile", shown_path(Path(profile)), None),
        ("--device", device, None),
        ("--instance", instance and shown_path(instance), None),
        ("--load-from", load_from, None),
        ("--repeats", repeats, 5),
        ("--seed", seed, 0),
        ("--factories", None if own_code else factories, None),
        ("--out", out and shown_path(out), None),
    ):
        if value != default:
            words += [option, str(value)]
    if own_code:
        words.append("--own-code")
    if not paced:
        words.append("--back-to-back")
    if not check_memory:
        words.append("--no-check-memory")
    on = open_device(device)
    tier = inputs.choose_tier(plan, chosen, on.tiers, load_from)
    end_s = planned.rounds[-1].end_s if planned.rounds else 0.0
    say(
        f"{repeats} x {len(planned.rounds)} rounds on {device}, one pass to warm up; "
        f"the plan takes {end_s:.3g} s a pass",
        err=True,
    )
    with progress("replay", between_steps=True) as done:
        times = execute(
            plan,
            chosen,
            on,
            tier.tier,
            repeats=repeats,
            seed=seed,
            paced=paced,
            scratch=folder.absolute().parent,
            check_memory=check_memory,
            done=done,
        )
    facts = on.facts()
    replayed = Replayed(
        plan,
        Setting(
            profile=chosen,
            tier=tier.tier,
            tier_of_profile=tier.of_profile,
            has_graphs=on.has_graphs,
            paced=paced,
            seed=seed,
            device=facts.device,
            driver=facts.driver,
            versions=facts.versions,
            machine=facts.machine,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=shlex.join(words),
            sources=read,
        ),
        times,
    )
    try:
        say(text(replayed))  # first: it is there whatever becomes of the folder
    finally:  # and the folder whatever becomes of the output
        write_report(folder, replayed)
    say(f"results in {folder}")
