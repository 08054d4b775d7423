"""Smaller updates in the test vectors: a whole round, its bases, and two rounds that are compressed on it.

Rotation, sample, bases and means are computed here value by value, as
docs/format.md says it; Python's floats are float64, and round() sends ties to even.
"""

import math
from fractions import Fraction
from typing import Any

import rounds as r
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from parts import (
    APART,
    Map,
    blocks,
    ciphertexts,
    control,
    digest,
    envelope,
    file_digest,
    little,
    modulus,
    product,
    records,
)
from rounds import N, follows, plan_digest

Matrix = list[list[float]]

ITEMS = [["b", "float64", [70]], ["w", "float64", [20, 30]]]
SIZES = {"b": 70, "w": 600}
ROWS, COLUMNS = 20, 30
RANK = 1


class Stream:
    """Z of the specification: a stream of bytes for a tensor."""

    def __init__(self, label: str, seed: bytes, tensor: int) -> None:
        """Begin it."""
        key = digest(label, seed, tensor.to_bytes(4, "big"))
        self._stream = Cipher(AES256(key), CTR(bytes(16))).encryptor()

    def take(self, count: int) -> bytes:
        """Take the next bytes."""
        return self._stream.update(bytes(count))

    def signs(self, count: int) -> list[float]:
        """Take signs, a bit each."""
        data = self.take(-(-count // 8))
        return [-1.0 if data[at // 8] >> (7 - at % 8) & 1 else 1.0 for at in range(count)]


def turned(values: list[float]) -> list[float]:
    """Multiply blocks with their matrices, which are their own inverses."""
    found: list[float] = []
    while len(found) < len(values):
        order = max(j for j in range(7) if 4**j <= len(values) - len(found))
        block = values[len(found) : len(found) + 4**order]
        found += [
            sum(-x if (i & k).bit_count() % 2 else x for k, x in enumerate(block)) / 2**order
            for i in range(len(block))
        ]
    return found


def rotated(values: list[float], seed: bytes, tensor: int) -> list[float]:
    """Rotate a tensor."""
    signs = Stream("rotate", seed, tensor).signs(len(values))
    return turned([x * sign for x, sign in zip(values, signs, strict=True)])


def rotated_back(values: list[float], seed: bytes, tensor: int) -> list[float]:
    """Undo that."""
    signs = Stream("rotate", seed, tensor).signs(len(values))
    return [x * sign for x, sign in zip(turned(values), signs, strict=True)]


def places(size: int, count: int, seed: bytes, tensor: int) -> list[int]:
    """Draw the places of a sample."""
    if size < 64:
        return list(range(size))
    stream, found = Stream("sample", seed, tensor), []
    for start in range(0, size, 4096):
        length = min(4096, size - start)
        data = stream.take(8 * length)
        numbers = [int.from_bytes(data[8 * at : 8 * at + 8], "big") & ~4095 | at for at in range(length)]
        found += sorted(start + (each & 4095) for each in sorted(numbers)[: -(-length * count // 4096)])
    return found


# Bases.


def exponent(value: float) -> int:
    """Give the least e with value < 2^e; 0 for 0."""
    return math.frexp(value)[1]


def whole(vector: list[float]) -> list[float]:
    """W of the specification."""
    scale = 2.0 ** (20 - exponent(max(map(abs, vector))))
    return [float(round(x * scale)) for x in vector]


def product_of(one: list[float], other: list[float]) -> int:
    """Multiply two vectors of whole numbers, exactly."""
    return sum(int(x) * int(y) for x, y in zip(one, other, strict=True))


def orthonormal(columns: Matrix, stream: Stream) -> tuple[list[list[int]], int]:
    """Make a basis of columns: its columns, and its exponent."""
    done: Matrix = []

    def apart(vector: list[float]) -> list[float]:
        left = whole(vector)
        for _ in range(2):
            for each in done:
                share = product_of(each, left) / (1 << 44)
                along = [x * share for x in each]
                left = [float(round(x - y)) for x, y in zip(left, along, strict=True)]
            left = whole(left)
        return left

    for column in columns:
        left = apart(column)
        while not any(left):
            left = apart(stream.signs(len(column)))
        length = 2.0**22 / math.sqrt(product_of(left, left))
        done.append([float(round(x * length)) for x in left])
    more = 15 - int(max(abs(x) for column in done for x in column)).bit_length()
    numbers = [[min(max(round(x * 2.0**more), -32767), 32767) for x in column] for column in done]
    return numbers, 22 + more


def leading(matrix: Matrix, stream: Stream) -> tuple[list[list[int]], int]:
    """Make the basis of rank 1 in which most of the rows of a matrix lie."""
    scale = 2.0 ** (15 - exponent(max(abs(x) for row in matrix for x in row)))
    numbers = [[round(x * scale) for x in row] for row in matrix]
    right: list[float] = stream.signs(COLUMNS)
    basis: tuple[list[list[int]], int] = [], 0
    for _ in range(2):
        rows = [float(sum(int(x) * int(q) for x, q in zip(row, right, strict=True))) for row in numbers]
        (left,), _ = orthonormal([rows], stream)
        columns = [
            float(sum(row[at] * p for row, p in zip(numbers, left, strict=True))) for at in range(COLUMNS)
        ]
        basis = orthonormal([columns], stream)
        right = [float(x) for x in basis[0][0]]
    return basis


def basis_file(total: bytes, side: str, basis: tuple[list[list[int]], int]) -> bytes:
    """Make the file of a basis of `w`."""
    (numbers,), more = basis
    content = b"".join(each.to_bytes(2, "big", signed=True) for each in numbers)
    header = {
        "sum": file_digest(total),
        "rank": RANK,
        "side": side,
        "tensors": [["w", len(numbers), more]],
    }
    return envelope("basis", header, [("numbers", 2, content)])


# Rounds.


def plan_of(name: str, codec: list[Map], capacity: int = 5) -> Map:
    """Make a plan for these tensors."""
    return {**r.PLAN, "name": name, "tensors": ITEMS, "codec": codec, "capacity": capacity, "max_weight": 1}


def quantise(bits: int, steps: list[float], **more: Any) -> Map:
    """Make the step that quantises."""
    return {"step": "quantise", "bits": bits, "rounding": "nearest", "steps": steps, **more}


def some(count: int, most: int, seed: int) -> list[int]:
    """Give numbers from -most to most that look like nothing."""
    return [(at * at * 31 + seed * 17 + at * seed) % (2 * most + 1) - most for at in range(count)]


def plaintexts(plan: Map, values: list[int]) -> list[int]:
    """Pack lanes by mixed radix."""
    qmax = (1 << plan["codec"][-2]["bits"] - 1) - 1
    radix, room = 2 * qmax * plan["capacity"] + 1, modulus(plan).bit_length() - 1
    best, width, digits = 0, 0, 0
    for g in range(1, 64):
        bits = (radix**g - 1).bit_length()
        if bits <= 63 and room // bits * g > best:
            best, width, digits = room // bits * g, bits, g
    found = []
    for start in range(0, len(values), best - 1):
        row = [1, *values[start : start + best - 1]]
        row += [0] * (best - len(row))
        plaintext = 0
        for at in range(0, best, digits):
            word = sum(lane * radix**place for place, lane in enumerate(row[at : at + digits]))
            plaintext = plaintext << width | word
        found.append(plaintext)
    return found


def update(plan: Map, party: str, values: list[int], seed: int) -> tuple[bytes, list[int]]:
    """Make an update of quantised values, and give its ciphertexts."""
    qmax = (1 << plan["codec"][-2]["bits"] - 1) - 1
    numbers = ciphertexts(N, [*plaintexts(plan, [x + qmax for x in values]), control(1, 1, 0)], seed)
    header = {"party": party, "salt": APART}
    return follows(plan, "update", header, r.update_body(plan, numbers, seed, party)), numbers


def opened(plan: Map, one: list[int], other: list[int], seed: int) -> tuple[list[bytes], bytes, list[int]]:
    """Make a round of two parties: their updates and the aggregate; the sum; and its quantised sums."""
    qmax = (1 << plan["codec"][-2]["bits"] - 1) - 1
    (first, mine), (second, theirs) = update(plan, "a", one, seed), update(plan, "b", other, seed + 500)
    contributors = [["a", file_digest(first)], ["b", file_digest(second)]]
    both = blocks(product(N, mine, theirs), 512)
    aggregate = follows(plan, "aggregate", {"contributors": contributors}, both)
    header = {
        "contributors": contributors,
        "aggregate": file_digest(aggregate),
        "weight": 2,
        "clipped": 0,
    }
    sums = [x + y for x, y in zip(one, other, strict=True)]
    size = next(each for each in (1, 2, 4, 8) if (2 * qmax * plan["capacity"]).bit_length() <= 8 * each)
    body = r.sum_body(plan, [x + 2 * qmax for x in sums], header, (seed, seed + 500), size)
    return [first, second, aggregate], follows(plan, "sum", header, body), sums


def tensors(b: list[float], w: list[float]) -> bytes:
    """Make the file of both tensors."""
    return envelope("tensors", {"tensors": ITEMS}, [("values", 1, little(f"{len(b) + len(w)}d", *b, *w))])


def with_factor(side: str, basis: bytes, step: list[Map]) -> list[Map]:
    """Make a codec with low rank."""
    return [{"step": "low rank", "rank": RANK, "side": side, "basis": file_digest(basis)}, *step]


RADIX: Map = {"step": "mixed radix"}
ROTATE: Map = {"step": "rotate"}

WORD_WIDTH = 31
"""Bits of a word of SMALL: five lanes below 71."""

# Whole, 8 bits: what the first bases are made from.
WHOLE = plan_of("whole", [quantise(8, [0.5, 0.25]), RADIX])
OUTER = [(row - 9) * (column % 7 - 3) // 2 for row in range(ROWS) for column in range(COLUMNS)]
WHOLE_FILES, WHOLE_SUM, WHOLE_SUMS = opened(
    WHOLE, some(70, 100, 1) + OUTER, some(70, 90, 2) + some(600, 3, 3), 21_001
)
WHOLE_W = [float(x) for x in WHOLE_SUMS[70:]]
RIGHT = leading(
    [WHOLE_W[at : at + COLUMNS] for at in range(0, 600, COLUMNS)],
    Stream("basis", file_digest(WHOLE_SUM), 1),
)
RIGHT_FILE = basis_file(WHOLE_SUM, "right", RIGHT)


def norms(sums: list[list[int]], steps: list[float], sizes: list[tuple[int, int]]) -> list[Fraction]:
    """Give the squares of the norms of means of two; sizes are of values that are rotated, and sent."""
    return [
        Fraction(step) ** 2 * sum(x * x for x in each) / 4 * n / c
        for each, step, (n, c) in zip(sums, steps, sizes, strict=True)
    ]


def stepped(squares: list[Fraction], bits: int) -> list[float]:
    """Give steps of the squares of ranges."""
    return [float(Fraction(math.sqrt(each)) / ((1 << bits - 1) - 1)) for each in squares]


# A factor of w, rotated, and a part of all that: 4 bits.
FIRST_NORMS = [
    2 * each for each in norms([WHOLE_SUMS[:70], WHOLE_SUMS[70:]], [0.5, 0.25], [(70, 70), (600, 600)])
]
STEPS = stepped([9 * FIRST_NORMS[0] / 70, 9 * FIRST_NORMS[1] / 20], 4)
SAMPLE: Map = {"step": "sample", "count": 3000}
SMALL = plan_of("small", with_factor("right", RIGHT_FILE, [ROTATE, SAMPLE, quantise(4, STEPS), RADIX]))
SEED = plan_digest(SMALL)
PLACES = places(70, 3000, SEED, 0)
SENT = len(PLACES)
SMALL_FILES, SMALL_SUM, SMALL_SUMS = opened(SMALL, some(SENT + 20, 7, 4), some(SENT + 20, 7, 5), 23_001)


def means(sums: list[int], steps: list[float]) -> tuple[list[float], list[float], list[float]]:
    """Give the means of b and w, and the factor of w in whole numbers."""
    spread = [0.0] * 70
    for place, value in zip(PLACES, sums[:SENT], strict=True):
        spread[place] = float(value)
    b = rotated_back(spread, SEED, 0)
    factor = rotated_back([float(x) for x in sums[SENT:]], SEED, 1)
    (numbers,), more = RIGHT
    w = [f * q / 2**more for f in factor for q in numbers]
    scales = [step * (1 / 2) for step in steps]
    return [(x + 0.0) * scales[0] for x in b], [(x + 0.0) * scales[1] for x in w], factor


B, W, FACTOR = means(SMALL_SUMS, STEPS)
MEAN = tensors(B, W)

# What follows: the other factor, and narrower steps, for nothing was clipped.
LEFT = orthonormal([FACTOR], Stream("basis", file_digest(SMALL_SUM), 1))
LEFT_FILE = basis_file(SMALL_SUM, "left", LEFT)
NEXT_NORMS = []
SMALL_NORMS = norms([SMALL_SUMS[:SENT], SMALL_SUMS[SENT:]], STEPS, [(70, SENT), (20, 20)])
for old, mean, n in zip(STEPS, SMALL_NORMS, (70, 20), strict=True):
    expected = Fraction(1, 4) * (7 * Fraction(old)) ** 2 * n / 9
    NEXT_NORMS.append(max(mean, min(expected, 9 * 2 * mean)))
NEXT_STEPS = stepped([9 * NEXT_NORMS[0] / 70, 9 * NEXT_NORMS[1] / 30], 4)
NEXT = {
    **plan_of("small-2", with_factor("left", LEFT_FILE, [ROTATE, SAMPLE, quantise(4, NEXT_STEPS), r.PACK])),
    "id": bytes(range(1, 17)),
}

# Whole numbers, rotated, which every party encodes alike; and values of three lanes.
TURNED = {
    **plan_of("turned", [ROTATE, quantise(12, [0.5, 0.5]), {"step": "pack"}]),
    "tensors": [["v", "float64", [86]]],
}
TURNED["codec"][1]["steps"] = [0.5]
TURNED_VALUES = [float(x) for x in some(86, 40, 6)]
TURNED_TENSORS = envelope(
    "tensors", {"tensors": TURNED["tensors"]}, [("values", 1, little("86d", *TURNED_VALUES))]
)
TURNED_LANES = [2047 + round(x / 0.5) for x in rotated(TURNED_VALUES, plan_digest(TURNED), 0)]
ENCODED = follows(
    TURNED,
    "encoded",
    {},
    [("lanes", 2, records(TURNED_LANES, 2)), ("control", 24, records([control(1, 1, 0)], 24))],
)
DIGITS = {
    **plan_of("digits", [quantise(3, [0.5, 2.0**-6], digits=[1, 3]), {"step": "pack"}]),
    "tensors": [["b", "float64", [2]], ["m", "float64", [2]]],
}
DIGIT_TENSORS = envelope(
    "tensors", {"tensors": DIGITS["tensors"]}, [("values", 1, little("4d", 1.0, -1.5, 2.65625, -1.0))]
)
DIGIT_LANES = [3 + 2, 3 - 3]
for value in (171 + 170, 171 - 64):
    DIGIT_LANES += [value % 7, value // 7 % 7, value // 49]
DIGITS_ENCODED = follows(
    DIGITS,
    "encoded",
    {},
    [("lanes", 1, bytes(DIGIT_LANES)), ("control", 24, records([control(1, 1, 0)], 24))],
)

# What a party keeps: b and w before its update, with it, and what did not get through.
KEPT_ITEMS = [["v", "float64", [86]]]


def residual(subject: bytes, update_: bytes, *parts: list[float]) -> bytes:
    """Make a residual of `v`."""
    names = ("kept", "whole", "rest")[: len(parts)]
    header = {"subject": subject, "tensors": KEPT_ITEMS, "update": update_}
    return envelope(
        "residual",
        header,
        [(name, 1, little("86d", *values)) for name, values in zip(names, parts, strict=True)],
    )


NOTHING = [0.0] * 86
PENDING = residual(plan_digest(TURNED), bytes(range(32)), NOTHING, TURNED_VALUES, NOTHING)
SETTLED = residual(b"", b"", TURNED_VALUES)
