"""``edgesim profile show``: numbers by hand, words, and what the picture holds."""

from __future__ import annotations

import copy
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from edgesim.library.profile_text import compare, describe, run_labels
from edgesim.plotting.profile import (
    MOST_MODELS,
    plot_copies,
    plot_load_compute,
    profile_figure,
)
from edgesim.plotting.style import save, style
from edgesim.profile.summary import (
    added_up,
    host_bound,
    merged_load,
    model_facts,
    run_count,
    runs_of,
    tiers_of,
)
from edgesim.profile.values import Profile, Tier
from tests.command import edgesim
from tests.plotting.test_style import assert_nothing_cut_off

A = "ab" * 8


def seconds(value: float) -> dict[str, float]:
    """Make a timing."""
    return {"median_s": value}


MEASURED: dict[str, Any] = {
    "schema": "edgesim.profile/3",
    "name": "lab",
    "provenance": {
        "kind": "measured",
        "device": "a GPU",
        "driver": "550.1",
        "versions": {"torch": "2.13.0", "cuda": "12.8"},
        "date": "2025-01-31",
        "command": "edgesim profile measure timm:x --out lab.json",
        "copy_bytes_per_s": {"pinned": 1e10},
        "machine": {"cores": "16"},
        "note": "by hand",
    },
    "models": {
        "net": {
            "blocks": [
                {
                    "name": "in",
                    "bytes": 20_000_000,
                    "load_s": {"pinned": seconds(2.5e-3), "disk": seconds(20e-3)},
                    "content": A,
                },
                {
                    "name": "out",
                    "bytes": 30_000_000,
                    "load_s": {"pinned": seconds(3.5e-3), "disk": seconds(30e-3)},
                },
            ],
            "latency_s": {"1": seconds(2e-3), "2": 3e-3, "8": 9e-3},
            "activation_bytes": {"1": 4_000_000, "2": 8_000_000, "8": 32_000_000},
            "by_block_load_s": {"pinned": seconds(5e-3)},
            "whole_load_s": {"pinned": seconds(8e-3), "disk": seconds(40e-3)},
            "by_tensor_load_s": {"pinned": seconds(9e-3)},
        },
        "bare": {
            "blocks": [
                {
                    "name": "only",
                    "bytes": 20_000_000,
                    "load_s": {"pinned": seconds(2.5e-3), "disk": seconds(20e-3)},
                    "content": A,
                }
            ]
        },
    },
    "copies": [
        {"bytes": 1_000_000, "load_s": {"pinned": seconds(1.1e-4)}},
        {"bytes": 10_000_000, "load_s": {"pinned": seconds(1.01e-3)}},
    ],
}


def lab(**changes: float) -> Profile:
    """Make the measured profile, its first model slower by a factor."""
    document = copy.deepcopy(MEASURED)
    del document["schema"]
    net = document["models"]["net"]
    net["latency_s"] = {
        batch: (
            seconds(value["median_s"] * changes.get("latency", 1.0))
            if isinstance(value, dict)
            else value
        )
        for batch, value in net["latency_s"].items()
    }
    out = net["blocks"][1]["load_s"]["pinned"]
    out["median_s"] += changes.get("load_s", 0.0)
    return Profile.model_validate(document)


def written(path: Path, profile: Profile) -> Path:
    """Write a profile file."""
    path.write_text(json.dumps(profile.document()))
    return path


def row(text: str, table: str, model: str) -> str:
    """Find a model's row below the title that begins so, cells a blank apart."""
    lines = text[text.index(table) :].splitlines()
    found = next(line for line in lines if line.split(" ")[0] == model)
    return " ".join(found.split())


