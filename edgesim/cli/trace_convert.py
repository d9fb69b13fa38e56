"""``edgesim trace convert``: request logs to traces, a command a format.

Numpy and modules that depend on it are imported inside the commands, so that help is
fast.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgesim.cli.command import command
from edgesim.cli.output import say
from edgesim.errors import InputError

if TYPE_CHECKING:
    from edgesim.trace.convert import ConversionReport
    from edgesim.trace.stored import StoredTrace

convert = typer.Typer(
    help="Turn a request log into a trace: edgesim trace convert FORMAT IN... OUT.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Sources = Annotated[
    list[Path],
    typer.Argument(metavar="IN...", help="Files of the log in order, packed or not."),
]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="The trace (CSV).")]
Slo = Annotated[
    float, typer.Option("--slo-s", help="Deadline of all, in seconds after arrival.")
]
InputBytes = Annotated[
    int, typer.Option("--input-bytes", help="Mean input size in bytes.")
]
InputBytesCv = Annotated[
    float,
    typer.Option("--input-bytes-cv", help="Lognormal sizes of this CV; 0: all equal."),
]
Users = Annotated[
    int, typer.Option("--users", help="Users; each request's is drawn uniformly.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
Start = Annotated[
    float, typer.Option("--start-s", help="Keep arrivals from this second on, as 0.")
]
Duration = Annotated[
    float | None, typer.Option("--duration-s", help="Keep this many seconds.")
]
Zipf = Annotated[
    float, typer.Option("--zipf", help="Zipf exponent of the models' popularity.")
]
BytesPerToken = Annotated[
    int, typer.Option("--bytes-per-token", help="Input bytes for each input token.")
]
Models = Annotated[
    int, typer.Option(help="Models, drawn for each request (the source has one).")
]
SpreadTies = Annotated[
    bool,
    typer.Option(
        "--spread-ties", help="Spread rows of equal times evenly over their tick."
    ),
]
Arrival = Annotated[str, typer.Option("--arrival", help="Column of arrival times.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Column of models; else see --models.")
]
ArrivalUnit = Annotated[
    str,
    typer.Option(
        "--arrival-unit",
        help="s, ms, us, ns; iso for 2023-01-05T10:00:00Z or 2023/01/05 10:00; apache "
        "for 05/Jan/2023:10:00:00 +0100.",
    ),
]
User = Annotated[
    str | None, typer.Option("--user", help="Column of users; else see --users.")
]
Size = Annotated[
    str | None,
    typer.Option("--size", help="Column of input sizes; else see --input-bytes."),
]
SizeUnit = Annotated[
    str | None, typer.Option("--size-unit", help="B (default), kB, MB, KiB or MiB.")
]
SizeTokens = Annotated[
    int | None,
    typer.Option("--bytes-per-token", help="--size counts tokens of this many bytes."),
]
SloColumn = Annotated[
    str | None, typer.Option("--slo", help="Column of deadlines (s); else see --slo-s.")
]
Decimal = Annotated[
    str | None,
    typer.Option("--decimal", help="Decimal sign, . or , if the other may group."),
]
Header = Annotated[
    str | None,
    typer.Option("--header", help="Columns, with commas, of a file without header."),
]
LogSlo = Annotated[
    float | None,
    typer.Option("--slo-s", help="Deadline of all, in seconds after arrival."),
]
LogInputBytes = Annotated[
    int | None,
    typer.Option("--input-bytes", help="Mean input size in bytes (150528)."),
]
LogInputBytesCv = Annotated[
    float | None,
    typer.Option("--input-bytes-cv", help="Lognormal sizes of this CV (0: all equal)."),
]
LogUsers = Annotated[
    int | None, typer.Option("--users", help="Users; each request's is drawn (100).")
]
LogModels = Annotated[
    int | None,
    typer.Option("--models", help="Models, drawn for each request of a log without."),
]
LogZipf = Annotated[
    float | None,
    typer.Option("--zipf", help="Zipf exponent of what --models draws (1)."),
]


def _of_functions(name: str, about: str) -> None:
    """Add the command of a source whose models are functions."""

    def converted(
        sources: Sources,
        out: Target,
        slo_s: Slo,
        input_bytes: InputBytes = 150_528,
        input_bytes_cv: InputBytesCv = 0.0,
        users: Users = 100,
        seed: Seed = 0,
        start_s: Start = 0.0,
        duration_s: Duration = None,
    ) -> None:
        from edgesim.trace import convert as formats

        fill = formats.Fill(
            slo_s=slo_s,
            input_bytes=input_bytes,
            input_bytes_cv=input_bytes_cv,
            users=users,
            seed=seed,
            start_s=start_s,
            duration_s=duration_s,
        )
        converter = getattr(formats, name.replace("-", "_"))
        _write(sources, out, lambda: converter(sources, fill))

    convert.command(name, help=about, cls=command())(converted)


_of_functions(
    "azure-functions-2019",
    "Convert calls per minute; functions become models by popularity.",
)
_of_functions(
    "azure-functions-2021",
    "Convert single calls; functions become models by popularity.",
)


def _of_services(name: str, about: str) -> None:
    """Add the command of a source that logs the calls of one language model."""

    def converted(
        sources: Sources,
        out: Target,
        slo_s: Slo,
        bytes_per_token: BytesPerToken = 4,
        models: Models = 1,
        zipf: Zipf = 1.0,
        users: Users = 100,
        seed: Seed = 0,
        spread_ties: SpreadTies = False,
        start_s: Start = 0.0,
        duration_s: Duration = None,
    ) -> None:
        from edgesim.trace import convert as formats

        fill = formats.Fill(
            slo_s=slo_s,
            users=users,
            seed=seed,
            spread_ties=spread_ties,
            start_s=start_s,
            duration_s=duration_s,
        )
        converter = getattr(formats, name.replace("-", "_"))
        more = {"bytes_per_token": bytes_per_token, "models": models, "zipf": zipf}
        _write(sources, out, lambda: converter(sources, fill, **more))

    convert.command(name, help=about, cls=command())(converted)


_of_services("azure-llm-2023", "Convert calls of one language model service.")
_of_services("mooncake", "Convert calls of one language model service: JSON lines.")


@convert.command("csv", cls=command())
def csv(
    sources: Sources,
    out: Target,
    arrival: Arrival,
    model: Model = None,
    arrival_unit: ArrivalUnit = "s",
    user: User = None,
    size: Size = None,
    size_unit: SizeUnit = None,
    bytes_per_token: SizeTokens = None,
    slo: SloColumn = None,
    delimiter: Annotated[
        str, typer.Option(help="One character, or tab, or space.")
    ] = ",",
    header: Header = None,
    decimal: Decimal = None,
    slo_s: LogSlo = None,
    input_bytes: LogInputBytes = None,
    input_bytes_cv: LogInputBytesCv = None,
    users: LogUsers = None,
    models: LogModels = None,
    zipf: LogZipf = None,
    seed: Seed = 0,
    spread_ties: SpreadTies = False,
    start_s: Start = 0.0,
    duration_s: Duration = None,
) -> None:
    """Convert any request log: CSV with a header, one request per row."""
    columns = {
        "arrival": arrival,
        "model": model,
        "arrival_unit": arrival_unit,
        "user": user,
        "size": size,
        "size_unit": size_unit,
        "bytes_per_token": bytes_per_token,
        "slo": slo,
        "decimal": decimal,
        "delimiter": {"tab": "\t", r"\t": "\t", "space": " "}.get(delimiter, delimiter),
        "header": None if header is None else tuple(header.split(",")),
    }
    fill = {
        "slo_s": slo_s,
        "input_bytes": input_bytes,
        "input_bytes_cv": input_bytes_cv,
        "users": users,
        "seed": seed,
        "spread_ties": spread_ties,
        "start_s": start_s,
        "duration_s": duration_s,
    }
    _convert_log(sources, out, columns, fill, {"models": models, "zipf": zipf})


@convert.command("jsonl", cls=command())
def jsonl(
    sources: Sources,
    out: Target,
    arrival: Arrival,
    model: Model = None,
    arrival_unit: ArrivalUnit = "s",
    user: User = None,
    size: Size = None,
    size_unit: SizeUnit = None,
    bytes_per_token: SizeTokens = None,
    slo: SloColumn = None,
    decimal: Decimal = None,
    slo_s: LogSlo = None,
    input_bytes: LogInputBytes = None,
    input_bytes_cv: LogInputBytesCv = None,
    users: LogUsers = None,
    models: LogModels = None,
    zipf: LogZipf = None,
    seed: Seed = 0,
    spread_ties: SpreadTies = False,
    start_s: Start = 0.0,
    duration_s: Duration = None,
) -> None:
    """Convert any request log: JSON lines, an object a request; a.b names an inner."""
    columns = {
        "arrival": arrival,
        "model": model,
        "arrival_unit": arrival_unit,
        "user": user,
        "size": size,
        "size_unit": size_unit,
        "bytes_per_token": bytes_per_token,
        "slo": slo,
        "decimal": decimal,
        "form": "jsonl",
    }
    fill = {
        "slo_s": slo_s,
        "input_bytes": input_bytes,
        "input_bytes_cv": input_bytes_cv,
        "users": users,
        "seed": seed,
        "spread_ties": spread_ties,
        "start_s": start_s,
        "duration_s": duration_s,
    }
    _convert_log(sources, out, columns, fill, {"models": models, "zipf": zipf})


def _convert_log(
    sources: list[Path],
    out: Path,
    columns: dict[str, Any],
    fill: dict[str, Any],
    drawn: dict[str, Any],
) -> None:
    """Convert a log of which only some options are given."""
    from edgesim.trace import convert as formats

    given = {**columns, **fill, **drawn}
    for column, instead in (
        ("slo", "slo_s"),
        ("size", "input_bytes"),
        ("size", "input_bytes_cv"),
        ("user", "users"),
        ("model", "models"),
        ("model", "zipf"),
        ("bytes_per_token", "size_unit"),
    ):
        if given[column] is not None and given[instead] is not None:
            option, other = (f"--{n.replace('_', '-')}" for n in (instead, column))
            raise InputError(option, f"must not be given together with {other}")
    if columns["model"] is None and drawn["models"] is None:
        raise InputError("--model", "is needed, or --models for a log that names none")

    def told(options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if value is not None}

    meaning = formats.LogColumns(**{"model": None, **told(columns)})
    filled = formats.Fill(**told(fill))
    _write(
        sources,
        out,
        lambda: formats.request_log(sources, meaning, filled, **told(drawn)),
    )


def _write(
    sources: list[Path],
    out: Path,
    convert: Callable[[], tuple[StoredTrace, ConversionReport]],
) -> None:
    """Convert, once it is known that the result can be written."""
    from edgesim.storage.file_kinds import TRACE
    from edgesim.storage.files import check_writable, keep_inputs
    from edgesim.trace.requests import write_trace

    keep_inputs(out, *sources)
    check_writable(out, TRACE)
    trace, report = convert()
    write_trace(trace, out)
    say(report, err=True)
