"""Requests as they arrive: a trace on disk, scaled, with the uplink of each request.

Every policy of every repeat receives the requests in chunks. Memory holds one chunk,
the names of users and models, and the place of each request if the trace states it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgesim import radio
from edgesim.engine.request import Arrival
from edgesim.errors import InputError
from edgesim.experiment.links import place_users
from edgesim.experiment.popularity import drawn_ranks
from edgesim.library.build import Library
from edgesim.scenario import Scenario
from edgesim.storage.column_files import Columns, chosen, rows_between
from edgesim.trace.requests import Floats
from edgesim.trace.rows import REQUIRED
from edgesim.trace.scale import (
    MOST_WINDOW_S,
    Burst,
    Scaling,
    scaled,
    window_length_s,
    window_rows,
)
from edgesim.trace.stored import StoredTrace


@dataclass(frozen=True, eq=False)
class Stream:
    """The requests of one repeat; every iteration yields the same ones.

    Parameters
    ----------
    users
        The trace's users, by number.
    requests
        Number of requests.
    per_model
        Number of requests for each model of the library, in its order.
    duration_s
        Length of the window; if the trace is not cut, its last arrival.
    rows
        Rows of the window, with ``place``, the index into ``mean_snr_db``, if the trace
        states places; if not, it is the user.
    model_number
        The library's model for each model of the trace, by number, or for each rank.
    mean_snr_db
        SNR averaged over fading, by place; None if the trace states efficiencies.
    cell
        The radio cell.
    scaling, bursts
        Transformations of the window.
    scale_seed, fading_seed, model_seed
        Seeds of the draws that scale the window, of fading, and of models.
    zipf
        Exponent of the popularity of models, if their ranks are drawn.
    serves_late
        Whether late requests are served, so that every upload runs to its end.
    trace_file, scenario_file
        For messages.
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
    model_seed: int
    zipf: float | None
    serves_late: bool
    trace_file: Path
    scenario_file: Path

    def __iter__(self) -> Iterator[Arrival]:
        """Iterate over the requests in order of arrival."""
        for columns in self.chunks():
            # Plain tuples: the simulation unpacks each at once.
            rows = zip(*(values.tolist() for values in columns), strict=True)
            yield from cast("Iterator[Arrival]", rows)

    def chunks(self) -> Iterator[tuple[NDArray[Any], ...]]:
        """Iterate over the requests as columns, in the order of :class:`Arrival`.

        Raises
        ------
        InputError
            At an upload that would take longer than any run.
        """
        fading_rng = np.random.default_rng(self.fading_seed)
        for piece in self.pieces():
            if self.mean_snr_db is None:
                efficiency = piece["spectral_efficiency"]
            else:
                snr_db = self.mean_snr_db[piece.get("place", piece["user"])]
                efficiency = radio.faded_efficiency(snr_db, self.cell, fading_rng)
            with np.errstate(divide="ignore", over="ignore"):  # no link: infinite
                demand_s = (
                    8.0 * piece["input_bytes"] / (efficiency * self.cell.bandwidth_hz)
                )
            self._check_uploads(piece, efficiency, demand_s)
            yield (
                piece["arrival_s"],
                piece["user"],
                self.model_number[piece["model"]],
                demand_s,
                piece["slo_s"],
            )

    def _check_uploads(
        self, piece: Columns, efficiency: Floats, demand_s: Floats
    ) -> None:
        """Refuse an upload longer than a run, unless it is cut short or has no link."""
        takes_s = np.where(np.isfinite(demand_s), demand_s, 0.0)
        if not self.serves_late:
            takes_s = np.minimum(takes_s, piece["slo_s"])
        if takes_s.max(initial=0.0) <= MOST_WINDOW_S:
            return
        at = int(takes_s.argmax())
        size, band_hz = int(piece["input_bytes"][at]), self.cell.bandwidth_hz
        if 8.0 * size / band_hz > MOST_WINDOW_S:
            where = f"{self.trace_file}: input_bytes"
        elif self.mean_snr_db is None:
            where = f"{self.trace_file}: spectral_efficiency"
        else:
            where = f"{self.scenario_file}: cell"
        raise InputError(
            where,
            f"must let every upload end within {MOST_WINDOW_S:g} s, found one of "
            f"{size} bytes at {efficiency[at]:g} bit/s/Hz that takes "
            f"{demand_s[at]:g} s of all {band_hz:g} Hz",
        )

    def pieces(self) -> Iterator[Columns]:
        """Iterate over the scaled rows of the window, with the models drawn if any."""
        rng = np.random.default_rng(self.scale_seed)
        pieces = scaled(self.rows, self.scaling, rng, self.bursts)
        if self.zipf is None:
            yield from pieces
            return
        model_rng, models = np.random.default_rng(self.model_seed), self.model_number
        for piece in pieces:
            count = len(piece["model"])
            ranks = drawn_ranks(count, len(models), self.zipf, model_rng)
            yield {**piece, "model": ranks}


