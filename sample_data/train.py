"""The training command of the demo: one pass over a party's own images, in NumPy. Copy it and change it.

  hecli run shared/ --identity party-1.id --train 'python train.py party-1.data.npz'

hecli says in the environment where the model is, and where to write what comes
of it. Loss and accuracy are those of the model that was given, on the party's
own images: so the mean over the parties says how good the common model is.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

BATCH = 16
RATE = 0.1

Model = dict[str, np.ndarray]


def load(path: str | Path) -> Model:
    """The arrays of a .npz file."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def scaled(images: np.ndarray) -> np.ndarray:
    """Pixels of 0 to 16 as numbers of 0 to 1."""
    return images.astype(np.float32) / 16


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


def trained(
    model: Model, images: np.ndarray, labels: np.ndarray, generator: np.random.Generator, epochs: int = 1
) -> Model:
    """The model after some passes of stochastic gradient descent."""
    model = dict(model)
    for _ in range(epochs):
        for batch in np.array_split(generator.permutation(len(labels)), max(1, len(labels) // BATCH)):
            step = gradient(model, images[batch], labels[batch])
            model = {name: model[name] - np.float32(RATE) * step[name] for name in model}
    return model


def main() -> None:
    """Train the model of this round on the data that the command line names."""
    model, data = load(os.environ["HECLI_MODEL"]), load(sys.argv[1])
    images, labels = scaled(data["images"]), data["labels"]
    # Measured before training: of the model that all have in common.
    _, probabilities = forward(model, images)
    loss = -np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).mean()
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    generator = np.random.default_rng([int(os.environ["HECLI_SEED"]), int(os.environ["HECLI_ROUND"])])
    np.savez(os.environ["HECLI_UPDATE"], **trained(model, images, labels, generator))
    Path(os.environ["HECLI_WEIGHT"]).write_text(str(len(labels)))
    metrics = {"loss": float(loss), "accuracy": float(accuracy)}
    Path(os.environ["HECLI_METRICS"]).write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
