"""One party's update to ciphertexts."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hecli.arithmetic.gmp import Encryptor
from hecli.codec.pack import pack
from hecli.codec.quantise import Lanes
from hecli.errors import RefusedError
from hecli.executors.processes import Run, default_jobs, pool
from hecli.formats import envelope
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.names import check_name
from hecli.formats.rounds import Ciphertexts, Enrolled
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Control, Plan
from hecli.rounds.dropouts import open_enrollments, round_masks
from hecli.rounds.encode import Update, open_update
from hecli.rounds.streams import BATCH, Progress, Record, check_key, name_of, no_progress
from hecli.schemes.masks.pairs import pairs
from hecli.schemes.masks.streams import Masks
from hecli.schemes.paillier.keys import PublicKey


@dataclass(frozen=True)
class Encrypted:
    """An update that was written: what it was made of, whose it is, and its digest."""

    update: Update
    party: str | None
    digest: bytes


def encrypt(
    source: BinaryIO,
    out: BinaryIO,
    key: PublicKey | None,
    *,
    plan: Plan | None = None,
    party: str | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    enrollments: Sequence[BinaryIO] = (),
    weight: int | None = None,
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Encrypted:
    """Encrypt tensors, or an encoded file, from the seekable stream `source` to `out`.

    `key` must be the plan's: a plan alone is not believed about the key; None
    where the plan has none. Without a plan the default one is derived from key
    and tensors. With an identity the update is signed and bears its name.
    Where the plan has masks, `record` is told of the plan before anything is
    written, and can forbid it: two updates of one party under the same masks
    show their difference, so without one the caller sees to that. Raises DataError,
    MismatchError or FormatError as `encode` does, RefusedError for what the
    plan's roster forbids, and InvalidModulusError for a key under which
    encryption is worthless.
    """
    if key is not None:
        key.check()
    if identity is not None:
        if party not in (None, identity.card.name):
            raise RefusedError(
                f"the identity is {identity.card.name}'s, not {party}'s",
                "leave out --party: the identity names it",
            )
        party = identity.card.name
    if party is not None:
        check_name(party)
    if plan is not None:
        _check_key(plan, key, "the plan")
    update = open_update(source, plan, key.n if key else 0, weight, strict=strict)
    plan = update.plan
    _check_key(plan, key, name_of(source))
    plan.check_identity(identity, "update")
    plaintexts = _plaintexts(update)
    masks, enrolled = _masks(plan, identity, enrollments)
    if masks is not None:
        if record is not None:
            record(plan.digest, secrets.token_bytes(DIGEST_SIZE))
        plaintexts = map(masks, plaintexts)
    total = plan.ciphertexts
    with _encryption(plan, jobs) as run:
        blocks = _counted(run(plaintexts), plan, progress)
        digest = envelope.write(
            out,
            "update",
            Ciphertexts.update_header(plan.to_map(), party, enrolled),
            record_size=plan.ciphertext_size,
            count=total,
            blocks=blocks,
            sign=signer(identity, "update", plan.digest),
        )
    return Encrypted(update, party, digest)


@contextmanager
def _encryption(plan: Plan, jobs: int | None) -> Iterator[Run]:
    """What turns plaintexts into what the plan's scheme sends."""
    if not plan.has_key:
        # Masked they are, and there is nothing more to do to them.
        yield iter
        return
    jobs = min(jobs or default_jobs(), -(-plan.ciphertexts // BATCH))
    with pool(Encryptor(plan.n, plan.randomness, -(-plan.ciphertexts // jobs)), jobs) as run:
        yield run


def _masks(
    plan: Plan, identity: Identity | None, enrollments: Sequence[BinaryIO]
) -> tuple[Masks | None, tuple[Enrolled, ...]]:
    """What masks the update, where the plan has masks, and who enrolled, where parties may drop out."""
    if enrollments and not plan.dropouts:
        raise RefusedError("the plan allows for no dropouts", "leave out --enroll")
    if plan.roster is None or identity is None or not plan.masks:
        return None, ()
    if not plan.dropouts:
        return Masks(plan.n, pairs(identity, plan.roster, plan.digest)), ()
    opened = open_enrollments(enrollments, plan)
    return round_masks(plan, identity, opened), opened.listed


def _check_key(plan: Plan, key: PublicKey | None, file: str) -> None:
    if key is not None:
        check_key(plan, key, file)
    elif plan.has_key:
        raise RefusedError(
            f"{file} is for a key, and none is given", "pass the key: a plan alone is not believed"
        )


def _plaintexts(update: Update) -> Iterator[bytes]:
    """The control block, then the packed lanes, some ciphertexts' worth at a time."""
    plan = update.plan
    control = Control(count=1, weight=update.weight, clipped=update.clipped)
    yield control.pack().to_bytes(plan.plaintext_size, "big")
    for values in _regrouped(update.lanes, BATCH * plan.values_per_ciphertext):
        rows = -(-len(values) // plan.values_per_ciphertext)
        lanes = np.zeros((rows, plan.lanes), np.uint64)
        padded = np.zeros(rows * plan.values_per_ciphertext, np.uint64)
        padded[: len(values)] = values
        lanes[:, 0] = 1  # the count lane
        lanes[:, 1:] = padded.reshape(rows, -1)
        yield pack(lanes, plan.lane_width, plan.plaintext_size)


def _regrouped(arrays: Iterable[Lanes], size: int) -> Iterator[Lanes]:
    """The same values in arrays of `size`, the last one shorter."""
    held: list[Lanes] = []
    length = 0
    for array in arrays:
        held.append(array)
        length += len(array)
        if length >= size:
            joined = np.concatenate(held)
            full = length - length % size
            yield from joined[:full].reshape(-1, size)
            held, length = [joined[full:]], length - full
    if length:
        yield np.concatenate(held)


def _counted(blocks: Iterable[bytes], plan: Plan, progress: Progress) -> Iterator[bytes]:
    done = 0
    for block in blocks:
        done += len(block) // plan.ciphertext_size
        progress(done, plan.ciphertexts)
        yield block