def test_facts_of_a_model_by_hand() -> None:
    """Sums of medians, first and last batch, load over compute of a batch of 1."""
    net = model_facts(lab(), "net")
    assert (net.blocks, net.bytes) == (2, 50_000_000)
    assert net.load_s == pytest.approx({"pinned": 6e-3, "disk": 50e-3})
    assert net.batches == (1, 8)
    assert net.latency_s == (2e-3, 9e-3)
    assert net.activation_bytes == (4_000_000, 32_000_000)
    assert net.load_per_compute("pinned") == pytest.approx(3.0)
    assert net.load_per_compute("pageable") is None
    bare = model_facts(lab(), "bare")
    assert (bare.latency_s, bare.batches, bare.activation_bytes) == (None, None, None)
    assert bare.load_per_compute("pinned") is None


def test_additive_error_by_hand() -> None:
    """6 ms added up are 20 % above 5, 25 % below 8, and 83 % of 10 GB/s."""
    found = added_up(lab(), "net", "pinned")
    assert found.by_block_error == pytest.approx(0.2)
    assert found.whole_error == pytest.approx(-0.25)
    assert found.by_tensor_s == 9e-3
    assert found.of_copy_rate == pytest.approx(50e6 / 6e-3 / 1e10)
    disk = added_up(lab(), "net", "disk")
    assert disk.whole_error == pytest.approx(0.25)
    assert (disk.by_block_error, disk.of_copy_rate) == (None, None)
    nothing = added_up(lab(), "bare", "pageable")
    assert (nothing.added_s, nothing.whole_error) == (None, None)


def test_words_of_a_measured_profile() -> None:
    """Each number stands in its column; what is not known is a dash, never 0."""
    text = describe(lab(), tiers_of(lab()))
    assert text.splitlines()[0] == "lab: measured"
    for words in ("a GPU", "550.1", "torch 2.13.0; cuda 12.8", "cores 16", "by hand"):
        assert words in text
    assert "2025-01-31" in text
    assert "edgesim profile measure timm:x --out lab.json" in text
    assert row(text, "models:", "net") == (
        "net 2 50.0 6.00 50.0 2.00 9.00 (8) 3.0 4.00 to 32.0"
    )
    assert row(text, "models:", "bare") == "bare 1 20.0 2.50 20.0 – – – –"
    assert row(text, "loads from pinned memory:", "net") == (
        "net 6.00 5.00 +20.0 % 8.00 -25.0 % 9.00 83.3 %"
    )
    assert row(text, "loads from disk:", "net") == ("net 50.0 – – 40.0 +25.0 % – –")
    # The line through 0.11 ms at 1 MB and 1.01 ms at 10 MB, by hand.
    assert "takes 10.0 µs + bytes / 10.0 GB/s (fitted to 2 plain copies" in text
    assert "a plain large copy from pinned memory runs at 10.0 GB/s" in text
    assert "from disk takes 0 µs + bytes / 1.00 GB/s (fitted to 2 distinct" in text


def test_words_on_sharing() -> None:
    """70 MB in three blocks, 50 MB in the two distinct ones; crossings are named."""
    text = describe(lab(), ["pinned"])
    assert (
        "sharing: 2 distinct blocks of 3, 50.0 MB distinct of 70.0 MB "
        "(sharing saves 28.6 %), laminar"
    ) in text
    document = MEASURED | {"models": copy.deepcopy(MEASURED["models"])}
    del document["schema"]
    other = copy.deepcopy(document["models"]["net"]["blocks"][0]) | {
        "content": "c" * 16
    }
    document["models"]["net"]["blocks"].append(other | {"name": "third"})
    document["models"]["late"] = {"blocks": [other]}
    crossing = describe(Profile.model_validate(document), ["pinned"])
    assert "crossing: blocks" in crossing
    assert "disk" not in row(text, "models:", "model")


