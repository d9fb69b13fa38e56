"""``edgesim run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from edgesim.cli.own_code import OwnCode, Traceback
from edgesim.cli.settings import Settings
from edgesim.errors import InputError

_OPTIONS = {
    "run.repeats": "--repeats",
    "run.seed": "--seed",
    "run.solvers": "--solver",
    "run.uplink": "--uplink",
    "run.time_limit_s": "--time-limit",
    "run.iterations": "--iterations",
    "online.policies": "--policy",
    "online.uplink": "--uplink",
    "workload.trace": "--trace",
    "profile": "--profile",
    "gpu.memory_bytes": "--memory",
    "gpu.residency": "--residency",
    "gpu.overlap": "--overlap",
    "gpu.load_from": "--load-from",
    "workload.deadline_s": "--deadline",
    "cell.bandwidth_hz": "--bandwidth",
}
"""Keys of a scenario that options of their own set."""


def run(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="A scenario file (TOML) or the name of a shipped one [campus, "
            "or own-models with --profile; with --policy the online ones of these]."
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A trace (CSV) instead of the scenario's, or a shipped one's name.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A profile (JSON) instead of the scenario's, or a shipped one's name.",
        ),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(help="Solvers instead of the scenario's: dp,mine:solve."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="Online policies instead of the scenario's: fcfs,mine:Mine."),
    ] = None,
    uplink: Annotated[
        str | None,
        typer.Option(
            help="upfront, static or dynamic; online fifo, edf or equal-share."
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="GPU memory: 1e9, 1GB or 24GiB."),
    ] = None,
    residency: Annotated[
        str | None,
        typer.Option(
            help="Blocks that stay in GPU memory: cache (while it has room) or "
            "previous (those of the round before)."
        ),
    ] = None,
    overlap_: Annotated[
        bool | None,
        typer.Option("--overlap/--no-overlap", help="Load while a batch is computed."),
    ] = None,
    load_from: Annotated[
        str | None,
        typer.Option(help="Where blocks are loaded from: pinned, pageable or disk."),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(help="One deadline for all requests of a plan, in seconds."),
    ] = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(metavar="HZ", help="The cell's bandwidth: 20e6 or 20MHz."),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Windows to run, one after another.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the run.")] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Limit of branch, ilp and local-search, in seconds a plan."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Limit of local-search, for each plan.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results [results/NAME].")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the pictures: png,pdf,svg.")
    ] = "png",
    settings: Settings = None,
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Plan a scenario with several solvers, simulate the plans, compare them.

    A scenario with an [online] section serves requests as they come instead, by
    several policies. A profile and a trace of your own need no scenario: --profile FILE
    --trace FILE, with --memory and the like for your GPU.
    """
    del traceback
    from edgesim.cli.options import picture_formats
    from edgesim.cli.own_code import kept_text, own_failures
    from edgesim.cli.progress import progress
    from edgesim.cli.settings import naming_settings, read_settings, typed_files
    from edgesim.experiment.defaults import OWN_MODELS, OWN_MODELS_ONLINE
    from edgesim.experiment.doubts import doubts
    from edgesim.experiment.inputs import open_inputs
    from edgesim.experiment.run import run_all
    from edgesim.files import check_replaceable, keep_inputs
    from edgesim.results.pictures import PictureError
    from edgesim.results.replaced import replaced_run
    from edgesim.results.report import outputs_of, write_run
    from edgesim.results.text import table
    from edgesim.scenario.file import is_online, locate_scenario
    from edgesim.scenario.key_path import overlap
    from solvers import EdgesimError

    if scenario is None:
        shipped = ("campus", OWN_MODELS)
        if policy is not None:
            shipped = ("online-campus", OWN_MODELS_ONLINE)
        scenario = shipped[profile is not None]
    wanted = picture_formats("--format", formats)
    path = locate_scenario(scenario)
    chosen = {
        "--solver": solver,
        "--time-limit": time_limit,
        "--iterations": iterations,
        "--policy": policy,
        "--uplink": uplink,
        "--deadline": deadline,
    }
    machine = {
        "--memory": memory,
        "--residency": residency,
        "--overlap": overlap_,
        "--load-from": load_from,
        "--bandwidth": bandwidth,
    }
    values = {
        **chosen,
        **machine,
        "--repeats": repeats,
        "--seed": seed,
        "--trace": trace,
        "--profile": profile,
    }
    named = read_settings(
        settings or (),
        {key: one for key, one in _OPTIONS.items() if values[one] is not None},
    )
    online = is_online(path) or any(overlap(key, "online") for key in named)
    overrides = {
        "run.repeats": repeats,
        "run.seed": seed,
        **_machine(machine),
        **(_online(path, chosen) if online else _plan(path, chosen)),
    }
    given = {key: value for key, value in overrides.items() if value is not None}
    typed = {key: f"--set {key}" for key in named}
    named_alike = ("run.solvers", "run.uplink", "online.policies", "online.uplink")
    typed |= {key: _OPTIONS[key] for key in given if key not in named_alike}
    files = typed_files(named)
    named = {key: value for key, value in named.items() if key not in files}
    with (
        naming_settings(path, typed),
        open_inputs(
            path,
            trace=files.get("workload.trace", trace),
            profile=files.get("profile", profile),
            overrides={**given, **named},
            own_code=own_code,
        ) as inputs,
    ):
        folder = out or Path("results") / inputs.scenario.name
        check_replaceable(folder, outputs_of(inputs))
        keep_inputs(folder, *(source.path for source in inputs.sources.values()))
        before = replaced_run(folder)
        failed: dict[str, EdgesimError] = {}
        with progress(inputs.scenario.name) as advance:
            trials = run_all(inputs, advance, failed)
            undrawn: PictureError | None = None
            try:
                report = write_run(folder, inputs, trials, failed, wanted)
            except PictureError as error:
                undrawn, report = error, error.report
        doubtful = doubts(inputs, typed)
    if report is not None:
        for doubt in () if failed else doubtful:
            typer.echo(f"warning: {doubt}", err=True)
        typer.echo(table(report))
        if failed:
            typer.echo(kept_text(list(report.run["runtime_s"]), failed))
        typer.echo(f"results in {folder}")
        if before:
            typer.echo(before, err=True)
    if failed:
        if undrawn is not None:
            typer.echo(f"warning: {undrawn}", err=True)
        where = f"{path}: run.solvers" if solver is None else "--solver"
        where = next((o for k, o in typed.items() if overlap(k, "run.solvers")), where)
        raise own_failures(where, failed)
    if undrawn is not None:
        raise undrawn


