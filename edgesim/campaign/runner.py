"""Running a campaign: jobs in order, each result kept, a limit that is held."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgesim.campaign.process import Answer, Worker
from edgesim.campaign.spec import Task
from edgesim.campaign.state import Ending, Record, State, write_state
from edgesim.errors import InputError, Parameter
from edgesim.files import make_folder
from edgesim.text import ABSENT, counted, plain, table

DONE_BEFORE = "done before"
LEFT = "left"
LOGS = "logs"

_READ_BYTES = 8192
_MOST_MESSAGE = 300


def check_own_code(tasks: Sequence[Task], *, allowed: bool) -> None:
    """Refuse jobs that run the user's own code, unless that is allowed.

    Raises
    ------
    InputError
        Naming the first such job, the word, and what allows it.
    """
    from edgesim.campaign.spec import own_code

    for task in tasks:
        word = own_code(task.words)
        if word is not None and not allowed:
            raise InputError(
                f"job {task.name}",
                f"{word!r} runs code that is not part of edgesim; give ",
                Parameter("allowed", True),
                " if you trust it",
            )


def listing(tasks: Sequence[Task]) -> list[str]:
    """Write what a campaign would run: every command, and the seconds of all."""
    lines = []
    for task in tasks:
        after = f", after {', '.join(task.after)}" if task.after else ""
        lines += [
            f"{task.name} (about {task.expected_s:g} s{after})",
            f"  {task.command}",
        ]
    total_s = sum(task.expected_s for task in tasks)
    return [*lines, f"{counted(len(tasks), 'job')}, about {total_s:g} s"]


def run_tasks(
    tasks: Sequence[Task],
    folder: Path,
    state: State,
    *,
    time_limit_s: float | None,
    say: Callable[[str], None],
) -> bool:
    """Run what is not done yet, in order, and keep how each ended.

    Parameters
    ----------
    tasks
        In order of worth; dependencies stand earlier.
    folder
        Gets ``campaign.json`` after every job, and ``logs``.
    state
        What earlier runs left, as :func:`edgesim.campaign.state.open_state` reads it.
    time_limit_s
        No job is begun that is expected to end later, and one that runs is stopped.
    say
        Takes lines for the person who waits.

    Returns
    -------
    bool
        Whether all are done.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        When interrupted or asked to end, once the job has been stopped and that
        recorded.
    """
    running = _Running(tasks, folder, state, time_limit_s, say)
    try:
        for task in tasks:
            running.take(task)
    finally:
        running.end()
    return running.all_done


class _Running:
    """A campaign while it runs."""

    def __init__(
        self,
        tasks: Sequence[Task],
        folder: Path,
        state: State,
        time_limit_s: float | None,
        say: Callable[[str], None],
    ) -> None:
        self._tasks = tasks
        self._folder = folder
        self._state = state
        self._say = say
        self._start_s = time.monotonic()
        limit_s = math.inf if time_limit_s is None else time_limit_s
        self._deadline_s = self._start_s + limit_s
        self._worker: Worker | None = None
        self._endings: dict[str, str] = {}
        make_folder(folder / LOGS)
        write_state(folder, state)

    @property
    def all_done(self) -> bool:
        return all(self._is_done(task) for task in self._tasks)

    def take(self, task: Task) -> None:
        """Run a job, or say why not."""
        if self._is_done(task):
            self._endings[task.name] = DONE_BEFORE
            self._tell(task, DONE_BEFORE)
            return
        done = {one.name for one in self._tasks if self._is_done(one)}
        missing = [name for name in task.after if name not in done]
        left_s = self._deadline_s - time.monotonic()
        if missing:
            self._tell(task, f"waits for {', '.join(missing)}")
        elif task.expected_s > left_s:
            self._tell(
                task,
                f"left out: needs about {task.expected_s:g} s, "
                f"{max(left_s, 0):.0f} s left",
            )
        else:
            self._run(task)

    def end(self) -> None:
        """End the worker and say how all ended."""
        self._end_worker()
        rows = []
        for task in self._tasks:
            ending = self._endings.get(task.name, LEFT)
            record = self._state.jobs.get(task.name)
            known = record is not None and ending != LEFT
            took = f"{record.seconds:.1f}" if record and known else ABSENT
            rows.append((task.name, ending, took, f"{task.expected_s:g}"))
        self._say("\n".join(table(("job", "state", "seconds", "expected"), rows, 2)))
        left = sum(not self._is_done(task) for task in self._tasks)
        if left:
            self._say(
                f"{left} of {counted(len(self._tasks), 'job')} not done; the same "
                f"command continues"
            )

    def _is_done(self, task: Task) -> bool:
        return self._state.is_done(task)

    def _run(self, task: Task) -> None:
        self._tell(task, f"begins, about {task.expected_s:g} s expected")
        begin_s = time.monotonic()
        log = (self._folder / LOGS / f"{task.name}.txt").resolve()
        try:
            make_folder(log.parent)
            log.write_text(f"$ {task.command}\n", encoding="utf-8")
            _make_parents(task, self._folder)
        except (OSError, InputError) as error:
            self._keep(task, "failed", begin_s, 1, f"cannot begin: {error}")
            return
        try:
            if self._worker is not None and not self._worker.alive:
                # Killed while it had nothing to do: no fault of this job.
                self._end_worker()
            if self._worker is None:
                self._worker = Worker(log)
            self._worker.send(task.words, log)
            answer = self._worker.answer(self._deadline_s)
            if answer is None:
                answer = self._worker.stop()
                ending: Ending = "stopped"
                message = "stopped at the time limit"
            else:
                ending, message = "failed", _why(answer, log)
        except BaseException:
            code = self._worker.stop().code if self._worker is not None else 1
            self._keep(task, "stopped", begin_s, code, "interrupted")
            raise
        if answer.code == 0 and answer.died is None:
            ending, message = "done", ""
        self._keep(task, ending, begin_s, answer.code, message)
        if answer.code not in (0, 2) or not answer.clean:
            self._end_worker()

    def _keep(
        self, task: Task, ending: Ending, begin_s: float, code: int, message: str
    ) -> None:
        record = Record(
            command=task.command,
            state=ending,
            seconds=round(time.monotonic() - begin_s, 3),
            expected_s=task.expected_s,
            exit_code=code,
            message=message,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        self._state = self._state.with_record(task.name, record)
        write_state(self._folder, self._state)
        self._endings[task.name] = ending
        said = f"{ending} after {record.seconds:.1f} s"
        if ending == "failed":
            said += f" with exit code {code}: {message} ({LOGS}/{task.name}.txt)"
        elif ending == "stopped":
            said = f"{message} after {record.seconds:.1f} s"
        self._tell(task, said)

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _tell(self, task: Task, text: str) -> None:
        passed = int(time.monotonic() - self._start_s)
        self._say(f"{passed // 60}:{passed % 60:02}  {task.name}: {text}")


def _why(answer: Answer, log: Path) -> str:
    """Say why a job failed: the last error of its log, or the log's last line."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _READ_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        text = f"its log cannot be read: {error.strerror}"
    lines = [plain(line) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("$ edgesim")]
    errors = [line for line in lines if line.startswith("error: ")]
    last = (errors or lines or [""])[-1][:_MOST_MESSAGE]
    if answer.died is None:
        return last or "it printed nothing"
    return f"{answer.died}: {last}" if last and answer.code < 128 else answer.died


def _make_parents(task: Task, folder: Path) -> None:
    """Make the folders in which a job's outputs are to be, inside the campaign's."""
    for output in task.outputs:
        if output.is_relative_to(folder):
            make_folder(output.parent)
