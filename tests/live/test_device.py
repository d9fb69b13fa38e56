"""A batch runs on the bytes that were loaded."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch
from torch import nn

from edgesim.errors import InputError
from edgesim.live.device import PoolDevice, pool_bytes
from edgesim.live.layout import places, views
from edgesim.live.pool import OwnPlaces
from edgesim.live.stage import make_stage
from edgesim.profiling.blocks import TensorSize
from edgesim.profiling.builder import builder
from edgesim.profiling.device import CpuDevice, NotCapturedError, Step
from edgesim.profiling.memory import aligned
from solvers.core.tables import Tables
from tests.live import cases


def _device(
    *, sharing: bool = True, packed: bool = False, **rules: object
) -> PoolDevice:
    tables = Tables(cases.problem(**rules), sharing=sharing)
    return cases.pool_device(tables, packed=packed)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("sharing", [True, False])
def test_every_model_answers_as_the_one_built_by_itself(
    sharing: bool, packed: bool
) -> None:
    """After a load over a relative, the blocks that they share stay where they are."""
    device = _device(sharing=sharing, packed=packed)
    assert device.wrong_models() == []
    device.warm_up()


def test_the_models_differ() -> None:
    """A model that answered for another would be seen."""
    device = _device()
    answers = [live.expected[0] for live in device._models]
    for number, one in enumerate(answers):
        for other in answers[:number]:
            assert float((one - other).abs().max()) > 1e-3


@pytest.mark.parametrize("block", ["net/layers.0", "net-v02/layers.3", "net-v02/head"])
def test_one_block_that_is_broken_is_seen(block: str) -> None:
    """By the models that hold it, and by no others."""
    device = _device()
    host = device._stage.hosts[block].host
    host[: host.numel() // 8].zero_()
    holders = [name for name, m in cases.problem().models.items() if block in m.blocks]
    assert device.wrong_models() == holders


def test_a_block_that_breaks_in_memory_is_seen_at_the_end() -> None:
    """The models in memory are checked as they lie there."""
    device = _device()
    device.reset()
    tables = device._tables
    everything = frozenset(range(len(tables.atom_blocks)))
    for model in range(len(tables.model_names)):
        device.fetch(model, everything)
    copy = next(copy for copy in device.pool.in_order() if copy.block == "net-v01/head")
    device._content(device.pool[copy])[::3] = 0
    assert device.wrong_at_end() == ["net-v01"]


def test_every_model_is_checked_at_the_end() -> None:
    """Those in memory as they lie there, the others loaded over what is left."""
    device = _device()
    device.reset()
    device.fetch(1, device._tables.atoms_of[1])
    assert device.wrong_at_end() == []
    for block in ("net-v02/layers.3", "net/head"):
        device._stage.hosts[block].host[:400].zero_()
    device.reset()
    device.fetch(1, device._tables.atoms_of[1])
    assert device.wrong_at_end() == ["net", "net-v02"]


def test_weights_move_with_their_blocks() -> None:
    """A memory of little more than a model: blocks are moved together, and follow."""
    device = _device(sharing=False, packed=True)
    device.reset()
    device.pool.size = sum(map(aligned, cases.SIZES.values())) + 20_480
    device.fetch(0, frozenset({0}))
    first = next(
        copy for copy in device.pool.in_order() if copy.block == "net/layers.1"
    )
    device.pool.free(first)
    others = device._copies[1][:2]
    for copy in others:  # the second fits neither below nor above the other blocks
        device._place(copy)
    assert device.pool.counts.compactions == 1
    assert device.pool.counts.moved > 0
    for copy in others:
        device.pool.free(copy)
    device._place(first)
    with pytest.raises(RuntimeError, match="without its block"):
        device.show(0)
    device._bind(0)
    assert device.show(0) == 0.0


def test_a_model_is_not_computed_without_its_blocks() -> None:
    """Bytes that were given up are not read."""
    device = _device()
    device.reset()
    atoms_of = device._tables.atoms_of
    device.fetch(1, atoms_of[1])
    device.forward(1, 3)
    device.fetch(2, atoms_of[2])
    with pytest.raises(RuntimeError, match="'net-v01' would be computed without"):
        device.forward(1, 1)


def test_tensors_lie_in_a_block_without_gaps_and_aligned() -> None:
    """Each at a multiple of the power of two that divides its size."""
    tensors = [
        TensorSize("step", 8),
        TensorSize("bias", 40),
        TensorSize("weight", 4096),
        TensorSize("half", 6),
        TensorSize("byte", 3),
    ]
    there = dict(places(tensors))
    assert there == {
        "weight": 0,
        "step": 4096,
        "bias": 4104,
        "half": 4144,
        "byte": 4150,
    }
    like = {"weight": torch.empty(32, 32), "half": torch.empty(3, dtype=torch.float16)}
    content = torch.arange(4153).to(torch.uint8)
    found = views(content, [p for p in places(tensors) if p.name in like], like)
    assert found["weight"].shape == (32, 32)
    assert found["half"].view(torch.uint8).tolist() == [
        4144 % 256 + i for i in range(6)
    ]


class Tied(nn.Module):
    """Two names for one weight, a counter, and a buffer that is not saved."""

    edgesim_input = "8"

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.two = nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.register_buffer("scale", torch.full((1,), 3.0), persistent=False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Use all of it."""
        return {"answer": self.two(self.norm(self.one(x))) * self.scale}


