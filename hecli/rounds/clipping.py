"""One party's update as a plan with noise calls for it, before the noise: clipped, rounded, and checked."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from hecli.codec.arrays import Lanes, Values
from hecli.codec.interface import Encoding
from hecli.codec.squares import sum_of_squares
from hecli.codec.values import checked_to_add, checked_values
from hecli.errors import DataError
from hecli.formats.tensors.arrays import TensorFile
from hecli.plan.data import Plan
from hecli.privacy.guarantee import PARTY, Privacy

SHRINK = 1 - 2.0**-10
"""What an update is multiplied with at most, again until its rounded values are within the norm."""


def clipped_lanes(file: TensorFile, plan: Plan, privacy: Privacy, encoding: Encoding) -> Iterator[Lanes]:
    """Encode an update for a plan with noise.

    Where a party is protected, its update is brought to the clip norm, rounded,
    and made smaller until its squared norm is within the plan's, in whole
    numbers. Where records are, values are clipped one by one, which moves no two
    updates apart.

    Args:
        file: The update's tensors, which can be read more than once.
        plan: The plan.
        privacy: Its noise.
        encoding: What the codec's steps are told; is told what the update is multiplied with.

    Yields:
        Its lanes in pieces.

    Raises:
        DataError: The tensors cannot be encoded, or changed while they were read.
    """
    if privacy.unit == PARTY:
        norm = _norm(file, plan, privacy, encoding)
        encoding.fraction = min(1.0, privacy.clip / norm) if norm else 1.0
        while (squared := _squared(_lanes(file, plan, privacy, encoding), plan)) > privacy.norm2:
            encoding.fraction *= min(SHRINK, math.sqrt(privacy.norm2 / squared))
        encoding.clipped.clear()
    yield from within_norm(_lanes(file, plan, privacy, encoding), plan, privacy, file.name)


def within_norm(lanes: Iterable[Lanes], plan: Plan, privacy: Privacy, file: str) -> Iterator[Lanes]:
    """Refuse lanes that are not clipped as a plan with noise calls for, once all were read.

    Args:
        lanes: The lanes of an update, in pieces.
        plan: The plan.
        privacy: Its noise.
        file: The file, for errors.

    Yields:
        The same.

    Raises:
        DataError: A value, or their norm, is larger than the plan allows.
    """
    quantise = plan.codec.quantise
    squared = 0
    for piece in lanes:
        values = piece.astype(np.int64) - quantise.qmax
        if np.abs(values).max(initial=0) > quantise.bound(0):
            raise DataError(f"{file}: a value leaves no room for noise", "encode the tensors again")
        if privacy.unit == PARTY:
            squared += sum_of_squares(values)
        yield piece
    if squared > privacy.norm2:
        raise DataError(
            f"{file}: its squared norm is {squared:,} steps, more than the {privacy.norm2:,} of the plan",
            "encode the tensors again, and do not change them meanwhile",
        )


def _lanes(file: TensorFile, plan: Plan, privacy: Privacy, encoding: Encoding) -> Iterator[Lanes]:
    for at in range(len(plan.tensors)):
        yield from plan.codec.encode(at, _values(file, plan, privacy, at, encoding), encoding)


def _values(file: TensorFile, plan: Plan, privacy: Privacy, at: int, encoding: Encoding) -> Iterator[Values]:
    """The values of one tensor, none so large that float64 would tell of it where they are added up."""
    spec, quantise = plan.tensors[at], plan.codec.quantise
    values = checked_to_add(encoding.name, spec, checked_values(file, spec))
    if privacy.unit == PARTY or not plan.codec.steps:
        yield from values
        return
    largest = quantise.bound(at) * quantise.steps[at]
    for piece in values:
        wide = piece.astype(np.float64)
        if outside := int((np.abs(wide) > largest).sum()):
            encoding.clipped[at] += outside
        yield np.clip(wide, -largest, largest)


def _norm(file: TensorFile, plan: Plan, privacy: Privacy, encoding: Encoding) -> float:
    """The norm of what is quantised of all tensors together."""
    norm = 0.0
    for at in range(len(plan.tensors)):
        for piece in plan.codec.stepped(at, _values(file, plan, privacy, at, encoding), encoding):
            # Of numbers whose squares float64 cannot hold, too.
            values = piece.astype(np.float64)
            largest = float(np.abs(values).max(initial=0.0))
            if largest:
                norm = math.hypot(norm, largest * float(np.sqrt(np.square(values / largest).sum())))
    return norm


def _squared(lanes: Iterable[Lanes], plan: Plan) -> int:
    qmax = plan.codec.quantise.qmax
    return sum(sum_of_squares(piece.astype(np.int64) - qmax) for piece in lanes)
