"""Blocks by content, against hand-made cases and a brute-force oracle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesim.checkpoints.content import ContentLibrary, share_by_content
from edgesim.checkpoints.files import Checkpoint, TensorRecord
from edgesim.library.loading_order import (
    best_order,
    crossing_bytes,
    loaded_blocks,
    loaded_bytes,
)
from edgesim.library.sharing import (
    bytes_distinct,
    bytes_total,
    crossing,
    is_laminar,
    sharing_graph,
)

Tensors = Sequence[tuple[str, int]]
"""Names of tensors and numbers that stand for their content."""


def size_of(content: int) -> int:
    """Bytes of a content: different ones mostly have different sizes."""
    return 1 + content * content


def record(name: str, content: int) -> TensorRecord:
    """Make a tensor of a given content."""
    digest = hashlib.sha256(str(content).encode()).hexdigest()
    size = size_of(content)
    return TensorRecord(name, "uint8", (size,), size, digest)


def checkpoints(models: Sequence[Tensors]) -> list[Checkpoint]:
    """Make checkpoints ``m0``, ``m1``, … of the given tensors."""
    return [
        Checkpoint(
            f"m{number}", (Path(f"m{number}.pt"),), tuple(record(*t) for t in of)
        )
        for number, of in enumerate(models)
    ]


def named(*contents: int) -> Tensors:
    """Give contents names by their numbers, as fine-tunes of one network have them."""
    return [(f"t{content}", content) for content in contents]


def blocks_of(library: ContentLibrary, model: str) -> dict[str, tuple[str, ...]]:
    """Block name to tensor names."""
    return {b.name: tuple(t.name for t in b.tensors) for b in library.models[model]}


class TestByHand:
    """Cases small enough to see the answer."""

    def test_fine_tunes(self) -> None:
        """Frozen bottoms of two depths: a block for all, one for two, own ones."""
        library = share_by_content(
            checkpoints([named(1, 2, 3, 4), named(1, 2, 3, 5), named(1, 6, 7, 8)])
        )
        assert blocks_of(library, "m0") == {
            "shared-all": ("t1",),
            "shared-by-2": ("t2", "t3"),
            "own": ("t4",),
        }
        assert list(blocks_of(library, "m2")) == ["shared-all", "own"]
        assert len(library.blocks) == 5
        assert is_laminar(library.view())
        assert crossing_bytes(library.view()) == 0

    def test_adapters(self) -> None:
        """LoRA adapters on one backbone, the backbone itself a model too."""
        backbone = named(1, 2, 3)
        library = share_by_content(
            checkpoints([backbone, [*backbone, *named(4)], [*backbone, *named(5)]])
        )
        assert blocks_of(library, "m0") == {"shared-all": ("t1", "t2", "t3")}
        assert blocks_of(library, "m1") == {
            "shared-all": ("t1", "t2", "t3"),
            "own": ("t4",),
        }

    def test_crossing_trio(self) -> None:
        """Three models of which each two share something: the blocks cross."""
        library = share_by_content(
            checkpoints([named(1, 2, 9), named(2, 3), named(1, 3)])
        )
        assert list(blocks_of(library, "m0")) == [
            *("shared-by-2-1", "shared-by-2-2", "own")
        ]
        view = library.view()
        found = crossing(view)
        assert found is not None
        first, second = view.blocks[found.first_block], view.blocks[found.second_block]
        assert {found.first_only, found.both} == set(first.models)
        assert {found.second_only, found.both} == set(second.models)
        assert crossing_bytes(view) == size_of(1) + size_of(2) + size_of(3)

    def test_one_model(self) -> None:
        """A single checkpoint is one block of its own."""
        library = share_by_content(checkpoints([named(1, 2)]))
        assert blocks_of(library, "m0") == {"own": ("t1", "t2")}
        assert best_order(library.view()).models == ("m0",)

    def test_twins(self) -> None:
        """Two checkpoints with the same tensors are the same block."""
        library = share_by_content(checkpoints([named(1, 2), named(1, 2)]))
        assert library.models["m0"] == library.models["m1"]
        assert len(library.blocks) == 1

    def test_tied_weights_count_once(self) -> None:
        """A tensor under two names of one model is one tensor, under the first name."""
        tied = [("embed", 3), ("layer", 4), ("head", 3)]
        library = share_by_content(checkpoints([tied, named(5)]))
        assert blocks_of(library, "m0") == {"own": ("embed", "layer")}
        assert library.repeated_bytes == size_of(3)

    def test_tied_weights_with_names(self) -> None:
        """With names they count twice, and one name of them can be shared alone."""
        tied = [("embed", 3), ("layer", 4), ("head", 3)]
        models = checkpoints([tied, [("embed", 3)]])
        library = share_by_content(models, names="match")
        assert blocks_of(library, "m0") == {
            "shared-all": ("embed",),
            "own": ("layer", "head"),
        }
        assert library.repeated_bytes == 0
        assert library.models["m0"][1].bytes == size_of(4) + size_of(3)

    def test_names_match(self) -> None:
        """Other names make other tensors, whose blocks have other contents."""
        models = checkpoints([[("a", 1), ("x", 2)], [("b", 1), ("x", 2)]])
        ignored = share_by_content(models)
        assert blocks_of(ignored, "m0") == {"shared-all": ("a", "x")}
        matched = share_by_content(models, names="match")
        assert blocks_of(matched, "m0") == {"shared-all": ("x",), "own": ("a",)}
        own = [of[1] for of in matched.models.values()]
        assert own[0].content != own[1].content

    def test_small_tensors_stay_own(self) -> None:
        """Below the least size nothing is shared, and equal own blocks stay apart."""
        models = checkpoints([named(1, 5), named(1, 5), named(1)])
        library = share_by_content(models, min_bytes=size_of(1) + 1)
        assert blocks_of(library, "m0") == {"shared-by-2": ("t5",), "own": ("t1",)}
        own = {of[-1].content for of in library.models.values()}
        assert len(own) == 3
        everything = share_by_content(models, min_bytes=size_of(1))
        assert blocks_of(everything, "m0") == {
            "shared-all": ("t1",),
            "shared-by-2": ("t5",),
        }

    def test_content_is_of_tensors_alone(self) -> None:
        """A block's content depends on no names and no order."""
        one = share_by_content(checkpoints([named(1, 2)]))
        other = share_by_content(checkpoints([[("b", 2), ("a", 1)], named(7)]))
        assert one.models["m0"][0].content == other.models["m0"][0].content

    def test_names_with_many_blocks(self) -> None:
        """Numbers of blocks with as many holders are as wide as the largest."""
        models = [named(*range(start, start + 10)) for start in (0, 0)]
        for place, (one, other) in enumerate(combinations(range(2, 7), 2)):
            while len(models) <= max(one, other):
                models.append([])
            models[one] = [*models[one], (f"t{place + 50}", place + 50)]
            models[other] = [*models[other], (f"t{place + 50}", place + 50)]
        library = share_by_content(checkpoints(models))
        names = {block.name for block in library.blocks}
        assert "shared-by-2-01" in names
        assert "shared-by-2-11" in names


