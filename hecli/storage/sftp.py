"""Folders of a server that one reaches with ssh."""

import io
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

from hecli.errors import FormatError, HecliError, RefusedError, UnreachableError
from hecli.storage import sftp_packets as protocol
from hecli.storage.below import Below
from hecli.storage.honest import check_claims
from hecli.storage.paths import folder_of, joined, named, place_of, taken
from hecli.storage.ranges import FRONT, Fetch, Range, RangeStream
from hecli.storage.sftp_client import BLOCK, IN_FLIGHT, Client
from hecli.storage.sftp_packets import LostError, StatusError, string
from hecli.storage.store import Listing, Store
from hecli.storage.traffic import TRAFFIC

TRIES = 3
"""How often something is asked for where the connection is lost each time."""

PAUSE = 0.5
"""Seconds before it is asked for again."""

PIECE = BLOCK * IN_FLIGHT

FSYNC = "fsync@openssh.com"
REPLACE = "posix-rename@openssh.com"

R = TypeVar("R")


class SftpStore:
    """The Store of servers, whose files are URLs such as sftp://user@host/data/anna.enc.

    Nothing in a URL is decoded. The path is one from the server's root, but
    for /~/ at its start, which is the user's own folder.
    """

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._connecting = threading.Lock()
        self._honest: set[str] = set()

    @contextmanager
    def open(self, path: str, *, many: bool = False) -> Iterator[BinaryIO]:
        """Open a file to be read; it is read in ranges, and ahead."""
        fetch = self._reader(path)
        yield RangeStream(fetch(0, FRONT), fetch, named(path), ahead=not many).stream

    @contextmanager
    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> Iterator[BinaryIO]:
        """Open a new file to be written, which gets its name when the block ends well."""
        if secret:
            raise RefusedError(
                f"a secret is not written to {named(path)}", "name a file of this machine with -o"
            )
        _, target = _split(path)
        found = self._asked("write", path, lambda client: client.stat(target, follow=False))
        if found is not None and found.type == protocol.FOLDER:
            raise HecliError(f"cannot write {named(path)}: it is a folder", "name a file with -o")
        if found is not None and not replace:
            raise taken(path)
        self._make_folder(path)
        hidden = _hidden(target)
        try:
            with self._written(path, hidden, lasting=lasting) as stream:
                yield stream
            if not self._renamed(path, hidden, target, replace=replace):
                raise taken(path)
        except BaseException:
            with suppress(HecliError):
                self._remove(path, hidden)
            raise

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make, and its folder where there is none."""
        _, target = _split(path)
        self._make_folder(path)
        self._check_honest(path)
        return self._claim(path, target, data)

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder; none where there is no such folder."""
        return [name for name in self.listing(folder).files if not name.startswith(".")]

    def listing(self, folder: str) -> Listing:
        """Give what is in a folder, but for links; nothing where there is no such folder."""
        _, target = _split(folder)
        try:
            found = self._asked("list", folder, lambda client: client.names(target))
        except _AbsentError:
            return Listing([], [])
        kinds = {each.name: each.attributes.type for each in found if each.name not in (".", "..")}
        return Listing(
            [name for name, kind in kinds.items() if kind in (protocol.REGULAR, None)],
            [name for name, kind in kinds.items() if kind == protocol.FOLDER],
        )

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        return self._at(path) is not None

    def remove(self, path: str) -> None:
        """Remove a file; do nothing where there is none."""
        self._remove(path, _split(path)[1])

    def _reader(self, path: str) -> Fetch:
        """What reads ranges; the file is opened for each, so that no handle is kept."""
        _, target = _split(path)

        def get(client: Client, start: int, size: int) -> Range:
            with client.opened(target, protocol.READING) as handle:
                found = client.of_handle(handle)
                data = client.read(handle, start, min(size, max(0, found.size - start)))
            TRAFFIC.received += len(data)
            return Range(data, found.size, str(found.changed))

        return lambda start, size: self._asked("read", path, lambda client: get(client, start, size))

    @contextmanager
    def _written(self, path: str, hidden: str, *, lasting: bool) -> Iterator[BinaryIO]:
        try:
            client = self._client(path)
            with client.opened(hidden, protocol.WRITING) as handle:
                upload = _Upload(client, handle, path)
                yield cast("BinaryIO", upload)
                upload.finish()
                if lasting and FSYNC in client.extensions:
                    client.extended(FSYNC, handle)
        except (StatusError, LostError) as error:
            raise _said("write", path, error) from error

    def _claim(self, path: str, target: str, data: bytes) -> bool:
        hidden = _hidden(target)
        try:
            with self._written(path, hidden, lasting=True) as stream:
                stream.write(data)
            return self._renamed(path, hidden, target, replace=False, content=data)
        finally:
            with suppress(HecliError):
                self._remove(path, hidden)

    def _renamed(
        self, path: str, hidden: str, target: str, *, replace: bool, content: bytes | None = None
    ) -> bool:
        """Give a file its name; False where another has it.

        A plain rename fails where something is (section 6.5), and says no more
        than that it failed. Where the answer was lost, it is there if what it
        was named before is gone.
        """

        def rename(client: Client) -> bool:
            try:
                if replace and REPLACE in client.extensions:
                    client.extended(REPLACE, string(hidden) + string(target))
                    return True
                if replace and client.stat(target, follow=False) is not None:
                    return self._exchanged(client, hidden, target)
                client.ask(protocol.RENAME, string(hidden) + string(target))
            except StatusError as error:
                if (
                    client.stat(hidden, follow=False) is None
                    and client.stat(target, follow=False) is not None
                ):
                    # It was done before, and the answer lost; unless somebody removed both.
                    return True
                if error.status != protocol.DENIED and client.stat(target, follow=False) is not None:
                    return False
                raise
            return True

        done = self._asked("write", path, rename)
        if not done and content is not None:
            # A server may link and then fail to unlink.
            found = self._asked("read", path, lambda client: self._content(client, target, len(content)))
            return found == content
        return done

    def _exchanged(self, client: Client, hidden: str, target: str) -> bool:
        """Put a file in the place of another, which is set aside until it is there."""
        aside = _hidden(target)
        client.ask(protocol.RENAME, string(target) + string(aside))
        try:
            client.ask(protocol.RENAME, string(hidden) + string(target))
        except StatusError:
            client.ask(protocol.RENAME, string(aside) + string(target))
            raise
        client.ask(protocol.REMOVE, string(aside))
        return True

    def _content(self, client: Client, target: str, size: int) -> bytes:
        with client.opened(target, protocol.READING) as handle:
            return client.read(handle, 0, min(size + 1, client.of_handle(handle).size))

    def _remove(self, path: str, target: str) -> None:
        with suppress(_AbsentError):
            self._asked("remove", path, lambda client: client.ask(protocol.REMOVE, string(target)))

    def _make_folder(self, path: str) -> None:
        """Make the folder of a file where its own is there and it is not."""
        _, folder = _split(folder_of(path) + "/")

        def make(client: Client) -> None:
            if folder and client.stat(folder) is None:
                with suppress(StatusError):
                    client.ask(protocol.MKDIR, string(folder) + struct.pack(">I", 0))

        self._asked("write", path, make)

    def confined(self, root: str) -> Store:
        """Give the Store of a folder that others write to, who may put links there."""
        return Below(self, root, lambda path: self._refuse_links(root, path))

    def _refuse_links(self, root: str, path: str) -> None:
        """Refuse a path through a link, which would lead to what is not in the folder."""
        at = root
        for part in PurePosixPath(path).parts:
            at = joined(at, part)
            found = self._at(at, follow=False)
            if found is None:
                return
            if found.type not in (protocol.FOLDER, protocol.REGULAR, None):
                raise FormatError(
                    f"{named(at)}: is a link or no file, and nothing in a shared folder is such",
                    "whoever can write to the folder put it there: remove it",
                )

    def _at(self, path: str, *, follow: bool = True) -> protocol.Attributes | None:
        """What is at a path; None where nothing is."""
        _, target = _split(path)
        return self._asked("look for", path, lambda client: client.stat(target, follow=follow))

    def _check_honest(self, path: str) -> None:
        """Refuse, once, a folder of a server whose plain rename takes the place of a file."""
        folder = folder_of(path)
        if folder not in self._honest:
            target = _split(joined(folder, f".probe-{secrets.token_hex(16)}"))[1]
            probe = joined(folder, target.rpartition("/")[2])
            try:
                check_claims(folder, lambda data: self._claim(probe, target, data))
            finally:
                with suppress(HecliError):
                    self._remove(probe, target)
            self._honest.add(folder)

    def _asked(self, verb: str, path: str, ask: Callable[[Client], R]) -> R:
        """What the server gives; asked for again where the connection was lost."""
        for attempt in range(TRIES):
            try:
                return ask(self._client(path))
            except LostError as error:
                if attempt == TRIES - 1:
                    raise _said(verb, path, error) from error
                time.sleep(PAUSE)
            except StatusError as error:
                raise _said(verb, path, error) from error
        raise AssertionError

    def _client(self, path: str) -> Client:
        place, _ = place_of(path)
        # One at a time: servers turn away whoever comes many times at once.
        with self._connecting:
            client = self._clients.get(place)
            if client is None or client.lost:
                if client is not None:
                    client.close()
                user, _, where = place.rpartition("@")
                host, _, port = where.partition(":")
                named_so = host and not host.startswith("-") and not user.startswith("-")
                if not named_so or (port and not port.isdecimal()):
                    raise HecliError(
                        f"{named(path)} names no host", "write it as sftp://user@host/folder/file"
                    )
                client = self._clients[place] = Client(host, user or None, int(port) if port else None)
            return client


