"""Whole measurements with a scripted clock, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgesim.errors import InputError
from edgesim.profile.summary import added_up
from edgesim.profile.values import Measured, Profile, Timing
from edgesim.profiling import disk, session
from edgesim.profiling.blocks import BlockPlan
from edgesim.profiling.device import NotCapturedError, Step
from edgesim.profiling.estimate import TierRates, duration, expected_s
from edgesim.profiling.model_loads import LADDER_BYTES
from edgesim.profiling.plan import Effort, NetworkPlan
from edgesim.profiling.sampling import Sampling
from tests.profiling.scripted import ScriptedDevice

GREEDY = "tests.profiling.networks:greedy"
SINGLE = "tests.profiling.networks:single"
STACK = "tests.profiling.networks:stack"


LADDER = (4096, 16384)


ROUND = Timing(median_s=5e-5)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the plain copies short, and the script's calls free of empty rounds."""
    monkeypatch.setattr(session, "LADDER_BYTES", LADDER)
    monkeypatch.setattr(session, "measure_empty_round", lambda device, sampling: ROUND)


def _seconds(call: int, steps: int) -> Sequence[float]:
    """Each step takes 1 ms: blocks in a row, timed as one, 1 ms too."""
    return [1e-3] * steps


def _settings(folder: Path, **changes: object) -> session.Settings:
    settings: dict[str, object] = {
        "tiers": ("pinned",),
        "batches": (1, 2, 4, 8),
        "sampling": Sampling(10),
        "disk_folder": folder,
    }
    return session.Settings(**(settings | changes))  # type: ignore[arg-type]


def _plan(name: str, *sizes: int, **more: object) -> NetworkPlan:
    blocks = tuple(BlockPlan(f"b{i}", (size,)) for i, size in enumerate(sizes))
    return NetworkPlan(name, blocks, "float32", **more)  # type: ignore[arg-type]


def test_blocks_of_one_content_carry_the_first_numbers(tmp_path: Path) -> None:
    """Times grow with each call, yet the shared block's are the first model's."""
    device = ScriptedDevice(lambda call, steps: [1e-3 * (call + 1)] * steps)
    shared = BlockPlan("shared", (1000,), "a" * 64)
    plans = [
        NetworkPlan(n, (shared, BlockPlan("own", (500,), own * 64)), "float32")
        for n, own in (("x", "b"), ("y", "c"))
    ]
    settings = _settings(tmp_path, sampling=Sampling(10, 1e9))
    found = session.measure(device, plans, settings)
    x, y = found.models["x"].blocks, found.models["y"].blocks
    assert x[0] == y[0]
    assert x[1].load_s["pinned"].median_s < y[1].load_s["pinned"].median_s
    assert found.models["x"].latency_s == {}
    assert found.models["x"].activation_bytes is None


def test_batches_that_do_not_fit_are_left_out_and_said(tmp_path: Path) -> None:
    """Out of memory at batch 4: 1 and 2 stay, 4 and 8 are named in the notes."""
    steps: list[int] = []
    plans = [_plan("g", 100, architecture=GREEDY, input="8")]
    settings = _settings(tmp_path)
    found = session.measure(ScriptedDevice(_seconds), plans, settings, steps.append)
    model = found.models["g"]
    assert list(model.latency_s) == ["1", "2"]
    assert model.activation_bytes is not None
    assert list(model.activation_bytes) == ["1", "2"]
    assert found.notes == (
        "g: batches of 4 and more are left out, for memory did not suffice",
    )
    assert steps[-1] == session.steps(plans, settings) == 1 + 1 + 4


def test_latency_in_another_dtype_than_that_of_the_weights_is_said(
    tmp_path: Path,
) -> None:
    """Weights of int8 cannot be what the network computes with; float32 ones are."""
    plan = _plan("q", 100, architecture=STACK, input="8")
    settings = _settings(tmp_path)
    device = ScriptedDevice(_seconds)
    assert session.measure(device, [plan], settings).notes == ()
    found = session.measure(device, [replace(plan, dtype="int8")], settings)
    assert found.notes == (
        "q: its weights are int8, and its latency is that of the network in float32",
    )


