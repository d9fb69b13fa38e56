"""Model libraries of the family: who holds which blocks, and what a batch costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from solvers import Block, Model
from tests.instances.draw import log_uniform, pick, short, uniform

# A batch table: (generator, seconds of a batch of one, batch limit) to seconds.
LatencyTable = Callable[[np.random.Generator, float, int], tuple[float, ...]]

# fp32 parameters of torchvision's ResNet-50, one block per residual block, in bytes.
RESNET50_BYTES = (
    *(38144, 300032, 281600, 281600, 1517568, 1120256, 1120256, 1120256),
    *(6049792, 4468736, 4468736, 4468736, 4468736, 4468736),
    *(24158208, 17850368, 17850368, 8196000),
)

# Host to GPU: published V100 transfers from pinned memory, then what pageable memory
# and a fast disk reach.
REAL_RATES_BYTES_PER_S = (12.28e9, 6e9, 2.5e9)


@dataclass(frozen=True)
class Library:
    """Blocks and the models made of them."""

    blocks: dict[str, Block]
    models: dict[str, Model]

    def weight_bytes(self, model: str) -> int:
        """Memory that a model's blocks take."""
        return sum(self.blocks[block].bytes for block in self.models[model].blocks)


def affine(rng: np.random.Generator, first_s: float, limit: int) -> tuple[float, ...]:
    """Add the same time for every further input."""
    each_s = first_s * uniform(rng, 0.15, 0.6)
    return tuple(short(first_s + each_s * b) for b in range(limit))


