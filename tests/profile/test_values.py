"""Device profiles: what is accepted, and what is refused."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgesim.errors import InputError
from edgesim.profile.file import read_profile, write_profile
from edgesim.profile.values import (
    Measured,
    Profile,
    Timing,
)

SMALL: dict[str, Any] = {
    "schema": "edgesim.profile/3",
    "name": "small",
    "provenance": {
        "kind": "measured",
        "device": "a GPU",
        "driver": "1.2",
        "versions": {"torch": "2.0"},
        "date": "2024-02-29",
        "command": "edgesim profile measure small.toml",
    },
    "models": {
        "net": {
            "blocks": [
                {
                    "name": "stem",
                    "bytes": 1000,
                    "load_s": {
                        "pinned": {"median_s": 2e-6, "p10_s": 1e-6, "p90_s": 4e-6},
                        "disk": {"median_s": 1e-3},
                    },
                },
                {
                    "name": "head",
                    "bytes": 500,
                    "load_s": {
                        "disk": {"median_s": 5e-4},
                        "pinned": {"median_s": 1e-6},
                    },
                },
            ],
            "latency_s": {"1": 0.001, "8": 0.005, "2": 0.0015},
            "activation_bytes": {"1": 10, "2": 20, "8": 80},
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Copy SMALL with one place changed; None removes it."""
    document = copy.deepcopy(SMALL)
    *parents, last = path.split("/")
    place: Any = document
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def _profile(document: dict[str, Any]) -> Profile:
    return Profile.model_validate({k: v for k, v in document.items() if k != "schema"})


