"""hecli apply."""

from contextlib import ExitStack
from pathlib import Path

import click

from hecli.cli import compression, options
from hecli.cli.clipping import say_clipped_in_sum
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, beside, check_output, keep_apart, label, open_input, open_output
from hecli.errors import HecliError
from hecli.formats.digests import file_digest
from hecli.formats.tensors.files import SUFFIXES
from hecli.formats.text import count
from hecli.plan.data import Plan
from hecli.rounds.apply import RULES, plan_in
from hecli.rounds.apply import apply as apply_sum
from hecli.storage.paths import file_name


@click.command()
@click.argument("sum", type=options.FILE, metavar="SUM")
@click.argument("model", type=options.FILE, required=False)
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    default="sgd",
    help="Subtract lr times the mean, add it, or take the mean. [default: sgd]",
)
@click.option("--lr", type=float, metavar="X", help="Learning rate. [default: 1]")
@options.plan
@compression.basis
@click.option(
    "--residual",
    type=options.LOCAL_FILE,
    metavar="FILE",
    help="Let go of what got through, in the file that hecli encrypt --residual kept.",
)
@options.identity
@options.ledger
@options.output("MODEL.next.*, or SUM.mean.npz")
@options.talkative
def apply(
    sum: str,
    model: str | None,
    rule: str,
    lr: float | None,
    plan: Plan | None,
    basis: str | None,
    residual: str | None,
    identity: str | None,
    ledger: str | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Move a model by the mean of a sum.

    Without MODEL, writes the mean itself. The output has the model's dtypes
    (integers are rounded), and its format unless the suffix of -o (.npy, .npz,
    .safetensors, .pt, .tensors) says otherwise.

    \b
      hecli apply round.sum model.npz --lr 0.1
      hecli apply round.sum model.safetensors --rule add -o next.safetensors
      hecli apply round.sum model.npz --residual my.residual
      hecli apply round.sum -o mean.npz
    """
    if lr is not None and rule == "replace":
        raise click.UsageError("--lr is for --rule sgd and add: replace takes the mean as it is")
    if model is None and (rule != "sgd" or lr is not None):
        raise click.UsageError("--rule and --lr need a MODEL; without one the mean is written")
    if ledger is None:
        options.refuse("identity", "signs the entry in a ledger: pass --ledger too")
    options.check_standard(sum, *([model] if model else []))
    target = output or _default(sum, model)
    check_output(target, force=force)
    if residual is not None:
        keep_apart(target, residual)
    # What is named here has the model's suffix and format.
    kind = _format(target if model is None else output)
    signer = options.load_identity(identity, console) if ledger else None
    entry = options.recorder(ledger, signer, identity)
    with ExitStack() as stack:
        total = stack.enter_context(open_input(sum))
        agreed = plan or plan_in(total)
        bases = compression.load_basis(basis, agreed, compression.plan_path() or sum)
        base = stack.enter_context(open_input(model)) if model is not None else None
        out = stack.enter_context(open_output(target, force=force))
        result = apply_sum(
            total,
            out,
            base,
            plan=plan,
            basis=bases,
            rule=rule,
            lr=1.0 if lr is None else lr,
            format=kind,
        )
        compression.settled(residual, result.total, console, stack)
        files = [(sum, result.sum_digest), (target, result.digest)]
        if ledger and model and base:
            base.seek(0)
            files.insert(1, (model, file_digest(base)))
        entry("applied", plan=result.total.plan.digest, files=files)
    say_clipped_in_sum(result.total, console)
    contributors = len(result.total.contributors)
    summary = {
        "file": target,
        "format": result.format,
        "contributors": contributors,
        "weight": result.total.weight,
        "clipped": result.total.clipped,
        "largest_step": result.largest_step,
    }
    what = "largest value" if model is None else "largest step"
    text = (
        f"{label(target)}: the mean of {count(contributors, 'contributor')}, {what} {result.largest_step:.3g}"
    )
    console.summary(summary, text, to_stdout=target != STANDARD)


def _format(output: str | None) -> str | None:
    """The format that the suffix of an output says; None for no suffix, which leaves it to the model."""
    suffix = Path(file_name(output or "")).suffix
    if suffix and suffix not in SUFFIXES:
        raise HecliError(f"{output}: {suffix} is no tensor format hecli writes", f"use {', '.join(SUFFIXES)}")
    return SUFFIXES.get(suffix)


def _default(sum: str, model: str | None) -> str:
    if STANDARD in (sum, model):
        return STANDARD
    if model is not None:
        return beside(model, f"{{}}.next{Path(file_name(model)).suffix}")
    return beside(sum, "{}.mean.npz")
