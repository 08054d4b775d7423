"""A sum checked against the aggregate that it was opened from, by whoever has no key."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

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
from hecli.plan.parts import Part
from hecli.rounds.combine import combined
from hecli.rounds.headers import Sum, open_blocks, open_sum
from hecli.rounds.lanes import read_lanes, selected
from hecli.rounds.opening import Opening, lane_sums, open_lanes
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
        _check_proof(reader, claimed, scheme.correctness, opening.reader, opener, work, progress)
        with opening.others(opener, work) as others:
            for part, plaintexts in zip(plan.geometry.others, others, strict=True):
                _compare_part(reader, claimed, opening, part, plaintexts)
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
    return Opening(aggregate, blocks)


def _check_proof(
    reader: Reader,
    claimed: Sum,
    correctness: SumProof,
    aggregate: Reader,
    opener: Opener,
    work: Executor,
    progress: Progress,
) -> None:
    sizes = claimed.plan.geometry
    lanes = hashlib.sha256()
    for piece in reader.section("lanes").blocks(sizes.main.batch() * sizes.packing.values):
        lanes.update(piece)
    bound = sum_statement(claimed, lanes.digest())

    def groups() -> Iterator[bytes]:
        parts = zip(groups_of(aggregate, sizes.group), _plaintexts(reader, claimed, opener), strict=True)
        for number, (group, plaintexts) in enumerate(parts):
            progress(min(number * sizes.group, sizes.blocks), sizes.blocks)
            yield bound + numbered(number, group) + plaintexts

    proof = reader.section("proof").read(1)
    try:
        held = correctness.check(bound, groups(), proof, sizes.groups, work)
    except InvalidCiphertextError as error:
        raise FormatError(f"{aggregate.name}: a ciphertext {error.reason}", error.hint) from error
    if not held:
        raise FormatError(f"{reader.name}: is not what {aggregate.name} holds", WRONG)


def _plaintexts(reader: Reader, claimed: Sum, opener: Opener) -> Iterator[bytes]:
    """What the main part of the aggregate must hold, group by group, the control block last."""
    plan, sizes, parties = claimed.plan, claimed.plan.geometry, len(claimed.contributors)
    lanes = _claimed_lanes(reader, claimed, sizes.main)
    packed = (
        sizes.packing.pack(each, parties) for each in regrouped(lanes, sizes.group * sizes.packing.values)
    )
    yield from plan.scheme.remasked(packed, 0, plan.round, opener)
    control = claimed.control.pack(sizes.packing.size)
    yield from plan.scheme.remasked([control], sizes.lane_blocks, plan.round, opener)


def _claimed_lanes(reader: Reader, claimed: Sum, part: Part) -> Iterator[Lanes]:
    """What the sum says of one part."""
    reader.section("lanes").rewind()
    largest = claimed.plan.codec.largest * len(claimed.contributors)
    return selected(read_lanes(reader, claimed.plan.geometry.values, largest), part.runs)


def _compare_part(
    reader: Reader, claimed: Sum, opening: Opening, part: Part, plaintexts: Iterator[bytes]
) -> None:
    """Refuse a sum of which a part that takes no key is not what the aggregate opens to once more."""
    said, true = _claimed_lanes(reader, claimed, part), lane_sums(opening, part, plaintexts)
    pairs = zip(regrouped(said, PIECE), regrouped(true, PIECE), strict=True)
    if not all(np.array_equal(one, other) for one, other in pairs):
        raise FormatError(f"{reader.name}: is not what {opening.reader.name} holds", WRONG)


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
    totals, sums = open_lanes(opening, opened, control, lanes, others, progress)
    if totals != claimed.control:
        raise FormatError(f"{reader.name}: its totals are not what {opening.reader.name} holds", WRONG)
    size = claimed.plan.geometry.sum_size
    section = reader.section("lanes")
    section.rewind()
    for piece in sums:
        if section.read(len(piece) // size) != piece:
            raise FormatError(f"{reader.name}: is not what {opening.reader.name} holds", WRONG)
