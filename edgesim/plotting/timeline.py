"""Picture of one plan: use of the spectrum, and loads and batches of the GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from edgesim.engine.records import IN_TIME, LATE
from edgesim.library.sharing import clusters
from edgesim.measures.account import Account
from edgesim.plotting.bands import Band, stacked
from edgesim.plotting.callouts import place_callouts
from edgesim.plotting.colours import (
    INK,
    Colour,
    ink_on,
    lighter,
    model_colours,
)
from edgesim.plotting.model_keys import draw_below, legend_of_models, model_keys
from edgesim.plotting.style import root_figure, set_limits, style, title_lines
from solvers.problem import Problem

_FONT_PT = 8.0
_KEY_PT = 7.5
_WIDTH_IN = 10.0
_BESIDE_IN = 1.2  # left of the axes
_HEIGHT_IN = 5.6
# A letter is about this much as wide as its size.
_LETTER = 0.62


class _Lane(NamedTuple):
    """A horizontal strip of the GPU panel."""

    name: str
    bottom: float
    height: float


_LOAD = _Lane("load", 2.2, 0.8)
_COMPUTE = _Lane("compute", 1.2, 0.8)
_REUSED = _Lane("reused", 0.2, 0.8)
_KEYS_BOTTOM = 3.3


class _Visit(NamedTuple):
    """Rounds of one model in a row: its key, and the bar below it."""

    key: str
    start_s: float
    end_s: float
    lane: _Lane


def plot_timeline(
    account: Account,
    axes: tuple[Axes, Axes] | None = None,
    *,
    name: str | None = None,
) -> tuple[Axes, Axes]:
    """Draw one run of a plan over time.

    Above, the band that each upload holds. Below, the loads and batches of the GPU, and
    for every round the share of its model's bytes that was already resident. Models
    that share blocks, directly or through others, have shades of one hue, and keys of
    one letter: a key stands above a model's rounds, and the legend explains it.
    Other labels are drawn where they fit.

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
        Band(*band)
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
            figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN))
            # About where the layout will put them: labels are chosen before.
            edges = {"left": 0.115, "right": 0.99}
            uplink, gpu = figure.subplots(
                2, 1, sharex=True, height_ratios=(1.0, 1.45), gridspec_kw=edges
            )
            figure.set_layout_engine("constrained")
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
        names = account.tables.model_names
        shown = {names[model] for model in run.rounds.model.tolist()}
        shown |= {problem.users[band.request].model for band in bands}
        keys = model_keys(clusters(problem, palette), shown)
        _draw_uplink(canvas, problem, bands, palette, keys)
        late = _draw_gpu(canvas, account, palette, keys)
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
        title = title_lines(_title(name, account), _WIDTH_IN - _BESIDE_IN)
        uplink.set_title(title, pad=16, fontsize=10)
        gpu.set_xlabel(f"time ({unit})")
        uplink.tick_params(labelbottom=False)
        _draw_keys(canvas, account, keys)
        lines = _legend(gpu, account, palette, keys, late)
        if axes is None:
            figure.set_figheight(_HEIGHT_IN + 0.17 * max(0, lines - 3))
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
        self,
        ax: Axes,
        start_s: float,
        end_s: float,
        y: float,
        text: str,
        ink: str,
        *,
        height: float | None = None,
        upright: bool = False,
    ) -> bool:
        """Label a bar if there is room; return whether there was.

        Without ``height``, the bar's in units of the y axis, it is high enough.
        """
        lines = text.split("\n")
        width_pt = _LETTER * _FONT_PT * max(map(len, lines)) + 3
        height_pt = 1.3 * _FONT_PT * len(lines)
        if upright:
            width_pt, height_pt = height_pt, width_pt
        if self.points(ax, end_s - start_s) < width_pt:
            return False
        if height is not None and self.points_high(ax, height) < height_pt:
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
            rotation=90 if upright else 0,
            parse_math=False,  # a name may hold dollar signs
        )
        return True

    def points(self, ax: Axes, length_s: float) -> float:
        """Width of a duration on paper, in points (approximate: before the layout)."""
        width_pt = ax.get_window_extent().width * 72 / root_figure(ax).dpi
        return float(width_pt * length_s / (1.02 * self.span_s))

    def points_high(self, ax: Axes, height: float) -> float:
        """Height on paper, in points, as approximate; call it with limits set."""
        height_pt = ax.get_window_extent().height * 72 / root_figure(ax).dpi
        low, high = ax.get_ylim()
        return float(height_pt * height / (high - low))


