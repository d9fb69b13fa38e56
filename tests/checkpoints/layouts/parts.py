"""Parts of a model in sub-folders."""

from __future__ import annotations

from pathlib import Path

from tests.checkpoints.layouts.made import (
    BIAS,
    LAYER,
    NET,
    WEIGHT,
    Made,
    Read,
    Refused,
    Source,
    halves,
    index,
    layout,
    net,
    numbers,
    put,
    put_json,
    put_torch,
)

DENSE = WEIGHT + BIAS


def _sentence_transformer(folder: Path, seed: int, frozen: int = 0) -> list[Source]:
    put_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "models.Dense"},
            {"idx": 3, "name": "3", "path": "3_Normalize", "type": "models.Normalize"},
        ],
    )
    put_json(folder / "config.json", {"architectures": ["BertModel"]})
    put_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    put_json(folder / "2_Dense" / "config.json", {"in_features": 64})
    dense = {
        "linear.weight": numbers(seed, 64, 64),
        "linear.bias": numbers(seed + 50, 64),
    }
    body = put(folder / "model.safetensors", net(seed, frozen=frozen))
    return [Source(body), Source(put(folder / "2_Dense" / "model.safetensors", dense))]


@layout(Read({"embedder": NET + DENSE}, NET + DENSE, ["2_Dense"]))
def sentence_transformer_with_dense(tmp: Path) -> Made:
    """A sentence-transformers folder: modules.json, a body and 2_Dense."""
    sources = _sentence_transformer(tmp / "embedder", 1)
    return Made([tmp / "embedder"], {"embedder": sources})


@layout(
    Read(
        {"cats": NET + DENSE, "dogs": NET + DENSE},
        NET + 2 * DENSE,
        ["2_Dense"],
        laminar=True,
    )
)
def sentence_transformers_of_one_body(tmp: Path) -> Made:
    """Two sentence-transformers folders: the same body, each a dense layer."""
    return Made(
        [tmp / "cats", tmp / "dogs"],
        {
            name: _sentence_transformer(tmp / name, seed, frozen=4)
            for seed, name in enumerate(("cats", "dogs"), 1)
        },
    )


@layout(Read({"old": NET + WEIGHT}, NET + WEIGHT, ["0_Transformer", "2_Dense"]))
def sentence_transformer_of_old(tmp: Path) -> Made:
    """An old sentence-transformers folder: 0_Transformer and 2_Dense, as .bin."""
    folder = tmp / "old"
    put_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "0_Transformer", "type": "Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "Dense"},
        ],
    )
    (folder / "1_Pooling").mkdir()
    body = put_torch(folder / "0_Transformer" / "pytorch_model.bin", net(1))
    dense = {"linear.weight": numbers(1, 64, 64)}
    head = put_torch(folder / "2_Dense" / "pytorch_model.bin", dense)
    return Made([folder], {"old": [Source(body), Source(head)]})


@layout(Refused(["modules.json", "'../other'", "outside"]))
def modules_outside_the_folder(tmp: Path) -> Made:
    """A modules.json that points out of its folder."""
    put(tmp / "other" / "model.safetensors", net(1))
    put_json(tmp / "mine" / "modules.json", [{"idx": 0, "path": "../other"}])
    put(tmp / "mine" / "model.safetensors", net(2))
    return Made([tmp / "mine"])


@layout(Refused(["modules.json", "'2_Dense'", "missing"]))
def modules_without_one(tmp: Path) -> Made:
    """A modules.json that names a folder that is not there."""
    _sentence_transformer(tmp / "mine", 1)
    (tmp / "mine" / "2_Dense" / "model.safetensors").unlink()
    (tmp / "mine" / "2_Dense" / "config.json").unlink()
    (tmp / "mine" / "2_Dense").rmdir()
    return Made([tmp / "mine"])


PIPELINE = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.30",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
}


def _pipeline(folder: Path, unet: int, others: int = 9) -> list[Source]:
    put_json(folder / "model_index.json", PIPELINE)
    put_json(folder / "tokenizer" / "tokenizer_config.json", {})
    put_json(folder / "scheduler" / "scheduler_config.json", {})
    for part in ("unet", "vae", "text_encoder"):
        put_json(folder / part / "config.json", {"_class_name": "X"})
    diffusion = "diffusion_pytorch_model.safetensors"
    return [
        Source(put(folder / "unet" / diffusion, net(unet))),
        Source(put(folder / "vae" / diffusion, net(others))),
        Source(put(folder / "text_encoder" / "model.safetensors", net(others + 1))),
    ]


