"""What there is to say of a plan, and of what a round by it will cost."""

import math
from collections.abc import Sequence

from hecli.cli.files import label
from hecli.cli.inspect import lane_text
from hecli.cli.parts import part_lines
from hecli.codec.low_rank import LowRank, factored
from hecli.codec.quantise import MAX_BITS
from hecli.formats.text import count, count_bytes, duration
from hecli.identity.roster import Roster
from hecli.plan.costs import Costs, error_bound
from hecli.plan.data import Plan
from hecli.plan.settings import Setting, update_bytes
from hecli.privacy.describe import privacy_lines, shown
from hecli.privacy.guarantee import PARTY
from hecli.rounds.describe import describe_plan, scheme_lines

SHOWN = 6


def plan_text(
    target: str, plan: Plan, foreseen: Costs, others: Sequence[tuple[Setting, int]], rounds: int = 1
) -> str:
    """Say what a plan is, and what a round by it costs.

    Args:
        target: Where it was written.
        plan: The plan.
        foreseen: What a round costs.
        others: The bytes of an update in other settings.
        rounds: For how many rounds there is to be privacy, where there is noise.

    Returns:
        Lines, each with its title.
    """
    tensors, described = range(len(plan.tensors)), describe_plan(plan)["plan"]
    quantise, sizes = plan.codec.quantise, plan.geometry
    bound = max(error_bound(plan, at) for at in tensors)
    ranges = [step * (quantise.qmax - quantise.tail) for step in quantise.steps]
    width = (
        f"±{min(ranges):.3g}" if min(ranges) == max(ranges) else f"±{min(ranges):.3g} to ±{max(ranges):.3g}"
    )
    values, size = sum(spec.size for spec in plan.tensors), foreseen.file_bytes
    as_float = count_bytes(4 * values)
    whole = update_bytes(plan)
    share = f"{whole / (4 * values):.2g} times float32; ciphertexts {size / values:.3g} bytes a value"
    coded = [step.describe() for step in plan.codec.steps]
    largest = plan.codec.largest * plan.capacity
    lanes = lane_text(sizes.packing.width, sizes.packing.digits)
    lines = [
        f"{label(target)}: {plan.name!r}, digest {plan.digest.hex()[:16]}",
        *(f"{title:<12} {text}" for title, text in scheme_lines(plan)),
        f"tensors      {count(len(plan.tensors), 'tensor')}, {count(values, 'value')}, {as_float} as float32",
        f"parties      {plan.min_parties} to {plan.capacity}, weights up to {plan.max_weight:,}",
        *([f"skipped      {_some(plan.skipped)}"] if plan.skipped else []),
        *(f"{title:<12} {text}" for title, text in part_lines(described)),
        *noise_lines(plan, rounds),
        *_roster_lines(plan.roster),
        *([f"compression  {', '.join(coded)}"] if coded else []),
        *_factors(plan),
        f"values       {quantise.bits} bits, range {width}, rounded {quantise.rounding}",
        f"lanes        {lanes}; at capacity the largest sum is {largest:,}, which fits",
        f"ciphertexts  {sizes.blocks:,}, {sizes.packing.values} values in each",
        f"file         {count_bytes(whole)}, {share}",
        *_seconds(plan, foreseen),
        *_error(plan, bound),
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
    return "\n".join([*lines, *_other_lines(others)])


def noise_lines(plan: Plan, rounds: int) -> list[str]:
    """Say what noise comes to in a round, in all rounds, and in the mean.

    Args:
        plan: The plan.
        rounds: How many rounds there are.

    Returns:
        Lines, each with its title; none where there is no noise.
    """
    privacy, spending = plan.privacy, plan.spending
    if privacy is None or spending is None:
        return []
    lines = [f"{title:<12} {text}" for title, text in privacy_lines(describe_plan(plan)["plan"]["privacy"])]
    if rounds > 1:
        one, alone = spending.cost.times(rounds), spending.cost_alone.times(rounds)
        lines.append(
            f"             {shown(one.epsilon(privacy.delta))} in {rounds:,} rounds; "
            f"{shown(alone.epsilon(privacy.delta))} by the single updates"
        )
    noise = math.sqrt(privacy.variance / plan.capacity) * plan.codec.quantise.steps[0]
    # The root of the mean square over its values, of what is as long as the clip norm.
    typical = privacy.clip / math.sqrt(max(1, plan.geometry.values))
    whose = "an update" if privacy.unit == PARTY else "one record"
    lines.append(f"mean         noise of {noise:.3g} a value if all take part; {whose} has {typical:.3g}")
    return lines


def _factors(plan: Plan) -> list[str]:
    """Which matrices go as factors, and with what."""
    step = plan.codec.step(LowRank)
    if step is None:
        return []
    names = tuple(spec.name for spec in plan.tensors if factored(spec, step.rank))
    return [f"bases        digest {step.basis.hex()[:16]}, beside the plan, of {_some(names)}"]


def _error(plan: Plan, bound: float) -> list[str]:
    """What the plan promises of the mean, and of what is coded what that means for tensors."""
    if plan.privacy is not None:
        return []
    if not plan.codec.steps:
        return [f"error        unless values are clipped, the mean is off by at most {bound:.3g}"]
    norms = (
        error_bound(plan, at) * math.sqrt(plan.codec.coded(spec)) for at, spec in enumerate(plan.tensors)
    )
    rest = ", besides what is left out" if any(step.leaves_out for step in plan.codec.steps) else ""
    return [
        f"error        unless values are clipped, the mean of what is coded is off by at most {bound:.3g}",
        f"             and so that of a tensor by at most {max(norms):.3g} in its norm{rest}",
    ]


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


def _other_lines(others: Sequence[tuple[Setting, int]]) -> list[str]:
    """An update in other settings, a few to a line."""
    shown = [f"{setting}: {count_bytes(size)}" for setting, size in others]
    lines = [" · ".join(shown[at : at + 2]) for at in range(0, len(shown), 2)]
    return [f"{'beside' if not at else '':<12} {line}" for at, line in enumerate(lines)]
