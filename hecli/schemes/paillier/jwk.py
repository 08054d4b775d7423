"""Keys exchanged with pheutil, as JSON Web Keys."""

import base64
import binascii
import json
from typing import BinaryIO

from hecli.errors import FormatError
from hecli.formats.numbers import MODULUS_LIMIT, int_bytes
from hecli.formats.reader import name_of
from hecli.schemes.paillier.keys import PrivateKey, PublicKey, sound

SIZE_LIMIT = 1 << 20


def read_jwk(source: BinaryIO) -> PublicKey | PrivateKey:
    """Read a key file of pheutil's.

    Args:
        source: The file.

    Returns:
        The public or the private key.

    Raises:
        FormatError: It is none, or worthless.
    """
    name = name_of(source)
    try:
        jwk = json.loads(source.read(SIZE_LIMIT))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: is not JSON", "give a key file written by pheutil") from error
    match jwk:
        case {"kty": "DAJ", "p": str(p), "q": str(q), "pub": {"n": str(n)}}:
            private = PrivateKey(_int(p, name), _int(q, name))
            if private.public.n != _int(n, name):
                raise FormatError(f"{name}: its primes do not make its modulus")
            sound(private, name)
            return private
        case {"kty": "DAJ", "alg": "PAI-GN1", "n": str(n)}:
            public = PublicKey(_int(n, name))
            sound(public, name)
            return public
    raise FormatError(f"{name}: is not a Paillier key of pheutil's", "give a key file written by pheutil")


def write_jwk(key: PublicKey | PrivateKey, out: BinaryIO) -> None:
    """Write a key as pheutil does: a public one, or a private one with the public inside.

    Args:
        key: The key.
        out: Where to.
    """
    public = key.public if isinstance(key, PrivateKey) else key
    inner = {
        "kty": "DAJ",
        "alg": "PAI-GN1",
        "key_ops": ["encrypt"],
        "n": _text(public.n),
        "kid": f"Paillier public key {public.fingerprint} exported by hecli",
    }
    if isinstance(key, PrivateKey):
        outer = {
            "kty": "DAJ",
            "key_ops": ["decrypt"],
            "p": _text(key.p),
            "q": _text(key.q),
            "pub": inner,
            "kid": f"Paillier private key {public.fingerprint} exported by hecli",
        }
        out.write(json.dumps(outer).encode() + b"\n")
    else:
        out.write(json.dumps(inner).encode() + b"\n")


def _text(value: int) -> str:
    return base64.urlsafe_b64encode(int_bytes(value)).rstrip(b"=").decode()


def _int(text: str, name: str) -> int:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{name}: a number in it is not base64url") from error
    if not data or len(data) > MODULUS_LIMIT:
        raise FormatError(f"{name}: a number in it is missing or too long")
    return int.from_bytes(data, "big")