def detailed() -> Profile:
    """Give the measured profile all that version 3 adds, numbers made by hand."""
    document = copy.deepcopy(MEASURED)
    del document["schema"]
    document["round_s"] = seconds(3.5e-5)
    small, large = document["copies"]
    small["chained_s"] = {"pinned": seconds(1.02e-4)}
    large["chained_s"] = {"pinned": seconds(1.002e-3)}
    net, bare = document["models"]["net"], document["models"]["bare"]
    net |= {
        "latency_mode": "graph",
        # 2.5, 1.1 and 1 times the graph's time.
        "eager_latency_s": {
            "1": seconds(5e-3),
            "2": seconds(3.3e-3),
            "8": seconds(9e-3),
        },
        "overlap": {
            "batch": 8,
            "passes": 3,
            "copy_bytes": 50_000_000,
            "copy_s": 8e-3,
            "copy_beside_s": 10e-3,
            "batches_s": 20e-3,
            "batches_beside_s": 21e-3,
        },
    }
    net["by_block_load_s"]["pinned"] |= {"runs_s": [4e-3, 5e-3, 6e-3]}
    net["latency_s"]["1"] |= {"runs_s": [1.9e-3, 2e-3, 2.1e-3]}
    net["latency_s"]["8"] = {"median_s": 9e-3, "runs_s": [9e-3, 9e-3, 9e-3]}
    runs = {
        "pinned": {"median_s": 2.5e-3, "runs_s": [2e-3, 2.5e-3, 4e-3]},
        "disk": {"median_s": 20e-3, "runs_s": [15e-3, 25e-3]},
    }
    net["blocks"][0]["load_s"] = bare["blocks"][0]["load_s"] = runs
    return Profile.model_validate(document)


def test_words_of_version_3() -> None:
    """Chains, bounds, overlap, merged runs and the empty round, each by hand."""
    text = describe(detailed(), ["pinned", "disk"])
    # 102 µs in a chain, of which 1 MB at 10 GB/s is 100; 10 MB is no small copy.
    head = row(text, "small copies:", "size")
    assert head == "size pinned alone µs in a chain µs beyond bytes µs"
    assert row(text, "small copies:", "1.00") == "1.00 MB 110 102 2.00"
    assert "10 MB" not in text[text.index("small copies:") :]
    assert row(text, "host or GPU:", "net") == "net 5.00 2.00 1"
    assert row(text, "overlap:", "net") == (
        "net 50.0 8.00 10.0 +25.0 % 3 x 8 20.0 21.0 +5.0 %"
    )
    # Block by block, 4 to 6 of 5 ms; nobody knows runs of both blocks from disk.
    assert row(text, "merged runs:", "net") == "net 1 40.0 % – 10.0 % 0.0 % 8"
    # Its block alone: 2 to 4 of 2.5 ms, 15 to 25 of 20 ms; 3 runs at most.
    assert row(text, "merged runs:", "bare") == "bare 3 80.0 % 50.0 % – – –"
    assert "a round takes 35.0 µs beyond its load and its batch" in text
    assert "batches were replayed as captured CUDA graphs: net" in text
    assert text.index("overlap:") < text.index("a copy from pinned memory takes")
    assert "overlap:" not in describe(detailed(), ["disk"])


def test_words_of_version_3_stand_only_where_it_holds_something() -> None:
    """A profile without the new keys says nothing of them, and leaves no gap."""
    text = describe(lab(), ["pinned", "disk"])
    for words in ("small copies", "host or GPU", "overlap:", "merged runs", "a round"):
        assert words not in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("eager_ms", "up_to", "cell"),
    [
        ({"1": 2.4, "2": 9.0}, None, "none"),
        ({"1": 2.41, "2": 9.0, "8": 9.1}, 2, "2"),
        ({"1": 5.0, "2": 9.0}, 2, "all (to 2)"),
        ({"2": 9.0, "8": 9.0}, 2, "2"),
    ],
)
def test_the_host_bounds_small_batches(
    eager_ms: dict[str, float], up_to: int | None, cell: str
) -> None:
    """More than 1.2 times the graph's 2, 3 and 9 ms, from the smallest batch on."""
    document = copy.deepcopy(MEASURED)
    del document["schema"]
    net = document["models"]["net"]
    net["latency_mode"] = "graph"
    net["eager_latency_s"] = {b: seconds(ms / 1e3) for b, ms in eager_ms.items()}
    profile = Profile.model_validate(document)
    found = host_bound(profile, "net")
    assert found is not None
    assert found.up_to == up_to
    assert found.graph_s == 2e-3
    assert row(describe(profile, ["pinned"]), "host or GPU:", "net").endswith(cell)
    net["latency_mode"] = "eager"
    assert host_bound(Profile.model_validate(document), "net") is None


