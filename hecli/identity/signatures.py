"""Who makes a file, and the proof of it: identities, and signatures under files."""

from dataclasses import dataclass

from hecli.errors import FormatError
from hecli.formats.envelope import Sign
from hecli.formats.reader import Reader
from hecli.identity import curves, kem
from hecli.identity.cards import Card, Signature, signed_message
from hecli.identity.names import check_person

FORGED = "it was altered, or somebody else made it: get it from its maker, over another channel"


@dataclass(frozen=True, repr=False)
class Identity:
    """A long-lived identity. It does not show its secrets when printed.

    Args:
        card: Its public half.
        sign_secret: The Ed25519 private key, 32 bytes.
        agree_secret: The X25519 private key, 32 bytes.
        kem_secret: The ML-KEM-768 private key, as its seeds, 64 bytes.
    """

    card: Card
    sign_secret: bytes
    agree_secret: bytes
    kem_secret: bytes

    @classmethod
    def generate(cls, name: str) -> "Identity":
        """Make a fresh identity.

        Args:
            name: Its name, that could be a file's.

        Returns:
            The identity.

        Raises:
            FormatError: That cannot be a name.
        """
        check_person(name)
        return cls.of(name, *curves.generate(), kem.generate())

    @classmethod
    def of(cls, name: str, sign: bytes, agree: bytes, kem_secret: bytes) -> "Identity":
        """Make an identity of its secrets.

        Args:
            name: Its name.
            sign: The Ed25519 private key.
            agree: The X25519 private key.
            kem_secret: The ML-KEM private key.

        Returns:
            The identity, whose card knows all its keys.

        Raises:
            ValueError: A length is wrong.
        """
        card = Card.of(name, *curves.public_keys(sign, agree), kem.public_key(kem_secret))
        return cls(card, sign, agree, kem_secret)


def signer(identity: Identity | None, kind: str, plan: bytes = b"") -> Sign | None:
    """Get ready to sign a file.

    Args:
        identity: Who signs, or nobody.
        kind: The kind of file.
        plan: The digest of the plan it follows, empty where there is none.

    Returns:
        What makes a signature of a file's digest; None for nobody.
    """
    if identity is None:
        return None

    def sign(digest: bytes) -> list[str | bytes]:
        message = signed_message(kind, plan, identity.card, digest)
        return Signature(identity.card, curves.sign(identity.sign_secret, message)).pack()

    return sign


def signature_of(reader: Reader) -> Signature | None:
    """Read the signature under a file.

    Args:
        reader: The opened file.

    Returns:
        The signature, which may not hold; None where there is none.

    Raises:
        FormatError: Its card is none.
    """
    return None if reader.signature is None else Signature.parse(reader.signature, reader.name)


def signer_of(reader: Reader, plan: bytes = b"") -> Card | None:
    """Say who signed a file.

    Args:
        reader: The opened file.
        plan: The digest of the plan it follows, empty where there is none.

    Returns:
        Their card, None for nobody.

    Raises:
        FormatError: The signature does not hold.
    """
    signature = signature_of(reader)
    if signature is None:
        return None
    check_signature(signature, reader.kind, plan, reader.digest, f"{reader.name}: the signature")
    return signature.card


def check_signature(signature: Signature, kind: str, plan: bytes, digest: bytes, what: str) -> None:
    """Refuse a signature that does not hold for such a file.

    Args:
        signature: The signature.
        kind: The kind of file.
        plan: The digest of the plan it follows.
        digest: The file's digest.
        what: What the signature is called in an error.

    Raises:
        FormatError: It does not hold.
    """
    card = signature.card
    if not curves.is_signed(card.sign, signature.value, signed_message(kind, plan, card, digest)):
        raise FormatError(f"{what} of {card.name} does not hold", FORGED)
