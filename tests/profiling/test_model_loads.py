"""Load times of a model, with a device whose clock is scripted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from edgesim.profile.values import Timing
from edgesim.profiling import model_loads
from edgesim.profiling.blocks import BlockPlan
from edgesim.profiling.copies import HostBlock
from edgesim.profiling.device import Beside, Step
from edgesim.profiling.model_loads import (
    measure_copies,
    measure_loads,
    measure_overlap,
    room_bytes,
)
from edgesim.profiling.sampling import Sampling
from tests.profiling.scripted import ScriptedDevice

BLOCKS = (BlockPlan("a", (300, 5)), BlockPlan("b", (256,)), BlockPlan("c", (1, 2, 3)))
PASSES = 3 + 10
COLD_PASSES = 1 + 10


def _passes(tier: str) -> int:
    """Three passes warm up, one where files are cold each time."""
    return COLD_PASSES if tier == "disk" else PASSES


def _seconds(call: int, steps: int, tier: str = "pinned") -> Sequence[float]:
    """Blocks take 1, 2 and 4 ms, in a row 8, tensors 16, at once 5: and some more.

    The i-th of ten samples is longer by i in a thousand, so medians are 1.0045 times
    that and deciles 1.0009 and 1.0081 times.
    """
    passes = _passes(tier)
    way, sample = divmod(call, passes)
    more = 1 + (sample - (passes - 10)) / 1000
    milliseconds = ([1, 2, 4], [8], [16], [5])[way]
    return [more * ms / 1e3 for ms in milliseconds]


def _timing(ms: float) -> Timing:
    return Timing(
        median_s=round(ms * 1.0045e-3, 9),
        p10_s=round(ms * 1.0009e-3, 9),
        p90_s=round(ms * 1.0081e-3, 9),
    )


@pytest.mark.parametrize("tier", ["pinned", "disk"])
def test_what_is_timed_and_how_often(tier: str, tmp_path: Path) -> None:
    """Blocks each, blocks in a row, tensors in a row, all at once: medians, deciles."""
    device = ScriptedDevice(partial(_seconds, tier=tier))
    found = measure_loads(device, tier, BLOCKS, Sampling(10), tmp_path)  # type: ignore[arg-type]
    assert found.blocks == (_timing(1), _timing(2), _timing(4))
    assert found.by_block == _timing(8)
    assert found.by_tensor == _timing(16)
    assert found.whole == _timing(5)
    assert device.calls == 4 * _passes(tier)
    assert list(tmp_path.iterdir()) == []


class Recording(ScriptedDevice):
    """Notes which bytes of the device buffer each timed step writes."""

    def __init__(self) -> None:
        super().__init__(lambda call, steps: [1e-3] * steps)
        self.written: list[list[int]] = []
        self.files: list[list[int]] = []
        self.folder = Path()

    def device_buffer(self, size: int) -> torch.Tensor:
        """Keep the buffer at hand."""
        self.buffer = super().device_buffer(size)
        return self.buffer

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Count the bytes that change in each step."""
        counts = []
        for step in steps:
            self.buffer.zero_()
            step()
            counts.append(int(self.buffer.count_nonzero()))
        self.written.append(counts)
        sizes = [p.stat().st_size for p in sorted(self.folder.rglob("*.bin"))]
        self.files.append(sizes)
        return super().timed([int] * len(steps))


