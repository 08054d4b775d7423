"""hecli encode."""

import click

from hecli.cli import options
from hecli.cli.console import Console, count
from hecli.plan.data import Plan
from hecli.rounds.encode import Update, open_update, write_encoded
from hecli.rounds.streams import check_key
from hecli.storage.local import STANDARD, check_output, default_output, label, open_input, open_output


@click.command()
@click.argument("tensors")
@options.plan
@options.key(".pub")
@options.weight
@options.strict
@options.output("TENSORS.int")
@options.talkative
def encode(
    tensors: str,
    plan: Plan | None,
    key: str | None,
    weight: int | None,
    strict: bool,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Turn tensors into integer lanes, in the clear.

    To look at what encrypt would encrypt. The output holds the update itself:
    it is for nobody else, and is written 0600.

    \b
      hecli encode grads.npz
      hecli encode grads.npz --plan round.plan --strict -o grads.int
    """
    target = output or default_output(tensors, ".int")
    check_output(target, force=force)
    if plan is None or key is not None:
        public = options.load_public_key(key)
        if plan is not None:
            check_key(plan, public, "the plan")
        n = public.n
    else:
        n = plan.n
    with open_input(tensors) as source, open_output(target, force=force, secret=True) as out:
        update = open_update(source, plan, n, weight, strict=strict)
        write_encoded(update, out)
    say_clipped(update, console)
    facts = {"file": target} | update_facts(update)
    text = (
        f"{label(target)}: {count(update.plan.values, 'value')} of {update.plan.bits} bits, "
        f"{update.clipped:,} clipped, in the clear"
    )
    console.summary(facts, text, to_stdout=target != STANDARD)


def update_facts(update: Update) -> dict[str, object]:
    """What encode and encrypt report of an update."""
    plan = update.plan
    return {
        "values": plan.values,
        "ciphertexts": plan.ciphertexts,
        "plan": plan.digest.hex(),
        "weight": update.weight,
        "clipped": update.clipped,
        "clipped_in": update.clipped_in,
    }


def say_clipped(update: Update, console: Console) -> None:
    """A warning where values were clipped: how many, and in which tensors."""
    if update.clipped:
        worst = sorted(update.clipped_in.items(), key=lambda item: -item[1])
        where = ", ".join(f"{name} {number:,}" for name, number in worst[:3])
        more = f" and {count(len(worst) - 3, 'more tensor')}" if len(worst) > 3 else ""
        share = 100 * update.clipped / update.plan.values
        console.warn(
            f"{count(update.clipped, 'value')} out of range clipped ({share:.2g}%)"
            + (f": {where}{more}" if where else "")
        )
