"""Campaign files, and code of the user's own that a job can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OWN_MODULE = """
import os
import signal
import subprocess
import sys
import time


def dies():
    os._exit(7)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def raises():
    raise BaseException("the device is gone")


def sleeps():
    note("sleeps")
    time.sleep(60)


def stubborn():
    # Neither it nor its child hears SIGTERM.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note("sleeps", str(child.pid))
    time.sleep(60)


def spoils():
    sys.argv = ["spoilt"]
    sys.path.insert(0, "/nowhere")
    os.environ["SPOILT"] = "yes"
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise ValueError("spoilt")


def tells():
    raise ValueError(
        f"pid={os.getpid()} cwd={os.getcwd()} spoilt={os.environ.get('SPOILT')} "
        f"nowhere={'/nowhere' in sys.path} stdin={sys.stdin.read()!r}"
    )


def note(name, more=""):
    with open(f"{name}.part", "w") as file:
        file.write(f"{os.getpid()} {more}")
    os.rename(f"{name}.part", name)
"""
"""A module whose functions pretend to be factories of networks."""


def write_own(folder: Path) -> None:
    """Write the module ``own``, found by jobs whose current folder this is."""
    (folder / "own.py").write_text(OWN_MODULE)


def measure(function: str) -> str:
    """Write the command that calls a function of ``own``."""
    return f"edgesim profile measure own:{function} --device cpu --out {{out}}/x.json"


def job(name: str, command: str, expected_s: float = 1, **more: Any) -> dict[str, Any]:
    """Make one job."""
    return {"name": name, "command": command, "expected_s": expected_s, **more}


def write(file: Path, *jobs: dict[str, Any], **more: Any) -> Path:
    """Write a campaign file; JSON's strings, numbers and lists are also TOML's."""
    content = {"schema": "edgesim.campaign/1", "name": "tried", **more}
    words = content.pop("words", {})
    lines = [f"{key} = {json.dumps(value)}" for key, value in content.items()]
    lines += [
        "[words]",
        *(f"{key} = {json.dumps(text)}" for key, text in words.items()),
    ]
    for one in jobs:
        lines.append("[[jobs]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in one.items()]
    file.write_text("\n".join(lines) + "\n")
    return file
