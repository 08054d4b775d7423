"""hecli combine."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, default_output, open_input, open_output
from hecli.cli.opening import check_answers, say_opened
from hecli.cli.options import FilesCommand
from hecli.executors.cores import cores
from hecli.plan.data import Plan
from hecli.rounds.combine import combine as combine_partials
from hecli.rounds.decrypt import plan_in


@click.command(cls=FilesCommand)
@click.argument("aggregate", type=options.FILE)
@click.argument("partials", cls=options.Files, required=True, metavar="PARTIALS...")
@options.key(".pub")
@options.enrollments
@options.answers
@options.plan
@options.identity
@options.ledger
@options.jobs
@options.output("AGGREGATE.sum")
@options.talkative
def combine(
    aggregate: str,
    partials: tuple[str, ...],
    key: str | None,
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Open an aggregate with partials of enough shares.

    Anybody can: it takes the public key that was dealt and no secret. Every
    proof is checked, and partials that do not hold are named and left out.

    \b
      hecli combine round.agg *.part
      hecli combine round.agg *.part --key hecli.pub -o round.sum
      hecli combine round.agg *.part --enroll *.enroll --answers *.ans
    """
    options.check_standard(aggregate, *partials, *enrollments, *answers)
    target = output or default_output(aggregate, ".sum")
    check_output(target, force=force)
    if identity is not None:
        options.believed(plan, console)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    start = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(aggregate))
        followed = plan_in(source)
        check_answers(followed)
        public = options.load_public_key(key, followed.scheme)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("combining"))
        made = combine_partials(
            source,
            options.open_files(stack, partials),
            out,
            public,
            plan=plan,
            identity=signer,
            enrollments=options.open_files(stack, enrollments),
            answers=options.open_files(stack, answers),
            work=cores(jobs),
            progress=progress,
        )
        files = [(aggregate, made.total.aggregate), (target, made.digest)]
        entry("opened", plan=made.total.plan.digest, files=files)
    say_opened(made, target, time.perf_counter() - start, console)
