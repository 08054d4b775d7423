"""A sum checked against the aggregate that it was opened from, by whoever has no key."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from hecli.arithmetic.sizes import InvalidCiphertextError
from hecli.codec.arrays import Lanes
from hecli.codec.pieces import regrouped
from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.contributors import Contributor
from hecli.formats.kinds import KINDS
from hecli.formats.reader import Reader, name_of, open_reader
from hecli.formats.tensors.arrays import PIECE
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.plan.parts import Part
from hecli.rounds.combine import combined
from hecli.rounds.headers import Sum, open_blocks, open_sum
from hecli.rounds.lanes import merged, read_lanes, selected
from hecli.rounds.opening import Opening, lane_sums, open_lanes, written_sums
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.proofs import groups_of, sum_statement
from hecli.schemes.interface import KEY
from hecli.schemes.proofs import SumProof, numbered
from hecli.schemes.round import Open, Opener, PublicKey

WRONG = "whoever opened it published something else: ask for the sum again, and whom you trust"


def verify_sum(
    total: BinaryIO,
    aggregate: BinaryIO,
    partials: Sequence[BinaryIO] = (),
    *,
    key: PublicKey | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    plan: Plan | None = None,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> tuple[Contributor, ...]:
    """Check that a sum is what an aggregate holds, without any secret.

    A sum that a key opened has proofs, which are checked. One that was
    combined from partials, or had only masks on it, is opened again.

    Args:
        total: The sum.
        aggregate: The aggregate that it says it was opened from.
        partials: Where the key is in shares, partials of enough of them.
        key: Then also the public key that was dealt; else it may be left out.
        enrollments: Everybody's, where the plan allows for dropouts.
        answers: The answers that took the masks off, likewise.
        plan: The plan that both must follow; without it, their own is believed.
        work: Who works.
        progress: Told how many blocks are checked, and of how many.

    Returns:
        Who is in it.

    Raises:
        FormatError: A file is not sound, or the sum is not what the aggregate holds.
        MismatchError: The aggregate is another.
        RefusedError: Something is missing.
    """
    reader = open_reader(total)
    claimed = open_sum(reader, plan)
    opening = _opening(open_reader(aggregate), claimed, reader.name)
    reader.verify()
    opening.reader.verify()
    plan, scheme = claimed.plan, claimed.plan.scheme
    if key is not None:
        scheme.check_key(key, reader.name)
    opener = opening.opener(None, enrollments, answers)
    if partials and scheme.sharing is None:
        raise RefusedError(
            f"{name_of(partials[0])} is not needed: the key is not in shares", "give the aggregate alone"
        )
    if scheme.correctness is not None:
        lanes = hashlib.sha256()
        for piece in reader.section("lanes").blocks(PIECE):
            lanes.update(piece)
        proof = reader.section("proof").read(1)
        main = _claimed_lanes(reader, claimed, plan.geometry.main)
        said = Said(reader.name, claimed, main, lanes.digest(), proof)
        check_proof(said, scheme.correctness, opening.reader, opener, work, progress)
        with opening.others(opener, work) as others:
            for part, plaintexts in zip(plan.geometry.others, others, strict=True):
                said_of_it = _claimed_lanes(reader, claimed, part)
                compare_part(reader.name, opening, part, said_of_it, plaintexts)
    elif scheme.sharing is not None:
        if not partials:
            raise RefusedError(
                f"{reader.name} was combined from partials, and none are given",
                f"give {scheme.sharing.threshold} or more behind the aggregate, with --from",
            )
        if key is None:
            raise RefusedError("partials are checked with the key that was dealt", "pass its .pub with --key")
        with combined(opening, partials, key, opener, work) as ready:
            _compare(reader, claimed, opening, ready.open, ready.control, ready.lanes, ready.others, progress)
    elif KEY in scheme.to_open:
        raise RefusedError(f"sums of the scheme {scheme.name!r} cannot be checked without the key")
    else:
        with scheme.opening(plan.round, opener, work) as opens, opening.others(opener, work) as others:
            _compare(reader, claimed, opening, opens.open, *opening.blocks_to_open(), others, progress)
    return claimed.contributors


def _opening(aggregate: Reader, claimed: Sum, name: str) -> Opening:
    """The aggregate, which must be the one that the sum names."""
    if aggregate.kind != "aggregate":
        raise FormatError(
            f"{aggregate.name} is {KINDS[aggregate.kind].with_article}, not an aggregate file",
            "give the aggregate first, and partials behind it",
        )
    blocks = open_blocks(aggregate, claimed.plan, name)
    if aggregate.digest != claimed.aggregate or blocks.contributors != claimed.contributors:
        raise MismatchError(
            f"{name}: was opened from another aggregate than {aggregate.name} "
            f"({claimed.aggregate.hex()[:16]}, not {aggregate.digest.hex()[:16]})",
            "give the aggregate that it was opened from with --from",
        )
    return Opening(aggregate, blocks, Extent.all(blocks.plan.geometry))


class Said(NamedTuple):
    """What a sum says that its proof is about.

    Args:
        name: The sum, for errors.
        total: Its header.
        lanes: The lane sums of the main part, in pieces.
        digest: SHA-256 over all its lanes as they stand in it.
        proof: The proof.
    """

    name: str
    total: Sum
    lanes: Iterator[Lanes]
    digest: bytes
    proof: bytes


def check_proof(
    said: Said,
    correctness: SumProof,
    aggregate: Reader,
    opener: Opener,
    work: Executor,
    progress: Progress,
) -> None:
    """Refuse a sum whose proof does not hold.

    Args:
        said: What the sum says.
        correctness: The proof's kind.
        aggregate: The aggregate.
        opener: What takes masks off.
        work: Who works.
        progress: Told how many blocks are checked, and of how many.

    Raises:
        FormatError: It does not hold.
    """
    sizes = said.total.plan.geometry
    bound = sum_statement(said.total, said.digest)

    def groups() -> Iterator[bytes]:
        parts = zip(groups_of(aggregate, sizes.group), _plaintexts(said, opener), strict=True)
        for number, (group, plaintexts) in enumerate(parts):
            progress(min(number * sizes.group, sizes.blocks), sizes.blocks)
            yield bound + numbered(number, group) + plaintexts

    try:
        held = correctness.check(bound, groups(), said.proof, sizes.groups, work)
    except InvalidCiphertextError as error:
        raise FormatError(f"{aggregate.name}: a ciphertext {error.reason}", error.hint) from error
    if not held:
        raise FormatError(f"{said.name}: is not what {aggregate.name} holds", WRONG)


def _plaintexts(said: Said, opener: Opener) -> Iterator[bytes]:
    """What the main part of the aggregate must hold, group by group, the control block last."""
    claimed = said.total
    plan, sizes, parties = claimed.plan, claimed.plan.geometry, len(claimed.contributors)
    size = sizes.group * sizes.packing.values
    packed = (sizes.packing.pack(each, parties) for each in regrouped(said.lanes, size))
    yield from plan.scheme.remasked(packed, 0, plan.round, opener)
    control = claimed.control.pack(sizes.packing.size)
    yield from plan.scheme.remasked([control], sizes.lane_blocks, plan.round, opener)


def _claimed_lanes(reader: Reader, claimed: Sum, part: Part) -> Iterator[Lanes]:
    """What the sum says of one part."""
    reader.section("lanes").rewind()
    largest = claimed.plan.codec.largest * len(claimed.contributors)
    return selected(read_lanes(reader, claimed.plan.geometry.values, largest), part.runs)


def compare_part(
    name: str, opening: Opening, part: Part, said: Iterator[Lanes], plaintexts: Iterator[bytes]
) -> None:
    """Refuse a sum of which a part that takes no key is not what the aggregate opens to once more.

    Args:
        name: The sum, for errors.
        opening: The aggregate.
        part: The part.
        said: What the sum says of it.
        plaintexts: What the aggregate's blocks of it open to.

    Raises:
        FormatError: They differ.
    """
    pairs = zip(regrouped(said, PIECE), regrouped(lane_sums(opening, part, plaintexts), PIECE), strict=True)
    if not all(np.array_equal(one, other) for one, other in pairs):
        raise FormatError(f"{name}: is not what {opening.reader.name} holds", WRONG)


def _compare(
    reader: Reader,
    claimed: Sum,
    opening: Opening,
    opened: Open,
    control: bytes,
    lanes: Iterator[bytes],
    others: Sequence[Iterator[bytes]],
    progress: Progress,
) -> None:
    """Refuse a sum that is not what the aggregate opens to once more."""
    totals, found = open_lanes(opening, opened, control, lanes, others, progress)
    if totals != claimed.control:
        raise FormatError(f"{reader.name}: its totals are not what {opening.reader.name} holds", WRONG)
    size = claimed.plan.geometry.sum_size
    section = reader.section("lanes")
    section.rewind()
    for piece in written_sums(claimed.plan, merged(found)):
        if section.read(len(piece) // size) != piece:
            raise FormatError(f"{reader.name}: is not what {opening.reader.name} holds", WRONG)
