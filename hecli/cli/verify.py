"""hecli verify."""

import json
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console, say, show_error, shown
from hecli.cli.files import open_input
from hecli.cli.options import FilesCommand
from hecli.errors import HecliError
from hecli.executors.processes import processes
from hecli.formats.text import count
from hecli.plan.data import Plan
from hecli.rounds.describe import Description, describe_contributors
from hecli.rounds.verify_aggregate import verify_aggregate


@click.command(cls=FilesCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@options.from_updates
@options.plan
@options.jobs
@options.talkative
def verify(
    files: tuple[str, ...],
    updates: tuple[str, ...],
    plan: Plan | None,
    jobs: int | None,
    console: Console,
) -> int:
    """Check files: digests, signatures, plan, and aggregates.

    Needs no secret. With --from, recomputes one aggregate from the parties'
    updates and compares byte for byte. Pass --plan, best with --coordinator:
    a file alone is held only to the plan that it carries itself.

    \b
      hecli verify *.enc
      hecli verify *.enc --plan round.plan --coordinator anna.card
      hecli verify round.agg --from 'updates/*.enc'
    """
    options.check_standard(*files, *updates)
    if updates:
        if len(files) > 1:
            raise click.UsageError("--from is for one aggregate, named before it")
        _recompute(files[0], updates, plan, jobs, console)
        return 0
    # Imported here: looking at any kind of file needs numpy, recomputing does not.
    from hecli.rounds.verify import verify as verify_file  # noqa: PLC0415

    found = []
    status = 0
    for file in files:
        try:
            with open_input(file) as stream:
                summary = verify_file(stream, plan)
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


def _recompute(
    file: str, updates: tuple[str, ...], plan: Plan | None, jobs: int | None, console: Console
) -> None:
    with ExitStack() as stack:
        aggregate = stack.enter_context(open_input(file))
        sources = options.open_updates(stack, updates)
        progress = stack.enter_context(console.progress("recomputing"))
        contributors = verify_aggregate(
            aggregate, sources, plan=plan, work=processes(jobs), progress=progress
        )
    summary = {"file": file, "recomputed": True, "contributors": describe_contributors(contributors)}
    if console.json:
        click.echo(json.dumps(summary))
    elif not console.quiet:
        say(f"{shown(file)}: is the product of {count(len(contributors), 'update')}, byte for byte")


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
