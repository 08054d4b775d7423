"""Large rounds: what they take here, and what larger ones would take.

    python -m hecli.bench.scale                    parts and Dask beside one machine
    python -m hecli.bench.scale --run 1000x100000  a whole round, of so many parties and values
    python -m hecli.bench.scale --table            all sizes, by a rule, from what one block takes here

Rounds are under a key of 3072 bits with values of 16 bits, or with --masks
under masks alone. --at puts their files into a bucket or a folder.
"""

import argparse
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from hecli.bench.peers import sample_values
from hecli.errors import HecliError
from hecli.executors.cores import default_jobs
from hecli.formats.reader import open_reader
from hecli.formats.text import count_bytes, duration
from hecli.measuring.processes import environment, machine, watch
from hecli.plan.files import read_plan
from hecli.rounds.reading import AHEAD
from hecli.schemes.interface import Load
from hecli.storage.paths import joined, scheme_of
from hecli.storage.places import ANYWHERE

BITS, RANGE = "16", "1"
MASKS = ("--scheme", "masks")

VALUES = (10**6, 10**7, 10**8, 10**9)
PARTIES = (10, 100, 1000)

VCPU_HOUR = 0.0446
"""Dollars for an hour of one virtual processor: c7i in us-east-1, on demand, half of c7i.large's 0.0893."""

GETS, PUTS = 0.0004 / 1000, 0.005 / 1000
"""Dollars for a request of either kind: S3 Standard in us-east-1."""

MONTH = 0.023 / 10**9
"""Dollars for a byte that is kept for a month there."""

PRICES = "list prices of Amazon in us-east-1 as of June 2025"
HYPERTHREADS = 2
"""Virtual processors that are one core."""

Report = Callable[[str], None]


class Took(NamedTuple):
    """What commands took.

    Args:
        seconds: From their start to their end.
        core_seconds: Of all their processes together.
        peak: The most memory that these held together.
    """

    seconds: float
    core_seconds: float
    peak: int

    def __str__(self) -> str:
        """Say it in one line."""
        work = f"{self.core_seconds:,.1f} core-seconds"
        return f"{duration(self.seconds)}, {work}, {count_bytes(self.peak)} at most"


