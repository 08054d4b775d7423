"""What a plan is held to: itself, other plans, and tensors."""

from hecli.codec import control
from hecli.errors import HecliError, MismatchError
from hecli.formats.tensors.specs import TENSOR_LIMIT, TensorSpec, by_name, check_specs, check_tensor_name
from hecli.formats.text import check_name
from hecli.plan.data import ID_SIZE, Plan
from hecli.plan.parts import Masked, size_of
from hecli.plan.private import check_private
from hecli.privacy.guarantee import RECORD
from hecli.schemes.interface import KEY, SHARES

MAX_CAPACITY = 1 << 14
MAX_WEIGHT = (1 << 32) - 1

THE_PLAN = "the plan"
"""What errors call the plan that was given."""

_ONE_LAYOUT = "all parties of a round have the same tensors: names, shapes and dtypes"


def check_plan(plan: Plan) -> None:
    """Prove that a plan can be kept, at capacity and for any values.

    Args:
        plan: The plan.

    Raises:
        HecliError: It cannot.
    """
    check_name(plan.name)
    if len(plan.id) != ID_SIZE:
        raise HecliError("the round's id has the wrong length")
    _within("the number of parties", plan.capacity, 2, MAX_CAPACITY)
    # An aggregate of one is one party's secret: no plan may have it opened.
    _within("the fewest parties", plan.min_parties, 2, plan.capacity)
    _within("the largest weight", plan.max_weight, 1, MAX_WEIGHT)
    if plan.roster is not None and len(plan.roster.parties) != plan.capacity:
        raise HecliError("the number of parties is not that of the roster")
    # What is opened about a model once goes by names, which without a roster anybody may claim.
    if plan.position is not None and plan.roster is None:
        raise HecliError("a round of a training has no roster")
    check_specs(plan.tensors, "the plan")
    if plan.tensors != by_name(plan.tensors):
        raise HecliError("the tensors are not in order of their names")
    _check_skipped(plan)
    plan.codec.check(plan.tensors, plan.capacity)
    plan.scheme.check(plan.roster, plan.capacity, plan.min_parties)
    _check_parts(plan)
    if (plan.privacy is None) != (plan.codec.quantise.tail == 0):
        raise HecliError("values have room for noise, and there is none, or the other way round")
    if plan.privacy is not None:
        check_private(plan, plan.privacy)
    for part in plan.geometry.parts:
        # The largest sum a lane can hold at capacity; the count beside it is never larger.
        largest = (plan.codec.largest * plan.capacity + 1) ** part.packing.digits - 1
        fits = not largest >> part.packing.width and part.packing.lanes >= 2
        if not fits or part.carrier.room < 8 * control.SIZE:
            raise HecliError("a lane would overflow", "use fewer bits or fewer parties")


def check_same(plan: Plan, other: Plan, file: str, other_file: str) -> None:
    """Refuse files that follow different plans.

    Args:
        plan: The plan of one file.
        other: That of the other.
        file: What the one is called.
        other_file: What the other is called.

    Raises:
        MismatchError: They differ; it says in what.
    """
    if plan == other:
        return
    if plan.scheme.name == other.scheme.name:
        mine, theirs = plan.scheme.describe().get("key"), other.scheme.describe().get("key")
        if mine != theirs:
            raise MismatchError(
                f"{file} is under the key {mine}, {other_file} under {theirs}",
                "files of one round share one key",
            )
    if (plan.name, plan.id) != (other.name, other.id):
        mine, theirs = repr(plan.name), repr(other.name)
        if mine == theirs:
            mine, theirs = (f"{mine} (digest {each.digest.hex()[:16]})" for each in (plan, other))
            theirs = f"another {theirs}"
        this = f"{file} is {mine}" if file == THE_PLAN else f"{file} follows {mine}"
        raise MismatchError(
            f"{other_file} follows {theirs}, {this}",
            "files of one round carry one plan: leave out the others, or encrypt with the same --plan",
        )
    if plan.tensors != other.tensors:
        check_tensors(plan, other.tensors, other_file, file)
    one, two = plan.to_map(), other.to_map()
    differing = sorted(key for key in one | two if one.get(key) != two.get(key))
    raise MismatchError(
        f"{file} and {other_file} follow different plans (they differ in {', '.join(differing)})",
        "files of one round carry one plan: encrypt with the same --plan",
    )


def check_tensors(plan: Plan, specs: tuple[TensorSpec, ...], file: str, who: str = THE_PLAN) -> None:
    """Refuse tensors that are not those of a plan.

    Args:
        plan: The plan.
        specs: The tensors; those that it skips may be among them.
        file: Where they are from.
        who: What the plan is called.

    Raises:
        MismatchError: They differ; it says which, and how.
    """
    mine = {spec.name: spec for spec in plan.tensors}
    skipped = frozenset(plan.skipped)
    theirs = {spec.name: spec for spec in specs if spec.name not in skipped}
    for name in sorted(mine.keys() - theirs.keys()):
        raise MismatchError(f"{file} has no tensor {name}, which {who} calls for", _ONE_LAYOUT)
    for name in sorted(theirs.keys() - mine.keys()):
        raise MismatchError(f"{file} has a tensor {name}, which {who} does not know", _ONE_LAYOUT)
    for name, spec in mine.items():
        if theirs[name].shape != spec.shape:
            raise MismatchError(
                f"{file}: tensor {name} has shape {list(theirs[name].shape)}, "
                f"{who} calls for {list(spec.shape)}",
                _ONE_LAYOUT,
            )
        if theirs[name].dtype != spec.dtype:
            sums = plan.privacy is not None and plan.privacy.unit == RECORD
            raise MismatchError(
                f"{file}: tensor {name} has dtype {theirs[name].dtype}, {who} calls for {spec.dtype}",
                "add up what records add in float64: to convert a sum of less would not do"
                if sums
                else f"convert it with array.astype('{spec.dtype}')",
            )


