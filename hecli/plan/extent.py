"""What of a round is worked on: all of it, or the part of one of many machines."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from hecli.errors import HecliError
from hecli.formats.envelope import Section
from hecli.plan.geometry import Geometry
from hecli.plan.parts import CONTROL, MAIN, Part, Runs

PROOFS = "proofs"
"""The section of an update that has a record for each group."""


@dataclass(frozen=True)
class Extent:
    """Some chunks of a round, one behind the other, counted through all sections of its aggregate.

    Args:
        whole: The sizes of the whole round.
        first: The first chunk.
        stop: The one behind the last.
    """

    whole: Geometry
    first: int
    stop: int

    @classmethod
    def all(cls, whole: Geometry) -> Self:
        """Take all of a round.

        Args:
            whole: Its sizes.

        Returns:
            All of it.
        """
        return cls(whole, 0, _chunks(whole))

    @classmethod
    def part(cls, whole: Geometry, number: int, count: int) -> Self:
        """Divide a round among machines, as evenly as its chunks allow.

        Args:
            whole: Its sizes.
            number: Which part, from 1.
            count: How many parts there are.

        Returns:
            The part, which has no chunk where there are more machines than chunks.

        Raises:
            HecliError: There is no such part.
        """
        if not 1 <= number <= count:
            raise HecliError(f"there is no part {number} of {count:,}", "parts are numbered from 1")
        chunks = _chunks(whole)
        return cls(whole, (number - 1) * chunks // count, number * chunks // count)

    @property
    def chunks(self) -> int:
        """How many chunks the whole round has."""
        return _chunks(self.whole)

    @cached_property
    def records(self) -> dict[str, tuple[int, int]]:
        """Which records of each section of an aggregate these are, and which of an update's proofs."""
        found, at = {}, 0
        for section in self.whole.aggregate:
            edges = (min(max(edge - at, 0), section.chunks) for edge in (self.first, self.stop))
            start, stop = (min(edge * section.chunk, section.records) for edge in edges)
            found[section.name] = start, stop
            at += section.chunks
        start, stop = found[MAIN]
        # No group crosses a chunk; the control block's is the last.
        group, control = self.whole.group, found[CONTROL][1]
        found[PROOFS] = -(-start // group), -(-stop // group) + control
        return found

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What of each part of the round is in these chunks, in their order."""
        return tuple(_narrowed(part, *self.records[part.name]) for part in self.whole.parts)

    @property
    def main(self) -> Part:
        """What of the part under the plan's scheme is in these chunks."""
        return self.parts[-1]

    @property
    def others(self) -> tuple[Part, ...]:
        """What of the other parts is."""
        return self.parts[:-1]

    @property
    def control(self) -> bool:
        """Whether the control block is."""
        return self.records[CONTROL][1] > 0

    @property
    def groups(self) -> range:
        """The numbers of the groups in these chunks."""
        return range(*self.records[PROOFS])

    @property
    def to_open(self) -> tuple["Extent", ...]:
        """What is looked into where this is opened: these chunks, and the control block, opened too."""
        last = Extent(self.whole, self.chunks - 1, self.chunks)
        return (self,) if self.control else (self, last)

    @property
    def blocks(self) -> int:
        """Blocks of the main part in these chunks, with the control block."""
        return self.blocks_of(self.main)

    @property
    def all_blocks(self) -> int:
        """Blocks of all parts in these chunks."""
        return sum(self.blocks_of(part) for part in self.parts)

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections of an aggregate as far as they are in these chunks."""
        found = ((section, *self.records[section.name]) for section in self.whole.aggregate)
        return tuple(section._replace(records=stop - start) for section, start, stop in found if start < stop)

    def blocks_of(self, part: Part) -> int:
        """Count the blocks of a part, with the control block where it is the main one.

        Args:
            part: One of `parts`.

        Returns:
            How many there are.
        """
        return part.blocks + (part is self.main and self.control)

    def batches(self, part: Part, sources: int = 1) -> int:
        """Count the batches of a part that are worth a worker each.

        Args:
            part: One of `parts`.
            sources: How many files are read side by side.

        Returns:
            How many there are.
        """
        return -(-self.blocks_of(part) // part.batch(sources))


def _chunks(whole: Geometry) -> int:
    return sum(section.chunks for section in whole.aggregate)


def _narrowed(part: Part, start: int, stop: int) -> Part:
    """Some blocks of a part, and the lanes in them."""
    if stop - start == part.blocks:
        return part
    size = part.packing.values
    return replace(part, runs=_between(part.runs, start * size, stop * size), first=start)


def _between(runs: Runs, start: int, stop: int) -> Runs:
    """The runs of some of the lanes in runs, counted through all of them."""
    found, at = [], 0
    for first, last in runs:
        low, high = max(start, at), min(stop, at + last - first)
        if low < high:
            found.append((first + low - at, first + high - at))
        at += last - first
    return tuple(found)
