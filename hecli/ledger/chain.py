"""The ledger: a record of a whole training that cannot be rewritten unnoticed.

Entries are files, chained by digests and signed. Nobody is in charge: whoever
adds one claims the file of the next number, which only one can.
"""

import io
import os
import posixpath
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import CUT_SHORT
from hecli.formats.envelope import DIGEST_SIZE, HEADER_LIMIT
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.ledger.entry import TIME, Entry
from hecli.storage.store import Store

SUFFIX = ".entry"
SIZE_LIMIT = HEADER_LIMIT + 1024
"""Most bytes of an entry."""

PATIENCE = 5.0
"""Seconds to wait for an entry that is not whole yet, or comes later than the one behind it."""

READERS = 16
"""Entries that are read at once."""

_NUMBERED = re.compile(r"([0-9]{8})\.entry")

BROKEN = (
    "see all of it with hecli ledger verify; the storage, or somebody with access to it, is not to be trusted"
)


@dataclass(frozen=True)
class Link:
    """An entry as it was found.

    Args:
        file: The name of its file.
        entry: What it says.
        digest: The file's digest.
        signer: Whose card signed it.
    """

    file: str
    entry: Entry
    digest: bytes
    signer: Card

    def __str__(self) -> str:
        return f"entry {self.entry.number} ({self.entry.event} by {self.entry.party})"

    @property
    def head(self) -> str:
        """The line that stands for this entry and all before it."""
        return f"{self.entry.number}:{self.digest.hex()}"


class Found(NamedTuple):
    """A file that may be in a ledger's entries.

    Args:
        name: Its path.
        digest: Its digest.
        plan: The digest of the plan it carries, or nothing.
    """

    name: str
    digest: bytes
    plan: bytes = b""


_ONCE = {
    "opened": ("opened", "are about different aggregates"),
    "partial": ("opened", "are about different aggregates"),
    "answered": ("opened", "are about different aggregates"),
    "update": ("update", "are different updates"),
}
"""What there should be of one plan once: the event, what it counts as, and what is said of two."""


