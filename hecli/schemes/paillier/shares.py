"""Keys in shares: dealt, written and read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from hecli.arithmetic.gmp import InvalidModulusError
from hecli.arithmetic.threshold import ThresholdKey, check_share
from hecli.errors import FormatError, HecliError
from hecli.formats import envelope
from hecli.formats.cards import Card
from hecli.formats.envelope import Reader
from hecli.identity import boxes
from hecli.identity.signatures import Identity
from hecli.rounds.keys import public_key
from hecli.rounds.streams import open_reader
from hecli.schemes.paillier import key_files as keys
from hecli.schemes.paillier.share_files import Dealing, Opens, ShareFile


@dataclass(frozen=True, repr=False)
class Share:
    """One share of a key, of those numbered from 1."""

    key: ThresholdKey
    index: int
    value: int


def write_threshold_key(key: ThresholdKey, out: BinaryIO) -> None:
    """Write the public key file of a key in shares: n, and what proofs are checked with."""
    envelope.write(out, "public key", keys.public_key_header(key.n, _dealing(key).pack()))


def read_threshold_key(source: BinaryIO) -> ThresholdKey:
    """The key in a public key file (a seekable stream); raises FormatError for one that is not in shares."""
    reader = open_reader(source)
    key = threshold_key(reader)
    if key is None:
        raise FormatError(f"{reader.name}: is not the key of shares", "pass the .pub file that was dealt")
    return key


def threshold_key(reader: Reader) -> ThresholdKey | None:
    """The key in an opened public key file, None where it is not in shares; raises FormatError."""
    public_key(reader)
    n, dealing = keys.parse_public_key(reader)
    return None if dealing is None else _checked(n, Dealing.parse(dealing, reader.name), reader.name)


def opens(key: ThresholdKey) -> Opens:
    """What a plan says of a key in shares."""
    return Opens(key.threshold, key.shares, _dealing(key).digest(key.n))


def write_share(share: Share, out: BinaryIO, passphrase: str | None = None, card: Card | None = None) -> None:
    """Write a share file, under a passphrase or sealed to a card where one is given."""
    file = ShareFile(share.key.n, _dealing(share.key), share.index, share.value)
    if card is not None:
        secret = share.value.to_bytes(file.width, "big")
        file = replace(file, share=None, card=card, box=boxes.seal(secret, card, file.context))
    elif passphrase is not None:
        file = replace(file, share=None, sealed=file.seal(passphrase))
    envelope.write(out, "share", file.header())


def read_share(source: BinaryIO, ask: Callable[[], str], identity: Identity | None = None) -> Share:
    """The share in a file (a seekable stream).

    `ask` is called for the passphrase where it has one; `identity` opens one
    that is sealed to a card. Raises FormatError, and HecliError for a wrong
    passphrase or identity.
    """
    reader = open_reader(source)
    file = ShareFile.parse(reader)
    key = _checked(file.n, file.dealing, reader.name)
    value = _opened(file, ask, identity, reader.name)
    if not check_share(key, file.index, value):
        raise FormatError(f"{reader.name}: its share does not fit its key")
    return Share(key, file.index, value)


def share_facts(reader: Reader) -> tuple[ThresholdKey, int, Card | None, bool]:
    """The key of a share file, its number, whom it is sealed to, and whether it has a passphrase."""
    file = ShareFile.parse(reader)
    return _checked(file.n, file.dealing, reader.name), file.index, file.card, file.sealed is not None


def _opened(file: ShareFile, ask: Callable[[], str], identity: Identity | None, name: str) -> int:
    if file.share is not None:
        return file.share
    if file.sealed is not None:
        return file.unseal(ask(), name)
    if identity is None:
        raise HecliError(
            f"{name}: is sealed to {file.card and file.card.name}", "pass --identity, their .id file"
        )
    return int.from_bytes(boxes.unseal(file.box or b"", identity, file.context, name), "big")


def _dealing(key: ThresholdKey) -> Dealing:
    return Dealing(key.threshold, key.v, key.keys)


def _checked(n: int, dealing: Dealing, name: str) -> ThresholdKey:
    key = ThresholdKey(n, dealing.threshold, dealing.v, dealing.keys)
    try:
        key.check()
    except (HecliError, InvalidModulusError) as error:
        raise FormatError(f"{name}: {error.message}", error.hint) from error
    return key
