"""A member's way into a training: the terms accepted once, the ledger whole, the first model agreed on."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats.reader import open_reader
from hecli.formats.tensors.files import FORMATS, open_tensors
from hecli.identity.signatures import FORGED, Identity
from hecli.ledger.chain import BROKEN, Ledger, read_ledger
from hecli.storage.store import Store
from hecli.training.deriving import check_terms
from hecli.training.files import named
from hecli.training.models import CANONICAL, convert, model_digest
from hecli.training.own import Own
from hecli.training.session import LEDGER, MODEL_FILE, TERMS_FILE
from hecli.training.terms import Training, read_training

TERMS_LIMIT = 17 << 20

Accept = Callable[[Training, bytes], bool]
"""Asks whether terms are accepted, given their digest too."""


class Terms(NamedTuple):
    """The terms in a folder.

    Args:
        training: Them.
        digest: The digest of their file.
        data: The file.
    """

    training: Training
    digest: bytes
    data: bytes


def read_terms(shared: Store) -> Terms:
    """Read the terms of the training in a folder.

    Args:
        shared: The folder.

    Returns:
        The terms.

    Raises:
        HecliError: There are none, or they are not sound.
    """
    if not shared.exists(TERMS_FILE):
        raise HecliError(
            f"there is no training in this folder: {TERMS_FILE} is not here",
            "check the folder; hecli start begins one",
        )
    with shared.open(TERMS_FILE) as stream:
        data = stream.read(TERMS_LIMIT)
    reader = open_reader(named(data, TERMS_FILE))
    training = read_training(reader)
    check_terms(training, TERMS_FILE)
    return Terms(training, reader.digest, data)


def join(terms: Terms, own: Own, identity: Identity, accept: Accept) -> None:
    """Accept the terms, unless that was done.

    Args:
        terms: The terms.
        own: The member's own folder.
        identity: The member.
        accept: Asks for it; the coordinator has accepted by signing.

    Raises:
        RefusedError: They are not accepted, or are not for this member.
    """
    training = terms.training
    known = training.roster.cards.get(identity.card.name)
    if known != identity.card:
        raise RefusedError(
            f"{identity.card.fingerprint} {identity.card.name} is not on the roster of this training",
            "its coordinator has to begin one with your card",
        )
    own.prepare()
    if own.check_terms(terms.data):
        return
    if identity.card.name != training.roster.coordinator and not accept(training, terms.digest):
        raise RefusedError("the terms were not accepted", "nothing was sent")
    own.accept(terms.data)


def read_training_ledger(shared: Store) -> Ledger:
    """Read the ledger of a training, whatever is in it.

    Args:
        shared: The folder.

    Returns:
        The ledger.

    Raises:
        HecliError: There is none.
    """
    if not shared.list(LEDGER):
        raise HecliError(
            "the training's ledger is not in the folder", "whoever keeps the folder has to put it back"
        )
    return read_ledger(shared, LEDGER)


def open_ledger(shared: Store, terms: Terms, own: Own) -> Ledger:
    """Read the ledger of a training, which must hold all that this member has seen of it before.

    Args:
        shared: The folder.
        terms: The terms.
        own: The member's own folder, or one that has seen nothing.

    Returns:
        The ledger.

    Raises:
        FormatError: It is broken, was rolled back or forked, or is not this training's.
    """
    ledger = read_training_ledger(shared)
    ledger.require_sound("of this training")
    if own.head is not None and (problems := ledger.check_head(own.head)):
        raise FormatError(f"the ledger is not the one that was here before: {problems[0]}", BROKEN)
    coordinator = terms.training.roster.cards[terms.training.roster.coordinator]
    begun = [link for link in ledger.links if link.entry.event == "training"]
    if ledger.links[0].signer != coordinator or not begun:
        raise FormatError("the ledger is not one of this training's coordinator", FORGED)
    if begun[0].signer != coordinator or terms.digest not in {digest for _, digest in begun[0].entry.files}:
        raise FormatError("the ledger is of another training than the one in the folder", FORGED)
    return ledger


def take_model(shared: Store, terms: Terms, own: Own, format: str) -> None:
    """Take the first model from the folder, unless that was done.

    Args:
        shared: The folder.
        terms: The terms.
        own: The member's own folder.
        format: In which format it is kept.

    Raises:
        FormatError: It is not the one that the terms name.
    """
    suffix = FORMATS[format].suffix
    target = own.model(0, suffix)
    others = [each for each in own.root.glob("model-*") if each.suffix != suffix]
    if others:
        raise HecliError(
            f"the models in {own.root} are {others[0].suffix} files, not {suffix}",
            "a training stays with the --format that it was begun with",
        )
    if target.exists() or own.applied():
        return
    with shared.open(MODEL_FILE) as stream:
        # In hecli's own format alone, as large as the terms say, and the same when it is read again.
        model = FORMATS[CANONICAL].open(stream, MODEL_FILE)
        if model.specs != terms.training.tensors or model_digest(model) != terms.training.model:
            raise FormatError(f"{MODEL_FILE}: is not the model that the terms name", FORGED)
        convert(own.store, model, target, format)
    try:
        with target.open("rb") as made:
            open_tensors(made, str(target))
    except HecliError:
        # Such as for a package that is missing: the next run may ask for another format.
        target.unlink()
        raise
    own.copy(target, own.model("last", suffix))


def own_folder(identity: str) -> Path:
    """Say where a member's own folder is: beside its identity.

    Args:
        identity: The path of the .id file.

    Returns:
        The folder's path.
    """
    return Path(identity).with_suffix(".run")
