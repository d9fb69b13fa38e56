"""SPECs: the networks to measure, and how to build them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from edgesim.errors import InputError, short
from edgesim.plugins import current_folder_importable, find_module, told
from edgesim.profiling import zoo
from edgesim.profiling.device import is_out_of_memory
from edgesim.profiling.inputs import check_input

BUILD_SEED = 20_230_917
DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""Dtypes to which networks can be converted, by name."""

MIXED = "mixed"
"""The dtype recorded for weights with several dtypes."""

_NAMED = re.compile(r"([^=:,/\\]+)=(.+)", re.DOTALL)
_SOURCES = {
    "torchvision": zoo.from_torchvision,
    "timm": zoo.from_timm,
    "hf": zoo.from_transformers,
}
_FORMS = (
    "torchvision:NAME, timm:NAME, hf:NAME, package.module:factory, each with "
    "KEY=VALUE after a comma, or checkpoint files (.safetensors, .pt)"
)


@dataclass(frozen=True)
class NetworkSpec:
    """One network to measure: the name of its model, and the SPEC that builds it."""

    name: str
    architecture: str


def parse_spec(text: str) -> NetworkSpec:
    """Parse ``[NAME=]SPEC``.

    The name defaults to the last word of the SPEC: ``resnet50`` of
    ``torchvision:resnet50``, ``llama`` of ``hf:llama,hidden_size=2048``, the folder's
    name of ``hf:FOLDER``, the factory's of ``package.module:factory``.

    After a comma may stand keywords, ``resnet18,num_classes=7``: of the library's
    builder, of the configuration, or of the factory.

    Raises
    ------
    InputError
        If the text is not a SPEC.
    """
    name, architecture = named_spec(text)
    source, colon, rest = architecture.partition(":")
    last = rest.partition(",")[0]
    if not colon or not source or not last:
        raise InputError(text, f"is no SPEC; allowed are {_FORMS}")
    return NetworkSpec(name or Path(last).name, architecture)


def named_spec(text: str) -> tuple[str | None, str]:
    """Split ``[NAME=]SPEC``; the name is None if there is none."""
    named = _NAMED.fullmatch(text)
    return (named[1], named[2]) if named else (None, text)


def shown_architecture(architecture: str) -> str:
    """Format an architecture for a profile, without absolute paths of this machine."""
    source, _, rest = architecture.partition(":")
    place, comma, overrides = rest.partition(",")
    if source != "hf" or not Path(place).is_absolute():
        return architecture
    return f"hf:{Path(place).name}{comma}{overrides}"


def build_network(
    architecture: str, dtype: str | None = None, device: torch.device | str = "cpu"
) -> nn.Module:
    """Build a network on a device: eval mode, random weights, the same each time.

    Parameters
    ----------
    architecture
        A SPEC without a name.
    dtype
        One of :data:`DTYPES` to convert floating weights to; anything else, such as
        ``"mixed"`` of a profile, leaves them as built.
    device
        Where its weights are created; factories of user modules create theirs on the
        CPU, as such functions expect, and the network is then moved.

    Raises
    ------
    InputError
        If it cannot be built, with the reason.
    """
    return build(architecture, dtype, device).network


def build(
    architecture: str, dtype: str | None = None, device: torch.device | str = "cpu"
) -> zoo.Built:
    """Build a network as :func:`build_network` does, with its usual input.

    For a factory's network, that is its attribute ``edgesim_input``, a text as
    :func:`edgesim.profiling.inputs.check_input` accepts it, if present.
    """
    source, _, rest = architecture.partition(":")
    make = _SOURCES.get(source)
    place = torch.device(device)
    wanted = DTYPES.get(dtype or "")
    devices = [place] if place.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(BUILD_SEED)
        try:
            if make is None:
                built = _from_factory(architecture)
            else:
                with place:
                    built = make(rest, architecture, wanted)
        except InputError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # Any exception of a constructor is an error in the SPEC.
            raise InputError(architecture, f"cannot be built: {told(error)}") from error
    try:
        network = _placed(built.network.eval(), place, wanted)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # Weights without data, or created lazily on the first input.
        raise InputError(
            architecture, f"cannot be put on {place}: {told(error)}"
        ) from error
    return zoo.Built(network, built.input)


def _placed(
    network: nn.Module, place: torch.device, wanted: torch.dtype | None
) -> nn.Module:
    network = network.to(place)
    if wanted is not None and any(
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dtype != wanted
        for value in network.state_dict().values()
    ):
        # Not if it is already built in that dtype: non-persistent buffers, such as
        # rotary frequencies, must keep the precision that the library gives them.
        return network.to(wanted)
    return network


def dtype_of(tensors: dict[str, torch.Tensor]) -> str:
    """Name the dtype of weights: that of floating ones if there are any; or mixed."""
    found = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    floating = {
        str(tensor.dtype).removeprefix("torch.")
        for tensor in tensors.values()
        if tensor.is_floating_point()
    }
    names = floating or found
    return names.pop() if len(names) == 1 else MIXED


def _from_factory(architecture: str) -> zoo.Built:
    """Call ``package.module:factory[,KEY=VALUE…]``."""
    place, name, options = _factory_parts(architecture)
    with current_folder_importable():
        network = _factory(place, name, architecture)(**options)
    if not isinstance(network, nn.Module):
        raise InputError(
            architecture, f"must return a torch.nn.Module, found {short(network)}"
        )
    text = getattr(network, "edgesim_input", None)
    if text is not None:
        check_input(f"{architecture}: edgesim_input", str(text))
    return zoo.Built(network, None if text is None else str(text))


def _factory_parts(architecture: str) -> tuple[str, str, dict[str, Any]]:
    place, _, rest = architecture.partition(":")
    name, _, text = rest.partition(",")
    return place, name, dict(zoo.keywords(text, architecture))


def _factory(place: str, name: str, architecture: str) -> Callable[..., Any]:
    module = _import_module(place, architecture)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise InputError(architecture, zoo.unknown(f"function in {place}", name, known))
    found: Callable[..., Any] = factory
    return found


def with_classes(architecture: str, classes: int) -> str | None:
    """Give an architecture a head of another size; None if it takes no such keyword.

    That is ``num_classes`` of torchvision, timm and a factory that has such a
    parameter, and ``num_labels`` of transformers. One that is stated already stands.
    """
    source, _, rest = architecture.partition(":")
    key = zoo.CLASSES.get(source)
    if key is None:
        place, name, _ = _factory_parts(architecture)
        key = "num_classes"
        with current_folder_importable():
            factory = _factory(place, name, architecture)
            try:
                parameters = inspect.signature(factory).parameters
            except (TypeError, ValueError):  # some builtins have none
                return None
        if key not in parameters:
            return None
    _, _, text = rest.partition(",")
    if key in dict(zoo.keywords(text, architecture)):
        return None
    return f"{architecture},{key}={classes}"


def _import_module(place: str, architecture: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(architecture, f"is no SPEC; allowed are {_FORMS}")
    module = find_module(place)
    if module is None:
        raise InputError(
            architecture,
            f"there is no module {place!r} here or among the installed packages; "
            f"allowed are {_FORMS}",
        )
    return module
