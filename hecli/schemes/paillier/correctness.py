"""How sums prove that they are what was encrypted, under one key."""

from collections.abc import Iterable
from dataclasses import dataclass

from hecli.arithmetic import engines, sizes
from hecli.arithmetic.sizes import COMBINE, PROVE, SUM_REPETITIONS
from hecli.executors.interface import Executor, Run


@dataclass(frozen=True)
class CorrectDecryption:
    """Proofs of correct decryption.

    Args:
        n: The modulus.
    """

    n: int

    @property
    def proof_size(self) -> int:
        """The bytes of a proof."""
        return sizes.sum_proof_size(self.n)

    def prove(self, bound: bytes, groups: Iterable[bytes], run: Run) -> bytes:
        """Prove that a sum is what its aggregate holds.

        Args:
            bound: What the proof is bound to, over the plaintexts too.
            groups: Each group: what the proof is bound to, its number, and its ciphertexts.
            run: What opens.

        Returns:
            The proof.
        """
        products = _multiplied(run(COMBINE + each for each in groups), self.n, sizes.plaintext_size(self.n))
        return b"".join(run([PROVE + bound + products]))

    def check(self, bound: bytes, groups: Iterable[bytes], proof: bytes, count: int, work: Executor) -> bool:
        """Tell whether a proof holds.

        Args:
            bound: What it must be bound to.
            groups: Each group, with its plaintexts.
            proof: The proof.
            count: How many groups there are.
            work: Who works.

        Returns:
            Whether it holds.

        Raises:
            InvalidModulusError: The key is worthless: a factor below 2^20 would let false proofs pass.
        """
        engines.check_modulus(self.n)
        with work(engines.opening_combiner(self.n), count) as run:
            products = _multiplied(run(groups), self.n**2, sizes.ciphertext_size(self.n))
        return engines.check_sum_proof(self.n, bound, products, proof)


def _multiplied(batches: Iterable[bytes], modulus: int, size: int) -> bytes:
    """The products, place by place, of the numbers of all groups."""
    products = [1] * SUM_REPETITIONS
    for batch in batches:
        for at, product in enumerate(products):
            value = int.from_bytes(batch[at * size : (at + 1) * size], "big")
            products[at] = product * value % modulus
    return b"".join([product.to_bytes(size, "big") for product in products])
