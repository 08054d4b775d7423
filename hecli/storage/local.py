"""Files as commands meet them: found, opened, and written whole or not at all."""

import errno
import io
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.envelope import HEADER_LIMIT
from hecli.ledger.chain import SUFFIX

STANDARD = "-"
ENTRY_LIMIT = HEADER_LIMIT + 1024
"""Most bytes of an entry of a ledger."""
SPOOL_MEMORY = 8 << 20
"""Bytes of standard input kept in memory; more goes to an unnamed temporary file."""


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """A seekable stream of the file at `path`, or of all of standard input.

    Raises HecliError where it cannot be opened.
    """
    if path == STANDARD:
        if sys.stdin is None:
            raise HecliError("standard input is closed", "pipe a file into it, or name one")
        if sys.stdin.isatty():
            raise HecliError("standard input is a terminal", "pipe a file into it, or name one")
        with _spooled(sys.stdin.buffer) as stream:
            yield stream
        return
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise _cannot("read", path, error) from error
    with stream:
        if stream.seekable():
            yield stream
        else:
            with _spooled(stream) as spooled:
                yield spooled


@contextmanager
def open_output(path: str, *, force: bool = False, secret: bool = False) -> Iterator[BinaryIO]:
    """A stream for the file at `path`, which appears whole when the block ends well.

    Until then nothing is at `path`, and after a failure nothing is left. An
    existing file is replaced only where `force`; `secret` files are 0600.
    """
    if path == STANDARD:
        if sys.stdout is None:
            raise HecliError("standard output is closed", "name a file with -o")
        if sys.stdout.isatty():
            raise RefusedError("binary data does not go to a terminal", "name a file with -o, or pipe it on")
        sys.stdout.flush()
        yield _Sink(sys.stdout.fileno(), "standard output").stream
        return
    check_output(path, force=force)
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        # A device or a named pipe cannot be replaced, only written to.
        with open(path, "wb", buffering=0) as device:
            yield _Sink(device.fileno(), path).stream
        return
    target = Path(path)
    hidden = _hidden(target)
    with _unpublished(target, hidden, 0o600 if secret else 0o666) as descriptor:
        yield _Sink(descriptor, path).stream
        try:
            os.fsync(descriptor)
            _publish(descriptor, hidden, target, force=force)
        except OSError as error:
            raise _cannot("write", path, error) from error


def check_output(path: str, *, force: bool, hint: str | None = None) -> None:
    """Refuse early, before any work, what could not be written at the end.

    `hint` says what to do about a file that exists.
    """
    if path == STANDARD:
        return
    if os.path.isdir(path):
        raise HecliError(f"cannot write {path}: it is a folder", "name a file with -o")
    if os.path.lexists(path) and not force and (not os.path.exists(path) or os.path.isfile(path)):
        raise _exists(path, hint)


def default_output(path: str, suffix: str) -> str:
    """Where output goes when -o is not given: beside the input, or where the input came from."""
    if path == STANDARD:
        return path
    source = beside(path)
    output = str(source.with_name(source.stem + suffix))
    if output == str(Path(path)):
        raise RefusedError(f"{path} would be written over itself", "name the output with -o")
    return output


def beside(path: str) -> Path:
    """The path of an input beside which to write; raises HecliError for what can be no file's name."""
    if not Path(path).name:
        raise HecliError(f"cannot read {path!r}: it is not a file", "name a file, or - for standard input")
    return Path(path)


def size_of(path: str, otherwise: int) -> int:
    """Bytes of an output, or what is known of it where it went to standard output."""
    return otherwise if path == STANDARD else Path(path).stat().st_size


def label(path: str) -> str:
    """How a summary names an output."""
    return "standard output" if path == STANDARD else path


