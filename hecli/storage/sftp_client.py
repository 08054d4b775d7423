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

from hecli.errors import HecliError, UnreachableError
from hecli.storage.sftp_packets import (
    CLOSE,
    END,
    EXTENDED,
    FAILURE,
    FSTAT,
    INIT,
    LSTAT,
    NO_SUCH_FILE,
    OK,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    STAT,
    STATUS,
    VERSION,
    Attributes,
    Fields,
    LostError,
    Name,
    StatusError,
    attributes_in,
    data_in,
    handle_in,
    names_in,
    string,
)

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

Answer = queue.SimpleQueue[tuple[int, bytes] | None]
"""Where the answer to a request comes: its kind and the rest of it; None where the connection is gone."""


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
        handle = handle_in(kind, rest)
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
            return attributes_in(self.ask(STAT if follow else LSTAT, string(path)))
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
        return attributes_in(self.ask(FSTAT, handle))

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
                data = data_in(answer, length)
                # A server may give less than it was asked for (section 6.4).
                while len(data) < length:
                    rest = struct.pack(">QI", start + len(data), length - len(data))
                    data += data_in(self.ask(READ, handle + rest), length - len(data))
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
        handle = handle_in(*self.ask(OPENDIR, string(folder)))
        found: list[Name] = []
        try:
            while len(found) <= MOST_NAMES:
                found += names_in(self.ask(READDIR, handle))
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
            raise UnreachableError(
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
        rest, found = Fields(packet[5:]), set()
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


def _spans(at: int, size: int) -> Iterator[tuple[int, int]]:
    """The places and sizes of the blocks that so many bytes are read in."""
    for done in range(0, size, BLOCK):
        yield at + done, min(BLOCK, size - done)
