"""Key pairs: made, read, written, and exchanged with pheutil."""

from collections.abc import Callable
from typing import BinaryIO

from hecli.arithmetic.gmp import InvalidModulusError
from hecli.errors import FormatError
from hecli.formats import envelope
from hecli.formats.envelope import Reader
from hecli.rounds.streams import name_of, open_reader
from hecli.schemes.paillier import key_files as keys
from hecli.schemes.paillier import keys as paillier
from hecli.schemes.paillier.keys import PrivateKey, PublicKey

JWK_LIMIT = 1 << 20


def keygen(bits: int = paillier.DEFAULT_BITS) -> PrivateKey:
    """A fresh key pair of `bits` bits (at least 2048); raises HecliError for a size out of range."""
    return paillier.generate(bits)


def write_public_key(key: PublicKey, out: BinaryIO) -> None:
    """Write a public key file."""
    envelope.write(out, "public key", keys.public_key_header(key.n))


def write_private_key(key: PrivateKey, out: BinaryIO, passphrase: str | None = None) -> None:
    """Write a private key file, its primes under the passphrase where there is one."""
    file = keys.PrivateKeyFile(key.public.n, (key.p, key.q), None)
    if passphrase is not None:
        file = file.seal(passphrase)
    envelope.write(out, "private key", file.header())


def read_public_key(source: BinaryIO) -> PublicKey:
    """The key in a public key file (a seekable stream); raises FormatError."""
    return public_key(open_reader(source))


def public_key(reader: Reader) -> PublicKey:
    """The key in an opened public key file; raises FormatError."""
    return _sound(PublicKey(keys.parse_public_key(reader)[0]), reader.name)


def private_key_facts(reader: Reader) -> tuple[PublicKey, bool]:
    """The public key inside an opened private key file, and whether the rest needs a passphrase.

    Raises FormatError, for primes that are not the public key's too.
    """
    file = keys.PrivateKeyFile.parse(reader)
    if file.primes is not None:
        _checked(PrivateKey(*file.primes), file.n, reader.name)
    return _sound(PublicKey(file.n), reader.name), file.primes is None


def read_private_key(source: BinaryIO, ask: Callable[[], str]) -> PrivateKey:
    """The key in a private key file (a seekable stream).

    `ask` is called for the passphrase where the file has one. Raises
    FormatError, and HecliError for a wrong passphrase.
    """
    reader = open_reader(source)
    file = keys.PrivateKeyFile.parse(reader)
    primes = file.primes if file.primes is not None else file.open(ask(), reader.name)
    return _checked(PrivateKey(*primes), file.n, reader.name)


def read_any_key(source: BinaryIO, ask: Callable[[], str]) -> PublicKey | PrivateKey:
    """The key in a public or private key file; raises as the two functions for one kind do."""
    kind = open_reader(source).kind
    source.seek(0)
    return read_private_key(source, ask) if kind == "private key" else read_public_key(source)


def public_part(source: BinaryIO) -> PublicKey:
    """The public key inside a private key file, for which no passphrase is needed."""
    return private_key_facts(open_reader(source))[0]


def read_jwk(source: BinaryIO) -> PublicKey | PrivateKey:
    """The key in a JWK file of pheutil's, public or private; raises FormatError."""
    name = name_of(source)
    n, primes = keys.parse_jwk(source.read(JWK_LIMIT), name)
    if primes is None:
        return _sound(PublicKey(n), name)
    return _checked(PrivateKey(*primes), n, name)


def write_jwk(key: PublicKey | PrivateKey, out: BinaryIO) -> None:
    """Write the key as pheutil does."""
    public = key.public if isinstance(key, PrivateKey) else key
    primes = (key.p, key.q) if isinstance(key, PrivateKey) else None
    out.write(keys.jwk(public.n, primes, public.fingerprint))


def _checked(key: PrivateKey, n: int, name: str) -> PrivateKey:
    if key.public.n != n:
        raise FormatError(f"{name}: its primes do not make its modulus")
    _sound(key.public, name)
    try:
        key.check()
    except InvalidModulusError as error:
        raise FormatError(f"{name}: {error.message}", error.hint) from error
    return key


def _sound(key: PublicKey, name: str) -> PublicKey:
    try:
        key.check()
    except InvalidModulusError as error:
        raise FormatError(f"{name}: {error.message}", error.hint) from error
    return key
