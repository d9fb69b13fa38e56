"""The command ``edgesim profile measure``, on the CPU with small networks."""

from __future__ import annotations

import datetime
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgesim.profile.file import read_profile
from edgesim.profile.values import Measured, Timing
from edgesim.profiling import device as device_module
from edgesim.profiling import devices
from tests.command import edgesim
from tests.profiling.scripted import ScriptedDevice
from tests.profiling.test_architecture import TINY_BERT, TINY_GPT2
from tests.small_networks import convnet, fine_tuned

NETWORKS = "tests.profiling.networks"
PROFILES = Path(__file__).parents[2] / "profiles"
QUICK = ("--device", "cpu", "--batch", "1,2", "--repeats", "10", "--seconds", "0.01")


@pytest.fixture(autouse=True)
def small_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the plain copies short."""
    monkeypatch.setattr("edgesim.profiling.session.LADDER_BYTES", (4096, 65536))
    monkeypatch.setattr("edgesim.profiling.estimate.PROBE_BYTES", 65536)


@pytest.fixture
def fine_tunes(tmp_path: Path) -> list[Path]:
    """Save two fine-tunes that share the first three of four layers."""
    paths = [tmp_path / "models" / f"v{seed}.safetensors" for seed in (1, 2)]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths, start=1):
        save_file(fine_tuned(seed, 3).state_dict(), path)
    return paths


def test_networks_end_to_end(tmp_path: Path) -> None:
    """Two networks measured for real: the file reads back, and holds what it must."""
    out = tmp_path / "mine.json"
    finished = edgesim(
        "profile", "measure", TINY_BERT, f"small={NETWORKS}:stack", *QUICK,
        "--lora", "query,value", "--note", "a quiet machine", "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    assert "about" in finished.err
    assert "measured in" in finished.err
    profile = read_profile(out)
    assert profile.name == "mine"
    assert list(profile.models) == ["bert", "small"]
    bert, small = profile.models.values()
    assert bert.tiers == small.tiers == ("pageable", "disk")
    assert bert.architecture == TINY_BERT
    assert (bert.input, bert.dtype) == ("tokens:128:100", "float32")
    assert bert.lora is not None
    assert bert.lora.layer_prefix == "encoder.layer."
    assert bert.lora.bytes_per_rank == {"query,value": 4 * 2 * 64}
    assert small.lora is None
    assert (small.architecture, small.input) == (f"{NETWORKS}:stack", "8")
    assert small.activation_bytes == {"1": 160, "2": 320}
    assert [(b.name, b.bytes, b.tensors) for b in small.blocks] == [
        ("0", 4 * (8 * 16 + 16), 2),
        ("2", 4 * (16 * 4 + 4), 2),
    ]
    for model in (bert, small):
        assert list(model.latency_s) == ["1", "2"]
        assert all(isinstance(value, Timing) for value in model.latency_s.values())
        for loads in (
            model.whole_load_s,
            model.by_block_load_s,
            model.by_tensor_load_s,
        ):
            assert loads is not None
            assert list(loads) == ["pageable", "disk"]
    assert [copy.bytes for copy in profile.copies or ()] == [4096, 65536]
    source = profile.provenance
    assert isinstance(source, Measured)
    assert set(source.versions) == {"python", "torch", "transformers"}
    assert source.date == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert source.copy_bytes_per_s is not None
    assert set(source.copy_bytes_per_s) == {"pageable", "disk"}
    assert source.note is not None
    assert source.note.startswith("CPU: host copies stand in for GPU loads")
    assert source.note.endswith("a quiet machine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]
    for name in ("bert", "small", "pageable", "disk"):
        assert name in finished.out


def test_the_command_can_be_typed_again_and_names_no_folder(
    tmp_path: Path, fine_tunes: list[Path]
) -> None:
    """Absolute paths become names; every option that matters is there."""
    out = tmp_path / "mine.json"
    finished = edgesim(
        "profile", "measure", f"a={fine_tunes[0]}", fine_tunes[1],
        f"{NETWORKS}:stack", *QUICK, "--tiers", "pageable", "--depth", 2,
        "--dtype", "float16", "--factory", "tests.small_networks:convnet",
        "--input", "3x16x16", "--out", out, "--disk-folder", tmp_path,
    )  # fmt: skip
    # The stack takes no images: refused in one line, nothing is written.
    assert finished.code == 2
    assert "forward pass over the input 3x16x16 failed" in finished.err
    assert finished.err.count("\n") == 1
    assert not out.exists()
    finished = edgesim(
        "profile", "measure", f"a={fine_tunes[0]}", fine_tunes[1], *QUICK,
        "--tiers", "pageable", "--depth", 2, "--input", "3x16x16",
        "--factory", "tests.small_networks:convnet", "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    source = read_profile(out).provenance
    assert isinstance(source, Measured)
    assert shlex.split(source.command) == [
        "edgesim", "profile", "measure", "a=v1.safetensors", "v2.safetensors",
        "--device", "cpu", "--batch", "1,2", "--tiers", "pageable", "--depth", "2",
        "--input", "3x16x16", "--factory", "tests.small_networks:convnet",
        "--repeats", "10", "--seconds", "0.01", "--out", "mine.json",
    ]  # fmt: skip
    assert str(tmp_path) not in out.read_text()
    assert not re.search(r'["= +]/', out.read_text())


def test_fine_tunes_share_blocks(tmp_path: Path, fine_tunes: list[Path]) -> None:
    """Shared content has the same numbers in both; the network is run once for both."""
    out = tmp_path / "tunes.json"
    finished = edgesim(
        "profile", "measure", *fine_tunes, *QUICK, "--out", out,
        "--factory", "tests.small_networks:convnet", "--input", "3x16x16",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    profile = read_profile(out)
    assert profile.shares_content
    first, second = profile.models.values()
    conv = 4 * (32 * 32 * 9 + 32)
    assert first.blocks[0] == second.blocks[0]
    assert first.blocks[0].bytes == 4 * (3 * 32 * 9 + 32) + 2 * conv
    assert first.blocks[1].content != second.blocks[1].content
    assert first.blocks[1].bytes == conv + 4 * (32 * 10 + 10)
    assert first.latency_s == second.latency_s
    assert first.architecture == "tests.small_networks:convnet"


def test_checkpoints_without_any_latency(
    tmp_path: Path, fine_tunes: list[Path]
) -> None:
    """Loads alone, and a warning that says what to give."""
    out = tmp_path / "tunes.json"
    finished = edgesim("profile", "measure", fine_tunes[0], *QUICK, "--out", out)
    assert finished.code == 0, finished.err
    assert "warning: v1: no latency is measured" in finished.err
    (model,) = read_profile(out).models.values()
    assert model.latency_s == {}
    assert (model.architecture, model.input, model.dtype) == (None, None, "float32")
    (row,) = [ln for ln in finished.out.splitlines() if ln.startswith("v1 ")][:1]
    assert "–" in row


def test_checkpoints_with_the_latency_of_a_profile(
    tmp_path: Path, fine_tunes: list[Path]
) -> None:
    """The table is copied and its source stated, in the profile and in the table."""
    out = tmp_path / "tunes.json"
    finished = edgesim(
        "profile", "measure", fine_tunes[0], *QUICK, "--out", out,
        "--latency-from", "clockwork-v100:resnet50",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    model = read_profile(out).models["v1"]
    source = read_profile("clockwork-v100").models["resnet50"]
    assert model.latency_s == source.latency_s
    assert model.activation_bytes == source.activation_bytes
    assert "resnet50 of profile clockwork-v100" in (model.latency_from or "")
    assert f"latencies of v1 are those of {model.latency_from}" in finished.out
    assert "warning" not in finished.err


def test_half_precision_checkpoints_run_in_half(tmp_path: Path) -> None:
    """The factory's network takes the dtype of the file's weights."""
    path = tmp_path / "half.pt"
    torch.save(convnet().to(torch.bfloat16).state_dict(), path)
    out = tmp_path / "half.json"
    finished = edgesim(
        "profile", "measure", path, *QUICK, "--tiers", "pageable", "--out", out,
        "--factory", "tests.small_networks:convnet", "--input", "3x16x16",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    model = read_profile(out).models["half"]
    assert model.dtype == "bfloat16"
    # Input and first convolution are 3 and 32 channels of 16 × 16 numbers of 2 bytes.
    assert model.activation_bytes is not None
    assert model.activation_bytes["1"] == 2 * 256 * (3 + 32 + 32)


def test_conversion_of_networks(tmp_path: Path) -> None:
    """Half the bytes in half precision."""
    out = tmp_path / "half.json"
    finished = edgesim(
        "profile", "measure", f"{NETWORKS}:stack", *QUICK, "--dtype", "bfloat16",
        "--blocks", r"^(\d)", "--tiers", "pageable", "--out", out, "--name", "h",
    )  # fmt: skip
    assert finished.code == 0, finished.err
    profile = read_profile(out)
    model = profile.models["stack"]
    assert profile.name == "h"
    assert sum(block.bytes for block in model.blocks) == 2 * (8 * 16 + 16 + 16 * 4 + 4)
    assert model.dtype == "bfloat16"
    assert model.tiers == ("pageable",)


def test_what_did_not_fit_is_in_the_note(tmp_path: Path) -> None:
    """Batches left out are named on standard error and in the file."""
    out = tmp_path / "greedy.json"
    finished = edgesim(
        "profile", "measure", f"{NETWORKS}:greedy", *QUICK, "--batch", "1,2,4",
        "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    words = "greedy: batches of 4 and more are left out"
    assert words in finished.err
    profile = read_profile(out)
    assert words in (profile.provenance.note or "")
    assert list(profile.models["greedy"].latency_s) == ["1", "2"]


@pytest.mark.parametrize("last", ["interrupted", "single"])
def test_models_that_were_done_are_kept(tmp_path: Path, last: str) -> None:
    """Interrupted or refused at the second model: the first is in a file beside.

    The next run does not write over it; with it moved away, one that ends well leaves
    the profile alone.
    """
    out, partial = tmp_path / "mine.json", tmp_path / "mine.partial.json"
    first = f"first={NETWORKS}:stack"
    finished = edgesim(
        "profile", "measure", first, f"{NETWORKS}:{last}", "--input", "8", *QUICK,
        "--out", out,
    )  # fmt: skip
    assert finished.code == (130 if last == "interrupted" else 2)
    assert f"the models that were done are in {partial}" in finished.err
    assert [path.name for path in tmp_path.iterdir()] == [partial.name]
    kept = read_profile(partial)
    assert (kept.name, list(kept.models)) == ("mine", ["first"])
    assert kept.models["first"].latency_s.keys() == {"1", "2"}
    before = partial.read_bytes()
    finished = edgesim("profile", "measure", first, *QUICK, "--out", out)
    assert finished.code == 2
    assert f"{partial}: is there already" in finished.err
    assert partial.read_bytes() == before
    partial.unlink()
    finished = edgesim(
        "profile", "measure", first, f"{NETWORKS}:tall", "--input", "8", *QUICK,
        "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_memory_that_may_grow_need_not_be_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with 100 bytes free refuses a model, unless told not to check."""
    monkeypatch.setattr(device_module.CpuDevice, "free_bytes", lambda _: 100)
    out = tmp_path / "mine.json"
    words = ("profile", "measure", f"{NETWORKS}:stack", *QUICK, "--out", out)
    finished = edgesim(*words)
    assert finished.code == 2
    assert "bytes of the device's memory, found 100 free" in finished.err
    finished = edgesim(*words, "--no-check-memory")
    assert finished.code == 0, finished.err
    provenance = read_profile(out).provenance
    assert isinstance(provenance, Measured)
    assert "--no-check-memory" in provenance.command


