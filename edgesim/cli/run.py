"""``edgesim run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say
from edgesim.cli.own_code import OwnCode, Traceback
from edgesim.cli.scenario_options import (
    OPTIONS,
    Bandwidth,
    Deadline,
    Iterations,
    LoadFrom,
    Memory,
    Overlap,
    PolicyNames,
    ProfileFile,
    Residency,
    Seed,
    SolverNames,
    TimeLimit,
    TraceFile,
    UplinkName,
    chosen_options,
    given_keys,
    option_values,
)
from edgesim.cli.settings import Settings


def run(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="A scenario file (TOML) or the name of a shipped one [campus, "
            "or own-models with --profile; with --policy the online ones of these]."
        ),
    ] = None,
    trace: TraceFile = None,
    profile: ProfileFile = None,
    solver: SolverNames = None,
    policy: PolicyNames = None,
    uplink: UplinkName = None,
    memory: Memory = None,
    residency: Residency = None,
    overlap: Overlap = None,
    load_from: LoadFrom = None,
    deadline: Deadline = None,
    bandwidth: Bandwidth = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Windows to run, one after another.")
    ] = None,
    seed: Seed = None,
    time_limit: TimeLimit = None,
    iterations: Iterations = None,
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
    chosen = chosen_options(locals())
    del traceback
    from edgesim.cli.options import picture_formats
    from edgesim.cli.own_code import kept_text, own_failures
    from edgesim.cli.progress import progress
    from edgesim.cli.settings import naming_settings, read_settings, typed_files
    from edgesim.cli.waiting import naming_slow_code
    from edgesim.experiment.defaults import OWN_MODELS, OWN_MODELS_ONLINE
    from edgesim.experiment.doubts import doubts
    from edgesim.experiment.inputs import load_inputs
    from edgesim.experiment.run import run_all
    from edgesim.experiment.trial import Trial
    from edgesim.results.pictures import PictureError
    from edgesim.results.replaced import RUN_FOLDER, replaced_run
    from edgesim.results.report import write_run
    from edgesim.results.text import table
    from edgesim.scenario import key_path
    from edgesim.scenario.file import is_online, locate_scenario
    from edgesim.storage.files import keep_inputs
    from edgesim.storage.output_folder import check_output_folder
    from solvers import EdgesimError

    if scenario is None:
        shipped = ("campus", OWN_MODELS)
        if policy is not None:
            shipped = ("online-campus", OWN_MODELS_ONLINE)
        scenario = shipped[profile is not None]
    wanted = picture_formats("--format", formats)
    path = locate_scenario(scenario)
    _check_kind(path)
    named = read_settings(settings or (), given_keys(chosen))
    online = is_online(path) or any(key_path.overlap(key, "online") for key in named)
    given = option_values(path, chosen, online=online)
    typed = {key: f"--set {key}" for key in named}
    typed |= {key: OPTIONS[key] for key in given}
    files = typed_files(named)
    named = {key: value for key, value in named.items() if key not in files}
    with naming_settings(path, typed):
        inputs = load_inputs(
            path,
            trace=files.get("workload.trace", trace),
            profile=files.get("profile", profile),
            overrides={**given, **named},
            own_code=own_code,
        )
        folder = out or Path("results") / inputs.scenario.name
        check_output_folder(folder, RUN_FOLDER)
        keep_inputs(folder, *(source.path for source in inputs.sources.values()))
        before = replaced_run(folder)
        failed: dict[str, EdgesimError] = {}
        with (
            progress(inputs.scenario.name) as advance,
            naming_slow_code() as at_work,
        ):
            made: list[Trial] = []
            trials = run_all(inputs, advance, failed, made, at_work)
            undrawn: PictureError | None = None
            try:
                report = write_run(folder, inputs, trials, failed, wanted, made)
            except PictureError as error:
                undrawn, report = error, error.report
        doubtful = doubts(inputs, typed)
    if report is not None:
        for doubt in () if failed else doubtful:
            say(f"warning: {doubt}", err=True)
        say(table(report))
        if failed:
            say(kept_text(list(report.run["runtime_s"]), failed))
        say(f"results in {folder}")
        if before:
            say(before, err=True)
    if failed:
        if undrawn is not None:
            say(f"warning: {undrawn}", err=True)
        where = (o for key, o in typed.items() if key_path.overlap(key, "run.solvers"))
        raise own_failures(next(where, f"{path}: run.solvers"), failed)
    if undrawn is not None:
        raise undrawn


def _check_kind(path: Path) -> None:
    """Refuse a trace, a profile or a figure in the place of a scenario.

    Raises
    ------
    InputError
        Naming the option or the command that takes it.
    """
    from edgesim.errors import InputError
    from edgesim.storage.file_kinds import FIGURE, PROFILE, SCENARIO, TRACE, other_kind
    from edgesim.storage.files import writing

    if not path.is_file():
        return
    with writing(path):
        found = other_kind(path, SCENARIO)
    for kind, how in (
        (TRACE, f"give it with --trace {path}"),
        (PROFILE, f"give it with --profile {path}"),
        (FIGURE, f"edgesim figure {path} computes it"),
    ):
        if found == kind.name:
            raise InputError(path, f"must be a scenario, found {found}; {how}")
