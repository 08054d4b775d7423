"""The record beside a secret, of what it was used for: one file of each plan, and no other."""

import io
import os
from typing import NamedTuple

from hecli.errors import FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.reader import Reader
from hecli.storage.local import LOCAL
from hecli.storage.locks import locked
from hecli.storage.store import Record
from hecli.storage.use_record_file import KIND, Uses, parse_record, record_header


class Use(NamedTuple):
    """What a secret is used for.

    Args:
        said: How an error says that it was, before.
        danger: Why it must not be again, and what to do.
    """

    said: str
    danger: str


USES = {
    "opened": Use(
        "another aggregate of this plan or model was opened before",
        "the difference of two sums of one round shows what single parties sent: make a plan for each "
        "round, or pass --again if every party agrees",
    ),
    "masked": Use(
        "another update of this plan or model was masked before",
        "two updates under the same masks show how they differ: make a new plan, "
        "or pass --again if the first never left this machine",
    ),
    "sent": Use(
        "another update about this model was made before",
        "two updates about one model show more than each alone: go on from where the first one was made, or "
        "pass --again if it never left this machine",
    ),
    "answered": Use(
        "other parties of this plan or model were answered about before",
        "answers about two sets of parties together may uncover one: there is no second answer",
    ),
}
"""All uses, by the suffix of the record."""


def remember(secret: str, use: str, *, again: bool = False, before: bool = False) -> Record:
    """Make what notes, beside a secret, that it is used on a file of a plan, by their digests.

    A use is never taken back, for whoever was stopped in the middle may have
    seen some of it; the same one may go on.

    Args:
        secret: The path of the secret's file.
        use: What it is used for, a key of USES.
        again: Whether there may be one all the same.
        before: Whether it must have been used on it before.

    Returns:
        The record. It raises RefusedError where another file of the plan is
        on it, unless `again`, and where this one is not on it that must be.

    Raises:
        RefusedError: The secret comes from where no record can be kept.
    """
    if secret != "-" and not os.path.exists(secret):  # noqa: S105 - a path
        raise HecliError(f"cannot read {secret}: no such file or folder", "name the secret's own file")
    if secret == "-" or not os.path.isfile(secret):  # noqa: S105 - a path
        raise RefusedError(
            "a secret from a pipe leaves no place for the record of its use",
            "name the file itself; hecli keygen --passphrase protects it",
        )
    # Beside the file itself, not beside a link to it.
    path = f"{os.path.realpath(secret)}.{use}"

    def record(plan: bytes, file: bytes) -> None:
        with locked(secret):
            uses = _read(path)
            if any(known == plan and other != file for known, other in uses) and not again:
                raise RefusedError(f"{USES[use].said}, says {secret}.{use}", USES[use].danger)
            if before and (plan, file) not in uses:
                raise RefusedError(
                    f"{secret}.{use} does not say that any of this was {use} here before",
                    "make one of the parts on this machine, which checks what it rests on",
                )
            if (plan, file) not in uses:
                with LOCAL.create(path, replace=True, secret=True) as out:
                    envelope.write(out, KIND, record_header(uses | {(plan, file)}))

    return record


def was_used(secret: str, use: str, subject: bytes) -> bool:
    """Tell whether a secret was used on something before.

    Args:
        secret: The path of the secret's file.
        use: What for, a key of USES.
        subject: The digest of the plan, or of the model that the use is about.

    Returns:
        Whether it was.
    """
    return any(known == subject for known, _ in _read(f"{os.path.realpath(secret)}.{use}"))


def _read(path: str) -> Uses:
    if not os.path.lexists(path):
        return frozenset()
    if not os.path.isfile(path):
        raise HecliError(f"cannot read {path}: it is no file, or leads to none", "restore the record")
    try:
        with LOCAL.open(path) as stream:
            return parse_record(Reader(io.BytesIO(stream.read(envelope.HEADER_LIMIT + 1024)), path))
    except FormatError as error:
        raise HecliError(
            error.message, "it says what was opened: restore it, or move it away if you know that nothing was"
        ) from error