def test_tied_weights_are_one_and_unsaved_buffers_stay() -> None:
    """The views of both names are the same bytes; outputs may be in a table."""
    network = Tied().eval()
    sizes = {"one": 8 * 8 * 4 + 32, "norm": 4 * 32 + 8, "two": 32}
    profile = cases.profile(
        blocks=[
            {"name": name, "bytes": size, "load_s": {"pageable": {"median_s": 1e-4}}}
            for name, size in sizes.items()
        ],
        input="8",
    )
    blocks = {f"net/{n}": {"bytes": s, "load_s": 1e-4} for n, s in sizes.items()}
    problem = cases.problem(
        blocks=blocks,
        models={"net": {"blocks": list(blocks), "latency_s": [0.002]}},
    )
    tables = Tables(problem)
    device = cases.cpu()
    stage = make_stage(
        "p.json", problem, profile, device, "pageable", lambda _: network
    )
    buffer = torch.zeros(100_000, dtype=torch.uint8)
    pool = PoolDevice(stage, device, tables, buffer)
    assert pool.wrong_models() == []
    pool.fetch(0, tables.atoms_of[0])
    bound = stage.models["net"].network
    assert bound.one.weight.data_ptr() == bound.two.weight.data_ptr()
    base = buffer.data_ptr()
    assert base <= bound.one.weight.data_ptr() < base + buffer.numel()


def test_blocks_that_are_not_the_networks_are_refused() -> None:
    """Other sizes, an adapter's block, a model without a network."""
    wrong = cases.profile(
        blocks=[
            {
                "name": name,
                "bytes": size + 4,
                "load_s": {"pageable": {"median_s": 1e-4}},
            }
            for name, size in cases.SIZES.items()
        ]
    )
    with pytest.raises(InputError, match="its blocks are not those of its network's"):
        cases.stage(cases.problem(), wrong)
    with pytest.raises(InputError, match="the profile states no input of 'net'"):
        cases.stage(cases.problem(), cases.profile(input=None))
    extra = cases.problem().model_dump()
    extra["blocks"]["adapter"] = {"bytes": 10, "load_s": 0.0}
    extra["models"]["net"]["blocks"] += ("adapter",)
    with pytest.raises(InputError, match="its block 'adapter' is no part"):
        cases.stage(type(cases.problem()).model_validate(extra))


class WithGraphs(CpuDevice):
    """A device whose graphs read their weights where these were when captured."""

    has_graphs = True

    def captured(self, step: Step) -> Step:
        """Keep the tensors of the step's network as they are now, and run on them."""
        network = inspect.getclosurevars(step).nonlocals["live"].network
        then = {name: one.data for name, one in network.state_dict().items()}

        def replay() -> None:
            now = network.state_dict(keep_vars=True)
            after = {name: one.data for name, one in now.items()}
            for name, one in now.items():
                one.data = then[name]
            step()
            for name, one in now.items():
                one.data = after[name]

        return replay


def _with_graphs(*, sharing: bool = True) -> PoolDevice:
    problem = cases.problem()
    tables = Tables(problem, sharing=sharing)
    device = WithGraphs(torch.device("cpu"))
    profile = cases.profile(latency_mode="graph")
    stage = make_stage("p.json", problem, profile, device, "pageable", builder(device))
    size = pool_bytes(tables)
    return PoolDevice(stage, device, tables, torch.zeros(size, dtype=torch.uint8))


