"""The envelope around every hecli file, read and checked."""

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import BinaryIO

from hecli.errors import FormatError
from hecli.formats.canonical import (
    CUT_SHORT,
    VERSION,
    Map,
    bin_prefix,
    bin_size,
    fields,
    label_of,
    pack,
    size_of_first,
    unpack,
)
from hecli.formats.envelope import (
    DIGEST_SIZE,
    HEADER_LIMIT,
    KEY_SIZE,
    MAGIC,
    PACKED_SIGNATURE_LIMIT,
    SIGNATURE_SIZE,
    Prelude,
    Section,
)
from hecli.formats.kinds import KINDS, instead

MARK = b"\xa5" + MAGIC.encode()
"""What follows the first byte of every file, that of an array."""

START_SIZE = 1 + len(MARK)
PRELUDE_LIMIT = 512
SECTION_LIMIT = 8
SECTION_NAME_LIMIT = 32
OLD_SIGNATURE_ITEMS = 4
"""Of a signature whose card has no ML-KEM key."""

CHUNK_BYTES = 1 << 26
"""Most bytes of a chunk, and so of a record: a lattice ciphertext has some millions."""

CHUNK_LIMIT = 1 << 22
"""Most chunks of a file: some terabytes, and a trailer that is read in a second."""

DIGESTS_AT_ONCE = 1024


def is_own(start: bytes) -> bool:
    """Tell whether a file is one of hecli's.

    Args:
        start: Its first START_SIZE bytes, or more.

    Returns:
        Whether it is, of whatever version.
    """
    return len(start) >= START_SIZE and start[0] >> 4 == 9 and start[1:START_SIZE] == MARK


def name_of(stream: BinaryIO) -> str:
    """Say how errors name a stream.

    Args:
        stream: The stream.

    Returns:
        Its path, where it has one.
    """
    name = getattr(stream, "name", None)
    # Python names the standard streams in brackets.
    return name if isinstance(name, str) and name and not name.startswith("<") else "the input"


def open_reader(stream: BinaryIO) -> "Reader":
    """Open the envelope in a seekable stream.

    Args:
        stream: The file.

    Returns:
        What reads it.

    Raises:
        FormatError: It is no hecli file, or not a sound one.
    """
    return Reader(stream, name_of(stream))


