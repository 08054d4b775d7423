"""The techniques that are compared: the one registry of them.

A technique says which of hecli's options it is; what that takes, costs and
tells follows from these options, and not from its name.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hecli.codec.low_rank import factored
from hecli.errors import HecliError
from hecli.formats.tensors.specs import TensorSpec
from hecli.plan.settings import Setting
from hecli.schemes.paillier.sharing import least_threshold

WHOLE, SHARES = "whole", "shares"
"""Who has the key that opens: one person, or several a share of it each."""

MOST_SHARES = 5


class Technique(NamedTuple):
    """A way to protect updates.

    Args:
        title: What people call it.
        key: WHOLE or SHARES; None where there is no key.
        masks: Whether masks hide updates.
        survives: Whether parties may drop out although there are masks.
        setting: How values are coded.
        noise: Whether parties add noise.
        clear: Whether a part stays in the clear.
        signed: Whether every file is signed, and recorded in a ledger.
        labels: Whether what is sent is not weights but soft labels of public examples.
    """

    title: str
    key: str | None = WHOLE
    masks: bool = False
    survives: bool = False
    setting: Setting = Setting(16)
    noise: bool = False
    clear: bool = False
    signed: bool = True
    labels: bool = False

    @property
    def hides(self) -> bool:
        """Whether anything is hidden from anybody."""
        return self.masks or self.key is not None

    @property
    def quantum(self) -> bool:
        """Whether what is hidden stays closed against a quantum computer."""
        return self.masks and not self.clear

    def setting_for(self, specs: Sequence[TensorSpec]) -> Setting:
        """Say how values of such tensors are coded: with as high a rank as matrices are large enough for.

        Args:
            specs: The tensors.

        Returns:
            The setting.
        """
        rank = self.setting.rank
        while rank is not None and rank > 1 and not any(factored(spec, rank) for spec in specs):
            rank //= 2
        return self.setting._replace(rank=rank)

    def dropouts(self, parties: int) -> int:
        """Count how many parties may drop out after they enrolled, where there are masks.

        Args:
            parties: How many parties there are.

        Returns:
            The number.

        Raises:
            HecliError: There are too few parties for that.
        """
        if not self.survives:
            return 0
        if parties < FEWEST_FOR_DROPOUTS:
            raise HecliError(f"of {parties} parties with masks none may drop out")
        return (parties - 1) // 3

    def steps(self, parties: int) -> tuple[str, ...]:
        """Say which commands a round takes besides encrypting, aggregating, opening and applying.

        Args:
            parties: How many parties there are.

        Returns:
            Their names, of whoever opens with how many do it.
        """
        steps = []
        if self.masks:
            steps.append("enroll")
        if self.masks and self.survives:
            steps.append("answer")
        if self.key == SHARES:
            steps += [f"partial x{threshold(parties)}", "combine"]
        return tuple(steps)

    def survived(self, parties: int) -> int:
        """Count how many parties may be gone, and the round goes on.

        Args:
            parties: How many parties there are.

        Returns:
            The number.
        """
        if self.masks:
            return self.dropouts(parties)
        if self.noise:
            # Fewer would have less noise.
            return 0
        gone = parties - FEWEST_CONTRIBUTORS
        # Parties hold the shares, and enough of them have to be there.
        return min(gone, shares(parties) - threshold(parties)) if self.key == SHARES else gone


FEWEST_CONTRIBUTORS = 2
"""Of fewer no sum is opened."""

FEWEST_FOR_DROPOUTS = 4


def shares(parties: int) -> int:
    """Say in how many shares a key is dealt.

    Args:
        parties: How many parties there are.

    Returns:
        A share for each party, and MOST_SHARES at most.
    """
    return min(parties, MOST_SHARES)


def threshold(parties: int) -> int:
    """Say how many shares open.

    Args:
        parties: How many parties there are.

    Returns:
        As few as hold against one dishonest holder.
    """
    return least_threshold(shares(parties))


FEW_BITS = Setting(2, rotate=True)
LOW_RANK = Setting(8, rank=4)
SAMPLE = Setting(8, sample=0.1)

TECHNIQUES = {
    "plain": Technique("plain average", key=None, signed=False),
    "unsigned": Technique("Paillier, unsigned", signed=False),
    "paillier": Technique("Paillier"),
    "shares": Technique("key in shares", key=SHARES),
    "masks": Technique("masks", key=None, masks=True),
    "dropouts": Technique("masks, dropouts", key=None, masks=True, survives=True),
    "bits": Technique("few bits", setting=FEW_BITS),
    "rank": Technique("low rank", setting=LOW_RANK),
    "sample": Technique("sample", setting=SAMPLE),
    "dp": Technique("noise (DP)", noise=True),
    "clear": Technique("part in the clear", clear=True),
    "shares-masks": Technique("shares and masks", key=SHARES, masks=True),
    "rank-masks": Technique("low rank and masks", key=None, masks=True, setting=LOW_RANK),
    "dp-masks": Technique("noise and masks", key=None, masks=True, noise=True),
    "dp-rank": Technique("noise and low rank", setting=LOW_RANK, noise=True),
    "distil": Technique("distillation", labels=True),
}
"""By the names that --techniques takes. Where nothing else is said, there is one key, 16 bits, and all
files are signed and recorded."""


NOISY = "dp"
"""The technique that shows what noise costs."""


def chosen(names: str | None) -> dict[str, Technique]:
    """Pick techniques.

    Args:
        names: Names, with commas between them; None for all.

    Returns:
        Them, in the registry's order.

    Raises:
        HecliError: There is none of such a name.
    """
    if names is None:
        return TECHNIQUES
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in TECHNIQUES:
            raise HecliError(f"{name!r} is no technique", f"there are {', '.join(TECHNIQUES)}")
    if not wanted:
        raise HecliError("no technique is named", f"there are {', '.join(TECHNIQUES)}")
    return {name: each for name, each in TECHNIQUES.items() if name in wanted}
