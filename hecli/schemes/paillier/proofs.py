"""What is proven: in updates, that makers know the plaintexts; in sums, that they were opened rightly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hecli.arithmetic import engines, sizes
from hecli.executors.interface import Executor, Run


@dataclass(frozen=True)
class PlaintextKnowledge:
    """Proofs in updates, of plaintext knowledge under one key.

    Args:
        n: The modulus.
        randomness: The random exponent of each ciphertext.
    """

    n: int
    randomness: str

    @property
    def proof_size(self) -> int:
        """The bytes of a proof."""
        return sizes.knowledge_size(self.n, self.randomness)

    @contextmanager
    def checking(self, groups: int, work: Executor) -> Iterator[Run]:
        """Get ready to check.

        Args:
            groups: How many groups there are.
            work: Who works.

        Yields:
            What tells, of statement, number, ciphertexts and proof of each
            group, whether it holds.
        """
        with work(engines.knowledge_checker(self.n, self.randomness), groups) as run:
            yield run


@dataclass(frozen=True)
class CorrectDecryption:
    """Proofs in sums, of correct decryption under one key.

    Args:
        n: The modulus.
    """

    n: int

    @property
    def proof_size(self) -> int:
        """The bytes of a proof."""
        return sizes.opening_proof_size(self.n)

    @contextmanager
    def checking(self, groups: int, work: Executor) -> Iterator[Run]:
        """Get ready to check.

        Args:
            groups: How many groups there are.
            work: Who works.

        Yields:
            What tells, of statement, number, ciphertexts, plaintexts and proof
            of each group, whether it holds.
        """
        with work(engines.opening_checker(self.n), groups) as run:
            yield run
