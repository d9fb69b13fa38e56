"""Every way to damage a valid schedule, each a kind with a name.

A kind either breaks the contract whatever it is applied to, or leaves a schedule that
is valid too; which of the two is known by how it is made, not by asking ``verify``. A
kind that cannot be applied to a schedule, as a discipline's own to another discipline,
returns None.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from solvers import UPLINKS, Problem, Schedule, VerificationError, solve, verify
from solvers.core.timing import make_schedule
from tests.fuzz.edits import Generator, chosen
from tests.solvers.strategies import seeded_plan, seeded_problem

Plan = dict[str, Any]
Change = Callable[[Problem, Plan, Generator], bool]
"""Changes a schedule in place; returns whether it could be applied."""

MUCH_S = 1e-6
"""A time beyond every tolerance, below every load and batch of the seeded family."""

KINDS: dict[str, Change] = {}
"""Kinds that break the contract, by name."""

HARMLESS: dict[str, Change] = {}
"""Kinds that leave another valid schedule, by name."""


def _kind(name: str, kinds: dict[str, Change] = KINDS) -> Callable[[Change], Change]:
    def register(change: Change) -> Change:
        assert name not in kinds
        kinds[name] = change
        return change

    return register


def _any_round(plan: Plan, rng: Generator, first: int = 0) -> int | None:
    """Choose a round by number, from the given one on."""
    count = len(plan["rounds"]) - first
    return first + int(rng.integers(count)) if count > 0 else None


def _moved(round_: Plan, seconds: float, *, load: bool = False) -> None:
    """Move a batch in time, and its load if asked for."""
    round_["compute_start_s"] += seconds
    round_["end_s"] = round_["compute_start_s"] + round_["compute_s"]
    if load:
        round_["load_start_s"] += seconds


def _unserved(problem: Problem, plan: Plan) -> list[str]:
    served = {user for round_ in plan["rounds"] for user in round_["users"]}
    return [user.id for user in problem.users if user.id not in served]


def _user(problem: Problem, name: str) -> Any:
    return next(user for user in problem.users if user.id == name)


# What a schedule claims of itself.


@_kind("another problem's name")
def _instance(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["instance"] += chosen(rng, (" ", "x", "\n"))
    return True


@_kind("more served than the rounds serve")
def _served_more(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["served"] += int(rng.integers(1, 5))
    return True


@_kind("fewer served than the rounds serve")
def _served_fewer(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["served"] -= int(rng.integers(1, plan["served"] + 1))
    return True


@_kind("bound below served")
def _bound_low(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["bound"] = int(rng.integers(plan["served"]))
    return True


@_kind("bound above the users")
def _bound_high(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["bound"] = len(problem.users) + int(rng.integers(1, 5))
    plan["gap"] = (plan["bound"] - plan["served"]) / plan["bound"]
    plan["status"] = "feasible"
    return True


@_kind("another gap")
def _gap(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["gap"] = plan["gap"] - 0.01 if plan["gap"] > 0.5 else plan["gap"] + 0.01
    return True


@_kind("optimal below the bound")
def _optimal(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan["served"] == len(problem.users):
        return False
    plan["bound"] = len(problem.users)
    plan["gap"] = (plan["bound"] - plan["served"]) / plan["bound"]
    plan["status"] = "optimal"
    return True


@_kind("slack of another discipline")
def _slack_of_other(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["slack_s"] = 0.0
    return bool(plan["uplink"] != "static")


@_kind("another slack")
def _slack(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan.get("slack_s") is None:
        return False
    plan["slack_s"] += 1e-3
    return True


# Who is served, and by which model.


@_kind("round gone")
def _round_gone(problem: Problem, plan: Plan, rng: Generator) -> bool:
    del plan["rounds"][_any_round(plan, rng)]
    return True


@_kind("round twice")
def _round_twice(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng)
    plan["rounds"].insert(r, copy.deepcopy(plan["rounds"][r]))
    return True


@_kind("round without users")
def _round_empty(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["rounds"][_any_round(plan, rng)]["users"] = []
    return True


@_kind("two rounds in the other order")
def _rounds_swapped(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None:
        return False
    rounds = plan["rounds"]
    rounds[r - 1], rounds[r] = rounds[r], rounds[r - 1]
    return True


@_kind("user gone from a batch")
def _user_gone(problem: Problem, plan: Plan, rng: Generator) -> bool:
    users = plan["rounds"][_any_round(plan, rng)]["users"]
    del users[int(rng.integers(len(users)))]
    return True


@_kind("user twice in a batch")
def _user_twice(problem: Problem, plan: Plan, rng: Generator) -> bool:
    users = plan["rounds"][_any_round(plan, rng)]["users"]
    users.append(users[0])
    return True


@_kind("user in two rounds")
def _user_in_two(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None:
        return False
    plan["rounds"][r]["users"][0] = plan["rounds"][r - 1]["users"][0]
    return True


@_kind("user who is nobody")
def _user_unknown(problem: Problem, plan: Plan, rng: Generator) -> bool:
    users = plan["rounds"][_any_round(plan, rng)]["users"]
    users[0] = f"{users[0]} "
    return True


@_kind("user in exchange for one without spectrum")
def _user_exchanged(problem: Problem, plan: Plan, rng: Generator) -> bool:
    others = _unserved(problem, plan)
    if not others:
        return False
    users = plan["rounds"][_any_round(plan, rng)]["users"]
    users[int(rng.integers(len(users)))] = chosen(rng, others)
    return True


@_kind("user and spectrum in exchange for one of another model")
def _user_of_other_model(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    others = [
        name
        for name in _unserved(problem, plan)
        if _user(problem, name).model != round_["model"]
    ]
    if not others:
        return False
    old, new = round_["users"][0], chosen(rng, others)
    round_["users"][0] = new
    for entry in plan["bandwidth"]:
        entry["user"] = new if entry["user"] == old else entry["user"]
    return True


@_kind("users of two models exchanged")
def _users_exchanged(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None:
        return False
    one, two = plan["rounds"][r - 1], plan["rounds"][r]
    one["users"][0], two["users"][0] = two["users"][0], one["users"][0]
    return bool(one["model"] != two["model"])


@_kind("model that is none")
def _model_unknown(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["rounds"][_any_round(plan, rng)]["model"] += "x"
    return True


@_kind("another model")
def _model_other(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    others = [name for name in problem.models if name != round_["model"]]
    if not others:
        return False
    round_["model"] = chosen(rng, others)
    return True


@_kind("batch beyond its limit")
def _batch_large(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    wanted = len(problem.models[round_["model"]].latency_s) + 1 - len(round_["users"])
    others = _unserved(problem, plan)
    round_["users"] += others[:wanted]
    return 0 < wanted <= len(others)


# What is loaded.


def _leave_out(problem: Problem, round_: dict[str, Any], block: str) -> None:
    """Load one block less, with the time and the bytes that this takes."""
    round_["loaded_blocks"].remove(block)
    round_["load_s"] = sum(problem.blocks[b].load_s for b in round_["loaded_blocks"])
    round_["loaded_bytes"] -= problem.blocks[block].bytes


@_kind("block not loaded that was never there")
def _block_missing(problem: Problem, plan: Plan, rng: Generator) -> bool:
    before = set()
    if problem.resident_model is not None:
        before = set(problem.models[problem.resident_model].blocks)
    found = []
    for round_ in plan["rounds"]:
        found += [(round_, b) for b in round_["loaded_blocks"] if b not in before]
        before |= set(problem.models[round_["model"]].blocks)
    if not found:
        return False
    round_, block = chosen(rng, found)
    _leave_out(problem, round_, block)
    return True


@_kind("block not loaded that was dropped")
def _block_dropped(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if problem.residency != "previous":
        return False
    found = []
    for before, round_ in zip(plan["rounds"], plan["rounds"][1:], strict=False):
        stays = problem.models[before["model"]].blocks
        found += [(round_, b) for b in round_["loaded_blocks"] if b not in stays]
    if not found:
        return False
    round_, block = chosen(rng, found)
    _leave_out(problem, round_, block)
    return True


@_kind("block loaded twice")
def _block_twice(problem: Problem, plan: Plan, rng: Generator) -> bool:
    loads = [one for one in plan["rounds"] if one["loaded_blocks"]]
    if not loads:
        return False
    round_ = chosen(rng, loads)
    round_["loaded_blocks"].append(round_["loaded_blocks"][0])
    return True


@_kind("block of another model loaded")
def _block_foreign(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    own = problem.models[round_["model"]].blocks
    others = [name for name in problem.blocks if name not in own]
    if not others:
        return False
    round_["loaded_blocks"].append(chosen(rng, others))
    return True


@_kind("sharing denied where a block was kept")
def _sharing(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if problem.residency != "previous" or not plan["sharing"]:
        return False
    plan["sharing"] = False
    return any(
        before["model"] != round_["model"]
        and len(round_["loaded_blocks"]) < len(problem.models[round_["model"]].blocks)
        for before, round_ in zip(plan["rounds"], plan["rounds"][1:], strict=False)
    )


@_kind("load of another length")
def _load_length(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    round_["load_s"] = max(0.0, round_["load_s"] - MUCH_S) or MUCH_S
    return True


@_kind("loaded bytes that are others")
def _load_bytes(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    step = 1 if rng.integers(2) or not round_["loaded_bytes"] else -1
    round_["loaded_bytes"] += step
    return True


# When it happens.


@_kind("batch of another length")
def _batch_length(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    round_["compute_s"] += chosen(rng, (MUCH_S, -MUCH_S))
    round_["end_s"] = round_["compute_start_s"] + round_["compute_s"]
    return True


@_kind("end that is no sum")
def _end(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["rounds"][_any_round(plan, rng)]["end_s"] += chosen(rng, (MUCH_S, -MUCH_S))
    return True


@_kind("batch before its load has ended")
def _early_for_load(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    loaded_s = round_["load_start_s"] + round_["load_s"]
    if loaded_s < MUCH_S:
        return False
    _moved(round_, loaded_s - MUCH_S - round_["compute_start_s"])
    return True


@_kind("load that ends after its batch has started")
def _late_load(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    round_["load_start_s"] = round_["compute_start_s"] - round_["load_s"] + MUCH_S
    return True


@_kind("batch before the one before has ended")
def _batches_at_once(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None:
        return False
    before, round_ = plan["rounds"][r - 1], plan["rounds"][r]
    _moved(round_, before["end_s"] - MUCH_S - round_["compute_start_s"])
    return True


@_kind("load before the batch before has ended")
def _load_beside(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None or problem.overlap:
        return False
    plan["rounds"][r]["load_start_s"] = plan["rounds"][r - 1]["end_s"] - MUCH_S
    return True


@_kind("two loads at once")
def _loads_at_once(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 1)
    if r is None or plan["rounds"][r - 1]["load_s"] < 2 * MUCH_S:
        return False
    before = plan["rounds"][r - 1]
    loaded_s = before["load_start_s"] + before["load_s"]
    plan["rounds"][r]["load_start_s"] = loaded_s - MUCH_S
    return True


@_kind("three models at once")
def _three_at_once(problem: Problem, plan: Plan, rng: Generator) -> bool:
    r = _any_round(plan, rng, 2)
    if r is None:
        return False
    plan["rounds"][r]["load_start_s"] = plan["rounds"][r - 2]["end_s"] - MUCH_S
    return True


@_kind("late")
def _late(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][-1]
    due_s = min(_user(problem, name).deadline_s for name in round_["users"])
    _moved(round_, due_s - round_["end_s"] + MUCH_S, load=True)
    return True


@_kind("late by two tolerances")
def _just_late(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][-1]
    due_s = min(_user(problem, name).deadline_s for name in round_["users"])
    _moved(round_, due_s - round_["end_s"] + 2e-9, load=True)
    return True


@_kind("time below 0")
def _negative(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    round_[chosen(rng, _TIMES)] = -5e-324
    return True


@_kind("time that is no number")
def _not_finite(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][_any_round(plan, rng)]
    round_[chosen(rng, _TIMES)] = chosen(rng, (float("nan"), float("inf"), "0", None))
    return True


@_kind("batch of no length")
def _no_length(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["rounds"][_any_round(plan, rng)]["compute_s"] = chosen(rng, (0.0, -0.0))
    return True


_TIMES = ("load_start_s", "load_s", "compute_start_s", "compute_s", "end_s")


# Who holds how much spectrum, and when.


@_kind("nothing held")
def _entry_gone(problem: Problem, plan: Plan, rng: Generator) -> bool:
    del plan["bandwidth"][int(rng.integers(len(plan["bandwidth"])))]
    return True


@_kind("two entries")
def _entry_twice(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["bandwidth"].append(copy.deepcopy(chosen(rng, plan["bandwidth"])))
    return True


@_kind("spectrum for who is not served")
def _entry_unserved(problem: Problem, plan: Plan, rng: Generator) -> bool:
    others = [*_unserved(problem, plan), "nobody"]
    chosen(rng, plan["bandwidth"])["user"] = chosen(rng, others)
    return True


@_kind("no segments")
def _no_segments(problem: Problem, plan: Plan, rng: Generator) -> bool:
    chosen(rng, plan["bandwidth"])["segments"] = []
    return True


@_kind("too little for the input")
def _too_little(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entry = chosen(rng, plan["bandwidth"])
    segments = entry["segments"]
    demand = _user(problem, entry["user"]).demand_hz_s
    carried = sum(s["hz"] * (s["end_s"] - s["start_s"]) for s in segments)
    # Below what the tolerances on spectrum and on times grant together.
    wanted = demand * (1 - 1e-6) - 2e-9 * max(s["hz"] for s in segments)
    if not 0 < wanted < carried:
        return False
    for segment in segments:
        segment["hz"] *= wanted / carried
    return True


@_kind("input of another user")
def _too_large_input(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entries = sorted(
        plan["bandwidth"], key=lambda one: _user(problem, one["user"]).demand_hz_s
    )
    least, most = entries[0], entries[-1]
    small, large = (_user(problem, one["user"]).demand_hz_s for one in (least, most))
    factor = small / large
    for segment in most["segments"]:
        segment["hz"] *= factor
    return bool(factor < 0.99)


@_kind("one wider than the band")
def _too_wide(problem: Problem, plan: Plan, rng: Generator) -> bool:
    segment = chosen(rng, chosen(rng, plan["bandwidth"])["segments"])
    segment["hz"] = problem.bandwidth_hz * (1 + 1e-6)
    return True


@_kind("more than the band at once")
def _too_much(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if len(plan["bandwidth"]) < 2:
        return False
    one, two = rng.permutation(len(plan["bandwidth"]))[:2]
    held = chosen(rng, plan["bandwidth"][two]["segments"])
    plan["bandwidth"][one]["segments"].append(
        {**held, "hz": problem.bandwidth_hz * (1 - 1e-9)}
    )
    return bool(
        held["end_s"] - held["start_s"] > MUCH_S
        and held["hz"] > 1e-6 * problem.bandwidth_hz
    )


@_kind("upload before the release")
def _before_release(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entry = chosen(rng, plan["bandwidth"])
    release_s = _user(problem, entry["user"]).release_s
    entry["segments"][0]["start_s"] = max(0.0, release_s - MUCH_S)
    return bool(release_s >= MUCH_S)


@_kind("upload after the start of its batch")
def _after_start(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entry = chosen(rng, plan["bandwidth"])
    round_ = next(one for one in plan["rounds"] if entry["user"] in one["users"])
    entry["segments"][-1]["end_s"] = round_["compute_start_s"] + MUCH_S
    return True


@_kind("segment backwards")
def _backwards(problem: Problem, plan: Plan, rng: Generator) -> bool:
    segment = chosen(rng, chosen(rng, plan["bandwidth"])["segments"])
    segment["start_s"], segment["end_s"] = segment["end_s"], segment["start_s"]
    return bool(segment["end_s"] < segment["start_s"])


@_kind("nothing held in a segment")
def _zero_hz(problem: Problem, plan: Plan, rng: Generator) -> bool:
    segment = chosen(rng, chosen(rng, plan["bandwidth"])["segments"])
    segment["hz"] = chosen(rng, (0.0, -0.0, -1.0, float("nan"), float("inf")))
    return True


# The rules of one discipline.


@_kind("band not from time 0")
def _not_from_0(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan["uplink"] == "dynamic":
        return False
    segment = chosen(rng, plan["bandwidth"])["segments"][0]
    kept = 1 - MUCH_S / segment["end_s"]
    segment["start_s"] = MUCH_S
    segment["hz"] /= kept
    return True


@_kind("band in two pieces")
def _two_pieces(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan["uplink"] == "dynamic":
        return False
    _halve(chosen(rng, plan["bandwidth"])["segments"])
    return True


def _halve(segments: list[Plan]) -> None:
    """Split the last segment at its middle."""
    last = segments.pop()
    middle_s = (last["start_s"] + last["end_s"]) / 2
    segments += [{**last, "end_s": middle_s}, {**last, "start_s": middle_s}]


@_kind("band given back early")
def _given_back(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan["uplink"] == "dynamic" or len(plan["bandwidth"]) < 2:
        return False
    segment = chosen(rng, plan["bandwidth"])["segments"][0]
    whole_s = segment["end_s"]
    segment["end_s"] = whole_s - MUCH_S
    segment["hz"] *= whole_s / segment["end_s"]
    return True


@_kind("upfront: the GPU starts before the uploads have ended")
def _gpu_early(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if plan["uplink"] != "upfront":
        return False
    ends_s = max(entry["segments"][0]["end_s"] for entry in plan["bandwidth"])
    plan["rounds"][0]["load_start_s"] = max(0.0, ends_s - MUCH_S)
    return bool(ends_s > MUCH_S)


@_kind("one discipline said to be another")
def _other_discipline(problem: Problem, plan: Plan, rng: Generator) -> bool:
    # An upload that begins later than 0 is none of static or upfront.
    if plan["uplink"] != "dynamic":
        return False
    plan["uplink"] = chosen(rng, ("static", "upfront"))
    return any(entry["segments"][0]["start_s"] > 0 for entry in plan["bandwidth"])


@_kind("discipline that is none")
def _no_discipline(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["uplink"] = chosen(rng, ("", "Dynamic", "fifo", None))
    return True


@_kind("key gone")
def _key_gone(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entry = chosen(rng, plan["bandwidth"])
    holders = (plan["rounds"][0], entry, entry["segments"][0])
    holder = chosen(rng, holders)
    del holder[chosen(rng, list(holder))]
    return True


@_kind("key that is none")
def _key_more(problem: Problem, plan: Plan, rng: Generator) -> bool:
    entry = chosen(rng, plan["bandwidth"])
    holder = chosen(rng, (plan, plan["rounds"][0], entry, entry["segments"][0]))
    holder["note"] = 1
    return True


# What leaves another valid schedule.


@_kind("entries of spectrum in another order", HARMLESS)
def _entries_shuffled(problem: Problem, plan: Plan, rng: Generator) -> bool:
    order = rng.permutation(len(plan["bandwidth"]))
    plan["bandwidth"] = [plan["bandwidth"][n] for n in order]
    return True


@_kind("users of a batch in another order", HARMLESS)
def _users_shuffled(problem: Problem, plan: Plan, rng: Generator) -> bool:
    for round_ in plan["rounds"]:
        round_["users"].reverse()
    return True


@_kind("loaded blocks in another order", HARMLESS)
def _blocks_shuffled(problem: Problem, plan: Plan, rng: Generator) -> bool:
    for round_ in plan["rounds"]:
        round_["loaded_blocks"].reverse()
    return True


@_kind("another solver's name", HARMLESS)
def _solver(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["solver"] = "mine"
    return True


@_kind("claims less than it is", HARMLESS)
def _modest(problem: Problem, plan: Plan, rng: Generator) -> bool:
    plan["status"], plan["bound"] = "feasible", len(problem.users)
    plan["gap"] = (plan["bound"] - plan["served"]) / plan["bound"]
    return True


@_kind("slack not stated", HARMLESS)
def _no_slack(problem: Problem, plan: Plan, rng: Generator) -> bool:
    return plan.pop("slack_s", None) is not None


@_kind("an upload in two pieces", HARMLESS)
def _upload_split(problem: Problem, plan: Plan, rng: Generator) -> bool:
    _halve(chosen(rng, plan["bandwidth"])["segments"])
    return bool(plan["uplink"] == "dynamic")


@_kind("last round at its deadline", HARMLESS)
def _last_waits(problem: Problem, plan: Plan, rng: Generator) -> bool:
    round_ = plan["rounds"][-1]
    due_s = min(_user(problem, name).deadline_s for name in round_["users"])
    _moved(round_, max(0.0, due_s - round_["end_s"]), load=True)
    return bool(plan["uplink"] != "static")


@_kind("last round given up", HARMLESS)
def _last_given_up(problem: Problem, plan: Plan, rng: Generator) -> bool:
    if problem.eviction == "furthest-next-use" and problem.residency == "cache":
        return False  # what is evicted before depends on it
    gone = plan["rounds"].pop()["users"]
    plan["bandwidth"] = [one for one in plan["bandwidth"] if one["user"] not in gone]
    plan["served"] -= len(gone)
    plan["slack_s"] = None
    return _modest(problem, plan, rng)


# Schedules to start from.


@dataclass(frozen=True)
class Example:
    """A problem and a valid schedule of it."""

    problem: Problem
    schedule: Schedule


def examples(count: int, seed: int) -> Iterator[Example]:
    """Draw valid schedules that serve somebody, of all disciplines in turn.

    Sharing that is laminar and that crosses, common and own deadlines, releases, with
    and without sharing, a cache and overlap.
    """
    number = 0
    while count > 0:
        rng = np.random.default_rng([seed, number])
        found = _extended(int(rng.integers(10**6))) if number % 4 == 3 else None
        if found is None:
            found = _solved(rng, number)
        number += 1
        if found.schedule.rounds:
            count -= 1
            yield found


def _solved(rng: Generator, number: int) -> Example:
    uplink = UPLINKS[number % len(UPLINKS)]
    problem = seeded_problem(
        rng,
        sharing=chosen(rng, ("laminar", "crossing")),
        users=int(rng.integers(2, 25)),
        models=int(rng.integers(1, 7)),
        deadlines=chosen(rng, ("common", "own")),
    )
    if uplink == "dynamic" and rng.integers(2):
        users = [
            user.model_copy(update={"release_s": user.deadline_s * rng.uniform(0, 0.5)})
            for user in problem.users
        ]
        problem = problem.model_copy(update={"users": tuple(users)})
    solver = chosen(rng, ("greedy", "greedy", "greedy-noshare", "fcfs", "edf"))
    return Example(problem, solve(problem, solver, uplink=uplink).schedule)


def _extended(number: int) -> Example | None:
    tables, rounds = seeded_plan(number)
    schedule = make_schedule(tables, rounds, "dynamic", solver="plan", bound=None)
    return None if schedule is None else Example(tables.problem, schedule)


# How they are judged.


def is_caught(problem: Problem, plan: Plan) -> bool:
    """Whether a schedule is refused by its form, or by ``verify``."""
    try:
        verify(problem, Schedule.model_validate(plan))
    except (ValidationError, VerificationError):
        return True
    return False


@dataclass
class Count:
    """How often a kind was applied, and how often what followed was right."""

    applied: Counter[str]
    right: Counter[str]
    wrong: list[str]


def try_all(count: int, seed: int) -> Count:
    """Apply every kind to schedules, and compare what is caught with what should be."""
    found = Count(Counter(), Counter(), [])
    for number, example in enumerate(examples(count, seed)):
        whole = json.loads(example.schedule.model_dump_json())
        assert not is_caught(example.problem, copy.deepcopy(whole))
        for kinds in (KINDS, HARMLESS):
            for place, (name, change) in enumerate(kinds.items()):
                rng = np.random.default_rng([seed, number, place])
                plan = copy.deepcopy(whole)
                if not change(example.problem, plan, rng):
                    continue
                found.applied[name] += 1
                if is_caught(example.problem, plan) == (kinds is KINDS):
                    found.right[name] += 1
                else:
                    found.wrong.append(f"{name}, seed {seed}, schedule {number}")
    return found
