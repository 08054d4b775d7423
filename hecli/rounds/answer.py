"""What a party reveals once the contributors of a round are fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.executors.interface import SERIAL, Executor
from hecli.formats import envelope
from hecli.formats.canonical import digest_of, pack
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.enrollments import open_enrollments
from hecli.rounds.headers import no_dropouts
from hecli.rounds.opening import open_aggregate
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.verify_aggregate import check_recomputed
from hecli.schemes.interface import ANSWERS
from hecli.schemes.masks import revealing
from hecli.storage.store import Record


@dataclass(frozen=True)
class Answered:
    """An answer that was written.

    Args:
        plan: The plan it follows.
        aggregate: The digest of the aggregate.
        needed: How many answers are needed.
        digest: The file's digest.
    """

    plan: Plan
    aggregate: bytes
    needed: int
    digest: bytes


def answer(
    aggregate: BinaryIO,
    out: BinaryIO,
    identity: Identity,
    enrollments: Sequence[BinaryIO],
    updates: Sequence[BinaryIO],
    *,
    plan: Plan | None = None,
    record: Record | None = None,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Answered:
    """Answer about the parties in an aggregate, so that its masks come off.

    Reveals for each contributor a share of its self mask's seed, for each
    other who enrolled a share of its round key, never both for one. It is
    refused where opening the aggregate would be.

    Args:
        aggregate: The aggregate.
        out: Where the answer goes.
        identity: The party that answers.
        enrollments: Everybody's.
        updates: The updates of all its parties: each must have its proofs,
            and the aggregate must be their product.
        plan: The plan it must follow; without it, its own is believed.
        record: Told of the set of parties before anything is written. Where it
            forbids no answer about another, the two together may uncover a party.
        work: Who works.
        progress: Told how many blocks are recomputed, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A file is not sound, or somebody enrolled against the rules.
        MismatchError: The plan, the updates or the enrollments are others.
        RefusedError: The plan allows for no dropouts, there are too few
            contributors, or the roster forbids it.
    """
    opening = open_aggregate(aggregate, "answer", plan, identity)
    plan, reader = opening.plan, opening.reader
    masking = plan.masking
    if masking is None or ANSWERS not in plan.to_open:
        raise no_dropouts(plan)
    enrolled = open_enrollments(enrollments, plan, opening.blocks.enrolled)
    check_recomputed(reader, opening.blocks, updates, [opening.extent], work, progress)
    present = {each.party or "" for each in opening.contributors}
    if record is not None:
        # Not the file: whoever hands out a false one must not use up everybody's answers.
        record(plan.subject, digest_of("answered", pack([sorted(present), list(map(list, enrolled.listed))])))
    exchange = masking.exchange(plan.round)
    made = revealing.answer(exchange, plan.to_map(), identity, enrolled, present)
    sign = signer(identity, "answer", plan.digest)
    digest = envelope.write(out, "answer", made.header(), sign=sign)
    return Answered(plan, reader.digest, masking.needed(plan.capacity), digest)
