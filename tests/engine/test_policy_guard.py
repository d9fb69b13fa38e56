"""What goes wrong in a policy is told as its error: what, and where in its file."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgesim.engine.policies.in_order import Fcfs
from edgesim.engine.policy import Policy, PolicyError, View
from edgesim.engine.request import ActiveRequest, Arrival
from edgesim.engine.server import Server, simulate
from edgesim.engine.settings import Settings
from edgesim.errors import InputError
from edgesim.plugins import Ending
from solvers import RefusalError
from tests.engine.test_server import A, B, make_tables

ARRIVALS = [Arrival(0.0, 0, A, 0.25, 9.0), Arrival(0.0, 1, B, 0.25, 9.0)]


class OddError(Exception):
    """Its constructor takes other arguments than its ``args``: SimPy cannot copy it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


class Asks(Policy):
    """Takes whoever waits, but does something else first in one of its hooks."""

    def __init__(self, hook: str, act: Callable[[Server], Any]) -> None:
        self._hook = hook
        self._act = act

    def _answer(self, hook: str, server: Server, usual: Any) -> Any:
        return self._act(server) if hook == self._hook else usual

    def start(self, server: Server) -> None:
        """Begin."""
        self._answer("start", server, None)

    def admit(self, server: Server, request: ActiveRequest) -> str | None:
        """Take everybody."""
        del request
        return self._answer("admit", server, None)  # type: ignore[no-any-return]

    def ready(self, server: Server, request: ActiveRequest) -> None:
        """Note nothing."""
        del request
        self._answer("ready", server, None)

    def choose(self, server: Server) -> Sequence[ActiveRequest] | None:
        """Choose the first of a queue."""
        usual = next((queue[:1] for queue in server.waiting if queue), None)
        return self._answer("choose", server, usual)  # type: ignore[no-any-return]

    def join(
        self, server: Server, batch: Sequence[ActiveRequest], room: int
    ) -> Sequence[ActiveRequest]:
        """Let nobody join."""
        del batch, room
        return self._answer("join", server, ())  # type: ignore[no-any-return]


def run(hook: str, act: Callable[[Server], Any]) -> None:
    """Run two requests, or three where somebody is to join."""
    more = [Arrival(0.0, 2, A, 0.25, 9.0)] if hook == "join" else []
    simulate(make_tables(), ARRIVALS + more, Asks(hook, act), Settings())


def fail_oddly(_: Server) -> None:
    """Raise what SimPy could not raise again."""
    raise OddError("a", "b")


@pytest.mark.parametrize("hook", ["start", "admit", "ready", "choose", "join"])
def test_a_policy_that_raises_is_told_with_its_hook_and_its_line(hook: str) -> None:
    """Whatever its exception is made of; the exception itself is the last cause."""
    with pytest.raises(PolicyError) as caught:
        run(hook, fail_oddly)
    line = inspect.getsourcelines(fail_oddly)[1] + 2
    place = f"{Path(__file__).name}:{line}"
    assert str(caught.value) == f"{hook} raised OddError: 'ab', at {place}"
    last: BaseException = caught.value
    while last.__cause__ is not None:
        last = last.__cause__
    assert isinstance(last, OddError)


def test_the_line_is_the_policys_own_where_others_code_raises() -> None:
    """A wrong index in the policy, noticed in the library's code."""
    with pytest.raises(
        PolicyError, match=r"choose raised IndexError: .*test_policy_guard"
    ):
        run("choose", lambda server: server.fits_beside(99))


@pytest.mark.parametrize("error", [InputError("here", "is wrong"), RefusalError("no")])
def test_what_says_all_there_is_to_say_is_passed_on(error: Exception) -> None:
    """A solver's refusal, or options that are found wrong only now."""

    def refuse(_: Server) -> None:
        raise error

    with pytest.raises(type(error), match=str(error)):
        run("choose", refuse)


@pytest.mark.parametrize(
    ("hook", "answer", "message"),
    [
        ("choose", 5, "choose answered 5, which is no sequence"),
        ("choose", [3], "choose answered 3, which is no request"),
        ("choose", "all", "choose answered 'a', which is no request"),
        ("join", None, "join answered None, which is no sequence"),
        ("join", [None], "join answered None, which is no request"),
        ("admit", True, "a reason to turn a request away must be a text, found True"),
        ("admit", "", "a reason to turn a request away must be a text, found ''"),
    ],
)
def test_answers_that_are_none_are_told(hook: str, answer: Any, message: str) -> None:
    """Numbers, texts and the like in place of requests or reasons."""
    with pytest.raises(PolicyError) as caught:
        run(hook, lambda _: answer)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [tuple, iter, dict.fromkeys])
def test_requests_may_come_in_any_form(
    kind: Callable[[list[ActiveRequest]], Any],
) -> None:
    """As a tuple, one by one, or as the keys of a dictionary."""

    def first(server: Server) -> Any:
        return kind(next((queue[:1] for queue in server.waiting if queue), []))

    found = simulate(make_tables(), ARRIVALS, Asks("choose", first), Settings())
    assert found.requests.outcome.tolist() == [0, 0]


def test_a_request_is_not_dropped_while_it_is_asked_whether_to_take_it() -> None:
    """It is not there yet: its reason is the answer."""

    class Drops(Asks):
        def admit(self, server: Server, request: ActiveRequest) -> str | None:
            server.drop(request, "full")
            return None

    policy = Drops("none", lambda _: None)
    with pytest.raises(PolicyError, match=r"admit dropped .* return the reason"):
        simulate(make_tables(), ARRIVALS, policy, Settings())


