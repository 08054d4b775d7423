"""What every function of the pipeline does with the streams it is given."""

from collections.abc import Callable
from typing import BinaryIO

from hecli.crypto.paillier import PublicKey
from hecli.errors import MismatchError
from hecli.formats.envelope import START, Reader
from hecli.plan import Plan

BATCH = 64
"""Ciphertexts in one task for a worker: small enough to share out evenly, and to show progress."""

Progress = Callable[[int, int], None]
"""Told now and then how many ciphertexts are done, and of how many."""


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


def name_of(stream: BinaryIO) -> str:
    """How errors name a stream: its path, where it has one."""
    name = getattr(stream, "name", None)
    return name if isinstance(name, str) and name else "the input"


def is_own(stream: BinaryIO) -> bool:
    """Whether a seekable stream starts as hecli's files do."""
    stream.seek(0)
    start = stream.read(len(START))
    stream.seek(0)
    return start == START


def open_reader(stream: BinaryIO) -> Reader:
    """The envelope in a seekable stream; raises FormatError."""
    return Reader(stream, name_of(stream))


def check_key(plan: Plan, key: PublicKey, file: str) -> None:
    """Raise MismatchError, showing both fingerprints, unless the plan is for this key."""
    if plan.key != key:
        raise MismatchError(
            f"{file} is under the key {plan.key.fingerprint}, the key given is {key.fingerprint}",
            "pass the key that the plan was made with: --key",
        )
