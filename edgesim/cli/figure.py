"""``edgesim figure``."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgesim.cli.output import say
from edgesim.cli.own_code import OwnCode, Traceback
from edgesim.cli.scenario_options import (
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
)
from edgesim.cli.settings import Settings
from edgesim.errors import InputError

if TYPE_CHECKING:
    from edgesim.results.figure import Shard
    from edgesim.results.figure_source import FigureSource

_SHARD = re.compile(r"([0-9]+)/([0-9]+)")
_ANEW = "Compute all points, whatever is stored."


def figure(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FIGURE",
            help="A figure file (TOML), or a shipped one's name; with --vary a "
            "scenario [own-models with --profile, own-models-online with --policy].",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="Vary a parameter of a scenario: users=10:80:8 (both ends, how many; "
            ":log for a logarithmic axis), or KEY=a,b,c. Twice for two parameters.",
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
    measure: Annotated[
        str | None,
        typer.Option(help="Measure on the y axis (edgesim list measures)."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="Show differences: noshare (gains of sharing), best, or a solver."
        ),
    ] = None,
    relative: Annotated[
        bool, typer.Option("--relative", help="Differences in percent.")
    ] = False,
    as_map: Annotated[
        bool, typer.Option("--map", help="A heat map of two parameters.")
    ] = False,
    log: Annotated[
        str | None, typer.Option(metavar="x|y|xy", help="Logarithmic axes.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Repeats instead of the file's.")
    ] = None,
    seed: Seed = None,
    time_limit: TimeLimit = None,
    iterations: Iterations = None,
    settings: Settings = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Keep the figure as a file."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of data and pictures [beside the file, or "
            "results/figure-NAME]."
        ),
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", help="Formats of the picture: png,pdf,svg.")
    ] = "png",
    jobs: Annotated[
        int | None, typer.Option(help="Processes to use [one a core].")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Compute on a Dask cluster: address or file."
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="i/n", help="Compute and keep the i-th part of n."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write what shards have computed.")
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the points computed [.points beside the data]."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help=_ANEW)] = False,
    own_code: OwnCode = False,
    traceback: Traceback = False,
) -> None:
    """Vary one or two parameters; write NAME.csv and a picture.

    What was computed is kept: the same command goes on where it was stopped, and added
    values, solvers or repeats compute only what is missing.
    """
    chosen = chosen_options(locals())
    del traceback
    from edgesim.cli.chosen_figure import chosen_figure, own_models
    from edgesim.cli.ending import with_farewell
    from edgesim.cli.figure_errors import naming_options
    from edgesim.cli.options import picture_formats
    from edgesim.cli.progress import progress
    from edgesim.results.figure import Kept, run_figure
    from edgesim.results.provenance import assumed_text
    from edgesim.results.replaced import replaced_text

    wanted = picture_formats("--format", formats)
    part = None if shard is None else shard_of(shard)
    _refuse_both(
        {"--jobs": jobs, "--dask": dask},
        {"--merge": merge or None, "--shard": shard},
        {"--merge": merge or None, "--fresh": fresh or None},
        {"--merge": merge or None, "--dask": dask},
    )
    plot = {
        "measure": measure,
        "compare": compare,
        "relative": relative or None,
        "kind": "map" if as_map else None,
    }
    source = chosen_figure(
        own_models(profile, trace, policy, (*(settings or ()), *(vary or ())))
        if name is None
        else name,
        vary=vary or (),
        chosen=chosen,
        plot=plot,
        log=log,
        settings=settings or (),
        out=out,
    )
    if write is not None:
        source = _written(write, source, out)
    before = replaced_text([source.data, source.times, source.shown])

    kept_in = store or source.points
    reached: Kept | None = None
    doubtful: list[str] = []
    assumed: list[str] = []

    def advanced(done: int, total: int) -> None:
        nonlocal reached
        reached = Kept(done, total, kept_in)
        advance(done, total)

    def farewell() -> str:
        if reached is None:
            return "stopped"
        again = "the same command without --fresh" if fresh else "the same command"
        return f"stopped: {reached}; {again} goes on from there"

    with (
        with_farewell(farewell),
        naming_options(source, settings or (), plot, given_keys(chosen)),
        progress(source.stem) as advance,
    ):
        written = run_figure(
            source,
            workers=_workers(jobs, dask),
            own_code=own_code,
            formats=wanted,
            fresh=fresh,
            store=store,
            shard=part,
            merge=merge,
            done=advanced,
            stopped=lambda _kept: say(farewell(), err=True),
            warn=doubtful.append,
            assume=assumed.extend,
        )
    for doubt in doubtful:
        say(f"warning: {doubt}", err=True)
    if assumed:
        say(assumed_text(assumed))
    _report(source, written, before, part, kept_in)


def shard_of(text: str) -> Shard:
    """Read ``i/n``.

    Raises
    ------
    InputError
        If it is not of that form, or i does not lie between 1 and n.
    """
    from edgesim.results.figure import Shard

    found = _SHARD.fullmatch(text.strip())
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.parts:
        raise InputError(
            "--shard", f"must be i/n with i from 1 to n, such as 1/4, found {text!r}"
        )
    return shard


def _report(
    source: FigureSource,
    written: tuple[Path, ...],
    before: str,
    shard: Shard | None,
    kept_in: Path,
) -> None:
    """Say what was written, and what it replaces."""
    if shard is not None:
        say(
            f"part {shard.number} of {shard.parts} of {source.stem} is in {kept_in}; "
            f"--merge writes the figure once all parts are there"
        )
        return
    if before:
        say(before, err=True)
    for path in written:
        say(path)


def _workers(jobs: int | None, dask: str | None) -> AbstractContextManager[Any]:
    """Choose where points are computed."""
    from edgesim.experiment.executors import cores, processes

    if dask is not None:
        from edgesim.experiment.cluster import dask_cluster

        return dask_cluster(dask)
    wanted = cores() if jobs is None else jobs
    return nullcontext() if wanted == 1 else processes(wanted)


def _refuse_both(*pairs: dict[str, Any]) -> None:
    for pair in pairs:
        given = [option for option, value in pair.items() if value is not None]
        if len(given) > 1:
            raise InputError(given[0], f"does not go together with {given[1]}")


def _written(file: Path, source: FigureSource, out: Path | None) -> FigureSource:
    """Write the figure as a file, beside which its data go as if it were read.

    Raises
    ------
    InputError
        If another figure stands there.
    """
    from dataclasses import replace

    from edgesim.results.figure_file import keep_figure
    from edgesim.results.figure_source import open_figure

    if file.suffix != ".toml":
        raise InputError("--write", f"must end in .toml, found {str(file)!r}")
    keep_figure(file, source.figure, source.scenario_file)
    kept = open_figure(file, out)
    return replace(kept, from_file=False, typed=source.typed)
