"""Files as commands name them: - is standard input or output, the rest are paths and URLs."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from hecli.cli.console import shown
from hecli.errors import FormatError, HecliError, PipelineError, RefusedError
from hecli.formats.kinds import RECORDS
from hecli.formats.reader import START_SIZE, is_own, open_reader
from hecli.storage import local
from hecli.storage.local import LOCAL, Sink, open_unspooled
from hecli.storage.paths import file_name, folder_of, joined, named, same_place, scheme_of, taken
from hecli.storage.places import ANYWHERE
from hecli.storage.spool import spooled
from hecli.storage.store import Store

STANDARD = "-"


@contextmanager
def open_input(path: str, *, many: bool = False) -> Iterator[BinaryIO]:
    """Open an input, all of standard input where it is -.

    Args:
        path: What the command line names.
        many: Whether it is one of many, of which nothing is kept open.

    Yields:
        A seekable stream.

    Raises:
        HecliError: It cannot be read.
    """
    if path == STANDARD:
        with spooled(_standard_input()) as stream:
            yield stream
        return
    with ANYWHERE.open(path, many=many) as stream:
        yield stream


@contextmanager
def open_stream(path: str) -> Iterator["io.BufferedReader[Any]"]:
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
    if scheme_of(path):
        with ANYWHERE.open(path) as far, io.BufferedReader(cast("io.RawIOBase", far)) as stream:
            yield stream
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
    with ANYWHERE.create(path, replace=force, secret=secret) as stream:
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
    if scheme_of(path):
        if not force and ANYWHERE.exists(path):
            raise taken(path, hint)
    elif path != STANDARD:
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


def shared_folder(path: str) -> Store:
    """Open the folder of a training, which others write to.

    Args:
        path: What the command line names.

    Returns:
        The folder.

    Raises:
        HecliError: There is none.
    """
    return ANYWHERE.confined(path)


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
    output = beside(path, f"{{}}{suffix}")
    if same_place(output, path):
        raise RefusedError(f"{named(path)} would be written over itself", "name the output with -o")
    return output


def beside(path: str, name: str) -> str:
    """Name a file beside an input.

    Args:
        path: The input.
        name: The other's name, with {} for that of the input without its suffix.

    Raises:
        HecliError: The input can be no file's name.
    """
    file = Path(file_name(path))
    if not file.name:
        raise HecliError(f"cannot read {path!r}: it is not a file", "name a file, or - for standard input")
    return joined(folder_of(path), name.replace("{}", file.stem))


def keep_apart(output: str, *others: str) -> None:
    """Refuse an output that would replace a secret or the record of its use, also where force is allowed.

    Args:
        output: What the command line names.
        others: What must stay.

    Raises:
        RefusedError: It is one of them.
    """
    for other in others:
        if output != STANDARD and same_place(output, other):
            raise RefusedError(f"{output} is a secret, or the record of its use", "name another file with -o")


def size_of(path: str, otherwise: int) -> int:
    """Give the bytes of an output, or what is known of it where it went to standard output.

    Args:
        path: The output.
        otherwise: What is known of it.
    """
    if path == STANDARD:
        return otherwise
    with ANYWHERE.open(path) as stream:
        return stream.seek(0, io.SEEK_END)


def label(path: str) -> str:
    """Name an output as a summary does.

    Args:
        path: The output.
    """
    return "standard output" if path == STANDARD else shown(named(path))


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
