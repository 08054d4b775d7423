"""Ways to make updates smaller, from the largest to the smallest, and what each would cost in a round."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from hecli.codec.chain import compressing
from hecli.codec.low_rank import RIGHT, LowRank
from hecli.codec.sample import Sample
from hecli.errors import HecliError
from hecli.formats.canonical import pack
from hecli.formats.envelope import DIGEST_SIZE, Prelude
from hecli.plan.data import Plan
from hecli.plan.making import codec_of, rounding_of


class Setting(NamedTuple):
    """A way to code values.

    Args:
        bits: The bits of a value.
        rotate: Whether values are rotated.
        rank: The rank of matrices, where they go as factors.
        sample: The share of values that go, where not all do.
    """

    bits: int
    rotate: bool = False
    rank: int | None = None
    sample: float | None = None

    def __str__(self) -> str:
        if self.rank is not None:
            return f"rank {self.rank} at {self.bits} bits"
        if self.sample is not None:
            return f"{self.sample:.3g} of the values at {self.bits} bits"
        return f"{self.bits} bits{', rotated' if self.rotate else ''}"


FAMILIES = (
    tuple(Setting(bits) for bits in (24, 20, 16, 14, 12, 10, 8)),
    tuple(Setting(bits, rotate=True) for bits in (8, 7, 6, 5, 4, 3, 2)),
    tuple(Setting(8, sample=share) for share in (0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)),
    tuple(
        Setting(bits, rank=rank) for rank, bits in ((32, 8), (16, 8), (8, 8), (4, 8), (4, 4), (2, 4), (1, 4))
    ),
)
"""What there is to choose from, in families that lose more and more."""

SHOWN = (
    Setting(16),
    Setting(8),
    Setting(4, rotate=True),
    Setting(2, rotate=True),
    Setting(8, sample=0.1),
    Setting(8, rank=4),
    Setting(4, rank=2),
)
"""What a plan is set beside."""


def with_setting(plan: Plan, setting: Setting) -> Plan | None:
    """Give a plan as it would be with another setting, to see its sizes: bases and ranges are not its own.

    Args:
        plan: The plan.
        setting: The setting.

    Returns:
        The other plan; None where there can be none.
    """
    if plan.privacy is not None:
        # Noise would be another, and its width as well.
        return None
    sample = None if setting.sample is None else Sample.of_share(setting.sample)
    low_rank = None if setting.rank is None else LowRank(setting.rank, RIGHT, bytes(DIGEST_SIZE))
    steps = compressing(low_rank=low_rank, sample=sample, rotate=setting.rotate)
    sizes = {spec.name: spec.size for spec in plan.tensors}
    quantise = replace(plan.codec.quantise, bits=setting.bits, rounding=rounding_of(setting.bits), digits=())
    in_part = not all(each.whole(sizes[each.tensor]) for each in plan.plain)
    if plan.plain and (any(step.leaves_out for step in steps) or (steps and in_part)):
        return None
    try:
        codec = codec_of(quantise, steps, plan.tensors, plan.capacity, plan.scheme)
        codec.check(plan.tensors, plan.capacity)
    except HecliError:
        return None
    return replace(plan, codec=codec)


def beside(plan: Plan) -> Iterator[tuple[Setting, int]]:
    """Set a plan beside others.

    Args:
        plan: The plan.

    Yields:
        Other settings, each with the bytes of an update.
    """
    own = update_bytes(plan)
    for setting in SHOWN:
        other = with_setting(plan, setting)
        # Of next to no values every update takes about as much.
        if other is not None and abs((size := update_bytes(other)) - own) > own // 20:
            yield setting, size


def update_bytes(plan: Plan) -> int:
    """Count the bytes of an update's file, with its plan, its proofs and a signature.

    Args:
        plan: The plan.

    Returns:
        The bytes, a few more or less for names.
    """
    sections = plan.geometry.update
    header = len(pack({"plan": plan.to_map(), "party": "", "salt": bytes(DIGEST_SIZE)}))
    prelude = Prelude("", 0, "update", header, sections)
    return header + prelude.body_size + prelude.chunks * DIGEST_SIZE + _REST


_REST = 250
"""Bytes of a prelude and a trailer, with the digests left out."""
