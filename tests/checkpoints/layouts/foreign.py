"""Ten layouts drawn up by somebody who had not seen the others."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.checkpoints.layouts.everyday import LFS
from tests.checkpoints.layouts.made import (
    Made,
    Read,
    Refused,
    Source,
    State,
    index,
    layout,
    numbers,
    put,
    put_json,
    put_torch,
)


class Custom(argparse.Namespace):
    """A class of a training script."""


def _link(blob: Path, link: Path) -> Path:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../..") / "blobs" / blob.name)
    return link


@layout(
    Read(
        {"tiny": 5376, "tiny-ft": 5376},
        5632,
        ["left out pytorch_model.bin", "left out aaa", "left out snapshot old"],
    )
)
def foreign_1_hub_cache(tmp: Path) -> Made:
    """A hub cache of two models: links, two revisions, two formats, a missing blob."""
    tiny = tmp / "hub" / "models--acme--tiny"
    state = {"emb": numbers(1, 64, 16), "w": numbers(2, 16, 16)}
    base = state | {"head": numbers(3, 4, 16)}
    blob = put(tiny / "blobs" / "aa01.safetensors", base).rename(tiny / "blobs/aa01")
    other = put_torch(tiny / "blobs" / "bb02", base)
    _link(blob, tiny / "snapshots" / "aaa" / "model.safetensors")
    source = _link(blob, tiny / "snapshots" / "bbb" / "model.safetensors")
    _link(other, tiny / "snapshots" / "bbb" / "pytorch_model.bin")
    (tiny / "refs").mkdir()
    (tiny / "refs" / "main").write_text("bbb")
    (tiny / ".no_exist" / "bbb").mkdir(parents=True)
    (tiny / ".no_exist" / "bbb" / "x.json").touch()
    tuned = tmp / "hub" / "models--acme--tiny-ft"
    blob = put(
        tuned / "blobs" / "cc03.safetensors", state | {"head": numbers(4, 4, 16)}
    ).rename(tuned / "blobs" / "cc03")
    second = _link(blob, tuned / "snapshots" / "ccc" / "model.safetensors")
    _link(tuned / "blobs" / "dd04", tuned / "snapshots" / "old" / "model.safetensors")
    return Made(
        [f"tiny={tiny}", f"tiny-ft={tuned}"],
        {"tiny": [Source(source)], "tiny-ft": [Source(second)]},
    )


@layout(
    Read(
        dict.fromkeys(("run1-500", "run1-1000", "run1", "run2-500"), 18688),
        22784,
        ["identical: run1-1000, run1"],
        silent=["optimizer", "training_args"],
        laminar=True,
    )
)
def foreign_2_trainer_tree(tmp: Path) -> Made:
    """A Trainer's output of two runs, with its optimiser, scheduler, rng and args."""
    trunk = {"trunk.w": numbers(1, 64, 64), "trunk.norm": numbers(2, 64)}
    heads = {
        "run1-500": ("run1/checkpoint-500", 3),
        "run1-1000": ("run1/checkpoint-1000", 4),
        "run1": ("run1", 4),
        "run2-500": ("run2/checkpoint-500", 5),
    }
    words, sources = [], {}
    for name, (path, seed) in heads.items():
        folder = tmp / "out" / path
        state = trunk | {"head.w": numbers(seed, 8, 64)}
        sources[name] = [Source(put(folder / "model.safetensors", state))]
        moments = {
            "step": torch.tensor(5.0),
            "exp_avg": numbers(9, 8, 64),
            "exp_avg_sq": numbers(8, 8, 64),
        }
        groups = [{"lr": 1e-4, "params": [0]}]
        put_torch(
            folder / "optimizer.pt", {"state": {0: moments}, "param_groups": groups}
        )
        put_torch(folder / "scheduler.pt", {"last_epoch": 500, "_last_lr": [0.1]})
        rng = {
            "python": (3, (1, 2), None),
            "numpy": ("MT19937", np.arange(624, dtype=np.uint32), 1, 0, 0.0),
            "cpu": torch.zeros(5056, dtype=torch.uint8),
        }
        put_torch(folder / "rng_state.pth", rng)
        put_torch(folder / "training_args.bin", Custom(lr=1e-4))
        put_json(folder / "trainer_state.json", {"global_step": 500})
        words.append(f"{name}={folder}")
    return Made(words, sources)


