"""Make the sample data: a real model, real parties, real gradients.

Trains a small network on scikit-learn's handwritten digits (1,797 images of
8 by 8, from the UCI repository). Four parties each hold the images of a few
digits only, so none of them can learn to read them all. Needs scikit-learn:
`make samples`. Running it again gives the same files, but for the last bits of
floats, which differ between processors.

Writes beside this script:
  model.npz                the initial model, after a little training on 60 images set aside
  party-N.gradient.npz     each party's gradient on that model
  party-N.update.npz       each party's change to it after some local epochs
  party-N.data.npz         each party's images and labels, for a whole training
  test.npz                 held-out images and labels
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from train import Model, gradient, trained

HERE = Path(__file__).parent
LABELS = ((0, 1, 2), (3, 4, 5), (6, 7), (8, 9))
SHARED = 0.04
HIDDEN = 48
EPOCHS = 6


def initial(generator: np.random.Generator) -> Model:
    """A two-layer network with small random weights."""
    return {
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "hidden.weight": (generator.standard_normal((64, HIDDEN)) / 8).astype(np.float32),
        "output.bias": np.zeros(10, np.float32),
        "output.weight": (generator.standard_normal((HIDDEN, 10)) / 7).astype(np.float32),
    }


def main() -> None:
    """Write the files."""
    generator = np.random.default_rng(20261122)
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=450, random_state=0, stratify=digits.target
    )
    _write_data("test.npz", test, test_labels)
    # A little of everything, set aside, so that the parties start from the same place.
    public = generator.permutation(len(train))[:60]
    model = trained(initial(generator), train[public], train_labels[public], generator, EPOCHS)
    np.savez(HERE / "model.npz", **model)
    for party, labels in enumerate(LABELS, 1):
        # Mostly the party's own digits, and a few of all others.
        mine = np.isin(train_labels, labels) | (generator.random(len(train)) < SHARED)
        own, own_labels = train[mine], train_labels[mine]
        np.savez(HERE / f"party-{party}.gradient.npz", **gradient(model, own, own_labels))
        _write_data(f"party-{party}.data.npz", own, own_labels)
        after = trained(model, own, own_labels, generator, EPOCHS)
        np.savez(HERE / f"party-{party}.update.npz", **{name: after[name] - model[name] for name in model})


def _write_data(name: str, images: np.ndarray, labels: np.ndarray) -> None:
    np.savez_compressed(HERE / name, images=(images * 16).astype(np.uint8), labels=labels.astype(np.uint8))


if __name__ == "__main__":
    main()