@pytest.mark.parametrize("sharing", [True, False])
def test_captured_batches_run_on_the_bytes_that_were_loaded(sharing: bool) -> None:
    """Each block has a place of its own; a block that breaks there is seen."""
    device = _with_graphs(sharing=sharing)
    device.capture()
    assert device.wrong_models() == []
    device.warm_up()
    device.reset()
    atoms_of = device._tables.atoms_of
    for model in (1, 2, 3, 1):
        device.fetch(model, atoms_of[model])
        device.forward(model, 3)
        with pytest.raises(RuntimeError, match="would be computed without"):
            device.forward(0, 1)
    places = [device.pool[copy] for copy in device.pool.in_order()]
    assert all(one.end <= two.offset for one, two in pairwise(places))
    assert device.wrong_at_end() == []
    copy = next(copy for copy in device.pool.in_order() if copy.block.endswith("head"))
    device._content(device.pool[copy])[::3] = 0
    assert device.wrong_at_end() == ["net-v03"]


def test_runs_with_the_same_places_share_their_graphs() -> None:
    """A second policy captures nothing; one without sharing captures its own."""
    device = _with_graphs()
    device.capture()
    captured = dict(device._graphs)
    assert len(captured) == 4 * 2
    again = PoolDevice(device._stage, device._device, device._tables, device._buffer)
    again.capture()
    assert again._graphs == captured
    apart = Tables(cases.problem(), sharing=False)
    buffer = torch.zeros(pool_bytes(apart), dtype=torch.uint8)
    other = PoolDevice(device._stage, device._device, apart, buffer)
    other.capture()
    assert other._graphs.keys() == captured.keys()
    assert other._graphs is not device._graphs


def test_a_batch_that_cannot_be_captured_is_refused() -> None:
    """With its reason, and what may be done."""
    device = _with_graphs()

    def refuse(step: Step) -> Step:
        raise NotCapturedError("it reads a result")

    device._device.captured = refuse  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"uses_graphs.* a batch of 1 was not, it rea"):
        device.capture()


class TwoQueues(CpuDevice):
    """A device that copies while it computes, with two clocks."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.both = CpuDevice(self.device), CpuDevice(self.device)

    def queues(self) -> tuple[CpuDevice, CpuDevice]:
        """Return one device for copies, and one for batches."""
        return self.both


def test_with_overlap_loads_and_batches_have_queues_and_blocks_have_places() -> None:
    """No block is moved; a load gives up nothing that a batch reads."""
    tables = Tables(cases.problem(overlap=True, gpu_memory_bytes=400_000))
    device = TwoQueues()
    size = pool_bytes(tables)
    buffer = torch.zeros(size, dtype=torch.uint8)
    pool = PoolDevice(cases.stage(tables.problem), device, tables, buffer)
    assert (pool._copying, pool._computing) == device.both
    assert isinstance(pool.pool, OwnPlaces)
    assert pool.wrong_models() == []
    pool.reset()
    pool.fetch(1, tables.atoms_of[1] | tables.atoms_of[2])
    pool.fetch(2, tables.atoms_of[1] | tables.atoms_of[2])
    pool.forward(1, 1)
    assert pool.wrong_at_end() == []
    with pytest.raises(ValueError, match="copies and computes one after the other"):
        PoolDevice(cases.stage(tables.problem), cases.cpu(), tables, buffer)
    with pytest.raises(ValueError, match="take blocks with places of their own"):
        PoolDevice(
            cases.stage(tables.problem), TwoQueues(), tables, buffer, packed=True
        )


def test_a_packed_pool_has_the_memory_of_the_gpu() -> None:
    """Instead of all blocks of the library."""
    tables = Tables(cases.problem(gpu_memory_bytes=300_000))
    blocks = tables.problem.blocks.values()
    whole = sum(aligned(block.bytes) for block in blocks)
    assert pool_bytes(tables) == whole > 340_000
    assert 300_000 <= pool_bytes(tables, packed=True) < 320_000


def test_without_graphs_a_device_launches_operators() -> None:
    """Asked for so, or not captured in the profile."""
    device = WithGraphs(torch.device("cpu"))
    device.uses_graphs = False
    problem, build = cases.problem(), builder(device)
    graphs = cases.profile(latency_mode="graph")
    launched = make_stage("p", problem, graphs, device, "pageable", build)
    assert not launched.has_graphs
    device.uses_graphs = True
    eager = cases.profile(latency_mode="eager")
    assert not make_stage("p", problem, eager, device, "pageable", build).has_graphs
