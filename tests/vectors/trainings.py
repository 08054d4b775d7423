"""A training of the test vectors: its terms, a round with two parties, and the plans that follow."""

import math
from fractions import Fraction
from typing import Any

import rounds as r
from parts import (
    APART,
    Map,
    blocks,
    ciphertexts,
    control,
    digest,
    envelope,
    file_digest,
    fingerprint,
    kem_key,
    little,
    pack,
    product,
)
from rounds import N, follows, plan_digest, plan_file

# A model of which one tensor stays as it is, and one holds integers.
ITEMS = [
    ["bias", "float32", [2]],
    ["count", "int16", [1]],
    ["frozen", "uint8", [2]],
    ["weight", "float64", [2, 2]],
]
LAYOUTS = {"bias": "2f", "count": "h", "weight": "4d"}
VALUES: dict[str, list[float]] = {
    "bias": [0.5, 1.0],
    "count": [300],
    "frozen": [1, 255],
    "weight": [1.0, 2.0, 3.0, 4.0],
}


def model(values: dict[str, list[float]]) -> bytes:
    """Make the file of a model."""
    frozen = little("2B", *values["frozen"])
    moved = {name: little(layout, *values[name]) for name, layout in LAYOUTS.items()}
    content = b"".join((moved | {"frozen": frozen})[name] for name, *_ in ITEMS)
    return envelope("tensors", {"tensors": ITEMS}, [("values", 1, content)])


MODEL = model(VALUES)
RANGES = {"accuracy": 1.0, "loss": 20.0}
TRAINING: Map = {
    "name": "spring",
    "id": bytes(range(16, 32)),
    "roster": r.ROSTER,
    "scheme": r.PAILLIER,
    "tensors": ITEMS,
    "skipped": ["frozen"],
    "model": file_digest(MODEL),
    "rule": "sgd",
    "lr": 0.3,
    "rounds": 9,
    "bits": 8,
    "rounding": "nearest",
    "max_weight": 4,
    "min_parties": 2,
    "deadline": 3600,
    "metrics": [[name, size] for name, size in RANGES.items()],
    "goal": {"metric": "accuracy", "maximize": True, "patience": 2, "target": 0.9},
    "keep": 1,
}
# Another, of which nothing is left out that may be, with a name that is cut in those of its rounds.
RANGED: Map = {
    **{key: value for key, value in TRAINING.items() if key != "goal"},
    "name": "sixty characters " * 3 + "are nine",
    "skipped": [],
    "range": 3.0,
    "rounding": "stochastic",
    "metrics": [],
    "rotate": True,
    "masked": {"tensors": ["weight"], "dropouts": 0},
    "plain": ["count"],
}


def training_file(training: Map, signer: Any = "anna") -> bytes:
    """Make the file of a training."""
    keys = [kem_key(name) for name in training.get("roster", {}).get("parties", ())]
    return envelope("training", {**training, "kem": keys}, signer=signer)


def updates_of(training: Map) -> list[list[Any]]:
    """Give the tensors of an update."""
    kept = [item for item in training["tensors"] if item[0] not in training["skipped"]]
    floats = [[name, "float64" if "int" in dtype else dtype, shape] for name, dtype, shape in kept]
    return sorted([*floats, *([f"hecli.metric.{name}", "float64", [2]] for name, _ in training["metrics"])])


