"""``edgesim solve``."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesim.cli.output import say
from edgesim.cli.own_code import Traceback
from edgesim.text import shortened

if TYPE_CHECKING:
    from solvers import Problem, Result, Schedule


def solve(
    instance: Annotated[Path, typer.Argument(help="An instance file (JSON).")],
    solver: Annotated[
        str,
        typer.Option(help="One solver, or several with commas between: dp,mine:solve."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The schedule; with several solvers a folder of NAME.json."),
    ],
    uplink: Annotated[
        str, typer.Option(help="upfront, static or dynamic.")
    ] = "dynamic",
    time_limit: Annotated[
        float | None,
        typer.Option(help="Limit of each solver but the baselines, in seconds."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Limit of local-search.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of random and local-search.")
    ] = 0,
    mip: Annotated[str, typer.Option(help="Engine of ilp: highs or cbc.")] = "highs",
    traceback: Traceback = False,
) -> None:
    """Schedule one instance and write the result."""
    del traceback
    import solvers
    from edgesim.cli.options import one_of, positive, solver_names, uplink_name
    from edgesim.cli.own_code import kept_text, own_failures
    from edgesim.cli.progress import progress
    from edgesim.cli.waiting import naming_slow_code
    from edgesim.errors import InputError
    from edgesim.experiment.own_solvers import (
        check_by_name,
        check_solvers_there,
        failure,
        solve_by_name,
    )
    from edgesim.instances import SCHEDULES_FOLDER, read_instance, write_schedule
    from edgesim.plugins import file_name
    from edgesim.storage.file_kinds import SCHEDULE
    from edgesim.storage.files import check_writable, keep_inputs, write_or_save
    from edgesim.storage.output_folder import check_addable

    names = solver_names("--solver", solver)
    discipline = uplink_name("--uplink", uplink)
    limit_s = positive("--time-limit", time_limit)
    engine = one_of("--mip", mip, solvers.MIP_ENGINES)
    keep_inputs(out, instance)
    problem = read_instance(instance)
    gc.freeze()  # what has been read stays, and need not be looked through again
    check_solvers_there(names)
    try:
        for name in names:
            check_by_name(problem, name, uplink=discipline, mip=engine)
    except solvers.RefusalError as error:
        raise InputError(instance, str(error)) from None
    if len(names) > 1:
        check_addable(out, SCHEDULES_FOLDER)
    else:
        check_writable(out, SCHEDULE)
    results: dict[str, solvers.Result] = {}
    failed: dict[str, solvers.EdgesimError] = {}
    with progress(problem.name) as advance, naming_slow_code() as at_work:
        for number, name in enumerate(names):
            advance(number, len(names))
            at_work(name)
            try:
                result = solve_by_name(
                    problem,
                    name,
                    uplink=discipline,
                    time_limit_s=limit_s,
                    seed=seed,
                    mip=engine,
                    iterations=iterations,
                )
            except Exception as error:
                failed[name] = failure(name, error)
                continue
            # At once: what ends this before the last one loses none that is done.
            results[name] = result
            if len(names) == 1:
                write_or_save(out, partial(write_schedule, schedule=result.schedule))
            else:
                _add(out, f"{file_name(name)}.json", result.schedule)
    if results:
        say(_table(problem, results.values()))
        for result in results.values():
            if result.note is not None:
                say(result.note)
        if limit_s is not None and (unlimited := _unlimited(results)):
            say(unlimited)
    if failed:
        if results:
            say(kept_text(list(results), failed))
        raise own_failures(str(instance), failed)


def _add(folder: Path, name: str, schedule: Schedule) -> None:
    """Add a schedule to the folder of all."""
    from edgesim.instances import SCHEDULES_FOLDER, dump_schedule, write_schedule
    from edgesim.storage.files import make_folder, write_or_save
    from edgesim.storage.output_folder import add_output

    def write(place: Path) -> None:
        if place.parent != folder:
            write_schedule(place, schedule)
            return
        with add_output(folder, name, SCHEDULES_FOLDER) as file:
            dump_schedule(file, schedule)

    make_folder(folder)
    write_or_save(folder / name, write)


def _unlimited(names: Iterable[str]) -> str:
    """Tell which solvers no time limit ends; nothing if there are none."""
    from solvers.registry import ALGORITHMS, OWN

    found = [name for name in names if not ALGORITHMS.get(name, OWN).limited]
    if not found:
        return ""
    return f"--time-limit did not limit {', '.join(found)}: baselines take none"


def _table(problem: Problem, results: Iterable[Result]) -> str:
    lines = [f"{'solver':<22}{'served':>8}{'bound':>8}{'gap':>8}{'time':>10}  status"]
    lines += [
        f"{shortened(result.schedule.solver, 21):<22}"
        f"{result.served:>8}{result.bound:>8}"
        f"{result.gap:>8.1%}{result.runtime_s:>8.3f} s  {result.status}"
        for result in results
    ]
    lines.append(f"of {len(problem.users)} users")
    return "\n".join(lines)
