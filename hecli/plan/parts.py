"""The parts of a round: which lanes travel under the plan's scheme, and which under what else.

The lanes of all tensors, in their order, are counted from 0. A run is a range
of them, and the runs of a part are in order and do not touch.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from hecli.codec.pack import Packing
from hecli.errors import FormatError
from hecli.formats.canonical import Map, fields
from hecli.formats.envelope import Section
from hecli.formats.tensors.specs import TensorSpec
from hecli.schemes.interface import Carrier, Scheme
from hecli.schemes.masks.masking import Masking
from hecli.schemes.registry import IN_THE_CLEAR, under_masks
from hecli.schemes.round import MASKS

MAIN, MASKED, PLAIN = "lanes", "masked", "plain"
"""The sections of updates and aggregates that hold the parts of a round."""

CONTROL = "control"
"""The section of the control block, which belongs to the main part."""

MASKS_OF_PART = "part mask"
"""What the keys of masks are made for that hide the masked part."""

BATCH = 64
"""Most blocks in a task for a worker: few enough to share out evenly, and to show progress."""

BATCH_BYTES = 4 << 20
"""Most bytes of blocks in a task, so that memory does not grow with the parties or the scheme."""

Runs = tuple[tuple[int, int], ...]
"""Where runs start and stop."""


class Masked(NamedTuple):
    """What of a round travels under masks alone, beside what its scheme hides.

    Args:
        tensors: The names of the tensors, sorted.
        masking: The masks.
    """

    tensors: tuple[str, ...]
    masking: Masking

    def to_map(self) -> Map:
        """Write it as it stands in a plan.

        Returns:
            The map.
        """
        return {"tensors": list(self.tensors), **self.masking.to_map()}

    @classmethod
    def parse(cls, value: Map, file: str) -> "Masked":
        """Read what stands in a plan.

        Args:
            value: What stands there.
            file: The file, for errors.

        Returns:
            It.

        Raises:
            FormatError: It is malformed.
        """
        fields(value, file, "what its plan masks", {"tensors": list, "dropouts": int})
        if not value["tensors"] or not all(isinstance(name, str) for name in value["tensors"]):
            raise FormatError(f"{file}: the list of masked tensors in its plan is malformed")
        return cls(tuple(value["tensors"]), Masking(value["dropouts"]))


class Published(NamedTuple):
    """What of a tensor travels in the clear.

    Args:
        tensor: The name of the tensor.
        runs: Which of its values, counted from its first.
    """

    tensor: str
    runs: Runs

    def whole(self, size: int) -> bool:
        """Tell whether these are all values of the tensor.

        Args:
            size: How many it has.

        Returns:
            Whether they are.
        """
        return self.runs == ((0, size),)

    def to_list(self) -> list[str | int]:
        """Write it as it stands in a plan.

        Returns:
            The name, and where runs start and stop.
        """
        return [self.tensor, *(edge for run in self.runs for edge in run)]

    @classmethod
    def parse(cls, item: object, file: str) -> "Published":
        """Read what stands in a plan.

        Args:
            item: What stands there.
            file: The file, for errors.

        Returns:
            It.

        Raises:
            FormatError: It is malformed.
        """
        match item:
            case [str(tensor), *rest]:
                # Before anything is made of them, so that a file cannot ask for more than it holds;
                # True and False are no numbers.
                edges = [edge for edge in rest if type(edge) is int]
                sound = len(edges) == len(rest) and all(one < other for one, other in pairwise(edges))
                if edges and sound and len(edges) % 2 == 0:
                    return cls(tensor, tuple(zip(edges[::2], edges[1::2], strict=True)))
        raise FormatError(f"{file}: the list of what is plain in its plan is malformed")


@dataclass(frozen=True)
class Part:
    """Some lanes of a round, and what they travel under.

    Args:
        name: The section that holds them.
        carrier: What they travel under.
        runs: Which lanes.
        packing: How they lie in plaintexts.
        masks: What the keys of masks over them are made for.
        first: The number of the first of their blocks in the whole round.
    """

    name: str
    carrier: Carrier
    runs: Runs
    packing: Packing
    masks: str
    first: int = 0

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections that hold blocks of it."""
        return (self.name, CONTROL) if self.name == MAIN else (self.name,)

    @cached_property
    def values(self) -> int:
        """How many lanes there are."""
        return size_of(self.runs)

    @property
    def blocks(self) -> int:
        """How many blocks hold them."""
        return -(-self.values // self.packing.values)

    @property
    def bytes(self) -> int:
        """The bytes of these blocks."""
        return self.blocks * self.carrier.block_size

    @property
    def section(self) -> Section:
        """The section, where it is no group's business."""
        return Section.of(self.name, self.carrier.block_size, self.blocks)

    def batch(self, sources: int = 1) -> int:
        """Choose how many blocks of each source are worked on at once.

        Args:
            sources: How many files are read side by side.

        Returns:
            The number of blocks.
        """
        return max(1, min(BATCH, BATCH_BYTES // (sources * self.carrier.block_size)))

    def block(self, at: int) -> str:
        """Say how errors call a block.

        Args:
            at: Its number among those of the part.

        Returns:
            What to call it.
        """
        at += self.first
        return f"ciphertext {at}" if self.name == MAIN else f"block {at} of its {self.name} part"


def parts_of(
    tensors: Sequence[tuple[TensorSpec, int]],
    packing: Callable[[Carrier], Packing],
    scheme: Scheme,
    masked: Masked | None,
    plain: Sequence[Published],
) -> tuple[Part, ...]:
    """Divide a round into its parts.

    Args:
        tensors: The tensors in their order, and how many lanes each has.
        packing: Says how lanes lie in plaintexts.
        scheme: The plan's scheme.
        masked: What travels under masks alone.
        plain: What travels in the clear.

    Returns:
        The parts in the order of their sections, the main one last; the others as far as there are any.
    """
    lanes: dict[str, tuple[int, int]] = {}
    total = 0
    for spec, size in tensors:
        lanes[spec.name] = total, total + size
        total += size
    parts = []
    if masked is not None:
        runs = joined(lanes[name] for name in masked.tensors)
        carrier = under_masks(masked.masking)
        parts.append(Part(MASKED, carrier, runs, packing(carrier), MASKS_OF_PART))
    if plain:
        sizes = {spec.name: spec.size for spec, _ in tensors}
        runs = joined(
            run for each in plain for run in _lanes_of(each, sizes[each.tensor], lanes[each.tensor])
        )
        parts.append(Part(PLAIN, IN_THE_CLEAR, runs, packing(IN_THE_CLEAR), MASKS_OF_PART))
    left = others((run for part in parts for run in part.runs), total)
    return *parts, Part(MAIN, scheme, left, packing(scheme), MASKS)


def _lanes_of(plain: Published, size: int, lanes: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The runs of lanes in which values travel: of a whole tensor, however it is coded, all its lanes."""
    if plain.whole(size):
        yield lanes
    else:
        yield from ((lanes[0] + start, lanes[0] + stop) for start, stop in plain.runs)


def joined(runs: Iterable[tuple[int, int]]) -> Runs:
    """Put runs that touch together.

    Args:
        runs: The runs, in order.

    Returns:
        As few runs as there can be.
    """
    found: list[tuple[int, int]] = []
    for start, stop in runs:
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], stop
        else:
            found.append((start, stop))
    return tuple(found)


def others(runs: Iterable[tuple[int, int]], total: int) -> Runs:
    """Give the lanes that are in no run.

    Args:
        runs: The runs, none of which overlap.
        total: How many lanes there are.

    Returns:
        Their runs.
    """
    edges = [(0, 0), *sorted(runs), (total, total)]
    return tuple((stop, start) for (_, stop), (start, _) in pairwise(edges) if stop < start)


def by_tensor(runs: Runs, sizes: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Divide runs among tensors.

    Args:
        runs: The runs.
        sizes: The lanes of each tensor.

    Yields:
        For each tensor its runs, counted from its first lane.
    """
    left, at = list(reversed(runs)), 0
    for size in sizes:
        found, end = [], at + size
        while left and left[-1][0] < end:
            start, stop = left[-1]
            found.append((max(start, at) - at, min(stop, end) - at))
            if stop > end:
                break
            left.pop()
        yield found
        at = end


def size_of(runs: Iterable[tuple[int, int]]) -> int:
    """Count the lanes in runs.

    Args:
        runs: The runs.

    Returns:
        How many there are.
    """
    return sum(stop - start for start, stop in runs)