def plan_of(training: Map, id_: bytes, place: Map, steps: list[float] | None = None) -> Map:
    """Derive a plan: `steps` follow from the sum before, None in round 1."""
    bits, rounding = training["bits"], training["rounding"]
    items = updates_of(training)
    if steps is None:
        if "range" not in training:
            bits, rounding = 32, "nearest"
        steps = [training.get("range", 128.0) / ((1 << bits - 1) - 1)] * len(items)
    ranges = {f"hecli.metric.{name}": size for name, size in training["metrics"]}
    base, most = (1 << bits) - 1, 16_383
    needed = next(count for count in range(1, 33) if (base**count - 1) // 2 >= most)
    digits = [needed if name in ranges else 1 for name, *_ in items]
    steps = [
        ranges[name] / ((base**needed - 1) // 2) if name in ranges else step
        for (name, *_), step in zip(items, steps, strict=True)
    ]
    quantise = {"step": "quantise", "bits": bits, "rounding": rounding, "steps": steps}
    if set(digits) != {1}:
        quantise["digits"] = digits
    again = f"-{place['attempt']}" if place["attempt"] > 1 else ""
    plan: Map = {
        "name": f"{training['name'][:48]}-{place['round']:04}{again}",
        "id": id_,
        "tensors": items,
        "codec": [quantise, r.PACK],
        "scheme": training["scheme"],
        "capacity": len(training["roster"]["parties"]),
        "min_parties": training["min_parties"],
        "max_weight": training["max_weight"],
        "roster": training["roster"],
        "position": {"training": file_digest(training_file(training)), **place},
    }
    if training["skipped"]:
        plan["skipped"] = training["skipped"]
    if "masked" in training:
        plan["masked"] = training["masked"]
    if "plain" in training:
        sizes = {name: math.prod(shape) for name, _, shape in items}
        plan["plain"] = [[name, 0, sizes[name]] for name in training["plain"]]
    if ranges:
        plan["metrics"] = sorted(ranges)
    return plan


FIRST: Map = {"round": 1, "attempt": 1, "model": file_digest(MODEL), "previous": b""}
FIRST_PLAN = plan_of(TRAINING, bytes([1] * 16), FIRST)
RANGED_PLAN = plan_of(RANGED, bytes([2] * 16), {**FIRST, "attempt": 2})
QUANTISE: Map = FIRST_PLAN["codec"][0]
QMAX = (1 << QUANTISE["bits"] - 1) - 1

# Gradients: nobody moves the counter; bob did not measure the accuracy; alice's loss is beyond its range.
ALICE = [0.25, -1.0, 0.0, 0.75, 1.0, 20.0, 20.0, 1.0, 0.5, -3.5, 2.0]
BOB = [1.0, 0.5, 0.0, 0.0, 0.0, 1.25, 20.0, 2.0, -2.0, 0.125, -0.1]
WEIGHTS = {"alice": 4, "bob": 2}
SIZES = [math.prod(shape) for _, _, shape in FIRST_PLAN["tensors"]]
STEPS = [step for step, size in zip(QUANTISE["steps"], SIZES, strict=True) for _ in range(size)]


def lanes_of(name: str, values: list[float]) -> list[int]:
    """Quantise: scaled by weight, to the nearest, ties to even as Python does, too."""
    share = WEIGHTS[name] / TRAINING["max_weight"]
    return [QMAX + round(value * share / step) for value, step in zip(values, STEPS, strict=True)]


LANES = [lanes_of("alice", ALICE), lanes_of("bob", BOB)]
NUMBERS = [
    ciphertexts(N, r.plain(FIRST_PLAN, lanes, control(1, weight, 0)), seed)
    for lanes, weight, seed in zip(LANES, WEIGHTS.values(), (10_001, 11_001), strict=True)
]
UPDATES = [
    follows(
        FIRST_PLAN,
        "update",
        {"party": name, "salt": APART},
        r.update_body(FIRST_PLAN, numbers, seed, name, name),
        signer=name,
    )
    for name, numbers, seed in zip(WEIGHTS, NUMBERS, (10_001, 11_001), strict=True)
]
CONTRIBUTORS = r.signed_contributors(*zip(WEIGHTS, UPDATES, strict=True))
AGGREGATE = follows(
    FIRST_PLAN,
    "aggregate",
    {"contributors": CONTRIBUTORS},
    blocks(product(N, *NUMBERS), 512),
    signer="bob",
)
USED = digest("opened", pack([name for name, *_ in CONTRIBUTORS]))
"""What a record has of opening it."""
SUMS = [a + b for a, b in zip(*LANES, strict=True)]
SUM_HEADER: Map = {
    "contributors": CONTRIBUTORS,
    "aggregate": file_digest(AGGREGATE),
    "weight": 6,
    "clipped": 0,
}
SUM = follows(
    FIRST_PLAN,
    "sum",
    SUM_HEADER,
    r.sum_body(FIRST_PLAN, SUMS, SUM_HEADER, (10_001, 11_001), 8),
    signer="anna",
)


def by_tensor(values: list[Any]) -> dict[str, list[Any]]:
    """Take one sequence of values apart into tensors."""
    found, at = {}, 0
    for (name, *_), size in zip(FIRST_PLAN["tensors"], SIZES, strict=True):
        found[name] = values[at : at + size]
        at += size
    return found


MEANS = by_tensor([float(s - 2 * QMAX) * (step * (4 / 6)) for s, step in zip(SUMS, STEPS, strict=True)])
METRICS = {
    name: float(f"{MEANS[f'hecli.metric.{name}'][0] / MEANS[f'hecli.metric.{name}'][1] * size:.6g}")
    for name, size in RANGES.items()
}


def moved() -> bytes:
    """Make the model after the round."""
    found = {
        name: [old - 0.3 * mean for old, mean in zip(VALUES[name], MEANS[name], strict=True)]
        for name in LAYOUTS
    }
    return model({**VALUES, **found, "count": [round(value) for value in found["count"]]})


MOVED = moved()


def next_steps() -> list[float]:
    """Give the steps that follow from the sum, in exact fractions; little was clipped."""
    largest = {name: max(abs(s - 2 * QMAX) for s in sums) for name, sums in by_tensor(SUMS).items()}
    steps = dict(zip(largest, QUANTISE["steps"], strict=True))
    ranges = {
        name: 2 * min(2, 8) * Fraction(most, 2) * Fraction(steps[name]) for name, most in largest.items()
    }
    widest = max(each for name, each in ranges.items() if name not in FIRST_PLAN["metrics"])
    return [float((each or widest) / ((1 << TRAINING["bits"] - 1) - 1)) for each in ranges.values()]


SECOND: Map = {"round": 2, "attempt": 1, "model": file_digest(MOVED), "previous": file_digest(SUM)}
SECOND_PLAN = plan_of(TRAINING, bytes([3] * 16), SECOND, next_steps())

THIRD_PLAN = plan_of(TRAINING, bytes([4] * 16), {**SECOND, "attempt": 2}, next_steps())


# Its ledger, in which only some entries count.
PLANS = [FIRST_PLAN, SECOND_PLAN, THIRD_PLAN]
FILES = {name: [name, file_digest(data)] for name, data in (("round.agg", AGGREGATE), ("round.sum", SUM))}
SENT = [[f"{fingerprint(name)}.enc", file_digest(data)] for name, data in zip(WEIGHTS, UPDATES, strict=True)]
AFTER = ["model.tensors", file_digest(MOVED)]
BEGIN = [["training.hecli", file_digest(training_file(TRAINING))], ["model.tensors", file_digest(MODEL)]]


def planned(number: int) -> list[list[Any]]:
    """Give what an entry about a plan lists."""
    return [["round.plan", file_digest(plan_file(PLANS[number]))]]


EVENTS: list[tuple[str, str, int | None, list[list[Any]], str]] = [
    ("anna", "founded", None, [], "the coordinator begins"),
    ("anna", "training", None, BEGIN, "the training"),
    ("bob", "plan", 1, planned(1), "nothing: not the coordinator's"),
    ("anna", "plan", 0, planned(0), "round 1"),
    ("anna", "plan", 1, planned(1), "nothing: a round is open"),
    ("anna", "opened", 0, list(FILES.values()), "nothing: before it was closed"),
    ("bob", "closed", 0, SENT, "the contributors of round 1"),
    ("anna", "abandoned", 0, [], "nothing: after it was closed"),
    ("bob", "aggregate", 0, [FILES["round.agg"]], "its aggregate"),
    ("bob", "opened", 0, list(FILES.values()), "nothing: not a keyholder's"),
    ("anna", "opened", 0, list(FILES.values()), "its sum"),
    ("anna", "opened", 0, [["round.sum", bytes(32)]], "another sum: too late"),
    ("alice", "applied", 0, [FILES["round.sum"], AFTER], "alice has the model after it"),
    ("alice", "applied", 0, [FILES["round.sum"], ["model.tensors", bytes(32)]], "another model: too late"),
    ("bob", "refused", 0, [], "bob refuses that model"),
    ("anna", "plan", 1, planned(1), "round 2"),
    ("bob", "abandoned", 1, [], "nothing: not the coordinator's"),
    ("anna", "abandoned", 1, [], "its end"),
    ("bob", "closed", 1, SENT, "nothing: after it was abandoned"),
    ("anna", "plan", 0, planned(0), "nothing: the plan of an earlier entry"),
    ("anna", "plan", 2, planned(2), "round 2, attempt 2"),
    ("bob", "failed", 2, [], "nothing: not a keyholder's"),
    ("anna", "failed", None, [], "nothing: of no plan"),
    ("bob", "ended", None, [], "nothing: not the coordinator's"),
    ("anna", "ended", None, [], "the end"),
]
COUNT: Map = {
    "rounds": [
        {
            "round": 1,
            "attempt": 1,
            "plan": 4,
            "closed": [7],
            "aggregate": [9],
            "opened": 11,
            "applied": {"alice": 13},
            "refused": {"bob": 15},
            "abandoned": None,
        },
        {
            "round": 2,
            "attempt": 1,
            "plan": 16,
            "closed": [],
            "aggregate": [],
            "opened": None,
            "applied": {},
            "refused": {},
            "abandoned": 18,
        },
        {
            "round": 2,
            "attempt": 2,
            "plan": 21,
            "closed": [],
            "aggregate": [],
            "opened": None,
            "applied": {},
            "refused": {},
            "abandoned": None,
        },
    ],
    "ended": 25,
}
"""What is left of the ledger, by the numbers of entries."""


def entries() -> list[bytes]:
    """Make the entries, one after the other."""
    made: list[bytes] = []
    for number, (who, event, plan, files, what) in enumerate(EVENTS, 1):
        names = {"plan": PLANS[plan or 0]["name"], "training": TRAINING["name"]}
        header = {
            **r.ENTRY,
            "number": number,
            "previous": file_digest(made[-1]) if made else bytes(range(32)),
            "event": event,
            "party": who,
            "plan": b"" if plan is None else plan_digest(PLANS[plan]),
            "files": files,
            "cards": TRAINING["roster"]["members"] if number == 1 else [],
            "text": names.get(event, what),
        }
        made.append(envelope("entry", header, signer=who, plan=header["plan"]))
    return made
