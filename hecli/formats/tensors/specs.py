"""What tensors a file holds: names, dtypes and shapes, without their values."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hecli.errors import DataError, FormatError
from hecli.formats.text import is_printable

DTYPES = {
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}
"""The dtypes that can be encoded, with their size in bytes."""

HALF_ULPS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}
"""Relative error of rounding to a dtype; nothing beside it for float64."""

SMALLEST = {"float16": 2.0**-25} | {name: 0.5 for name in DTYPES if "int" in name}
"""Half the distance of the smallest numbers of a dtype, where a step may come near it; of integers always."""

TENSOR_NAME_LIMIT = 256
TENSOR_LIMIT = 1 << 16
DIMENSION_LIMIT = 32
VALUE_LIMIT = 1 << 40


@dataclass(frozen=True)
class TensorSpec:
    """One tensor, without its values.

    Args:
        name: Its name.
        dtype: Its dtype, a key of DTYPES.
        shape: Its shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def is_integer(self) -> bool:
        """Whether its values are integers."""
        return "int" in self.dtype

    @property
    def nbytes(self) -> int:
        """How many bytes its values take."""
        return self.size * DTYPES[self.dtype]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{list(self.shape)}"

    def check(self, file: str) -> None:
        """Refuse what cannot be encoded.

        Args:
            file: The file it stands in, for errors.

        Raises:
            DataError: Its dtype cannot be encoded.
            FormatError: Its name or shape is impossible.
        """
        check_tensor_name(self.name, file)
        if self.dtype not in DTYPES:
            raise DataError(
                f"{file}: tensor {self.name} has dtype {self.dtype[:64]}, which cannot be encoded",
                "use float16, bfloat16, float32, float64 or an integer type",
            )
        if len(self.shape) > DIMENSION_LIMIT or any(length < 0 for length in self.shape):
            raise FormatError(f"{file}: tensor {self.name} has an impossible shape")
        if self.size > VALUE_LIMIT:
            raise FormatError(f"{file}: tensor {self.name} has too many values")


def check_tensor_name(name: str, file: str) -> None:
    """Refuse what cannot name a tensor.

    Args:
        name: The name.
        file: The file it stands in, for errors.

    Raises:
        FormatError: It is none.
    """
    if not 0 < len(name) <= TENSOR_NAME_LIMIT or not is_printable(name):
        raise FormatError(
            f"{file}: {name[:TENSOR_NAME_LIMIT]!r} cannot name a tensor",
            f"use 1 to {TENSOR_NAME_LIMIT} printable characters",
        )


def check_specs(specs: tuple[TensorSpec, ...], file: str) -> None:
    """Refuse no tensors, too many, a name twice, or no values at all.

    Args:
        specs: The tensors of one file or plan.
        file: What it is called, for errors.

    Raises:
        DataError: There are no values, too many, or some that cannot be encoded.
        FormatError: There are no tensors, too many, two of one name, or impossible ones.
    """
    if not 0 < len(specs) <= TENSOR_LIMIT:
        raise FormatError(f"{file}: holds {len(specs):,} tensors", f"give 1 to {TENSOR_LIMIT:,}")
    seen = set()
    for spec in specs:
        spec.check(file)
        if spec.name in seen:
            raise FormatError(f"{file}: holds two tensors named {spec.name}", "give each a name of its own")
        seen.add(spec.name)
    if not 0 < sum(spec.size for spec in specs) <= VALUE_LIMIT:
        raise DataError(f"{file}: holds no values, or too many", "give at least one value")


def pack_specs(specs: tuple[TensorSpec, ...]) -> list[list[object]]:
    """Write tensors as they stand in a header.

    Args:
        specs: The tensors.

    Returns:
        An array of name, dtype and shape for each.
    """
    return [[spec.name, spec.dtype, list(spec.shape)] for spec in specs]


def parse_specs(items: list[object], file: str, what: str) -> tuple[TensorSpec, ...]:
    """Read tensors from a header, sorted by name.

    Args:
        items: What stands there.
        file: The file, for errors.
        what: What the list is called, for errors.

    Returns:
        The tensors.

    Raises:
        DataError: A dtype cannot be encoded, or there are no values or too many.
        FormatError: The list is malformed, out of order, or holds impossible tensors.
    """
    found = []
    for item in items:
        match item:
            case [str(tensor), str(dtype), list(shape)] if all(type(length) is int for length in shape):
                found.append(TensorSpec(tensor, dtype, tuple(shape)))
            case _:
                raise FormatError(f"{file}: {what} is malformed")
    specs = tuple(found)
    check_specs(specs, file)
    if specs != by_name(specs):
        raise FormatError(f"{file}: its tensors are not in order of their names")
    return specs


def by_name(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Put tensors in the order in which all files hold them.

    Args:
        specs: The tensors.

    Returns:
        Them, sorted by name.
    """
    return tuple(sorted(specs, key=lambda spec: spec.name))
