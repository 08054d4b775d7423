"""From the aggregate of a round to its sum: answered about, made partials of, and opened."""

import time
from contextlib import ExitStack
from typing import Any

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.formats.text import duration
from hecli.plan.data import Plan
from hecli.rounds.answer import answer as write_answer
from hecli.rounds.combine import combine
from hecli.rounds.decrypt import decrypt
from hecli.rounds.enrollments import open_answer
from hecli.rounds.headers import Sum, open_partial, open_sum
from hecli.rounds.means import means_of
from hecli.rounds.opening import UnsoundError
from hecli.rounds.partial import partial
from hecli.schemes.interface import ANSWERS, KEY
from hecli.training.aggregating import VOID, Closed, is_void, recorded
from hecli.training.closing import enrolled_in, listed_in
from hecli.training.metrics import tensor_name, to_means
from hecli.training.session import (
    AGGREGATE_FILE,
    SUM_FILE,
    Session,
    digest_in,
    placeless,
    plan_key,
)


def answer_round(session: Session, found: Closed) -> str:
    """Reveal what takes the masks off the sum.

    Args:
        session: The party's run.
        found: The round.

    Returns:
        What was done.
    """
    kept = session.own.path(found.round.number, f"{plan_key(found.plan)}.ans")
    if not kept.exists():
        with ExitStack() as stack:
            updates, enrollments = found.updates(session, stack), found.enrollments(session, stack)
            aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
            out = stack.enter_context(session.own.store.create(str(kept), secret=True))
            made = write_answer(
                aggregated,
                out,
                session.identity,
                enrollments,
                updates,
                plan=found.plan,
                record=session.secrets.answered,
                work=session.settings.work,
            )
        session.checked.add((found.plan.digest, made.aggregate))
    session.publish(found.round, session.file(session.name, ".ans"), kept)
    return f"round {found.round.number}: answered"


def answers_of(session: Session, found: Closed) -> list[str]:
    """Find the answers about a round that are sound at first sight.

    Args:
        session: The run.
        found: The round.

    Returns:
        The names of those who answered.
    """
    present = set(listed_in(session, found.closing, ".enc"))
    enrolled = enrolled_in(session, found.enrolled)
    names = []
    for name in session.training.roster.parties:
        try:
            with session.opened(found.round, session.file(name, ".ans")) as stream:
                _, answer = open_answer(open_reader(stream), found.plan)
        except HecliError:
            continue
        if answer.party == name and answer.present == present and answer.enrolled == enrolled:
            names.append(name)
    return names


def answers_needed(found: Closed) -> int:
    """Say how many answers are needed to open a round.

    Args:
        found: The round.

    Returns:
        How many; 0 where none are.
    """
    scheme = found.plan.scheme
    if scheme.masking is None or ANSWERS not in scheme.to_open:
        return 0
    return scheme.masking.needed(found.plan.capacity)


def partials_of(session: Session, found: Closed) -> list[str]:
    """Find the partials of a round that are sound at first sight.

    Args:
        session: The run.
        found: The round.

    Returns:
        The names of those who made one.
    """
    digest = session.digest_of(found.round, AGGREGATE_FILE)
    names = []
    for name in sorted(session.training.roster.makers("partial")):
        try:
            with session.opened(found.round, session.file(name, ".part")) as stream:
                made = open_partial(open_reader(stream), found.plan)
        except HecliError:
            continue
        if made.aggregate == digest:
            names.append(name)
    return names


def make_partial(session: Session, found: Closed) -> str:
    """Make what this holder's share contributes to opening a round.

    Args:
        session: The holder's run.
        found: The round.

    Returns:
        What was done.
    """
    share = session.secrets.share
    if share is None:
        raise RefusedError("this identity opens sums with a share", "pass --key, your .share file")
    kept = session.own.path(found.round.number, f"{plan_key(found.plan)}.part")
    start = time.monotonic()
    if not kept.exists():
        with ExitStack() as stack:
            updates = found.updates(session, stack)
            aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
            out = stack.enter_context(session.own.store.create(str(kept), secret=True))
            made = partial(
                aggregated,
                out,
                share,
                plan=found.plan,
                updates=updates,
                identity=session.identity,
                record=session.secrets.opened,
                work=session.settings.work,
            )
        session.checked.add((found.plan.digest, made.partial.aggregate))
    session.publish(found.round, session.file(session.name, ".part"), kept)
    return f"round {found.round.number}: made a partial in {duration(time.monotonic() - start)}"


