"""hecli join."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, keep_apart, label, open_input, open_output, size_of
from hecli.cli.opening import check_answers
from hecli.cli.options import FilesCommand
from hecli.executors.cores import cores
from hecli.formats.reader import open_reader
from hecli.formats.text import count, count_bytes, duration
from hecli.plan.data import Plan
from hecli.rounds.describe import describe_contributors
from hecli.rounds.join import join as join_slices
from hecli.rounds.slices import Slice, open_slice
from hecli.storage.use_record import remember

NAMES = {"aggregate": "round.agg", "sum": "round.sum"}


@click.command(cls=FilesCommand)
@click.argument("slices", cls=options.Files, required=True, metavar="SLICES...")
@click.option(
    "--from",
    "aggregate",
    type=options.FILE,
    metavar="AGGREGATE",
    help="Of a sum: the aggregate that it was opened from, of which its proof is made.",
)
@options.key(".key")
@options.enrollments
@options.answers
@options.plan
@options.identity
@options.ledger
@options.jobs
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@click.option(
    "-o",
    "--output",
    type=options.FILE,
    metavar="FILE",
    help="Where to write. [default: round.agg, round.sum, round-1.part or anna.att, by what they are of]",
)
@options.talkative
def join(
    slices: tuple[str, ...],
    aggregate: str | None,
    key: str | None,
    enrollments: tuple[str, ...],
    answers: tuple[str, ...],
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    jobs: int | None,
    force: bool,
    output: str | None,
    console: Console,
) -> None:
    """Put slices, of commands with --part, together.

    The file is the one that a single machine would have made. Any machine may
    make any part, again too: slices that are there twice count once. Checks
    that they fit without a gap, not who is right: whoever has the updates
    makes a slice again with hecli verify SLICE --from UPDATES.

    \b
      hecli join 'round.agg-*.slice'
      hecli join 's3://lab/round.agg-*.slice' -o s3://lab/round.agg
      hecli join round.sum-*.slice --from round.agg --key hospital.key
    """
    options.check_standard(*slices, *enrollments, *answers)
    with open_input(slices[0]) as stream:
        first = open_slice(open_reader(stream), plan)
    kind, made_plan = first.product.kind, first.product.plan
    target = output or _name(first)
    check_output(target, force=force)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    start = time.perf_counter()
    with ExitStack() as stack:
        opened, private, record = None, None, None
        if kind == "sum" and made_plan.scheme.correctness is not None:
            check_answers(made_plan)
            path = options.key_path(key, ".key")
            keep_apart(target, path, f"{path}.opened")
            # Of what was opened nowhere before, nobody has checked what it is.
            record = remember(path, "opened", before=True)
            private = options.load_private_key(path, made_plan.scheme, console)
            if aggregate is None:
                raise click.UsageError("the proof of a sum is made of its aggregate: give it with --from")
            opened = stack.enter_context(open_input(aggregate))
        else:
            options.refuse(("aggregate", "key", "enrollments", "answers"), "is for sums that have a proof")
        sources = options.open_files(stack, slices)
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("joining"))
        joined = join_slices(
            sources,
            out,
            aggregate=opened,
            key=private,
            enrollments=options.open_files(stack, enrollments),
            answers=options.open_files(stack, answers),
            plan=plan,
            identity=signer,
            record=record,
            work=cores(jobs),
            progress=progress,
        )
        files = [(target, joined.digest)]
        if "aggregate" in joined.product.header:
            files.insert(0, (aggregate or NAMES["aggregate"], joined.product.header["aggregate"]))
        if kind in EVENTS:
            entry(EVENTS[kind], plan=made_plan.digest, files=files)
    seconds = time.perf_counter() - start
    summary = {
        "file": target,
        "kind": kind,
        "slices": joined.slices,
        "contributors": describe_contributors(joined.contributors),
        "plan": made_plan.digest.hex(),
        "seconds": round(seconds, 3),
    }
    size = count_bytes(size_of(target, 0))
    text = f"{label(target)}: {count(joined.slices, 'slice')} joined, {size}, {duration(seconds)}"
    console.summary(summary, text)


EVENTS = {"aggregate": "aggregate", "partial": "partial", "sum": "opened"}
"""What is recorded of each kind."""


def _name(first: Slice) -> str:
    """What the whole file is called without -o."""
    header = first.product.header
    match first.product.kind:
        case "partial":
            return f"round-{header['index']}.part"
        case "attestation":
            return f"{header['party']}.att"
        case kind:
            return NAMES[kind]
