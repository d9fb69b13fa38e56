"""What the documentation tells a reader to type works as it is written."""

from __future__ import annotations

import doctest
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from safetensors.torch import save_file

import solvers
from edgesim.measures.intervals import QUOTIENTS
from edgesim.measures.measure import Measures
from tests.command import edgesim
from tests.small_networks import fine_tuned

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    *(f"{d}/README.md" for d in ("traces", "profiles", "figures", "solvers")),
    "tests/instances/README.md",
)


def _blocks(document: str, language: str) -> list[str]:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _files(document: str) -> list[tuple[str, str]]:
    """Python that is to be put into a file, which its first line names."""
    blocks = _blocks(document, "python")
    named = [(re.match(r"# (\w+\.py)\n", block), block) for block in blocks]
    return [(name[1], block) for name, block in named if name]


def test_readme_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the README, typed in its order, succeeds."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cats", "dogs", "foxes")):
        weights = fine_tuned(seed=number, frozen=number + 1).state_dict()
        save_file(weights, f"{name}.safetensors")
    for name, code in _files("README.md"):
        Path(name).write_text(code, encoding="utf-8")
    commands = [
        line.removeprefix("$ edgesim ")
        for block in _blocks("README.md", "console")
        for line in block.splitlines()
    ]
    assert len(commands) >= 8
    for command in commands:
        finished = edgesim(*shlex.split(command))
        assert finished.code == 0, (command, finished.err)
    assert (tmp_path / "results" / "campus" / "throughput.png").is_file()
    for name in ("mine.png", "shared.png", "tiny.png"):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_examples(document: str) -> None:
    """Every Python example gives the output that stands below it."""
    parser = doctest.DocTestParser()
    examples = "\n".join(_blocks(document, "python"))
    test = parser.get_doctest(examples, {}, document, document, 0)
    assert doctest.DocTestRunner().run(test).failed == 0
    if document == "README.md":
        assert len(test.examples) >= 4


def test_package_example() -> None:
    """The example in the package's own documentation holds."""
    result = doctest.testmod(solvers)
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document: str) -> None:
    """Every file that a document links to or shows is there."""
    path = REPOSITORY / document
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    for target in targets:
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_a_policy_is_as_short_as_promised() -> None:
    """The policy that the README shows, and the commands above run, has ≤ 20 lines."""
    [(name, code)] = _files("README.md")
    assert name == "soonest.py"
    assert len(code.partition("import Policy\n")[2].strip().splitlines()) <= 20


def test_measures_are_all_defined() -> None:
    """The README's tables define every measure that a summary holds."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    counted = {"requests", "late", "dropped"}
    for field in fields(Measures):
        name = field.name.replace("latency_p95_s", "_p95_s")
        name = name.replace("latency_p99_s", "_p99_s")
        assert f"`{name}`" in text or field.name in counted, field.name
    for name in QUOTIENTS:
        stem = name.removesuffix("_per_s")
        known = {f"`{n}`" for n in (name, stem, name.replace("latency", ""))}
        assert any(n in text for n in known), name


def test_dependencies_are_all_named() -> None:
    """The README gives the reason of every dependency."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text.split("## Dependencies")[1].split("\n## ")[0]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert name[0] in section, name[0]