class Reader:
    """One file, opened and checked as far as can be without reading its chunks.

    Sizes are compared with the file's true length before anything is
    allocated. Chunks are checked as they are read: what a section's `read`
    returned is only known to be good once the last record of its chunk was
    read.

    Args:
        stream: The file, seekable.
        name: What errors call it.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Open the file in the seekable `stream`, which errors call `name`.

        Raises:
            FormatError: It is no hecli file, or not a sound one.
        """
        self.name = name
        self._stream = stream
        self._held, self._digests = -1, b""
        front_size = self._read_prelude() + self.prelude.header_size
        self._check_size(front_size)
        stream.seek(0)
        front = self._exactly(front_size)
        header = unpack(front[-self.prelude.header_size :], name, "its header")
        if not isinstance(header, dict):
            raise FormatError(f"{name}: its header is not a map")
        self.kind = self.prelude.kind
        self.header: Map = header
        self._read_trailer(front)
        self._sections: dict[str, SectionReader] = {}
        at, chunk = front_size, 0
        for section in self.prelude.sections:
            self._sections[section.name] = SectionReader(self, section, at, chunk)
            at += section.size
            chunk += section.chunks

    @property
    def names(self) -> frozenset[str]:
        """The names of the sections."""
        return frozenset(self._sections)

    def section(self, name: str) -> "SectionReader":
        """Give a section.

        Args:
            name: Its name, which `require_sections` has shown to be there.

        Returns:
            What reads it.
        """
        return self._sections[name]

    def within(self, records: Mapping[str, tuple[int, int]]) -> "Reader":
        """Give the same file as if it held some of its records and no others.

        Args:
            records: For each section the first of them, and the one behind the last.

        Returns:
            What reads it. Chunks that hold any of them are checked, and no others.
        """
        narrowed = copy.copy(self)
        narrowed._sections = {  # noqa: SLF001 - its own
            name: section.within(*records[name]) if name in records else section
            for name, section in self._sections.items()
        }
        return narrowed

    def forget_header(self) -> None:
        """Let go of the header when all is known from it, and of what was read with it: both may be large."""
        self.header = {}
        self._held, self._digests = -1, b""
        self._stream.flush()

    def verify(self) -> None:
        """Read all records and check their digests, then go back to the first of each section.

        Raises:
            FormatError: A chunk does not have its digest.
        """
        for section in self._sections.values():
            section.verify()

    def rewind(self) -> None:
        """Go back to the first record of each section."""
        for section in self._sections.values():
            section.rewind()

    def require(self, *kinds: str) -> None:
        """Refuse a file of any other kind.

        Raises:
            FormatError: It is of another kind, with what to do about it.
        """
        if self.kind not in kinds:
            wanted = " or ".join(KINDS[kind].with_article for kind in kinds)
            raise FormatError(
                f"{self.name} is {KINDS[self.kind].with_article}, not {wanted}", instead(self.kind, kinds[0])
            )

    def require_sections(self, *sections: Section) -> None:
        """Refuse a body that is laid out in any other way.

        Raises:
            FormatError: A section is missing, too much, or of other sizes.
        """
        if self.prelude.sections != sections:
            raise FormatError(
                f"{self.name}: holds {_layout(self.prelude.sections)} "
                f"where its header calls for {_layout(sections)}"
            )

    def read_at(self, at: int, size: int) -> bytes:
        """Read from a place in the file.

        Args:
            at: The offset.
            size: How many bytes.

        Returns:
            The bytes.

        Raises:
            FormatError: The file ends too early.
        """
        self._stream.seek(at)
        return self._exactly(size)

    def chunk_digest(self, chunk: int) -> bytes:
        """Give the digest of a chunk from the trailer.

        Args:
            chunk: Its number, counted through all sections.

        Returns:
            The digest, 32 bytes.

        Raises:
            FormatError: The file changed while it was read.
        """
        block, at = divmod(chunk, DIGESTS_AT_ONCE)
        if block != self._held:
            first = block * DIGESTS_AT_ONCE
            count = min(DIGESTS_AT_ONCE, self.prelude.chunks - first)
            data = self.read_at(self._digests_at + first * DIGEST_SIZE, count * DIGEST_SIZE)
            # They are read again as they are needed, and must still be the same.
            if hashlib.sha256(data).digest() != self._blocks[block]:
                raise FormatError(f"{self.name}: changed while it was read", CUT_SHORT)
            self._held, self._digests = block, data
        return self._digests[at * DIGEST_SIZE : (at + 1) * DIGEST_SIZE]

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
        return data

    def _read_prelude(self) -> int:
        """Read and check the prelude; return its size in bytes."""
        self._stream.seek(0)
        start = self._stream.read(PRELUDE_LIMIT)
        self._check_start(start)
        size = size_of_first(start, self.name, "its prelude")
        if size is None:
            if len(start) < PRELUDE_LIMIT:
                raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
            raise FormatError(f"{self.name}: its prelude is too long")
        self.prelude = _prelude(unpack(start[:size], self.name, "its prelude"), self.name)
        return size

    def _check_start(self, start: bytes) -> None:
        """Refuse other files, and other versions before anything else of them is looked at."""
        if not is_own(start):
            if len(start) < START_SIZE and (not start or start[0] >> 4 == 9) and MARK.startswith(start[1:]):
                raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
            raise FormatError(
                f"{self.name} is not a hecli file",
                "name a file that hecli made; one of tensors goes into hecli encrypt",
            )
        rest = start[START_SIZE : START_SIZE + 9]
        size = size_of_first(rest, self.name, "its version")
        version = None if size is None else unpack(rest[:size], self.name, "its version")
        if version is None:
            raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
        if type(version) is not int:
            raise FormatError(f"{self.name}: its prelude has the wrong fields")
        if version != VERSION:
            raise FormatError(
                f"{self.name}: has format version {version}, this hecli reads version {VERSION}",
                "upgrade hecli" if version > VERSION else "make it again with this hecli",
            )

    def _check_size(self, front_size: int) -> None:
        """Compare what the prelude declares with the file's length."""
        chunks = self.prelude.chunks
        self._trailer_at = front_size + self.prelude.body_size
        head = b"\x83" + pack("chunks") + bin_prefix(chunks * DIGEST_SIZE)
        self._trailer_head = head
        self._digests_at = self._trailer_at + len(head)
        rest = pack("digest") + bin_prefix(DIGEST_SIZE) + bytes(DIGEST_SIZE) + pack("signatures") + b"\x90"
        unsigned = self._digests_at + chunks * DIGEST_SIZE + len(rest)
        found = self._stream.seek(0, 2)
        if found < unsigned:
            raise FormatError(f"{self.name}: ends too early ({found:,} bytes of {unsigned:,})", CUT_SHORT)
        if found > unsigned + PACKED_SIGNATURE_LIMIT:
            raise FormatError(f"{self.name}: has {found - unsigned:,} bytes too many at its end")
        self._rest_size = len(rest) + found - unsigned

    def _read_trailer(self, front: bytes) -> None:
        if self.read_at(self._trailer_at, len(self._trailer_head)) != self._trailer_head:
            raise FormatError(f"{self.name}: its trailer is not in canonical form")
        digest = self._digest(front)
        packed = b"\x82" + self._exactly(self._rest_size)
        size = size_of_first(packed, self.name, "its trailer")
        if size is None:
            raise FormatError(f"{self.name}: ends too early", CUT_SHORT)
        if size < len(packed):
            raise FormatError(f"{self.name}: has {len(packed) - size:,} bytes too many at its end")
        trailer = unpack(packed, self.name, "its trailer")
        fields(trailer, self.name, "its trailer", {"digest": bytes, "signatures": list})
        kind = KINDS[self.prelude.kind]
        if trailer["signatures"] and not kind.signed:
            raise FormatError(f"{self.name}: is signed, which {kind.with_article} cannot be")
        if len(trailer["signatures"]) > 1:
            raise FormatError(f"{self.name}: has more than one signature", "a newer hecli may know them")
        self.digest: bytes = trailer["digest"]
        if digest != self.digest:
            raise FormatError(
                f"{self.name}: its digest does not match its header and trailer",
                "the file was altered or damaged; get it again from whoever made it",
            )
        # Only what it says: whose it is and whether it holds is for others to ask.
        self.signature: list[object] | None = trailer["signatures"][0] if trailer["signatures"] else None
        if isinstance(self.signature, list) and len(self.signature) == OLD_SIGNATURE_ITEMS:
            raise FormatError(
                f"{self.name}: is signed with a card that has no key against quantum computers",
                "it was made by an older hecli: have it made again, by identities of hecli keygen today",
            )
        if self.signature is not None and not _is_signature(self.signature):
            raise FormatError(f"{self.name}: its signature is malformed")

    def _digest(self, front: bytes) -> bytes:
        """Compute the file's digest from the chunks' digests, of which only digests are kept."""
        self._blocks: list[bytes] = []

        digest = hashlib.sha256(label_of("file") + hashlib.sha256(front).digest())
        left = self.prelude.chunks
        while left:
            data = self._exactly(min(left, DIGESTS_AT_ONCE) * DIGEST_SIZE)
            left -= len(data) // DIGEST_SIZE
            self._blocks.append(hashlib.sha256(data).digest())
            digest.update(data)
        return digest.digest()


