"""The setting for a round, chosen by what it loses of tensors at hand."""

import math
from collections.abc import Callable
from itertools import chain
from typing import BinaryIO, NamedTuple

import numpy as np

from hecli.codec.basis import Basis
from hecli.codec.interface import Decoding, Encoding
from hecli.codec.values import checked_values
from hecli.errors import HecliError
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.tensors.files import open_tensors
from hecli.formats.text import count_bytes
from hecli.plan.data import Plan
from hecli.plan.settings import FAMILIES, Setting, update_bytes, with_setting
from hecli.rounds.apply import apply
from hecli.rounds.spool import spooled


class Chosen(NamedTuple):
    """A setting that was chosen.

    Args:
        setting: The setting.
        bytes: The bytes of an update.
        lost: What of an update does not get through in one round, by its norm.
    """

    setting: Setting
    bytes: int
    lost: float


Make = Callable[[Setting], tuple[Plan, Basis | None]]
"""Makes the plan of a setting, and the bases where it has low rank."""


def choose(example: TensorFile, make: Make, most: int, *, ranks: bool) -> Chosen:
    """Choose the setting that loses least among those that are small enough.

    In each family of settings, the largest that is small enough is tried on the
    tensors at hand.

    Args:
        example: Tensors like those of the round.
        make: Makes the plan of a setting.
        most: The most bytes of an update.
        ranks: Whether there is a sum that bases can be made from.

    Returns:
        The setting.

    Raises:
        HecliError: None is small enough.
    """
    plan, found, smallest = _any_plan(make), [], math.inf
    refused: HecliError | None = None
    for family in FAMILIES:
        for setting in family:
            if setting.rank is not None and not ranks:
                continue
            sized = with_setting(plan, setting)
            if sized is None:
                continue
            size = update_bytes(sized)
            smallest = min(smallest, size)
            if size <= most:
                try:
                    made, basis = make(setting)
                except HecliError as error:
                    # Others may go, such as those that do not rotate, where ranges were given.
                    refused = refused or error
                    break
                found.append(Chosen(setting, size, lost(example, made, basis)))
                break
    if not found and refused is not None:
        raise refused
    if not found:
        raise HecliError(
            f"no setting makes an update of at most {count_bytes(most)}: the smallest takes "
            f"{count_bytes(int(smallest))}",
            "give more bytes" + ("" if ranks else ", or a sum with --basis-from, for low rank"),
        )
    return min(found, key=lambda each: each.lost)


def _any_plan(make: Make) -> Plan:
    """A plan to measure others by: behind a round of low rank, or with --norm, only those that rotate."""
    try:
        return make(FAMILIES[0][0])[0]
    except HecliError as first:
        try:
            return make(FAMILIES[1][0])[0]
        except HecliError:
            raise first from None


def lost(example: TensorFile, plan: Plan, basis: Basis | None) -> float:
    """Measure what of tensors does not get through.

    Args:
        example: The tensors.
        plan: A plan for them.
        basis: The bases of matrices, where the plan is of low rank.

    Returns:
        The norm of what is lost over that of all: 0 for nothing.
    """
    common, codec, sizes = plan.common(basis), plan.codec, plan.geometry
    encoding, decoding = Encoding(example.name, common, 1.0, strict=False), Decoding(common, 1, 1.0)
    values = (checked_values(example, spec) for spec in plan.tensors)
    lanes = chain.from_iterable(codec.encode(at, each, encoding) for at, each in enumerate(values))
    off = whole = 0.0
    with spooled(lanes, sizes.lane_size) as spool:
        start = 0
        for at, spec in enumerate(plan.tensors):
            back = codec.decode(at, spool.read(start, sizes.sizes[at]), decoding)
            start += sizes.sizes[at]
            for piece, got in zip(example.read(spec), back, strict=True):
                exact = piece.astype(np.float64)
                off += float(np.square(exact - got).sum())
                whole += float(np.square(exact).sum())
    return math.sqrt(off / whole) if whole else 0.0


def means_as_tensors(total: BinaryIO, out: BinaryIO, basis: Basis | None) -> TensorFile:
    """Take the mean of a sum for tensors.

    Args:
        total: The sum.
        out: Where the mean is kept while it is used.
        basis: The bases of matrices, where the sum's plan is of low rank.

    Returns:
        The tensors.
    """
    apply(total, out, basis=basis, format="tensors")
    out.seek(0)
    return open_tensors(out, "the mean")
