"""A training command of the user's own, as a training runs it, with records that are handed to it."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from hecli.compare.data import Records
from hecli.compare.networks import Model
from hecli.compare.tensors import npz_of
from hecli.errors import HecliError
from hecli.formats.tensors.arrays import of_arrays, to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.training.commands import run_command
from hecli.training.models import update_of

ACCURACY = "accuracy"
"""The metric that the command has to write, of the model as it came."""


class Command(NamedTuple):
    """What is trained by a command.

    Args:
        words: The command.
        model: The first model.
    """

    words: Sequence[str]
    model: Model

    def first(self, seed: int) -> Model:
        """Give the first model, which is the same for every seed."""
        del seed
        return self.model

    def trained(self, model: Model, records: Records, seed: int) -> Model:
        """Run the command, and take what it wrote."""
        return self._run(model, records, seed)[0]

    def accuracy(self, model: Model, records: Records) -> float:
        """Run the command on records held out, and take the accuracy that it writes; not its model."""
        measured = self._run(model, records, 0)[1]
        found = measured.get(ACCURACY) if isinstance(measured, dict) else None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= 1:
            raise HecliError(
                "the training command did not say how good the model was that it was given",
                'it has to write {"accuracy": 0.9} to $HECLI_METRICS, of $HECLI_MODEL on $HECLI_DATA',
            )
        return float(found)

    def _run(self, model: Model, records: Records, seed: int) -> tuple[Model, object]:
        with TemporaryDirectory(prefix="hecli-compare-") as name:
            folder = Path(name)
            files = {each: folder / each for each in ("model.npz", "update.npz", "weight", "metrics.json")}
            data = folder / "data.npz"
            files["model.npz"].write_bytes(npz_of(model))
            np.savez(data, X=records.rows, y=records.labels)
            variables = {
                "HECLI_MODEL": str(files["model.npz"]),
                "HECLI_UPDATE": str(files["update.npz"]),
                "HECLI_WEIGHT": str(files["weight"]),
                "HECLI_METRICS": str(files["metrics.json"]),
                "HECLI_DATA": str(data),
                "HECLI_ROUND": "1",
                "HECLI_SEED": str(seed),
            }
            ended = run_command(self.words, folder, variables, folder / "log", None)
            if ended.status != 0:
                raise HecliError(f"the training command {ended.said}")
            try:
                with files["update.npz"].open("rb") as stream:
                    made = open_tensors(stream, "what the training command wrote")
                    before = of_arrays(model)
                    # Checked as a training does: the same tensors, all of them finite.
                    found = to_arrays(update_of(made, before, before.specs, {}, difference=False))
                measured: object = json.loads(files["metrics.json"].read_bytes())
            except FileNotFoundError as error:
                raise HecliError(
                    f"the training command wrote no {Path(error.filename).name}",
                    "it has to write $HECLI_UPDATE and $HECLI_METRICS, see docs/compare.md",
                ) from error
            except (ValueError, RecursionError) as error:
                raise HecliError("what the training command wrote to $HECLI_METRICS is no JSON") from error
        return {name: np.array(each) for name, each in found.items()}, measured
