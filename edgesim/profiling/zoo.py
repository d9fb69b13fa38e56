"""Networks of torchvision, timm and transformers: architectures, never weights.

Nothing is downloaded, and only code of the installed packages runs.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from edgesim.errors import InputError, short
from edgesim.profiling.inputs import transformers_input

LIBRARIES = {"torchvision": "torchvision", "timm": "timm", "hf": "transformers"}
"""Package by the first word of a SPEC."""


CLASSES = {"torchvision": "num_classes", "timm": "num_classes", "hf": "num_labels"}
"""Keyword for the size of the head, by the first word of a SPEC."""

_DOWNLOADS = frozenset(
    {
        "weights",
        "weights_backbone",
        "pretrained",
        "pretrained_backbone",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
    }
)
"""Keywords that would fetch or read weights; there are none but random ones."""


class Built(NamedTuple):
    """A network, and its usual input if known."""

    network: nn.Module
    input: str | None


def from_torchvision(text: str, where: str, dtype: torch.dtype | None = None) -> Built:
    """Build ``torchvision:NAME[,KEY=VALUE…]``; KEY is one of its builder.

    Inputs are 3 × 224 × 224, Inception's 3 × 299 × 299.

    Raises
    ------
    InputError
        If torchvision cannot be used or has no such model, or a keyword is about
        weights.
    """
    del dtype  # small enough to convert afterwards
    name, options = _named_options(text, where)
    models = _library("torchvision", where).models
    known = models.list_models()
    if name not in known:
        raise InputError(where, unknown("torchvision model", name, known))
    options["weights"] = None
    # Detection and segmentation models would download weights of their backbone.
    parameters = inspect.signature(models.get_model_builder(name)).parameters
    if "weights_backbone" in parameters:
        options["weights_backbone"] = None
    network = models.get_model(name, **options)
    return Built(network, "3x299x299" if name == "inception_v3" else "3x224x224")


def from_timm(text: str, where: str, dtype: torch.dtype | None = None) -> Built:
    """Build ``timm:NAME[,KEY=VALUE…]``; KEY is one of ``timm.create_model``.

    The input is that of its default configuration.

    Raises
    ------
    InputError
        If timm cannot be used or has no such model, or a keyword is about weights.
    """
    del dtype
    name, options = _named_options(text, where)
    timm = _library("timm", where)
    # Names with a prefix, as in hf-hub:NAME, would be fetched over the network.
    if ":" in name or not timm.is_model(name):
        raise InputError(where, unknown("timm model", name, timm.list_models()))
    network = timm.create_model(name, pretrained=False, **options)
    size = (getattr(network, "default_cfg", None) or {}).get("input_size")
    return Built(network, "x".join(map(str, size)) if size else None)


def _named_options(text: str, where: str) -> tuple[str, dict[str, Any]]:
    """Split ``NAME[,KEY=VALUE…]``, and refuse keywords about weights."""
    name, _, rest = text.partition(",")
    options = dict(keywords(rest, where))
    for key in options.keys() & _DOWNLOADS:
        raise InputError(
            where, f"must not set {key}: weights are random, and none are fetched"
        )
    return name, options


def from_transformers(text: str, where: str, dtype: torch.dtype | None = None) -> Built:
    """Build ``hf:NAME[,KEY=VALUE…]`` with random weights.

    NAME is a model type of transformers, or a local folder with a ``config.json``.
    Values are JSON scalars and replace those of the configuration; ``num_labels`` is
    the size of a classifier. The network is of the first class that ``architectures``
    of the configuration lists, such as ``BertForSequenceClassification``, otherwise the
    plain model of its type.

    Raises
    ------
    InputError
        If transformers cannot be used, or has no such model type, key or class, or no
        plain model of that type.
    """
    with _offline():
        return _from_transformers(text, where, dtype)


def _from_transformers(text: str, where: str, dtype: torch.dtype | None) -> Built:
    transformers = _library("transformers", where)
    name, _, rest = text.partition(",")
    overrides = dict(keywords(rest, where))
    listed = overrides.pop("architectures", None)
    with _quiet(transformers):
        config = _plain_config(transformers, name, where)
        known = {*config.to_dict(), *getattr(config, "attribute_map", {}), "num_labels"}
        for key in overrides:
            if key not in known:
                raise InputError(where, unknown(f"key of {name}", key, known))
        if (Path(name) / "config.json").is_file():
            config = transformers.AutoConfig.from_pretrained(
                name, local_files_only=True, trust_remote_code=False, **overrides
            )
        else:
            config = transformers.AutoConfig.for_model(name, **overrides)
        if getattr(config, "use_pretrained_backbone", None):
            config.use_pretrained_backbone = False
        # Large ones are created in their dtype directly: float32 would take twice the
        # memory.
        kind = _class_of(transformers, listed or config.architectures, where)
        with _default_dtype(dtype):
            if kind is None:
                network = transformers.AutoModel.from_config(
                    config, trust_remote_code=False
                )
            else:
                if getattr(config, "pad_token_id", 0) is None:
                    # Without one, classifiers of texts take no batch of several.
                    config.pad_token_id = 0
                network = kind._from_config(config)  # what AutoModel calls
    return Built(network, transformers_input(network))


def _class_of(transformers: Any, listed: Any, where: str) -> Any:
    """Find the class that a configuration lists first; None if it lists none."""
    names = [listed] if isinstance(listed, str) else list(listed or ())
    if not names:
        return None
    kind = getattr(transformers, str(names[0]), None)
    if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
        return kind
    raise InputError(
        where,
        f"is of class {short(names[0])} by architectures of its configuration, which "
        f"transformers {transformers.__version__} does not have; give another with "
        f'architectures="CLASS" after a comma, or the factory of a module of your own',
    )


def _plain_config(transformers: Any, name: str, where: str) -> Any:
    if (Path(name) / "config.json").is_file():
        return transformers.AutoConfig.from_pretrained(
            name, local_files_only=True, trust_remote_code=False
        )
    known = list(transformers.CONFIG_MAPPING.keys())
    if name not in known:
        hint = " (a local folder must hold a config.json; nothing is downloaded)"
        raise InputError(where, unknown("model type", name, known) + hint)
    return transformers.AutoConfig.for_model(name)


def keywords(text: str, where: str) -> Iterator[tuple[str, object]]:
    """Parse ``KEY=VALUE,KEY=VALUE`` with JSON scalars; strings may contain commas.

    Raises
    ------
    InputError
        If the text is of another form.
    """
    decoder = json.JSONDecoder()
    while text:
        key, equals, rest = text.partition("=")
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            value, end = [], 0
        ends_well = rest[end:] == "" or (rest[end] == "," and rest[end + 1 :] != "")
        if not equals or not ends_well or isinstance(value, (list, dict)):
            raise InputError(
                where,
                f"after the name must come KEY=VALUE with a JSON scalar (2048, true, "
                f'"gelu" in double quotes), with commas between, found {short(text)}',
            )
        yield key, value
        text = rest[end + 1 :]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Format a message that a name is unknown, with similar known names."""
    near = difflib.get_close_matches(name, sorted(known), n=4, cutoff=0.5)
    hint = f"; near: {', '.join(near)}" if near else ""
    return f"there is no {what} {short(name)}{hint}"


def library_version(library: str) -> str:
    """Return the version of an already imported package."""
    return str(getattr(importlib.import_module(library), "__version__", "not known"))


def _library(name: str, where: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise InputError(
                where,
                f"needs {name}, which is not installed; pip install 'edgesim[zoo]'",
            ) from None
        reason: Exception = error
    # Raised by torchvision with a torch version that it was not built for.
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        reason = error
    raise InputError(
        where,
        f"{name} cannot be imported beside torch {torch.__version__} "
        f"({type(reason).__name__}: {reason}); install the {name} that was made for it",
    )


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's client offline: configurations can name models on the hub."""
    try:
        client = importlib.import_module("huggingface_hub.constants")
    except ImportError:
        yield
        return
    before = client.HF_HUB_OFFLINE
    client.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        client.HF_HUB_OFFLINE = before  # type: ignore[attr-defined]


@contextmanager
def _default_dtype(dtype: torch.dtype | None) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(before if dtype is None else dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silence its warnings about configurations, irrelevant for random weights."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)
