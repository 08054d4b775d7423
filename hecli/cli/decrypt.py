"""hecli decrypt."""

import time

import click

from hecli.cli import options
from hecli.cli.console import Console, count
from hecli.cli.files import STANDARD, check_output, default_output, label, open_input, open_output
from hecli.pipeline.decrypt import decrypt as decrypt_aggregate
from hecli.pipeline.facts import contributor_facts


@click.command()
@click.argument("aggregate")
@options.key(".key")
@options.jobs
@options.output("AGGREGATE.sum")
@options.talkative
def decrypt(
    aggregate: str,
    key: str | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Open an aggregate: the sum, and only the sum.

    Refuses an aggregate of fewer contributors than the plan allows, and one
    whose lanes hold what no sum of updates can be.

    \b
      hecli decrypt round.agg
      hecli decrypt round.agg --key hospital.key -o round.sum
    """
    target = output or default_output(aggregate, ".sum")
    check_output(target, force=force)
    private = options.load_private_key(key, console)
    start = time.perf_counter()
    with (
        open_input(aggregate) as source,
        open_output(target, force=force) as out,
        console.progress("decrypting") as progress,
    ):
        result = decrypt_aggregate(source, out, private, jobs=jobs, progress=progress)
    seconds = time.perf_counter() - start
    if result.clipped:
        console.warn(f"{count(result.clipped, 'value')} clipped by the parties together")
    facts = {
        "file": target,
        "contributors": contributor_facts(result.contributors),
        "weight": result.weight,
        "clipped": result.clipped,
        "seconds": round(seconds, 3),
    }
    text = (
        f"{label(target)}: the sum of {count(len(result.contributors), 'contributor')}, "
        f"total weight {result.weight:,}, {seconds:.1f} s"
    )
    console.summary(facts, text, to_stdout=target != STANDARD)