def test_what_was_found_is_handed_on_model_by_model(tmp_path: Path) -> None:
    """After each model but the last: all so far, with copies, round and facts."""
    plans = [_plan(name, 100) for name in ("a", "b", "c")]
    kept: list[session.Findings] = []
    found = session.measure(
        ScriptedDevice(_seconds), plans, _settings(tmp_path), keep=kept.append
    )
    assert [list(one.models) for one in kept] == [["a"], ["a", "b"]]
    assert list(found.models) == ["a", "b", "c"]
    for one in kept:
        assert one.copies == found.copies
        assert one.round_s == found.round_s == ROUND
        assert one.facts == found.facts


class Graphs(ScriptedDevice):
    """Replays captured steps in 1 ms, and runs them one by one in 3."""

    def __init__(self, refuses: int | None = None) -> None:
        super().__init__(_seconds)
        self.refuses = refuses
        self.captures = 0
        self.disturbed = 0

    def captured(self, step: Step) -> Step:
        """Mark the step, or refuse it."""
        self.captures += 1
        if self.captures == self.refuses:
            raise NotCapturedError("it waits for the device")

        def graph() -> None:
            step()

        return graph

    def disturb(self) -> None:
        """Count."""
        self.disturbed += 1

    def timed(self, steps: Sequence[Step]) -> list[float]:
        """Tell graphs by their name."""
        super().timed(steps)
        return [1e-3 if s.__name__ == "graph" else 3e-3 for s in steps]


def test_batches_are_graphs_where_all_of_them_can_be(tmp_path: Path) -> None:
    """Their time is the latency, the eager one stands beside it for fewer samples."""
    plans = [_plan("s", 100, architecture=STACK, input="8")]
    device = Graphs()
    settings = _settings(tmp_path, sampling=Sampling(20), batches=(1, 2))
    found = session.measure(device, plans, settings)
    model = found.models["s"]
    assert model.latency_mode == "graph"
    assert model.latency_s == dict.fromkeys(
        "12", Timing(median_s=1e-3, p10_s=1e-3, p90_s=1e-3)
    )
    assert model.eager_latency_s is not None
    assert model.eager_latency_s["2"].median_s == 3e-3
    assert found.notes == ()
    assert device.disturbed == 2 * (3 + 20 + 3 + 10)


def test_batches_are_launched_one_by_one_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    """As live runs launch them; no graph is captured."""
    plans = [_plan("s", 100, architecture=STACK, input="8")]
    device = Graphs()
    device.uses_graphs = False
    found = session.measure(device, plans, _settings(tmp_path, batches=(1, 2)))
    model = found.models["s"]
    assert model.latency_mode == "eager"
    assert [time.median_s for time in model.latency_s.values()] == [3e-3] * 2  # type: ignore[union-attr]
    assert device.captures == 0


def test_one_batch_that_is_no_graph_makes_all_eager(tmp_path: Path) -> None:
    """One model has one kind of latencies, and the note says which batch and why."""
    plans = [_plan("s", 100, architecture=STACK, input="8")]
    settings = _settings(tmp_path, batches=(1, 2, 4))
    found = session.measure(Graphs(refuses=2), plans, settings)
    model = found.models["s"]
    assert model.latency_mode == "eager"
    assert model.eager_latency_s is None
    assert [time.median_s for time in model.latency_s.values()] == [3e-3] * 3  # type: ignore[union-attr]
    assert found.notes == (
        "s: batches are launched operator by operator, for a batch of 2: it waits for "
        "the device",
    )


def test_one_network_is_run_once(tmp_path: Path) -> None:
    """Fine-tunes of one architecture carry the same table."""
    device = ScriptedDevice(lambda call, steps: [1e-6 * (call + 1)] * steps)
    plans = [
        _plan(name, 100, architecture=STACK, input="8", effort=Effort(0, 0))
        for name in ("a", "b")
    ]
    settings = _settings(tmp_path)
    found = session.measure(device, plans, settings)
    assert found.models["a"].latency_s == found.models["b"].latency_s
    assert session.steps(plans, settings) == 1 + 2 + 4