def written(tmp_path: Path, document: Any) -> Path:
    """Write a profile file."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(document))
    return path


def test_reads_a_whole_profile_and_writes_it_back(tmp_path: Path) -> None:
    """A file survives being read and dumped, key for key."""
    profile = read_profile(written(tmp_path, SMALL))
    assert profile.document() == SMALL
    assert isinstance(profile.provenance, Measured)
    assert set(profile.models["net"].tiers) == {"pinned", "disk"}


def test_latency_is_padded_to_the_next_measured_batch() -> None:
    """Batches 3 to 7 cost what 8 costs, whatever the order of the keys."""
    profile = _profile(SMALL)
    padded = (0.001, 0.0015, *[0.005] * 6)
    assert profile.latency_table("net") == padded
    assert profile.activation_table("net") == (10, 20, *[80] * 6)


def test_activation_table_is_optional() -> None:
    """A profile without activation bytes gives None and not zeros."""
    bare = changed("models/net/activation_bytes", None)
    assert _profile(bare).activation_table("net") is None


def test_spread_reproduces_the_deciles() -> None:
    """A lognormal with that sigma has p90 / p10 = 4; no deciles, no spread."""
    profile = _profile(SMALL)
    stem, head = profile.models["net"].blocks[:2]
    sigma = stem.load_s["pinned"].spread
    assert sigma is not None
    assert math.exp(2 * 1.2815515655446004 * sigma) == pytest.approx(4, rel=1e-12)
    assert sigma == pytest.approx(0.5408656, rel=1e-6)
    assert head.load_s["pinned"].spread is None
    assert stem.load_s["disk"].spread is None


def test_half_known_deciles_give_no_spread() -> None:
    """One decile alone, or a decile of 0 s, says nothing about sigma."""
    assert Timing(median_s=2.0, p90_s=3.0).spread is None
    assert Timing(median_s=2.0, p10_s=0.0, p90_s=3.0).spread is None
    assert Timing(median_s=2.0, p10_s=2.0, p90_s=2.0).spread == 0


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("schema", "edgesim.profile/4", "schema", "must be 'edgesim.profile/3', found"),
        ("schema", None, "schema", "required key is missing"),
        ("models", {}, "models", "must not be empty"),
        ("models/net/blocks", [], "models.net.blocks", "must not be empty"),
        ("models/net/latency_s/1", None, "models.net", "must hold batch size 1"),
        ("models/net/latency_s/0", 0.1, "models.net.latency_s.0", "pattern"),
        ("models/net/latency_s/99999", 0.1, "models.net.latency_s", "pattern"),
        ("models/net/latency_s/2", -1.0, "models.net.latency_s.2", "greater than"),
        ("models/net/activation_bytes/8", None, "models.net", "batch sizes of latency"),
        ("models/net/blocks/1/name", "stem", "models.net", "'stem' twice"),
        ("models/net/blocks/1/load_s/disk", None, "models.net", "blocks[1].load_s"),
        ("models/net/blocks/1/load_s/tape", {}, "models.net.blocks[1]", "'tape'"),
        ("models/net/blocks/0/bytes", 0, "models.net.blocks[0].bytes", "greater than"),
        ("models/net/blocks/0/bytes", "9", "models.net.blocks[0].bytes", "integer"),
        (
            "models/net/blocks/0/load_s/pinned/p10_s",
            3e-6,
            "models.net.blocks[0].load_s.pinned",
            "p10_s <= median_s <= p90_s",
        ),
        (
            "models/net/blocks/0/load_s/pinned/p90_s",
            1.5e-6,
            "models.net.blocks[0].load_s.pinned",
            "p10_s <= median_s <= p90_s",
        ),
        ("models/net/lora", {"layer_prefix": "x", "bytes_per_rank": {"q": 1}}, "", "x"),
        ("models/net/typo", 1, "models.net.typo", "unknown key"),
        ("provenance/kind", "guessed", "provenance", "kind must be one of 'measured'"),
        ("provenance/kind", None, "provenance", "it is missing"),
        ("provenance/driver", None, "provenance.driver", "required key is missing"),
        ("provenance/date", "yesterday", "provenance.date", "pattern"),
        ("provenance/citation", "x", "provenance.citation", "unknown key"),
    ],
)
def test_refuses_what_the_format_does_not_allow(
    tmp_path: Path, path: str, value: Any, where: str, what: str
) -> None:
    """Each fault is refused with the key path that the file has, and the reason."""
    file = written(tmp_path, changed(path, value))
    with pytest.raises(InputError) as caught:
        read_profile(file)
    assert caught.value.where.startswith(f"{file}: {where}".rstrip(": "))
    assert what in caught.value.what


VERSION_1: dict[str, Any] = SMALL | {"schema": "edgesim.profile/1"}


def test_version_1_reads_and_means_the_same(tmp_path: Path) -> None:
    """A file of version 1 gives the very profile that the same keys give in 2."""
    first = read_profile(written(tmp_path, VERSION_1))
    assert first == _profile(SMALL)
    assert first.document()["schema"] == "edgesim.profile/3"
    assert not first.shares_content
    assert first.copies is None
    assert first.latency_table("net")[2] == 0.005
    assert first.latency_spread("net") is None


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("copies", [], "copies"),
        ("provenance/machine", {"cores": "2"}, "provenance.machine"),
        ("models/net/architecture", "timm:x", "models.net.architecture"),
        ("models/net/input", "3x8x8", "models.net.input"),
        ("models/net/dtype", "float32", "models.net.dtype"),
        ("models/net/by_block_load_s", {}, "models.net.by_block_load_s"),
        ("models/net/latency_from", "other", "models.net.latency_from"),
        ("models/net/latency_s/8", {"median_s": 1.0}, "models.net.latency_s.8"),
        ("models/net/latency_s", {}, "models.net.latency_s"),
        ("models/net/latency_s", None, "models.net.latency_s"),
        ("models/net/blocks/1/content", "ab" * 8, "models.net.blocks[1].content"),
        ("models/net/blocks/0/tensors", 3, "models.net.blocks[0].tensors"),
    ],
)
def test_version_1_holds_nothing_of_version_2(
    tmp_path: Path, path: str, value: Any, key: str
) -> None:
    """What only version 2 gives a meaning is refused by its key, never guessed."""
    file = written(tmp_path, changed(path, value) | {"schema": "edgesim.profile/1"})
    with pytest.raises(InputError) as caught:
        read_profile(file)
    assert caught.value.where == f"{file}: {key}"


OVERLAP: dict[str, Any] = {
    "batch": 8,
    "passes": 5,
    "copy_bytes": 1500,
    "copy_s": 2e-3,
    "copy_beside_s": 2.5e-3,
    "batches_s": 4e-3,
    "batches_beside_s": 4.4e-3,
}
RUNS = {"median_s": 2e-6, "runs_s": [1e-6, 2e-6, 4e-6]}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("round_s", {"median_s": 1e-5}, "round_s"),
        ("models/net/latency_mode", "graph", "models.net.latency_mode"),
        ("models/net/eager_latency_s", {}, "models.net.eager_latency_s"),
        ("models/net/overlap", OVERLAP, "models.net.overlap"),
        (
            "models/net/blocks/1/load_s/pinned",
            RUNS,
            "models.net.blocks[1].load_s.pinned.runs_s",
        ),
        (
            "models/net/whole_load_s",
            {"disk": RUNS},
            "models.net.whole_load_s.disk.runs_s",
        ),
    ],
)
def test_earlier_versions_hold_nothing_of_version_3(
    tmp_path: Path, version: int, path: str, value: Any, key: str
) -> None:
    """What only version 3 gives a meaning is refused by its key in 1 and in 2."""
    document = changed(path, value) | {"schema": f"edgesim.profile/{version}"}
    with pytest.raises(InputError) as caught:
        read_profile(written(tmp_path, document))
    assert caught.value.where.startswith(f"{tmp_path / 'p.json'}: {key}")
    assert "must have the schema 'edgesim.profile/3'" in caught.value.what


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("copies/0/chained_s", {"pinned": {"median_s": 1e-9}}, "copies[0].chained_s"),
        ("copies/0/load_s/pinned", RUNS, "copies[0].load_s.pinned.runs_s"),
        ("models/net/latency_s/8", RUNS, "models.net.latency_s.8.runs_s"),
        ("models/net/blocks/0/copies", 2, "models.net.blocks[0].copies"),
        (
            "models/net/lora",
            {"layer_prefix": "s", "bytes_per_rank": {"q": 1}, "copies": {"q": 2}},
            "models.net.lora.copies",
        ),
    ],
)
def test_version_2_is_read_without_version_3(
    tmp_path: Path, path: str, value: Any, key: str
) -> None:
    """A file of version 2 means the same as in 3, and holds no more than 2 has."""
    document = SMALL | {"copies": ladder(4, 9), "schema": "edgesim.profile/2"}
    assert read_profile(written(tmp_path, document)).document() == document | {
        "schema": "edgesim.profile/3"
    }
    *parents, last = path.split("/")
    document = copy.deepcopy(document)
    place: Any = document
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    with pytest.raises(InputError) as caught:
        read_profile(written(tmp_path, document))
    assert caught.value.where == f"{tmp_path / 'p.json'}: {key}"


def test_names_of_models_are_no_keys_of_a_version(tmp_path: Path) -> None:
    """A model of version 2 may be called as a key of version 3 is."""
    document = SMALL | {"schema": "edgesim.profile/2"}
    document["models"] = {"overlap": SMALL["models"]["net"]}
    assert list(read_profile(written(tmp_path, document)).models) == ["overlap"]


def full() -> dict[str, Any]:
    """Give SMALL all that version 3 adds."""
    document = changed("round_s", {"median_s": 2e-4, "p10_s": 1e-4, "p90_s": 3e-4})
    copies = ladder(4, 9)
    copies[0]["chained_s"] = {"pinned": {"median_s": 3e-9}}
    document["copies"] = copies
    net = document["models"]["net"]
    net["blocks"][1]["load_s"]["pinned"] = copy.deepcopy(RUNS)
    net |= {
        "latency_mode": "graph",
        "eager_latency_s": {"1": {"median_s": 0.002}, "8": {"median_s": 0.0051}},
        "overlap": dict(OVERLAP),
    }
    return document


def test_version_3_survives_reading_and_writing(tmp_path: Path) -> None:
    """All new keys come back as they stood, from a file that edgesim wrote."""
    profile = read_profile(written(tmp_path, full()))
    assert profile.document() == full()
    write_profile(tmp_path / "again.json", profile)
    assert read_profile(tmp_path / "again.json") == profile
    net = profile.models["net"]
    assert net.latency_mode == "graph"
    assert net.overlap is not None
    assert net.overlap.passes == 5
    assert net.blocks[1].load_s["pinned"].runs_s == (1e-6, 2e-6, 4e-6)


def test_a_round_takes_its_batch_and_what_an_empty_one_takes() -> None:
    """0.2 ms on top of each batch, nothing where no empty round was measured."""
    profile = _profile(full())
    assert profile.round_overhead_s == 2e-4
    assert profile.round_table("net") == pytest.approx(
        (0.0012, 0.0017, *[0.0052] * 6), rel=1e-12
    )
    bare = _profile(SMALL)
    assert bare.round_overhead_s == 0
    assert bare.round_table("net") == bare.latency_table("net")


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("round_s", {"median_s": -1.0}, "round_s.median_s", "greater than or equal"),
        ("round_s", {"median_s": 2.0, "runs_s": [2.0]}, "round_s", "two runs or more"),
        ("round_s", {"median_s": 3.0, "runs_s": [1.0, 2.0]}, "round_s", "runs_s (1.5)"),
        ("round_s", {"median_s": 1.0, "runs_s": ["1", 1]}, "round_s.runs_s[0]", "numb"),
        (
            "copies/0/chained_s",
            {"disk": {"median_s": 1e-9}},
            "copies[0]",
            "no tier but those of load_s (pinned), found disk",
        ),
        ("copies/0/chained_s", {}, "copies[0].chained_s", "must not be empty"),
        ("models/net/latency_mode", "compiled", "models.net.latency_mode", "'graph'"),
        (
            "models/net/eager_latency_s/4",
            {"median_s": 1.0},
            "models.net",
            "no batch size but those of latency_s (1, 8, 2), found 4",
        ),
        (
            "models/net/eager_latency_s/8",
            {"median_s": 0.0},
            "models.net",
            "eager_latency_s.8.median_s must be greater than 0",
        ),
        ("models/net/overlap/batch", 0, "models.net.overlap.batch", "greater than"),
        ("models/net/overlap/passes", 0, "models.net.overlap.passes", "greater than"),
        ("models/net/overlap/copy_s", 0.0, "models.net.overlap.copy_s", "greater than"),
        ("models/net/overlap/copy_s", None, "models.net.overlap.copy_s", "missing"),
        ("models/net/blocks/0/copies", 0, "models.net.blocks[0].copies", "greater"),
        (
            "models/net/lora",
            {"layer_prefix": "s", "bytes_per_rank": {"q": 1}, "copies": {"k": 2}},
            "models.net.lora",
            "no targets but those of bytes_per_rank (q), found k",
        ),
        (
            "models/net/lora",
            {
                "layer_prefix": "s",
                "bytes_per_rank": {"q": 1},
                "adapter_load_s": {"8": {"pageable": {"median_s": 0.1}}},
            },
            "models.net",
            "lora.adapter_load_s.8 must hold the tiers of the blocks (pinned",
        ),
    ],
)
def test_refuses_what_version_3_does_not_allow(
    tmp_path: Path, path: str, value: Any, where: str, what: str
) -> None:
    """Each fault of a new key is refused at its key, with the reason."""
    document = full()
    *parents, last = path.split("/")
    place: Any = document
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    if value is None:
        del place[last]
    file = written(tmp_path, document)
    with pytest.raises(InputError) as caught:
        read_profile(file)
    assert caught.value.where == f"{file}: {where}"
    assert what in caught.value.what


@pytest.mark.parametrize("models", [None, [], {"net": []}, {"net": {"blocks": {}}}])
def test_version_1_of_a_wrong_form_is_refused(tmp_path: Path, models: Any) -> None:
    """The check of versions leaves wrong types to the format's own, without a crash."""
    with pytest.raises(InputError, match="models"):
        read_profile(written(tmp_path, VERSION_1 | {"models": models}))


