"""The ranges of the next plan, from the sum of the last round."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from hecli.codec.quantise import LEAST_STEP, STEP_LIMIT, step_of
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

_WIDEST_STEP = math.nextafter(STEP_LIMIT, 0.0)


def steps_after(total: BinaryIO, bits: int, *, plan: Plan | None = None) -> tuple[float, ...]:
    """Choose the steps of a next round from the sum of the last one.

    A sum does not tell what a single party had: the mean may be one party's
    value alone, or what was left when others cancelled it. A range is
    therefore MARGIN times the largest mean of the tensor times the number of
    parties, up to ALONE of them. Whoever has the sum gets the same steps, on
    every machine: all is done in exact fractions, and rounded once.

    Args:
        total: The sum.
        bits: The bits of a value in the next round, from 2 to 32.
        plan: The plan that the sum must follow; without it, its own is believed.

    Returns:
        The step of each tensor of the sum's plan, in the plan's order.

    Raises:
        FormatError: The file is not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    reader = open_reader(total)
    header = open_sum(reader, plan)
    quantise, parties = header.plan.codec.quantise, len(header.contributors)
    # In old steps: what was scaled by a weight before rounding is so the next time, too.
    means = (Fraction(each, parties) for each in _largest(reader, header))
    ranges = [
        MARGIN * min(parties, ALONE) * mean * Fraction(step)
        for mean, step in zip(means, quantise.steps, strict=True)
    ]
    old = [quantise.qmax * Fraction(step) for step in quantise.steps]
    clipped = header.clipped > CLIPPED * parties * header.plan.geometry.values
    measures = [spec.name in header.plan.metrics for spec in header.plan.tensors]
    return tuple(_rounded(step_of(each, bits)) for each in _filled(ranges, old, measures, clipped=clipped))


def _largest(reader: Reader, header: Sum) -> list[int]:
    """How far the sum goes from zero in each tensor, in steps."""
    plan, parties = header.plan, len(header.contributors)
    offset = plan.codec.quantise.qmax * parties
    found = []
    for size in plan.geometry.sizes:
        pieces = read_lanes(reader, size, plan.codec.largest * parties)
        found.append(max((int(np.abs(each.astype(np.int64) - offset).max()) for each in pieces), default=0))
    return found


def _filled(
    ranges: Sequence[Fraction], old: Sequence[Fraction], measures: Sequence[bool], *, clipped: bool
) -> list[Fraction]:
    """The ranges, with one for tensors of zeros, and none too narrow where much was clipped."""
    # Metrics say nothing of how large values are.
    widest = max(each for each, measure in zip(ranges, measures, strict=True) if not measure)
    filled = [each or widest or before for each, before in zip(ranges, old, strict=True)]
    if not clipped:
        return filled
    return [max(each, 2 * before) for each, before in zip(filled, old, strict=True)]


def _rounded(step: Fraction) -> float:
    """The nearest float64 that a plan can hold."""
    return float(min(max(step, Fraction(LEAST_STEP)), Fraction(_WIDEST_STEP)))
