"""The member's own commands: one that trains, and one that checks a model."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hecli.errors import HecliError
from hecli.formats.text import duration

GRACE = 5.0
"""Seconds that a command which is told to end may take for it."""

TAIL = 3
"""Lines of a failed command's output that an error shows."""


class Ended(NamedTuple):
    """How a command ended.

    Args:
        status: Its exit status, negative for a signal; None where its time was up.
        limit: The seconds it could take.
        tail: The last lines of its output.
    """

    status: int | None
    limit: float | None
    tail: str

    @property
    def how(self) -> str:
        """Say how it ended, and nothing of what it printed."""
        if self.status is None:
            return f"took longer than the {duration(self.limit or 0)} that it may"
        return (
            f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        )

    @property
    def said(self) -> str:
        """Say what went wrong, with the last it printed."""
        return f"{self.how}{f' ({self.tail})' if self.tail else ''}"


def words_of(command: str) -> list[str]:
    """Take a command apart, and find its files from where hecli was started.

    A word that names a file or folder there is made a whole path, for the
    command runs in a folder of its own.

    Args:
        command: The command, as typed.

    Returns:
        Its words.

    Raises:
        HecliError: It cannot be taken apart, or there is nothing in it.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise HecliError(
            f"{command[:80]!r} is no command: {str(error).lower()}", "check its quotes"
        ) from error
    if not words:
        raise HecliError("the command is empty", "give the command that trains, such as ./train.sh")
    first, *others = words
    # Without a slash a program is looked for where the shell looks.
    return [_found(first) if "/" in first else first, *(_found(each) for each in others)]


def run_command(
    words: Sequence[str], folder: Path, variables: Mapping[str, str], log: Path, limit: float | None
) -> Ended:
    """Run a command in a folder of its own, with its output in a log.

    Secrets in the environment are left out. When its time is up, or hecli is
    interrupted, it is ended with all that it started.

    Args:
        words: The command.
        folder: Where it runs.
        variables: What it is told.
        log: Where its output goes, behind what is there.
        limit: The seconds it may take.

    Returns:
        How it ended.

    Raises:
        HecliError: It cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if not _is_of_hecli(name)} | dict(
        variables
    )
    with open(log, "ab", opener=_for_its_owner) as output:
        start = output.tell()
        try:
            process = subprocess.Popen(  # noqa: S603 - the member's own command
                words,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise HecliError(
                f"cannot run {words[0]}: {(error.strerror or str(error)).lower()}",
                "check the path of the command, and that it may be run (chmod +x)",
            ) from error
        try:
            status: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
    return Ended(status, limit, _tail(log, start))


def _found(word: str) -> str:
    """A whole path, where a word names a file or folder here; else the word."""
    path = Path.cwd() / word
    try:
        # An empty word would be this folder itself.
        return str(path) if word and path.exists() else word
    except OSError:
        # A script given as a word may be longer than a name can be.
        return word


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_of_hecli(name: str) -> bool:
    return name.startswith("HECLI_")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(start, size - 2000))
        text = stream.read().decode(sys.getdefaultencoding(), "replace")
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-TAIL:])
