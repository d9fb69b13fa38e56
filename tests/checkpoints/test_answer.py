"""The answer about many checkpoints: in words, as numbers, and as a picture."""

from __future__ import annotations

import json
import re
import shlex
from itertools import combinations, pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from matplotlib.image import imread
from safetensors.numpy import save_file

from edgesim.checkpoints.answer import USUAL_MEMORY_BYTES, SharingAnswer, answer
from edgesim.checkpoints.content import ContentLibrary, share_by_content
from edgesim.checkpoints.files import Checkpoint, TensorRecord
from edgesim.checkpoints.sharing_text import (
    MATRIX_MODELS,
    MOST_FAMILIES,
    report,
    sentence,
)
from edgesim.checkpoints.to_profile import loads_at
from edgesim.library.sharing import bytes_distinct
from edgesim.plotting.sharing import (
    MOST_NAMED,
    plot_families,
    plot_pairs,
    sharing_figure,
)
from edgesim.profiling.job import parse_specs
from edgesim.schemas import json_schema
from edgesim.shipped import locate
from edgesim.trace.requests import read_trace
from edgesim.trace.summary import model_counts
from tests.command import edgesim

LOADS = loads_at(1e9)


def tensor(number: int, size: int = 100) -> TensorRecord:
    """Make a tensor that is known by its number."""
    return TensorRecord(f"t{number}", "uint8", (size,), size, f"{number:064x}")


def models(**held: tuple[TensorRecord, ...]) -> ContentLibrary:
    """Make a library of models that hold tensors."""
    return share_by_content(
        [Checkpoint(name, (Path("x.pt"),), of) for name, of in held.items()]
    )


def families(count: int, number: int = 3, size: int = 10**7) -> ContentLibrary:
    """Make models in turn of a number of families, each with a common half."""
    return models(
        **{
            f"family{n % number}-v{n:03}": (
                tensor(n % number, size),
                tensor(1000 + n, size),
            )
            for n in range(count)
        }
    )


def words(library: ContentLibrary, *memory_bytes: int, everything: bool = False) -> str:
    """Report on a library."""
    found = answer(library, LOADS, memory_bytes)
    return report(library, found, LOADS, everything=everything)


class TestSentence:
    """The first line."""

    def test_forty_models(self) -> None:
        """The numbers, by hand: 40 × 20 MB, 43 × 10 MB, a family 10 MB and 10 each."""
        found = answer(families(40), LOADS, [200_000_000])
        assert sentence(found) == (
            "40 models, 800 MB; each block kept once 430 MB (46 % less). On 200 MB of "
            "GPU memory 10 fit, with sharing 18. Loading all, one after the other: "
            "0.800 s whole, 0.430 s in the best order."
        )

    def test_it_comes_first(self) -> None:
        """Whatever follows."""
        library = families(40)
        assert words(library).splitlines()[0] == sentence(answer(library, LOADS))

    def test_one_model(self) -> None:
        """There is nothing to share, and nothing is laminar."""
        text = words(models(a=(tensor(1, 10**9),)), 10**8)
        assert text.splitlines()[0] == (
            "1 model, 1.00 GB. On 100 MB of GPU memory it does not fit. "
            "Loading: 1.00 s."
        )
        assert "laminar" not in text
        assert "it fits" in words(models(a=(tensor(1, 10**9),)))

    def test_nothing_shared(self) -> None:
        """Two numbers are the same, and nothing is laminar."""
        library = models(a=(tensor(1, 900),), b=(tensor(2, 300),))
        text = words(library, 500)
        assert text.startswith(
            "2 models, 1.20 kB; each block kept once 1.20 kB (0 % less). On 500 B of "
            "GPU memory 1 fits, with sharing 1."
        )
        assert "no two models share anything" in text
        assert "laminar" not in text
        assert "best order (" not in text

    @pytest.mark.parametrize(
        ("common", "own", "less"),
        [(1, 10**6, "0.0 %"), (10**4, 10**6, "0.5 %"), (10**6, 1, "50 %")],
    )
    def test_small_savings_are_not_rounded_away(
        self, common: int, own: int, less: str
    ) -> None:
        """Less than a percent has a decimal."""
        library = models(
            a=(tensor(0, common), tensor(1, own)), b=(tensor(0, common), tensor(2, own))
        )
        assert f"({less} less)" in words(library)

    def test_the_usual_sizes(self) -> None:
        """As many as it takes to hold whole copies of all, and no more."""
        found = answer(families(4, size=5 * 10**9), LOADS)
        assert [fits.memory_bytes for fits in found.fit] == list(USUAL_MEMORY_BYTES)
        found = answer(families(4), LOADS)
        assert [fits.memory_bytes for fits in found.fit] == [8 * 10**9]

    def test_several_sizes(self) -> None:
        """A row each, in the unit given."""
        text = words(families(40), 20_000_000, 2 * 2**30)
        assert re.search(r"^20 MB +1 +1$", text, re.MULTILINE)
        assert re.search(r"^2 GiB +40 +40$", text, re.MULTILINE)

    def test_a_bound_where_the_most_is_not_known(self) -> None:
        """Of a long ring of blocks, and only then, it says "at least"."""
        ring = {
            f"m{n}": (tensor(n, 100 + n), tensor((n + 1) % 40, 100 + (n + 1) % 40))
            for n in range(40)
        }
        library = models(**ring)
        found = answer(library, LOADS, [1100])
        (fits,) = found.fit
        assert fits.with_sharing < fits.with_sharing_at_most
        assert f"with sharing at least {fits.with_sharing}" in sentence(found)
        assert f"more than {fits.with_sharing_at_most} cannot fit" in words(
            library, 1100
        )
        assert "at least" not in words(families(40), 10**8)


