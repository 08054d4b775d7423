"""A folder in which whole commands run, as a user runs them: seconds, and memory of all their processes."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hecli.arithmetic.choosing import VARIABLE
from hecli.errors import HecliError
from hecli.measuring.processes import environment, reason, watch


@dataclass(frozen=True)
class Run:
    """One command, from its start to its end.

    Args:
        seconds: What it took.
        peak_bytes: The most memory that its processes held together, where the system tells.
    """

    seconds: float
    peak_bytes: int | None


class Folder:
    """A folder in which commands run.

    Args:
        path: An empty folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._environment = environment()

    def run(self, *arguments: str) -> Run:
        """Run hecli to its end.

        Args:
            arguments: The words behind `hecli`.

        Returns:
            What it took.

        Raises:
            HecliError: It fails; it says why.
        """
        start = time.perf_counter()
        command = [sys.executable, "-m", "hecli", *arguments]
        with subprocess.Popen(  # noqa: S603 - this very program
            command,
            cwd=self.path,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            peak = watch([process])
            seconds = time.perf_counter() - start
            if process.returncode:
                said = process.stderr.read().decode() if process.stderr else ""
                raise HecliError(f"hecli {arguments[0]} failed: {reason(said)}")
        return Run(seconds, peak)

    def compute_with(self, native: str) -> None:
        """Choose what computes in the commands from now on.

        Args:
            native: As HECLI_NATIVE names it.
        """
        self._environment[VARIABLE] = native

    def enroll(self, plan: str, names: Sequence[str]) -> tuple[str, ...]:
        """Have parties enroll.

        Args:
            plan: The plan's file.
            names: The parties.

        Returns:
            The options of hecli encrypt that name what they enrolled with.
        """
        files = [f"{name}-{plan}.enroll" for name in names]
        for name, file in zip(names, files, strict=True):
            self.run("enroll", "--plan", plan, "--identity", f"{name}.id", "-o", file, "--force")
        return tuple(word for file in files for word in ("--enroll", file))

    def size(self, name: str) -> int:
        """Count the bytes of a file.

        Args:
            name: The file.

        Returns:
            Its size.
        """
        return (self.path / name).stat().st_size
