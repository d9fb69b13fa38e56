"""Campaign files: what is accepted, what it becomes, what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgesim.campaign.spec import locate_campaign, own_code, read_campaign, tasks_of
from edgesim.errors import InputError
from edgesim.schemas import json_schema
from edgesim.storage.files import read_toml
from tests.campaign.cases import job, write

SCHEMA = "edgesim schema instance"


def words_of(file: Path, out: str = "a folder/x") -> list[tuple[str, ...]]:
    """Read a campaign and fill in its commands."""
    tasks = tasks_of(read_campaign(file), device="cuda:1", out=Path(out))
    return [task.words for task in tasks]


def test_placeholders_are_filled_word_by_word(tmp_path: Path) -> None:
    """A path with spaces stays one word; a text of [words] becomes several."""
    file = write(
        tmp_path / "c.toml",
        job("a", "edgesim x {nets} --device {device} --out={out}/r.json 'b c' {runs}"),
        job("b", "edgesim x pre-{nets} '{nets}'"),
        words={"nets": "one 'two 2'", "runs": "{out}/1.json {out}/2.json"},
    )
    assert words_of(file) == [
        (
            *("edgesim", "x", "one", "two 2", "--device", "cuda:1"),
            *("--out=a folder/x/r.json", "b c"),
            *("a folder/x/1.json", "a folder/x/2.json"),
        ),
        ("edgesim", "x", "pre-one two 2", "one", "two 2"),
    ]


@pytest.mark.parametrize(
    ("jobs", "more", "message"),
    [
        ([job("a", SCHEMA, speed=1)], {}, "jobs[0].speed: unknown key"),
        ([job("a b", SCHEMA)], {}, "jobs[0].name: "),
        ([job("a", SCHEMA, 0)], {}, "jobs[0].expected_s: "),
        ([job("a", SCHEMA), job("a", SCHEMA)], {}, "jobs[1].name: stands twice: 'a'"),
        ([job("a", SCHEMA, after=["b"])], {}, "jobs[0].after: must name earlier jobs"),
        ([job("a", "ls -l")], {}, "jobs[0].command: must begin with edgesim"),
        ([job("a", "edgesim 'x")], {}, "jobs[0].command: cannot be split into words"),
        ([job("a", "edgesim")], {}, "jobs[0].command: names no command"),
        (
            [job("a", "edgesim profile campaign gpu --out x")],
            {},
            "jobs[0].command: must not run a campaign inside a campaign",
        ),
        (
            [job("a", "edgesim solve {who}")],
            {"words": {"nets": "a"}},
            "jobs[0].command: unknown {who}; allowed are {device}, {out}, {nets}",
        ),
        ([job("a", SCHEMA)], {"words": {"out": "a"}}, "words.out: {out} is given"),
        (
            [job("a", SCHEMA)],
            {"words": {"b": "1", "a": "{b}"}},
            "words.a: unknown {b}; allowed are {device}, {out}",
        ),
        ([job("a", SCHEMA)], {"schema": "edgesim.campaign/2"}, "schema: must be"),
    ],
)
def test_refusals(
    tmp_path: Path, jobs: list[dict[str, Any]], more: dict[str, Any], message: str
) -> None:
    """What is wrong is told in one line, by file and key."""
    file = write(tmp_path / "c.toml", *jobs, **more)
    with pytest.raises(InputError) as error:
        read_campaign(file)
    assert str(error.value).startswith(f"{file}: {message}")


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("profile measure torchvision:resnet18 timm:x a=hf:bert --device cuda:0", None),
        ("profile measure x.safetensors --input tokens:32:32000", None),
        ("profile sharing x.pt --like gpu:resnet50 --latency-from=gpu:resnet50", None),
        ("run campus --solver dp,greedy --policy fcfs", None),
        ("replay x.json --factories skip", None),
        ("profile measure my.nets:small", "my.nets:small"),
        ("profile measure tiny=my:small", "tiny=my:small"),
        ("profile measure torchvision.models:resnet18", "torchvision.models:resnet18"),
        ("profile measure x.pt --factory=my:small", "--factory=my:small"),
        ("profile measure my:small,classes=7", "my:small,classes=7"),
        ("profile measure a=my:small,classes=7", "a=my:small,classes=7"),
        ("profile measure x.pt --factory a*=my:small,c=7", "a*=my:small,c=7"),
        ("profile measure x.pt --factory=a=my:small", "--factory=a=my:small"),
        ("profile measure x.pt --factory a=timm:x,num_classes=7", None),
        ("profile measure x.pt --factory hf:", None),
        ("profile measure --name --like my:small", "my:small"),
        ("run --policy fcfs,my:Mine", "fcfs,my:Mine"),
        ("run --solver=my:Mine", "--solver=my:Mine"),
        ("replay x.json --factories call", "call"),
        ("replay x.json --factories=call", "--factories=call"),
        ("run x.toml --own-code", "--own-code"),
    ],
)
def test_own_code_is_recognised(command: str, word: str | None) -> None:
    """Functions by name are own code; known sources and PROFILE:MODEL are not."""
    assert own_code(["edgesim", *command.split()]) == word


@pytest.mark.parametrize("name", ["gpu", "live"])
def test_shipped_campaigns(name: str) -> None:
    """Found by name, valid by the schema, no own code."""
    path = locate_campaign(name)
    jsonschema.validate(read_toml(path), json_schema("campaign"))
    for task in tasks_of(read_campaign(path), device="cuda:0", out=Path("gpu")):
        assert own_code(task.words) is None


@pytest.mark.parametrize("name", ["gpu", "live"])
def test_shipped_campaigns_run_every_case_twice_live(name: str) -> None:
    """Four policies a command, half the commands serving late requests; one table."""
    tasks = tasks_of(read_campaign(locate_campaign(name)), device="cpu", out=Path("x"))
    live = [task for task in tasks if task.words[1] == "live"]
    asked = Counter(task.words[: task.words.index("--out")] for task in live)
    assert set(asked.values()) == {2}
    assert len(asked) == 4
    late = [word for words in asked for word in words if "online.late" in word]
    assert sorted(late) == ["online.late=drop"] * 2 + ["online.late=serve"] * 2
    (table,) = [task for task in tasks if task.words[1] == "live-table"]
    assert {str(task.outputs[0]) for task in live} <= set(table.words)


def test_unknown_campaign() -> None:
    """What is neither a file nor shipped is refused."""
    with pytest.raises(InputError, match="no such campaign"):
        locate_campaign("gpus")
