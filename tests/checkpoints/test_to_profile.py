"""``edgesim profile sharing``: from files on disk to tables, a profile, a picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_numpy

from edgesim.profile.file import read_profile
from edgesim.profile.values import Synthetic
from tests.command import Finished, edgesim
from tests.small_networks import SHARED, WHOLE, save_pets

LINE = {"overhead_s": 1e-5, "bytes_per_s": 1e9}


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Save two fine-tunes with two layers in common, one in each file format."""
    return save_pets(tmp_path_factory.mktemp("pets"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a profile whose copies lie on a line; one model has a latency, one none."""

    def load(size: int) -> dict[str, Any]:
        seconds = LINE["overhead_s"] + size / LINE["bytes_per_s"]
        return {"pageable": {"median_s": seconds}, "disk": {"median_s": 10 * seconds}}

    def block(size: int) -> dict[str, Any]:
        return {"name": "all", "bytes": size, "load_s": load(size)}

    fast = {
        "blocks": [block(1_000_000)],
        "latency_s": {
            "1": {"median_s": 0.002, "p10_s": 0.001, "p90_s": 0.003},
            "4": 0.005,
        },
        "activation_bytes": {"1": 1000, "4": 4000},
        "architecture": "tests.small_networks:convnet",
        "input": "3x16x16",
        "dtype": "float16",
    }
    path = tmp_path / "source.json"
    content = {
        "schema": "edgesim.profile/3",
        "name": "source",
        "provenance": {
            "kind": "measured",
            "device": "Some GPU",
            "driver": "1.0",
            "versions": {"torch": "2"},
            "date": "2025-01-31",
            "command": "edgesim profile measure",
        },
        "models": {"fast": fast, "bare": {"blocks": [block(5_000_000)]}},
        "copies": [
            {"bytes": size, "load_s": load(size)} for size in (1000, 10**6, 10**8)
        ],
    }
    path.write_text(json.dumps(content))
    return path


def refused(*args: object) -> str:
    """Run a command that must be refused in one line; return the line."""
    finished = edgesim("profile", "sharing", *args)
    assert finished.code == 2, finished
    assert finished.out == ""
    assert finished.err.startswith("error: ")
    assert finished.err.count("\n") == 1
    return finished.err


def accepted(*args: object) -> Finished:
    """Run a command that must work."""
    finished = edgesim("profile", "sharing", *args)
    assert finished.code == 0, finished.err
    return finished


class TestTables:
    """What is printed."""

    def test_fine_tunes_in_two_formats(self, pets: tuple[Path, Path]) -> None:
        """Two fine-tunes share exactly the layers that both kept frozen."""
        out = accepted(*pets).out
        rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
        own = WHOLE - SHARED
        for name in ("cats", "dogs"):
            cells = ["10", *(f"{n:,}" for n in (WHOLE, 2, SHARED, own))]
            assert rows[name] == cells
        assert rows["shared-all"] == ["cats,", "dogs", "2", "4", f"{SHARED:,}"]
        assert "sharing is laminar" in out
        distinct = 2 * WHOLE - SHARED
        assert re.search(
            rf"in the best order +{distinct:,} +{100 * SHARED / 2 / WHOLE:.1f} %", out
        )
        assert re.search(rf"without sharing +{2 * WHOLE:,} +0\.0 %", out)

    def test_same_bytes_again(self, pets: tuple[Path, Path]) -> None:
        """The same files give the same words."""
        assert accepted(*pets).out == accepted(*pets).out

    def test_adapters_on_a_backbone(self, tmp_path: Path) -> None:
        """Adapters joined to one backbone share it, found by its content."""
        rng = np.random.default_rng(0)
        save_numpy({"w": rng.random(1000)}, tmp_path / "base.safetensors")
        words = []
        for name in ("cats", "dogs"):
            path = tmp_path / f"{name}-lora.safetensors"
            save_numpy({"w.lora_A": rng.random(10)}, path)
            words.append(f"{name}={tmp_path / 'base.safetensors'}+{path}")
        out = accepted(*words).out
        assert re.search(r"^cats +2 +8,080 +2 +8,000 +80$", out, re.MULTILINE)
        assert "in 3 blocks: 16,160 bytes, 8,160 with each block kept once" in out

    def test_crossing(self, tmp_path: Path) -> None:
        """Blocks that cross are named, with models, tensors and bytes."""
        arrays = {n: np.full(n, n, np.uint8) for n in (10, 20, 30)}
        for name, held in (("a", (10, 20)), ("b", (20, 30)), ("c", (10, 30))):
            path = tmp_path / f"{name}.safetensors"
            save_numpy({f"t{n}": arrays[n] for n in held}, path)
        paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
        out = accepted(*paths).out
        assert "sharing is not laminar" in out
        assert re.search(r"\(\d0 bytes: 't\d0'\) is in \w and \w, not in \w", out)
        assert "60 bytes (100.0 % of all blocks) lie in blocks that cross" in out
        # Each order leaves one pair apart; best is the pair that shares 10 bytes.
        assert re.search(r"in the best order found +70 ", out)
        assert "no order loads less than 60 bytes" in out

    def test_names(self, tmp_path: Path) -> None:
        """Tensors under other names are told, shared or kept apart as asked."""
        for name in "ab":
            array = np.arange(5.0)
            save_numpy({f"layer_{name}": array}, tmp_path / f"{name}.safetensors")
        paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
        ignored = accepted(*paths).out
        assert "1 tensor (40 bytes)" in ignored
        assert "layer_a of a and layer_b of b: shared all the same" in ignored
        matched = accepted(*paths, "--names", "match").out
        assert "kept apart, for names must match" in matched
        assert "no two models share anything" in matched
        assert "laminar" not in matched

    def test_least_size(self, tmp_path: Path) -> None:
        """Tensors below the least size are nobody's but their model's."""
        for name in "ab":
            content = {"bias": np.zeros(2), f"{name}": np.full(9, ord(name))}
            save_numpy(content, tmp_path / f"{name}.safetensors")
        paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
        assert "shared-all" in accepted(*paths).out
        assert "no two models share" in accepted(*paths, "--min-bytes", 17).out

    def test_repeated_and_empty_tensors(self, tmp_path: Path) -> None:
        """Tied weights and tensors without elements are told."""
        weight = torch.ones(4, 4)
        path = tmp_path / "a.pt"
        torch.save({"e": weight, "h": weight, "n": torch.empty(0)}, path)
        out = accepted(path).out
        assert "64 bytes are of tensors that a model holds twice" in out
        assert "1 tensor without elements left out" in out

    def test_one_checkpoint(self, pets: tuple[Path, Path]) -> None:
        """One checkpoint alone is told, with nothing to share."""
        out = accepted(pets[0]).out
        assert f"{WHOLE:,}" in out
        assert "one after the other" not in out
        assert "laminar" not in out

    def test_control_characters_in_names(self, tmp_path: Path) -> None:
        """Names in a file cannot steer the terminal."""
        for name in "ab":
            content = {f"\x1b[2J{name}": np.ones(3)}
            save_numpy(content, tmp_path / f"{name}.safetensors")
        paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
        assert "\x1b" not in accepted(*paths).out

    def test_seconds(self, pets: tuple[Path, Path]) -> None:
        """At 1 MB/s loads take their bytes in µs; no sharing is one copy a model."""
        out = accepted(*pets, "--load-rate", 1e6).out
        assert re.search(rf"without sharing .* {2 * WHOLE / 1e6:.4g}\n", out)
        assert re.search(rf"best order .* {(2 * WHOLE - SHARED) / 1e6:.4g}\n", out)
        assert "Seconds are not measured" in " ".join(out.split())

    def test_seconds_like_a_profile(
        self, pets: tuple[Path, Path], source: Path
    ) -> None:
        """Like a profile, each copy has the overhead of the fitted line."""
        out = accepted(*pets, "--like", source).out
        apart = 2 * (1e-5 + WHOLE / 1e9)
        together = 3 * 1e-5 + (2 * WHOLE - SHARED) / 1e9
        assert re.search(rf"without sharing .* {apart:.4g}\n", out)
        assert re.search(rf"best order .* {together:.4g}\n", out)


class TestProfile:
    """The profile that ``--out`` writes."""

    def test_like_a_profile(
        self, pets: tuple[Path, Path], source: Path, tmp_path: Path
    ) -> None:
        """Blocks by content, loads on the fitted line, latency of the model named."""
        out = tmp_path / "pets.json"
        accepted(*pets, "--like", f"{source}:fast", "--out", out)
        profile = read_profile(out)
        cats, dogs = profile.models["cats"], profile.models["dogs"]
        assert [b.name for b in cats.blocks] == ["shared-all", "own"]
        assert cats.blocks[0] == dogs.blocks[0]
        assert cats.blocks[1].content != dogs.blocks[1].content
        assert [b.bytes for b in cats.blocks] == [SHARED, WHOLE - SHARED]
        assert [b.tensors for b in cats.blocks] == [4, 6]
        for block in (*cats.blocks, *dogs.blocks):
            seconds = 1e-5 + block.bytes / 1e9
            assert set(block.load_s) == {"pageable", "disk"}
            assert block.load_s["pageable"].median_s == pytest.approx(seconds)
            assert block.load_s["disk"].median_s == pytest.approx(10 * seconds)
        assert profile.latency_table("cats") == (0.002, 0.005, 0.005, 0.005)
        assert profile.activation_table("dogs") == (1000, 4000, 4000, 4000)
        assert cats.latency_from == "source:fast"
        assert cats.architecture == "tests.small_networks:convnet"
        assert (cats.input, cats.dtype) == ("3x16x16", "float32")
        assert profile.name == "pets"
        origin = profile.provenance
        assert isinstance(origin, Synthetic)
        assert origin.device == "Some GPU"
        for words in (
            *("1e-05 s + bytes / (1e+09 bytes/s)", "profile 'source'", "3 copies"),
            *("was measured on Some GPU, 2025-01-31", "Nobody measured these loads"),
            *("latency_s of every model is that of 'source:fast'", "names ignored"),
        ):
            assert words in origin.method

    def test_at_a_rate(self, pets: tuple[Path, Path], tmp_path: Path) -> None:
        """At a stated rate, and without a latency, which is told."""
        out = tmp_path / "pets.json"
        finished = accepted(*pets, "--load-rate", 2e9, "--out", out)
        assert "holds no latency" in finished.err
        assert "--latency-from PROFILE:MODEL" in finished.err
        profile = read_profile(out)
        for model in profile.models.values():
            assert model.latency_s == {}
            assert model.latency_from is None
            for block in model.blocks:
                assert set(block.load_s) == {"pinned"}
                assert block.load_s["pinned"].median_s == block.bytes / 2e9
        origin = profile.provenance
        assert isinstance(origin, Synthetic)
        assert "a stated rate, an assumption" in origin.method
        assert "No latency was measured or assumed" in origin.method

    def test_latency_from_another_profile(
        self, pets: tuple[Path, Path], source: Path, tmp_path: Path
    ) -> None:
        """``--latency-from`` comes before the model of ``--like``; shipped ones do."""
        out = tmp_path / "pets.json"
        finished = accepted(
            *(*pets, "--like", f"{source}:fast"),
            *("--latency-from", "clockwork-v100:resnet50", "--out", out),
        )
        assert finished.err == ""
        model = read_profile(out).models["cats"]
        shipped = read_profile("clockwork-v100").models["resnet50"]
        assert model.latency_s == shipped.latency_s
        assert model.latency_from == "clockwork-v100:resnet50"

    def test_rounds_come_with_latencies(
        self, pets: tuple[Path, Path], source: Path, tmp_path: Path
    ) -> None:
        """The empty round and how batches ran are the latencies', and it is told."""
        document = json.loads(source.read_text())
        document["round_s"] = {"median_s": 2e-5}
        document["models"]["fast"]["latency_mode"] = "graph"
        graphs = tmp_path / "graphs.json"
        graphs.write_text(json.dumps(document))
        out = tmp_path / "pets.json"
        accepted(*pets, "--like", f"{graphs}:fast", "--out", out)
        profile = read_profile(out)
        assert profile.round_overhead_s == 2e-5
        assert profile.models["dogs"].latency_mode == "graph"
        assert isinstance(profile.provenance, Synthetic)
        assert "'source:fast', round_s that of its profile." in (
            profile.provenance.method
        )
        other = ("--latency-from", "clockwork-v100:resnet50", "--out", out)
        accepted(*pets, "--like", f"{graphs}:fast", *other)
        assert read_profile(out).round_s is None

    def test_options_of_sharing_are_told(
        self, pets: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """The method says how tensors were compared."""
        out = tmp_path / "pets.json"
        how = ("--names", "match", "--min-bytes", 100)
        accepted(*pets, *how, "--load-rate", 1e9, "--out", out)
        origin = read_profile(out).provenance
        assert isinstance(origin, Synthetic)
        assert "names part of the identity" in origin.method
        assert "tensors below 100 bytes never shared" in origin.method

    def test_same_bytes_again(self, pets: tuple[Path, Path], tmp_path: Path) -> None:
        """The same files give the same profile and picture, byte by byte."""
        files = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            out, png = folder / "p.json", folder / "p.png"
            accepted(*pets, "--load-rate", 1e9, "--out", out, "--picture", png)
            files.append((out.read_bytes(), png.read_bytes()))
        assert files[0] == files[1]

    def test_runs_as_a_library(
        self,
        pets: tuple[Path, Path],
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The profile and a trace are all that ``edgesim run`` needs."""
        monkeypatch.chdir(tmp_path)
        accepted(*pets, "--like", f"{source}:fast", "--out", "pets.json")
        lines = [
            f"{0.05 * n},u{n},{('cats', 'dogs')[n % 2]},3000,0.5" for n in range(9)
        ]
        Path("pets.csv").write_text(
            "\n".join(["arrival_s,user,model,input_bytes,slo_s", *lines, ""])
        )
        finished = edgesim(
            *("run", "--profile", "pets.json", "--trace", "pets.csv", "--out", "r")
        )
        assert finished.code == 0, finished.err
        assert (tmp_path / "r" / "summary.json").is_file()


class TestRefusals:
    """Options that do not fit together and files that cannot be read."""

    def test_out_without_loads(self, pets: tuple[Path, Path], tmp_path: Path) -> None:
        """A profile needs load times."""
        line = refused(*pets, "--out", tmp_path / "a.json")
        assert line.startswith("error: --out: needs load times")
        assert "--load-rate" in line
        assert not (tmp_path / "a.json").exists()

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (("--names", "guess"), "--names: must be one of ignore, match"),
            (("--load-rate", "0"), "--load-rate: must be a number above 0"),
            (("--load-rate", "nan"), "--load-rate"),
            (("--min-bytes", "-1"), "--min-bytes"),
            (
                ("--load-rate", "1e9", "--like", "clockwork-v100"),
                "together with --like",
            ),
            (("--latency-from", "clockwork-v100:resnet50"), "--latency-from: is for"),
            (("--like", "nonesuch"), "nonesuch: no such profile"),
            (("--like", "nonesuch.json:m"), "nonesuch.json: no such file"),
            (("--like", "clockwork-v100:nonesuch"), "--like: must name a model"),
            (("--picture", "a.jpg"), "--picture: must end in .png"),
        ],
    )
    def test_options(
        self, pets: tuple[Path, Path], options: tuple[str, ...], told: str
    ) -> None:
        """Each is refused by name."""
        assert told in refused(*pets, *options)

    def test_latency_that_is_not_there(
        self, pets: tuple[Path, Path], source: Path, tmp_path: Path
    ) -> None:
        """A model without latency, or no model at all, gives no latency."""
        out = ("--out", tmp_path / "a.json")
        line = refused(*pets, *out, "--like", f"{source}:bare")
        assert "--like: must name a model whose latency is known" in line
        line = refused(*pets, *out, "--load-rate", 1, "--latency-from", source)
        assert "--latency-from: must be PROFILE:MODEL" in line

    def test_profile_without_load_times(
        self, pets: tuple[Path, Path], source: Path
    ) -> None:
        """A profile whose loads all take 0 s says nothing of loads."""
        content = json.loads(source.read_text())
        del content["copies"]
        for model in content["models"].values():
            model["blocks"][0]["load_s"] = {"pinned": {"median_s": 0}}
        source.write_text(json.dumps(content))
        assert "--like: profile 'source' holds no load time" in refused(
            *pets, "--like", source
        )

    def test_a_name_twice(self, pets: tuple[Path, Path]) -> None:
        """Two checkpoints of one name are refused before anything is read."""
        line = refused(f"cats={pets[0]}", f"cats={pets[1]}")
        assert "is called 'cats'" in line

    def test_no_input_is_replaced(self, pets: tuple[Path, Path], source: Path) -> None:
        """Neither a checkpoint nor the profile read can be written over."""
        rate = ("--load-rate", 1e9)
        assert "would replace" in refused(*pets, *rate, "--out", pets[0])
        line = refused(*pets, "--like", f"{source}:fast", "--out", source)
        assert "would replace" in line

    def test_two_outputs_of_one_name(
        self, pets: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """Profile and picture need two names."""
        out = tmp_path / "a.png"
        line = refused(*pets, "--load-rate", 1, "--out", out, "--picture", out)
        assert "would replace the profile" in line
        assert not out.exists()

    def test_broken_file_writes_nothing(
        self, pets: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """One broken checkpoint of several leaves no profile and no picture."""
        bad = tmp_path / "bad.safetensors"
        bad.write_bytes(pets[0].read_bytes()[:-1])
        out, png = tmp_path / "a.json", tmp_path / "a.png"
        line = refused(*pets, bad, "--load-rate", 1, "--out", out, "--picture", png)
        assert line.startswith(f"error: {bad}: not a usable safetensors file")
        assert not out.exists()
        assert not png.exists()

    def test_missing_file(self, pets: tuple[Path, Path], tmp_path: Path) -> None:
        """A missing file is told before the others are hashed."""
        assert "no such file" in refused(*pets, tmp_path / "none.pt")

    def test_nothing_given(self) -> None:
        """A checkpoint at least is needed."""
        assert "CKPT" in refused()
