"""What every way of opening an aggregate has in common: the checks before it, and the sum after it."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from hecli.arithmetic.sizes import InvalidCiphertextError
from hecli.codec.arrays import Lanes
from hecli.codec.control import Control
from hecli.errors import FormatError, RefusedError
from hecli.executors.interface import Executor
from hecli.formats.canonical import digest_of, pack
from hecli.formats.contributors import Contributor
from hecli.formats.reader import Reader, open_reader
from hecli.formats.text import count
from hecli.identity.signatures import Identity
from hecli.plan.checks import possible_totals
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.plan.parts import CONTROL, Part, Runs
from hecli.rounds.enrollments import open_answers, open_enrollments
from hecli.rounds.headers import Blocks, Sum, open_blocks
from hecli.rounds.lanes import merged
from hecli.rounds.progress import Progress
from hecli.rounds.proofs import groups_of, sum_statement
from hecli.rounds.signing import check_identity
from hecli.rounds.slices import Product, extent_of
from hecli.schemes.proofs import numbered
from hecli.schemes.round import Open, Opener, Opens, PrivateKey
from hecli.storage.store import Record

UNSOUND = "somebody altered an update or the aggregate, or a party did not follow the plan"


class UnsoundError(FormatError):
    """An aggregate opens to what no sum of updates can be, whoever is to blame.

    Args:
        message: What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, UNSOUND)


