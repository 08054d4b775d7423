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


def fresh_agreement() -> tuple[bytes, bytes]:
    """A fresh X25519 private key and its public key, 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    secret = X25519PrivateKey.generate()
    return secret.private_bytes_raw(), secret.public_key().public_bytes_raw()


def agreement_public(secret: bytes) -> bytes:
    """The X25519 public key of a private key, both 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret: bytes, public: bytes) -> bytes:
    """The 32 bytes that X25519 agrees; raises ValueError for a public key of small order."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))


def derive(shared: bytes, info: bytes, size: int = 32) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(shared)


def encrypt_once(shared: bytes, info: bytes, secret: bytes) -> bytes:
    """ChaCha20-Poly1305 under a key from `shared`, which must be fresh: the nonce is zero."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(derive(shared, info)).encrypt(bytes(12), secret, None)


def decrypt_once(shared: bytes, info: bytes, box: bytes) -> bytes:
    """What `encrypt_once` encrypted; raises ValueError where it is something else."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(derive(shared, info)).decrypt(bytes(12), box, None)
    except InvalidTag as error:
        raise ValueError("the box does not open") from error