def _draw_uplink(
    canvas: _Canvas,
    problem: Problem,
    bands: Sequence[Band],
    palette: Mapping[str, Colour],
    keys: Mapping[str, str],
) -> None:
    ax, users = canvas.uplink, problem.users
    mhz = problem.bandwidth_hz / 1e6
    ax.set_ylim(0, mhz * 1.02)
    for k, start_s, end_s, bottom_hz, hz in stacked(bands, [u.id for u in users]):
        face = palette[users[k].model]
        bottom, height = bottom_hz / 1e6, hz / 1e6
        thick = height / mhz > 0.02
        canvas.bar(
            ax, start_s, end_s, bottom, height, face, linewidth=0.5 if thick else 0.15
        )
        user, key = users[k].id, keys[users[k].model]
        for text, upright in (
            (f"{user}\n{key}", False),
            (f"{user} {key}", False),
            (f"{user} {key}", True),
            (key, False),
            (key, True),
        ):
            if canvas.label(
                ax,
                start_s,
                end_s,
                bottom + height / 2,
                text,
                ink_on(face),
                height=height,
                upright=upright,
            ):
                break
    ax.set_ylabel("uplink band (MHz)")


def _draw_gpu(
    canvas: _Canvas,
    account: Account,
    palette: Mapping[str, Colour],
    keys: Mapping[str, str],
) -> bool:
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
            texts = f"{model} × {batch}", f"{keys[model]} × {batch}", f"× {batch}"
            for text in (*texts, f"{batch}"):
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
    ax.set_ylim(0, _KEYS_BOTTOM)
    ax.set_ylabel("GPU")
    return bool(late.any())


def _draw_keys(canvas: _Canvas, account: Account, keys: Mapping[str, str]) -> None:
    """Write models' keys above the rounds, with lines to their loads, or batches.

    Rounds of one model in a row have one key, above the first of them.
    """
    ax, bars = canvas.gpu, _visits(account, keys)
    longest_pt = _LETTER * _KEY_PT * max(map(len, keys.values()), default=1)
    at = place_callouts(
        [
            (canvas.points(ax, bar.start_s), canvas.points(ax, bar.end_s))
            for bar in bars
        ],
        canvas.points(ax, canvas.span_s),
        (longest_pt + 5, 1.3 * _KEY_PT),
    )
    row_pt = (longest_pt if at.upright else _KEY_PT) + 3
    high_pt = canvas.points_high(ax, _KEYS_BOTTOM)
    row = row_pt * _KEYS_BOTTOM / max(1.0, high_pt - at.rows * row_pt)
    ax.set_ylim(0, _KEYS_BOTTOM + at.rows * row)
    per_pt = canvas.span_s * canvas.scale / canvas.points(ax, canvas.span_s)
    for turn, (index, at_pt) in enumerate(zip(at.chosen, at.at_pt, strict=True)):
        bar = bars[index]
        x, middle = at_pt * per_pt, (bar.start_s + bar.end_s) / 2 * canvas.scale
        bottom = _KEYS_BOTTOM + (turn % at.rows) * row
        ax.text(
            x,
            bottom + 0.15 * row / (1 + at.upright),
            bar.key,
            ha="center",
            va="bottom",
            fontsize=_KEY_PT,
            rotation=90 if at.upright else 0,
            gid="key",
        )
        load_top = _LOAD.bottom + _LOAD.height
        ax.plot(
            [middle, middle, x, x],
            [bar.lane.bottom + bar.lane.height, load_top + 0.04, _KEYS_BOTTOM, bottom],
            color=INK,
            linewidth=0.6,
        )


def _visits(account: Account, keys: Mapping[str, str]) -> list[_Visit]:
    """List the bars that keys stand above: the first of each model's in a row."""
    rounds, names = account.run.rounds, account.tables.model_names
    visits = []
    for r in range(len(rounds.model)):
        if r and rounds.model[r] == rounds.model[r - 1] and not rounds.load_s[r]:
            continue
        key = keys[names[rounds.model[r]]]
        start_s, load_s = float(rounds.load_start_s[r]), float(rounds.load_s[r])
        if load_s > 0:
            visits.append(_Visit(key, start_s, start_s + load_s, _LOAD))
        else:
            start_s, end_s = float(rounds.compute_start_s[r]), float(rounds.end_s[r])
            visits.append(_Visit(key, start_s, end_s, _COMPUTE))
    return visits


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
    if canvas.points(ax, span[1] - span[0]) > _LETTER * _FONT_PT * len(text) + 3:
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
    ax: Axes,
    account: Account,
    palette: Mapping[str, Colour],
    keys: Mapping[str, str],
    late: bool,
) -> int:
    """Draw a legend of models below the x axis; return how many lines it has."""
    entries = legend_of_models(keys, palette)
    if account.run.rounds.reused_bytes.any():
        patch = Patch(fc="#e4e4e4", ec=INK, hatch="////")
        entries.append(((patch,), "already in GPU memory"))
    if late:
        entries.append(((Patch(fc="white", ec=INK, hatch="xxx"),), "late requests"))
    return draw_below(ax, entries)
