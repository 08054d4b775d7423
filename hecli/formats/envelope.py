"""The envelope around every hecli file. Specified in docs/format.md.

A file is a sequence of msgpack objects: a prelude, a header map, chunks of
fixed-width records, and a trailer with their digests. There is one encoding
for each file: whatever does not re-encode to the same bytes is refused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import (
    CUT_SHORT,
    VERSION,
    Map,
    bin_prefix,
    bin_size,
    digest_of,
    fields,
    pack,
    size_of_first,
    unpack,
    unpack_first,
)
from hecli.formats.cards import PACKED_LIMIT, Signature

MAGIC = "hecli"
START = b"\x96\xa5hecli"
"""The first bytes of every file: an array of six whose first is the magic."""

CHUNK_SIZE = 1 << 20
PRELUDE_LIMIT = 64
HEADER_LIMIT = 4 << 20
CHUNK_LIMIT = 1 << 26
DIGEST_SIZE = 32

KINDS = {
    "public key",
    "private key",
    "plan",
    "encoded",
    "update",
    "aggregate",
    "sum",
    "tensors",
    "identity",
    "card",
    "record",
    "entry",
    "share",
    "partial",
    "enrollment",
    "answer",
}

SIGNED = {"plan", "update", "aggregate", "partial", "sum", "card", "entry", "enrollment", "answer"}
"""The kinds that may bear a signature."""

Sign = Callable[[bytes], Signature]
"""Makes a signature from a file's digest."""