def _refuse(scenario: Path, chosen: Mapping[str, Any], why: str, *odd: str) -> None:
    """Refuse options that do not apply to a scenario of this kind."""
    for option in odd:
        if chosen[option] is not None:
            raise InputError(option, f"{why}: {scenario}")


def _machine(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options about GPU and cell to the values they replace, by key path."""
    from edgesim.cli.options import byte_size, hertz, one_of
    from edgesim.profile.values import Tier
    from solvers.problem import Residency

    words = {
        "gpu.residency": ("--residency", get_args(Residency)),
        "gpu.load_from": ("--load-from", get_args(Tier)),
    }
    found: dict[str, Any] = {"gpu.overlap": chosen["--overlap"]}
    if chosen["--memory"] is not None:
        found["gpu.memory_bytes"] = byte_size("--memory", chosen["--memory"])
    if chosen["--bandwidth"] is not None:
        found["cell.bandwidth_hz"] = hertz("--bandwidth", chosen["--bandwidth"])
    found |= {
        key: one_of(option, chosen[option], allowed)
        for key, (option, allowed) in words.items()
        if chosen[option] is not None
    }
    return found


def _plan(scenario: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options to the values they replace in a scenario that plans, by key path."""
    from edgesim.cli.options import positive, solver_names, uplink_name

    why = "is for scenarios with an [online] section, which this has not"
    _refuse(scenario, chosen, why, "--policy")
    solver, uplink = chosen["--solver"], chosen["--uplink"]
    return {
        "run.solvers": None if solver is None else solver_names("--solver", solver),
        "run.uplink": None if uplink is None else uplink_name("--uplink", uplink),
        "run.time_limit_s": positive("--time-limit", chosen["--time-limit"]),
        "run.iterations": chosen["--iterations"],
        "workload.deadline_s": positive("--deadline", chosen["--deadline"]),
    }


def _online(scenario: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options to the values they replace in an online scenario, by key path."""
    from edgesim.cli.options import one_of, policy_names
    from edgesim.names import UPLINK_RULES

    why = "is for plans, and this scenario has an [online] section"
    odd = ("--solver", "--time-limit", "--iterations", "--deadline")
    _refuse(scenario, chosen, why, *odd)
    policy, uplink = chosen["--policy"], chosen["--uplink"]
    rules = UPLINK_RULES
    return {
        "online.policies": None if policy is None else policy_names("--policy", policy),
        "online.uplink": None if uplink is None else one_of("--uplink", uplink, rules),
    }
