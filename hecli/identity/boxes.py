"""Secrets sealed to a card, so that only its identity can open them.

A fresh X25519 key, HKDF-SHA256 over what it agrees with the card's, and
ChaCha20-Poly1305 under that key, which is used once.
"""

from hecli.errors import HecliError
from hecli.formats.canonical import VERSION, pack
from hecli.formats.cards import KEY_SIZE, Card
from hecli.identity import curves
from hecli.identity.signatures import Identity


def seal(secret: bytes, card: Card, context: bytes) -> bytes:
    """`secret` for the holder of `card`, bound to the bytes `context`: an X25519 key, then the box."""
    own, public = curves.fresh_agreement()
    shared = curves.agree(own, card.agree)
    return public + curves.encrypt_once(shared, _info(public, card, context), secret)


def unseal(box: bytes, identity: Identity, context: bytes, name: str) -> bytes:
    """What `seal` sealed; raises HecliError where it was not for this identity and context."""
    public = box[:KEY_SIZE]
    try:
        shared = curves.agree(identity.agree_secret, public)
        return curves.decrypt_once(shared, _info(public, identity.card, context), box[KEY_SIZE:])
    except ValueError as error:
        raise HecliError(
            f"{name}: is not sealed to {identity.card.name}", "pass the identity it was made for"
        ) from error


def _info(public: bytes, card: Card, context: bytes) -> bytes:
    return f"hecli box v{VERSION}\0".encode() + pack([public, *card, context])
