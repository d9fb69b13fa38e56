"""Tolerances shared by planning, proofs, verification and simulation.

A plan is feasible if the timing of its rounds accepts it, and that grants the whole
tolerance. What proves that no plan serves more therefore grants all of it too, and more
for rounding (:func:`granted`); what builds plans may use less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TIME_TOLERANCE_S = 1e-9
"""Times this close count as equal; an end this much past a deadline is in time."""

SPECTRUM_TOLERANCE = 1e-9
"""Relative tolerance on bandwidth and on bits delivered."""

ROUNDING = 1e-11
"""Relative error of a sum of up to 100,000 terms, in any order."""


@overload
def granted(limit: float) -> float: ...
@overload
def granted(limit: NDArray[np.float64]) -> NDArray[np.float64]: ...
def granted(limit: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Extend a limit in s, or in shares of the band, by all that a proof must grant.

    That is the tolerance and the rounding of sums that another order adds up to
    something else, so that no plan which the timing accepts is beyond the limit.
    """
    rounding: float | NDArray[np.float64] = ROUNDING * limit.__abs__()
    return limit + 1.001 * TIME_TOLERANCE_S + rounding
