"""What a member does next: one thing, or nothing, which the files and the ledger alone decide."""

import posixpath
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from hecli.errors import HecliError
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.training.applying import apply_round, others_differ, record_applied, stop_reason
from hecli.training.closing import Stage, close, enrolling, fixed_by, listed_in, missing_in, updating
from hecli.training.contributing import contribute, elsewhere, enroll, handed_in
from hecli.training.history import History, Round
from hecli.training.opening import (
    Closed,
    aggregate_round,
    answer_round,
    answers_needed,
    answers_of,
    combines,
    is_aggregated,
    make_partial,
    open_round,
    partials_of,
)
from hecli.training.planning import make_plan, plan_of
from hecli.training.session import SUM_FILE, Session

LARGE = (".enc", ".agg", ".part", ".ans", ".enroll", ".sum")
"""The suffixes of what is removed of old rounds."""


class Did(NamedTuple):
    """Something was done.

    Args:
        text: What.
    """

    text: str


class Awaits(NamedTuple):
    """There is nothing to do before others have done something.

    Args:
        what: What is awaited.
        names: Of whom.
        round: In which round.
    """

    what: str
    names: tuple[str, ...]
    round: int


class Current(NamedTuple):
    """A round that is going on.

    Args:
        round: The round.
        plan: Its plan.
        closing: The entry that fixes who is in it, once there is one.
        enrolled: The entry that says who enrolled, where parties may drop out.
    """

    round: Round
    plan: Plan
    closing: Link | None
    enrolled: Link | None


class Over(NamedTuple):
    """The training is over.

    Args:
        why: Why.
        failed: Whether it ended because it could not go on.
    """

    why: str
    failed: bool


Outcome = Did | Awaits | Over


def step(session: Session) -> Outcome:
    """Look at what is there, and do the next thing.

    Args:
        session: The run.

    Returns:
        What was done, or why nothing.

    Raises:
        HecliError: It cannot be done, or must not be.
    """
    history = session.look()
    applied = session.own.applied()
    number = len(applied) + 1
    if applied:
        _compare(session, history, applied)
    found = history.of(number)
    if found is not None and found.opened:
        return _apply(session, applied, found)
    if applied and (done := _unrecorded(session, history, applied)):
        return done
    if history.ended is not None:
        entry = history.ended.entry
        return Over(f"{entry.text or 'the coordinator ended it'} ({entry.party})", entry.event == "failed")
    if (why := stop_reason(session, applied)) is not None:
        if session.coordinates:
            _tidy(session, history)
        return Over(why, failed=False)
    if found is None or found.abandoned is not None:
        if session.coordinates:
            return Did(make_plan(session, applied, 1 if found is None else found.attempt + 1))
        return Awaits("the plan", (session.training.roster.coordinator,), number)
    if session.coordinates and session.training.keep:
        _tidy(session, history)
    return _in_round(session, history, applied, found)


def _in_round(session: Session, history: History, applied: Sequence[dict[str, Any]], found: Round) -> Outcome:
    """What there is to do in a round that is going on."""
    # The others wait for entries alone.
    session.watched = found.folder if session.may("aggregate") or session.may("sum") else ""
    plan = plan_of(session, applied, found)
    first = enrolling(session, found, plan)
    enrolled = None
    if first is not None:
        enrolled = fixed_by(session, found, first)
        if enrolled is None:
            own = session.file(session.name, first.suffix)
            if session.may("enrollment") and session.digest_of(found, own) is None:
                enroll(session, found, plan)
                return Did(f"round {found.number}: enrolled")
            return _gathering(session, found, first, "enrollments")
    second = updating(session, found, plan, enrolled)
    closing = fixed_by(session, found, second)
    if session.name in second.expected:
        done = _contribution(session, history, Current(found, plan, closing, enrolled))
        if done is not None:
            return done
    if closing is None:
        return _gathering(session, found, second, "updates")
    return _in_closed(session, Closed(found, plan, closing, enrolled))


def _contribution(session: Session, history: History, current: Current) -> Did | None:
    """A party's update, where it is missing, or was altered."""
    found, plan, closing, enrolled = current
    number, file = found.number, session.file(session.name, ".enc")
    mine = handed_in(session, found)
    if closing is not None and (
        mine is None or listed_in(session, closing, ".enc").get(session.name) != mine
    ):
        session.note(f"round {number}: was closed without this party's update")
        return None
    if number in session.skipped or (mine is not None and session.digest_of(found, file) == mine):
        return None
    if why := elsewhere(session, history.rounds, number, plan.subject):
        session.skipped[number] = why
        return Did(f"round {number}: left alone: {why}")
    try:
        return Did(contribute(session, found, plan, enrolled))
    except HecliError as error:
        if session.settings.train is None:
            raise
        session.skipped[number] = error.message
        hint = f"; {error.hint}" if error.hint else ""
        return Did(f"round {number}: skipped here: {error.message}{hint}")


