"""What a member does next: one thing, or nothing, which the files and the ledger alone decide."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from hecli.errors import FormatError, HecliError, MismatchError, RefusedError, UnreachableError
from hecli.formats.text import duration
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.rounds.opening import UnsoundError
from hecli.training.aggregating import Closed, aggregate_round, is_aggregated, spoiled_in
from hecli.training.applying import (
    CheckFailedError,
    apply_round,
    others_differ,
    record_applied,
    refuse,
    spent_reason,
    stop_reason,
)
from hecli.training.closing import Stage, close, enrolling, fixed_by, listed_in, missing_in, updating
from hecli.training.contributing import contribute, elsewhere, enroll, handed_in, is_mine
from hecli.training.fixing import TrainingError, fix, fixed_for
from hecli.training.history import History, Round
from hecli.training.keeping import put_back, restore, tidy
from hecli.training.opening import (
    Made,
    answer_round,
    answers_needed,
    combines,
    made_in,
    make_partial,
    open_round,
)
from hecli.training.planning import has_plan, make_plan, plan_of, put_plan_back
from hecli.training.session import SUM_FILE, Session


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
    restore(session, history)
    found = history.of(number)
    # A plan beyond what was promised is none, whoever made it.
    spent = spent_reason(session.training, _attempts_before(history, found))
    if found is not None and found.opened and not spent:
        return _apply(session, applied, found)
    if applied and (done := _unrecorded(session, history, applied)):
        return done
    if history.ended is not None:
        entry = history.ended.entry
        return Over(f"{entry.text or 'the coordinator ended it'} ({entry.party})", entry.event == "failed")
    if (why := stop_reason(session.training, applied) or spent) is not None:
        if session.coordinates:
            tidy(session, history)
        return Over(why, failed=False)
    if found is None or found.abandoned is not None:
        if session.coordinates:
            return Did(make_plan(session, applied, 1 if found is None else found.attempt + 1))
        return Awaits("the plan", (session.training.roster.coordinator,), number)
    if session.coordinates and session.training.keep:
        tidy(session, history)
    return _in_round(session, history, applied, found)


def _attempts_before(history: History, found: Round | None) -> int:
    """How many attempts at rounds there were before the one that is to be gone on with, or made."""
    if found is None or found.abandoned is not None:
        return len(history.rounds)
    return next(at for at, each in enumerate(history.rounds) if each is found)


def _in_round(session: Session, history: History, applied: Sequence[dict[str, Any]], found: Round) -> Outcome:
    """What there is to do in a round that is going on."""
    # The others wait for entries alone.
    session.watched = found.folder if session.may("aggregate") or session.may("sum") else ""
    if not has_plan(session, found):
        return _lacks_plan(session, found)
    plan = plan_of(session, applied, found)
    if session.coordinates:
        put_plan_back(session, found)
    first = enrolling(session, found, plan)
    enrolled = None
    if first is not None:
        enrolled = fixed_by(session, found, first)
        own, kept = session.file(session.name, first.suffix), session.kept(found, first.suffix)
        missing = session.may("enrollment") and not session.in_place(found, own, kept)
        # Another machine of the party's may have enrolled.
        missing = missing and (kept.exists() or not is_mine(session, found, own))
        if missing and (enrolled is None or kept.exists()):
            enroll(session, found, plan)
            return Did(f"round {found.number}: enrolled")
        if enrolled is None:
            return _gathering(session, found, first, "enrollments")
    second = updating(session, found, plan, enrolled)
    closing = fixed_by(session, found, second)
    if session.name in second.expected:
        done = _contribution(session, history, Current(found, plan, closing, enrolled))
        if done is not None:
            return done
    if closing is None:
        return _gathering(session, found, second, "updates")
    closed = Closed(found, plan, closing, enrolled)
    try:
        return _in_closed(session, closed)
    except HecliError as error:
        return _damaged(session, closed, error)


def _lacks_plan(session: Session, found: Round) -> Awaits:
    """Wait for the plan of a round: where files are copied one by one, its entry can be there before it."""
    return Awaits("the plan", (session.training.roster.coordinator,), found.number)


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
    kept = session.kept(found, ".enc")
    if found.digest in session.passed or session.in_place(found, file, kept):
        return None
    if why := elsewhere(session, history.rounds, number, plan.subject):
        _skip(session, found, why)
        return Did(f"round {number}: left alone: {why}")
    fixed = fixed_for(session, number, plan)
    if fixed is not None:
        session.skipped.pop(number, None)
        return Did(contribute(session, found, plan, enrolled, fixed))
    if session.secrets.account is not None:
        # What costs too much need not be trained for.
        session.secrets.account.check(plan)
    start = time.monotonic()
    session.say(f"round {number}: training")
    try:
        fix(session, found, plan)
    except TrainingError as error:
        _skip(session, found, error.message)
        hint = f"; {error.hint}" if error.hint else ""
        return Did(f"round {number}: skipped here: {error.message}{hint}; to try again, start this run again")
    return Did(f"round {number}: trained in {duration(time.monotonic() - start)}")


def _skip(session: Session, found: Round, why: str) -> None:
    session.passed.add(found.digest)
    session.skipped[found.number] = why


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
    made = made_in(session, found)
    if (lacking := _lacking(session, found, made)) is not None:
        return lacking
    if session.may("sum") and (sharing is None or combines(session, made)):
        return _open(session, found, made)
    return Awaits("the sum", _makers(session, "sum"), number)


def _lacking(session: Session, found: Closed, made: Made, *, everybody: bool = False) -> Awaits | None:
    """Wait for answers or partials: where too few are there to open a round, or not those of everybody."""
    number, needed, sharing = found.round.number, answers_needed(found), found.plan.scheme.sharing
    if needed:
        enrolled = [] if found.enrolled is None else sorted(listed_in(session, found.enrolled, ".enroll"))
        if len(made.answers) < (len(enrolled) if everybody else needed):
            return Awaits("answers", tuple(name for name in enrolled if name not in made.answers), number)
    if sharing is not None:
        makers = _makers(session, "partial")
        if len(made.partials) < (len(makers) if everybody else sharing.threshold):
            return Awaits("partials", tuple(name for name in makers if name not in made.partials), number)
    return None


def _open(session: Session, found: Closed, made: Made) -> Outcome:
    """Open a round; where an answer or a partial does not hold, wait for those of the others."""
    others = _lacking(session, found, made, everybody=True)
    if others is not None and session.refuted.get(found.plan.digest) == made:
        return others
    try:
        return Did(open_round(session, found, made))
    except UnsoundError:
        raise
    except UnreachableError:
        raise
    except HecliError as error:
        # The folder is others' too: what was there can be gone.
        if (lacking := _lacking(session, found, made_in(session, found))) is not None:
            return lacking
        if not isinstance(error, FormatError) or others is None or spoiled_in(session, found):
            raise
        session.note(f"round {found.round.number}: {error.message}")
        session.refuted[found.plan.digest] = made
        return others


def _is_there(session: Session, found: Closed, suffix: str) -> bool:
    """Whether one's own file is in the round's folder, as it was made."""
    kept = session.kept(found.round, suffix)
    return session.in_place(found.round, session.file(session.name, suffix), kept)


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
    if not has_plan(session, found):
        return _lacks_plan(session, found)
    plan = plan_of(session, applied, found)
    first = enrolling(session, found, plan)
    enrolled = None if first is None else fixed_by(session, found, first)
    closing = fixed_by(session, found, updating(session, found, plan, enrolled))
    if closing is not None:
        closed = Closed(found, plan, closing, enrolled)
        if not _sum_is_there(session, closed, found.opened[0]):
            return Awaits("the sum", (found.opened[0].signer.name,), found.number)
        try:
            return Did(apply_round(session, closed, found.opened[0]))
        except RefusedError as error:
            # Whoever opened it had enough of them: these were taken away since.
            if (lacking := _lacking(session, closed, made_in(session, closed))) is not None:
                return lacking
            # Where there is noise, a word about the data is left unsaid: it would not be accounted for.
            if not (isinstance(error, CheckFailedError) and plan.privacy is not None):
                refuse(session, closed, error)
            raise
        except HecliError as error:
            if not spoiled_in(session, closed):
                if isinstance(error, FormatError | MismatchError):
                    refuse(session, closed, error)
                raise
            return _damaged(session, closed, error)
    return Awaits("a sound closing", _makers(session, "aggregate"), found.number)


def _damaged(session: Session, found: Closed, error: HecliError) -> Awaits:
    """Wait for those whose files were altered after they were listed, and who alone can put them back."""
    # What does not answer says nothing of what is there.
    names = () if isinstance(error, UnreachableError) else spoiled_in(session, found)
    if not names:
        raise error
    session.note(f"round {found.round.number}: {error.message}; its maker has to put it back")
    return Awaits("a whole file", names, found.round.number)


def _sum_is_there(session: Session, found: Closed, opened: Link) -> bool:
    """Whether the sum that counts is in the folder, where only its maker puts it: the first in the ledger."""
    if put_back(session, found.round):
        return True
    return session.digest_of(found.round, SUM_FILE) == dict(opened.entry.files).get(SUM_FILE)


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