@pytest.mark.parametrize("tier", ["pageable", "disk"])
def test_every_way_moves_every_byte(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step writes its block's bytes, the others all of the model's."""
    monkeypatch.setattr(model_loads, "fill", lambda buffer: buffer.fill_(1))
    device = Recording()
    device.folder = tmp_path
    measure_loads(device, tier, BLOCKS, Sampling(10), tmp_path)  # type: ignore[arg-type]
    passes = _passes(tier)
    assert device.written == [[305, 256, 6]] * passes + [[567]] * 3 * passes
    if tier == "disk":
        # One file a block, then one of all; never both at once.
        assert device.files == [[305, 256, 6]] * 3 * passes + [[567]] * passes
    else:
        assert device.files == [[]] * 4 * passes


def test_room_is_for_tensors_at_their_places() -> None:
    """Each begins at a multiple of 256 bytes: 2 + 1 + 1 + 3 of these."""
    assert room_bytes(BLOCKS) == 256 * 7


def test_a_ladder_of_copies(tmp_path: Path) -> None:
    """Each size from each tier, by growing size."""
    times = [1e-6] * PASSES + [2e-6] * PASSES + [3e-6] * COLD_PASSES
    times += [4e-6] * COLD_PASSES
    device = ScriptedDevice(lambda call, steps: [times[call]])
    found = measure_copies(
        device, ("pinned", "disk"), Sampling(10), tmp_path, (4096, 16384)
    )
    assert [copy.bytes for copy in found] == [4096, 16384]
    assert [copy.load_s["pinned"].median_s for copy in found] == [1e-6, 2e-6]
    assert [copy.load_s["disk"].median_s for copy in found] == [3e-6, 4e-6]
    assert [copy.chained_s for copy in found] == [None, None]  # no room for 64
    assert list(tmp_path.iterdir()) == []


def test_a_chain_tells_what_a_copy_costs_in_a_load(tmp_path: Path) -> None:
    """64 copies in 660 µs, of which starting takes 20: 10 µs each.

    A size whose chain the buffer has no room for has none, and files have none.
    """
    sizes = (256, 256 * 70)
    counts: list[int] = []

    class Chained(ScriptedDevice):
        def timed(self, steps: Sequence[Step]) -> list[float]:
            made.clear()
            super().timed(steps)
            counts.append(len(made))
            seconds = {0: 20e-6, 1: 30e-6, model_loads.CHAIN: 660e-6}
            return [seconds[len(made)]]

    made: list[int] = []
    load = HostBlock.load

    def noted(block: HostBlock, target: torch.Tensor) -> None:
        made.append(block.host.storage_offset())
        load(block, target)

    device = Chained(lambda call, steps: [0.0] * steps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostBlock, "load", noted)
        small, large = measure_copies(
            device, ("pinned", "disk"), Sampling(10), tmp_path, sizes
        )
    assert small.load_s["pinned"].median_s == 30e-6
    assert small.chained_s is not None
    assert small.chained_s.keys() == {"pinned"}
    assert small.chained_s["pinned"].median_s == 10e-6
    assert large.chained_s is None
    assert counts.count(model_loads.CHAIN) == counts.count(0) == PASSES


class TwoQueues(ScriptedDevice):
    """Copies in 9 ms and computes in 2, each 10 % slower beside the other."""

    def __init__(self) -> None:
        super().__init__(lambda call, steps: [0.0] * steps)
        self.done = {"copy": 0, "compute": 0}

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Tell the time by what the step did."""
        before = dict(self.done)
        super().timed(steps)
        (copies, passes) = (self.done[name] - before[name] for name in self.done)
        return [9e-3 * copies + 2e-3 * passes]

    def beside(self, copy: Step, compute: Step) -> Beside:
        """Run both."""
        before = dict(self.done)
        copy()
        compute()
        (copies, passes) = (self.done[name] - before[name] for name in self.done)
        return Beside(9.9e-3 * copies, 2.2e-3 * passes)


def test_a_copy_beside_batches_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four batches of 2 ms last about as long as a copy of 9 ms; both are slower."""
    device = TwoQueues()

    def compute() -> None:
        device.done["compute"] += 1

    load = HostBlock.load

    def counted(block: HostBlock, target: torch.Tensor) -> None:
        device.done["copy"] += 1
        load(block, target)

    monkeypatch.setattr(HostBlock, "load", counted)
    found = measure_overlap(device, BLOCKS, 8, compute)
    assert found is not None
    assert (found.batch, found.passes, found.copy_bytes) == (8, 4, 567)
    assert (found.copy_s, found.copy_beside_s) == (9e-3, 9.9e-3)
    assert (found.batches_s, found.batches_beside_s) == (8e-3, 8.8e-3)


def test_a_device_with_one_queue_has_no_overlap() -> None:
    """Nor has one without a pinned tier, which is not asked."""
    one = ScriptedDevice(lambda call, steps: [1e-3] * steps)
    assert measure_overlap(one, BLOCKS, 1, int) is None
    none = ScriptedDevice(lambda call, steps: [1e-3] * steps, tiers=("pageable",))
    assert measure_overlap(none, BLOCKS, 1, int) is None
    assert one.calls == none.calls == 0


def test_files_are_made_cold_before_each_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files of a pass, before its first step and outside the timed part."""
    log: list[str] = []
    monkeypatch.setattr(
        model_loads, "make_cold", lambda parts: log.append(f"cold {len(list(parts))}")
    )

    def seconds(call: int, steps: int) -> list[float]:
        log.append(f"timed {steps}")
        return [1e-3] * steps

    measure_loads(ScriptedDevice(seconds), "disk", BLOCKS, Sampling(10), tmp_path)
    once = [("cold 3", "timed 3"), ("cold 3", "timed 1"), ("cold 6", "timed 1")]
    once.append(("cold 1", "timed 1"))
    assert log == [word for pair in once for word in pair * COLD_PASSES]
