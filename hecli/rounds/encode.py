"""Tensors to integer lanes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from hecli.codec.quantise import Floats, Lanes, count_clipped, scaled, to_lanes
from hecli.errors import DataError, FormatError, MismatchError, RefusedError
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.formats.rounds import Encoded
from hecli.formats.tensors.layout import TensorSpec
from hecli.formats.tensors.reading import Array, TensorFile, open_tensors
from hecli.plan.data import Plan, Tensor, default_plan
from hecli.rounds.streams import is_own, name_of, open_reader

EXACT_INTEGERS = 1 << 53


@dataclass(frozen=True)
class Update:
    """One party's tensors, ready to be read as lanes: from tensors or from an encoded file.

    `clipped` is how many values are out of range, `clipped_in` how many in
    which tensor; for an encoded file only the total is known.
    """

    plan: Plan
    weight: int
    clipped: int
    clipped_in: dict[str, int]
    lanes: Iterable[Lanes]


def encode(
    tensors: BinaryIO, out: BinaryIO, plan: Plan, *, weight: int | None = None, strict: bool = False
) -> Update:
    """Write `tensors` (a seekable stream) to `out` as integer lanes.

    Values out of range are clipped and counted, or refused where `strict`.
    Raises DataError for NaN, infinity and integers beyond 2^53, MismatchError
    where names, shapes or dtypes are not the plan's, FormatError.
    """
    update = open_update(tensors, plan, plan.n, weight, strict=strict)
    write_encoded(update, out)
    return update


def write_encoded(update: Update, out: BinaryIO) -> None:
    """Write an update to `out` as an encoded file."""
    plan = update.plan
    blocks = (lanes.astype(f">u{plan.lane_size}").tobytes() for lanes in update.lanes)
    header = Encoded(plan.to_map(), update.weight, update.clipped).header()
    envelope.write(out, "encoded", header, record_size=plan.lane_size, count=plan.values, blocks=blocks)


def open_update(
    source: BinaryIO, plan: Plan | None, n: int, weight: int | None, *, strict: bool = False
) -> Update:
    """An update from a stream of tensors or an encoded file, checked from end to end.

    Without a plan, tensors get the default plan under n. Raises as `encode` does.
    """
    name = name_of(source)
    if is_own(source):
        reader = open_reader(source)
        reader.require("encoded", "tensors")
        if reader.kind == "encoded":
            return _from_encoded(reader, plan, weight, strict=strict)
        source.seek(0)
    file = open_tensors(source, name)
    return from_tensors(file, name, plan or default_plan(n, file.specs), weight, strict=strict)


def open_encoded(reader: Reader) -> tuple[Plan, Encoded]:
    """The plan and the header of an encoded file; raises FormatError."""
    header = Encoded.parse(reader)
    plan = Plan.from_map(header.plan, reader.name)
    reader.require_body(plan.lane_size, plan.values)
    if not 1 <= header.weight <= plan.max_weight:
        raise FormatError(f"{reader.name}: its weight is not from 1 to {plan.max_weight:,}")
    if header.clipped > plan.values:
        raise FormatError(f"{reader.name}: says more values were clipped than there are")
    return plan, header


def from_tensors(file: TensorFile, name: str, plan: Plan, weight: int | None, *, strict: bool) -> Update:
    """An update from an opened tensor file; reads it once to check it, and again for the lanes."""
    plan.check_layout(file.specs, name)
    weight = _weight(plan, weight)
    clipped = {}
    for tensor in plan.tensors:
        count = sum(count_clipped(steps, plan.qmax) for steps in _steps(file, name, plan, tensor, weight))
        if count:
            clipped[tensor.spec.name] = count
    if clipped and strict:
        tensor = next(each for each in plan.tensors if each.spec.name in clipped)
        raise DataError(
            f"{name}: {sum(clipped.values()):,} values are out of range, "
            f"the first in tensor {tensor.spec.name}, whose range is ±{plan.qmax * tensor.step:.6g}",
            "make a plan with a larger --range, or leave out --strict to clip them",
        )

    def lanes() -> Iterator[Lanes]:
        for tensor in plan.tensors:
            for steps in _steps(file, name, plan, tensor, weight):
                yield to_lanes(steps, plan.qmax, stochastic=plan.rounding == "stochastic")

    return Update(plan, weight, sum(clipped.values()), clipped, lanes())


def _from_encoded(reader: Reader, plan: Plan | None, weight: int | None, *, strict: bool) -> Update:
    own, header = open_encoded(reader)
    if plan is not None:
        own.check_same(plan, reader.name, "the plan")
    if weight is not None and weight != header.weight:
        raise MismatchError(
            f"{reader.name} was encoded with weight {header.weight}, not {weight}", "leave out --weight"
        )
    if header.clipped and strict:
        raise DataError(f"{reader.name}: {header.clipped:,} values were clipped when it was encoded")

    def lanes() -> Iterator[Lanes]:
        for block in reader.blocks(1 << 16):
            values = np.frombuffer(block, f">u{own.lane_size}").astype(np.uint64)
            if values.max() > 2 * own.qmax:
                raise FormatError(f"{reader.name}: holds a lane value above {2 * own.qmax:,}")
            yield values

    return Update(own, header.weight, header.clipped, {}, lanes())


def _steps(file: TensorFile, name: str, plan: Plan, tensor: Tensor, weight: int) -> Iterator[Floats]:
    """A tensor's values in steps, scaled by weight, checked to be finite."""
    start = 0
    for piece in file.read(tensor.spec):
        check_values(piece, start, tensor.spec, name)
        yield scaled(piece, tensor.step, weight / plan.max_weight)
        start += piece.size


def check_values(piece: Array, start: int, spec: TensorSpec, name: str) -> None:
    """Raise DataError, naming the index, for a value that is no number or beyond exact float64.

    `piece` holds the tensor's values from the flat index `start` on.
    """
    if np.issubdtype(piece.dtype, np.integer):
        # Compared as Python integers would be: numpy keeps uint64 apart from negative bounds.
        bad = np.greater(piece, EXACT_INTEGERS) | np.less(piece, -EXACT_INTEGERS)
        what = "integer overflow, above 2^53 in size"
    else:
        bad = ~np.isfinite(piece.astype(np.float64))
        what = "not a finite number"
    if bad.any():
        at = int(np.argmax(bad))
        index = [int(i) for i in np.unravel_index(start + at, spec.shape)]
        raise DataError(
            f"{name}: tensor {spec.name}{index} is {piece[at]}, {what}",
            "an update must be finite; look at the step it came from before you send it",
        )


def _weight(plan: Plan, weight: int | None) -> int:
    if weight is None:
        if plan.max_weight > 1:
            raise RefusedError(
                "this round is weighted, and no weight was given",
                f"pass --weight, how many samples the update is from (at most {plan.max_weight:,})",
            )
        return 1
    if not 1 <= weight <= plan.max_weight:
        raise RefusedError(
            f"weight {weight:,} is not from 1 to {plan.max_weight:,}",
            "weights need a plan made with hecli plan --max-weight, passed with --plan",
        )
    return weight
