"""hecli decrypt."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, default_output, keep_apart, open_input, open_output
from hecli.cli.opening import Chosen, check_answers, evidence, say_opened
from hecli.cli.options import FilesCommand
from hecli.executors.processes import processes
from hecli.plan.data import Plan
from hecli.rounds.decrypt import decrypt as decrypt_aggregate
from hecli.rounds.decrypt import plan_in
from hecli.schemes.interface import KEY
from hecli.storage.use_record import remember


@click.command(cls=FilesCommand)
@click.argument("aggregate", type=options.FILE)
@options.key(".key")
@options.enrollments
@options.answers
@evidence
@click.option(
    "--again", is_flag=True, help="Open a second aggregate of a plan: what two differ by can be one party's."
)
@options.plan
@options.identity
@options.ledger
@options.part
@options.jobs
@options.output("AGGREGATE.sum")
@options.talkative
def decrypt(
    aggregate: str,
    key: str | None,
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
    chosen: Chosen,
    again: bool,
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    part: tuple[int, int] | None,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Open an aggregate: the sum, and only the sum.

    Checks the parties' updates first, which it finds beside the aggregate as
    .enc files: that their makers know what is in them, and that the aggregate
    is their product. Refuses fewer contributors than the plan allows, what no
    sum of updates can be, and a second aggregate of a plan: what was opened is
    on record in KEY.opened. Where the key is in shares, use hecli partial and
    hecli combine instead.

    \b
      hecli decrypt round.agg
      hecli decrypt round.agg --key hospital.key -o round.sum
      hecli decrypt round.agg --from 'updates/*.enc' --plan round.plan \\
        --identity hospital.id
      hecli decrypt round.agg --enroll *.enroll --answers *.ans
    """
    options.check_standard(aggregate, *chosen.updates, *chosen.attestations, *enrollments, *answers)
    options.refuse_recording(part)
    target = output or options.sliced(default_output(aggregate, ".sum"), part)
    check_output(target, force=force)
    if identity is not None:
        options.believed(plan, console)
    signer = options.load_identity(identity, console)
    entry = options.recorder(None if part else ledger, signer, identity)
    start = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(aggregate))
        followed = plan_in(source)
        check_answers(followed)
        private = remembered = None
        if KEY in followed.to_open:
            path = options.key_path(key, ".key")
            keep_apart(target, path, f"{path}.opened")
            remembered = remember(path, "opened", again=again)
            private = options.load_private_key(path, followed.scheme, console)
        elif followed.scheme.sharing is None:
            options.refuse("key", "is for aggregates that a key opens")
        strict = private is not None and private.verified_only
        found = chosen.open(stack, aggregate, source, console, verified_only=strict)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("decrypting"))
        opened = decrypt_aggregate(
            source,
            out,
            private,
            plan=plan,
            **found._asdict(),
            identity=signer,
            record=remembered,
            enrollments=options.open_files(stack, enrollments),
            answers=options.open_files(stack, answers),
            part=part,
            work=processes(jobs),
            progress=progress,
        )
        total = opened.total
        files = [(aggregate, total.aggregate), (target, opened.digest)]
        entry("opened", plan=total.plan.digest, files=files)
    chosen.say(console)
    say_opened(opened, target, time.perf_counter() - start, console, part)
