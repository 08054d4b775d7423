"""Matrices on bases and back, as array work, a few rows at a time."""

from collections.abc import Iterable, Iterator

import numpy as np

from hecli.codec.arrays import Floats, Values
from hecli.codec.basis import Columns
from hecli.codec.pieces import regrouped
from hecli.formats.tensors.arrays import PIECE


def rows_onto(values: Iterable[Values], columns: int, basis: Columns) -> Iterator[Floats]:
    """Multiply a matrix with a basis of its rows' space.

    Args:
        values: The matrix M, row by row.
        columns: How many columns it has.
        basis: A basis Q of as many rows.

    Yields:
        M Q, row by row.
    """
    matrix, scale = basis.numbers.astype(np.float64), 2.0**-basis.exponent
    for rows in _rows(values, columns, columns):
        yield (rows @ matrix).reshape(-1) * scale


def columns_onto(values: Iterable[Values], columns: int, basis: Columns) -> Iterator[Floats]:
    """Multiply a matrix with a basis of its columns' space.

    Args:
        values: The matrix M, row by row.
        columns: How many columns it has.
        basis: A basis P of as many rows as M has.

    Yields:
        M' P (M' being M transposed), row by row.
    """
    matrix, scale = basis.numbers.astype(np.float64), 2.0**-basis.exponent
    total = np.zeros((columns, matrix.shape[1]))
    start = 0
    for rows in _rows(values, columns, columns):
        total += rows.T @ matrix[start : start + len(rows)]
        start += len(rows)
    yield total.reshape(-1) * scale


def from_rows(factor: Iterable[Values], columns: int, basis: Columns) -> Iterator[Floats]:
    """Make a matrix of what `rows_onto` gave.

    Args:
        factor: M Q, row by row.
        columns: How many columns M has.
        basis: The basis Q.

    Yields:
        M Q Q', row by row.
    """
    matrix, scale = basis.numbers.T.astype(np.float64), 2.0**-basis.exponent
    for rows in _rows(factor, len(matrix), columns):
        yield (rows @ matrix).reshape(-1) * scale


def from_columns(factor: Iterable[Values], columns: int, basis: Columns) -> Iterator[Floats]:
    """Make a matrix of what `columns_onto` gave.

    Args:
        factor: M' P, row by row.
        columns: How many columns M has.
        basis: The basis P.

    Yields:
        P P' M, row by row.
    """
    rank, scale = basis.numbers.shape[1], 2.0**-basis.exponent
    matrix = np.concatenate([*factor]).reshape(columns, rank).T
    step = max(1, PIECE // columns)
    for at in range(0, len(basis.numbers), step):
        yield (basis.numbers[at : at + step].astype(np.float64) @ matrix).reshape(-1) * scale


def _rows(values: Iterable[Values], width: int, columns: int) -> Iterator[Floats]:
    """Rows of a width, as many at a time as make a piece of the matrix."""
    for piece in regrouped(values, width * max(1, PIECE // columns)):
        yield piece.astype(np.float64, copy=False).reshape(-1, width)
