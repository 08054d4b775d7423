"""hecli encrypt."""

import time
from contextlib import ExitStack

import click

from hecli.cli import compression, noise, options
from hecli.cli.clipping import say_clipped
from hecli.cli.console import Console
from hecli.cli.encode import describe_update, open_update
from hecli.cli.files import STANDARD, check_output, default_output, keep_apart, label, open_output, size_of
from hecli.cli.options import FilesCommand
from hecli.cli.parts import say_published
from hecli.errors import RefusedError
from hecli.executors.cores import cores
from hecli.formats.text import count, count_bytes, duration
from hecli.plan.data import Plan
from hecli.rounds.encrypt import encrypt as encrypt_update
from hecli.rounds.update import plan_in
from hecli.schemes.interface import ENROLLMENTS, KEY
from hecli.storage.store import Record
from hecli.storage.use_record import remember


@click.command(cls=FilesCommand)
@click.argument("input", type=options.FILE)
@options.plan
@options.key(".pub")
@click.option("--party", metavar="NAME", help="Who this is from; each name counts once in an aggregate.")
@options.identity
@click.option(
    "--again", is_flag=True, help="Mask a second update of a plan; the first must have gone nowhere."
)
@options.enrollments
@options.ledger
@options.weight
@compression.basis
@click.option(
    "--residual",
    type=options.LOCAL_FILE,
    metavar="FILE",
    help="Add what did not get through before, and keep here what does not now; made where it is not there.",
)
@click.option(
    "--budget", type=float, metavar="E", help="Send nothing that brings epsilon above this; for noise."
)
@options.strict
@options.jobs
@options.output("INPUT.enc")
@options.talkative
def encrypt(
    input: str,
    plan: Plan | None,
    key: str | None,
    party: str | None,
    identity: str | None,
    again: bool,
    enrollments: tuple[str, ...],
    ledger: str | None,
    weight: int | None,
    basis: str | None,
    residual: str | None,
    budget: float | None,
    strict: bool,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Encrypt an update.

    INPUT is a tensor file (.npy, .npz, .safetensors, .pt), an encoded file, or -.
    Without a plan, values within ±128 are kept to 24 binary places, for up to
    256 parties.

    \b
      hecli encrypt grads.npz
      hecli encrypt grads.npz --plan round.plan --party hospital-2
      hecli encrypt grads.npz --plan round.plan --identity hospital-2.id
      hecli encrypt grads.npz --plan round.plan --weight 1200
      hecli encrypt grads.npz --plan round.plan --residual my.residual
      hecli encrypt grads.npz --plan round.plan --identity a.id --budget 4
      cat grads.npy | hecli encrypt - > grads.enc
    """
    target = output or default_output(input, ".enc")
    check_output(target, force=force)
    if identity is not None:
        keep_apart(target, identity, f"{identity}.masked", noise.account_of(identity))
    if residual is not None:
        keep_apart(target, residual)
        if target == STANDARD:
            # It would have gone out before the residual knows of it.
            raise RefusedError(
                "an update that leaves a residual goes into a file",
                "name one with -o",
            )
    _check_usage(plan)
    if plan is not None and KEY not in plan.to_encrypt:
        # From the environment, where it was: it is for other rounds.
        key = None
    public = None
    if plan is None or KEY in plan.to_encrypt:
        public = options.load_public_key(key, None if plan is None else plan.scheme)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    masked = None if identity is None else _record(identity, again=again)
    bases = compression.load_basis(basis, plan, compression.plan_path())
    start = time.perf_counter()
    with ExitStack() as stack:
        enrolled = options.open_files(stack, enrollments)
        source = stack.enter_context(open_update(input, plan))
        followed = plan or plan_in(source)
        if followed is not None:
            say_published(followed, console)
        if budget is not None and (followed is None or followed.privacy is None):
            raise click.UsageError("--budget is for plans with noise, and this one has none")
        out = stack.enter_context(open_output(target, force=force))
        # Published before the update: of an update that is lost on the way, nothing is.
        feedback = compression.feedback(residual, stack)
        account = stack.enter_context(noise.telling(noise.counting(identity, signer, budget), console))
        progress = stack.enter_context(console.progress("encrypting"))
        result = encrypt_update(
            source,
            out,
            public,
            plan=plan,
            party=party,
            identity=signer,
            record=masked,
            enrollments=enrolled,
            weight=weight,
            basis=bases,
            feedback=feedback,
            account=account,
            strict=strict,
            work=cores(jobs),
            progress=progress,
        )
        made = result.update.plan
        entry("update", plan=made.digest, files=[(target, result.digest)])
    seconds = time.perf_counter() - start
    update, sizes = result.update, made.geometry
    say_clipped(update, console)
    noise.say_shrunk(update, console)
    spent = noise.say_spent(identity, signer, made, console)
    if result.repeats:
        console.warn(f"{residual} {result.repeats}")
    summary = {"file": target, "party": result.party, "seconds": round(seconds, 3)} | describe_update(update)
    if spent:
        summary["privacy"] = spent
    encrypted = "" if not sizes.others else f"{sizes.main.values:,} of "
    text = (
        f"{label(target)}: {encrypted}{count(sizes.values, 'value')} in {count(sizes.blocks, 'ciphertext')}, "
        f"{count_bytes(size_of(target, sizes.bytes))}, {duration(seconds)}"
    )
    console.summary(summary, text, to_stdout=target != STANDARD)


def _record(identity: str, *, again: bool) -> Record:
    """What remembers that masks were used, where they are: the plan may come with an encoded file."""

    def record(plan: bytes, file: bytes) -> None:
        remember(identity, "masked", again=again)(plan, file)

    return record


def _check_usage(plan: Plan | None) -> None:
    """Refuse options that do nothing in a round by this plan."""
    if plan is not None and KEY not in plan.to_encrypt:
        options.refuse("key", "is for plans under a key, and this plan has none")
    if plan is not None and ENROLLMENTS not in plan.to_encrypt:
        options.refuse("enrollments", "is for plans with masks")
