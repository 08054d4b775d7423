"""Keys in shares, as a plan says it: how many open, which dealing, and the work of opening."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self

from hecli.arithmetic.engines import combiner, partial_maker
from hecli.arithmetic.threshold import GROUP, MAX_SHARES, PROOF_RECORDS, ThresholdKey
from hecli.errors import FormatError, HecliError, MismatchError
from hecli.executors.interface import Executor, Run
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import DIGEST_SIZE
from hecli.formats.reader import Reader
from hecli.formats.text import count
from hecli.identity.sealing import Ask
from hecli.identity.signatures import Identity
from hecli.schemes.paillier.key_files import Share, read_share
from hecli.schemes.paillier.keys import PublicKey, dealing_digest
from hecli.schemes.round import Combining, Open
from hecli.schemes.round import PublicKey as AnyKey
from hecli.schemes.round import Share as AnyShare

HOLDER = "its share holder made it of something else, or it was altered: ask them for another"


def least_threshold(shares: int) -> int:
    """Say how many of so many shares must open, for a round to hold against one dishonest holder.

    Args:
        shares: How many shares there are.

    Returns:
        The threshold.
    """
    return -(-(shares + 2) // 2)


def holds_against(threshold: int, shares: int) -> str:
    """Say how many dishonest share holders a round holds against.

    Args:
        threshold: How many shares open.
        shares: How many there are.

    Returns:
        The words.
    """
    bound = 2 * threshold - shares - 1
    if bound < 1:
        least = least_threshold(shares)
        return f"one dishonest holder can open two sums: let {least} or more of {shares} open"
    return f"holds against {count(bound, 'dishonest holder')}"


@dataclass(frozen=True)
class Shared:
    """How a key in shares opens.

    Args:
        threshold: How many shares open.
        shares: How many there are.
        dealing: The digest of the dealing.
    """

    group: ClassVar[int] = GROUP
    proof_records: ClassVar[int] = PROOF_RECORDS

    threshold: int
    shares: int
    dealing: bytes

    @classmethod
    def of(cls, key: ThresholdKey) -> Self:
        """Say of a key what a plan says.

        Args:
            key: The key.

        Returns:
            It.
        """
        return cls(key.threshold, key.shares, dealing_digest(key))

    def to_map(self) -> Map:
        """Write what stands in a plan.

        Returns:
            The map.
        """
        return dict(vars(self))

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read what stands in a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            It.

        Raises:
            FormatError: It cannot be.
        """
        fields(value, file, "its threshold", {"threshold": int, "shares": int, "dealing": bytes})
        sound = 2 <= value["threshold"] <= value["shares"] <= MAX_SHARES
        if not sound or len(value["dealing"]) != DIGEST_SIZE:
            raise FormatError(f"{file}: its threshold cannot be")
        return cls(**value)

    @property
    def bound(self) -> int:
        """How many dishonest holders it holds against: two groups that open share more than so many."""
        return max(2 * self.threshold - self.shares - 1, 0)

    @property
    def holds_against(self) -> str:
        """What people are told of the bound."""
        return holds_against(self.threshold, self.shares)

    def check_bound(self) -> None:
        """Refuse a key of which one dishonest holder opens two sums of a round; raises HecliError.

        Two groups of holders that have only dishonest ones in common open two
        sums, which differ by one party.
        """
        if not self.bound:
            raise HecliError(
                f"of a key in {self.shares} shares of which {self.threshold} open, "
                "one dishonest holder opens two sums",
                f"deal it so that {least_threshold(self.shares)} or more of {self.shares} open, "
                "or plan with a roster, and --min-parties as many as its parties",
            )

    def read_share(self, reader: Reader, ask: Ask, identity: Identity | None) -> Share:
        """Read a share; raises HecliError."""
        return read_share(reader, ask, identity)

    def check_share(self, share: AnyShare, file: str) -> None:
        """Refuse a share of another key, or of another dealing; raises MismatchError."""
        self._check(share.key if isinstance(share, Share) else None, file)

    def check_dealing(self, key: AnyKey, file: str) -> None:
        """Refuse a public key without its dealing, or with another; raises MismatchError."""
        self._check(key.shared if isinstance(key, PublicKey) else None, file)

    def _check(self, key: ThresholdKey | None, file: str) -> None:
        if key is None or self != Shared.of(key):
            raise MismatchError(
                f"{file}: its plan is for another dealing of the key",
                "pass the .pub or .share file that the plan was made with",
            )

    @contextmanager
    def partials(self, share: AnyShare, session: bytes, groups: int, work: Executor) -> Iterator[Run]:
        """Get ready to make partials.

        Args:
            share: The share.
            session: What the proofs are bound to.
            groups: How many groups there are.
            work: Who works.

        Yields:
            What makes, of the ciphertexts of each group, the partials and their proof.
        """
        assert isinstance(share, Share)
        with work(partial_maker(share.key, share.index, share.value, session), groups) as run:
            yield run

    @contextmanager
    def combining(self, combining: Combining, groups: int, work: Executor) -> Iterator[Open]:
        """Get ready to open with partials.

        Args:
            combining: Whose partials there are.
            groups: How many groups there are.
            work: Who works.

        Yields:
            What opens groups of ciphertexts, behind each what all partials have for it.
        """
        key = _dealt(combining)
        with work(combiner(key, combining.indices, combining.session), groups) as run:

            def opened(blobs: Iterable[bytes], first: int) -> Iterator[bytes]:
                del first
                return (_plaintexts(result, combining) for result in run(blobs))

            yield opened


def _dealt(combining: Combining) -> ThresholdKey:
    assert isinstance(combining.key, PublicKey)
    assert combining.key.shared is not None
    return combining.key.shared


def _plaintexts(result: bytes, combining: Combining) -> bytes:
    """What a combiner opened, without what it says of the partials; raises where too few hold."""
    names = combining.names
    holds, plaintexts = result[: len(names)], result[len(names) :]
    combining.refused.update(at for at, held in enumerate(holds) if not held)
    if not plaintexts:
        wrong = ", ".join(name for name, held in zip(names, holds, strict=True) if not held)
        needed = _dealt(combining).threshold
        held = len({index for index, good in zip(combining.indices, holds, strict=True) if good})
        raise FormatError(
            f"the proof of {wrong} does not hold: {count(held, 'partial')} left, {needed} required", HOLDER
        )
    return plaintexts
