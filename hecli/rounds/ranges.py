"""The ranges of the next plan, from the sum of the last round."""

import math
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from hecli.codec.arrays import Lanes
from hecli.codec.chain import Coding
from hecli.codec.interface import Common, Decoding
from hecli.codec.low_rank import LowRank
from hecli.codec.quantise import LEAST_STEP, STEP_LIMIT, step_of
from hecli.codec.rotate import norm_of, range_of
from hecli.codec.squares import sum_of_squares
from hecli.errors import HecliError
from hecli.formats.reader import Reader, open_reader
from hecli.plan.data import Plan
from hecli.rounds.headers import Sum, open_sum
from hecli.rounds.lanes import read_lanes

MARGIN = 2
"""How far beyond what a party is thought to have had a range goes: updates may grow from round to round."""

ALONE = 8
"""A value of the mean is thought to come from one party alone, where there are more from one in so many."""

CLIPPED = Fraction(1, 1000)
"""Where more than this share of all values was clipped, every range is at least doubled."""

FACTORS = (
    (Fraction(3, 10), Fraction(4)),
    (Fraction(1, 10), Fraction(2)),
    (Fraction(1, 100), Fraction(5, 4)),
    (Fraction(1, 1000), Fraction(1)),
    (Fraction(1, 100_000), Fraction(4, 5)),
)
"""What norms are multiplied with where more than such a share was clipped: one in 370 is as it should be."""

LEAST_FACTOR = Fraction(1, 2)
"""The same where less was clipped than all of these."""

MOST = 3
"""So many times the norm of the mean, times the root of the number of parties, is the most that one may have.

Parties that have nothing in common have that root times the norm of their mean.
"""

_LARGEST = Fraction(sys.float_info.max)

_WIDEST_STEP = math.nextafter(STEP_LIMIT, 0.0)


def steps_after(total: BinaryIO, coding: Coding, *, plan: Plan | None = None) -> tuple[float, ...]:
    """Choose the steps of a next round from the sum of the last one.

    A sum does not tell what a single party had: the mean may be one party's
    value alone, or what was left when others cancelled it. Whoever has the sum
    gets the same steps, on every machine: all is done in exact fractions, and
    rounded at the end.

    Args:
        total: The sum.
        coding: How values are coded in the next round.
        plan: The plan that the sum must follow; without it, its own is believed.

    Returns:
        The step of each tensor of the sum's plan, in the plan's order.

    Raises:
        FormatError: The file is not sound.
        HecliError: The last round was of low rank, and the next one is not rotated.
        MismatchError: It follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    reader = open_reader(total)
    header = open_sum(reader, plan)
    if coding.rotates:
        ranges = _by_norms(reader, header, coding)
        return tuple(_rounded(step_of(_root(each), coding.bits)) for each in ranges)
    return tuple(_rounded(step_of(each, coding.bits)) for each in _by_largest(reader, header, coding))


def _by_largest(reader: Reader, header: Sum, coding: Coding) -> list[Fraction]:
    """The ranges of values as they are.

    A range is MARGIN times the largest mean of the tensor times the number of
    parties, up to ALONE of them. But it shrinks by no more than half: where
    parties pull apart, the mean is small and their values are not.
    """
    plan, parties = header.plan, len(header.contributors)
    if plan.codec.step(LowRank) is not None:
        raise HecliError(
            "the last round was of low rank, and does not show how large single values are",
            "give --range, or keep --rank",
        )
    quantise = plan.codec.quantise
    # In old steps: what was scaled by a weight before rounding is so the next time, too.
    ranges = [
        MARGIN * min(parties, ALONE) * Fraction(largest) / parties * Fraction(step)
        for largest, step in zip(_largest(reader, header), quantise.steps, strict=True)
    ]
    old = [quantise.largest(at) * Fraction(step) for at, step in enumerate(quantise.steps)]
    filled = _filled(ranges, old, _measures(plan))
    least = Fraction(2) if _clipped(header) > CLIPPED else Fraction(1, 2)
    if least < 1 and quantise.bits != coding.bits:
        # A first round whose range nobody knew has more bits than the others.
        return filled
    return [max(each, least * before) for each, before in zip(filled, old, strict=True)]


def _by_norms(reader: Reader, header: Sum, coding: Coding) -> list[Fraction]:
    """The squares of the ranges of rotated values.

    The norm that a party may have follows that of the mean, and how much was
    clipped: the less, the closer.
    """
    plan, parties = header.plan, len(header.contributors)
    quantise, last = plan.codec.quantise, plan.codec.coding
    share = _clipped(header)
    factor = next((factor for above, factor in FACTORS if share > above), LEAST_FACTOR)
    means, ranges, old = [], [], []
    for at, squares in enumerate(_squares(reader, header)):
        spec, step = plan.tensors[at], Fraction(quantise.steps[at])
        values, sent = last.rotated(spec), plan.codec.coded(spec)
        # What was not in the sample is thought to be as large as what was.
        mean = squares * step**2 / parties**2 * Fraction(values, max(1, sent))
        before = (quantise.largest(at) * step) ** 2
        if last.rotates:
            expected = factor**2 * norm_of(before, max(1, values))
            norm = max(mean, min(expected, MOST**2 * parties * mean))
        else:
            norm = parties * mean
        means.append(mean)
        ranges.append(range_of(norm, max(1, coding.rotated(spec))))
        old.append(before)
    return _filled(ranges, old, _measures(plan))


def _pieces(reader: Reader, header: Sum) -> Iterator[Iterator[Lanes]]:
    """The lane sums of each tensor."""
    plan = header.plan
    largest = plan.codec.largest * len(header.contributors)
    return (read_lanes(reader, size, largest) for size in plan.geometry.sizes)


def _largest(reader: Reader, header: Sum) -> Iterator[float]:
    """How far the sum goes from zero in each tensor, in steps."""
    plan = header.plan
    decoding = Decoding(Common(plan.tensors, plan.digest), len(header.contributors), 1.0)
    for at, lanes in enumerate(_pieces(reader, header)):
        values = plan.codec.undone(at, lanes, decoding)
        yield max((float(np.abs(each).max()) for each in values), default=0.0)


def _squares(reader: Reader, header: Sum) -> Iterator[int]:
    """The sum of the squares of the quantised sums of each tensor, in steps."""
    plan = header.plan
    decoding = Decoding(Common(plan.tensors, plan.digest), len(header.contributors), 1.0)
    for at, lanes in enumerate(_pieces(reader, header)):
        yield sum(sum_of_squares(each) for each in plan.codec.quantise.decode(at, lanes, decoding))


def _clipped(header: Sum) -> Fraction:
    return Fraction(header.clipped, len(header.contributors) * header.plan.geometry.values)


def _measures(plan: Plan) -> list[bool]:
    return [spec.name in plan.metrics for spec in plan.tensors]


def _filled(ranges: Sequence[Fraction], old: Sequence[Fraction], measures: Sequence[bool]) -> list[Fraction]:
    """The ranges, with one for tensors of zeros."""
    # Metrics say nothing of how large values are.
    widest = max(each for each, measure in zip(ranges, measures, strict=True) if not measure)
    return [each or widest or before for each, before in zip(ranges, old, strict=True)]


def _root(square: Fraction) -> Fraction:
    """The square root, from float64 and to float64, both rounded to the nearest and no more than it has."""
    return Fraction(math.sqrt(min(square, _LARGEST)))


def _rounded(step: Fraction) -> float:
    """The nearest float64 that a plan can hold."""
    return float(min(max(step, Fraction(LEAST_STEP)), Fraction(_WIDEST_STEP)))
