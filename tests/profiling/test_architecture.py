"""SPECs: what they are called, what they build, and what is said of bad ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profiling.architecture import (
    build,
    build_network,
    dtype_of,
    parse_spec,
    shown_architecture,
)
from edgesim.profiling.blocks import TensorSize, group, numbered_block, state_tensors
from edgesim.profiling.inputs import example_input, forward, weights_dtype

TINY_BERT = (
    "hf:bert,hidden_size=32,num_hidden_layers=2,num_attention_heads=2,"
    "intermediate_size=64,vocab_size=100"
)
TINY_GPT2 = "hf:gpt2,n_embd=32,n_layer=2,n_head=2,vocab_size=100,n_positions=16"
TINY_LLAMA = (
    "hf:llama,hidden_size=32,num_hidden_layers=2,num_attention_heads=2,"
    "num_key_value_heads=1,intermediate_size=64,vocab_size=100"
)


@pytest.mark.parametrize(
    ("text", "name", "architecture"),
    [
        ("torchvision:resnet50", "resnet50", "torchvision:resnet50"),
        ("big=timm:vit_base", "big", "timm:vit_base"),
        ("hf:llama,hidden_size=8", "llama", "hf:llama,hidden_size=8"),
        ("a b=hf:llama,hidden_size=8", "a b", "hf:llama,hidden_size=8"),
        ("hf:folders/my-bert", "my-bert", "hf:folders/my-bert"),
        ("package.module:factory", "factory", "package.module:factory"),
    ],
)
def test_names_of_specs(text: str, name: str, architecture: str) -> None:
    """The last word is the name, unless one stands before an equals sign."""
    spec = parse_spec(text)
    assert (spec.name, spec.architecture) == (name, architecture)


@pytest.mark.parametrize("text", ["resnet50", ":x", "hf:", "hf:,a=1", "a=b", ""])
def test_what_is_no_spec(text: str) -> None:
    """The message lists the forms."""
    with pytest.raises(InputError, match=r"package\.module:factory"):
        parse_spec(text)


def test_architectures_are_shown_without_folders() -> None:
    """An absolute path is replaced by its name, all else stays."""
    assert shown_architecture("hf:/there/bert,a=1") == "hf:bert,a=1"
    assert shown_architecture("hf:my/bert") == "hf:my/bert"
    assert shown_architecture("timm:resnet18") == "timm:resnet18"


def _blocks(network: nn.Module) -> dict[str, int]:
    sizes = (
        TensorSize(name, value.nbytes)
        for name, value in state_tensors(network, "x").items()
    )
    return {block.name: block.bytes for block in group(sizes, numbered_block, "x")}


def test_a_tiny_bert() -> None:
    """Overrides reach the configuration; blocks and bytes by hand."""
    built = build(TINY_BERT)
    layer = 4 * (4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32)
    assert built.input == "tokens:128:100"
    assert not built.network.training
    assert _blocks(built.network) == {
        "embeddings": 4 * (100 * 32 + 512 * 32 + 2 * 32 + 2 * 32),
        "encoder.layer.0": layer,
        "encoder.layer.1": layer,
        "pooler": 4 * (32 * 32 + 32),
    }


@pytest.mark.parametrize("architecture", [TINY_GPT2, TINY_LLAMA])
def test_tiny_language_models_run(architecture: str) -> None:
    """Built, converted and run on their usual input; numbered layers are blocks."""
    built = build(architecture, "bfloat16")
    blocks = list(_blocks(built.network))
    layer = "h" if "gpt2" in architecture else "layers"
    assert [f"{layer}.0", f"{layer}.1"] == [b for b in blocks if b[-1].isdigit()]
    assert built.input == f"tokens:{16 if layer == 'h' else 128}:100"
    assert weights_dtype(built.network) == torch.bfloat16
    assert dtype_of(state_tensors(built.network, "x")) == "bfloat16"
    forward(built.network, example_input(built.input, 2, torch.bfloat16, "cpu"))


def test_weights_are_the_same_each_time() -> None:
    """A fixed seed, which leaves the caller's random numbers alone."""
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second = build_network(TINY_BERT), build_network(TINY_BERT)
    assert torch.equal(torch.rand(1), expected)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_local_folder_of_transformers(tmp_path: Path) -> None:
    """Its configuration is read, overrides replace parts of it, code in it is not run.

    A configuration that names code of its own is refused, and the code not imported.
    """
    config = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2}
    config |= {"num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = build_network(f"hf:{tmp_path},num_hidden_layers=1")
    assert "encoder.layer.0" in _blocks(network)
    assert "encoder.layer.1" not in _blocks(network)

    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="cannot be built"):
        build_network(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("hf:brt", "near: .*bert"),
        ("hf:bert-base-uncased", "no model type"),
        ("hf:bert,hiden_size=3", "near: .*hidden_size"),
        ("hf:bert,hidden_size", "JSON scalar"),
        ("hf:bert,hidden_size=", "JSON scalar"),
        ("hf:bert,hidden_size=[1]", "JSON scalar"),
        ("hf:bert,hidden_size=3x", "JSON scalar"),
        ("hf:bert,hidden_size=32,", "JSON scalar"),
        ("hf:bert,hidden_act=gelu", "double quotes"),
        ("hf:bert,hidden_size=33,num_attention_heads=2", "cannot be built: ValueError"),
        ("tests.profiling.networks:fails", "cannot be built: ValueError: .*luck"),
        ("tests.profiling.networks:number", "must return a torch.nn.Module, found 3"),
        ("tests.profiling.networks:constant", "no function .*'constant'"),
        ("tests.profiling.networks:stak", "near: .*stack"),
        ("tests.profiling.nothing:stack", "no module 'tests.profiling.nothing'"),
        ("no such:thing", "is no SPEC"),
    ],
)
def test_what_cannot_be_built(architecture: str, words: str) -> None:
    """One line each: what is wrong, and near matches."""
    with pytest.raises(InputError, match=words) as caught:
        build_network(architecture)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_names_a_model_of_the_hub_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's backbone lies elsewhere: refused, and nobody was asked for it."""
    asked: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *words, **_: asked.append(words))
    (tmp_path / "config.json").write_text(
        '{"model_type": "detr", "use_timm_backbone": false, "backbone_config": null, '
        '"backbone": "microsoft/resnet-50", "use_pretrained_backbone": true}'
    )
    with pytest.raises(InputError, match="cannot be built"):
        build_network(f"hf:{tmp_path}")
    assert asked == []


