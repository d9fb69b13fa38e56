"""``edgesim profile campaign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def campaign(
    file: Annotated[
        str,
        typer.Argument(
            help="A campaign file (TOML) or the name of a shipped one, such as gpu."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the results; {out} in the file.")
    ],
    device: Annotated[
        str, typer.Option(help="cuda:N or cpu; {device} in the file.")
    ] = "cuda:0",
    time_limit: Annotated[
        float | None,
        typer.Option(
            help="End after this many seconds; a job then has 10 more to clean up."
        ),
    ] = None,
    own_code: Annotated[
        bool,
        typer.Option("--own-code", help="Allow jobs that run code of your own."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the commands, run nothing.")
    ] = False,
) -> None:
    """Run a list of jobs, the most valuable first, and keep each result.

    Run again, it resumes with the jobs that are not done.
    """
    from edgesim.campaign.runner import check_own_code, listing, run_tasks
    from edgesim.campaign.spec import locate_campaign, read_campaign, tasks_of
    from edgesim.campaign.state import locked, open_state
    from edgesim.cli.options import positive
    from edgesim.storage.files import sha256

    limit_s = positive("--time-limit", time_limit)
    path = locate_campaign(file)
    chosen = read_campaign(path)
    tasks = tasks_of(chosen, device=device, out=out)
    if dry_run:
        say("\n".join(listing(tasks)))
        return
    check_own_code(tasks, allowed=own_code)
    with locked(out):
        state = open_state(
            out, campaign=chosen.name, file_sha256=sha256(path), device=device
        )
        done = run_tasks(tasks, out, state, time_limit_s=limit_s, say=say)
    if not done:
        raise typer.Exit(1)
