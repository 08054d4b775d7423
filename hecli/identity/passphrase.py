"""Secrets under a passphrase: scrypt and ChaCha20-Poly1305."""

import os
from typing import Any

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, fields

LOG_N = 17
LOG_N_LIMIT = 18
SALT_SIZE = 16
NONCE_SIZE = 12


def seal(secret: bytes, passphrase: str, associated: bytes) -> Map:
    """`secret` under a passphrase, as it stands in a header; bound to the bytes `associated`."""
    salt, nonce = os.urandom(SALT_SIZE), os.urandom(NONCE_SIZE)
    box = _cipher(passphrase, salt, LOG_N).encrypt(nonce, secret, associated)
    return {"log_n": LOG_N, "salt": salt, "nonce": nonce, "box": box}


def check_sealed(sealed: Map, name: str) -> None:
    """Raise FormatError unless `sealed` may be what `seal` gave."""
    fields(sealed, name, "its sealed part", {"log_n": int, "salt": bytes, "nonce": bytes, "box": bytes})
    if not 10 <= sealed["log_n"] <= LOG_N_LIMIT:
        raise FormatError(f"{name}: asks for scrypt with N = 2^{sealed['log_n']}")
    if len(sealed["salt"]) != SALT_SIZE or len(sealed["nonce"]) != NONCE_SIZE:
        raise FormatError(f"{name}: its salt or nonce has the wrong length")


def unseal(sealed: Map, passphrase: str, associated: bytes, size: int, name: str) -> bytes:
    """The secret of `size` bytes; raises HecliError where the passphrase is wrong, FormatError."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415

    cipher = _cipher(passphrase, sealed["salt"], sealed["log_n"])
    try:
        secret: bytes = cipher.decrypt(sealed["nonce"], sealed["box"], associated)
    except InvalidTag as error:
        raise HecliError(f"{name}: wrong passphrase", "try again; it cannot be recovered") from error
    if len(secret) != size:
        raise FormatError(f"{name}: its sealed part has the wrong length")
    return secret


def _cipher(passphrase: str, salt: bytes, log_n: int) -> Any:
    # Imported here because it takes longer to import than most commands take to run.
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415

    key = Scrypt(salt=salt, length=32, n=1 << log_n, r=8, p=1).derive(
        passphrase.encode(errors="surrogateescape")
    )
    return ChaCha20Poly1305(key)
