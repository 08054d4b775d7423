"""The packets of SFTP, version 3 (draft-ietf-secsh-filexfer-02): what they are called, and how they are read.

What a server sends is believed as far as its packet goes, and no further.
"""

import os
import struct
from typing import NamedTuple

VERSION = 3

INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, STAT, RENAME = 11, 12, 13, 14, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED = 101, 102, 103, 104, 105, 200

READING, WRITING = 0x01, 0x02 | 0x08 | 0x20
"""To read; to write what must be new: WRITE, CREAT and EXCL (section 6.3)."""

OK, END, NO_SUCH_FILE, DENIED, FAILURE, UNSUPPORTED = 0, 1, 2, 3, 4, 8
FOLDER, REGULAR, TYPE = 0o040000, 0o100000, 0o170000


class StatusError(Exception):
    """The server says that it did not do it.

    Args:
        status: Its code.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class LostError(Exception):
    """The connection is gone, and nobody knows what became of a request."""


class Attributes(NamedTuple):
    """What a server says of a file.

    Args:
        size: Its bytes.
        type: What it is, the bits of TYPE; None where the server does not say.
        changed: When it was written to last, likewise.
    """

    size: int
    type: int | None
    changed: int | None


class Name(NamedTuple):
    """A file or folder in a listing.

    Args:
        name: Its name.
        attributes: What it is.
    """

    name: str
    attributes: Attributes


def string(text: str | bytes) -> bytes:
    """Write a string as packets hold it.

    Args:
        text: The text, or bytes.

    Returns:
        Its length and bytes.
    """
    data = os.fsencode(text) if isinstance(text, str) else text
    return struct.pack(">I", len(data)) + data


class Fields:
    """The fields of a packet, taken one after the other; LostError where there are no more.

    Args:
        data: The packet, behind its number.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def number(self, size: int = 4) -> int:
        """Take a number.

        Args:
            size: Of so many bytes.

        Returns:
            The number.
        """
        return int.from_bytes(self.take(size), "big")

    def string(self) -> bytes:
        """Take a string."""
        return self.take(self.number())

    def take(self, size: int) -> bytes:
        """Take bytes.

        Args:
            size: How many.

        Returns:
            The bytes.
        """
        if size > self.left:
            raise LostError
        self._at += size
        return self._data[self._at - size : self._at]


def data_in(answer: tuple[int, bytes], most: int) -> bytes:
    """Read what a READ is answered with.

    Args:
        answer: The answer.
        most: The most bytes that were asked for.

    Returns:
        The bytes, at least one.

    Raises:
        LostError: It is none such.
    """
    kind, rest = answer
    data = Fields(rest).string() if kind == DATA else b""
    # None at all would be asked for without end.
    if not 0 < len(data) <= most:
        raise LostError
    return data


def handle_in(kind: int, rest: bytes) -> bytes:
    """Read a handle.

    Args:
        kind: The kind of the answer, and
        rest: the rest of it.

    Returns:
        The handle as requests hold it.

    Raises:
        LostError: It is none.
    """
    if kind != HANDLE:
        raise LostError
    return string(Fields(rest).string())


def attributes_in(answer: tuple[int, bytes]) -> Attributes:
    """Read what a STAT is answered with.

    Args:
        answer: The answer.

    Returns:
        What a file is.

    Raises:
        LostError: It says none.
    """
    kind, rest = answer
    if kind != ATTRS:
        raise LostError
    return _nextattributes_in(Fields(rest))


def _nextattributes_in(found: Fields) -> Attributes:
    """The attributes that come next (section 5)."""
    flags, size, type, changed = found.number(), 0, None, None
    if flags & 1:
        size = found.number(8)
    if flags & 2:
        found.take(8)
    if flags & 4:
        type = found.number() & TYPE
    if flags & 8:
        found.take(4)
        changed = found.number()
    if flags & 0x80000000:
        for _ in range(2 * found.number()):
            found.string()
    return Attributes(size, type, changed)


def names_in(answer: tuple[int, bytes]) -> list[Name]:
    """Read what a READDIR is answered with.

    Args:
        answer: The answer.

    Returns:
        Names, at least one.

    Raises:
        LostError: There are none.
    """
    kind, rest = answer
    if kind != NAME:
        raise LostError
    found = Fields(rest)
    names = []
    for _ in range(found.number()):
        name = found.string()
        found.string()
        names.append(Name(os.fsdecode(name), _nextattributes_in(found)))
    if not names:
        raise LostError
    return names
