"""hecli aggregate."""

import time
from contextlib import ExitStack

import click

from hecli.cli import cluster, options
from hecli.cli.console import Console
from hecli.cli.files import (
    STANDARD,
    check_output,
    label,
    open_input,
    open_output,
    size_of,
)
from hecli.executors.cores import cores
from hecli.formats.contributors import Contributor
from hecli.formats.reader import open_reader
from hecli.formats.text import count, count_bytes, duration
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.aggregate import aggregate as aggregate_files
from hecli.rounds.describe import describe_contributors
from hecli.rounds.headers import open_blocks
from hecli.rounds.signing import check_identity
from hecli.rounds.slices import describe_range, extent_of


@click.command()
@click.argument("files", cls=options.Files, required=True, metavar="FILES...")
@options.plan
@options.identity
@options.ledger
@options.part
@cluster.dask
@options.jobs
@options.output("round.agg")
@options.talkative
def aggregate(
    files: tuple[str, ...],
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    part: tuple[int, int] | None,
    dask: str | None,
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
    if dask is not None:
        options.refuse(("part", "jobs"), "is for this machine: --dask shares the work out")
    options.refuse_recording(part)
    target = output or options.sliced(STANDARD if STANDARD in files else "round.agg", part)
    check_output(target, force=force)
    signer = options.load_identity(identity, console)
    entry = options.recorder(None if part else ledger, signer, identity)
    start = time.perf_counter()
    with ExitStack() as stack:
        if dask is not None:
            made, contributors, digest = _on_workers(dask, files, plan, signer, target, force, console, stack)
        else:
            sources = options.open_files(stack, files)
            out = stack.enter_context(open_output(target, force=force))
            progress = stack.enter_context(console.progress("aggregating"))
            work = cores(jobs)
            result = aggregate_files(
                sources, out, plan=plan, identity=signer, part=part, work=work, progress=progress
            )
            made, contributors, digest = result.plan, result.contributors, result.digest
        entry("aggregate", plan=made.digest, files=[(target, digest)])
    seconds = time.perf_counter() - start
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


def _on_workers(
    address: str,
    files: tuple[str, ...],
    plan: Plan | None,
    signer: Identity | None,
    target: str,
    force: bool,
    console: Console,
    stack: ExitStack,
) -> tuple[Plan, tuple[Contributor, ...], bytes]:
    """Have workers make slices, and join them: the plan, who is in it, and its digest."""
    from hecli.rounds.join import join  # noqa: PLC0415 - it needs numpy

    with open_input(files[0]) as first:
        followed = open_blocks(open_reader(first), plan).plan
    check_identity(followed, signer, "aggregate")
    done = stack.enter_context(
        cluster.in_parts(address, "aggregate", followed, len(files), console, target=target, files=files)
    )
    out = stack.enter_context(open_output(target, force=force))
    slices = options.open_files(stack, tuple(done.slices))
    found = join(slices, out, plan=followed, identity=signer, known=done.digests)
    return followed, found.contributors, found.digest