def make_stream(
    trace: StoredTrace,
    scenario: Scenario,
    scenario_file: Path,
    library: Library,
    model_names: tuple[str, ...],
    repeat: int,
    rng: np.random.Generator,
) -> Stream:
    """Prepare the requests of one repeat.

    A user keeps its place and its shadowing, a single place if the trace states none;
    each request has fading of its own. Efficiencies or places stated by the trace are
    used.

    Parameters
    ----------
    trace
        The trace.
    scenario
        Workload, cell and, of the online section, bursts.
    scenario_file
        For messages.
    library, model_names
        The library, and its model for each model of the trace, by number, or for each
        rank.
    repeat
        Number of the window, from 0.
    rng
        Draws places and shadowing, and the seeds of all other draws.

    Raises
    ------
    InputError
        If the run would be longer than ``MOST_WINDOW_S``.
    """
    scaling = scenario.workload.scaling(repeat)
    first, after = window_rows(trace.arrival_s, scaling)
    where = f"{scenario_file}: workload.window_s"
    duration_s = window_length_s(where, trace.arrival_s, scaling)
    scale_seed, fading_seed = rng.integers(2**63, size=2).tolist()
    # Of a generator of its own, so that it changes no other draw.
    model_seed = int(rng.spawn(1)[0].integers(2**63))
    window = rows_between(trace.columns, first, after)
    mean_snr_db: Floats | None = None
    if "spectral_efficiency" in window:
        rows = chosen(window, (*REQUIRED, "spectral_efficiency"))
    else:
        rows = chosen(window, REQUIRED)
        mean_snr_db, place = place_users(scenario.cell, window, rng, len(trace.users))
        if "x_m" in window:
            rows = ChainMap({"place": place}, rows)  # type: ignore[arg-type]
    number = {name: number for number, name in enumerate(library.models)}
    stream = Stream(
        users=trace.users,
        requests=0,
        per_model=(),
        duration_s=duration_s,
        rows=rows,
        model_number=np.array([number[name] for name in model_names], dtype=np.int64),
        mean_snr_db=mean_snr_db,
        cell=scenario.cell,
        scaling=scaling,
        bursts=() if scenario.online is None else scenario.online.bursts,
        scale_seed=scale_seed,
        fading_seed=fading_seed,
        model_seed=model_seed,
        zipf=scenario.workload.zipf,
        serves_late=scenario.online is not None and scenario.online.late == "serve",
        trace_file=trace.path,
        scenario_file=scenario_file,
    )
    per_model = np.zeros(len(number), dtype=np.int64)
    for piece in stream.pieces():
        numbers = stream.model_number[piece["model"]]
        per_model += np.bincount(numbers, minlength=len(per_model))
    return replace(
        stream, requests=int(per_model.sum()), per_model=tuple(per_model.tolist())
    )
