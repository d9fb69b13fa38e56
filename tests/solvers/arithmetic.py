"""The timing rules once more, straight from their definitions.

Nothing here uses the library's tables or timing: blocks are sets of names, uploads are
simulated one after the other. Slow, short and easy to check by eye.
"""

from __future__ import annotations

from collections.abc import Iterator

from solvers import Problem, User
from solvers.tolerance import TIME_TOLERANCE_S

# A model's name and the users of one batch.
NamedRound = tuple[str, tuple[User, ...]]


def loads_s(problem: Problem, rounds: list[NamedRound]) -> list[float]:
    """Load time of each round: blocks that the model before does not hold."""
    there: set[str] = set()
    if problem.resident_model is not None:
        there = set(problem.models[problem.resident_model].blocks)
    result = []
    for model, _ in rounds:
        needed = set(problem.models[model].blocks)
        result.append(sum(problem.blocks[b].load_s for b in sorted(needed - there)))
        there = needed
    return result


def upload_s(problem: Problem, user: User) -> float:
    """Upload time at the whole band."""
    return user.input_bits / user.spectral_efficiency / problem.bandwidth_hz


def uploaded_s(problem: Problem, users: list[User]) -> float:
    """When a band that serves whoever is there has carried all uploads."""
    now = 0.0
    for user in sorted(users, key=lambda user: user.release_s):
        now = max(now, user.release_s) + upload_s(problem, user)
    return now


def starts_s(
    problem: Problem, rounds: list[NamedRound], uplink: str
) -> list[float] | None:
    """Compute starts, earliest (latest for ``static``); None if not feasible."""
    if uplink == "static":
        return _latest_if_feasible(problem, rounds)
    load, compute, deadline = costs(problem, rounds)
    everybody = [user for _, users in rounds for user in users]
    sent: list[User] = []
    free = uploaded_s(problem, everybody) if uplink == "upfront" else 0.0
    starts = []
    for r, (_, users) in enumerate(rounds):
        sent += users
        ready = 0.0 if uplink == "upfront" else uploaded_s(problem, sent)
        starts.append(max(free + load[r], ready))
        free = starts[r] + compute[r]
        if free > deadline[r] + TIME_TOLERANCE_S:
            return None
    return starts


def costs(
    problem: Problem, rounds: list[NamedRound]
) -> tuple[list[float], list[float], list[float]]:
    """Load time, compute time and earliest deadline of each round."""
    compute = [problem.models[m].latency_s[len(users) - 1] for m, users in rounds]
    deadline = [min(user.deadline_s for user in users) for _, users in rounds]
    return loads_s(problem, rounds), compute, deadline


def latest_starts_s(problem: Problem, rounds: list[NamedRound]) -> list[float]:
    """Latest compute starts that deadlines and later rounds allow, maybe negative."""
    load, compute, deadline = costs(problem, rounds)
    starts = [0.0] * len(rounds)
    until = float("inf")
    for r in reversed(range(len(rounds))):
        starts[r] = min(deadline[r], until) - compute[r]
        until = starts[r] - load[r]
    return starts


def _latest_if_feasible(
    problem: Problem, rounds: list[NamedRound]
) -> list[float] | None:
    starts = latest_starts_s(problem, rounds)
    if rounds and (
        starts[0] < loads_s(problem, rounds)[0] - TIME_TOLERANCE_S or min(starts) <= 0
    ):
        return None
    if band_share(problem, rounds, starts) > 1 + 1e-9:
        return None
    return starts


def band_share(
    problem: Problem, rounds: list[NamedRound], starts: list[float]
) -> float:
    """Share of the band that constant bands until the compute starts take."""
    return sum(
        upload_s(problem, user) / start
        for (_, users), start in zip(rounds, starts, strict=True)
        for user in users
    )


def may_batch(problem: Problem, model: str, size: int) -> bool:
    """Whether a batch of this size is measured and fits in memory."""
    entry = problem.models[model]
    if size > len(entry.latency_s):
        return False
    weights = sum(problem.blocks[block].bytes for block in entry.blocks)
    activations = entry.activation_bytes[size - 1] if entry.activation_bytes else 0
    limit = problem.gpu_memory_bytes
    return limit is None or weights + activations <= limit


def sequences(problem: Problem, waiting: tuple[User, ...]) -> Iterator[list]:
    """Yield every sequence of rounds of some of the users, the empty one included."""
    yield []
    for choice in range(1, 1 << len(waiting)):
        batch = tuple(u for i, u in enumerate(waiting) if choice >> i & 1)
        model = batch[0].model
        if any(user.model != model for user in batch):
            continue
        if not may_batch(problem, model, len(batch)):
            continue
        rest = tuple(u for i, u in enumerate(waiting) if not choice >> i & 1)
        for tail in sequences(problem, rest):
            yield [(model, batch), *tail]
