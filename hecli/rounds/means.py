"""Single tensors of a sum, as means."""

from collections.abc import Collection
from typing import BinaryIO

import numpy as np

from hecli.codec.basis import Basis
from hecli.codec.interface import Decoding
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import Array
from hecli.plan.data import Plan
from hecli.rounds.headers import open_sum
from hecli.rounds.lanes import read_lanes


def means_of(
    total: BinaryIO, names: Collection[str], plan: Plan | None = None, basis: Basis | None = None
) -> dict[str, Array]:
    """Read the means of some tensors of a sum.

    Args:
        total: The sum.
        names: The names of the tensors, which are held in memory.
        plan: The plan that the sum must follow; without it, its own is believed.
        basis: The bases of matrices, where the plan is of low rank.

    Returns:
        The mean of each, by name, as float64.

    Raises:
        FormatError: The file is not sound.
        MismatchError: It follows another plan.
        RefusedError: The roster's signatures are missing.
    """
    reader = open_reader(total)
    header = open_sum(reader, plan)
    plan, parties = header.plan, len(header.contributors)
    decoding = Decoding(plan.common(basis), parties, plan.max_weight / header.weight)
    found: dict[str, Array] = {}
    for at, spec in enumerate(plan.tensors):
        lanes = read_lanes(reader, plan.geometry.sizes[at], plan.codec.largest * parties)
        if spec.name in names:
            pieces = list(plan.codec.decode(at, lanes, decoding))
            found[spec.name] = np.concatenate([*pieces, np.empty(0)]).reshape(spec.shape)
        else:
            for _ in lanes:
                pass
    return found
