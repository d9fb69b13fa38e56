"""Users of the family: who wants what, how much spectrum it takes, and by when.

Deadlines follow from a share of the users: about as much time as serving that share
would take, estimated roughly. What can really be served is left to the solvers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from solvers import Uplink, User
from tests.instances.draw import log_uniform, pick, short, uniform
from tests.instances.libraries import Library

# Spectral efficiencies of the CQI table 5.2.2.1-2 of 3GPP TS 38.214, in bit/s/Hz.
CQI_BIT_PER_S_PER_HZ = (
    *(0.1523, 0.2344, 0.377, 0.6016, 0.877, 1.1758, 1.4766, 1.9141),
    *(2.4063, 2.7305, 3.3223, 3.9023, 4.5234, 5.1152, 5.5547),
)

Deadlines = Literal["common", "own", "released"]


@dataclass(frozen=True)
class Load:
    """How much is asked of spectrum and GPU.

    Parameters
    ----------
    share
        Users that the time should roughly suffice for, between 0 and 1.
    spectrum_per_gpu
        Upload seconds at the whole band to GPU seconds of those users.
    deadlines
        One for all, each its own, or each its own after a release of its own.
    no_link
        Share of users without a link.
    """

    share: float
    spectrum_per_gpu: float
    deadlines: Deadlines = "common"
    no_link: float = 0.0


def draw_users(
    rng: np.random.Generator,
    library: Library,
    count: int,
    load: Load,
    uplink: Uplink,
    bandwidth_hz: float,
) -> tuple[User, ...]:
    """Draw the users of a problem; every model is wanted by at least one of them.

    Popularity follows Zipf's law over the models. Inputs are scaled so that uploads
    take ``load.spectrum_per_gpu`` as long as the GPU's work.
    """
    names = list(library.models)
    wanted = _wanted(rng, names, count)
    efficiency = [pick(rng, CQI_BIT_PER_S_PER_HZ[2:]) for _ in range(count)]
    bits = [log_uniform(rng, 0.4, 2.5) for _ in range(count)]
    gpu_s = _gpu_s(library, wanted, load.share)
    demands = sorted(b / e for b, e in zip(bits, efficiency, strict=True))
    least = sum(demands[: max(1, round(load.share * count))]) / bandwidth_hz
    spectrum_s = load.spectrum_per_gpu * gpu_s
    scale = spectrum_s / least
    horizon_s = _horizon_s(spectrum_s, gpu_s, uplink)
    linked = [rng.random() >= load.no_link for _ in range(count)]
    users = []
    for k in range(count):
        release_s, deadline_s = _window_s(rng, horizon_s, load.deadlines)
        users.append(
            User(
                id=f"u{k}",
                model=wanted[k],
                input_bits=short(bits[k] * scale),
                spectral_efficiency=efficiency[k] if linked[k] else 0.0,
                release_s=short(release_s),
                deadline_s=short(deadline_s),
            )
        )
    return tuple(users)


def _wanted(rng: np.random.Generator, names: list[str], count: int) -> list[str]:
    """One user a model, the others by popularity, in random order."""
    rank = rng.permutation(len(names))
    weights = [(1 + int(place)) ** -0.7 for place in rank]
    sums = np.cumsum(weights) / sum(weights)
    more = [
        min(int(np.searchsorted(sums, rng.random())), len(names) - 1)
        for _ in range(count - len(names))
    ]
    models = [*names, *(names[m] for m in more)]
    return [models[int(k)] for k in rng.permutation(count)]


def _gpu_s(library: Library, wanted: list[str], share: float) -> float:
    """GPU time of a share of the users, most popular models first, each block once."""
    left = max(1, round(share * len(wanted)))
    loaded: set[str] = set()
    total_s = 0.0
    for name, users in Counter(wanted).most_common():
        taken = min(users, left)
        model = library.models[name]
        total_s += sum(library.blocks[b].load_s for b in set(model.blocks) - loaded)
        loaded.update(model.blocks)
        total_s += _compute_s(model.latency_s, taken)
        left -= taken
        if not left:
            break
    return total_s


def _compute_s(latency_s: tuple[float, ...], users: int) -> float:
    """Least time to run so many inputs in batches."""
    least = [0.0]
    for n in range(1, users + 1):
        sizes = range(1, min(n, len(latency_s)) + 1)
        least.append(min(least[n - b] + latency_s[b - 1] for b in sizes))
    return least[users]


def _horizon_s(spectrum_s: float, gpu_s: float, uplink: Uplink) -> float:
    """Time for both: one after the other, side by side, or in between."""
    low_s, high_s = sorted((spectrum_s, gpu_s))
    overlapped = {"upfront": 0.0, "static": 0.5, "dynamic": 0.8}[uplink]
    return high_s + (1 - overlapped) * low_s


def _window_s(
    rng: np.random.Generator, horizon_s: float, deadlines: Deadlines
) -> tuple[float, float]:
    if deadlines == "common":
        return 0.0, horizon_s
    if deadlines == "own":
        return 0.0, horizon_s * uniform(rng, 0.6, 1.5)
    release_s = horizon_s * uniform(rng, 0.0, 1.0)
    return release_s, release_s + horizon_s * uniform(rng, 0.25, 0.8)
