"""Trainings by each technique, and those that they are set beside."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

import numpy as np

from hecli.compare.data import Records
from hecli.compare.learning import Hands, Learner, Learning
from hecli.compare.one_round import Noise
from hecli.compare.pieces import Rounds
from hecli.compare.techniques import SHARES, WHOLE, Technique, shares, threshold
from hecli.compare.tensors import clear, npz_of
from hecli.executors.cores import cores
from hecli.formats.tensors.arrays import of_arrays
from hecli.measuring.federation import Hiding, begin, roster_of, terms
from hecli.measuring.hiding import Encrypted, Unencrypted
from hecli.plan.settings import update_bytes
from hecli.privacy.accounting import rho_within
from hecli.privacy.choosing import Promise
from hecli.privacy.describe import finite
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.dealing import deal
from hecli.schemes.paillier.key_files import Share
from hecli.schemes.paillier.keys import DEFAULT_BITS, PrivateKey, PublicKey, keygen
from hecli.schemes.paillier.scheme import Paillier

COLLUDERS = 1


class Keys:
    """The keys of trainings, made when they are used.

    Args:
        parties: How many parties there are.
        bits: How large keys are.
    """

    def __init__(self, parties: int, bits: int = DEFAULT_BITS) -> None:
        self._parties = parties
        self._bits = bits

    @cached_property
    def key(self) -> PrivateKey:
        """The one that one person has."""
        return keygen(self._bits)

    @cached_property
    def shares(self) -> Sequence[Share]:
        """As many shares of another as open it."""
        opens = threshold(self._parties)
        return deal(opens, shares(self._parties), self._bits)[1][:opens]

    def scheme(self, technique: Technique) -> Scheme:
        """Give the scheme of a technique.

        Args:
            technique: It.

        Returns:
            The scheme.

        Raises:
            HecliError: There are too few parties.
        """
        masking = Masking(technique.dropouts(self._parties)) if technique.masks else None
        if technique.key == WHOLE:
            return Paillier.of(self.key.public, masking=masking)
        if technique.key == SHARES:
            dealt = self.shares[0].key
            return Paillier.of(PublicKey(dealt.n, dealt), masking=masking)
        return Masks(masking or Masking(0))

    def encrypting(self, technique: Technique) -> Hiding:
        """Give what encrypts updates and opens sums.

        Args:
            technique: The technique.

        Returns:
            It.
        """
        return Encrypted(
            self.key if technique.key == WHOLE else None,
            self.shares if technique.key == SHARES else (),
            cores(),
        )


class Curve(NamedTuple):
    """What came of a training.

    Args:
        accuracies: How good the model was after each round.
        bytes: What a party sent in each, without what it enrolls and answers with.
        clipped: The share of all values that was clipped.
        epsilon: What the noise of all rounds promises; None where there is none, or nothing is promised.
        alone: The same for whoever opens single updates.
    """

    accuracies: tuple[float, ...]
    bytes: tuple[int, ...]
    clipped: float = 0.0
    epsilon: float | None = None
    alone: float | None = None


def train(
    technique: Technique,
    learning: Learning,
    parties: int,
    rounds: int,
    keys: Keys,
    noise: Noise,
    told: Rounds,
    *,
    encrypted: bool,
) -> Curve:
    """Train by a technique, through hecli's own rounds.

    Args:
        technique: The technique.
        learning: How parties learn.
        parties: How many there are.
        rounds: How many rounds there are.
        keys: The keys.
        noise: What noise there is, where there is some.
        told: Told of each round.
        encrypted: Whether updates are encrypted, aggregated and opened; else what would be is added up.

    Returns:
        What came of it.

    Raises:
        HecliError: There is no such training.
    """
    common = learning.begin()
    coordinator, people, roster = roster_of(parties, opens=technique.key == SHARES)
    setting = technique.setting_for(of_arrays(common).specs)
    training = terms(common, roster, keys.scheme(technique), setting, rounds)
    training = replace(training, rule=learning.rule, lr=learning.lr)
    if technique.clear:
        training = replace(training, plain=tuple(sorted(clear(common))))
    if technique.noise:
        rho = float(rho_within(noise.epsilon, noise.delta, rounds))
        promise = Promise(noise.unit, noise.clip, rho, noise.epsilon, noise.delta, COLLUDERS)
        training = replace(training, privacy=promise, min_parties=parties)
    hiding = keys.encrypting(technique) if encrypted else Unencrypted()
    own = begin(training, coordinator, people, hiding, common)
    accuracies, sizes, clipped, values = [], [], 0, 0
    for number in range(1, rounds + 1):
        plan = own.plan(number)
        made = (learning.made(at, own.model, number) for at in range(parties))
        sent = [own.send(plan, party, each) for party, each in zip(own.parties, made, strict=True)]
        total = own.add(plan, sent)
        own.move(plan, total)
        accuracies.append(learning.accuracy(own.model, number))
        sizes.append(update_bytes(plan))
        clipped += total.header.clipped
        values += parties * plan.geometry.values
        told(number)
    found = Curve(tuple(accuracies), tuple(sizes), clipped / values)
    if plan.spending is None:
        return found
    costs = (plan.spending.cost, plan.spending.cost_alone)
    epsilon, alone = (finite(each.times(rounds).epsilon(noise.delta)) for each in costs)
    return found._replace(epsilon=epsilon, alone=alone)


def averaged(learning: Learning, parties: int, rounds: int, told: Rounds) -> Curve:
    """Train by plain averaging, with nothing hidden and nothing rounded.

    Args:
        learning: How parties learn: weights.
        parties: How many there are.
        rounds: How many rounds there are.
        told: Told of each round.

    Returns:
        What came of it.
    """
    common, accuracies = learning.begin(), []
    size = len(npz_of(common))
    for number in range(1, rounds + 1):
        made = [learning.made(at, common, number) for at in range(parties)]
        common = {
            name: np.mean([each[name] for each in made], axis=0, dtype=np.float64).astype(common[name].dtype)
            for name in common
        }
        accuracies.append(learning.accuracy(common, number))
        told(number)
    return Curve(tuple(accuracies), (size,) * rounds)


def alone(learner: Learner, hands: Hands, rounds: int, told: Rounds) -> Curve:
    """Let every party train by itself.

    Args:
        learner: What is trained.
        hands: Who has which records.
        rounds: How often each trains.
        told: Told of each round.

    Returns:
        The mean of their accuracies.
    """
    own, accuracies = [learner.first(hands.seed)] * len(hands.parties), []
    for number in range(1, rounds + 1):
        own = [
            learner.trained(model, hands.parties[at], hands.draw(number, at)) for at, model in enumerate(own)
        ]
        accuracies.append(fmean(learner.accuracy(each, hands.test) for each in own))
        told(number)
    return Curve(tuple(accuracies), (0,) * rounds)


def pooled(learner: Learner, hands: Hands, rounds: int, told: Rounds) -> Curve:
    """Train on the records of all parties in one place, which is what nobody may do.

    Args:
        learner: What is trained.
        hands: Who has which records.
        rounds: How often it trains.
        told: Told of each round.

    Returns:
        What came of it.
    """
    every = Records(*(np.concatenate(each) for each in zip(*hands.parties, strict=True)))
    return alone(learner, hands._replace(parties=[every]), rounds, told)
