"""A copy of the tree, in which tests run in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import Phase, settings

from tests.mutation.targets import COPIED, REPOSITORY

# A failure is enough; which of its cases is the smallest does not matter here.
settings.register_profile(
    "mutants",
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
)

MEMORY_BYTES = 8 * 2**30
"""Address space of a process: a mutant that allocates without end dies of it."""


class Sandbox:
    """The tree in a folder of its own, and how long each test of it takes.

    Parameters
    ----------
    folder
        An empty folder outside the repository.
    """

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self._log = folder / "log"
        self._times = folder / "durations.json"
        self._temporary = folder / "temporary"
        for name in COPIED:
            source, target = REPOSITORY / name, self.tree / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, ignore=ignored)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        self.durations: dict[str, float] = {}

    def measure(self, files: Sequence[str]) -> float:
        """Run tests that must pass, note what each takes, and return all in s.

        Raises
        ------
        RuntimeError
            If one fails.
        """
        started_s = time.monotonic()
        code = self._run(files, limit_s=600.0, keep=True)
        if code != 0:
            raise RuntimeError(f"{files} fail without a mutant:\n{self.log()}")
        self.durations |= json.loads(self._times.read_text())
        return time.monotonic() - started_s

    def notice(
        self, path: str, source: str, files: Sequence[str], limit_s: float
    ) -> str:
        """Say what notices a changed module.

        Parameters
        ----------
        path, source
            The module's file, and its text with a mutant.
        files
            Tests to run, the fastest first, until one fails.
        limit_s
            Time after which the module is taken to run for ever.

        Returns
        -------
        str
            ``test``, ``import`` (it cannot even be loaded), ``time``, or nothing.
        """
        target = self.tree / path
        kept = target.read_text(encoding="utf-8")
        for stale in target.parent.glob(f"__pycache__/{target.stem}.*"):
            stale.unlink()
        target.write_text(source, encoding="utf-8")
        try:
            code = self._run(files, limit_s, keep=False)
        finally:
            target.write_text(kept, encoding="utf-8")
        if code is None:
            return "time"
        return {0: "", 1: "test"}.get(code, "import")

    def log(self) -> str:
        """Return the end of what the last process wrote."""
        return self._log.read_text(errors="replace")[-2000:]

    def _run(self, files: Sequence[str], limit_s: float, keep: bool) -> int | None:
        """Run tests in a child; return its code, or None if it took too long."""
        child = os.fork()
        if child == 0:
            try:
                self._be_tested(files, keep)
            finally:  # nothing of the parent may go on here
                traceback.print_exc()
                os._exit(70)
        until_s = time.monotonic() + limit_s
        try:
            while time.monotonic() < until_s:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.005)
            return None
        finally:  # also where an interrupt ends this
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _be_tested(self, files: Sequence[str], keep: bool) -> NoReturn:
        """Turn this process into one that runs tests of the copied tree."""
        os.setsid()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        os.chdir(self.tree)
        outside = [path for path in sys.path if Path(path).resolve() != REPOSITORY]
        sys.path[:] = [str(self.tree), *outside]
        os.environ["PYTHONPATH"] = str(self.tree)
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]
        if not keep:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        words = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not long and not gpu"]
        words += ["--hypothesis-profile=mutants", f"--basetemp={self._temporary}"]
        words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        order = _FastestFirst(self.durations)
        code = pytest.main([*words, *files], plugins=[order])
        if keep:
            self._times.write_text(json.dumps(order.taken))
        os._exit(code)


class _FastestFirst:
    """Order tests by the time that they took before, and note what they take."""

    def __init__(self, durations: dict[str, float]) -> None:
        self._durations = durations
        self.taken: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._durations.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self.taken.get(report.nodeid, 0.0)
        self.taken[report.nodeid] = before + report.duration
