"""Every checkpoint gets its architecture: by name, pattern, default or own folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from edgesim.checkpoints.files import CheckpointFiles
from edgesim.errors import InputError
from edgesim.profile.file import read_profile
from edgesim.profiling.architecture import build, build_network, with_classes
from edgesim.profiling.factories import assign_factories, shown_factory
from tests.command import edgesim
from tests.small_networks import convnet, fine_tuned

CONVNET = "tests.small_networks:convnet"
QUICK = ("--device", "cpu", "--batch", "1", "--repeats", "10", "--seconds", "0.05")
QUICK += ("--tiers", "pageable", "--input", "3x16x16")


def files(*names: str) -> list[CheckpointFiles]:
    """Make checkpoints of these names."""
    return [CheckpointFiles(name, (Path(f"{name}.pt"),)) for name in names]


def test_one_for_all_and_some_by_name() -> None:
    """The first that matches a name, else the one without a name; else none."""
    found = assign_factories(
        ["timm:a", "cats=timm:b", "run?-*=timm:c", "run1-best=timm:d"],
        files("cats", "dogs", "run1-last", "run1-best"),
    )
    assert found == {
        "cats": "timm:b",
        "dogs": "timm:a",
        "run1-last": "timm:c",
        "run1-best": "timm:c",
    }
    assert assign_factories(["cats=timm:b"], files("cats", "dogs")) == {
        "cats": "timm:b"
    }
    assert assign_factories([], files("cats")) == {}


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["timm:a", "timm:b"], "one may be without a name"),
        (["cows=timm:a"], r"must be for one of the checkpoints \(cats\), found 'cows'"),
        (["resnet18"], "is no SPEC"),
        (["hf:"], r"has no config\.json beside it"),
    ],
)
def test_what_fits_no_checkpoint(texts: list[str], told: str) -> None:
    """Two for all, a name that is not there, no SPEC, no configuration."""
    with pytest.raises(InputError, match=told):
        assign_factories(texts, files("cats"))


def test_factories_are_shown_without_folders() -> None:
    """The name stays, even one that is the SPEC's own."""
    assert shown_factory("a=hf:/there/bert") == "a=hf:bert"
    assert shown_factory("bert=hf:bert") == "bert=hf:bert"
    assert shown_factory("timm:x,num_classes=3") == "timm:x,num_classes=3"


def test_keywords_of_a_factory() -> None:
    """Values are JSON; the size of a head is added only where it is one's."""
    network: Any = build_network(f"{CONVNET},num_classes=7")
    assert network.head.out_features == 7
    assert with_classes(CONVNET, 5) == f"{CONVNET},num_classes=5"
    assert with_classes(f"{CONVNET},num_classes=7", 5) is None
    assert with_classes("tests.profiling.networks:stack", 5) is None
    assert (
        with_classes("hf:bert,hidden_size=8", 5) == "hf:bert,hidden_size=8,num_labels=5"
    )
    for text, told in (
        (f"{CONVNET},num_classes=", "JSON scalar"),
        (f"{CONVNET},classes=7", "cannot be built: TypeError"),
    ):
        with pytest.raises(InputError, match=told):
            build_network(text)


def test_keywords_of_torchvision_and_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """They reach the builder; those that would fetch weights are refused."""

    def resnet18(*, weights: object = "download", num_classes: int = 1000) -> nn.Module:
        assert weights is None
        return nn.Linear(2, num_classes)

    def create_model(
        name: str, *, pretrained: bool, num_classes: int = 1000
    ) -> nn.Module:
        assert (name, pretrained) == ("resnet18", False)
        return nn.Linear(2, num_classes)

    fake: Any = ModuleType("torchvision")
    fake.models = SimpleNamespace(
        list_models=lambda: ["resnet18"],
        get_model_builder=lambda _: resnet18,
        get_model=lambda _, **options: resnet18(**options),
    )
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    fake = ModuleType("timm")
    fake.is_model = lambda name: name == "resnet18"
    fake.list_models = lambda: ["resnet18"]
    fake.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", fake)
    for source in ("torchvision", "timm"):
        network: Any = build(f"{source}:resnet18,num_classes=7").network
        assert network.out_features == 7
        assert with_classes(f"{source}:resnet18", 7) == (
            f"{source}:resnet18,num_classes=7"
        )
        for key in ("weights", "pretrained", "checkpoint_path"):
            with pytest.raises(InputError, match=f"must not set {key}"):
                build(f'{source}:resnet18,{key}="x"')


def measured(tmp_path: Path, *words: object) -> Any:
    """Measure and return the models of the profile."""
    out = tmp_path / "out.json"
    finished = edgesim("profile", "measure", *words, *QUICK, "--out", out)
    assert finished.code == 0, finished.err
    return read_profile(out).models


