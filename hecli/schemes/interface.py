"""What a scheme is: how plaintexts are hidden, added, and opened.

A scheme is an object that a plan holds: its parameters, what follows from
them, and what works with them. Callers ask it and know none by name.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import ClassVar, NamedTuple, Protocol, Self

from hecli.executors.interface import Executor, Run
from hecli.formats.canonical import Map
from hecli.formats.reader import Reader
from hecli.identity.roster import Roster
from hecli.identity.sealing import Ask
from hecli.identity.signatures import Identity
from hecli.schemes.masks.masking import Masking
from hecli.schemes.proofs import GroupProofs, SumProof
from hecli.schemes.round import Combining, Open, Opener, Opens, PrivateKey, PublicKey, Round, Sender, Share

KEY, SHARES, IDENTITY, ENROLLMENTS, ANSWERS = "key", "shares", "identity", "enrollments", "answers"
"""What encrypting or opening can take."""


class Sharing(Protocol):
    """How a key in shares opens; blocks are worked on in groups, each with a proof behind it.

    `threshold` of `shares` open; a group has `group` blocks, the last of a
    section fewer, and a proof of `proof_records` records as wide as blocks.
    """

    group: ClassVar[int]
    proof_records: ClassVar[int]

    @property
    def threshold(self) -> int: ...  # noqa: D102 - said above
    @property
    def shares(self) -> int: ...  # noqa: D102

    def read_share(self, reader: Reader, ask: Ask, identity: Identity | None) -> Share:
        """Read a share.

        Args:
            reader: The opened file.
            ask: Called for the passphrase, where there is one.
            identity: Whose card it is sealed to, where it is.

        Returns:
            The share, of the scheme's own type.

        Raises:
            FormatError: The file is none, or not sound.
            HecliError: The passphrase is wrong, or the identity.
        """
        ...

    def check_share(self, share: Share, file: str) -> None:
        """Refuse a share of another key than the plan's, or of another dealing.

        Args:
            share: The share.
            file: The file whose plan it is.

        Raises:
            MismatchError: It is another.
        """
        ...

    def check_dealing(self, key: PublicKey, file: str) -> None:
        """Refuse a public key, which may be the plan's, without its dealing or with another.

        Args:
            key: The key.
            file: The file whose plan it is.

        Raises:
            MismatchError: It is another.
        """
        ...

    def partials(
        self, share: Share, session: bytes, groups: int, work: Executor
    ) -> AbstractContextManager[Run]:
        """Get ready to make partials.

        Args:
            share: The share.
            session: What the proofs are bound to.
            groups: How many groups there are.
            work: Who works.

        Returns:
            What makes, of the blocks of each group, the partials and their proof.
        """
        ...

    def combining(self, combining: Combining, groups: int, work: Executor) -> AbstractContextManager[Open]:
        """Get ready to open with partials.

        Args:
            combining: Whose partials there are.
            groups: How many groups there are.
            work: Who works.

        Returns:
            What opens groups of blocks, behind each what all partials have for it.
            It raises FormatError where too few of them hold.
        """
        ...


class Load(NamedTuple):
    """How much there is to do in a round.

    Args:
        blocks: Blocks of an update.
        group: How many of them are encrypted and proven together.
        parties: How many parties there are.
        workers: How many work at once.
    """

    blocks: int
    group: int
    parties: int
    workers: int

    def each(self, group: int, sources: int = 1) -> int:
        """Count the blocks that a worker gets.

        Args:
            group: How many blocks one worker does together.
            sources: Of how many updates.

        Returns:
            The number, for whoever gets the most.
        """
        groups = sources * -(-self.blocks // group)
        return min(sources * self.blocks, -(-groups // self.workers) * group)


class Carrier(Protocol):
    """What some lanes of a round travel under, all of them or a part.

    Args:
        to_encrypt: What encrypting takes, of KEY, IDENTITY and ENROLLMENTS.
        to_open: What opening takes, of KEY, SHARES, ENROLLMENTS and ANSWERS.
        room: The bits of a plaintext that lanes may take.
        plaintext_size: The bytes of a plaintext, and
        block_size: those of a block, what an update or aggregate holds in its place.
        masking: How masks hide updates from whoever opens the sum, where they do.
    """

    @property
    def to_encrypt(self) -> frozenset[str]: ...  # noqa: D102 - said above
    @property
    def to_open(self) -> frozenset[str]: ...  # noqa: D102
    @property
    def room(self) -> int: ...  # noqa: D102
    @property
    def plaintext_size(self) -> int: ...  # noqa: D102
    @property
    def block_size(self) -> int: ...  # noqa: D102
    @property
    def masking(self) -> Masking | None: ...  # noqa: D102

    def encrypting(self, round_: Round, sender: Sender, work: Executor) -> AbstractContextManager[Run]:
        """Get ready to hide an update.

        Args:
            round_: The round.
            sender: Who encrypts.
            work: Who works.

        Returns:
            What makes blocks of the update's plaintexts, given in groups from
            the first to the last, and behind them the group's proof, where
            there are proofs.

        Raises:
            HecliError: The sender lacks something, or cannot do it.
        """
        ...

    def adding(self, sources: int, batches: int, work: Executor) -> AbstractContextManager[Run]:
        """Get ready to add updates.

        Args:
            sources: How many.
            batches: How many batches there are.
            work: Who works.

        Returns:
            What makes one batch of equally long ones of each source, which are
            given one behind the other. It raises InvalidCiphertextError for a
            block that no update can hold.
        """
        ...

    def opening(self, round_: Round, opener: Opener, work: Executor) -> AbstractContextManager[Opens]:
        """Get ready to open a sum with what `to_open` names.

        Args:
            round_: The round.
            opener: Who opens, and what they were given.
            work: Who works.

        Returns:
            What opens blocks, and proves it. It raises InvalidCiphertextError
            for a block that no sum can hold.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        ...


