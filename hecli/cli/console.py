"""What the terminal shows: the one module that decides it, and the only one that knows rich.

Results go to standard output when asked for. Notes, warnings and progress go
to standard error, progress only when that is a terminal.
"""

import json
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import click

from hecli.formats.text import count_bytes, visible
from hecli.storage.traffic import TRAFFIC

LINE_LIMIT = 1000
"""Most characters of an error or a hint: a file may bring in any number."""

NARROWEST = 20
PIPED_TABLE = 120
"""Columns of a table that goes to a file or a pipe."""

LEAST_CELL = 8
"""Columns that a cell of a list is not cut below."""

_HEAD = re.compile(r" *(?:(?:error|hint|warning|note): |\S+(?: \S+)* {2,})?")
"""What stands before the text of a line: blanks, and a word with a colon or a title with two blanks."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Console:
    """How much a command says, and in which form."""

    quiet: bool
    json: bool

    def note(self, text: str) -> None:
        """A line for people, unless they asked for quiet or for JSON."""
        if not self.quiet and not self.json:
            say(text, err=True)

    def warn(self, text: str) -> None:
        """A warning, unless they asked for quiet."""
        if not self.quiet:
            # One line: a file's name may hold the end of one.
            say(f"warning: {shown(text)}", err=True)

    def summary(self, found: dict[str, Any], text: str, *, to_stdout: bool = True) -> None:
        """What was done: a line for people, or JSON for scripts.

        JSON goes to standard error where standard output carries the data.
        """
        if self.json:
            click.echo(json.dumps(found), err=not to_stdout)
        else:
            self.note(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """A bar to be told (done, total) ciphertexts, on a terminal; else nothing."""
        if self.quiet or self.json or sys.stderr is None or not sys.stderr.isatty():
            yield lambda _done, _total: None
            return
        # Rich takes long to import, and most runs have no terminal.
        from rich.console import Console as RichConsole  # noqa: PLC0415
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn  # noqa: PLC0415
        from rich.progress import TaskProgressColumn as Percent  # noqa: PLC0415
        from rich.progress import TimeRemainingColumn as Remaining  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        class Moved(ProgressColumn):
            """What was moved, which goes on when all ciphertexts are done."""

            def render(self, task: Any) -> Text:
                del task
                return Text(_moved())

        columns = (TextColumn("{task.description}"), BarColumn(), Percent(), Remaining(), Moved())
        bar = Progress(*columns, console=RichConsole(stderr=True), transient=True)
        task = bar.add_task(what, total=None)

        def update(done: int, total: int) -> None:
            # Started late: it has a thread of its own, and workers are forked before the first result.
            bar.start()
            bar.update(task, completed=done, total=total)

        try:
            yield update
        finally:
            bar.stop()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A sign of life on a terminal, for what nobody knows the length of."""
        if self.quiet or self.json or sys.stderr is None or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console as RichConsole  # noqa: PLC0415

        with RichConsole(stderr=True).status(what):
            yield

    @contextmanager
    def live(self) -> Iterator[Callable[[str], None]]:
        """A line that changes on a terminal, under those that stay; elsewhere each text is a line, once."""
        if self.quiet or self.json or sys.stderr is None:
            yield lambda _text: None
            return
        if not sys.stderr.isatty():
            yield _Changes()
            return
        from rich.console import Console as RichConsole  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        with RichConsole(stderr=True).status("") as status:
            yield lambda text: status.update(Text(shown(text)))


def _moved() -> str:
    """The bytes that came from and went to storage that is far away, as far as there are any."""
    moved = ((TRAFFIC.received, "read"), (TRAFFIC.sent, "sent"))
    return ", ".join(f"{count_bytes(size)} {what}" for size, what in moved if size)


