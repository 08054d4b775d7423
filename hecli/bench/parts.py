"""What a round costs of which only a part is under a key: whole commands."""

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hecli.bench.commands import Workplace
from hecli.bench.peers import sample_values
from hecli.measuring.seeds import Report

if TYPE_CHECKING:
    from hecli.measuring.folder import Run

PARTIES = 4
TENSORS = 10
WAYS = (
    ("100 %, all of it", ()),
    ("50 %, the rest masked", ("--masked", "tensor-[0-4]")),
    ("20 %, the rest masked", ("--masked", "tensor-[0-7]")),
    ("50 %, the rest plain", ("--plain", "tensor-[0-4]")),
    ("20 %, the rest plain", ("--plain", "tensor-[0-7]")),
)
"""How much of an update of TENSORS tensors is under the key, and the options of hecli plan for it."""


def parts(bits: int, count: int, report: Report) -> dict[str, Any]:
    """What a round costs of which only a part is under a key: whole commands, signed.

    Args:
        bits: The size of the key.
        count: How many values.
        report: Told what is going on.

    Returns:
        The figures, by the way: seconds of encrypting an update, of checking and
        adding all, and of opening them; and bytes of an update for each value.
    """
    found = {}
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        pieces = np.array_split(sample_values(count), TENSORS)
        tensors: dict[str, Any] = {f"tensor-{at}": piece for at, piece in enumerate(pieces)}
        np.savez(Path(folder) / "grads.npz", **tensors)
        names = [f"party-{at}" for at in range(PARTIES)]
        for name in names:
            place.run("keygen", "--identity", name)
        cards = tuple(word for name in names for word in ("--party", f"{name}.card"))
        signer = ("--identity", f"{names[0]}.id", "--force")
        for at, (_, options) in enumerate(WAYS):
            place.run("plan", "--like", "grads.npz", *cards, *options, *signer, "-o", f"{at}.plan")
        masked = [at for at, (_, options) in enumerate(WAYS) if "--masked" in options]
        enrolled = {at: place.enroll(f"{at}.plan", names) for at in masked}
        report("encrypting parts")
        encryptions: dict[int, list[Run]] = defaultdict(list)
        # They take turns, for machines whose speed wanders.
        for name in names:
            for at in range(len(WAYS)):
                own = ("--plan", f"{at}.plan", "--identity", f"{name}.id", "-o", f"{at}-{name}.enc")
                encryptions[at].append(place.run("encrypt", "grads.npz", *own, *enrolled.get(at, ())))
        report("opening parts")
        for at, (way, _) in enumerate(WAYS):
            files = [f"{at}-{name}.enc" for name in names]
            aggregation = place.run("aggregate", *files, *signer, "-o", f"{at}.agg")
            decryption = place.run("decrypt", f"{at}.agg", "--unverified", *signer)
            found[way] = {
                "encrypt": min(run.seconds for run in encryptions[at]),
                "add": aggregation.seconds,
                "decrypt": decryption.seconds,
                "size": place.size(files[0]) / count,
            }
    return {"parts": found}
