"""Updates and aggregates to one aggregate."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from hecli.crypto.arithmetic import InvalidCiphertextError, Multiplier
from hecli.errors import FormatError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import pack
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Ciphertexts, Contributor, sorted_contributors
from hecli.pipeline.streams import BATCH, Progress, no_progress, open_reader
from hecli.pipeline.workers import default_jobs, pool
from hecli.plan import Plan

BATCH_BYTES = 4 << 20
"""Most bytes of all sources together in one task, so that memory does not grow with the parties."""


@dataclass(frozen=True)
class Aggregated:
    """What an aggregate holds: its plan, and who is in it."""

    plan: Plan
    contributors: tuple[Contributor, ...]


def aggregate(
    sources: Sequence[BinaryIO],
    out: BinaryIO,
    *,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Aggregated:
    """Multiply updates and aggregates, from seekable streams, into one aggregate on `out`.

    The same contributors give the same bytes, whatever their order, the way
    they were nested, or the number of workers. Raises RefusedError for a
    contributor counted twice and for more than capacity, MismatchError for
    other plans or keys, FormatError for files and ciphertexts that are not sound.
    """
    readers, plan, contributors = _opened(sources)
    jobs = jobs or default_jobs()
    batch = max(1, min(BATCH, BATCH_BYTES // (len(readers) * plan.ciphertext_size)))
    jobs = min(jobs, -(-plan.ciphertexts // batch))
    with pool(Multiplier(plan.n, len(readers)), jobs) as run:
        blocks = _checked(run(_batches(readers, batch)), readers, plan, progress)
        header = Ciphertexts(plan.to_map(), contributors).aggregate_header()
        envelope.write(
            out,
            "aggregate",
            header,
            record_size=plan.ciphertext_size,
            count=plan.ciphertexts,
            blocks=blocks,
        )
    return Aggregated(plan, contributors)


def open_ciphertexts(reader: Reader) -> tuple[Plan, Ciphertexts]:
    """The plan and the header of an update or aggregate; raises FormatError."""
    header = Ciphertexts.parse(reader)
    plan = Plan.from_map(header.plan, reader.name)
    reader.require_body(plan.ciphertext_size, plan.ciphertexts)
    if len(header.contributors) > plan.capacity:
        raise FormatError(f"{reader.name}: lists more contributors than its plan has room for")
    return plan, header


def _opened(sources: Sequence[BinaryIO]) -> tuple[list[Reader], Plan, tuple[Contributor, ...]]:
    """All sources opened, their one plan, and all their contributors, each once."""
    readers: list[Reader] = []
    plan: Plan | None = None
    first = b""
    by_digest: dict[bytes, str] = {}
    by_party: dict[str, str] = {}
    contributors: list[Contributor] = []
    for source in sources:
        reader = open_reader(source)
        readers.append(reader)
        # The plans' bytes are compared before they are parsed: mostly that is enough.
        header = Ciphertexts.parse(reader)
        packed = pack(header.plan)
        if plan is None or packed != first:
            other, header = open_ciphertexts(reader)
            if plan is None:
                plan, first = other, packed
            plan.check_same(other, readers[0].name, reader.name)
        reader.require_body(plan.ciphertext_size, plan.ciphertexts)
        for each in header.contributors:
            earlier = by_digest.get(each.digest, by_party.get(each.party or ""))
            if earlier is not None:
                raise RefusedError(_twice(each, earlier, reader.name), "leave one of them out")
            by_digest[each.digest] = reader.name
            if each.party is not None:
                by_party[each.party] = reader.name
            contributors.append(each)
        # Each header holds the whole plan: memory must not grow with the parties.
        reader.forget_header()
    if plan is None:
        raise RefusedError("there is nothing to aggregate")
    if len(contributors) > plan.capacity:
        raise RefusedError(
            f"{len(contributors):,} contributors are more than the plan's {plan.capacity:,}",
            "a lane could overflow; make the next plan with more --parties",
        )
    return readers, plan, sorted_contributors(contributors)


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
