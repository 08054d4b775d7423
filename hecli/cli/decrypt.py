"""hecli decrypt."""

import time
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple

import click

from hecli.cli import cluster, options
from hecli.cli.console import Console
from hecli.cli.files import check_output, default_output, keep_apart, open_input, open_output
from hecli.cli.opening import Chosen, check_answers, evidence, say_opened
from hecli.cli.options import FilesCommand
from hecli.executors.cores import cores
from hecli.plan.data import Plan
from hecli.remote import anywhere
from hecli.rounds.decrypt import decrypt as decrypt_aggregate
from hecli.rounds.decrypt import plan_in
from hecli.rounds.evidence import Evidence
from hecli.rounds.headers import Sum
from hecli.rounds.join import join
from hecli.rounds.opening import Opened, open_aggregate
from hecli.schemes.interface import KEY
from hecli.schemes.round import PrivateKey
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
@cluster.dask
@cluster.send_key
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
    dask: str | None,
    send_key: bool,
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
    if dask is None:
        options.refuse("send_key", "is for --dask")
    else:
        options.refuse("part", "is for this machine: --dask shares the work out")
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
        common: dict[str, Any] = {
            "plan": plan,
            "identity": signer,
            "record": remembered,
            "enrollments": options.open_files(stack, enrollments),
            "answers": options.open_files(stack, answers),
            "work": cores(jobs),
        }
        if dask is not None:
            chosen = chosen.named(aggregate, source, console)
        if dask is None or not chosen.updates:
            found = chosen.open(stack, aggregate, source, console, verified_only=strict)
        elif not send_key:
            # What takes no key is done there, and the sum is opened here.
            cluster.verify_there(dask, aggregate, source, chosen.updates, plan, console)
            found = Evidence(checked=True)
        if dask is not None and send_key:
            options.refuse("jobs", "is for this machine: --dask shares the work out")
            there = There(dask, aggregate, chosen, enrollments, answers, target, force)
            opened = _opened_there(there, source, private, common, console, stack)
        else:
            out = stack.enter_context(open_output(target, force=force))
            progress = stack.enter_context(console.progress("decrypting"))
            opened = decrypt_aggregate(
                source, out, private, **found._asdict(), part=part, progress=progress, **common
            )
        total = opened.total
        files = [(aggregate, total.aggregate), (target, opened.digest)]
        entry("opened", plan=total.plan.digest, files=files)
    chosen.say(console)
    say_opened(opened, target, time.perf_counter() - start, console, part)


class There(NamedTuple):
    """What is opened on the workers of a cluster.

    Args:
        address: Dask's scheduler.
        aggregate: The path of the aggregate.
        chosen: What shows what is in it.
        enrollments: The paths of enrollments.
        answers: Those of answers.
        target: Where the sum goes.
        force: Whether it may take the place of another file.
    """

    address: str
    aggregate: str
    chosen: Chosen
    enrollments: tuple[str, ...]
    answers: tuple[str, ...]
    target: str
    force: bool


def _opened_there(
    there: There,
    source: BinaryIO,
    key: PrivateKey | None,
    common: dict[str, Any],
    console: Console,
    stack: ExitStack,
) -> Opened:
    """Have workers open an aggregate with the key that they are sent, and join what they make."""
    opening = open_aggregate(source, "sum", common["plan"], common["identity"])
    plan, record = opening.plan, common["record"]
    if record is not None:
        # Before any of them begins.
        record(plan.subject, opening.used_on)
    chosen = there.chosen

    def paths(files: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(anywhere, files))

    given: dict[str, Any] = {
        "updates": paths(chosen.updates) or None,
        "attested": chosen.attested,
        "attestations": paths(chosen.attestations),
        "unverified": chosen.unverified,
        "enrollments": paths(there.enrollments),
        "answers": paths(there.answers),
    }
    done = stack.enter_context(
        cluster.in_parts(
            there.address,
            "decrypt",
            plan,
            len(opening.contributors),
            console,
            target=there.target,
            aggregate=there.aggregate,
            digest=opening.reader.digest,
            given=given,
            key=key,
        )
    )
    out = stack.enter_context(open_output(there.target, force=there.force))
    joined = join(
        options.open_files(stack, tuple(done.slices)),
        out,
        aggregate=source,
        key=key,
        known=done.digests,
        **common,
    )
    header = joined.product.header
    total = Sum(plan, opening.contributors, opening.reader.digest, header["weight"], header["clipped"])
    return Opened(total, joined.digest)