def test_runs_of_blocks_are_added_up_run_by_run() -> None:
    """2 + 1 ms, 3 + 3 ms, 4 + 2 ms: medians would add up to 5, runs to 3, 6, 6."""
    document = copy.deepcopy(MEASURED)
    del document["schema"]
    net = document["models"]["net"]
    del net["by_block_load_s"]
    del net["blocks"][0]["content"]
    for block, runs in zip(
        net["blocks"], ([2.0, 3.0, 4.0], [1.0, 3.0, 2.0]), strict=True
    ):
        block["load_s"]["pinned"] = {
            "median_s": sorted(runs)[1] / 1e3,
            "runs_s": [ms / 1e3 for ms in runs],
        }
    model = Profile.model_validate(document).models["net"]
    found = merged_load(model, "pinned")
    assert found is not None
    assert (found.median, found.spread) == pytest.approx((6e-3, 0.5))
    assert merged_load(model, "disk") is None
    assert merged_load(model, "pageable") is None
    assert run_count(model) == 3


def test_published_and_synthetic_are_named_first() -> None:
    """The first line says plainly that nobody measured these numbers here."""
    first = {
        name: edgesim("profile", "show", name).out.splitlines()[0]
        for name in ("clockwork-v100", "synthetic-lora")
    }
    assert first["clockwork-v100"].endswith("published by others, not measured here")
    assert "synthetic" in first["synthetic-lora"]
    assert "nobody measured" in first["synthetic-lora"]


def test_spread_between_runs_by_hand() -> None:
    """(highest − lowest) / median, of loads and latencies, for models of all runs."""
    assert runs_of([2.0, 1.0, 4.0]) is not None
    assert runs_of([2.0, None]) is None
    assert runs_of([]) is None
    runs = {
        "one": lab(),
        "two": lab(load_s=1e-3, latency=1.5),
        "three": lab(load_s=3e-3, latency=2.0),
    }
    extra = runs["three"].model_copy(
        update={"models": runs["three"].models | {"late": runs["one"].models["bare"]}}
    )
    text = compare(runs | {"three": extra}, ["pinned"])
    # Loads 6, 7, 9 ms; batches of 1: 2, 3, 4 ms; of 8: 9 ms always.
    assert row(text, "3 runs", "net") == ("net 7.00 42.9 % 3.00 66.7 % 9.00 0.0 % 8")
    assert row(text, "3 runs", "bare") == "bare 2.50 0.0 % – – – – –"
    assert "only in three: late" in text
    assert "not one device" not in text


def test_runs_of_different_devices_are_told_apart() -> None:
    """A spread over devices, or over measured and published, is said to be one."""
    published = Profile.model_validate(
        {k: v for k, v in MEASURED.items() if k != "schema"}
        | {
            "provenance": {
                "kind": "published",
                "device": "another GPU",
                "citation": "a paper",
            }
        }
    )
    text = compare({"a": lab(), "b": published}, ["pinned"])
    assert "not one device (a GPU; another GPU)" in text
    assert "not one kind of numbers (measured, published)" in text


