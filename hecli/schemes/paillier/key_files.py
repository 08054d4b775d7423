"""Key files: public, private, and shares, in the clear, under a passphrase, or sealed to a card."""

from dataclasses import dataclass
from typing import BinaryIO

from hecli.arithmetic.engines import check_share
from hecli.arithmetic.sizes import ciphertext_size, plaintext_size
from hecli.arithmetic.threshold import ThresholdKey
from hecli.errors import FormatError
from hecli.formats import envelope
from hecli.formats.canonical import Map, fields, pack
from hecli.formats.numbers import int_bytes, parse_int
from hecli.formats.reader import Reader
from hecli.identity.cards import Card
from hecli.identity.sealing import Ask, Kept, keep
from hecli.identity.signatures import Identity
from hecli.schemes.paillier.keys import PrivateKey, PublicKey, dealing_digest, dealing_map, sound

WIDE_LIMIT = 4096
"""Most bytes of a number modulo n^2."""


@dataclass(frozen=True, repr=False)
class Share:
    """One share of a key.

    Args:
        key: What everybody may know of the key.
        index: The number of the share, from 1.
        value: The secret.
        verified_only: Whether it opens only what was verified.
    """

    key: ThresholdKey
    index: int
    value: int
    verified_only: bool = True


def write_public_key(key: PublicKey, out: BinaryIO) -> None:
    """Write a public key file.

    Args:
        key: The key.
        out: Where to.
    """
    header: Map = {"n": int_bytes(key.n)}
    if key.shared is not None:
        header["dealing"] = dealing_map(key.shared)
    envelope.write(out, "public key", header)


def read_public_key(reader: Reader) -> PublicKey:
    """Read a public key file.

    Args:
        reader: The opened file.

    Returns:
        The key.

    Raises:
        FormatError: It is none, or worthless.
    """
    reader.require("public key")
    reader.require_sections()
    header, name = reader.header, reader.name
    fields(header, name, "its header", {"n": bytes}, {"dealing": dict})
    n = parse_int(header["n"], name)
    shared = _parse_dealing(header["dealing"], n, name) if "dealing" in header else None
    key = PublicKey(n, shared)
    sound(key, name)
    return key


def write_private_key(key: PrivateKey, out: BinaryIO, passphrase: str | None = None) -> None:
    """Write a private key file.

    Args:
        key: The key.
        out: Where to.
        passphrase: What its primes are under, if anything.
    """
    n = key.public.n
    # As wide as n, for the primes of another tool's key may differ in length.
    width = plaintext_size(n)
    secret = b"".join(prime.to_bytes(width, "big") for prime in (key.p, key.q))
    header = {
        "n": int_bytes(n),
        "verified_only": key.verified_only,
        "secret": keep(secret, _key_context(n, key.verified_only), passphrase),
    }
    envelope.write(out, "private key", header)


@dataclass(frozen=True, repr=False)
class PrivateKeyFile:
    """A private key file whose secret was not opened.

    Args:
        public: The public key.
        verified_only: Whether it opens only what was verified.
        secret: The primes, unopened.
    """

    public: PublicKey
    verified_only: bool
    secret: Kept

    def open(self, ask: Ask) -> PrivateKey:
        """Open the secret.

        Args:
            ask: Called for the passphrase, where there is one.

        Returns:
            The key.

        Raises:
            FormatError: The primes are not those of the public key.
            HecliError: The passphrase is wrong.
        """
        return _private(self.public.n, self.secret.open(ask), self.secret.name, self.verified_only)


def parse_private_key(reader: Reader) -> PrivateKeyFile:
    """Read a private key file without opening its secret.

    Args:
        reader: The opened file.

    Returns:
        What it holds.

    Raises:
        FormatError: It is none, or not sound; or its primes, where they are
            in the clear, are not those of the public key.
    """
    reader.require("private key")
    reader.require_sections()
    header, name = reader.header, reader.name
    fields(header, name, "its header", {"n": bytes, "verified_only": bool, "secret": dict})
    n, verified_only = parse_int(header["n"], name), header["verified_only"]
    secret = Kept.parse(header["secret"], 2 * plaintext_size(n), _key_context(n, verified_only), name)
    if secret.clear is not None:
        return PrivateKeyFile(_private(n, secret.clear, name, verified_only).public, verified_only, secret)
    key = PublicKey(n)
    sound(key, name)
    return PrivateKeyFile(key, verified_only, secret)


