"""The bases of a round of low rank: made once, from the sum of the round before, the same for everybody."""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from hecli.codec import hadamard
from hecli.codec.arrays import Floats
from hecli.codec.basis import COLUMN_BITS, Basis, Columns, exponent_of, orthonormal
from hecli.codec.interface import Common, Decoding
from hecli.codec.low_rank import LEFT, MAX_RANK, RIGHT, SIDES, LowRank, factored, shape_of
from hecli.codec.projection import columns_onto, rows_onto
from hecli.codec.randomness import Stream
from hecli.errors import FormatError, HecliError
from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.formats.envelope import DIGEST_SIZE, Section
from hecli.formats.reader import Reader, open_reader
from hecli.formats.tensors.specs import TensorSpec, check_tensor_name
from hecli.plan.data import Plan
from hecli.rounds.headers import open_sum
from hecli.rounds.lanes import read_lanes
from hecli.rounds.spool import Spool, spooled

KIND, LABEL = "basis", "basis"

ITERATIONS = 2
"""How often a whole matrix is multiplied with a basis of its rows, and then with one of its columns."""

EXPONENT_LIMIT = 64

_WORD = np.dtype(">i2")


class Made(NamedTuple):
    """Bases that were made.

    Args:
        step: The step of a codec that uses them.
        basis: Them.
    """

    step: LowRank
    basis: Basis


def make_basis(total: BinaryIO, out: BinaryIO, rank: int, *, plan: Plan | None = None) -> Made:
    """Make the bases of a next round from the sum of the last one.

    Behind a round of low rank, a basis is one of the space of the factor that
    was added, and the other factor comes next. Behind any other, it comes from
    two iterations of the power method on the mean (N. Halko, P. G. Martinsson
    and J. A. Tropp, SIAM Review 53, 2011, algorithm 4.4).

    Args:
        total: The sum.
        out: Where the bases go.
        rank: How many columns each is to have.
        plan: The plan that the sum must follow; without it, its own is believed.

    Returns:
        What was made.

    Raises:
        FormatError: The file is not sound.
        HecliError: No tensor is a matrix large enough, or the last round had another rank.
        MismatchError: The sum follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    reader = open_reader(total)
    header = open_sum(reader, plan)
    plan, count = header.plan, len(header.contributors)
    last = plan.codec.step(LowRank)
    if last is not None and last.rank != rank:
        raise HecliError(
            f"the last round was of rank {last.rank}, and its sum gives no bases of rank {rank}",
            "keep the rank, or make a round without --rank first",
        )
    side = LEFT if last is not None and last.side == RIGHT else RIGHT
    step = LowRank(rank, side, bytes(DIGEST_SIZE))
    step.check(plan.tensors)
    decoding = Decoding(Common(plan.tensors, plan.digest), count, 1.0)
    found: dict[str, Columns] = {}
    for at, spec in enumerate(plan.tensors):
        size = plan.geometry.sizes[at]
        lanes = read_lanes(reader, size, plan.codec.largest * count)
        stream = Stream(LABEL, reader.digest, at)
        if not factored(spec, rank):
            for _ in lanes:
                pass
        elif last is not None:
            factor = _joined(plan.codec.undone(at, lanes, decoding, kept=1), rank)
            found[spec.name] = orthonormal(factor, stream)
        else:
            # A matrix is read several times, and may be larger than memory.
            with spooled(lanes, plan.geometry.sum_size) as spool:

                def values(at: int = at, size: int = size, spool: Spool = spool) -> Iterator[Floats]:
                    return plan.codec.undone(at, spool.read(0, size), decoding)

                found[spec.name] = _leading(values, spec, rank, stream)
    return _write(out, reader.digest, step, found)


def read_basis(reader: Reader) -> Basis:
    """Read bases.

    Args:
        reader: The opened file.

    Returns:
        The bases; whether they fit a plan is for the plan to say.

    Raises:
        FormatError: The file is none, or not sound.
    """
    reader.require(KIND)
    header, name = reader.header, reader.name
    fields(header, name, "its header", {"sum": bytes, "rank": int, "side": str, "tensors": list})
    items = [_item(each, name) for each in header["tensors"]]
    rank, names = header["rank"], [each[0] for each in items]
    sound = 1 <= rank <= MAX_RANK and header["side"] in SIDES and len(header["sum"]) == DIGEST_SIZE
    if not sound or not items or names != sorted(set(names)):
        raise FormatError(f"{name}: its header is not that of a basis")
    reader.require_sections(_section(items, rank))
    section = reader.section("numbers")
    columns = {}
    for tensor, length, exponent in items:
        numbers = np.frombuffer(section.read(length * rank), _WORD).astype(np.int16)
        if (numbers == np.iinfo(np.int16).min).any():
            raise FormatError(f"{name}: holds a number that is out of range")
        columns[tensor] = Columns(numbers.reshape(-1, rank), exponent)
    reader.verify()
    return Basis(reader.digest, columns)


def _leading(values: Callable[[], Iterator[Floats]], spec: TensorSpec, rank: int, stream: Stream) -> Columns:
    """A basis of the space in which most of a matrix's rows lie."""
    columns = shape_of(spec)[1]
    largest = max((float(np.abs(piece).max(initial=0.0)) for piece in values()), default=0.0)
    scale = 2.0 ** (COLUMN_BITS - exponent_of(largest))

    def matrix() -> Iterator[Floats]:
        return (np.rint(piece * scale) for piece in values())

    first = hadamard.signs(stream, columns * rank).astype(np.int16).reshape(columns, rank)
    right = Columns(first, 0)
    for _ in range(ITERATIONS):
        left = orthonormal(_joined(rows_onto(matrix(), columns, right), rank), stream)
        right = orthonormal(_joined(columns_onto(matrix(), columns, left), rank), stream)
    return right


def _joined(factor: Iterable[Floats], rank: int) -> Floats:
    return np.concatenate([*factor]).reshape(-1, rank)


def _write(out: BinaryIO, total: bytes, step: LowRank, columns: dict[str, Columns]) -> Made:
    items = [(name, len(each.numbers), each.exponent) for name, each in columns.items()]
    digest = envelope.write(
        out,
        KIND,
        {"sum": total, "rank": step.rank, "side": step.side, "tensors": [list(each) for each in items]},
        [_section(items, step.rank)],
        (each.numbers.astype(_WORD).tobytes() for each in columns.values()),
    )
    return Made(LowRank(step.rank, step.side, digest), Basis(digest, columns))


def _section(items: list[tuple[str, int, int]], rank: int) -> Section:
    return Section.of("numbers", _WORD.itemsize, sum(length for _, length, _ in items) * rank)


def _item(item: object, file: str) -> tuple[str, int, int]:
    match item:
        case [str(name), length, exponent] if type(length) is int and type(exponent) is int:
            check_tensor_name(name, file)
            if length > 0 and 0 <= exponent <= EXPONENT_LIMIT:
                return name, length, exponent
    raise FormatError(f"{file}: its list of tensors is malformed")
