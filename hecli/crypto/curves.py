"""Ed25519 to sign and X25519 to agree secrets, both of `cryptography`: keys and signatures as bytes."""

# Imported inside: most commands sign nothing, and the import takes as long as they do to start.
# ruff: noqa: PLC0415


def generate() -> tuple[bytes, bytes]:
    """Fresh secrets: an Ed25519 private key and an X25519 private key, 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw(), X25519PrivateKey.generate().private_bytes_raw()


def public_keys(sign: bytes, agree: bytes) -> tuple[bytes, bytes]:
    """The public keys of two secrets, 32 bytes each; raises ValueError for a wrong length."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    signing = Ed25519PrivateKey.from_private_bytes(sign).public_key()
    agreeing = X25519PrivateKey.from_private_bytes(agree).public_key()
    return signing.public_bytes_raw(), agreeing.public_bytes_raw()


def is_weak(sign: bytes, agree: bytes) -> bool:
    """Whether one of two public keys is a point of small order, for which many signatures hold.

    An Edwards point is one if and only if its Montgomery image, u = (1 + y) /
    (1 - y) (RFC 7748, section 4.1), is; and X25519 refuses those.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    prime = 2**255 - 19
    y = int.from_bytes(sign, "little") & ((1 << 255) - 1)
    u = (1 + y) * pow(1 - y, -1, prime) % prime if (1 - y) % prime else 0
    try:
        for public in (agree, u.to_bytes(32, "little")):
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return True
    return False


def sign(secret: bytes, message: bytes) -> bytes:
    """The Ed25519 signature (RFC 8032), 64 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(secret).sign(message)


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the Ed25519 signature holds."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