def with_contents(*contents: str | None) -> dict[str, Any]:
    """Give SMALL a second model of the same blocks, and contents to all four."""
    document = copy.deepcopy(SMALL)
    document["models"]["twin"] = copy.deepcopy(document["models"]["net"])
    blocks = [b for model in document["models"].values() for b in model["blocks"]]
    for block, content in zip(blocks, contents, strict=True):
        if content is not None:
            block["content"] = content
    return document


A, B = "a" * 16, "b" * 64


def test_models_may_hold_the_same_content(tmp_path: Path) -> None:
    """Blocks of two models with one content, bytes and time are accepted as shared."""
    document = with_contents(A, B, A, None)
    profile = read_profile(written(tmp_path, document))
    assert profile.shares_content
    assert profile.document() == document


def test_same_content_needs_the_same_bytes_and_times(tmp_path: Path) -> None:
    """One content with two sizes or two load times is a contradiction, and named."""
    for key, value in (("bytes", 999), ("load_s", {"pinned": {"median_s": 9e-6}})):
        document = with_contents(A, None, A, None)
        document["models"]["twin"]["blocks"][0][key] = value
        if key == "load_s":
            document["models"]["twin"]["blocks"][1][key] = value
        with pytest.raises(InputError) as caught:
            read_profile(written(tmp_path, document))
        assert "models.twin.blocks[0] has the content of block 'stem' of 'net'" in str(
            caught.value
        )


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        ((A, A, None, None), "found that of 'stem'"),
        (("short", None, None, None), "pattern"),
        (("A" * 16, None, None, None), "pattern"),
    ],
)
def test_contents_must_be_distinct_hashes(
    tmp_path: Path, contents: tuple[str | None, ...], what: str
) -> None:
    """A model loads each content once, and a content is lower-case hexadecimal."""
    with pytest.raises(InputError, match=what):
        read_profile(written(tmp_path, with_contents(*contents)))