@pytest.mark.parametrize("time_s", [-1.0, math.nan, math.inf])
def test_a_policy_cannot_be_woken_at_no_time(time_s: float) -> None:
    """In the past, or never: the simulation would not end in good order."""
    with pytest.raises(PolicyError, match=r"asked to be woken at .* not before now"):
        run("choose", lambda server: server.wake_at(time_s))


def test_a_policy_that_wakes_itself_for_ever_is_told() -> None:
    """No time would pass, and the run would never end."""
    with pytest.raises(PolicyError, match=r"times to be woken at once, at 0\.0 s"):
        run("choose", lambda server: server.wake_at(server.now_s))


@pytest.mark.parametrize("step_s", [0.0, 1e-300, 1e-12, 1e-9])
def test_a_policy_for_which_time_hardly_passes_is_told(step_s: float) -> None:
    """Steps of which a second would take days, also beside a wake that is far."""

    def wake(server: Server) -> None:
        server.wake_at(server.now_s + 5)
        server.wake_at(server.now_s + step_s)

    with pytest.raises(PolicyError, match="100,000 times to be woken at once"):
        run("choose", wake)


def test_a_policy_may_wake_itself_often() -> None:
    """If time passes all the same, or it asks a few times at each moment."""
    wakes = 0

    def wake(server: Server) -> None:
        nonlocal wakes
        wakes += 1
        server.wake_at(server.now_s + (1e-3 if wakes % 200 == 0 else 0.0))

    with pytest.raises(PolicyError, match="ZeroDivisionError"):
        simulate(
            make_tables(),
            ARRIVALS,
            Asks("choose", lambda s: wake(s) if wakes < 150_000 else 1 / 0),
            Settings(),
        )


class ForeignError(BaseException):
    """No Exception, and without a text."""

    def __str__(self) -> str:
        """Fail."""
        raise SystemExit(0)


@pytest.mark.parametrize("hook", ["start", "admit", "ready", "choose", "join"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(0), "SystemExit: '0'"),
        (GeneratorExit(), r"GeneratorExit\(\)"),
        (ForeignError(), "ForeignError"),
    ],
)
def test_a_policy_cannot_end_the_process(
    hook: str, error: BaseException, said: str
) -> None:
    """A command would end in silence, and with the exit code of success."""

    def end(_: Server) -> None:
        raise error

    with pytest.raises(PolicyError, match=f"^{hook} raised {said}, at test_policy"):
        run(hook, end)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Ending(143)])
def test_a_signal_is_no_failure_of_the_policy(error: BaseException) -> None:
    """It comes while the policy is at work, and ends the process as it should."""

    def interrupted(_: Server) -> None:
        raise error

    with pytest.raises(type(error)):
        run("choose", interrupted)


@pytest.mark.parametrize("hook", ["choose", "join"])
def test_an_answer_without_end_is_told(hook: str) -> None:
    """Of the same request again and again, or of what is none."""

    def endless(server: Server) -> Any:
        waiting = [request for queue in server.waiting for request in queue]
        return itertools.cycle(waiting) if waiting else None

    with pytest.raises(PolicyError, match=f"{hook} answered a request twice"):
        run(hook, endless)
    with pytest.raises(PolicyError, match=f"{hook} answered 0, which is no request"):
        run(hook, lambda _: itertools.count())


class Unprintable(list[int]):
    """Its text cannot be made."""

    def __repr__(self) -> str:
        """Fail."""
        raise ValueError("no text")


@pytest.mark.parametrize("hook", ["admit", "choose", "join"])
def test_an_answer_that_has_no_text_is_told(hook: str) -> None:
    """By its type."""
    with pytest.raises(PolicyError, match=r"found an unprintable|no request"):
        run(hook, lambda _: Unprintable([1]) if hook == "admit" else [Unprintable()])


def test_a_reason_to_drop_is_a_text() -> None:
    """It is written into the records."""
    with pytest.raises(PolicyError, match="must be a text, found None"):
        run("choose", lambda s: [s.drop(q[0], None) for q in s.waiting if q])


def test_a_policy_that_takes_requests_out_of_the_queues_is_told() -> None:
    """Nobody is lost unnoticed."""
    with pytest.raises(PolicyError, match=r"AttributeError.*'clear'"):
        run("choose", lambda server: [q.clear() for q in server.waiting] and None)


@pytest.mark.parametrize("hook", ["admit", "choose"])
@pytest.mark.parametrize("fact", ["deadline_s", "arrival_s", "model"])
def test_a_policy_cannot_change_what_a_request_says(hook: str, fact: str) -> None:
    """A deadline of its own making would be believed by every measure."""

    class Changes(Fcfs):
        def admit(self, server: View, request: ActiveRequest) -> str | None:
            if hook == "admit":
                setattr(request, fact, getattr(request, fact) + 1)
            return None

        def choose(self, server: View) -> Sequence[ActiveRequest] | None:
            chosen = super().choose(server)
            for request in chosen or ():
                if hook == "choose":
                    setattr(request, fact, getattr(request, fact) + 1)
            return chosen

    with pytest.raises(PolicyError):
        simulate(make_tables(), ARRIVALS, Changes(), Settings())
