"""What noise costs in accuracy: python -m hecli.bench.private.

Parties learn together to read handwritten digits, by logistic regression on all
their images in each round. Where a record is protected, a party sends the sum of
the gradients of its images, each clipped; where a party is, it sends the mean of
them, which hecli clips. Plans, clipping, rounding, noise and opening are
hecli's own; nothing is encrypted, for that is exact. Each seed deals the images
anew. The clip norms and rates were chosen with other seeds, and are the same
whatever the noise.

The accuracy is that of the model at the end, on images that nobody learned from.
"""

import argparse
import io
import json
import math
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hecli.bench.images import CLASSES, SOURCES, Images, Indices, dealt
from hecli.codec.arrays import Floats, Lanes
from hecli.codec.interface import Decoding
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import of_arrays
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.measuring.seeds import Report, report, spread
from hecli.plan.data import Plan
from hecli.plan.making import make_plan
from hecli.privacy.accounting import rho_within
from hecli.privacy.choosing import RANGE_IN_CLIPS, Asked
from hecli.privacy.describe import finite, shown
from hecli.privacy.guarantee import PARTY, RECORD
from hecli.rounds.encode import encode
from hecli.rounds.encrypt import noise_of
from hecli.rounds.headers import open_encoded
from hecli.rounds.lanes import read_lanes
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks

if TYPE_CHECKING:
    from hecli.codec.noise import Noise

IMAGES = "digits"
PARTIES, SEEDS, ROUNDS = 8, 5, 60
COLLUDERS, DELTA = 1, 1e-5

SLOWER = 0.5
"""The rate falls from round to round, in a straight line, to this part of what it was."""

TENSOR = "weight"

COLUMNS = {"accuracy": 10, "points": 7, "epsilon": 10, "alone": 10, "noise": 7, "clip": 5, "rate": 5}
"""What the table shows, and how wide."""

HEAD = 26


class Way(NamedTuple):
    """A way to train.

    Args:
        unit: Whose data is protected, and so what is clipped, one of UNITS.
        clip: The clip norm.
        rate: What the mean of the parties is multiplied with in the first round.
        epsilon: What all rounds together promise; None for what `noise` says.
        noise: The noise of honest parties together, in clip norms; None for none.
    """

    unit: str
    clip: float
    rate: float
    epsilon: float | None = None
    noise: float | None = None


OPEN, OPEN_PARTY = "record, no noise", "party, hardly any noise"
WAYS = {
    OPEN: Way(RECORD, 0.25, 0.4),
    "record, epsilon 8": Way(RECORD, 0.25, 0.4, 8.0),
    "record, epsilon 3.5": Way(RECORD, 0.25, 0.4, 3.5),
    "record, epsilon 1.6": Way(RECORD, 0.25, 0.4, 1.6),
    "record, epsilon 0.8": Way(RECORD, 0.25, 0.4, 0.8),
    "record, no noise, fast": Way(RECORD, 0.25, 1.6),
    OPEN_PARTY: Way(PARTY, 0.1, 10.0, noise=0.01),
    "party, epsilon 25": Way(PARTY, 0.1, 10.0, 25.0),
    "party, epsilon 8": Way(PARTY, 0.1, 10.0, 8.0),
    "party, epsilon 3.5": Way(PARTY, 0.1, 10.0, 3.5),
    "party, epsilon 25, clip 1": Way(PARTY, 1.0, 2.0, 25.0),
}
"""By their names. Without noise a faster rate is better, which noise would not bear: it stands beside."""

GOALS = {"record, epsilon 3.5": 1.0, "record, epsilon 1.6": 3.0}
"""How many points below OPEN a way may be."""


def plan_of(way: Way, roster: Roster, rounds: int) -> Plan:
    """Make the plan of all rounds of a training.

    Args:
        way: How it trains.
        roster: Who takes part.
        rounds: How many rounds share what epsilon promises.

    Returns:
        The plan. It is for masks, which need no key.
    """
    asked = None
    if way.noise is not None or way.epsilon is not None:
        rho = None if way.epsilon is None else rho_within(way.epsilon, DELTA, rounds)
        asked = Asked(way.unit, way.clip, way.noise, rho, COLLUDERS, DELTA)
    shape = (SOURCES[IMAGES].layers[0] + 1, CLASSES)
    return make_plan(
        of_arrays({TENSOR: np.zeros(shape)}),
        Masks(Masking(0)),
        roster=roster,
        min_parties=len(roster.parties),
        # Of a party's values there is none: their norm is clipped.
        value_range=RANGE_IN_CLIPS * way.clip if way.unit == RECORD else None,
        privacy=asked,
    )


