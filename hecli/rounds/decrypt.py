"""An aggregate to the sum, and only the sum."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from hecli.arithmetic.gmp import Decryptor, InvalidCiphertextError
from hecli.codec.pack import unpack
from hecli.errors import FormatError, RefusedError
from hecli.executors.processes import Run, default_jobs, pool
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Ciphertexts, Contributor, Enrolled, Sum
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Control, Plan
from hecli.rounds.aggregate import open_ciphertexts
from hecli.rounds.dropouts import open_enrollments, unmasking
from hecli.rounds.recompute import check_recomputed
from hecli.rounds.streams import BATCH, Progress, Record, check_key, no_progress, open_reader
from hecli.schemes.paillier.keys import PrivateKey, PublicKey

UNSOUND = "somebody altered an update or the aggregate, or a party did not follow the plan"


@dataclass(frozen=True)
class Opening:
    """An aggregate that may be opened: the file, its plan, and who is in it."""

    reader: Reader
    plan: Plan
    contributors: tuple[Contributor, ...]
    enrolled: tuple[Enrolled, ...]

    def unmasked(
        self, plaintexts: Iterable[bytes], enrollments: Sequence[BinaryIO], answers: Sequence[BinaryIO]
    ) -> Iterable[bytes]:
        """Plaintexts without the masks that the plan's dropouts left; raises HecliError."""
        if not self.plan.dropouts:
            return plaintexts
        opened = open_enrollments(enrollments, self.plan, self.enrolled)
        return map(unmasking(self.plan, self.reader, self.contributors, opened, answers), plaintexts)


@dataclass(frozen=True)
class Opened:
    """A sum that was written: what it holds, its plan, and its digest."""

    total: Sum
    plan: Plan
    digest: bytes


