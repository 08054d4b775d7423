"""The sum of an aggregate, from partials of enough shares."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO, NamedTuple

from hecli.errors import HecliError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.reader import Reader, open_reader
from hecli.formats.text import count
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.headers import open_partial
from hecli.rounds.opening import Opened, Opening, open_aggregate, write_sum
from hecli.rounds.partial import session, shared
from hecli.rounds.progress import Progress, no_progress
from hecli.schemes.interface import Sharing
from hecli.schemes.round import Combining, Open, Opener, Opens, PublicKey


def combine(
    aggregate: BinaryIO,
    partials: Sequence[BinaryIO],
    out: BinaryIO,
    key: PublicKey,
    *,
    plan: Plan | None = None,
    identity: Identity | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Opened:
    """Open an aggregate with partials of enough shares.

    Every proof is checked, and any that hold are used, as many as the key asks.

    Args:
        aggregate: The aggregate.
        partials: The partials.
        out: Where the sum goes.
        key: The public key that was dealt in shares.
        plan: The plan it must follow; without it, its own is believed.
        identity: Who signs the sum, where the plan has a roster.
        enrollments: Everybody's, where the plan allows for dropouts.
        answers: The answers that take the masks off, likewise.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        What was written, and what was wrong with partials and answers that were left out.

    Raises:
        FormatError: A file is not sound, or too few partials hold.
        MismatchError: A partial is of another aggregate, or the key or the plan is another.
        RefusedError: There are too few partials, or the roster forbids it.
    """
    opening = open_aggregate(aggregate, "sum", plan, identity)
    opener = opening.opener(None, enrollments, answers)
    with combined(opening, partials, key, opener, work) as ready:
        opens = Opens(ready.open)
        made = write_sum(
            opening, opens, ready.control, ready.lanes, ready.others, out, identity, None, progress
        )
    return replace(made, refused=(*ready.refused, *sorted(opener.refused)))


class Ready(NamedTuple):
    """An aggregate, ready to be opened with partials.

    Args:
        open: What opens.
        control: What it opens the control block from.
        lanes: What it opens the main part's lanes from, in batches.
        others: The plaintexts of the other parts, which take no key.
        combining: Which partials there are; in the end also which do not hold.
        wrong: What is wrong with those that are not sound, and were left out at once.
    """

    open: Open
    control: bytes
    lanes: Iterator[bytes]
    others: Sequence[Iterator[bytes]]
    combining: Combining
    wrong: Sequence[HecliError]

    @property
    def refused(self) -> tuple[str, ...]:
        """What is wrong with the partials that were left out."""
        names = [self.combining.names[at] for at in sorted(self.combining.refused)]
        return (
            *(each.message for each in self.wrong),
            *(f"{name}: its proof does not hold" for name in names),
        )


@contextmanager
def combined(
    opening: Opening, partials: Sequence[BinaryIO], key: PublicKey, opener: Opener, work: Executor
) -> Iterator[Ready]:
    """Get ready to open an aggregate with partials.

    Args:
        opening: The aggregate.
        partials: The partials.
        key: The public key that was dealt in shares.
        opener: What takes masks off.
        work: Who works.

    Yields:
        What opens.

    Raises:
        HecliError: Something is not sound, or missing, or does not fit.
    """
    plan, name = opening.plan, opening.reader.name
    sharing = shared(opening)
    plan.scheme.check_key(key, name)
    sharing.check_dealing(key, name)
    found, wrong = _sound(partials, opening)
    if wrong and len(found) < sharing.threshold:
        raise wrong[0]
    _check_enough(found, sharing)
    combining = Combining(
        key=key,
        indices=[index for _, index in found],
        names=[f"{file.name} (share {index})" for file, index in found],
        session=session(opening),
        refused=set(),
    )
    groups = plan.geometry.partial_groups(sharing)
    readers = [file for file, _ in found]
    with sharing.combining(combining, groups, work) as opened, opening.others(opener, work) as others:
        control = next(_side_by_side(opening, sharing, readers, "control"))
        lanes = _side_by_side(opening, sharing, readers, "lanes")
        unmasked = plan.scheme.unmasked(opened, plan.round, opener)
        yield Ready(unmasked, control, lanes, others, combining, wrong)


def _sound(
    partials: Sequence[BinaryIO], opening: Opening
) -> tuple[list[tuple[Reader, int]], list[HecliError]]:
    """The partials that are sound but for their proofs, and what is wrong with the others."""
    found, wrong = [], []
    for source in partials:
        try:
            found.append(_opened(source, opening))
        except HecliError as error:
            wrong.append(error)
    return found, wrong


def _opened(source: BinaryIO, opening: Opening) -> tuple[Reader, int]:
    """A partial, checked but for its proofs, and the number of its share."""
    reader = open_reader(source)
    made = open_partial(reader, opening.plan, opening.reader.name)
    if made.aggregate != opening.reader.digest or made.contributors != opening.contributors:
        raise MismatchError(
            f"{reader.name}: is a partial of another aggregate than {opening.reader.name} "
            f"({made.aggregate.hex()[:16]}, not {opening.reader.digest.hex()[:16]})",
            "partials of one aggregate are opened together",
        )
    # Damage is found here, where others can still do without it.
    reader.verify()
    return reader, made.index


def _check_enough(found: Sequence[tuple[Reader, int]], sharing: Sharing) -> None:
    # Two of one share count once, and the one that holds is used: nobody can spoil another's.
    given = len({index for _, index in found})
    if given < sharing.threshold:
        raise RefusedError(
            f"{count(given, 'partial')} given, {sharing.threshold} required",
            "each share holder makes one with hecli partial",
        )


def _side_by_side(
    opening: Opening, sharing: Sharing, partials: Sequence[Reader], section: str
) -> Iterator[bytes]:
    """Each group of one section, and behind it what each partial has for it."""
    size = opening.plan.scheme.block_size
    opening.reader.section(section).rewind()
    for group in opening.reader.section(section).checked_blocks(sharing.group):
        count = len(group) // size + sharing.proof_records
        yield b"".join([group, *(partial.section(section).read(count) for partial in partials)])
