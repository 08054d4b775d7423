"""hecli answer."""

from contextlib import ExitStack
from pathlib import Path

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, keep_apart, label, open_input, open_output
from hecli.cli.opening import find_updates
from hecli.cli.options import FilesCommand
from hecli.executors.cores import cores
from hecli.plan.data import Plan
from hecli.rounds.answer import answer as write_answer
from hecli.storage.use_record import remember


@click.command(cls=FilesCommand)
@click.argument("aggregate", type=options.FILE)
@options.enrollments
@options.from_updates
@options.plan
@options.identity
@options.ledger
@options.jobs
@options.output("IDENTITY.ans")
@options.talkative
def answer(
    aggregate: str,
    enrollments: tuple[str, ...],
    updates: tuple[str, ...],
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Answer about an aggregate's parties, so that its masks come off.

    Once the contributors are fixed: checks their updates, which it finds beside
    the aggregate, and reveals for each of them a share of what masks it alone,
    and for each other who enrolled a share of its round key. Never both for one
    party, and about one set of parties of a plan only: what was answered is on
    record in IDENTITY.answered.

    \b
      hecli answer round.agg --enroll '*.enroll' --plan round.plan \\
        --identity bob.id
    """
    if identity is None or not enrollments:
        raise click.UsageError("answering needs --identity and --enroll")
    options.check_standard(aggregate, *updates, *enrollments)
    target = output or f"{Path(identity).stem}.ans"
    check_output(target, force=force)
    keep_apart(target, identity, f"{identity}.answered")
    options.believed(plan, console)
    signer = options.require_identity(identity, console)
    remembered = remember(identity, "answered")
    entry = options.recorder(ledger, signer, identity)
    with ExitStack() as stack:
        source = stack.enter_context(open_input(aggregate))
        sources = options.open_files(stack, updates or find_updates(aggregate, source, console))
        enrolled = options.open_files(stack, enrollments)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("recomputing"))
        made = write_answer(
            source,
            out,
            signer,
            enrolled,
            sources,
            plan=plan,
            record=remembered,
            work=cores(jobs),
            progress=progress,
        )
        entry("answered", plan=made.plan.digest, files=[(aggregate, made.aggregate), (target, made.digest)])
    summary = {"file": target, "party": signer.card.name, "plan": made.plan.digest.hex()}
    text = f"{label(target)}: the answer of {signer.card.name}, {made.needed} are needed"
    console.summary(summary, text, to_stdout=target != "-")
