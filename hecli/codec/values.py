"""Values as they come from files: checked before anything is made of them."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from hecli.errors import DataError
from hecli.formats.tensors.arrays import Array, TensorFile
from hecli.formats.tensors.specs import TensorSpec

EXACT_INTEGERS = 1 << 53

LARGEST_ADDED = 2.0**900
"""Values below this in size can be multiplied with bases, and rotated, without going beyond float64."""


def inexact(integers: Array) -> npt.NDArray[np.bool_]:
    """Tell which integers are beyond those that float64 holds exactly.

    Args:
        integers: The integers, of any dtype.

    Returns:
        Whether each is.
    """
    # Compared as Python integers would be: numpy keeps uint64 apart from negative bounds.
    beyond: npt.NDArray[np.bool_] = np.greater(integers, EXACT_INTEGERS) | np.less(integers, -EXACT_INTEGERS)
    return beyond


def checked_values(file: TensorFile, spec: TensorSpec) -> Iterator[Array]:
    """Read a tensor's values and refuse what is no number, or beyond exact float64.

    Args:
        file: The opened tensor file.
        spec: One of its tensors.

    Yields:
        The values in pieces.

    Raises:
        DataError: A value cannot be encoded; its index is named.
    """
    start = 0
    for piece in file.read(spec):
        if np.issubdtype(piece.dtype, np.integer):
            bad = inexact(piece)
            what = "integer overflow, above 2^53 in size"
        else:
            bad = ~np.isfinite(piece.astype(np.float64))
            what = "not a finite number"
        if bad.any():
            at = int(np.argmax(bad))
            index = [int(i) for i in np.unravel_index(start + at, spec.shape)]
            raise DataError(
                f"{file.name}: tensor {spec.name}{index} is {piece[at]}, {what}",
                "an update must be finite; look at the step it came from before you send it",
            )
        yield piece
        start += piece.size


def checked_to_add(name: str, spec: TensorSpec, values: Iterable[Array]) -> Iterator[Array]:
    """Refuse values that are too large to be added to one another.

    Args:
        name: The file, for errors.
        spec: The tensor.
        values: Its values, in pieces.

    Yields:
        The same.

    Raises:
        DataError: One is.
    """
    for piece in values:
        large = np.abs(piece.astype(np.float64)) >= LARGEST_ADDED
        if large.any():
            raise DataError(
                f"{name}: tensor {spec.name} holds {piece[large][0]:.6g}, too large to be added up",
                "look at the step it came from before you send it",
            )
        yield piece
