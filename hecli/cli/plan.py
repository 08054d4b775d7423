"""hecli plan."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import click

from hecli.cli import compression, noise, options, parts
from hecli.cli.console import Console
from hecli.cli.files import STANDARD, beside, check_output, open_input, open_output
from hecli.cli.options import FilesCommand, FilesOption
from hecli.cli.plan_text import plan_text
from hecli.cli.types import Range, Size
from hecli.codec.basis import Basis
from hecli.codec.low_rank import LowRank
from hecli.codec.quantise import MAX_BITS, ROUNDINGS
from hecli.errors import RefusedError
from hecli.executors.cores import default_jobs
from hecli.formats.reader import open_reader
from hecli.formats.tensors.arrays import TensorFile
from hecli.formats.text import percent
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.ledger.recorder import Recorder
from hecli.plan.costs import costs
from hecli.plan.data import Plan
from hecli.plan.files import read_plan, write_plan
from hecli.plan.making import DEFAULT_BITS, Example, make_plan
from hecli.plan.position import LAST_ROUND
from hecli.plan.settings import Setting
from hecli.plan.settings import beside as beside_others
from hecli.rounds.apply import plan_in
from hecli.rounds.basis import make_basis
from hecli.rounds.choosing import Chosen, choose, means_as_tensors
from hecli.rounds.describe import describe_plan
from hecli.rounds.next_plan import name_after, next_plan, open_example
from hecli.rounds.sensitivity import plain_by_sensitivity
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.key_files import read_public_key
from hecli.schemes.paillier.keys import RANDOMNESS
from hecli.schemes.paillier.scheme import Paillier
from hecli.schemes.round import PublicKey
from hecli.storage.paths import file_name, same_place, with_suffix

DEFAULT_NAME = "round"

IN_PLAN = (
    "parties",
    "party_cards",
    "aggregator",
    "keyholder",
    "value_range",
    "norm",
    "rotate",
    "rank",
    "sample",
    "clip",
    "epsilon",
    "delta",
    "unit",
    "colluders",
    "noise_ratio",
    "rounds",
    "target_bytes",
    "basis_from",
    "skip",
    "masked",
    "plain",
    "sensitivity",
    "encrypt_share",
    "rounding",
    "min_parties",
    "max_weight",
    "randomness",
    "masks",
    "dropouts",
    "scheme",
    "key",
)
"""Options that say what stands in the last plan."""


@click.command(cls=FilesCommand)
@click.option(
    "--like",
    type=options.FILE,
    metavar="FILE",
    required=True,
    help="Tensors with the round's names and shapes, or the sum of a round of such.",
)
@click.option(
    "--next",
    "last",
    type=options.FILE,
    metavar="PLAN",
    help="Go on after PLAN, with ranges of its sum, which --like names.",
)
@click.option("--parties", type=int, metavar="N", help="The most parties there may be.")
@click.option(
    "--party", "party_cards", cls=FilesOption, metavar="CARDS...", help="The parties on the roster."
)
@click.option(
    "--aggregator",
    cls=FilesOption,
    metavar="CARDS...",
    help="Who may aggregate. [default: anyone on the roster]",
)
@click.option(
    "--keyholder",
    cls=FilesOption,
    metavar="CARDS...",
    help="Who may open sums. [default: anyone on the roster]",
)
@click.option("--bits", type=click.IntRange(2, MAX_BITS), metavar="B", help="Bits of a value. [default: 16]")
@click.option(
    "--range",
    "value_range",
    type=Range(),
    multiple=True,
    metavar="[PATTERN=]R",
    help="Largest size of a value, in tensors whose names match PATTERN; repeatable, the first match counts. "
    "auto is per tensor, four times the largest in the tensors, or by the sum. [default: auto]",
)
@compression.options
@noise.options
@click.option(
    "--noise",
    "noise_ratio",
    type=float,
    metavar="Z",
    help="In place of --epsilon: the honest contributors' noise together, in clip norms.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, LAST_ROUND),
    default=1,
    metavar="N",
    help="Rounds that --epsilon is for. [default: 1]",
)
@click.option(
    "--target-bytes",
    type=Size(),
    metavar="SIZE",
    help="Choose bits, --rotate, --sample and --rank for an update of at most SIZE, such as 100k.",
)
@click.option(
    "--norm",
    type=Range(),
    multiple=True,
    metavar="[PATTERN=]N",
    help="With --rotate, --rank and --sample in place of --range: the largest norm of a party's tensor. "
    "[default: auto, twice that in the tensors, or by the sum]",
)
@click.option(
    "--basis-from",
    type=options.FILE,
    metavar="SUM",
    help="With --rank, the sum that bases are made from. [default: the sum that --like names]",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="PATTERN",
    help="Leave out tensors whose names match, which stay as each model has them; repeatable.",
)
@parts.options
@click.option(
    "--sensitivity",
    type=options.FILE,
    metavar="SUM",
    help="Leave in the clear what tells the least by this sum of maps; with --encrypt-share.",
)
@click.option(
    "--encrypt-share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="S",
    help="The share of values that are encrypted then, at least.",
)
@click.option(
    "--rounding",
    type=click.Choice(ROUNDINGS),
    help="How values are rounded. [default: stochastic up to 10 bits, else nearest]",
)
@click.option(
    "--min-parties", type=int, default=2, metavar="M", help="Open no fewer. [default: 2; with --clip all]"
)
@click.option("--max-weight", type=int, default=1, metavar="W", help="The largest --weight. [default: 1]")
@click.option(
    "--randomness",
    type=click.Choice(RANDOMNESS),
    default="short",
    help="Exponents of the encryption, see docs/security.md. [default: short]",
)
@click.option("--masks", is_flag=True, help="Hide updates from the keyholder too; needs every party's.")
@click.option(
    "--dropouts", type=int, metavar="K", help="With masks, how many parties may drop out. [default: 0]"
)
@options.post_quantum
@click.option(
    "--scheme",
    type=click.Choice((Paillier.name, Masks.name)),
    default="paillier",
    help="masks: no key at all, anyone opens the sum. [default: paillier]",
)
@click.option("--name", metavar="TEXT", help="What to call the round. [default: round, round-2, ...]")
@options.key(".pub")
@options.identity
@options.ledger
@options.output("round.plan; with --next PLAN-2.plan, PLAN-3.plan, ...")
@options.talkative
def plan(
    like: str,
    last: str | None,
    parties: int | None,
    party_cards: tuple[str, ...],
    aggregator: tuple[str, ...],
    keyholder: tuple[str, ...],
    bits: int | None,
    value_range: tuple[tuple[str, float | None], ...],
    rotate: bool,
    rank: int | None,
    sample: float | None,
    clip: float | None,
    epsilon: float | None,
    delta: float,
    unit: str,
    colluders: int,
    noise_ratio: float | None,
    rounds: int,
    target_bytes: int | None,
    norm: tuple[tuple[str, float | None], ...],
    basis_from: str | None,
    skip: tuple[str, ...],
    masked: tuple[str, ...],
    plain: tuple[str, ...],
    sensitivity: str | None,
    encrypt_share: float | None,
    rounding: str | None,
    min_parties: int,
    max_weight: int,
    randomness: str,
    masks: bool,
    dropouts: int | None,
    post_quantum: bool,
    scheme: str,
    name: str | None,
    key: str | None,
    identity: str | None,
    ledger: str | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Agree on how a round is done.

    Writes the plan, proves that no lane can overflow, and says what the round
    will cost, with the time of each step if this machine does it. Every party
    encrypts with the same plan. A tensor of zeros in FILE gets the widest range
    among the others. With --next, all is as in the last plan but its id,
    its name and the ranges, and the bits where they are given.

    \b
      hecli plan --like grads.npz --parties 5
      hecli plan --like grads.npz --parties 20 --bits 8 --range 0.5
      hecli plan --like grads.npz --parties 5 --range 'conv*=0.5' --range 0.1
      hecli plan --like grads.npz --parties 5 --skip '*.num_batches_tracked'
      hecli plan --like grads.npz --parties 5 --max-weight 10000
      hecli plan --like grads.npz --party a.card b.card --identity a.id
      hecli plan --like grads.npz --party cards/*.card --identity a.id --masks
      hecli plan --like grads.npz --party cards/*.card --identity a.id \\
        --masked 'conv*'
      hecli plan --like grads.npz --parties 5 --plain 'embedding.*'
      hecli plan --like grads.npz --parties 5 --sensitivity map.sum \\
        --encrypt-share 0.2
      hecli plan --like grads.npz --party 'cards/*.card' --identity a.id \\
        --masks --dropouts 2
      hecli plan --like grads.npz --parties 5 --bits 2 --rotate
      hecli plan --like round.sum --parties 5 --bits 8 --rank 4
      hecli plan --like grads.npz --party cards/*.card --identity a.id \\
        --clip 0.5 --unit record --epsilon 4 --rounds 60
      hecli plan --next round.plan --like round.sum
    """
    if last is not None:
        options.refuse(IN_PLAN, "stands in the last plan already: leave out --next to choose it anew")
        _go_on(last, like, output, bits, name, identity, ledger, console, force=force)
        return
    _check_usage(click.get_current_context().params)
    target = output or (STANDARD if like == STANDARD else "round.plan")
    check_output(target, force=force)
    masking = Masking(dropouts or 0) if masks or scheme == Masks.name else None
    chosen = _scheme(scheme, key, randomness, masking)
    options.check_quantum(chosen, asked=post_quantum)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    if party_cards and signer is None:
        raise RefusedError("a plan with a roster is signed", "pass --identity, the coordinator's .id file")
    roster = _roster(party_cards, aggregator, keyholder, signer) if party_cards and signer else None
    asked = noise.asked(clip, noise_ratio, epsilon, delta, unit, colluders, rounds)
    if asked is None:
        options.refuse("rounds", "is for noise, with --clip")
    elif roster is not None and not options.typed("min_parties"):
        # Fewer have less noise, and what is promised goes by the fewest.
        min_parties = max(2, len(roster.parties) - (dropouts or 0))
    terms: dict[str, Any] = {
        "value_range": dict(value_range) or None,
        "norm": dict(norm) or None,
        "rounding": rounding,
        "min_parties": min_parties,
        "max_weight": max_weight,
        "name": DEFAULT_NAME if name is None else name,
        "roster": roster,
        "skip": skip,
        "masked": masked,
        "plain": plain,
        "dropouts": dropouts or 0,
    }
    if asked is not None:
        terms |= {"privacy": asked, "bits": bits}
    with ExitStack() as stack:
        stream = stack.enter_context(open_input(like))
        example = open_example(stream)
        total = None if isinstance(example, TensorFile) else stream
        if basis_from is not None:
            total = stack.enter_context(open_input(basis_from))
        out = stack.enter_context(open_output(target, force=force))
        make = partial(_make, example, total, chosen, parties, terms)
        setting, picked = Setting(bits or DEFAULT_BITS, rotate, rank, sample), None
        if target_bytes is not None:
            picked = _pick(example, like, stream, make, target_bytes, stack, ranks=total is not None)
            setting = picked.setting
        bases = stack.enter_context(_bases(target, force=force)) if setting.rank else None
        made, _ = make(setting, bases)
        if sensitivity is not None and encrypt_share is not None:
            maps = stack.enter_context(open_input(sensitivity))
            made = plain_by_sensitivity(made, maps, encrypt_share)
        _write(made, target, out, signer, entry)
    _say(made, target, console, picked, rounds)