@dataclass(frozen=True)
class Ledger:
    """A ledger as it was read.

    Args:
        links: All entries, by number.
        members: Whom they bring onto the roster.
        problems: What is wrong with them.
    """

    links: tuple[Link, ...]
    members: frozenset[Card]
    problems: tuple[str, ...]

    @property
    def last(self) -> Link:
        """The last entry."""
        return self.links[-1]

    def require_sound(self, name: str) -> None:
        """Refuse a ledger with problems.

        Args:
            name: The ledger's, for errors.

        Raises:
            FormatError: There is a problem; the first is named.
        """
        if self.problems:
            raise FormatError(f"the ledger {name} is broken: {self.problems[0]}", BROKEN)

    def check_member(self, card: Card, name: str) -> None:
        """Refuse whoever is not on the ledger's roster.

        Args:
            card: Who wants to add to it.
            name: The ledger's, for errors.

        Raises:
            RefusedError: The card is not on it.
        """
        if card not in self.members:
            raise RefusedError(
                f"{card.fingerprint} {card.name} is not on the roster of the ledger {name}",
                f"{self.links[0].signer.name}, who founded it, has to record a plan with this card",
            )

    def check_head(self, head: str) -> list[str]:
        """Find what contradicts a published head.

        Args:
            head: The line that was published.

        Returns:
            What is wrong, in a list that is empty where nothing is.

        Raises:
            HecliError: It is no head.
        """
        match = re.fullmatch(r"([0-9]{1,8}):([0-9a-f]{64})", head.strip())
        if match is None:
            raise HecliError(
                f"{head[:80]!r} is no head of a ledger", "give the line that hecli ledger head printed"
            )
        number, digest = match.groups()
        here = [link for link in self.links if link.entry.number == int(number)]
        if any(link.digest.hex() == digest for link in here):
            return []
        if not here and int(number) > self.last.entry.number:
            return [f"the tail was cut off: entry {number} was published, the last one here is {self.last}"]
        shown = (
            " and ".join(f"{link} with the digest {link.digest.hex()[:16]}" for link in here)
            or "no such entry"
        )
        return [f"history was rewritten: entry {number} was published as {digest[:16]}, here is {shown}"]

    def check_files(self, files: Iterable[Found]) -> tuple[list[str], list[str]]:
        """Compare files with their records.

        A file is as recorded where an entry has its digest, whatever its name
        is now. Another one is compared with the entries that have its name, of
        its own plan where the ledger knows that plan: rounds use the same
        names again.

        Args:
            files: What was found.

        Returns:
            What differs, and what is worth a note.
        """
        recorded: dict[str, list[tuple[bytes, Link]]] = defaultdict(list)
        by_digest: dict[bytes, list[tuple[str, Link]]] = defaultdict(list)
        for link in self.links:
            for name, digest in link.entry.files:
                recorded[name].append((digest, link))
                by_digest[digest].append((name, link))
        plans = {link.entry.plan for link in self.links if link.entry.plan}
        missing = {_place(name, link) for name, about in recorded.items() for _, link in about}
        problems, notes = [], []
        for file in files:
            about = recorded[posixpath.basename(file.name)]
            same = [link for digest, link in about if digest == file.digest]
            wanted = {file.plan} & plans or {link.entry.plan for link in same} or {b"", *plans}
            about = [(digest, link) for digest, link in about if link.entry.plan in wanted]
            others = [link for digest, link in about if digest != file.digest]
            missing -= {_place(posixpath.basename(file.name), link) for _, link in about}
            missing -= {_place(name, link) for name, link in by_digest.get(file.digest, ())}
            if file.digest not in by_digest:
                problems += [f"{file.name} differs from its record in {others[-1]}"] if others else []
            elif same and others and others[-1].entry.number > same[-1].entry.number:
                notes.append(f"{file.name} is that of {same[-1]}; {others[-1]} has a newer one")
            elif same and any(link.signer != same[-1].signer for link in others):
                notes.append(f"{file.name} is that of {same[-1]}, which {others[-1]} contradicts")
        if missing:
            names = ", ".join(sorted({name for name, _ in missing})[:5]) + (
                " ..." if len(missing) > 5 else ""
            )
            one = len(missing) == 1
            files_are = "recorded file is" if one else "recorded files are"
            notes.append(f"{len(missing):,} {files_are} not there: {names}")
        return problems, notes

    @property
    def notes(self) -> list[str]:
        """What is sound, yet worth a look: of one plan two aggregates used, or two updates of a party."""
        first: dict[tuple[str, bytes, str], Link] = {}
        notes = []
        for link in self.links:
            entry = link.entry
            if entry.event not in _ONCE or not entry.files or not entry.plan:
                continue
            use, said = _ONCE[entry.event]
            who = entry.party if entry.event == "update" else ""
            earlier = first.setdefault((use, entry.plan, who), link)
            if earlier.entry.files[0][1] != entry.files[0][1]:
                notes.append(f"{earlier} and {link} {said} of one plan")
        return notes


def read_ledger(store: Store, folder: str) -> Ledger:
    """Read all entries, and find all that is wrong with them.

    Args:
        store: Where the folder is.
        folder: Its path.

    Returns:
        The ledger.

    Raises:
        HecliError: It holds no ledger.
    """
    files = _without_gaps(store, folder)

    def read(file: str) -> Link | str:
        try:
            # Somebody may still be writing the last one.
            return (_patiently if file == files[-1] else _open)(store, folder, file)
        except (FormatError, RefusedError) as error:
            return error.message

    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - few commands read a ledger

    # Many at once: where storage is far away, each takes a while to come.
    with ThreadPoolExecutor(READERS) as readers:
        read_all = list(readers.map(read, files))
    links = [each for each in read_all if isinstance(each, Link)]
    problems = [each for each in read_all if isinstance(each, str)]
    # A copy under another name, as some storage makes them, is nothing new.
    copies = {
        link.digest: link
        for link in sorted(links, key=lambda link: link.file == entry_name(link.entry.number))
    }
    links = sorted(copies.values(), key=lambda link: (link.entry.number, link.file))
    if not links:
        raise HecliError(
            problems[0] if problems else f"{folder} holds no ledger",
            "check the path; hecli ledger init begins a new one",
        )
    by_number: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        by_number[link.entry.number].append(link)
    members: set[Card] = set()
    before = 0
    for number, here in by_number.items():
        if number > before + 1:
            gap = (
                f"entry {before + 1} is"
                if number == before + 2
                else f"entries {before + 1:,} to {number - 1:,} are"
            )
            problems.append(f"{gap} missing: removed, or damaged")
        problems += _problems(here, by_number.get(number - 1, []))
        founder = by_number[1][0].signer if 1 in by_number else None
        for link in here:
            members |= _brought_in(link, founder)
            problems += _intruder(link, members)
        before = number
    return Ledger(tuple(links), frozenset(members), tuple(problems))