class SectionReader:
    """The records of one section, read in order or from the first again.

    Args:
        reader: The file.
        section: How the section is laid out.
        at: The offset of its first chunk.
        chunk: The number of that chunk in the whole file.
        records: The first record that is read, and the one behind the last.
    """

    def __init__(
        self, reader: Reader, section: Section, at: int, chunk: int, records: tuple[int, int] | None = None
    ) -> None:
        self.section = section
        self._reader = reader
        self._start = at, chunk
        self._records = records or (0, section.records)
        self.rewind()

    def within(self, first: int, stop: int) -> "SectionReader":
        """Give the same section as if it held some of its records and no others.

        Args:
            first: The first of them, and
            stop: the one behind the last.

        Returns:
            What reads it.
        """
        return SectionReader(self._reader, self.section, *self._start, (first, stop))

    def rewind(self) -> None:
        """Go back to the first record."""
        first, stop = self._records
        before, skipped = divmod(first, self.section.chunk)
        at, chunk = self._start
        self._at = at + before * bin_size(self.section.chunk * self.section.record_size)
        self._chunk = chunk + before - 1
        self._sizes = islice(self.section.chunk_sizes, before, None)
        self._skipped = skipped * self.section.record_size
        self._wanted = (stop - first) * self.section.record_size
        self._left = 0
        self._prefix = b""
        self._hash = hashlib.sha256()

    def read(self, records: int) -> bytes:
        """Read the next records.

        Args:
            records: How many; fewer only at the end.

        Returns:
            Their bytes.

        Raises:
            FormatError: A chunk does not have the digest in the trailer.
        """
        wanted = min(records * self.section.record_size, self._wanted)
        self._wanted -= wanted
        parts = []
        while wanted > 0 and (self._left or self._next_chunk()):
            if self._skipped:
                # For its digest alone, as is what stands behind the last record.
                self._part(self._skipped)
                self._skipped = 0
            parts.append(self._part(min(wanted, self._left)))
            wanted -= len(parts[-1])
        if not self._wanted and self._left:
            self._part(self._left)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def blocks(self, records: int) -> Iterator[bytes]:
        """Read all records that are left.

        Args:
            records: How many at a time.

        Yields:
            Their bytes; use no more than that is known to be good.

        Raises:
            FormatError: A chunk does not have the digest in the trailer.
        """
        while block := self.read(records):
            yield block

    def checked_blocks(self, records: int) -> Iterator[bytes]:
        """Read all records that are left, and give only what is known to be good.

        Args:
            records: How many at a time.

        Yields:
            Their bytes, of chunks whose digests were checked.

        Raises:
            FormatError: A chunk does not have the digest in the trailer.
        """
        size = records * self.section.record_size
        held = b""
        while chunk := self.read(self._to_end_of_chunk()):
            held += chunk
            full = len(held) - len(held) % size
            yield from (held[at : at + size] for at in range(0, full, size))
            held = held[full:]
        if held:
            yield held

    def _to_end_of_chunk(self) -> int:
        """How many records are left in the chunk that is read, or begins."""
        if self._left:
            return self._left // self.section.record_size
        return self.section.chunk - self._skipped // self.section.record_size

    def verify(self) -> None:
        """Read all records and check their digests, then go back to the first; raises FormatError."""
        self.rewind()
        for _ in self.blocks(self.section.chunk):
            pass
        self.rewind()

    def _next_chunk(self) -> bool:
        size = next(self._sizes, None)
        if size is None:
            return False
        self._chunk += 1
        self._prefix = bin_prefix(size)
        self._left = size
        self._hash = hashlib.sha256()
        return True

    def _part(self, size: int) -> bytes:
        """The next bytes of the chunk; its prefix is read with the first, for one request less."""
        prefix, self._prefix = self._prefix, b""
        data = self._reader.read_at(self._at, len(prefix) + size)
        if data[: len(prefix)] != prefix:
            raise FormatError(f"{self._reader.name}: chunk {self._chunk} has the wrong length")
        self._at += len(data)
        self._left -= size
        part = data[len(prefix) :] if prefix else data
        self._hash.update(part)
        if not self._left and self._hash.digest() != self._reader.chunk_digest(self._chunk):
            raise FormatError(
                f"{self._reader.name}: chunk {self._chunk} does not match its digest",
                "the file was altered or damaged; get it again from whoever made it",
            )
        return part


