"""Updates and aggregates to one aggregate."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from hecli.arithmetic.sizes import InvalidCiphertextError
from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor, Run
from hecli.formats.contributors import Contributor, Enrolled, sorted_contributors
from hecli.formats.reader import Reader, open_reader
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.plan.parts import Part
from hecli.rounds.headers import Blocks, aggregate_header, open_blocks
from hecli.rounds.progress import Progress, counted, no_progress
from hecli.rounds.proofs import check_proofs
from hecli.rounds.reading import in_order, side_by_side
from hecli.rounds.signing import check_identity
from hecli.rounds.slices import Product, extent_of


@dataclass(frozen=True)
class Aggregated:
    """An aggregate that was written.

    Args:
        plan: The plan it follows.
        contributors: Who is in it.
        digest: The file's digest.
    """

    plan: Plan
    contributors: tuple[Contributor, ...]
    digest: bytes


@dataclass(frozen=True)
class Sources:
    """Updates and aggregates, opened and checked but for their blocks.

    Args:
        readers: The opened files.
        blocks: What all of them together are.
        extent: What of them is worked on.
        found_in: The file of each contributor, by the contributor's digest.
        salts: The salt of each update, likewise.
    """

    readers: list[Reader]
    blocks: Blocks
    extent: Extent
    found_in: dict[bytes, str]
    salts: dict[bytes, bytes]

    def within(self, extent: Extent) -> "Sources":
        """Give some chunks of the same.

        Args:
            extent: Which.

        Returns:
            Sources of which no others are read.
        """
        readers = [reader.within(extent.records) for reader in self.readers]
        return replace(self, readers=readers, extent=extent)

    def check_proofs(self, work: Executor, progress: Progress) -> None:
        """Refuse updates whose makers do not prove that they know what is in them.

        Args:
            work: Who works.
            progress: Told how many blocks are checked, and of how many.

        Raises:
            FormatError: A proof does not hold.
        """
        party_of = {each.digest: each.party for each in self.blocks.contributors}
        updates = [
            (each, party_of[each.digest], self.salts[each.digest])
            for each in self.readers
            if each.kind == "update"
        ]
        check_proofs(updates, self.blocks.plan, self.extent, self.blocks.enrolled, work, progress)


def aggregate(
    sources: Sequence[BinaryIO],
    out: BinaryIO,
    *,
    plan: Plan | None = None,
    identity: Identity | None = None,
    part: tuple[int, int] | None = None,
    unsigned: bool = False,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Aggregated:
    """Multiply updates and aggregates into one aggregate.

    The proofs in updates are checked first; what is in aggregates is believed.
    The same contributors give the same bytes, whatever their order, the way
    they were nested, or the number of workers; but for the signature.

    Args:
        sources: The updates and aggregates.
        out: Where the aggregate goes.
        plan: The plan that all must follow; without it that of the first.
        identity: Who signs it, where the plan has a roster.
        part: Of many machines, which this is, from 1, and how many there are:
            then a slice is written, for `join`.
        unsigned: Whether nobody signs the slice, for whoever joins it knows its digest.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A file or ciphertext is not sound, or a proof does not hold.
        MismatchError: They follow different plans or keys.
        RefusedError: A contributor would be counted twice, there are more than
            the plan has room for, or the roster forbids it.
    """
    opened = open_sources(sources, plan)
    plan = opened.blocks.plan
    if part is not None:
        opened = opened.within(extent_of(plan, part))
    if not unsigned:
        check_identity(plan, identity, "aggregate")
    opened.check_proofs(work, progress)
    product_of = Product("aggregate", aggregate_header(opened.blocks), plan)
    with product(opened, work, progress) as blocks:
        if part is None:
            digest = product_of.write(out, blocks, identity)
        else:
            digest = product_of.write_slice(out, opened.extent, blocks, identity)
    return Aggregated(plan, opened.blocks.contributors, digest)


def open_sources(sources: Sequence[BinaryIO], plan: Plan | None = None) -> Sources:
    """Open all sources, and see that they fit together.

    Args:
        sources: The updates and aggregates, seekable.
        plan: The plan that all must follow; without it that of the first.

    Returns:
        Them, and all their contributors, each once.

    Raises:
        FormatError: A file is not sound.
        MismatchError: They follow different plans or keys.
        RefusedError: A contributor is there twice, there are more than the
            plan has room for, or the roster forbids it.
    """
    readers: list[Reader] = []
    first: Blocks | None = None
    found_in: dict[bytes, str] = {}
    salts: dict[bytes, bytes] = {}
    by_party: dict[str, str] = {}
    contributors: list[Contributor] = []
    for reader in in_order(open_reader, sources):
        expected = plan if first is None else first.plan
        blocks = open_blocks(
            reader, expected, "the plan" if plan is not None or not readers else readers[0].name
        )
        first = first or blocks
        if blocks.enrolled != first.enrolled:
            raise MismatchError(
                f"{readers[0].name} and {reader.name} are masked with different people"
                + _enrolled_twice(first.enrolled, blocks.enrolled),
                "all parties have to encrypt with the same enrollments: make a new plan, and agree on them",
            )
        readers.append(reader)
        salts[reader.digest] = blocks.salt
        for each in blocks.contributors:
            earlier = found_in.get(each.digest, by_party.get(each.party or ""))
            if earlier is not None:
                raise RefusedError(_twice(each, earlier, reader.name), "leave one of them out")
            found_in[each.digest] = reader.name
            if each.party is not None:
                by_party[each.party] = reader.name
            contributors.append(each)
        # Each header holds the whole plan: memory must not grow with the parties.
        reader.forget_header()
    if first is None:
        raise RefusedError("there is nothing to aggregate", "name updates, or aggregates")
    if len(contributors) > first.plan.capacity:
        raise RefusedError(
            f"{len(contributors):,} contributors are more than the plan's {first.plan.capacity:,}",
            "a lane could overflow; make the next plan with more --parties",
        )
    together = first._replace(contributors=sorted_contributors(contributors))
    return Sources(readers, together, extent_of(first.plan, None), found_in, salts)


@contextmanager
def product(sources: Sources, work: Executor, progress: Progress) -> Iterator[Iterator[bytes]]:
    """Compute the blocks of the sources' aggregate.

    Args:
        sources: The opened sources.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Yields:
        The blocks, in batches.

    Raises:
        FormatError: A block is not sound, which shows while they are read.
    """
    extent, count = sources.extent, len(sources.readers)
    with ExitStack() as stack:
        runs = [
            stack.enter_context(part.carrier.adding(count, extent.batches(part, count), work))
            for part in extent.parts
        ]
        yield _added(runs, sources.readers, extent, progress)


def _enrolled_twice(some: Sequence[Enrolled], others: Sequence[Enrolled]) -> str:
    """Who enrolled differently with one and with another."""
    known = dict(some)
    twice = [each.party for each in others if known.get(each.party, each.digest) != each.digest]
    return f": {', '.join(twice)} enrolled twice" if twice else ""


def _twice(contributor: Contributor, earlier: str, file: str) -> str:
    where = f"in {earlier} and again in {file}" if earlier != file else f"in {file} twice"
    return f"{contributor} would be counted twice: {where}"


def _added(
    runs: Sequence[Run], readers: Sequence[Reader], extent: Extent, progress: Progress
) -> Iterator[bytes]:
    """The blocks of the aggregate, part by part."""
    total, done = extent.all_blocks, 0
    for part, run in zip(extent.parts, runs, strict=True):
        blocks = _named(run(side_by_side(readers, part.sections, part.batch(len(readers)))), readers, part)
        yield from counted(blocks, part.carrier.block_size, total, progress, done)
        done += part.blocks


def _named(blocks: Iterable[bytes], readers: Sequence[Reader], part: Part) -> Iterator[bytes]:
    """The same blocks; what raises for one names the file that holds it."""
    done = 0
    try:
        for block in blocks:
            yield block
            done += len(block) // part.carrier.block_size
    except InvalidCiphertextError as error:
        name = readers[error.source].name
        raise FormatError(f"{name}: {part.block(done + error.index)} {error.reason}", error.hint) from error
