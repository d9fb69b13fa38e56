"""Options that replace values of a scenario: what each command was given of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import typer

from edgesim.cli import app
from edgesim.cli.figure import figure
from edgesim.cli.live import live
from edgesim.cli.run import run
from edgesim.cli.scenario_options import OPTIONS, chosen_options

# What a live run sets itself, or cannot do.
NOT_LIVE = {"--repeats", "--solver", "--time-limit", "--iterations", "--overlap"}
NOT_LIVE |= {"--deadline"}


@pytest.mark.parametrize(
    ("command", "without"), [(run, set()), (figure, set()), (live, NOT_LIVE)]
)
def test_each_option_is_found_under_the_name_of_its_parameter(
    command: Callable[..., None], without: set[str]
) -> None:
    """One that is not found would be passed over in silence."""
    built: Any = typer.main.get_command(app)
    options = {one.name: one.opts[0] for one in built.commands[command.__name__].params}
    given = {name: o for name, o in options.items() if o in OPTIONS.values()}
    assert set(given.values()) == set(OPTIONS.values()) - without
    others = dict.fromkeys(set(options) - set(given), "of another option")
    assert chosen_options({**given, **others}) == {
        option: None if option in without else option for option in OPTIONS.values()
    }
