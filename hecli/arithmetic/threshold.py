"""Threshold Paillier: a key that is dealt in shares, of which some open together and fewer learn nothing.

I. Damgard and M. Jurik, "A generalisation, a simplification and some
applications of Paillier's probabilistic public-key system" (PKC 2001),
section 4.1, with s = 1, after V. Shoup, "Practical threshold signatures"
(Eurocrypt 2000) and Fouque, Poupard and Stern (FC 2000).

Notation: p = 2p' + 1 and q = 2q' + 1 safe primes, n = pq, m = p'q', N shares
of which T open, D = N!. A share is s_i = f(i) for a polynomial f of degree
T - 1 modulo nm, with f(0) = 0 modulo m and 1 modulo n. v is a square modulo
n^2 and v_i = v^(D s_i).

Here is what is public of such a key; `engines` deals one and computes with it.
"""

import math
from dataclasses import dataclass

from hecli.errors import HecliError

GROUP = 64
"""Ciphertexts that have one proof together."""

PROOF_RECORDS = 2
"""A proof is wider than a ciphertext, and takes the room of two."""

MAX_SHARES = 64


@dataclass(frozen=True)
class ThresholdKey:
    """What everyone may know of a dealt key.

    Args:
        n: The modulus.
        threshold: How many shares open.
        v: What the verification keys are powers of.
        keys: The verification key v_i of each share, in their order.
    """

    n: int
    threshold: int
    v: int
    keys: tuple[int, ...]

    @property
    def shares(self) -> int:
        """How many shares there are."""
        return len(self.keys)

    @property
    def delta(self) -> int:
        """The factorial of the number of shares, which makes Lagrange's coefficients integers."""
        return math.factorial(self.shares)

    def check(self) -> None:
        """Refuse a key that nobody can have dealt.

        Raises:
            HecliError: Shares cannot be dealt so, or a verification key is no unit modulo n^2.
        """
        check_numbers(self.threshold, self.shares)
        for value in (self.v, *self.keys):
            if not 1 < value < self.n**2 or math.gcd(value, self.n) != 1:
                raise HecliError("a verification key is no unit modulo the key's square")


def check_numbers(threshold: int, shares: int) -> None:
    """Refuse numbers that no dealing has.

    Args:
        threshold: How many shares open.
        shares: How many there are.

    Raises:
        HecliError: Not 2 <= threshold <= shares <= MAX_SHARES.
    """
    if not 2 <= threshold <= shares <= MAX_SHARES:
        raise HecliError(
            f"{threshold} of {shares} shares cannot be what opens",
            f"deal from 2 to {MAX_SHARES} shares, of which at least 2 open",
        )
