"""Tensor files written in pieces: .npy, .npz, .safetensors and hecli's own."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from hecli.errors import DataError
from hecli.formats import envelope
from hecli.formats.tensors.layout import TensorSpec
from hecli.formats.tensors.reading import Array, numpy_dtype

SUFFIXES = {".npy": "npy", ".npz": "npz", ".safetensors": "safetensors", ".tensors": "tensors"}

Tensors = Iterable[tuple[TensorSpec, Iterable[Array]]]


def write_tensors(
    stream: BinaryIO,
    kind: str,
    tensors: Tensors,
    specs: tuple[TensorSpec, ...],
    metadata: dict[str, str] | None = None,
) -> bytes | None:
    """Write tensors in the format `kind` (a value of SUFFIXES), piece by piece.

    `specs` are those of `tensors`, in the same order. Returns the digest of a
    file of hecli's own. Raises DataError where the format cannot hold them.
    """
    if kind == "npy":
        _write_npy(stream, tensors, specs)
    elif kind == "npz":
        _write_npz(stream, tensors, specs)
    elif kind == "safetensors":
        stream.write(_safetensors_header(specs, metadata))
        stream.writelines(_bytes(tensors))
    else:
        header = {"tensors": [[spec.name, spec.dtype, list(spec.shape)] for spec in specs]}
        total = sum(spec.nbytes for spec in specs)
        return envelope.write(stream, "tensors", header, record_size=1, count=total, blocks=_bytes(tensors))
    return None


def _write_npy(stream: BinaryIO, tensors: Tensors, specs: tuple[TensorSpec, ...]) -> None:
    if len(specs) != 1:
        raise DataError(
            f".npy holds one tensor, here are {len(specs):,}", "use -o NAME.npz or NAME.safetensors"
        )
    _refuse_bfloat16(specs, "npy")
    _write_npy_header(stream, specs[0])
    stream.writelines(_bytes(tensors))


def _write_npz(stream: BinaryIO, tensors: Tensors, specs: tuple[TensorSpec, ...]) -> None:
    _refuse_bfloat16(specs, "npz")
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for spec, pieces in tensors:
            entry = zipfile.ZipInfo(f"{spec.name}.npy")
            with archive.open(entry, "w", force_zip64=True) as member:
                _write_npy_header(member, spec)
                member.writelines(_bytes([(spec, pieces)]))


def _write_npy_header(stream: Any, spec: TensorSpec) -> None:
    dtype = numpy_dtype(spec.dtype).newbyteorder("<")
    header = {"descr": dtype.str, "fortran_order": False, "shape": spec.shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _refuse_bfloat16(specs: tuple[TensorSpec, ...], kind: str) -> None:
    for spec in specs:
        if spec.dtype == "bfloat16":
            raise DataError(
                f"tensor {spec.name} is bfloat16, which .{kind} cannot hold",
                "use -o NAME.safetensors or NAME.tensors",
            )


def _safetensors_header(specs: tuple[TensorSpec, ...], metadata: dict[str, str] | None) -> bytes:
    """The head of a safetensors file, whose library writes only what is whole in memory."""
    if any(spec.name == "__metadata__" for spec in specs):
        raise DataError(
            ".safetensors cannot hold a tensor named __metadata__", "use -o NAME.npz or NAME.tensors"
        )
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    kinds = {"bfloat16": "BF16"} | {f"float{8 * size}": f"F{8 * size}" for size in (2, 4, 8)}
    end = 0
    for spec in specs:
        header[spec.name] = {
            "dtype": kinds[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [end, end + spec.nbytes],
        }
        end += spec.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensors: Tensors) -> Iterator[bytes]:
    """The values of all tensors as little-endian bytes, a piece at a time."""
    for _, pieces in tensors:
        for piece in pieces:
            yield piece.astype(piece.dtype.newbyteorder("<"), copy=False).tobytes()
