"""What the commands that open an aggregate have in common: what shows what is in it, and what they say."""

import functools
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click

from hecli.cli import options
from hecli.cli.clipping import say_clipped_in_sum
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, label
from hecli.errors import HecliError
from hecli.formats.reader import open_reader
from hecli.formats.text import count, duration
from hecli.plan.data import Plan
from hecli.rounds.describe import describe_contributors
from hecli.rounds.evidence import Evidence
from hecli.rounds.headers import Sum, open_blocks
from hecli.rounds.opening import Opened
from hecli.rounds.slices import describe_range, extent_of
from hecli.schemes.interface import ANSWERS, ENROLLMENTS
from hecli.storage.local import at_the_end
from hecli.storage.paths import folder_of, joined, scheme_of
from hecli.storage.places import ANYWHERE

SUFFIX = ".enc"
SHOWN = 3


class Chosen(NamedTuple):
    """What the command line says about what an aggregate was made of.

    Args:
        updates: The files that --from names.
        attested: How many members' word is enough, where that is.
        attestations: The files of their attestations.
        unverified: Whether to open without any of it.
    """

    updates: tuple[str, ...]
    attested: int | None
    attestations: tuple[str, ...]
    unverified: bool

    def open(
        self, stack: ExitStack, aggregate: str, source: BinaryIO, console: Console, *, verified_only: bool
    ) -> Evidence:
        """Open the files, and look for updates where none are named.

        Args:
            stack: For as long as it lasts.
            aggregate: The path of the aggregate.
            source: The aggregate itself.
            console: Where warnings go.
            verified_only: Whether the key opens nothing without evidence.

        Returns:
            What there is.
        """
        if self.unverified:
            if not verified_only:
                console.warn(
                    f"nothing shows what {label(aggregate)} was made of: "
                    "whoever made it can have made it show one party's update"
                )
            return Evidence(unverified=True)
        if self.attested is not None:
            return Evidence(attested=self.attested, attestations=options.open_files(stack, self.attestations))
        found = self.named(aggregate, source, console)
        return Evidence(updates=options.open_files(stack, found.updates))

    def named(self, aggregate: str, source: BinaryIO, console: Console) -> "Chosen":
        """Look for updates where none are named.

        Args:
            aggregate: The path of the aggregate.
            source: The aggregate itself.
            console: Where warnings go.

        Returns:
            The same, with the paths of the updates.
        """
        if self.unverified or self.attested is not None or self.updates:
            return self
        return self._replace(updates=find_updates(aggregate, source, console))

    def say(self, console: Console) -> None:
        """Say what the opening rests on, where that is people's word.

        Args:
            console: Where to say it.
        """
        if self.attested is not None:
            dishonest = count(self.attested - 1, "dishonest one")
            console.note(f"{self.attested} members attest it, which holds against {dishonest}")


def evidence(command: options.Command) -> options.Command:
    """Add the options that say what an aggregate was made of, and pass the command what was Chosen."""

    @options.from_updates
    @click.option(
        "--attested",
        type=click.IntRange(2),
        metavar="M",
        help="Take M members' word that they checked the updates; with --coordinator.",
    )
    @click.option(
        "--attestations",
        cls=options.FilesOption,
        metavar="FILES...",
        help="Their attestations, of hecli verify --attest.",
    )
    @click.option(
        "--unverified",
        is_flag=True,
        help="Open whatever it was made of, with a key of keygen --allow-unverified.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        updates: tuple[str, ...],
        attested: int | None,
        attestations: tuple[str, ...],
        unverified: bool,
        **kwargs: Any,
    ) -> Any:
        if (bool(updates), attested is not None, unverified).count(True) > 1:
            raise click.UsageError("--from, --attested and --unverified exclude each other")
        if (attested is not None) != bool(attestations):
            raise click.UsageError("--attested and --attestations go together")
        if attested is not None and not click.get_current_context().params.get("coordinator"):
            raise click.UsageError(
                "--attested needs --plan and --coordinator: whose word it is must be known"
            )
        return command(*args, chosen=Chosen(updates, attested, attestations, unverified), **kwargs)

    return wrapped


def find_updates(aggregate: str, source: BinaryIO, console: Console) -> tuple[str, ...]:
    """Find the updates that an aggregate was made of, by their digests.

    They are looked for among the .enc files beside the aggregate, or of the
    working directory where it comes through a pipe.

    Args:
        aggregate: The path of the aggregate.
        source: The aggregate itself.
        console: Where warnings go, about files that cannot be read.

    Returns:
        Their paths, as far as they are there.
    """
    wanted = {each.digest for each in open_blocks(open_reader(source)).contributors}
    found: dict[bytes, str] = {}
    unsound = []
    # What comes through a pipe has no folder of its own.
    beside = scheme_of(aggregate) or Path(aggregate).is_file()
    folder = folder_of(at_the_end(aggregate)) if beside else "."
    for name in ANYWHERE.list(folder):
        if not name.endswith(SUFFIX) or len(found) == len(wanted):
            continue
        file = joined(folder, name)
        try:
            with ANYWHERE.open(file) as stream:
                reader = open_reader(stream)
                if reader.digest not in wanted or reader.digest in found:
                    continue
                # A digest says nothing of the signature, nor of chunks that nobody has read yet.
                open_blocks(reader)
                reader.verify()
        except HecliError as error:
            unsound.append(error.message)
            continue
        found[reader.digest] = file
    if len(found) < len(wanted):
        for message in unsound[:SHOWN]:
            console.warn(f"{message}; it was not looked at")
    return tuple(found.values())


def _what(total: Sum, part: tuple[int, int] | None) -> str:
    """What was opened, of which chunks where it is a part."""
    if part is None:
        return "the sum"
    return f"{describe_range(extent_of(total.plan, part))} of the sum"


def check_answers(plan: Plan) -> None:
    """Refuse enrollments and answers where the plan needs none.

    Args:
        plan: The plan that the aggregate follows.

    Raises:
        UsageError: They were typed, and do nothing.
    """
    if ENROLLMENTS not in plan.to_open:
        options.refuse("enrollments", "is for plans with --dropouts")
    if ANSWERS not in plan.to_open:
        options.refuse("answers", "is for plans with --dropouts")


def say_opened(
    opened: Opened, target: str, seconds: float, console: Console, part: tuple[int, int] | None = None
) -> None:
    """Say what was opened.

    Args:
        opened: The sum.
        target: Where it went.
        seconds: What it took.
        console: Where to say it.
        part: Which part of it, and of how many; None for all.
    """
    total = opened.total
    for said in opened.refused:
        console.warn(f"{said}; it was left out")
    say_clipped_in_sum(total, console)
    summary: dict[str, Any] = {
        "file": target,
        "contributors": describe_contributors(total.contributors),
        "weight": total.weight,
        "clipped": total.clipped,
        "seconds": round(seconds, 3),
    }
    text = (
        f"{label(target)}: {_what(total, part)} of "
        f"{count(len(total.contributors), 'contributor')}, "
        f"total weight {total.weight:,}, {duration(seconds)}"
    )
    console.summary(summary, text, to_stdout=target != STANDARD)
