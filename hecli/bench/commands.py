"""Whole commands, as a user runs them: seconds, bytes, and memory of all their processes."""

from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hecli.arithmetic.choosing import kernels
from hecli.arithmetic.engines import encryptor, proof_cost, proof_costs
from hecli.arithmetic.sizes import ciphertext_size, plaintext_size
from hecli.arithmetic.threshold import GROUP
from hecli.bench.peers import PEERS, PerValue, installed, sample_values
from hecli.executors.cores import default_jobs
from hecli.formats.reader import open_reader
from hecli.measuring.folder import Folder, Run
from hecli.measuring.processes import machine
from hecli.measuring.seeds import Report
from hecli.plan.geometry import GROUPS, LEAST_GROUP
from hecli.schemes.paillier.key_files import read_private_key, read_share

UPDATES = 10
REPEATS = 5
SHARED_VALUES = 40_000
COMPACT = ("--bits", "16", "--parties", "256")
COMPACT_LANES = 127
"""Values in a ciphertext of 3072 bits under such a plan, about."""
SMALLEST = ("--bits", "8", "--parties", "16")
MEMORY_VALUES = (2_000_000, 20_000_000)


class Workplace(Folder):
    """A temporary folder with a key, in which commands run.

    Args:
        path: An empty folder.
        bits: The size of its key.
    """

    def __init__(self, path: Path, bits: int) -> None:
        super().__init__(path)
        # For trials: what opening takes is measured without the checks before it, too.
        self.run("keygen", "--bits", str(bits), "--allow-unverified")
        with (path / "hecli.key").open("rb") as stream:
            self.key = read_private_key(open_reader(stream), str)

    def values(self, count: int, dtype: str = "float32") -> None:
        """Write so many values to grads.npy.

        Args:
            count: How many.
            dtype: Of what dtype.
        """
        np.save(self.path / "grads.npy", sample_values(count).astype(dtype))

    def plan(self, name: str, options: tuple[str, ...]) -> None:
        """Make a plan for grads.npy.

        Args:
            name: The plan's file.
            options: Options of hecli plan.
        """
        self.run("plan", "--like", "grads.npy", *options, "-o", name, "--force")

    def encrypt(self, output: str, plan: str, *options: str) -> Run:
        """Encrypt grads.npy.

        Args:
            output: The update's file.
            plan: The plan's file.
            options: Options of hecli encrypt.

        Returns:
            The run.
        """
        return self.run("encrypt", "grads.npy", "--plan", plan, "-o", output, "--force", *options)


def bench(bits: int, count: int, against: list[str], report: Report) -> dict[str, Any]:
    """Measure the commands on `count` float32 values, and the peers in the same run.

    Everything short is measured several times, the peers before and after,
    and the best is taken on both sides, for machines that others use too.
    `report` is told what is going on.

    Args:
        bits: The size of the key.
        count: How many values.
        against: Names of other libraries.
        report: Told what is going on.

    Returns:
        The figures.
    """
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        peers = [name for name in against if installed(name)]
        report(f"measuring {', '.join(peers) or 'no other library'}")
        before = {name: PEERS[name](place.key) for name in peers}
        summary = _commands(place, count, report)
        report("measuring the other libraries again")
        after = {name: PEERS[name](place.key) for name in peers}
    best = {name: PerValue(*map(min, before[name], after[name])) for name in peers}
    return {
        "bits": bits,
        "values": count,
        "cores": default_jobs(),
        "machine": machine(),
        "arithmetic": kernels().name,
        **summary,
        "peers": {name: values._asdict() for name, values in best.items()},
        "missing": [name for name in against if name not in peers],
    }


def memory(bits: int, report: Report) -> dict[str, Any]:
    """Peak memory of encrypt and aggregate, for a model and for one ten times as large.

    Args:
        bits: The size of the key.
        report: Told what is going on.

    Returns:
        The figures.
    """
    peaks: dict[str, Any] = {}
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        for count in MEMORY_VALUES:
            report(f"measuring memory with {count:,} values")
            place.values(count)
            place.plan("round.plan", COMPACT)
            encryption = place.encrypt("0.enc", "round.plan")
            place.encrypt("1.enc", "round.plan")
            aggregation = place.run("aggregate", "0.enc", "1.enc", "-o", "round.agg", "--force")
            peaks[str(count)] = {"encrypt": encryption.peak_bytes, "aggregate": aggregation.peak_bytes}
    return {"memory": peaks}


