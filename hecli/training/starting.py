"""The beginning of a training: its terms, signed, with the first model and the ledger beside them."""

import io
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

from hecli.codec.quantise import MAX_BITS
from hecli.codec.values import checked_values
from hecli.errors import DataError, HecliError, RefusedError
from hecli.formats.tensors.arrays import TensorFile
from hecli.identity.signatures import Identity
from hecli.ledger import chain
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.making import check_new
from hecli.schemes.interface import Scheme
from hecli.storage.store import Store
from hecli.training.deriving import first_plan, later_plan, with_fewest_bits
from hecli.training.metrics import PREFIX
from hecli.training.models import model_digest, write_model
from hecli.training.session import KEY_FILE, LEDGER, MODEL_FILE, TERMS_FILE
from hecli.training.terms import Goal, Metric, Training, write_training


class Started(NamedTuple):
    """A training that was begun.

    Args:
        training: Its terms.
        digest: The digest of their file.
        plan: What the plan of the first round will be.
        head: The ledger's head.
    """

    training: Training
    digest: bytes
    plan: Plan
    head: str


def start(
    shared: Store,
    model: TensorFile,
    identity: Identity,
    scheme: Scheme,
    *,
    key: BinaryIO | None,
    metrics: Sequence[Metric] = (),
    goal: Goal | None = None,
    **terms: Any,
) -> Started:
    """Begin a training in a shared folder.

    Args:
        shared: The folder.
        model: The first model.
        identity: The coordinator.
        scheme: How updates are hidden, added, and opened.
        key: The public key's file, where there is a key.
        metrics: What is measured.
        goal: Which metric counts, if any.
        terms: The other terms, by name; without bits, there is noise, which chooses them.

    Returns:
        What was begun.

    Raises:
        HecliError: No such training can be.
        RefusedError: There is one in the folder already, or a part of one.
    """
    _check_free(shared)
    for spec in model.specs:
        if spec.name.startswith(PREFIX):
            raise HecliError(f"{model.name}: no tensor may be named {spec.name}", f"{PREFIX} is for metrics")
        if spec.name not in terms["skipped"]:
            try:
                deque(checked_values(model, spec), maxlen=0)
            except DataError as error:
                raise DataError(error.message, "begin with a model of finite numbers") from error
    training = Training(
        id=secrets.token_bytes(ID_SIZE),
        scheme=scheme,
        tensors=model.specs,
        model=model_digest(model),
        metrics=tuple(sorted(metrics)),
        goal=goal,
        **{**terms, "bits": terms["bits"] or MAX_BITS},
    )
    training.check()
    if terms["bits"] is None:
        training = with_fewest_bits(training)
    plan = first_plan(training)
    for each in (plan, later_plan(training)):
        check_new(each)
    written = io.BytesIO()
    digest = write_training(training, written, identity)
    with shared.create(MODEL_FILE) as out:
        write_model(model, out, "tensors")
    if key is not None:
        with shared.create(KEY_FILE) as out:
            out.write(key.read())
    chain.begin(shared, LEDGER, identity, training.roster.members)
    ledger = chain.read_ledger(shared, LEDGER)
    files = [(TERMS_FILE, digest), (MODEL_FILE, training.model)]
    ledger = chain.append(shared, LEDGER, ledger, identity, "training", files=files, text=training.name)
    # Last: where it is, all is there.
    with shared.create(TERMS_FILE) as out:
        out.write(written.getvalue())
    return Started(training, digest, plan, ledger.last.head)


def _check_free(shared: Store) -> None:
    """Refuse a folder that holds a training, or what is left of a beginning that was stopped."""
    if shared.exists(TERMS_FILE):
        raise RefusedError("there is a training in this folder already", "name another folder")
    left = [name for name in (MODEL_FILE, KEY_FILE) if shared.exists(name)]
    if shared.list(LEDGER):
        left.append(f"{LEDGER}/")
    if left:
        raise RefusedError(
            f"something else is in this folder already: {', '.join(left)}, and no {TERMS_FILE}",
            "name another folder; what is there may be in use by others",
        )
