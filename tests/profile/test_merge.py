"""``edgesim profile merge``: medians of separate runs by hand, and what is refused."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from edgesim.errors import InputError
from edgesim.library.profile_text import describe
from edgesim.profile.file import read_profile
from edgesim.profile.merge import Merged, merge_profiles, merged_timing
from edgesim.profile.values import Measured, Profile, Timing
from tests.command import edgesim

A, B = "a" * 16, "b" * 16


def time(median: float, low: float | None = None, high: float | None = None) -> Any:
    """Write a timing; deciles where they are given."""
    known = {"median_s": median, "p10_s": low, "p90_s": high}
    return {key: value for key, value in known.items() if value is not None}


def document(slower: float = 1.0, **provenance: Any) -> dict[str, Any]:
    """Write a measured profile of one model, all its times longer by a factor."""

    def timed(
        median: float, low: float | None = None, high: float | None = None
    ) -> Any:
        return {k: v * slower for k, v in time(median, low, high).items()}

    return {
        "schema": "edgesim.profile/3",
        "name": "run",
        "provenance": {
            "kind": "measured",
            "device": "a GPU",
            "driver": "550.1",
            "versions": {"torch": "2.9"},
            "date": "2025-01-31",
            "command": "edgesim profile measure net --out run.json",
            "copy_bytes_per_s": {"pinned": 1.0, "disk": 4e9 * slower},
            "machine": {"cores": "16", "clock": "1 GHz"},
            "note": "On a quiet machine",
        }
        | provenance,
        "models": {
            "net": {
                "blocks": [
                    {
                        "name": "in",
                        "bytes": 1000,
                        "content": A,
                        "tensors": 2,
                        "load_s": {"pinned": timed(2.0, 1.0, 3.0)},
                    },
                    {
                        "name": "out",
                        "bytes": 500,
                        "load_s": {"pinned": timed(1.0)},
                    },
                ],
                "latency_s": {"1": timed(8.0, 7.0, 9.0), "4": 16.0 * slower},
                "latency_mode": "graph",
                "eager_latency_s": {"1": timed(10.0), "4": timed(17.0)},
                "overlap": {
                    "batch": 4,
                    "passes": 5,
                    "copy_bytes": 1500,
                    "copy_s": 3.0 * slower,
                    "copy_beside_s": 4.0 * slower,
                    "batches_s": 50.0 * slower,
                    "batches_beside_s": 60.0 * slower,
                },
                "activation_bytes": {"1": int(10 * slower), "4": int(40 * slower)},
                "whole_load_s": {"pinned": timed(2.5)},
                "by_block_load_s": {"pinned": timed(3.5)},
                "by_tensor_load_s": {"pinned": timed(4.5)},
                "dtype": "float16",
            }
        },
        "copies": [
            {
                "bytes": 100,
                "load_s": {"pinned": timed(2.0, 1.0, 3.0)},
                "chained_s": {"pinned": timed(0.5)},
            },
            {"bytes": 1000, "load_s": {"pinned": timed(4.0)}},
        ],
        "round_s": timed(0.25, 0.125, 0.5),
    }


def profile(of: dict[str, Any]) -> Profile:
    """Read a document as a value."""
    return Profile.model_validate({k: v for k, v in of.items() if k != "schema"})


def merged(*documents: dict[str, Any], note: str | None = None) -> Merged:
    """Merge documents, called a.json, b.json, ..."""
    runs = {f"{'abcd'[i]}.json": profile(of) for i, of in enumerate(documents)}
    return merge_profiles(runs, "all", note)


def refusal(*documents: dict[str, Any]) -> str:
    """Merge what cannot be merged; the one line that says why."""
    with pytest.raises(InputError) as caught:
        merged(*documents)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def measured(of: Merged) -> Measured:
    """Provenance of what was merged."""
    assert isinstance(of.profile.provenance, Measured)
    return of.profile.provenance


def test_a_timing_is_the_median_of_the_runs_medians() -> None:
    """Three runs in their order, the outermost deciles; an even number halves."""
    runs = [
        Timing(median_s=2.0, p10_s=1.0, p90_s=3.0),
        Timing(median_s=8.0, p10_s=4.0, p90_s=12.0),
        Timing(median_s=4.0, p10_s=2.0, p90_s=13.0),
    ]
    assert merged_timing(runs) == Timing(
        median_s=4.0, p10_s=1.0, p90_s=13.0, runs_s=(2.0, 8.0, 4.0)
    )
    assert merged_timing(runs[:2]).median_s == 5.0
    assert merged_timing(runs[:1]) is runs[0]


def test_deciles_stand_only_where_all_runs_have_them() -> None:
    """One run of few samples takes its decile from all."""
    runs = [Timing(median_s=2.0, p10_s=1.0, p90_s=3.0), Timing(median_s=2.5, p90_s=4)]
    assert merged_timing(runs) == Timing(
        median_s=2.25, p90_s=4.0, runs_s=(2.0, 2.5), p10_s=None
    )


def test_runs_of_merged_timings_count_each() -> None:
    """Two runs and three make five, not two."""
    first = merged_timing([Timing(median_s=1.0), Timing(median_s=3.0)])
    assert merged_timing([first, Timing(median_s=9.0)]) == Timing(
        median_s=3.0, runs_s=(1.0, 3.0, 9.0)
    )


def test_all_that_a_profile_holds_is_merged() -> None:
    """Runs 1, 2 and 4 times as slow: the second one's numbers, and all three kept."""
    found = merged(document(1.0), document(4.0), document(2.0))
    assert found.left_out == ()
    net = found.profile.models["net"]
    assert net.blocks[0].load_s["pinned"] == Timing(
        median_s=4.0, p10_s=1.0, p90_s=12.0, runs_s=(2.0, 8.0, 4.0)
    )
    assert (net.blocks[0].content, net.blocks[0].tensors) == (A, 2)
    assert net.blocks[1].load_s["pinned"] == Timing(
        median_s=2.0, runs_s=(1.0, 4.0, 2.0)
    )
    assert net.latency_s == {
        "1": Timing(median_s=16.0, p10_s=7.0, p90_s=36.0, runs_s=(8.0, 32.0, 16.0)),
        "4": Timing(median_s=32.0, runs_s=(16.0, 64.0, 32.0)),
    }
    assert net.eager_latency_s is not None
    assert net.eager_latency_s["4"].runs_s == (17.0, 68.0, 34.0)
    assert (net.latency_mode, net.dtype) == ("graph", "float16")
    assert net.activation_bytes == {"1": 40, "4": 160}
    for loads, median in (
        (net.whole_load_s, 5.0),
        (net.by_block_load_s, 7.0),
        (net.by_tensor_load_s, 9.0),
    ):
        assert loads is not None
        assert loads["pinned"].median_s == median
    assert net.overlap is not None
    assert net.overlap.model_dump() == {
        "batch": 4,
        "passes": 5,
        "copy_bytes": 1500,
        "copy_s": 6.0,
        "copy_beside_s": 8.0,
        "batches_s": 100.0,
        "batches_beside_s": 120.0,
    }
    small, large = found.profile.copies or ()
    assert small.load_s["pinned"].runs_s == (2.0, 8.0, 4.0)
    assert small.chained_s is not None
    assert small.chained_s["pinned"] == Timing(median_s=1.0, runs_s=(0.5, 2.0, 1.0))
    assert large.chained_s is None
    assert found.profile.round_s == Timing(
        median_s=0.5, p10_s=0.125, p90_s=2.0, runs_s=(0.25, 1.0, 0.5)
    )


