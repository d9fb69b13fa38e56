"""``edgesim profile sharing``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesim.cli.output import say, say_json

if TYPE_CHECKING:
    from edgesim.checkpoints.content import ContentLibrary
    from edgesim.checkpoints.to_profile import LoadRules, ModelOf


def sharing(
    context: typer.Context,
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
    memory: Annotated[
        str | None,
        typer.Option(help="GPU memory: how many models fit, as in 16GB or 1e9,24GiB."),
    ] = None,
    skip: Annotated[
        bool,
        typer.Option("--skip", help="Leave out what cannot be read, and say which."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List every model, block and family.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the answer as JSON, and no text.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Also a profile (JSON): a model library.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also a picture of families and pairs (png, pdf, svg)."),
    ] = None,
) -> None:
    """Say what checkpoint files share, by content, and how many fit into memory."""
    from os.path import isfile
    from typing import cast

    from edgesim.checkpoints import files
    from edgesim.checkpoints.answer import answer
    from edgesim.checkpoints.content import Names, share_by_content
    from edgesim.checkpoints.model_names import parse_checkpoints
    from edgesim.checkpoints.sharing_text import report
    from edgesim.checkpoints.to_profile import (
        given_files,
        library_profile,
        loads_assumed,
    )
    from edgesim.cli.command import as_typed
    from edgesim.cli.next_steps import next_steps
    from edgesim.cli.options import byte_sizes, one_of
    from edgesim.cli.progress import progress
    from edgesim.errors import InputError
    from edgesim.profile.file import write_profile
    from edgesim.storage.file_kinds import PROFILE
    from edgesim.storage.files import check_writable, keep_inputs
    from edgesim.text import plain

    matching = cast("Names", one_of("--names", names, ("ignore", "match")))
    sizes = () if memory is None else byte_sizes("--memory", memory)
    loads, latency = _sources(like, load_rate, latency_from, out)
    parsed = parse_checkpoints(checkpoints)
    typed = [path for one in parsed for path in one.paths if isfile(path)]
    texts = {one.name: text for one, text in zip(parsed, checkpoints, strict=True)}
    hints = files.Hints(key, base)

    def left_out(one: files.CheckpointFiles, error: InputError) -> None:
        parsed.remove(one)
        say(f"left out {plain(str(as_typed(error, context.command)))}", err=True)

    how_to_go_on = _say_skip if len(parsed) > 1 and not skip else nullcontext
    paths: list[Path] = []
    with how_to_go_on():
        for one in list(parsed):
            try:
                paths += files.checkpoint_paths(one, hints)
            except InputError as error:
                if not skip:
                    raise
                left_out(one, error)
    for written in (out, picture):
        if written is not None:
            keep_inputs(written, *typed, *paths, *given_files(like, latency_from))
    if out is not None:
        check_writable(out, PROFILE)
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

        with how_to_go_on():
            read = files.read_checkpoints(
                list(parsed), hashed, hints=hints, left_out=left_out if skip else None
            )
    library = share_by_content(read, names=matching, min_bytes=min_bytes)
    found = answer(library, loads or loads_assumed(), sizes)
    _doubt_memory(library, sizes)
    if out is not None:
        assert loads is not None  # checked above
        profile = library_profile(out.stem, library, loads, latency)
        write_profile(out, profile)
    if picture is not None:
        write_picture(library, found, picture)
    noted = _notes(library)
    if as_json:
        say_json(found.document())
        for line in noted:
            say(line, err=True)
    else:
        say(report(library, found, loads or loads_assumed(), everything=everything))
        say()
        for line in noted:
            say(line)
        if out is not None:
            say(f"profile in {out}")
        if picture is not None:
            say(f"picture in {picture}")
        how = [] if names == "ignore" else ["--names", names]
        how += [] if min_bytes is None else ["--min-bytes", str(min_bytes)]
        for line in next_steps(
            [texts[one.name] for one in parsed],
            how,
            _chosen(key, base),
            library,
            profile=out,
            runs=latency is not None,
            memory=memory is not None,
        ):
            say(line)
    if out is not None and latency is None:
        say(
            f"{out} holds no latency, for none was measured, and edgesim run "
            f"needs one: give --latency-from PROFILE:MODEL",
            err=True,
        )


def _doubt_memory(library: ContentLibrary, sizes: Sequence[int]) -> None:
    """Warn of memory that holds no model and looks like another unit."""
    from edgesim.experiment.doubts import unusual

    models = library.models.values()
    smallest = min(sum(block.bytes for block in blocks) for blocks in models)
    for size in sizes:
        doubt = unusual("gpu.memory_bytes", size) if size < smallest else None
        if doubt is not None:
            say(f"warning: --memory: {doubt}", err=True)


def _chosen(key: str | None, base: Path | None) -> list[str]:
    """Write the options that say which weights of the files are read."""
    given = [] if key is None else ["--key", key]
    return given if base is None else [*given, "--base", str(base)]


@contextmanager
def _say_skip() -> Iterator[None]:
    """Add to what is wrong with one of several files that the others can do."""
    from edgesim.errors import InputError, Parameter

    try:
        yield
    except InputError as error:
        where, *what = error.args
        if isinstance(where, Parameter):
            raise
        raise InputError(where, *what, "; --skip leaves it out") from None


def _notes(library: ContentLibrary) -> list[str]:
    """List what there is to say of how the files were read, with the options."""
    from edgesim.checkpoints.notes import SHARED_TOO, notes
    from edgesim.checkpoints.state import OTHER_KEYS

    options = {OTHER_KEYS: "--key KEY", SHARED_TOO: "--min-bytes 0"}
    lines = []
    for line in notes(library):
        for words, option in options.items():
            line = line.replace(words, f"{words} ({option})")
        lines.append(line)
    return lines


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
    if rate is not None and rate < 1:
        raise InputError("--load-rate", f"must be 1 byte/s or more, found {rate}")
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
