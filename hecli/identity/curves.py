"""Ed25519 to sign and X25519 to agree secrets, both of `cryptography`: keys and signatures as bytes."""

from functools import lru_cache

from hecli.formats.canonical import label_of, pack

# Imported inside: most commands sign nothing, and the import takes as long as they do to start.
# ruff: noqa: PLC0415


def generate() -> tuple[bytes, bytes]:
    """Fresh secrets: an Ed25519 private key and an X25519 private key, 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw(), X25519PrivateKey.generate().private_bytes_raw()


def public_keys(sign: bytes, agree: bytes) -> tuple[bytes, bytes]:
    """Derive the public keys of two secrets.

    Args:
        sign: An Ed25519 private key, 32 bytes.
        agree: An X25519 private key, 32 bytes.

    Returns:
        Their public keys, 32 bytes each.

    Raises:
        ValueError: A length is wrong.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    signing = Ed25519PrivateKey.from_private_bytes(sign).public_key()
    agreeing = X25519PrivateKey.from_private_bytes(agree).public_key()
    return signing.public_bytes_raw(), agreeing.public_bytes_raw()


@lru_cache(1024)
def is_weak(sign: bytes, agree: bytes) -> bool:
    """Tell whether one of two public keys is a point of small order, for which many signatures hold.

    An Edwards point is one if and only if its Montgomery image, u = (1 + y) /
    (1 - y) (RFC 7748, section 4.1), is; and X25519 refuses those.

    Args:
        sign: An Ed25519 public key, 32 bytes.
        agree: An X25519 public key, 32 bytes.

    Returns:
        Whether one is.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    prime = 2**255 - 19
    y = int.from_bytes(sign, "little") & ((1 << 255) - 1)
    u = (1 + y) * pow(1 - y, -1, prime) % prime if (1 - y) % prime else 0
    # Any private key finds them: all are multiples of eight, the order of these points.
    probe = X25519PrivateKey.from_private_bytes(bytes(32))
    try:
        for public in (agree, u.to_bytes(32, "little")):
            probe.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return True
    return False


def sign(secret: bytes, message: bytes) -> bytes:
    """Sign.

    Args:
        secret: An Ed25519 private key, 32 bytes.
        message: What to sign.

    Returns:
        The signature (RFC 8032), 64 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(secret).sign(message)


@lru_cache(1024)
def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature holds; a training meets the same ones again and again.

    Args:
        public: An Ed25519 public key, 32 bytes.
        signature: The signature.
        message: What was signed.

    Returns:
        Whether it does.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def fresh_agreement() -> tuple[bytes, bytes]:
    """A fresh X25519 private key and its public key, 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    secret = X25519PrivateKey.generate()
    return secret.private_bytes_raw(), secret.public_key().public_bytes_raw()


def agreement_public(secret: bytes) -> bytes:
    """Derive a public key to agree with.

    Args:
        secret: An X25519 private key, 32 bytes.

    Returns:
        Its public key, 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret: bytes, public: bytes) -> bytes:
    """Agree a secret.

    Args:
        secret: One's own X25519 private key, 32 bytes.
        public: The other's public key, 32 bytes.

    Returns:
        The 32 bytes that both agree (RFC 7748).

    Raises:
        ValueError: The public key is of small order.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def derive(secret: bytes, label: str, context: list[object]) -> bytes:
    """Derive a key of 32 bytes for one use: HKDF-SHA256 (RFC 5869) without salt.

    Args:
        secret: What two parties agreed, or a seed.
        label: What the key is for.
        context: What else it is bound to, as msgpack can hold it.

    Returns:
        The key, 32 bytes.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = label_of(label) + pack(context)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def encrypt_under(key: bytes, nonce: bytes | None, secret: bytes, associated: bytes | None) -> bytes:
    """Encrypt with ChaCha20-Poly1305 (RFC 8439).

    Args:
        key: 32 bytes.
        nonce: 12 bytes; None is zeros, for a key used once.
        secret: What to encrypt.
        associated: What it is bound to besides, if anything.

    Returns:
        The box, 16 bytes longer than the secret.
    """
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(nonce or bytes(12), secret, associated)


def decrypt_under(key: bytes, nonce: bytes | None, box: bytes, associated: bytes | None) -> bytes:
    """Open a box.

    Args:
        key: 32 bytes.
        nonce: As it was encrypted.
        box: What `encrypt_under` gave.
        associated: As it was encrypted.

    Returns:
        The secret.

    Raises:
        ValueError: It is something else.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(nonce or bytes(12), box, associated)
    except InvalidTag as error:
        raise ValueError("the box does not open") from error