def _commands(place: Workplace, count: int, report: Report) -> dict[str, Any]:
    place.values(count)
    place.plan("compact.plan", COMPACT)
    place.plan("smallest.plan", SMALLEST)
    report("encrypting")
    names = [f"{at}.enc" for at in range(UPDATES)]
    encryptions = [place.encrypt(name, "compact.plan", "--party", name) for name in names]
    encrypt_one = [place.encrypt("one.enc", "compact.plan", "--jobs", "1") for _ in range(REPEATS)]
    place.encrypt("smallest.enc", "smallest.plan")
    report("aggregating")
    aggregations = [place.run("aggregate", *names, "-o", "round.agg", "--force") for _ in range(REPEATS)]
    # What is in an aggregate has been checked: here there are products alone.
    singles = [f"{at}.agg" for at in range(UPDATES)]
    for name, single in zip(names, singles, strict=True):
        place.run("aggregate", name, "-o", single)
    additions = [place.run("aggregate", *singles, "-o", "again.agg", "--force") for _ in range(REPEATS)]
    report("decrypting")
    decryption = place.run("decrypt", "round.agg", "--unverified")
    report("decrypting with one worker")
    decrypt_one = place.run("decrypt", "round.agg", "--unverified", "--jobs", "1", "-o", "one.sum")
    report("checking proofs")
    checked = [place.run("verify", "0.enc") for _ in range(REPEATS)]
    checked_sum = [place.run("verify", "round.sum", "--from", "round.agg") for _ in range(REPEATS)]
    report("signing and verifying")
    signing = _signing(place)
    encrypt, aggregate, add = _seconds(encryptions), _seconds(aggregations), _seconds(additions)
    lanes = -(-count // COMPACT_LANES)
    costs = proof_costs(place.key.p, place.key.q, max(LEAST_GROUP, min(lanes // GROUPS, 512)))
    per_value = PerValue(
        encrypt=encrypt / count * 1e6,
        add=add / count / (UPDATES - 1) * 1e6,
        decrypt=decryption.seconds / count * 1e6,
        size=place.size("0.enc") / count,
    )
    return {
        "hecli": per_value._asdict(),
        "seconds": {
            "encrypt": encrypt,
            f"check and add {UPDATES}": aggregate,
            f"add {UPDATES}": add,
            "decrypt": decryption.seconds,
            "help": _seconds([place.run("--help") for _ in range(REPEATS)]),
        },
        "proofs": {
            **costs._asdict(),
            "verify_update": _seconds(checked) / encrypt,
            "verify_sum": _seconds(checked_sum) / decryption.seconds,
        },
        "smallest_size": place.size("smallest.enc") / count,
        "speedup": {
            "encrypt": _seconds(encrypt_one) / encrypt,
            "decrypt": decrypt_one.seconds / decryption.seconds,
        },
        "signing": signing,
        "peak_bytes": {
            "encrypt": encryptions[0].peak_bytes,
            "aggregate": aggregations[0].peak_bytes,
            "decrypt": decryption.peak_bytes,
        },
    }


def _signing(place: Workplace) -> dict[str, float]:
    """What signatures and rosters cost: seconds of signed rounds over those of unsigned ones.

    `verify` is recomputing a signed aggregate over making it; `masks` and `masks
    alone` are encrypting with masks among as many parties, with a key and
    without, over encrypting signed. Both sides take turns, and the median of the
    pairs counts, for machines whose speed wanders.
    """
    names = [f"party-{at}" for at in range(UPDATES)]
    for name in names:
        place.run("keygen", "--identity", name)
    cards = tuple(word for name in names for word in ("--party", f"{name}.card"))
    place.plan("plain.plan", ("--bits", "16", "--parties", str(UPDATES)))
    planner = ("--identity", f"{names[0]}.id")
    place.plan("signed.plan", ("--bits", "16", *cards, *planner))
    place.plan("masked.plan", ("--bits", "16", *cards, *planner, "--masks"))
    place.plan("alone.plan", ("--bits", "16", *cards, *planner, "--scheme", "masks"))
    with_key, without = (place.enroll(plan, names) for plan in ("masked.plan", "alone.plan"))
    ratios: dict[str, list[float]] = defaultdict(list)
    for name in names:
        signer = ("--identity", f"{name}.id")
        plain = place.encrypt(f"plain-{name}.enc", "plain.plan", "--party", name)
        signed = place.encrypt(f"signed-{name}.enc", "signed.plan", *signer)
        masked = place.encrypt("masked.enc", "masked.plan", *signer, *with_key)
        alone = place.encrypt("alone.enc", "alone.plan", *signer, *without)
        ratios["encrypt"].append(signed.seconds / plain.seconds)
        ratios["masks"].append(masked.seconds / signed.seconds)
        ratios["masks alone"].append(alone.seconds / signed.seconds)
    files, signed_files = ([f"{kind}-{name}.enc" for name in names] for kind in ("plain", "signed"))
    signer = ("--identity", f"{names[0]}.id")
    for _ in range(2 * REPEATS):
        plain = place.run("aggregate", *files, "-o", "plain.agg", "--force")
        signed = place.run("aggregate", *signed_files, *signer, "-o", "signed.agg", "--force")
        verified = place.run("verify", "signed.agg", "--from", *signed_files)
        ratios["aggregate"].append(signed.seconds / plain.seconds)
        ratios["verify"].append(verified.seconds / signed.seconds)
    return {name: median(each) for name, each in ratios.items()}


def threshold(bits: int, count: int, report: Report) -> dict[str, Any]:
    """What opening with shares costs, on at most SHARED_VALUES values.

    `partial` is a partial over a plain decryption of as many ciphertexts,
    `proof` the proof over the rest of it, `combine` a sum of all partials over
    one partial; whole commands, but for the proof.

    Args:
        bits: The size of the key.
        count: How many values at most.
        report: Told what is going on.

    Returns:
        The figures.
    """
    with TemporaryDirectory(prefix="hecli-bench-") as folder:
        place = Workplace(Path(folder), bits)
        report("dealing a key in shares")
        dealt = place.run(
            "keygen",
            "--threshold",
            "3",
            "--shares",
            "4",
            "--bits",
            str(bits),
            "-o",
            "dealt",
            "--allow-unverified",
        )
        place.values(min(count, SHARED_VALUES))
        report("opening with shares")
        seconds = {}
        for name in ("hecli", "dealt"):
            key = ("--key", f"{name}.pub")
            place.run("plan", "--like", "grads.npy", *COMPACT, *key, "-o", f"{name}.plan")
            for party in "ab":
                place.encrypt(f"{name}-{party}.enc", f"{name}.plan", *key)
            place.run("aggregate", f"{name}-a.enc", f"{name}-b.enc", "-o", f"{name}.agg")
        seconds["decrypt"] = place.run("decrypt", "hecli.agg", "--unverified").seconds
        for index in "124":
            share_file = ("--share", f"dealt-{index}.share", "--unverified")
            seconds["partial"] = place.run("partial", "dealt.agg", *share_file).seconds
        parts = [f"dealt-{index}.part" for index in "124"]
        seconds["combine"] = place.run("combine", "dealt.agg", *parts, "--key", "dealt.pub").seconds
        with (Path(folder) / "dealt-1.share").open("rb") as stream:
            share = read_share(open_reader(stream), str)
        n = share.key.n
        made = encryptor(n, "short", GROUP, bytes(32))(bytes(4 + GROUP * plaintext_size(n)))
        batch = made[: GROUP * ciphertext_size(n)]
        proof = proof_cost(share.key, share.index, share.value, batch)
    ratios = {
        "partial": seconds["partial"] / seconds["decrypt"],
        "proof": proof,
        "combine": seconds["combine"] / seconds["partial"],
        "keygen_seconds": dealt.seconds,
    }
    return {"threshold": ratios}


def _seconds(runs: list[Run]) -> float:
    return min(run.seconds for run in runs)
