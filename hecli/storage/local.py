"""Files of this machine: written whole or not at all, and never over another."""

import errno
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from hecli.errors import HecliError, PipelineError, RefusedError
from hecli.storage.ranges import FRONT, Range, RangeStream
from hecli.storage.spool import spooled
from hecli.storage.store import Listing, Store


class LocalStore:
    """The Store of this machine's folders.

    Args:
        devices: Whether to write into a device or a named pipe that is there, as a shell does.
    """

    def __init__(self, *, devices: bool = True) -> None:
        self._devices = devices

    @contextmanager
    def open(self, path: str, *, many: bool = False) -> Iterator[BinaryIO]:
        """Open a file to be read; a pipe is read whole first, to be seekable."""
        if many and os.path.isfile(path):
            yield reopened(path, lambda: open_unspooled(path))
            return
        with open_unspooled(path) as stream:
            if stream.seekable():
                yield stream
            else:
                with spooled(stream) as spool:
                    yield spool

    @contextmanager
    def create(
        self, path: str, *, replace: bool = False, secret: bool = False, lasting: bool = True
    ) -> Iterator[BinaryIO]:
        """Open a new file to be written, which appears whole when the block ends well."""
        check_output(path, force=replace, secret=secret)
        if self._devices and os.path.exists(path) and not os.path.isfile(path):
            with _device(path) as descriptor:
                yield Sink(descriptor, path).stream
            return
        target = Path(path)
        hidden = _hidden(target)
        with _unpublished(target, hidden, 0o600 if secret else 0o666) as descriptor:
            yield Sink(descriptor, path).stream
            try:
                if lasting:
                    os.fsync(descriptor)
                _publish(descriptor, hidden, target, replace=replace)
            except OSError as error:
                raise cannot("write", path, error) from error
        if lasting:
            _sync_folder(target.parent)

    def claim(self, path: str, data: bytes) -> bool:
        """Make a small file that only one of many can make, and its folder where there is none.

        On file systems without links it does not appear whole: a reader may
        meet it half-written.
        """
        target = Path(path)
        hidden = _hidden(target)
        try:
            target.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot("write", str(target.parent), error) from error
        with _unpublished(target, hidden, 0o666) as descriptor:
            Sink(descriptor, path).write(data)
            try:
                os.fsync(descriptor)
                _link(descriptor, hidden, target)
            except FileExistsError:
                return False
            except OSError as error:
                if not hidden.exists():
                    raise cannot("write", path, error) from error
                if not _make_in_place(target, data):
                    return False
        _sync_folder(target.parent)
        return True

    def list(self, folder: str) -> Sequence[str]:
        """Give the names of the files in a folder; none where there is no such folder."""
        try:
            found = [entry.name for entry in os.scandir(folder) if entry.is_file()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise cannot("read", folder, error) from error
        # A hidden file is one that is still being written.
        return [name for name in found if not name.startswith(".")]

    def listing(self, folder: str) -> Listing:
        """Give what is in a folder, but for links; nothing where there is no such folder."""
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return Listing([], [])
        except OSError as error:
            raise cannot("read", folder, error) from error
        return Listing(
            [each.name for each in entries if each.is_file(follow_symlinks=False)],
            [each.name for each in entries if each.is_dir(follow_symlinks=False)],
        )

    def exists(self, path: str) -> bool:
        """Tell whether there is a file."""
        return os.path.isfile(path)

    def remove(self, path: str) -> None:
        """Remove a file; do nothing where there is none."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
        except OSError as error:
            raise cannot("remove", path, error) from error


LOCAL: Store = LocalStore()
"""That of one's own folders."""

FILES_ONLY: Store = LocalStore(devices=False)
"""That of folders in which others could put a pipe at any moment."""


def open_unspooled(path: str) -> io.BufferedReader:
    """Open a file or a pipe to be read as it comes.

    Args:
        path: Where it is.

    Returns:
        A stream, seekable only where the file is; the caller closes it.

    Raises:
        HecliError: It cannot be read.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise cannot("read", path, error) from error


def beside_the_end(path: str, suffix: str) -> str:
    """Say where what belongs to a file is: beside the file itself, or where a link there leads.

    Args:
        path: The path of the file, or of a link to it.
        suffix: What the other's name has behind the file's, without the dot.

    Returns:
        The path of the other, which may not be there.
    """
    return at_the_end(f"{at_the_end(path)}.{suffix}")


def at_the_end(path: str) -> str:
    """Say where a link leads, so that what replaces the file does not take the place of the link.

    Args:
        path: A path.

    Returns:
        The path of the file itself.
    """
    return os.path.realpath(path) if Path(path).is_symlink() else path


def check_output(path: str, *, force: bool, secret: bool = False, hint: str | None = None) -> None:
    """Refuse early, before any work, what could not be written at the end.

    Args:
        path: Where the output is to be.
        force: Whether it may take the place of another file.
        secret: Whether it is for its owner only.
        hint: What to do about a file that exists.

    Raises:
        HecliError: A folder is there.
        RefusedError: A file is there, or what no secret may go to.
    """
    if os.path.isdir(path):
        raise HecliError(f"cannot write {path}: it is a folder", "name a file with -o")
    if secret and os.path.exists(path) and not os.path.isfile(path):
        # Whoever planted a named pipe there would read it.
        raise RefusedError(
            f"{path} is not a regular file, and a secret is written to no other",
            "find out who made it and remove it, or name another file with -o",
        )
    if os.path.lexists(path) and not force and (not os.path.exists(path) or os.path.isfile(path)):
        raise _taken(path, hint)


def reopened(name: str, reopen: Callable[[], AbstractContextManager[BinaryIO]]) -> BinaryIO:
    """Read a file that is opened for each read, so that any number can be read side by side.

    Args:
        name: What errors call it.
        reopen: Opens it, unbuffered or not, and raises HecliError.

    Returns:
        A seekable stream that keeps nothing open.
    """

    def fetch(at: int, size: int) -> Range:
        with reopen() as stream:
            found = os.fstat(stream.fileno())
            stream.seek(at)
            return Range(stream.read(size), found.st_size, f"{found.st_ino} {found.st_mtime_ns}")

    return RangeStream(fetch(0, FRONT), fetch, name, ahead=False).stream


class Sink(io.RawIOBase):
    """Writes all it is given to a descriptor, and says by name where it could not.

    Args:
        descriptor: Where it writes.
        name: What errors call it.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name

    @property
    def stream(self) -> BinaryIO:
        """This, as what it is used as."""
        return cast("BinaryIO", self)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Write all of `data`; raises HecliError."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = len(view)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                raise cannot("write", self.name, error) from error
        return size


def cannot(verb: str, path: str, error: OSError) -> HecliError:
    """Put the system's error into words, with what to do about it.

    Args:
        verb: What was tried, such as "read".
        path: On which file.
        error: What came of it.

    Returns:
        The error, to be raised.
    """
    if error.errno == errno.EPIPE:
        return PipelineError(f"cannot {verb} {path}: whoever read it went away")
    reasons = {
        errno.ENOENT: ("no such file or folder", "check the path; folders are not made"),
        errno.EACCES: ("permission denied", "check its owner and mode"),
        errno.EISDIR: ("it is a folder", "name a file in it"),
        errno.ENOSPC: ("the disk is full", "make room and run it again"),
        errno.EMFILE: ("too many open files", "raise it with ulimit -n, or aggregate in groups"),
    }
    reason, hint = reasons.get(error.errno or 0, ((error.strerror or str(error)).lower(), None))
    return HecliError(f"cannot {verb} {path}: {reason}", hint)


@contextmanager
def _device(path: str) -> Iterator[int]:
    """A descriptor of a device or a named pipe, which cannot be replaced, only written to."""
    try:
        # Neither made nor emptied: it may have become a file since it was looked at.
        descriptor = os.open(path, os.O_WRONLY)
    except OSError as error:
        raise cannot("write", path, error) from error
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _taken(path)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _unpublished(target: Path, hidden: Path, mode: int) -> Iterator[int]:
    """A descriptor of a new file in the target's folder, without a name or named `hidden`.

    Whatever happens, nothing named `hidden` is left.
    """
    try:
        try:
            descriptor = _open_unnamed(target.parent, mode)
            if descriptor is None:
                descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise cannot("write", str(target), error) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        with suppress(OSError):
            os.unlink(hidden)


def _open_unnamed(folder: Path, mode: int) -> int | None:
    """A file without a name, of which nothing is ever left; None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, mode)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return None
        raise


def _publish(descriptor: int, hidden: Path, target: Path, *, replace: bool) -> None:
    """Give the finished file its name, all at once."""
    named = hidden.exists()
    if replace:
        if not named:
            # A link cannot replace, a rename can: link beside it first.
            _link_unnamed(descriptor, hidden)
        os.replace(hidden, target)
        return
    try:
        _link(descriptor, hidden, target)
    except FileExistsError as error:
        raise _taken(str(target)) from error
    except OSError:
        # File systems of USB sticks have no links; they have no unnamed files either.
        if not named:
            raise
        if os.path.lexists(target):
            raise _taken(str(target)) from None
        os.rename(hidden, target)


def _sync_folder(folder: Path) -> None:
    """Make the file's name as durable as its content."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        # A folder that may be written to but not read, or a system where folders are not opened.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system knows this of a folder.
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP):
            raise cannot("write", str(folder), error) from error
    finally:
        os.close(descriptor)


def _link(descriptor: int, hidden: Path, target: Path) -> None:
    """Give the finished file its name; raises FileExistsError where something has it."""
    if hidden.exists():
        os.link(hidden, target)
    else:
        _link_unnamed(descriptor, target)


def _make_in_place(target: Path, data: bytes) -> bool:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot("write", str(target), error) from error
    try:
        Sink(descriptor, str(target)).write(data)
        os.fsync(descriptor)
    except BaseException:
        os.unlink(target)
        raise
    finally:
        os.close(descriptor)
    return True


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")


def _link_unnamed(descriptor: int, path: Path) -> None:
    # Only with a folder's descriptor does Python follow the link that /proc shows; for an
    # absolute path the system ignores which.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _taken(path: str, hint: str | None = None) -> RefusedError:
    return RefusedError(f"{path} exists", hint or "name another file with -o, or pass --force to replace it")
