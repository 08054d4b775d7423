"""Ledger entries: one event of a training, chained to the entry before it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader
from hecli.formats.text import check_name, is_printable
from hecli.identity.cards import Card

EVENTS = (
    "founded",
    "training",
    "plan",
    "enrolled",
    "update",
    "closed",
    "abandoned",
    "aggregate",
    "answered",
    "partial",
    "opened",
    "failed",
    "applied",
    "refused",
    "ended",
    "note",
)
TIME = "%Y-%m-%dT%H:%M:%SZ"
TEXT_LIMIT = 1000
FILE_NAME_LIMIT = 256
NUMBER_LIMIT = 99_999_999

_TIME = re.compile(r"(19[7-9]|[2-9][0-9][0-9])[0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-5][0-9]Z")


@dataclass(frozen=True)
class Entry:
    """One event: what, by whom, when, about which files.

    `previous` is the digest of the entry before it; of the first entry, 32
    random bytes, so that no two ledgers begin alike. `files` are names with
    digests; `cards` whom the entry brings onto the ledger's roster; `plan` the
    digest of the plan concerned, or empty.

    Args:
        number: Its number, from 1.
        previous: The digest of the entry before.
        event: What happened, one of EVENTS.
        party: The name of whoever signs it.
        time: When, by their clock.
        plan: The digest of the plan concerned, or nothing.
        files: Names and digests of files.
        cards: Whom it brings onto the roster.
        text: A note.
    """

    number: int
    previous: bytes
    event: str
    party: str
    time: str
    plan: bytes
    files: tuple[tuple[str, bytes], ...]
    cards: tuple[Card, ...]
    text: str

    def header(self) -> Map:
        """Give the header map of the file."""
        return vars(self) | {"cards": [list(card) for card in self.cards]}

    @classmethod
    def parse(cls, reader: Reader) -> "Entry":
        """Read the entry in a file.

        Args:
            reader: The opened file.

        Returns:
            The entry.

        Raises:
            FormatError: It is none, or one that cannot be.
        """
        reader.require("entry")
        reader.require_sections()
        header, name = reader.header, reader.name
        types: dict[str, type | tuple[type, ...]] = {
            "number": int,
            "previous": bytes,
            "event": str,
            "party": str,
            "time": str,
            "plan": bytes,
            "files": list,
            "cards": list,
            "text": str,
        }
        fields(header, name, "its header", types)
        files = tuple(_file(item, name) for item in header["files"])
        cards = tuple(Card.parse(item, name) for item in header["cards"])
        entry = cls(**{**header, "files": files, "cards": cards})
        try:
            entry.check()
        except FormatError as error:
            raise FormatError(f"{name}: {error.message}", error.hint) from error
        return entry

    def check(self) -> None:
        """Refuse an entry with a field that cannot be what it is; raises FormatError."""
        check_name(self.party)
        if not 1 <= self.number <= NUMBER_LIMIT:
            raise FormatError(f"an entry cannot have the number {self.number}")
        if len(self.previous) != DIGEST_SIZE or len(self.plan) not in (0, DIGEST_SIZE):
            raise FormatError("a digest in it has the wrong length")
        if self.event not in EVENTS or (self.event == "founded") != (self.number == 1):
            raise FormatError(f"the event {self.event[:64]!r} cannot be entry {self.number}")
        if not _is_time(self.time):
            raise FormatError(f"{self.time[:64]!r} is no time")
        if len(self.text) > TEXT_LIMIT or not is_printable(self.text):
            raise FormatError(
                f"a note must be printable and at most {TEXT_LIMIT:,} characters", "shorten the text"
            )
        for file, digest in self.files:
            _check_file(file, digest)
        if self.cards and self.event not in ("founded", "plan"):
            raise FormatError("only a plan brings people onto the roster")
        if list(self.cards) != sorted(set(self.cards)):
            raise FormatError("its cards are out of order")


def _is_time(text: str) -> bool:
    """Whether it is a second of a day that there is, written in the one way."""
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.strptime(text, TIME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _check_file(file: str, digest: bytes) -> None:
    if not 0 < len(file) <= FILE_NAME_LIMIT or not is_printable(file) or len(digest) != DIGEST_SIZE:
        raise FormatError(
            f"{file[:64]!r} cannot be recorded", "give the file a short name of printable characters"
        )


def _file(item: object, name: str) -> tuple[str, bytes]:
    match item:
        case [str(file), bytes(digest)]:
            return file, digest
    raise FormatError(f"{name}: the list of files in it is malformed")
