"""hecli plan."""

from typing import Any

import click

from hecli.cli import options
from hecli.cli.console import Console, count_bytes
from hecli.cli.files import STANDARD, beside, check_output, label, open_input, open_output
from hecli.cli.options import FilesCommand, FilesOption
from hecli.cli.parts import part_lines
from hecli.codec.quantise import MAX_BITS, ROUNDINGS
from hecli.errors import RefusedError
from hecli.executors.processes import default_jobs
from hecli.formats.reader import open_reader
from hecli.formats.text import count, duration
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.ledger.recorder import Recorder
from hecli.plan.costs import Costs, costs, error_bound
from hecli.plan.data import Plan
from hecli.plan.files import read_plan, write_plan
from hecli.plan.making import make_plan
from hecli.rounds.describe import describe_plan, scheme_lines
from hecli.rounds.next_plan import name_after, next_plan, open_example
from hecli.rounds.sensitivity import plain_by_sensitivity
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.masks.scheme import Masks
from hecli.schemes.paillier.key_files import read_public_key
from hecli.schemes.paillier.keys import RANDOMNESS
from hecli.schemes.paillier.scheme import Paillier

SHOWN = 6
DEFAULT_BITS, DEFAULT_NAME = 16, "round"

IN_PLAN = (
    "parties",
    "party_cards",
    "aggregator",
    "keyholder",
    "value_range",
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


class Range(click.ParamType[tuple[str, float | None]]):
    """A positive number or the word auto, of the tensors that a pattern before it means, or of all."""

    name = "range"

    def convert(
        self, value: str | tuple[str, float | None], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | None]:
        """The pattern, and None for auto."""
        if isinstance(value, tuple):
            return value
        pattern, equals, number = value.rpartition("=")
        if number == "auto":
            return (pattern if equals else "*"), None
        try:
            return (pattern if equals else "*"), float(number)
        except ValueError:
            self.fail(f"{number!r} is neither a number nor auto", param, ctx)


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
@click.option("--bits", type=click.IntRange(2, MAX_BITS), help="Bits of a value. [default: 16]")
@click.option(
    "--range",
    "value_range",
    type=Range(),
    multiple=True,
    metavar="[PATTERN=]R",
    help="Largest size of a value, in tensors whose names match PATTERN; repeatable, the first match counts. "
    "auto is per tensor, four times the largest in the tensors, or by the sum. [default: auto]",
)
@click.option(
    "--skip",
    multiple=True,
    metavar="PATTERN",
    help="Leave out tensors whose names match, which stay as each model has them; repeatable.",
)
@click.option(
    "--masked",
    multiple=True,
    metavar="PATTERN",
    help="Hide tensors whose names match by masks alone, which are cheap; repeatable.",
)
@click.option(
    "--plain",
    multiple=True,
    metavar="PATTERN",
    help="Leave tensors whose names match in the clear, for everybody to read; repeatable.",
)
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
@click.option("--min-parties", type=int, default=2, metavar="M", help="Open no fewer. [default: 2]")
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
    encrypts with the same plan. A tensor of zeros in TENSORS gets the widest
    range among the others. With --next, all is as in the last plan but its id,
    its name and the ranges.

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
      hecli plan --next round.plan --like round.sum
    """
    if last is not None:
        options.refuse(IN_PLAN, "stands in the last plan already: leave out --next to choose it anew")
        target = output or (STANDARD if STANDARD in (last, like) else _after(last))
        check_output(target, force=force)
        signer = options.load_identity(identity, console)
        entry = options.recorder(ledger, signer)
        options.check_standard(last, like)
        with open_input(last) as stream:
            before = read_plan(open_reader(stream))
        with open_input(like) as stream:
            made = next_plan(before, stream, bits=bits, name=name)
        _finish(made, target, signer, entry, console, force=force)
        return
    _check_usage(click.get_current_context().params)
    target = output or (STANDARD if like == STANDARD else "round.plan")
    check_output(target, force=force)
    masking = Masking(dropouts or 0) if masks or scheme == Masks.name else None
    chosen = _scheme(scheme, key, randomness, masking)
    signer = options.load_identity(identity, console)
    entry = options.recorder(ledger, signer, identity)
    if party_cards and signer is None:
        raise RefusedError("a plan with a roster is signed", "pass --identity, the coordinator's .id file")
    roster = _roster(party_cards, aggregator, keyholder, signer) if party_cards and signer else None
    with open_input(like) as stream:
        made = make_plan(
            open_example(stream),
            chosen,
            parties,
            bits=bits or DEFAULT_BITS,
            value_range=dict(value_range),
            rounding=rounding,
            min_parties=min_parties,
            max_weight=max_weight,
            name=DEFAULT_NAME if name is None else name,
            roster=roster,
            skip=skip,
            masked=masked,
            plain=plain,
            dropouts=dropouts or 0,
        )
    if sensitivity is not None and encrypt_share is not None:
        with open_input(sensitivity) as stream:
            made = plain_by_sensitivity(made, stream, encrypt_share)
    _finish(made, target, signer, entry, console, force=force)


def _check_usage(given: dict[str, Any]) -> None:
    """Refuse options that do not go together, or do nothing."""
    roster, masks = given["party_cards"], given["masks"] or given["scheme"] == Masks.name
    if len(dict(given["value_range"])) < len(given["value_range"]):
        raise click.UsageError("--range names the same tensors twice")
    if (given["parties"] is None) != bool(roster):
        raise click.UsageError("give either --parties, or a --party for each of them")
    if not roster and (given["aggregator"] or given["keyholder"]):
        raise click.UsageError("--aggregator and --keyholder need a roster: --party")
    if not roster and (masks or given["masked"]):
        raise click.UsageError("masks need a roster: --party")
    if given["dropouts"] is not None and not (masks or given["masked"]):
        raise click.UsageError("--dropouts is for masks: add --masks")
    if given["scheme"] == Masks.name:
        options.refuse(("key", "randomness"), "is for plans under a key")
        options.refuse("masks", "is said by --scheme masks already")
    _check_plain(given)


def _check_plain(given: dict[str, Any]) -> None:
    if (given["sensitivity"] is None) != (given["encrypt_share"] is None):
        raise click.UsageError("--sensitivity and --encrypt-share go together")
    if given["plain"] and given["sensitivity"] is not None:
        raise click.UsageError("--plain and --sensitivity both say what is in the clear: give one")
    if given["sensitivity"] is not None:
        options.check_standard(given["like"], given["sensitivity"])


def _finish(
    made: Plan, target: str, signer: Identity | None, entry: Recorder, console: Console, *, force: bool
) -> None:
    """Write a plan, and say what a round by it will cost."""
    with open_output(target, force=force) as stream:
        digest = write_plan(made, stream, signer)
        members = made.roster.members if made.roster else ()
        entry("plan", plan=made.digest, files=[(target, digest)], cards=members, text=made.name)
    foreseen = costs(made, default_jobs())
    summary = {"file": target} | describe_plan(made) | {"costs": vars(foreseen)}
    console.summary(summary, _text(target, made, foreseen), to_stdout=target != STANDARD)


def _after(last: str) -> str:
    """Where the plan after the last one goes: beside it."""
    path = beside(last)
    return str(path.with_name(f"{name_after(path.stem)}.plan"))


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


def _text(target: str, plan: Plan, foreseen: Costs) -> str:
    tensors = range(len(plan.tensors))
    quantise, sizes = plan.codec.quantise, plan.geometry
    bound = max(error_bound(plan, at) for at in tensors)
    ranges = [step * quantise.qmax for step in quantise.steps]
    shown = (
        f"±{min(ranges):.3g}" if min(ranges) == max(ranges) else f"±{min(ranges):.3g} to ±{max(ranges):.3g}"
    )
    ratio = foreseen.file_bytes / (4 * sizes.values)
    largest = plan.codec.largest * plan.capacity
    lines = [
        f"{label(target)}: {plan.name!r}, digest {plan.digest.hex()[:16]}",
        *(f"{title:<12} {text}" for title, text in scheme_lines(plan)),
        f"tensors      {count(len(plan.tensors), 'tensor')}, {count(sizes.values, 'value')}",
        f"parties      {plan.min_parties} to {plan.capacity}, weights up to {plan.max_weight:,}",
        *([f"skipped      {_some(plan.skipped)}"] if plan.skipped else []),
        *(f"{title:<12} {text}" for title, text in part_lines(describe_plan(plan)["plan"])),
        *_roster_lines(plan.roster),
        f"values       {quantise.bits} bits, range {shown}, rounded {quantise.rounding}",
        f"lanes        {sizes.packing.width} bits; at capacity the largest sum is {largest:,}, which fits",
        f"ciphertexts  {sizes.blocks:,}, {sizes.packing.values} values in each",
        f"file         {count_bytes(foreseen.file_bytes)}, {ratio:.2f} times the values as float32",
        *_seconds(plan, foreseen),
        f"error        unless values are clipped, the mean is off by at most {bound:.3g}",
    ]
    if plan.max_weight > 1:
        # Nobody knows what parties will weigh: half of the largest is a fair guess.
        mean = plan.max_weight / 2
        likely = max(error_bound(plan, at, mean) for at in tensors)
        lines += [
            f"             if all weigh 1, and by at most {likely:.3g} if the mean weight is {mean:,.10g}",
            f"weights      each halving of the mean weight below {plan.max_weight:,} costs one bit"
            + (f"; --bits {quantise.bits + 1} makes up for one" if quantise.bits < MAX_BITS else ""),
        ]
    return "\n".join(lines)


def _seconds(plan: Plan, foreseen: Costs) -> list[str]:
    steps = [
        f"{step} {count(plan.capacity, 'update')} {duration(seconds)}"
        if step == "aggregate"
        else f"{step} {duration(seconds)}"
        for step, seconds in foreseen.seconds.items()
    ]
    return [f"time         {', '.join(steps)}"] if steps else []


def _roster_lines(roster: Roster | None) -> list[str]:
    if roster is None:
        return []
    return [f"roster       {_some(roster.parties)}; signed by {roster.coordinator}"]


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
