"""From the aggregate of a round to its sum: answered about, made partials of, and opened."""

import time
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError, UnreachableError
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
from hecli.training.compressing import basis_of
from hecli.training.files import digest_in
from hecli.training.history import History
from hecli.training.metrics import tensor_name, to_means
from hecli.training.session import AGGREGATE_FILE, SUM_FILE, Session, placeless


class Made(NamedTuple):
    """Who has made what opens a round.

    Args:
        answers: The names of those who answered.
        partials: The names of those who made a partial.
    """

    answers: list[str]
    partials: list[str]

    def open(
        self, session: Session, found: Closed, stack: ExitStack
    ) -> tuple[list[BinaryIO], list[BinaryIO]]:
        """Open the answers and the partials.

        Args:
            session: The run.
            found: The round.
            stack: For as long as it lasts.

        Returns:
            Their streams.
        """
        files = [(self.answers, ".ans"), (self.partials, ".part")]
        answers, partials = (
            session.open_round(stack, found.round, [session.file(name, suffix) for name in names])
            for names, suffix in files
        )
        return answers, partials


def answer_round(session: Session, found: Closed) -> str:
    """Reveal what takes the masks off the sum.

    Args:
        session: The party's run.
        found: The round.

    Returns:
        What was done.
    """
    kept = session.kept(found.round, ".ans")
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


def _answers_of(session: Session, found: Closed) -> list[str]:
    """Find the answers about a round that are sound at first sight, by the names of their makers."""
    present = set(listed_in(session, found.closing, ".enc"))
    enrolled = enrolled_in(session, found.enrolled)
    names = []
    for name in session.training.roster.parties:
        try:
            with session.opened(found.round, session.file(name, ".ans")) as stream:
                _, answer = open_answer(open_reader(stream), found.plan)
        except UnreachableError:
            raise
        except HecliError:
            continue
        if answer.party == name and answer.present == present and answer.enrolled == enrolled:
            names.append(name)
    return names


def made_in(session: Session, found: Closed) -> Made:
    """Find what was made to open a round, as far as it is sound at first sight.

    Args:
        session: The run.
        found: The round.

    Returns:
        Who made what.
    """
    answers = _answers_of(session, found) if answers_needed(found) else []
    return Made(answers, _partials_of(session, found) if found.plan.scheme.sharing is not None else [])


def answers_needed(found: Closed) -> int:
    """Say how many answers are needed to open a round.

    Args:
        found: The round.

    Returns:
        How many; 0 where none are.
    """
    masking = found.plan.masking
    if masking is None or ANSWERS not in found.plan.to_open:
        return 0
    return masking.needed(found.plan.capacity)


def _partials_of(session: Session, found: Closed) -> list[str]:
    """Find the partials of a round that are sound at first sight, by the names of their makers."""
    digest = session.digest_of(found.round, AGGREGATE_FILE)
    names = []
    for name in sorted(session.training.roster.makers("partial")):
        try:
            with session.opened(found.round, session.file(name, ".part")) as stream:
                made = open_partial(open_reader(stream), found.plan)
        except UnreachableError:
            raise
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
    kept = session.kept(found.round, ".part")
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


def open_round(session: Session, found: Closed, made: Made) -> str:
    """Open the sum of a round, and record it; it is published once it is known to be the first.

    Args:
        session: The keyholder's run.
        found: The round.
        made: Who has made what opens it.

    Returns:
        What was done.

    Raises:
        HecliError: It cannot be opened; where nobody ever can, that is recorded first.
    """
    start = time.monotonic()
    kept = session.kept(found.round, ".sum")
    if not kept.exists():
        try:
            with ExitStack() as stack, session.own.store.create(str(kept), secret=True) as out:
                _open(session, found, made, stack, out)
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

        def stale(history: History) -> bool:
            return bool(history.now(found.round).opened) and not found.round.opened

        session.record("opened", plan=found.plan.digest, files=files, stale=stale, seconds=seconds, **said)
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
        means = means_of(stream, names, plan, basis_of(session, plan)) if names else {}
    measured = to_means(session.training.metrics, means) if names else {}
    return {
        "clipped": header.clipped,
        "weight": header.weight,
        "metrics": {name: float(f"{value:.6g}") for name, value in measured.items()},
    }


def combines(session: Session, made: Made) -> bool:
    """Tell whether this member combines partials, so that not all do: the coordinator, or the first there.

    Args:
        session: The run.
        made: Who has made what opens the round.

    Returns:
        Whether it does.
    """
    coordinator = session.training.roster.coordinator
    if coordinator in session.training.roster.makers("sum"):
        return session.name == coordinator
    return session.name == min(made.partials)


def _open(session: Session, found: Closed, made: Made, stack: ExitStack, out: Any) -> None:
    updates, enrollments = found.updates(session, stack), found.enrollments(session, stack)
    aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
    answers, partials = made.open(session, found, stack)
    key = session.secrets.key
    common: dict[str, Any] = {
        "plan": found.plan,
        "identity": session.identity,
        "enrollments": enrollments,
        "answers": answers,
        "work": session.settings.work,
    }
    public = session.public_key() if found.plan.scheme.sharing is not None else None
    if public is not None:
        opened = combine(aggregated, partials, out, public, **common)
    else:
        if KEY in found.plan.to_open and key is None:
            raise RefusedError("this identity opens sums with a key", "pass --key, your .key file")
        record = session.secrets.opened if key is not None else None
        opened = decrypt(aggregated, out, key, updates=updates, record=record, **common)
    for each in opened.refused:
        session.note(f"round {found.round.number}: {each}; it was left out")
