"""Updates as arrays: as a file, a part of them, their norm, and which of them stay in the clear."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hecli.errors import HecliError
from hecli.formats.tensors.arrays import of_arrays
from hecli.training.models import write_model

Tensors = Mapping[str, npt.NDArray[Any]]

MOST_VALUES = 1_000_000
"""So many values of all parties together are worked on; of more, what they would take is extrapolated."""

CLEAR_SHARE = 0.5
"""How many of the values are in the clear at most, where a part is."""


def share_of(values: int, parties: int) -> float:
    """Say how large a part of updates is worked on, so that neither time nor memory grows without end.

    Args:
        values: How many values an update has.
        parties: How many parties there are.

    Returns:
        The share, 1 for all of it.
    """
    return min(1.0, MOST_VALUES / max(1, values * parties))


def part_of(update: Tensors, share: float) -> Tensors:
    """Give so large a part of tensors: of each the first rows, along its longest axis.

    Args:
        update: The tensors.
        share: How large.

    Returns:
        The part.
    """

    def cut(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not tensor.ndim:
            return tensor
        axis = int(np.argmax(tensor.shape))
        return tensor.take(range(max(1, round(share * tensor.shape[axis]))), axis=axis)

    return update if share == 1 else {name: cut(each) for name, each in update.items()}


def npz_of(arrays: Tensors) -> bytes:
    """Write arrays as a file, whatever their names.

    Args:
        arrays: The arrays.

    Returns:
        The .npz file.
    """
    out = io.BytesIO()
    write_model(of_arrays(arrays), out, "npz")
    return out.getvalue()


def clear(update: Tensors) -> list[str]:
    """Choose which tensors stay in the clear: the largest that together are CLEAR_SHARE of all at most.

    Args:
        update: Tensors.

    Returns:
        Their names.

    Raises:
        HecliError: None is so small.
    """
    room = CLEAR_SHARE * sum(each.size for each in update.values())
    found = []
    for name in sorted(update, key=lambda name: -update[name].size):
        if update[name].size <= room:
            found.append(name)
            room -= update[name].size
    if not found:
        raise HecliError("no tensor is small enough to leave in the clear, with the most still encrypted")
    return found


def norm_of(update: Tensors) -> float:
    """Measure an update.

    Args:
        update: The update.

    Returns:
        The norm of all its values.
    """
    squares = (float(np.square(each.astype(np.float64)).sum()) for each in update.values())
    return float(np.sqrt(sum(squares)))