def decrypt(
    aggregate: BinaryIO,
    out: BinaryIO,
    key: PrivateKey | None,
    *,
    plan: Plan | None = None,
    sources: Sequence[BinaryIO] | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Opened:
    """Open an aggregate (a seekable stream) and write the lane sums to `out`.

    `key` is None where the plan has masks and no key; whoever has the files may
    open them.
    It must follow `plan`, where one is given (without, its own plan is
    believed), and be the product of the updates in `sources`, where they are
    given. `identity` signs the sum. `record` is told of the opening before
    anything is written, and can forbid it; without one, nothing keeps a
    second aggregate of a plan from being opened. The control block is opened
    first and must name as many parties as the header lists; every count lane
    must say the same, every lane must lie in its possible range, and all
    other bits must be zero. Raises RefusedError for fewer contributors than
    the plan allows and for what its roster forbids, MismatchError for another
    key or plan or other updates, FormatError where the file is not sound or
    was forged.
    """
    opening = open_aggregate(aggregate, "sum", plan, sources, identity, jobs=jobs, progress=progress)
    reader = opening.reader
    check_opener(opening, None if key is None else key.public.n)
    with _decryption(key, opening.plan, jobs) as run:
        plaintexts = opening.unmasked(run(batches(reader, BATCH)), enrollments, answers)
        return write_sum(opening, plaintexts, out, identity, record, progress)


@contextmanager
def _decryption(key: PrivateKey | None, plan: Plan, jobs: int | None) -> Iterator[Run]:
    """What turns what the plan's scheme sends into plaintexts."""
    if key is None:
        yield iter
        return
    with pool(Decryptor(key.p, key.q), min(jobs or default_jobs(), -(-plan.ciphertexts // BATCH))) as run:
        yield run


def check_opener(opening: Opening, n: int | None) -> None:
    """Raise MismatchError or RefusedError unless n is the aggregate's key; None for masks alone."""
    if n is not None:
        check_key(opening.plan, PublicKey(n), opening.reader.name)
    elif opening.plan.has_key:
        raise RefusedError(f"{opening.reader.name} is under a key, and none is given", "pass --key")


def needs_key(aggregate: BinaryIO) -> bool:
    """Whether the aggregate in a seekable stream is under a key, and not masked alone; raises FormatError."""
    return "key" in Ciphertexts.parse(open_reader(aggregate)).plan


def open_aggregate(
    aggregate: BinaryIO,
    made: str,
    plan: Plan | None,
    sources: Sequence[BinaryIO] | None,
    identity: Identity | None,
    *,
    jobs: int | None,
    progress: Progress,
) -> Opening:
    """An aggregate, with all checked that can be before anything of it is opened, but for the key.

    `made` is the kind of file to be made of it. Raises as `decrypt` does.
    """
    reader = open_reader(aggregate)
    plan, header = open_ciphertexts(reader, plan)
    plan.check_identity(identity, made)
    count = len(header.contributors)
    if count < plan.min_parties:
        raise RefusedError(
            f"{reader.name} holds {count} contributor{'s' if count != 1 else ''}, "
            f"the plan opens no fewer than {plan.min_parties}",
            "wait for more parties: the sum of so few would show what one of them sent",
        )
    _check_masks(plan, header.contributors, reader.name)
    if sources is not None:
        check_recomputed(reader, plan, header, sources, jobs=jobs, progress=progress)
    elif plan.require_verified:
        raise RefusedError(
            f"the plan has {reader.name} opened only when it was recomputed from the updates",
            "pass the parties' files with --from",
        )
    # Damage shows in the digests, quickly, and is not taken for forgery.
    reader.verify()
    return Opening(reader, plan, header.contributors, header.enrolled)


def _check_masks(plan: Plan, contributors: tuple[Contributor, ...], file: str) -> None:
    if plan.masks and plan.roster is not None and len(contributors) < plan.answers:
        missing = sorted(set(plan.roster.parties) - {each.party for each in contributors})
        names = ", ".join(missing[:5]) + (" and others" if len(missing) > 5 else "")
        allowed = f"of all parties but {plan.dropouts}" if plan.dropouts else "of all parties"
        raise RefusedError(
            f"{file} lacks {names}: masks come off only the sum {allowed}",
            "wait for their updates, or make a plan without them",
        )


def write_sum(
    opening: Opening,
    plaintexts: Iterable[bytes],
    out: BinaryIO,
    identity: Identity | None,
    record: Record | None,
    progress: Progress,
) -> Opened:
    """Check the plaintexts of an opened aggregate, in blocks, and write their lane sums.

    Raises FormatError where they are not what a sum of updates can be.
    """
    reader, plan, contributors = opening.reader, opening.plan, opening.contributors
    blocks = _named(plaintexts, reader, plan)
    first = next(blocks)
    control = _control(first[: plan.plaintext_size], reader, plan, len(contributors))
    if record is not None:
        record(plan.digest, reader.digest)
    total = Sum(plan.to_map(), contributors, reader.digest, control.weight, control.clipped)
    lanes = chain([first[plan.plaintext_size :]], blocks)
    digest = envelope.write(
        out,
        "sum",
        total.header(),
        record_size=plan.sum_size,
        count=plan.values,
        blocks=_lane_sums(lanes, reader, plan, len(contributors), progress),
        sign=signer(identity, "sum", plan.digest),
    )
    return Opened(total, plan, digest)


def batches(reader: Reader, count: int) -> Iterator[bytes]:
    """Ciphertexts, `count` at a time, of chunks whose digests hold even if the file changed since."""
    size = count * reader.prelude.record_size
    held = b""
    for chunk in reader.blocks(reader.prelude.records_per_chunk):
        held += chunk
        full = len(held) - len(held) % size
        yield from (held[at : at + size] for at in range(0, full, size))
        held = held[full:]
    if held:
        yield held


def _named(plaintexts: Iterable[bytes], reader: Reader, plan: Plan) -> Iterator[bytes]:
    done = 0
    try:
        for block in plaintexts:
            yield block
            done += len(block) // plan.plaintext_size
    except InvalidCiphertextError as error:
        raise FormatError(
            f"{reader.name}: ciphertext {done + error.index} {error.reason}", error.hint
        ) from error


def _control(plaintext: bytes, reader: Reader, plan: Plan, count: int) -> Control:
    control = Control.unpack(int.from_bytes(plaintext, "big"))
    if control.count != count:
        raise FormatError(
            f"{reader.name}: its header lists {count} contributors, its control block does not agree",
            UNSOUND,
        )
    if not plan.possible_totals(count, control.weight, control.clipped):
        raise FormatError(f"{reader.name}: its control block is out of range", UNSOUND)
    return control


def _lane_sums(
    plaintexts: Iterable[bytes], reader: Reader, plan: Plan, count: int, progress: Progress
) -> Iterator[bytes]:
    """The lane sums in plaintexts, as they stand in a sum file."""
    done = 1  # the control block
    left = plan.values
    largest = 2 * plan.qmax * count
    for block in plaintexts:
        if not block:
            # The first one may have held the control block alone.
            continue
        lanes, clean = unpack(block, plan.lane_width, plan.lanes, plan.plaintext_size)
        values = lanes[:, 1:].reshape(-1)
        used, padding = values[:left], values[left:]
        sound = clean and (lanes[:, 0] == count).all() and not padding.any()
        if not sound or used.max() > largest:
            raise FormatError(
                f"{reader.name}: a ciphertext from {done} to {done + len(lanes) - 1} "
                "opens to what no sum of updates can be",
                UNSOUND,
            )
        done += len(lanes)
        left -= len(used)
        progress(done, plan.ciphertexts)
        yield used.astype(f">u{plan.sum_size}").tobytes()
