"""The largest inputs, in small: the commands run, and say what they took."""

from __future__ import annotations

import pytest

from tests.benchmarks.limits import main


@pytest.mark.parametrize(
    ("part", "share", "lines"), [("online", 2e-5, 1), ("files", 1e-5, 2)]
)
def test_a_small_share(
    part: str, share: float, lines: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each command ends well, in less memory than the whole may take."""
    main([part, "--share", str(share)])
    found = capfd.readouterr().out.splitlines()
    assert len(found) == lines
    for line in found:
        *_, took_s, second, size, unit = line.split()
        assert (second, unit) == ("s", "MB")
        assert float(took_s) >= 0
        assert 10 < float(size) < 1000
