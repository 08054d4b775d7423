"""What every format of tensor files is read as: a table of tensors, and their values in pieces."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.canonical import CUT_SHORT
from hecli.formats.tensors.specs import TensorSpec, by_name

PIECE = 1 << 16
"""Values in a piece: every piece of a tensor but the last has so many."""

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class TensorFile:
    """An opened tensor file.

    Args:
        name: What errors call it.
        format: Its format, a key of FORMATS.
        specs: What is in it, sorted by name.
        read: Gives the values of one tensor as flat pieces in C order, PIECE
            values each but for the last. Tensors are asked for in their
            order, and where `once`, one time.
        metadata: What else its format keeps: a safetensors file's own; the order of a PyTorch file.
        once: Whether it comes through a pipe, and can be read only once.
    """

    name: str
    format: str
    specs: tuple[TensorSpec, ...]
    read: Callable[[TensorSpec], Iterator[Array]]
    metadata: dict[str, str] | None = None
    once: bool = False


def of_arrays(arrays: Mapping[str, Any], name: str = "the tensors") -> TensorFile:
    """Take arrays in memory for a tensor file.

    Args:
        arrays: Them, by name.
        name: What errors call them.

    Returns:
        The same as a file gives.

    Raises:
        TypeError: Something else than names and arrays is in it.
        DataError: A dtype cannot be encoded.
        FormatError: A name or shape is impossible.
    """
    found = {}
    for key, value in arrays.items():
        if not isinstance(key, str):
            raise TypeError(f"tensors have names of type str, not {type(key).__name__}")
        found[key] = np.asarray(value)
    specs = by_name(TensorSpec(key, value.dtype.name, value.shape) for key, value in found.items())

    def read(spec: TensorSpec) -> Iterator[Array]:
        flat = found[spec.name].reshape(-1)
        return (flat[at : at + PIECE] for at in range(0, spec.size, PIECE))

    return TensorFile(name, "npz", specs, read)


def to_arrays(file: TensorFile) -> dict[str, Array]:
    """Read all of a tensor file.

    Args:
        file: The opened file.

    Returns:
        The arrays, by name.
    """
    return {
        spec.name: np.concatenate([*file.read(spec), np.empty(0, numpy_dtype(spec.dtype))])
        .astype(numpy_dtype(spec.dtype), copy=False)
        .reshape(spec.shape)
        for spec in file.specs
    }


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Give NumPy's dtype.

    Args:
        name: A key of DTYPES.

    Returns:
        The dtype.

    Raises:
        HecliError: It is bfloat16, and the package for it is not installed.
    """
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra("bfloat16") from error
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def stored_dtype(name: str) -> np.dtype[Any]:
    """Give NumPy's dtype of values as files hold them, the lowest byte first.

    Args:
        name: A key of DTYPES.

    Returns:
        The dtype.

    Raises:
        HecliError: It is bfloat16, and the package for it is not installed.
    """
    return numpy_dtype(name).newbyteorder("<")


def cast(values: Array, dtype: str) -> Array:
    """Round values to a dtype.

    Args:
        values: The values.
        dtype: A key of DTYPES.

    Returns:
        Them, where too large as infinity.
    """
    with np.errstate(over="ignore"):
        return values.astype(numpy_dtype(dtype))


def pieces(
    read: Callable[[int], bytes], spec: TensorSpec, dtype: np.dtype[Any], name: str
) -> Iterator[Array]:
    """Read a tensor's values from where a stream stands.

    Args:
        read: Reads at most so many bytes, like a stream's method.
        spec: The tensor.
        dtype: How its values are stored.
        name: The file, for errors.

    Yields:
        PIECE values at a time.

    Raises:
        FormatError: The stream ends too early.
    """
    left = spec.size
    while left:
        size = min(left, PIECE) * dtype.itemsize
        data = read(size)
        while len(data) < size and (more := read(size - len(data))):
            data += more
        if len(data) < size:
            raise FormatError(f"{name}: ends too early", CUT_SHORT)
        left -= size // dtype.itemsize
        yield np.frombuffer(data, dtype)


def little_endian(values: Iterator[Array]) -> Iterator[bytes]:
    """Write values as files hold them.

    Args:
        values: Pieces of a tensor.

    Yields:
        Their bytes, the lowest first.
    """
    for piece in values:
        yield piece.astype(piece.dtype.newbyteorder("<"), copy=False).tobytes()


def wrong_size(name: str, spec: TensorSpec, found: int) -> FormatError:
    """Say that a file holds other values than its header says.

    Args:
        name: The file.
        spec: The tensor.
        found: Bytes of values.

    Returns:
        The error, to be raised.
    """
    return FormatError(
        f"{name}: {spec} calls for {spec.nbytes:,} bytes of values, here are {found:,}",
        CUT_SHORT if found < spec.nbytes else None,
    )


def missing_extra(name: str) -> HecliError:
    """Say that packages are missing.

    Args:
        name: What needs them.

    Returns:
        The error, to be raised.
    """
    return HecliError(
        f"{name}: safetensors and bfloat16 need packages that are not installed",
        "pip install 'hecli[safetensors]'",
    )


def refuse_bfloat16(specs: tuple[TensorSpec, ...], suffix: str) -> None:
    """Refuse tensors that a format of NumPy's cannot hold.

    Args:
        specs: The tensors.
        suffix: The format's, for the error.

    Raises:
        DataError: One is bfloat16.
    """
    for spec in specs:
        if spec.dtype == "bfloat16":
            raise DataError(
                f"tensor {spec.name} is bfloat16, which {suffix} cannot hold",
                "use -o NAME.safetensors or NAME.tensors",
            )


@contextmanager
def path_of(stream: BinaryIO) -> Iterator[str]:
    """Find a path under which a library can open what is in a stream, whatever that is.

    Args:
        stream: The stream, at its start.

    Yields:
        The path, for as long as the block lasts.
    """
    try:
        descriptor = stream.fileno()
    except OSError:
        # In memory only: the library needs a file.
        with tempfile.NamedTemporaryFile() as copy:
            shutil.copyfileobj(stream, copy)
            copy.flush()
            stream.seek(0)
            yield copy.name
        return
    yield f"/dev/fd/{descriptor}" if os.path.exists("/dev/fd") else str(stream.name)
