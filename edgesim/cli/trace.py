"""``edgesim trace``: convert, generate, scale and show request traces.

Numpy and modules that depend on it are imported inside the commands, so that help is
fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.command import command
from edgesim.cli.output import say
from edgesim.cli.trace_convert import (
    InputBytes,
    InputBytesCv,
    Seed,
    Target,
    Users,
    Zipf,
    convert,
)
from edgesim.errors import InputError

app = typer.Typer(
    help="Convert, generate, scale and show request traces.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(convert, name="convert")

Source = Annotated[Path, typer.Argument(metavar="IN", help="The source file.")]


@app.command("generate", cls=command(rate_per_s="rate"))
def generate(
    rate: Annotated[float, typer.Option(help="Mean arrivals per second.")],
    duration_s: Annotated[float, typer.Option(help="Length in seconds.")],
    slo_s: Annotated[
        str,
        typer.Option(
            help="Deadline in seconds after arrival; several with commas between go "
            "to the models in turn."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The trace (CSV).")],
    arrivals: Annotated[
        str, typer.Option(help="poisson, gamma or on-off.")
    ] = "poisson",
    cv: Annotated[
        float | None, typer.Option(help="gamma: CV of the inter-arrival times.")
    ] = None,
    on_s: Annotated[
        float | None, typer.Option(help="on-off: mean seconds of an on phase.")
    ] = None,
    off_s: Annotated[
        float | None, typer.Option(help="on-off: mean seconds of an off phase.")
    ] = None,
    burst_factor: Annotated[
        float | None,
        typer.Option(
            help="on-off: rate when on over --rate; at most, and by default, "
            "(on + off)/on, which leaves nothing for off phases."
        ),
    ] = None,
    models: Annotated[int, typer.Option(help="Number of models.")] = 10,
    zipf: Zipf = 1.0,
    users: Users = 100,
    input_bytes: InputBytes = 150_528,
    input_bytes_cv: InputBytesCv = 0.0,
    seed: Seed = 0,
) -> None:
    """Draw a trace: an arrival process, Zipf popularity, sizes and deadlines."""
    from edgesim.storage.file_kinds import TRACE
    from edgesim.storage.files import check_writable
    from edgesim.trace import generate as synthetic
    from edgesim.trace.requests import write_trace

    check_writable(out, TRACE)
    trace = synthetic.generate(
        rate_per_s=rate,
        duration_s=duration_s,
        slo_s=_numbers("--slo-s", slo_s),
        arrivals=arrivals,
        cv=cv,
        on_s=on_s,
        off_s=off_s,
        burst_factor=burst_factor,
        models=models,
        zipf=zipf,
        users=users,
        input_bytes=input_bytes,
        input_bytes_cv=input_bytes_cv,
        seed=seed,
    )
    write_trace(trace, out)
    say(f"{len(trace):,} requests written", err=True)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            option, f"must be a number, or several with commas, found {text!r}"
        ) from None


@app.command("scale", cls=command())
def scale(
    source: Source,
    out: Target,
    rate_scale: Annotated[
        float, typer.Option(help="Factor on the number of arrivals.")
    ] = 1.0,
    time_scale: Annotated[
        float, typer.Option(help="Factor on arrival times; deadlines stay.")
    ] = 1.0,
    cv_scale: Annotated[
        float,
        typer.Option(help="Factor on the CV of the gaps between a model's arrivals."),
    ] = 1.0,
    scale_interval_s: Annotated[
        float | None,
        typer.Option(
            help="Intervals in which rate and CV are scaled, in seconds (60)."
        ),
    ] = None,
    start_s: Annotated[
        float,
        typer.Option(help="Keep arrivals from this second on, as 0; once stretched."),
    ] = 0.0,
    window_s: Annotated[
        float | None, typer.Option(help="Keep this many seconds; once stretched.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Make a trace denser, slower or burstier, or cut it, as scenarios can do."""
    from edgesim.scenario.scenario import workload_of
    from edgesim.shipped import locate
    from edgesim.storage.file_kinds import TRACE
    from edgesim.storage.files import check_writable, keep_inputs
    from edgesim.trace.generate import generator
    from edgesim.trace.requests import read_trace, write_trace
    from edgesim.trace.scale import scaled_window

    rng = generator(seed)
    keys = {
        "rate_scale": rate_scale,
        "time_scale": time_scale,
        "cv_scale": cv_scale,
        "scale_interval_s": scale_interval_s,
        "start_s": start_s,
        "window_s": window_s,
    }
    workload = workload_of({k: v for k, v in keys.items() if v is not None})
    source = locate("trace", source)
    keep_inputs(out, source)
    check_writable(out, TRACE)
    requests = read_trace(source)
    scaled = scaled_window(requests, workload.scaling(0), rng, "--window-s")
    write_trace(scaled, out)
    say(f"{len(scaled):,} requests written, of {len(requests):,} in {source}", err=True)


@app.command("show", cls=command(path="out"))
def show(
    trace: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A trace (CSV), or a shipped one's name."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Also a picture: arrivals and popularity (png, pdf, svg)."),
    ] = None,
) -> None:
    """Print what a trace looks like, and draw it if asked."""
    from edgesim.shipped import locate
    from edgesim.trace.stored import open_trace
    from edgesim.trace.summary import summarise

    if out is not None:
        from edgesim.plotting.style import check_picture
        from edgesim.plotting.trace import write_picture

        check_picture(out)
    requests = open_trace(locate("trace", trace))
    if out is not None:
        write_picture(requests, out)
    say(summarise(requests))