def allow_open_files(count: int) -> None:
    """Let this process have `count` inputs open at once, as far as the system allows."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    spare = 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + spare if hard == resource.RLIM_INFINITY else min(count + spare, hard)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def warn_if_readable(path: str) -> str | None:
    """A warning where others may read a private key."""
    if path != STANDARD and os.name == "posix" and os.stat(path).st_mode & 0o077:
        return f"{path} can be read by others: chmod 600 {path}"
    return None


class Folder:
    """A folder of a ledger's entries: the Store of hecli.ledger."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def names(self) -> list[str]:
        """The names of all entries there; none where there is no such folder."""
        try:
            found = [path.name for path in self._path.iterdir() if path.is_file()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot("read", str(self._path), error) from error
        # A hidden file is an entry that is still being written.
        return [name for name in found if name.endswith(SUFFIX) and not name.startswith(".")]

    def read(self, name: str) -> bytes:
        """An entry's bytes; raises HecliError."""
        with open_input(str(self._path / name)) as stream:
            data = stream.read(ENTRY_LIMIT + 1)
        if len(data) > ENTRY_LIMIT:
            raise FormatError(f"{name}: is too large for an entry")
        return data

    def create(self, name: str, data: bytes) -> bool:
        """Publish an entry under a name that nobody has taken; False where somebody has."""
        return _create(self._path / name, data)

    def make(self) -> None:
        """Make the folder, where it is not there."""
        try:
            self._path.mkdir(exist_ok=True)
        except OSError as error:
            raise _cannot("write", str(self._path), error) from error


def _create(target: Path, data: bytes) -> bool:
    """Make a file that only one of many can make, whole; False where it is there already.

    On file systems without links it does not appear whole: a reader may meet
    it half-written.
    """
    hidden = _hidden(target)
    with _unpublished(target, hidden, 0o666) as descriptor:
        _Sink(descriptor, str(target)).write(data)
        try:
            os.fsync(descriptor)
            _link(descriptor, hidden, target)
        except FileExistsError:
            return False
        except OSError as error:
            if not hidden.exists():
                raise _cannot("write", str(target), error) from error
            return _create_in_place(target, data)
    return True


class _Sink(io.RawIOBase):
    """Writes all it is given to a descriptor, and says by name where it could not."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name

    @property
    def stream(self) -> BinaryIO:
        return cast("BinaryIO", self)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        size = len(view)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                raise _cannot("write", self.name, error) from error
        return size


@contextmanager
def _spooled(source: BinaryIO) -> Iterator[BinaryIO]:
    """All of `source` in a seekable stream: in memory while short, else in an unnamed file."""
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY) as spool:
        try:
            shutil.copyfileobj(source, spool, 1 << 20)
            spool.seek(0)
        except OSError as error:
            raise HecliError(
                f"cannot keep standard input: {(error.strerror or str(error)).lower()}",
                "set TMPDIR to a folder with room, or name a file instead of -",
            ) from error
        yield cast("BinaryIO", spool)


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
            raise _cannot("write", str(target), error) from error
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


def _publish(descriptor: int, hidden: Path, target: Path, *, force: bool) -> None:
    """Give the finished file its name, all at once."""
    named = hidden.exists()
    if force:
        if not named:
            # A link cannot replace, a rename can: link beside it first.
            _link_unnamed(descriptor, hidden)
        os.replace(hidden, target)
        return
    try:
        _link(descriptor, hidden, target)
    except FileExistsError as error:
        raise _exists(str(target)) from error
    except OSError:
        # File systems of USB sticks have no links; they have no unnamed files either.
        if not named:
            raise
        if os.path.lexists(target):
            raise _exists(str(target)) from None
        os.rename(hidden, target)


def _link(descriptor: int, hidden: Path, target: Path) -> None:
    """Give the finished file its name; raises FileExistsError where something has it."""
    if hidden.exists():
        os.link(hidden, target)
    else:
        _link_unnamed(descriptor, target)


def _create_in_place(target: Path, data: bytes) -> bool:
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        raise _cannot("write", str(target), error) from error
    try:
        _Sink(descriptor, str(target)).write(data)
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


def _exists(path: str, hint: str | None = None) -> RefusedError:
    return RefusedError(f"{path} exists", hint or "name another file with -o, or pass --force to replace it")


def _cannot(verb: str, path: str, error: OSError) -> HecliError:
    reasons = {
        errno.ENOENT: ("no such file or folder", "check the path; folders are not made"),
        errno.EACCES: ("permission denied", "check its owner and mode"),
        errno.EISDIR: ("it is a folder", "name a file in it"),
        errno.ENOSPC: ("the disk is full", "make room and run it again"),
        errno.EPIPE: ("whoever read it went away", None),
        errno.EMFILE: ("too many open files", "raise it with ulimit -n, or aggregate in groups"),
    }
    reason, hint = reasons.get(error.errno or 0, ((error.strerror or str(error)).lower(), None))
    return HecliError(f"cannot {verb} {path}: {reason}", hint)