def test_provenance_tells_of_all_runs() -> None:
    """Rates anew, versions together, facts that moved side by side, dates as a span."""
    second = document(
        3.0,
        date="2025-02-02",
        versions={"torch": "2.9", "timm": "1.0"},
        machine={"cores": "16", "clock": "2 GHz", "threads": "8"},
        command="edgesim profile measure net --out second.json",
        note="On a busy machine.",
    )
    found = measured(merged(document(), second, note="Both on one day."))
    assert (found.device, found.driver) == ("a GPU", "550.1")
    assert found.versions == {"torch": "2.9", "timm": "1.0"}
    assert found.date == "2025-01-31 to 2025-02-02"
    assert found.machine == {"cores": "16", "clock": "1 GHz / 2 GHz", "threads": "8"}
    assert found.command == (
        "edgesim profile measure net --out run.json; "
        "edgesim profile measure net --out second.json"
    )
    # 1,000 bytes in 8 s, the median of 4 and 12; no ladder from disk, so of 4 and 12.
    assert found.copy_bytes_per_s == {"pinned": 125.0, "disk": 8e9}
    assert found.note == (
        "Both on one day. On a quiet machine. On a busy machine. "
        "Separate runs merged: 2 runs of net"
    )
    assert measured(merged(document(), document(2.0))).date == "2025-01-31"


