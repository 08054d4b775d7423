"""Keys of the Paillier cryptosystem as `phe` defines it, and their fingerprints.

The only module that knows phe, which is hecli's reference: what one encrypts
the other opens.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hecli.arithmetic import gmp as arithmetic
from hecli.errors import HecliError

if TYPE_CHECKING:
    import phe

DEFAULT_BITS = 3072
MAX_BITS = 16384
RANDOMNESS = ("short", "half", "full")


@dataclass(frozen=True)
class PublicKey:
    """The public key: n, and nothing else."""

    n: int

    @property
    def digest(self) -> bytes:
        """SHA-256 over a label and n, 32 bytes."""
        size = arithmetic.plaintext_size(self.n)
        return hashlib.sha256(b"hecli public key v1\0" + self.n.to_bytes(size, "big")).digest()

    @property
    def fingerprint(self) -> str:
        """The first 20 bytes of the digest in hexadecimal, in groups of four, to read to each other."""
        text = self.digest[:20].hex()
        return "-".join(text[at : at + 4] for at in range(0, len(text), 4))

    def check(self) -> None:
        """Refuse a key under which encryption is worthless; raises InvalidModulusError."""
        arithmetic.check_modulus(self.n)

    def to_phe(self) -> "phe.PaillierPublicKey":
        """The same key for phe."""
        import phe  # noqa: PLC0415 - slow to import, and only the reference

        return phe.PaillierPublicKey(self.n)


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """The private key: the primes p and q. It does not show them when printed."""

    p: int
    q: int

    @property
    def public(self) -> PublicKey:
        """The public key that belongs to it."""
        return PublicKey(self.p * self.q)

    def check(self) -> None:
        """Refuse a key that does not work; raises InvalidModulusError."""
        arithmetic.check_modulus_size(self.p * self.q)
        arithmetic.check_primes(self.p, self.q)

    def to_phe(self) -> "phe.PaillierPrivateKey":
        """The same key for phe."""
        import phe  # noqa: PLC0415 - slow to import, and only the reference

        return phe.PaillierPrivateKey(self.public.to_phe(), self.p, self.q)


def generate(bits: int = DEFAULT_BITS) -> PrivateKey:
    """A fresh private key whose modulus has `bits` bits; raises HecliError for a size out of range."""
    check_bits(bits)
    return PrivateKey(*arithmetic.generate_primes(bits))


def check_bits(bits: int) -> None:
    """Raise HecliError for a size that no key has."""
    if bits < arithmetic.MIN_BITS:
        raise HecliError(
            f"a key of {bits} bits is too short", f"the least is {arithmetic.MIN_BITS}, the default 3072"
        )
    if bits > MAX_BITS or bits % 2:
        raise HecliError(f"a key of {bits} bits cannot be made", f"use an even number up to {MAX_BITS}")
