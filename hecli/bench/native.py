"""What each arithmetic of this machine takes, beside gmpy2: by itself, and in whole commands."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hecli.arithmetic.choosing import available
from hecli.arithmetic.engines import measure
from hecli.arithmetic.threshold import GROUP
from hecli.bench.commands import COMPACT, COMPACT_LANES, REPEATS, UPDATES, Workplace
from hecli.executors.cores import default_jobs
from hecli.measuring.folder import Run
from hecli.measuring.processes import machine
from hecli.measuring.seeds import Report

ALONE = ("encrypt", "check", "multiply", "decrypt", "partial")
"""What is measured by itself, for a ciphertext on one core."""


def native(bits: int, count: int, report: Report) -> dict[str, Any]:
    """Measure each arithmetic that this machine has, gmpy2 last.

    Everything short is measured several times in turns, and the best counts,
    for machines that others use too.

    Args:
        bits: The size of the key.
        count: How many values.
        report: Told what is going on.

    Returns:
        The figures, by what computes: `alone` in seconds for a ciphertext on one
        core, `commands` in seconds on all cores, and `peak_bytes` of all processes.
    """
    names = available()
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        report("measuring the arithmetic alone")
        alone = _alone(place.key.public.n, -(-count // COMPACT_LANES), names)
        report("making updates, and a key in shares")
        files = _prepare(place, bits, count)
        runs: dict[str, dict[str, list[Run]]] = {name: {} for name in names}
        for turn in range(REPEATS):
            for name in names:
                report(f"encrypting and aggregating with {name}, {turn + 1} of {REPEATS}")
                place.compute_with(name)
                found = runs[name]
                found.setdefault("encrypt", []).append(place.encrypt("one.enc", "round.plan"))
                summed = place.run("aggregate", *files, "-o", "again.agg", "--force")
                found.setdefault(f"aggregate {UPDATES}", []).append(summed)
        for name in names:
            report(f"opening with {name}")
            place.compute_with(name)
            runs[name] |= _openings(place)
    return {
        "bits": bits,
        "values": count,
        "cores": default_jobs(),
        "machine": machine(),
        "native": {name: {"alone": alone[name], **_best(runs[name])} for name in names},
    }


def _alone(n: int, ciphertexts: int, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Seconds for a ciphertext; those of encrypting with its share of the table."""
    found: dict[str, dict[str, float]] = {}
    for _ in range(REPEATS):
        for name in names:
            costs = measure(n, "short", ciphertexts, GROUP, name)
            taken = {what: getattr(costs, what) for what in ALONE}
            taken["encrypt"] += costs.prepare / ciphertexts
            least = found.setdefault(name, taken)
            found[name] = {what: min(least[what], taken[what]) for what in ALONE}
    return found


def _prepare(place: Workplace, bits: int, count: int) -> list[str]:
    """Updates and aggregates, under a key of one and one in shares; gives the updates."""
    place.values(count)
    place.plan("round.plan", COMPACT)
    shares = ("--threshold", "3", "--shares", "4", "--bits", str(bits))
    place.run("keygen", *shares, "-o", "dealt", "--allow-unverified")
    key = ("--key", "dealt.pub")
    place.plan("dealt.plan", (*COMPACT, *key))
    files = [f"{at}.enc" for at in range(UPDATES)]
    for name in files:
        place.encrypt(name, "round.plan", "--party", name)
    for name in files[:2]:
        place.encrypt(f"dealt-{name}", "dealt.plan", "--party", name, *key)
    place.run("aggregate", *files, "-o", "round.agg")
    place.run("aggregate", *(f"dealt-{name}" for name in files[:2]), "-o", "dealt.agg")
    return files


def _openings(place: Workplace) -> dict[str, list[Run]]:
    """Decrypting on all cores and on one, and a partial."""
    key = ("round.agg", "--unverified", "--force", "-o", "round.sum")
    share = ("dealt.agg", "--share", "dealt-1.share", "--unverified", "--force", "-o", "one.part")
    return {
        "decrypt": [place.run("decrypt", *key)],
        "decrypt, one core": [place.run("decrypt", *key, "--jobs", "1")],
        "partial": [place.run("partial", *share)],
    }


def _best(runs: dict[str, list[Run]]) -> dict[str, Any]:
    peaks = {what: [run.peak_bytes for run in each if run.peak_bytes] for what, each in runs.items()}
    return {
        "commands": {what: min(run.seconds for run in each) for what, each in runs.items()},
        "peak_bytes": {what: max(each, default=None) for what, each in peaks.items()},
    }