class TestFamilies:
    """Families, identical models, and what is left out of long lists."""

    def test_a_row_a_family(self) -> None:
        """Members, bytes and what they share; no pairs, and no row a model."""
        text = words(families(40))
        assert re.search(
            r"^\[1\] family0-v000, family0-v003 and 12 more +14 +280 MB +150 MB +46 % "
            r"+10\.0 MB +– +140 MB$",
            text,
            re.MULTILINE,
        )
        assert len(text.splitlines()) < 40

    def test_two_hundred_models(self) -> None:
        """Families are cut and counted; everything is listed if asked for."""
        library = families(200, 50)
        text = words(library)
        assert len(text.splitlines()) < 50
        assert max(map(len, text.splitlines()[1:])) < 120
        left = 50 - MOST_FAMILIES
        assert f"and {left} more families of {4 * left} models" in text
        everything = words(library, everything=True)
        listed = everything.split()
        assert all(name in listed for name in library.models)
        assert "[50] family49-v049" in everything

    def test_models_in_no_family(self) -> None:
        """They are named together, with their bytes."""
        lone = {f"lone{n}": (tensor(n, 1000),) for n in range(10)}
        text = words(models(a=(tensor(99),), b=(tensor(99), tensor(98)), **lone))
        assert "10 models share nothing with any other (10.0 kB): lone0, lone1" in text
        assert "lone7 and 2 more" in text

    def test_identical_models(self) -> None:
        """The same tensors make the same models."""
        same = (tensor(1), tensor(2))
        library = models(a=same, b=(tensor(1),), c=same)
        assert "the same, tensor for tensor: a, c\n" in words(library)
        assert answer(library, LOADS).identical == (("a", "c"),)

    def test_tables_of_few_models(self) -> None:
        """Models, blocks and pairs stand in tables while they are few."""
        few, many = families(MATRIX_MODELS), families(MATRIX_MODELS + 1)
        assert f"[{MATRIX_MODELS}]" in words(few)
        assert "shared block  " in words(few)
        assert f"[{MATRIX_MODELS + 1}]" not in words(many)
        assert "shared block  " not in words(many)
        assert "shared block  " in words(many, everything=True)

    def test_assumptions_are_stated(self) -> None:
        """Seconds come with their formula, bytes with what they leave out."""
        text = " ".join(words(families(4)).split())
        assert "bytes / (1e+09 bytes/s), from a stated rate" in text
        assert "activations come on top" in text
        assert "only the blocks of the model before stay" in text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with 40 checkpoints of two families, of 21 and 19."""
    monkeypatch.chdir(tmp_path)
    for n in range(40):
        common = np.full(1000, min(n % 2, abs(n - 1)), np.float32)
        own = np.full(250, n, np.float32)
        save_file({"common": common, "own": own}, f"m{n:02}.safetensors")
    return tmp_path


def paths(folder: Path) -> list[str]:
    """List the checkpoints as a shell expands ``*.safetensors``."""
    return sorted(path.name for path in folder.glob("*.safetensors"))


class TestCommand:
    """What the command prints, and what can be typed next."""

    def test_words(self, folder: Path) -> None:
        """Rates come from a shipped profile unless stated; sizes in any unit."""
        shown = edgesim("profile", "sharing", *paths(folder), "--memory", "0.1MB")
        assert shown.code == 0, shown.err
        assert shown.out.startswith(
            "40 models, 200 kB; each block kept once 48.0 kB (76 % less). On 100 kB of "
            "GPU memory 20 fit, with sharing 40. Loading all"
        )
        assert "profile 'clockwork-v100'" in shown.out

    def test_json(self, folder: Path) -> None:
        """The same numbers, valid by the schema, and counted by other code."""
        how = ("--json", "--memory", "3e4, 60KB")
        shown = edgesim("profile", "sharing", *paths(folder), *how)
        assert shown.code == 0, shown.err
        document = json.loads(shown.out)
        jsonschema.validate(document, json_schema("sharing"))
        assert document["schema"] == "edgesim.sharing/1"
        assert document["bytes"] == 40 * 5000
        assert document["bytes_shared_once"] == 2 * 4000 + 40 * 1000
        assert document["laminar"] is True
        assert [len(f["models"]) for f in document["families"]] == [21, 19]
        assert len(document["models"]) == 40
        fits = [(f["without_sharing"], f["with_sharing"]) for f in document["fit"]]
        assert fits == [(6, 22), (12, 40)]
        read = SharingAnswer.model_validate(
            {key: value for key, value in document.items() if key != "schema"}
        )
        assert read.document() == document

    @pytest.mark.parametrize("files", [1, 2, 24, 25, 40])
    def test_lines_work_as_typed(self, folder: Path, files: int) -> None:
        """Whatever the number of files; none needs a GPU, and each model is asked for.

        A trace that is shipped has 24 models.
        """
        for path in paths(folder)[files:]:
            (folder / path).unlink()
        given = paths(folder)
        out = edgesim("profile", "sharing", *given).out
        typed = re.findall(r"^  edgesim (.+)$", out, re.MULTILINE)
        assert len(typed) == 2 + (files > 24)
        assert typed[0].startswith("profile sharing")
        if files == 40:
            assert "sharing *.safetensors --like" in typed[0]
        for line in typed:
            finished = edgesim(
                *(
                    name
                    for word in shlex.split(line)
                    for name in (paths(folder) if word == "*.safetensors" else [word])
                )
            )
            assert finished.code == 0, (line, finished.err)
            assert finished.err.count("\n") == line.startswith("trace generate")
        trace = read_trace(locate("trace", typed[-1].split()[-1]))
        assert len(trace.models) == max(files, 24)
        assert min(model_counts(trace)) >= 1
        again = edgesim("profile", "sharing", *given, *typed[0].split()[-4:]).out
        steps = again.partition("next, a run:\n")[2].splitlines()
        assert [
            line.removeprefix("  edgesim ") for line in steps[: len(typed) - 1]
        ] == (typed[1:])
        assert typed[-1].startswith("run --profile my-models.json")

    def test_a_long_list_is_not_repeated(self, folder: Path) -> None:
        """Files that no pattern names are not typed out: the options are."""
        out = edgesim("profile", "sharing", *paths(folder)[1:]).out
        assert "  the same command with --like clockwork-v100:resnet50 --out" in out

    def test_architecture_told_by_names(self, folder: Path) -> None:
        """Tensors of a ResNet-18 give the line that measures it."""
        weights = {"conv1.weight": np.ones(3), "fc.weight": np.ones(2)}
        weights |= {
            f"layer{a}.{b}.conv1.weight": np.ones(1)
            for a in range(1, 5)
            for b in (0, 1)
        }
        save_file(weights, folder / "a b.safetensors")
        out = edgesim("profile", "sharing", "a b.safetensors").out
        assert (
            "  edgesim profile measure 'a b.safetensors' --factory "
            "torchvision:resnet18 --device cuda:0 --out my-models-measured.json\n"
        ) in out

    @pytest.mark.torch
    @pytest.mark.parametrize("files", [2, 24, 40])
    def test_measuring_works_as_typed(
        self, folder: Path, files: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a small network in place of a ResNet, on a processor.

        Of many files, which take minutes, the profile that is not measured stands in.
        """
        from tests.small_networks import fine_tuned

        def small(library: ContentLibrary) -> str:
            del library
            return "tests.small_networks:convnet"

        monkeypatch.setattr("edgesim.cli.next_steps._architecture", small)
        monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
        for path in paths(folder):
            (folder / path).unlink()
        for number in range(files):
            weights = fine_tuned(seed=number, frozen=1 + number % 2).state_dict()
            numpy = {name: tensor.numpy() for name, tensor in weights.items()}
            save_file(numpy, folder / f"net{number:02}.safetensors")
        out = edgesim("profile", "sharing", *paths(folder)).out
        lines = re.findall(r"^  edgesim (.+)$", out, re.MULTILINE)
        quick = "--batch 1 --tiers pageable --seconds 0.01 --input 3x16x16"
        for line in lines:
            if line.startswith("profile measure"):
                if files > 2:
                    Path("my-models.json").rename("my-models-measured.json")
                    continue
                line = f"{line.replace('cuda:0', 'cpu')} {quick}"
            words = shlex.split(line)
            if "*.safetensors" in words:
                at = words.index("*.safetensors")
                words[at : at + 1] = paths(folder)
            finished = edgesim(*words)
            assert finished.code == 0, (line, finished.err)
        assert [line.split()[:2] for line in lines[-2:]] == [
            ["profile", "measure"],
            ["run", "--profile"],
        ]
        assert lines[-1].split()[-1] == lines[-3].split()[-1]

    def test_names_from_folders(self, folder: Path) -> None:
        """Files of one name, here and where they are measured."""
        given = []
        for name in ("runA", "runB"):
            path = folder / name / "checkpoint-500"
            path.mkdir(parents=True)
            save_file({"w": np.ones(2)}, path / "model.safetensors")
            given.append(f"{name}/checkpoint-500")
        out = edgesim("profile", "sharing", *given).out
        assert "the same, tensor for tensor: runA/checkpoint-500, runB/check" in out
        assert [spec.name for spec in parse_specs(given)] == given

    @pytest.mark.parametrize(
        "size", ["", "0", "16G", "GB", "-1", "1e99", "8GB,x", "nan"]
    )
    def test_sizes_that_are_none(self, folder: Path, size: str) -> None:
        """Each is refused by the option's name, with examples."""
        finished = edgesim("profile", "sharing", "m01.safetensors", f"--memory={size}")
        assert finished.code == 2
        assert finished.err.startswith(
            "error: --memory: must be bytes, as in 1e9, 16GB or 24GiB"
        )


