"""The best that is known of each case, kept in ``best_known.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from edgesim.storage.files import write_whole
from tests.instances.cases import CASES, Case

BEST_KNOWN = Path(__file__).with_name("best_known.csv")


@dataclass(frozen=True)
class Best:
    """Most users served so far in a case, and the least proven bound.

    ``by`` is the solver that first served so many, ``seconds`` the time it took;
    ``proven`` says that the bound is met. ``digest`` is of the problem it holds for.
    """

    case: str
    group: str
    uplink: str
    models: int
    users: int
    digest: str
    best: int
    bound: int
    proven: bool
    by: str
    seconds: float

    def __post_init__(self) -> None:
        """Refuse a value above its bound, or a proof that is none."""
        if not 0 <= self.best <= self.bound <= self.users:
            raise ValueError(
                f"{self.case}: 0 <= best <= bound <= users must hold, found "
                f"{self.best}, {self.bound}, {self.users}"
            )
        if self.proven != (self.best == self.bound):
            raise ValueError(f"{self.case}: proven must mean that best is bound")


COLUMNS = tuple(field.name for field in fields(Best))


def best_known(path: Path = BEST_KNOWN) -> dict[str, Best]:
    """Read the best known values by case.

    Raises
    ------
    ValueError
        When a case stands twice, or a row contradicts itself.
    """
    found: dict[str, Best] = {}
    if not path.is_file():
        return found
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            best = _read(row)
            if best.case in found:
                raise ValueError(f"{path.name}: case {best.case!r} stands twice")
            found[best.case] = best
    return found


def _read(row: Mapping[str, str]) -> Best:
    return Best(
        case=row["case"],
        group=row["group"],
        uplink=row["uplink"],
        models=int(row["models"]),
        users=int(row["users"]),
        digest=row["digest"],
        best=int(row["best"]),
        bound=int(row["bound"]),
        proven={"yes": True, "no": False}[row["proven"]],
        by=row["by"],
        seconds=float(row["seconds"]),
    )


def write_best_known(known: Iterable[Best], path: Path = BEST_KNOWN) -> None:
    """Write the best known values in the order of the family, whole or not at all."""
    order = {case.name: place for place, case in enumerate(CASES)}
    with write_whole(path) as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for best in sorted(known, key=lambda best: order[best.case]):
            writer.writerow(
                asdict(best)
                | {
                    "proven": "yes" if best.proven else "no",
                    "seconds": f"{best.seconds:.3g}",
                }
            )


def merged(
    known: Best | None,
    case: Case,
    digest: str,
    *,
    served: int,
    bound: int,
    by: str,
    seconds: float,
) -> Best:
    """Merge one verified answer: the best never falls, the bound never rises.

    Parameters
    ----------
    known
        What was known, if anything.
    case, digest
        The case and the digest of its problem.
    served
        Users served by a verified schedule.
    bound
        A proven upper bound under the problem's own rules.
    by, seconds
        Who served them, and how long it took.

    Raises
    ------
    ValueError
        When more are served than a bound allows: one of the two is wrong. When what is
        known is of another problem: remove its row first.
    """
    if known is not None and known.digest != digest:
        raise ValueError(
            f"{case.name}: what is known is of another problem (digest "
            f"{known.digest[:12]}, now {digest[:12]}); remove its row first"
        )
    if known is None:
        return Best(
            **{key: getattr(case, key) for key in ("group", "uplink", "models")},
            case=case.name,
            users=case.users,
            digest=digest,
            best=served,
            bound=bound,
            proven=served == bound,
            by=by,
            seconds=seconds,
        )
    if served > known.best:
        better = {"best": served, "by": by, "seconds": seconds}
    else:
        better = {}
    best, least = max(served, known.best), min(bound, known.bound)
    return replace(known, **better, bound=least, proven=best == least)  # type: ignore[arg-type]
