"""What learns: networks of scikit-learn, of which logistic regression is the one without a hidden layer."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hecli.compare.data import Floats, Records
from hecli.errors import HecliError

Model = dict[str, npt.NDArray[Any]]
"""Of each layer `layer0.weight`, a row for each of its inputs, and `layer0.bias`."""

Probabilities = npt.NDArray[np.float64]

EPOCHS, BATCH, RATE = 2, 32, 0.1

LESSONS = 3
"""Of public examples there are few: each is looked at so many times as often as a record."""


class Network(NamedTuple):
    """A network that tells classes apart.

    Args:
        features: How many numbers it reads.
        hidden: How wide each hidden layer is.
        classes: How many classes there are.
    """

    features: int
    hidden: tuple[int, ...]
    classes: int

    @property
    def layers(self) -> tuple[int, ...]:
        """How wide each layer is; of two classes, one output is the second's."""
        return (self.features, *self.hidden, self.classes if self.classes > 2 else 1)

    @property
    def values(self) -> int:
        """How many values it has."""
        return sum((wide + 1) * narrow for wide, narrow in pairwise(self.layers))

    def first(self, seed: int) -> Model:
        """Make one that knows nothing.

        Args:
            seed: What its weights follow from.

        Returns:
            It, as scikit-learn makes it (X. Glorot and Y. Bengio, 2010).
        """
        return _model(self._classifier(seed))

    def trained(self, model: Model, records: Records, seed: int) -> Model:
        """Train it: EPOCHS of stochastic gradient descent.

        Args:
            model: The network, which stays as it is.
            records: What it learns from.
            seed: What the order of the records follows from.

        Returns:
            What comes of it.
        """
        own = self._classifier(seed, model, len(records.rows))
        for _ in range(EPOCHS):
            _learn(own, records.rows, records.labels)
        return _model(own)

    def taught(self, model: Model, rows: Floats, soft: Probabilities, seed: int) -> Model:
        """Train it on soft labels: each row counts for each class as much as its label says.

        Args:
            model: The network, which stays as it is.
            rows: Examples.
            soft: Of each, how likely each class is.
            seed: What the order of the examples follows from.

        Returns:
            What comes of it.
        """
        own = self._classifier(seed, model)
        # Every row once for each class: batches are as many times larger, so that each has as many rows.
        own.set_params(batch_size=min(BATCH, len(rows)) * self.classes)
        every = np.tile(np.arange(self.classes), len(rows))
        many, weights = np.repeat(rows, self.classes, axis=0), np.maximum(soft, 0).reshape(-1)
        for _ in range(LESSONS * EPOCHS):
            _learn(own, many, every, sample_weight=weights)
        return _model(own)

    def soft(self, model: Model, rows: Floats) -> Probabilities:
        """Say how likely each class is.

        Args:
            model: The network.
            rows: Examples.

        Returns:
            A row for each, which sums to 1.
        """
        found: Probabilities = self._classifier(0, model).predict_proba(rows)
        return found

    def accuracy(self, model: Model, records: Records) -> float:
        """Measure it.

        Args:
            model: The network.
            records: Records that it has not seen.

        Returns:
            The share of them that it tells apart.
        """
        return float((self.soft(model, records.rows).argmax(axis=1) == records.labels).mean())

    def norms(self, model: Model, records: Records) -> npt.NDArray[np.float64]:
        """Measure the gradients of single records.

        Args:
            model: The network.
            records: The records.

        Returns:
            The norm of each one's gradient.
        """
        return np.sqrt(sum(_squares(inputs, errors) for inputs, errors in self._back(model, records)))

    def gradients(self, model: Model, records: Records, clip: float) -> Model:
        """Add up the gradients of records, each clipped: what noise protects a record in.

        The norm of one record's gradient of a layer is that of what goes into it
        times that of what comes back (I. Goodfellow, "Efficient per-example gradient
        computations", 2015): so single gradients need not be made.

        Args:
            model: The network.
            records: The records.
            clip: The largest norm of one record's gradient.

        Returns:
            The sum of each tensor, float64.
        """
        factors = np.minimum(1, clip / np.maximum(self.norms(model, records), 1e-30))[:, None]
        found: Model = {}
        for at, (inputs, errors) in enumerate(reversed([*self._back(model, records)])):
            found[f"layer{at}.weight"] = inputs.T @ (errors * factors)
            found[f"layer{at}.bias"] = (errors * factors).sum(axis=0)
        return found

    def _back(self, model: Model, records: Records) -> Iterator[tuple[Probabilities, Probabilities]]:
        """From the last layer to the first: what goes into it, and the error that comes back to it."""
        values, count = [records.rows.astype(np.float64)], len(self.layers) - 1
        for at in range(count):
            found = values[-1] @ model[f"layer{at}.weight"] + model[f"layer{at}.bias"]
            values.append(np.maximum(found, 0) if at < count - 1 else found)
        wanted = records.labels[:, None] == np.arange(self.classes)
        if self.classes == 2:
            wanted = wanted[:, 1:]
        errors = _likely(values.pop()) - wanted
        for at in range(count - 1, -1, -1):
            yield values[at], errors
            errors = (errors @ model[f"layer{at}.weight"].T) * (values[at] > 0)

    def _classifier(self, seed: int, model: Model | None = None, records: int = BATCH) -> Any:
        try:
            from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise HecliError(
                "training needs scikit-learn, which is not installed", "pip install 'hecli[compare]'"
            ) from error
        own = MLPClassifier(
            self.hidden,
            solver="sgd",
            learning_rate_init=RATE,
            momentum=0,
            batch_size=1,
            random_state=seed,
        )
        # Weights are made where it first learns: from one record, of which nothing is kept.
        some = np.zeros((1, self.features), np.float32)
        own.partial_fit(some, [0], classes=np.arange(self.classes))
        own.set_params(batch_size=min(records, BATCH))
        if model is not None:
            for at, (weight, bias) in enumerate(zip(own.coefs_, own.intercepts_, strict=True)):
                weight[:] = model[f"layer{at}.weight"]
                bias[:] = model[f"layer{at}.bias"]
        return own


def _learn(classifier: Any, *given: Any, **options: Any) -> None:
    """Go through examples once."""
    try:
        classifier.partial_fit(*given, **options)
    except ValueError as error:
        # As scikit-learn says it of weights that are no longer finite.
        raise HecliError(
            "the training diverged", "scale the features, or leave out what is far off"
        ) from error


def _model(classifier: Any) -> Model:
    found: Model = {}
    for at, (weight, bias) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True)):
        found[f"layer{at}.weight"] = weight.astype(np.float32)
        found[f"layer{at}.bias"] = bias.astype(np.float32)
    return found


def _likely(scores: Probabilities) -> Probabilities:
    """How likely classes are, by their scores; of two classes, the second."""
    if scores.shape[1] == 1:
        return 1 / (1 + np.exp(-scores))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return found


def _squares(inputs: Probabilities, errors: Probabilities) -> Probabilities:
    """The squared norm of each record's gradient of a layer, its bias too."""
    found: Probabilities = (np.square(inputs).sum(axis=1) + 1) * np.square(errors).sum(axis=1)
    return found
