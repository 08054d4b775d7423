"""The plan: how one round is done, on which all parties agree before it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hecli.codec.chain import Codec
from hecli.codec.interface import Common
from hecli.codec.low_rank import LowRank
from hecli.formats.canonical import Map, digest_of, pack
from hecli.formats.tensors.specs import TensorSpec, pack_specs
from hecli.identity.roster import Roster
from hecli.plan.geometry import Geometry
from hecli.plan.parts import Masked, Part, Published
from hecli.plan.position import Position
from hecli.privacy.account import Spending
from hecli.privacy.guarantee import Privacy
from hecli.schemes.interface import ENROLLMENTS, Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.round import Round

if TYPE_CHECKING:
    from hecli.codec.basis import Basis

ID_SIZE = 16


@dataclass(frozen=True)
class Plan:
    """How one round is done.

    Args:
        name: What people call the round.
        id: Random, so that no two rounds share a plan.
        tensors: The tensors of every update, sorted by name.
        codec: How they become plaintexts.
        scheme: How plaintexts are hidden, added, and opened.
        capacity: The most parties that a lane has room for.
        min_parties: The fewest contributors of a sum that may be opened.
        max_weight: The weight that leaves values unscaled.
        roster: Who takes part; then every file is signed.
        position: Where in a training the round stands, if it is of one.
        metrics: The names of tensors that are no part of the model, but measures of it.
        skipped: The names of tensors that are left out of the round, sorted.
        masked: What travels under masks alone, beside what the scheme hides.
        plain: What travels in the clear, sorted by tensor.
        privacy: The noise that parties add, each a part.
    """

    name: str
    id: bytes
    tensors: tuple[TensorSpec, ...]
    codec: Codec
    scheme: Scheme
    capacity: int
    min_parties: int = 2
    max_weight: int = 1
    roster: Roster | None = None
    position: Position | None = None
    metrics: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    masked: Masked | None = None
    plain: tuple[Published, ...] = ()
    privacy: Privacy | None = None

    @cached_property
    def geometry(self) -> Geometry:
        """The sizes of everything in the round."""
        return Geometry.of(self.tensors, self.codec, self.scheme, self.capacity, self.masked, self.plain)

    @property
    def to_encrypt(self) -> frozenset[str]:
        """What encrypting takes, for all parts."""
        return frozenset().union(*(part.carrier.to_encrypt for part in self.geometry.parts))

    @property
    def to_open(self) -> frozenset[str]:
        """What opening takes, for all parts."""
        return frozenset().union(*(part.carrier.to_open for part in self.geometry.parts))

    @property
    def enrolls(self) -> bool:
        """Whether parties enroll before they encrypt."""
        return ENROLLMENTS in self.to_encrypt

    @property
    def masking(self) -> Masking | None:
        """The masks of whichever parts have any, which all have the same rules."""
        return self.scheme.masking if self.masked is None else self.masked.masking

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over the plan's canonical encoding."""
        return digest_of("plan", pack(self.to_map()))

    @property
    def subject(self) -> bytes:
        """What a secret is used on once: two sums about one model together show what single parties sent.

        The model, where the plan says it; else the round, of which nobody knows
        whether its updates are about the model of another.
        """
        return self.digest if self.position is None else self.position.model

    @property
    def spending(self) -> Spending | None:
        """What an update with noise costs whose data is behind it."""
        if self.privacy is None:
            return None
        return Spending.of(self.digest, self.name, self.privacy, self.min_parties)

    def common(self, basis: "Basis | None" = None) -> Common:
        """Gather what all parties of the round know, for its codec.

        Args:
            basis: The bases of matrices, for a codec with low rank.

        Returns:
            It.

        Raises:
            MismatchError: The bases are not the plan's.
            RefusedError: There are none.
        """
        step = self.codec.step(LowRank)
        if step is not None:
            step.check_basis(basis, self.tensors)
        return Common(self.tensors, self.digest, {} if basis is None else basis.columns)

    @property
    def round(self) -> Round:
        """What the scheme is told of the round."""
        return self.round_of(self.geometry.main)

    def round_of(self, part: Part) -> Round:
        """Give what is told of the round to that under which a part travels.

        Args:
            part: The part.

        Returns:
            It.
        """
        sizes = self.geometry
        batches = sizes.batches(part)
        groups = sizes.groups if part is sizes.main else batches
        return Round(
            self.digest, self.roster, self.capacity, sizes.blocks_of(part), batches, groups, part.masks
        )

    def to_map(self) -> Map:
        """Write the plan as it stands in a header.

        Returns:
            The map.
        """
        value: Map = {
            "name": self.name,
            "id": self.id,
            "tensors": pack_specs(self.tensors),
            "codec": self.codec.to_list(),
            "scheme": self.scheme.to_map(),
            "capacity": self.capacity,
            "min_parties": self.min_parties,
            "max_weight": self.max_weight,
        }
        # What a round does without does not stand in its plan.
        if self.roster is not None:
            value["roster"] = self.roster.to_map()
        if self.position is not None:
            value["position"] = self.position.to_map()
        if self.metrics:
            value["metrics"] = list(self.metrics)
        if self.skipped:
            value["skipped"] = list(self.skipped)
        if self.masked is not None:
            value["masked"] = self.masked.to_map()
        if self.plain:
            value["plain"] = [each.to_list() for each in self.plain]
        if self.privacy is not None:
            value["privacy"] = self.privacy.to_map()
        return value
