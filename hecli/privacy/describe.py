"""What there is to say of noise, for scripts and for people."""

import math
from typing import Any

from hecli.privacy.account import Spending
from hecli.privacy.guarantee import PARTY, Privacy

DIGITS = 3
UNBOUNDED = "unbounded"
"""What is shown for an epsilon where nothing is promised."""


def describe_privacy(privacy: Privacy, spending: Spending, step: float) -> dict[str, Any]:
    """Say what a plan's noise is, and what it promises.

    Args:
        privacy: The noise.
        spending: What an update costs.
        step: The distance between neighbouring quantised values.

    Returns:
        A map that JSON can hold.
    """
    delta = privacy.delta
    return {
        **privacy.to_map(),
        "noise": math.sqrt(spending.honest * privacy.variance) * step / privacy.clip,
        "honest": spending.honest,
        "rho": float(spending.cost.rho),
        "epsilon": finite(spending.cost.epsilon(delta)),
        "epsilon_alone": finite(spending.cost_alone.epsilon(delta)),
    }


def privacy_lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Say the same for people.

    Args:
        found: What `describe_privacy` found; nothing where there is no noise.

    Returns:
        Titles and texts.
    """
    if not found:
        return []
    honest, noise, delta = found["honest"], found["noise"], found["delta"]
    return [
        ("privacy", protected(found["unit"], found["clip"])),
        (
            "noise",
            f"{noise:.3g} clip norms of {honest:,} honest contributors; {found['colluders']:,} may collude",
        ),
        ("", f"{math.sqrt(found['variance']):,.0f} steps of each party"),
        ("epsilon", f"{shown(found['epsilon'])} a round by the sum, at delta {delta:g}"),
        ("", f"{shown(found['epsilon_alone'])} by a single update, or two sums that differ by one"),
    ]


def protected(unit: str, clip: float) -> str:
    """Say whose data is protected.

    Args:
        unit: One of UNITS.
        clip: The clip norm.

    Returns:
        The text.
    """
    if unit == PARTY:
        return f"of all that a party sends, clipped to a norm of {clip:g}"
    return f"of one record, clipped by training to a norm of {clip:g}; hecli cannot check it"


def finite(epsilon: float) -> float | None:
    """Give an epsilon as JSON can hold it.

    Args:
        epsilon: It.

    Returns:
        It; None where nothing is promised.
    """
    return epsilon if math.isfinite(epsilon) else None


def shown(epsilon: float | None) -> str:
    """Show an epsilon, rounded up.

    Args:
        epsilon: It; None or infinity where nothing is promised.

    Returns:
        The text.
    """
    if epsilon is None or not math.isfinite(epsilon):
        return UNBOUNDED
    if epsilon == 0:
        return "0"
    unit = 10.0 ** (math.floor(math.log10(epsilon)) + 1 - DIGITS)
    return f"{math.ceil(epsilon / unit - 1e-9) * unit:.{DIGITS}g}"
