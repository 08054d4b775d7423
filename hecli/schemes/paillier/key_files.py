"""Key files: hecli's own, with or without a passphrase, and pheutil's JWK."""

import base64
import binascii
import json
from dataclasses import dataclass

from hecli.errors import FormatError, HecliError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import Reader
from hecli.identity.passphrase import check_sealed, seal, unseal

MODULUS_LIMIT = 2048
"""Bytes; no modulus longer than 16,384 bits is read."""


def public_key_header(n: int, dealing: Map | None = None) -> Map:
    """The header of a public key file: n, and beside it how a key that is in shares was dealt."""
    return {"n": int_bytes(n)} if dealing is None else {"n": int_bytes(n), "dealing": dealing}


def parse_public_key(reader: Reader) -> tuple[int, Map | None]:
    """N from a public key file, and how it was dealt; raises FormatError."""
    hint = "pass the .pub file that stands beside it" if reader.kind == "private key" else None
    reader.require("public key", hint=hint)
    reader.require_body(0, 0)
    fields(reader.header, reader.name, "its header", {"n": bytes}, {"dealing": dict})
    return parse_int(reader.header["n"], reader.name), reader.header.get("dealing")


@dataclass(frozen=True, repr=False)
class PrivateKeyFile:
    """A private key file: n in the clear, and the primes, sealed or not."""

    n: int
    primes: tuple[int, int] | None
    sealed: Map | None

    def header(self) -> Map:
        """The header map of the file."""
        if self.primes is not None:
            p, q = self.primes
            return {"n": int_bytes(self.n), "p": int_bytes(p), "q": int_bytes(q)}
        return {"n": int_bytes(self.n), "sealed": self.sealed}

    @classmethod
    def parse(cls, reader: Reader) -> "PrivateKeyFile":
        """Read the file without opening a sealed key; raises FormatError."""
        hint = "pass the .key file that stands beside it" if reader.kind == "public key" else None
        reader.require("private key", hint=hint)
        reader.require_body(0, 0)
        header, name = reader.header, reader.name
        if "sealed" not in header:
            fields(header, name, "its header", {"n": bytes, "p": bytes, "q": bytes})
            primes = (parse_int(header["p"], name), parse_int(header["q"], name))
            return cls(parse_int(header["n"], name), primes, None)
        fields(header, name, "its header", {"n": bytes, "sealed": dict})
        check_sealed(header["sealed"], name)
        return cls(parse_int(header["n"], name), None, header["sealed"])

    def seal(self, passphrase: str) -> "PrivateKeyFile":
        """The same key with its primes under a passphrase."""
        if self.primes is None:
            return self
        # As wide as n, for the primes of another tool's key may differ in length.
        width = len(int_bytes(self.n))
        opened = b"".join(prime.to_bytes(width, "big") for prime in self.primes)
        return PrivateKeyFile(self.n, None, seal(opened, passphrase, int_bytes(self.n)))

    def open(self, passphrase: str, name: str) -> tuple[int, int]:
        """The primes; raises HecliError where the passphrase is wrong."""
        if self.sealed is None:
            raise HecliError(f"{name}: has no passphrase")
        half = len(int_bytes(self.n))
        opened = unseal(self.sealed, passphrase, int_bytes(self.n), 2 * half, name)
        return int.from_bytes(opened[:half], "big"), int.from_bytes(opened[half:], "big")


def parse_jwk(data: bytes, name: str) -> tuple[int, tuple[int, int] | None]:
    """n, and p and q where it is a private key, from a key file of pheutil's.

    Raises FormatError.
    """
    try:
        jwk = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: is not JSON", "give a key file written by pheutil") from error
    match jwk:
        case {"kty": "DAJ", "p": str(p), "q": str(q), "pub": {"n": str(n)}}:
            return _jwk_int(n, name), (_jwk_int(p, name), _jwk_int(q, name))
        case {"kty": "DAJ", "alg": "PAI-GN1", "n": str(n)}:
            return _jwk_int(n, name), None
    raise FormatError(f"{name}: is not a Paillier key of pheutil's", "give a key file written by pheutil")


def jwk(n: int, primes: tuple[int, int] | None, fingerprint: str) -> bytes:
    """The key as pheutil writes it: a public JWK, or a private one with the public inside."""
    public = {
        "kty": "DAJ",
        "alg": "PAI-GN1",
        "key_ops": ["encrypt"],
        "n": _jwk_text(n),
        "kid": f"Paillier public key {fingerprint} exported by hecli",
    }
    if primes is None:
        return json.dumps(public).encode() + b"\n"
    private = {
        "kty": "DAJ",
        "key_ops": ["decrypt"],
        "p": _jwk_text(primes[0]),
        "q": _jwk_text(primes[1]),
        "pub": public,
        "kid": f"Paillier private key {fingerprint} exported by hecli",
    }
    return json.dumps(private).encode() + b"\n"


def int_bytes(value: int) -> bytes:
    """A positive integer as big-endian bytes, as many as it needs."""
    return value.to_bytes(-(-value.bit_length() // 8), "big")


def parse_int(data: bytes, name: str, limit: int = MODULUS_LIMIT) -> int:
    """The integer that `int_bytes` wrote; raises FormatError for leading zeros or more than `limit` bytes."""
    if not data or data[0] == 0 or len(data) > limit:
        raise FormatError(f"{name}: a number in it is not in canonical form")
    return int.from_bytes(data, "big")


def _jwk_text(value: int) -> str:
    return base64.urlsafe_b64encode(int_bytes(value)).rstrip(b"=").decode()


def _jwk_int(text: str, name: str) -> int:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise FormatError(f"{name}: a number in it is not base64url") from error
    if not data or len(data) > MODULUS_LIMIT:
        raise FormatError(f"{name}: a number in it is missing or too long")
    return int.from_bytes(data, "big")
