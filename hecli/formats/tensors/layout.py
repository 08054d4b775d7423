"""What tensors a file holds: names, dtypes and shapes, without their values."""

import math
from dataclasses import dataclass

from hecli.errors import DataError, FormatError

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
"""Relative error of rounding to a dtype; nothing beside it for float64, and integers have float64 means."""

TENSOR_NAME_LIMIT = 256
TENSOR_LIMIT = 1 << 16
DIMENSION_LIMIT = 32
VALUE_LIMIT = 1 << 40


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: its name, dtype (a key of DTYPES) and shape."""

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
        """Raise DataError or FormatError where it is nothing hecli can encode."""
        if not 0 < len(self.name) <= TENSOR_NAME_LIMIT or not self.name.isprintable():
            raise FormatError(
                f"{file}: {self.name[:TENSOR_NAME_LIMIT]!r} cannot name a tensor",
                f"use 1 to {TENSOR_NAME_LIMIT} printable characters",
            )
        if self.dtype not in DTYPES:
            raise DataError(
                f"{file}: tensor {self.name} has dtype {self.dtype[:64]}, which cannot be encoded",
                "use float16, bfloat16, float32, float64 or an integer type",
            )
        if len(self.shape) > DIMENSION_LIMIT or any(length < 0 for length in self.shape):
            raise FormatError(f"{file}: tensor {self.name} has an impossible shape")
        if self.size > VALUE_LIMIT:
            raise FormatError(f"{file}: tensor {self.name} has too many values")


def check_layout(specs: tuple[TensorSpec, ...], file: str) -> None:
    """Raise FormatError or DataError for no tensors, too many, a name twice, or no values at all."""
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
