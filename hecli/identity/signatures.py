"""Who makes a file, and the proof of it: identities, and signatures under files."""

from dataclasses import dataclass

from hecli.errors import FormatError
from hecli.formats.cards import Card, Signature, signed_message
from hecli.formats.envelope import Reader, Sign
from hecli.formats.names import check_name
from hecli.identity import curves

FORGED = "it was altered, or somebody else made it: get it from its maker, over another channel"


@dataclass(frozen=True, repr=False)
class Identity:
    """A long-lived identity: the public card, and the secrets of its two keys (32 bytes each)."""

    card: Card
    sign_secret: bytes
    agree_secret: bytes

    @classmethod
    def generate(cls, name: str) -> "Identity":
        """A fresh identity; raises FormatError for what cannot be a name."""
        check_name(name)
        secrets = curves.generate()
        return cls(Card(name, *curves.public_keys(*secrets)), *secrets)

    def check(self, file: str) -> None:
        """Raise FormatError unless the secrets are those of the card."""
        try:
            keys = curves.public_keys(self.sign_secret, self.agree_secret)
        except ValueError as error:
            raise FormatError(f"{file}: its secrets have the wrong length") from error
        if keys != self.card[1:]:
            raise FormatError(f"{file}: its secrets are not those of its card")


def signer(identity: Identity | None, kind: str, plan: bytes = b"") -> Sign | None:
    """What signs a file of this kind that follows the plan with this digest; None for nobody."""
    if identity is None:
        return None

    def sign(digest: bytes) -> Signature:
        message = signed_message(kind, plan, identity.card, digest)
        return Signature(identity.card, curves.sign(identity.sign_secret, message))

    return sign


def signer_of(reader: Reader, plan: bytes = b"") -> Card | None:
    """Who signed a file, None where nobody did; raises FormatError where the signature does not hold."""
    signature = reader.signature
    if signature is None:
        return None
    check_signature(signature, reader.kind, plan, reader.digest, f"{reader.name}: the signature")
    return signature.card


def check_signature(signature: Signature, kind: str, plan: bytes, digest: bytes, what: str) -> None:
    """Raise FormatError, naming `what`, unless the signature holds for such a file."""
    card = signature.card
    if not curves.is_signed(card.sign, signature.value, signed_message(kind, plan, card, digest)):
        raise FormatError(f"{what} of {card.name} does not hold", FORGED)
