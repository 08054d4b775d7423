"""Who is in a round: fixed once, in the ledger, by those whom the training lets."""

import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, UnreachableError
from hecli.formats.canonical import CUT_SHORT
from hecli.formats.contributors import Enrolled
from hecli.formats.reader import open_reader
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.rounds.aggregate import open_sources
from hecli.rounds.enrollments import open_enrollment
from hecli.rounds.progress import no_progress
from hecli.training.history import History, Round
from hecli.training.planning import seconds_since_plan
from hecli.training.session import Session

ENROLLED, CLOSED = "enrolled", "closed"


class Stage(NamedTuple):
    """What is gathered in a round, and fixed by an entry.

    Args:
        event: That entry's event.
        suffix: The suffix of the files.
        expected: The names of those who may be in it.
        needed: How many are needed at least.
        links: The entries that say who is in it.
        check: Opens one party's file; gives its digest, or raises what is wrong.
    """

    event: str
    suffix: str
    expected: Sequence[str]
    needed: int
    links: Sequence[Link]
    check: Callable[[str], bytes]


def enrolling(session: Session, round_: Round, plan: Plan) -> Stage | None:
    """Describe the first stage, where there are masks.

    Args:
        session: The run.
        round_: The round.
        plan: Its plan.

    Returns:
        The stage; None where there is none.
    """
    masking = plan.masking
    if masking is None:
        return None
    return Stage(
        ENROLLED,
        ".enroll",
        session.training.roster.parties,
        masking.needed(plan.capacity),
        round_.enrolled,
        lambda name: _check_enrollment(session, round_, plan, name),
    )


def updating(session: Session, round_: Round, plan: Plan, enrolled: Link | None) -> Stage:
    """Describe the stage that gathers updates.

    Args:
        session: The run.
        round_: The round.
        plan: Its plan.
        enrolled: The entry that says who enrolled, where parties may drop out.

    Returns:
        The stage.
    """
    masking = plan.masking
    fewest = max(plan.min_parties, masking.needed(plan.capacity) if masking else 0)
    listed = enrolled_in(session, enrolled)
    expected = session.training.roster.parties if enrolled is None else [each.party for each in listed]
    return Stage(
        CLOSED,
        ".enc",
        expected,
        fewest,
        round_.closed,
        lambda name: _check_update(session, round_, plan, name, listed),
    )


def fixed_by(session: Session, round_: Round, stage: Stage) -> Link | None:
    """Find the entry that fixes who is in a stage: the first in the chain that is sound.

    Args:
        session: The run.
        round_: The round.
        stage: The stage.

    Returns:
        The entry; None where there is none yet.
    """
    if len(stage.links) > 1:
        # Only where an earlier one lists an unsound file does a later one count.
        gather(session, round_, stage)
    for link in stage.links:
        names = [_owner(session, name, stage.suffix) for name, _ in link.entry.files]
        sound = None not in names and len(set(names)) == len(names) >= stage.needed
        if sound and {*names} <= {*stage.expected} and not lists_unsound(session, link):
            return link
    return None


def lists_unsound(session: Session, link: Link) -> bool:
    """Tell whether an entry lists an update that was found unsound, which makes it void.

    Args:
        session: The run.
        link: The entry.

    Returns:
        Whether it does.
    """
    return not session.unsound.isdisjoint((link.entry.plan, digest) for _, digest in link.entry.files)


def listed_in(session: Session, link: Link, suffix: str) -> dict[str, bytes]:
    """Say who is in a stage, and with which file.

    Args:
        session: The run.
        link: The entry that fixes it.
        suffix: The suffix of its files.

    Returns:
        Digests by name.
    """
    return {_owner(session, name, suffix) or "": digest for name, digest in link.entry.files}


def enrolled_in(session: Session, link: Link | None) -> tuple[Enrolled, ...]:
    """Say who enrolled, as updates list them.

    Args:
        session: The run.
        link: The entry that says it, if any.

    Returns:
        Names and digests, in order.
    """
    if link is None:
        return ()
    found = listed_in(session, link, ".enroll")
    return tuple(Enrolled(name, found[name]) for name in sorted(found))


def gather(session: Session, round_: Round, stage: Stage) -> Mapping[str, bytes]:
    """Find the sound files of a stage; what else is there is named once, and left out.

    Args:
        session: The run.
        round_: The round.
        stage: The stage.

    Returns:
        Their digests, by the names of their parties.
    """
    found: dict[str, bytes] = {}
    for file in sorted(session.shared.list(round_.folder)):
        if not file.endswith(stage.suffix):
            continue
        name = _owner(session, file, stage.suffix)
        if name not in stage.expected or name is None:
            who = name or "nobody on the roster"
            session.note(f"round {round_.number}: {file} is of {who}, and is left out")
            continue
        try:
            found[name] = stage.check(name)
        except UnreachableError:
            raise
        except HecliError as error:
            # What is still being written may be whole the next time.
            if error.hint != CUT_SHORT:
                session.note(f"round {round_.number}: the file of {name} is left out: {error.message}")
    return found


