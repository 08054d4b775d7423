"""Updates and aggregates to one aggregate."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from hecli.arithmetic.gmp import InvalidCiphertextError, Multiplier
from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.processes import default_jobs, pool
from hecli.formats import envelope
from hecli.formats.canonical import pack
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Ciphertexts, Contributor, Enrolled, sorted_contributors
from hecli.identity.signatures import Identity, signer
from hecli.plan.data import Plan
from hecli.rounds.streams import BATCH, Progress, no_progress, open_reader
from hecli.schemes.masks.streams import Adder

BATCH_BYTES = 4 << 20
"""Most bytes of all sources together in one task, so that memory does not grow with the parties."""


@dataclass(frozen=True)
class Aggregated:
    """An aggregate that was written: its plan, who is in it, and its digest."""

    plan: Plan
    contributors: tuple[Contributor, ...]
    digest: bytes


@dataclass(frozen=True)
class Sources:
    """Updates and aggregates, opened and checked but for their ciphertexts, and who is in them."""

    readers: list[Reader]
    plan: Plan
    contributors: tuple[Contributor, ...]
    enrolled: tuple[Enrolled, ...]
    found_in: dict[bytes, str]
    """The file of each contributor, by the contributor's digest."""


def aggregate(
    sources: Sequence[BinaryIO],
    out: BinaryIO,
    *,
    plan: Plan | None = None,
    identity: Identity | None = None,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Aggregated:
    """Multiply updates and aggregates, from seekable streams, into one aggregate on `out`.

    The same contributors give the same bytes, whatever their order, the way
    they were nested, or the number of workers; but for the signature, made
    where there is an identity. All follow `plan`, where it is given. Raises
    RefusedError for a contributor counted twice, for more than capacity, and
    for what the plan's roster forbids, MismatchError for other plans or keys,
    FormatError for files and ciphertexts that are not sound.
    """
    opened = open_sources(sources, plan)
    plan = opened.plan
    plan.check_identity(identity, "aggregate")
    with product(opened, jobs, progress) as blocks:
        digest = envelope.write(
            out,
            "aggregate",
            Ciphertexts(plan.to_map(), opened.contributors, opened.enrolled).aggregate_header(),
            record_size=plan.ciphertext_size,
            count=plan.ciphertexts,
            blocks=blocks,
            sign=signer(identity, "aggregate", plan.digest),
        )
    return Aggregated(plan, opened.contributors, digest)


def open_ciphertexts(reader: Reader, plan: Plan | None = None) -> tuple[Plan, Ciphertexts]:
    """The plan and the header of an update or aggregate, with all signatures checked.

    Raises MismatchError where the file does not follow `plan`, RefusedError
    for what the roster forbids, FormatError.
    """
    header = Ciphertexts.parse(reader)
    own = Plan.from_map(header.plan, reader.name)
    if plan is not None:
        own.check_same(plan, reader.name, "the plan")
    _check_ciphertexts(reader, own, header)
    return own, header


def open_sources(sources: Sequence[BinaryIO], plan: Plan | None = None) -> Sources:
    """All sources opened, their one plan, and all their contributors, each once.

    Raises as `aggregate` does.
    """
    readers: list[Reader] = []
    first = b""
    enrolled: tuple[Enrolled, ...] = ()
    found_in: dict[bytes, str] = {}
    by_party: dict[str, str] = {}
    contributors: list[Contributor] = []
    for source in sources:
        reader = open_reader(source)
        # The plans' bytes are compared before they are parsed: mostly that is enough.
        header = Ciphertexts.parse(reader)
        packed = pack(header.plan)
        if plan is None or packed != first:
            other = Plan.from_map(header.plan, reader.name)
            if plan is not None:
                plan.check_same(other, readers[0].name if readers else "the plan", reader.name)
            plan, first = other, packed
        _check_ciphertexts(reader, plan, header)
        enrolled = header.enrolled if not readers else enrolled
        if header.enrolled != enrolled:
            raise MismatchError(
                f"{readers[0].name} and {reader.name} are masked with different people",
                "all parties have to encrypt with the same enrollments: make a new plan, and agree on them",
            )
        readers.append(reader)
        for each in header.contributors:
            earlier = found_in.get(each.digest, by_party.get(each.party or ""))
            if earlier is not None:
                raise RefusedError(_twice(each, earlier, reader.name), "leave one of them out")
            found_in[each.digest] = reader.name
            if each.party is not None:
                by_party[each.party] = reader.name
            contributors.append(each)
        # Each header holds the whole plan: memory must not grow with the parties.
        reader.forget_header()
    if plan is None or not readers:
        raise RefusedError("there is nothing to aggregate")
    if len(contributors) > plan.capacity:
        raise RefusedError(
            f"{len(contributors):,} contributors are more than the plan's {plan.capacity:,}",
            "a lane could overflow; make the next plan with more --parties",
        )
    return Sources(readers, plan, sorted_contributors(contributors), enrolled, found_in)


@contextmanager
def product(sources: Sources, jobs: int | None, progress: Progress) -> Iterator[Iterator[bytes]]:
    """The ciphertexts of the sources' aggregate, in blocks; raises FormatError for one that is not sound."""
    readers, plan = sources.readers, sources.plan
    batch = max(1, min(BATCH, BATCH_BYTES // (len(readers) * plan.ciphertext_size)))
    jobs = min(jobs or default_jobs(), -(-plan.ciphertexts // batch))
    engine = (Multiplier if plan.has_key else Adder)(plan.n, len(readers))
    with pool(engine, jobs) as run:
        yield _checked(run(_batches(readers, batch)), readers, plan, progress)


def _check_ciphertexts(reader: Reader, plan: Plan, header: Ciphertexts) -> None:
    reader.require_body(plan.ciphertext_size, plan.ciphertexts)
    if len(header.contributors) > plan.capacity:
        raise FormatError(f"{reader.name}: lists more contributors than its plan has room for")
    plan.check_signed(reader, header.contributors)
    names = {each.party for each in header.enrolled}
    sound = names <= set(plan.roster.parties) if plan.roster and plan.dropouts else not names
    if not sound or (plan.dropouts and not {each.party for each in header.contributors} <= names):
        raise FormatError(f"{reader.name}: its list of those who enrolled does not fit its plan")


def _twice(contributor: Contributor, earlier: str, file: str) -> str:
    where = f"in {earlier} and again in {file}" if earlier != file else f"in {file} twice"
    return f"{contributor} would be counted twice: {where}"


def _batches(readers: Sequence[Reader], batch: int) -> Iterator[bytes]:
    """The same few ciphertexts of every source, one source after the other."""
    while blob := b"".join([reader.read(batch) for reader in readers]):
        yield blob


def _checked(
    blocks: Iterable[bytes], readers: Sequence[Reader], plan: Plan, progress: Progress
) -> Iterator[bytes]:
    done = 0
    try:
        for block in blocks:
            done += len(block) // plan.ciphertext_size
            progress(done, plan.ciphertexts)
            yield block
    except InvalidCiphertextError as error:
        name = readers[error.source].name
        raise FormatError(f"{name}: ciphertext {done + error.index} {error.reason}", error.hint) from error
