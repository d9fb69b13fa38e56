"""A campaign file as values: jobs, their commands, and their dependencies."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from edgesim.errors import InputError, Parameter, short
from edgesim.shipped import locate
from edgesim.storage.files import check_file, read_toml
from solvers.problem import PositiveSeconds, Value

CAMPAIGN = "edgesim.campaign/1"

RESERVED = ("campaign.json", "logs")
"""Names in a campaign's folder that the campaign itself uses."""

GIVEN = ("device", "out")
"""Placeholders that the command line fills in."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

# Also the name of a log file, so a single plain path component.
JobName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")]
WordName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]


def _splittable(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not words:
        raise ValueError("must not be empty")
    return text


def _is_edgesim(text: str) -> str:
    words = shlex.split(_splittable(text))
    if words[0] != "edgesim":
        raise ValueError(f"must begin with edgesim, found {short(words[0])}")
    plain = [word for word in words[1:] if not word.startswith("-")]
    if not plain:
        raise ValueError("names no command of edgesim")
    if plain[:2] == ["profile", "campaign"]:
        raise ValueError("must not run a campaign inside a campaign")
    return text


class Job(Value):
    """One command, its expected duration, and the jobs whose results it reads.

    ``{device}``, ``{out}`` and the names of ``[words]`` in braces are placeholders; a
    word that consists of a single name of ``[words]`` may expand to several words.
    """

    name: JobName
    command: Annotated[str, AfterValidator(_is_edgesim)]
    expected_s: PositiveSeconds
    after: Annotated[tuple[JobName, ...], Field(strict=False)] = ()


class Campaign(Value):
    """Jobs in order of priority, each one a command of edgesim."""

    name: JobName
    about: str = ""
    words: Mapping[WordName, Annotated[str, AfterValidator(_splittable)]] = Field(
        default_factory=dict
    )
    jobs: Annotated[tuple[Job, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _check(self) -> Campaign:
        for name in GIVEN:
            if name in self.words:
                raise InputError(
                    f"words.{name}", f"{{{name}}} is given; choose another"
                )
        for name, text in self.words.items():
            _check_placeholders(f"words.{name}", text, GIVEN)
        earlier: set[str] = set()
        for place, job in enumerate(self.jobs):
            where = f"jobs[{place}]"
            if job.name in earlier:
                raise InputError(f"{where}.name", f"stands twice: {job.name!r}")
            for name in job.after:
                if name not in earlier:
                    raise InputError(
                        f"{where}.after", f"must name earlier jobs, found {name!r}"
                    )
            _check_placeholders(f"{where}.command", job.command, (*GIVEN, *self.words))
            earlier.add(job.name)
        return self


def _check_placeholders(where: str, text: str, known: Iterable[str]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            allowed = ", ".join(f"{{{one}}}" for one in known)
            raise InputError(where, f"unknown {{{name}}}; allowed are {allowed}")


@dataclass(frozen=True)
class Task:
    """A job with all placeholders of its command filled in.

    Parameters
    ----------
    name, expected_s, after
        As in :class:`Job`.
    words
        The command line, ``edgesim`` first.
    """

    name: str
    words: tuple[str, ...]
    expected_s: float
    after: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command as typed in a shell."""
        return shlex.join(self.words)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Files and folders that ``--out`` names."""
        found = []
        for before, word in zip(self.words, self.words[1:], strict=False):
            if before == "--out":
                found.append(Path(word))
            elif word.startswith("--out="):
                found.append(Path(word.removeprefix("--out=")))
        return tuple(found)


def locate_campaign(path_or_name: str) -> Path:
    """Locate a campaign: a file, or the name of one that edgesim ships.

    Raises
    ------
    InputError
        If neither exists.
    """
    return locate("campaign", path_or_name)


def read_campaign(path: Path) -> Campaign:
    """Read and check a campaign file.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    return check_file(path, read_toml(path), Campaign, CAMPAIGN)


