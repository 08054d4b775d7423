"""Whole trainings in one process, of networks that read images, but for encryption.

Encryption is exact: what comes out of it is what went in.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hecli.bench.images import Images, Model, accuracy, trained
from hecli.measuring.federation import FEWEST, Federation, begin, roster_of, terms
from hecli.measuring.hiding import Unencrypted
from hecli.plan.settings import Setting, update_bytes
from hecli.schemes.interface import Scheme

ALL, ABSENT, LATE = "all", "absent", "late"
PRESENCES = (ALL, ABSENT, LATE)
"""Whether in each round all are there, or some are absent, or have trained and come too late."""

MISSING = 0.2
"""How likely it is in each round that a party is absent, or too late."""


class Way(NamedTuple):
    """A way to train.

    Args:
        setting: How values are coded.
        presence: One of PRESENCES.
    """

    setting: Setting
    presence: str


class Outcome(NamedTuple):
    """What came of a training.

    Args:
        accuracies: The accuracy of the model after each round.
        clipped: The share of values that was clipped in each.
        sizes: The bytes of the ciphertexts of an update in each, and of its whole file.
    """

    accuracies: tuple[float, ...]
    clipped: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]


def federation(model: Model, parties: int, scheme: Scheme, setting: Setting, rounds: int) -> Federation:
    """Begin a training.

    Args:
        model: The first model.
        parties: How many parties there are.
        scheme: How updates would be hidden.
        setting: How values are coded.
        rounds: How many rounds there are.

    Returns:
        The training.
    """
    coordinator, people, roster = roster_of(parties)
    training = terms(model, roster, scheme, setting, rounds)
    return begin(training, coordinator, people, Unencrypted(), model)


def train(
    model: Model,
    hands: Sequence[Images],
    test: Images,
    scheme: Scheme,
    way: Way,
    rounds: int,
    seed: int,
) -> Outcome:
    """Train to the end.

    Whatever the way, the same parties are missing in a round, and each learns
    from its images in the same order. Rounding up or down at random and the
    places of a sample are other ones in each run.

    Args:
        model: The first model.
        hands: The images of each party.
        test: The images that measure the model.
        scheme: How updates would be hidden.
        way: The way to train.
        rounds: How many rounds there are.
        seed: What all else that is random follows from.

    Returns:
        What came of it.
    """
    own = federation(model, len(hands), scheme, way.setting, rounds)
    random = np.random.default_rng((seed, 0))
    accuracies, clipped, sizes = [], [], []
    for number in range(1, rounds + 1):
        plan = own.plan(number)
        here = _here(random, len(hands), way.presence)
        sent = []
        for at, party in enumerate(own.parties):
            if here[at] or way.presence == LATE:
                update = own.send(plan, party, trained(own.model, hands[at], (seed, number, at)))
                sent += [update] if here[at] else []
        total = own.add(plan, sent)
        own.move(plan, total)
        accuracies.append(accuracy(own.model, test))
        clipped.append(total.header.clipped / (len(sent) * plan.geometry.values))
        sizes.append((plan.geometry.bytes, update_bytes(plan)))
    return Outcome(tuple(accuracies), tuple(clipped), tuple(sizes))


def _here(random: np.random.Generator, parties: int, presence: str) -> list[bool]:
    """Who is there in a round, FEWEST of them at least."""
    if presence == ALL:
        return [True] * parties
    while True:
        here: list[bool] = (random.random(parties) >= MISSING).tolist()
        if sum(here) >= FEWEST:
            return here
