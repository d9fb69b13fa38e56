"""What a next round may be, with users as bits of a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from solvers.core.tables import PlannedRound, Tables


class Batch(NamedTuple):
    """A round and its users as a bit mask: bit i is user ``tables.users[i]``."""

    planned: PlannedRound
    mask: int


def batches(tables: Tables, served: int) -> Iterator[Batch]:
    """Yield every batch of users that are not served, by model."""
    users = [int(k) for k in tables.users]
    for model in tables.active:
        bits = [
            i
            for i, k in enumerate(users)
            if tables.user_model[k] == model and not served >> i & 1
        ]
        latency = tables.latency_s[model]
        for choice in range(1, 1 << len(bits)):
            chosen = [bit for i, bit in enumerate(bits) if choice >> i & 1]
            if len(chosen) < len(latency) and np.isfinite(latency[len(chosen)]):
                planned = PlannedRound(model, tuple(users[bit] for bit in chosen))
                yield Batch(planned, sum(1 << bit for bit in chosen))
