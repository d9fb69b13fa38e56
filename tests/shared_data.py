"""Public data beside the repository: tests that need a file skip without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REQUIRE = "EDGESIM_REQUIRE_SHARED_DATA"


def require_shared(name: str) -> Path:
    """Find a file of the shared data, or skip the test that asks for it.

    Parameters
    ----------
    name
        Path within ``../shared/data`` (relative to the repository's root).

    Notes
    -----
    With the environment variable ``EDGESIM_REQUIRE_SHARED_DATA`` set, a missing file
    fails the test instead.
    """
    path = SHARED_DATA / name
    if not path.is_file():
        message = f"../shared/data/{name} is not there"
        if os.environ.get(REQUIRE):
            pytest.fail(f"{message}, and {REQUIRE} is set")
        pytest.skip(message)
    return path
