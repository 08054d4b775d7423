"""A party's part in a round: to enroll, to train, to fix its update, and to hand it in."""

import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from hecli.errors import HecliError, RefusedError
from hecli.formats.canonical import digest_of
from hecli.formats.reader import open_reader
from hecli.formats.tensors.files import open_tensors
from hecli.formats.text import duration, percent
from hecli.identity.signatures import signer_of
from hecli.ledger.chain import Link
from hecli.plan.data import Plan
from hecli.rounds.encrypt import encrypt
from hecli.rounds.enroll import enroll as write_enrollment
from hecli.training.commands import run_command
from hecli.training.deriving import update_specs
from hecli.training.history import Round, round_folder
from hecli.training.metrics import read_measured, to_tensors
from hecli.training.models import model_digest, update_of, write_model
from hecli.training.own import FIXED, UPDATE
from hecli.training.session import Session, digest_in, open_listed, plan_key
from hecli.training.terms import Training

METRICS_LIMIT = 1 << 16
WEIGHT_LIMIT = 64


class Fixed(NamedTuple):
    """An update that is not made again, whatever happens.

    Args:
        digest: What stands for it.
        weight: The party's weight.
    """

    digest: bytes
    weight: int


def enroll(session: Session, round_: Round, plan: Plan) -> None:
    """Enroll in a round from which others may drop out.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.
    """
    kept = kept_enrollment(session, round_, plan)
    if not kept.exists():
        with session.own.store.create(str(kept), secret=True) as out:
            write_enrollment(out, plan, session.identity)
    session.publish(round_, session.file(session.name, ".enroll"), kept)


def kept_enrollment(session: Session, round_: Round, plan: Plan) -> Path:
    """Say where a party keeps its own enrollment.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.

    Returns:
        The path; the file may not be there yet.
    """
    return session.own.path(round_.number, f"{plan_key(plan)}.enroll")


def contribute(session: Session, round_: Round, plan: Plan, enrolled: Link | None) -> str:
    """Train, unless that was done, encrypt, and hand in.

    Args:
        session: The party's run.
        round_: The round.
        plan: Its plan.
        enrolled: The entry that says who enrolled, where parties may drop out.

    Returns:
        What was done.

    Raises:
        HecliError: The training failed, or the update cannot be sent.
    """
    start = time.monotonic()
    fixed = _fixed(session, round_.number, plan) or _train(session, round_, plan)
    trained = time.monotonic() - start
    # Before anything leaves this machine: no later run may send another about this model.
    session.secrets.sent(plan.subject, fixed.digest)
    kept = session.own.path(round_.number, f"{plan_key(plan)}.enc")
    if not kept.exists():
        _encrypt(session, round_, plan, enrolled, fixed, kept)
    session.publish(round_, session.file(session.name, ".enc"), kept)
    size = kept.stat().st_size
    return f"round {round_.number}: trained in {duration(trained)}, handed in {size:,} bytes"


def is_mine(session: Session, round_: Round, file: str) -> bool:
    """Tell whether a file is this party's own of a round: anybody can put something there under its name.

    Args:
        session: The party's run.
        round_: The round.
        file: The file's name.

    Returns:
        Whether the party signed it for the round.
    """
    try:
        with session.opened(round_, file) as stream:
            return signer_of(open_reader(stream), round_.digest) == session.identity.card
    except HecliError:
        return False


def handed_in(session: Session, round_: Round) -> bytes | None:
    """Give the digest of the update that was encrypted here for a round.

    Args:
        session: The party's run.
        round_: The round.

    Returns:
        The digest; None where there is none.
    """
    kept = session.own.root / round_folder(round_.number, 1) / f"{round_.digest.hex()[:16]}.enc"
    try:
        return digest_in(kept)
    except FileNotFoundError:
        return None


