"""Cards, the public half of an identity, and the signatures made with the other half."""

from typing import NamedTuple, Self

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import digest_of, fingerprint, label_of, pack
from hecli.formats.envelope import DIGEST_SIZE, KEY_SIZE, SIGNATURE_SIZE
from hecli.identity import curves, kem
from hecli.identity.names import check_person

OLD = "it was made before cards had an ML-KEM key: have them make a new one with hecli keygen --identity"


class _Fields(NamedTuple):
    """What a card is: two with the same are the same."""

    name: str
    sign: bytes
    agree: bytes
    kem: bytes


class Card(_Fields):
    """Who somebody is.

    The ML-KEM key is long and only needed to seal something to its owner. So what
    stands in files is its digest, which the fingerprint covers; the key itself
    is in card files and plan files alone.

    Args:
        name: Who it is.
        sign: An Ed25519 public key to check signatures, 32 bytes.
        agree: An X25519 public key to agree secrets, 32 bytes.
        kem: The digest of an ML-KEM-768 public key to send secrets to, 32 bytes.
        kem_key: That key itself, 1184 bytes, where it is known; not told to the constructor.
    """

    kem_key: bytes | None = None

    @classmethod
    def of(cls, name: str, sign: bytes, agree: bytes, kem_key: bytes) -> "Card":
        """Make a card of its keys.

        Args:
            name: Who it is.
            sign: The Ed25519 public key.
            agree: The X25519 public key.
            kem_key: The ML-KEM public key, 1184 bytes.

        Returns:
            The card, which knows all its keys.
        """
        card = cls(name, sign, agree, digest_of("kem", kem_key))
        card.kem_key = kem_key
        return card

    def knowing(self, kem_key: object, file: str) -> Self:
        """Give the same card with its ML-KEM key.

        Args:
            kem_key: What stands for the key.
            file: The file, for errors.

        Returns:
            The card.

        Raises:
            FormatError: It is no such key, or another card's.
        """
        if not isinstance(kem_key, bytes) or digest_of("kem", kem_key) != self.kem or not kem.is_key(kem_key):
            raise FormatError(f"{file}: the ML-KEM key of {self.name} is not that of the card")
        card = type(self)(*self)
        card.kem_key = kem_key
        return card

    @property
    def known_key(self) -> bytes:
        """The ML-KEM key; raises HecliError where it is not known."""
        if self.kem_key is None:
            raise HecliError(
                f"the ML-KEM key of {self.name} is not known here",
                "it is in their card file, and in the plan's own file: pass --plan",
            )
        return self.kem_key

    @property
    def fingerprint(self) -> str:
        """What people read to each other: 20 bytes of a digest over all of the card."""
        return fingerprint(digest_of("card", pack(list(self))))

    @classmethod
    def parse(cls, value: object, file: str) -> "Card":
        """Read a card, wherever it stands in a file.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            The card.

        Raises:
            FormatError: It is no card, or one of its keys is of small order.
        """
        match value:
            case [str(name), bytes(), bytes()]:
                raise FormatError(
                    f"{file}: the card of {name[:64]!r} has no key against quantum computers", OLD
                )
            case [str(name), bytes(sign), bytes(agree), bytes(kem)] if (
                len(sign) == len(agree) == KEY_SIZE and len(kem) == DIGEST_SIZE
            ):
                try:
                    check_person(name)
                except FormatError as error:
                    raise FormatError(f"{file}: {error.message}", error.hint) from error
                if curves.is_weak(sign, agree):
                    raise FormatError(f"{file}: a key of {name} lets anybody sign or agree in that name")
                return cls(name, sign, agree, kem)
        raise FormatError(f"{file}: a card in it is malformed")


class Signature(NamedTuple):
    """A signature under a file.

    Args:
        card: The card of whoever made it.
        value: The Ed25519 signature, 64 bytes.
    """

    card: Card
    value: bytes

    def pack(self) -> list[str | bytes]:
        """Write the signature as it stands in a trailer."""
        return [*self.card, self.value]

    @classmethod
    def parse(cls, value: list[object], file: str) -> "Signature":
        """Read a signature.

        Args:
            value: What stands in the trailer, whose form the envelope has checked.
            file: The file, for errors.

        Returns:
            The signature.

        Raises:
            FormatError: Its card is none.
        """
        *card, signature = value
        if not isinstance(signature, bytes) or len(signature) != SIGNATURE_SIZE:
            raise FormatError(f"{file}: its signature is malformed")
        return cls(Card.parse(card, file), signature)


def signed_message(kind: str, plan: bytes, card: Card, digest: bytes) -> bytes:
    """Give what a signature is made over.

    Args:
        kind: The file's kind.
        plan: The digest of the plan it follows, empty where there is none.
        card: The signer's card.
        digest: The file's digest.

    Returns:
        The bytes.
    """
    return label_of("signature") + pack([kind, plan, *card, digest])
