"""``edgesim profile measure``."""

from __future__ import annotations

import os
import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from edgesim.cli.output import say
from edgesim.errors import InputError, short

if TYPE_CHECKING:
    from edgesim.checkpoints.content import Names
    from edgesim.profile.values import Profile, Tier
    from edgesim.profiling.blocks import BlockOf

LEAST_REPEATS = 10


def measure(
    specs: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC",
            help="torchvision:NAME, timm:NAME, hf:TYPE or package.module:factory, each "
            "with [,KEY=VALUE...], or checkpoint files; NAME=SPEC to name it.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The profile (.json).")],
    device: Annotated[str, typer.Option(help="cuda:N or cpu.")] = "cuda:0",
    batch: Annotated[
        str, typer.Option(help="Batch sizes, commas between; 1 among them.")
    ] = "1,2,4,8,16",
    tiers: Annotated[
        str | None,
        typer.Option(help="Of pinned, pageable, disk; all that the device has."),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(
            help="Regular expression: its first group, or all that matches, is the "
            "tensor's block."
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Blocks: number of name components.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Convert networks: float32, float16 or bfloat16."),
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option("--input", help="3x224x224, or tokens:LENGTH:VOCABULARY."),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(help="Linear modules an adapter is for, as in q_proj,v_proj."),
    ] = None,
    factory: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]SPEC",
            help="Architecture of the checkpoints, or of those of a name (with *); "
            "hf: is the config.json beside each.",
        ),
    ] = None,
    latency_from: Annotated[
        str | None,
        typer.Option(help="PROFILE[:MODEL] whose latencies the checkpoints take."),
    ] = None,
    names: Annotated[
        str, typer.Option(help="Tensors' names in checkpoints: ignore or match.")
    ] = "ignore",
    min_bytes: Annotated[
        int | None,
        typer.Option(min=0, help="Smaller tensors of checkpoints are not shared."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=LEAST_REPEATS, help="Samples of each quantity.")
    ] = 30,
    seconds: Annotated[
        float, typer.Option(help="Most seconds for each quantity (3 samples at least).")
    ] = 2.0,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of torch on the host [as many as it likes]."),
    ] = None,
    graphs: Annotated[
        bool,
        typer.Option(help="Capture batches as graphs where the device can."),
    ] = True,
    disk_folder: Annotated[
        Path | None,
        typer.Option(help="Where the tier disk is measured [the folder of --out]."),
    ] = None,
    check_memory: Annotated[
        bool,
        typer.Option(
            help="Refuse models that the system has no memory for now; a virtual "
            "machine's may grow."
        ),
    ] = True,
    name: Annotated[
        str | None, typer.Option(help="Of the profile [--out without .json].")
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="What readers must know of these numbers.")
    ] = None,
) -> None:
    """Measure load times, latencies and activation memory of models on a device."""
    from edgesim.cli.needs import need_torch
    from edgesim.cli.options import one_of, positive
    from edgesim.cli.progress import progress

    need_torch("edgesim profile measure")
    from edgesim.library.profile_text import tables
    from edgesim.profile.file import write_profile
    from edgesim.profile.summary import tiers_of
    from edgesim.profiling import job as measuring
    from edgesim.profiling.architecture import DTYPES
    from edgesim.profiling.devices import open_device
    from edgesim.profiling.disk import check_folder
    from edgesim.profiling.factories import shown_factory
    from edgesim.profiling.inputs import check_input
    from edgesim.profiling.plan import PlanOptions
    from edgesim.profiling.sampling import Sampling
    from edgesim.profiling.session import Settings
    from edgesim.profiling.threads import set_threads
    from edgesim.storage.file_kinds import PROFILE
    from edgesim.storage.files import check_writable, write_or_save

    # Nothing slow runs before all options are checked.
    if dtype is not None:
        one_of("--dtype", dtype, tuple(DTYPES))
    batches = _batches(batch)
    options = PlanOptions(
        block_of=_block_rule(blocks, depth),
        dtype=dtype,
        input=None if input_ is None else check_input("--input", input_),
        lora=tuple(dict.fromkeys(lora or ())),
        largest_batch=batches[-1],
    )
    seconds = cast("float", positive("--seconds", seconds))
    given = measuring.parse_specs(specs)
    opened = open_device(device)
    opened.uses_graphs = graphs
    if threads is not None:
        set_threads(threads)
    folder = out.resolve().parent
    settings = Settings(
        tiers=_tiers(tiers, opened.tiers),
        batches=batches,
        sampling=Sampling(repeats, seconds),
        disk_folder=folder if disk_folder is None else disk_folder,
    )
    words = [measuring.shown_spec(text) for text in specs]
    for option, value, default in (
        ("--device", device, None),
        ("--batch", batch, None),
        ("--tiers", tiers, None),
        ("--blocks", blocks, None),
        ("--depth", depth, None),
        ("--dtype", dtype, None),
        ("--input", input_, None),
        *(("--lora", target, None) for target in options.lora),
        *(("--factory", shown_factory(one), None) for one in factory or ()),
        (
            "--latency-from",
            latency_from and measuring.shown_profile(latency_from),
            None,
        ),
        ("--names", names, "ignore"),
        ("--min-bytes", min_bytes, None),
        ("--repeats", repeats, 30),
        ("--seconds", seconds, 2.0),
        ("--threads", threads, None),
        ("--disk-folder", disk_folder and measuring.shown_path(disk_folder), None),
        ("--name", name, None),
        ("--out", measuring.shown_path(out), None),
    ):
        if value != default:
            words += [option, str(value)]
    if not check_memory:
        words.append("--no-check-memory")
    if not graphs:
        words.append("--no-graphs")
    job = measuring.Job(
        specs=given,
        settings=settings,
        options=options,
        name=_text("--name", name) or out.stem,
        command=shlex.join(["edgesim", "profile", "measure", *words]),
        names=cast("Names", one_of("--names", names, ("ignore", "match"))),
        min_bytes=min_bytes,
        factories=tuple(factory or ()),
        latency_from=latency_from,
        check_memory=check_memory,
        note=_text("--note", note),
    )
    _check_out(out)
    check_writable(out, PROFILE)
    measuring.check_job(job, out)
    for place in dict.fromkeys((folder, settings.disk_folder)):
        check_folder(place)
    unfinished = out.with_name(f"{out.stem}.partial.json")
    if os.path.lexists(unfinished):
        raise InputError(
            unfinished,
            "is there already, and is where models that are done are kept while others "
            "are measured; move it away, or give another --out",
        )
    kept = False

    def keep(done: Profile) -> None:
        nonlocal kept
        try:
            write_profile(unfinished, done)
            kept = True
        except (InputError, OSError) as error:
            say(f"warning: what is done is not kept: {error}", err=True)

    try:
        profile = measuring.measure_profile(
            job,
            opened,
            lambda line: say(line, err=True),
            partial(progress, between_steps=True),
            keep,
        )
        write_or_save(out, partial(write_profile, profile=profile))
    except BaseException:
        if kept:
            say(f"the models that were done are in {unfinished}", err=True)
        raise
    if kept:
        unfinished.unlink(missing_ok=True)
    say(tables(profile, tiers_of(profile)))


