"""Compute what is missing of a figure, and write its data and then its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from edgesim.errors import InputError, Parameter
from edgesim.experiment.figure import Figure
from edgesim.experiment.point import Point
from edgesim.experiment.store import Outcome, Store
from edgesim.experiment.sweep import Points, points_of, run_points
from edgesim.plotting.marks import Mark
from edgesim.plotting.style import Drawing, check_picture
from edgesim.plotting.sweep import plot_panels, plot_sweep
from edgesim.plotting.sweep_map import plot_map
from edgesim.results.figure_file import HEAD, check_figure_file, write_figure
from edgesim.results.figure_source import FigureSource, open_figure
from edgesim.results.figure_tables import rows_of, write_tables
from edgesim.results.pictures import (
    PictureError,
    known_formats,
    picture_files,
    write_pictures,
)
from edgesim.results.shown import (
    Outer,
    check_shown,
    frame_of,
    marks_of,
)
from edgesim.storage.file_kinds import FIGURE_TABLE
from edgesim.storage.files import check_replaceable, keep_inputs, make_folder
from edgesim.text import counted

Workers = AbstractContextManager[Executor | None]


class Shard(NamedTuple):
    """A part of the points of a figure: ``number`` of ``parts``, from 1."""

    number: int
    parts: int


class Kept(NamedTuple):
    """How far a figure came that was not finished.

    Attributes
    ----------
    done, total
        Number of points kept, and of all.
    folder
        The folder of the store.
    """

    done: int
    total: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.done} of {counted(self.total, 'point')} kept in {self.folder}"


def run_figure(
    figure: FigureSource | str | Path,
    *,
    workers: Workers | None = None,
    own_code: bool = False,
    formats: Iterable[str] = ("png",),
    fresh: bool = False,
    store: Path | None = None,
    shard: Shard | None = None,
    merge: bool = False,
    done: Callable[[int, int], None] | None = None,
    stopped: Callable[[Kept], None] | None = None,
    warn: Callable[[str], None] | None = None,
    assume: Callable[[Sequence[str]], None] | None = None,
) -> tuple[Path, ...]:
    """Compute what is missing of a figure, and write its data and then its picture.

    In a repeat, places, channels and windows of every value are drawn from common
    random numbers, so solvers and values differ in nothing else, unless the parameter
    says which requests there are, or changes the library that they are mapped to. The
    rows are the same wherever they are computed, except those of solvers that a time
    limit ends: these have it in the column ``time_limit_s``.

    Parameters
    ----------
    figure
        A figure, its file, or the name of one that edgesim ships.
    workers
        Context of an executor; by default points are computed in this process.
    own_code
        Whether solvers and policies of the user's own may run that the figure's files
        name.
    formats
        Formats of the picture: ``png``, ``pdf``, ``svg``.
    fresh
        Whether to compute everything, whatever is stored.
    store
        The folder in which points are kept; by default ``.points`` beside the data.
    shard
        The part of the points to compute and keep: nothing is written but the store.
    merge
        Whether to take every point from the store, and compute none.
    done
        Called with the number of points done and the total.
    stopped
        Called when this is interrupted, with what is kept.
    warn
        Called with what looks as if something else were meant; it is computed as it is.
    assume
        Called with the settings that no file states, a line each, if there are any.

    Returns
    -------
    data, *others
        ``NAME.csv``, ``NAME.times.csv``, ``NAME.shown.csv``, the pictures, and
        ``NAME.toml`` unless the figure is of that file; nothing for a shard.

    Raises
    ------
    PictureError
        When the picture cannot be drawn: then the data are written.
    InputError
        For any error in the figure or its scenario, and if a user's own solver or
        policy fails; then nothing is written, and the points that ended are kept.
    """
    source = figure if isinstance(figure, FigureSource) else open_figure(figure)
    formats = known_formats(formats)
    kept = Store(store or source.points, fresh=fresh and not merge)
    pictures = [source.folder / f for f in picture_files([source.stem], formats)]
    points = points_of(
        source.where,
        source.figure,
        source.scenario_file,
        own_code=own_code,
        from_files=source.from_file,
        typed=source.typed,
        store=kept,
    )
    names = tuple(dict.fromkeys(point.name for point in points.points))
    check_shown(
        str(source.where), source.figure, names, points.models, online=points.online
    )
    for file in (source.data, source.times, source.shown, *pictures):
        keep_inputs(file, *points.files)
    for table in (source.data, source.times, source.shown):
        check_replaceable(table, FIGURE_TABLE)
    for picture in pictures:
        check_picture(picture)
    keeps_file = check_figure_file(source.file, source.figure, source.where)
    wanted = points.points if shard is None else _part(points.points, shard)
    if merge:
        _check_complete(source, kept, wanted)
    computing = nullcontext() if workers is None or merge else workers
    outcomes = _computed(wanted, kept, computing, done, stopped)
    if warn is not None:
        for doubt in points.doubts:
            warn(str(doubt))
    if assume is not None and points.assumed:
        assume(points.assumed)
    if shard is not None:
        return ()
    make_folder(source.folder)
    kept_as: tuple[Path, ...] = ()
    if not keeps_file:
        write_figure(source.file, source.figure, source.scenario_file, HEAD)
        kept_as = (source.file,)
    return (*_write(source, points, outcomes, formats, pictures), *kept_as)


def _computed(
    points: Sequence[Point],
    store: Store,
    workers: Workers,
    done: Callable[[int, int], None] | None,
    stopped: Callable[[Kept], None] | None,
) -> dict[str, Outcome]:
    """Compute what the store has not; where that ends early, say what is kept."""
    try:
        with workers as executor:
            return run_points(points, store, executor, done)
    except InputError as error:
        if not store.added:
            raise
        reached = _reached(store, points)
        raise type(error)(*error.args[:-1], f"{error.args[-1]}; {reached}") from error
    except (KeyboardInterrupt, SystemExit):
        if stopped is not None:
            stopped(_reached(store, points))
        raise
    finally:
        store.close()


def _part(points: Sequence[Point], shard: Shard) -> tuple[Point, ...]:
    """Take every ``parts``-th point of each solver, so that no shard has all of one.

    Some take a thousand times as long as others.
    """
    if not 1 <= shard.number <= shard.parts:
        raise InputError(
            Parameter("shard"),
            f"must be i/n with i from 1 to n, found {shard.number}/{shard.parts}",
        )
    names = dict.fromkeys(point.name for point in points)
    number = {name: place for place, name in enumerate(names)}
    dealt = sorted(range(len(points)), key=lambda place: number[points[place].name])
    # In the order of the rows: those of one value share its inputs.
    taken = sorted(dealt[shard.number - 1 :: shard.parts])
    return tuple(points[place] for place in taken)


def _reached(store: Store, points: Sequence[Point]) -> Kept:
    keys = {point.key for point in points}
    return Kept(sum(key in store for key in keys), len(keys), store.folder)


def _check_complete(
    source: FigureSource, store: Store, points: Sequence[Point]
) -> None:
    """Refuse to merge before every point is there."""
    missing = [point for point in points if point.key not in store]
    if not missing:
        return
    first = missing[0]
    all_missing = len(missing) == len(points)
    why = (
        "there are points of another figure, of other inputs or another version of "
        "edgesim"
        if all_missing
        else f"the first is {first.where}, {first.name}"
    )
    if all_missing and not any(store.folder.glob("*")):
        why = "the folder is empty or not there"
    raise InputError(
        store.folder,
        f"{len(missing)} of the {counted(len(points), 'point')} of {source.where} are "
        f"missing: {why}; compute them with ",
        Parameter("shard"),
        " or without ",
        Parameter("merge"),
    )


def _write(
    source: FigureSource,
    points: Points,
    outcomes: Mapping[str, Outcome],
    formats: Sequence[str],
    pictures: Sequence[Path],
) -> tuple[Path, ...]:
    """Write the tables, then the picture."""
    figure, online = source.figure, points.online
    rows = rows_of(points.points, outcomes)
    marks = marks_of(figure, rows, online=online)
    write_tables(source, points, rows, marks)
    drawing = {source.stem: lambda: _draw(figure, marks, online=online)}
    failed = write_pictures(source.folder, drawing, formats)
    if failed is not None:
        raise PictureError(
            failed.where, f"{failed.what}; its data are in {source.data}"
        ) from failed.__cause__
    return source.data, source.times, source.shown, *pictures


def _draw(
    figure: Figure, marks: Mapping[Outer, Sequence[Mark]], *, online: bool
) -> Drawing:
    """Draw what a figure shows: one axes, panels, or maps."""
    frame = frame_of(figure, online=online)
    title = figure.title
    if figure.plot.kind == "map":
        rows = {value: of for value, of in marks.items() if value is not None}
        return plot_map(rows, frame, title=title)
    if figure.panel or figure.second is not None:
        outers = [outer for outer in marks if outer is not None]
        titles = map(str, outers) if figure.panel else frame.panel_titles(outers)
        panels = dict(zip(titles, marks.values(), strict=True))
        return plot_panels(panels, frame, title=title)
    return plot_sweep(marks.get(None, []), frame, title=title)