class TestRenamed:
    """Tensors that are the same under different names."""

    def test_counted_with_an_example(self) -> None:
        """What has no common name is counted; the largest is the example."""
        models = checkpoints(
            [
                [("a", 1), ("b", 5), ("same", 7)],
                [("c", 1), ("d", 5), ("same", 7), ("e", 9)],
            ]
        )
        renamed = share_by_content(models).renamed
        assert (renamed.tensors, renamed.bytes) == (2, size_of(1) + size_of(5))
        assert renamed.example == (("m0", "b"), ("m1", "d"))

    def test_one_common_name_is_enough(self) -> None:
        """Tied weights have a name in common with an untied copy."""
        models = checkpoints([[("embed", 3), ("head", 3)], [("head", 3)]])
        assert share_by_content(models).renamed.tensors == 0

    def test_example_differs(self) -> None:
        """The two names of the example are of models that really differ."""
        models = checkpoints([[("a", 3)], [("a", 3)], [("b", 3)]])
        assert share_by_content(models).renamed.example == (("m0", "a"), ("m2", "b"))

    def test_small_ones_do_not_count(self) -> None:
        """Nor do those too small to be shared."""
        models = checkpoints([[("a", 1)], [("b", 1)]])
        assert share_by_content(models, min_bytes=100).renamed.tensors == 0