class Scheme(Carrier, Protocol):
    """A scheme with its parameters: what a plan hides its updates with.

    Args:
        knowledge: How updates prove that their makers know what is in them; None
            where nothing of use can be computed from others' blocks.
        correctness: How sums prove that they are what the aggregate holds; None
            where they are checked by opening again.
        sharing: How a key in shares opens, where it is in shares.
    """

    name: ClassVar[str]

    @property
    def knowledge(self) -> GroupProofs | None: ...  # noqa: D102 - said above
    @property
    def correctness(self) -> SumProof | None: ...  # noqa: D102
    @property
    def sharing(self) -> Sharing | None: ...  # noqa: D102

    def to_map(self) -> Map:
        """Write the scheme as it stands in a plan, with its name."""
        ...

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the scheme from a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            The scheme.

        Raises:
            FormatError: It is no such scheme.
        """
        ...

    @classmethod
    def of_key(cls, key: PublicKey) -> Self:
        """Give the scheme of rounds under a key that nobody made a plan for.

        Args:
            key: The key, which names this scheme.

        Returns:
            The scheme.

        Raises:
            MismatchError: The scheme has no keys.
        """
        ...

    def check(self, roster: Roster | None, parties: int, fewest: int) -> None:
        """Refuse parameters that no round can have.

        Args:
            roster: Who takes part, where the plan says it.
            parties: The most parties.
            fewest: The fewest contributors of a sum that may be opened.

        Raises:
            HecliError: They cannot be.
        """
        ...

    def read_public_key(self, reader: Reader) -> PublicKey:
        """Read a public key of this scheme.

        Args:
            reader: The opened file.

        Returns:
            The key.

        Raises:
            FormatError: The file is none, or the key is worthless.
        """
        ...

    def read_private_key(self, reader: Reader, ask: Ask) -> PrivateKey:
        """Read a private key of this scheme.

        Args:
            reader: The opened file.
            ask: Called for the passphrase, where there is one.

        Returns:
            The key.

        Raises:
            FormatError: The file is none, or not sound.
            HecliError: The passphrase is wrong.
        """
        ...

    def check_key(self, key: PublicKey | None, file: str) -> None:
        """Refuse any key but the one that the plan is for; no key where it is for one.

        Args:
            key: The key that was given, which is believed; the plan alone is not.
            file: The file whose plan it is.

        Raises:
            MismatchError: It is another.
            RefusedError: There is none.
        """
        ...

    def unmasked(self, opened: Open, round_: Round, opener: Opener) -> Open:
        """Take off what masks are left on a sum; `opening` does it by itself.

        Args:
            opened: What opens, with masks left on what it gives.
            round_: The round.
            opener: Who opens, and what they were given.

        Returns:
            What opens without them.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        ...

    def remasked(
        self, plaintexts: Iterable[bytes], first: int, round_: Round, opener: Opener
    ) -> Iterator[bytes]:
        """Put back what `unmasked` took off.

        Args:
            plaintexts: What `unmasked` gave, in batches.
            first: The number of the first.
            round_: The round.
            opener: What whoever opened was given.

        Returns:
            What the blocks hold.

        Raises:
            HecliError: Something is missing, or does not fit.
        """
        ...

    def describe(self) -> Map:
        """Say what the scheme is, for scripts."""
        ...

    def lines(self, parties: int) -> list[tuple[str, str]]:
        """Say what the scheme is, for people: titles and texts.

        Args:
            parties: The most parties.

        Returns:
            Titles and texts.
        """
        ...

    def seconds(self, load: Load) -> dict[str, float]:
        """Foresee what the arithmetic of each step of a round takes on this machine.

        Args:
            load: How much there is to do.

        Returns:
            Seconds, by the command that does the step; none where it is next to nothing.
        """
        ...
