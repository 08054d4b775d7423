"""The plan: how one round is done, on which all parties agree before it.

Everything else follows from it: lane width, values per ciphertext, how many
ciphertexts an update has, and the error the mean can have.
"""

import math
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hecli.arithmetic.gmp import check_modulus_size, ciphertext_size, plaintext_size
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.formats.canonical import Map, digest_of, fields, pack
from hecli.formats.envelope import Reader
from hecli.formats.names import check_name
from hecli.formats.rounds import Contributor
from hecli.formats.tensors.layout import HALF_ULPS, TensorSpec, check_layout
from hecli.identity.roster import Roster
from hecli.identity.signatures import FORGED, Identity, signer_of
from hecli.schemes.masks.streams import RING
from hecli.schemes.paillier.key_files import int_bytes, parse_int
from hecli.schemes.paillier.keys import MAX_BITS, RANDOMNESS, PublicKey
from hecli.schemes.paillier.share_files import Opens

ROUNDINGS = ("nearest", "stochastic")
SCHEMES = ("paillier", "masks")
MAX_LANE_BITS = 32
MAX_CAPACITY = 1 << 14
MAX_WEIGHT = (1 << 32) - 1
ID_SIZE = 16
CONTROL_LANE = 64
"""Bits of each of the control block's three lanes: count, weight, clipped."""

SMALLEST = {"float16": 2.0**-25}
"""Half the distance of the smallest numbers of a dtype, where a step may come near it."""

DEFAULT_BITS = 32
DEFAULT_STEP = 2.0**-24
DEFAULT_CAPACITY = 256


@dataclass(frozen=True)
class Tensor:
    """One tensor of the plan: what it is, and the step its values are rounded to."""

    spec: TensorSpec
    step: float


@dataclass(frozen=True)
class Control:
    """What the control block carries: how many parties, their weights, their clipped values."""

    count: int
    weight: int
    clipped: int

    def pack(self) -> int:
        """The plaintext of the control block."""
        return (self.count << 2 * CONTROL_LANE) | (self.weight << CONTROL_LANE) | self.clipped

    @classmethod
    def unpack(cls, plaintext: int) -> "Control":
        """The control block in a plaintext; a wrong one shows in a count out of all proportion."""
        mask = (1 << CONTROL_LANE) - 1
        return cls(plaintext >> 2 * CONTROL_LANE, (plaintext >> CONTROL_LANE) & mask, plaintext & mask)


