"""What the terminal shows: the one module that decides it, and the only one that knows rich.

Results go to standard output when asked for. Notes, warnings and progress go
to standard error, progress only when that is a terminal.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

LINE_LIMIT = 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Console:
    """How much a command says, and in which form."""

    quiet: bool
    json: bool

    def note(self, text: str) -> None:
        """A line for people, unless they asked for quiet or for JSON."""
        if not self.quiet and not self.json:
            click.echo(printable(text), err=True)

    def warn(self, text: str) -> None:
        """A warning, unless they asked for quiet."""
        if not self.quiet:
            click.echo(printable(f"warning: {text}"), err=True)

    def summary(self, facts: dict[str, Any], text: str, *, to_stdout: bool = True) -> None:
        """What was done: a line for people, or JSON for scripts.

        JSON goes to standard error where standard output carries the data.
        """
        if self.json:
            click.echo(json.dumps(facts), err=not to_stdout)
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
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415
        from rich.progress import TimeRemainingColumn as Remaining  # noqa: PLC0415

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Remaining())
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


def show_error(message: str, hint: str | None = None) -> None:
    """What is wrong, and what to do about it."""
    click.echo(f"error: {_one_line(message)}", err=True)
    if hint:
        click.echo(f"hint: {_one_line(hint)}", err=True)


def printable(text: str) -> str:
    """`text` with everything that could steer a terminal written out; lines stay lines."""
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )


def _one_line(text: str) -> str:
    text = printable(text).replace("\n", " ")
    return text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} ..."


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: bool = False) -> None:
    """A table on standard output; all columns but the first to the right, unless `left`."""
    from rich.console import Console as RichConsole  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_edge=False, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at and not left else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # To a file or a pipe, a table is as wide as it needs to be.
    RichConsole(width=None if sys.stdout.isatty() else 120).print(table)


def count_bytes(size: float) -> str:
    """A size in the unit that suits it: 6.1 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, in the plural where it is not one."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