def test_nothing_stays_in_the_folder(tmp_path: Path) -> None:
    """Also when it is interrupted in the middle of the disk's files."""

    def seconds(call: int, steps: int) -> list[float]:
        if call == 30:
            assert list(tmp_path.rglob("*.bin"))
            raise KeyboardInterrupt
        return [1e-3] * steps

    plans = [_plan("x", 100, 200)]
    settings = _settings(tmp_path, tiers=("disk",))
    with pytest.raises(KeyboardInterrupt):
        session.measure(ScriptedDevice(seconds), plans, settings)
    assert list(tmp_path.iterdir()) == []


def test_loads_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Before measuring where it can be known, else when memory is out."""
    device = ScriptedDevice(_seconds)
    with pytest.raises(InputError, match=r"big: .* bytes of the device's memory"):
        session.check_room(device, [_plan("big", 2**60)], ("pageable",))

    class Full(ScriptedDevice):
        def device_buffer(self, size: int) -> object:  # type: ignore[override]
            if size < 1000:
                raise RuntimeError("CUDA error: out of memory")
            return super().device_buffer(size)

    with pytest.raises(InputError, match=r"x: memory does not suffice .* from pinned"):
        session.measure(Full(_seconds), [_plan("x", 10)], _settings(tmp_path))


def test_host_memory_counts_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 bytes need 8,192 page-locked or 5,120 of ordinary memory."""
    device = ScriptedDevice(_seconds)
    device.device = torch.device("cuda", 0)
    monkeypatch.setattr(device, "free_bytes", lambda: 2**40)
    monkeypatch.setattr(session, "free_host_bytes", lambda: 8000)
    plans = [_plan("x", 5000)]
    session.check_room(device, plans, ("pageable",))
    for tier in ("pinned", "disk"):
        with pytest.raises(InputError, match=r"x: .* 8,192 bytes of host memory"):
            session.check_room(device, plans, (tier,))


def test_a_batch_that_a_network_refuses_is_bad_input(tmp_path: Path) -> None:
    """The message names the model and the batch, and tells the network's words."""
    plans = [_plan("s", 100, architecture=SINGLE, input="8")]
    with pytest.raises(InputError, match=r"s: .* batch of 2 failed: ValueError: 'one"):
        session.measure(ScriptedDevice(_seconds), plans, _settings(tmp_path))


def test_the_ladder_fits_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """4 KiB to 256 MiB by fours; where memory is small or not known, fewer or all."""
    device = ScriptedDevice(_seconds)
    assert LADDER_BYTES[0] == 4096
    assert LADDER_BYTES[-1] == 256 * 2**20
    monkeypatch.setattr(session, "LADDER_BYTES", LADDER_BYTES)
    monkeypatch.setattr(device, "free_bytes", lambda: None)
    assert session.ladder(device) == LADDER_BYTES
    monkeypatch.setattr(device, "free_bytes", lambda: 4 * (4096 + 16384))
    assert session.ladder(device) == (4096, 16384)


