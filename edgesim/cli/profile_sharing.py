"""``edgesim profile sharing``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgesim.checkpoints.to_profile import LoadRules, ModelOf


def sharing(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CKPT...",
            help="[NAME=]PATH[+PATH...]: a safetensors or PyTorch file, or a folder.",
            show_default=False,
        ),
    ],
    names: Annotated[
        str, typer.Option(help="ignore tensors' names, or match: same name too.")
    ] = "ignore",
    min_bytes: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Smaller tensors are never shared. Left out: those of a few bytes, "
            "and counters, only where weights are shared.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Read the weights under this key of every file."),
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The base of PEFT adapters: a file or folder.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="PROFILE[:MODEL]: load as that profile's copies do."),
    ] = None,
    load_rate: Annotated[
        float | None, typer.Option(help="Load at this rate, in bytes/s.")
    ] = None,
    latency_from: Annotated[
        str | None,
        typer.Option(help="PROFILE:MODEL: batch latencies of every checkpoint."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also a profile (JSON): a model library.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also a heat map of shared bytes (png, pdf, svg)."),
    ] = None,
) -> None:
    """Find what checkpoint files share, by the content of their tensors."""
    from typing import cast

    from edgesim.checkpoints import files
    from edgesim.checkpoints.content import Names, share_by_content
    from edgesim.checkpoints.notes import SHARED_TOO, notes
    from edgesim.checkpoints.sharing_text import report
    from edgesim.checkpoints.state import OTHER_KEYS
    from edgesim.checkpoints.to_profile import given_files, library_profile
    from edgesim.cli.options import one_of
    from edgesim.cli.progress import progress
    from edgesim.errors import InputError
    from edgesim.files import keep_inputs
    from edgesim.profile.file import write_profile

    matching = cast("Names", one_of("--names", names, ("ignore", "match")))
    loads, latency = _sources(like, load_rate, latency_from, out)
    parsed = [files.parse_checkpoint(text) for text in checkpoints]
    files.check_names(parsed)
    hints = files.Hints(key, base)
    paths = [path for one in parsed for path in files.checkpoint_paths(one, hints)]
    for written in (out, picture):
        if written is not None:
            keep_inputs(written, *paths, *given_files(like, latency_from))
    if picture is not None:
        from edgesim.plotting.sharing import write_picture
        from edgesim.plotting.style import check_picture

        check_picture(picture)
        if out is not None and picture.resolve() == out.resolve():
            raise InputError("--picture", f"would replace the profile {out}")

    total = sum(path.stat().st_size for path in paths)
    with progress("hashing (bytes)") as advance:
        done = 0

        def hashed(size: int) -> None:
            nonlocal done
            done += size
            advance(done, total)

        read = files.read_checkpoints(parsed, hashed, hints=hints)
    library = share_by_content(read, names=matching, min_bytes=min_bytes)
    text = report(library, loads)
    if out is not None:
        assert loads is not None  # checked above
        profile = library_profile(out.stem, library, loads, latency)
        write_profile(out, profile)
    if picture is not None:
        write_picture(library, picture)
    typer.echo(text)
    for place, line in enumerate(notes(library)):
        choices = {OTHER_KEYS: "--key KEY", SHARED_TOO: "--min-bytes 0"}
        for words, option in choices.items():
            line = line.replace(words, f"{words} ({option})")
        typer.echo(line if place else f"\n{line}")
    if out is not None:
        typer.echo(f"\nprofile in {out}")
        if latency is None:
            typer.echo(
                f"{out} holds no latency, for none was measured, and edgesim run "
                f"needs one: give --latency-from PROFILE:MODEL",
                err=True,
            )
    if picture is not None:
        typer.echo(f"picture in {picture}")


def _sources(
    like: str | None,
    load_rate: float | None,
    latency_from: str | None,
    out: Path | None,
) -> tuple[LoadRules | None, ModelOf | None]:
    """Read the sources of load times and latencies, before any weights are read."""
    from edgesim.checkpoints.to_profile import (
        check_latency,
        loads_at,
        loads_like,
        read_reference,
    )
    from edgesim.cli.options import positive
    from edgesim.errors import InputError

    rate = positive("--load-rate", load_rate)
    if like is not None and rate is not None:
        raise InputError("--load-rate", "cannot be given together with --like")
    if out is not None and like is None and rate is None:
        raise InputError(
            "--out", "needs load times: give --like PROFILE or --load-rate BYTES_PER_S"
        )
    if latency_from is not None and out is None:
        raise InputError(
            "--latency-from", "is for the profile that --out names, and there is none"
        )
    loads = None if rate is None else loads_at(rate)
    latency = None
    if like is not None:
        source = read_reference("--like", like)
        loads = loads_like(source.profile)
        latency = None if source.model is None else source
    if latency_from is not None:
        latency = read_reference("--latency-from", latency_from)
        check_latency("--latency-from", latency)
    elif latency is not None and out is not None:
        check_latency("--like", latency)
    return loads, latency