def _check_out(out: Path) -> None:
    if out.suffix != ".json" or out.is_dir():
        raise InputError(
            "--out", f"must be a file ending in .json, found {short(str(out))}"
        )


def _text(option: str, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise InputError(option, "must not be empty")
    return value


def _block_rule(blocks: str | None, depth: int | None) -> BlockOf | None:
    from edgesim.profiling.blocks import by_depth, by_pattern

    if blocks is not None and depth is not None:
        raise InputError("--blocks", "must not be given together with --depth")
    if blocks is not None:
        return by_pattern(blocks)
    return None if depth is None else by_depth(depth)


def _batches(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", part) for part in parts):
        raise InputError(
            "--batch",
            f"must be numbers from 1 to 9999, commas between, found {short(text)}",
        )
    batches = tuple(sorted(map(int, parts)))
    if len(set(batches)) < len(batches) or batches[0] != 1:
        raise InputError(
            "--batch", f"must hold 1, and each number once, found {short(text)}"
        )
    return batches


def _tiers(text: str | None, available: tuple[Tier, ...]) -> tuple[Tier, ...]:
    if text is None:
        return available
    chosen = {part.strip() for part in text.split(",")}
    if not chosen <= set(available):
        raise InputError(
            "--tiers",
            f"must be of {', '.join(available)} on this device, found {short(text)}",
        )
    return tuple(tier for tier in available if tier in chosen)
