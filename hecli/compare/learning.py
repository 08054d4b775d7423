"""What parties make of what they have in common, round after round: weights, gradients, or soft labels."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from hecli.compare.data import Floats, Records
from hecli.compare.networks import Model, Network

STEP = 4.0
"""A round moves the model by so many times the mean of all clipped gradients, over the clip norm."""


class Learning(Protocol):
    """A way to learn together.

    Args:
        rule: How the mean moves what all have in common, a key of RULES.
        lr: What it is multiplied with.
    """

    @property
    def rule(self) -> str: ...  # noqa: D102 - said above
    @property
    def lr(self) -> float: ...  # noqa: D102

    def begin(self) -> Model:
        """Give what all have in common at the start."""
        ...

    def made(self, party: int, common: Model, number: int) -> Model:
        """Make a party's own, of which the mean is taken.

        Args:
            party: Which party, from 0.
            common: What all have in common.
            number: The number of the round, from 1.

        Returns:
            It.
        """
        ...

    def accuracy(self, common: Model, number: int) -> float:
        """Measure what came of a round.

        Args:
            common: What all have in common after it.
            number: The number of the round.

        Returns:
            The share of the records held out that is told apart.
        """
        ...


class Hands(NamedTuple):
    """Who has which records.

    Args:
        test: What measures models.
        parties: The records of each party.
        seed: What all that is random follows from.
    """

    test: Records
    parties: Sequence[Records]
    seed: int

    def draw(self, number: int, party: int) -> int:
        """Give the seed of one party's training in one round, the same for each technique.

        Args:
            number: The number of the round.
            party: Which party.

        Returns:
            The seed.
        """
        return int(np.random.SeedSequence((self.seed, number, party)).generate_state(1)[0])


class Learner(Protocol):
    """What can be trained: a network, or a command of the user's own."""

    def first(self, seed: int) -> Model:
        """Make a model that knows nothing.

        Args:
            seed: What its weights follow from.

        Returns:
            The model.
        """
        ...

    def trained(self, model: Model, records: Records, seed: int) -> Model:
        """Train a model.

        Args:
            model: The model, which stays as it is.
            records: What it learns from.
            seed: What the order of the records follows from.

        Returns:
            What comes of it.

        Raises:
            HecliError: It cannot be trained.
        """
        ...

    def accuracy(self, model: Model, records: Records) -> float:
        """Measure a model.

        Args:
            model: The model.
            records: Records that it has not seen.

        Returns:
            The share of them that it tells apart.

        Raises:
            HecliError: It cannot be measured.
        """
        ...


class Weights(NamedTuple):
    """Federated averaging (H. B. McMahan et al., 2017): parties train, and their weights are averaged.

    Args:
        learner: What is trained.
        hands: Who has which records.
        rule: New weights are averaged.
        lr: As they are.
    """

    learner: Learner
    hands: Hands
    rule: str = "add"
    lr: float = 1.0

    def begin(self) -> Model:
        """Begin with a model that knows nothing."""
        return self.learner.first(self.hands.seed)

    def made(self, party: int, common: Model, number: int) -> Model:
        """Train on a party's own records."""
        return self.learner.trained(common, self.hands.parties[party], self.hands.draw(number, party))

    def accuracy(self, common: Model, number: int) -> float:
        """Measure the model."""
        del number
        return self.learner.accuracy(common, self.hands.test)


class Gradients(NamedTuple):
    """Sums of gradients, each record's clipped, which noise protects (M. Abadi et al., 2016).

    Args:
        network: What is trained.
        hands: Who has which records.
        clip: The largest norm of one record's gradient.
        rule: The mean is subtracted.
    """

    network: Network
    hands: Hands
    clip: float
    rule: str = "sgd"

    @property
    def lr(self) -> float:
        """STEP in the mean over records, where parties send sums."""
        records = sum(len(each.labels) for each in self.hands.parties)
        return STEP / self.clip * len(self.hands.parties) / records

    def begin(self) -> Model:
        """Begin with a model that knows nothing."""
        return self.network.first(self.hands.seed)

    def made(self, party: int, common: Model, number: int) -> Model:
        """Add up the gradients of a party's own records."""
        del number
        return self.network.gradients(common, self.hands.parties[party], self.clip)

    def accuracy(self, common: Model, number: int) -> float:
        """Measure the model."""
        del number
        return self.network.accuracy(common, self.hands.test)


def typical_norm(network: Network, hands: Hands) -> float:
    """Say how long a record's gradient is at the start, which clip norms go by.

    Args:
        network: What is trained.
        hands: Who has which records.

    Returns:
        The median over all records.
    """
    first = network.first(hands.seed)
    return float(np.median(np.concatenate([network.norms(first, each) for each in hands.parties])))


LABELS = "labels"


class Labels:
    """Distillation: parties label public examples, and learn from the mean (D. Li and J. Wang, 2019).

    Each party keeps a model of its own, of whatever shape; so does a student, who has no records.

    Args:
        network: What the parties and the student train.
        hands: Who has which records.
        public: The public examples.
    """

    rule, lr = "add", 1.0

    def __init__(self, network: Network, hands: Hands, public: Floats) -> None:
        self._network, self._hands, self._public = network, hands, public
        self._own = [network.first(hands.draw(0, at)) for at in range(len(hands.parties))]
        self._student = network.first(hands.seed)

    def begin(self) -> Model:
        """Begin with labels that say nothing."""
        classes = self._network.classes
        return {LABELS: np.full((len(self._public), classes), 1 / classes, np.float32)}

    def made(self, party: int, common: Model, number: int) -> Model:
        """Learn from the mean, and from a party's own records; then label the examples."""
        network, draw = self._network, self._hands.draw(number, party)
        own = self._own[party]
        if number > 1:
            own = network.taught(own, self._public, common[LABELS], draw)
        self._own[party] = own = network.trained(own, self._hands.parties[party], draw)
        return {LABELS: network.soft(own, self._public).astype(np.float32)}

    def accuracy(self, common: Model, number: int) -> float:
        """Teach the student, and measure it."""
        draw = self._hands.draw(number, len(self._hands.parties))
        self._student = self._network.taught(self._student, self._public, common[LABELS], draw)
        return self._network.accuracy(self._student, self._hands.test)
