"""What the requests that were not in time were lost to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesim.engine.policies.follow import NOT_SCHEDULED
from edgesim.engine.records import (
    DROPPED,
    IN_TIME,
    NEVER_FITS,
    NO_LINK,
    QUEUE_FULL,
    REASONS,
    Floats,
    Ints,
    RequestLog,
)
from edgesim.measures.account import Account
from edgesim.storage.column_files import IN_MEMORY_ROWS, blocks_of
from solvers.tolerance import TIME_TOLERANCE_S

LINK, MEMORY, QUEUE, POLICY = "link", "memory", "queue", "policy"
UPLOAD, GPU = "upload", "GPU"
CAUSES = (LINK, MEMORY, UPLOAD, GPU, QUEUE, POLICY)
"""No link, more memory than there is, no time for the upload or for the GPU after it,
a full queue, and what a policy turns away for a reason of its own."""

Flags = NDArray[np.bool_]


def losses(account: Account, start_s: float = 0.0) -> dict[str, int]:
    """Count the requests that were not in time, by what they were lost to.

    A request is lost to the GPU if loading and running its model alone takes longer
    than the request may. Otherwise, one whose input arrived early enough for that is
    lost to the GPU, and one whose input arrived later, to the longer of the upload,
    with its wait for spectrum, and the GPU; one whose input did not arrive, to its
    upload. One that a plan leaves out, though it could still have been served after all
    others, is left out by choice; any other is lost to whichever would be in use for
    longer if it were served too, the band or the GPU. O(n).

    Parameters
    ----------
    account
        The run.
    start_s
        Requests that arrive earlier are left out.

    Returns
    -------
    dict
        Of ``CAUSES``, those that occurred, in that order.
    """
    counts = np.zeros(len(CAUSES), dtype=np.int64)
    alone_s = _alone_s(account)
    for rows in blocks_of(len(account.run.requests.outcome), IN_MEMORY_ROWS):
        requests = account.run.requests.rows(rows)
        lost = np.flatnonzero(
            (requests.outcome != IN_TIME) & (requests.arrival_s >= start_s)
        )
        causes = _causes(account, requests.rows(lost), rows.start + lost, alone_s)
        counts += np.bincount(causes, minlength=len(CAUSES))
    return {
        cause: count
        for cause, count in zip(CAUSES, counts.tolist(), strict=True)
        if count
    }


def _causes(account: Account, lost: RequestLog, number: Ints, alone_s: Floats) -> Ints:
    """Say what each of some lost requests, given with their numbers, was lost to."""
    alone_s = alone_s[lost.model]
    arrived = ~np.isnan(lost.upload_end_s)
    upload_s = lost.upload_end_s - lost.arrival_s
    possible = alone_s <= lost.deadline_s - lost.arrival_s + TIME_TOLERANCE_S
    early = lost.upload_end_s + alone_s <= lost.deadline_s + TIME_TOLERANCE_S
    # A GPU that computed nothing has lost nothing that it was given time for.
    idle = account.schedule is None and not len(account.run.rounds.model)
    chosen, upload_longer = _left_out(account, lost, number, alone_s)
    by_gpu = ~possible | (arrived & (early | (upload_s < alone_s)))
    causes: Ints = np.select(
        [
            _dropped_for(account, lost, NO_LINK),
            _dropped_for(account, lost, NEVER_FITS) | np.isinf(alone_s),
            _dropped_for(account, lost, QUEUE_FULL),
            chosen | (arrived & possible & idle),
            by_gpu,
            _dropped_for(account, lost, NOT_SCHEDULED) & ~upload_longer,
            arrived | _dropped_for(account, lost, NOT_SCHEDULED, *REASONS),
        ],
        [
            CAUSES.index(cause)
            for cause in (LINK, MEMORY, QUEUE, POLICY, GPU, GPU, UPLOAD)
        ],
        CAUSES.index(POLICY),
    )
    return causes


def lost_by(counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Give the losses of each solver or policy as a summary has them: ``lost_to``.

    Nothing if no request was lost. Causes are in the order of ``CAUSES``.
    """
    if not any(sum(of.values()) for of in counts.values()):
        return {}
    return {
        "lost_to": {
            name: {cause: of[cause] for cause in CAUSES if of.get(cause)}
            for name, of in counts.items()
        }
    }


def _alone_s(account: Account) -> Floats:
    """Time to load and run each model for one request, nothing being resident."""
    tables = account.tables
    return np.array(
        [
            tables.load_s(None, model) + float(latency_s[1])
            for model, latency_s in enumerate(tables.latency_s)
        ]
    )


def _dropped_for(account: Account, lost: RequestLog, *reasons: str) -> Flags:
    codes = [
        DROPPED + number
        for number, reason in enumerate(account.run.reasons)
        if reason in reasons
    ]
    return np.isin(lost.outcome, codes)


def _left_out(
    account: Account, lost: RequestLog, number: Ints, alone_s: Floats
) -> tuple[Flags, Flags]:
    """Compare what a plan left out with what it used.

    Returns
    -------
    chosen, upload_longer
        Whether each lost request was left out of the plan though it could be served
        after all others, and whether the band would be in use for longer than the GPU
        if it were served too.
    """
    requests, rounds = account.run.requests, account.run.rounds
    if account.schedule is None:
        none = np.zeros(len(number), dtype=np.bool_)
        return none, none
    demand_s = account.tables.demand_s
    band_s = float(demand_s[requests.round >= 0].sum())
    gpu_s = float(rounds.load_s.sum() + rounds.compute_s.sum())
    there_s = np.maximum(lost.arrival_s, band_s) + demand_s[number]
    end_s = np.maximum(there_s, rounds.end_s.max(initial=0.0)) + alone_s
    return (
        (end_s <= lost.deadline_s) & _dropped_for(account, lost, NOT_SCHEDULED),
        band_s + demand_s[number] >= gpu_s + alone_s,
    )
