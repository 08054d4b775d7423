"""Keys of the Paillier cryptosystem as `phe` defines it, and their fingerprints.

The only module that knows phe, which is hecli's reference: what one encrypts
the other opens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hecli.arithmetic import engines, sizes
from hecli.arithmetic.threshold import ThresholdKey
from hecli.errors import FormatError, HecliError
from hecli.formats import canonical
from hecli.formats.numbers import int_bytes

if TYPE_CHECKING:
    import phe

DEFAULT_BITS = 3072
RANDOMNESS = ("short", "half", "full")


@dataclass(frozen=True)
class PublicKey:
    """The public key: n, and nothing else.

    Args:
        n: The modulus.
        shared: What proofs are checked with, where the key is in shares.
    """

    scheme: ClassVar[str] = "paillier"

    n: int
    shared: ThresholdKey | None = None

    @property
    def fingerprint(self) -> str:
        """What people read to each other: 20 bytes of a digest over n, and over the dealing."""
        return fingerprint_of(self.n, None if self.shared is None else dealing_digest(self.shared))

    def check(self) -> None:
        """Refuse a key under which encryption is worthless.

        Raises:
            InvalidModulusError: It is visibly not the product of two large primes.
            HecliError: What is known of its shares cannot be.
        """
        engines.check_modulus(self.n)
        if self.shared is not None:
            self.shared.check()

    def to_phe(self) -> "phe.PaillierPublicKey":
        """Give the same key for phe.

        Returns:
            Its object.
        """
        import phe  # noqa: PLC0415 - slow to import, and only the reference

        return phe.PaillierPublicKey(self.n)


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """The private key. It does not show its primes when printed.

    Args:
        p: One prime.
        q: The other.
        verified_only: Whether it opens only what was verified.
    """

    p: int
    q: int
    verified_only: bool = True

    @property
    def public(self) -> PublicKey:
        """The public key that belongs to it."""
        return PublicKey(self.p * self.q)

    def check(self) -> None:
        """Refuse a key that does not work.

        Raises:
            InvalidModulusError: Its primes are none, or do not fit together.
        """
        sizes.check_modulus_size(self.p * self.q)
        engines.check_primes(self.p, self.q)
        self.public.check()

    def to_phe(self) -> "phe.PaillierPrivateKey":
        """Give the same key for phe.

        Returns:
            Its object.
        """
        import phe  # noqa: PLC0415 - slow to import, and only the reference

        return phe.PaillierPrivateKey(self.public.to_phe(), self.p, self.q)


def fingerprint_of(n: int, dealing: bytes | None) -> str:
    """Give the fingerprint of a public key.

    Args:
        n: The modulus.
        dealing: The digest of the dealing, where the key is in shares.

    Returns:
        What people read to each other.
    """
    data = n.to_bytes(sizes.plaintext_size(n), "big") + (dealing or b"")
    return canonical.fingerprint(canonical.digest_of("public key", data))


def dealing_map(key: ThresholdKey) -> canonical.Map:
    """Write how a key was dealt, as it stands in files of keys and shares.

    Args:
        key: The key.

    Returns:
        The map.
    """
    return {"threshold": key.threshold, "v": int_bytes(key.v), "keys": [*map(int_bytes, key.keys)]}


def dealing_digest(key: ThresholdKey) -> bytes:
    """Give what stands in a plan for a key in shares, and how it was dealt.

    Args:
        key: The key.

    Returns:
        The digest, 32 bytes.
    """
    return canonical.digest_of("dealing", canonical.pack({"n": int_bytes(key.n), **dealing_map(key)}))


def keygen(bits: int = DEFAULT_BITS, *, verified_only: bool = True) -> PrivateKey:
    """Make a fresh key pair.

    Args:
        bits: The bits of its modulus: even, from 2048 to 16,384.
        verified_only: Whether it opens only what was verified.

    Returns:
        The private key, which has the public one.

    Raises:
        HecliError: No key has that size.
    """
    sizes.check_bits(bits)
    return PrivateKey(*engines.generate_primes(bits), verified_only)


def sound(key: PublicKey | PrivateKey, name: str) -> None:
    """Refuse a key that came in a file and is worthless.

    Args:
        key: The key.
        name: The file.

    Raises:
        FormatError: A check failed.
    """
    try:
        key.check()
    except HecliError as error:
        raise FormatError(f"{name}: {error.message}", error.hint) from error
