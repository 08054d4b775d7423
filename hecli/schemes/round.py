"""What a scheme is told: of the round, of who encrypts, and of who opens."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from hecli.formats.contributors import Contributor
from hecli.identity.roster import Roster
from hecli.identity.signatures import Identity
from hecli.schemes.masks.protocol import Enrollments
from hecli.schemes.masks.revealing import Answered

Open = Callable[[Iterable[bytes], int], Iterator[bytes]]
"""Opens batches of blocks, given the number of the first block; gives as many plaintexts."""


MASKS = "mask"
"""What the keys of masks are made for that hide what the plan's own scheme carries."""


class Opens(NamedTuple):
    """What opens blocks, and what proves it.

    Args:
        open: Opens.
        prove: Makes the proof of a sum, of what it is bound to (32 bytes), and
            of all groups, each with that, its number (4 bytes) and its blocks;
            None where sums have no proofs.
    """

    open: Open
    prove: Callable[[bytes, Iterable[bytes]], bytes] | None = None


class Round(NamedTuple):
    """What a scheme is told of the round it works in.

    Args:
        plan: The digest of the plan.
        roster: Who takes part, where the plan says it.
        parties: The most parties.
        blocks: Blocks of an update: those of its lanes, and the control block, which is the last;
            of a part of a round those of its lanes alone, and the same below.
        batches: Batches in which they are opened.
        groups: Groups in which they are made, numbered from 0, the control block's the last.
        masks: What the keys of masks are made for: no two parts of a round have the same.
    """

    plan: bytes
    roster: Roster | None
    parties: int
    blocks: int
    batches: int
    groups: int
    masks: str = MASKS


@runtime_checkable
class PublicKey(Protocol):
    """What is used to encrypt; `scheme` names the scheme that it is for."""

    scheme: ClassVar[str]

    @property
    def fingerprint(self) -> str:
        """What people read to each other."""
        ...

    def check(self) -> None:
        """Refuse a key under which encryption is worthless; raises HecliError."""
        ...


class PrivateKey(Protocol):
    """What opens; with `verified_only` only what was verified."""

    @property
    def verified_only(self) -> bool: ...  # noqa: D102 - said above

    @property
    def public(self) -> PublicKey:
        """The key that is used to encrypt."""
        ...


class Share(Protocol):
    """One share of a key; with `verified_only` it opens only what was verified."""

    @property
    def verified_only(self) -> bool: ...  # noqa: D102 - said above

    @property
    def index(self) -> int:
        """Its number, from 1."""
        ...


class Sender(NamedTuple):
    """Who encrypts, and what they were given.

    Args:
        key: The public key, if any.
        identity: Who they are, if they sign.
        enrollments: Everybody's, where the plan allows for dropouts.
        statement: What the update's proofs are bound to: plan, party and card.
    """

    key: PublicKey | None = None
    identity: Identity | None = None
    enrollments: Enrollments | None = None
    statement: bytes = b""


class Opener(NamedTuple):
    """Whoever opens, and what they were given.

    Args:
        key: The private key, if any.
        contributors: Who is in the sum.
        enrollments: Everybody's, where the plan allows for dropouts.
        answers: The answers about the aggregate, likewise.
        refused: Where it goes what is wrong with answers that are left out.
    """

    key: PrivateKey | None
    contributors: tuple[Contributor, ...]
    enrollments: Enrollments | None
    answers: Sequence[Answered]
    refused: set[str]


class Combining(NamedTuple):
    """What is combined to open: a key in shares, and which shares made partials.

    Args:
        key: The public key, of the scheme's own type.
        indices: The numbers of the shares, from 1, in the order of their partials.
        names: How errors call the partials.
        session: What the proofs are bound to.
        refused: Where the places of partials go that do not hold.
    """

    key: Any
    indices: Sequence[int]
    names: Sequence[str]
    session: bytes
    refused: set[int]
