"""``edgesim profile``: show device profiles."""

from __future__ import annotations

import typer

from edgesim.cli.profile_show import show

app = typer.Typer(
    help="Show device profiles.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("show")(show)
