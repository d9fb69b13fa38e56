"""``edgesim list``."""

from __future__ import annotations

from typing import Annotated

import typer

from edgesim.cli.output import say
from edgesim.errors import InputError

MODELS = "models"


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="scenarios, traces, profiles, figures, solvers, policies, measures, "
            "parameters or models.",
        ),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO",
            help="Whose models: a scenario file (TOML) or the name of a shipped one.",
        ),
    ] = None,
) -> None:
    """List what is shipped and what can be named, or the models of a scenario."""
    from edgesim.catalogue import KINDS, NOSHARE, about, names_of
    from edgesim.cli.options import one_of
    from edgesim.text import facts, table

    if kind is None:
        counts = [(one, f"{len(names_of(one))}") for one in KINDS]
        say("\n".join(table(("kind", "count"), counts)))
        say("edgesim list KIND tells more; edgesim list models SCENARIO")
        return
    one_of("KIND", kind, (*KINDS, MODELS))
    if kind == MODELS:
        if scenario is None:
            raise InputError(
                "SCENARIO", "is needed: whose models, as in edgesim list models campus"
            )
        say(_models(scenario))
        return
    if scenario is not None:
        raise InputError("SCENARIO", f"is for models, found {scenario!r} for {kind}")
    say("\n".join(facts(about(kind))))
    if kind == "policies":
        say(NOSHARE)


def _models(scenario: str) -> str:
    from edgesim.catalogue import models_of
    from edgesim.text import table

    rows = [
        (one.name, f"{one.bytes:,}", f"{one.blocks}", f"{one.shared_bytes:,}")
        for one in models_of(scenario)
    ]
    return "\n".join(table(("model", "bytes", "blocks", "shared bytes"), rows))
