"""From the updates of a round to its sum: aggregated, answered about, and opened."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats.reader import open_reader
from hecli.formats.text import count, duration
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.rounds.aggregate import aggregate
from hecli.rounds.answer import answer as write_answer
from hecli.rounds.combine import combine
from hecli.rounds.decrypt import decrypt
from hecli.rounds.enrollments import open_answer
from hecli.rounds.headers import Sum, open_blocks, open_partial, open_sum
from hecli.rounds.means import means_of
from hecli.rounds.opening import UnsoundError
from hecli.rounds.partial import partial
from hecli.rounds.progress import no_progress
from hecli.rounds.verify_aggregate import check_recomputed
from hecli.schemes.interface import ANSWERS, KEY
from hecli.training.closing import enrolled_in, gather, listed_in, lists_unsound, updating
from hecli.training.history import Round
from hecli.training.metrics import tensor_name, to_means
from hecli.training.session import (
    AGGREGATE_FILE,
    SUM_FILE,
    Session,
    digest_in,
    open_listed,
    placeless,
    plan_key,
)

VOID = "was closed with an unsound update, which is void"


class Closed(NamedTuple):
    """A round whose contributors are fixed.

    Args:
        round: The round.
        plan: Its plan.
        closing: The entry that fixes them.
        enrolled: The entry that says who enrolled, where parties may drop out.
    """

    round: Round
    plan: Plan
    closing: Link
    enrolled: Link | None

    def updates(self, session: Session, stack: ExitStack) -> list[Any]:
        """Open the updates that are in it.

        Args:
            session: The run.
            stack: For as long as it lasts.

        Returns:
            Their streams.
        """
        return open_listed(session, stack, self.round, self.closing.entry.files)

    def enrollments(self, session: Session, stack: ExitStack) -> list[Any]:
        """Open the enrollments, where there are any.

        Args:
            session: The run.
            stack: For as long as it lasts.

        Returns:
            Their streams.
        """
        if self.enrolled is None:
            return []
        return open_listed(session, stack, self.round, self.enrolled.entry.files)


def aggregate_round(session: Session, found: Closed) -> str:
    """Multiply the updates of a round, and record it.

    Args:
        session: The aggregator's run.
        found: The round.

    Returns:
        What was done.
    """
    start = time.monotonic()
    kept = session.own.path(found.round.number, f"{plan_key(found.plan)}.agg")
    with ExitStack() as stack:
        updates = found.updates(session, stack)
        if not kept.exists():
            try:
                with session.own.store.create(str(kept), secret=True) as out:
                    aggregate(
                        updates, out, plan=found.plan, identity=session.identity, work=session.settings.work
                    )
            except FormatError:
                if _is_void(session, found):
                    return f"round {found.round.number}: {VOID}"
                raise
    digest = digest_in(kept)
    session.publish(found.round, AGGREGATE_FILE, kept)
    if digest not in recorded(found.round.aggregated, AGGREGATE_FILE):
        seconds = round(time.monotonic() - start, 1)
        session.record("aggregate", plan=found.plan.digest, files=[(AGGREGATE_FILE, digest)], seconds=seconds)
    return f"round {found.round.number}: aggregated {count(len(found.closing.entry.files), 'update')}"


def is_aggregated(session: Session, found: Closed) -> bool:
    """Tell whether the aggregate of a round is recorded, and there.

    Args:
        session: The run.
        found: The round.

    Returns:
        Whether it is.
    """
    digest = session.digest_of(found.round, AGGREGATE_FILE)
    if digest is None or digest not in recorded(found.round.aggregated, AGGREGATE_FILE):
        return False
    kept = session.own.path(found.round.number, f"{plan_key(found.plan)}.agg")
    if not kept.exists() or session.in_place(found.round, AGGREGATE_FILE, kept):
        return True
    # Two who made it at once would take turns for ever to put their own there.
    return _is_by_another(session, found)


def spoiled_in(session: Session, found: Closed) -> tuple[str, ...]:
    """Find those whose files in a closed round are not what was listed, or not whole.

    Args:
        session: The run.
        found: The round.

    Returns:
        The names of parties and, for the aggregate, of those who may make one.
    """
    listed = listed_in(session, found.closing, ".enc")
    enrolled = {} if found.enrolled is None else listed_in(session, found.enrolled, ".enroll")
    files = [({name}, session.file(name, ".enc"), {digest}) for name, digest in listed.items()]
    files += [({name}, session.file(name, ".enroll"), {digest}) for name, digest in enrolled.items()]
    if made := recorded(found.round.aggregated, AGGREGATE_FILE):
        files.append((set(session.training.roster.makers("aggregate")), AGGREGATE_FILE, made))
    names: set[str] = set()
    for makers, file, digests in files:
        try:
            with session.opened(found.round, file) as stream:
                reader = open_reader(stream)
                reader.verify()
                sound = reader.digest in digests
        except HecliError:
            sound = False
        if not sound:
            names |= makers
    return tuple(sorted(names))


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
            if _is_void(session, found):
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


def check_aggregate(session: Session, found: Closed, digest: bytes) -> None:
    """Make the aggregate of a round again from the updates, whose proofs are checked, and compare.

    That is done once: digests of what was made again, here or before an answer
    or a partial, are kept for as long as the run lasts.

    Args:
        session: The run.
        found: The round.
        digest: The digest of the aggregate that its sum names.

    Raises:
        HecliError: It is something else, or an update is not sound.
    """
    with ExitStack() as stack:
        aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
        reader = open_reader(aggregated)
        if reader.digest != digest:
            raise MismatchError(
                f"{reader.name}: is not the aggregate that was opened", "its maker puts it back"
            )
        if (found.plan.digest, digest) in session.checked:
            return
        blocks = open_blocks(reader, found.plan)
        # Damage shows in the digests, and is not taken for fraud.
        reader.verify()
        updates = found.updates(session, stack)
        check_recomputed(reader, blocks, updates, session.settings.work, no_progress)
        session.checked.add((found.plan.digest, digest))


def recorded(links: Sequence[Link], name: str) -> set[bytes]:
    """Give the digests of a file that entries have.

    Args:
        links: The entries.
        name: The file's name.

    Returns:
        The digests.
    """
    return {digest for link in links for file, digest in link.entry.files if file == name}


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


def _is_by_another(session: Session, found: Closed) -> bool:
    """Whether the aggregate in the folder is signed by somebody else who may make it."""
    try:
        with session.opened(found.round, AGGREGATE_FILE) as stream:
            card = signer_of(open_reader(stream), found.plan.digest)
    except HecliError:
        return False
    roster = session.training.roster
    return card in [roster.cards[name] for name in roster.makers("aggregate") if name != session.name]


def _is_void(session: Session, found: Closed) -> bool:
    """Whether an update's proof does not hold, which makes the entry void that listed it."""
    gather(session, found.round, updating(session, found.round, found.plan, found.enrolled))
    return lists_unsound(session, found.closing)


def _open(session: Session, found: Closed, stack: ExitStack, out: Any) -> None:
    updates, enrollments = found.updates(session, stack), found.enrollments(session, stack)
    aggregated = stack.enter_context(session.opened(found.round, AGGREGATE_FILE))
    answers: Sequence[Any] = []
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