def roster_of(parties: int) -> Roster:
    """Make a roster of parties that nobody knows.

    Args:
        parties: How many.

    Returns:
        It.
    """
    cards = [Identity.generate(f"party-{at}").card for at in range(parties)]
    return Roster.of(cards, coordinator=cards[0])


class Records(NamedTuple):
    """Images as rows that a linear model reads.

    Args:
        rows: The pixels of each and a constant, with a norm of 1.
        labels: The digits.
    """

    rows: Floats
    labels: Indices

    @classmethod
    def of(cls, images: Images) -> "Records":
        """Make rows of images.

        Args:
            images: The images.

        Returns:
            Them.
        """
        rows = np.column_stack([images.pixels.astype(np.float64), np.ones(len(images.labels))])
        return cls(rows / np.linalg.norm(rows, axis=1, keepdims=True), images.labels)

    def errors(self, model: Floats) -> Floats:
        """Say how far off a model is: the gradient of the cross-entropy of each record's scores.

        Args:
            model: The model.

        Returns:
            A row for each record. Times the record's own row it is its gradient,
            with the same norm as this one.
        """
        scores = self.rows @ model
        powers: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        powers /= powers.sum(axis=1, keepdims=True)
        powers[np.arange(len(powers)), self.labels] -= 1
        return powers

    def update(self, model: Floats, way: Way) -> Floats:
        """Make a party's update, as its own training has to.

        Args:
            model: The model.
            way: How it trains.

        Returns:
            The sum of the gradients of its records, each clipped; or where a party
            is protected the mean of them, which hecli clips.
        """
        errors = self.errors(model)
        if way.unit == PARTY:
            return self.rows.T @ errors / len(errors)
        norms = np.linalg.norm(errors, axis=1, keepdims=True)
        clipped: Floats = errors * (way.clip / np.maximum(norms, way.clip))
        return self.rows.T @ clipped

    def accuracy(self, model: Floats) -> float:
        """Measure a model.

        Args:
            model: The model.

        Returns:
            The share of the records that it reads.
        """
        return float(((self.rows @ model).argmax(axis=1) == self.labels).mean())


def train(plan: Plan, way: Way, hands: Sequence[Records], test: Records, rounds: int) -> float:
    """Train to the end.

    Args:
        plan: The plan of each round.
        way: How it trains.
        hands: The records of each party.
        test: Those that measure the model.
        rounds: How many rounds there are.

    Returns:
        The accuracy of the model at the end.
    """
    # One table for all updates of the training: what is drawn by it is new each time.
    noise = None if plan.privacy is None else noise_of(plan, plan.privacy)
    (spec,) = plan.tensors
    model = np.zeros(spec.shape)
    for number in range(rounds):
        sums = np.zeros(plan.geometry.values, np.uint64)
        for each in hands:
            sums += sent(plan, each.update(model, way), noise)
        rate = way.rate * (1 - (1 - SLOWER) * number / rounds)
        model = model - rate * mean(plan, sums, len(hands))
    return test.accuracy(model)


def sent(plan: Plan, update: Floats, noise: "Noise | None") -> Lanes:
    """Do to an update all that happens before it is hidden.

    Args:
        plan: The plan.
        update: The update.
        noise: What draws noise; None where there is none.

    Returns:
        Its lanes.
    """
    file = io.BytesIO()
    encode(of_arrays({TENSOR: update}), file, plan=plan)
    reader = open_reader(file)
    open_encoded(reader, plan)
    lanes = np.concatenate([*read_lanes(reader, plan.geometry.values, plan.codec.largest)])
    return lanes if noise is None else noise.added(lanes)


def mean(plan: Plan, sums: Lanes, parties: int) -> Floats:
    """Turn a sum of lanes into the mean of all updates.

    Args:
        plan: The plan.
        sums: The sum.
        parties: How many updates are in it.

    Returns:
        The mean.
    """
    decoding = Decoding(plan.common(), parties, 1 / parties)
    return np.concatenate([*plan.codec.decode(0, [sums], decoding)]).reshape(plan.tensors[0].shape)


