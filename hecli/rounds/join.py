"""Slices to the file that one machine would have made."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO

import numpy as np

from hecli.codec.arrays import Lanes
from hecli.errors import FormatError, MismatchError, RefusedError
from hecli.executors.interface import SERIAL, Executor
from hecli.formats.canonical import pack
from hecli.formats.contributors import Contributor
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import PIECE
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.plan.parts import Part
from hecli.rounds.headers import Sum
from hecli.rounds.lanes import merged
from hecli.rounds.opening import Opening, open_aggregate, prove, written_sums
from hecli.rounds.progress import Progress, no_progress
from hecli.rounds.proofs import sum_statement
from hecli.rounds.signing import check_identity
from hecli.rounds.slices import Product, Slice, describe_range, open_slice
from hecli.rounds.verify_sum import Said, check_proof, compare_part
from hecli.schemes.round import Opener, PrivateKey
from hecli.storage.store import Record

TOGETHER = "what the slices hold together"
ASK = "hecli verify SLICE --from UPDATES tells which one is right"


@dataclass(frozen=True)
class Joined:
    """A file that was put together.

    Args:
        product: What it is.
        contributors: Who is in it.
        slices: How many slices are in it.
        digest: The file's digest.
    """

    product: Product
    contributors: tuple[Contributor, ...]
    slices: int
    digest: bytes


def join(
    slices: Sequence[BinaryIO],
    out: BinaryIO,
    *,
    aggregate: BinaryIO | None = None,
    key: PrivateKey | None = None,
    enrollments: Sequence[BinaryIO] = (),
    answers: Sequence[BinaryIO] = (),
    plan: Plan | None = None,
    identity: Identity | None = None,
    record: Record | None = None,
    known: frozenset[bytes] | None = None,
    work: Executor = SERIAL,
    progress: Progress = no_progress,
) -> Joined:
    """Put slices together into the file that one machine would have made, to the byte but for random proofs.

    Slices that are there twice count once. What is in them is believed: an
    aggregate is checked as any other, by making it again, and the proof of a
    sum is made of what the aggregate holds.

    Args:
        slices: The slices of one aggregate, attestation, partial or sum, in any order.
        out: Where the file goes.
        aggregate: Of a sum that has a proof, the aggregate that it was opened from.
        key: Likewise the private key, which makes the proof.
        enrollments: Likewise everybody's, where the plan allows for dropouts, and
        answers: the answers that take the masks off.
        plan: The plan that all must follow; without it that of the first.
        identity: Who signs the file, where the plan has a roster.
        record: Likewise told of the opening before anything is written.
        known: The digests of the slices that your own workers made, and did
            not sign; no others are accepted.
        work: Who works.
        progress: Told how many chunks are joined, and of how many.

    Returns:
        What was written.

    Raises:
        FormatError: A slice is not sound.
        MismatchError: They are of different files, or two differ about the same.
        RefusedError: There is a gap, something is missing, or the roster forbids it.
    """
    found = _in_order(slices, plan, known)
    first = found[0]
    product, own = first.product, first.product.plan
    check_identity(own, identity, product.kind)
    if product.kind == "attestation" and (identity is None or identity.card != first.signer):
        raise RefusedError(
            f"{first.reader.name} is a slice of {product.header['party']}'s attestation",
            "whoever attests has made all slices, and joins them with --identity",
        )
    if product.kind == "sum":
        proving = _proving(found, aggregate, key, enrollments, answers, identity, record)
        digest = product.write(out, _of_sum(found, proving, work, progress), identity)
    else:
        digest = product.write(out, _records(found, progress), identity)
    return Joined(product, first.contributors, len(found), digest)


def _in_order(sources: Sequence[BinaryIO], plan: Plan | None, known: frozenset[bytes] | None) -> list[Slice]:
    """The slices of one file, in the order of what they are about, and each once."""
    opened: list[Slice] = []
    for source in sources:
        reader = open_reader(source)
        if plan is not None or not opened:
            each = open_slice(reader, plan, known=known)
        else:
            each = open_slice(reader, opened[0].product.plan, opened[0].reader.name, known)
        if opened and _of(each) != _of(opened[0]):
            raise MismatchError(
                f"{opened[0].reader.name} and {each.reader.name} are slices of different files",
                "join those that were made of the same files in the same way",
            )
        opened.append(each)
    if not opened:
        raise RefusedError("there is nothing to join", "name slices")
    opened.sort(key=lambda each: (each.extent.first, each.extent.stop))
    found: list[Slice] = []
    at = 0
    for _, group in groupby(opened, key=lambda each: (each.extent.first, each.extent.stop)):
        each, *again = group
        _check_twice(each, again)
        if each.extent.first == each.extent.stop:
            continue
        if each.extent.first != at:
            raise _unfit(found, each, at)
        found.append(each)
        at = each.extent.stop
    chunks = opened[0].extent.chunks
    if at != chunks:
        raise _gap(at, chunks, chunks)
    return found


def _of(each: Slice) -> tuple[str, bytes]:
    """What a slice is a part of."""
    return each.product.kind, pack(each.product.header)


def _check_twice(one: Slice, again: Iterable[Slice]) -> None:
    """Refuse two slices about the same that say different things; proofs in partials are random."""
    for other in again:
        if one.product.kind != "partial" and one.reader.digest != other.reader.digest:
            raise MismatchError(
                f"{one.reader.name} and {other.reader.name} are about the same chunks, and differ", ASK
            )


def _unfit(before: Sequence[Slice], each: Slice, at: int) -> RefusedError:
    if each.extent.first > at:
        return _gap(at, each.extent.first, each.extent.chunks)
    return RefusedError(
        f"{before[-1].reader.name} ({describe_range(before[-1].extent)}) and {each.reader.name} "
        f"({describe_range(each.extent)}) overlap",
        "join slices of one number of parts",
    )


def _gap(first: int, stop: int, chunks: int) -> RefusedError:
    which = f"chunk {stop:,}" if first + 1 == stop else f"chunks {first + 1:,} to {stop:,}"
    return RefusedError(f"no slice has {which} of {chunks:,}", "make it, or name it too")


def _records(slices: Sequence[Slice], progress: Progress) -> Iterator[bytes]:
    """All records, section after section as they stand in the whole file."""
    chunks = slices[0].extent.chunks
    for name in [section.name for section in slices[0].product.sections]:
        for each in slices:
            if name in each.reader.names:
                section = each.reader.section(name)
                yield from section.checked_blocks(section.section.chunk)
                progress(each.extent.stop, chunks)


def _of_sum(
    slices: Sequence[Slice], proving: tuple[Opening, Opener] | None, work: Executor, progress: Progress
) -> Iterator[bytes]:
    """The lane sums, and behind them the proof that the aggregate holds them, which is checked at once."""
    plan, header = slices[0].product.plan, slices[0].product.header
    lanes = hashlib.sha256()
    sums = merged([(part.runs, _lanes(slices, part)) for part in plan.geometry.parts])
    for piece in written_sums(plan, sums):
        lanes.update(piece)
        yield piece
    if proving is None or plan.scheme.correctness is None:
        return
    opening, opener = proving
    total = Sum(plan, opening.contributors, header["aggregate"], header["weight"], header["clipped"])
    bound = sum_statement(total, lanes.digest())
    with plan.scheme.opening(plan.round, opener, work) as opens:
        proof = prove(opens, bound, opening.reader, plan.geometry.group)
    main = _lanes(slices, plan.geometry.main)
    said = Said(TOGETHER, total, main, lanes.digest(), proof)
    check_proof(said, plan.scheme.correctness, opening.reader, opener, work, progress)
    with opening.others(opener, work) as others:
        for part, plaintexts in zip(plan.geometry.others, others, strict=True):
            compare_part(TOGETHER, opening, part, _lanes(slices, part), plaintexts)
    yield proof


def _lanes(slices: Sequence[Slice], part: Part) -> Iterator[Lanes]:
    """The lane sums of one part, slice after slice."""
    for each in slices:
        if part.name in each.reader.names:
            section = each.reader.section(part.name)
            section.rewind()
            word = f">u{section.section.record_size}"
            largest = each.product.plan.codec.largest * len(each.contributors)
            for piece in section.blocks(PIECE):
                lanes = np.frombuffer(piece, word).astype(np.uint64)
                if lanes.max() > largest:
                    raise FormatError(f"{each.reader.name}: holds a lane value above {largest:,}")
                yield lanes


def _proving(
    slices: Sequence[Slice],
    aggregate: BinaryIO | None,
    key: PrivateKey | None,
    enrollments: Sequence[BinaryIO],
    answers: Sequence[BinaryIO],
    identity: Identity | None,
    record: Record | None,
) -> tuple[Opening, Opener] | None:
    """What the proof of a sum is made with; None where it has none."""
    plan, name = slices[0].product.plan, slices[0].reader.name
    if plan.scheme.correctness is None:
        return None
    if aggregate is None or key is None:
        raise RefusedError(
            "the proof of a sum is made of its aggregate, with the key",
            "give the aggregate with --from, and --key",
        )
    opening = open_aggregate(aggregate, "sum", plan, identity)
    if opening.reader.digest != slices[0].product.header["aggregate"]:
        raise MismatchError(
            f"{name}: was opened from another aggregate than {opening.reader.name}",
            "give the aggregate that the slices were opened from with --from",
        )
    plan.scheme.check_key(key.public, name)
    if record is not None:
        record(plan.subject, opening.used_on)
    return opening, opening.opener(key, enrollments, answers)
