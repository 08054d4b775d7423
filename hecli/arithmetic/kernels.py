"""What engines compute with: the big-integer work itself, in batches of bytes.

An engine is a protocol: what it reads, checks, draws and proves is written
once. What costs time in it is one of the kernels here, and these there are
twice, computed by gmpy2 and by the processor's vector instructions, with the
same results to the last byte.

Numbers are fixed-width and big-endian. A kernel is made once for a modulus and
then called from as many threads as there are cores.
"""

from collections.abc import Callable, Sequence
from typing import Protocol


class Comb(Protocol):
    """Ciphertexts (1 + m*n) * x^e modulo n^2, by a table of powers of x.

    The digits of e are signed, in two's complement.
    """

    def __call__(self, messages: bytes, exponents: bytes) -> bytes:
        """Encrypt.

        Args:
            messages: Numbers m below n.
            exponents: As many numbers e, little-endian, of as many whole bytes as
                their digits fill. What is above the highest digit is ignored.

        Returns:
            The ciphertexts.
        """
        ...


class Buckets(Protocol):
    """Products of powers, window by window of the exponents."""

    def __call__(
        self, numbers: bytes, exponents: bytes, width: int, repetitions: int, bits: int, window: int
    ) -> bytes:
        """Multiply all numbers, each to the power of its digit.

        Args:
            numbers: The bases.
            exponents: For each repetition an exponent for each base.
            width: The bytes of an exponent.
            repetitions: How many there are.
            bits: How many bits of an exponent count, the lowest.
            window: The bits of a digit.

        Returns:
            For each repetition, and in it for each window from the lowest, the
            product, as wide as the modulus.
        """
        ...

    def window(self, count: int, repetitions: int, bits: int) -> int:
        """Choose the window that makes products of powers cheapest.

        Args:
            count: How many bases there are.
            repetitions: As above.
            bits: As above.

        Returns:
            The bits of a digit.
        """
        ...


class Kernels(Protocol):
    """One way to compute.

    Args:
        name: What it is called, in benchmarks and by HECLI_NATIVE.
        releases_gil: Whether it releases the interpreter's lock (GIL), so that threads
            work at the same time.
    """

    name: str
    releases_gil: bool

    def __hash__(self) -> int: ...

    def out_of_range(self, numbers: bytes, size: int, limit: int) -> int | None:
        """Find a number that is 0, or not below a limit.

        Args:
            numbers: The numbers.
            size: The bytes of each.
            limit: The limit.

        Returns:
            The place of the first such number, None where there is none.
        """
        ...

    def comb(self, n: int, bases: Sequence[tuple[int, int]], window: int) -> Comb:
        """Make a table of powers modulo n^2.

        Args:
            n: The modulus.
            bases: For each digit i of an exponent, from the lowest, x^(2^(window*i))
                modulo n^2, and its inverse modulo n.
            window: The bits of a digit.

        Returns:
            What encrypts with powers of x.
        """
        ...

    def comb_window(self, bits: int, count: int) -> int:
        """Choose the window that makes encryptions cheapest, table included.

        Args:
            bits: The bits of an exponent.
            count: About how many there will be.

        Returns:
            The bits of a digit.
        """
        ...

    def powers(self, modulus: int, exponent: int, size: int) -> Callable[[bytes], bytes]:
        """Make what raises numbers to one power modulo the square of a modulus.

        Args:
            modulus: The modulus m.
            exponent: The exponent, which may be a secret, as m may be.
            size: The bytes of a number.

        Returns:
            What gives of each number two as wide as m, a and b below m, so that
            the power is a + b * m.
        """
        ...

    def multiply(self, modulus: int, size: int, sources: int) -> Callable[[bytes], tuple[bytes, bytes]]:
        """Make what multiplies equally long batches, one source after the other, place by place.

        Args:
            modulus: The modulus.
            size: The bytes of a number, below the modulus.
            sources: How many batches there are.

        Returns:
            What gives the products, and numbers of the same size that are all
            units if and only if all products are.
        """
        ...

    def buckets(self, modulus: int, size: int) -> Buckets:
        """Make what multiplies powers.

        Args:
            modulus: The modulus.
            size: The bytes of a base, which need not be below the modulus.

        Returns:
            What multiplies powers.
        """
        ...
