"""Files as commands name them: - is standard input or output, the rest is of this machine."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from hecli.cli.console import shown
from hecli.errors import FormatError, HecliError, PipelineError, RefusedError
from hecli.formats.kinds import RECORDS
from hecli.formats.reader import START_SIZE, is_own, open_reader
from hecli.storage import local
from hecli.storage.confined import Confined
from hecli.storage.local import LOCAL, Sink, cannot, open_unspooled
from hecli.storage.spool import spooled

STANDARD = "-"


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open an input, all of standard input where it is -.

    Args:
        path: What the command line names.

    Yields:
        A seekable stream.

    Raises:
        HecliError: It cannot be read.
    """
    if path == STANDARD:
        with spooled(_standard_input()) as stream:
            yield stream
        return
    with LOCAL.open(path) as stream:
        yield stream


@contextmanager
def open_stream(path: str) -> Iterator[io.BufferedReader]:
    """Open an input that is read once, from its start to its end, as it comes.

    Args:
        path: What the command line names.

    Yields:
        A stream that can peek, and can seek only where the file can.

    Raises:
        HecliError: It cannot be read.
    """
    if path == STANDARD:
        yield _standard_input()
        return
    with open_unspooled(path) as stream:
        yield stream


@contextmanager
def open_output(path: str, *, force: bool = False, secret: bool = False) -> Iterator[BinaryIO]:
    """Open an output, which appears whole when the block ends well, or standard output where it is -.

    Args:
        path: What the command line names.
        force: Whether it may take the place of another file.
        secret: Whether it is for its owner only.

    Yields:
        A stream to write to.

    Raises:
        HecliError: It cannot be written.
        RefusedError: A file is there, or what no secret may go to, or a terminal.
    """
    if path == STANDARD:
        if sys.stdout is None:
            raise HecliError("standard output is closed", "name a file with -o")
        if sys.stdout.isatty():
            raise RefusedError("binary data does not go to a terminal", "name a file with -o, or pipe it on")
        sys.stdout.flush()
        yield Sink(sys.stdout.fileno(), "standard output").stream
        return
    with LOCAL.create(path, replace=force, secret=secret) as stream:
        yield stream


def check_output(path: str, *, force: bool, secret: bool = False, hint: str | None = None) -> None:
    """Refuse early, before any work, what could not be written at the end.

    Args:
        path: What the command line names.
        force: Whether it may take the place of another file.
        secret: Whether it is for its owner only.
        hint: What to do about a file that exists.

    Raises:
        HecliError: A folder is there.
        RefusedError: A file is there, or what no secret may go to, or what nothing may take the place of.
    """
    if path != STANDARD:
        local.check_output(path, force=force, secret=secret, hint=hint)
        if force and Path(path).is_file():
            _spare(path)


def _spare(path: str) -> None:
    """Refuse to replace a file that says what was done, and that nobody could make again."""
    with LOCAL.open(path) as stream:
        try:
            kind = open_reader(stream).kind if is_own(stream.read(START_SIZE)) else ""
        except FormatError:
            # Damaged: nobody knows what it was.
            kind = ""
    if kind in RECORDS:
        raise RefusedError(f"{path} is a secret, or the record of its use", "name another file with -o")


def shared_folder(path: str) -> Confined:
    """Open the folder of a training.

    Args:
        path: What the command line names.

    Returns:
        The folder.

    Raises:
        HecliError: There is none.
    """
    if not Path(path).is_dir():
        raise HecliError(f"there is no folder {path}", "check its path")
    return Confined(path)


def default_output(path: str, suffix: str) -> str:
    """Choose where output goes without -o: beside the input, or where the input came from.

    Args:
        path: The input.
        suffix: That of the output, with its dot.

    Raises:
        RefusedError: The input itself has this suffix.
        HecliError: The input can be no file's name.
    """
    if path == STANDARD:
        return path
    source = beside(path)
    output = str(source.with_name(source.stem + suffix))
    if output == str(Path(path)):
        raise RefusedError(f"{path} would be written over itself", "name the output with -o")
    return output


def beside(path: str) -> Path:
    """Give the path of an input beside which to write.

    Args:
        path: The input.

    Raises:
        HecliError: It can be no file's name.
    """
    if not Path(path).name:
        raise HecliError(f"cannot read {path!r}: it is not a file", "name a file, or - for standard input")
    return Path(path)


def keep_apart(output: str, *others: str) -> None:
    """Refuse an output that would replace a secret or the record of its use, also where force is allowed.

    Args:
        output: What the command line names.
        others: What must stay.

    Raises:
        RefusedError: It is one of them.
    """
    for other in others:
        if output != STANDARD and os.path.realpath(output) == os.path.realpath(other):
            raise RefusedError(f"{output} is a secret, or the record of its use", "name another file with -o")


def size_of(path: str, otherwise: int) -> int:
    """Give the bytes of an output, or what is known of it where it went to standard output.

    Args:
        path: The output.
        otherwise: What is known of it.
    """
    return otherwise if path == STANDARD else Path(path).stat().st_size


def label(path: str) -> str:
    """Name an output as a summary does.

    Args:
        path: The output.
    """
    return "standard output" if path == STANDARD else shown(path)


def allow_open_files(count: int) -> None:
    """Let this process have many inputs open at once, as far as the system allows.

    Args:
        count: How many.
    """
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
    """Give a warning where others may read a private key.

    Args:
        path: The key file.
    """
    if path != STANDARD and os.name == "posix" and os.stat(path).st_mode & 0o077:
        return f"{path} can be read by others: chmod 600 {path}"
    return None


def _standard_input() -> io.BufferedReader:
    if sys.stdin is None:
        raise HecliError("standard input is closed", "pipe a file into it, or name one")
    if sys.stdin.isatty():
        raise HecliError("standard input is a terminal", "pipe a file into it, or name one")
    stream = cast("io.BufferedReader", sys.stdin.buffer)
    if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode) and not stream.peek(1):
        raise PipelineError("nothing came through the pipe")
    return stream


def paths_in(folder: str, without: str | None = None) -> Iterator[Path]:
    """Find all files in a folder and those in it, but for what is hidden, and links.

    Args:
        folder: The folder.
        without: A folder that is left out.

    Yields:
        Their paths.

    Raises:
        HecliError: A folder cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise cannot("read", folder, error) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False) and not (without and Path(entry.path).samefile(without)):
            yield from paths_in(entry.path, without)
