"""hecli's own tensor files, of the kind `tensors`."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import BinaryIO

from hecli.formats import envelope
from hecli.formats.canonical import fields
from hecli.formats.envelope import CHUNK_SIZE, Section
from hecli.formats.reader import Reader
from hecli.formats.tensors.arrays import Array, TensorFile, little_endian, pieces, stored_dtype
from hecli.formats.tensors.specs import TensorSpec, pack_specs, parse_specs

KIND = "tensors"


def read_specs(reader: Reader) -> tuple[TensorSpec, ...]:
    """Read which tensors an opened file holds.

    Args:
        reader: The file.

    Returns:
        The tensors, sorted by name.

    Raises:
        DataError: A dtype cannot be encoded.
        FormatError: It is of another kind, or not sound.
    """
    reader.require(KIND)
    fields(reader.header, reader.name, "its header", {"tensors": list})
    specs = parse_specs(reader.header["tensors"], reader.name, "its list of tensors")
    reader.require_sections(_section(specs))
    return specs


def open_own(stream: BinaryIO, name: str) -> TensorFile:
    """Open one of hecli's own tensor files.

    Args:
        stream: The file, seekable.
        name: The file, for errors.

    Returns:
        The opened file.

    Raises:
        DataError: A dtype cannot be encoded.
        FormatError: It is not sound.
    """
    reader = Reader(stream, name)
    specs = read_specs(reader)
    values = _Values(reader, specs)

    def read(spec: TensorSpec) -> Iterator[Array]:
        values.go_to(spec)
        return pieces(values.read, spec, stored_dtype(spec.dtype), name)

    return TensorFile(name, KIND, specs, read)


def write_own(
    stream: BinaryIO, specs: tuple[TensorSpec, ...], values: Iterable[Iterator[Array]], metadata: object
) -> bytes:
    """Write one of hecli's own tensor files.

    Args:
        stream: Where to.
        specs: The tensors, sorted by name.
        values: The values of each in pieces.
        metadata: Nothing that it can hold.

    Returns:
        The file's digest.
    """
    del metadata
    blocks = (data for each in values for data in little_endian(each))
    return envelope.write(stream, KIND, {"tensors": pack_specs(specs)}, [_section(specs)], blocks)


class _Values:
    """The values of all tensors, which lie one behind the other, in the order of their names.

    Args:
        reader: The file.
        specs: Its tensors.
    """

    def __init__(self, reader: Reader, specs: tuple[TensorSpec, ...]) -> None:
        self._section = reader.section("values")
        starts = accumulate((spec.nbytes for spec in specs), initial=0)
        self._starts = {spec.name: start for spec, start in zip(specs, starts, strict=False)}
        self._at = 0

    def go_to(self, spec: TensorSpec) -> None:
        """Go to where a tensor begins: mostly there already, or past some that are left out."""
        start = self._starts[spec.name]
        if start < self._at:
            self._section.rewind()
            self._at = 0
        while self._at < start:
            self.read(min(CHUNK_SIZE, start - self._at))

    def read(self, count: int) -> bytes:
        """Read the next bytes; fewer only at the end."""
        data = self._section.read(count)
        self._at += len(data)
        return data


def _section(specs: tuple[TensorSpec, ...]) -> Section:
    return Section.of("values", 1, sum(spec.nbytes for spec in specs))
