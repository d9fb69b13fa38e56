"""``edgesim profile merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def merge(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Profiles (JSON) measured on one machine."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The merged profile (.json).")],
    name: Annotated[
        str | None, typer.Option(help="Of the profile [--out without .json].")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="What readers must know of these numbers.")
    ] = None,
) -> None:
    """Merge profiles of separate runs: medians of the runs, and their spread."""
    from edgesim.errors import InputError, short
    from edgesim.library.profile_text import run_labels, tables
    from edgesim.profile.file import read_profile, write_profile
    from edgesim.profile.merge import merge_profiles
    from edgesim.profile.summary import tiers_of
    from edgesim.storage.files import is_file, keep_inputs

    if out.suffix != ".json" or out.is_dir():
        raise InputError(
            "--out", f"must be a file ending in .json, found {short(str(out))}"
        )
    for option, value in (("--name", name), ("--note", note)):
        if value is not None and not value.strip():
            raise InputError(option, "must not be empty")
    run_labels(files)  # refuses duplicate files
    keep_inputs(out, *(Path(file) for file in files if is_file(Path(file))))
    runs = {file: read_profile(file) for file in files}
    merged = merge_profiles(runs, name or out.stem, note)
    for line in merged.left_out:
        say(f"warning: {line}", err=True)
    write_profile(out, merged.profile)
    say(tables(merged.profile, tiers_of(merged.profile)))
