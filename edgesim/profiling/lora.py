"""Sizes of low-rank adapters for a network with numbered layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from edgesim.errors import InputError, Parameter
from edgesim.profile.values import LoraSizes
from edgesim.profiling.blocks import BlockOf
from edgesim.profiling.zoo import unknown


def lora_sizes(
    network: nn.Module,
    lora: Sequence[str],
    blocks: Sequence[str],
    block_of: BlockOf,
    where: str,
) -> LoraSizes | None:
    """Compute the bytes of adapters per layer and unit of rank.

    An adapter of rank r for a weight with d_in inputs and d_out outputs has
    r(d_in + d_out) parameters, each as many bytes as in the weight.

    Parameters
    ----------
    network
        The network whose linear modules are considered: those with a two-dimensional
        weight, in either order, except embeddings.
    lora
        Each names the modules of one adapter, as in ``"q_proj,v_proj"``: the last
        components of their paths.
    blocks
        Names of all blocks of the network.
    block_of
        The rule that made the blocks; each layer must be one.
    where
        The model, for messages.

    Returns
    -------
    LoraSizes or None
        None if none of the targets names a module of the network.

    Raises
    ------
    InputError
        If only some names of a target are modules of the network, or the layers differ
        or are not blocks with numbered names.
    """
    found: dict[str, tuple[str, int]] = {}
    for target in lora:
        names = [name.strip() for name in target.split(",")]
        linear = dict(_linear_modules(network))
        missing = [name for name in names if not _paths_named(name, linear)]
        if len(missing) == len(names):
            continue
        if missing:
            known = {path.rpartition(".")[2] for path in linear}
            raise InputError(
                Parameter("lora"),
                f"{where}: " + unknown("linear module", missing[0], known),
            )
        sizes: dict[str, int] = {}
        for name in names:
            for path in _paths_named(name, linear):
                block = block_of(f"{path}.weight") or ""
                sizes[block] = sizes.get(block, 0) + linear[path]
        found[target] = _prefix_and_size(sizes, blocks, target, where)
    if not found:
        return None
    prefixes = {prefix for prefix, _ in found.values()}
    if len(prefixes) > 1:
        raise InputError(
            Parameter("lora"),
            f"{where}: adapters must sit in the same layers, found those of "
            f"{' and '.join(sorted(prefixes))}",
        )
    return LoraSizes(
        layer_prefix=prefixes.pop(),
        bytes_per_rank={target: size for target, (_, size) in found.items()},
    )


def _prefix_and_size(
    sizes: dict[str, int], blocks: Sequence[str], target: str, where: str
) -> tuple[str, int]:
    prefixes = {name.rstrip("0123456789") for name in sizes}
    prefix = min(prefixes)
    layers = {name for name in blocks if name.startswith(prefix)}
    numbered = len(prefixes) == 1 and prefix not in sizes
    if not prefix or not numbered or layers != sizes.keys():
        found = ", ".join(name or "none" for name in sorted(sizes))
        raise InputError(
            Parameter("lora"),
            f"{where}: each layer with {target} must be a block with a numbered name, "
            f"and these the only ones of that name; found {found}",
        )
    first, size = next(iter(sizes.items()))
    for name, other in sizes.items():
        if other != size:
            raise InputError(
                Parameter("lora"),
                f"{where}: layers must have adapters of one size, found {size} bytes "
                f"per rank in {first!r} and {other} in {name!r}",
            )
    return prefix, size


def _linear_modules(network: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield paths of linear modules and the adapter's bytes per unit of rank."""
    for path, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if (
            isinstance(weight, nn.Parameter)
            and weight.dim() == 2
            and not isinstance(module, nn.Embedding)
        ):
            yield path, sum(weight.shape) * weight.element_size()


def _paths_named(name: str, paths: dict[str, int]) -> list[str]:
    return [path for path in paths if path == name or path.endswith(f".{name}")]