def test_merging_step_by_step_is_merging_at_once() -> None:
    """A merged profile and a third run hold what the three runs do, note included.

    All but the overlap, which keeps no runs.
    """
    runs = [
        document(1.0),
        document(4.0, date="2025-02-03", machine={"clock": "2 GHz"}),
        document(2.0, date="2025-02-01", machine={"clock": "1 GHz"}),
    ]
    for run in runs:
        del run["models"]["net"]["overlap"]
    at_once = merged(*runs).profile
    pair = merged(*runs[:2]).profile.document()
    step_by_step = merged(pair, runs[2]).profile
    assert step_by_step.models == at_once.models
    assert step_by_step.copies == at_once.copies
    assert step_by_step.round_s == at_once.round_s
    both = (step_by_step.provenance, at_once.provenance)
    assert both[0].note == both[1].note
    assert isinstance(both[0], Measured)
    assert isinstance(both[1], Measured)
    assert both[0].date == both[1].date == "2025-01-31 to 2025-02-03"
    assert both[0].machine == both[1].machine
    assert both[0].copy_bytes_per_s is not None
    assert both[1].copy_bytes_per_s is not None
    assert both[0].copy_bytes_per_s["pinned"] == both[1].copy_bytes_per_s["pinned"]


def other(model: str, of: dict[str, Any], content: str) -> dict[str, Any]:
    """Rename the model of a document and give its second block a content."""
    of["models"] = {model: of["models"]["net"]}
    of["models"][model]["blocks"][1]["content"] = content
    return of


def test_models_of_one_file_are_taken_as_they_are() -> None:
    """What nobody measured twice has no runs, and the note says which was."""
    second = document(2.0)
    second["models"]["late"] = copy.deepcopy(second["models"]["net"])
    for block in second["models"]["late"]["blocks"]:
        block.pop("content", None)
    found = merged(document(), second)
    assert found.profile.models["late"] == profile(second).models["late"]
    assert measured(found).note == (
        "On a quiet machine. Separate runs merged: 2 runs of net; 1 run of late"
    )


def test_blocks_of_one_content_stay_one_block() -> None:
    """Two files with one model each that share a block: it has two runs in both."""
    first, second = other("cats", document(), A[:-1] + "b"), document(3.0)
    second = other("dogs", second, B)
    found = merged(first, second).profile
    shared = Timing(median_s=4.0, p10_s=1.0, p90_s=9.0, runs_s=(2.0, 6.0))
    for model in ("cats", "dogs"):
        assert found.models[model].blocks[0].load_s["pinned"] == shared
    assert found.models["cats"].blocks[1].load_s["pinned"] == Timing(median_s=1.0)
    assert "runs of" not in (found.provenance.note or "")
    # Held twice in one file, it is one run of that file.
    both = document()
    both["models"]["dogs"] = copy.deepcopy(both["models"]["net"])
    again = merged(both, document(3.0)).profile
    assert again.models["dogs"].blocks[0].load_s["pinned"] == shared
    assert profile(again.document()) == again


def test_tiers_are_kept_with_the_runs_that_hold_them() -> None:
    """Disk was measured once: its times have no runs, pinned ones have two."""
    first = document()
    net = first["models"]["net"]
    for block in net["blocks"]:
        block["load_s"]["disk"] = time(9.0)
    net["by_block_load_s"]["disk"] = time(18.0)
    first["copies"][1]["load_s"]["disk"] = time(7.0)
    for files in ((first, document(2.0)), (document(2.0), first)):
        found = merged(*files)
        model = found.profile.models["net"]
        assert set(model.tiers) == {"pinned", "disk"}
        assert model.blocks[0].load_s["disk"] == Timing(median_s=9.0)
        assert model.blocks[0].load_s["pinned"].runs_s is not None
        assert (model.by_block_load_s or {})["disk"] == Timing(median_s=18.0)
        assert found.left_out == ()
        large = (found.profile.copies or ())[1]
        assert large.load_s["disk"] == Timing(median_s=7.0)
        rates = measured(found).copy_bytes_per_s or {}
        assert rates["disk"] == pytest.approx(1000 / 7)


def test_batches_are_kept_with_the_runs_that_hold_them() -> None:
    """A batch of 8 was run once, eagerly too: its time has no runs, the others two."""
    second = document(2.0)
    net = second["models"]["net"]
    net["latency_s"]["8"] = 40.0
    net["eager_latency_s"] = {"1": time(20.0), "8": time(50.0)}
    net["activation_bytes"]["8"] = 100
    for files in ((document(), second), (second, document())):
        found = merged(*files)
        assert found.left_out == ()
        model = found.profile.models["net"]
        assert list(model.latency_s) == ["1", "4", "8"]
        assert model.latency_s["8"] == Timing(median_s=40.0)
        one = model.latency_s["1"]
        assert isinstance(one, Timing)
        assert len(one.runs_s or ()) == 2
        assert (model.eager_latency_s or {})["8"].median_s == 50.0
        assert model.activation_bytes == {"1": 20, "4": 80, "8": 100}