def _prelude(items: object, name: str) -> Prelude:
    match items:
        case [str(magic), int(version), str(kind), int(size), list(sections)] if type(size) is int:
            pass
        case _:
            raise FormatError(f"{name}: its prelude has the wrong fields")
    if kind not in KINDS:
        raise FormatError(f"{name}: is of the unknown kind {kind[:64]!r}", "a newer hecli may know it")
    if not 0 < size <= HEADER_LIMIT:
        raise FormatError(f"{name}: declares a header of {size:,} bytes")
    prelude = Prelude(magic, version, kind, size, tuple(_section(item, name) for item in sections))
    names = {section.name for section in prelude.sections}
    if len(sections) > SECTION_LIMIT or len(names) != len(sections) or prelude.chunks > CHUNK_LIMIT:
        raise FormatError(f"{name}: declares {_layout(prelude.sections)}")
    return prelude


def _section(item: object, name: str) -> Section:
    match item:
        case [str(title), int(record_size), int(records), int(chunk)] if bool not in map(type, item):
            numbers = record_size, records, chunk
            section = Section(title, *numbers)
        case _:
            raise FormatError(f"{name}: its prelude has the wrong fields")
    sound = 0 < len(title) <= SECTION_NAME_LIMIT and title.isascii() and title.islower()
    if not sound or min(numbers) < 1 or section.record_size * section.chunk > CHUNK_BYTES:
        raise FormatError(f"{name}: declares {_layout([section])}")
    return section


def _is_signature(item: object) -> bool:
    match item:
        case [str(), bytes(sign), bytes(agree), bytes(kem), bytes(value)]:
            sizes = len(sign), len(agree), len(kem), len(value)
            return sizes == (KEY_SIZE, KEY_SIZE, DIGEST_SIZE, SIGNATURE_SIZE)
    return False


def _layout(sections: Sequence[Section]) -> str:
    """What sections hold, for errors."""
    if not sections:
        return "no records"
    return " and ".join(
        f"{each.records:,} records of {each.record_size:,} bytes ({each.name[:SECTION_NAME_LIMIT]!r}, "
        f"{each.chunk:,} in a chunk)"
        for each in sections
    )
