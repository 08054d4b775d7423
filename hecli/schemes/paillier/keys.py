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
        """What people read to each other: 20 bytes of a digest over n."""
        size = sizes.plaintext_size(self.n)
        return canonical.fingerprint(canonical.digest_of("public key", self.n.to_bytes(size, "big")))

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
    """

    p: int
    q: int

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


def keygen(bits: int = DEFAULT_BITS) -> PrivateKey:
    """Make a fresh key pair.

    Args:
        bits: The bits of its modulus: even, from 2048 to 16,384.

    Returns:
        The private key, which has the public one.

    Raises:
        HecliError: No key has that size.
    """
    sizes.check_bits(bits)
    return PrivateKey(*engines.generate_primes(bits))


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
