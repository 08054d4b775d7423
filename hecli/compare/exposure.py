"""Who could learn one party's update, by what a technique is made of; docs/security.md says why."""

from typing import NamedTuple

from hecli.compare.techniques import SHARES, WHOLE, Technique, threshold

STORAGE, AGGREGATOR, KEYHOLDER, HOLDERS, PARTY = WHO = (
    "storage",
    "aggregator",
    "keyholder",
    "T-1 holders",
    "another party",
)
"""Those who could: whoever runs the storage; whoever aggregates; who has the key, or any one share of it;
one holder fewer than it takes to open; and another party, alone."""

NO, PARTLY, YES, NOBODY = "no", "partly", "yes", "nobody"
"""Whether they could; or that there is nobody who is one."""


class Exposure(NamedTuple):
    """What somebody could learn.

    Args:
        level: One of NO, PARTLY, YES and NOBODY.
        why: What of it, or how, where it is not NO.
    """

    level: str
    why: str = ""


def exposures(technique: Technique, parties: int) -> dict[str, Exposure]:
    """Say who could learn one party's update.

    Args:
        technique: The technique.
        parties: How many parties there are.

    Returns:
        By each of WHO.
    """
    if not technique.hides:
        open_to_all = Exposure(YES, "it lies open")
        none = Exposure(NOBODY)
        return dict(zip(WHO, (open_to_all, open_to_all, none, none, open_to_all), strict=True))
    outside = Exposure(NO)
    if not technique.signed:
        outside = Exposure(YES, "with forged parties beside it, if the sum is shown")
    elif technique.clear:
        outside = Exposure(PARTLY, "what is in the clear")
    keyholder = Exposure(NOBODY)
    if technique.key == WHOLE:
        keyholder = Exposure(NO) if technique.masks else _noisy(technique, "with another tool than hecli")
    elif technique.key == SHARES:
        keyholder = Exposure(NO)
    holders = Exposure(NOBODY)
    if technique.key == SHARES:
        # They are parties, and know the sum and what they sent themselves.
        alone = parties - (threshold(parties) - 1) < 2
        holders = Exposure(YES, "the sum without their own: there is one other") if alone else Exposure(NO)
    other = outside
    if parties == 2:
        other = _noisy(technique, "the sum without its own: there are two")
    return dict(zip(WHO, (outside, outside, keyholder, holders, other), strict=True))


def _noisy(technique: Technique, why: str) -> Exposure:
    return Exposure(PARTLY, f"{why}, with its noise") if technique.noise else Exposure(YES, why)
