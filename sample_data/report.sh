#!/usr/bin/env bash
# The techniques beside each other on the sample data, and a report of it in build/report. Run it with `make report`.
set -euo pipefail
export LC_ALL=C
samples=$(cd "$(dirname "$0")" && pwd)
mkdir -p build/report
cd build/report

# The parties' digits in one file; half of the test's are to measure models, and the other half are public.
python - "$samples" <<'PY'
import sys
from pathlib import Path

import numpy as np

samples = Path(sys.argv[1])
hands = [np.load(samples / f"party-{party}.data.npz") for party in range(1, 5)]
test = np.load(samples / "test.npz")
half = len(test["labels"]) // 2
np.savez(
    "digits.npz",
    X=np.concatenate([hand["images"] for hand in hands]),
    y=np.concatenate([hand["labels"] for hand in hands]),
    X_test=test["images"][:half],
    y_test=test["labels"][:half],
)
np.savez("public.npz", X=test["images"][half:])
PY

hecli compare --data digits.npz --public public.npz --parties 4 --rounds 20 --html report.html --force "$@"
