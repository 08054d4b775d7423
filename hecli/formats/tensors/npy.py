"""NumPy's .npy and .npz. Pickles are never loaded."""

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from hecli.errors import DataError, FormatError
from hecli.formats.tensors.arrays import (
    PIECE,
    Array,
    TensorFile,
    little_endian,
    pieces,
    refuse_bfloat16,
    stored_dtype,
    wrong_size,
)
from hecli.formats.tensors.specs import TensorSpec, by_name

MAGIC = b"\x93NUMPY"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
UNNAMED = "arr_0"
"""The name of a .npy file's tensor, the one numpy gives an unnamed array in .npz."""

HEADER_LIMIT = 10_000
FORTRAN_LIMIT = 64 << 20
"""Bytes of a tensor in Fortran order, which has to be held in memory whole."""

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
    OSError,
)
_VERSIONS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
# The header is Python source, and numpy lets through whatever parsing it raises.
_HEADER_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
)


def open_npy(stream: BinaryIO, name: str) -> TensorFile:
    """Open a .npy file.

    Args:
        stream: The file, at its start; where it is a pipe, it is read as it comes.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        DataError: Its dtype cannot be encoded.
        FormatError: It is not sound.
    """
    shape, fortran, dtype = _header(stream, name)
    spec = TensorSpec(UNNAMED, dtype.name, shape)
    spec.check(name)
    if not stream.seekable():

        def read_once(spec: TensorSpec) -> Iterator[Array]:
            yield from _values(stream, spec, dtype, fortran=fortran, name=name)
            if stream.read(1):
                raise FormatError(f"{name}: has more values than {spec} calls for")

        return TensorFile(name, "npy", (spec,), read_once, once=True)
    start = stream.tell()
    found = stream.seek(0, 2) - start
    if found != spec.nbytes:
        raise wrong_size(name, spec, found)

    def read(spec: TensorSpec) -> Iterator[Array]:
        stream.seek(start)
        return _values(stream, spec, dtype, fortran=fortran, name=name)

    return TensorFile(name, "npy", (spec,), read)


def open_npz(stream: BinaryIO, name: str) -> TensorFile:
    """Open a .npz file.

    Args:
        stream: The file, seekable.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        DataError: A dtype cannot be encoded.
        FormatError: It is not sound.
    """
    members: dict[str, str] = {}
    specs = []
    try:
        archive = zipfile.ZipFile(stream)
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                raise FormatError(
                    f"{name}: holds {info.filename!r}, which is not an array",
                    "save it with numpy.savez, or as .safetensors",
                )
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise FormatError(f"{name}: is compressed in a way numpy does not use", "save it again")
            with archive.open(info) as member:
                label = f"{name}: {info.filename!r}"
                shape, _, dtype = _header(member, label)
                spec = TensorSpec(info.filename.removesuffix(".npy"), dtype.name, shape)
                spec.check(name)
                found = info.file_size - member.tell()
            if found != spec.nbytes:
                raise wrong_size(name, spec, found)
            members[spec.name] = info.filename
            specs.append(spec)
    except _ZIP_ERRORS as error:
        raise _damaged(name) from error

    def read(spec: TensorSpec) -> Iterator[Array]:
        try:
            with archive.open(members[spec.name]) as member:
                _, fortran, dtype = _header(member, name)
                yield from _values(member, spec, dtype, fortran=fortran, name=name)
        except _ZIP_ERRORS as error:
            raise _damaged(name) from error

    return TensorFile(name, "npz", by_name(specs), read)


def write_npy(
    stream: BinaryIO, specs: tuple[TensorSpec, ...], values: Iterable[Iterator[Array]], metadata: object
) -> None:
    """Write a .npy file.

    Args:
        stream: Where to.
        specs: The one tensor.
        values: Its values in pieces.
        metadata: Nothing that it can hold.

    Raises:
        DataError: It cannot hold these tensors.
    """
    del metadata
    if len(specs) != 1:
        raise DataError(
            f".npy holds one tensor, here are {len(specs):,}", "use -o NAME.npz or NAME.safetensors"
        )
    refuse_bfloat16(specs, ".npy")
    for spec, each in zip(specs, values, strict=True):
        _write_header(stream, spec)
        stream.writelines(little_endian(each))


def write_npz(
    stream: BinaryIO, specs: tuple[TensorSpec, ...], values: Iterable[Iterator[Array]], metadata: object
) -> None:
    """Write a .npz file.

    Args:
        stream: Where to.
        specs: The tensors.
        values: The values of each in pieces.
        metadata: Nothing that it can hold.

    Raises:
        DataError: It cannot hold these tensors.
    """
    del metadata
    refuse_bfloat16(specs, ".npz")
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for spec, each in zip(specs, values, strict=True):
            entry = zipfile.ZipInfo(f"{spec.name}.npy")
            with archive.open(entry, "w", force_zip64=True) as member:
                _write_header(member, spec)
                member.writelines(little_endian(each))


def _write_header(stream: Any, spec: TensorSpec) -> None:
    header = {"descr": stored_dtype(spec.dtype).str, "fortran_order": False, "shape": spec.shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _header(stream: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype from the header of a .npy stream."""
    try:
        with warnings.catch_warnings():
            # numpy would remark on headers that Python 2 wrote; they are read all the same.
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(stream)
            if version not in _VERSIONS:
                raise FormatError(f"{name}: has .npy version {version[0]}.{version[1]}", "save it again")
            length_size, parse = _VERSIONS[version]
            length = stream.read(length_size)
            # numpy would read a header of any length before it finds it too long.
            size = int.from_bytes(length, "little")
            if size > HEADER_LIMIT:
                raise FormatError(f"{name}: declares a .npy header of {size:,} bytes")
            shape, fortran, dtype = parse(io.BytesIO(length + stream.read(size)))
    except _HEADER_ERRORS as error:
        raise FormatError(f"{name}: its .npy header is not sound") from error
    if dtype.hasobject:
        raise DataError(
            f"{name}: holds Python objects, which would have to be unpickled",
            "convert it with array.astype(numpy.float32) and save it again",
        )
    if any(type(length) is not int for length in shape):
        raise FormatError(f"{name}: its .npy header is not sound")
    return shape, fortran, dtype


def _values(
    stream: Any, spec: TensorSpec, dtype: np.dtype[Any], *, fortran: bool, name: str
) -> Iterator[Array]:
    found = pieces(stream.read, spec, dtype, name)
    if not fortran or len(spec.shape) < 2:
        return found
    if spec.nbytes > FORTRAN_LIMIT:
        raise DataError(
            f"{name}: tensor {spec.name} is in Fortran order and too large to turn around",
            "save it again with numpy.ascontiguousarray",
        )
    # Stored column by column: only the whole can be read row by row.
    whole = np.concatenate([*found, np.empty(0, dtype)]).reshape(spec.shape, order="F").ravel(order="C")
    return (whole[at : at + PIECE] for at in range(0, len(whole), PIECE))


def _damaged(name: str) -> FormatError:
    return FormatError(f"{name}: is not a sound .npz archive", "save it again with numpy.savez")