def tasks_of(campaign: Campaign, *, device: str, out: Path) -> tuple[Task, ...]:
    """Fill in the placeholders of every command.

    Parameters
    ----------
    campaign
        The campaign.
    device, out
        Values of ``{device}`` and ``{out}``; each stays part of one word.

    Raises
    ------
    InputError
        If the device name is empty, or a completed command is itself a campaign or
        writes to this campaign's own files.
    """
    if not device.strip():
        raise InputError(Parameter("device"), "must not be empty")
    given = {"device": device, "out": str(out)}
    texts = {
        name: tuple(_filled(word, given) for word in shlex.split(text))
        for name, text in campaign.words.items()
    }
    tasks = tuple(
        Task(
            name=job.name,
            words=tuple(_words(job.command, given, texts)),
            expected_s=job.expected_s,
            after=job.after,
        )
        for job in campaign.jobs
    )
    for task in tasks:
        _check_filled(task, out)
    return tasks


def _check_filled(task: Task, out: Path) -> None:
    """Reject nested campaigns and writes to the campaign's own files."""
    if [word for word in task.words if not word.startswith("-")][1:3] == [
        "profile",
        "campaign",
    ]:
        raise InputError(
            f"job {task.name}", "must not run a campaign inside a campaign"
        )
    for output in task.outputs:
        for own in RESERVED:
            if output == out / own or (out / own) in output.parents:
                raise InputError(
                    f"job {task.name}",
                    f"must not write to {output}, where the campaign keeps its own",
                )


def _words(
    command: str, given: Mapping[str, str], texts: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    inside = {**{name: " ".join(words) for name, words in texts.items()}, **given}
    for word in shlex.split(command):
        whole = _PLACEHOLDER.fullmatch(word)
        if whole and whole[1] in texts:
            yield from texts[whole[1]]
        else:
            yield _filled(word, inside)


def _filled(word: str, texts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: texts[found[1]], word)


_NAMED = re.compile(r"(?:--[a-z-]+=)?(?:[^=:,/\\]+=)?(.+)", re.DOTALL)
_SOURCES = ("torchvision", "timm", "hf")
_PROFILE_OPTIONS = ("--like", "--latency-from")
_OWN_CODE_OPTIONS = ("--policy", "--solver")


def own_code(words: Iterable[str]) -> str | None:
    """Find the first word of a command that makes edgesim run user code.

    That is a function, ``[NAME=]package.module:function[,KEY=VALUE...]``, that is not
    from a known source of networks; a policy or solver with a colon in its name; or
    consent to what the command's files name, ``--own-code`` and ``--factories call``.

    Returns
    -------
    str or None
        The word, or None if there is none.
    """
    before = ("", "")
    options = True
    for word in words:
        if _runs_own_code(word, *before, options=options):
            return word
        options = options and word != "--"
        before = (before[1], word)
    return None


def _runs_own_code(word: str, two_before: str, before: str, *, options: bool) -> bool:
    """Decide by a word and its two predecessors; after ``--`` no word is an option."""
    if not options:
        two_before = before = ""
        word = word.lstrip("-")
    option, equals, value = word.partition("=")
    if not (equals and option.startswith("--")):
        option, value = before, word
    if word == "--own-code" or (option == "--factories" and value == "call"):
        return True
    if option in _OWN_CODE_OPTIONS and ":" in value:
        return True
    # PROFILE:MODEL looks like a function. A word that may itself be the value of the
    # preceding option does not count as an option.
    if option in _PROFILE_OPTIONS and not (
        option == before and two_before.startswith("--")
    ):
        return False
    named = _NAMED.fullmatch(word)
    place, colon, function = (named[1] if named else word).partition(":")
    return (
        bool(colon)
        and place not in _SOURCES
        and function.partition(",")[0].isidentifier()  # keywords may follow
        and all(part.isidentifier() for part in place.split("."))
    )
