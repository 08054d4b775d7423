"""A file that is far away, read in ranges: as few of them as can be, each whole."""

import io
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from hecli.errors import HecliError

FRONT = 1 << 17
"""Bytes of the first range, which in most files holds prelude and header; the trailer takes the second."""

AHEAD = 8 << 20
"""Most bytes that are read at once of what is read in order."""

LEAST = 1 << 15
"""Fewest bytes that are read at once."""


class Range(NamedTuple):
    """What a place gives for a range.

    Args:
        data: The bytes, fewer only at the end of the file.
        size: The size of the whole file.
        tag: What is another when the file is another, as far as the place says it.
    """

    data: bytes | memoryview
    size: int
    tag: str | None = None


Fetch = Callable[[int, int], Range]
"""Gives the bytes from a place on, at most so many; raises HecliError."""


class RangeStream(io.RawIOBase):
    """A seekable stream over ranges. A read is always full, but at the end.

    What is read in order is read ahead, more each time. `flush` lets go of what
    is held, as that of C does for streams that are read.

    Args:
        first: The range from the first byte on, of FRONT bytes.
        fetch: Gives further ones.
        name: What errors call the file.
        ahead: Whether to read ahead of what is read in order.
    """

    def __init__(self, first: Range, fetch: Fetch, name: str, *, ahead: bool = True) -> None:
        self._fetch = fetch
        self._ahead = ahead
        self._at, self._window = 0, 0
        self.name = name
        self._start, self._end, self._held = 0, len(first.data), memoryview(first.data)
        self._size, self._tag = first.size, first.tag
        self._check(first, FRONT)

    @property
    def stream(self) -> BinaryIO:
        """This, as what it is used as."""
        return cast("BinaryIO", self)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Say where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which takes no request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all that are left."""
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted:
            piece = self._some(wanted)
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: object) -> int:
        """Read into a buffer, as much as it takes."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def flush(self) -> None:
        """Let go of what is held."""
        self._held, self._window = memoryview(b""), 0

    def _some(self, wanted: int) -> memoryview:
        """Some of the bytes at the present place, at most so many and at least one."""
        if not self._start <= self._at < self._start + len(self._held):
            # The least that is read at once grows where one range follows another.
            self._window = min(max(FRONT, 2 * self._window), AHEAD) if self._at == self._end else FRONT
            size = max(wanted, self._window if self._ahead else LEAST)
            self._start, self._held = self._at, memoryview(b"")
            found = self._fetch(self._at, size)
            self._check(found, size)
            self._held, self._end = memoryview(found.data), self._start + len(found.data)
        first = self._at - self._start
        piece = self._held[first : first + wanted]
        if first + len(piece) == len(self._held) and not self._ahead:
            # Whoever reads many files in order needs none of it again.
            self._held = memoryview(b"")
        return piece

    def _check(self, found: Range, size: int) -> None:
        """Refuse a range that is not the one that was asked for, of the same file."""
        if (found.size, found.tag) != (self._size, self._tag):
            raise HecliError(f"{self.name}: changed while it was read", "read it again when it is whole")
        if len(found.data) != min(size, self._size - self._start):
            raise HecliError(f"{self.name}: its storage gave another range than was asked for", "try again")