def measured(rng: np.random.Generator, first_s: float, limit: int) -> tuple[float, ...]:
    """Look like measurements: plateaus of padded sizes, steps, a little noise.

    Sizes between the powers of two take as long as the next one, except that some
    tables were measured at every size and step where the GPU needs one wave more.
    """
    exponent = uniform(rng, 0.6, 1.0)
    wave = pick(rng, (1, 3, 4))
    found = []
    for size in range(1, limit + 1):
        padded = 1 << (size - 1).bit_length() if wave == 1 else -(-size // wave) * wave
        cost = (min(padded, 2 * size) / (1 if wave == 1 else wave)) ** exponent
        found.append(first_s * (0.3 + 0.7 * cost))
    noisy = [value * uniform(rng, 0.97, 1.03) for value in found]
    if wave == 1:
        # A padded size runs the next measured one: exactly as long.
        for size in range(limit - 1, 0, -1):
            if size & (size - 1) and size < limit:
                noisy[size - 1] = noisy[size]
    return tuple(short(value) for value in noisy)


def _limit(rng: np.random.Generator, limits: Sequence[int]) -> int:
    return pick(rng, limits)


def bottom(
    rng: np.random.Generator,
    models: int,
    *,
    table: LatencyTable = affine,
    limits: Sequence[int] = (4, 8, 16),
    shape: Sequence[int] | None = None,
    rate_bytes_per_s: float | None = None,
) -> Library:
    """Draw clusters of fine-tuned models that keep bottom blocks of a relative.

    Parameters
    ----------
    rng
        Source of every draw.
    models
        How many.
    table
        Kind of batch table.
    limits
        Batch limits to choose from.
    shape
        Bytes of a base's blocks; drawn, later ones larger, if not given.
    rate_bytes_per_s
        Load rate; drawn between 1 and 12 GB/s if not given.
    """
    rate = rate_bytes_per_s or log_uniform(rng, 1e9, 12e9)
    clusters = 1 + models // 6
    bases = [_base(rng, shape) for _ in range(clusters)]
    firsts_s = [log_uniform(rng, 0.0015, 0.01) for _ in range(clusters)]
    blocks: dict[str, Block] = {}
    library: dict[str, Model] = {}
    members: list[list[tuple[str, ...]]] = [[] for _ in range(clusters)]
    for m in range(models):
        base, mates = bases[m % clusters], members[m % clusters]
        held: tuple[str, ...] = ()
        if mates:
            frozen = int(rng.integers(len(base) // 2, len(base)))
            held = pick(rng, mates)[:frozen]
        for i in range(len(held), len(base)):
            blocks[f"m{m}.{i}"] = _block(base[i], rate)
            held = (*held, f"m{m}.{i}")
        mates.append(held)
        first_s = firsts_s[m % clusters] * uniform(rng, 0.9, 1.1)
        latency_s = table(rng, first_s, _limit(rng, limits))
        library[f"m{m}"] = Model(blocks=held, latency_s=latency_s)
    return Library(blocks, library)


def _base(rng: np.random.Generator, shape: Sequence[int] | None) -> list[int]:
    if shape is not None:
        return list(shape)
    total = log_uniform(rng, 40e6, 400e6)
    sizes = [1.15**i * uniform(rng, 0.5, 1.5) for i in range(rng.integers(6, 13))]
    return [int(short(total * size / sum(sizes))) for size in sizes]


def _block(size_bytes: int, rate_bytes_per_s: float) -> Block:
    return Block(bytes=size_bytes, load_s=short(size_bytes / rate_bytes_per_s))


def adapters(rng: np.random.Generator, models: int) -> Library:
    """Draw low-rank adapters, each on one of one to three large backbones.

    A backbone is a few large blocks, fp16, 2 to 14 GB in all; an adapter holds one
    small block for each of them and runs as long as its relatives.
    """
    rate = log_uniform(rng, 3e9, 24e9)
    backbones = min(1 + models // 8, 3)
    blocks: dict[str, Block] = {}
    layers: list[list[str]] = []
    firsts_s: list[float] = []
    for c in range(backbones):
        total, parts = log_uniform(rng, 2e9, 14e9), int(rng.integers(3, 7))
        layers.append([f"backbone{c}.{i}" for i in range(parts)])
        blocks |= {name: _block(int(short(total / parts)), rate) for name in layers[c]}
        firsts_s.append(total / 720e9 * uniform(rng, 2, 6))
    library = {}
    for m in range(models):
        c = m % backbones
        rank_bytes = short(log_uniform(rng, 1e6, 3e7))
        held: list[str] = []
        for i, layer in enumerate(layers[c]):
            blocks[f"m{m}.lora{i}"] = _block(int(rank_bytes), rate)
            held += [layer, f"m{m}.lora{i}"]
        latency_s = affine(rng, firsts_s[c], _limit(rng, (8, 16)))
        library[f"m{m}"] = Model(blocks=tuple(held), latency_s=latency_s)
    return Library(blocks, library)


def crossing(
    rng: np.random.Generator, models: int, *, limits: Sequence[int] = (4, 8, 16)
) -> Library:
    """Draw models whose blocks at any position come from a few common choices.

    So do merged and multi-task models. The first three models (of at least three)
    always cross: the first two hold one block, the last two another.
    """
    rate = log_uniform(rng, 1e9, 12e9)
    clusters = 1 + (models - 3) // 6
    bases = [_base(rng, None) for _ in range(clusters)]
    firsts_s = [log_uniform(rng, 0.0015, 0.01) for _ in range(clusters)]
    blocks: dict[str, Block] = {}
    library: dict[str, Model] = {}
    for m in range(models):
        c = 0 if m < 3 else m % clusters
        names = []
        for i in range(len(bases[c])):
            choice = int(rng.integers(8))
            # Five in eight are the base's, two a common other's, one a model's own.
            common = {5: 1, 6: 1}.get(choice, 0)
            names.append(f"c{c}.{i}.{common}" if choice < 7 else f"m{m}.{i}")
        if m < 3:
            names[0] = ("c0.0.0", "c0.0.0", "m2.0")[m]
            names[1] = ("m0.1", "c0.1.0", "c0.1.0")[m]
        for i, name in enumerate(names):
            blocks.setdefault(name, _block(bases[c][i], rate))
        first_s = firsts_s[c] * uniform(rng, 0.9, 1.1)
        latency_s = affine(rng, first_s, _limit(rng, limits))
        library[f"m{m}"] = Model(blocks=tuple(names), latency_s=latency_s)
    return Library(blocks, library)


def with_activations(rng: np.random.Generator, library: Library) -> Library:
    """Give every model activations that grow with its batch, 1 to 20 % of weights."""
    models = {}
    for name, model in library.models.items():
        each = library.weight_bytes(name) * uniform(rng, 0.01, 0.2)
        sizes = [int(short(each * (b + 1))) for b in range(len(model.latency_s))]
        models[name] = model.model_copy(update={"activation_bytes": tuple(sizes)})
    return Library(library.blocks, models)
