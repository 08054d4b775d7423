"""What noise takes: whole updates beside plain ones of the same bits, and drawing by itself."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hecli.bench.commands import Workplace
from hecli.codec.noise import Noise
from hecli.formats.reader import open_reader
from hecli.measuring.seeds import Report
from hecli.plan.data import Plan
from hecli.plan.files import read_plan
from hecli.privacy.guarantee import UNITS, tail_of

if TYPE_CHECKING:
    from hecli.measuring.folder import Run

PARTIES = 8
REPEATS = 5
PROMISE = ("--clip", "1", "--epsilon", "4", "--rounds", "60")
"""Options of hecli plan for the noise of a training that is worth something, and is worth protecting."""

SIGMAS = (4, 100, 1000)
"""Standard deviations of noise that is drawn by itself, in steps."""

DRAWN = 1 << 20
"""How many values of such noise."""


def noisy(bits: int, count: int, report: Report) -> dict[str, Any]:
    """Measure what noise takes.

    Args:
        bits: The size of the key.
        count: How many values.
        report: Told what is going on.

    Returns:
        By whose data the noise protects, the seconds and bytes a value of `hecli
        encrypt` with noise, and without it at as many bits; how many bits these
        are, and the standard deviation of a party's noise. And by standard
        deviation the nanoseconds of drawing one value.
    """
    report("encrypting with noise")
    with TemporaryDirectory(prefix="hecli-bench-") as name:
        folder = Path(name)
        place = Workplace(folder, bits)
        # As sums over records are; with and without noise.
        place.values(count, "float64")
        names = [f"party-{at}" for at in range(PARTIES)]
        for party in names:
            place.run("keygen", "--identity", party)
        cards = tuple(word for party in names for word in ("--party", f"{party}.card"))
        signer = ("--identity", f"{names[0]}.id")
        found = {}
        for unit in UNITS:
            place.plan("noisy.plan", (*cards, *signer, *PROMISE, "--unit", unit))
            plan = _plan(folder / "noisy.plan")
            quantised = plan.codec.quantise.bits
            place.plan("plain.plan", (*cards, *signer, "--bits", str(quantised)))
            runs: dict[str, list[Run]] = {"plain": [], "noisy": []}
            # They take turns, for machines whose speed wanders.
            for _ in range(REPEATS):
                for way, each in runs.items():
                    each.append(place.encrypt(f"{way}.enc", f"{way}.plan", *signer))
            pairs = zip(runs["plain"], runs["noisy"], strict=True)
            found[unit] = {
                "bits": quantised,
                "sigma": 0.0 if plan.privacy is None else plan.privacy.sigma,
                "ratio": median(noised.seconds / plain.seconds for plain, noised in pairs),
                **{way: min(run.seconds for run in each) for way, each in runs.items()},
                **{f"{way} size": place.size(f"{way}.enc") / count for way in runs},
            }
    return {"noise": {"updates": found, "drawing": {str(sigma): drawing(sigma) for sigma in SIGMAS}}}


def drawing(sigma: int) -> float:
    """Measure drawing noise, behind the table that is made once for an update.

    Args:
        sigma: Its standard deviation, in steps.

    Returns:
        Nanoseconds for a value.
    """
    noise = Noise(sigma**2, tail_of(sigma**2, DRAWN * PARTIES))
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        noise.draw(DRAWN)
        taken.append(time.perf_counter() - start)
    return min(taken) / DRAWN * 1e9


def _plan(path: Path) -> Plan:
    with path.open("rb") as stream:
        return read_plan(open_reader(stream))
