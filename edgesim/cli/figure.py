"""``edgesim figure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figure(
    file: Annotated[Path, typer.Argument(help="A figure file (TOML).")],
    jobs: Annotated[int, typer.Option(help="Processes to use.")] = 1,
) -> None:
    """Sweep one parameter; write NAME.csv and NAME.png beside NAME.toml."""
    from edgesim.cli.progress import progress
    from edgesim.results.figure import run_figure

    with progress(file.stem) as advance:
        data, picture = run_figure(file, jobs=jobs, done=advance)
    typer.echo(f"{data}\n{picture}")