def test_command_compares_files_and_draws(tmp_path: Path) -> None:
    """Several files are shown one after the other, compared and drawn together."""
    files = [
        written(tmp_path / "a.json", lab()),
        written(tmp_path / "b.json", lab(load_s=1e-3)),
    ]
    out = tmp_path / "p.png"
    finished = edgesim("profile", "show", *files, "--tier", "pinned", "--out", out)
    assert finished.code == 0, finished.err
    assert finished.out.count("lab: measured") == 2
    assert "2 runs (a, b)" in finished.out
    assert "from disk" not in finished.out
    assert out.read_bytes().startswith(b"\x89PNG")
    again = edgesim("profile", "show", *files, "--tier", "pinned")
    assert again.out == finished.out


def test_files_are_called_by_their_names() -> None:
    """Bare names, or whole paths where two are the same."""
    assert run_labels(["x/a.json", "b.json", "clockwork-v100"]) == [
        *("a", "b", "clockwork-v100"),
    ]
    assert run_labels(["1/a.json", "2/a.json"]) == ["1/a.json", "2/a.json"]


def test_command_refuses(tmp_path: Path) -> None:
    """Unknown tier, tier that nobody holds, other pictures, the input as output."""
    file = written(tmp_path / "a.json", lab())
    for words, what in (
        (["--tier", "tape"], "--tier: must be one of pinned, pageable, disk"),
        (["--tier", "pageable"], "must be a tier that is held (pinned, disk)"),
        (["--out", "p.docx"], "--out: must end in .png"),
        ([file], "is given twice"),
    ):
        finished = edgesim("profile", "show", file, *words)
        assert (finished.code, finished.out) == (2, "")
        assert what in finished.err
        assert len(finished.err.splitlines()) == 1
    png = tmp_path / "a.png"
    png.write_bytes(file.read_bytes())
    finished = edgesim("profile", "show", png, "--out", png)
    assert finished.code == 2
    assert "must be a new file or a PNG picture" in finished.err
    finished = edgesim("profile", "show", "clockwork")
    assert finished.code == 2
    assert "clockwork-v100" in finished.err


def test_names_cannot_break_the_output() -> None:
    """A profile of somebody else's with control characters in its names stays words."""
    document = copy.deepcopy(MEASURED)
    del document["schema"]
    document["name"] = "evil\x1b[2J\nname"
    document["provenance"]["device"] = "GPU\x07\r"
    document["models"]["bad\n\x1b[31mname"] = document["models"]["bare"]
    text = describe(Profile.model_validate(document), ["pinned"])
    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert text.splitlines()[0] == "evil [2J name: measured"
    assert any(line.startswith("bad [31mname") for line in text.splitlines())


def test_load_and_compute_are_drawn_for_each_model() -> None:
    """A row a model in the profile's order, marks at its times, nothing for unknown."""
    ax = plot_load_compute({"lab": lab()}, ["pinned", "disk"])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["net", "bare"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first model on top
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "time (ms)"
    marks = {
        str(line.get_label()): (
            np.asarray(line.get_xdata()).tolist(),
            np.asarray(line.get_ydata()).tolist(),
        )
        for line in ax.get_lines()
    }
    assert marks["load, pinned"] == (pytest.approx([6.0, 2.5]), [0, 1])
    assert marks["load, disk"] == (pytest.approx([50.0, 20.0]), [0, 1])
    assert marks["compute, batch of 1"] == (pytest.approx([2.0]), [0])


def test_every_run_has_its_mark() -> None:
    """Two runs of a model are two marks in one row."""
    ax = plot_load_compute({"a": lab(), "b": lab(load_s=1e-3)}, ["pinned"])
    (line,) = [x for x in ax.get_lines() if x.get_label() == "load, pinned"]
    assert np.asarray(line.get_xdata()).tolist() == pytest.approx([6.0, 7.0, 2.5, 2.5])
    assert np.asarray(line.get_ydata()).tolist() == [0, 0, 1, 1]


def test_copies_are_drawn_with_their_line() -> None:
    """Blocks, copies and the line of the fit, on log axes with units."""
    ax = plot_copies({"lab": lab()}, ["pinned"])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "load time (ms)"
    blocks, copies, line = ax.get_lines()
    assert np.asarray(blocks.get_xdata()).tolist() == [20_000_000, 30_000_000]
    assert np.asarray(copies.get_ydata()).tolist() == pytest.approx([0.11, 1.01])
    assert line.get_label() == "pinned: 10.0 µs + bytes / 10.0 GB/s"
    sizes = np.asarray(line.get_xdata())
    assert (sizes[0], sizes[-1]) == pytest.approx((1_000_000, 30_000_000))
    assert np.asarray(line.get_ydata()) == pytest.approx(1e3 * (1e-5 + sizes / 1e10))
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][1:] == [
        "block",
        "plain copy",
    ]


