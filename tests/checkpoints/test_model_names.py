"""Names of models whose files have the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesim.checkpoints.files import parse_checkpoint
from edgesim.checkpoints.model_names import parse_checkpoints
from edgesim.errors import InputError

HUB = "hub/models--{}/snapshots/0123456789abcdef0123456789abcdef01234567"


def names(*texts: str) -> list[str]:
    """Parse models, none of which needs to exist, and list their names."""
    return [one.name for one in parse_checkpoints(texts)]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("a/cats.pt", "b/dogs.pt"), ["cats", "dogs"]),
        (
            ("runA/checkpoint-500", "runB/checkpoint-500", "runB/checkpoint-900"),
            ["runA/checkpoint-500", "runB/checkpoint-500", "checkpoint-900"],
        ),
        (("x/a/m1.pt", "y/a/m1.pt", "x/b/m1.pt"), ["x/a/m1", "y/a/m1", "b/m1"]),
        (("cats/model.safetensors", "dogs/model.safetensors"), ["cats", "dogs"]),
        (("cats/model.safetensors",), ["model"]),
        (("x/cats/model.pt", "y/cats/model.pt"), ["x/cats", "y/cats"]),
        (("a/w.pt", "a/w.safetensors"), ["w.pt", "w.safetensors"]),
        ((HUB.format("org--cats"), HUB.format("org--dogs")), ["cats", "dogs"]),
        ((HUB.format("a--cats"), HUB.format("b--cats")), ["a/cats", "b/cats"]),
        ((HUB.format("gpt2"), HUB.format("b--gpt2")), ["hub/gpt2", "b/gpt2"]),
        ((HUB.format("org--cats") + "/model.safetensors",), ["cats"]),
        (("hub/models--org--cats",), ["cats"]),
        (("m=runA/m.pt", "runB/m.pt"), ["m", "runB/m"]),
        (
            ("base.pt+a/adapter_model.pt", "base.pt+b/adapter_model.pt"),
            ["base+a", "base+b"],
        ),
    ],
)
def test_names_differ(texts: tuple[str, ...], found: list[str]) -> None:
    """Folders come in where files have the same name, and no more than needed."""
    assert names(*texts) == found


def test_names_need_not_change() -> None:
    """Where they differ, they are those of each file alone."""
    texts = ("a/cats.pt", "x=b/dogs.safetensors", "base.pt+lora.pt", "folder", ".")
    assert names(*texts) == [parse_checkpoint(text).name for text in texts]


@pytest.mark.parametrize("texts", [("a.pt", "./a.pt"), ("m=a.pt", "m=b.pt")])
def test_the_same_twice_is_refused(texts: tuple[str, ...]) -> None:
    """One file given twice, or one name given to two."""
    with pytest.raises(InputError, match=r"is called|is given twice"):
        names(*texts)


def test_links_keep_their_names(tmp_path: Path) -> None:
    """A link is called what it is called, not what it leads to."""
    (tmp_path / "model.pt").touch()
    (tmp_path / "cats.pt").symlink_to("model.pt")
    assert names(str(tmp_path / "cats.pt")) == ["cats"]
