"""The C libraries: which there are, which this processor can run, and how they are called."""

import ctypes
from pathlib import Path

VARIANTS = ("ifma512", "fma512", "fma256")
"""The fastest first."""

DIGIT_BITS = 52
SPARE_BITS = 12
"""Bits by which the digits of a modulus exceed it: remainders may be some moduli too large."""

MULTIPLES = (8, 4, 2, 1)

LEAST_BLOCKS = 2
"""Of rows, in a modulus: the kernels look so far back."""

MOST_PARTS = 6
"""As long as the modulus, of which a number consists: a sum of so many products is below 8 moduli."""

_FOLDER = Path(__file__).parent


class _Modulus(ctypes.Structure):
    """Modulus, as kernels.c has it."""

    _fields_ = (
        ("length", ctypes.c_long),
        ("modulus", ctypes.c_char_p),
        ("complement", ctypes.c_char_p),
        ("inverse", ctypes.c_char_p),
        ("square", ctypes.c_char_p),
        ("one", ctypes.c_char_p),
        ("multiples", ctypes.c_char_p),
    )


class Library:
    """One of them, loaded.

    Args:
        path: The library's file.

    Raises:
        OSError: It cannot be loaded.
        AttributeError: It does not have what it should.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self.lanes = self("lanes")
        self._rows = self("rows")

    def __call__(self, name: str, *arguments: object) -> int:
        """Call a function.

        Args:
            name: Its name without what all names start with.
            arguments: Buffers, whole numbers, and moduli.

        Returns:
            What it gives, where it gives a number.
        """
        function = self._library[f"hecli_{name}"]
        function.restype = ctypes.c_long
        passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
        return int(function(*passed))

    def scratch(self, name: str, *numbers: int) -> "ctypes.Array[ctypes.c_char]":
        """Give the memory that a kernel works in.

        Args:
            name: The kernel.
            numbers: What it depends on.

        Returns:
            The memory.
        """
        return ctypes.create_string_buffer(self(f"{name}_scratch", *numbers))

    def length(self, bits: int, size: int) -> int:
        """Count the digits of a modulus.

        Args:
            bits: Its bits.
            size: The bytes of a number that is reduced by it.

        Returns:
            The digits, a multiple of the rows that the kernels take at once.
        """
        needed = max(bits + SPARE_BITS, -(-8 * size // MOST_PARTS))
        return max(-(-needed // (DIGIT_BITS * self._rows)), LEAST_BLOCKS) * self._rows


class Modulus:
    """A modulus, and what follows from it, in digits.

    Args:
        library: Whose digits.
        m: The modulus, odd.
        size: The bytes of a number that is reduced by it.
    """

    def __init__(self, library: Library, m: int, size: int) -> None:
        self.m = m
        self.length = library.length(m.bit_length(), size)
        self.size = -(-m.bit_length() // 8)
        self.parts = -(-8 * size // (DIGIT_BITS * self.length))
        r = self.r = 1 << DIGIT_BITS * self.length
        # The structure points into these, which live as long as it does.
        self._digits = [self.digits(each) for each in (m, r - m, pow(-m, -1, r), r * r % m, r % m)]
        self._digits.append(b"".join([self.digits(times * m) for times in MULTIPLES]))
        self._structure = _Modulus(self.length, *self._digits)
        self.pointer = ctypes.byref(self._structure)

    def digits(self, value: int) -> bytes:
        """Write a number.

        Args:
            value: The number, below R.

        Returns:
            Its digits.
        """
        return digits_of(value, self.length)

    def pair(self, value: int) -> bytes:
        """Write a number modulo m^2 as a - b * m.

        Args:
            value: The number.

        Returns:
            The digits of a, then those of b, both below m.
        """
        high, low = divmod(value % self.m**2, self.m)
        return self.digits(low) + self.digits(-high % self.m)


def digits_of(value: int, length: int) -> bytes:
    """Write a number in digits of 52 bits.

    Args:
        value: The number.
        length: How many digits.

    Returns:
        The digits, the lowest first, 8 bytes each.
    """
    # 13 hexadecimal figures are 52 bits.
    text = f"{value:0{13 * length}x}"
    figures = [text[at : at + 13] for at in range(13 * (length - 1), -1, -13)]
    return b"".join([int(each, 16).to_bytes(8, "little") for each in figures])


def path_of(variant: str) -> Path:
    """Name a library's file.

    Args:
        variant: The library.

    Returns:
        Its path, whether it was built or not.
    """
    return _FOLDER / f"_{variant}.so"


def runnable() -> tuple[str, ...]:
    """Name the libraries that were built and that this processor can run, the fastest first."""
    try:
        processor = ctypes.CDLL(str(path_of("processor")))
    except OSError:
        return ()
    return tuple(each for each in VARIANTS if path_of(each).exists() and processor[f"hecli_can_{each}"]())
