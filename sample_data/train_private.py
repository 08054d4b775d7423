"""A training command for rounds with noise that protect single records: gradients, clipped one by one.

  hecli start shared/ --clip 0.5 --unit record --epsilon 8 --rule sgd ...
  hecli run shared/ --identity party-1.id --train 'python train_private.py party-1.data.npz'

What is promised of a record holds because of what this command does: each image
adds a gradient whose norm is at most $HECLI_CLIP, all of them are added up, and
nothing else of the data goes into the update. Not their number: so --lr is a
step over all images of all parties together, times the number of parties.
"""

import os
import sys

import numpy as np
from train import forward, load, scaled


def clipped_sum(model: dict[str, np.ndarray], images: np.ndarray, labels: np.ndarray, clip: float) -> dict:
    """The gradients of the cross-entropy of all images, each clipped to a norm, added up."""
    hidden, probabilities = forward(model, images)
    error = probabilities - np.eye(10)[labels]
    back = (error @ model["output.weight"].T) * (hidden > 0)
    # A layer's gradient of one image is an outer product, and so its norm is the product of two.
    squares = (np.square(images).sum(axis=1) + 1) * np.square(back).sum(axis=1)
    squares += (np.square(hidden).sum(axis=1) + 1) * np.square(error).sum(axis=1)
    # In float64: what is rounded off must not add to what one image changes.
    kept = np.minimum(1, clip / np.maximum(np.sqrt(squares), 1e-12))[:, None]
    back, error = back * kept, error * kept
    return {
        "hidden.bias": back.sum(axis=0),
        "hidden.weight": images.T @ back,
        "output.bias": error.sum(axis=0),
        "output.weight": hidden.T @ error,
    }


def main() -> None:
    """Add up the gradients of this round's model on the data that the command line names."""
    model = {name: values.astype(np.float64) for name, values in load(os.environ["HECLI_MODEL"]).items()}
    data = load(sys.argv[1])
    images = scaled(data["images"]).astype(np.float64)
    update = clipped_sum(model, images, data["labels"], float(os.environ["HECLI_CLIP"]))
    np.savez(os.environ["HECLI_UPDATE"], **update)


if __name__ == "__main__":
    main()
