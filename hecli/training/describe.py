"""What there is to say of a training's terms, for scripts and for people."""

from typing import Any

from hecli.codec.low_rank import RIGHT, LowRank
from hecli.formats.text import count
from hecli.privacy.describe import protected
from hecli.rounds.describe import describe_roster
from hecli.schemes.quantum import quantum_line, stays_closed
from hecli.training.deriving import FIRST_BITS, FIRST_RANGE, coding_of
from hecli.training.terms import Training

RULES = {
    "add": "parties make new weights; the mean difference, times {lr:g}, is added",
    "sgd": "parties make gradients; their mean, times {lr:g}, is subtracted",
    "replace": "parties make new weights; their mean is taken",
}


def describe_training(training: Training) -> dict[str, Any]:
    """Say what the terms are.

    Args:
        training: The terms.

    Returns:
        A map that JSON can hold, under the key `training`.
    """
    goal = training.goal
    return {
        "training": {
            "name": training.name,
            "id": training.id.hex(),
            "roster": describe_roster(training.roster),
            **training.scheme.describe(),
            "tensors": [
                {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
                for spec in training.tensors
            ],
            "post_quantum": stays_closed(training.scheme),
            "skipped": list(training.skipped),
            "model": training.model.hex(),
            "rule": training.rule,
            "lr": training.lr,
            "rounds": training.rounds,
            "bits": training.bits,
            "rounding": training.rounding,
            "range": training.range,
            "compression": _compression(training),
            "masked": None if training.masked is None else list(training.masked.tensors),
            "plain": list(training.plain),
            "privacy": None if training.privacy is None else training.privacy.to_map(),
            "max_weight": training.max_weight,
            "min_parties": training.min_parties,
            "deadline": training.deadline,
            "metrics": [each._asdict() for each in training.metrics],
            "goal": None if goal is None else goal._asdict(),
            "keep": training.keep,
            "lines": training_lines(training),
        }
    }


def training_lines(training: Training) -> list[str]:
    """Say what the terms are, for people: who coordinates first.

    Args:
        training: The terms.

    Returns:
        Lines, each with its title.
    """
    roster, parties = training.roster, len(training.roster.parties)
    values = sum(spec.size for spec in training.tensors)
    coordinator = roster.cards[roster.coordinator]
    lines = [
        ("coordinator", f"{coordinator.fingerprint} {coordinator.name}"),
        ("parties", ", ".join(roster.parties)),
        ("aggregate", ", ".join(roster.aggregators)),
        ("open sums", ", ".join(roster.keyholders)),
        *training.scheme.lines(parties),
        quantum_line(training.scheme, masked=training.masked is not None),
        ("model", f"{count(len(training.tensors), 'tensor')}, {values:,} values"),
        ("rule", RULES[training.rule].format(lr=training.lr)),
        ("rounds", f"{training.rounds:,} at most, of {training.min_parties} to {parties} parties"),
        ("values", _values(training)),
        ("deadline", _deadline(training)),
    ]
    if training.compresses:
        lines.append(("compression", f"{', '.join(_compression(training))}, from round 2 on"))
    if training.masked is not None:
        names = ", ".join(training.masked.tensors)
        lines.append(("masked", f"under masks alone: {names}"))
        if training.scheme.masking is None:
            lines += training.masked.masking.lines(parties)
    if training.plain:
        lines.append(("plain", f"in the clear, each party's own: {', '.join(training.plain)}"))
    if training.privacy is not None:
        promise = training.privacy
        lines += [
            ("promises", f"epsilon {promise.epsilon:.3g} at delta {promise.delta:g} in all rounds together"),
            ("", protected(promise.unit, promise.clip)),
            (
                "",
                f"with the noise of {training.min_parties} parties, less {promise.colluders} who may collude",
            ),
        ]
    if training.skipped:
        lines.append(("skipped", ", ".join(training.skipped)))
    if training.max_weight > 1:
        lines.append(("weights", f"up to {training.max_weight:,}"))
    if training.metrics:
        lines.append(("metrics", ", ".join(f"{each.name} up to {each.range:g}" for each in training.metrics)))
    if training.goal is not None:
        goal = training.goal
        said = f"{'largest' if goal.maximize else 'smallest'} {goal.metric}"
        said += "" if goal.target is None else f"; ends at {goal.target:g}"
        said += f"; ends after {goal.patience} rounds without a better one" if goal.patience else ""
        lines.append(("best model", said))
    return [f"{title:<12} {text}" for title, text in lines]


def _values(training: Training) -> str:
    if training.privacy is not None:
        return f"{training.bits} bits with their noise, on steps that follow from it"
    if training.range is None:
        first = f"{FIRST_BITS} bits within ±{FIRST_RANGE:g} in round 1, then {training.bits} bits"
    else:
        first = f"{training.bits} bits, within ±{training.range:g} in round 1"
    return f"{first}; ranges follow from the sum before"


def _compression(training: Training) -> list[str]:
    """What is done to values from round 2 on, besides rounding."""
    low_rank = None if training.rank is None else LowRank(training.rank, RIGHT, b"")
    return [step.describe() for step in coding_of(training, low_rank).steps]


def _deadline(training: Training) -> str:
    masking, parties = training.masking, len(training.roster.parties)
    needed = max(training.min_parties, masking.needed(parties) if masking else 0)
    if needed == parties:
        return "none: every round waits for all parties"
    return f"a round goes on without those who take longer than {_time(training.deadline)}"


def _time(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return count(seconds // size, unit)
    return count(seconds, "second")
