"""``edgesim profile variants``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesim.cli.output import say


def variants(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="torchvision:NAME, timm:NAME, hf:TYPE[,KEY=VALUE...] or "
            "package.module:factory; NAME=SPEC to name it.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    count: Annotated[
        int, typer.Option("--variants", min=1, max=99, help="How many fine-tunes.")
    ] = 2,
    frozen: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the blocks that keep the base's."),
    ] = 0.8,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of the new weights.")
    ] = 0,
    dtype: Annotated[
        str | None,
        typer.Option(help="Convert the network: float32, float16 or bfloat16."),
    ] = None,
) -> None:
    """Write made-up fine-tunes of a network: checkpoints to try things on."""
    from edgesim.cli.needs import need_torch
    from edgesim.cli.options import one_of

    need_torch("edgesim profile variants")
    from edgesim.profiling.architecture import DTYPES, parse_spec
    from edgesim.profiling.variants import write_variants
    from edgesim.text import counted, size_text

    if dtype is not None:
        one_of("--dtype", dtype, tuple(DTYPES))
    written = write_variants(
        parse_spec(spec), out, count=count, frozen=frozen, seed=seed, dtype=dtype
    )
    say(
        f"{written.frozen_blocks} of {counted(written.blocks, 'block')} frozen: "
        f"{size_text(written.frozen_bytes)} of {size_text(written.bytes)} a file"
    )
    for path in written.files:
        say(path)
