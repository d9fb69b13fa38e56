"""``edgesim compile``."""

from __future__ import annotations

import time


def compile_() -> None:
    """Compile the loops of local-search, dp, branch and bounds, once an installation.

    They need numba. Without them searches find the same, several times as slowly.
    """
    import solvers
    from edgesim.cli.output import say
    from edgesim.errors import InputError

    started_s = time.monotonic()

    def tell(name: str) -> None:
        say(f"{name}: compiling (all loops take up to two minutes)", err=True)

    try:
        found = solvers.compile_loops(tell)
    except solvers.ArgumentError as error:
        raise InputError("edgesim compile", str(error)) from None
    for name, outcome in found.items():
        if outcome == "not kept":
            raise InputError(
                name,
                "compiled loops can be kept neither beside the package nor in your "
                "folder for caches; make one of them writable",
            )
        say(f"{name}: {'compiled' if outcome == 'compiled' else 'was compiled before'}")
    say(f"{time.monotonic() - started_s:.0f} s")
