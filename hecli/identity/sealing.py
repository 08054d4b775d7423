"""Secrets as they stand in files: in the clear, under a passphrase, or sealed to a card.

One way for keys, identities and shares alike. Under a passphrase: scrypt and
ChaCha20-Poly1305. To a card: HKDF-SHA256 over two secrets, one sent to the
card's ML-KEM key and one that a fresh X25519 key agrees with the card's, and
ChaCha20-Poly1305 under that key, which is used once. It stays closed while
either of the two holds. They are joined in the order of X25519MLKEM768
(draft-ietf-tls-ecdhe-mlkem, section 4.3), and as there the key is bound to both
public parts and to all that was said: D. Connolly et al., "X-Wing" (2024), is
why a key that is bound to both public parts is no weaker than the stronger half.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import KEY_SIZE
from hecli.identity import curves, kem
from hecli.identity.cards import Card
from hecli.identity.signatures import Identity

LOG_N = 17
LOG_N_LEAST, LOG_N_LIMIT = 10, 18
SALT_SIZE = 16
NONCE_SIZE = 12
TAG_SIZE = 16
SENT_SIZE = KEY_SIZE + kem.CIPHERTEXT_SIZE
SEAL_SIZE = SENT_SIZE + TAG_SIZE
"""Bytes by which a sealed box is longer than what is in it."""

NEW_CARD = "have them make a new identity"

Ask = Callable[[], str]
"""Asks for the passphrase."""


def keep(secret: bytes, context: bytes, passphrase: str | None = None, card: Card | None = None) -> Map:
    """Write a secret as it stands in a header.

    Args:
        secret: The secret.
        context: What it belongs to, without which it does not open.
        passphrase: What it is under, if anything.
        card: Whom it is sealed to, if anybody.

    Returns:
        The map.
    """
    if card is not None:
        return {"card": list(card), "box": seal(secret, card, context)}
    if passphrase is None:
        return {"clear": secret}
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    box = curves.encrypt_under(_key(passphrase, salt, LOG_N), nonce, secret, context)
    return {"passphrase": {"log_n": LOG_N, "salt": salt, "nonce": nonce, "box": box}}


@dataclass(frozen=True, repr=False)
class Kept:
    """A secret as a file holds it.

    Args:
        clear: The secret, where it is not sealed.
        sealed: How it is under a passphrase, where it is.
        card: Whom it is sealed to, where it is.
        box: What is sealed to the card.
        context: What it belongs to.
        name: The file, for errors.
    """

    clear: bytes | None
    sealed: Map | None
    card: Card | None
    box: bytes
    context: bytes
    name: str

    @classmethod
    def parse(cls, value: object, size: int, context: bytes, name: str, *, to_card: bool = False) -> "Kept":
        """Read what `keep` wrote, without opening it.

        Args:
            value: What stands in the header.
            size: The secret's size in bytes.
            context: What it belongs to.
            name: The file, for errors.
            to_card: Whether such a secret may be sealed to a card.

        Returns:
            It, unopened.

        Raises:
            FormatError: It is no such secret.
        """
        what = "its secret"
        if isinstance(value, dict) and "clear" in value:
            fields(value, name, what, {"clear": bytes})
            _check_size(value["clear"], size, name)
            return cls(value["clear"], None, None, b"", context, name)
        if isinstance(value, dict) and "card" in value and to_card:
            fields(value, name, what, {"card": list, "box": bytes})
            _check_size(value["box"], SEAL_SIZE + size, name)
            return cls(None, None, Card.parse(value["card"], name), value["box"], context, name)
        fields(value, name, what, {"passphrase": dict})
        assert isinstance(value, dict)
        sealed = value["passphrase"]
        fields(sealed, name, what, {"log_n": int, "salt": bytes, "nonce": bytes, "box": bytes})
        if not LOG_N_LEAST <= sealed["log_n"] <= LOG_N_LIMIT:
            raise FormatError(f"{name}: asks for scrypt with N = 2^{sealed['log_n']}")
        if len(sealed["salt"]) != SALT_SIZE or len(sealed["nonce"]) != NONCE_SIZE:
            raise FormatError(f"{name}: its salt or nonce has the wrong length")
        _check_size(sealed["box"], size + TAG_SIZE, name)
        return cls(None, sealed, None, b"", context, name)

    def open(self, ask: Ask, identity: Identity | None = None) -> bytes:
        """Open the secret.

        Args:
            ask: Called for the passphrase, where there is one.
            identity: Whose card it is sealed to, where it is.

        Returns:
            The secret.

        Raises:
            HecliError: The passphrase is wrong, or the identity.
        """
        if self.clear is not None:
            return self.clear
        if self.card is not None:
            if identity is None:
                raise HecliError(
                    f"{self.name}: is sealed to {self.card.name}", "pass --identity, their .id file"
                )
            return unseal(self.box, identity, self.context, self.name)
        sealed = self.sealed or {}
        key = _key(ask(), sealed["salt"], sealed["log_n"])
        try:
            return curves.decrypt_under(key, sealed["nonce"], sealed["box"], self.context)
        except ValueError as error:
            raise HecliError(f"{self.name}: wrong passphrase", "try again; it cannot be recovered") from error


def seal(secret: bytes, card: Card, context: bytes) -> bytes:
    """Seal a secret for the holder of a card.

    Args:
        secret: The secret.
        card: Whom it is for.
        context: What it belongs to, without which it does not open.

    Returns:
        An X25519 public key, what carries the secret that is sent to the ML-KEM key, and the box.

    Raises:
        HecliError: The card's ML-KEM key is not known, or a key of it is none.
    """
    own, public = curves.fresh_agreement()
    try:
        sent, carrier = kem.encapsulate(card.known_key)
        key = _box_key(sent, curves.agree(own, card.agree), public + carrier, card, context)
    except ValueError as error:
        raise HecliError(f"nothing can be sealed to {card.name}, whose card is weak", NEW_CARD) from error
    return public + carrier + curves.encrypt_under(key, None, secret, None)


def unseal(box: bytes, identity: Identity, context: bytes, name: str) -> bytes:
    """Open what was sealed.

    Args:
        box: What `seal` gave.
        identity: Whom it was sealed to.
        context: What it belongs to.
        name: The file, for errors.

    Returns:
        The secret.

    Raises:
        HecliError: It was not for this identity and context.
    """
    public, carrier = box[:KEY_SIZE], box[KEY_SIZE:SENT_SIZE]
    try:
        sent = kem.decapsulate(identity.kem_secret, carrier)
        agreed = curves.agree(identity.agree_secret, public)
        key = _box_key(sent, agreed, public + carrier, identity.card, context)
        return curves.decrypt_under(key, None, box[SENT_SIZE:], None)
    except ValueError as error:
        raise HecliError(
            f"{name}: is not sealed to {identity.card.name}", "pass the identity it was made for"
        ) from error


def _box_key(sent: bytes, agreed: bytes, public: bytes, card: Card, context: bytes) -> bytes:
    # The card stands for both of its keys: of the one it holds the digest.
    return curves.derive(sent + agreed, "box", [public, *card, context])


def _check_size(data: bytes, size: int, name: str) -> None:
    if len(data) != size:
        raise FormatError(f"{name}: its secret has the wrong length")


def _key(passphrase: str, salt: bytes, log_n: int) -> bytes:
    # Imported here because it takes longer to import than most commands take to run.
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415

    scrypt = Scrypt(salt=salt, length=32, n=1 << log_n, r=8, p=1)
    return scrypt.derive(passphrase.encode(errors="surrogateescape"))
