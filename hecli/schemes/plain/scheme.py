"""The scheme `plain`: plaintexts as they are, which everybody reads, and adds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from hecli.executors.interface import Executor, Run
from hecli.schemes.ring import InRing, below_modulus
from hecli.schemes.round import Opener, Opens, Round, Sender


@dataclass(frozen=True)
class Plain(InRing):
    """Nothing hidden. It carries a part of a round; a plan's own scheme it cannot be, for that one hides."""

    to_encrypt: ClassVar[frozenset[str]] = frozenset()
    to_open: ClassVar[frozenset[str]] = frozenset()
    masking: ClassVar[None] = None

    @contextmanager
    def encrypting(self, round_: Round, sender: Sender, work: Executor) -> Iterator[Run]:
        """Get ready to pass on an update."""
        del round_, sender, work
        yield iter

    @contextmanager
    def opening(self, round_: Round, opener: Opener, work: Executor) -> Iterator[Opens]:
        """Get ready to pass on a sum."""
        del round_, opener, work
        yield Opens(lambda batches, _: below_modulus(batches))
