"""The popularity of models by Zipf's law, in place of that in a trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesim.library.build import Library


def ranked_models(library: Library, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw an order of a library's models, the most popular first."""
    names = list(library.models)
    return tuple(names[i] for i in rng.permutation(len(names)))


def drawn_ranks(
    count: int, models: int, exponent: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Draw the rank of the model that each of some requests is for.

    One uniform number a request is inverted through the distribution, so the same
    requests have the same numbers whatever the exponent and the number of models, and a
    later call with the same ``rng`` continues.

    Parameters
    ----------
    count
        Number of requests.
    models
        Number of models.
    exponent
        The model of rank r, from 1, is requested with a probability proportional to
        ``r ** -exponent``.
    rng
        Draws the uniform numbers.

    Returns
    -------
    ndarray of int32, shape (count,)
        Ranks from 0 on.
    """
    share = np.cumsum(np.arange(1.0, models + 1) ** -exponent)
    # The last share is exactly 1, and every uniform number is less.
    ranks = np.searchsorted(share / share[-1], rng.random(count), side="right")
    return ranks.astype(np.int32)
