"""A device profile as text and tables; unknown values are shown as "–"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesim.errors import InputError
from edgesim.library import sharing
from edgesim.library.build import content_parts
from edgesim.profile.fit import copy_rate, fit_copies
from edgesim.profile.spread import WIDE, wide_samples
from edgesim.profile.summary import (
    HOST_BOUND,
    ModelFacts,
    added_up,
    chained_copies,
    host_bound,
    merged_load,
    merged_runs,
    model_facts,
    run_count,
    runs_of,
)
from edgesim.profile.values import PLACE, Measured, Profile, Published, Tier
from edgesim.text import (
    ABSENT,
    facts,
    number,
    percent,
    plain,
    seconds,
    shortened,
    size_text,
    table,
)


def describe(profile: Profile, tiers: Sequence[Tier]) -> str:
    """Describe one profile for people.

    Parameters
    ----------
    profile
        The profile.
    tiers
        Tiers to describe, in this order; load over compute is for the first.

    Returns
    -------
    str
        The provenance of the numbers, a table of models, a table per tier of how block
        loads add up, tables of chained copies, of host-bound batches, of overlap and of
        merged runs if the profile holds them, the fitted lines, what models share, and
        which samples spread too widely.
    """
    return "\n\n".join(["\n".join(_provenance(profile)), tables(profile, tiers)])


def tables(profile: Profile, tiers: Sequence[Tier]) -> str:
    """Return the text of :func:`describe` without the provenance."""
    parts = [_models(profile, tiers)]
    parts += [_additions(profile, tier) for tier in tiers]
    parts += [_chains(profile, tiers), _bounds(profile)]
    parts += [_overlaps(profile, tiers), _merged(profile, tiers)]
    parts += [[*_copies(profile, tiers), *_empty_round(profile), _sharing(profile)]]
    parts.append(_spreads(profile))
    return "\n\n".join("\n".join(part) for part in parts if part)


def _provenance(profile: Profile) -> list[str]:
    source = profile.provenance
    pairs = [("device", source.device)]
    if isinstance(source, Measured):
        kind = "measured"
        pairs += [
            ("driver", source.driver),
            ("versions", _listed(source.versions)),
            ("machine", _listed(source.machine or {}) or ABSENT),
            ("date", source.date),
            ("command", source.command),
        ]
    elif isinstance(source, Published):
        kind = "published by others, not measured here"
        pairs.append(("source", source.citation))
    else:
        kind = "synthetic: a formula made these numbers, nobody measured them"
        pairs.append(("method", source.method))
    if source.note is not None:
        pairs.append(("note", source.note))
    return [f"{plain(profile.name)}: {kind}", *facts(pairs)]


def _listed(named: Mapping[str, str]) -> str:
    return "; ".join(f"{key} {value}" for key, value in named.items())


def _models(profile: Profile, tiers: Sequence[Tier]) -> list[str]:
    rows = []
    for name in profile.models:
        found = model_facts(profile, name)
        rows.append(
            [
                shortened(name),
                str(found.blocks),
                number(found.bytes / 1e6),
                *(_ms(found.load_s.get(tier)) for tier in tiers),
                _ms(found.latency_s and found.latency_s[0]),
                _largest(found),
                number(found.load_per_compute(tiers[0]), 2),
                _activations(found),
            ]
        )
    head = ["model", "blocks", "MB", *(f"{tier} ms" for tier in tiers)]
    head += ["batch 1 ms", "largest ms (size)", "load/compute", "activations MB"]
    return [
        f"models: loads are block loads added up; load/compute is of {PLACE[tiers[0]]} "
        f"and a batch of 1",
        *table(head, rows),
        *(
            f"latencies of {shortened(name)} are those of {plain(model.latency_from)}"
            for name, model in profile.models.items()
            if model.latency_from is not None
        ),
        *_modes(profile),
    ]


def _modes(profile: Profile) -> list[str]:
    words = {
        "eager": "batches were launched operator by operator",
        "graph": "batches were replayed as captured CUDA graphs",
    }
    named: dict[str, list[str]] = {}
    for name, model in profile.models.items():
        if model.latency_mode is not None:
            named.setdefault(words[model.latency_mode], []).append(shortened(name))
    return [f"{how}: {', '.join(names)}" for how, names in named.items()]


def _ms(value_s: float | None) -> str:
    return number(None if value_s is None else 1e3 * value_s)


def _largest(found: ModelFacts) -> str:
    if found.latency_s is None or found.batches is None:
        return ABSENT
    return f"{_ms(found.latency_s[1])} ({found.batches[1]})"


def _activations(found: ModelFacts) -> str:
    if found.activation_bytes is None:
        return ABSENT
    low, high = (number(size / 1e6) for size in found.activation_bytes)
    return low if low == high else f"{low} to {high}"


def _additions(profile: Profile, tier: Tier) -> list[str]:
    rows = []
    for name in profile.models:
        found = added_up(profile, name, tier)
        rows.append(
            [
                shortened(name),
                _ms(found.added_s),
                _ms(found.by_block_s),
                percent(found.by_block_error, signed=True),
                _ms(found.whole_s),
                percent(found.whole_error, signed=True),
                _ms(found.by_tensor_s),
                percent(found.of_copy_rate),
            ]
        )
    head = ["model", "added up ms", "block by block ms", "error", "whole ms", "error"]
    head += ["tensor by tensor ms", "of copy rate"]
    return [
        f"loads from {PLACE[tier]}: error is how far block loads added up are above "
        f"what was timed as one",
        *table(head, rows),
    ]


def _chains(profile: Profile, tiers: Sequence[Tier]) -> list[str]:
    chains = {tier: found for tier in tiers if (found := chained_copies(profile, tier))}
    if not chains:
        return []
    rows = []
    for size in sorted({size for found in chains.values() for size in found}):
        row = [size_text(size)]
        for found in chains.values():
            if size in found:
                copy = found[size]
                times_s = (copy.alone_s, copy.chained_s, copy.beyond_bytes_s)
                row += [number(None if t is None else 1e6 * t) for t in times_s]
            else:
                row += [ABSENT] * 3
        rows.append(row)
    head = ["size"]
    for tier in chains:
        head += [f"{tier} alone µs", "in a chain µs", "beyond bytes µs"]
    return [
        "small copies: alone, and as one of many back to back; beyond bytes "
        "is the latter without the bytes at the rate of a large copy",
        *table(head, rows),
    ]


def _bounds(profile: Profile) -> list[str]:
    rows = []
    for name in profile.models:
        found = host_bound(profile, name)
        if found is None:
            continue
        up_to = "none" if found.up_to is None else str(found.up_to)
        rows.append(
            [
                shortened(name),
                _ms(found.eager_s),
                _ms(found.graph_s),
                f"all (to {up_to})" if found.up_to == found.largest else up_to,
            ]
        )
    head = ["model", "batch 1 eager ms", "graph ms", "host-bound up to batch"]
    if not rows:
        return []
    return [
        f"host or GPU: a batch is host-bound where launching it operator by operator "
        f"(eager) takes more than {HOST_BOUND} x its CUDA graph",
        *table(head, rows),
    ]


def _overlaps(profile: Profile, tiers: Sequence[Tier]) -> list[str]:
    rows = []
    for name, model in profile.models.items():
        found = model.overlap
        if found is None or "pinned" not in tiers:
            continue
        rows.append(
            [
                shortened(name),
                number(found.copy_bytes / 1e6),
                _ms(found.copy_s),
                _ms(found.copy_beside_s),
                percent(found.copy_beside_s / found.copy_s - 1, signed=True),
                f"{found.passes} x {found.batch}",
                _ms(found.batches_s),
                _ms(found.batches_beside_s),
                percent(found.batches_beside_s / found.batches_s - 1, signed=True),
            ]
        )
    head = ["model", "MB", "copy ms", "beside ms", "slower"]
    head += ["batches", "alone ms", "beside ms", "slower"]
    if not rows:
        return []
    return [
        f"overlap: a copy of the model from {PLACE['pinned']} and batches, each alone "
        f"and beside the other",
        *table(head, rows),
    ]


def _merged(profile: Profile, tiers: Sequence[Tier]) -> list[str]:
    rows = []
    for name, model in profile.models.items():
        loads = [merged_load(model, tier) for tier in tiers]
        sizes = sorted(model.latency_s, key=int)
        ends = [merged_runs(model.latency_s[size]) for size in sizes]
        cells = [*loads, *((ends[0], ends[-1]) if ends else (None, None))]
        if any(cells):
            rows.append(
                [
                    shortened(name),
                    str(run_count(model)),
                    *(percent(None if of is None else of.spread) for of in cells),
                    sizes[-1] if sizes else ABSENT,
                ]
            )
    head = ["model", "runs", *tiers, "batch 1", "largest", "size"]
    if not rows:
        return []
    return [
        "merged runs: spread = (highest − lowest) / median of the runs; loads block by "
        "block timed as one, else added up",
        *table(head, rows),
    ]


def _spreads(profile: Profile) -> list[str]:
    found = wide_samples(profile.models)
    if not found:
        return []
    rows = [[shortened(one.model), one.what, f"{one.ratio:.1f} x"] for one in found]
    return [
        f"warning: these samples spread too widely to be believed (p90 is at least "
        f"{WIDE:g} x p10); measure again on a machine that does nothing else, with "
        f"more samples",
        *table(["model", "what", "p90 / p10"], rows),
    ]


def _empty_round(profile: Profile) -> list[str]:
    if profile.round_s is None:
        return []
    return [
        f"a round takes {seconds(profile.round_overhead_s)} beyond its load and its "
        f"batch, as an empty one took"
    ]


def _copies(profile: Profile, tiers: Sequence[Tier]) -> list[str]:
    lines = []
    for tier in tiers:
        fit = fit_copies(profile, tier)
        rate = copy_rate(profile, tier)
        if fit is not None:
            what = "plain copies" if fit.source == "copies" else "distinct blocks"
            lines.append(
                f"a copy from {PLACE[tier]} takes {fit} (fitted to {fit.points} "
                f"{what}; at most {percent(fit.worst_relative_error)}, and "
                f"{seconds(fit.worst_error_s)}, off)"
            )
        if rate is not None:
            lines.append(
                f"a plain large copy from {PLACE[tier]} runs at "
                f"{number(rate / 1e9)} GB/s"
            )
    return lines


def _sharing(profile: Profile) -> str:
    if not profile.shares_content:
        return "sharing: not known, for no block has a content"
    parts = content_parts(profile, profile.models)
    view = sharing.View(
        blocks=dict(part for of in parts.values() for part in of),
        models={
            name: sharing.ModelBlocks(tuple(block for block, _ in of))
            for name, of in parts.items()
        },
    )
    total, distinct = sharing.bytes_total(view), sharing.bytes_distinct(view)
    crossing = sharing.crossing(view)
    return (
        f"sharing: {len(view.blocks)} distinct blocks of "
        f"{sum(len(of) for of in parts.values())}, "
        f"{number(distinct / 1e6)} MB distinct of {number(total / 1e6)} MB "
        f"(sharing saves {percent(sharing.saving_ratio(view))}), "
        + ("laminar" if crossing is None else f"crossing: {plain(str(crossing))}")
    )


def compare(profiles: Mapping[str, Profile], tiers: Sequence[Tier]) -> str:
    """Describe how separate runs on the same device differ.

    Parameters
    ----------
    profiles
        At least two runs, by label.
    tiers
        Tiers to describe.

    Returns
    -------
    str
        A row for each model that all runs hold; the other models are named.
    """
    runs = list(profiles.values())
    common = [name for name in runs[0].models if all(name in p.models for p in runs)]
    rows = []
    for name in common:
        sizes = set.intersection(*({*p.models[name].latency_s} for p in runs))
        largest = max(map(int, sizes), default=1)
        row = [shortened(name)]
        for tier in tiers:
            row += _cells([model_facts(p, name).load_s.get(tier) for p in runs])
        for batch in (1, largest):
            row += _cells([_latency_s(p, name, batch) for p in runs])
        rows.append([*row, str(largest) if sizes else ABSENT])
    head = ["model"]
    for tier in tiers:
        head += [f"{tier} ms", "spread"]
    head += ["batch 1 ms", "spread", "largest ms", "spread", "size"]
    lines = [
        f"{len(runs)} runs ({', '.join(map(plain, profiles))}): median of the runs, "
        f"and spread = (highest − lowest) / median",
        *_differences(runs),
        *table(head, rows),
    ]
    for tier in tiers:
        rate = runs_of([copy_rate(profile, tier) for profile in runs])
        if rate is not None:
            lines.append(
                f"a plain large copy from {PLACE[tier]}: {number(rate.median / 1e9)} "
                f"GB/s, spread {percent(rate.spread)}"
            )
    return "\n".join([*lines, *_only_in_some(profiles)])


def _cells(values_s: Sequence[float | None]) -> list[str]:
    found = runs_of(values_s)
    if found is None:
        return [ABSENT, ABSENT]
    return [_ms(found.median), percent(found.spread)]


def _latency_s(profile: Profile, name: str, batch: int) -> float | None:
    # Exactly this size: a padded one would be the time of another batch.
    if str(batch) not in profile.models[name].latency_s:
        return None
    return profile.latency_table(name)[batch - 1]


def _differences(runs: Sequence[Profile]) -> list[str]:
    """Report if the runs are not of the same kind on the same device."""
    devices = list(dict.fromkeys(plain(p.provenance.device) for p in runs))
    kinds = list(dict.fromkeys(p.provenance.kind for p in runs))
    lines = []
    if len(devices) > 1:
        lines.append(
            f"not one device ({'; '.join(devices)}): the spread is not that of runs"
        )
    if len(kinds) > 1:
        lines.append(f"not one kind of numbers ({', '.join(kinds)})")
    return lines


def _only_in_some(profiles: Mapping[str, Profile]) -> list[str]:
    holders: dict[str, list[str]] = {}
    for label, profile in profiles.items():
        for name in profile.models:
            holders.setdefault(name, []).append(label)
    return [
        f"only in {', '.join(map(plain, held))}: {plain(name)}"
        for name, held in holders.items()
        if len(held) < len(profiles)
    ]


def run_labels(files: Sequence[str]) -> list[str]:
    """Label each file by its bare name, or as given if two bare names are equal.

    Raises
    ------
    InputError
        If the same file is given twice.
    """
    for position, file in enumerate(files):
        if file in files[:position]:
            raise InputError(file, "is given twice; separate runs are separate files")
    names = [Path(file).name.removesuffix(".json") for file in files]
    return [
        name if names.count(name) == 1 else file
        for name, file in zip(names, files, strict=True)
    ]