def ladder(*sizes: int) -> list[dict[str, Any]]:
    """Make copies of these sizes, a nanosecond a byte."""
    return [{"bytes": b, "load_s": {"pinned": {"median_s": b * 1e-9}}} for b in sizes]


def test_copies_must_grow(tmp_path: Path) -> None:
    """Sizes that repeat or shrink are refused; growing ones are read as they stand."""
    profile = read_profile(written(tmp_path, SMALL | {"copies": ladder(4, 9, 10)}))
    assert [copy.bytes for copy in profile.copies or ()] == [4, 9, 10]
    for sizes in ((4, 4), (4, 9, 8)):
        file = written(tmp_path, SMALL | {"copies": ladder(*sizes)})
        with pytest.raises(InputError, match="copies must grow in bytes, found"):
            read_profile(file)


def test_stated_copies_need_to_know_what_a_copy_costs(tmp_path: Path) -> None:
    """A block of two copies is read beside a ladder of its tier, and not without."""
    document = changed("models/net/blocks/0/copies", 2)
    with pytest.raises(InputError, match=r"models.net states copies, so copies must"):
        read_profile(written(tmp_path, document))
    copies = ladder(4, 9)
    for one in copies:
        one["load_s"]["disk"] = {"median_s": 1e-3}
    found = read_profile(written(tmp_path, document | {"copies": copies}))
    assert found.models["net"].copies == 2


