"""hecli aggregate."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import (
    STANDARD,
    check_output,
    label,
    open_output,
    size_of,
)
from hecli.executors.processes import processes
from hecli.formats.text import count, count_bytes, duration
from hecli.plan.data import Plan
from hecli.rounds.aggregate import aggregate as aggregate_files
from hecli.rounds.describe import describe_contributors
from hecli.rounds.slices import describe_range, extent_of


@click.command()
@click.argument("files", cls=options.Files, required=True, metavar="FILES...")
@options.plan
@options.identity
@options.ledger
@options.part
@options.jobs
@options.output("round.agg")
@options.talkative
def aggregate(
    files: tuple[str, ...],
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    part: tuple[int, int] | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Multiply updates into one aggregate.

    Needs no key and learns nothing. FILES are updates and aggregates alike.
    The same updates always give the same bytes, so anyone can check the result
    by making it again.

    \b
      hecli aggregate *.enc
      hecli aggregate north.agg south.agg -o country.agg
      hecli aggregate *.enc --plan round.plan --identity anna.id
      hecli aggregate *.enc -o - | hecli decrypt - -o round.sum
      hecli aggregate *.enc --part 3/16
    """
    options.check_standard(*files)
    options.refuse_recording(part)
    target = output or options.sliced(STANDARD if STANDARD in files else "round.agg", part)
    check_output(target, force=force)
    signer = options.load_identity(identity, console)
    entry = options.recorder(None if part else ledger, signer, identity)
    start = time.perf_counter()
    with ExitStack() as stack:
        sources = options.open_files(stack, files)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("aggregating"))
        work = processes(jobs)
        result = aggregate_files(
            sources, out, plan=plan, identity=signer, part=part, work=work, progress=progress
        )
        entry("aggregate", plan=result.plan.digest, files=[(target, result.digest)])
    seconds = time.perf_counter() - start
    made, contributors = result.plan, result.contributors
    summary = {
        "file": target,
        "contributors": describe_contributors(contributors),
        "plan": made.digest.hex(),
        "seconds": round(seconds, 3),
    }
    extent = extent_of(made, part)
    size = count_bytes(size_of(target, made.geometry.bytes))
    holds = count(made.geometry.blocks, "ciphertext") if part is None else describe_range(extent)
    text = f"{label(target)}: {count(len(contributors), 'contributor')}, {holds}, {size}, {duration(seconds)}"
    console.summary(summary, text, to_stdout=target != STANDARD)