@pytest.mark.parametrize(
    "sizes", [(3, 10, 11), pytest.param(range(1, 41), marks=pytest.mark.long)]
)
def test_many_heads_in_one_command(tmp_path: Path, sizes: Sequence[int]) -> None:
    """Each is measured with the head that its file has, and states it."""
    for classes in sizes:
        save_file(
            fine_tuned(classes, 3, num_classes=classes).state_dict(),
            tmp_path / f"m{classes}.safetensors",
        )
    models = measured(
        tmp_path, *sorted(tmp_path.glob("*.safetensors")), "--factory", CONVNET
    )
    assert len(models) == len(sizes)
    for name, model in models.items():
        size = int(name.removeprefix("m"))
        sized = CONVNET if size == 10 else f"{CONVNET},num_classes={size}"
        assert model.architecture == sized
        assert set(model.latency_s) == {"1"}
        assert model.dtype == "float32"


def test_factories_that_differ(tmp_path: Path) -> None:
    """One by name, one for the rest; the command that is stated can be typed again."""
    save_file(convnet().state_dict(), tmp_path / "conv.safetensors")
    wrapped = {
        f"module.{n}": v
        for n, v in fine_tuned(1, 1, num_classes=3).state_dict().items()
    }
    torch.save(wrapped, tmp_path / "wrapped.pt")
    save_file(nn.Linear(16, 2).state_dict(), tmp_path / "line.safetensors")
    (tmp_path / "linear_alone.py").write_text(
        "from torch import nn\ndef make():\n    return nn.Linear(16, 2)\n"
    )
    paths = [tmp_path / name for name in ("conv.safetensors", "wrapped.pt")]
    sys.path.insert(0, str(tmp_path))
    try:
        models = measured(
            tmp_path, *paths, tmp_path / "line.safetensors",
            "--factory", "line=linear_alone:make", "--factory", CONVNET,
        )  # fmt: skip
    finally:
        sys.path.remove(str(tmp_path))
    assert models["conv"].architecture == CONVNET
    assert models["wrapped"].architecture == f"{CONVNET},num_classes=3"
    assert models["line"].architecture == "linear_alone:make"
    command = json.loads((tmp_path / "out.json").read_text())["provenance"]["command"]
    assert f"--factory line=linear_alone:make --factory {CONVNET}" in command


TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 50,
}


def saved_classifier(folder: Path, labels: int) -> None:
    """Save a classifier of texts as transformers does."""
    config = transformers.BertConfig(**TINY, num_labels=labels)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)


def test_the_class_is_that_of_the_folder(tmp_path: Path) -> None:
    """Not the plain model of its type, whose names and tensors are others."""
    saved_classifier(tmp_path, 3)
    network: Any = build_network(f"hf:{tmp_path}")
    assert type(network).__name__ == "BertForSequenceClassification"
    assert network.classifier.out_features == 3
    other: Any = build_network(f"hf:{tmp_path},num_labels=5")
    assert other.classifier.out_features == 5
    plain = build_network(f'hf:{tmp_path},architectures="BertModel"')
    assert type(plain).__name__ == "BertModel"
    assert type(build_network("hf:bert,hidden_size=24")).__name__ == "BertModel"


def test_a_class_that_is_not_there(tmp_path: Path) -> None:
    """It is named, and what to do; nothing else is taken for it."""
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", **TINY, "architectures": ["BertForCats"]})
    )
    with pytest.raises(InputError, match=r"class 'BertForCats'.*architectures="):
        build_network(f"hf:{tmp_path}")
    with pytest.raises(InputError, match="class 'nn' by"):
        build_network(f'hf:{tmp_path},architectures="nn"')


def test_checkpoints_with_their_own_configuration(tmp_path: Path) -> None:
    """Folders of transformers, each by its own config.json; no number is given."""
    for name, labels in (("cats", 3), ("dogs", 2)):
        saved_classifier(tmp_path / name, labels)
    out = tmp_path / "out.json"
    finished = edgesim(
        "profile", "measure", tmp_path / "cats", tmp_path / "dogs", "--device", "cpu",
        "--batch", "1,2", "--repeats", 10, "--seconds", 0.05, "--tiers", "pageable",
        "--factory", "hf:", "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    models = read_profile(out).models
    assert {m.architecture for m in models.values()} == {"hf:cats", "hf:dogs"}
    assert all(set(model.latency_s) == {"1", "2"} for model in models.values())
    assert str(tmp_path) not in out.read_text()


def test_a_head_beside_a_configuration_of_another(tmp_path: Path) -> None:
    """One folder's architecture for all: the number of labels is each file's."""
    saved_classifier(tmp_path / "cats", 3)
    saved_classifier(tmp_path / "dogs", 5)
    out = tmp_path / "out.json"
    finished = edgesim(
        "profile", "measure", tmp_path / "cats", tmp_path / "dogs", "--device", "cpu",
        "--batch", "1", "--repeats", 10, "--seconds", 0.05, "--tiers", "pageable",
        "--factory", f"hf:{tmp_path / 'cats'}", "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    assert read_profile(out).models["dogs"].architecture == "hf:cats,num_labels=5"
