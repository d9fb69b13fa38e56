"""Options that replace values of a scenario, in ``run`` and in ``figure``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from edgesim.errors import InputError

OPTIONS: Mapping[str, str] = {
    "run.repeats": "--repeats",
    "run.seed": "--seed",
    "run.solvers": "--solver",
    "run.uplink": "--uplink",
    "run.time_limit_s": "--time-limit",
    "run.iterations": "--iterations",
    "online.policies": "--policy",
    "online.uplink": "--uplink",
    "workload.trace": "--trace",
    "profile": "--profile",
    "gpu.memory_bytes": "--memory",
    "gpu.residency": "--residency",
    "gpu.overlap": "--overlap",
    "gpu.load_from": "--load-from",
    "workload.deadline_s": "--deadline",
    "cell.bandwidth_hz": "--bandwidth",
}
"""Keys of a scenario that options of their own set."""

TraceFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A trace (CSV) instead of the scenario's, or a shipped one's name.",
    ),
]
ProfileFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A profile (JSON) instead of the scenario's, or a shipped one's name.",
    ),
]
SolverNames = Annotated[
    str | None,
    typer.Option(help="Solvers instead of the scenario's: dp,mine:solve."),
]
PolicyNames = Annotated[
    str | None,
    typer.Option(help="Online policies instead of the scenario's: fcfs,mine:Mine."),
]
UplinkName = Annotated[
    str | None,
    typer.Option(help="upfront, static or dynamic; online fifo, edf or equal-share."),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="GPU memory: 1e9, 1GB or 24GiB."),
]
Residency = Annotated[
    str | None,
    typer.Option(
        help="Blocks that stay in GPU memory: cache (while it has room) or "
        "previous (those of the round before)."
    ),
]
Overlap = Annotated[
    bool | None,
    typer.Option("--overlap/--no-overlap", help="Load while a batch is computed."),
]
LoadFrom = Annotated[
    str | None,
    typer.Option(help="Where blocks are loaded from: pinned, pageable or disk."),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="One deadline for all requests of a plan: 0.5 or 500ms."
    ),
]
Bandwidth = Annotated[
    str | None,
    typer.Option(metavar="HZ", help="The cell's bandwidth: 20e6 or 20MHz."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the run.")]
TimeLimit = Annotated[
    float | None,
    typer.Option(help="Limit of branch, ilp and local-search, in seconds per plan."),
]
Iterations = Annotated[
    int | None, typer.Option(min=1, help="Limit of local-search, for each plan.")
]


def chosen_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each option of ``OPTIONS`` was given, None if it was not.

    Parameters
    ----------
    parameters
        A command's parameters by name, ``time_limit`` for ``--time-limit``: its
        ``locals()`` before it does anything. It need not have every option.
    """
    return {
        option: parameters.get(option.removeprefix("--").replace("-", "_"))
        for option in OPTIONS.values()
    }


def given_keys(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that were given, by the key that each sets.

    Parameters
    ----------
    chosen
        What each option was given, None if it was not.
    """
    return {key: one for key, one in OPTIONS.items() if chosen.get(one) is not None}


def option_values(
    scenario: Path, chosen: Mapping[str, Any], *, online: bool
) -> dict[str, Any]:
    """Check the options that were given, and map them to values by key path.

    Parameters
    ----------
    scenario
        For messages.
    chosen
        What each option of ``OPTIONS`` was given, None if it was not. Traces and
        profiles are files, and not among the values.
    online
        Whether the scenario serves requests as they come.

    Raises
    ------
    InputError
        Naming an option that does not apply, or what it was given and what is allowed.
    """
    special = _online(scenario, chosen) if online else _plan(scenario, chosen)
    values = {
        "run.repeats": chosen["--repeats"],
        "run.seed": chosen["--seed"],
        **_machine(chosen),
        **special,
    }
    return {key: value for key, value in values.items() if value is not None}


def _machine(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options about GPU and cell to the values they replace."""
    from edgesim.cli.options import byte_size, hertz, one_of
    from edgesim.profile.values import Tier
    from solvers import problem

    words = {
        "gpu.residency": ("--residency", get_args(problem.Residency)),
        "gpu.load_from": ("--load-from", get_args(Tier)),
    }
    found: dict[str, Any] = {"gpu.overlap": chosen["--overlap"]}
    if chosen["--memory"] is not None:
        found["gpu.memory_bytes"] = byte_size("--memory", chosen["--memory"])
    if chosen["--bandwidth"] is not None:
        found["cell.bandwidth_hz"] = hertz("--bandwidth", chosen["--bandwidth"])
    found |= {
        key: one_of(option, chosen[option], allowed)
        for key, (option, allowed) in words.items()
        if chosen[option] is not None
    }
    return found


def _plan(scenario: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options to the values they replace in a scenario that plans."""
    from edgesim.cli.options import positive, seconds, solver_names, uplink_name

    why = "is for scenarios with an [online] section, which this has not"
    _refuse(scenario, chosen, why, "--policy")
    solver, uplink = chosen["--solver"], chosen["--uplink"]
    return {
        "run.solvers": None if solver is None else solver_names("--solver", solver),
        "run.uplink": None if uplink is None else uplink_name("--uplink", uplink),
        "run.time_limit_s": positive("--time-limit", chosen["--time-limit"]),
        "run.iterations": chosen["--iterations"],
        "workload.deadline_s": seconds("--deadline", chosen["--deadline"]),
    }


def _online(scenario: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Map options to the values they replace in an online scenario."""
    from edgesim.cli.options import one_of, policy_names
    from edgesim.names import UPLINK_RULES

    why = "is for plans, and this scenario has an [online] section"
    odd = ("--solver", "--time-limit", "--iterations", "--deadline")
    _refuse(scenario, chosen, why, *odd)
    policy, uplink = chosen["--policy"], chosen["--uplink"]
    rules = UPLINK_RULES
    return {
        "online.policies": None if policy is None else policy_names("--policy", policy),
        "online.uplink": None if uplink is None else one_of("--uplink", uplink, rules),
    }


def _refuse(scenario: Path, chosen: Mapping[str, Any], why: str, *odd: str) -> None:
    """Refuse options that do not apply to a scenario of this kind."""
    for option in odd:
        if chosen[option] is not None:
            raise InputError(option, f"{why}: {scenario}")