def elsewhere(session: Session, rounds: Sequence[Round], number: int, model: bytes) -> str | None:
    """Tell whether an update about a model was sent by another run, of which nothing is here.

    Args:
        session: The party's run.
        rounds: All attempts at rounds.
        number: The number of the round.
        model: The digest of the model.

    Returns:
        Why the round must be left alone; None where it need not.
    """
    if session.own.read(session.own.path(number, FIXED)) is not None or session.settings.again:
        return None
    if session.secrets.was_sent(model):
        return "an update about this model was sent before, in this training or in another"
    file = session.file(session.name, ".enc")
    for each in rounds:
        listed = any(name == file for link in each.closed for name, _ in link.entry.files)
        if each.number == number and (listed or is_mine(session, each, file)):
            return "an update about this model was sent from another machine"
    return None


def _fixed(session: Session, number: int, plan: Plan) -> Fixed | None:
    found = session.own.read(session.own.path(number, FIXED))
    if found is None or found["model"] != plan.subject.hex():
        return None
    return Fixed(_fixed_digest(bytes.fromhex(found["update"]), found["weight"]), found["weight"])


def _fixed_digest(update: bytes, weight: int) -> bytes:
    return digest_of("sent", update, weight.to_bytes(8, "big"))


def _train(session: Session, round_: Round, plan: Plan) -> Fixed:
    """Run the party's command, and fix what it made."""
    if session.settings.train is None:
        raise RefusedError(
            "this identity is a party's, and parties train", "pass --train, the command that does"
        )
    number, own, training = round_.number, session.own, session.training
    folder = (own.root / "work").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    before = own.model(number - 1, session.suffix)
    files = {name: folder / f"{name}{suffix}" for name, suffix in _FILES(session.suffix)}
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
    log = own.root / "log" / f"{round_folder(number, 1)}.log"
    ended = run_command(session.settings.train, folder, variables, log, session.settings.limit)
    if ended.status != 0:
        raise HecliError(f"the training command {ended.said}", f"its output is in {log}")
    if not files["update"].exists():
        raise HecliError(
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
        made = open_tensors(new, "what the training command wrote")
        specs = update_specs(training)
        update = update_of(made, model, specs, extra, difference=training.rule == "add")
        with own.store.create(str(own.path(number, UPDATE)), replace=True, secret=True) as out:
            digest = write_model(update, out, "tensors")
    assert digest is not None
    own.write(
        own.path(number, FIXED),
        {"model": plan.subject.hex(), "update": digest.hex(), "weight": weight, "metrics": measured},
    )
    shutil.rmtree(folder, ignore_errors=True)
    return Fixed(_fixed_digest(digest, weight), weight)


def _encrypt(
    session: Session, round_: Round, plan: Plan, enrolled: Link | None, fixed: Fixed, target: Path
) -> None:
    def masked(subject: bytes, _: bytes) -> None:
        # The same update under new masks shows nothing new; another would.
        session.secrets.masked(subject, fixed.digest)

    with ExitStack() as stack:
        enrollments = [] if enrolled is None else open_listed(session, stack, round_, enrolled.entry.files)
        source = stack.enter_context(session.own.path(round_.number, UPDATE).open("rb"))
        out = stack.enter_context(session.own.store.create(str(target), secret=True))
        made = encrypt(
            source,
            out,
            session.public_key(),
            plan=plan,
            identity=session.identity,
            record=masked,
            enrollments=enrollments,
            weight=fixed.weight,
            work=session.settings.work,
        )
    for name, count in made.update.clipped_in.items():
        share = count / next(spec.size for spec in plan.tensors if spec.name == name)
        if share >= 0.01:
            session.say(f"round {round_.number}: {percent(share)} of {name} was clipped here")


def _FILES(suffix: str) -> tuple[tuple[str, str], ...]:  # noqa: N802
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
        raise HecliError(
            "the training is weighted, and the training command wrote no weight",
            "it has to write the number of samples to $HECLI_WEIGHT",
        ) from error
    except ValueError as error:
        raise HecliError("the weight that the training command wrote is no whole number") from error
    if not 1 <= weight <= training.max_weight:
        raise HecliError(
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
