"""The plan of a round: made by the coordinator, derived and compared by everybody."""

import posixpath
import secrets
from collections.abc import Sequence
from typing import Any

from hecli.codec.low_rank import LowRank
from hecli.errors import FormatError, HecliError, UnreachableError
from hecli.formats.envelope import HEADER_LIMIT
from hecli.formats.reader import open_reader
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.files import read_plan, write_plan
from hecli.plan.position import Position
from hecli.training.deriving import After, check_derived, derive_plan
from hecli.training.files import named
from hecli.training.history import History, Round, round_folder
from hecli.training.session import PLAN_FILE, Session

PLAN_LIMIT = HEADER_LIMIT + 1024
"""Most bytes of a plan."""


def derived(session: Session, applied: Sequence[dict[str, Any]], attempt: int, id: bytes) -> Plan:
    """Derive the plan of the round that comes next for this member.

    Args:
        session: The run.
        applied: What came of the rounds before.
        attempt: The number of the attempt.
        id: The plan's id.

    Returns:
        The plan.
    """
    last = applied[-1] if applied else None
    position = Position(
        training=session.terms,
        round=len(applied) + 1,
        attempt=attempt,
        model=session.training.model if last is None else bytes.fromhex(last["model"]),
        previous=b"" if last is None else bytes.fromhex(last["sum"]),
    )
    return derive_plan(session.training, position, None if last is None else _after(last), id)


def make_plan(session: Session, applied: Sequence[dict[str, Any]], attempt: int) -> str:
    """Make the plan of the next round, and record it.

    Args:
        session: The coordinator's run.
        applied: What came of the rounds before.
        attempt: The number of the attempt.

    Returns:
        What was done.
    """
    path = posixpath.join(round_folder(len(applied) + 1, attempt), PLAN_FILE)
    plan = _made_before(session, applied, attempt, path)
    if plan is None:
        plan = derived(session, applied, attempt, secrets.token_bytes(ID_SIZE))
        with session.shared.create(path, replace=True) as out:
            write_plan(plan, out, session.identity)
    with session.shared.open(path) as stream:
        digest = open_reader(stream).digest
    number = len(applied) + 1

    def stale(history: History) -> bool:
        found = history.of(number)
        return history.ended is not None or (found is not None and found.attempt >= attempt)

    session.record("plan", plan=plan.digest, files=[(PLAN_FILE, digest)], text=plan.name, stale=stale)
    bits = plan.codec.quantise.bits
    return f"round {number}: planned, {plan.geometry.values:,} values of {bits} bits"


def has_plan(session: Session, round_: Round) -> bool:
    """Tell whether there is a plan to be read, whatever is in it.

    Args:
        session: The run.
        round_: The round.

    Returns:
        Whether there is: in the folder, or kept from an earlier look.
    """
    if session.kept(round_, ".plan").exists():
        return True
    try:
        with session.opened(round_, PLAN_FILE) as stream:
            open_reader(named(stream.read(PLAN_LIMIT), PLAN_FILE)).verify()
    except UnreachableError:
        raise
    except HecliError:
        return False
    return True


def put_plan_back(session: Session, round_: Round) -> None:
    """Put the plan that was kept into the round's folder, where it is not as it was made.

    Args:
        session: The coordinator's run.
        round_: The round.
    """
    kept = session.kept(round_, ".plan")
    if kept.exists() and not session.in_place(round_, PLAN_FILE, kept):
        session.publish(round_, PLAN_FILE, kept)


def plan_of(session: Session, applied: Sequence[dict[str, Any]], round_: Round) -> Plan:
    """Read the plan of a round, and see that it is the one that follows.

    Args:
        session: The run.
        applied: What came of the rounds before.
        round_: The round.

    Returns:
        The plan.

    Raises:
        FormatError: It is not there, or not the one in the ledger.
        MismatchError: It is not the one that follows from the training.
    """
    if round_.digest in session.plans:
        return session.plans[round_.digest]
    kept = session.kept(round_, ".plan")
    if kept.exists():
        data = kept.read_bytes()
    else:
        with session.opened(round_, PLAN_FILE) as stream:
            data = stream.read(PLAN_LIMIT)
    name = posixpath.join(round_.folder, PLAN_FILE)
    coordinator = session.training.roster.cards[session.training.roster.coordinator]
    plan = read_plan(open_reader(named(data, name)), coordinator)
    if plan.digest != round_.digest:
        raise FormatError(f"{name}: is not the plan that the ledger has", "the coordinator puts it back")
    check_derived(plan, derived(session, applied, round_.attempt, plan.id), name)
    if not kept.exists():
        # Also kept to know, by one's own clock, since when the round has been there.
        with session.own.store.create(str(kept), secret=True) as out:
            out.write(data)
    session.plans[round_.digest] = plan
    return plan


def seconds_since_plan(session: Session, round_: Round, now: float) -> float:
    """Say how long this member has known the plan of a round.

    Args:
        session: The run.
        round_: The round, whose plan was read.
        now: What the member's clock says.

    Returns:
        Seconds.
    """
    return now - session.kept(round_, ".plan").stat().st_mtime


def _after(last: dict[str, Any]) -> After:
    """What the last round's sum called for, as it was written down."""
    low_rank = None
    if last["basis"] is not None:
        rank, side, digest = last["basis"]
        low_rank = LowRank(rank, side, bytes.fromhex(digest))
    return After(tuple(last["steps"]), low_rank)


def _made_before(session: Session, applied: Sequence[dict[str, Any]], attempt: int, path: str) -> Plan | None:
    """The plan that is there since this run was stopped before it recorded it."""
    coordinator = session.identity.card
    try:
        with session.shared.open(path) as stream:
            plan = read_plan(open_reader(stream), coordinator)
        check_derived(plan, derived(session, applied, attempt, plan.id), path)
    except UnreachableError:
        raise
    except HecliError:
        return None
    return plan
