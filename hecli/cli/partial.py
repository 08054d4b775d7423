"""hecli partial."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, check_output, default_output, keep_apart, label, open_input, open_output
from hecli.cli.opening import Chosen, evidence
from hecli.cli.options import FilesCommand
from hecli.errors import RefusedError
from hecli.executors.cores import cores
from hecli.formats.reader import open_reader
from hecli.formats.text import duration
from hecli.identity.signatures import Identity
from hecli.plan.data import Plan
from hecli.rounds.decrypt import plan_in
from hecli.rounds.describe import describe_contributors
from hecli.rounds.partial import partial as make_partial
from hecli.schemes.interface import Sharing
from hecli.schemes.round import Share
from hecli.storage.paths import named
from hecli.storage.use_record import remember


@click.command(cls=FilesCommand)
@click.argument("aggregate", type=options.FILE)
@click.option("--share", type=options.LOCAL_FILE, metavar="FILE", required=True, help="Your .share file.")
@evidence
@click.option(
    "--again", is_flag=True, help="For a second aggregate of a plan: what two differ by can be one party's."
)
@options.plan
@options.identity
@options.ledger
@options.part
@options.jobs
@options.output("AGGREGATE-N.part")
@options.talkative
def partial(
    aggregate: str,
    share: str,
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
    """Make what one share of a key contributes to opening an aggregate.

    What the aggregate holds shows only to enough shares together. Refuses what
    hecli decrypt refuses; what a share was used for is on record in
    SHARE.opened.

    \b
      hecli partial round.agg --share hecli-2.share
      hecli partial round.agg --share hecli-2.share --plan round.plan
    """
    options.check_standard(aggregate, share, *chosen.updates, *chosen.attestations)
    if identity is not None:
        options.believed(plan, console)
    signer = options.load_identity(identity, console)
    options.refuse_recording(part)
    entry = options.recorder(None if part else ledger, signer, identity)
    remembered = remember(share, "opened", again=again)
    start = time.perf_counter()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(aggregate))
        held = _load_share(share, plan_in(source).scheme.sharing, aggregate, signer)
        options.warn_of_readers(share, console)
        found = chosen.open(stack, aggregate, source, console, verified_only=held.verified_only)
        target = output or options.sliced(default_output(aggregate, f"-{held.index}.part"), part)
        check_output(target, force=force)
        keep_apart(target, share, f"{share}.opened")
        out = stack.enter_context(open_output(target, force=force))
        progress = stack.enter_context(console.progress("making a partial"))
        made = make_partial(
            source,
            out,
            held,
            plan=plan,
            **found._asdict(),
            identity=signer,
            record=remembered,
            part=part,
            work=cores(jobs),
            progress=progress,
        )
        files = [(aggregate, made.partial.aggregate), (target, made.digest)]
        entry("partial", plan=made.partial.plan.digest, files=files)
    seconds = time.perf_counter() - start
    chosen.say(console)
    summary = {
        "file": target,
        "share": held.index,
        "contributors": describe_contributors(made.partial.contributors),
        "seconds": round(seconds, 3),
    }
    sharing = made.partial.plan.scheme.sharing
    opens = f", {sharing.threshold} of {sharing.shares} open" if sharing else ""
    what = "the partial" if part is None else "a slice of the partial"
    text = f"{label(target)}: {what} of share {held.index}{opens}, {duration(seconds)}"
    console.summary(summary, text, to_stdout=target != STANDARD)


def _load_share(path: str, sharing: Sharing | None, aggregate: str, signer: Identity | None) -> Share:
    if sharing is None:
        raise RefusedError(f"{named(aggregate)}: its key is not in shares", "open it with hecli decrypt")
    with open_input(path) as stream:
        return sharing.read_share(open_reader(stream), lambda: options.ask_passphrase(path), signer)