def open_round(session: Session, found: Closed) -> str:
    """Open the sum of a round, and record it; it is published once it is known to be the first.

    Args:
        session: The keyholder's run.
        found: The round.

    Returns:
        What was done.

    Raises:
        HecliError: It cannot be opened; where nobody ever can, that is recorded first.
    """
    start = time.monotonic()
    kept = session.own.path(found.round.number, f"{plan_key(found.plan)}.sum")
    if not kept.exists():
        try:
            with ExitStack() as stack, session.own.store.create(str(kept), secret=True) as out:
                _open(session, found, stack, out)
        except UnsoundError as error:
            text = placeless(session, found.round, error.message)
            session.record("failed", plan=found.plan.digest, text=text)
            raise
        except FormatError:
            if is_void(session, found):
                return f"round {found.round.number}: {VOID}"
            raise
    digest = digest_in(kept)
    if digest not in recorded(found.round.opened, SUM_FILE):
        aggregated = session.digest_of(found.round, AGGREGATE_FILE)
        files = [(AGGREGATE_FILE, aggregated or b""), (SUM_FILE, digest)]
        said = summary_of(session, kept, found.plan)
        seconds = round(time.monotonic() - start, 1)
        session.record("opened", plan=found.plan.digest, files=files, seconds=seconds, **said)
    return f"round {found.round.number}: opened in {duration(time.monotonic() - start)}"


def summary_of(session: Session, total: Any, plan: Plan) -> dict[str, Any]:
    """Say of a sum what its entry in the ledger says.

    Args:
        session: The run.
        total: Its path.
        plan: Its plan.

    Returns:
        Clipped values, weight, and the metrics.
    """
    with total.open("rb") as stream:
        header: Sum = open_sum(open_reader(stream), plan)
        names = {tensor_name(each.name) for each in session.training.metrics}
        means = to_means(session.training.metrics, means_of(stream, names, plan)) if names else {}
    return {
        "clipped": header.clipped,
        "weight": header.weight,
        "metrics": {name: float(f"{value:.6g}") for name, value in means.items()},
    }


def combines(session: Session, found: Closed) -> bool:
    """Tell whether this member combines partials, so that not all do: the coordinator, or the first there.

    Args:
        session: The run.
        found: The round.

    Returns:
        Whether it does.
    """
    coordinator = session.training.roster.coordinator
    if coordinator in session.training.roster.makers("sum"):
        return session.name == coordinator
    # They were there a moment ago; the folder is others' too.
    return session.name == min(partials_of(session, found), default=None)


def _open(session: Session, found: Closed, stack: ExitStack, out: Any) -> None:
    updates, enrollments = found.updates(session, stack), found.enrollments(session, stack)
    aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
    answers: list[Any] = []
    if answers_needed(found):
        names = [session.file(name, ".ans") for name in answers_of(session, found)]
        answers = session.open_round(stack, found.round, names)
    key, scheme = session.secrets.key, found.plan.scheme
    common: dict[str, Any] = {
        "plan": found.plan,
        "identity": session.identity,
        "enrollments": enrollments,
        "answers": answers,
        "work": session.settings.work,
    }
    if scheme.sharing is not None:
        names = [session.file(name, ".part") for name in partials_of(session, found)]
        public = session.public_key()
        assert public is not None
        opened = combine(aggregated, session.open_round(stack, found.round, names), out, public, **common)
    else:
        if KEY in scheme.to_open and key is None:
            raise RefusedError("this identity opens sums with a key", "pass --key, your .key file")
        record = session.secrets.opened if key is not None else None
        opened = decrypt(aggregated, out, key, updates=updates, record=record, **common)
    for each in opened.refused:
        session.note(f"round {found.round.number}: {each}; it was left out")
