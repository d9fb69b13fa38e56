"""Find what a page is to show, and write it."""

from __future__ import annotations

from pathlib import Path

from edgesim.errors import InputError
from edgesim.report.figure_page import figure_page
from edgesim.report.run_page import run_page
from edgesim.results.replaced import PAGE, RUN_FOLDER
from edgesim.storage.file_kinds import PAGE as PAGE_KIND
from edgesim.storage.files import is_file, keep_inputs, write_whole
from edgesim.storage.output_folder import add_output

_FIGURE_SUFFIXES = (".toml", ".csv")


def write_report(place: Path, out: Path | None = None) -> Path:
    """Write the page of a run or of a figure.

    Parameters
    ----------
    place
        Folder of a run; a figure's ``NAME.toml`` or ``NAME.csv``, or a folder that
        holds exactly one.
    out
        The page; if not given, ``report.html`` in a run's folder, ``NAME.html`` beside
        a figure.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If there is neither run nor figure, a file is damaged, or the page cannot be
        written.
    """
    if is_run(place):
        page = place / PAGE if out is None else out
        read = [path for path in place.rglob("*") if path != place / PAGE]
        html = run_page(place)
    else:
        stem = _figure(place)
        page = stem.with_name(f"{stem.name}.html") if out is None else out
        read = [stem.with_name(f"{stem.name}{suffix}") for suffix in _FIGURE_SUFFIXES]
        html = figure_page(stem)
    keep_inputs(page, *read)
    if page == place / PAGE and is_run(place):
        writing = add_output(place, PAGE, RUN_FOLDER)
    else:
        writing = write_whole(page, replaces=PAGE_KIND)
    with writing as file:
        file.write(html)
    return page


def is_run(place: Path) -> bool:
    """Whether a folder holds a run."""
    return is_file(place / "summary.json") or is_file(place / "run.json")


def _figure(place: Path) -> Path:
    """Find a figure's path without suffix."""
    if is_file(place):
        if place.suffix not in _FIGURE_SUFFIXES:
            raise InputError(
                place, "must be the folder of a run, or a figure's NAME.toml"
            )
        return place.with_suffix("")
    if not place.is_dir():
        raise InputError(place, "no such folder or file")
    found = sorted(
        path.with_suffix("")
        for path in place.glob("*.toml")
        if is_file(path.with_suffix(".csv"))
    )
    if not found:
        raise InputError(
            place,
            "holds no run (summary.json) and no figure (NAME.toml with NAME.csv)",
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            place, f"holds several figures ({names}); name one: {found[0]}.toml"
        )
    return found[0]
