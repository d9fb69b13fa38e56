"""Load times of a model, with a device whose clock is scripted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from edgesim.measure import model_loads
from edgesim.measure.blocks import BlockPlan
from edgesim.measure.device import Step
from edgesim.measure.model_loads import measure_copies, measure_loads, room_bytes
from edgesim.measure.sampling import Sampling
from edgesim.profile import Timing
from tests.measure.scripted import ScriptedDevice

BLOCKS = (BlockPlan("a", (300, 5)), BlockPlan("b", (256,)), BlockPlan("c", (1, 2, 3)))
PASSES = 3 + 10


def _seconds(call: int, steps: int) -> Sequence[float]:
    """Blocks take 1, 2 and 4 ms, in a row 8, tensors 16, at once 5: and some more.

    The i-th of ten samples is longer by i in a thousand, so medians are 1.0045 times
    that and deciles 1.0009 and 1.0081 times.
    """
    way, sample = divmod(call, PASSES)
    more = 1 + (sample - 3) / 1000
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
    device = ScriptedDevice(_seconds)
    found = measure_loads(device, tier, BLOCKS, Sampling(10), tmp_path)  # type: ignore[arg-type]
    assert found.blocks == (_timing(1), _timing(2), _timing(4))
    assert found.by_block == _timing(8)
    assert found.by_tensor == _timing(16)
    assert found.whole == _timing(5)
    assert device.calls == 4 * PASSES
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
    assert device.written == (
        [[305, 256, 6]] * PASSES
        + [[567]] * PASSES
        + [[567]] * PASSES
        + [[567]] * PASSES
    )
    if tier == "disk":
        # One file a block, then one of all; never both at once.
        assert device.files == [[305, 256, 6]] * 3 * PASSES + [[567]] * PASSES
    else:
        assert device.files == [[]] * 4 * PASSES


def test_room_is_for_tensors_at_their_places() -> None:
    """Each begins at a multiple of 256 bytes: 2 + 1 + 1 + 3 of these."""
    assert room_bytes(BLOCKS) == 256 * 7


def test_a_ladder_of_copies(tmp_path: Path) -> None:
    """Each size from each tier, by growing size."""
    passes = {0: 1e-6, 1: 2e-6, 2: 3e-6, 3: 4e-6}
    device = ScriptedDevice(lambda call, steps: [passes[call // PASSES]])
    found = measure_copies(
        device, ("pinned", "disk"), Sampling(10), tmp_path, (4096, 16384)
    )
    assert [copy.bytes for copy in found] == [4096, 16384]
    assert [copy.load_s["pinned"].median_s for copy in found] == [1e-6, 2e-6]
    assert [copy.load_s["disk"].median_s for copy in found] == [3e-6, 4e-6]
    assert list(tmp_path.iterdir()) == []


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
    assert log == [word for pair in once for word in pair * PASSES]
