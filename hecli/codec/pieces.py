"""Values in pieces, cut anew."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt


def regrouped(arrays: Iterable[npt.NDArray[Any]], size: int) -> Iterator[npt.NDArray[Any]]:
    """Cut arrays into arrays of one size.

    Args:
        arrays: Arrays of one dimension, of any size.
        size: How many items each is to have.

    Yields:
        The same items in arrays of that size, the last one shorter.
    """
    held: list[npt.NDArray[Any]] = []
    length = 0
    for array in arrays:
        if not length and len(array) == size:
            # As most are: nothing is copied.
            yield array
            continue
        held.append(array)
        length += len(array)
        if length >= size:
            joined = np.concatenate(held)
            full = length - length % size
            yield from joined[:full].reshape(-1, size)
            held, length = [joined[full:]], length - full
    if length:
        yield np.concatenate(held)
