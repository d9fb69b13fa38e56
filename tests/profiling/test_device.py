"""The CPU's answers, and the CUDA device's logic on a fake driver."""

from __future__ import annotations

from subprocess import CalledProcessError, TimeoutExpired
from types import MappingProxyType, SimpleNamespace

import pytest
import torch

from edgesim.errors import InputError
from edgesim.profiling.cuda_device import CudaDevice
from edgesim.profiling.device import is_out_of_memory, out_of_memory_refused
from edgesim.profiling.devices import open_device
from edgesim.profiling.hardware import nvidia_smi


class FakeCuda:
    """Stands in for torch.cuda: a clock in ms and an allocator's counters."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.now_ms = 0.0
        self.allocated = 100
        self.peak = 999
        fake = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing
                self.at_ms = -1.0

            def record(self) -> None:
                self.at_ms = fake.now_ms
                fake.log.append("record")

            def elapsed_time(self, later: Event) -> float:
                assert fake.log[-1] == "synchronise", "events are not done"
                return later.at_ms - self.at_ms

        self.Event = Event

    def synchronize(self, device: object) -> None:
        """Wait."""
        self.log.append("synchronise")

    def set_device(self, device: torch.device) -> None:
        """Choose."""
        self.log.append(f"device {device.index}")

    def memory_allocated(self, device: object) -> int:
        """Tell what is allocated."""
        return self.allocated

    def max_memory_allocated(self, device: object) -> int:
        """Tell the most since the last reset."""
        return self.peak

    def reset_peak_memory_stats(self, device: object) -> None:
        """Forget the most."""
        self.peak = self.allocated

    def mem_get_info(self, device: object) -> tuple[int, int]:
        """Tell free and total."""
        return (7, 8)

    def empty_cache(self) -> None:
        """Give back."""
        self.log.append("empty")

    def get_device_properties(self, device: object) -> SimpleNamespace:
        """Name it."""
        return SimpleNamespace(name="Fake GPU", total_memory=8, uuid="1-2")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """Replace the parts of torch.cuda that the device uses."""
    fake = FakeCuda()
    for name in dir(fake):
        if not name.startswith("_") and hasattr(torch.cuda, name):
            monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    monkeypatch.setenv("PATH", "")  # no nvidia-smi
    return fake


def test_cuda_times_each_step_between_events(cuda: FakeCuda) -> None:
    """Steps of 2 and 5 ms: the device is idle before, events are done when asked.

    The events exist before the first call's clock starts, and the second call makes
    none.
    """
    device = CudaDevice(torch.device("cuda", 1))

    def step(ms: float) -> None:
        cuda.now_ms += ms
        cuda.log.append("step")

    made = ["record"] * 3  # torch makes an event at its first record
    timed = ["synchronise", "record", "step", "record", "step", "record", "synchronise"]
    assert device.timed([lambda: step(2), lambda: step(5)]) == [0.002, 0.005]
    assert cuda.log == ["device 1", *made, *timed]
    assert device.timed([lambda: step(2), lambda: step(5)]) == [0.002, 0.005]
    assert cuda.log == ["device 1", *made, *timed, *timed]


def test_cuda_memory_beyond_what_was_there(cuda: FakeCuda) -> None:
    """The peak is forgotten before the step, and the weights do not count."""
    device = CudaDevice(torch.device("cuda", 0))

    def step() -> None:
        cuda.peak = cuda.allocated + 42

    assert device.extra_bytes(step) == 42
    assert cuda.log[-1] == "synchronise"


def test_cuda_says_what_it_is(cuda: FakeCuda) -> None:
    """Without nvidia-smi the driver is not known, and that is said."""
    facts = CudaDevice(torch.device("cuda", 0)).facts()
    assert facts.device == "Fake GPU"
    assert "not known" in facts.driver
    assert facts.machine["GPU memory (bytes)"] == "8"


class Smi:
    """Stands in for the driver's command on a machine of two GPUs."""

    gpus = MappingProxyType(
        {"GPU-1-2": "999.1, 5, 16, [N/A]", "GPU-3-4": "999.1, 4, 16, 7"}
    )
    fields = ("driver_version", "a", "b", "c")

    def __init__(self, unknown: str = "") -> None:
        self.unknown = unknown
        self.asked: list[tuple[str, ...]] = []

    def run(self, command: list[str], **options: object) -> SimpleNamespace:
        """Answer, or fail as for a GPU or a field that it does not know."""
        assert "--format=csv,noheader,nounits" in command
        which = [w.partition("=")[2] for w in command if w.startswith("--id=")]
        names = tuple(command[1].partition("=")[2].split(","))
        self.asked.append(names)
        if not set(which) <= self.gpus.keys() or self.unknown in names:
            raise CalledProcessError(6, command)
        lines = []
        for gpu in which or self.gpus:
            values = dict(zip(self.fields, self.gpus[gpu].split(", "), strict=True))
            lines.append(", ".join(values[name] for name in names))
        return SimpleNamespace(stdout="".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("uuid", "link"), [("1-2", "5"), (None, None), ("of a slice", None)]
)
def test_nvidia_smi_tells_of_this_gpu_alone(
    cuda: FakeCuda,
    monkeypatch: pytest.MonkeyPatch,
    uuid: str | None,
    link: str | None,
) -> None:
    """By its identifier, in one question, without what is not available.

    Without an identifier only what all GPUs share is told, of a slice the driver alone.
    """
    smi = Smi()
    monkeypatch.setattr("subprocess.run", smi.run)
    smi_fields = {"a": "link", "b": "lanes", "c": "clock"}
    monkeypatch.setattr("edgesim.profiling.hardware._SMI_FIELDS", smi_fields)
    given = {} if uuid is None else {"uuid": uuid}
    properties = SimpleNamespace(name="Fake GPU", total_memory=8, **given)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    facts = CudaDevice(torch.device("cuda", 0)).facts()
    assert facts.driver == "999.1"
    assert facts.machine.get("link") == link
    assert facts.machine.get("lanes") == ("16" if uuid in ("1-2", None) else None)
    assert "clock" not in facts.machine
    if uuid != "of a slice":
        assert smi.asked == [smi.fields]


