"""hecli decrypt."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console, count
from hecli.cli.files import STANDARD, check_output, default_output, label, open_input, open_output
from hecli.cli.options import FilesCommand
from hecli.cli.uses import remember
from hecli.pipeline.decrypt import decrypt as decrypt_aggregate
from hecli.pipeline.facts import contributor_facts
from hecli.plan import Plan

DANGER = (
    "the difference of two sums of one round shows what single parties sent: make a plan for each round, "
    "or pass --again if every party agrees"
)


@click.command(cls=FilesCommand)
@click.argument("aggregate")
@options.key(".key")
@options.from_updates
@click.option(
    "--again", is_flag=True, help="Open a second aggregate of a plan: what two differ by can be one party's."
)
@options.plan
@options.identity
@options.ledger
@options.jobs
@options.output("AGGREGATE.sum")
@options.talkative
def decrypt(
    aggregate: str,
    key: str | None,
    updates: tuple[str, ...],
    again: bool,
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Open an aggregate: the sum, and only the sum.

    Refuses an aggregate of fewer contributors than the plan allows, one whose
    lanes hold what no sum of updates can be, and a second, different aggregate
    of a plan: what was opened is on record in KEY.opened.

    \b
      hecli decrypt round.agg
      hecli decrypt round.agg --key hospital.key -o round.sum
      hecli decrypt round.agg --from 'updates/*.enc' --plan round.plan --identity hospital.id
    """
    target = output or default_output(aggregate, ".sum")
    check_output(target, force=force)
    if plan is None and identity is not None:
        console.warn("whatever plan the aggregate carries is believed: pass --plan, the one you agreed on")
    key = options.key_path(key, ".key")
    remembered = remember(key, "opened", DANGER, again=again)
    private = options.load_private_key(key, console)
    signer = options.load_identity(identity, console)
    record = options.recorder(ledger, signer)
    start = time.perf_counter()
    options.check_standard(aggregate, *updates)
    with ExitStack() as stack:
        source = stack.enter_context(open_input(aggregate))
        sources = options.open_updates(stack, updates)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("decrypting"))
        opened = decrypt_aggregate(
            source,
            out,
            private,
            plan=plan,
            sources=sources if updates else None,
            identity=signer,
            record=remembered,
            jobs=jobs,
            progress=progress,
        )
        result = opened.total
        files = [(aggregate, result.aggregate), (target, opened.digest)]
        record("opened", plan=opened.plan.digest, files=files)
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
