"""A round whose contributors are fixed: its files, its aggregate, and what of them is damaged."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from hecli.errors import FormatError, HecliError, MismatchError, UnreachableError
from hecli.formats.reader import open_reader
from hecli.formats.text import count
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.rounds.aggregate import aggregate
from hecli.rounds.headers import open_blocks
from hecli.rounds.progress import no_progress
from hecli.rounds.slices import extent_of
from hecli.rounds.verify_aggregate import check_recomputed
from hecli.training.closing import gather, listed_in, lists_unsound, updating
from hecli.training.files import digest_in
from hecli.training.history import Round
from hecli.training.session import AGGREGATE_FILE, Session, open_listed

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
    kept = session.kept(found.round, ".agg")
    with ExitStack() as stack:
        updates = found.updates(session, stack)
        if not kept.exists():
            try:
                with session.own.store.create(str(kept), secret=True) as out:
                    aggregate(
                        updates, out, plan=found.plan, identity=session.identity, work=session.settings.work
                    )
            except FormatError:
                if is_void(session, found):
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
    kept = session.kept(found.round, ".agg")
    if not kept.exists() or session.in_place(found.round, AGGREGATE_FILE, kept):
        return True
    # Two who made it at once would take turns for ever to put their own there.
    return _is_by_another(session, found)


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
        extent = extent_of(found.plan, None)
        check_recomputed(reader, blocks, updates, [extent], session.settings.work, no_progress)
        session.checked.add((found.plan.digest, digest))


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
        except UnreachableError:
            raise
        except HecliError:
            sound = False
        if not sound:
            names |= makers
    return tuple(sorted(names))


def recorded(links: Sequence[Link], name: str) -> set[bytes]:
    """Give the digests of a file that entries have.

    Args:
        links: The entries.
        name: The file's name.

    Returns:
        The digests.
    """
    return {digest for link in links for file, digest in link.entry.files if file == name}


def _is_by_another(session: Session, found: Closed) -> bool:
    """Whether the aggregate in the folder is signed by somebody else who may make it."""
    try:
        with session.opened(found.round, AGGREGATE_FILE) as stream:
            card = signer_of(open_reader(stream), found.plan.digest)
    except UnreachableError:
        raise
    except HecliError:
        return False
    roster = session.training.roster
    return card in [roster.cards[name] for name in roster.makers("aggregate") if name != session.name]


def is_void(session: Session, found: Closed) -> bool:
    """Tell whether an update's proof does not hold, which makes the entry void that listed it.

    Args:
        session: The run.
        found: The round.

    Returns:
        Whether one does not.
    """
    gather(session, found.round, updating(session, found.round, found.plan, found.enrolled))
    return lists_unsound(session, found.closing)
