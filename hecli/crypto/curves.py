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
