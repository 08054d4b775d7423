"""The kernels, each a call of C."""

import ctypes
from collections.abc import Callable, Sequence

from hecli.arithmetic.native.library import MULTIPLES, Library, Modulus, digits_of

WINDOW = 5
"""Bits of an exponent that powers take at once, as kernels.c has it."""

ROW = 8
"""Rows of a table have a multiple of so many digits, as kernels.c has it."""

TABLE_LIMIT = 1 << 15
"""Entries of a table of fixed bases, of about 1.5 kB each at 3072 bits."""

LEAST_WINDOW = 3
"""Of a table: with smaller digits the sum of so many second parts would not fit."""

LARGEST_WINDOW = 10

ENTRY_COST = 2
"""How many steps of an encryption an entry of a table takes."""

STEP_COST, MERGE_COST = 1.65, 4.0
"""Multiplying a base into a bucket, and taking a bucket into the product, in squares of the length."""


class NativeKernels:
    """The kernels of one library.

    Args:
        name: What it is called.
        library: The library.
    """

    releases_gil = True

    def __init__(self, name: str, library: Library) -> None:
        self.name = name
        self._library = library

    def out_of_range(self, numbers: bytes, size: int, limit: int) -> int | None:
        """Find a number that is 0, or not below a limit."""
        count = _count(numbers, size)
        found = self._library("out_of_range", numbers, count, size, limit.to_bytes(size, "big"))
        return None if found < 0 else found

    def comb(self, n: int, bases: Sequence[tuple[int, int]], window: int) -> "NativeComb":
        """Make a table of powers modulo n^2."""
        return NativeComb(self._library, n, bases, window)

    def comb_window(self, bits: int, count: int) -> int:
        """Choose the window that makes encryptions cheapest, table included."""
        widths = [w for w in range(LEAST_WINDOW, LARGEST_WINDOW + 1) if -(-bits // w) << w <= TABLE_LIMIT]
        return min(widths, key=lambda w: -(-bits // w) * (count + (ENTRY_COST << w)))

    def powers(self, modulus: int, exponent: int, size: int) -> Callable[[bytes], bytes]:
        """Make what raises numbers to one power modulo the square of a modulus."""
        library, m = self._library, Modulus(self._library, modulus, size)
        scales = b"".join([m.pair(pow(m.r, part + 2, modulus**2)) for part in range(m.parts)])
        one = m.pair(m.r)
        count = -(-max(exponent.bit_length(), 1) // WINDOW)
        windows = bytes([exponent >> WINDOW * at & ((1 << WINDOW) - 1) for at in reversed(range(count))])

        def raised(numbers: bytes) -> bytes:
            many = _count(numbers, size)
            out = ctypes.create_string_buffer(2 * many * m.size)
            scratch = library.scratch("powers", m.length, m.parts)
            of_numbers = numbers, many, size, m.parts, m.pointer, scales, one
            library("powers", out, m.size, *of_numbers, windows, count, scratch)
            return out.raw

        return raised

    def multiply(self, modulus: int, size: int, sources: int) -> Callable[[bytes], tuple[bytes, bytes]]:
        """Make what multiplies equally long batches, one source after the other, place by place."""
        library, m = self._library, Modulus(self._library, modulus, size)
        fix = m.digits(pow(m.r, sources, modulus))

        def multiplied(batches: bytes) -> tuple[bytes, bytes]:
            count = _count(batches, size * sources)
            out = ctypes.create_string_buffer(count * size)
            units = ctypes.create_string_buffer(library.lanes * size)
            scratch = library.scratch("multiply", m.length)
            library("multiply", out, units, batches, sources, count, size, m.pointer, fix, scratch)
            return out.raw, units.raw

        return multiplied

    def buckets(self, modulus: int, size: int) -> "NativeBuckets":
        """Make what multiplies powers."""
        return NativeBuckets(self._library, modulus, size)


class NativeBuckets:
    """Products of powers, of which each window of each repetition is one of the numbers side by side.

    Args:
        library: The library.
        modulus: The modulus.
        size: The bytes of a base.
    """

    def __init__(self, library: Library, modulus: int, size: int) -> None:
        self._library = library
        self._m = m = Modulus(library, modulus, size)
        self._size = size
        self._scales = b"".join([m.digits(pow(m.r, part + 1, modulus)) for part in range(m.parts)])

    def __call__(
        self, numbers: bytes, exponents: bytes, width: int, repetitions: int, bits: int, window: int
    ) -> bytes:
        """Multiply all numbers, each to the power of its digit."""
        library, m = self._library, self._m
        count = _count(numbers, self._size)
        _expect(exponents, repetitions * count * width)
        _expect_between(bits, 1, 8 * width)
        _expect_between(window, 1, LARGEST_WINDOW)
        out = ctypes.create_string_buffer(repetitions * -(-bits // window) * m.size)
        scratch = library.scratch("buckets", m.length, m.parts, count, window)
        of_bases = numbers, count, self._size, m.parts, m.pointer, self._scales
        library("buckets", out, m.size, *of_bases, exponents, repetitions, width, bits, window, scratch)
        return out.raw

    def window(self, count: int, repetitions: int, bits: int) -> int:
        """Choose the window that makes products of powers cheapest."""

        def cost(window: int) -> float:
            calls = -(-repetitions * -(-bits // window) // self._library.lanes)
            return calls * (STEP_COST * count + MERGE_COST * (1 << window))

        return min(range(1, LARGEST_WINDOW + 1), key=cost)


class NativeComb:
    """Encryption with a table of a base's powers.

    Args:
        library: The library.
        n: The modulus.
        bases: For each digit the base x^(2^(window*i)) modulo n^2, and its inverse modulo n.
        window: The bits of a digit.
    """

    def __init__(self, library: Library, n: int, bases: Sequence[tuple[int, int]], window: int) -> None:
        _expect_between(window, LEAST_WINDOW, LARGEST_WINDOW)
        self._window, self._windows = window, len(bases)
        self._library = library
        self._m = m = Modulus(library, n, 0)
        square = n * n
        self._out_size = -(-2 * n.bit_length() // 8)
        self._squares = b"".join([digits_of(times * square, 2 * m.length) for times in MULTIPLES])
        rows = b"".join([self._rows(*each) for each in bases])
        unit = self._row(1) + self._row(m.r // n) + self._row(0)
        entry = library("entry", m.length)
        self._table = ctypes.create_string_buffer((len(bases) << window) * entry * 8)
        scratch = library.scratch("table", m.length)
        library("fill_table", self._table, rows, unit, len(bases), window, m.pointer, scratch)

    def __call__(self, messages: bytes, exponents: bytes) -> bytes:
        """Encrypt."""
        library, m = self._library, self._m
        count = _count(messages, m.size)
        width = -(-self._window * self._windows // 8)
        _expect(exponents, count * width)
        out = ctypes.create_string_buffer(count * self._out_size)
        scratch = library.scratch("encrypt", m.length)
        # A digit is read with the bytes behind it.
        drawn = exponents + bytes(3)
        of_messages = messages, m.size, drawn, width, count, m.pointer, self._squares
        library(
            "encrypt", out, self._out_size, *of_messages, self._table, self._window, self._windows, scratch
        )
        return out.raw

    def _rows(self, base: int, b: int) -> bytes:
        """The three rows of base = a * (1 + z * n), and those of its inverse."""
        n, r = self._m.m, self._m.r
        high, a = divmod(base, n)
        z = high * b % n
        # a * b = 1 + t * n
        values = a, a * r // n, z, b, b * r // n, -(z + a * b // n) % n
        return b"".join(map(self._row, values))

    def _row(self, value: int) -> bytes:
        length = self._m.length
        return digits_of(value, -(-length // ROW) * ROW)


def _count(numbers: bytes, size: int) -> int:
    """How many numbers of a size there are; C reads no more."""
    count, rest = divmod(len(numbers), size)
    if rest:
        raise ValueError(f"{len(numbers)} bytes are not numbers of {size}")
    return count


def _expect(data: bytes, length: int) -> None:
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes where {length} are read")


def _expect_between(value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{value} is not between {low} and {high}")
