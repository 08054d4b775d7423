"""hecli verify."""

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from hecli.cli import options
from hecli.cli.console import Console, say, show_error, shown
from hecli.cli.files import open_input
from hecli.cli.options import FilesCommand
from hecli.errors import HecliError
from hecli.executors.processes import processes
from hecli.formats.reader import open_reader
from hecli.formats.text import count
from hecli.plan.data import Plan
from hecli.rounds.describe import Description, describe_contributors
from hecli.rounds.verify_aggregate import verify_aggregate

if TYPE_CHECKING:
    from typing import BinaryIO

    from hecli.schemes.round import PublicKey


@click.command(cls=FilesCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@options.made_from
@options.key(".pub")
@options.enrollments
@options.answers
@options.plan
@options.jobs
@options.talkative
def verify(
    files: tuple[str, ...],
    sources: tuple[str, ...],
    key: str | None,
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
    plan: Plan | None,
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
      hecli verify round.sum --from round.agg
      hecli verify round.sum --from round.agg *.part --key hecli.pub
    """
    options.check_standard(*files, *sources, *enrollments, *answers)
    if sources:
        if len(files) > 1:
            raise click.UsageError("--from is for one aggregate or sum, named before it")
        _made_from(files[0], sources, key, (enrollments, answers), plan, jobs, console)
        return 0
    options.refuse({"key", "enrollments", "answers"}, "is for a sum, checked with --from")
    # Imported here: looking at any kind of file needs numpy, recomputing does not.
    from hecli.rounds.verify import verify as verify_file  # noqa: PLC0415

    found = []
    status = 0
    for file in files:
        try:
            with open_input(file) as stream, console.progress("checking") as progress:
                summary = verify_file(stream, plan, work=processes(jobs), progress=progress)
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


def _made_from(
    file: str,
    sources: tuple[str, ...],
    key: str | None,
    masks: tuple[tuple[str, ...], tuple[str, ...]],
    plan: Plan | None,
    jobs: int | None,
    console: Console,
) -> None:
    """Check what was made from other files against them."""
    with ExitStack() as stack:
        made = stack.enter_context(open_input(file))
        streams = options.open_files(stack, sources)
        progress = stack.enter_context(console.progress("checking"))
        kind = open_reader(made).kind
        if kind == "sum":
            from hecli.rounds.verify_sum import verify_sum  # noqa: PLC0415 - it needs numpy

            enrollments, answers = (options.open_files(stack, each) for each in masks)
            contributors = verify_sum(
                made,
                streams[0],
                streams[1:],
                key=_dealt(streams, key),
                enrollments=enrollments,
                answers=answers,
                plan=plan,
                work=processes(jobs),
                progress=progress,
            )
        else:
            options.refuse({"key", "enrollments", "answers"}, "is for a sum, checked with --from")
            contributors = verify_aggregate(made, streams, plan=plan, work=processes(jobs), progress=progress)
    who = describe_contributors(contributors)
    number = len(contributors)
    if console.json:
        recomputed = {"recomputed": True} if kind != "sum" else {"opened_from": sources[0]}
        click.echo(json.dumps({"file": file, **recomputed, "contributors": who}))
    elif not console.quiet:
        aggregate = f"is the product of {count(number, 'update')}, byte for byte"
        total = f"is the sum of the {count(number, 'contributor')} in {shown(sources[0])}"
        say(f"{shown(file)}: {total if kind == 'sum' else aggregate}")


def _dealt(streams: "list[BinaryIO]", key: str | None) -> "PublicKey | None":
    """The key that was dealt, where a sum is checked with partials."""
    if len(streams) == 1:
        options.refuse("key", "is for partials, given with --from")
        return None
    return options.load_public_key(key)


def _text(summary: Description) -> str:
    lines = [f"{shown(summary['file'])}: {summary['kind']}, digests hold"]
    if summary.get("signed_by"):
        lines.append(f"  signed by    {summary['signed_by']['name']} {summary['signed_by']['fingerprint']}")
    elif "signed_by" in summary:
        lines.append("  signed by    nobody")
    if "names" in summary:
        lines.append(f"  names        {summary['names']}")
    if "plan" in summary:
        lines.append(f"  plan         {summary['plan']['name']!r}, digest {summary['plan']['digest'][:16]}")
    return "\n".join(lines)
