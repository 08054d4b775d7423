"""Parts of a round on the workers of a cluster, for the commands that have --dask."""

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import click

from hecli.cli.console import Console
from hecli.cli.files import STANDARD
from hecli.errors import FormatError, HecliError, MismatchError, RefusedError
from hecli.formats.reader import open_reader
from hecli.plan.data import Plan
from hecli.plan.extent import Extent
from hecli.rounds.headers import open_blocks
from hecli.schemes.interface import Load
from hecli.schemes.round import PrivateKey
from hecli.storage.paths import joined, scheme_of
from hecli.storage.places import ANYWHERE

if TYPE_CHECKING:
    from hecli.remote import Failed

SECONDS = 5
"""What a part should take a worker: much longer than to send it, and soon done again where it is lost."""

EACH = 4
"""Parts for each worker at least, so that none waits long for the others."""

ERRORS = {each.__name__: each for each in (FormatError, MismatchError, RefusedError)}

dask = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Have the workers of this Dask scheduler do it in parts; local starts some here.",
)
send_key = click.option(
    "--send-key",
    is_flag=True,
    help="With --dask tls://..., open there, too: every worker gets the key.",
)


class Done(NamedTuple):
    """What workers made.

    Args:
        slices: The paths or URLs of the slices.
        digests: Their digests.
    """

    slices: list[str]
    digests: frozenset[bytes]


@contextmanager
def in_parts(
    address: str,
    command: str,
    plan: Plan,
    parties: int,
    console: Console,
    *,
    target: str = "",
    files: tuple[str, ...] = (),
    aggregate: str = "",
    digest: bytes = b"",
    given: dict[str, Any] | None = None,
    key: PrivateKey | None = None,
) -> Iterator[Done]:
    """Have workers do all parts of something.

    Args:
        address: Dask's scheduler.
        command: What they do.
        plan: The plan of the round.
        parties: How many updates there are, or may be.
        console: Where progress is shown.
        target: Where what comes of it goes, beside which they write; nothing where they write nothing.
        files: Updates and aggregates.
        aggregate: The aggregate that is verified or opened, and
        digest: its digest.
        given: What else decrypting takes.
        key: The key, to be sent to them.

    Yields:
        The slices that they made, which are there for as long as the block lasts.

    Raises:
        HecliError: A part cannot be done.
    """
    # Only where there is a cluster; workers open sums, too, and for that numpy is imported.
    from hecli.executors.cluster import dask_cluster  # noqa: PLC0415
    from hecli.remote import Failed, Job, anywhere, do  # noqa: PLC0415

    for each in (*files, aggregate, target):
        if each == STANDARD:
            raise RefusedError("workers cannot read or write a pipe", "name files that they can reach")
    # The workers end, or are told to, before what they wrote is removed.
    with _folder(target) as folder, dask_cluster(address, secret=key is not None) as cluster:
        count = _count(plan, command, parties, cluster.threads)
        jobs = [
            Job(
                command,
                plan.to_map(),
                (number, count),
                tuple(map(anywhere, files)),
                aggregate=anywhere(aggregate) if aggregate else "",
                digest=digest,
                target=anywhere(joined(folder, f"{number:06}.slice")) if target else "",
                options=given or {},
                key=key,
            )
            for number in range(1, count + 1)
        ]
        made: dict[str, bytes] = {}
        with console.progress("in parts") as progress:
            progress(0, count)
            for number, (job, found) in enumerate(cluster.run(do, jobs), 1):
                if isinstance(found, Failed):
                    raise _failed(found)
                made[job.target] = found
                progress(number, count)
        yield Done(sorted(made), frozenset(made.values()))


def verify_there(
    address: str, path: str, made: BinaryIO, updates: tuple[str, ...], plan: Plan | None, console: Console
) -> None:
    """Have workers check that an aggregate is the product of its updates, and their proofs.

    Args:
        address: Dask's scheduler.
        path: The path of the aggregate.
        made: The aggregate itself, as it is here.
        updates: The paths of the updates.
        plan: The plan that all must follow, if one is given.
        console: Where progress is shown.

    Raises:
        HecliError: They cannot, or it is not.
    """
    reader = open_reader(made)
    blocks = open_blocks(reader, plan)
    about: dict[str, Any] = {"files": updates, "aggregate": path, "digest": reader.digest}
    with in_parts(address, "verify", blocks.plan, len(updates), console, **about):
        pass


def _count(plan: Plan, command: str, parties: int, workers: int) -> int:
    """How many parts there are: of some seconds each, a few for each worker, and none without a chunk."""
    sizes = plan.geometry
    foreseen = plan.scheme.seconds(Load(sizes.blocks, sizes.group, parties, 1))
    seconds = foreseen.get(command, foreseen.get("aggregate", 0))
    wanted = max(math.ceil(seconds / SECONDS), EACH * workers)
    return max(1, min(wanted, Extent.all(sizes).chunks))


@contextmanager
def _folder(target: str) -> Iterator[str]:
    """A folder beside an output for as long as slices are in it."""
    if not target:
        yield ""
        return
    path = f"{target}.parts-{secrets.token_hex(8)}"
    if not scheme_of(path):
        try:
            Path(path).mkdir()
        except OSError as error:
            raise HecliError(
                f"cannot make {path}: {(error.strerror or '').lower()}", "workers write their slices there"
            ) from error
    try:
        yield path
    finally:
        with suppress(HecliError, OSError):
            for name in ANYWHERE.listing(path).files:
                ANYWHERE.remove(joined(path, name))
            if not scheme_of(path):
                Path(path).rmdir()


def _failed(found: "Failed") -> HecliError:
    """What a worker said, as if it had been here."""
    hint = found.hint or "the workers need the files, and credentials of their own"
    return ERRORS.get(found.kind, HecliError)(f"on a worker: {found.message}", hint)