class _Changes:
    """Say a text when it is another than before, but for how long it has been so."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        what = text.partition(" (")[0]
        if what != self._last:
            self._last = what
            say(text, err=True)


def say(text: str, *, err: bool = False) -> None:
    """Print lines that steer no terminal and break where it ends.

    A line goes on under its text: behind "error: " and the like, or behind a
    title and two blanks or more.

    Args:
        text: One line or more.
        err: Whether it goes to standard error.
    """
    columns = _columns(sys.stderr if err else sys.stdout)
    for line in printable(text).split("\n"):
        for piece in [line] if columns is None else _wrapped(line, columns):
            click.echo(piece, err=err)


def show_error(message: str, hint: str | None = None) -> None:
    """Say what is wrong, and what to do about it, on standard error.

    Args:
        message: What is wrong.
        hint: What to do about it.
    """
    say(f"error: {_one_line(message)}", err=True)
    if hint:
        say(f"hint: {_one_line(hint)}", err=True)


def printable(text: str) -> str:
    """Write out everything in a text that could steer a terminal; lines stay lines.

    Args:
        text: The text.
    """
    return "\n".join(shown(line) for line in text.split("\n"))


def shown(name: str) -> str:
    """Write out everything in a name that a reader would not see, ends of lines too.

    Args:
        name: A file's, or one that a file brings.
    """
    return visible(name)


def _one_line(text: str) -> str:
    text = shown(text)
    return text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} ..."


def _columns(stream: TextIO | None) -> int | None:
    """How many columns lines may have; None where they may be as long as they are."""
    if "COLUMNS" not in os.environ and (stream is None or not stream.isatty()):
        return None
    return max(NARROWEST, shutil.get_terminal_size().columns)


def _wrapped(line: str, columns: int) -> list[str]:
    """A line as lines that fit."""
    head = _HEAD.match(line)
    indent = head.end() if head else 0
    if indent > columns // 2:
        indent = len(line) - len(line.lstrip(" "))
    # A wide character takes two columns: count one more before it, of one that no text has any more.
    wide = "".join(f"\0{each}" if unicodedata.east_asian_width(each) in "WF" else each for each in line)
    pieces = textwrap.wrap(
        wide, columns, subsequent_indent=" " * min(indent, columns // 2), break_on_hyphens=False
    )
    return [piece.replace("\0", "") for piece in pieces] or [""]


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output.

    Args:
        columns: What stands above them.
        rows: What stands in them.
    """
    from rich.console import Console as RichConsole  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_edge=False, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    RichConsole(width=_columns(sys.stdout) or PIPED_TABLE).print(table)


def show_list(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, dropped: str, cut: Collection[str]
) -> None:
    """Print columns on standard output, and each row as one line that fits the terminal.

    Args:
        columns: What stands above them.
        rows: What stands in them; a row of one cell goes across all of them.
        dropped: The column that is left out where they do not fit.
        cut: The columns that are shortened in the middle where they still do not.
    """
    room = _columns(sys.stdout) or PIPED_TABLE
    lines = [list(columns), *([shown(cell) for cell in row] for row in rows)]
    full = [line for line in lines if len(line) > 1]
    sizes = {name: max(_width(line[at]) for line in full) for at, name in enumerate(columns)}
    if sum(sizes.values()) + 2 * len(sizes) - 2 > room:
        sizes[dropped] = 0
    shown_columns = [(at, name) for at, name in enumerate(columns) if sizes[name]]
    while sum(sizes.values()) + 2 * len(shown_columns) - 2 > room:
        widest = max(cut, key=lambda name: sizes[name])
        if sizes[widest] <= LEAST_CELL:
            break
        sizes[widest] -= 1
    indent = " " * (sizes[columns[0]] + 2)
    for line in lines:
        if len(line) == 1:
            click.echo(indent + _cut(line[0], room - len(indent)))
            continue
        cells = [_cut(line[at], sizes[name]) for at, name in shown_columns]
        padded = [
            cell + " " * (sizes[name] - _width(cell))
            for cell, (_, name) in zip(cells, shown_columns, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def _cut(text: str, columns: int) -> str:
    """A text without its middle where it takes more columns."""
    if _width(text) <= columns:
        return text
    start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while _width(start) + _width(end) + 2 > columns and (start or end):
        if _width(start) > _width(end):
            start = start[:-1]
        else:
            end = end[1:]
    return f"{start}..{end}"
