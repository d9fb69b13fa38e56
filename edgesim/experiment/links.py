"""Placement of users in the cell, and the losses of their links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesim import radio

Floats = NDArray[np.float64]


def place_users(
    cell: radio.CellSpec,
    requests: Mapping[str, NDArray[Any]],
    rng: np.random.Generator,
    users: int | None = None,
) -> tuple[Floats, NDArray[Any]]:
    """Place the users of some requests, and draw the shadowing of each place.

    A user keeps its place and its shadowing. If the requests state places, those are
    used: 4 bytes per request are held in memory, and about 100 while they are sorted.

    Parameters
    ----------
    cell
        The cell and its channel.
    requests
        Columns ``user`` and, if places are stated, ``x_m`` and ``y_m``.
    rng
        Draws places, line of sight and shadowing.
    users
        Number of users to place; those of the requests if not given.

    Returns
    -------
    mean_snr_db, place
        SNR averaged over fading of each place, and the place of each request.
    """
    if "x_m" in requests:
        stated = np.stack([requests[name] for name in ("user", "x_m", "y_m")])
        places, place_of_request = np.unique(stated, axis=1, return_inverse=True)
        x_m, y_m = places[1], places[2]
        place: NDArray[Any] = place_of_request.astype(np.int32)
    elif users is None:
        present, place = np.unique(requests["user"], return_inverse=True)
        x_m, y_m = radio.place_users(len(present), cell, rng)
    else:
        x_m, y_m = radio.place_users(users, cell, rng)
        place = requests["user"]
    loss_db = radio.path_loss_db(np.hypot(x_m, y_m), cell, rng)
    return radio.mean_snr_db(loss_db, cell), place