def many(
    count: int, tiers: tuple[Tier, ...] = ("pinned", "pageable", "disk")
) -> Profile:
    """Make a profile of many models with long names."""
    rng = np.random.default_rng(count)
    return Profile.model_validate(
        {
            "name": "many",
            "provenance": {"kind": "synthetic", "device": "d" * 200, "method": "m"},
            "models": {
                f"organisation/a-model-of-a-rather-long-name-{i:03}": {
                    "blocks": [
                        {
                            "name": "b",
                            "bytes": int(size),
                            "load_s": {
                                tier: seconds(float(size) / 10 ** (10 - place))
                                for place, tier in enumerate(tiers)
                            },
                        }
                    ],
                    "latency_s": {"1": 1e-3 * (1 + i)},
                }
                for i, size in enumerate(10 ** rng.uniform(4, 9, count))
            },
        }
    )


def labels_apart(figure: Figure) -> bool:
    """Whether no two names of models overlap."""
    boxes = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    boxes.sort(key=lambda box: cast("float", box.y0))
    return all(low.y1 <= high.y0 for low, high in pairwise(boxes))


@pytest.mark.parametrize("count", [1, 2, 12, 40])
def test_pictures_are_readable_from_1_to_40_models(count: int, tmp_path: Path) -> None:
    """Nothing is cut off, and no name touches another."""
    figure = profile_figure({"many": many(count)}, ["pinned", "pageable", "disk"])
    assert_nothing_cut_off(figure)
    save(figure, tmp_path / "p.png")
    with style():
        figure.draw_without_rendering()
        names = {t.get_text() for t in figure.axes[0].get_yticklabels()}
        assert len(names) == count
        assert labels_apart(figure)
    assert figure.get_suptitle().endswith("(synthetic)")


def test_a_picture_of_zeros_and_gaps_is_drawn(tmp_path: Path) -> None:
    """Times of 0 s and models without latency have no place on log axes."""
    profile = Profile.model_validate(
        {
            "name": "zero",
            "provenance": {"kind": "synthetic", "device": "d", "method": "m"},
            "models": {
                "m": {
                    "blocks": [
                        {"name": "b", "bytes": 1, "load_s": {"pinned": seconds(0.0)}}
                    ]
                }
            },
        }
    )
    figure = profile_figure({"zero": profile}, ["pinned"])
    save(figure, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert "fitted" not in describe(profile, ["pinned"])


def test_too_many_models_for_a_picture(tmp_path: Path) -> None:
    """The cap is stated, and no file is left behind."""
    file = written(tmp_path / "m.json", many(MOST_MODELS + 1, ("pinned",)))
    finished = edgesim("profile", "show", file, "--out", tmp_path / "p.png")
    assert finished.code == 2
    assert f"at most {MOST_MODELS} models, found {MOST_MODELS + 1}" in finished.err
    assert not (tmp_path / "p.png").exists()


def test_same_profile_same_picture(tmp_path: Path) -> None:
    """Two pictures of one profile are the same bytes."""
    for name in ("one.png", "two.png"):
        save(profile_figure({"lab": lab()}, ["pinned"]), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
