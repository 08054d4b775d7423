"""Checkpoints: up to which entry ledgers were checked before, kept beside an identity.

With one, adding to a ledger costs the same however long it is, and a ledger
that has lost what was seen in it shows.
"""

import io
import posixpath
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE, HEADER_LIMIT
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.ledger.chain import BROKEN, Ledger, entry_name, follow, open_entry, read_ledger
from hecli.ledger.entry import NUMBER_LIMIT
from hecli.storage.store import Store

KIND = "checkpoint"
SUFFIX = ".ledgers"


class Seen(NamedTuple):
    """Up to where a ledger was checked.

    Args:
        number: The number of the last entry that was checked.
        digest: Its digest.
        members: Who was on the ledger's roster then.
    """

    number: int
    digest: bytes
    members: frozenset[Card]


Checkpoints = Mapping[bytes, Seen]
"""What was seen of each ledger, by the digest of its first entry."""


def parse_checkpoints(reader: Reader) -> Checkpoints:
    """Read the checkpoints in a file.

    Args:
        reader: The opened file.

    Returns:
        The checkpoints.

    Raises:
        FormatError: It has none, or not sound ones.
    """
    reader.require(KIND)
    reader.require_sections()
    fields(reader.header, reader.name, "its header", {"ledgers": list})
    found = [_checkpoint(item, reader.name) for item in reader.header["ledgers"]]
    ledgers = [first for first, _ in found]
    if ledgers != sorted(set(ledgers)):
        raise FormatError(f"{reader.name}: its ledgers are out of order")
    return dict(found)


def read_checked(store: Store, folder: str, kept: str | None) -> Ledger:
    """Read a ledger to add to it: of what was checked before only the first entry and the last.

    Args:
        store: Where the ledger is, and the checkpoints.
        folder: Its path there.
        kept: The path of the checkpoints; None to read all entries.

    Returns:
        The ledger, where there was a checkpoint without the entries between.

    Raises:
        FormatError: The ledger is broken.
        RefusedError: It lacks an entry that was seen in it before.
    """
    ledger = _resumed(store, folder, _read(store, kept)) if kept is not None else None
    ledger = ledger or read_ledger(store, folder)
    ledger.require_sound(folder)
    return ledger


def keep(store: Store, kept: str | None, ledger: Ledger) -> None:
    """Note how far a sound ledger was checked.

    Where that cannot be written all entries are read again the next time.

    Args:
        store: Where the checkpoints are.
        kept: Their path; None to keep none.
        ledger: The ledger.
    """
    if kept is None:
        return
    first, last = ledger.links[0], ledger.last
    with suppress(HecliError):
        known = dict(_read(store, kept))
        if first.digest in known and known[first.digest].number > last.entry.number:
            return
        known[first.digest] = Seen(last.entry.number, last.digest, ledger.members)
        with store.create(kept, replace=True, secret=True) as out:
            envelope.write(out, KIND, _header(known))


def _resumed(store: Store, folder: str, known: Checkpoints) -> Ledger | None:
    """The ledger from its checkpoint on; None where there is none, or no first entry to find it by."""
    try:
        first = open_entry(store, folder, 1)
    except HecliError:
        return None
    if first.digest not in known:
        return None
    seen = known[first.digest]
    there = store.exists(posixpath.join(folder, entry_name(seen.number)))
    try:
        last = open_entry(store, folder, seen.number) if there else None
        if last is None or last.digest != seen.digest:
            head = f"{seen.number}:{seen.digest.hex()}"
            raise RefusedError(
                f"the ledger {folder} was rolled back{'' if last is None else ' or forked'}: "
                f"entry {seen.number} was seen here before, "
                f"and now {'it is gone' if last is None else 'another one is there'}",
                f"ask the others what they have: hecli ledger verify --head {head}",
            )
        links = (first,) if seen.number == 1 else (first, last)
        return follow(store, folder, Ledger(links, seen.members, ()))
    except FormatError as error:
        raise FormatError(f"the ledger {folder} is broken: {error.message}", BROKEN) from error


def _read(store: Store, kept: str) -> Checkpoints:
    if not store.exists(kept):
        return {}
    with store.open(kept) as stream:
        data = stream.read(HEADER_LIMIT + 1024)
    try:
        return parse_checkpoints(Reader(io.BytesIO(data), kept))
    except FormatError as error:
        raise FormatError(
            error.message, "move it away: ledgers are then read from their first entry again"
        ) from error


def _header(known: Checkpoints) -> Map:
    return {
        "ledgers": [
            [first, seen.number, seen.digest, [list(card) for card in sorted(seen.members)]]
            for first, seen in sorted(known.items())
        ]
    }


def _checkpoint(item: object, name: str) -> tuple[bytes, Seen]:
    match item:
        case [bytes(first), int(number), bytes(digest), list(cards)]:
            members = [Card.parse(card, name) for card in cards]
            sizes = len(first) == len(digest) == DIGEST_SIZE
            numbered = type(number) is int and 1 <= number <= NUMBER_LIMIT
            if sizes and numbered and (number > 1 or first == digest):
                if members != sorted(set(members)):
                    raise FormatError(f"{name}: its cards are out of order")
                return first, Seen(number, digest, frozenset(members))
    raise FormatError(f"{name}: a checkpoint in it is malformed")
