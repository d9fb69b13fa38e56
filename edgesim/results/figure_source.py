"""A figure, and where it comes from and goes to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgesim.errors import InputError
from edgesim.experiment.figure import Figure, read_figure
from edgesim.shipped import locate

POINTS = ".points"
"""Folder of the stored points, beside the data."""


@dataclass(frozen=True)
class FigureSource:
    """A figure, and where it comes from and goes to.

    Parameters
    ----------
    figure
        The figure.
    where
        Its file, or what stands for it in messages.
    scenario_file
        Its scenario.
    folder, stem
        Where its data and pictures go, and their name without suffix.
    from_file
        Whether it was read from a file, which may name code of the user's own.
    typed
        Solvers and policies that the user typed nevertheless.
    """

    figure: Figure
    where: Path
    scenario_file: Path
    folder: Path
    stem: str
    from_file: bool = True
    typed: Collection[str] = ()

    @property
    def data(self) -> Path:
        """The table of its points."""
        return self.folder / f"{self.stem}.csv"

    @property
    def points(self) -> Path:
        """The folder of its stored points, unless another is asked for."""
        return self.folder / POINTS

    @property
    def file(self) -> Path:
        """The figure as a file beside its data."""
        return self.folder / f"{self.stem}.toml"

    @property
    def times(self) -> Path:
        """The table of run times."""
        return self.folder / f"{self.stem}.times.csv"

    @property
    def shown(self) -> Path:
        """The table of what the picture shows."""
        return self.folder / f"{self.stem}.shown.csv"


def open_figure(path_or_name: str | Path, out: Path | None = None) -> FigureSource:
    """Read a figure.

    Parameters
    ----------
    path_or_name
        A figure file, ``NAME.toml``, or the name of one that edgesim ships.
    out
        The folder of its data and pictures; by default that of its file, or for a
        shipped one ``results/figure-NAME``.

    Raises
    ------
    InputError
        For any error in the file.
    """
    path = locate("figure", path_or_name)
    if path.suffix != ".toml":
        raise InputError(path, "a figure's name must end in .toml")
    figure = read_figure(path)
    scenario_file = locate(
        "scenario", figure.scenario, beside=path, where=f"{path}: scenario"
    )
    shipped = path != Path(path_or_name)
    folder = out or (default_folder(path.stem) if shipped else path.parent)
    return FigureSource(figure, path, scenario_file, folder, path.stem)


def default_folder(name: str) -> Path:
    """Return where the data of a figure go that has no file."""
    return Path("results") / f"figure-{name}"
