"""Tensor files read in pieces: .npy, .npz, .safetensors and hecli's own.

Nothing here holds a whole tensor in memory, except one stored in Fortran
order. Pickles are never loaded.
"""

import io
import os
import shutil
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from hecli.errors import DataError, FormatError, HecliError
from hecli.formats import envelope
from hecli.formats.canonical import CUT_SHORT, fields
from hecli.formats.tensors.layout import TensorSpec, check_layout

PIECE = 1 << 16
"""Values in a piece: every piece of a tensor but the last has so many."""

UNNAMED = "arr_0"
"""The name of a .npy file's tensor, the one numpy gives an unnamed array in .npz."""

JSON_LIMIT = 16 << 20
NPY_HEADER_LIMIT = 10_000
FORTRAN_LIMIT = 64 << 20
"""Bytes of a tensor in Fortran order, which has to be held in memory whole."""

Array = npt.NDArray[np.generic]
Read = Callable[[TensorSpec], Iterator[Array]]
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


_NPY_VERSIONS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}
# The header is Python source, and numpy lets through whatever parsing it raises.
_NPY_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
)


@dataclass(frozen=True)
class TensorFile:
    """An opened tensor file: what is in it, and `read` for the values of one tensor.

    `read(spec)` gives flat pieces in C order, PIECE values each but for the
    last. `specs` are sorted by name. `metadata` is a safetensors file's own.
    """

    format: str
    specs: tuple[TensorSpec, ...]
    read: Read
    metadata: dict[str, str] | None = None


def open_tensors(stream: BinaryIO, name: str) -> TensorFile:
    """Open a seekable stream of any of the formats, told apart by their first bytes.

    Raises FormatError, or DataError for dtypes that cannot be encoded.
    """
    stream.seek(0)
    start = stream.read(8)
    stream.seek(0)
    if not start:
        raise FormatError(f"{name} is empty", "did the command that was to make it fail?")
    if start.startswith(envelope.START):
        opened = _open_own(envelope.Reader(stream, name))
    elif start.startswith(b"\x93NUMPY"):
        opened = _open_npy(stream, name)
    elif start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        opened = _open_npz(stream, name)
    elif start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise FormatError(f"{name} is a pickle, which hecli never loads", "save it as .npz or .safetensors")
    elif len(start) == 8 and 2 <= int.from_bytes(start, "little") <= JSON_LIMIT:
        opened = _open_safetensors(stream, name)
    else:
        raise FormatError(f"{name} is not a tensor file", "give .npy, .npz, .safetensors or .tensors")
    check_layout(opened.specs, name)
    return opened


def cast(values: Array, dtype: str) -> Array:
    """`values` rounded to `dtype` (a key of DTYPES)."""
    with np.errstate(over="ignore"):
        return values.astype(numpy_dtype(dtype))


def own_specs(reader: envelope.Reader) -> tuple[TensorSpec, ...]:
    """The tensors in a file of kind `tensors`; raises FormatError."""
    reader.require("tensors")
    fields(reader.header, reader.name, "its header", {"tensors": list})
    found = []
    for item in reader.header["tensors"]:
        match item:
            case [str(tensor), str(dtype), list(shape)] if all(type(length) is int for length in shape):
                found.append(TensorSpec(tensor, dtype, tuple(shape)))
            case _:
                raise FormatError(f"{reader.name}: its list of tensors is malformed")
    specs = tuple(found)
    check_layout(specs, reader.name)
    if specs != _by_name(specs):
        raise FormatError(f"{reader.name}: its tensors are not in order of their names")
    reader.require_body(1, sum(spec.nbytes for spec in specs))
    return specs


def _open_own(reader: envelope.Reader) -> TensorFile:
    specs = own_specs(reader)

    def read(spec: TensorSpec) -> Iterator[Array]:
        # Tensors are asked for in the order of their names, in which they lie.
        if spec == specs[0]:
            reader.rewind()
        return _pieces(reader.read, spec, numpy_dtype(spec.dtype).newbyteorder("<"), reader.name)

    return TensorFile("tensors", specs, read)


def _open_npy(stream: BinaryIO, name: str) -> TensorFile:
    shape, fortran, dtype = _npy_header(stream, name)
    spec = TensorSpec(UNNAMED, dtype.name, shape)
    spec.check(name)
    start = stream.tell()
    found = stream.seek(0, 2) - start
    if found != spec.nbytes:
        raise _wrong_size(name, spec, found)

    def read(spec: TensorSpec) -> Iterator[Array]:
        stream.seek(start)
        return _npy_pieces(stream, spec, dtype, fortran=fortran, name=name)

    return TensorFile("npy", (spec,), read)


