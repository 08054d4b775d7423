"""Opening a batch with shares. The notation is that of `arithmetic.threshold`."""

import math
import time
from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from hecli.arithmetic.gmp.numbers import from_pairs, joined
from hecli.arithmetic.gmp.partial_proofs import Proofs
from hecli.arithmetic.kernels import Kernels
from hecli.arithmetic.sizes import plaintext_size
from hecli.arithmetic.threshold import PROOF_RECORDS, ThresholdKey


class Sharer:
    """Make partials: what one share contributes to opening a batch, with the proof that it did.

    Args:
        kernels: What computes.
        key: The key that was dealt.
        index: The number i of the share, from 1.
        share: The share s_i.
        session: What the proof is bound to, besides the ciphertexts: plan and aggregate.
    """

    def __init__(self, kernels: Kernels, key: ThresholdKey, index: int, share: int, session: bytes) -> None:
        self.releases_gil = kernels.releases_gil
        self._proofs = Proofs(kernels, key, session)
        self._index = index
        self._share = mpz(share)
        self._n = mpz(key.n)
        self._powers = kernels.powers(key.n, 2 * key.delta * share, self._proofs.size)

    def __call__(self, batch: bytes) -> bytes:
        """Make the partials of a batch.

        Args:
            batch: Ciphertexts c, fixed-width big-endian.

        Returns:
            c^(2 D s_i) for each ciphertext, then the proof: records as wide as ciphertexts.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        numbers = self._proofs.numbers(batch, 0)
        partials = self._partials(batch)
        return self._proofs.join(partials) + self._proofs.prove(self._index, self._share, numbers, partials)

    def proof_cost(self, batch: bytes) -> float:
        """Measure what the proof takes beside the partials that it is about.

        Args:
            batch: Ciphertexts, fixed-width big-endian.

        Returns:
            The seconds of the proof over those of the partials.

        Raises:
            InvalidCiphertextError: A number is no ciphertext.
        """
        start = time.perf_counter()
        numbers = self._proofs.numbers(batch, 0)
        partials = self._partials(batch)
        half = time.perf_counter()
        self._proofs.prove(self._index, self._share, numbers, partials)
        return (time.perf_counter() - half) / (half - start)

    def _partials(self, batch: bytes) -> list[mpz]:
        return from_pairs(self._powers(batch), self._n)


class Combiner:
    """Check partials and open batches with those that hold.

    Args:
        kernels: What computes.
        key: The key that was dealt.
        indices: The numbers of the shares, from 1, in the order of their partials.
        session: What the proofs are bound to, besides the ciphertexts.
    """

    def __init__(self, kernels: Kernels, key: ThresholdKey, indices: Sequence[int], session: bytes) -> None:
        self.releases_gil = kernels.releases_gil
        self._key = key
        self._proofs = Proofs(kernels, key, session)
        self._indices = tuple(indices)

    def __call__(self, blob: bytes) -> bytes:
        """Check the partials of a batch and open it; a partial that is not sound does not hold.

        Args:
            blob: A batch of ciphertexts, and behind it what each Sharer made of it.

        Returns:
            A byte for each partial, 1 where its proof holds, then the plaintexts where enough do.

        Raises:
            InvalidCiphertextError: A number of the batch, `source` 0, is no ciphertext.
        """
        proofs = self._proofs
        records, others = len(blob) // proofs.size, len(self._indices)
        count = (records - PROOF_RECORDS * others) // (1 + others)
        width = (count + PROOF_RECORDS) * proofs.size
        numbers = proofs.numbers(blob[: count * proofs.size], 0)
        good: dict[int, list[mpz]] = {}
        holds = bytearray(others)
        for at, index in enumerate(self._indices):
            start = count * proofs.size + at * width
            partials = proofs.check(index, numbers, blob[start : start + width])
            if partials is not None:
                holds[at] = 1
                good[index] = partials
        if len(good) < self._key.threshold:
            return bytes(holds)
        chosen = sorted(good)[: self._key.threshold]
        return bytes(holds) + self._open([good[index] for index in chosen], chosen)

    def _open(self, partials: list[list[mpz]], indices: list[int]) -> bytes:
        """M = L(prod c_i^(2 lambda_i)) / (4 D^2), with Lagrange's coefficients times D."""
        n, n_squared, delta = mpz(self._key.n), self._proofs.n_squared, self._proofs.delta
        exponents = []
        for index in indices:
            above = math.prod(other for other in indices if other != index)
            below = math.prod(other - index for other in indices if other != index)
            exponents.append(2 * delta * above // below)
        factor = gmpy2.invert(4 * delta**2, n)
        size = plaintext_size(self._key.n)
        plaintexts = []
        for position in zip(*partials, strict=True):
            product = mpz(1)
            for value, exponent in zip(position, exponents, strict=True):
                product = product * gmpy2.powmod(value, exponent, n_squared) % n_squared
            plaintexts.append((product - 1) // n * factor % n)
        return joined(plaintexts, size)
