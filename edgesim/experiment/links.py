"""Where users are in the cell, and what their links lose on the way."""

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

    A user keeps its place and its shadowing. Where the requests state places, those are
    taken: 4 bytes a request are held in memory, and some 100 while they are sorted.

    Parameters
    ----------
    cell
        The cell and its channel.
    requests
        Columns ``user`` and, where places are stated, ``x_m`` and ``y_m``.
    rng
        Draws places, line of sight and shadowing.
    users
        How many users to place, by number; those of the requests if not given.

    Returns
    -------
    mean_snr_db, place
        SNR averaged over fading of each place, and the place of each request.
    """
    if "x_m" in requests:
        stated = np.stack([requests[name] for name in ("user", "x_m", "y_m")])
        places, of = np.unique(stated, axis=1, return_inverse=True)
        x_m, y_m = places[1], places[2]
        place: NDArray[Any] = of.astype(np.int32)
    elif users is None:
        present, place = np.unique(requests["user"], return_inverse=True)
        x_m, y_m = radio.place_users(len(present), cell, rng)
    else:
        x_m, y_m = radio.place_users(users, cell, rng)
        place = requests["user"]
    loss_db = radio.path_loss_db(np.hypot(x_m, y_m), cell, rng)
    return radio.mean_snr_db(loss_db, cell), place
