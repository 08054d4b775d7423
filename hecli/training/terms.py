"""The terms of a training, which its coordinator signs and every member accepts once."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO, NamedTuple

from hecli.codec.quantise import MAX_BITS, ROUNDINGS
from hecli.errors import DataError, FormatError, HecliError, RefusedError
from hecli.formats import envelope
from hecli.formats.canonical import Map, Types, fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader
from hecli.formats.tensors.specs import TensorSpec, pack_specs, parse_specs
from hecli.formats.text import check_name
from hecli.identity.roster import Roster
from hecli.identity.signatures import FORGED, Identity, signer, signer_of
from hecli.plan.data import ID_SIZE
from hecli.plan.parts import Masked
from hecli.plan.position import LAST_ROUND
from hecli.privacy.choosing import Promise
from hecli.privacy.guarantee import RECORD
from hecli.rounds.apply import RULES
from hecli.schemes.interface import Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.registry import parse_scheme

KIND = "training"
METRIC_LIMIT = 16
METRIC_NAME_LIMIT = 24
DEADLINE_LIMIT = 366 * 24 * 3600


class Metric(NamedTuple):
    """A measure of the model, of which only the weighted mean is opened.

    Args:
        name: Its name.
        range: The largest size it may have.
    """

    name: str
    range: float


class Goal(NamedTuple):
    """Which metric says how good a model is, and when it is good enough.

    Args:
        metric: Its name.
        maximize: Whether more is better.
        target: The value at which the training ends, if any.
        patience: After how many rounds without a better one it ends; 0 for never.
    """

    metric: str
    maximize: bool
    target: float | None
    patience: int

    def better(self, value: float, than: float) -> bool:
        """Tell whether a value is better than another.

        Args:
            value: The value.
            than: The other.

        Returns:
            Whether it is.
        """
        return value > than if self.maximize else value < than

    def reached(self, value: float) -> bool:
        """Tell whether a value is good enough to end.

        Args:
            value: The value.

        Returns:
            Whether it is.
        """
        return self.target is not None and not self.better(self.target, value)


@dataclass(frozen=True)
class Training:
    """The terms of a training.

    Args:
        name: What people call it.
        id: Random, so that no two trainings are one.
        roster: Who takes part, and in which roles.
        scheme: How updates are hidden, added, and opened.
        tensors: The model's tensors, sorted by name.
        skipped: The names of those that stay as they are.
        model: The digest of the first model.
        rule: How a mean moves the model, a key of RULES.
        lr: What it is multiplied with.
        rounds: How many rounds there are at most.
        bits: The bits of a value.
        rounding: How values are rounded.
        range: The largest size of a value in the first round; None where nobody knows.
        max_weight: The largest weight of a party.
        min_parties: The fewest parties of a round.
        deadline: After how many seconds a round goes on without those who are late.
        metrics: What is measured.
        goal: Which metric counts, if any.
        keep: How many rounds' large files stay in the folder; 0 for all.
        rotate: Whether values are rotated from round 2 on.
        rank: The rank of matrices from round 2 on; None where they go whole.
        sample: How many values of Sample's blocks go from round 2 on; None for all.
        masked: Which tensors travel under masks alone, beside what the scheme hides; None where none do.
        plain: The names of tensors that everybody may read, each party's own.
        privacy: What noise promises, if there is any.
    """

    name: str
    id: bytes
    roster: Roster
    scheme: Scheme
    tensors: tuple[TensorSpec, ...]
    skipped: tuple[str, ...]
    model: bytes
    rule: str
    lr: float
    rounds: int
    bits: int
    rounding: str
    range: float | None
    max_weight: int
    min_parties: int
    deadline: int
    metrics: tuple[Metric, ...]
    goal: Goal | None
    keep: int
    rotate: bool = False
    rank: int | None = None
    sample: int | None = None
    masked: Masked | None = None
    plain: tuple[str, ...] = ()
    privacy: Promise | None = None

    @property
    def masking(self) -> Masking | None:
        """The masks of whatever is masked."""
        return self.scheme.masking if self.masked is None else self.masked.masking

    @property
    def protects_records(self) -> bool:
        """Whether what parties send are sums over records, of which one changes little: gradients."""
        return self.privacy is not None and self.privacy.unit == RECORD

    @property
    def compresses(self) -> bool:
        """Whether updates are made smaller by more than their bits, from round 2 on."""
        return self.rotate or self.rank is not None or self.sample is not None

    @cached_property
    def names(self) -> dict[str, str]:
        """The members' names by the fingerprints of their cards, which files in the folder are called by."""
        return {card.fingerprint: card.name for card in self.roster.members}

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprints by the members' names."""
        return {name: fingerprint for fingerprint, name in self.names.items()}

    def to_map(self) -> Map:
        """Write the terms as the header of their file holds them.

        Returns:
            The map.
        """
        value: Map = {
            "name": self.name,
            "id": self.id,
            "roster": self.roster.to_map(),
            "scheme": self.scheme.to_map(),
            "tensors": pack_specs(self.tensors),
            "skipped": list(self.skipped),
            "model": self.model,
            "rule": self.rule,
            "lr": self.lr,
            "rounds": self.rounds,
            "bits": self.bits,
            "rounding": self.rounding,
            "max_weight": self.max_weight,
            "min_parties": self.min_parties,
            "deadline": self.deadline,
            "metrics": [list(each) for each in self.metrics],
            "keep": self.keep,
        }
        # What a training does without does not stand in its terms.
        if self.range is not None:
            value["range"] = self.range
        if self.rotate:
            value["rotate"] = True
        if self.rank is not None:
            value["rank"] = self.rank
        if self.sample is not None:
            value["sample"] = self.sample
        if self.masked is not None:
            value["masked"] = self.masked.to_map()
        if self.plain:
            value["plain"] = list(self.plain)
        if self.privacy is not None:
            value["privacy"] = self.privacy.to_map()
        if self.goal is not None:
            goal = self.goal._asdict()
            value["goal"] = (
                goal if self.goal.target is not None else {k: goal[k] for k in goal if k != "target"}
            )
        return value

    def check(self) -> None:
        """Refuse terms that no training can have; what concerns its plans shows in the first one.

        Raises:
            HecliError: They cannot be.
        """
        check_name(self.name)
        names = [each.name for each in self.metrics]
        specs = {spec.name for spec in self.tensors}
        for each in self.metrics:
            check_name(each.name)
            long = len(each.name) > METRIC_NAME_LIMIT or not {*each.name}.isdisjoint('"\\')
            if long or not 0 < each.range < float("inf"):
                raise HecliError(
                    f"the metric {each.name[:64]!r} cannot be",
                    f'use a name of at most {METRIC_NAME_LIMIT} characters, none of them " or \\, '
                    "and a range above 0",
                )
        for wrong, what in (
            (len(self.id) != ID_SIZE or len(self.model) != DIGEST_SIZE, "an id or digest in it"),
            (not 1 <= self.rounds <= LAST_ROUND, f"{self.rounds:,} rounds"),
            (not 1 <= self.deadline <= DEADLINE_LIMIT, f"a deadline of {self.deadline:,} s"),
            (self.rule not in RULES, f"the rule {self.rule[:64]!r}"),
            (not abs(self.lr) < float("inf"), f"a step of {self.lr} times the mean"),
            (not 2 <= self.bits <= MAX_BITS, f"values of {self.bits:,} bits"),
            (self.rounding not in ROUNDINGS, f"the rounding {self.rounding[:64]!r}"),
            (self.range is not None and not 0 < self.range < float("inf"), f"a range of {self.range}"),
            (names != sorted(set(names)) or len(names) > METRIC_LIMIT, "the list of metrics"),
            (self.goal is not None and self.goal.metric not in names, "a goal that is none of its metrics"),
            (list(self.skipped) != sorted(set(self.skipped)), "the list of skipped tensors"),
            (not set(self.skipped) < specs, "the list of skipped tensors"),
            (list(self.plain) != sorted(set(self.plain)), "the list of plain tensors"),
            (not {*self.plain} <= specs - {*self.skipped}, "the list of plain tensors"),
            (not _finite_target(self.goal), "a target that is no finite number"),
            (self.keep < 0 or (self.goal is not None and self.goal.patience < 0), "a number below 0"),
            (self.compresses and self.rule == "replace", "compression where the mean replaces the model"),
            (self.privacy is not None and self.rule == "replace", "noise where the mean replaces the model"),
            (self.protects_records and self.rule != "sgd", "records protected by another rule than sgd"),
            (self.privacy is not None and self.rounding != "nearest", "noise beside stochastic rounding"),
            (self.privacy is not None and bool(self.metrics), "metrics beside noise: they tell of the data"),
        ):
            if wrong:
                raise HecliError(f"a training cannot have {what}")
        if self.privacy is not None:
            self.privacy.check(self.rounds)

    @classmethod
    def from_map(cls, value: Map, file: str) -> "Training":
        """Read the terms from a header.

        Args:
            value: The header.
            file: The file, for errors.

        Returns:
            The terms.

        Raises:
            FormatError: They cannot be.
        """
        fields(value, file, "its header", _FIELDS, _OPTIONAL)
        if value.get("rotate") is False:
            raise FormatError(f"{file}: its header is malformed: rotate is left out where it is false")
        if not all(isinstance(name, str) for name in value["skipped"]):
            raise FormatError(f"{file}: its list of skipped tensors is malformed")
        plain = tuple(value.get("plain", ()))
        if ("plain" in value and not plain) or not all(isinstance(name, str) for name in plain):
            raise FormatError(f"{file}: its list of plain tensors is malformed")
        try:
            found = cls(
                **{
                    "range": None,
                    **value,
                    "roster": Roster.from_map(value["roster"], file),
                    "scheme": parse_scheme(value["scheme"], file),
                    "tensors": parse_specs(value["tensors"], file, "its list of tensors"),
                    "skipped": tuple(value["skipped"]),
                    "metrics": tuple(_metric(item, file) for item in value["metrics"]),
                    "goal": _goal(value["goal"], file) if "goal" in value else None,
                    "masked": Masked.parse(value["masked"], file) if "masked" in value else None,
                    "plain": plain,
                    "privacy": Promise.parse(value["privacy"], file) if "privacy" in value else None,
                }
            )
        except DataError as error:
            raise FormatError(error.message, error.hint) from error
        try:
            found.check()
        except HecliError as error:
            raise FormatError(f"{file}: {error.message}", error.hint) from error
        return found


