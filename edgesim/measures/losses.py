"""What requests were lost to, where none was served in time."""

from __future__ import annotations

import math
from collections import Counter

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
)
from edgesim.measures.account import Account
from solvers.tolerance import TIME_TOLERANCE_S

LINK, MEMORY, QUEUE, POLICY = "link", "memory", "queue", "policy"
UPLOAD, GPU = "upload", "GPU"
CAUSES = (LINK, MEMORY, UPLOAD, GPU, QUEUE, POLICY)
"""No link, more memory than there is, no time for the upload or for the GPU after it,
a full queue, and what a policy turns away for a reason of its own."""

_BY_REASON = {NO_LINK: LINK, NEVER_FITS: MEMORY, QUEUE_FULL: QUEUE}


def losses(account: Account, start_s: float = 0.0) -> dict[str, int]:
    """Count the requests that were not in time, by what they were lost to.

    A request whose input arrived is lost to the GPU. One whose input did not is lost to
    its upload, or to the GPU if loading and running its model alone takes longer than
    the request may. One that a plan leaves out is lost to whichever of the two takes
    longer alone. O(n).

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
    requests, tables = account.run.requests, account.tables
    alone_s = [
        tables.load_s(None, model) + float(latency_s[1])
        for model, latency_s in enumerate(tables.latency_s)
    ]
    upload_s = None if account.schedule is None else tables.demand_s
    there = ~np.isnan(requests.upload_end_s)
    # A GPU that computed nothing has lost nothing that it was given time for.
    idle = not len(account.run.rounds.model)
    counts: Counter[str] = Counter()
    for number in np.flatnonzero(
        (requests.outcome != IN_TIME) & (requests.arrival_s >= start_s)
    ).tolist():
        code = int(requests.outcome[number])
        reason = account.run.reasons[code - DROPPED] if code >= DROPPED else ""
        gpu_s = alone_s[requests.model[number]]
        may_take_s = requests.deadline_s[number] - requests.arrival_s[number]
        if reason in _BY_REASON:
            cause = _BY_REASON[reason]
        elif math.isinf(gpu_s):
            cause = MEMORY
        elif gpu_s + _upload_s(upload_s, number) <= may_take_s and (
            reason == NOT_SCHEDULED or (upload_s is None and idle and there[number])
        ):
            cause = POLICY
        elif there[number] or gpu_s > may_take_s + TIME_TOLERANCE_S:
            cause = GPU
        elif reason == NOT_SCHEDULED and upload_s is not None:
            cause = UPLOAD if upload_s[number] >= gpu_s else GPU
        else:
            cause = UPLOAD if reason in REASONS else POLICY
        counts[cause] += 1
    return {cause: counts[cause] for cause in CAUSES if counts[cause]}


def _upload_s(upload_s: NDArray[np.float64] | None, number: int) -> float:
    return 0.0 if upload_s is None else float(upload_s[number])
