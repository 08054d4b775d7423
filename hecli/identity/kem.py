"""ML-KEM-768 (FIPS 203), of `cryptography`: secrets sent to a key, so that no quantum computer reads them."""

from functools import lru_cache

# Imported inside: most commands seal nothing, and the import takes as long as they do to start.
# ruff: noqa: PLC0415

SEED_SIZE = 64
"""Bytes of a private key, as the seeds d and z that it is made from."""

PUBLIC_SIZE = 1184
COEFFICIENTS = 1152
"""Bytes of a public key before its seed."""

CIPHERTEXT_SIZE = 1088


def generate() -> bytes:
    """A fresh private key, 64 bytes."""
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    return MLKEM768PrivateKey.generate().private_bytes_raw()


@lru_cache(64)
def public_key(seed: bytes) -> bytes:
    """Derive a public key.

    Args:
        seed: A private key, 64 bytes.

    Returns:
        Its public key, 1184 bytes.

    Raises:
        ValueError: The length is wrong.
    """
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    return MLKEM768PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def is_key(public: bytes) -> bool:
    """Tell whether bytes are a public key (FIPS 203, section 7.2).

    Args:
        public: The bytes.

    Returns:
        Whether they are.
    """
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

    try:
        MLKEM768PublicKey.from_public_bytes(public)
    except ValueError:
        return False
    # With all coefficients 0 everybody receives what is sent.
    return any(public[:COEFFICIENTS])


def encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """Draw a secret and send it to a key.

    Args:
        public: The public key, 1184 bytes.

    Returns:
        The secret, 32 bytes, and what carries it, 1088 bytes.

    Raises:
        ValueError: It is no public key.
    """
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

    return MLKEM768PublicKey.from_public_bytes(public).encapsulate()


def decapsulate(seed: bytes, ciphertext: bytes) -> bytes:
    """Receive a secret; whatever was not sent to this key gives another, which nobody knows.

    Args:
        seed: The private key, 64 bytes.
        ciphertext: What carries the secret, 1088 bytes.

    Returns:
        The secret, 32 bytes.

    Raises:
        ValueError: A length is wrong.
    """
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
