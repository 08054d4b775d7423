"""hecli verify."""

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import click

from hecli.cli import cluster, options
from hecli.cli.console import Console, say, show_error, shown
from hecli.cli.files import check_output, label, open_input, open_output
from hecli.cli.options import FilesCommand
from hecli.errors import HecliError
from hecli.executors.cores import cores
from hecli.executors.interface import Executor
from hecli.formats.contributors import Contributor
from hecli.formats.reader import open_reader
from hecli.formats.text import count
from hecli.plan.data import Plan
from hecli.rounds.attest import attest as make_attestation
from hecli.rounds.describe import Description, describe_contributors
from hecli.rounds.headers import open_blocks
from hecli.rounds.slices import describe_range, extent_of
from hecli.rounds.verify_aggregate import verify_aggregate, verify_slice
from hecli.storage.paths import named

if TYPE_CHECKING:
    from typing import BinaryIO

    from hecli.schemes.round import PublicKey


OF_SUM = {"key", "enrollments", "answers"}
"""What only sums are checked with."""


@click.command(cls=FilesCommand)
@click.argument("files", cls=options.Files, required=True, metavar="FILES...")
@options.made_from
@options.key(".pub")
@options.enrollments
@options.answers
@click.option(
    "--attest",
    type=options.FILE,
    metavar="FILE",
    help="Attest what --from showed of an aggregate; with --identity.",
)
@options.identity
@options.plan
@options.part
@cluster.dask
@options.jobs
@options.talkative
def verify(
    files: tuple[str, ...],
    sources: tuple[str, ...],
    key: str | None,
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
    attest: str | None,
    identity: str | None,
    plan: Plan | None,
    part: tuple[int, int] | None,
    dask: str | None,
    jobs: int | None,
    console: Console,
) -> int:
    """Check files: digests, signatures, plan, proofs, aggregates and sums.

    What can be checked without any secret. With --from, that an aggregate is
    the product of the parties' updates, byte for byte, and nothing else; or
    that a sum is what its aggregate holds. Compare the fingerprints of signers
    with those you were told.

    \b
      hecli verify *.enc
      hecli verify *.enc --plan round.plan --coordinator anna.card
      hecli verify round.agg --from 'updates/*.enc'
      hecli verify round.agg --from *.enc --plan round.plan \\
        --identity bob.id --attest bob.att
      hecli verify round.agg --from *.enc --part 3/16
      hecli verify round.sum --from round.agg
      hecli verify round.sum --from round.agg *.part --key hecli.pub
    """
    options.check_standard(*files, *sources, *enrollments, *answers)
    if sources:
        if len(files) > 1:
            raise click.UsageError("--from is for one aggregate or sum, named before it")
        with ExitStack() as stack:
            made = stack.enter_context(open_input(files[0]))
            streams = options.open_files(stack, sources)
            match open_reader(made).kind:
                case "sum":
                    options.refuse({"attest", "part", "dask"}, "is for an aggregate, checked with --from")
                    masks = [options.open_files(stack, each) for each in (enrollments, answers)]
                    contributors = _sum(made, streams, key, masks, plan, jobs, console)
                    text = (
                        f"is the sum of the {count(len(contributors), 'contributor')} in {label(sources[0])}"
                    )
                    checked: Description = {"opened_from": sources[0]}
                case "slice":
                    options.refuse({*OF_SUM, "attest", "identity", "part", "dask"}, "is for whole files")
                    contributors = _slice(made, streams, plan, jobs, console)
                    of = count(len(contributors), "update")
                    text = f"is its part of the product of {of}, whose proofs hold"
                    checked = {"recomputed": True}
                case _:
                    options.refuse(OF_SUM, "is for a sum, checked with --from")
                    if dask is not None:
                        options.refuse(("part", "jobs"), "is for this machine: --dask shares the work out")
                        cluster.verify_there(dask, files[0], made, sources, plan, console)
                    checking = Checking(plan, part, cores(jobs), done=dask is not None)
                    contributors = _aggregate(made, streams, attest, identity, checking, console)
                    where = "" if part is None else f" in {_range(made, plan, part)}"
                    of = count(len(contributors), "update")
                    text = f"is{where} the product of {of}, whose proofs hold"
                    checked = {"recomputed": True}
        checked = {"file": named(files[0]), **checked, "contributors": describe_contributors(contributors)}
        if console.json:
            click.echo(json.dumps(checked))
        elif not console.quiet:
            say(f"{label(files[0])}: {text}")
        return 0
    options.refuse({*OF_SUM, "attest", "part", "dask"}, "is for what --from checks")
    return _each(files, plan, jobs, console)


