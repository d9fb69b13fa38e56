"""Problems for benchmarks: deep frozen bottoms, skewed popularity, any size."""

from __future__ import annotations

import numpy as np

from solvers import Block, Model, Problem, User

BLOCKS = 16
BLOCK_BYTES = 6_000_000
LOAD_RATE_BYTES_PER_S = 1e9


def campus_like(
    rng: np.random.Generator,
    *,
    users: int,
    models: int,
    deadline_s: float,
    bandwidth_hz: float = 20e6,
    clusters: int = 4,
    batch_limit: int = 16,
    blocks: int = BLOCKS,
) -> Problem:
    """Draw a bottom-layer sharing problem of a given size.

    Models take turns among the clusters; each keeps 6 to 15 of the 16 blocks of its
    base. Another number of blocks divides models of the same size: the same share of
    them is kept, rounded down. Latencies grow like the 0.9th power of the batch,
    popularity is Zipf.
    """
    block_bytes = BLOCK_BYTES * BLOCKS // blocks
    shared = {
        f"base{c}/{i}": Block(
            bytes=block_bytes, load_s=block_bytes / LOAD_RATE_BYTES_PER_S
        )
        for c in range(clusters)
        for i in range(blocks)
    }
    own: dict[str, Block] = {}
    library: dict[str, Model] = {}
    sizes = np.arange(1, batch_limit + 1)
    for m in range(models):
        cluster = m % clusters
        frozen = int(rng.integers(6, BLOCKS)) * blocks // BLOCKS
        names = [f"base{cluster}/{i}" for i in range(frozen)]
        for i in range(frozen, blocks):
            names.append(f"m{m}/{i}")
            own[names[-1]] = shared[f"base{cluster}/{i}"]
        latency = 0.002 * (1 + cluster) * (0.4 + 0.6 * sizes**0.9)
        library[f"m{m}"] = Model(blocks=tuple(names), latency_s=tuple(latency.tolist()))
    popularity = 1 / np.arange(1, models + 1)
    wanted = rng.choice(models, users, p=popularity / popularity.sum())
    return Problem(
        name=f"campus-like-{users}-{models}",
        bandwidth_hz=bandwidth_hz,
        blocks=shared | own,
        models=library,
        users=tuple(
            User(
                id=f"u{k}",
                model=f"m{wanted[k]}",
                input_bits=1.2e6 * float(rng.lognormal(0, 0.3)),
                spectral_efficiency=float(rng.uniform(0.5, 6)),
                deadline_s=deadline_s,
            )
            for k in range(users)
        ),
    )
