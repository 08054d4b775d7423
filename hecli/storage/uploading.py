"""A file on its way into a bucket: whole or not at all, and never over another."""

import hashlib
import io
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hecli.errors import HecliError
from hecli.storage.bucket import AbsentError, Bucket, DeniedError, LostError
from hecli.storage.paths import joined, named, taken
from hecli.storage.traffic import TRAFFIC

SINGLE = 64 << 20
"""Most bytes that are sent as one, on the condition that nothing is there."""

PIECE = 16 << 20
"""Bytes of each piece of what is larger: 10,000 of them, which is all that S3 takes, are 160 GB."""

AT_ONCE = 3
"""Pieces that are on their way at once."""


class Upload(io.RawIOBase):
    """A file on its way into a bucket: as one while it is small, else in pieces as they are there."""

    def __init__(self, bucket: Bucket, key: str, *, replace: bool) -> None:
        self._bucket, self._key, self._replace = bucket, key, replace
        self.name = named(joined(bucket.url, key))
        self._buffer = bytearray()
        self._size, self._hash = 0, hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(AT_ONCE)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._abandoned = False

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Take all of `data`; raises HecliError where what came before could not be sent."""
        view = memoryview(data).cast("B")
        self._buffer += view
        self._hash.update(view)
        self._size += len(view)
        if self._thread is None and self._size > SINGLE:
            self._thread = threading.Thread(target=self._send, daemon=True)
            self._thread.start()
        while self._thread is not None and len(self._buffer) >= PIECE:
            self._hand_over(bytes(self._buffer[:PIECE]))
            del self._buffer[:PIECE]
        return len(view)

    def finish(self) -> None:
        """Send what is left, and wait until the file is there."""
        if self._thread is None:
            if self._replace:
                self._bucket.put(self._key, self._buffer, replace=True)
            elif not self._bucket.claim(self._key, self._buffer):
                raise taken(self.name)
            return
        self._hand_over(bytes(self._buffer))
        # Once more, as late as can be: on what is put together of pieces there is no condition.
        if not self._replace and self._is_taken():
            raise taken(self.name)
        self._hand_over(None)
        self._thread.join()
        if self._failure is not None and not self._is_there():
            raise self._failure

    def abandon(self) -> None:
        """Leave nothing, nor anything half."""
        if self._thread is not None:
            self._abandoned = True
            with suppress(BaseException):
                self._hand_over(None)
            self._thread.join()

    def _hand_over(self, piece: bytes | None) -> None:
        while self._failure is None:
            try:
                self._pieces.put(piece, timeout=0.5)
            except queue.Full:
                continue
            return
        raise self._failure

    def _send(self) -> None:
        try:
            self._bucket.asked(
                "write",
                self.name,
                lambda: self._bucket.api.put(
                    self._bucket.store,
                    self._key,
                    self._taken_over(),
                    use_multipart=True,
                    chunk_size=PIECE,
                    max_concurrency=AT_ONCE,
                ),
            )
        except BaseException as error:  # noqa: BLE001 - whoever writes is told
            self._failure = error

    def _taken_over(self) -> Iterator[bytes]:
        """The pieces; whatever is raised among them leaves no file."""
        while (piece := self._pieces.get()) is not None:
            if piece:
                yield piece
                TRAFFIC.sent += len(piece)
        if self._abandoned:
            raise AbandonedError

    def _is_taken(self) -> bool:
        # Some may add files, and not look for them.
        with suppress(DeniedError):
            return self._bucket.size(self._key) is not None
        return False

    def _is_there(self) -> bool:
        """Whether the file is there although its last answer was lost."""
        if not isinstance(self._failure, LostError | AbsentError):
            return False
        try:
            if self._bucket.size(self._key) != self._size:
                return False
            read, digest = self._bucket.reader(self._key), hashlib.sha256()
            for at in range(0, self._size, PIECE):
                digest.update(read(at, PIECE).data)
        except HecliError:
            return False
        return digest.digest() == self._hash.digest()


class AbandonedError(Exception):
    """Whoever wrote gave up."""