_OPTIONAL: Types = {
    "range": float,
    "goal": dict,
    "rotate": bool,
    "rank": int,
    "sample": int,
    "masked": dict,
    "plain": list,
    "privacy": dict,
}

_FIELDS: Types = {
    "name": str,
    "id": bytes,
    "roster": dict,
    "scheme": dict,
    "tensors": list,
    "skipped": list,
    "model": bytes,
    "rule": str,
    "lr": float,
    "rounds": int,
    "bits": int,
    "rounding": str,
    "max_weight": int,
    "min_parties": int,
    "deadline": int,
    "metrics": list,
    "keep": int,
}


def write_training(training: Training, out: BinaryIO, identity: Identity) -> bytes:
    """Write a training file.

    Args:
        training: The terms.
        out: Where to.
        identity: The coordinator.

    Returns:
        The file's digest.

    Raises:
        RefusedError: The identity is not the coordinator's.
    """
    if identity.card != training.roster.cards[training.roster.coordinator]:
        raise RefusedError("a training is signed by its coordinator", "pass --identity, the coordinator's")
    # Every party seals to the others' cards in rounds with masks.
    header = training.to_map() | {"kem": training.roster.kem_keys}
    return envelope.write(out, KIND, header, sign=signer(identity, KIND))


def read_training(reader: Reader) -> Training:
    """Read a training file.

    Args:
        reader: The opened file.

    Returns:
        The terms.

    Raises:
        FormatError: It is none, or not signed by the coordinator that it names.
    """
    reader.require(KIND)
    reader.require_sections()
    terms = {field: value for field, value in reader.header.items() if field != "kem"}
    training = Training.from_map(terms, reader.name)
    roster = training.roster.knowing(reader.header.get("kem"), reader.name)
    training = replace(training, roster=roster)
    coordinator = training.roster.coordinator
    if signer_of(reader) != training.roster.cards[coordinator]:
        raise FormatError(f"{reader.name}: is not signed by its coordinator {coordinator}", FORGED)
    return training


def _metric(item: object, file: str) -> Metric:
    match item:
        case [str(name), float(size)]:
            return Metric(name, size)
    raise FormatError(f"{file}: a metric in it is malformed")


def _finite_target(goal: Goal | None) -> bool:
    return goal is None or goal.target is None or abs(goal.target) < float("inf")


def _goal(value: Map, file: str) -> Goal:
    types: Types = {"metric": str, "maximize": bool, "patience": int}
    fields(value, file, "its goal", types, {"target": float})
    return Goal(**{"target": None, **value})
