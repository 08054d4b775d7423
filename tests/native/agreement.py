"""What kernels must give, by gmpy2's integers, one after the other; and numbers at every border."""

import math
import random
import sys
from itertools import count
from pathlib import Path

import gmpy2
from hypothesis import strategies as st

DIGIT = 52
LANES = 8
"""As many numbers as any processor takes at once."""


def bits_of(sizes):
    """Moduli of so many bits: any, the least, the largest, and those in which carries run far."""

    def moduli(bits):
        least, most = 1 << (bits - 1), (1 << bits) - 1
        runs = st.integers(2, bits - 2).map(lambda run: (most >> run << run) + 1)
        drawn = st.integers(least, most) | st.integers(0, 99).map(lambda less: most - 2 * less)
        return (drawn | st.integers(0, 99).map(lambda more: least + 2 * more) | runs).map(lambda m: m | 1)

    return st.sampled_from(sizes).flatmap(moduli)


def numbers_below(limit, *borders):
    """Numbers below a limit: any, and those at borders, and those in which digits are full or empty."""
    bits = limit.bit_length()
    full = st.integers(1, bits).map(lambda size: (1 << size) - 1)
    digits = st.integers(0, bits // DIGIT).map(lambda at: 1 << DIGIT * at)
    runs = st.tuples(st.integers(0, bits), st.integers(0, bits)).map(
        lambda ends: abs((1 << ends[0]) - (1 << ends[1]))
    )
    near = st.sampled_from([0, 1, 2, limit - 1, limit - 2, *borders])
    return (st.integers(0, limit - 1) | near | full | digits | runs).map(lambda each: each % limit)


def lists_of(numbers):
    """Few numbers, or more than any processor takes at once."""
    return st.lists(numbers, min_size=1, max_size=3) | st.lists(numbers, min_size=LANES, max_size=2 * LANES)


def width(number):
    return -(-number.bit_length() // 8)


def joined(numbers, size, order="big"):
    return b"".join([int(number).to_bytes(size, order) for number in numbers])


def check_powers(kernels, m, exponent, values, size):
    """Each number to one power modulo m^2, as two below m."""
    expected = []
    for value in values:
        high, low = divmod(gmpy2.powmod(value, exponent, m * m), m)
        expected += [low, high]
    assert kernels.powers(m, exponent, size)(joined(values, size)) == joined(expected, width(m)), "powers"


def check_multiply(kernels, m, batches):
    """Products place by place, and units of which one is none where a product is none."""
    size = width(m)
    expected = [math.prod(column) % m for column in zip(*batches, strict=True)]
    products, units = kernels.multiply(m, size, len(batches))(
        b"".join([joined(each, size) for each in batches])
    )
    assert products == joined(expected, size), "products"
    found = [int.from_bytes(units[at : at + size], "big") for at in range(0, len(units), size)]
    assert found
    assert all(each < m for each in found), "units"
    assert all(math.gcd(each, m) == 1 for each in found) == all(math.gcd(e, m) == 1 for e in expected), (
        "units"
    )


def check_buckets(kernels, m, values, size, exponents, bits, window):
    """For each repetition and window the product of all numbers to the powers of their digits."""
    across = -(-bits // 8)
    repetitions = len(exponents) // len(values)
    expected = []
    for at in range(repetitions):
        own = [each & ((1 << bits) - 1) for each in exponents[at * len(values) : (at + 1) * len(values)]]
        for low in range(0, bits, window):
            digits = [each >> low & ((1 << window) - 1) for each in own]
            powers = [gmpy2.powmod(*pair, m) for pair in zip(values, digits, strict=True)]
            expected.append(math.prod(powers) % m)
    drawn = joined(exponents, across)
    buckets = kernels.buckets(m, size)
    found = buckets(joined(values, size), drawn, across, repetitions, bits, window)
    assert found == joined(expected, width(m)), "buckets"
    assert buckets.window(len(values), repetitions, bits) >= 1


def check_comb(kernels, n, base, window, windows, messages, exponents):
    """Encryptions of messages, with signed digits of exponents."""
    square = n * n
    base = next(each % square for each in count(base) if math.gcd(each, n) == 1)
    bases = [int(gmpy2.powmod(base, 1 << window * at, square)) for at in range(windows)]
    comb = kernels.comb(n, [(each, int(gmpy2.invert(each, n))) for each in bases], window)
    expected = []
    for message, exponent in zip(messages, exponents, strict=True):
        digits = [exponent >> window * at & ((1 << window) - 1) for at in range(windows)]
        signed = [digit - (digit >> (window - 1) << window) for digit in digits]
        power = sum(digit << window * at for at, digit in enumerate(signed))
        expected.append((1 + message * n) * gmpy2.powmod(base, power, square) % square)
    across = -(-window * windows // 8)
    found = comb(joined(messages, width(n)), joined(exponents, across, "little"))
    assert found == joined(expected, -(-2 * n.bit_length() // 8)), "comb"


def check_out_of_range(kernels, values, limit):
    """The first that is 0 or not below the limit."""
    size = width(limit) + 1
    expected = next((at for at, each in enumerate(values) if not 0 < each < limit), None)
    assert kernels.out_of_range(joined(values, size), size, limit) == expected, "range"


def check(kernels, sizes=(521, 1024), seed=14):
    """Everything once for each size, always with the same numbers, borders among them."""
    random.seed(seed)
    for bits in sizes:
        m = random.getrandbits(bits) | 1 << (bits - 1) | 1
        for modulus in (m, (1 << bits) - 1, (1 << (bits - 1)) + 1):
            _check_modulus(kernels, modulus)


def _check_modulus(kernels, m):
    square, size = m * m, 2 * width(m)
    full = (1 << m.bit_length() - m.bit_length() % DIGIT - 1) - 1
    values = [0, 1, m - 1, m, m + 1, square - 1, square - m, full, *_below(square, 5)]
    for exponent in (0, 1, 31, 32, random.getrandbits(90), (1 << 60) - 1):
        check_powers(kernels, m, exponent, values, size)
    check_powers(kernels, m, 3, [*values, (1 << 8 * size * 2) - 1], 2 * size)
    check_multiply(
        kernels, square, [values[1:], [square - 1, *values[2:]], [square - 1, *_below(square, 11)]]
    )
    check_multiply(kernels, m, [[m - 1, 1, 2, m - 2], [m - 1, 1, m - 2, 2]])
    # Of a product with 0 in it nothing else can be seen.
    for modulus, window in ((m, 3), (square, 5), (m, 1), (m, 10)):
        for bases in ([each for each in values if each % m], values[:2]):
            exponents = [random.getrandbits(24) for _ in range(3 * len(bases))]
            check_buckets(kernels, modulus, bases, size, [*exponents[:-1], (1 << 24) - 1], 21, window)
    for window, windows in ((3, 5), (8, 3), (10, 30)):
        messages = [0, 1, m - 1, full % m, *_below(m, 7)]
        exponents = [random.getrandbits(window * windows) for _ in messages]
        exponents[:3] = (
            0,
            (1 << window * windows) - 1,
            sum(1 << window * at - 1 for at in range(1, windows + 1)),
        )
        check_comb(kernels, m, random.randrange(square), window, windows, messages, exponents)
    for value in (0, 1, m - 1, m, m + 1, m << 7):
        check_out_of_range(kernels, [5, value, 7], m)


def _below(limit, many):
    return [random.randrange(limit) for _ in range(many)]


def main():
    """Check a library that the command line names, in a process of its own."""
    from hecli.arithmetic.native.kernels import NativeKernels
    from hecli.arithmetic.native.library import Library

    check(NativeKernels("tried", Library(Path(sys.argv[1]))), tuple(map(int, sys.argv[2:])) or (521, 1024))


if __name__ == "__main__":
    main()
