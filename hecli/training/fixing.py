"""What a party's training comes to: made once for a model, and fixed before anything leaves the machine."""

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hecli.errors import DataError, FormatError, HecliError, MismatchError, RefusedError
from hecli.formats.canonical import digest_of
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.tensors.files import open_tensors
from hecli.plan.data import Plan
from hecli.training.commands import run_command
from hecli.training.deriving import update_specs
from hecli.training.history import Round, round_folder
from hecli.training.metrics import read_measured, to_tensors
from hecli.training.models import model_digest, update_of, write_model
from hecli.training.own import FIXED, UPDATE
from hecli.training.session import Session
from hecli.training.terms import Training

METRICS_LIMIT = 1 << 16
WEIGHT_LIMIT = 64


class TrainingError(HecliError):
    """The party's own command failed, or what it made is no update: the round goes on without it."""


class Fixed(NamedTuple):
    """An update that is not made again, whatever happens.

    Args:
        digest: What stands for it.
        weight: The party's weight.
    """

    digest: bytes
    weight: int


def fixed_for(session: Session, number: int, plan: Plan) -> Fixed | None:
    """Give the update that was fixed for a round.

    Args:
        session: The party's run.
        number: The number of the round.
        plan: Its plan.

    Returns:
        It; None where there is none yet.
    """
    found = session.own.read(session.own.path(number, FIXED))
    if found is None or found["model"] != plan.subject.hex():
        return None
    return Fixed(_fixed_digest(bytes.fromhex(found["update"]), found["weight"]), found["weight"])


def _fixed_digest(update: bytes, weight: int) -> bytes:
    return digest_of("sent", update, weight.to_bytes(8, "big"))


def training_command(session: Session) -> Sequence[str]:
    """Give the party's command.

    Args:
        session: The party's run.

    Returns:
        The words of the command.

    Raises:
        RefusedError: There is none.
    """
    if session.settings.train is None:
        raise RefusedError(
            "this identity is a party's, and parties train", "pass --train, the command that does"
        )
    return session.settings.train


def fix(session: Session, round_: Round, plan: Plan) -> None:
    """Run the party's command, and fix what it made.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.

    Raises:
        TrainingError: The command failed, or what it made is no update.
        HecliError: Something else went wrong, such as a full disk: the round is not lost.
    """
    train = training_command(session)
    number, own, training = round_.number, session.own, session.training
    # Another one each time: what a run that was killed had started may still be writing to its own.
    for left in own.root.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = (own.root / f"work-{secrets.token_hex(4)}").absolute()
    folder.mkdir(mode=0o700)
    before = own.model(number - 1, session.suffix)
    files = {name: folder / f"{name}{suffix}" for name, suffix in _files(session.suffix)}
    # A run that was stopped in the training begins it anew.
    own.copy(before, files["model"], lasting=False)
    variables = {
        "HECLI_MODEL": str(files["model"]),
        "HECLI_UPDATE": str(files["update"]),
        "HECLI_WEIGHT": str(files["weight"]),
        "HECLI_METRICS": str(files["metrics"]),
        "HECLI_ROUND": str(number),
        "HECLI_SEED": str(_seed(session)),
        "HECLI_STATE": str((own.root / "state").absolute()),
    }
    if training.privacy is not None:
        variables["HECLI_CLIP"] = repr(training.privacy.clip)
    log = own.root / "log" / f"{round_folder(number, 1)}.log"
    ended = run_command(train, folder, variables, log, session.settings.limit)
    if ended.status != 0:
        raise TrainingError(f"the training command {ended.said}", f"its output is in {log}")
    if not files["update"].exists():
        raise TrainingError(
            "the training command wrote no update",
            f"it has to write to $HECLI_UPDATE; its output is in {log}",
        )
    weight = _weight(files["weight"], training)
    measured = _measured(session, files["metrics"])
    extra = to_tensors(training.metrics, measured)
    with before.open("rb") as old, files["update"].open("rb") as new:
        model = open_tensors(old, str(before))
        if model_digest(model) != plan.subject:
            raise HecliError(
                f"{before} was changed since it was made", "restore it; models are not to be changed"
            )
        try:
            made = open_tensors(new, "what the training command wrote")
            specs = update_specs(training)
            if training.protects_records:
                _check_wide(made)
            update = update_of(made, model, specs, extra, difference=training.rule == "add")
            with own.store.create(str(own.path(number, UPDATE)), replace=True, secret=True) as out:
                digest = write_model(update, out, "tensors")
        except (DataError, FormatError, MismatchError) as error:
            raise TrainingError(error.message, error.hint) from error
    assert digest is not None
    own.write(
        own.path(number, FIXED),
        {"model": plan.subject.hex(), "update": digest.hex(), "weight": weight, "metrics": measured},
    )
    shutil.rmtree(folder, ignore_errors=True)


def _check_wide(made: TensorFile) -> None:
    """Refuse sums over records that were rounded to less than float64, which tells of single ones."""
    for spec in made.specs:
        if spec.dtype != "float64":
            raise DataError(
                f"{made.name}: tensor {spec.name} has dtype {spec.dtype}, and sums over records are float64",
                "add up in float64, and write that",
            )


def _files(suffix: str) -> tuple[tuple[str, str], ...]:
    """What the command reads and writes, with the suffix of each."""
    return ("model", suffix), ("update", suffix), ("weight", ""), ("metrics", ".json")


def _seed(session: Session) -> int:
    """The party's own seed, the same in every round."""
    path = session.own.root / "seed.json"
    found = session.own.read(path)
    if found is None:
        found = {"seed": secrets.randbits(32)}
        session.own.write(path, found)
    seed: int = found["seed"]
    return seed


def _weight(file: Path, training: Training) -> int:
    if training.max_weight == 1:
        return 1
    try:
        with file.open("r", encoding="utf-8") as stream:
            weight = int(stream.read(WEIGHT_LIMIT))
    except FileNotFoundError as error:
        raise TrainingError(
            "the training is weighted, and the training command wrote no weight",
            "it has to write the number of samples to $HECLI_WEIGHT",
        ) from error
    except ValueError as error:
        raise TrainingError("the weight that the training command wrote is no whole number") from error
    if not 1 <= weight <= training.max_weight:
        raise TrainingError(
            f"the training command wrote the weight {weight:,}, the training has 1 to {training.max_weight:,}"
        )
    return weight


def _measured(session: Session, file: Path) -> dict[str, float]:
    try:
        with file.open("r", encoding="utf-8", errors="replace") as stream:
            text = stream.read(METRICS_LIMIT)
    except FileNotFoundError:
        text = "{}"
    found, notes = read_measured(text, session.training.metrics)
    for each in notes:
        session.note(each)
    return found
