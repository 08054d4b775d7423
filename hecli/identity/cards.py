"""Cards, the public half of an identity, and the signatures made with the other half."""

from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import digest_of, fingerprint, label_of, pack
from hecli.formats.envelope import KEY_SIZE, SIGNATURE_SIZE
from hecli.identity import curves
from hecli.identity.names import check_person


class Card(NamedTuple):
    """Who somebody is.

    Args:
        name: Who it is.
        sign: An Ed25519 public key to check signatures, 32 bytes.
        agree: An X25519 public key to agree secrets, 32 bytes.
    """

    name: str
    sign: bytes
    agree: bytes

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
            case [str(name), bytes(sign), bytes(agree)] if len(sign) == len(agree) == KEY_SIZE:
                try:
                    check_person(name)
                except FormatError as error:
                    raise FormatError(f"{file}: {error.message}", error.hint) from error
                if curves.is_weak(sign, agree):
                    raise FormatError(f"{file}: a key of {name} lets anybody sign or agree in that name")
                return cls(name, sign, agree)
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
