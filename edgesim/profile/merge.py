"""Merge measured profiles of one machine: medians of separate runs, and their spread.

A single run does not show how much runs vary. Every timing of a merged profile holds
the medians of the runs that it is made of.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from edgesim.errors import InputError, short
from edgesim.profile.summary import run_count
from edgesim.profile.values import (
    BlockProfile,
    CopyTime,
    Measured,
    ModelProfile,
    Overlap,
    Profile,
    Tier,
    Timing,
)
from edgesim.text import counted

RUNS_MERGED = "Separate runs merged: "
"""Starts the last part of a merged profile's note, which counts the runs of each."""

Held = TypeVar("Held")
Loads: TypeAlias = Mapping[Tier, Timing]


@dataclass(frozen=True)
class Merged:
    """A profile merged from several, and one line for each thing left out of it."""

    profile: Profile
    left_out: tuple[str, ...]


def merge_profiles(
    profiles: Mapping[str, Profile], name: str, note: str | None = None
) -> Merged:
    """Merge measured profiles of one machine.

    The runs of a model are the profiles that hold it. A timing becomes the median of
    the runs' medians, with the smallest of their p10 and the largest of their p90 if
    all have one; activation bytes become the maximum. Data held by a single profile is
    taken over unchanged. A tier, or a batch size, is merged over the runs that hold it;
    a size of the ladder of copies is kept if all runs of the ladder hold it. Blocks
    with the same content are one block, whichever models hold it.

    Parameters
    ----------
    profiles
        At least two profiles, by file name.
    name, note
        Name and note of the merged profile; the notes of the runs follow the note.

    Raises
    ------
    InputError
        Naming the file and the key, if profiles are not measured, are from different
        machines or software, hold different models under the same name, or are the same
        run.
    """
    if len(profiles) < 2:
        raise InputError(
            ", ".join(profiles), f"must be two runs or more, found {len(profiles)}"
        )
    _check_runs(profiles)
    left_out: list[str] = []
    loads = _block_loads(profiles)
    names = dict.fromkeys(model for run in profiles.values() for model in run.models)
    models: dict[str, ModelProfile] = {}
    counts: dict[int, list[str]] = {}
    for model in names:
        runs = {
            f: run.models[model] for f, run in profiles.items() if model in run.models
        }
        models[model] = _model(model, runs, loads)
        counts.setdefault(sum(map(run_count, runs.values())), []).append(model)
    copies = _copies([run.copies for run in profiles.values() if run.copies], left_out)
    rounds = [run.round_s for run in profiles.values() if run.round_s is not None]
    profile = Profile(
        name=name,
        provenance=_provenance(
            profiles, copies, note, [*left_out, _run_counts(counts)]
        ),
        models=models,
        copies=copies or None,
        round_s=merged_timing(rounds) if rounds else None,
    )
    return Merged(profile, tuple(left_out))


def merged_timing(runs: Sequence[Timing]) -> Timing:
    """Merge timings of one quantity in separate runs; a single one is unchanged.

    The runs of a timing that is itself merged count individually.
    """
    if len(runs) == 1:
        return runs[0]
    medians = [s for run in runs for s in run.runs_s or (run.median_s,)]
    low = [run.p10_s for run in runs if run.p10_s is not None]
    high = [run.p90_s for run in runs if run.p90_s is not None]
    return Timing(
        median_s=statistics.median(medians),
        p10_s=min(low) if len(low) == len(runs) else None,
        p90_s=max(high) if len(high) == len(runs) else None,
        runs_s=tuple(medians),
    )


def _merged_loads(runs: Sequence[Loads | None]) -> dict[Tier, Timing]:
    """Merge load times tier by tier, each over the runs that hold it."""
    known = [loads for loads in runs if loads is not None]
    tiers = dict.fromkeys(tier for loads in known for tier in loads)
    return {
        tier: merged_timing([loads[tier] for loads in known if tier in loads])
        for tier in tiers
    }


