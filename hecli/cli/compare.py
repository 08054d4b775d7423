"""hecli compare."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import numpy as np

from hecli import __version__
from hecli.arithmetic.choosing import kernels
from hecli.cli import options
from hecli.cli.compare_text import show
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, check_output, open_input, open_output
from hecli.cli.noise import DELTA, MOST_EPSILON
from hecli.cli.options import Files
from hecli.cli.types import Percents
from hecli.codec.values import checked_values
from hecli.compare.command import Command
from hecli.compare.comparing import compare_data, compare_updates
from hecli.compare.data import Split, read_data, read_rows
from hecli.compare.kept import Kept
from hecli.compare.networks import Model, Network
from hecli.compare.pieces import Told
from hecli.compare.report import report
from hecli.compare.techniques import chosen
from hecli.compare.tensors import Tensors, part_of, share_of
from hecli.compare.trial import Asked, Learned
from hecli.executors.cores import default_jobs
from hecli.formats.digests import file_digest
from hecli.formats.tensors.arrays import to_arrays
from hecli.formats.tensors.files import open_tensors
from hecli.formats.text import count
from hecli.measuring.processes import machine
from hecli.pages.charts import check_charts
from hecli.storage.local import LOCAL, cannot
from hecli.storage.paths import same_place
from hecli.training.commands import words_of

if TYPE_CHECKING:
    from hecli.compare.learning import Learner

ROUNDS, SEEDS, EPSILON = 20, 3, 8.0

MOST_PARTIES = 64
"""Each technique is run with all its parties, on this one machine."""

NETWORKS: dict[str, tuple[int, ...]] = {"logistic": (), "mlp": (128,)}
"""What --model names: how wide the hidden layers are."""

WITH_DATA = ("rounds", "seeds", "split", "model", "train", "public", "reach")
"""Options of trainings."""


@click.command()
@click.argument("grads", cls=Files, required=False)
@click.option("--parties", type=click.IntRange(2, MOST_PARTIES), metavar="N", required=True, help="How many.")
@click.option(
    "--techniques",
    metavar="LIST",
    help="Which, with commas between their names, see below. [default: all]",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0, MOST_EPSILON, min_open=True),
    default=EPSILON,
    metavar="E",
    help=f"What the noise of all rounds together promises. [default: {EPSILON:g}]",
)
@click.option(
    "--data", type=options.FILE, metavar="FILE", help="Train, on X and y (and X_test, y_test) of this .npz."
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=ROUNDS,
    metavar="R",
    help=f"Rounds of a training. [default: {ROUNDS}]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=SEEDS,
    metavar="S",
    help=f"Trainings of each technique, each with other splits. [default: {SEEDS}]",
)
@click.option(
    "--split",
    default="dirichlet:0.5",
    metavar="HOW",
    help="iid, dirichlet:A or labels:K (classes a party). [default: dirichlet:0.5]",
)
@click.option(
    "--model",
    default="mlp",
    metavar="MODEL",
    help="logistic, or mlp; with --train the file of the first model. [default: mlp]",
)
@click.option("--train", metavar="COMMAND", help="Train with your own command, as hecli run does.")
@click.option(
    "--public", type=options.FILE, metavar="FILE", help="Public examples, X of this .npz, for distillation."
)
@click.option(
    "--reach",
    type=Percents(),
    default=(),
    metavar="LIST",
    help="Accuracies to reach, such as 80,90. [default: 5 and 1 points below plain averaging]",
)
@click.option("--html", type=options.FILE, metavar="FILE", help="Write a page with charts.")
@click.option(
    "--keep",
    type=options.LOCAL_FILE,
    metavar="DIR",
    help="Where to keep what is measured, and go on from. [default: hecli.compare]",
)
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@options.talkative
def compare(
    grads: tuple[str, ...],
    parties: int,
    techniques: str | None,
    epsilon: float,
    data: str | None,
    rounds: int,
    seeds: int,
    split: str,
    model: str,
    train: str | None,
    public: str | None,
    reach: tuple[float, ...],
    html: str | None,
    keep: str | None,
    force: bool,
    console: Console,
) -> None:
    """Compare the techniques on your own tensors or data.

    Each row is a round of the real commands on the updates in GRADS, under
    keys of 3072 bits. With one party's file, others like it are made up. With
    --data each technique trains a model too, through hecli's own rounds. What
    was measured is kept: the same command goes on where it was stopped.

    Techniques: plain, unsigned, paillier, shares, masks, dropouts, bits, rank,
    sample, dp, clear, shares-masks, rank-masks, dp-masks, dp-rank, distil.

    \b
      hecli compare grads.npz --parties 5
      hecli compare party-*.npz --parties 4 --techniques masks,paillier
      hecli compare --data data.npz --parties 8 --rounds 20 --html report.html
    """
    if (data is None) == (not grads):
        raise click.UsageError("give either GRADS, one file or more, or --data")
    if not epsilon > 0:
        raise click.UsageError(f"an epsilon of {epsilon:g} promises nothing")
    if html is not None:
        _check_page(html, (*grads, data, public, model if train else None), force=force)
    picked = chosen(techniques)
    asked = Asked(parties, picked, epsilon, DELTA, rounds if data is not None else 1)
    folder = keep or "hecli.compare"
    if data is None:
        options.refuse(WITH_DATA, "is for trainings: pass --data too")
        updates, values, digests = _updates(grads, parties)
        kept = _kept(folder, {"grads": digests, "parties": parties, "epsilon": epsilon})
        found = _compared(lambda told: compare_updates(asked, updates, values, kept, told), folder, console)
    else:
        learned = _learned(data, split, seeds, model, train, public, reach)
        things = {"parties": parties, "epsilon": epsilon, "rounds": rounds, "split": str(learned.split)}
        files = [path for path in (data, public, model if train else None) if path is not None]
        layers = learned.learner.layers if isinstance(learned.learner, Network) else ()
        things |= {"files": [_digest(path) for path in files], "layers": layers, "train": train}
        # The program that trains, and all else that the command names.
        words = words_of(train) if train is not None else []
        things["programs"] = [_digest(word) for word in words if Path(word).is_file()]
        kept = _kept(folder, things)
        found = _compared(lambda told: compare_data(asked, learned, kept, told), folder, console)
    if console.json:
        console.summary(found, "")
    else:
        show(found)
    if kept.found:
        console.note(f"{count(kept.found, 'piece')} of it {'was' if kept.found == 1 else 'were'} in {folder}")
    if html is not None:
        with open_output(html, force=force) as out:
            out.write(report(found).encode())
        console.note(f"{html}: the same as a page")


def _check_page(html: str, inputs: Iterable[str | None], *, force: bool) -> None:
    """Refuse a page that cannot be written, before anything is measured."""
    if html == STANDARD:
        raise click.UsageError("--html takes the name of a file: the table goes to standard output")
    if any(path is not None and path != STANDARD and same_place(html, path) for path in inputs):
        raise click.UsageError(f"--html {html} would replace what is compared")
    check_output(html, force=force, hint="name another file, or pass --force to replace it")
    check_charts()


def _compared(compare: Callable[[Told], dict[str, Any]], folder: str, console: Console) -> dict[str, Any]:
    """Compare, and where that is stopped say that it goes on."""
    try:
        with console.live() as told:
            return compare(told)
    except KeyboardInterrupt:
        console.note(f"what was measured is kept in {folder}: the same command goes on from there")
        raise


def _kept(folder: str, asked: dict[str, Any]) -> Kept:
    """Where pieces are kept, of the same question on the same machine by the same version."""
    try:
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise cannot("write", folder, error) from error
    here = {"version": __version__, "machine": machine(), "cores": default_jobs(), "by": kernels().name}
    return Kept(LOCAL, folder, asked | here)


def _updates(paths: tuple[str, ...], parties: int) -> tuple[list[Tensors], int, list[str]]:
    """As much of files as is worked on, how many values the last has, and what stands for each file."""
    updates: list[Tensors] = []
    digests = []
    for path in paths:
        with open_input(path) as stream:
            whole = _arrays(stream, path)
            values = sum(each.size for each in whole.values())
            updates.append(part_of(whole, share_of(values, parties)))
            stream.seek(0)
            digests.append(file_digest(stream).hex())
    return updates, values, digests


def _arrays(stream: BinaryIO, path: str) -> Model:
    """The tensors of a file, every value of them a finite number."""
    file = open_tensors(stream, path)
    checked = replace(file, read=partial(checked_values, file))
    # Narrower ones would be rounded again where others like them are made up.
    return {
        name: each.astype(np.float64 if each.dtype == np.float64 else np.float32)
        for name, each in to_arrays(checked).items()
    }


def _digest(path: str) -> str:
    with open_input(path) as stream:
        return file_digest(stream).hex()


def _learned(
    path: str,
    split: str,
    seeds: int,
    model: str,
    train: str | None,
    public: str | None,
    reach: tuple[float, ...],
) -> Learned:
    """What is trained."""
    with open_input(path) as stream:
        data = read_data(stream, path)
    features = data.records.rows.shape[1]
    examples = None
    if public is not None:
        with open_input(public) as stream:
            examples = read_rows(stream, public, features)
    learner: Learner
    if train is None:
        if model not in NETWORKS:
            raise click.UsageError(f"--model is {' or '.join(NETWORKS)}, or a file with --train")
        learner = Network(features, NETWORKS[model], data.classes)
    else:
        if model in NETWORKS:
            raise click.UsageError("--train needs --model, the file of the first model")
        with open_input(model) as stream:
            learner = Command(words_of(train), _arrays(stream, model))
    return Learned(data, Split.parse(split), seeds, learner, examples, reach)