def possible_totals(plan: Plan, count: int, weight: int, clipped: int) -> bool:
    """Tell whether so many parties can have these totals.

    Args:
        plan: The plan.
        count: How many parties.
        weight: Their weights together.
        clipped: How many of their values were clipped.

    Returns:
        Whether they can.
    """
    # Where there is noise, how many were clipped would tell of what it is to hide.
    most = 0 if plan.privacy is not None else count * plan.geometry.values
    return count <= weight <= count * plan.max_weight and 0 <= clipped <= most


def _check_skipped(plan: Plan) -> None:
    for name in plan.skipped:
        check_tensor_name(name, "the plan")
    if list(plan.skipped) != sorted(set(plan.skipped)):
        raise HecliError("the names of the skipped tensors are not in order, or one is there twice")
    for name in sorted({spec.name for spec in plan.tensors}.intersection(plan.skipped)):
        raise HecliError(f"tensor {name} is one of the round's, and skipped")
    if len(plan.tensors) + len(plan.skipped) > TENSOR_LIMIT:
        raise HecliError(f"there are more than {TENSOR_LIMIT:,} tensors, with those that are skipped")


def _check_parts(plan: Plan) -> None:
    """Refuse a plan of which a part cannot be, or that hides nothing of its model."""
    sizes = {spec.name: spec.size for spec in plan.tensors}
    named = [("masked", plan.masked.tensors)] if plan.masked is not None else []
    for what, names in [*named, ("plain", tuple(each.tensor for each in plan.plain))]:
        if list(names) != sorted(set(names)):
            raise HecliError(f"the names of the {what} tensors are not in order, or one is there twice")
        for name in names:
            if not sizes.get(name):
                raise HecliError(f"tensor {name} is {what}, and the round has no values of it")
    left = dict(sizes)
    if plan.masked is not None:
        _check_masked(plan, plan.masked)
        left |= dict.fromkeys(plan.masked.tensors, 0)
    if plan.plain:
        _check_plain(plan, sizes)
        left |= {tensor: left[tensor] - size_of(runs) for tensor, runs in plan.plain}
    if not any(count for name, count in left.items() if name not in plan.metrics):
        raise HecliError("nothing of the model is left to encrypt", "let --plain and --masked match less")


def _check_coded(plan: Plan) -> None:
    """Refuse a codec by which what is plain tells of what is not."""
    if any(step.leaves_out for step in plan.codec.steps):
        raise HecliError(
            "what is left out of an update is sent with a later one, where it may be in the clear",
            "leave out --plain, or the rank or sample; --masked goes with both",
        )
    runs = {each.tensor: each for each in plan.plain}
    for at, spec in enumerate(plan.tensors):
        plain = runs.get(spec.name)
        if plain is None or plain.whole(spec.size):
            continue
        if plan.codec.steps or plan.codec.size(at, spec) != spec.size:
            raise HecliError(
                f"only some values of tensor {spec.name} are plain, and lanes are made of many values",
                "leave whole tensors in the clear, or send values as they are",
            )


def _check_masked(plan: Plan, masked: Masked) -> None:
    if not {KEY, SHARES} & plan.scheme.to_open:
        raise HecliError("the scheme masks everything already", "leave out --masked")
    if plan.scheme.masking not in (None, masked.masking):
        raise HecliError("all masks of a round come off with as many dropouts", "give one number of dropouts")
    masked.masking.check(plan.roster, plan.capacity)


def _check_plain(plan: Plan, sizes: dict[str, int]) -> None:
    if plan.scheme.masking is not None:
        raise HecliError(
            "masks over everything leave nothing in the clear",
            "leave out --plain, or the masks; --masked hides some tensors under masks alone",
        )
    masked = frozenset(plan.masked.tensors if plan.masked is not None else ())
    for tensor, runs in plan.plain:
        if tensor in masked:
            raise HecliError(
                f"tensor {tensor} is masked, and plain", "let one of --masked and --plain match it"
            )
        edges = [edge for run in runs for edge in run]
        # Of runs that touch there would be two ways to write one part.
        if edges != sorted(set(edges)) or edges[0] < 0 or edges[-1] > sizes[tensor]:
            raise HecliError(f"the values of tensor {tensor} that are plain are not in order, or none of its")
    _check_coded(plan)


def _within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise HecliError(
            f"{what} must be from {least:,} to {most:,}, not {value:,}", "make a plan within these limits"
        )