class Place:
    """A folder in which commands run, and where their shared files go.

    Args:
        here: The folder.
        at: Where shared files go: the folder, or a URL.
    """

    def __init__(self, here: Path, at: str | None) -> None:
        self.here = here
        self.at = at or str(here)

    def shared(self, name: str) -> str:
        """Name a shared file.

        Args:
            name: Its name.

        Returns:
            Its path or URL.
        """
        return joined(self.at, name)

    def run(self, *commands: Sequence[str]) -> Took:
        """Run commands at the same time, to their end.

        Args:
            commands: Their words.

        Returns:
            What they took together.

        Raises:
            HecliError: One of them fails.
        """
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        processes = [
            subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "hecli", *each],
                cwd=self.here,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for each in commands
        ]
        peak = watch(processes) or 0
        for each, words in zip(processes, commands, strict=True):
            said = each.stderr.read().decode() if each.stderr else ""
            each.wait()
            if each.stderr:
                each.stderr.close()
            if each.returncode:
                raise HecliError(f"hecli {words[0]} failed: {said}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Took(time.perf_counter() - start, cores, peak)


@contextmanager
def _place(at: str | None) -> Iterator[Place]:
    with TemporaryDirectory(prefix="hecli-scale-") as folder:
        yield Place(Path(folder), at)


def updates(place: Place, parties: int, values: int, *, masks: bool, report: Report) -> list[str]:
    """Make the updates of a round; all hold the same values, which nobody can tell.

    Args:
        place: Where.
        parties: How many.
        values: How many values each has.
        masks: Whether they are under masks alone.
        report: Told what encrypting took.

    Returns:
        The paths of the updates.
    """
    np.save(place.here / "grads.npy", sample_values(values))
    plan = place.shared("round.plan")
    options = ["plan", "--like", "grads.npy", "--bits", BITS, "--range", RANGE, "-o", plan]
    names = [f"{at:04}" for at in range(parties)]
    if masks:
        for name in (*names, "anna"):
            place.run(("keygen", "--identity", name))
        cards = [word for name in names for word in ("--party", f"{name}.card")]
        place.run((*options, *MASKS, *cards, "--keyholder", "anna.card", "--identity", "anna.id"))
    else:
        place.run(("keygen",))
        place.run((*options, "--parties", str(parties)))
    if masks:
        for name in names:
            place.run(("enroll", "--plan", plan, "--identity", f"{name}.id"))
    files, took = [], []
    for name in names:
        file = place.shared(f"{name}.enc")
        who = ("--identity", f"{name}.id", "--enroll", "*.enroll") if masks else ("--party", name)
        took.append(place.run(("encrypt", "grads.npy", "--plan", plan, *who, "-o", file)))
        files.append(file)
    each = [sum(each.core_seconds for each in took) / parties, max(each.peak for each in took)]
    with ANYWHERE.open(files[0]) as stream:
        size = stream.seek(0, 2)
    seconds = sum(each.seconds for each in took) / parties
    report(f"encrypt    {Took(seconds, each[0], int(each[1]))}; {count_bytes(size)} an update")
    return files


def whole_round(parties: int, values: int, *, masks: bool, at: str | None, report: Report) -> None:
    """Run a whole round, and say what each step takes.

    Args:
        parties: How many.
        values: How many values.
        masks: Whether it is under masks alone.
        at: Where its files go.
        report: Told each line.
    """
    with _place(at) as place:
        where = scheme_of(place.at) or "folder"
        report(f"round      {parties:,} parties, {values:,} values{', masks' if masks else ''}, in a {where}")
        files = updates(place, parties, values, masks=masks, report=report)
        pattern, made = place.shared("*.enc"), place.shared("round.agg")
        signs = ("--identity", "anna.id") if masks else ()
        who = ("--identity", "0000.id") if masks else ()
        report(f"aggregate  {place.run(('aggregate', pattern, *who, '-o', made))}")
        report(f"verify     {place.run(('verify', made, '--from', pattern))}")
        report(f"open       {place.run(('decrypt', made, '--from', pattern, *signs, '-o', 'round.sum'))}")
        for file in (*files, made, place.shared("round.plan")):
            ANYWHERE.remove(file)


def beside(parties: int, values: int, report: Report) -> None:
    """Compare one machine, parts in processes of their own, and Dask, in the same run.

    Args:
        parties: How many.
        values: How many values.
        report: Told each line.
    """
    jobs = default_jobs()
    with _place(None) as place:
        report(f"round      {parties:,} parties, {values:,} values, {jobs} cores")
        files = updates(place, parties, values, masks=False, report=report)
        for command, words, target in (
            ("aggregate", ("aggregate", *files), "round.agg"),
            ("decrypt", ("decrypt", "round.agg", "--from", *files), "round.sum"),
        ):
            one = place.run((*words, "-o", f"one.{target}"))
            if command == "aggregate":
                (place.here / "one.round.agg").rename(place.here / "round.agg")
            parts = [
                (*words, "--part", f"{at}/{jobs}", "--jobs", "1", "-o", f"{target}-{at}.slice")
                for at in range(1, jobs + 1)
            ]
            shared = place.run(*parts)
            proves = ("--from", "round.agg") if command == "decrypt" else ()
            slices = [part[-1] for part in parts]
            join = place.run(("join", *slices, *proves, "-o", f"parts.{target}"))
            send = ("--send-key",) if command == "decrypt" else ()
            dask = place.run((*words, "--dask", "local", *send, "-o", f"dask.{target}"))
            together = shared.core_seconds + join.core_seconds
            report(f"{command:<10} one: {one}")
            report(f"           parts: {shared}; join: {join}")
            report(
                f"           work of the parts, joined: {together / one.core_seconds:.2f} of one machine's"
            )
            elapsed = shared.seconds + join.seconds
            report(f"           dask: {dask}; {dask.seconds / elapsed:.2f} of the time of the parts")
            if command == "aggregate":
                same = {
                    (place.here / name).read_bytes()
                    for name in ("round.agg", "parts.round.agg", "dask.round.agg")
                }
                report(f"           the same bytes: {len(same) == 1}")


def table(report: Report) -> None:
    """Foresee all sizes from what one block takes here.

    Work grows in a straight line with values and parties: blocks of an update,
    times parties, times what one block takes of each step on one core.

    Args:
        report: Told each line.
    """
    with _place(None) as place:
        place.run(("keygen",))
        report(f"{machine()}, one core; 3072 bits, values of 16 bits")
        head = ("values", "parties", "update", "encrypt", "aggregate", "open", "requests", "money")
        report(_cells(head))
        for values in VALUES:
            for parties in PARTIES:
                report(_cells(_foreseen(place, values, parties)))
        report("core-hours: encrypt of each party; aggregate and open (which verifies) of all together")
        report(f"money: work and requests of aggregating and opening once, a month of the files; {PRICES}")


def _foreseen(place: Place, values: int, parties: int) -> tuple[str, ...]:
    np.save(place.here / "one.npy", np.zeros(1, np.float32))
    options = ("--bits", BITS, "--range", RANGE, "--parties", str(parties), "-o", "one.plan", "--force")
    place.run(("plan", "--like", "one.npy", *options))
    with (place.here / "one.plan").open("rb") as stream:
        plan = read_plan(open_reader(stream))
    sizes = plan.geometry
    blocks = math.ceil(values / sizes.packing.values) + 1
    group = min(1024, max(64, 1 << (math.ceil(blocks / 16) - 1).bit_length()))
    seconds = plan.scheme.seconds(Load(blocks, group, parties, 1))
    size = blocks * plan.scheme.block_size
    # Two to open each file, then a chunk at a time for the proofs, and a window for the product.
    window = max(1, min(1 << 20, AHEAD // parties))
    requests = 2 * (2 * parties + parties * (math.ceil(size / (1 << 20)) + math.ceil(size / window)))
    work = (seconds["aggregate"] + seconds["decrypt"]) / 3600 * HYPERTHREADS * VCPU_HOUR
    money = work + requests * GETS + parties * math.ceil(size / (16 << 20)) * PUTS + parties * size * MONTH
    hours = (seconds[step] / 3600 for step in ("encrypt", "aggregate", "decrypt"))
    return (
        f"{values:,}",
        f"{parties:,}",
        count_bytes(size),
        *(f"{each:,.3g}" for each in hours),
        f"{requests:,}",
        f"${money:,.2f}",
    )


def _cells(cells: Sequence[str]) -> str:
    return "  ".join(each.rjust(11) for each in cells)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m hecli.bench.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--run", metavar="PxV", help="a round of P parties with V values")
    parser.add_argument("--masks", action="store_true", help="under masks alone")
    parser.add_argument("--at", metavar="URL", help="where its files go")
    parser.add_argument("--table", action="store_true", help="what all sizes would take")
    options = parser.parse_args(arguments)

    def report(line: str) -> None:
        print(line, flush=True)

    if options.table:
        table(report)
    elif options.run:
        parties, _, values = options.run.partition("x")
        whole_round(int(parties), int(values), masks=options.masks, at=options.at, report=report)
    else:
        beside(10, 1_500_000, report)


if __name__ == "__main__":
    main()