@layout(Refused(["zero_to_fp32.py"]))
def foreign_2_zero_checkpoint(tmp: Path) -> Made:
    """A run of the same tree in ZeRO-3 parts."""
    folder = tmp / "out" / "run3" / "checkpoint-500"
    for rank in range(2):
        begin = folder / "global_step500" / f"zero_pp_rank_{rank}_mp_rank_00"
        put_torch(
            begin.with_name(f"{begin.name}_model_states.pt"),
            {
                "module": {"w": torch.empty(0)},
                "param_shapes": [{"w": torch.Size([64, 64])}],
            },
        )
        flat = {"fp32_flat_groups": [numbers(rank, 2336)], "zero_stage": 3}
        put_torch(
            begin.with_name(f"{begin.name}_optim_states.pt"),
            {"optimizer_state_dict": flat},
        )
    return Made([folder])


def _llama() -> State:
    names = [f"model.layers.0.self_attn.{n}_proj.weight" for n in "qvo"]
    state = {name: numbers(n, 64, 64) for n, name in enumerate(names)}
    state["model.embed_tokens.weight"] = numbers(5, 256, 64)
    state["lm_head.weight"] = numbers(6, 256, 64)
    return {name: value.bfloat16() for name, value in state.items()}


def _lora(seed: int, rank: int) -> State:
    state = {}
    for place, name in enumerate("qv"):
        begin = f"base_model.model.model.layers.0.self_attn.{name}_proj"
        state[f"{begin}.lora_A.weight"] = numbers(100 * seed + place, rank, 64)
        state[f"{begin}.lora_B.weight"] = numbers(100 * seed + place + 10, 64, rank)
    return state


def _config(folder: Path, rank: int, base: str, **more: Any) -> None:
    put_json(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "r": rank,
            "target_modules": ["q_proj", "v_proj"],
            "base_model_name_or_path": base,
            **more,
        },
    )


BASE = 90112


@layout(
    Read(
        {
            "base": BASE,
            "fr": BASE + 4096,
            "de": BASE + 16384,
            "law": BASE + 36864,
            "merged-fr": BASE,
        },
        163840,
        ["trained anew", "low-rank"],
        laminar=True,
    )
)
def foreign_3_adapters_and_merged(tmp: Path) -> Made:
    """A base, three adapters, one of them with lm_head, and a merged model."""
    base = put(tmp / "base" / "model.safetensors", _llama())
    adapters = tmp / "adapters"
    _config(adapters / "fr", 4, "../../base")
    lora = _lora(1, 4)
    fr = put(adapters / "fr" / "adapter_model.safetensors", lora)
    _config(adapters / "de", 16, "../../base")
    de = put_torch(adapters / "de" / "adapter_model.bin", _lora(2, 16))
    _config(adapters / "law", 4, "../../base", modules_to_save=["lm_head"])
    head = {"base_model.model.lm_head.weight": numbers(7, 256, 64).bfloat16()}
    law = put(adapters / "law" / "adapter_model.safetensors", _lora(3, 4) | head)
    merged = _llama()
    for name in "qv":
        whole = f"model.layers.0.self_attn.{name}_proj"
        begin = f"base_model.model.{whole}"
        delta = lora[f"{begin}.lora_B.weight"] @ lora[f"{begin}.lora_A.weight"] / 10
        merged[f"{whole}.weight"] = (merged[f"{whole}.weight"] + delta).bfloat16()
    done = put(tmp / "merged-fr" / "model.safetensors", merged)
    return Made(
        [
            *(tmp / "base", adapters / "fr", adapters / "de", adapters / "law"),
            tmp / "merged-fr",
        ],
        {
            "base": [Source(base)],
            "fr": [Source(base), Source(fr)],
            "de": [Source(base), Source(de)],
            "law": [Source(base), Source(law)],
            "merged-fr": [Source(done)],
        },
    )


@layout(Refused(["'meta-llama/Llama-3.2-1B'", "--base"]))
def foreign_3_orphan(tmp: Path) -> Made:
    """An adapter of a base that is not on the disk."""
    folder = tmp / "adapters" / "orphan"
    _config(folder, 4, "meta-llama/Llama-3.2-1B")
    put(folder / "adapter_model.safetensors", _lora(1, 4))
    return Made([folder])


def _tied_base() -> State:
    return {
        "model.embed_tokens.weight": numbers(1, 128, 32).bfloat16(),
        "model.layers.0.mlp.up.weight": numbers(2, 64, 32).bfloat16(),
        "model.layers.1.mlp.up.weight": numbers(3, 64, 32).bfloat16(),
        "model.norm.weight": numbers(4, 32).bfloat16(),
    }


def _cut(state: State, *counts: int) -> list[State]:
    items, parts = list(state.items()), []
    for count in counts:
        parts.append(dict(items[:count]))
        items = items[count:]
    return parts