def _each(files: tuple[str, ...], plan: Plan | None, jobs: int | None, console: Console) -> int:
    """Check files by themselves."""
    # Imported here: looking at any kind of file needs numpy, recomputing does not.
    from hecli.inspection.verify import verify as verify_file  # noqa: PLC0415

    found = []
    status = 0
    for file in files:
        try:
            with open_input(file) as stream, console.progress("checking") as progress:
                summary = verify_file(stream, plan, work=cores(jobs), progress=progress)
        except HecliError as error:
            status = 1
            show_error(error.message, error.hint)
            continue
        found.append(summary)
        if not console.json and not console.quiet:
            say(_text(summary))
    if console.json:
        click.echo(json.dumps(found))
    return status


def _range(made: "BinaryIO", plan: Plan | None, part: tuple[int, int]) -> str:
    """Which chunks of an aggregate a part is about."""
    return describe_range(extent_of(open_blocks(open_reader(made), plan).plan, part))


def _slice(
    made: "BinaryIO", updates: "list[BinaryIO]", plan: Plan | None, jobs: int | None, console: Console
) -> tuple[Contributor, ...]:
    """Check a slice of an aggregate against the updates."""
    with console.progress("checking") as progress:
        return verify_slice(made, updates, plan=plan, work=cores(jobs), progress=progress)


class Checking(NamedTuple):
    """How an aggregate is checked.

    Args:
        plan: The plan that it must follow, if one is given.
        part: Which part of it, and of how many; None for all.
        work: Who works.
        done: Whether it was checked already.
    """

    plan: Plan | None
    part: tuple[int, int] | None
    work: Executor
    done: bool


def _aggregate(
    made: "BinaryIO",
    updates: "list[BinaryIO]",
    attest: str | None,
    identity: str | None,
    checking: Checking,
    console: Console,
) -> tuple[Contributor, ...]:
    """Check an aggregate against its updates, and attest it where that is asked for."""
    plan, part, work, done = checking
    if attest is None:
        options.refuse("identity", "is for --attest")
        if done:
            return open_blocks(open_reader(made), plan).contributors
        with console.progress("checking") as progress:
            return verify_aggregate(made, updates, plan=plan, part=part, work=work, progress=progress)
    if identity is None:
        raise click.UsageError("an attestation is signed: --attest needs --identity")
    check_output(attest, force=False, hint="name another file")
    signer = options.require_identity(identity, console)
    options.believed(plan, console)
    with open_output(attest) as out, console.progress("checking") as progress:
        found = make_attestation(
            made, updates, out, signer, plan=plan, part=part, checked=done, work=work, progress=progress
        )
    what = "the attestation" if part is None else "a slice of the attestation"
    console.note(f"{label(attest)}: {what} of {signer.card.name}")
    return found.attestation.contributors


def _sum(
    made: "BinaryIO",
    sources: "list[BinaryIO]",
    key: str | None,
    masks: "list[list[BinaryIO]]",
    plan: Plan | None,
    jobs: int | None,
    console: Console,
) -> tuple[Contributor, ...]:
    """Check a sum against its aggregate, the first source, and partials."""
    from hecli.rounds.verify_sum import verify_sum  # noqa: PLC0415 - it needs numpy

    enrollments, answers = masks
    with console.progress("checking") as progress:
        return verify_sum(
            made,
            sources[0],
            sources[1:],
            key=_dealt(sources, key),
            enrollments=enrollments,
            answers=answers,
            plan=plan,
            work=cores(jobs),
            progress=progress,
        )


def _dealt(streams: "list[BinaryIO]", key: str | None) -> "PublicKey | None":
    """The key that was dealt, where a sum is checked with partials."""
    if len(streams) == 1:
        options.refuse("key", "is for partials, given with --from")
        return None
    return options.load_public_key(key)


def _text(summary: Description) -> str:
    lines = [f"{shown(summary['file'])}: {summary['kind']}, digests hold"]
    if summary.get("signed_by"):
        lines.append(f"  signed by    {summary['signed_by']['fingerprint']} {summary['signed_by']['name']}")
    elif "signed_by" in summary:
        lines.append("  signed by    nobody")
    if "proofs" in summary:
        lines.append(f"  proofs       {summary['proofs']}")
    if "names" in summary:
        lines.append(f"  names        {summary['names']}")
    if "plan" in summary:
        lines.append(f"  plan         {summary['plan']['name']!r}, digest {summary['plan']['digest'][:16]}")
    return "\n".join(lines)
