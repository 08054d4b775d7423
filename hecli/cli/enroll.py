"""hecli enroll."""

from pathlib import Path

import click

from hecli.cli import options
from hecli.cli.console import Console
from hecli.cli.files import check_output, label, open_output
from hecli.plan.data import Plan
from hecli.rounds.enroll import enroll as write_enrollment


@click.command()
@options.plan
@options.identity
@options.ledger
@options.output("IDENTITY.enroll")
@options.talkative
def enroll(
    plan: Plan | None,
    identity: str | None,
    ledger: str | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Enroll in a round with masks.

    Before the round: draws what you mask with, and seals to every party's card
    what it is to have of that, so that no quantum computer reads it later. With
    --dropouts those are shares, too: enough others can take your masks off the
    sum if you drop out. Everyone gets the file.

    \b
      hecli enroll --plan round.plan --identity bob.id
    """
    if plan is None or identity is None:
        raise click.UsageError("enrolling needs --plan and --identity")
    target = output or f"{Path(identity).stem}.enroll"
    check_output(target, force=force)
    signer = options.require_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    with open_output(target, force=force) as out:
        made = write_enrollment(out, plan, signer)
        entry("enrolled", plan=plan.digest, files=[(target, made.digest)])
    summary = {"file": target, "party": signer.card.name, "plan": plan.digest.hex()}
    lines = dict(plan.masking.lines(plan.capacity)) if plan.masking else {}
    text = f"{label(target)}: {signer.card.name} enrolled; {lines['masks']}"
    console.summary(summary, text, to_stdout=target != "-")