@layout(Read({"sd": 3 * NET}, 3 * NET, ["unet", "vae", "text_encoder"]))
def diffusers_pipeline(tmp: Path) -> Made:
    """A diffusers pipeline: model_index.json, unet, vae and text_encoder."""
    return Made([tmp / "sd"], {"sd": _pipeline(tmp / "sd", 1)})


@layout(Read({"cats": 3 * NET, "dogs": 3 * NET}, 4 * NET, ["unet"], laminar=True))
def diffusers_pipelines_of_one_vae(tmp: Path) -> Made:
    """Two diffusers pipelines whose vae and text encoder are the same."""
    return Made(
        [tmp / "cats", tmp / "dogs"],
        {"cats": _pipeline(tmp / "cats", 1), "dogs": _pipeline(tmp / "dogs", 2)},
    )


@layout(Read({"sd": 3 * NET}, 3 * NET, ["fp16", "left out"]))
def diffusers_with_variants(tmp: Path) -> Made:
    """A diffusers pipeline with fp16 files beside the full ones."""
    sources = _pipeline(tmp / "sd", 1)
    for source in sources:
        half = source.path.with_suffix(".fp16.safetensors")
        put(half, {n: t.half() for n, t in net(1).items()})
    return Made([tmp / "sd"], {"sd": sources})


@layout(Read({"sd": 3 * NET}, 3 * NET, ["unet"]))
def diffusers_with_shards(tmp: Path) -> Made:
    """A diffusers pipeline whose unet is in shards."""
    sources = _pipeline(tmp / "sd", 1)
    unet = tmp / "sd" / "unet"
    sources.pop(0).path.unlink()
    first, second = halves(net(1))
    name = "diffusion_pytorch_model"
    shards = [unet / f"{name}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index(
        unet / f"{name}.safetensors.index.json",
        {shards[0]: first, shards[1]: second},
    )
    return Made([tmp / "sd"], {"sd": [*map(Source, shards), *sources]})


@layout(Refused(["vae", "no weights", "download"]))
def diffusers_without_weights_of_a_part(tmp: Path) -> Made:
    """A diffusers pipeline whose vae has a config but no weights."""
    _pipeline(tmp / "sd", 1)[1].path.unlink()
    return Made([tmp / "sd"])


@layout(Read({"sd": 3 * NET}, 3 * NET, ["v1-5-pruned.safetensors", "left out"]))
def diffusers_with_one_file_beside(tmp: Path) -> Made:
    """A diffusers pipeline with all of it in one file at the top as well."""
    sources = _pipeline(tmp / "sd", 1)
    put(tmp / "sd" / "v1-5-pruned.safetensors", net(1, prefix="model"))
    return Made([tmp / "sd"], {"sd": sources})


@layout(Read({"llama": NET}, NET, ["original", "left out"]))
def sub_folder_beside_weights(tmp: Path) -> Made:
    """A folder of weights with the same again in a sub-folder, original/."""
    path = put(tmp / "llama" / "model.safetensors", net(1))
    put_torch(tmp / "llama" / "original" / "consolidated.00.pth", net(1, prefix="x"))
    return Made([tmp / "llama"], {"llama": [Source(path)]})


@layout(Refused(["checkpoint-500", "checkpoint-1000", "one of"]))
def folder_of_checkpoints(tmp: Path) -> Made:
    """A folder that holds only folders of checkpoints."""
    for step in (500, 1000):
        put(tmp / "run" / f"checkpoint-{step}" / "model.safetensors", net(step))
    return Made([tmp / "run"])


@layout(Refused(["'linear.weight'", "cats", "dogs"]))
def folder_of_two_models(tmp: Path) -> Made:
    """A folder of two models' files with the same tensor names."""
    for seed, name in enumerate(("cats", "dogs")):
        put(tmp / "pets" / f"{name}.safetensors", {"linear.weight": numbers(seed, 64)})
    return Made([tmp / "pets"])


@layout(Read({"mine": NET + LAYER}, NET + LAYER, ["encoder", "head", "one model"]))
def folder_of_two_parts(tmp: Path) -> Made:
    """A folder of two files without an index and without a name in common."""
    head = {
        "head.weight": numbers(1, 64, 64),
        "head.bias": numbers(2, 64),
    }
    paths = [
        put(tmp / "mine" / "encoder.safetensors", net(1)),
        put(tmp / "mine" / "head.safetensors", head),
    ]
    return Made([tmp / "mine"], {"mine": list(map(Source, paths))})
