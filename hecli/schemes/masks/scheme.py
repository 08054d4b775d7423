"""The scheme `masks`: no key at all; masks alone hide an update, and cancel in the sum."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Never, Self

from hecli.errors import MismatchError
from hecli.executors.interface import Executor, Run
from hecli.formats.canonical import Map, fields
from hecli.formats.reader import Reader
from hecli.identity.roster import Roster
from hecli.identity.sealing import Ask
from hecli.schemes import interface
from hecli.schemes.masks.masking import Masking
from hecli.schemes.ring import RING, InRing, below_modulus
from hecli.schemes.round import Open, Opener, Opens, PublicKey, Round, Sender


@dataclass(frozen=True)
class Masks(InRing):
    """Masks alone.

    Args:
        masking: How many parties may drop out.
    """

    name: ClassVar[str] = "masks"
    knowledge: ClassVar[None] = None
    correctness: ClassVar[None] = None
    sharing: ClassVar[None] = None

    masking: Masking

    @property
    def to_encrypt(self) -> frozenset[str]:
        """What encrypting takes."""
        return frozenset({interface.IDENTITY, interface.ENROLLMENTS})

    @property
    def to_open(self) -> frozenset[str]:
        """What opening takes."""
        return frozenset({interface.ENROLLMENTS, interface.ANSWERS} if self.masking.dropouts else ())

    def to_map(self) -> Map:
        """Write the scheme as it stands in a plan."""
        return {"name": self.name, **self.masking.to_map()}

    @classmethod
    def parse(cls, value: Map, file: str) -> Self:
        """Read the scheme from a plan; raises FormatError."""
        fields(value, file, "its scheme", {"name": str, "dropouts": int})
        return cls(Masking(value["dropouts"]))

    @classmethod
    def of_key(cls, key: PublicKey) -> Never:
        """Refuse, for there is no key."""
        raise MismatchError(f"the key {key.fingerprint} is not for masks alone")

    def check(self, roster: Roster | None, parties: int, fewest: int) -> None:
        """Refuse masks that no round can have; raises HecliError."""
        del fewest
        self.masking.check(roster, parties)

    def read_public_key(self, reader: Reader) -> Never:
        """Refuse, for there is no key; raises MismatchError."""
        raise MismatchError(f"{reader.name}: the plan is for masks alone, and has no key", "leave out --key")

    def read_private_key(self, reader: Reader, ask: Ask) -> Never:
        """Refuse, for there is no key; raises MismatchError."""
        del ask
        raise MismatchError(f"{reader.name}: the plan is for masks alone, and has no key", "leave out --key")

    def check_key(self, key: PublicKey | None, file: str) -> None:
        """Refuse any key; raises MismatchError."""
        if key is not None:
            raise MismatchError(f"{file} is for masks alone, and a key is given", "leave out --key")

    @contextmanager
    def encrypting(self, round_: Round, sender: Sender, work: Executor) -> Iterator[Run]:
        """Get ready to mask an update; raises HecliError."""
        del work
        yield self.masking.masks(RING, round_, sender)

    @contextmanager
    def opening(self, round_: Round, opener: Opener, work: Executor) -> Iterator[Opens]:
        """Get ready to take off what masks are left; raises HecliError."""
        del work
        yield Opens(self.unmasked(lambda batches, _: below_modulus(batches), round_, opener))

    def unmasked(self, opened: Open, round_: Round, opener: Opener) -> Open:
        """Take off what masks are left; raises HecliError."""
        return self.masking.unmasked(RING, opened, round_, opener)

    def remasked(
        self, plaintexts: Iterable[bytes], first: int, round_: Round, opener: Opener
    ) -> Iterator[bytes]:
        """Put back what `unmasked` took off; raises HecliError."""
        return self.masking.remasked(RING, plaintexts, first, round_, opener)

    def describe(self) -> Map:
        """Say what the scheme is, for scripts."""
        return {"scheme": self.name, "dropouts": self.masking.dropouts}

    def lines(self, parties: int) -> list[tuple[str, str]]:
        """Say what the scheme is, for people."""
        return [("key", "none, masks alone"), *self.masking.lines(parties)]

    def seconds(self, load: interface.Load) -> dict[str, float]:
        """Foresee next to nothing: there are only additions."""
        del load
        return {}