def test_a_field_that_the_driver_does_not_know_hides_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command refuses the whole question; then each field is asked for alone."""
    smi = Smi(unknown="b")
    monkeypatch.setattr("subprocess.run", smi.run)
    found = nvidia_smi(smi.fields, "1-2")
    assert found == {"driver_version": "999.1", "a": "5"}


def test_a_driver_that_does_not_answer_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven fields would be seven waits."""
    calls: list[int] = []

    def run(command: list[str], **options: object) -> None:
        calls.append(1)
        raise TimeoutExpired(command, 1)

    monkeypatch.setattr("subprocess.run", run)
    assert nvidia_smi(("driver_version", "a")) == {}
    assert calls == [1]


def test_free_memory_is_asked_after_caches_are_emptied(cuda: FakeCuda) -> None:
    """What torch keeps for later is free."""
    assert CudaDevice(torch.device("cuda", 0)).free_bytes() == 7
    assert "empty" in cuda.log


def test_the_cpu_has_memory_and_a_name() -> None:
    """Facts are words, and free memory a number of bytes below 2^63."""
    device = open_device("cpu")
    facts = device.facts()
    assert "CPU, no GPU" in facts.device
    assert facts.versions["torch"] == torch.__version__
    free = device.free_bytes()
    assert free is None or 2**20 < free < 2**63
    device.synchronise()
    device.release()
    with pytest.raises(ValueError, match="no pinned tier"):
        device.host_buffer(1, "pinned")


def test_cpu_times_are_those_of_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted clock: a step from 10 to 30 ns, one from 40 to 90."""
    ticks = iter([10, 30, 40, 90])
    monkeypatch.setattr("time.perf_counter_ns", lambda: next(ticks))
    assert open_device("cpu").timed([int, int]) == [20e-9, 50e-9]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "mps", "", "cuda:99"])
def test_devices_that_are_not_there(name: str) -> None:
    """One line: what is allowed, or how many there are."""
    with pytest.raises(InputError, match=r"^device: "):
        open_device(name)


def test_what_out_of_memory_looks_like() -> None:
    """The error of torch, the CPU allocator's, pinned memory's; nothing else."""
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
    )
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ...")
    )
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_running_out_of_memory_is_one_line_and_other_errors_stay() -> None:
    """Torch's words for it are known; any other error is a mistake of ours."""
    with (
        pytest.raises(InputError, match="CUDA out of memory, 5 GiB") as caught,
        out_of_memory_refused("SCHEDULE", "its replay"),
    ):
        raise RuntimeError("CUDA out of memory, 5 GiB\nmore lines")
    assert "more lines" not in str(caught.value)
    with (
        pytest.raises(RuntimeError, match="shapes"),
        out_of_memory_refused("SCHEDULE", "its replay"),
    ):
        raise RuntimeError("shapes differ")