@pytest.mark.parametrize("old", [None, "synthetic-lora.json"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, old: str | None) -> None:
    """Interrupted while a network runs: no file, or the old one, and exit code 130."""
    out = tmp_path / "x.json"
    if old is not None:
        old = (PROFILES / old).read_text()
        out.write_text(old)
    finished = edgesim(
        "profile", "measure", f"{NETWORKS}:interrupted", *QUICK, "--out", out
    )
    assert finished.code == 130
    assert [path.name for path in tmp_path.iterdir()] == (["x.json"] if old else [])
    assert old is None or out.read_text() == old


def test_a_device_of_three_tiers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripted clock: the file holds the script's numbers, pinned memory first."""
    monkeypatch.setattr(
        devices,
        "open_device",
        lambda name: ScriptedDevice(lambda call, steps: [0.25e-3] * steps),
    )
    out = tmp_path / "x.json"
    finished = edgesim(
        "profile", "measure", f"{NETWORKS}:stack", "--batch", "1", "--out", out
    )
    assert finished.code == 0, finished.err
    document: Any = json.loads(out.read_text())
    timing = {"median_s": 0.00025, "p10_s": 0.00025, "p90_s": 0.00025}
    model = document["models"]["stack"]
    tiers = dict.fromkeys(("pinned", "pageable", "disk"), timing)
    assert list(model["blocks"][0]["load_s"]) == list(tiers)
    assert model["blocks"][0]["load_s"] == tiers
    assert model["whole_load_s"] == tiers
    assert model["latency_s"] == {"1": timing}
    assert document["provenance"]["device"] == "scripted"
    rate = 65536 / 0.00025
    assert document["provenance"]["copy_bytes_per_s"] == dict.fromkeys(tiers, rate)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--device", "gpu"], "--device"),
        (["--device", "cuda:77"], "--device"),
        (["--batch", "2,4"], "--batch"),
        (["--batch", "1,1"], "--batch"),
        (["--batch", "1;2"], "--batch"),
        (["--batch", "0,1"], "--batch"),
        (["--tiers", "pinned"], "--tiers"),
        (["--tiers", ""], "--tiers"),
        (["--blocks", "("], "--blocks"),
        (["--blocks", "nothing"], "--blocks"),
        (["--blocks", "0", "--depth", "1"], "--blocks"),
        (["--depth", "0"], "--depth"),
        (["--dtype", "int8"], "--dtype"),
        (["--input", "big"], "--input"),
        (["--input", "9"], "forward pass"),
        (["--lora", "q_proj"], "--lora"),
        (["--factory", "a:b"], "--factory"),
        (["--latency-from", "clockwork-v100"], "--latency-from"),
        (["--names", "match"], "--names"),
        (["--names", "some"], "--names"),
        (["--min-bytes", "5"], "--min-bytes"),
        (["--repeats", "9"], "--repeats"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--disk-folder", "/none/at/all"], "/none/at/all"),
        (["--name", " "], "--name"),
        (["--note", ""], "--note"),
        (["--out", "x.txt"], "--out"),
        (["--out", "."], "--out"),
        (["--out", "/none/at/all/x.json"], "/none/at/all"),
        (["--tiers", "pageable", "--disk-folder", "/none/at/all"], "/none/at/all"),
        ([f"{NETWORKS}:stack"], "called 'stack'"),
        (["nonsense"], "nonsense"),
        ([f"{NETWORKS}:odd"], "give --input"),
        (["gone.safetensors"], "gone.safetensors"),
    ],
)
def test_bad_options_are_one_line(
    words: list[str],
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2, one line that names the option, no file."""
    monkeypatch.chdir(tmp_path)
    finished = edgesim(
        "profile", "measure", f"{NETWORKS}:stack", *QUICK, "--out", "x.json", *words
    )
    assert finished.code == 2, finished.err
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1
    assert found in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--factory", "a:b", "--latency-from", "clockwork-v100"], "--factory"),
        (["--dtype", "float16"], "--dtype"),
        (["--lora", "q"], "--lora"),
        (["--input", "3x16x16"], "--input"),
        (["--factory", f"{NETWORKS}:stack"], "does not fit --factory"),
        (["--latency-from", "clockwork-v100"], "PROFILE:MODEL"),
        (["--latency-from", "nothing"], "no such profile"),
        (["--blocks", "nothing"], "--blocks"),
    ],
)
def test_bad_options_with_checkpoints(
    words: list[str], found: str, tmp_path: Path, fine_tunes: list[Path]
) -> None:
    """What is for networks, what contradicts, what does not fit the files."""
    out = tmp_path / "x.json"
    finished = edgesim("profile", "measure", *fine_tunes, *QUICK, "--out", out, *words)
    assert finished.code == 2, finished.err
    assert finished.err.count("\n") == 1
    assert found in finished.err
    assert not out.exists()


def test_two_files_of_one_name(tmp_path: Path, fine_tunes: list[Path]) -> None:
    """Names are unique over all SPECs, and the message says how to name one."""
    out = tmp_path / "x.json"
    finished = edgesim(
        "profile",
        "measure",
        fine_tunes[0],
        f"v1={NETWORKS}:stack",
        *QUICK,
        "--out",
        out,
    )
    assert finished.code == 2
    assert "two models are called 'v1'" in finished.err


def test_an_input_is_not_written_over(tmp_path: Path) -> None:
    """A profile does not replace the checkpoint it is of."""
    path = tmp_path / "weights.json"
    save_file(convnet().state_dict(), path)
    finished = edgesim("profile", "measure", f"a={path}", *QUICK, "--out", path)
    assert finished.code == 2
    assert finished.err.count("\n") == 1


def test_the_profile_that_latencies_come_from_is_kept(
    tmp_path: Path, fine_tunes: list[Path]
) -> None:
    """Neither PROFILE nor PROFILE:MODEL is replaced by what is measured."""
    out = tmp_path / "x.json"
    first = edgesim("profile", "measure", f"{NETWORKS}:stack", *QUICK, "--out", out)
    assert first.code == 0, first.err
    for source in (str(out), f"{out}:stack"):
        words = ("--latency-from", source, "--out", out)
        finished = edgesim("profile", "measure", fine_tunes[0], *QUICK, *words)
        assert finished.code == 2
        assert "would replace the input" in finished.err


def test_language_models_of_two_kinds_share_one_command(tmp_path: Path) -> None:
    """Each gets its usual input; adapters go to those that have the modules."""
    out = tmp_path / "two.json"
    finished = edgesim(
        "profile", "measure", TINY_BERT, TINY_GPT2, *QUICK, "--tiers", "pageable",
        "--lora", "query,value", "--lora", "c_attn", "--out", out,
    )  # fmt: skip
    assert finished.code == 0, finished.err
    bert, gpt2 = read_profile(out).models.values()
    assert (bert.input, gpt2.input) == ("tokens:128:100", "tokens:16:100")
    assert bert.lora is not None
    assert gpt2.lora is not None
    assert set(bert.lora.bytes_per_rank) == {"query,value"}
    assert dict(gpt2.lora.bytes_per_rank) == {"c_attn": 4 * (32 + 96)}
