"""A seeded family of instances, and the best that is known of each.

``python -m tests.instances FOLDER`` writes them as instance files.
"""

from tests.instances.best import Best, best_known, merged, write_best_known
from tests.instances.cases import (
    CASES,
    GROUPS,
    LARGE,
    SIZES,
    Case,
    digest,
    drawn_again,
    make,
)

__all__ = [
    "CASES",
    "GROUPS",
    "LARGE",
    "SIZES",
    "Best",
    "Case",
    "best_known",
    "digest",
    "drawn_again",
    "make",
    "merged",
    "write_best_known",
]
