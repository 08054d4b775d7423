"""What smaller updates take: whole commands, and the steps before values are rounded by themselves."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hecli.bench.commands import Workplace
from hecli.bench.peers import sample_values
from hecli.codec.basis import orthonormal
from hecli.codec.interface import Common, Encoding
from hecli.codec.low_rank import RIGHT, LowRank
from hecli.codec.randomness import Stream
from hecli.codec.rotate import Rotate
from hecli.codec.sample import Sample
from hecli.formats.tensors.arrays import PIECE
from hecli.formats.tensors.specs import TensorSpec
from hecli.measuring.seeds import Report

if TYPE_CHECKING:
    from hecli.measuring.folder import Run

PARTIES = 16
REPEATS = 3
RANK = 4

SETTINGS = (
    ("16 bits", ("--bits", "16")),
    ("8 bits", ("--bits", "8")),
    ("2 bits, rotated", ("--bits", "2", "--rotate")),
    ("a tenth of the values at 8 bits", ("--bits", "8", "--sample", "0.1")),
)
"""Ways to encrypt an update, and the options of hecli plan for them."""


def smaller(bits: int, count: int, report: Report) -> dict[str, Any]:
    """Measure encrypting in several settings, and each step before rounding by itself, on one core.

    Args:
        bits: The size of the key.
        count: How many values.
        report: Told what is going on.

    Returns:
        Of each setting the seconds of `hecli encrypt` and the bytes of an
        update for each value; and of each step the nanoseconds for a value.
    """
    report("encrypting smaller updates")
    runs: dict[str, list[Run]] = {name: [] for name, _ in SETTINGS}
    sizes = {}
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        place.values(count)
        for at, (_, options) in enumerate(SETTINGS):
            place.plan(f"{at}.plan", ("--parties", str(PARTIES), *options))
        # They take turns, for machines whose speed wanders.
        for _ in range(REPEATS):
            for at, (name, _) in enumerate(SETTINGS):
                runs[name].append(place.encrypt(f"{at}.enc", f"{at}.plan", "--force"))
                sizes[name] = place.size(f"{at}.enc") / count
    settings = {
        name: {"encrypt": min(run.seconds for run in each), "size": sizes[name]}
        for name, each in runs.items()
    }
    return {"smaller": {"settings": settings, "steps": steps(count)}}


def steps(count: int) -> dict[str, float]:
    """Measure the steps before rounding, on a matrix of about so many values.

    Args:
        count: How many values.

    Returns:
        Nanoseconds for a value, by step.
    """
    side = max(64, int(count**0.5))
    spec = TensorSpec("w", "float32", (side, side))
    values = np.resize(sample_values(count), spec.size).astype(np.float32)
    pieces = [values[at : at + PIECE] for at in range(0, spec.size, PIECE)]
    vectors = values[: side * RANK].astype(np.float64).reshape(side, RANK)
    common = Common((spec,), bytes(32), {"w": orthonormal(vectors, Stream("basis", b"", 0))})
    found = {}
    for step in (Rotate(), Sample.of_share(0.1), LowRank(RANK, RIGHT, b"")):
        taken = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            for _ in step.encode(0, pieces, Encoding("", common, 1.0, strict=False)):
                pass
            taken.append(time.perf_counter() - start)
        found[step.describe()] = min(taken) / spec.size * 1e9
    return found
