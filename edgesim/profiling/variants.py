"""Synthetic fine-tunes of a network: the same first blocks, other weights after them.

They serve to try out features that need checkpoints without having any.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edgesim.errors import InputError
from edgesim.profiling.architecture import NetworkSpec, build_network
from edgesim.profiling.blocks import numbered_block, state_tensors
from edgesim.storage.manifest import Kind
from edgesim.storage.output_folder import write_output_folder

MOST_VARIANTS = 99

VARIANTS = Kind("profile variants", replaces=False)

_LEAST_DEVIATION = 0.02


@dataclass(frozen=True)
class Written:
    """The files written by :func:`write_variants`.

    Parameters
    ----------
    files
        The checkpoints, in numerical order.
    blocks, frozen_blocks
        Number of parameter blocks of each, and of those taken from the base.
    bytes, frozen_bytes
        Size of each file's tensors, and of those taken from the base.
    """

    files: tuple[Path, ...]
    blocks: int
    frozen_blocks: int
    bytes: int
    frozen_bytes: int


def write_variants(
    spec: NetworkSpec,
    folder: Path,
    *,
    count: int,
    frozen: float,
    seed: int,
    dtype: str | None = None,
) -> Written:
    """Write fine-tunes of a network as ``NAME-v01.safetensors`` and so on.

    The first ``round(frozen * blocks)`` blocks, by
    :func:`edgesim.profiling.blocks.numbered_block`, keep the weights of the base. In
    all others, floating tensors are redrawn with the mean and the deviation of those
    they replace. Tied tensors are written once, under their first name. The same seed
    gives the same bytes.

    Parameters
    ----------
    spec
        The base network; its name is the prefix of the files' names.
    folder
        Output folder; variants that this wrote there are replaced, and the rest stays.
    count
        Number of variants, up to ``MOST_VARIANTS``.
    frozen
        Frozen fraction, from 0 (nothing shared) to 1 (all equal).
    seed, dtype
        Seed of the new weights; dtype of the network, as in
        :func:`edgesim.profiling.architecture.build_network`.

    Raises
    ------
    InputError
        If the network cannot be built, or the folder holds something, and no variants.
    """
    if Path(spec.name).name != spec.name:
        raise InputError(spec.name, "is no file name; give NAME=SPEC")
    names = [f"{spec.name}-v{number:02d}.safetensors" for number in range(1, count + 1)]
    with torch.no_grad(), write_output_folder(folder, VARIANTS) as temporary:
        network = build_network(spec.architecture, dtype)
        tensors = {
            name: tensor.detach().contiguous()
            for name, tensor in state_tensors(network, spec.name).items()
        }
        blocks = list(dict.fromkeys(map(numbered_block, tensors)))
        frozen_blocks = frozenset(blocks[: round(frozen * len(blocks))])
        fixed = {name for name in tensors if numbered_block(name) in frozen_blocks}
        for number, file in enumerate(names, start=1):
            generator = np.random.default_rng([seed, number])
            _save(
                {
                    name: tensor if name in fixed else _redrawn(tensor, generator)
                    for name, tensor in tensors.items()
                },
                temporary / file,
            )
    return Written(
        files=tuple(folder / file for file in names),
        blocks=len(blocks),
        frozen_blocks=len(frozen_blocks),
        bytes=sum(tensor.nbytes for tensor in tensors.values()),
        frozen_bytes=sum(tensors[name].nbytes for name in fixed),
    )


def _redrawn(tensor: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Redraw a floating tensor; others, such as step counters, are kept."""
    if not tensor.is_floating_point():
        return tensor
    values = tensor.double()
    # Constant tensors, such as those of a fresh normalization, must differ too.
    deviation = max(float(values.std(correction=0)), _LEAST_DEVIATION)
    drawn = generator.standard_normal(tuple(tensor.shape), dtype=np.float32)
    drawn *= np.float32(deviation)
    drawn += np.float32(float(values.mean()))
    return torch.from_numpy(drawn).to(tensor.dtype)


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    # Two views of one storage would be rejected; redrawn tensors never are views.
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
