"""An aggregate made again from the updates, to see that it is what it says."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.contributors import Contributor, parse_enrolled
from hecli.formats.kinds import KINDS
from hecli.formats.reader import Reader, open_reader
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.rounds.aggregate import Sources, open_sources, product
from hecli.rounds.headers import Blocks, open_blocks
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.slices import KIND as SLICE
from hecli.rounds.slices import extent_of, open_slice, with_article


def verify_aggregate(
    aggregate: BinaryIO,
    updates: Sequence[BinaryIO],
    *,
    plan: Plan | None = None,
    part: tuple[int, int] | None = None,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> tuple[Contributor, ...]:
    """Check the proofs in the parties' updates, make the aggregate again of them, and compare.

    Args:
        aggregate: The aggregate.
        updates: The parties' updates.
        plan: The plan that all must follow; without it the aggregate's own.
        part: Which part of it is checked, from 1, and of how many; without it all.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        Who is in it.

    Raises:
        FormatError: A file is not sound.
        MismatchError: It is not their product; the first difference is named.
        RefusedError: The roster forbids it, or an update is there twice.
    """
    reader = open_reader(aggregate)
    blocks = open_blocks(reader, plan)
    extent = extent_of(blocks.plan, part)
    reader = reader.within(extent.records)
    # Damage shows in the digests, and is not taken for fraud.
    reader.verify()
    check_recomputed(reader, blocks, updates, [extent], work, progress)
    return blocks.contributors


def verify_slice(
    part: BinaryIO,
    updates: Sequence[BinaryIO],
    *,
    plan: Plan | None = None,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> tuple[Contributor, ...]:
    """Make a slice of an aggregate again, and compare.

    Args:
        part: The slice.
        updates: The parties' updates.
        plan: The plan that all must follow; without it the slice's own.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Returns:
        Who is in it.

    Raises:
        FormatError: A file is not sound, or a proof does not hold.
        MismatchError: It is not their product; the first difference is named.
        RefusedError: It is of something that nobody can make again.
    """
    found = open_slice(open_reader(part), plan)
    if found.product.kind != "aggregate":
        raise RefusedError(
            f"{found.reader.name} is a slice of {with_article(found.product.kind)}",
            "only slices of aggregates can be made again: join the others, and verify what comes of them",
        )
    found.reader.verify()
    enrolled = parse_enrolled(found.product.header, found.reader.name)
    blocks = Blocks(found.product.plan, found.contributors, enrolled)
    check_recomputed(found.reader, blocks, updates, [found.extent], work, progress)
    return found.contributors


def check_recomputed(
    reader: Reader,
    blocks: Blocks,
    sources: Sequence[BinaryIO],
    extents: Sequence[Extent],
    work: Executor,
    progress: Progress,
) -> None:
    """Refuse an aggregate that is not the product of the updates, or updates whose proofs do not hold.

    Args:
        reader: The opened aggregate, or a slice of it.
        blocks: What it says of itself.
        sources: The parties' updates, seekable.
        extents: What of it is checked; of a slice what it holds.
        work: Who works.
        progress: Told how many blocks are done, and of how many.

    Raises:
        FormatError: A file is not sound, an update is none, or a proof does not hold.
        MismatchError: The aggregate is something else.
        RefusedError: There are no updates, or one is there twice.
    """
    if reader.kind not in ("aggregate", SLICE):
        raise FormatError(
            f"{reader.name} is {KINDS[reader.kind].with_article}, not an aggregate file",
            "give the aggregate first, and the parties' updates with --from",
        )
    if not sources:
        raise RefusedError(
            f"nothing shows what {reader.name} was made of: none of its parties' updates is here",
            "put them beside it as .enc files (for a pipe, in this folder), or give them with --from",
        )
    opened = open_sources(sources, blocks.plan)
    for source in opened.readers:
        if source.kind != "update":
            raise FormatError(
                f"{source.name} is an {source.kind} file, not an update file",
                "--from takes the parties' own updates, for an aggregate proves nothing by itself",
            )
    _check_contributors(reader.name, blocks.contributors, opened)
    if blocks.enrolled != opened.blocks.enrolled:
        raise MismatchError(
            f"{reader.name}: lists others as enrolled than the updates do",
            "whoever aggregated altered it: aggregate the updates again",
        )
    for extent in extents:
        part = opened.within(extent)
        found = reader if reader.kind == SLICE else reader.within(extent.records)
        part.check_proofs(work, progress)
        found.rewind()
        with product(part, work, progress) as made:
            _compare(found, made, extent)


def _compare(reader: Reader, made: Iterator[bytes], extent: Extent) -> None:
    for part in extent.parts:
        size, done = part.carrier.block_size, 0
        while done < extent.blocks_of(part):
            batch = next(made)
            count = len(batch) // size
            # A batch never holds blocks of two sections.
            section = part.sections[done >= part.blocks]
            found = reader.section(section).read(count)
            if found != batch:
                block = part.block(done + _first_difference(found, batch, size))
                raise MismatchError(
                    f"{reader.name}: {block} is not the product of the updates'",
                    "whoever aggregated put something else in: aggregate the updates again",
                )
            done += count


def _check_contributors(name: str, contributors: tuple[Contributor, ...], opened: Sources) -> None:
    """Raise MismatchError for the first contributor that is not the same on both sides."""
    given_all = opened.blocks.contributors
    listed = {each.party: each for each in contributors if each.party is not None}
    given = {each.party: each for each in given_all if each.party is not None}
    for party in sorted(listed.keys() & given.keys()):
        if listed[party].digest != given[party].digest:
            raise MismatchError(
                f"{name}: counts another update of {party} than {opened.found_in[given[party].digest]} "
                f"(digest {listed[party].digest.hex()[:16]}, not {given[party].digest.hex()[:16]})",
                "one of them was altered or replaced: ask the party which one is its own",
            )
    digests = {each.digest for each in given_all}
    for each in contributors:
        if each.digest not in digests:
            raise MismatchError(
                f"{name}: counts {each}, whose update is not among the files",
                "give all the updates it was made of with --from; if you have them all, one was made up",
            )
    counted = {each.digest for each in contributors}
    for each in given_all:
        if each.digest not in counted:
            raise MismatchError(
                f"{name}: does not count {each}, whose update is in {opened.found_in[each.digest]}",
                "whoever aggregated dropped a party: aggregate again, or leave the file out if it came late",
            )


def _first_difference(found: bytes, block: bytes, size: int) -> int:
    starts = range(0, len(block), size)
    return next(at // size for at in starts if found[at : at + size] != block[at : at + size])
