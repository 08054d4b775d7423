"""SFTP, version 3 of the protocol (draft-ietf-secsh-filexfer-02), through the user's own ssh.

ssh finds the host, the user, keys, agents and jump hosts as it always does;
here are only the packets that go through it.
"""

import atexit
import itertools
import os
import queue
import shutil
import struct
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from hecli.errors import HecliError

VERSION = 3
BLOCK = 1 << 15
"""Bytes of a read or a write: more than this a server need not take (section 3)."""

IN_FLIGHT = 64
"""Reads or writes that are on their way at once: 2 MiB, as much as a second's silence costs on a far line."""

PACKET_LIMIT = 1 << 20
"""Most bytes of a packet that is believed; those of long names can be large."""

MOST_NAMES = 1_000_000
"""Most names of a folder that are believed."""

PATIENCE = 60
"""Seconds until a server that says nothing is given up."""

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


Answer = queue.SimpleQueue[tuple[int, bytes] | None]
"""Where the answer to a request comes: its kind and the rest of it; None where the connection is gone."""


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


class Client:
    """A connection to one host, which several threads may use.

    Every method raises StatusError where the server does not do it, and
    LostError where the connection is gone.

    Args:
        host: The host, or a Host of ssh_config.
        user: Who logs in; None for whom ssh chooses.
        port: Where; None for where ssh chooses.

    Raises:
        HecliError: There is no ssh, or it does not get there.
    """

    def __init__(self, host: str, user: str | None = None, port: int | None = None) -> None:
        self._host = host
        ssh = shutil.which("ssh")
        if ssh is None:
            raise HecliError("sftp:// takes the command ssh, which is not here", "install OpenSSH's client")
        words = [ssh, "-oForwardX11=no", "-oForwardAgent=no", "-oClearAllForwardings=yes"]
        words += ["-oPermitLocalCommand=no", "-oServerAliveInterval=15"]
        words += ["-l", user] if user else []
        words += ["-p", str(port)] if port else []
        try:
            # A group of its own, so that Ctrl-C does not end it before what is half-written is removed.
            self._process = subprocess.Popen(  # noqa: S603 - the user's own ssh
                [*words, "-s", "--", host, "sftp"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0,
                bufsize=0,
            )
        except OSError as error:
            raise HecliError("cannot start ssh", "is OpenSSH's client whole?") from error
        self._numbers = itertools.count()
        self._answers: dict[int, Answer] = {}
        # Two locks: whoever waits until a packet is taken must not keep an answer from being handed over,
        # for which the server may be waiting.
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._lost = False
        self.extensions: frozenset[str] = frozenset()
        atexit.register(self.close)
        self._greet()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._lost

    def close(self) -> None:
        """End the connection."""
        self._lost = True
        atexit.unregister(self.close)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._process.kill()
        self._process.wait()

    def ask(self, kind: int, body: bytes) -> tuple[int, bytes]:
        """Send a request, and wait for its answer.

        Args:
            kind: What is asked for.
            body: The rest of the packet, behind its number.

        Returns:
            The kind of the answer, and the rest of it.

        Raises:
            StatusError: The server did not do it.
            LostError: The connection is gone.
        """
        return self._answer(self._send(kind, body)[1])

    def pipelined(self, kind: int, bodies: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
        """Send many requests, without waiting for each answer.

        Args:
            kind: What is asked for.
            bodies: The rest of each packet.

        Yields:
            The answers, in order.

        Raises:
            StatusError: The server did not do one of them.
            LostError: The connection is gone.
        """
        waiting: list[tuple[int, Answer]] = []
        try:
            for body in bodies:
                waiting.append(self._send(kind, body))
                if len(waiting) == IN_FLIGHT:
                    yield self._answer(waiting.pop(0)[1])
            while waiting:
                yield self._answer(waiting.pop(0)[1])
        finally:
            # Whoever gave up must not keep what still arrives.
            with self._lock:
                for number, _ in waiting:
                    self._answers.pop(number, None)

    @contextmanager
    def opened(self, path: str, flags: int) -> Iterator[bytes]:
        """Open a file.

        Args:
            path: Its path there.
            flags: READING or WRITING.

        Yields:
            The handle, which is closed when the block ends.
        """
        kind, rest = self.ask(OPEN, string(path) + struct.pack(">II", flags, 0))
        handle = _handle(kind, rest)
        try:
            yield handle
        except BaseException:
            with suppress(StatusError, LostError):
                self.ask(CLOSE, handle)
            raise
        # Only then is what was written known to be there.
        self.ask(CLOSE, handle)

    def stat(self, path: str, *, follow: bool = True) -> Attributes | None:
        """Say what is at a path.

        Args:
            path: The path.
            follow: Whether a link is followed.

        Returns:
            What is there; None where nothing is.
        """
        try:
            return _attributes(self.ask(STAT if follow else LSTAT, string(path)))
        except StatusError as error:
            if error.status == NO_SUCH_FILE:
                return None
            raise

    def of_handle(self, handle: bytes) -> Attributes:
        """Say what an opened file is.

        Args:
            handle: Its handle.

        Returns:
            What it is.
        """
        return _attributes(self.ask(FSTAT, handle))

    def read(self, handle: bytes, at: int, size: int) -> bytes:
        """Read from a place.

        Args:
            handle: The handle of the file.
            at: The place, and
            size: how many bytes.

        Returns:
            All of them; fewer where the file ends before.
        """
        spans, found = deque(_spans(at, size)), []

        def requests() -> Iterator[bytes]:
            for start, length in _spans(at, size):
                yield handle + struct.pack(">QI", start, length)

        try:
            for answer in self.pipelined(READ, requests()):
                start, length = spans.popleft()
                data = _data(answer, length)
                # A server may give less than it was asked for (section 6.4).
                while len(data) < length:
                    rest = struct.pack(">QI", start + len(data), length - len(data))
                    data += _data(self.ask(READ, handle + rest), length - len(data))
                found.append(data)
        except StatusError as error:
            if error.status != END:
                raise
        return b"".join(found)

    def names(self, folder: str) -> Sequence[Name]:
        """List a folder.

        Args:
            folder: Its path.

        Returns:
            What is in it, with the folder itself and the one above.

        Raises:
            StatusError: The server does not.
        """
        handle = _handle(*self.ask(OPENDIR, string(folder)))
        found: list[Name] = []
        try:
            while len(found) <= MOST_NAMES:
                found += _names(self.ask(READDIR, handle))
            raise LostError
        except StatusError as error:
            if error.status != END:
                raise
        finally:
            with suppress(StatusError, LostError):
                self.ask(CLOSE, handle)
        return found

    def extended(self, name: str, body: bytes) -> None:
        """Ask for what the protocol does not have and this server may (section 8).

        Args:
            name: Its name.
            body: The rest of the packet.
        """
        self.ask(EXTENDED, string(name) + body)

    def _greet(self) -> None:
        try:
            # Whoever is gone already may have said why.
            with suppress(BrokenPipeError):
                self._write(struct.pack(">IBI", 5, INIT, VERSION))
            packet = self._packet()
        except (OSError, LostError) as error:
            status = self._process.wait()
            raise HecliError(
                f"ssh does not get to {self._host}" + (f" (exit status {status})" if status else ""),
                f"try it by hand: sftp {self._host}",
            ) from error
        except ValueError:
            packet = b""
        # A server that speaks a newer version answers with this one (section 4).
        if len(packet) < 5 or packet[0] != 2 or struct.unpack_from(">I", packet, 1)[0] != VERSION:
            self.close()
            raise HecliError(
                f"{self._host} does not answer as an SFTP server",
                "does its shell print something at the start? try it by hand: sftp",
            )
        rest, found = _Fields(packet[5:]), set()
        while rest.left:
            found.add(rest.string().decode("utf-8", "replace"))
            rest.string()
        self.extensions = frozenset(found)

    def _send(self, kind: int, body: bytes) -> tuple[int, Answer]:
        answer: Answer = queue.SimpleQueue()
        with self._lock:
            if self._lost:
                raise LostError
            number = next(self._numbers) % (1 << 32)
            self._answers[number] = answer
        try:
            with self._writing:
                self._write(struct.pack(">IBI", 5 + len(body), kind, number) + body)
        except OSError as error:
            self._lost = True
            raise LostError from error
        return number, answer

    def _answer(self, answer: Answer) -> tuple[int, bytes]:
        try:
            found = answer.get(timeout=PATIENCE)
        except queue.Empty as error:
            self._lost = True
            raise LostError from error
        if found is None:
            raise LostError
        kind, rest = found
        if kind == STATUS:
            status = struct.unpack_from(">I", rest)[0] if len(rest) >= 4 else FAILURE
            if status != OK:
                raise StatusError(status)
        return found

    def _listen(self) -> None:
        """Hand each answer to whoever waits for it, until there are no more."""
        try:
            while True:
                packet = self._packet()
                number = struct.unpack_from(">I", packet, 1)[0]
                with self._lock:
                    answer = self._answers.pop(number, None)
                if answer is not None:
                    answer.put((packet[0], packet[5:]))
        except (OSError, LostError, ValueError, struct.error):
            pass
        with self._lock:
            self._lost = True
            for answer in self._answers.values():
                answer.put(None)
            self._answers.clear()

    def _packet(self) -> bytes:
        size = struct.unpack(">I", self._exactly(4))[0]
        if not 1 <= size <= PACKET_LIMIT:
            raise ValueError(f"a packet of {size} bytes")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = os.read(self._process.stdout.fileno(), size - len(data))  # type: ignore[union-attr]
            if not piece:
                raise LostError
            data += piece
        return data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._process.stdin.fileno(), view) :]  # type: ignore[union-attr]


