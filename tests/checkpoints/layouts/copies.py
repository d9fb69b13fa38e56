"""Several copies of the weights in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.checkpoints.layouts.made import (
    LAYER,
    NET,
    Made,
    Read,
    Refused,
    Source,
    layout,
    net,
    numbers,
    put,
    put_torch,
)


def _saved(tmp: Path, value: Any, *key: str, options: tuple[str, ...] = ()) -> Made:
    path = put_torch(tmp / "m.pth", value)
    return Made([path, *options], {"m": [Source(path, key)]})


@layout(Read({"m": NET}, NET, ["'params_ema'", "left out", "'params'", "--key"]))
def params_and_ema(tmp: Path) -> Made:
    """An ESRGAN file: params and params_ema."""
    return _saved(tmp, {"params": net(1), "params_ema": net(2)}, "params_ema")


@layout(Read({"m": NET}, NET, ["'teacher'", "left out", "'student'"]))
def student_and_teacher(tmp: Path) -> Made:
    """A DINO file: student and teacher, an optimiser and numbers beside them."""
    value = {
        "student": net(1),
        "teacher": net(2),
        "optimizer": {"state": {0: {"exp_avg": numbers(1, 64)}}, "param_groups": []},
        "epoch": 3,
    }
    return _saved(tmp, value, "teacher")


@layout(Read({"m": NET}, NET, ["'G'", "left out", "'D'"]))
def generator_and_discriminator(tmp: Path) -> Made:
    """A GAN's file: G and D."""
    return _saved(tmp, {"G": net(1), "D": net(2, prefix="critic")}, "G")


@layout(Read({"m": NET}, NET, ["'G_ema'", "'G'", "'D'"]))
def generator_with_average(tmp: Path) -> Made:
    """A GAN's file: G, D and G_ema."""
    value = {"G": net(1), "D": net(2, prefix="critic"), "G_ema": net(3)}
    return _saved(tmp, value, "G_ema")


@layout(Read({"m": NET}, NET, ["'ema'", "left out", "'model'"]))
def model_and_ema(tmp: Path) -> Made:
    """A training file: model, ema, optimiser."""
    return _saved(tmp, {"model": net(1), "ema": net(2), "step": 7}, "ema")


@layout(Read({"m": NET}, NET, ["'ema_state_dict'", "'state_dict'"]))
def state_dict_and_ema(tmp: Path) -> Made:
    """state_dict and ema_state_dict."""
    value = {"state_dict": net(1), "ema_state_dict": net(2)}
    return _saved(tmp, value, "ema_state_dict")


@layout(Read({"m": NET}, NET, ["'ema'", "'model'"]))
def ema_with_module_and_decay(tmp: Path) -> Made:
    """An average with its decay beside the weights: ema.module."""
    value = {"model": net(1), "ema": {"decay": 0.999, "module": net(2)}}
    return _saved(tmp, value, "ema", "module")


@layout(Read({"m": NET}, NET, ["'model'", "left out", "'ema'"]))
def ema_as_list(tmp: Path) -> Made:
    """An average stored as a list without names, which cannot be the weights."""
    value = {"model": net(1), "ema": {"shadow_params": list(net(2).values())}}
    return _saved(tmp, value, "model")


@layout(Read({"m": NET}, NET, ["'params'", "'params_ema'"]))
def key_chosen(tmp: Path) -> Made:
    """params and params_ema, and --key params."""
    value = {"params": net(1), "params_ema": net(2)}
    return _saved(tmp, value, "params", options=("--key", "params"))


@layout(Read({"m": NET}, NET))
def key_chosen_below(tmp: Path) -> Made:
    """A key below another, chosen with a dot: --key nets.online."""
    value = {"nets": {"online": net(1), "target": net(2)}}
    return _saved(tmp, value, "nets", "online", options=("--key", "nets.online"))


@layout(Refused(["--key", "'parms'", "'params'", "'params_ema'"]))
def key_unknown(tmp: Path) -> Made:
    """A --key that the file does not hold."""
    path = put_torch(tmp / "m.pth", {"params": net(1), "params_ema": net(2)})
    return Made([path, "--key", "parms"])


@layout(Refused(["--key", "'ema'", "layers"]))
def key_of_plain_file(tmp: Path) -> Made:
    """A --key where the weights stand at the top."""
    return Made([put(tmp / "m.safetensors", net(1)), "--key", "ema"])


@layout(Read({"m": NET}, NET, silent=["too often", "twice"]))
def one_object_under_two_keys(tmp: Path) -> Made:
    """The same state under model and state_dict: one object, no cycle."""
    state = net(1)
    return _saved(tmp, {"model": state, "state_dict": state}, "model")


@layout(Read({"m": NET + LAYER}, NET + LAYER, silent=["too often"]))
def one_object_in_two_parts(tmp: Path) -> Made:
    """An encoder used by two parts of a model: one object, counted once."""
    encoder = net(1)
    head = {"weight": numbers(1, 64, 64), "bias": numbers(2, 64)}
    return _saved(tmp, {"left": encoder, "right": encoder, "top": head})


