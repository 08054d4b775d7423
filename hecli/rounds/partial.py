"""What one share of a key contributes to opening an aggregate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.errors import RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.evidence import Evidence
from hecli.rounds.headers import Partial
from hecli.rounds.opening import Opening, open_aggregate
from hecli.rounds.progress import Progress, counted, no_progress
from hecli.rounds.proofs import groups_of
from hecli.rounds.slices import Product
from hecli.schemes.interface import Sharing
from hecli.schemes.round import Share
from hecli.storage.store import Record


@dataclass(frozen=True)
class Made:
    """A partial that was written.

    Args:
        partial: What it says.
        digest: The file's digest.
    """

    partial: Partial
    digest: bytes


def partial(
    aggregate: BinaryIO,
    out: BinaryIO,
    share: Share,
    *,
    plan: Plan | None = None,
    updates: Sequence[BinaryIO] | None = None,
    attested: int | None = None,
    attestations: Sequence[BinaryIO] = (),
    unverified: bool = False,
    identity: Identity | None = None,
    record: Record | None = None,
    part: tuple[int, int] | None = None,
    checked: bool = False,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Made:
    """Make what one share contributes to opening an aggregate.

    What the aggregate holds shows only to enough shares together. It is
    refused where opening it would be.

    Args:
        aggregate: The aggregate.
        out: Where the partial goes.
        share: The share.
        plan: The plan it must follow; without it, its own is believed.
        updates: The updates of all its parties: each must have its proofs,
            and the aggregate must be their product.
        attested: Instead of them, how many members' word is enough, as for `decrypt`.
        attestations: Then their attestations.
        unverified: Whether to go without either; the share may forbid it.
        identity: Who signs the partial, where the plan has a roster.
        record: Told of the opening before anything is written.
        part: Of many machines, which this is, from 1, and how many there are:
            then a slice is written, for `join`.
        checked: Whether you had all parts of it checked, as for `decrypt`.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A file is not sound.
        MismatchError: The share, the plan or the updates are others.
        RefusedError: There are fewer contributors than the plan opens, nothing
            shows what it was made of, or the roster forbids it.
    """
    opening = open_aggregate(aggregate, "partial", plan, identity, part)
    reader = opening.reader
    sharing = shared(opening)
    sharing.check_share(share, reader.name)
    Evidence(updates, attested, attestations, unverified, checked).check(
        reader,
        opening.blocks,
        verified_only=share.verified_only,
        agreed=plan is not None,
        extent=opening.extent,
        work=work,
        progress=progress,
    )
    plan = opening.plan
    if record is not None:
        record(plan.subject, opening.used_on)
    made = Partial(plan, opening.contributors, reader.digest, share.index)
    product = Product("partial", made.header(), plan)
    sections = product.sections if part is None else product.within(opening.extent)
    groups = plan.geometry.partial_groups(sharing)
    # The control block was checked with the rest; its partial belongs to the last slice alone.
    reader = reader.within(opening.extent.records)
    with sharing.partials(share, session(opening), groups, work) as run:
        records = sum(section.records for section in sections)
        found = run(groups_of(reader, sharing.group))
        blocks = counted(found, plan.scheme.block_size, records, progress)
        if part is None:
            digest = product.write(out, blocks, identity)
        else:
            digest = product.write_slice(out, opening.extent, blocks, identity)
    return Made(made, digest)


def shared(opening: Opening) -> Sharing:
    """Say how the key of an aggregate opens.

    Args:
        opening: The aggregate.

    Returns:
        How.

    Raises:
        RefusedError: The key is not in shares.
    """
    sharing = opening.plan.scheme.sharing
    if sharing is None:
        raise RefusedError(f"{opening.reader.name}: its key is not in shares", "open it with hecli decrypt")
    return sharing


def session(opening: Opening) -> bytes:
    """Give what the proofs of partials are bound to.

    Args:
        opening: The aggregate.

    Returns:
        The digests of its plan and of itself.
    """
    return opening.plan.digest + opening.reader.digest
