"""The CUDA device on hardware: what it copies, times and counts."""

from __future__ import annotations

import statistics
import time

import pytest
import torch

from edgesim.profiling.copies import HostBlock, fill
from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.device import NotCapturedError, Step
from edgesim.profiling.empty_round import measure_empty_round
from edgesim.profiling.model_loads import measure_copies
from edgesim.profiling.sampling import Sampling, sample

pytestmark = pytest.mark.gpu

MIB = 2**20


def _median_s(gpu: CudaDevice, step: Step, passes: int = 15) -> float:
    return sample(gpu, [step], Sampling(passes))[0].median_s


def _sleep(cycles: int) -> Step:
    return lambda: torch.cuda._sleep(cycles)


@pytest.mark.parametrize("tier", ["pinned", "pageable"])
def test_bytes_arrive(gpu: CudaDevice, tier: str) -> None:
    """64 MiB and one byte, compared on the host."""
    host = gpu.host_buffer(64 * MIB + 1, tier)  # type: ignore[arg-type]
    fill(host)
    target = gpu.device_buffer(host.numel())
    HostBlock(host).load(target)
    gpu.synchronise()
    assert torch.equal(target.cpu(), host)


def test_pinned_memory_is_pinned_and_faster(gpu: CudaDevice) -> None:
    """256 MiB: page-locked memory beats ordinary memory, and takes longer than 1 ms."""
    seconds = {}
    for tier in ("pinned", "pageable"):
        host = gpu.host_buffer(256 * MIB, tier)  # type: ignore[arg-type]
        fill(host)
        block = HostBlock(host)
        assert block.pinned == (tier == "pinned")
        target = gpu.device_buffer(host.numel())
        seconds[tier] = _median_s(gpu, lambda b=block, t=target: b.load(t))
    print(seconds)
    assert 1e-3 < seconds["pinned"] < seconds["pageable"]


def test_a_kernel_is_timed_by_its_length(gpu: CudaDevice) -> None:
    """A kernel of twice the cycles takes twice as long; the host's clock agrees."""
    short, long = 20_000_000, 40_000_000
    once_s, twice_s = _median_s(gpu, _sleep(short)), _median_s(gpu, _sleep(long))
    assert twice_s / once_s == pytest.approx(2, rel=0.05)
    gpu.synchronise()
    start_s = time.perf_counter()
    _sleep(long)()
    gpu.synchronise()
    assert time.perf_counter() - start_s == pytest.approx(twice_s, rel=0.1)


def test_steps_are_timed_apart(gpu: CudaDevice) -> None:
    """Of a short and a long kernel in one call each has its own time."""
    one_s, three_s = gpu.timed([_sleep(10_000_000), _sleep(30_000_000)])
    assert three_s / one_s == pytest.approx(3, rel=0.1)


def test_an_empty_step_takes_microseconds(gpu: CudaDevice) -> None:
    """Events exist before anything is timed: nothing between two takes next to nothing.

    Making an event at its first record would take tens of microseconds.
    """
    fresh = CudaDevice(gpu.device)
    fresh.timed([lambda: None] * 50)
    empty_s = statistics.median(fresh.timed([lambda: None] * 50))
    assert empty_s < 20e-6


def test_extra_bytes_are_those_of_the_step(gpu: CudaDevice) -> None:
    """1 MiB made in a step and dropped counts, what was there before does not."""
    kept = gpu.device_buffer(8 * MIB)
    assert gpu.extra_bytes(lambda: gpu.device_buffer(MIB)) == MIB
    assert gpu.extra_bytes(lambda: kept.add_(1)) == 0


def test_released_memory_is_free_again(gpu: CudaDevice) -> None:
    """1 GiB that was dropped is torch's until released, then the driver's."""
    before = gpu.free_bytes()
    assert before is not None
    buffer = gpu.device_buffer(1024 * MIB)
    assert torch.cuda.mem_get_info(gpu.device)[0] <= before - 1000 * MIB
    del buffer
    after = gpu.free_bytes()
    assert after is not None
    assert after >= before - 16 * MIB


def test_a_graph_reads_its_inputs_and_takes_no_longer(gpu: CudaDevice) -> None:
    """Twenty small kernels as one launch: the same numbers, in less time."""
    numbers = torch.zeros(1000, device=gpu.device)

    def step() -> None:
        for _ in range(20):
            numbers.add_(1)

    graph = gpu.captured(step)
    assert graph is not None
    numbers.zero_()
    graph()
    gpu.synchronise()
    assert numbers.unique().tolist() == [20]
    assert _median_s(gpu, graph) < _median_s(gpu, step)


def test_a_step_that_waits_for_the_device_is_no_graph(gpu: CudaDevice) -> None:
    """It is told why, and the device goes on: numbers are drawn, other graphs run."""
    numbers = torch.ones(10, device=gpu.device)
    with pytest.raises(NotCapturedError, match="captur"):
        gpu.captured(lambda: numbers.sum().item())
    torch.randn(10, device=gpu.device)
    numbers.add_(1)
    gpu.synchronise()
    assert numbers.tolist() == [2] * 10
    graph = gpu.captured(lambda: numbers.mul_(3))
    assert graph is not None
    numbers.fill_(1)
    graph()
    gpu.synchronise()
    assert numbers.tolist() == [3] * 10


def test_a_copy_runs_beside_a_kernel(gpu: CudaDevice) -> None:
    """Both at once take less than one after the other, and each about its own time."""
    host = gpu.host_buffer(512 * MIB, "pinned")
    fill(host)
    target = gpu.device_buffer(host.numel())
    block = HostBlock(host)
    assert block.pinned
    copy_s = _median_s(gpu, lambda: block.load(target))
    cycles = int(20_000_000 * copy_s / _median_s(gpu, _sleep(20_000_000)))
    kernel_s = _median_s(gpu, _sleep(cycles))
    gpu.synchronise()
    start_s = time.perf_counter()
    found = gpu.beside(lambda: block.load(target), _sleep(cycles))
    both_s = time.perf_counter() - start_s
    assert found is not None
    assert both_s < 0.75 * (copy_s + kernel_s)
    assert found.copy_s == pytest.approx(copy_s, rel=0.25)
    assert found.compute_s == pytest.approx(kernel_s, rel=0.25)


def test_small_copies_cost_less_in_a_chain(gpu: CudaDevice, tmp_path: object) -> None:
    """4 KiB alone have the start gap in them; 64 back to back share one."""
    sizes = tuple(4096 * 4**step for step in range(7))
    copies = measure_copies(gpu, ("pinned",), Sampling(20), tmp_path, sizes)  # type: ignore[arg-type]
    for copy in copies:
        chained = (copy.chained_s or {}).get("pinned")
        print(copy.bytes, copy.load_s["pinned"].median_s, chained)
    small = copies[0]
    assert small.chained_s is not None
    assert 1e-6 < small.chained_s["pinned"].median_s < small.load_s["pinned"].median_s


def test_an_empty_round_takes_microseconds(gpu: CudaDevice) -> None:
    """More than nothing, less than half a millisecond."""
    found = measure_empty_round(gpu, Sampling(20))
    print(found)
    assert 2e-6 < found.median_s < 500e-6


def test_facts_of_a_real_device(gpu: CudaDevice) -> None:
    """A driver's version, clocks as plain numbers, and how float32 is computed."""
    facts = gpu.facts()
    print(facts)
    assert "not known" not in facts.driver
    assert int(facts.machine["SM clock (MHz)"]) > 100
    assert "convolutions" in facts.machine["TF32"]
    assert all("N/A" not in value for value in facts.machine.values())