class TestLoadingOrder:
    """Every model loaded once, one after another."""

    def test_by_hand(self) -> None:
        """Relatives apart load their block twice, and once side by side."""
        library = share_by_content(checkpoints([named(5, 1), named(9), named(5, 2)]))
        view = library.view()
        apart = size_of(5) + size_of(1) + size_of(9) + size_of(5) + size_of(2)
        assert loaded_bytes(view, ["m0", "m1", "m2"]) == apart
        best = best_order(view)
        assert best.models == ("m0", "m2", "m1")
        assert best.loaded_bytes == apart - size_of(5)
        assert best.proven

    def test_loads_of_each(self) -> None:
        """Only what the model before holds is there."""
        library = share_by_content(checkpoints([named(1, 2), named(2, 3), named(1, 2)]))
        sizes = [
            sum(library.view().blocks[block].bytes for block in blocks)
            for blocks in loaded_blocks(library.view(), ["m0", "m1", "m2"])
        ]
        assert sizes == [size_of(1) + size_of(2), size_of(3), size_of(1)]

    def test_crossing_is_not_proven(self) -> None:
        """A trio of which each two share something leaves one pair apart."""
        library = share_by_content(checkpoints([named(1, 2), named(2, 3), named(1, 3)]))
        best = best_order(library.view())
        assert not best.proven
        # The cheapest block, of content 1, is the one to load twice.
        assert best.loaded_bytes == size_of(1) + bytes_distinct(library.view())

    def test_crossing_path_is_proven(self) -> None:
        """Where each block is loaded once the order is best, crossing or not."""
        library = share_by_content(checkpoints([named(1), named(2, 3), named(1, 2)]))
        best = best_order(library.view())
        assert not is_laminar(library.view())
        assert best.proven
        assert best.models in (("m0", "m2", "m1"), ("m1", "m2", "m0"))


def small_models(most: int) -> st.SearchStrategy[list[Tensors]]:
    """Draw up to ``most`` models of up to 6 tensors with few names and contents."""
    tensor = st.tuples(st.sampled_from("abcd"), st.integers(0, 7))
    model = st.lists(tensor, min_size=1, max_size=6, unique_by=lambda t: t[0])
    return st.lists(model, min_size=1, max_size=most)


@st.composite
def laminar_models(draw: st.DrawFn) -> list[Tensors]:
    """Draw up to 6 models that hang in a random forest, as fine-tunes of fine-tunes."""
    count = draw(st.integers(1, 6))
    paths: list[list[int]] = []
    fresh = iter(range(1000))
    for _ in range(count):
        above = draw(st.sampled_from([[], *paths]))
        kept = above[: draw(st.integers(0, len(above)))]
        own = draw(st.integers(0 if kept else 1, 3))
        paths.append([*kept, *(next(fresh) for _ in range(own))])
    order = draw(st.permutations(paths))
    return [named(*path) for path in order]


def identities(models: Sequence[Tensors], names: bool) -> list[dict[object, int]]:
    """Say what each model holds: identity to bytes."""
    return [
        {
            ((name, content) if names else content): size_of(content)
            for name, content in of
        }
        for of in models
    ]


def laminar(groups: set[frozenset[int]]) -> bool:
    """Whether any two sets are nested or disjoint, by looking at any two."""
    return all(a <= b or b <= a or not a & b for a, b in combinations(groups, 2))