def _in_two(folder: Path, state: State) -> list[Path]:
    shards = [folder / f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    parts = dict(zip(shards, _cut(state, 1, 3), strict=True))
    index(folder / "model.safetensors.index.json", parts)
    return shards


@layout(
    Read(
        {"base": 16448, "ft-a": 16448},
        20544,
        ["left out model.safetensors"],
        laminar=True,
    )
)
def foreign_4_resharded_and_tied(tmp: Path) -> Made:
    """Shards cut elsewhere, tied lm_head, and an old whole file beside the index."""
    base = _in_two(tmp / "base", _tied_base())
    put_json(tmp / "base" / "config.json", {"tie_word_embeddings": True})
    folder = tmp / "ft-a"
    state = _tied_base()
    state["model.layers.1.mlp.up.weight"] = numbers(9, 64, 32).bfloat16()
    embedding = state.pop("model.embed_tokens.weight")
    state |= {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding}
    shards = [folder / f"pytorch_model-0000{n}-of-00003.bin" for n in (1, 2, 3)]
    parts = dict(zip(shards, _cut(state, 2, 1, 2), strict=True))
    index(folder / "pytorch_model.bin.index.json", parts)
    old = {name: value + 1 for name, value in _tied_base().items()}
    old.pop("model.norm.weight")
    put(folder / "model.safetensors", old)
    return Made(
        [tmp / "base", folder],
        {"base": list(map(Source, base)), "ft-a": list(map(Source, shards))},
    )


@layout(Refused(["model-00002-of-00002.safetensors", "Git LFS pointer", "lfs pull"]))
def foreign_4_pointer_as_shard(tmp: Path) -> Made:
    """Two shards and an index, the second shard a Git LFS pointer."""
    _in_two(tmp / "ft-b", _tied_base())[1].write_text(LFS)
    return Made([tmp / "ft-b"])


@layout(
    Read(
        {"ref": 2368, "pl": 2408, "nanogpt": 2368, "ddp": 2368},
        3048,
        ["identical: ref, ddp"],
        laminar=True,
    )
)
def foreign_5_four_wrappings(tmp: Path) -> Made:
    """One network plain, from Lightning, from torch.compile and from DDP."""
    conv, fc = numbers(1, 16, 3, 3, 3), numbers(2, 10, 16)

    def state(prefix: str, last: torch.Tensor = fc) -> State:
        names = ("backbone.conv.weight", "backbone.fc.weight")
        return {f"{prefix}{n}": t for n, t in zip(names, (conv, last), strict=True)}

    ref = put(tmp / "ref" / "model.safetensors", state(""))
    lightning = put_torch(
        tmp / "pl" / "epoch=3-step=100.ckpt",
        {
            "epoch": 3,
            "global_step": 100,
            "pytorch-lightning_version": "2.2.0",
            "state_dict": state("model.") | {"criterion.weight": numbers(3, 10)},
            "optimizer_states": [
                {
                    "state": {0: {"exp_avg": numbers(4, 16, 3, 3, 3)}},
                    "param_groups": [{"lr": 0.1}],
                }
            ],
            "lr_schedulers": [],
            "callbacks": {
                "ModelCheckpoint{'monitor': 'acc'}": {
                    "best_model_score": torch.tensor(0.5),
                    "best_model_path": "x",
                }
            },
            "hyper_parameters": argparse.Namespace(lr=1e-3),
        },
    )
    (tmp / "pl" / "last.ckpt").symlink_to(lightning.name)
    nano = put_torch(
        tmp / "nanogpt" / "ckpt.pt",
        {
            "model": state("_orig_mod.", numbers(5, 10, 16)),
            "optimizer": {"state": {}, "param_groups": []},
            "iter_num": 100,
            "config": {"d": 16},
        },
    )
    ddp = put_torch(tmp / "ddp" / "weights.pth", state("module."))
    return Made(
        [
            *(tmp / "ref", f"pl={tmp / 'pl' / 'last.ckpt'}", f"nanogpt={nano}"),
            f"ddp={ddp}",
        ],
        {
            "ref": [Source(ref)],
            "pl": [Source(lightning, ("state_dict",))],
            "nanogpt": [Source(nano, ("model",))],
            "ddp": [Source(ddp)],
        },
    )


@layout(
    Read(
        {"base": 16512, "ft-fp32": 33024, "ft-mixed": 16640, "ft-fp16": 16512},
        # 74240 as its author has it, and the small norm of two models kept with each.
        74240 + 256,
        ["same values", "float32 instead of bfloat16", "256 bytes"],
        laminar=True,
    )
)
def foreign_6_mixed_types(tmp: Path) -> Made:
    """A family in bfloat16, float32, both, and float16 with an overflow."""
    a = (numbers(1, 64, 64).abs() % 1 + 0.5).bfloat16()
    b = (numbers(2, 64, 64).abs() % 1 + 0.5).bfloat16()
    b[3, 3] = 1e6
    norm = (numbers(3, 64).abs() % 1 + 0.5).bfloat16()
    trained = numbers(4, 64, 64) + 1
    states = {
        "base": {"a": a, "b": b, "norm": norm},
        "ft-fp32": {"a": a.float(), "b": trained, "norm": norm.float()},
        "ft-mixed": {"a": a, "b": (trained + 1).bfloat16(), "norm": norm.float()},
    }
    sources = {
        name: [Source(put(tmp / name / "model.safetensors", state))]
        for name, state in states.items()
    }
    put_json(tmp / "ft-fp32" / "config.json", {"torch_dtype": "bfloat16"})
    half = {name: value.half() for name, value in states["base"].items()}
    path = put_torch(tmp / "ft-fp16" / "pytorch_model.bin", half)
    return Made(
        [tmp / name for name in (*states, "ft-fp16")],
        sources | {"ft-fp16": [Source(path)]},
    )


@layout(
    Read(
        {"a": 37964, "b": 37964},
        2 * 37964,
        ["21,068 bytes"],
        silent=["sharing is laminar"],
    )
)
def foreign_7_no_weights(tmp: Path) -> Made:
    """Masks, ids, frequencies, ones, zeros and counters equal in unrelated models."""
    models = {}
    for seed, name in enumerate("ab"):
        state = {
            "attn.bias": torch.ones(128, 128, dtype=torch.uint8).tril()[None, None],
            "attn.masked_bias": torch.tensor(-1e4),
            "emb.position_ids": torch.arange(512)[None],
            "rotary.inv_freq": 1.0 / torch.arange(1, 17),
            "bn.weight": torch.ones(64),
            "bn.bias": torch.zeros(64),
            "bn.running_mean": numbers(10 + seed, 64),
            "bn.running_var": numbers(20 + seed, 64).abs(),
            "bn.num_batches_tracked": torch.tensor(5000),
            "fc.weight": numbers(30 + seed, 64, 64),
            "attn._extra_state": None,
        }
        value = {
            "state_dict": state,
            "epoch": 12,
            "arch": "x",
            "class_names": ["cat"],
            "best_acc": torch.tensor(0.9),
            "confusion": torch.ones(64, 64, dtype=torch.int64),
            "loss_history": numbers(40, 1000),
            "anchors": numbers(50, 9, 2),
        }
        path = put_torch(tmp / name / "model_best.pth.tar", value)
        models[name] = path
    return Made(
        [f"{name}={path}" for name, path in models.items()],
        {name: [Source(path, ("state_dict",))] for name, path in models.items()},
    )


@layout(
    Read(
        {"100000": 12288, "200000": 12288, "sr": 1024},
        20480 + 1024,
        ["'g_ema'", "'g'", "'d'", "'params_ema'", "'params'"],
    )
)
def foreign_8_gan_and_average(tmp: Path) -> Made:
    """Two GAN files with g, d and g_ema, and params beside params_ema."""
    mapping = numbers(1, 32, 32)
    models = {}
    for seed in (100000, 200000):
        value: dict[str, Any] = {
            "g": {"mapping.weight": mapping, "synth.weight": numbers(seed, 64, 32)},
            "d": {"conv.weight": numbers(seed + 1, 16, 32)},
            "g_ema": {
                "mapping.weight": mapping,
                "synth.weight": numbers(seed + 2, 64, 32),
            },
            "g_optim": {"state": {0: {"exp_avg": numbers(3, 64, 32)}}},
            "d_optim": {"state": {}},
            "ada_aug_p": 0.1,
        }
        models[f"{seed}"] = put_torch(tmp / "gan" / f"{seed}.pt", value)
    network = {
        "params": {"conv.weight": numbers(5, 16, 16)},
        "params_ema": {"conv.weight": numbers(6, 16, 16)},
    }
    path = put_torch(tmp / "sr" / "net_g_latest.pth", network)
    return Made(
        [*models.values(), f"sr={path}"],
        {name: [Source(one, ("g_ema",))] for name, one in models.items()}
        | {"sr": [Source(path, ("params_ema",))]},
    )


@layout(Refused(["torch.nn.modules.container.Sequential", "state_dict()"]))
def foreign_8_whole_module(tmp: Path) -> Made:
    """A whole module beside them."""
    network = torch.nn.Sequential(torch.nn.Linear(8, 8))
    return Made([put_torch(tmp / "gan" / "G_final.pt", network)])


@layout(
    Read(
        {"pipeA": 20352, "pipeB": 20352},
        24448,
        ["unet", "vae", "text_encoder", "fp16", "left out"],
        laminar=True,
    )
)
def foreign_9_pipelines(tmp: Path) -> Made:
    """Two pipelines with components, an fp16 variant and a .bin of one part."""
    unet = {"conv_in.weight": numbers(1, 32, 4, 3, 3), "mid.weight": numbers(2, 32, 32)}
    vae = {"conv_in.weight": numbers(3, 32, 3, 3, 3)}
    text = {"emb": numbers(4, 64, 32)}
    name = "diffusion_pytorch_model.safetensors"
    sources = {}
    for pipe, parts in (
        ("pipeA", unet),
        ("pipeB", unet | {"mid.weight": numbers(5, 32, 32)}),
    ):
        folder = tmp / pipe
        put_json(
            folder / "model_index.json",
            {
                "_class_name": "StableDiffusionPipeline",
                "unet": ["diffusers", "UNet2DConditionModel"],
                "vae": ["diffusers", "AutoencoderKL"],
                "text_encoder": ["transformers", "CLIPTextModel"],
                "scheduler": ["diffusers", "PNDMScheduler"],
            },
        )
        put_json(folder / "scheduler" / "scheduler_config.json", {})
        put_json(folder / "tokenizer" / "vocab.json", {})
        sources[pipe] = [
            Source(put(folder / "unet" / name, parts)),
            Source(put(folder / "vae" / name, vae)),
            Source(put(folder / "text_encoder" / "model.safetensors", text)),
        ]
    half = {n: t.half() for n, t in unet.items()}
    put(tmp / "pipeA" / "unet" / "diffusion_pytorch_model.fp16.safetensors", half)
    put_torch(tmp / "pipeA" / "text_encoder" / "pytorch_model.bin", text)
    return Made([tmp / "pipeA", tmp / "pipeB"], sources)


@layout(
    Read(
        {"base": 40960, "bnb-a": 35216, "bnb-b": 35216, "gptq": 35232},
        # 80944 as its author has it, and the tables of the format with each model.
        80944 + 144,
        ["144 bytes", "same values"],
        laminar=True,
    )
)
def foreign_10_quantised_siblings(tmp: Path) -> Made:
    """A base, two models in NF4 and one in GPTQ: packed bytes as stored."""
    embedding = numbers(1, 256, 64).bfloat16()
    embed, proj = "model.embed_tokens.weight", "model.layers.0.q_proj"
    states: dict[str, State] = {
        "base": {embed: embedding, f"{proj}.weight": numbers(2, 64, 64).bfloat16()}
    }
    for seed, name in enumerate(("bnb-a", "bnb-b"), 3):
        packed = torch.Generator().manual_seed(seed)
        states[name] = {
            embed: embedding,
            f"{proj}.weight": torch.randint(
                256, (2048, 1), dtype=torch.uint8, generator=packed
            ),
            f"{proj}.weight.absmax": numbers(seed, 64),
            f"{proj}.weight.quant_map": torch.linspace(-1, 1, 16),
            f"{proj}.weight.quant_state.bitsandbytes__nf4": torch.arange(
                80, dtype=torch.uint8
            ),
        }
    states["gptq"] = {
        embed: embedding.half(),
        f"{proj}.qweight": torch.randint(
            2**31 - 1,
            (8, 64),
            dtype=torch.int32,
            generator=torch.Generator().manual_seed(9),
        ),
        f"{proj}.qzeros": torch.arange(8, dtype=torch.int32)[None],
        f"{proj}.scales": numbers(6, 1, 64).half(),
        f"{proj}.g_idx": torch.arange(64, dtype=torch.int32) // 64,
    }
    sources = {
        name: [Source(put(tmp / name / "model.safetensors", state))]
        for name, state in states.items()
    }
    put_json(tmp / "gptq" / "config.json", {"quantization_config": {}})
    return Made([tmp / name for name in states], sources)


@layout(Refused(["GGUF", "safetensors"]))
def foreign_10_gguf(tmp: Path) -> Made:
    """A GGUF file among them."""
    (tmp / "gguf").mkdir()
    (tmp / "gguf" / "model-Q4_K_M.gguf").write_bytes(b"GGUF" + bytes(range(100)))
    return Made([tmp / "gguf"])
