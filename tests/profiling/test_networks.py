"""Networks are built once while there is room, and in their dtype."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.profiling import networks
from edgesim.profiling.architecture import build_network
from edgesim.profiling.device import CpuDevice
from edgesim.profiling.networks import Networks, computes_in
from edgesim.profiling.zoo import Built

STACK = "tests.profiling.networks:stack"
STACK_BYTES = 4 * (8 * 16 + 16 + 16 * 4 + 4)
TINY_LLAMA = (
    "hf:llama,hidden_size=32,num_hidden_layers=1,num_attention_heads=2,"
    "num_key_value_heads=1,intermediate_size=64,vocab_size=50"
)


class Roomy(CpuDevice):
    """Host memory of a known size."""

    def __init__(self, free: int | None) -> None:
        super().__init__(torch.device("cpu"))
        self.free = free
        self.released = 0

    def free_bytes(self) -> int | None:
        """Tell what the test says."""
        return self.free

    def release(self) -> None:
        """Count."""
        self.released += 1


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, str]]:
    """Note what is built, for which dtype, and where."""
    noted: list[tuple[str, str | None, str]] = []
    real = networks.build

    def build(
        architecture: str,
        dtype: str | None = None,
        device: torch.device | str = "cpu",
    ) -> Built:
        noted.append((architecture, dtype, str(device)))
        return real(architecture, dtype, device)

    monkeypatch.setattr(networks, "build", build)
    return noted


def test_a_network_is_built_once(builds: list[tuple[str, str | None, str]]) -> None:
    """Asked for without a dtype and then by the one it came out in: one network."""
    kept = Networks(Roomy(None))
    first = kept.built(STACK)
    assert kept.built(STACK, "float32") is first
    assert kept.built(STACK) is first
    assert kept.built(STACK, "float16") is not first
    assert [dtype for _, dtype, _ in builds] == [None, "float16"]


@pytest.mark.parametrize(("room", "builds_of_second"), [(2, 1), (1, 2)])
def test_what_there_is_no_room_for_is_built_again(
    builds: list[tuple[str, str | None, str]], room: int, builds_of_second: int
) -> None:
    """A quarter of the free memory is for one network or two."""
    kept = Networks(Roomy(4 * room * STACK_BYTES))
    for _ in range(2):
        kept.built(STACK)
        kept.built("tests.profiling.networks:tall")
    assert sum(name == STACK for name, _, _ in builds) == 1
    assert sum(name != STACK for name, _, _ in builds) == builds_of_second


def test_what_the_device_cannot_hold_is_built_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its blocks can be told then; other errors are not taken for want of memory."""
    places: list[str] = []

    def build(
        architecture: str,
        dtype: str | None = None,
        device: torch.device | str = "cpu",
    ) -> Built:
        places.append(str(device))
        if str(device) != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return Built(nn.Linear(1, 1), None)

    monkeypatch.setattr(networks, "build", build)
    device = Roomy(None)
    device.device = torch.device("cuda", 0)
    network = Networks(device).built("x:y").network
    assert (places, device.released) == (["cuda:0", "cpu"], 1)
    assert computes_in(network, "x") == "float32"

    def refuse(*_: object) -> Built:
        raise InputError("x:y", "cannot be built")

    monkeypatch.setattr(networks, "build", refuse)
    with pytest.raises(InputError, match="cannot be built"):
        Networks(device).built("x:y")


def test_buffers_that_no_file_holds_keep_their_precision() -> None:
    """Rotary frequencies in half precision would be other angles at long distances."""
    network = build_network(TINY_LLAMA, "bfloat16")
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    (frequencies,) = (
        value
        for name, value in network.named_buffers()
        if name.endswith("rotary_emb.inv_freq")
    )
    assert frequencies.dtype == torch.float32


def test_networks_are_built_where_they_are_asked_for() -> None:
    """Meta stands for another device: weights of a library's network are made there.

    A function's network is made on the CPU, as such functions expect, and moved; what
    torch makes by default afterwards is as before.
    """
    network = build_network(TINY_LLAMA, "bfloat16", "meta")
    assert {weight.device.type for weight in network.parameters()} == {"meta"}
    assert torch.zeros(1).device.type == "cpu"
    assert torch.get_default_dtype() == torch.float32
