"""What the figures of a comparison look like in a table, on a terminal and on a page."""

from collections.abc import Mapping
from typing import Any

from hecli.formats.text import count_bytes, percent
from hecli.privacy.describe import shown

Row = Mapping[str, Any]

UNKNOWN = "-"


def cost_cells(row: Row) -> dict[str, str]:
    """Say what a round of a technique costs.

    Args:
        row: The technique, which was measured.

    Returns:
        Texts, by the title of the column.
    """
    figures = row["figures"]
    about = "~" if figures["extrapolated"] else ""
    memory = figures["memory"]
    return {
        "up": about + count_bytes(figures["bytes"]),
        "party": about + taken(figures["party"]),
        "aggregate": about + taken(figures["aggregator"]),
        "open": about + taken(figures["opening"]) if row["technique"] != "plain" else UNKNOWN,
        "memory": UNKNOWN if memory is None else about + count_bytes(memory),
        "error": off(figures["error"]),
    }


def training_cells(row: Row, found: Mapping[str, Any]) -> dict[str, str]:
    """Say how well a model does that was trained.

    Args:
        row: A technique, or what stands beside them.
        found: The comparison.

    Returns:
        Texts, by the title of the column.
    """
    mean, around = row["accuracy"]["mean"][-1], row["accuracy"]["spread"][-1]
    # Of one seed there is no deviation.
    cells = {"accuracy": f"{100 * mean:.1f}" + (f" ±{100 * around:.1f}" if found["seeds"] > 1 else "")}
    cells["points"] = f"{row['points']:+.1f}" if "points" in row else ""
    for at, wanted in enumerate(found["reach"]):
        reached: Row = row["reached"][at] if "reached" in row else {"rounds": None}
        cells[f"to {100 * wanted:.1f}"] = (
            f"{count_bytes(reached['bytes'])} ({reached['rounds']})" if reached["rounds"] else UNKNOWN
        )
    cells["epsilon"] = UNKNOWN if row["epsilon"] is None else shown(row["epsilon"])
    return cells


def noise_text(found: Row) -> str:
    """Say what noise there is, where there is some.

    Args:
        found: The comparison.

    Returns:
        The text.
    """
    noise = found["noise"]
    rounds = f"all {noise['rounds']:,} rounds" if noise["rounds"] > 1 else "one round"
    promised = f"epsilon {noise['epsilon']:g} of each {noise['unit']} in {rounds}"
    return f"noise: {promised}, with a clip norm of {noise['clip']:.3g}"


def taken(seconds: float) -> str:
    """Write a time in seconds.

    Args:
        seconds: It.

    Returns:
        The text.
    """
    if seconds < 0.01:
        return "< 0.01 s"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def off(error: float) -> str:
    """Write how far off a mean is.

    Args:
        error: The norm of the error, of that of the mean.

    Returns:
        The text.
    """
    if error == 0:
        return "none"
    return percent(error)
