"""Requests as they arrive: a trace on disk, scaled, with the uplink each one meets.

A trace is read once, checked, and laid down as columns in temporary files; every policy
of every repeat then meets its requests piece by piece. Memory holds one piece, the
names of users and models, and which place is whose where the trace states places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgesim import radio
from edgesim.engine.request import Arrival
from edgesim.errors import InputError
from edgesim.library.build import Library
from edgesim.scenario import Scenario
from edgesim.trace.chunks import DTYPES, Names, read_columns
from edgesim.trace.rows import REQUIRED
from edgesim.trace.scale import Burst, Scaling, scaled, window_length_s, window_rows

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spool:
    """A trace on disk, as columns of equal length in order of arrival.

    Parameters
    ----------
    path
        Where the trace was read.
    columns
        Arrays in files, of the names and types of
        :class:`edgesim.trace.requests.Trace`.
    users, models
        Names, by number.
    per_model
        How many requests want each of ``models``.
    """

    path: Path
    columns: Columns
    users: tuple[str, ...]
    models: tuple[str, ...]
    per_model: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the requests."""
        return len(self.arrival_s)

    @property
    def arrival_s(self) -> Floats:
        """Arrivals in seconds from the start of the trace."""
        return self.columns["arrival_s"]

    def popularity(self) -> NDArray[np.int32]:
        """List every model's number, most requested first, ties by lower number."""
        return np.argsort(-self.per_model, kind="stable").astype(np.int32)


def open_trace(path: Path, folder: Path) -> Spool:
    """Read a trace once, check it whole, and lay it down as columns.

    Parameters
    ----------
    path
        A trace (CSV).
    folder
        Where the columns' files go, about 32 bytes a request; they are needed as long
        as the result is.

    Raises
    ------
    InputError
        At the first line that breaks the format, see
        :func:`edgesim.trace.rows.iter_trace`, or when the folder cannot be written to.
    """
    users, models = Names(), Names()
    per_model = np.zeros(0, dtype=np.int64)
    chunks = read_columns(path, users, models)
    with ExitStack() as stack:
        try:
            header = next(chunks)
            files = {
                name: stack.enter_context(_file(folder, name).open("wb"))
                for name in header
            }
            for chunk in chunks:
                for name, values in chunk.items():
                    values.tofile(files[name])
                counted = np.bincount(chunk["model"], minlength=len(models))
                counted[: len(per_model)] += per_model
                per_model = counted
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise InputError(folder, f"cannot be written: {reason}") from None
    columns = {name: _mapped(_file(folder, name), name) for name in header}
    return Spool(path, columns, tuple(users), tuple(models), per_model)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.column"


def _mapped(file: Path, name: str) -> NDArray[Any]:
    if not file.stat().st_size:  # nothing can be mapped
        return np.empty(0, dtype=DTYPES[name])
    return np.memmap(file, dtype=DTYPES[name], mode="r")


@dataclass(frozen=True, eq=False)
class Stream:
    """The requests of one repeat; each time it is gone through they are the same.

    Parameters
    ----------
    users
        The trace's users, by number.
    requests
        How many there are.
    per_model
        How many want each model of the library, in its order.
    duration_s
        Length of the window; where the trace is not cut, its last arrival.
    rows
        Rows of the window, with ``place``, the position in ``mean_snr_db``, where that
        is given.
    model_number
        The library's model for each of the trace, by number.
    mean_snr_db
        SNR averaged over fading, by place; None where the trace states efficiencies.
    cell
        The radio cell.
    scaling, bursts
        What becomes of the window.
    scale_seed, fading_seed
        Of what is drawn to scale the window, and of fading.
    """

    users: tuple[str, ...]
    requests: int
    per_model: tuple[int, ...]
    duration_s: float
    rows: Columns
    model_number: NDArray[np.int64]
    mean_snr_db: Floats | None
    cell: radio.CellSpec
    scaling: Scaling
    bursts: tuple[Burst, ...]
    scale_seed: int
    fading_seed: int

    def __iter__(self) -> Iterator[Arrival]:
        """Go through the requests in order of arrival."""
        for columns in self.chunks():
            # Plain tuples: the simulation takes each apart at once.
            rows = zip(*(values.tolist() for values in columns), strict=True)
            yield from cast("Iterator[Arrival]", rows)

    def chunks(self) -> Iterator[tuple[NDArray[Any], ...]]:
        """Go through the requests as columns, in the order of :class:`Arrival`."""
        fading_rng = np.random.default_rng(self.fading_seed)
        for piece in self.pieces():
            if self.mean_snr_db is None:
                efficiency = piece["spectral_efficiency"]
            else:
                snr_db = self.mean_snr_db[piece["place"]]
                efficiency = radio.faded_efficiency(snr_db, self.cell, fading_rng)
            with np.errstate(divide="ignore", over="ignore"):  # no link: infinite
                demand_s = (
                    8.0 * piece["input_bytes"] / (efficiency * self.cell.bandwidth_hz)
                )
            yield (
                piece["arrival_s"],
                piece["user"],
                self.model_number[piece["model"]],
                demand_s,
                piece["slo_s"],
            )

    def pieces(self) -> Iterator[Columns]:
        """Go through the window's rows as they are once scaled."""
        rng = np.random.default_rng(self.scale_seed)
        return scaled(self.rows, self.scaling, rng, self.bursts)


