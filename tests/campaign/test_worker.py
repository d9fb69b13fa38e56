"""What a worker leaves behind for the next job."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from edgesim.campaign import worker


@pytest.mark.parametrize(
    ("used", "failed", "clean"),
    [(True, True, False), (True, False, True), (False, True, True)],
)
def test_a_job_that_failed_on_a_gpu_is_the_last_of_its_process(
    monkeypatch: pytest.MonkeyPatch, used: bool, failed: bool, clean: bool
) -> None:
    """It may have left torch in a state in which no other job succeeds.

    One that ended well, or that never came to use the GPU, leaves the process to the
    next; memory that torch keeps for later is given back.
    """
    emptied: list[str] = []
    cuda = SimpleNamespace(
        is_initialized=lambda: used, empty_cache=lambda: emptied.append("device")
    )
    inside = SimpleNamespace(_host_emptyCache=lambda: emptied.append("host"))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, _C=inside))
    assert worker._cleaned(failed=failed) == clean
    assert emptied == (["device", "host"] if used and not failed else [])


def test_a_device_that_does_not_answer_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is in the job's log."""

    def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    cuda = SimpleNamespace(is_initialized=lambda: True, empty_cache=broken)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert not worker._cleaned(failed=False)
    assert "illegal memory access" in capsys.readouterr().err
