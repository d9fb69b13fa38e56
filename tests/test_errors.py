"""The library names its parameters in errors, the command line its options."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from edgesim.campaign.spec import Campaign, read_campaign
from edgesim.cli import app
from edgesim.cli.command import Command
from edgesim.errors import InputError, Parameter, in_file
from edgesim.experiment.sources import locate
from edgesim.plugins import ConsentError
from edgesim.scenario.file import locate_scenario
from edgesim.schemas import json_schema
from edgesim.trace.generate import generate
from tests.command import edgesim
from tests.examples import SCENARIO, TRACE, instance

REPOSITORY = Path(__file__).parents[1]

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

DATA = {
    # The command lines of its jobs, in which it looks for these.
    "campaign/spec.py": {
        *("--out", "--like", "--latency-from", "--policy", "--solver", "--factories"),
        "--own-code",
    },
    # The command that measured a profile, in which it looks for these.
    "live/layout.py": {"--blocks", "--depth"},
    # What nvidia-smi is called with.
    "profiling/hardware.py": {"--id", "--query-gpu", "--format"},
}
"""Files of the library whose strings hold options as data, and which."""


def library() -> dict[str, ast.Module]:
    """Every file of edgesim outside the command line, by its path in the package."""
    root = REPOSITORY / "edgesim"
    return {
        str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in ("cli", "_data")
    }


def options_in(tree: ast.AST) -> Iterator[str]:
    """Find the options that strings name, docstrings left out."""
    about = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for text, value in zip(node.values, node.values[1:], strict=False):
                made = isinstance(text, ast.Constant) and str(text.value).endswith("--")
                if made and isinstance(value, ast.FormattedValue):
                    yield "--{...}"
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in about
        ):
            yield from OPTION.findall(node.value)


@pytest.mark.source
def test_no_option_is_named_outside_the_command_line() -> None:
    """A caller in Python has no options; what is data is listed, and nothing else."""
    found = {name: set(options_in(tree)) for name, tree in library().items()}
    assert {name: words for name, words in found.items() if words} == DATA


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('raise E("--rate", "must be")', ["--rate"]),
        ('f"give --factory or {x}"', ["--factory"]),
        ("f\"--{key.replace('_', '-')}\"", ["--{...}"]),
        ('"""About ``--rate``."""', []),
        ('plot(linestyle="--")', []),
        ('"a -- b, a--b, ---"', []),
    ],
)
def test_the_guard_tells_options_from_other_text(code: str, found: list[str]) -> None:
    """Also in the pieces of a formatted text, or when one is put together."""
    assert list(options_in(ast.parse(f"x = 1\n{code}"))) == found


def named() -> set[str]:
    """Parameters that messages of the library name, where the name stands there."""
    return {
        node.args[0].value
        for tree in library().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Parameter"
        and isinstance(node.args[0], ast.Constant)
    }


@cache
def commands() -> dict[str, Command]:
    """Every command that has no commands of its own, by its words."""
    found: dict[str, Command] = {}

    def gather(words: tuple[str, ...], group: object) -> None:
        inner = getattr(group, "commands", None)
        if inner is None:
            assert isinstance(group, Command), f"{words} would not name its options"
            found[" ".join(words)] = group
        for name, one in (inner or {}).items():
            gather((*words, name), one)

    gather((), typer.main.get_command(app))
    return found


@pytest.mark.source
def test_named_parameters_are_parameters() -> None:
    """Each is an argument of a function, or a field, of the library."""
    known: set[str] = set()
    for tree in library().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                known.add(node.target.id)
    assert "slo_s" in named()
    assert named() - known == set()


def test_named_parameters_have_an_option() -> None:
    """Some command writes each as its own; none is left as it is everywhere."""
    without = {
        name
        for name in named()
        if all(one.option_of(Parameter(name)) == name for one in commands().values())
    }
    assert without == set()


def test_what_commands_rename_are_their_parameters() -> None:
    """A name that a command no longer has would be printed as it is."""
    assert len(commands()) > 15
    for words, one in commands().items():
        own = {param.name for param in one.params}
        assert set(one.names.values()) <= own, words


@pytest.mark.parametrize(
    ("words", "parameter", "text"),
    [
        ("trace generate", Parameter("rate_per_s"), "--rate"),
        ("trace generate", Parameter("arrivals", "gamma"), "--arrivals gamma"),
        ("profile measure", Parameter("input"), "--input"),
        ("profile sharing", Parameter("profile"), "--like"),
        ("schema", Parameter("name"), "NAME"),
        ("solve", Parameter("rate_per_s"), "rate_per_s"),
        ("solve", Parameter("arrivals", "gamma"), "arrivals='gamma'"),
    ],
)
def test_options_of_parameters(words: str, parameter: Parameter, text: str) -> None:
    """By their own name, a command's, with a value; arguments as help calls them."""
    assert commands()[words].option_of(parameter) == text


