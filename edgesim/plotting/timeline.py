"""Picture of one plan: use of the spectrum, and loads and batches of the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import ScaledTranslation

from edgesim.engine.records import IN_TIME, LATE
from edgesim.library.sharing import clusters
from edgesim.measures.account import Account
from edgesim.plotting.colours import (
    INK,
    Colour,
    ink_on,
    lighter,
    model_colours,
)
from edgesim.plotting.style import as_text, make_room, root_figure, set_limits, style
from solvers.problem import Problem

_ENTRIES = 10
_FONT_PT = 8.0


class _Lane(NamedTuple):
    """A horizontal strip of the GPU panel."""

    name: str
    bottom: float
    height: float


_LOAD = _Lane("load", 2.2, 0.8)
_COMPUTE = _Lane("compute", 1.2, 0.8)
_REUSED = _Lane("reused", 0.2, 0.8)


class _Band(NamedTuple):
    """A band held by one request over a period."""

    request: int
    start_s: float
    end_s: float
    hz: float


def plot_timeline(
    account: Account,
    axes: tuple[Axes, Axes] | None = None,
    *,
    name: str | None = None,
) -> tuple[Axes, Axes]:
    """Draw one run of a plan over time.

    Above, the band that each upload holds. Below, the loads and batches of the GPU, and
    for every round the share of its model's bytes that was already resident. Models
    that share blocks, directly or through others, have shades of one hue. Labels are
    drawn where they fit.

    Parameters
    ----------
    account
        A run that followed a plan.
    axes
        Axes to draw on: uplink, GPU. A new figure if not given; otherwise the two
        should share their x axis.
    name
        Name of the plan, for the title; its solver and uplink if not given.

    Returns
    -------
    tuple of Axes
        Uplink and GPU.
    """
    run, problem = account.run, account.tables.problem
    bands = [
        _Band(*band)
        for band in zip(
            run.bands.request.tolist(),
            run.bands.start_s.tolist(),
            run.bands.end_s.tolist(),
            run.bands.hz.tolist(),
            strict=True,
        )
    ]
    with style():
        if axes is None:
            figure = Figure(figsize=(10.0, 5.2), layout="constrained")
            uplink, gpu = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.15))
        else:
            uplink, gpu = axes
        last_s = max(
            [band.end_s for band in bands] + run.rounds.end_s.tolist(), default=0.0
        )
        deadlines_s = {user.deadline_s for user in problem.users}
        deadline_s = deadlines_s.pop() if len(deadlines_s) == 1 else None
        # A deadline far beyond the last end would squeeze the plan into a corner.
        marked = deadline_s is not None and deadline_s <= 2 * max(last_s, 1e-12)
        span_s = max(last_s, deadline_s or 0.0) if marked else last_s
        canvas = _Canvas(uplink, gpu, 1e3 if span_s < 10 else 1.0, span_s or 1.0)
        palette = model_colours(problem, (user.model for user in problem.users))
        _draw_uplink(canvas, problem, bands, palette)
        late = _draw_gpu(canvas, account, palette)
        for ax in (uplink, gpu):
            ax.grid(visible=False)
            set_limits(ax, "x", 0, 1.02 * canvas.span_s * canvas.scale)
            if marked and deadline_s is not None:
                ax.axvline(
                    deadline_s * canvas.scale, color=INK, linestyle="--", linewidth=1.2
                )
        unit = "ms" if canvas.scale > 1 else "s"
        if deadline_s is not None:
            _deadline(uplink, deadline_s * canvas.scale, unit, marked)
        schedule = account.schedule
        if schedule is not None and name is None:
            name = f"{schedule.solver}, {schedule.uplink} uplink"
        uplink.set_title(as_text(_title(name, account)), pad=16, fontsize=10)
        gpu.set_xlabel(f"time ({unit})")
        uplink.tick_params(labelbottom=False)
        _legend(gpu, account, palette, late)
    return uplink, gpu


@dataclass(frozen=True)
class _Canvas:
    """The two panels, and the scale of their x axis."""

    uplink: Axes
    gpu: Axes
    scale: float
    span_s: float

    def bar(
        self,
        ax: Axes,
        start_s: float,
        end_s: float,
        bottom: float,
        height: float,
        face: Colour,
        *,
        edge: str | Colour = "white",
        hatch: str | None = None,
        linewidth: float = 0.5,
    ) -> None:
        """Draw a bar; narrow bars get no edge, so that they stay visible."""
        width = (end_s - start_s) * self.scale
        ax.add_patch(
            Rectangle(
                (start_s * self.scale, bottom),
                width,
                height,
                facecolor=face,
                edgecolor=edge,
                hatch=hatch,
                linewidth=linewidth if self.points(ax, end_s - start_s) > 3 else 0.0,
            )
        )

    def label(
        self, ax: Axes, start_s: float, end_s: float, y: float, text: str, ink: str
    ) -> bool:
        """Label a bar if there is room; return whether there was."""
        if self.points(ax, end_s - start_s) < 0.62 * _FONT_PT * len(text) + 3:
            return False
        x = (start_s + end_s) / 2 * self.scale
        ax.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=_FONT_PT,
            color=ink,
            parse_math=False,  # a name may hold dollar signs
        )
        return True

    def points(self, ax: Axes, length_s: float) -> float:
        """Width of a duration on paper, in points (approximate: before the layout)."""
        width_pt = ax.get_window_extent().width * 72 / root_figure(ax).dpi
        return float(width_pt * length_s / (1.02 * self.span_s))


def _draw_uplink(
    canvas: _Canvas,
    problem: Problem,
    bands: Sequence[_Band],
    palette: Mapping[str, Colour],
) -> None:
    ax, users = canvas.uplink, problem.users
    mhz = problem.bandwidth_hz / 1e6
    for k, start_s, end_s, bottom_hz, hz in _stacked(bands, [u.id for u in users]):
        face = palette[users[k].model]
        bottom, height = bottom_hz / 1e6, hz / 1e6
        thick = height / mhz > 0.02
        canvas.bar(
            ax, start_s, end_s, bottom, height, face, linewidth=0.5 if thick else 0.15
        )
        if height / mhz > 0.08:
            middle = bottom + height / 2
            canvas.label(ax, start_s, end_s, middle, users[k].id, ink_on(face))
    ax.set_ylim(0, mhz * 1.02)
    ax.set_ylabel("uplink band (MHz)")


def _stacked(
    bands: Sequence[_Band], ids: Sequence[str]
) -> list[tuple[int, float, float, float, float]]:
    """Stack the bands held at one time: request, start, end, bottom and height in Hz.

    The band held longest is lowest, so that a band need not move when others are
    released.
    """
    last_s: dict[int, float] = {}
    for band in bands:
        last_s[band.request] = max(last_s.get(band.request, 0.0), band.end_s)
    pending = sorted(bands, key=lambda b: (b.start_s, ids[b.request]), reverse=True)
    edges = sorted({t for band in bands for t in (band.start_s, band.end_s)})
    active: list[_Band] = []
    drawn: list[tuple[int, float, float, float, float]] = []
    open_at: dict[tuple[int, float, float], int] = {}
    for begin_s, end_s in pairwise(edges):
        while pending and pending[-1].start_s <= begin_s:
            active.append(pending.pop())
        active = [band for band in active if band.end_s > begin_s]
        active.sort(key=lambda band: (-last_s[band.request], ids[band.request]))
        bottom_hz = 0.0
        still_open: dict[tuple[int, float, float], int] = {}
        for band in active:
            key = (band.request, bottom_hz, band.hz)
            index = open_at.get(key)
            if index is None:
                index = len(drawn)
                drawn.append((band.request, begin_s, end_s, bottom_hz, band.hz))
            else:
                request, start_s, _, bottom, hz = drawn[index]
                drawn[index] = (request, start_s, end_s, bottom, hz)
            still_open[key] = index
            bottom_hz += band.hz
        open_at = still_open
    return drawn


def _draw_gpu(canvas: _Canvas, account: Account, palette: Mapping[str, Colour]) -> bool:
    """Draw loads, batches and reused shares; return whether a request was late."""
    ax, rounds = canvas.gpu, account.run.rounds
    requests, names = account.run.requests, account.tables.model_names
    late = requests.outcome == LATE
    late_rounds = set(requests.round[late].tolist())
    before_end_s = 0.0
    for r in range(len(rounds.batch)):
        model, batch = names[rounds.model[r]], int(rounds.batch[r])
        face = palette[model]
        ink = ink_on(face)
        load_start_s, end_s = float(rounds.load_start_s[r]), float(rounds.end_s[r])
        load = (load_start_s, load_start_s + float(rounds.load_s[r]))
        compute = (float(rounds.compute_start_s[r]), end_s)
        if rounds.load_s[r] > 0:
            canvas.bar(ax, *load, _LOAD.bottom, _LOAD.height, face)
            canvas.label(ax, *load, _LOAD.bottom + 0.4, model, ink)
        if batch:
            any_late = r in late_rounds
            canvas.bar(
                ax,
                *compute,
                _COMPUTE.bottom,
                _COMPUTE.height,
                face,
                edge=INK if any_late else "white",
                hatch="xxx" if any_late else None,
            )
            y = _COMPUTE.bottom + _COMPUTE.height / 2
            for text in (f"{model} × {batch}", f"× {batch}", f"{batch}"):
                if canvas.label(ax, *compute, y, text, ink):
                    break
        reused, loaded = int(rounds.reused_bytes[r]), int(rounds.loaded_bytes[r])
        # The part of its load that overlaps the preceding round is left to that round.
        span = (max(load_start_s, before_end_s), end_s)
        _draw_reused(canvas, span, reused / (loaded + reused), face)
        before_end_s = end_s
    lanes = (_LOAD, _COMPUTE, _REUSED)
    ax.set_yticks(
        [lane.bottom + lane.height / 2 for lane in lanes],
        ["load", "compute\n(× batch)", "reused\n(% of bytes)"],
    )
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, 3.2)
    ax.set_ylabel("GPU")
    return bool(late.any())


def _draw_reused(
    canvas: _Canvas, span: tuple[float, float], share: float, face: Colour
) -> None:
    """Draw, for a round, the share of its model that was already resident."""
    ax, lane = canvas.gpu, _REUSED
    canvas.bar(ax, *span, lane.bottom, lane.height, (0.94, 0.94, 0.94))
    if not share:
        return
    bottom, height = lane.bottom, lane.height * share
    pale = lighter(face, 0.6)
    canvas.bar(ax, *span, bottom, height, pale, edge=face, hatch="////")
    text = f"{100 * share:.0f}"
    if canvas.points(ax, span[1] - span[0]) > 0.62 * _FONT_PT * len(text) + 3:
        x = (span[0] + span[1]) / 2 * canvas.scale
        y = lane.bottom + lane.height / 2
        plate = {"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none"}
        ax.text(x, y, text, ha="center", va="center", fontsize=_FONT_PT, bbox=plate)


def _deadline(ax: Axes, x: float, unit: str, marked: bool) -> None:
    """Label the deadline above its line, or at the right if it has none."""
    ax.annotate(
        f"deadline {x:g} {unit}" + ("" if marked else " (beyond)"),
        (x if marked else 1.0, 1.0),
        xycoords=ax.get_xaxis_transform() if marked else "axes fraction",
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8.5,
    )


def _title(name: str | None, account: Account) -> str:
    """Make the title: the name of the plan, if known, and its outcome."""
    outcome = account.run.requests.outcome
    in_time, late = int((outcome == IN_TIME).sum()), int((outcome == LATE).sum())
    text = f"{in_time} of {len(outcome)} requests in time"
    if late:
        text += f", {late} late"
    return text if name is None else f"{name}: {text}"


def _legend(
    ax: Axes, account: Account, palette: Mapping[str, Colour], late: bool
) -> None:
    """Draw a legend of models, or of clusters if models are many, below the x axis."""
    rounds, names = account.run.rounds, account.tables.model_names
    problem = account.tables.problem
    shown = {names[model] for model in rounds.model.tolist()}
    handles = []
    for cluster in clusters(problem, palette):
        members = [name for name in cluster if name in shown]
        if len(shown) <= _ENTRIES or len(members) == 1:
            handles += [Patch(fc=palette[name], label=_short(name)) for name in members]
        elif members:
            middle = palette[members[len(members) // 2]]
            handles.append(Patch(fc=middle, label=_cluster_name(members)))
    if len(handles) > _ENTRIES:
        more = f"and {len(handles) - _ENTRIES + 1} more"
        handles[_ENTRIES - 1 :] = [Patch(fc="none", ec="none", label=more)]
    if rounds.reused_bytes.any():
        label = "already in GPU memory"
        handles.append(Patch(fc="#e4e4e4", ec=INK, hatch="////", label=label))
    if late:
        handles.append(Patch(fc="white", ec=INK, hatch="xxx", label="late requests"))
    if not handles:
        return
    widest = max(len(str(handle.get_label())) for handle in handles)
    below = ScaledTranslation(0, -38 / 72, root_figure(ax).dpi_scale_trans)
    legend = ax.legend(
        handles=handles,
        ncols=min(len(handles), 6 if widest <= 16 else 4),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + below,
        fontsize=8.5,
        borderaxespad=0.0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    make_room(ax)


def _cluster_name(cluster: Sequence[str]) -> str:
    columns = takewhile(
        lambda letters: len(set(letters)) == 1, zip(*cluster, strict=False)
    )
    common = "".join(letters[0] for letters in columns).rstrip("0123456789")
    name = f"{_short(common, 15)}…" if common else f"{_short(cluster[0], 15)}, …"
    return f"{name} ({len(cluster)} models)"


def _short(name: str, limit: int = 28) -> str:
    """Shorten a long name in its middle: variants differ at the end."""
    if name.startswith("_"):  # matplotlib would omit it from the legend
        name = f" {name}"
    head = limit // 2
    return name if len(name) <= limit else f"{name[:head]}…{name[head + 1 - limit :]}"
