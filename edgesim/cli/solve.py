"""``edgesim solve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from solvers import Problem, Result


def solve(
    instance: Annotated[Path, typer.Argument(help="An instance file (JSON).")],
    solver: Annotated[
        str, typer.Option(help="One solver, or several with commas between.")
    ],
    out: Annotated[
        Path,
        typer.Option(help="The schedule; with several solvers a folder of NAME.json."),
    ],
    uplink: Annotated[
        str, typer.Option(help="upfront, static or dynamic.")
    ] = "dynamic",
    time_limit: Annotated[
        float | None, typer.Option(help="Limit of ilp and local-search, in seconds.")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Limit of local-search.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of random and local-search.")
    ] = 0,
    mip: Annotated[str, typer.Option(help="Engine of ilp: highs or cbc.")] = "highs",
) -> None:
    """Schedule one instance and write what comes out."""
    import solvers
    from edgesim.cli.options import one_of, positive, solver_names, uplink_name
    from edgesim.cli.progress import progress
    from edgesim.errors import InputError
    from edgesim.files import keep_inputs, make_folder
    from edgesim.instances import read_instance, write_schedule

    names = solver_names("--solver", solver)
    discipline = uplink_name("--uplink", uplink)
    limit_s = positive("--time-limit", time_limit)
    engine = one_of("--mip", mip, solvers.MIP_ENGINES)
    keep_inputs(out, instance)
    problem = read_instance(instance)
    results = []
    with progress(problem.name) as advance:
        for number, name in enumerate(names):
            advance(number, len(names))
            try:
                result = solvers.solve(
                    problem,
                    name,
                    uplink=discipline,
                    time_limit_s=limit_s,
                    seed=seed,
                    mip=engine,
                    iterations=iterations,
                )
            except solvers.RefusalError as refusal:
                raise InputError(instance, str(refusal)) from None
            results.append(result)
    if len(names) == 1:
        write_schedule(out, results[0].schedule)
    else:
        make_folder(out)
        for name, result in zip(names, results, strict=True):
            write_schedule(out / f"{name}.json", result.schedule)
    typer.echo(_table(problem, results))


def _table(problem: Problem, results: list[Result]) -> str:
    lines = [f"{'solver':<22}{'served':>8}{'bound':>8}{'gap':>8}{'time':>10}  status"]
    lines += [
        f"{result.schedule.solver:<22}{result.served:>8}{result.bound:>8}"
        f"{result.gap:>8.1%}{result.runtime_s:>8.3f} s  {result.status}"
        for result in results
    ]
    lines.append(f"of {len(problem.users)} users")
    return "\n".join(lines)