class _AbsentError(HecliError):
    """There is no such file."""


class _Upload(io.RawIOBase):
    """A file on its way: as many packets at once as a pipeline holds."""

    def __init__(self, client: Client, handle: bytes, path: str) -> None:
        self._client, self._handle, self._path = client, handle, path
        self._buffer, self._at = bytearray(), 0
        self.name = named(path)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Take all of `data`; raises HecliError where it cannot be sent."""
        view = memoryview(data).cast("B")
        self._buffer += view
        while len(self._buffer) >= PIECE:
            self._send(bytes(self._buffer[:PIECE]))
            del self._buffer[:PIECE]
        return len(view)

    def finish(self) -> None:
        """Send what is left."""
        self._send(bytes(self._buffer))

    def _send(self, data: bytes) -> None:
        blocks = (
            self._handle + struct.pack(">Q", self._at + at) + string(data[at : at + BLOCK])
            for at in range(0, len(data), BLOCK)
        )
        try:
            for _ in self._client.pipelined(protocol.WRITE, blocks):
                pass
        except (StatusError, LostError) as error:
            raise _said("write", self._path, error) from error
        self._at += len(data)
        TRAFFIC.sent += len(data)


def _split(path: str) -> tuple[str, str]:
    place, path = place_of(path)
    # The server begins where the user's own folder is.
    return place, path[2:] or "." if path.startswith("~/") or path == "~" else f"/{path}".rstrip("/") or "/"


def _hidden(target: str) -> str:
    folder, slash, name = target.rpartition("/")
    return f"{folder}{slash}.{name[:100]}.{secrets.token_hex(8)}.tmp"


def _said(verb: str, path: str, error: StatusError | LostError) -> HecliError:
    """The server's word in those of hecli."""
    what = f"cannot {verb} {named(path)}"
    if isinstance(error, LostError):
        return UnreachableError(f"{what}: the connection was lost", "try again")
    match error.status:
        case protocol.NO_SUCH_FILE:
            return _AbsentError(
                f"{what}: no such file or folder", "check its path; of folders only the last one is made"
            )
        case protocol.DENIED:
            return HecliError(f"{what}: permission denied", "ask whoever keeps the server")
        case _:
            return HecliError(f"{what}: the server refuses it, and does not say why", "is its disk full?")
