"""hecli verify."""

import json
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console, count, printable, show_error
from hecli.cli.options import FilesCommand
from hecli.errors import HecliError
from hecli.plan.data import Plan
from hecli.rounds.facts import Facts, contributor_facts
from hecli.rounds.recompute import verify_aggregate
from hecli.storage.local import open_input


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
                facts = verify_file(stream, plan)
        except HecliError as error:
            status = 1
            show_error(error.message, error.hint)
            continue
        found.append(facts)
        if not console.json and not console.quiet:
            click.echo(printable(_text(facts)))
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
        contributors = verify_aggregate(aggregate, sources, plan, jobs=jobs, progress=progress)
    facts = {"file": file, "recomputed": True, "contributors": contributor_facts(contributors)}
    if console.json:
        click.echo(json.dumps(facts))
    elif not console.quiet:
        click.echo(
            printable(f"{file}: is the product of {count(len(contributors), 'update')}, byte for byte")
        )


def _text(facts: Facts) -> str:
    lines = [f"{facts['file']}: {facts['kind']}, digests hold"]
    if facts.get("signed_by"):
        lines.append(f"  signed by    {facts['signed_by']['name']} {facts['signed_by']['fingerprint']}")
    elif "signed_by" in facts:
        lines.append("  signed by    nobody")
    if "names" in facts:
        lines.append(f"  names        {facts['names']}")
    if "plan" in facts:
        lines.append(f"  plan         {facts['plan']['name']!r}, digest {facts['plan']['digest'][:16]}")
    return "\n".join(lines)
