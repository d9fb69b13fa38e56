"""``edgesim run``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from edgesim.cli.own_code import OwnCode, Traceback
from edgesim.errors import InputError


def run(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="A scenario file (TOML) or the name of a shipped one [campus, "
            "or own-models with --profile; with --policy the online ones of these]."
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="A trace (CSV) instead of the scenario's, or a shipped one."),
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
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Windows to run, one after another.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the run.")] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Limit of ilp and local-search, in seconds a plan."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Limit of local-search, for each plan.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results [results/NAME].")
    ] = None,
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Plan a scenario with several solvers, simulate the plans, compare them.

    A scenario with an [online] section serves requests as they come instead, by
    several policies. A profile and a trace of your own need no scenario: --profile FILE
    --trace FILE.
    """
    del traceback
    from edgesim.own_models import OWN_MODELS, OWN_MODELS_ONLINE
    from edgesim.scenario import is_online, locate_scenario

    if scenario is None:
        shipped = ("campus", OWN_MODELS)
        if policy is not None:
            shipped = ("online-campus", OWN_MODELS_ONLINE)
        scenario = shipped[profile is not None]
    path = locate_scenario(scenario)
    chosen = {
        "--solver": solver,
        "--time-limit": time_limit,
        "--iterations": iterations,
        "--policy": policy,
        "--uplink": uplink,
    }
    shared = {"run.repeats": repeats, "run.seed": seed}
    files = _Files(path, trace, profile, out, own_code)
    if is_online(path):
        _online(files, shared, chosen)
    else:
        _plan(files, shared, chosen)


class _Files(NamedTuple):
    """What is read, and where the results go: None where the scenario says so.

    ``own_code``: whether code may run that the scenario names.
    """

    scenario: Path
    trace: Path | None
    profile: str | None
    out: Path | None
    own_code: bool


def _refuse(scenario: Path, chosen: Mapping[str, Any], why: str, *odd: str) -> None:
    """Refuse options that mean nothing for a scenario of this kind."""
    for option in odd:
        if chosen[option] is not None:
            raise InputError(option, f"{why}: {scenario}")


def _given(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in overrides.items() if value is not None}


def _plan(files: _Files, shared: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Plan windows of requests with several solvers."""
    from edgesim.cli.options import positive, solver_names, uplink_name
    from edgesim.cli.own_code import kept_text, own_failures
    from edgesim.cli.progress import progress
    from edgesim.files import check_replaceable, keep_inputs
    from edgesim.report import OUTPUTS, by_solver, table, write_report
    from edgesim.run import PlanRun, load_inputs, run_all
    from solvers import EdgesimError

    why = "is for scenarios with an [online] section, which this has not"
    _refuse(files.scenario, chosen, why, "--policy")
    solver, uplink = chosen["--solver"], chosen["--uplink"]
    overrides = {
        **shared,
        "run.solvers": None if solver is None else solver_names("--solver", solver),
        "run.uplink": None if uplink is None else uplink_name("--uplink", uplink),
        "run.time_limit_s": positive("--time-limit", chosen["--time-limit"]),
        "run.iterations": chosen["--iterations"],
    }
    inputs = load_inputs(
        files.scenario,
        trace_file=files.trace,
        profile_name=files.profile,
        overrides=_given(overrides),
        own_code=files.own_code,
    )
    folder = files.out or Path("results") / inputs.scenario.name
    check_replaceable(folder, OUTPUTS)
    keep_inputs(folder, *(source.path for source in inputs.sources.values()))
    plans = inputs.scenario.run.repeats * len(inputs.scenario.run.solvers)
    finished: list[PlanRun] = []
    failed: dict[str, EdgesimError] = {}

    with progress(inputs.scenario.name) as advance:

        def done(one: PlanRun) -> None:
            finished.append(one)
            advance(len(finished), plans)

        runs = run_all(inputs, done, failed)
    if runs:
        write_report(folder, inputs, runs, failed)
        typer.echo(table(inputs, runs))
        if failed:
            typer.echo(kept_text(list(by_solver(runs)), failed))
        typer.echo(f"results in {folder}")
    if failed:
        raise own_failures(f"{files.scenario}: run.solvers", failed)


def _online(
    files: _Files, shared: Mapping[str, Any], chosen: Mapping[str, Any]
) -> None:
    """Serve requests as they come, by several policies."""
    from tempfile import TemporaryDirectory

    from edgesim.cli.options import one_of, policy_names
    from edgesim.cli.progress import progress
    from edgesim.engine.uplinks.rules import RULES
    from edgesim.files import check_replaceable, keep_inputs
    from edgesim.online.report import OUTPUTS, run_and_report
    from edgesim.online.run import load_online
    from edgesim.online.text import table
    from edgesim.provenance import assumed_text

    why = "is for plans, and this scenario has an [online] section"
    _refuse(files.scenario, chosen, why, "--solver", "--time-limit", "--iterations")
    policy, uplink = chosen["--policy"], chosen["--uplink"]
    overrides = {
        **shared,
        "online.policies": None if policy is None else policy_names("--policy", policy),
        "online.uplink": None if uplink is None else one_of("--uplink", uplink, RULES),
    }
    with TemporaryDirectory(prefix="edgesim-") as temporary:
        inputs = load_online(
            files.scenario,
            Path(temporary),
            trace_file=files.trace,
            profile_name=files.profile,
            overrides=_given(overrides),
            own_code=files.own_code,
        )
        folder = files.out or Path("results") / inputs.scenario.name
        check_replaceable(folder, OUTPUTS)
        keep_inputs(folder, *(source.path for source in inputs.sources.values()))
        with progress(inputs.scenario.name) as advance:
            summary = run_and_report(folder, inputs, advance)
    typer.echo(table(summary))
    if inputs.assumed:
        typer.echo(assumed_text(inputs.assumed))
    typer.echo(f"results in {folder}")
