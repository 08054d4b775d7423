"""hecli encrypt."""

import time
from contextlib import ExitStack

import click

from hecli.cli import options
from hecli.cli.console import Console, count, count_bytes
from hecli.cli.encode import say_clipped, update_facts
from hecli.cli.options import FilesCommand
from hecli.plan.data import Plan
from hecli.rounds.encrypt import encrypt as encrypt_update
from hecli.storage.local import (
    STANDARD,
    check_output,
    default_output,
    label,
    open_input,
    open_output,
    size_of,
)
from hecli.storage.uses import remember

DANGER = (
    "two updates under the same masks show how they differ: make a new plan, "
    "or pass --again if the first never left this machine"
)


@click.command(cls=FilesCommand)
@click.argument("input")
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
    strict: bool,
    jobs: int | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Encrypt an update.

    INPUT is a tensor file (.npy, .npz, .safetensors), an encoded file, or -.
    Without a plan, values within ±128 are kept to 24 binary places, for up to
    256 parties.

    \b
      hecli encrypt grads.npz
      hecli encrypt grads.npz --plan round.plan --party hospital-2
      hecli encrypt grads.npz --plan round.plan --identity hospital-2.id
      hecli encrypt grads.npz --plan round.plan --weight 1200
      cat grads.npy | hecli encrypt - > grads.enc
    """
    target = output or default_output(input, ".enc")
    check_output(target, force=force)
    public = options.load_public_key(key) if plan is None or plan.has_key or key else None
    signer = options.load_identity(identity, console)
    record = options.recorder(ledger, signer)
    masked = None
    if plan is not None and plan.masks and identity is not None:
        masked = remember(identity, "masked", DANGER, again=again)
    start = time.perf_counter()
    with ExitStack() as stack:
        enrolled = options.open_updates(stack, enrollments)
        source = stack.enter_context(open_input(input))
        out = stack.enter_context(open_output(target, force=force))
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
            strict=strict,
            jobs=jobs,
            progress=progress,
        )
        made = result.update.plan
        record("update", plan=made.digest, files=[(target, result.digest)])
    seconds = time.perf_counter() - start
    update = result.update
    say_clipped(update, console)
    facts = {"file": target, "party": result.party, "seconds": round(seconds, 3)} | update_facts(update)
    text = (
        f"{label(target)}: {count(made.values, 'value')} in {count(made.ciphertexts, 'ciphertext')}, "
        f"{count_bytes(size_of(target, made.ciphertext_bytes))}, {seconds:.1f} s"
    )
    console.summary(facts, text, to_stdout=target != STANDARD)
