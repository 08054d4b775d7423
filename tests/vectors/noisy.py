"""Rounds with noise of the test vectors, worked out with whole numbers and fractions alone."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import rounds as r
import smaller as s
import trainings as t
from parts import (
    APART,
    Map,
    blocks,
    ciphertexts,
    control,
    envelope,
    file_digest,
    product,
    records,
    signature_of,
)
from rounds import N, follows, plan_digest

# Noise.


def root_above(value: int) -> int:
    """Give the square root, rounded up."""
    found = math.isqrt(value)
    return found if found * found == value else found + 1


def squared_norm(unit: str, clip: float, step: float, values: int) -> int:
    """Say what a party or a record changes, squared, in steps."""
    ratio = Fraction(clip) / Fraction(step)
    if unit == "party":
        return math.floor(ratio**2) + values // 4
    square = math.ceil((ratio * Fraction(4097, 4096)) ** 2)
    return square + values + root_above(4 * square * values)


def tail_of(variance: int, draws: int) -> int:
    """Say how large noise is at most."""
    return root_above(math.ceil(Fraction(1420, 1024) * variance * (draws.bit_length() + 81)))


def largest(holds: Callable[[int], bool]) -> int:
    """Give the largest number for which something holds that holds for all below."""
    low, high = 0, 1 << 32
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def fitted(
    promise: Map, values: int, parties: int, fewest: int, bits: int, value_range: float | None = None
) -> tuple[float, int, Map]:
    """Choose the step, the tail and the privacy of a plan."""
    unit, clip, honest = promise["unit"], promise["clip"], fewest - promise["colluders"]

    def made(steps: int) -> tuple[float, int, int, int]:
        step = clip / steps
        norm2 = squared_norm(unit, clip, step, values)
        variance = math.ceil(Fraction(norm2) / (2 * honest * Fraction(promise["rho"])))
        wide = Fraction(32) * Fraction(clip) if value_range is None else Fraction(value_range)
        bound = math.isqrt(norm2) if unit == "party" else math.ceil(wide / Fraction(step))
        return step, norm2, variance, bound

    def possible(steps: int) -> bool:
        _, norm2, variance, bound = made(steps)
        room = bound + tail_of(variance, values * parties) < 1 << (bits - 1)
        return room and variance <= 1 << 44 and norm2 < 1 << 63 and (unit == "party" or bound <= 1 << 24)

    step, norm2, variance, bound = made(largest(possible))
    tail = (1 << (bits - 1)) - 1 - bound
    privacy = {key: promise[key] for key in ("unit", "clip", "colluders", "delta")}
    return step, tail, {**privacy, "norm2": norm2, "variance": variance}


# A round of two parties, of whom one may collude.
PROMISE: Map = {
    "unit": "party",
    "clip": 1.5,
    "rho": 0.125,
    "epsilon": 30.0,
    "delta": 1e-5,
    "colluders": 1,
}
BITS = 12


def noisy_plan(name: str, promise: Map, bits: int, steps: list[Map], value_range: float | None = None) -> Map:
    """Make a plan of six values with noise."""
    step, tail, privacy = fitted(promise, 6, 2, 2, bits, value_range)
    quantise = {
        "step": "quantise",
        "bits": bits,
        "rounding": "nearest",
        "steps": [step, step],
        "tail": tail,
    }
    codec = [*steps, quantise, r.PACK]
    return {**r.SIGNED_PLAN, "name": name, "max_weight": 1, "codec": codec, "privacy": privacy}


NOISY = noisy_plan("noisy", PROMISE, BITS, [])
QMAX = (1 << (BITS - 1)) - 1
STEP = NOISY["codec"][0]["steps"][0]


def clipped(values: list[float]) -> list[int]:
    """Bring an update to the clip norm, and make it smaller until it is within it behind rounding."""
    scale = min(1.0, PROMISE["clip"] / math.hypot(*values))
    while True:
        found = [round(x * scale / STEP) for x in values]
        if sum(x * x for x in found) <= NOISY["privacy"]["norm2"]:
            return found
        scale *= 1 - 2.0**-10


# Alice's has the norm 13.
ALICE = clipped([3.0, -4.0, 0.0, 0.0, 12.0, 0.0])
# Bob's has less than 1.5.
BOB = clipped([0.25, -0.5, 0.75, 0.0, 0.0, 1.0])
CONTROL = control(1, 1, 0)


def lanes_of(values: list[int]) -> list[int]:
    """Give the lanes of quantised values."""
    return [x + QMAX for x in values]


def encoded(plan: Map, values: list[int]) -> bytes:
    """Make the file of lanes without noise."""
    sections = [("lanes", 2, records(lanes_of(values), 2)), ("control", 24, records([CONTROL], 24))]
    return follows(plan, "encoded", {}, sections)


def noise(seed: int) -> list[int]:
    """Give what stands for noise, within the tail."""
    return s.some(6, 40, seed)


def update(values: list[int], seed: int, party: str, total: int = CONTROL) -> tuple[bytes, list[int]]:
    """Make an update of lanes with noise, and give its ciphertexts."""
    numbers = ciphertexts(N, r.plain(NOISY, lanes_of(values), total), seed)
    body = r.update_body(NOISY, numbers, seed, party, party)
    return follows(NOISY, "update", {"party": party, "salt": APART}, body, signer=party), numbers


NOISY_VALUES = [
    [x + y for x, y in zip(values, noise(seed), strict=True)] for values, seed in ((ALICE, 3), (BOB, 5))
]
NOISY_A, NUMBERS_A = update(NOISY_VALUES[0], 6001, "alice")
NOISY_B, NUMBERS_B = update(NOISY_VALUES[1], 7001, "bob")
CONTRIBUTORS = [
    [name, file_digest(data), signature_of(data)] for name, data in (("alice", NOISY_A), ("bob", NOISY_B))
]
AGGREGATE = follows(
    NOISY,
    "aggregate",
    {"contributors": CONTRIBUTORS},
    blocks(product(N, NUMBERS_A, NUMBERS_B), 512),
    signer="bob",
)
SUMS = [sum(pair) + 2 * QMAX for pair in zip(*NOISY_VALUES, strict=True)]
SUM_HEADER: Map = {
    "contributors": CONTRIBUTORS,
    "aggregate": file_digest(AGGREGATE),
    "weight": 2,
    "clipped": 0,
}


SUM_BODY = r.sum_body(NOISY, SUMS, SUM_HEADER, (6001, 7001))


def total(**changes: Any) -> bytes:
    """Make the file of the sum."""
    return follows(NOISY, "sum", {**SUM_HEADER, **changes}, SUM_BODY, signer="anna")


# Records are protected, in a plan that rotates.
RECORD = noisy_plan("record", {**PROMISE, "unit": "record"}, 20, [{"step": "rotate"}], 8.0)

RECORD["tensors"] = [["bias", "float64", [2]], ["weight", "float64", [2, 2]]]

# What alice spent on both.


def spending(plan: Map) -> list[Any]:
    """Give what an update of a plan costs, as an account has it."""
    privacy = plan["privacy"]
    honest = plan["min_parties"] - privacy["colluders"]
    return [
        plan_digest(plan),
        plan["name"],
        privacy["unit"],
        privacy["norm2"],
        privacy["variance"],
        honest,
        privacy["delta"],
    ]


SPENT = [spending(NOISY), spending(RECORD), spending(NOISY)]


def account(spent: list[Any], signer: Any = "alice") -> bytes:
    """Make an account."""
    return envelope("account", {"spent": spent}, signer=signer)


# A training with noise: terms, and the plan of its first round.
TRAINING: Map = {
    **{key: value for key, value in t.TRAINING.items() if key != "goal"},
    "name": "winter",
    "skipped": ["count", "frozen"],
    "rule": "add",
    "bits": 14,
    "max_weight": 1,
    "metrics": [],
    "privacy": PROMISE,
}


def first_plan() -> Map:
    """Derive the plan of its first round."""
    plan = t.plan_of(TRAINING, bytes(range(40, 56)), t.FIRST)
    step, tail, privacy = fitted(PROMISE, 6, 2, 2, TRAINING["bits"])
    quantise = {**plan["codec"][0], "bits": TRAINING["bits"], "steps": [step, step], "tail": tail}
    return {**plan, "codec": [{**quantise, "rounding": "nearest"}, r.PACK], "privacy": privacy}


FIRST_PLAN = first_plan()