def entry_name(number: int) -> str:
    """Name the file of an entry.

    Args:
        number: The entry's.

    Returns:
        The name.
    """
    return f"{number:08}{SUFFIX}"


def open_entry(store: Store, folder: str, number: int) -> Link:
    """Read one entry, and check nothing but itself.

    Args:
        store: Where the ledger is.
        folder: Its path there.
        number: The entry's.

    Returns:
        The entry.

    Raises:
        HecliError: It is not there.
        FormatError: It is not sound.
    """
    return _patiently(store, folder, entry_name(number))


def follow(store: Store, folder: str, ledger: Ledger) -> Ledger:
    """Read what others have added since a ledger was read, and nothing that was read before.

    Args:
        store: Where the ledger is.
        folder: Its path there.
        ledger: What was read of it.

    Returns:
        The ledger with what was added.

    Raises:
        FormatError: What was added is not sound.
    """
    while store.exists(posixpath.join(folder, entry_name(ledger.last.entry.number + 1))):
        ledger = _next(store, folder, ledger)
    return ledger


def begin(store: Store, folder: str, identity: Identity, cards: Iterable[Card]) -> Link:
    """Write the first entry.

    Args:
        store: Where the ledger is to be.
        folder: Its path there, made where it is not there yet.
        identity: Who founds it.
        cards: Who else may add to it.

    Returns:
        The entry.

    Raises:
        RefusedError: There is a ledger already.
    """
    # Random, so that no entry of one ledger fits into another.
    entry = _entry(1, os.urandom(DIGEST_SIZE), "founded", identity, cards=cards)
    link, data = _signed(entry, identity)
    if _files(store, folder) or not store.claim(posixpath.join(folder, link.file), data):
        raise RefusedError(
            f"{folder} holds a ledger already", "add to it with --ledger, or name another folder"
        )
    return link


def append(
    store: Store,
    folder: str,
    ledger: Ledger,
    identity: Identity,
    event: str,
    *,
    plan: bytes = b"",
    files: Sequence[tuple[str, bytes]] = (),
    cards: Iterable[Card] = (),
    text: str = "",
    stale: Callable[[Ledger], bool] | None = None,
) -> Ledger:
    """Add an entry behind all that others have added since the ledger was read.

    Args:
        store: Where the ledger is.
        folder: Its path there.
        ledger: What was read of it.
        identity: Who adds the entry.
        event: What happened, one of EVENTS.
        plan: The digest of the plan concerned, or nothing.
        files: Names and digests of files.
        cards: Whom it brings onto the roster.
        text: A note.
        stale: Asked whether what others have added leaves no room for the
            entry, where it is a decision that one of them may have made.

    Returns:
        The ledger with what others have added, and with the entry as its last
        unless it became stale.

    Raises:
        FormatError: The ledger or the entry is not sound.
        RefusedError: Whoever adds it is not on its roster.
    """
    ledger.require_sound(folder)
    ledger.check_member(identity.card, folder)
    cards = tuple(cards)
    while True:
        last = ledger.last
        number = last.entry.number + 1
        entry = _entry(number, last.digest, event, identity, plan=plan, files=files, cards=cards, text=text)
        link, data = _signed(entry, identity)
        if store.claim(posixpath.join(folder, link.file), data):
            return _followed(ledger, link)
        # Somebody was quicker: go on behind what they wrote.
        ledger = _next(store, folder, ledger)
        if ledger.last.digest == link.digest or (stale is not None and stale(ledger)):
            return ledger


def entry_signer(reader: Reader, entry: Entry) -> Card:
    """Say who signed an entry.

    Args:
        reader: Its file, opened.
        entry: What it says.

    Returns:
        Their card.

    Raises:
        FormatError: It is not signed by whom it names.
    """
    signer = signer_of(reader, entry.plan)
    if signer is None or signer.name != entry.party:
        raise FormatError(f"{reader.name}: is not signed by {entry.party}", FORGED)
    return signer


