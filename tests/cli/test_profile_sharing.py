"""``edgesim profile sharing`` with files of which some cannot be read."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.command import edgesim


@pytest.fixture
def finetunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write four fine-tunes, the third of which is cut short, and a note."""
    monkeypatch.chdir(tmp_path)
    base = np.arange(5000, dtype=np.float32)
    names = [f"m{number}.safetensors" for number in range(4)]
    for number, name in enumerate(names):
        own = np.full(600, number, np.float32)
        save_file({"base": base, "head": own}, tmp_path / name)
    cut = (tmp_path / names[2]).read_bytes()[:9000]
    (tmp_path / names[2]).write_bytes(cut)
    (tmp_path / "notes.txt").write_text("four of them")
    return [*names, "notes.txt"]


def test_bad_file_among_others(finetunes: list[str]) -> None:
    """The line names the bad file, and the option that leaves it out."""
    done = edgesim("profile", "sharing", *finetunes[:4])
    assert done.code == 2
    assert done.err.startswith("error: m2.safetensors: ")
    assert done.err.endswith("; --skip leaves it out\n")
    assert done.err.count("\n") == 1
    alone = edgesim("profile", "sharing", finetunes[2])
    assert "--skip" not in alone.err


def test_skip(finetunes: list[str]) -> None:
    """The others are answered for; what was left out is said, a line each."""
    done = edgesim("profile", "sharing", "--skip", *finetunes, "gone.pt", "--json")
    assert done.code == 0
    assert list(json.loads(done.out)["models"]) == ["m0", "m1", "m3"]
    lines = sorted(done.err.splitlines())
    assert [line.split(":")[0] for line in lines] == [
        "left out gone.pt",
        "left out m2.safetensors",
        "left out notes.txt",
    ]


def test_next_steps_after_skipping(finetunes: list[str]) -> None:
    """The lines to type next name the files that were read, and work."""
    done = edgesim("profile", "sharing", "--skip", *finetunes)
    lines = [line.strip() for line in done.out.splitlines()]
    line = next(line for line in lines if line.startswith("edgesim profile sharing"))
    assert "m2" not in line
    assert edgesim(*shlex.split(line)[1:]).code == 0


def test_skip_all(finetunes: list[str]) -> None:
    """Where nothing is left there is no answer."""
    done = edgesim("profile", "sharing", "--skip", finetunes[2], "gone.pt")
    assert done.code == 2
    assert done.out == ""
    assert done.err.endswith("none of them can be read\n")


def test_skip_names_options(finetunes: list[str], tmp_path: Path) -> None:
    """A reason that names an option names it as it is typed."""
    tensors = {"a.lora_A.weight": np.ones(9), "a.lora_B.weight": np.ones(9)}
    save_file(tensors, tmp_path / "adapter.safetensors")
    done = edgesim("profile", "sharing", "--skip", finetunes[0], "adapter.safetensors")
    assert done.code == 0
    assert "give it by --base PATH" in done.err


def test_memory_in_another_unit(finetunes: list[str]) -> None:
    """A size that holds no model and is far below a GPU's is asked about."""
    done = edgesim("profile", "sharing", *finetunes[:2], "--memory", "8,16GB")
    assert done.code == 0
    assert done.err == (
        "warning: --memory: 8 B is very little; is it in another unit?\n"
    )
    done = edgesim("profile", "sharing", *finetunes[:2], "--memory", "900kB")
    assert (done.code, done.err) == (0, "")


def test_given_twice(finetunes: list[str]) -> None:
    """One file given twice, however it is written, is called that."""
    name = finetunes[0]
    for twin in (name, f"./{name}", f"../{Path.cwd().name}/{name}"):
        done = edgesim("profile", "sharing", name, twin)
        assert done.code == 2
        assert "is given twice; leave one out" in done.err


def test_next_steps_keep_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line to type next reads the weights that were read."""
    monkeypatch.chdir(tmp_path)
    state = {"w": torch.ones(300)}
    torch.save({"model": state, "model_ema": {"w": torch.zeros(300)}}, "a.pt")
    done = edgesim("profile", "sharing", "a.pt", "--key", "model")
    assert "edgesim profile sharing a.pt --key model --like" in done.out
    assert "profile measure" not in done.out


def test_skipped_files_stay(finetunes: list[str]) -> None:
    """A file that was left out is not written over."""
    before = Path("notes.txt").read_bytes()
    rate = ("--load-rate", "1e9", "--out", "notes.txt")
    done = edgesim("profile", "sharing", "--skip", *finetunes, *rate)
    assert done.code == 2
    assert "would replace the input notes.txt" in done.err
    assert Path("notes.txt").read_bytes() == before


@pytest.mark.parametrize("rate", ["1e-320", "0.5"])
def test_rates_of_no_use(finetunes: list[str], rate: str) -> None:
    """A rate by which loading never ends is refused."""
    done = edgesim("profile", "sharing", finetunes[0], "--load-rate", rate)
    assert done.code == 2
    assert done.err.startswith("error: --load-rate: must be 1 byte/s or more, found ")
