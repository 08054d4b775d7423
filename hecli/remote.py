"""What a worker of a cluster does: one part of a round, from storage to storage.

A worker reads and writes with its own credentials. It signs nothing: whoever
asked for a slice knows its digest, and signs what comes of all.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import hecli
from hecli.errors import HecliError, MismatchError
from hecli.formats.canonical import Map
from hecli.formats.reader import open_reader
from hecli.plan.data import Plan
from hecli.plan.files import parse_plan
from hecli.rounds.aggregate import aggregate
from hecli.rounds.decrypt import decrypt
from hecli.rounds.verify_aggregate import verify_aggregate
from hecli.schemes.round import PrivateKey
from hecli.storage.paths import scheme_of
from hecli.storage.places import ANYWHERE


@dataclass(frozen=True)
class Job:
    """One part.

    Args:
        command: What is done, a key of COMMANDS.
        plan: The plan, as it stands in a header.
        part: The number of the part, from 1, and how many there are.
        files: What is aggregated; of an aggregate, the updates that it was made of.
        aggregate: What is verified or opened.
        digest: The digest that it must have.
        target: Where the slice goes, if one is made.
        options: What else decrypting takes: files by name, and how many attestations are enough.
        key: The private key, only where it was to be sent.
        version: The version of hecli that asks.
    """

    command: str
    plan: Map
    part: tuple[int, int]
    files: tuple[str, ...] = ()
    aggregate: str = ""
    digest: bytes = b""
    target: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    key: PrivateKey | None = field(default=None, repr=False)
    version: str = hecli.__version__


@dataclass(frozen=True)
class Failed:
    """A part that could not be done.

    Args:
        message: What is wrong.
        hint: What to do about it.
        kind: The name of the error.
    """

    message: str
    hint: str | None
    kind: str


def anywhere(path: str) -> str:
    """Name a file so that a process with another working directory finds it.

    Args:
        path: A path or a URL.

    Returns:
        The URL, or the whole path.
    """
    return path if scheme_of(path) else os.path.abspath(path)


def do(job: Job) -> bytes | Failed:
    """Do a part. It may be done again, also at the same time: what is written is the same.

    Args:
        job: The part.

    Returns:
        The digest of the slice, nothing where none is made; or what is wrong.
    """
    if job.version != hecli.__version__:
        return Failed(
            f"a worker has hecli {hecli.__version__}, and {job.version} asks for a part",
            "install the same version there as here",
            "HecliError",
        )
    try:
        return COMMANDS[job.command](job, parse_plan(job.plan, "the plan"))
    except HecliError as error:
        return Failed(error.message, error.hint, type(error).__name__)


def _aggregate(job: Job, plan: Plan) -> bytes:
    with ExitStack() as stack:
        sources = _opened(stack, job.files)
        out = stack.enter_context(ANYWHERE.create(job.target, replace=True))
        return aggregate(sources, out, plan=plan, part=job.part, unsigned=True).digest


def _verify(job: Job, plan: Plan) -> bytes:
    with ExitStack() as stack:
        verify_aggregate(_made(stack, job), _opened(stack, job.files), plan=plan, part=job.part)
    return b""


def _decrypt(job: Job, plan: Plan) -> bytes:
    with ExitStack() as stack:
        made = _made(stack, job)
        given: dict[str, Any] = {
            name: _opened(stack, value) if isinstance(value, tuple) else value
            for name, value in job.options.items()
        }
        out = stack.enter_context(ANYWHERE.create(job.target, replace=True))
        return decrypt(made, out, job.key, plan=plan, part=job.part, unsigned=True, **given).digest


def _made(stack: ExitStack, job: Job) -> BinaryIO:
    """The aggregate, which must be the very one that whoever asks has looked at."""
    made = stack.enter_context(ANYWHERE.open(job.aggregate))
    found = open_reader(made)
    if found.digest != job.digest:
        raise MismatchError(
            f"{found.name}: is another file here than where it was asked for", "was it exchanged?"
        )
    return made


def _opened(stack: ExitStack, paths: Sequence[str]) -> list[BinaryIO]:
    return [stack.enter_context(ANYWHERE.open(path, many=True)) for path in paths]


COMMANDS: dict[str, Callable[[Job, Plan], bytes]] = {
    "aggregate": _aggregate,
    "verify": _verify,
    "decrypt": _decrypt,
}
"""What a worker can do."""