@dataclass(frozen=True)
class Plan:
    """How one round is done.

    `n` is the public key; `tensors` are sorted by name; `bits` is the size of
    a quantised value, sign included; `capacity` the most parties a lane has
    room for; `min_parties` the fewest contributors that may be opened;
    `max_weight` the weight that leaves values unscaled. With a `roster` every
    file is signed; where `require_verified`, a keyholder opens only what it
    has recomputed from the updates. `opens` says how many shares of the key
    it takes to open a sum, where the key is in shares. Where `dropouts` is a
    number, parties hide their plaintexts with masks, from the keyholder too, and
    only the sum of all but so many opens; in the scheme `masks` that is all
    there is, and `n` the modulus of masks.
    """

    name: str
    id: bytes
    n: int
    tensors: tuple[Tensor, ...]
    bits: int
    rounding: str
    capacity: int
    min_parties: int
    max_weight: int
    randomness: str
    roster: Roster | None = None
    require_verified: bool = False
    opens: Opens | None = None
    dropouts: int | None = None
    scheme: str = "paillier"

    @property
    def key(self) -> PublicKey:
        """The key everything is encrypted under."""
        return PublicKey(self.n)

    @property
    def masks(self) -> bool:
        """Whether updates are masked."""
        return self.dropouts is not None

    @property
    def answers(self) -> int:
        """The fewest contributors of a masked sum; where parties may drop out, also the fewest answers."""
        return self.capacity - (self.dropouts or 0)

    @property
    def has_key(self) -> bool:
        """Whether there is a key, and not masks alone."""
        return self.scheme == "paillier"

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors without their steps."""
        return tuple(tensor.spec for tensor in self.tensors)

    @property
    def qmax(self) -> int:
        """The largest quantised value, 2^(bits-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    @property
    def lane_width(self) -> int:
        """Bits of a lane: as many as the largest possible sum, 2*qmax*capacity, needs."""
        return (2 * self.qmax * self.capacity).bit_length()

    @property
    def lanes(self) -> int:
        """Lanes in a plaintext, the count lane included; a plaintext stays below n."""
        return (self.n.bit_length() - 1) // self.lane_width

    @property
    def values_per_ciphertext(self) -> int:
        """Lanes that hold values: all but the count lane."""
        return self.lanes - 1

    @property
    def values(self) -> int:
        """Values of all tensors together."""
        return sum(tensor.spec.size for tensor in self.tensors)

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of an update: the control block, and those that hold lanes."""
        return 1 + -(-self.values // self.values_per_ciphertext)

    @property
    def ciphertext_size(self) -> int:
        """Bytes of a ciphertext, or of the masked plaintext that goes in its place."""
        return ciphertext_size(self.n) if self.has_key else plaintext_size(self.n)

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of all ciphertexts of an update together."""
        return self.ciphertexts * self.ciphertext_size

    @property
    def plaintext_size(self) -> int:
        """Bytes of a plaintext."""
        return plaintext_size(self.n)

    @property
    def lane_size(self) -> int:
        """Bytes of a lane in an encoded file: the least power of two that holds it."""
        return _word(self.bits)

    @property
    def sum_size(self) -> int:
        """Bytes of a lane sum in a sum file: the least power of two that holds it."""
        return _word(self.lane_width)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the plan's canonical encoding."""
        return digest_of("plan", pack(self.to_map()))

    def error_bound(self, tensor: Tensor, mean_weight: int = 1) -> float:
        """The most that a mean can differ from the true mean where nothing is clipped.

        Half a step (nearest) or one step (stochastic), times the largest
        weight over the mean weight, which in the worst case is 1.
        The small factor covers the float64 arithmetic around the rounding. To
        it comes what rounding the mean to the tensor's own dtype can change:
        half an ulp at the end of the range, and of float16's smallest numbers.
        """
        steps = 0.5 if self.rounding == "nearest" else 1.0
        bound = steps * (1 + 2.0**-16) * tensor.step * self.max_weight / mean_weight
        largest = self.qmax * tensor.step * self.max_weight / mean_weight
        return bound + HALF_ULPS.get(tensor.spec.dtype, 0.0) * largest + SMALLEST.get(tensor.spec.dtype, 0.0)

    def possible_totals(self, count: int, weight: int, clipped: int) -> bool:
        """Whether so many parties can have these total weights and clipped values."""
        return count <= weight <= count * self.max_weight and clipped <= count * self.values

    def to_map(self) -> Map:
        """The plan as it stands in a header."""
        tensors = [
            [each.spec.name, each.spec.dtype, list(each.spec.shape), each.step] for each in self.tensors
        ]
        value: Map = {
            "name": self.name,
            "id": self.id,
            "tensors": tensors,
            "bits": self.bits,
            "rounding": self.rounding,
            "capacity": self.capacity,
            "min_parties": self.min_parties,
            "max_weight": self.max_weight,
            "randomness": self.randomness,
        }
        # What a round does without does not stand in its plan.
        if self.has_key:
            value["key"] = int_bytes(self.n)
        else:
            value["scheme"] = self.scheme
        if self.masks:
            value["masks"] = {"dropouts": self.dropouts}
        if self.roster is not None:
            value["roster"] = self.roster.to_map()
        if self.require_verified:
            value["require_verified"] = True
        if self.opens is not None:
            value["opens"] = self.opens.pack()
        return value

    @classmethod
    def from_map(cls, value: Map, file: str) -> "Plan":
        """The plan in a header; raises FormatError where it is not one that can be kept."""
        what = "its plan"
        types: dict[str, type | tuple[type, ...]] = {
            "name": str,
            "id": bytes,
            "tensors": list,
            "bits": int,
            "rounding": str,
            "capacity": int,
            "min_parties": int,
            "max_weight": int,
            "randomness": str,
        }
        optional: dict[str, type | tuple[type, ...]] = {
            "key": bytes,
            "scheme": str,
            "masks": dict,
            "roster": dict,
            "require_verified": bool,
            "opens": dict,
        }
        fields(value, file, what, types, optional)
        rest = {key: value[key] for key in types if key != "tensors"}
        tensors = tuple(_tensor(item, file) for item in value["tensors"])
        roster = Roster.from_map(value["roster"], file) if "roster" in value else None
        verified = value.get("require_verified", False)
        if verified != ("require_verified" in value):
            raise FormatError(f"{file}: its plan is not in canonical form")
        plan = cls(
            n=_modulus(value, file),
            tensors=tensors,
            **rest,
            roster=roster,
            require_verified=verified,
            opens=Opens.parse(value["opens"], file) if "opens" in value else None,
            dropouts=_dropouts(value, file),
            scheme=value.get("scheme", "paillier"),
        )
        try:
            plan.check()
        except HecliError as error:
            raise FormatError(f"{file}: in its plan, {error.message}", error.hint) from error
        return plan

    @classmethod
    def read(cls, reader: Reader) -> "Plan":
        """The plan in a plan file, signed by its coordinator where it names one; raises FormatError."""
        reader.require("plan")
        reader.require_body(0, 0)
        fields(reader.header, reader.name, "its header", {"plan": dict})
        plan = cls.from_map(reader.header["plan"], reader.name)
        signer = signer_of(reader, plan.digest)
        if plan.roster is not None and signer != plan.roster.cards[plan.roster.coordinator]:
            raise FormatError(
                f"{reader.name}: is not signed by its coordinator {plan.roster.coordinator}", FORGED
            )
        return plan

    def check(self) -> None:
        """Prove that the plan can be kept, at capacity and for any values; raises HecliError."""
        check_name(self.name)
        if len(self.id) != ID_SIZE:
            raise HecliError("the round's id has the wrong length")
        self._check_key_and_masks()
        _within("bits", self.bits, 2, MAX_LANE_BITS)
        _within("the number of parties", self.capacity, 2, MAX_CAPACITY)
        # An aggregate of one is one party's secret: no plan may have it opened.
        _within("the fewest parties", self.min_parties, 2, self.capacity)
        _within("the largest weight", self.max_weight, 1, MAX_WEIGHT)
        for value, choices in ((self.rounding, ROUNDINGS), (self.randomness, RANDOMNESS)):
            if value not in choices:
                raise HecliError(f"{value[:64]!r} is none of {', '.join(choices)}")
        if self.roster is not None and len(self.roster.parties) != self.capacity:
            raise HecliError("the number of parties is not that of the roster")
        check_layout(self.specs, "the plan")
        names = [spec.name for spec in self.specs]
        if names != sorted(names):
            raise HecliError("the tensors are not in order of their names")
        for tensor in self.tensors:
            if not (math.isfinite(tensor.step) and 0 < tensor.step < 2.0**512) or tensor.step < 2.0**-512:
                raise HecliError(f"tensor {tensor.spec.name} has the impossible step {tensor.step!r}")
        # The largest sum a lane can hold at capacity, and the count beside it.
        if max(2 * self.qmax * self.capacity, self.capacity) >> self.lane_width or self.lanes < 2:
            raise HecliError("a lane would overflow", "use fewer bits or fewer parties")

    def _check_key_and_masks(self) -> None:
        if self.has_key:
            check_modulus_size(self.n)
            if self.n.bit_length() > MAX_BITS:
                raise HecliError(f"a key of {self.n.bit_length():,} bits is too long")
        elif not self.masks or self.opens is not None:
            raise HecliError("a plan without a key needs masks, and has no shares")
        if self.masks and self.roster is None:
            raise HecliError("masks are agreed between parties of a roster", "give each --party's card")
        # Answers about two sets of contributors would need two majorities.
        if self.masks and not 0 <= 2 * (self.dropouts or 0) < self.capacity:
            raise HecliError(
                f"{self.dropouts} of {self.capacity} parties are too many to drop out",
                "more than half of the parties have to stay: lower --dropouts",
            )

    def check_same(self, other: "Plan", file: str, other_file: str) -> None:
        """Raise MismatchError, saying what differs, unless both are the same plan."""
        if self == other:
            return
        if self.has_key and other.has_key and self.n != other.n:
            raise MismatchError(
                f"{file} is under the key {self.key.fingerprint}, {other_file} under {other.key.fingerprint}",
                "files of one round share one key",
            )
        if self.specs != other.specs:
            self.check_layout(other.specs, other_file, file)
        mine, theirs = self.to_map(), other.to_map()
        differing = sorted(key for key in mine | theirs if mine.get(key) != theirs.get(key))
        raise MismatchError(
            f"{file} and {other_file} follow different plans (they differ in {', '.join(differing)})",
            "files of one round carry one plan: encrypt with the same --plan",
        )

    def check_signed(self, reader: Reader, contributors: tuple[Contributor, ...]) -> None:
        """Raise unless an update, aggregate or sum is signed as the roster asks, and so is all in it.

        Without a roster a file need not be signed, but a signature there is must hold.
        """
        signer = signer_of(reader, self.digest)
        if self.roster is not None:
            self.roster.check_signer(signer, reader.kind, reader.name)
        if reader.kind == "update":
            if signer is not None and signer.name != contributors[0].party:
                raise FormatError(
                    f"{reader.name}: is {contributors[0]}'s, and signed by {signer.name}", FORGED
                )
        elif self.roster is not None:
            self.roster.check_contributors(contributors, self.digest, reader.name)
        elif any(each.signature is not None for each in contributors):
            raise FormatError(f"{reader.name}: has signed contributors, and its plan no roster")

    def check_identity(self, identity: Identity | None, kind: str) -> None:
        """Raise RefusedError unless this identity, or nobody, may make a file of this kind."""
        if self.roster is not None:
            self.roster.check_identity(identity, kind)

    def check_layout(self, specs: tuple[TensorSpec, ...], file: str, plan: str = "the plan") -> None:
        """Raise MismatchError, saying which tensor and how, unless `specs` are the plan's."""
        mine, theirs = ({spec.name: spec for spec in each} for each in (self.specs, specs))
        for name in mine.keys() - theirs.keys():
            raise MismatchError(f"{file} has no tensor {name}, which {plan} calls for", _ONE_LAYOUT)
        for name in theirs.keys() - mine.keys():
            raise MismatchError(f"{file} has a tensor {name}, which {plan} does not know", _ONE_LAYOUT)
        for name, spec in mine.items():
            if theirs[name].shape != spec.shape:
                raise MismatchError(
                    f"{file}: tensor {name} has shape {list(theirs[name].shape)}, "
                    f"{plan} calls for {list(spec.shape)}",
                    _ONE_LAYOUT,
                )
            if theirs[name].dtype != spec.dtype:
                raise MismatchError(
                    f"{file}: tensor {name} has dtype {theirs[name].dtype}, {plan} calls for {spec.dtype}",
                    f"convert it with array.astype('{spec.dtype}')",
                )


_ONE_LAYOUT = "all parties of a round have the same tensors: names, shapes and dtypes"


def default_plan(n: int, specs: tuple[TensorSpec, ...]) -> Plan:
    """The plan of those who made none: the same for all parties with the same key and tensors."""
    return Plan(
        name="default",
        id=bytes(ID_SIZE),
        n=n,
        tensors=tuple(Tensor(spec, DEFAULT_STEP) for spec in specs),
        bits=DEFAULT_BITS,
        rounding="nearest",
        capacity=DEFAULT_CAPACITY,
        min_parties=2,
        max_weight=1,
        randomness="short",
    )


def new_id() -> bytes:
    """A random id for a round, so that no two rounds share a plan."""
    return secrets.token_bytes(ID_SIZE)


def _tensor(item: Any, file: str) -> Tensor:
    match item:
        case [str(name), str(dtype), list(shape), float(step)] if all(type(n) is int for n in shape):
            return Tensor(TensorSpec(name, dtype, tuple(shape)), step)
    raise FormatError(f"{file}: the list of tensors in its plan is malformed")


def _modulus(value: Map, file: str) -> int:
    """The modulus of a plan's plaintexts: the key, or that of masks where there is none."""
    if ("key" in value) == ("scheme" in value):
        raise FormatError(f"{file}: its plan has either a key or the scheme masks")
    if "key" in value:
        return parse_int(value["key"], file)
    if value["scheme"] != "masks":
        raise FormatError(
            f"{file}: its plan has the unknown scheme {value['scheme'][:64]!r}", "a newer hecli may know it"
        )
    return RING


def _dropouts(value: Map, file: str) -> int | None:
    if "masks" not in value:
        return None
    fields(value["masks"], file, "its masks", {"dropouts": int})
    dropouts: int = value["masks"]["dropouts"]
    return dropouts


def _within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise HecliError(
            f"{what} must be from {least:,} to {most:,}, not {value:,}", "make a plan within these limits"
        )


def _word(bits: int) -> int:
    return next(size for size in (1, 2, 4, 8) if bits <= 8 * size)
