"""Toy profiles, and scenarios' texts of the libraries that are built of them."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from edgesim.library.build import Library, build_library
from edgesim.profile.values import Profile
from edgesim.scenario.library import LibrarySpec, LoadSource

SPEC: TypeAdapter[LibrarySpec] = TypeAdapter(LibrarySpec)


def toy_profile() -> Profile:
    """Make a profile of two tiny models, one with measured spread."""
    spread = {"pinned": {"median_s": 2e-3, "p10_s": 1e-3, "p90_s": 4e-3}}
    plain = {"pinned": {"median_s": 4e-3}}
    return Profile.model_validate(
        {
            "name": "toy",
            "provenance": {"kind": "synthetic", "device": "none", "method": "made up"},
            "models": {
                "cat": {
                    "blocks": [
                        {"name": "in", "bytes": 1000, "load_s": spread},
                        {"name": "mid", "bytes": 2000, "load_s": plain},
                        {"name": "out", "bytes": 3000, "load_s": plain},
                    ],
                    "latency_s": {"1": 0.01, "4": 0.02},
                    "activation_bytes": {"1": 7, "4": 28},
                },
                "dog": {
                    "blocks": [
                        {
                            "name": "emb",
                            "bytes": 500,
                            "load_s": {"disk": plain["pinned"]},
                        },
                        {
                            "name": "l.0",
                            "bytes": 800,
                            "load_s": {"disk": plain["pinned"]},
                        },
                        {
                            "name": "l.1",
                            "bytes": 800,
                            "load_s": {"disk": plain["pinned"]},
                        },
                    ],
                    "latency_s": {"1": 0.5},
                    "lora": {
                        "layer_prefix": "l.",
                        "bytes_per_rank": {"q,v": 10, "all": 50},
                    },
                },
            },
        }
    )


TOY = toy_profile()


def build(toml: str, profile: Profile = TOY, seed: int = 1, **load: Any) -> Library:
    """Build the library of a scenario's text."""
    spec = SPEC.validate_python(tomllib.loads(toml)["library"])
    source = LoadSource(**load)
    return build_library(spec, profile, source, np.random.default_rng(seed))


TABLE = """[[library.clusters]]
base = "cat"
variants = 2
frozen_blocks = 2
"""

CATS = f"""
[library]
kind = "clusters"
{TABLE}"""

ADAPTERS = """
[library]
kind = "adapters"
[[library.backbones]]
base = "dog"
adapters = 2
rank = 4
"""

MIXED = """
[library]
kind = "mixed"
[[library.mixed]]
base = "cat"
models = 300
pool = 3
swap_probability = 0.5
"""

A, B, C = "aa" * 8, "bb" * 8, "cc" * 8


def checkpoint_profile(*, latency: bool = True) -> Profile:
    """Make three checkpoints: one and two share A, two and three B; C is alone."""
    held = {
        "one": [("a", A), ("own", None)],
        "two": [("a", A), ("b", B)],
        "three": [("other-name", B), ("own", None), ("c", C)],
    }
    sizes = {A: 1000, B: 300, C: 50, None: 7}
    return Profile.model_validate(
        {
            "name": "ckpt",
            "provenance": {"kind": "synthetic", "device": "none", "method": "made up"},
            "models": {
                model: {
                    "blocks": [
                        {
                            "name": name,
                            "bytes": sizes[content],
                            "load_s": {"pinned": {"median_s": sizes[content] * 1e-6}},
                        }
                        | ({} if content is None else {"content": content})
                        for name, content in blocks
                    ],
                    "latency_s": {"1": 0.01} if latency or model != "two" else {},
                }
                for model, blocks in held.items()
            },
        }
    )


CHECKPOINTS = '[library]\nkind = "checkpoints"\n'


def counted_profile() -> Profile:
    """Give TOY a ladder of 1 ms + 10 µs a byte, and adapters of two copies a layer."""
    document = TOY.model_dump(exclude_none=True)
    document["copies"] = [
        {"bytes": n, "load_s": {"disk": {"median_s": 1e-3 + n * 1e-5}}}
        for n in (10, 100, 1000)
    ]
    document["models"]["dog"]["lora"]["copies"] = {"q,v": 2}
    return Profile.model_validate(document)
