"""``edgesim live-table``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def live_table(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folders of edgesim live; runs of one command are one case.",
        ),
    ],
    before: Annotated[
        str | None,
        typer.Option(help="The profile (JSON) that the runs were simulated with."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(help="The same, measured again after the runs: states the drift."),
    ] = None,
    tier: Annotated[
        str, typer.Option(help="Of the drift: pinned, pageable or disk.")
    ] = "pageable",
    out: Annotated[
        Path | None, typer.Option(help="Also a file for the table (.md).")
    ] = None,
) -> None:
    """Print how far the simulations of several live runs were, as one table."""
    from typing import cast, get_args

    from edgesim.cli.options import one_of
    from edgesim.errors import InputError, short
    from edgesim.live.table import read_cases, text
    from edgesim.profile.drift import drifts
    from edgesim.profile.file import read_profile
    from edgesim.profile.values import Tier
    from edgesim.storage.file_kinds import LIVE_TABLE
    from edgesim.storage.files import check_writable, keep_inputs, write_whole

    one_of("--tier", tier, get_args(Tier))
    if (before is None) != (after is None):
        given, other = (
            ("--before", "--after") if after is None else ("--after", "--before")
        )
        raise InputError(given, f"needs {other} too: the drift is between the two")
    if out is not None and (out.suffix != ".md" or out.is_dir()):
        raise InputError(
            "--out", f"must be a file ending in .md, found {short(str(out))}"
        )
    drift = []
    if before is not None and after is not None:
        drift = drifts(read_profile(before), read_profile(after), cast("Tier", tier))
    if out is not None:
        keep_inputs(out, *(folder / "live.json" for folder in folders))
        check_writable(out, LIVE_TABLE)
    found = text(read_cases(folders), drift)
    say(found)
    if out is not None:
        with write_whole(out) as file:
            file.write(f"{found}\n")
