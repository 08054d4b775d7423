"""All that one seed decides: who has which records, how parties learn from them, and what they send."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hecli.compare.data import Data, Floats, Records, Split
from hecli.compare.learning import Gradients, Hands, Labels, Learner, Learning, Weights, typical_norm
from hecli.compare.networks import Network
from hecli.compare.one_round import Noise, Sent
from hecli.compare.pieces import Piece, Rounds
from hecli.compare.techniques import NOISY, SHARES, TECHNIQUES, WHOLE, Technique
from hecli.compare.tensors import Tensors, norm_of, part_of, share_of
from hecli.compare.training import Curve, Keys, alone, averaged, pooled, train
from hecli.errors import HecliError
from hecli.privacy.guarantee import PARTY, RECORD

CLIP_SHARE = 0.5
"""The clip norm of records, of what their gradients typically measure at the start."""

ALONE, POOLED, AVERAGED = "alone", "pooled", "averaged"

EPSILONS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""What noise costs is shown for these."""

HEAVY = {None: 2, WHOLE: 8, SHARES: 40}
"""How many times as long a training takes with encryption, by who has the key."""

BESIDE = {ALONE: "each party alone", POOLED: "all data in one place", AVERAGED: "plain averaging"}
"""What trainings are set beside."""


class Asked(NamedTuple):
    """What is compared.

    Args:
        parties: How many parties there are.
        techniques: The techniques, by name.
        epsilon: What the noise of all rounds promises.
        delta: The delta of it.
        rounds: How many rounds there are.
    """

    parties: int
    techniques: Mapping[str, Technique]
    epsilon: float
    delta: float
    rounds: int

    @property
    def noisy(self) -> bool:
        """Whether any technique has noise."""
        return any(each.noise for each in self.techniques.values())

    def noise(self, unit: str, clip: float) -> Noise:
        """Give the noise of techniques that have some.

        Args:
            unit: Whose data is protected.
            clip: The clip norm.

        Returns:
            It.
        """
        return Noise(unit, clip, self.epsilon, self.delta, self.rounds)


class Learned(NamedTuple):
    """What is trained.

    Args:
        data: The records.
        split: How they are split.
        seeds: How many seeds there are.
        learner: What learns.
        public: Public examples, for distillation.
        reach: The accuracies to be reached; none for those that follow from plain averaging.
    """

    data: Data
    split: Split
    seeds: int
    learner: Learner
    public: Floats | None
    reach: Sequence[float]


class Trial(NamedTuple):
    """All that one seed decides.

    Args:
        asked: What is compared.
        learner: What learns.
        hands: Who has which records.
        public: Public examples, scaled as records are; None where there are none.
        noise: What noise there is.
    """

    asked: Asked
    learner: Learner
    hands: Hands
    public: Floats | None
    noise: Noise

    @classmethod
    def of(cls, asked: Asked, learned: Learned, seed: int) -> "Trial":
        """Deal records.

        Args:
            asked: What is compared.
            learned: What is trained.
            seed: The seed.

        Returns:
            The trial.

        Raises:
            HecliError: There are too few records.
        """
        learner = learned.learner
        test, parties = learned.data.dealt(learned.split, asked.parties, seed)
        if not isinstance(learner, Network):
            # A command knows how its numbers are to be scaled; what it makes is clipped as a whole.
            hands = Hands(test, parties, seed)
            weights, clip = Weights(learner, hands), 1.0
            if asked.noisy:
                clip = norm_of(_difference(weights.made(0, weights.begin(), 1), weights.begin()))
            return cls(asked, learner, hands, None, asked.noise(PARTY, clip))
        # As parties agree on beforehand, by a round of their means and squares.
        every = Records(*(np.concatenate(each) for each in zip(*parties, strict=True)))
        hands = Hands(test.scaled_by(every), [each.scaled_by(every) for each in parties], seed)
        public = None
        if learned.public is not None:
            examples = Records(learned.public, np.zeros(len(learned.public), np.int64))
            public = examples.scaled_by(every).rows
        noise = asked.noise(RECORD, CLIP_SHARE * typical_norm(learner, hands))
        return cls(asked, learner, hands, public, noise)

    def learning(self, technique: Technique) -> Learning:
        """Say how parties learn by a technique.

        Args:
            technique: It.

        Returns:
            How.

        Raises:
            HecliError: They cannot.
        """
        if technique.labels:
            if not isinstance(self.learner, Network):
                raise HecliError("a command of one's own gives no soft labels", "leave out --train")
            if self.public is None:
                raise HecliError("there are no public examples", "give some with --public")
            return Labels(self.learner, self.hands, self.public)
        if technique.noise and isinstance(self.learner, Network):
            return Gradients(self.learner, self.hands, self.noise.clip)
        return Weights(self.learner, self.hands)

    def sent(self, technique: Technique) -> Sent:
        """Make what parties would send in the first round.

        Args:
            technique: The technique.

        Returns:
            What parties would send.

        Raises:
            HecliError: They cannot learn so.
        """
        learning = self.learning(technique)
        common = learning.begin()
        made = [learning.made(at, common, 1) for at in range(self.asked.parties)]
        updates = [each if learning.rule == "sgd" else _difference(each, common) for each in made]
        share = share_of(sum(each.size for each in updates[0].values()), len(updates))
        return Sent([part_of(each, share) for each in updates], self.noise, share)

    def pieces(self, keys: Keys) -> Iterator[Piece]:
        """List the trainings of this seed.

        Args:
            keys: The keys that updates are encrypted under.

        Yields:
            Them.
        """
        seed, parties, rounds = self.hands.seed, self.asked.parties, self.asked.rounds
        learner, hands = self.learner, self.hands
        cost = rounds * parties * 0.02
        text = f"seed {seed + 1}, {{}}".format
        weights = Weights(learner, hands)
        beside = {
            ALONE: lambda told: alone(learner, hands, rounds, told),
            POOLED: lambda told: pooled(learner, hands, rounds, told),
            AVERAGED: lambda told: averaged(weights, parties, rounds, told),
        }
        for name, measure_beside in beside.items():
            yield Piece(f"{name}-{seed}", text(BESIDE[name]), cost, Curve, measure_beside)
        # What is encrypted opens to what went in: one seed shows it, and the others add up what would be.
        encrypted = seed == 0
        for name, technique in self.asked.techniques.items():
            if not technique.hides:
                continue
            heavy = HEAVY[technique.key] if encrypted else 1

            def measure(told: Rounds, technique: Technique = technique) -> NamedTuple:
                own = self.learning(technique)
                return train(technique, own, parties, rounds, keys, self.noise, told, encrypted=encrypted)

            yield Piece(f"{name}-{seed}", text(technique.title), cost * heavy, Curve, measure)
        for epsilon in EPSILONS if self.asked.noisy else ():

            def sweep(told: Rounds, epsilon: float = epsilon) -> NamedTuple:
                technique, noise = TECHNIQUES[NOISY], self.noise._replace(epsilon=epsilon)
                own = self.learning(technique)
                return train(technique, own, parties, rounds, keys, noise, told, encrypted=False)

            yield Piece(f"epsilon-{epsilon:g}-{seed}", text(f"epsilon {epsilon:g}"), cost, Curve, sweep)


def _difference(made: Tensors, common: Tensors) -> Tensors:
    return {name: (each.astype(np.float64) - common[name]).astype(each.dtype) for name, each in made.items()}
