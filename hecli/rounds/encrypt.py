"""One party's update to what an aggregator may see."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from hecli.codec.arrays import Lanes
from hecli.codec.basis import Basis
from hecli.codec.pack import Packing
from hecli.codec.pieces import regrouped
from hecli.errors import MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor, Run
from hecli.formats import envelope
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import name_of
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.text import check_name
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.plan.parts import Part
from hecli.privacy.guarantee import Privacy, tail_of
from hecli.rounds.enrollments import open_enrollments
from hecli.rounds.headers import SALT_SIZE, update_header
from hecli.rounds.progress import Progress, counted, no_progress
from hecli.rounds.proofs import statement
from hecli.rounds.residual import Compensated, Feedback
from hecli.rounds.signing import check_identity
from hecli.rounds.spending import Account
from hecli.rounds.spool import Spool, spooled
from hecli.rounds.update import Update, open_update
from hecli.schemes.registry import scheme_of
from hecli.schemes.round import PublicKey, Sender
from hecli.storage.store import Record

if TYPE_CHECKING:
    from hecli.codec.noise import Noise


@dataclass(frozen=True)
class Encrypted:
    """An update that was written.

    Args:
        update: What it was made of.
        party: Whose it is.
        digest: The file's digest.
        repeats: What to know where a residual says that an update was made before.
    """

    update: Update
    party: str | None
    digest: bytes
    repeats: str | None = None


def encrypt(
    source: BinaryIO | TensorFile,
    out: BinaryIO,
    key: PublicKey | None = None,
    *,
    plan: Plan | None = None,
    party: str | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    enrollments: Sequence[BinaryIO] = (),
    weight: int | None = None,
    basis: Basis | None = None,
    feedback: Feedback | None = None,
    account: Account | None = None,
    strict: bool = False,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Encrypted:
    """Encrypt an update.

    Args:
        source: The tensors, or an encoded file.
        out: Where the update goes.
        key: The public key; a plan alone is not believed about it. None where
            the plan has none.
        plan: How the round is done; without it the default plan for `key`.
        party: Who this is from.
        identity: Who signs it, and who it is from.
        record: Told that masks were used, where the plan has masks, before
            anything is written, and demanded there: two updates of one party
            under the same masks show their difference.
        enrollments: Everybody's, where the plan allows for dropouts.
        weight: The weight of this party, where the plan has weights.
        basis: The bases of matrices, where the plan is of low rank.
        feedback: Where the party keeps what does not get through, for its next
            update; then `source` is tensors.
        account: Counts the update, where the plan has noise, before anything is written, and is demanded
            there: what is sent can be opened.
        strict: Whether to refuse values out of range instead of clipping them.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        What was written.

    Raises:
        DataError: A value is no finite number, or out of range where `strict`.
        FormatError: A file is not sound.
        InvalidModulusError: Encryption under the key is worthless.
        MismatchError: Names, shapes, dtypes, the key, the basis or the residual are not the plan's.
        RefusedError: The roster forbids it, or something is missing.
    """
    party = _party(party, identity)
    if key is not None:
        key.check()
    if plan is not None:
        plan.scheme.check_key(key, "the plan")
    fed = None if feedback is None else Compensated.of(source, feedback.before, plan)
    scheme = None if key is None else scheme_of(key)
    update = open_update(fed.both if fed else source, plan, scheme, weight, basis=basis, strict=strict)
    if plan is None:
        plan = update.plan
        plan.scheme.check_key(key, source.name if isinstance(source, TensorFile) else name_of(source))
    check_identity(plan, identity, "update")
    enrolled = open_enrollments(enrollments, plan) if enrollments else None
    listed = enrolled.listed if enrolled else ()
    salt = secrets.token_bytes(SALT_SIZE)
    bound = statement(plan, party, listed, identity.card if identity else None, salt)
    sender = Sender(key, identity, enrolled, bound)
    sizes = plan.geometry
    _check_counted(plan, identity, record, account)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(part.carrier.encrypting(plan.round_of(part), sender, work))
            for part in sizes.parts
        ]
        lanes = [update.lanes]
        if fed is not None or sizes.others or plan.privacy is not None:
            # All are read now: part by part, once more for what does not get through, and all of them
            # before privacy is spent on what may not be sound.
            spool = stack.enter_context(spooled(update.lanes, sizes.lane_size))
            lanes = [_read(spool, part) for part in sizes.parts]
        if plan.masking is not None and record is not None:
            record(plan.subject, secrets.token_bytes(DIGEST_SIZE))
        if plan.privacy is not None and account is not None:
            account.spend(plan)
            noise = noise_of(plan, plan.privacy)
            lanes = [map(noise.added, of_part) for of_part in lanes]
        blocks = _blocks(runs, lanes, update, progress)
        digest = envelope.write(
            out,
            "update",
            update_header(plan, party, listed, salt),
            sizes.update,
            blocks,
            sign=signer(identity, "update", plan.digest),
        )
        if fed is not None and feedback is not None:
            fed.write(feedback.out, digest, spool, update, basis)
    return Encrypted(update, party, digest, None if fed is None else fed.repeats)


def _check_counted(
    plan: Plan, identity: Identity | None, record: Record | None, account: Account | None
) -> None:
    """Refuse to send what nothing would keep from being sent again."""
    if plan.masking is not None and record is None:
        raise RefusedError(
            "a masked update leaves a record, or a second one under the same masks would show both",
            "pass record=, the path of your .id file",
        )
    if plan.privacy is not None and account is None:
        raise RefusedError(
            "an update with noise is accounted for: what is sent can be opened",
            "pass --identity, your .id file (account= in Python)",
        )
    if account is not None and identity is not None and account.owner != identity.card:
        raise MismatchError(
            f"the account is {account.owner.name}'s, and the update {identity.card.name}'s",
            "pass the account of whoever signs",
        )
    if account is not None:
        # Before masks are used: what costs too much uses none.
        account.check(plan)


def noise_of(plan: Plan, privacy: Privacy) -> "Noise":
    """Get ready to draw the noise of one update.

    Args:
        plan: The plan.
        privacy: Its noise.

    Returns:
        What draws it.
    """
    # As large as the account says, however much room there is.
    largest = tail_of(privacy.variance, plan.geometry.values * plan.capacity)
    # Imported here because the library takes longer to import than most commands take to run.
    from hecli.codec.noise import Noise  # noqa: PLC0415

    return Noise(privacy.variance, largest)


def _party(party: str | None, identity: Identity | None) -> str | None:
    """Who an update is from; raises HecliError where that cannot be."""
    if identity is not None:
        if party not in (None, identity.card.name):
            raise RefusedError(
                f"the identity is {identity.card.name}'s, not {party}'s",
                "leave out --party: the identity names it",
            )
        party = identity.card.name
    if party is not None:
        check_name(party)
    return party


def _read(spool: Spool, part: Part) -> Iterator[Lanes]:
    for start, stop in part.runs:
        yield from spool.read(start, stop - start)


def _blocks(
    runs: Sequence[Run], lanes: Sequence[Iterator[Lanes]], update: Update, progress: Progress
) -> Iterator[bytes]:
    """What an update holds, section by section."""
    plan, sizes = update.plan, update.plan.geometry
    total, done = sizes.all_blocks, 0
    for part, run, of_part in zip(sizes.others, runs, lanes, strict=False):
        blocks = run(_packed(of_part, part.packing, part.batch()))
        yield from counted(blocks, part.carrier.block_size, total, progress, done)
        done += part.blocks
    size = plan.scheme.knowledge.proof_size if plan.scheme.knowledge else 0
    proofs = []

    def main() -> Iterator[bytes]:
        for group in runs[-1](_plaintexts(update, lanes[-1])):
            end = len(group) - size
            proofs.append(group[end:])
            yield group[:end]

    yield from counted(main(), plan.scheme.block_size, total, progress, done)
    # Only when all are there: a section of their own holds them.
    yield from proofs


def _plaintexts(update: Update, lanes: Iterator[Lanes]) -> Iterator[bytes]:
    """The packed lanes of the main part, group by group, and then the control block."""
    sizes = update.plan.geometry
    yield from _packed(lanes, sizes.packing, sizes.group)
    # Only now it is known how many values were clipped.
    yield update.control.pack(sizes.packing.size)


def _packed(lanes: Iterator[Lanes], packing: Packing, blocks: int) -> Iterator[bytes]:
    """The packed lanes, so many plaintexts at a time."""
    for group in regrouped(lanes, blocks * packing.values):
        yield packing.pack(group)
