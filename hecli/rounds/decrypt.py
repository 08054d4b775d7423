"""An aggregate to the sum, and only the sum."""

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from hecli.errors import RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.reader import open_reader
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.evidence import Evidence
from hecli.rounds.headers import open_blocks
from hecli.rounds.opening import Opened, open_aggregate, write_sum
from hecli.rounds.progress import Progress, no_progress
from hecli.schemes.interface import KEY
from hecli.schemes.round import PrivateKey
from hecli.storage.store import Record


def decrypt(
    aggregate: BinaryIO,
    out: BinaryIO,
    key: PrivateKey | None = None,
    *,
    plan: Plan | None = None,
    updates: Sequence[BinaryIO] | None = None,
    attested: int | None = None,
    attestations: Sequence[BinaryIO] = (),
    unverified: bool = False,
    identity: Identity | None = None,
    record: Record | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    part: tuple[int, int] | None = None,
    unsigned: bool = False,
    checked: bool = False,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Opened:
    """Open an aggregate: the sum, and only the sum.

    The control block must name as many parties as the header lists; every
    count lane must say the same, every lane must lie in its possible range,
    and all other bits must be zero.

    Args:
        aggregate: The aggregate.
        out: Where the sum goes.
        key: The private key; None where the plan has masks alone.
        plan: The plan it must follow; without it, its own is believed.
        updates: The updates of all its parties: each must have its proofs,
            and the aggregate must be their product.
        attested: Instead of them, how many members' word is enough that they
            have checked this, 2 or more; with `plan`, whose coordinator is known.
        attestations: Then their attestations.
        unverified: Whether to open where nothing shows what the aggregate was
            made of; the key may forbid it.
        identity: Who signs the sum, where the plan has a roster.
        record: Told of the opening before anything is opened; without one,
            nothing keeps a second aggregate of a plan from being opened.
        enrollments: Everybody's, where the plan allows for dropouts.
        answers: The answers that take the masks off, likewise.
        part: Of many machines, which this is, from 1, and how many there are:
            then a slice is written, for `join`.
        unsigned: Whether nobody signs the slice, for whoever joins it knows its digest.
        checked: Whether you had all parts of it checked with `verify_aggregate`,
            so that updates are not needed.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A file is not sound, or was forged.
        MismatchError: The key, the plan or the updates are others.
        RefusedError: There are fewer contributors than the plan opens, nothing
            shows what it was made of, something is missing, or the roster forbids it.
    """
    opening = open_aggregate(aggregate, "sum", plan, identity, part, unsigned=unsigned)
    reader = opening.reader
    _check_key(opening.plan, key, reader.name)
    Evidence(updates, attested, attestations, unverified, checked).check(
        reader,
        opening.blocks,
        verified_only=key is not None and key.verified_only,
        agreed=plan is not None,
        extent=opening.extent,
        work=work,
        progress=progress,
    )
    plan = opening.plan
    opener = opening.opener(key, enrollments, answers)
    with plan.scheme.opening(plan.round, opener, work) as opens, opening.others(opener, work) as others:
        made = write_sum(
            opening,
            opens,
            *opening.blocks_to_open(),
            others,
            out,
            identity,
            record,
            progress,
            sliced=part is not None,
        )
    return replace(made, refused=tuple(sorted(opener.refused)))


def plan_in(aggregate: BinaryIO) -> Plan:
    """Say which plan an aggregate follows.

    Args:
        aggregate: The file, seekable.

    Returns:
        The plan, which says what opening takes.

    Raises:
        HecliError: The file is not sound.
    """
    return open_blocks(open_reader(aggregate)).plan


def _check_key(plan: Plan, key: PrivateKey | None, file: str) -> None:
    if plan.scheme.sharing is not None:
        raise RefusedError(
            "the plan's key is in shares, and nobody opens alone",
            "its holders make partials with hecli partial, and hecli combine opens with them",
        )
    if key is not None:
        plan.scheme.check_key(key.public, file)
    elif KEY in plan.scheme.to_open:
        raise RefusedError(f"{file} is under a key, and none is given", "pass --key")
