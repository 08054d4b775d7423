"""hecli encode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from hecli.cli import compression, options
from hecli.cli.clipping import say_clipped
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, check_output, default_output, label, open_output, open_stream
from hecli.cli.noise import say_shrunk
from hecli.formats.tensors.files import START_SIZE, streams
from hecli.formats.text import count
from hecli.plan.data import Plan
from hecli.rounds.encode import encode as encode_tensors
from hecli.rounds.update import Update
from hecli.storage.spool import spooled


@click.command()
@click.argument("tensors", type=options.FILE)
@options.plan
@options.key(".pub")
@options.weight
@compression.basis
@options.strict
@options.output("TENSORS.int")
@options.talkative
def encode(
    tensors: str,
    plan: Plan | None,
    key: str | None,
    weight: int | None,
    basis: str | None,
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
    check_output(target, force=force, secret=True)
    public = None
    if plan is None or key is not None:
        public = options.load_public_key(key, plan.scheme if plan else None)
    bases = compression.load_basis(basis, plan, compression.plan_path())
    with open_update(tensors, plan) as source, open_output(target, force=force, secret=True) as out:
        update = encode_tensors(source, out, public, plan=plan, weight=weight, basis=bases, strict=strict)
    say_clipped(update, console)
    say_shrunk(update, console)
    summary = {"file": target} | describe_update(update)
    made = update.plan
    text = (
        f"{label(target)}: {count(made.geometry.values, 'value')} of {made.codec.quantise.bits} bits, "
        f"{update.clipped:,} clipped, in the clear"
    )
    console.summary(summary, text, to_stdout=target != STANDARD)


@contextmanager
def open_update(path: str, plan: Plan | None = None) -> Iterator[BinaryIO]:
    """Open tensors, or an encoded file.

    Args:
        path: What the command line names.
        plan: The plan, if one is given: where it has noise, the file is read more than once.

    Yields:
        A seekable stream; or, for a .npy file from a pipe, one that is read as it comes.

    Raises:
        HecliError: It cannot be read.
    """
    with open_stream(path) as stream:
        once = plan is None or plan.privacy is None
        if stream.seekable() or (once and streams(stream.peek(START_SIZE)[:START_SIZE])):
            yield stream
            return
        with spooled(stream) as kept:
            yield kept


def describe_update(update: Update) -> dict[str, object]:
    """Say what encode and encrypt report of an update, for scripts.

    Args:
        update: The update, read to its end.

    Returns:
        A map that JSON can hold.
    """
    plan = update.plan
    return {
        "values": plan.geometry.values,
        "ciphertexts": plan.geometry.blocks,
        "plan": plan.digest.hex(),
        "weight": update.weight,
        "clipped": update.clipped,
        "clipped_in": update.clipped_in,
    }