def string(text: str | bytes) -> bytes:
    """Write a string as packets hold it.

    Args:
        text: The text, or bytes.

    Returns:
        Its length and bytes.
    """
    data = os.fsencode(text) if isinstance(text, str) else text
    return struct.pack(">I", len(data)) + data


def _spans(at: int, size: int) -> Iterator[tuple[int, int]]:
    """The places and sizes of the blocks that so many bytes are read in."""
    for done in range(0, size, BLOCK):
        yield at + done, min(BLOCK, size - done)


class _Fields:
    """The fields of a packet, taken one after the other; raises LostError where there is none."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise LostError
        self._at += size
        return self._data[self._at - size : self._at]


def _data(answer: tuple[int, bytes], most: int) -> bytes:
    kind, rest = answer
    data = _Fields(rest).string() if kind == DATA else b""
    # None at all would be asked for without end.
    if not 0 < len(data) <= most:
        raise LostError
    return data


def _handle(kind: int, rest: bytes) -> bytes:
    if kind != HANDLE:
        raise LostError
    return string(_Fields(rest).string())


def _attributes(answer: tuple[int, bytes]) -> Attributes:
    kind, rest = answer
    if kind != ATTRS:
        raise LostError
    return _attributes_in(_Fields(rest))


def _attributes_in(found: _Fields) -> Attributes:
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


def _names(answer: tuple[int, bytes]) -> list[Name]:
    kind, rest = answer
    if kind != NAME:
        raise LostError
    found = _Fields(rest)
    names = []
    for _ in range(found.number()):
        name = found.string()
        found.string()
        names.append(Name(os.fsdecode(name), _attributes_in(found)))
    if not names:
        raise LostError
    return names