def read_private_key(reader: Reader, ask: Ask) -> PrivateKey:
    """Read a private key file, and open its secret.

    Args:
        reader: The opened file.
        ask: Called for the passphrase, where there is one.

    Returns:
        The key.

    Raises:
        FormatError: It is none, or not sound.
        HecliError: The passphrase is wrong.
    """
    return parse_private_key(reader).open(ask)


def write_share(share: Share, out: BinaryIO, passphrase: str | None = None, card: Card | None = None) -> None:
    """Write a share file.

    Args:
        share: The share.
        out: Where to.
        passphrase: What it is under, if anything.
        card: Whom it is sealed to, if anybody.
    """
    key = share.key
    secret = share.value.to_bytes(ciphertext_size(key.n), "big")
    header = {
        "n": int_bytes(key.n),
        "dealing": dealing_map(key),
        "index": share.index,
        "verified_only": share.verified_only,
        "secret": keep(secret, _share_context(key, share.index, share.verified_only), passphrase, card),
    }
    envelope.write(out, "share", header)


@dataclass(frozen=True, repr=False)
class ShareFile:
    """A share file whose secret was not opened.

    Args:
        key: What everybody may know of the key.
        index: The number of the share, from 1.
        verified_only: Whether it opens only what was verified.
        secret: The share, unopened.
    """

    key: ThresholdKey
    index: int
    verified_only: bool
    secret: Kept

    def open(self, ask: Ask, identity: Identity | None = None) -> Share:
        """Open the share.

        Args:
            ask: Called for the passphrase, where there is one.
            identity: Whose card it is sealed to, where it is.

        Returns:
            The share.

        Raises:
            FormatError: It is not the share that its key says.
            HecliError: The passphrase is wrong, or the identity.
        """
        value = int.from_bytes(self.secret.open(ask, identity), "big")
        if not check_share(self.key, self.index, value):
            raise FormatError(f"{self.secret.name}: its share does not fit its key")
        return Share(self.key, self.index, value, self.verified_only)


def parse_share(reader: Reader) -> ShareFile:
    """Read a share file without opening its secret.

    Args:
        reader: The opened file.

    Returns:
        What it holds.

    Raises:
        FormatError: It is none, or not sound.
    """
    reader.require("share")
    reader.require_sections()
    header, name = reader.header, reader.name
    fields(
        header,
        name,
        "its header",
        {
            "n": bytes,
            "dealing": dict,
            "index": int,
            "verified_only": bool,
            "secret": dict,
        },
    )
    n = parse_int(header["n"], name)
    key = _parse_dealing(header["dealing"], n, name)
    index = header["index"]
    if not 1 <= index <= key.shares:
        raise FormatError(f"{name}: is share {index} of {key.shares}")
    sound(PublicKey(n, key), name)
    context = _share_context(key, index, header["verified_only"])
    secret = Kept.parse(header["secret"], ciphertext_size(n), context, name, to_card=True)
    return ShareFile(key, index, header["verified_only"], secret)


def read_share(reader: Reader, ask: Ask, identity: Identity | None = None) -> Share:
    """Read a share file, and open its secret.

    Args:
        reader: The opened file.
        ask: Called for the passphrase, where there is one.
        identity: Whose card it is sealed to, where it is.

    Returns:
        The share.

    Raises:
        FormatError: It is none, or not sound.
        HecliError: The passphrase is wrong, or the identity.
    """
    return parse_share(reader).open(ask, identity)


def _private(n: int, secret: bytes, name: str, verified_only: bool) -> PrivateKey:
    half = len(secret) // 2
    p, q = (int.from_bytes(each, "big") for each in (secret[:half], secret[half:]))
    key = PrivateKey(p, q, verified_only)
    if key.p * key.q != n:
        raise FormatError(f"{name}: its primes do not make its modulus")
    sound(key, name)
    return key


def _key_context(n: int, verified_only: bool) -> bytes:
    """What a private key is bound to."""
    return pack([int_bytes(n), verified_only])


def _share_context(key: ThresholdKey, index: int, verified_only: bool) -> bytes:
    """What a share is bound to."""
    return pack([dealing_digest(key), index, verified_only])


def _parse_dealing(value: Map, n: int, name: str) -> ThresholdKey:
    fields(value, name, "its dealing", {"threshold": int, "v": bytes, "keys": list})
    if not all(isinstance(key, bytes) for key in value["keys"]):
        raise FormatError(f"{name}: its dealing is malformed")
    v, *keys = (parse_int(each, name, WIDE_LIMIT) for each in (value["v"], *value["keys"]))
    return ThresholdKey(n, value["threshold"], v, tuple(keys))