def _place(name: str, link: Link) -> tuple[str, bytes]:
    """What tells a recorded file from others: its name, and where it is made once in a round its plan."""
    return name, b"" if link.entry.event in ("applied", "note") else link.entry.plan


def _without_gaps(store: Store, folder: str) -> list[str]:
    """The files of entries; a missing one may come yet, for tools that copy folders do so in any order."""
    patience = time.monotonic() + PATIENCE
    while True:
        files = sorted(_files(store, folder))
        numbers = {int(match[1]) for file in files if (match := _NUMBERED.fullmatch(file))}
        if len(numbers) == max(numbers, default=0) or time.monotonic() > patience:
            return files
        time.sleep(0.1)


def _files(store: Store, folder: str) -> list[str]:
    return [name for name in store.list(folder) if name.endswith(SUFFIX)]


def _followed(ledger: Ledger, link: Link) -> Ledger:
    """The ledger with one more entry behind its last."""
    members = ledger.members | _brought_in(link, ledger.links[0].signer)
    return replace(ledger, links=(*ledger.links, link), members=members)


def _next(store: Store, folder: str, ledger: Ledger) -> Ledger:
    """The ledger with the entry behind its last, which is there; raises FormatError where it is not sound."""
    last = ledger.last
    link = open_entry(store, folder, last.entry.number + 1)
    ledger = _followed(ledger, link)
    if problems := _problems([link], [last]) + _intruder(link, ledger.members):
        raise FormatError(problems[0], BROKEN)
    return ledger


def _patiently(store: Store, folder: str, file: str) -> Link:
    """The entry in a file that may still be being written, where files do not appear whole."""
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            return _open(store, folder, file)
        except FormatError as error:
            if error.hint != CUT_SHORT or time.monotonic() > patience:
                raise
        time.sleep(0.05)


def _brought_in(link: Link, founder: Card | None) -> set[Card]:
    """Whom an entry puts on the roster: only the founder's do."""
    return {link.signer, *link.entry.cards} if link.signer == founder else set()


def _intruder(link: Link, members: AbstractSet[Card]) -> list[str]:
    if link.signer in members:
        return []
    return [f"{link} is signed by {link.signer.name}, who is on no roster of this ledger"]


def _problems(here: Sequence[Link], before: Sequence[Link]) -> list[str]:
    """What is wrong with the entries of one number, given those of the number before."""
    problems = []
    parents = {each.digest for each in before}
    for link in here:
        if link.file != entry_name(link.entry.number) and len(here) == 1:
            problems.append(f"{link.file} holds {link}: reordered or renamed")
        if before and link.entry.previous not in parents:
            problems.append(
                f"{link} does not follow {before[0]}: one of them was changed, inserted or reordered"
            )
    if len(here) > 1:
        one_parent = len({link.entry.previous for link in here}) == 1
        what = "a fork: two entries with one parent" if one_parent else "two entries with one number"
        both = " and ".join(
            f"{link.file}, {link.entry.event} signed by {link.signer.name}, digest {link.digest.hex()[:16]}"
            for link in here
        )
        problems.append(f"{what}: {both}")
    return problems


def _entry(
    number: int,
    previous: bytes,
    event: str,
    identity: Identity,
    *,
    plan: bytes = b"",
    files: Sequence[tuple[str, bytes]] = (),
    cards: Iterable[Card] = (),
    text: str = "",
) -> Entry:
    now = datetime.now(UTC).strftime(TIME)
    whom = tuple(sorted(set(cards)))
    entry = Entry(number, previous, event, identity.card.name, now, plan, tuple(files), whom, text)
    entry.check()
    return entry


def _signed(entry: Entry, identity: Identity) -> tuple[Link, bytes]:
    out = io.BytesIO()
    digest = envelope.write(out, "entry", entry.header(), sign=signer(identity, "entry", entry.plan))
    return Link(entry_name(entry.number), entry, digest, identity.card), out.getvalue()


def _open(store: Store, folder: str, file: str) -> Link:
    with store.open(posixpath.join(folder, file)) as stream:
        data = stream.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise FormatError(f"{file}: is too large for an entry")
    reader = Reader(io.BytesIO(data), file)
    entry = Entry.parse(reader)
    return Link(file, entry, reader.digest, entry_signer(reader, entry))
