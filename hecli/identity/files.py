"""Identity files, secret, and card files, public."""

from typing import BinaryIO

from hecli.errors import FormatError
from hecli.formats import envelope
from hecli.formats.canonical import fields, pack
from hecli.formats.envelope import KEY_SIZE
from hecli.formats.reader import Reader
from hecli.identity import kem
from hecli.identity.cards import Card
from hecli.identity.sealing import Ask, Kept, keep
from hecli.identity.signatures import FORGED, Identity, signer, signer_of

SECRET_SIZE = 2 * KEY_SIZE + kem.SEED_SIZE
"""Bytes of an identity's secrets: to sign, to agree, and to receive."""


def write_identity(identity: Identity, out: BinaryIO, passphrase: str | None = None) -> None:
    """Write an identity file.

    Args:
        identity: Whose it is.
        out: Where to.
        passphrase: What its secrets are under, if anything.
    """
    card = list(identity.card)
    secrets = identity.sign_secret + identity.agree_secret + identity.kem_secret
    secret = keep(secrets, pack(card), passphrase)
    envelope.write(out, "identity", {"card": card, "secret": secret})


def write_card(identity: Identity, out: BinaryIO) -> None:
    """Write the card file of an identity, signed by itself.

    Args:
        identity: Whose it is.
        out: Where to.
    """
    card = identity.card
    header = {"card": list(card), "kem": card.known_key}
    envelope.write(out, "card", header, sign=signer(identity, "card"))


def read_identity(reader: Reader, ask: Ask) -> Identity:
    """Read an identity file.

    Args:
        reader: The opened file.
        ask: Called for the passphrase, where there is one.

    Returns:
        The identity.

    Raises:
        FormatError: The file is none, or not sound.
        HecliError: The passphrase is wrong.
    """
    card, secret = parse_identity(reader)
    return _identity(card, secret.open(ask), reader.name)


def parse_identity(reader: Reader) -> tuple[Card, Kept]:
    """Read an identity file without opening its secrets.

    Args:
        reader: The opened file.

    Returns:
        The card, and the secrets unopened.

    Raises:
        FormatError: It is none, or not sound.
    """
    reader.require("identity")
    reader.require_sections()
    fields(reader.header, reader.name, "its header", {"card": list, "secret": dict})
    card = Card.parse(reader.header["card"], reader.name)
    secret = Kept.parse(reader.header["secret"], SECRET_SIZE, pack(list(card)), reader.name)
    if secret.clear is not None:
        _identity(card, secret.clear, reader.name)
    return card, secret


def read_card(reader: Reader) -> Card:
    """Read a card file.

    Args:
        reader: The opened file.

    Returns:
        The card, which knows all its keys.

    Raises:
        FormatError: It is none, or not signed by itself.
    """
    reader.require("card")
    reader.require_sections()
    header = reader.header
    if isinstance(header, dict) and "card" in header:
        # An old one is said to be old, whatever else it lacks.
        Card.parse(header["card"], reader.name)
    fields(header, reader.name, "its header", {"card": list, "kem": bytes})
    card = Card.parse(header["card"], reader.name).knowing(header["kem"], reader.name)
    if signer_of(reader) != card:
        raise FormatError(f"{reader.name}: is not signed by its own key", FORGED)
    return card


def _identity(card: Card, secret: bytes, name: str) -> Identity:
    identity = Identity.of(
        card.name, secret[:KEY_SIZE], secret[KEY_SIZE : 2 * KEY_SIZE], secret[2 * KEY_SIZE :]
    )
    if identity.card != card:
        raise FormatError(f"{name}: its secrets are not those of its card")
    return identity