@dataclass(frozen=True)
class Opening:
    """An aggregate that may be opened.

    Args:
        reader: The file.
        blocks: What it says of itself.
        extent: What of it is opened, and read; beside it the control block.
    """

    reader: Reader
    blocks: Blocks
    extent: Extent

    @property
    def plan(self) -> Plan:
        """The plan it follows."""
        return self.blocks.plan

    @property
    def contributors(self) -> tuple[Contributor, ...]:
        """Who is in it."""
        return self.blocks.contributors

    @property
    def used_on(self) -> bytes:
        """What a secret is used on, of all that could be opened about the same.

        Where parties send one update about a model, that is the set of them;
        else only this file.
        """
        if self.plan.position is None:
            return self.reader.digest
        return digest_of("opened", pack([each.party for each in self.contributors]))

    def blocks_to_open(self) -> tuple[bytes, Iterator[bytes]]:
        """Read what is opened, from its start.

        Returns:
            The control block, and the blocks of the lanes in batches, of chunks
            whose digests hold.
        """
        self.reader.rewind()
        control = self.reader.section("control").read(1)
        main = self.extent.main
        return control, self.reader.section(main.name).checked_blocks(main.batch())

    @contextmanager
    def others(self, opener: Opener, work: Executor) -> Iterator[list[Iterator[bytes]]]:
        """Get ready to open all parts but the main one, which takes no key.

        Args:
            opener: Who opens, and what they were given.
            work: Who works.

        Yields:
            The plaintexts of each part, in batches.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        found = []
        with ExitStack() as stack:
            for whole, part in zip(self.plan.geometry.others, self.extent.others, strict=True):
                ready = part.carrier.opening(self.plan.round_of(whole), opener, work)
                section = self.reader.section(part.name)
                section.rewind()
                batches = section.checked_blocks(part.batch())
                found.append(stack.enter_context(ready).open(batches, part.first))
            yield found

    def opener(
        self, key: PrivateKey | None, enrollments: Sequence[BinaryIO], answers: Sequence[BinaryIO]
    ) -> Opener:
        """Gather what whoever opens was given.

        Args:
            key: The private key, if any.
            enrollments: Everybody's enrollments.
            answers: The answers about this aggregate.

        Returns:
            It, opened and checked.

        Raises:
            HecliError: Something does not fit.
        """
        return Opener(
            key,
            self.contributors,
            open_enrollments(enrollments, self.plan, self.blocks.enrolled) if enrollments else None,
            open_answers(answers, self.reader.name, self.blocks) if answers else (),
            set(),
        )


@dataclass(frozen=True)
class Opened:
    """A sum that was written.

    Args:
        total: What it holds.
        digest: The file's digest.
        refused: What was wrong with the answers or partials that were left out.
    """

    total: Sum
    digest: bytes
    refused: tuple[str, ...] = ()


def open_aggregate(
    aggregate: BinaryIO,
    made: str,
    plan: Plan | None,
    identity: Identity | None,
    part: tuple[int, int] | None = None,
    *,
    unsigned: bool = False,
) -> Opening:
    """Check of an aggregate all that takes neither a key nor the updates it was made of.

    Args:
        aggregate: The file, seekable.
        made: The kind of file to be made of it.
        plan: The plan it must follow; without it, its own is believed.
        identity: Who opens, where the plan has a roster.
        part: Which part of it is opened, from 1, and of how many; without it all.
        unsigned: Whether what is made of it is signed by nobody.

    Returns:
        The aggregate, opened.

    Raises:
        FormatError: It is not sound.
        MismatchError: It follows another plan.
        RefusedError: It may not be opened.
    """
    reader = open_reader(aggregate)
    blocks = open_blocks(reader, plan)
    plan, contributors = blocks.plan, blocks.contributors
    if not unsigned:
        check_identity(plan, identity, made)
    if len(contributors) < plan.min_parties:
        raise RefusedError(
            f"{reader.name} holds {count(len(contributors), 'contributor')}, "
            f"the plan opens no fewer than {plan.min_parties}",
            "wait for more parties: the sum of so few would show what one of them sent",
        )
    if plan.masking is not None:
        plan.masking.check_enough(contributors, plan.roster, reader.name)
    # Damage shows in the digests, quickly, and is not taken for forgery.
    extent = extent_of(plan, part)
    if part is not None:
        # Who opens any of it sees in the control block that it was made as it says.
        reader = reader.within({**extent.records, CONTROL: (0, 1)})
    reader.verify()
    return Opening(reader, blocks, extent)


def write_sum(
    opening: Opening,
    opens: Opens,
    control: bytes,
    lanes: Iterable[bytes],
    others: Sequence[Iterator[bytes]],
    out: BinaryIO,
    identity: Identity | None,
    record: Record | None,
    progress: Progress,
    *,
    sliced: bool = False,
) -> Opened:
    """Open an aggregate, and write its lane sums and the proofs of them.

    Args:
        opening: The aggregate.
        opens: What opens, and proves.
        control: What it opens the control block from.
        lanes: What it opens the main part's lanes from, in batches.
        others: The plaintexts of the other parts.
        out: Where the sum goes.
        identity: Who signs it.
        record: Told of the opening before anything is opened.
        progress: Told how many blocks are opened, and of how many.
        sliced: Whether a slice is written, of what is opened and without the proof.

    Returns:
        What was written.

    Raises:
        FormatError: It opens to what no sum of updates can be.
    """
    reader, plan = opening.reader, opening.plan
    if record is not None:
        # Before anything is opened: also an error says something of what was.
        record(plan.subject, opening.used_on)
    totals, sums = open_lanes(opening, opens.open, control, lanes, others, progress)
    total = Sum(plan, opening.contributors, reader.digest, totals.weight, totals.clipped)
    product = Product("sum", total.header(), plan)
    if sliced:
        pieces = written_sums(plan, (piece for _, lanes in sums for piece in lanes))
        return Opened(total, product.write_slice(out, opening.extent, pieces, identity))
    proven = proven_sums(total, written_sums(plan, merged(sums)), opens, reader)
    return Opened(total, product.write(out, proven, identity))


def written_sums(plan: Plan, sums: Iterable[Lanes]) -> Iterator[bytes]:
    """Write lane sums as they stand in a sum.

    Args:
        plan: The plan.
        sums: The lane sums, in pieces.

    Yields:
        The pieces.
    """
    word = f">u{plan.geometry.sum_size}"
    return (piece.astype(word).tobytes() for piece in sums)


def open_lanes(
    opening: Opening,
    opened: Open,
    control: bytes,
    lanes: Iterable[bytes],
    others: Sequence[Iterator[bytes]],
    progress: Progress,
) -> tuple[Control, Sequence[tuple[Runs, Iterator[Lanes]]]]:
    """Open an aggregate: its control block at once, so that a wrong one ends it before the long work.

    Args:
        opening: The aggregate.
        opened: What opens.
        control: What it opens the control block from.
        lanes: What it opens the main part's lanes from, in batches.
        others: The plaintexts of the other parts.
        progress: Told how many blocks are opened, and of how many.

    Returns:
        What the control block says; and for each part which lanes are opened,
        and their sums, which are opened as they are taken.

    Raises:
        FormatError: It opens to what no sum of updates can be.
    """
    reader, plan = opening.reader, opening.plan
    sizes, extent = plan.geometry, opening.extent
    # Both are begun: where several work, the lanes' first batches are opened meanwhile.
    of_control, of_lanes = opened([control], sizes.lane_blocks), opened(lanes, extent.main.first)
    first = b"".join(_named(of_control, reader, sizes.main, sizes.lane_blocks))
    totals = _control(first, reader, plan, len(opening.contributors))
    total, done = sum(part.blocks for part in extent.parts) + 1, 1

    def told(part: Part, plaintexts: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal done
        for batch in plaintexts:
            yield batch
            done += len(batch) // part.packing.size
            progress(done, total)

    parts = zip(extent.parts, [*others, of_lanes], strict=True)
    sums = [(part.runs, lane_sums(opening, part, told(part, plaintexts))) for part, plaintexts in parts]
    return totals, sums


def proven_sums(total: Sum, sums: Iterable[bytes], opens: Opens, reader: Reader) -> Iterator[bytes]:
    """Put the proof of lane sums behind them, when all are there and so can be bound to.

    Args:
        total: What the sum says of itself.
        sums: The lane sums, in pieces.
        opens: What proves.
        reader: The aggregate.

    Yields:
        The pieces, and the proof.
    """
    lanes = hashlib.sha256()
    for piece in sums:
        lanes.update(piece)
        yield piece
    if opens.prove is not None:
        yield prove(opens, sum_statement(total, lanes.digest()), reader, total.plan.geometry.group)


def prove(opens: Opens, bound: bytes, reader: Reader, size: int) -> bytes:
    """Make the proof of a sum.

    Args:
        opens: What proves.
        bound: What the proof is bound to.
        reader: The aggregate.
        size: Blocks of a group.

    Returns:
        The proof; nothing where sums have none.
    """
    if opens.prove is None:
        return b""
    groups = enumerate(groups_of(reader, size))
    return opens.prove(bound, (bound + numbered(number, group) for number, group in groups))


def lane_sums(opening: Opening, part: Part, plaintexts: Iterable[bytes]) -> Iterator[Lanes]:
    """Read the lane sums of a part.

    Args:
        opening: The aggregate.
        part: The part.
        plaintexts: What its blocks open to, from the first.

    Yields:
        The sums, in pieces.

    Raises:
        FormatError: They are what no sum of updates can be.
    """
    reader, parties = opening.reader, len(opening.contributors)
    largest = opening.plan.codec.largest * parties
    done, left = 0, part.values
    for batch in _named(plaintexts, reader, part, 0):
        values = part.packing.unpack(batch, parties, left)
        last = done + len(batch) // part.packing.size - 1
        if values is None or values.max() > largest:
            where = f"{part.block(done)} to {last}" if last > done else part.block(done)
            raise UnsoundError(f"{reader.name}: {where} opens to what no sum of updates can be")
        done = last + 1
        left -= len(values)
        yield values


def _named(plaintexts: Iterable[bytes], reader: Reader, part: Part, done: int) -> Iterator[bytes]:
    """The same plaintexts; what raises for a block names it."""
    try:
        for batch in plaintexts:
            yield batch
            done += len(batch) // part.packing.size
    except InvalidCiphertextError as error:
        raise FormatError(
            f"{reader.name}: {part.block(done + error.index)} {error.reason}", error.hint
        ) from error


def _control(plaintext: bytes, reader: Reader, plan: Plan, parties: int) -> Control:
    control = Control.unpack(plaintext)
    if control.count != parties:
        raise UnsoundError(
            f"{reader.name}: its header lists {count(parties, 'contributor')}, "
            "its control block does not agree"
        )
    if not possible_totals(plan, parties, control.weight, control.clipped):
        raise UnsoundError(f"{reader.name}: its control block is out of range")
    return control