def test_latency_may_be_a_number_or_a_timing() -> None:
    """Medians make the table; the spread is the median of those that are known."""
    four = {"median_s": 0.004, "p10_s": 0.002, "p90_s": 0.008}
    eight = {"median_s": 0.006, "p10_s": 0.004, "p90_s": 0.016}
    sixteen = {"median_s": 0.02, "p10_s": 0.01, "p90_s": 0.01 * 64}
    table = {"1": 0.001, "4": four, "8": eight, "16": sixteen}
    document = changed("models/net/latency_s", table)
    del document["models"]["net"]["activation_bytes"]
    profile = _profile(document)
    assert profile.latency_table("net") == (
        *(0.001, 0.004, 0.004, 0.004),
        *([0.006] * 4),
        *([0.02] * 8),
    )
    # Ratios p90 / p10 of 4, 4 and 64: the median sigma is that of 4.
    spread = profile.latency_spread("net")
    assert spread == pytest.approx(math.log(4) / (2 * 1.2815515655446004), rel=1e-12)


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        ({"median_s": 0.0}, "models.net", "latency_s.1.median_s must be greater"),
        ({"p10_s": 0.1}, "models.net.latency_s.1.median_s", "required key"),
        ({"median_s": 1.0, "mean_s": 1.0}, "models.net.latency_s.1.mean_s", "unknown"),
        ({"median_s": 1.0, "p90_s": 0.5}, "models.net.latency_s.1", "p10_s <= median"),
        ("0.1", "models.net.latency_s.1", "number"),
        (True, "models.net.latency_s.1", "number"),
    ],
)
def test_refuses_a_latency_that_is_neither(
    tmp_path: Path, value: Any, where: str, what: str
) -> None:
    """The key path is the file's own, whichever of the two forms was meant."""
    file = written(tmp_path, changed("models/net/latency_s/1", value))
    with pytest.raises(InputError) as caught:
        read_profile(file)
    assert caught.value.where == f"{file}: {where}"
    assert what in caught.value.what


