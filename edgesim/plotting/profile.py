"""Figure of device profiles: load against compute, and load against bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from edgesim.errors import InputError, Parameter
from edgesim.plotting.colours import COLOURS, INK
from edgesim.plotting.style import as_text, new_axes, plain_ticks, style
from edgesim.profile.fit import block_points, copy_points, fit_copies
from edgesim.profile.summary import model_facts
from edgesim.profile.values import Profile, Tier
from edgesim.text import shortened

TIER_COLOURS: Mapping[Tier, str] = {
    "pinned": COLOURS["dp"],
    "pageable": COLOURS["greedy"],
    "disk": "#0d3b26",
}
"""Colour by tier; they differ in lightness too."""

_MARKERS: Mapping[Tier, str] = {"pinned": "o", "pageable": "s", "disk": "^"}

MOST_MODELS = 500
"""Maximum number of models: a taller figure would exceed what PNG readers accept."""

_ROW_IN = 0.2
_FRAME_IN = 1.5
_LEAST_IN = 4.2
_NAME_WIDTH = 32
_TITLE_WIDTH = 110


def profile_figure(profiles: Mapping[str, Profile], tiers: Sequence[Tier]) -> Figure:
    """Draw load against compute beside load against bytes.

    Parameters
    ----------
    profiles
        One profile, or separate runs on one device, by label.
    tiers
        Tiers whose loads are drawn.

    Raises
    ------
    InputError
        If there are more than :data:`MOST_MODELS` models.
    """
    models = _names(profiles)
    if len(models) > MOST_MODELS:
        raise InputError(
            Parameter("profiles"),
            f"a picture holds at most {MOST_MODELS} models, found {len(models)}",
        )
    height_in = max(_LEAST_IN, _FRAME_IN + _ROW_IN * len(models))
    with style():
        figure = Figure(figsize=(11.0, height_in), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
        plot_load_compute(profiles, tiers, left)
        plot_copies(profiles, tiers, right)
        # A line keeps its slope and position for any number of models.
        right.set_box_aspect(0.72)
        right.set_anchor("N")
        figure.suptitle(as_text(_title(profiles)), x=0.01, ha="left", fontsize=11)
    return figure


def _names(profiles: Mapping[str, Profile]) -> list[str]:
    return list(dict.fromkeys(name for p in profiles.values() for name in p.models))


def _title(profiles: Mapping[str, Profile]) -> str:
    kinds = dict.fromkeys(p.provenance.kind for p in profiles.values())
    devices = dict.fromkeys(p.provenance.device for p in profiles.values())
    what = next(iter(profiles)) if len(profiles) == 1 else f"{len(profiles)} runs"
    return shortened(f"{what}: {'; '.join(devices)} ({', '.join(kinds)})", _TITLE_WIDTH)


def plot_load_compute(
    profiles: Mapping[str, Profile], tiers: Sequence[Tier], ax: Axes | None = None
) -> Axes:
    """Plot one row per model: its load time from each tier, and its compute time.

    Loads are sums of block loads, compute is a batch of 1; a grey line joins all known
    values of a model. Each of several runs has its own mark. Values that are unknown or
    0 are not drawn.

    Parameters
    ----------
    profiles, tiers
        As for :func:`profile_figure`.
    ax
        Where to draw; a new figure if not given.
    """
    models = _names(profiles)
    with style():
        if ax is None:
            ax = new_axes(6.4, max(_LEAST_IN, _FRAME_IN + _ROW_IN * len(models)))
        marks: dict[str, tuple[list[float], list[int]]] = {}
        for row, name in enumerate(models):
            times_ms: list[float] = []
            for profile in profiles.values():
                if name not in profile.models:
                    continue
                found = model_facts(profile, name)
                known = {tier: found.load_s.get(tier) for tier in tiers}
                compute_s = found.latency_s and found.latency_s[0]
                for what, time_s in [*known.items(), ("compute", compute_s)]:
                    if time_s:
                        xs, ys = marks.setdefault(what, ([], []))
                        xs.append(1e3 * time_s)
                        ys.append(row)
                        times_ms.append(1e3 * time_s)
            if times_ms:
                ends = (min(times_ms), max(times_ms))
                ax.plot(ends, (row, row), color="#bbbbbb", linewidth=1.2, zorder=1)
        for tier in tiers:
            ax.plot(
                *marks.get(tier, ([], [])),
                _MARKERS[tier],
                color=TIER_COLOURS[tier],
                markersize=5.5,
                label=f"load, {tier}",
            )
        if "compute" in marks:
            ax.plot(
                *marks["compute"],
                "D",
                markersize=5.0,
                markerfacecolor="white",
                markeredgecolor=INK,
                label="compute, batch of 1",
            )
        if marks:
            ax.set_xscale("log")
            plain_ticks(ax.xaxis)
        ax.grid(axis="x")
        ax.grid(visible=False, axis="y")
        labels = [shortened(name, _NAME_WIDTH) for name in models]
        ax.set_yticks(range(len(models)), labels, parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(models) - 0.4, -0.6)
        ax.set_xlabel("time (ms)")
        ax.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.3
        )
    return ax


def plot_copies(
    profiles: Mapping[str, Profile], tiers: Sequence[Tier], ax: Axes | None = None
) -> Axes:
    """Plot load times against bytes on log axes, with the fitted line of each tier.

    Blocks are filled marks, plain copies are crosses. Each run has its own line; the
    legend shows that of the first.

    Parameters
    ----------
    profiles, tiers
        As for :func:`profile_figure`.
    ax
        Where to draw; a new figure if not given.
    """
    with style():
        if ax is None:
            ax = new_axes(5.6, _LEAST_IN)
        handles: list[Line2D] = []
        crossed = False
        for tier in tiers:
            hue = TIER_COLOURS[tier]
            lines: list[Line2D] = []
            for profile in profiles.values():
                blocks = [p for p in block_points(profile, tier) if p.load_s > 0]
                copies = [p for p in copy_points(profile, tier) if p.load_s > 0]
                ax.plot(
                    [p.bytes for p in blocks],
                    [1e3 * p.load_s for p in blocks],
                    _MARKERS[tier],
                    color=hue,
                    markersize=4.0,
                    alpha=0.6,
                    markeredgewidth=0,
                )
                if copies:
                    crossed = True
                    ax.plot(
                        [p.bytes for p in copies],
                        [1e3 * p.load_s for p in copies],
                        "x",
                        color=hue,
                        markersize=5.0,
                    )
                fit = fit_copies(profile, tier)
                if fit is None:
                    continue
                sizes = [p.bytes for p in (*blocks, *copies)]
                at = np.geomspace(min(sizes), max(sizes), 100)
                lines += ax.plot(
                    at,
                    [1e3 * fit.load_s(size) for size in at],
                    color=hue,
                    linewidth=1.2,
                    label=f"{tier}: {fit}",
                )
            handles += lines[:1]
        timed = bool(handles)
        handles.append(_sample("o", "block"))
        if crossed:
            handles.append(_sample("x", "plain copy"))
        if timed:
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.xaxis.set_major_formatter(EngFormatter(unit="B"))
            plain_ticks(ax.yaxis)
        ax.grid(axis="both")
        ax.set_xlabel("size")
        ax.set_ylabel("load time (ms)")
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax


def _sample(marker: str, label: str) -> Line2D:
    return Line2D(
        [], [], color="#777777", marker=marker, linestyle="", markersize=5, label=label
    )