def test_copies_that_not_all_runs_hold_are_left_out() -> None:
    """They would be medians of other runs than their neighbours; it is told."""
    second = document(2.0)
    second["copies"].append({"bytes": 9000, "load_s": {"pinned": time(9.0)}})
    del second["copies"][0]["chained_s"]
    found = merged(document(), second)
    line = "copies of 9000 bytes left out: not all runs hold them"
    assert found.left_out == (line,)
    assert line in (measured(found).note or "")
    small, _ = found.profile.copies or ()
    assert small.chained_s == {"pinned": Timing(median_s=0.5)}


def test_what_one_run_alone_holds_is_kept() -> None:
    """No latency, overlap, copies or empty round in a run: those of the other."""
    second = document(2.0)
    del second["copies"], second["round_s"], second["provenance"]["note"]
    for key in (
        *("latency_s", "eager_latency_s", "overlap", "activation_bytes"),
        *("latency_mode", "dtype", "whole_load_s"),
    ):
        del second["models"]["net"][key]
    first = profile(document())
    for files in ((document(), second), (second, document())):
        found = merged(*files).profile
        net, only = found.models["net"], first.models["net"]
        assert (net.latency_s, net.latency_mode) == (only.latency_s, "graph")
        assert net.activation_bytes == only.activation_bytes
        assert (net.overlap, net.whole_load_s) == (only.overlap, only.whole_load_s)
        assert (found.round_s, found.copies) == (first.round_s, first.copies)
        assert net.dtype == "float16"
        assert net.blocks[1].load_s["pinned"].runs_s is not None


def test_passes_of_overlap_may_differ() -> None:
    """5 passes of 10 s and 8 of 20 s: 5 passes of 15 s each, the copy as it was."""
    second = document(2.0)
    second["models"]["net"]["overlap"] |= {
        "passes": 8,
        "batches_s": 160.0,
        "batches_beside_s": 192.0,
    }
    overlap = merged(document(), second).profile.models["net"].overlap
    assert overlap is not None
    assert overlap.passes == 5
    assert overlap.batches_s == pytest.approx(75.0)
    assert overlap.batches_beside_s == pytest.approx((60 + 120) / 2)
    assert overlap.copy_s == 4.5


def test_latencies_of_another_profile_are_no_runs() -> None:
    """Both runs took them from one place, so they stay as they are, or are refused."""
    runs = document(), document(2.0)
    for run in runs:
        run["models"]["net"] |= {
            "latency_from": "lab:net",
            "latency_s": {"1": 3.0},
            "eager_latency_s": {"1": time(4.0)},
            "activation_bytes": {"1": 9},
        }
    net = merged(*runs).profile.models["net"]
    assert (net.latency_s, net.latency_from) == ({"1": 3.0}, "lab:net")
    assert net.activation_bytes == {"1": 9}
    runs[1]["models"]["net"]["latency_s"] = {"1": 3.5}
    assert "b.json: models.net.latency_s: must be that of a.json" in refusal(*runs)


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("provenance/device", "B", "provenance.device", "'a GPU', to be"),
        ("provenance/device", "B", "provenance.device", "found 'B'"),
        ("provenance/driver", "9", "provenance.driver", "'550.1'"),
        ("provenance/versions/torch", "3", "provenance.versions.torch", "found '3'"),
        ("models/net/blocks/1/name", "x", "models.net.blocks[1].name", "'out'"),
        ("models/net/blocks/0/bytes", 7, "models.net.blocks[0].bytes", "1000"),
        ("models/net/blocks/1/bytes", 7, "models.net.blocks[1].bytes", "500"),
        ("models/net/blocks/1/content", B, "models.net.blocks[1].content", "'none'"),
        ("models/net/blocks/0/content", B, "models.net.blocks[0].content", "aaa"),
        ("models/net/blocks/0/tensors", 3, "models.net.blocks[0].tensors", "found 3"),
        ("models/net/dtype", "float32", "models.net.dtype", "'float16'"),
        ("models/net/latency_mode", "eager", "models.net.latency_mode", "'graph'"),
        ("models/net/latency_mode", None, "models.net.latency_mode", "found 'none'"),
        ("models/net/latency_from", "x", "models.net.latency_from", "'none'"),
        ("models/net/overlap/batch", 1, "models.net.overlap.batch", "found 1"),
        ("models/net/overlap/copy_bytes", 1, "models.net.overlap.copy_bytes", "1500"),
    ],
)
def test_what_is_no_separate_run_is_refused(
    path: str, value: Any, where: str, what: str
) -> None:
    """The file, the key and both values are named."""
    second = document(2.0)
    *parents, last = path.split("/")
    place: Any = second
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    if value is None:
        del place[last]
    line = refusal(document(), second)
    assert line.startswith(f"b.json: {where}: must be that of a.json")
    assert what in line


