"""What to type after ``edgesim profile sharing``: lines that work as they stand."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesim.checkpoints.content import ContentLibrary
from edgesim.text import TEXT_WIDTH

LATENCY_OF = "clockwork-v100:resnet50"
"""Model whose latencies stand in for those of checkpoints until they are measured."""

LONGEST_LINE = 300
"""Lines with more characters of file names refer to the command just typed."""

_PROFILE = "my-models.json"
_MEASURED = "my-models-measured.json"
_TRACE = "campus"
_TRACE_MODELS = 24
"""Models that the shipped trace has: of more models, some would have no request."""

_DRAWN = "my-requests.csv"
_RATE_PER_S = 50
_LEAST_REQUESTS = 8
"""Requests of the least popular model in a trace that is drawn, on average."""


def next_steps(
    checkpoints: Sequence[str],
    options: Sequence[str],
    chosen: Sequence[str],
    library: ContentLibrary,
    *,
    profile: Path | None,
    runs: bool,
    memory: bool,
) -> list[str]:
    """List what to type next: a run, measuring, and what was not asked for.

    Parameters
    ----------
    checkpoints, options
        The command's arguments, and its options on how tensors are compared.
    chosen
        Its options on which weights are read, which measuring does not have.
    library
        What the checkpoints share.
    profile
        The profile that was written, if any.
    runs
        Whether it holds latencies, so that a run can use it.
    memory
        Whether sizes of memory were asked for.
    """
    lines = []
    given = written(checkpoints)
    drawing, trace = _trace(len(library.models))
    how = shlex.join(options)
    if profile is not None and runs:
        lines += ["next, a run:", *drawing, f"  {_run(str(profile), trace)}"]
    else:
        add = f"--like {LATENCY_OF} --out {_PROFILE}"
        lines += [
            f"next, a run with loads and latencies as of {LATENCY_OF}:",
            "  "
            + (
                f"the same command with {add}"
                if given is None
                else _joined(
                    "edgesim profile sharing", given, how, shlex.join(chosen), add
                )
            ),
            *drawing,
            f"  {_run(_PROFILE, trace)}",
        ]
    if not chosen:
        lines += _measuring(given, how, library, trace)
    if not memory:
        lines.append("how many models fit into your GPU's memory: --memory 1GB,24GiB")
    return lines


def written(checkpoints: Sequence[str]) -> str | None:
    """Write arguments as they can be typed; None if that takes too long a line.

    Many files of one folder, and no others of their kind there, are a pattern.
    """
    given = shlex.join(checkpoints)
    if len(given) <= TEXT_WIDTH:
        return given
    return _pattern(checkpoints) or (given if len(given) <= LONGEST_LINE else None)


def _pattern(checkpoints: Sequence[str]) -> str | None:
    paths = [Path(text) for text in checkpoints]
    folders, endings = {p.parent for p in paths}, {p.suffix for p in paths}
    if len(folders) > 1 or len(endings) > 1:
        return None
    folder, ending = folders.pop(), endings.pop()
    there = [p for p in folder.glob(f"*{ending}") if not p.name.startswith(".")]
    if sorted(there) != sorted(paths):
        return None
    place = "" if folder == Path() else f"{shlex.quote(str(folder))}/"
    return f"{place}*{shlex.quote(ending) if ending else ''}"


def _run(profile: str, trace: str) -> str:
    return _joined("edgesim run --profile", shlex.quote(profile), f"--trace {trace}")


def _trace(models: int) -> tuple[list[str], str]:
    """Name a trace with as many models, and the line that draws it if none is shipped.

    The least popular of n models has 1 / (n · (1 + 1/2 + … + 1/n)) of the requests.
    """
    if models <= _TRACE_MODELS:
        return [], _TRACE
    requests = _LEAST_REQUESTS * models * (math.log(models) + 0.58)
    duration_s = 10 * math.ceil(requests / _RATE_PER_S / 10)
    return [
        f"  edgesim trace generate --rate {_RATE_PER_S} --duration-s {duration_s} "
        f"--models {models} --slo-s 0.5 --out {_DRAWN}"
    ], _DRAWN


def _measuring(
    given: str | None, how: str, library: ContentLibrary, trace: str
) -> list[str]:
    architecture = _architecture(library)
    if given is None or architecture is None:
        return [
            "then measured on your GPU: edgesim profile measure with the same files, "
            "and with --factory",
            "  the architecture, which the files do not tell (docs/own-models.md)",
        ]
    line = _joined(
        "edgesim profile measure",
        given,
        how,
        f"--factory {architecture} --device cuda:0 --out {_MEASURED}",
    )
    return ["then measured on your GPU:", f"  {line}", f"  {_run(_MEASURED, trace)}"]


_BLOCKS: Mapping[tuple[bool, tuple[int, ...]], str] = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
"""Whether blocks have a third convolution, and blocks per layer: ResNets."""


def _architecture(library: ContentLibrary) -> str | None:
    """Name the architecture of all checkpoints, if the names of tensors tell it."""
    found = {_resnet({t.name for t in c.tensors}) for c in library.checkpoints}
    return found.pop() if len(found) == 1 else None


def _resnet(names: set[str]) -> str | None:
    if not {"conv1.weight", "fc.weight"} <= names:
        return None
    depths = tuple(
        len({n.split(".")[1] for n in names if n.startswith(f"layer{number}.")})
        for number in range(1, 5)
    )
    name = _BLOCKS.get(("layer1.0.conv3.weight" in names, depths))
    return None if name is None else f"torchvision:{name}"


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
