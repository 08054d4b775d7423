"""hecli decrypt."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import click

from hecli.cli import options
from hecli.cli.console import Console, count
from hecli.cli.options import FilesCommand, FilesOption
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.decrypt import Opened, needs_key
from hecli.rounds.decrypt import decrypt as decrypt_aggregate
from hecli.rounds.facts import contributor_facts
from hecli.rounds.partials import combine, make_partial
from hecli.schemes.paillier.shares import read_share, read_threshold_key
from hecli.storage.local import STANDARD, check_output, default_output, label, open_input, open_output
from hecli.storage.uses import remember

DANGER = (
    "the difference of two sums of one round shows what single parties sent: make a plan for each round, "
    "or pass --again if every party agrees"
)


@click.command(cls=FilesCommand)
@click.argument("aggregate")
@options.key(".key")
@click.option("--share", metavar="FILE", help="Make a partial with this share of the key.")
@click.option("--partial", "partials", cls=FilesOption, metavar="FILES...", help="Open with these partials.")
@options.enrollments
@click.option("--answers", cls=FilesOption, metavar="FILES...", help="The answers that take the masks off.")
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
    share: str | None,
    partials: tuple[str, ...],
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
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
    of a plan: what was opened is on record in KEY.opened. Where the key is in
    shares, each holder makes a partial with --share, and anyone opens the sum
    with enough of them.

    \b
      hecli decrypt round.agg
      hecli decrypt round.agg --key hospital.key -o round.sum
      hecli decrypt round.agg --from 'updates/*.enc' --plan round.plan --identity hospital.id
      hecli decrypt round.agg --share hecli-2.share -o hecli-2.part
      hecli decrypt round.agg --partial *.part
      hecli decrypt round.agg --enroll *.enroll --answers *.ans
    """
    if share is not None and partials:
        raise click.UsageError("--share makes a partial, --partial opens with them: one at a time")
    options.check_standard(aggregate, *updates, *partials, *enrollments, *answers)
    if plan is None and identity is not None:
        console.warn("whatever plan the aggregate carries is believed: pass --plan, the one you agreed on")
    signer = options.load_identity(identity, console)
    record = options.recorder(ledger, signer)
    with ExitStack() as stack:
        job = Job(
            aggregate,
            options.open_updates(stack, updates) if updates else None,
            {
                "enrollments": options.open_updates(stack, enrollments),
                "answers": options.open_updates(stack, answers),
            },
            plan,
            signer,
            record,
            jobs,
            console,
            output,
            force,
        )
        if share is not None:
            _partial(job, share, stack, again=again)
        elif partials:
            _combine(job, key, options.open_updates(stack, partials), stack)
        else:
            _open(job, key, stack, again=again)


@dataclass(frozen=True)
class Job:
    """What there is to do, with whatever key: the aggregate, its checks, and where to write."""

    aggregate: str
    sources: list[BinaryIO] | None
    unmasking: dict[str, Any]
    plan: Plan | None
    identity: Identity | None
    record: Callable[..., None]
    jobs: int | None
    console: Console
    output: str | None
    force: bool

    def output_and_checks(self, stack: ExitStack, target: str, what: str) -> tuple[BinaryIO, dict[str, Any]]:
        """Where to write, and what all three ways of opening are told besides."""
        out = stack.enter_context(open_output(target, force=self.force))
        progress = stack.enter_context(self.console.progress(what))
        about = {"plan": self.plan, "sources": self.sources, "identity": self.identity}
        return out, about | {"jobs": self.jobs, "progress": progress}


def _open(job: Job, key: str | None, stack: ExitStack, *, again: bool) -> None:
    target = job.output or default_output(job.aggregate, ".sum")
    check_output(target, force=job.force)
    source = stack.enter_context(open_input(job.aggregate))
    private = remembered = None
    if key is not None or needs_key(source):
        key = options.key_path(key, ".key")
        remembered = remember(key, "opened", DANGER, again=again)
        private = options.load_private_key(key, job.console)
    start = time.perf_counter()
    out, about = job.output_and_checks(stack, target, "decrypting")
    opened = decrypt_aggregate(source, out, private, record=remembered, **job.unmasking, **about)
    _finish(job, opened, target, start, stack)


def _partial(job: Job, path: str, stack: ExitStack, *, again: bool) -> None:
    remembered = remember(path, "opened", DANGER, again=again)
    with open_input(path) as stream:
        share = read_share(stream, lambda: options.ask_passphrase(path), job.identity)
    options.warn_of_readers(path, job.console)
    target = job.output or default_output(job.aggregate, f"-{share.index}.part")
    check_output(target, force=job.force)
    start = time.perf_counter()
    source = stack.enter_context(open_input(job.aggregate))
    out, about = job.output_and_checks(stack, target, "making a partial")
    made = make_partial(source, out, share, record=remembered, **about)
    files = [(job.aggregate, made.aggregate), (target, made.digest)]
    job.record("partial", plan=made.plan.digest, files=files)
    stack.close()
    seconds = time.perf_counter() - start
    facts = {
        "file": target,
        "share": share.index,
        "contributors": contributor_facts(made.contributors),
        "seconds": round(seconds, 3),
    }
    text = (
        f"{label(target)}: the partial of share {share.index}, {share.key.threshold} of "
        f"{share.key.shares} open, {seconds:.1f} s"
    )
    job.console.summary(facts, text, to_stdout=target != STANDARD)


def _combine(job: Job, key: str | None, partials: list[BinaryIO], stack: ExitStack) -> None:
    target = job.output or default_output(job.aggregate, ".sum")
    check_output(target, force=job.force)
    with open_input(options.key_path(key, ".pub")) as stream:
        public = read_threshold_key(stream)
    start = time.perf_counter()
    source = stack.enter_context(open_input(job.aggregate))
    out, about = job.output_and_checks(stack, target, "combining")
    made = combine(source, partials, out, public, **job.unmasking, **about)
    for name in made.refused:
        job.console.warn(f"{name}: its proof does not hold, and it was left out")
    _finish(job, made.opened, target, start, stack)


def _finish(job: Job, opened: Opened, target: str, start: float, stack: ExitStack) -> None:
    """Record and publish the sum, and say what it is."""
    result = opened.total
    files = [(job.aggregate, result.aggregate), (target, opened.digest)]
    job.record("opened", plan=opened.plan.digest, files=files)
    stack.close()
    seconds = time.perf_counter() - start
    if result.clipped:
        job.console.warn(f"{count(result.clipped, 'value')} clipped by the parties together")
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
    job.console.summary(facts, text, to_stdout=target != STANDARD)