def _agreed(values: Mapping[str, Any], key: str) -> Any:
    """Return the value on which all files agree; files that state None do not count.

    Raises
    ------
    InputError
        Naming the first file whose value differs from the first one's.
    """
    stated = {file: value for file, value in values.items() if value is not None}
    for file, value in stated.items():
        first = next(iter(stated))
        if value != stated[first]:
            raise InputError(
                f"{file}: {key}",
                f"must be that of {first}, {short(stated[first])}, to be merged with "
                f"it, found {short(value)}",
            )
    return next(iter(stated.values()), None)


def _check_runs(profiles: Mapping[str, Profile]) -> None:
    """Reject profiles that were not measured, and one measurement given twice."""
    before: dict[str, Profile] = {}
    for file, profile in profiles.items():
        if not isinstance(profile.provenance, Measured):
            raise InputError(
                f"{file}: provenance.kind",
                f"must be 'measured' to be merged, found {profile.provenance.kind!r}",
            )
        for earlier, other in before.items():
            if (profile.models, profile.copies) == (other.models, other.copies):
                raise InputError(
                    f"{file}: models",
                    f"must be of a separate run, found the very numbers of {earlier}",
                )
        before[file] = profile


def _block_key(model: str, block: BlockProfile) -> tuple[str, ...]:
    return (model, block.name) if block.content is None else (block.content,)


def _block_loads(
    profiles: Mapping[str, Profile],
) -> dict[tuple[str, ...], dict[Tier, Timing]]:
    """Merge the load times of blocks; blocks with the same content are merged too."""
    found: dict[tuple[str, ...], dict[str, BlockProfile]] = {}
    for file, profile in profiles.items():
        for name, model in profile.models.items():
            for position, block in enumerate(model.blocks):
                runs = found.setdefault(_block_key(name, block), {})
                # A profile has the same times wherever it holds the same content.
                runs[file] = block
                sizes = {of: run.bytes for of, run in runs.items()}
                _agreed(sizes, f"models.{name}.blocks[{position}].bytes")
    return {
        key: _merged_loads([block.load_s for block in runs.values()])
        for key, runs in found.items()
    }


def _model(
    name: str,
    runs: Mapping[str, ModelProfile],
    loads: Mapping[tuple[str, ...], Loads],
) -> ModelProfile:
    key = f"models.{name}"
    first = next(iter(runs.values()))
    _check_blocks(runs, key)
    blocks = tuple(
        block.model_copy(update={"load_s": loads[_block_key(name, block)]})
        for block in first.blocks
    )
    for position, block in enumerate(blocks):
        if block.load_s.keys() != blocks[0].load_s.keys():
            raise InputError(
                f"{next(iter(runs))}: {key}.blocks[{position}].load_s",
                f"would have the tiers {', '.join(block.load_s)} and blocks[0] "
                f"{', '.join(blocks[0].load_s)}, since another model with the same "
                f"content was measured from other tiers; measure both from the same",
            )
    merged: dict[str, Any] = _batches(name, runs)
    for each in ("whole_load_s", "by_block_load_s", "by_tensor_load_s"):
        timed = _merged_loads([getattr(run, each) for run in runs.values()])
        merged[each] = timed or None
    for each in ("lora", "architecture", "input", "dtype"):
        values = {file: getattr(run, each) for file, run in runs.items()}
        merged[each] = _agreed(values, f"{key}.{each}")
    overlaps = {f: run.overlap for f, run in runs.items() if run.overlap is not None}
    merged["overlap"] = _overlap(overlaps, key) if overlaps else None
    return ModelProfile(blocks=blocks, **merged)


def _check_blocks(runs: Mapping[str, ModelProfile], key: str) -> None:
    """Reject runs of a model whose blocks differ."""
    counts = {f: counted(len(run.blocks), "block") for f, run in runs.items()}
    _agreed(counts, f"{key}.blocks")
    for position in range(len(next(iter(runs.values())).blocks)):
        blocks = {file: run.blocks[position] for file, run in runs.items()}
        for field in ("name", "bytes", "content", "tensors", "copies"):
            where = f"{key}.blocks[{position}].{field}"
            values = {file: getattr(block, field) for file, block in blocks.items()}
            _agreed(
                # A block without content is not a run of a block with content.
                {f: "none" if v is None else v for f, v in values.items()},
                where,
            )


