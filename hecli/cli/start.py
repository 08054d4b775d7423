"""hecli start."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from hecli.cli import compression, noise, options, parts
from hecli.cli.console import Console
from hecli.cli.files import open_input, open_output, shared_folder
from hecli.cli.options import FilesCommand
from hecli.cli.plan_text import noise_lines
from hecli.cli.types import Duration, MetricType
from hecli.codec.quantise import MAX_BITS
from hecli.codec.sample import Sample
from hecli.errors import HecliError, RefusedError
from hecli.formats.reader import name_of, open_reader
from hecli.formats.tensors.files import open_tensors
from hecli.formats.text import count, count_bytes
from hecli.identity.cards import Card
from hecli.identity.files import write_card, write_identity
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.plan.making import rounding_of
from hecli.plan.parts import Masked
from hecli.plan.position import LAST_ROUND
from hecli.plan.settings import update_bytes
from hecli.privacy.choosing import Promise
from hecli.rounds.apply import RULES
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.key_files import read_public_key
from hecli.schemes.paillier.scheme import Paillier
from hecli.storage.paths import scheme_of
from hecli.training.deriving import later_plan
from hecli.training.describe import describe_training, training_lines
from hecli.training.starting import Started
from hecli.training.starting import start as begin
from hecli.training.terms import Goal, Metric


@click.command(cls=FilesCommand)
@click.argument("folder", type=options.FILE)
@click.option("--model", type=options.FILE, metavar="TENSORS", required=True, help="The first model.")
@click.option("--party", "party_cards", cls=options.FilesOption, metavar="CARDS...", help="Who trains.")
@click.option(
    "--aggregator",
    cls=options.FilesOption,
    metavar="CARDS...",
    help="Who closes rounds and aggregates. [default: you]",
)
@click.option(
    "--keyholder",
    cls=options.FilesOption,
    metavar="CARDS...",
    help="Who opens sums, or holds shares. [default: you]",
)
@click.option(
    "--key",
    type=options.LOCAL_FILE,
    metavar="FILE",
    help="The .pub file of the key. [default: none, masks alone]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, LAST_ROUND),
    default=10,
    metavar="N",
    help="At most so many. [default: 10]",
)
@click.option(
    "--bits", type=click.IntRange(2, MAX_BITS), default=16, metavar="B", help="Bits of a value. [default: 16]"
)
@click.option(
    "--range",
    "value_range",
    type=float,
    metavar="R",
    help="Largest size of a value in round 1. [default: 128, at 32 bits; later rounds follow from sums]",
)
@compression.options
@noise.options
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    default="add",
    help="What parties make: new weights, whose mean difference is added (add) or whose mean is taken "
    "(replace), or gradients (sgd). [default: add]",
)
@click.option(
    "--lr", type=float, default=1.0, metavar="X", help="What the mean is multiplied with. [default: 1]"
)
@click.option(
    "--max-weight", type=int, default=1, metavar="W", help="The largest weight, such as samples. [default: 1]"
)
@click.option(
    "--min-parties", type=click.IntRange(2), metavar="M", help="Fewest in a round. [default: more than half]"
)
@click.option(
    "--dropouts",
    type=int,
    metavar="K",
    help="With masks, how many may be missing. [default: 1 from 4 parties on]",
)
@click.option("--masks", is_flag=True, help="With a key, hide updates from its holder too.")
@options.post_quantum
@click.option(
    "--deadline",
    type=Duration(),
    default="1d",
    metavar="TIME",
    help="When a round goes on without the late. [default: 1d]",
)
@click.option(
    "--metric",
    "metrics",
    type=MetricType(),
    multiple=True,
    metavar="NAME=RANGE",
    help="Open the mean of this one; repeatable.",
)
@click.option("--minimize", metavar="METRIC", help="The metric that says which model is best.")
@click.option("--maximize", metavar="METRIC", help="The same, where more is better.")
@click.option("--target", type=float, metavar="X", help="End when that metric is as good as this.")
@click.option(
    "--patience", type=click.IntRange(1), metavar="N", help="End when it did not get better in N rounds."
)
@click.option("--skip", multiple=True, metavar="PATTERN", help="Tensors that stay as they are; repeatable.")
@parts.options
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Keep large files of the last N rounds. [default: all]",
)
@click.option("--name", default="training", metavar="TEXT", help="What to call it. [default: training]")
@click.option(
    "--make-identities",
    type=options.LOCAL_FILE,
    metavar="DIR",
    help="For a trial on one machine: make N parties here, with --parties.",
)
@click.option(
    "--parties", type=click.IntRange(2), metavar="N", help="How many parties --make-identities makes."
)
@options.identity
@options.talkative
def start(
    folder: str,
    model: str,
    party_cards: tuple[str, ...],
    aggregator: tuple[str, ...],
    keyholder: tuple[str, ...],
    key: str | None,
    rounds: int,
    bits: int,
    value_range: float | None,
    rotate: bool,
    rank: int | None,
    sample: float | None,
    clip: float | None,
    epsilon: float | None,
    delta: float,
    unit: str,
    colluders: int,
    rule: str,
    lr: float,
    max_weight: int,
    min_parties: int | None,
    dropouts: int | None,
    post_quantum: bool,
    masks: bool,
    deadline: int,
    metrics: tuple[Metric, ...],
    minimize: str | None,
    maximize: str | None,
    target: float | None,
    patience: int | None,
    skip: tuple[str, ...],
    masked: tuple[str, ...],
    plain: tuple[str, ...],
    keep: int,
    name: str,
    make_identities: str | None,
    parties: int | None,
    identity: str | None,
    console: Console,
) -> None:
    """Begin a training of many rounds in a shared folder.

    Writes the terms, signed by you, the coordinator, with the first model and a
    ledger beside them. Each member then accepts the terms once, with hecli run.
    Without --key the training uses masks alone: the fast way for large models,
    and the one without a keyholder.

    \b
      hecli start shared/ --model model.npz --party cards/hospital-*.card \\
        --key hecli.pub --identity registry.id --rounds 50 --bits 12
      hecli start shared/ --model model.npz --party *.card --identity a.id
      hecli start trial/ --model model.npz --make-identities people --parties 4
    """
    _check_usage(click.get_current_context().params)
    counting = minimize or maximize
    cards = options.load_cards(party_cards)
    allowed = _dropouts(dropouts, parties or len(cards))
    scheme = _scheme(key, masks=masks, masked=bool(masked), allowed=allowed)
    options.check_quantum(scheme, asked=post_quantum)
    promise = noise.promise(clip, epsilon, delta, unit, colluders, rounds)
    goal = Goal(counting, maximize is not None, target, patience or 0) if counting else None
    with ExitStack() as stack:
        stack.enter_context(_folder(folder))
        stream = stack.enter_context(open_input(model))
        opened = open_tensors(stream, name_of(stream))
        # Not before: after a mistyped path they would be in the way of the next try.
        if make_identities and parties:
            signer, cards = _make_identities(make_identities, parties, identity, console, stack)
        elif (given := options.load_identity(identity, console)) is not None:
            signer = given
        else:
            raise RefusedError("a training is signed by its coordinator", "pass --identity, your .id file")
        names = [spec.name for spec in opened.specs]
        skipped = _skipped(skip, names)
        left = [name for name in names if name not in skipped]
        under_masks = _matching(masked, left)
        terms = {
            "name": name,
            "roster": _roster(cards, aggregator, keyholder, signer),
            "skipped": skipped,
            "masked": Masked(under_masks, Masking(allowed)) if under_masks else None,
            "plain": _matching(plain, left),
            "privacy": promise,
            "rule": rule,
            "lr": lr,
            "rounds": rounds,
            # Noise chooses them for itself, unless they are given.
            "bits": None if promise is not None and not options.typed("bits") else bits,
            "rounding": "nearest" if promise is not None else rounding_of(bits),
            "range": value_range,
            "rotate": rotate,
            "rank": rank,
            "sample": None if sample is None else Sample.of_share(sample).count,
            "max_weight": max_weight,
            "min_parties": min_parties or _fewest(len(cards), scheme, promise),
            "deadline": deadline,
            "keep": keep,
        }
        public = None if key is None else stack.enter_context(open_input(key))
        begun = begin(
            shared_folder(folder), opened, signer, scheme, key=public, metrics=metrics, goal=goal, **terms
        )
    if make_identities:
        who = f"{count(len(cards), 'party', 'parties')}{'' if identity else ' and a coordinator'}"
        console.note(f"{make_identities}: {who}, each with an .id and a .card; for trials")
    _say(begun, folder, console)


def _check_usage(given: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    makes, minimize, maximize = given["make_identities"], given["minimize"], given["maximize"]
    counting = minimize or maximize
    names = {each.name for each in given["metrics"]}
    for wrong, why in (
        ((makes is None) != (given["parties"] is None), "--make-identities and --parties go together"),
        (
            (makes is None) == (not given["party_cards"]),
            "give each party's card with --party, or --make-identities for a trial",
        ),
        (minimize is not None and maximize is not None, "--minimize and --maximize exclude each other"),
        (
            counting is not None and counting not in names,
            f"{counting!r} is no metric of --metric, such as --metric {counting}=10",
        ),
        (
            counting is None and (given["target"] is not None or given["patience"] is not None),
            "--target and --patience need --minimize or --maximize",
        ),
    ):
        if wrong:
            raise click.UsageError(why)
    if given["rule"] == "replace":
        options.refuse("lr", "is for the rules add and sgd: with replace the mean is the model")
    if given["key"] is None:
        options.refuse("masked", "is for trainings under a key: without one all is masked")


@contextmanager
def _folder(path: str) -> Iterator[None]:
    """Make a folder, unless it is there; it goes again where nothing comes of it."""
    if scheme_of(path):
        # Buckets have no folders; servers have them made with their first file.
        yield
        return
    made = not Path(path).exists()
    try:
        Path(path).mkdir(exist_ok=True)
    except OSError as error:
        raise HecliError(f"cannot make {path}: {(error.strerror or '').lower()}", "check its path") from error
    try:
        yield
    except BaseException:
        if made:
            with suppress(OSError):
                Path(path).rmdir()
        raise


@contextmanager
def _undone() -> Iterator[list[Path]]:
    """Files that go again where nothing comes of them."""
    files: list[Path] = []
    try:
        yield files
    except BaseException:
        for file in files:
            with suppress(OSError):
                file.unlink()
        raise


def _make_identities(
    folder: str, parties: int, identity: str | None, console: Console, stack: ExitStack
) -> tuple[Identity, list[Card]]:
    """Make a coordinator, unless there is one, and so many parties."""
    place = Path(folder)
    names = [f"party-{at}" for at in range(1, parties + 1)]
    given = options.load_identity(identity, console)
    stack.enter_context(_folder(folder))
    files = stack.enter_context(_undone())

    def made(name: str) -> Identity:
        identity = Identity.generate(name)
        with open_output(str(place / f"{name}.id"), secret=True) as out:
            write_identity(identity, out)
        files.append(place / f"{name}.id")
        with open_output(str(place / f"{name}.card")) as out:
            write_card(identity, out)
        files.append(place / f"{name}.card")
        return identity

    cards = [made(name).card for name in names]
    return given or made("coordinator"), cards


def _roster(
    parties: list[Card], aggregator: tuple[str, ...], keyholder: tuple[str, ...], signer: Identity
) -> Roster:
    return Roster.of(
        parties,
        options.load_cards(aggregator) or [signer.card],
        options.load_cards(keyholder) or [signer.card],
        coordinator=signer.card,
    )


def _dropouts(given: int | None, parties: int) -> int:
    """How many parties of a training with masks may be missing in a round: one, where that is safe."""
    return min(1, max(0, parties - 2) // 2) if given is None else given


def _fewest(parties: int, scheme: Scheme, promise: Promise | None) -> int:
    """The fewest parties of a round: more than half; with noise as many as masks need, whose noise counts."""
    half = max(2, parties // 2 + 1)
    if promise is None or scheme.masking is None:
        return half
    return max(half, scheme.masking.needed(parties))


def _scheme(key: str | None, *, masks: bool, masked: bool, allowed: int) -> Scheme:
    """The scheme that the options ask for; without a key masks alone, from which some may drop out."""
    if key is not None and not (masks or masked):
        options.refuse("dropouts", "is for masks: add --masks, or leave out --key")
    if key is None:
        return Masks(Masking(allowed))
    with open_input(key) as stream:
        return Paillier.of(read_public_key(open_reader(stream)), masking=Masking(allowed) if masks else None)


def _matching(patterns: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    """The names that patterns match, sorted; raises HecliError where one matches none."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise HecliError(
                f"no tensor of the model matches {pattern}", "check the names with hecli inspect"
            )
    return tuple(sorted(name for name in names if any(fnmatchcase(name, each) for each in patterns)))


def _skipped(patterns: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    skipped = _matching(patterns, names)
    if len(skipped) == len(names):
        raise HecliError("all tensors of the model would be skipped", "leave some to be trained")
    return skipped


def _say(begun: Started, folder: str, console: Console) -> None:
    first, later = (update_bytes(each) for each in (begun.plan, later_plan(begun.training)))
    summary = {"folder": folder, "digest": begun.digest.hex(), "head": begun.head}
    summary |= describe_training(begun.training)
    lines = [
        f"{folder}: {begun.training.name!r}, digest {begun.digest.hex()}",
        *training_lines(begun.training),
        # What is protected stands there already.
        *noise_lines(begun.plan, begun.training.rounds)[1:],
        f"an update    {count_bytes(first)} in the first round, {count_bytes(later)} in all others",
        "each member accepts these terms once, with hecli run",
    ]
    console.summary(summary, "\n".join(lines))
