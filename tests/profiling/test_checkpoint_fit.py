"""Checkpoints fit networks under other names, and what does not fit is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from edgesim.checkpoints.files import Checkpoint, TensorRecord
from edgesim.errors import InputError
from edgesim.profiling.checkpoint_fit import check_fits, fit
from tests.small_networks import convnet, fine_tuned


def checkpoint(shapes: Mapping[str, tuple[int, ...]]) -> Checkpoint:
    """Make a checkpoint of tensors with these shapes."""
    return Checkpoint(
        "x",
        (),
        tuple(TensorRecord(n, "float32", s, 4, n) for n, s in shapes.items()),
    )


def saved(network: nn.Module, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors, a prefix before every name."""
    state = network.state_dict()
    return {f"{prefix}{name}": tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "model.", "module.model."],
)
def test_prefixes_of_wrappers_are_left_out(prefix: str) -> None:
    """DataParallel's, torch.compile's, and one that all names have in common."""
    check_fits(convnet(), checkpoint(saved(convnet(), prefix)), "x:y")


def test_a_part_that_was_compiled() -> None:
    """The prefix may stand within a name, of some tensors only."""
    shapes = {
        name.replace("layers.", "layers._orig_mod."): shape
        for name, shape in saved(convnet()).items()
    }
    check_fits(convnet(), checkpoint(shapes), "x:y")


def test_names_of_the_network_itself_come_first() -> None:
    """A network that has a part called module keeps it."""
    network = nn.Sequential()
    network.add_module("module", nn.Linear(2, 2))
    check_fits(network, checkpoint(saved(network)), "x:y")
    check_fits(network, checkpoint(saved(network, "module.")), "x:y")


def test_names_that_would_become_one_stay_apart() -> None:
    """What is in the file twice, wrapped and not, does not fit."""
    shapes = saved(convnet()) | saved(convnet(), "module.")
    with pytest.raises(InputError, match=r"module\.layers\.0\.weight is not in the"):
        check_fits(convnet(), checkpoint(shapes), "x:y")


@pytest.mark.parametrize("classes", [1, 7, 1000])
def test_the_head_tells_the_classes(classes: int) -> None:
    """Where weight and bias of the head alone differ, in their first dimension."""
    found = fit(convnet(), checkpoint(saved(fine_tuned(1, 2, num_classes=classes))))
    assert found.classes == classes


def test_heads_of_boxes_are_a_multiple() -> None:
    """A detector predicts four numbers for every class."""
    network = nn.ModuleDict({"score": nn.Linear(8, 91), "boxes": nn.Linear(8, 364)})
    other = nn.ModuleDict({"score": nn.Linear(8, 3), "boxes": nn.Linear(8, 12)})
    assert fit(network, checkpoint(saved(other))).classes == 3


@pytest.mark.parametrize(
    "change",
    [
        {"head.weight": (7, 33), "head.bias": (7,)},
        {"head.weight": (7, 32), "head.bias": (8,)},
        {"head.weight": (7, 32, 1), "head.bias": (7,)},
        {"head.weight": (7, 32), "head.bias": (7,), "more": (1,)},
        {},
    ],
)
def test_other_differences_are_no_head(change: dict[str, tuple[int, ...]]) -> None:
    """Another width, two numbers, another rank, an unknown tensor; no difference."""
    assert fit(convnet(), checkpoint(saved(convnet()) | change)).classes is None


def test_a_missing_tensor_is_no_head() -> None:
    """It is told as missing."""
    shapes = saved(fine_tuned(1, 2, num_classes=7))
    del shapes["layers.0.bias"]
    found = fit(convnet(), checkpoint(shapes))
    assert found.classes is None
    assert found.missing == ("layers.0.bias",)


def test_tensors_that_are_not_saved_do_not_count() -> None:
    """Buffers that older versions saved, and names that the library passes over."""
    network: Any = nn.Linear(2, 2)
    network.register_buffer("position_ids", torch.arange(3), persistent=False)
    network._keys_to_ignore_on_load_unexpected = [r"masked_bias$"]
    shapes = saved(network) | {"position_ids": (3,), "a.masked_bias": ()}
    check_fits(network, checkpoint(shapes), "x:y")
    with pytest.raises(InputError, match="b is not in the network"):
        check_fits(network, checkpoint(shapes | {"b": (1,)}), "x:y")
