"""Numbers for instances: few digits, and the same ones on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


def short(value: float) -> float:
    """Round to 6 significant digits, so that a last bit cannot change an instance."""
    return float(f"{value:.6g}")


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw between two numbers."""
    return low + (high - low) * float(rng.random())


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw between two positive numbers, evenly in their logarithm."""
    return float(low * (high / low) ** float(rng.random()))


def pick(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    """Draw one of several, all alike."""
    return choices[int(rng.integers(len(choices)))]
