"""The table of a run over time."""

from __future__ import annotations

from typing import IO

import numpy as np

from edgesim.measures.series import Series
from edgesim.results.csv_columns import Column, cell, write_table

SERIES_COLUMNS = (
    "time_s",
    "waiting",
    "uploading",
    "arrived",
    "in_time",
    "on_time_ratio",
    "finished",
    "load_share",
    "compute_share",
    "wait_share",
    "idle_share",
)


def dump_series(file: IO[str], series: Series, repeat: int, policy: str) -> None:
    """Append the rows of ``series.csv`` to an open file.

    Times and shares are rounded to nine decimals.

    Parameters
    ----------
    file
        The file; its header, ``SERIES_COLUMNS``, is already written.
    series
        The run.
    repeat, policy
        Leading columns.
    """
    columns: dict[str, Column] = {}
    for name in SERIES_COLUMNS:
        values = getattr(series, name)
        columns[name] = np.round(values, 9) if values.dtype == np.float64 else values
    write_table(file, f"{repeat},{cell(policy)}", columns, SERIES_COLUMNS)
