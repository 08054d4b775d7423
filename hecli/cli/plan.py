"""hecli plan."""

import click

from hecli.cli import options
from hecli.cli.console import Console, count, count_bytes
from hecli.errors import RefusedError
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.plan.data import MAX_LANE_BITS, ROUNDINGS, SCHEMES, Plan
from hecli.plan.files import write_plan
from hecli.rounds import plan as planning
from hecli.rounds.facts import plan_facts
from hecli.schemes.paillier.keys import RANDOMNESS
from hecli.storage.local import STANDARD, check_output, label, open_input, open_output

SHOWN = 6


class Range(click.ParamType[float | None]):
    """A positive number, or the word auto."""

    name = "range"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """None for auto."""
        if value == "auto":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)


@click.command()
@click.option("--like", metavar="TENSORS", required=True, help="Tensors with the round's names and shapes.")
@click.option("--parties", type=int, metavar="N", help="The most parties there may be.")
@click.option(
    "--party", "party_cards", multiple=True, metavar="CARD", help="A party on the roster; repeatable."
)
@click.option(
    "--aggregator", multiple=True, metavar="CARD", help="Who may aggregate. [default: anyone on the roster]"
)
@click.option(
    "--keyholder", multiple=True, metavar="CARD", help="Who may open sums. [default: anyone on the roster]"
)
@click.option(
    "--bits", type=click.IntRange(2, MAX_LANE_BITS), default=16, help="Bits of a value. [default: 16]"
)
@click.option(
    "--range",
    "value_range",
    type=Range(),
    default="auto",
    metavar="R",
    help="Largest size of a value; auto is per tensor, four times the largest in TENSORS. [default: auto]",
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
@click.option("--require-verified", is_flag=True, help="Have aggregates opened only with --from, recomputed.")
@click.option("--masks", is_flag=True, help="Hide updates from the keyholder too; needs every party's.")
@click.option(
    "--dropouts", type=int, metavar="K", help="With masks, how many parties may drop out. [default: 0]"
)
@click.option(
    "--scheme",
    type=click.Choice(SCHEMES),
    default="paillier",
    help="masks: no key at all, anyone opens the sum. [default: paillier]",
)
@click.option("--name", default="round", metavar="TEXT", help="What to call the round. [default: round]")
@options.key(".pub")
@options.identity
@options.ledger
@options.output("round.plan")
@options.talkative
def plan(
    like: str,
    parties: int | None,
    party_cards: tuple[str, ...],
    aggregator: tuple[str, ...],
    keyholder: tuple[str, ...],
    bits: int,
    value_range: float | None,
    rounding: str | None,
    min_parties: int,
    max_weight: int,
    randomness: str,
    require_verified: bool,
    masks: bool,
    dropouts: int | None,
    scheme: str,
    name: str,
    key: str | None,
    identity: str | None,
    ledger: str | None,
    output: str | None,
    force: bool,
    console: Console,
) -> None:
    """Agree on how a round is done.

    Writes the plan, proves that no lane can overflow, and says what the round
    will cost. Every party encrypts with the same plan. A tensor of zeros in
    TENSORS gets the widest range among the others.

    \b
      hecli plan --like grads.npz --parties 5
      hecli plan --like grads.npz --parties 20 --bits 8 --range 0.5
      hecli plan --like grads.npz --parties 5 --max-weight 10000
      hecli plan --like grads.npz --party anna.card --party bob.card --identity anna.id
      hecli plan --like grads.npz --party anna.card --party bob.card --identity anna.id --masks
      hecli plan --like grads.npz --party a.card ... --identity anna.id --masks --dropouts 2
    """
    if (parties is None) != bool(party_cards):
        raise click.UsageError("give either --parties, or a --party for each of them")
    if not party_cards and (aggregator or keyholder):
        raise click.UsageError("--aggregator and --keyholder need a roster: --party")
    if not party_cards and (masks or scheme == "masks"):
        raise click.UsageError("masks need a roster: --party")
    if dropouts is not None and not (masks or scheme == "masks"):
        raise click.UsageError("--dropouts is for masks: add --masks")
    if key is not None and scheme == "masks":
        raise click.UsageError("--scheme masks has no key")
    target = output or (STANDARD if like == STANDARD else "round.plan")
    check_output(target, force=force)
    public, shares = options.load_plan_key(key) if scheme == "paillier" else (None, None)
    signer = options.load_identity(identity, console)
    record = options.recorder(ledger, signer)
    if party_cards and signer is None:
        raise RefusedError("a plan with a roster is signed", "pass --identity, the coordinator's .id file")
    roster = _roster(party_cards, aggregator, keyholder, signer) if party_cards and signer else None
    with open_input(like) as stream:
        made = planning.make_plan(
            stream,
            public,
            parties,
            bits=bits,
            value_range=value_range,
            rounding=rounding,
            min_parties=min_parties,
            max_weight=max_weight,
            randomness=randomness,
            name=name,
            roster=roster,
            require_verified=require_verified,
            opens=shares,
            dropouts=dropouts or 0 if masks or scheme == "masks" else None,
        )
    with open_output(target, force=force) as stream:
        digest = write_plan(made, stream, signer)
        members = made.roster.members if made.roster else ()
        record("plan", plan=made.digest, files=[(target, digest)], cards=members)
    costs = planning.costs(made)
    facts = {"file": target} | plan_facts(made) | {"costs": vars(costs)}
    console.summary(facts, _text(target, made, costs), to_stdout=target != STANDARD)


def _roster(
    parties: tuple[str, ...], aggregator: tuple[str, ...], keyholder: tuple[str, ...], signer: Identity
) -> Roster:
    return Roster.of(
        options.load_cards(parties),
        options.load_cards(aggregator),
        options.load_cards(keyholder),
        coordinator=signer.card,
    )


def _text(target: str, plan: Plan, costs: planning.Costs) -> str:
    bound = max(plan.error_bound(tensor) for tensor in plan.tensors)
    steps = [tensor.step * plan.qmax for tensor in plan.tensors]
    ranges = f"±{min(steps):.3g}" if min(steps) == max(steps) else f"±{min(steps):.3g} to ±{max(steps):.3g}"
    ratio = costs.file_bytes / (4 * plan.values)
    largest = 2 * plan.qmax * plan.capacity
    seconds = (
        f"encrypt {costs.encrypt_seconds:.2g}, aggregate {plan.capacity} files "
        f"{costs.aggregate_seconds:.2g}, decrypt {costs.decrypt_seconds:.2g}"
    )
    lines = [
        f"{label(target)}: {plan.name!r}, digest {plan.digest.hex()[:16]}",
        f"key          {plan.key.fingerprint if plan.has_key else 'none, masks alone'}",
        f"tensors      {count(len(plan.tensors), 'tensor')}, {count(plan.values, 'value')}",
        f"parties      {plan.min_parties} to {plan.capacity}, weights up to {plan.max_weight:,}",
        *_roster_lines(plan.roster),
        *_mask_lines(plan),
        *([f"to open      {plan.opens.threshold} of {plan.opens.shares} shares"] if plan.opens else []),
        f"values       {plan.bits} bits, range {ranges}, rounded {plan.rounding}",
        f"lanes        {plan.lane_width} bits; at capacity the largest sum is {largest:,}, which fits",
        f"ciphertexts  {plan.ciphertexts:,}, {plan.values_per_ciphertext} values in each",
        f"file         {count_bytes(costs.file_bytes)}, {ratio:.2f} times the values as float32",
        *([f"seconds      {seconds} (arithmetic)"] if plan.has_key else []),
        f"error        unless values are clipped, the mean is off by at most {bound:.3g}",
    ]
    if plan.max_weight > 1:
        heavy = max(plan.error_bound(tensor, plan.max_weight) for tensor in plan.tensors)
        lines.append(
            f"             if all weigh 1, and by at most {heavy:.3g} if all weigh {plan.max_weight:,}"
        )
    return "\n".join(lines)


def _mask_lines(plan: Plan) -> list[str]:
    if not plan.masks:
        return []
    if not plan.dropouts:
        return ["masks        every party's update is needed"]
    colluding = 2 * plan.answers - plan.capacity - 1
    needed = f"{plan.answers} updates and {plan.answers} answers are needed"
    return [
        f"masks        {needed}; holds against {count(colluding, 'colluding party', 'colluding parties')}"
    ]


def _roster_lines(roster: Roster | None) -> list[str]:
    if roster is None:
        return []
    names = ", ".join(roster.parties[:SHOWN]) + (" ..." if len(roster.parties) > SHOWN else "")
    return [f"roster       {names}; signed by {roster.coordinator}"]
