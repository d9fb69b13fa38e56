"""Run a campaign: jobs in order, every result recorded, within a time limit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from edgesim.campaign.process import Answer, Worker
from edgesim.campaign.spec import Task
from edgesim.campaign.state import Ending, Record, State, write_state
from edgesim.errors import InputError
from edgesim.plugins import ConsentError
from edgesim.storage.files import make_folder
from edgesim.text import ABSENT, counted, plain, table

DONE_BEFORE = "done before"
LEFT = "left"
LOGS = "logs"

_READ_BYTES = 8192
_MOST_MESSAGE = 300


def check_own_code(tasks: Sequence[Task], *, allowed: bool) -> None:
    """Reject jobs that run the user's own code, unless that is allowed.

    Raises
    ------
    ConsentError
        Naming the first such job, and the word.
    """
    from edgesim.campaign.spec import own_code

    for task in tasks:
        word = own_code(task.words)
        if word is not None and not allowed:
            raise ConsentError(
                f"job {task.name}",
                f"{word!r} runs code that is not part of edgesim, which needs your "
                f"consent",
            )


def listing(tasks: Sequence[Task]) -> list[str]:
    """List what a campaign would run: every command, and the total seconds."""
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
    """Run the tasks not done yet, in order, and record how each ended.

    Parameters
    ----------
    tasks
        In order of priority; dependencies come earlier.
    folder
        Receives ``campaign.json`` after every job, and ``logs``.
    state
        State of earlier runs, as read by :func:`edgesim.campaign.state.open_state`.
    time_limit_s
        No job is started that is expected to end later, and a running one is stopped.
    say
        Receives progress lines for the user.

    Returns
    -------
    bool
        Whether all tasks are done.

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
        """Run a job, or report why it is skipped."""
        if self._is_done(task):
            self._endings[task.name] = DONE_BEFORE
            self._report(task, DONE_BEFORE)
            return
        done = {one.name for one in self._tasks if self._is_done(one)}
        missing = [name for name in task.after if name not in done]
        left_s = self._deadline_s - time.monotonic()
        if missing:
            self._report(task, f"waits for {', '.join(missing)}")
        elif task.expected_s > left_s:
            self._report(
                task,
                f"left out: needs about {task.expected_s:g} s, "
                f"{max(left_s, 0):.0f} s left",
            )
        else:
            self._run(task)

    def end(self) -> None:
        """End the worker and report how all jobs ended."""
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
        self._report(task, f"begins, about {task.expected_s:g} s expected")
        begin_s = time.monotonic()
        log = (self._folder / LOGS / f"{task.name}.txt").resolve()
        try:
            make_folder(log.parent)
            log.write_text(f"$ {task.command}\n", encoding="utf-8")
            _make_parents(task, self._folder)
        except (OSError, InputError) as error:
            self._record(task, "failed", begin_s, 1, f"cannot begin: {error}")
            return
        try:
            if self._worker is not None and not self._worker.alive:
                # Killed while idle: not this job's fault.
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
                ending, message = "failed", _failure_reason(answer, log)
        except BaseException:
            code = self._worker.stop().code if self._worker is not None else 1
            self._record(task, "stopped", begin_s, code, "interrupted")
            raise
        if answer.code == 0 and answer.died is None:
            ending, message = "done", ""
        self._record(task, ending, begin_s, answer.code, message)
        if answer.code not in (0, 2) or not answer.clean:
            self._end_worker()

    def _record(
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
        self._report(task, said)

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _report(self, task: Task, text: str) -> None:
        passed = int(time.monotonic() - self._start_s)
        self._say(f"{passed // 60}:{passed % 60:02}  {task.name}: {text}")


def _failure_reason(answer: Answer, log: Path) -> str:
    """Return why a job failed: the last error of its log, or the log's last line."""
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
    """Create the parent folders of a job's outputs, inside the campaign's folder."""
    for output in task.outputs:
        if output.is_relative_to(folder):
            make_folder(output.parent)