def test_additive_error_and_shares_by_hand(tmp_path: Path) -> None:
    """Blocks of 1, 2 and 3 ms; 5 ms block by block, 4 at once, 8 by tensor.

    Their sum of 6 ms is 20 % above 5 and 50 % above 4. 5 MB in 6 ms are 42 % of the
    plain copies' 2 GB/s.
    """
    plans = [_plan("x", 2_500_000, 1_500_000, 1_000_000)]
    passes = 3 + 10
    copies = len(LADDER)

    def seconds(call: int, steps: int) -> Sequence[float]:
        way = call // passes - copies
        if way < 0:
            return [LADDER[call // passes] / 2e9]
        return ([1e-3, 2e-3, 3e-3], [5e-3], [8e-3], [4e-3])[way]

    found = session.measure(ScriptedDevice(seconds), plans, _settings(tmp_path))
    rate = found.copies[-1].bytes / found.copies[-1].load_s["pinned"].median_s
    assert rate == pytest.approx(2e9)
    provenance = Measured(
        kind="measured",
        device="d",
        driver="e",
        versions={"torch": "1"},
        date="2025-01-01",
        command="c",
        copy_bytes_per_s={"pinned": rate},
    )
    profile = Profile(name="p", provenance=provenance, models=dict(found.models))
    sums = added_up(profile, "x", "pinned")
    assert sums.added_s == pytest.approx(6e-3)
    assert (sums.by_block_s, sums.by_tensor_s, sums.whole_s) == (5e-3, 8e-3, 4e-3)
    assert sums.by_block_error == pytest.approx(0.2)
    assert sums.whole_error == pytest.approx(0.5)
    assert sums.of_copy_rate == pytest.approx(5e6 / 6e-3 / 2e9)


def test_expected_duration_by_hand() -> None:
    """One model of 2 MB at 1 GB/s; batches of 1, 3 and 5 take 10, 15 and 20 ms.

    Its host buffer is made at 2 GB/s, and batches are run in two ways.
    """
    effort = Effort(3, 0.01, largest=5, largest_s=0.02)
    plan = _plan("x", 2_000_000, architecture=STACK, input="8", effort=effort)
    sampling = Sampling(10, 1e9)
    rates = TierRates(copy=1e9, make=2e9)
    # 13 passes each: a copy of 1 MB, four ways of loading, three batch sizes.
    loads_s = 13 * (1e-3 + 1e-5) + 4 * 13 * (2e-3 + 1e-5) + 2e6 / 2e9
    batches_s = 2 * 13 * (0.01 + 0.015 + 0.02)
    found = expected_s(
        [plan, plan], {"pinned": rates}, [1_000_000], [1, 3, 5], sampling, modes=2
    )
    more = 4 * 13 * (2e-3 + 1e-5) + 2e6 / 2e9  # the second model's loads
    assert found == pytest.approx(loads_s + more + batches_s)
    on_disk = expected_s([plan], {"disk": rates}, [], [], sampling)
    assert on_disk == pytest.approx(4 * 13 * 2.01e-3 + 1e-3 + 4e-3)


def test_a_batch_is_foretold_between_those_that_were_tried() -> None:
    """On the line through both; without the larger one in proportion; 0 if none ran."""
    assert Effort(0, 0.01, 5, 0.02).batch_s(3) == pytest.approx(0.015)
    assert Effort(0, 0.01, 5, None).batch_s(3) == pytest.approx(0.03)
    assert Effort(0, 0.01).batch_s(3) == pytest.approx(0.03)
    assert Effort(0, None, 5, None).batch_s(3) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (59.4, "59 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    """The two largest units."""
    assert duration(seconds) == text


def test_a_disk_without_space_is_refused(tmp_path: Path) -> None:
    """One line with what is needed, what is free and what to do; no folder likewise."""
    disk.check_disk(tmp_path, 1000)
    with pytest.raises(
        InputError, match=r"give disk_folder, or leave disk out of tiers$"
    ):
        disk.check_disk(tmp_path, 2**60)
    with pytest.raises(InputError, match="cannot be written to: no such file"):
        disk.check_disk(tmp_path / "none", 1)
    assert list(tmp_path.iterdir()) == []


def test_file_systems_in_memory_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest mount point above the folder counts."""
    mounts = "a / ext4 rw 0 0\nb /with\\040space tmpfs rw 0 0\nc /with xfs rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda self, encoding=None: mounts)
    assert disk.file_system(Path("/with space/deep")) == "tmpfs"
    assert disk.file_system(Path("/with/x")) == "xfs"
    assert disk.file_system(Path("/other")) == "ext4"
    (note,) = disk.disk_notes(Path("/with space"))
    assert "no disk was measured" in note
    monkeypatch.setattr(disk, "can_be_cold", lambda: False)
    (note,) = disk.disk_notes(Path("/with"))
    assert "its cache" in note
