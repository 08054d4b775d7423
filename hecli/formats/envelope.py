"""The envelope around every hecli file, written. Specified in docs/format.md.

A file is a sequence of msgpack objects: a prelude, a header map, the chunks of
its sections, and a trailer with their digests. There is one encoding for each
file: whatever does not re-encode to the same bytes is refused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import VERSION, Map, bin_prefix, bin_size, digest_of, pack
from hecli.formats.text import NAME_LIMIT

MAGIC = "hecli"
CHUNK_SIZE = 1 << 20
HEADER_LIMIT = 4 << 20
DIGEST_SIZE = 32
KEY_SIZE = 32
SIGNATURE_SIZE = 64
PACKED_SIGNATURE_LIMIT = (
    8 + 4 * NAME_LIMIT + 2 * bin_size(KEY_SIZE) + bin_size(DIGEST_SIZE) + bin_size(SIGNATURE_SIZE)
)
"""Most bytes of a signature as it stands in a trailer."""

Sign = Callable[[bytes], list[str | bytes]]
"""Makes a signature, as it stands in a trailer, from a file's digest."""


class Section(NamedTuple):
    """A part of a file's body: records of one size, in chunks.

    Args:
        name: Its name.
        record_size: The bytes of a record.
        records: How many there are.
        chunk: How many are in each chunk but the last.
    """

    name: str
    record_size: int
    records: int
    chunk: int

    @classmethod
    def of(cls, name: str, record_size: int, records: int) -> "Section":
        """Lay out a section in chunks of at most CHUNK_SIZE bytes, or of one record where that is larger.

        Args:
            name: Its name.
            record_size: The bytes of a record.
            records: How many there are.

        Returns:
            The section.
        """
        return cls(name, record_size, records, max(1, CHUNK_SIZE // record_size))

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.records // self.chunk)

    @property
    def chunk_sizes(self) -> Iterator[int]:
        """The size of each chunk's content in bytes, in order."""
        full, rest = divmod(self.records, self.chunk)
        for _ in range(full):
            yield self.chunk * self.record_size
        if rest:
            yield rest * self.record_size

    @property
    def size(self) -> int:
        """The size of all chunks in bytes, their msgpack prefixes included."""
        full, rest = divmod(self.records, self.chunk)
        size = full * bin_size(self.chunk * self.record_size)
        return size + (bin_size(rest * self.record_size) if rest else 0)


class Prelude(NamedTuple):
    """The first object of a file: all that is needed to know where everything lies.

    Args:
        magic: `hecli`.
        version: The format's version.
        kind: A key of KINDS.
        header_size: The bytes of the header.
        sections: How the body is laid out.
    """

    magic: str
    version: int
    kind: str
    header_size: int
    sections: tuple[Section, ...]

    @property
    def body_size(self) -> int:
        """The size of all sections in bytes."""
        return sum(section.size for section in self.sections)

    @property
    def chunks(self) -> int:
        """How many chunks all sections have together."""
        return sum(section.chunks for section in self.sections)


def write(
    stream: BinaryIO,
    kind: str,
    header: Map,
    sections: Sequence[Section] = (),
    blocks: Iterable[bytes] = (),
    *,
    sign: Sign | None = None,
) -> bytes:
    """Write one file.

    Args:
        stream: Where to.
        kind: A key of KINDS.
        header: The header map.
        sections: How the body is laid out.
        blocks: The records' bytes, section after section, in pieces of any
            size; together they must be exactly what `sections` call for.
        sign: Makes the signature, where there is to be one.

    Returns:
        The file's digest, 32 bytes.

    Raises:
        FormatError: The header is larger than any reader would accept.
    """
    packed = pack(header)
    if len(packed) > HEADER_LIMIT:
        raise FormatError(
            f"the header would be {len(packed):,} bytes, more than the {HEADER_LIMIT:,} a file may have",
            "use fewer tensors, or shorter names",
        )
    front = pack(Prelude(MAGIC, VERSION, kind, len(packed), tuple(sections))) + packed
    stream.write(front)
    digests = []
    pieces = _Rechunk(blocks)
    for section in sections:
        for size in section.chunk_sizes:
            chunk = pieces.take(size)
            stream.write(bin_prefix(size))
            stream.write(chunk)
            digests.append(hashlib.sha256(chunk).digest())
    pieces.finish()
    chunks = b"".join(digests)
    digest = digest_of("file", hashlib.sha256(front).digest(), chunks)
    signatures = [sign(digest)] if sign else []
    stream.write(pack({"chunks": chunks, "digest": digest, "signatures": signatures}))
    return digest


class _Rechunk:
    """Byte blocks of any size, taken again in sizes of the caller's."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._buffer = bytearray()

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            block = next(self._blocks, None)
            if block is None:
                raise FormatError("the body ended before the records its sections declare")
            self._buffer += block
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def finish(self) -> None:
        if self._buffer or any(self._blocks):
            raise FormatError("the body holds more than the records its sections declare")
