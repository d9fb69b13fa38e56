"""``edgesim profile``: measure, merge and show device profiles, find shared blocks."""

from __future__ import annotations

import typer

from edgesim.cli.command import command
from edgesim.cli.profile_campaign import campaign
from edgesim.cli.profile_measure import measure
from edgesim.cli.profile_merge import merge
from edgesim.cli.profile_sharing import sharing
from edgesim.cli.profile_show import show
from edgesim.cli.profile_variants import variants

app = typer.Typer(
    help="Measure, merge and show device profiles; find what checkpoints share.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("measure", cls=command(pattern="blocks", block_of="blocks"))(measure)
app.command("merge", cls=command())(merge)
app.command("show", cls=command(profiles="out", path="out"))(show)
app.command("sharing", cls=command(profile="like", path="picture"))(sharing)
app.command("variants", cls=command())(variants)
app.command("campaign", cls=command())(campaign)
