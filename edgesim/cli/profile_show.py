"""``edgesim profile show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def show(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="A profile (JSON) or the name of a shipped one; several files are "
            "separate runs, and are compared.",
        ),
    ],
    tier: Annotated[
        str | None,
        typer.Option(help="Only loads from pinned, pageable or disk [all there are]."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also a picture (png, pdf, svg): load against compute and bytes."
        ),
    ] = None,
) -> None:
    """Print the contents of device profiles, and optionally draw them."""
    from typing import cast, get_args

    from edgesim.cli.options import one_of
    from edgesim.errors import InputError
    from edgesim.library.profile_text import compare, describe, run_labels
    from edgesim.profile.file import read_profile
    from edgesim.profile.summary import tiers_of
    from edgesim.profile.values import Tier
    from edgesim.storage.files import is_file, keep_inputs

    if tier is not None:
        one_of("--tier", tier, get_args(Tier))
    if out is not None:
        from edgesim.plotting.style import check_picture

        check_picture(out)
        keep_inputs(out, *(Path(file) for file in files if is_file(Path(file))))
    profiles = {
        label: read_profile(file)
        for label, file in zip(run_labels(files), files, strict=True)
    }
    known = {held for profile in profiles.values() for held in tiers_of(profile)}
    held = [name for name in get_args(Tier) if name in known]
    if tier is not None and tier not in held:
        raise InputError(
            "--tier", f"must be a tier that is held ({', '.join(held)}), found {tier!r}"
        )
    tiers = cast("list[Tier]", held if tier is None else [tier])
    if out is not None:
        from edgesim.plotting.profile import profile_figure
        from edgesim.plotting.style import save

        save(profile_figure(profiles, tiers), out)
    parts = [
        describe(profile, tiers_of(profile) if tier is None else tiers)
        for profile in profiles.values()
    ]
    if len(profiles) > 1:
        parts.append(compare(profiles, tiers))
    say("\n\n".join(parts))
