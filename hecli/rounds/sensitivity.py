"""What a plan leaves in the clear, chosen by a sum that says how much each value tells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO, NamedTuple

import numpy as np

from hecli.errors import HecliError, MismatchError
from hecli.formats.reader import Reader, open_reader
from hecli.plan.data import Plan
from hecli.plan.making import check_new
from hecli.plan.parts import Published, joined
from hecli.rounds.headers import Sum, open_sum
from hecli.rounds.lanes import read_lanes

BLOCK = 256
"""Values that are encrypted or plain together."""


class _Block(NamedTuple):
    """Values of a tensor that stand together.

    Args:
        tensor: The number of the tensor in the plan.
        start: The first value.
        stop: The one behind the last.
    """

    tensor: int
    start: int
    stop: int


def plain_by_sensitivity(plan: Plan, total: BinaryIO, share: float) -> Plan:
    """Leave the least sensitive values of a plan in the clear.

    Every tensor is cut into blocks of BLOCK values, the last one shorter, and
    those that have the most sensitivity for their size are encrypted, until so
    many values are; of equal ones the first. Whoever has the map gets the same
    choice, on every machine: all is done in integers and exact fractions.

    Args:
        plan: The plan, in which nothing is in the clear. What it has under
            masks alone stays there, and counts on neither side.
        total: The map: the sum of a round in which the parties sent, in the
            place of each value, a number that is not below zero.
        share: Which share of the values is encrypted at least, above 0 and up to 1.

    Returns:
        The plan, with the rest plain.

    Raises:
        FormatError: The file is not sound.
        HecliError: No such plan can be kept, or the map has numbers below zero.
        MismatchError: The map is of other tensors.
        RefusedError: The roster's signatures are missing.
    """
    if not 0 < share <= 1:
        raise HecliError(f"a share of {share} cannot be encrypted", "give a number above 0 and up to 1")
    if plan.plain:
        raise HecliError("what is plain is chosen already", "leave out --plain, or the map")
    reader = open_reader(total)
    header = open_sum(reader)
    _check_map(plan, header, reader.name)
    masked = plan.masked.tensors if plan.masked is not None else ()
    ranked = sorted(
        (-sensitivity, block)
        for sensitivity, block in _sensitivities(reader, header, plan)
        if plan.tensors[block.tensor].name not in masked
    )
    blocks = [block for _, block in ranked]
    # As it was written, in decimal: a fifth of 1,000 is 200.
    wanted = Fraction(repr(float(share))) * sum(block.stop - block.start for block in blocks)
    made = replace(plan, plain=_plain(plan, blocks[_needed(blocks, wanted) :]))
    check_new(made)
    return made


def _check_map(plan: Plan, header: Sum, name: str) -> None:
    if header.plan.codec.steps or header.plan.geometry.sizes != tuple(s.size for s in header.plan.tensors):
        raise MismatchError(
            f"{name} is of a round that compresses, and has no number for each value",
            "make the round of maps without --rotate, --rank and --sample",
        )
    found = {spec.name: spec.shape for spec in header.plan.tensors if spec.name not in plan.skipped}
    wanted = {spec.name: spec.shape for spec in plan.tensors}
    for tensor in sorted(found.keys() | wanted.keys()):
        if found.get(tensor) != wanted.get(tensor):
            raise MismatchError(
                f"{name} is no map of the round's tensors: tensor {tensor} is not the same in both",
                "a map has a number for each value: the same names and shapes",
            )


def _sensitivities(reader: Reader, header: Sum, plan: Plan) -> Iterator[tuple[Fraction, _Block]]:
    """How sensitive each block of the plan is, for each of its values."""
    parties, quantise = len(header.contributors), header.plan.codec.quantise
    numbers = {spec.name: at for at, spec in enumerate(plan.tensors)}
    offset, largest = quantise.qmax * parties, header.plan.codec.largest * parties
    sizes = header.plan.geometry.sizes
    for spec, size, step in zip(header.plan.tensors, sizes, quantise.steps, strict=True):
        done = 0
        # Pieces end where blocks do.
        for lanes in read_lanes(reader, size, largest):
            values = lanes.astype(np.int64) - offset
            if spec.name not in numbers:
                continue
            if values.min() < 0:
                raise HecliError(
                    f"{reader.name}: tensor {spec.name} holds numbers below zero",
                    "a map says how much each value tells: send absolute values, or squares",
                )
            starts = np.arange(0, len(values), BLOCK)
            for start, total in zip(starts.tolist(), np.add.reduceat(values, starts).tolist(), strict=True):
                stop = min(start + BLOCK, len(values))
                block = _Block(numbers[spec.name], done + start, done + stop)
                yield Fraction(total, stop - start) * Fraction(step), block
            done += len(values)


def _needed(blocks: Sequence[_Block], wanted: Fraction) -> int:
    """How many of the blocks, from the first, hold so many values."""
    held = 0
    for at, block in enumerate(blocks):
        if held >= wanted:
            return at
        held += block.stop - block.start
    return len(blocks)


def _plain(plan: Plan, blocks: Sequence[_Block]) -> tuple[Published, ...]:
    """The blocks as they stand in a plan."""
    runs: dict[int, list[tuple[int, int]]] = {}
    for tensor, start, stop in sorted(blocks):
        runs.setdefault(tensor, []).append((start, stop))
    return tuple(Published(plan.tensors[tensor].name, joined(each)) for tensor, each in runs.items())
