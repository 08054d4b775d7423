"""The record beside a secret, of what it was used for: one file of each plan, and no other."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hecli.cli.files import STANDARD, open_output
from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.formats.records import Uses, parse_record, record_header

Record = Callable[[bytes, bytes], None]


@contextmanager
def recorded(secret: str, use: str, danger: str, *, again: bool, final: bool) -> Iterator[Record]:
    """Give what notes, beside the file `secret`, that it is used for a plan on a file, by their digests.

    `use` is what was done to the file, and the suffix of the record: "opened".

    What it gives raises RefusedError where another file of the same plan is on
    record, unless `again`; `danger` says why. A use whose block fails is taken
    back, unless `final`: what was streamed is out.
    """
    if secret == STANDARD:
        raise RefusedError(
            "a secret from standard input leaves no place for the record of its use", "name the file itself"
        )
    path = f"{secret}.{use}"
    noted: set[tuple[bytes, bytes]] = set()

    def record(plan: bytes, file: bytes) -> None:
        with _locked(secret):
            uses = _read(path)
            if any(known == plan and other != file for known, other in uses) and not again:
                raise RefusedError(f"another aggregate of this plan was {use} before, says {path}", danger)
            if (plan, file) not in uses:
                _write(path, uses | {(plan, file)})
                noted.add((plan, file))

    try:
        yield record
    except BaseException:
        if noted and not final:
            with _locked(secret):
                _write(path, _read(path) - noted)
        raise


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep other processes out of the record while it is read and written."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    with open(path, "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _read(path: str) -> Uses:
    if not os.path.exists(path):
        return frozenset()
    try:
        with open(path, "rb") as stream:
            return parse_record(Reader(io.BytesIO(stream.read(envelope.HEADER_LIMIT + 1024)), path))
    except FormatError as error:
        raise HecliError(
            error.message, "it says what was opened: restore it, or move it away if you know that nothing was"
        ) from error


def _write(path: str, uses: Uses) -> None:
    if not uses:
        os.unlink(path)
        return
    with open_output(path, force=True, secret=True) as out:
        envelope.write(out, "record", record_header(uses))
