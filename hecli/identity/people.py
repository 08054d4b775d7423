"""Identities: made, read and written."""

from collections.abc import Callable
from typing import BinaryIO

from hecli.errors import FormatError
from hecli.formats import envelope
from hecli.formats.cards import Card
from hecli.formats.envelope import Reader
from hecli.identity import curves
from hecli.identity.files import IdentityFile, card_header, parse_card
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.rounds.streams import open_reader


def write_identity(identity: Identity, out: BinaryIO, passphrase: str | None = None) -> None:
    """Write an identity file, its secrets under the passphrase where there is one."""
    file = IdentityFile(identity.card, (identity.sign_secret, identity.agree_secret), None)
    if passphrase is not None:
        file = file.seal(passphrase)
    envelope.write(out, "identity", file.header())


def write_card(identity: Identity, out: BinaryIO) -> None:
    """Write the card file of an identity, signed by itself."""
    envelope.write(out, "card", card_header(identity.card), sign=signer(identity, "card"))


def read_identity(source: BinaryIO, ask: Callable[[], str]) -> Identity:
    """The identity in a file (a seekable stream); `ask` is called for the passphrase where it has one.

    Raises FormatError, and HecliError for a wrong passphrase.
    """
    reader = open_reader(source)
    file = IdentityFile.parse(reader)
    secrets = file.secrets if file.secrets is not None else file.open(ask(), reader.name)
    identity = Identity(file.card, *secrets)
    identity.check(reader.name)
    return identity


def read_card(source: BinaryIO) -> Card:
    """The card in a card file (a seekable stream); raises FormatError."""
    return card(open_reader(source))


def card(reader: Reader) -> Card:
    """The card in an opened card file, which has to be signed by itself; raises FormatError."""
    found = parse_card(reader)
    if signer_of(reader) != found:
        raise FormatError(f"{reader.name}: is not signed by its own key", FORGED)
    if curves.is_weak(found.sign, found.agree):
        raise FormatError(f"{reader.name}: one of its keys lets anybody sign or agree in its name")
    return found


def identity_facts(reader: Reader) -> tuple[Card, bool]:
    """The card inside an opened identity file, and whether it has a passphrase; raises FormatError."""
    file = IdentityFile.parse(reader)
    if file.secrets is not None:
        Identity(file.card, *file.secrets).check(reader.name)
    return file.card, file.secrets is None