def test_a_model_may_have_no_latency(tmp_path: Path) -> None:
    """Without latencies the table is empty, and activations have nothing to match."""
    document = changed("models/net/latency_s", None)
    del document["models"]["net"]["activation_bytes"]
    profile = read_profile(written(tmp_path, document))
    assert profile.latency_table("net") == ()
    assert profile.latency_spread("net") is None
    with pytest.raises(InputError, match="activation_bytes must have the batch sizes"):
        read_profile(written(tmp_path, changed("models/net/latency_s", None)))


def test_a_measured_profile_names_its_machine(tmp_path: Path) -> None:
    """Facts of the machine are kept; only measured profiles have them."""
    machine = {"cores": "16", "PCIe generation": "4"}
    file = written(tmp_path, changed("provenance/machine", machine))
    provenance = read_profile(file).provenance
    assert isinstance(provenance, Measured)
    assert provenance.machine == machine
    synthetic = {"kind": "synthetic", "device": "x", "method": "y", "machine": machine}
    with pytest.raises(InputError, match=r"provenance\.machine: unknown key"):
        read_profile(written(tmp_path, changed("provenance", synthetic)))
    with pytest.raises(InputError, match=r"provenance\.machine\.cores"):
        read_profile(written(tmp_path, changed("provenance/machine", {"cores": 16})))


@pytest.mark.parametrize(
    ("kind", "missing"), [("published", "citation"), ("synthetic", "method")]
)
def test_provenance_must_say_where_numbers_come_from(
    tmp_path: Path, kind: str, missing: str
) -> None:
    """Published numbers need a citation, synthetic ones their formula."""
    file = written(tmp_path, changed("provenance", {"kind": kind, "device": "x"}))
    with pytest.raises(InputError, match=f"provenance.{missing}: required key"):
        read_profile(file)


def test_a_file_that_holds_no_object_is_refused(tmp_path: Path) -> None:
    """A JSON list is bad input, not a crash."""
    with pytest.raises(InputError, match="must hold one object"):
        read_profile(written(tmp_path, [1]))


@pytest.mark.parametrize("name", ["clockwork", "folder/clockwork-v100.json", "x.json"])
def test_missing_profile_lists_the_shipped_ones(name: str) -> None:
    """A wrong name or path tells the reader which names there are."""
    with pytest.raises(
        InputError,
        match="clockwork-v100, cpu-epyc, cpu-epyc-lora, h200, h200-live, h200-lora, "
        "synth",
    ):
        read_profile(name)


def test_profiles_are_immutable() -> None:
    """A profile is a value: nobody can change it after it was checked."""
    profile = _profile(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        profile.name = "other"  # type: ignore[misc]
