"""What the documentation tells a reader to type works as it is written."""

from __future__ import annotations

import doctest
import re
import shlex
import tomllib
import unicodedata
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from matplotlib.testing.compare import compare_images
from safetensors.torch import save_file

import solvers
from edgesim.catalogue import names_of
from edgesim.cli import app
from edgesim.measures.intervals import QUOTIENTS
from edgesim.measures.measure import Measures
from edgesim.measures.point import LABELS
from edgesim.results.figure_tables import ONLINE_COLUMNS, PLAN_COLUMNS, SHOWN_COLUMNS
from edgesim.results.series_table import SERIES_COLUMNS
from edgesim.results.tables import (
    PLAN_REQUEST_COLUMNS,
    PLAN_ROUND_COLUMNS,
    REQUEST_COLUMNS,
    ROUND_COLUMNS,
)
from edgesim.schemas import json_schema
from tests.command import edgesim
from tests.plotting import baselines
from tests.small_networks import fine_tuned, save_finetunes

REPOSITORY = Path(__file__).parents[1]


def _text(document: str) -> str:
    return (REPOSITORY / document).read_text(encoding="utf-8")


PAGES = tuple(
    f"docs/{name}"
    for name in re.findall(r"^ *- (\S+\.md)$", _text("mkdocs.yml"), re.MULTILINE)
)
"""Pages of docs/, in the order in which a reader meets them."""

QUOTING = (
    "docs/own-models.md",
    "docs/forty-checkpoints.md",
    "docs/first-scenario.md",
    "docs/first-solver.md",
    "docs/first-policy.md",
    "docs/a-day-of-requests.md",
)
"""Pages that quote what their commands print."""

PICTURES = {
    "kiosk-timeline.png": "results/kiosk/timeline.png",
    "kiosk-rate.png": "results/kiosk-rate/kiosk.png",
    "order-throughput.png": "results/order/throughput.png",
    "queues-latency.png": "results/queues/latency.png",
    "day-on-time.png": "results/day/on-time.png",
    "day-memory.png": "results/day-memory/day.png",
}
"""Pictures of the tutorials, and where their commands draw them."""

DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *PAGES,
    *(f"{d}/README.md" for d in ("traces", "profiles", "figures", "solvers")),
    "tests/instances/README.md",
)


def _blocks(document: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$", _text(document), re.MULTILINE | re.DOTALL
    )


def _files(document: str) -> list[tuple[str, str]]:
    """Python that is to be put into a file, which its first line names."""
    blocks = _blocks(document, "python")
    blocks += _blocks(document, "toml")
    named = [(re.match(r"# ([\w-]+\.(?:py|toml))\n", b), b) for b in blocks]
    return [(name[1], block) for name, block in named if name]


def _script(document: str) -> str:
    """Python that stands for itself: neither a session nor a file."""
    blocks = _blocks(document, "python")
    return "\n".join(
        block
        for block in blocks
        if ">>> " not in block and not re.match(r"# \w+\.py\n", block)
    )


