"""``edgesim run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="A scenario file (TOML) or the name of a shipped one [campus; "
            "own-models with --profile]."
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
        str | None, typer.Option(help="Solvers instead of the scenario's: dp,greedy.")
    ] = None,
    uplink: Annotated[
        str | None, typer.Option(help="upfront, static or dynamic.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Windows to plan, one after another.")
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
) -> None:
    """Plan a scenario with several solvers, simulate the plans, compare them.

    A profile and a trace of your own need no scenario: --profile FILE --trace FILE.
    """
    from edgesim.cli.options import positive, solver_names, uplink_name
    from edgesim.cli.progress import progress
    from edgesim.files import check_replaceable, keep_inputs
    from edgesim.own_models import OWN_MODELS
    from edgesim.report import OUTPUTS, table, write_report
    from edgesim.run import PlanRun, load_inputs, run_all
    from edgesim.scenario import locate_scenario

    overrides: dict[str, Any] = {
        "run.solvers": None if solver is None else solver_names("--solver", solver),
        "run.uplink": None if uplink is None else uplink_name("--uplink", uplink),
        "run.repeats": repeats,
        "run.seed": seed,
        "run.time_limit_s": positive("--time-limit", time_limit),
        "run.iterations": iterations,
    }
    if scenario is None:
        scenario = "campus" if profile is None else OWN_MODELS
    inputs = load_inputs(
        locate_scenario(scenario),
        trace_file=trace,
        profile_name=profile,
        overrides={key: v for key, v in overrides.items() if v is not None},
    )
    folder = out if out is not None else Path("results") / inputs.scenario.name
    check_replaceable(folder, OUTPUTS)
    keep_inputs(folder, *(source.path for source in inputs.sources.values()))
    plans = inputs.scenario.run.repeats * len(inputs.scenario.run.solvers)
    finished: list[PlanRun] = []

    with progress(inputs.scenario.name) as advance:

        def done(one: PlanRun) -> None:
            finished.append(one)
            advance(len(finished), plans)

        runs = run_all(inputs, done)
    write_report(folder, inputs, runs)
    typer.echo(table(inputs, runs))
    typer.echo(f"results in {folder}")