def _in_closed(session: Session, found: Closed) -> Outcome:
    """What there is to do in a round whose contributors are fixed."""
    number = found.round.number
    if not is_aggregated(session, found):
        if session.may("aggregate"):
            return Did(aggregate_round(session, found))
        return Awaits("the aggregate", _makers(session, "aggregate"), number)
    needed = answers_needed(found)
    enrolled = {} if found.enrolled is None else listed_in(session, found.enrolled, ".enroll")
    if needed and session.name in enrolled and not _is_there(session, found, ".ans"):
        return Did(answer_round(session, found))
    sharing = found.plan.scheme.sharing
    holds = sharing is not None and session.may("partial") and session.secrets.share is not None
    if holds and not _is_there(session, found, ".part"):
        return Did(make_partial(session, found))
    if needed and len(answered := answers_of(session, found)) < needed:
        return Awaits("answers", tuple(name for name in enrolled if name not in answered), number)
    if sharing is not None and len(made := partials_of(session, found)) < sharing.threshold:
        makers = _makers(session, "partial")
        return Awaits("partials", tuple(name for name in makers if name not in made), number)
    if session.may("sum") and (sharing is None or combines(session)):
        return Did(open_round(session, found))
    return Awaits("the sum", _makers(session, "sum"), number)


def _is_there(session: Session, found: Closed, suffix: str) -> bool:
    """Whether one's own file is in the round's folder, as it was made."""
    kept = session.own.path(found.round.number, f"{found.plan.digest.hex()[:16]}{suffix}")
    if not kept.exists():
        return False
    name = session.file(session.name, suffix)
    with kept.open("rb") as stream, suppress(HecliError), session.opened(found.round, name) as there:
        return there.read() == stream.read()
    return False


def _gathering(session: Session, found: Round, stage: Stage, what: str) -> Did | Awaits:
    """Fix who is in a stage, or wait: for those who are missing, or for those who may fix it."""
    if session.may("aggregate"):
        done, missing = close(session, found, stage)
        return Did(done) if done else Awaits(what, missing, found.number)
    missing = missing_in(session, found, stage)
    if missing:
        return Awaits(what, missing, found.number)
    return Awaits("the closing", _makers(session, "aggregate"), found.number)


def _makers(session: Session, kind: str) -> tuple[str, ...]:
    return tuple(sorted(session.training.roster.makers(kind)))


def _apply(session: Session, applied: Sequence[dict[str, Any]], found: Round) -> Outcome:
    plan = plan_of(session, applied, found)
    first = enrolling(session, found, plan)
    enrolled = None if first is None else fixed_by(session, found, first)
    closing = fixed_by(session, found, updating(session, found, plan, enrolled))
    if closing is not None:
        closed = Closed(found, plan, closing, enrolled)
        if session.may("sum"):
            _put_back(session, closed)
        return Did(apply_round(session, closed, found.opened[0]))
    return Awaits("a sound closing", _makers(session, "aggregate"), found.number)


def _put_back(session: Session, found: Closed) -> None:
    """Put one's own sum back into the folder, where it was removed or altered."""
    kept = session.own.path(found.round.number, f"{found.plan.digest.hex()[:16]}.sum")
    if kept.exists() and not session.shared.exists(posixpath.join(found.round.folder, SUM_FILE)):
        session.publish(found.round, SUM_FILE, kept)


def _unrecorded(session: Session, history: History, applied: Sequence[dict[str, Any]]) -> Did | None:
    """Record the last model, where the run was stopped before it did."""
    last = history.of(len(applied))
    if last is None or session.name in last.applied:
        return None
    record_applied(session, last, applied[-1])
    return Did(f"round {len(applied)}: recorded the model")


def _compare(session: Session, history: History, applied: Sequence[dict[str, Any]]) -> None:
    """Name those whose model is another; theirs counts for nothing here."""
    last = history.of(len(applied))
    if last is None:
        return
    for name in others_differ(last, applied[-1]):
        session.note(f"round {last.number}: {name} says that it has another model; that is ignored")
    for name, link in last.refused.items():
        session.note(f"round {last.number}: {name} refuses the model: {link.entry.text}")


def _tidy(session: Session, history: History) -> None:
    """Remove old rounds' large files, once everybody has applied their sums."""
    keep, everybody = session.training.keep, {card.name for card in session.training.roster.members}
    if not keep:
        return
    last = max((each.number for each in history.rounds if each.opened), default=0)
    for each in history.rounds:
        gone = f"tidied {each.folder}"
        if each.number > last - keep or gone in session.noted:
            continue
        final = history.of(each.number)
        if final is None or not everybody <= final.applied.keys():
            continue
        for name in session.shared.list(each.folder):
            if name.endswith(LARGE):
                session.shared.remove(posixpath.join(each.folder, name))
        session.noted.add(gone)
