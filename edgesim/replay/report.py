"""The outputs of ``edgesim replay``: text, tables and figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgesim.plotting.replay import plot_replay
from edgesim.profile import model_match as match
from edgesim.profile.values import Measured, Profile, Tier
from edgesim.replay import accuracy
from edgesim.replay import comparison as pairing
from edgesim.replay.plan import ReplayPlan
from edgesim.results.pictures import PictureError, write_pictures
from edgesim.results.rows import write_csv
from edgesim.storage.files import write_json, write_whole
from edgesim.storage.manifest import Kind, json_schema_name
from edgesim.storage.output_folder import write_output_folder
from edgesim.text import counted, shortened

OUTPUTS = ("rounds.csv", "errors.csv", "errors.md", "replay.png", "replay.json")
REPLAY = "edgesim.replay/1"

_TIER_WORDS = {
    "pinned": "page-locked host memory",
    "pageable": "ordinary host memory",
    "disk": "files",
}


@dataclass(frozen=True)
class Setting:
    """The settings of a replay.

    Parameters
    ----------
    profile, tier, paced, seed
        As given or chosen.
    tier_of_profile
        Whether the profile holds the tier for the replayed models.
    has_graphs
        Whether the device can run batches as captured graphs.
    device, driver, versions, machine
        As reported by the device.
    date, command
        Date of the replay, in ISO 8601, and its command.
    sources
        Name and SHA-256 of each input by role; no hash of a pipe.
    """

    profile: Profile
    tier: Tier
    tier_of_profile: bool
    has_graphs: bool
    paced: bool
    seed: int
    device: str
    driver: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    date: str
    command: str
    sources: Mapping[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Replayed:
    """A plan, how it was executed, and the results of each repeat."""

    plan: ReplayPlan
    setting: Setting
    repeats: Sequence[Sequence[pairing.RoundTime]]

    @property
    def pairs(self) -> list[pairing.Pair]:
        """Simulated and measured times, one pair per round and repeat."""
        return pairing.pair_rounds(self.plan, self.repeats, paced=self.setting.paced)

    @property
    def in_time(self) -> pairing.InTime | None:
        """Users in time with measured times."""
        return pairing.users_in_time(self.plan, self.repeats, paced=self.setting.paced)


def earlier_replay(folder: Path) -> tuple[str, ...]:
    """List the files of a replay of a version that wrote no manifest."""
    return OUTPUTS if json_schema_name(folder / "replay.json") == REPLAY else ()


REPLAY_FOLDER = Kind("replay", earlier_replay)


def write_report(folder: Path, replayed: Replayed) -> None:
    """Write all outputs of a replay into a folder, or what can be written.

    What ends it early, as a full disk does, leaves the whole files in a folder
    ``NAME.partial``.

    ``rounds.csv`` (one row per round and repeat), ``errors.csv``, ``errors.md`` (text
    and table), ``replay.png`` and ``replay.json`` (versions, hashes, options).

    Raises
    ------
    InputError
        If the folder holds no earlier replay or cannot be written.
    PictureError
        If the picture cannot be drawn or written: then all else is written.
    """
    found = replayed.pairs
    with write_output_folder(folder, REPLAY_FOLDER, _whole_files) as temporary:
        write_csv(temporary / "rounds.csv", pairing.rows(found), pairing.COLUMNS)
        write_csv(
            temporary / "errors.csv",
            accuracy.rows(accuracy.accuracies(found)),
            accuracy.COLUMNS,
        )
        with write_whole(temporary / "errors.md") as file:
            file.write(f"{text(replayed)}\n")
        write_json(temporary / "replay.json", document(replayed))
        title = f"{_name(replayed)} on {replayed.setting.device}"
        drawing = {"replay": lambda: plot_replay(found, title=title)}
        undrawn = write_pictures(temporary, drawing, ("png",), folder)
    if undrawn is not None:
        raise PictureError(
            undrawn.where, f"{undrawn.what}; all else is written"
        ) from undrawn.__cause__


def _whole_files(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir()))


def text(replayed: Replayed) -> str:
    """Format the report for people: where the numbers come from, then the table."""
    lines = [_first(replayed.setting), ""]
    lines += [f"- {line}" for line in _facts(replayed)]
    if not replayed.plan.rounds:
        lines += ["", "The schedule has no rounds: nothing was executed."]
    table = accuracy.markdown(accuracy.accuracies(replayed.pairs))
    return "\n".join([*lines, "", *_ABOUT, "", table])


_ABOUT = (
    "Errors are measured − simulated, over rounds and repeats; in %, of the simulated",
    "time of each round, or of the sum of all. Sizes are errors without their sign.",
    "Between repeats: largest − smallest of the repeats' means of the measured time.",
    "Loads and batches are timed by the device, the end of the plan by the wall clock,",
    "with the device idle after each load and batch.",
)


def _first(setting: Setting) -> str:
    provenance = setting.profile.provenance
    same = isinstance(provenance, Measured) and provenance.device == setting.device
    if same:
        return f"Simulated and measured on the same kind of device: {setting.device}."
    return (
        f"The simulated times are of {provenance.device} ({provenance.kind}), "
        f"the measured ones of {setting.device}: two devices."
    )


def _facts(replayed: Replayed) -> list[str]:
    plan, setting = replayed.plan, replayed.setting
    schedule = plan.schedule
    repeats = len(replayed.repeats)
    machine = "; ".join(f"{name} {value}" for name, value in setting.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in setting.versions.items())
    pace = (
        "paced: a batch waits for its inputs"
        if setting.paced
        else "back to back: nothing waits for inputs, in the simulated end neither"
    )
    return [
        f"Schedule: {_name(replayed)}, {schedule.uplink} uplink, "
        f"{counted(len(schedule.rounds), 'round')}, "
        f"{counted(schedule.served, 'user')}; "
        f"{counted(repeats, 'repeat')} after one to warm up; {pace}.",
        f"Profile: {_profile(setting.profile)}.",
        f"Device: {setting.device}; driver {setting.driver}; {versions}; {machine}.",
        f"Run on {setting.date}: `{setting.command}`.",
        *_loads(replayed),
        *_computes(replayed),
        *_users(replayed),
    ]


def _name(replayed: Replayed) -> str:
    schedule = replayed.plan.schedule
    return f"{shortened(schedule.instance)}, {shortened(schedule.solver)}"


def _profile(profile: Profile) -> str:
    provenance = profile.provenance
    when = f" on {provenance.date}" if isinstance(provenance, Measured) else ""
    return f"{profile.name}, {provenance.kind}{when}"


def _loads(replayed: Replayed) -> list[str]:
    plan, setting = replayed.plan, replayed.setting
    copies = [slot for round_ in plan.rounds for slot in round_.loads]
    if not copies:
        return ["Loads: none."]
    lines = [
        f"Loads: {counted(len(copies), 'copy', 'copies')} a repeat, "
        f"{sum(slot.bytes for slot in copies) / 1e6:,.1f} MB, of "
        f"{counted(len(plan.blocks), 'block')} with random content, from "
        f"{_TIER_WORDS[setting.tier]} (tier {setting.tier}). Blocks in memory at once: "
        f"at most {plan.resident_bytes:,} bytes; placed in {plan.buffer_bytes:,}."
    ]
    limit = plan.problem.gpu_memory_bytes
    if limit is not None and plan.buffer_bytes > limit:
        lines.append(
            f"Memory: whole blocks side by side take more than the plan's "
            f"{limit:,} bytes, which the plan's blocks at once do not: the plan does "
            f"not know of gaps between blocks."
        )
    if not setting.tier_of_profile:
        lines.append(
            f"Tier: the profile holds no {setting.tier} load times of these models: "
            f"the plan was made for another tier or a stated rate."
        )
    same, compared = match.load_agreement(
        plan.problem, plan.matches, setting.profile, setting.tier
    )
    if same < compared:
        lines.append(
            f"Plan: load times of {compared - same} of {compared} blocks are not the "
            f"profile's for {setting.tier}: the plan was made for another tier, a "
            f"stated rate or another profile."
        )
    return lines


def _computes(replayed: Replayed) -> list[str]:
    plan, setting = replayed.plan, replayed.setting
    left_out: dict[str, list[str]] = {}
    for model, found in plan.matches.items():
        if found.reason is not None:
            left_out.setdefault(found.reason, []).append(model)
    lines = []
    if plan.networks:
        padded = sum(
            round_.batch is not None and round_.batch.size != len(planned.users)
            for round_, planned in zip(plan.rounds, plan.schedule.rounds, strict=True)
        )
        names = ", ".join(network.architecture for network in plan.networks)
        lines.append(
            f"Compute: forward passes of {names}, each a resident network with random "
            f"weights of its own, apart from the loaded blocks (more memory, the same "
            f"time); inputs lie on the device. {padded} of "
            f"{counted(len(plan.rounds), 'batch', 'batches')} "
            f"{'is' if padded == 1 else 'are'} padded to the next measured size, as "
            f"the plan assumes."
        )
    modes = {network.mode for network in plan.networks}
    if "graph" in modes:
        lines.append(
            "Batches were replayed as captured graphs, as the profile's were."
            if setting.has_graphs
            else "Batches were launched operator by operator; the profile's were "
            "captured graphs, which this device has not."
        )
    for reason, models in left_out.items():
        lines.append(
            f"Left out: compute of {', '.join(models)} ({reason}); nothing stands in "
            f"for it."
        )
    same, compared = match.latency_agreement(
        plan.problem, plan.matches, setting.profile
    )
    if same < compared:
        lines.append(
            f"Plan: batch latencies of {compared - same} of {compared} models are not "
            f"the profile's: the plan was made with others."
        )
    return lines


def _users(replayed: Replayed) -> list[str]:
    found = replayed.in_time
    if not replayed.plan.rounds:
        return []
    if found is None:
        return ["Users in time: not told, for batches were left out."]
    low, high = min(found.kept), max(found.kept)
    kept = f"{low}" if low == high else f"{low} to {high}"
    retimed = (
        ""
        if replayed.setting.paced
        else ", measured loads and batches put through the plan's rules"
    )
    late = (
        f"; the latest is {found.latest_s * 1e3:.3f} ms late" if found.latest_s else ""
    )
    return [
        f"Users in time: planned {found.planned}, with measured times {kept}"
        f"{retimed}{late}."
    ]


def document(replayed: Replayed) -> dict[str, Any]:
    """Return ``replay.json``: all that it takes to repeat it, and the outcome."""
    plan, setting = replayed.plan, replayed.setting
    in_time = replayed.in_time
    return {
        "schema": REPLAY,
        "edgesim": version("edgesim"),
        "device": setting.device,
        "driver": setting.driver,
        "versions": dict(setting.versions),
        "machine": dict(setting.machine),
        "date": setting.date,
        "command": setting.command,
        "inputs": {
            role: {"file": name, "sha256": digest}
            for role, (name, digest) in setting.sources.items()
        },
        "options": {
            "load_from": setting.tier,
            "repeats": len(replayed.repeats),
            "seed": setting.seed,
            "paced": setting.paced,
        },
        "instance": plan.schedule.instance,
        "solver": plan.schedule.solver,
        "rounds": len(plan.rounds),
        "blocks": len(plan.blocks),
        "resident_bytes": plan.resident_bytes,
        "buffer_bytes": plan.buffer_bytes,
        "networks": [network._asdict() for network in plan.networks],
        "compute_left_out": {
            model: found.reason
            for model, found in plan.matches.items()
            if found.reason is not None
        },
        "users_in_time": None
        if in_time is None
        else {"planned": in_time.planned, "kept": list(in_time.kept)},
    }