class TestOracle:
    """Everything counted again, tensor by tensor and pair by pair."""

    @given(models=small_models(7), names=st.booleans())
    def test_blocks_and_bytes(self, models: list[Tensors], names: bool) -> None:
        """Blocks, bytes, pairs, laminarity, crossing bytes: for any sets of tensors."""
        held = identities(models, names)
        groups: dict[frozenset[int], int] = {}
        for identity in {key for of in held for key in of}:
            owners = frozenset(n for n, of in enumerate(held) if identity in of)
            size = next(of[identity] for of in held if identity in of)
            groups[owners] = groups.get(owners, 0) + size

        library = share_by_content(
            checkpoints(models), names="match" if names else "ignore"
        )
        view = library.view()
        assert len(library.blocks) == len(groups)
        assert {
            frozenset(int(model[1:]) for model in block.models): block.bytes
            for block in library.blocks
        } == groups
        assert bytes_distinct(view) == sum(groups.values())
        assert bytes_total(view) == sum(sum(of.values()) for of in held)
        stored = sum(size_of(content) for of in models for _, content in of)
        assert library.repeated_bytes == stored - bytes_total(view)

        graph = sharing_graph(view)
        for one, other in combinations(range(len(models)), 2):
            both = sum(held[one][key] for key in held[one].keys() & held[other].keys())
            edge = graph.get_edge_data(f"m{one}", f"m{other}", {"shared_bytes": 0})
            assert edge["shared_bytes"] == both

        assert is_laminar(view) == laminar(set(groups))
        assert crossing_bytes(view) == sum(
            size
            for group, size in groups.items()
            if not all(laminar({group, other}) for other in groups)
        )

    @given(models=small_models(7), names=st.booleans(), least=st.integers(0, 60))
    def test_structure(self, models: list[Tensors], names: bool, least: int) -> None:
        """Names are unique in a model, contents say what is the same, blocks fit."""
        found = checkpoints(models)
        library = share_by_content(
            found, names="match" if names else "ignore", min_bytes=least
        )
        contents: dict[str, object] = {}
        for checkpoint in found:
            blocks = library.models[checkpoint.name]
            assert len({block.name for block in blocks}) == len(blocks)
            assert [len(b.models) for b in blocks] == sorted(
                (len(b.models) for b in blocks), reverse=True
            )
            for block in blocks:
                assert checkpoint.name in block.models
                assert contents.setdefault(block.content, block) == block
                assert block.bytes == sum(tensor.bytes for tensor in block.tensors)
                if len(block.models) > 1:
                    assert all(tensor.bytes >= least for tensor in block.tensors)
            digests = {t.digest for block in blocks for t in block.tensors}
            assert digests == {tensor.digest for tensor in checkpoint.tensors}
        assert library == share_by_content(
            found, names="match" if names else "ignore", min_bytes=least
        )

    @given(models=laminar_models())
    def test_best_order_of_laminar_models(self, models: list[Tensors]) -> None:
        """A depth-first order loads as little as the best of all permutations."""
        held = identities(models, names=False)

        def loaded(order: Sequence[int]) -> int:
            resident: set[object] = set()
            total = 0
            for model in order:
                keys = held[model].keys() - resident
                total += sum(held[model][key] for key in keys)
                resident = set(held[model])
            return total

        view = share_by_content(checkpoints(models)).view()
        assert is_laminar(view)
        best = best_order(view)
        assert best.proven
        assert best.loaded_bytes == min(map(loaded, permutations(range(len(models)))))
        assert best.loaded_bytes == loaded([int(name[1:]) for name in best.models])

    @given(models=small_models(5))
    def test_best_order_of_any_models(self, models: list[Tensors]) -> None:
        """Any order found holds each model once and is no worse than the given one.

        Where it is called proven, no permutation is better.
        """
        view = share_by_content(checkpoints(models)).view()
        best = best_order(view)
        assert sorted(best.models) == sorted(view.models)
        assert best.loaded_bytes == loaded_bytes(view, best.models)
        least = min(loaded_bytes(view, order) for order in permutations(view.models))
        assert least <= best.loaded_bytes <= loaded_bytes(view, list(view.models))
        if best.proven:
            assert best.loaded_bytes == least


@pytest.mark.parametrize("models", [40, 300])
def test_many_models(models: int) -> None:
    """Chains of shared tensors, which cross, are put in order at any length."""
    chain = [named(2 * n + 1, 2 * n + 3) for n in range(models)]
    shuffled = [chain[(7 * n) % models] for n in range(models)]
    view = share_by_content(checkpoints(shuffled)).view()
    best = best_order(view)
    assert best.proven
    assert best.loaded_bytes == sum(size_of(2 * n + 1) for n in range(models + 1))
