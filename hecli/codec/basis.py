"""Bases that low rank projects on: orthonormal columns, as whole numbers.

Everybody comes to the same basis from the same sum, to the last bit: products
and sums are of whole numbers that float64 holds exactly, in whatever order a
library adds them, and all else is done value by value.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hecli.codec import hadamard
from hecli.codec.arrays import Floats
from hecli.codec.randomness import Stream

COLUMN_BITS = 15
"""Bits of a number in a basis, without its sign."""

_VALUE_BITS, _UNIT_BITS = 20, 22
"""Bits of a column on its way, and of the length 1 in those that are done.

A column of 2^20 values is at most 2^30 long, and stays so when others are taken
out of it, but for rounding: with one that is done, all products together have
52 bits. With itself it is multiplied when none of its values has more than 20.
"""

_EXACT = 1 << 10
"""So many products of 42 bits are added up exactly."""

_CHUNK = _EXACT * _EXACT


class Columns(NamedTuple):
    """The basis of one matrix.

    Args:
        numbers: Whole numbers, a row for each row or column of the matrix, and
            a column for each of the basis.
        exponent: The numbers are to be divided by 2^exponent.
    """

    numbers: npt.NDArray[np.int16]
    exponent: int


class Basis(NamedTuple):
    """The bases of all matrices of a round.

    Args:
        digest: That of its file.
        columns: Them, by the tensors' names.
    """

    digest: bytes
    columns: Mapping[str, Columns]


def orthonormal(vectors: Floats, stream: Stream) -> Columns:
    """Make an orthonormal basis of the space that vectors span.

    Modified Gram-Schmidt, each vector twice (L. Giraud et al., Numerische
    Mathematik 101, 2005, section 3), rounded to whole numbers on the way.

    Args:
        vectors: The vectors, as columns: more values than vectors.
        stream: Where signs come from, to take the place of a vector that is
            none, or lies in the space of those before it.

    Returns:
        The basis.
    """
    count = len(vectors)
    done: list[Floats] = []
    for at in range(vectors.shape[1]):
        left = _apart(vectors[:, at], done)
        while not left.any():
            left = _apart(hadamard.signs(stream, count), done)
        done.append(np.rint(left * (2.0**_UNIT_BITS / math.sqrt(_product(left, left)))))
    numbers = np.stack(done, axis=1)
    # The most bits that the largest number leaves room for.
    shift = COLUMN_BITS - int(np.abs(numbers).max()).bit_length()
    most = (1 << COLUMN_BITS) - 1
    return Columns(np.clip(np.rint(numbers * 2.0**shift), -most, most).astype(np.int16), _UNIT_BITS + shift)


def within(columns: Columns, stretch: Fraction) -> bool:
    """Tell whether projecting on a basis makes no vector longer than so many times itself.

    By the Gershgorin bound on the largest eigenvalue of N'N, which is exact: its
    whole numbers have at most 50 bits.

    Args:
        columns: The basis N.
        stretch: How many times.

    Returns:
        Whether that holds.
    """
    matrix = columns.numbers.astype(np.float64)
    largest = int(np.abs(matrix.T @ matrix).astype(np.int64).sum(axis=1).max())
    return largest <= stretch**2 * Fraction(4) ** columns.exponent


def exponent_of(value: float) -> int:
    """Give the power of two that is next above.

    Args:
        value: A number from 0.

    Returns:
        The least e with value < 2^e; 0 for 0.
    """
    return math.frexp(value)[1]


def _apart(vector: Floats, done: list[Floats]) -> Floats:
    """What of a vector is at right angles to all that are done, in whole numbers of its own scale."""
    left = _whole(vector)
    for _ in range(2):
        for each in done:
            # Two steps, each rounded: one that does both at once would differ between machines.
            along = each * (_product(each, left) / (1 << 2 * _UNIT_BITS))
            # Whole at once: of what is not, products would be rounded, and depend on the order of additions.
            left = np.rint(left - along)
        left = _whole(left)
    return left


def _whole(vector: Floats) -> Floats:
    """Whole numbers in these proportions, of which the largest has _VALUE_BITS bits."""
    largest = float(np.abs(vector).max(initial=0.0))
    return np.rint(vector * 2.0 ** (_VALUE_BITS - exponent_of(largest)))


def _product(one: Floats, other: Floats) -> int:
    """The scalar product of whole numbers, exactly."""
    total = 0
    for at in range(0, len(one), _CHUNK):
        products = one[at : at + _CHUNK] * other[at : at + _CHUNK]
        full = len(products) - len(products) % _EXACT
        sums = products[:full].reshape(-1, _EXACT).sum(axis=1)
        total += int(sums.astype(np.int64).sum()) + int(products[full:].sum())
    return total