def close(session: Session, round_: Round, stage: Stage) -> tuple[str, tuple[str, ...]]:
    """Fix who is in a stage, where all are there, or enough and the others are late.

    Args:
        session: The run of one who may.
        round_: The round.
        stage: The stage.

    Returns:
        What was done, nothing where it is too early; and whose files are missing or unsound.
    """
    found = gather(session, round_, stage)
    waited = _seconds_waited(session, round_, stage)
    late = waited > session.training.deadline
    missing = tuple(name for name in stage.expected if name not in found)
    if len(found) < stage.needed or (missing and not late):
        return "", missing
    files = [(session.file(name, stage.suffix), digest) for name, digest in sorted(found.items())]
    size = max(_size(session, round_, file) for file, _ in files)

    def stale(history: History) -> bool:
        now = history.now(round_)
        links = now.closed if stage.event == CLOSED else now.enrolled
        return now.abandoned is not None or len(links) > len(stage.links)

    session.record(
        stage.event, plan=round_.digest, files=files, stale=stale, seconds=round(waited, 1), bytes=size
    )
    without = f", without {', '.join(missing)}" if missing else ""
    done = f"round {round_.number}: {stage.event} with {len(found)} of {len(stage.expected)} parties{without}"
    return done, missing


def missing_in(session: Session, round_: Round, stage: Stage) -> tuple[str, ...]:
    """Say whose files are not there, without looking into those that are.

    Args:
        session: The run.
        round_: The round.
        stage: The stage.

    Returns:
        Their names.
    """
    there = set(session.shared.list(round_.folder))
    return tuple(name for name in stage.expected if session.file(name, stage.suffix) not in there)


def _seconds_waited(session: Session, round_: Round, stage: Stage) -> float:
    """How long a stage lasts, by this member's clock alone: since it first saw what began it."""
    now = time.time()
    if stage.event == ENROLLED or not round_.enrolled:
        return seconds_since_plan(session, round_, now)
    mark = session.kept(round_, ".enrolled")
    if not mark.exists():
        session.own.write(mark, {})
    return now - mark.stat().st_mtime


def _size(session: Session, round_: Round, file: str) -> int:
    """Its bytes, for show; none where it was taken away since it was checked."""
    try:
        with session.opened(round_, file) as stream:
            return stream.seek(0, 2)
    except HecliError:
        return 0


def _owner(session: Session, file: str, suffix: str) -> str | None:
    """Whose file it is by its name; None where it is nobody's."""
    return session.training.names.get(file.removesuffix(suffix)) if file.endswith(suffix) else None


def _check_enrollment(session: Session, round_: Round, plan: Plan, name: str) -> bytes:
    with session.opened(round_, session.file(name, ".enroll")) as stream:
        reader = open_reader(stream)
        _, enrollment = open_enrollment(reader, plan)
        if enrollment.party != name:
            raise FormatError(f"{reader.name}: is of {enrollment.party}, under another's name")
        reader.verify()
        return reader.digest


def _check_update(
    session: Session, round_: Round, plan: Plan, name: str, enrolled: tuple[Enrolled, ...]
) -> bytes:
    file = posixpath.join(round_.folder, session.file(name, ".enc"))
    with session.shared.open(file) as stream:
        reader = open_reader(stream)
        reader.require("update")
        # First: whoever copies a sound update to another's name neither makes it unsound nor has it counted.
        if reader.header.get("party") != name:
            raise FormatError(f"{file}: is no update of {name}, under whose name it is")
        digest = reader.digest
        try:
            sources = open_sources([stream], plan)
            if sources.blocks.enrolled != enrolled:
                raise FormatError(f"{file}: is masked with others than those who enrolled")
            if (plan.digest, digest) in session.checked:
                return digest
            sources.check_proofs(session.settings.work, no_progress)
            reader.rewind()
            reader.verify()
        except UnreachableError:
            raise
        except HecliError:
            # Whatever lies there in its place, only a party's own whole file speaks against it.
            if _is_made_by(session, file, plan, name):
                session.unsound.add((plan.digest, digest))
            raise
        session.unsound.discard((plan.digest, digest))
        session.checked.add((plan.digest, digest))
        return digest


def _is_made_by(session: Session, file: str, plan: Plan, name: str) -> bool:
    """Whether a file is whole, and signed by a party for a round."""
    try:
        with session.shared.open(file) as stream:
            reader = open_reader(stream)
            reader.verify()
            return signer_of(reader, plan.digest) == session.training.roster.cards[name]
    except UnreachableError:
        raise
    except HecliError:
        return False