def test_every_page_is_in_the_navigation() -> None:
    """Each page of docs/ once, and no others."""
    there = {f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md")}
    assert sorted(PAGES) == sorted(there)


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command after a $, typed in the order of the pages, succeeds."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("cats", "dogs", "foxes")):
        weights = fine_tuned(seed=number, frozen=number + 1).state_dict()
        save_file(weights, f"{name}.safetensors")
    save_finetunes(Path("finetunes"))
    for document in DOCUMENTS:
        for name, code in _files(document):
            Path(name).write_text(code, encoding="utf-8")
    lines = [
        line
        for document in DOCUMENTS
        for block in _blocks(document, "console")
        for line in block.splitlines()
    ]
    assert all(line.startswith("$ edgesim ") for line in lines)
    commands = dict.fromkeys(line.removeprefix("$ edgesim ") for line in lines)
    assert len(commands) >= 16
    printed = {}
    for command in commands:
        finished = edgesim(*_expanded(shlex.split(command)))
        assert finished.code == 0, (command, finished.err)
        printed[command] = finished.out
    for document in QUOTING:
        _check_quoted(document, "\n".join(printed.values()))
    if baselines.version() == baselines.MADE_WITH:  # others lay text out otherwise
        for name, drawn in PICTURES.items():
            shown = str(REPOSITORY / "docs" / "pictures" / name)
            # Letters differ by some pixels between machines.
            assert compare_images(shown, str(tmp_path / drawn), tol=10) is None, name
    assert (tmp_path / "results" / "campus" / "throughput.png").is_file()
    for name in ("finetunes.png", "mine.png", "shared.png", "tiny.png"):
        assert (tmp_path / name).is_file()


def _expanded(words: list[str]) -> list[str]:
    """Expand patterns as a shell does."""
    found = [sorted(map(str, Path().glob(w))) if "*" in w else [w] for w in words]
    return [word for one in found for word in one]


def _check_quoted(document: str, printed: str) -> None:
    """Check that a page's quotations and tables are printed by its commands.

    A line may leave out columns at its end: the run times of solvers.
    """
    quoted = re.findall(r"^(?:> .*\n)+", _text(document), re.MULTILINE)
    blocks = _blocks(document, "text")
    assert quoted or blocks
    for text in quoted:
        assert " ".join(text.replace("> ", "").split()) in printed
    for block in blocks:
        for line in block.splitlines():
            begun = (one.startswith(line) for one in printed.splitlines())
            assert any(begun), line


def _commands_shown(document: str) -> list[str]:
    """Every command line in a block or a sentence, run above or not."""
    text = re.sub(r"\\\n\s*", "", _text(document))
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.M | re.S)
    pattern = r"^(?:\$ |\.venv/bin/)?edgesim (.+)$"
    in_blocks = [line for b in blocks for line in re.findall(pattern, b, re.M)]
    return in_blocks + re.findall(r"`edgesim ([a-z][^`\n]*)`", text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_exist(document: str) -> None:
    """Those that take too long to run here are commands too, options and all."""
    for line in _commands_shown(document):
        words = shlex.split(line)
        command: Any = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not words or not hasattr(command, "commands"), line
        params = command.params
        options = {name for p in params for name in (*p.opts, *p.secondary_opts)}
        used = {word for word in words if word.startswith("--")}
        assert used <= options, (line, used - options)


def test_commands_are_found_wherever_they_are_shown() -> None:
    """In blocks that are not run, over several lines, and in sentences."""
    assert any("--factory" in line for line in _commands_shown("docs/own-models.md"))
    shown = _commands_shown("docs/traces.md")
    assert any("convert csv" in line and "--size-unit kB" in line for line in shown)
    assert "schema scenario" in _commands_shown("docs/scenarios.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_sessions(document: str) -> None:
    """Every Python session gives the output that stands below it."""
    parser = doctest.DocTestParser()
    examples = "\n".join(_blocks(document, "python"))
    test = parser.get_doctest(examples, {}, document, document, 0)
    assert doctest.DocTestRunner().run(test).failed == 0
    if document == "docs/solvers.md":
        assert len(test.examples) >= 6


SCRIPTS = tuple(document for document in DOCUMENTS if _script(document))


@pytest.mark.parametrize("document", SCRIPTS)
def test_python_scripts(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python without a prompt runs from the top of a document to its end."""
    monkeypatch.chdir(tmp_path)
    exec(compile(_script(document), document, "exec"), {})


def test_package_example() -> None:
    """The example in the package's own documentation holds."""
    result = doctest.testmod(solvers)
    assert result.attempted >= 3
    assert result.failed == 0


def _anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, where GitHub and MkDocs make the same one."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [heading.replace("`", "").strip().lower() for heading in headings]
    on_github = [re.sub(r"[^\w\- ]", "", h).replace(" ", "-") for h in plain]
    ascii_only = [
        unicodedata.normalize("NFKD", h).encode("ascii", "ignore").decode()
        for h in plain
    ]
    in_mkdocs = [
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", h).strip()) for h in ascii_only
    ]
    pairs = zip(on_github, in_mkdocs, strict=True)
    same = [one for one, other in pairs if one == other]
    return {anchor for anchor in same if same.count(anchor) == 1}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links(document: str) -> None:
    """Every file and every heading that a document links to, or shows, is there."""
    path = REPOSITORY / document
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(document)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in _anchors(there), target


def test_pages_stand_in_one_folder() -> None:
    """A page in docs/ is one level deep, so that what lies beside docs/ is at ../."""
    assert all(page.count("/") == 1 for page in PAGES)


def test_code_refers_to_documents_that_are_there() -> None:
    """Comments and docstrings name documents by a path that holds."""
    named = set()
    for folder in ("edgesim", "solvers", "tests", "traces"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in {".py", ".toml"} and "_data" not in path.parts:
                text = path.read_text(encoding="utf-8")
                named |= set(re.findall(r"\b(?:docs|profiles|traces)/[\w-]+\.md", text))
    assert {"docs/mathematics.md", "docs/traces.md"} <= named
    assert {name for name in named if not (REPOSITORY / name).is_file()} == set()


def test_the_readme_is_one_screen() -> None:
    """A picture, two commands, ten lines of Python, and what is not claimed."""
    text = _text("README.md")
    assert len(text.splitlines()) <= 60
    assert text.count("![") == 1
    (commands,) = _blocks("README.md", "sh")
    assert [line.split()[:2] for line in commands.splitlines()] == [
        ["make", "run"],
        ["make", "test"],
    ]
    (script,) = _blocks("README.md", "python")
    assert len(script.splitlines()) <= 10
    assert "Only its abstract" in text
    assert "**no figure here claims to be a figure of theirs**" in " ".join(
        text.split()
    )


def test_a_policy_is_as_short_as_promised() -> None:
    """The policy that is shown, and that the commands above run, has ≤ 20 lines."""
    [(name, code)] = _files("docs/policies.md")
    assert name == "soonest.py"
    assert len(code.partition("import Policy\n")[2].strip().splitlines()) <= 20


def test_measures_are_all_defined() -> None:
    """The tables define every measure that a summary holds."""
    text = _text("docs/measures.md")
    counted = {"requests", "late", "dropped"}
    for field in fields(Measures):
        name = field.name.replace("latency_p95_s", "_p95_s")
        name = name.replace("latency_p99_s", "_p99_s")
        assert f"`{name}`" in text or field.name in counted, field.name
    for name in QUOTIENTS:
        stem = name.removesuffix("_per_s")
        known = {f"`{n}`" for n in (name, stem, name.replace("latency", ""))}
        assert any(n in text for n in known), name
    in_figures = text.partition("## In figures\n")[2]
    assert [m for m in names_of("measures") if f"`{m}`" not in in_figures] == []


def _sections(document: str) -> dict[str, str]:
    """Return the texts of a document by heading, each up to the next one."""
    parts = re.split(r"^#+ (.+)$", _text(document), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _rows(text: str) -> set[str]:
    """Return what stands as code in the first column of tables."""
    cells = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_keys_of_a_scenario_are_all_listed() -> None:
    """Every key that its JSON Schema allows has its row, in the table of its section.

    Keys of the tables of a library stand in the rows of these.
    """
    schema = json_schema("scenario")
    definitions = schema["$defs"]
    sections = _sections("docs/scenarios.md")
    for name, part in (
        ("gpu", "Gpu"),
        ("cell", "CellSpec"),
        ("workload", "Workload"),
        ("run", "RunSpec"),
        ("noise", "NoiseSpec"),
        ("online", "OnlineSpec"),
    ):
        keys = set(definitions.pop(part)["properties"]) - {"faults"}
        assert keys - _rows(sections[f"`[{name}]`"]) == set(), name
    faults = [definitions.pop(f) for f in ("Burst", "GpuStall", "LinkDown", "SlowLoad")]
    keys = {key for fault in faults for key in fault["properties"]}
    assert keys - _rows(sections["Faults"]) == set()
    top = set(schema["properties"]) - {"library"}
    assert {k for k in top if f"`[{k}]`" not in sections} - _rows(
        sections["Keys"]
    ) == set()
    keys = {key for part in definitions.values() for key in part["properties"]}
    assert len(keys) >= 25
    words = set(re.findall(r"[\w.]+", sections["`[library]`"]))
    words |= {word.removeprefix("library.") for word in words}
    assert keys - words == set()


def test_columns_of_a_run_are_all_told() -> None:
    """The tables of the page of results have every column of every file of a run."""
    told = _rows(_text("docs/results.md"))
    columns = {*REQUEST_COLUMNS, *ROUND_COLUMNS, *SERIES_COLUMNS}
    columns |= {*PLAN_REQUEST_COLUMNS, *PLAN_ROUND_COLUMNS}
    assert len(columns) >= 40
    assert columns - told == set()


def test_pictures_are_those_of_the_tutorials() -> None:
    """Each is shown, and drawn anew by the commands above."""
    shown = {
        name
        for page in PAGES
        for name in re.findall(r"\]\(pictures/([\w-]+\.png)\)", _text(page))
    }
    there = {path.name for path in (REPOSITORY / "docs" / "pictures").iterdir()}
    assert shown == there == set(PICTURES)


def test_keys_of_a_figure_are_all_listed() -> None:
    """The page of figures lists every key, and shows every section in an example."""
    schema = json_schema("figure")
    keys = set(schema["properties"])
    for part in schema["$defs"].values():
        keys |= set(part["properties"])
    assert len(keys) >= 25
    rows = re.findall(r"^\| (.+?) \| .+ \| .*\|$", _text("docs/figures.md"), re.M)
    listed = set(re.findall(r"\w+", " ".join(rows)))
    assert keys - listed - {"plot", "sweep", "second"} == set()
    shown = [tomllib.loads(text) for name, text in _files("docs/figures.md")[1:]]
    assert {key for file in shown for key in file} == set(schema["properties"])


def test_columns_of_a_figure_are_told() -> None:
    """Those that stand before and after the measures, and those of what is shown."""
    text = _text("docs/figures.md")
    assert "`requests` … `mean_waiting`" in text
    assert (next(iter(LABELS)), [*LABELS][-1]) == ("requests", "mean_waiting")
    told = {*PLAN_COLUMNS, *ONLINE_COLUMNS, *SHOWN_COLUMNS} - {*LABELS}
    assert [column for column in told if f"`{column}`" not in text] == []


def test_dependencies_are_all_named() -> None:
    """The page of dependencies gives the reason of every one."""
    file = tomllib.loads(_text("pyproject.toml"))
    project = file["project"]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", _text("docs/dependencies.md"), re.M)
    named = " ".join(package for package, reason in rows if reason.strip())
    extras = project["optional-dependencies"].values()
    wanted = [
        *file["build-system"]["requires"],
        *project["dependencies"],
        *(name for extra in extras for name in extra),
    ]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert name[0] in re.findall(r"[\w-]+", named), name[0]


def test_terms_are_defined_once() -> None:
    """The glossary has one heading for each of the words that the pages rely on."""
    headings = re.findall(r"^### (.+)$", _text("docs/glossary.md"), re.MULTILINE)
    assert len(headings) == len(set(headings))
    terms = "Block Model Atom Laminar Residency Demand Batch Round Visit Admission Span"
    assert {*terms.split(), "Point", "Shard", "Store"} <= set(headings)


@pytest.mark.source
def test_every_room_is_described() -> None:
    """CONTRIBUTING names every folder of edgesim, and no other."""
    named = set(re.findall(r"`edgesim/(\w+)/`", _text("CONTRIBUTING.md")))
    rooms = (REPOSITORY / "edgesim").glob("*/__init__.py")
    assert named == {path.parent.name for path in rooms}


def test_the_citation_is_of_this_version() -> None:
    """It has the version of the package, and names the paper as a reference only."""
    text = _text("CITATION.cff")
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    assert f"\nversion: {project['version']}\n" in text
    own, _, paper = text.partition("references:")
    assert "Qu" not in own
    assert "arXiv:2503.22982" in paper


def test_hooks_need_no_network() -> None:
    """Every hook runs a tool of the environment that the dev extra installs."""
    text = _text(".pre-commit-config.yaml")
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    dev = {
        re.split(r"[>=<]", name)[0] for name in project["optional-dependencies"]["dev"]
    }
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    tools = re.findall(r"entry: (\S+)", text)
    assert set(tools) == {"ruff", "mypy"} <= dev
    assert text.count("language: system") == len(tools)
