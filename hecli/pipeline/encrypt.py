"""One party's update to ciphertexts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hecli.crypto.arithmetic import Encryptor
from hecli.crypto.fixedpoint import Lanes
from hecli.crypto.packing import pack
from hecli.crypto.paillier import PublicKey
from hecli.errors import RefusedError
from hecli.formats import envelope
from hecli.formats.names import check_name
from hecli.formats.rounds import Ciphertexts
from hecli.identity import Identity, signer
from hecli.pipeline.encode import Update, open_update
from hecli.pipeline.streams import BATCH, Progress, check_key, name_of, no_progress
from hecli.pipeline.workers import default_jobs, pool
from hecli.plan import Control, Plan


@dataclass(frozen=True)
class Encrypted:
    """An update that was written: what it was made of, whose it is, and its digest."""

    update: Update
    party: str | None
    digest: bytes


def encrypt(
    source: BinaryIO,
    out: BinaryIO,
    key: PublicKey,
    *,
    plan: Plan | None = None,
    party: str | None = None,
    identity: Identity | None = None,
    weight: int | None = None,
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Encrypted:
    """Encrypt tensors, or an encoded file, from the seekable stream `source` to `out`.

    `key` must be the plan's: a plan alone is not believed about the key.
    Without a plan the default one is derived from key and tensors. With an
    identity the update is signed and bears its name. Raises DataError,
    MismatchError or FormatError as `encode` does, RefusedError for what the
    plan's roster forbids, and InvalidModulusError for a key under which
    encryption is worthless.
    """
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
        check_key(plan, key, "the plan")
    update = open_update(source, plan, key.n, weight, strict=strict)
    plan = update.plan
    check_key(plan, key, name_of(source))
    plan.check_identity(identity, "update")
    total = plan.ciphertexts
    jobs = min(jobs or default_jobs(), -(-total // BATCH))
    engine = Encryptor(plan.n, plan.randomness, -(-total // jobs))
    with pool(engine, jobs) as run:
        blocks = _counted(run(_plaintexts(update)), plan, progress)
        digest = envelope.write(
            out,
            "update",
            Ciphertexts.update_header(plan.to_map(), party),
            record_size=plan.ciphertext_size,
            count=total,
            blocks=blocks,
            sign=signer(identity, "update", plan.digest),
        )
    return Encrypted(update, party, digest)


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
