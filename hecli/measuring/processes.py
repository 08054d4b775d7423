"""Processes that are measured: what they are given, what they say, and the memory they hold."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from hecli.arithmetic.choosing import VARIABLE

SAMPLE_SECONDS = 0.02


def environment() -> dict[str, str]:
    """Give the environment without what would change the commands' own defaults, but for what computes.

    Returns:
        The variables; their lines do not break where a terminal ends.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name == VARIABLE or not (name.startswith("HECLI_") or name == "COLUMNS")
    }


def reason(said: str) -> str:
    """Find the error in what a command said.

    Args:
        said: Its output.

    Returns:
        The line; nothing where there is none.
    """
    return said.partition("error: ")[2].partition("\n")[0]


def watch(processes: Sequence["subprocess.Popen[bytes]"], limit: float | None = None) -> int | None:
    """Wait for processes: until all have ended, or one has failed, or the time is up.

    Args:
        processes: They.
        limit: Seconds to wait at most.

    Returns:
        The most memory that they and their children held together; None where the system does not tell.
    """
    peak, end = 0, None if limit is None else time.monotonic() + limit
    while running := [each for each in processes if each.poll() is None]:
        if any(each.returncode for each in processes) or (end is not None and time.monotonic() > end):
            break
        try:
            running[0].wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            peak = max(peak, sum(_resident(each.pid) for each in running))
    return peak or None


def machine() -> str:
    """Name the processor, where the system tells.

    Returns:
        Its name.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _resident(pid: int) -> int:
    """Resident bytes of a process and of all its descendants, shared pages counted each time."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        # Whichever of its threads started them.
        listed = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(
        _resident(int(child)) for child in " ".join(listed).split()
    )
