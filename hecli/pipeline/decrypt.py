"""An aggregate to the sum, and only the sum."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.crypto.arithmetic import Decryptor, InvalidCiphertextError
from hecli.crypto.packing import unpack
from hecli.crypto.paillier import PrivateKey
from hecli.errors import FormatError, RefusedError
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Sum
from hecli.identity import Identity, signer
from hecli.pipeline.aggregate import open_ciphertexts
from hecli.pipeline.recompute import check_recomputed
from hecli.pipeline.streams import BATCH, Progress, check_key, no_progress, open_reader
from hecli.pipeline.workers import default_jobs, pool
from hecli.plan import Control, Plan

UNSOUND = "somebody altered an update or the aggregate, or a party did not follow the plan"

Record = Callable[[bytes, bytes], None]
"""Told the digests of plan and aggregate before anything of it is written; raises to forbid it."""


@dataclass(frozen=True)
class Opened:
    """A sum that was written: what it holds, its plan, and its digest."""

    total: Sum
    plan: Plan
    digest: bytes


def decrypt(
    aggregate: BinaryIO,
    out: BinaryIO,
    key: PrivateKey,
    *,
    plan: Plan | None = None,
    sources: Sequence[BinaryIO] | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Opened:
    """Open an aggregate (a seekable stream) and write the lane sums to `out`.

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
    reader = open_reader(aggregate)
    plan, header = open_ciphertexts(reader, plan)
    check_key(plan, key.public, reader.name)
    plan.check_identity(identity, "sum")
    count = len(header.contributors)
    if count < plan.min_parties:
        raise RefusedError(
            f"{reader.name} holds {count} contributor{'s' if count != 1 else ''}, "
            f"the plan opens no fewer than {plan.min_parties}",
            "wait for more parties: the sum of so few would show what one of them sent",
        )
    if sources is not None:
        check_recomputed(reader, plan, header.contributors, sources, jobs=jobs, progress=progress)
    elif plan.require_verified:
        raise RefusedError(
            f"the plan has {reader.name} opened only when it was recomputed from the updates",
            "pass the parties' files with --from",
        )
    total = plan.ciphertexts
    jobs = min(jobs or default_jobs(), -(-total // BATCH))
    # Damage shows in the digests, quickly, and is not taken for forgery.
    reader.verify()
    engine = Decryptor(key.p, key.q)
    control = _control(engine, reader, plan, count)
    if record is not None:
        record(plan.digest, reader.digest)
    result = Sum(plan.to_map(), header.contributors, reader.digest, control.weight, control.clipped)
    with pool(engine, jobs) as run:
        digest = envelope.write(
            out,
            "sum",
            result.header(),
            record_size=plan.sum_size,
            count=plan.values,
            blocks=_lane_sums(run(_batches(reader)), reader, plan, count, progress),
            sign=signer(identity, "sum", plan.digest),
        )
    return Opened(result, plan, digest)


def _batches(reader: Reader) -> Iterator[bytes]:
    """Ciphertexts of whole chunks only, whose digests hold: the file may change since it was checked."""
    size = BATCH * reader.prelude.record_size
    # The control block was read: the first chunk is one record shorter.
    chunk = reader.read(reader.prelude.records_per_chunk - 1)
    while chunk:
        yield from (chunk[at : at + size] for at in range(0, len(chunk), size))
        chunk = reader.read(reader.prelude.records_per_chunk)


def _control(engine: Decryptor, reader: Reader, plan: Plan, count: int) -> Control:
    try:
        plaintext = engine(reader.read(1))
    except InvalidCiphertextError as error:
        raise FormatError(f"{reader.name}: ciphertext 0 {error.reason}", error.hint) from error
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
    try:
        for block in plaintexts:
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
    except InvalidCiphertextError as error:
        raise FormatError(
            f"{reader.name}: ciphertext {done + error.index} {error.reason}", error.hint
        ) from error