def told(*words: object) -> str:
    """Run a command that refuses its options; return what it says."""
    finished = edgesim(*words)
    assert finished.code == 2
    assert finished.err.count("\n") == 1
    return finished.err.removeprefix("error: ").rstrip("\n")


def test_a_rate_below_zero(tmp_path: Path) -> None:
    """``rate_per_s`` in Python, ``--rate`` on the command line."""
    with pytest.raises(InputError) as caught:
        generate(rate_per_s=-1.0, duration_s=1.0, slo_s=[1.0])
    assert caught.value.where == "rate_per_s"
    assert str(caught.value) == "rate_per_s: must be > 0, found -1.0"
    said = told(
        *("trace", "generate", "--rate", -1, "--duration-s", 1, "--slo-s", 1),
        *("--out", tmp_path / "t.csv"),
    )
    assert said == "--rate: must be > 0, found -1.0"


def test_parameters_within_a_sentence(tmp_path: Path) -> None:
    """They are translated wherever they stand, and what was found stays as it is."""
    options = {"duration_s": 2.0, "slo_s": [1.0]}
    with pytest.raises(InputError) as caught:
        generate(rate_per_s=1e9, **options)  # type: ignore[arg-type]
    end = "must make at most 20,000,000 requests, found 2e+09"
    assert str(caught.value) == f"duration_s: {end} (rate_per_s times duration_s)"
    with pytest.raises(InputError) as caught:
        generate(rate_per_s=1.0, cv=2.0, **options)  # type: ignore[arg-type]
    assert caught.value.what == "belongs to arrivals='gamma', found arrivals='poisson'"
    given = ("--duration-s", 2, "--slo-s", 1, "--out", tmp_path / "t.csv")
    said = told("trace", "generate", "--rate", 1e9, *given)
    assert said == f"--duration-s: {end} (--rate times --duration-s)"
    said = told("trace", "generate", "--rate", 1, "--cv", 2, *given)
    assert said == "--cv: belongs to --arrivals gamma, found --arrivals poisson"


def test_a_scenario_without_a_trace() -> None:
    """``trace`` of the function, ``--trace`` of the command."""
    with pytest.raises(InputError) as caught:
        locate(locate_scenario("own-models"), profile="clockwork-v100")
    assert str(caught.value).startswith("trace: is needed: a trace says")
    said = told("run", "--profile", "clockwork-v100")
    assert said.startswith("--trace: is needed: a trace says")


def test_a_profile_that_is_not_there() -> None:
    """``profile`` of the function, ``--profile`` of the command; found is found."""
    with pytest.raises(InputError, match=r"^profile: must be a file or one of"):
        locate(locate_scenario("campus"), profile="{profile}")
    said = told("run", "campus", "--profile", "{profile}")
    assert said.startswith("--profile: must be a file or one of")
    assert said.endswith("found '{profile}'")


def test_a_schema_that_is_not_there() -> None:
    """``name`` of the function, the argument NAME of the command."""
    with pytest.raises(InputError, match=r"^name: must be one of instance"):
        json_schema("x")
    assert told("schema", "x").startswith("NAME: must be one of instance")


def test_a_kind_of_input_error_stays_one() -> None:
    """What tells kinds apart, as the consent to own code does, finds them."""
    with pytest.raises(ConsentError) as caught, in_file("c.toml"):
        raise ConsentError("jobs[0]", "runs own code; see ", Parameter("jobs"))
    assert str(caught.value) == "c.toml: jobs[0]: runs own code; see jobs"
    same = caught.value.written(lambda one: f"--{one.name}")
    assert isinstance(same, ConsentError)
    assert same.what == "runs own code; see --jobs"


def test_copies_keep_what_is_a_parameter() -> None:
    """Processes hand errors on as copies, and those are translated as well."""
    error = InputError(Parameter("rate_per_s"), "is not ", Parameter("slo_s"), ".")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert str(same) == "rate_per_s: is not slo_s."
        assert str(same.written(lambda one: one.name.upper())) == (
            "RATE_PER_S: is not SLO_S."
        )


def test_a_file_before_the_place_keeps_what_is_a_parameter() -> None:
    """The place becomes a key of the file; the sentence can still be translated."""
    with pytest.raises(InputError) as caught, in_file("day.toml"):
        raise InputError("workload.trace", "give ", Parameter("trace_file"))
    assert str(caught.value) == "day.toml: workload.trace: give trace_file"
    assert str(caught.value.written(lambda _: "--trace")).endswith(": give --trace")


