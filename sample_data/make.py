"""Make the sample data: a real model, real parties, real gradients.

Trains a small network on scikit-learn's handwritten digits (1,797 images of
8 by 8, from the UCI repository). Four parties each hold the images of a few
digits only, so none of them can learn to read them all. Needs scikit-learn:
`make samples`. Running it again gives the same files.

Writes beside this script:
  model.npz                the initial model, after a little training on 60 images set aside
  party-N.gradient.npz     each party's gradient on that model
  party-N.update.npz       each party's change to it after some local epochs
  test.npz                 held-out images and labels
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
LABELS = ((0, 1, 2), (3, 4, 5), (6, 7), (8, 9))
SHARED = 0.04
HIDDEN = 48
EPOCHS = 6
BATCH = 16
RATE = 0.1

Model = dict[str, np.ndarray]


def initial(generator: np.random.Generator) -> Model:
    """A two-layer network with small random weights."""
    return {
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "hidden.weight": (generator.standard_normal((64, HIDDEN)) / 8).astype(np.float32),
        "output.bias": np.zeros(10, np.float32),
        "output.weight": (generator.standard_normal((HIDDEN, 10)) / 7).astype(np.float32),
    }


def forward(model: Model, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden activations and class probabilities."""
    hidden = np.maximum(images @ model["hidden.weight"] + model["hidden.bias"], 0)
    scores = hidden @ model["output.weight"] + model["output.bias"]
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, exponentials / exponentials.sum(axis=1, keepdims=True)


def gradient(model: Model, images: np.ndarray, labels: np.ndarray) -> Model:
    """The gradient of the mean cross-entropy."""
    hidden, probabilities = forward(model, images)
    error = (probabilities - np.eye(10, dtype=np.float32)[labels]) / len(labels)
    back = (error @ model["output.weight"].T) * (hidden > 0)
    return {
        "hidden.bias": back.sum(axis=0).astype(np.float32),
        "hidden.weight": (images.T @ back).astype(np.float32),
        "output.bias": error.sum(axis=0).astype(np.float32),
        "output.weight": (hidden.T @ error).astype(np.float32),
    }


def trained(model: Model, images: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> Model:
    """The model after some epochs of stochastic gradient descent."""
    model = dict(model)
    for _ in range(EPOCHS):
        for batch in np.array_split(generator.permutation(len(labels)), max(1, len(labels) // BATCH)):
            step = gradient(model, images[batch], labels[batch])
            model = {name: model[name] - np.float32(RATE) * step[name] for name in model}
    return model


def main() -> None:
    """Write the files."""
    generator = np.random.default_rng(20261122)
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=450, random_state=0, stratify=digits.target
    )
    np.savez_compressed(
        HERE / "test.npz", images=(test * 16).astype(np.uint8), labels=test_labels.astype(np.uint8)
    )
    # A little of everything, set aside, so that the parties start from the same place.
    public = generator.permutation(len(train))[:60]
    model = trained(initial(generator), train[public], train_labels[public], generator)
    np.savez(HERE / "model.npz", **model)
    for party, labels in enumerate(LABELS, 1):
        # Mostly the party's own digits, and a few of all others.
        mine = np.isin(train_labels, labels) | (generator.random(len(train)) < SHARED)
        own, own_labels = train[mine], train_labels[mine]
        np.savez(HERE / f"party-{party}.gradient.npz", **gradient(model, own, own_labels))
        after = trained(model, own, own_labels, generator)
        np.savez(HERE / f"party-{party}.update.npz", **{name: after[name] - model[name] for name in model})


if __name__ == "__main__":
    main()