class TestPicture:
    """Families first, then pairs."""

    @pytest.mark.parametrize("count", [2, 12, 13, 40, 150])
    def test_pairs(self, count: int) -> None:
        """The map holds every pair, family by family, and names while few."""
        library = families(count, 3)
        found = answer(library, LOADS)
        ax = plot_pairs(library, found)
        (image,) = ax.get_images()
        values = np.ma.filled(image.get_array(), 0)
        assert values.shape == (count, count)
        assert np.allclose(values, values.T)
        assert np.allclose(np.diag(values), 20)
        assert (len(ax.texts) > 0) is (count <= 12)
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert len(ax.patches) == len(found.families)
        if count <= MOST_NAMED:
            assert sorted(labels) == sorted(library.models)
        else:
            assert labels[0] == "[1] family0-v000, … (50)"

    def test_families(self) -> None:
        """A bar each for whole copies and for three parts; others are counted."""
        lone = {"lone": (tensor(5000, 10**9),)}
        held = {
            f"f{n}-{m}": (tensor(n), tensor(100 + 2 * n + m))
            for n in range(15)
            for m in (0, 1)
        }
        ax = plot_families(answer(models(**held, **lone), LOADS))
        assert len(ax.patches) == 4 * MOST_FAMILIES
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert labels[0] == "[1] f0-0, … (2)"
        assert labels[-2:] == ["3 more families (6)", "sharing nothing (1)"]
        assert ax.get_xlim()[1] < 1000

    @pytest.mark.parametrize(
        "library", [families(3, 1), families(40), families(200, 66)]
    )
    def test_labels_do_not_overlap(self, library: ContentLibrary) -> None:
        """Names stand clear of each other in both parts, whatever their number."""
        figure = sharing_figure(library, answer(library, LOADS))
        figure.draw_without_rendering()
        assert figure.axes[0].get_position().y0 > figure.axes[1].get_position().y1
        for ax in figure.axes[:2]:
            boxes = sorted(
                (label.get_window_extent() for label in ax.get_yticklabels()),
                key=lambda box: box.y0,
            )
            assert len(boxes) > 0
            for low, high in pairwise(boxes):
                assert low.y1 <= high.y0 + 1

    def test_nothing_shared_has_no_pairs(self, folder: Path) -> None:
        """One bar says it; and the command writes a PNG that can be read."""
        library = models(a=(tensor(1),), b=(tensor(2),))
        assert len(sharing_figure(library, answer(library, LOADS)).axes) == 1
        shown = edgesim("profile", "sharing", *paths(folder), "--picture", "a.png")
        assert "picture in a.png" in shown.out
        assert imread("a.png").shape[0] > 200


def test_the_models_that_fit_are_the_most() -> None:
    """Against every subset of the seven models of two families."""
    library = families(7, 2, size=10)
    view = library.view()
    for memory in range(1, 120, 7):
        (fits,) = answer(library, LOADS, [memory]).fit
        most = max(
            n
            for n in range(8)
            for some in combinations(library.models, n)
            if bytes_distinct(view, some) <= memory
        )
        assert fits.with_sharing == fits.with_sharing_at_most == most