def test_a_rule_of_a_file_names_its_key(tmp_path: Path) -> None:
    """The place is a value of the error, also where only the whole shows the fault."""
    job = {"name": "a", "command": "edgesim list", "expected_s": 1.0}
    with pytest.raises(InputError) as caught:
        Campaign.model_validate({"name": "c", "jobs": [job, job]})
    assert caught.value.where == "jobs[1].name"
    path = tmp_path / "c.toml"
    table = '[[jobs]]\nname = "a"\ncommand = "edgesim list"\nexpected_s = 1\n'
    path.write_text(f'schema = "edgesim.campaign/1"\nname = "c"\n{table}{table}')
    with pytest.raises(InputError) as caught:
        read_campaign(path)
    assert caught.value.where == f"{path}: jobs[1].name"
    assert caught.value.what == "stands twice: 'a'"


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("bandwidth_hz", "bandwith_hz", "cell.bandwith_hz", "'bandwidth_hz'"),
        ("memory_bytes", "memory", "gpu.memory", "'memory_bytes'"),
        ("variants", "varians", "library.clusters[0].varians", "'variants'"),
        ("[cell]", "[cel]", "cel", "'cell'"),
        ("schema =", "shema =", "shema", "'schema'"),
        ("radius_m", "radius_km", "cell.radius_km", "'radius_m'"),
    ],
)
def test_a_misspelt_key_is_named_and_answered(
    old: str, new: str, where: str, what: str, tmp_path: Path
) -> None:
    """Also where it is required: the one that stands there, not the one missing."""
    file = tmp_path / "s.toml"
    file.write_text(SCENARIO.replace(old, new, 1))
    assert told("run", file) == f"{file}: {where}: unknown key; did you mean {what}?"


@pytest.mark.parametrize(
    ("online", "where", "what"),
    [
        ('policis = ["edf"]', "policis", "unknown key; did you mean 'policies'?"),
        ('policies = ["edf"]\nlat = "drop"', "lat", "unknown key; did you mean 'late'"),
        ('policies = ["edff"]', "policies", "must be of .*; did you mean 'edf'"),
        ('policies = ["edf"]\nedff = {}', "", "options .*; did you mean 'edf'"),
    ],
)
def test_a_misspelt_key_online(
    online: str, where: str, what: str, tmp_path: Path
) -> None:
    """Where unknown tables are options of policies."""
    file = tmp_path / "s.toml"
    plan = SCENARIO.replace('solvers = ["dp", "dp-noshare"]', "")
    file.write_text(f"{plan}\n[online]\n{online}\n")
    place = "online." + where if where else "online"
    assert re.match(f"{re.escape(f'{file}: {place}')}: {what}", told("run", file))


def test_a_misspelt_key_of_json_and_of_a_mapping(tmp_path: Path) -> None:
    """An instance's user in a list, and a model by its name."""
    for section, key, wrong, place in (
        ("users", "deadline_s", "deadline", "users[0].deadline"),
        ("models", "latency_s", "latencys", "models.cats.latencys"),
    ):
        document = instance()
        record = document[section][0 if section == "users" else "cats"]
        record[wrong] = record.pop(key)
        file = tmp_path / "i.json"
        file.write_text(json.dumps(document))
        out = tmp_path / "out.json"
        said = told("solve", file, "--solver", "dp", "--out", out)
        assert said == f"{file}: {place}: unknown key; did you mean {key!r}?"


def test_a_missing_key_that_nothing_stands_for(tmp_path: Path) -> None:
    """It is named itself, whatever other unknown key there is."""
    file = tmp_path / "s.toml"
    file.write_text(SCENARIO.replace("bandwidth_hz = 20e6", "colour = 1"))
    assert told("run", file) == f"{file}: cell.bandwidth_hz: required key is missing"


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ('"resnet50"', '"resnet51"', "resnet50"),
        ('"clockwork-v100"', '"clockwork"', "clockwork-v100"),
        ('"dp-noshare"', '"dp_noshare"', "dp-noshare"),
        ("[gpu]", '[gpu]\nresident_model = "resnet50-v1"', "resnet50-v01"),
    ],
)
def test_a_misspelt_name_is_answered(
    old: str, new: str, meant: str, tmp_path: Path
) -> None:
    """Models, profiles and solvers."""
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO.replace(old, new, 1))
    (tmp_path / "small.csv").write_text(TRACE)
    assert told("run", file).endswith(f"; did you mean {meant!r}?")
