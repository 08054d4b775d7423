"""The end of the single round's demo: how well each model reads digits, and what encryption changed."""

import json
import sys
from pathlib import Path

import numpy as np
from score import SAMPLES, accuracy, load

PARTIES = (1, 2, 3, 4)


def main() -> int:
    """Print the tables; fail if the encrypted average does not beat every party alone."""
    work = Path(sys.argv[1])
    model = load(SAMPLES / "model.npz")
    updates = [load(SAMPLES / f"party-{party}.update.npz") for party in PARTIES]
    alone = [accuracy({name: model[name] + update[name] for name in model}) for update in updates]
    mean = {name: np.mean([update[name] for update in updates], axis=0, dtype=np.float64) for name in model}
    plain = {name: (model[name] + mean[name]).astype(np.float32) for name in model}
    encrypted = load(work / "model.next.npz")
    largest = max(float(np.abs(encrypted[name] - plain[name]).max()) for name in model)

    print("test accuracy on 450 held-out images")
    print(f"  initial model       {accuracy(model):6.1%}")
    for party, score in zip(PARTIES, alone, strict=True):
        print(f"  party {party} alone       {score:6.1%}")
    print(f"  plain average       {accuracy(plain):6.1%}")
    print(f"  encrypted average   {accuracy(encrypted):6.1%}")
    print(f"largest difference between encrypted and plain average: {largest:.2g}")
    print()
    print("step                 bytes   seconds")
    for line in (work / "steps.jsonl").read_text().splitlines():
        step = json.loads(line)
        seconds = f"{step['seconds']:8.2f}" if step["seconds"] is not None else "        "
        print(f"{step['step']:<16} {step['bytes']:>9,}  {seconds}")
    if accuracy(encrypted) <= max(alone):
        print("error: the encrypted average does not beat every party alone", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