def measure(images: Images, seeds: int, rounds: int, parties: int, say: Report) -> dict[str, Any]:
    """Train in all ways, with all seeds.

    Args:
        images: The images.
        seeds: How many seeds there are.
        rounds: How many rounds each training has.
        parties: How many parties there are.
        say: Told what is going on.

    Returns:
        The figures; by way the accuracy, and the difference to that without
        noise, in percent, with what all rounds promise together.
    """
    start, roster = time.monotonic(), roster_of(parties)
    deals = []
    for seed in range(seeds):
        test, hands = dealt(images, SOURCES[IMAGES].held_out, parties, seed)
        deals.append(([*map(Records.of, hands)], Records.of(test)))
    rows: dict[str, dict[str, Any]] = {}
    found: dict[str, list[float]] = {}
    for name, way in WAYS.items():
        say(f"training with noise: {name}")
        plan = plan_of(way, roster, rounds)
        found[name] = [100 * train(plan, way, hands, test, rounds) for hands, test in deals]
        beside = found[OPEN if way.unit == RECORD else OPEN_PARTY]
        points = spread([mine - other for mine, other in zip(found[name], beside, strict=True)])
        rows[name] = {
            "accuracy": spread(found[name]),
            "points": points,
            "missed_by": max(0.0, round(-points[0] - GOALS.get(name, math.inf), 6)),
            **_promised(plan, rounds),
            "clip": way.clip,
            "rate": way.rate,
        }
    return {
        "values": plan.geometry.values,
        "seeds": seeds,
        "rounds": rounds,
        "parties": parties,
        "delta": DELTA,
        "seconds": time.monotonic() - start,
        "rows": rows,
    }


def _promised(plan: Plan, rounds: int) -> dict[str, float | None]:
    """What all rounds promise together, by the account, and a party's noise in steps; None without noise."""
    if plan.privacy is None or plan.spending is None:
        return {"noise": None, "epsilon": None, "epsilon_alone": None}
    sums, alone = (each.times(rounds) for each in (plan.spending.cost, plan.spending.cost_alone))
    return {
        "noise": plan.privacy.sigma,
        "epsilon": finite(sums.epsilon(DELTA)),
        "epsilon_alone": finite(alone.epsilon(DELTA)),
    }


def lines(summary: dict[str, Any]) -> list[str]:
    """Put what was measured into lines.

    Args:
        summary: What `measure` found.

    Returns:
        A table, and which goals were missed.
    """
    size = f"{summary['values']} values, {summary['seeds']} seeds, {summary['rounds']} rounds"
    promise = f"all rounds together at delta {summary['delta']:g}, by their sums, {COLLUDERS} colluder;"
    return [
        f"logistic regression of {size}, {summary['seconds']:.0f} s",
        "accuracy  of the model at the end, in percent of images held out; ± over seeds",
        "points    more or less than the first line of the same unit",
        f"epsilon   of {promise}",
        "alone     by single updates, or two sums that differ by one",
        "noise     of each party: its standard deviation, in steps",
        f"rate      of the mean, falling in a straight line to {SLOWER:g} of this",
        "",
        f"noise, {summary['parties']} parties".ljust(HEAD) + _row(COLUMNS),
        *(name.ljust(HEAD) + _row(_cells(row)) for name, row in summary["rows"].items()),
        "",
        *_goals(summary["rows"]),
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    (accuracy, around), (points, _) = row["accuracy"], row["points"]
    promised = ["", "", ""]
    if row["noise"] is not None:
        promised = [shown(row["epsilon"]), shown(row["epsilon_alone"]), f"{row['noise']:,.0f}"]
    missed = "!" if row["missed_by"] else ""
    numbers = f"{accuracy:.1f} ±{around:.1f}", f"{points:+.1f}{missed}"
    return [*numbers, *promised, f"{row['clip']:g}", f"{row['rate']:g}"]


def _row(cells: Iterable[str]) -> str:
    return "".join(each.rjust(width) for each, width in zip(cells, COLUMNS.values(), strict=True))


def _goals(rows: dict[str, dict[str, Any]]) -> list[str]:
    missed = [
        f"MISSED (!) by {row['missed_by']:.2f}: {name}" for name, row in rows.items() if row["missed_by"]
    ]
    goals = "; ".join(f"{name}: {most:g}" for name, most in GOALS.items())
    return [f"goals, in points below at most: {goals}", *(missed or ["none is missed"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m hecli.bench.private", description=__doc__)
    parser.add_argument("--parties", type=int, default=PARTIES, help="2 at least")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, 1 at least")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="1 at least")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    images = SOURCES[IMAGES].load()
    summary = measure(images, options.seeds, options.rounds, options.parties, report)
    print(json.dumps(summary) if options.json else "\n".join(lines(summary)))


if __name__ == "__main__":
    main()