def _open_npz(stream: BinaryIO, name: str) -> TensorFile:
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
                shape, _, dtype = _npy_header(member, label)
                spec = TensorSpec(info.filename.removesuffix(".npy"), dtype.name, shape)
                spec.check(name)
                found = info.file_size - member.tell()
            if found != spec.nbytes:
                raise _wrong_size(name, spec, found)
            members[spec.name] = info.filename
            specs.append(spec)
    except _ZIP_ERRORS as error:
        raise _damaged_archive(name) from error

    def read(spec: TensorSpec) -> Iterator[Array]:
        try:
            with archive.open(members[spec.name]) as member:
                _, fortran, dtype = _npy_header(member, name)
                yield from _npy_pieces(member, spec, dtype, fortran=fortran, name=name)
        except _ZIP_ERRORS as error:
            raise _damaged_archive(name) from error

    return TensorFile("npz", _by_name(specs), read)


def _open_safetensors(stream: BinaryIO, name: str) -> TensorFile:
    try:
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing_extra(name) from error
    kinds = {f"F{8 * size}": f"float{8 * size}" for size in (2, 4, 8)} | {"BF16": "bfloat16"}
    kinds |= {f"{sign}{8 * size}": f"{word}{8 * size}" for sign, word in _INTEGERS for size in (1, 2, 4, 8)}
    specs, starts = [], {}
    try:
        # The library checks header and sizes; the values are then read in pieces.
        with _path_of(stream) as path, safe_open(path, framework="np") as opened:
            metadata = opened.metadata()
            start = 8 + int.from_bytes(stream.read(8), "little")
            for tensor in opened.offset_keys():
                view = opened.get_slice(tensor)
                kind = view.get_dtype()
                spec = TensorSpec(tensor, kinds.get(kind, kind), tuple(view.get_shape()))
                spec.check(name)
                specs.append(spec)
                starts[tensor] = start
                start += spec.nbytes
    except (SafetensorError, ValueError, OSError) as error:
        raise FormatError(f"{name}: is not a sound safetensors file ({error})") from error

    def read(spec: TensorSpec) -> Iterator[Array]:
        stream.seek(starts[spec.name])
        return _pieces(stream.read, spec, numpy_dtype(spec.dtype).newbyteorder("<"), name)

    return TensorFile("safetensors", _by_name(specs), read, metadata)


_INTEGERS = (("I", "int"), ("U", "uint"))


def _npy_header(stream: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype from the header of a .npy stream."""
    try:
        with warnings.catch_warnings():
            # numpy would remark on headers that Python 2 wrote; they are read all the same.
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(stream)
            if version not in _NPY_VERSIONS:
                raise FormatError(f"{name}: has .npy version {version[0]}.{version[1]}", "save it again")
            length_size, parse = _NPY_VERSIONS[version]
            length = stream.read(length_size)
            # numpy would read a header of any length before it finds it too long.
            size = int.from_bytes(length, "little")
            if size > NPY_HEADER_LIMIT:
                raise FormatError(f"{name}: declares a .npy header of {size:,} bytes")
            shape, fortran, dtype = parse(io.BytesIO(length + stream.read(size)))
    except _NPY_ERRORS as error:
        raise FormatError(f"{name}: its .npy header is not sound") from error
    if dtype.hasobject:
        raise DataError(
            f"{name}: holds Python objects, which would have to be unpickled",
            "convert it with array.astype(numpy.float32) and save it again",
        )
    if any(type(length) is not int for length in shape):
        raise FormatError(f"{name}: its .npy header is not sound")
    return shape, fortran, dtype


def _npy_pieces(
    stream: Any, spec: TensorSpec, dtype: np.dtype[Any], *, fortran: bool, name: str
) -> Iterator[Array]:
    pieces = _pieces(stream.read, spec, dtype, name)
    if not fortran or len(spec.shape) < 2:
        return pieces
    if spec.nbytes > FORTRAN_LIMIT:
        raise DataError(
            f"{name}: tensor {spec.name} is in Fortran order and too large to turn around",
            "save it again with numpy.ascontiguousarray",
        )
    # Stored column by column: only the whole can be read row by row.
    whole = np.concatenate([*pieces, np.empty(0, dtype)]).reshape(spec.shape, order="F").ravel(order="C")
    return (whole[at : at + PIECE] for at in range(0, len(whole), PIECE))


def _pieces(
    read: Callable[[int], bytes], spec: TensorSpec, dtype: np.dtype[Any], name: str
) -> Iterator[Array]:
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


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's dtype for a key of DTYPES; raises HecliError where bfloat16 needs what is not installed."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing_extra("bfloat16") from error
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def _by_name(specs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    return tuple(sorted(specs, key=lambda spec: spec.name))


@contextmanager
def _path_of(stream: BinaryIO) -> Iterator[str]:
    """A path under which the library can open what is in `stream`, whatever that is."""
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


def _wrong_size(name: str, spec: TensorSpec, found: int) -> FormatError:
    return FormatError(
        f"{name}: {spec} calls for {spec.nbytes:,} bytes of values, here are {found:,}",
        CUT_SHORT if found < spec.nbytes else None,
    )


def _damaged_archive(name: str) -> FormatError:
    return FormatError(f"{name}: is not a sound .npz archive", "save it again with numpy.savez")


def _missing_extra(name: str) -> HecliError:
    return HecliError(
        f"{name}: safetensors and bfloat16 need packages that are not installed",
        "pip install 'hecli[safetensors]'",
    )