def test_other_refusals() -> None:
    """Unmeasured numbers, too few files, fewer blocks, one run twice, mixed tiers."""
    published = document(2.0) | {
        "provenance": {"kind": "published", "device": "a GPU", "citation": "c"}
    }
    assert refusal(document(), published) == (
        "b.json: provenance.kind: must be 'measured' to be merged, found 'published'"
    )
    assert "a.json: must be two runs or more, found 1" in refusal(document())
    second = document(2.0)
    del second["models"]["net"]["blocks"][1]
    line = refusal(document(), second)
    assert "b.json: models.net.blocks: must be that of a.json, '2 blocks'" in line
    assert "found '1 block'" in line
    line = refusal(document(), document(2.0), document() | {"name": "copy"})
    assert line.startswith("c.json: models: must be of a separate run")
    assert line.endswith("the very numbers of a.json")
    first = document()
    for block in first["models"]["net"]["blocks"]:
        block["load_s"]["disk"] = time(1.0)
    line = refusal(first, other("late", document(2.0), B))
    assert line.startswith("b.json: models.late.blocks[1].load_s: would have the tiers")
    second = other("late", document(2.0), B)
    second["models"]["late"]["blocks"][0]["bytes"] = 999
    line = refusal(document(), second)
    assert line.startswith("b.json: models.late.blocks[0].bytes: must be that of a")


def written(folder: Path, **documents: dict[str, Any]) -> list[Path]:
    """Write profile files."""
    files = []
    for name, of in documents.items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(of))
    return files


def test_command_merges_files(tmp_path: Path) -> None:
    """The file reads back as the merged value; tables are printed, losses told."""
    second = document(2.0)
    second["copies"].append({"bytes": 9000, "load_s": {"pinned": time(9.0)}})
    files = written(tmp_path, one=document(), two=second, three=document(4.0))
    out = tmp_path / "lab.json"
    finished = edgesim("profile", "merge", *files, "--out", out, "--note", "Mine")
    assert finished.code == 0, finished.err
    assert finished.err == (
        "warning: copies of 9000 bytes left out: not all runs hold them\n"
    )
    runs = {str(file): read_profile(file) for file in files}
    assert read_profile(out) == merge_profiles(runs, "lab", "Mine").profile
    assert finished.out.rstrip("\n") in describe(read_profile(out), ["pinned"])
    # From 1 to 4 times as slow, the median being 2.
    row = next(
        line
        for line in finished.out[finished.out.index("merged runs:") :].splitlines()
        if line.startswith("net ")
    )
    assert re.split(r"\s{2,}", row) == [
        "net",
        "3",
        "150.0 %",
        "150.0 %",
        "150.0 %",
        "4",
    ]
    named = edgesim("profile", "merge", *files, "--out", out, "--name", "other")
    assert named.code == 0
    assert read_profile(out).name == "other"


def test_command_refuses(tmp_path: Path) -> None:
    """One line each, exit 2, and no file is written or replaced."""
    files = written(tmp_path, one=document(), two=document(2.0))
    for words, what in (
        ([*files, "--out", files[0]], "would replace the input"),
        (
            [*files, "--out", tmp_path / "x.txt"],
            "--out: must be a file ending in .json",
        ),
        ([*files, "--out", tmp_path / "x.json", "--note", " "], "--note: must not be"),
        ([*files, "--out", tmp_path / "x.json", "--name", ""], "--name: must not be"),
        ([files[0], "--out", tmp_path / "x.json"], "must be two runs or more, found 1"),
        ([files[0], files[0], "--out", tmp_path / "x.json"], "is given twice"),
        ([files[0], "clockwork-v100", "--out", tmp_path / "x.json"], "'published'"),
        ([files[0], "nothing.json", "--out", tmp_path / "x.json"], "no such file"),
    ):
        finished = edgesim("profile", "merge", *words)
        assert (finished.code, finished.out) == (2, ""), words
        assert what in finished.err
        assert len(finished.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]
    assert read_profile(files[0]) == profile(document())