def _go_on(
    last: str,
    like: str,
    output: str | None,
    bits: int | None,
    name: str | None,
    identity: str | None,
    ledger: str | None,
    console: Console,
    *,
    force: bool,
) -> None:
    """Make the plan after another."""
    target = output or (STANDARD if STANDARD in (last, like) else _after(last))
    check_output(target, force=force)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer)
    options.check_standard(last, like)
    with open_input(last) as stream:
        before = read_plan(open_reader(stream))
    with ExitStack() as stack:
        stream = stack.enter_context(open_input(like))
        out = stack.enter_context(open_output(target, force=force))
        goes_on = before.codec.step(LowRank) is not None
        bases = stack.enter_context(_bases(target, force=force)) if goes_on else None
        made = next_plan(before, stream, bits=bits, name=name, bases=bases)
        _write(made, target, out, signer, entry)
    _say(made, target, console)


def _make(
    example: TensorFile | Example,
    total: BinaryIO | None,
    scheme: Scheme | PublicKey,
    parties: int | None,
    terms: dict[str, Any],
    setting: Setting,
    bases: BinaryIO | None = None,
) -> tuple[Plan, Basis | None]:
    """Make the plan of a setting, and of low rank its bases, from a sum."""
    low_rank, basis = None, None
    if setting.rank is not None:
        if total is None:
            raise RefusedError(
                "bases are made from the sum of an earlier round, and --like names tensors",
                "make a round without --rank first, and pass its sum with --basis-from",
            )
        low_rank, basis = make_basis(total, bases or io.BytesIO(), setting.rank)
    coding: dict[str, Any] = {"bits": setting.bits, "rotate": setting.rotate, "sample": setting.sample}
    # Noise chooses bits for itself, unless they are given.
    return make_plan(example, scheme, parties, low_rank=low_rank, **(coding | terms)), basis


