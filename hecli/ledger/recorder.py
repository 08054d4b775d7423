"""Adding to a ledger while a round is done."""

from collections.abc import Iterable
from typing import Protocol

from hecli.errors import RefusedError
from hecli.identity.cards import Card
from hecli.identity.signatures import Identity
from hecli.ledger.chain import append
from hecli.ledger.checkpoint import keep, read_checked
from hecli.storage.paths import file_name
from hecli.storage.store import Store


class Recorder(Protocol):
    """Adds an entry, or does nothing where no ledger is kept."""

    def __call__(
        self,
        event: str,
        *,
        plan: bytes = b"",
        files: Iterable[tuple[str, bytes]] = (),
        cards: Iterable[Card] = (),
        text: str = "",
    ) -> None:
        """Add an entry.

        Args:
            event: What happened, one of EVENTS.
            plan: The digest of the plan concerned, or nothing.
            files: Paths and digests of files, of which the names are recorded.
            cards: Whom it brings onto the roster.
            text: A note.

        Raises:
            HecliError: It cannot be added.
        """
        ...


def recorder(
    store: Store, folder: str | None, identity: Identity | None, kept: str | None = None
) -> Recorder:
    """Get ready to add entries, so that what stands in the way is known before any work.

    Args:
        store: Where the ledger is.
        folder: Its path there; None where none is kept.
        identity: Who adds them.
        kept: Where checkpoints of ledgers are kept; None where none are.

    Returns:
        What adds an entry.

    Raises:
        FormatError: The ledger is broken.
        RefusedError: Nobody signs, or somebody who may not add to it.
    """
    if folder is None:
        return _nothing
    if identity is None:
        raise RefusedError("entries in a ledger are signed", "pass --identity, or set HECLI_IDENTITY")
    known = read_checked(store, folder, kept)
    known.check_member(identity.card, folder)

    def record(
        event: str,
        *,
        plan: bytes = b"",
        files: Iterable[tuple[str, bytes]] = (),
        cards: Iterable[Card] = (),
        text: str = "",
    ) -> None:
        nonlocal known
        named = [(file_name(path), digest) for path, digest in files]
        known = append(store, folder, known, identity, event, plan=plan, files=named, cards=cards, text=text)
        keep(store, kept, known)

    return record


def _nothing(
    event: str,
    *,
    plan: bytes = b"",
    files: Iterable[tuple[str, bytes]] = (),
    cards: Iterable[Card] = (),
    text: str = "",
) -> None:
    """Record nothing."""