def _batches(name: str, runs: Mapping[str, ModelProfile]) -> dict[str, Any]:
    """Merge the batch tables of a model's runs, over the runs that have any."""
    timed = {file: run for file, run in runs.items() if run.latency_s} or runs
    first = next(iter(timed.values()))
    for key in ("latency_from", "latency_mode"):
        values = {file: getattr(run, key) or "none" for file, run in timed.items()}
        _agreed(values, f"models.{name}.{key}")
    tables = ("latency_s", "eager_latency_s", "activation_bytes")
    merged = {key: getattr(first, key) for key in ("latency_from", "latency_mode")}
    if first.latency_from is not None:
        # All runs copied them from one profile, so nothing was measured repeatedly.
        for key in tables:
            values = {file: getattr(run, key) for file, run in timed.items()}
            _agreed(values, f"models.{name}.{key}")
    if first.latency_from is not None or len(timed) == 1:
        return merged | {key: getattr(first, key) for key in tables}
    latencies = _by_size([run.latency_s for run in timed.values()])
    eager = _by_size([run.eager_latency_s or {} for run in timed.values()])
    held = _by_size([run.activation_bytes or {} for run in timed.values()])
    merged["latency_s"] = {
        size: merged_timing([_timing(value) for value in values])
        for size, values in latencies.items()
    }
    merged["eager_latency_s"] = {
        size: merged_timing(values) for size, values in eager.items()
    } or None
    if held.keys() == latencies.keys():
        merged["activation_bytes"] = {s: max(values) for s, values in held.items()}
    return merged


def _by_size(tables: Sequence[Mapping[str, Held]]) -> dict[str, list[Held]]:
    """Collect the tables' entries by batch size, in ascending size."""
    found: dict[str, list[Held]] = {}
    for size in sorted({size for table in tables for size in table}, key=int):
        found[size] = [table[size] for table in tables if size in table]
    return found


def _common_keys(runs: Sequence[Mapping[Any, object]]) -> list[Any]:
    """List the keys common to all mappings, in the order of the first."""
    return [key for key in (runs[0] if runs else ()) if all(key in run for run in runs)]


def _timing(latency: float | Timing) -> Timing:
    return latency if isinstance(latency, Timing) else Timing(median_s=latency)


def _overlap(runs: Mapping[str, Overlap], key: str) -> Overlap:
    """Take the median of each time, scaled as if all runs had equally many passes.

    An overlap keeps no runs, so the overlap of a merged profile counts as one run.
    """
    for field in ("batch", "copy_bytes"):
        values = {file: getattr(run, field) for file, run in runs.items()}
        _agreed(values, f"{key}.overlap.{field}")
    found = list(runs.values())
    passes = statistics.median_low([run.passes for run in found])
    return Overlap(
        batch=found[0].batch,
        passes=passes,
        copy_bytes=found[0].copy_bytes,
        copy_s=statistics.median([run.copy_s for run in found]),
        copy_beside_s=statistics.median([run.copy_beside_s for run in found]),
        batches_s=statistics.median(
            [run.batches_s * (passes / run.passes) for run in found]
        ),
        batches_beside_s=statistics.median(
            [run.batches_beside_s * (passes / run.passes) for run in found]
        ),
    )