def _pick(
    example: TensorFile | Example,
    like: str,
    stream: BinaryIO,
    make: Callable[[Setting], tuple[Plan, Basis | None]],
    most: int,
    stack: ExitStack,
    *,
    ranks: bool,
) -> Chosen:
    """Choose a setting by what it loses of the tensors that the plan is made for."""
    if not isinstance(example, TensorFile):
        kept = stack.enter_context(cast("AbstractContextManager[BinaryIO]", TemporaryFile()))  # noqa: SIM115 - the stack closes it
        bases = compression.load_basis(None, plan_in(stream), like)
        example = means_as_tensors(stream, kept, bases)
    return choose(example, make, most, ranks=ranks)


def _check_usage(given: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    for option, bounds in (("--range", given["value_range"]), ("--norm", given["norm"])):
        if len(dict(bounds)) < len(bounds):
            raise click.UsageError(f"{option} names the same tensors twice")
    roster, scheme = given["party_cards"], given["scheme"]
    masks = given["masks"] or given["masked"] or scheme == Masks.name
    for wrong, why in (
        (
            given["basis_from"] is not None and given["rank"] is None and given["target_bytes"] is None,
            "--basis-from is for plans with --rank, or with --target-bytes",
        ),
        (
            given["target_bytes"] is not None
            and (given["bits"] or given["rotate"] or given["rank"] or given["sample"]),
            "--target-bytes chooses bits and compression: leave them out",
        ),
        ((given["parties"] is None) != bool(roster), "give either --parties, or a --party for each of them"),
        (
            not roster and (given["aggregator"] or given["keyholder"]),
            "--aggregator and --keyholder need a roster: --party",
        ),
        (not roster and masks, "masks need a roster: --party"),
        (given["dropouts"] is not None and not masks, "--dropouts is for masks: add --masks"),
        (
            (given["sensitivity"] is None) != (given["encrypt_share"] is None),
            "--sensitivity and --encrypt-share go together",
        ),
        (
            given["target_bytes"] is not None and given["sensitivity"] is not None,
            "--target-bytes may rotate, and --sensitivity goes value by value: give --bits",
        ),
        (
            given["clip"] is not None and given["target_bytes"] is not None,
            "--clip chooses bits by the noise: leave out --target-bytes",
        ),
        (
            given["clip"] is not None and (given["sensitivity"] is not None or given["plain"]),
            "noise does not protect what is in the clear: leave out --plain and --sensitivity",
        ),
        (
            given["plain"] and given["sensitivity"] is not None,
            "--plain and --sensitivity both say what is in the clear: give one",
        ),
    ):
        if wrong:
            raise click.UsageError(why)
    if scheme == Masks.name:
        options.refuse(("key", "randomness"), "is for plans under a key")
        options.refuse("masks", "is said by --scheme masks already")
    if given["sensitivity"] is not None:
        options.check_standard(given["like"], given["sensitivity"])


def _bases(target: str, *, force: bool) -> AbstractContextManager[BinaryIO]:
    """Open the file of the plan's bases, which is published before the plan."""
    if target == STANDARD:
        raise RefusedError("the bases of a plan go beside it", "name the plan with -o")
    found = with_suffix(target, compression.BASIS)
    if same_place(found, target):
        raise RefusedError(f"{target} is where the bases of the plan go", "name the plan round.plan, say")
    return open_output(found, force=force)


def _write(made: Plan, target: str, out: BinaryIO, signer: Identity | None, entry: Recorder) -> None:
    """Write a plan, and record it."""
    digest = write_plan(made, out, signer)
    members = made.roster.members if made.roster else ()
    entry("plan", plan=made.digest, files=[(target, digest)], cards=members, text=made.name)


def _say(made: Plan, target: str, console: Console, picked: Chosen | None = None, rounds: int = 1) -> None:
    """Say what a round by a plan will cost."""
    foreseen = costs(made, default_jobs())
    others = list(beside_others(made))
    summary = {"file": target} | describe_plan(made) | {"costs": vars(foreseen)}
    summary["others"] = {str(setting): size for setting, size in others}
    text = plan_text(target, made, foreseen, others, rounds)
    if picked is not None:
        summary["picked"] = {"setting": str(picked.setting), "bytes": picked.bytes, "lost": picked.lost}
        text += f"\npicked       {picked.setting}: of all that fits, it loses least of such tensors"
        text += f"\n             ({percent(picked.lost)} of their norm a round, which --residual sends later)"
    console.summary(summary, text, to_stdout=target != STANDARD)


def _after(last: str) -> str:
    """Where the plan after the last one goes: beside it."""
    return beside(last, f"{name_after(Path(file_name(last)).stem)}.plan")


def _roster(
    parties: tuple[str, ...], aggregator: tuple[str, ...], keyholder: tuple[str, ...], signer: Identity
) -> Roster:
    return Roster.of(
        options.load_cards(parties),
        options.load_cards(aggregator),
        options.load_cards(keyholder),
        coordinator=signer.card,
    )


def _scheme(name: str, key: str | None, randomness: str, masking: Masking | None) -> Scheme:
    """The scheme that the options name."""
    if name == Masks.name and masking is not None:
        return Masks(masking)
    with open_input(options.key_path(key, ".pub")) as stream:
        return Paillier.of(read_public_key(open_reader(stream)), randomness, masking)
