"""Cards, the public half of an identity, and the signatures made with the other half."""

from typing import NamedTuple

from hecli.errors import FormatError
from hecli.formats.canonical import VERSION, bin_size, digest_of, pack
from hecli.formats.names import NAME_LIMIT, check_name

KEY_SIZE = 32
SIGNATURE_SIZE = 64
PACKED_LIMIT = 8 + 4 * NAME_LIMIT + 2 * bin_size(KEY_SIZE) + bin_size(SIGNATURE_SIZE)
"""Most bytes of a signature as it stands in a trailer."""


class Card(NamedTuple):
    """Who somebody is: a name, an Ed25519 key to check signatures, an X25519 key to agree secrets."""

    name: str
    sign: bytes
    agree: bytes

    @property
    def fingerprint(self) -> str:
        """What people read to each other: 20 bytes of a digest over all of the card."""
        digits = digest_of("card", pack(list(self)))[:20].hex()
        return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))

    @classmethod
    def parse(cls, value: object, file: str) -> "Card":
        """The card in a header; raises FormatError."""
        match value:
            case [str(name), bytes(sign), bytes(agree)] if len(sign) == len(agree) == KEY_SIZE:
                _check_name(name, file)
                return cls(name, sign, agree)
        raise FormatError(f"{file}: a card in it is malformed")


class Signature(NamedTuple):
    """A signature under a file, with the card of whoever made it."""

    card: Card
    value: bytes

    def pack(self) -> list[str | bytes]:
        """The signature as it stands in a trailer."""
        return [*self.card, self.value]

    @classmethod
    def parse(cls, value: object, file: str) -> "Signature":
        """The signature in a trailer; raises FormatError."""
        match value:
            case [name, sign, agree, bytes(signature)] if len(signature) == SIGNATURE_SIZE:
                return cls(Card.parse([name, sign, agree], file), signature)
        raise FormatError(f"{file}: its signature is malformed")


def signed_message(kind: str, plan: bytes, card: Card, digest: bytes) -> bytes:
    """What a signature is made over: a domain label, the file's kind, its plan, the signer, its digest.

    `plan` is the digest of the plan the file follows, empty where there is none.
    """
    return f"hecli signature v{VERSION}\0".encode() + pack([kind, plan, *card, digest])


def _check_name(name: str, file: str) -> None:
    try:
        check_name(name)
    except FormatError as error:
        raise FormatError(f"{file}: {error.message}") from error
