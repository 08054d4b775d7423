"""What every function of the pipeline does with the streams it is given."""

import hashlib
import io
from collections.abc import Callable
from typing import BinaryIO, cast

from hecli.errors import MismatchError
from hecli.formats.envelope import START, Reader
from hecli.plan.data import Plan
from hecli.schemes.paillier.keys import PublicKey

BATCH = 64
"""Ciphertexts in one task for a worker: small enough to share out evenly, and to show progress."""

Progress = Callable[[int, int], None]
"""Told now and then how many ciphertexts are done, and of how many."""


Record = Callable[[bytes, bytes], None]
"""Told of a use of a secret before anything is written: digests of plan and file; raises to forbid it."""


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


class Hashed(io.RawIOBase):
    """Passes on what is written to it, and knows its SHA-256."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._hash = hashlib.sha256()

    @property
    def stream(self) -> BinaryIO:
        """This, as what it is used as."""
        return cast("BinaryIO", self)

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Write all of `data`."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        self._hash.update(view)
        self._out.write(view)
        return len(view)

    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._hash.digest()


def digest_of_file(stream: BinaryIO) -> bytes:
    """What stands for a file in a ledger: the digest of one of hecli's, checked to its end, else SHA-256.

    `stream` is seekable. Raises FormatError.
    """
    if is_own(stream):
        reader = open_reader(stream)
        reader.verify()
        return reader.digest
    return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def open_reader(stream: BinaryIO) -> Reader:
    """The envelope in a seekable stream; raises FormatError."""
    return Reader(stream, name_of(stream))


def check_key(plan: Plan, key: PublicKey, file: str) -> None:
    """Raise MismatchError, showing both fingerprints, unless the plan is for this key."""
    if not plan.has_key:
        raise MismatchError(f"{file} is for masks alone, and a key is given", "leave out --key")
    if plan.key != key:
        raise MismatchError(
            f"{file} is under the key {plan.key.fingerprint}, the key given is {key.fingerprint}",
            "pass the key that the plan was made with: --key",
        )