class Prelude(NamedTuple):
    """The first object of a file: all that is needed to know where everything lies."""

    magic: str
    version: int
    kind: str
    header_size: int
    record_size: int
    records: int

    @property
    def records_per_chunk(self) -> int:
        """How many records a full chunk holds, at least one."""
        return max(1, CHUNK_SIZE // max(1, self.record_size))

    @property
    def chunk_sizes(self) -> Iterator[int]:
        """The payload size of each chunk in bytes, in order."""
        full, rest = divmod(self.records, self.records_per_chunk)
        for _ in range(full):
            yield self.records_per_chunk * self.record_size
        if rest:
            yield rest * self.record_size

    @property
    def body_size(self) -> int:
        """The size of all chunks in bytes, their msgpack prefixes included."""
        full, rest = divmod(self.records, self.records_per_chunk)
        size = full * bin_size(self.records_per_chunk * self.record_size)
        return size + (bin_size(rest * self.record_size) if rest else 0)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.records // self.records_per_chunk)


def write(
    stream: BinaryIO,
    kind: str,
    header: Map,
    *,
    record_size: int = 0,
    count: int = 0,
    blocks: Iterable[bytes] = (),
    sign: Sign | None = None,
) -> bytes:
    """Write one file, signed where `sign` is given, and return its digest (32 bytes).

    `blocks` are the records' bytes in pieces of any size; together they must
    hold exactly `count` records of `record_size` bytes. Raises FormatError
    where the header is larger than any reader would accept.
    """
    packed = pack(header)
    if len(packed) > HEADER_LIMIT:
        raise FormatError(
            f"the header would be {len(packed):,} bytes, more than the {HEADER_LIMIT:,} a file may have",
            "use fewer tensors, or shorter names",
        )
    prelude = Prelude(MAGIC, VERSION, kind, len(packed), record_size, count)
    front = pack(tuple(prelude)) + packed
    stream.write(front)
    digests = []
    pieces = _Rechunk(blocks)
    for size in prelude.chunk_sizes:
        chunk = pieces.take(size)
        stream.write(bin_prefix(size))
        stream.write(chunk)
        digests.append(hashlib.sha256(chunk).digest())
    pieces.finish()
    chunks = b"".join(digests)
    digest = _file_digest(front, chunks)
    signatures = [sign(digest).pack()] if sign else []
    stream.write(pack({"chunks": chunks, "digest": digest, "signatures": signatures}))
    return digest


class Reader:
    """One file, opened and checked as far as can be without reading its chunks.

    `stream` must be seekable. Sizes are compared with the file's true length
    before anything is allocated. Chunks are checked as they are read: what
    `read` returned is only known to be good once the last record of its chunk
    was read.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self._stream = stream
        prelude_size = self._read_prelude()
        front_size = prelude_size + self.prelude.header_size
        self._check_size(front_size)
        stream.seek(0)
        front = self._exactly(front_size)
        header = unpack(front[prelude_size:], name, "its header")
        if not isinstance(header, dict):
            raise FormatError(f"{name}: its header is not a map")
        self.kind = self.prelude.kind
        self.header: Map = header
        self._read_trailer(front)
        self._body = front_size
        self.rewind()

    def rewind(self) -> None:
        """Go back to the first record."""
        self._stream.seek(self._body)
        self._sizes = self.prelude.chunk_sizes
        self._chunk = -1
        self._left = 0
        self._hash = hashlib.sha256()

    @property
    def count(self) -> int:
        """How many records the body holds."""
        return self.prelude.records

    def forget_header(self) -> None:
        """Let go of the header, which may be large, when all is known from it."""
        self.header = {}

    def read(self, records: int) -> bytes:
        """The next `records` records (fewer only at the end), as one byte string.

        Raises FormatError where a chunk does not have the digest in the trailer.
        """
        wanted = records * self.prelude.record_size
        parts = []
        while wanted > 0 and (self._left or self._next_chunk()):
            part = self._exactly(min(wanted, self._left))
            self._hash.update(part)
            self._left -= len(part)
            wanted -= len(part)
            parts.append(part)
            if not self._left and self._hash.digest() != self._digest_of_chunk():
                raise FormatError(
                    f"{self.name}: chunk {self._chunk} does not match its digest",
                    "the file was altered or damaged; get it again from whoever made it",
                )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def verify(self) -> None:
        """Read all records and check their digests, then go back to the first; raises FormatError."""
        self.rewind()
        for _ in self.blocks(self.prelude.records_per_chunk):
            pass
        self.rewind()

    def blocks(self, records: int) -> Iterator[bytes]:
        """All records that are left, `records` at a time."""
        while block := self.read(records):
            yield block

    def require(self, *kinds: str, hint: str | None = None) -> None:
        """Raise FormatError unless the file is of one of `kinds`."""
        if self.kind not in kinds:
            wanted = " or ".join(_with_article(kind) for kind in kinds)
            raise FormatError(f"{self.name} is {_with_article(self.kind)}, not {wanted}", hint)

    def require_body(self, record_size: int, count: int) -> None:
        """Raise FormatError unless the body has `count` records of `record_size` bytes."""
        found = (self.prelude.record_size, self.prelude.records)
        if found != (record_size, count):
            raise FormatError(
                f"{self.name}: holds {found[1]:,} records of {found[0]:,} bytes "
                f"where its header calls for {count:,} of {record_size:,}"
            )

    def _digest_of_chunk(self) -> bytes:
        at = self._chunk * DIGEST_SIZE
        return self._digests[at : at + DIGEST_SIZE]

    def _next_chunk(self) -> bool:
        size = next(self._sizes, None)
        if size is None:
            return False
        self._chunk += 1
        prefix = bin_prefix(size)
        if self._exactly(len(prefix)) != prefix:
            raise FormatError(f"{self.name}: chunk {self._chunk} has the wrong length")
        self._left = size
        self._hash = hashlib.sha256()
        return True

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
        return data

    def _read_prelude(self) -> int:
        """Read and check the prelude; return its size in bytes."""
        self._stream.seek(0)
        start = self._stream.read(PRELUDE_LIMIT)
        if not start.startswith(START):
            if START.startswith(start):
                raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
            raise FormatError(f"{self.name} is not a hecli file")
        fields, size = unpack_first(start, self.name, "its prelude", whole=len(start) < PRELUDE_LIMIT)
        self.prelude = _checked_prelude(fields, self.name)
        return size

    def _check_size(self, front_size: int) -> None:
        chunks = self.prelude.chunks
        trailer = pack({"chunks": b"", "digest": bytes(DIGEST_SIZE), "signatures": ()})
        self._trailer_size = len(trailer) - bin_size(0) + bin_size(chunks * DIGEST_SIZE)
        unsigned = front_size + self.prelude.body_size + self._trailer_size
        found = self._stream.seek(0, 2)
        if found < unsigned:
            raise FormatError(
                f"{self.name}: ends too early ({found:,} bytes of {unsigned:,})",
                CUT_SHORT,
            )
        if found > unsigned + PACKED_LIMIT:
            raise FormatError(f"{self.name}: has {found - unsigned:,} bytes too many at its end")
        self._trailer_size += found - unsigned

    def _read_trailer(self, front: bytes) -> None:
        self._stream.seek(-self._trailer_size, 2)
        packed = self._exactly(self._trailer_size)
        size = size_of_first(packed, self.name, "its trailer")
        if size is None:
            raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
        if size < len(packed):
            raise FormatError(f"{self.name}: has {len(packed) - size:,} bytes too many at its end")
        trailer = unpack(packed, self.name, "its trailer")
        fields(trailer, self.name, "its trailer", {"chunks": bytes, "digest": bytes, "signatures": list})
        if trailer["signatures"] and self.prelude.kind not in SIGNED:
            raise FormatError(f"{self.name}: is signed, which {_with_article(self.prelude.kind)} cannot be")
        if len(trailer["signatures"]) > 1:
            raise FormatError(f"{self.name}: has more than one signature", "a newer hecli may know them")
        packed = trailer["chunks"]
        if len(packed) != self.prelude.chunks * DIGEST_SIZE:
            raise FormatError(f"{self.name}: its trailer has the wrong number of chunk digests")
        self._digests: bytes = packed
        self.digest: bytes = trailer["digest"]
        if _file_digest(front, packed) != self.digest:
            raise FormatError(
                f"{self.name}: its digest does not match its header and trailer",
                "the file was altered or damaged; get it again from whoever made it",
            )
        # Only what it says: whether it holds, and whose it must be, is for those who know the plan.
        signatures = [Signature.parse(item, self.name) for item in trailer["signatures"]]
        self.signature = signatures[0] if signatures else None


def _checked_prelude(fields: Sequence[object], name: str) -> Prelude:
    match fields:
        case (str(), int(version), *_) if version != VERSION:
            raise FormatError(
                f"{name}: has format version {version}, this hecli reads version {VERSION}",
                "upgrade hecli" if version > VERSION else None,
            )
        case (str(magic), int(version), str(kind), int(size), int(record), int(count)) if not any(
            isinstance(field, bool) for field in fields
        ):
            prelude = Prelude(magic, version, kind, size, record, count)
        case _:
            raise FormatError(f"{name}: its prelude has the wrong fields")
    if prelude.kind not in KINDS:
        raise FormatError(f"{name}: is of the unknown kind {prelude.kind!r}", "a newer hecli may know it")
    if not 0 < prelude.header_size <= HEADER_LIMIT:
        raise FormatError(f"{name}: declares a header of {prelude.header_size:,} bytes")
    possible = 0 <= prelude.record_size <= CHUNK_SIZE and prelude.records >= 0
    if not possible or prelude.chunks > CHUNK_LIMIT or (prelude.record_size == 0) != (prelude.records == 0):
        raise FormatError(f"{name}: declares {prelude.records:,} records of {prelude.record_size:,} bytes")
    return prelude


def _file_digest(front: bytes, chunk_digests: bytes) -> bytes:
    return digest_of("file", hashlib.sha256(front).digest(), chunk_digests)


def _with_article(kind: str) -> str:
    if kind == "tensors":
        return "a tensor file"
    return f"an {kind} file" if kind[0] in "aeiou" else f"a {kind} file"


class _Rechunk:
    """Byte blocks of any size, taken again in sizes of the caller's."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._buffer = bytearray()

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            block = next(self._blocks, None)
            if block is None:
                raise FormatError("the body ended before the records its header declares")
            self._buffer += block
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    def finish(self) -> None:
        if self._buffer or any(self._blocks):
            raise FormatError("the body holds more than the records its header declares")
