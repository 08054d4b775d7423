"""A trial of kernels, before anything is left to them: each must give what gmpy2 does."""

from hecli.arithmetic.gmp.kernels import GmpKernels
from hecli.arithmetic.kernels import Kernels

MODULUS = (1 << 521) - 1
"""Prime, so that all but 0 are units, and of an odd length; what is tried is fast at any size."""

BASE = 0xC0FFEE**21
COUNT = 9
"""More than any processor takes at once, and no multiple of it."""


def is_right(kernels: Kernels) -> bool:
    """Tell whether kernels compute what gmpy2 does.

    Args:
        kernels: The kernels.

    Returns:
        Whether they do.
    """
    return _results(kernels) == _results(GmpKernels())


def _results(kernels: Kernels) -> list[object]:
    n, square = MODULUS, MODULUS**2
    size, wide = -(-n.bit_length() // 8), -(-square.bit_length() // 8)
    values = [0, 1, n - 1, n, square - 1, *(pow(BASE, power, square) for power in range(1, COUNT - 4))]
    numbers = b"".join([value.to_bytes(wide, "big") for value in values])
    messages = b"".join([(value % n).to_bytes(size, "big") for value in values])
    powers = [pow(BASE, 1 << 3 * digit, square) for digit in range(3)]
    exponents = bytes(range(7, 7 + 2 * COUNT))
    batches = numbers[wide:] * 3
    products, units = kernels.multiply(square, wide, 3)(batches)
    return [
        kernels.out_of_range(numbers[wide:], wide, square),
        kernels.out_of_range(numbers, wide, square),
        kernels.comb(n, [(each, pow(each, -1, n)) for each in powers], 3)(messages, exponents),
        kernels.powers(n, BASE, wide)(numbers),
        products,
        any(units)
        and all(int.from_bytes(units[at : at + wide], "big") % n for at in range(0, len(units), wide)),
        kernels.buckets(n, wide)(numbers, exponents, 1, 2, 8, 4),
    ]