@layout(Read({"m": NET}, NET, ["'teacher'", "'student'"]))
def student_and_teacher_by_prefix(tmp: Path) -> Made:
    """The same by the prefix of names, in a safetensors file."""
    path = put(
        tmp / "m.safetensors",
        net(1, prefix="student.layers") | net(2, prefix="teacher.layers"),
    )
    return Made([path], {"m": [Source(path, prefix="teacher.")]})


@layout(Read({"m": NET}, NET, ["'teacher'", "'student'"]))
def student_with_a_head_more(tmp: Path) -> Made:
    """A student that has a head more than its teacher, by the prefix of names."""
    path = put(
        tmp / "m.safetensors",
        net(1, prefix="student.layers")
        | {"student.mask_token": numbers(1, 64)}
        | net(2, prefix="teacher.layers"),
    )
    return Made([path], {"m": [Source(path, prefix="teacher.")]})


@layout(Read({"m": NET}, NET, ["left out 'scaler'"]))
def module_left_out_by_its_name(tmp: Path) -> Made:
    """An encoder, and tensors under scaler, which may be training's: said."""
    value = {"encoder": net(1), "scaler": {"weight": numbers(1, 64)}}
    return _saved(tmp, value, "encoder")


@layout(Read({"m": NET + LAYER}, NET + LAYER))
def module_with_a_name_of_training(tmp: Path) -> Made:
    """Nested modules called optimizer_net and scaler: weights like others."""
    head = {"weight": numbers(1, 64, 64), "bias": numbers(2, 64)}
    value = {"body": {"scaler": net(1), "optimizer_net": head}}
    return _saved(tmp, {"model": value}, "model")


@layout(Read({"m": 2 * NET}, 2 * NET, ["'model_ema'", "'model'"]))
def stable_diffusion_with_ema(tmp: Path) -> Made:
    """A Stable Diffusion file: model, model_ema without dots, first_stage_model."""
    averaged = {
        name.replace(".", ""): value for name, value in net(2, prefix="unet").items()
    }
    state = (
        net(1, prefix="model.unet")
        | {f"model_ema.{name}": value for name, value in averaged.items()}
        | net(3, prefix="first_stage_model")
    )
    path = put_torch(tmp / "m.ckpt", {"state_dict": state, "global_step": 3})
    key = ("state_dict",)
    return Made(
        [path],
        {
            "m": [
                Source(path, key, "model_ema."),
                Source(path, key, "first_stage_model."),
            ]
        },
    )


@layout(Read({"m": NET}, NET, ["encoder_q", "encoder_k"]))
def momentum_encoder_by_prefix(tmp: Path) -> Made:
    """A MoCo file: module.encoder_q and its momentum copy module.encoder_k."""
    state = net(1, prefix="module.encoder_q") | net(2, prefix="module.encoder_k")
    path = put_torch(tmp / "m.pth.tar", {"state_dict": state, "epoch": 200})
    return Made(
        [f"m={path}"],
        {"m": [Source(path, ("state_dict",), "module.encoder_q.")]},
    )


@layout(Read({"m": NET + LAYER}, NET + LAYER, ["'encoder'", "'head'"]))
def parts_under_two_keys(tmp: Path) -> Made:
    """An encoder and a head under two keys: parts of one model."""
    head = {"weight": numbers(1, 64, 64), "bias": numbers(2, 64)}
    return _saved(tmp, {"encoder": net(1), "head": head})


@layout(Read({"m": NET}, NET, ["'best'", "left out", "'last'", "--key"]))
def copies_under_other_keys(tmp: Path) -> Made:
    """Two states of the same names under keys that say nothing known."""
    return _saved(tmp, {"best": net(1), "last": net(2)}, "best")


@layout(Read({"m": NET}, NET, silent=["exp_avg"]))
def optimiser_beside(tmp: Path) -> Made:
    """Weights, optimiser and scheduler, as a training loop saves them."""
    import torch

    network = torch.nn.Linear(64, 64)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(64)).sum().backward()
    optimiser.step()
    value = {
        "epoch": 1,
        "model_state_dict": net(1),
        "optimizer_state_dict": optimiser.state_dict(),
        "scheduler": {"last_epoch": 1, "_step_count": 2},
        "scaler": {},
        "loss": torch.tensor(0.3),
    }
    return _saved(tmp, value, "model_state_dict")


@layout(Read({"cats": NET, "dogs": NET}, 2 * NET - 3 * LAYER, ["'ema'"], laminar=True))
def copies_in_both(tmp: Path) -> Made:
    """Two fine-tunes with model and ema: the same copy is read of both."""
    paths = [
        put_torch(
            tmp / f"{name}.pt",
            {"model": net(seed, frozen=3), "ema": net(seed + 10, frozen=3)},
        )
        for seed, name in ((1, "cats"), (2, "dogs"))
    ]
    return Made(paths, {path.stem: [Source(path, ("ema",))] for path in paths})
