"""The loop of a member's run: one step after the other, and waiting in between."""

import time
from collections.abc import Callable

from hecli.errors import RefusedError, UnreachableError
from hecli.training.applying import stop_reason
from hecli.training.history import History, Round
from hecli.training.session import Glimpse, Session
from hecli.training.stepping import Awaits, Did, Over, step

SHORTEST, LONGEST = 0.05, 5.0
"""Seconds between two looks: soon after something happened, later less often."""

GLANCE, RARELY = 0.01, 1.0
"""Seconds between two glances at what was added, likewise: one ends the wait for the next look."""

FAR = 10
"""How many times as long as a glance takes nothing is asked after it."""

CLOSED = "who is in a closed round stays in it; wait for its sum, or end the training with --end"

Shown = Callable[[Awaits, float], None]
"""Shows what is awaited, and for how many seconds."""


def run(session: Session, *, once: bool, waiting: Shown) -> Awaits | Over:
    """Do whatever the member's roles call for, until the training is over.

    Args:
        session: The run.
        once: Whether to end as soon as others are awaited.
        waiting: Told what is awaited, again and again.

    Returns:
        Why it ended.

    Raises:
        HecliError: Something cannot be done, or must not be.
    """
    pause, since, last = SHORTEST, time.monotonic(), None
    lost = False
    while True:
        try:
            # Before the step: what is added while it is taken ends the wait after it.
            seen = session.glance()
            with session.own.locked():
                outcome = step(session)
        except UnreachableError as error:
            if once:
                raise
            if not lost:
                session.say(f"{error.message}; it is tried again until it does")
            lost = True
            time.sleep(LONGEST)
            continue
        if lost:
            session.say("the storage answers again")
            lost = False
        if isinstance(outcome, Did):
            session.say(outcome.text)
            pause, since, last = SHORTEST, time.monotonic(), None
            continue
        if once or isinstance(outcome, Over):
            return outcome
        if outcome != last:
            pause, since, last = SHORTEST, time.monotonic(), outcome
        waiting(outcome, time.monotonic() - since)
        _wait(session, seen, since, time.monotonic() + pause)
        pause = min(pause * 1.2, LONGEST)


def end(session: Session, reason: str) -> str:
    """End the training, before its time.

    Args:
        session: The coordinator's run.
        reason: Why.

    Returns:
        What was done.

    Raises:
        RefusedError: Somebody else may not.
    """
    _require_coordinator(session, "end a training")
    ended = session.look().ended
    if ended is not None or stop_reason(session.training, session.own.applied()) is not None:
        raise RefusedError("the training is over already", "a new one can go on from its model")
    session.record("ended", text=reason, stale=lambda history: history.ended is not None)
    return f"the training was ended: {reason}"


def abandon(session: Session, reason: str) -> str:
    """Give up a round that nothing was closed in, for a new plan.

    Args:
        session: The coordinator's run.
        reason: Why.

    Returns:
        What was done.

    Raises:
        RefusedError: Somebody else may not, or it is too late.
    """
    _require_coordinator(session, "abandon a round")
    found = _current(session.look())
    if found is None or found.closed or found.opened:
        raise RefusedError(
            "there is no round to abandon: none was begun, or it was closed",
            CLOSED,
        )
    session.record(
        "abandoned", plan=found.digest, text=reason, stale=lambda history: not _open_in(history, found)
    )
    if session.look().rounds[-1].abandoned is None:
        raise RefusedError(f"round {found.number} was closed just before it was given up", CLOSED)
    return f"round {found.number}: abandoned: {reason}"


def _wait(session: Session, seen: Glimpse, since: float, end: float) -> None:
    """Wait until then, or until something was added to what was seen."""
    while (now := time.monotonic()) < end and _same(session, seen):
        # Storage that is far away is asked less often.
        took = time.monotonic() - now
        pause = min(max(GLANCE, (now - since) / 50, FAR * took), RARELY)
        time.sleep(max(0.0, min(end - time.monotonic(), pause)))


def _same(session: Session, seen: Glimpse) -> bool:
    """Whether nothing was added, as far as anybody knows."""
    try:
        return session.glance() == seen
    except UnreachableError:
        return True


def _open_in(history: History, round_: Round) -> bool:
    """Whether a round is still one that nothing was closed in."""
    found = _current(history)
    return found is not None and found.digest == round_.digest and not found.closed and not found.opened


def _current(history: History) -> Round | None:
    return history.rounds[-1] if history.rounds and not history.rounds[-1].abandoned else None


def _require_coordinator(session: Session, what: str) -> None:
    if not session.coordinates:
        coordinator = session.training.roster.coordinator
        raise RefusedError(f"only the coordinator may {what}", f"that is {coordinator}")