def _copies(
    ladders: Sequence[Sequence[CopyTime]], left_out: list[str]
) -> tuple[CopyTime, ...]:
    """Merge ladders of copies over the sizes that all ladders of a tier hold."""
    alone = _ladder([{c.bytes: c.load_s for c in ladder} for ladder in ladders])
    chained = _ladder(
        [{c.bytes: c.chained_s for c in ladder if c.chained_s} for ladder in ladders]
    )
    sizes = sorted({copy.bytes for ladder in ladders for copy in ladder})
    left_out += [
        f"copies of {size} bytes left out: not all runs hold them"
        for size in sizes
        if size not in alone
    ]
    merged = []
    for size, load_s in sorted(alone.items()):
        chain = {t: time for t, time in chained.get(size, {}).items() if t in load_s}
        merged.append(CopyTime(bytes=size, load_s=load_s, chained_s=chain or None))
    return tuple(merged)


def _ladder(ladders: Sequence[Mapping[int, Loads]]) -> dict[int, dict[Tier, Timing]]:
    found: dict[int, dict[Tier, Timing]] = {}
    tiers = dict.fromkeys(
        tier for ladder in ladders for loads in ladder.values() for tier in loads
    )
    for tier in tiers:
        by_size = [
            {size: loads[tier] for size, loads in ladder.items() if tier in loads}
            for ladder in ladders
        ]
        runs = [run for run in by_size if run]
        for size in _common_keys(runs):
            time = merged_timing([run[size] for run in runs])
            found.setdefault(size, {})[tier] = time
    return found


def _provenance(
    profiles: Mapping[str, Profile],
    copies: Sequence[CopyTime],
    note: str | None,
    remarks: Sequence[str],
) -> Measured:
    sources = {
        file: profile.provenance
        for file, profile in profiles.items()
        if isinstance(profile.provenance, Measured)
    }
    device, driver = (
        _agreed({f: getattr(s, key) for f, s in sources.items()}, f"provenance.{key}")
        for key in ("device", "driver")
    )
    versions = {
        key: _agreed(
            {file: source.versions.get(key) for file, source in sources.items()},
            f"provenance.versions.{key}",
        )
        for key in dict.fromkeys(k for s in sources.values() for k in s.versions)
    }
    measured = sources.values()
    facts: dict[str, dict[str, None]] = {}
    for key, value in ((k, v) for s in measured for k, v in (s.machine or {}).items()):
        facts.setdefault(key, {}).update(dict.fromkeys(value.split(" / ")))
    dates = [date for source in measured for date in source.date.split(" to ")]
    first, last = min(dates), max(dates)
    return Measured(
        kind="measured",
        device=device,
        driver=driver,
        versions=versions,
        date=first if first == last else f"{first} to {last}",
        command="; ".join(dict.fromkeys(source.command for source in measured)),
        copy_bytes_per_s=_rates(measured, copies) or None,
        machine={key: " / ".join(values) for key, values in facts.items()} or None,
        note=_note(note, [source.note for source in measured], remarks),
    )


def _rates(
    measured: Iterable[Measured], copies: Sequence[CopyTime]
) -> dict[Tier, float]:
    """Return each tier's rate: of its largest copy, or the median of stated ones."""
    stated: dict[Tier, list[float]] = {}
    for source in measured:
        for tier, rate in (source.copy_bytes_per_s or {}).items():
            stated.setdefault(tier, []).append(rate)
    rates = {tier: statistics.median(values) for tier, values in stated.items()}
    for copy in copies:
        for tier, time in copy.load_s.items():
            if time.median_s > 0:
                rates[tier] = copy.bytes / time.median_s
    return rates


def _note(
    note: str | None, of_runs: Iterable[str | None], remarks: Sequence[str]
) -> str:
    parts = [] if note is None else [note.rstrip(". ")]
    for text in of_runs:
        # The runs counted by an earlier merge are no longer right.
        own = (text or "").partition(RUNS_MERGED)[0].rstrip(". ")
        if own and not any(own in part for part in parts):
            parts.append(own)
    return ". ".join([*parts, *remarks])


def _run_counts(models: Mapping[int, Sequence[str]]) -> str:
    """Describe how many runs of which models were merged."""
    parts = [
        f"{counted(count, 'run')} of {', '.join(names)}"
        for count, names in sorted(models.items(), reverse=True)
    ]
    return RUNS_MERGED + "; ".join(parts)