def make_stream(
    spool: Spool,
    scenario: Scenario,
    scenario_file: Path,
    library: Library,
    model_names: tuple[str, ...],
    repeat: int,
    rng: np.random.Generator,
) -> Stream:
    """Prepare the requests of one repeat.

    A user keeps its place and its shadowing, one place if the trace states none; each
    request has fading of its own. What the trace says (efficiencies, or places) is
    taken from there.

    Parameters
    ----------
    spool
        The trace.
    scenario
        Workload, cell and, of the online section, bursts.
    scenario_file
        For messages.
    library, model_names
        The library, and its model for each of the trace's, by number.
    repeat
        Which window, from 0.
    rng
        Draws places and shadowing, and the seeds of all else.

    Raises
    ------
    InputError
        When the run would be longer than ``MOST_WINDOW_S``.
    """
    scaling = scenario.workload.scaling(repeat)
    first, after = window_rows(spool.arrival_s, scaling)
    where = f"{scenario_file}: workload.window_s"
    duration_s = window_length_s(where, spool.arrival_s, scaling)
    scale_seed, fading_seed = rng.integers(2**63, size=2).tolist()
    window = {name: values[first:after] for name, values in spool.columns.items()}
    mean_snr_db, link = _links(scenario.cell, window, len(spool.users), rng)
    number = {name: number for number, name in enumerate(library.models)}
    stream = Stream(
        users=spool.users,
        requests=0,
        per_model=(),
        duration_s=duration_s,
        rows={**{name: window[name] for name in REQUIRED}, **link},
        model_number=np.array([number[name] for name in model_names], dtype=np.int64),
        mean_snr_db=mean_snr_db,
        cell=scenario.cell,
        scaling=scaling,
        bursts=() if scenario.online is None else scenario.online.bursts,
        scale_seed=scale_seed,
        fading_seed=fading_seed,
    )
    per_model = np.zeros(len(number), dtype=np.int64)
    for piece in stream.pieces():
        numbers = stream.model_number[piece["model"]]
        per_model += np.bincount(numbers, minlength=len(per_model))
    return replace(
        stream, requests=int(per_model.sum()), per_model=tuple(per_model.tolist())
    )


def _links(
    cell: radio.CellSpec, window: Columns, users: int, rng: np.random.Generator
) -> tuple[Floats | None, Columns]:
    """Place users, and say which column leads from a request to its link.

    Where the trace states places, 4 bytes a request are held in memory, and some 100
    while they are sorted.
    """
    if "spectral_efficiency" in window:
        return None, {"spectral_efficiency": window["spectral_efficiency"]}
    if "x_m" in window:
        stated = np.stack([window[name] for name in ("user", "x_m", "y_m")])
        places, of = np.unique(stated, axis=1, return_inverse=True)
        x_m, y_m = places[1], places[2]
        link = of.astype(np.int32)
    else:
        x_m, y_m = radio.place_users(users, cell, rng)
        link = window["user"]
    loss_db = radio.path_loss_db(np.hypot(x_m, y_m), cell, rng)
    return radio.mean_snr_db(loss_db, cell), {"place": link}
