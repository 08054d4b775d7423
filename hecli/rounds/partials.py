"""Opening an aggregate with shares of the key: partials, and the sum from them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from hecli.arithmetic.threshold import GROUP, PROOF_RECORDS, Combiner, Sharer, ThresholdKey
from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.processes import default_jobs, pool
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Contributor, Partial
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.decrypt import Opened, Opening, batches, check_opener, open_aggregate, write_sum
from hecli.rounds.streams import Progress, Record, no_progress, open_reader
from hecli.schemes.paillier.shares import Share, opens

HOLDER = "its share holder made it of something else, or it was altered: ask them for another"


@dataclass(frozen=True)
class Contribution:
    """A partial that was written: its plan, who is in the aggregate, the aggregate's digest and its own."""

    plan: Plan
    contributors: tuple[Contributor, ...]
    aggregate: bytes
    digest: bytes


def make_partial(
    aggregate: BinaryIO,
    out: BinaryIO,
    share: Share,
    *,
    plan: Plan | None = None,
    sources: Sequence[BinaryIO] | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Contribution:
    """Write to `out` what one share contributes to opening an aggregate (a seekable stream).

    Refuses what `hecli.decrypt` refuses before it opens anything, and takes
    the same arguments; what the aggregate holds shows only to enough shares
    together.
    """
    opening = open_aggregate(aggregate, "partial", plan, sources, identity, jobs=jobs, progress=progress)
    check_opener(opening, share.key.n)
    _check_dealing(opening, share.key)
    reader, plan = opening.reader, opening.plan
    if record is not None:
        record(plan.digest, reader.digest)
    groups = -(-plan.ciphertexts // GROUP)
    header = Partial(plan.to_map(), opening.contributors, reader.digest, share.index).header()
    engine = Sharer(share.key, share.index, share.value, _session(plan, reader.digest))
    with pool(engine, min(jobs or default_jobs(), groups)) as run:
        digest = envelope.write(
            out,
            "partial",
            header,
            record_size=plan.ciphertext_size,
            count=_records(plan),
            blocks=_counted(run(batches(reader, GROUP)), plan, progress),
            sign=signer(identity, "partial", plan.digest),
        )
    return Contribution(plan, opening.contributors, reader.digest, digest)


@dataclass(frozen=True)
class Combined:
    """A sum that was made of partials, and the names of those that did not hold."""

    opened: Opened
    refused: tuple[str, ...]


def combine(
    aggregate: BinaryIO,
    partials: Sequence[BinaryIO],
    out: BinaryIO,
    key: ThresholdKey,
    *,
    plan: Plan | None = None,
    sources: Sequence[BinaryIO] | None = None,
    identity: Identity | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Combined:
    """Check the partials of an aggregate, all seekable streams, and write its sum to `out`.

    Every proof is checked, and any that hold are used, as many as the key
    asks. Raises RefusedError for too few and for the same share twice,
    MismatchError for partials of another aggregate, key or plan, FormatError
    where too few hold, naming those that do not.
    """
    opening = open_aggregate(aggregate, "sum", plan, sources, identity, jobs=jobs, progress=progress)
    check_opener(opening, key.n)
    _check_dealing(opening, key)
    found = [_open_partial(source, opening, key) for source in partials]
    _check_enough([index for _, index in found], [reader.name for reader, _ in found], key)
    refusals = _Refusals([f"{reader.name} (share {index})" for reader, index in found], key.threshold)
    plan = opening.plan
    engine = Combiner(key, [index for _, index in found], _session(plan, opening.reader.digest))
    groups = -(-plan.ciphertexts // GROUP)
    with pool(engine, min(jobs or default_jobs(), groups)) as run:
        blobs = _side_by_side(opening.reader, [reader for reader, _ in found])
        plaintexts = opening.unmasked(refusals.plaintexts(run(blobs)), enrollments, answers)
        opened = write_sum(opening, plaintexts, out, identity, None, progress)
    return Combined(opened, refusals.names)


@dataclass
class _Refusals:
    """Which partials do not hold, as it turns out group by group."""

    files: list[str]
    threshold: int
    bad: set[int] = field(default_factory=set)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.files[at] for at in sorted(self.bad))

    def plaintexts(self, results: Iterable[bytes]) -> Iterator[bytes]:
        """What a Combiner opened, without what it says of the partials."""
        count = len(self.files)
        for result in results:
            holds, plaintexts = result[:count], result[count:]
            self.bad |= {at for at in range(count) if not holds[at]}
            if not plaintexts:
                missing = _more(self.threshold - sum(holds))
                raise FormatError(f"the proof of {', '.join(self.names)} does not hold: {missing}", HOLDER)
            yield plaintexts


def open_partial(reader: Reader) -> tuple[Plan, Partial]:
    """The plan and the header of a partial, with all signatures checked; raises FormatError, RefusedError."""
    header = Partial.parse(reader)
    plan = Plan.from_map(header.plan, reader.name)
    reader.require_body(plan.ciphertext_size, _records(plan))
    plan.check_signed(reader, header.contributors)
    return plan, header


def _open_partial(source: BinaryIO, opening: Opening, key: ThresholdKey) -> tuple[Reader, int]:
    reader = open_reader(source)
    own, header = open_partial(reader)
    own.check_same(opening.plan, reader.name, opening.reader.name)
    if header.aggregate != opening.reader.digest or header.contributors != opening.contributors:
        raise MismatchError(
            f"{reader.name}: is a partial of another aggregate than {opening.reader.name} "
            f"({header.aggregate.hex()[:16]}, not {opening.reader.digest.hex()[:16]})",
            "partials of one aggregate are opened together",
        )
    if not 1 <= header.index <= key.shares:
        raise FormatError(f"{reader.name}: is of share {header.index}, there are {key.shares}")
    return reader, header.index


def _check_enough(indices: list[int], names: list[str], key: ThresholdKey) -> None:
    for at, index in enumerate(indices):
        if index in indices[:at]:
            raise RefusedError(
                f"{names[indices.index(index)]} and {names[at]} are both of share {index}",
                "leave one of them out",
            )
    if len(indices) < key.threshold:
        raise RefusedError(
            f"{len(indices)} of the {key.threshold} partials it takes: {_more(key.threshold - len(indices))}",
            "each share holder makes one with hecli decrypt --share",
        )


def _check_dealing(opening: Opening, key: ThresholdKey) -> None:
    if opening.plan.opens is not None and opening.plan.opens != opens(key):
        raise MismatchError(
            f"{opening.reader.name}: its plan is for another dealing of the key",
            "pass the .pub or .share file that the plan was made with",
        )


def _side_by_side(reader: Reader, partials: Sequence[Reader]) -> Iterator[bytes]:
    """Each group of ciphertexts, and behind it what each partial has for it."""
    for batch in batches(reader, GROUP):
        count = len(batch) // reader.prelude.record_size
        yield b"".join([batch, *(partial.read(count + PROOF_RECORDS) for partial in partials)])


def _counted(blocks: Iterable[bytes], plan: Plan, progress: Progress) -> Iterator[bytes]:
    done = 0
    for block in blocks:
        done += len(block) // plan.ciphertext_size - PROOF_RECORDS
        progress(done, plan.ciphertexts)
        yield block


def _records(plan: Plan) -> int:
    return plan.ciphertexts + PROOF_RECORDS * -(-plan.ciphertexts // GROUP)


def _session(plan: Plan, aggregate: bytes) -> bytes:
    return plan.digest + aggregate


def _more(count: int) -> str:
    return "1 more is needed" if count == 1 else f"{count} more are needed"