def test_overrides_may_be_any_json_scalar() -> None:
    """Numbers, true and null, and strings with commas in double quotes."""
    network = build_network(f'{TINY_BERT},hidden_act="relu",layer_norm_eps=1e-3')
    config: Any = network.config
    assert (config.hidden_act, config.layer_norm_eps) == ("relu", 1e-3)


def test_factories_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the user is found, its network's own input taken."""
    (tmp_path / "mine_alone.py").write_text(
        "import torch\n"
        "def make():\n"
        "    network = torch.nn.Linear(3, 4)\n"
        "    network.edgesim_input = '3'\n"
        "    return network\n"
        "def wrong():\n"
        "    network = make()\n"
        "    network.edgesim_input = 'three'\n"
        "    return network\n"
    )
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    built = build("mine_alone:make", "float16")
    assert sys.path == path
    assert built.input == "3"
    assert built.network.weight.dtype == torch.float16
    with pytest.raises(InputError, match="edgesim_input"):
        build("mine_alone:wrong")


def test_a_module_that_fails_to_import_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks is named, not the module itself."""
    (tmp_path / "needs_more.py").write_text("import not_there_at_all\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="not_there_at_all"):
        build_network("needs_more:make")


def test_dtypes_have_one_name_or_are_mixed() -> None:
    """Floating ones count; others only where there is nothing else."""
    half, whole = torch.zeros(1, dtype=torch.float16), torch.zeros(1, dtype=torch.int8)
    assert dtype_of({"a": half, "b": whole}) == "float16"
    assert dtype_of({"b": whole}) == "int8"
    assert dtype_of({"a": half, "c": torch.zeros(1)}) == "mixed"


Builder = Callable[..., nn.Module]


def _fake_torchvision(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    asked: list[dict[str, object]] = []

    def plain(*, weights: object = "download") -> nn.Module:
        asked.append({"weights": weights})
        return nn.Linear(2, 2)

    def segmenting(
        *, weights: object = "download", weights_backbone: object = "download"
    ) -> nn.Module:
        asked.append({"weights": weights, "weights_backbone": weights_backbone})
        return nn.Linear(2, 2)

    builders: dict[str, Builder] = {
        "resnet18": plain,
        "inception_v3": plain,
        "fcn_resnet50": segmenting,
    }
    fake: Any = ModuleType("torchvision")
    fake.__version__ = "0.99"
    fake.models = SimpleNamespace(
        list_models=lambda: list(builders),
        get_model_builder=builders.__getitem__,
        get_model=lambda name, **options: builders[name](**options),
    )
    monkeypatch.setitem(sys.modules, "torchvision", fake)
    return asked


def test_torchvision_without_any_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the network's nor its backbone's are asked for; inputs as known."""
    asked = _fake_torchvision(monkeypatch)
    assert build("torchvision:resnet18").input == "3x224x224"
    assert build("torchvision:inception_v3").input == "3x299x299"
    build("torchvision:fcn_resnet50")
    assert asked == [
        {"weights": None},
        {"weights": None},
        {"weights": None, "weights_backbone": None},
    ]
    with pytest.raises(InputError, match="near: resnet18"):
        build("torchvision:resnet")


def test_timm_without_weights_or_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are not asked for, names with a source are not looked up."""
    asked: list[object] = []

    def create_model(name: str, *, pretrained: bool) -> nn.Module:
        asked.append(pretrained)
        network: Any = nn.Linear(2, 2)
        network.default_cfg = {"input_size": (3, 48, 32)}
        return network  # type: ignore[no-any-return]

    fake: Any = ModuleType("timm")
    fake.is_model = lambda name: "resnet18" in name
    fake.list_models = lambda: ["resnet18"]
    fake.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", fake)
    assert build("timm:resnet18").input == "3x48x32"
    assert asked == [False]
    for name in ("resnet81", "hf-hub:someone/resnet18"):
        with pytest.raises(InputError, match="no timm model"):
            build(f"timm:{name}")


@pytest.mark.parametrize(
    ("source", "library"),
    [("torchvision", "torchvision"), ("timm", "timm"), ("hf", "transformers")],
)
def test_a_missing_library_says_what_to_install(
    source: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra that holds it is named."""

    class Missing:
        @staticmethod
        def find_spec(name: str, path: object, target: object = None) -> None:
            if name == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing, *sys.meta_path])
    with pytest.raises(InputError, match=r"pip install 'edgesim\[zoo\]'"):
        build_network(f"{source}:bert")


def test_a_library_for_another_torch_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torchvision raises beside a torch that it was not built for."""
    (tmp_path / "torchvision.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"nms does not exist.*made for it"):
        build_network("torchvision:resnet18")
